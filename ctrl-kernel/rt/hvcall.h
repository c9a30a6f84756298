/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls as C functions. Each returns 0 or -HVE_xxx; *out gets the call's value and is untouched on error.
 * hv/abi/hv_abi.h says what each does.
 */
#ifndef RT_HVCALL_H
#define RT_HVCALL_H

#include <stddef.h>
#include <stdint.h>
#include "hv/abi/hv_abi.h"
#include "hv/abi/hv_vm.h"

struct hv_result {
	int64_t status;
	uint64_t value;
};

#ifdef HOST_TEST
struct hv_result hv_raw(uint64_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			uint64_t f); /* the test's own hypervisor */
#else
#ifdef HOST_TEST
/* The test is the hypervisor. */
struct hv_result hv_raw(uint64_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			uint64_t f);
#else
/* rt/hvcall.S would cost a call; the compiler places the registers. */
static inline struct hv_result hv_raw(uint64_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
				      uint64_t e, uint64_t f)
{
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;
	struct hv_result r;

	__asm__ volatile("syscall"
			 : "=a"(r.status), "+d"(c)
			 : "0"(n), "D"(a), "S"(b), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	r.value = c;
	return r;
}
#endif
#endif

static inline int hv_call(uint64_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			  uint64_t f, uint64_t *out)
{
	struct hv_result r = hv_raw(n, a, b, c, d, e, f);

	if (r.status == 0 && out)
		*out = r.value;
	return (int)r.status;
}

static inline int hv_log_write(const char *text, size_t len)
{
	return hv_call(HVC_LOG_WRITE, (uint64_t)(uintptr_t)text, len, 0, 0, 0, 0, NULL);
}
__attribute__((noreturn)) static inline void hv_exit(uint64_t code, const char *text, size_t len)
{
	for (;;)
		hv_raw(HVC_EXIT, code, (uint64_t)(uintptr_t)text, len, 0, 0, 0);
}
static inline uint64_t hv_event_wait(uint64_t deadline_ns)
{
	return hv_raw(HVC_EVENT_WAIT, deadline_ns, 0, 0, 0, 0, 0).value;
}
static inline int hv_event_post(uint32_t prog, uint64_t bits)
{
	return hv_call(HVC_EVENT_POST, prog, bits, 0, 0, 0, 0, NULL);
}
static inline uint64_t hv_time_now(void)
{
	return hv_raw(HVC_TIME_NOW, 0, 0, 0, 0, 0, 0).value;
}
static inline int hv_brk(uint64_t end, uint64_t *now)
{
	return hv_call(HVC_BRK, end, 0, 0, 0, 0, 0, now);
}
static inline int hv_handle_close(uint32_t h)
{
	return hv_call(HVC_HANDLE_CLOSE, h, 0, 0, 0, 0, 0, NULL);
}
static inline int hv_handle_grant(uint32_t prog, uint32_t h, uint32_t rights, uint64_t *there)
{
	return hv_call(HVC_HANDLE_GRANT, prog, h, rights, 0, 0, 0, there);
}
/* 0: off. Calling it again counts as coming to EVENT_WAIT. */
static inline int hv_heartbeat(uint64_t ns)
{
	return hv_call(HVC_HEARTBEAT, ns, 0, 0, 0, 0, 0, NULL);
}

static inline int hv_mem_create(uint32_t flags, uint64_t *mem)
{
	return hv_call(HVC_MEM_CREATE, flags, 0, 0, 0, 0, 0, mem);
}
static inline int hv_mem_grow(uint32_t mem, uint64_t pages, uint64_t *now)
{
	return hv_call(HVC_MEM_GROW, mem, pages, 0, 0, 0, 0, now);
}
/* By as many calls as it takes, to `pages` or -HVE_xxx; for objects small enough for one turn. */
static inline int hv_mem_grow_to(uint32_t mem, uint64_t pages)
{
	uint64_t now = 0, before;
	int r;

	do {
		before = now;
		r = hv_mem_grow(mem, pages, &now);
	} while (r == 0 && now < pages && now > before);
	return r || now >= pages ? r : -HVE_NOMEM;
}
static inline int hv_mem_map(uint32_t mem, uint64_t page_off, uint64_t pages, uint64_t va,
			     uint32_t prot)
{
	return hv_call(HVC_MEM_MAP, mem, page_off, pages, va, prot, 0, NULL);
}
static inline int hv_mem_unmap(uint64_t va, uint64_t pages)
{
	return hv_call(HVC_MEM_UNMAP, va, pages, 0, 0, 0, 0, NULL);
}
static inline int hv_mem_phys(uint32_t mem, uint64_t page_off, uint64_t *hpa)
{
	return hv_call(HVC_MEM_PHYS, mem, page_off, 0, 0, 0, 0, hpa);
}
static inline int hv_mem_spans(uint32_t mem, uint64_t page_off, struct hv_span *out, unsigned n,
			       uint64_t *written)
{
	return hv_call(HVC_MEM_SPANS, mem, page_off, (uint64_t)(uintptr_t)out, n, 0, 0, written);
}
static inline int hv_mem_fill(uint32_t mem, uint64_t page_off, uint64_t pages)
{
	return hv_call(HVC_MEM_FILL, mem, page_off, pages, 0, 0, 0, NULL);
}
/* *done: how many of them, from the first on, whatever it returns. */
static inline int hv_vm_release(uint32_t vm, const uint64_t *ranges, unsigned n, uint64_t *done)
{
	return hv_call(HVC_VM_RELEASE, vm, (uint64_t)(uintptr_t)ranges, n, 0, 0, 0, done);
}
static inline int hv_mem_info(uint32_t mem, uint64_t *pages_and_flags)
{
	return hv_call(HVC_MEM_INFO, mem, 0, 0, 0, 0, 0, pages_and_flags);
}

static inline int hv_mem_keep(uint32_t mem, unsigned slot)
{
	return hv_call(HVC_MEM_KEEP, mem, slot, 0, 0, 0, 0, NULL);
}
static inline int hv_mem_kept(unsigned slot, uint64_t *mem)
{
	return hv_call(HVC_MEM_KEPT, slot, 0, 0, 0, 0, 0, mem);
}

static inline int hv_mmio_map(uint64_t phys, uint64_t pages, uint64_t va)
{
	return hv_call(HVC_MMIO_MAP, phys, pages, va, 0, 0, 0, NULL);
}
static inline int hv_pci_read(uint32_t bdf, unsigned off, unsigned width, uint64_t *value)
{
	return hv_call(HVC_PCI_READ, bdf, off, width, 0, 0, 0, value);
}
static inline int hv_pci_write(uint32_t bdf, unsigned off, unsigned width, uint64_t value)
{
	return hv_call(HVC_PCI_WRITE, bdf, off, width, value, 0, 0, NULL);
}
static inline int hv_irq_bind_gsi(unsigned gsi, unsigned event_bit, uint32_t flags, uint64_t *irq)
{
	return hv_call(HVC_IRQ_BIND_GSI, gsi, event_bit, flags, 0, 0, 0, irq);
}
static inline int hv_irq_bind_msi(unsigned event_bit, struct hv_msi *msi, uint64_t *irq)
{
	return hv_call(HVC_IRQ_BIND_MSI, event_bit, (uint64_t)(uintptr_t)msi, 0, 0, 0, 0, irq);
}
static inline int hv_irq_ack(uint32_t irq)
{
	return hv_call(HVC_IRQ_ACK, irq, 0, 0, 0, 0, 0, NULL);
}
static inline int hv_host_power(uint32_t what)
{
	return hv_call(HVC_HOST_POWER, what, 0, 0, 0, 0, 0, NULL);
}
static inline int hv_host_info(struct hv_host_info *out)
{
	return hv_call(HVC_HOST_INFO, (uint64_t)(uintptr_t)out, sizeof(*out), 0, 0, 0, 0, NULL);
}

static inline int hv_vm_create(const struct hv_vm_create *in, uint64_t *vm)
{
	return hv_call(HVC_VM_CREATE, (uint64_t)(uintptr_t)in, 0, 0, 0, 0, 0, vm);
}
static inline int hv_vm_destroy(uint32_t vm)
{
	return hv_call(HVC_VM_DESTROY, vm, 0, 0, 0, 0, 0, NULL);
}
static inline int hv_vm_map(uint32_t vm, uint32_t mem, uint64_t page_off, uint64_t gpa,
			    uint64_t pages, uint32_t prot)
{
	return hv_call(HVC_VM_MAP, vm, mem, page_off, gpa, pages, prot, NULL);
}
static inline int hv_vm_attach(uint32_t vm, unsigned slot, uint32_t mem)
{
	return hv_call(HVC_VM_ATTACH, vm, slot, mem, 0, 0, 0, NULL);
}
static inline int hv_vm_slot(uint32_t vm, unsigned slot, uint64_t *mem)
{
	return hv_call(HVC_VM_SLOT, vm, slot, 0, 0, 0, 0, mem);
}
static inline int hv_vm_control(uint32_t vm, uint32_t what, uint64_t arg)
{
	return hv_call(HVC_VM_CONTROL, vm, what, arg, 0, 0, 0, NULL);
}
static inline int hv_vm_info(uint32_t vm, struct hv_vm_info *out)
{
	return hv_call(HVC_VM_INFO, vm, (uint64_t)(uintptr_t)out, sizeof(*out), 0, 0, 0, NULL);
}
static inline int hv_vm_console_in(uint32_t vm, const void *buf, size_t len, uint64_t *taken)
{
	return hv_call(HVC_VM_CONSOLE_IN, vm, (uint64_t)(uintptr_t)buf, len, 0, 0, 0, taken);
}
static inline int hv_vm_sched(uint32_t vm, uint32_t weight, uint32_t cap_percent)
{
	return hv_call(HVC_VM_SCHED, vm, weight, cap_percent, 0, 0, 0, NULL);
}
static inline int hv_vm_next(uint32_t above_id, uint64_t *vm)
{
	return hv_call(HVC_VM_NEXT, above_id, 0, 0, 0, 0, 0, vm);
}

static inline int hv_vm_notify(uint32_t vm, enum hv_notify what)
{
	return hv_call(HVC_VM_NOTIFY, vm, what, 0, 0, 0, 0, NULL);
}
static inline int hv_vm_adopt(uint32_t vm, const struct hv_vm_adopt *in, uint64_t *prog)
{
	return hv_call(HVC_VM_ADOPT, vm, (uint64_t)(uintptr_t)in, 0, 0, 0, 0, prog);
}

static inline int hv_vm_claim(uint32_t vm, uint32_t space, uint64_t base, uint64_t len,
			      uint32_t kind, uint32_t bit)
{
	return hv_call(HVC_VM_CLAIM, vm, space, base, len, kind, bit, NULL);
}
static inline int hv_vm_unclaim(uint32_t vm, uint32_t space, uint64_t base, uint64_t len)
{
	return hv_call(HVC_VM_UNCLAIM, vm, space, base, len, 0, 0, NULL);
}
static inline int hv_vm_irq_line(uint32_t vm, unsigned gsi, unsigned level)
{
	return hv_call(HVC_VM_IRQ_LINE, vm, gsi, level, 0, 0, 0, NULL);
}
static inline int hv_vm_msi(uint32_t vm, uint64_t address, uint32_t data)
{
	return hv_call(HVC_VM_MSI, vm, address, data, 0, 0, 0, NULL);
}
static inline int hv_vcpu_set(uint32_t vm, unsigned index, const struct hv_vcpu_regs *in)
{
	return hv_call(HVC_VCPU_SET, vm, index, (uint64_t)(uintptr_t)in, sizeof(*in), 0, 0, NULL);
}
static inline int hv_vcpu_get(uint32_t vm, unsigned index, struct hv_vcpu_regs *out)
{
	return hv_call(HVC_VCPU_GET, vm, index, (uint64_t)(uintptr_t)out, sizeof(*out), 0, 0, NULL);
}
static inline int hv_vm_save(uint32_t vm, unsigned index, void *out, uint64_t size)
{
	return hv_call(HVC_VM_SAVE, vm, index, (uint64_t)(uintptr_t)out, size, 0, 0, NULL);
}
static inline int hv_vm_load(uint32_t vm, unsigned index, const void *in, uint64_t size)
{
	return hv_call(HVC_VM_LOAD, vm, index, (uint64_t)(uintptr_t)in, size, 0, 0, NULL);
}
static inline int hv_vcpu_resume(uint32_t vm, unsigned index, uint64_t seq, uint64_t value)
{
	return hv_call(HVC_VCPU_RESUME, vm, index, seq, value, 0, 0, NULL);
}
static inline int hv_vm_reset(uint32_t vm)
{
	return hv_call(HVC_VM_RESET, vm, 0, 0, 0, 0, 0, NULL);
}

static inline int hv_prog_create(const struct hv_prog_create *in, uint64_t *prog)
{
	return hv_call(HVC_PROG_CREATE, (uint64_t)(uintptr_t)in, 0, 0, 0, 0, 0, prog);
}
static inline int hv_prog_start(uint32_t prog, const uint64_t *args, unsigned n)
{
	return hv_call(HVC_PROG_START, prog, (uint64_t)(uintptr_t)args, n, 0, 0, 0, NULL);
}
static inline int hv_prog_destroy(uint32_t prog)
{
	return hv_call(HVC_PROG_DESTROY, prog, 0, 0, 0, 0, 0, NULL);
}
static inline int hv_ctrl_replace(uint32_t mem, uint64_t bytes)
{
	return hv_call(HVC_CTRL_REPLACE, mem, bytes, 0, 0, 0, 0, NULL);
}
static inline int hv_ctrl_healthy(void)
{
	return hv_call(HVC_CTRL_HEALTHY, 0, 0, 0, 0, 0, 0, NULL);
}
/* n 0: the latest. */
static inline int hv_crash_info(uint64_t n, struct hv_crash *out)
{
	return hv_call(HVC_CRASH_INFO, n, (uint64_t)(uintptr_t)out, sizeof(*out), 0, 0, 0, NULL);
}
static inline int hv_prog_info(uint32_t prog, struct hv_prog_info *out)
{
	return hv_call(HVC_PROG_INFO, prog, (uint64_t)(uintptr_t)out, sizeof(*out), 0, 0, 0, NULL);
}

#endif
