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
// SRC: hv/vm/state.c
/* A VM's records: what a guest set up in one VM it finds in another, later, at another time of the host; and what makes no sense
 * is refused. */
#include "tests/unit/vdev_fakes.h"
#include "hv/abi/hv_state.h"

/* ---- what state.c calls besides the devices ---- */

static struct hv_vcpu_regs regs;
static void get(struct vcpu *v, struct hv_vcpu_regs *out)
{
	(void)v;
	*out = regs;
}
static void set_regs(struct vcpu *v, const struct hv_vcpu_regs *in)
{
	(void)v;
	regs = *in;
}
static struct hv_state_vcpu rest;
static uint64_t rest_offset;
static void get_rest(struct vcpu *v, struct hv_state_vcpu *out)
{
	(void)v;
	out->pat = 0x0007040600070406ull;
	out->star = 0x1234;
}
static void set_rest(struct vcpu *v, const struct hv_state_vcpu *in, uint64_t tsc_offset)
{
	(void)v;
	rest = *in;
	rest_offset = tsc_offset;
}
static const struct vendor state_vendor = {.virt = HV_VIRT_SVM,
					   .context = context,
					   .msr = vendor_msr,
					   .get = get,
					   .set = set_regs,
					   .get_rest = get_rest,
					   .set_rest = set_rest};

static uint8_t areas[2][4096];
void fpu_leave(struct fpu *f)
{
	(void)f;
}
void fpu_reset(struct fpu *f)
{
	memset(f->area, 0, 4096);
}
bool vcpu_xcr0_valid(uint64_t x)
{
	return x == 3 || x == 7;
}
int vm_quiet_vcpu(struct vm *vm, unsigned index, struct vcpu **out)
{
	*out = vm->vcpus[index];
	return 0;
}
void vcpu_start_at(struct vcpu *v, const struct hv_vcpu_regs *in, bool runnable)
{
	vendor->set(v, in);
	v->wait_sipi = !runnable;
	v->halted = false;
}

static struct hv_state_machine machine;
static struct hv_state_vcpu vcpus[2];

static struct vm *make(enum hv_vm_state state)
{
	struct vm *vm;

	vendor = &state_vendor;
	cpu_features.xsave = true;
	cpu_features.xcr0_mask = 7;
	cpu_features.xsave_size = 832;
	vm = fake_vm(2);
	vm->state = state;
	for (unsigned i = 0; i < 2; i++) {
		vm->vcpus[i]->fpu.area = areas[i];
		vm->vcpus[i]->fpu.xcr0 = 1;
		memset(areas[i], 0, sizeof(areas[i]));
	}
	return vm;
}

static void save(struct vm *vm)
{
	memset(&machine, 0, sizeof(machine));
	memset(vcpus, 0, sizeof(vcpus));
	assert_int_equal(vm_save_machine(vm, &machine), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(vm_save_vcpu(vm, i, &vcpus[i]), 0);
}

static int load(struct vm *vm)
{
	int rc = vm_load_machine(vm, &machine);

	for (unsigned i = 0; i < 2 && !rc; i++)
		rc = vm_load_vcpu(vm, i, &vcpus[i]);
	return rc;
}

/* Into another VM, on a host that has been up for another time. */
static struct vm *moved(struct vm *old)
{
	struct vm *vm;

	save(old);
	fake_vm_free(old);
	vm = make(HV_VM_STOPPED);
	fake_ns = 123456789012ull;
	assert_int_equal(load(vm), 0);
	return vm;
}

static void interrupts_go_on(void **s)
{
	struct vm *vm = make(HV_VM_PAUSED);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	x2apic(v);
	x2apic(vm->vcpus[1]);
	wr(v, 0x808, 0x20); /* task priority */
	vlapic_accept(v, 0x55, false);
	assert_int_equal(take(v), 0x55); /* in service */
	vlapic_accept(v, 0x66, true);    /* posted only */
	assert_int_equal(take(v), 0x66);
	vlapic_accept(v, 0x77, false);
	vlapic_accept(v, 0x31, false);
	ioapic_set(v, 0x10 + 2 * 9, 0x8066);
	vm = moved(vm);
	v = vm->vcpus[0];
	assert_true(v->attention & ATT_IRQ);
	assert_int_equal(rd(v, 0x808), 0x20);
	assert_int_equal(take(v), 0x77);
	wr(v, 0x80b, 0);
	assert_int_equal(take(v), -1); /* 31 waits for 66 and 55 */
	wr(v, 0x80b, 0);
	wr(v, 0x80b, 0);
	assert_int_equal(take(v), 0x31);
	assert_int_equal(ioapic_get(v, 0x10 + 2 * 9) & 0x80ff, 0x8066);
	assert_int_equal(rd(vm->vcpus[1], 0x1b) & 0xfff, APIC_BASE_EN | APIC_BASE_X2);
	fake_vm_free(vm);
}

static void timers_go_on(void **s)
{
	struct vm *vm = make(HV_VM_PAUSED);
	struct vcpu *v = vm->vcpus[0], *w = vm->vcpus[1];
	uint64_t tsc;

	(void)s;
	x2apic(v);
	x2apic(w);
	wr(v, 0x83e, 0xb);      /* divide by 1 */
	wr(v, 0x832, 0x20041);  /* periodic */
	wr(v, 0x838, 10000000); /* 10 ms */
	wr(w, 0x832, 0x40042);  /* TSC deadline */
	tsc = rd(w, 0x10);
	wr(w, 0x6e0, tsc + 30000000); /* 30 ms */
	out8(vm, 0x43, 0x34);
	out8(vm, 0x40, 11932 & 0xff);
	out8(vm, 0x40, 11932 >> 8); /* 10 ms */
	ioapic_set(v, 0x10 + 2 * 2, 0x43);
	fake_pass(4000000);
	vm = moved(vm);
	v = vm->vcpus[0];
	w = vm->vcpus[1];
	assert_in_range(rd(v, 0x10), tsc + 4000000, tsc + 4001000);
	assert_int_equal(rest_offset, vm->tsc_offset);
	assert_in_range(rd(v, 0x839), 5999000, 6000000); /* what was left */
	fake_pass(5900000);
	assert_int_equal(take(v), -1);
	fake_pass(200000);
	assert_int_equal(take(v), 0x43); /* the 8254, and the APIC */
	assert_int_equal(take(w), -1);
	wr(v, 0x80b, 0);
	assert_int_equal(take(v), 0x41);
	wr(v, 0x80b, 0);
	fake_pass(10000000);
	assert_int_equal(take(v), 0x43);
	wr(v, 0x80b, 0);
	assert_int_equal(take(v), 0x41);
	assert_int_equal(take(w), -1);
	assert_in_range(rd(w, 0x6e0), tsc + 30000000, tsc + 30000000);
	fake_pass(10000000);
	assert_int_equal(take(w), 0x42);
	fake_vm_free(vm);
}

static void platform_is_the_same(void **s)
{
	struct vm *vm = make(HV_VM_PAUSED);
	struct hv_state_machine before;

	(void)s;
	out8(vm, 0x20, 0x11); /* both 8259 */
	out8(vm, 0x21, 0x30);
	out8(vm, 0x21, 0x04);
	out8(vm, 0x21, 0x01);
	out8(vm, 0x21, 0xfa);
	out8(vm, 0x4d1, 0x0e);
	out8(vm, 0x3f9, 0x01);
	out8(vm, 0x3ff, 0x5a); /* scratch */
	assert_int_equal(vm_console_in(vm, (const uint8_t *)"hello", 5), 5);
	vm = moved(vm);
	before = machine;
	vm->state = HV_VM_PAUSED;
	save(vm);
	before.tsc = machine.tsc; /* and so is the time that passed for the counters */
	before.ns = machine.ns;
	for (unsigned i = 0; i < 3; i++)
		before.pit[i].gone_ns = machine.pit[i].gone_ns;
	assert_memory_equal(&before, &machine, sizeof(machine));
	assert_int_equal(in8(vm, 0x3ff), 0x5a);
	assert_int_equal(in8(vm, 0x3f8), 'h');
	fake_vm_free(vm);
}

static void clock_goes_on(void **s)
{
	struct vm *vm = make(HV_VM_PAUSED);
	uint64_t ns, guest;

	(void)s;
	fake_pass(5000000000ull);
	wr(vm->vcpus[0], 0x4b564d01, 0x1001);
	vm = moved(vm);
	assert_int_equal(machine.ns, 5001000000ull);
	pvclock_refresh(vm->vcpus[0]);
	memcpy(&ns, fake_ram + 16, 8);
	memcpy(&guest, fake_ram + 8, 8);
	/* system_time + (tsc - tsc_timestamp), at 1 GHz */
	assert_in_range(ns + (rd(vm->vcpus[0], 0x10) - guest), 5000999000ull, 5001001000ull);
	fake_vm_free(vm);
}

static void states(void **s)
{
	struct vm *vm = make(HV_VM_RUNNING);

	(void)s;
	assert_int_equal(vm_save_machine(vm, &machine), -HVE_STATE);
	assert_int_equal(vm_save_vcpu(vm, 0, &vcpus[0]), -HVE_STATE);
	vm->state = HV_VM_PAUSED;
	assert_int_equal(vm_save_vcpu(vm, 2, &vcpus[0]), -HVE_INVAL);
	vm->vcpus[1]->attention = ATT_ANSWER;
	assert_int_equal(vm_save_vcpu(vm, 1, &vcpus[1]), -HVE_BUSY);
	assert_int_equal(vm->vcpus[1]->attention, ATT_ANSWER | ATT_SETTLE);
	assert_int_equal(fake_unblocked, BLOCK_PAUSE);
	vm->vcpus[1]->attention = ATT_SIPI | ATT_NMI;
	vm->vcpus[1]->sipi_vector = 0x9a;
	vm->vcpus[1]->wait_sipi = true;
	save(vm);
	assert_int_equal(vcpus[1].flags, HV_SF_SIPI | HV_SF_NMI_PENDING | HV_SF_WAIT_SIPI);
	assert_int_equal(load(vm), -HVE_STATE);
	vm->state = HV_VM_STOPPED;
	vm->vcpus[1]->attention = 0;
	vm->vcpus[1]->wait_sipi = vm->vcpus[1]->nmi_pending = false;
	assert_int_equal(load(vm), 0);
	assert_int_equal(vm->vcpus[1]->attention, ATT_SIPI | ATT_NMI | ATT_IRQ | ATT_CLOCK);
	assert_true(vm->vcpus[1]->wait_sipi && vm->vcpus[1]->nmi_pending);
	assert_int_equal(vm->vcpus[1]->sipi_vector, 0x9a);
	fake_vm_free(vm);
}

static void refused(struct vm *vm, int rc)
{
	assert_int_equal(load(vm), -rc);
	vm->state = HV_VM_PAUSED; /* as it was before the damage */
	vm_devices_reset(vm);
	for (unsigned i = 0; i < 2; i++)
		vlapic_reset(vm->vcpus[i]);
	save(vm);
	vm->state = HV_VM_STOPPED;
}

static void nonsense(void **s)
{
	struct vm *vm = make(HV_VM_PAUSED);

	(void)s;
	save(vm);
	vm->state = HV_VM_STOPPED;
#define BAD(field, value, rc)                                                                      \
	do {                                                                                       \
		field = value;                                                                     \
		refused(vm, rc);                                                                   \
	} while (0)
	BAD(machine.version, 2, HVE_INVAL);
	BAD(machine.vcpus, 1, HVE_INVAL);
	BAD(machine.virt, HV_VIRT_VMX, HVE_NOVIRT);
	BAD(machine.features, machine.features ^ 1, HVE_NOVIRT);
	BAD(machine.xcr0_mask, 3, HVE_NOVIRT);
	BAD(machine.tsc_khz, 1006000, HVE_NOVIRT);
	BAD(machine.pic[1].base, 0x31, HVE_INVAL);
	BAD(machine.pic[0].first, 8, HVE_INVAL);
	BAD(machine.pic[0].init_step, 1, HVE_INVAL);
	BAD(machine.pit[0].count, 65537, HVE_INVAL);
	BAD(machine.pit[2].mode, 6, HVE_INVAL);
	BAD(machine.pit[1].access, 0, HVE_INVAL);
	BAD(machine.pit[1].armed, 1, HVE_INVAL); /* without a count */
	BAD(machine.uart_in_len, 257, HVE_INVAL);
	BAD(vcpus[0].lstar, 1ull << 47, HVE_INVAL);
	BAD(vcpus[0].kernel_gs_base, 1ull << 63, HVE_INVAL);
	BAD(vcpus[0].sysenter_eip, 1ull << 50, HVE_INVAL);
	BAD(vcpus[0].sfmask, 1ull << 32, HVE_INVAL);
	BAD(vcpus[0].tsc_aux, 1ull << 32, HVE_INVAL);
	BAD(vcpus[0].pat, 2, HVE_INVAL);
	BAD(vcpus[0].flags, 128, HVE_INVAL);
	BAD(vcpus[0].event.type, 4, HVE_INVAL);
	BAD(vcpus[0].event.has_error, 1, HVE_INVAL);
	BAD(vcpus[0].xcr0, 2, HVE_INVAL);
	BAD(vcpus[0].xsave_bytes, 2688, HVE_INVAL);
	BAD(vcpus[0].xsave[512], 8, HVE_INVAL); /* a component that is not there */
	BAD(vcpus[0].xsave[520], 1, HVE_INVAL); /* compacted */
	BAD(vcpus[0].xsave[26], 1, HVE_INVAL);  /* MXCSR */
	BAD(vcpus[1].lapic.base, HV_GPA_LAPIC | APIC_BASE_EN | APIC_BASE_BSP, HVE_INVAL);
	BAD(vcpus[0].lapic.base, HV_GPA_LAPIC | APIC_BASE_X2 | APIC_BASE_BSP, HVE_INVAL);
	BAD(vcpus[0].lapic.base, 0xfee01000 | APIC_BASE_EN | APIC_BASE_BSP, HVE_INVAL);
	BAD(vcpus[0].lapic.irr[0], 1, HVE_INVAL);
	BAD(vcpus[0].lapic.isr[0], 1, HVE_INVAL);
	BAD(vcpus[0].lapic.isr[1], 3, HVE_INVAL); /* two of one class */
	assert_int_equal(load(vm), 0);
	fake_vm_free(vm);
}

/* Whatever was taken over can be used: no undefined behaviour, no storm, and it can be saved again. */
static void use(struct vm *vm)
{
	static const uint16_t ports[] = {0x20, 0x21, 0xa0,  0x40,  0x41,
					 0x42, 0x61, 0x3f8, 0x3fa, 0x3fd};

	fake_fires = 0;
	for (unsigned n = 0; n < 20; n++) {
		fake_pass(1000000);
		for (unsigned i = 0; i < 2; i++) {
			struct vcpu *v = vm->vcpus[i];
			uint64_t value = 0;

			(void)take(v);
			if (vlapic_takes_pic(v) && vpic_pending(vm) >= 0)
				(void)vpic_take(vm);
			(void)!vcpu_msr(v, 0x80b, true, &value);
			(void)!vcpu_msr(v, 0x839, false, &value);
			(void)!vcpu_msr(v, 0x6e0, false, &value);
		}
		(void)in8(vm, ports[n % ARRAY_SIZE(ports)]);
		(void)ioapic_get(vm->vcpus[0], 0x10 + n);
		vdev_line(vm, 5 + n % 11, n & 1);
	}
	assert_true(fake_fires <= 20 * (10 + 10 + 10 + 2));
	vm->state = HV_VM_PAUSED;
	save(vm);
}

static void random_damage(void **s)
{
	unsigned taken = 0, seed = 1;

	(void)s;
	for (unsigned n = 0; n < 4000; n++) {
		struct vm *vm = make(HV_VM_PAUSED);

		x2apic(vm->vcpus[n % 2]);
		save(vm);
		for (unsigned i = 0; i <= n % 4 * 8; i++) {
			unsigned r = rand_r(&seed);
			uint8_t *at = r & 1 ? (uint8_t *)&machine : (uint8_t *)&vcpus[0];
			size_t size = r & 1 ? sizeof(machine)
					    : offsetof(struct hv_state_vcpu, xsave);

			at[(r >> 1) % size] = (uint8_t)rand_r(&seed);
		}
		vm->state = HV_VM_STOPPED;
		if (load(vm) == 0) {
			taken++;
			use(vm);
		}
		vm_devices_reset(vm);
		fake_vm_free(vm);
	}
	assert_in_range(taken, 1000, 3900);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interrupts_go_on),
		cmocka_unit_test(timers_go_on),
		cmocka_unit_test(platform_is_the_same),
		cmocka_unit_test(clock_goes_on),
		cmocka_unit_test(states),
		cmocka_unit_test(nonsense),
		cmocka_unit_test(random_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
