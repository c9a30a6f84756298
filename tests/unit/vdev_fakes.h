/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM made of nothing but its platform devices, for the unit tests of hv/vm: time, timers, scheduler calls and guest
 * memory are what the test says. Each test program includes this once.
 */
#ifndef TESTS_VDEV_FAKES_H
#define TESTS_VDEV_FAKES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hv/vm/vlapic.h"

#define FAKE_TSC_BASE 1000u /* the TSC runs at 1 GHz: tsc = ns + base */
#define FAKE_TIMERS 40

static uint64_t fake_ns;
static struct timer *fake_timers[FAKE_TIMERS];
static unsigned fake_kicks, fake_unblocks, fake_fires, fake_pages;
static uint32_t fake_unblocked; /* bits */

uint64_t tsc_khz = 1000000, tsc_base = FAKE_TSC_BASE, tsc_mult = 1ull << 32;
struct cpu_features cpu_features;
struct account account_hv;

uint64_t time_now(void)
{
	return fake_ns;
}
uint64_t time_from_tsc(uint64_t tsc)
{
	return tsc - FAKE_TSC_BASE;
}
uint64_t time_to_tsc(uint64_t ns)
{
	return ns + FAKE_TSC_BASE;
}
uint64_t rdtsc(void)
{
	return fake_ns + FAKE_TSC_BASE;
}

void timer_init(struct timer *t, void (*fire)(struct timer *))
{
	memset(t, 0, sizeof(*t));
	t->fire = fire;
	t->cpu = -1;
}
void timer_cancel(struct timer *t)
{
	for (int i = 0; i < FAKE_TIMERS; i++)
		if (fake_timers[i] == t)
			fake_timers[i] = NULL;
	t->cpu = -1;
}
void timer_arm(struct timer *t, uint64_t deadline)
{
	timer_cancel(t);
	t->deadline = deadline;
	t->cpu = 0;
	for (int i = 0; i < FAKE_TIMERS; i++)
		if (!fake_timers[i]) {
			fake_timers[i] = t;
			return;
		}
	fail_msg("too many timers");
}
static struct timer *fake_first(void)
{
	struct timer *first = NULL;

	for (int i = 0; i < FAKE_TIMERS; i++)
		if (fake_timers[i] && (!first || fake_timers[i]->deadline < first->deadline))
			first = fake_timers[i];
	return first;
}
/* Lets time pass; timers fire when they are due. */
static inline void fake_pass(uint64_t ns)
{
	uint64_t end = fake_ns + ns;
	struct timer *t;

	while ((t = fake_first()) && t->deadline <= end) {
		if (t->deadline > fake_ns)
			fake_ns = t->deadline;
		timer_cancel(t);
		fake_fires++;
		t->fire(t);
	}
	fake_ns = end;
}

static enum vector fake_sent; /* the last kick's */
void sched_send(struct sched_ent *e, enum vector v)
{
	(void)e;
	fake_sent = v;
	fake_kicks++;
}
void sched_kick(struct sched_ent *e)
{
	sched_send(e, VEC_KICK);
}
hpa_t hv_to_phys(const void *p)
{
	return (hpa_t)(uintptr_t)p;
}
void sched_unblock(struct sched_ent *e, uint32_t why)
{
	(void)e;
	fake_unblocks++;
	fake_unblocked |= why;
}

void *hv_pages_alloc(struct account *acct, unsigned n)
{
	void *p = aligned_alloc(PAGE_SIZE, n * PAGE_SIZE);

	memset(p, 0, n * PAGE_SIZE);
	acct->pages += n;
	fake_pages += n;
	return p;
}
void hv_pages_free(struct account *acct, void *p, unsigned n)
{
	acct->pages -= n;
	fake_pages -= n;
	free(p);
}

/* The console object. */
static uint8_t fake_console[HV_CONSOLE_PAGES][HV_PAGE_SIZE] __attribute__((aligned(4096)));
static struct mem fake_console_mem;
void *mem_hv_page(struct mem *m, uint64_t page_off)
{
	return m == &fake_console_mem && page_off < HV_CONSOLE_PAGES ? fake_console[page_off]
								     : NULL;
}

/* Guest memory: one page at 0x1000. */
static uint8_t fake_ram[4096];
int guest_phys_write(struct pt *npt, gpa_t gpa, const void *from, size_t len)
{
	(void)npt;
	if (gpa < 0x1000 || gpa + len > 0x2000)
		return -HVE_INVAL;
	memcpy(fake_ram + gpa - 0x1000, from, len);
	return 0;
}
uint64_t plat_boot_epoch = 1700000000;

/* The CPU. Tests that care set fake_cpuid. */
static struct cpuid (*fake_cpuid)(uint32_t leaf, uint32_t sub);
struct cpuid cpuid(uint32_t leaf, uint32_t sub)
{
	return fake_cpuid ? fake_cpuid(leaf, sub)
			  : (struct cpuid){leaf == 0x80000000 ? leaf : 0, 0, 0, 0};
}
static uint64_t fake_xcr0 = 1;
uint64_t xgetbv(uint32_t reg)
{
	(void)reg;
	return fake_xcr0;
}
static struct vcpu_context fake_context = {.mode = INSN_64};
static void context(struct vcpu *v, struct vcpu_context *out)
{
	(void)v;
	*out = fake_context;
}
static int vendor_msr(struct vcpu *v, uint32_t msr, bool write, uint64_t *value)
{
	static uint64_t efer;

	(void)v;
	if (msr != MSR_EFER)
		return -HVE_NOENT;
	if (write)
		efer = *value;
	else
		*value = efer;
	return 0;
}
static const struct vendor fake_vendor = {.context = context, .msr = vendor_msr};
const struct vendor *vendor = &fake_vendor;
const struct vendor_apic *vendor_apic;

static unsigned fake_notified;
static void notified(void *ctx)
{
	(void)ctx;
	fake_notified++;
}

static struct vm *fake_vm(unsigned vcpus)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	fake_ns = 1000000;
	fake_kicks = fake_unblocks = fake_fires = fake_notified = 0;
	fake_unblocked = 0;
	memset(fake_timers, 0, sizeof(fake_timers));
	memset(fake_console, 0, sizeof(fake_console));
	vm->id = 7;
	vm->n_vcpus = vcpus;
	vm->slots[HV_SLOT_CONSOLE] = &fake_console_mem;
	vm->notify.console = notified;
	for (unsigned i = 0; i < vcpus; i++) {
		struct vcpu *v = aligned_alloc(64, ALIGN_UP(sizeof(*v), 64));

		memset(v, 0, sizeof(*v));
		v->vm = vm;
		v->index = i;
		v->fpu.cpu = -1;
		vm->vcpus[i] = v;
		assert_int_equal(vlapic_create(v), 0);
	}
	assert_int_equal(vm_devices_create(vm), 0);
	return vm;
}

/* Ends by proving that nothing stayed. */
static void fake_vm_free(struct vm *vm)
{
	vm_devices_destroy(vm);
	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		vlapic_destroy(vm->vcpus[i]);
		free(vm->vcpus[i]);
	}
	assert_null(fake_first());
	assert_int_equal(vm->acct.pages, 0);
	assert_int_equal(fake_pages, 0);
	free(vm);
}

/* ---- as a guest would ---- */
static inline int wr(struct vcpu *v, uint32_t msr, uint64_t value)
{
	return vcpu_msr(v, msr, true, &value);
}
static inline uint64_t rd(struct vcpu *v, uint32_t msr)
{
	uint64_t value = 0xdead;

	assert_int_equal(vcpu_msr(v, msr, false, &value), 0);
	return value;
}
static inline void x2apic(struct vcpu *v)
{
	assert_int_equal(wr(v, 0x1b, HV_GPA_LAPIC | APIC_BASE_EN | APIC_BASE_X2), 0);
	assert_int_equal(wr(v, 0x80f, 0x1ff), 0);
}
static inline void out8(struct vm *vm, uint16_t port, uint8_t byte)
{
	uint64_t value = byte;

	assert_true(vdev_pio(vm->vcpus[0], port, 1, true, &value));
}
static inline uint8_t in8(struct vm *vm, uint16_t port)
{
	uint64_t value = 0;

	assert_true(vdev_pio(vm->vcpus[0], port, 1, false, &value));
	return (uint8_t)value;
}
static inline void mmio_write(struct vcpu *v, gpa_t gpa, uint32_t word)
{
	uint64_t value = word;

	assert_true(vdev_mmio(v, gpa, 4, true, &value));
}
static inline uint32_t mmio_read(struct vcpu *v, gpa_t gpa)
{
	uint64_t value = 0;

	assert_true(vdev_mmio(v, gpa, 4, false, &value));
	return (uint32_t)value;
}
static inline void lapic_write(struct vcpu *v, unsigned offset, uint32_t word)
{
	mmio_write(v, HV_GPA_LAPIC + offset, word);
}
static inline uint32_t lapic_read(struct vcpu *v, unsigned offset)
{
	return mmio_read(v, HV_GPA_LAPIC + offset);
}
static inline void ioapic_set(struct vcpu *v, unsigned reg, uint32_t word)
{
	mmio_write(v, HV_GPA_IOAPIC, reg);
	mmio_write(v, HV_GPA_IOAPIC + 0x10, word);
}
static inline uint32_t ioapic_get(struct vcpu *v, unsigned reg)
{
	mmio_write(v, HV_GPA_IOAPIC, reg);
	return mmio_read(v, HV_GPA_IOAPIC + 0x10);
}
/* Takes what is pending as the run loop does; -1: nothing. */
static inline int take(struct vcpu *v)
{
	int vector;

	v->attention &= ~(uint32_t)ATT_IRQ;
	vector = vlapic_pending(v);
	if (vector >= 0)
		vlapic_take(v, (uint8_t)vector);
	return vector;
}

#endif
