/* SPDX-License-Identifier: BSD-2-Clause */
/* IO-APICs: redirection entries, one lock for all. The legacy PICs are moved out of the way and masked. */
#include "hv/plat/ioapic.h"

#include "hv/cpu/x86.h"
#include "hv/lib/log.h"
#include "hv/lib/spinlock.h"
#include "hv/mm/init.h"
#include "hv/plat/acpi.h"

#define IOAPIC_VERSION 1u
#define IOAPIC_ENTRY(pin) (0x10u + 2 * (pin))
#define IOAPIC_WINDOW 4u /* in 32-bit words: register select at 0, window at 0x10 */
#define ENTRY_LOW (1u << 13)
#define ENTRY_LEVEL (1u << 15)
#define ENTRY_MASKED (1u << 16)
#define PINS_MAX 240u

static struct {
	volatile uint32_t *regs;
	unsigned gsi_base, n_pins;
} ioapics[ACPI_IOAPICS_MAX];
static unsigned n_ioapics;
static struct spinlock ioapic_lock; /* the select register and read-modify-write of entries */

static uint32_t reg_read(unsigned i, unsigned reg)
{
	ioapics[i].regs[0] = reg;
	return ioapics[i].regs[IOAPIC_WINDOW];
}

static void reg_write(unsigned i, unsigned reg, uint32_t v)
{
	ioapics[i].regs[0] = reg;
	ioapics[i].regs[IOAPIC_WINDOW] = v;
}

static bool find(unsigned gsi, unsigned *i, unsigned *pin)
{
	for (*i = 0; *i < n_ioapics; (*i)++) {
		*pin = gsi - ioapics[*i].gsi_base;
		if (gsi >= ioapics[*i].gsi_base && *pin < ioapics[*i].n_pins)
			return true;
	}
	return false;
}

bool ioapic_has(unsigned gsi)
{
	unsigned i, pin;

	return find(gsi, &i, &pin);
}

void ioapic_route(unsigned gsi, unsigned vector, uint32_t apic_id, bool level, bool low)
{
	unsigned i, pin;

	if (!find(gsi, &i, &pin))
		return;
	spin_lock(&ioapic_lock);
	reg_write(i, IOAPIC_ENTRY(pin), ENTRY_MASKED);
	reg_write(i, IOAPIC_ENTRY(pin) + 1, apic_id << 24);
	reg_write(i, IOAPIC_ENTRY(pin),
		  vector | ENTRY_MASKED | (level ? ENTRY_LEVEL : 0) | (low ? ENTRY_LOW : 0));
	spin_unlock(&ioapic_lock);
}

void ioapic_mask(unsigned gsi, bool masked)
{
	unsigned i, pin;
	uint32_t v;

	if (!find(gsi, &i, &pin))
		return;
	spin_lock(&ioapic_lock);
	v = reg_read(i, IOAPIC_ENTRY(pin));
	reg_write(i, IOAPIC_ENTRY(pin), masked ? v | ENTRY_MASKED : v & ~ENTRY_MASKED);
	spin_unlock(&ioapic_lock);
}

/* 8259A: initialise both to vectors 0x20-0x2f, where a spurious IRQ 7 or 15 does no harm, and mask all lines. */
static void mask_pics(void)
{
	outb(0x20, 0x11);
	outb(0xa0, 0x11);
	outb(0x21, 0x20);
	outb(0xa1, 0x28);
	outb(0x21, 4);
	outb(0xa1, 2);
	outb(0x21, 1);
	outb(0xa1, 1);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

void ioapic_init(void)
{
	mask_pics();
	for (unsigned k = 0; k < acpi.n_ioapics; k++) {
		unsigned i = n_ioapics;
		uint32_t version;

		ioapics[i].regs = mm_map_device(acpi.ioapics[k].address, PAGE_SIZE);
		if (ioapics[i].regs == NULL)
			continue;
		version = reg_read(i, IOAPIC_VERSION);
		if (version == UINT32_MAX)
			continue; /* nobody there */
		ioapics[i].gsi_base = acpi.ioapics[k].gsi_base;
		ioapics[i].n_pins = MIN((version >> 16 & 0xff) + 1, PINS_MAX);
		n_ioapics++;
		for (unsigned pin = 0; pin < ioapics[i].n_pins; pin++)
			reg_write(i, IOAPIC_ENTRY(pin), ENTRY_MASKED);
	}
	if (n_ioapics == 0)
		log_printf("apic: no IO-APIC; devices must use MSI");
}
