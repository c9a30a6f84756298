/* SPDX-License-Identifier: BSD-2-Clause */
/* The tree of text metadata (doc.h): parsing, and reading values. doc_edit.c changes and writes it. */
#include "ctrl-kernel/blk/lvm/doc.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/blk/lvm/doc_int.h"
#include "ctrl-kernel/blk/sort.h"

struct parse {
	struct lvm_doc *doc;
	const char *at, *end;
	int32_t section; /* that is open */
	uint32_t depth;
	struct lvm_why *why;
};

static char printable(char c)
{
	return c >= ' ' && c < 0x7f ? c : '?';
}

int lvm_fail(struct lvm_why *why, int hve, const char *format, ...)
{
	va_list ap;

	if (why) {
		va_start(ap, format);
		vsnprintf(why->text, sizeof(why->text), format, ap);
		va_end(ap);
		for (char *c = why->text; *c; c++) /* names may be anything */
			*c = printable(*c);
	}
	return -hve;
}

static int wrong(struct parse *p, const char *what)
{
	unsigned line = 1;

	for (const char *c = p->doc->text; c < p->at; c++)
		line += *c == '\n';
	return lvm_fail(p->why, HVE_INVAL, "line %u of the metadata: %s", line, what);
}

/* ---- words ---- */

static bool is_plain(char c)
{
	return c > ' ' && c < 0x7f && !strchr("{}[]=#\",'", c);
}

static const char *skip_space(const char *at, const char *end)
{
	while (at < end && (isspace((unsigned char)*at) || *at == '#')) {
		if (*at == '#')
			while (at < end && *at != '\n')
				at++;
		else
			at++;
	}
	return at;
}

/* An item at `at` -> behind it; NULL: none is there. */
static const char *skip_item(const char *at, const char *end)
{
	char quote = *at;

	if (at >= end)
		return NULL;
	if (quote != '"' && quote != '\'') {
		const char *from = at;

		while (at < end && is_plain(*at))
			at++;
		return at > from ? at : NULL;
	}
	for (at++; at < end && *at != quote; at++)
		if (*at == '\\' && quote == '"' && ++at >= end)
			return NULL;
	return at < end ? at + 1 : NULL;
}

static const char *skip_array(const char *at, const char *end)
{
	at = skip_space(at + 1, end);
	if (at < end && *at == ']')
		return at + 1;
	while (at < end) {
		at = skip_item(at, end);
		if (!at)
			return NULL;
		at = skip_space(at, end);
		if (at < end && *at == ']')
			return at + 1;
		if (at >= end || *at != ',')
			return NULL;
		at = skip_space(at + 1, end);
	}
	return NULL;
}

/* ---- the tree ---- */

void *lvm_grow(void *array, uint32_t count, uint32_t *room, size_t size)
{
	uint32_t wanted = *room ? *room * 2 : 64;
	void *more;

	if (count < *room)
		return array;
	more = realloc(array, wanted * size);
	if (more)
		*room = wanted;
	return more;
}

int32_t lvm_node_add(struct lvm_doc *doc, int32_t parent, const char *key, size_t key_len)
{
	struct lvm_node *n;
	int32_t me = (int32_t)doc->count;
	void *more;

	if (doc->count == LVM_NODES_MAX)
		return -HVE_LIMIT;
	more = lvm_grow(doc->nodes, doc->count, &doc->room, sizeof(*doc->nodes));
	if (!more)
		return -HVE_NOMEM;
	doc->nodes = more;
	n = &doc->nodes[me];
	*n = (struct lvm_node){.key = key,
			       .key_len = (uint32_t)key_len,
			       .parent = parent,
			       .next = LVM_NODE_NONE,
			       .child = LVM_NODE_NONE,
			       .last = LVM_NODE_NONE};
	doc->count++;
	if (parent == LVM_NODE_NONE)
		return me;
	n = &doc->nodes[parent];
	if (n->last == LVM_NODE_NONE)
		n->child = me;
	else
		doc->nodes[n->last].next = me;
	n->last = me;
	return me;
}

static int parse_value(struct parse *p, int32_t node)
{
	struct lvm_node *n = &p->doc->nodes[node];
	const char *from = p->at, *behind;

	if (from >= p->end)
		return wrong(p, "a value is missing");
	behind = *from == '[' ? skip_array(from, p->end) : skip_item(from, p->end);
	if (!behind)
		return wrong(p, "this is no value, or it does not end");
	n->raw = from;
	n->raw_len = (uint32_t)(behind - from);
	p->at = behind;
	return 0;
}

static int parse_entry(struct parse *p)
{
	const char *key = p->at, *behind = skip_item(key, p->end);
	int32_t node;

	if (!behind)
		return wrong(p, "a name is expected");
	p->at = skip_space(behind, p->end);
	node = lvm_node_add(p->doc, p->section, key, (size_t)(behind - key));
	if (node < 0)
		return lvm_fail(p->why, -node, "the metadata has too many entries");
	if (p->at < p->end && *p->at == '=') {
		p->at = skip_space(p->at + 1, p->end);
		return parse_value(p, node);
	}
	if (p->at >= p->end || *p->at != '{')
		return wrong(p, "= or { is expected");
	if (p->depth == LVM_DEPTH_MAX)
		return wrong(p, "sections are nested too deep");
	p->depth++;
	p->at++;
	p->section = node;
	return 0;
}

static int parse_all(struct parse *p)
{
	int r = 0;

	while (r == 0) {
		p->at = skip_space(p->at, p->end);
		if (p->at >= p->end)
			break;
		if (*p->at != '}') {
			r = parse_entry(p);
			continue;
		}
		if (p->depth == 0)
			return wrong(p, "this } closes nothing");
		p->depth--;
		p->at++;
		p->section = p->doc->nodes[p->section].parent;
	}
	if (r == 0 && p->depth)
		return wrong(p, "a } is missing");
	return r;
}

/* ---- each name once in a section ---- */

struct place {
	int32_t parent;
	uint32_t len;
	const char *key;
};

static int by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->parent != y->parent)
		return x->parent < y->parent ? -1 : 1;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return memcmp(x->key, y->key, x->len);
}

static int check_twice(const struct lvm_doc *doc, struct lvm_why *why)
{
	struct place *all = malloc(doc->count * sizeof(*all));
	int r = 0;

	if (!all)
		return lvm_fail(why, HVE_NOMEM, "no memory");
	for (uint32_t i = 0; i < doc->count; i++) {
		const struct lvm_node *n = &doc->nodes[i];

		all[i] = (struct place){n->parent, n->key_len, n->key};
	}
	heap_sort(all, doc->count, sizeof(*all), by_place);
	for (uint32_t i = 1; i < doc->count && r == 0; i++)
		if (by_place(&all[i - 1], &all[i]) == 0)
			r = lvm_fail(why, HVE_INVAL, "the metadata has '%.*s' twice in a section",
				     all[i].len > 64 ? 64 : (int)all[i].len, all[i].key);
	free(all);
	return r;
}

int lvm_doc_new(struct lvm_doc *doc)
{
	*doc = (struct lvm_doc){.text = NULL};
	return lvm_node_add(doc, LVM_NODE_NONE, "", 0) < 0 ? -HVE_NOMEM : 0;
}

int lvm_doc_parse(struct lvm_doc *doc, const char *text, size_t len, struct lvm_why *why)
{
	struct parse p = {.doc = doc, .why = why};
	int r;

	if (len > LVM_TEXT_MAX)
		return lvm_fail(why, HVE_LIMIT, "the metadata is longer than %u bytes",
				LVM_TEXT_MAX);
	if (lvm_doc_new(doc))
		return lvm_fail(why, HVE_NOMEM, "no memory");
	len = strnlen(text, len);
	doc->text = malloc(len + 1);
	if (!doc->text) {
		lvm_doc_free(doc);
		return lvm_fail(why, HVE_NOMEM, "no memory");
	}
	memcpy(doc->text, text, len);
	doc->text[len] = '\0';
	p.at = doc->text;
	p.end = doc->text + len;
	r = parse_all(&p);
	if (r == 0)
		r = check_twice(doc, why);
	if (r)
		lvm_doc_free(doc);
	return r;
}

/* ---- reading ---- */

int32_t lvm_doc_find(const struct lvm_doc *doc, int32_t section, const char *key)
{
	size_t len = strlen(key);

	for (int32_t i = doc->nodes[section].child; i != LVM_NODE_NONE; i = doc->nodes[i].next)
		if (doc->nodes[i].key_len == len && memcmp(doc->nodes[i].key, key, len) == 0)
			return i;
	return LVM_NODE_NONE;
}

int32_t lvm_doc_walk(const struct lvm_doc *doc, int32_t top, int32_t at)
{
	const struct lvm_node *n = doc->nodes;

	if (n[at].child != LVM_NODE_NONE)
		return n[at].child;
	while (at != top && n[at].next == LVM_NODE_NONE)
		at = n[at].parent;
	return at == top ? LVM_NODE_NONE : n[at].next;
}

void lvm_items(const struct lvm_doc *doc, int32_t node, struct lvm_cursor *c)
{
	const struct lvm_node *n = node < 0 ? NULL : &doc->nodes[node];

	*c = (struct lvm_cursor){NULL, NULL};
	if (!n || !n->raw)
		return;
	c->at = n->raw;
	c->end = n->raw + n->raw_len;
	if (*c->at == '[') {
		c->at++;
		c->end--;
	}
}

bool lvm_items_next(struct lvm_cursor *c, struct lvm_item *item)
{
	const char *behind;

	if (!c->at)
		return false;
	c->at = skip_space(c->at, c->end);
	if (c->at < c->end && *c->at == ',')
		c->at = skip_space(c->at + 1, c->end);
	behind = c->at < c->end ? skip_item(c->at, c->end) : NULL;
	if (!behind)
		return false;
	item->string = *c->at == '"' || *c->at == '\'';
	item->s = c->at + item->string;
	item->len = (uint32_t)(behind - c->at) - 2 * item->string;
	c->at = behind;
	return true;
}

bool lvm_item_u64(const struct lvm_item *item, uint64_t *out)
{
	uint64_t v = 0;

	if (item->string || item->len == 0)
		return false;
	for (uint32_t i = 0; i < item->len; i++) {
		if (item->s[i] < '0' || item->s[i] > '9' || __builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (unsigned)(item->s[i] - '0'), &v))
			return false;
	}
	*out = v;
	return true;
}

bool lvm_item_string(const struct lvm_item *item, char *out, size_t size)
{
	size_t n = 0;

	if (!item->string || size == 0)
		return false;
	for (uint32_t i = 0; i < item->len && n < size; i++) {
		if (item->s[i] == '\\' && item->s[-1] == '"' && i + 1 < item->len)
			i++;
		out[n++] = printable(item->s[i]);
	}
	if (n == size)
		return false;
	out[n] = '\0';
	return true;
}

/* The only item of that value. */
static bool only_item(const struct lvm_doc *doc, int32_t section, const char *key,
		      struct lvm_item *item)
{
	int32_t node = lvm_doc_find(doc, section, key);
	struct lvm_cursor c;

	lvm_items(doc, node, &c);
	return node >= 0 && doc->nodes[node].raw && doc->nodes[node].raw[0] != '[' &&
	       lvm_items_next(&c, item);
}

bool lvm_doc_u64(const struct lvm_doc *doc, int32_t section, const char *key, uint64_t *out)
{
	struct lvm_item item;

	return only_item(doc, section, key, &item) && lvm_item_u64(&item, out);
}

bool lvm_doc_string(const struct lvm_doc *doc, int32_t section, const char *key, char *out,
		    size_t size)
{
	struct lvm_item item;

	return only_item(doc, section, key, &item) && lvm_item_string(&item, out, size);
}

bool lvm_doc_word(const struct lvm_doc *doc, int32_t section, const char *key, unsigned index,
		  char *out, size_t size)
{
	struct lvm_cursor c;
	struct lvm_item item;

	lvm_items(doc, lvm_doc_find(doc, section, key), &c);
	while (lvm_items_next(&c, &item))
		if (index-- == 0)
			return lvm_item_string(&item, out, size);
	return false;
}
