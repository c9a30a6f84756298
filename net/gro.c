/* SPDX-License-Identifier: BSD-2-Clause */
/* See gro.h. A flow's frames are joined in its slot: the head of the first one, and pieces of all. */
#include "net/gro.h"

#include <string.h>

#define IP_PROTOCOL_TCP 6u
#define IP_PROTOCOL_UDP 17u
#define IP_PROTOCOL_ICMPV6 58u
#define IPV4_PLAIN 0x45u           /* version 4, no options */
#define IPV4_FRAGMENT_BITS 0xbfffu /* all but DF */
#define TCP_HEADER_LEN 20u
#define TCP_PSH 0x08u
#define TCP_ACK 0x10u
/* There are two zeros: a sum that stands as ffff is right, and comes back as 0. */
#define SUM_OTHER_ZERO 0xffffu

_Static_assert((PACKET_SEGS_MAX + 1) * ETH_PAYLOAD_MAX <= UINT16_MAX, "the largest IP packet");
_Static_assert(PACKET_SEGS_MAX + 1 <= PACKET_SPLIT_MAX, "each frame but the first is a piece");

struct segment {
	const struct nic_rx *rx;       /* [borrows] */
	const uint8_t *eth, *ip, *tcp; /* [borrows] of its first piece */
	uint32_t headers;              /* bytes in front of the payload */
	uint32_t payload;              /* 0 also where there is more than IP's length says */
	uint32_t flow;                 /* other flows may have the same number */
	uint16_t tci, tcp_bytes;       /* tcp_bytes: with the payload */
	bool v6, joins;
};

struct flow {
	struct packet p;
	struct segment first;
	uint32_t seq; /* of the next frame */
	unsigned n;   /* frames */
	bool pushed, ended;
};

#define SLOTS (GRO_FLOWS_MAX + 1) /* one for the frame that is being looked at */
static struct flow slot[SLOTS];

struct gro {
	const struct gro_ops *ops;
	void *ctx;
	const uint8_t *refused; /* [borrows] a frame to who takes nothing joined; NULL: none yet */
	unsigned n_open;
	uint8_t order[SLOTS]; /* of slots: those that are open, the oldest first; then free ones */
};

_Static_assert(SLOTS == 9, "gro_batch() counts them");

/* ---- looking ---- */

enum kind {
	KIND_TCP,
	KIND_OTHER,
	KIND_HIDDEN /* might be of any flow: a fragment, headers that are not looked through */
};

static uint32_t flow_number(const uint8_t *at, const uint8_t *end)
{
	uint32_t number = 0, word;

	for (; at < end; at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		number = (number ^ word) * 0x9e3779b1;
		number ^= number >> 15;
	}
	return number;
}

static size_t rx_bytes(const struct nic_rx *rx)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < rx->n_segs; i++)
		bytes += rx->seg[i].len;
	return bytes;
}

/* Data, and nothing that is more than a place in the stream; nothing left to do, or done by the card. */
static bool is_plain(const struct segment *s)
{
	const struct packet_offload *o = &s->rx->offload;
	const uint8_t *tcp = s->tcp;

	return s->payload && !o->csum_wanted && o->gso == PACKET_WHOLE &&
	       (tcp[13] & ~TCP_PSH) == TCP_ACK && (tcp[12] & 15) == 0 &&
	       packet_get16(tcp + 18) == 0 && packet_get16(tcp + 16) != SUM_OTHER_ZERO &&
	       (s->v6 || packet_get16(s->ip + 10) != SUM_OTHER_ZERO);
}

/* room: of the first piece, from the IP header on; ip_bytes: what the IP header says of the whole. */
static enum kind look_tcp(struct segment *s, size_t room, uint32_t header, uint32_t ip_bytes)
{
	uint32_t ip_at = (uint32_t)(s->ip - s->eth), headers;

	if (room < header + TCP_HEADER_LEN)
		return KIND_HIDDEN;
	s->tcp = s->ip + header;
	headers = header + (s->tcp[12] >> 4) * 4u;
	if (headers < header + TCP_HEADER_LEN || room < headers)
		return KIND_HIDDEN;
	s->headers = ip_at + headers;
	s->tcp_bytes = (uint16_t)(ip_bytes - header);
	s->payload = ip_bytes > headers && rx_bytes(s->rx) == ip_at + ip_bytes ? ip_bytes - headers
									       : 0;
	s->flow = flow_number(s->ip + (s->v6 ? 8 : 12), s->tcp + 4);
	s->joins = is_plain(s);
	return KIND_TCP;
}

static enum kind look_ipv4(struct segment *s, size_t room)
{
	if (room < IPV4_HEADER_LEN)
		return KIND_HIDDEN;
	if (s->ip[9] != IP_PROTOCOL_TCP)
		return KIND_OTHER;
	if (s->ip[0] != IPV4_PLAIN || packet_get16(s->ip + 6) & IPV4_FRAGMENT_BITS)
		return KIND_HIDDEN;
	s->v6 = false;
	return look_tcp(s, room, IPV4_HEADER_LEN, packet_get16(s->ip + 2));
}

static enum kind look_ipv6(struct segment *s, size_t room)
{
	if (room < IPV6_HEADER_LEN || s->ip[0] >> 4 != 6)
		return KIND_HIDDEN;
	if (s->ip[6] == IP_PROTOCOL_UDP || s->ip[6] == IP_PROTOCOL_ICMPV6)
		return KIND_OTHER;
	if (s->ip[6] != IP_PROTOCOL_TCP)
		return KIND_HIDDEN;
	s->v6 = true;
	return look_tcp(s, room, IPV6_HEADER_LEN, IPV6_HEADER_LEN + packet_get16(s->ip + 4));
}

static enum kind look(const struct nic_rx *rx, struct segment *s)
{
	size_t at = ETH_HEADER_LEN;
	unsigned type;

	if (rx->n_segs == 0 || rx->seg[0].len < ETH_HEADER_LEN + ETH_TAG_LEN)
		return KIND_HIDDEN;
	s->rx = rx;
	s->eth = rx->seg[0].data;
	s->tci = 0;
	type = packet_get16(s->eth + ETH_ADDRS_LEN);
	if (type == ETH_TYPE_VLAN) {
		s->tci = packet_get16(s->eth + at);
		at += ETH_TAG_LEN;
		type = packet_get16(s->eth + at - 2);
	}
	s->ip = s->eth + at;
	if (type == ETH_TYPE_IPV4)
		return look_ipv4(s, rx->seg[0].len - at);
	if (type == ETH_TYPE_IPV6)
		return look_ipv6(s, rx->seg[0].len - at);
	return KIND_OTHER;
}

/* The card's word, or ours. */
static bool sums_ok(const struct segment *s)
{
	size_t skip = (size_t)(s->tcp - s->eth), at = 0;
	uint32_t sum;

	if (!s->v6 && checksum_end(checksum_add(0, s->ip, IPV4_HEADER_LEN, false)) != 0)
		return false;
	if (s->rx->offload.csum_good)
		return true;
	sum = checksum_pseudo(s->ip, s->tcp_bytes);
	for (unsigned i = 0; i < s->rx->n_segs; i++, skip = 0) {
		const struct nic_seg *piece = &s->rx->seg[i];

		sum = checksum_add(sum, (const char *)piece->data + skip, piece->len - skip,
				   at & 1);
		at += piece->len - skip;
	}
	return checksum_end(sum) == 0;
}

/* ---- joining ---- */

static bool same(const uint8_t *a, const uint8_t *b, unsigned from, unsigned to)
{
	return memcmp(a + from, b + from, to - from) == 0;
}

/* All but lengths, numbers, PSH and sums is the same; the identification is what packet_cut() gives to the nth frame. */
static bool same_headers(const struct flow *f, const struct segment *s)
{
	const uint8_t *ip = f->p.head + ETH_HEADER_LEN;
	const uint8_t *tcp = ip + (s->tcp - s->ip);

	if (s->tci != f->first.tci || s->headers != f->first.headers ||
	    !same(f->p.head, s->eth, 0, ETH_ADDRS_LEN))
		return false;
	if (s->v6 ? !same(ip, s->ip, 0, 4) || !same(ip, s->ip, 6, IPV6_HEADER_LEN)
		  : !same(ip, s->ip, 0, 2) || !same(ip, s->ip, 6, 10) ||
			    !same(ip, s->ip, 12, IPV4_HEADER_LEN) ||
			    packet_get16(s->ip + 4) != (uint16_t)(packet_get16(ip + 4) + f->n))
		return false;
	return same(tcp, s->tcp, 0, 4) && same(tcp, s->tcp, 8, 13) && same(tcp, s->tcp, 14, 16) &&
	       same(tcp, s->tcp, TCP_HEADER_LEN, s->headers - (uint32_t)(s->tcp - s->eth));
}

static bool goes_on(const struct flow *f, const struct segment *s)
{
	unsigned pieces = s->rx->n_segs - (s->rx->seg[0].len == s->headers);

	return s->joins && s->payload <= f->first.payload && packet_get32(s->tcp + 4) == f->seq &&
	       f->p.n_rest + pieces <= PACKET_SEGS_MAX && same_headers(f, s);
}

static void append(struct packet *p, const struct segment *s)
{
	size_t skip = s->headers;

	for (unsigned i = 0; i < s->rx->n_segs; i++, skip = 0) {
		const struct nic_seg *piece = &s->rx->seg[i];

		if (piece->len > skip)
			p->rest[p->n_rest++] = (struct nic_seg){(const char *)piece->data + skip,
								piece->len - skip};
	}
	p->bytes += s->payload;
}

/* False: it cannot. The sum of the first one is looked at when there is a second. */
static bool join(struct flow *f, const struct segment *s)
{
	if (!goes_on(f, s))
		return false;
	if (f->n == 1) {
		if (!sums_ok(&f->first))
			return false;
		f->p.offload.csum_good = true;
	}
	if (!sums_ok(s))
		return false;
	append(&f->p, s);
	f->n++;
	f->seq += s->payload;
	f->pushed = s->tcp[13] & TCP_PSH;
	f->ended = f->pushed || s->payload < f->first.payload;
	return true;
}

/* As a sender has it that leaves splitting to its card (virtio 1.2, 5.1.6.2). */
static void put_right(struct flow *f)
{
	struct packet *p = &f->p;
	uint8_t *ip = p->head + ETH_HEADER_LEN, *tcp = ip + (f->first.tcp - f->first.ip);
	uint32_t tcp_at = (uint32_t)(tcp - p->head), ip_bytes = p->bytes - ETH_HEADER_LEN;
	uint32_t tag = (uint32_t)(f->first.ip - f->first.eth) - ETH_HEADER_LEN;

	if (f->first.v6) {
		packet_put16(ip + 4, (uint16_t)(ip_bytes - IPV6_HEADER_LEN));
	} else {
		packet_put16(ip + 2, (uint16_t)ip_bytes);
		packet_put16(ip + 10, 0);
		packet_put16(ip + 10, checksum_end(checksum_add(0, ip, IPV4_HEADER_LEN, false)));
	}
	if (f->pushed)
		tcp[13] |= TCP_PSH;
	packet_put16(tcp + 16, (uint16_t)~checksum_end(checksum_pseudo(ip, p->bytes - tcp_at)));
	p->offload = (struct packet_offload){
		.gso = f->first.v6 ? PACKET_TCP6 : PACKET_TCP4,
		.csum_wanted = true,
		.header_bytes = (uint16_t)(f->first.headers - tag),
		.gso_bytes = (uint16_t)f->first.payload,
		.csum_start = (uint16_t)tcp_at,
		.csum_offset = 16,
	};
}

/* ---- flows ---- */

/* -> its place in order[], n_open: it has none */
static unsigned find(const struct gro *g, uint32_t flow)
{
	unsigned k = 0;

	while (k < g->n_open && slot[g->order[k]].first.flow != flow)
		k++;
	return k;
}

static void flush(struct gro *g, unsigned k)
{
	uint8_t i = g->order[k];

	g->n_open--;
	memmove(g->order + k, g->order + k + 1, g->n_open - k);
	g->order[g->n_open] = i;
	if (slot[i].n > 1)
		put_right(&slot[i]);
	g->ops->input(g->ctx, &slot[i].p);
}

static void flush_all(struct gro *g)
{
	while (g->n_open)
		flush(g, 0);
}

/* To the same station with the same tag: there is no flow open that it could be of. */
static bool is_refused(const struct gro *g, const struct nic_rx *rx)
{
	const uint8_t *eth;

	if (!g->refused || rx->n_segs == 0 || rx->seg[0].len < ETH_HEADER_LEN + ETH_TAG_LEN)
		return false;
	eth = rx->seg[0].data;
	return same(g->refused, eth, 0, 6) &&
	       same(g->refused, eth, ETH_ADDRS_LEN, ETH_ADDRS_LEN + ETH_TAG_LEN);
}

static bool takes(struct gro *g, const struct segment *s, const struct packet *p)
{
	unsigned caps = g->ops->caps(g->ctx, p);

	if (!(caps & (PACKET_CAP_TCP4 | PACKET_CAP_TCP6)))
		g->refused = s->eth;
	return caps & (s->v6 ? PACKET_CAP_TCP6 : PACKET_CAP_TCP4);
}

/* s NULL: it goes on its way at once. */
static void begin(struct gro *g, const struct nic_rx *rx, const struct segment *s)
{
	struct flow *f = &slot[g->order[g->n_open]];

	if (!packet_make(&f->p, rx->seg, rx->n_segs, &rx->offload)) {
		g->ops->malformed(g->ctx);
		return;
	}
	if (!s || !takes(g, s, &f->p)) {
		g->ops->input(g->ctx, &f->p);
		return;
	}
	f->first = *s;
	f->seq = packet_get32(s->tcp + 4) + s->payload;
	f->n = 1;
	f->pushed = f->ended = false;
	if (++g->n_open > GRO_FLOWS_MAX)
		flush(g, 0);
}

static enum kind kind_of(const struct gro *g, const struct nic_rx *rx, bool last, struct segment *s)
{
	if ((last && g->n_open == 0) || is_refused(g, rx))
		return KIND_OTHER;
	return look(rx, s);
}

static void take(struct gro *g, const struct nic_rx *rx, bool last)
{
	struct segment s;
	enum kind kind = kind_of(g, rx, last, &s);
	unsigned k;

	if (kind != KIND_TCP) {
		if (kind == KIND_HIDDEN)
			flush_all(g);
		begin(g, rx, NULL);
		return;
	}
	k = find(g, s.flow);
	if (k < g->n_open) {
		if (join(&slot[g->order[k]], &s)) {
			if (slot[g->order[k]].ended)
				flush(g, k);
			return;
		}
		flush(g, k);
	}
	begin(g, rx, s.joins && !last && !(s.tcp[13] & TCP_PSH) ? &s : NULL);
}

void gro_batch(const struct nic_rx *frame, unsigned n, const struct gro_ops *ops, void *ctx)
{
	struct gro g = {.ops = ops, .ctx = ctx, .order = {0, 1, 2, 3, 4, 5, 6, 7, 8}};

	for (unsigned i = 0; i < n; i++)
		take(&g, &frame[i], i + 1 == n);
	flush_all(&g);
}
