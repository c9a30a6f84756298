/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The door from ring 3: number -> what it needs -> function. The table is the whole truth about which rights a call
 * asks for; docs/abi.md says it in words.
 */
#include "hv/prog/hypercall.h"

#define CALL(name, type, rights, prog_rights, lock)                                                \
	{                                                                                          \
		name, type, rights, prog_rights, lock, false                                       \
	}
/* HVC_THEN_WAIT may be added. */
#define CALL_THEN_WAIT(name, type, rights)                                                         \
	{                                                                                          \
		name, type, rights, 0, false, true                                                 \
	}
#define R_R HVR_READ
#define R_RUN HVR_RUN
#define R_OWN HVR_OWN

const struct hypercall hypercalls[HYPERCALLS] = {
	[HVC_ABI_VERSION] = CALL(hc_abi_version, 0, 0, 0, false),
	[HVC_LOG_WRITE] = CALL(hc_log_write, 0, 0, 0, false),
	[HVC_EXIT] = CALL(hc_exit, 0, 0, 0, false),
	[HVC_EVENT_WAIT] = CALL(hc_event_wait, 0, 0, 0, false),
	[HVC_EVENT_POST] = CALL_THEN_WAIT(hc_event_post, OBJECT_PROG, HVR_POST),
	[HVC_TIME_NOW] = CALL(hc_time_now, 0, 0, 0, false),
	[HVC_BRK] = CALL(hc_brk, 0, 0, 0, false),
	[HVC_HANDLE_CLOSE] = CALL(hc_handle_close, 0, 0, 0, false),
	[HVC_HANDLE_GRANT] = CALL(hc_handle_grant, OBJECT_PROG, HVR_GRANT, 0, false),
	[HVC_PROG_SELF] = CALL(hc_prog_self, 0, 0, 0, false),
	[HVC_HEARTBEAT] = CALL(hc_heartbeat, 0, 0, 0, false),

	[HVC_MEM_CREATE] = CALL(hc_mem_create, 0, 0, 0, false),
	[HVC_MEM_GROW] = CALL(hc_mem_grow, OBJECT_MEM, HVR_WRITE, 0, false),
	[HVC_MEM_MAP] = CALL(hc_mem_map, OBJECT_MEM, 0, 0, false),
	[HVC_MEM_UNMAP] = CALL(hc_mem_unmap, 0, 0, 0, false),
	[HVC_MEM_PHYS] = CALL(hc_mem_phys, OBJECT_MEM, R_R, HVPR_HW, false),
	[HVC_MEM_SPANS] = CALL(hc_mem_spans, OBJECT_MEM, R_R, HVPR_HW, false),
	[HVC_MEM_FILL] = CALL(hc_mem_fill, OBJECT_MEM, HVR_WRITE, 0, false),
	[HVC_MEM_INFO] = CALL(hc_mem_info, OBJECT_MEM, R_R, 0, false),
	[HVC_MEM_KEEP] = CALL(hc_mem_keep, 0, 0, HVPR_VM, true),
	[HVC_MEM_KEPT] = CALL(hc_mem_kept, 0, 0, HVPR_VM, true),

	[HVC_MMIO_MAP] = CALL(hc_mmio_map, 0, 0, HVPR_HW, false),
	[HVC_PCI_READ] = CALL(hc_pci_read, 0, 0, HVPR_HW, true),
	[HVC_PCI_WRITE] = CALL(hc_pci_write, 0, 0, HVPR_HW, true),
	[HVC_IRQ_BIND_GSI] = CALL(hc_irq_bind_gsi, 0, 0, HVPR_HW, true),
	[HVC_IRQ_BIND_MSI] = CALL(hc_irq_bind_msi, 0, 0, HVPR_HW, true),
	[HVC_IRQ_ACK] = CALL(hc_irq_ack, OBJECT_IRQ, 0, HVPR_HW, false),
	[HVC_HOST_POWER] = CALL(hc_host_power, 0, 0, HVPR_HW, false),
	[HVC_HOST_INFO] = CALL(hc_host_info, 0, 0, HVPR_HW, true),

	[HVC_VM_CREATE] = CALL(hc_vm_create, 0, 0, HVPR_VM, true),
	[HVC_VM_DESTROY] = CALL(hc_vm_destroy, OBJECT_VM, R_OWN, 0, false),
	[HVC_VM_MAP] = CALL(hc_vm_map, OBJECT_VM, R_OWN, 0, true),
	[HVC_VM_ATTACH] = CALL(hc_vm_attach, OBJECT_VM, R_OWN, 0, true),
	[HVC_VM_SLOT] = CALL(hc_vm_slot, OBJECT_VM, R_R, 0, true),
	[HVC_VM_CONTROL] = CALL(hc_vm_control, OBJECT_VM, R_RUN, 0, true),
	[HVC_VM_INFO] = CALL(hc_vm_info, OBJECT_VM, R_R, 0, true),
	[HVC_VM_CONSOLE_IN] = CALL(hc_vm_console_in, OBJECT_VM, HVR_WRITE, 0, true),
	[HVC_VM_SCHED] = CALL(hc_vm_sched, OBJECT_VM, R_OWN, 0, true),
	[HVC_VM_NEXT] = CALL(hc_vm_next, 0, 0, HVPR_VM, true),
	[HVC_VM_ADOPT] = CALL(hc_vm_adopt, OBJECT_VM, R_OWN, HVPR_VM, true),
	[HVC_VM_SAVE] = CALL(hc_vm_save, OBJECT_VM, R_OWN, 0, true),
	[HVC_VM_LOAD] = CALL(hc_vm_load, OBJECT_VM, R_OWN, 0, true),
	[HVC_VM_RELEASE] = CALL(hc_vm_release, OBJECT_VM, R_OWN, HVPR_HW, false),

	[HVC_VM_CLAIM] = CALL(hc_vm_claim, OBJECT_VM, R_RUN, 0, true),
	[HVC_VM_UNCLAIM] = CALL(hc_vm_unclaim, OBJECT_VM, R_RUN, 0, true),
	[HVC_VM_IRQ_LINE] = CALL(hc_vm_irq_line, OBJECT_VM, R_RUN, 0, false),
	[HVC_VM_MSI] = CALL_THEN_WAIT(hc_vm_msi, OBJECT_VM, R_RUN),
	[HVC_VCPU_SET] = CALL(hc_vcpu_set, OBJECT_VM, R_RUN, 0, true),
	[HVC_VCPU_GET] = CALL(hc_vcpu_get, OBJECT_VM, R_RUN, 0, true),
	[HVC_VCPU_RESUME] = CALL_THEN_WAIT(hc_vcpu_resume, OBJECT_VM, R_RUN),
	[HVC_VM_RESET] = CALL(hc_vm_reset, OBJECT_VM, R_RUN, 0, true),
	[HVC_VM_NOTIFY] = CALL_THEN_WAIT(hc_vm_notify, OBJECT_VM, R_RUN),

	[HVC_PROG_CREATE] = CALL(hc_prog_create, 0, 0, HVPR_VM, false),
	[HVC_PROG_START] = CALL(hc_prog_start, OBJECT_PROG, R_OWN, HVPR_VM, true),
	[HVC_PROG_DESTROY] = CALL(hc_prog_destroy, OBJECT_PROG, R_OWN, HVPR_VM, false),
	[HVC_PROG_INFO] = CALL(hc_prog_info, OBJECT_PROG, R_R, 0, true),
	[HVC_CRASH_INFO] = CALL(hc_crash_info, 0, 0, HVPR_HW, false),

	[HVC_CTRL_REPLACE] = CALL(hc_ctrl_replace, OBJECT_MEM, R_R, HVPR_HW | HVPR_VM, false),
	[HVC_CTRL_HEALTHY] = CALL(hc_ctrl_healthy, 0, 0, HVPR_HW | HVPR_VM, false),
};

static int locked_call(struct prog *p, const struct hypercall *h)
{
	int err;

	spin_lock(&hv_lock);
	err = h->fn(p, p->object, &p->value);
	spin_unlock(&hv_lock);
	return err;
}

static int call(struct prog *p, const struct hypercall *h)
{
	if (UNLIKELY(!h->fn))
		return -HVE_NOSYS;
	if (UNLIKELY((p->rights & h->prog_rights) != h->prog_rights))
		return -HVE_RIGHTS;
	if (h->type) {
		int err = handle_find(p, arg0(p), h->type, h->rights, &p->object);

		if (UNLIKELY(err != 0))
			return err;
	}
	return h->needs_lock ? locked_call(p, h) : h->fn(p, p->object, &p->value);
}

/* Whom it wakes goes on here, for the caller is about to sleep. */
static int call_then_wait(struct prog *p, const struct hypercall *h)
{
	struct cpu *c = this_cpu();
	int err;

	if (UNLIKELY(!h->may_wait))
		return -HVE_NOSYS;
	c->hands_over = true;
	err = call(p, h);
	c->hands_over = false;
	if (LIKELY(err == 0))
		event_wait(p, arg5(p), &p->value);
	return err;
}

void hypercall(struct prog *p)
{
	uint64_t n = p->regs.rax;
	const struct hypercall
		*h = &hypercalls[n & (HYPERCALLS - 1)]; /* masked: in speculation too */
	int err = -HVE_NOSYS;

	p->value = 0;
	if (LIKELY(n < HYPERCALLS))
		err = call(p, h);
	else if (LIKELY(n < HYPERCALLS + HVC_THEN_WAIT))
		err = call_then_wait(p, h);
	p->regs.rax = (uint64_t)(int64_t)err;
	p->regs.rdx = LIKELY(err == 0) ? p->value : 0;
}
