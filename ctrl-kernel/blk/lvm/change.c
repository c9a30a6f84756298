/* SPDX-License-Identifier: BSD-2-Clause */
/* Changes of a group, made in a copy of its tree (change.h). */
#include "ctrl-kernel/blk/lvm/change.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct change {
	const struct lvm_vg *vg; /* as it was; NULL for a new one */
	struct lvm_doc doc;      /* to become the next; nodes have the numbers they had */
	const struct lvm_stamp *stamp;
	struct lvm_why *why;
	int failed; /* the first thing that went wrong with doc, for the puts below; 0: none */
};

/* ---- the tree, remembering what went wrong ---- */

static void note(struct change *c, int r)
{
	if (c->failed == 0 && r < 0)
		c->failed = r;
}

#define PUT(c, section, key, ...)                                                                  \
	do {                                                                                       \
		if ((c)->failed == 0)                                                              \
			note(c, lvm_doc_put(&(c)->doc, section, key, __VA_ARGS__));                \
	} while (0)

static void put_string(struct change *c, int32_t section, const char *key, const char *s)
{
	if (c->failed == 0)
		note(c, lvm_doc_put_string(&c->doc, section, key, s));
}

static void put_id(struct change *c, int32_t section, const char id[LVM_ID_SIZE])
{
	char text[40];

	lvm_id_print(id, text);
	put_string(c, section, "id", text);
}

/* A node that later puts may use whatever became of it. */
static int32_t add_section(struct change *c, int32_t section, const char *key)
{
	int32_t node = c->failed ? 0 : lvm_doc_add(&c->doc, section, key);

	note(c, node);
	return node < 0 ? 0 : node;
}

/* ---- begin and end ---- */

static int find_volume(const struct change *c, const char *name, const struct lvm_lv **lv)
{
	*lv = lvm_lv_find(c->vg, name);
	if (!*lv)
		return lvm_fail(c->why, HVE_NOENT, "there is no volume %.127s", name);
	if (!(*lv)->supported)
		return lvm_fail(c->why, HVE_STATE, "%s", (*lv)->why);
	return 0;
}

/* name: of the volume that is changed, into *lv; NULL: none is. On failure there is nothing to end. */
static int change_begin(struct change *c, const struct lvm_request *r, const char *name,
			const struct lvm_lv **lv, struct lvm_why *why)
{
	*c = (struct change){.vg = r->vg, .stamp = &r->stamp, .why = why};
	if (r->vg->read_only)
		return lvm_fail(why, HVE_STATE, "%s", r->vg->why);
	if (name) {
		int r_find = find_volume(c, name, lv);

		if (r_find)
			return r_find;
	}
	if (lvm_doc_copy(&c->doc, &r->vg->doc))
		return lvm_fail(why, HVE_NOMEM, "no memory");
	return 0;
}

static void put_origin(struct change *c, const char *description)
{
	put_string(c, 0, "contents", "Text Format Volume Group");
	PUT(c, 0, "version", "1");
	put_string(c, 0, "description", description);
	put_string(c, 0, "creation_host", c->stamp->host);
	PUT(c, 0, "creation_time", "%llu", (unsigned long long)c->stamp->time);
}

/* PVs are on the disks they were on; a new one says its own. */
static void keep_disks(struct lvm_vg *next, const struct lvm_vg *old)
{
	for (uint32_t i = 0; old && i < old->pv_count; i++)
		for (uint32_t k = 0; k < next->pv_count; k++)
			if (!strcmp(next->pvs[k].id, old->pvs[i].id))
				next->pvs[k].disk = old->pvs[i].disk;
}

/* The tree becomes a group; r is what went wrong before. Frees the tree. */
static int change_end(struct change *c, int r, struct lvm_vg **next)
{
	char *text = NULL;
	size_t len;

	if (r == 0 && c->failed)
		r = lvm_fail(c->why, -c->failed, "the metadata cannot take this change");
	if (r == 0) {
		text = lvm_doc_write(&c->doc, &len);
		if (!text)
			r = lvm_fail(c->why, HVE_LIMIT, "the metadata becomes too long");
		else
			r = lvm_vg_parse(text, len, next, c->why);
	}
	if (r == 0)
		keep_disks(*next, c->vg);
	free(text);
	lvm_doc_free(&c->doc);
	return r;
}

static int commit_tree(struct change *c, const char *description, int r, struct lvm_vg **next)
{
	PUT(c, c->vg->node, "seqno", "%llu", (unsigned long long)c->vg->seqno + 1);
	put_origin(c, description);
	r = change_end(c, r, next);
	if (r == 0)
		lvm_vg_settle(*next);
	return r;
}

/* ---- names ---- */

static int check_new_name(const struct change *c, const char *name)
{
	const char *reserved = lvm_name_ok(name) ? lvm_name_reserved(name) : NULL;

	if (!lvm_name_ok(name))
		return lvm_fail(
			c->why, HVE_INVAL,
			"a volume's name has 1 to 127 characters out of A-Z a-z 0-9 . _ + - and "
			"does not begin with -");
	if (reserved)
		return lvm_fail(c->why, HVE_INVAL, "LVM2 keeps names with '%s' for itself",
				reserved);
	if (lvm_lv_find(c->vg, name))
		return lvm_fail(c->why, HVE_EXIST, "volume %s exists", name);
	return 0;
}

/* ---- segments ---- */

struct grow {
	struct change *c;
	int32_t lv;      /* node */
	uint32_t at;     /* extent of the volume */
	uint32_t left;   /* extents wanted */
	uint32_t number; /* of the last segment */
};

static void add_segment(struct grow *g, uint32_t pv, uint32_t pe, uint32_t count)
{
	struct change *c = g->c;
	char key[32];
	int32_t s;

	/* A name that no segment has, whatever they are called. */
	do
		snprintf(key, sizeof(key), "segment%u", ++g->number);
	while (lvm_doc_find(&c->doc, g->lv, key) >= 0);
	s = add_section(c, g->lv, key);
	PUT(c, s, "start_extent", "%u", g->at);
	PUT(c, s, "extent_count", "%u", count);
	put_string(c, s, "type", "striped");
	PUT(c, s, "stripe_count", "1");
	PUT(c, s, "stripes", "[\"%s\", %u]", c->vg->pvs[pv].name, pe);
	g->at += count;
	g->left -= count;
}

/* The last segment grows where it is, if it is linear and the next extents are free. */
static void grow_last(struct grow *g, const struct lvm_lv *lv)
{
	const struct lvm_vg *vg = g->c->vg;
	const struct lvm_segment *s = &vg->segments[lv->segment + lv->segments - 1];
	const struct lvm_area *a = &vg->areas[s->area];
	struct lvm_gap gap = {0};

	if (s->stripes != 1)
		return;
	while (lvm_gap_next(vg, &gap)) {
		uint32_t n = gap.count < g->left ? gap.count : g->left;

		if (gap.pv != a->pv || gap.pe != a->pe + s->count)
			continue;
		PUT(g->c, s->node, "extent_count", "%u", s->count + n);
		g->at += n;
		g->left -= n;
		return;
	}
}

/* skip: extents behind *after are taken already by grow_last(). */
static void grow_anywhere(struct grow *g, uint32_t after_pv, uint32_t after_pe, uint32_t skip)
{
	struct lvm_gap gap = {0};

	while (g->left && g->c->failed == 0 && lvm_gap_next(g->c->vg, &gap)) {
		uint32_t taken = gap.pv == after_pv && gap.pe == after_pe ? skip : 0;
		uint32_t n = gap.count - taken;

		if (n > g->left)
			n = g->left;
		if (n)
			add_segment(g, gap.pv, gap.pe + taken, n);
	}
}

static int no_room(const struct change *c, uint64_t wanted)
{
	return lvm_fail(c->why, HVE_LIMIT, "%llu extents are wanted and %llu are free in %s",
			(unsigned long long)wanted, (unsigned long long)lvm_free_extents(c->vg),
			c->vg->name);
}

static uint32_t count_segments(const struct lvm_doc *doc, int32_t lv)
{
	uint32_t n = 0;

	for (int32_t i = doc->nodes[lv].child; i >= 0; i = doc->nodes[i].next)
		n += !doc->nodes[i].raw && doc->nodes[i].key_len >= 7 &&
		     !memcmp(doc->nodes[i].key, "segment", 7);
	return n;
}

/* ---- volumes ---- */

static int32_t add_volume(struct change *c, const char *name)
{
	char id[LVM_ID_SIZE];
	int32_t lvs = c->vg->lv_node, lv;

	if (lvs < 0)
		lvs = add_section(c, c->vg->node, "logical_volumes");
	lv = add_section(c, lvs, name);
	lvm_id_make(c->stamp->random, id);
	put_id(c, lv, id);
	PUT(c, lv, "status", "[\"READ\", \"WRITE\", \"VISIBLE\"]");
	PUT(c, lv, "flags", "[]");
	PUT(c, lv, "creation_time", "%llu", (unsigned long long)c->stamp->time);
	put_string(c, lv, "creation_host", c->stamp->host);
	return lv;
}

static uint32_t count_visible(const struct lvm_vg *vg)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < vg->lv_count; i++)
		n += vg->lvs[i].visible;
	return n;
}

static int create_volume(struct change *c, const char *name, uint32_t extents)
{
	struct grow g = {.c = c, .left = extents};

	if (extents == 0)
		return lvm_fail(c->why, HVE_INVAL, "a volume has at least one extent");
	if (c->vg->lv_count >= LVM_LVS_MAX ||
	    (c->vg->max_lv && count_visible(c->vg) >= c->vg->max_lv))
		return lvm_fail(c->why, HVE_LIMIT, "volume group %s takes no more volumes",
				c->vg->name);
	if (lvm_free_extents(c->vg) < extents)
		return no_room(c, extents);
	g.lv = add_volume(c, name);
	PUT(c, g.lv, "segment_count", "0");
	grow_anywhere(&g, UINT32_MAX, 0, 0);
	PUT(c, g.lv, "segment_count", "%u", count_segments(&c->doc, g.lv));
	return 0;
}

int lvm_lv_create(const struct lvm_request *r, const char *name, uint32_t extents,
		  struct lvm_vg **next, struct lvm_why *why)
{
	struct change c;
	int rc = change_begin(&c, r, NULL, NULL, why);

	if (rc)
		return rc;
	rc = check_new_name(&c, name);
	if (rc == 0)
		rc = create_volume(&c, name, extents);
	return commit_tree(&c, "volume created", rc, next);
}

static int grow_volume(struct change *c, const struct lvm_lv *lv, uint32_t extents)
{
	const struct lvm_segment *last = &c->vg->segments[lv->segment + lv->segments - 1];
	const struct lvm_area *a = &c->vg->areas[last->area];
	struct grow g = {.c = c,
			 .lv = lv->node,
			 .at = lv->extents,
			 .left = extents - lv->extents,
			 .number = lv->segments};

	if (lvm_free_extents(c->vg) < g.left)
		return no_room(c, g.left);
	grow_last(&g, lv);
	grow_anywhere(&g, a->pv, a->pe + last->count, g.at - lv->extents);
	return 0;
}

static int shrink_volume(struct change *c, const struct lvm_lv *lv, uint32_t extents)
{
	for (uint32_t i = lv->segments; i-- > 0;) {
		const struct lvm_segment *s = &c->vg->segments[lv->segment + i];
		uint32_t keep = extents > s->start ? extents - s->start : 0;

		if (keep == 0) {
			lvm_doc_remove(&c->doc, s->node);
			continue;
		}
		if (keep < s->count && keep % s->stripes)
			return lvm_fail(
				c->why, HVE_INVAL,
				"volume %s is striped there: its size must be a multiple of "
				"%u extents",
				lv->name, s->stripes);
		if (keep < s->count)
			PUT(c, s->node, "extent_count", "%u", keep);
		break;
	}
	return 0;
}

int lvm_lv_resize(const struct lvm_request *r, const char *name, uint32_t extents,
		  struct lvm_vg **next, struct lvm_why *why)
{
	const struct lvm_lv *lv;
	struct change c;
	int rc = change_begin(&c, r, name, &lv, why);

	if (rc)
		return rc;
	if (extents == 0 || extents == lv->extents)
		rc = lvm_fail(why, HVE_INVAL, "volume %s cannot be resized to %u extents", name,
			      extents);
	if (rc == 0)
		rc = extents > lv->extents ? grow_volume(&c, lv, extents)
					   : shrink_volume(&c, lv, extents);
	if (rc == 0)
		PUT(&c, lv->node, "segment_count", "%u", count_segments(&c.doc, lv->node));
	return commit_tree(&c, "volume resized", rc, next);
}

int lvm_lv_rename(const struct lvm_request *r, const char *name, const char *to,
		  struct lvm_vg **next, struct lvm_why *why)
{
	const struct lvm_lv *lv;
	struct change c;
	int rc = change_begin(&c, r, name, &lv, why);

	if (rc)
		return rc;
	rc = check_new_name(&c, to);
	if (rc == 0)
		note(&c, lvm_doc_rename(&c.doc, lv->node, to));
	return commit_tree(&c, "volume renamed", rc, next);
}

int lvm_lv_delete(const struct lvm_request *r, const char *name, struct lvm_vg **next,
		  struct lvm_why *why)
{
	const struct lvm_lv *lv;
	struct change c;
	int rc = change_begin(&c, r, name, &lv, why);

	if (rc)
		return rc;
	lvm_doc_remove(&c.doc, lv->node);
	return commit_tree(&c, "volume deleted", 0, next);
}

/* ---- groups ---- */

static void add_pv(struct change *c, int32_t pvs, uint32_t extent_sectors, const struct lvm_disk *d)
{
	char name[32];
	uint32_t number = 0;
	int32_t pv;

	do
		snprintf(name, sizeof(name), "pv%u", number++);
	while (lvm_doc_find(&c->doc, pvs, name) >= 0);
	pv = add_section(c, pvs, name);
	put_id(c, pv, d->id);
	put_string(c, pv, "device", d->name); /* a hint for people */
	PUT(c, pv, "status", "[\"ALLOCATABLE\"]");
	PUT(c, pv, "flags", "[]");
	PUT(c, pv, "dev_size", "%llu", (unsigned long long)(d->pv_bytes / LVM_UNIT));
	PUT(c, pv, "pe_start", "%llu", (unsigned long long)(d->data / LVM_UNIT));
	PUT(c, pv, "pe_count", "%u", lvm_disk_extents(d, extent_sectors));
}

/* The new PV on that disk. */
static void set_disk(struct lvm_vg *vg, const struct lvm_disk *d, unsigned number)
{
	for (uint32_t i = 0; i < vg->pv_count; i++)
		if (!strcmp(vg->pvs[i].id, d->id))
			vg->pvs[i].disk = (int)number;
}

static int check_disk(const struct lvm_disk *d, uint32_t extent_sectors, struct lvm_why *why)
{
	if (!d->fresh)
		return lvm_fail(why, HVE_STATE, "%s is not a new physical volume", d->name);
	if (lvm_disk_extents(d, extent_sectors) == 0)
		return lvm_fail(why, HVE_LIMIT, "%s is smaller than an extent", d->name);
	return 0;
}

int lvm_vg_extend(const struct lvm_request *r, const struct lvm_disk *d, unsigned disk,
		  struct lvm_vg **next, struct lvm_why *why)
{
	struct change c;
	int rc = change_begin(&c, r, NULL, NULL, why);

	if (rc)
		return rc;
	rc = check_disk(d, r->vg->extent_sectors, why);
	if (rc == 0 &&
	    (r->vg->pv_count >= LVM_PVS_MAX || (r->vg->max_pv && r->vg->pv_count >= r->vg->max_pv)))
		rc = lvm_fail(why, HVE_LIMIT, "volume group %s takes no more disks", r->vg->name);
	if (rc == 0)
		add_pv(&c, r->vg->pv_node, r->vg->extent_sectors, d);
	PUT(&c, r->vg->node, "seqno", "%llu", (unsigned long long)r->vg->seqno + 1);
	put_origin(&c, "volume group extended");
	rc = change_end(&c, rc, next);
	if (rc)
		return rc;
	set_disk(*next, d, disk);
	lvm_vg_settle(*next);
	return 0;
}

static void put_group(struct change *c, const char *name, uint32_t extent_sectors,
		      struct lvm_disk *const disks[], const unsigned *which, unsigned count)
{
	char id[LVM_ID_SIZE];
	int32_t vg = add_section(c, 0, name), pvs;

	lvm_id_make(c->stamp->random, id);
	put_id(c, vg, id);
	PUT(c, vg, "seqno", "1");
	put_string(c, vg, "format", "lvm2");
	PUT(c, vg, "status", "[\"RESIZEABLE\", \"READ\", \"WRITE\"]");
	PUT(c, vg, "flags", "[]");
	PUT(c, vg, "extent_size", "%u", extent_sectors);
	PUT(c, vg, "max_lv", "0");
	PUT(c, vg, "max_pv", "0");
	PUT(c, vg, "metadata_copies", "0");
	pvs = add_section(c, vg, "physical_volumes");
	for (unsigned i = 0; i < count; i++)
		add_pv(c, pvs, extent_sectors, disks[which[i]]);
	put_origin(c, "volume group created");
}

int lvm_vg_create(const char *name, uint32_t extent_sectors, struct lvm_disk *const disks[],
		  const unsigned *which, unsigned count, const struct lvm_stamp *stamp,
		  struct lvm_vg **next, struct lvm_why *why)
{
	struct change c = {.stamp = stamp, .why = why};
	int r = 0;

	if (!lvm_name_ok(name))
		return lvm_fail(
			why, HVE_INVAL,
			"a volume group's name has 1 to 127 characters out of A-Z a-z 0-9 . _ "
			"+ - and does not begin with -");
	if (extent_sectors < 8 || (extent_sectors & (extent_sectors - 1)))
		return lvm_fail(why, HVE_INVAL, "an extent is a power of two from 4 KiB on");
	if (count == 0 || count > LVM_PVS_MAX)
		return lvm_fail(why, HVE_LIMIT, "a volume group has 1 to %u disks", LVM_PVS_MAX);
	for (unsigned i = 0; i < count && r == 0; i++)
		r = check_disk(disks[which[i]], extent_sectors, why);
	if (r)
		return r;
	if (lvm_doc_new(&c.doc))
		return lvm_fail(why, HVE_NOMEM, "no memory");
	put_group(&c, name, extent_sectors, disks, which, count);
	r = change_end(&c, 0, next);
	if (r)
		return r;
	for (unsigned i = 0; i < count; i++)
		set_disk(*next, disks[which[i]], which[i]);
	lvm_vg_settle(*next);
	return 0;
}
