/* SPDX-License-Identifier: BSD-2-Clause */
/* Between a NIC and lwIP's interface (net/netif.c). Inside net/ only. */
#ifndef NET_NETIF_H
#define NET_NETIF_H

#include <stdint.h>
#include "lwip/netif.h"
#include "net/switch.h"

#define NET_IP_TEXT_MAX 40

struct nic;
struct net_counters;

/* Adds the interface for this NIC, without addresses; up once the NIC is started. 0 or -1. */
int net_netif_add(struct netif *netif, struct nic *nic, uint16_t vlan,
		  struct net_counters *counters);
/* As a port of a switch whose uplink is this NIC (net/uplink.c); and as before. */
bool net_netif_has(const struct nic *nic);
enum switch_plug net_netif_share(struct vswitch *sw) MUST_CHECK;
void net_netif_alone(void);
void net_netif_link(void); /* the NIC's link has changed */
const char *net_ipv6_text(const ip6_addr_t *ip, char text[NET_IP_TEXT_MAX]); /* net.c */

#endif
