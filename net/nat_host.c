/* SPDX-License-Identifier: BSD-2-Clause */
/* Between NAT and lwIP: packets from the host's address, and for it, as NAT and lwIP have them. */
#include <string.h>
#include "net/lwiphooks.h"
#include "net/nat.h"
#include "lwip/dns.h"
#include "lwip/ip4.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"

void nat_host(struct nat_host *out)
{
	const ip_addr_t *dns = dns_getserver(0);
	struct netif *n = netif_default;

	*out = (struct nat_host){0};
	if (!n || !netif_is_up(n))
		return;
	out->ip = lwip_ntohl(netif_ip4_addr(n)->addr);
	if (IP_IS_V4(dns))
		out->dns = lwip_ntohl(ip_2_ip4(dns)->addr);
}

/* The interface finds the next hop. What it has no memory for is lost, as on any way. */
void nat_host_send(const uint8_t *packet, size_t bytes)
{
	struct pbuf *p = pbuf_alloc(PBUF_LINK, (u16_t)bytes, PBUF_RAM);
	ip4_addr_t to;

	if (!p)
		return;
	pbuf_take(p, packet, (u16_t)bytes);
	memcpy(&to.addr, packet + 16, 4);
	(void)netif_default->output(netif_default, p, &to);
	pbuf_free(p);
}

/* lwIP has seen the version and no more. */
int net_ip4_input(struct pbuf *p, struct netif *inp)
{
	static uint8_t packet[ETH_PAYLOAD_MAX];
	const uint8_t *ip = p->payload;

	if (!nat_wants() || p->tot_len > sizeof(packet) || p->len < IPV4_HEADER_LEN ||
	    memcmp(ip + 16, &netif_ip4_addr(inp)->addr, 4) != 0)
		return 0;
	pbuf_copy_partial(p, packet, p->tot_len, 0);
	if (!nat_input(packet, p->tot_len))
		return 0;
	pbuf_free(p);
	return 1;
}
