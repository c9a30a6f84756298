/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads what lies on all drives (places.h). */
#include "ctrl-kernel/storage/places.h"

#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/blk/part/part.h"
#include "ctrl-kernel/storage/stepper.h"

struct drive_scan { /* of one drive: its table, then one place after the other */
	struct blkdev *drive;
	unsigned first, at, end;  /* of places[] */
	struct part_table *table; /* [owns] */
	struct part_scan part;
	struct lvm_scan lvm;
	struct blkdev *dev; /* that the stepper works on */
	struct stepper stepper;
	struct drive_scan *next;
};

static struct reading *reading; /* [owns] under way */
static reading_fn reading_done;
static struct drive_scan *scans; /* [owns] */
static unsigned left;            /* scans that have not ended */

void reading_free(struct reading *r)
{
	if (!r)
		return;
	lvm_pool_free(&r->pool);
	for (unsigned i = 0; i < r->count; i++) {
		lvm_disk_free(&r->place[i]->lvm);
		free(r->place[i]);
	}
	free(r);
}

int reading_find(const struct reading *r, const char *name)
{
	for (unsigned i = 0; r && i < r->count; i++)
		if (strcmp(r->place[i]->dev->name, name) == 0)
			return (int)i;
	return -1;
}

/* ---- the end ---- */

static void finish(void *unused)
{
	struct reading *r = reading;

	(void)unused;
	while (scans) {
		struct drive_scan *s = scans;

		scans = s->next;
		free(s->table);
		free(s);
	}
	reading = NULL;
	if (r && lvm_pool_make(&r->pool, r->lvm, r->count)) {
		reading_free(r);
		r = NULL;
	}
	reading_done(r);
}

static struct loop_job finish_job = {.fn = finish};

static void scan_over(void)
{
	if (--left == 0)
		loop_defer(&finish_job);
}

/* ---- labels and texts ---- */

static void lvm_next(void *work, struct step *out)
{
	*out = *lvm_scan_next(work);
	out->disk = 0;
}

static void lvm_told(void *work, bool ok)
{
	lvm_scan_done(work, ok);
}

static const struct stepper_ops lvm_ops = {lvm_next, lvm_told};

static void place_begin(struct drive_scan *s);

static void place_end(struct stepper *stepper)
{
	struct drive_scan *s = stepper->ctx;

	lvm_scan_end(&s->lvm);
	s->at++;
	place_begin(s);
}

static void run(struct drive_scan *s, const struct stepper_ops *ops, void *work,
		void (*end)(struct stepper *))
{
	s->stepper = (struct stepper){
		.ops = ops, .work = work, .disks = &s->dev, .n_disks = 1, .end = end, .ctx = s};
	stepper_run(&s->stepper);
}

/* A drive with partitions is none itself. What has no memory for its reading is left as a place where nothing is. */
static void place_begin(struct drive_scan *s)
{
	for (; s->at < s->end; s->at++) {
		struct place *p = reading->place[s->at];

		if (p->partitions || p->lvm.bytes == 0 || lvm_scan_begin(&s->lvm, &p->lvm))
			continue;
		s->dev = p->dev;
		run(s, &lvm_ops, &s->lvm, place_end);
		return;
	}
	scan_over();
}

/* ---- tables ---- */

static bool place_add(struct blkdev *dev, struct blkdev *drive, unsigned partition)
{
	struct place *p = reading->count < PLACES_MAX ? calloc(1, sizeof(*p)) : NULL;

	if (!p) {
		reading->full = true;
		return false;
	}
	*p = (struct place){.dev = dev, .drive = drive, .partition = partition};
	/* INVAL: too small, or of other sectors: nothing can be there, and nothing be made. */
	if (lvm_disk_init(&p->lvm, dev->name, dev->bytes, dev->sector_bytes))
		p->lvm.bytes = 0;
	reading->place[reading->count] = p;
	reading->lvm[reading->count] = &p->lvm;
	reading->devs[reading->count] = dev;
	reading->count++;
	return true;
}

static void part_next(void *work, struct step *out)
{
	*out = *part_scan_next(work);
	out->disk = 0;
}

static void part_told(void *work, bool ok)
{
	part_scan_done(work, ok);
}

static const struct stepper_ops part_ops = {part_next, part_told};

static void table_end(struct stepper *stepper)
{
	struct drive_scan *s = stepper->ctx;
	const struct part_table *t = s->table;
	uint32_t sector = s->drive->sector_bytes;

	part_scan_end(&s->part);
	s->first = s->at = reading->count;
	if (place_add(s->drive, s->drive, 0))
		reading->place[s->first]->partitions = t->count;
	for (uint32_t i = 0; i < t->count; i++) {
		const struct partition *p = &t->part[i];
		struct blkdev *dev = partition_dev(s->drive, p->number, p->lba * sector,
						   p->count * sector);

		if (dev)
			(void)place_add(dev, s->drive, p->number);
	}
	s->end = reading->count;
	place_begin(s);
}

static bool scan_begin(struct blkdev *drive)
{
	struct drive_scan *s = calloc(1, sizeof(*s));
	struct part_table *t = calloc(1, sizeof(*t));

	if (!s || !t || part_scan_begin(&s->part, t, drive->bytes, drive->sector_bytes)) {
		free(s);
		free(t);
		return false;
	}
	s->drive = s->dev = drive;
	s->table = t;
	s->next = scans;
	scans = s;
	left++;
	run(s, &part_ops, &s->part, table_end);
	return true;
}

void reading_begin(struct blkdev *drives, reading_fn done)
{
	reading = calloc(1, sizeof(*reading));
	reading_done = done;
	left = 1;
	for (struct blkdev *d = drives; d && reading; d = d->next)
		if (!d->gone && !scan_begin(d))
			rt_log("drive %s is not looked at: no memory, or it has no sectors",
			       d->name);
	scan_over();
}
