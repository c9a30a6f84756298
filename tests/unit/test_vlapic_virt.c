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
/* The local APIC that the CPU keeps: what goes into its page and when, what it is told, and how it ends. */
#include "tests/unit/vdev_fakes.h"

#define WORD(first, vector) ((first) + (vector) / 32)
#define BIT_OF(vector) (1u << (vector) % 32)
#define WORDS 8 /* of ISR and IRR, 16 bytes apart */

static uint32_t page[1024] ALIGNED(4096);
static bool on;
static hpa_t descriptor;
static unsigned irr_top, isr_top, requests;
static uint64_t watched[4];

static uint32_t *get_page(struct vcpu *v)
{
	(void)v;
	return page;
}
static void enable(struct vcpu *v, bool to, hpa_t at)
{
	(void)v;
	on = to;
	descriptor = at;
}
static void state(struct vcpu *v, uint8_t irr, uint8_t isr)
{
	(void)v;
	irr_top = irr;
	isr_top = isr;
}
static void request(struct vcpu *v, uint8_t irr)
{
	(void)v;
	irr_top = irr;
	requests++;
}
static void watch(struct vcpu *v, const uint64_t vectors[4])
{
	(void)v;
	memcpy(watched, vectors, sizeof(watched));
}
static struct vendor_apic apic = {.page = get_page,
				  .enable = enable,
				  .state = state,
				  .request = request,
				  .watch_eois = watch};

static uint32_t reg(unsigned n)
{
	return page[n * 4];
}
static bool requested(unsigned vector)
{
	return reg(WORD(APIC_IRR, vector)) & BIT_OF(vector);
}
/* As the CPU does: IRR -> ISR. */
static void deliver(unsigned vector)
{
	page[WORD(APIC_IRR, vector) * 4] &= ~BIT_OF(vector);
	page[WORD(APIC_ISR, vector) * 4] |= BIT_OF(vector);
	page[APIC_PPR * 4] = vector & 0xf0;
}

static int setup(void **s)
{
	(void)s;
	vendor_apic = &apic;
	on = apic.notified = apic.leaks = false;
	irr_top = isr_top = requests = 0;
	memset(page, 0xff, sizeof(page));
	return 0;
}

/* xAPIC mode is emulated; what is pending and in service there is handed over with the mode. */
static void mode_moves_state(void **s)
{
	struct vm *vm = fake_vm(2);
	struct vcpu *v = vm->vcpus[1];

	(void)s;
	lapic_write(v, 0xf0, 0x1ff);
	lapic_write(v, 0x80, 0x20);
	vlapic_accept(v, 0x51, false);
	assert_int_equal(take(v), 0x51);
	vlapic_accept(v, 0x62, false);
	vlapic_accept(v, 0xe3, false);
	assert_false(on);
	assert_false(vlapic_hand_over(v));
	x2apic(v);
	assert_true(on);
	assert_int_equal(descriptor, (hpa_t)(uintptr_t)v->lapic->pir);
	assert_int_equal(descriptor % 64, 0);
	assert_int_equal(irr_top, 0xe3);
	assert_int_equal(isr_top, 0x51);
	assert_true(requested(0x62) && requested(0xe3));
	assert_int_equal(reg(WORD(APIC_ISR, 0x51)), BIT_OF(0x51));
	assert_int_equal(reg(APIC_TPR), 0x20);
	assert_int_equal(reg(APIC_PPR), 0x50);
	assert_int_equal(reg(APIC_ID), 1);
	assert_int_equal(reg(APIC_LDR), 2);
	assert_int_equal(reg(APIC_VER), APIC_VERSION);
	assert_int_equal(take(v), -1); /* nothing is hv's to inject */
	assert_true(vlapic_hand_over(v));
	fake_vm_free(vm);
}

static void posting(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	x2apic(v);
	v->attention = 0;
	assert_false(vlapic_hand_over(v));
	vlapic_accept(v, 0x40, false);
	assert_false(requested(0x40)); /* the page is the vCPU's own */
	assert_true(v->attention & ATT_IRQ);
	assert_int_equal(fake_sent, VEC_KICK);
	assert_true(vlapic_hand_over(v));
	assert_true(requested(0x40));
	assert_int_equal(irr_top, 0x40);
	assert_int_equal(requests, 1);
	assert_true(vlapic_hand_over(v)); /* still undelivered; the CPU is not told twice */
	assert_int_equal(requests, 1);
	deliver(0x40);
	vlapic_accept(v, 0x4f, false); /* the same class waits, and does not wake */
	assert_false(vlapic_hand_over(v));
	assert_true(requested(0x4f));
	wr(v, 0x83f, 0x77); /* a self-IPI that exits, by ICR or here */
	assert_true(vlapic_hand_over(v));
	assert_true(requested(0x77));
	fake_vm_free(vm);
}

/* The EOI of a level-triggered one must exit, and that is arranged before the CPU can see it. */
static void level(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	apic.notified = true;
	x2apic(v);
	vlapic_accept(v, 0x91, false);
	assert_int_equal(fake_sent, VEC_POSTED);
	assert_int_equal(v->lapic->pir[2], 1ull << 17);
	assert_int_equal(v->lapic->posted, 1);
	vlapic_accept(v, 0x92, true);
	assert_int_equal(fake_sent, VEC_KICK);
	assert_int_equal(v->lapic->pir[2], 1ull << 17);
	assert_int_equal(watched[2], 0);
	assert_true(vlapic_hand_over(v));
	assert_int_equal(watched[2], 1ull << 18);
	assert_true(requested(0x91) && requested(0x92));
	vlapic_accept(v, 0x92, false); /* edge again: no exit any more */
	assert_true(vlapic_hand_over(v));
	assert_int_equal(watched[2], 0);
	fake_vm_free(vm);
}

/* The same for one that was there before the CPU kept the APIC: of a restored VM, or with the mode. */
static void level_before(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];
	struct hv_state_lapic saved;

	(void)s;
	lapic_write(v, 0xf0, 0x1ff);
	vlapic_accept(v, 0x92, true);
	assert_int_equal(take(v), 0x92);
	x2apic(v);
	assert_int_equal(reg(WORD(APIC_ISR, 0x92)), BIT_OF(0x92));
	assert_int_equal(watched[2], 1ull << 18);
	memset(&saved, 0, sizeof(saved));
	vlapic_save(v, &saved);
	vlapic_reset(v);
	memset(watched, 0, sizeof(watched));
	assert_int_equal(vlapic_load(v, &saved), 0);
	assert_int_equal(reg(WORD(APIC_ISR, 0x92)), BIT_OF(0x92));
	assert_int_equal(watched[2], 1ull << 18);
	fake_vm_free(vm);
}

static bool all_watched(void)
{
	return (watched[0] & watched[1] & watched[2] & watched[3]) == ~0ull;
}

/* A CPU that does not always wait for IF: whatever waits behind another is to find its IF=0 at an entry. */
static void leaking(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	apic.leaks = true;
	x2apic(v);
	vlapic_accept(v, 0x40, false);
	assert_true(vlapic_hand_over(v));
	assert_false(all_watched()); /* it is delivered as soon as IF is 1 */
	vlapic_accept(v, 0x51, false);
	assert_true(vlapic_hand_over(v));
	assert_true(all_watched()); /* 40 behind 51, in another word or the same one */
	deliver(0x51);
	deliver(0x40);
	page[APIC_PPR * 4] = 0;
	vlapic_accept(v, 0x91, true);
	assert_true(vlapic_hand_over(v));
	assert_int_equal(watched[2], 1ull << 17); /* alone: no more than for the IO-APIC */
	assert_int_equal(watched[0] | watched[1] | watched[3], 0);
	deliver(0x91);
	vlapic_accept(v, 0x90, false);
	assert_false(vlapic_hand_over(v));
	assert_true(all_watched()); /* behind the one in service */
	deliver(0x90);
	page[APIC_PPR * 4] = 0;
	memset(&page[APIC_ISR * 4], 0, WORDS * 16);
	wr(v, 0x808, 0x93);
	assert_int_equal(reg(APIC_TPR), 0x93);
	assert_int_equal(reg(APIC_PPR), 0x93);
	wr(v, 0x83f, 0x92);
	assert_false(vlapic_hand_over(v));
	v->attention = 0;
	vlapic_set_cr8(v, 8);
	assert_true(v->attention & ATT_IRQ);
	assert_int_equal(reg(APIC_TPR), 0x80);
	assert_int_equal(reg(APIC_PPR), 0x80);
	assert_true(vlapic_hand_over(v));
	deliver(0x92);
	vlapic_set_cr8(v, 0);
	assert_int_equal(reg(APIC_PPR), 0x90);
	fake_vm_free(vm);
}

static void ends(void **s)
{
	struct vm *vm = fake_vm(1);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	x2apic(v);
	vlapic_accept(v, 0x40, false);
	vlapic_accept(v, 0x41, true);
	vlapic_hand_over(v);
	vlapic_accept(v, 0x42, true);
	vlapic_init(v); /* INIT: the mode stays, all else is new */
	assert_true(on);
	assert_int_equal(irr_top, 0);
	assert_int_equal(reg(WORD(APIC_IRR, 0x40)), 0);
	assert_false(vlapic_hand_over(v));
	assert_int_equal(wr(v, 0x1b, HV_GPA_LAPIC), 0);
	assert_false(on);
	assert_int_equal(wr(v, 0x1b, HV_GPA_LAPIC | APIC_BASE_EN), 0);
	lapic_write(v, 0xf0, 0x1ff);
	assert_int_equal(take(v), -1);
	vlapic_accept(v, 0x43, true);
	assert_int_equal(take(v), 0x43);
	x2apic(v);
	vlapic_reset(v);
	assert_false(on);
	assert_null(v->lapic->page);
	fake_vm_free(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(mode_moves_state, setup),
		cmocka_unit_test_setup(posting, setup),
		cmocka_unit_test_setup(level, setup),
		cmocka_unit_test_setup(level_before, setup),
		cmocka_unit_test_setup(leaking, setup),
		cmocka_unit_test_setup(ends, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
