/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gateway of a network of mode nat: a port of its switch that is router, DHCP server and way to a DNS server for the
 * guests there. What they send to others leaves as the host's own, with the host's address; answers come back by the table
 * of flows, and so do connections to ports of the host that are forwarded.
 *
 *   guest ─► switch ─► gateway: ARP, echo, DHCP │ port 53 of it: to the host's DNS server │ others: translated ─► lwIP's interface
 *   guest ◄─ switch ◄─ gateway ◄─ translated ◄─ hook in lwIP's IP input: NAT's ports, forwarded ports, ICMP about those
 *
 * Guests reach neither the host itself nor each other's networks this way. IPv4 only; fragments, multicast and broadcast are
 * not carried; TTL counts down, but nobody is told when it ends. The DHCP server answers for the port's own MAC only.
 *
 * Of what goes to and comes from the DNS server only what is in order is carried (net/dns.h); over TCP nothing.
 *
 * One thread: the loop. net/nat_host.c is between this and lwIP.
 */
#ifndef NET_NAT_H
#define NET_NAT_H

#include "net/dhcpd.h"
#include "net/nat_flow.h"
#include "net/switch.h"

#define NAT_FORWARDS_MAX 16u
#define NAT_PREFIX_MIN 22u
#define NAT_PREFIX_MAX 30u
#define NAT_HOSTS_MAX 1024u

struct nat_forward {
	uint8_t protocol; /* NAT_TCP, NAT_UDP */
	uint16_t port, to_port;
	uint32_t to;
};

struct nat_config {   /* addresses in host order */
	uint16_t vid; /* its VLAN */
	uint32_t gateway;
	unsigned prefix;     /* NAT_PREFIX_MIN .. NAT_PREFIX_MAX */
	uint32_t dhcp_first; /* in the subnet, with all that follow */
	unsigned dhcp_n;     /* at most DHCPD_LEASES_MAX; 0: no DHCP */
	uint32_t dns;        /* 0: the host's */
	unsigned n_forwards;
	struct nat_forward forwards[NAT_FORWARDS_MAX];
};

struct nat_stats {
	uint64_t sent, received, dropped, fragments,
		refused; /* refused: to the host, or where nobody may send */
	uint64_t dns_queries, dns_answers;
	uint64_t dns_refused; /* to port 53 of the gateway, and no query; or too many of them */
	uint64_t dns_unasked; /* from the resolver, and no answer to what was asked */
};

struct nat;

/* Where the flows lie that outlive this instance: [borrows], zeros or as an instance before left it. Before the first nat_open();
 * without it they end with us. */
void nat_keep(struct nat_flows_kept *kept);
/* leases: [borrows] DHCPD_LEASES_MAX of them, as an instance before left them.
 * secret: of hash tables. NULL: no memory, or no port free. */
struct nat *nat_open(const struct nat_config *c, struct vswitch *sw, struct dhcp_lease *leases,
		     uint32_t secret);
/* False: its new address or VLAN cannot be had (another port's MAC or address); then it is in no network. */
bool nat_change(struct nat *n, const struct nat_config *c) MUST_CHECK;
void nat_close(struct nat *n);
/* switch_leased_fn of a gateway. */
bool nat_leased(const void *nat, const uint8_t mac[6], uint32_t ip);
const struct dhcpd *nat_dhcpd(const struct nat *n);
const struct nat_stats *nat_stats(const struct nat *n);
const struct switch_port *nat_port(const struct nat *n);

/* ---- the host's side: net/nat_host.c; tests bring their own ---- */
struct nat_host {
	uint32_t ip;  /* 0: it has none now */
	uint32_t dns; /* 0: it knows none */
};
void nat_host(struct nat_host *out);
void nat_host_send(const uint8_t *packet,
		   size_t bytes); /* an IPv4 packet from the host's address */
/* A packet that came for the host's address; it may be changed. True: it was NAT's, and has gone where it had to. */
bool nat_input(uint8_t *packet, size_t bytes);
bool nat_wants(void); /* there are gateways: ask nat_input() */

#endif
