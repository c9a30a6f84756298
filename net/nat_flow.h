/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of flows of NAT (RFC 4787, 5382, 5508): which packets of guests leave as the host's, and whose the answers are.
 * Translation is of each pair of ends by itself, so one port of the host serves many. The port follows from the flow
 * (a hash), so a flow that a new instance does not know gets the same again when the guest goes on, and a TCP connection
 * outlives the table. Fragments are not translated. Pure.
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

struct nat;

struct nat_ends {         /* addresses in host order; ICMP: both ports are the query's identifier */
	struct nat *net;  /* whose guest; NULL: not looked for */
	uint8_t protocol; /* enum nat_protocol */
	uint16_t guest_port, remote_port;
	uint32_t guest, remote;
};

struct nat_flow {
	struct nat_ends ends;
	uint16_t port; /* the host's */
	bool used, answered, closing;
	uint32_t
		seen_as; /* the address that the guest sent to, where it is not `remote`: our own, for DNS; else 0 */
	uint32_t deadline_s;
	uint16_t next_inside, next_outside;
};

struct nat_counters {
	uint64_t flows_made, flows_full, guest_full;
};

struct nat_flows;
struct nat_flows *nat_flows_make(uint32_t secret); /* NULL: no memory */
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
void nat_flows_drop(struct nat_flows *t, const struct nat *net); /* all of a network */
unsigned nat_flows_count(const struct nat_flows *t);
const struct nat_counters *nat_flows_counters(const struct nat_flows *t);

#endif
