/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each kind of exit means: the table that the run loop goes through. Handlers finish the instruction (vendor->skip),
 * leave it to be run again, inject a fault, or end the VM. Port and memory accesses are in pio.c and mmio.c.
 */
#include "hv/vm/vm.h"
#include "hv/cpu/x86.h"
#include "hv/lib/log.h"

#define HIGH_HALF(v, r) ((v)->gpr[r] << 32)

static void exit_intr(struct vcpu *v)
{
	(void)v;
	irq_take_pending();
}

static void exit_cpuid(struct vcpu *v)
{
	if (UNLIKELY(!vcpu_insn_known(v)))
		return;
	vcpu_cpuid(v);
	vendor->skip(v);
}

/* The value stands in v->io, not on the stack: a local whose address is taken costs a canary on every exit. */
static void exit_rdmsr(struct vcpu *v)
{
	uint64_t *value = &v->io.value;

	if (UNLIKELY(!vcpu_insn_known(v)))
		return;
	if (UNLIKELY(vcpu_msr(v, (uint32_t)v->gpr[HV_RCX], false, value))) {
		vcpu_inject_fault(v, VECTOR_GP);
		return;
	}
	v->gpr[HV_RAX] = (uint32_t)*value;
	v->gpr[HV_RDX] = *value >> 32;
	vendor->skip(v);
}

static void exit_wrmsr(struct vcpu *v)
{
	uint64_t *value = &v->io.value;

	if (UNLIKELY(!vcpu_insn_known(v)))
		return;
	*value = (uint32_t)v->gpr[HV_RAX] | HIGH_HALF(v, HV_RDX);
	if (UNLIKELY(vcpu_msr(v, (uint32_t)v->gpr[HV_RCX], true, value)))
		vcpu_inject_fault(v, VECTOR_GP);
	else
		vendor->skip(v);
}

/* The run loop finds out whether something is pending already, and blocks if not. */
static void exit_hlt(struct vcpu *v)
{
	if (UNLIKELY(!vcpu_insn_known(v)))
		return;
	vendor->skip(v);
	v->halted = true;
	__atomic_fetch_or(&v->attention, ATT_IRQ, __ATOMIC_RELAXED);
}

/* Spinning on a lock, most likely for a vCPU that does not run: let others go first. */
static void exit_pause(struct vcpu *v)
{
	if (UNLIKELY(!vcpu_insn_known(v)))
		return;
	vendor->skip(v);
	this_cpu()->need_resched = true;
}

static void exit_window(struct vcpu *v)
{
	vendor->window(v, EVENT_INTR, false);
	__atomic_fetch_or(&v->attention, ATT_IRQ, __ATOMIC_RELAXED);
}

static void exit_hypercall(struct vcpu *v)
{
	if (UNLIKELY(!vcpu_insn_known(v)))
		return;
	if (pv_hypercall(v))
		vcpu_inject_fault(v, VECTOR_UD);
	else
		vendor->skip(v);
}

/* Where the CPU does not say which register. */
static bool decode_cr8(struct vcpu *v, uint8_t *gpr)
{
	struct vcpu_context c;
	uint8_t bytes[INSN_MAX];

	vendor->context(v, &c);
	v->exit.len = (uint8_t)insn_decode_cr8(bytes, vcpu_fetch_in(v, &c, bytes), c.mode, gpr);
	return v->exit.len != 0;
}

/* Only CR8 comes here: the task priority is the virtual APIC's. */
static void exit_cr(struct vcpu *v)
{
	uint8_t gpr = v->exit.cr.gpr;

	if (!v->exit.len && !decode_cr8(v, &gpr))
		return; /* changed under us: run it again */
	if (v->exit.cr.write && v->gpr[gpr] > 15) {
		vcpu_inject_fault(v, VECTOR_GP);
		return;
	}
	if (v->exit.cr.write)
		vlapic_set_cr8(v, v->gpr[gpr]);
	else
		v->gpr[gpr] = vlapic_cr8(v);
	vendor->skip(v);
}

#define MSR_MCG_STATUS 0x17au

/* #DB and #AC go back to the guest; a machine check ends it: what it computed last may be wrong. */
static void exit_exception(struct vcpu *v)
{
	struct vcpu_event e = {.type = EVENT_EXCEPTION,
			       .vector = v->exit.exception.vector,
			       .has_error = v->exit.exception.has_error,
			       .error = v->exit.exception.error};

	if (e.vector != VECTOR_MC) {
		vendor->inject(v, &e);
		return;
	}
	log_printf("machine check while %s was running; the hardware is failing", v->vm->name);
	if (msr_write_safe(MSR_MCG_STATUS, 0)) /* else the next one would shut the CPU down */
		log_printf("the machine-check status cannot be cleared");
	vm_crash(v->vm, HV_VMR_MACHINE_CHECK, v->rip);
}

/* WBINVD, INVD: guest RAM is coherent, and no device of a guest's can see stale lines. */
static void exit_cache(struct vcpu *v)
{
	if (LIKELY(vcpu_insn_known(v))) {
		vendor->skip(v);
		return;
	}
	v->exit.opcode ^= 1; /* 0f 08, 0f 09: QEMU 7.2 calls both by one name */
	if (vcpu_insn_len(v))
		vendor->skip(v);
}

#define XCR0_X87 (1ull << 0)
#define XCR0_SSE (1ull << 1)
#define XCR0_AVX (1ull << 2)
#define XCR0_AVX512 (7ull << 5)

/* SDM1 13.3: which combinations XSETBV takes, of what CPUID shows: others have rules of their own (AMX: both or none),
 * and hv itself would get the #GP. */
bool vcpu_xcr0_valid(uint64_t x)
{
	if (!(x & XCR0_X87) || (x & ~(cpu_features.xcr0_mask & XCR0_OFFERED)))
		return false;
	if ((x & XCR0_AVX) && !(x & XCR0_SSE))
		return false;
	return !(x & XCR0_AVX512) || ((x & XCR0_AVX512) == XCR0_AVX512 && (x & XCR0_AVX));
}

static void exit_xsetbv(struct vcpu *v)
{
	uint64_t value = (uint32_t)v->gpr[HV_RAX] | HIGH_HALF(v, HV_RDX);
	struct vcpu_context c;

	if (UNLIKELY(!vcpu_insn_known(v)))
		return;
	vendor->context(v, &c);
	if (!(c.cr4 & CR4_OSXSAVE) || !cpu_features.xsave) {
		vcpu_inject_fault(v, VECTOR_UD);
		return;
	}
	if (c.cpl || (uint32_t)v->gpr[HV_RCX] || !vcpu_xcr0_valid(value)) {
		vcpu_inject_fault(v, VECTOR_GP);
		return;
	}
	v->fpu.xcr0 = value;
	xsetbv(0, value);
	vendor->skip(v);
}

static void exit_undefined(struct vcpu *v)
{
	vcpu_inject_fault(v, v->exit.exception.vector);
}

static void exit_shutdown(struct vcpu *v)
{
	vm_crash(v->vm, HV_VMR_TRIPLE_FAULT, v->rip);
}

static void exit_invalid(struct vcpu *v)
{
	vm_crash(v->vm, HV_VMR_BAD_STATE, v->rip);
}

/* The CPU keeps the APIC and has taken the EOI; the IO-APIC waits for it. */
static void exit_eoi(struct vcpu *v)
{
	vioapic_eoi(v->vm, v->exit.exception.vector);
	if (vendor_apic->leaks) /* something may have waited behind it */
		__atomic_fetch_or(&v->attention, ATT_IRQ, __ATOMIC_RELAXED);
}

static void exit_apic_write(struct vcpu *v)
{
	vlapic_written(v, v->exit.apic_offset);
}

/* The vendor did what there was to do. */
static void exit_nothing(struct vcpu *v)
{
	(void)v;
}

static void exit_other(struct vcpu *v)
{
	vm_crash(v->vm, HV_VMR_BAD_STATE, v->exit.raw);
}

void (*const exit_table[HV_EXIT_KINDS])(struct vcpu *v) = {
	[HV_EXIT_INTR] = exit_intr,
	[HV_EXIT_CPUID] = exit_cpuid,
	[HV_EXIT_RDMSR] = exit_rdmsr,
	[HV_EXIT_WRMSR] = exit_wrmsr,
	[HV_EXIT_PIO] = exit_pio,
	[HV_EXIT_MMIO] = exit_mmio,
	[HV_EXIT_HLT] = exit_hlt,
	[HV_EXIT_PAUSE] = exit_pause,
	[HV_EXIT_WINDOW] = exit_window,
	[HV_EXIT_HYPERCALL] = exit_hypercall,
	[HV_EXIT_CR] = exit_cr,
	[HV_EXIT_EXCEPTION] = exit_exception,
	[HV_EXIT_CACHE] = exit_cache,
	[HV_EXIT_XSETBV] = exit_xsetbv,
	[HV_EXIT_UNDEFINED] = exit_undefined,
	[HV_EXIT_SHUTDOWN] = exit_shutdown,
	[HV_EXIT_INVALID] = exit_invalid,
	[HV_EXIT_INIT] = exit_other,
	[HV_EXIT_DESC] = exit_nothing,
	[HV_EXIT_OTHER] = exit_other,
	[HV_EXIT_EOI] = exit_eoi,
	[HV_EXIT_APIC_WRITE] = exit_apic_write,
};
