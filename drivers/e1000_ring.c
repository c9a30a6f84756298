/* SPDX-License-Identifier: BSD-2-Clause */
/* See e1000_ring.h. What the device writes is copied once, checked, and the copy is used. */
#include "drivers/e1000_ring.h"
#include "drivers/bits.h"
#include "drivers/nics.h"

#define TSO_BYTES_MAX 65593u /* Ethernet, tag, IPv6 and 65535 */
/*
 * Of segmentation, and of the frame behind it, the last descriptor may be written back before its data has been read (other
 * drivers know that, no manual says it): the last bytes have a descriptor of their own, so that no memory is given back early.
 */
#define TAIL_BYTES 4u

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

enum e1000_rx_result e1000_rx_take(struct e1000_rx *rx, struct nic_seg *frame, bool *csum_good)
{
	volatile struct e1000_rx_desc *d = &rx->ring[rx->next];
	unsigned at = rx->next, status = d->status, errors;
	size_t n;
	bool whole;

	if (!(status & E1000_RXD_DD) || rx->taken == rx->size - 1)
		return E1000_RX_NONE;
	dma_barrier(); /* the rest was written before DD */
	n = d->len;
	errors = d->errors;
	rx->next = at + 1 == rx->size ? 0 : at + 1;
	rx->taken++;
	whole = status & E1000_RXD_EOP && !rx->skipping;
	rx->skipping = !(status & E1000_RXD_EOP);
	if (!whole || errors & E1000_RXD_ERRORS || n == 0 || n > NIC_FRAME_MAX)
		return E1000_RX_BAD;
	*frame = (struct nic_seg){rx->bufs + (size_t)at * NIC_BUFFER, n};
	*csum_good = (status & (E1000_RXD_IXSM | E1000_RXD_TCPCS)) == E1000_RXD_TCPCS &&
		     !(errors & E1000_RXD_BAD_SUM);
	return E1000_RX_FRAME;
}

void e1000_rx_give(struct e1000_rx *rx)
{
	for (; rx->taken; rx->taken--)
		rx_arm(rx, (rx->next + rx->size - rx->taken) % rx->size);
}

unsigned e1000_rx_tail(const struct e1000_rx *rx)
{
	return (rx->next + rx->size - rx->taken - 1) % rx->size;
}

/* ---- sending ---- */

void e1000_tx_init(struct e1000_tx *tx, void *ring, unsigned size, void *bufs, uint64_t bufs_hpa,
		   unsigned n_bufs)
{
	*tx = (struct e1000_tx){
		.ring = ring, .bufs = bufs, .bufs_hpa = bufs_hpa, .size = size, .n_bufs = n_bufs};
}

static unsigned tx_after(const struct e1000_tx *tx, unsigned i)
{
	return i + 1 == tx->size ? 0 : i + 1;
}

static unsigned tx_free(const struct e1000_tx *tx)
{
	return (tx->clean + tx->size - tx->next - 1) % tx->size;
}

static bool oldest_sent(const struct e1000_tx *tx)
{
	return tx->frames && tx->ring[tx->frame[tx->buf].last].status & E1000_TXD_DD;
}

static struct nic_hold *drop_oldest(struct e1000_tx *tx)
{
	struct e1000_tx_frame *f = &tx->frame[tx->buf];
	struct nic_hold *hold = f->hold;

	f->hold = NULL;
	tx->clean = tx_after(tx, f->last);
	tx->buf = (tx->buf + f->bufs) % tx->n_bufs;
	tx->bufs_used -= f->bufs;
	tx->frames--;
	tx->holds -= hold != NULL;
	return hold;
}

bool e1000_tx_take(struct e1000_tx *tx, struct nic_hold **hold)
{
	if (!oldest_sent(tx))
		return false;
	dma_barrier();
	*hold = drop_oldest(tx);
	tx->sent++;
	return true;
}

static void take_copies(struct e1000_tx *tx)
{
	struct nic_hold *none;

	while (oldest_sent(tx) && !tx->frame[tx->buf].hold)
		(void)e1000_tx_take(tx, &none);
}

bool e1000_tx_room(struct e1000_tx *tx)
{
	bool room = tx->frames == 0 ||
		    (tx_free(tx) >= tx->size / 2 && tx->bufs_used <= tx->n_bufs / 2);

	if (!tx->refused || !room)
		return false;
	tx->refused = false;
	return true;
}

/* In an empty ring there is room for every frame that can be sent. */
static size_t no_room(struct e1000_tx *tx)
{
	tx->full = tx->frames != 0;
	tx->refused |= tx->full;
	return 0;
}

static size_t copied_bytes(const struct nic_frame *frame)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < frame->n_segs; i++) {
		if (frame->seg[i].len > TSO_BYTES_MAX - bytes)
			return 0;
		bytes += frame->seg[i].len;
	}
	return bytes;
}

/* The headers are in front of some of the payload: other drivers know of cards that cannot bear them alone. */
static bool frame_ok(const struct nic_frame *frame, size_t copied, size_t bytes)
{
	bool whole = frame->offload.gso == PACKET_WHOLE;

	if (frame->n_pieces && !whole && copied < (size_t)frame->offload.header_bytes + TAIL_BYTES)
		return false;
	return copied && bytes <= (whole ? NIC_FRAME_MAX : TSO_BYTES_MAX) &&
	       (!frame->n_pieces || frame->hold);
}

/* -> how many the frame has in all, *data the first that is used; 0: too few are free. */
static unsigned bufs_find(const struct e1000_tx *tx, size_t bytes, unsigned *data)
{
	unsigned at = (tx->buf + tx->bufs_used) % tx->n_bufs, left_out = 0;
	unsigned n = (unsigned)((bytes + NIC_BUFFER - 1) / NIC_BUFFER);

	if (at + n > tx->n_bufs)
		left_out = tx->n_bufs - at;
	*data = left_out ? 0 : at;
	return left_out + n <= tx->n_bufs - tx->bufs_used ? left_out + n : 0;
}

/* Descriptors behind tx->next, of which the device does not know: nothing is decided before the last one. */
struct writer {
	struct e1000_tx *tx;
	const struct e1000_todo *todo;
	unsigned at, room, last;
	unsigned parts;
	uint64_t hpa; /* of the last one */
	uint32_t bytes;
};

static bool write_desc(struct writer *w, const struct e1000_tx_desc *d)
{
	if (w->room == 0)
		return false;
	w->room--;
	w->last = w->at;
	w->tx->ring[w->at] = *d;
	w->at = tx_after(w->tx, w->at);
	return true;
}

static bool write_part(struct writer *w, uint64_t hpa, uint32_t bytes)
{
	w->hpa = hpa;
	w->bytes = bytes;
	w->parts++;
	return write_desc(w, &(struct e1000_tx_desc){.addr = hpa,
						     .len = (uint16_t)bytes,
						     .type = w->todo->type,
						     .command = w->todo->command,
						     .options = w->todo->options});
}

static bool write_parts(struct writer *w, uint64_t hpa, uint32_t bytes)
{
	while (bytes) {
		uint32_t part = w->parts ? w->todo->part_max : w->todo->first_max;

		if (part > bytes)
			part = bytes;
		if (!write_part(w, hpa, part))
			return false;
		hpa += part;
		bytes -= part;
	}
	return true;
}

static bool write_tail(struct writer *w)
{
	uint32_t bytes = w->bytes - TAIL_BYTES;

	if (w->bytes <= 2 * TAIL_BYTES)
		return true;
	w->tx->ring[w->last].len = (uint16_t)bytes;
	return write_part(w, w->hpa + bytes, TAIL_BYTES);
}

static bool write_frame(struct writer *w, const struct nic_frame *frame, uint64_t copy,
			size_t copied)
{
	if (w->todo->has_context && !write_desc(w, &w->todo->context))
		return false;
	if (!write_parts(w, copy, (uint32_t)copied))
		return false;
	for (unsigned i = 0; i < frame->n_pieces; i++)
		if (!write_parts(w, frame->piece[i].hpa, frame->piece[i].bytes))
			return false;
	if ((w->todo->tso || w->tx->after_tso) && !write_tail(w))
		return false;
	w->tx->ring[w->last].command = w->todo->command | E1000_TXD_EOP | E1000_TXD_RS |
				       (frame->n_pieces ? E1000_TXD_IDE : 0);
	return true;
}

static void publish(struct e1000_tx *tx, const struct writer *w, unsigned bufs,
		    struct nic_hold *hold)
{
	struct e1000_tx_frame *f = &tx->frame[(tx->buf + tx->bufs_used) % tx->n_bufs];

	*f = (struct e1000_tx_frame){
		.hold = hold, .last = (uint16_t)w->last, .bufs = (uint16_t)bufs};
	if (hold) {
		hold->refs++;
		tx->holds++;
	}
	tx->frames++;
	tx->bufs_used += bufs;
	tx->next = w->at;
	tx->after_tso = w->todo->tso;
	dma_barrier(); /* before the tail register is written */
}

size_t e1000_tx_put(struct e1000_tx *tx, const struct nic_frame *frame)
{
	size_t copied = copied_bytes(frame), bytes = copied + nic_pieces(frame);
	struct e1000_todo todo;
	struct writer w = {.tx = tx, .todo = &todo};
	unsigned bufs, data;

	tx->full = false;
	if (!frame_ok(frame, copied, bytes))
		return 0;
	take_copies(tx);
	bufs = bufs_find(tx, copied, &data);
	if (bufs == 0)
		return no_room(tx);
	data *= NIC_BUFFER;
	(void)nic_gather(tx->bufs + data, copied, frame);
	if (!e1000_offload((uint8_t *)tx->bufs + data, copied, bytes, &frame->offload, &todo))
		return 0;
	w.at = tx->next;
	w.room = tx_free(tx);
	if (!write_frame(&w, frame, tx->bufs_hpa + data, copied))
		return no_room(tx);
	publish(tx, &w, bufs, frame->n_pieces ? frame->hold : NULL);
	return bytes;
}

unsigned e1000_tx_untold(const struct e1000_tx *tx)
{
	return (tx->next + tx->size - tx->told) % tx->size;
}

unsigned e1000_tx_tell(struct e1000_tx *tx)
{
	tx->told = tx->next;
	return tx->told;
}

unsigned e1000_tx_abort(struct e1000_tx *tx, struct nic_hold *holds[E1000_TX_BUFS], unsigned *n)
{
	unsigned lost = tx->frames;

	*n = 0;
	while (tx->frames) {
		struct nic_hold *hold = drop_oldest(tx);

		if (hold)
			holds[(*n)++] = hold;
	}
	/* Addresses of others' memory are in it. */
	for (unsigned i = 0; i < tx->size; i++)
		tx->ring[i] = (struct e1000_tx_desc){0};
	tx->next = tx->told = tx->clean = 0;
	tx->buf = tx->bufs_used = 0;
	tx->after_tso = false;
	return lost;
}
