/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads a group from its text (vg.h). volumes.c reads its volumes, used.c what they use. */
#include "ctrl-kernel/blk/lvm/vg.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/blk/lvm/vg_int.h"

/* ---- shared ---- */

int lvm_need(const struct lvm_vg *vg, int32_t section, const char *key, uint64_t max, uint64_t *out,
	     struct lvm_why *why)
{
	const struct lvm_node *n = &vg->doc.nodes[section];

	if (lvm_doc_u64(&vg->doc, section, key, out) && *out <= max)
		return 0;
	return lvm_fail(why, HVE_INVAL, "'%.*s' has no %s, or a wrong one",
			n->key_len > 64 ? 64 : (int)n->key_len, n->key, key);
}

int lvm_key_name(const struct lvm_vg *vg, int32_t section, char out[LVM_NAME_SIZE],
		 struct lvm_why *why)
{
	const struct lvm_node *n = &vg->doc.nodes[section];
	char name[LVM_NAME_SIZE];

	if (n->key_len >= sizeof(name))
		return lvm_fail(why, HVE_INVAL, "a name in the metadata is too long");
	memcpy(name, n->key, n->key_len);
	name[n->key_len] = '\0';
	if (!lvm_name_ok(name))
		return lvm_fail(why, HVE_INVAL, "'%s' in the metadata is no name", name);
	memcpy(out, name, n->key_len + 1);
	return 0;
}

bool lvm_is_section(const struct lvm_vg *vg, int32_t node, const char *start)
{
	const struct lvm_node *n = &vg->doc.nodes[node];
	size_t len = strlen(start);

	return !n->raw && n->key_len >= len && memcmp(n->key, start, len) == 0;
}

uint32_t lvm_count_sections(const struct lvm_vg *vg, int32_t section, const char *start)
{
	uint32_t n = 0;

	if (section == LVM_NODE_NONE)
		return 0;
	for (int32_t i = vg->doc.nodes[section].child; i >= 0; i = vg->doc.nodes[i].next)
		n += lvm_is_section(vg, i, start);
	return n;
}

int lvm_find_section(const struct lvm_vg *vg, const char *key, int32_t *out, struct lvm_why *why)
{
	*out = lvm_doc_find(&vg->doc, vg->node, key);
	if (*out >= 0 && vg->doc.nodes[*out].raw)
		return lvm_fail(why, HVE_INVAL, "%s of volume group %s is no section", key,
				vg->name);
	return 0;
}

void lvm_vg_read_only(struct lvm_vg *vg, const char *format, ...)
{
	va_list ap;

	if (!vg->read_only) {
		va_start(ap, format);
		vsnprintf(vg->why, sizeof(vg->why), format, ap);
		va_end(ap);
	}
	vg->read_only = true;
}

void lvm_vg_refuse(struct lvm_vg *vg, const char *format, ...)
{
	va_list ap;

	if (!vg->refused) {
		va_start(ap, format);
		vsnprintf(vg->why, sizeof(vg->why), format, ap);
		va_end(ap);
	}
	vg->refused = true;
	vg->read_only = true;
}

/* ---- the group's own fields ---- */

static int find_group(struct lvm_vg *vg, struct lvm_why *why)
{
	char text[64];
	uint64_t version;

	if (!lvm_doc_string(&vg->doc, 0, "contents", text, sizeof(text)) ||
	    strcmp(text, "Text Format Volume Group") != 0 ||
	    !lvm_doc_u64(&vg->doc, 0, "version", &version) || version != 1)
		return lvm_fail(why, HVE_INVAL, "the metadata is no volume group of version 1");
	for (vg->node = vg->doc.nodes[0].child; vg->node >= 0 && vg->doc.nodes[vg->node].raw;)
		vg->node = vg->doc.nodes[vg->node].next;
	if (vg->node < 0 || lvm_count_sections(vg, 0, "") != 1)
		return lvm_fail(why, HVE_INVAL, "the metadata has not exactly one volume group");
	return lvm_key_name(vg, vg->node, vg->name, why);
}

static int read_id(struct lvm_vg *vg, int32_t section, char out[LVM_ID_SIZE], struct lvm_why *why)
{
	char text[64];

	if (lvm_doc_string(&vg->doc, section, "id", text, sizeof(text)) && lvm_id_read(text, out))
		return 0;
	return lvm_fail(why, HVE_INVAL, "a volume group or physical volume has no id");
}

static void read_status(struct lvm_vg *vg)
{
	static const char *const known[] = {"READ", "WRITE", "RESIZEABLE"};
	char word[64];
	bool write = false;

	for (unsigned i = 0; lvm_doc_word(&vg->doc, vg->node, "status", i, word, sizeof(word));
	     i++) {
		unsigned k = 0;

		while (k < ARRAY_SIZE(known) && strcmp(word, known[k]) != 0)
			k++;
		write |= k == 1;
		if (!strcmp(word, "EXPORTED"))
			lvm_vg_refuse(vg, "volume group %s is exported", vg->name);
		else if (k == ARRAY_SIZE(known))
			lvm_vg_read_only(vg, "volume group %s has status %s", vg->name, word);
	}
	if (!write)
		lvm_vg_read_only(vg, "volume group %s is read-only", vg->name);
}

/* Groups that belong to another host or to a lock manager are looked at only. */
static void read_owner(struct lvm_vg *vg)
{
	char word[LVM_NAME_SIZE];

	if (lvm_doc_find(&vg->doc, vg->node, "system_id") >= 0 &&
	    (!lvm_doc_string(&vg->doc, vg->node, "system_id", word, sizeof(word)) || *word))
		lvm_vg_refuse(vg, "volume group %s belongs to another system by its system_id",
			      vg->name);
	if (lvm_doc_find(&vg->doc, vg->node, "lock_type") >= 0 &&
	    (!lvm_doc_string(&vg->doc, vg->node, "lock_type", word, sizeof(word)) ||
	     strcmp(word, "none") != 0))
		lvm_vg_refuse(vg, "volume group %s is shared through a lock manager", vg->name);
}

static int read_group(struct lvm_vg *vg, struct lvm_why *why)
{
	char word[16];
	uint64_t size, max_lv = 0, max_pv = 0;

	if (lvm_doc_find(&vg->doc, vg->node, "format") >= 0 &&
	    (!lvm_doc_string(&vg->doc, vg->node, "format", word, sizeof(word)) ||
	     strcmp(word, "lvm2") != 0))
		return lvm_fail(why, HVE_INVAL, "volume group %s is not of format lvm2", vg->name);
	if (read_id(vg, vg->node, vg->id, why) ||
	    lvm_need(vg, vg->node, "seqno", UINT32_MAX / 2, &vg->seqno, why) ||
	    lvm_need(vg, vg->node, "extent_size", UINT32_MAX, &size, why))
		return -HVE_INVAL;
	if (size == 0)
		return lvm_fail(why, HVE_INVAL, "volume group %s has no extent size", vg->name);
	(void)lvm_doc_u64(&vg->doc, vg->node, "max_lv", &max_lv);
	(void)lvm_doc_u64(&vg->doc, vg->node, "max_pv", &max_pv);
	vg->extent_sectors = (uint32_t)size;
	vg->max_lv = max_lv > UINT32_MAX ? UINT32_MAX : (uint32_t)max_lv;
	vg->max_pv = max_pv > UINT32_MAX ? UINT32_MAX : (uint32_t)max_pv;
	read_status(vg);
	read_owner(vg);
	return 0;
}

/* ---- physical volumes ---- */

static int read_pv(struct lvm_vg *vg, int32_t node, struct lvm_pv *pv, struct lvm_why *why)
{
	char word[64];
	uint64_t count, end;

	pv->node = node;
	pv->disk = -1;
	if (lvm_key_name(vg, node, pv->name, why) || read_id(vg, node, pv->id, why) ||
	    lvm_need(vg, node, "pe_start", UINT64_MAX >> 10, &pv->pe_start, why) ||
	    lvm_need(vg, node, "pe_count", UINT32_MAX, &count, why))
		return -HVE_INVAL;
	pv->pe_count = (uint32_t)count;
	if (!lvm_doc_u64(&vg->doc, node, "dev_size", &pv->dev_sectors))
		pv->dev_sectors = 0;
	/* Neither product nor sum can overflow: 2^32 extents of 2^32 sectors are checked here. */
	if (__builtin_mul_overflow(count, (uint64_t)vg->extent_sectors, &end) ||
	    __builtin_add_overflow(end, pv->pe_start, &end) || end > UINT64_MAX >> 9)
		return lvm_fail(why, HVE_INVAL, "physical volume %s is too large", pv->name);
	for (unsigned i = 0; lvm_doc_word(&vg->doc, node, "status", i, word, sizeof(word)); i++) {
		if (!strcmp(word, "ALLOCATABLE"))
			pv->allocatable = true;
		else
			lvm_vg_read_only(vg, "physical volume %s of volume group %s has status %s",
					 pv->name, vg->name, word);
	}
	for (unsigned i = 0; lvm_doc_word(&vg->doc, node, "flags", i, word, sizeof(word)); i++)
		pv->missing |= !strcmp(word, "MISSING");
	return 0;
}

static int read_pvs(struct lvm_vg *vg, struct lvm_why *why)
{
	uint32_t count;

	if (lvm_find_section(vg, "physical_volumes", &vg->pv_node, why))
		return -HVE_INVAL;
	count = lvm_count_sections(vg, vg->pv_node, "");
	if (count == 0 || count > LVM_PVS_MAX)
		return lvm_fail(why, HVE_LIMIT, "volume group %s has %u physical volumes", vg->name,
				count);
	vg->pvs = calloc(count, sizeof(*vg->pvs));
	if (!vg->pvs)
		return lvm_fail(why, HVE_NOMEM, "no memory");
	for (int32_t i = vg->doc.nodes[vg->pv_node].child; i >= 0; i = vg->doc.nodes[i].next) {
		if (!lvm_is_section(vg, i, ""))
			continue;
		if (read_pv(vg, i, &vg->pvs[vg->pv_count], why))
			return -HVE_INVAL;
		for (uint32_t k = 0; k < vg->pv_count; k++)
			if (!strcmp(vg->pvs[k].id, vg->pvs[vg->pv_count].id))
				return lvm_fail(
					why, HVE_INVAL,
					"volume group %s has two physical volumes of one id",
					vg->name);
		vg->pv_count++;
	}
	return 0;
}

/* ---- all of it ---- */

int lvm_vg_parse(const char *text, size_t len, struct lvm_vg **out, struct lvm_why *why)
{
	struct lvm_vg *vg = calloc(1, sizeof(*vg));
	int r;

	if (!vg)
		return lvm_fail(why, HVE_NOMEM, "no memory");
	r = lvm_doc_parse(&vg->doc, text, len, why);
	if (r) {
		free(vg);
		return r;
	}
	r = find_group(vg, why);
	if (r == 0)
		r = read_group(vg, why);
	if (r == 0)
		r = read_pvs(vg, why);
	if (r == 0)
		r = lvm_read_volumes(vg, why);
	if (r == 0)
		r = lvm_read_used(vg, why);
	if (r) {
		lvm_vg_free(vg);
		return r;
	}
	*out = vg;
	return 0;
}

void lvm_vg_free(struct lvm_vg *vg)
{
	if (!vg)
		return;
	lvm_doc_free(&vg->doc);
	free(vg->pvs);
	free(vg->lvs);
	free(vg->segments);
	free(vg->areas);
	free(vg->used);
	free(vg);
}

int lvm_pv_find(const struct lvm_vg *vg, const char *name)
{
	for (uint32_t i = 0; i < vg->pv_count; i++)
		if (!strcmp(vg->pvs[i].name, name))
			return (int)i;
	return -1;
}

struct lvm_lv *lvm_lv_find(const struct lvm_vg *vg, const char *name)
{
	for (uint32_t i = 0; i < vg->lv_count; i++)
		if (!strcmp(vg->lvs[i].name, name))
			return &vg->lvs[i];
	return NULL;
}

static void settle_volume(struct lvm_vg *vg, struct lvm_lv *lv)
{
	for (uint32_t i = 0; i < lv->segments && lv->supported; i++) {
		const struct lvm_segment *s = &vg->segments[lv->segment + i];

		for (uint32_t k = 0; k < s->stripes; k++) {
			const struct lvm_pv *pv = &vg->pvs[vg->areas[s->area + k].pv];

			if (pv->disk < 0 || pv->missing)
				lvm_lv_unsupported(lv, "physical volume %s (%s) is missing",
						   pv->name, pv->id);
		}
	}
}

void lvm_vg_settle(struct lvm_vg *vg)
{
	for (uint32_t i = 0; i < vg->pv_count; i++)
		if (vg->pvs[i].missing || vg->pvs[i].disk < 0)
			lvm_vg_read_only(vg,
					 "physical volume %s (%s) of volume group %s is missing",
					 vg->pvs[i].name, vg->pvs[i].id, vg->name);
	for (uint32_t i = 0; i < vg->lv_count; i++)
		settle_volume(vg, &vg->lvs[i]);
}
