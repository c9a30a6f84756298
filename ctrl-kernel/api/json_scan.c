/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small JSON state machine (json_scan.h). One stack entry for each open object or array; while a pointer is being
 * looked for, each entry also knows how much of the pointer its members match.
 */
#include "ctrl-kernel/api/json_scan.h"

#include <stdio.h>
#include <string.h>
#include "ctrl-kernel/api/out.h"

#define NUMBER_MAX 32u /* cJSON copies numbers into 64 bytes */

enum want { WANT_VALUE, WANT_FIRST, WANT_KEY, WANT_COLON, WANT_NEXT, WANT_END };

struct level {
	bool array;
	bool match;       /* the path to this container is a prefix of the pointer */
	unsigned index;   /* of the array's member being read */
	const char *rest; /* of the pointer, below this container */
};

struct scan {
	const char *text, *at, *end;
	const char *wrong;
	struct level level[JSON_DEPTH_MAX];
	unsigned depth;
	enum want want;
	const char *rest; /* pointer left for the value that comes next; NULL: not on the path */
	const char *found;
};

static bool fail(struct scan *s, const char *wrong)
{
	s->wrong = wrong;
	return false;
}

/* ---- tokens ---- */

/* Four hexadecimal digits at at -> value, -1: they are not. */
static int hex4(const char *at)
{
	int value = 0;

	for (unsigned i = 0; i < 4; i++) {
		char c = at[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			value = value << 4 | ((c | 0x20) - 'a' + 10);
		else
			return -1;
	}
	return value;
}

static bool scan_unicode(struct scan *s)
{
	int first = hex4(s->at + 1), second;

	if (first < 0)
		return fail(s, "\\u takes four hexadecimal digits");
	if (first == 0)
		return fail(s, "a string must not contain NUL");
	s->at += 5;
	if (first < 0xd800 || first > 0xdfff)
		return true;
	/* A surrogate: only as a pair, the high one first. */
	second = s->at[0] == '\\' && s->at[1] == 'u' ? hex4(s->at + 2) : -1;
	if (first > 0xdbff || second < 0xdc00 || second > 0xdfff)
		return fail(s, "half of a surrogate pair in a string");
	s->at += 6;
	return true;
}

static bool scan_escape(struct scan *s)
{
	s->at++;
	if (*s->at == 'u')
		return scan_unicode(s);
	if (!*s->at || !strchr("\"\\/bfnrt", *s->at))
		return fail(s, "an unknown escape in a string");
	s->at++;
	return true;
}

static bool scan_string(struct scan *s)
{
	s->at++;
	while (s->at < s->end && *s->at != '"') {
		unsigned n = utf8_len(s->at);

		if (n == 0)
			return fail(s, "a string is not UTF-8");
		if ((unsigned char)*s->at < 0x20)
			return fail(s, "a control character in a string must be escaped");
		if (*s->at == '\\') {
			if (!scan_escape(s))
				return false;
		} else {
			s->at += n;
		}
	}
	if (s->at >= s->end)
		return fail(s, "a string does not end");
	s->at++;
	return true;
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool scan_digits(struct scan *s)
{
	if (!digit(*s->at))
		return fail(s, "a digit is missing in a number");
	while (digit(*s->at))
		s->at++;
	return true;
}

static bool scan_number(struct scan *s)
{
	if (strspn(s->at, "+-0123456789.eE") > NUMBER_MAX)
		return fail(s, "a number has too many digits");
	if (*s->at == '-')
		s->at++;
	if (*s->at == '0' && digit(s->at[1]))
		return fail(s, "a number must not begin with 0");
	if (!scan_digits(s))
		return false;
	if (*s->at == '.') {
		s->at++;
		if (!scan_digits(s))
			return false;
	}
	if (*s->at == 'e' || *s->at == 'E') {
		s->at++;
		if (*s->at == '+' || *s->at == '-')
			s->at++;
		return scan_digits(s);
	}
	return true;
}

static bool scan_word(struct scan *s)
{
	static const char *const words[] = {"true", "false", "null"};

	for (unsigned i = 0; i < 3; i++) {
		size_t n = strlen(words[i]);

		if (strncmp(s->at, words[i], n) == 0) {
			s->at += n;
			return true;
		}
	}
	return fail(s, "a value is expected here");
}

/* ---- the pointer ---- */

/* Does the pointer's next segment equal this name? -> what is left of the pointer, NULL: no. */
static const char *segment_match(const char *rest, const char *name, size_t len)
{
	size_t i = 0;

	if (!rest || *rest != '/')
		return NULL;
	for (rest++; *rest && *rest != '/'; rest++, i++) {
		char c = *rest;

		if (c == '~') { /* RFC 6901 3 */
			rest++;
			c = *rest == '1' ? '/' : '~';
		}
		if (i >= len || name[i] != c)
			return NULL;
	}
	return i == len ? rest : NULL;
}

static void path_index(struct scan *s, struct level *l)
{
	char name[12];
	int n = snprintf(name, sizeof(name), "%u", l->index);

	s->rest = l->match ? segment_match(l->rest, name, (size_t)n) : NULL;
}

/* ---- structure ---- */

static bool scan_open(struct scan *s)
{
	struct level *l = &s->level[s->depth];

	if (s->depth == JSON_DEPTH_MAX)
		return fail(s, "objects and arrays are nested more than 16 deep");
	l->array = *s->at == '[';
	l->index = 0;
	l->rest = s->rest;
	l->match = s->rest != NULL;
	s->depth++;
	s->at++;
	s->want = WANT_FIRST;
	return true;
}

static bool scan_close(struct scan *s)
{
	if (s->depth == 0 || (s->level[s->depth - 1].array != (*s->at == ']')))
		return fail(s, "this bracket closes nothing");
	s->depth--;
	s->at++;
	s->want = s->depth ? WANT_NEXT : WANT_END;
	return true;
}

static bool scan_value(struct scan *s)
{
	bool ok;

	if (s->rest && *s->rest == '\0' && !s->found)
		s->found = s->at;
	if (*s->at == '{' || *s->at == '[')
		return scan_open(s);
	if (*s->at == '"')
		ok = scan_string(s);
	else if (*s->at == '-' || digit(*s->at))
		ok = scan_number(s);
	else
		ok = scan_word(s);
	s->want = s->depth ? WANT_NEXT : WANT_END;
	return ok;
}

static bool scan_key(struct scan *s)
{
	struct level *l = &s->level[s->depth - 1];
	const char *name = s->at + 1;

	if (*s->at != '"')
		return fail(s, "a name in double quotes is expected here");
	if (!scan_string(s))
		return false;
	s->rest = l->match ? segment_match(l->rest, name, (size_t)(s->at - 1 - name)) : NULL;
	s->want = WANT_COLON;
	return true;
}

static bool scan_member(struct scan *s)
{
	struct level *l = &s->level[s->depth - 1];

	if (!l->array)
		return scan_key(s);
	path_index(s, l);
	return scan_value(s);
}

static bool scan_next(struct scan *s)
{
	if (*s->at == '}' || *s->at == ']')
		return scan_close(s);
	if (*s->at != ',')
		return fail(s, "a comma or a closing bracket is expected here");
	s->at++;
	s->level[s->depth - 1].index++;
	s->want = WANT_KEY;
	return true;
}

static bool scan_step(struct scan *s)
{
	switch (s->want) {
	case WANT_VALUE:
		return scan_value(s);
	case WANT_FIRST:
		if (*s->at == '}' || *s->at == ']')
			return scan_close(s);
		return scan_member(s);
	case WANT_KEY:
		return scan_member(s);
	case WANT_COLON:
		if (*s->at != ':')
			return fail(s, "a colon is expected here");
		s->at++;
		s->want = WANT_VALUE;
		return true;
	case WANT_NEXT:
		return scan_next(s);
	case WANT_END:
		break;
	}
	return fail(s, "there is text after the end of the JSON value");
}

static bool scan_run(struct scan *s)
{
	for (;;) {
		s->at += strspn(s->at, " \t\r\n");
		if (s->at >= s->end)
			break;
		if (!scan_step(s))
			return false;
	}
	if (s->want != WANT_END)
		return fail(s, "the JSON text ends too early");
	return true;
}

static void place_of(const struct scan *s, const char *at, struct json_place *out)
{
	out->line = 1;
	out->column = 1;
	for (const char *c = s->text; c < at; c++) {
		out->column++;
		if (*c == '\n') {
			out->line++;
			out->column = 1;
		}
	}
	out->wrong = s->wrong;
}

bool json_scan(const char *text, size_t len, struct json_place *at)
{
	struct scan s = {.text = text, .at = text, .end = text + len, .want = WANT_VALUE};
	bool ok = scan_run(&s);

	if (ok && s.at != s.end)
		ok = fail(&s, "there is a NUL in the JSON text");
	if (!ok)
		place_of(&s, s.at, at);
	return ok;
}

bool json_locate(const char *text, size_t len, const char *pointer, struct json_place *at)
{
	struct scan s = {
		.text = text, .at = text, .end = text + len, .want = WANT_VALUE, .rest = pointer};

	if (!scan_run(&s) || !s.found)
		return false;
	place_of(&s, s.found, at);
	return true;
}

/* Of a value in accepted text, which has an end: the first comma or bracket that is not inside of it. */
static size_t value_len(const char *value)
{
	const char *at = value;
	unsigned depth = 0;
	bool string = false;

	for (; *at; at++) {
		if (string && *at == '\\') {
			at++;
		} else if (*at == '"') {
			string = !string;
		} else if (!string && (*at == '{' || *at == '[')) {
			depth++;
		} else if (!string && (*at == '}' || *at == ']' || *at == ',')) {
			if (depth == 0)
				break;
			depth -= *at != ',';
		}
	}
	return (size_t)(at - value);
}

const char *json_text(const char *text, size_t len, const char *pointer, size_t *out)
{
	struct scan s = {
		.text = text, .at = text, .end = text + len, .want = WANT_VALUE, .rest = pointer};

	if (!scan_run(&s) || !s.found)
		return NULL;
	*out = value_len(s.found);
	return s.found;
}
