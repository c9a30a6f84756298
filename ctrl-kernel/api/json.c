/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Typed decoding of JSON (json.h). cJSON makes the tree; everything it is lenient about was refused by json_scan()
 * before, or is checked here.
 */
#include "ctrl-kernel/api/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "cJSON.h"
#include "ctrl-kernel/api/json_scan.h"

#define EXACT_MAX 9007199254740992.0 /* 2^53: a double holds every integer up to here */

void json_error_add(struct json_errors *errors, const char *pointer, const char *format, ...)
{
	struct json_error *e;
	va_list ap;

	if (errors->n >= JSON_ERRORS_MAX)
		return;
	e = &errors->e[errors->n++];
	e->line = 0;
	snprintf(e->pointer, sizeof(e->pointer), "%s", pointer);
	va_start(ap, format);
	vsnprintf(e->detail, sizeof(e->detail), format, ap);
	va_end(ap);
}

struct cJSON *json_parse(const char *text, size_t len, struct json_errors *errors)
{
	struct json_place place;
	cJSON *root;

	if (!json_scan(text, len, &place)) {
		json_error_add(errors, "", "line %u, column %u: %s", place.line, place.column,
			       place.wrong);
		errors->e[errors->n - 1].line = place.line;
		return NULL;
	}
	root = cJSON_ParseWithLength(text, len);
	if (!root)
		errors->no_memory = true; /* the grammar was checked */
	return root;
}

bool json_size_text(const char *text, uint64_t *bytes)
{
	static const struct {
		const char *unit;
		unsigned shift;
	} units[] = {{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
	uint64_t n = 0;
	const char *at = text;

	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*at - '0'), &n))
			return false;
	if (at == text)
		return false;
	for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(at, units[i].unit) != 0)
			continue;
		if (n > UINT64_MAX >> units[i].shift)
			return false;
		*bytes = n << units[i].shift;
		return true;
	}
	return false;
}

void json_pointer_from_field(const char *field, char *out, size_t size)
{
	size_t n = 0;

	if (*field && n + 1 < size)
		out[n++] = '/';
	for (; *field && n + 1 < size; field++)
		out[n++] = *field == '.' ? '/' : *field;
	out[n] = '\0';
}

/* A member's pointer: parent + "/" + name, escaped and cut to the buffer. */
static void pointer_join(char out[96], const char *parent, const char *name)
{
	size_t n = (size_t)snprintf(out, 96, "%s/", parent);

	for (; n + 3 < 96 && *name; name++) {
		if (*name == '~' || *name == '/') {
			out[n++] = '~';
			out[n++] = *name == '~' ? '0' : '1';
		} else {
			out[n++] = *name;
		}
	}
	out[n < 95 ? n : 95] = '\0';
}

/* ---- values ---- */

static bool whole_number(const cJSON *item, uint64_t *out)
{
	double d = item->valuedouble;

	if (!cJSON_IsNumber(item) || !(d >= 0 && d <= EXACT_MAX))
		return false;
	*out = (uint64_t)d;
	return (double)*out == d;
}

static bool decode_string(const cJSON *item, const struct json_field *f, void *to,
			  const char *pointer, struct json_errors *errors)
{
	if (!cJSON_IsString(item)) {
		json_error_add(errors, pointer, "must be a string");
		return false;
	}
	if (strlen(item->valuestring) >= f->size) {
		json_error_add(errors, pointer, "must have at most %zu bytes", f->size - 1);
		return false;
	}
	snprintf(to, f->size, "%s", item->valuestring);
	return true;
}

static bool decode_u32(const cJSON *item, void *to, const char *pointer, struct json_errors *errors)
{
	uint64_t n;

	if (!whole_number(item, &n) || n > UINT32_MAX) {
		json_error_add(errors, pointer, "must be an integer from 0 to %u", UINT32_MAX);
		return false;
	}
	*(uint32_t *)to = (uint32_t)n;
	return true;
}

static bool decode_size(const cJSON *item, void *to, const char *pointer,
			struct json_errors *errors)
{
	uint64_t n;

	if (cJSON_IsString(item) ? json_size_text(item->valuestring, &n) : whole_number(item, &n)) {
		*(uint64_t *)to = n;
		return true;
	}
	json_error_add(errors, pointer,
		       "must be a number of bytes, or a string like \"256MiB\" (KiB, MiB, GiB, "
		       "TiB)");
	return false;
}

static bool decode_bool(const cJSON *item, void *to, const char *pointer,
			struct json_errors *errors)
{
	if (!cJSON_IsBool(item)) {
		json_error_add(errors, pointer, "must be true or false");
		return false;
	}
	*(bool *)to = cJSON_IsTrue(item);
	return true;
}

static bool decode_object(const cJSON *item, const struct json_object *object, bool partial,
			  void *out, const char *pointer, struct json_errors *errors);

static bool decode_element(const cJSON *item, const struct json_field *f, void *to,
			   const char *pointer, struct json_errors *errors)
{
	switch (f->type) {
	case JSON_OBJECTS:
		return json_decode(item, f->object, to, pointer, errors);
	case JSON_U32S:
		return decode_u32(item, to, pointer, errors);
	default:
		return decode_string(item, f, to, pointer, errors);
	}
}

static const char *elements(enum json_type type)
{
	return type == JSON_OBJECTS ? "objects" : type == JSON_U32S ? "integers" : "strings";
}

static bool decode_array(const cJSON *item, const struct json_field *f, void *base,
			 const char *pointer, struct json_errors *errors)
{
	uint32_t *count = (uint32_t *)((char *)base + f->count_offset);
	char *to = (char *)base + f->offset;
	const cJSON *member;
	bool ok = true;
	unsigned n = 0;

	if (!cJSON_IsArray(item)) {
		json_error_add(errors, pointer, "must be an array of %s", elements(f->type));
		return false;
	}
	memset(to, 0, f->max * f->size);
	cJSON_ArrayForEach(member, item)
	{
		char where[96];

		if (n == f->max) {
			json_error_add(errors, pointer, "must have at most %u elements", f->max);
			return false;
		}
		snprintf(where, sizeof(where), "%.80s/%u", pointer, n);
		ok &= decode_element(member, f, to + n * f->size, where, errors);
		n++;
	}
	*count = n;
	return ok;
}

static bool decode_field(const cJSON *item, const struct json_field *f, bool partial, void *base,
			 const char *pointer, struct json_errors *errors)
{
	void *to = (char *)base + f->offset;

	if (cJSON_IsNull(item) && !f->required)
		return true; /* as good as absent */
	switch (f->type) {
	case JSON_STRING:
		return decode_string(item, f, to, pointer, errors);
	case JSON_U32:
		return decode_u32(item, to, pointer, errors);
	case JSON_SIZE:
		return decode_size(item, to, pointer, errors);
	case JSON_BOOL:
		return decode_bool(item, to, pointer, errors);
	case JSON_OBJECT:
		return decode_object(item, f->object, partial, base, pointer, errors);
	case JSON_STRINGS:
	case JSON_U32S:
	case JSON_OBJECTS:
		return decode_array(item, f, base, pointer, errors);
	}
	return false;
}

/* ---- objects ---- */

/* -> index, or object->n. */
static unsigned field_find(const struct json_object *object, const char *name)
{
	unsigned i = 0;

	while (i < object->n && strcmp(object->fields[i].name, name) != 0)
		i++;
	return i;
}

static bool decode_member(const cJSON *item, const struct json_object *object, bool partial,
			  void *out, const char *pointer, uint32_t *seen,
			  struct json_errors *errors)
{
	unsigned i = field_find(object, item->string);
	char where[96];

	pointer_join(where, pointer, item->string);
	if (i == object->n) {
		json_error_add(errors, where, "there is no such field");
		return false;
	}
	if (*seen & 1u << i) {
		json_error_add(errors, where, "this field is given twice");
		return false;
	}
	*seen |= 1u << i;
	return decode_field(item, &object->fields[i], partial, out, where, errors);
}

/* Recursion is as deep as the tables nest. */
static bool decode_object(const cJSON *item, const struct json_object *object, bool partial,
			  void *out, const char *pointer, struct json_errors *errors)
{
	const cJSON *member;
	uint32_t seen = 0;
	bool ok = true;

	if (!cJSON_IsObject(item)) {
		json_error_add(errors, pointer, "must be an object");
		return false;
	}
	cJSON_ArrayForEach(member, item)
	{
		ok &= decode_member(member, object, partial, out, pointer, &seen, errors);
		if (errors->n == JSON_ERRORS_MAX)
			return false;
	}
	for (unsigned i = 0; i < object->n; i++) {
		char where[96];

		if (partial || !object->fields[i].required || (seen & 1u << i))
			continue;
		pointer_join(where, pointer, object->fields[i].name);
		json_error_add(errors, where, "this field is missing");
		ok = false;
	}
	return ok;
}

bool json_decode(const struct cJSON *item, const struct json_object *object, void *out,
		 const char *pointer, struct json_errors *errors)
{
	return decode_object(item, object, false, out, pointer, errors);
}

bool json_decode_change(const struct cJSON *item, const struct json_object *object, void *out,
			const char *pointer, struct json_errors *errors)
{
	return decode_object(item, object, true, out, pointer, errors);
}
