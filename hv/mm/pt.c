/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page-table walker. Host tables (programs, hv), nested tables for AMD and Intel, and the frame arrays of memory
 * objects are the same radix tree; only the bits of an entry differ.
 *
 * An entry that points to a table carries the number of present entries of that table in bits 52-61, which the CPU
 * ignores there (APM2 5.4.1, SDM3 4.5 and 29.3.2): so an empty table is found without looking at it.
 */
#include "hv/mm/pt.h"

#include "hv/abi/hv_abi.h"
#include "hv/lib/log.h"
#include "hv/lib/string.h"

uint64_t pt_nx RO_AFTER_INIT = 1ull << 63;

/* Host and NPT entries, APM2 5.4.1. */
#define E_PRESENT (1ull << 0)
#define E_WRITE (1ull << 1)
#define E_USER (1ull << 2)
#define E_PWT (1ull << 3)
#define E_PCD (1ull << 4)
#define E_ACCESSED (1ull << 5)
#define E_DIRTY (1ull << 6)
#define E_LARGE (1ull << 7) /* also in EPT */
#define E_GLOBAL (1ull << 8)
/* EPT entries, SDM3 29.3.2. */
#define EPT_READ (1ull << 0)
#define EPT_WRITE (1ull << 1)
#define EPT_EXEC (1ull << 2)
#define EPT_RWX (EPT_READ | EPT_WRITE | EPT_EXEC)
#define EPT_MEMORY_WB (6ull << 3)
#define EPT_MEMORY_MASK (7ull << 3)
/* All formats. */
#define E_BORROWED (1ull << 52)  /* leaves only */
#define E_COUNT_ONE (1ull << 52) /* tables only */
#define E_COUNT_MASK (0x3ffull << 52)
#define E_ADDRESS 0x000ffffffffff000ull

#define ENTRIES 512u
#define INDEX_BITS 9u
#define LEVELS_MAX 4u
#define UPPER_HALF 256u /* first entry of hv's half in a program's root */

/* The entries from the root down to the one wanted. */
struct path {
	uint64_t *entry[LEVELS_MAX];
	unsigned n;
};

static unsigned top_shift(const struct pt *pt)
{
	return PAGE_SHIFT + INDEX_BITS * (pt->levels - 1);
}

static bool covers(const struct pt *pt, uint64_t va)
{
	return pt->format == PT_HV || va >> (top_shift(pt) + INDEX_BITS) == 0;
}

static bool is_present(enum pt_format format, uint64_t e)
{
	return (e & (format == PT_EPT ? EPT_RWX : E_PRESENT)) != 0;
}

static bool is_leaf(uint64_t e, unsigned shift)
{
	return shift == PAGE_SHIFT || (e & E_LARGE) != 0;
}

static uint64_t *table_of(uint64_t e)
{
	return phys_to_hv(e & E_ADDRESS);
}

static uint64_t *index_in(uint64_t *table, uint64_t va, unsigned shift)
{
	return &table[va >> shift & (ENTRIES - 1)];
}

static uint64_t table_entry(enum pt_format format, hpa_t table)
{
	if (format == PT_EPT)
		return table | EPT_RWX;
	return table | E_PRESENT | E_WRITE | E_ACCESSED | (format == PT_HV ? 0 : E_USER);
}

static uint64_t ept_leaf(hpa_t hpa, unsigned prot)
{
	return hpa | (prot & PT_R ? EPT_READ : 0) | (prot & PT_W ? EPT_WRITE : 0) |
	       (prot & PT_X ? EPT_EXEC : 0) | (prot & PT_UC ? 0 : EPT_MEMORY_WB);
}

uint64_t pt_leaf(enum pt_format format, hpa_t hpa, unsigned shift, unsigned prot)
{
	uint64_t e = (shift == PAGE_SHIFT ? 0 : E_LARGE) | (prot & PT_BORROWED ? E_BORROWED : 0);

	if (format == PT_EPT)
		return e | ept_leaf(hpa, prot);
	/* Accessed and dirty from the start: the CPU need not write them. */
	e |= hpa | E_PRESENT | E_ACCESSED | E_DIRTY;
	e |= prot & PT_W ? E_WRITE : 0;
	e |= prot & PT_X ? 0 : pt_nx;
	e |= prot & PT_UC ? E_PCD | E_PWT : 0;
	return e | (format == PT_HV ? E_GLOBAL : E_USER);
}

static unsigned prot_of(enum pt_format format, uint64_t e)
{
	unsigned prot = e & E_BORROWED ? PT_BORROWED : 0;

	if (format == PT_EPT)
		return prot | (e & EPT_READ ? PT_R : 0) | (e & EPT_WRITE ? PT_W : 0) |
		       (e & EPT_EXEC ? PT_X : 0) | ((e & EPT_MEMORY_MASK) == 0 ? PT_UC : 0);
	return prot | PT_R | (e & E_WRITE ? PT_W : 0) | (e & pt_nx ? 0 : PT_X) |
	       (e & E_PCD ? PT_UC : 0);
}

/* ---- walking ---- */

static uint64_t *add_table(struct pt *pt, struct path *p)
{
	uint64_t *table = hv_page_alloc(pt->acct);

	if (table == NULL)
		return NULL;
	pt->tables++;
	*p->entry[p->n - 1] = table_entry(pt->format, hv_to_phys(table));
	if (p->n >= 2)
		*p->entry[p->n - 2] += E_COUNT_ONE;
	return table;
}

/* Down to the entry of size 1 << shift; -EXIST: a larger leaf is in the way, -NOMEM, -NOENT: no table (!make). */
static int descend(struct pt *pt, uint64_t va, unsigned shift, bool make, struct path *p)
{
	uint64_t *table = pt->root;
	unsigned s = top_shift(pt);

	p->n = 0;
	for (;; s -= INDEX_BITS) {
		uint64_t *e = index_in(table, va, s);

		p->entry[p->n++] = e;
		if (s <= shift)
			return 0;
		if (!is_present(pt->format, *e))
			table = make ? add_table(pt, p) : NULL;
		else if (is_leaf(*e, s))
			return -HVE_EXIST;
		else
			table = table_of(*e);
		if (table == NULL)
			return make ? -HVE_NOMEM : -HVE_NOENT;
	}
}

/* Frees the tables along the path that are empty, from the bottom. */
static void prune(struct pt *pt, struct path *p)
{
	for (unsigned i = p->n - 1; i > 0; i--) {
		uint64_t *parent = p->entry[i - 1];

		if (!is_present(pt->format, *parent) || (*parent & E_COUNT_MASK) != 0)
			return;
		hv_page_free(pt->acct, table_of(*parent));
		pt->tables--;
		*parent = 0;
		if (i >= 2)
			*p->entry[i - 2] -= E_COUNT_ONE;
	}
}

/* The leaf that covers va, or the empty entry, at any level; *shift says how much it covers. */
static uint64_t *find_entry(const struct pt *pt, uint64_t va, unsigned *shift)
{
	uint64_t *table = pt->root;

	for (*shift = top_shift(pt);; *shift -= INDEX_BITS) {
		uint64_t *e = index_in(table, va, *shift);

		if (!is_present(pt->format, *e) || is_leaf(*e, *shift))
			return e;
		table = table_of(*e);
	}
}

/* NULL: none. */
static uint64_t *find_leaf(const struct pt *pt, uint64_t va, unsigned *shift)
{
	uint64_t *e = find_entry(pt, va, shift);

	return is_present(pt->format, *e) ? e : NULL;
}

static void fill_entry(const struct pt *pt, uint64_t va, uint64_t e, unsigned shift,
		       struct pt_entry *out)
{
	uint64_t size = 1ull << shift;

	out->va = ALIGN_DOWN(va, size);
	out->hpa = e & E_ADDRESS & ~(size - 1);
	out->shift = shift;
	out->prot = prot_of(pt->format, e);
}

uint64_t *pt_slot(struct pt *pt, uint64_t va, unsigned shift)
{
	struct path p;

	return covers(pt, va) && descend(pt, va, shift, true, &p) == 0 ? p.entry[p.n - 1] : NULL;
}

/* ---- public ---- */

int pt_create_levels(struct pt *pt, enum pt_format format, unsigned levels, struct account *acct)
{
	uint64_t *root = hv_page_alloc(acct);

	if (root == NULL)
		return -HVE_NOMEM;
	if (format == PT_PROGRAM)
		memcpy(&root[UPPER_HALF], &hv_pml4[UPPER_HALF],
		       (ENTRIES - UPPER_HALF) * sizeof(*root));
	*pt = (struct pt){
		.root = root, .format = format, .levels = levels, .acct = acct, .tables = 1};
	return 0;
}

int pt_create(struct pt *pt, enum pt_format format, struct account *acct)
{
	return pt_create_levels(pt, format, LEVELS_MAX, acct);
}

static uint64_t count_present(const struct pt *pt)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < ENTRIES; i++)
		n += is_present(pt->format, pt->root[i]);
	return n;
}

int pt_deepen(struct pt *pt, uint64_t va)
{
	while (!covers(pt, va)) {
		uint64_t present = count_present(pt);
		uint64_t *root;

		if (pt->levels == LEVELS_MAX)
			return -HVE_INVAL;
		if (present == 0) { /* an empty table may stand at any level */
			pt->levels++;
			continue;
		}
		root = hv_page_alloc(pt->acct);
		if (root == NULL)
			return -HVE_NOMEM;
		root[0] = table_entry(pt->format, hv_to_phys(pt->root)) + present * E_COUNT_ONE;
		pt->root = root;
		pt->levels++;
		pt->tables++;
	}
	return 0;
}

void pt_destroy(struct pt *pt)
{
	unsigned last = pt->format == PT_PROGRAM ? UPPER_HALF : ENTRIES;
	uint64_t *table[LEVELS_MAX] = {pt->root};
	unsigned at[LEVELS_MAX] = {0};
	unsigned depth = 0;

	for (;;) {
		unsigned shift = top_shift(pt) - depth * INDEX_BITS;
		uint64_t e;

		if (at[depth] == (depth == 0 ? last : ENTRIES)) {
			hv_page_free(pt->acct, table[depth]);
			if (depth-- == 0)
				break;
			continue;
		}
		e = table[depth][at[depth]++];
		if (!is_present(pt->format, e) || is_leaf(e, shift))
			continue;
		table[++depth] = table_of(e);
		at[depth] = 0;
	}
	pt->root = NULL;
	pt->tables = 0;
}

int pt_map(struct pt *pt, uint64_t va, hpa_t hpa, unsigned shift, unsigned prot)
{
	struct path p;
	int err;

	assert(((va | hpa) & ((1ull << shift) - 1)) == 0);
	if (!covers(pt, va) || shift > top_shift(pt))
		return -HVE_INVAL;
	err = descend(pt, va, shift, true, &p);
	if (err == 0 && is_present(pt->format, *p.entry[p.n - 1]))
		return -HVE_EXIST;
	if (err != 0) {
		prune(pt, &p);
		return err;
	}
	*p.entry[p.n - 1] = pt_leaf(pt->format, hpa, shift, prot);
	if (p.n >= 2)
		*p.entry[p.n - 2] += E_COUNT_ONE;
	return 0;
}

bool pt_unmap(struct pt *pt, uint64_t va, struct pt_entry *was)
{
	struct path p;
	unsigned shift;
	uint64_t *leaf = covers(pt, va) ? find_leaf(pt, va, &shift) : NULL;

	if (leaf == NULL)
		return false;
	fill_entry(pt, va, *leaf, shift, was);
	(void)descend(pt, va, shift, false, &p);
	*leaf = 0;
	if (p.n >= 2)
		*p.entry[p.n - 2] -= E_COUNT_ONE;
	prune(pt, &p);
	return true;
}

/* The leaf at `shift` becomes a table; its parent has one entry as before. */
static int split(struct pt *pt, uint64_t *leaf, unsigned shift)
{
	uint64_t *table = hv_page_alloc(pt->acct);
	struct pt_entry e;
	unsigned below = shift - INDEX_BITS;

	if (table == NULL)
		return -HVE_NOMEM;
	fill_entry(pt, 0, *leaf, shift, &e);
	for (unsigned i = 0; i < ENTRIES; i++)
		table[i] = pt_leaf(pt->format, e.hpa + ((hpa_t)i << below), below, e.prot);
	pt->tables++;
	*leaf = table_entry(pt->format, hv_to_phys(table)) + ENTRIES * E_COUNT_ONE;
	return 0;
}

int pt_cut(struct pt *pt, uint64_t va)
{
	for (;;) {
		unsigned shift;
		uint64_t *leaf = covers(pt, va) ? find_leaf(pt, va, &shift) : NULL;
		int err;

		if (leaf == NULL || (va & ((1ull << shift) - 1)) == 0)
			return 0;
		err = split(pt, leaf, shift);
		if (err != 0)
			return err;
	}
}

void pt_clear(struct pt *pt, uint64_t va, uint64_t end)
{
	struct pt_entry e;

	while (pt_next(pt, va, end, &e)) {
		va = e.va + (1ull << e.shift);
		(void)pt_unmap(pt, e.va, &e);
	}
}

bool pt_lookup(const struct pt *pt, uint64_t va, struct pt_entry *out)
{
	unsigned shift;
	const uint64_t *leaf = covers(pt, va) ? find_leaf(pt, va, &shift) : NULL;

	if (leaf == NULL)
		return false;
	fill_entry(pt, va, *leaf, shift, out);
	return true;
}

bool pt_next(const struct pt *pt, uint64_t va, uint64_t end, struct pt_entry *out)
{
	while (va < end && covers(pt, va)) {
		unsigned shift, empty = 1;
		const uint64_t *e = find_entry(pt, va, &shift);
		uint64_t left = ENTRIES - (va >> shift & (ENTRIES - 1));

		if (is_present(pt->format, *e)) {
			fill_entry(pt, va, *e, shift, out);
			return true;
		}
		while (empty < left && !is_present(pt->format, e[empty]))
			empty++;
		if (ADD_OVERFLOW(ALIGN_DOWN(va, 1ull << shift), (uint64_t)empty << shift, &va))
			return false;
	}
	return false;
}
