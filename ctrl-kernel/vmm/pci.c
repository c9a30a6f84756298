/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PCI host bridge and configuration mechanisms: ports 0xcf8/0xcfc (PCI 3.0, 3.2.2.3.2) and ECAM for bus 0.
 * Empty slots read all ones. The bridge is 1b36:0008, the generic PCIe host bridge that QEMU gives machines
 * without a chipset to imitate: every OS takes it by its class and none has quirks for it, whereas the ids of
 * 440FX or Q35 bring probes of chipset registers that do not exist here.
 */
#include "ctrl-kernel/vmm/pci.h"
#include "ctrl-kernel/vmm/layout.h"

#include <string.h>

enum { ADDRESS = 0, RESET = PORT_RESET - PORT_PCI_ADDRESS, DATA = 4 }; /* offsets from 0xcf8 */

#define ADDRESS_ENABLE 0x80000000u
#define ADDRESS_BITS 0x80fffffcu
#define COMMAND_BITS 0x0406u /* memory, bus master, INTx disable; I/O where there is such a BAR */
#define INTX_LINES 4u

static const struct pci_identity host_bridge = {
	.vendor = 0x1b36,
	.device = 0x0008,
	.class = 0x060000,
};

/* Which bits of each configuration space a guest may write. */
static uint8_t write_mask[PCI_SLOTS][PCI_CONFIG_BYTES];
static uint8_t power_on[PCI_SLOTS][PCI_CONFIG_BYTES]; /* what a reset makes of them */
static struct pci_function functions[PCI_SLOTS];

static uint32_t get(const uint8_t *at, unsigned bytes)
{
	uint32_t value = 0;

	memcpy(&value, at, bytes);
	return value;
}

static void put(uint8_t *at, uint32_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> i * 8);
}

static void config_fill(uint8_t *c, const struct pci_identity *id)
{
	memset(c, 0, PCI_CONFIG_BYTES);
	put(c + PCI_DEVICE, id->device, 2);
	put(c + PCI_REVISION, id->revision, 1);
	put(c + PCI_CLASS, id->class, 3);
	put(c + PCI_SUBSYSTEM, id->subsystem_vendor | (uint32_t)id->subsystem << 16, 4);
	put(c + PCI_INTERRUPT_PIN, id->interrupt_pin, 1);
	put(c + PCI_VENDOR, id->vendor, 2); /* last: now the slot is taken */
}

void pci_config_set(struct vm *vm, unsigned slot, unsigned reg, uint32_t value, unsigned bytes)
{
	put(&vm->state->pci.config[slot][reg], value, bytes);
}

void pci_power_on(unsigned slot, unsigned reg, uint32_t value, unsigned bytes)
{
	put(&power_on[slot][reg], value, bytes);
}

void pci_config_mask(unsigned slot, unsigned reg, uint32_t mask, unsigned bytes)
{
	put(&write_mask[slot][reg], mask, bytes);
}

uint32_t pci_config_get(struct vm *vm, unsigned slot, unsigned reg, unsigned width)
{
	return get(&vm->state->pci.config[slot][reg], width);
}

/* ---- INTx: the slots that share a line are OR-ed ---- */

static void intx_update(struct vm *vm, unsigned slot)
{
	unsigned line = slot % INTX_LINES;
	bool level = false;

	for (unsigned s = line; s < PCI_SLOTS; s += INTX_LINES) {
		const uint8_t *c = vm->state->pci.config[s];

		if ((c[PCI_STATUS] & PCI_STATUS_INTX) &&
		    !(get(c + PCI_COMMAND, 2) & PCI_COMMAND_INTX_OFF))
			level = true;
	}
	vm_irq(vm, GSI_PCI + line, level);
}

void pci_intx_set(struct vm *vm, unsigned slot, bool level)
{
	uint8_t *status = &vm->state->pci.config[slot][PCI_STATUS];

	*status = (uint8_t)(level ? *status | PCI_STATUS_INTX : *status & ~PCI_STATUS_INTX);
	intx_update(vm, slot);
}

/* ---- BARs, those of all slots in one row ---- */

#define BARS (PCI_SLOTS * PCI_BARS)

static const struct pci_bar *bar_at(unsigned i)
{
	return &functions[i / PCI_BARS].bar[i % PCI_BARS];
}

/* Where the registers want it; 0: nowhere. The bridge forwards its windows and nothing else. */
static uint32_t bar_wanted(struct vm *vm, unsigned i)
{
	const uint8_t *c = vm->state->pci.config[i / PCI_BARS];
	const struct pci_bar *b = bar_at(i);
	bool io = b->space == HV_SPACE_PIO;
	uint32_t start = io ? PCI_PORTS : PCI_WINDOW, end = io ? PCI_PORTS_END : PCI_WINDOW_END;
	uint32_t base = get(c + PCI_BAR0 + i % PCI_BARS * 4, 4) & ~(b->bytes - 1);

	if (!b->bytes || base < start || base > end - b->bytes ||
	    !(get(c + PCI_COMMAND, 2) & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		return 0;
	return base;
}

/* Where nobody else is. */
static void bar_map(struct vm *vm, unsigned i, uint32_t base)
{
	const struct pci_bar *b = bar_at(i);

	if (!base || !bus_free(&vm->bus, b->space, base, b->bytes))
		return;
	*b->mapped = base;
	bus_add(&vm->bus, b->space, base, b->bytes, b->fn, functions[i / PCI_BARS].dev);
	for (unsigned n = 0; n < b->n_regions; n++) {
		const struct pci_region *r = &b->regions[n];

		vm_claim(b->space, base + r->offset, r->bytes, r->kind, r->bit);
	}
}

static void bar_unmap(struct vm *vm, const struct pci_bar *b)
{
	uint64_t base = *b->mapped;

	for (unsigned n = 0; n < b->n_regions; n++)
		vm_unclaim(b->space, base + b->regions[n].offset, b->regions[n].bytes);
	bus_remove(&vm->bus, b->space, base);
	*b->mapped = 0;
}

/* First all that go, then all that come: two functions may change places. */
void pci_bars_update(struct vm *vm)
{
	for (unsigned i = 0; i < BARS; i++) {
		const struct pci_bar *b = bar_at(i);

		if (b->bytes && *b->mapped && *b->mapped != bar_wanted(vm, i))
			bar_unmap(vm, b);
	}
	for (unsigned i = 0; i < BARS; i++)
		if (bar_at(i)->bytes && !*bar_at(i)->mapped)
			bar_map(vm, i, bar_wanted(vm, i));
}

void pci_bars_restore(struct vm *vm)
{
	for (unsigned i = 0; i < BARS; i++)
		if (bar_at(i)->bytes && *bar_at(i)->mapped == bar_wanted(vm, i))
			bar_map(vm, i, bar_wanted(vm, i));
	pci_bars_update(vm);
	for (unsigned line = 0; line < INTX_LINES; line++)
		intx_update(vm, line);
}

void pci_identity_set(unsigned slot, const struct pci_identity *id)
{
	config_fill(power_on[slot], id);
}

static void mask_set(unsigned slot)
{
	put(write_mask[slot] + PCI_COMMAND, COMMAND_BITS, 2);
	write_mask[slot][PCI_INTERRUPT_LINE] = 0xff;
}

/* A read of `width` bytes at `reg`, naturally aligned, in a slot that is taken? */
static bool reachable(struct vm *vm, unsigned slot, unsigned reg, unsigned width)
{
	const uint8_t *c;

	if (slot >= PCI_SLOTS || width > 4 || (reg & (width - 1)))
		return false;
	c = vm->state->pci.config[slot];
	return c[PCI_VENDOR] != 0 || c[PCI_VENDOR + 1] != 0;
}

uint32_t pci_config_read(struct vm *vm, unsigned slot, unsigned reg, unsigned width)
{
	uint32_t value = 0;

	if (!reachable(vm, slot, reg, width))
		return UINT32_MAX;
	if (reg >= PCI_CONFIG_BYTES)
		return 0; /* no extended capabilities */
	if (functions[slot].dev)
		functions[slot].before_read(functions[slot].dev, reg, width);
	memcpy(&value, &vm->state->pci.config[slot][reg], width);
	return value;
}

void pci_config_write(struct vm *vm, unsigned slot, unsigned reg, unsigned width, uint32_t value)
{
	uint8_t *c;

	if (!reachable(vm, slot, reg, width) || reg >= PCI_CONFIG_BYTES)
		return;
	c = vm->state->pci.config[slot];
	for (unsigned i = 0; i < width; i++, value >>= 8) {
		uint8_t mask = write_mask[slot][reg + i];

		c[reg + i] = (uint8_t)((c[reg + i] & ~mask) | (value & mask));
	}
	if (!functions[slot].dev)
		return;
	if (reg < PCI_CAPABILITIES) {
		pci_bars_update(vm);
		intx_update(vm, slot);
	}
	functions[slot].written(functions[slot].dev, reg, width);
}

static uint64_t data_access(struct vm *vm, unsigned byte, unsigned width, bool write,
			    uint64_t value)
{
	uint32_t address = vm->state->pci.address;
	unsigned bus = address >> 16 & 0xff, slot = address >> 11 & 31, function = address >> 8 & 7;
	unsigned reg = (address & 0xfc) + byte;

	if (!(address & ADDRESS_ENABLE) || bus != 0 || function != 0)
		return UINT64_MAX;
	if (!write)
		return pci_config_read(vm, slot, reg, width);
	pci_config_write(vm, slot, reg, width, (uint32_t)value);
	return 0;
}

static uint64_t port_access(void *dev, uint64_t offset, unsigned width, bool write, uint64_t value)
{
	struct vm *vm = dev;

	if (offset >= DATA)
		return data_access(vm, (unsigned)offset - DATA, width, write, value);
	if (offset == ADDRESS && width == 4) {
		if (write)
			vm->state->pci.address = (uint32_t)value & ADDRESS_BITS;
		return vm->state->pci.address;
	}
	if (offset == RESET && width == 1)
		return platform_reset_port(vm, write, value);
	return UINT64_MAX;
}

static uint64_t ecam_access(void *dev, uint64_t offset, unsigned width, bool write, uint64_t value)
{
	struct vm *vm = dev;
	unsigned slot = offset >> 15 & 31, function = offset >> 12 & 7, reg = offset & 0xfff;

	if (function != 0)
		return UINT64_MAX;
	if (!write)
		return width > 4 ? UINT64_MAX : pci_config_read(vm, slot, reg, width);
	pci_config_write(vm, slot, reg, width, (uint32_t)value);
	return 0;
}

void pci_reset(struct vm *vm)
{
	vm->state->pci.address = 0;
	memcpy(vm->state->pci.config, power_on, sizeof(power_on));
}

void pci_function_attach(unsigned slot, const struct pci_function *f)
{
	functions[slot] = *f;
	mask_set(slot);
	for (unsigned n = 0; n < PCI_BARS; n++) {
		const struct pci_bar *b = &f->bar[n];

		if (!b->bytes)
			continue;
		put(write_mask[slot] + PCI_BAR0 + 4 * n, ~(b->bytes - 1), 4);
		if (b->space == HV_SPACE_PIO)
			write_mask[slot][PCI_COMMAND] |= PCI_COMMAND_IO;
	}
}

void pci_function_power_on(struct vm *vm, unsigned slot)
{
	memcpy(vm->state->pci.config[slot], power_on[slot], PCI_CONFIG_BYTES);
}

void pci_function_detach(struct vm *vm, unsigned slot)
{
	uint8_t *c = vm->state->pci.config[slot];

	put(c + PCI_COMMAND, 0, 2);
	pci_bars_update(vm);
	pci_intx_set(vm, slot, false);
	memset(c, 0, PCI_CONFIG_BYTES); /* now nobody is there */
	memset(power_on[slot], 0, PCI_CONFIG_BYTES);
	memset(write_mask[slot], 0, PCI_CONFIG_BYTES);
	functions[slot] = (struct pci_function){0};
}

/* What no guest can write is as the reset left it; a reset that was cut off has left zeros. The INTx bit of the status is the
 * device's, and is worked out anew (pci_bars_restore). */
/* booted: else zeros are as good. */
static bool config_check(const struct pci_state *pci, unsigned slot, bool booted)
{
	for (unsigned reg = 0; reg < PCI_CONFIG_BYTES; reg++) {
		uint8_t device = reg == PCI_STATUS && functions[slot].dev ? PCI_STATUS_INTX : 0;
		uint8_t mask = (uint8_t) ~(write_mask[slot][reg] | device);
		uint8_t fixed = pci->config[slot][reg] & mask;

		if (fixed != (power_on[slot][reg] & mask) && (booted || fixed != 0))
			return false;
	}
	return true;
}

const char *pci_check(const struct pci_state *pci, bool booted, uint32_t half)
{
	if (pci->address & ~ADDRESS_BITS || pci->reserved)
		return "the PCI address register has bits that do not exist";
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++)
		if (!config_check(pci, slot, booted && !(half >> slot & 1)))
			return "a PCI register that nobody can write has changed";
	return NULL;
}

void pci_attach(struct vm *vm)
{
	memset(functions, 0, sizeof(functions));
	memset(write_mask, 0, sizeof(write_mask));
	memset(power_on, 0, sizeof(power_on));
	pci_identity_set(0, &host_bridge);
	mask_set(0);
	bus_add(&vm->bus, HV_SPACE_PIO, PORT_PCI_ADDRESS, 8, port_access, vm);
	bus_add(&vm->bus, HV_SPACE_MMIO, HV_GPA_ECAM, ECAM_BYTES, ecam_access, vm);
}
