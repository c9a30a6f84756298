# SPDX-License-Identifier: BSD-2-Clause
# The lwIP files that are built, relative to its src/. net/lwipopts.h says what they contain.

LWIP_SRC := \
	core/def.c core/dns.c core/inet_chksum.c core/init.c core/ip.c core/mem.c core/memp.c core/netif.c core/pbuf.c \
	core/tcp.c core/tcp_in.c core/tcp_out.c core/udp.c \
	core/ipv4/dhcp.c core/ipv4/etharp.c core/ipv4/icmp.c core/ipv4/ip4.c core/ipv4/ip4_addr.c \
	core/ipv6/ethip6.c core/ipv6/icmp6.c core/ipv6/ip6.c core/ipv6/ip6_addr.c core/ipv6/mld6.c core/ipv6/nd6.c \
	netif/ethernet.c
