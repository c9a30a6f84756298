/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCI configuration space of segment 0. Registers below 256 by ports CF8/CFC, which every machine has; above by the
 * memory-mapped space (ECAM) where MCFG gives it.
 */
#include "hv/plat/pci.h"

#include "hv/abi/hv_abi.h"
#include "hv/cpu/x86.h"
#include "hv/lib/log.h"
#include "hv/lib/spinlock.h"
#include "hv/mm/init.h"
#include "hv/plat/acpi.h"
#include "hv/plat/plat.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA 0xcfc
#define CONFIG_ENABLE (1u << 31)
#define LEGACY_SIZE 256u
#define EXTENDED_SIZE 4096u
#define BDF_MAX 0xffffu
#define BUS_BYTES (1ull << 20) /* ECAM: 256 functions of 4 KiB */

static struct spinlock pci_lock; /* the address port */
static volatile uint8_t *ecam;   /* [I] of ecam_first */
static unsigned ecam_first, ecam_last;

void pci_init(void)
{
	for (unsigned i = 0; i < acpi.n_mcfg && ecam == NULL; i++) {
		const struct acpi_mcfg *m = &acpi.mcfg[i];
		uint64_t start = m->base + m->first_bus * BUS_BYTES;
		unsigned n = m->last_bus - m->first_bus + 1u;

		if (m->segment != 0 || plat_overlaps_ram(start, n * BUS_BYTES))
			continue;
		ecam = mm_map_device(start, n * BUS_BYTES);
		ecam_first = m->first_bus;
		ecam_last = m->last_bus;
	}
}

static volatile uint8_t *ecam_register(uint32_t bdf, unsigned offset)
{
	unsigned bus = bdf >> 8;

	if (ecam == NULL || bus < ecam_first || bus > ecam_last)
		return NULL;
	return ecam + (bdf - (ecam_first << 8)) * (uint64_t)EXTENDED_SIZE + offset;
}

static int check(uint32_t bdf, unsigned offset, unsigned width)
{
	if (bdf > BDF_MAX || (width != 1 && width != 2 && width != 4) || offset % width != 0 ||
	    offset >= EXTENDED_SIZE)
		return -HVE_INVAL;
	if (offset >= LEGACY_SIZE && ecam_register(bdf, offset) == NULL)
		return -HVE_NOENT;
	return 0;
}

static uint32_t ecam_read(const volatile uint8_t *r, unsigned width)
{
	if (width == 1)
		return *r;
	if (width == 2)
		return *(const volatile uint16_t *)r;
	return *(const volatile uint32_t *)r;
}

static void ecam_write(volatile uint8_t *r, unsigned width, uint32_t v)
{
	if (width == 1)
		*r = (uint8_t)v;
	else if (width == 2)
		*(volatile uint16_t *)r = (uint16_t)v;
	else
		*(volatile uint32_t *)r = v;
}

static uint16_t select(uint32_t bdf, unsigned offset)
{
	outl(CONFIG_ADDRESS, CONFIG_ENABLE | bdf << 8 | (offset & ~3u));
	return (uint16_t)(CONFIG_DATA + (offset & 3));
}

static uint32_t legacy_read(uint32_t bdf, unsigned offset, unsigned width)
{
	uint32_t v;
	uint16_t port;

	spin_lock(&pci_lock);
	port = select(bdf, offset);
	v = width == 1 ? inb(port) : width == 2 ? inw(port) : inl(port);
	spin_unlock(&pci_lock);
	return v;
}

static void legacy_write(uint32_t bdf, unsigned offset, unsigned width, uint32_t v)
{
	uint16_t port;

	spin_lock(&pci_lock);
	port = select(bdf, offset);
	if (width == 1)
		outb(port, (uint8_t)v);
	else if (width == 2)
		outw(port, (uint16_t)v);
	else
		outl(port, v);
	spin_unlock(&pci_lock);
}

int pci_config_read(uint32_t bdf, unsigned offset, unsigned width, uint32_t *value)
{
	int err = check(bdf, offset, width);

	if (err != 0)
		return err;
	*value = offset < LEGACY_SIZE ? legacy_read(bdf, offset, width)
				      : ecam_read(ecam_register(bdf, offset), width);
	return 0;
}

int pci_config_write(uint32_t bdf, unsigned offset, unsigned width, uint32_t value)
{
	int err = check(bdf, offset, width);

	if (err != 0)
		return err;
	if (offset < LEGACY_SIZE)
		legacy_write(bdf, offset, width, value);
	else
		ecam_write(ecam_register(bdf, offset), width, value);
	return 0;
}
