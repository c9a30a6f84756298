/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/vmm/state.c
// SRC: ctrl-kernel/vmm/hotplug.c
// SRC: ctrl-kernel/vmm/bus.c
// SRC: ctrl-kernel/vmm/pci.c
// SRC: ctrl-kernel/vmm/platform.c
// SRC: ctrl-kernel/vmm/rtc.c
/* What a vmm finds in its survivor pages: each rule of what it takes over, and every single bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/vmm_devices.h"

#define AT(field) offsetof(struct vmm_state, field), sizeof(((struct vmm_state *)0)->field)
#define CELL(n) offsetof(struct vmm_state, rtc.cmos) + (n), 1
#define PCI(slot, reg, bytes)                                                                      \
	offsetof(struct vmm_state, pci.config) + (slot)*PCI_CONFIG_BYTES + (reg), bytes

static struct vmm_state state;
static struct vmm_status status;
static struct vm vm;

static int setup(void **unused)
{
	(void)unused;
	devices_make(&vm, &state);
	memset(&status, 0, sizeof(status));
	status.version = STATE_VERSION;
	status.phase = VMM_RUNNING;
	return 0;
}

static void put(size_t at, size_t bytes, uint64_t value)
{
	memcpy((uint8_t *)&state + at, &value, bytes);
}

static const struct rule {
	size_t at, bytes;
	uint64_t value;
	const char *why; /* NULL: taken */
} rules[] = {
	{AT(magic), 0, "no device state"},
	{AT(version), STATE_VERSION - 1, "another version"},
	{AT(version), STATE_VERSION + 1, "another version"},
	{AT(boot), 0, "whether the guest was booted"},
	{AT(boot), 1, "whether the guest was booted"},
	{AT(boot), BOOT_NEEDED, NULL},
	{AT(boot), BOOT_READY, NULL},
	{AT(reserved), 1, "reserved"},
	{AT(command_done), 0, "which command"},
	{AT(command_done), (uint64_t)~5u << 32 | 5, NULL},
	{AT(command_done), (uint64_t)~5u << 32 | 4, "which command"},
	{AT(pm.pm1_status), 0x120, NULL},
	{AT(pm.pm1_status), 0x400, "power management"},
	{AT(pm.pm1_status), 0x001, "power management"},
	{AT(pm.pm1_enable), 0x521, NULL},
	{AT(pm.pm1_enable), 0x002, "power management"},
	{AT(pm.pm1_enable), 0x8000, "power management"},
	{AT(pm.pm1_control), 0xdfff, NULL},
	{AT(pm.pm1_control), 0x2000, "power management"},
	{AT(pm.gpe0_status), 1, "power management"},
	{AT(pm.gpe0_enable), 0xffff, NULL},
	{AT(pm.reset_control), 0x0a, NULL},
	{AT(pm.reset_control), 0x04, "reset register"},
	{AT(pm.reset_control), 0x10, "reset register"},
	{AT(pm.reserved), 0x80, "power management"},
	{AT(rtc.offset_s), (uint64_t)253402300799, NULL},
	{AT(rtc.offset_s), (uint64_t)253402300800, "no time there is"},
	{AT(rtc.offset_s), (uint64_t)-18446744073, NULL},
	{AT(rtc.offset_s), (uint64_t)-18446744074, "no time there is"},
	{AT(rtc.offset_s), (uint64_t)INT64_MAX, "no time there is"},
	{AT(rtc.offset_s), (uint64_t)INT64_MIN, "no time there is"},
	{AT(rtc.index), 127, NULL},
	{AT(rtc.index), 128, "CMOS index"},
	{AT(rtc.reserved), 1, "reserved bytes of the clock"},
	{offsetof(struct vmm_state, rtc.reserved) + 6, 1, 1, "reserved bytes of the clock"},
	{CELL(0x0a), 0x7f, NULL},
	{CELL(0x0a), 0x80, "clock's registers"},
	{CELL(0x0b), 0xff, NULL},
	{CELL(0x0c), 0x10, "clock's registers"},
	{CELL(0x0d), 0x00, "clock's registers"},
	{CELL(0x0d), 0x81, "clock's registers"},
	{CELL(0x00), 0xff, NULL},
	{CELL(0x7f), 0xff, NULL},
	{AT(pci.address), 0x80fffffc, NULL},
	{AT(pci.address), 1, "PCI address"},
	{AT(pci.address), 0x40000000, "PCI address"},
	{AT(pci.reserved), 1, "PCI address"},
	{AT(hotplug.slots), 0x10, NULL},
	{AT(hotplug.slots), 0x8, "hot-plug"}, /* not that slot */
	{AT(hotplug.slots), 0x00100010, NULL},
	{AT(hotplug.slots), 0x00100000, "hot-plug"}, /* nothing is there that could have come */
	{AT(hotplug.slots), 0x001000000010, NULL},
	{AT(hotplug.slots), 0x002000000010, "hot-plug"},
	{AT(hotplug.slots), 0x0010000000000010, NULL}, /* being taken out */
	{AT(hotplug.slots), 0x0010001000000010, "hot-plug"},
	{AT(hotplug.slots), 0x0008000000000000, "hot-plug"},
	{PCI(0, 0x00, 2), 0x8086, "nobody can write"},
	{PCI(0, 0x00, 2), 0, "nobody can write"},
	{PCI(0, 0x04, 2), 0x0406, NULL},
	{PCI(0, 0x04, 2), 0x0001, "nobody can write"}, /* I/O space: there are no ports */
	{PCI(0, 0x06, 2), 0x0010, "nobody can write"}, /* a list of capabilities */
	{PCI(0, 0x09, 3), 0x020000, "nobody can write"},
	{PCI(0, 0x10, 4), 0xfe000000, "nobody can write"}, /* a BAR */
	{PCI(0, 0x24, 4), 0x10, "nobody can write"},
	{PCI(0, 0x34, 1), 0x40, "nobody can write"},
	{PCI(0, 0x3c, 1), 0xff, NULL},
	{PCI(0, 0x3d, 1), 1, "nobody can write"},
	{PCI(0, 0xff, 1), 1, "nobody can write"},
	{PCI(1, 0x00, 2), 0x1b36, "nobody can write"}, /* an empty slot */
	{PCI(1, 0x04, 2), 0x0004, "nobody can write"},
	{PCI(1, 0x3c, 1), 5, "nobody can write"},
	{PCI(7, 0xff, 1), 1, "nobody can write"},
};

static void test_rules(void **unused)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct rule *r = &rules[i];
		const char *why;

		setup(unused);
		assert_null(state_check(&state));
		put(r->at, r->bytes, r->value);
		why = state_check(&state);
		if (!r->why && why)
			fail_msg("rule %u: refused, %s", i, why);
		if (r->why && (!why || !strstr(why, r->why)))
			fail_msg("rule %u: %s, not %s", i, why ? why : "taken", r->why);
	}
}

/* So many bits may be the other way round: those that some access of a guest changes. A bit that loses its rule is seen. */
static unsigned free_bits(size_t from, size_t to)
{
	unsigned n = 0;

	for (size_t bit = from * 8; bit < to * 8; bit++) {
		uint8_t *byte = (uint8_t *)&state + bit / 8;

		*byte ^= (uint8_t)(1u << bit % 8);
		n += state_check(&state) == NULL;
		*byte ^= (uint8_t)(1u << bit % 8);
	}
	return n;
}

static void test_every_bit(void **unused)
{
	(void)unused;
	assert_int_equal(free_bits(0, offsetof(struct vmm_state, pm)), 0);
	assert_int_equal(free_bits(offsetof(struct vmm_state, pm),
				   offsetof(struct vmm_state, pm) + sizeof(state.pm)),
			 2 + 4 + 15 + 16 + 2);
	/* From 0, 38 of the offset's keep it within the year 9999. */
	assert_int_equal(
		free_bits(offsetof(struct vmm_state, rtc), offsetof(struct vmm_state, rtc.cmos)),
		38 + 7);
	assert_int_equal(
		free_bits(offsetof(struct vmm_state, rtc.cmos), offsetof(struct vmm_state, pci)),
		(CMOS_BYTES - 3) * 8 + 7);
	assert_int_equal(
		free_bits(offsetof(struct vmm_state, pci), offsetof(struct vmm_state, virtio)),
		23 + 3 + 8 +
			2 * 12); /* the last: slots in which something may be, or was ejected */
}

/* A vmm may die anywhere in the first boot's reset of the devices. */
static void test_half_made(void **unused)
{
	(void)unused;
	state.boot = BOOT_NEEDED;
	memset(&state.pci, 0, sizeof(state.pci));
	assert_null(state_check(&state));
	state.pci.config[0][0x02] = 0x08; /* of the device's number, before the vendor's */
	assert_null(state_check(&state));
	memset(&state.rtc, 0, sizeof(state.rtc));
	assert_null(state_check(&state));
	state.rtc.cmos[0x0a] = 0x26;
	assert_null(state_check(&state));
	state.pci.config[0][0x02] = 0x07;
	assert_non_null(state_check(&state));
	state.pci.config[0][0x02] = 0;
	state.boot = BOOT_DONE;
	assert_non_null(state_check(&state));
}

static void test_status(void **unused)
{
	(void)unused;
	assert_null(status_check(&status, &state, true));
	status.phase = VMM_OFF; /* told, but the VM not stopped yet */
	assert_null(status_check(&status, &state, true));
	status.phase = VMM_BAD_STATE + 1;
	assert_non_null(status_check(&status, &state, true));
	status.phase = VMM_FAILED;
	assert_non_null(status_check(&status, &state, false));
	state.boot = BOOT_NEEDED;
	assert_null(status_check(&status, &state, false));
	assert_non_null(status_check(&status, &state, true));
	state.boot = BOOT_DONE;
	setup(unused);
	status.version = 0;
	assert_non_null(status_check(&status, &state, true));
	setup(unused);
	status.boot_kind = 4;
	assert_non_null(status_check(&status, &state, true));
	setup(unused);
	memset(status.text, 'x', sizeof(status.text));
	assert_non_null(status_check(&status, &state, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_rules, setup),
		cmocka_unit_test_setup(test_every_bit, setup),
		cmocka_unit_test_setup(test_half_made, setup),
		cmocka_unit_test_setup(test_status, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
