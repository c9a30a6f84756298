/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/plat/acpi.c
/* The ACPI parser on tables made here: both roots, all records used, and every kind of lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "hv/abi/hv_abi.h"
#include "hv/plat/acpi.h"

/* Physical memory: low megabyte and nothing else. */
static uint8_t memory[1 << 20];
static unsigned warnings;
static struct acpi_info info;

bool acpi_phys_read(void *to, hpa_t from, size_t len)
{
	if (from > sizeof(memory) || len > sizeof(memory) - from)
		return false;
	memcpy(to, memory + from, len);
	return true;
}

void log_printf(const char *format, ...)
{
	(void)format;
	warnings++;
}

static void put(hpa_t at, const void *p, size_t n)
{
	memcpy(memory + at, p, n);
}

static void put32(hpa_t at, uint32_t v)
{
	put(at, &v, 4);
}

static void fix_sum(hpa_t at, size_t n, size_t sum_at)
{
	uint8_t s = 0;

	memory[at + sum_at] = 0;
	for (size_t i = 0; i < n; i++)
		s = (uint8_t)(s + memory[at + i]);
	memory[at + sum_at] = (uint8_t)-s;
}

/* Header and sum around what stands at `at` + 36. */
static void table(hpa_t at, const char *name, uint32_t length)
{
	put(at, name, 4);
	put32(at + 4, length);
	memory[at + 8] = 1;
	fix_sum(at, length, 9);
}

enum {
	RSDP = 0xf0040,
	ROOT = 0x10000,
	MADT = 0x20000,
	FADT = 0x30000,
	DSDT = 0x40000,
	HPET = 0x50000,
	MCFG = 0x60000
};

static const uint8_t madt_records[] = {
	0,   8,  0,    0, 1, 0, 0,    0,                             /* CPU 0 */
	0,   8,  1,    2, 1, 0, 0,    0,                             /* CPU, APIC id 2 */
	0,   8,  2,    4, 0, 0, 0,    0,                             /* not enabled */
	9,   16, 0,    0, 2, 0, 0,    0,    1,  0, 0, 0, 1, 0, 0, 0, /* the same as x2APIC */
	9,   16, 0,    0, 0, 1, 0,    0,    1,  0, 0, 0, 9, 0, 0, 0, /* APIC id 256 */
	1,   12, 7,    0, 0, 0, 0xc0, 0xfe, 0,  0, 0, 0,             /* IO-APIC at fec00000 */
	2,   10, 0,    0, 2, 0, 0,    0,    0,  0,                   /* IRQ 0 -> GSI 2 */
	2,   10, 0,    9, 9, 0, 0,    0,    13, 0,                   /* IRQ 9: level, high */
	4,   6,  0xff, 5, 0, 1,                                      /* LINT1 of all */
	200, 5,  1,    2, 3,                                         /* unknown */
	5,   12, 0,    0, 0, 0, 0xe0, 0xfe, 1,  0, 0, 0,             /* LAPIC at 1fee00000 */
};

static void make_madt(void)
{
	put32(MADT + 36, 0xfee00000);
	put32(MADT + 40, 1);
	put(MADT + 44, madt_records, sizeof(madt_records));
	table(MADT, "APIC", 44 + sizeof(madt_records));
}

static void make_dsdt(const uint8_t *aml, size_t n, unsigned offset)
{
	memset(memory + DSDT, 0, 0x4000);
	put(DSDT + 36 + offset, aml, n);
	table(DSDT, "DSDT", (uint32_t)(36 + offset + n));
}

static const uint8_t s5[] = {0x08, '_',  'S', '5',  '_', 0x12, 0x06,
			     0x04, 0x0a, 5,   0x0a, 3,   0x00, 0x00};

static void make_fadt(uint32_t length)
{
	put32(FADT + 40, DSDT);
	put32(FADT + 48, 0xb2);
	memory[FADT + 52] = 0xf1;
	put32(FADT + 64, 0x604);
	put32(FADT + 76, 0x608);
	memory[FADT + 108] = 0x32;
	put32(FADT + 112, 1u << 10 | 1u << 8);
	memory[FADT + 116] = ACPI_IO;
	put32(FADT + 120, 0xcf9);
	memory[FADT + 128] = 6;
	table(FADT, "FACP", length);
}

static void make_machine(void)
{
	static const hpa_t tables[] = {MADT, FADT, HPET, MCFG};
	uint64_t hpet = 0xfed00000, ecam = 0xb0000000;

	memset(memory, 0, sizeof(memory));
	warnings = 0;
	make_madt();
	make_dsdt(s5, sizeof(s5), 300);
	make_fadt(132);
	put(HPET + 44, &hpet, 8);
	table(HPET, "HPET", 56);
	put(MCFG + 44, &ecam, 8);
	memory[MCFG + 55] = 0xff;
	table(MCFG, "MCFG", 60);
	for (unsigned i = 0; i < 4; i++)
		put32(ROOT + 36 + 4 * i, (uint32_t)tables[i]);
	table(ROOT, "RSDT", 36 + 16);
	put(RSDP, "RSD PTR ", 8);
	put32(RSDP + 16, ROOT);
	fix_sum(RSDP, 20, 8);
}

static int setup(void **state)
{
	(void)state;
	make_machine();
	return 0;
}

static void test_whole_machine(void **state)
{
	(void)state;
	assert_int_equal(acpi_parse(NULL, 0, &info), 0);
	assert_int_equal(warnings, 0);
	assert_true(info.has_madt && info.has_pic && info.has_fadt && info.has_reset &&
		    info.has_s5);
	assert_int_equal(info.lapic_base, 0x1fee00000);
	assert_int_equal(info.n_cpus, 3);
	assert_int_equal(info.cpus[1].apic_id, 2);
	assert_int_equal(info.cpus[2].apic_id, 256);
	assert_int_equal(info.cpus[2].uid, 9);
	assert_int_equal(info.n_ioapics, 1);
	assert_int_equal(info.ioapics[0].address, 0xfec00000);
	assert_int_equal(info.n_overrides, 2);
	assert_int_equal(info.overrides[0].gsi, 2);
	assert_int_equal(info.overrides[1].flags, 13);
	assert_int_equal(info.n_nmis, 1);
	assert_true(info.nmis[0].all);
	assert_int_equal(info.nmis[0].lint, 1);
	assert_int_equal(info.pm1a_control, 0x604);
	assert_int_equal(info.pm_timer, 0x608);
	assert_int_equal(info.smi_command, 0xb2);
	assert_int_equal(info.acpi_enable, 0xf1);
	assert_int_equal(info.century, 0x32);
	assert_int_equal(info.reset.address, 0xcf9);
	assert_int_equal(info.reset_value, 6);
	assert_int_equal(info.s5_a, 5);
	assert_int_equal(info.s5_b, 3);
	assert_int_equal(info.hpet, 0xfed00000);
	assert_int_equal(info.n_mcfg, 1);
	assert_int_equal(info.mcfg[0].base, 0xb0000000);
	assert_int_equal(info.mcfg[0].last_bus, 255);
	assert_int_equal(info.n_tables, 6);
}

static void test_xsdt(void **state)
{
	uint64_t at = 0x70000, madt = MADT;
	uint8_t copy[36];

	(void)state;
	put(at + 36, &madt, 8);
	table(at, "XSDT", 44);
	memory[RSDP + 15] = 2;
	put32(RSDP + 20, 36);
	put(RSDP + 24, &at, 8);
	fix_sum(RSDP, 20, 8);
	fix_sum(RSDP, 36, 32);
	memcpy(copy, memory + RSDP, 36);
	memset(memory + RSDP, 0, 36); /* UEFI: nothing in low memory */
	assert_int_equal(acpi_parse(copy, 36, &info), 0);
	assert_int_equal(info.n_tables, 2);
	assert_true(info.has_madt);
	/* a broken XSDT: the RSDT is taken */
	memory[at + 40] ^= 1;
	assert_int_equal(acpi_parse(copy, 36, &info), 0);
	assert_int_equal(info.n_tables, 6);
	assert_int_equal(warnings, 1);
	/* an old loader copies 20 bytes only */
	assert_int_equal(acpi_parse(copy, 20, &info), 0);
	assert_int_equal(info.n_tables, 6);
}

static void test_rsdp_in_ebda(void **state)
{
	(void)state;
	memcpy(memory + 0x9fc00 + 0x3f0 - 16, memory + RSDP, 20);
	memset(memory + RSDP, 0, 36);
	assert_int_equal(acpi_parse(NULL, 0, &info), -HVE_NOENT);
	memory[0x40e] = 0xc0;
	memory[0x40f] = 0x9f;
	assert_int_equal(acpi_parse(NULL, 0, &info), 0);
}

static void test_bad_rsdp(void **state)
{
	uint8_t copy[20];

	(void)state;
	memcpy(copy, memory + RSDP, 20);
	copy[9] ^= 1;
	assert_int_equal(acpi_parse(copy, 20, &info), 0); /* found in memory */
	memory[RSDP + 9] ^= 1;
	assert_int_equal(acpi_parse(copy, 20, &info), -HVE_NOENT);
	assert_int_equal(acpi_parse(copy, 3, &info), -HVE_NOENT);
	memory[RSDP + 9] ^= 1;
	put(ROOT, "XXXX", 4);
	table(ROOT, "XXXX", 52);
	assert_int_equal(acpi_parse(NULL, 0, &info), -HVE_NOENT);
}

static void test_bad_tables_are_left_out(void **state)
{
	(void)state;
	memory[MADT + 50] ^= 0xff; /* wrong sum */
	put32(HPET + 4, 35);       /* shorter than its header */
	put32(MCFG + 4, 0xffffffff);
	put32(ROOT + 36 + 4, 0xfffffff0); /* FADT outside memory */
	fix_sum(ROOT, 52, 9);
	assert_int_equal(acpi_parse(NULL, 0, &info), 0);
	assert_int_equal(warnings, 3);
	assert_int_equal(info.n_tables, 1);
	assert_false(info.has_madt || info.has_fadt);
	assert_int_equal(info.hpet, 0);
	assert_int_equal(info.n_mcfg, 0);
}

static void test_broken_records(void **state)
{
	static const struct {
		unsigned at;
		uint8_t value;
	} lies[] = {{1, 0}, {1, 1}, {1, 255}};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		make_machine();
		memory[MADT + 44 + 8 + lies[i].at] = lies[i].value; /* the second CPU's record */
		fix_sum(MADT, 44 + sizeof(madt_records), 9);
		assert_int_equal(acpi_parse(NULL, 0, &info), 0);
		assert_int_equal(info.n_cpus, 1);
		assert_int_equal(warnings, 1);
	}
	/* shorter than its type needs: skipped */
	make_machine();
	memory[MADT + 44 + 1] = 4;
	memory[MADT + 44 + 4] = 3;
	memory[MADT + 44 + 5] = 4;
	fix_sum(MADT, 44 + sizeof(madt_records), 9);
	assert_int_equal(acpi_parse(NULL, 0, &info), 0);
	assert_int_equal(info.n_cpus, 2);
}

static void test_too_many(void **state)
{
	uint32_t n = 400;

	(void)state;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t r[16] = {9, 16, 0, 0, (uint8_t)i, (uint8_t)(i >> 8), 0, 0, 1};

		put(MADT + 44 + i * 16, r, 16);
	}
	table(MADT, "APIC", 44 + n * 16);
	assert_int_equal(acpi_parse(NULL, 0, &info), 0);
	assert_int_equal(info.n_cpus, ACPI_CPUS_MAX);
	assert_int_equal(info.n_cpus_dropped, 400 - ACPI_CPUS_MAX);
}

/* The name may lie on any boundary of the parser's pieces, in several spellings. */
static void test_s5(void **state)
{
	static const uint8_t root_name[] = {0x08, '\\', '_', 'S', '5', '_', 0x12,
					    0x0a, 4,    1,   0,   0,   0};
	static const uint8_t long_length[] = {0x08, '_', 'S',  '5', '_', 0x12, 0x46,
					      0x00, 4,   0x0a, 7,   0,   0,    0};
	static const uint8_t too_big[] = {0x08, '_',  'S', '5', '_', 0x12, 0x06,
					  4,    0x0a, 8,   0,   0,   0};
	static const uint8_t no_package[] = {0x08, '_',  'S', '5', '_', 0x0d, 0x06,
					     4,    0x0a, 1,   0,   0,   0};
	static const uint8_t truncated[] = {0x08, '_', 'S', '5', '_'};

	(void)state;
	for (unsigned offset = 0; offset < 600; offset++) {
		make_dsdt(s5, sizeof(s5), offset);
		assert_int_equal(acpi_parse(NULL, 0, &info), 0);
		assert_true(info.has_s5);
		assert_int_equal(info.s5_a, 5);
	}
	make_dsdt(root_name, sizeof(root_name), 77);
	assert_int_equal(acpi_parse(NULL, 0, &info), 0);
	assert_true(info.has_s5);
	assert_int_equal(info.s5_a, 1);
	make_dsdt(long_length, sizeof(long_length), 5);
	assert_int_equal(acpi_parse(NULL, 0, &info), 0);
	assert_int_equal(info.s5_a, 7);
	make_dsdt(too_big, sizeof(too_big), 5);
	assert_int_equal(acpi_parse(NULL, 0, &info), 0);
	assert_false(info.has_s5);
	make_dsdt(no_package, sizeof(no_package), 5);
	assert_int_equal(acpi_parse(NULL, 0, &info), 0);
	assert_false(info.has_s5);
	make_dsdt(truncated, sizeof(truncated), 5);
	assert_int_equal(acpi_parse(NULL, 0, &info), 0);
	assert_false(info.has_s5);
}

static void test_short_fadt(void **state)
{
	(void)state;
	make_fadt(116); /* ACPI 1.0: no reset register */
	assert_int_equal(acpi_parse(NULL, 0, &info), 0);
	assert_true(info.has_fadt && info.has_s5);
	assert_false(info.has_reset);
	make_fadt(44);
	assert_int_equal(acpi_parse(NULL, 0, &info), 0);
	assert_int_equal(info.pm1a_control, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_whole_machine, setup),
		cmocka_unit_test_setup(test_xsdt, setup),
		cmocka_unit_test_setup(test_rsdp_in_ebda, setup),
		cmocka_unit_test_setup(test_bad_rsdp, setup),
		cmocka_unit_test_setup(test_bad_tables_are_left_out, setup),
		cmocka_unit_test_setup(test_broken_records, setup),
		cmocka_unit_test_setup(test_too_many, setup),
		cmocka_unit_test_setup(test_s5, setup),
		cmocka_unit_test_setup(test_short_fadt, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
