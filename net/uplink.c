/* SPDX-License-Identifier: BSD-2-Clause */
/* See uplink.h. */
#include "net/uplink.h"

#include <stdlib.h>

#include "net/gro.h"
#include "net/netif.h"

struct uplink {
	struct switch_port port;
	struct nic *nic; /* [borrows] */
	bool shared;     /* with the host's own interface */
};

struct batch {
	struct nic *nic; /* [borrows] */
	uint64_t now;
};

static void rx(struct nic *nic, const struct nic_rx *frame, unsigned n);

/* NULL: what a frame of the batch has led to has closed it. */
static struct switch_port *port_of(const struct batch *b)
{
	struct uplink *u = b->nic->user;

	return b->nic->rx == rx ? &u->port : NULL;
}

static unsigned caps(void *ctx, const struct packet *p)
{
	struct batch *b = ctx;
	struct switch_port *port = port_of(b);

	return port ? switch_caps(port, p, b->now) : 0;
}

static void input(void *ctx, const struct packet *p)
{
	struct batch *b = ctx;
	struct switch_port *port = port_of(b);

	if (port)
		(void)switch_input(port, p, b->now);
}

static void malformed(void *ctx)
{
	struct switch_port *port = port_of(ctx);

	if (port)
		switch_malformed(port);
}

static void rx(struct nic *nic, const struct nic_rx *frame, unsigned n)
{
	static const struct gro_ops ops = {.caps = caps, .input = input, .malformed = malformed};
	struct batch b = {nic, rt_now()};

	gro_batch(frame, n, &ops, &b);
}

static bool deliver(struct switch_port *port, const struct packet *p)
{
	struct uplink *u = port->own;
	struct packet_wire wire;

	packet_wire(p, switch_tagged(port, p), &wire);
	return u->nic->ops->send(u->nic, &wire.frame) == 0;
}

static void link_changed(struct nic *nic)
{
	struct uplink *u = nic->user;

	u->port.up = nic->link;
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
	nic->user = NULL;
	switch_unplug(&u->port);
	if (u->shared)
		net_netif_alone();
	free(u);
}

const struct switch_port *uplink_port(const struct uplink *u)
{
	return &u->port;
}
