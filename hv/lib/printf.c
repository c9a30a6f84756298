/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Formatting into a bounded buffer. Formats: see log.h. An unknown conversion is printed as it stands, and the
 * rest of the format is copied without touching the arguments, which could no longer be told apart.
 */
#include "hv/lib/log.h"

#include "hv/lib/string.h"

struct out {
	char *buf;
	size_t size, len; /* len: what would have been written */
};

struct spec {
	bool left, zero;
	unsigned width;
	int precision; /* -1: none */
	unsigned longs;
	bool size_t_arg;
};

#define NUMBER_MAX 65535u
#define WIDTH_MAX 64u /* bounds the padding a format can ask for */

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void put_field(struct out *o, const struct spec *s, const char *text, size_t len)
{
	size_t pad = s->width > len ? s->width - len : 0;

	for (size_t i = 0; i < pad && !s->left; i++)
		put(o, ' ');
	for (size_t i = 0; i < len; i++)
		put(o, text[i]);
	for (size_t i = 0; i < pad && s->left; i++)
		put(o, ' ');
}

/* sign: "-", "0x" or "". Zero padding goes between the sign and the digits. */
static void put_number(struct out *o, const struct spec *s, uint64_t v, unsigned base,
		       const char *sign)
{
	char text[WIDTH_MAX + 24]; /* padding, 20 digits, sign */
	size_t at = sizeof(text);
	size_t digits = 0;
	size_t sign_len = strlen(sign);

	do {
		text[--at] = "0123456789abcdef"[v % base];
		v /= base;
		digits++;
	} while (v != 0);
	while (s->zero && !s->left && digits + sign_len < s->width) {
		text[--at] = '0';
		digits++;
	}
	at -= sign_len;
	memcpy(&text[at], sign, sign_len);
	put_field(o, s, &text[at], sizeof(text) - at);
}

static unsigned parse_number(const char **f)
{
	unsigned n = 0;

	while (**f >= '0' && **f <= '9') {
		n = MIN(n * 10 + (unsigned)(**f - '0'), NUMBER_MAX);
		(*f)++;
	}
	return n;
}

/* Flags, width, precision, length; leaves *f at the conversion letter. A '*' precision takes an int. */
static struct spec parse_spec(const char **f, va_list *args)
{
	struct spec s = {.precision = -1};

	for (; **f == '-' || **f == '0'; (*f)++) {
		s.left |= **f == '-';
		s.zero |= **f == '0';
	}
	s.width = parse_number(f);
	s.width = MIN(s.width, WIDTH_MAX);
	if (**f == '.') {
		(*f)++;
		if (**f == '*') {
			s.precision = va_arg(*args, int);
			(*f)++;
		} else {
			s.precision = (int)parse_number(f);
		}
	}
	for (; **f == 'l' && s.longs < 2; (*f)++)
		s.longs++;
	if (**f == 'z') {
		s.size_t_arg = true;
		(*f)++;
	}
	return s;
}

static uint64_t take_unsigned(const struct spec *s, va_list *args)
{
	if (s->longs != 0 || s->size_t_arg)
		return va_arg(*args, unsigned long);
	return va_arg(*args, unsigned int);
}

static void put_signed(struct out *o, const struct spec *s, va_list *args)
{
	int64_t v = s->longs != 0 || s->size_t_arg ? va_arg(*args, long) : va_arg(*args, int);

	put_number(o, s, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10, v < 0 ? "-" : "");
}

static void put_string(struct out *o, const struct spec *s, const char *text)
{
	if (text == NULL)
		text = "(null)";
	put_field(o, s, text, strnlen(text, s->precision < 0 ? SIZE_MAX : (size_t)s->precision));
}

static bool put_conversion(struct out *o, const struct spec *s, char letter, va_list *args)
{
	char c;

	switch (letter) {
	case 's':
		put_string(o, s, va_arg(*args, const char *));
		return true;
	case 'c':
		c = (char)va_arg(*args, int);
		put_field(o, s, &c, 1);
		return true;
	case 'd':
		put_signed(o, s, args);
		return true;
	case 'u':
		put_number(o, s, take_unsigned(s, args), 10, "");
		return true;
	case 'x':
		put_number(o, s, take_unsigned(s, args), 16, "");
		return true;
	case 'p':
		put_number(o, s, (uint64_t)va_arg(*args, void *), 16, "0x");
		return true;
	case '%':
		put(o, '%');
		return true;
	default:
		return false;
	}
}

int hv_vsnprintf(char *buf, size_t size, const char *format, va_list args)
{
	struct out o = {.buf = buf, .size = size};
	const char *f = format;
	bool known = true;
	va_list ap;

	va_copy(ap, args);
	while (*f != '\0') {
		const char *start = f++;
		struct spec s;

		if (*start != '%' || !known) {
			put(&o, *start);
			continue;
		}
		s = parse_spec(&f, &ap);
		known = put_conversion(&o, &s, *f, &ap);
		if (known)
			f++;
		else
			put(&o, '%');
	}
	va_end(ap);
	if (size != 0)
		buf[MIN(o.len, size - 1)] = '\0';
	return (int)MIN(o.len, (size_t)INT32_MAX);
}

int hv_snprintf(char *buf, size_t size, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = hv_vsnprintf(buf, size, format, args);
	va_end(args);
	return n;
}
