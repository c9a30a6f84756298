/* SPDX-License-Identifier: BSD-2-Clause */
/* IP addresses as text and as bytes. Pure. */
#ifndef NET_IPADDR_H
#define NET_IPADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define IPADDR_TEXT_MAX 40u /* of IPv6, with the NUL */

struct ipaddr {
	uint8_t version; /* 4 or 6 */
	uint8_t ip[16];  /* IPv4: the first 4 bytes, the others 0 */
};

/* "10.0.0.1", or RFC 4291, 2.2 without its third form (dots at the end). False: neither; *out is as it was. */
bool ipaddr_parse(const char *text, struct ipaddr *out);
/* Can one interface alone have it? Not 0.0.0.0/8, ::, loopback, groups, broadcast. */
bool ipaddr_is_station(const struct ipaddr *a);

static inline bool ipaddr_same(const struct ipaddr *a, const struct ipaddr *b)
{
	return a->version == b->version && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

#endif
