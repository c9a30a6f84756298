/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt vectors: hv's own (timer, IPIs) and devices'. A device interrupt has the number of its vector's slot.
 * All go to the boot CPU: what they do is set an event bit and wake a program, wherever that runs.
 */
#include "hv/abi/hv_abi.h"
#include "hv/cpu/cpu.h"
#include "hv/lib/spinlock.h"
#include "hv/mm/init.h"
#include "hv/plat/acpi.h"
#include "hv/plat/init.h"
#include "hv/plat/ioapic.h"
#include "hv/plat/lapic.h"
#include "hv/plat/timer_inner.h"

#define IRQS (VEC_LAST_DEVICE - VEC_FIRST_DEVICE + 1)
#define NO_GSI UINT32_MAX
#define ISA_IRQS 16u
#define MSI_ADDRESS 0xfee00000u /* destination in bits 12-19, SDM3 11.11.1 */

static struct irq {
	irq_fire_t fire; /* [a] NULL: free or being released */
	void *ctx;
	unsigned gsi; /* [I] while taken */
	bool level;   /* [I] */
	bool taken;   /* [L:irq_lock] */
	bool busy;    /* [a] fire runs */
} irqs[IRQS];
static struct spinlock irq_lock;
static void (*kick_handler)(void);
static void (*flush_handler)(void) = mm_flush_tlb;
uint64_t irq_unclaimed;

void irq_set_ipi_handler(enum vector v, void (*handler)(void))
{
	if (v == VEC_KICK)
		kick_handler = handler;
	else if (v == VEC_FLUSH)
		flush_handler = handler;
}

/* busy is set before fire is looked at and irq_release clears fire before it looks at busy: one sees the other. */
static void dispatch_device(struct irq *q)
{
	irq_fire_t fire;

	if (q->level)
		ioapic_mask(q->gsi, true);
	lapic_eoi();
	__atomic_store_n(&q->busy, true, __ATOMIC_SEQ_CST);
	fire = __atomic_load_n(&q->fire, __ATOMIC_SEQ_CST);
	if (fire != NULL)
		fire(q->ctx);
	else
		__atomic_fetch_add(&irq_unclaimed, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&q->busy, false, __ATOMIC_RELEASE);
}

static void dispatch_other(unsigned vector)
{
	if (vector == VEC_SPURIOUS)
		return; /* no EOI: it is not in service (SDM3 11.9) */
	lapic_eoi();
	if (vector == VEC_KICK && kick_handler != NULL)
		kick_handler();
	else if (vector == VEC_FLUSH)
		flush_handler();
	else if (vector != VEC_KICK && vector != VEC_POSTED)
		__atomic_fetch_add(&irq_unclaimed, 1, __ATOMIC_RELAXED);
}

void irq_dispatch(unsigned vector)
{
	if (LIKELY(vector == VEC_TIMER)) {
		lapic_eoi();
		timer_interrupt();
	} else if (vector >= VEC_FIRST_DEVICE && vector <= VEC_LAST_DEVICE) {
		dispatch_device(&irqs[vector - VEC_FIRST_DEVICE]);
	} else {
		dispatch_other(vector);
	}
}

void irq_take_pending(void)
{
	__asm__ volatile("sti; nop; cli" : : : "memory");
}

/* ---- allocation ---- */

static int take(irq_fire_t fire, void *ctx, unsigned gsi, bool level, unsigned *irq)
{
	int err = -HVE_LIMIT;

	spin_lock(&irq_lock);
	for (unsigned i = 0; i < IRQS && gsi != NO_GSI; i++) {
		if (irqs[i].taken && irqs[i].gsi == gsi) {
			err = -HVE_EXIST;
			goto out;
		}
	}
	for (unsigned i = 0; i < IRQS; i++) {
		if (irqs[i].taken)
			continue;
		irqs[i].taken = true;
		irqs[i].gsi = gsi;
		irqs[i].level = level;
		irqs[i].ctx = ctx;
		__atomic_store_n(&irqs[i].fire, fire, __ATOMIC_SEQ_CST);
		*irq = i;
		err = 0;
		break;
	}
out:
	spin_unlock(&irq_lock);
	return err;
}

/* ISA interrupts may be wired elsewhere and otherwise than their number says (ACPI 5.2.12.5). */
static void apply_override(unsigned *gsi, unsigned *flags)
{
	for (unsigned i = 0; *gsi < ISA_IRQS && i < acpi.n_overrides; i++) {
		const struct acpi_override *o = &acpi.overrides[i];

		if (o->irq != *gsi)
			continue;
		*gsi = o->gsi;
		if ((o->flags & 3) != 0)
			*flags = (*flags & ~HVI_LOW) | ((o->flags & 3) == 3 ? HVI_LOW : 0);
		if ((o->flags >> 2 & 3) != 0)
			*flags = (*flags & ~HVI_LEVEL) | ((o->flags >> 2 & 3) == 3 ? HVI_LEVEL : 0);
		return;
	}
}

int irq_alloc_gsi(unsigned gsi, unsigned flags, irq_fire_t fire, void *ctx, unsigned *irq)
{
	int err;

	if ((flags & ~(HVI_LEVEL | HVI_LOW)) != 0)
		return -HVE_INVAL;
	apply_override(&gsi, &flags);
	if (!ioapic_has(gsi))
		return -HVE_NOENT;
	err = take(fire, ctx, gsi, (flags & HVI_LEVEL) != 0, irq);
	if (err != 0)
		return err;
	ioapic_route(gsi, VEC_FIRST_DEVICE + *irq, cpus[0]->apic_id, (flags & HVI_LEVEL) != 0,
		     (flags & HVI_LOW) != 0);
	ioapic_mask(gsi, false);
	return 0;
}

int irq_alloc_msi(irq_fire_t fire, void *ctx, unsigned *irq, uint64_t *address, uint32_t *data)
{
	int err = take(fire, ctx, NO_GSI, false, irq);

	if (err != 0)
		return err;
	*address = MSI_ADDRESS | cpus[0]->apic_id << 12;
	*data = VEC_FIRST_DEVICE + *irq;
	return 0;
}

void irq_unmask(unsigned irq)
{
	if (irq < IRQS && irqs[irq].taken && irqs[irq].gsi != NO_GSI)
		ioapic_mask(irqs[irq].gsi, false);
}

/* Afterwards fire is not running. Not to be called with a lock held that fire takes. */
void irq_release(unsigned irq)
{
	struct irq *q = irq < IRQS ? &irqs[irq] : NULL;

	if (q == NULL || !q->taken)
		return;
	if (q->gsi != NO_GSI)
		ioapic_mask(q->gsi, true);
	__atomic_store_n(&q->fire, NULL, __ATOMIC_SEQ_CST);
	while (this_cpu()->index != 0 && __atomic_load_n(&q->busy, __ATOMIC_SEQ_CST))
		__builtin_ia32_pause();
	spin_lock(&irq_lock);
	q->gsi = NO_GSI;
	q->level = false;
	q->taken = false;
	spin_unlock(&irq_lock);
}
