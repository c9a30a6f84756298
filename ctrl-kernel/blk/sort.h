/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A sort for arrays that come from a disk: heap sort, so that no order of its input makes it slow, as one can for the C
 * library's quick sort. No memory, no recursion, not stable.
 */
#ifndef BLK_SORT_H
#define BLK_SORT_H

#include <stddef.h>

/* As qsort(3); size at most 64. */
void heap_sort(void *array, size_t count, size_t size, int (*compare)(const void *, const void *));

#endif
