/* SPDX-License-Identifier: BSD-2-Clause */
/* What a driver of a network card has of PCI and DMA: one BAR of CARD_BAR bytes, one interrupt. Addresses are pointers. */
#ifndef TESTS_CARD_FAKES_H
#define TESTS_CARD_FAKES_H

#include <stdlib.h>
#include <string.h>
#include "drivers/driver.h"

/* Drivers keep what they have for good. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static _Alignas(8) uint8_t bar[CARD_BAR];
static bool master;
static void (*irq)(void *);
static void *irq_ctx;
static const char *irq_kind = "msix";

unsigned pci_count(void)
{
	return 0;
}

struct pci_dev *pci_dev(unsigned i)
{
	(void)i;
	return NULL;
}

void pci_enable(const struct pci_dev *d, bool bus_master)
{
	(void)d;
	master = bus_master;
}

volatile void *pci_map_bar(const struct pci_dev *d, unsigned n, uint64_t off, uint64_t len)
{
	(void)d, (void)n;
	return off + len <= sizeof(bar) ? bar + off : NULL;
}

int pci_irq_bind(const struct pci_dev *d, void (*fn)(void *), void *ctx, const char **kind)
{
	(void)d;
	irq = fn;
	irq_ctx = ctx;
	*kind = irq_kind;
	return 0;
}

void pci_delay_us(unsigned us)
{
	(void)us;
}

int dma_alloc(struct dma *out, size_t bytes, size_t align)
{
	size_t size = (bytes + align - 1) / align * align;

	*out = (struct dma){.va = aligned_alloc(align, size), .bytes = bytes};
	memset(out->va, 0, size);
	out->hpa = (uintptr_t)out->va;
	return 0;
}

#endif
