/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Physical devices: PCI enumeration, DMA memory, and the list of drivers. main.c holds the visible list.
 */
#ifndef DRIVERS_DRIVER_H
#define DRIVERS_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nic;

struct pci_bar {
	uint64_t base, size; /* size 0: absent */
	bool io, prefetch, is64;
};

struct pci_dev {
	uint32_t bdf; /* bus << 8 | device << 3 | function */
	uint16_t vendor, device, subsys_vendor, subsys;
	uint32_t class_code; /* class << 16 | subclass << 8 | prog-if */
	uint8_t revision, irq_line, irq_pin, header_type;
	struct pci_bar bars[6];
};

/* All functions of all buses found by scanning; at most PCI_DEVS_MAX, more are reported once. */
#define PCI_DEVS_MAX 256u
void pci_scan(void);
unsigned pci_count(void);
struct pci_dev *pci_dev(unsigned i);
unsigned pci_find_cap(const struct pci_dev *d, uint8_t id,
		      unsigned after); /* config offset, 0: none */
uint32_t pci_read(const struct pci_dev *d, unsigned off, unsigned width);
void pci_write(const struct pci_dev *d, unsigned off, unsigned width, uint32_t value);
void pci_enable(const struct pci_dev *d, bool bus_master);
volatile void *pci_map_bar(const struct pci_dev *d, unsigned bar, uint64_t off,
			   uint64_t len); /* NULL: not possible */
/* Binds the best kind of interrupt (MSI-X vector 0, MSI, INTx, else a 1 ms poll) to fn; *kind is its name. */
int pci_irq_bind(const struct pci_dev *d, void (*fn)(void *), void *ctx, const char **kind);
/* A further MSI-X vector of a device whose kind is "msix"; -1: not possible. */
int pci_msix_bind(const struct pci_dev *d, unsigned vector, void (*fn)(void *), void *ctx);
/* Waits without sleeping, for device resets only: at most some milliseconds in all at start. */
void pci_delay_us(unsigned us);

/* DMA arena: physically contiguous, zeroed, never freed to hv (it goes to the next instance). */
struct dma {
	void *va;
	uint64_t hpa;
	size_t bytes;
};
int dma_alloc(struct dma *out, size_t bytes, size_t align); /* 0 or -1; bytes <= 2 MiB */

struct nic_driver {
	const char *name;
	bool (*matches)(const struct pci_dev *d);
	/* Takes a device that matches -> quiet NIC [owned by the driver], or NULL: broken (logged once). */
	struct nic *(*probe)(struct pci_dev *d);
};
extern const struct nic_driver nic_virtio, nic_e1000, nic_e1000e;
/* Offers each PCI function to the drivers in turn -> list of NICs in PCI order, linked by next. After pci_scan(). */
struct nic *nic_probe_all(const struct nic_driver *const drivers[], unsigned n);

#endif
