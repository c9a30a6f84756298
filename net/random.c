/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random numbers and TCP sequence numbers for lwIP, from the seed hv gives each program. SipHash-2-4 (Aumasson and
 * Bernstein, 2012) keyed with half the seed: nobody outside can tell the next value from earlier ones.
 */
#include <stdio.h>
#include <string.h>
#include "net/random.h"
#include "net/lwiphooks.h"
#include "lwip/arch.h"
#include "ctrl-kernel/rt/rt.h"

#define ISN_TICK_NS 4000u /* RFC 6528: one step each 4 us */

static uint64_t key[2];
static uint64_t counter;

static uint64_t rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

/* Of whole 64-bit words. */
uint64_t net_siphash(const uint64_t k[2], const uint64_t *words, unsigned n)
{
	uint64_t v[4] = {k[0] ^ 0x736f6d6570736575ull, k[1] ^ 0x646f72616e646f6dull,
			 k[0] ^ 0x6c7967656e657261ull, k[1] ^ 0x7465646279746573ull};

	for (unsigned i = 0; i <= n; i++) {
		uint64_t word = i < n ? words[i] : (uint64_t)(n * 8) << 56;

		v[3] ^= word;
		sip_round(v);
		sip_round(v);
		v[0] ^= word;
	}
	v[2] ^= 0xff;
	for (unsigned i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void net_random_seed(const uint64_t seed[4])
{
	key[0] = seed[0] ^ seed[2];
	key[1] = seed[1] ^ seed[3];
}

uint32_t net_random(void)
{
	uint64_t words[2] = {0, ++counter};

	return (uint32_t)net_siphash(key, words, 2);
}

u32_t net_tcp_isn(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip,
		  u16_t remote_port)
{
	uint64_t words[6] = {1, (uint64_t)local_port << 16 | remote_port};

	if (IP_IS_V6(local_ip)) {
		memcpy(&words[2], ip_2_ip6(local_ip)->addr, 16);
		memcpy(&words[4], ip_2_ip6(remote_ip)->addr, 16);
	} else {
		words[2] = ip_2_ip4(local_ip)->addr;
		words[4] = ip_2_ip4(remote_ip)->addr;
	}
	return (u32_t)(net_siphash(key, words, 6) + rt_now() / ISN_TICK_NS);
}

void net_lwip_died(const char *what, const char *file, int line)
{
	rt_die("lwIP: %s (%s:%d)", what, file, line);
}
