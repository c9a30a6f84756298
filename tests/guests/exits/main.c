/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each kind of exit costs, in TSC ticks per round trip seen by the guest: instructions under -icount shift=0.
 * Prints "cost NAME TICKS", the median of many runs less the cost of the loop itself. make bench holds these to bounds.
 */
#include "virtio.h"

enum {
	RUNS = 101,
	PORT_NOBODY = 0x1234,
	PORT_VMM = 0xcf8,      /* PCI configuration address: the vmm's host bridge */
	PORT_DOORBELL = 0x5c0, /* test hooks of the vmm */
	MMIO_DOORBELL = 0xfed90000u,
	MMIO_NOBODY = 0xfed80000u,
	VECTOR = 0x60,
};

static volatile uint64_t woke;

static void op_nothing(void)
{
}
static void op_cpuid(void)
{
	uint32_t r[4];
	cpuid(0, 0, r);
}
static void op_rdmsr(void)
{
	rdmsr(MSR_APIC_BASE);
}
static void op_wrmsr(void)
{
	wrmsr(0x8b, 0);
} /* microcode level: ignored */
static void op_port_nobody(void)
{
	inb(PORT_NOBODY);
}
static void op_port_vmm(void)
{
	inl(PORT_VMM);
}
static void op_mmio_nobody(void)
{
	mmio_read(MMIO_NOBODY);
}
static void op_doorbell_port(void)
{
	outl(PORT_DOORBELL, 1);
}
static void op_doorbell_mmio(void)
{
	mmio_write(MMIO_DOORBELL, 1);
}
static void op_eoi(void)
{
	wrmsr(X2_EOI, 0);
}
static bool amd;

/* The vendor's own instruction, as Linux chooses it. */
static void op_hypercall(void)
{
	uint64_t r = 0xffff;

	if (amd)
		__asm__ volatile("vmmcall" : "+a"(r));
	else
		__asm__ volatile("vmcall" : "+a"(r));
}
static void op_self_ipi(void)
{
	uint64_t before = woke;

	wrmsr(X2_SELF, VECTOR);
	while (woke == before)
		pause();
}
static void op_hlt_self_ipi(void)
{
	uint64_t before = woke;

	cli();
	wrmsr(X2_SELF, VECTOR);
	while (woke == before)
		sti_hlt();
}

static void on_ipi(uint64_t vector, struct frame *f)
{
	(void)vector;
	(void)f;
	woke = rdtsc();
	wrmsr(X2_EOI, 0);
}

static uint64_t median(uint64_t *v, unsigned n)
{
	for (unsigned i = 1; i < n; i++)
		for (unsigned j = i; j && v[j] < v[j - 1]; j--) {
			uint64_t t = v[j];

			v[j] = v[j - 1];
			v[j - 1] = t;
		}
	return v[n / 2];
}

static uint64_t cost(void (*op)(void))
{
	static uint64_t t[RUNS];

	for (unsigned i = 0; i < RUNS; i++) {
		uint64_t start = rdtsc();

		op();
		t[i] = rdtsc() - start;
	}
	return median(t, RUNS);
}

/* From the time a TSC-deadline timer was due to the handler's first instruction, the vCPU asleep in HLT. */
static uint64_t timer_wake(void)
{
	static uint64_t t[RUNS];

	wrmsr(X2_LVT_TIMER, 2 << 17 | VECTOR);
	for (unsigned i = 0; i < RUNS; i++) {
		uint64_t due = rdtsc() + 1000000, before = woke;

		cli();
		wrmsr(MSR_TSC_DEADLINE, due);
		while (woke == before)
			sti_hlt();
		t[i] = woke - due;
	}
	return median(t, RUNS);
}

/* A request to the generator, 64 bytes: from its doorbell to the handler's first instruction, the vCPU asleep in HLT. The mean, for
 * not every one makes the generator compute. */
static uint64_t rng_request(void)
{
	uint64_t sum = 0;

	v_open();
	v_msix_on();
	v_start(F_EVENT);
	for (unsigned i = 0; i < RUNS; i++) {
		unsigned before = v_queue_irqs;
		uint64_t start;

		cli();
		vq.avail.used_event = vq.avail.idx;
		v_offer(i % VQ_SIZE);
		start = rdtsc();
		v_bell_ring();
		while (v_queue_irqs == before)
			sti_hlt();
		sum += v_woke - start;
		check(vq.used.idx == i + 1, "request %u: %u are done", i, vq.used.idx);
	}
	return sum / RUNS;
}

void guest_main(void)
{
	static const struct {
		const char *name;
		void (*op)(void);
	} ops[] = {
		{"cpuid", op_cpuid},
		{"rdmsr", op_rdmsr},
		{"wrmsr", op_wrmsr},
		{"port_nobody", op_port_nobody},
		{"port_vmm", op_port_vmm},
		{"mmio_nobody", op_mmio_nobody},
		{"doorbell_port", op_doorbell_port},
		{"doorbell_mmio", op_doorbell_mmio},
		{"eoi", op_eoi},
		{"hypercall", op_hypercall},
		{"self_ipi", op_self_ipi},
		{"hlt_self_ipi", op_hlt_self_ipi},
	};
	uint32_t r[4];
	uint64_t base;

	cpuid(0, 0, r);
	amd = r[1] == 0x68747541; /* "Auth"enticAMD */
	x2apic_enable();
	on_vector(VECTOR, on_ipi);
	sti();
	base = cost(op_nothing);
	for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		print("cost %s %lu", ops[i].name, cost(ops[i].op) - base);
	print("cost timer_wake %lu", timer_wake());
	print("cost rng_request %lu", rng_request());
	done();
}
