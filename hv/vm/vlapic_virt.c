/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC kept by the CPU (vendor_apic; SDM3 chapter 30). In x2APIC mode IRR, ISR, TPR and PPR then live in a page
 * that the CPU works on by itself: it delivers, takes EOIs, task priorities and self-IPIs without an exit. hv only adds what
 * others posted, says which EOIs it wants to hear of (level-triggered ones: the IO-APIC waits for them), and wakes the vCPU
 * from HLT. In xAPIC mode, where an access is to memory, everything is done by vlapic_irq.c.
 *
 *   posted (pir) --- CPU, where it takes notifications in guest mode, or vlapic_hand_over ---> page IRR ---> CPU
 *   level  (late) --------------------- vlapic_hand_over, with the EOI exits set ------------> page IRR ---> CPU
 */
#include "hv/vm/vlapic.h"
#include "hv/lib/string.h"

#define MSR_X2APIC 0x800u
#define WORDS 8u /* 32-bit registers of a bitmap, 16 bytes apart */

static uint32_t *reg(const struct vlapic *l, unsigned number)
{
	return &l->page[number * 4];
}

static void add_requests(struct vlapic *l, unsigned word, uint64_t bits)
{
	*reg(l, APIC_IRR + word * 2) |= (uint32_t)bits;
	*reg(l, APIC_IRR + word * 2 + 1) |= (uint32_t)(bits >> 32);
}

static int top_of(const struct vlapic *l, unsigned first)
{
	for (int i = WORDS - 1; i >= 0; i--) {
		uint32_t word = *reg(l, first + (unsigned)i);

		if (word)
			return i * 32 + 31 - __builtin_clz(word);
	}
	return 0;
}

static bool deliverable(const struct vlapic *l, int top)
{
	return top >> 4 > (int)(*reg(l, APIC_PPR) >> 4);
}

/* Will a request wait for an EOI when the CPU has taken what it can take now? */
static bool waits_behind(const struct vlapic *l, int top)
{
	unsigned others = 0;

	for (unsigned i = 0; i < WORDS; i++)
		others |= *reg(l, APIC_IRR + i) & ~(i == (unsigned)top / 32 ? 1u << top % 32 : 0);
	return others || (top && !deliverable(l, top));
}

/* Which EOIs exit. Of vectors whose last request was level-triggered: the IO-APIC waits for them. Of all, where something that
 * waits for one must not become deliverable without hv (vendor_apic->leaks). Before the CPU sees the requests. */
static void watch_needed(struct vlapic *l, int top)
{
	bool all = vendor_apic->leaks && waits_behind(l, top);
	uint64_t vectors[4];

	for (unsigned i = 0; i < 4; i++)
		vectors[i] = all ? ~0ull : __atomic_load_n(&l->tmr[i], __ATOMIC_ACQUIRE);
	if (!memcmp(vectors, l->watched, sizeof(vectors)))
		return;
	memcpy(l->watched, vectors, sizeof(vectors));
	vendor_apic->watch_eois(l->v, vectors);
}

/* What stands in the page is the state now; nothing is left outside it. */
static void fill_page(struct vlapic *l)
{
	memset(l->page, 0, PAGE_SIZE);
	*reg(l, APIC_ID) = l->v->index;
	*reg(l, APIC_VER) = APIC_VERSION;
	*reg(l, APIC_LDR) = vlapic_ldr(l);
	*reg(l, APIC_TPR) = l->tpr;
	*reg(l, APIC_PPR) = vlapic_ppr(l);
	for (unsigned i = 0; i < 4; i++)
		add_requests(l, i, l->irr[i]);
	for (unsigned i = 1; i <= l->depth; i++)
		*reg(l, APIC_ISR + l->service[i] / 32) |= 1u << l->service[i] % 32;
	memset(l->irr, 0, sizeof(l->irr));
	l->irr_top = -1;
	l->depth = 0;
}

void vlapic_virt_on(struct vlapic *l)
{
	int top;

	if (!vendor_apic || l->page)
		return;
	vlapic_merge(l);
	l->page = vendor_apic->page(l->v);
	fill_page(l);
	top = top_of(l, APIC_IRR);
	memset(l->watched, 0, sizeof(l->watched));
	vendor_apic->enable(l->v, true, hv_to_phys(l->pir));
	vendor_apic->watch_eois(l->v, l->watched);
	watch_needed(l, top); /* not only for what comes: a level-triggered one may be in service */
	vendor_apic->state(l->v, (uint8_t)top, (uint8_t)top_of(l, APIC_ISR));
	__atomic_fetch_or(&l->v->attention, ATT_IRQ, __ATOMIC_RELAXED);
}

/* On the way to reset or to "off": what was there is lost (SDM3 11.4.3). */
void vlapic_virt_off(struct vlapic *l)
{
	if (!l->page)
		return;
	l->page = NULL;
	vendor_apic->enable(l->v, false, 0);
}

/* What was posted under one word of the bitmaps. */
static void take_word(struct vlapic *l, unsigned i)
{
	uint64_t bits = 0;

	if (__atomic_load_n(&l->pir[i], __ATOMIC_RELAXED))
		bits = __atomic_exchange_n(&l->pir[i], 0, __ATOMIC_ACQUIRE);
	if (__atomic_load_n(&l->late[i], __ATOMIC_RELAXED))
		bits |= __atomic_exchange_n(&l->late[i], 0, __ATOMIC_ACQUIRE);
	if (bits)
		add_requests(l, i, bits);
}

void vlapic_virt_save(struct vlapic *l, struct hv_state_lapic *out)
{
	for (unsigned i = 0; i < 4; i++) {
		unsigned low = APIC_IRR + i * 2, serving = APIC_ISR + i * 2;

		out->irr[i] = (uint64_t)*reg(l, low + 1) << 32 | *reg(l, low) |
			      __atomic_load_n(&l->late[i], __ATOMIC_ACQUIRE);
		out->isr[i] = (uint64_t)*reg(l, serving + 1) << 32 | *reg(l, serving);
	}
	out->tpr = *reg(l, APIC_TPR);
}

bool vlapic_hand_over(struct vcpu *v)
{
	struct vlapic *l = v->lapic;
	bool posted;
	int top;

	if (!l->page)
		return false;
	/* Cleared before the words are taken: a bit posted after this sets it again. */
	posted = __atomic_load_n(&l->posted, __ATOMIC_RELAXED) &&
		 __atomic_exchange_n(&l->posted, 0, __ATOMIC_ACQ_REL);
	for (unsigned i = 0; i < 4 && posted; i++)
		take_word(l, i);
	top = top_of(l, APIC_IRR);
	if (posted || vendor_apic->leaks)
		watch_needed(l, top);
	if (posted)
		vendor_apic->request(v, (uint8_t)top);
	return deliverable(l, top);
}

/* Only where such writes exit; the CPU works out PPR anew at the entry, but hand_over looks before (SDM3 30.1.3). */
void vlapic_virt_tpr(struct vlapic *l, uint32_t tpr)
{
	uint32_t service = (uint32_t)top_of(l, APIC_ISR) & 0xf0;

	*reg(l, APIC_TPR) = tpr;
	*reg(l, APIC_PPR) = (tpr & 0xf0) >= service ? tpr : service;
	__atomic_fetch_or(&l->v->attention, ATT_IRQ, __ATOMIC_RELAXED);
}

void vlapic_written(struct vcpu *v, unsigned offset)
{
	struct vlapic *l = v->lapic;
	uint64_t value;

	if (!l->page)
		return;
	value = *reg(l, offset >> 4);
	/* What cannot be written is not: the guest's instruction is over. */
	(void)!vlapic_msr(v, MSR_X2APIC + (offset >> 4), true, &value);
}
