/* SPDX-License-Identifier: BSD-2-Clause */
/* See lasting.h. */
#include "ctrl-kernel/ops/lasting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/blk/slots.h"
#include "ctrl-kernel/ops/keep.h"
#include "ctrl-kernel/ops/pools.h"
#include "ctrl-kernel/storage/groups.h"
#include "ctrl-kernel/storage/stepper.h"
#include "ctrl-kernel/storage/volume.h"

#define VOLUME_BYTES (8ull << 20)
#define RETRY_NS 5000000000ull

struct waiter {
	uint64_t change; /* it waits for this one */
	ops_done_fn done;
	loop_fn read;
	void *ctx;
	struct waiter *next;
};

enum doing { NOTHING, CREATING, WIPING, READING, WRITING };

static const struct lasting_text *form;
static enum lasting_state state;
static enum doing doing;
static bool cold;
static char pool[POOL_NAME_SIZE], detail[256];
static struct blkdev *dev; /* [owns] open; NULL: none */
static struct slots slots;
static struct stepper stepper;
static struct blkdev *disks[1];
static uint64_t changes, writing, written; /* numbers of changes */
static struct waiter *waiters;             /* [owns] */
static struct loop_job look_job;
static struct loop_timer retry;

/* ---- who waits ---- */

static int wait_add(struct waiter w)
{
	struct waiter **at = &waiters, *new = malloc(sizeof(*new));

	if (!new)
		return -1;
	*new = w;
	new->next = NULL;
	while (*at)
		at = &(*at)->next;
	*at = new;
	return 0;
}

/* Those whose time has come, in their order; they may add others. */
static void wake(const struct ops_error *e)
{
	struct waiter **at = &waiters, *ready = NULL, **end = &ready;

	while (*at) {
		struct waiter *w = *at;
		bool due = w->read ? state != LASTING_READING : e || w->change <= written;

		if (!due) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		*end = w;
		w->next = NULL;
		end = &w->next;
	}
	while (ready) {
		struct waiter *w = ready;

		ready = w->next;
		if (w->read)
			w->read(w->ctx);
		else
			w->done(w->ctx, e);
		free(w);
	}
}

static void nowhere(enum lasting_state what)
{
	state = what;
	doing = NOTHING;
	written = changes; /* as far as it goes */
	wake(NULL);
}

static void failed(const char *what, const char *why)
{
	struct ops_error e;

	snprintf(detail, sizeof(detail), "%s %.100s/" LASTING_VOLUME ": %.100s", what, pool, why);
	rt_log("configuration: %s", detail);
	ops_fail(&e, OPS_IO, NULL,
		 "the change is in force, but it is not on the disk and is lost when the host is "
		 "switched off: %.170s",
		 detail);
	state = LASTING_FAILED;
	doing = NOTHING;
	wake(&e);
	if (dev)
		loop_timer_set(&retry, RETRY_NS);
}

/* ---- I/O ---- */

static void slots_ended(struct stepper *s);

static void step_next(void *work, struct step *out)
{
	slots_next(work, out);
}

static void step_told(void *work, bool ok)
{
	slots_told(work, ok);
}

static const struct stepper_ops step_ops = {step_next, step_told};

static void go(enum doing what)
{
	doing = what;
	disks[0] = dev;
	stepper = (struct stepper){
		.ops = &step_ops, .work = &slots, .disks = disks, .n_disks = 1, .end = slots_ended};
	stepper_run(&stepper);
}

static void write_begin(void)
{
	size_t bytes;
	char *text = form->make(&bytes);

	if (!text) {
		failed("writing", "out of memory");
		return;
	}
	writing = changes;
	slots_write_begin(&slots, text, bytes);
	free(text);
	go(WRITING);
}

static void good(void)
{
	state = LASTING_GOOD;
	doing = NOTHING;
	detail[0] = '\0';
	wake(NULL);
	if (written != changes)
		write_begin();
}

/* At a cold start it is the configuration; else it is compared with what there is. */
static void read_ended(void)
{
	const char *why = "";
	size_t bytes, mine;
	char *text = slots_text_take(&slots, &bytes), *now;

	if (slots.bad_text)
		rt_log("configuration: the last change in %s cannot be read; the one before it is "
		       "in force",
		       pool);
	if (text && !form->apply(text, bytes, cold, &why)) {
		free(text);
		volume_close(dev);
		dev = NULL;
		failed("reading", why);
		return;
	}
	rt_log("configuration: %s/" LASTING_VOLUME ", change %llu", pool,
	       (unsigned long long)slots.sequence);
	if (cold && !text)
		keep_lasting_set(); /* there was nothing to apply */
	cold = false;
	now = form->make(&mine);
	if (!now || !text || mine != bytes || memcmp(text, now, bytes) != 0)
		changes++;
	else
		written = changes;
	free(now);
	free(text);
	good();
}

static void slots_ended(struct stepper *s)
{
	static const char *const names[] = {
		[WIPING] = "preparing", [READING] = "reading", [WRITING] = "writing"};
	enum doing what = doing;

	(void)s;
	if (slots.state != SLOTS_DONE) {
		failed(names[what], slots.why);
		return;
	}
	if (what == READING) {
		read_ended();
		return;
	}
	if (what == WRITING) {
		written = writing;
		good();
		return;
	}
	cold = false;
	keep_lasting_set();
	write_begin(); /* a new volume: all there is */
}

/* ---- finding the volume ---- */

static void look(void *unused);

static bool open_volume(void)
{
	struct ops_error e;

	if (volume_use(pool, LASTING_VOLUME, true, &dev, &e)) {
		dev = NULL;
		failed("opening", e.text);
		return false;
	}
	if (slots_init(&slots, dev->bytes, dev->sector_bytes))
		return true;
	volume_close(dev);
	dev = NULL;
	failed("opening", "the volume is too small");
	return false;
}

static void created(void *ctx, const struct ops_error *e)
{
	(void)ctx;
	doing = NOTHING;
	if (e) {
		failed("making", e->text);
		return;
	}
	if (!open_volume())
		return;
	slots_wipe_begin(&slots);
	go(WIPING);
}

/* The first that has it, else (*make) the first that can have it. */
static bool choose(struct pool_info *p, bool *make)
{
	struct volume_info v;
	struct ops_error e;

	*make = false;
	for (unsigned n = 0; pool_nth(n, p); n++)
		if (!p->ram && !p->refused && volume_info(p->name, LASTING_VOLUME, &v, &e) == 0)
			return true;
	*make = true;
	for (unsigned n = 0; pool_nth(n, p); n++)
		if (!p->ram && !p->refused && !p->read_only && p->free >= VOLUME_BYTES)
			return true;
	return false;
}

static void look(void *unused)
{
	struct pool_info p;
	struct ops_error e;
	bool make;

	(void)unused;
	if (!form || dev || doing != NOTHING || !pools_known())
		return;
	if (!choose(&p, &make) || (make && !form->any())) {
		pool[0] = '\0';
		nowhere(LASTING_NO_POOL);
		return;
	}
	snprintf(pool, sizeof(pool), "%s", p.name);
	if (make) {
		doing = CREATING;
		if (volume_create(pool, LASTING_VOLUME, VOLUME_BYTES, created, NULL, &e))
			created(NULL, &e);
	} else if (open_volume()) {
		slots_read_begin(&slots);
		go(READING);
	}
}

/* Of a disk that failed: what is there is read anew only when the volume is opened anew. */
static void try_again(void *unused)
{
	(void)unused;
	if (state != LASTING_FAILED || doing != NOTHING || !dev)
		return;
	if (dev->gone) {
		volume_close(dev);
		dev = NULL;
		look(NULL);
		return;
	}
	write_begin();
}

static void pools_changed(void *unused)
{
	(void)unused;
	loop_defer(&look_job);
}

bool lasting_known(void)
{
	return !form || !cold || state != LASTING_READING;
}

void lasting_init(const struct lasting_text *text)
{
	form = text;
	cold = !keep_lasting();
	look_job = (struct loop_job){.fn = look};
	loop_timer_init(&retry, try_again, NULL);
	pools_watch(pools_changed);
	groups_when_known(&look_job);
}

/* ---- changes ---- */

void lasting_changed(void)
{
	changes++;
	if (!form || doing != NOTHING || state == LASTING_READING)
		return;
	if (dev)
		write_begin();
	else
		look(NULL);
}

bool lasting_behind(void)
{
	return form && written < changes && (doing != NOTHING || state == LASTING_READING);
}

int lasting_wait(ops_done_fn done, void *ctx, struct ops_error *e)
{
	if (wait_add((struct waiter){.change = changes, .done = done, .ctx = ctx}))
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	return 0;
}

int lasting_when_read(loop_fn fn, void *ctx)
{
	if (form && state == LASTING_READING)
		return wait_add((struct waiter){.read = fn, .ctx = ctx});
	fn(ctx);
	return 0;
}

void lasting_release(const char *name)
{
	if (!dev || doing != NOTHING || strcmp(pool, name) != 0)
		return;
	volume_close(dev);
	dev = NULL;
	state = LASTING_NO_POOL; /* until pools_changed(), which comes also when the deletion is refused */
}

enum lasting_state lasting_state(void)
{
	return state;
}

const char *lasting_pool(void)
{
	return dev ? pool : "";
}

const char *lasting_detail(void)
{
	return detail;
}
