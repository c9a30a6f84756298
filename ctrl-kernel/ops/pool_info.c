/* SPDX-License-Identifier: BSD-2-Clause */
/* What pools and volumes look like (pools.h). */
#include <stdio.h>
#include <string.h>
#include "ctrl-kernel/ops/pools.h"
#include "ctrl-kernel/ops/rampool.h"
#include "ctrl-kernel/storage/groups.h"
#include "ctrl-kernel/storage/volume.h"

static bool is_ram(const char *pool)
{
	return strcmp(pool, POOL_RAM) == 0;
}

bool pools_known(void)
{
	return groups_known();
}

static void describe_pool(const struct lvm_vg *vg, struct pool_info *out)
{
	uint64_t one = (uint64_t)vg->extent_sectors * LVM_UNIT;

	*out = (struct pool_info){.read_only = vg->read_only,
				  .refused = vg->refused,
				  .extent_bytes = one,
				  .free = lvm_free_extents(vg) * one,
				  .seqno = vg->seqno,
				  .disks = vg->pv_count,
				  .stale = vg->stale};
	snprintf(out->name, sizeof(out->name), "%s", vg->name);
	snprintf(out->why, sizeof(out->why), "%s", vg->why);
	lvm_id_print(vg->id, out->id);
	for (uint32_t i = 0; i < vg->pv_count; i++)
		out->bytes += vg->pvs[i].pe_count * one;
	for (uint32_t i = 0; i < vg->lv_count; i++)
		out->volumes += vg->lvs[i].visible;
	if (is_ram(vg->name)) {
		out->refused = true;
		snprintf(out->why, sizeof(out->why),
			 "the name \"" POOL_RAM "\" is that of the pool in memory; vgrename it");
	}
}

bool pool_nth(unsigned n, struct pool_info *out)
{
	const struct lvm_pool *p = &groups_reading()->pool;

	if (n == 0) {
		rampool_info(out);
		return true;
	}
	if (n - 1 >= p->count)
		return false;
	describe_pool(p->vgs[n - 1], out);
	return true;
}

int pool_none(const char *name, struct ops_error *e)
{
	if (!pools_settled())
		return ops_fail(e, OPS_NOT_READY, NULL, "the drives are being read; try again");
	return ops_fail(e, OPS_NO_POOL, NULL, "there is no pool \"%s\"", name);
}

int pool_info(const char *name, struct pool_info *out, struct ops_error *e)
{
	const struct lvm_vg *vg;

	if (is_ram(name)) {
		rampool_info(out);
		return 0;
	}
	vg = groups_vg(name);
	if (!vg)
		return pool_none(name, e);
	describe_pool(vg, out);
	return 0;
}

bool pool_disk_nth(const char *pool, unsigned n, struct pool_disk_info *out)
{
	const struct lvm_vg *vg = is_ram(pool) ? NULL : groups_vg(pool);
	const struct blkdev *dev;
	const struct lvm_pv *pv;

	if (!vg || n >= vg->pv_count)
		return false;
	pv = &vg->pvs[n];
	dev = groups_dev(pv->disk);
	*out = (struct pool_disk_info){.missing = pv->missing || !dev || dev->gone};
	lvm_id_print(pv->id, out->id);
	out->bytes = (uint64_t)pv->pe_count * vg->extent_sectors * LVM_UNIT;
	if (dev)
		snprintf(out->name, sizeof(out->name), "%s", dev->name);
	return true;
}

static void describe_volume(const struct lvm_vg *vg, const struct lvm_lv *lv,
			    struct volume_info *out)
{
	*out = (struct volume_info){.writable = lv->writable && lv->supported && !vg->refused,
				    .bytes = lvm_lv_sectors(vg, lv) * LVM_UNIT,
				    .created_s = lv->created};
	snprintf(out->name, sizeof(out->name), "%s", lv->name);
	snprintf(out->kind, sizeof(out->kind), "%s", lv->type);
	snprintf(out->why, sizeof(out->why), "%s", vg->refused ? vg->why : lv->why);
	lvm_id_print(lv->id, out->id);
}

static void add_use(const char *pool, const char *id, struct volume_info *out)
{
	bool writer;

	out->users = volume_users(pool, out->name, &writer);
	volume_stats(pool, out->name, id, &out->stats);
}

bool pool_volume_next(const char *pool, unsigned *cursor, struct volume_info *out)
{
	const struct lvm_vg *vg;
	unsigned i = *cursor;

	if (is_ram(pool)) {
		if (!rampool_volume_next(cursor, out))
			return false;
		add_use(pool, out->id, out);
		return true;
	}
	vg = groups_vg(pool);
	while (vg && i < vg->lv_count && !vg->lvs[i].visible)
		i++;
	*cursor = i + 1;
	if (!vg || i >= vg->lv_count)
		return false;
	describe_volume(vg, &vg->lvs[i], out);
	add_use(pool, vg->lvs[i].id, out);
	return true;
}

static bool find_ram(const char *name, struct volume_info *out)
{
	unsigned cursor = 0;

	while (rampool_volume_next(&cursor, out))
		if (strcmp(out->name, name) == 0)
			return true;
	return false;
}

int volume_info(const char *pool, const char *name, struct volume_info *out, struct ops_error *e)
{
	const struct lvm_vg *vg = is_ram(pool) ? NULL : groups_vg(pool);
	const struct lvm_lv *lv = vg ? lvm_lv_find(vg, name) : NULL;

	if (!is_ram(pool) && !vg)
		return pool_none(pool, e);
	if (is_ram(pool) && find_ram(name, out)) {
		add_use(pool, out->id, out);
		return 0;
	}
	if (!lv)
		return ops_fail(e, OPS_NO_VOLUME, NULL, "pool %s has no volume \"%s\"", pool, name);
	describe_volume(vg, lv, out);
	add_use(pool, lv->id, out);
	return 0;
}
