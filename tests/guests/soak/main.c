/* SPDX-License-Identifier: BSD-2-Clause */
/* For a host whose programs keep dying: every access that the vmm answers is checked against what must come, none may be lost,
 * done twice or answered by another's value; each virtio request comes back once, with an interrupt; time goes on; and the longest
 * wait for an answer is measured. */
#include "virtio.h"

enum {
	CMOS_INDEX = 0x70,
	CMOS_DATA = 0x71,
	CMOS_FIRST = 0x40,
	CMOS_BYTES = 0x30,
	PCI_ADDRESS = 0xcf8,
	PCI_DATA = 0xcfc
};
enum { ROUNDS_TOLD = 200 };

static uint64_t last, longest;

/* Around each access: time never goes back, and how long it took. */
static void passed(uint64_t start)
{
	uint64_t now = rdtsc();

	check(start >= last && now > start, "time went back: %lx, %lx, %lx", last, start, now);
	last = now;
	if (now - start > longest)
		longest = now - start;
}

static void out(uint16_t port, uint8_t v)
{
	uint64_t start = rdtsc();

	outb(port, v);
	passed(start);
}

static uint8_t in(uint16_t port)
{
	uint64_t start = rdtsc();
	uint8_t v = inb(port);

	passed(start);
	return v;
}

static uint8_t pattern(uint32_t round, unsigned i)
{
	return (uint8_t)(round * 31 + i * 7 + 1);
}

static void cmos(uint32_t round)
{
	for (unsigned i = 0; i < CMOS_BYTES; i++) {
		uint8_t v;

		out(CMOS_INDEX, (uint8_t)(CMOS_FIRST + i));
		v = in(CMOS_DATA);
		check(!round || v == pattern(round - 1, i), "round %u, CMOS %u: %x, not %x", round,
		      i, v, pattern(round - 1, i));
		out(CMOS_DATA, pattern(round, i));
		v = in(CMOS_DATA);
		check(v == pattern(round, i), "round %u, CMOS %u just written: %x, not %x", round,
		      i, v, pattern(round, i));
	}
}

static void pci(uint32_t first)
{
	uint32_t v;

	outl(PCI_ADDRESS, 0x80000000);
	v = inl(PCI_DATA);
	check(v == first && inl(PCI_ADDRESS) == 0x80000000, "PCI function 0 is %x, not %x", v,
	      first);
}

/* Two requests at once, in turns with all of the queue's chains; asleep until both are back. */
static void random_bytes(uint32_t round)
{
	uint16_t first = vq.used.idx, n = (uint16_t)(first + 2);
	uint64_t start = rdtsc();
	unsigned heads = 0;

	check(first == (uint16_t)(round * 2), "round %u: %u requests are done", round, first);
	cli();
	for (uint16_t i = first; i != n; i++) {
		for (unsigned b = 0; b < VQ_BYTES; b++)
			vq.bytes[i % VQ_SIZE][b] = 0;
		v_offer(i % VQ_SIZE);
	}
	v_bell_ring();
	for (; vq.used.idx != n;
	     cli()) /* an interrupt of earlier requests may have ended the wait */
		sti_hlt();
	passed(start);
	for (uint16_t i = first; i != n; i++) {
		unsigned zeros = 0;

		heads |= 1u << vq.used.ring[i % VQ_SIZE].id;
		check(vq.used.ring[i % VQ_SIZE].len == VQ_BYTES, "round %u: %u bytes", round,
		      vq.used.ring[i % VQ_SIZE].len);
		for (unsigned b = 0; b < VQ_BYTES; b++)
			zeros += vq.bytes[i % VQ_SIZE][b] == 0;
		check(zeros < 16, "round %u: %u of 64 random bytes are 0", round, zeros);
	}
	check(heads == 3u << first % VQ_SIZE, "round %u: chains %x came back", round, heads);
	check(v_rd16(V_Q_ENABLE) == 1 && v_rd8(V_STATUS) == 15, "round %u: status %x", round,
	      v_rd8(V_STATUS));
}

static uint64_t us(uint64_t ticks)
{
	uint32_t r[4];

	cpuid(0x40000010, 0, r); /* kHz */
	return ticks * 1000 / r[0];
}

void guest_main(void)
{
	uint32_t first;

	x2apic_enable();
	v_open();
	v_msix_on();
	v_start(0);
	outl(PCI_ADDRESS, 0x80000000);
	first = inl(PCI_DATA);
	last = rdtsc();
	for (uint32_t round = 0;; round++) {
		cmos(round);
		pci(first);
		random_bytes(round);
		if (round % ROUNDS_TOLD == 0)
			print("round %u, longest %lu us", round, us(longest));
		if (round == 0)
			print("ok soak");
	}
}
