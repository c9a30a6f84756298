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
/* The 8259 pair: initialisation, priorities, EOI kinds, cascade, level inputs, special modes, ports. */
#include "tests/unit/vdev_fakes.h"

/* As Linux does it: vectors 0x30 and 0x38. */
static struct vm *pic_vm(uint8_t icw4)
{
	struct vm *vm = fake_vm(2);

	out8(vm, 0x20, 0x11);
	out8(vm, 0x21, 0x30);
	out8(vm, 0x21, 0x04);
	out8(vm, 0x21, icw4);
	out8(vm, 0xa0, 0x11);
	out8(vm, 0xa1, 0x38);
	out8(vm, 0xa1, 0x02);
	out8(vm, 0xa1, icw4);
	out8(vm, 0x21, 0);
	out8(vm, 0xa1, 0);
	return vm;
}

static void line(struct vm *vm, unsigned irq, bool level)
{
	vdev_line(vm, irq, level);
}

static void power_on(void **s)
{
	struct vm *vm = fake_vm(1);

	(void)s;
	assert_int_equal(in8(vm, 0x21), 0xff);
	assert_int_equal(in8(vm, 0xa1), 0xff);
	line(vm, 1, true);
	assert_int_equal(vpic_pending(vm), -1);
	assert_int_equal(in8(vm, 0x20), 2); /* IRR */
	fake_vm_free(vm);
}

static void deliver(void **s)
{
	struct vm *vm = pic_vm(1);

	(void)s;
	line(vm, 5, true);
	assert_int_not_equal(vpic_pending(vm), -1);
	assert_true(vm->vcpus[0]->attention & ATT_IRQ);
	assert_int_equal(vm->vcpus[1]->attention, 0); /* its LINT0 is masked */
	line(vm, 1, true);
	assert_int_equal(vpic_take(vm), 0x31);
	assert_int_equal(vpic_pending(vm), -1); /* 5 is lower than 1 in service */
	out8(vm, 0x20, 0x20);
	assert_int_equal(vpic_take(vm), 0x35);
	line(vm, 0, true);
	assert_int_equal(vpic_take(vm), 0x30); /* nests */
	out8(vm, 0x20, 0x0b);
	assert_int_equal(in8(vm, 0x20), 0x21); /* ISR */
	out8(vm, 0x20, 0x65);                  /* specific EOI of 5 */
	assert_int_equal(in8(vm, 0x20), 0x01);
	out8(vm, 0x20, 0x0a);
	assert_int_equal(in8(vm, 0x20), 0);
	assert_int_equal(vpic_take(vm), 0x37); /* nothing there: spurious, not in service */
	fake_vm_free(vm);
}

static void cascade(void **s)
{
	struct vm *vm = pic_vm(1);

	(void)s;
	line(vm, 12, true);
	line(vm, 8, true);
	assert_int_equal(vpic_take(vm), 0x38);
	assert_int_equal(vpic_pending(vm), -1);
	out8(vm, 0xa0, 0x20);
	assert_int_equal(vpic_pending(vm), -1); /* the master still serves the cascade */
	out8(vm, 0x20, 0x62);
	assert_int_equal(vpic_take(vm), 0x3c); /* the second one has not been lost */
	out8(vm, 0xa0, 0x20);
	out8(vm, 0x20, 0x20);
	assert_int_equal(vpic_pending(vm), -1);
	/* The slave withdraws: nothing comes. */
	line(vm, 9, true);
	assert_int_not_equal(vpic_pending(vm), -1);
	out8(vm, 0xa1, 0xff);
	assert_int_equal(vpic_pending(vm), -1);
	fake_vm_free(vm);
}

static void masks(void **s)
{
	struct vm *vm = pic_vm(1);

	(void)s;
	out8(vm, 0x21, 0x20);
	assert_int_equal(in8(vm, 0x21), 0x20);
	line(vm, 5, true);
	assert_int_equal(vpic_pending(vm), -1);
	out8(vm, 0x21, 0);
	assert_int_equal(vpic_take(vm), 0x35); /* the edge was remembered */
	fake_vm_free(vm);
}

static void level_inputs(void **s)
{
	struct vm *vm = pic_vm(1);

	(void)s;
	out8(vm, 0x4d0, 0xff);
	out8(vm, 0x4d1, 0xff);
	assert_int_equal(in8(vm, 0x4d0), 0xf8);
	assert_int_equal(in8(vm, 0x4d1), 0xde);
	line(vm, 11, true);
	assert_int_equal(vpic_take(vm), 0x3b);
	out8(vm, 0xa0, 0x20);
	out8(vm, 0x20, 0x20);
	assert_int_equal(vpic_take(vm), 0x3b); /* still up */
	line(vm, 11, false);
	out8(vm, 0xa0, 0x20);
	out8(vm, 0x20, 0x20);
	assert_int_equal(vpic_pending(vm), -1);
	fake_vm_free(vm);
}

static void automatic_eoi(void **s)
{
	struct vm *vm = pic_vm(3);

	(void)s;
	for (int i = 0; i < 3; i++) {
		line(vm, 4, false);
		line(vm, 4, true);
		assert_int_equal(vpic_take(vm), 0x34);
	}
	out8(vm, 0x20, 0x0b);
	assert_int_equal(in8(vm, 0x20), 0);
	fake_vm_free(vm);
}

static void special_modes(void **s)
{
	struct vm *vm = pic_vm(1);

	(void)s;
	/* Special mask: a masked one in service no longer holds back the lower ones. */
	line(vm, 3, true);
	assert_int_equal(vpic_take(vm), 0x33);
	line(vm, 6, true);
	assert_int_equal(vpic_pending(vm), -1);
	out8(vm, 0x21, 0x08);
	out8(vm, 0x20, 0x68);
	assert_int_equal(vpic_take(vm), 0x36);
	out8(vm, 0x20, 0x48);
	out8(vm, 0x20, 0x63);
	out8(vm, 0x20, 0x66);
	/* Rotation: 5 becomes the lowest. */
	out8(vm, 0x21, 0);
	out8(vm, 0x20, 0xc5);
	line(vm, 0, true);
	line(vm, 7, true);
	assert_int_equal(vpic_take(vm), 0x37);
	out8(vm, 0x20, 0xa0); /* non-specific EOI with rotation */
	assert_int_equal(vpic_take(vm), 0x30);
	out8(vm, 0x20, 0x20);
	/* Poll. */
	line(vm, 5, true);
	out8(vm, 0x20, 0x0c);
	assert_int_equal(in8(vm, 0x20), 0x85);
	assert_int_equal(vpic_pending(vm), -1);
	fake_vm_free(vm);
}

static void wide_ports(void **s)
{
	struct vm *vm = fake_vm(1);
	uint64_t value = 0x2010;

	(void)s;
	assert_true(vdev_pio(vm->vcpus[0], 0x4d0, 2, true, &value));
	value = 0;
	assert_true(vdev_pio(vm->vcpus[0], 0x4d0, 2, false, &value));
	assert_int_equal(value, 0x0010);
	assert_true(vdev_pio(vm->vcpus[0], 0xa1, 4, false, &value));
	assert_int_equal(value, 0xffffffff); /* the mask register, then nobody */
	assert_false(vdev_pio(vm->vcpus[0], 0x80, 1, false, &value));
	assert_false(vdev_pio(vm->vcpus[0], 0x22, 1, false, &value));
	assert_false(vdev_pio(vm->vcpus[0], 0x4d2, 1, false, &value));
	assert_false(vdev_pio(vm->vcpus[0], 0x60, 1, false, &value));
	assert_false(vdev_pio(vm->vcpus[0], 0x44, 1, false, &value));
	assert_false(vdev_pio(vm->vcpus[0], 0, 1, false, &value));
	assert_false(vdev_pio(vm->vcpus[0], 0xffff, 4, false, &value));
	fake_vm_free(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(power_on),      cmocka_unit_test(deliver),
		cmocka_unit_test(cascade),       cmocka_unit_test(masks),
		cmocka_unit_test(level_inputs),  cmocka_unit_test(automatic_eoi),
		cmocka_unit_test(special_modes), cmocka_unit_test(wide_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
