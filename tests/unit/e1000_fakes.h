/* SPDX-License-Identifier: BSD-2-Clause */
/* An e1000's transmit ring for host tests: its memory, and the device that reads it. */
#ifndef TESTS_E1000_FAKES_H
#define TESTS_E1000_FAKES_H

#include <stdlib.h>
#include <string.h>

#include "drivers/driver.h"
#include "drivers/e1000_ring.h"
#include "drivers/nics.h"

#define HPA 0x12340000u
#define THERE 0x700000000ull /* where pieces lie */
#define PLAIN (E1000_TXD_EOP | E1000_TXD_IFCS | E1000_TXD_RS)

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

static unsigned head; /* the device's */
#define TX_SIZE 16u
#define TX_BUFS 8u

static struct e1000_tx tx;
static struct e1000_tx_desc *descs;
static char *copies;
static unsigned tail; /* what the device has been told */
static unsigned released;
static struct nic_hold *released_last;

static inline int tx_fresh_of(unsigned size, unsigned n_bufs)
{
	free(descs);
	free(copies);
	descs = calloc(size, sizeof(*descs));
	copies = calloc(n_bufs, NIC_BUFFER);
	for (unsigned i = 0; i < size; i++)
		descs[i].status = E1000_TXD_DD; /* of others, long ago */
	e1000_tx_init(&tx, descs, size, copies, HPA, n_bufs);
	head = tail = released = 0;
	released_last = NULL;
	return 0;
}

static inline int tx_fresh(void **state)
{
	(void)state;
	return tx_fresh_of(TX_SIZE, TX_BUFS);
}

static inline int tx_done(void **state)
{
	(void)state;
	free(descs);
	free(copies);
	descs = NULL;
	copies = NULL;
	return 0;
}

static inline void on_release(struct nic_hold *hold)
{
	released++;
	released_last = hold;
}

static inline struct nic_hold hold_of(void)
{
	return (struct nic_hold){.refs = 1, .release = on_release};
}

static inline bool is_end(const struct e1000_tx_desc *d)
{
	bool context = d->command & E1000_TXD_DEXT && d->type != E1000_TXD_DATA;

	return !context && d->command & E1000_TXD_EOP;
}

/* The device sends n frames, each up to a descriptor with EOP, and writes that back. */
static inline void device_sends(unsigned n)
{
	tail = e1000_tx_tell(&tx);
	while (n && head != tail) {
		struct e1000_tx_desc *d = &descs[head];

		head = (head + 1) % tx.size;
		assert_int_equal(d->command & E1000_TXD_RS, is_end(d) ? E1000_TXD_RS : 0);
		if (!is_end(d))
			continue;
		assert_int_equal(d->status, 0);
		d->status = E1000_TXD_DD;
		n--;
	}
	assert_int_equal(n, 0);
}

static inline unsigned take_back(void)
{
	struct nic_hold *hold;
	unsigned n = 0;

	while (e1000_tx_take(&tx, &hold)) {
		nic_hold_put(hold);
		n++;
	}
	return n;
}

static inline void is_desc(unsigned i, const struct e1000_tx_desc *want)
{
	assert_memory_equal(&descs[i], want, sizeof(*want));
}

static inline size_t put(const struct nic_seg *segs, unsigned n)
{
	return e1000_tx_put(&tx, &(struct nic_frame){.seg = segs, .n_segs = n});
}

#endif
