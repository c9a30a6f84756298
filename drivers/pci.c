/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCI: finds all functions, sizes their BARs, walks capabilities, maps registers. Configuration space is reached by
 * hypercalls. Called once at start by main.c, then by the drivers. Devices and firmware are not trusted: every loop
 * has a bound, every address is checked before it is mapped (hv checks again).
 * Sections named here are of the PCI Local Bus Specification 3.0.
 */
#include "drivers/driver.h"
#include "drivers/pci_regs.h"
#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/rt/rt.h"

static struct pci_dev devs[PCI_DEVS_MAX];
static unsigned n_devs;
static bool overflow_said;

static uint32_t config_read(uint32_t bdf, unsigned off, unsigned width)
{
	uint64_t value;

	if (hv_pci_read(bdf, off, width, &value) != 0)
		return UINT32_MAX >> (32 - 8 * width); /* as an absent device answers */
	return (uint32_t)value;
}

uint32_t pci_read(const struct pci_dev *d, unsigned off, unsigned width)
{
	return config_read(d->bdf, off, width);
}

void pci_write(const struct pci_dev *d, unsigned off, unsigned width, uint32_t value)
{
	if (hv_pci_write(d->bdf, off, width, value) != 0)
		rt_log("pci %02x:%02x.%x: configuration offset 0x%x cannot be written", d->bdf >> 8,
		       d->bdf >> 3 & 31, d->bdf & 7, off);
}

/* Writes ones, reads the size mask, puts the old value back (6.2.5.1). Decoding is off meanwhile. */
static uint32_t probe_mask(const struct pci_dev *d, unsigned off)
{
	uint32_t old = pci_read(d, off, 4), mask;

	pci_write(d, off, 4, UINT32_MAX);
	mask = pci_read(d, off, 4);
	pci_write(d, off, 4, old);
	return mask;
}

/* -> how many BAR registers this one takes. */
static unsigned size_bar(struct pci_dev *d, unsigned i, unsigned count)
{
	unsigned off = PCI_BAR0 + 4 * i;
	uint32_t low = pci_read(d, off, 4), mask = probe_mask(d, off);
	struct pci_bar *bar = &d->bars[i];
	uint64_t wide;

	if (mask == 0 || mask == UINT32_MAX)
		return 1;
	bar->io = low & PCI_BAR_IO;
	if (bar->io) {
		bar->base = low & 0xfffcu;
		bar->size = (~(mask & 0xfffcu) & 0xffffu) + 1;
		return 1;
	}
	bar->prefetch = low & PCI_BAR_PREFETCH;
	bar->base = low & ~0xfu;
	wide = 0xffffffff00000000ull | (mask & ~0xfu);
	bar->is64 = (low & PCI_BAR_TYPE) == PCI_BAR_64 && i + 1 < count;
	if (bar->is64) {
		bar->base |= (uint64_t)pci_read(d, off + 4, 4) << 32;
		wide = (uint64_t)probe_mask(d, off + 4) << 32 | (mask & ~0xfu);
	}
	bar->size = ~wide + 1;
	return bar->is64 ? 2 : 1;
}

static void size_bars(struct pci_dev *d)
{
	unsigned count = (d->header_type & 0x7f) == PCI_HEADER_DEVICE ? 6 : 2;
	uint32_t command = pci_read(d, PCI_COMMAND, 2);

	if ((d->header_type & 0x7f) > PCI_HEADER_BRIDGE ||
	    d->class_code >> 8 == PCI_CLASS_HOST_BRIDGE)
		return; /* switching off a host bridge's decoding may switch off RAM */
	pci_write(d, PCI_COMMAND, 2, command & ~(PCI_CMD_IO | PCI_CMD_MEM));
	for (unsigned i = 0; i < count;)
		i += size_bar(d, i, count);
	/*
	 * What the firmware left with an interrupt pending would hold down a line that one of our devices shares;
	 * pci_irq_bind() lets a device's pin through again.
	 */
	if ((d->header_type & 0x7f) == PCI_HEADER_DEVICE)
		command |= PCI_CMD_INTX_OFF;
	pci_write(d, PCI_COMMAND, 2, command);
}

static void add_function(uint32_t bdf, uint32_t id)
{
	struct pci_dev *d = &devs[n_devs];
	uint32_t word;

	if (n_devs == PCI_DEVS_MAX) {
		if (!overflow_said)
			rt_log("pci: more than %u functions; the rest is not used", PCI_DEVS_MAX);
		overflow_said = true;
		return;
	}
	*d = (struct pci_dev){.bdf = bdf, .vendor = id & 0xffff, .device = (uint16_t)(id >> 16)};
	word = config_read(bdf, PCI_REVISION, 4);
	d->revision = word & 0xff;
	d->class_code = word >> 8;
	d->header_type = (uint8_t)config_read(bdf, PCI_HEADER_TYPE, 1);
	word = config_read(bdf, PCI_INTERRUPT_LINE, 4);
	d->irq_line = word & 0xff;
	d->irq_pin = word >> 8 & 0xff;
	if ((d->header_type & 0x7f) == PCI_HEADER_DEVICE) {
		word = config_read(bdf, PCI_SUBSYSTEM, 4);
		d->subsys_vendor = word & 0xffff;
		d->subsys = (uint16_t)(word >> 16);
	}
	size_bars(d);
	n_devs++;
}

static void scan_device(uint32_t bdf)
{
	uint32_t id = config_read(bdf, PCI_VENDOR, 4);
	unsigned functions;

	if ((id & 0xffff) == 0xffff || id == 0)
		return;
	functions = config_read(bdf, PCI_HEADER_TYPE, 1) & PCI_HEADER_MULTI ? 8 : 1;
	add_function(bdf, id);
	for (unsigned f = 1; f < functions; f++) {
		id = config_read(bdf | f, PCI_VENDOR, 4);
		if ((id & 0xffff) != 0xffff && id != 0)
			add_function(bdf | f, id);
	}
}

/*
 * All 256 buses instead of a walk over bridges: machines with several root buses tell of them in AML only, and
 * 8192 reads cost some milliseconds once.
 */
void pci_scan(void)
{
	n_devs = 0;
	for (uint32_t bdf = 0; bdf < 0x10000; bdf += 8)
		scan_device(bdf);
}

unsigned pci_count(void)
{
	return n_devs;
}

struct pci_dev *pci_dev(unsigned i)
{
	return i < n_devs ? &devs[i] : NULL;
}

/*
 * Capabilities lie in 0x40..0xff, 4-aligned (6.7), in any order. The walk begins at the head each time and ends at an
 * offset it has seen, so a list that loops ends for a caller that goes on from hit to hit as well.
 */
unsigned pci_find_cap(const struct pci_dev *d, uint8_t id, unsigned after)
{
	uint64_t seen = 0; /* bit n: offset 4n */
	bool armed = after == 0;
	unsigned at;

	if (!(pci_read(d, PCI_STATUS, 2) & PCI_STATUS_CAPS))
		return 0;
	at = pci_read(d, PCI_CAP_POINTER, 1) & 0xfcu;
	while (at >= PCI_CAP_FIRST && !(seen >> at / 4 & 1)) {
		uint32_t head = pci_read(d, at, 2);

		seen |= 1ull << at / 4;
		if (armed && (head & 0xff) == id)
			return at;
		armed |= at == after;
		at = head >> 8 & 0xfcu;
	}
	return 0;
}

void pci_enable(const struct pci_dev *d, bool bus_master)
{
	uint32_t command = pci_read(d, PCI_COMMAND, 2);

	command |= PCI_CMD_IO | PCI_CMD_MEM;
	command &= ~PCI_CMD_MASTER;
	pci_write(d, PCI_COMMAND, 2, command | (bus_master ? PCI_CMD_MASTER : 0));
}

volatile void *pci_map_bar(const struct pci_dev *d, unsigned bar, uint64_t off, uint64_t len)
{
	const struct pci_bar *b = bar < 6 ? &d->bars[bar] : NULL;
	uint64_t start, pages;
	unsigned in_page;
	void *va;

	if (!b || b->io || b->size == 0 || b->base == 0 || len == 0 || off >= b->size ||
	    len > b->size - off)
		return NULL;
	start = b->base + off;
	in_page = (unsigned)(start % HV_PAGE_SIZE);
	pages = (in_page + len + HV_PAGE_SIZE - 1) / HV_PAGE_SIZE;
	va = rt_va_alloc(pages, 1);
	if (!va)
		return NULL;
	if (hv_mmio_map(start - in_page, pages, (uint64_t)(uintptr_t)va) != 0) {
		rt_va_free(va, pages);
		return NULL;
	}
	return (volatile char *)va + in_page;
}

void pci_delay_us(unsigned us)
{
	uint64_t end = rt_now() + us * 1000ull;

	while (rt_now() < end)
		__builtin_ia32_pause();
}
