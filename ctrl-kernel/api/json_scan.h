/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A strict look at JSON text before cJSON gets it: RFC 8259 grammar, UTF-8, nesting, no NUL in strings. It allocates
 * nothing and does not recurse. It can also find the place of a value, which cJSON does not keep.
 */
#ifndef API_JSON_SCAN_H
#define API_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#define JSON_DEPTH_MAX 16u

struct json_place {
	unsigned line, column; /* from 1 */
	const char *wrong;     /* a sentence; NULL: nothing */
};

/* text[len] is NUL. -> whether it is one JSON value; if not *at says where and why. */
bool json_scan(const char *text, size_t len, struct json_place *at);
/* The text of that value in text that json_scan() accepted: *len bytes; NULL: not there. */
const char *json_text(const char *text, size_t len, const char *pointer, size_t *value_len);
/* The place of the value with that RFC 6901 pointer in text that json_scan() accepted; false: not there. */
bool json_locate(const char *text, size_t len, const char *pointer, struct json_place *at);

#endif
