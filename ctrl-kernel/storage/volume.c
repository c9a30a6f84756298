/* SPDX-License-Identifier: BSD-2-Clause */
/* Open volumes (volume.h). Where the sectors lie is lvm_map()'s matter. */
#include "ctrl-kernel/storage/volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/storage/groups.h"
#include "ctrl-kernel/storage/memdisk.h"
#include "ctrl-kernel/storage/ram.h"
#include "ctrl-kernel/storage/request.h"
#include "drivers/driver.h"

#define UNIT 512u /* of lvm_map() */
#define ZEROS_BYTES 65536u
#define DISCARD_MAX (1ull << 30)

/* While a request is the device's: */
enum scratch {
	DONE,      /* bytes handed out; FLUSH: PVs looked at */
	UNDER_WAY, /* parts */
	SEG,       /* the segment that comes next, */
	SEG_AT,    /* and how much of it was handed out */
};

struct part { /* of a request, on one drive */
	struct blk_request rq;
	struct blk_seg segs[VOLUME_SEGS];
	struct volume *v;           /* [borrows] */
	struct blk_request *parent; /* [borrows] */
	struct blkdev *drive;       /* [borrows] */
	uint64_t at;         /* bytes on the drive: where rq begins, whatever became of rq.offset */
	uint64_t zeros_left; /* bytes still to be written as zeros, from `at` on */
	struct part *next;   /* free */
};

struct volume {
	struct blkdev dev;
	char pool[LVM_NAME_SIZE], name[LVM_NAME_SIZE];
	char vg_id[LVM_ID_SIZE], lv_id[LVM_ID_SIZE];
	bool write;
	struct blkdev *mem;           /* [owns] memory; NULL: a volume of a group */
	const struct ram_volume *ram; /* [borrows] its place in the table; NULL likewise */
	/* [borrows] until volumes_rebind(); NULL: gone */
	const struct lvm_vg *vg;
	const struct lvm_lv *lv;
	uint8_t on[LVM_PVS_MAX / 8]; /* bit n: lies on PV n */
	struct request_queue queue, finished;
	struct loop_job finish;
	struct part *parts; /* [owns] VOLUME_PARTS */
	struct part *free;
	struct volume *next;
};

struct total { /* of one volume, over all that had it open and closed it */
	char name[LVM_ID_SIZE];
	struct blk_stats stats;
	struct total *next;
};

static struct volume *volumes; /* [owns] all that are open */
static unsigned n_volumes;
static struct total *totals; /* [owns] */
static unsigned n_totals;
static struct dma zeros;

static struct volume *volume_of(struct blkdev *b)
{
	return (struct volume *)((char *)b - offsetof(struct volume, dev));
}

/* ---- parts ---- */

static void part_go(struct part *p)
{
	p->rq.offset = p->at;
	blk_submit(p->drive, &p->rq);
}

/* Up to VOLUME_SEGS times the page of zeros, as long as there is something left. */
static void zeros_go(struct part *p)
{
	uint64_t left = p->zeros_left;

	p->rq.op = BLK_WRITE;
	p->rq.seg = p->segs;
	p->rq.n_segs = 0;
	while (p->rq.n_segs < VOLUME_SEGS && left) {
		uint32_t n = left < ZEROS_BYTES ? (uint32_t)left : ZEROS_BYTES;

		p->segs[p->rq.n_segs++] = (struct blk_seg){
			.va = zeros.va, .hpa = zeros.hpa, .bytes = n};
		left -= n;
	}
	p->rq.bytes = p->zeros_left - left;
	part_go(p);
}

/* The drive has carried out one request of the part. -> whether another one is under way now. */
static bool part_goes_on(struct part *p, enum blk_status *status)
{
	if (p->parent->op == BLK_DISCARD && *status == BLK_UNSUPPORTED)
		*status = BLK_OK; /* it was advice */
	if (p->parent->op != BLK_WRITE_ZEROES)
		return false;
	if (p->rq.op == BLK_WRITE_ZEROES && *status == BLK_UNSUPPORTED) {
		p->zeros_left = p->rq.bytes;
	} else if (p->rq.op == BLK_WRITE && *status == BLK_OK) {
		p->zeros_left -= p->rq.bytes;
		p->at += p->rq.bytes;
		if (p->zeros_left == 0)
			return false;
	} else {
		return false;
	}
	zeros_go(p);
	return true;
}

static void pump(struct volume *v, struct request_queue *done);

static void end_request(struct volume *v, struct blk_request *r, struct request_queue *done)
{
	request_count(&v->dev.stats, r);
	request_put(done, r);
}

static void part_done(struct blk_request *rq, enum blk_status status)
{
	struct part *p = rq->ctx;
	struct blk_request *parent = p->parent;
	struct volume *v = p->v;
	struct request_queue done = {NULL, NULL};

	if (part_goes_on(p, &status))
		return;
	if (status != BLK_OK && parent->status == BLK_OK)
		parent->status = status;
	p->next = v->free;
	v->free = p;
	parent->scratch[UNDER_WAY]--;
	/* One that is still in the queue has more to hand out. */
	if (parent->scratch[UNDER_WAY] == 0 && request_first(&v->queue) != parent)
		end_request(v, parent, &done);
	pump(v, &done);
	request_done_all(done.first); /* the last one may close v */
}

static struct part *part_take(struct volume *v, struct blk_request *parent, struct blkdev *drive)
{
	struct part *p = v->free;

	v->free = p->next;
	p->v = v;
	p->parent = parent;
	p->drive = drive;
	p->zeros_left = 0;
	p->rq = (struct blk_request){
		.op = parent->op, .fua = parent->fua, .done = part_done, .ctx = p};
	parent->scratch[UNDER_WAY]++;
	return p;
}

/* ---- handing out ---- */

static struct blkdev *drive_of(const struct volume *v, uint32_t pv)
{
	return v->vg->pvs[pv].missing ? NULL : groups_dev(v->vg->pvs[pv].disk);
}

/* How many of the next bytes of memory fit into a part, in whole sectors, at most max. */
static uint64_t segs_fit(const struct volume *v, const struct blk_request *r, uint64_t max)
{
	uint64_t seg = r->scratch[SEG], sum = r->seg[seg].bytes - r->scratch[SEG_AT];

	for (unsigned n = 1; n < VOLUME_SEGS && ++seg < r->n_segs; n++)
		sum += r->seg[seg].bytes;
	return sum >= max ? max : sum - sum % v->dev.sector_bytes;
}

static void segs_take(struct part *p, struct blk_request *r, uint64_t bytes)
{
	uint64_t *seg = &r->scratch[SEG], *at = &r->scratch[SEG_AT];

	p->rq.seg = p->segs;
	while (bytes) {
		const struct blk_seg *s = &r->seg[*seg];
		uint32_t n = s->bytes - (uint32_t)*at;

		n = n < bytes ? n : (uint32_t)bytes;
		if (n)
			p->segs[p->rq.n_segs++] = (struct blk_seg){
				.va = (uint8_t *)s->va + *at, .hpa = s->hpa + *at, .bytes = n};
		bytes -= n;
		*at += n;
		if (*at == s->bytes) {
			(*seg)++;
			*at = 0;
		}
	}
}

/* [offset, offset + *bytes) of the drive for what comes next; *bytes is cut to that. */
static struct blkdev *locate(const struct volume *v, const struct blk_request *r, uint64_t *offset,
			     uint64_t *bytes)
{
	uint64_t lba = (r->offset + r->scratch[DONE]) / UNIT, mapped;
	struct lvm_piece piece;

	if (lvm_map(v->vg, v->lv, lba, *bytes / UNIT, &piece, 1, &mapped) != 1)
		return NULL;
	*offset = piece.lba * UNIT;
	*bytes = mapped * UNIT;
	return drive_of(v, piece.pv);
}

static void hand_out_data(struct volume *v, struct blk_request *r)
{
	uint64_t bytes = r->bytes - r->scratch[DONE], offset;
	struct blkdev *drive = locate(v, r, &offset, &bytes);
	struct part *p;

	if (drive && bytes < r->bytes)
		bytes = segs_fit(v, r, bytes);
	if (!drive || bytes == 0) {
		r->status = drive ? BLK_UNSUPPORTED : BLK_GONE;
		return;
	}
	p = part_take(v, r, drive);
	if (bytes == r->bytes) {
		p->rq.seg = r->seg;
		p->rq.n_segs = r->n_segs;
	} else {
		segs_take(p, r, bytes);
	}
	p->rq.bytes = bytes;
	p->at = offset;
	r->scratch[DONE] += bytes;
	part_go(p);
}

static void hand_out_zeros(struct volume *v, struct blk_request *r)
{
	uint64_t bytes = r->bytes - r->scratch[DONE], offset, max;
	struct blkdev *drive = locate(v, r, &offset, &bytes);
	struct part *p;

	if (!drive) {
		r->status = BLK_GONE;
		return;
	}
	max = drive->discard_max - drive->discard_max % v->dev.sector_bytes;
	if (max && bytes > max)
		bytes = max;
	r->scratch[DONE] += bytes;
	if (max == 0 && r->op == BLK_DISCARD)
		return;
	p = part_take(v, r, drive);
	p->at = offset;
	p->rq.bytes = p->zeros_left = bytes;
	if (max)
		part_go(p);
	else
		zeros_go(p);
}

static void hand_out_flush(struct volume *v, struct blk_request *r)
{
	uint64_t pv = r->scratch[DONE]++;
	struct blkdev *drive;

	if (!(v->on[pv / 8] >> pv % 8 & 1))
		return;
	drive = drive_of(v, (uint32_t)pv);
	if (!drive)
		r->status = BLK_GONE;
	else if (drive->write_cache)
		part_go(part_take(v, r, drive));
}

static bool all_handed_out(const struct volume *v, const struct blk_request *r)
{
	if (r->op == BLK_FLUSH)
		return r->scratch[DONE] >= v->vg->pv_count;
	return r->scratch[DONE] == r->bytes;
}

static void hand_out(struct volume *v, struct blk_request *r)
{
	if (r->op == BLK_FLUSH)
		hand_out_flush(v, r);
	else if (r->op == BLK_READ || r->op == BLK_WRITE)
		hand_out_data(v, r);
	else
		hand_out_zeros(v, r);
}

/* As long as there are parts. What ends here goes to *done. */
static void pump(struct volume *v, struct request_queue *done)
{
	struct blk_request *r;

	while ((r = request_first(&v->queue))) {
		if (!v->lv && r->status == BLK_OK)
			r->status = BLK_GONE;
		if (r->status != BLK_OK || all_handed_out(v, r)) {
			request_take(&v->queue);
			if (r->scratch[UNDER_WAY] == 0)
				end_request(v, r, done);
			continue;
		}
		if (!v->free)
			return;
		hand_out(v, r);
	}
}

static void finish_all(void *ctx)
{
	struct volume *v = ctx;
	struct blk_request *list = v->finished.first;

	v->finished.first = NULL;
	request_done_all(list); /* the last one may close v */
}

static void submit(struct blkdev *b, struct blk_request *r)
{
	struct volume *v = volume_of(b);

	b->stats.in_flight++;
	memset(r->scratch, 0, sizeof(r->scratch));
	r->status = request_check(b, r);
	request_put(&v->queue, r);
	pump(v, &v->finished);
	if (v->finished.first)
		loop_defer(&v->finish); /* not from here */
}

static const struct blkdev_ops volume_ops = {submit};

/* Memory needs no parts: the request goes on as it is. */
static void submit_mem(struct blkdev *b, struct blk_request *r)
{
	blk_submit(volume_of(b)->mem, r);
}

static const struct blkdev_ops mem_ops = {submit_mem};

/* ---- opening ---- */

static void note_drive(struct volume *v, uint32_t pv)
{
	const struct blkdev *d = drive_of(v, pv);

	v->on[pv / 8] |= (uint8_t)(1u << pv % 8);
	if (!d)
		return;
	if (d->sector_bytes > v->dev.sector_bytes)
		v->dev.sector_bytes = d->sector_bytes;
	if (d->physical_bytes > v->dev.physical_bytes)
		v->dev.physical_bytes = d->physical_bytes;
	v->dev.write_cache |= d->write_cache;
	v->dev.read_only |= d->read_only;
}

/* What the group says now. */
static void bind(struct volume *v, const struct lvm_vg *vg, const struct lvm_lv *lv)
{
	v->vg = vg;
	v->lv = lv;
	memset(v->on, 0, sizeof(v->on));
	v->dev.gone = !lv;
	if (!lv)
		return;
	snprintf(v->name, sizeof(v->name), "%s", lv->name);
	v->dev.bytes = lvm_lv_sectors(vg, lv) * UNIT;
	v->dev.read_only = !v->write;
	v->dev.write_cache = false;
	for (uint32_t i = 0; i < lv->segments; i++) {
		const struct lvm_segment *s = &vg->segments[lv->segment + i];

		for (uint32_t k = 0; k < s->stripes; k++)
			note_drive(v, vg->areas[s->area + k].pv);
	}
}

/* A place for the requests' parts. */
static int make_parts(struct volume *v)
{
	if (!zeros.va && dma_alloc(&zeros, ZEROS_BYTES, HV_PAGE_SIZE))
		return -HVE_NOMEM;
	v->parts = calloc(VOLUME_PARTS, sizeof(*v->parts));
	if (!v->parts)
		return -HVE_NOMEM;
	for (unsigned i = 0; i < VOLUME_PARTS; i++) {
		v->parts[i].next = v->free;
		v->free = &v->parts[i];
	}
	return 0;
}

static int open_lv(struct volume *v, struct lvm_why *why)
{
	const struct lvm_vg *vg = groups_vg(v->pool);
	const struct lvm_lv *lv = vg ? lvm_lv_find(vg, v->name) : NULL;

	if (!vg)
		return lvm_fail(why, HVE_NOENT, "there is no pool \"%s\"", v->pool);
	if (!lv)
		return lvm_fail(why, HVE_NOENT, "pool %s has no volume \"%s\"", v->pool, v->name);
	if (vg->refused)
		return lvm_fail(why, HVE_STATE, "%s", vg->why);
	if (!lv->supported)
		return lvm_fail(why, HVE_STATE, "%s", lv->why);
	if (groups_closes(v->pool, v->name))
		return lvm_fail(why, HVE_BUSY, "volume %s is just being changed", v->name);
	if (v->write && !lv->writable)
		return lvm_fail(why, HVE_STATE, "volume %s is read-only", v->name);
	if (make_parts(v))
		return lvm_fail(why, HVE_NOMEM, "no memory");
	memcpy(v->vg_id, vg->id, sizeof(v->vg_id));
	memcpy(v->lv_id, lv->id, sizeof(v->lv_id));
	v->dev.sector_bytes = v->dev.physical_bytes = UNIT;
	v->dev.discard_max = DISCARD_MAX;
	snprintf(v->dev.name, sizeof(v->dev.name), "lv-%.20s", lv->id);
	snprintf(v->dev.serial, sizeof(v->dev.serial), "%.31s", lv->id);
	v->dev.ops = &volume_ops;
	bind(v, vg, lv);
	if (v->write && v->dev.read_only)
		return lvm_fail(why, HVE_STATE, "a drive of volume %s is read-only", v->name);
	return 0;
}

static void mem_changed(struct blkdev *mem)
{
	struct volume *v = mem->user;

	v->dev.bytes = mem->bytes;
	if (v->dev.changed)
		v->dev.changed(&v->dev);
}

static int open_ram(struct volume *v, struct lvm_why *why)
{
	const struct ram_volume *ram = ram_find(v->name);

	if (!ram || ram->bytes == 0)
		return lvm_fail(why, HVE_NOENT, "pool %s has no volume \"%s\"", v->pool, v->name);
	snprintf(v->dev.name, sizeof(v->dev.name), "ram-%u", (unsigned)(ram - ram_volume(0)));
	if (memdisk_open(v->dev.name, ram->mem, ram->bytes, !v->write, &v->mem))
		return lvm_fail(why, HVE_NOMEM, "no memory");
	v->ram = ram;
	v->mem->user = v;
	v->mem->changed = mem_changed;
	v->dev.bytes = v->mem->bytes;
	v->dev.sector_bytes = v->mem->sector_bytes;
	v->dev.physical_bytes = v->mem->physical_bytes;
	v->dev.discard_max = v->mem->discard_max;
	v->dev.read_only = v->mem->read_only;
	v->dev.ops = &mem_ops;
	return 0;
}

static void volume_free(struct volume *v)
{
	if (v->mem)
		memdisk_close(v->mem);
	free(v->parts);
	free(v);
}

int volume_open(const char *pool, const char *name, bool write, struct blkdev **out,
		struct lvm_why *why)
{
	struct volume *v;
	bool writer;
	int r;

	(void)volume_users(pool, name, &writer);
	if (write && writer)
		return lvm_fail(why, HVE_BUSY, "volume %.127s is open for writing already", name);
	if (n_volumes == VOLUMES_OPEN_MAX)
		return lvm_fail(why, HVE_LIMIT, "%u volumes are open already", n_volumes);
	v = calloc(1, sizeof(*v));
	if (!v)
		return lvm_fail(why, HVE_NOMEM, "no memory");
	snprintf(v->pool, sizeof(v->pool), "%s", pool);
	snprintf(v->name, sizeof(v->name), "%s", name);
	v->write = write;
	v->finish = (struct loop_job){.fn = finish_all, .ctx = v};
	snprintf(v->dev.model, sizeof(v->dev.model), "Socle volume");
	r = strcmp(pool, POOL_RAM) == 0 ? open_ram(v, why) : open_lv(v, why);
	if (r) {
		volume_free(v);
		return r;
	}
	v->next = volumes;
	volumes = v;
	n_volumes++;
	*out = &v->dev;
	return 0;
}

void volumes_grown(const struct ram_volume *ram)
{
	for (struct volume *v = volumes; v; v = v->next)
		if (v->ram == ram && memdisk_grow(v->mem, ram->bytes))
			rt_log("volume %s is larger, but who has it open does not see it: it "
			       "cannot be "
			       "mapped",
			       v->name);
}

static void stats_add(struct blk_stats *sum, const struct blk_stats *s)
{
	sum->reads += s->reads;
	sum->read_bytes += s->read_bytes;
	sum->writes += s->writes;
	sum->write_bytes += s->write_bytes;
	sum->flushes += s->flushes;
	sum->discards += s->discards;
	sum->errors += s->errors;
	sum->in_flight += s->in_flight;
}

static const struct blk_stats *stats_of(const struct volume *v)
{
	return v->mem ? &v->mem->stats : &v->dev.stats;
}

/* The sum of those that were closed; NULL: there is none, and not enough memory to make one. */
static struct total *total_of(const char *name, bool make)
{
	struct total *t = totals;

	while (t && strcmp(t->name, name) != 0)
		t = t->next;
	if (t || !make || n_totals == VOLUME_TOTALS_MAX)
		return t;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->next = totals;
	totals = t;
	n_totals++;
	return t;
}

void volume_close(struct blkdev *dev)
{
	struct volume *v = volume_of(dev), **at = &volumes;
	struct total *total = total_of(v->ram ? v->dev.name : v->lv_id, true);

	if (v->dev.stats.in_flight || v->finish.queued)
		rt_die("volume %s is closed with requests under way", v->name);
	if (total)
		stats_add(&total->stats, stats_of(v));
	while (*at != v)
		at = &(*at)->next;
	*at = v->next;
	n_volumes--;
	volume_free(v);
}

unsigned volume_users(const char *pool, const char *name, bool *writer)
{
	unsigned n = 0;

	*writer = false;
	for (const struct volume *v = volumes; v; v = v->next) {
		if (strcmp(v->pool, pool) != 0 || strcmp(v->name, name) != 0)
			continue;
		n++;
		*writer |= v->write;
	}
	return n;
}

static const struct lvm_lv *lv_by_id(const struct lvm_vg *vg, const char *id)
{
	for (uint32_t i = 0; i < vg->lv_count; i++)
		if (strcmp(vg->lvs[i].id, id) == 0)
			return &vg->lvs[i];
	return NULL;
}

static void rebind(struct volume *v)
{
	const struct lvm_vg *vg = groups_vg_by_id(v->vg_id);
	const struct lvm_lv *lv = vg && !vg->refused ? lv_by_id(vg, v->lv_id) : NULL;
	struct request_queue done = {NULL, NULL};
	uint64_t bytes = v->dev.bytes;
	bool gone = v->dev.gone;

	bind(v, vg, lv && lv->supported ? lv : NULL);
	pump(v, &done); /* what waits and cannot be any more */
	while (request_first(&done))
		request_put(&v->finished, request_take(&done));
	if (v->finished.first)
		loop_defer(&v->finish);
	if ((bytes != v->dev.bytes || gone != v->dev.gone) && v->dev.changed)
		v->dev.changed(&v->dev);
}

void volumes_rebind(void)
{
	for (struct volume *v = volumes; v; v = v->next) {
		if (v->ram)
			snprintf(v->name, sizeof(v->name), "%s", v->ram->name);
		else
			rebind(v);
	}
}

void volume_stats(const char *pool, const char *name, const char *id, struct blk_stats *out)
{
	const struct total *t = total_of(id, false);

	*out = t ? t->stats : (struct blk_stats){.reads = 0};
	for (const struct volume *v = volumes; v; v = v->next)
		if (strcmp(v->pool, pool) == 0 && strcmp(v->name, name) == 0)
			stats_add(out, stats_of(v));
}

void volume_forget(const char *id)
{
	struct total **at = &totals, *t;

	while (*at && strcmp((*at)->name, id) != 0)
		at = &(*at)->next;
	t = *at;
	if (!t)
		return;
	*at = t->next;
	n_totals--;
	free(t);
}
