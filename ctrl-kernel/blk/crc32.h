/* SPDX-License-Identifier: BSD-2-Clause */
/* CRC-32 (IEEE 802.3, reflected, polynomial edb88320) without the inversions, which GPT has and LVM2 has not. */
#ifndef BLK_CRC32_H
#define BLK_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from crc over len bytes. Pure. */
uint32_t crc32_go(uint32_t crc, const void *data, size_t len);

#endif
