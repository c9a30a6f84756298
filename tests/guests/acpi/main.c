/* SPDX-License-Identifier: BSD-2-Clause */
/* The ACPI tables are found, their checksums hold, the MADT has all CPUs, and the FADT names its blocks. */
#include "guest.h"

struct header {
	char sig[4];
	uint32_t len;
	uint8_t rev, sum, rest[26];
};

static uint8_t sum(const void *p, uint32_t n)
{
	uint8_t s = 0;

	for (uint32_t i = 0; i < n; i++)
		s = (uint8_t)(s + ((const uint8_t *)p)[i]);
	return s;
}

static const uint8_t *rsdp(void)
{
	for (uint64_t a = 0xe0000; a < 0x100000; a += 16)
		if (*(const volatile uint64_t *)a == 0x2052545020445352ull &&
		    !sum((const void *)a, 20))
			return (const uint8_t *)a;
	fail("no RSDP");
}

static unsigned madt_cpus(const struct header *h)
{
	unsigned n = 0;

	for (uint32_t o = 44; o + 2 <= h->len; o += ((const uint8_t *)h)[o + 1]) {
		const uint8_t *e = (const uint8_t *)h + o;

		check(e[1] >= 2, "a MADT entry of length %u", e[1]);
		n += (e[0] == 0 && (e[4] & 1)) || (e[0] == 9 && (e[8] & 1));
	}
	return n;
}

void guest_main(void)
{
	const uint8_t *r = rsdp();
	const struct header *x;
	unsigned found = 0;

	check(r[15] >= 2 && !sum(r, 36), "RSDP revision %u", r[15]);
	x = (const struct header *)*(const uint64_t *)(r + 24);
	check(!sum(x, x->len), "XSDT checksum");
	for (uint32_t o = 36; o + 8 <= x->len; o += 8) {
		const struct header *h = (const struct header *)*(
			const uint64_t *)((const uint8_t *)x + o);

		check(!sum(h, h->len), "checksum of %c%c%c%c", h->sig[0], h->sig[1], h->sig[2],
		      h->sig[3]);
		if (h->sig[0] == 'A') {
			found |= 1;
			check(madt_cpus(h) == 3, "%u CPUs in the MADT", madt_cpus(h));
		} else if (h->sig[0] == 'F') {
			const struct header *dsdt = (const struct header *)*(
				const uint64_t *)((const uint8_t *)h + 140);

			found |= 2;
			check(dsdt->sig[0] == 'D' && !sum(dsdt, dsdt->len), "DSDT");
			check(*(const uint32_t *)((const uint8_t *)h + 64),
			      "no PM1a control block");
		}
	}
	check(found == 3, "tables found: %x", found);
	done();
}
