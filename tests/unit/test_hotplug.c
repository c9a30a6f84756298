/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/vmm/state.c
// SRC: ctrl-kernel/vmm/bus.c
// SRC: ctrl-kernel/vmm/hotplug.c
// SRC: ctrl-kernel/vmm/pci.c
// SRC: ctrl-kernel/vmm/platform.c
// SRC: ctrl-kernel/vmm/rtc.c
/* The registers of hot-plug, their event, and what follows the configuration; devices are bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/vmm_devices.h"

enum { UP = 0x640, DOWN = 0x644, EJECT = 0x648, GPE = 0x620, GPE_ENABLE = 0x622 };
enum { DISK0 = 1 << 4, DISK1 = 1 << 5, NIC0 = 1 << 12 };

static struct vmm_state state;
static struct vm vm;

static uint32_t in(unsigned port, unsigned width)
{
	uint64_t mask = (1ull << width * 8) - 1;

	return (uint32_t)(bus_access(&vm.bus, HV_PIO_READ, port, width, 0) & mask);
}

static void out(unsigned port, unsigned width, uint32_t value)
{
	bus_access(&vm.bus, HV_PIO_WRITE, port, width, value);
}

static void config_set(uint32_t present, uint32_t unplug)
{
	devices_present = present;
	devices_config.unplug = unplug;
	devices_config.slots_seq++;
	hotplug_sync(&vm);
	assert_null(state_check(&state));
}

/* Another instance; what is attached is what was there. */
static void dies(void)
{
	memset(&vm, 0, sizeof(vm));
	vm.config = &devices_config;
	vm.state = &state;
	hotplug_attach(&vm);
	pci_attach(&vm);
	platform_attach(&vm);
	assert_null(state_check(&state));
	devices_plugged = hotplug_there(&vm);
	hotplug_sync(&vm);
}

static int setup(void **unused)
{
	(void)unused;
	devices_config.slots_seq = 1;
	devices_config.unplug = 0;
	devices_present = DISK0;
	devices_plugged = 0;
	devices_told = 0;
	devices_make(&vm, &state);
	return 0;
}

static void test_plug(void **unused)
{
	(void)unused;
	assert_int_equal(devices_plugged, DISK0); /* from the start: no event */
	assert_int_equal(devices_slots, DISK0);
	assert_int_equal(in(UP, 4), 0);
	assert_int_equal(in(GPE, 2), 0);
	out(GPE_ENABLE, 2, 2);
	assert_int_equal(devices_slots, VMM_SLOTS_HEARD | DISK0);
	config_set(DISK0 | NIC0, 0);
	assert_int_equal(devices_plugged, DISK0 | NIC0);
	assert_int_equal(devices_slots, VMM_SLOTS_HEARD | DISK0 | NIC0);
	assert_int_equal(vm.slots_seq, devices_config.slots_seq);
	assert_int_equal(in(UP, 4), NIC0);
	assert_int_equal(in(GPE, 2), 2);
	out(GPE, 2, 2); /* a level: it stays until what came was read and cleared */
	assert_int_equal(in(GPE, 2), 2);
	out(UP, 4, DISK0);
	assert_int_equal(in(UP, 4), NIC0);
	out(UP, 4, NIC0);
	out(UP, 4, NIC0); /* twice is once */
	assert_int_equal(in(UP, 4), 0);
	assert_int_equal(in(GPE, 2), 0);
	assert_int_equal(devices_plugged, DISK0 | NIC0);
}

static void test_unplug(void **unused)
{
	(void)unused;
	out(EJECT, 4, DISK0); /* not asked for */
	assert_int_equal(devices_plugged, DISK0);
	assert_int_equal(devices_told, 0);
	config_set(DISK0, DISK0);
	assert_int_equal(in(DOWN, 4), DISK0);
	assert_int_equal(in(GPE, 2), 2);
	out(DOWN, 4, DISK0);
	assert_int_equal(in(DOWN, 4), 0);
	config_set(DISK0, DISK0); /* asked once */
	assert_int_equal(in(DOWN, 4), 0);
	out(EJECT, 2, DISK0); /* not that width */
	out(EJECT, 4, DISK1 | NIC0 | 1);
	assert_int_equal(devices_plugged, DISK0);
	out(EJECT, 4, UINT32_MAX);
	assert_int_equal(devices_plugged, 0);
	assert_int_equal(devices_slots, 0);
	config_set(DISK0, DISK0); /* not put in again before its owner has heard of it */
	assert_int_equal(devices_plugged, 0);
	config_set(0, 0);
	config_set(DISK0, 0); /* another one */
	assert_int_equal(devices_plugged, DISK0);
	assert_int_equal(in(UP, 4), DISK0);
}

static void test_withdrawn(void **unused)
{
	(void)unused;
	config_set(DISK0, DISK0);
	config_set(DISK0, 0);
	assert_int_equal(in(DOWN, 4), 0);
	out(EJECT, 4, DISK0);
	assert_int_equal(devices_plugged, DISK0);
	config_set(DISK0, DISK0); /* and once more */
	assert_int_equal(in(DOWN, 4), DISK0);
}

static void test_forced(void **unused)
{
	(void)unused;
	config_set(DISK0, DISK0);
	config_set(0, 0);
	assert_int_equal(devices_plugged, 0);
	assert_int_equal(in(DOWN, 4), 0);
	assert_int_equal(in(GPE, 2), 0);
	assert_int_equal(devices_slots, 0);
}

/* The guest that boots finds what is there; what its owner wants back is not. */
static void test_reset(void **unused)
{
	(void)unused;
	config_set(DISK0 | DISK1, 0);
	config_set(DISK0 | DISK1, DISK1);
	devices_reset(&vm);
	assert_int_equal(devices_plugged, DISK0);
	assert_int_equal(devices_slots, DISK0);
	assert_int_equal(in(UP, 4) | in(DOWN, 4) | in(GPE, 2), 0);
	config_set(DISK0, 0);
	config_set(DISK0 | DISK1, 0);
	assert_int_equal(devices_plugged, DISK0 | DISK1);
}

static void word(uint64_t there, uint64_t up, uint64_t down, uint64_t ejected)
{
	state.hotplug.slots = there | up << 16 | down << 32 | ejected << 48;
}

/* Between any two stores. */
static void test_dies(void **unused)
{
	(void)unused;
	config_set(DISK0 | DISK1, 0);
	out(UP, 4, DISK1);
	dies();
	assert_int_equal(devices_plugged, DISK0 | DISK1);
	assert_int_equal(in(UP, 4), 0);
	word(DISK0 | DISK1, DISK1, 0, DISK1); /* in the middle of putting it in */
	dies();
	assert_int_equal(devices_plugged, DISK0 | DISK1);
	assert_int_equal(in(UP, 4), DISK1);
	out(UP, 4, DISK1);
	devices_config.unplug = DISK1;
	dies();
	assert_int_equal(in(DOWN, 4), DISK1);
	word(DISK0 | DISK1, 0, 0, DISK1); /* of taking it out, for the guest has ejected it */
	dies();
	assert_int_equal(devices_plugged, DISK0);
	assert_int_equal(devices_slots, DISK0);
	dies();
	assert_int_equal(devices_plugged, DISK0);
	devices_config.unplug = 0;
	devices_present = DISK0;
	dies();
	devices_present = DISK0 | DISK1;
	dies();
	assert_int_equal(devices_plugged, DISK0 | DISK1);
	devices_present = DISK1; /* of taking it out, for it is to go */
	word(DISK0 | DISK1, 0, 0, DISK0);
	dies();
	assert_int_equal(devices_plugged, DISK1);
	assert_int_equal(state.hotplug.slots >> 48, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_plug, setup),
		cmocka_unit_test_setup(test_unplug, setup),
		cmocka_unit_test_setup(test_withdrawn, setup),
		cmocka_unit_test_setup(test_forced, setup),
		cmocka_unit_test_setup(test_reset, setup),
		cmocka_unit_test_setup(test_dies, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
