/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory and string functions. gcc calls memcpy, memmove, memset and memcmp by itself. Copies go by quadwords: the
 * string instructions cost one step per iteration where steps are counted, and are fast on every recent CPU.
 */
#include "hv/lib/string.h"

#include "hv/lib/types.h"

#ifndef HOST_TEST
static inline void copy_up(void *to, const void *from, size_t n)
{
	size_t words = n >> 3;
	size_t tail = n & 7;

	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(tail) : : "memory");
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	copy_up(to, from, n);
	return to;
}

static void copy_down(void *to, const void *from, size_t n)
{
	char *t = (char *)to + n - 1;
	const char *f = (const char *)from + n - 1;

	__asm__ volatile("std; rep movsb; cld" : "+D"(t), "+S"(f), "+c"(n) : : "memory");
}

void *memmove(void *to, const void *from, size_t n)
{
	if ((uintptr_t)to - (uintptr_t)from >= n)
		copy_up(to, from, n);
	else
		copy_down(to, from, n);
	return to;
}

void *memset(void *to, int byte, size_t n)
{
	uint64_t pattern = 0x0101010101010101ull * (uint8_t)byte;
	void *t = to;
	size_t words = n >> 3;
	size_t tail = n & 7;

	__asm__ volatile("rep stosq" : "+D"(t), "+c"(words) : "a"(pattern) : "memory");
	__asm__ volatile("rep stosb" : "+D"(t), "+c"(tail) : "a"(pattern) : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a;
	const uint8_t *y = b;

	for (size_t i = 0; i < n; i++)
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n] != '\0')
		n++;
	return n;
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n] != '\0')
		n++;
	return n;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (a[i] != b[i])
			return (uint8_t)a[i] < (uint8_t)b[i] ? -1 : 1;
		if (a[i] == '\0')
			break;
	}
	return 0;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}
#endif

const char *strchr_const(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return s;
		if (*s == '\0')
			return NULL;
	}
}

void str_copy(char *to, const char *from, size_t size)
{
	size_t n;

	if (size == 0)
		return;
	n = strnlen(from, size - 1);
	memcpy(to, from, n);
	to[n] = '\0';
}
