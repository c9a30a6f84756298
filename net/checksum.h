/* SPDX-License-Identifier: BSD-2-Clause */
/* The Internet checksum (RFC 1071), and numbers in network order. Pure. */
#ifndef NET_CHECKSUM_H
#define NET_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint32_t checksum_add(uint32_t sum, const void *data, size_t bytes,
		      bool odd); /* odd: of the offset it begins at */
uint16_t
checksum_end(uint32_t sum); /* as it stands in a header, network order in memory by put16 */
/* The pseudo-header of TCP's part of an IPv4 or IPv6 packet, for checksum_add(). */
uint32_t checksum_pseudo(const uint8_t *ip, uint32_t tcp_bytes);
/* RFC 1624: a checksum when a 16-bit word under it changes. */
uint16_t checksum_update(uint16_t checksum, uint16_t was, uint16_t is);

static inline uint16_t packet_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline void packet_put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline uint32_t packet_get32(const uint8_t *at)
{
	return (uint32_t)packet_get16(at) << 16 | packet_get16(at + 2);
}

static inline void packet_put32(uint8_t *at, uint32_t value)
{
	packet_put16(at, (uint16_t)(value >> 16));
	packet_put16(at + 2, (uint16_t)value);
}

#endif
