/* SPDX-License-Identifier: BSD-2-Clause */
/* PCI and the list of disks for tests of drivers of drives, and requests with memory that lies anyhow. */
#ifndef TESTS_BLKCTL_FAKES_H
#define TESTS_BLKCTL_FAKES_H

#include "tests/unit/blk_fakes.h"
#include "drivers/disks.h"

/* Drivers keep what they have for good, also of controllers that are gone. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static uint32_t fake_vendor = 0x1af4;
static uint32_t (*fake_capability)(unsigned off); /* configuration space from 0x40 on */
static struct blkdev *fake_added[16];
static unsigned fake_n_added, fake_starting;

uint32_t pci_read(const struct pci_dev *d, unsigned off, unsigned width)
{
	(void)d, (void)width;
	if (off >= 0x40 && fake_capability)
		return fake_capability(off);
	return off == 0 ? fake_vendor : 0;
}

/* ---- a controller's registers and interrupt ---- */

static _Alignas(8) uint8_t fake_bar[0x2000];
static void (*fake_irq)(void *ctx);
static void *fake_irq_ctx;
static bool fake_master;

void pci_write(const struct pci_dev *d, unsigned off, unsigned width, uint32_t value)
{
	(void)d, (void)off, (void)width, (void)value;
}

void pci_enable(const struct pci_dev *d, bool bus_master)
{
	(void)d;
	fake_master = bus_master;
}

volatile void *pci_map_bar(const struct pci_dev *d, unsigned bar, uint64_t off, uint64_t len)
{
	(void)d, (void)bar;
	return off + len <= sizeof(fake_bar) ? fake_bar + off : NULL;
}

int pci_irq_bind(const struct pci_dev *d, void (*fn)(void *), void *ctx, const char **kind)
{
	(void)d;
	fake_irq = fn;
	fake_irq_ctx = ctx;
	*kind = "msix";
	return 0;
}

static inline uint32_t fake_get(unsigned at)
{
	uint32_t v;

	memcpy(&v, fake_bar + at, sizeof(v));
	return v;
}

static inline uint64_t fake_get64(unsigned at)
{
	return fake_get(at) | (uint64_t)fake_get(at + 4) << 32;
}

static inline void fake_set(unsigned at, uint32_t v)
{
	memcpy(fake_bar + at, &v, sizeof(v));
}

void disk_add(struct blkdev *b)
{
	if (fake_n_added < 16)
		fake_added[fake_n_added++] = b;
}

void disk_starting(void)
{
	fake_starting++;
}

void disk_started(void)
{
	fake_starting--;
}

static uint64_t fake_seed = 1;
static inline uint32_t fake_random(uint32_t below)
{
	fake_seed = fake_seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(fake_seed >> 33) % below;
}

#define REQUEST_SEGS 40u

struct fake_request {
	struct blk_request r;
	struct blk_seg segs[REQUEST_SEGS];
	uint8_t *arena; /* [owns] */
	unsigned ended;
	enum blk_status status;
};

static inline void fake_done(struct blk_request *r, enum blk_status status)
{
	struct fake_request *q = r->ctx;

	q->ended++;
	q->status = status;
}

static inline void fake_request_free(struct fake_request *q)
{
	free(q->arena);
	q->arena = NULL;
}

/* Cuts [0, bytes) into at most REQUEST_SEGS pieces at any places (multiples of unit), each anywhere in its own memory. */
static inline void fake_request_make(struct fake_request *q, enum blk_op op, uint64_t offset,
				     uint32_t bytes, uint32_t unit)
{
	uint32_t left = bytes, room = bytes + REQUEST_SEGS * 4096u + 8192u;
	uint8_t *at;

	*q = (struct fake_request){.arena = aligned_alloc(4096, (room + 4095) & ~4095u)};
	at = q->arena;
	q->r = (struct blk_request){.op = op,
				    .offset = offset,
				    .bytes = bytes,
				    .seg = q->segs,
				    .done = fake_done,
				    .ctx = q};
	for (unsigned i = 0; left; i++) {
		uint32_t n = (1 + fake_random(3 * (left / unit) / 4 + 1)) * unit;

		n = i + 1 == REQUEST_SEGS || n > left ? left : n;
		at += fake_random(4096 / unit) * unit * fake_random(2);
		q->segs[i] = (struct blk_seg){.va = at, .hpa = (uintptr_t)at, .bytes = n};
		q->r.n_segs = i + 1;
		at += n;
		left -= n;
	}
}

static inline uint8_t fake_byte(uint64_t offset, unsigned seed)
{
	return (uint8_t)(offset * 31 + (offset >> 8) * 7 + seed);
}

static inline void fake_request_fill(struct fake_request *q, unsigned seed)
{
	uint64_t at = q->r.offset;

	for (unsigned i = 0; i < q->r.n_segs; i++)
		for (uint32_t k = 0; k < q->segs[i].bytes; k++)
			((uint8_t *)q->segs[i].va)[k] = fake_byte(at++, seed);
}

static inline bool fake_request_holds(const struct fake_request *q, unsigned seed)
{
	uint64_t at = q->r.offset;

	for (unsigned i = 0; i < q->r.n_segs; i++)
		for (uint32_t k = 0; k < q->segs[i].bytes; k++)
			if (((uint8_t *)q->segs[i].va)[k] != fake_byte(at++, seed))
				return false;
	return true;
}

#endif
