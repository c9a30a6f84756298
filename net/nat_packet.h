/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An IPv4 packet as NAT looks at it and changes it. It lies in one piece in memory of our own. Sums are brought up to date,
 * not made anew (RFC 1624): what was damaged before stays damaged. Pure.
 */
#ifndef NET_NAT_PACKET_H
#define NET_NAT_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl-kernel/rt/rt.h"

#define NAT_RESET_BYTES 40u /* IPv4 and TCP without options */
#define NAT_UDP_HEADERS 28u /* IPv4 without options, UDP */

struct nat_view {
	uint8_t *packet;
	size_t bytes; /* as the header says, at most as many as there are */
	uint8_t protocol;
	uint8_t tcp_flags;
	uint32_t source, dest; /* host order */
	/* ICMP: an echo's identifier is the port of who asks; the other is 0. */
	uint16_t source_port, dest_port;
	uint8_t *payload; /* TCP, UDP, ICMP: its header first */
	size_t payload_bytes;
};

enum nat_view_result {
	NAT_VIEW_OK,
	NAT_VIEW_FRAGMENT,
	NAT_VIEW_OTHER /* malformed, or neither TCP, UDP nor ICMP */
};

enum nat_view_result nat_view(struct nat_view *v, uint8_t *packet, size_t bytes);
bool nat_is_echo_request(const struct nat_view *v);
bool nat_is_echo_reply(const struct nat_view *v);
bool nat_is_error(const struct nat_view *v); /* ICMP about another packet */
void nat_set_source(struct nat_view *v, uint32_t ip, uint16_t port);
void nat_set_dest(struct nat_view *v, uint32_t ip, uint16_t port);
bool nat_hop(struct nat_view *v) MUST_CHECK; /* TTL counts down; false: it has ended */
/* A request becomes its answer; false: it is no echo request, or its sum is wrong. */
bool nat_make_echo_reply(struct nat_view *v) MUST_CHECK;
/* The beginning of the packet that an error is about; false: there is not enough of it. */
bool nat_inner(const struct nat_view *v, struct nat_view *inner) MUST_CHECK;
void nat_set_inner_source(struct nat_view *v, struct nat_view *inner, uint32_t ip, uint16_t port);
/* Another 16-bit value at byte `at` of the transport's data, behind its header of 8 bytes (UDP). There are 3 more bytes behind it. */
void nat_set_data16(struct nat_view *v, size_t at, uint16_t value);
/* The answer to a TCP segment that nobody wants (RFC 9293, 3.10.7.1). False: it wants none itself. */
bool nat_make_reset(const struct nat_view *v, uint8_t out[NAT_RESET_BYTES]) MUST_CHECK;
/* The headers in front of `bytes` that are there already. */
void nat_make_udp(uint8_t *packet, size_t bytes, uint32_t from, uint16_t from_port, uint32_t to,
		  uint16_t to_port);

#endif
