/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/vm/vlapic.c
// SRC: hv/vm/vlapic_irq.c
// SRC: hv/vm/vlapic_virt.c
// SRC: hv/vm/vlapic_ipi.c
// SRC: hv/vm/vlapic_timer.c
// SRC: hv/vm/vpic.c
// SRC: hv/vm/vioapic.c
// SRC: hv/vm/vpit.c
// SRC: hv/vm/vuart.c
// SRC: hv/vm/vdev.c
// SRC: hv/vm/cpuid.c
// SRC: hv/vm/msr.c
// SRC: hv/vm/pvclock.c
// SRC: hv/vm/pv.c
/* The 8254: counting modes, latches, read-back, the gate of channel 2, and IRQ 0 without storms. */
#include "tests/unit/vdev_fakes.h"

#define TICKS(n) ((uint64_t)(n)*1000000000 / 1193182 + 1)

static struct vm *pit_vm(void)
{
	struct vm *vm = fake_vm(1);

	x2apic(vm->vcpus[0]);
	ioapic_set(vm->vcpus[0], 0x10 + 2 * 2, 0x40);
	return vm;
}

static unsigned ticks_seen(struct vm *vm, uint64_t ns, unsigned steps)
{
	unsigned n = 0;

	for (unsigned i = 0; i < steps; i++) {
		fake_pass(ns / steps);
		if (take(vm->vcpus[0]) == 0x40) {
			n++;
			wr(vm->vcpus[0], 0x80b, 0);
		}
	}
	return n;
}

static void channel0_rate(void **s)
{
	struct vm *vm = pit_vm();

	(void)s;
	out8(vm, 0x43, 0x34); /* mode 2, both bytes */
	out8(vm, 0x40, 11932 & 0xff);
	out8(vm, 0x40, 11932 >> 8); /* 100 Hz */
	assert_in_range(ticks_seen(vm, 1000000000, 1000), 99, 100);
	out8(vm, 0x43, 0x36); /* mode 3 stops until a count comes */
	fake_fires = 0;
	assert_int_equal(ticks_seen(vm, 100000000, 100), 0);
	out8(vm, 0x40, 0);
	out8(vm, 0x40, 0); /* 65536: 18.2 Hz */
	assert_int_equal(ticks_seen(vm, 1000000000, 1000), 18);
	fake_vm_free(vm);
}

static void channel0_oneshot(void **s)
{
	struct vm *vm = pit_vm();

	(void)s;
	out8(vm, 0x43, 0x30); /* mode 0 */
	out8(vm, 0x40, 0xe8);
	out8(vm, 0x40, 0x03); /* 1000 */
	assert_int_equal(ticks_seen(vm, TICKS(998), 1), 0);
	assert_int_equal(ticks_seen(vm, TICKS(4), 1), 1);
	assert_int_equal(ticks_seen(vm, TICKS(100000), 100), 0);
	assert_null(fake_first());
	out8(vm, 0x43, 0x32); /* mode 1: channel 0 has no gate to trigger it */
	out8(vm, 0x40, 0xe8);
	out8(vm, 0x40, 0x03);
	assert_int_equal(ticks_seen(vm, TICKS(10000), 10), 0);
	fake_vm_free(vm);
}

static void no_storm(void **s)
{
	struct vm *vm = pit_vm();

	(void)s;
	out8(vm, 0x43, 0x14); /* mode 2, low byte only */
	out8(vm, 0x40, 1);
	fake_fires = 0;
	fake_pass(10000000);
	assert_int_equal(fake_fires, 100); /* not 11931 */
	/* Late by far: one tick. */
	out8(vm, 0x43, 0x34);
	out8(vm, 0x40, 0x9c);
	out8(vm, 0x40, 0x2e);
	fake_fires = 0;
	fake_ns += 5000000000;
	fake_pass(0);
	assert_int_equal(fake_fires, 1);
	vm_devices_reset(vm);
	assert_null(fake_first());
	fake_vm_free(vm);
}

static uint16_t counter2(struct vm *vm)
{
	uint8_t low;

	out8(vm, 0x43, 0x80);
	low = in8(vm, 0x42);
	return (uint16_t)(low | in8(vm, 0x42) << 8);
}

static void counting(void **s)
{
	struct vm *vm = pit_vm();

	(void)s;
	out8(vm, 0x61, 1);
	out8(vm, 0x43, 0xb0); /* channel 2, mode 0 */
	out8(vm, 0x42, 0xff);
	out8(vm, 0x42, 0xff);
	fake_pass(TICKS(0x100));
	assert_in_range(counter2(vm), 0xfefe, 0xfeff);
	assert_int_equal(in8(vm, 0x61) & 0x20, 0);
	fake_pass(TICKS(0xff00));
	assert_int_equal(in8(vm, 0x61) & 0x20, 0x20);  /* OUT2 */
	assert_in_range(counter2(vm), 0xfff0, 0xffff); /* wraps */
	out8(vm, 0x43, 0xb4);                          /* mode 2 */
	out8(vm, 0x42, 100);
	out8(vm, 0x42, 0);
	fake_pass(TICKS(1030));
	assert_in_range(counter2(vm), 68, 70);
	out8(vm, 0x43, 0xb6); /* mode 3: by twos */
	out8(vm, 0x42, 100);
	out8(vm, 0x42, 0);
	fake_pass(TICKS(1030));
	assert_in_range(counter2(vm), 36, 40);
	assert_int_equal(in8(vm, 0x61) & 0x20, 0x20);
	fake_pass(TICKS(30));
	assert_int_equal(in8(vm, 0x61) & 0x20, 0);
	out8(vm, 0x43, 0xb1); /* BCD, mode 0 */
	out8(vm, 0x42, 0x00);
	out8(vm, 0x42, 0x10);
	fake_pass(TICKS(1));
	assert_in_range(counter2(vm), 0x998, 0x999);
	fake_vm_free(vm);
}

static void gate(void **s)
{
	struct vm *vm = pit_vm();
	uint16_t at;

	(void)s;
	out8(vm, 0x61, 1);
	out8(vm, 0x43, 0xb0);
	out8(vm, 0x42, 0x00);
	out8(vm, 0x42, 0x10);
	fake_pass(TICKS(100));
	out8(vm, 0x61, 2); /* gate low: stands still */
	assert_int_equal(in8(vm, 0x61) & 3, 2);
	at = counter2(vm);
	fake_pass(TICKS(100000));
	assert_int_equal(counter2(vm), at);
	out8(vm, 0x61, 1);
	fake_pass(TICKS(100));
	assert_in_range(at - counter2(vm), 99, 101);
	/* Mode 1: the gate is the trigger. */
	out8(vm, 0x61, 0);
	out8(vm, 0x43, 0xb2);
	out8(vm, 0x42, 50);
	out8(vm, 0x42, 0);
	assert_int_equal(in8(vm, 0x61) & 0x20, 0x20);
	out8(vm, 0x61, 1);
	assert_int_equal(in8(vm, 0x61) & 0x20, 0);
	fake_pass(TICKS(60));
	assert_int_equal(in8(vm, 0x61) & 0x20, 0x20);
	fake_vm_free(vm);
}

static void latches(void **s)
{
	struct vm *vm = pit_vm();
	uint8_t low, high;

	(void)s;
	out8(vm, 0x43, 0x34);
	out8(vm, 0x40, 0x00);
	out8(vm, 0x40, 0x80);
	fake_pass(TICKS(10));
	out8(vm, 0x43, 0x00); /* latch */
	fake_pass(TICKS(1000));
	out8(vm, 0x43, 0x00); /* the first one stands */
	low = in8(vm, 0x40);
	high = in8(vm, 0x40);
	assert_in_range(low | high << 8, 0x7ff5, 0x7ff6);
	out8(vm, 0x43, 0xc2); /* read back status and count of channel 0 */
	assert_int_equal(in8(vm, 0x40) & 0x7f, 0x34);
	low = in8(vm, 0x40);
	high = in8(vm, 0x40);
	assert_in_range(low | high << 8, 0x7c00, 0x7c10);
	out8(vm, 0x43, 0x34); /* no count yet */
	out8(vm, 0x43, 0xe2);
	assert_int_equal(in8(vm, 0x40), 0xf4);
	assert_int_equal(in8(vm, 0x43), 0xff);
	/* The refresh bit moves: delay loops of old watch it. */
	low = in8(vm, 0x61) & 0x10;
	fake_pass(15085);
	assert_int_not_equal(in8(vm, 0x61) & 0x10, low);
	fake_vm_free(vm);
}

/* Any sequence of writes: no crash, no division by zero, at most one alarm. */
static void garbage(void **s)
{
	struct vm *vm = pit_vm();
	uint32_t x = 12345;

	(void)s;
	for (int i = 0; i < 200000; i++) {
		uint16_t port;

		x = x * 1664525 + 1013904223;
		port = (uint16_t)((x >> 28) == 15 ? 0x61 : 0x40 + (x >> 24 & 3));
		if (x & 0x800000)
			(void)in8(vm, port);
		else
			out8(vm, port, (uint8_t)(x >> 8));
		fake_pass(x >> 16 & 0xfff);
	}
	vm_devices_reset(vm);
	fake_vm_free(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(channel0_rate), cmocka_unit_test(channel0_oneshot),
		cmocka_unit_test(no_storm),      cmocka_unit_test(counting),
		cmocka_unit_test(gate),          cmocka_unit_test(latches),
		cmocka_unit_test(garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
