/* SPDX-License-Identifier: BSD-2-Clause */
/* Drives of memory (drive_fakes.h). */
#include "tests/unit/drive_fakes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/loop/loop.h"
#include "drivers/disks.h"
#include "drivers/driver.h"

#define DRIVES_MAX 8u

static struct fake_drive *drives[DRIVES_MAX];
static unsigned n_drives;
static struct blkdev *list;
static uint64_t dice_state = 1;
void (*fake_drive_hook)(struct fake_drive *d, const struct blk_request *r);
unsigned fake_dma_left = 100000;

static unsigned dice(void)
{
	dice_state = dice_state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(dice_state >> 33);
}

/* ---- requests ---- */

static void touch(struct fake_drive *d, const struct blk_request *r)
{
	for (uint64_t at = 0; at < r->bytes; at += d->dev.sector_bytes)
		d->dirty[(r->offset + at) / d->dev.sector_bytes] = true;
}

static void settle(struct fake_drive *d, uint64_t offset, uint64_t bytes)
{
	uint32_t s = d->dev.sector_bytes;

	for (uint64_t at = offset; at < offset + bytes; at += s) {
		if (!d->dirty[at / s])
			continue;
		memcpy(d->media + at, d->now + at, s);
		d->dirty[at / s] = false;
	}
}

static void move(struct fake_drive *d, const struct blk_request *r)
{
	uint64_t at = r->offset;

	for (unsigned i = 0; i < r->n_segs; at += r->seg[i++].bytes) {
		if ((uintptr_t)r->seg[i].va != r->seg[i].hpa)
			abort(); /* of a segment that was cut both go along */
		if (r->op == BLK_READ)
			memcpy(r->seg[i].va, d->now + at, r->seg[i].bytes);
		else
			memcpy(d->now + at, r->seg[i].va, r->seg[i].bytes);
	}
	if (at != r->offset + r->bytes)
		abort();
}

static enum blk_status carry_out(struct fake_drive *d, const struct blk_request *r)
{
	bool zeroes = r->op == BLK_WRITE_ZEROES || r->op == BLK_DISCARD;

	if (d->dev.gone)
		return BLK_GONE;
	if (d->fail_at && d->requests >= d->fail_at)
		return d->fail_status;
	if (r->op == BLK_FLUSH) {
		settle(d, 0, d->dev.bytes);
		return BLK_OK;
	}
	if (r->offset % d->dev.sector_bytes || r->bytes % d->dev.sector_bytes || r->bytes == 0 ||
	    r->offset > d->dev.bytes || r->bytes > d->dev.bytes - r->offset)
		abort(); /* whoever submits knows */
	if (zeroes && d->no_zeroes)
		return BLK_UNSUPPORTED;
	if (zeroes && r->bytes > d->dev.discard_max)
		abort();
	if (zeroes)
		memset(d->now + r->offset, 0, r->bytes);
	else
		move(d, r);
	if (r->op != BLK_READ)
		touch(d, r);
	if (r->fua)
		settle(d, r->offset, r->bytes);
	return BLK_OK;
}

static struct loop_job turn_job;

static struct blk_request *take_one(struct fake_drive *d)
{
	struct blk_request **at = &d->first, *r;

	if (d->any_order)
		while ((*at)->next && dice() % 2)
			at = &(*at)->next;
	r = *at;
	*at = r->next;
	return r;
}

static void turn(void *unused)
{
	bool more = false;

	(void)unused;
	for (unsigned i = 0; i < n_drives; i++) {
		struct fake_drive *d = drives[i];
		struct blk_request *r;

		if (!d->first)
			continue;
		r = take_one(d);
		d->requests++;
		r->status = carry_out(d, r);
		if (r->status == BLK_OK)
			d->count[r->op]++;
		if (r->n_segs > d->most_segs)
			d->most_segs = r->n_segs;
		if (fake_drive_hook && r->op != BLK_READ)
			fake_drive_hook(d, r);
		r->done(r, r->status);
	}
	for (unsigned i = 0; i < n_drives; i++)
		more |= drives[i]->first != NULL;
	if (more)
		loop_defer(&turn_job);
}

static void submit(struct blkdev *b, struct blk_request *r)
{
	struct fake_drive *d = b->priv;
	struct blk_request **at = &d->first;

	while (*at)
		at = &(*at)->next;
	r->next = NULL;
	memset(r->scratch, 0xa5, sizeof(r->scratch)); /* the drive's */
	*at = r;
	turn_job.fn = turn;
	loop_defer(&turn_job);
}

static const struct blkdev_ops fake_ops = {submit};

/* ---- the tests' side ---- */

struct fake_drive *fake_drive_add(const char *name, uint64_t bytes, uint32_t sector)
{
	struct fake_drive *d = calloc(1, sizeof(*d));
	struct blkdev **at = &list;

	if (n_drives == DRIVES_MAX)
		abort();
	d->now = calloc(1, bytes);
	d->media = calloc(1, bytes);
	d->dirty = calloc(bytes / sector, sizeof(*d->dirty));
	snprintf(d->dev.name, sizeof(d->dev.name), "%s", name);
	d->dev.bytes = bytes;
	d->dev.sector_bytes = d->dev.physical_bytes = sector;
	d->dev.discard_max = 1 << 20;
	d->dev.write_cache = true;
	d->dev.ops = &fake_ops;
	d->dev.priv = d;
	d->fail_status = BLK_IO_ERROR;
	while (*at)
		at = &(*at)->next;
	*at = &d->dev;
	drives[n_drives++] = d;
	return d;
}

struct fake_drive *fake_drive(unsigned i)
{
	return drives[i];
}

unsigned fake_drives(void)
{
	return n_drives;
}

void fake_drives_free(void)
{
	while (n_drives) {
		struct fake_drive *d = drives[--n_drives];

		free(d->now);
		free(d->media);
		free(d->dirty);
		free(d);
	}
	list = NULL;
	fake_drive_hook = NULL;
}

static void cut(const struct fake_drive *d, uint64_t from, uint64_t end, uint8_t *out,
		unsigned seed)
{
	uint32_t s = d->dev.sector_bytes;

	memcpy(out + from, d->media + from, end - from);
	for (uint64_t i = from / s; i < end / s; i++) {
		if (!d->dirty[i])
			continue;
		seed = seed * 1664525u + 1013904223u;
		if (seed >> 16 & 1)
			memcpy(out + i * s, d->now + i * s, s);
	}
}

void fake_drive_cut(const struct fake_drive *d, uint64_t edge, uint8_t *out, unsigned seed)
{
	cut(d, 0, edge, out, seed);
	cut(d, d->dev.bytes - edge, d->dev.bytes, out, seed ^ 0x5555);
}

/* ---- drivers/disks.h, drivers/driver.h ---- */

struct blkdev *disk_first(void)
{
	return list;
}

void disk_watch(void (*fn)(struct blkdev *b))
{
	for (struct blkdev *b = list; b; b = b->next)
		fn(b);
}

bool disks_settled(void)
{
	return true;
}

int dma_alloc(struct dma *out, size_t bytes, size_t align)
{
	void *va;

	if (fake_dma_left == 0 || posix_memalign(&va, align < 8 ? 8 : align, bytes))
		return -1;
	fake_dma_left--;
	memset(va, 0, bytes);
	*out = (struct dma){.va = va, .hpa = (uintptr_t)va, .bytes = bytes};
	return 0;
}
