/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SVM: one stay in guest mode, and what its end means in neutral terms. One table by exit code: the neutral kind, the
 * opcode whose length may be needed, and a decoder where there is more to say.
 */
#include "hv/vcpu/svm_vmcb.h"
#include "hv/lib/string.h"

/* exit_info1 of IOIO (APM2 15.10.2) */
#define IOIO_IN (1u << 0)
#define IOIO_STRING (1u << 2)
#define IOIO_REP (1u << 3)

static inline void decode_pio(struct vcpu *v, const struct vmcb *b)
{
	uint32_t i = (uint32_t)b->exit_info1;

	v->exit.head = HV_EXIT_PIO;
	v->exit.len = (uint8_t)(b->exit_info2 - v->rip);
	v->exit.pio.port = (uint16_t)(i >> 16);
	v->exit.pio.width = i >> 4 & 7;
	v->exit.pio.in = i & IOIO_IN;
	v->exit.pio.string = i & IOIO_STRING;
	if (UNLIKELY(i & IOIO_STRING)) {
		v->exit.pio.rep = i & IOIO_REP;
		/* An emulator leaves these out; the segment is there with decode assists only. */
		v->exit.pio.addr_width = (uint8_t)((i >> 7 & 7) << 1);
		v->exit.pio.seg = svm_features.decode_assist ? i >> 10 & 7 : HV_SEGS;
	}
}

static void decode_msr(struct vcpu *v, const struct vmcb *b)
{
	bool write = b->exit_info1 & 1;

	v->exit.kind = write ? HV_EXIT_WRMSR : HV_EXIT_RDMSR;
	v->exit.opcode = write ? 0x0f30 : 0x0f32;
}

static void decode_npf(struct vcpu *v, const struct vmcb *b)
{
	uint64_t i = b->exit_info1;

	v->exit.kind = HV_EXIT_MMIO;
	v->exit.mmio.gpa = b->exit_info2;
	v->exit.mmio.write = i & NPF_WRITE;
	v->exit.mmio.fetch = i & NPF_FETCH;
	v->exit.mmio.present = i & NPF_PRESENT;
	v->exit.mmio.table = i & NPF_TABLE;
	v->exit.mmio.bytes_len = 0;
	if (svm_features.decode_assist) {
		v->exit.mmio.bytes_len = MIN(b->insn_len & 15u, 15u);
		memcpy(v->exit.mmio.bytes, b->insn_bytes, sizeof(v->exit.mmio.bytes));
	}
}

/* Only #DB, #AC and #MC are intercepted; their error code is 0 or none. */
static void decode_exception(struct vcpu *v, const struct vmcb *b)
{
	v->exit.exception.vector = (uint8_t)(b->exit_code - SVM_EXIT_EXCEPTION);
	v->exit.exception.has_error = v->exit.exception.vector == VECTOR_AC;
	v->exit.exception.error = (uint32_t)b->exit_info1;
	if (v->exit.exception.vector == VECTOR_DB && svm_stepped(v))
		v->exit.kind = HV_EXIT_WINDOW; /* the NMI may go in now */
}

static void decode_cr(struct vcpu *v, const struct vmcb *b)
{
	v->exit.cr.write = b->exit_code >= SVM_EXIT_CR0_WRITE;
	v->exit.cr.number = b->exit_code & 15;
	v->exit.cr.gpr = HV_GPRS; /* to be decoded */
	/* Bit 63: MOV, not one of the others (APM2 15.8.1). */
	if (svm_features.decode_assist && b->exit_info1 >> 63)
		v->exit.cr.gpr = b->exit_info1 & 15;
}

/* First touch of a debug register in this turn: the guest goes on and does it itself. */
static void decode_dr(struct vcpu *v, const struct vmcb *b)
{
	unsigned n = (unsigned)b->exit_code - SVM_EXIT_DR0_READ;

	if (svm_features.dr_leak)
		svm_dr_emulate(v, n & 15, n & 16);
	else
		svm_dr_load(svm_of(v));
}

#define HEAD(kind, opcode) ((uint64_t)(kind) | (uint64_t)(opcode) << 48)
_Static_assert(offsetof(struct vcpu_exit, kind) == 0 && offsetof(struct vcpu_exit, len) == 4 &&
		       offsetof(struct vcpu_exit, opcode) == 6,
	       "HEAD");

/* VMRUN of QEMU (seen in 7.2, read in later ones) forgets the shadow that STI casts over the next instruction: what waits
 * for its end would be delivered before. If that is HLT nobody would wake it, so it is carried out here. */
static void decode_interrupt(struct vcpu *v, const struct vmcb *b)
{
	if (UNLIKELY((b->int_state & INT_SHADOW) && cpu_features.tcg && !svm_features.next_rip))
		v->exit.head = HEAD(HV_EXIT_HLT, 0x00f4); /* if it is none it is run again */
}

static void decode_iret(struct vcpu *v, const struct vmcb *b)
{
	(void)b;
	svm_iret(v);
}

static void decode_rdpmc(struct vcpu *v, const struct vmcb *b)
{
	(void)b;
	v->exit.exception.vector = VECTOR_GP; /* no counters are shown */
}

static void decode_undefined(struct vcpu *v, const struct vmcb *b)
{
	(void)b;
	v->exit.exception.vector = VECTOR_UD;
}

static void decode_unexpected(struct vcpu *v, const struct vmcb *b)
{
	v->exit.raw = b->exit_code;
}

struct exit_code {
	uint64_t head; /* of struct vcpu_exit: kind and opcode; the length is found out later */
	void (*decode)(struct vcpu *v, const struct vmcb *b);
};

#define UNEXPECTED                                                                                 \
	{                                                                                          \
		HEAD(HV_EXIT_OTHER, 0), decode_unexpected                                          \
	} /* intercepts that are never set */
#define UNDEFINED                                                                                  \
	{                                                                                          \
		HEAD(HV_EXIT_UNDEFINED, 0), decode_undefined                                       \
	}
#define EXCEPTION                                                                                  \
	{                                                                                          \
		HEAD(HV_EXIT_EXCEPTION, 0), decode_exception                                       \
	}

static const struct exit_code exit_codes[SVM_EXIT_CODES] = {
	[0x00 ... 0x07] = UNEXPECTED,
	[SVM_EXIT_CR0_READ + 8] = {HEAD(HV_EXIT_CR, 0), decode_cr},
	[0x09 ... 0x17] = UNEXPECTED,
	[SVM_EXIT_CR0_WRITE + 8] = {HEAD(HV_EXIT_CR, 0), decode_cr},
	[0x19 ... 0x1f] = UNEXPECTED,
	[SVM_EXIT_DR0_READ... SVM_EXIT_DR_LAST] = {HEAD(HV_EXIT_DESC, 0), decode_dr},
	[0x40] = UNEXPECTED,
	[SVM_EXIT_EXCEPTION + VECTOR_DB] = EXCEPTION,
	[0x42 ... 0x50] = UNEXPECTED,
	[SVM_EXIT_EXCEPTION + VECTOR_AC] = EXCEPTION,
	[SVM_EXIT_EXCEPTION + VECTOR_MC] = EXCEPTION,
	[0x53 ... 0x5f] = UNEXPECTED,
	[SVM_EXIT_INTR] = {HEAD(HV_EXIT_INTR, 0), decode_interrupt},
	[SVM_EXIT_NMI] = {HEAD(HV_EXIT_INTR, 0), NULL},
	[0x62 ... 0x63] = UNEXPECTED,
	[SVM_EXIT_VINTR] = {HEAD(HV_EXIT_WINDOW, 0), NULL},
	[0x65 ... 0x6e] = UNEXPECTED,
	[SVM_EXIT_RDPMC] = {HEAD(HV_EXIT_UNDEFINED, 0), decode_rdpmc},
	[0x70 ... 0x71] = UNEXPECTED,
	[SVM_EXIT_CPUID] = {HEAD(HV_EXIT_CPUID, 0x0fa2), NULL},
	[0x73] = UNEXPECTED,
	[SVM_EXIT_IRET] = {HEAD(HV_EXIT_WINDOW, 0), decode_iret},
	[0x75] = UNEXPECTED,
	[SVM_EXIT_INVD] = {HEAD(HV_EXIT_CACHE, 0x0f08), NULL},
	[SVM_EXIT_PAUSE] = {HEAD(HV_EXIT_PAUSE, 0xf390), NULL},
	[SVM_EXIT_HLT] = {HEAD(HV_EXIT_HLT, 0x00f4), NULL},
	[0x79] = UNEXPECTED,
	[SVM_EXIT_INVLPGA] = UNDEFINED,
	[SVM_EXIT_IOIO] = UNEXPECTED, /* translate */
	[SVM_EXIT_MSR] = {HEAD(HV_EXIT_RDMSR, 0), decode_msr},
	[0x7d] = UNEXPECTED,
	[SVM_EXIT_FERR_FREEZE] = {HEAD(HV_EXIT_INTR, 0), NULL},
	[SVM_EXIT_SHUTDOWN] = {HEAD(HV_EXIT_SHUTDOWN, 0), NULL},
	[SVM_EXIT_VMRUN] = UNDEFINED,
	[SVM_EXIT_VMMCALL] = {HEAD(HV_EXIT_HYPERCALL, 0x01d9), NULL},
	[SVM_EXIT_VMMCALL + 1 ... SVM_EXIT_SKINIT] = UNDEFINED,
	[0x87 ... 0x88] = UNEXPECTED,
	[SVM_EXIT_WBINVD] = {HEAD(HV_EXIT_CACHE, 0x0f09), NULL},
	[SVM_EXIT_MONITOR... SVM_EXIT_MWAIT_ARMED] = UNDEFINED,
	[SVM_EXIT_XSETBV] = {HEAD(HV_EXIT_XSETBV, 0x01d1), NULL},
	[SVM_EXIT_RDPRU] = UNDEFINED,
	[0x8f] = UNEXPECTED,
};

static void translate_far(struct vcpu *v, struct vmcb *b, uint32_t code)
{
	v->exit.head = HEAD(code == SVM_EXIT_INVALID ? HV_EXIT_INVALID : HV_EXIT_OTHER, 0);
	if (LIKELY(code == SVM_EXIT_NPF))
		decode_npf(v, b);
	else
		decode_unexpected(v, b);
}

/* Next-RIP is valid for intercepted instructions (APM2 15.7.1). */
static inline uint8_t known_len(struct vcpu *v, const struct vmcb *b)
{
	if (svm_features.next_rip)
		return (uint8_t)(b->next_rip - v->rip);
	return vcpu_insn_len_known(v, b->cr3, v->exit.opcode);
}

static inline void translate(struct vcpu *v, struct vmcb *b, uint32_t code)
{
	const struct exit_code *e = &exit_codes[code];

	if (code == SVM_EXIT_IOIO) {
		decode_pio(v, b);
		return;
	}
	v->exit.head = e->head;
	if (e->decode)
		e->decode(v, b);
	if (v->exit.opcode)
		v->exit.len = known_len(v, b);
}

/* Once after an entry that asked for something. */
static void settle(struct svm_vcpu *a)
{
	struct vmcb *b = a->vmcb;

	if (a->after & AFTER_INJECTION)
		b->event_inject = 0;
	if (a->after & AFTER_FLUSH)
		svm_flushed(a);
	if (svm_features.clean_bits)
		b->clean = CLEAN_ALL;
	a->after = 0;
}

/* Into the guest and back (svm_run.S). What comes back in the two registers is what went in; saying so spares the
 * compiler to keep copies. */
static inline __attribute__((always_inline)) struct svm_vcpu *enter(struct vcpu **v)
{
	uint64_t *gpr = (*v)->gpr;
	struct svm_vcpu *a = (*v)->arch;

	__asm__ volatile("call svm_enter"
			 : "+D"(gpr), "+S"(a)
			 :
			 : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13",
			   "r14", "r15", "cc", "memory");
	*v = CONTAINER_OF(gpr, struct vcpu, gpr);
	return a;
}

void svm_run(struct vcpu *v)
{
	struct svm_vcpu *a = enter(&v);
	struct vmcb *b = a->vmcb;
	uint32_t code;

	if (UNLIKELY(a->after))
		settle(a);
	code = (uint32_t)b->exit_code;
	if (LIKELY(code < SVM_EXIT_CODES))
		translate(v, b, code);
	else
		translate_far(v, b, code);
	/* Bit 31 first: an emulator leaves an old vector behind. */
	if (UNLIKELY(b->exit_int_info & EVENT_VALID))
		svm_broken_delivery(v);
}
