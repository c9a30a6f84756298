/* SPDX-License-Identifier: BSD-2-Clause */
/* Every MSR of the usual ranges is read and written with garbage; #GP is fine, harm is not. */
#include "guest.h"

struct access {
	uint32_t msr;
	uint64_t value;
};

static void do_read(void *p)
{
	struct access *a = p;

	a->value = rdmsr(a->msr);
}

static void do_write(void *p)
{
	struct access *a = p;

	wrmsr(a->msr, a->value);
}

static bool keep(uint32_t m)
{
	/* What this guest itself stands on. */
	return m == 0xc0000080 || m == MSR_APIC_BASE || m == 0xc0000101 || m == 0xc0000100 ||
	       m == X2_ICR || m == X2_SELF || (m & ~1u) == 0x4b564d00 || m == 0x11 || m == 0x12;
}

static void range(uint32_t from, uint32_t to)
{
	unsigned faults = 0;

	for (uint32_t m = from; m != to; m++) {
		struct access a = {m, 0};

		faults += catch_trap(do_read, &a) == 13;
		for (unsigned i = 0; i < 3 && !keep(m); i++) {
			static const uint64_t garbage[] = {0xdeadbeefcafef00dull, ~0ull,
							   0x7fffffff};
			struct access w = {m, garbage[i]};

			catch_trap(do_write, &w);
		}
		if (a.value && !keep(m))
			catch_trap(do_write, &a);
	}
	print("msrs %x-%x: %u not there", from, to, faults);
}

void guest_main(void)
{
	pic_mask_all();
	cli();
	range(0, 0x2000);
	range(0x40000000, 0x40000200);
	range(0x4b564d00, 0x4b564d10);
	range(0xc0000000, 0xc0000200);
	range(0xc0010000, 0xc0011200);
	done();
}
