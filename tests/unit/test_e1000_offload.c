/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: drivers/e1000_ring.c
// SRC: drivers/e1000_offload.c
// SRC: net/checksum.c
// SRC: drivers/nics.c
/* What an e1000 is told of sums and segmentation: every byte of the descriptors and the headers; what does not fit is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/e1000_fakes.h"

#define TAG 4u
#define MAC_HEADER 14u

struct made { /* a TCP packet; what follows the headers is 0 */
	uint8_t data[192];
	struct packet_offload offload;
	unsigned ip, tcp;
};

static void put16(uint8_t *at, unsigned v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static unsigned get16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static struct made make(uint8_t gso, bool tagged, unsigned bytes)
{
	struct made m = {.ip = MAC_HEADER + (tagged ? TAG : 0)};
	uint8_t *ip = m.data + m.ip;
	bool v4 = gso != PACKET_TCP6;

	put16(m.data + 12, 0x8100);
	put16(ip - 2, v4 ? 0x0800 : 0x86dd);
	m.tcp = m.ip + (v4 ? 24 : 40);
	for (unsigned i = 0; i < 32; i++)
		ip[v4 ? 12 + i % 8 : 8 + i] = (uint8_t)(0xf1 + i % 8);
	if (v4) {
		ip[0] = 0x46;
		ip[9] = 6;
		put16(ip + 2, bytes - m.ip);
		put16(ip + 10, 0x1234);
	} else {
		ip[0] = 0x60;
		ip[6] = 6;
		put16(ip + 4, bytes - m.ip - 40);
	}
	m.data[m.tcp + 12] = 0x80;
	put16(m.data + m.tcp + 16, 0xbeef);
	m.offload = (struct packet_offload){.gso = gso,
					    .csum_wanted = true,
					    .header_bytes = (uint16_t)(m.tcp + 32),
					    .gso_bytes = gso ? 1400 : 0,
					    .csum_start = (uint16_t)m.tcp,
					    .csum_offset = 16};
	return m;
}

static size_t put_made(const struct made *m, size_t copied, const struct nic_piece *piece,
		       unsigned n, struct nic_hold *hold)
{
	const struct nic_seg seg = {m->data, copied};

	return e1000_tx_put(&tx, &(struct nic_frame){.seg = &seg,
						     .n_segs = 1,
						     .piece = piece,
						     .n_pieces = n,
						     .hold = hold,
						     .offload = m->offload});
}

static uint64_t context(unsigned ipcss, unsigned ipcso, unsigned ipcse, unsigned tucss,
			unsigned tucso)
{
	return ipcss | ipcso << 8 | (uint64_t)ipcse << 16 | (uint64_t)tucss << 32 |
	       (uint64_t)tucso << 40;
}

#define DATA (E1000_TXD_IFCS | E1000_TXD_DEXT)
#define END (E1000_TXD_EOP | E1000_TXD_RS)

static void test_csum(void **state)
{
	struct made m = make(PACKET_WHOLE, false, 100), tagged = make(PACKET_WHOLE, true, 100);
	const uint8_t zeros[100] = {0};

	(void)state;
	assert_int_equal(put_made(&m, 100, NULL, 0, NULL), 100);
	is_desc(0, &(struct e1000_tx_desc){.addr = context(0, 0, 0, 38, 54),
					   .command = E1000_TXD_DEXT | E1000_TXC_TCP});
	is_desc(1, &(struct e1000_tx_desc){.addr = HPA,
					   .len = 100,
					   .type = E1000_TXD_DATA,
					   .command = DATA | END,
					   .options = E1000_TXD_TXSM});
	assert_memory_equal(copies, m.data, 100);
	tagged.offload.csum_offset = 6; /* UDP */
	assert_int_equal(put_made(&tagged, 100, NULL, 0, NULL), 100);
	is_desc(2, &(struct e1000_tx_desc){.addr = context(0, 0, 0, 42, 48),
					   .command = E1000_TXD_DEXT});
	/* A short one is summed here. */
	assert_int_equal(put_made(&m, 60, NULL, 0, NULL), 60);
	is_desc(4,
		&(struct e1000_tx_desc){.addr = HPA + 2 * NIC_BUFFER, .len = 60, .command = PLAIN});
	assert_int_equal(get16((uint8_t *)copies + 2 * NIC_BUFFER + 54),
			 ~(0xbeef + 0x8000 - 0xffff) & 0xffff);
	memcpy(m.data, zeros, 60);
	put16(m.data + 54, 0xffff);
	assert_int_equal(put_made(&m, 59, NULL, 0, NULL), 59);
	assert_int_equal(get16((uint8_t *)copies + 3 * NIC_BUFFER + 54), 0xffff);
}

/* One's complement sum of the pseudo-header without a length. */
static unsigned pseudo(const uint8_t *addresses, unsigned bytes)
{
	unsigned sum = 6;

	for (unsigned i = 0; i < bytes; i += 2)
		sum += get16(addresses + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void tso(uint8_t gso, bool tagged)
{
	struct made m = make(gso, tagged, 192 + 9000);
	const struct nic_piece piece[2] = {{THERE, 4096 + 4}, {THERE + 0x8000, 4900}};
	struct nic_hold hold = hold_of();
	unsigned payload = 192 + 9000 - m.tcp - 32, at = tx.next;
	uint8_t txsm = E1000_TXD_TXSM | (gso == PACKET_TCP4 ? E1000_TXD_IXSM : 0);
	struct e1000_tx_desc want = {
		.type = E1000_TXD_DATA, .command = DATA | E1000_TXD_TSE, .options = txsm};
	const uint64_t addr[6] = {
		HPA, THERE, THERE + 4096, THERE + 0x8000, THERE + 0x9000, THERE + 0x8000 + 4896};
	const uint16_t len[6] = {192, 4096, 4, 4096, 800, 4};
	const uint8_t *copy = (const uint8_t *)copies + tx.buf % TX_BUFS * NIC_BUFFER;

	assert_int_equal(put_made(&m, 192, piece, 2, &hold), 9192);
	is_desc(at, &(struct e1000_tx_desc){
			    .addr = context(m.ip, m.ip + 10, gso == PACKET_TCP4 ? m.tcp - 1 : 0,
					    m.tcp, m.tcp + 16),
			    .len = (uint16_t)payload,
			    .command = E1000_TXD_DEXT | E1000_TXD_TSE | E1000_TXC_TCP |
				       (gso == PACKET_TCP4 ? E1000_TXC_IPV4 : 0),
			    .options = (uint8_t)(m.tcp + 32),
			    .special = 1400});
	for (unsigned i = 0; i < 6; i++) {
		want.addr = addr[i] == HPA ? HPA + (uint64_t)((const char *)copy - copies)
					   : addr[i];
		want.len = len[i];
		if (i == 5)
			want.command |= END | E1000_TXD_IDE;
		is_desc(at + 1 + i, &want);
	}
	assert_int_equal(tx.next, at + 7);
	if (gso == PACKET_TCP4) {
		put16(m.data + m.ip + 2, 0);
		put16(m.data + m.ip + 10, 0);
		put16(m.data + m.tcp + 16, pseudo(m.data + m.ip + 12, 8));
	} else {
		put16(m.data + m.ip + 4, 0);
		put16(m.data + m.tcp + 16, pseudo(m.data + m.ip + 8, 32));
	}
	assert_memory_equal(copy, m.data, 192);
	device_sends(1);
	assert_int_equal(take_back(), 1);
	assert_int_equal(hold.refs, 1);
}

static void test_tso(void **state)
{
	const uint8_t gso[2] = {PACKET_TCP4, PACKET_TCP6};

	for (unsigned i = 0; i < 4; i++) {
		tx_fresh(state);
		tso(gso[i & 1], i & 2);
	}
}

/* The frame behind a segmented one has its end apart, too, the next one not. */
static void test_tso_next(void **state)
{
	static const char bytes[100];
	const struct nic_seg seg = {bytes, 100};

	(void)state;
	tso(PACKET_TCP4, false);
	assert_int_equal(put(&seg, 1), 100);
	is_desc(7, &(struct e1000_tx_desc){
			   .addr = HPA + NIC_BUFFER, .len = 96, .command = E1000_TXD_IFCS});
	is_desc(8,
		&(struct e1000_tx_desc){.addr = HPA + NIC_BUFFER + 96, .len = 4, .command = PLAIN});
	assert_int_equal(put(&seg, 1), 100);
	is_desc(9, &(struct e1000_tx_desc){
			   .addr = HPA + 2 * NIC_BUFFER, .len = 100, .command = PLAIN});
}

/* What makes a single frame is not segmented: its header is complete. */
static void test_tso_one(void **state)
{
	struct made m = make(PACKET_TCP4, false, 192 + 1278);
	const struct nic_piece piece = {THERE, 1278};
	struct nic_hold hold = hold_of();

	(void)state;
	assert_int_equal(put_made(&m, 192, &piece, 1, &hold), 192 + 1278); /* 70 and 1400 */
	is_desc(0, &(struct e1000_tx_desc){.addr = context(0, 0, 0, 38, 54),
					   .command = E1000_TXD_DEXT | E1000_TXC_TCP});
	assert_int_equal(descs[1].command, DATA);
	assert_memory_equal(copies, m.data, 192);
}

/* Small segments, small descriptors, but the headers stay together. */
static void test_tso_small(void **state)
{
	struct made m = make(PACKET_TCP4, false, 192 + 700);
	const struct nic_piece piece = {THERE, 700};
	struct nic_hold hold = hold_of();

	tx_fresh_of(256, TX_BUFS);
	m.offload.gso_bytes = 17;
	assert_int_equal(put_made(&m, 192, &piece, 1, &hold), 892);
	assert_int_equal(descs[1].len, 70);
	for (unsigned i = 2; i < 4; i++)
		assert_int_equal(descs[i].len, i == 2 ? 68 : 54);
	for (unsigned i = 4; i < 14; i++)
		assert_int_equal(descs[i].len, 68);
	assert_int_equal(descs[14].len, 16);
	assert_int_equal(descs[15].len, 4);
	m.offload.gso_bytes = 16;
	assert_int_equal(put_made(&m, 192, &piece, 1, &hold), 0);
	assert_false(tx.refused);
	(void)state;
}

/* Copied as a whole: consecutive buffers, those at the end are left out when they are too few. */
static void test_tso_copied(void **state)
{
	static char rest[9000];
	struct made m = make(PACKET_TCP4, false, 192 + 9000);
	const struct nic_seg segs[2] = {{m.data, 192}, {rest, 9000}};
	struct nic_frame f = {.seg = segs, .n_segs = 2, .offload = m.offload};

	for (unsigned i = 0; i < sizeof(rest); i++)
		rest[i] = (char)(i * 7 / 3);
	for (unsigned turn = 0; turn < 10; turn++) {
		unsigned at = tx.next;

		assert_int_equal(e1000_tx_put(&tx, &f), 9192);
		assert_int_equal(descs[(at + 1) % TX_SIZE].addr, HPA);
		assert_int_equal(descs[(at + 1) % TX_SIZE].len, 1984);
		assert_int_equal(descs[(at + 2) % TX_SIZE].addr, HPA + 1984);
		assert_int_equal(descs[(at + 2) % TX_SIZE].len, 4096);
		assert_int_equal(descs[(at + 3) % TX_SIZE].addr, HPA + 1984 + 4096);
		assert_int_equal(descs[(at + 3) % TX_SIZE].len, 9192 - 1984 - 4096 - 4);
		assert_int_equal(descs[(at + 4) % TX_SIZE].len, 4);
		assert_memory_equal(copies + 192, rest, 9000);
		assert_int_equal(e1000_tx_put(&tx, &f), 0); /* 5 of 8, and the 3 others */
		assert_true(tx.refused);
		device_sends(1);
		assert_int_equal(take_back(), 1);
		assert_true(e1000_tx_room(&tx));
	}
	assert_int_equal(tx.bufs_used, 0);
	(void)state;
}

static bool refused(struct made m, size_t copied)
{
	static char rest[2000];
	const struct nic_seg segs[2] = {{m.data, copied}, {rest, 2000}};
	struct nic_frame f = {.seg = segs, .n_segs = 2, .offload = m.offload};

	return e1000_tx_put(&tx, &f) == 0 && !tx.refused && tx.next == 0;
}

#define BAD(gso, tagged, change)                                                                   \
	do {                                                                                       \
		struct made m = make(gso, tagged, 2192);                                           \
		change;                                                                            \
		assert_true(refused(m, 192));                                                      \
	} while (0)

static void test_offload_bad(void **state)
{
	struct made whole = make(PACKET_WHOLE, false, 100);
	struct nic_hold hold = hold_of();
	const struct nic_piece piece = {THERE, 4000};

	(void)state;
	for (uint8_t gso = PACKET_TCP4; gso <= PACKET_TCP6; gso += PACKET_TCP6 - PACKET_TCP4) {
		BAD(gso, false, m.offload.csum_wanted = false);
		BAD(gso, false, m.offload.gso = PACKET_TCP4 + PACKET_TCP6 - gso);
		BAD(gso, false, m.offload.gso = 3);
		BAD(gso, false, m.offload.gso_bytes = 0);
		BAD(gso, false, m.offload.gso_bytes = 1500);
		BAD(gso, false, m.offload.csum_offset = 6);
		BAD(gso, false, m.offload.csum_start += 4);
		BAD(gso, false, m.offload.csum_start = 14);
		BAD(gso, false, m.offload.csum_start = 250);
		BAD(gso, false, m.offload.header_bytes -= 4);
		BAD(gso, false, m.offload.header_bytes = 0xffff);
		BAD(gso, true, put16(m.data + 12, 0x88a8));
		BAD(gso, false, m.data[m.ip] ^= 0x10);
		BAD(gso, false, m.data[m.ip + (gso == PACKET_TCP4 ? 9 : 6)] = 17);
		BAD(gso, false, m.data[m.tcp + 12] = 0x40);
	}
	BAD(PACKET_TCP4, false, m.data[m.ip] = 0x44);
	BAD(PACKET_TCP4, false, m.data[m.ip] = 0x4f);
	for (unsigned copied = 1; copied < 70;
	     copied++) { /* its headers must be in what is copied */
		struct made m = make(PACKET_TCP4, false, 192 + 4000);

		assert_int_equal(put_made(&m, copied, &piece, 1, &hold), 0);
	}
	whole.offload.csum_start = 13;
	assert_int_equal(put_made(&whole, 100, NULL, 0, NULL), 0);
	whole.offload.csum_start = 99;
	whole.offload.csum_offset = 0;
	assert_int_equal(put_made(&whole, 100, NULL, 0, NULL), 0);
	whole.offload.csum_start = 0xffff;
	whole.offload.csum_offset = 0xffff;
	assert_int_equal(put_made(&whole, 100, NULL, 0, NULL), 0);
	whole = make(PACKET_WHOLE, false, 100);
	whole.offload.csum_offset = 300;
	assert_int_equal(put_made(&whole, 192, NULL, 0, NULL), 0);
	assert_int_equal(tx.next, 0);
	assert_int_equal(hold.refs, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_csum, tx_fresh, tx_done),
		cmocka_unit_test_setup_teardown(test_tso, tx_fresh, tx_done),
		cmocka_unit_test_setup_teardown(test_tso_next, tx_fresh, tx_done),
		cmocka_unit_test_setup_teardown(test_tso_one, tx_fresh, tx_done),
		cmocka_unit_test_setup_teardown(test_tso_small, tx_fresh, tx_done),
		cmocka_unit_test_setup_teardown(test_tso_copied, tx_fresh, tx_done),
		cmocka_unit_test_setup_teardown(test_offload_bad, tx_fresh, tx_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
