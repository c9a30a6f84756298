/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects and memory objects. A memory object's frames hang in a page table of their own, indexed by page offset,
 * that starts with one level and deepens as the object grows: a small object costs one page of table.
 */
#include "hv/mm/mem.h"

#include "hv/cpu/cpu.h"
#include "hv/lib/log.h"
#include "hv/mm/pool.h"

#define LARGE_PAGES (LARGE_SIZE / PAGE_SIZE)
#define GIGA_PAGES (GIGA_SIZE / PAGE_SIZE)
#define MEM_PAGES_MAX (1ull << 36) /* what four levels of table can hold */

uint32_t objects_live;
static struct pool mems = {.size = sizeof(struct mem)};

void object_init(struct object *o, enum object_type type, void (*free)(struct object *))
{
	o->type = type;
	o->refs = 1;
	o->free = free;
	__atomic_fetch_add(&objects_live, 1, __ATOMIC_RELAXED);
}

void object_get(struct object *o)
{
	uint32_t before = __atomic_fetch_add(&o->refs, 1, __ATOMIC_RELAXED);

	assert(before != 0 && before != UINT32_MAX);
}

void object_put(struct object *o)
{
	uint32_t before = __atomic_fetch_sub(&o->refs, 1, __ATOMIC_ACQ_REL);

	assert(before != 0);
	if (before != 1)
		return;
	__atomic_fetch_sub(&objects_live, 1, __ATOMIC_RELAXED);
	o->free(o);
}

/* ---- memory objects ---- */

static void free_leaf(struct mem *m, const struct pt_entry *e)
{
	if (m->flags & HVM_HV)
		hv_page_free(m->acct, phys_to_hv(e->hpa));
	else
		frame_free(m->acct, e->hpa, e->shift == LARGE_SHIFT ? FRAME_2M : FRAME_4K);
}

static void mem_free(struct object *o)
{
	struct mem *m = CONTAINER_OF(o, struct mem, obj);
	uint64_t end = m->pages << PAGE_SHIFT;
	struct pt_entry e;

	for (uint64_t at = 0; pt_next(&m->frames, at, end, &e); at = e.va + (1ull << e.shift))
		free_leaf(m, &e);
	pt_destroy(&m->frames);
	pool_free(&mems, m);
}

int mem_create(uint32_t flags, struct account *acct, struct mem **out)
{
	struct mem *m;

	if ((flags & ~(HVM_DMA | HVM_HV)) != 0 || flags == (HVM_DMA | HVM_HV))
		return -HVE_INVAL;
	m = pool_alloc(&mems);
	if (m == NULL)
		return -HVE_NOMEM;
	/* The format only has to keep addresses and sizes apart. */
	if (pt_create_levels(&m->frames, PT_NPT, 1, acct) != 0) {
		pool_free(&mems, m);
		return -HVE_NOMEM;
	}
	m->flags = flags;
	m->acct = acct;
	object_init(&m->obj, OBJECT_MEM, mem_free);
	*out = m;
	return 0;
}

/* Puts a leaf at the object's end. The caller keeps the frames when it fails. */
static int append(struct mem *m, hpa_t hpa, unsigned shift)
{
	uint64_t va = m->pages << PAGE_SHIFT;
	int err = pt_deepen(&m->frames, va + (1ull << shift) - 1);

	if (err == 0 && shift == LARGE_SHIFT)
		err = pt_deepen(&m->frames, LARGE_SIZE); /* a leaf of 2 MiB needs two levels */
	if (err == 0)
		err = pt_map(&m->frames, va, hpa, shift, PT_R);
	if (err == 0) {
		m->pages += (1ull << shift) >> PAGE_SHIFT;
		m->held += (1ull << shift) >> PAGE_SHIFT;
	}
	return err;
}

/*
 * Where the next 2 MiB should lie so that whole GiB can be mapped by one entry: behind the last, and at the start of
 * a GiB of the object at the start of a free GiB.
 */
static hpa_t wanted_place(struct mem *m, uint64_t final_pages)
{
	struct pt_entry last;

	if (m->pages % GIGA_PAGES == 0)
		return final_pages - m->pages >= GIGA_PAGES ? frame_free_giga() : 0;
	return pt_lookup(&m->frames, (m->pages - 1) << PAGE_SHIFT, &last)
		       ? last.hpa + (1ull << last.shift)
		       : 0;
}

static int grow_large(struct mem *m, uint64_t final_pages)
{
	hpa_t hpa;
	int err = frame_alloc_near(m->acct, wanted_place(m, final_pages), &hpa);

	if (err != 0)
		return err;
	err = append(m, hpa, LARGE_SHIFT);
	if (err != 0)
		frame_free(m->acct, hpa, FRAME_2M);
	return err;
}

static int grow_page(struct mem *m)
{
	struct pt_entry e = {.shift = PAGE_SHIFT};
	int err = 0;

	if (m->flags & HVM_HV) {
		void *p = hv_page_alloc(m->acct);

		if (p == NULL)
			return -HVE_NOMEM;
		e.hpa = hv_to_phys(p);
	} else {
		err = frame_alloc(m->acct, FRAME_4K, &e.hpa);
	}
	if (err != 0)
		return err;
	err = append(m, e.hpa, PAGE_SHIFT);
	if (err != 0)
		free_leaf(m, &e);
	return err;
}

/* One contiguous run, all or nothing. */
static int grow_run(struct mem *m, unsigned n)
{
	uint64_t before = m->pages;
	struct pt_entry e;
	hpa_t hpa;
	int err = frame_alloc_run(m->acct, n, &hpa);

	if (err != 0)
		return err;
	for (unsigned i = 0; i < n && err == 0; i++)
		err = append(m, hpa + i * PAGE_SIZE, PAGE_SHIFT);
	if (err == 0)
		return 0;
	while (m->pages > before) {
		(void)pt_unmap(&m->frames, --m->pages << PAGE_SHIFT, &e);
		m->held--;
	}
	for (unsigned i = 0; i < n; i++)
		frame_free(m->acct, hpa + i * PAGE_SIZE, FRAME_4K);
	return err;
}

static int grow_towards(struct mem *m, uint64_t final_pages)
{
	uint64_t target = MIN(final_pages, m->pages + HV_GROW_MAX);
	int err = 0;

	if (m->flags & HVM_DMA)
		return grow_run(m, (unsigned)(target - m->pages));
	while (m->pages < target && err == 0) {
		bool large = (m->flags & HVM_HV) == 0 && m->pages % LARGE_PAGES == 0 &&
			     target - m->pages >= LARGE_PAGES;

		if (!large || grow_large(m, final_pages) != 0)
			err = grow_page(m);
	}
	return err;
}

int mem_grow(struct mem *m, uint64_t pages, uint64_t *now)
{
	int err = 0;

	if (pages > MEM_PAGES_MAX)
		return -HVE_INVAL;
	spin_lock(&m->lock);
	if (pages > m->pages)
		err = grow_towards(m, pages);
	*now = m->pages;
	spin_unlock(&m->lock);
	return err;
}

void mem_recharge(struct mem *m, struct account *acct)
{
	spin_lock(&m->lock);
	account_move(m->acct, acct, m->held + m->frames.tables);
	m->acct = acct;
	m->frames.acct = acct;
	spin_unlock(&m->lock);
}

static int lookup(const struct mem *m, uint64_t page_off, hpa_t *hpa, uint64_t *run_pages)
{
	uint64_t va = page_off << PAGE_SHIFT;
	struct pt_entry e;

	if (page_off >= m->pages)
		return -HVE_INVAL;
	if (!pt_lookup(&m->frames, va, &e)) {
		*run_pages = pt_next(&m->frames, va, m->pages << PAGE_SHIFT, &e)
				     ? (e.va - va) >> PAGE_SHIFT
				     : m->pages - page_off;
		return -HVE_NOENT;
	}
	*hpa = e.hpa + (va - e.va);
	*run_pages = (e.va + (1ull << e.shift) - va) >> PAGE_SHIFT;
	return 0;
}

int mem_lookup(struct mem *m, uint64_t page_off, hpa_t *hpa, uint64_t *run_pages)
{
	int err;

	spin_lock(&m->lock);
	err = lookup(m, page_off, hpa, run_pages);
	spin_unlock(&m->lock);
	return err;
}

void *mem_hv_page(struct mem *m, uint64_t page_off)
{
	uint64_t run;
	hpa_t hpa;

	if ((m->flags & HVM_HV) == 0 || mem_lookup(m, page_off, &hpa, &run) != 0)
		return NULL;
	return phys_to_hv(hpa);
}

int mem_from_frames(hpa_t start, uint64_t pages, struct account *acct, struct mem **out)
{
	struct mem *m;
	int err = mem_create(0, acct, &m);

	if (err != 0)
		return err;
	err = frame_adopt(acct, start, pages);
	for (uint64_t i = 0; i < pages && err == 0; i++) {
		err = append(m, start + i * PAGE_SIZE, PAGE_SHIFT);
		if (err == 0)
			continue;
		for (uint64_t rest = i; rest < pages; rest++) /* the object frees those before */
			frame_free(acct, start + rest * PAGE_SIZE, FRAME_4K);
	}
	if (err == 0)
		*out = m;
	else
		object_put(&m->obj);
	return err;
}

/* ---- holes ---- */

static int fill(struct mem *m, uint64_t page_off, uint64_t reserve, hpa_t *hpa)
{
	struct frame_stats stats;
	int err;

	frame_stats(&stats);
	if (stats.free <= reserve)
		return -HVE_NOMEM;
	err = frame_alloc(m->acct, FRAME_4K, hpa);
	if (err != 0)
		return err;
	err = pt_map(&m->frames, page_off << PAGE_SHIFT, *hpa, PAGE_SHIFT, PT_R);
	if (err == 0)
		m->held++;
	else
		frame_free(m->acct, *hpa, FRAME_4K);
	return err;
}

int mem_fill(struct mem *m, uint64_t page_off, uint64_t reserve, hpa_t *hpa)
{
	struct pt_entry e;
	int err = 0;

	spin_lock(&m->lock);
	if (page_off >= m->pages)
		err = -HVE_INVAL;
	else if (pt_lookup(&m->frames, page_off << PAGE_SHIFT, &e))
		*hpa = e.hpa + ((page_off << PAGE_SHIFT) - e.va);
	else
		err = fill(m, page_off, reserve, hpa);
	spin_unlock(&m->lock);
	return err;
}

void mem_drop(struct mem *m, uint64_t page_off, uint64_t pages)
{
	uint64_t at = page_off << PAGE_SHIFT, end = (page_off + pages) << PAGE_SHIFT;
	struct pt_entry e;

	while (pt_next(&m->frames, at, end, &e)) {
		at = e.va + (1ull << e.shift);
		(void)pt_unmap(&m->frames, e.va, &e);
		m->held -= (1ull << e.shift) >> PAGE_SHIFT;
		free_leaf(m, &e);
	}
}

void mem_unmapped(struct mem *m)
{
	spin_lock(&m->lock);
	assert(m->mapped != 0);
	m->mapped--;
	spin_unlock(&m->lock);
}

/* ---- mapping ---- */

/* Does a GiB from page_off on lie in one piece at hpa? */
static bool is_giga(const struct mem *m, uint64_t page_off, hpa_t hpa)
{
	for (uint64_t k = 0; k < GIGA_PAGES; k += LARGE_PAGES) {
		uint64_t run;
		hpa_t at;

		if (lookup(m, page_off + k, &at, &run) != 0 || run < LARGE_PAGES ||
		    at != hpa + (k << PAGE_SHIFT))
			return false;
	}
	return true;
}

/* The largest page that can stand at va; `left` bytes are to be mapped from there. */
static unsigned best_shift(const struct mem *m, uint64_t page_off, hpa_t hpa, uint64_t run_pages,
			   uint64_t va, uint64_t left, bool giga)
{
	if ((va | hpa) % LARGE_SIZE != 0 || run_pages < LARGE_PAGES || left < LARGE_SIZE)
		return PAGE_SHIFT;
	if (giga && (va | hpa) % GIGA_SIZE == 0 && left >= GIGA_SIZE && is_giga(m, page_off, hpa))
		return GIGA_SHIFT;
	return LARGE_SHIFT;
}

int mem_map_into(struct mem *m, uint64_t page_off, uint64_t pages, struct pt *pt, uint64_t va,
		 unsigned prot)
{
	uint64_t at = va;
	uint64_t end;
	int err = 0;

	if (va % PAGE_SIZE != 0 || pages == 0 || pages > MEM_PAGES_MAX ||
	    ADD_OVERFLOW(va, pages << PAGE_SHIFT, &end))
		return -HVE_INVAL;
	spin_lock(&m->lock);
	if (page_off > m->pages || pages > m->pages - page_off)
		err = -HVE_INVAL;
	while (at < end && err == 0) {
		uint64_t off = page_off + ((at - va) >> PAGE_SHIFT);
		uint64_t run;
		hpa_t hpa;
		unsigned shift;

		err = lookup(m, off, &hpa, &run);
		if (err == -HVE_NOENT) {
			err = 0;
			at += MIN(run << PAGE_SHIFT, end - at);
			continue;
		}
		if (err != 0)
			break;
		shift = best_shift(m, off, hpa, run, at, end - at, pt->giga);
		err = pt_map(pt, at, hpa, shift, prot | PT_BORROWED);
		if (err == 0)
			at += 1ull << shift;
	}
	if (err == 0)
		m->mapped++;
	spin_unlock(&m->lock);
	if (err != 0)
		pt_clear(pt, va, at);
	return err;
}
