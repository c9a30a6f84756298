/* SPDX-License-Identifier: BSD-2-Clause */
/* See disk_test.h. */
#include "ctrl-kernel/ops/disk_test.h"

#include <stdlib.h>
#include <string.h>
#include "drivers/driver.h"
#include "ctrl-kernel/blk/crc32.h"
#include "ctrl-kernel/ops/start.h"

#define ARENA_BYTES (2u << 20)
#define SEGS_MAX 4096u
#define PAGE 4096u

struct one {
	struct blk_request r;
	struct blk_seg *segs; /* [owns] */
	struct run *run;      /* [borrows] */
};

struct run {
	struct one one[DISK_TEST_MAX];
	struct disk_test_result result;
	unsigned left;
	bool memory; /* it has the arena */
	disk_test_fn done;
	void *ctx; /* [borrows] the caller's */
};

static struct dma arena;
static bool taken; /* the arena */

static uint8_t pattern(uint64_t at, uint32_t seed)
{
	return (uint8_t)((uint32_t)(at / 4 * 2654435761u + seed) >> at % 4 * 8);
}

static void fill(const struct blk_request *r, uint32_t seed)
{
	uint64_t at = r->offset;

	for (unsigned i = 0; i < r->n_segs; i++)
		for (uint32_t k = 0; k < r->seg[i].bytes; k++)
			((uint8_t *)r->seg[i].va)[k] = pattern(at++, seed);
}

static uint32_t checksum(const struct blk_request *r)
{
	uint32_t crc = ~0u;

	for (unsigned i = 0; i < r->n_segs; i++)
		crc = crc32_go(crc, r->seg[i].va, r->seg[i].bytes);
	return ~crc;
}

static void run_free(struct run *run)
{
	for (unsigned i = 0; i < DISK_TEST_MAX; i++)
		free(run->one[i].segs);
	free(run);
}

static void one_done(struct blk_request *r, enum blk_status status)
{
	struct one *one = r->ctx;
	struct run *run = one->run;

	run->result.ended[status]++;
	if (status == BLK_OK && r->op == BLK_READ)
		run->result.crc[one - run->one] = checksum(r);
	if (--run->left)
		return;
	taken &= !run->memory;
	run->done(run->ctx, &run->result);
	run_free(run);
}

/* The memory of one request: pieces in its part of the arena. -1: they do not fit. */
static int lay_out(struct one *one, const struct disk_test *t, unsigned i)
{
	uint64_t room = ARENA_BYTES / t->count / PAGE * PAGE, at = t->seg_at, left = t->bytes;
	uint32_t piece = t->seg_bytes ? t->seg_bytes : (uint32_t)t->bytes;
	unsigned n = (unsigned)((t->bytes + piece - 1) / piece);

	if (n > SEGS_MAX || t->seg_gap > PAGE || at >= PAGE ||
	    at + t->bytes + (uint64_t)n * t->seg_gap > room)
		return -1;
	one->segs = calloc(n, sizeof(*one->segs));
	if (!one->segs)
		return -1;
	one->r.seg = one->segs;
	one->r.n_segs = n;
	for (unsigned k = 0; k < n; k++) {
		uint32_t len = left < piece ? (uint32_t)left : piece;

		one->segs[k] = (struct blk_seg){.va = (char *)arena.va + i * room + at,
						.hpa = arena.hpa + i * room + at,
						.bytes = len};
		left -= len;
		at += len + t->seg_gap;
	}
	return 0;
}

static int op_of(const char *text)
{
	static const char *const ops[] = {"read", "write", "flush", "discard", "zeroes"};

	for (int i = 0; i < (int)ARRAY_SIZE(ops); i++)
		if (strcmp(ops[i], text) == 0)
			return i;
	return -1;
}

static int prepare(struct run *run, const struct disk_test *t)
{
	int op = op_of(t->op);

	for (unsigned i = 0; i < t->count; i++) {
		struct one *one = &run->one[i];

		one->run = run;
		one->r = (struct blk_request){.op = (enum blk_op)op,
					      .fua = t->fua,
					      .offset = t->offset + i * t->bytes,
					      .bytes = t->bytes,
					      .done = one_done,
					      .ctx = one};
		if ((op == BLK_READ || op == BLK_WRITE) && t->bytes && lay_out(one, t, i) != 0)
			return -1;
		if (op == BLK_WRITE)
			fill(&one->r, t->seed);
	}
	return 0;
}

int disk_test(struct blkdev *b, const struct disk_test *t, disk_test_fn done, void *ctx,
	      struct ops_error *e)
{
	struct run *run;
	bool memory;
	int op;

	if (!run_test_hooks)
		return ops_fail(e, OPS_INVALID, NULL,
				"test hooks are off; boot with test.hooks=1 to have them");
	op = op_of(t->op);
	memory = op == BLK_READ || op == BLK_WRITE;
	if (memory && taken)
		return ops_fail(e, OPS_BUSY, NULL, "another test is under way");
	if (op < 0 || t->count == 0 || t->count > DISK_TEST_MAX)
		return ops_fail(e, OPS_INVALID, NULL, "no such test");
	if (!arena.va && dma_alloc(&arena, ARENA_BYTES, PAGE) != 0)
		return ops_fail(e, OPS_NO_MEMORY, NULL, "no memory for the test");
	run = calloc(1, sizeof(*run));
	if (!run || prepare(run, t) != 0) {
		if (run)
			run_free(run);
		return ops_fail(e, OPS_INVALID, NULL, "the memory of the test does not fit");
	}
	run->done = done;
	run->ctx = ctx;
	run->left = run->result.count = t->count;
	run->memory = memory;
	taken |= memory;
	for (unsigned i = 0; i < t->count; i++)
		blk_submit(b, &run->one[i].r);
	return 0;
}
