/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/plat/acpi.c
/*
 * ACPI tables. The input is physical memory from 0xe0000 on, an RSDP at its start. Checksums are mended for every
 * 16-byte boundary that looks like a table, or the fuzzer would never get past them.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "hv/plat/acpi.h"

#define BASE 0xe0000u
#define SIZE 0x4000u

static uint8_t memory[SIZE];
static size_t size;

bool acpi_phys_read(void *to, hpa_t from, size_t len)
{
	if (from < BASE || from - BASE > size || len > size - (from - BASE))
		return false;
	memcpy(to, memory + (from - BASE), len);
	return true;
}

void log_printf(const char *format, ...)
{
	(void)format;
}

static void mend(size_t at, size_t n, size_t sum_at)
{
	uint8_t s = 0;

	memory[at + sum_at] = 0;
	for (size_t i = 0; i < n; i++)
		s = (uint8_t)(s + memory[at + i]);
	memory[at + sum_at] = (uint8_t)-s;
}

static void check(const struct acpi_info *a)
{
	if (a->n_cpus > ACPI_CPUS_MAX || a->n_ioapics > ACPI_IOAPICS_MAX ||
	    a->n_overrides > ACPI_OVERRIDES_MAX || a->n_nmis > ACPI_NMIS_MAX ||
	    a->n_mcfg > ACPI_MCFG_MAX || a->n_tables > ACPI_TABLES_MAX)
		abort();
	for (unsigned i = 0; i < a->n_nmis; i++)
		if (a->nmis[i].lint > 1)
			abort();
	for (unsigned i = 0; i < a->n_mcfg; i++)
		if (a->mcfg[i].first_bus > a->mcfg[i].last_bus)
			abort();
	if (a->pm1a_control > 0xffff || a->pm_timer > 0xffff || a->s5_a > 7 || a->s5_b > 7)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct acpi_info info;

	if (n < 36)
		return 0;
	size = n < SIZE ? n : SIZE;
	memcpy(memory, data, size);
	memcpy(memory, "RSD PTR ", 8);
	for (size_t at = 48; at + 36 <= size; at += 16) {
		uint32_t length;

		memcpy(&length, memory + at + 4, 4);
		if (length >= 36 && length <= size - at)
			mend(at, length, 9);
	}
	mend(0, 20, 8);
	mend(0, 36, 32);
	if (acpi_parse(NULL, 0, &info) == 0)
		check(&info);
	if (acpi_parse(data, n, &info) == 0)
		check(&info);
	return 0;
}
