/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as a DNS query and as an answer. What is taken for a query is one question's answer when its bit is turned; where
 * a size stands there is one; an answer that was not asked for fits none.
 */
// SRC: net/dns.c
#include <stdlib.h>
#include <string.h>

#include "net/dns.h"
#include "net/packet.h"

static void require(bool ok)
{
	if (!ok)
		abort();
}

static struct dns_table table;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *m = malloc(size + 1); /* the sanitizer sees its end */
	struct dns_message q, a;

	memcpy(m, data, size);
	if (dns_query(m, size, &q)) {
		require(!dns_answer(m, size, &a) && size >= 17);
		require(q.bytes >= DNS_BYTES_PLAIN && q.bytes_at + 4u <= size);
		if (q.bytes_at) {
			packet_put16(m + q.bytes_at, DNS_BYTES_MAX);
			require(dns_query(m, size, &a) && a.bytes == DNS_BYTES_MAX);
		}
		memset(&table, 0, sizeof(table));
		require(!dns_answered(&table, 1, 2, &q, size, 3));
		require(dns_ask(&table, 1, 2, &q, 3));
		m[2] |= 0x80;
		require(dns_answer(m, size, &a) && a.id == q.id && a.question == q.question);
		require(dns_answered(&table, 1, 2, &a, q.bytes, 3));
		require(!dns_answered(&table, 1, 2, &a, q.bytes, 3));
	} else if (dns_answer(m, size, &a)) {
		require(size >= 17);
	}
	free(m);
	return 0;
}
