/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of flows of NAT (RFC 4787, 5382, 5508): which packets of guests leave as the host's, and whose the answers are.
 * Translation is of each pair of ends by itself, so one port of the host serves many. Fragments are not translated. Pure.
 *
 * The flows themselves may lie in memory that outlives the instance (struct nat_flows_kept): a flow counts while `used` is 1,
 * which is its last store and the first that is taken back. The next instance checks each and makes its tables anew. The port
 * follows from the flow (a hash), so one that was not kept gets the same again when the guest goes on.
 */
#ifndef NET_NAT_FLOW_H
#define NET_NAT_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl-kernel/rt/rt.h"

#define NAT_FLOWS_MAX 4096u
#define NAT_GUEST_FLOWS_MAX 1024u /* of one guest's address */
#define NAT_PORT_FIRST 61440u     /* ports of the host that are NAT's, and nobody else's: 4096 */
#define NAT_PORT_MASK 4095u

enum nat_protocol { NAT_ICMP = 1, NAT_TCP = 6, NAT_UDP = 17 };

struct nat_ends {         /* addresses in host order; ICMP: both ports are the query's identifier */
	uint32_t net;     /* whose guest: the address of its gateway; 0: not looked for */
	uint8_t protocol; /* enum nat_protocol */
	uint16_t guest_port, remote_port;
	uint32_t guest, remote;
};

struct nat_flow {
	struct nat_ends ends;
	uint16_t port;                   /* the host's */
	uint8_t used, answered, closing; /* 0 or 1 */
	uint32_t
		seen_as; /* the address that the guest sent to, where it is not `remote`: our own, for DNS; else 0 */
	uint32_t deadline_s;
};

struct nat_flows_kept { /* zeros, or as an instance left it */
	uint64_t magic;
	uint32_t version, reserved;
	struct nat_flow flow[NAT_FLOWS_MAX];
};

struct nat_counters {
	uint64_t flows_made, flows_full, guest_full;
};

struct nat_flows;
/* kept: [borrows]; what is in it and makes sense is taken over. NULL: memory of its own. -> NULL: no memory */
struct nat_flows *nat_flows_make(struct nat_flows_kept *kept, uint32_t secret, uint32_t now_s);
void nat_flows_free(struct nat_flows *t);
/* By what a guest sent; NULL: there is none yet. */
struct nat_flow *nat_flow_inside(struct nat_flows *t, const struct nat_ends *e, uint32_t now_s);
/* By what came for the host's `port`; guest and guest_port of e are not looked at. */
struct nat_flow *nat_flow_outside(struct nat_flows *t, const struct nat_ends *e, uint16_t port,
				  uint32_t now_s);
/* A new one; port 0: one of NAT's is chosen. NULL: no room. */
struct nat_flow *nat_flow_add(struct nat_flows *t, const struct nat_ends *e, uint16_t port,
			      uint32_t now_s);
/* It has carried a packet: `flags` of TCP, from the guest or to it. */
void nat_flow_touch(struct nat_flow *f, uint8_t tcp_flags, bool from_guest, uint32_t now_s);
void nat_flows_drop(struct nat_flows *t, uint32_t net); /* all of a network */
unsigned nat_flows_count(const struct nat_flows *t);
const struct nat_counters *nat_flows_counters(const struct nat_flows *t);

#endif
