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
/* IO-APIC: registers, edge and level, masks, remote IRR, re-delivery, destinations; and MSIs. */
#include "tests/unit/vdev_fakes.h"

#define REDIR(pin) (0x10 + 2 * (pin))

static void registers(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];
	uint64_t value;

	(void)s;
	assert_int_equal(ioapic_get(v, 1), 0x170011);
	for (unsigned pin = 0; pin < 24; pin++)
		assert_int_equal(ioapic_get(v, REDIR(pin)), 0x10000);
	ioapic_set(v, 0, 0xffffffff);
	assert_int_equal(ioapic_get(v, 0), 0x0f000000);
	ioapic_set(v, REDIR(5), 0xffffffff); /* read-only bits stay 0 */
	assert_int_equal(ioapic_get(v, REDIR(5)), 0x1afff);
	ioapic_set(v, REDIR(5) + 1, 0xffffffff);
	assert_int_equal(ioapic_get(v, REDIR(5) + 1), 0xff000000);
	ioapic_set(v, 0x40, 0xffffffff); /* past the last pin */
	assert_int_equal(ioapic_get(v, 0x40), 0);
	ioapic_set(v, 0xff, 1);
	assert_int_equal(mmio_read(v, HV_GPA_IOAPIC + 0x20), 0);
	assert_false(vdev_mmio(v, HV_GPA_IOAPIC + 0x1000, 4, false, &value));
	fake_vm_free(vm);
}

static void edge(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	x2apic(v);
	ioapic_set(v, REDIR(7), 0x47);
	assert_int_equal(vm_irq_line(vm, 7, true), 0);
	assert_int_equal(vm_irq_line(vm, 7, true), 0); /* no new edge */
	assert_int_equal(take(v), 0x47);
	wr(v, 0x80b, 0);
	assert_int_equal(take(v), -1);
	assert_int_equal(vm_irq_line(vm, 7, false), 0);
	assert_int_equal(vm_irq_line(vm, 7, true), 0);
	assert_int_equal(take(v), 0x47);
	wr(v, 0x80b, 0);
	assert_int_equal(vm_irq_line(vm, 7, false), 0);
	ioapic_set(v, REDIR(7), 0x10047);
	assert_int_equal(vm_irq_line(vm, 7, true), 0); /* lost at a masked pin */
	ioapic_set(v, REDIR(7), 0x47);
	assert_int_equal(take(v), -1);
	fake_vm_free(vm);
}

static void level(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	x2apic(v);
	ioapic_set(v, REDIR(10), 0x1a060); /* masked, active low: polarity has no effect */
	assert_int_equal(vm_irq_line(vm, 10, true), 0);
	assert_int_equal(take(v), -1);
	ioapic_set(v, REDIR(10), 0xa060);
	assert_int_equal(take(v), 0x60); /* unmasking finds the line up */
	assert_int_equal(vm_irq_line(vm, 10, false), 0);
	assert_int_equal(vm_irq_line(vm, 10, true), 0);
	assert_int_equal(take(v), -1); /* remote IRR holds it back */
	wr(v, 0x80b, 0);
	assert_int_equal(take(v), 0x60);
	ioapic_set(v, REDIR(10),
		   0x1a060); /* masked while in service: EOI clears remote IRR, nothing is sent */
	wr(v, 0x80b, 0);
	assert_int_equal(ioapic_get(v, REDIR(10)), 0x1a060);
	assert_int_equal(take(v), -1);
	ioapic_set(v, REDIR(10), 0xa060);
	assert_int_equal(take(v), 0x60);
	ioapic_set(v, REDIR(10), 0x12060); /* edge for a moment: an explicit EOI */
	assert_int_equal(ioapic_get(v, REDIR(10)), 0x12060);
	fake_vm_free(vm);
}

static void not_accepted(void **s)
{
	struct vm *vm = fake_vm(2);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	/* The APIC is off: remote IRR stays clear, so the interrupt is not stuck for good. */
	ioapic_set(v, REDIR(10), 0x8060);
	assert_int_equal(vm_irq_line(vm, 10, true), 0);
	assert_int_equal(ioapic_get(v, REDIR(10)), 0x8060);
	x2apic(v);
	ioapic_set(v, REDIR(10), 0x8060);
	assert_int_equal(take(v), 0x60);
	/* A destination that does not exist. */
	ioapic_set(v, REDIR(11) + 1, 9u << 24);
	ioapic_set(v, REDIR(11), 0x8061);
	assert_int_equal(vm_irq_line(vm, 11, true), 0);
	assert_int_equal(ioapic_get(v, REDIR(11)), 0x8061);
	fake_vm_free(vm);
}

static void destinations(void **s)
{
	struct vm *vm = fake_vm(4);
	unsigned got = 0;

	(void)s;
	for (unsigned i = 0; i < 4; i++)
		x2apic(vm->vcpus[i]);
	ioapic_set(vm->vcpus[0], REDIR(9) + 1, 2u << 24);
	ioapic_set(vm->vcpus[0], REDIR(9), 0x39);
	assert_int_equal(vm_irq_line(vm, 9, true), 0);
	assert_int_equal(take(vm->vcpus[2]), 0x39);
	ioapic_set(vm->vcpus[0], REDIR(8) + 1, 0x0fu << 24); /* logical, lowest priority */
	ioapic_set(vm->vcpus[0], REDIR(8), 0x948);
	assert_int_equal(vm_irq_line(vm, 8, true), 0);
	for (unsigned i = 0; i < 4; i++)
		got += take(vm->vcpus[i]) == 0x48;
	assert_int_equal(got, 1);
	ioapic_set(vm->vcpus[0], REDIR(6) + 1, 1u << 24);
	ioapic_set(vm->vcpus[0], REDIR(6), 0x400); /* NMI */
	assert_int_equal(vm_irq_line(vm, 6, true), 0);
	assert_true(vm->vcpus[1]->attention & ATT_NMI);
	fake_vm_free(vm);
}

static void lines(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	x2apic(v);
	assert_int_equal(vm_irq_line(vm, 24, true), -HVE_INVAL);
	assert_int_equal(vm_irq_line(vm, 0, true), -HVE_INVAL);
	assert_int_equal(vm_irq_line(vm, 2, true), -HVE_INVAL);
	assert_int_equal(vm_irq_line(vm, 4, true), -HVE_INVAL);
	assert_int_equal(vm_irq_line(vm, ~0u, true), -HVE_INVAL);
	ioapic_set(v, REDIR(23), 0x77);
	assert_int_equal(vm_irq_line(vm, 23, true), 0);
	assert_int_equal(take(v), 0x77);
	wr(v, 0x80b, 0);
	ioapic_set(v, REDIR(2), 0x30); /* IRQ 0 comes here */
	vdev_line(vm, 0, true);
	assert_int_equal(take(v), 0x30);
	vm_devices_reset(vm);
	assert_int_equal(ioapic_get(v, REDIR(23)), 0x10000);
	fake_vm_free(vm);
}

static void msi(void **s)
{
	struct vm *vm = fake_vm(3);

	(void)s;
	for (unsigned i = 0; i < 3; i++)
		x2apic(vm->vcpus[i]);
	assert_int_equal(vm_msi(vm, 0xfee01000, 0x4051), 0);
	assert_int_equal(take(vm->vcpus[1]), 0x51);
	assert_int_equal(vm_msi(vm, 0xfee06004, 0x51), 0); /* logical: 1 and 2 */
	wr(vm->vcpus[1], 0x80b, 0);
	assert_int_equal(take(vm->vcpus[1]), 0x51);
	assert_int_equal(take(vm->vcpus[2]), 0x51);
	assert_int_equal(vm_msi(vm, 0xfee0700c, 0x61), 0); /* redirection hint: one of them */
	assert_int_equal((take(vm->vcpus[0]) == 0x61) + (take(vm->vcpus[1]) == 0x61) +
				 (take(vm->vcpus[2]) == 0x61),
			 1);
	assert_int_equal(vm_msi(vm, 0xfed00000, 0x51), -HVE_INVAL);
	assert_int_equal(vm_msi(vm, 0x1fee00000, 0x51), -HVE_INVAL);
	assert_int_equal(vm_msi(vm, 0xfee00000, 0x651), -HVE_INVAL);
	assert_int_equal(vm_msi(vm, 0xfee05000, 0x51), 0); /* nobody there */
	fake_vm_free(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers),    cmocka_unit_test(edge),
		cmocka_unit_test(level),        cmocka_unit_test(not_accepted),
		cmocka_unit_test(destinations), cmocka_unit_test(lines),
		cmocka_unit_test(msi),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
