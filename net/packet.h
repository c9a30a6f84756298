/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A frame on its way through a switch: a copy of its first bytes, which decide everything, and the rest where it lies, which
 * may be a guest's memory that changes under our hands. A VLAN tag is taken out and stands beside it. What was left to the
 * receiver's card stands in `offload`, as virtio 1.2, 5.1.6 has it; packet_finish() does it in software. Pure.
 */
#ifndef NET_PACKET_H
#define NET_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl-kernel/rt/rt.h"
#include "net/checksum.h"
#include "net/frame.h"
#include "net/nic.h"

#define PACKET_HEAD_MAX                                                                            \
	192u /* Ethernet, IPv6 with what TCP may have: all headers that are looked at */
#define PACKET_SEGS_MAX 28u
#define PACKET_BYTES_MAX 65549u /* an Ethernet header and the largest IPv4 packet */
#define PACKET_SPLIT_MAX 128u   /* frames that one becomes at most */

/* Where the rest of a packet lies, if a card can read it there for longer than the call lasts. */
struct packet_source {
	struct nic_hold hold; /* first */
	/* Pieces of bytes that are of it, behind the *n that are in out[max] already. False: out[] is full, or it cannot. */
	bool (*pieces)(struct packet_source *source, const void *data, size_t bytes,
		       struct nic_piece *out, unsigned max, unsigned *n);
};

struct packet {
	uint8_t head[PACKET_HEAD_MAX];
	uint32_t head_bytes;
	uint32_t bytes; /* of all, without tag */
	struct nic_seg rest[PACKET_SEGS_MAX];
	unsigned n_rest;
	uint16_t vid; /* 0: it had no tag, or one of priority only */
	uint8_t pcp;  /* 802.1Q's priority and DEI, the high 4 bits of a tag */
	struct packet_offload offload;
	struct packet_source
		*source; /* [borrows] of rest[]; NULL: it is there during the call only */
};

/* From pieces, the first ones copied; without source. offload NULL: none. False: malformed, too long, or not what the offload says. */
bool packet_make(struct packet *p, const struct nic_seg *segs, unsigned n,
		 const struct packet_offload *offload) MUST_CHECK;
unsigned packet_type(const struct packet *p); /* EtherType */
/* The same for all frames of a TCP or UDP flow one way, or else of two addresses; spread evenly over numbers. */
uint32_t packet_flow(const struct packet *p);

/*
 * Does in software what a receiver with `caps` does not do, frame by frame. next() says NULL when there is none left; a frame
 * is valid until the next one. The packet must stay as it is meanwhile.
 */
struct packet_cut {
	const struct packet *p; /* [borrows] */
	unsigned caps;
	uint32_t at; /* of the payload: done */
	unsigned n;  /* frames so far */
};
void packet_cut(struct packet_cut *cut, const struct packet *p, unsigned caps);
/* *room holds the frame where it is not the packet itself. */
const struct packet *packet_cut_next(struct packet_cut *cut, struct packet *room);

/* The same at once: hands each to fn, which returns false when it has no room. *taken frames were. -> frames in all. */
unsigned packet_finish(const struct packet *p, unsigned caps,
		       bool (*fn)(void *ctx, const struct packet *p), void *ctx, unsigned *taken);

/* The frame for a wire: with a tag when `tagged`, padded to 60 bytes. What the source cannot give as pieces, and what has none, is in seg[]. */
#define PACKET_WIRE_SEGS (PACKET_SEGS_MAX + 4u)
struct packet_wire {
	struct nic_frame frame; /* of the other members and the packet */
	uint8_t tag[ETH_TAG_LEN];
	struct nic_seg seg[PACKET_WIRE_SEGS];
	struct nic_piece piece[NIC_PIECES_MAX];
};
void packet_wire(const struct packet *p, bool tagged, struct packet_wire *out);
/* Copies all of it: to[] has room for p->bytes. */
void packet_copy(const struct packet *p, void *to);

#endif
