/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC: x2APIC where the CPU has it (registers are MSRs), else the memory-mapped page. Timer: TSC deadline
 * where there is one, else one-shot counts.
 */
#include "hv/plat/lapic.h"

#include "hv/cpu/cpu.h"
#include "hv/cpu/x86.h"
#include "hv/lib/log.h"
#include "hv/mm/init.h"
#include "hv/plat/acpi.h"

/* Register offsets in the page; the MSR is 0x800 + offset / 16. */
enum lapic_reg {
	LAPIC_ID = 0x20,
	LAPIC_VERSION = 0x30,
	LAPIC_TPR = 0x80,
	LAPIC_EOI = 0xb0,
	LAPIC_LDR = 0xd0,
	LAPIC_DFR = 0xe0,
	LAPIC_SPURIOUS = 0xf0,
	LAPIC_ISR = 0x100,
	LAPIC_ESR = 0x280,
	LAPIC_LVT_CMCI = 0x2f0,
	LAPIC_ICR = 0x300,
	LAPIC_ICR_HIGH = 0x310,
	LAPIC_LVT_TIMER = 0x320,
	LAPIC_LVT_THERMAL = 0x330,
	LAPIC_LVT_PERF = 0x340,
	LAPIC_LVT_LINT0 = 0x350,
	LAPIC_LVT_LINT1 = 0x360,
	LAPIC_LVT_ERROR = 0x370,
	LAPIC_TIMER_INITIAL = 0x380,
	LAPIC_TIMER_CURRENT = 0x390,
	LAPIC_TIMER_DIVIDE = 0x3e0,
};
#define MSR_X2APIC 0x800u
#define MSR_TSC_DEADLINE 0x6e0u
#define APIC_BASE_ENABLE (1ull << 11)
#define APIC_BASE_X2APIC (1ull << 10)
#define APIC_BASE_ADDRESS 0x000ffffffffff000ull
#define LVT_MASKED (1u << 16)
#define LVT_NMI 0x400u
#define LVT_TSC_DEADLINE (2u << 17)
#define SPURIOUS_ENABLE (1u << 8)
#define DIVIDE_BY_1 0xbu
#define ICR_PENDING (1u << 12)
#define DEFAULT_BASE 0xfee00000ull

#define FAR_NS 1000000000ull /* a far deadline is reached in steps */

static volatile uint32_t *regs; /* [I] NULL: x2APIC */
static bool use_deadline;       /* [I] */
static uint64_t ticks_mult;     /* [I] ticks = ns * ticks_mult >> 32 */

static uint32_t reg_read(enum lapic_reg r)
{
	return regs != NULL ? regs[r / 4] : (uint32_t)rdmsr(MSR_X2APIC + r / 16);
}

static void reg_write(enum lapic_reg r, uint32_t v)
{
	if (regs != NULL)
		regs[r / 4] = v;
	else
		wrmsr(MSR_X2APIC + r / 16, v);
}

uint32_t lapic_id(void)
{
	uint32_t id = reg_read(LAPIC_ID);

	return regs != NULL ? id >> 24 : id;
}

void lapic_eoi(void)
{
	reg_write(LAPIC_EOI, 0);
}

/* SDM3 11.6.1: the wait is only needed with the memory-mapped ICR. Bounded: broken hardware must not hang hv. */
void lapic_wait_sent(void)
{
	if (regs == NULL)
		return;
	for (unsigned i = 0; i < 100000 && (regs[LAPIC_ICR / 4] & ICR_PENDING) != 0; i++)
		cpu_pause();
}

void lapic_send(uint32_t apic_id, uint32_t command)
{
	if (regs == NULL) {
		/* WRMSR to the x2APIC is no fence: what was stored before must be seen by the target. */
		__asm__ volatile("mfence; lfence" : : : "memory");
		wrmsr(MSR_X2APIC + LAPIC_ICR / 16, (uint64_t)apic_id << 32 | command);
		return;
	}
	lapic_wait_sent();
	regs[LAPIC_ICR_HIGH / 4] = apic_id << 24;
	regs[LAPIC_ICR / 4] = command;
}

/* ---- timer ---- */

void lapic_timer_set(uint64_t deadline_ns)
{
	uint64_t now, ticks;

	if (use_deadline) {
		wrmsr(MSR_TSC_DEADLINE, time_to_tsc(deadline_ns));
		return;
	}
	now = time_now();
	ticks = deadline_ns > now ? deadline_ns - now : 0;
	ticks = (uint64_t)((unsigned __int128)MIN(ticks, FAR_NS) * ticks_mult >> 32) + 1;
	reg_write(LAPIC_TIMER_INITIAL, (uint32_t)MIN(ticks, UINT32_MAX));
}

void lapic_timer_start_free(void)
{
	reg_write(LAPIC_TIMER_INITIAL, UINT32_MAX);
}

uint32_t lapic_timer_count(void)
{
	return UINT32_MAX - reg_read(LAPIC_TIMER_CURRENT);
}

void lapic_timer_calibrated(uint64_t ticks, uint64_t ns)
{
	reg_write(LAPIC_TIMER_INITIAL, 0);
	ticks_mult = (ticks << 32) / ns;
	if (ticks_mult == 0 && !use_deadline)
		panic("the local APIC timer does not count");
	if (use_deadline)
		log_printf("apic: %s, timer by TSC deadline", regs == NULL ? "x2APIC" : "xAPIC");
	else
		log_printf("apic: %s, timer one-shot, %llu kHz", regs == NULL ? "x2APIC" : "xAPIC",
			   (unsigned long long)(ticks * 1000000 / ns));
}

/* ---- set-up ---- */

static void enable(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;

	wrmsr(MSR_APIC_BASE, base);
	if (cpu_features.x2apic)
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);
}

static void set_nmi_lines(void)
{
	uint32_t id = lapic_id();
	uint32_t uid = UINT32_MAX;

	for (unsigned i = 0; i < acpi.n_cpus; i++)
		if (acpi.cpus[i].apic_id == id)
			uid = acpi.cpus[i].uid;
	for (unsigned i = 0; i < acpi.n_nmis; i++)
		if (acpi.nmis[i].all || acpi.nmis[i].uid == uid)
			reg_write(acpi.nmis[i].lint == 0 ? LAPIC_LVT_LINT0 : LAPIC_LVT_LINT1,
				  LVT_NMI);
}

/* Interrupts that firmware left in service would block lower ones for ever. */
static void drop_in_service(void)
{
	for (unsigned n = 0; n < 256; n++) {
		uint32_t any = 0;

		for (unsigned i = 0; i < 8; i++)
			any |= reg_read((enum lapic_reg)(LAPIC_ISR + i * 0x10));
		if (any == 0)
			return;
		lapic_eoi();
	}
}

void lapic_init_cpu(void)
{
	unsigned lvt_max;

	enable();
	lvt_max = reg_read(LAPIC_VERSION) >> 16 & 0xff;
	reg_write(LAPIC_SPURIOUS, SPURIOUS_ENABLE | VEC_SPURIOUS);
	reg_write(LAPIC_TPR, 0);
	if (regs != NULL) { /* flat logical mode; read-only or absent in x2APIC mode */
		reg_write(LAPIC_DFR, UINT32_MAX);
		reg_write(LAPIC_LDR, 0);
	}
	reg_write(LAPIC_LVT_TIMER, LVT_MASKED);
	reg_write(LAPIC_LVT_LINT0, LVT_MASKED);
	reg_write(LAPIC_LVT_LINT1, LVT_MASKED);
	reg_write(LAPIC_LVT_ERROR, LVT_MASKED);
	if (lvt_max >= 4)
		reg_write(LAPIC_LVT_PERF, LVT_MASKED);
	if (lvt_max >= 5)
		reg_write(LAPIC_LVT_THERMAL, LVT_MASKED);
	if (lvt_max >= 6)
		reg_write(LAPIC_LVT_CMCI, LVT_MASKED);
	set_nmi_lines();
	drop_in_service();
	reg_write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_1);
	reg_write(LAPIC_LVT_TIMER, VEC_TIMER | (use_deadline ? LVT_TSC_DEADLINE : 0));
	/* SDM3 11.5.4.1: the mode must be set before the first deadline is written. */
	__asm__ volatile("mfence" : : : "memory");
}

static void ask_for_flush(void)
{
	if (n_cpus > 1)
		lapic_send(0, ICR_OTHERS | ICR_ASSERT | ICR_FIXED | VEC_FLUSH);
}

void lapic_init(void)
{
	uint64_t base = acpi.has_madt ? acpi.lapic_base : DEFAULT_BASE;
	uint64_t now = rdmsr(MSR_APIC_BASE) & APIC_BASE_ADDRESS;

	use_deadline = cpu_features.tsc_deadline && cpu_features.invariant_tsc;
	if (!cpu_features.x2apic) {
		if (base != now)
			log_printf("apic: ACPI says 0x%llx, the CPU 0x%llx; the CPU is right",
				   (unsigned long long)base, (unsigned long long)now);
		regs = mm_map_device(now, PAGE_SIZE);
		if (regs == NULL)
			panic("no room to map the local APIC");
	}
	panic_hook = ipi_stop_others;
	mm_flush_others = ask_for_flush;
	lapic_init_cpu();
}

/* ---- IPIs (plat.h) ---- */

void ipi_send(unsigned cpu_index, enum vector v)
{
	lapic_send(cpus[cpu_index]->apic_id, ICR_FIXED | ICR_ASSERT | (uint32_t)v);
}

/* Not to all: a CPU that hv has not started has no way to take an NMI, and its triple fault resets the machine. */
void ipi_stop_others(void)
{
	for (unsigned i = 0; i < n_cpus; i++)
		if (i != this_cpu()->index && cpus[i]->online)
			lapic_send(cpus[i]->apic_id, ICR_ASSERT | ICR_NMI);
}
