/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts of PCI functions: MSI-X, else MSI, else the INTx pin, else a poll each millisecond. Called by drivers
 * when they start a device.
 *
 * INTx without an AML interpreter: which IO-APIC pin a function's INTx reaches is told by _PRT only. The interrupt
 * line register holds what the firmware routed in PIC mode, and on the chipsets that matter here (PIIX, ICH9) that
 * input keeps working through the IO-APIC. It may be wrong elsewhere; so a slow poll goes on until the first
 * interrupt has come, and a wrong guess costs latency, not the device.
 */
#include "drivers/driver.h"
#include "drivers/bits.h"
#include "drivers/pci_regs.h"
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/rt/rt.h"

#define IRQS_MAX 32u
#define POLL_NS 1000000ull         /* no interrupt at all */
#define SAFETY_POLL_NS 10000000ull /* INTx, until it has proved itself */
#define GSI_FIRST_PCI                                                                              \
	16u /* below: ISA pins, where PCI lines arrive active high (PIIX, ICH9 routers) */
#define IRQ_LINE_NONE 0xffu

struct irq {
	const struct pci_dev *dev; /* [borrows] */
	void (*fn)(void *);
	void *ctx; /* [borrows] the driver's */
	unsigned gsi;
	uint32_t handle;    /* hv's; shared INTx: only the first of a GSI has it */
	struct irq *sharer; /* next on the same GSI */
	struct loop_timer poll;
	uint64_t poll_ns;
	bool seen;
};
static struct irq irqs[IRQS_MAX];
static unsigned n_irqs;

static struct irq *irq_new(const struct pci_dev *d, void (*fn)(void *), void *ctx)
{
	struct irq *q = &irqs[n_irqs];

	if (n_irqs == IRQS_MAX)
		return NULL;
	n_irqs++;
	*q = (struct irq){.dev = d, .fn = fn, .ctx = ctx};
	return q;
}

static void on_msi(void *ctx)
{
	struct irq *q = ctx;

	q->fn(q->ctx);
}

/* All who share the line look at their device, then the line is opened again. */
static void on_intx(void *ctx)
{
	struct irq *first = ctx;

	if (!first->seen)
		rt_log("pci: INTx interrupts arrive on GSI %u", first->gsi);
	for (struct irq *q = first; q; q = q->sharer) {
		q->seen = true;
		q->fn(q->ctx);
	}
	(void)hv_irq_ack(first->handle);
}

static void on_poll(void *ctx)
{
	struct irq *q = ctx;

	if (q->seen)
		return;
	q->fn(q->ctx);
	loop_timer_set(&q->poll, q->poll_ns);
}

static void poll_start(struct irq *q, uint64_t ns)
{
	q->poll_ns = ns;
	loop_timer_init(&q->poll, on_poll, q);
	loop_timer_set(&q->poll, ns);
}

/* An event bit and what to write into the device, or -1. */
static int message_alloc(struct irq *q, struct hv_msi *msi)
{
	int bit = loop_bit_alloc(on_msi, q);
	uint64_t handle;

	if (bit < 0)
		return -1;
	if (hv_irq_bind_msi((unsigned)bit, msi, &handle) != 0) {
		loop_bit_free((unsigned)bit);
		return -1;
	}
	q->handle = (uint32_t)handle;
	return 0;
}

static volatile uint32_t *msix_entry(const struct pci_dev *d, unsigned cap, unsigned vector)
{
	uint32_t where = pci_read(d, cap + PCI_MSIX_TABLE, 4);
	unsigned count = (pci_read(d, cap + PCI_MSIX_CONTROL, 2) & PCI_MSIX_SIZE) + 1;

	if (vector >= count)
		return NULL;
	return pci_map_bar(d, where & 7, (where & ~7u) + (uint64_t)vector * PCI_MSIX_ENTRY,
			   PCI_MSIX_ENTRY);
}

/* The vector is masked until its entry is whole (PCI 3.0, 6.8.3). */
static int msix_set(const struct pci_dev *d, struct irq *q, unsigned vector)
{
	unsigned cap = pci_find_cap(d, PCI_CAP_MSIX, 0);
	volatile uint32_t *entry = cap ? msix_entry(d, cap, vector) : NULL;
	struct hv_msi msi;

	if (!entry || message_alloc(q, &msi) != 0)
		return -1;
	mmio_write32(entry + 3, 1);
	mmio_write32(entry, (uint32_t)msi.address);
	mmio_write32(entry + 1, (uint32_t)(msi.address >> 32));
	mmio_write32(entry + 2, msi.data);
	mmio_write32(entry + 3, 0);
	pci_write(d, cap + PCI_MSIX_CONTROL, 2,
		  (pci_read(d, cap + PCI_MSIX_CONTROL, 2) | PCI_MSIX_ENABLE) & ~PCI_MSIX_MASK_ALL);
	return 0;
}

static int msi_set(const struct pci_dev *d, struct irq *q)
{
	unsigned cap = pci_find_cap(d, PCI_CAP_MSI, 0), data;
	uint32_t control;
	struct hv_msi msi;

	if (!cap || message_alloc(q, &msi) != 0)
		return -1;
	control = pci_read(d, cap + PCI_MSI_CONTROL, 2) & ~(PCI_MSI_VECTORS | PCI_MSI_ENABLE);
	data = cap + (control & PCI_MSI_64 ? 12 : 8);
	pci_write(d, cap + PCI_MSI_CONTROL, 2, control);
	pci_write(d, cap + 4, 4, (uint32_t)msi.address);
	if (control & PCI_MSI_64)
		pci_write(d, cap + 8, 4, (uint32_t)(msi.address >> 32));
	pci_write(d, data, 2, msi.data & 0xffff);
	if (control & PCI_MSI_MASKS)
		pci_write(d, data + 4, 4, 0);
	pci_write(d, cap + PCI_MSI_CONTROL, 2, control | PCI_MSI_ENABLE);
	return 0;
}

static void intx_pin(const struct pci_dev *d, bool on)
{
	uint32_t command = pci_read(d, PCI_COMMAND, 2) & ~PCI_CMD_INTX_OFF;

	pci_write(d, PCI_COMMAND, 2, command | (on ? 0 : PCI_CMD_INTX_OFF));
}

static struct irq *intx_owner(unsigned gsi)
{
	for (unsigned i = 0; i < n_irqs; i++)
		if (irqs[i].gsi == gsi && irqs[i].handle)
			return &irqs[i];
	return NULL;
}

static int gsi_bind(struct irq *q)
{
	uint32_t flags = q->gsi >= GSI_FIRST_PCI ? HVI_LEVEL | HVI_LOW : HVI_LEVEL;
	int bit = loop_bit_alloc(on_intx, q);
	uint64_t handle;

	if (bit < 0)
		return -1;
	if (hv_irq_bind_gsi(q->gsi, (unsigned)bit, flags, &handle) != 0) {
		loop_bit_free((unsigned)bit);
		return -1;
	}
	q->handle = (uint32_t)handle;
	return 0;
}

static int intx_set(const struct pci_dev *d, struct irq *q)
{
	struct irq *owner;

	if (d->irq_pin == 0 || d->irq_line == 0 || d->irq_line == IRQ_LINE_NONE)
		return -1;
	owner = intx_owner(d->irq_line);
	q->gsi = d->irq_line;
	if (owner) {
		q->sharer = owner->sharer;
		owner->sharer = q;
	} else if (gsi_bind(q) != 0) {
		q->gsi = 0;
		return -1;
	}
	intx_pin(d, true);
	poll_start(q, SAFETY_POLL_NS);
	return 0;
}

int pci_irq_bind(const struct pci_dev *d, void (*fn)(void *), void *ctx, const char **kind)
{
	struct irq *q = irq_new(d, fn, ctx);

	if (!q)
		return -1;
	intx_pin(d, false);
	if (msix_set(d, q, 0) == 0) {
		*kind = "msix";
	} else if (msi_set(d, q) == 0) {
		*kind = "msi";
	} else if (intx_set(d, q) == 0) {
		*kind = "intx";
	} else {
		*kind = "poll";
		poll_start(q, POLL_NS);
	}
	return 0;
}

int pci_msix_bind(const struct pci_dev *d, unsigned vector, void (*fn)(void *), void *ctx)
{
	struct irq *q = irq_new(d, fn, ctx);

	if (!q)
		return -1;
	if (msix_set(d, q, vector) == 0)
		return 0;
	n_irqs--; /* nothing refers to it: it was the last */
	return -1;
}
