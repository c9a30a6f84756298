/* SPDX-License-Identifier: BSD-2-Clause */
/* Checksums and segmentation in software, against sums made word by word; offloads that lie. */
// SRC: net/checksum.c
// SRC: net/frame.c
// SRC: net/packet.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "net/packet.h"
#include "tests/unit/plain_sum.h"

static uint8_t frame[70000];
static uint8_t stream[70000]; /* what the segments carried, put together */
static unsigned n_segments;
static bool v6;

static void test_checksum(void **state)
{
	uint8_t data[300];

	(void)state;
	srand(1);
	for (unsigned i = 0; i < 300; i++)
		data[i] = (uint8_t)rand();
	for (unsigned n = 0; n < 300; n++) {
		for (unsigned cut = 0; cut <= n; cut += 7) {
			uint32_t sum = checksum_add(0, data, cut, false);

			sum = checksum_add(sum, data + cut, n - cut, cut & 1);
			assert_int_equal((uint16_t)~checksum_end(sum), plain_sum(data, n, 0));
		}
	}
	memset(data, 0xff, sizeof(data));
	assert_int_equal(checksum_end(checksum_add(0, data, 300, false)), 0);
}

static void test_update(void **state)
{
	uint8_t data[40];

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		data[i] = (uint8_t)rand();
	for (unsigned i = 0; i < 10000; i++) {
		uint16_t before = checksum_end(checksum_add(0, data, 40, false)),
			 was = packet_get16(data + 6);
		uint16_t is = (uint16_t)rand();

		packet_put16(data + 6, is);
		assert_int_equal(checksum_update(before, was, is),
				 checksum_end(checksum_add(0, data, 40, false)));
	}
}

static uint32_t ip_len(void)
{
	return v6 ? 40 : 20;
}

/* A TCP packet with 12 bytes of options and `payload` bytes. */
static uint32_t tcp(uint32_t payload)
{
	uint8_t *ip = frame + 14, *t = ip + ip_len();
	uint32_t n = 14 + ip_len() + 32 + payload;

	memset(frame, 0, 200);
	memcpy(frame, (uint8_t[]){2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, 12);
	packet_put16(frame + 12, v6 ? 0x86dd : 0x0800);
	if (v6) {
		ip[0] = 0x60;
		packet_put16(ip + 4, (uint16_t)(n - 54));
		ip[6] = 6;
		for (unsigned i = 8; i < 40; i++)
			ip[i] = (uint8_t)(i * 7);
	} else {
		ip[0] = 0x45;
		packet_put16(ip + 2, (uint16_t)(n - 14));
		packet_put16(ip + 4, 0xfffe);
		ip[9] = 6;
		memcpy(ip + 12, (uint8_t[]){10, 0, 0, 1, 10, 0, 0, 2}, 8);
	}
	packet_put32(t + 4, 0xfffffff0);
	t[12] = 0x80;
	t[13] = 0x80 | 0x10 | 0x08 | 0x01; /* CWR ACK PSH FIN */
	for (uint32_t i = 0; i < payload; i++)
		t[32 + i] = (uint8_t)(i * 31 + i / 256);
	return n;
}

static struct packet_offload offload(uint16_t mss)
{
	return (struct packet_offload){.gso = v6 ? PACKET_TCP6 : PACKET_TCP4,
				       .csum_wanted = true,
				       .gso_bytes = mss,
				       .csum_start = (uint16_t)(14 + ip_len()),
				       .csum_offset = 16};
}

static uint16_t tcp_sum(const uint8_t *flat, uint32_t bytes)
{
	uint32_t start = 14 + ip_len(), len = bytes - start;
	uint16_t pseudo = plain_sum(flat + (v6 ? 22 : 26), v6 ? 32 : 8, 6 + len);

	return plain_sum(flat + start, len, pseudo);
}

static bool take(void *ctx, const struct packet *p)
{
	static uint8_t flat[PACKET_BYTES_MAX];
	const uint8_t *ip = flat + 14, *t = ip + ip_len();
	uint32_t head = 14 + ip_len() + 32, total = *(uint32_t *)ctx, payload = p->bytes - head;
	uint32_t seq, at;

	packet_copy(p, flat);
	seq = packet_get32(t + 4);
	at = seq - 0xfffffff0;
	assert_true(p->bytes <= 1514);
	assert_int_equal(tcp_sum(flat, p->bytes), 0xffff);
	if (v6) {
		assert_int_equal(packet_get16(ip + 4), p->bytes - 54);
	} else {
		assert_int_equal(packet_get16(ip + 2), p->bytes - 14);
		assert_int_equal(packet_get16(ip + 4), (uint16_t)(0xfffe + n_segments));
		assert_int_equal(plain_sum(ip, 20, 0), 0xffff);
	}
	assert_int_equal(t[13], 0x10 | (at == 0 ? 0x80 : 0) | (at + payload == total ? 9 : 0));
	memcpy(stream + at, flat + head, payload);
	n_segments++;
	return true;
}

static void split(uint32_t payload, uint16_t mss, unsigned pieces)
{
	uint32_t n = tcp(payload), at = 0;
	struct packet_offload o = offload(mss);
	struct nic_seg seg[PACKET_SEGS_MAX];
	struct packet p;
	unsigned taken, n_all;

	for (unsigned i = 0; i < pieces; i++) {
		uint32_t part = i + 1 == pieces ? n - at : n / pieces | 1;

		seg[i] = (struct nic_seg){frame + at, part};
		at += part;
	}
	assert_true(packet_make(&p, seg, pieces, &o));
	n_segments = 0;
	memset(stream, 0, sizeof(stream));
	n_all = packet_finish(&p, 0, take, &payload, &taken);
	assert_int_equal(n_all, n_segments);
	assert_int_equal(taken, n_segments);
	assert_int_equal(n_segments, payload ? (payload + mss - 1) / mss : 1);
	assert_memory_equal(stream, frame + 14 + ip_len() + 32, payload);
}

static void test_split(void **state)
{
	(void)state;
	for (unsigned version = 0; version < 2; version++) {
		v6 = version;
		split(0, 1400, 1);
		split(1, 1400, 1);
		split(100, 60, 1);
		split(1401, 1400, 2);
		split(2800, 1400, 3);
		split(65000, 1428, 17);
		split(65000, 1001, 20);
	}
}

static bool keep(void *ctx, const struct packet *p)
{
	*(struct packet *)ctx = *p;
	return true;
}

/* A receiver that does it itself gets it whole, or with the sum of the pseudo-header. */
static void test_caps(void **state)
{
	struct packet_offload o;
	struct packet p, out;
	struct nic_seg seg;
	unsigned taken;

	(void)state;
	v6 = false;
	seg = (struct nic_seg){frame, tcp(5000)};
	o = offload(1400);
	assert_true(packet_make(&p, &seg, 1, &o));
	assert_int_equal(packet_finish(&p, PACKET_CAP_CSUM | PACKET_CAP_TCP4, keep, &out, &taken),
			 1);
	assert_memory_equal(&p, &out, sizeof(p));
	assert_int_equal(packet_finish(&p, PACKET_CAP_CSUM | PACKET_CAP_TCP6, keep, &out, &taken),
			 4);
	assert_true(out.offload.csum_wanted);
	assert_int_equal(out.offload.gso, PACKET_WHOLE);
	assert_int_equal(packet_get16(out.head + 14 + 20 + 16),
			 plain_sum(out.head + 26, 8, 6 + out.bytes - 34));
}

static void test_udp_sum(void **state)
{
	struct packet_offload o = {.csum_wanted = true, .csum_start = 34, .csum_offset = 6};
	struct nic_seg seg = {frame, 14 + 20 + 8 + 3};
	struct packet p, out;
	unsigned taken;

	(void)state;
	memset(frame, 0, 100);
	packet_put16(frame + 12, 0x0800);
	frame[14] = 0x45;
	frame[34 + 8] = 0xff;
	frame[34 + 9] = 0xff; /* with the rest 0 the sum is 0: sent as ffff */
	assert_true(packet_make(&p, &seg, 1, &o));
	packet_finish(&p, 0, keep, &out, &taken);
	assert_int_equal(packet_get16(out.head + 40), 0xffff);
	assert_false(out.offload.csum_wanted);
}

static bool made(uint32_t n, struct packet_offload o)
{
	struct nic_seg seg = {frame, n};
	struct packet p;

	return packet_make(&p, &seg, 1, &o);
}

static void test_lies(void **state)
{
	struct packet_offload o;
	uint32_t n;

	(void)state;
	v6 = false;
	n = tcp(5000);
	o = offload(1400);
	assert_true(made(n, o));
	o.gso_bytes = 0;
	assert_false(made(n, o));
	o.gso_bytes = 1; /* thousands of frames */
	assert_false(made(n, o));
	o.gso_bytes = 1600; /* more than a frame takes */
	assert_false(made(n, o));
	o = offload(1400);
	o.gso = PACKET_TCP6;
	assert_false(made(n, o));
	o.gso = 3; /* UDP: not offered */
	assert_false(made(n, o));
	o = offload(1400);
	o.csum_start = 36;
	assert_false(made(n, o));
	o = offload(1400);
	o.csum_wanted = false;
	assert_false(made(n, o));
	o = offload(1400);
	frame[14] =
		0x4f; /* longer headers than there are bytes of it in the head: fine; then not */
	assert_false(made(n, o));
	n = tcp(5000);
	frame[34 + 12] = 0x40;
	assert_false(made(n, o));
	n = tcp(5000);
	frame[20] = 0x20; /* a fragment */
	assert_false(made(n, o));
	n = tcp(5000);
	o = offload(1400);
	o.gso = PACKET_WHOLE; /* too long for one */
	assert_false(made(n, o));
	n = tcp(100);
	o = (struct packet_offload){.csum_wanted = true, .csum_start = 13};
	assert_false(made(n, o));
	o.csum_start = 14;
	assert_true(made(n, o));
	o.csum_start = 60000;
	assert_false(made(n, o));
	o.csum_start = 34;
	o.csum_offset = 60000;
	assert_false(made(n, o));
	o.csum_offset = (uint16_t)(n - 34 - 2);
	assert_true(made(n, o));
	o.csum_offset++;
	assert_false(made(n, o));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checksum), cmocka_unit_test(test_update),
		cmocka_unit_test(test_split),    cmocka_unit_test(test_caps),
		cmocka_unit_test(test_udp_sum),  cmocka_unit_test(test_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
