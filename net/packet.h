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
#include "net/frame.h"
#include "net/nic.h"

#define PACKET_HEAD_MAX                                                                            \
	192u /* Ethernet, IPv6 with what TCP may have: all headers that are looked at */
#define PACKET_SEGS_MAX 28u
#define PACKET_BYTES_MAX 65549u /* an Ethernet header and the largest IPv4 packet */
#define PACKET_SPLIT_MAX 128u   /* frames that one becomes at most */

enum packet_gso { PACKET_WHOLE = 0, PACKET_TCP4 = 1, PACKET_TCP6 = 4 }; /* numbers of 5.1.6 */

struct packet_offload {
	uint8_t gso;      /* enum packet_gso */
	bool csum_wanted; /* the sum from csum_start on is to be put at csum_start + csum_offset */
	bool csum_good;   /* has been checked */
	uint16_t header_bytes; /* with gso: in front of the payload; found here, not believed */
	uint16_t gso_bytes;    /* payload of each frame */
	uint16_t csum_start, csum_offset;
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
};

enum packet_caps { /* what a receiver does itself */
		   PACKET_CAP_CSUM = 1,
		   PACKET_CAP_TCP4 = 2,
		   PACKET_CAP_TCP6 = 4,
};

/* From pieces, the first ones copied. offload NULL: none. False: malformed, too long, or not what the offload says. */
bool packet_make(struct packet *p, const struct nic_seg *segs, unsigned n,
		 const struct packet_offload *offload) MUST_CHECK;
unsigned packet_type(const struct packet *p); /* EtherType */
/* The same for all frames of a TCP or UDP flow one way, or else of two addresses; spread evenly over numbers. */
uint32_t packet_flow(const struct packet *p);

/*
 * Does in software what a receiver with `caps` does not do, and hands it frame by frame to fn, which returns false when it
 * takes no more. *finished frames were taken. -> frames in all.
 */
unsigned packet_finish(const struct packet *p, unsigned caps,
		       bool (*fn)(void *ctx, const struct packet *p), void *ctx, unsigned *taken);

/* The frame for a wire in pieces: with a tag when `tagged`, padded to 60 bytes. tag[] must live as long as out[]. */
#define PACKET_WIRE_SEGS (PACKET_SEGS_MAX + 4u)
unsigned packet_wire(const struct packet *p, bool tagged, uint8_t tag[ETH_TAG_LEN],
		     struct nic_seg out[PACKET_WIRE_SEGS]);
/* Copies all of it: to[] has room for p->bytes. */
void packet_copy(const struct packet *p, void *to);

/* ---- net/checksum.c: the Internet checksum (RFC 1071) ---- */
uint32_t checksum_add(uint32_t sum, const void *data, size_t bytes,
		      bool odd); /* odd: of the offset it begins at */
uint16_t
checksum_end(uint32_t sum); /* as it stands in a header, network order in memory by put16 */
/* RFC 1624: a checksum when a 16-bit word under it changes. */
uint16_t checksum_update(uint16_t checksum, uint16_t was, uint16_t is);

static inline uint16_t packet_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline void packet_put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline uint32_t packet_get32(const uint8_t *at)
{
	return (uint32_t)packet_get16(at) << 16 | packet_get16(at + 2);
}

static inline void packet_put32(uint8_t *at, uint32_t value)
{
	packet_put16(at, (uint16_t)(value >> 16));
	packet_put16(at + 2, (uint16_t)value);
}

#endif
