/* SPDX-License-Identifier: BSD-2-Clause */
/* Between a NIC and lwIP's interface (net/netif.c). Inside net/ only. */
#ifndef NET_NETIF_H
#define NET_NETIF_H

#include <stdint.h>
#include "lwip/netif.h"

#define NET_IP_TEXT_MAX 40

struct nic;
struct net_counters;

/* Adds the interface for this NIC, without addresses; up once the NIC is started. 0 or -1. */
int net_netif_add(struct netif *netif, struct nic *nic, uint16_t vlan,
		  struct net_counters *counters);
const char *net_ipv6_text(const ip6_addr_t *ip, char text[NET_IP_TEXT_MAX]); /* net.c */

#endif
