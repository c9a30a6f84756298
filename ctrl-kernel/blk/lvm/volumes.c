/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads the volumes of a group: their fields and their segments. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/blk/lvm/vg_int.h"
#include "ctrl-kernel/blk/sort.h"

void lvm_lv_unsupported(struct lvm_lv *lv, const char *format, ...)
{
	va_list ap;

	if (lv->supported) {
		va_start(ap, format);
		vsnprintf(lv->why, sizeof(lv->why), format, ap);
		va_end(ap);
	}
	lv->supported = false;
}

/* ---- segments ---- */

static int add_area(struct lvm_vg *vg, uint32_t pv, uint32_t pe)
{
	void *more = lvm_grow(vg->areas, vg->area_count, &vg->area_room, sizeof(*vg->areas));

	if (!more)
		return -HVE_NOMEM;
	vg->areas = more;
	vg->areas[vg->area_count++] = (struct lvm_area){pv, pe};
	return 0;
}

/* stripes = ["pv0", 0, ...]: -> how many; 0: not all of them are extents of PVs. */
static uint32_t read_stripes(struct lvm_vg *vg, const struct lvm_segment *s)
{
	char name[LVM_NAME_SIZE];
	struct lvm_cursor c;
	struct lvm_item item;
	uint32_t n = 0;

	lvm_items(&vg->doc, lvm_doc_find(&vg->doc, s->node, "stripes"), &c);
	while (lvm_items_next(&c, &item)) {
		uint64_t pe;
		int pv = lvm_item_string(&item, name, sizeof(name)) ? lvm_pv_find(vg, name) : -1;

		if (pv < 0 || n == LVM_STRIPES_MAX || !lvm_items_next(&c, &item) ||
		    !lvm_item_u64(&item, &pe) || pe > UINT32_MAX ||
		    add_area(vg, (uint32_t)pv, (uint32_t)pe))
			return 0;
		n++;
	}
	return n;
}

/* A segment of extents on PVs; false: it is none that can be mapped, and `stripes` stays 0. */
static bool read_striped(struct lvm_vg *vg, struct lvm_segment *s)
{
	uint64_t stripes, size = 0;

	s->area = vg->area_count;
	if (!lvm_doc_u64(&vg->doc, s->node, "stripe_count", &stripes) || stripes == 0 ||
	    read_stripes(vg, s) != stripes || s->count % stripes)
		return false;
	if (stripes > 1 && (!lvm_doc_u64(&vg->doc, s->node, "stripe_size", &size) || size == 0 ||
			    size > vg->extent_sectors || vg->extent_sectors % size))
		return false;
	for (uint64_t i = 0; i < stripes; i++) {
		const struct lvm_area *a = &vg->areas[s->area + i];
		const struct lvm_pv *pv = &vg->pvs[a->pv];

		if (a->pe >= pv->pe_count || s->count / stripes > pv->pe_count - a->pe)
			return false;
	}
	s->stripes = (uint32_t)stripes;
	s->stripe_sectors = (uint32_t)size;
	return true;
}

static int read_segment(struct lvm_vg *vg, struct lvm_lv *lv, int32_t node, struct lvm_why *why)
{
	struct lvm_segment *s = &vg->segments[vg->segment_count];
	uint64_t start, count;
	char type[32];

	s->node = node;
	if (lvm_need(vg, node, "start_extent", UINT32_MAX, &start, why) ||
	    lvm_need(vg, node, "extent_count", UINT32_MAX, &count, why))
		return -HVE_INVAL;
	if (count == 0)
		return lvm_fail(why, HVE_INVAL, "volume %s has an empty segment", lv->name);
	s->start = (uint32_t)start;
	s->count = (uint32_t)count;
	if (!lvm_doc_string(&vg->doc, node, "type", type, sizeof(type)))
		snprintf(type, sizeof(type), "unknown");
	vg->segment_count++;
	lv->segments++;
	if (strcmp(type, "striped") != 0 && strcmp(type, "linear") != 0) {
		if (lv->supported)
			snprintf(lv->type, sizeof(lv->type), "%s", type);
		lvm_lv_unsupported(lv, "volume %s is of type %s, which is not supported", lv->name,
				   type);
	} else if (!read_striped(vg, s)) {
		lvm_lv_unsupported(lv, "volume %s has a segment that is not understood", lv->name);
	} else if (s->stripes > 1 && lv->supported) {
		snprintf(lv->type, sizeof(lv->type), "striped");
	}
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct lvm_segment *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static int read_segments(struct lvm_vg *vg, struct lvm_lv *lv, struct lvm_why *why)
{
	uint64_t end = 0, wanted;

	lv->segment = vg->segment_count;
	for (int32_t i = vg->doc.nodes[lv->node].child; i >= 0; i = vg->doc.nodes[i].next)
		if (lvm_is_section(vg, i, "segment") && read_segment(vg, lv, i, why))
			return -HVE_INVAL;
	if (lvm_need(vg, lv->node, "segment_count", LVM_SEGMENTS_MAX, &wanted, why))
		return -HVE_INVAL;
	if (lv->segments == 0 || lv->segments != wanted)
		return lvm_fail(why, HVE_INVAL, "volume %s has %u segments and says %u", lv->name,
				lv->segments, (unsigned)wanted);
	heap_sort(&vg->segments[lv->segment], lv->segments, sizeof(*vg->segments), by_start);
	for (uint32_t i = 0; i < lv->segments; i++) {
		const struct lvm_segment *s = &vg->segments[lv->segment + i];

		if (s->start != end)
			return lvm_fail(why, HVE_INVAL,
					"the segments of volume %s overlap or leave a gap",
					lv->name);
		end += s->count;
	}
	if (end > UINT32_MAX)
		return lvm_fail(why, HVE_INVAL, "volume %s is too large", lv->name);
	lv->extents = (uint32_t)end;
	return 0;
}

/* ---- volumes ---- */

static void read_lv_status(struct lvm_vg *vg, struct lvm_lv *lv)
{
	char word[64];

	for (unsigned i = 0; lvm_doc_word(&vg->doc, lv->node, "status", i, word, sizeof(word));
	     i++) {
		if (!strcmp(word, "VISIBLE"))
			lv->visible = true;
		else if (!strcmp(word, "WRITE"))
			lv->writable = true;
		else if (strcmp(word, "READ") != 0 && strcmp(word, "FIXED_MINOR") != 0)
			lvm_lv_unsupported(lv, "volume %s has status %s", lv->name, word);
	}
	if (!lv->visible)
		lvm_lv_unsupported(lv, "volume %s is a part of another volume", lv->name);
}

static int read_lv(struct lvm_vg *vg, struct lvm_lv *lv, int32_t node, struct lvm_why *why)
{
	char text[64];

	lv->node = node;
	lv->supported = true;
	snprintf(lv->type, sizeof(lv->type), "linear");
	if (lvm_key_name(vg, node, lv->name, why))
		return -HVE_INVAL;
	if (!lvm_doc_string(&vg->doc, node, "id", text, sizeof(text)) || !lvm_id_read(text, lv->id))
		return lvm_fail(why, HVE_INVAL, "volume %s has no id", lv->name);
	if (!lvm_doc_u64(&vg->doc, node, "creation_time", &lv->created))
		lv->created = 0;
	if (!lvm_doc_string(&vg->doc, node, "creation_host", lv->host, sizeof(lv->host)))
		lv->host[0] = '\0';
	if (read_segments(vg, lv, why))
		return -HVE_INVAL;
	read_lv_status(vg, lv);
	return 0;
}

static uint32_t count_segments(const struct lvm_vg *vg)
{
	uint32_t n = 0;

	for (int32_t i = vg->doc.nodes[vg->lv_node].child; i >= 0; i = vg->doc.nodes[i].next)
		n += lvm_count_sections(vg, i, "segment");
	return n;
}

int lvm_read_volumes(struct lvm_vg *vg, struct lvm_why *why)
{
	uint32_t lvs, segments;

	if (lvm_find_section(vg, "logical_volumes", &vg->lv_node, why))
		return -HVE_INVAL;
	lvs = lvm_count_sections(vg, vg->lv_node, "");
	if (lvs == 0)
		return 0;
	segments = count_segments(vg);
	if (lvs > LVM_LVS_MAX || segments > LVM_SEGMENTS_MAX)
		return lvm_fail(why, HVE_LIMIT, "volume group %s has too many volumes or segments",
				vg->name);
	vg->lvs = calloc(lvs, sizeof(*vg->lvs));
	vg->segments = calloc(segments + 1, sizeof(*vg->segments));
	if (!vg->lvs || !vg->segments)
		return lvm_fail(why, HVE_NOMEM, "no memory");
	for (int32_t i = vg->doc.nodes[vg->lv_node].child; i >= 0; i = vg->doc.nodes[i].next) {
		if (!lvm_is_section(vg, i, ""))
			continue;
		if (read_lv(vg, &vg->lvs[vg->lv_count], i, why))
			return -HVE_INVAL;
		vg->lv_count++;
	}
	return 0;
}
