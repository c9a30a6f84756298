/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: net/checksum.c
// SRC: net/fdb.c
// SRC: net/frame.c
// SRC: net/dhcpd.c
// SRC: net/dns.c net/nat.c
// SRC: net/nat_flow.c
// SRC: net/nat_host.c
// SRC: net/nat_packet.c
// SRC: net/net.c
// SRC: net/netconf.c
// SRC: net/netif.c
// SRC: net/packet.c
// SRC: net/random.c
// SRC: net/claim.c net/spoof.c
// SRC: net/switch.c
// SRC: net/tcp.c
// SRC: net/timers.c
// SRC: ctrl-kernel/loop/loop.c
// SRC: build/deps/src/lwip/src/core/def.c
// SRC: build/deps/src/lwip/src/core/dns.c
// SRC: build/deps/src/lwip/src/core/inet_chksum.c
// SRC: build/deps/src/lwip/src/core/init.c
// SRC: build/deps/src/lwip/src/core/ip.c
// SRC: build/deps/src/lwip/src/core/mem.c
// SRC: build/deps/src/lwip/src/core/memp.c
// SRC: build/deps/src/lwip/src/core/netif.c
// SRC: build/deps/src/lwip/src/core/pbuf.c
// SRC: build/deps/src/lwip/src/core/tcp.c
// SRC: build/deps/src/lwip/src/core/tcp_in.c
// SRC: build/deps/src/lwip/src/core/tcp_out.c
// SRC: build/deps/src/lwip/src/core/udp.c
// SRC: build/deps/src/lwip/src/core/ipv4/dhcp.c
// SRC: build/deps/src/lwip/src/core/ipv4/etharp.c
// SRC: build/deps/src/lwip/src/core/ipv4/icmp.c
// SRC: build/deps/src/lwip/src/core/ipv4/ip4.c
// SRC: build/deps/src/lwip/src/core/ipv4/ip4_addr.c
// SRC: build/deps/src/lwip/src/core/ipv6/ethip6.c
// SRC: build/deps/src/lwip/src/core/ipv6/icmp6.c
// SRC: build/deps/src/lwip/src/core/ipv6/ip6.c
// SRC: build/deps/src/lwip/src/core/ipv6/ip6_addr.c
// SRC: build/deps/src/lwip/src/core/ipv6/mld6.c
// SRC: build/deps/src/lwip/src/core/ipv6/nd6.c
// SRC: build/deps/src/lwip/src/netif/ethernet.c
// FLAGS: -Inet -isystem build/deps/src/lwip/src/include -DMEM_LIBC_MALLOC=1 -DMEMP_MEM_MALLOC=1 -DNET_RX_PBUF=PBUF_RAM
/*
 * The glue and lwIP together, against frames made by hand. lwIP allocates each buffer by malloc here,
 * so that reading past a short frame (its ARP input does) would be seen. lwIP has one state per process: the VLAN
 * tests run in a second one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "net_packets.h"

static void test_static_address(void **state)
{
	struct net_status s;

	(void)state;
	net_status(&s);
	assert_true(s.has_ipv4);
	assert_false(s.dhcp);
	assert_string_equal(s.ipv4, "10.0.2.15");
	assert_string_equal(s.gateway, "10.0.2.2");
	assert_int_equal(s.prefix, 24);
	assert_non_null(strstr(fake_log, "net: address 10.0.2.15/24 (static), gateway 10.0.2.2"));
}

static void test_link_local(void **state)
{
	struct net_status s;

	(void)state;
	net_run(5000); /* duplicate address detection */
	net_status(&s);
	assert_int_equal(s.n_ipv6, 1);
	assert_string_equal(s.ipv6[0], "fe80::5054:ff:fe12:3456");
}

static void test_arp_reply(void **state)
{
	uint8_t f[64];

	(void)state;
	inject(f, arp_request(f));
	assert_int_equal(n_sent, 1);
	assert_int_equal(sent[0].len, 60); /* padded */
	assert_memory_equal(sent[0].frame, peer_mac, 6);
	assert_int_equal(get16(sent[0].frame + 20), 2);
	assert_memory_equal(sent[0].frame + 28, our_ip, 4);
}

/* The defect of lwIP: every length at which ARP ends early, with and without a tag. */
static void test_short_arp(void **state)
{
	uint64_t before = counters().rx_malformed;
	uint8_t f[64], tagged[64];

	(void)state;
	arp_request(f);
	memcpy(tagged, f, 12);
	memcpy(tagged + 12, "\x81\x00\x00\x00", 4);
	memcpy(tagged + 16, f + 12, 30);
	for (size_t len = 0; len < 42; len++)
		inject(f, len);
	for (size_t len = 14; len < 46; len++)
		inject(tagged, len);
	assert_int_equal(n_sent, 0);
	assert_int_equal(counters().rx_malformed, before + 42 + 32);
	inject(tagged, 46);
	assert_int_equal(n_sent, 1); /* a priority tag is cut out */
}

static void test_ping(void **state)
{
	uint8_t f[200] = {0};
	size_t len = 64;

	(void)state;
	f[34] = 8;
	for (size_t i = 8; i < len; i++)
		f[34 + i] = (uint8_t)i;
	put16(f + 36, fold(sum(0, f + 34, len)));
	inject(f, ipv4(f, 1, len));
	assert_int_equal(n_sent, 1);
	assert_int_equal(sent[0].len, 34 + len);
	assert_int_equal(sent[0].frame[34], 0);
	assert_int_equal(fold(sum(0, sent[0].frame + 34, len)), 0);
	assert_int_equal(fold(sum(0, sent[0].frame + 14, 20)), 0);
	assert_memory_equal(sent[0].frame + 42, f + 42, len - 8);
}

static const uint8_t peer_ip6[16] = {0xfe, 0x80, [15] = 2};
static const uint8_t our_ip6[16] = {0xfe, 0x80, 0,    0,    0,    0,    0,    0,
				    0x50, 0x54, 0x00, 0xff, 0xfe, 0x12, 0x34, 0x56};

/* ICMPv6 of len bytes at f + 54, with its checksum. */
static void icmp6(uint8_t *f, size_t len)
{
	uint8_t *ip = f + ethernet(f, ETH_TYPE_IPV6), next[4] = {0, 0, 0, 58};

	put32(ip, 0x60000000);
	put16(ip + 4, (unsigned)len);
	ip[6] = 58;
	ip[7] = 255;
	memcpy(ip + 8, peer_ip6, 16);
	memcpy(ip + 24, our_ip6, 16);
	put16(f + 56, 0);
	put16(f + 56, fold(sum(sum(sum((uint32_t)len, ip + 8, 32), next, 4), f + 54, len)));
	inject(f, 54 + len);
}

static void test_ipv6_neighbour_and_echo(void **state)
{
	uint8_t f[200] = {0};

	(void)state;
	f[54] = 135; /* neighbour solicitation, with the sender's hardware address */
	memcpy(f + 62, our_ip6, 16);
	f[78] = 1;
	f[79] = 1;
	memcpy(f + 80, peer_mac, 6);
	icmp6(f, 32);
	assert_int_equal(n_sent, 1);
	assert_int_equal(sent[0].frame[54], 136);
	assert_memory_equal(sent[0].frame + 80, fake_nic.mac, 6);
	n_sent = 0;
	memset(f + 54, 0, 100);
	f[54] = 128;
	f[70] = 77;
	icmp6(f, 40);
	assert_int_equal(n_sent, 1);
	assert_memory_equal(sent[0].frame, peer_mac, 6);
	assert_int_equal(sent[0].frame[54], 129);
	assert_int_equal(sent[0].frame[70], 77);
}

static void test_ipv6_slaac(void **state)
{
	static const uint8_t prefix[8] = {0x20, 1, 0x0d, 0xb8, 0, 1, 0, 2};
	struct net_status s;
	uint8_t f[200] = {0};

	(void)state;
	f[54] = 134; /* router advertisement: lifetime 1800 s, a /64 for autoconfiguration */
	f[58] = 64;
	put16(f + 60, 1800);
	f[70] = 3;
	f[71] = 4;
	f[72] = 64;
	f[73] = 0xc0;
	put32(f + 74, 3600);
	put32(f + 78, 3600);
	memcpy(f + 86, prefix, 8);
	icmp6(f, 48);
	net_run(5000);
	net_status(&s);
	assert_int_equal(s.n_ipv6, 2);
	assert_string_equal(s.ipv6[1], "2001:db8:1:2:5054:ff:fe12:3456");
	assert_non_null(strstr(fake_log, "net: address 2001:db8:1:2:5054:ff:fe12:3456/64"));
}

static void test_malformed(void **state)
{
	static uint8_t f[1600];

	(void)state;
	ethernet(f, 0x0800);
	for (size_t len = 14; len < 60; len++)
		inject(f, len);
	ethernet(f, 0x86dd);
	f[14] = 0x60;
	for (size_t len = 14; len < 80; len++)
		inject(f, len);
	inject(f, 1514);
	inject(f, 1515);
	inject(f, 1522);
	assert_int_equal(n_sent, 0);
}

static void test_link_changes(void **state)
{
	(void)state;
	fake_nic.link = false;
	fake_nic.link_changed(&fake_nic);
	assert_non_null(strstr(fake_log, "net: fake@00:01.0 link down"));
	fake_nic.link = true;
	fake_nic.link_changed(&fake_nic);
	assert_non_null(strstr(fake_log, "link up"));
}

/* An idle machine: no 100 ms or 250 ms ticks. */
static void test_sleeps(void **state)
{
	(void)state;
	net_run(10000); /* what is left of earlier work */
	fake_waits = 0;
	net_run(60000);
	assert_in_range(fake_waits, 1, 61);
}

/* ---- VLAN, in its own process ------------------------------------------------------------------------- */

static void test_frame_check(void **state)
{
	uint8_t f[64] = {0};
	size_t tag;

	(void)state;
	ethernet(f, 0x0800);
	assert_int_equal(frame_check(f, 60, 0, &tag), FRAME_OK);
	assert_int_equal(tag, 0);
	assert_int_equal(frame_check(f, 60, 7, &tag), FRAME_OTHER_VLAN);
	memcpy(f + 12, "\x81\x00\xe0\x07\x08\x00", 6);
	assert_int_equal(frame_check(f, 60, 7, &tag), FRAME_OK);
	assert_int_equal(tag, 4);
	assert_int_equal(frame_check(f, 60, 8, &tag), FRAME_OTHER_VLAN);
	assert_int_equal(frame_check(f, 60, 0, &tag), FRAME_OTHER_VLAN);
	assert_int_equal(frame_check(f, 17, 7, &tag), FRAME_MALFORMED);
	assert_int_equal(frame_check(f, 13, 7, &tag), FRAME_MALFORMED);
}

static void test_vlan(void **state)
{
	uint8_t plain[64] = {0}, tagged[64] = {0};

	(void)state;
	arp_request(plain);
	memcpy(tagged, plain, 12);
	memcpy(tagged + 12, "\x81\x00\x00\x05", 4);
	memcpy(tagged + 16, plain + 12, 30);
	inject(plain, 42);
	assert_int_equal(n_sent, 0);
	assert_int_equal(counters().rx_filtered, 1);
	inject(tagged, 46);
	assert_int_equal(n_sent, 1);
	assert_int_equal(sent[0].len, 60);
	assert_memory_equal(sent[0].frame + 12, "\x81\x00\x00\x05\x08\x06", 6);
	assert_memory_equal(sent[0].frame + 32, our_ip, 4);
}

static int vlan_tests(void)
{
	static const char *const options[] = {"ip=10.0.2.15/24", "vlan=5", NULL};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_frame_check, quiet),
		cmocka_unit_test_setup(test_vlan, quiet),
	};

	net_begin(options);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

static int plain_tests(void)
{
	static const char *const options[] = {"ip=10.0.2.15/24,gw=10.0.2.2", NULL};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_static_address),
		cmocka_unit_test_setup(test_link_local, quiet),
		cmocka_unit_test_setup(test_arp_reply, quiet),
		cmocka_unit_test_setup(test_short_arp, quiet),
		cmocka_unit_test_setup(test_ping, quiet),
		cmocka_unit_test_setup(test_ipv6_neighbour_and_echo, quiet),
		cmocka_unit_test_setup(test_ipv6_slaac, quiet),
		cmocka_unit_test_setup(test_malformed, quiet),
		cmocka_unit_test_setup(test_link_changes, quiet),
		cmocka_unit_test_setup(test_sleeps, quiet),
	};

	net_begin(options);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		exit(vlan_tests());
	if (waitpid(child, &status, 0) != child || status != 0)
		return 1;
	return plain_tests();
}
