/* SPDX-License-Identifier: BSD-2-Clause */
/* See dhcpd.h. Options that are not looked for are stepped over; an option that leaves the packet ends it. */
#include "net/dhcpd.h"

#include <string.h>
#include "net/packet.h"

/* RFC 2131, 2 */
enum field {
	OP = 0,
	HTYPE = 1,
	HLEN = 2,
	XID = 4,
	FLAGS = 10,
	CIADDR = 12,
	YIADDR = 16,
	GIADDR = 24,
	CHADDR = 28,
	COOKIE = 236,
	OPTIONS = 240
};
#define BOOTREQUEST 1u
#define BOOTREPLY 2u
#define ETHERNET 1u
#define FLAG_BROADCAST 0x8000u
#define MAGIC_COOKIE 0x63825363u
#define ANSWER_MIN 300u /* RFC 951: old clients drop what is shorter */

/* RFC 2132 */
enum option {
	OPT_PAD = 0,
	OPT_MASK = 1,
	OPT_ROUTER = 3,
	OPT_DNS = 6,
	OPT_REQUESTED = 50,
	OPT_LEASE = 51,
	OPT_TYPE = 53,
	OPT_SERVER = 54,
	OPT_END = 255
};
enum type {
	DISCOVER = 1,
	OFFER = 2,
	REQUEST = 3,
	DECLINE = 4,
	ACK = 5,
	NAK = 6,
	RELEASE = 7,
	INFORM = 8
};

struct request {
	uint8_t type;
	uint32_t client, wanted, server; /* ciaddr; options 50 and 54; 0: not there */
	const uint8_t *mac;
	const uint8_t *packet;
};

/* ---- reading ---- */

static bool option(struct request *r, uint8_t code, const uint8_t *value, size_t bytes)
{
	switch (code) {
	case OPT_TYPE:
		if (bytes != 1)
			return false;
		r->type = value[0];
		return true;
	case OPT_REQUESTED:
	case OPT_SERVER:
		if (bytes != 4)
			return false;
		*(code == OPT_SERVER ? &r->server : &r->wanted) = packet_get32(value);
		return true;
	default:
		return true;
	}
}

static bool options(struct request *r, const uint8_t *at, size_t bytes)
{
	while (bytes && *at != OPT_END) {
		size_t len;

		if (*at == OPT_PAD) {
			at++;
			bytes--;
			continue;
		}
		if (bytes < 2 || (len = at[1]) > bytes - 2 || !option(r, at[0], at + 2, len))
			return false;
		at += len + 2;
		bytes -= len + 2;
	}
	return r->type != 0;
}

static bool parse(struct request *r, const uint8_t mac[6], const uint8_t *in, size_t bytes)
{
	*r = (struct request){.mac = mac, .packet = in};
	if (bytes < OPTIONS || in[OP] != BOOTREQUEST || in[HTYPE] != ETHERNET || in[HLEN] != 6 ||
	    packet_get32(in + COOKIE) != MAGIC_COOKIE)
		return false;
	/* Neither by a relay nor for another: nobody takes addresses in others' names. */
	if (packet_get32(in + GIADDR) != 0 || memcmp(in + CHADDR, mac, 6) != 0)
		return false;
	r->client = packet_get32(in + CIADDR);
	return options(r, in + OPTIONS, bytes - OPTIONS);
}

/* ---- leases ---- */

void dhcpd_check(struct dhcpd *d)
{
	for (unsigned i = 0; i < d->n; i++)
		if (d->lease[i].state > DHCP_REFUSED)
			d->lease[i] = (struct dhcp_lease){.state = DHCP_FREE};
}

static bool in_force(const struct dhcp_lease *l, uint64_t now_s)
{
	return l->state != DHCP_FREE && l->until_s > now_s;
}

const struct dhcp_lease *dhcpd_holder(const struct dhcpd *d, uint32_t ip, uint64_t now_s)
{
	uint32_t i = ip - d->first;

	return i < d->n && d->lease[i].state == DHCP_LEASED && in_force(&d->lease[i], now_s)
		       ? &d->lease[i]
		       : NULL;
}

static bool may_have(const struct dhcpd *d, unsigned i, const uint8_t mac[6], uint64_t now_s)
{
	const struct dhcp_lease *l = &d->lease[i];

	if (!in_force(l, now_s))
		return true;
	return l->state != DHCP_REFUSED && memcmp(l->mac, mac, 6) == 0;
}

static unsigned hash(const uint8_t mac[6])
{
	uint32_t x = 2166136261u;

	for (unsigned i = 0; i < 6; i++)
		x = (x ^ mac[i]) * 16777619u;
	return x;
}

/* The index of an address for that client; d->n: there is none left. */
static unsigned choose(const struct dhcpd *d, const struct request *r, uint64_t now_s)
{
	uint32_t wanted = r->wanted - d->first;
	unsigned start = d->n ? hash(r->mac) % d->n : 0;

	for (unsigned i = 0; i < d->n; i++)
		if (d->lease[i].state != DHCP_FREE && d->lease[i].state != DHCP_REFUSED &&
		    memcmp(d->lease[i].mac, r->mac, 6) == 0)
			return i;
	if (wanted < d->n && may_have(d, wanted, r->mac, now_s))
		return wanted;
	for (unsigned i = 0; i < d->n; i++)
		if (may_have(d, (start + i) % d->n, r->mac, now_s))
			return (start + i) % d->n;
	return d->n;
}

static void note(struct dhcpd *d, unsigned i, const uint8_t mac[6], enum dhcp_lease_state state,
		 uint64_t until_s)
{
	struct dhcp_lease *l = &d->lease[i];

	memcpy(l->mac, mac, 6);
	l->until_s = until_s;
	l->state = (uint8_t)state;
}

/* ---- answering ---- */

static uint8_t *put(uint8_t *at, enum option code, uint32_t value)
{
	at[0] = (uint8_t)code;
	at[1] = 4;
	packet_put32(at + 2, value);
	return at + 6;
}

static size_t answer(const struct dhcpd *d, const struct request *r, enum type type, uint32_t ip,
		     uint8_t *out, uint32_t *to)
{
	uint8_t *at = out + OPTIONS;

	memset(out, 0, DHCPD_ANSWER_MAX);
	out[OP] = BOOTREPLY;
	out[HTYPE] = ETHERNET;
	out[HLEN] = 6;
	memcpy(out + XID, r->packet + XID, 4);
	memcpy(out + FLAGS, r->packet + FLAGS, 2);
	memcpy(out + CHADDR, r->mac, 6);
	packet_put32(out + COOKIE, MAGIC_COOKIE);
	*at++ = OPT_TYPE;
	*at++ = 1;
	*at++ = (uint8_t)type;
	at = put(at, OPT_SERVER, d->server);
	if (type != NAK) {
		packet_put32(out + CIADDR, type == ACK ? r->client : 0);
		packet_put32(out + YIADDR, ip);
		at = put(at, OPT_MASK, d->mask);
		at = put(at, OPT_ROUTER, d->server);
		at = put(at, OPT_DNS, d->server);
		if (ip)
			at = put(at, OPT_LEASE, DHCPD_LEASE_S);
	}
	*at++ = OPT_END;
	/* RFC 2131, 4.1 */
	if (type == NAK || (!r->client && (packet_get16(r->packet + FLAGS) & FLAG_BROADCAST)))
		*to = UINT32_MAX;
	else
		*to = r->client ? r->client : ip;
	return (size_t)(at - out) < ANSWER_MIN ? ANSWER_MIN : (size_t)(at - out);
}

static size_t discover(struct dhcpd *d, const struct request *r, uint64_t now_s, uint8_t *out,
		       uint32_t *to)
{
	unsigned i = choose(d, r, now_s);

	if (i == d->n)
		return 0;
	if (d->lease[i].state != DHCP_LEASED || !in_force(&d->lease[i], now_s))
		note(d, i, r->mac, DHCP_OFFERED, now_s + DHCPD_OFFER_S);
	return answer(d, r, OFFER, d->first + i, out, to);
}

/* Selecting (with our name), after a reboot (an address without one), renewing (ciaddr): RFC 2131, 4.3.2. */
static size_t request(struct dhcpd *d, const struct request *r, uint64_t now_s, uint8_t *out,
		      uint32_t *to)
{
	uint32_t ip = r->wanted ? r->wanted : r->client, i = ip - d->first;

	if (r->server && r->server != d->server)
		return 0; /* it takes another's offer */
	if (i >= d->n || !may_have(d, i, r->mac, now_s))
		return answer(d, r, NAK, 0, out, to);
	note(d, i, r->mac, DHCP_LEASED, now_s + DHCPD_LEASE_S);
	return answer(d, r, ACK, ip, out, to);
}

static void give_up(struct dhcpd *d, const struct request *r, uint64_t now_s)
{
	uint32_t ip = r->type == DECLINE ? r->wanted : r->client, i = ip - d->first;

	if (i >= d->n || !in_force(&d->lease[i], now_s) || memcmp(d->lease[i].mac, r->mac, 6) != 0)
		return;
	if (r->type == DECLINE) /* somebody has it without having asked */
		note(d, i, r->mac, DHCP_REFUSED, now_s + DHCPD_OFFER_S * 10);
	else
		d->lease[i].state = DHCP_FREE;
}

static size_t dispatch(struct dhcpd *d, const struct request *r, uint64_t now_s, uint8_t *out,
		       uint32_t *to)
{
	switch (r->type) {
	case DISCOVER:
		return discover(d, r, now_s, out, to);
	case REQUEST:
		return request(d, r, now_s, out, to);
	case INFORM:
		return r->client ? answer(d, r, ACK, 0, out, to) : 0;
	case DECLINE:
	case RELEASE:
		give_up(d, r, now_s);
		return 0;
	default:
		return 0;
	}
}

size_t dhcpd_answer(struct dhcpd *d, const uint8_t mac[6], const uint8_t *in, size_t bytes,
		    uint64_t now_s, uint8_t out[DHCPD_ANSWER_MAX], uint32_t *to)
{
	struct request r;
	size_t n = parse(&r, mac, in, bytes) ? dispatch(d, &r, now_s, out, to) : 0;

	if (n)
		d->answered++;
	else
		d->ignored++;
	return n;
}
