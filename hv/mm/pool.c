/* SPDX-License-Identifier: BSD-2-Clause */
/* Pools: see pool.h. A page is a header and up to 64 objects; its list holds the pages with room only. */
#include "hv/mm/pool.h"

#include "hv/lib/log.h"
#include "hv/lib/string.h"
#include "hv/mm/frame.h"

struct pool_page {
	struct pool_page *next, *prev; /* [L:lock] */
	uint64_t used;                 /* [L:lock] bit per object */
};

static unsigned per_page(const struct pool *p)
{
	return (unsigned)MIN(64u, (PAGE_SIZE - sizeof(struct pool_page)) / p->size);
}

static uint64_t all_used(const struct pool *p)
{
	return ~0ull >> (64 - per_page(p));
}

static void link_page(struct pool *p, struct pool_page *page)
{
	page->prev = NULL;
	page->next = p->pages;
	if (p->pages != NULL)
		p->pages->prev = page;
	p->pages = page;
}

static void unlink_page(struct pool *p, struct pool_page *page)
{
	if (page->prev != NULL)
		page->prev->next = page->next;
	else
		p->pages = page->next;
	if (page->next != NULL)
		page->next->prev = page->prev;
}

void *pool_alloc(struct pool *p)
{
	struct pool_page *page;
	char *object = NULL;
	unsigned i;

	spin_lock(&p->lock);
	page = p->pages;
	if (page == NULL) {
		page = hv_page_alloc(&account_hv);
		if (page == NULL)
			goto out;
		link_page(p, page);
	}
	i = (unsigned)__builtin_ctzll(~page->used);
	page->used |= 1ull << i;
	if (page->used == all_used(p))
		unlink_page(p, page);
	object = (char *)(page + 1) + i * p->size;
	memset(object, 0, p->size);
out:
	spin_unlock(&p->lock);
	return object;
}

void pool_free(struct pool *p, void *object)
{
	struct pool_page *page = (struct pool_page *)ALIGN_DOWN((uint64_t)object, PAGE_SIZE);
	uint64_t i = (uint64_t)((char *)object - (char *)(page + 1)) / p->size;
	bool was_full;

	spin_lock(&p->lock);
	assert((page->used >> i & 1) != 0);
	was_full = page->used == all_used(p);
	page->used &= ~(1ull << i);
	if (page->used == 0 && !was_full)
		unlink_page(p, page);
	else if (page->used != 0 && was_full)
		link_page(p, page);
	if (page->used == 0)
		hv_page_free(&account_hv, page);
	spin_unlock(&p->lock);
}
