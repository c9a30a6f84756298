/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SVM: interrupts, NMIs and exceptions into the guest (APM2 15.20, 15.21), and deliveries that an exit broke off.
 */
#include "hv/vcpu/svm_vmcb.h"
#include "hv/cpu/x86.h"

/* The IRET that ends an NMI handler exits before it runs; it has run as soon as rip is another. */
static bool nmi_open(struct vcpu *v, struct svm_vcpu *a)
{
	if (a->nmi_iret && v->rip != a->iret_rip)
		a->nmi_blocked = a->nmi_iret = false;
	return !a->nmi_blocked;
}

bool svm_can_inject(struct vcpu *v, unsigned event_type)
{
	struct svm_vcpu *a = svm_of(v);

	if ((a->vmcb->event_inject & EVENT_VALID) || (a->vmcb->int_state & INT_SHADOW))
		return false;
	return event_type == EVENT_NMI ? nmi_open(v, a) : (v->rflags & RFLAGS_IF) != 0;
}

static void intercept_iret(struct svm_vcpu *a, bool on)
{
	struct vmcb *b = a->vmcb;

	b->intercept_misc1 = on ? b->intercept_misc1 | SVM_IRET : b->intercept_misc1 & ~SVM_IRET;
	svm_dirty(a, CLEAN_INTERCEPTS);
}

void svm_block_nmi(struct svm_vcpu *a)
{
	a->nmi_blocked = true;
	a->nmi_iret = false;
	intercept_iret(a, true);
}

/* An NMI that waits is to follow at once: single-step over the IRET. (TF is in what the CPU does, not in what IRET pops;
 * one set by the guest itself is popped here too.) */
void svm_iret(struct vcpu *v)
{
	struct svm_vcpu *a = svm_of(v);

	intercept_iret(a, false);
	a->nmi_iret = true;
	a->iret_rip = v->rip;
	if (v->nmi_pending) {
		a->stepping = true;
		v->rflags |= RFLAGS_TF;
	}
}

/* A #DB exit: was it that step? The IRET has run then; DR6 is no witness (Bochs exits before it is written). */
bool svm_stepped(struct vcpu *v)
{
	struct svm_vcpu *a = svm_of(v);

	if (!a->stepping || v->rip == a->iret_rip)
		return false;
	a->stepping = false;
	a->vmcb->dr6 &= ~DR6_BS;
	svm_dirty(a, CLEAN_DR);
	return true;
}

/* An interrupt or NMI that was being delivered gives way to an exception and is kept for later. Exceptions do not need
 * to be: those injected here are benign, and faults come again by themselves. */
static void hold(struct vcpu *v, uint64_t event)
{
	unsigned kind = EVENT_KIND(event);

	if (kind == EVENT_KIND_INTR) {
		v->held = (struct vcpu_event){.type = EVENT_INTR, .vector = EVENT_VECTOR(event)};
		__atomic_fetch_or(&v->attention, ATT_IRQ, __ATOMIC_RELAXED);
	} else if (kind == EVENT_KIND_NMI) {
		svm_of(v)->nmi_blocked = false;
		intercept_iret(svm_of(v), false);
		v->nmi_pending = true;
		__atomic_fetch_or(&v->attention, ATT_NMI, __ATOMIC_RELAXED);
	}
}

void svm_inject(struct vcpu *v, const struct vcpu_event *e)
{
	static const uint8_t kinds[] = {[EVENT_INTR] = EVENT_KIND_INTR,
					[EVENT_NMI] = EVENT_KIND_NMI,
					[EVENT_EXCEPTION] = EVENT_KIND_EXCEPTION};
	struct svm_vcpu *a = svm_of(v);
	struct vmcb *b = a->vmcb;
	uint64_t event = e->vector | (uint64_t)kinds[e->type] << 8 | EVENT_VALID;

	if (UNLIKELY(b->event_inject & EVENT_VALID))
		hold(v, b->event_inject);
	if (e->has_error)
		event |= EVENT_HAS_ERROR | (uint64_t)e->error << 32;
	if (e->type == EVENT_EXCEPTION && e->vector == VECTOR_PF) {
		b->cr2 = e->address;
		svm_dirty(a, CLEAN_CR2);
	}
	if (e->type == EVENT_NMI) {
		event |= 2; /* the vector of an NMI */
		svm_block_nmi(a);
	}
	b->event_inject = event;
	a->after |= AFTER_INJECTION;
}

/* A virtual interrupt of the highest priority that is never delivered: it exits when the guest could take it. For NMIs
 * there is the IRET that ends the one before (svm_iret). */
void svm_window(struct vcpu *v, unsigned event_type, bool wanted)
{
	struct svm_vcpu *a = svm_of(v);
	struct vmcb *b = a->vmcb;

	if (event_type != EVENT_INTR || a->window == wanted)
		return;
	a->window = wanted;
	b->int_control = V_INTR_MASKING | (wanted ? V_IRQ | V_PRIO_HIGHEST | V_IGN_TPR : 0);
	b->intercept_misc1 = wanted ? b->intercept_misc1 | SVM_VINTR
				    : b->intercept_misc1 & ~SVM_VINTR;
	svm_dirty(a, CLEAN_INTERCEPTS | CLEAN_INT);
}

/*
 * The exit came while an event was being delivered (APM2 15.7.2, 15.20): it is injected again. INT n, INT3 and INTO are not:
 * rip still points at them and they run again. If the exit is an exception of its own, it goes first.
 */
void svm_broken_delivery(struct vcpu *v)
{
	struct svm_vcpu *a = svm_of(v);
	uint64_t event = a->vmcb->exit_int_info;
	unsigned kind = EVENT_KIND(event), vector = EVENT_VECTOR(event);

	if (kind == EVENT_KIND_SOFT ||
	    (kind == EVENT_KIND_EXCEPTION && (vector == 3 || vector == 4)))
		return;
	if (v->exit.kind == HV_EXIT_EXCEPTION) {
		hold(v, event);
		return;
	}
	a->vmcb->event_inject = event;
	a->after |= AFTER_INJECTION;
}
