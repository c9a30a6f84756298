/* SPDX-License-Identifier: BSD-2-Clause */
/* Little-endian fields of structures on disks, at any alignment. Bounds are the caller's. */
#ifndef BLK_LE_H
#define BLK_LE_H

#include <stdint.h>
#include <string.h>

static inline uint16_t le16_at(const uint8_t *at)
{
	uint16_t v;

	memcpy(&v, at, sizeof(v)); /* x86 is little-endian */
	return v;
}
static inline uint32_t le32_at(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}
static inline uint64_t le64_at(const uint8_t *at)
{
	uint64_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}
static inline void le32_put(uint8_t *at, uint32_t v)
{
	memcpy(at, &v, sizeof(v));
}
static inline void le64_put(uint8_t *at, uint64_t v)
{
	memcpy(at, &v, sizeof(v));
}

#endif
