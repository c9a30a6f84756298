/* SPDX-License-Identifier: BSD-2-Clause */
/* Batches of TCP frames, most of which go on with their flow and some of which do anything: split again they are what they were. */
// SRC: net/checksum.c
// SRC: net/frame.c
// SRC: net/gro.c
// SRC: net/packet.c
// FLAGS: -Itests/unit
#include "gro_check.h"

#define FLOWS 12u
#define RECORD 4u

/* A byte of the header other than what makes the flow what it is. */
static void poke(struct spec *s, uint8_t at, uint8_t value)
{
	unsigned ip = s->tagged ? 18 : 14, tcp = ip + (s->v6 ? 40 : 20);
	unsigned from = s->v6 ? ip + 8 : ip + 12;

	s->poke_at = at % (tcp + 20);
	s->poke = value;
	if ((s->poke_at >= from && s->poke_at < tcp + 4) ||
	    (s->poke_at >= 12 && s->poke_at <= ip) || s->poke_at == ip + (s->v6 ? 6u : 9u))
		s->flow = NO_FLOW;
}

static void spoil_headers(struct spec *s, uint8_t how, uint8_t value)
{
	uint8_t *const bytes[] = {&s->tos, &s->ttl, &s->flags, &s->reserved, &s->option};
	uint16_t *const halves[] = {&s->id, &s->fragment, &s->window, &s->urgent, &s->tci};
	uint32_t *const words[] = {&s->label, &s->seq, &s->ack};

	if (how % 16 < 5)
		*bytes[how % 16] ^= value;
	else if (how % 16 < 10)
		*halves[how % 16 - 5] ^= (uint16_t)(value << (value & 8));
	else if (how % 16 < 13)
		*words[how % 16 - 10] += value;
	else
		poke(s, how, value);
	s->reserved &= 15;
	s->label &= 0xfffff;
}

static void spoil(struct spec *s, uint8_t how, uint8_t value)
{
	switch (how % 32) {
	case 0:
		s->payload = value;
		break;
	case 1:
		s->payload = 1000u + value;
		break;
	case 2:
		s->trailing = value % 50;
		break;
	case 3:
		s->missing = value % 20;
		break;
	case 4:
		s->wrong_ip = true;
		break;
	case 5:
		s->wrong_tcp = true;
		break;
	case 6:
		s->other_zero = true;
		break;
	case 7:
		spec_zero_ip(s);
		break;
	case 8:
		s->tagged ^= true;
		break;
	case 9:
		s->pieces = 1 + value % PACKET_SEGS_MAX;
		break;
	default:
		spoil_headers(s, how, value);
	}
}

/* The card's part. It does not lie: then what it says is good would come out with another sum. */
static void set_offload(struct spec *s, uint8_t how, uint8_t value)
{
	unsigned start = (s->tagged ? 18u : 14u) + (s->v6 ? 40 : 20);

	s->offload = (struct packet_offload){0};
	if (how % 4 == 1 && !s->wrong_tcp && !s->poke_at && !s->missing)
		s->offload.csum_good = true;
	if (how % 16 != 2 || s->poke_at || s->other_zero)
		return;
	s->offload = (struct packet_offload){
		.csum_wanted = true, .csum_start = (uint16_t)start, .csum_offset = 16};
	if (!(value & 1))
		return;
	s->payload = value * 16;
	s->offload.gso = s->v6 ? PACKET_TCP6 : PACKET_TCP4;
	s->offload.gso_bytes = 500;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spec flow[FLOWS];
	unsigned caps;

	if (size < 1)
		return 0;
	caps = data[0] & 3 ? PACKET_CAP_CSUM | (data[0] & 1 ? PACKET_CAP_TCP4 : 0) |
				     (data[0] & 2 ? PACKET_CAP_TCP6 : 0)
			   : 0;
	batch_new();
	for (unsigned i = 0; i < FLOWS; i++) {
		flow[i] = spec_new(i + 1, i % 3 == 2);
		flow[i].tagged = i & 1;
		flow[i].seq = 0 - i * 1500;
		flow[i].id = (uint16_t)(0 - i);
		flow[i].payload = 100 + i * 99;
		flow[i].tci = (uint16_t)(i << 12 | i);
	}
	for (data++, size--; size >= RECORD && batch.n < BATCH_MAX && batch.n_want < 300;
	     data += RECORD, size -= RECORD) {
		unsigned k = data[0] & 0x80 ? data[0] % FLOWS : data[0] & 3;
		struct spec s = flow[k];

		if (data[1] & 0x80)
			spoil(&s, data[1] & 0x7f, data[2]);
		set_offload(&s, data[3], data[2]);
		batch_add(&s);
		/* The flow goes on behind it, in its new way, or as if it had not been. */
		s.other_zero_ip = false;
		if (data[3] & 0x40)
			flow[k].seq = s.seq + s.payload, flow[k].id = (uint16_t)(s.id + 1);
		else if (data[3] & 0x20 && !s.poke_at)
			flow[k] = s;
	}
	batch_run(caps);
	return 0;
}
