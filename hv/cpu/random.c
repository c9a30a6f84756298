/* SPDX-License-Identifier: BSD-2-Clause */
/* Random numbers for canaries and seeds: the CPU's generator where there is one, mixed with the time-stamp counter. */
#include "hv/cpu/cpu.h"
#include "hv/cpu/x86.h"

enum { TRIES = 16 }; /* SDM1 7.3.17.1 says 10 are enough unless the generator is broken */

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

/* The finaliser of SplitMix64: every input bit reaches every output bit. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

uint64_t cpu_random(void)
{
	static uint64_t pool; /* [a] */
	uint64_t seed = 0, rand = 0;
	bool got = false;

	for (int i = 0; cpu_features.rdseed && !got && i < TRIES; i++)
		got = rdseed(&seed);
	got = false;
	for (int i = 0; cpu_features.rdrand && !got && i < TRIES; i++)
		got = rdrand(&rand);
	/* Odd, so that the pool moves on even when two CPUs come at the same tick. */
	return mix(__atomic_add_fetch(&pool, rdtsc() << 1 | 1, __ATOMIC_RELAXED)) ^ seed ^
	       mix(rand);
}
