/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the sectors of a volume lie (vg.h). */
#include "ctrl-kernel/blk/lvm/vg.h"

uint64_t lvm_lv_sectors(const struct lvm_vg *vg, const struct lvm_lv *lv)
{
	return (uint64_t)lv->extents * vg->extent_sectors;
}

static const struct lvm_segment *segment_of(const struct lvm_vg *vg, const struct lvm_lv *lv,
					    uint64_t extent)
{
	uint32_t lo = 0, hi = lv->segments;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (vg->segments[lv->segment + mid].start <= extent)
			lo = mid;
		else
			hi = mid;
	}
	return &vg->segments[lv->segment + lo];
}

/* The piece that begins at lba, at most count long. */
static struct lvm_piece piece_at(const struct lvm_vg *vg, const struct lvm_segment *s, uint64_t lba,
				 uint64_t count)
{
	uint64_t in = lba - (uint64_t)s->start * vg->extent_sectors;
	uint64_t left = (uint64_t)s->count * vg->extent_sectors - in;
	uint32_t stripe = 0;
	const struct lvm_area *a;

	if (s->stripes > 1) {
		uint64_t chunk = in / s->stripe_sectors, off = in % s->stripe_sectors;

		stripe = (uint32_t)(chunk % s->stripes);
		in = chunk / s->stripes * s->stripe_sectors + off;
		left = s->stripe_sectors - off;
	}
	a = &vg->areas[s->area + stripe];
	return (struct lvm_piece){.pv = a->pv,
				  .lba = vg->pvs[a->pv].pe_start +
					 (uint64_t)a->pe * vg->extent_sectors + in,
				  .count = count < left ? count : left};
}

unsigned lvm_map(const struct lvm_vg *vg, const struct lvm_lv *lv, uint64_t lba, uint64_t count,
		 struct lvm_piece *out, unsigned max, uint64_t *mapped)
{
	uint64_t end = lvm_lv_sectors(vg, lv);
	unsigned n = 0;

	*mapped = 0;
	if (!lv->supported || lba >= end)
		return 0;
	if (count > end - lba)
		count = end - lba;
	while (n < max && *mapped < count) {
		uint64_t at = lba + *mapped;

		out[n] = piece_at(vg, segment_of(vg, lv, at / vg->extent_sectors), at,
				  count - *mapped);
		*mapped += out[n++].count;
	}
	return n;
}
