/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From JSON text to typed structs, by tables. Unknown, duplicate and missing fields, wrong types and numbers out of
 * range are errors, each with the RFC 6901 pointer of the value at fault.
 */
#ifndef API_JSON_H
#define API_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_ERRORS_MAX 8u

struct cJSON;

enum json_type {
	JSON_STRING, /* char[size] */
	JSON_U32,    /* uint32_t */
	JSON_SIZE,   /* uint64_t: bytes, an integer or a string like "256MiB" */
	JSON_BOOL,   /* bool */
	JSON_OBJECT, /* a struct described by object; its fields lie in the same struct as this one's */
	JSON_STRINGS, /* an array of char[size], at most max; their number goes to count_offset */
	JSON_U32S,    /* an array of uint32_t, likewise; size is theirs */
	JSON_OBJECTS, /* an array of structs of `size` bytes, at most max; their number goes to count_offset */
};

struct json_object;

struct json_field {
	const char *name;
	enum json_type type;
	bool required;
	size_t offset, size;
	unsigned max;
	size_t count_offset; /* uint32_t */
	const struct json_object *object;
};

struct json_object {
	const struct json_field *fields;
	unsigned n; /* at most 32 */
};

struct json_error {
	char pointer[96];
	char detail[192];
	unsigned line; /* 0: not known */
};

struct json_errors {
	bool no_memory;
	unsigned n; /* the first JSON_ERRORS_MAX are kept */
	struct json_error e[JSON_ERRORS_MAX];
};

void json_error_add(struct json_errors *errors, const char *pointer, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* text[len] is NUL. NULL: errors says why. The caller frees it with cJSON_Delete(). */
struct cJSON *json_parse(const char *text, size_t len, struct json_errors *errors);
/* Fills *out; what is absent keeps its value. pointer: of the item itself, "" for the root. */
bool json_decode(const struct cJSON *item, const struct json_object *object, void *out,
		 const char *pointer, struct json_errors *errors);
/* The same of a change: nothing is required, nor in objects inside (but in elements of arrays, which are replaced whole). */
bool json_decode_change(const struct cJSON *item, const struct json_object *object, void *out,
			const char *pointer, struct json_errors *errors);
/* "256MiB" -> bytes. */
bool json_size_text(const char *text, uint64_t *bytes);
/* "boot.modules.2.image" -> "/boot/modules/2/image" */
void json_pointer_from_field(const char *field, char *out, size_t size);

#endif
