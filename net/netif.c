/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The glue: frames from a NIC become pbufs, pbufs become segments for the NIC. Frames are checked (net/frame.c) and
 * copied once each way; what does not fit is dropped and counted.
 */
#include <string.h>
#include "net/netif.h"
#include "net/frame.h"
#include "net/net.h"
#include "net/nic.h"
#include "net/timers.h"
#include "ctrl-kernel/rt/rt.h"
#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/pbuf.h"
#include "netif/ethernet.h"

#define MTU 1500u
#define SEGS_MAX 16u

static struct glue {
	struct nic *nic;               /* [borrows] */
	struct net_counters *counters; /* [borrows] net.c's */
	uint16_t vlan;
	uint8_t tag[ETH_TAG_LEN];
} glue;

/* The frame without its tag. */
static struct pbuf *frame_to_pbuf(const uint8_t *frame, size_t len, size_t tag)
{
	size_t rest = ETH_ADDRS_LEN + tag;
	struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)(len - tag), NET_RX_PBUF);

	if (!p)
		return NULL;
	pbuf_take(p, frame, ETH_ADDRS_LEN);
	pbuf_take_at(p, frame + rest, (u16_t)(len - rest), ETH_ADDRS_LEN);
	return p;
}

static void rx(struct nic *nic, const void *frame, size_t len)
{
	struct netif *netif = nic->user;
	struct pbuf *p;
	size_t tag;

	switch (frame_check(frame, len, glue.vlan, &tag)) {
	case FRAME_MALFORMED:
		glue.counters->rx_malformed++;
		return;
	case FRAME_OTHER_VLAN:
		glue.counters->rx_filtered++;
		return;
	case FRAME_OK:
		break;
	}
	p = frame_to_pbuf(frame, len, tag);
	if (!p) {
		glue.counters->rx_no_memory++;
		PBUF_CHECK_FREE_OOSEQ(); /* out-of-order segments hold the pool: the next frame finds room */
		return;
	}
	if (netif->input(p, netif) != ERR_OK)
		pbuf_free(p);
}

static unsigned seg_add(struct nic_seg *segs, unsigned n, const void *data, size_t len)
{
	if (len == 0)
		return n;
	segs[n] = (struct nic_seg){.data = data, .len = len};
	return n + 1;
}

/* lwIP puts the whole Ethernet header into the first pbuf. Short frames are padded: not every wire does. */
static err_t output(struct netif *netif, struct pbuf *p)
{
	static const uint8_t zeros[ETH_FRAME_MIN];
	struct nic_seg segs[SEGS_MAX + 4];
	size_t len = p->tot_len;
	unsigned n;

	(void)netif;
	if (p->len < ETH_HEADER_LEN)
		return ERR_ARG;
	n = seg_add(segs, 0, p->payload, ETH_ADDRS_LEN);
	if (glue.vlan) {
		n = seg_add(segs, n, glue.tag, ETH_TAG_LEN);
		len += ETH_TAG_LEN;
	}
	n = seg_add(segs, n, (const char *)p->payload + ETH_ADDRS_LEN, p->len - ETH_ADDRS_LEN);
	for (const struct pbuf *q = p->next; q; q = q->next) {
		if (n == SEGS_MAX)
			return ERR_BUF; /* lwIP makes two or three pieces */
		n = seg_add(segs, n, q->payload, q->len);
	}
	n = seg_add(segs, n, zeros, len < ETH_FRAME_MIN ? ETH_FRAME_MIN - len : 0);
	if (glue.nic->ops->send(glue.nic, segs, n) == 0)
		return ERR_OK;
	glue.counters->tx_dropped++;
	return ERR_MEM; /* TCP keeps the segment and tries again */
}

static void link_changed(struct nic *nic)
{
	struct netif *netif = nic->user;

	rt_log("net: %s link %s", nic->name, nic->link ? "up" : "down");
	if (nic->link)
		netif_set_link_up(netif);
	else
		netif_set_link_down(netif);
	net_timers_look();
}

static err_t init(struct netif *netif)
{
	netif->name[0] = 'e';
	netif->name[1] = 'n';
	netif->mtu = MTU;
	netif->hwaddr_len = sizeof(glue.nic->mac);
	memcpy(netif->hwaddr, glue.nic->mac, sizeof(glue.nic->mac));
	netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET |
		       NETIF_FLAG_MLD6;
	netif->output = etharp_output;
	netif->output_ip6 = ethip6_output;
	netif->linkoutput = output;
	netif_set_hostname(netif, "socle");
	return ERR_OK;
}

int net_netif_add(struct netif *netif, struct nic *nic, uint16_t vlan,
		  struct net_counters *counters)
{
	glue = (struct glue){.nic = nic, .vlan = vlan, .counters = counters};
	frame_tag(glue.tag, vlan);
	if (!netif_add_noaddr(netif, NULL, init, ethernet_input))
		return -1;
	netif_set_default(netif);
	nic->user = netif;
	nic->rx = rx;
	nic->link_changed = link_changed;
	return 0;
}
