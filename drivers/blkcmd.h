/* SPDX-License-Identifier: BSD-2-Clause */
/* Between blkctl.c (requests) and blkcmd.c (their way through the hardware as commands). */
#ifndef DRIVERS_BLKCMD_H
#define DRIVERS_BLKCMD_H

#include "drivers/blkctl.h"
#include "drivers/blkmem.h"

/* In r->scratch while the request is a controller's. */
struct request_state {
	struct blkunit *unit; /* [borrows] */
	uint64_t given;       /* bytes for which commands were made */
	struct blkpos at;     /* the next one's memory */
	uint16_t out;         /* commands under way */
	bool queued_out;      /* not in `waiting` any more */
	bool flushing; /* all is written, the flush that stands for FUA is due or under way */
} __attribute__((may_alias));
_Static_assert(sizeof(struct request_state) <= sizeof(((struct blk_request *)0)->scratch),
	       "a request has no more room");

static inline struct request_state *request_state(struct blk_request *r)
{
	return (struct request_state *)r->scratch;
}

/* blkctl.c */
void blkctl_finish(struct blkctl *ctl, struct blk_request *r, enum blk_status status);
void blkctl_bounce_free(void); /* who waits for a buffer is tried again soon */

/* blkcmd.c */
void blkctl_send(struct blkctl *ctl);
void blkctl_again(struct blkctl *ctl);     /* after a reset: what was in flight */
void blkctl_blame(struct blkctl *ctl);     /* before it: what was alone is at fault */
void blkctl_deadlines(struct blkctl *ctl); /* may call blkctl_fail() */
void blkctl_end_all(struct blkctl *ctl);   /* with GONE */

#endif
