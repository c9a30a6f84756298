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
/* Local APIC: modes, priorities, IPIs, timer, EOI to the IO-APIC, the posted bits, MSRs and the paravirtual clock. */
#include "tests/unit/vdev_fakes.h"

static void reset_state(void **s)
{
	struct vm *vm = fake_vm(2);
	struct vcpu *v = vm->vcpus[0], *ap = vm->vcpus[1];

	(void)s;
	assert_int_equal(rd(v, 0x1b), 0xfee00900);
	assert_int_equal(rd(ap, 0x1b), 0xfee00800);
	assert_int_equal(lapic_read(v, 0xf0), 0xff);
	assert_int_equal(lapic_read(v, 0xe0), 0xffffffff);
	assert_int_equal(lapic_read(ap, 0x350), LVT_MASKED);
	assert_int_equal(lapic_read(ap, 0x20), 1u << 24);
	assert_true(vlapic_takes_pic(v));
	assert_false(vlapic_takes_pic(ap));
	assert_int_equal(take(v), -1);
	fake_vm_free(vm);
}

static void base_transitions(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];
	const uint64_t xapic = HV_GPA_LAPIC | APIC_BASE_EN, x2 = xapic | APIC_BASE_X2;
	uint64_t value;

	(void)s;
	assert_int_equal(wr(v, 0x800, 0), -HVE_INVAL); /* not in x2APIC mode yet */
	assert_int_equal(wr(v, 0x1b, HV_GPA_LAPIC | APIC_BASE_X2),
			 -HVE_INVAL);                              /* EXTD without EN */
	assert_int_equal(wr(v, 0x1b, xapic + 0x1000), -HVE_INVAL); /* moved */
	assert_int_equal(wr(v, 0x1b, xapic | 1), -HVE_INVAL);      /* reserved */
	assert_int_equal(wr(v, 0x1b, xapic | 1ull << 60), -HVE_INVAL);
	assert_int_equal(wr(v, 0x1b, x2), 0);
	assert_int_equal(rd(v, 0x1b), x2 | APIC_BASE_BSP); /* the BSP flag is not the guest's */
	assert_false(vdev_mmio(v, HV_GPA_LAPIC + 0x20, 4, false, &value));
	assert_int_equal(wr(v, 0x1b, xapic), -HVE_INVAL); /* x2APIC -> xAPIC */
	assert_int_equal(wr(v, 0x1b, HV_GPA_LAPIC), 0);   /* off */
	assert_false(vdev_mmio(v, HV_GPA_LAPIC + 0x20, 4, false, &value));
	assert_true(vlapic_takes_pic(v));
	assert_int_equal(wr(v, 0x1b, x2), -HVE_INVAL); /* off -> x2APIC */
	assert_int_equal(wr(v, 0x1b, xapic), 0);
	assert_int_equal(lapic_read(v, 0xf0), 0xff);
	fake_vm_free(vm);
}

static void reserved_bits(void **s)
{
	static const struct {
		uint32_t msr;
		uint64_t value;
	} bad[] = {
		{0x802, 0},          {0x803, 0},          {0x80a, 0},        {0x80d, 0},
		{0x80e, 0},          {0x831, 0},          {0x839, 0},        {0x82f, 0},
		{0x801, 0},          {0x810, 0},          {0x820, 0},        {0x83a, 0},
		{0x80b, 1},          {0x828, 1},          {0x808, 0x100},    {0x80f, 0x1000},
		{0x80f, 1ull << 32}, {0x832, 0x80000},    {0x832, 0x400},    {0x835, 0x20000},
		{0x837, 0x100 << 4}, {0x838, 1ull << 32}, {0x83e, 4},        {0x83f, 0x100},
		{0x830, 1u << 13},   {0x830, 1u << 16},   {0x830, 1u << 20},
	};
	static const uint32_t unreadable[] = {0x80b, 0x83f, 0x80e, 0x831,
					      0x801, 0x80c, 0x82f, 0x83d};
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];
	uint64_t value;

	(void)s;
	x2apic(v);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		if (bad[i].msr == 0x837) /* delivery status is read-only, not reserved */
			continue;
		if (wr(v, bad[i].msr, bad[i].value) != -HVE_INVAL)
			fail_msg("WRMSR %x %lx", bad[i].msr, bad[i].value);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(unreadable); i++)
		assert_int_equal(vcpu_msr(v, unreadable[i], false, &value), -HVE_INVAL);
	assert_int_equal(wr(v, 0x80b, 0), 0);
	assert_int_equal(wr(v, 0x828, 0), 0);
	assert_int_equal(rd(v, 0x802), 0);
	assert_int_equal(rd(v, 0x803), 0x50014);
	assert_int_equal(rd(v, 0x80d), 1);
	fake_vm_free(vm);
}

static void priorities(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	x2apic(v);
	wr(v, 0x83f, 0x41);
	assert_true(v->attention & ATT_IRQ);
	wr(v, 0x83f, 0x52);
	wr(v, 0x83f, 0x53);
	assert_int_equal(take(v), 0x53);
	assert_int_equal(take(v), -1); /* 0x52: same class */
	assert_int_equal(rd(v, 0x80a), 0x50);
	wr(v, 0x83f, 0xf0);
	assert_int_equal(take(v), 0xf0); /* nests */
	assert_int_equal(rd(v, 0x817), 1u << 16);
	assert_int_equal(rd(v, 0x812), 1u << 19);
	wr(v, 0x80b, 0);
	assert_int_equal(take(v), -1);
	wr(v, 0x80b, 0);
	assert_true(v->attention & ATT_IRQ);
	wr(v, 0x808, 0x50);
	assert_int_equal(take(v), -1); /* TPR */
	assert_int_equal(vlapic_cr8(v), 5);
	vlapic_set_cr8(v, 4);
	assert_true(v->attention & ATT_IRQ);
	assert_int_equal(take(v), 0x52);
	wr(v, 0x80b, 0);
	assert_int_equal(take(v), -1);
	vlapic_set_cr8(v, 0);
	assert_int_equal(take(v), 0x41);
	wr(v, 0x80b, 0);
	wr(v, 0x80b, 0); /* nothing in service: no effect */
	assert_int_equal(rd(v, 0x80a), 0);
	fake_vm_free(vm);
}

static void posted(void **s)
{
	struct vm *vm = fake_vm(2);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	vlapic_accept(v, 0x40, false); /* software-disabled: dropped */
	assert_int_equal(v->attention, 0);
	x2apic(v);
	vlapic_accept(v, 0x40, false);
	vlapic_accept(v, 0x91, true);
	assert_int_equal(v->lapic->irr_top, -1); /* not touched by others */
	vlapic_accept(v, 0x91, true);            /* the same again: no more kicks */
	assert_true(v->attention & ATT_IRQ);
	assert_int_equal(fake_kicks, 2);
	assert_int_equal(fake_unblocked, BLOCK_HALT);
	assert_int_equal(rd(v, 0x822), 1);        /* reading IRR shows it */
	assert_int_equal(rd(v, 0x81c), 1u << 17); /* TMR */
	assert_int_equal(take(v), 0x91);
	assert_int_equal(take(v), -1);
	wr(v, 0x80b, 0);
	assert_int_equal(take(v), 0x40);
	vlapic_accept(v, 0x91, false); /* edge now: TMR is cleared */
	assert_int_equal(rd(v, 0x81c), 0);
	vlapic_accept(v, 3, false);
	wr(v, 0x828, 0);
	assert_int_equal(rd(v, 0x828), ESR_RECEIVE_VECTOR);
	fake_vm_free(vm);
}

static void error_interrupt(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	x2apic(v);
	wr(v, 0x837, 0x77);
	wr(v, 0x83f, 5);
	assert_int_equal(take(v), 0x77);
	assert_int_equal(rd(v, 0x828), 0);
	wr(v, 0x828, 0);
	assert_int_equal(rd(v, 0x828), ESR_SEND_VECTOR);
	wr(v, 0x828, 0);
	assert_int_equal(rd(v, 0x828), 0);
	wr(v, 0x80b, 0);
	wr(v, 0x837, 3); /* the error entry's own vector is bad: no recursion */
	wr(v, 0x830, 0x40007);
	assert_int_equal(take(v), -1);
	fake_vm_free(vm);
}

static void ipi_shorthands(void **s)
{
	struct vm *vm = fake_vm(3);

	(void)s;
	for (int i = 0; i < 3; i++)
		x2apic(vm->vcpus[i]);
	wr(vm->vcpus[1], 0x830, 0x40000 | 0x61); /* self */
	assert_int_equal(take(vm->vcpus[1]), 0x61);
	assert_int_equal(take(vm->vcpus[0]), -1);
	wr(vm->vcpus[1], 0x830, 0xc0000 | 0x71); /* all others */
	assert_int_equal(take(vm->vcpus[0]), 0x71);
	assert_int_equal(take(vm->vcpus[1]), -1);
	assert_int_equal(take(vm->vcpus[2]), 0x71);
	wr(vm->vcpus[1], 0x830, 0x80000 | 0x81); /* all */
	for (int i = 0; i < 3; i++)
		assert_int_equal(take(vm->vcpus[i]), 0x81);
	wr(vm->vcpus[0], 0x830, 0xffffffffull << 32 | 0x91); /* broadcast */
	for (int i = 0; i < 3; i++)
		assert_int_equal(take(vm->vcpus[i]), 0x91);
	fake_vm_free(vm);
}

static void ipi_destinations(void **s)
{
	struct vm *vm = fake_vm(16);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	for (int i = 0; i < 16; i++)
		x2apic(vm->vcpus[i]);
	wr(v, 0x830, 15ull << 32 | 0x41);
	assert_int_equal(take(vm->vcpus[15]), 0x41);
	wr(v, 0x830, 16ull << 32 | 0x42); /* nobody */
	wr(v, 0x830, 255ull << 32 | 0x42);
	wr(v, 0x830, 0x8005ull << 32 | 0x800 | 0x43); /* logical, cluster 0 */
	assert_int_equal(take(vm->vcpus[0]), 0x43);
	assert_int_equal(take(vm->vcpus[2]), 0x43);
	assert_int_equal(take(vm->vcpus[15]), -1); /* in service: 0x41 */
	wr(vm->vcpus[15], 0x80b, 0);
	assert_int_equal(take(vm->vcpus[15]), 0x43);
	wr(v, 0x830, 0x10001ull << 32 | 0x800 | 0x44); /* cluster 1: nobody */
	for (int i = 0; i < 16; i++)
		assert_false(vm->vcpus[i]->lapic->irr_top == 0x44 || vm->vcpus[i]->lapic->posted);
	/* lowest priority: exactly one of them */
	wr(v, 0x830, 0x000aull << 32 | 0x900 | 0x50);
	assert_int_equal(vm->vcpus[1]->lapic->posted + vm->vcpus[3]->lapic->posted, 1);
	fake_vm_free(vm);
}

static void xapic_logical(void **s)
{
	struct vm *vm = fake_vm(4);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	for (unsigned i = 0; i < 4; i++) {
		lapic_write(vm->vcpus[i], 0xf0, 0x1ff);
		lapic_write(vm->vcpus[i], 0xd0, 1u << (24 + i));
	}
	lapic_write(v, 0x310, 0x06000000);
	lapic_write(v, 0x300, 0x800 | 0x31);
	assert_int_equal(lapic_read(v, 0x310), 0x06000000);
	assert_int_equal(take(vm->vcpus[0]), -1);
	assert_int_equal(take(vm->vcpus[1]), 0x31);
	assert_int_equal(take(vm->vcpus[2]), 0x31);
	assert_int_equal(take(vm->vcpus[3]), -1);
	for (unsigned i = 0; i < 4; i++) { /* clusters of 2 */
		lapic_write(vm->vcpus[i], 0xe0, 0x0fffffff);
		lapic_write(vm->vcpus[i], 0xd0, (i / 2) << 28 | 1u << (24 + i % 2));
	}
	lapic_write(v, 0x310, 0x13000000);
	lapic_write(v, 0x300, 0x800 | 0x52);
	assert_int_equal(take(vm->vcpus[1]), -1);
	assert_int_equal(take(vm->vcpus[2]), 0x52);
	assert_int_equal(take(vm->vcpus[3]), 0x52);
	lapic_write(v, 0x310, 0xff000000);
	lapic_write(v, 0x300, 0x63); /* physical broadcast */
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(take(vm->vcpus[i]), 0x63);
	lapic_write(v, 0x400, 1); /* no such register */
	lapic_write(v, 0x280, 0);
	assert_int_equal(lapic_read(v, 0x280), ESR_REGISTER);
	fake_vm_free(vm);
}

static void init_sipi_nmi(void **s)
{
	struct vm *vm = fake_vm(2);
	struct vcpu *v = vm->vcpus[0], *ap = vm->vcpus[1];

	(void)s;
	x2apic(v);
	wr(v, 0x830,
	   1ull << 32 | 0xc500); /* INIT assert: the AP's APIC is off by software, it arrives */
	assert_int_equal(ap->attention, ATT_INIT);
	assert_int_equal(fake_unblocked, BLOCK_HALT);
	ap->attention = 0;
	wr(v, 0x830, 1ull << 32 | 0x8500); /* de-assert */
	assert_int_equal(ap->attention, 0);
	fake_unblocked = 0;
	wr(v, 0x830, 1ull << 32 | 0x4608);
	assert_int_equal(ap->attention, ATT_SIPI);
	assert_int_equal(ap->sipi_vector, 8);
	assert_int_equal(fake_unblocked, BLOCK_INIT);
	ap->attention = 0;
	wr(v, 0x830, 1ull << 32 | 0x4400);
	assert_int_equal(ap->attention, ATT_NMI);
	assert_int_equal(v->attention & ATT_NMI, 0);
	wr(v, 0x830, 1ull << 32 | 0x4240); /* SMI: nothing */
	wr(v, 0x830, 1ull << 32 | 0x4740); /* reserved */
	assert_int_equal(ap->attention, ATT_NMI);
	x2apic(ap);
	vlapic_init(ap); /* INIT keeps the mode */
	assert_int_equal(rd(ap, 0x80f), 0xff);
	fake_vm_free(vm);
}

static void timer_oneshot(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	x2apic(v);
	wr(v, 0x83e, 0xb); /* /1 */
	wr(v, 0x832, 0x60);
	wr(v, 0x838, 5000);
	fake_pass(2000);
	assert_int_equal(rd(v, 0x839), 3000);
	wr(v, 0x83e, 0x0); /* /2: the rest takes twice as long */
	assert_int_equal(rd(v, 0x839), 3000);
	fake_pass(5999);
	assert_int_equal(take(v), -1);
	fake_pass(1);
	assert_int_equal(take(v), 0x60);
	assert_int_equal(rd(v, 0x839), 0);
	wr(v, 0x80b, 0);
	wr(v, 0x838, 1000);
	wr(v, 0x838, 0); /* stopped */
	fake_pass(100000);
	assert_int_equal(take(v), -1);
	wr(v, 0x832, 0x60 | LVT_MASKED);
	wr(v, 0x838, 1000);
	fake_pass(100000);
	assert_int_equal(take(v), -1);
	assert_null(fake_first());
	fake_vm_free(vm);
}

static void timer_periodic(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	x2apic(v);
	wr(v, 0x83e, 0xb);
	wr(v, 0x832, 0x20000 | 0x60);
	wr(v, 0x838, 1000000);
	for (int i = 0; i < 5; i++) {
		fake_pass(999999);
		assert_int_equal(take(v), -1);
		fake_pass(1);
		assert_int_equal(take(v), 0x60);
		wr(v, 0x80b, 0);
	}
	/* A late alarm: one interrupt, the raster stays. */
	fake_fires = 0;
	fake_ns += 7300000;
	fake_pass(0);
	assert_int_equal(fake_fires, 1);
	assert_int_equal(take(v), 0x60);
	wr(v, 0x80b, 0);
	fake_pass(700000);
	assert_int_equal(fake_fires, 2);
	/* A storm is slowed to one in 100 us. */
	wr(v, 0x838, 1);
	fake_fires = 0;
	fake_pass(10000000);
	assert_int_equal(fake_fires, 100);
	wr(v, 0x838, 0);
	fake_pass(1000000);
	assert_null(fake_first());
	fake_vm_free(vm);
}

static void timer_deadline(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	x2apic(v);
	wr(v, 0x6e0, rdtsc() + 500); /* not in that mode: ignored */
	assert_int_equal(rd(v, 0x6e0), 0);
	wr(v, 0x832, 0x40000 | 0x70);
	wr(v, 0x6e0, rdtsc() + 500);
	assert_int_equal(rd(v, 0x6e0), rdtsc() + 500);
	wr(v, 0x838, 77); /* ignored in this mode */
	fake_pass(499);
	assert_int_equal(take(v), -1);
	fake_pass(2);
	assert_int_equal(take(v), 0x70);
	assert_int_equal(rd(v, 0x6e0), 0);
	wr(v, 0x80b, 0);
	wr(v, 0x6e0, rdtsc() - 1); /* past: at once */
	assert_int_equal(take(v), 0x70);
	wr(v, 0x80b, 0);
	wr(v, 0x6e0, rdtsc() + 100);
	wr(v, 0x6e0, 0);
	fake_pass(1000);
	assert_int_equal(take(v), -1);
	/* Far: in pieces, not early, and never an overflow. */
	wr(v, 0x6e0, rdtsc() + 150000000000ull);
	fake_pass(149999999999ull);
	assert_int_equal(take(v), -1);
	fake_pass(2);
	assert_int_equal(take(v), 0x70);
	wr(v, 0x80b, 0);
	wr(v, 0x6e0, ~0ull);
	assert_true(fake_first()->deadline < fake_ns + 61000000000ull);
	wr(v, 0x832, 0x70); /* another mode disarms */
	fake_pass(70000000000ull);
	assert_int_equal(take(v), -1);
	fake_vm_free(vm);
}

/* The alarm rings on another CPU while the vCPU writes another deadline. */
static void timer_races(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];
	struct vlapic *l = v->lapic;

	(void)s;
	x2apic(v);
	wr(v, 0x832, 0x40000 | 0x70);
	wr(v, 0x6e0, rdtsc() + 500);
	fake_ns += 10;
	l->timer.fire(&l->timer); /* an old alarm: too early for the new deadline */
	assert_int_equal(take(v), -1);
	assert_ptr_equal(fake_first(), &l->timer);
	fake_pass(600);
	assert_int_equal(take(v), 0x70);
	l->timer.fire(&l->timer);
	assert_int_equal(take(v), -1);
	fake_vm_free(vm);
}

static void eoi_broadcast(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	x2apic(v);
	ioapic_set(v, 0x10 + 2 * 11, 0x8000 | 0x55);
	assert_int_equal(vm_irq_line(vm, 11, true), 0);
	assert_int_equal(take(v), 0x55);
	assert_int_equal(ioapic_get(v, 0x10 + 2 * 11), 0xc055); /* remote IRR */
	wr(v, 0x80b, 0);
	assert_int_equal(take(v), 0x55); /* still up: again */
	assert_int_equal(vm_irq_line(vm, 11, false), 0);
	wr(v, 0x80b, 0);
	assert_int_equal(take(v), -1);
	assert_int_equal(ioapic_get(v, 0x10 + 2 * 11), 0x8055);
	fake_vm_free(vm);
}

static void narrow_mmio(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];
	uint64_t value = 0xaa;

	(void)s;
	lapic_write(v, 0xf0, 0x1ab);
	assert_true(vdev_mmio(v, HV_GPA_LAPIC + 0xf1, 1, false, &value));
	assert_int_equal(value, 1);
	assert_true(vdev_mmio(v, HV_GPA_LAPIC + 0xf0, 8, false, &value));
	assert_int_equal(value, 0x1ab);
	value = 0;
	assert_true(vdev_mmio(v, HV_GPA_LAPIC + 0xf0, 2, true, &value)); /* dropped */
	assert_int_equal(lapic_read(v, 0xf0), 0x1ab);
	assert_int_equal(lapic_read(v, 0xf4), 0);
	assert_false(vdev_mmio(v, HV_GPA_LAPIC - 4, 4, false, &value));
	assert_false(vdev_mmio(v, HV_GPA_LAPIC + 0x1000, 4, false, &value));
	assert_false(vdev_mmio(v, 0, 4, false, &value));
	fake_vm_free(vm);
}

static void msrs(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];
	uint64_t value;

	(void)s;
	assert_int_equal(rd(v, 0x10), rdtsc());
	assert_int_equal(rd(v, 0xfe), 0);
	assert_int_equal(rd(v, 0x179), 0);
	assert_int_equal(vcpu_msr(v, 0x48, false, &value), -HVE_INVAL);
	assert_int_equal(vcpu_msr(v, 0xc0010015, false, &value), -HVE_INVAL); /* no AMD here */
	cpu_features.amd = true;
	assert_int_equal(rd(v, 0xc0010015), 1u << 24);
	cpu_features.amd = false;
	assert_int_equal(wr(v, 0xc0000080, 0x500), 0); /* the vendor's */
	assert_int_equal(rd(v, 0xc0000080), 0x500);
	/* Every MSR with garbage, twice; nothing but answers. */
	for (unsigned round = 0; round < 2; round++)
		for (uint32_t m = 0; m < 0x2000; m++)
			for (unsigned i = 0; i < 3; i++) {
				uint32_t msr = m + (uint32_t[]){0, 0xc0000000, 0xc0010000}[i];

				value = (uint64_t)msr * 0x9e3779b97f4a7c15 >> round;
				int w = vcpu_msr(v, msr, true, &value),
				    r = vcpu_msr(v, msr, false, &value);

				assert_true((w == 0 || w == -HVE_INVAL) &&
					    (r == 0 || r == -HVE_INVAL));
			}
	fake_vm_free(vm);
}

static void pvclock(void **s)
{
	struct vm *vm = fake_vm(2);
	struct vcpu *v = vm->vcpus[0];
	uint32_t *w = (uint32_t *)fake_ram;

	(void)s;
	assert_int_equal(wr(v, 0x4b564d01, 0x1001), 0);
	assert_int_equal(w[0], 2); /* even */
	assert_int_equal(*(uint64_t *)(fake_ram + 8), tsc_base);
	assert_int_equal(*(uint64_t *)(fake_ram + 16), 0);
	assert_int_equal(w[6], 0x80000000); /* 1 GHz: (t << 1) * 2^31 >> 32 */
	assert_int_equal(fake_ram[28], 1);
	assert_int_equal(fake_ram[29], 1);
	pvclock_refresh(v);
	assert_int_equal(w[0], 4);
	assert_int_equal(fake_ram[29], 3); /* stood still */
	assert_int_equal(wr(v, 0x4b564d00, 0x1100), 0);
	assert_int_equal(w[0x41], 1700000000);
	assert_int_equal(w[0x40], 2);
	assert_int_equal(wr(v, 0x4b564d01, 0x9001),
			 -HVE_INVAL); /* no memory there: the old one stays */
	assert_int_equal(rd(v, 0x4b564d01), 0x1001);
	assert_int_equal(wr(v, 0x4b564d01, 0), 0);
	pvclock_refresh(v);
	assert_int_equal(w[0], 4);
	pvclock_refresh(vm->vcpus[1]);
	fake_vm_free(vm);
}

static int64_t hypercall(struct vcpu *v, uint64_t nr, uint64_t a, uint64_t b, uint64_t c,
			 uint64_t d)
{
	v->gpr[HV_RAX] = nr;
	v->gpr[HV_RBX] = a;
	v->gpr[HV_RCX] = b;
	v->gpr[HV_RDX] = c;
	v->gpr[HV_RSI] = d;
	assert_int_equal(pv_hypercall(v), 0);
	return (int64_t)v->gpr[HV_RAX];
}

static void hypercalls(void **s)
{
	struct vm *vm = fake_vm(4);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	for (int i = 0; i < 4; i++)
		x2apic(vm->vcpus[i]);
	assert_int_equal(hypercall(v, 99, 0, 0, 0, 0), -1000);
	assert_int_equal(hypercall(v, 5, 0, 1, 0, 0), -1000); /* KICK_CPU is not offered */
	assert_int_equal(hypercall(v, 10, 0xb, 0, 0, 0x41), 3);
	assert_int_equal(take(vm->vcpus[0]), 0x41);
	assert_int_equal(take(vm->vcpus[1]), 0x41);
	assert_int_equal(take(vm->vcpus[2]), -1);
	assert_int_equal(take(vm->vcpus[3]), 0x41);
	assert_int_equal(hypercall(v, 10, ~0ull, ~0ull, 2, 0x52), 2);
	assert_int_equal(hypercall(v, 10, ~0ull, ~0ull, ~0ull - 1, 0x52), 0);
	assert_int_equal(hypercall(v, 10, 2, 0, 0, 0x400), 1);
	assert_true(vm->vcpus[1]->attention & ATT_NMI);
	assert_int_equal(hypercall(v, 10, 2, 0, 0, 0x500), -22); /* INIT: not by this call */
	assert_int_equal(hypercall(v, 10, 2, 0, 0, 3), -22);
	assert_int_equal(hypercall(v, 10, 2, 0, 0, 0x40041), -22);
	fake_context.cpl = 3;
	assert_int_equal(hypercall(v, 10, 2, 0, 0, 0x41), -1);
	fake_context.cpl = 0;
	fake_context.mode = INSN_32;
	assert_int_equal(hypercall(v, 99, 0, 0, 0, 0), 0xfffffc18);
	fake_context.mode = INSN_64;
	fake_vm_free(vm);
}

/* Anything a guest may do to all devices at once: no undefined behaviour, and what must always hold holds. */
static void garbage(void **s)
{
	static const uint16_t ports[] = {0x20, 0x21,  0xa0,  0xa1,  0x40,  0x42, 0x43,
					 0x61, 0x3f8, 0x3f9, 0x3fa, 0x3fc, 0x4d0};
	struct vm *vm = fake_vm(4);
	uint64_t x = 88172645463325252ull;

	(void)s;
	for (unsigned i = 0; i < 300000; i++) {
		struct vcpu *v = vm->vcpus[x >> 60 & 3];
		uint64_t value = x * 0x9e3779b97f4a7c15;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		switch (x >> 8 & 7) {
		case 0:
			vdev_mmio(v, HV_GPA_LAPIC + (x >> 16 & 0x3ff), 1u << (x >> 30 & 3), x & 1,
				  &value);
			break;
		case 1:
			vdev_mmio(v, HV_GPA_IOAPIC + (x >> 16 & 0x1f), 4, x & 1, &value);
			break;
		case 2:
			vdev_pio(v, ports[(x >> 16) % ARRAY_SIZE(ports)], 1u << (x >> 30) % 3,
				 x & 1, &value);
			break;
		case 3: /* now and then a small value, so that modes are entered at all */
			value &= x & 0x800 ? 0xffff : 0x7ffff;
			(void)wr(v, 0x800 + (x >> 16 & 0x3f), value);
			break;
		case 4:
			if ((x >> 16 & 0xff) == 0)
				(void)wr(v, 0x1b, HV_GPA_LAPIC | (value & 0xc00));
			break;
		case 5:
			(void)!vm_irq_line(vm, x >> 16 & 31, x & 1);
			break;
		case 6:
			(void)!vm_msi(vm, 0xfee00000 | (value & 0xfffff), (uint32_t)(x >> 16));
			break;
		default:
			fake_pass(x >> 16 & 0xffff);
			if (vlapic_takes_pic(v) && vpic_pending(vm) >= 0)
				assert_in_range(vpic_take(vm), 0, 255);
			(void)take(v);
		}
		assert_true(v->lapic->depth < 16 && v->lapic->irr_top < 256);
		for (unsigned d = 1; d <= v->lapic->depth; d++)
			assert_true(v->lapic->service[d] >> 4 > v->lapic->service[d - 1] >> 4);
	}
	vm_devices_reset(vm);
	for (unsigned i = 0; i < 4; i++)
		vlapic_reset(vm->vcpus[i]);
	fake_pass(1000000000);
	fake_vm_free(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reset_state),    cmocka_unit_test(base_transitions),
		cmocka_unit_test(reserved_bits),  cmocka_unit_test(priorities),
		cmocka_unit_test(posted),         cmocka_unit_test(error_interrupt),
		cmocka_unit_test(ipi_shorthands), cmocka_unit_test(ipi_destinations),
		cmocka_unit_test(xapic_logical),  cmocka_unit_test(init_sipi_nmi),
		cmocka_unit_test(timer_oneshot),  cmocka_unit_test(timer_periodic),
		cmocka_unit_test(timer_deadline), cmocka_unit_test(timer_races),
		cmocka_unit_test(eoi_broadcast),  cmocka_unit_test(narrow_mmio),
		cmocka_unit_test(msrs),           cmocka_unit_test(pvclock),
		cmocka_unit_test(hypercalls),     cmocka_unit_test(garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
