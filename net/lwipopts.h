/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which parts of lwIP are built, and how large. Pools are static: about 0.9 MiB together, whatever the network does.
 * Left out because nothing uses it: sockets, raw, IGMP, reassembly and fragmentation (management traffic is TCP;
 * DHCP and ND fit one frame). net/lwip.mk lists the files.
 */
#ifndef NET_LWIPOPTS_H
#define NET_LWIPOPTS_H

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0 /* one loop, nothing else calls lwIP */
#define LWIP_TIMERS 0          /* net/timers.c */
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_RAW 0
#define LWIP_DNS 1 /* it keeps what DHCP says of servers, for guests; nothing is asked */
#define DNS_MAX_SERVERS 2
#define DNS_TABLE_SIZE 1
#define LWIP_STATS 0
#define LWIP_SINGLE_NETIF 1
#define LWIP_NETIF_HOSTNAME 1
#define LWIP_NETIF_STATUS_CALLBACK 1
#define LWIP_CHECKSUM_ON_COPY 1

/* Memory. Tests build with libc's malloc so that the address sanitizer sees each buffer. */
#define MEM_ALIGNMENT 8
#ifndef MEM_LIBC_MALLOC
#define MEM_LIBC_MALLOC 0
#endif
#ifndef MEMP_MEM_MALLOC
#define MEMP_MEM_MALLOC 0
#endif
#ifndef NET_RX_PBUF
#define NET_RX_PBUF                                                                                \
	PBUF_POOL /* kind of buffer for received frames; PBUF_RAM is exactly as long as the frame */
#endif
#define MEM_SIZE (512 * 1024) /* what is sent and not yet acknowledged */
#define PBUF_POOL_SIZE 192 /* what is received: out-of-order segments stay, others leave at once */
#define MEMP_NUM_PBUF 32
#define MEMP_NUM_TCP_PCB                                                                           \
	96 /* NET_CONNS_MAX and as many again that are closing; TIME-WAIT gives way */
#define MEMP_NUM_TCP_PCB_LISTEN 4
#define MEMP_NUM_TCP_SEG 1024
#define MEMP_NUM_UDP_PCB 2
#define MEMP_NUM_ND6_QUEUE 16

/* IPv4 */
#define LWIP_ARP 1
#define ARP_TABLE_SIZE 32
#define ETHARP_SUPPORT_VLAN 0 /* net/frame.c */
#define LWIP_DHCP 1
#define LWIP_DHCP_DOES_ACD_CHECK 0 /* an address at once; the server has checked */
#define LWIP_DHCP_MAX_DNS_SERVERS 2
#define LWIP_ICMP 1
#define LWIP_IGMP 0
#define IP_REASSEMBLY 0
#define IP_FRAG 0
#define IP_OPTIONS_ALLOWED 0

/* IPv6 */
#define LWIP_IPV6 1
#define LWIP_IPV6_AUTOCONFIG 1
#define LWIP_IPV6_SEND_ROUTER_SOLICIT 1
#define LWIP_IPV6_NUM_ADDRESSES 4
#define LWIP_IPV6_MLD 1 /* switches that snoop MLD want the solicited-node groups announced */
#define LWIP_IPV6_REASS 0
#define LWIP_IPV6_FRAG 0
#define LWIP_IPV6_FORWARD 0
#define LWIP_IPV6_DHCP6 0
#define LWIP_ND6_NUM_NEIGHBORS 32
#define LWIP_ND6_NUM_DESTINATIONS 32

/* TCP: 64 KiB windows need no acknowledged byte to wait on a LAN; the scale only makes 65536 expressible. */
#define TCP_MSS 1460
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 1
#define TCP_WND 65536
#define TCP_SND_BUF (32 * TCP_MSS)
#define TCP_SND_QUEUELEN 256
#define TCP_QUEUE_OOSEQ 1
#define TCP_LISTEN_BACKLOG 1
#define TCP_OVERSIZE TCP_MSS
#define LWIP_TCP_PCB_NUM_EXT_ARGS 1 /* for its call at a SYN: net/tcp.c */

/* RFC 6528: sequence numbers that others cannot guess. */
#define LWIP_HOOK_FILENAME "net/lwiphooks.h"
#define LWIP_HOOK_TCP_ISN net_tcp_isn

/* Ports from 61440 on are NAT's (net/nat_flow.h). */
#define LWIP_HOOK_IP4_INPUT net_ip4_input
#define TCP_LOCAL_PORT_RANGE_START 0xc000
#define TCP_LOCAL_PORT_RANGE_END 0xdfff
#define TCP_ENSURE_LOCAL_PORT_RANGE(port) ((u16_t)(((port)&0x1fff) + TCP_LOCAL_PORT_RANGE_START))
#define UDP_LOCAL_PORT_RANGE_START TCP_LOCAL_PORT_RANGE_START
#define UDP_LOCAL_PORT_RANGE_END TCP_LOCAL_PORT_RANGE_END
#define UDP_ENSURE_LOCAL_PORT_RANGE(port) TCP_ENSURE_LOCAL_PORT_RANGE(port)

#endif
