/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starts the other CPUs, one after the other: real mode in the trampoline (start.S), boot tables, hv's tables, ap_main.
 * A CPU that does not answer in time, lacks something the boot CPU has, or keeps another time is reported and left out.
 *
 * ap_cpu is taken by atomic exchange, by the AP that starts or by the boot CPU that gives it up, never by both: a CPU
 * that wakes up too late finds NULL and halts. One that has taken it and then says nothing keeps its stack for ever;
 * no further CPU is started then, for it would get the same one.
 */
#include "hv/boot/smp.h"

#include "hv/boot/start.h"
#include "hv/cpu/speculation.h"
#include "hv/cpu/x86.h"
#include "hv/lib/log.h"
#include "hv/lib/string.h"
#include "hv/mm/frame.h"
#include "hv/mm/init.h"
#include "hv/plat/init.h"
#include "hv/vcpu/vcpu.h"

enum { ANSWER_US = 100000, READY_US = 1000000, STEP_US = 10 };

enum ap_state { AP_STARTING, AP_COMPARE, AP_READY, AP_REFUSED };

/* For start.S. */
uint64_t ap_cr3, ap_stack;
struct cpu *ap_cpu; /* [a] */
NORETURN void ap_park(void);

static enum ap_state ap_state; /* [a] by the AP */
static const char *ap_reason;  /* set before AP_REFUSED */
static bool ap_go;             /* [a] by the boot CPU: cpus[] and n_cpus know this AP */

struct trampoline_data { /* layout: start.S */
	uint64_t gdt[3];
	uint16_t gdt_limit;
	uint32_t gdt_base;
	uint32_t target;
	uint16_t target_selector;
	uint32_t cr3, efer;
} PACKED;

void smp_write_trampoline(hpa_t low_page)
{
	size_t data_at = bytes_between(trampoline_start, trampoline_data);
	uint8_t *to = (uint8_t *)(low_page + HV_DIRECT);
	struct trampoline_data d;

	memcpy(to, trampoline_start, bytes_between(trampoline_start, trampoline_end));
	memcpy(&d, to + data_at, sizeof(d));
	d.gdt_base = (uint32_t)(low_page + data_at);
	d.target = (uint32_t)(low_page + bytes_between(trampoline_start, trampoline_code64));
	d.cr3 = (uint32_t)hv_to_phys(boot_pml4);
	d.efer = (uint32_t)(EFER_LME | (cpu_features.nx ? EFER_NXE : 0));
	memcpy(to + data_at, &d, sizeof(d));
}

/* ---- on the AP ---- */

static NORETURN void refuse(const char *reason)
{
	ap_reason = reason;
	__atomic_store_n(&ap_state, AP_REFUSED, __ATOMIC_RELEASE);
	ap_park();
}

NORETURN void ap_main(struct cpu *c)
{
	const char *lacks = cpu_lacks();

	if (lacks != NULL)
		refuse(lacks);
	cpu_init(c);
	if (!speculation_init_ap())
		refuse("the boot CPU's defences against speculation");
	plat_init_ap();
	__atomic_store_n(&ap_state, AP_COMPARE, __ATOMIC_RELEASE);
	if (!time_compare_ap(c->index))
		refuse("a time-stamp counter that agrees with the boot CPU's");
	if (vendor != NULL && vendor->cpu_enable(c) != 0)
		refuse("usable virtualization");
	sched_init_cpu();
	__atomic_store_n(&ap_state, AP_READY, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&ap_go, __ATOMIC_ACQUIRE))
		cpu_pause();
	sched_loop();
}

/* ---- on the boot CPU ---- */

/* Until *word (an ap_state) is not `from` any more. */
static bool wait_past(enum ap_state from, unsigned limit_us)
{
	for (unsigned us = 0; us < limit_us; us += STEP_US) {
		if (__atomic_load_n(&ap_state, __ATOMIC_ACQUIRE) != from)
			return true;
		time_delay_us(STEP_US);
	}
	return false;
}

static bool wait_taken(void)
{
	for (unsigned us = 0; us < ANSWER_US; us += STEP_US) {
		if (__atomic_load_n(&ap_cpu, __ATOMIC_ACQUIRE) == NULL)
			return true;
		time_delay_us(STEP_US);
	}
	return __atomic_exchange_n(&ap_cpu, NULL, __ATOMIC_ACQ_REL) == NULL;
}

static struct cpu *prepare(unsigned index, uint32_t apic_id, bool mapped)
{
	struct cpu *c;

	if (!mapped && mm_map_cpu_area(index) != 0)
		return NULL;
	c = cpu_alloc(index, apic_id);
	if (c == NULL)
		return NULL;
	cpus[index] = c;
	ap_stack = cpu_stack_top(c);
	ap_cr3 = read_cr3();
	ap_reason = NULL;
	ap_go = false;
	ap_state = AP_STARTING;
	__atomic_store_n(&ap_cpu, c, __ATOMIC_RELEASE);
	return c;
}

/* Its page is not freed: the CPU may hold its tables loaded. */
static void give_up(const struct cpu *c, const char *why)
{
	log_printf("CPU with APIC id %u is left out: %s", c->apic_id, why);
	cpus[c->index] = NULL;
}

enum outcome { OUT_UP, OUT_SILENT, OUT_REFUSED, OUT_LOST };

/* The AP has taken its state; how does it end? */
static enum outcome follow(struct cpu *c)
{
	char text[96];

	if (wait_past(AP_STARTING, READY_US) && ap_state == AP_COMPARE)
		(void)time_compare_boot(c->index);
	if (!wait_past(AP_COMPARE, READY_US) || ap_state == AP_STARTING) {
		log_printf("CPU with APIC id %u came up and then said nothing; the CPUs after it "
			   "stay off",
			   c->apic_id);
		return OUT_LOST;
	}
	if (ap_state == AP_REFUSED) {
		hv_snprintf(text, sizeof(text), "it lacks %s", ap_reason);
		give_up(c, text);
		return OUT_REFUSED;
	}
	n_cpus = c->index + 1;
	c->online = true;
	__atomic_store_n(&ap_go, true, __ATOMIC_RELEASE);
	return OUT_UP;
}

static enum outcome start_one(unsigned index, uint32_t apic_id, hpa_t low_page, bool mapped)
{
	struct cpu *c = prepare(index, apic_id, mapped);

	if (c == NULL) {
		log_printf("CPU with APIC id %u is left out: no memory for its stacks", apic_id);
		return OUT_LOST;
	}
	plat_start_ap(apic_id, low_page);
	if (!wait_taken()) {
		give_up(c, "it does not answer");
		return OUT_SILENT;
	}
	return follow(c);
}

/* They are read-write-execute; nobody is on them any more, nor will be. */
static void drop_boot_tables(void)
{
	memset(boot_pml4, 0, bytes_between(boot_pml4, boot_tables_end));
}

void smp_start(hpa_t low_page)
{
	static uint32_t ids[HV_CPUS_MAX];
	unsigned n = plat_cpu_ids(ids, HV_CPUS_MAX);
	bool mapped = false, silent = false;

	cpus[0]->apic_id = ids[0];
	cpus[0]->online = true;
	if (n > 1 && low_page == 0) {
		log_printf("no free page below 1 MiB: the other %u CPUs stay off", n - 1);
		n = 1;
	}
	for (unsigned i = 1; i < n; i++) {
		enum outcome out = start_one(n_cpus, ids[i], low_page, mapped);

		if (out == OUT_LOST)
			return;
		mapped = out != OUT_UP;
		silent |= out == OUT_SILENT;
	}
	if (!silent) /* it may wake up yet, and needs them on its way to ap_park */
		drop_boot_tables();
}
