/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/vmm/tables.c
// SRC: ctrl-kernel/vmm/guest.c
/* The ACPI tables as a guest would walk them: found by scan, checksums, every CPU, the fixed registers. */
#include "tests/unit/vmm_image.h"

#include "ctrl-kernel/vmm/acpi.h"
#include "ctrl-kernel/vmm/tables.h"

static uint8_t dsdt[200];

static uint8_t sum(const void *p, size_t n)
{
	uint8_t s = 0;

	for (size_t i = 0; i < n; i++)
		s = (uint8_t)(s + ((const uint8_t *)p)[i]);
	return s;
}

static const void *table(const struct guest *g, const char *signature)
{
	const struct acpi_rsdp *r = (const void *)(g->ram + TABLES_RSDP);
	const struct acpi_header *x = (const void *)(g->ram + r->xsdt);

	assert_memory_equal(r->signature, "RSD PTR ", 8);
	assert_int_equal(sum(r, 20), 0);
	assert_int_equal(sum(r, 36), 0);
	assert_memory_equal(x->signature, "XSDT", 4);
	assert_int_equal(sum(x, x->length), 0);
	for (uint32_t at = sizeof(*x); at < x->length; at += 8) {
		const struct acpi_header *h = (const void *)(g->ram +
							     get64((const uint8_t *)x, at));

		assert_int_equal(sum(h, h->length), 0);
		if (memcmp(h->signature, signature, 4) == 0)
			return h;
	}
	fail_msg("no %s", signature);
	return NULL;
}

static void test_fadt(void **state)
{
	struct guest g = guest_make(2 * MEBI);
	const struct acpi_fadt *f;
	const struct acpi_facs *s;

	(void)state;
	assert_true(tables_build(&g, 1, dsdt, sizeof(dsdt)));
	f = table(&g, "FACP");
	assert_int_equal(f->h.length, 276);
	assert_int_equal(f->x_dsdt, f->dsdt);
	assert_memory_equal(g.ram + f->dsdt, dsdt, sizeof(dsdt));
	s = (const void *)(g.ram + f->facs);
	assert_memory_equal(s->signature, "FACS", 4);
	assert_int_equal(f->facs % 64, 0);
	assert_int_equal(f->pm1a_control, 0x604);
	assert_int_equal(f->x_pm1a_control.address, 0x604);
	assert_int_equal(f->x_pm1a_control.bits, 16);
	assert_int_equal(f->pm_timer, 0x608);
	assert_int_equal(f->x_pm_timer.bits, 32);
	assert_int_equal(f->reset.address, 0xcf9);
	assert_int_equal(f->reset_value, 6);
	assert_int_equal(f->flags & 0x530,
			 0x520);               /* reset, 32-bit timer, fixed power button only */
	assert_int_equal(f->boot_arch & 2, 0); /* no 8042 */
	assert_int_equal(f->smi_command, 0);
	free(g.ram);
}

static void test_madt(void **state)
{
	struct guest g = guest_make(2 * MEBI);

	(void)state;
	for (unsigned n = 1; n <= HV_VCPUS_MAX; n++) {
		unsigned cpus = 0, overrides = 0, ioapics = 0;
		const uint8_t *m;

		assert_true(tables_build(&g, n, dsdt, sizeof(dsdt)));
		m = table(&g, "APIC");
		for (uint32_t at = 44; at < get32(m, 4); at += m[at + 1]) {
			assert_true(m[at + 1] >= 6);
			if (m[at] == 0)
				assert_int_equal(m[at + 3], cpus++);
			ioapics += m[at] == 1;
			overrides += m[at] == 2;
		}
		assert_int_equal(cpus, n);
		assert_int_equal(ioapics, 1);
		assert_int_equal(overrides, 2);
	}
	free(g.ram);
}

static void test_mcfg(void **state)
{
	struct guest g = guest_make(2 * MEBI);
	const struct acpi_mcfg *m;

	(void)state;
	assert_true(tables_build(&g, 2, dsdt, sizeof(dsdt)));
	m = table(&g, "MCFG");
	assert_int_equal(m->base, HV_GPA_ECAM);
	assert_int_equal(m->bus_last, 0);
	free(g.ram);
}

static void test_no_room(void **state)
{
	static uint8_t huge[GPA_TABLES_END - GPA_TABLES];
	struct guest g = guest_make(2 * MEBI), small = guest_make(GPA_TABLES_END - 1);

	(void)state;
	assert_false(tables_build(&g, 1, huge, sizeof(huge)));
	assert_false(tables_build(&g, 16, huge, sizeof(huge) - 600));
	assert_false(tables_build(&small, 1, dsdt, sizeof(dsdt)));
	assert_int_equal(g.ram[GPA_TABLES_END], 0xa5); /* nothing behind the area was touched */
	free(g.ram);
	free(small.ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fadt),
		cmocka_unit_test(test_madt),
		cmocka_unit_test(test_mcfg),
		cmocka_unit_test(test_no_room),
	};

	memcpy(dsdt, "DSDT", 4);
	put32(dsdt, 4, sizeof(dsdt));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
