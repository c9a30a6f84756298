/* SPDX-License-Identifier: BSD-2-Clause */
/* Events go in when the CPU would take them: NMI and its blocking, interrupt shadow, task priority in CR8, single steps
 * and breakpoints over instructions that exit, and the faults of instructions guests do not have. */
#include "guest.h"

enum { VECTOR = 0x50, NOBODY = 0x1234 };
#define RFLAGS_TF 0x100ul
#define ICR_NMI_SELF 0x40400u

static volatile unsigned nmis, depth, deepest, irqs, steps;
static volatile uint64_t irq_rip, step_rips[8], hit_rip;
static volatile bool again;

static void on_nmi(uint64_t vector, struct frame *f)
{
	(void)vector;
	(void)f;
	if (++depth > deepest)
		deepest = depth;
	nmis++;
	if (again) {
		again = false;
		wrmsr(X2_ICR, ICR_NMI_SELF); /* waits for our IRET */
		inb(NOBODY);
	}
	depth--;
}

static void on_irq(uint64_t vector, struct frame *f)
{
	(void)vector;
	irqs++;
	irq_rip = f->rip;
	wrmsr(X2_EOI, 0);
}

static void on_debug(uint64_t vector, struct frame *f)
{
	uint64_t dr6;

	(void)vector;
	__asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
	if (dr6 & 0x4000) {
		if (steps < 8)
			step_rips[steps] = f->rip;
		steps++;
	}
	if (dr6 & 1) {
		hit_rip = f->rip;
		f->rflags |= 0x10000; /* RF: go on over it */
	}
	__asm__ volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ul));
}

static void test_nmi(void)
{
	uint64_t end = rdtsc() + 100000000;

	wrmsr(X2_ICR, ICR_NMI_SELF);
	while (nmis < 1 && rdtsc() < end)
		inb(NOBODY);
	check(nmis == 1, "%u NMIs instead of 1", nmis);
	again = true;
	wrmsr(X2_ICR, ICR_NMI_SELF);
	while (nmis < 3 &&
	       rdtsc() < end) /* no exit here: the one that waited comes right after IRET */
		pause();
	check(nmis == 3 && deepest == 1, "%u NMIs, %u deep", nmis, deepest);
}

static void test_shadow(void)
{
	uint64_t after;

	cli();
	wrmsr(X2_SELF, VECTOR);
	inb(NOBODY);
	check(irqs == 0, "an interrupt with IF=0");
	__asm__ volatile("sti\n\tinb %%dx, %%al\n\t1: lea 1b(%%rip), %0\n\tnop"
			 : "=r"(after)
			 : "d"(NOBODY)
			 : "rax", "memory");
	check(irqs == 1 && irq_rip == after, "interrupt at %lx, not behind the shadow %lx", irq_rip,
	      after);
}

static void test_cr8(void)
{
	uint64_t cr8;

	__asm__ volatile("mov %0, %%cr8" : : "r"(9ul));
	wrmsr(X2_SELF, VECTOR);
	for (unsigned i = 0; i < 10; i++)
		inb(NOBODY);
	__asm__ volatile("mov %%cr8, %0" : "=r"(cr8));
	check(cr8 == 9 && irqs == 1, "CR8 %lx, %u interrupts", cr8, irqs);
	check(rdmsr(X2_TPR) == 0x90, "TPR %lx", rdmsr(X2_TPR));
	__asm__ volatile("mov %0, %%cr8" : : "r"(0ul) : "memory");
	check(irqs == 2, "%u interrupts after CR8 = 0", irqs);
}

static void test_steps(void)
{
	uint64_t at[3];

	__asm__ volatile(
		"pushfq\n\torq %3, (%%rsp)\n\tlea 1f(%%rip), %0\n\tlea 2f(%%rip), %1\n\t"
		"lea 3f(%%rip), %2\n\txor %%eax, %%eax\n\tpopfq\n\tnop\n1:\tcpuid\n2:\tinb "
		"%%dx, %%al\n3:\tpushfq\n\tandq %4, (%%rsp)\n\tpopfq"
		: "=&D"(at[0]), "=&S"(at[1]), "=&r"(at[2])
		: "i"(RFLAGS_TF), "i"(~RFLAGS_TF)
		: "rax", "rbx", "rcx", "rdx", "memory", "cc");
	check(steps >= 5 && step_rips[0] == at[0] && step_rips[1] == at[1] && step_rips[2] == at[2],
	      "%u steps: %lx %lx %lx, not %lx %lx %lx", steps, step_rips[0], step_rips[1],
	      step_rips[2], at[0], at[1], at[2]);
}

static __attribute__((noinline)) void target(void)
{
	__asm__ volatile("");
}

static void test_breakpoint(void)
{
	uint64_t dr0, dr7;

	__asm__ volatile("mov %0, %%dr0" : : "r"((uint64_t)target));
	__asm__ volatile("mov %0, %%dr7" : : "r"(0x402ul));
	for (unsigned i = 0; i < 100; i++)
		inb(NOBODY);
	for (uint64_t end = rdtsc() + 20000000; rdtsc() < end;)
		pause(); /* others run */
	target();
	/* Under QEMU's TCG guests' breakpoints do not hit (hv/vcpu/svm_state.c says why). */
	check(!hit_rip || hit_rip == (uint64_t)target, "breakpoint at %lx", hit_rip);
	__asm__ volatile("mov %%dr0, %0" : "=r"(dr0));
	__asm__ volatile("mov %%dr7, %0" : "=r"(dr7));
	check(dr0 == (uint64_t)target && dr7 == 0x402, "DR0 %lx, DR7 %lx", dr0, dr7);
	__asm__ volatile("mov %0, %%dr7" : : "r"(0x400ul));
}

/* clang-format off */
static void do_rdpmc(void *a) { (void)a; __asm__ volatile("rdpmc" : : "c"(0) : "rax", "rdx"); }
static void do_vmrun(void *a) { (void)a; __asm__ volatile("vmrun %%rax" : : "a"(0)); }
static void do_clgi(void *a) { (void)a; __asm__ volatile("clgi"); }
static void do_monitor(void *a) { __asm__ volatile("monitor" : : "a"(a), "c"(0), "d"(0)); }
static void do_efer_bits(void *a) { (void)a; wrmsr(0xc0000080, rdmsr(0xc0000080) | 1ul << 40); }
static void do_efer_lme(void *a) { (void)a; wrmsr(0xc0000080, rdmsr(0xc0000080) & ~0x100ul); }
static void do_pat(void *a) { (void)a; wrmsr(0x277, 2); }
static void do_cr8(void *a) { (void)a; __asm__ volatile("mov %0, %%cr8" : : "r"(16ul)); }
static void do_jump(void *a) { ((void (*)(void))a)(); }
/* clang-format on */

static void test_faults(void)
{
	static const struct {
		const char *name;
		void (*fn)(void *);
		int vector;
	} cases[] = {
		{"rdpmc", do_rdpmc, 13},
		{"vmrun", do_vmrun, 6},
		{"clgi", do_clgi, 6},
		{"monitor", do_monitor, 6},
		{"EFER bit 40", do_efer_bits, 13},
		{"EFER.LME", do_efer_lme, 13},
		{"PAT", do_pat, 13},
		{"CR8", do_cr8, 13},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int got = catch_trap(cases[i].fn, (void *)&nmis);

		check(got == cases[i].vector, "%s: vector %d", cases[i].name, got);
	}
	check(catch_trap(do_jump, (void *)0xfed70000ul) == 6, "code where nothing is");
	check(!(rdmsr(0xc0000080) & 0x1000), "EFER.SVME is seen");
}

void guest_main(void)
{
	x2apic_enable();
	on_vector(2, on_nmi);
	on_vector(1, on_debug);
	on_vector(VECTOR, on_irq);
	sti();
	test_nmi();
	test_shadow();
	test_cr8();
	test_steps();
	test_breakpoint();
	test_faults();
	done();
}
