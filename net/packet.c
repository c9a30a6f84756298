/* SPDX-License-Identifier: BSD-2-Clause */
/* See packet.h. Segmentation as a card does it: headers once for each frame, lengths, numbers, flags and sums put right. */
#include "net/packet.h"

#include <string.h>

#define TCP_HEADER_LEN 20u
#define IP_PROTOCOL_TCP 6u
#define IP_PROTOCOL_UDP 17u
#define TCP_FIN 0x01u
#define TCP_PSH 0x08u
#define TCP_CWR 0x80u

unsigned packet_type(const struct packet *p)
{
	return packet_get16(p->head + ETH_ADDRS_LEN);
}

static uint32_t mix(uint32_t sum, const uint8_t *at, unsigned words)
{
	for (unsigned i = 0; i < words; i++, at += 4)
		sum = (sum ^ packet_get32(at)) * 0x9e3779b1;
	return sum;
}

uint32_t packet_flow(const struct packet *p)
{
	const uint8_t *ip = p->head + ETH_HEADER_LEN;
	uint32_t bytes = p->head_bytes - ETH_HEADER_LEN, at = 0, sum = mix(0, p->head, 3);
	uint8_t protocol = 0;

	if (packet_type(p) == ETH_TYPE_IPV4 && bytes >= IPV4_HEADER_LEN) {
		sum = mix(sum, ip + 12, 2);
		protocol = packet_get16(ip + 6) & 0x3fff ? 0 : ip[9]; /* no part of a packet */
		at = (ip[0] & 15u) * 4;
	} else if (packet_type(p) == ETH_TYPE_IPV6 && bytes >= IPV6_HEADER_LEN) {
		sum = mix(sum, ip + 8, 8);
		protocol = ip[6];
		at = IPV6_HEADER_LEN;
	}
	if ((protocol == IP_PROTOCOL_TCP || protocol == IP_PROTOCOL_UDP) && at + 4 <= bytes)
		sum = mix(sum, ip + at, 1);
	sum = (sum ^ sum >> 16) * 0x85ebca6b; /* each bit of a port reaches the lowest ones */
	return sum ^ sum >> 13;
}

/* ---- making ---- */

/* Takes at most `bytes` from the front of what *i, *at stand at. */
static uint32_t gather(const struct nic_seg *segs, unsigned n, unsigned *i, size_t *at, uint8_t *to,
		       uint32_t bytes)
{
	uint32_t done = 0;

	while (done < bytes && *i < n) {
		size_t part = segs[*i].len - *at;

		if (part > bytes - done)
			part = bytes - done;
		memcpy(to + done, (const char *)segs[*i].data + *at, part);
		done += (uint32_t)part;
		*at += part;
		if (*at == segs[*i].len) {
			++*i;
			*at = 0;
		}
	}
	return done;
}

static bool add_rest(struct packet *p, const struct nic_seg *segs, unsigned n, unsigned i,
		     size_t at)
{
	p->n_rest = 0;
	for (; i < n; i++, at = 0) {
		if (segs[i].len == at)
			continue;
		if (p->n_rest == PACKET_SEGS_MAX)
			return false;
		p->rest[p->n_rest++] = (struct nic_seg){(const char *)segs[i].data + at,
							segs[i].len - at};
	}
	return true;
}

static void take_tag(struct packet *p)
{
	const uint8_t *tag = p->head + ETH_ADDRS_LEN;
	uint16_t tci;

	p->vid = 0;
	p->pcp = 0;
	if (p->head_bytes < ETH_HEADER_LEN + ETH_TAG_LEN || packet_get16(tag) != ETH_TYPE_VLAN)
		return;
	tci = packet_get16(tag + 2);
	p->vid = tci & ETH_VID_MASK;
	p->pcp = (uint8_t)(tci >> 12);
	memmove(p->head + ETH_ADDRS_LEN, tag + ETH_TAG_LEN,
		p->head_bytes - ETH_ADDRS_LEN - ETH_TAG_LEN);
	p->head_bytes -= ETH_TAG_LEN;
	p->bytes -= ETH_TAG_LEN;
}

/* What follows the Ethernet header of a frame to be split: 0 when it is not TCP of that kind, all in the head. */
static uint16_t tcp_headers(const struct packet *p)
{
	const uint8_t *ip = p->head + ETH_HEADER_LEN;
	unsigned at = ETH_HEADER_LEN, len;

	if (p->offload.gso == PACKET_TCP4) {
		if (packet_type(p) != ETH_TYPE_IPV4 || p->head_bytes < at + IPV4_HEADER_LEN ||
		    ip[0] >> 4 != 4 || ip[9] != IP_PROTOCOL_TCP ||
		    (packet_get16(ip + 6) & 0x3fff) != 0)
			return 0;
		len = (ip[0] & 15u) * 4;
		if (len < IPV4_HEADER_LEN)
			return 0;
	} else {
		if (packet_type(p) != ETH_TYPE_IPV6 || p->head_bytes < at + IPV6_HEADER_LEN ||
		    ip[0] >> 4 != 6 || ip[6] != IP_PROTOCOL_TCP)
			return 0;
		len = IPV6_HEADER_LEN;
	}
	at += len;
	if (p->head_bytes < at + TCP_HEADER_LEN)
		return 0;
	len = (p->head[at + 12] >> 4) * 4u;
	if (len < TCP_HEADER_LEN || p->head_bytes < at + len)
		return 0;
	return (uint16_t)(at + len);
}

static bool gso_ok(struct packet *p, unsigned tcp_at)
{
	struct packet_offload *o = &p->offload;
	uint32_t payload;

	if (o->gso != PACKET_TCP4 && o->gso != PACKET_TCP6)
		return false;
	o->header_bytes = tcp_headers(p);
	if (o->header_bytes == 0 || o->gso_bytes == 0 || !o->csum_wanted)
		return false;
	/* The sum is TCP's: so that its place is where it must be. */
	if (o->csum_start != tcp_at || o->csum_offset != 16)
		return false;
	payload = p->bytes - o->header_bytes;
	return payload <= (uint32_t)o->gso_bytes * PACKET_SPLIT_MAX &&
	       o->header_bytes - ETH_HEADER_LEN + o->gso_bytes <= ETH_PAYLOAD_MAX;
}

static unsigned tcp_at(const struct packet *p)
{
	return ETH_HEADER_LEN + (p->offload.gso == PACKET_TCP4 ? (p->head[ETH_HEADER_LEN] & 15u) * 4
							       : IPV6_HEADER_LEN);
}

/* Offsets count from the frame as it was given: a tag that was taken out shifts them. */
static bool offload_ok(struct packet *p, uint32_t tag)
{
	struct packet_offload *o = &p->offload;

	if (o->csum_wanted) {
		if (o->csum_start < ETH_HEADER_LEN + tag)
			return false;
		o->csum_start = (uint16_t)(o->csum_start - tag);
		if ((uint32_t)o->csum_start + o->csum_offset + 2 > p->head_bytes)
			return false;
	}
	if (o->gso != PACKET_WHOLE)
		return gso_ok(p, tcp_at(p));
	return true;
}

bool packet_make(struct packet *p, const struct nic_seg *segs, unsigned n,
		 const struct packet_offload *offload)
{
	size_t bytes = 0, at = 0, tag;
	uint32_t was;
	unsigned i = 0;

	for (unsigned s = 0; s < n; s++) {
		if (segs[s].len > PACKET_BYTES_MAX + ETH_TAG_LEN - bytes)
			return false;
		bytes += segs[s].len;
	}
	p->bytes = was = (uint32_t)bytes;
	p->head_bytes = gather(segs, n, &i, &at, p->head, PACKET_HEAD_MAX);
	if (p->head_bytes < ETH_HEADER_LEN || !add_rest(p, segs, n, i, at))
		return false;
	take_tag(p);
	p->source = NULL;
	p->offload = offload ? *offload : (struct packet_offload){0};
	if (!offload_ok(p, was - p->bytes))
		return false;
	if (p->offload.gso != PACKET_WHOLE)
		return true;
	return frame_check(p->head, p->bytes, 0, &tag) == FRAME_OK && tag == 0;
}

/* ---- sums ---- */

/* Of the frame from byte `from` on. */
static uint32_t sum_from(const struct packet *p, uint32_t from)
{
	uint32_t sum = checksum_add(0, p->head + from, p->head_bytes - from, false);
	uint32_t at = p->head_bytes - from;

	for (unsigned i = 0; i < p->n_rest; i++) {
		sum = checksum_add(sum, p->rest[i].data, p->rest[i].len, at & 1);
		at += (uint32_t)p->rest[i].len;
	}
	return sum;
}

/* The field holds the sum of the pseudo-header: it is counted with the rest. */
static void fill_checksum(struct packet *p)
{
	const struct packet_offload *o = &p->offload;
	uint16_t sum = checksum_end(sum_from(p, o->csum_start));

	if (sum == 0 && o->csum_offset == 6)
		sum = 0xffff; /* UDP: 0 would say that there is none (RFC 768) */
	packet_put16(p->head + o->csum_start + o->csum_offset, sum);
	p->offload.csum_wanted = false;
}

/* ---- splitting ---- */

static void ip_lengths(struct packet *p, unsigned nth)
{
	uint8_t *ip = p->head + ETH_HEADER_LEN;
	unsigned header = p->offload.csum_start - ETH_HEADER_LEN;

	if (p->offload.gso == PACKET_TCP6) {
		packet_put16(ip + 4, (uint16_t)(p->bytes - ETH_HEADER_LEN - IPV6_HEADER_LEN));
		return;
	}
	packet_put16(ip + 2, (uint16_t)(p->bytes - ETH_HEADER_LEN));
	packet_put16(ip + 4, (uint16_t)(packet_get16(ip + 4) + nth));
	packet_put16(ip + 10, 0);
	packet_put16(ip + 10, checksum_end(checksum_add(0, ip, header, false)));
}

static void tcp_fields(struct packet *p, uint32_t offset, bool first, bool last)
{
	uint8_t *tcp = p->head + p->offload.csum_start;

	packet_put32(tcp + 4, packet_get32(tcp + 4) + offset);
	if (!last)
		tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (!first)
		tcp[13] &= (uint8_t)~TCP_CWR;
	packet_put16(tcp + 16,
		     (uint16_t)~checksum_end(checksum_pseudo(p->head + ETH_HEADER_LEN,
							     p->bytes - p->offload.csum_start)));
}

/* `bytes` of the payload of p from `offset` on, behind the headers of out: what is in the head of one in that of the other. */
static bool slice(const struct packet *p, uint32_t offset, uint32_t bytes, struct packet *out)
{
	uint32_t headers = p->offload.header_bytes, len = p->head_bytes - headers;

	if (offset < len) {
		len -= offset;
		if (len > bytes)
			len = bytes;
		memcpy(out->head + headers, p->head + headers + offset, len);
		out->head_bytes += len;
		bytes -= len;
		offset = 0;
	} else {
		offset -= len;
	}
	out->n_rest = 0;
	for (unsigned i = 0; i < p->n_rest && bytes; i++) {
		len = (uint32_t)p->rest[i].len;
		if (offset >= len) {
			offset -= len;
			continue;
		}
		len -= offset;
		if (len > bytes)
			len = bytes;
		out->rest[out->n_rest++] = (struct nic_seg){
			(const uint8_t *)p->rest[i].data + offset, len};
		bytes -= len;
		offset = 0;
	}
	return bytes == 0;
}

static bool needs_split(const struct packet *p, unsigned caps)
{
	unsigned cap = p->offload.gso == PACKET_TCP4 ? PACKET_CAP_TCP4 : PACKET_CAP_TCP6;

	return p->offload.gso != PACKET_WHOLE && !(caps & cap);
}

static const struct packet *split(struct packet_cut *cut, struct packet *out)
{
	const struct packet *p = cut->p;
	uint32_t payload = p->bytes - p->offload.header_bytes;
	uint32_t part = payload - cut->at;

	if (part > p->offload.gso_bytes)
		part = p->offload.gso_bytes;
	memcpy(out->head, p->head, p->offload.header_bytes);
	out->head_bytes = p->offload.header_bytes;
	out->bytes = p->offload.header_bytes + part;
	out->vid = p->vid;
	out->pcp = p->pcp;
	out->offload = p->offload;
	out->source = p->source;
	if (!slice(p, cut->at, part, out))
		return NULL;
	ip_lengths(out, cut->n);
	tcp_fields(out, cut->at, cut->at == 0, cut->at + part == payload);
	out->offload.gso = PACKET_WHOLE;
	if (!(cut->caps & PACKET_CAP_CSUM))
		fill_checksum(out);
	cut->at += part;
	cut->n++;
	return out;
}

void packet_cut(struct packet_cut *cut, const struct packet *p, unsigned caps)
{
	*cut = (struct packet_cut){.p = p, .caps = caps};
}

const struct packet *packet_cut_next(struct packet_cut *cut, struct packet *room)
{
	const struct packet *p = cut->p;

	if (needs_split(p, cut->caps))
		return cut->n && cut->at == p->bytes - p->offload.header_bytes ? NULL
									       : split(cut, room);
	if (cut->n++)
		return NULL;
	if (!p->offload.csum_wanted || (cut->caps & PACKET_CAP_CSUM))
		return p;
	*room = *p;
	fill_checksum(room);
	return room;
}

unsigned packet_finish(const struct packet *p, unsigned caps,
		       bool (*fn)(void *ctx, const struct packet *p), void *ctx, unsigned *taken)
{
	struct packet_cut cut;
	struct packet room;
	const struct packet *frame;
	unsigned n = 0;

	*taken = 0;
	packet_cut(&cut, p, caps);
	while ((frame = packet_cut_next(&cut, &room)) != NULL) {
		*taken += fn(ctx, frame);
		n++;
	}
	return n;
}

/* ---- out of it ---- */

static void add_seg(struct packet_wire *out, const void *data, size_t len)
{
	out->seg[out->frame.n_segs++] = (struct nic_seg){data, len};
}

/* False: none of it. */
static bool add_pieces(const struct packet *p, struct packet_wire *out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->n_rest; i++)
		if (!p->source->pieces(p->source, p->rest[i].data, p->rest[i].len, out->piece,
				       NIC_PIECES_MAX, &n))
			return false;
	out->frame.n_pieces = n;
	out->frame.hold = n ? &p->source->hold : NULL;
	return true;
}

void packet_wire(const struct packet *p, bool tagged, struct packet_wire *out)
{
	static const uint8_t zeros[ETH_FRAME_MIN];
	uint16_t tag = tagged ? ETH_TAG_LEN : 0;
	uint32_t bytes = p->bytes + tag, first = tagged ? ETH_ADDRS_LEN : 0;
	struct packet_offload *o = &out->frame.offload;

	out->frame = (struct nic_frame){
		.seg = out->seg, .piece = out->piece, .offload = p->offload};
	if (tagged) {
		frame_tag(out->tag, (uint16_t)(p->pcp << 12 | p->vid));
		add_seg(out, p->head, ETH_ADDRS_LEN);
		add_seg(out, out->tag, ETH_TAG_LEN);
	}
	o->header_bytes = (uint16_t)(o->header_bytes + tag);
	o->csum_start = (uint16_t)(o->csum_start + tag);
	add_seg(out, p->head + first, p->head_bytes - first);
	if (!p->source || !add_pieces(p, out))
		for (unsigned i = 0; i < p->n_rest; i++)
			add_seg(out, p->rest[i].data, p->rest[i].len);
	if (bytes < ETH_FRAME_MIN)
		add_seg(out, zeros, ETH_FRAME_MIN - bytes);
}

void packet_copy(const struct packet *p, void *to)
{
	char *at = to;

	memcpy(at, p->head, p->head_bytes);
	at += p->head_bytes;
	for (unsigned i = 0; i < p->n_rest; i++) {
		memcpy(at, p->rest[i].data, p->rest[i].len);
		at += p->rest[i].len;
	}
}
