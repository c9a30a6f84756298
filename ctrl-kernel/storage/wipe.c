/* SPDX-License-Identifier: BSD-2-Clause */
/* Takes a volume group off its disks (wipe.h). */
#include "ctrl-kernel/storage/wipe.h"

#include <stdlib.h>
#include <string.h>

static void add(struct wipe *w, enum step_op op, unsigned disk, uint64_t offset, uint32_t bytes,
		void *buf)
{
	w->steps[w->count++] = (struct step){op, disk, offset, bytes, buf};
}

static void add_area(struct wipe *w, unsigned disk, const struct lvm_disk *d,
		     const struct lvm_mda *m, uint8_t *header)
{
	memcpy(header, m->first, LVM_SECTOR_MAX);
	lvm_mda_write(header, m->start, m->size, 0, 0, 0);
	add(w, STEP_WRITE, disk, m->start, d->sector, header);
	add(w, STEP_FLUSH, disk, 0, 0, NULL);
}

int wipe_make(struct wipe *w, const struct lvm_vg *vg, struct lvm_disk *const disks[],
	      struct lvm_why *why)
{
	const unsigned areas = vg->pv_count * LVM_MDAS_MAX;
	uint8_t *header;

	*w = (struct wipe){.count = 0};
	for (uint32_t i = 0; i < vg->pv_count; i++)
		if (vg->pvs[i].disk < 0)
			return lvm_fail(why, HVE_STATE, "pool %s lacks a disk", vg->name);
	w->steps = calloc(2ull * areas + 2ull * vg->pv_count, sizeof(*w->steps));
	w->headers = calloc(areas + 1ull, LVM_SECTOR_MAX);
	if (!w->steps || !w->headers) {
		wipe_free(w);
		return lvm_fail(why, HVE_NOMEM, "no memory");
	}
	header = w->headers;
	for (uint32_t i = 0; i < vg->pv_count; i++) {
		unsigned disk = (unsigned)vg->pvs[i].disk;

		for (unsigned k = 0; k < disks[disk]->mdas; k++, header += LVM_SECTOR_MAX)
			add_area(w, disk, disks[disk], &disks[disk]->mda[k], header);
	}
	for (uint32_t i = 0; i < vg->pv_count; i++) {
		add(w, STEP_WRITE, (unsigned)vg->pvs[i].disk, 0, LVM_HEAD_BYTES,
		    w->headers + (size_t)areas * LVM_SECTOR_MAX);
		add(w, STEP_FLUSH, (unsigned)vg->pvs[i].disk, 0, 0, NULL);
	}
	return 0;
}

static void next(void *work, struct step *out)
{
	const struct wipe *w = work;

	*out = (struct step){.op = STEP_END};
	if (!w->failed && w->at < w->count)
		*out = w->steps[w->at];
}

static void told(void *work, bool ok)
{
	struct wipe *w = work;

	if (ok)
		w->at++;
	else
		w->failed = true;
}

const struct stepper_ops wipe_ops = {next, told};

bool wipe_failed(const struct wipe *w)
{
	return w->failed;
}

void wipe_free(struct wipe *w)
{
	free(w->steps);
	free(w->headers);
	*w = (struct wipe){.count = 0};
}
