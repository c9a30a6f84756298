/* SPDX-License-Identifier: BSD-2-Clause */
/* See e1000_ring.h. What the device writes is copied once, checked, and the copy is used. */
#include "drivers/e1000_ring.h"
#include "drivers/bits.h"
#include "drivers/nics.h"

static void rx_arm(struct e1000_rx *rx, unsigned i)
{
	rx->ring[i].addr = rx->bufs_hpa + (uint64_t)i * NIC_BUFFER;
	rx->ring[i].status = 0;
}

void e1000_rx_init(struct e1000_rx *rx, void *ring, unsigned size, void *bufs, uint64_t bufs_hpa)
{
	*rx = (struct e1000_rx){.ring = ring, .bufs = bufs, .bufs_hpa = bufs_hpa, .size = size};
	for (unsigned i = 0; i < size; i++)
		rx_arm(rx, i);
}

enum e1000_rx_result e1000_rx_take(struct e1000_rx *rx, const void **frame, size_t *len)
{
	volatile struct e1000_rx_desc *d = &rx->ring[rx->next];
	unsigned status = d->status, errors;
	size_t n;
	bool whole;

	if (!(status & E1000_RXD_DD))
		return E1000_RX_NONE;
	dma_barrier(); /* the rest was written before DD */
	n = d->len;
	errors = d->errors;
	whole = status & E1000_RXD_EOP && !rx->skipping;
	rx->skipping = !(status & E1000_RXD_EOP);
	if (!whole || errors & E1000_RXD_ERRORS || n == 0 || n > NIC_FRAME_MAX)
		return E1000_RX_BAD;
	*frame = rx->bufs + (size_t)rx->next * NIC_BUFFER;
	*len = n;
	return E1000_RX_FRAME;
}

void e1000_rx_give(struct e1000_rx *rx)
{
	rx_arm(rx, rx->next);
	rx->next = rx->next + 1 == rx->size ? 0 : rx->next + 1;
}

unsigned e1000_rx_tail(const struct e1000_rx *rx)
{
	return rx->next == 0 ? rx->size - 1 : rx->next - 1;
}

void e1000_tx_init(struct e1000_tx *tx, void *ring, unsigned size, void *bufs, uint64_t bufs_hpa)
{
	*tx = (struct e1000_tx){.ring = ring, .bufs = bufs, .bufs_hpa = bufs_hpa, .size = size};
}

static unsigned tx_after(const struct e1000_tx *tx, unsigned i)
{
	return i + 1 == tx->size ? 0 : i + 1;
}

static void tx_reclaim(struct e1000_tx *tx)
{
	while (tx->clean != tx->next && tx->ring[tx->clean].status & E1000_TXD_DD)
		tx->clean = tx_after(tx, tx->clean);
	dma_barrier();
}

size_t e1000_tx_put(struct e1000_tx *tx, const struct nic_frame *frame)
{
	volatile struct e1000_tx_desc *d = &tx->ring[tx->next];
	size_t len;

	tx_reclaim(tx);
	if (tx_after(tx, tx->next) == tx->clean)
		return 0;
	len = nic_gather(tx->bufs + (size_t)tx->next * NIC_BUFFER, NIC_FRAME_MAX, frame);
	if (len == 0)
		return 0;
	d->addr = tx->bufs_hpa + (uint64_t)tx->next * NIC_BUFFER;
	d->len = (uint16_t)len;
	d->checksum_offset = 0;
	d->checksum_start = 0;
	d->special = 0;
	d->status = 0;
	d->command = E1000_TXD_EOP | E1000_TXD_IFCS | E1000_TXD_RS;
	tx->next = tx_after(tx, tx->next);
	dma_barrier(); /* before the tail register is written */
	return len;
}
