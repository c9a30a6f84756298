/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: drivers/e1000_ring.c
// SRC: drivers/nics.c
/* The e1000's rings against a device played by the test: order and wrap, frames that are too long, broken or in
 * pieces, a transmit ring that fills. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/driver.h"
#include "drivers/e1000_ring.h"
#include "drivers/nics.h"

#define SIZE 4u
#define HPA 0x12340000u

static struct e1000_rx rx;
static struct e1000_tx tx;
static void *ring, *bufs;
static unsigned head; /* the device's */

/* nics.c is linked for nic_gather(); it wants these for probing. */
unsigned pci_count(void)
{
	return 0;
}
struct pci_dev *pci_dev(unsigned i)
{
	(void)i;
	return NULL;
}
void rt_log(const char *format, ...)
{
	(void)format;
}

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

static enum e1000_rx_result take(char *first, size_t *len)
{
	const void *frame = NULL;
	enum e1000_rx_result r = e1000_rx_take(&rx, &frame, len);

	if (r == E1000_RX_FRAME)
		*first = *(const char *)frame;
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

static void device_sends(void)
{
	struct e1000_tx_desc *d = (struct e1000_tx_desc *)ring + head;

	assert_int_not_equal(head, tx.next);
	assert_int_equal(d->command, E1000_TXD_EOP | E1000_TXD_IFCS | E1000_TXD_RS);
	assert_int_equal(d->addr, HPA + head * NIC_BUFFER);
	d->status = E1000_TXD_DD;
	head = (head + 1) % SIZE;
}

static void test_tx(void **state)
{
	const struct nic_seg segs[2] = {{"hello ", 6}, {"world", 5}};
	const struct nic_frame two = {.seg = segs, .n_segs = 2};

	(void)state;
	e1000_tx_init(&tx, ring, SIZE, bufs, HPA);
	for (unsigned turn = 0; turn < 5; turn++) {
		for (unsigned i = 0; i < SIZE - 1; i++)
			assert_int_equal(e1000_tx_put(&tx, &two), 11);
		assert_int_equal(e1000_tx_put(&tx, &two), 0);
		device_sends();
		assert_int_equal(e1000_tx_put(&tx, &two), 11);
		assert_int_equal(e1000_tx_put(&tx, &two), 0);
		for (unsigned i = 0; i < SIZE - 1; i++)
			device_sends();
	}
	assert_memory_equal(bufs, "hello world", 11);
	assert_int_equal(((struct e1000_tx_desc *)ring)[0].len, 11);
}

static size_t put(const struct nic_seg *segs, unsigned n)
{
	return e1000_tx_put(&tx, &(struct nic_frame){.seg = segs, .n_segs = n});
}

static void test_tx_too_long(void **state)
{
	static char big[NIC_FRAME_MAX + 1];
	const struct nic_seg whole = {big, sizeof(big)}, most = {big, NIC_FRAME_MAX};
	const struct nic_seg two[2] = {{big, NIC_FRAME_MAX}, {big, 1}};

	(void)state;
	e1000_tx_init(&tx, ring, SIZE, bufs, HPA);
	assert_int_equal(put(&whole, 1), 0);
	assert_int_equal(put(two, 2), 0);
	assert_int_equal(put(NULL, 0), 0);
	assert_int_equal(tx.next, 0);
	assert_int_equal(put(&most, 1), NIC_FRAME_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rx_order, fresh, done),
		cmocka_unit_test_setup_teardown(test_rx_bad, fresh, done),
		cmocka_unit_test_setup_teardown(test_rx_pieces, fresh, done),
		cmocka_unit_test_setup_teardown(test_tx, fresh, done),
		cmocka_unit_test_setup_teardown(test_tx_too_long, fresh, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
