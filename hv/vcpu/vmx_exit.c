/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMX: one stay in guest mode, and what its end means in neutral terms. One table by exit reason: the neutral kind,
 * whether an instruction did it (then the CPU tells its length), and a decoder where there is more to say.
 */
#include "hv/vcpu/vmx_vmcs.h"
#include "hv/cpu/x86.h"
#include "hv/lib/log.h"
#include "hv/plat/plat.h"

/* Qualification of an I/O instruction (SDM3 table 28-5) and its information field (table 28-8). */
#define IO_WIDTH(q) ((uint8_t)(((q)&7) + 1))
#define IO_IN (1u << 3)
#define IO_STRING (1u << 4)
#define IO_REP (1u << 5)
#define IO_PORT(q) ((uint16_t)((q) >> 16))
#define INFO_ADDR_WIDTH(i) ((uint8_t)(2u << ((i) >> 7 & 7)))
#define INFO_SEGMENT(i) ((i) >> 15 & 7)

/* Qualification of a control-register access (SDM3 table 28-3). */
#define CR_NUMBER(q) ((uint8_t)((q)&15))
#define CR_KIND(q) ((unsigned)((q) >> 4 & 3))
#define CR_GPR(q) ((uint8_t)((q) >> 8 & 15))
enum { CR_KIND_WRITE = 0, CR_KIND_READ = 1 };

static __attribute__((noinline)) void decode_string(struct vcpu *v, uint32_t q)
{
	uint32_t info = vmx_features.insn_info ? (uint32_t)vmread(VMCS_INSN_INFO) : 0;

	v->exit.pio.rep = q & IO_REP;
	v->exit.pio.addr_width = vmx_features.insn_info ? INFO_ADDR_WIDTH(info) : 0;
	v->exit.pio.seg = vmx_features.insn_info ? INFO_SEGMENT(info) : HV_SEGS;
}

static inline void decode_pio(struct vcpu *v)
{
	uint32_t q = (uint32_t)vmread(VMCS_QUALIFICATION);

	v->exit.head = HV_EXIT_PIO;
	v->exit.len = (uint8_t)vmread(VMCS_INSN_LEN);
	v->exit.pio.port = IO_PORT(q);
	v->exit.pio.width = IO_WIDTH(q);
	v->exit.pio.in = q & IO_IN;
	v->exit.pio.string = q & IO_STRING;
	if (UNLIKELY(q & IO_STRING))
		decode_string(v, q);
}

/* The IRET that ended an NMI handler did not get through: it is still in there (SDM3 28.2.3). */
static void block_nmi(void)
{
	vmwrite(VMCS_INTERRUPTIBILITY, vmread(VMCS_INTERRUPTIBILITY) | BLOCKED_NMI);
}

static void decode_ept(struct vcpu *v)
{
	uint32_t q = (uint32_t)vmread(VMCS_QUALIFICATION);

	v->exit.mmio.gpa = vmread(VMCS_GUEST_PHYSICAL);
	v->exit.mmio.write = q & EPT_Q_WRITE;
	v->exit.mmio.fetch = q & EPT_Q_FETCH;
	v->exit.mmio.present = q & EPT_Q_ALLOWED;
	v->exit.mmio.table = (q & (EPT_Q_LINEAR | EPT_Q_FINAL)) == EPT_Q_LINEAR;
	v->exit.mmio.bytes_len = 0;
	if (UNLIKELY(vmread(VMCS_VECTORING) & EVENT_VALID))
		vmx_broken_delivery(v);
	else if (UNLIKELY(q & EPT_Q_NMI_UNBLOCKED))
		block_nmi();
}

/* The NMI has been taken by the exit: hv's handler runs now, and its IRET lets the next one through. */
static void host_nmi(struct vcpu *v)
{
	v->exit.kind = HV_EXIT_INTR;
	__asm__ volatile("int $2" : : : "memory");
}

/* Only #DB, #AC and #MC are intercepted. */
static void decode_exception(struct vcpu *v)
{
	uint32_t event = (uint32_t)vmread(VMCS_EXIT_EVENT);

	if (EVENT_KIND(event) == EVENT_KIND_NMI) {
		host_nmi(v);
		return;
	}
	v->exit.exception.vector = EVENT_VECTOR(event);
	v->exit.exception.has_error = event & EVENT_HAS_ERROR;
	v->exit.exception.error = (uint32_t)vmread(VMCS_EXIT_ERROR);
	if (v->exit.exception.vector == VECTOR_DB)
		vmx_debug_exception(v);
	if (UNLIKELY(vmread(VMCS_VECTORING) & EVENT_VALID))
		vmx_broken_delivery(v);
	else if (UNLIKELY(event & EVENT_NMI_UNBLOCKED))
		block_nmi();
}

/* Acknowledged by the exit: it is handled here, as the IDT would. */
static void decode_interrupt(struct vcpu *v)
{
	(void)v;
	irq_dispatch(EVENT_VECTOR(vmread(VMCS_EXIT_EVENT)));
}

static void decode_preemption(struct vcpu *v)
{
	(void)v;
	vmx_safety_start();
}

static void decode_nmi_window(struct vcpu *v)
{
	vmx_window(v, EVENT_NMI, false);
}

static void decode_cr(struct vcpu *v)
{
	uint32_t q = (uint32_t)vmread(VMCS_QUALIFICATION);
	uint64_t value = v->gpr[CR_GPR(q)];
	struct vcpu_context c;

	if (CR_NUMBER(q) == 8) {
		v->exit.kind = HV_EXIT_CR;
		v->exit.cr.number = 8;
		v->exit.cr.write = CR_KIND(q) == CR_KIND_WRITE;
		v->exit.cr.gpr = CR_GPR(q);
		return;
	}
	/* CR0 or CR4; CLTS and LMSW touch no bit that exits. */
	if (CR_KIND(q) != CR_KIND_WRITE)
		return;
	vmx_context(v, &c);
	vmx_cr_write(v, CR_NUMBER(q), c.mode == INSN_64 ? value : (uint32_t)value);
}

/* First touch of a debug register in this turn: the guest goes on and does it itself. */
static void decode_dr(struct vcpu *v)
{
	vmx_dr_load(vmx_of(v));
}

static void decode_rdpmc(struct vcpu *v)
{
	v->exit.exception.vector = VECTOR_GP; /* no counters are shown */
}

static void decode_eoi(struct vcpu *v)
{
	v->exit.exception.vector = (uint8_t)vmread(VMCS_QUALIFICATION);
}

/* A self-IPI with a vector below 16 (SDM3 30.5). The instruction is over. */
static void decode_apic_write(struct vcpu *v)
{
	v->exit.apic_offset = (uint16_t)(vmread(VMCS_QUALIFICATION) & 0xfff);
}

static void decode_undefined(struct vcpu *v)
{
	v->exit.exception.vector = VECTOR_UD;
}

static void decode_unexpected(struct vcpu *v)
{
	v->exit.raw = vmread(VMCS_REASON);
}

struct exit_reason {
	enum hv_exit_kind kind;
	bool insn; /* an instruction did it: its length is told */
	void (*decode)(struct vcpu *v);
};

#define UNEXPECTED                                                                                 \
	{                                                                                          \
		HV_EXIT_OTHER, false, decode_unexpected                                            \
	} /* controls that are never set, and what a guest cannot do */
#define UNDEFINED                                                                                  \
	{                                                                                          \
		HV_EXIT_UNDEFINED, false, decode_undefined                                         \
	}

static const struct exit_reason exit_reasons[REASONS] = {
	[REASON_EXCEPTION] = {HV_EXIT_EXCEPTION, false, decode_exception},
	[REASON_INTERRUPT] = {HV_EXIT_INTR, false, decode_interrupt},
	[REASON_TRIPLE_FAULT] = {HV_EXIT_SHUTDOWN, false, NULL},
	[REASON_INIT] = {HV_EXIT_INIT, false, decode_unexpected},
	[4 ... 6] = UNEXPECTED,
	[REASON_INTERRUPT_WINDOW] = {HV_EXIT_WINDOW, false, NULL},
	[REASON_NMI_WINDOW] = {HV_EXIT_DESC, false, decode_nmi_window},
	[REASON_TASK_SWITCH] = UNEXPECTED,
	[REASON_CPUID] = {HV_EXIT_CPUID, true, NULL},
	[REASON_GETSEC] = UNDEFINED,
	[REASON_HLT] = {HV_EXIT_HLT, true, NULL},
	[REASON_INVD] = {HV_EXIT_CACHE, true, NULL},
	[14] = UNEXPECTED,
	[REASON_RDPMC] = {HV_EXIT_UNDEFINED, false, decode_rdpmc},
	[16 ... 17] = UNEXPECTED,
	[REASON_VMCALL] = {HV_EXIT_HYPERCALL, true, NULL},
	[REASON_VMX_FIRST... REASON_VMX_LAST] = UNDEFINED,
	[REASON_CR] = {HV_EXIT_DESC, true, decode_cr},
	[REASON_DR] = {HV_EXIT_DESC, false, decode_dr},
	[REASON_IO] = UNEXPECTED, /* translate */
	[REASON_RDMSR] = {HV_EXIT_RDMSR, true, NULL},
	[REASON_WRMSR] = {HV_EXIT_WRMSR, true, NULL},
	[REASON_BAD_STATE... REASON_BAD_MSR] = {HV_EXIT_INVALID, false, NULL},
	[35] = UNEXPECTED,
	[REASON_MWAIT] = UNDEFINED,
	[37 ... 38] = UNEXPECTED,
	[REASON_MONITOR] = UNDEFINED,
	[REASON_PAUSE] = {HV_EXIT_PAUSE, true, NULL},
	[REASON_BAD_MC] = {HV_EXIT_INVALID, false, NULL},
	[42 ... 44] = UNEXPECTED,
	[REASON_EOI] = {HV_EXIT_EOI, false, decode_eoi},
	[46 ... 47] = UNEXPECTED,
	[REASON_EPT_VIOLATION] = {HV_EXIT_MMIO, false, decode_ept},
	[REASON_EPT_MISCONFIG] = UNEXPECTED,
	[REASON_INVEPT] = UNDEFINED,
	[51] = UNEXPECTED,
	[REASON_PREEMPTION] = {HV_EXIT_INTR, false, decode_preemption},
	[REASON_INVVPID] = UNDEFINED,
	[REASON_WBINVD] = {HV_EXIT_CACHE, true, NULL},
	[REASON_XSETBV] = {HV_EXIT_XSETBV, true, NULL},
	[REASON_APIC_WRITE] = {HV_EXIT_APIC_WRITE, false, decode_apic_write},
	[57 ... 58] = UNEXPECTED,
	[REASON_VMFUNC... REASON_ENCLS] = UNDEFINED,
	[61 ... 69] = UNEXPECTED,
};

static inline void translate(struct vcpu *v, uint32_t reason)
{
	const struct exit_reason *e = &exit_reasons[reason < REASONS ? reason : REASON_TASK_SWITCH];

	if (reason == REASON_IO) {
		decode_pio(v);
		return;
	}
	v->exit.head = e->kind;
	if (LIKELY(e->insn))
		v->exit.len = (uint8_t)vmread(VMCS_INSN_LEN);
	if (e->decode)
		e->decode(v);
}

/* Into the guest and back (vmx_run.S). What comes back in the two registers is what went in; saying so spares the
 * compiler to keep copies. */
static inline __attribute__((always_inline)) struct vmx_vcpu *enter(struct vcpu **v)
{
	uint64_t *gpr = (*v)->gpr;
	struct vmx_vcpu *a = (*v)->arch;

	__asm__ volatile("call vmx_enter"
			 : "+D"(gpr), "+S"(a)
			 :
			 : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13",
			   "r14", "r15", "cc", "memory");
	*v = CONTAINER_OF(gpr, struct vcpu, gpr);
	return a;
}

/* What hv changed since the exit. */
static inline void write_changes(struct vcpu *v, struct vmx_vcpu *a)
{
	vmwrite(VMCS_GUEST_RIP, v->rip);
	if (UNLIKELY(v->gpr[HV_RSP] != a->rsp))
		vmwrite(VMCS_GUEST_RSP, v->gpr[HV_RSP]);
	if (UNLIKELY(v->rflags != a->rflags))
		vmwrite(VMCS_GUEST_RFLAGS, v->rflags);
}

/* Nothing has been loaded: a control or host field is wrong, which is a bug of hv's, or the CPU lies about its VMX. */
static void refused(struct vcpu *v, struct vmx_vcpu *a)
{
	a->failed = a->injecting = false;
	v->exit.head = HV_EXIT_INVALID;
	v->exit.raw = vmread(VMCS_INSN_ERROR);
	log_printf("VM entry refused, error %llu", (unsigned long long)v->exit.raw);
}

void vmx_run(struct vcpu *v)
{
	struct vmx_vcpu *a;

	write_changes(v, v->arch);
	a = enter(&v);
	if (UNLIKELY(a->failed)) {
		refused(v, a);
		return;
	}
	a->injecting = false;
	v->rip = vmread(VMCS_GUEST_RIP);
	v->gpr[HV_RSP] = a->rsp = vmread(VMCS_GUEST_RSP);
	v->rflags = a->rflags = vmread(VMCS_GUEST_RFLAGS);
	translate(v, (uint16_t)vmread(VMCS_REASON));
}
