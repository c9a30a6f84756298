/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCI functions on bus 0: a configuration space in the survivor pages and a mask of the bits a guest may write
 * (which is all that BAR sizing needs). Devices call this when they attach; the content of a surviving
 * configuration space stays.
 *
 * A BAR decodes where the guest put it, while decode of its space is on, inside the bridge's window and where no other
 * function decodes. What hv has claimed for it stands in `*mapped`, in the survivor pages:
 *
 *	unclaim the old place | *mapped = 0 | *mapped = new place | claim there
 *
 * and the configuration register was written before. So an instance that finds *mapped as the registers say claims
 * there (again), and one that finds another value unclaims that (again) first.
 */
#ifndef VMM_PCI_H
#define VMM_PCI_H

#include "ctrl-kernel/vmm/vm.h"

enum pci_reg { /* PCI 3.0, 6.1 */
	       PCI_VENDOR = 0x00,
	       PCI_DEVICE = 0x02,
	       PCI_COMMAND = 0x04,
	       PCI_STATUS = 0x06,
	       PCI_REVISION = 0x08,
	       PCI_CLASS = 0x09, /* interface, subclass, class */
	       PCI_BAR0 = 0x10,
	       PCI_SUBSYSTEM = 0x2c,
	       PCI_CAPABILITIES = 0x34,
	       PCI_INTERRUPT_LINE = 0x3c,
	       PCI_INTERRUPT_PIN = 0x3d,
};

struct pci_identity {
	uint16_t vendor, device;
	uint32_t class; /* class << 16 | subclass << 8 | interface */
	uint16_t subsystem_vendor, subsystem;
	uint8_t revision;
	uint8_t interrupt_pin; /* 0: none, 1..4: INTA..INTD */
};

#define PCI_BARS 2u
#define PCI_REGIONS_MAX 5u
#define PCI_BAR_IO 0x1u /* PCI 3.0, 6.2.5.1 */
#define PCI_COMMAND_IO 0x0001u
#define PCI_COMMAND_MEMORY 0x0002u
#define PCI_COMMAND_MASTER 0x0004u
#define PCI_COMMAND_INTX_OFF 0x0400u
#define PCI_STATUS_INTX 0x08u
#define PCI_STATUS_CAPABILITIES 0x10u

struct pci_region { /* of a BAR, as hv is told of it */
	uint16_t offset, bytes;
	uint8_t kind, bit; /* enum hv_claim and what it takes */
};

struct pci_bar {
	uint8_t space; /* enum hv_space; memory is of 32 bits */
	uint8_t n_regions;
	struct pci_region regions[PCI_REGIONS_MAX];
	uint32_t bytes;   /* a power of two; 0: there is none */
	bus_fn fn;        /* accesses that park */
	uint32_t *mapped; /* survivor pages: where hv has it; 0: nowhere */
};

/* What a device says of its function, at each start; [borrows] all that it points to. */
struct pci_function {
	struct pci_bar bar[PCI_BARS];
	/* Before a read of the configuration space: may bring it up to date. After a write: the bits that can be
	 * written are. */
	void (*before_read)(void *dev, unsigned reg, unsigned width);
	void (*written)(void *dev, unsigned reg, unsigned width);
	void *dev; /* NULL: the slot has none */
};

void pci_function_attach(unsigned slot, const struct pci_function *f);
/* While the VM runs: its registers as after power-on; and it is there no more, for what surprises that may be. Each does all of
 * its work again where an instance died of half of it. */
void pci_function_power_on(struct vm *vm, unsigned slot);
void pci_function_detach(struct vm *vm, unsigned slot);
/* What its registers are after power-on and reset, also at each start: the identity first, then others. */
void pci_identity_set(unsigned slot, const struct pci_identity *id);
void pci_power_on(unsigned slot, unsigned reg, uint32_t value, unsigned bytes);
/* `bytes` of `value` at `reg`, whatever the guest may write there; and which of those bits it may write. */
void pci_config_set(struct vm *vm, unsigned slot, unsigned reg, uint32_t value, unsigned bytes);
void pci_config_mask(unsigned slot, unsigned reg, uint32_t mask, unsigned bytes);
/* The device's own look at it; reg + width is inside. */
uint32_t pci_config_get(struct vm *vm, unsigned slot, unsigned reg, unsigned width);
/* Of an aligned half: for what each request asks. */
static inline uint16_t pci_config_half(const struct vm *vm, unsigned slot, unsigned reg)
{
	uint16_t value;

	__builtin_memcpy(&value, &vm->state->pci.config[slot][reg], sizeof(value));
	return value;
}
/* INTA of the slot: asserted or not. */
void pci_intx_set(struct vm *vm, unsigned slot, bool level);
/* After a change of registers that was not the guest's. */
void pci_bars_update(struct vm *vm);

uint32_t pci_config_read(struct vm *vm, unsigned slot, unsigned reg, unsigned width);
void pci_config_write(struct vm *vm, unsigned slot, unsigned reg, unsigned width, uint32_t value);

#endif
