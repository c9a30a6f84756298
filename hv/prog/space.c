/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program's address space: its image, stack and heap (frames of its own), what it maps of memory objects and device
 * registers (borrowed). It stays loaded on a CPU after the program has left, so before anything is unmapped the other
 * CPUs let go of it.
 */
#include "hv/prog/elf.h"
#include "hv/prog/prog.h"

#include "hv/cpu/x86.h"
#include "hv/mm/window.h"

#define BRK_PAGES_MAX 4096u  /* a BRK call grows by at most */
#define PAGES_PER_PAUSE 512u /* freed between two looks at interrupts */

/* ---- loading ---- */

static void load_root(struct cpu *c, hpa_t root)
{
	write_cr3(root);
	__atomic_store_n(&c->loaded_cr3, root, __ATOMIC_RELEASE);
}

void space_use(struct prog *p, struct cpu *c)
{
	if (LIKELY(c->loaded_cr3 == p->root && p->tlb_cpu == c->index))
		return;
	/* Also when it is loaded: it may have unmapped something elsewhere in between. */
	load_root(c, p->root);
	p->tlb_cpu = c->index;
}

int space_create(struct prog *p)
{
	int err = pt_create(&p->as, PT_PROGRAM, &p->acct);

	p->as.giga = cpu_features.page1g;
	if (err == 0)
		p->root = hv_to_phys(p->as.root);
	return err;
}

/* ---- own frames ---- */

static void unmap_range(struct prog *p, uva_t va, uva_t end)
{
	struct pt_entry e;

	while (pt_next(&p->as, va, end, &e)) {
		va = e.va + (1ull << e.shift);
		if (pt_unmap(&p->as, e.va, &e) && !(e.prot & PT_BORROWED))
			frame_free(&p->acct, e.hpa, FRAME_4K);
	}
}

/* One page with the bytes of `from` at offset `at`. */
static int add_page(struct prog *p, uva_t va, unsigned prot, const void *from, size_t at,
		    size_t len)
{
	hpa_t hpa;
	int err = frame_alloc(&p->acct, FRAME_4K, &hpa);

	if (err != 0)
		return err;
	if (len)
		phys_write(hpa + at, from, len);
	err = pt_map(&p->as, va, hpa, PAGE_SHIFT, prot);
	if (err != 0)
		frame_free(&p->acct, hpa, FRAME_4K);
	return err;
}

int space_add(struct prog *p, uva_t va, uint64_t pages, unsigned prot)
{
	int err = 0;

	for (uint64_t i = 0; i < pages && err == 0; i++) {
		err = add_page(p, va + i * PAGE_SIZE, prot, NULL, 0, 0);
		if (err != 0)
			unmap_range(p, va, va + i * PAGE_SIZE);
	}
	return err;
}

/* ---- the image ---- */

/* Whole read-only pages of hv's image are shared by all instances; the rest is copied. */
static int load_page(struct prog *p, const uint8_t *file, const struct elf_segment *s, uva_t page)
{
	uva_t start = MAX(page, s->va), end = MIN(page + PAGE_SIZE, s->va + s->file_size);
	uint64_t len = end > start ? end - start : 0;
	const uint8_t *from = file + s->offset + (start - s->va);

	if (!(s->prot & PT_W) && len == PAGE_SIZE && (uint64_t)from % PAGE_SIZE == 0 &&
	    (uint64_t)from >= HV_IMAGE_BASE)
		return pt_map(&p->as, page, hv_to_phys(from), PAGE_SHIFT, s->prot | PT_BORROWED);
	return add_page(p, page, s->prot, len ? from : NULL, start - page, len);
}

int space_load(struct prog *p, const uint8_t *file, const struct elf_image *elf)
{
	for (unsigned i = 0; i < elf->n; i++) {
		const struct elf_segment *s = &elf->segments[i];
		uva_t end = s->va + s->mem_size;

		for (uva_t page = ALIGN_DOWN(s->va, PAGE_SIZE); page < end; page += PAGE_SIZE) {
			int err = load_page(p, file, s, page);

			if (err != 0)
				return err;
		}
	}
	p->brk_start = p->brk_end = elf->end;
	return 0;
}

/* ---- heap ---- */

/* Others that still have it loaded hold translations of what goes away now. */
static void before_unmap(struct prog *p)
{
	sched_drop_root(p->root);
}

void space_flush(struct prog *p)
{
	write_cr3(p->root); /* the calling program is loaded here */
}

int space_brk(struct prog *p, uva_t end)
{
	uva_t top = ALIGN_UP(p->brk_end, PAGE_SIZE), new_top;
	int err = 0;

	if (end < p->brk_start || end > HV_VA_BRK_END)
		return -HVE_INVAL;
	new_top = ALIGN_UP(end, PAGE_SIZE);
	if (new_top > top) {
		if (new_top - top > BRK_PAGES_MAX * PAGE_SIZE)
			return -HVE_LIMIT;
		err = space_add(p, top, (new_top - top) >> PAGE_SHIFT, PT_R | PT_W);
	} else if (new_top < top) {
		before_unmap(p);
		unmap_range(p, new_top, top);
		space_flush(p);
	}
	if (err == 0)
		p->brk_end = end;
	return err;
}

/* ---- mappings ---- */

static int free_mapping(struct prog *p, struct mapping **out)
{
	for (unsigned i = 0; i < PROG_MAPPING_PAGES; i++) {
		if (!p->mappings[i])
			p->mappings[i] = hv_page_alloc(&p->acct);
		if (!p->mappings[i])
			return -HVE_NOMEM;
		for (unsigned j = 0; j < MAPPINGS_PER_PAGE; j++) {
			*out = &p->mappings[i][j];
			if ((*out)->pages == 0)
				return 0;
		}
	}
	return -HVE_LIMIT;
}

static struct mapping *find_mapping(struct prog *p, uva_t va, uint64_t pages)
{
	for (unsigned i = 0; i < PROG_MAPPING_PAGES && p->mappings[i]; i++) {
		for (unsigned j = 0; j < MAPPINGS_PER_PAGE; j++) {
			struct mapping *m = &p->mappings[i][j];

			if (m->pages == pages && m->va == va)
				return m;
		}
	}
	return NULL;
}

/* Where MEM_MAP may put things. */
static bool range_ok(uva_t va, uint64_t pages)
{
	uint64_t end;

	if (va % PAGE_SIZE || pages == 0 || pages > HV_MAP_MAX ||
	    ADD_OVERFLOW(va, pages << PAGE_SHIFT, &end))
		return false;
	return (va >= HV_VA_MAP_LO && end <= HV_VA_MAP_LO_END) ||
	       (va >= HV_VA_BRK_END && end <= HV_VA_END);
}

int space_map(struct prog *p, uva_t va, struct mem *m, uint64_t page_off, uint64_t pages,
	      unsigned prot)
{
	struct mapping *slot;
	int err;

	if (!range_ok(va, pages))
		return -HVE_INVAL;
	err = free_mapping(p, &slot);
	if (err != 0)
		return err;
	err = mem_map_into(m, page_off, pages, &p->as, va, prot);
	if (err != 0)
		return err;
	object_get(&m->obj);
	*slot = (struct mapping){.va = va,
				 .page_off = page_off & ((1ull << 40) - 1),
				 .pages = pages & ((1u << 20) - 1),
				 .prot = prot & 15u,
				 .mem = m};
	return 0;
}

int space_map_device(struct prog *p, uva_t va, hpa_t hpa, uint64_t pages)
{
	struct mapping *slot;
	int err;

	if (!range_ok(va, pages))
		return -HVE_INVAL;
	err = free_mapping(p, &slot);
	for (uint64_t i = 0; i < pages && err == 0; i++) {
		err = pt_map(&p->as, va + i * PAGE_SIZE, hpa + i * PAGE_SIZE, PAGE_SHIFT,
			     PT_R | PT_W | PT_UC | PT_BORROWED);
		if (err != 0)
			unmap_range(p, va, va + i * PAGE_SIZE);
	}
	if (err == 0)
		*slot = (struct mapping){.va = va, .pages = pages & ((1u << 20) - 1)};
	return err;
}

int space_unmap(struct prog *p, uva_t va, uint64_t pages)
{
	struct mapping *slot = range_ok(va, pages) ? find_mapping(p, va, pages) : NULL;
	struct mem *m;

	if (!slot)
		return -HVE_NOENT;
	m = slot->mem;
	*slot = (struct mapping){.pages = 0};
	before_unmap(p);
	unmap_range(p, va, va + (pages << PAGE_SHIFT));
	space_flush(p);
	if (m) {
		mem_unmapped(m);
		object_put(&m->obj);
	}
	return 0;
}

/* ---- holes ---- */

unsigned space_each(struct prog *p, const struct mem *m, space_fn *fn, void *ctx)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PROG_MAPPING_PAGES && p->mappings[i]; i++) {
		for (unsigned j = 0; j < MAPPINGS_PER_PAGE; j++) {
			const struct mapping *map = &p->mappings[i][j];

			if (map->pages == 0 || map->mem != m)
				continue;
			n++;
			if (fn)
				fn(ctx, &p->as, map->va, map->page_off, map->pages);
		}
	}
	return n;
}

static const struct mapping *mapping_at(const struct prog *p, uva_t va)
{
	for (unsigned i = 0; i < PROG_MAPPING_PAGES && p->mappings[i]; i++) {
		for (unsigned j = 0; j < MAPPINGS_PER_PAGE; j++) {
			const struct mapping *m = &p->mappings[i][j];

			if (m->mem && va >= m->va && (va - m->va) >> PAGE_SHIFT < m->pages)
				return m;
		}
	}
	return NULL;
}

int space_fill(struct prog *p, uva_t va, unsigned prot)
{
	const struct mapping *m = mapping_at(p, va);
	/* What the control kernel needs it gets; a vmm touches what its guest makes it touch. */
	uint64_t reserve = p->rights & HVPR_VM ? 0 : MEM_RESERVE_PAGES;
	hpa_t hpa;
	int err;

	if (!m || (m->prot & prot) != prot)
		return -HVE_NOENT;
	err = mem_fill(m->mem, m->page_off + ((va - m->va) >> PAGE_SHIFT), reserve, &hpa);
	if (err == 0)
		err = pt_map(&p->as, ALIGN_DOWN(va, PAGE_SIZE), hpa, PAGE_SHIFT,
			     m->prot | PT_BORROWED);
	return err == -HVE_EXIST ? -HVE_NOENT : err;
}

/* ---- death ---- */

static void drop_mappings(struct prog *p)
{
	for (unsigned i = 0; i < PROG_MAPPING_PAGES && p->mappings[i]; i++) {
		for (unsigned j = 0; j < MAPPINGS_PER_PAGE; j++)
			if (p->mappings[i][j].mem) {
				mem_unmapped(p->mappings[i][j].mem);
				object_put(&p->mappings[i][j].mem->obj);
			}
		hv_page_free(&p->acct, p->mappings[i]);
		p->mappings[i] = NULL;
	}
}

void space_destroy(struct prog *p)
{
	struct cpu *c = this_cpu();
	unsigned done = 0;
	struct pt_entry e;
	uva_t va = 0;

	if (!p->as.root)
		return;
	if (c->loaded_cr3 == p->root)
		load_root(c, hv_to_phys(hv_pml4));
	sched_drop_root(p->root);
	while (pt_next(&p->as, va, HV_VA_END, &e)) {
		va = e.va + (1ull << e.shift);
		if (pt_unmap(&p->as, e.va, &e) && !(e.prot & PT_BORROWED))
			frame_free(&p->acct, e.hpa, FRAME_4K);
		if (++done % PAGES_PER_PAUSE == 0)
			irq_take_pending();
	}
	pt_destroy(&p->as);
	p->as.root = NULL;
	drop_mappings(p);
}
