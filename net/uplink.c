/* SPDX-License-Identifier: BSD-2-Clause */
/* See uplink.h. */
#include "net/uplink.h"

#include <stdlib.h>
#include <string.h>

#include "net/gro.h"
#include "net/netif.h"

#define WAITING_MAX 256u

struct waiting { /* for room at the card */
	struct waiting *next;
	struct packet p;
	struct packet_cut cut; /* of p */
	uint8_t copy[];
};

struct uplink {
	struct switch_port port;
	struct nic *nic; /* [borrows] */
	bool shared;     /* with the host's own interface */
	uint64_t now;    /* of a batch that comes in */
	struct waiting *first, **end;
	unsigned n_waiting;
};

/* ---- in ---- */

static unsigned caps(void *ctx, const struct packet *p)
{
	const struct uplink *u = ctx;

	return switch_caps(&u->port, p, u->now);
}

static void input(void *ctx, const struct packet *p)
{
	struct uplink *u = ctx;

	(void)switch_input(&u->port, p, u->now);
}

static void malformed(void *ctx)
{
	struct uplink *u = ctx;

	switch_malformed(&u->port);
}

static void rx(struct nic *nic, const struct nic_rx *frame, unsigned n)
{
	static const struct gro_ops ops = {.caps = caps, .input = input, .malformed = malformed};
	struct uplink *u = nic->user;

	u->now = rt_now();
	gro_batch(frame, n, &ops, u);
}

/* ---- out ---- */

/* All frames of it that are left. What a card cannot take whole, for its memory is too scattered, is cut for it. */
static enum nic_send send(struct uplink *u, struct packet_cut *cut)
{
	struct packet_cut before = *cut;
	const struct packet *frame;
	struct packet_wire wire;
	enum nic_send r;
	struct packet room;

	while ((frame = packet_cut_next(cut, &room)) != NULL) {
		packet_wire(frame, switch_tagged(&u->port, frame), &wire);
		r = u->nic->ops->send(u->nic, &wire.frame);
		if (r == NIC_REFUSED && frame->offload.gso != PACKET_WHOLE)
			packet_cut(cut, cut->p, cut->caps & PACKET_CAP_CSUM);
		else if (r != NIC_TAKEN) {
			*cut = before;
			return r;
		}
		before = *cut;
	}
	return NIC_TAKEN;
}

/* Copies what lies where it is only during the call. */
static void keep(struct waiting *w, const struct packet *p)
{
	uint8_t *to = w->copy;

	w->p = *p;
	if (p->source)
		p->source->hold.refs++;
	for (unsigned i = 0; !p->source && i < p->n_rest; to += p->rest[i++].len)
		w->p.rest[i].data = memcpy(to, p->rest[i].data, p->rest[i].len);
}

static bool wait(struct uplink *u, const struct packet_cut *cut)
{
	const struct packet *p = cut->p;
	size_t copied = p->source ? 0 : p->bytes - p->head_bytes;
	struct waiting *w;

	if (u->n_waiting == WAITING_MAX || copied > ETH_PAYLOAD_MAX)
		return false;
	w = malloc(sizeof(*w) + copied);
	if (!w)
		return false;
	keep(w, p);
	w->cut = *cut;
	w->cut.p = &w->p;
	w->next = NULL;
	*u->end = w;
	u->end = &w->next;
	u->n_waiting++;
	return true;
}

static void drop_first(struct uplink *u)
{
	struct waiting *w = u->first;

	u->first = w->next;
	if (!u->first)
		u->end = &u->first;
	u->n_waiting--;
	if (w->p.source)
		nic_hold_put(&w->p.source->hold);
	free(w);
}

static void room(struct nic *nic)
{
	struct uplink *u = nic->user;

	while (u->first && send(u, &u->first->cut) != NIC_FULL)
		drop_first(u);
}

static bool deliver(struct switch_port *port, const struct packet *p)
{
	struct uplink *u = port->own;
	struct packet_cut cut;
	enum nic_send r;

	packet_cut(&cut, p, u->nic->caps);
	r = u->first ? NIC_FULL : send(u, &cut);
	return r == NIC_TAKEN || (r == NIC_FULL && wait(u, &cut));
}

static void link_changed(struct nic *nic)
{
	struct uplink *u = nic->user;

	u->port.up = nic->link;
	while (u->first && !nic->link)
		drop_first(u);
	if (u->shared)
		net_netif_link();
	else
		rt_log("net: %s link %s", nic->name, nic->link ? "up" : "down");
}

static const struct switch_port_ops ops = {.deliver = deliver};

static const char *plug(struct uplink *u, struct vswitch *sw)
{
	u->port.ops = &ops;
	u->port.own = u;
	u->port.caps = PACKET_CAP_CSUM | PACKET_CAP_TCP4 | PACKET_CAP_TCP6; /* send() cuts */
	u->port.config = (struct switch_port_config){
		.trunk = true, .floods = true, .learn = SWITCH_LEARN_UPLINK};
	if (switch_plug(sw, &u->port) != SWITCH_OK)
		return "the network has no room for another port";
	if (!u->shared || net_netif_share(sw) == SWITCH_OK)
		return NULL;
	switch_unplug(&u->port);
	return "the network has no room for the host's own interface, or a VM has its MAC";
}

static const char *begin(struct nic *nic)
{
	if (nic->started)
		return NULL;
	if (nic->ops->start(nic) != 0)
		return "the card cannot be started; the host log says why";
	nic->started = true;
	return NULL;
}

struct uplink *uplink_open(struct nic *nic, struct vswitch *sw, const char **why)
{
	struct uplink *u;

	*why = "out of memory";
	u = nic->rx == rx ? NULL : calloc(1, sizeof(*u));
	if (nic->rx == rx)
		*why = "another network has that card";
	if (!u)
		return NULL;
	u->nic = nic;
	u->end = &u->first;
	u->shared = net_netif_has(nic);
	*why = begin(nic);
	if (!*why)
		*why = plug(u, sw);
	if (*why) {
		free(u);
		return NULL;
	}
	nic->user = u;
	nic->rx = rx;
	nic->link_changed = link_changed;
	nic->room = room;
	nic->ops->set_promiscuous(nic, true);
	u->port.up = nic->link;
	return u;
}

void uplink_close(struct uplink *u)
{
	struct nic *nic = u->nic;

	nic->ops->set_promiscuous(nic, false);
	nic->rx = NULL;
	nic->link_changed = NULL;
	nic->room = NULL;
	nic->user = NULL;
	while (u->first)
		drop_first(u);
	switch_unplug(&u->port);
	if (u->shared)
		net_netif_alone();
	free(u);
}

const struct switch_port *uplink_port(const struct uplink *u)
{
	return &u->port;
}
