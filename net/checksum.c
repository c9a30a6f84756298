/* SPDX-License-Identifier: BSD-2-Clause */
/* The Internet checksum (RFC 1071, RFC 1624); declared in packet.h. */
#include <string.h>
#include "net/checksum.h"

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

/* The carry comes in again at the other end, as it does in words of 16 bits. */
static uint64_t add_word(uint64_t sum, const uint8_t *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	sum += word;
	return sum + (sum < word);
}

/* Sums words as the machine reads them; the order of bytes is put right at the end (RFC 1071, 2). */
static uint64_t sum_words(const uint8_t *at, size_t bytes)
{
	uint64_t sum = 0;
	uint8_t last[8] = {0};

	for (; bytes >= 32; bytes -= 32, at += 32) {
		sum = add_word(sum, at);
		sum = add_word(sum, at + 8);
		sum = add_word(sum, at + 16);
		sum = add_word(sum, at + 24);
	}
	for (; bytes >= 8; bytes -= 8, at += 8)
		sum = add_word(sum, at);
	memcpy(last, at, bytes);
	return add_word(sum, last);
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
