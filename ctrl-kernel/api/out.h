/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing JSON into a struct buf. key NULL: an element of an array. Nesting is the caller's: open and close in pairs.
 */
#ifndef API_OUT_H
#define API_OUT_H

#include "ctrl-kernel/api/buf.h"

struct out {
	struct buf *b; /* [borrows] */
	bool comma;    /* something stands before in this object or array */
};

void out_object(struct out *o, const char *key);
void out_array(struct out *o, const char *key);
void out_close(struct out *o, char bracket);                     /* '}' or ']' */
void out_str(struct out *o, const char *key, const char *value); /* not UTF-8: '?' in its place */
void out_u64(struct out *o, const char *key, uint64_t value);
void out_bool(struct out *o, const char *key, bool value);
void out_json(struct out *o, const char *key, const char *text); /* which is JSON */
void out_null(struct out *o, const char *key);
void out_optional(struct out *o, const char *key, const char *value); /* null when it is "" */
void out_hex(struct out *o, const char *key, const uint8_t *bytes, size_t len);
/* RFC 3339 UTC; null when utc_ns is 0. */
void out_time(struct out *o, const char *key, uint64_t utc_ns);

/* Length of the UTF-8 character at s, 0: malformed. s is NUL-terminated. */
unsigned utf8_len(const char *s);

#endif
