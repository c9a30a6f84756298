/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The descriptor rings of an e1000: pure memory, no registers, so that a test can play the device. The driver writes
 * the tail registers. A ring holds size - 1 descriptors at most: head == tail means empty.
 *
 *   receive:  take() filled descriptors -> use the frames -> give() them back -> RDT = e1000_rx_tail()
 *   send:     put() frames -> TDT = e1000_tx_tell() -> take() those that were sent, in order
 *
 * A frame to send is [context descriptor] what was copied, what the card reads where it lies. What was copied lies in
 * consecutive buffers, taken in a circle; those at the end of the memory are left out when too few are left there.
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
	unsigned taken; /* before next, not yet given back */
	bool skipping;  /* inside a frame of several descriptors: longer than any we take */
};

enum e1000_rx_result {
	E1000_RX_NONE,
	E1000_RX_FRAME,
	E1000_RX_BAD, /* to be counted */
};

void e1000_rx_init(struct e1000_rx *rx, void *ring, unsigned size, void *bufs, uint64_t bufs_hpa);
/* The frame stays where it is until give(). */
enum e1000_rx_result e1000_rx_take(struct e1000_rx *rx, struct nic_seg *frame, bool *csum_good);
void e1000_rx_give(struct e1000_rx *rx); /* all that were taken */
unsigned e1000_rx_tail(const struct e1000_rx *rx);

#define E1000_TX_BUFS 128u

struct e1000_tx_frame {
	struct nic_hold *hold; /* [owns] a reference; NULL: all of it was copied */
	uint16_t last;         /* descriptor: written back when it has been sent */
	uint16_t bufs;         /* with those it left out */
};

struct e1000_tx {
	volatile struct e1000_tx_desc *ring; /* [borrows] DMA memory */
	char *bufs;                          /* [borrows] DMA memory, NIC_BUFFER each */
	uint64_t bufs_hpa;
	unsigned size;
	unsigned next, told, clean; /* to fill, to tell the device of, the oldest not taken back */
	unsigned n_bufs, buf, bufs_used; /* buf: the oldest in use */
	unsigned frames, holds;          /* in flight; of them with a hold */
	uint64_t sent;                   /* frames ever taken back */
	bool refused;                    /* a frame for want of room; until e1000_tx_room() */
	bool full;                       /* the last put() found none */
	bool after_tso;
	struct e1000_tx_frame frame[E1000_TX_BUFS]; /* by their first buffer */
};

/* n_bufs: at most E1000_TX_BUFS */
void e1000_tx_init(struct e1000_tx *tx, void *ring, unsigned size, void *bufs, uint64_t bufs_hpa,
		   unsigned n_bufs);
/*
 * -> the frame's bytes, with a reference to its hold if it has pieces. 0: it cannot be sent, or `refused` is set: not now.
 * Gives no hold back, so whoever is called then is not called from here.
 */
size_t e1000_tx_put(struct e1000_tx *tx, const struct nic_frame *frame);
unsigned e1000_tx_untold(const struct e1000_tx *tx); /* descriptors */
unsigned e1000_tx_tell(struct e1000_tx *tx);         /* -> what TDT is to be */
/* The oldest frame, if it has been sent -> its reference, or NULL. */
bool e1000_tx_take(struct e1000_tx *tx, struct nic_hold **hold);
/* Once after a refusal, when half of the ring is free. */
bool e1000_tx_room(struct e1000_tx *tx);
/* Of a device that reads nothing any more: all is empty again -> frames that were lost, and the references of *n of them. */
unsigned e1000_tx_abort(struct e1000_tx *tx, struct nic_hold *holds[E1000_TX_BUFS], unsigned *n);

/* ---- drivers/e1000_offload.c ---- */

struct e1000_todo { /* of the descriptors of a frame */
	bool has_context, tso;
	struct e1000_tx_desc context;
	uint8_t type, command, options; /* of all others */
	uint32_t first_max, part_max;   /* bytes of the first, of each */
};

/*
 * What a frame of `bytes` needs that begins with `copied` ones at `head`, and puts those right for it. False: the offload
 * does not fit the frame or the descriptors' fields.
 */
bool e1000_offload(uint8_t *head, size_t copied, size_t bytes, const struct packet_offload *o,
		   struct e1000_todo *todo);

#endif
