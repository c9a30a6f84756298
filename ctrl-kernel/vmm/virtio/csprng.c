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

static inline void quarter(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
	*a += *b, *d = rotl(*d ^ *a, 16);
	*c += *d, *b = rotl(*b ^ *c, 12);
	*a += *b, *d = rotl(*d ^ *a, 8);
	*c += *d, *b = rotl(*b ^ *c, 7);
}

void chacha20_block(const uint32_t key[8], uint32_t counter, const uint32_t nonce[3],
		    uint8_t out[CHACHA_BLOCK])
{
	const uint32_t in[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, key[0], key[1],
				 key[2],     key[3],     key[4],     key[5],     key[6], key[7],
				 counter,    nonce[0],   nonce[1],   nonce[2]};
	uint32_t x[16];

	memcpy(x, in, sizeof(x));
	for (unsigned i = 0; i < ROUNDS; i += 2) {
		for (unsigned c = 0; c < 4; c++)
			quarter(&x[c], &x[4 + c], &x[8 + c], &x[12 + c]);
		for (unsigned c = 0; c < 4; c++)
			quarter(&x[c], &x[4 + (c + 1) % 4], &x[8 + (c + 2) % 4],
				&x[12 + (c + 3) % 4]);
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

static bool rdrand(uint64_t *out)
{
	bool ok;

	__asm__ volatile("rdrand %0" : "=r"(*out), "=@ccc"(ok));
	return ok;
}

static bool rdseed(uint64_t *out)
{
	bool ok;

	__asm__ volatile("rdseed %0" : "=r"(*out), "=@ccc"(ok));
	return ok;
}

/* XORed into the key: a generator that is bad, or absent, takes nothing away. */
static void mix_in(struct csprng *g, bool (*from)(uint64_t *))
{
	for (unsigned i = 0; i < 8; i += 2) {
		uint64_t r = 0;
		bool ok = false;

		for (int tries = 0; !ok && tries < CPU_TRIES; tries++)
			ok = from(&r);
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
		mix_in(g, rdseed);
	if (cpu_has(1, true, CPUID_RDRAND))
		mix_in(g, rdrand);
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
