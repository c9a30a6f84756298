/* SPDX-License-Identifier: BSD-2-Clause */
/* Boot images made up for the loaders' tests: little-endian fields into a buffer, and a guest to load into. */
#ifndef TESTS_VMM_IMAGE_H
#define TESTS_VMM_IMAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ctrl-kernel/vmm/boot.h"
#include "ctrl-kernel/vmm/layout.h"

#define MEBI 0x100000ull

static inline void put16(uint8_t *p, uint64_t at, uint16_t v)
{
	memcpy(p + at, &v, 2);
}
static inline void put32(uint8_t *p, uint64_t at, uint32_t v)
{
	memcpy(p + at, &v, 4);
}
static inline void put64(uint8_t *p, uint64_t at, uint64_t v)
{
	memcpy(p + at, &v, 8);
}
static inline uint32_t get32(const uint8_t *p, uint64_t at)
{
	uint32_t v;

	memcpy(&v, p + at, 4);
	return v;
}
static inline uint64_t get64(const uint8_t *p, uint64_t at)
{
	uint64_t v;

	memcpy(&v, p + at, 8);
	return v;
}

/* Filled with rubbish: loaders must zero what they leave blank. Exactly bytes long, so ASan sees every overrun. */
static inline struct guest guest_make(uint64_t bytes)
{
	struct guest g = {malloc(bytes), bytes};

	assert_non_null(g.ram);
	memset(g.ram, 0xa5, bytes);
	return g;
}

/* A copy of exactly the size given, for the same reason. */
static inline struct boot_image image_make(const uint8_t *data, uint64_t bytes)
{
	uint8_t *copy = malloc(bytes ? bytes : 1);

	assert_non_null(copy);
	memcpy(copy, data, bytes);
	return (struct boot_image){copy, bytes, "image"};
}

static inline void image_free(struct boot_image *image)
{
	free((void *)image->data);
}

static inline void assert_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" does not say \"%s\"", text, part);
}

#endif
