/* SPDX-License-Identifier: BSD-2-Clause */
/* The KVM clock: its page is filled, stable, and its time runs with the TSC; wall time is after 2020. */
#include "guest.h"

static struct {
	uint32_t version, pad;
	uint64_t tsc, system;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad2[2];
} clock_page __attribute__((aligned(64)));
static struct {
	uint32_t version, sec, nsec;
} wall __attribute__((aligned(64)));

static uint64_t now(void)
{
	uint64_t delta = rdtsc() - clock_page.tsc;

	delta = clock_page.shift >= 0 ? delta << clock_page.shift : delta >> -clock_page.shift;
	return clock_page.system + (uint64_t)((unsigned __int128)delta * clock_page.mul >> 32);
}

void guest_main(void)
{
	uint64_t a, b, t;

	wrmsr(0x4b564d01, (uint64_t)&clock_page | 1);
	wrmsr(0x4b564d00, (uint64_t)&wall);
	check(clock_page.version && !(clock_page.version & 1), "version %u", clock_page.version);
	check(clock_page.flags & 1, "not stable");
	check(clock_page.mul, "no scale");
	a = now();
	for (t = rdtsc(); rdtsc() < t + 10000000;)
		pause();
	b = now();
	check(b > a && b - a < 10000000000ull, "%lu ns passed", b - a);
	check(wall.sec > 1577836800u, "wall time %u", wall.sec);
	done();
}
