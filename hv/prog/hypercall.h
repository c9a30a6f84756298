/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside prog/: how a hypercall's function sees its call. The table in hypercall.c has checked the program's rights
 * and, where it names a type, that the first argument is a handle to such an object with the rights named.
 *
 * A function reads its arguments from the saved registers, checks all of them, then acts. It returns 0 or -HVE_xxx;
 * *value is what the caller gets on 0.
 */
#ifndef HV_PROG_HYPERCALL_H
#define HV_PROG_HYPERCALL_H

#include "hv/prog/handle.h"

typedef int hc_fn(struct prog *p, struct object *o, uint64_t *value);

struct hypercall {
	hc_fn *fn;           /* NULL: no such call */
	uint8_t type;        /* enum object_type of the first argument; 0: it is no handle */
	uint8_t rights;      /* HVR_* on that handle */
	uint8_t prog_rights; /* HVPR_* */
	bool needs_lock;     /* hv_lock */
	bool may_wait;       /* HVC_THEN_WAIT */
};
#define HYPERCALLS 128u /* a power of two above the last number */
_Static_assert(HYPERCALLS == HVC_THEN_WAIT, "a number without that bit is an index");
extern const struct hypercall hypercalls[HYPERCALLS];

static inline uint64_t arg0(const struct prog *p)
{
	return p->regs.rdi;
}
static inline uint64_t arg1(const struct prog *p)
{
	return p->regs.rsi;
}
static inline uint64_t arg2(const struct prog *p)
{
	return p->regs.rdx;
}
static inline uint64_t arg3(const struct prog *p)
{
	return p->regs.r10;
}
static inline uint64_t arg4(const struct prog *p)
{
	return p->regs.r8;
}
static inline uint64_t arg5(const struct prog *p)
{
	return p->regs.r9;
}

static inline struct mem *as_mem(struct object *o)
{
	return CONTAINER_OF(o, struct mem, obj);
}
static inline struct vm *as_vm(struct object *o)
{
	return CONTAINER_OF(o, struct vm, obj);
}
static inline struct prog *as_prog(struct object *o)
{
	return CONTAINER_OF(o, struct prog, obj);
}

/* The call's answer is a new handle to o; the caller's own count of o is not touched. */
static inline int answer_handle(struct prog *p, struct object *o, uint32_t rights, uint64_t *value)
{
	uint32_t h;
	int err = handle_add(p, o, rights, &h);

	if (err == 0)
		*value = h;
	return err;
}

/* hc_prog.c. The rest of EVENT_WAIT, when the event word is 0, is done when the program runs again (prog_wait). */
void event_wait(struct prog *p, uint64_t deadline_ns, uint64_t *value);
/* hc_mem.c. A mapping of [off, off + pages) of m at va needs no more entries than one call may write. */
int mem_range_check(struct mem *m, uint64_t page_off, uint64_t pages, uint64_t va) MUST_CHECK;
/* Handle rights that a protection needs; 0: not a valid protection. */
uint32_t rights_for(uint64_t prot);
unsigned pt_prot_of(uint64_t prot);

hc_fn hc_abi_version, hc_log_write, hc_exit, hc_event_wait, hc_event_post, hc_time_now, hc_brk,
	hc_handle_close, hc_handle_grant, hc_prog_self, hc_heartbeat;
hc_fn hc_mem_create, hc_mem_grow, hc_mem_map, hc_mem_unmap, hc_mem_phys, hc_mem_spans, hc_mem_fill,
	hc_mem_info, hc_mem_keep, hc_mem_kept;
hc_fn hc_mmio_map, hc_pci_read, hc_pci_write, hc_irq_bind_gsi, hc_irq_bind_msi, hc_irq_ack,
	hc_host_power, hc_host_info;
hc_fn hc_vm_create, hc_vm_destroy, hc_vm_map, hc_vm_attach, hc_vm_slot, hc_vm_control, hc_vm_info,
	hc_vm_console_in, hc_vm_sched, hc_vm_next, hc_vm_adopt, hc_vm_save, hc_vm_load,
	hc_vm_release;
hc_fn hc_vm_claim, hc_vm_unclaim, hc_vm_irq_line, hc_vm_msi, hc_vcpu_set, hc_vcpu_get,
	hc_vcpu_resume, hc_vm_reset, hc_vm_notify;
hc_fn hc_prog_create, hc_prog_start, hc_prog_destroy, hc_prog_info, hc_crash_info;
hc_fn hc_ctrl_replace, hc_ctrl_healthy;

#endif
