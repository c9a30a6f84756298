/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small formatter for messages: newlib's printf costs a vmm 40 KiB of text and a heap it has no other use for.
 * Conversions: c s d i u x X p %, with 0, -, width, precision (s only), and h hh l ll z j t. No floating point.
 */
#ifndef RT_FMT_H
#define RT_FMT_H

#include <stdarg.h>
#include <stddef.h>

/* Always terminates when size > 0. Returns what was stored, without the 0: never more than size - 1. */
size_t rt_vsnprintf(char *out, size_t size, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));
size_t rt_snprintf(char *out, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
