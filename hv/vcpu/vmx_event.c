/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMX: interrupts, NMIs and exceptions into the guest (SDM3 27.6), windows for them (27.7), and deliveries that an exit
 * broke off (28.2.4).
 */
#include "hv/vcpu/vmx_vmcs.h"
#include "hv/cpu/x86.h"

#define VECTOR_NMI 2u

static void unblock_nmi(void)
{
	vmwrite(VMCS_INTERRUPTIBILITY, vmread(VMCS_INTERRUPTIBILITY) & ~(uint64_t)BLOCKED_NMI);
}

bool vmx_can_inject(struct vcpu *v, unsigned event_type)
{
	uint64_t blocked;

	if (vmx_of(v)->injecting || (event_type == EVENT_INTR && !(v->rflags & RFLAGS_IF)))
		return false;
	blocked = vmread(VMCS_INTERRUPTIBILITY);
	if (blocked & (BLOCKED_STI | BLOCKED_MOV_SS))
		return false;
	return event_type != EVENT_NMI || !(blocked & BLOCKED_NMI);
}

/* An interrupt or NMI that was being delivered gives way to an exception and is kept for later. Exceptions do not need
 * to be: those injected here are benign, and faults come again by themselves. */
static void hold(struct vcpu *v, uint32_t event)
{
	unsigned kind = EVENT_KIND(event);

	if (kind == EVENT_KIND_INTR) {
		v->held = (struct vcpu_event){.type = EVENT_INTR, .vector = EVENT_VECTOR(event)};
		__atomic_fetch_or(&v->attention, ATT_IRQ, __ATOMIC_RELAXED);
	} else if (kind == EVENT_KIND_NMI) {
		unblock_nmi();
		v->nmi_pending = true;
		__atomic_fetch_or(&v->attention, ATT_NMI, __ATOMIC_RELAXED);
	}
}

static void set_event(struct vmx_vcpu *a, uint32_t event)
{
	vmwrite(VMCS_ENTRY_EVENT, event);
	a->entry_event = event;
	a->injecting = true; /* until the exit, which clears the field's valid bit too */
}

/* Error codes exist in protected mode only (SDM3 27.2.1.3). */
static uint32_t with_error(uint32_t event, uint32_t error)
{
	if (!(vmread(VMCS_GUEST_CR0) & CR0_PE))
		return event;
	vmwrite(VMCS_ENTRY_ERROR, error);
	return event | EVENT_HAS_ERROR;
}

void vmx_inject(struct vcpu *v, const struct vcpu_event *e)
{
	static const uint8_t kinds[] = {[EVENT_INTR] = EVENT_KIND_INTR,
					[EVENT_NMI] = EVENT_KIND_NMI,
					[EVENT_EXCEPTION] = EVENT_KIND_EXCEPTION};
	struct vmx_vcpu *a = vmx_of(v);
	uint32_t event = e->vector | (uint32_t)kinds[e->type] << 8 | EVENT_VALID;

	if (UNLIKELY(a->injecting))
		hold(v, a->entry_event);
	if (e->has_error)
		event = with_error(event, e->error);
	if (e->type == EVENT_EXCEPTION && e->vector == VECTOR_PF)
		write_cr2(e->address); /* the guest's while it has its turn */
	if (e->type == EVENT_NMI)
		event |= VECTOR_NMI;
	set_event(a, event);
}

void vmx_proc_change(struct vmx_vcpu *a, uint32_t clear, uint32_t set)
{
	uint32_t proc = (a->proc & ~clear) | set;
	bool opened;

	if (proc == a->proc)
		return;
	opened = vmx_open(a);
	vmwrite(VMCS_PROC, a->proc = proc);
	vmx_close(a, opened);
}

void vmx_window(struct vcpu *v, unsigned event_type, bool wanted)
{
	uint32_t bit = event_type == EVENT_NMI ? PROC_NMI_WINDOW : PROC_INTERRUPT_WINDOW;

	vmx_proc_change(vmx_of(v), bit, wanted ? bit : 0);
}

/*
 * The exit came while an event was being delivered: it is injected again. INT n, INT3, INTO and INT1 are not: rip still
 * points at them and they run again. If the exit is an exception of its own, it goes first. An NMI that has not arrived
 * does not block the next.
 */
void vmx_broken_delivery(struct vcpu *v)
{
	uint32_t event = (uint32_t)vmread(VMCS_VECTORING) & EVENT_BITS;
	unsigned kind = EVENT_KIND(event);

	if (kind >= EVENT_KIND_SOFT)
		return;
	if (v->exit.kind == HV_EXIT_EXCEPTION) {
		hold(v, event);
		return;
	}
	if (kind == EVENT_KIND_NMI)
		unblock_nmi();
	if (event & EVENT_HAS_ERROR)
		vmwrite(VMCS_ENTRY_ERROR, vmread(VMCS_VECTORING_ERROR));
	set_event(vmx_of(v), event);
}
