/* SPDX-License-Identifier: BSD-2-Clause */
/* The order in which the machine comes up, and what belongs to no device. Called by boot/ (init.h). */
#include "hv/plat/init.h"

#include "hv/cpu/cpu.h"
#include "hv/cpu/x86.h"
#include "hv/lib/log.h"
#include "hv/lib/string.h"
#include "hv/mm/frame.h"
#include "hv/mm/window.h"
#include "hv/plat/acpi.h"
#include "hv/plat/clock.h"
#include "hv/plat/ioapic.h"
#include "hv/plat/lapic.h"
#include "hv/plat/pci.h"
#include "hv/plat/timer_inner.h"
#include "hv/plat/uart.h"

struct acpi_info acpi;
uint64_t plat_boot_epoch;

void plat_init(const void *rsdp, size_t rsdp_len)
{
	if (acpi_parse(rsdp, rsdp_len, &acpi) != 0)
		log_printf("acpi: no tables found; one CPU, no IO-APIC, no power-off");
	lapic_init();
	ioapic_init();
	clock_init();
	timer_init_cpu();
	plat_boot_epoch = plat_rtc_epoch();
	if (plat_boot_epoch != 0)
		plat_boot_epoch -= time_now() / 1000000000u;
	uart_use_timer();
	pci_init();
	log_printf("acpi: %u CPUs, %u IO-APICs, %s, %s, %s", acpi.n_cpus, acpi.n_ioapics,
		   acpi.hpet != 0 ? "HPET" : "no HPET", acpi.n_mcfg != 0 ? "MCFG" : "no MCFG",
		   acpi.has_s5 ? "power-off" : "no power-off");
	if (acpi.n_cpus_dropped != 0)
		log_printf("acpi: %u more CPUs are not used: hv knows %u at most",
			   acpi.n_cpus_dropped, ACPI_CPUS_MAX);
}

void plat_init_ap(void)
{
	lapic_init_cpu();
	timer_init_cpu();
}

unsigned plat_cpu_ids(uint32_t *apic_ids, unsigned max)
{
	uint32_t self = lapic_id();
	unsigned n = 1;

	apic_ids[0] = self;
	for (unsigned i = 0; i < acpi.n_cpus && n < max; i++)
		if (acpi.cpus[i].apic_id != self &&
		    (cpu_features.x2apic || acpi.cpus[i].apic_id < 0xff))
			apic_ids[n++] = acpi.cpus[i].apic_id;
	return n;
}

/* SDM3 9.4.4.1. CPUs of this century need no 10 ms between INIT and SIPI; one that is up ignores the second SIPI. */
void plat_start_ap(uint32_t apic_id, hpa_t trampoline)
{
	lapic_send(apic_id, ICR_INIT | ICR_ASSERT);
	lapic_wait_sent();
	time_delay_us(20);
	for (unsigned i = 0; i < 2; i++) {
		lapic_send(apic_id, ICR_STARTUP | (uint32_t)(trampoline >> PAGE_SHIFT));
		lapic_wait_sent();
		time_delay_us(200);
	}
}

/* ---- physical memory that is not hv's ---- */

bool acpi_phys_read(void *to, hpa_t from, size_t len)
{
	char *t = to;

	if (from >> cpu_features.phys_bits != 0 || len > (1ull << cpu_features.phys_bits) - from)
		return false;
	while (len != 0) {
		size_t n = MIN(len, PAGE_SIZE - from % PAGE_SIZE);

		phys_read(t, from, n);
		t += n;
		from += n;
		len -= n;
	}
	return true;
}

bool plat_overlaps_ram(hpa_t start, uint64_t len)
{
	uint64_t end;

	return ADD_OVERFLOW(start, len, &end) || frame_is_ram(start, end);
}

static bool touches(hpa_t start, hpa_t end, hpa_t from, uint64_t len)
{
	return from < end && start < ALIGN_UP(from + len, PAGE_SIZE);
}

#define MSI_AREA 0xfee00000ull /* writing here interrupts CPUs */
#define MSI_AREA_SIZE 0x100000ull
#define LOW_MEMORY 0x100000ull
#define HPET_SIZE 0x400u

bool plat_is_device_memory(hpa_t start, hpa_t end)
{
	if (start >= end || start < LOW_MEMORY || (end - 1) >> cpu_features.phys_bits != 0 ||
	    frame_is_ram(start, end) || touches(start, end, MSI_AREA, MSI_AREA_SIZE) ||
	    touches(start, end, acpi.lapic_base, PAGE_SIZE))
		return false;
	if (acpi.hpet != 0 && touches(start, end, ALIGN_DOWN(acpi.hpet, PAGE_SIZE), HPET_SIZE))
		return false;
	for (unsigned i = 0; i < acpi.n_ioapics; i++)
		if (touches(start, end, ALIGN_DOWN(acpi.ioapics[i].address, (uint32_t)PAGE_SIZE),
			    PAGE_SIZE))
			return false;
	for (unsigned i = 0; i < acpi.n_mcfg; i++)
		if (touches(start, end,
			    acpi.mcfg[i].base + ((uint64_t)acpi.mcfg[i].first_bus << 20),
			    (acpi.mcfg[i].last_bus - acpi.mcfg[i].first_bus + 1ull) << 20))
			return false;
	for (unsigned i = 0; i < acpi.n_tables; i++)
		if (touches(start, end, ALIGN_DOWN(acpi.tables[i].start, PAGE_SIZE),
			    acpi.tables[i].length + PAGE_SIZE))
			return false;
	return true;
}
