/* SPDX-License-Identifier: BSD-2-Clause */
/* Pools on disks: their changes (pools.h). What they look like is in pool_info.c. */
#include "ctrl-kernel/ops/pools.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "drivers/disks.h"
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/lasting.h"
#include "ctrl-kernel/ops/rampool.h"
#include "ctrl-kernel/storage/groups.h"
#include "ctrl-kernel/storage/volume.h"

#define NS_PER_S 1000000000ull
#define EXTENT_MIN 4096u
#define EXTENT_MAX (1ull << 34) /* LVM2 takes no larger ones */

enum what {
	WHAT_SCAN,
	WHAT_CREATE,
	WHAT_EXTEND,
	WHAT_DELETE,
	WHAT_LV_CREATE,
	WHAT_LV_RESIZE,
	WHAT_LV_RENAME,
	WHAT_LV_DELETE
};

struct change { /* a task and what it is about */
	struct groups_task task;
	enum what what;
	char name[LVM_NAME_SIZE]; /* the new one */
	uint64_t bytes;           /* of the volume, or of an extent */
	unsigned copies;
	bool force;
	struct blkdev *own; /* [owns] closed at its turn */
	ops_done_fn done;
	void *ctx;
	char disks[POOL_DISKS_MAX][DISK_NAME_SIZE];
};

/* Drives come and go (below). */
static struct loop_timer settle;
static uint64_t unsettled_since;
static bool scanning, again;

static struct change *change_of(struct groups_task *t)
{
	return (struct change *)((char *)t - offsetof(struct change, task));
}

/* ---- what comes of it ---- */

static enum ops_code code_of(const struct change *c, int r)
{
	bool disks = c->what == WHAT_CREATE || c->what == WHAT_EXTEND;

	if (c->task.occupied)
		return OPS_OCCUPIED;
	switch (-r) {
	case HVE_HANDLE:
		return pools_settled() ? OPS_NO_POOL : OPS_NOT_READY;
	case HVE_NOENT:
		return disks ? OPS_INVALID : OPS_NO_VOLUME;
	case HVE_INVAL:
		return OPS_INVALID;
	case HVE_EXIST:
		return OPS_EXISTS;
	case HVE_LIMIT:
		return OPS_NO_SPACE;
	case HVE_STATE:
		return OPS_WRONG_STATE;
	case HVE_BUSY:
		return OPS_BUSY;
	case HVE_FAULT:
		return OPS_IO;
	case HVE_NOMEM:
		return OPS_EXHAUSTED;
	default:
		return OPS_INTERNAL;
	}
}

static loop_fn watcher;

void pools_watch(loop_fn fn)
{
	watcher = fn;
}

static void change_done(struct groups_task *t, int r, const struct lvm_why *why)
{
	struct change *c = change_of(t);
	ops_done_fn done = c->done;
	void *ctx = c->ctx;
	struct ops_error e;

	if (r)
		(void)ops_fail(&e, code_of(c, r), NULL, "%s", why->text);
	if (c->own)
		volume_close(c->own);
	free(c);
	if (done)
		done(ctx, r ? &e : NULL);
	if (watcher)
		watcher(NULL);
}

static struct change *change_new(enum what what, const char *pool, ops_done_fn done, void *ctx,
				 struct ops_error *e)
{
	struct change *c = calloc(1, sizeof(*c));

	if (!c) {
		(void)ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
		return NULL;
	}
	c->what = what;
	c->done = done;
	c->ctx = ctx;
	c->task.kind = GROUPS_CHANGE;
	c->task.done = change_done;
	c->task.disks = c->disks;
	snprintf(c->task.vg, sizeof(c->task.vg), "%s", pool);
	return c;
}

static int submit(struct change *c)
{
	groups_submit(&c->task);
	return 0;
}

/* ---- at its turn ---- */

static void stamp(struct lvm_stamp *s)
{
	*s = (struct lvm_stamp){.host = "socle", .time = host_utc_ns(rt_now()) / NS_PER_S};
	host_random(s->random);
	host_random(s->random + 16);
}

static int find_pool(const struct change *c, struct lvm_request *r, struct lvm_why *why)
{
	r->vg = groups_vg(c->task.vg);
	stamp(&r->stamp);
	if (!r->vg)
		return lvm_fail(why, HVE_HANDLE, "there is no pool \"%s\"", c->task.vg);
	return 0;
}

static int find_volume(const struct change *c, const struct lvm_vg *vg, const struct lvm_lv **lv,
		       struct lvm_why *why)
{
	*lv = lvm_lv_find(vg, c->task.lv);
	if (!*lv)
		return lvm_fail(why, HVE_NOENT, "pool %s has no volume \"%s\"", vg->name,
				c->task.lv);
	return 0;
}

static int check_closed(const struct change *c, const char *doing, struct lvm_why *why)
{
	bool writer;

	if (volume_users(c->task.vg, c->task.lv, &writer) == 0)
		return 0;
	return lvm_fail(why, HVE_BUSY, "volume %s is in use and cannot be %s", c->task.lv, doing);
}

/* HVE_LIMIT: more than a group can have. */
static int extents_of(const struct lvm_vg *vg, uint64_t bytes, uint32_t *out, struct lvm_why *why)
{
	uint64_t one = (uint64_t)vg->extent_sectors * LVM_UNIT;
	uint64_t n = bytes / one + (bytes % one != 0);

	if (n > UINT32_MAX)
		return lvm_fail(why, HVE_LIMIT, "%llu bytes are more than a pool can have",
				(unsigned long long)bytes);
	*out = (uint32_t)n;
	return 0;
}

static int make_disk(unsigned place, unsigned copies, struct lvm_why *why)
{
	struct lvm_stamp s;

	stamp(&s);
	return lvm_disk_make(groups_disk(place), s.random, copies, why);
}

/* A volume over drives of both kinds would change its sectors when it grows. LVM2 refuses that, too. */
static int check_sectors(unsigned place, int other, struct lvm_why *why)
{
	const struct blkdev *a = groups_dev((int)place), *b = groups_dev(other);

	if (!b || a->sector_bytes == b->sector_bytes)
		return 0;
	return lvm_fail(why, HVE_STATE, "%s has sectors of %u bytes and %s of %u", a->name,
			a->sector_bytes, b->name, b->sector_bytes);
}

static int make_create(struct groups_task *t, struct lvm_vg **next, struct lvm_why *why)
{
	struct change *c = change_of(t);
	struct lvm_stamp s;

	if (groups_vg(c->name))
		return lvm_fail(why, HVE_EXIST, "there is a pool \"%s\" already", c->name);
	for (unsigned i = 1; i < t->n_disks; i++)
		if (check_sectors(t->places[i], (int)t->places[0], why))
			return -HVE_STATE;
	for (unsigned i = 0; i < t->n_disks; i++) {
		int r = make_disk(t->places[i], c->copies, why);

		if (r)
			return r;
	}
	stamp(&s);
	return lvm_vg_create(c->name, (uint32_t)(c->bytes / LVM_UNIT), groups_reading()->lvm,
			     t->places, t->n_disks, &s, next, why);
}

static int make_extend(struct groups_task *t, struct lvm_vg **next, struct lvm_why *why)
{
	struct change *c = change_of(t);
	struct lvm_request rq;
	int r = find_pool(c, &rq, why);

	if (r == 0 && rq.vg->read_only)
		r = lvm_fail(why, HVE_STATE, "%s", rq.vg->why);
	if (r == 0)
		r = check_sectors(t->places[0], rq.vg->pvs[0].disk, why);
	if (r == 0)
		r = make_disk(t->places[0], 1, why);
	if (r)
		return r;
	return lvm_vg_extend(&rq, groups_disk(t->places[0]), t->places[0], next, why);
}

static int make_delete(struct groups_task *t, struct lvm_vg **next, struct lvm_why *why)
{
	struct change *c = change_of(t);
	struct lvm_request rq;
	bool writer;

	(void)next;
	if (find_pool(c, &rq, why))
		return -HVE_HANDLE;
	for (uint32_t i = 0; i < rq.vg->lv_count; i++)
		if (volume_users(rq.vg->name, rq.vg->lvs[i].name, &writer))
			return lvm_fail(why, HVE_BUSY, "volume %s is in use", rq.vg->lvs[i].name);
	if (rq.vg->lv_count && !c->force)
		return lvm_fail(why, HVE_STATE,
				"pool %s has %u volumes, which would be lost; force does that",
				rq.vg->name, rq.vg->lv_count);
	if (rq.vg->refused || (rq.vg->read_only && !c->force))
		return lvm_fail(why, HVE_STATE, "%s", rq.vg->why);
	return 0;
}

static int make_lv_create(struct groups_task *t, struct lvm_vg **next, struct lvm_why *why)
{
	struct change *c = change_of(t);
	struct lvm_request rq;
	uint32_t extents = 0;
	int r = find_pool(c, &rq, why);

	if (r == 0)
		r = extents_of(rq.vg, c->bytes, &extents, why);
	return r ? r : lvm_lv_create(&rq, c->name, extents, next, why);
}

static int make_lv_resize(struct groups_task *t, struct lvm_vg **next, struct lvm_why *why)
{
	struct change *c = change_of(t);
	const struct lvm_lv *lv = NULL;
	struct lvm_request rq;
	uint32_t extents = 0;
	int r = find_pool(c, &rq, why);

	if (r == 0)
		r = find_volume(c, rq.vg, &lv, why);
	if (r == 0)
		r = extents_of(rq.vg, c->bytes, &extents, why);
	if (r || extents == lv->extents)
		return r;
	if (extents < lv->extents && !c->force)
		return lvm_fail(why, HVE_STATE,
				"volume %s would become smaller, and lose what is at its end; "
				"force does that",
				lv->name);
	if (extents < lv->extents && check_closed(c, "made smaller", why))
		return -HVE_BUSY;
	t->closes = extents < lv->extents;
	return lvm_lv_resize(&rq, c->task.lv, extents, next, why);
}

static int make_lv_rename(struct groups_task *t, struct lvm_vg **next, struct lvm_why *why)
{
	struct change *c = change_of(t);
	struct lvm_request rq;
	int r = find_pool(c, &rq, why);

	if (r == 0 && strcmp(c->task.lv, c->name) != 0)
		r = lvm_lv_rename(&rq, c->task.lv, c->name, next, why);
	return r;
}

static int make_lv_delete(struct groups_task *t, struct lvm_vg **next, struct lvm_why *why)
{
	struct change *c = change_of(t);
	const struct lvm_lv *lv;
	struct lvm_request rq;
	int r = find_pool(c, &rq, why);

	if (c->own)
		volume_close(c->own);
	c->own = NULL;
	if (r == 0)
		r = find_volume(c, rq.vg, &lv, why);
	if (r == 0)
		r = check_closed(c, "deleted", why);
	if (r == 0)
		r = lvm_lv_delete(&rq, c->task.lv, next, why);
	if (r == 0)
		volume_forget(lv->id);
	t->closes = true;
	return r;
}

/* ---- calls: pools ---- */

int pools_scan(ops_done_fn done, void *ctx, struct ops_error *e)
{
	struct change *c = change_new(WHAT_SCAN, "", done, ctx, e);

	if (!c)
		return -1;
	c->task.kind = GROUPS_SCAN;
	return submit(c);
}

static int name_taken_by_ram(const char *pool, struct ops_error *e)
{
	if (strcmp(pool, POOL_RAM) != 0)
		return 0;
	return ops_fail(e, OPS_EXISTS, "name",
			"the pool \"" POOL_RAM "\" is always there: volumes in memory");
}

static int check_spec(const struct pool_spec *s, struct ops_error *e)
{
	if (ops_name_check(s->name, "name", e) || name_taken_by_ram(s->name, e))
		return -1;
	if (s->n_disks == 0)
		return ops_fail(e, OPS_INVALID, "disks", "a pool has at least one disk");
	if (s->extent_bytes < EXTENT_MIN || s->extent_bytes > EXTENT_MAX ||
	    (s->extent_bytes & (s->extent_bytes - 1)))
		return ops_fail(e, OPS_INVALID, "extent_bytes",
				"an extent is a power of two, 4 KiB to 16 GiB");
	if (s->copies < 1 || s->copies > 2)
		return ops_fail(e, OPS_INVALID, "metadata_copies",
				"a disk has 1 or 2 copies of the metadata");
	return 0;
}

int pool_create(const struct pool_spec *spec, ops_done_fn done, void *ctx, struct ops_error *e)
{
	struct pool_spec s = *spec;
	struct change *c;

	if (s.extent_bytes == 0)
		s.extent_bytes = LVM_EXTENT_SECTORS * (uint64_t)LVM_UNIT;
	if (check_spec(&s, e))
		return -1;
	c = change_new(WHAT_CREATE, "", done, ctx, e);
	if (!c)
		return -1;
	snprintf(c->name, sizeof(c->name), "%s", s.name);
	memcpy(c->disks, s.disks, sizeof(c->disks));
	c->task.n_disks = s.n_disks;
	c->task.force = s.force;
	c->task.make = make_create;
	c->bytes = s.extent_bytes;
	c->copies = s.copies;
	return submit(c);
}

static int not_ram(const char *pool, const char *doing, struct ops_error *e)
{
	if (strcmp(pool, POOL_RAM) != 0)
		return 0;
	return ops_fail(e, OPS_UNSUPPORTED, NULL, "the pool \"" POOL_RAM "\" cannot be %s", doing);
}

int pool_extend(const char *pool, const char *disk, bool force, ops_done_fn done, void *ctx,
		struct ops_error *e)
{
	struct change *c;

	if (not_ram(pool, "extended", e))
		return -1;
	c = change_new(WHAT_EXTEND, pool, done, ctx, e);
	if (!c)
		return -1;
	snprintf(c->disks[0], sizeof(c->disks[0]), "%s", disk);
	c->task.n_disks = 1;
	c->task.force = force;
	c->task.make = make_extend;
	return submit(c);
}

int pool_delete(const char *pool, bool force, ops_done_fn done, void *ctx, struct ops_error *e)
{
	struct change *c;

	if (not_ram(pool, "deleted", e))
		return -1;
	c = change_new(WHAT_DELETE, pool, done, ctx, e);
	if (!c)
		return -1;
	if (force)
		lasting_release(pool);
	c->task.kind = GROUPS_REMOVE;
	c->task.make = make_delete;
	c->force = force;
	return submit(c);
}

/* ---- calls: volumes ---- */

static bool is_ram(const char *pool)
{
	return strcmp(pool, POOL_RAM) == 0;
}

static int check_size(uint64_t bytes, struct ops_error *e)
{
	return bytes ? 0 : ops_fail(e, OPS_INVALID, "bytes", "a volume has at least one byte");
}

int volume_create(const char *pool, const char *name, uint64_t bytes, ops_done_fn done, void *ctx,
		  struct ops_error *e)
{
	struct change *c;

	if (ops_name_check(name, "name", e) || check_size(bytes, e))
		return -1;
	if (is_ram(pool))
		return rampool_create(name, bytes, done, ctx, e);
	c = change_new(WHAT_LV_CREATE, pool, done, ctx, e);
	if (!c)
		return -1;
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->bytes = bytes;
	c->task.make = make_lv_create;
	return submit(c);
}

static struct change *volume_change(enum what what, const char *pool, const char *name,
				    ops_done_fn done, void *ctx, struct ops_error *e)
{
	struct change *c = change_new(what, pool, done, ctx, e);

	if (c)
		snprintf(c->task.lv, sizeof(c->task.lv), "%s", name);
	return c;
}

int volume_resize(const char *pool, const char *name, uint64_t bytes, bool force, ops_done_fn done,
		  void *ctx, struct ops_error *e)
{
	struct change *c;

	if (check_size(bytes, e))
		return -1;
	if (is_ram(pool))
		return rampool_resize(name, bytes, done, ctx, e);
	c = volume_change(WHAT_LV_RESIZE, pool, name, done, ctx, e);
	if (!c)
		return -1;
	c->bytes = bytes;
	c->force = force;
	c->task.make = make_lv_resize;
	return submit(c);
}

int volume_rename(const char *pool, const char *name, const char *to, ops_done_fn done, void *ctx,
		  struct ops_error *e)
{
	struct change *c;

	if (ops_name_check(to, "name", e))
		return -1;
	if (is_ram(pool))
		return rampool_rename(name, to, done, ctx, e);
	c = volume_change(WHAT_LV_RENAME, pool, name, done, ctx, e);
	if (!c)
		return -1;
	snprintf(c->name, sizeof(c->name), "%s", to);
	c->task.make = make_lv_rename;
	return submit(c);
}

int volume_delete(const char *pool, const char *name, struct blkdev *own, ops_done_fn done,
		  void *ctx, struct ops_error *e)
{
	struct change *c;

	if (is_ram(pool))
		return rampool_delete(name, own, done, ctx, e);
	c = volume_change(WHAT_LV_DELETE, pool, name, done, ctx, e);
	if (!c)
		return -1;
	c->own = own;
	c->task.make = make_lv_delete;
	return submit(c);
}

int volume_use(const char *pool, const char *name, bool write, struct blkdev **out,
	       struct ops_error *e)
{
	struct lvm_why why = {""};
	int r = volume_open(pool, name, write, out, &why);

	switch (-r) {
	case 0:
		return 0;
	case HVE_NOENT:
		if (!is_ram(pool) && !groups_vg(pool))
			return pool_none(pool, e);
		return ops_fail(e, OPS_NO_VOLUME, NULL, "%s", why.text);
	case HVE_BUSY:
		return ops_fail(e, OPS_BUSY, NULL, "%s", why.text);
	case HVE_STATE:
		return ops_fail(e, OPS_WRONG_STATE, NULL, "%s", why.text);
	case HVE_LIMIT:
		return ops_fail(e, OPS_LIMIT, NULL, "%s", why.text);
	default:
		return ops_fail(e, OPS_EXHAUSTED, NULL, "%s", why.text);
	}
}

/* ---- drives come and go ---- */

#define SETTLE_NS 20000000ull       /* they come one after the other */
#define SETTLE_MAX_NS 3000000000ull /* those that are slower are read when they come */

#define RETRY_NS NS_PER_S

static void scan_now(void);

static void scanned(void *ctx, const struct ops_error *e)
{
	(void)ctx;
	scanning = false;
	if (e) {
		rt_log("the drives could not be read: %s", e->text);
		loop_timer_set(&settle, RETRY_NS);
	} else if (again) {
		scan_now();
	}
}

static void scan_now(void)
{
	struct ops_error e;

	again = scanning;
	if (scanning)
		return;
	scanning = pools_scan(scanned, NULL, &e) == 0;
	if (!scanning)
		rt_log("the drives could not be read: %s", e.text);
}

bool pools_settled(void)
{
	return groups_known() && disks_settled() && !scanning && !settle.armed;
}

static void on_settle(void *unused)
{
	(void)unused;
	if (!disks_settled() && rt_now() - unsettled_since < SETTLE_MAX_NS) {
		loop_timer_set(&settle, SETTLE_NS);
		return;
	}
	scan_now();
}

static void scan_soon(void)
{
	if (settle.armed)
		return;
	unsettled_since = rt_now();
	loop_timer_set(&settle, disks_settled() ? 0 : SETTLE_NS);
}

static void on_change(struct blkdev *drive)
{
	(void)drive;
	scan_soon();
}

static void on_drive(struct blkdev *drive)
{
	drive->changed = on_change;
	scan_soon();
}

void pools_init(void)
{
	rampool_init();
	groups_drives(disk_first);
	loop_timer_init(&settle, on_settle, NULL);
	disk_watch(on_drive);
	scan_soon();
}
