/* SPDX-License-Identifier: BSD-2-Clause */
/* See blkctl.h: requests become commands, commands end, are late, are sent again. */
#include "drivers/blkcmd.h"

#include "ctrl-kernel/rt/rt.h"

#define DEADLINE_NS                                                                                \
	30000000000ull /* drives that mend a sector, spin up or flush a full cache take that long */
#define DIRECT_MIN                                                                                 \
	BLK_PAGE /* memory in smaller pieces than this is copied, rather than one command each */

static struct blkmem pieces[BLK_PIECES_MAX];

/* ---- a request's next command ---- */

/* What the request is for the hardware now. */
static enum blk_op op_now(struct blk_request *r)
{
	const struct request_state *st = request_state(r);

	if (st->flushing)
		return BLK_FLUSH;
	return r->op == BLK_WRITE_ZEROES && st->unit->zeroes_bytes == 0 ? BLK_WRITE : r->op;
}

static bool wants_fua(const struct blk_request *r, const struct blkunit *u)
{
	return r->fua && u->dev.write_cache && (r->op == BLK_WRITE || r->op == BLK_WRITE_ZEROES);
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* False: it needs a bounce buffer and there is none. */
static bool take_memory(struct blkctl *ctl, struct blkcmd *c)
{
	const struct blkctl_limits *l = &ctl->limits;
	uint32_t sector = c->unit->dev.sector_bytes, got;
	struct blkpos at = {c->seg, c->seg_off};
	uint64_t want = smaller(c->bytes, l->bytes_max);
	unsigned n;

	got = blkmem_direct(c->r, at, (uint32_t)want, sector, l, pieces, &n);
	if (got && got >= smaller(want, DIRECT_MIN)) {
		c->bytes = got;
		return true;
	}
	c->bounce = blkmem_take();
	if (!c->bounce) {
		c->bytes = got;
		return got > 0;
	}
	c->bytes = smaller(want, smaller(BOUNCE_BYTES, (uint64_t)l->segs_max * l->seg_bytes_max));
	if (c->op == BLK_WRITE)
		blkmem_copy(c->r, at, c->bounce->mem.va, c->bytes, false);
	return true;
}

static bool take_bytes(struct blkctl *ctl, struct blkcmd *c)
{
	const struct blkctl_limits *l = &ctl->limits;

	switch (c->op) {
	case BLK_FLUSH:
		return true;
	case BLK_DISCARD:
		c->bytes = smaller(c->bytes, c->unit->discard_bytes);
		return true;
	case BLK_WRITE_ZEROES:
		c->bytes = smaller(c->bytes, c->unit->zeroes_bytes);
		return true;
	default:
		break;
	}
	if (c->r->op != BLK_WRITE_ZEROES)
		return take_memory(ctl, c);
	c->bytes = smaller(c->bytes, smaller(l->bytes_max, (uint64_t)l->segs_max * BLK_PAGE));
	return true;
}

static struct blkcmd *slot_take(struct blkctl *ctl)
{
	for (unsigned i = 0; i < ctl->n_cmds; i++)
		if (ctl->cmds[i].state == BLKCMD_FREE)
			return &ctl->cmds[i];
	return NULL;
}

/* Fills in c for what comes next of r. False: no bounce buffer. */
static bool command_make(struct blkctl *ctl, struct blkcmd *c, struct blk_request *r)
{
	struct request_state *st = request_state(r);
	bool flush;

	*c = (struct blkcmd){.slot = c->slot, .unit = st->unit, .r = r, .op = op_now(r)};
	flush = c->op == BLK_FLUSH;
	c->fua = !flush && ctl->limits.fua && wants_fua(r, st->unit);
	c->offset = flush ? 0 : r->offset + st->given;
	c->bytes = flush ? 0 : r->bytes - st->given;
	c->seg = st->at.seg;
	c->seg_off = st->at.off;
	return take_bytes(ctl, c);
}

static void bounce_give(struct blkcmd *c)
{
	if (!c->bounce)
		return;
	blkmem_give(c->bounce);
	c->bounce = NULL;
	blkctl_bounce_free();
}

static void dequeue(struct blkctl *ctl)
{
	struct blk_request *r = ctl->waiting;

	ctl->waiting = r->next;
	if (!ctl->waiting)
		ctl->waiting_end = &ctl->waiting;
	request_state(r)->queued_out = true;
}

static void request_goes_on(struct blkctl *ctl, struct blkcmd *c)
{
	struct blk_request *r = c->r;
	struct request_state *st = request_state(r);

	st->out++;
	st->given += c->bytes;
	if (r->seg && (r->op == BLK_READ || r->op == BLK_WRITE))
		blkmem_advance(r, &st->at, c->bytes);
	if (c->op == BLK_FLUSH || st->given == r->bytes)
		dequeue(ctl);
}

/* ---- sending ---- */

static bool issue(struct blkctl *ctl, struct blkcmd *c)
{
	if (!ctl->ops->issue(ctl, c))
		return false;
	c->state = BLKCMD_SENT;
	c->deadline_ns = rt_now() + DEADLINE_NS;
	ctl->n_sent++;
	ctl->lone = ctl->limits.alone >> c->op & 1;
	return true;
}

static bool send_again(struct blkctl *ctl)
{
	if (ctl->n_sent || ctl->n_again == 0)
		return false;
	for (unsigned i = 0; i < ctl->n_cmds; i++) {
		if (ctl->cmds[i].state != BLKCMD_AGAIN)
			continue;
		if (!issue(ctl, &ctl->cmds[i]))
			return false;
		ctl->n_again--;
		return true;
	}
	return false;
}

/* Requests of which a command has failed get no more of them. */
static void drop_failed(struct blkctl *ctl)
{
	while (ctl->waiting && ctl->waiting->status != BLK_OK) {
		struct blk_request *r = ctl->waiting;

		dequeue(ctl);
		if (request_state(r)->out == 0)
			blkctl_finish(ctl, r, r->status);
	}
}

static bool send_one(struct blkctl *ctl)
{
	struct blk_request *r;
	struct blkcmd *c;

	if (ctl->n_suspects)
		return send_again(ctl);
	drop_failed(ctl);
	r = ctl->waiting;
	if (!r || (ctl->lone && ctl->n_sent) ||
	    ((ctl->limits.alone >> op_now(r) & 1) && ctl->n_sent))
		return false;
	c = slot_take(ctl);
	if (!c)
		return false;
	ctl->starved = !command_make(ctl, c, r);
	if (ctl->starved)
		return false;
	if (!issue(ctl, c)) {
		bounce_give(c);
		return false;
	}
	request_goes_on(ctl, c);
	return true;
}

void blkctl_send(struct blkctl *ctl)
{
	bool any = false;

	while (ctl->state == BLKCTL_UP && send_one(ctl))
		any = true;
	if (any)
		ctl->ops->kick(ctl);
}

/* ---- ends ---- */

static void request_ends(struct blkctl *ctl, struct blk_request *r)
{
	struct request_state *st = request_state(r);

	if (st->out || !st->queued_out)
		return;
	if (r->status != BLK_OK || st->flushing || ctl->limits.fua || !wants_fua(r, st->unit)) {
		blkctl_finish(ctl, r, r->status);
		return;
	}
	st->flushing = true;
	st->queued_out = false;
	r->next = ctl->waiting;
	if (!ctl->waiting)
		ctl->waiting_end = &r->next;
	ctl->waiting = r;
}

static void command_ends(struct blkctl *ctl, struct blkcmd *c, enum blk_status status)
{
	struct blk_request *r = c->r;

	ctl->n_suspects -= c->suspect;
	c->state = BLKCMD_FREE;
	if (c->bounce && c->op == BLK_READ && status == BLK_OK)
		blkmem_copy(r, (struct blkpos){c->seg, c->seg_off}, c->bounce->mem.va, c->bytes,
			    true);
	bounce_give(c);
	request_state(r)->out--;
	if (r->status == BLK_OK)
		r->status = status;
	request_ends(ctl, r);
}

struct blkcmd *blkctl_sent(struct blkctl *ctl, unsigned slot)
{
	struct blkcmd *c = slot < ctl->n_cmds ? &ctl->cmds[slot] : NULL;

	return c && c->state == BLKCMD_SENT ? c : NULL;
}

void blkctl_end(struct blkctl *ctl, struct blkcmd *c, enum blk_status status)
{
	ctl->n_sent--;
	ctl->fruitless = 0;
	command_ends(ctl, c, status);
}

void blkctl_blame(struct blkctl *ctl)
{
	for (unsigned i = 0; i < ctl->n_cmds; i++) {
		struct blkcmd *c = &ctl->cmds[i];

		if (c->state == BLKCMD_SENT && c->suspect)
			c->failed = true;
	}
}

void blkctl_again(struct blkctl *ctl)
{
	ctl->n_sent = 0;
	ctl->lone = false;
	for (unsigned i = 0; i < ctl->n_cmds; i++) {
		struct blkcmd *c = &ctl->cmds[i];

		if (c->state != BLKCMD_SENT)
			continue;
		if (c->failed) {
			command_ends(ctl, c, BLK_IO_ERROR);
			continue;
		}
		ctl->n_suspects += !c->suspect;
		ctl->n_again++;
		c->suspect = true;
		c->state = BLKCMD_AGAIN;
	}
}

void blkctl_deadlines(struct blkctl *ctl)
{
	uint64_t now = rt_now();
	bool late = false;

	for (unsigned i = 0; i < ctl->n_cmds; i++) {
		struct blkcmd *c = &ctl->cmds[i];

		if (c->state != BLKCMD_SENT || now < c->deadline_ns)
			continue;
		c->failed = late = true;
		c->unit->dev.stats.timeouts++;
	}
	if (late)
		blkctl_fail(ctl, NULL, "no answer in time");
}

void blkctl_end_all(struct blkctl *ctl)
{
	for (unsigned i = 0; i < ctl->n_cmds; i++)
		if (ctl->cmds[i].state != BLKCMD_FREE)
			command_ends(ctl, &ctl->cmds[i], BLK_GONE);
	ctl->n_sent = ctl->n_again = ctl->n_suspects = 0;
	while (ctl->waiting) {
		struct blk_request *r = ctl->waiting;

		dequeue(ctl);
		if (request_state(r)->out == 0)
			blkctl_finish(ctl, r, BLK_GONE);
	}
}

const struct blkmem *blkcmd_memory(const struct blkcmd *c, unsigned *n)
{
	const struct blkctl_limits *l = &c->unit->ctl->limits;
	uint64_t left = c->bytes;

	*n = 0;
	if (c->bounce) {
		for (; left; left -= pieces[(*n)++].bytes)
			pieces[*n] = (struct blkmem){c->bounce->mem.hpa + (c->bytes - left),
						     (uint32_t)smaller(left, l->seg_bytes_max)};
	} else if (c->r->op == BLK_WRITE_ZEROES) {
		for (; left; left -= pieces[(*n)++].bytes)
			pieces[*n] = (struct blkmem){blkmem_zero_page(),
						     (uint32_t)smaller(left, BLK_PAGE)};
	} else {
		(void)blkmem_direct(c->r, (struct blkpos){c->seg, c->seg_off}, (uint32_t)left,
				    c->unit->dev.sector_bytes, l, pieces, n);
	}
	return pieces;
}
