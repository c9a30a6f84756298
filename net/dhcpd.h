/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A DHCP server (RFC 2131) for one subnet: a request in, an answer out. Leases lie where the caller keeps them. A client gets
 * the address it had, else the one it asks for, else one that follows from its MAC address, so that it is the same after a
 * restart. Pure.
 */
#ifndef NET_DHCPD_H
#define NET_DHCPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DHCPD_LEASES_MAX 254u
#define DHCPD_LEASE_S 86400u
#define DHCPD_OFFER_S 60u
#define DHCPD_ANSWER_MAX 384u /* bytes of one */

enum dhcp_lease_state { DHCP_FREE = 0, DHCP_OFFERED = 1, DHCP_LEASED = 2, DHCP_REFUSED = 3 };

struct dhcp_lease { /* of the address range.first + its index */
	uint8_t mac[6];
	uint8_t state; /* enum dhcp_lease_state */
	uint8_t reserved;
	uint64_t until_s; /* monotonic */
};

struct dhcpd {
	uint32_t server, mask; /* host order, as all addresses here */
	uint32_t first;
	unsigned n;                 /* addresses; 0: nobody gets one */
	struct dhcp_lease *lease;   /* [borrows] n of them */
	uint64_t answered, ignored; /* counters */
};

/* Drops what no server can have left there. */
void dhcpd_check(struct dhcpd *d);
/*
 * A request's UDP payload that came from `mac`. -> bytes of the answer in out[], 0: none. *to is the IP address it goes to,
 * UINT32_MAX for all.
 */
size_t dhcpd_answer(struct dhcpd *d, const uint8_t mac[6], const uint8_t *in, size_t bytes,
		    uint64_t now_s, uint8_t out[DHCPD_ANSWER_MAX], uint32_t *to);
/* Who has that address by a lease in force; NULL: nobody. */
const struct dhcp_lease *dhcpd_holder(const struct dhcpd *d, uint32_t ip, uint64_t now_s);

#endif
