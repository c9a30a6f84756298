/* SPDX-License-Identifier: BSD-2-Clause */
/* EFER: each bit that a guest cannot have is #GP, those it can have may be switched, SVME does not show. */
#include "guest.h"

enum { GP = 13, EFER = 0xc0000080 };

struct access {
	uint32_t msr;
	bool write;
	uint64_t value;
};

static void run(void *arg)
{
	struct access *a = arg;

	if (a->write)
		wrmsr(a->msr, a->value);
	else
		a->value = rdmsr(a->msr);
}

static bool refused(uint32_t msr, bool write, uint64_t *value)
{
	struct access a = {msr, write, *value};
	int vector = catch_trap(run, &a);

	check(vector == GP || vector == -1, "MSR %x: vector %d", msr, (uint32_t)vector);
	*value = a.value;
	return vector == GP;
}

void guest_main(void)
{
	uint64_t was = rdmsr(EFER), v;

	for (unsigned bit = 0; bit < 64; bit++) {
		v = was ^ 1ull << bit;
		if (refused(EFER, true, &v))
			continue;
		check(bit == 0 || bit == 10 || bit == 11 || bit == 14, "EFER bit %u can be changed",
		      bit);
		(void)inb(0x70);
		wrmsr(EFER, was);
	}
	check(rdmsr(EFER) == was, "EFER is %lx, was %lx", rdmsr(EFER), was);
	check(!(was & 1 << 12), "SVME shows");
	done();
}
