/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small objects of one size, many to a page. A page is given back when its last object is, so counts are exact.
 * The pages are charged to account_hv.
 */
#ifndef HV_MM_POOL_H
#define HV_MM_POOL_H

#include "hv/lib/spinlock.h"

struct pool_page;
struct pool {
	struct spinlock lock;
	size_t size;             /* [I] of an object, a multiple of 8, at most 1 KiB */
	struct pool_page *pages; /* [L:lock] [owns] those with room */
};

void *pool_alloc(struct pool *p); /* zeroed; NULL: no memory */
void pool_free(struct pool *p, void *object);

#endif
