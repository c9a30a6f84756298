/* SPDX-License-Identifier: BSD-2-Clause */
/* The switch: where frames go, and where they do not; what a port may send; limits. */
// SRC: net/checksum.c
// SRC: net/fdb.c
// SRC: net/frame.c
// SRC: net/packet.c
// SRC: net/claim.c net/spoof.c
// SRC: net/switch.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "net/switch.h"

#define S 1000000000ull
#define N 5

static struct vswitch sw;
static struct switch_port port[N];
static unsigned got[N];
static struct packet last;
static bool full[N];

static bool deliver(struct switch_port *p, const struct packet *f)
{
	if (full[p - port])
		return false;
	got[p - port]++;
	last = *f;
	return true;
}

static const struct switch_port_ops ops = {.deliver = deliver};

static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
static uint8_t mac[N][6]; /* 02:0:0:0:0:n */

static void plug(unsigned i, struct switch_port_config c)
{
	port[i] = (struct switch_port){.ops = &ops, .config = c};
	assert_int_equal(switch_plug(&sw, &port[i]), SWITCH_OK);
	port[i].up = true;
}

static int setup(void **state)
{
	(void)state;
	switch_init(&sw, 12345);
	memset(got, 0, sizeof(got));
	memset(full, 0, sizeof(full));
	for (unsigned i = 0; i < N; i++) {
		memcpy(mac[i], (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)i}, 6);
		plug(i, (struct switch_port_config){.learn = 4, .floods = true});
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < N; i++)
		switch_unplug(&port[i]);
	assert_int_equal(sw.n_ports, 0);
	assert_int_equal(sw.fdb.reserved, 0);
	switch_free(&sw);
	return 0;
}

static uint8_t frame[1600];

static size_t eth(const uint8_t *to, const uint8_t *from, unsigned vid, unsigned type)
{
	size_t n = 12;

	memset(frame, 0, sizeof(frame));
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	if (vid) {
		packet_put16(frame + 12, 0x8100);
		packet_put16(frame + 14, (uint16_t)vid);
		n += 4;
	}
	packet_put16(frame + n, (uint16_t)type);
	return n + 2;
}

static unsigned put(unsigned from, size_t n, uint64_t now)
{
	struct nic_seg seg = {frame, n};
	struct packet p;

	assert_true(packet_make(&p, &seg, 1, NULL));
	return switch_input(&port[from], &p, now);
}

static unsigned send(unsigned from, const uint8_t *to, const uint8_t *src)
{
	(void)eth(to, src, 0, 0x1234);
	return put(from, 60, S);
}

static void expect(unsigned a, unsigned b, unsigned c, unsigned d, unsigned e)
{
	unsigned want[N] = {a, b, c, d, e};

	for (unsigned i = 0; i < N; i++)
		assert_int_equal(got[i], want[i]);
	memset(got, 0, sizeof(got));
}

static void test_floods_then_learns(void **state)
{
	(void)state;
	assert_int_equal(send(0, mac[1], mac[0]), 4);
	expect(0, 1, 1, 1, 1);
	assert_int_equal(send(1, mac[0], mac[1]), 1);
	expect(1, 0, 0, 0, 0);
	assert_int_equal(send(0, mac[1], mac[0]), 1);
	expect(0, 1, 0, 0, 0);
	send(0, all, mac[0]);
	expect(0, 1, 1, 1, 1);
	/* To itself: nowhere. */
	assert_int_equal(send(0, mac[0], mac[0]), 0);
	expect(0, 0, 0, 0, 0);
	assert_int_equal(port[0].counters.tx_frames, 4);
	assert_int_equal(port[0].counters.flooded, 8);
}

/* What a port has had is not forgotten with it. */
static void test_total(void **state)
{
	struct switch_counters before, after;

	(void)state;
	send(0, all, mac[0]);
	switch_malformed(&port[1]);
	switch_total(&sw, &before);
	assert_int_equal(before.tx_frames, 1);
	assert_int_equal(before.rx_frames, 4);
	assert_int_equal(before.tx_malformed, 1);
	switch_unplug(&port[0]);
	switch_unplug(&port[1]);
	switch_total(&sw, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	plug(0, (struct switch_port_config){.learn = 4});
	send(0, all, mac[0]);
	switch_total(&sw, &after);
	assert_int_equal(after.tx_frames, 2);
}

static void test_ages(void **state)
{
	(void)state;
	send(1, all, mac[1]);
	expect(1, 0, 1, 1, 1);
	(void)eth(mac[1], mac[0], 0, 0x1234);
	put(0, 60, 300 * S);
	expect(0, 1, 0, 0, 0);
	put(0, 60, 301 * S);
	expect(0, 1, 1, 1, 1);
	assert_int_equal(port[1].learned.learned, 0);
}

static void test_moves(void **state)
{
	(void)state;
	send(1, all, mac[1]);
	send(2, all, mac[1]);
	memset(got, 0, sizeof(got));
	send(0, mac[1], mac[0]);
	expect(0, 0, 1, 0, 0);
	assert_int_equal(port[1].learned.learned, 0);
	assert_int_equal(port[2].learned.learned, 1);
}

static void test_flood_of_senders(void **state)
{
	uint8_t from[6] = {2, 9};

	(void)state;
	send(1, all, mac[1]);
	for (unsigned i = 0; i < 1000; i++) {
		packet_put16(from + 4, (uint16_t)i);
		send(0, all, from);
	}
	assert_int_equal(port[0].learned.learned, 4);
	assert_int_equal(port[0].counters.tx_not_learned, 996);
	memset(got, 0, sizeof(got));
	send(2, mac[1], mac[2]);
	expect(0, 1, 0, 0, 0);
	/* When its own have aged there is room again. */
	(void)eth(all, mac[0], 0, 0x1234);
	put(0, 60, 400 * S);
	assert_int_equal(port[0].learned.learned, 1);
}

static void test_given_address(void **state)
{
	struct switch_port_config c = {.has_mac = true, .mac = {2, 0, 0, 0, 0, 3}, .learn = 2};
	struct switch_port other = {.ops = &ops, .config = c};

	(void)state;
	switch_unplug(&port[3]);
	plug(3, c);
	assert_int_equal(switch_plug(&sw, &other), SWITCH_MAC_TAKEN);
	send(0, mac[3], mac[0]); /* found though it has sent nothing */
	expect(0, 0, 0, 1, 0);
	/* Nobody else has it. */
	assert_int_equal(send(1, all, mac[3]), 0);
	assert_int_equal(port[1].counters.tx_spoofed, 1);
	/* What nobody knows does not come here, but when it listens to all. */
	send(0, mac[4], mac[0]);
	expect(0, 1, 1, 0, 1);
	port[3].promiscuous = true;
	send(0, mac[4], mac[0]);
	expect(0, 1, 1, 1, 1);
	/* It may still send from others: it may be a bridge. */
	assert_int_equal(send(3, all, mac[2]), 4);
}

static void test_reserved_and_malformed(void **state)
{
	static const uint8_t stp[6] = {1, 0x80, 0xc2, 0, 0, 0}, lldp[6] = {1, 0x80, 0xc2, 0, 0, 14};
	static const uint8_t gmrp[6] = {1, 0x80, 0xc2, 0, 0, 0x20}, zero[6];
	struct nic_seg seg = {frame, 13};
	struct packet p;

	(void)state;
	assert_int_equal(send(0, stp, mac[0]), 0);
	assert_int_equal(send(0, lldp, mac[0]), 0);
	assert_int_equal(port[0].counters.tx_reserved, 2);
	assert_int_equal(send(0, gmrp, mac[0]), 4);
	assert_int_equal(send(0, mac[1], all), 0);
	assert_int_equal(send(0, mac[1], zero), 0);
	assert_int_equal(port[0].counters.tx_malformed, 2);
	assert_false(packet_make(&p, &seg, 1, NULL));
	seg.len = 1515;
	assert_false(packet_make(&p, &seg, 1, NULL));
	(void)eth(all, mac[0], 0, ETH_TYPE_ARP); /* too short for ARP */
	seg.len = 40;
	assert_false(packet_make(&p, &seg, 1, NULL));
}

static void test_vlans(void **state)
{
	struct switch_port_config access = {.vid = 7, .learn = 4, .floods = true};
	struct switch_port_config trunk = {.trunk = true, .learn = 100, .floods = true};

	(void)state;
	for (unsigned i = 2; i < 5; i++)
		switch_unplug(&port[i]);
	plug(2, access);
	plug(3, access);
	plug(4, trunk);
	/* 0 and 1 are untagged, 2 and 3 in VLAN 7, 4 sees both. */
	send(0, all, mac[0]);
	expect(0, 1, 0, 0, 1);
	assert_false(switch_tagged(&port[4], &last));
	send(2, all, mac[2]);
	expect(0, 0, 0, 1, 1);
	assert_int_equal(last.vid, 7);
	assert_true(switch_tagged(&port[4], &last));
	/* From the trunk, with a priority, which stays. */
	eth(all, mac[4], 7 | 5 << 13, 0x1234);
	put(4, 64, S);
	expect(0, 0, 1, 1, 0);
	assert_int_equal(last.pcp, 10);
	assert_int_equal(last.bytes, 60);
	eth(all, mac[4], 9, 0x1234);
	put(4, 64, S);
	expect(0, 0, 0, 0, 0);
	/* The same address in two VLANs is two. */
	send(2, mac[0], mac[2]);
	expect(0, 0, 0, 1, 1);
	/* A guest chooses no VLAN. */
	eth(all, mac[0], 7, 0x1234);
	assert_int_equal(put(0, 64, S), 0);
	assert_int_equal(port[0].counters.tx_vlan, 1);
	eth(all, mac[2], 7, 0x1234);
	assert_int_equal(put(2, 64, S), 0);
	/* A tag of priority only is none. */
	eth(all, mac[2], 3 << 13, 0x1234);
	packet_put16(frame + 12, 0x8100);
	packet_put16(frame + 14, 3 << 13);
	assert_int_equal(put(2, 64, S), 2);
	assert_int_equal(last.pcp, 6);
	eth(all, mac[4], 4095, 0x1234);
	assert_int_equal(put(4, 64, S), 0);
}

/* A guest with tags: two VLANs and the one without, or two alone. */
static void test_guest_trunk(void **state)
{
	struct switch_port_config c = {
		.vid = 5, .n_vids = 2, .vids = {7, 8}, .has_mac = true, .mac = {2, 9}, .learn = 4};
	static const uint8_t given[6] = {2, 9};
	struct switch_port another = {.ops = &ops};

	(void)state;
	for (unsigned i = 0; i < N; i++)
		switch_unplug(&port[i]);
	plug(0, c);
	for (unsigned i = 1; i < N; i++)
		plug(i, (struct switch_port_config){.vid = (uint16_t)(i + 4), .learn = 4});
	/* Ports 1 to 4 are in VLANs 5 to 8. */
	send(0, all, given);
	expect(0, 1, 0, 0, 0);
	for (unsigned vid = 5; vid <= 8; vid++) {
		eth(all, given, vid, 0x1234);
		assert_int_equal(put(0, 64, S), vid >= 7);
		expect(0, 0, 0, vid == 7, vid == 8);
	}
	assert_int_equal(port[0].counters.tx_vlan, 2);
	/* It is found by its MAC in each of them; with the tag that it must have. */
	send(3, given, mac[3]);
	expect(1, 0, 0, 0, 0);
	assert_true(switch_tagged(&port[0], &last));
	send(1, given, mac[1]);
	expect(1, 0, 0, 0, 0);
	assert_false(switch_tagged(&port[0], &last));
	assert_false(switch_tagged(&port[1], &last));
	assert_int_equal(send(2, given, mac[2]), 0);
	/* Nobody else sends from it, nor can have it, where it is. */
	assert_int_equal(send(4, all, given), 0);
	assert_int_equal(send(2, all, given), 0); /* nobody is there, but it may */
	assert_int_equal(port[2].counters.tx_spoofed, 0);
	assert_int_equal(port[4].counters.tx_spoofed, 1);
	another.config = c;
	another.config.vid = 9;
	assert_int_equal(switch_plug(&sw, &another), SWITCH_MAC_TAKEN);
	/* Without any but tagged ones. */
	switch_unplug(&port[0]);
	memset(got, 0, sizeof(got));
	c.tagged_only = true;
	c.vids[1] = 5;
	plug(0, c);
	assert_int_equal(send(0, all, given), 0);
	assert_int_equal(port[0].counters.tx_vlan, 1);
	eth(all, given, 5, 0x1234);
	put(0, 64, S);
	expect(0, 1, 0, 0, 0);
	send(1, given, mac[1]);
	expect(1, 0, 0, 0, 0);
	assert_true(switch_tagged(&port[0], &last));
}

static void test_trunk_claims(void **state)
{
	struct switch_port_config c = {
		.vid = 5, .n_vids = 1, .vids = {7}, .n_addrs = 1, .addrs = {{4, {10, 0, 0, 1}}}};
	struct switch_port b = {.ops = &ops};

	(void)state;
	switch_unplug(&port[0]);
	plug(0, c);
	b.config = c;
	b.config.vid = 6;
	assert_int_equal(switch_plug(&sw, &b), SWITCH_ADDR_TAKEN); /* both are in 7 */
	b.config.vids[0] = 5;
	assert_int_equal(switch_plug(&sw, &b), SWITCH_ADDR_TAKEN);
	b.config.tagged_only = true;
	b.config.vids[0] = 8;
	assert_int_equal(switch_plug(&sw, &b), SWITCH_OK);
	switch_unplug(&b);
}

static void test_wire_form(void **state)
{
	struct nic_seg seg[3] = {{frame, 5}, {frame + 5, 200}, {frame + 205, 95}};
	struct packet_wire out;
	uint8_t flat[1600];
	struct packet p;
	size_t at = 0;

	(void)state;
	eth(mac[1], mac[0], 7 | 5 << 13, 0x1234);
	for (unsigned i = 18; i < 300; i++)
		frame[i] = (uint8_t)i;
	assert_true(packet_make(&p, seg, 3, NULL));
	packet_wire(&p, true, &out);
	for (unsigned i = 0; i < out.frame.n_segs; at += out.seg[i++].len)
		memcpy(flat + at, out.seg[i].data, out.seg[i].len);
	assert_int_equal(at, 300);
	assert_memory_equal(flat, frame, 300);
	packet_copy(&p, flat);
	assert_memory_equal(flat, frame, 12);
	assert_memory_equal(flat + 12, frame + 16, 284);
	/* Padded. */
	seg[0].len = 20;
	assert_true(packet_make(&p, seg, 1, NULL));
	packet_wire(&p, false, &out);
	at = 0;
	for (unsigned i = 0; i < out.frame.n_segs; i++)
		at += out.seg[i].len;
	assert_int_equal(at, 60);
}

static void test_isolated(void **state)
{
	struct switch_port_config c = {.isolated = true, .learn = 4, .floods = true};

	(void)state;
	switch_unplug(&port[1]);
	switch_unplug(&port[2]);
	plug(1, c);
	plug(2, c);
	send(1, all, mac[1]);
	expect(1, 0, 0, 1, 1);
	send(0, all, mac[0]);
	expect(0, 1, 1, 1, 1);
	assert_int_equal(send(2, mac[1], mac[2]), 0);
	assert_int_equal(send(2, mac[0], mac[2]), 1);
}

static unsigned caps(unsigned from, const uint8_t *to, unsigned vid, uint64_t now)
{
	struct nic_seg seg = {frame, 64};
	struct packet p;

	(void)eth(to, mac[from], vid, 0x1234);
	assert_true(packet_make(&p, &seg, 1, NULL));
	return switch_caps(&port[from], &p, now);
}

/* Those of the one port where a frame goes, as switch_input() would have it; nothing is learned. */
static void test_caps(void **state)
{
	struct switch_port_config guest = {.vid = 7, .has_mac = true, .mac = {2, 0, 0, 0, 0, 3}};
	struct switch_port alone = {.up = true};
	struct nic_seg seg = {frame, 64};
	struct packet p;

	(void)state;
	for (unsigned i = 0; i < N; i++)
		port[i].caps = i + 1;
	assert_int_equal(caps(0, mac[1], 0, S), 0); /* unknown */
	send(1, all, mac[1]);
	memset(got, 0, sizeof(got));
	assert_int_equal(caps(0, mac[1], 0, S), 2);
	assert_int_equal(caps(0, all, 0, S), 0);
	assert_int_equal(caps(1, mac[1], 0, S), 0); /* where it came from */
	assert_int_equal(caps(1, mac[0], 0, S), 0); /* asking has not made it known */
	port[1].up = false;
	assert_int_equal(caps(0, mac[1], 0, S), 0);
	port[1].up = true;
	port[0].up = false;
	assert_int_equal(caps(0, mac[1], 0, S), 0);
	port[0].up = true;
	assert_int_equal(caps(0, mac[1], 7, S), 0); /* may not send it */
	assert_int_equal(caps(0, mac[1], 0, 301 * S), 0);
	expect(0, 0, 0, 0, 0);
	/* In VLANs: its own where there is no tag, that of the tag from a trunk. */
	for (unsigned i = 2; i < 5; i++)
		switch_unplug(&port[i]);
	plug(2, (struct switch_port_config){.vid = 7});
	plug(3, guest);
	plug(4, (struct switch_port_config){.trunk = true});
	port[3].caps = 4;
	assert_int_equal(caps(2, mac[3], 0, S), 4);
	assert_int_equal(caps(4, mac[3], 7, S), 4);
	assert_int_equal(caps(4, mac[3], 0, S), 0);
	assert_int_equal(caps(4, mac[3], 8, S), 0);
	port[2].config.isolated = port[3].config.isolated = true;
	assert_int_equal(caps(2, mac[3], 0, S), 0);
	/* Of no switch. */
	assert_true(packet_make(&p, &seg, 1, NULL));
	assert_int_equal(switch_caps(&alone, &p, S), 0);
}

static void test_link(void **state)
{
	(void)state;
	port[1].up = false;
	send(0, all, mac[0]);
	expect(0, 0, 1, 1, 1);
	assert_int_equal(send(1, all, mac[1]), 0);
	assert_int_equal(port[1].counters.tx_frames, 0);
}

static void test_no_room(void **state)
{
	(void)state;
	full[1] = true;
	send(0, all, mac[0]);
	assert_int_equal(port[1].counters.rx_no_room, 1);
	assert_int_equal(port[1].counters.rx_frames, 0);
	expect(0, 0, 1, 1, 1);
}

static void test_rates(void **state)
{
	struct switch_port_config c = {
		.rate = {.frames_per_s = 1000, .burst_ms = 100}, .learn = 4, .floods = true};
	unsigned sent = 0;

	(void)state;
	switch_unplug(&port[0]);
	plug(0, c);
	(void)eth(all, mac[0], 0, 0x1234);
	for (unsigned i = 0; i < 1000; i++) /* at one moment: what is saved up */
		sent += put(0, 60, 5 * S) != 0;
	assert_int_equal(sent, 100);
	assert_int_equal(port[0].counters.tx_limited, 900);
	for (unsigned i = 0; i < 10000; i++) /* a second */
		sent += put(0, 60, 5 * S + i * 100000) != 0;
	assert_in_range(sent, 1090, 1101);
	/* The other way by itself. */
	(void)eth(all, mac[1], 0, 0x1234);
	for (unsigned i = 0; i < 1000; i++)
		put(1, 60, 7 * S);
	assert_int_equal(port[0].counters.rx_limited, 900);
	/* Bytes. */
	c.rate = (struct switch_rate){.bytes_per_s = 15140000, .burst_ms = 100};
	switch_unplug(&port[0]);
	plug(0, c);
	(void)eth(all, mac[0], 0, 0x1234);
	for (unsigned i = sent = 0; i < 20000; i++)
		sent += put(0, 1514, 9 * S + i * 50000) != 0;
	assert_in_range(sent, 10900, 11001);
	/* A burst of two seconds, saved up in as many. */
	c.rate = (struct switch_rate){.frames_per_s = 1000, .burst_ms = 2000};
	switch_unplug(&port[0]);
	plug(0, c);
	(void)eth(all, mac[0], 0, 0x1234);
	for (unsigned i = sent = 0; i < 3000; i++)
		sent += put(0, 60, 20 * S) != 0;
	assert_int_equal(sent, 2000);
	for (unsigned i = sent = 0; i < 3000; i++)
		sent += put(0, 60, 21 * S + S / 2) != 0;
	assert_int_equal(sent, 1500);
	for (unsigned i = sent = 0; i < 3000; i++)
		sent += put(0, 60, 60 * S) != 0;
	assert_int_equal(sent, 2000);
}

/* ---- spoofing ---- */

static bool may(const struct switch_port_config *c, size_t n)
{
	struct nic_seg seg = {frame, n};
	struct packet p;

	assert_true(packet_make(&p, &seg, 1, NULL));
	return spoof_check(c, &p);
}

static const struct switch_port_config strict = {
	.anti_spoof = true,
	.addrs_only = true,
	.mac = {2, 0, 0, 0, 0, 0},
	.n_addrs = 2,
	.addrs = {{4, {10, 0, 0, 1}}, {6, {0xfe, 0x80, [15] = 1}}},
};

static void test_spoof_ipv4(void **state)
{
	struct switch_port_config mac_only = strict;

	(void)state;
	mac_only.addrs_only = false;
	eth(all, mac[1], 0, 0x1234);
	assert_false(may(&strict, 60));
	eth(all, mac[0], 0, 0x1234);
	assert_true(may(&strict, 60));
	/* ARP: sender's MAC at 22, IP at 28. */
	eth(all, mac[0], 0, ETH_TYPE_ARP);
	memcpy(frame + 22, mac[0], 6);
	memcpy(frame + 38, (uint8_t[]){10, 0, 0, 1}, 4);
	assert_true(may(&strict, 60)); /* a probe */
	frame[41] = 2;
	assert_false(may(&strict, 60)); /* whoever has that would give it up */
	memcpy(frame + 28, (uint8_t[]){10, 0, 0, 1}, 4);
	assert_true(may(&strict, 60));
	frame[31] = 2;
	assert_false(may(&strict, 60));
	assert_true(may(&mac_only, 60));
	frame[27] = 9;
	assert_false(may(&mac_only, 60));
	/* IPv4: source at 26. */
	eth(all, mac[0], 0, ETH_TYPE_IPV4);
	assert_true(may(&strict, 60));
	memcpy(frame + 26, (uint8_t[]){10, 0, 0, 2}, 4);
	assert_false(may(&strict, 60));
	assert_true(may(&mac_only, 60));
}

static size_t nd(unsigned type, const uint8_t *option_mac)
{
	size_t n = eth(all, mac[0], 0, ETH_TYPE_IPV6);

	frame[n] = 0x60;
	frame[n + 6] = 58;
	frame[n + 8] = 0xfe;
	frame[n + 9] = 0x80;
	frame[n + 23] = 1;
	frame[n + 40] = (uint8_t)type;
	memcpy(frame + n + 48, frame + n + 8, 16); /* target */
	frame[n + 64] = 2;
	frame[n + 65] = 1;
	memcpy(frame + n + 66, option_mac, 6);
	return n + 72;
}

static void test_spoof_ipv6(void **state)
{
	size_t n = nd(136, mac[0]);

	(void)state;
	assert_true(may(&strict, n));
	frame[14 + 63] = 9; /* another's target */
	assert_false(may(&strict, n));
	n = nd(136, mac[1]);
	assert_false(may(&strict, n));
	n = nd(136, mac[0]);
	frame[14 + 65] = 0; /* an option without length */
	assert_false(may(&strict, n));
	n = nd(134, mac[0]); /* it is no router */
	assert_false(may(&strict, n));
	n = nd(136, mac[0]);
	frame[14 + 23] = 2; /* another's source */
	assert_false(may(&strict, n));
	/* Whether anybody has its own address, or another's. */
	n = nd(135, mac[0]);
	memset(frame + 14 + 8, 0, 16);
	frame[14 + 64] = 14; /* no address: a nonce */
	assert_true(may(&strict, n));
	frame[14 + 63] = 9;
	assert_false(may(&strict, n));
	/* The address that follows from its MAC needs no mention; one that does not, does. */
	n = nd(136, mac[0]);
	for (unsigned at = 14 + 8; at <= 14 + 48; at += 40)
		memcpy(frame + at, (uint8_t[16]){0xfe, 0x80, [11] = 0xff, 0xfe}, 16);
	assert_true(may(&strict, n));
	frame[14 + 63]++;
	assert_false(may(&strict, n));
	/* Longer than can be seen. */
	(void)nd(136, mac[0]);
	assert_false(may(&strict, 400));
	(void)nd(128, mac[0]); /* an echo may be */
	assert_true(may(&strict, 400));
}

static void test_spoof_extensions(void **state)
{
	size_t n = eth(all, mac[0], 0, ETH_TYPE_IPV6);
	uint8_t *at = frame + n + 40;

	(void)state;
	frame[n] = 0x60;
	frame[n + 6] = 0; /* hop by hop, then ICMPv6 */
	at[0] = 58;
	at[8] = 143; /* MLD */
	assert_true(may(&strict, n + 40 + 8 + 20));
	at[8] = 136;
	assert_false(may(&strict, n + 40 + 8 + 20));
	at[1] = 200; /* a length that leaves the packet */
	assert_false(may(&strict, n + 40 + 8 + 20));
	at[0] = at[1] = at[8] = 0; /* and so on */
	assert_false(may(&strict, n + 40 + 8 + 40));
}

/* Who may use IPv4 only may not use just any IPv6. */
static void test_spoof_other_version(void **state)
{
	struct switch_port_config c = strict;
	size_t n = nd(128, mac[0]);

	(void)state;
	assert_true(may(&c, n));
	c.n_addrs = 1;
	assert_false(may(&c, n));
}

static bool leased(const void *ctx, const uint8_t *from, uint32_t address)
{
	return address == *(const uint32_t *)ctx && memcmp(from, mac[0], 6) == 0;
}

static void test_spoof_leased(void **state)
{
	static uint32_t lease = 0x0a000007;
	struct switch_port_config c = strict;

	(void)state;
	c.n_addrs = 0;
	eth(all, mac[0], 0, ETH_TYPE_IPV4);
	assert_true(may(&c, 60)); /* it asks for one */
	memcpy(frame + 26, (uint8_t[]){10, 0, 0, 7}, 4);
	assert_false(may(&c, 60));
	c.leased = leased;
	c.leased_ctx = &lease;
	assert_true(may(&c, 60));
	lease++;
	assert_false(may(&c, 60));
	lease--;
}

/* ---- addresses that are somebody's ---- */

static unsigned arp_from(unsigned i, uint8_t last)
{
	eth(all, mac[i], 0, ETH_TYPE_ARP);
	memcpy(frame + 22, mac[i], 6);
	memcpy(frame + 28, (uint8_t[]){10, 0, 0, last}, 4);
	return put(i, 60, S);
}

static unsigned ip_from(unsigned i, uint8_t last)
{
	eth(all, mac[i], 0, ETH_TYPE_IPV4);
	memcpy(frame + 26, (uint8_t[]){10, 0, 0, last}, 4);
	return put(i, 60, S);
}

static void test_claims(void **state)
{
	struct switch_port_config c = strict;
	struct switch_port another = {.ops = &ops};

	(void)state;
	switch_unplug(&port[0]);
	switch_unplug(&port[3]);
	switch_unplug(&port[4]);
	c.has_mac = true;
	plug(0, c);
	plug(3, (struct switch_port_config){.trunk = true, .learn = 4});
	plug(4, (struct switch_port_config){.vid = 7, .learn = 4});
	assert_int_equal(sw.n_claims, 2);
	/* Its owner may, nobody else; other addresses are free. */
	assert_int_not_equal(arp_from(0, 1), 0);
	assert_int_not_equal(ip_from(0, 1), 0);
	assert_int_equal(arp_from(1, 1), 0);
	assert_int_equal(ip_from(1, 1), 0);
	assert_int_equal(port[1].counters.tx_spoofed, 2);
	assert_int_not_equal(arp_from(1, 2), 0);
	/* From outside a router may send back what came, and not answer for it. */
	assert_int_not_equal(ip_from(3, 1), 0);
	assert_int_equal(arp_from(3, 1), 0);
	/* Another VLAN has its own addresses. */
	assert_int_not_equal(arp_from(4, 1), 0);
	/* IPv6; and what may be hidden. */
	(void)nd(136, mac[1]);
	memcpy(frame + 6, mac[1], 6);
	assert_int_equal(put(1, 14 + 72, S), 0);
	frame[14 + 6] = 60;
	frame[14 + 40] = 58;
	frame[14 + 41] = 0;
	frame[14 + 48] = 136;
	assert_int_equal(put(1, 14 + 80, S), 0);
	/* Two cannot have the same; the first keeps its own. */
	another.config = c;
	another.config.mac[5] = 99;
	assert_int_equal(switch_plug(&sw, &another), SWITCH_ADDR_TAKEN);
	another.config.vid = 7;
	assert_int_equal(switch_plug(&sw, &another), SWITCH_OK);
	switch_unplug(&another);
	assert_int_equal(arp_from(1, 1), 0);
	switch_unplug(&port[0]);
	assert_int_equal(sw.n_claims, 0);
	assert_int_not_equal(arp_from(1, 1), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_floods_then_learns),
		T(test_total),
		T(test_ages),
		T(test_moves),
		T(test_flood_of_senders),
		T(test_given_address),
		T(test_reserved_and_malformed),
		T(test_vlans),
		T(test_guest_trunk),
		T(test_trunk_claims),
		T(test_wire_form),
		T(test_isolated),
		T(test_caps),
		T(test_link),
		T(test_no_room),
		T(test_rates),
		cmocka_unit_test(test_spoof_ipv4),
		cmocka_unit_test(test_spoof_ipv6),
		cmocka_unit_test(test_spoof_extensions),
		cmocka_unit_test(test_spoof_other_version),
		cmocka_unit_test(test_spoof_leased),
		T(test_claims),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
