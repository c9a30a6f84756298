/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Per-CPU state and what hv knows of the CPU's features. this_cpu() is gs:0.
 */
#ifndef HV_CPU_CPU_H
#define HV_CPU_CPU_H

#include "hv/lib/types.h"
#include "hv/mm/layout.h"

struct sched_ent;
struct prog;
struct vcpu;

struct cpu {
	struct cpu *self; /* [I] first: this_cpu() */
	uint64_t
		user_frame; /* [p] where the entry stub saves a program's registers (offset known to entry.S) */
	uint64_t kernel_rsp;  /* [p] hv's stack while a program runs (offset known to entry.S) */
	uint64_t scratch;     /* [p] entry.S */
	unsigned index;       /* [I] 0 = boot CPU */
	unsigned apic_id;     /* [I] */
	volatile bool online; /* [a] */
	bool need_resched;    /* [p] set by timers and IPIs; checked before each entry */
	bool hands_over; /* [p] the running program sleeps when its call is done: HVC_THEN_WAIT */
	struct sched_ent *current; /* [p] NULL: idle */
	uint64_t loaded_cr3;       /* [p] read by others to send a flush */
	void *fpu_owner;           /* [p] whose FPU state is in the registers, */
	uint64_t fpu_domain;       /* [p] and of which domain that is, as `domain` */
	void *vendor;              /* [p] SVM/VMX per-CPU pages */
	uint64_t idle_ns;          /* [p] */
	unsigned windows_open;     /* [p] */
	uint64_t domain; /* [p] whose traces its predictors and caches hold (speculation.h) */
	struct tss *tss; /* [owns] */
};
/* entry.S knows these four by number (hv/cpu/asm.h). */
_Static_assert(offsetof(struct cpu, user_frame) == 8 && offsetof(struct cpu, kernel_rsp) == 16 &&
		       offsetof(struct cpu, scratch) == 24,
	       "entry.S");

#ifdef HOST_TEST
struct cpu *this_cpu(void); /* the test's */
#else
static inline struct cpu *this_cpu(void)
{
	struct cpu *c;

	__asm__("mov %%gs:0, %0" : "=r"(c));
	return c;
}
#endif
extern struct cpu *cpus[HV_CPUS_MAX]; /* [I] after boot */
extern unsigned n_cpus;

/* Offered by the boot CPU; an AP that lacks one of them is not used. */
struct cpu_features {
	bool smep, smap, nx, page1g, x2apic, tsc_deadline, invariant_tsc, xsave, xsaveopt, rdtscp,
		rdrand, rdseed, pcid, fsgsbase, umip, svm, vmx, arat;
	unsigned phys_bits;
	uint64_t xcr0_mask;  /* valid XCR0 bits */
	unsigned xsave_size; /* bytes with all of them */
	uint32_t family, model, stepping;
	bool amd, intel; /* Hygon counts as AMD */
	bool tcg;        /* QEMU without hardware virtualization */
	bool tcg_care; /* and hv takes care of what that does wrong with interrupts, at a price that figures must not have */
	bool exact;    /* test.exact=1: figures are taken, hv takes no such care */
	char model_name[64];
};
extern struct cpu_features cpu_features;

/* Boot, in this order: the boot CPU's static state with exceptions reported on a static stack ... */
struct cpu *cpu_init_early(void);
/* ... what the CPU offers, and hv's own code adapted to it (before W^X is in force) ... */
void cpu_detect(void);
/* ... and, once its area is mapped: GDT, IDT, TSS, stacks, control registers, SYSCALL MSRs. Once on each CPU. */
void cpu_init(struct cpu *c);
/* State for one more CPU, not yet in cpus[]; NULL: no memory. */
struct cpu *cpu_alloc(unsigned index, unsigned apic_id);
/* What this CPU lacks of cpu_features, for people; NULL: nothing. */
const char *cpu_lacks(void);
/* Runs fn for good on another stack. */
NORETURN void cpu_run_on(uint64_t stack_top, void (*fn)(void));
uint64_t cpu_stack_top(const struct cpu *c); /* where hv's own frames begin */

/* FPU: state belongs to the entity (program or vCPU) that ran last; fpu_area is 64-aligned, cpu_features.xsave_size
 * bytes rounded up to pages. hv itself has no FPU state. fpu_switch saves the old owner's and loads the new one's. */
struct fpu {
	void *area;    /* [owns] hv pages */
	uint64_t xcr0; /* [p] value while the owner runs */
	int cpu;       /* [a] whose registers hold the state; -1: the area does */
};
int fpu_create(struct fpu *f, void *acct) MUST_CHECK; /* initial state, XCR0 = 1 */
void fpu_destroy(struct fpu *f, void *acct);          /* also forgets it on the CPU that holds it */
void fpu_switch(struct fpu *f, uint64_t domain);
void fpu_reset(struct fpu *f); /* to the initial state; its owner is not running */
/* An entity that will run on another CPU takes its state out of this one's registers first. */
void fpu_leave(struct fpu *f);

/* Random bytes: RDSEED/RDRAND mixed with the TSC. Good for canaries and seeds, not a CSPRNG. */
uint64_t cpu_random(void);

#endif
