/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A batch of TCP frames made by hand, put through gro_batch(): what comes out, split again, must be what went in, in order
 * within each flow, and be such as a guest may send itself.
 */
#ifndef TESTS_GRO_CHECK_H
#define TESTS_GRO_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/gro.h"
#include "tests/unit/plain_sum.h"

#define BATCH_MAX 96u
#define WANT_MAX 512u
#define FRAME_ROOM 6000u
#define NO_FLOW 1000u
#define CHECK(x) ((x) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x), abort()))

struct spec { /* of a frame */
	unsigned flow;
	bool v6, tagged;
	uint16_t tci, id, fragment, window, urgent;
	uint8_t tos, ttl, flags, reserved, option; /* option: 0: none; else timestamps with it */
	uint32_t label, seq, ack, payload, trailing, missing; /* bytes; missing: at its end */
	bool wrong_ip, wrong_tcp, other_zero, other_zero_ip;  /* sums */
	uint32_t ports;                                       /* 0: by the flow */
	unsigned poke_at; /* 0: none; a byte that is changed before the sums are made */
	uint8_t poke;
	unsigned pieces;
	struct packet_offload offload;
};

struct want {
	uint8_t bytes[FRAME_ROOM];
	uint32_t n;
	uint16_t vid;
	uint8_t pcp;
	unsigned flow;
	bool came;
};

static struct batch {
	struct nic_rx rx[BATCH_MAX];
	struct nic_seg seg[BATCH_MAX][PACKET_SEGS_MAX];
	unsigned n;
	struct want want[WANT_MAX];
	unsigned n_want, flow; /* flow: of what is wanted now */
	unsigned bad, bad_came;
	unsigned caps; /* the receiver's, in all VLANs but one */
	uint16_t vid_without;
	uint8_t mac_without; /* and all but one of 2:0:0:0:0:n */
	/* What came: packets, the frames in each, in order. */
	unsigned n_out, out[BATCH_MAX], asked;
	bool good[BATCH_MAX];
} batch;

static struct spec spec_new(unsigned flow, bool v6)
{
	return (struct spec){.flow = flow,
			     .v6 = v6,
			     .id = (uint16_t)(flow * 1000),
			     .fragment = 0x4000,
			     .window = 500,
			     .ttl = 64,
			     .flags = 0x10,
			     .option = 1,
			     .seq = flow << 28,
			     .ack = 77,
			     .payload = 1000,
			     .pieces = 1};
}

/* The one that follows. */
static void spec_next(struct spec *s)
{
	s->seq += s->payload;
	s->id++;
}

static uint8_t *put_ip(const struct spec *s, uint8_t *ip, uint32_t tcp_bytes)
{
	uint8_t address[16] = {10, 1, [15] = (uint8_t)s->flow};

	if (s->v6) {
		packet_put32(ip, 6u << 28 | (uint32_t)s->tos << 20 | s->label);
		packet_put16(ip + 4, (uint16_t)tcp_bytes);
		ip[6] = 6;
		ip[7] = s->ttl;
		memcpy(ip + 8, address, 16);
		memset(ip + 24, 0x33, 16);
		return ip + 40;
	}
	ip[0] = 0x45;
	ip[1] = s->tos;
	packet_put16(ip + 2, (uint16_t)(20 + tcp_bytes));
	packet_put16(ip + 4, s->id);
	packet_put16(ip + 6, s->fragment);
	ip[8] = s->ttl;
	ip[9] = 6;
	memcpy(ip + 12, address, 3);
	ip[15] = (uint8_t)s->flow;
	memcpy(ip + 16, (uint8_t[]){10, 0, 0, 2}, 4);
	return ip + 20;
}

static void put_sums(const struct spec *s, uint8_t *ip, uint8_t *tcp, uint32_t tcp_bytes)
{
	uint16_t pseudo = plain_sum(s->v6 ? ip + 8 : ip + 12, s->v6 ? 32 : 8,
				    6 + (tcp_bytes & 0xffff));

	if (!s->v6)
		packet_put16(ip + 10, (uint16_t)(~plain_sum(ip, 20, 0) ^ s->wrong_ip));
	if (!s->v6 && s->other_zero_ip)
		packet_put16(ip + 10, 0xffff);
	if (s->offload.csum_wanted)
		packet_put16(tcp + 16, pseudo);
	else
		packet_put16(tcp + 16,
			     (uint16_t)(~plain_sum(tcp, tcp_bytes, pseudo) ^ s->wrong_tcp));
}

static void put_tcp(const struct spec *s, uint8_t *tcp)
{
	unsigned options = s->option ? 12 : 0;

	packet_put16(tcp, 5001);
	packet_put16(tcp + 2, (uint16_t)(80 + s->flow));
	if (s->ports)
		packet_put32(tcp, s->ports);
	packet_put32(tcp + 4, s->seq);
	packet_put32(tcp + 8, s->ack);
	tcp[12] = (uint8_t)((20 + options) << 2 | s->reserved);
	tcp[13] = s->flags;
	packet_put16(tcp + 14, s->window);
	packet_put16(tcp + 18, s->urgent);
	if (s->option)
		memcpy(tcp + 20, (uint8_t[]){1, 1, 8, 10, 0, 0, 1, s->option, 0, 0, 2, 0}, 12);
	for (uint32_t i = 0; i < s->payload; i++)
		tcp[20 + options + i] = (uint8_t)((s->seq + i) * 31 + (s->seq + i) / 256);
	/* The last two bytes make the sum come out as zero. */
	if (s->other_zero && s->payload > 2 && s->payload % 2 == 0)
		memset(tcp + 20 + options + s->payload - 2, 0, 2);
}

static void make_other_zero(const struct spec *s, uint8_t *tcp, uint32_t tcp_bytes)
{
	if (!s->other_zero || s->payload <= 2 || s->payload % 2)
		return;
	packet_put16(tcp + tcp_bytes - 2, packet_get16(tcp + 16));
	packet_put16(tcp + 16, 0xffff);
}

static uint32_t spec_put(const struct spec *s, uint8_t *frame)
{
	uint32_t tcp_bytes = 20 + (s->option ? 12 : 0) + s->payload, at = 12;
	uint8_t *ip, *tcp;

	memset(frame, 0, FRAME_ROOM);
	memcpy(frame, (uint8_t[]){2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, 12);
	if (s->tagged) {
		packet_put16(frame + 12, 0x8100);
		packet_put16(frame + 14, s->tci);
		at = 16;
	}
	packet_put16(frame + at, s->v6 ? 0x86dd : 0x0800);
	ip = frame + at + 2;
	tcp = put_ip(s, ip, tcp_bytes);
	put_tcp(s, tcp);
	if (s->poke_at)
		frame[s->poke_at] ^= s->poke;
	put_sums(s, ip, tcp, tcp_bytes);
	make_other_zero(s, tcp, tcp_bytes);
	return (uint32_t)(tcp - frame) + tcp_bytes + s->trailing - s->missing;
}

/* The identification with which the sum of the IP header is zero. */
static inline void spec_zero_ip(struct spec *s)
{
	static uint8_t frame[FRAME_ROOM];

	s->id = 0;
	s->other_zero_ip = false;
	(void)spec_put(s, frame);
	s->id = packet_get16(frame + (s->tagged ? 28 : 24));
	s->other_zero_ip = true;
}

/* Pieces of their own memory, none longer than what it has; the first has the headers, or not all of them. */
static void cut_up(const uint8_t *frame, uint32_t n, unsigned pieces)
{
	struct nic_seg *seg = batch.seg[batch.n];
	uint32_t at = 0;

	for (unsigned i = 0; i < pieces; i++) {
		uint32_t part = i + 1 == pieces ? n - at : (n - at) / (pieces - i);
		void *copy = malloc(part + 1);

		memcpy((char *)copy + 1, frame + at, part); /* at odd places */
		seg[i] = (struct nic_seg){(char *)copy + 1, part};
		at += part;
	}
}

static bool keep_want(void *ctx, const struct packet *p)
{
	struct want *w = &batch.want[batch.n_want++];

	(void)ctx;
	CHECK(batch.n_want <= WANT_MAX && p->bytes <= FRAME_ROOM);
	packet_copy(p, w->bytes);
	w->n = p->bytes;
	w->vid = p->vid;
	w->pcp = p->pcp;
	w->flow = batch.flow;
	w->came = false;
	return true;
}

static void batch_add(const struct spec *s)
{
	struct nic_rx *rx = &batch.rx[batch.n];
	static uint8_t frame[FRAME_ROOM];
	uint32_t n = spec_put(s, frame);
	struct packet p;
	unsigned taken;

	CHECK(batch.n < BATCH_MAX);
	cut_up(frame, n, s->pieces);
	*rx = (struct nic_rx){
		.seg = batch.seg[batch.n], .n_segs = s->pieces, .offload = s->offload};
	batch.n++;
	batch.flow = s->flow;
	if (packet_make(&p, rx->seg, rx->n_segs, &rx->offload))
		(void)packet_finish(&p, 0, keep_want, NULL, &taken);
	else
		batch.bad++;
}

/* The first of those like it that have not come; of its flow nothing before it may be missing. */
static bool came(void *ctx, const struct packet *p)
{
	static uint8_t flat[PACKET_BYTES_MAX];
	struct want *w = batch.want, *end = w + batch.n_want;

	(void)ctx;
	packet_copy(p, flat);
	while (w < end && (w->came || w->n != p->bytes || w->vid != p->vid || w->pcp != p->pcp ||
			   memcmp(w->bytes, flat, w->n) != 0))
		w++;
	CHECK(w < end);
	w->came = true;
	for (const struct want *before = batch.want; before < w; before++)
		CHECK(before->came || before->flow != w->flow || w->flow == NO_FLOW);
	return true;
}

/* What a guest gives its card passes this. */
static void check_form(const struct packet *p)
{
	static uint8_t flat[PACKET_BYTES_MAX];
	struct nic_seg seg = {flat, p->bytes};
	struct packet q;

	packet_copy(p, flat);
	CHECK(packet_make(&q, &seg, 1, &p->offload));
	CHECK(q.bytes == p->bytes && q.offload.header_bytes == p->offload.header_bytes);
}

static unsigned check_caps(void *ctx, const struct packet *p)
{
	(void)ctx;
	CHECK(p->offload.gso == PACKET_WHOLE);
	batch.asked++;
	if (p->head[5] == batch.mac_without || (p->vid && p->vid == batch.vid_without))
		return 0;
	return batch.caps;
}

static void check_input(void *ctx, const struct packet *p)
{
	unsigned taken;

	(void)ctx;
	check_form(p);
	CHECK(batch.n_out < BATCH_MAX);
	batch.good[batch.n_out] = p->offload.csum_good;
	batch.out[batch.n_out++] = packet_finish(p, 0, came, NULL, &taken);
}

static void check_malformed(void *ctx)
{
	(void)ctx;
	batch.bad_came++;
}

static void batch_free(void)
{
	for (unsigned i = 0; i < batch.n; i++)
		for (unsigned k = 0; k < batch.rx[i].n_segs; k++)
			free((char *)(uintptr_t)batch.seg[i][k].data - 1);
	batch.n = 0;
}

static inline void batch_run(unsigned caps)
{
	static const struct gro_ops ops = {check_caps, check_input, check_malformed};

	batch.caps = caps;
	gro_batch(batch.rx, batch.n, &ops, NULL);
	for (unsigned i = 0; i < batch.n_want; i++)
		CHECK(batch.want[i].came);
	CHECK(batch.bad == batch.bad_came);
	batch_free();
}

/* What the last one had stays to be looked at until here. */
static void batch_new(void)
{
	batch.n = batch.n_want = batch.n_out = batch.asked = batch.bad = batch.bad_came = 0;
	batch.vid_without = batch.mac_without = 0;
}

#endif
