/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtual machine control block and its codes (APM2 appendix B and C), the vendor's part of a vCPU, and the offsets
 * that svm_run.S uses. Included by svm*.c and svm_run.S only.
 */
#ifndef HV_VCPU_SVM_VMCB_H
#define HV_VCPU_SVM_VMCB_H

/* Offsets for svm_run.S: from vcpu.gpr, into struct svm_vcpu, into the VMCB. */
#define V_RIP 128
#define V_RFLAGS 136
#define A_VMCB 0
#define A_VMCB_PA 8
#define A_HOST_PA 16
#define VMCB_SAVE_RFLAGS 0x570
#define VMCB_SAVE_RIP 0x578
#define VMCB_SAVE_RSP 0x5d8
#define VMCB_SAVE_RAX 0x5f8

#ifndef __ASSEMBLER__

#include "hv/vcpu/vcpu.h"

struct vmcb_segment {
	uint16_t selector, attr;
	uint32_t limit;
	uint64_t base;
};

struct vmcb {
	uint32_t intercept_cr;         /* 000: reads 0-15, writes 16-31 */
	uint32_t intercept_dr;         /* 004 */
	uint32_t intercept_exceptions; /* 008 */
	uint32_t intercept_misc1;      /* 00c */
	uint32_t intercept_misc2;      /* 010 */
	uint32_t intercept_misc3;      /* 014 */
	uint8_t reserved_018[0x3c - 0x18];
	uint16_t pause_threshold; /* 03c */
	uint16_t pause_count;     /* 03e */
	uint64_t iopm_base;       /* 040 */
	uint64_t msrpm_base;      /* 048 */
	uint64_t tsc_offset;      /* 050 */
	uint32_t asid;            /* 058 */
	uint32_t tlb_control;     /* 05c: bits 7:0 */
	uint32_t int_control;     /* 060: V_TPR, V_IRQ ... */
	uint32_t int_vector;      /* 064 */
	uint64_t int_state;       /* 068: bit 0 interrupt shadow */
	uint64_t exit_code;       /* 070 */
	uint64_t exit_info1;      /* 078 */
	uint64_t exit_info2;      /* 080 */
	uint64_t exit_int_info;   /* 088 */
	uint64_t nested_control;  /* 090 */
	uint64_t reserved_098[2];
	uint64_t event_inject; /* 0a8 */
	uint64_t nested_cr3;   /* 0b0 */
	uint64_t virt_ext;     /* 0b8 */
	uint32_t clean;        /* 0c0 */
	uint32_t reserved_0c4;
	uint64_t next_rip;      /* 0c8 */
	uint8_t insn_len;       /* 0d0: decode assist */
	uint8_t insn_bytes[15]; /* 0d1 */
	uint8_t reserved_0e0[0x400 - 0xe0];
	/* state save area, 400 */
	struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t reserved_4a0[0x4cb - 0x4a0];
	uint8_t cpl; /* 4cb */
	uint32_t reserved_4cc;
	uint64_t efer; /* 4d0 */
	uint8_t reserved_4d8[0x548 - 0x4d8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip; /* 548 .. 578 */
	uint8_t reserved_580[0x5d8 - 0x580];
	uint64_t rsp; /* 5d8 */
	uint64_t s_cet, ssp, isst;
	uint64_t rax;                                     /* 5f8 */
	uint64_t star, lstar, cstar, sfmask;              /* 600 */
	uint64_t kernel_gs_base;                          /* 620 */
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip; /* 628 */
	uint64_t cr2;                                     /* 640 */
	uint8_t reserved_648[0x668 - 0x648];
	uint64_t g_pat;  /* 668 */
	uint64_t dbgctl; /* 670 */
	uint8_t reserved_678[0x1000 - 0x678];
};
_Static_assert(sizeof(struct vmcb) == 0x1000, "a VMCB is a page");
_Static_assert(offsetof(struct vmcb, asid) == 0x58, "APM2 table B-1");
_Static_assert(offsetof(struct vmcb, exit_code) == 0x70, "APM2 table B-1");
_Static_assert(offsetof(struct vmcb, event_inject) == 0xa8, "APM2 table B-1");
_Static_assert(offsetof(struct vmcb, insn_bytes) == 0xd1, "APM2 table B-1");
_Static_assert(offsetof(struct vmcb, cpl) == 0x4cb, "APM2 table B-2");
_Static_assert(offsetof(struct vmcb, cr4) == 0x548, "APM2 table B-2");
_Static_assert(offsetof(struct vmcb, rflags) == VMCB_SAVE_RFLAGS, "svm_run.S");
_Static_assert(offsetof(struct vmcb, rip) == VMCB_SAVE_RIP, "svm_run.S");
_Static_assert(offsetof(struct vmcb, rsp) == VMCB_SAVE_RSP, "svm_run.S");
_Static_assert(offsetof(struct vmcb, rax) == VMCB_SAVE_RAX, "svm_run.S");
_Static_assert(offsetof(struct vmcb, cr2) == 0x640, "APM2 table B-2");
_Static_assert(offsetof(struct vmcb, g_pat) == 0x668, "APM2 table B-2");

/* intercept_misc1 */
#define SVM_INTR (1u << 0)
#define SVM_NMI (1u << 1)
#define SVM_VINTR (1u << 4)
#define SVM_RDPMC (1u << 15)
#define SVM_CPUID (1u << 18)
#define SVM_IRET (1u << 20)
#define SVM_INVD (1u << 22)
#define SVM_PAUSE (1u << 23)
#define SVM_HLT (1u << 24)
#define SVM_INVLPGA (1u << 26)
#define SVM_IOIO (1u << 27)
#define SVM_MSR (1u << 28)
#define SVM_FERR_FREEZE (1u << 30)
#define SVM_SHUTDOWN (1u << 31)
/* intercept_misc2 */
#define SVM_VMRUN (1u << 0)
#define SVM_VMMCALL (1u << 1)
#define SVM_VMLOAD (1u << 2)
#define SVM_VMSAVE (1u << 3)
#define SVM_STGI (1u << 4)
#define SVM_CLGI (1u << 5)
#define SVM_SKINIT (1u << 6)
#define SVM_WBINVD (1u << 9)
#define SVM_MONITOR (1u << 10)
#define SVM_MWAIT (1u << 11)
#define SVM_MWAIT_ARMED (1u << 12)
#define SVM_XSETBV (1u << 13)
#define SVM_RDPRU (1u << 14)

#define SVM_CR8_READ (1u << 8)
#define SVM_CR8_WRITE (1u << 24)

/* exit codes */
enum {
	SVM_EXIT_CR0_READ = 0x00,
	SVM_EXIT_CR0_WRITE = 0x10,
	SVM_EXIT_DR0_READ = 0x20,
	SVM_EXIT_DR_LAST = 0x3f,
	SVM_EXIT_EXCEPTION = 0x40,
	SVM_EXIT_INTR = 0x60,
	SVM_EXIT_NMI = 0x61,
	SVM_EXIT_VINTR = 0x64,
	SVM_EXIT_RDPMC = 0x6f,
	SVM_EXIT_CPUID = 0x72,
	SVM_EXIT_IRET = 0x74,
	SVM_EXIT_INVD = 0x76,
	SVM_EXIT_PAUSE = 0x77,
	SVM_EXIT_HLT = 0x78,
	SVM_EXIT_INVLPGA = 0x7a,
	SVM_EXIT_IOIO = 0x7b,
	SVM_EXIT_MSR = 0x7c,
	SVM_EXIT_FERR_FREEZE = 0x7e,
	SVM_EXIT_SHUTDOWN = 0x7f,
	SVM_EXIT_VMRUN = 0x80,
	SVM_EXIT_VMMCALL = 0x81,
	SVM_EXIT_SKINIT = 0x86,
	SVM_EXIT_WBINVD = 0x89,
	SVM_EXIT_MONITOR = 0x8a,
	SVM_EXIT_MWAIT_ARMED = 0x8c,
	SVM_EXIT_XSETBV = 0x8d,
	SVM_EXIT_RDPRU = 0x8e,
	SVM_EXIT_CODES = 0x90,
	SVM_EXIT_NPF = 0x400,
};
#define SVM_EXIT_INVALID 0xffffffffu /* low half: an emulator clears the upper one */

/* int_control */
#define V_IRQ (1u << 8)
#define V_PRIO_HIGHEST (0xfu << 16)
#define V_IGN_TPR (1u << 20)
#define V_INTR_MASKING (1u << 24)

#define INT_SHADOW 1ull

/* event_inject, exit_int_info (APM2 15.20) */
#define EVENT_VECTOR(e) ((uint8_t)(e))
#define EVENT_KIND(e) ((unsigned)((e) >> 8 & 7))
enum { EVENT_KIND_INTR = 0, EVENT_KIND_NMI = 2, EVENT_KIND_EXCEPTION = 3, EVENT_KIND_SOFT = 4 };
#define EVENT_HAS_ERROR (1ull << 11)
#define EVENT_VALID (1ull << 31)

#define DR6_BS (1ull << 14)

/* clean bits (APM2 15.15.3) */
#define CLEAN_INTERCEPTS (1u << 0)
#define CLEAN_ASID (1u << 2)
#define CLEAN_INT (1u << 3)
#define CLEAN_CR (1u << 5)
#define CLEAN_DR (1u << 6)
#define CLEAN_SEG (1u << 8)
#define CLEAN_CR2 (1u << 9)
#define CLEAN_ALL 0x3ffu

#define TLB_FLUSH_ALL 1u
#define TLB_FLUSH_GUEST 3u

/* exit_info1 of a nested page fault (APM2 15.25.6) */
#define NPF_PRESENT (1ull << 0)
#define NPF_WRITE (1ull << 1)
#define NPF_FETCH (1ull << 4)
#define NPF_TABLE (1ull << 33)

/* What must be done once after the next exit, tested as one word. */
enum { AFTER_INJECTION = 1, AFTER_FLUSH = 2, AFTER_DIRTY = 4 };

struct svm_vcpu {
	struct vmcb *vmcb; /* [owns] */
	hpa_t vmcb_pa;     /* [I] */
	hpa_t host_pa;     /* [p] this CPU's host state (VMSAVE), set by load */
	uint32_t after;    /* [p] AFTER_* */
	bool window;       /* [p] an interrupt window is asked for */
	bool dr_live;      /* [p] the CPU's DR0-3 are the guest's */
	bool nmi_blocked;  /* [p] in an NMI handler, until its IRET */
	bool nmi_iret;     /* [p] that IRET exited, and has run once rip is elsewhere */
	bool stepping;     /* [p] over that IRET, for an NMI that waits */
	uint64_t iret_rip;
	unsigned cpu; /* [p] where it ran last; ~0: nowhere */
	uint32_t asid_generation;
	uint64_t dr[4];   /* [p] while !dr_live */
	uint64_t tsc_aux; /* [p] */
};
_Static_assert(offsetof(struct svm_vcpu, vmcb) == A_VMCB, "svm_run.S");
_Static_assert(offsetof(struct svm_vcpu, vmcb_pa) == A_VMCB_PA, "svm_run.S");
_Static_assert(offsetof(struct svm_vcpu, host_pa) == A_HOST_PA, "svm_run.S");
_Static_assert(sizeof(struct svm_vcpu) <= VCPU_ARCH_ROOM, "fits into struct vcpu");

_Static_assert(offsetof(struct vcpu, rip) - offsetof(struct vcpu, gpr) == V_RIP, "svm_run.S");
_Static_assert(offsetof(struct vcpu, rflags) - offsetof(struct vcpu, gpr) == V_RFLAGS, "svm_run.S");

/* Per CPU, behind cpu->vendor. */
struct svm_cpu {
	hpa_t host_pa; /* [I] [owns] page for VMSAVE of the host's own state */
	hpa_t save_pa; /* [I] [owns] VM_HSAVE_PA */
	uint32_t asid_generation, asid_next; /* [p] */
	bool flush_due; /* [p] the TLB still has translations of the generation before */
};

/* What the CPUs offer beyond the common ground, from the boot CPU (svm.c). */
struct svm_features {
	uint64_t efer; /* bits a guest may set */
	bool dr_leak;  /* QEMU: breakpoints a guest sets hit hv and programs too (svm_dr_emulate) */
	bool next_rip, decode_assist, clean_bits, flush_by_asid, pause_filter, pause_threshold,
		rdpru;
	uint32_t asids;
};
extern struct svm_features svm_features; /* [I] after probe */

static inline struct svm_vcpu *svm_of(struct vcpu *v)
{
	return v->arch;
}

/* Every change of a VMCB field that the CPU may cache goes with this. */
static inline void svm_dirty(struct svm_vcpu *a, uint32_t clean_bits)
{
	a->vmcb->clean &= ~clean_bits;
	a->after |= AFTER_DIRTY;
}

/* svm_asid.c */
void svm_asid_load(struct svm_vcpu *a, struct svm_cpu *s, unsigned cpu);
void svm_flush(struct vcpu *v);
void svm_npt_changed(struct vcpu *v);
void svm_flushed(struct svm_vcpu *a); /* after an entry that was to flush */

/* svm_exit.c */
void svm_run(struct vcpu *v);
/* svm_event.c */
bool svm_can_inject(struct vcpu *v, unsigned event_type);
void svm_inject(struct vcpu *v, const struct vcpu_event *e);
void svm_window(struct vcpu *v, unsigned event_type, bool wanted);
void svm_broken_delivery(struct vcpu *v);
void svm_block_nmi(struct svm_vcpu *a); /* until its IRET */
void svm_injected(struct svm_vcpu *a);  /* event_inject holds an event for the next entry */
void svm_iret(struct vcpu *v);
bool svm_stepped(struct vcpu *v);
/* svm_state.c */
void svm_reset(struct vcpu *v);
void svm_get(struct vcpu *v, struct hv_vcpu_regs *out);
void svm_set(struct vcpu *v, const struct hv_vcpu_regs *in);
void svm_get_rest(struct vcpu *v, struct hv_state_vcpu *out);
void svm_set_rest(struct vcpu *v, const struct hv_state_vcpu *in, uint64_t tsc_offset);
void svm_context(struct vcpu *v, struct vcpu_context *out);
void svm_segment(struct vcpu *v, enum hv_seg which, struct hv_segment *out);
void svm_skip(struct vcpu *v);
int svm_msr(struct vcpu *v, uint32_t msr, bool write, uint64_t *value);
void svm_dr_load(struct svm_vcpu *a);
void svm_dr_save(struct svm_vcpu *a);
void svm_dr_emulate(struct vcpu *v, unsigned number, bool write);

#endif
#endif
