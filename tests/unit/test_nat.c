/* SPDX-License-Identifier: BSD-2-Clause */
/* The gateway: what it says to guests, what it translates and what not, that its sums are right; limits and times. */
// SRC: net/checksum.c
// SRC: net/dhcpd.c
// SRC: net/fdb.c
// SRC: net/frame.c
// SRC: net/dns.c net/nat.c
// SRC: net/nat_flow.c
// SRC: net/nat_packet.c
// SRC: net/packet.c
// SRC: net/claim.c net/spoof.c
// SRC: net/switch.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/nat_fakes.h"
#include "tests/unit/plain_sum.h"

static uint8_t frame[1600];
static uint8_t gateway_mac[6];

static int setup(void **state)
{
	(void)state;
	host = (struct nat_host){HOST_IP, RESOLVER};
	assert_true(nat_start());
	memcpy(gateway_mac, nat_port(nat)->config.mac, 6);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	nat_stop();
	return 0;
}

/* ---- packets ---- */

/* Of an IPv4 packet: both sums. */
static bool sums_right(const uint8_t *ip)
{
	size_t len = packet_get16(ip + 2), t = len - 20;
	uint32_t pseudo = ip[9] == 1 ? 0 : plain_sum(ip + 12, 8, ip[9] + (uint32_t)t);

	if (plain_sum(ip, 20, 0) != 0xffff)
		return false;
	return plain_sum(ip + 20, t, pseudo) == 0xffff;
}

/* -> its bytes; ports: of ICMP the first is the identifier */
static size_t ip(uint8_t *p, uint8_t protocol, uint32_t from, uint16_t from_port, uint32_t to,
		 uint16_t to_port)
{
	size_t header = protocol == NAT_TCP ? 20 : 8, len = 20 + header + 11,
	       sum = header == 20 ? 16 : 6;

	memset(p, 0, len);
	p[0] = 0x45;
	packet_put16(p + 2, (uint16_t)len);
	p[8] = 64;
	p[9] = protocol;
	packet_put32(p + 12, from);
	packet_put32(p + 16, to);
	packet_put16(p + 10, (uint16_t)~plain_sum(p, 20, 0));
	memcpy(p + 20 + header, "eleven byte", 11);
	if (protocol == NAT_ICMP) {
		p[20] = 8;
		packet_put16(p + 24, from_port);
		packet_put16(p + 22, (uint16_t)~plain_sum(p + 20, len - 20, 0));
		return len;
	}
	packet_put16(p + 20, from_port);
	packet_put16(p + 22, to_port);
	if (protocol == NAT_TCP)
		p[32] = 0x50;
	packet_put16(p + 20 + sum,
		     (uint16_t)~plain_sum(p + 20, len - 20,
					  plain_sum(p + 12, 8, protocol + (uint32_t)len - 20)));
	assert_true(sums_right(p));
	return len;
}

static void guest_sends(uint8_t protocol, uint16_t from_port, uint32_t to, uint16_t to_port)
{
	memcpy(frame, gateway_mac, 6);
	memcpy(frame + 6, guest_mac, 6);
	packet_put16(frame + 12, ETH_TYPE_IPV4);
	from_guest(frame, 14 + ip(frame + 14, protocol, GUEST, from_port, to, to_port));
}

static bool comes(uint8_t protocol, uint32_t from, uint16_t from_port, uint16_t to_port)
{
	static uint8_t packet[1500];
	size_t n = ip(packet, protocol, from, from_port, HOST_IP, to_port);

	n_sent = n_got = 0;
	return nat_input(packet, n);
}

/* ---- tests ---- */

static void test_arp(void **state)
{
	uint8_t a[28] = {0, 1, 8, 0, 6, 4, 0, 1};

	(void)state;
	memset(frame, 0xff, 6);
	memcpy(frame + 6, guest_mac, 6);
	packet_put16(frame + 12, ETH_TYPE_ARP);
	memcpy(a + 8, guest_mac, 6);
	packet_put32(a + 14, GUEST);
	packet_put32(a + 24, GATEWAY);
	memcpy(frame + 14, a, 28);
	from_guest(frame, 42);
	assert_int_equal(n_got, 42);
	assert_memory_equal(got, guest_mac, 6);
	assert_int_equal(got[21], 2);
	assert_memory_equal(got + 22, gateway_mac, 6);
	frame[14 + 27] = 9; /* for another */
	from_guest(frame, 42);
	assert_int_equal(n_got, 0);
}

static void test_ping_gateway(void **state)
{
	(void)state;
	guest_sends(NAT_ICMP, 5, GATEWAY, 0);
	assert_int_equal(n_sent, 0);
	assert_int_equal(n_got, 14 + 39);
	assert_int_equal(got[34], 0);
	assert_true(sums_right(got + 14));
	assert_int_equal(packet_get32(got + 26), GATEWAY);
}

static void round_trip(uint8_t protocol, uint16_t guest_port, uint16_t remote_port)
{
	uint16_t port;

	guest_sends(protocol, guest_port, REMOTE, remote_port);
	assert_int_not_equal(n_sent, 0);
	assert_true(sums_right(sent));
	assert_int_equal(packet_get32(sent + 12), HOST_IP);
	assert_int_equal(packet_get32(sent + 16), REMOTE);
	assert_int_equal(sent[8], 63);
	port = packet_get16(sent + (protocol == NAT_ICMP ? 24 : 20));
	assert_in_range(port, NAT_PORT_FIRST, NAT_PORT_FIRST + NAT_PORT_MASK);
	if (protocol == NAT_ICMP) {
		n_got = 0;
		sent[20] = 0; /* the answer */
		packet_put16(sent + 22, (uint16_t)(packet_get16(sent + 22) + 0x800));
		packet_put32(sent + 12, REMOTE);
		packet_put32(sent + 16, HOST_IP);
		assert_true(nat_input(sent, n_sent));
	} else {
		assert_true(comes(protocol, REMOTE, remote_port, port));
	}
	assert_int_equal(n_got, 14 + packet_get16(got + 16));
	assert_true(sums_right(got + 14));
	assert_int_equal(packet_get32(got + 30), GUEST);
	assert_int_equal(packet_get16(got + (protocol == NAT_ICMP ? 38 : 36)), guest_port);
	assert_memory_equal(got, guest_mac, 6);
	/* Another end, the same port: not its. */
	if (protocol != NAT_ICMP) {
		assert_true(comes(protocol, REMOTE + 1, remote_port, port));
		assert_int_equal(n_got, 0);
	}
}

static void test_round_trips(void **state)
{
	(void)state;
	round_trip(NAT_TCP, 40000, 80);
	round_trip(NAT_UDP, 40000, 53); /* of another resolver nothing is read */
	round_trip(NAT_ICMP, 77, 0);
	assert_int_equal(nat_stats(nat)->sent, 3);
	assert_int_equal(nat_stats(nat)->received, 3);
}

/* Where nothing is kept the flow gets the same port again. */
static void test_port_follows(void **state)
{
	uint16_t port;

	(void)state;
	guest_sends(NAT_TCP, 40000, REMOTE, 80);
	port = packet_get16(sent + 20);
	nat_stop();
	assert_true(nat_start());
	guest_sends(NAT_TCP, 40000, REMOTE, 80);
	assert_int_equal(packet_get16(sent + 20), port);
}

/* ---- flows that outlive the instance ---- */

static struct nat_flows_kept kept;

static int setup_kept(void **state)
{
	memset(&kept, 0, sizeof(kept));
	nat_keep(&kept);
	return setup(state);
}

static int teardown_kept(void **state)
{
	nat_keep(NULL);
	return teardown(state);
}

static struct nat_flows_kept left; /* by the one that has died */

static void dies(void)
{
	left = kept;
	nat_stop(); /* no instance would come to that */
}

static void next(void)
{
	kept = left;
	assert_true(nat_start());
}

static struct nat_flow *only_flow(struct nat_flows_kept *k)
{
	struct nat_flow *f = NULL;

	for (unsigned i = 0; i < NAT_FLOWS_MAX; i++) {
		if (!k->flow[i].used)
			continue;
		assert_null(f);
		f = &k->flow[i];
	}
	assert_non_null(f);
	return f;
}

/* A guest that only receives: what comes for it finds it, once it has said where it is. */
static void test_kept(void **state)
{
	uint16_t port;

	(void)state;
	guest_sends(NAT_TCP, 40000, REMOTE, 80);
	port = packet_get16(sent + 20);
	for (unsigned i = 0; i < 3; i++) {
		dies();
		next();
		assert_true(comes(NAT_TCP, REMOTE, 80, port));
		assert_int_equal(packet_get16(got + 12), ETH_TYPE_ARP);
		guest_sends(NAT_UDP, 1, GATEWAY, 9); /* whatever it says */
		assert_true(comes(NAT_TCP, REMOTE, 80, port));
		assert_int_equal(packet_get16(got + 12), ETH_TYPE_IPV4);
		assert_int_equal(packet_get16(got + 36), 40000);
	}
	guest_sends(NAT_TCP, 40000, REMOTE, 80);
	assert_int_equal(packet_get16(sent + 20), port);
	only_flow(&kept);
	now_ns += 7441ull * 1000000000;
	dies();
	next();
	assert_true(comes(NAT_TCP, REMOTE, 80, port));
	assert_int_equal(n_got, 0);
}

static void test_kept_damaged(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		struct nat_flow *f;
		uint16_t port;

		guest_sends(NAT_TCP, 40000, REMOTE, 80);
		port = packet_get16(sent + 20);
		dies();
		f = only_flow(&left);
		switch (i) {
		case 0:
			f->used = 2;
			break;
		case 1:
			f->answered = 9;
			break;
		case 2:
			f->closing = 255;
			break;
		case 3:
			f->ends.protocol = 5;
			break;
		case 4:
			f->ends.net = 0;
			break;
		case 5:
			f->port = 0;
			break;
		case 6:
			f->deadline_s += 100000;
			break;
		case 7:
			f->deadline_s = 0;
			break;
		case 8:
			left.version++;
			break;
		case 9:
			left.magic = 0;
			break;
		}
		next();
		assert_true(comes(NAT_TCP, REMOTE, 80, port));
		assert_int_equal(n_got, 0);
		for (unsigned n = 0; n < NAT_FLOWS_MAX; n++)
			assert_int_equal(kept.flow[n].used, 0);
	}
}

/* One of two that say the same; one of a network that is not there does no harm; nor does any byte everywhere. */
static void test_kept_strange(void **state)
{
	(void)state;
	guest_sends(NAT_TCP, 40000, REMOTE, 80);
	dies();
	left.flow[77] = *only_flow(&left);
	next();
	dies();
	only_flow(&left)->ends.net = GATEWAY + 256;
	next();
	assert_true(comes(NAT_TCP, REMOTE, 80, only_flow(&kept)->port));
	assert_int_equal(n_got, 0);
	dies();
	memset(left.flow, 1, sizeof(left.flow));
	next();
	guest_sends(NAT_TCP, 40000, REMOTE, 80);
	assert_int_not_equal(n_sent, 0);
}

/* ---- DNS ---- */

#define TEXT(s) (s), sizeof(s) - 1
#define QUESTION(name) "\3www\7" name "\0\0\1\0\1"
#define EDNS(even, size) QUESTION(even "example") "\0\0\x29" size "\0\0\0\0\0\0"

/* -> bytes of a UDP packet around a DNS message: flags' first byte, how many additional records, the rest */
static size_t dns_packet(uint8_t *p, uint32_t from, uint16_t from_port, uint32_t to,
			 uint16_t to_port, uint8_t flags, uint8_t additional, const char *rest,
			 size_t bytes)
{
	size_t len = 28 + 12 + bytes;
	uint8_t *m = p + 28;

	memset(p, 0, len);
	p[0] = 0x45;
	packet_put16(p + 2, (uint16_t)len);
	p[8] = 64;
	p[9] = NAT_UDP;
	packet_put32(p + 12, from);
	packet_put32(p + 16, to);
	packet_put16(p + 10, (uint16_t)~plain_sum(p, 20, 0));
	packet_put16(p + 20, from_port);
	packet_put16(p + 22, to_port);
	packet_put16(p + 24, (uint16_t)(len - 20));
	memcpy(m, (uint8_t[12]){0x12, 0x34, flags, 0, 0, 1, [11] = additional}, 12);
	memcpy(m + 12, rest, bytes);
	packet_put16(p + 26,
		     (uint16_t)~plain_sum(p + 20, len - 20,
					  plain_sum(p + 12, 8, NAT_UDP + (uint32_t)len - 20)));
	assert_true(sums_right(p));
	return len;
}

static void guest_asks(uint16_t port, uint8_t flags, uint8_t additional, const char *rest,
		       size_t bytes)
{
	memcpy(frame, gateway_mac, 6);
	memcpy(frame + 6, guest_mac, 6);
	packet_put16(frame + 12, ETH_TYPE_IPV4);
	from_guest(frame, 14 + dns_packet(frame + 14, GUEST, port, GATEWAY, 53, flags, additional,
					  rest, bytes));
}

static bool resolver_answers(uint16_t port, const char *rest, size_t bytes)
{
	static uint8_t packet[2000];
	size_t n = dns_packet(packet, RESOLVER, 53, HOST_IP, port, 0x81, 0, rest, bytes);

	n_got = 0;
	assert_true(nat_input(packet, n));
	return n_got != 0;
}

static void test_dns(void **state)
{
	uint16_t port;

	(void)state;
	guest_asks(5353, 1, 0, TEXT(QUESTION("example")));
	assert_int_equal(packet_get32(sent + 16), RESOLVER);
	assert_true(sums_right(sent));
	port = packet_get16(sent + 20);
	assert_false(resolver_answers(port, TEXT(QUESTION("examplf"))));
	assert_true(comes(NAT_UDP, RESOLVER, 53, port)); /* no DNS at all */
	assert_int_equal(n_got, 0);
	assert_int_equal(nat_stats(nat)->dns_unasked, 2);
	assert_true(resolver_answers(port, TEXT(QUESTION("example"))));
	assert_int_equal(packet_get32(got + 26), GATEWAY); /* as if the gateway had answered */
	assert_true(sums_right(got + 14));
	assert_false(resolver_answers(port, TEXT(QUESTION("example"))));
	assert_int_equal(nat_stats(nat)->dns_queries, 1);
	assert_int_equal(nat_stats(nat)->dns_answers, 1);
	host.dns = 0;
	guest_asks(5354, 1, 0, TEXT(QUESTION("example")));
	assert_int_equal(n_sent, 0);
}

static void test_dns_refused(void **state)
{
	(void)state;
	guest_sends(NAT_UDP, 5353, GATEWAY, 53); /* no DNS */
	assert_int_equal(n_sent, 0);
	guest_asks(5353, 0x81, 0, TEXT(QUESTION("example"))); /* an answer */
	assert_int_equal(n_sent, 0);
	guest_asks(5353, 1, 0, TEXT(QUESTION("example") "x"));
	assert_int_equal(n_sent, 0);
	guest_asks(5353, 1, 0, TEXT(QUESTION("example")));
	packet_put16(frame + 14 + 24, 20); /* UDP says that it is shorter */
	from_guest(frame, 14 + 28 + 12 + 17);
	assert_int_equal(n_sent, 0);
	assert_int_equal(nat_stats(nat)->dns_refused, 4);
	/* One's questions until they have answers, or time has gone by. */
	for (unsigned i = 0; i < 200; i++)
		guest_asks((uint16_t)(6000 + i), 1, 0, TEXT(QUESTION("example")));
	assert_int_equal(n_sent, 0);
	assert_int_equal(nat_stats(nat)->dns_queries, 1 + 63);
	now_ns += 12000000000ull;
	guest_asks(7000, 1, 0, TEXT(QUESTION("example")));
	assert_int_not_equal(n_sent, 0);
}

/* Nothing that comes in more than one piece is asked for, and nothing longer than the guest takes is carried. */
static void test_dns_sizes(void **state)
{
	static char long_answer[1500] = QUESTION("example");
	uint16_t port;

	(void)state;
	guest_asks(5353, 1, 1, TEXT(EDNS("", "\x10\0")));
	assert_true(sums_right(sent));
	assert_int_equal(packet_get16(sent + 28 + 12 + 17 + 3), 1232);
	guest_asks(5353, 1, 1, TEXT("\3www\6xample\0\0\1\0\1\0\0\x29\x10\0\0\0\0\0\0\0"));
	assert_true(sums_right(sent)); /* the same a byte further on */
	assert_int_equal(packet_get16(sent + 28 + 12 + 16 + 3), 1232);
	guest_asks(5353, 1, 1, TEXT(EDNS("", "\3\0")));
	assert_int_equal(packet_get16(sent + 28 + 12 + 17 + 3), 768);
	port = packet_get16(sent + 20);
	/* An answer of 800 bytes: the question, and records of a type not known. */
	memcpy(long_answer, QUESTION("example"), 17);
	memcpy(long_answer + 17, "\0\0\x63\0\1\0\0\0\0\2\xf8", 11); /* 760 bytes */
	for (unsigned i = 0; i < 2; i++) {
		static uint8_t packet[2000];
		size_t bytes = i ? 700 : 760, n;

		packet_put16((uint8_t *)long_answer + 17 + 9, (uint16_t)bytes);
		n = dns_packet(packet, RESOLVER, 53, HOST_IP, port, 0x81, 1, long_answer,
			       28 + bytes);
		n_got = 0;
		assert_true(nat_input(packet, n));
		assert_int_equal(n_got, i ? 14 + n : 0);
	}
}

/* Over TCP nobody is there: that is said at once. */
static void test_dns_tcp(void **state)
{
	(void)state;
	guest_sends(NAT_TCP, 4000, GATEWAY, 53); /* no SYN, no ACK, eleven bytes */
	assert_int_equal(n_sent, 0);
	assert_int_equal(n_got, 14 + 40);
	assert_true(sums_right(got + 14));
	assert_int_equal(packet_get32(got + 26), GATEWAY);
	assert_int_equal(packet_get16(got + 36), 4000);
	assert_int_equal(got[14 + 33], 0x14);
	assert_int_equal(packet_get32(got + 14 + 28), 11);
	frame[14 + 33] = 2; /* SYN counts */
	from_guest(frame, 14 + 51);
	assert_int_equal(packet_get32(got + 14 + 28), 12);
	frame[14 + 33] = 0x10;
	packet_put32(frame + 14 + 28, 0x12345678);
	from_guest(frame, 14 + 51);
	assert_int_equal(got[14 + 33], 4);
	assert_int_equal(packet_get32(got + 14 + 24), 0x12345678);
	frame[14 + 33] = 4; /* of a reset there is none */
	from_guest(frame, 14 + 51);
	assert_int_equal(n_got, 0);
}

static void test_forward(void **state)
{
	(void)state;
	guest_sends(NAT_ICMP, 5, GATEWAY, 0); /* so that its MAC is known */
	assert_true(comes(NAT_TCP, REMOTE, 999, 2222));
	assert_int_equal(packet_get32(got + 30), GUEST);
	assert_int_equal(packet_get16(got + 36), 22);
	assert_true(sums_right(got + 14));
	guest_sends(NAT_TCP, 22, REMOTE, 999);
	assert_int_equal(packet_get16(sent + 20), 2222);
	assert_int_equal(packet_get32(sent + 12), HOST_IP);
	/* Another port, another protocol: the host's. */
	assert_false(comes(NAT_TCP, REMOTE, 999, 2223));
	assert_false(comes(NAT_UDP, REMOTE, 999, 2222));
	assert_false(comes(NAT_ICMP, REMOTE, 3, 0));
}

/* Whose MAC is not known is asked for it. */
static void test_forward_to_unknown(void **state)
{
	(void)state;
	assert_true(comes(NAT_TCP, REMOTE, 999, 2222));
	assert_int_equal(packet_get16(got + 12), ETH_TYPE_ARP);
	assert_int_equal(packet_get32(got + 38), GUEST);
}

static void test_refused(void **state)
{
	static const uint32_t to[] = {HOST_IP,   0x7f000001, 0xe0000001, 0xffffffff,
				      GUEST + 1, 0,          0xf0000001};

	(void)state;
	for (unsigned i = 0; i < 7; i++) {
		guest_sends(NAT_TCP, 1, to[i], 8080);
		assert_int_equal(n_sent, 0);
	}
	guest_sends(NAT_TCP, 1, GATEWAY, 8080);
	assert_int_equal(n_sent, 0);
	/* From an address that is not of the subnet; a fragment; the end of its life; other protocols. */
	guest_sends(NAT_UDP, 1, REMOTE, 9);
	packet_put32(frame + 26, REMOTE);
	from_guest(frame, 53);
	assert_int_equal(n_sent, 0);
	guest_sends(NAT_UDP, 1, REMOTE, 9);
	frame[20] = 0x20;
	from_guest(frame, 53);
	assert_int_equal(n_sent, 0);
	assert_int_equal(nat_stats(nat)->fragments, 1);
	guest_sends(NAT_UDP, 1, REMOTE, 9);
	frame[22] = 1;
	from_guest(frame, 53);
	assert_int_equal(n_sent, 0);
	guest_sends(NAT_UDP, 1, REMOTE, 9);
	frame[23] = 47;
	from_guest(frame, 53);
	assert_int_equal(n_sent, 0);
	host.ip = 0;
	guest_sends(NAT_UDP, 1, REMOTE, 9);
	assert_int_equal(n_sent, 0);
}

/* "Too big" finds its way, with the packet that it is about as the guest had sent it. */
static void test_icmp_error(void **state)
{
	uint8_t e[56] = {0x45, 0, 0, 56, [8] = 64, 1};

	(void)state;
	guest_sends(NAT_UDP, 4000, REMOTE, 9);
	packet_put32(e + 12, 0x01020304);
	packet_put32(e + 16, HOST_IP);
	packet_put16(e + 10, (uint16_t)~plain_sum(e, 20, 0));
	e[20] = 3;
	e[21] = 4;
	memcpy(e + 28, sent, 28);
	packet_put16(e + 22, (uint16_t)~plain_sum(e + 20, 36, 0));
	n_got = 0;
	assert_true(nat_input(e, sizeof(e)));
	assert_int_equal(n_got, 14 + 56);
	assert_true(sums_right(got + 14));
	assert_int_equal(packet_get32(got + 30), GUEST);
	assert_int_equal(packet_get32(got + 14 + 28 + 12), GUEST);
	assert_int_equal(packet_get16(got + 14 + 28 + 20), 4000);
	/* About what nobody sent. */
	packet_put16(e + 28 + 20, NAT_PORT_FIRST);
	(void)nat_input(e, sizeof(e));
	packet_put16(e + 28 + 20, 1234);
	assert_false(nat_input(e, sizeof(e)));
}

static void test_limits_and_times(void **state)
{
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		guest_sends(NAT_UDP, (uint16_t)i, REMOTE, 9);
		n += n_sent != 0;
	}
	assert_int_equal(n, NAT_GUEST_FLOWS_MAX);
	guest_sends(NAT_UDP, 0, REMOTE, 9); /* one that it has goes on */
	assert_int_not_equal(n_sent, 0);
	now_ns += 40000000000ull; /* nobody has answered */
	guest_sends(NAT_UDP, 5000, REMOTE, 9);
	assert_int_not_equal(n_sent, 0);
	/* An answered TCP connection lives for hours, a finished one does not. */
	guest_sends(NAT_TCP, 6000, REMOTE, 80);
	assert_true(comes(NAT_TCP, REMOTE, 80, packet_get16(sent + 20)));
	now_ns += 7000000000000ull;
	assert_true(comes(NAT_TCP, REMOTE, 80, packet_get16(sent + 20)));
	assert_int_not_equal(n_got, 0);
}

/* ---- DHCP ---- */

static size_t dhcp(uint8_t *p, uint8_t type, uint32_t ciaddr, uint32_t wanted, uint32_t server)
{
	size_t n = 240;

	memset(p, 0, 300);
	p[0] = p[1] = 1;
	p[2] = 6;
	packet_put32(p + 4, 0x12345678);
	packet_put32(p + 12, ciaddr);
	memcpy(p + 28, guest_mac, 6);
	packet_put32(p + 236, 0x63825363);
	memcpy(p + n, (uint8_t[]){53, 1, type}, 3);
	n += 3;
	if (wanted) {
		memcpy(p + n, (uint8_t[]){50, 4}, 2);
		packet_put32(p + n + 2, wanted);
		n += 6;
	}
	if (server) {
		memcpy(p + n, (uint8_t[]){54, 4}, 2);
		packet_put32(p + n + 2, server);
		n += 6;
	}
	p[n++] = 255;
	return n;
}

static struct dhcpd d;
static uint8_t in[400], answer[DHCPD_ANSWER_MAX];
static uint32_t to;

static uint8_t ask(uint8_t type, uint32_t ciaddr, uint32_t wanted, uint32_t server)
{
	size_t n = dhcpd_answer(&d, guest_mac, in, dhcp(in, type, ciaddr, wanted, server),
				now_ns / 1000000000, answer, &to);

	if (!n)
		return 0;
	assert_true(n >= 300 && n <= DHCPD_ANSWER_MAX);
	assert_int_equal(packet_get32(answer + 4), 0x12345678);
	return answer[242];
}

static int setup_dhcp(void **state)
{
	(void)state;
	memset(leases, 0, sizeof(leases));
	d = (struct dhcpd){
		.server = GATEWAY, .mask = 0xffffff00, .first = GUEST, .n = 4, .lease = leases};
	return 0;
}

static void test_dhcp(void **state)
{
	uint32_t ip;

	(void)state;
	assert_int_equal(ask(1, 0, 0, 0), 2);
	ip = packet_get32(answer + 16);
	assert_in_range(ip, GUEST, GUEST + 3);
	assert_null(dhcpd_holder(&d, ip, now_ns / 1000000000));
	assert_int_equal(ask(3, 0, ip, GATEWAY), 5);
	assert_int_equal(packet_get32(answer + 16), ip);
	assert_non_null(dhcpd_holder(&d, ip, now_ns / 1000000000));
	assert_int_equal(ask(3, ip, 0, 0), 5); /* renewed */
	assert_int_equal(to, ip);
	assert_int_equal(ask(3, 0, ip, 0), 5); /* after a reboot */
	assert_int_equal(ask(3, 0, ip, GATEWAY + 9), 0);
	assert_int_equal(ask(3, 0, GATEWAY, GATEWAY), 6);
	assert_int_equal(to, UINT32_MAX);
	assert_int_equal(ask(8, ip, 0, 0), 5);
	assert_int_equal(ask(7, ip, 0, GATEWAY), 0);
	assert_null(dhcpd_holder(&d, ip, now_ns / 1000000000));
	assert_int_equal(ask(1, 0, 0, 0), 2);
	assert_int_equal(packet_get32(answer + 16), ip); /* the same again */
}

static void test_dhcp_full(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++)
		leases[i] = (struct dhcp_lease){
			{9, 9, 9, 9, 9, (uint8_t)i}, DHCP_LEASED, 0, UINT64_MAX};
	assert_int_equal(ask(1, 0, 0, 0), 0);
	assert_int_equal(ask(3, 0, GUEST, GATEWAY), 6); /* another's */
	leases[2].until_s = 0;
	assert_int_equal(ask(1, 0, 0, 0), 2);
	assert_int_equal(packet_get32(answer + 16), GUEST + 2);
	/* Somebody has it: not offered for a while. */
	assert_int_equal(ask(4, 0, GUEST + 2, GATEWAY), 0);
	assert_int_equal(ask(1, 0, 0, 0), 0);
}

static void test_dhcp_malformed(void **state)
{
	size_t n = dhcp(in, 1, 0, 0, 0);

	(void)state;
	for (size_t i = 0; i < n - 1; i++) /* cut off anywhere before the end mark */
		if (i < 243)
			assert_int_equal(dhcpd_answer(&d, guest_mac, in, i, 1, answer, &to), 0);
	in[28] = 9; /* for another station */
	assert_int_equal(dhcpd_answer(&d, guest_mac, in, n, 1, answer, &to), 0);
	n = dhcp(in, 1, 0, 0, 0);
	in[24] = 1; /* from a relay */
	assert_int_equal(dhcpd_answer(&d, guest_mac, in, n, 1, answer, &to), 0);
	n = dhcp(in, 1, 0, 0, 0);
	in[243] = 12; /* an option that leaves the packet */
	in[244] = 200;
	assert_int_equal(dhcpd_answer(&d, guest_mac, in, n + 1, 1, answer, &to), 0);
	leases[1].state = 77;
	dhcpd_check(&d);
	assert_int_equal(leases[1].state, DHCP_FREE);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_arp),
		T(test_ping_gateway),
		T(test_round_trips),
		T(test_port_follows),
		cmocka_unit_test_setup_teardown(test_kept, setup_kept, teardown_kept),
		cmocka_unit_test_setup_teardown(test_kept_damaged, setup_kept, teardown_kept),
		cmocka_unit_test_setup_teardown(test_kept_strange, setup_kept, teardown_kept),
		T(test_dns),
		T(test_dns_refused),
		T(test_dns_sizes),
		T(test_dns_tcp),
		T(test_forward),
		T(test_forward_to_unknown),
		T(test_refused),
		T(test_icmp_error),
		T(test_limits_and_times),
		cmocka_unit_test_setup(test_dhcp, setup_dhcp),
		cmocka_unit_test_setup(test_dhcp_full, setup_dhcp),
		cmocka_unit_test_setup(test_dhcp_malformed, setup_dhcp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
