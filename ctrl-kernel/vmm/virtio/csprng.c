/* SPDX-License-Identifier: BSD-2-Clause */
/* ChaCha20 and the generator on top of it. */
#include "ctrl-kernel/vmm/virtio/csprng.h"

#include <stdbool.h>
#include <string.h>

#define ROUNDS 20u
#define CPU_TRIES 10 /* SDM1 7.3.17.1: enough unless the generator is broken */
#define CPUID_RDRAND (1u << 30)
#define CPUID_RDSEED (1u << 18)

static inline uint32_t rotl(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

/* One quarter round, on the words at these places (RFC 8439, 2.1). */
#define QUARTER(x, a, b, c, d)                                                                     \
	do {                                                                                       \
		x[a] += x[b], x[d] = rotl(x[d] ^ x[a], 16);                                        \
		x[c] += x[d], x[b] = rotl(x[b] ^ x[c], 12);                                        \
		x[a] += x[b], x[d] = rotl(x[d] ^ x[a], 8);                                         \
		x[c] += x[d], x[b] = rotl(x[b] ^ x[c], 7);                                         \
	} while (0)

void chacha20_block(const uint32_t key[8], uint32_t counter, const uint32_t nonce[3],
		    uint8_t out[CHACHA_BLOCK])
{
	const uint32_t in[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, key[0], key[1],
				 key[2],     key[3],     key[4],     key[5],     key[6], key[7],
				 counter,    nonce[0],   nonce[1],   nonce[2]};
	uint32_t x[16];

	memcpy(x, in, sizeof(x));
	for (unsigned i = 0; i < ROUNDS; i += 2) {
		QUARTER(x, 0, 4, 8, 12);
		QUARTER(x, 1, 5, 9, 13);
		QUARTER(x, 2, 6, 10, 14);
		QUARTER(x, 3, 7, 11, 15);
		QUARTER(x, 0, 5, 10, 15);
		QUARTER(x, 1, 6, 11, 12);
		QUARTER(x, 2, 7, 8, 13);
		QUARTER(x, 3, 4, 9, 14);
	}
	for (unsigned i = 0; i < 16; i++)
		x[i] += in[i];
	memcpy(out, x, CHACHA_BLOCK); /* little-endian, as this machine is */
}

static bool cpu_has(uint32_t leaf, bool in_ecx, uint32_t bit)
{
	uint32_t a = leaf, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return (in_ecx ? c : b) & bit;
}

/* XORed into the key: a generator that is bad, or absent, takes nothing away. */
static void mix_in(struct csprng *g, bool seed)
{
	for (unsigned i = 0; i < 8; i += 2) {
		uint64_t r = 0;
		bool ok = false;

		for (int tries = 0; !ok && tries < CPU_TRIES; tries++) {
			if (seed)
				__asm__ volatile("rdseed %0" : "=r"(r), "=@ccc"(ok));
			else
				__asm__ volatile("rdrand %0" : "=r"(r), "=@ccc"(ok));
		}
		g->key[i] ^= (uint32_t)r;
		g->key[i + 1] ^= (uint32_t)(r >> 32);
	}
}

/* The first half block is the next key, the rest of the pool is to be given away. */
static void refill(struct csprng *g)
{
	static const uint32_t nonce[3];

	for (uint32_t i = 0; i < CSPRNG_BLOCKS; i++)
		chacha20_block(g->key, i, nonce, g->pool + i * CHACHA_BLOCK);
	memcpy(g->key, g->pool, sizeof(g->key));
	memset(g->pool, 0, sizeof(g->key));
	g->used = sizeof(g->key);
}

void csprng_init(struct csprng *g, const uint64_t seed[4])
{
	memcpy(g->key, seed, sizeof(g->key));
	if (cpu_has(7, false, CPUID_RDSEED))
		mix_in(g, true);
	if (cpu_has(1, true, CPUID_RDRAND))
		mix_in(g, false);
	refill(g);
}

void csprng_bytes(struct csprng *g, void *to, size_t n)
{
	uint8_t *at = to;

	while (n) {
		size_t part = sizeof(g->pool) - g->used;

		if (part == 0) {
			refill(g);
			continue;
		}
		part = part < n ? part : n;
		memcpy(at, g->pool + g->used, part);
		memset(g->pool + g->used, 0, part);
		g->used += (unsigned)part;
		at += part;
		n -= part;
	}
}
