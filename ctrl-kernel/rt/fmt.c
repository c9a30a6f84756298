/* SPDX-License-Identifier: BSD-2-Clause */
/* The small formatter behind rt_log, rt_die and the vmm's messages. Pure. */
#include "ctrl-kernel/rt/fmt.h"

#include <stdbool.h>
#include <stdint.h>

struct sink {
	char *out;
	size_t size, used;
};

struct spec {
	unsigned width;
	int precision; /* -1: none */
	unsigned longs;
	bool zero, left, upper;
};

static void put(struct sink *s, char c)
{
	if (s->used + 1 < s->size)
		s->out[s->used++] = c;
}

static void pad(struct sink *s, unsigned count, char c)
{
	while (count-- > 0)
		put(s, c);
}

static void put_string(struct sink *s, const struct spec *f, const char *text)
{
	unsigned len = 0, fill;

	if (!text)
		text = "(null)";
	while ((f->precision < 0 || len < (unsigned)f->precision) && text[len])
		len++;
	fill = f->width > len ? f->width - len : 0;
	if (!f->left)
		pad(s, fill, ' ');
	for (unsigned i = 0; i < len; i++)
		put(s, text[i]);
	if (f->left)
		pad(s, fill, ' ');
}

static void put_number(struct sink *s, const struct spec *f, uint64_t v, unsigned base, bool minus)
{
	const char *digits = f->upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char text[20];
	unsigned n = 0, fill;

	do {
		text[n++] = digits[v % base];
		v /= base;
	} while (v);
	fill = f->width > n + minus ? f->width - n - minus : 0;
	if (!f->left && !f->zero)
		pad(s, fill, ' ');
	if (minus)
		put(s, '-');
	if (!f->left && f->zero)
		pad(s, fill, '0');
	while (n > 0)
		put(s, text[--n]);
	if (f->left)
		pad(s, fill, ' ');
}

static unsigned parse_number(const char **p)
{
	unsigned n = 0;

	while (**p >= '0' && **p <= '9' && n < 1000)
		n = n * 10 + (unsigned)(*(*p)++ - '0');
	return n;
}

static struct spec parse_spec(const char **p, va_list *args)
{
	struct spec f = {.precision = -1};

	for (; **p == '0' || **p == '-' || **p == '#'; (*p)++) {
		f.zero |= **p == '0';
		f.left |= **p == '-';
	}
	f.width = parse_number(p);
	if (**p == '.') {
		(*p)++;
		if (**p == '*') {
			(*p)++;
			f.precision = va_arg(*args, int);
		} else {
			f.precision = (int)parse_number(p);
		}
	}
	for (; **p == 'l' || **p == 'h' || **p == 'z' || **p == 'j' || **p == 't'; (*p)++)
		f.longs += **p != 'h';
	return f;
}

static void convert(struct sink *s, struct spec f, char c, va_list *args)
{
	int64_t i;

	switch (c) {
	case 'd':
	case 'i':
		i = f.longs ? va_arg(*args, int64_t) : va_arg(*args, int);
		put_number(s, &f, i < 0 ? 0 - (uint64_t)i : (uint64_t)i, 10, i < 0);
		return;
	case 'u':
	case 'x':
	case 'X':
		f.upper = c == 'X';
		put_number(s, &f, f.longs ? va_arg(*args, uint64_t) : va_arg(*args, unsigned),
			   c == 'u' ? 10 : 16, false);
		return;
	case 'p':
		put(s, '0');
		put(s, 'x');
		put_number(s, &f, (uintptr_t)va_arg(*args, void *), 16, false);
		return;
	case 's':
		put_string(s, &f, va_arg(*args, const char *));
		return;
	case 'c':
		put(s, (char)va_arg(*args, int));
		return;
	default:
		put(s, c);
	}
}

size_t rt_vsnprintf(char *out, size_t size, const char *format, va_list list)
{
	struct sink s = {.out = out, .size = size};
	va_list args;

	va_copy(args, list);
	while (*format) {
		struct spec f;

		if (*format != '%') {
			put(&s, *format++);
			continue;
		}
		format++;
		f = parse_spec(&format, &args);
		if (*format == '\0')
			break;
		convert(&s, f, *format++, &args);
	}
	va_end(args);
	if (size > 0)
		out[s.used] = '\0';
	return s.used;
}

size_t rt_snprintf(char *out, size_t size, const char *format, ...)
{
	va_list args;
	size_t used;

	va_start(args, format);
	used = rt_vsnprintf(out, size, format, args);
	va_end(args);
	return used;
}
