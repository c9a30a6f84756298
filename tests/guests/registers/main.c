/* SPDX-License-Identifier: BSD-2-Clause */
/* All general registers, flags and SSE state survive exits and being preempted by the other vCPUs' spinning. */
#include "guest.h"

void ap_main(unsigned n)
{
	uint64_t x = n * 0x1111111111111111ull;

	__asm__ volatile("movq %0, %%xmm5" : : "r"(x));
	for (;;) {
		uint64_t y;

		__asm__ volatile("movq %%xmm5, %0" : "=r"(y));
		if (x != y)
			fail("CPU %u: xmm5 is %lx", n, y);
	}
}

static uint64_t round_trip(void)
{
	uint64_t bad;

	__asm__ volatile(
		"mov $0x1111, %%r8\n\tmov $0x2222, %%r9\n\tmov $0x3333, %%r10\n\tmov $0x4444, "
		"%%r11\n\t"
		"mov $0x5555, %%r12\n\tmov $0x6666, %%r13\n\tmov $0x7777, %%r14\n\tmov $0x8888, "
		"%%r15\n\t"
		"mov $0x9999, %%rdi\n\tmov $0xaaaa, %%rsi\n\tmov $0x1234, %%edx\n\tmov $0xbbbb, "
		"%%rax\n\t"
		"inb %%dx, %%al\n\t"
		"sub $0xbbff, %%rax\n\tsub $0x1111, %%r8\n\tor %%r8, %%rax\n\tsub $0x2222, "
		"%%r9\n\tor %%r9, %%rax\n\t"
		"sub $0x3333, %%r10\n\tor %%r10, %%rax\n\tsub $0x4444, %%r11\n\tor %%r11, %%rax\n\t"
		"sub $0x5555, %%r12\n\tor %%r12, %%rax\n\tsub $0x6666, %%r13\n\tor %%r13, %%rax\n\t"
		"sub $0x7777, %%r14\n\tor %%r14, %%rax\n\tsub $0x8888, %%r15\n\tor %%r15, %%rax\n\t"
		"sub $0x9999, %%rdi\n\tor %%rdi, %%rax\n\tsub $0xaaaa, %%rsi\n\tor %%rsi, %%rax\n\t"
		"sub $0x1234, %%rdx\n\tor %%rdx, %%rax"
		: "=&a"(bad)
		:
		: "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc");
	return bad;
}

void guest_main(void)
{
	uint64_t x = 0xfeedfacecafebeefull, y;

	x2apic_enable();
	check(ap_start(2), "the other CPUs did not start");
	__asm__ volatile("movq %0, %%xmm5" : : "r"(x));
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t bad = round_trip();

		check(!bad, "registers differ: %lx", bad);
	}
	for (uint64_t end = rdtsc() + 100000000; rdtsc() < end;)
		pause();
	__asm__ volatile("movq %%xmm5, %0" : "=r"(y));
	check(x == y, "xmm5 is %lx", y);
	done();
}
