/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which extents are taken, by volumes of any kind, and which volumes belong to others. A kind that is not known still says
 * where it lies by naming PVs and extents, or by naming other volumes, in some array of its segments: ("pv0", 1000). What
 * is named so is kept from others, and a PV named in a way that is not understood gets no new extents at all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/blk/lvm/vg_int.h"
#include "ctrl-kernel/blk/sort.h"

static int add_used(struct lvm_vg *vg, struct lvm_used u)
{
	void *more = lvm_grow(vg->used, vg->used_count, &vg->used_room, sizeof(*vg->used));

	if (!more)
		return -HVE_NOMEM;
	vg->used = more;
	vg->used[vg->used_count++] = u;
	return 0;
}

static int add_supported(struct lvm_vg *vg, const struct lvm_segment *s)
{
	for (uint32_t i = 0; i < s->stripes; i++) {
		const struct lvm_area *a = &vg->areas[s->area + i];

		if (add_used(vg, (struct lvm_used){a->pv, a->pe, s->count / s->stripes, true}))
			return -HVE_NOMEM;
	}
	return 0;
}

/* ---- names in segments ---- */

struct index { /* volumes by name */
	const char *name;
	uint32_t lv;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct index *)a)->name, ((const struct index *)b)->name);
}

struct refs {
	struct lvm_vg *vg;
	struct index *names;
	const struct lvm_segment *s; /* that is looked at, of volume lv */
	uint32_t lv;
};

static void name_volume(struct refs *r, const char *name)
{
	struct index key = {.name = name};
	const struct index *hit;

	hit = bsearch(&key, r->names, r->vg->lv_count, sizeof(*r->names), by_name);
	if (hit && hit->lv != r->lv)
		lvm_lv_unsupported(&r->vg->lvs[hit->lv], "volume %s is used by volume %s", name,
				   r->vg->lvs[r->lv].name);
}

/*
 * A snapshot is two volumes in the text: the space for changes, which has the name that people gave, and a hidden one
 * that joins it to its origin.
 */
static void name_snapshot(struct refs *r, int32_t node)
{
	struct lvm_vg *vg = r->vg;
	struct lvm_lv *joint = &vg->lvs[r->lv], *lv;
	char name[LVM_NAME_SIZE];
	struct lvm_cursor c;
	struct lvm_item item;

	lvm_items(&vg->doc, node, &c);
	if (!lvm_items_next(&c, &item) || !lvm_item_string(&item, name, sizeof(name)))
		return;
	lv = lvm_lv_find(vg, name);
	if (!lv || lv == joint)
		return;
	joint->visible = false;
	lv->visible = true;
	lv->supported = true; /* for another reason: this one */
	snprintf(lv->type, sizeof(lv->type), "snapshot");
	lvm_lv_unsupported(lv, "volume %s is of type snapshot, which is not supported", name);
}

/* A PV in a segment that is not supported, with the item behind it, if there is one. */
static int name_pv(struct refs *r, int pv, const struct lvm_item *behind)
{
	struct lvm_pv *p = &r->vg->pvs[pv];
	uint64_t pe;
	uint32_t count;

	if (!behind || !lvm_item_u64(behind, &pe)) {
		p->allocatable = false;
		return 0;
	}
	if (pe >= p->pe_count)
		return 0;
	count = p->pe_count - (uint32_t)pe;
	if (count > r->s->count)
		count = r->s->count;
	return add_used(r->vg, (struct lvm_used){(uint32_t)pv, (uint32_t)pe, count, false});
}

static int name_all(struct refs *r, int32_t node)
{
	struct lvm_cursor c, ahead;
	struct lvm_item item, behind;
	char name[LVM_NAME_SIZE];
	int rc = 0;

	lvm_items(&r->vg->doc, node, &c);
	while (rc == 0 && lvm_items_next(&c, &item)) {
		bool more;
		int pv;

		if (!lvm_item_string(&item, name, sizeof(name)))
			continue;
		ahead = c;
		more = lvm_items_next(&ahead, &behind);
		pv = lvm_pv_find(r->vg, name);
		/* Before a number LVM2 takes a name for a PV's first. */
		if (pv < 0 || !more || behind.string)
			name_volume(r, name);
		if (pv >= 0 && r->s->stripes == 0)
			rc = name_pv(r, pv, more ? &behind : NULL);
	}
	return rc;
}

static bool is_key(const struct lvm_node *n, const char *key)
{
	return n->key_len == strlen(key) && memcmp(n->key, key, n->key_len) == 0;
}

static int read_segment(struct refs *r)
{
	const struct lvm_doc *doc = &r->vg->doc;
	int rc = add_supported(r->vg, r->s);

	for (int32_t i = lvm_doc_walk(doc, r->s->node, r->s->node); i >= 0 && rc == 0;
	     i = lvm_doc_walk(doc, r->s->node, i)) {
		const struct lvm_node *n = &doc->nodes[i];

		if (n->raw && !is_key(n, "type") && !is_key(n, "tags"))
			rc = name_all(r, i);
		if (n->raw && is_key(n, "cow_store"))
			name_snapshot(r, i);
	}
	return rc;
}

static int read_all(struct refs *r)
{
	struct lvm_vg *vg = r->vg;
	int rc = 0;

	for (uint32_t i = 0; i < vg->lv_count; i++)
		r->names[i] = (struct index){vg->lvs[i].name, i};
	heap_sort(r->names, vg->lv_count, sizeof(*r->names), by_name);
	for (r->lv = 0; r->lv < vg->lv_count; r->lv++) {
		const struct lvm_lv *lv = &vg->lvs[r->lv];

		for (uint32_t k = 0; k < lv->segments && rc == 0; k++) {
			r->s = &vg->segments[lv->segment + k];
			rc = read_segment(r);
		}
	}
	return rc;
}

/* ---- in order, and once each ---- */

static int by_place(const void *a, const void *b)
{
	const struct lvm_used *x = a, *y = b;

	if (x->pv != y->pv)
		return x->pv < y->pv ? -1 : 1;
	return x->pe < y->pe ? -1 : x->pe > y->pe;
}

static void check_overlap(struct lvm_vg *vg)
{
	const struct lvm_used *last = NULL; /* the exact one that reaches furthest */

	for (uint32_t i = 0; i < vg->used_count; i++) {
		const struct lvm_used *u = &vg->used[i];

		if (!u->exact)
			continue;
		if (last && last->pv == u->pv && (uint64_t)last->pe + last->count > u->pe)
			lvm_vg_refuse(vg, "extent %u of physical volume %s belongs to two volumes",
				      u->pe, vg->pvs[u->pv].name);
		last = u;
	}
}

int lvm_read_used(struct lvm_vg *vg, struct lvm_why *why)
{
	struct refs r = {.vg = vg};
	int rc;

	if (vg->lv_count == 0)
		return 0;
	r.names = malloc(vg->lv_count * sizeof(*r.names));
	if (!r.names)
		return lvm_fail(why, HVE_NOMEM, "no memory");
	rc = read_all(&r);
	free(r.names);
	if (rc)
		return lvm_fail(why, HVE_NOMEM, "no memory");
	if (vg->used_count)
		heap_sort(vg->used, vg->used_count, sizeof(*vg->used), by_place);
	check_overlap(vg);
	return 0;
}
