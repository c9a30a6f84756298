/* SPDX-License-Identifier: BSD-2-Clause */
/* The Internet checksum (RFC 1071, RFC 1624); declared in packet.h. */
#include <string.h>
#include "net/packet.h"

#define PROTOCOL_TCP 6u

static uint32_t fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (uint32_t)sum;
}

static uint16_t fold16(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Sums words as the machine reads them; the order of bytes is put right at the end (RFC 1071, 2). */
static uint64_t sum_words(const uint8_t *at, size_t bytes)
{
	uint64_t sum = 0, word;
	uint32_t half;
	uint8_t last[4] = {0};

	for (; bytes >= 8; bytes -= 8, at += 8) {
		memcpy(&word, at, 8);
		sum += word & 0xffffffff;
		sum += word >> 32;
	}
	for (; bytes >= 4; bytes -= 4, at += 4) {
		memcpy(&half, at, 4);
		sum += half;
	}
	memcpy(last, at, bytes);
	memcpy(&half, last, 4);
	return sum + half;
}

uint32_t checksum_add(uint32_t sum, const void *data, size_t bytes, bool odd)
{
	uint32_t part = fold16(fold(sum_words(data, bytes)));

	part = odd ? part : __builtin_bswap16((uint16_t)part);
	return fold((uint64_t)sum + part);
}

uint16_t checksum_end(uint32_t sum)
{
	return (uint16_t)~fold16(sum);
}

uint32_t checksum_pseudo(const uint8_t *ip, uint32_t tcp_bytes)
{
	uint32_t sum = PROTOCOL_TCP + (tcp_bytes >> 16) + (tcp_bytes & 0xffff);

	return ip[0] >> 4 == 4 ? checksum_add(sum, ip + 12, 8, false)
			       : checksum_add(sum, ip + 8, 32, false);
}

uint16_t checksum_update(uint16_t checksum, uint16_t was, uint16_t is)
{
	uint32_t sum = (uint16_t)~checksum + (uint32_t)(uint16_t)~was + is;

	return (uint16_t)~fold16(sum);
}
