/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside ops: fields of records that an instance which died may have damaged. Pure. */
#ifndef OPS_SANE_H
#define OPS_SANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline bool text_ends(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

/* A bool may be read only when it is one. */
static inline bool is_bool(const bool *at)
{
	uint8_t value;

	memcpy(&value, at, sizeof(value));
	return value <= 1;
}

#endif
