/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCI functions on bus 0: a configuration space in the survivor pages and a mask of the bits a guest may write
 * (which is all that BAR sizing needs). Devices call this when they attach; the content of a surviving
 * configuration space stays.
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

/* Sets up an empty slot, at attach and again at reset. */
void pci_function_set(struct vm *vm, unsigned slot, const struct pci_identity *id);

uint32_t pci_config_read(struct vm *vm, unsigned slot, unsigned reg, unsigned width);
void pci_config_write(struct vm *vm, unsigned slot, unsigned reg, unsigned width, uint32_t value);

#endif
