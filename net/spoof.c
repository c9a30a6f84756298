/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From which addresses may a port send (switch.h)? What is too short to have an address, or has one where it is not looked
 * for (IPv6 extension headers in front of neighbour discovery, RFC 6980), is not let through.
 */
#include "net/switch.h"

#include <string.h>

#define ARP_SENDER_MAC 8u /* RFC 826 */
#define ARP_SENDER_IP 14u
#define ARP_TARGET_IP 24u
#define IPV4_SOURCE 12u
#define IPV6_NEXT 6u
#define IPV6_SOURCE 8u
#define PROTOCOL_ICMPV6 58u
#define ICMPV6_ROUTER_SOLICITATION 133u /* RFC 4861 */
#define ICMPV6_ROUTER_ADVERTISEMENT 134u
#define ICMPV6_NEIGHBOUR_SOLICITATION 135u
#define ICMPV6_NEIGHBOUR_ADVERTISEMENT 136u
#define ICMPV6_REDIRECT 137u
#define EXTENSION_HOP_BY_HOP 0u /* RFC 8200, 4 */
#define EXTENSION_ROUTING 43u
#define EXTENSION_FRAGMENT 44u
#define EXTENSION_DESTINATION 60u
#define EXTENSIONS_MAX 4u
#define ND_TARGET 8u
#define ND_OPTIONS 24u
#define ND_OPTION_SOURCE 1u
#define ND_OPTION_TARGET 2u

static bool is_nd(uint8_t type)
{
	return type >= ICMPV6_ROUTER_SOLICITATION && type <= ICMPV6_REDIRECT;
}

static bool is_zero(const uint8_t *at, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (at[i])
			return false;
	return true;
}

/* Behind extension headers there may be anything but neighbour discovery; of what cannot be seen to its end, nothing. */
static bool extensions_ok(const uint8_t *at, uint32_t bytes, uint8_t next)
{
	for (unsigned i = 0; i < EXTENSIONS_MAX; i++) {
		uint32_t len;

		if (next == PROTOCOL_ICMPV6)
			return bytes >= 1 && !is_nd(at[0]);
		if (next == EXTENSION_FRAGMENT)
			return true; /* receivers take no neighbour discovery in fragments (RFC 6980) */
		if (next != EXTENSION_HOP_BY_HOP && next != EXTENSION_ROUTING &&
		    next != EXTENSION_DESTINATION)
			return true;
		len = bytes >= 8 ? (at[1] + 1u) * 8 : UINT32_MAX;
		if (len >= bytes)
			return false;
		next = at[0];
		at += len;
		bytes -= len;
	}
	return false;
}

/* RFC 4291, appendix A: the address that a host makes of its MAC. */
static bool is_link_local_of(const uint8_t mac[6], const uint8_t ip[16])
{
	const uint8_t made[16] = {
		0xfe,   0x80,  [8] = (uint8_t)(mac[0] ^ 2), mac[1], mac[2], 0xff, 0xfe, mac[3],
		mac[4], mac[5]};

	return memcmp(ip, made, sizeof(made)) == 0;
}

static bool may_use(const struct switch_port_config *c, const struct ipaddr *a)
{
	for (unsigned i = 0; i < c->n_addrs; i++)
		if (ipaddr_same(&c->addrs[i], a))
			return true;
	if (a->version == 6)
		return is_link_local_of(c->mac, a->ip);
	return c->leased && c->leased(c->leased_ctx, c->mac, packet_get32(a->ip));
}

/* ---- which addresses are said to be the sender's ---- */

static void say(struct spoof_said *s, uint8_t version, const uint8_t *ip, bool source)
{
	struct ipaddr *a = &s->addr[s->n].addr;

	*a = (struct ipaddr){.version = version};
	memcpy(a->ip, ip, version == 4 ? 4 : 16);
	s->addr[s->n++].source = source;
}

/* A probe (RFC 5227) has no sender's address yet: it says that it will have what it asks for. */
static void arp_says(struct spoof_said *s, const uint8_t *arp, uint32_t bytes)
{
	if (bytes >= ARP_LEN)
		say(s, 4, arp + (is_zero(arp + ARP_SENDER_IP, 4) ? ARP_TARGET_IP : ARP_SENDER_IP),
		    false);
}

/* 0.0.0.0: who asks for an address (DHCP). */
static void ipv4_says(struct spoof_said *s, const uint8_t *ip, uint32_t bytes)
{
	if (bytes >= IPV4_HEADER_LEN && !is_zero(ip + IPV4_SOURCE, 4))
		say(s, 4, ip + IPV4_SOURCE, true);
}

static void ipv6_says(struct spoof_said *s, const uint8_t *ip, uint32_t bytes)
{
	const uint8_t *icmp = ip + IPV6_HEADER_LEN;
	bool none;

	if (bytes < IPV6_HEADER_LEN)
		return;
	none = is_zero(ip + IPV6_SOURCE, 16);
	if (!none)
		say(s, 6, ip + IPV6_SOURCE, true);
	bytes -= IPV6_HEADER_LEN;
	if (ip[IPV6_NEXT] != PROTOCOL_ICMPV6) {
		s->hidden = !extensions_ok(icmp, bytes, ip[IPV6_NEXT]);
		return;
	}
	if (bytes < ND_OPTIONS)
		return;
	/* Without a source it asks whether anybody has it, for itself (RFC 4862, 5.4.2). */
	if (icmp[0] == ICMPV6_NEIGHBOUR_ADVERTISEMENT ||
	    (icmp[0] == ICMPV6_NEIGHBOUR_SOLICITATION && none))
		say(s, 6, icmp + ND_TARGET, false);
	else if (icmp[0] == ICMPV6_NEIGHBOUR_SOLICITATION)
		s->addr[0].source = false; /* it is remembered by who is asked */
}

void spoof_said(const struct packet *p, struct spoof_said *out)
{
	const uint8_t *payload = p->head + ETH_HEADER_LEN;
	uint32_t bytes = p->head_bytes - ETH_HEADER_LEN;

	out->hidden = false;
	out->n = 0;
	switch (packet_type(p)) {
	case ETH_TYPE_ARP:
		arp_says(out, payload, bytes);
		return;
	case ETH_TYPE_IPV4:
		ipv4_says(out, payload, bytes);
		return;
	case ETH_TYPE_IPV6:
		ipv6_says(out, payload, bytes);
		return;
	default:
		return;
	}
}

/* ---- form, and MAC addresses ---- */

/* The option with a link-layer address says the port's own. */
static bool nd_options_ok(const struct switch_port_config *c, const uint8_t *at, uint32_t bytes)
{
	while (bytes >= 8) {
		uint32_t len = at[1] * 8u;

		if (len == 0 || len > bytes)
			return false;
		if ((at[0] == ND_OPTION_SOURCE || at[0] == ND_OPTION_TARGET) &&
		    memcmp(at + 2, c->mac, 6) != 0)
			return false;
		at += len;
		bytes -= len;
	}
	return bytes == 0;
}

static bool nd_ok(const struct switch_port_config *c, const uint8_t *icmp, uint32_t bytes)
{
	if (bytes < 4)
		return false;
	switch (icmp[0]) {
	case ICMPV6_ROUTER_SOLICITATION:
		return bytes >= 8 && nd_options_ok(c, icmp + 8, bytes - 8);
	case ICMPV6_ROUTER_ADVERTISEMENT:
	case ICMPV6_REDIRECT:
		return false; /* it is no router */
	case ICMPV6_NEIGHBOUR_SOLICITATION:
	case ICMPV6_NEIGHBOUR_ADVERTISEMENT:
		return bytes >= ND_OPTIONS &&
		       nd_options_ok(c, icmp + ND_OPTIONS, bytes - ND_OPTIONS);
	default:
		return true;
	}
}

static bool ipv6_ok(const struct switch_port_config *c, const uint8_t *ip, uint32_t bytes,
		    bool whole)
{
	const uint8_t *payload = ip + IPV6_HEADER_LEN;

	if (bytes < IPV6_HEADER_LEN)
		return false;
	bytes -= IPV6_HEADER_LEN;
	if (ip[IPV6_NEXT] != PROTOCOL_ICMPV6)
		return extensions_ok(payload, bytes, ip[IPV6_NEXT]);
	if (!whole && bytes >= 1 && is_nd(payload[0]))
		return false; /* longer than anybody needs: not all of it can be seen */
	return nd_ok(c, payload, bytes);
}

static bool form_ok(const struct switch_port_config *c, const struct packet *p)
{
	const uint8_t *payload = p->head + ETH_HEADER_LEN;
	uint32_t bytes = p->head_bytes - ETH_HEADER_LEN;

	switch (packet_type(p)) {
	case ETH_TYPE_ARP:
		return bytes >= ARP_LEN && memcmp(payload + ARP_SENDER_MAC, c->mac, 6) == 0;
	case ETH_TYPE_IPV4:
		return bytes >= IPV4_HEADER_LEN;
	case ETH_TYPE_IPV6:
		return ipv6_ok(c, payload, bytes, p->head_bytes == p->bytes);
	default:
		return true;
	}
}

bool spoof_check(const struct switch_port_config *c, const struct packet *p)
{
	struct spoof_said said;

	if (!c->anti_spoof)
		return true;
	if (memcmp(p->head + 6, c->mac, 6) != 0 || !form_ok(c, p))
		return false;
	if (!c->addrs_only)
		return true;
	spoof_said(p, &said);
	for (unsigned i = 0; i < said.n; i++)
		if (!may_use(c, &said.addr[i].addr))
			return false;
	return true;
}
