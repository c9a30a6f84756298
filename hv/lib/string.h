/* SPDX-License-Identifier: BSD-2-Clause */
/* The C library's memory and string functions that hv uses (string.c, also what gcc calls by itself). */
#ifndef HV_LIB_STRING_H
#define HV_LIB_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
const char *strchr_const(const char *s, int c);
/* Copies at most size - 1 bytes and always terminates. */
void str_copy(char *to, const char *from, size_t size);

#endif
