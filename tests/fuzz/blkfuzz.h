/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For fuzzers of drivers of drives: requests of any kind, each of which must end exactly once, and memory that drivers keep
 * for good given back after each input.
 */
#ifndef TESTS_BLKFUZZ_H
#define TESTS_BLKFUZZ_H

#include "tests/unit/blkctl_fakes.h"
#include "tests/unit/fakehv.h"
#include "drivers/blkmem.h"

#define MS 1000000ull
#define SECOND (1000 * MS)
#define REQUESTS 48u
#define KEPT 256u

static struct fake_request requests[REQUESTS];
static unsigned n_requests;
static void *kept[KEPT];
static unsigned n_kept;
static bool recording;
static const uint8_t *in;
static size_t left;

#undef calloc
#undef free
void *calloc(size_t n, size_t size);
void free(void *p);
void fuzz_free(void *p);
/* In place of calloc() and free() in all that is compiled with -Dcalloc=fuzz_calloc -Dfree=fuzz_free. */
void *fuzz_calloc(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (recording && n_kept == KEPT)
		abort();
	if (recording)
		kept[n_kept++] = p;
	return p;
}

void fuzz_free(void *p)
{
	for (unsigned i = 0; p && i < n_kept; i++)
		if (kept[i] == p)
			kept[i] = NULL;
	free(p);
}

static inline unsigned take(void)
{
	if (left == 0)
		return 0;
	left--;
	return *in++;
}

static inline void submit_one(void)
{
	static const uint32_t units[] = {1, 2, 4, 512, 4096};
	unsigned kind = take(), at = take(), size = take();
	struct fake_request *q = &requests[n_requests];
	struct blkdev *b;

	if (n_requests == REQUESTS || fake_n_added == 0)
		return;
	n_requests++;
	b = fake_added[kind >> 6 & 1 && fake_n_added > 1];
	if (kind % 8 < 4) {
		fake_request_make(q, kind & 1 ? BLK_WRITE : BLK_READ, at % 80 * 4096u,
				  (1 + size) * 512u * (kind & 8 ? 8 : 1), units[kind % 5]);
	} else {
		*q = (struct fake_request){.r = {.op = (enum blk_op)(kind % 6),
						 .offset = at % 80 * 4096u,
						 .bytes = size * 4096u,
						 .done = fake_done,
						 .ctx = q}};
		if (q->r.op == BLK_READ || q->r.op == BLK_WRITE)
			q->r.bytes = 0;
	}
	q->r.fua = kind & 16;
	blk_submit(b, &q->r);
}

static inline void begin(const uint8_t *data, size_t size)
{
	in = data;
	left = size;
	if (!recording) {
		fake_reset(1000);
		if (blkmem_prepare() != 0)
			abort();
		recording = true;
	}
	fake_log_clear();
	fake_vendor = 0x1af4;
	fake_n_added = fake_starting = n_requests = 0;
	fake_irq = NULL;
	dma_left = 1000;
}

/* The controller is pulled out: all has to end, in the time that anything may take. */
static inline void finish(unsigned dma_first)
{
	fake_vendor = 0xffff;
	for (unsigned i = 0; i < 60; i++)
		fake_advance(SECOND);
	for (unsigned i = 0; i < n_requests; i++) {
		if (requests[i].ended != 1)
			abort();
		fake_request_free(&requests[i]);
	}
	if (fake_starting || fake_timer_armed())
		abort();
	for (unsigned i = 0; i < fake_n_added; i++)
		if (fake_added[i]->stats.in_flight || !fake_added[i]->gone)
			abort();
	while (n_kept)
		free(kept[--n_kept]); /* NULL: given back already */
	dma_free_from(dma_first);
}

#endif
