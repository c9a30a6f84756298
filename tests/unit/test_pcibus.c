/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/vmm/bus.c
// SRC: ctrl-kernel/vmm/pci.c
// SRC: ctrl-kernel/vmm/platform.c
// SRC: ctrl-kernel/vmm/rtc.c
/* The vmm's bus and what is on it, driven as park.c does: PCI configuration, ACPI registers, reset ports, clock. */
#include "tests/unit/vmm_image.h"

#include <time.h>

#include "ctrl-kernel/vmm/pci.h"

static struct vmm_config config;
static struct vmm_state survivor;
static struct vm vm;
static uint64_t now;
static int irq_level[24];

uint64_t rt_now(void)
{
	return now;
}

void vm_irq(struct vm *v, unsigned gsi, bool level)
{
	assert_ptr_equal(v, &vm);
	irq_level[gsi] = level;
}

/* No hot-plug here: test_hotplug.c. */
static bool event, heard;

bool hotplug_event(const struct vm *v)
{
	return event;
}

void hotplug_heard(struct vm *v, bool on)
{
	heard = on;
}

void vm_claim(uint32_t space, uint64_t base, uint64_t len, uint32_t kind, uint32_t bit)
{
	fail_msg("no function here has a BAR");
}

void vm_unclaim(uint32_t space, uint64_t base, uint64_t len)
{
	fail_msg("no function here has a BAR");
}

static uint64_t in(unsigned port, unsigned width)
{
	uint64_t mask = width == 8 ? UINT64_MAX : (1ull << width * 8) - 1;

	return bus_access(&vm.bus, HV_PIO_READ, port, width, 0) & mask;
}

static void out(unsigned port, unsigned width, uint64_t value)
{
	bus_access(&vm.bus, HV_PIO_WRITE, port, width, value);
}

static void attach(void)
{
	memset(&vm, 0, sizeof(vm));
	vm.config = &config;
	vm.state = &survivor;
	pci_attach(&vm);
	platform_attach(&vm);
	rtc_attach(&vm);
}

static int setup(void **state)
{
	(void)state;
	now = 0;
	config.epoch_at_zero_ns = 0;
	memset(&survivor, 0, sizeof(survivor));
	attach();
	pci_reset(&vm);
	platform_reset(&vm);
	rtc_reset(&vm);
	return 0;
}

static void test_bus(void **state)
{
	(void)state;
	assert_int_equal(in(0x5ff, 1), 0xff);
	assert_int_equal(in(0x5ff, 2), 0xffff);     /* straddles the edge */
	assert_int_equal(in(0x60a, 4), 0xffffffff); /* the other edge */
	assert_int_equal(bus_access(&vm.bus, HV_MMIO_READ, 0xcf8, 4, 0), UINT64_MAX);
	assert_int_equal(bus_access(&vm.bus, HV_PIO_READ, UINT64_MAX, 1, 0), UINT64_MAX);
	assert_int_equal(bus_access(&vm.bus, HV_MMIO_READ, HV_GPA_ECAM + ECAM_BYTES - 4, 8, 0),
			 UINT64_MAX);
}

static uint32_t config_read(unsigned slot, unsigned reg)
{
	out(0xcf8, 4, 0x80000000u | slot << 11 | reg);
	return (uint32_t)in(0xcfc, 4);
}

static void test_pci_ports(void **state)
{
	(void)state;
	assert_int_equal(config_read(0, 0), 0x00081b36);
	assert_int_equal(config_read(0, 8) >> 8, 0x060000);
	assert_int_equal(in(0xcff, 1), 0x06);
	assert_int_equal(in(0xcfe, 2), 0x0600);
	assert_int_equal(in(0xcfd, 2), 0xffff); /* not aligned */
	assert_int_equal(config_read(0, 0xfc), 0);
	for (unsigned slot = 1; slot < 32; slot++)
		assert_int_equal(config_read(slot, 0), 0xffffffff);
	out(0xcf8, 4, 0x80000100); /* function 1 */
	assert_int_equal(in(0xcfc, 4), 0xffffffff);
	out(0xcf8, 4, 0x80010000); /* bus 1 */
	assert_int_equal(in(0xcfc, 4), 0xffffffff);
	out(0xcf8, 4, 0); /* not enabled */
	assert_int_equal(in(0xcfc, 4), 0xffffffff);
	out(0xcf8, 4, UINT64_MAX);
	assert_int_equal(in(0xcf8, 4), 0x80fffffc);
	assert_int_equal(in(0xcf8, 2), 0xffff); /* only doublewords */
}

static void test_pci_writes(void **state)
{
	(void)state;
	config_read(0, 0);
	out(0xcfc, 4, 0);
	assert_int_equal(in(0xcfc, 4), 0x00081b36);
	config_read(0, 4);
	out(0xcfc, 4, UINT32_MAX);
	assert_int_equal(in(0xcfc, 4), 0x0406);
	config_read(0, PCI_BAR0);
	out(0xcfc, 4, UINT32_MAX);
	assert_int_equal(in(0xcfc, 4), 0); /* the bridge has no BARs */
	config_read(0, PCI_INTERRUPT_LINE);
	out(0xcfc, 1, 11);
	assert_int_equal(in(0xcfc, 4), 11);
	attach(); /* a new instance finds it as it was */
	assert_int_equal(in(0xcfc, 4), 11);
	assert_int_equal(config_read(0, 4), 0x0406);
	pci_reset(&vm);
	assert_int_equal(config_read(0, 4), 0);
}

static uint64_t ecam(unsigned slot, unsigned function, unsigned reg, unsigned width)
{
	return bus_access(&vm.bus, HV_MMIO_READ,
			  HV_GPA_ECAM + (slot << 15) + (function << 12) + reg, width, 0);
}

static void test_ecam(void **state)
{
	(void)state;
	assert_int_equal(ecam(0, 0, 0, 4), 0x00081b36);
	assert_int_equal(ecam(0, 0, 2, 2), 0x0008);
	assert_int_equal(ecam(0, 0, 0x100, 4), 0); /* no extended capabilities */
	assert_int_equal((uint32_t)ecam(0, 1, 0, 4), UINT32_MAX);
	assert_int_equal((uint32_t)ecam(31, 7, 0xffc, 4), UINT32_MAX);
	assert_int_equal(ecam(0, 0, 0, 8), UINT64_MAX);
	bus_access(&vm.bus, HV_MMIO_WRITE, HV_GPA_ECAM + 4, 8, UINT64_MAX);
	assert_int_equal(ecam(0, 0, 4, 2), 0);
	bus_access(&vm.bus, HV_MMIO_WRITE, HV_GPA_ECAM + 0xffc, 4, UINT64_MAX);
	bus_access(&vm.bus, HV_MMIO_WRITE, HV_GPA_ECAM + 4, 2, 2);
	assert_int_equal(ecam(0, 0, 4, 2), 2);
}

static void test_power_button(void **state)
{
	(void)state;
	assert_int_equal(in(0x604, 2), 1); /* SCI_EN */
	platform_power_button(&vm);
	assert_int_equal(irq_level[9], 0);
	assert_int_equal(in(0x600, 2), 0x100);
	out(0x602, 2, 0xffff);
	assert_int_equal(in(0x600, 4), 0x05210100);
	assert_int_equal(irq_level[9], 1);
	attach();            /* and with a new vmm */
	out(0x600, 1, 0xff); /* the low byte does not clear the button */
	assert_int_equal(irq_level[9], 1);
	out(0x601, 1, 0x01);
	assert_int_equal(irq_level[9], 0);
	assert_int_equal(in(0x601, 1), 0);
	out(0x603, 1, 0); /* enable, high byte only */
	assert_int_equal(in(0x602, 2), 0x0021);
	platform_power_button(&vm);
	assert_int_equal(irq_level[9], 0);
	out(0x600, 4, 0x01000000); /* both registers at once */
	assert_int_equal(irq_level[9], 1);
	platform_reset(&vm);
	assert_int_equal(irq_level[9], 0);
}

static void test_sleep(void **state)
{
	(void)state;
	out(0x604, 2, 1 << 10 | 1 << 13); /* S1: there is none */
	assert_int_equal(vm.request, VM_REQ_NONE);
	out(0x604, 2, 5 << 10); /* without SLP_EN */
	assert_int_equal(vm.request, VM_REQ_NONE);
	assert_int_equal(in(0x604, 2), 5 << 10 | 1);
	out(0x605, 1, 5 << 2 | 1 << 5);
	assert_int_equal(vm.request, VM_REQ_OFF);
	assert_int_equal(in(0x604, 2), 5 << 10 | 1);
}

static void test_pm_timer(void **state)
{
	(void)state;
	now = 1000000000;
	assert_in_range(in(0x608, 4), 3579544, 3579545);
	now = 3600ull * 1000000000;
	assert_in_range(in(0x608, 4), (uint32_t)(3600ull * 3579545 - 1),
			(uint32_t)(3600ull * 3579545));
	assert_int_equal(in(0x609, 1), in(0x608, 4) >> 8 & 0xff);
	out(0x608, 4, 0);
	out(0x606, 2, 0xffff); /* between the blocks: nothing */
	assert_int_equal(in(0x606, 2), 0);
}

static void test_gpe(void **state)
{
	(void)state;
	event = true;
	assert_int_equal(irq_level[9], 0);
	assert_false(heard);
	out(0x622, 2, 0x8002);
	assert_int_equal(irq_level[9], 1);
	assert_true(heard);
	out(0x620, 1, 0xff); /* a level: it does not go by that */
	assert_int_equal(in(0x620, 2), 0x0002);
	out(0x622, 1, 0x01);
	assert_int_equal(in(0x620, 4), 0x80010002);
	assert_int_equal(irq_level[9], 0);
	assert_false(heard);
	out(0x620, 4, 0x00020002);
	assert_int_equal(irq_level[9], 1);
	event = false;
	platform_sci_update(&vm);
	assert_int_equal(irq_level[9], 0);
	assert_int_equal(in(0x620, 4), 0x00020000);
}

static void test_reset_ports(void **state)
{
	static const struct {
		unsigned port, value;
		enum vm_request expected;
	} writes[] = {
		{0xcf9, 0x02, VM_REQ_NONE},  {0xcf9, 0x06, VM_REQ_RESET},
		{0x64, 0xfe, VM_REQ_RESET},  {0x64, 0xad, VM_REQ_NONE},
		{0x92, 0x02, VM_REQ_NONE},   {0x92, 0x03, VM_REQ_RESET},
		{0xcf9, 0x0e, VM_REQ_RESET}, {0xcf9, 0xf1, VM_REQ_NONE},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(writes); i++) {
		vm.request = VM_REQ_NONE;
		out(writes[i].port, 1, writes[i].value);
		assert_int_equal(vm.request, writes[i].expected);
	}
	assert_int_equal(in(0x64, 1), 0xff);
	assert_int_equal(in(0x92, 1), 2);
	assert_int_equal(in(0xcf9, 1), 0);
}

static uint8_t cmos(unsigned index)
{
	out(0x70, 1, index);
	return (uint8_t)in(0x71, 1);
}

static void cmos_set(unsigned index, unsigned value)
{
	out(0x70, 1, index);
	out(0x71, 1, value);
}

static unsigned bcd(uint8_t v)
{
	return (v >> 4) * 10u + (v & 15u);
}

/* Against the C library, at the turns of many days, in BCD and 24 hours. */
static void test_rtc_dates(void **state)
{
	(void)state;
	for (int64_t t = 0; t < 8000000000; t += 86400 * 3 + 3599) {
		time_t when = (time_t)t;
		struct tm tm;

		config.epoch_at_zero_ns = (uint64_t)t * 1000000000u;
		gmtime_r(&when, &tm);
		assert_int_equal(bcd(cmos(0)), tm.tm_sec);
		assert_int_equal(bcd(cmos(2)), tm.tm_min);
		assert_int_equal(bcd(cmos(4)), tm.tm_hour);
		assert_int_equal(bcd(cmos(6)), tm.tm_wday + 1);
		assert_int_equal(bcd(cmos(7)), tm.tm_mday);
		assert_int_equal(bcd(cmos(8)), tm.tm_mon + 1);
		assert_int_equal(bcd(cmos(9)) + 100 * bcd(cmos(0x32)), tm.tm_year + 1900);
	}
}

static void test_rtc_formats(void **state)
{
	static const struct {
		unsigned hour, b;
		uint8_t cell;
	} hours[] = {
		{0, 0, 0x12},  {1, 0, 0x01}, {11, 0, 0x11}, {12, 0, 0x92}, {23, 0, 0x91},
		{23, 2, 0x23}, {23, 6, 23},  {0, 4, 12},    {13, 4, 0x81}, {12, 4, 0x8c},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(hours); i++) {
		config.epoch_at_zero_ns = hours[i].hour * 3600ull * 1000000000;
		cmos_set(0xb, hours[i].b);
		assert_int_equal(cmos(4), hours[i].cell);
		/* and what it shows can be set */
		config.epoch_at_zero_ns = 86400ull * 1000000000;
		survivor.rtc.offset_s = 0;
		cmos_set(4, hours[i].cell);
		assert_int_equal(survivor.rtc.offset_s, hours[i].hour * 3600);
		survivor.rtc.offset_s = 0;
	}
}

static void test_rtc_set(void **state)
{
	(void)state;
	config.epoch_at_zero_ns = 1700000000ull * 1000000000; /* 2023-11-14 22:13:20 */
	cmos_set(0xb, 0x82);
	now = 5000000000;
	assert_int_equal(cmos(0), 0x20); /* stands still */
	cmos_set(0, 0x59);
	cmos_set(2, 0x59);
	cmos_set(4, 0x23);
	cmos_set(7, 0x28);
	cmos_set(8, 0x02);
	cmos_set(9, 0x24);
	attach(); /* set half-way, then a new vmm */
	cmos_set(0xb, 0x02);
	assert_int_equal(cmos(0), 0x59);
	now += 1000000000;
	assert_int_equal(cmos(0), 0x00);
	assert_int_equal(cmos(7), 0x29); /* 2024 is a leap year */
	assert_int_equal(cmos(6), 5);    /* a Thursday */
	cmos_set(0xb, 0x82);
	cmos_set(8, 0x13); /* nonsense: the clock goes on */
	cmos_set(0xb, 0x02);
	assert_int_equal(cmos(8), 0x02);
	rtc_reset(&vm);
	assert_int_equal(cmos(7), 0x29); /* battery */
}

static void test_rtc_rest(void **state)
{
	(void)state;
	assert_int_equal(cmos(0xa), 0x26);
	now = 999800000;
	assert_int_equal(cmos(0xa), 0xa6); /* update in progress */
	cmos_set(0xb, 0x82);
	assert_int_equal(cmos(0xa), 0x26);
	cmos_set(0xb, 0x02);
	assert_int_equal(cmos(0xc), 0);
	assert_int_equal(cmos(0xd), 0x80);
	cmos_set(0xd, 0);
	assert_int_equal(cmos(0xd), 0x80);
	cmos_set(0x50, 0xab);
	cmos_set(0xff, 0xcd); /* index bit 7 is the NMI mask */
	rtc_reset(&vm);
	assert_int_equal(cmos(0x50), 0xab);
	assert_int_equal(cmos(0x7f), 0xcd);
	assert_int_equal(in(0x70, 1), 0xff);
	out(0x70, 2, 0x7751);
	assert_int_equal(cmos(0x51), 0x77);
	cmos_set(0xb, 0x72); /* interrupts are off after a reset */
	rtc_reset(&vm);
	assert_int_equal(cmos(0xb), 0x02);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_bus, setup),
		cmocka_unit_test_setup(test_pci_ports, setup),
		cmocka_unit_test_setup(test_pci_writes, setup),
		cmocka_unit_test_setup(test_ecam, setup),
		cmocka_unit_test_setup(test_power_button, setup),
		cmocka_unit_test_setup(test_sleep, setup),
		cmocka_unit_test_setup(test_pm_timer, setup),
		cmocka_unit_test_setup(test_gpe, setup),
		cmocka_unit_test_setup(test_reset_ports, setup),
		cmocka_unit_test_setup(test_rtc_dates, setup),
		cmocka_unit_test_setup(test_rtc_formats, setup),
		cmocka_unit_test_setup(test_rtc_set, setup),
		cmocka_unit_test_setup(test_rtc_rest, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
