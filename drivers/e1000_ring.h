/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The descriptor rings of an e1000: pure memory, no registers, so that a test can play the device. The driver writes
 * the tail registers. A ring holds size - 1 descriptors at most: head == tail means empty.
 *
 *   receive:  take() a filled descriptor -> use the frame -> give() it back -> RDT = e1000_rx_tail()
 *   send:     put() copies a frame        -> TDT = tx->next
 */
#ifndef DRIVERS_E1000_RING_H
#define DRIVERS_E1000_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "drivers/e1000_hw.h"
#include "net/nic.h"

struct e1000_rx {
	volatile struct e1000_rx_desc *ring; /* [borrows] DMA memory */
	const char *bufs;                    /* [borrows] DMA memory, NIC_BUFFER each */
	uint64_t bufs_hpa;
	unsigned size, next;
	bool skipping; /* inside a frame of several descriptors: longer than any we take */
};

enum e1000_rx_result {
	E1000_RX_NONE,
	E1000_RX_FRAME,
	E1000_RX_BAD, /* to be given back, counted */
};

void e1000_rx_init(struct e1000_rx *rx, void *ring, unsigned size, void *bufs, uint64_t bufs_hpa);
enum e1000_rx_result e1000_rx_take(struct e1000_rx *rx, const void **frame, size_t *len);
void e1000_rx_give(struct e1000_rx *rx);
unsigned e1000_rx_tail(const struct e1000_rx *rx);

struct e1000_tx {
	volatile struct e1000_tx_desc *ring; /* [borrows] DMA memory */
	char *bufs;                          /* [borrows] DMA memory, NIC_BUFFER each */
	uint64_t bufs_hpa;
	unsigned size, next, clean; /* clean: the oldest not yet seen as sent */
};

void e1000_tx_init(struct e1000_tx *tx, void *ring, unsigned size, void *bufs, uint64_t bufs_hpa);
/* -> the frame's length, 0: ring full or frame too long */
size_t e1000_tx_put(struct e1000_tx *tx, const struct nic_frame *frame);

#endif
