/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames of one batch put together, and each rule that forbids it. */
// SRC: net/checksum.c
// SRC: net/frame.c
// SRC: net/gro.c
// SRC: net/packet.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "gro_check.h"

#define ALL (PACKET_CAP_CSUM | PACKET_CAP_TCP4 | PACKET_CAP_TCP6)

static void expect(unsigned n, ...)
{
	va_list frames;

	va_start(frames, n);
	assert_int_equal(batch.n_out, n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(batch.out[i], va_arg(frames, unsigned));
	va_end(frames);
}

static void add_run(struct spec *s, unsigned n)
{
	for (; n; n--, spec_next(s))
		batch_add(s);
}

static void test_joins(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 4; kind++)
		for (unsigned n = 2; n <= PACKET_SEGS_MAX; n++) {
			struct spec s = spec_new(1, kind & 1);

			s.tagged = kind & 2;
			s.tci = 5 << 13 | 7;
			s.payload = 1428;
			batch_new();
			add_run(&s, n);
			batch_run(ALL);
			expect(1, n);
			assert_int_equal(batch.asked, 1);
		}
}

/* The first one's payload may lie in the head: then there is room for one more. */
static void test_room(void **state)
{
	struct spec s = spec_new(1, false);

	(void)state;
	s.payload = 20;
	batch_new();
	add_run(&s, 80);
	batch_run(ALL);
	expect(3, 29, 29, 22);
	s.payload = 1000;
	batch_new();
	add_run(&s, 60);
	batch_run(ALL);
	expect(3, 28, 28, 4);
	/* In pieces; the first one's are in the head or behind it. */
	batch_new();
	s.pieces = 5;
	add_run(&s, 12);
	batch_run(ALL);
	expect(3, 5, 5, 2);
	/* Headers alone in the first piece. */
	batch_new();
	s.payload = 66;
	s.pieces = 2;
	add_run(&s, 40);
	batch_run(ALL);
	expect(2, 29, 11);
}

static void test_wraps(void **state)
{
	struct spec s = spec_new(1, false);

	(void)state;
	s.id = 0xfffe;
	s.seq = 0xfffffff0;
	batch_new();
	add_run(&s, 5);
	batch_run(ALL);
	expect(1, 5);
}

static void test_ends(void **state)
{
	struct spec s;

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		/* A short one is the last, */
		s = spec_new(1, v6);
		batch_new();
		add_run(&s, 3);
		s.payload = 999;
		add_run(&s, 1);
		s.payload = 1000;
		add_run(&s, 2);
		batch_run(ALL);
		expect(2, 4, 2);
		/* a longer one is none of it, */
		batch_new();
		add_run(&s, 2);
		s.payload = 1001;
		add_run(&s, 2);
		batch_run(ALL);
		expect(2, 2, 2);
		/* PSH is the last, or alone. */
		batch_new();
		add_run(&s, 2);
		s.flags |= 8;
		add_run(&s, 2);
		s.flags &= 0x10;
		add_run(&s, 2);
		batch_run(ALL);
		expect(3, 3, 1, 2);
	}
}

/* FIN, RST, SYN, no data: behind what came before. */
static void test_flags(void **state)
{
	static const uint8_t flags[] = {0x11, 0x14, 0x12, 0x02, 0x30, 0x50, 0x90, 0x00, 0x19};

	(void)state;
	for (unsigned i = 0; i < sizeof(flags); i++) {
		struct spec s = spec_new(1, i & 1);

		batch_new();
		add_run(&s, 2);
		s.flags = flags[i];
		add_run(&s, 1);
		s.flags = 0x10;
		add_run(&s, 2);
		batch_run(ALL);
		expect(3, 2, 1, 2);
		batch_new();
		add_run(&s, 2);
		s.payload = 0;
		s.flags = flags[i];
		add_run(&s, 1);
		batch_run(ALL);
		expect(2, 2, 1);
	}
}

/* What makes a frame another one than that which would come back. */
static void differ(struct spec *s, unsigned how)
{
	switch (how) {
	case 0:
		s->id++;
		break;
	case 1:
		s->id--;
		break;
	case 2:
		s->tos = 1;
		break;
	case 3:
		s->ttl--;
		break;
	case 4:
		s->fragment = 0;
		break;
	case 5:
		s->ack++;
		break;
	case 6:
		s->window++;
		break;
	case 7:
		s->option++;
		break;
	case 8:
		s->option = 0;
		break;
	case 9:
		s->seq++;
		break;
	case 10:
		s->seq -= 1000;
		break;
	case 11:
		s->tagged = true;
		break;
	case 12:
		s->poke_at = 1;
		break; /* MACs */
	case 13:
		s->poke_at = 11;
		break;
	case 14:
		s->label = 1;
		break;
	case 15:
		s->tci ^= 1 << 13;
		break;
	default:
		s->label = 0xfffff;
	}
	s->poke = 4;
}

static void test_differs(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 17; how++)
		for (unsigned v6 = 0; v6 < 2; v6++) {
			struct spec s = spec_new(1, v6);

			if (v6 ? how < 2 || how == 4 : how == 14 || how > 15)
				continue;
			s.tagged = how == 15;
			batch_new();
			add_run(&s, 3);
			differ(&s, how);
			add_run(&s, 3);
			batch_run(ALL);
			expect(2, 3, 3);
		}
}

/* What is never put together with anything. */
static void spoil(struct spec *s, unsigned how)
{
	switch (how) {
	case 0:
		s->wrong_tcp = true;
		break;
	case 1:
		s->wrong_ip = true;
		break;
	case 2:
		s->other_zero = true;
		break;
	case 3:
		s->urgent = 1;
		break;
	case 4:
		s->reserved = 1;
		break;
	case 5:
		s->trailing = 4;
		break;
	case 6:
		s->missing = 4;
		break;
	case 7:
		s->fragment = 0x2000;
		break;
	case 8:
		s->fragment = 0x8000;
		break;
	case 9:
		s->poke_at = 14, s->poke = 3;
		break; /* options of IP */
	case 10:
		s->pieces = 20;
		break; /* headers in several pieces */
	case 11:
		s->offload = (struct packet_offload){.csum_wanted = true,
						     .csum_good = true,
						     .csum_start = s->v6 ? 54 : 34,
						     .csum_offset = 16};
		break;
	default:
		s->offload = (struct packet_offload){.gso = s->v6 ? PACKET_TCP6 : PACKET_TCP4,
						     .csum_wanted = true,
						     .csum_good = true,
						     .gso_bytes = 1000,
						     .csum_start = s->v6 ? 54 : 34,
						     .csum_offset = 16};
		s->payload = 3000;
	}
}

static void test_spoilt(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 13; how++)
		for (unsigned v6 = 0; v6 < 2; v6++) {
			struct spec s = spec_new(1, v6), bad;

			if (v6 && (how == 1 || (how >= 7 && how <= 9)))
				continue;
			batch_new();
			add_run(&s, 2);
			bad = s;
			spoil(&bad, how);
			add_run(&bad, 2);
			s.seq = bad.seq;
			s.id = bad.id;
			add_run(&s, 2);
			batch_run(ALL);
			if (how == 12)
				expect(4, 2, 3, 3, 2);
			else
				expect(4, 2, 1, 1, 2);
			assert_int_equal(batch.good[1], how >= 11); /* the card's word */
			assert_int_equal(batch.good[2], how >= 11);
		}
}

/* The card's word counts for TCP's sum; what was looked at here need not be again. */
static void test_good(void **state)
{
	struct spec s = spec_new(1, false);

	(void)state;
	s.offload.csum_good = true;
	batch_new();
	add_run(&s, 3);
	s.wrong_ip = true;
	add_run(&s, 1);
	batch_run(ALL);
	expect(2, 3, 1);
	s = spec_new(1, true);
	batch_new();
	add_run(&s, 1);
	s.wrong_tcp = true;
	add_run(&s, 2);
	batch_run(ALL);
	expect(3, 1, 1, 1);
	assert_true(batch.good[0]);
	assert_false(batch.good[1] || batch.good[2]);
}

static void test_zero_ip(void **state)
{
	struct spec s = spec_new(1, false);

	(void)state;
	spec_zero_ip(&s);
	batch_new();
	add_run(&s, 1);
	s.other_zero_ip = false;
	add_run(&s, 3);
	spec_zero_ip(&s);
	s.id--;
	s.other_zero_ip = false;
	add_run(&s, 1);
	s.other_zero_ip = true;
	add_run(&s, 1);
	batch_run(ALL);
	expect(4, 1, 3, 1, 1);
}

static void count(void *ctx, const struct packet *p)
{
	(void)p;
	++*(unsigned *)ctx;
}

static unsigned takes_all(void *ctx, const struct packet *p)
{
	(void)ctx, (void)p;
	return ALL;
}

/* Nobody reads what the card has read. */
static void test_word_of_card(void **state)
{
	static const struct gro_ops ops = {.caps = takes_all, .input = count};
	struct spec s = spec_new(1, false);
	unsigned n = 0;

	(void)state;
	s.wrong_tcp = true;
	s.offload.csum_good = true;
	batch_new();
	add_run(&s, 3);
	gro_batch(batch.rx, batch.n, &ops, &n);
	assert_int_equal(n, 1);
	batch_free();
}

/* Two flows that have the same number, as gro.c has it of addresses and ports: none is taken for the other. */
static uint32_t number_of_addresses(unsigned flow)
{
	uint8_t addresses[8] = {10, 1, 0, (uint8_t)flow, 10, 0, 0, 2};
	uint32_t number = 0, word;

	for (unsigned i = 0; i < 2; i++) {
		memcpy(&word, addresses + 4 * i, 4);
		number = (number ^ word) * 0x9e3779b1;
		number ^= number >> 15;
	}
	return number;
}

static void test_same_number(void **state)
{
	struct spec a = spec_new(1, false), b = spec_new(2, false);

	(void)state;
	a.ports = 0x01020304;
	b.ports = a.ports ^ __builtin_bswap32(number_of_addresses(1) ^ number_of_addresses(2));
	b.id = (uint16_t)(a.id + 1);
	b.seq = a.seq + a.payload;
	batch_new();
	for (unsigned i = 0; i < 3; i++) {
		add_run(&a, 1);
		add_run(&b, 1);
	}
	batch_run(ALL);
	expect(6, 1, 1, 1, 1, 1, 1);
}

static void test_caps(void **state)
{
	struct spec one = spec_new(1, false);

	(void)state;
	batch_new();
	add_run(&one, 1);
	batch_run(ALL);
	expect(1, 1);
	assert_int_equal(batch.asked, 0); /* there is nothing that it could join */
	for (unsigned caps = 0; caps < 8; caps++)
		for (unsigned v6 = 0; v6 < 2; v6++) {
			struct spec s = spec_new(1, v6);

			batch_new();
			add_run(&s, 3);
			batch_run(caps);
			if (caps & (v6 ? PACKET_CAP_TCP6 : PACKET_CAP_TCP4))
				expect(1, 3);
			else
				expect(3, 1, 1, 1);
			/* Who takes neither is not asked again. */
			assert_int_equal(
				batch.asked,
				batch.n_out == 1 || !(caps & (PACKET_CAP_TCP4 | PACKET_CAP_TCP6))
					? 1
					: 2);
		}
}

/* One that takes nothing joined, and one that does: other addresses, or other VLANs of the same. */
static void test_refused(void **state)
{
	struct spec a = spec_new(1, false), b = spec_new(2, false);

	(void)state;
	for (unsigned by_vid = 0; by_vid < 2; by_vid++) {
		batch_new();
		if (by_vid) {
			a.tagged = b.tagged = true;
			a.tci = batch.vid_without = 7;
			b.tci = 8;
		} else {
			a.poke_at = 5;
			a.poke = 1 ^ 9;
			batch.mac_without = 9;
		}
		for (unsigned i = 0; i < 3; i++) {
			add_run(&a, 1);
			add_run(&b, 1);
		}
		batch_run(ALL);
		expect(4, 1, 1, 1, 3);
		assert_int_equal(batch.asked, 2);
		a.poke_at = 0;
	}
}

static void test_flows(void **state)
{
	struct spec s[12];

	(void)state;
	for (unsigned n = 2; n <= 12; n++) {
		batch_new();
		for (unsigned i = 0; i < n; i++)
			s[i] = spec_new(i + 1, i % 3 == 1);
		for (unsigned round = 0; round < 4; round++)
			for (unsigned i = 0; i < n; i++)
				add_run(&s[i], 1);
		batch_run(ALL);
		assert_int_equal(batch.n_out, n <= GRO_FLOWS_MAX ? n : 4 * n);
	}
	/* The oldest goes. */
	batch_new();
	for (unsigned i = 0; i < 9; i++) {
		s[i] = spec_new(i + 1, false);
		add_run(&s[i], 2);
	}
	for (unsigned i = 0; i < 9; i++)
		add_run(&s[i], 1);
	batch_run(ALL);
	/* 1 to 9, then 2 to 1 again, ... */
	expect(18, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1);
}

/* What might be of any flow comes behind all of them; what is none does not. */
static void test_others(void **state)
{
	struct spec s = spec_new(1, false), other = spec_new(2, false);

	(void)state;
	batch_new();
	add_run(&s, 2);
	other.flow = NO_FLOW;
	other.poke_at = 14 + 9;
	other.poke = 6 ^ 17; /* UDP */
	add_run(&other, 1);
	add_run(&s, 2);
	batch_run(ALL);
	expect(2, 1, 4);
	other = spec_new(2, true);
	other.poke_at = 14 + 6;
	other.poke = 6 ^ 44; /* a fragment of IPv6 */
	batch_new();
	add_run(&s, 2);
	add_run(&other, 1);
	add_run(&s, 2);
	batch_run(ALL);
	expect(3, 2, 1, 2);
	/* No frames at all. */
	other = spec_new(2, false);
	other.missing = 1040;
	batch_new();
	add_run(&s, 2);
	add_run(&other, 1);
	other.missing = 0;
	other.payload = 1500;
	add_run(&other, 2);
	add_run(&s, 2);
	batch_run(ALL);
	assert_int_equal(batch.bad, 3);
	gro_batch(NULL, 0, NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_joins),        cmocka_unit_test(test_room),
		cmocka_unit_test(test_wraps),        cmocka_unit_test(test_ends),
		cmocka_unit_test(test_flags),        cmocka_unit_test(test_differs),
		cmocka_unit_test(test_spoilt),       cmocka_unit_test(test_good),
		cmocka_unit_test(test_caps),         cmocka_unit_test(test_zero_ip),
		cmocka_unit_test(test_word_of_card), cmocka_unit_test(test_same_number),
		cmocka_unit_test(test_flows),        cmocka_unit_test(test_refused),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
