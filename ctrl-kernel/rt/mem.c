/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memcpy and its family, in place of newlib's, which copy by single bytes or words. Everything counts in
 * instructions here, and an iteration of a string instruction is one: so quadwords for the bulk, and the ragged
 * end by one overlapping quadword. The empty asm statements keep the compiler from turning the loops into calls
 * of the very functions they implement.
 */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t len);
void *memmove(void *to, const void *from, size_t len);
void *memset(void *to, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);

/* Unaligned and aliasing anything. */
typedef uint64_t __attribute__((may_alias, aligned(1))) any64;
typedef uint32_t __attribute__((may_alias, aligned(1))) any32;
typedef uint16_t __attribute__((may_alias, aligned(1))) any16;

#define KEEP_LOOP() __asm__ volatile("" ::: "memory")

/* len < 8. All is loaded before anything is stored: fit for memmove. */
static inline void copy_small(uint8_t *to, const uint8_t *from, size_t len)
{
	if (len >= 4) {
		uint32_t a = *(const any32 *)from, b = *(const any32 *)(from + len - 4);

		*(any32 *)to = a;
		*(any32 *)(to + len - 4) = b;
	} else if (len >= 2) {
		uint16_t a = *(const any16 *)from, b = *(const any16 *)(from + len - 2);

		*(any16 *)to = a;
		*(any16 *)(to + len - 2) = b;
	} else if (len == 1) {
		*to = *from;
	}
}

/* len >= 8, ascending: the last quadword is loaded first, it may overlap what is copied. */
static inline void copy_up(uint8_t *to, const uint8_t *from, size_t len)
{
	uint64_t last = *(const any64 *)(from + len - 8);
	uint8_t *end = to + len - 8;
	size_t count = (len - 1) / 8;

	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(count)::"memory");
	*(any64 *)end = last;
}

/* len >= 8, descending */
static inline void copy_down(uint8_t *to, const uint8_t *from, size_t len)
{
	uint64_t first = *(const any64 *)from;

	for (size_t at = len; at > 8; at -= 8) {
		uint64_t v = *(const any64 *)(from + at - 8);

		*(any64 *)(to + at - 8) = v;
		KEEP_LOOP();
	}
	*(any64 *)to = first;
}

void *memcpy(void *to, const void *from, size_t len)
{
	if (len < 8)
		copy_small(to, from, len);
	else
		copy_up(to, from, len);
	return to;
}

void *memmove(void *to, const void *from, size_t len)
{
	if (len < 8)
		copy_small(to, from, len);
	else if ((uintptr_t)to - (uintptr_t)from >= len)
		copy_up(to, from, len);
	else
		copy_down(to, from, len);
	return to;
}

void *memset(void *to, int byte, size_t len)
{
	uint64_t fill = (uint8_t)byte * 0x0101010101010101ull;
	uint8_t *at = to;

	if (len >= 8) {
		size_t count = (len - 1) / 8;

		*(any64 *)(at + len - 8) = fill;
		__asm__ volatile("rep stosq" : "+D"(at), "+c"(count) : "a"(fill) : "memory");
		return to;
	}
	for (size_t i = 0; i < len; i++) {
		at[i] = (uint8_t)byte;
		KEEP_LOOP();
	}
	return to;
}

int memcmp(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a, *y = b;

	for (; len >= 8 && *(const any64 *)x == *(const any64 *)y; len -= 8, x += 8, y += 8)
		KEEP_LOOP();
	for (; len > 0; len--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}
