/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From which addresses may a port send (switch.h)? What is too short to have an address, or has one where it is not looked
 * for (IPv6 extension headers in front of neighbour discovery, RFC 6980), is not let through.
 */
#include "net/switch.h"

#include <string.h>

#define ARP_SENDER_MAC 8u /* RFC 826 */
#define ARP_SENDER_IP 14u
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

static bool has_version(const struct switch_port_config *c, uint8_t version)
{
	for (unsigned i = 0; i < c->n_addrs; i++)
		if (c->addrs[i].version == version)
			return true;
	return false;
}

static bool may_use(const struct switch_port_config *c, uint8_t version, const uint8_t *ip)
{
	unsigned n = version == 4 ? 4 : 16;

	for (unsigned i = 0; i < c->n_addrs; i++)
		if (c->addrs[i].version == version && memcmp(c->addrs[i].ip, ip, n) == 0)
			return true;
	return false;
}

static bool arp_ok(const struct switch_port_config *c, const uint8_t *arp, uint32_t bytes)
{
	if (bytes < ARP_LEN || memcmp(arp + ARP_SENDER_MAC, c->mac, 6) != 0)
		return false;
	/* 0.0.0.0: a probe (RFC 5227). */
	return !has_version(c, 4) || is_zero(arp + ARP_SENDER_IP, 4) ||
	       may_use(c, 4, arp + ARP_SENDER_IP);
}

static bool ipv4_ok(const struct switch_port_config *c, const uint8_t *ip, uint32_t bytes)
{
	if (bytes < IPV4_HEADER_LEN)
		return false;
	/* 0.0.0.0: who asks for an address (DHCP). */
	return !has_version(c, 4) || is_zero(ip + IPV4_SOURCE, 4) ||
	       may_use(c, 4, ip + IPV4_SOURCE);
}

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
		return bytes >= ND_OPTIONS &&
		       nd_options_ok(c, icmp + ND_OPTIONS, bytes - ND_OPTIONS);
	case ICMPV6_NEIGHBOUR_ADVERTISEMENT:
		return bytes >= ND_OPTIONS &&
		       (!has_version(c, 6) || may_use(c, 6, icmp + ND_TARGET)) &&
		       nd_options_ok(c, icmp + ND_OPTIONS, bytes - ND_OPTIONS);
	default:
		return true;
	}
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

static bool ipv6_ok(const struct switch_port_config *c, const uint8_t *ip, uint32_t bytes,
		    bool whole)
{
	const uint8_t *payload = ip + IPV6_HEADER_LEN;

	if (bytes < IPV6_HEADER_LEN)
		return false;
	if (has_version(c, 6) && !is_zero(ip + IPV6_SOURCE, 16) && !may_use(c, 6, ip + IPV6_SOURCE))
		return false;
	bytes -= IPV6_HEADER_LEN;
	if (ip[IPV6_NEXT] != PROTOCOL_ICMPV6)
		return extensions_ok(payload, bytes, ip[IPV6_NEXT]);
	if (!whole && bytes >= 1 && is_nd(payload[0]))
		return false; /* longer than anybody needs: not all of it can be seen */
	return nd_ok(c, payload, bytes);
}

bool spoof_check(const struct switch_port_config *c, const struct packet *p)
{
	const uint8_t *payload = p->head + ETH_HEADER_LEN;
	uint32_t bytes = p->head_bytes - ETH_HEADER_LEN;

	if (!c->anti_spoof)
		return true;
	if (memcmp(p->head + 6, c->mac, 6) != 0)
		return false;
	switch (packet_type(p)) {
	case ETH_TYPE_ARP:
		return arp_ok(c, payload, bytes);
	case ETH_TYPE_IPV4:
		return ipv4_ok(c, payload, bytes);
	case ETH_TYPE_IPV6:
		return ipv6_ok(c, payload, bytes, p->head_bytes == p->bytes);
	default:
		return true;
	}
}
