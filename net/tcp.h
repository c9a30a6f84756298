/* SPDX-License-Identifier: BSD-2-Clause */
/* What net.c needs of tcp.c; the servers' interface is in net.h. */
#ifndef NET_TCP_H
#define NET_TCP_H

struct net_counters;

void net_tcp_init(struct net_counters *counters);

#endif
