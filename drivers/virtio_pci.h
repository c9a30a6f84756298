/* SPDX-License-Identifier: BSD-2-Clause */
/* The modern virtio transport over PCI (virtio 1.2 section 4.1), for drivers of virtio devices. */
#ifndef DRIVERS_VIRTIO_PCI_H
#define DRIVERS_VIRTIO_PCI_H

#include <stdbool.h>
#include <stdint.h>
#include "drivers/virtq.h"

struct pci_dev;

#define VIRTIO_F_VERSION_1 (1ull << 32)

struct virtio_pci {
	struct pci_dev *dev; /* [borrows] */
	volatile char *common, *notify, *isr, *device;
	uint32_t notify_multiplier, notify_len, device_len;
	bool msix;
};

/* Finds and maps the structures, resets the device, says DRIVER. 0 or -1 with *why. */
int virtio_pci_open(struct virtio_pci *v, struct pci_dev *d, const char **why);
uint64_t virtio_pci_offered(struct virtio_pci *v); /* features */
/* Accepts `wanted` as far as offered; -1: VERSION_1 is not, or the device refuses. */
int virtio_pci_features(struct virtio_pci *v, uint64_t wanted, uint64_t *agreed);
/* With MSI-X vector 0 is for the queues, vector 1 for configuration changes; else all comes to `queues`. */
int virtio_pci_irqs(struct virtio_pci *v, void (*queues)(void *), void (*config)(void *), void *ctx,
		    const char **kind);
/* After virtio_pci_reset(): says again what was agreed, and where configuration changes go. -1: it refuses. */
int virtio_pci_again(struct virtio_pci *v, uint64_t agreed);
/* Makes queue `index` with at most `size` entries, in DMA memory; *doorbell is where virtio_pci_kick() writes. */
int virtio_pci_queue(struct virtio_pci *v, unsigned index, unsigned size, struct virtq *q,
		     volatile void **doorbell);
/* After virtio_pci_again(): the same queue in the same memory, empty. */
int virtio_pci_queue_again(struct virtio_pci *v, unsigned index, struct virtq *q);
void virtio_pci_kick(volatile void *doorbell, unsigned index);
void virtio_pci_ready(struct virtio_pci *v);        /* DRIVER_OK */
void virtio_pci_fail(struct virtio_pci *v);         /* FAILED: the device stops */
bool virtio_pci_failed(const struct virtio_pci *v); /* the device says that it needs a reset */
int virtio_pci_reset(struct virtio_pci *v);         /* -1: it does not come out of reset */

#endif
