/* SPDX-License-Identifier: BSD-2-Clause */
/* All CPUs do at random what can go wrong between CPUs: ask each other by IPI and sleep until the answer comes, sleep for
 * a timer, send NMIs, access ports that park and that ring. No wake-up may get lost and no XMM register may change. Now
 * and then all but the first are stopped by INIT, whatever they do, and started again. With the command line "forever"
 * this does not end (tests/system/test_stress.py). */
#include "guest.h"

enum {
	CPUS = 16,
	ASKED = 0x61,
	TIMER = 0x62,
	PIT = 0x70,
	IOAPIC = 0xfec00000u,
	PIT_PIN = 2,
	PORT_NOBODY = 0x1234,
	PORT_PARKS = 0xcf8,
	PORT_RINGS = 0x5c0, /* test hooks of the vmm; else nobody's */
	MMIO_NOBODY = 0xfed80000u,
	ROUNDS = 3,
	ALARMS = 120, /* of a second, without an answer */
};
#define MS 1000000ull /* of the APIC timer */
#define NMI 0x400u

static struct state {
	uint32_t asked, answered; /* a bit for each CPU: who asks, who has answered */
	volatile uint32_t ticks, nmis;
	uint32_t sending; /* an NMI */
	uint64_t seed;
} __attribute__((aligned(64))) cpu[CPUS];
static unsigned cpus;
static volatile uint32_t pits;
static bool endless;
static uint32_t quiet; /* no NMIs now: one that comes between INIT and the first LIDT is the end */
static uint32_t up;    /* CPUs that have an IDT and an APIC that is on */

/* What nobody waits for must be seen on the host: it crashes. */
#define must(c, ...)                                                                               \
	do {                                                                                       \
		if (!(c) && endless) {                                                             \
			print(__VA_ARGS__);                                                        \
			crash();                                                                   \
		}                                                                                  \
		check(c, __VA_ARGS__);                                                             \
	} while (0)

static void crash(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = {0, 0};

	__asm__ volatile("lidt %0\n\tud2" : : "m"(none));
}

static unsigned my_id(void)
{
	return (unsigned)rdmsr(X2_ID);
}

static void send(unsigned to, uint32_t what)
{
	wrmsr(X2_ICR, (uint64_t)to << 32 | what);
}

static void on_asked(uint64_t vector, struct frame *f)
{
	unsigned me = my_id();
	uint32_t by = __atomic_exchange_n(&cpu[me].asked, 0, __ATOMIC_SEQ_CST);

	(void)vector;
	(void)f;
	wrmsr(X2_EOI, 0);
	for (unsigned i = 0; i < cpus; i++) {
		if (!(by >> i & 1))
			continue;
		__atomic_fetch_or(&cpu[i].answered, 1u << me, __ATOMIC_SEQ_CST);
		send(i, ASKED);
	}
}

static void on_timer(uint64_t vector, struct frame *f)
{
	(void)vector;
	(void)f;
	cpu[my_id()].ticks++;
	wrmsr(X2_EOI, 0);
}

static void on_pit(uint64_t vector, struct frame *f)
{
	(void)vector;
	(void)f;
	pits++;
	wrmsr(X2_EOI, 0);
}

static void on_nmi(uint64_t vector, struct frame *f)
{
	(void)vector;
	(void)f;
	cpu[my_id()].nmis++;
}

static uint64_t random(struct state *c)
{
	c->seed ^= c->seed << 13;
	c->seed ^= c->seed >> 7;
	c->seed ^= c->seed << 17;
	return c->seed;
}

/* One-shot, in ns. */
static void set_timer(uint32_t ns)
{
	wrmsr(X2_TMICT, ns);
}

static void sleep_for(struct state *c, uint32_t ns)
{
	uint32_t before = c->ticks;

	set_timer(ns);
	for (cli(); c->ticks == before; cli())
		sti_hlt();
	sti();
}

/* The timer is what shows that a wake-up was lost. It counts only while this VM runs. */
static void ask(struct state *c, unsigned me, unsigned other)
{
	uint32_t bit = 1u << other, start = c->ticks, seen = start;

	__atomic_fetch_and(&c->answered, ~bit, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&cpu[other].asked, 1u << me, __ATOMIC_SEQ_CST);
	send(other, ASKED);
	set_timer(1000 * MS);
	for (cli(); !(__atomic_load_n(&c->answered, __ATOMIC_SEQ_CST) & bit); cli()) {
		if (c->ticks != seen) {
			seen = c->ticks;
			must(seen - start < ALARMS, "CPU %u has no answer of %u", me, other);
			set_timer(1000 * MS);
		}
		sti_hlt();
	}
	sti();
	set_timer(0);
}

static void send_nmi(struct state *c, unsigned to)
{
	__atomic_exchange_n(&c->sending, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&quiet, __ATOMIC_SEQ_CST))
		send(to, NMI);
	__atomic_store_n(&c->sending, 0, __ATOMIC_SEQ_CST);
}

static void any(struct state *c, unsigned me)
{
	unsigned other = (unsigned)(random(c) % cpus);
	uint32_t r[4];

	if (!(__atomic_load_n(&up, __ATOMIC_SEQ_CST) >> other & 1))
		other = 0;
	switch (random(c) % 10) {
	case 0 ... 2:
		if (other != me &&
		    me != 0) /* the first one must not wait for one it stops itself */
			ask(c, me, other);
		break;
	case 3:
		sleep_for(c, 1 + (uint32_t)(random(c) % (2 * MS)));
		break;
	case 4:
		if (other != 0)
			send_nmi(c, other);
		break;
	case 5:
		inl(PORT_PARKS);
		break;
	case 6:
		outl(PORT_RINGS, 1);
		break;
	case 7:
		inb(PORT_NOBODY);
		mmio_read(MMIO_NOBODY);
		break;
	case 8:
		cpuid(1, 0, r);
		break;
	default:
		for (unsigned i = 0; i < 200; i++)
			pause();
	}
}

/* hv keeps each CPU's registers apart, wherever it runs it. */
static void marked(struct state *c, unsigned me)
{
	uint64_t mark = random(c), a, b;

	__asm__ volatile("movq %0, %%xmm1\n\tmovq %0, %%xmm6" : : "r"(mark));
	any(c, me);
	__asm__ volatile("movq %%xmm1, %0\n\tmovq %%xmm6, %1" : "=r"(a), "=r"(b));
	must(a == mark && b == mark, "XMM of CPU %u: %lx %lx, not %lx", me, a, b, mark);
}

static void apic_on(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 0xc00);
	wrmsr(X2_SVR, 0x1ff);
	wrmsr(X2_TDCR, 0xb); /* divide by 1 */
	wrmsr(X2_LVT_TIMER, TIMER);
	sti();
}

void ap_main(unsigned n)
{
	unsigned me;

	(void)n;
	apic_on();
	me = my_id();
	__atomic_fetch_or(&up, 1u << me, __ATOMIC_SEQ_CST);
	for (;;)
		marked(&cpu[me], me);
}

static bool forever(void)
{
	const uint32_t *info = (const uint32_t *)(uint64_t)boot_info;
	const char *line = "";

	if (boot_magic == 0x2badb002 && (info[0] & 4)) /* multiboot 3.3 */
		line = (const char *)(uint64_t)info[4];
	else if (info[0] == 0x336ec578) /* Xen's hvm_start_info */
		line = (const char *)(uint64_t)info[6];
	for (; *line; line++)
		if (line[0] == 'f' && line[1] == 'o' && line[2] == 'r' && line[3] == 'e')
			return true;
	return false;
}

static void start_others(unsigned round)
{
	for (unsigned i = 0; i < CPUS; i++)
		cpu[i].asked = cpu[i].answered = cpu[i].sending = 0;
	__atomic_store_n(&up, 1, __ATOMIC_SEQ_CST);
	ap_count = 0;
	if (cpus == 1 || ap_start(cpus - 1))
		return;
	/* The machine may be busy. */
	for (unsigned i = 0; *(volatile uint32_t *)&ap_count < cpus - 1; i++) {
		must(i < ALARMS * 10, "%u of %u CPUs came in round %u", ap_count, cpus - 1, round);
		sleep_for(&cpu[0], 100 * MS);
	}
}

static void play(unsigned round)
{
	struct state *c = &cpu[0];
	uint64_t end = rdtsc() + 500000000;

	start_others(round);
	while (rdtsc() < end)
		marked(c, 0);
	__atomic_exchange_n(&quiet, 1, __ATOMIC_SEQ_CST);
	for (unsigned i = 1; i < cpus; i++)
		while (__atomic_load_n(&cpu[i].sending, __ATOMIC_SEQ_CST))
			sleep_for(c, 100000);
	wrmsr(X2_ICR, 0xc4500); /* INIT, all but self */
	sleep_for(c, 20 * MS);
	quiet = 0;
}

static void start_pit(void)
{
	mmio_write(IOAPIC, 0x10 + PIT_PIN * 2);
	mmio_write(IOAPIC + 0x10, PIT);
	outb(0x43, 0x34);
	outb(0x40, 0xff);
	outb(0x40, 0x2f); /* 100 Hz */
}

void guest_main(void)
{
	uint32_t r[4];

	endless = forever();
	cpuid(0xb, 1, r);
	cpus = r[1] ? r[1] : 1;
	check(cpus <= CPUS, "%u CPUs", cpus);
	for (unsigned i = 0; i < CPUS; i++)
		cpu[i].seed = rdtsc() + i * 0x9e3779b97f4a7c15;
	on_vector(ASKED, on_asked);
	on_vector(TIMER, on_timer);
	on_vector(PIT, on_pit);
	on_vector(2, on_nmi);
	x2apic_enable();
	apic_on();
	start_pit();
	for (unsigned round = 0; endless || round < ROUNDS; round++) {
		play(round);
		print("round %u", round);
	}
	check(pits > 0, "the PIT does not tick");
	done();
}
