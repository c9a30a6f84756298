/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IP addresses that ports of a switch have for themselves (switch.h): who else asks or answers for one of them in a VLAN of
 * its owner, or sends from it, is not let through. Only from outside, over an uplink, packets with such a source may come:
 * a router there sends back what it got. Addresses are the administrator's choice: buckets need no secret.
 */
#include "net/switch.h"

static struct switch_claim **bucket_of(struct vswitch *sw, const struct ipaddr *a)
{
	uint32_t x = 0x811c9dc5; /* FNV-1a */

	for (unsigned i = 0; i < sizeof(a->ip); i++)
		x = (x ^ a->ip[i]) * 0x01000193;
	return &sw->claims[x % SWITCH_CLAIM_BUCKETS];
}

/* Are both in one VLAN? One of them is no uplink. */
static bool meet(const struct switch_port *a, const struct switch_port *b)
{
	if (!b->config.tagged_only && switch_in_vlan(a, b->config.vid))
		return true;
	for (unsigned i = 0; i < b->config.n_vids; i++)
		if (switch_in_vlan(a, b->config.vids[i]))
			return true;
	return false;
}

static bool is_taken(struct vswitch *sw, const struct ipaddr *a, const struct switch_port *port)
{
	for (const struct switch_claim *c = *bucket_of(sw, a); c; c = c->next)
		if (ipaddr_same(c->addr, a) && meet(c->port, port))
			return true;
	return false;
}

/* Who else has it in that VLAN; NULL: nobody. */
static const struct switch_port *owner(struct vswitch *sw, const struct ipaddr *a, uint16_t vid,
				       const struct switch_port *but)
{
	for (const struct switch_claim *c = *bucket_of(sw, a); c; c = c->next)
		if (c->port != but && ipaddr_same(c->addr, a) && switch_in_vlan(c->port, vid))
			return c->port;
	return NULL;
}

void claims_drop(struct vswitch *sw, struct switch_port *port)
{
	for (unsigned i = 0; i < port->config.n_addrs; i++) {
		struct switch_claim **at = bucket_of(sw, &port->config.addrs[i]);

		while (*at != &port->claims[i])
			at = &(*at)->next;
		*at = port->claims[i].next;
		sw->n_claims--;
	}
}

bool claims_add(struct vswitch *sw, struct switch_port *port)
{
	const struct switch_port_config *c = &port->config;

	for (unsigned i = 0; i < c->n_addrs; i++)
		if (is_taken(sw, &c->addrs[i], port))
			return false;
	for (unsigned i = 0; i < c->n_addrs; i++) {
		struct switch_claim **at = bucket_of(sw, &c->addrs[i]);

		port->claims[i] = (struct switch_claim){port, &c->addrs[i], *at};
		*at = &port->claims[i];
		sw->n_claims++;
	}
	return true;
}

bool claims_check(const struct switch_port *port, const struct packet *p, uint16_t vid)
{
	struct spoof_said said;

	if (port->sw->n_claims == 0)
		return true;
	spoof_said(p, &said);
	if (said.hidden)
		return false;
	for (unsigned i = 0; i < said.n; i++)
		if (!(said.addr[i].source && port->config.trunk) &&
		    owner(port->sw, &said.addr[i].addr, vid, port))
			return false;
	return true;
}
