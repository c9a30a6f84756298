/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets made by hand, for tests of net/ on top of net_fakes.h. We are 10.0.2.15, the peer is 10.0.2.2. */
#ifndef TESTS_NET_PACKETS_H
#define TESTS_NET_PACKETS_H

#include "net/frame.h"
#include "net_fakes.h"

static const uint8_t our_ip[4] = {10, 0, 2, 15}, peer_ip[4] = {10, 0, 2, 2};
static const uint8_t peer_mac[6] = {0x52, 0x55, 10, 0, 2, 2};

static inline void put16(uint8_t *at, unsigned v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}
static inline void put32(uint8_t *at, uint32_t v)
{
	put16(at, v >> 16);
	put16(at + 2, v & 0xffff);
}
static inline unsigned get16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}
static inline uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static inline uint32_t sum(uint32_t s, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	return s;
}
static inline unsigned fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return ~s & 0xffff;
}

static inline size_t ethernet(uint8_t *f, unsigned type)
{
	memcpy(f, fake_nic.mac, 6);
	memcpy(f + 6, peer_mac, 6);
	put16(f + 12, type);
	return 14;
}

static inline size_t arp_request(uint8_t *f)
{
	ethernet(f, ETH_TYPE_ARP);
	memset(f, 0xff, 6);
	memcpy(f + 14, "\x00\x01\x08\x00\x06\x04\x00\x01", 8);
	memcpy(f + 22, peer_mac, 6);
	memcpy(f + 28, peer_ip, 4);
	memset(f + 32, 0, 6);
	memcpy(f + 38, our_ip, 4);
	return 42;
}

/* The IPv4 header before len bytes at f + 34. */
static inline size_t ipv4(uint8_t *f, unsigned protocol, size_t len)
{
	uint8_t *ip = f + ethernet(f, 0x0800);

	memset(ip, 0, 20);
	ip[0] = 0x45;
	put16(ip + 2, (unsigned)(20 + len));
	ip[8] = 64;
	ip[9] = (uint8_t)protocol;
	memcpy(ip + 12, peer_ip, 4);
	memcpy(ip + 16, our_ip, 4);
	put16(ip + 10, fold(sum(0, ip, 20)));
	return 34 + len;
}

static inline struct net_counters counters(void)
{
	struct net_status s;

	net_status(&s);
	return s.counters;
}

static inline int quiet(void **state)
{
	(void)state;
	n_sent = 0;
	fake_log[0] = 0;
	return 0;
}

#endif
