/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/plat/irq.c
/* Device interrupts: ACPI's overrides, masking of level interrupts, MSI addresses, release, vectors of hv's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "hv/abi/hv_abi.h"
#include "hv/cpu/cpu.h"
#include "hv/mm/init.h"
#include "hv/plat/acpi.h"
#include "hv/plat/init.h"
#include "hv/plat/ioapic.h"
#include "hv/plat/lapic.h"
#include "hv/plat/timer_inner.h"

#define PINS 24u

struct acpi_info acpi;
static struct cpu boot_cpu = {.apic_id = 3};
struct cpu *cpus[HV_CPUS_MAX] = {&boot_cpu};
static struct {
	bool routed, masked, level, low;
	unsigned vector;
	uint32_t apic_id;
} pins[PINS];
static unsigned eois, timer_calls, flushes, kicks, fired;
static bool masked_when_fired;

struct cpu *this_cpu(void)
{
	return &boot_cpu;
}

bool ioapic_has(unsigned gsi)
{
	return gsi < PINS;
}

void ioapic_route(unsigned gsi, unsigned vector, uint32_t apic_id, bool level, bool low)
{
	pins[gsi].routed = pins[gsi].masked = true;
	pins[gsi].vector = vector;
	pins[gsi].apic_id = apic_id;
	pins[gsi].level = level;
	pins[gsi].low = low;
}

void ioapic_mask(unsigned gsi, bool masked)
{
	pins[gsi].masked = masked;
}

void lapic_eoi(void)
{
	eois++;
}

void timer_interrupt(void)
{
	timer_calls++;
}

void mm_flush_tlb(void)
{
	flushes++;
}

static void kick(void)
{
	kicks++;
}

static void fire(void *ctx)
{
	fired++;
	if (ctx != NULL)
		masked_when_fired = pins[*(unsigned *)ctx].masked;
}

static int setup(void **state)
{
	(void)state;
	memset(&acpi, 0, sizeof(acpi));
	memset(pins, 0, sizeof(pins));
	eois = timer_calls = flushes = kicks = fired = 0;
	irq_unclaimed = 0;
	return 0;
}

static void override(uint8_t irq, uint32_t gsi, uint16_t flags)
{
	acpi.overrides[acpi.n_overrides++] = (struct acpi_override){irq, flags, gsi};
}

static void test_overrides(void **state)
{
	static const struct {
		unsigned ask, flags, gsi;
		bool level, low;
	} cases[] = {
		{0, 0, 2, false, false},                     /* moved, flags as asked */
		{9, 0, 9, true, false},                      /* ACPI: level, high */
		{10, HVI_LEVEL | HVI_LOW, 10, false, false}, /* ACPI: edge, high */
		{11, 0, 11, true, true},
		{5, HVI_LEVEL, 5, true, false},            /* not mentioned */
		{20, HVI_LEVEL | HVI_LOW, 20, true, true}, /* no ISA interrupt */
	};

	(void)state;
	override(0, 2, 0);
	override(9, 9, 0xd);
	override(10, 10, 0x5);
	override(11, 11, 0xf);
	override(20, 21, 0xf);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned irq, gsi = cases[i].gsi;

		assert_int_equal(irq_alloc_gsi(cases[i].ask, cases[i].flags, fire, NULL, &irq), 0);
		assert_true(pins[gsi].routed && !pins[gsi].masked);
		assert_int_equal(pins[gsi].level, cases[i].level);
		assert_int_equal(pins[gsi].low, cases[i].low);
		assert_int_equal(pins[gsi].vector, VEC_FIRST_DEVICE + irq);
		assert_int_equal(pins[gsi].apic_id, 3);
		irq_release(irq);
		assert_true(pins[gsi].masked);
	}
}

static void test_refusals(void **state)
{
	unsigned irq = 77, other = 77;

	(void)state;
	assert_int_equal(irq_alloc_gsi(24, 0, fire, NULL, &irq), -HVE_NOENT);
	assert_int_equal(irq_alloc_gsi(4, 8, fire, NULL, &irq), -HVE_INVAL);
	assert_int_equal(irq, 77);
	assert_int_equal(irq_alloc_gsi(4, 0, fire, NULL, &irq), 0);
	assert_int_equal(irq_alloc_gsi(4, 0, fire, NULL, &other), -HVE_EXIST);
	irq_release(irq);
	irq_release(irq); /* twice, and nonsense: nothing */
	irq_release(100000);
	irq_unmask(100000);
	assert_true(pins[4].masked);
	irq_unmask(irq);
	assert_true(pins[4].masked); /* not his any more */
	assert_int_equal(irq_alloc_gsi(4, 0, fire, NULL, &other), 0);
	irq_release(other);
}

static void test_level_is_masked_until_ack(void **state)
{
	unsigned irq, gsi = 16;

	(void)state;
	assert_int_equal(irq_alloc_gsi(gsi, HVI_LEVEL, fire, &gsi, &irq), 0);
	irq_dispatch(VEC_FIRST_DEVICE + irq);
	assert_int_equal(fired, 1);
	assert_true(masked_when_fired && pins[gsi].masked);
	assert_int_equal(eois, 1);
	irq_unmask(irq);
	assert_false(pins[gsi].masked);
	irq_release(irq);
	irq_dispatch(VEC_FIRST_DEVICE + irq); /* a late one */
	assert_int_equal(fired, 1);
	assert_int_equal(irq_unclaimed, 1);
	assert_int_equal(eois, 2);
}

static void test_msi(void **state)
{
	unsigned irqs[300], n = 0;
	uint64_t address;
	uint32_t data;

	(void)state;
	while (n < 300 && irq_alloc_msi(fire, NULL, &irqs[n], &address, &data) == 0) {
		assert_int_equal(address, 0xfee03000);
		assert_in_range(data, VEC_FIRST_DEVICE, VEC_LAST_DEVICE);
		irq_dispatch(data);
		assert_int_equal(fired, ++n);
	}
	assert_int_equal(n, VEC_LAST_DEVICE - VEC_FIRST_DEVICE + 1);
	assert_int_equal(irq_alloc_msi(fire, NULL, &irqs[0], &address, &data), -HVE_LIMIT);
	for (unsigned i = 0; i < n; i++)
		irq_release(irqs[i]);
	assert_int_equal(irq_alloc_msi(fire, NULL, &irqs[0], &address, &data), 0);
	irq_release(irqs[0]);
}

static void test_own_vectors(void **state)
{
	(void)state;
	irq_dispatch(VEC_TIMER);
	assert_int_equal(timer_calls, 1);
	irq_dispatch(VEC_FLUSH);
	assert_int_equal(flushes, 1);
	irq_dispatch(VEC_KICK); /* only wakes */
	irq_set_ipi_handler(VEC_KICK, kick);
	irq_dispatch(VEC_KICK);
	assert_int_equal(kicks, 1);
	assert_int_equal(eois, 4);
	irq_dispatch(VEC_SPURIOUS);
	assert_int_equal(eois, 4);
	assert_int_equal(irq_unclaimed, 0);
	irq_dispatch(0x27); /* a PIC's */
	assert_int_equal(irq_unclaimed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_overrides, setup),
		cmocka_unit_test_setup(test_refusals, setup),
		cmocka_unit_test_setup(test_level_is_masked_until_ack, setup),
		cmocka_unit_test_setup(test_msi, setup),
		cmocka_unit_test_setup(test_own_vectors, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
