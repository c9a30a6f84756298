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
// FLAGS: -Inet -isystem build/deps/src/lwip/src/include -DMEM_LIBC_MALLOC=1 -DMEMP_MEM_MALLOC=1 -DNET_RX_PBUF=PBUF_RAM -DCHECKSUM_CHECK_IP=0 -DCHECKSUM_CHECK_TCP=0 -DCHECKSUM_CHECK_UDP=0 -DCHECKSUM_CHECK_ICMP=0 -DCHECKSUM_CHECK_ICMP6=0
/*
 * Arbitrary frames into the glue and lwIP. The input is a series of frames, each after two length bytes (low 11 bits);
 * a flag moves the clock on by a second, so that timers and retransmissions take part; another makes a TCP segment fit
 * the last one heard, so that connections come about. Checksums are not looked at. What arrives on the listening port is
 * echoed, and the connections are closed and aborted in turns.
 */
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/net_fakes.h"

#define LEN_MASK 0x7ffu
#define STEP_CLOCK 0x8000u
#define MAKE_MINE 0x4000u /* destination becomes our MAC address */
#define FIT_TCP 0x2000u   /* sequence and acknowledgement follow the last segment heard */
#define TCP_AT 34u        /* in an IPv4 frame without options */

static unsigned turn;

static void on_data(struct net_conn *conn, void *ctx, const void *data, size_t len)
{
	(void)ctx;
	net_conn_send(conn, data, len);
	net_conn_recved(conn, len);
	switch (turn++ % 8) {
	case 3:
		net_conn_close(conn);
		break;
	case 7:
		net_conn_abort(conn);
		break;
	default:
		break;
	}
}

static void on_closed(struct net_conn *conn, void *ctx, enum net_end why)
{
	(void)conn, (void)ctx, (void)why;
}

static const struct net_conn_ops ops = {.data = on_data, .closed = on_closed};

static void on_accept(struct net_conn *conn, void *ctx)
{
	net_conn_attach(conn, &ops, ctx);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put32(uint8_t *at, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void fit_tcp(uint8_t *frame, size_t len)
{
	const uint8_t *t;

	for (unsigned i = n_sent; i-- > 0;) {
		if (sent[i].len < TCP_AT + 20 || sent[i].frame[12] != 8 || sent[i].frame[13] != 0 ||
		    sent[i].frame[23] != 6)
			continue;
		t = sent[i].frame + TCP_AT;
		if (len < TCP_AT + 20)
			return;
		put32(frame + TCP_AT + 4, get32(t + 8));
		put32(frame + TCP_AT + 8,
		      get32(t + 4) + (t[13] & 3 ? 1 : 0) +
			      (uint32_t)(sent[i].len - TCP_AT - (t[12] >> 4) * 4u));
		return;
	}
}

static void begin(void)
{
	static const char *const options[] = {"ip=10.0.2.15/24,gw=10.0.2.2", NULL};
	static bool begun;

	if (begun)
		return;
	begun = true;
	net_begin(options);
	if (!net_listen(8080, 16, on_accept, NULL))
		abort();
	net_run(5000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t frame[LEN_MASK + 1];

	begin();
	while (size >= 2) {
		unsigned head = data[0] | (unsigned)data[1] << 8;
		size_t len = head & LEN_MASK;

		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		memcpy(frame, data, len);
		if (head & MAKE_MINE && len >= 6)
			memcpy(frame, fake_nic.mac, 6);
		if (head & FIT_TCP)
			fit_tcp(frame, len);
		inject(frame, len);
		if (head & STEP_CLOCK)
			net_run(1000);
		data += len;
		size -= len;
	}
	net_run(10);
	n_sent = 0;
	fake_log[0] = 0;
	return 0;
}
