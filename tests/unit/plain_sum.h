/* SPDX-License-Identifier: BSD-2-Clause */
/* RFC 1071 as it is written, for tests of what is faster. */
#ifndef TESTS_PLAIN_SUM_H
#define TESTS_PLAIN_SUM_H

#include "net/checksum.h"

static uint16_t plain_sum(const uint8_t *at, size_t n, uint32_t sum)
{
	for (; n > 1; n -= 2, at += 2)
		sum += packet_get16(at);
	if (n)
		sum += (uint32_t)*at << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

#endif
