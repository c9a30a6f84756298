/* SPDX-License-Identifier: BSD-2-Clause */
/* See nat.h. Packets are copied once, into a buffer of our own; then the copy is checked, changed and sent on. */
#include "net/nat.h"

#include <stdlib.h>
#include <string.h>

#include "net/dns.h"
#include "net/nat_packet.h"

#define DHCP_SERVER 67u
#define DHCP_CLIENT 68u
#define ARP_REQUEST 1u
#define ARP_REPLY 2u
#define NS_PER_S 1000000000ull

struct neighbour {
	uint8_t mac[6];
	bool known;
};

struct nat {
	struct vswitch *sw; /* [borrows] */
	struct switch_port port;
	struct nat_config config;
	uint32_t mask;
	uint8_t mac[6];
	struct dhcpd dhcpd;
	struct dns_table dns;
	struct nat_stats stats;
	struct neighbour neighbours[NAT_HOSTS_MAX]; /* by the host part of their addresses */
	struct nat *next;
};

static struct nat *gateways;
static struct nat_flows *flows;           /* of all of them: the host's ports are the same */
static struct nat_flows_kept *flows_kept; /* [borrows] */

static uint32_t now_s(void)
{
	return (uint32_t)(rt_now() / NS_PER_S);
}

/* ---- to guests ---- */

static void send_frame(struct nat *n, const uint8_t *to, unsigned type, const void *payload,
		       size_t bytes)
{
	uint8_t header[ETH_HEADER_LEN];
	const struct nic_seg segs[] = {{header, sizeof(header)}, {payload, bytes}};
	struct packet p;

	memcpy(header, to, 6);
	memcpy(header + 6, n->mac, 6);
	packet_put16(header + 12, (uint16_t)type);
	if (packet_make(&p, segs, 2, NULL))
		(void)switch_input(&n->port, &p, rt_now());
}

static void send_arp(struct nat *n, unsigned op, const uint8_t *mac, uint32_t ip)
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255}, none[6];
	uint8_t a[ARP_LEN] = {0, 1, ETH_TYPE_IPV4 >> 8, 0, 6, 4, 0, (uint8_t)op};

	memcpy(a + 8, n->mac, 6);
	packet_put32(a + 14, n->config.gateway);
	memcpy(a + 18, mac ? mac : none, 6);
	packet_put32(a + 24, ip);
	send_frame(n, mac ? mac : all, ETH_TYPE_ARP, a, sizeof(a));
}

static bool in_subnet(const struct nat *n, uint32_t ip)
{
	return ((ip ^ n->config.gateway) & n->mask) == 0 && (ip & ~n->mask) != 0 &&
	       (ip & ~n->mask) != ~n->mask && ip != n->config.gateway;
}

/* A lease in force says whose the address is; else who used it last. */
static const uint8_t *mac_of(struct nat *n, uint32_t ip)
{
	const struct dhcp_lease *l = dhcpd_holder(&n->dhcpd, ip, now_s());
	const struct neighbour *b = &n->neighbours[ip & ~n->mask];

	return l ? l->mac : b->known ? b->mac : NULL;
}

/* May that MAC send from that address? Then it is known by it from here on. */
static bool meet(struct nat *n, uint32_t ip, const uint8_t *mac)
{
	const struct dhcp_lease *l = dhcpd_holder(&n->dhcpd, ip, now_s());
	struct neighbour *b;

	if (!in_subnet(n, ip) || (l && memcmp(l->mac, mac, 6) != 0))
		return false;
	b = &n->neighbours[ip & ~n->mask];
	memcpy(b->mac, mac, 6);
	b->known = true;
	return true;
}

static void to_guest(struct nat *n, uint32_t ip, const uint8_t *packet, size_t bytes)
{
	const uint8_t *mac = mac_of(n, ip);

	if (mac) {
		n->stats.received++;
		send_frame(n, mac, ETH_TYPE_IPV4, packet, bytes);
		return;
	}
	n->stats.dropped++;
	send_arp(n, ARP_REQUEST, NULL, ip); /* whoever sends again finds it known */
}

/* ---- what guests say to the gateway ---- */

static void arp_in(struct nat *n, const uint8_t *frame, const uint8_t *arp)
{
	uint32_t sender = packet_get32(arp + 14);

	if (packet_get16(arp) != 1 || packet_get16(arp + 2) != ETH_TYPE_IPV4 || arp[4] != 6 ||
	    arp[5] != 4 || memcmp(arp + 8, frame + 6, 6) != 0)
		return;
	if (sender)
		(void)meet(n, sender, arp + 8);
	if (packet_get16(arp + 6) == ARP_REQUEST && packet_get32(arp + 24) == n->config.gateway)
		send_arp(n, ARP_REPLY, arp + 8, sender);
}

static void dhcp_in(struct nat *n, const uint8_t *mac, const struct nat_view *v)
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
	uint8_t packet[NAT_UDP_HEADERS + DHCPD_ANSWER_MAX];
	uint32_t to;
	size_t bytes = dhcpd_answer(&n->dhcpd, mac, v->payload + 8, v->payload_bytes - 8, now_s(),
				    packet + NAT_UDP_HEADERS, &to);

	if (!bytes)
		return;
	nat_make_udp(packet, bytes, n->config.gateway, DHCP_SERVER, to, DHCP_CLIENT);
	send_frame(n, to == UINT32_MAX ? all : mac, ETH_TYPE_IPV4, packet, NAT_UDP_HEADERS + bytes);
}

static void echo_in(struct nat *n, struct nat_view *v)
{
	uint32_t guest = v->source;

	if (!nat_make_echo_reply(v))
		return;
	to_guest(n, guest, v->packet, v->bytes);
}

/* ---- guest to the world ---- */

/* Where nobody may send from here: this network, loopback, groups, and the host. */
static bool forbidden(const struct nat *n, uint32_t ip, const struct nat_host *host)
{
	return ((ip ^ n->config.gateway) & n->mask) == 0 || ip == host->ip || ip >> 24 == 0 ||
	       ip >> 24 == 127 || ip >> 28 >= 14;
}

static void out(struct nat *n, struct nat_view *v, const struct nat_host *host, uint32_t remote)
{
	struct nat_ends e = {.net = n->config.gateway,
			     .protocol = v->protocol,
			     .guest = v->source,
			     .guest_port = v->source_port,
			     .remote = remote,
			     .remote_port = v->dest_port};
	struct nat_flow *f;

	f = nat_flow_inside(flows, &e, now_s());
	if (!f)
		f = nat_flow_add(flows, &e, 0, now_s());
	if (!f) {
		n->stats.dropped++;
		return;
	}
	if (remote != v->dest)
		f->seen_as = v->dest;
	nat_flow_touch(f, v->tcp_flags, true, now_s());
	nat_set_source(v, host->ip, f->port);
	if (remote != v->dest)
		nat_set_dest(v, remote, v->dest_port);
	n->stats.sent++;
	nat_host_send(v->packet, v->bytes);
}

static bool is_whole_udp(const struct nat_view *v)
{
	return v->protocol == NAT_UDP && packet_get16(v->payload + 4) == v->payload_bytes;
}

/* A question that is carried on; the answer is to come in one piece. */
static bool dns_out(struct nat *n, struct nat_view *v)
{
	struct dns_message m;

	if (!is_whole_udp(v) || !dns_query(v->payload + 8, v->payload_bytes - 8, &m))
		return false;
	if (m.bytes > DNS_BYTES_MAX) {
		m.bytes = DNS_BYTES_MAX;
		nat_set_data16(v, m.bytes_at, m.bytes);
	}
	return dns_ask(&n->dns, v->source, v->source_port, &m, now_s());
}

static bool dns_in(struct nat *n, const struct nat_flow *f, const struct nat_view *v)
{
	size_t bytes = v->payload_bytes - 8;
	struct dns_message m;

	return is_whole_udp(v) && dns_answer(v->payload + 8, bytes, &m) &&
	       dns_answered(&n->dns, f->ends.guest, f->ends.guest_port, &m, bytes, now_s());
}

static void refuse_tcp(struct nat *n, const struct nat_view *v)
{
	uint8_t reset[NAT_RESET_BYTES];

	n->stats.dns_refused++;
	if (nat_make_reset(v, reset))
		to_guest(n, v->source, reset, sizeof(reset));
}

static void route(struct nat *n, struct nat_view *v)
{
	struct nat_host host;
	uint32_t remote = v->dest;
	bool dns = v->dest == n->config.gateway && v->dest_port == DNS_PORT;

	if (dns && v->protocol == NAT_TCP) {
		refuse_tcp(n, v);
		return;
	}
	nat_host(&host);
	if (dns)
		remote = n->config.dns ? n->config.dns : host.dns;
	if (!host.ip || forbidden(n, remote, &host)) {
		n->stats.refused++;
		return;
	}
	if (v->protocol == NAT_ICMP && !nat_is_echo_request(v)) {
		n->stats.dropped++;
		return;
	}
	if (!nat_hop(v)) {
		n->stats.dropped++;
		return;
	}
	if (dns && !dns_out(n, v)) {
		n->stats.dns_refused++;
		return;
	}
	n->stats.dns_queries += dns;
	out(n, v, &host, remote);
}

static void ipv4_in(struct nat *n, const uint8_t *frame, uint8_t *packet, size_t bytes)
{
	const uint8_t *mac = frame + 6;
	struct nat_view v;

	switch (nat_view(&v, packet, bytes)) {
	case NAT_VIEW_OK:
		break;
	case NAT_VIEW_FRAGMENT:
		n->stats.fragments++;
		return;
	case NAT_VIEW_OTHER:
		n->stats.dropped++;
		return;
	}
	if (v.protocol == NAT_UDP && v.dest_port == DHCP_SERVER &&
	    (v.dest == UINT32_MAX || v.dest == n->config.gateway)) {
		dhcp_in(n, mac, &v);
		return;
	}
	if ((frame[0] & 1) || !meet(n, v.source, mac))
		n->stats.refused++;
	else if (v.dest == n->config.gateway && v.protocol == NAT_ICMP)
		echo_in(n, &v);
	else
		route(n, &v);
}

static bool deliver(struct switch_port *port, const struct packet *p)
{
	static uint8_t
		frame[ETH_HEADER_LEN + ETH_PAYLOAD_MAX]; /* the switch has seen to its length */
	struct nat *n = port->own;

	packet_copy(p, frame);
	if (!(frame[0] & 1) && memcmp(frame, n->mac, 6) != 0)
		return true; /* flooded */
	if (packet_type(p) == ETH_TYPE_ARP)
		arp_in(n, frame, frame + ETH_HEADER_LEN);
	else if (packet_type(p) == ETH_TYPE_IPV4)
		ipv4_in(n, frame, frame + ETH_HEADER_LEN, p->bytes - ETH_HEADER_LEN);
	return true;
}

/* ---- the world to guests ---- */

static const struct nat_forward *forward_of(uint8_t protocol, uint16_t port, struct nat **net)
{
	for (struct nat *n = gateways; n; n = n->next)
		for (unsigned i = 0; i < n->config.n_forwards; i++)
			if (n->config.forwards[i].protocol == protocol &&
			    n->config.forwards[i].port == port) {
				*net = n;
				return &n->config.forwards[i];
			}
	return NULL;
}

static bool is_ours(uint16_t port)
{
	return (port & ~NAT_PORT_MASK) == NAT_PORT_FIRST;
}

static struct nat_flow *forwarded(const struct nat_view *v, struct nat_ends *e)
{
	struct nat *n;
	const struct nat_forward *w = forward_of(v->protocol, v->dest_port, &n);

	if (!w)
		return NULL;
	e->net = n->config.gateway;
	e->guest = w->to;
	e->guest_port = w->to_port;
	return nat_flow_add(flows, e, v->dest_port, now_s());
}

/* NULL: it is not there (any more). */
static struct nat *gateway_of(const struct nat_flow *f)
{
	struct nat *n = gateways;

	while (n && n->config.gateway != f->ends.net)
		n = n->next;
	return n;
}

static void in(struct nat_flow *f, struct nat_view *v)
{
	struct nat *n = gateway_of(f);

	if (!n)
		return;
	if (f->seen_as) {
		if (!dns_in(n, f, v)) {
			n->stats.dns_unasked++;
			return;
		}
		n->stats.dns_answers++;
	}
	nat_flow_touch(f, v->tcp_flags, false, now_s());
	if (!nat_hop(v)) {
		n->stats.dropped++;
		return;
	}
	nat_set_dest(v, f->ends.guest, f->ends.guest_port);
	if (f->seen_as)
		nat_set_source(v, f->seen_as, v->source_port);
	to_guest(n, f->ends.guest, v->packet, v->bytes);
}

/* About a packet of a flow that somebody on its way did not carry on. */
static bool error_in(struct nat_view *v)
{
	struct nat_ends e = {0};
	struct nat_view inner;
	struct nat_flow *f;
	struct nat *n;

	if (!nat_inner(v, &inner))
		return false;
	e.protocol = inner.protocol;
	e.remote = inner.dest;
	e.remote_port = inner.dest_port;
	f = nat_flow_outside(flows, &e, inner.source_port, now_s());
	if (!f)
		return is_ours(inner.source_port);
	n = gateway_of(f);
	nat_set_inner_source(v, &inner, f->ends.guest, f->ends.guest_port);
	if (!n || !nat_hop(v))
		return true;
	nat_set_dest(v, f->ends.guest, 0);
	to_guest(n, f->ends.guest, v->packet, v->bytes);
	return true;
}

bool nat_wants(void)
{
	return gateways != NULL;
}

bool nat_input(uint8_t *packet, size_t bytes)
{
	struct nat_ends e = {0};
	struct nat_view v;
	struct nat_flow *f;

	if (nat_view(&v, packet, bytes) != NAT_VIEW_OK)
		return false;
	if (nat_is_error(&v))
		return error_in(&v);
	if (v.protocol == NAT_ICMP && !nat_is_echo_reply(&v))
		return false; /* whoever asks the host is answered by it */
	e.protocol = v.protocol;
	e.remote = v.source;
	e.remote_port = v.source_port;
	f = nat_flow_outside(flows, &e, v.dest_port, now_s());
	if (!f && v.protocol != NAT_ICMP)
		f = forwarded(&v, &e);
	if (!f)
		return is_ours(v.dest_port); /* the host has nothing there */
	in(f, &v);
	return true;
}

/* ---- life ---- */

static void configure(struct nat *n, const struct nat_config *c)
{
	n->config = *c;
	n->mask = UINT32_MAX << (32 - c->prefix);
	n->dhcpd.server = c->gateway;
	n->dhcpd.mask = n->mask;
	n->dhcpd.first = c->dhcp_first;
	n->dhcpd.n = c->dhcp_n;
	dhcpd_check(&n->dhcpd);
}

/* Locally administered, the same for the same address: guests need not learn another after a restart. */
static void make_mac(struct nat *n, uint32_t gateway)
{
	n->mac[0] = 0x52;
	n->mac[1] = 0x55;
	packet_put32(n->mac + 2, gateway);
}

/* Its address is nobody else's. */
static bool plug(struct nat *n)
{
	n->port.config = (struct switch_port_config){
		.has_mac = true, .vid = n->config.vid, .n_addrs = 1, .addrs = {{.version = 4}}};
	packet_put32(n->port.config.addrs[0].ip, n->config.gateway);
	memcpy(n->port.config.mac, n->mac, 6);
	if (switch_plug(n->sw, &n->port) != SWITCH_OK)
		return false;
	n->port.up = true;
	return true;
}

void nat_keep(struct nat_flows_kept *kept)
{
	flows_kept = kept;
}

struct nat *nat_open(const struct nat_config *c, struct vswitch *sw, struct dhcp_lease *leases,
		     uint32_t secret)
{
	static const struct switch_port_ops ops = {.deliver = deliver};
	struct nat *n = calloc(1, sizeof(*n));

	if (n && !flows)
		flows = nat_flows_make(flows_kept, secret, now_s());
	if (!n || !flows) {
		free(n);
		return NULL;
	}
	make_mac(n, c->gateway);
	n->dhcpd.lease = leases;
	configure(n, c);
	n->port.ops = &ops;
	n->port.own = n;
	n->sw = sw;
	if (!plug(n)) {
		free(n);
		return NULL;
	}
	n->next = gateways;
	gateways = n;
	return n;
}

bool nat_change(struct nat *n, const struct nat_config *c)
{
	bool moves = c->gateway != n->config.gateway || c->vid != n->config.vid;

	nat_flows_drop(flows, n->config.gateway);
	configure(n, c);
	if (!moves)
		return true;
	switch_unplug(&n->port);
	make_mac(n, c->gateway);
	return plug(n);
}

void nat_close(struct nat *n)
{
	struct nat **at = &gateways;

	nat_flows_drop(flows, n->config.gateway);
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	switch_unplug(&n->port);
	free(n);
	if (gateways)
		return;
	nat_flows_free(flows);
	flows = NULL;
}

bool nat_leased(const void *nat, const uint8_t mac[6], uint32_t ip)
{
	const struct dhcp_lease *l = dhcpd_holder(&((const struct nat *)nat)->dhcpd, ip, now_s());

	return l && memcmp(l->mac, mac, 6) == 0;
}

const struct dhcpd *nat_dhcpd(const struct nat *n)
{
	return &n->dhcpd;
}

const struct nat_stats *nat_stats(const struct nat *n)
{
	return &n->stats;
}

const struct switch_port *nat_port(const struct nat *n)
{
	return &n->port;
}
