/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The glue: frames from a NIC become pbufs, pbufs become segments for the NIC. Frames are checked (net/frame.c) and
 * copied once each way; what does not fit is dropped and counted.
 *
 * Where a network of guests has the NIC as its uplink (net/uplink.c) the interface is a port of that network's switch, in
 * the management VLAN, and neither reads nor writes tags: the same addresses, the same MAC, and guests may be talked to.
 */
#include <string.h>
#include "net/netif.h"
#include "net/frame.h"
#include "net/net.h"
#include "net/nic.h"
#include "net/switch.h"
#include "net/timers.h"
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/rt/rt.h"
#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/pbuf.h"
#include "netif/ethernet.h"

#define MTU 1500u
#define SEGS_MAX 16u
#define WAITING_MAX 256u

static struct glue {
	struct nic *nic;               /* [borrows] */
	struct netif *netif;           /* [borrows] net.c's */
	struct net_counters *counters; /* [borrows] net.c's */
	uint16_t vlan;
	uint8_t tag[ETH_TAG_LEN];
	struct switch_port port; /* plugged in: the NIC is shared */
} glue;

static void up_waiting(void *ctx);
static struct {                      /* for lwIP: from the switch */
	struct pbuf *p[WAITING_MAX]; /* [owns] */
	unsigned first, n;
	struct loop_job job;
} waiting = {.job = {.fn = up_waiting}};

static struct pbuf *pbuf_new(size_t len)
{
	struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)len, NET_RX_PBUF);

	if (p)
		return p;
	glue.counters->rx_no_memory++;
	PBUF_CHECK_FREE_OOSEQ(); /* out-of-order segments hold the pool: the next frame finds room */
	return NULL;
}

static void up(struct pbuf *p)
{
	if (glue.netif->input(p, glue.netif) != ERR_OK)
		pbuf_free(p);
}

static void rx_one(const uint8_t *frame, size_t len)
{
	struct pbuf *p;
	size_t tag, rest;

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
	p = pbuf_new(len - tag);
	if (!p)
		return;
	rest = ETH_ADDRS_LEN + tag;
	pbuf_take(p, frame, ETH_ADDRS_LEN);
	pbuf_take_at(p, frame + rest, (u16_t)(len - rest), ETH_ADDRS_LEN);
	up(p);
}

static struct pbuf *pbuf_of(const struct packet *packet)
{
	struct pbuf *p = pbuf_new(packet->bytes);
	size_t at = packet->head_bytes;

	if (!p)
		return NULL;
	pbuf_take(p, packet->head, (u16_t)at);
	for (unsigned i = 0; i < packet->n_rest; at += packet->rest[i++].len)
		pbuf_take_at(p, packet->rest[i].data, (u16_t)packet->rest[i].len, (u16_t)at);
	return p;
}

static bool rx_packet(void *ctx, const struct packet *packet)
{
	struct pbuf *p = pbuf_of(packet);

	(void)ctx;
	if (p)
		up(p);
	return p;
}

/* What the card has put together, and sums it leaves open: lwIP wants frames. */
static void rx_large(const struct nic_rx *frame)
{
	struct packet p;
	unsigned taken;

	if (!packet_make(&p, frame->seg, frame->n_segs, &frame->offload))
		glue.counters->rx_malformed++;
	else if (p.vid != glue.vlan)
		glue.counters->rx_filtered++;
	else
		(void)packet_finish(&p, 0, rx_packet, NULL, &taken);
}

static void rx(struct nic *nic, const struct nic_rx *frame, unsigned n)
{
	(void)nic;
	for (unsigned i = 0; i < n; i++)
		if (frame[i].n_segs > 1 || frame[i].offload.gso != PACKET_WHOLE ||
		    frame[i].offload.csum_wanted)
			rx_large(&frame[i]);
		else
			rx_one(frame[i].seg->data, frame[i].seg->len);
}

static void up_waiting(void *ctx)
{
	(void)ctx;
	while (waiting.n) {
		struct pbuf *p = waiting.p[waiting.first];

		waiting.first = (waiting.first + 1) % WAITING_MAX;
		waiting.n--;
		up(p);
	}
}

/* From the switch, which has looked at its form. Not at once: what it says may be a request that takes the switch away. */
static bool deliver(struct switch_port *port, const struct packet *packet)
{
	struct pbuf *p = waiting.n < WAITING_MAX ? pbuf_of(packet) : NULL;

	(void)port;
	if (!p)
		return false;
	waiting.p[(waiting.first + waiting.n++) % WAITING_MAX] = p;
	loop_defer(&waiting.job);
	return true;
}

static unsigned seg_add(struct nic_seg *segs, unsigned n, const void *data, size_t len)
{
	if (len == 0)
		return n;
	segs[n] = (struct nic_seg){.data = data, .len = len};
	return n + 1;
}

static err_t to_nic(const struct nic_seg *segs, unsigned n)
{
	const struct nic_frame frame = {.seg = segs, .n_segs = n};

	if (glue.nic->ops->send(glue.nic, &frame) == NIC_TAKEN)
		return ERR_OK;
	glue.counters->tx_dropped++;
	return ERR_MEM; /* TCP keeps the segment and tries again */
}

/* What the switch does not deliver is lost, as on a wire. */
static err_t to_switch(const struct nic_seg *segs, unsigned n)
{
	struct packet p;

	if (!packet_make(&p, segs, n, NULL))
		return ERR_ARG;
	(void)switch_input(&glue.port, &p, rt_now());
	return ERR_OK;
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
	if (glue.vlan && !glue.port.sw) {
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
	return glue.port.sw ? to_switch(segs, n) : to_nic(segs, n);
}

static void link_changed(struct nic *nic)
{
	struct netif *netif = glue.netif;

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
	glue = (struct glue){.nic = nic, .netif = netif, .vlan = vlan, .counters = counters};
	frame_tag(glue.tag, vlan);
	if (!netif_add_noaddr(netif, NULL, init, ethernet_input))
		return -1;
	netif_set_default(netif);
	net_netif_alone();
	return 0;
}

void net_netif_alone(void)
{
	switch_unplug(&glue.port);
	glue.nic->user = NULL;
	glue.nic->rx = rx;
	glue.nic->link_changed = link_changed;
}

bool net_netif_has(const struct nic *nic)
{
	return glue.nic == nic;
}

void net_netif_link(void)
{
	link_changed(glue.nic);
}

enum switch_plug net_netif_share(struct vswitch *sw)
{
	static const struct switch_port_ops ops = {.deliver = deliver};
	enum switch_plug r;

	glue.port = (struct switch_port){.ops = &ops,
					 .config = {.vid = glue.vlan, .has_mac = true, .learn = 0}};
	memcpy(glue.port.config.mac, glue.nic->mac, sizeof(glue.nic->mac));
	r = switch_plug(sw, &glue.port);
	glue.port.up = r == SWITCH_OK;
	return r;
}
