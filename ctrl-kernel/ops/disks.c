/* SPDX-License-Identifier: BSD-2-Clause */
/* See disks.h. */
#include "ctrl-kernel/ops/disks.h"

#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/blk/part/signature.h"
#include "ctrl-kernel/storage/stepper.h"

struct look {
	struct disk_content content;
	struct blkdev *disk; /* [borrows] */
	struct part_scan part;
	struct signature_scan signature;
	struct stepper stepper;
	disk_look_fn done;
	void *ctx; /* [borrows] the caller's */
};

struct blkdev *disk_find(const char *name)
{
	struct blkdev *b = disk_first();

	while (b && strcmp(b->name, name) != 0)
		b = b->next;
	return b;
}

const char *disk_state(const struct blkdev *b)
{
	return b->gone ? "gone" : "ready";
}

static void part_next(void *work, struct step *out)
{
	*out = *part_scan_next(work);
}

static void part_told(void *work, bool ok)
{
	part_scan_done(work, ok);
}

static void signature_next(void *work, struct step *out)
{
	*out = *signature_scan_next(work);
}

static void signature_told(void *work, bool ok)
{
	signature_scan_done(work, ok);
}

static const struct stepper_ops part_ops = {part_next, part_told};
static const struct stepper_ops signature_ops = {signature_next, signature_told};

static void run(struct look *l, const struct stepper_ops *ops, void *work,
		void (*end)(struct stepper *s))
{
	l->stepper = (struct stepper){
		.ops = ops, .work = work, .disks = &l->disk, .n_disks = 1, .end = end, .ctx = l};
	stepper_run(&l->stepper);
}

static void signature_end(struct stepper *s)
{
	struct look *l = s->ctx;

	l->content.signature = signature_scan_result(&l->signature);
	l->done(l->ctx, &l->content, NULL);
	signature_scan_end(&l->signature);
	free(l);
}

static void part_end(struct stepper *s)
{
	struct look *l = s->ctx;
	struct ops_error e;

	part_scan_end(&l->part);
	if (signature_scan_begin(&l->signature, l->disk->bytes, l->disk->sector_bytes) == 0) {
		run(l, &signature_ops, &l->signature, signature_end);
		return;
	}
	ops_fail(&e, OPS_EXHAUSTED, NULL, "out of memory");
	l->done(l->ctx, NULL, &e);
	free(l);
}

int disk_look(struct blkdev *b, disk_look_fn done, void *ctx, struct ops_error *e)
{
	struct look *l = calloc(1, sizeof(*l));

	if (!l || part_scan_begin(&l->part, &l->content.table, b->bytes, b->sector_bytes) != 0) {
		free(l);
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	}
	l->disk = b;
	l->done = done;
	l->ctx = ctx;
	run(l, &part_ops, &l->part, part_end);
	return 0;
}
