/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/blk/crc32.c
// SRC: ctrl-kernel/blk/lvm/change.c
// SRC: ctrl-kernel/blk/lvm/disk.c
// SRC: ctrl-kernel/blk/lvm/doc.c
// SRC: ctrl-kernel/blk/lvm/doc_edit.c
// SRC: ctrl-kernel/blk/lvm/gaps.c
// SRC: ctrl-kernel/blk/lvm/map.c
// SRC: ctrl-kernel/blk/lvm/names.c
// SRC: ctrl-kernel/blk/lvm/used.c
// SRC: ctrl-kernel/blk/lvm/vg.c
// SRC: ctrl-kernel/blk/lvm/volumes.c
// SRC: ctrl-kernel/blk/sort.c
/*
 * Any text as a volume group. One that is taken says the same after it was written and read again, maps its volumes into its
 * PVs, and can be changed without what is not supported losing a byte.
 */
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/blk/lvm/change.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_map(const struct lvm_vg *vg)
{
	for (uint32_t i = 0; i < vg->lv_count; i++) {
		const struct lvm_lv *lv = &vg->lvs[i];
		const uint64_t end = lvm_lv_sectors(vg, lv), places[] = {0, end / 2, end - 1};

		for (unsigned k = 0; lv->supported && k < 3; k++) {
			struct lvm_piece p[3];
			uint64_t mapped;
			unsigned n = lvm_map(vg, lv, places[k], 1000, p, 3, &mapped);

			for (unsigned j = 0; j < n; j++) {
				const struct lvm_pv *pv = &vg->pvs[p[j].pv];

				if (p[j].lba < pv->pe_start ||
				    p[j].lba + p[j].count >
					    pv->pe_start +
						    (uint64_t)pv->pe_count * vg->extent_sectors)
					abort();
			}
		}
	}
}

static void check_written(const struct lvm_vg *vg)
{
	size_t len, again_len;
	char *text = lvm_doc_write(&vg->doc, &len), *again;
	struct lvm_vg *copy;

	if (!text)
		return;
	if (lvm_vg_parse(text, len, &copy, NULL))
		abort();
	again = lvm_doc_write(&copy->doc, &again_len);
	if (!again || again_len != len || memcmp(text, again, len) != 0)
		abort();
	if (copy->lv_count != vg->lv_count || copy->used_count != vg->used_count)
		abort();
	lvm_vg_free(copy);
	free(text);
	free(again);
}

static void change(const struct lvm_vg *vg)
{
	const struct lvm_request r = {.vg = vg, .stamp = {.host = "h"}};
	struct lvm_vg *next = NULL;
	struct lvm_why why;

	if (lvm_lv_create(&r, "fuzz", 2, &next, &why) == 0) {
		check_map(next);
		if (lvm_free_extents(next) + 2 != lvm_free_extents(vg) || next->refused)
			abort();
		lvm_vg_free(next);
	}
	for (uint32_t i = 0; i < vg->lv_count && i < 3; i++) {
		uint32_t wanted = vg->lvs[i].extents + 3;

		if (wanted > 3 && lvm_lv_resize(&r, vg->lvs[i].name, wanted, &next, &why) == 0) {
			check_map(next);
			if (lvm_lv_find(next, vg->lvs[i].name)->extents != wanted)
				abort();
			lvm_vg_free(next);
		}
		if (lvm_lv_delete(&r, vg->lvs[i].name, &next, &why) == 0)
			lvm_vg_free(next);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lvm_vg *vg;
	struct lvm_why why = {""};
	char *text = malloc(size ? size : 1); /* exactly: ASan sees every overrun */

	memcpy(text, data, size);
	if (lvm_vg_parse(text, size, &vg, &why)) {
		if (why.text[0] == '\0')
			abort(); /* refused without a word */
	} else {
		check_written(vg);
		for (uint32_t i = 0; i < vg->pv_count; i++)
			vg->pvs[i].disk = (int)i;
		lvm_vg_settle(vg);
		check_map(vg);
		change(vg);
		lvm_vg_free(vg);
	}
	free(text);
	return 0;
}
