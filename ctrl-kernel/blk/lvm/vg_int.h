/* SPDX-License-Identifier: BSD-2-Clause */
/* What vg.c, volumes.c and used.c share while a group is read. */
#ifndef LVM_VG_INT_H
#define LVM_VG_INT_H

#include "ctrl-kernel/blk/lvm/doc_int.h"
#include "ctrl-kernel/blk/lvm/vg.h"

/* volumes.c: the section logical_volumes, after pvs[] is there. */
int lvm_read_volumes(struct lvm_vg *vg, struct lvm_why *why) MUST_CHECK;
void lvm_lv_unsupported(struct lvm_lv *lv, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* used.c: which extents are taken, and which volumes belong to others. */
int lvm_read_used(struct lvm_vg *vg, struct lvm_why *why) MUST_CHECK;
/* A field that must be there and be at most max. */
int lvm_need(const struct lvm_vg *vg, int32_t section, const char *key, uint64_t max, uint64_t *out,
	     struct lvm_why *why) MUST_CHECK;
/* A section of the group; LVM_NODE_NONE: absent. INVAL: a value has that name. */
int lvm_find_section(const struct lvm_vg *vg, const char *key, int32_t *out,
		     struct lvm_why *why) MUST_CHECK;
/* The key of a section as a name; INVAL when it is none. */
int lvm_key_name(const struct lvm_vg *vg, int32_t section, char out[LVM_NAME_SIZE],
		 struct lvm_why *why) MUST_CHECK;
/* How many sections are in that section whose keys begin so. */
uint32_t lvm_count_sections(const struct lvm_vg *vg, int32_t section, const char *start);
bool lvm_is_section(const struct lvm_vg *vg, int32_t node, const char *start);

#endif
