/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Carries out the steps (blk/step.h) that code for structures on disks hands out, on block devices, one after the other:
 *
 *	stepper_run() ──► ops->next() ──► request to the disk ──► ops->told() ──► ops->next() ... STEP_END ──► end()
 *
 * What is read and written goes through a DMA buffer, for steps have theirs in the heap. A few of these buffers serve all
 * steppers; who finds none waits. They are made when first wanted and never given back.
 */
#ifndef STORAGE_STEPPER_H
#define STORAGE_STEPPER_H

#include <stdbool.h>
#include "drivers/blkdev.h"
#include "drivers/driver.h"
#include "ctrl-kernel/blk/step.h"
#include "ctrl-kernel/loop/loop.h"

struct stepper_ops {
	void (*next)(void *work, struct step *out); /* what is to be done now */
	void (*told)(void *work, bool ok);          /* ... has been done, or not */
};

struct stepper {
	/* ---- filled in by the caller; all stays until end() ---- */
	const struct stepper_ops *ops;
	void *work; /* [borrows] of ops */
	struct blkdev *const
		*disks; /* [borrows] by a step's number; one that is NULL fails its steps */
	unsigned n_disks;
	void (*end)(
		struct stepper *
			s); /* nothing more to do; may free s. From the loop, never in stepper_run() */
	void *ctx;          /* the caller's */

	/* ---- the stepper's ---- */
	struct step step;
	struct blk_request rq;
	struct blk_seg seg;
	struct stepper_buffer *buffer; /* [owns] while it runs */
	struct loop_job job;
	struct stepper *next; /* waits for a buffer */
};

void stepper_run(struct stepper *s);

#endif
