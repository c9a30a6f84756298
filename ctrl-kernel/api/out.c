/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing JSON (out.h).
 */
#include "ctrl-kernel/api/out.h"

#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000ull

unsigned utf8_len(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;
	unsigned n, low = 0x80, high = 0xbf;

	if (u[0] < 0x80)
		return 1;
	if (u[0] >= 0xc2 && u[0] <= 0xdf)
		n = 2;
	else if ((u[0] & 0xf0) == 0xe0)
		n = 3;
	else if (u[0] >= 0xf0 && u[0] <= 0xf4)
		n = 4;
	else
		return 0;
	/* Unicode table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF. */
	if (u[0] == 0xe0)
		low = 0xa0;
	else if (u[0] == 0xed)
		high = 0x9f;
	else if (u[0] == 0xf0)
		low = 0x90;
	else if (u[0] == 0xf4)
		high = 0x8f;
	if (u[1] < low || u[1] > high)
		return 0;
	for (unsigned i = 2; i < n; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* How many bytes from here on stand for themselves in a JSON string. */
static size_t plain_len(const char *s)
{
	const char *at = s;
	unsigned n;

	while ((unsigned char)*at >= 0x20 && *at != '"' && *at != '\\' && *at != 0x7f) {
		n = utf8_len(at);
		if (n == 0)
			break;
		at += n;
	}
	return (size_t)(at - s);
}

static void out_quoted(struct buf *b, const char *s)
{
	buf_add(b, "\"", 1);
	for (;;) {
		size_t n = plain_len(s);
		char pair[2] = {'\\', s[n]};

		buf_add(b, s, n);
		s += n;
		if (*s == '\0')
			break;
		if (*s == '"' || *s == '\\')
			buf_add(b, pair, sizeof(pair));
		else if ((unsigned char)*s < 0x20 || *s == 0x7f)
			buf_printf(b, "\\u%04x", (unsigned)*s);
		else
			buf_add(b, "?", 1); /* not UTF-8 */
		s++;
	}
	buf_add(b, "\"", 1);
}

static void out_key(struct out *o, const char *key)
{
	if (o->comma)
		buf_add(o->b, ",", 1);
	o->comma = true;
	if (key) {
		out_quoted(o->b, key);
		buf_add(o->b, ":", 1);
	}
}

void out_object(struct out *o, const char *key)
{
	out_key(o, key);
	buf_add(o->b, "{", 1);
	o->comma = false;
}

void out_array(struct out *o, const char *key)
{
	out_key(o, key);
	buf_add(o->b, "[", 1);
	o->comma = false;
}

void out_close(struct out *o, char bracket)
{
	buf_add(o->b, &bracket, 1);
	o->comma = true;
}

void out_str(struct out *o, const char *key, const char *value)
{
	out_key(o, key);
	out_quoted(o->b, value);
}

void out_json(struct out *o, const char *key, const char *text)
{
	out_key(o, key);
	buf_text(o->b, text);
}

void out_u64(struct out *o, const char *key, uint64_t value)
{
	out_key(o, key);
	buf_printf(o->b, "%llu", (unsigned long long)value);
}

void out_bool(struct out *o, const char *key, bool value)
{
	out_key(o, key);
	buf_text(o->b, value ? "true" : "false");
}

void out_null(struct out *o, const char *key)
{
	out_key(o, key);
	buf_text(o->b, "null");
}

void out_hex(struct out *o, const char *key, const uint8_t *bytes, size_t len)
{
	out_key(o, key);
	buf_add(o->b, "\"", 1);
	for (size_t i = 0; i < len; i++)
		buf_printf(o->b, "%02x", bytes[i]);
	buf_add(o->b, "\"", 1);
}

void out_time(struct out *o, const char *key, uint64_t utc_ns)
{
	time_t seconds = (time_t)(utc_ns / NS_PER_S);
	struct tm tm;

	if (utc_ns == 0 || !gmtime_r(&seconds, &tm)) {
		out_null(o, key);
		return;
	}
	out_key(o, key);
	buf_printf(o->b, "\"%04d-%02d-%02dT%02d:%02d:%02d.%03uZ\"", tm.tm_year + 1900,
		   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		   (unsigned)(utc_ns % NS_PER_S / 1000000));
}

void out_optional(struct out *o, const char *key, const char *value)
{
	if (*value)
		out_str(o, key, value);
	else
		out_null(o, key);
}
