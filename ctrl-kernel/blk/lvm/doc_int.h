/* SPDX-License-Identifier: BSD-2-Clause */
/* What doc.c and doc_edit.c share. */
#ifndef LVM_DOC_INT_H
#define LVM_DOC_INT_H

#include "ctrl-kernel/blk/lvm/doc.h"

struct lvm_bytes {
	struct lvm_bytes *next;
	char bytes[];
};

void lvm_bytes_free(struct lvm_bytes **list);
/* Room for one more member; the array may move. NULL: no memory, and it stays as it is. */
void *lvm_grow(void *array, uint32_t count, uint32_t *room, size_t size) MUST_CHECK;
/* A node at the end of parent's; key is borrowed. -> its number, or -HVE. */
int32_t lvm_node_add(struct lvm_doc *doc, int32_t parent, const char *key, size_t key_len);

#endif
