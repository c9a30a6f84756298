/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whose x87, SSE, AVX ... state is in this CPU's registers. hv has none; state stays in the registers until somebody
 * else needs them, so a guest's exits and a program's system calls do not touch it.
 *
 * Save and restore always cover all components, whatever XCR0 its owner chose: one that a guest has switched off keeps
 * its value and would otherwise be seen by the next owner. XCR0 is read when saving, for a guest may have changed it
 * without an exit (XSETBV has no intercept in QEMU's SVM).
 *
 * f->cpu says where the state is. It leaves a CPU's registers on that CPU only: fpu_switch() to another owner, or
 * fpu_leave(). Another CPU may only drop it (fpu_destroy): whoever takes cpu->fpu_owner away by an atomic exchange
 * decides its fate.
 */
#include "hv/cpu/cpu.h"

#include "hv/abi/hv_abi.h"
#include "hv/cpu/x86.h"
#include "hv/lib/log.h"
#include "hv/lib/string.h"
#include "hv/mm/frame.h"

/* Offsets in the legacy area (APM2 11.4.4). */
enum { FXSAVE_FCW = 0, FXSAVE_MXCSR = 24 };
#define FCW_INIT 0x37fu
#define MXCSR_INIT 0x1f80u
#define XCR0_X87 1ull

static unsigned area_pages(void)
{
	unsigned n = 1;

	while (n * PAGE_SIZE < cpu_features.xsave_size)
		n *= 2;
	return n;
}

static void init_area(struct fpu *f)
{
	uint16_t fcw = FCW_INIT;
	uint32_t mxcsr = MXCSR_INIT;
	uint8_t *area = f->area;

	/* The rest is 0: XSTATE_BV of 0 means initial values (APM2 11.5.2). */
	memset(area, 0, cpu_features.xsave_size);
	memcpy(area + FXSAVE_FCW, &fcw, sizeof(fcw));
	memcpy(area + FXSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
	f->xcr0 = XCR0_X87;
}

int fpu_create(struct fpu *f, void *acct)
{
	uint8_t *area = hv_pages_alloc(acct, area_pages());

	if (area == NULL)
		return -HVE_NOMEM;
	f->area = area;
	f->cpu = -1;
	init_area(f);
	return 0;
}

/* All components, for XSAVE and XRSTOR leave out what XCR0 has not -> XCR0 as it was */
static uint64_t xcr0_all(void)
{
	uint64_t was = xgetbv(0);

	if (was != cpu_features.xcr0_mask)
		xsetbv(0, cpu_features.xcr0_mask);
	return was;
}

/* Leaves XCR0 with all components. */
static void save(struct fpu *f)
{
	if (!cpu_features.xsave) {
		__asm__ volatile("fxsave64 (%0)" : : "r"(f->area) : "memory");
		return;
	}
	f->xcr0 = xcr0_all();
	if (cpu_features.xsaveopt)
		__asm__ volatile("xsaveopt64 (%0)" : : "r"(f->area), "a"(-1), "d"(-1) : "memory");
	else
		__asm__ volatile("xsave64 (%0)" : : "r"(f->area), "a"(-1), "d"(-1) : "memory");
}

/* XCR0 has all components. */
static void restore(const struct fpu *f)
{
	if (!cpu_features.xsave) {
		__asm__ volatile("fxrstor64 (%0)" : : "r"(f->area) : "memory");
		return;
	}
	__asm__ volatile("xrstor64 (%0)" : : "r"(f->area), "a"(-1), "d"(-1) : "memory");
	if (f->xcr0 != cpu_features.xcr0_mask)
		xsetbv(0, f->xcr0);
}

/* Takes the registers from their owner; after it the area is current. -> false: they had none */
static bool evict(struct cpu *c)
{
	struct fpu *old = __atomic_exchange_n(&c->fpu_owner, NULL, __ATOMIC_ACQ_REL);

	if (old == NULL)
		return false;
	save(old);
	__atomic_store_n(&old->cpu, -1, __ATOMIC_RELEASE);
	return true;
}

void fpu_switch(struct fpu *f, uint64_t domain)
{
	struct cpu *c = this_cpu();

	if (LIKELY(c->fpu_owner == f))
		return;
	if (!evict(c) && cpu_features.xsave)
		(void)xcr0_all();
	assert(__atomic_load_n(&f->cpu, __ATOMIC_ACQUIRE) == -1);
	restore(f);
	f->cpu = (int)c->index;
	c->fpu_domain = domain;
	__atomic_store_n(&c->fpu_owner, f, __ATOMIC_RELEASE);
}

void fpu_leave(struct fpu *f)
{
	struct cpu *c = this_cpu();
	uint64_t cr0;

	if (c->fpu_owner != f)
		return;
	cr0 = read_cr0(); /* the call of a program that runs without FPU, maybe (CR0.TS) */
	__asm__ volatile("clts" : : : "memory");
	(void)evict(c);
	if (cr0 & CR0_TS)
		write_cr0(cr0);
}

/* Takes the registers' content away from a CPU without saving it; after it the area is the only copy. */
static void drop(struct fpu *f)
{
	int where = __atomic_load_n(&f->cpu, __ATOMIC_ACQUIRE);
	void *expected = f;

	if (where >= 0 && !__atomic_compare_exchange_n(&cpus[where]->fpu_owner, &expected, NULL,
						       false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		while (__atomic_load_n(&f->cpu, __ATOMIC_ACQUIRE) != -1)
			cpu_pause(); /* that CPU is saving it just now: a few hundred cycles */
	__atomic_store_n(&f->cpu, -1, __ATOMIC_RELEASE);
}

void fpu_reset(struct fpu *f)
{
	drop(f);
	init_area(f);
}

void fpu_destroy(struct fpu *f, void *acct)
{
	if (f->area == NULL)
		return;
	drop(f);
	hv_pages_free(acct, f->area, area_pages());
	f->area = NULL;
}
