/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMCS fields, controls and exit reasons (SDM3 appendix A to C, chapter 25), the vendor's part of a vCPU, and the
 * offsets that vmx_run.S uses. Included by vmx*.c and vmx_run.S only.
 *
 * A VMCS is the CPU's from VMPTRLD to VMCLEAR: the CPU may keep it in itself, and no other CPU may load it then. So
 * with more than one CPU it is cleared at the end of each turn; between turns anyone may load it for a moment
 * (vmx_open). With one CPU it stays where it is.
 */
#ifndef HV_VCPU_VMX_VMCS_H
#define HV_VCPU_VMX_VMCS_H

/* Offsets for vmx_run.S: into struct vmx_vcpu. */
#define A_HOST_RSP 0
#define A_LAUNCHED 8
#define A_FAILED 9
#define VMCS_HOST_RSP 0x6c14

#ifndef __ASSEMBLER__

#include "hv/vcpu/vcpu.h"

/* SDM3 appendix B. Segment fields: the ES one + 2 * enum hv_seg. */
enum vmcs_field {
	VMCS_VPID = 0x0000,
	VMCS_POSTED_VECTOR = 0x0002,
	VMCS_GUEST_SELECTOR = 0x0800,
	VMCS_INTERRUPT_STATUS = 0x0810,
	VMCS_HOST_ES = 0x0c00,
	VMCS_HOST_CS = 0x0c02,
	VMCS_HOST_SS = 0x0c04,
	VMCS_HOST_DS = 0x0c06,
	VMCS_HOST_FS = 0x0c08,
	VMCS_HOST_GS = 0x0c0a,
	VMCS_HOST_TR = 0x0c0c,
	VMCS_MSR_BITMAP = 0x2004,
	VMCS_TSC_OFFSET = 0x2010,
	VMCS_VIRTUAL_APIC = 0x2012,
	VMCS_POSTED_DESCRIPTOR = 0x2016,
	VMCS_EPTP = 0x201a,
	VMCS_EOI_EXITS = 0x201c, /* four, 2 apart */
	VMCS_ENCLS_BITMAP = 0x202e,
	VMCS_GUEST_PHYSICAL = 0x2400,
	VMCS_LINK = 0x2800,
	VMCS_GUEST_DEBUGCTL = 0x2802,
	VMCS_GUEST_PAT = 0x2804,
	VMCS_GUEST_EFER = 0x2806,
	VMCS_GUEST_PDPTE = 0x280a, /* four, 2 apart */
	VMCS_HOST_PAT = 0x2c00,
	VMCS_HOST_EFER = 0x2c02,
	VMCS_PIN = 0x4000,
	VMCS_PROC = 0x4002,
	VMCS_EXCEPTIONS = 0x4004,
	VMCS_PF_MASK = 0x4006,
	VMCS_PF_MATCH = 0x4008,
	VMCS_CR3_TARGETS = 0x400a,
	VMCS_EXIT = 0x400c,
	VMCS_EXIT_MSR_STORES = 0x400e,
	VMCS_EXIT_MSR_LOADS = 0x4010,
	VMCS_ENTRY = 0x4012,
	VMCS_ENTRY_MSR_LOADS = 0x4014,
	VMCS_ENTRY_EVENT = 0x4016,
	VMCS_ENTRY_ERROR = 0x4018,
	VMCS_TPR_THRESHOLD = 0x401c,
	VMCS_PROC2 = 0x401e,
	VMCS_PLE_GAP = 0x4020,
	VMCS_PLE_WINDOW = 0x4022,
	VMCS_INSN_ERROR = 0x4400,
	VMCS_REASON = 0x4402,
	VMCS_EXIT_EVENT = 0x4404,
	VMCS_EXIT_ERROR = 0x4406,
	VMCS_VECTORING = 0x4408,
	VMCS_VECTORING_ERROR = 0x440a,
	VMCS_INSN_LEN = 0x440c,
	VMCS_INSN_INFO = 0x440e,
	VMCS_GUEST_LIMIT = 0x4800,
	VMCS_GUEST_GDTR_LIMIT = 0x4810,
	VMCS_GUEST_IDTR_LIMIT = 0x4812,
	VMCS_GUEST_RIGHTS = 0x4814,
	VMCS_INTERRUPTIBILITY = 0x4824,
	VMCS_ACTIVITY = 0x4826,
	VMCS_GUEST_SYSENTER_CS = 0x482a,
	VMCS_PREEMPTION = 0x482e,
	VMCS_HOST_SYSENTER_CS = 0x4c00,
	VMCS_CR0_MASK = 0x6000,
	VMCS_CR4_MASK = 0x6002,
	VMCS_CR0_SHADOW = 0x6004,
	VMCS_CR4_SHADOW = 0x6006,
	VMCS_QUALIFICATION = 0x6400,
	VMCS_GUEST_CR0 = 0x6800,
	VMCS_GUEST_CR3 = 0x6802,
	VMCS_GUEST_CR4 = 0x6804,
	VMCS_GUEST_BASE = 0x6806,
	VMCS_GUEST_GDTR_BASE = 0x6816,
	VMCS_GUEST_IDTR_BASE = 0x6818,
	VMCS_GUEST_DR7 = 0x681a,
	VMCS_GUEST_RSP = 0x681c,
	VMCS_GUEST_RIP = 0x681e,
	VMCS_GUEST_RFLAGS = 0x6820,
	VMCS_PENDING_DEBUG = 0x6822,
	VMCS_GUEST_SYSENTER_ESP = 0x6824,
	VMCS_GUEST_SYSENTER_EIP = 0x6826,
	VMCS_HOST_CR0 = 0x6c00,
	VMCS_HOST_CR3 = 0x6c02,
	VMCS_HOST_CR4 = 0x6c04,
	VMCS_HOST_FS_BASE = 0x6c06,
	VMCS_HOST_GS_BASE = 0x6c08,
	VMCS_HOST_TR_BASE = 0x6c0a,
	VMCS_HOST_GDTR_BASE = 0x6c0c,
	VMCS_HOST_IDTR_BASE = 0x6c0e,
	VMCS_HOST_SYSENTER_ESP = 0x6c10,
	VMCS_HOST_SYSENTER_EIP = 0x6c12,
	VMCS_HOST_RIP = 0x6c16,
};
#define VMCS_SEGMENT(field, seg) ((enum vmcs_field)((field) + 2 * (unsigned)(seg)))

/* Controls (SDM3 25.6.1, 25.6.2, 25.7.1, 25.8.1). */
#define PIN_INTERRUPT (1u << 0)
#define PIN_NMI (1u << 3)
#define PIN_VIRTUAL_NMI (1u << 5)
#define PIN_PREEMPTION (1u << 6)
#define PIN_POSTED (1u << 7)
#define PROC_INTERRUPT_WINDOW (1u << 2)
#define PROC_TSC_OFFSET (1u << 3)
#define PROC_HLT (1u << 7)
#define PROC_INVLPG (1u << 9)
#define PROC_MWAIT (1u << 10)
#define PROC_RDPMC (1u << 11)
#define PROC_CR3_LOAD (1u << 15)
#define PROC_CR3_STORE (1u << 16)
#define PROC_CR8_LOAD (1u << 19)
#define PROC_CR8_STORE (1u << 20)
#define PROC_TPR_SHADOW (1u << 21)
#define PROC_NMI_WINDOW (1u << 22)
#define PROC_MOV_DR (1u << 23)
#define PROC_IO (1u << 24)
#define PROC_MSR_BITMAP (1u << 28)
#define PROC_MONITOR (1u << 29)
#define PROC_SECONDARY (1u << 31)
#define PROC2_EPT (1u << 1)
#define PROC2_RDTSCP (1u << 3)
#define PROC2_X2APIC (1u << 4)
#define PROC2_VPID (1u << 5)
#define PROC2_WBINVD (1u << 6)
#define PROC2_UNRESTRICTED (1u << 7)
#define PROC2_APIC_REGISTERS (1u << 8)
#define PROC2_INTERRUPT_DELIVERY (1u << 9)
#define PROC2_APIC (PROC2_X2APIC | PROC2_APIC_REGISTERS | PROC2_INTERRUPT_DELIVERY)
#define PROC2_PAUSE_LOOP (1u << 10)
#define PROC2_INVPCID (1u << 12)
#define PROC2_ENCLS (1u << 15)
#define EXIT_SAVE_DEBUG (1u << 2)
#define EXIT_HOST_64 (1u << 9)
#define EXIT_ACKNOWLEDGE (1u << 15)
#define EXIT_LOAD_PAT (1u << 19)
#define EXIT_SAVE_EFER (1u << 20)
#define EXIT_LOAD_EFER (1u << 21)
#define EXIT_SAVE_PREEMPTION (1u << 22)
#define ENTRY_LOAD_DEBUG (1u << 2)
#define ENTRY_GUEST_64 (1u << 9)
#define ENTRY_LOAD_PAT (1u << 14)
#define ENTRY_LOAD_EFER (1u << 15)

/* SDM3 appendix C */
enum vmx_reason {
	REASON_EXCEPTION = 0,
	REASON_INTERRUPT = 1,
	REASON_TRIPLE_FAULT = 2,
	REASON_INIT = 3,
	REASON_INTERRUPT_WINDOW = 7,
	REASON_NMI_WINDOW = 8,
	REASON_TASK_SWITCH = 9,
	REASON_CPUID = 10,
	REASON_GETSEC = 11,
	REASON_HLT = 12,
	REASON_INVD = 13,
	REASON_RDPMC = 15,
	REASON_VMCALL = 18,
	REASON_VMX_FIRST = 19,
	REASON_VMX_LAST = 27,
	REASON_CR = 28,
	REASON_DR = 29,
	REASON_IO = 30,
	REASON_RDMSR = 31,
	REASON_WRMSR = 32,
	REASON_BAD_STATE = 33,
	REASON_BAD_MSR = 34,
	REASON_MWAIT = 36,
	REASON_MONITOR = 39,
	REASON_PAUSE = 40,
	REASON_BAD_MC = 41,
	REASON_EOI = 45,
	REASON_EPT_VIOLATION = 48,
	REASON_EPT_MISCONFIG = 49,
	REASON_INVEPT = 50,
	REASON_PREEMPTION = 52,
	REASON_INVVPID = 53,
	REASON_WBINVD = 54,
	REASON_XSETBV = 55,
	REASON_APIC_WRITE = 56,
	REASON_VMFUNC = 59,
	REASON_ENCLS = 60,
	REASONS = 70,
};

/* Entry event, exit event, IDT vectoring (SDM3 25.8.3, 25.9.2, 25.9.3). */
#define EVENT_VECTOR(e) ((uint8_t)(e))
#define EVENT_KIND(e) ((unsigned)((e) >> 8 & 7))
enum {
	EVENT_KIND_INTR = 0,
	EVENT_KIND_NMI = 2,
	EVENT_KIND_EXCEPTION = 3,
	EVENT_KIND_SOFT = 4,
	EVENT_KIND_ICEBP = 5,
	EVENT_KIND_SOFT_EXCEPTION = 6
};
#define EVENT_HAS_ERROR (1u << 11)
#define EVENT_NMI_UNBLOCKED                                                                        \
	(1u << 12) /* exit event: the fault was IRET's, which had ended NMI blocking */
#define EVENT_VALID (1u << 31)
#define EVENT_BITS (EVENT_VALID | 0xfffu)

/* Interruptibility (SDM3 25.4.2). */
#define BLOCKED_STI 1u
#define BLOCKED_MOV_SS 2u
#define BLOCKED_NMI 8u

/* Access rights of a segment (SDM3 25.4.1). */
#define RIGHTS_LONG (1u << 13)
#define RIGHTS_BIG (1u << 14)
#define RIGHTS_UNUSABLE (1u << 16)

/* Qualification of an EPT violation (SDM3 28.2.1, table 28-7). */
#define EPT_Q_WRITE (1u << 1)
#define EPT_Q_FETCH (1u << 2)
#define EPT_Q_ALLOWED (7u << 3)
#define EPT_Q_LINEAR (1u << 7)
#define EPT_Q_FINAL (1u << 8) /* the access itself, not the walk to it */
#define EPT_Q_NMI_UNBLOCKED (1u << 12)

struct vmx_vcpu {
	uint64_t host_rsp;    /* [p] as in the VMCS; vmx_run.S */
	bool launched;        /* [p] VMRESUME, not VMLAUNCH; vmx_run.S */
	bool failed;          /* [p] the entry was refused before anything was loaded; vmx_run.S */
	bool injecting;       /* [p] entry_event waits for the next entry */
	bool dr_live;         /* [p] the CPU's debug registers are the guest's */
	bool breakpoints;     /* [p] while !dr_live: DR7 has some */
	uint32_t entry_event; /* [p] */
	void *vmcs;           /* [owns] hv's address; nobody but the CPU looks into it */
	hpa_t vmcs_pa;        /* [I] */
	void *apic_page;      /* [owns] virtual-APIC page; NULL: not offered */
	uint64_t eptp;        /* [I] */
	uint64_t rsp, rflags; /* [p] as in the VMCS: an entry writes what has changed */
	uint64_t host_cr3;    /* [p] as in the VMCS */
	uint32_t proc, proc2; /* [p] as in the VMCS */
	uint64_t cr0_seen,
		cr4_seen; /* [p] bits that hv keeps, as the guest sees them (vmx_state.c) */
	unsigned cpu;     /* [p] whose host state the VMCS has; ~0: none */
	uint32_t vpid_generation;
	uint16_t vpid;            /* [p] */
	uint64_t cr2, dr[4], dr6; /* [p] while it has no turn; dr, dr6: while !dr_live */
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base,
		tsc_aux; /* [p] kernel_gs_base: between turns */
};
_Static_assert(offsetof(struct vmx_vcpu, host_rsp) == A_HOST_RSP, "vmx_run.S");
_Static_assert(offsetof(struct vmx_vcpu, launched) == A_LAUNCHED, "vmx_run.S");
_Static_assert(offsetof(struct vmx_vcpu, failed) == A_FAILED, "vmx_run.S");
_Static_assert(sizeof(struct vmx_vcpu) <= VCPU_ARCH_ROOM, "fits into struct vcpu");

struct table_pointer { /* for LGDT and LIDT */
	uint16_t limit;
	uint64_t base;
} PACKED;

/* Per CPU, behind cpu->vendor. */
struct vmx_cpu {
	struct vmx_vcpu *current;            /* [p] whose VMCS is loaded; NULL: none */
	uint32_t vpid_generation, vpid_next; /* [p] */
	uint32_t ept_epoch;                  /* [p] of the last INVEPT */
	struct table_pointer gdtr;           /* [I] */
};

/* IA32_FEATURE_CONTROL (SDM3 24.7) */
#define FEATURE_LOCKED (1ull << 0)
#define FEATURE_VMXON (1ull << 2) /* outside SMX */

/* The capability registers (SDM3 appendix A) that decide, as read. */
struct vmx_caps {
	uint64_t feature_control, basic, pin, proc, proc2, exit, entry, ept_vpid, misc, cr0_fixed0,
		cr4_fixed0;
};

/* What this machine's VMX is used with, from the boot CPU (vmx_caps.c). */
struct vmx_features {
	uint32_t revision;
	uint32_t pin, proc, proc2, exit, entry; /* the controls all VMCSs have in common */
	uint64_t eptp_bits;
	bool ept_1g, invept_one, invvpid_one;
	bool apic;                 /* the CPU can keep an x2APIC (vmx_apic.c) */
	bool posted;               /* and takes posted interrupts */
	bool irq_leak;             /* and does not always wait for IF (vmx_apic.c) */
	bool insn_info;            /* INS and OUTS tell segment and address size */
	unsigned preemption_shift; /* the timer counts TSC ticks >> this */
};
extern struct vmx_features vmx_features; /* [I] after probe */

/* vmx_caps.c: pure. NULL: usable, else why not (for people). */
const char *vmx_caps_choose(const struct vmx_caps *in, struct vmx_features *out);

static inline struct vmx_vcpu *vmx_of(struct vcpu *v)
{
	return v->arch;
}

/* The current VMCS. A field that does not exist is a bug of ours: nothing is read, and a test sees it. */
static inline uint64_t vmread(enum vmcs_field field)
{
	uint64_t value;

	__asm__ volatile("vmread %1, %0" : "=r"(value) : "r"((uint64_t)field) : "cc");
	return value;
}

static inline void vmwrite(enum vmcs_field field, uint64_t value)
{
	__asm__ volatile("vmwrite %0, %1" : : "rm"(value), "r"((uint64_t)field) : "cc", "memory");
}

/* vmx.c: makes v's VMCS the current one of this CPU for a moment, if it is not already; the vCPU has no turn elsewhere.
 * close takes what open returned. */
bool vmx_open(struct vmx_vcpu *a);
void vmx_close(struct vmx_vcpu *a, bool opened);
/* The preemption timer of the current VMCS begins anew; it has run out. */
void vmx_safety_start(void);

/* vmx_tlb.c */
void vmx_tlb_enable(void); /* each CPU, when VMX comes on */
void vmx_tlb_load(struct vmx_vcpu *a, struct vmx_cpu *pc, bool moved);
void vmx_tlb_forget(
	struct vmx_vcpu *a); /* all translations of it, on every CPU, before its next turn there */
void vmx_flush(struct vcpu *v);
void vmx_npt_changed(struct vcpu *v);

/* vmx_exit.c */
void vmx_run(struct vcpu *v);
/* vmx_event.c */
bool vmx_can_inject(struct vcpu *v, unsigned event_type);
void vmx_inject(struct vcpu *v, const struct vcpu_event *e);
void vmx_window(struct vcpu *v, unsigned event_type, bool wanted);
void vmx_broken_delivery(struct vcpu *v);
void vmx_proc_change(struct vmx_vcpu *a, uint32_t clear, uint32_t set);
/* vmx_state.c */
void vmx_reset(struct vcpu *v);
void vmx_get(struct vcpu *v, struct hv_vcpu_regs *out);
void vmx_set(struct vcpu *v, const struct hv_vcpu_regs *in);
void vmx_get_rest(struct vcpu *v, struct hv_state_vcpu *out);
void vmx_set_rest(struct vcpu *v, const struct hv_state_vcpu *in, uint64_t tsc_offset);
void vmx_context(struct vcpu *v, struct vcpu_context *out);
void vmx_segment(struct vcpu *v, enum hv_seg which, struct hv_segment *out);
void vmx_skip(struct vcpu *v);
void vmx_cr_write(struct vcpu *v, unsigned number, uint64_t value);
void vmx_init_masks(void);
/* vmx_msr.c */
int vmx_msr(struct vcpu *v, uint32_t msr, bool write, uint64_t *value);
void vmx_msrs_load(struct vmx_vcpu *a);
void vmx_msrs_save(struct vmx_vcpu *a);
int vmx_make_msr_map(void);
void vmx_msr_open(uint8_t *map, uint32_t msr, bool write); /* it does not exit any more */
hpa_t vmx_msr_map(void);
/* vmx_apic.c */
const struct vendor_apic *vmx_apic_init(void);
int vmx_apic_create(struct vmx_vcpu *a, struct account *acct) MUST_CHECK;
void vmx_apic_destroy(struct vmx_vcpu *a, struct account *acct);
/* vmx_debug.c */
void vmx_dr_load(struct vmx_vcpu *a);
void vmx_dr_save(struct vmx_vcpu *a);
void vmx_dr6_set(struct vmx_vcpu *a, uint64_t bits);
void vmx_debug_exception(struct vcpu *v); /* #DB that exited: as if it had been raised */

#endif
#endif
