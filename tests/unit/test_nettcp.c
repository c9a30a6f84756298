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
/* The TCP servers over the real lwIP, against a client made by hand: who may close when, and what closed() then says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net_packets.h"

#define PORT 8080u

#define FIN 1u
#define SYN 2u
#define RST 4u
#define PSH 8u
#define ACK 16u

static struct {
	unsigned port;
	uint32_t seq, ack; /* next to send, next expected */
} peer = {.port = 40000};

static struct {
	struct net_conn *conn;
	unsigned accepted, closed, eofs, writables, ticks;
	enum net_end why;
	size_t got;
	bool recv_all, close_in_data, abort_in_data, abort_in_accept, no_attach, reply, anyone;
	char data[64];
} app;

static void on_data(struct net_conn *conn, void *ctx, const void *data, size_t len)
{
	assert_ptr_equal(ctx, &app);
	assert_ptr_equal(conn, app.conn);
	if (app.got + len < sizeof(app.data))
		memcpy(app.data + app.got, data, len);
	app.got += len;
	if (app.recv_all)
		net_conn_recved(conn, len);
	if (app.reply)
		assert_int_equal(net_conn_send(conn, "reply", 5), 5);
	if (app.close_in_data)
		net_conn_close(conn);
	if (app.abort_in_data)
		net_conn_abort(conn);
	assert_int_equal(app.closed, 0);
}
static void on_eof(struct net_conn *conn, void *ctx)
{
	(void)conn, (void)ctx;
	app.eofs++;
}
static void on_writable(struct net_conn *conn, void *ctx)
{
	(void)conn, (void)ctx;
	app.writables++;
}
static void on_tick(struct net_conn *conn, void *ctx)
{
	(void)conn, (void)ctx;
	app.ticks++;
}
static void on_closed(struct net_conn *conn, void *ctx, enum net_end why)
{
	(void)ctx;
	assert_true(app.anyone || conn == app.conn);
	app.closed++;
	app.why = why;
	/* Calls on a dead connection do nothing. */
	net_conn_close(conn);
	net_conn_abort(conn);
	net_conn_recved(conn, 100);
	assert_int_equal(net_conn_send(conn, "x", 1), 0);
}
static const struct net_conn_ops app_ops = {on_data, on_eof, on_writable, on_tick, on_closed};

static void on_accept(struct net_conn *conn, void *ctx)
{
	assert_ptr_equal(ctx, &peer);
	app.conn = conn;
	app.accepted++;
	if (!app.no_attach)
		net_conn_attach(conn, &app_ops, &app);
	if (app.abort_in_accept)
		net_conn_abort(conn);
}

static void segment(unsigned flags, const void *data, size_t len)
{
	static uint8_t f[1600];
	uint8_t *t = f + 34, pseudo[12];

	memset(t, 0, 20);
	put16(t, peer.port);
	put16(t + 2, PORT);
	put32(t + 4, peer.seq);
	put32(t + 8, peer.ack);
	t[12] = 5 << 4;
	t[13] = (uint8_t)flags;
	put16(t + 14, 65535);
	memcpy(t + 20, data, len);
	memcpy(pseudo, peer_ip, 4);
	memcpy(pseudo + 4, our_ip, 4);
	put16(pseudo + 8, 6);
	put16(pseudo + 10, (unsigned)(20 + len));
	put16(t + 16, fold(sum(sum(0, pseudo, 12), t, 20 + len)));
	inject(f, ipv4(f, 6, 20 + len));
	peer.seq += (uint32_t)len + (flags & (SYN | FIN) ? 1 : 0);
}

/* What the server sent since n_sent was 0: the union of flags, the data in order. */
static unsigned heard(char *data, size_t *len)
{
	unsigned all = 0;
	size_t n = 0;

	for (unsigned i = 0; i < n_sent; i++) {
		const uint8_t *ip = sent[i].frame + 14, *t = ip + 20;
		size_t payload = get16(ip + 2) - 40u;

		if (get16(sent[i].frame + 12) != 0x0800 || get16(t + 2) != peer.port)
			continue;
		payload += 20u - (t[12] >> 4) * 4u;
		all |= t[13];
		if (data && n + payload < 64)
			memcpy(data + n, t + (t[12] >> 4) * 4, payload);
		n += payload;
		peer.ack = get32(t + 4) + (uint32_t)payload + (t[13] & (SYN | FIN) ? 1 : 0);
	}
	n_sent = 0;
	if (len)
		*len = n;
	return all;
}

static int connected(void **state)
{
	uint8_t f[64];

	quiet(state);
	inject(f, arp_request(f)); /* it learns our hardware address */
	n_sent = 0;
	memset(&app, 0, sizeof(app));
	app.recv_all = true;
	peer.port++;
	peer.seq = peer.port * 1000;
	peer.ack = 0;
	segment(SYN, "", 0);
	assert_int_equal(heard(NULL, NULL), SYN | ACK);
	segment(ACK, "", 0);
	assert_int_equal(app.accepted, 1);
	return 0;
}

/* Ends the connection whatever state it is in, and shows that closed() came once. */
static int over(void **state)
{
	(void)state;
	if (app.conn && !app.closed && !app.no_attach)
		net_conn_abort(app.conn);
	net_run(10);
	assert_int_equal(app.closed, app.no_attach ? 0 : 1);
	assert_int_equal(counters().tcp_open, 0);
	return 0;
}

static void test_request_reply(void **state)
{
	char data[64];
	size_t len;

	(void)state;
	app.reply = true;
	assert_string_equal(net_conn_peer(app.conn), "10.0.2.2:40001");
	segment(ACK | PSH, "hello", 5);
	assert_int_equal(app.got, 5);
	net_run(1);
	assert_true(heard(data, &len) & ACK);
	assert_int_equal(len, 5);
	assert_memory_equal(data, "reply", 5);
	assert_int_equal(net_conn_unsent(app.conn), 5);
	segment(ACK, "", 0);
	assert_int_equal(app.writables, 1);
	assert_int_equal(net_conn_unsent(app.conn), 0);
	net_run(3000);
	assert_in_range(app.ticks, 2, 4);
}

static void test_peer_closes(void **state)
{
	(void)state;
	segment(FIN | ACK, "", 0);
	assert_int_equal(app.eofs, 1);
	assert_int_equal(net_conn_send(app.conn, "bye", 3), 3);
	net_conn_close(app.conn);
	assert_int_equal(app.closed, 0);
	net_run(1);
	assert_int_equal(app.closed, 0); /* "bye" is not delivered yet */
	assert_true(heard(NULL, NULL) & FIN);
	segment(ACK, "", 0);
	net_run(1);
	assert_int_equal(app.closed, 1);
	assert_int_equal(app.why, NET_END_CLOSED);
}

/* It has closed its side and then takes nothing more: it does not hold its slot and our memory for long. */
static void test_peer_closes_and_stays_silent(void **state)
{
	(void)state;
	segment(FIN | ACK, "", 0);
	assert_int_equal(net_conn_send(app.conn, "bye", 3), 3);
	net_conn_close(app.conn);
	net_run(20000);
	assert_int_equal(app.closed, 0);
	net_run(20000);
	assert_int_equal(app.closed, 1);
	assert_int_equal(app.why, NET_END_TIMEOUT);
}

/* Closed with data that the owner never said it dealt with, and more to come: FIN, never RST. */
static void test_close_lingers(void **state)
{
	unsigned flags;

	(void)state;
	app.recv_all = false;
	app.reply = true;
	app.close_in_data = true;
	segment(ACK | PSH, "0123456789", 10);
	net_run(1);
	flags = heard(NULL, NULL);
	assert_true(flags & FIN);
	assert_false(flags & RST);
	assert_int_equal(app.closed, 0);
	segment(ACK | PSH, "more", 4);
	net_run(1);
	assert_false(heard(NULL, NULL) & RST);
	assert_int_equal(app.got, 10); /* thrown away */
	segment(FIN | ACK, "", 0);
	net_run(1);
	assert_int_equal(app.closed, 1);
	assert_int_equal(app.why, NET_END_CLOSED);
}

static void test_close_peer_stays(void **state)
{
	(void)state;
	net_conn_close(app.conn);
	net_run(1);
	assert_true(heard(NULL, NULL) & FIN);
	segment(ACK, "", 0);
	net_run(6000);
	assert_int_equal(app.closed, 1);
	assert_int_equal(app.why, NET_END_CLOSED);
}

static void test_close_peer_gone(void **state)
{
	(void)state;
	assert_int_equal(net_conn_send(app.conn, "lost", 4), 4);
	net_conn_close(app.conn);
	net_run(40000);
	assert_int_equal(app.closed, 1);
	assert_int_equal(app.why, NET_END_TIMEOUT);
}

static void test_reset(void **state)
{
	(void)state;
	segment(RST | ACK, "", 0);
	assert_int_equal(app.closed, 0);
	net_run(1);
	assert_int_equal(app.closed, 1);
	assert_int_equal(app.why, NET_END_RESET);
}

static void test_abort_in_data(void **state)
{
	(void)state;
	app.abort_in_data = true;
	segment(ACK | PSH, "x", 1);
	segment(ACK | PSH, "y", 1);
	assert_int_equal(app.got, 1);
	net_run(1);
	assert_true(heard(NULL, NULL) & RST);
	assert_int_equal(app.why, NET_END_ABORTED);
}

/* The window closes while the owner does not say it dealt with the data, and opens when it does. */
static void test_flow_control(void **state)
{
	static char chunk[1400];
	unsigned window;

	(void)state;
	app.recv_all = false;
	for (unsigned i = 0; i < 40; i++)
		segment(ACK, chunk, sizeof(chunk));
	net_run(300);
	window = get16(sent[n_sent - 1].frame + 48);
	assert_int_equal(window, 65535 - 40 * sizeof(chunk));
	assert_int_equal(app.got, 40 * sizeof(chunk));
	net_conn_recved(app.conn, SIZE_MAX); /* more than there is */
	net_run(300);
	window = get16(sent[n_sent - 1].frame + 48);
	assert_int_equal(window, 65535);
}

/* Everything the stack takes at once, acknowledged by the peer: writable() follows. */
static void test_send_much(void **state)
{
	static char big[200000];
	size_t taken = net_conn_send(app.conn, big, sizeof(big));

	(void)state;
	assert_in_range(taken, 32 * 1460 - 1460, 32 * 1460);
	assert_int_equal(net_conn_send(app.conn, big, 1), 0);
	for (unsigned i = 0; i < 50; i++) {
		net_run(1);
		if (heard(NULL, NULL))
			segment(ACK, "", 0);
	}
	assert_true(app.writables > 0);
	assert_int_equal(net_conn_unsent(app.conn), 0);
	assert_true(net_conn_room(app.conn) > 0);
}

static void test_ring_full(void **state)
{
	char data[64];
	size_t len;

	(void)state;
	ring_full = true;
	assert_int_equal(net_conn_send(app.conn, "later", 5), 5);
	net_run(50);
	assert_int_equal(n_sent, 0);
	assert_true(counters().tx_dropped > 0);
	ring_full = false;
	net_run(4000);
	assert_true(heard(data, &len) & ACK);
	assert_memory_equal(data, "later", 5);
}

static void test_refuse(void **state)
{
	connected(state); /* app.accepted is 1 */
	app.abort_in_accept = true;
	app.accepted = 0;
	net_conn_abort(app.conn);
	net_run(1);
	assert_int_equal(app.closed, 1);
	app.closed = 0;
	peer.port++;
	segment(SYN, "", 0);
	heard(NULL, NULL);
	segment(ACK, "", 0);
	net_run(1);
	assert_true(heard(NULL, NULL) & RST);
	assert_int_equal(app.closed, 1);
	app.no_attach = true;
	app.conn = NULL;
	peer.port++;
	segment(SYN, "", 0);
	heard(NULL, NULL);
	segment(ACK, "", 0);
	net_run(1);
	assert_true(heard(NULL, NULL) & RST);
	assert_int_equal(counters().tcp_open, 0);
	app.closed = 0;
}

/* Until all slots are taken by connections in use: the next one is reset and the others live on. */
static void test_full(void **state)
{
	struct net_conn *all[NET_CONNS_MAX];

	(void)state;
	all[0] = app.conn;
	for (unsigned i = 1; i < NET_CONNS_MAX; i++) {
		connected(state);
		all[i] = app.conn;
	}
	assert_int_equal(counters().tcp_open, NET_CONNS_MAX);
	peer.port++;
	segment(SYN, "", 0);
	heard(NULL, NULL);
	segment(ACK, "", 0);
	net_run(1);
	assert_true(heard(NULL, NULL) & RST);
	assert_int_equal(counters().tcp_refused, 1);
	for (unsigned i = 0; i < NET_CONNS_MAX; i++) {
		assert_true(net_conn_is_open(all[i]));
		app.conn = all[i];
		net_conn_abort(all[i]);
		net_run(1);
	}
	assert_int_equal(app.closed, NET_CONNS_MAX);
	app.closed = 1;
}

/* Connections that have been closed by us, whose peers acknowledge nothing, give way before the slots end. */
static void test_lingering_gives_way(void **state)
{
	(void)state;
	for (unsigned i = 1; i < 3 * NET_CONNS_MAX; i++) {
		assert_int_equal(net_conn_send(app.conn, "answer", 6), 6);
		net_conn_close(app.conn);
		net_run(1);
		app.anyone = true; /* closed() is another's */
		connected(state);
		app.anyone = true;
		assert_true(counters().tcp_open < NET_CONNS_MAX);
	}
	assert_true(net_conn_is_open(app.conn));
	net_run(40000);
	assert_int_equal(counters().tcp_open, 1);
	net_conn_abort(app.conn);
	net_run(10);
	assert_int_equal(counters().tcp_open, 0);
}

/* Peers that take nothing cannot have all of the memory for what is sent. */
static void test_memory_is_shared(void **state)
{
	static char much[65536];
	struct net_conn *all[20];
	size_t sum = 0;

	(void)state;
	all[0] = app.conn;
	for (unsigned i = 0; i < 20; i++) {
		if (i)
			connected(state);
		all[i] = app.conn;
		sum += net_conn_send(all[i], much, sizeof(much));
		assert_true(net_conn_unsent(all[i]) > 1000);
	}
	assert_in_range(sum, 100000, 300000);
	for (unsigned i = 0; i < 20; i++) {
		app.conn = all[i];
		net_conn_abort(all[i]);
		net_run(1);
	}
	app.closed = 1;
}

static void test_listeners(void **state)
{
	struct net_listener *l[8];
	unsigned n = 0;

	(void)state;
	assert_null(net_listen(PORT, 4, on_accept, NULL));
	assert_string_equal(net_last_error(), "the port is in use");
	while (n < 8 && (l[n] = net_listen(9000 + n, 4, on_accept, NULL)) != NULL)
		n++;
	assert_int_equal(n, 3);
	assert_string_equal(net_last_error(), "too many listening ports");
	while (n)
		net_listener_close(l[--n]);
	l[0] = net_listen(9000, 4, on_accept, NULL);
	assert_non_null(l[0]);
	net_listener_close(l[0]);
}

/* An idle machine: no 250 ms ticks once TIME-WAIT is over. */
static void test_sleeps(void **state)
{
	(void)state;
	net_run(300000);
	fake_waits = 0;
	net_run(60000);
	assert_in_range(fake_waits, 1, 61);
}

int main(void)
{
	static const char *const options[] = {"ip=10.0.2.15/24,gw=10.0.2.2", NULL};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_request_reply, connected, over),
		cmocka_unit_test_setup_teardown(test_peer_closes, connected, over),
		cmocka_unit_test_setup_teardown(test_peer_closes_and_stays_silent, connected, over),
		cmocka_unit_test_setup_teardown(test_close_lingers, connected, over),
		cmocka_unit_test_setup_teardown(test_close_peer_stays, connected, over),
		cmocka_unit_test_setup_teardown(test_close_peer_gone, connected, over),
		cmocka_unit_test_setup_teardown(test_reset, connected, over),
		cmocka_unit_test_setup_teardown(test_abort_in_data, connected, over),
		cmocka_unit_test_setup_teardown(test_flow_control, connected, over),
		cmocka_unit_test_setup_teardown(test_send_much, connected, over),
		cmocka_unit_test_setup_teardown(test_ring_full, connected, over),
		cmocka_unit_test_setup(test_refuse, quiet),
		cmocka_unit_test_setup_teardown(test_full, connected, over),
		cmocka_unit_test_setup(test_lingering_gives_way, connected),
		cmocka_unit_test_setup_teardown(test_memory_is_shared, connected, over),
		cmocka_unit_test_setup(test_listeners, quiet),
		cmocka_unit_test_setup(test_sleeps, quiet),
	};

	net_begin(options);
	if (!net_listen(PORT, 128, on_accept, &peer))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
