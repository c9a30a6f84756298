/* SPDX-License-Identifier: BSD-2-Clause */
/* Heap sort (sort.h). */
#include "ctrl-kernel/blk/sort.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#define MEMBER_MAX 64u

struct heap {
	uint8_t *at;
	size_t size;
	int (*compare)(const void *, const void *);
};

static void swap(const struct heap *h, size_t a, size_t b)
{
	uint8_t kept[MEMBER_MAX];

	memcpy(kept, h->at + a * h->size, h->size);
	memcpy(h->at + a * h->size, h->at + b * h->size, h->size);
	memcpy(h->at + b * h->size, kept, h->size);
}

/* Moves a member down until none of its children in [0, count) is greater. */
static void sink(const struct heap *h, size_t i, size_t count)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= count)
			return;
		if (child + 1 < count &&
		    h->compare(h->at + child * h->size, h->at + (child + 1) * h->size) < 0)
			child++;
		if (h->compare(h->at + i * h->size, h->at + child * h->size) >= 0)
			return;
		swap(h, i, child);
		i = child;
	}
}

void heap_sort(void *array, size_t count, size_t size, int (*compare)(const void *, const void *))
{
	const struct heap h = {.at = array, .size = size, .compare = compare};

	assert(size <= MEMBER_MAX);
	for (size_t i = count / 2; i-- > 0;)
		sink(&h, i, count);
	for (size_t i = count; i-- > 1;) {
		swap(&h, 0, i);
		sink(&h, 0, i);
	}
}
