/* SPDX-License-Identifier: BSD-2-Clause */
/* Changing and writing the tree of text metadata (doc.h). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/blk/lvm/doc.h"
#include "ctrl-kernel/blk/lvm/doc_int.h"

int lvm_doc_copy(struct lvm_doc *doc, const struct lvm_doc *from)
{
	*doc = (struct lvm_doc){.count = from->count, .room = from->count};
	doc->nodes = malloc(from->count * sizeof(*doc->nodes));
	if (!doc->nodes)
		return -HVE_NOMEM;
	memcpy(doc->nodes, from->nodes, from->count * sizeof(*doc->nodes));
	return 0;
}

void lvm_bytes_free(struct lvm_bytes **list)
{
	while (*list) {
		struct lvm_bytes *next = (*list)->next;

		free(*list);
		*list = next;
	}
}

void lvm_doc_free(struct lvm_doc *doc)
{
	lvm_bytes_free(&doc->added);
	free(doc->nodes);
	free(doc->text);
	*doc = (struct lvm_doc){.text = NULL};
}

/* ---- changing ---- */

static char *keep(struct lvm_doc *doc, const char *s, size_t len)
{
	struct lvm_bytes *b = malloc(sizeof(*b) + len + 1);

	if (!b)
		return NULL;
	memcpy(b->bytes, s, len);
	b->bytes[len] = '\0';
	b->next = doc->added;
	doc->added = b;
	return b->bytes;
}

static int32_t add(struct lvm_doc *doc, int32_t section, const char *key)
{
	size_t len = strlen(key);
	char *mine = keep(doc, key, len);

	return mine ? lvm_node_add(doc, section, mine, len) : -HVE_NOMEM;
}

static int put_raw(struct lvm_doc *doc, int32_t section, const char *key, const char *raw,
		   size_t len)
{
	int32_t node = lvm_doc_find(doc, section, key);
	char *mine = keep(doc, raw, len);

	if (!mine)
		return -HVE_NOMEM;
	if (node == LVM_NODE_NONE)
		node = add(doc, section, key);
	if (node < 0)
		return node;
	doc->nodes[node].raw = mine;
	doc->nodes[node].raw_len = (uint32_t)len;
	return 0;
}

int lvm_doc_put(struct lvm_doc *doc, int32_t section, const char *key, const char *format, ...)
{
	char raw[256];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(raw, sizeof(raw), format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(raw))
		return -HVE_LIMIT;
	return put_raw(doc, section, key, raw, (size_t)n);
}

int lvm_doc_put_string(struct lvm_doc *doc, int32_t section, const char *key, const char *s)
{
	char raw[256];
	size_t n = 0;

	raw[n++] = '"';
	for (; *s; s++) {
		if (n + 4 > sizeof(raw))
			return -HVE_LIMIT;
		if (*s == '"' || *s == '\\')
			raw[n++] = '\\';
		raw[n++] = *s;
	}
	raw[n++] = '"';
	return put_raw(doc, section, key, raw, n);
}

int32_t lvm_doc_add(struct lvm_doc *doc, int32_t section, const char *key)
{
	return add(doc, section, key);
}

int lvm_doc_rename(struct lvm_doc *doc, int32_t node, const char *key)
{
	char *mine = keep(doc, key, strlen(key));

	if (!mine)
		return -HVE_NOMEM;
	doc->nodes[node].key = mine;
	doc->nodes[node].key_len = (uint32_t)strlen(key);
	return 0;
}

void lvm_doc_remove(struct lvm_doc *doc, int32_t node)
{
	struct lvm_node *parent = &doc->nodes[doc->nodes[node].parent];
	int32_t before = LVM_NODE_NONE, i = parent->child;

	while (i != node) {
		before = i;
		i = doc->nodes[i].next;
	}
	if (before == LVM_NODE_NONE)
		parent->child = doc->nodes[node].next;
	else
		doc->nodes[before].next = doc->nodes[node].next;
	if (parent->last == node)
		parent->last = before;
}

/* ---- writing ---- */

struct out {
	char *bytes; /* NULL: only counts */
	size_t len;
};

static void put(struct out *o, const char *s, size_t len)
{
	if (o->bytes)
		memcpy(o->bytes + o->len, s, len);
	o->len += len;
}

static void put_node(struct out *o, const struct lvm_node *n)
{
	put(o, n->key, n->key_len);
	if (!n->raw) {
		put(o, " {\n", 3);
		return;
	}
	put(o, " = ", 3);
	put(o, n->raw, n->raw_len);
	put(o, "\n", 1);
}

static void put_tree(struct out *o, const struct lvm_doc *doc)
{
	const struct lvm_node *n = doc->nodes;
	int32_t at = n[0].child;

	while (at != LVM_NODE_NONE) {
		put_node(o, &n[at]);
		if (!n[at].raw && n[at].child != LVM_NODE_NONE) {
			at = n[at].child;
			continue;
		}
		if (!n[at].raw)
			put(o, "}\n", 2);
		while (at != 0 && n[at].next == LVM_NODE_NONE) {
			at = n[at].parent;
			if (at != 0)
				put(o, "}\n", 2);
		}
		at = at == 0 ? LVM_NODE_NONE : n[at].next;
	}
	put(o, "\n", 2); /* an empty line and a NUL: how pvck knows an end when it searches */
}

char *lvm_doc_write(const struct lvm_doc *doc, size_t *len)
{
	struct out o = {.bytes = NULL};

	put_tree(&o, doc);
	if (o.len > LVM_TEXT_MAX)
		return NULL;
	o.bytes = malloc(o.len);
	if (!o.bytes)
		return NULL;
	o.len = 0;
	put_tree(&o, doc);
	*len = o.len;
	return o.bytes;
}
