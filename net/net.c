/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starts the stack on one NIC, gets addresses, and tells their state. Called by main.c at start and by the operation
 * layer for status.
 */
#include <ctype.h>
#include <string.h>
#include "net/net.h"
#include "net/netif.h"
#include "net/nic.h"
#include "net/random.h"
#include "net/tcp.h"
#include "net/timers.h"
#include "ctrl-kernel/rt/rt.h"
#include "lwip/dhcp.h"
#include "lwip/init.h"
#include "lwip/ip4_addr.h"
#include "lwip/ip6_addr.h"
#include "lwip/netif.h"

_Static_assert(sizeof(((struct net_status *)0)->ipv6[0]) == NET_IP_TEXT_MAX, "room for an address");

static struct {
	struct netif netif;
	struct net_config config;
	struct nic *nic; /* [borrows] */
	struct net_counters counters;
	void (*changed)(void);
	/* What was logged last. */
	uint32_t said_ipv4;
	bool said_ipv6[LWIP_IPV6_NUM_ADDRESSES];
} net;

/* RFC 5952 wants small letters; lwIP writes large ones. */
const char *net_ipv6_text(const ip6_addr_t *ip, char text[NET_IP_TEXT_MAX])
{
	ip6addr_ntoa_r(ip, text, NET_IP_TEXT_MAX);
	for (char *c = text; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return text;
}

static unsigned prefix_of(const ip4_addr_t *mask)
{
	return (unsigned)__builtin_popcount(mask->addr);
}

static void say_ipv4(struct netif *n)
{
	char ip[IP4ADDR_STRLEN_MAX], gw[IP4ADDR_STRLEN_MAX];

	if (netif_ip4_addr(n)->addr == net.said_ipv4)
		return;
	net.said_ipv4 = netif_ip4_addr(n)->addr;
	if (net.said_ipv4 == 0) {
		rt_log("net: no IPv4 address any more");
		return;
	}
	ip4addr_ntoa_r(netif_ip4_addr(n), ip, sizeof(ip));
	ip4addr_ntoa_r(netif_ip4_gw(n), gw, sizeof(gw));
	rt_log("net: address %s/%u (%s), gateway %s", ip, prefix_of(netif_ip4_netmask(n)),
	       net.config.dhcp ? "dhcp" : "static", ip4_addr_isany(netif_ip4_gw(n)) ? "none" : gw);
}

static bool ipv6_usable(struct netif *n, unsigned i)
{
	return ip6_addr_isvalid(netif_ip6_addr_state(n, i));
}

static void say_ipv6(struct netif *n)
{
	char ip[NET_IP_TEXT_MAX];

	for (unsigned i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
		bool usable = ipv6_usable(n, i);

		if (usable && !net.said_ipv6[i])
			rt_log("net: address %s/64 (%s)", net_ipv6_text(netif_ip6_addr(n, i), ip),
			       i == 0 ? "link-local" : "router");
		net.said_ipv6[i] = usable;
	}
}

static void on_status(struct netif *n)
{
	say_ipv4(n);
	say_ipv6(n);
	if (net.changed)
		net.changed();
}

static struct nic *first_with_link(struct nic *nics)
{
	for (struct nic *n = nics; n; n = n->next)
		if (n->link)
			return n;
	return nics;
}

static struct nic *select_nic(const struct net_config *cfg, struct nic *nics)
{
	for (struct nic *n = nics; n && cfg->nic[0]; n = n->next)
		if (netconf_nic_matches(cfg->nic, n->name, n->mac))
			return n;
	if (cfg->nic[0])
		rt_log("net: no network card matches nic=%s; the first with a link is used",
		       cfg->nic);
	return first_with_link(nics);
}

static void addresses_start(const struct net_config *cfg)
{
	ip4_addr_t ip, mask, gw;

	netif_set_status_callback(&net.netif, on_status);
	netif_set_up(&net.netif);
	if (net.nic->link)
		netif_set_link_up(&net.netif);
	netif_create_ip6_linklocal_address(&net.netif, 1);
	netif_set_ip6_autoconfig_enabled(&net.netif, 1);
	if (cfg->dhcp) {
		if (dhcp_start(&net.netif) != ERR_OK)
			rt_log("net: DHCP cannot start: no memory");
		return;
	}
	memcpy(&ip.addr, cfg->ip, 4);
	memcpy(&gw.addr, cfg->gateway, 4);
	mask.addr = lwip_htonl(UINT32_MAX << (32 - cfg->prefix));
	netif_set_addr(&net.netif, &ip, &mask, &gw);
}

static void say_nic(const struct nic *n)
{
	rt_log("net: %s %02x:%02x:%02x:%02x:%02x:%02x link %s, interrupts by %s", n->name,
	       n->mac[0], n->mac[1], n->mac[2], n->mac[3], n->mac[4], n->mac[5],
	       n->link ? "up" : "down", n->irq_kind);
}

static int nic_begin(const struct net_config *cfg, struct nic *nics)
{
	struct nic *n = select_nic(cfg, nics);

	if (!n) {
		rt_log("net: no usable network card; the machine is not reachable");
		return -1;
	}
	if (net_netif_add(&net.netif, n, cfg->vlan, &net.counters) != 0 || n->ops->start(n) != 0)
		return -1;
	n->started = true;
	net.nic = n;
	return 0;
}

void net_init(const struct net_config *cfg, struct nic *nics)
{
	net.config = *cfg;
	net_random_seed(rt_info()->random);
	lwip_init();
	net_tcp_init(&net.counters);
	if (nic_begin(cfg, nics) == 0) {
		say_nic(net.nic);
		addresses_start(cfg);
	}
	net_timers_start();
}

static void status_ipv6(struct net_status *out)
{
	for (unsigned i = 0; i < LWIP_IPV6_NUM_ADDRESSES && out->n_ipv6 < NET_ADDR6_MAX; i++)
		if (ipv6_usable(&net.netif, i))
			net_ipv6_text(netif_ip6_addr(&net.netif, i), out->ipv6[out->n_ipv6++]);
}

void net_watch(void (*changed)(void))
{
	net.changed = changed;
}

void net_status(struct net_status *out)
{
	*out = (struct net_status){.nic = net.nic,
				   .dhcp = net.config.dhcp,
				   .vlan = net.config.vlan,
				   .counters = net.counters};
	if (!net.nic)
		return;
	if (net.nic->ops->update_stats)
		net.nic->ops->update_stats(net.nic);
	status_ipv6(out);
	out->has_ipv4 = !ip4_addr_isany(netif_ip4_addr(&net.netif));
	if (!out->has_ipv4)
		return;
	ip4addr_ntoa_r(netif_ip4_addr(&net.netif), out->ipv4, sizeof(out->ipv4));
	out->prefix = prefix_of(netif_ip4_netmask(&net.netif));
	if (!ip4_addr_isany(netif_ip4_gw(&net.netif)))
		ip4addr_ntoa_r(netif_ip4_gw(&net.netif), out->gateway, sizeof(out->gateway));
}
