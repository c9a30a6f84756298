/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Physical memory for tests of hv/mm: a sparse arena whose offsets are physical addresses. Counts what is zeroed and
 * which chunks stand in the direct map; a failing assert() in hv code ends the test.
 */
#ifndef TESTS_UNIT_MM_FAKES_H
#define TESTS_UNIT_MM_FAKES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "hv/abi/hv_abi.h"
#include "hv/lib/types.h"
#include "hv/mm/frame.h"

#define ARENA (6ull << 30)
#define MIB (1ull << 20)

static char *arena;
static uint64_t zeroed;                /* bytes by phys_zero */
static uint8_t in_direct[ARENA >> 21]; /* chunks */
static unsigned direct_errors;

static void arena_make(void)
{
	arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena == MAP_FAILED)
		abort();
}

hpa_t hv_to_phys(const void *p)
{
	return (hpa_t)((const char *)p - arena);
}

void *phys_to_hv(hpa_t hpa)
{
	if (hpa >= ARENA)
		abort();
	return arena + hpa;
}

void phys_zero(hpa_t hpa, uint64_t len)
{
	memset(phys_to_hv(hpa), 0, len);
	zeroed += len;
}

void direct_map_chunk(hpa_t start, bool present)
{
	direct_errors += in_direct[start >> 21] == present;
	in_direct[start >> 21] = present;
}

void log_printf(const char *format, ...)
{
	(void)format;
}

void panic(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	abort();
}

void assert_failed(const char *what, const char *file, int line)
{
	mock_assert(0, what, file, line);
	abort();
}

#endif
