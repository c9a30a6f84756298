/* SPDX-License-Identifier: BSD-2-Clause */
/* See blkctl.h. Requests: checked, queued, ended. Their way through the hardware is in blkcmd.c. */
#include "drivers/blkctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "drivers/blkcmd.h"
#include "drivers/blkmem.h"
#include "drivers/disks.h"
#include "drivers/pci_regs.h"
#include "ctrl-kernel/rt/rt.h"

#define TICK_NS 1000000000ull
#define SAY_NS 5000000000ull /* failures are told of so often at most; the statistics count all */

#define FRUITLESS_MAX 200u /* more than commands are ever in flight, each of which may need one */

static struct blkctl *all;

/* ---- the end of requests ---- */

static void count(struct blk_stats *s, const struct blk_request *r)
{
	s->reads += r->op == BLK_READ;
	s->read_bytes += r->op == BLK_READ ? r->bytes : 0;
	s->writes += r->op == BLK_WRITE || r->op == BLK_WRITE_ZEROES;
	s->write_bytes += r->op == BLK_WRITE || r->op == BLK_WRITE_ZEROES ? r->bytes : 0;
	s->flushes += r->op == BLK_FLUSH;
	s->discards += r->op == BLK_DISCARD;
}

static bool may_say(struct blkctl *ctl)
{
	uint64_t now = rt_now();

	if (ctl->said_ns && now - ctl->said_ns < SAY_NS)
		return false;
	ctl->said_ns = now;
	return true;
}

void blkctl_finish(struct blkctl *ctl, struct blk_request *r, enum blk_status status)
{
	static const char *const ops[] = {"read", "write", "flush", "discard", "write of zeros"};
	struct blkunit *u = request_state(r)->unit;

	r->status = status;
	u->dev.stats.in_flight--;
	if (status == BLK_OK)
		count(&u->dev.stats, r);
	u->dev.stats.errors += status == BLK_IO_ERROR;
	if (status == BLK_IO_ERROR && may_say(ctl))
		rt_log("disk: %s: %s of %llu bytes at %llu failed", u->dev.name, ops[r->op],
		       (unsigned long long)r->bytes, (unsigned long long)r->offset);
	r->next = NULL;
	*ctl->finished_end = r;
	ctl->finished_end = &r->next;
	loop_defer(&ctl->job);
}

/* Those finished now: what done() submits may finish too, and comes with the job. */
static void deliver(struct blkctl *ctl)
{
	struct blk_request *r = ctl->finished;

	ctl->finished = NULL;
	ctl->finished_end = &ctl->finished;
	while (r) {
		struct blk_request *next = r->next;

		r->done(r, r->status);
		r = next;
	}
}

static void on_job(void *ctx)
{
	struct blkctl *ctl = ctx;

	blkctl_send(ctl);
	deliver(ctl);
}

void blkctl_poll(struct blkctl *ctl)
{
	if (ctl->state == BLKCTL_UP)
		ctl->ops->collect(ctl);
	blkctl_send(ctl);
	deliver(ctl);
}

void blkctl_bounce_free(void)
{
	for (struct blkctl *ctl = all; ctl; ctl = ctl->next)
		if (ctl->starved)
			loop_defer(&ctl->job);
}

/* ---- requests come in ---- */

static bool sum_is_right(const struct blk_request *r)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < r->n_segs; i++)
		sum += r->seg[i].bytes;
	return sum == r->bytes;
}

/* OK: it is to be carried out. */
static enum blk_status check(const struct blkunit *u, const struct blk_request *r)
{
	const struct blkdev *b = &u->dev;

	if (b->gone)
		return BLK_GONE;
	if ((unsigned)r->op > BLK_WRITE_ZEROES ||
	    (b->read_only && r->op != BLK_READ && r->op != BLK_FLUSH) ||
	    (r->op == BLK_DISCARD && u->discard_bytes == 0))
		return BLK_UNSUPPORTED;
	if (r->op == BLK_FLUSH)
		return BLK_OK;
	if (r->offset % b->sector_bytes || r->bytes % b->sector_bytes || r->offset > b->bytes ||
	    r->bytes > b->bytes - r->offset)
		return BLK_RANGE;
	if ((r->op == BLK_READ || r->op == BLK_WRITE) && !sum_is_right(r))
		return BLK_RANGE;
	return BLK_OK;
}

static void submit(struct blkdev *b, struct blk_request *r)
{
	struct blkunit *u = b->priv;
	struct blkctl *ctl = u->ctl;
	struct request_state *st = request_state(r);
	enum blk_status status;

	memset(r->scratch, 0, sizeof(r->scratch));
	st->unit = u;
	b->stats.in_flight++;
	r->status = BLK_OK;
	status = check(u, r);
	if (status != BLK_OK || (r->op == BLK_FLUSH ? !b->write_cache : r->bytes == 0)) {
		blkctl_finish(ctl, r, status);
		return;
	}
	r->next = NULL;
	*ctl->waiting_end = r;
	ctl->waiting_end = &r->next;
	blkctl_send(ctl);
}

static const struct blkdev_ops unit_ops = {.submit = submit};

/* ---- controllers ---- */

static void on_tick(void *ctx)
{
	struct blkctl *ctl = ctx;

	if (ctl->state == BLKCTL_GONE)
		return;
	loop_timer_set(&ctl->tick, TICK_NS);
	if (ctl->state != BLKCTL_UP)
		return; /* its reset has a deadline of its own */
	if (pci_read(ctl->pci, PCI_VENDOR, 2) != ctl->pci->vendor) {
		blkctl_gone(ctl, "it was removed");
	} else {
		ctl->ops->collect(ctl);
		if (ctl->state == BLKCTL_UP)
			ctl->ops->check(ctl);
		if (ctl->state == BLKCTL_UP)
			blkctl_deadlines(ctl);
	}
	blkctl_send(ctl);
	deliver(ctl);
}

void blkctl_init(struct blkctl *ctl, const struct blkctl_ops *ops, const char *driver,
		 const struct pci_dev *d)
{
	*ctl = (struct blkctl){.ops = ops, .pci = d};
	snprintf(ctl->name, sizeof(ctl->name), "%s@%02x:%02x.%x", driver, d->bdf >> 8 & 0xff,
		 d->bdf >> 3 & 31, d->bdf & 7);
	ctl->waiting_end = &ctl->waiting;
	ctl->finished_end = &ctl->finished;
	ctl->job = (struct loop_job){.fn = on_job, .ctx = ctl};
	loop_timer_init(&ctl->tick, on_tick, ctl);
}

int blkctl_slots(struct blkctl *ctl, unsigned n)
{
	const struct blkctl_limits *l = &ctl->limits;

	if (n == 0 || l->segs_max == 0 || l->segs_max > BLK_PIECES_MAX || blkmem_prepare() != 0)
		return -1;
	ctl->cmds = calloc(n, sizeof(*ctl->cmds));
	if (!ctl->cmds)
		return -1;
	ctl->n_cmds = n;
	for (unsigned i = 0; i < n; i++)
		ctl->cmds[i].slot = i;
	ctl->next = all;
	all = ctl;
	return 0;
}

void blkctl_add(struct blkctl *ctl, struct blkunit *u, const char *suffix)
{
	snprintf(u->dev.name, sizeof(u->dev.name), "%s%s", ctl->name, suffix);
	u->dev.ops = &unit_ops;
	u->dev.priv = u;
	u->dev.discard_max = u->discard_bytes;
	u->ctl = ctl;
	u->next = ctl->units;
	ctl->units = u;
	disk_add(&u->dev);
}

void blkctl_fail(struct blkctl *ctl, struct blkcmd *culprit, const char *why)
{
	if (ctl->state != BLKCTL_UP)
		return;
	ctl->state = BLKCTL_DOWN;
	ctl->fruitless++;
	if (may_say(ctl))
		rt_log("disk: %s: %s; it is reset", ctl->name, why);
	for (struct blkunit *u = ctl->units; u; u = u->next)
		u->dev.stats.resets++;
	if (culprit)
		culprit->failed = true;
	blkctl_blame(ctl);
	ctl->ops->reset(ctl);
}

/* Nothing that it waits for matters to it any more. */
static void forget(const struct blkctl *ctl)
{
	struct blkctl **at = &all;

	while (*at && *at != ctl)
		at = &(*at)->next;
	if (*at)
		*at = ctl->next;
}

void blkctl_gone(struct blkctl *ctl, const char *why)
{
	if (ctl->state == BLKCTL_GONE)
		return;
	ctl->state = BLKCTL_GONE;
	rt_log("disk: %s: %s; it is gone", ctl->name, why);
	for (struct blkunit *u = ctl->units; u; u = u->next)
		u->dev.gone = true;
	blkctl_end_all(ctl);
	forget(ctl);
	for (struct blkunit *u = ctl->units; u; u = u->next)
		if (u->dev.changed)
			u->dev.changed(&u->dev);
	loop_defer(&ctl->job);
}

void blkctl_up(struct blkctl *ctl)
{
	if (ctl->state == BLKCTL_GONE)
		return;
	if (ctl->fruitless > FRUITLESS_MAX) {
		blkctl_gone(ctl, "it fails again and again");
		return;
	}
	ctl->state = BLKCTL_UP;
	blkctl_again(ctl);
	loop_timer_set(&ctl->tick, TICK_NS);
	loop_defer(&ctl->job);
}

void blk_text(char *out, size_t size, const char *in, size_t len)
{
	size_t n = 0;

	while (len && (in[len - 1] == ' ' || in[len - 1] == '\0'))
		len--;
	for (size_t i = 0; i < len && n + 1 < size; i++)
		if (n || in[i] != ' ')
			out[n++] = in[i] < ' ' || in[i] > '~' ? '?' : in[i];
	out[n] = '\0';
}
