/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A growing byte string for replies. When memory ends it turns `failed` and swallows the rest, so that writers need not
 * check each step; whoever sends it checks once.
 */
#ifndef API_BUF_H
#define API_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	char *data; /* [owns] NULL: empty */
	size_t len, room;
	bool failed;
};

void buf_free(struct buf *b); /* and empties it */
bool buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *data, size_t len);
void buf_text(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
