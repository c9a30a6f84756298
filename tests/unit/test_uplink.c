/* SPDX-License-Identifier: BSD-2-Clause */
/* A card as a port of a switch: batches that come in are joined for a guest, what goes out waits for room, by reference or as a copy. */
// SRC: net/checksum.c
// SRC: net/claim.c net/spoof.c
// SRC: net/fdb.c
// SRC: net/frame.c
// SRC: net/gro.c
// SRC: net/packet.c
// SRC: net/switch.c
// SRC: net/uplink.c
// FLAGS: -Inet -isystem build/deps/src/lwip/src/include
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "gro_check.h"
#include "net/netif.h"
#include "net/uplink.h"

enum { MSS = 1000, HEADERS = 54, WAITING = 256 };
#define ALL (PACKET_CAP_CSUM | PACKET_CAP_TCP4 | PACKET_CAP_TCP6)

static struct vswitch sw;
static struct uplink *uplink;
static struct switch_port guest;
static unsigned got, last_bytes;

/* ---- the card ---- */

static unsigned room_left, refuse_pieces; /* refuse_pieces: it refuses frames of more */
static struct {
	uint8_t data[256]; /* the first bytes */
	size_t bytes;
	unsigned n_pieces;
	struct nic_hold *hold;
	struct packet_offload offload;
} sent[400];
static unsigned n_sent;

static enum nic_send nic_send(struct nic *nic, const struct nic_frame *f)
{
	size_t at = 0;

	(void)nic;
	if (f->n_pieces > refuse_pieces)
		return NIC_REFUSED;
	if (room_left == 0)
		return NIC_FULL;
	room_left--;
	assert_true(n_sent < ARRAY_SIZE(sent));
	for (unsigned i = 0; i < f->n_segs; at += f->seg[i++].len)
		for (size_t k = 0; k < f->seg[i].len && at + k < 256; k++)
			sent[n_sent].data[at + k] = ((const uint8_t *)f->seg[i].data)[k];
	for (unsigned i = 0; i < f->n_pieces; i++)
		at += f->piece[i].bytes;
	sent[n_sent].bytes = at;
	sent[n_sent].n_pieces = f->n_pieces;
	sent[n_sent].offload = f->offload;
	sent[n_sent].hold = f->n_pieces ? f->hold : NULL;
	if (f->n_pieces)
		f->hold->refs++;
	n_sent++;
	return NIC_TAKEN;
}

static void card_is_done(void)
{
	for (unsigned i = 0; i < n_sent; i++)
		nic_hold_put(sent[i].hold);
	n_sent = 0;
}

static int nic_start(struct nic *nic)
{
	(void)nic;
	return 0;
}

static void nic_promiscuous(struct nic *nic, bool on)
{
	(void)nic, (void)on;
}

static const struct nic_ops nic_ops = {
	.start = nic_start, .send = nic_send, .set_promiscuous = nic_promiscuous};
static struct nic nic;

/* ---- what an uplink stands on ---- */

void rt_log(const char *fmt, ...)
{
	(void)fmt;
}

uint64_t rt_now(void)
{
	return 1000000000;
}

bool net_netif_has(const struct nic *n)
{
	(void)n;
	return false;
}

void net_netif_link(void)
{
}

void net_netif_alone(void)
{
}

enum switch_plug net_netif_share(struct vswitch *s)
{
	(void)s;
	return SWITCH_FULL;
}

/* ---- a guest ---- */

static bool guest_deliver(struct switch_port *port, const struct packet *p)
{
	(void)port;
	got++;
	last_bytes = p->bytes;
	return true;
}

static unsigned released;

static void release(struct nic_hold *hold)
{
	(void)hold;
	released++;
}

static unsigned per_piece; /* bytes */

static bool pieces(struct packet_source *s, const void *data, size_t bytes, struct nic_piece *out,
		   unsigned max, unsigned *n)
{
	(void)s;
	for (size_t at = 0; at < bytes; at += per_piece) {
		size_t part = bytes - at < per_piece ? bytes - at : per_piece;

		if (*n == max)
			return false;
		out[(*n)++] = (struct nic_piece){(uintptr_t)data + at, (uint32_t)part};
	}
	return true;
}

static struct packet_source source = {.hold = {.release = release}, .pieces = pieces};
static uint8_t frame[HEADERS + 20 * MSS];

/* A TCP packet of that payload, to be split and summed; `mark` is in its urgent pointer. */
static void guest_sends(uint32_t payload, uint16_t mark, bool by_reference)
{
	static const uint8_t head[HEADERS] = {2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0,
					      0, 0, 0, 0, 0, 0, 9, 6, 0, 0, 9, 9, 9, 9, 8,    8,
					      8, 8, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10};
	const struct packet_offload o = {.gso = payload > MSS ? PACKET_TCP4 : PACKET_WHOLE,
					 .csum_wanted = true,
					 .gso_bytes = MSS,
					 .csum_start = 34,
					 .csum_offset = 16};
	const struct nic_seg seg = {frame, HEADERS + payload};
	struct packet p;

	memcpy(frame, head, HEADERS);
	packet_put16(frame + 16, (uint16_t)(40 + payload));
	packet_put16(frame + 52, mark);
	assert_true(packet_make(&p, &seg, 1, &o));
	if (by_reference) {
		source.hold.refs++;
		p.source = p.n_rest ? &source : NULL;
	}
	(void)switch_input(&guest, &p, 1000000000);
	if (by_reference)
		nic_hold_put(&source.hold);
}

static int plug(void **state)
{
	static const struct switch_port_ops guest_ops = {.deliver = guest_deliver};
	const char *why;

	(void)state;
	nic = (struct nic){.name = "card", .link = true, .ops = &nic_ops};
	guest = (struct switch_port){.ops = &guest_ops,
				     .config = {.has_mac = true, .mac = {2, 0, 0, 0, 0, 1}}};
	switch_init(&sw, 1);
	assert_int_equal(switch_plug(&sw, &guest), SWITCH_OK);
	guest.up = true;
	uplink = uplink_open(&nic, &sw, &why);
	assert_non_null(uplink);
	room_left = 1000;
	refuse_pieces = NIC_PIECES_MAX;
	per_piece = 4096;
	released = n_sent = 0;
	source.hold.refs = 0;
	return 0;
}

static int pull_out(void **state)
{
	(void)state;
	card_is_done();
	uplink_close(uplink);
	assert_int_equal(source.hold.refs, 0);
	assert_int_equal(sw.n_ports, 1);
	switch_unplug(&guest);
	switch_free(&sw);
	return 0;
}

/* ---- tests ---- */

static void comes_in(unsigned flows, unsigned n)
{
	batch_new();
	for (unsigned i = 0; i < flows; i++) {
		struct spec s = spec_new(i + 1, false);

		for (unsigned k = 0; k < n; k++, spec_next(&s))
			batch_add(&s);
	}
	got = 0;
	nic.rx(&nic, batch.rx, batch.n);
	batch_free();
}

static void test_batches(void **state)
{
	(void)state;
	comes_in(1, 10);
	assert_int_equal(got, 10);
	assert_int_equal(uplink_port(uplink)->counters.tx_frames, 10);
	guest.caps = ALL;
	comes_in(2, 10);
	assert_int_equal(got, 2);
	assert_int_equal(last_bytes, 14 + 20 + 32 + 10000);
	assert_int_equal(uplink_port(uplink)->counters.tx_frames, 12);
	assert_int_equal(guest.counters.rx_bytes, 10 * (14 + 20 + 32 + 1000) + 2 * 10066);
}

/* As much is left to the card as it does. */
static void test_caps(void **state)
{
	(void)state;
	nic.caps = PACKET_CAP_CSUM | PACKET_CAP_TCP4;
	guest_sends(5 * MSS, 1, true);
	assert_int_equal(n_sent, 1);
	assert_int_equal(sent[0].offload.gso, PACKET_TCP4);
	assert_int_equal(sent[0].bytes, HEADERS + 5 * MSS);
	assert_true(sent[0].n_pieces);
	card_is_done();
	nic.caps = PACKET_CAP_CSUM;
	guest_sends(5 * MSS, 1, true);
	assert_int_equal(n_sent, 5);
	assert_true(sent[4].offload.csum_wanted);
	assert_int_equal(sent[4].bytes, HEADERS + MSS);
	assert_int_equal(sent[4].n_pieces, 1);
	assert_int_equal(source.hold.refs, 5);
	card_is_done();
	assert_int_equal(released, 2);
	nic.caps = 0;
	guest_sends(5 * MSS, 1, false); /* nobody keeps it: copied */
	assert_int_equal(n_sent, 5);
	assert_false(sent[4].offload.csum_wanted);
	assert_int_equal(sent[4].n_pieces, 0);
}

/* Memory that lies too scattered for the card, or for a list of pieces: it is cut for it, and what still is is copied. */
static void test_scattered(void **state)
{
	(void)state;
	nic.caps = ALL;
	refuse_pieces = 2;
	per_piece = 1000;
	guest_sends(5 * MSS, 1, true);
	assert_int_equal(n_sent, 5);
	assert_int_equal(sent[0].offload.gso, PACKET_WHOLE);
	card_is_done();
	refuse_pieces = NIC_PIECES_MAX;
	per_piece = 10;
	guest_sends(MSS, 1, true);
	assert_int_equal(n_sent, 1);
	assert_int_equal(sent[0].n_pieces, 0);
	assert_int_equal(sent[0].bytes, HEADERS + MSS);
}

/* Without room it waits, what comes later behind it, and goes on where it had stopped. */
static void test_waits(void **state)
{
	(void)state;
	nic.caps = PACKET_CAP_CSUM;
	room_left = 3;
	guest_sends(5 * MSS, 1, true);
	assert_int_equal(n_sent, 3);
	room_left = 0;
	guest_sends(MSS, 2, true);
	guest_sends(MSS, 3, false);
	guest_sends(0, 4, false);
	memset(frame, 0xee, sizeof(frame)); /* whose memory that was does other things with it */
	assert_int_equal(n_sent, 3);
	assert_int_equal(guest.counters.rx_no_room, 0);
	assert_int_equal(source.hold.refs, 3 + 2);
	card_is_done();
	assert_int_equal(source.hold.refs, 2);
	room_left = 1;
	nic.room(&nic);
	assert_int_equal(n_sent, 1);
	assert_int_equal(packet_get32(sent[0].data + 38), 3 * MSS);
	room_left = 10;
	nic.room(&nic);
	assert_int_equal(n_sent, 1 + 1 + 3);
	assert_int_equal(packet_get32(sent[1].data + 38), 4 * MSS);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(packet_get16(sent[i].data + 52), i < 2 ? 1 : i);
	assert_int_equal(sent[3].data[HEADERS + 150], 0); /* as it was when it was sent */
	assert_int_equal(sent[3].n_pieces, 0);
	card_is_done();
	assert_int_equal(released, 1);
}

static void test_too_many(void **state)
{
	(void)state;
	room_left = 0;
	for (unsigned i = 0; i < WAITING + 10; i++)
		guest_sends(MSS, (uint16_t)i, i & 1);
	assert_int_equal(uplink_port(uplink)->counters.rx_no_room, 10);
	room_left = 1000;
	nic.room(&nic);
	assert_int_equal(n_sent, WAITING);
	for (unsigned i = 0; i < WAITING; i++)
		assert_int_equal(packet_get16(sent[i].data + 52), i);
}

/* Nobody waits for a card without a link, or at the end. */
static void test_link(void **state)
{
	(void)state;
	room_left = 0;
	guest_sends(5 * MSS, 1, true);
	guest_sends(MSS, 2, false);
	assert_int_equal(source.hold.refs, 1);
	nic.link = false;
	nic.link_changed(&nic);
	assert_int_equal(source.hold.refs, 0);
	nic.link = true;
	nic.link_changed(&nic);
	room_left = 10;
	nic.room(&nic);
	assert_int_equal(n_sent, 0);
	room_left = 0;
	guest_sends(5 * MSS, 1, true);
	assert_int_equal(source.hold.refs, 1); /* pull_out() looks */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, plug, pull_out)
	const struct CMUnitTest tests[] = {
		T(test_batches), T(test_caps),     T(test_scattered),
		T(test_waits),   T(test_too_many), T(test_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
