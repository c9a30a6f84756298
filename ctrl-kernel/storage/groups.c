/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads and changes volume groups, one thing at a time (groups.h). */
#include "ctrl-kernel/storage/groups.h"

#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/blk/lvm/commit.h"
#include "ctrl-kernel/blk/part/signature.h"
#include "ctrl-kernel/storage/stepper.h"
#include "ctrl-kernel/storage/volume.h"
#include "ctrl-kernel/storage/wipe.h"

static struct reading none;         /* before the first */
static struct reading *now = &none; /* [owns] what is in force */
static struct blkdev *(*first_drive)(void);
static struct loop_job *waiting;  /* [borrows] for the first reading */
static struct groups_task *queue; /* [borrows] */
static bool under_way;            /* the first one */

/* Of the task under way: */
static struct {
	struct stepper stepper;
	struct signature_scan signature;
	unsigned checked; /* of its disks */
	struct lvm_plan plan;
	struct lvm_vg *next; /* [owns] */
	struct wipe wipe;
	int r; /* what comes of it */
	struct lvm_why why;
} work;

const struct lvm_vg *groups_vg(const char *name)
{
	return lvm_pool_find(&now->pool, name);
}

const struct lvm_vg *groups_vg_by_id(const char *id)
{
	for (unsigned i = 0; i < now->pool.count; i++)
		if (strcmp(now->pool.vgs[i]->id, id) == 0)
			return now->pool.vgs[i];
	return NULL;
}

struct blkdev *groups_dev(int disk)
{
	return disk >= 0 && (unsigned)disk < now->count ? now->devs[disk] : NULL;
}

bool groups_closes(const char *vg, const char *lv)
{
	return queue && queue->closes && strcmp(queue->vg, vg) == 0 && strcmp(queue->lv, lv) == 0;
}

bool groups_known(void)
{
	return now != &none;
}

const struct reading *groups_reading(void)
{
	return now;
}

struct lvm_disk *groups_disk(unsigned place)
{
	return now->lvm[place];
}

void groups_drives(struct blkdev *(*first)(void))
{
	first_drive = first;
}

/* ---- the end of a task ---- */

static void task_begin(void *unused);
static struct loop_job begin_job = {.fn = task_begin};

static void task_done(void)
{
	struct groups_task *t = queue;
	struct lvm_why why = work.why;

	free(t->places);
	t->places = NULL;
	queue = t->next;
	under_way = false;
	if (queue)
		loop_defer(&begin_job);
	t->done(t, work.r, &why);
}

static void use(struct reading *r)
{
	struct reading *old = now;

	now = r;
	volumes_rebind();
	if (old != &none)
		reading_free(old);
	while (waiting) {
		struct loop_job *job = waiting;

		waiting = job->next;
		loop_defer(job);
	}
}

void groups_when_known(struct loop_job *job)
{
	if (groups_known()) {
		loop_defer(job);
		return;
	}
	job->next = waiting;
	waiting = job;
}

static void read_again_done(struct reading *r)
{
	if (r)
		use(r);
	else if (work.r == 0)
		work.r = lvm_fail(&work.why, HVE_NOMEM, "no memory to read the disks");
	task_done();
}

static void read_again(void)
{
	reading_begin(first_drive ? first_drive() : NULL, read_again_done);
}

static void fail(int hve, const char *text)
{
	work.r = lvm_fail(&work.why, hve, "%s", text);
	task_done();
}

static void run(const struct stepper_ops *ops, void *what, struct blkdev *const *disks,
		unsigned n_disks, void (*end)(struct stepper *))
{
	work.stepper = (struct stepper){
		.ops = ops, .work = what, .disks = disks, .n_disks = n_disks, .end = end};
	stepper_run(&work.stepper);
}

/* ---- the plan ---- */

static void plan_next(void *plan, struct step *out)
{
	*out = lvm_plan_next(plan);
}

static void plan_told(void *plan, bool ok)
{
	lvm_plan_done(plan, ok);
}

static const struct stepper_ops plan_ops = {plan_next, plan_told};

/* A drive failed. Is the new text in force, by what can be read? */
static void failed_done(struct reading *r)
{
	const struct lvm_vg *vg;

	if (!r) {
		work.r = lvm_fail(&work.why, HVE_FAULT,
				  "a drive failed while the metadata were written, and there is no "
				  "memory to read them again");
		lvm_vg_free(work.next);
		task_done();
		return;
	}
	use(r);
	vg = groups_vg_by_id(work.next->id);
	if (vg && vg->seqno == work.next->seqno)
		work.r = lvm_fail(
			&work.why, HVE_FAULT,
			"a drive failed while the metadata were written; the change is in "
			"force as the disks are read now");
	else
		work.r = lvm_fail(
			&work.why, HVE_FAULT,
			"a drive failed while the metadata were written; the change is not "
			"in force");
	lvm_vg_free(work.next);
	task_done();
}

static void plan_end(struct stepper *s)
{
	enum lvm_outcome outcome = lvm_plan_outcome(&work.plan);

	(void)s;
	lvm_plan_free(&work.plan);
	/* A group that has no place in the table is there after reading, too. */
	if (outcome == LVM_NEW && lvm_pool_put(&now->pool, now->lvm, work.next) == 0) {
		volumes_rebind();
		task_done();
	} else if (outcome == LVM_NEW) {
		lvm_vg_free(work.next);
		read_again();
	} else {
		reading_begin(first_drive ? first_drive() : NULL, failed_done);
	}
}

/* make() may have laid out physical volumes that will not be. */
static void give_up(struct groups_task *t)
{
	lvm_vg_free(work.next);
	if (t->n_disks)
		read_again();
	else
		task_done();
}

static void change(struct groups_task *t)
{
	work.r = t->make(t, &work.next, &work.why);
	if (work.r || !work.next) {
		give_up(t);
		return;
	}
	work.r = lvm_plan_make(&work.plan, work.next, now->lvm, &work.why);
	if (work.r) {
		give_up(t);
		return;
	}
	run(&plan_ops, &work.plan, now->devs, now->count, plan_end);
}

/* ---- removal ---- */

static void wipe_end(struct stepper *s)
{
	(void)s;
	if (wipe_failed(&work.wipe))
		work.r = lvm_fail(
			&work.why, HVE_FAULT,
			"a drive failed while the pool was removed; what is left of it is "
			"shown");
	wipe_free(&work.wipe);
	read_again();
}

static void removal(struct groups_task *t)
{
	const struct lvm_vg *vg = groups_vg(t->vg);

	work.r = t->make(t, &work.next, &work.why);
	if (work.r || !vg) {
		task_done();
		return;
	}
	work.r = wipe_make(&work.wipe, vg, now->lvm, &work.why);
	if (work.r) {
		task_done();
		return;
	}
	run(&wipe_ops, &work.wipe, now->devs, now->count, wipe_end);
}

/* ---- signatures ---- */

static void signature_next(void *scan, struct step *out)
{
	*out = *signature_scan_next(scan);
	out->disk = 0;
}

static void signature_told(void *scan, bool ok)
{
	signature_scan_done(scan, ok);
}

static const struct stepper_ops signature_ops = {signature_next, signature_told};

static void check_next(struct groups_task *t);

static void check_end(struct stepper *s)
{
	struct groups_task *t = queue;
	const char *found = signature_scan_result(&work.signature);

	(void)s;
	if (found) {
		work.r = lvm_fail(&work.why, HVE_EXIST, "%s carries something: %s",
				  t->disks[work.checked], found);
		t->occupied = true;
	}
	signature_scan_end(&work.signature);
	if (work.r) {
		task_done();
		return;
	}
	work.checked++;
	check_next(t);
}

static void check_next(struct groups_task *t)
{
	struct blkdev *const *dev;

	if (t->force || work.checked == t->n_disks) {
		change(t);
		return;
	}
	dev = &now->devs[t->places[work.checked]];
	if (signature_scan_begin(&work.signature, (*dev)->bytes, (*dev)->sector_bytes)) {
		fail(HVE_NOMEM, "no memory to look at the disks");
		return;
	}
	run(&signature_ops, &work.signature, dev, 1, check_end);
}

/* ---- disks that are asked for ---- */

/* A partition that a group has keeps its drive from being taken, and the other way round. */
static const struct place *taken_by(const struct place *p)
{
	for (unsigned i = 0; i < now->count; i++) {
		const struct place *q = now->place[i];
		bool meets = p == q || (p->drive == q->drive && (!p->partition || !q->partition));

		if (meets && q->lvm.vg >= 0)
			return q;
	}
	return NULL;
}

static int check_place(struct groups_task *t, unsigned i)
{
	int at = reading_find(now, t->disks[i]);
	const struct place *p, *taken;

	if (at < 0)
		return lvm_fail(&work.why, HVE_NOENT, "there is no disk %s", t->disks[i]);
	p = now->place[at];
	taken = taken_by(p);
	if (taken)
		return lvm_fail(&work.why, HVE_BUSY, "%s belongs to pool %s", taken->dev->name,
				now->pool.vgs[taken->lvm.vg]->name);
	if (p->dev->gone || p->drive->gone)
		return lvm_fail(&work.why, HVE_NOENT, "%s is not there any more", t->disks[i]);
	if (p->dev->read_only)
		return lvm_fail(&work.why, HVE_STATE, "%s is read-only", t->disks[i]);
	if (p->lvm.bytes == 0)
		return lvm_fail(&work.why, HVE_LIMIT, "%s is too small for a physical volume",
				t->disks[i]);
	for (unsigned k = 0; k < i; k++) {
		const struct place *other = now->place[t->places[k]];

		if (other == p ||
		    (other->drive == p->drive && (!other->partition || !p->partition)))
			return lvm_fail(&work.why, HVE_INVAL, "%s is asked for twice", t->disks[i]);
	}
	t->places[i] = (unsigned)at;
	return 0;
}

static int check_places(struct groups_task *t)
{
	t->places = calloc(t->n_disks + 1, sizeof(*t->places));
	if (!t->places)
		return lvm_fail(&work.why, HVE_NOMEM, "no memory");
	for (unsigned i = 0; i < t->n_disks; i++) {
		int r = check_place(t, i);

		if (r)
			return r;
	}
	return 0;
}

/* ---- the queue ---- */

/* The first scan comes before what was asked for earlier. False: it was not asked for yet. */
static bool scan_first(void)
{
	struct groups_task **at = &queue, *t;

	while (*at && (*at)->kind != GROUPS_SCAN)
		at = &(*at)->next;
	t = *at;
	if (!t)
		return false;
	*at = t->next;
	t->next = queue;
	queue = t;
	return true;
}

static void task_begin(void *unused)
{
	struct groups_task *t;

	(void)unused;
	if (under_way || !queue || (!groups_known() && !scan_first()))
		return;
	under_way = true;
	t = queue;
	memset(&work, 0, sizeof(work));
	switch (t->kind) {
	case GROUPS_SCAN:
		read_again();
		return;
	case GROUPS_REMOVE:
		removal(t);
		return;
	case GROUPS_CHANGE:
		break;
	}
	work.r = check_places(t);
	if (work.r)
		task_done();
	else
		check_next(t);
}

void groups_submit(struct groups_task *t)
{
	struct groups_task **at = &queue;

	while (*at)
		at = &(*at)->next;
	t->next = NULL;
	t->places = NULL;
	t->occupied = t->closes = false;
	*at = t;
	loop_defer(&begin_job);
}
