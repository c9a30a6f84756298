/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration that lasts: which images are stored, which VMs and networks there are. It is one text (the front end's, who
 * alone knows its form) in a small volume of its own, LASTING_VOLUME, in the first pool; blk/slots.h has its form on the disk.
 *
 *	start ─► the drives are read ─► a pool has the volume? ─► text ─► apply()        (taking over: not applied, but compared)
 *	change ─► lasting_changed() ─► text written, flushed ─► the request that made it is answered
 *	no pool: memory only, and that is said; the first pool that comes gets the volume, and what there is by then
 *
 * A pool in which there is no such volume gets one only when there is something to write.
 *
 * One thread: the loop.
 */
#ifndef OPS_LASTING_H
#define OPS_LASTING_H

#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/ops/ops.h"

#define LASTING_VOLUME "socle-config"

enum lasting_state {
	LASTING_READING, /* the drives are still being read, or the text is */
	LASTING_NO_POOL, /* there is nowhere to write: memory only */
	LASTING_GOOD,
	LASTING_FAILED /* detail says why; changes are in force, but they do not last */
};

struct lasting_text {
	/* The configuration as it is; malloc'ed. NULL: out of memory. */
	char *(*make)(size_t *bytes);
	/* What was found. cold: it is to be applied; an instance that died may have done a part of that. When all of it
	 * is in force: keep_lasting_set(). Else it is in force, but for what cannot be used. False: it cannot be used, *why says so, and it is not overwritten. */
	bool (*apply)(const char *text, size_t bytes, bool cold, const char **why);
	/* Is there anything in it? If not, no volume is made for it. */
	bool (*any)(void);
};

/* After pools_init(). What is found is applied unless an instance has done that (keep_lasting()). */
void lasting_init(const struct lasting_text *text);
/* False: what there is on the disks is not in force yet. Whoever wants to change it waits (lasting_when_read()). */
bool lasting_known(void);
enum lasting_state lasting_state(void);
const char *lasting_pool(void);   /* "": none */
const char *lasting_detail(void); /* "": nothing to say */

/* Something that lasts has changed. */
void lasting_changed(void);
/* A change is not on the disk yet, and is on its way there. */
bool lasting_behind(void);
/* done(ctx, e) once, when all changes until now are on the disk, or (e) cannot get there. From the loop. */
int lasting_wait(ops_done_fn done, void *ctx, struct ops_error *e) MUST_CHECK;
/* fn(ctx) once, when the state is not READING any more; at once if it is not. */
int lasting_when_read(loop_fn fn, void *ctx) MUST_CHECK;
/* The pool is about to be deleted: lets go of it, if nothing is being written. */
void lasting_release(const char *pool);

#endif
