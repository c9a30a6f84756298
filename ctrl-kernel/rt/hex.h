/* SPDX-License-Identifier: BSD-2-Clause */
/* Hexadecimal digits, of both cases. Pure. */
#ifndef RT_HEX_H
#define RT_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int hex_digit(char c); /* 0 .. 15; -1: it is none */
/* Exactly 2 * bytes digits and the NUL. */
bool hex_read(const char *text, uint8_t *out, size_t bytes);

#endif
