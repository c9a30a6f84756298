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
/* The 16550: console ring, input queue, interrupts, loopback. */
#include "tests/unit/vdev_fakes.h"

#define U 0x3f8

static struct hv_console *ring(void)
{
	return (struct hv_console *)fake_console[0];
}

static void output(void **s)
{
	struct vm *vm = fake_vm(1);

	(void)s;
	for (const char *c = "Linux"; *c; c++) {
		assert_int_equal(in8(vm, U + 5), 0x60);
		out8(vm, U, (uint8_t)*c);
	}
	assert_int_equal(ring()->head, 5);
	assert_memory_equal(fake_console[1], "Linux", 5);
	assert_int_equal(fake_notified, 0);
	fake_pass(10000000);
	assert_int_equal(fake_notified, 1); /* once for all of them */
	assert_null(fake_first());
	out8(vm, U, '!');
	fake_pass(10000000);
	assert_int_equal(fake_notified, 2);
	fake_vm_free(vm);
}

static void ring_wraps(void **s)
{
	struct vm *vm;

	(void)s;
	vm = fake_vm(1);
	for (unsigned i = 0; i < HV_CONSOLE_RING + 5000; i++)
		out8(vm, U, (uint8_t)(i / 256));
	assert_int_equal(ring()->head, HV_CONSOLE_RING + 5000);
	assert_int_equal(fake_console[1][0], 0); /* 65536 / 256 as a byte */
	assert_int_equal(fake_console[2][4096 - 5000 % 4096], (8192 - 5000 % 4096) / 256);
	assert_int_equal(fake_console[16][4095], 0xff);
	vm_devices_destroy(vm);
	assert_int_equal(vm_devices_create(vm), 0); /* head goes on */
	out8(vm, U, 'x');
	assert_int_equal(ring()->head, HV_CONSOLE_RING + 5001);
	assert_int_equal(fake_console[2][5000 % 4096], 'x');
	ring()->head = 99; /* others may scribble: hv does not read it back */
	out8(vm, U, 'y');
	assert_int_equal(ring()->head, HV_CONSOLE_RING + 5002);
	fake_vm_free(vm);
}

static void no_console(void **s)
{
	struct vm *vm = fake_vm(1);

	(void)s;
	vm_devices_destroy(vm);
	vm->slots[HV_SLOT_CONSOLE] = NULL;
	assert_int_equal(vm_devices_create(vm), 0);
	out8(vm, U, 'x');
	assert_int_equal(in8(vm, U + 5), 0x60);
	fake_vm_free(vm);
}

static void input(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];
	uint8_t bytes[300];

	(void)s;
	for (unsigned i = 0; i < 300; i++)
		bytes[i] = (uint8_t)i;
	x2apic(v);
	ioapic_set(v, 0x10 + 2 * 4, 0x44);
	assert_int_equal(vm_console_in(vm, bytes, 10), 10);
	assert_int_equal(take(v), -1); /* not enabled */
	assert_int_equal(in8(vm, U + 5), 0x61);
	out8(vm, U + 1, 1);
	assert_int_equal(take(v), 0x44);
	wr(v, 0x80b, 0);
	assert_int_equal(in8(vm, U + 2), 0x04); /* no FIFO: data */
	out8(vm, U + 2, 0xc7);                  /* FIFO on, cleared, trigger 14 */
	assert_int_equal(in8(vm, U + 2), 0xcc); /* fewer: time-out */
	assert_int_equal(vm_console_in(vm, bytes + 10, 290), 246); /* says how many */
	assert_int_equal(vm_console_in(vm, bytes, 1), 0);
	assert_int_equal(in8(vm, U + 2), 0xc4);
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(in8(vm, U), i & 0xff);
	assert_int_equal(in8(vm, U + 5), 0x60);
	assert_int_equal(in8(vm, U), 0);
	assert_int_equal(in8(vm, U + 2), 0xc1);
	assert_int_equal(take(v), -1);
	assert_int_equal(vm_console_in(vm, bytes, 1), 1);
	assert_int_equal(take(v), 0x44); /* a new edge */
	fake_vm_free(vm);
}

static void transmit_interrupt(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	x2apic(v);
	ioapic_set(v, 0x10 + 2 * 4, 0x44);
	out8(vm, U + 1, 2);
	assert_int_equal(take(v), 0x44); /* enabling asks at once */
	assert_int_equal(in8(vm, U + 2), 0x02);
	assert_int_equal(in8(vm, U + 2), 0x01); /* reading it cleared it */
	fake_kicks = 0;
	for (int i = 0; i < 16; i++)
		out8(vm, U, 'a');
	assert_int_equal(fake_kicks, 1); /* one edge for the whole burst */
	wr(v, 0x80b, 0);
	assert_int_equal(take(v), 0x44);
	out8(vm, U + 1, 0);
	assert_int_equal(in8(vm, U + 2), 0x01);
	wr(v, 0x80b, 0);
	out8(vm, U, 'a');
	assert_int_equal(take(v), -1);
	fake_vm_free(vm);
}

static void registers(void **s)
{
	struct vm *vm = fake_vm(1);

	(void)s;
	out8(vm, U + 7, 0x5a);
	assert_int_equal(in8(vm, U + 7), 0x5a);
	out8(vm, U + 3, 0x83);
	out8(vm, U, 1);
	out8(vm, U + 1, 2);
	assert_int_equal(in8(vm, U), 1);
	assert_int_equal(in8(vm, U + 1), 2);
	out8(vm, U + 3, 3);
	assert_int_equal(in8(vm, U + 1), 0);
	assert_int_equal(ring()->head, 0);
	assert_int_equal(in8(vm, U + 6), 0xb0);
	out8(vm, U + 1, 0xff);
	assert_int_equal(in8(vm, U + 1), 0x0f); /* how drivers tell a 16550 from a 16750 */
	out8(vm, U + 2, 1);
	assert_int_equal(in8(vm, U + 2) & 0xc0, 0xc0);
	fake_vm_free(vm);
}

static void loopback(void **s)
{
	struct vm *vm = fake_vm(1);

	(void)s;
	out8(vm, U + 4, 0x1a);
	assert_int_equal(in8(vm, U + 6) & 0xf0, 0x90); /* as autoconfiguration expects */
	out8(vm, U + 4, 0x15);
	assert_int_equal(in8(vm, U + 6) & 0xf0, 0x60);
	out8(vm, U, 'q');
	assert_int_equal(ring()->head, 0);
	assert_int_equal(in8(vm, U + 5), 0x61);
	assert_int_equal(in8(vm, U), 'q');
	for (int i = 0; i < 257; i++)
		out8(vm, U, 'z');
	assert_int_equal(in8(vm, U + 5), 0x63); /* overrun, once */
	assert_int_equal(in8(vm, U + 5), 0x61);
	assert_int_equal(vm->vuart->dropped, 1);
	vm_devices_reset(vm);
	assert_int_equal(vm->vuart->dropped, 257); /* not silently */
	assert_int_equal(in8(vm, U + 5), 0x60);
	fake_vm_free(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output),
		cmocka_unit_test(ring_wraps),
		cmocka_unit_test(no_console),
		cmocka_unit_test(input),
		cmocka_unit_test(transmit_interrupt),
		cmocka_unit_test(registers),
		cmocka_unit_test(loopback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
