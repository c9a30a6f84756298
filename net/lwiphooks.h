/* SPDX-License-Identifier: BSD-2-Clause */
/* Functions lwIP calls through its LWIP_HOOK_ macros. */
#ifndef NET_LWIPHOOKS_H
#define NET_LWIPHOOKS_H

#include "lwip/ip_addr.h"

u32_t net_tcp_isn(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip,
		  u16_t remote_port); /* net/random.c */

struct pbuf;
struct netif;
int net_ip4_input(struct pbuf *p, struct netif *inp); /* net/nat_host.c; 1: it was not for lwIP */

#endif
