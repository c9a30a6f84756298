/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LVM2's text metadata as a tree of sections and values. Values keep the bytes they were written with, so that writing a
 * tree gives back everything that was read, whether it is understood here or not; only comments and layout are lost.
 *
 *   text    = { entry }        entry = key "{" { entry } "}"  |  key "=" value
 *   value   = item | "[" [ item { "," item } ] "]"            item = "string" | 'string' | number or word
 *
 * One thread; no function here does I/O or recurses. Depth, entries and length are bounded: the text comes from a disk.
 */
#ifndef LVM_DOC_H
#define LVM_DOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ctrl-kernel/rt/rt.h"

#define LVM_TEXT_MAX (2u << 20) /* bytes */
#define LVM_DEPTH_MAX 8u
#define LVM_NODES_MAX (1u << 17)
#define LVM_NODE_NONE (-1)

struct lvm_why { /* a sentence for people */
	char text[192];
};

struct lvm_node {
	const char *key; /* [borrows] from the text or from a piece */
	const char *raw; /* the value as written, arrays with their brackets; NULL: a section */
	uint32_t key_len, raw_len;
	int32_t parent, next, child, last; /* LVM_NODE_NONE: none */
};

struct lvm_doc {
	char *text;              /* [owns]; NULL when it belongs to the tree this is a copy of */
	struct lvm_node *nodes;  /* [owns]; 0 is the root */
	struct lvm_bytes *added; /* [owns] what was put into the tree later */
	uint32_t count, room;
};

/* Fills why, if there is one, and returns -hve. */
int lvm_fail(struct lvm_why *why, int hve, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Takes a copy of the text, up to a NUL if it has one. INVAL, LIMIT, NOMEM. *doc is to be freed when it returns 0. */
int lvm_doc_parse(struct lvm_doc *doc, const char *text, size_t len,
		  struct lvm_why *why) MUST_CHECK;
int lvm_doc_new(struct lvm_doc *doc) MUST_CHECK;
/* A copy with the same numbers of nodes. It must go before `from` does. */
int lvm_doc_copy(struct lvm_doc *doc, const struct lvm_doc *from) MUST_CHECK;
void lvm_doc_free(struct lvm_doc *doc);
/* The text, NUL-terminated; *len counts the NUL. The caller frees it. NULL: no memory, or longer than LVM_TEXT_MAX. */
char *lvm_doc_write(const struct lvm_doc *doc, size_t *len);

/* Reading. A value that is not there or of another kind is false. */
int32_t lvm_doc_find(const struct lvm_doc *doc, int32_t section, const char *key);
/* The node after `at` below `top`, depth first; begin with at = top. LVM_NODE_NONE at the end. */
int32_t lvm_doc_walk(const struct lvm_doc *doc, int32_t top, int32_t at);
bool lvm_doc_u64(const struct lvm_doc *doc, int32_t section, const char *key, uint64_t *out);
/* Without quotes and escapes, what is not printable as '?'. False also when it does not fit. */
bool lvm_doc_string(const struct lvm_doc *doc, int32_t section, const char *key, char *out,
		    size_t size);
/* The string with that number of an array: status, flags, tags. */
bool lvm_doc_word(const struct lvm_doc *doc, int32_t section, const char *key, unsigned index,
		  char *out, size_t size);

struct lvm_cursor {
	const char *at, *end;
};
struct lvm_item {
	bool string;   /* was in quotes */
	const char *s; /* without the quotes */
	uint32_t len;
};
/* The items of a value, one or an array's. */
void lvm_items(const struct lvm_doc *doc, int32_t node, struct lvm_cursor *c);
bool lvm_items_next(struct lvm_cursor *c, struct lvm_item *item);
bool lvm_item_u64(const struct lvm_item *item, uint64_t *out);
/* The same; false: no string, or it does not fit. */
bool lvm_item_string(const struct lvm_item *item, char *out, size_t size);

/* Changing. NOMEM, LIMIT. */
/* Sets the value of key, at the end of the section when it is new. The value is written as it is. */
int lvm_doc_put(struct lvm_doc *doc, int32_t section, const char *key, const char *format, ...)
	__attribute__((format(printf, 4, 5))) MUST_CHECK;
/* The same with a string, which gets its quotes and escapes here. */
int lvm_doc_put_string(struct lvm_doc *doc, int32_t section, const char *key,
		       const char *s) MUST_CHECK;
/* A new section at the end -> its node, or -HVE. */
int32_t lvm_doc_add(struct lvm_doc *doc, int32_t section, const char *key) MUST_CHECK;
int lvm_doc_rename(struct lvm_doc *doc, int32_t node, const char *key) MUST_CHECK;
void lvm_doc_remove(struct lvm_doc *doc, int32_t node);

#endif
