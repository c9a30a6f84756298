/* SPDX-License-Identifier: BSD-2-Clause */
/* See nat_packet.h. */
#include "net/nat_packet.h"

#include <string.h>

#include "net/nat_flow.h"
#include "net/packet.h"

enum ip {
	IP_LENGTH = 2,
	IP_FRAGMENT = 6,
	IP_TTL = 8,
	IP_PROTOCOL = 9,
	IP_SUM = 10,
	IP_SOURCE = 12,
	IP_DEST = 16
};
#define FRAGMENT_BITS 0x3fffu /* more fragments, offset */
#define TTL_NEW 64u
#define INNER_BYTES 8u /* of a transport header, that an ICMP error has at least (RFC 792) */

#define TCP_FIN 1u
#define TCP_SYN 2u
#define TCP_RST 4u
#define TCP_ACK 16u

enum icmp {
	ICMP_ECHO_REPLY = 0,
	ICMP_UNREACHABLE = 3,
	ICMP_ECHO = 8,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETER = 12
};

/* ---- reading ---- */

static size_t transport_min(uint8_t protocol)
{
	return protocol == NAT_TCP ? 20 : 8;
}

static void ports(struct nat_view *v)
{
	const uint8_t *t = v->payload;

	v->source_port = v->dest_port = 0;
	if (v->protocol != NAT_ICMP) {
		v->source_port = packet_get16(t);
		v->dest_port = packet_get16(t + 2);
	} else if (t[0] == ICMP_ECHO) {
		v->source_port = packet_get16(t + 4);
	} else if (t[0] == ICMP_ECHO_REPLY) {
		v->dest_port = packet_get16(t + 4);
	}
}

/* `part`: only a beginning of it is there. */
static enum nat_view_result view(struct nat_view *v, uint8_t *packet, size_t bytes, bool part)
{
	size_t header, length;

	if (bytes < IPV4_HEADER_LEN || packet[0] >> 4 != 4)
		return NAT_VIEW_OTHER;
	header = (packet[0] & 15u) * 4u;
	length = packet_get16(packet + IP_LENGTH);
	if (part && length > bytes)
		length = bytes;
	if (header < IPV4_HEADER_LEN || length < header || length > bytes)
		return NAT_VIEW_OTHER;
	if (packet_get16(packet + IP_FRAGMENT) & FRAGMENT_BITS)
		return NAT_VIEW_FRAGMENT;
	*v = (struct nat_view){.packet = packet,
			       .bytes = length,
			       .protocol = packet[IP_PROTOCOL],
			       .source = packet_get32(packet + IP_SOURCE),
			       .dest = packet_get32(packet + IP_DEST),
			       .payload = packet + header,
			       .payload_bytes = length - header};
	if ((v->protocol != NAT_TCP && v->protocol != NAT_UDP && v->protocol != NAT_ICMP) ||
	    v->payload_bytes < (part ? INNER_BYTES : transport_min(v->protocol)))
		return NAT_VIEW_OTHER;
	ports(v);
	if (v->protocol == NAT_TCP && !part)
		v->tcp_flags = v->payload[13];
	return NAT_VIEW_OK;
}

enum nat_view_result nat_view(struct nat_view *v, uint8_t *packet, size_t bytes)
{
	return view(v, packet, bytes, false);
}

bool nat_is_echo_request(const struct nat_view *v)
{
	return v->protocol == NAT_ICMP && v->payload[0] == ICMP_ECHO;
}

bool nat_is_echo_reply(const struct nat_view *v)
{
	return v->protocol == NAT_ICMP && v->payload[0] == ICMP_ECHO_REPLY;
}

bool nat_is_error(const struct nat_view *v)
{
	return v->protocol == NAT_ICMP &&
	       (v->payload[0] == ICMP_UNREACHABLE || v->payload[0] == ICMP_TIME_EXCEEDED ||
		v->payload[0] == ICMP_PARAMETER);
}

/* ---- changing ---- */

static void change16(uint8_t *sum, uint8_t *at, uint16_t value)
{
	packet_put16(sum, checksum_update(packet_get16(sum), packet_get16(at), value));
	packet_put16(at, value);
}

/* The transport's sum, where there is one: NULL else. A beginning may end in front of it. */
static uint8_t *transport_sum(const struct nat_view *v)
{
	size_t at = v->protocol == NAT_TCP ? 16 : v->protocol == NAT_UDP ? 6 : 2;
	uint8_t *sum = v->payload + at;

	if (v->payload_bytes < at + 2 || (v->protocol == NAT_UDP && packet_get16(sum) == 0))
		return NULL;
	return sum;
}

/* An address at packet[at], and a port at payload[port_at]. */
static void set(struct nat_view *v, unsigned at, uint32_t ip, unsigned port_at, uint16_t port)
{
	uint8_t *sum = transport_sum(v), *field = v->packet + at, none[2] = {0};

	if (sum && v->protocol != NAT_ICMP) { /* ICMP has no pseudo-header */
		packet_put16(sum, checksum_update(packet_get16(sum), packet_get16(field),
						  (uint16_t)(ip >> 16)));
		packet_put16(sum, checksum_update(packet_get16(sum), packet_get16(field + 2),
						  (uint16_t)ip));
	}
	change16(v->packet + IP_SUM, field, (uint16_t)(ip >> 16));
	change16(v->packet + IP_SUM, field + 2, (uint16_t)ip);
	if (port_at)
		change16(sum ? sum : none, v->payload + port_at - 1, port);
	if (sum && v->protocol == NAT_UDP && packet_get16(sum) == 0)
		packet_put16(sum, 0xffff);
}

/* Where the port is, counted from 1; 0: there is none. */
static unsigned port_place(const struct nat_view *v, bool source)
{
	if (v->protocol != NAT_ICMP)
		return source ? 1 : 3;
	return v->payload[0] == (source ? ICMP_ECHO : ICMP_ECHO_REPLY) ? 5 : 0;
}

void nat_set_source(struct nat_view *v, uint32_t ip, uint16_t port)
{
	set(v, IP_SOURCE, ip, port_place(v, true), port);
	v->source = ip;
	v->source_port = port;
}

void nat_set_dest(struct nat_view *v, uint32_t ip, uint16_t port)
{
	set(v, IP_DEST, ip, port_place(v, false), port);
	v->dest = ip;
	v->dest_port = port;
}

bool nat_hop(struct nat_view *v)
{
	uint8_t *at = v->packet + IP_TTL;

	if (*at <= 1)
		return false;
	change16(v->packet + IP_SUM, at, (uint16_t)(packet_get16(at) - 0x100));
	return true;
}

static void ip_sum(uint8_t *packet, size_t header)
{
	packet_put16(packet + IP_SUM, 0);
	packet_put16(packet + IP_SUM, checksum_end(checksum_add(0, packet, header, false)));
}

bool nat_make_echo_reply(struct nat_view *v)
{
	uint32_t source = v->source;

	if (!nat_is_echo_request(v) ||
	    checksum_end(checksum_add(0, v->payload, v->payload_bytes, false)) != 0)
		return false;
	change16(v->payload + 2, v->payload, (uint16_t)(ICMP_ECHO_REPLY << 8 | v->payload[1]));
	packet_put32(v->packet + IP_SOURCE, v->dest);
	packet_put32(v->packet + IP_DEST, source);
	v->packet[IP_TTL] = TTL_NEW;
	ip_sum(v->packet, (size_t)(v->payload - v->packet));
	return true;
}

bool nat_inner(const struct nat_view *v, struct nat_view *inner)
{
	return view(inner, v->payload + 8, v->payload_bytes - 8, true) == NAT_VIEW_OK &&
	       (inner->protocol != NAT_ICMP || nat_is_echo_request(inner));
}

void nat_set_inner_source(struct nat_view *v, struct nat_view *inner, uint32_t ip, uint16_t port)
{
	nat_set_source(inner, ip, port);
	packet_put16(v->payload + 2, 0);
	packet_put16(v->payload + 2,
		     checksum_end(checksum_add(0, v->payload, v->payload_bytes, false)));
}

/* The sum counts words: a value at an odd place lies in two of them. */
void nat_set_data16(struct nat_view *v, size_t at, uint16_t value)
{
	uint8_t *field = v->payload + 8 + at, *sum = transport_sum(v), none[2] = {0};
	bool odd = at & 1;
	uint8_t *words = field - odd;

	sum = sum ? sum : none;
	if (odd) {
		change16(sum, words, (uint16_t)(words[0] << 8 | value >> 8));
		change16(sum, words + 2, (uint16_t)((value & 0xff) << 8 | words[3]));
	} else {
		change16(sum, words, value);
	}
	if (sum != none && packet_get16(sum) == 0)
		packet_put16(sum, 0xffff);
}

bool nat_make_reset(const struct nat_view *v, uint8_t out[NAT_RESET_BYTES])
{
	const uint8_t *in = v->payload;
	size_t header = (in[12] >> 4) * 4u;
	uint8_t *tcp = out + IPV4_HEADER_LEN;
	uint32_t sum = NAT_TCP + 20; /* the pseudo-header: protocol and length */

	if (v->protocol != NAT_TCP || (v->tcp_flags & TCP_RST) || header > v->payload_bytes)
		return false;
	memset(out, 0, NAT_RESET_BYTES);
	out[0] = 0x45;
	packet_put16(out + IP_LENGTH, NAT_RESET_BYTES);
	out[IP_TTL] = TTL_NEW;
	out[IP_PROTOCOL] = NAT_TCP;
	packet_put32(out + IP_SOURCE, v->dest);
	packet_put32(out + IP_DEST, v->source);
	ip_sum(out, IPV4_HEADER_LEN);
	packet_put16(tcp, v->dest_port);
	packet_put16(tcp + 2, v->source_port);
	tcp[12] = 0x50;
	tcp[13] = TCP_RST;
	if (v->tcp_flags & TCP_ACK) {
		memcpy(tcp + 4, in + 8, 4);
	} else {
		tcp[13] |= TCP_ACK;
		packet_put32(tcp + 8, packet_get32(in + 4) + (uint32_t)(v->payload_bytes - header) +
					      !!(v->tcp_flags & TCP_SYN) +
					      !!(v->tcp_flags & TCP_FIN));
	}
	sum = checksum_add(sum, out + IP_SOURCE, 8, false);
	packet_put16(tcp + 16, checksum_end(checksum_add(sum, tcp, 20, false)));
	return true;
}

void nat_make_udp(uint8_t *packet, size_t bytes, uint32_t from, uint16_t from_port, uint32_t to,
		  uint16_t to_port)
{
	memset(packet, 0, NAT_UDP_HEADERS);
	packet[0] = 0x45;
	packet_put16(packet + IP_LENGTH, (uint16_t)(NAT_UDP_HEADERS + bytes));
	packet[IP_TTL] = TTL_NEW;
	packet[IP_PROTOCOL] = NAT_UDP;
	packet_put32(packet + IP_SOURCE, from);
	packet_put32(packet + IP_DEST, to);
	ip_sum(packet, IPV4_HEADER_LEN);
	packet_put16(packet + IPV4_HEADER_LEN, from_port);
	packet_put16(packet + IPV4_HEADER_LEN + 2, to_port);
	packet_put16(packet + IPV4_HEADER_LEN + 4, (uint16_t)(8 + bytes)); /* no sum: RFC 768 */
}
