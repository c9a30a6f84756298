/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: drivers/e1000_ring.c
// SRC: drivers/e1000_offload.c
// SRC: net/checksum.c
// SRC: drivers/nics.c
/*
 * The e1000's rings against a device played by the test. Receiving: order and wrap, frames that are too long, broken or in
 * pieces, batches, sums. Sending: what descriptors say of plain frames, sums and segmentation, what is refused, memory that
 * is read where it lies and given back once, a ring that fills, one that is emptied.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/e1000_fakes.h"

#define SIZE 4u

static struct e1000_rx rx;
static void *ring, *bufs;

static int fresh(void **state)
{
	(void)state;
	free(ring);
	free(bufs);
	ring = calloc(SIZE, 16);
	bufs = calloc(SIZE, NIC_BUFFER);
	e1000_rx_init(&rx, ring, SIZE, bufs, HPA);
	head = 0;
	return 0;
}

static int done(void **state)
{
	(void)state;
	free(ring);
	free(bufs);
	ring = bufs = NULL;
	return 0;
}

static void device_fills(uint16_t len, uint8_t status, uint8_t errors)
{
	struct e1000_rx_desc *d = (struct e1000_rx_desc *)ring + head;

	assert_int_not_equal(head, e1000_rx_tail(&rx)); /* else it has no descriptor */
	assert_int_equal(d->addr, HPA + head * NIC_BUFFER);
	d->len = len;
	d->errors = errors;
	d->status = status;
	((char *)bufs)[head * NIC_BUFFER] = (char)('a' + head);
	head = (head + 1) % SIZE;
}

static bool csum_good;

static enum e1000_rx_result take(char *first, size_t *len)
{
	struct nic_seg frame = {0};
	enum e1000_rx_result r = e1000_rx_take(&rx, &frame, &csum_good);

	if (r == E1000_RX_FRAME)
		*first = *(const char *)frame.data;
	*len = frame.len;
	if (r != E1000_RX_NONE)
		e1000_rx_give(&rx);
	return r;
}

#define WHOLE (E1000_RXD_DD | E1000_RXD_EOP)

static void test_rx_order(void **state)
{
	char first;
	size_t len;

	(void)state;
	assert_int_equal(e1000_rx_tail(&rx), SIZE - 1);
	assert_int_equal(take(&first, &len), E1000_RX_NONE);
	for (unsigned i = 0; i < 3 * SIZE; i++) {
		device_fills((uint16_t)(60 + i), WHOLE, 0);
		assert_int_equal(take(&first, &len), E1000_RX_FRAME);
		assert_int_equal(first, 'a' + i % SIZE);
		assert_int_equal(len, 60 + i);
		assert_int_equal(take(&first, &len), E1000_RX_NONE);
		assert_int_equal(e1000_rx_tail(&rx), i % SIZE);
	}
	for (unsigned i = 0; i < SIZE - 1; i++)
		device_fills(60, WHOLE, 0);
	for (unsigned i = 0; i < SIZE - 1; i++)
		assert_int_equal(take(&first, &len), E1000_RX_FRAME);
	assert_int_equal(take(&first, &len), E1000_RX_NONE);
}

static void test_rx_bad(void **state)
{
	char first;
	size_t len;

	(void)state;
	device_fills(60, WHOLE, 0x01);
	assert_int_equal(take(&first, &len), E1000_RX_BAD);
	device_fills(0, WHOLE, 0);
	assert_int_equal(take(&first, &len), E1000_RX_BAD);
	device_fills(NIC_FRAME_MAX + 1, WHOLE, 0);
	assert_int_equal(take(&first, &len), E1000_RX_BAD);
	device_fills(0xffff, WHOLE, 0);
	assert_int_equal(take(&first, &len), E1000_RX_BAD);
	device_fills(NIC_FRAME_MAX, WHOLE, 0x60); /* checksum bits are no error */
	assert_int_equal(take(&first, &len), E1000_RX_FRAME);
}

/* A frame in three descriptors is dropped with all its pieces; the next one is whole again. */
static void test_rx_pieces(void **state)
{
	char first;
	size_t len;

	(void)state;
	device_fills(2048, E1000_RXD_DD, 0);
	assert_int_equal(take(&first, &len), E1000_RX_BAD);
	device_fills(2048, E1000_RXD_DD, 0);
	assert_int_equal(take(&first, &len), E1000_RX_BAD);
	device_fills(100, WHOLE, 0);
	assert_int_equal(take(&first, &len), E1000_RX_BAD);
	device_fills(100, WHOLE, 0);
	assert_int_equal(take(&first, &len), E1000_RX_FRAME);
}

/* Frames stay where they are until all are given back; the device gets no descriptor before. */
static void test_rx_batch(void **state)
{
	struct nic_seg frame[SIZE];

	(void)state;
	for (unsigned turn = 0; turn < 5; turn++) {
		unsigned first = head, tail = e1000_rx_tail(&rx);

		for (unsigned i = 0; i < SIZE - 1; i++)
			device_fills((uint16_t)(60 + i), WHOLE, 0);
		for (unsigned i = 0; i < SIZE - 1; i++) {
			assert_int_equal(e1000_rx_take(&rx, &frame[i], &csum_good), E1000_RX_FRAME);
			assert_int_equal(e1000_rx_tail(&rx), tail);
		}
		/* The one descriptor that it did not have is not believed. */
		((struct e1000_rx_desc *)ring)[head].status = WHOLE;
		assert_int_equal(e1000_rx_take(&rx, &frame[SIZE - 1], &csum_good), E1000_RX_NONE);
		((struct e1000_rx_desc *)ring)[head].status = 0;
		for (unsigned i = 0; i < SIZE - 1; i++) {
			unsigned at = (first + i) % SIZE;

			assert_int_equal(frame[i].len, 60 + i);
			assert_int_equal(*(const char *)frame[i].data, 'a' + at);
			assert_int_equal(((struct e1000_rx_desc *)ring)[at].status, WHOLE);
		}
		e1000_rx_give(&rx);
		assert_int_equal(e1000_rx_tail(&rx), (first + SIZE - 2) % SIZE);
		for (unsigned i = 0; i < SIZE; i++)
			assert_int_equal(((struct e1000_rx_desc *)ring)[i].status, 0);
	}
}

static bool good(uint8_t status, uint8_t errors)
{
	char first;
	size_t len;

	csum_good = false;
	device_fills(60, WHOLE | status, errors);
	assert_int_equal(take(&first, &len), E1000_RX_FRAME);
	return csum_good;
}

static void test_rx_sums(void **state)
{
	(void)state;
	assert_false(good(0, 0));
	assert_true(good(E1000_RXD_TCPCS, 0));
	assert_false(good(E1000_RXD_TCPCS | E1000_RXD_IXSM, 0));
	assert_false(good(E1000_RXD_TCPCS, 0x20));
	assert_false(good(E1000_RXD_TCPCS, 0x40));
	assert_true(good(E1000_RXD_TCPCS | 0x40, 0));
}

/* ---- sending ---- */

/* More than there are buffers for is refused; copied frames are taken back without being asked for. */
static void test_tx(void **state)
{
	const struct nic_seg segs[2] = {{"hello ", 6}, {"world", 5}};
	unsigned n = 0;

	(void)state;
	for (unsigned turn = 0; turn < 5; turn++) {
		for (unsigned i = 0; i < TX_BUFS; i++, n++) {
			assert_int_equal(put(segs, 2), 11);
			is_desc(n % TX_SIZE,
				&(struct e1000_tx_desc){.addr = HPA + n % TX_BUFS * NIC_BUFFER,
							.len = 11,
							.command = PLAIN});
			assert_memory_equal(copies + n % TX_BUFS * NIC_BUFFER, "hello world", 11);
		}
		assert_false(tx.refused);
		assert_int_equal(put(segs, 2), 0);
		assert_true(tx.refused);
		assert_false(e1000_tx_room(&tx));
		assert_int_equal(e1000_tx_untold(&tx), TX_BUFS);
		device_sends(TX_BUFS / 2);
		assert_int_equal(e1000_tx_untold(&tx), 0);
		assert_int_equal(take_back(), TX_BUFS / 2);
		assert_true(e1000_tx_room(&tx));
		assert_false(e1000_tx_room(&tx));
		device_sends(TX_BUFS / 2);
	}
	assert_int_equal(tx.sent, 5 * TX_BUFS - TX_BUFS / 2);
}

static void test_tx_too_long(void **state)
{
	static char big[NIC_FRAME_MAX + 1];
	const struct nic_seg whole = {big, sizeof(big)}, most = {big, NIC_FRAME_MAX};
	const struct nic_seg two[2] = {{big, NIC_FRAME_MAX}, {big, 1}},
			     wraps[2] = {{big, 2}, {big, SIZE_MAX}};

	(void)state;
	assert_int_equal(put(&whole, 1), 0);
	assert_int_equal(put(two, 2), 0);
	assert_int_equal(put(wraps, 2), 0);
	assert_int_equal(put(NULL, 0), 0);
	assert_int_equal(tx.next, 0);
	assert_false(tx.refused);
	assert_int_equal(put(&most, 1), NIC_FRAME_MAX);
}

/* Pieces have descriptors of their own; the hold is given back when the last one is written back, in order, once. */
static void test_tx_pieces(void **state)
{
	static const char head_bytes[192];
	const struct nic_seg seg = {head_bytes, 192};
	const struct nic_piece piece[2] = {{THERE, 1000}, {THERE + 0x5000, 300}};
	struct nic_hold one = hold_of(), other = hold_of();
	struct nic_frame f = {
		.seg = &seg, .n_segs = 1, .piece = piece, .n_pieces = 2, .hold = &one};

	(void)state;
	assert_int_equal(e1000_tx_put(&tx, &f), 1492);
	is_desc(0, &(struct e1000_tx_desc){.addr = HPA, .len = 192, .command = E1000_TXD_IFCS});
	is_desc(1, &(struct e1000_tx_desc){.addr = THERE, .len = 1000, .command = E1000_TXD_IFCS});
	is_desc(2, &(struct e1000_tx_desc){
			   .addr = THERE + 0x5000, .len = 300, .command = PLAIN | E1000_TXD_IDE});
	assert_int_equal(put(&seg, 1), 192);
	f.hold = &other;
	assert_int_equal(e1000_tx_put(&tx, &f), 1492);
	assert_int_equal(e1000_tx_put(&tx, &f), 1492);
	assert_int_equal(one.refs, 2);
	assert_int_equal(other.refs, 3);
	assert_int_equal(tx.holds, 3);
	nic_hold_put(&one);
	nic_hold_put(&other);
	assert_int_equal(take_back(), 0);
	device_sends(2);
	assert_int_equal(put(&seg, 1), 192); /* gives nothing back */
	assert_int_equal(released, 0);
	assert_int_equal(take_back(), 2);
	assert_ptr_equal(released_last, &one);
	device_sends(1);
	assert_int_equal(take_back(), 1);
	assert_int_equal(released, 1);
	device_sends(2);
	assert_int_equal(take_back(), 2);
	assert_int_equal(released, 2);
	assert_ptr_equal(released_last, &other);
	assert_int_equal(tx.holds, 0);
	assert_int_equal(take_back(), 0);
}

static void test_tx_pieces_bad(void **state)
{
	static const char head_bytes[192];
	const struct nic_seg seg = {head_bytes, 192};
	struct nic_piece piece = {THERE, NIC_FRAME_MAX - 192 + 1};
	struct nic_hold hold = hold_of();
	struct nic_frame f = {
		.seg = &seg, .n_segs = 1, .piece = &piece, .n_pieces = 1, .hold = &hold};

	(void)state;
	assert_int_equal(e1000_tx_put(&tx, &f), 0);
	piece.bytes = UINT32_MAX;
	assert_int_equal(e1000_tx_put(&tx, &f), 0);
	piece.bytes = NIC_FRAME_MAX - 192;
	f.hold = NULL;
	assert_int_equal(e1000_tx_put(&tx, &f), 0);
	f.hold = &hold;
	f.n_segs = 0;
	assert_int_equal(e1000_tx_put(&tx, &f), 0);
	assert_int_equal(hold.refs, 1);
	assert_false(tx.refused);
	f.n_segs = 1;
	assert_int_equal(e1000_tx_put(&tx, &f), NIC_FRAME_MAX);
}

/* The ring ends before the buffers do: nothing of a frame that has no room stays, and room is told of once, later. */
static void test_tx_full(void **state)
{
	static const char head_bytes[192];
	const struct nic_seg seg = {head_bytes, 192};
	struct nic_piece piece[20];
	struct nic_hold hold = hold_of();
	struct nic_frame f = {
		.seg = &seg, .n_segs = 1, .piece = piece, .n_pieces = 5, .hold = &hold};
	unsigned next;

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		piece[i] = (struct nic_piece){THERE + i * 4096, 10};
	for (unsigned turn = 0; turn < 20; turn++) {
		assert_int_equal(e1000_tx_put(&tx, &f), 242);
		assert_int_equal(e1000_tx_put(&tx, &f), 242);
		next = tx.next;
		assert_int_equal(e1000_tx_put(&tx, &f), 0);
		assert_true(tx.refused);
		assert_int_equal(tx.next, next);
		assert_int_equal(hold.refs, 3);
		assert_false(e1000_tx_room(&tx));
		device_sends(1);
		assert_int_equal(take_back(), 1);
		assert_true(e1000_tx_room(&tx));
		assert_int_equal(e1000_tx_put(&tx, &f), 242);
		device_sends(2);
		assert_int_equal(take_back(), 2);
		assert_int_equal(hold.refs, 1);
		assert_int_equal(released, 0);
	}
	/* Longer than the ring: never. */
	f.n_pieces = 20;
	assert_int_equal(e1000_tx_put(&tx, &f), 0);
	assert_false(tx.refused);
	assert_int_equal(hold.refs, 1);
}

static void test_tx_abort(void **state)
{
	static const char head_bytes[192];
	const struct nic_seg seg = {head_bytes, 192};
	const struct nic_piece piece = {THERE, 10};
	struct nic_hold *holds[E1000_TX_BUFS], a = hold_of(), b = hold_of();
	struct nic_frame f = {.seg = &seg, .n_segs = 1, .piece = &piece, .n_pieces = 1, .hold = &a};
	unsigned n;

	(void)state;
	for (unsigned turn = 0; turn < 3; turn++) {
		f.hold = &a;
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(e1000_tx_put(&tx, &f), 202);
		device_sends(1);
		assert_int_equal(put(&seg, 1), 192);
		f.hold = &b;
		while (e1000_tx_put(&tx, &f))
			;
		assert_true(tx.refused);
		/* Written back or not: what was not taken back is lost. */
		assert_int_equal(e1000_tx_abort(&tx, holds, &n), TX_BUFS);
		assert_int_equal(n, TX_BUFS - 1);
		for (unsigned i = 0; i < n; i++) {
			assert_ptr_equal(holds[i], i < 3 ? &a : &b);
			nic_hold_put(holds[i]);
		}
		assert_int_equal(a.refs, 1);
		assert_int_equal(b.refs, 1);
		assert_int_equal(released, 0);
		for (unsigned i = 0; i < TX_SIZE; i++)
			is_desc(i, &(struct e1000_tx_desc){0});
		assert_int_equal(e1000_tx_untold(&tx), 0);
		assert_true(e1000_tx_room(&tx));
		assert_int_equal(take_back(), 0);
		head = 0;
	}
}

/* Whatever the device writes into the ring: each hold comes back once, and nothing is out of bounds (sanitizers look). */
static void test_tx_hostile(void **state)
{
	static const char head_bytes[192];
	const struct nic_seg seg = {head_bytes, 192};
	struct nic_piece piece[3] = {{THERE, 100}, {THERE + 4096, 5}, {THERE + 8192, 1000}};
	struct nic_hold hold = hold_of(), *holds[E1000_TX_BUFS];
	struct nic_frame f = {.seg = &seg, .n_segs = 1, .piece = piece, .hold = &hold};
	unsigned seed = 1, n;

	(void)state;
	for (unsigned turn = 0; turn < 20000; turn++) {
		seed = seed * 1103515245 + 12345;
		f.n_pieces = seed >> 16 & 3;
		(void)e1000_tx_put(&tx, &f);
		seed = seed * 1103515245 + 12345;
		memset(&descs[seed >> 16 & (TX_SIZE - 1)], (int)(seed >> 24 | 1), sizeof(*descs));
		if (seed >> 12 & 1)
			(void)take_back();
		(void)e1000_tx_room(&tx);
		assert_int_equal(hold.refs, 1 + tx.holds);
		assert_true(tx.bufs_used <= TX_BUFS && tx.frames <= TX_BUFS && tx.next < TX_SIZE);
	}
	(void)e1000_tx_abort(&tx, holds, &n);
	while (n--)
		nic_hold_put(holds[n]);
	assert_int_equal(hold.refs, 1);
	assert_int_equal(released, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rx_order, fresh, done),
		cmocka_unit_test_setup_teardown(test_rx_bad, fresh, done),
		cmocka_unit_test_setup_teardown(test_rx_pieces, fresh, done),
		cmocka_unit_test_setup_teardown(test_rx_batch, fresh, done),
		cmocka_unit_test_setup_teardown(test_rx_sums, fresh, done),
		cmocka_unit_test_setup_teardown(test_tx, tx_fresh, tx_done),
		cmocka_unit_test_setup_teardown(test_tx_too_long, tx_fresh, tx_done),
		cmocka_unit_test_setup_teardown(test_tx_pieces, tx_fresh, tx_done),
		cmocka_unit_test_setup_teardown(test_tx_pieces_bad, tx_fresh, tx_done),
		cmocka_unit_test_setup_teardown(test_tx_full, tx_fresh, tx_done),
		cmocka_unit_test_setup_teardown(test_tx_abort, tx_fresh, tx_done),
		cmocka_unit_test_setup_teardown(test_tx_hostile, tx_fresh, tx_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
