/* SPDX-License-Identifier: BSD-2-Clause */
/* Extents that no volume has (change.h). */
#include "ctrl-kernel/blk/lvm/change.h"

/* The end of what is used from `pe` on without a gap, or that is no use. */
static uint32_t skip_used(const struct lvm_vg *vg, struct lvm_gap *g, uint32_t pe)
{
	for (; g->next < vg->used_count; g->next++) {
		const struct lvm_used *u = &vg->used[g->next];
		uint32_t end = u->pe + u->count;

		if (u->pv > g->pv || (u->pv == g->pv && u->pe > pe))
			break;
		if (u->pv == g->pv && end > pe)
			pe = end;
	}
	return pe;
}

bool lvm_gap_next(const struct lvm_vg *vg, struct lvm_gap *g)
{
	uint32_t pe = g->pe + g->count;

	for (; g->pv < vg->pv_count; g->pv++, pe = 0) {
		const struct lvm_pv *pv = &vg->pvs[g->pv];
		uint32_t end = pv->pe_count;

		if (!pv->allocatable || pv->missing)
			continue;
		pe = skip_used(vg, g, pe);
		if (pe >= end)
			continue;
		if (g->next < vg->used_count && vg->used[g->next].pv == g->pv)
			end = vg->used[g->next].pe;
		g->pe = pe;
		g->count = end - pe;
		return true;
	}
	return false;
}

uint64_t lvm_free_extents(const struct lvm_vg *vg)
{
	struct lvm_gap g = {0};
	uint64_t n = 0;

	while (lvm_gap_next(vg, &g))
		n += g.count;
	return n;
}
