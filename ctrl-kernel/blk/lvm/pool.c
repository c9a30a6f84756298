/* SPDX-License-Identifier: BSD-2-Clause */
/* Puts groups together (pool.h). */
#include "ctrl-kernel/blk/lvm/pool.h"

#include <stdlib.h>
#include <string.h>

/* One of a group's areas; the loops below go over all areas of all disks. */
struct area_at {
	struct lvm_disk *const *disks;
	unsigned count, disk, mda;
};

static struct lvm_mda *next_area(struct area_at *at, struct lvm_disk **disk)
{
	for (; at->disk < at->count; at->disk++, at->mda = 0) {
		struct lvm_disk *d = at->disks[at->disk];

		if (at->mda < d->mdas) {
			*disk = d;
			return &d->mda[at->mda++];
		}
	}
	return NULL;
}

/* The newest text of each group. */
static void take_newest(struct lvm_pool *pool, struct lvm_disk *const disks[], unsigned count)
{
	struct area_at at = {.disks = disks, .count = count};
	struct lvm_disk *d;

	for (struct lvm_mda *m = next_area(&at, &d); m; m = next_area(&at, &d)) {
		unsigned i = 0;

		if (m->state != LVM_MDA_GOOD || !m->vg)
			continue;
		while (i < pool->count && strcmp(pool->vgs[i]->id, m->vg_id) != 0)
			i++;
		if (i == pool->count) {
			pool->vgs[pool->count++] = m->vg;
		} else if (pool->vgs[i]->seqno < m->seqno) {
			lvm_vg_free(pool->vgs[i]);
			pool->vgs[i] = m->vg;
		} else {
			lvm_vg_free(m->vg);
		}
		m->vg = NULL;
	}
}

/* ---- disks of a group ---- */

static bool has_text_of_another(const struct lvm_disk *d, const struct lvm_vg *vg)
{
	for (unsigned i = 0; i < d->mdas; i++)
		if (d->mda[i].state == LVM_MDA_GOOD && strcmp(d->mda[i].vg_id, vg->id) != 0)
			return true;
	return false;
}

static void check_size(struct lvm_vg *vg, const struct lvm_pv *pv, const struct lvm_disk *d)
{
	uint64_t end = pv->pe_start + (uint64_t)pv->pe_count * vg->extent_sectors;

	if (end > d->bytes / LVM_UNIT)
		lvm_vg_refuse(vg, "%s is smaller than physical volume %s of volume group %s",
			      d->name, pv->name, vg->name);
	if (vg->extent_sectors * (uint64_t)LVM_UNIT % d->sector ||
	    pv->pe_start * LVM_UNIT % d->sector)
		lvm_vg_refuse(vg, "volume group %s does not lie on the sectors of %s, of %u bytes",
			      vg->name, d->name, d->sector);
}

static void bind(struct lvm_pool *pool, unsigned which, struct lvm_pv *pv,
		 struct lvm_disk *const disks[], unsigned count)
{
	struct lvm_vg *vg = pool->vgs[which];

	for (unsigned i = 0; i < count; i++) {
		struct lvm_disk *d = disks[i];

		if (!d->is_pv || strcmp(d->id, pv->id) != 0)
			continue;
		if (has_text_of_another(d, vg))
			lvm_vg_read_only(vg, "%s is now in another volume group than %s", d->name,
					 vg->name);
		else if (pv->disk >= 0)
			lvm_vg_refuse(vg,
				      "%s and %s are both physical volume %s of volume group %s",
				      disks[pv->disk]->name, d->name, pv->id, vg->name);
		else if (d->vg >= 0)
			lvm_vg_refuse(vg, "volume groups %s and %s both say that they have %s",
				      pool->vgs[d->vg]->name, vg->name, d->name);
		else {
			pv->disk = (int)i;
			d->vg = (int)which;
			check_size(vg, pv, d);
		}
	}
	pv->missing |= pv->disk < 0;
}

/* Areas that do not have this text; two texts of one number cannot both be right. */
static void count_stale(struct lvm_vg *vg, struct lvm_disk *const disks[], unsigned count)
{
	struct area_at at = {.disks = disks, .count = count};
	const struct lvm_mda *first = NULL;
	struct lvm_disk *d;

	for (struct lvm_mda *m = next_area(&at, &d); m; m = next_area(&at, &d)) {
		bool mine = m->state == LVM_MDA_GOOD && !strcmp(m->vg_id, vg->id);

		if (!mine || m->seqno != vg->seqno) {
			vg->stale += mine || (m->state == LVM_MDA_BAD && d->vg >= 0);
			continue;
		}
		if (first && (first->crc != m->crc || first->bytes != m->bytes))
			lvm_vg_refuse(vg, "volume group %s has two different texts of seqno %u",
				      vg->name, (unsigned)vg->seqno);
		first = m;
	}
}

static void check_names(struct lvm_pool *pool)
{
	for (unsigned i = 0; i < pool->count; i++)
		for (unsigned k = 0; k < i; k++) {
			if (strcmp(pool->vgs[i]->name, pool->vgs[k]->name) != 0)
				continue;
			lvm_vg_refuse(pool->vgs[i], "two volume groups are named %s",
				      pool->vgs[i]->name);
			lvm_vg_refuse(pool->vgs[k], "two volume groups are named %s",
				      pool->vgs[k]->name);
		}
}

int lvm_pool_make(struct lvm_pool *pool, struct lvm_disk *const disks[], unsigned count)
{
	*pool = (struct lvm_pool){.vgs = calloc(count * LVM_MDAS_MAX + 1, sizeof(*pool->vgs))};
	if (!pool->vgs)
		return -HVE_NOMEM;
	for (unsigned i = 0; i < count; i++)
		disks[i]->vg = -1;
	take_newest(pool, disks, count);
	for (unsigned i = 0; i < pool->count; i++) {
		struct lvm_vg *vg = pool->vgs[i];

		for (uint32_t k = 0; k < vg->pv_count; k++)
			bind(pool, i, &vg->pvs[k], disks, count);
		count_stale(vg, disks, count);
	}
	check_names(pool);
	for (unsigned i = 0; i < pool->count; i++)
		lvm_vg_settle(pool->vgs[i]);
	return 0;
}

int lvm_pool_put(struct lvm_pool *pool, struct lvm_disk *const disks[], struct lvm_vg *next)
{
	unsigned i = 0;

	while (i < pool->count && strcmp(pool->vgs[i]->id, next->id) != 0)
		i++;
	if (i == pool->count) {
		void *more = realloc(pool->vgs, (i + 1) * sizeof(*pool->vgs));

		if (!more)
			return -HVE_NOMEM;
		pool->vgs = more;
		pool->count++;
	} else {
		lvm_vg_free(pool->vgs[i]);
	}
	pool->vgs[i] = next;
	for (uint32_t k = 0; k < next->pv_count; k++)
		if (next->pvs[k].disk >= 0)
			disks[next->pvs[k].disk]->vg = (int)i;
	return 0;
}

void lvm_pool_free(struct lvm_pool *pool)
{
	for (unsigned i = 0; i < pool->count; i++)
		lvm_vg_free(pool->vgs[i]);
	free(pool->vgs);
	*pool = (struct lvm_pool){.vgs = NULL};
}

struct lvm_vg *lvm_pool_find(const struct lvm_pool *pool, const char *name)
{
	for (unsigned i = 0; i < pool->count; i++)
		if (!strcmp(pool->vgs[i]->name, name))
			return pool->vgs[i];
	return NULL;
}
