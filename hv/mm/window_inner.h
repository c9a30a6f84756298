/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a CPU's windows lie (layout.h) and how init.c hands their page-table entries to window.c. */
#ifndef HV_MM_WINDOW_INNER_H
#define HV_MM_WINDOW_INNER_H

#include "hv/mm/init.h"

#define WINDOW_SMALL(i) (HV_CPU_BASE(i) + LARGE_SIZE)
#define WINDOW_LARGE(i) (HV_CPU_BASE(i) + 2 * LARGE_SIZE)

/* NOMEM when a slot is NULL. small: the first of WINDOWS consecutive entries. */
int window_init(unsigned cpu_index, uint64_t *small, uint64_t *large) MUST_CHECK;

#endif
