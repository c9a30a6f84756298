/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt acceptance of the local APIC: post, merge, prioritise, take, end of interrupt. This is the hot part:
 * the highest vector of IRR is cached and ISR is a stack, so that the run loop and EOI look at a word each.
 */
#include "hv/vm/vlapic.h"

static inline uint64_t bit_of(unsigned vector)
{
	return 1ull << (vector & 63);
}

/* The highest vector in words from..0, -1: none. */
static inline int top_from(const uint64_t w[4], unsigned from)
{
	for (int i = (int)from; i >= 0; i--)
		if (w[i])
			return i * 64 + 63 - __builtin_clzll(w[i]);
	return -1;
}

/* The trigger mode of the last request decides whether EOI goes to the IO-APIC (SDM3 11.8.4, TMR). */
static inline void tmr_set(struct vlapic *l, unsigned vector, bool level)
{
	uint64_t *word = &l->tmr[vector >> 6], bit = bit_of(vector);

	if (level)
		__atomic_fetch_or(word, bit, __ATOMIC_RELAXED);
	else if (UNLIKELY(__atomic_load_n(word, __ATOMIC_RELAXED) & bit))
		__atomic_fetch_and(word, ~bit, __ATOMIC_RELAXED);
}

void vlapic_error(struct vlapic *l, uint32_t bit)
{
	uint32_t lvt = __atomic_load_n(&l->lvt[LVT_ERROR], __ATOMIC_RELAXED);
	uint8_t vector = (uint8_t)lvt;

	if (__atomic_fetch_or(&l->errors, bit, __ATOMIC_RELAXED) & bit)
		return;
	/* A bad vector in the error entry itself must not come back here. */
	if (!(lvt & LVT_MASKED) && vector >= 16)
		vlapic_accept(l->v, vector, false);
}

void vlapic_accept(struct vcpu *v, uint8_t vector, bool level)
{
	struct vlapic *l = v->lapic;
	bool late;

	if (!vlapic_enabled(l))
		return;
	if (UNLIKELY(vector < 16)) {
		vlapic_error(l, ESR_RECEIVE_VECTOR);
		return;
	}
	tmr_set(l, vector, level);
	late = level && __atomic_load_n(&l->page, __ATOMIC_RELAXED);
	/* Whoever set the bit before has done the rest, or is about to: a storm of one vector costs one kick. */
	if (__atomic_fetch_or(late ? &l->late[vector >> 6] : &l->pir[vector >> 6], bit_of(vector),
			      __ATOMIC_ACQ_REL) &
	    bit_of(vector))
		return;
	__atomic_store_n(&l->posted, 1, __ATOMIC_RELEASE); /* pairs with vlapic_merge() */
	__atomic_fetch_or(&v->attention, ATT_IRQ, __ATOMIC_SEQ_CST);
	sched_unblock(&v->ent, BLOCK_HALT);
	/* A CPU that takes notifications in guest mode need not leave it. */
	sched_send(&v->ent, !late && l->page && vendor_apic->notified ? VEC_POSTED : VEC_KICK);
}

/* What others posted and is not in irr yet has an ATT_IRQ of its own, or will have. */
void vlapic_look(struct vlapic *l)
{
	if (l->irr_top >= 0)
		__atomic_fetch_or(&l->v->attention, ATT_IRQ, __ATOMIC_RELAXED);
}

void vlapic_set_own(struct vlapic *l, uint8_t vector)
{
	if (!vlapic_enabled(l))
		return;
	if (UNLIKELY(l->page != NULL)) {
		vlapic_accept(l->v, vector, false);
		return;
	}
	tmr_set(l, vector, false);
	l->irr[vector >> 6] |= bit_of(vector);
	if (vector > l->irr_top)
		l->irr_top = vector;
	__atomic_fetch_or(&l->v->attention, ATT_IRQ, __ATOMIC_RELAXED);
}

void vlapic_merge(struct vlapic *l)
{
	if (LIKELY(!__atomic_load_n(&l->posted, __ATOMIC_RELAXED)) || l->page)
		return; /* the page's are vlapic_hand_over's */
	/* Cleared before the words are taken: a bit posted after this sets it again. */
	__atomic_exchange_n(&l->posted, 0, __ATOMIC_ACQ_REL);
	for (unsigned i = 0; i < 4; i++)
		if (__atomic_load_n(&l->pir[i], __ATOMIC_RELAXED))
			l->irr[i] |= __atomic_exchange_n(&l->pir[i], 0, __ATOMIC_ACQUIRE);
	l->irr_top = top_from(l->irr, 3);
}

/* SDM3 11.8.3.1: the higher of the task priority and the class in service. */
uint32_t vlapic_ppr(const struct vlapic *l)
{
	uint32_t service = l->service[l->depth & 15] & 0xf0;

	return (l->tpr & 0xf0) >= service ? l->tpr : service;
}

int vlapic_pending(struct vcpu *v)
{
	struct vlapic *l = v->lapic;

	vlapic_merge(l);
	if (l->irr_top < 0 || (uint32_t)l->irr_top >> 4 <= vlapic_ppr(l) >> 4)
		return -1;
	return (l->base & APIC_BASE_EN) ? l->irr_top : -1;
}

void vlapic_take(struct vcpu *v, uint8_t vector)
{
	struct vlapic *l = v->lapic;

	l->irr[vector >> 6] &= ~bit_of(vector);
	if (LIKELY(vector == l->irr_top))
		l->irr_top = top_from(l->irr, vector >> 6);
	l->depth = (l->depth + 1) & 15; /* never past 15: see struct vlapic */
	l->service[l->depth] = vector;
}

int vlapic_eoi(struct vlapic *l)
{
	unsigned vector, depth = l->depth;

	if (UNLIKELY(!depth))
		return 0; /* nothing in service: an EOI without effect (SDM3 11.8.5) */
	vector = l->service[depth & 15];
	l->depth = depth - 1;
	if (UNLIKELY(__atomic_load_n(&l->tmr[vector >> 6], __ATOMIC_RELAXED) & bit_of(vector)))
		vioapic_eoi(l->v->vm, (uint8_t)vector);
	vlapic_look(l);
	return 0;
}

/* ---- task priority, also as CR8 ---- */
uint64_t vlapic_cr8(struct vcpu *v)
{
	return v->lapic->tpr >> 4;
}

void vlapic_set_tpr(struct vlapic *l, uint32_t tpr)
{
	if (UNLIKELY(l->page != NULL)) {
		vlapic_virt_tpr(l, tpr);
		return;
	}
	l->tpr = tpr;
	vlapic_look(l);
}

void vlapic_set_cr8(struct vcpu *v, uint64_t cr8)
{
	vlapic_set_tpr(v->lapic, (uint32_t)(cr8 & 0xf) << 4);
}

/* Virtual wire (SDM3 11.5.1): the PICs reach a CPU through LINT0 as ExtINT, or past an APIC that is off. */
bool vlapic_takes_pic(struct vcpu *v)
{
	const struct vlapic *l = v->lapic;
	uint32_t lvt = __atomic_load_n(&l->lvt[LVT_LINT0], __ATOMIC_RELAXED);

	if (!(l->base & APIC_BASE_EN))
		return v->index == 0;
	return !(lvt & LVT_MASKED) && (lvt >> 8 & 7) == APIC_EXTINT;
}
