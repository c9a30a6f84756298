/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Handles: index in the low 12 bits, generation above, so that a closed handle's number does not come back soon.
 * Pages of the table are made when the earlier ones are full: a vmm needs one.
 */
#include "hv/prog/handle.h"

#define INDEX_BITS 12u
#define INDEX_MASK ((1u << INDEX_BITS) - 1)
#define GENERATION_MAX ((1u << (32 - INDEX_BITS)) - 1)

_Static_assert(PROG_HANDLES <= INDEX_MASK + 1 && (PROG_HANDLES & (PROG_HANDLES - 1)) == 0,
	       "an index is checked by its bits");

/* NULL: nothing there, or stale. Safe against grants going on: they publish obj last. */
static inline struct handle *slot_of(struct prog *p, uint64_t h)
{
	uint32_t index = (uint32_t)h & INDEX_MASK;
	struct handle *page, *slot;

	if (h >> 32 || index >= PROG_HANDLES)
		return NULL;
	index &= PROG_HANDLES - 1; /* in speculation too */
	page = __atomic_load_n(&p->handles[index / HANDLES_PER_PAGE], __ATOMIC_ACQUIRE);
	if (!page)
		return NULL;
	slot = &page[index % HANDLES_PER_PAGE];
	if (!__atomic_load_n(&slot->obj, __ATOMIC_ACQUIRE) ||
	    slot->generation != (uint32_t)h >> INDEX_BITS)
		return NULL;
	return slot;
}

int handle_find(struct prog *p, uint64_t h, unsigned type, uint32_t rights, struct object **out)
{
	struct handle *slot = slot_of(p, h);

	if (UNLIKELY(!slot) || (type && slot->obj->type != type) ||
	    __atomic_load_n(&slot->obj->dead, __ATOMIC_RELAXED))
		return -HVE_HANDLE;
	if (UNLIKELY((slot->rights & rights) != rights))
		return -HVE_RIGHTS;
	*out = slot->obj;
	return 0;
}

uint32_t handle_rights(struct prog *p, uint64_t h)
{
	struct handle *slot = slot_of(p, h);

	return slot ? slot->rights : 0;
}

/* A free slot, its page made if need be; the grant lock is held. */
static int free_slot(struct prog *p, unsigned *index)
{
	for (unsigned i = 0; i < PROG_HANDLE_PAGES; i++) {
		struct handle *page = p->handles[i];

		if (!page) {
			page = hv_page_alloc(&p->acct);
			if (!page)
				return -HVE_NOMEM;
			__atomic_store_n(&p->handles[i], page, __ATOMIC_RELEASE);
		}
		for (unsigned j = 0; j < HANDLES_PER_PAGE; j++) {
			if (page[j].obj)
				continue;
			*index = i * HANDLES_PER_PAGE + j;
			return 0;
		}
	}
	return -HVE_LIMIT;
}

int handle_add(struct prog *p, struct object *o, uint32_t rights, uint32_t *h)
{
	struct handle *slot;
	unsigned index;
	int err;

	spin_lock(&p->grant_lock);
	err = p->sealed ? -HVE_STATE : free_slot(p, &index);
	if (err == 0) {
		slot = &p->handles[index / HANDLES_PER_PAGE][index % HANDLES_PER_PAGE];
		if (slot->generation == 0)
			slot->generation = 1;
		slot->rights = rights;
		object_get(o);
		*h = slot->generation << INDEX_BITS | index;
		__atomic_store_n(&slot->obj, o, __ATOMIC_RELEASE);
	}
	spin_unlock(&p->grant_lock);
	return err;
}

static void release(struct prog *p, struct handle *slot)
{
	struct object *o = slot->obj;

	spin_lock(&p->grant_lock);
	slot->obj = NULL;
	slot->rights = 0;
	slot->generation = slot->generation == GENERATION_MAX ? 1 : slot->generation + 1;
	spin_unlock(&p->grant_lock);
	object_put(o);
}

int handle_close(struct prog *p, uint64_t h)
{
	struct handle *slot = slot_of(p, h);

	if (!slot)
		return -HVE_HANDLE;
	release(p, slot);
	return 0;
}

/* All handles (o NULL) or those to o. */
static void close_matching(struct prog *p, const struct object *o)
{
	for (unsigned i = 0; i < PROG_HANDLES; i++) {
		struct handle *page = p->handles[i / HANDLES_PER_PAGE];
		struct handle *slot = page ? &page[i % HANDLES_PER_PAGE] : NULL;

		if (slot && slot->obj && (!o || slot->obj == o))
			release(p, slot);
	}
}

void handle_close_object(struct prog *p, const struct object *o)
{
	close_matching(p, o);
}

void handle_close_all(struct prog *p)
{
	spin_lock(&p->grant_lock);
	p->sealed = true;
	spin_unlock(&p->grant_lock);
	close_matching(p, NULL);
	for (unsigned i = 0; i < PROG_HANDLE_PAGES; i++) {
		if (p->handles[i])
			hv_page_free(&p->acct, p->handles[i]);
		p->handles[i] = NULL;
	}
}
