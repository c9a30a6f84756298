/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The clock: the TSC, scaled to nanoseconds. Its rate comes from the CPU or hypervisor below us where they say it,
 * else from 10 ms of a reference: HPET, ACPI timer, PIT. The same 10 ms give the rate of the local APIC timer.
 */
#include "hv/plat/clock.h"

#include "hv/cpu/cpu.h"
#include "hv/cpu/x86.h"
#include "hv/lib/log.h"
#include "hv/lib/spinlock.h"
#include "hv/mm/init.h"
#include "hv/plat/acpi.h"
#include "hv/plat/init.h"
#include "hv/plat/lapic.h"

/* Until calibrated, a guess that is too high: delays are long enough, and time does not step back later. */
#define TSC_KHZ_GUESS 5000000ull
uint64_t tsc_khz = TSC_KHZ_GUESS;
uint64_t tsc_base, tsc_mult = (1000000ull << 32) / TSC_KHZ_GUESS;

#define CALIBRATE_NS 10000000ull
#define NS_PER_S 1000000000ull
#define TSC_KHZ_MIN 10000ull /* emulators run slow clocks: Bochs at its default of 50 MHz */
#define TSC_KHZ_MAX 20000000ull
/* A reference that stands still is given up after this many readings. */
#define READINGS_MAX 2000000u

uint64_t time_from_tsc(uint64_t tsc)
{
	return (uint64_t)((unsigned __int128)(tsc - tsc_base) * tsc_mult >> 32);
}

uint64_t time_now(void)
{
	return time_from_tsc(rdtsc());
}

/* The inverse, rounded up: at the TSC it gives, time_from_tsc says ns or more. */
uint64_t time_to_tsc(uint64_t ns)
{
	uint64_t hi = ns >> 32;
	uint64_t lo = ns << 32;
	uint64_t quotient, rest;

	if (hi >= tsc_mult)
		return UINT64_MAX;
	__asm__("divq %4" : "=a"(quotient), "=d"(rest) : "0"(lo), "1"(hi), "r"(tsc_mult) : "cc");
	if (ADD_OVERFLOW(quotient + (rest != 0), tsc_base, &quotient))
		return UINT64_MAX;
	return quotient;
}

void time_delay_us(uint64_t us)
{
	uint64_t start = rdtsc();
	uint64_t cycles = us * tsc_khz / 1000;

	while (rdtsc() - start < cycles)
		cpu_pause();
}

/* ---- references: count up (or down) at a known rate ---- */

struct reference {
	const char *name;
	bool (*start)(uint64_t *hz, uint64_t *mask); /* false: not there */
	uint64_t (*read)(void);
};

/* IA-PC HPET 2.3: capabilities at 0 (period in fs in the upper half), configuration at 0x10, counter at 0xf0. */
static volatile uint32_t *hpet;
#define HPET_PERIOD 1u
#define HPET_CONFIG 4u
#define HPET_COUNTER 60u
#define FS_PER_S 1000000000000000ull
#define HPET_PERIOD_MAX 100000000u

static bool hpet_start(uint64_t *hz, uint64_t *mask)
{
	uint32_t period;

	if (acpi.hpet == 0)
		return false;
	if (hpet == NULL)
		hpet = mm_map_device(acpi.hpet, PAGE_SIZE);
	if (hpet == NULL)
		return false;
	period = hpet[HPET_PERIOD];
	if (period == 0 || period > HPET_PERIOD_MAX)
		return false;
	hpet[HPET_CONFIG] |= 1;
	*hz = FS_PER_S / period;
	*mask = UINT32_MAX;
	return true;
}

static uint64_t hpet_read(void)
{
	return hpet[HPET_COUNTER];
}

#define PM_TIMER_HZ 3579545u /* ACPI 4.8.3.3 */

static bool pm_start(uint64_t *hz, uint64_t *mask)
{
	*hz = PM_TIMER_HZ;
	*mask = 0xffffff;
	return acpi.pm_timer != 0;
}

static uint64_t pm_read(void)
{
	return inl((uint16_t)acpi.pm_timer);
}

/* 8254 channel 2, mode 0, gate by port 0x61: counts down from 65535 once. */
#define PIT_HZ 1193182u
#define PIT_CHANNEL2 0x42
#define PIT_COMMAND 0x43
#define PIT_MODE0_CH2 0xb0
#define PIT_LATCH_CH2 0x80
#define PORT_GATE 0x61

static bool pit_start(uint64_t *hz, uint64_t *mask)
{
	outb(PORT_GATE, (uint8_t)((inb(PORT_GATE) & ~2) | 1));
	outb(PIT_COMMAND, PIT_MODE0_CH2);
	outb(PIT_CHANNEL2, 0xff);
	outb(PIT_CHANNEL2, 0xff);
	*hz = PIT_HZ;
	*mask = 0xffff;
	return true;
}

static uint64_t pit_read(void)
{
	uint8_t lo;

	outb(PIT_COMMAND, PIT_LATCH_CH2);
	lo = inb(PIT_CHANNEL2);
	return (uint64_t)(0xffff - (lo | inb(PIT_CHANNEL2) << 8));
}

static const struct reference references[] = {
	{"HPET", hpet_start, hpet_read},
	{"ACPI timer", pm_start, pm_read},
	{"PIT", pit_start, pit_read},
};

struct sample {
	uint64_t count, tsc;
	uint32_t lapic;
};

/* The best of a few readings: the one that took the least time, so that a stray SMI does not spoil it. */
static struct sample take_sample(const struct reference *r)
{
	struct sample best = {0};
	uint64_t best_span = UINT64_MAX;

	for (unsigned i = 0; i < 5; i++) {
		uint64_t before = rdtsc();
		uint64_t count = r->read();
		uint64_t after = rdtsc();

		if (after - before >= best_span)
			continue;
		best_span = after - before;
		best = (struct sample){count, before + best_span / 2, lapic_timer_count()};
	}
	return best;
}

/* True: the clock and the local APIC timer are set from this reference. */
static bool calibrate_by(const struct reference *r)
{
	struct sample a, b;
	uint64_t hz, mask, ns, wanted, khz;

	if (!r->start(&hz, &mask))
		return false;
	lapic_timer_start_free();
	wanted = hz * CALIBRATE_NS / NS_PER_S;
	a = take_sample(r);
	for (unsigned i = 0; ((r->read() - a.count) & mask) < wanted; i++)
		if (i == READINGS_MAX)
			return false;
	b = take_sample(r);
	ns = ((b.count - a.count) & mask) * NS_PER_S / hz;
	khz = (b.tsc - a.tsc) * 1000000 / ns;
	if (khz < TSC_KHZ_MIN || khz > TSC_KHZ_MAX)
		return false;
	tsc_khz = khz;
	lapic_timer_calibrated(b.lapic - a.lapic, ns);
	return true;
}

/* The rate as the CPU (leaf 0x15) or the hypervisor below (leaf 0x40000010) states it; 0: it does not. */
static uint64_t stated_khz(void)
{
	struct cpuid c = cpuid(0, 0);

	if (c.eax >= 0x15) {
		c = cpuid(0x15, 0);
		if (c.eax != 0 && c.ebx != 0 && c.ecx != 0)
			return (uint64_t)c.ecx * c.ebx / c.eax / 1000;
	}
	if ((cpuid(1, 0).ecx & 1u << 31) != 0 && cpuid(0x40000000, 0).eax >= 0x40000010)
		return cpuid(0x40000010, 0).eax;
	return 0;
}

static bool near(uint64_t a, uint64_t b)
{
	uint64_t difference = a > b ? a - b : b - a;

	return difference * 100 < a; /* 1 % */
}

void clock_init(void)
{
	uint64_t stated = stated_khz();
	const char *source = NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(references) && source == NULL; i++)
		if (calibrate_by(&references[i]))
			source = references[i].name;
	if (source == NULL)
		panic("no clock: HPET, ACPI timer and PIT are absent or stand still");
	if (stated != 0 && near(tsc_khz, stated)) {
		tsc_khz = stated;
		source = "CPUID";
	} else if (stated != 0) {
		log_printf("time: CPUID says %llu kHz, the %s %llu kHz; the %s is taken",
			   (unsigned long long)stated, source, (unsigned long long)tsc_khz, source);
	}
	tsc_mult = (1000000ull << 32) / tsc_khz;
	if (!cpu_features.invariant_tsc)
		log_printf("time: this CPU does not promise a TSC of constant rate");
	log_printf("time: TSC %llu kHz by %s; %llu ms since reset when this began",
		   (unsigned long long)tsc_khz, source, (unsigned long long)(tsc_base / tsc_khz));
}

/* The clock starts at 0 here: the first call of all. */
void clock_start(void)
{
	tsc_base = rdtsc();
	log_clock = time_now;
}

/* ---- do the CPUs' TSCs agree? ---- */

/*
 * Both CPUs take turns under one lock: who comes must read a TSC not below the last reading. The largest step back
 * is how far they are apart at most in one direction.
 */
#define COMPARE_US 1000u  /* each CPU stays so long by its own clock */
#define WARP_MAX_NS 1000u /* hidden by the cost of moving work from CPU to CPU */
#define COMPARE_WAIT_US 1000000u

static struct {
	struct spinlock lock;
	uint64_t last, warp; /* [L:lock] */
	uint32_t arrived;    /* [a] CPUs at the start */
	uint32_t done;       /* [a] */
} compare[HV_CPUS_MAX];

static bool wait_for(uint32_t *what, uint32_t n)
{
	for (uint64_t i = 0; i < COMPARE_WAIT_US; i++) {
		if (__atomic_load_n(what, __ATOMIC_ACQUIRE) >= n)
			return true;
		time_delay_us(1);
	}
	return false;
}

static bool time_compare(unsigned index)
{
	__atomic_fetch_add(&compare[index].arrived, 1, __ATOMIC_ACQ_REL);
	if (!wait_for(&compare[index].arrived, 2))
		return false;
	for (uint64_t start = rdtsc(), now = start; now - start < COMPARE_US * tsc_khz / 1000;) {
		spin_lock(&compare[index].lock);
		now = rdtsc();
		if (now < compare[index].last)
			compare[index].warp = MAX(compare[index].warp, compare[index].last - now);
		compare[index].last = MAX(compare[index].last, now);
		spin_unlock(&compare[index].lock);
	}
	__atomic_fetch_add(&compare[index].done, 1, __ATOMIC_ACQ_REL);
	return wait_for(&compare[index].done, 2) &&
	       compare[index].warp * 1000000 / tsc_khz <= WARP_MAX_NS;
}

bool time_compare_boot(unsigned index)
{
	bool same = time_compare(index);

	if (!same)
		log_printf("time: CPU %u's TSC is %llu ticks behind another's; the CPU is not used",
			   index, (unsigned long long)compare[index].warp);
	return same;
}

bool time_compare_ap(unsigned index)
{
	return time_compare(index);
}
