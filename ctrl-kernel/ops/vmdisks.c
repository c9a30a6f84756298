/* SPDX-License-Identifier: BSD-2-Clause */
/* See vmdisks.h. */
#include "ctrl-kernel/ops/vmdisks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/ops/devices.h"
#include "ctrl-kernel/ops/lifecycle.h"
#include "ctrl-kernel/ops/pools.h"
#include "ctrl-kernel/storage/memdisk.h"
#include "ctrl-kernel/storage/volume.h"

#define RETRY_NS 10000000ull
#define LATE_RETRY_NS 1000000000ull

/* A device that a disk has open: its release context. Outlives the run while requests are under way. */
struct disk_use {
	struct vm_run *run; /* [borrows] NULL: it is behind no disk any more */
	unsigned place;
	struct image *image; /* [owns] a pin; NULL: a volume */
	char vm[OPS_NAME_MAX], pool[OPS_NAME_MAX], volume[VM_VOLUME_NAME_MAX];
	bool write;
	struct disk_use *next;
};

static struct disk_use *uses;

static const struct vm_disk *spec_of(const struct vm_run *run, unsigned i)
{
	return &run->vm->spec.disks[i];
}

static const char *field_of(char out[64], unsigned i, const char *field)
{
	snprintf(out, 64, "disks.%u.%s", i, field);
	return out;
}

/* ---- devices ---- */

static void release(struct blkdev *dev, void *ctx)
{
	struct disk_use *use = ctx, **at = &uses;

	while (*at != use)
		at = &(*at)->next;
	*at = use->next;
	if (use->image) {
		memdisk_close(dev);
		image_put(use->image);
	} else {
		volume_close(dev);
	}
	free(use);
}

/* What the vmm is told of a device; NULL: there is none in it. */
static void describe(const struct blkdev *dev, struct vmm_disk *out)
{
	out->bytes = dev ? dev->bytes : 0;
	out->sector_bytes = dev ? dev->sector_bytes : MEMDISK_SECTOR;
	out->physical_bytes = dev ? dev->physical_bytes : MEMDISK_SECTOR;
	out->discard_max = dev && !(out->flags & VMM_DISK_READ_ONLY) ? dev->discard_max : 0;
	out->flags &= ~(uint32_t)VMM_DISK_WRITE_CACHE;
	if (dev && dev->write_cache && !dev->read_only)
		out->flags |= VMM_DISK_WRITE_CACHE;
}

/* Only its size changes while the guest runs: the rest it has read once. */
static void size_tell(struct vm_run *run, unsigned place)
{
	struct vmm_disk *d = &run->config->disks[place];

	d->bytes = run->disks[place].dev ? run->disks[place].dev->bytes : 0;
	__atomic_store_n(&d->changes, d->changes + 1, __ATOMIC_RELEASE);
	vmio_tell(run->io);
}

static void on_changed(struct blkdev *dev)
{
	struct disk_use *use = dev->user;

	if (use->run && use->run->config)
		size_tell(use->run, use->place);
}

static int open_image(struct disk_use *use, const char *name, unsigned i, struct blkdev **dev,
		      struct ops_error *e)
{
	struct image *image = image_find(name);
	char at[64];
	int r;

	if (!image)
		return ops_fail(e, OPS_MISSING_IMAGE, field_of(at, i, "image"),
				"there is no image \"%s\" any more", name);
	r = memdisk_open(name, image->mem, image->bytes, true, dev);
	if (r)
		return ops_fail_hv(e, r, "mapping the image of a disk");
	image_get(image);
	use->image = image;
	return 0;
}

/* Who else writes to it; NULL: no VM does. */
static const struct disk_use *writer(const char *pool, const char *volume)
{
	const struct disk_use *u = uses;

	while (u && (!u->write || strcmp(u->pool, pool) || strcmp(u->volume, volume)))
		u = u->next;
	return u;
}

static int open_volume(struct disk_use *use, unsigned i, struct blkdev **dev, struct ops_error *e)
{
	const struct disk_use *other = use->write ? writer(use->pool, use->volume) : NULL;
	char at[64];

	if (other)
		return ops_fail(e, OPS_BUSY, field_of(at, i, "volume"),
				"the VM \"%s\" has the volume \"%s\" of the pool \"%s\" open for "
				"writing",
				other->vm, use->volume, use->pool);
	if (volume_use(use->pool, use->volume, use->write, dev, e) == 0)
		return 0;
	(void)field_of(e->field, i, e->code == OPS_NO_POOL ? "pool" : "volume");
	return -1;
}

/* Its requests under way keep it until they end. */
static void put_out(struct vm_run *run, unsigned place)
{
	for (struct disk_use *u = uses; u; u = u->next)
		if (u->run == run && u->place == place)
			u->run = NULL;
	run->disks[place].dev = NULL;
}

/* What d names, the i-th of the description, put behind it. */
static int put_in(struct vm_run *run, unsigned i, const struct vm_disk *d, struct ops_error *e)
{
	struct disk_use *use = calloc(1, sizeof(*use));
	unsigned place = disk_place(d);
	struct blkdev *dev = NULL;
	int r;

	if (!use)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	use->place = place;
	use->write = !d->read_only;
	memcpy(use->vm, run->vm->spec.name, sizeof(use->vm));
	memcpy(use->pool, d->pool, sizeof(use->pool));
	memcpy(use->volume, d->volume, sizeof(use->volume));
	r = d->image[0] ? open_image(use, d->image, i, &dev, e) : open_volume(use, i, &dev, e);
	if (r) {
		free(use);
		return -1;
	}
	dev->user = use;
	dev->changed = on_changed;
	use->next = uses;
	uses = use;
	if (!vdisk_source(run->disks[place].vdisk, dev, release, use)) {
		release(dev, use);
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	}
	put_out(run, place);
	use->run = run;
	run->disks[place].dev = dev;
	return 0;
}

/* ---- a start ---- */

static int disk_make(struct vm_run *run, const struct vm_disk *d, struct ops_error *e)
{
	const struct vdisk_limits limits = {d->bytes_per_s, d->ops_per_s, d->burst_ms};
	unsigned place = disk_place(d);

	run->disks[place].vdisk = vdisk_make(run->io, &run->config->disks[place], &limits);
	return run->disks[place].vdisk ? 0 : ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
}

static bool is_empty(const struct vm_disk *d)
{
	return !d->image[0] && !d->pool[0];
}

static void disk_empty(struct vm_run *run, unsigned place)
{
	put_out(run, place);
	(void)!vdisk_source(run->disks[place].vdisk, NULL, NULL, NULL); /* nothing: cannot fail */
}

/* Not known yet, or the last run's requests are still under way. */
static bool comes_later(const struct vm_disk *d, const struct ops_error *e)
{
	const struct disk_use *u;

	if (e->code == OPS_NOT_READY)
		return true;
	u = e->code == OPS_BUSY && d->pool[0] ? writer(d->pool, d->volume) : NULL;
	return u && !u->run;
}

static void again(void *ctx)
{
	struct vm_run *run = ctx;

	loop_defer(&run->job);
}

int vmdisks_open_step(struct vm_run *run, bool *done, struct ops_error *e)
{
	*done = false;
	for (; run->n_disks < run->vm->spec.n_disks; run->n_disks++) {
		unsigned i = run->n_disks;
		const struct vm_disk *d = spec_of(run, i);

		if (!run->disks[disk_place(d)].vdisk && disk_make(run, d, e))
			return -1;
		if (is_empty(d)) {
			disk_empty(run, disk_place(d));
		} else if (put_in(run, i, d, e)) {
			if (!comes_later(d, e))
				return -1;
			loop_timer_init(&run->retry, again, run);
			loop_timer_set(&run->retry, RETRY_NS);
			return 0;
		}
	}
	*done = true;
	return 0;
}

void vmdisks_layout(const struct vm_run *run, struct vmm_config *config)
{
	for (unsigned i = 0; i < VMM_DISKS_MAX; i++)
		if (run->disks[i].vdisk &&
		    (run->disks[i].dev || config->disks[i].sector_bytes == 0))
			describe(run->disks[i].dev, &config->disks[i]);
}

/* ---- one that comes or goes ---- */

int vmdisk_add(struct vm_run *run, const struct vm_disk *d, unsigned index, struct ops_error *e)
{
	unsigned place = disk_place(d);

	if (disk_make(run, d, e))
		return -1;
	if (is_empty(d)) {
		disk_empty(run, place);
	} else if (put_in(run, index, d, e)) {
		vmdisk_remove(run, place);
		return -1;
	}
	describe(run->disks[place].dev, &run->config->disks[place]);
	return 0;
}

bool vmdisk_drained(struct vm_run *run, unsigned place)
{
	struct vdisk_stats s;

	run->disks[place].goes = true;
	disk_empty(run, place);
	vdisk_stats(run->disks[place].vdisk, &s);
	return s.in_flight == 0;
}

void vmdisk_remove(struct vm_run *run, unsigned place)
{
	put_out(run, place);
	vdisk_end(run->disks[place].vdisk);
	run->disks[place].vdisk = NULL;
	run->disks[place].goes = false;
}

void vmdisks_end(struct vm_run *run)
{
	loop_timer_cancel(&run->retry);
	for (unsigned i = 0; i < VMM_DISKS_MAX; i++)
		put_out(run, i);
}

/* ---- taking over ---- */

/* -> disks that have nothing behind them yet. */
static unsigned try_all(struct vm_run *run, struct ops_error *e)
{
	unsigned missing = 0;

	for (unsigned i = 0; i < run->vm->spec.n_disks; i++) {
		const struct vm_disk *d = spec_of(run, i);
		unsigned place = disk_place(d);

		if (run->disks[place].dev || is_empty(d) || run->disks[place].goes)
			continue;
		if (put_in(run, i, d, e))
			missing++;
		else if (run->disks[place].dev->bytes != run->config->disks[place].bytes)
			size_tell(run, place);
	}
	return missing;
}

static void give_up(struct vm_run *run, const struct ops_error *e)
{
	run->disks_late = true;
	rt_log("VM %s: a disk is not there, its requests fail: %s", run->vm->spec.name, e->text);
	for (unsigned i = 0; i < VMM_DISKS_MAX; i++)
		if (run->disks[i].vdisk && !run->disks[i].dev)
			disk_empty(run, i);
}

static void look_again(void *ctx)
{
	struct vm_run *run = ctx;
	struct ops_error e;

	if (try_all(run, &e) == 0)
		return;
	if (!run->disks_late && rt_now() >= run->disks_deadline)
		give_up(run, &e);
	loop_timer_set(&run->retry, run->disks_late ? LATE_RETRY_NS : RETRY_NS);
}

int vmdisks_take_over(struct vm_run *run, struct ops_error *e)
{
	for (; run->n_disks < run->vm->spec.n_disks; run->n_disks++) {
		const struct vm_disk *d = spec_of(run, run->n_disks);

		if (disk_make(run, d, e))
			return -1;
		if (is_empty(d))
			disk_empty(run, disk_place(d));
	}
	run->disks_deadline = rt_now() + VMDISKS_WAIT_NS;
	loop_timer_init(&run->retry, look_again, run);
	look_again(run);
	return 0;
}

/* ---- media ---- */

static int find_cdrom(const struct vm *vm, const char *id, unsigned *out, struct ops_error *e)
{
	for (unsigned i = 0; i < vm->spec.n_disks; i++) {
		if (strcmp(vm->spec.disks[i].id, id) != 0)
			continue;
		*out = i;
		if (vm->spec.disks[i].cdrom)
			return 0;
		return ops_fail(e, OPS_WRONG_STATE, NULL,
				"the disk \"%s\" is no cdrom: what is in it cannot be changed", id);
	}
	return ops_fail(e, OPS_NO_DISK, NULL, "the VM has no disk \"%s\"", id);
}

int vm_cdrom(struct vm *vm, const char *id, const char *image, struct ops_error *e)
{
	struct vm_disk next;
	unsigned i = 0;

	if (vm_check_idle(vm, e) || find_cdrom(vm, id, &i, e))
		return -1;
	if (image && !image_find(image))
		return ops_fail(e, OPS_NO_IMAGE, "image", "there is no image \"%s\"", image);
	next = vm->spec.disks[i];
	if (vm->run && vm->run->disks[disk_place(&next)].goes)
		return ops_fail(e, OPS_BUSY, NULL, "the disk is being unplugged");
	memset(next.pool, 0, sizeof(next.pool));
	memset(next.volume, 0, sizeof(next.volume));
	memset(next.image, 0, sizeof(next.image));
	if (image)
		memcpy(next.image, image, strlen(image));
	if (vm->run) {
		if (!image)
			disk_empty(vm->run, disk_place(&next));
		else if (put_in(vm->run, i, &next, e))
			return -1;
	}
	vm->spec.disks[i] = next;
	vm_respec(vm);
	if (vm->run)
		size_tell(vm->run, disk_place(&next));
	return 0;
}

bool vm_disk_stats(const struct vm *vm, unsigned i, struct vdisk_stats *out)
{
	unsigned place = disk_place(&vm->spec.disks[i]);

	if (!vm->run || !vm->run->disks[place].vdisk)
		return false;
	vdisk_stats(vm->run->disks[place].vdisk, out);
	return true;
}
