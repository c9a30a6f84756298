/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a NIC driver offers and what the network glue (net/netif.c, net/uplink.c) gives it. Drivers include this and know
 * nothing of lwIP or VMs. All calls come from the control kernel's loop.
 */
#ifndef NET_NIC_H
#define NET_NIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NIC_FRAME_MAX 1522u /* without FCS: 14 + 4 (VLAN) + 1500, and slack */
#define NIC_PIECES_MAX 40u  /* of one frame, beside what is copied */

struct nic;

struct nic_seg { /* [borrows] */
	const void *data;
	size_t len;
};

struct nic_piece { /* of memory for DMA */
	uint64_t hpa;
	uint32_t bytes;
};

enum packet_gso { PACKET_WHOLE = 0, PACKET_TCP4 = 1, PACKET_TCP6 = 4 }; /* numbers of 5.1.6 */

/* What is left to a card to do with a frame, or what one has done; as virtio 1.2, 5.1.6 has it. */
struct packet_offload {
	uint8_t gso;      /* enum packet_gso */
	bool csum_wanted; /* the sum from csum_start on is to be put at csum_start + csum_offset */
	bool csum_good;   /* has been checked */
	uint16_t header_bytes; /* with gso: in front of the payload; found here, not believed */
	uint16_t gso_bytes;    /* payload of each frame */
	uint16_t csum_start, csum_offset;
};

enum packet_caps { /* what a receiver, or a card, does itself */
		   PACKET_CAP_CSUM = 1,
		   PACKET_CAP_TCP4 = 2,
		   PACKET_CAP_TCP6 = 4,
};

/* Memory that frames lie in, counted: a card may read of it until the last reference is given back. */
struct nic_hold {
	unsigned refs;
	void (*release)(struct nic_hold *hold);
};

static inline void nic_hold_put(struct nic_hold *hold)
{
	if (hold && --hold->refs == 0)
		hold->release(hold);
}

/* A frame to send: seg[] is copied before send() returns, piece[] follows it and is read by the card where it lies. */
struct nic_frame {
	const struct nic_seg *seg;
	unsigned n_segs;
	const struct nic_piece *piece;
	unsigned n_pieces;
	struct nic_hold *hold; /* of the pieces; NULL: there are none */
	/* No more than the card's caps. With gso all headers are in seg[]; offsets count from the frame's first byte. */
	struct packet_offload offload;
};

struct nic_rx { /* a frame that has come in; valid during the call only */
	const struct nic_seg *seg;
	unsigned n_segs;
	struct packet_offload offload; /* gso: the card has put several frames together */
};

enum nic_send {
	NIC_TAKEN,
	NIC_FULL,    /* not now: room() is called when there is room again */
	NIC_REFUSED, /* the card cannot send that */
};

struct nic_ops {
	/* Receive and interrupts on; before it the device is quiet. 0 or -1 (logged). */
	int (*start)(struct nic *nic);
	/* While there are pieces of what was taken the driver has a reference to frame->hold. The card hears of it at
	 * the end of this turn of the loop at the latest. */
	enum nic_send (*send)(struct nic *nic, const struct nic_frame *frame);
	void (*set_promiscuous)(struct nic *nic, bool on);
	/* Multicast needed by IPv6 ND: accept all multicast from the start. */
	void (*update_stats)(
		struct nic *nic); /* folds the device's counters into stats; may be NULL */
};

struct nic_stats {
	uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
	uint64_t rx_dropped;  /* no buffer upstairs or malformed */
	uint64_t rx_overruns; /* the device had no descriptor */
	uint64_t tx_dropped;  /* refused, or not sent when the device was reset */
	uint64_t link_changes, irqs;
};

struct nic {
	char name[16]; /* "e1000@00:03.0" */
	uint8_t mac[6];
	bool link;
	const char *irq_kind; /* "msix", "msi", "intx" or "poll" */
	uint32_t bdf;
	unsigned caps; /* enum packet_caps; known before start() */
	struct nic_stats stats;
	const struct nic_ops *ops;
	void *priv; /* [owns] the driver's */
	/* Set by the glue before start(). */
	void (*rx)(struct nic *nic, const struct nic_rx *frame, unsigned n);
	void (*link_changed)(struct nic *nic);
	void (*room)(struct nic *nic); /* not from within send(); may be NULL */
	void *user;
	bool started; /* the glue's: start() has been called */
	struct nic *next;
};

#endif
