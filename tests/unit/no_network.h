/* SPDX-License-Identifier: BSD-2-Clause */
/* The network of tests that have none: for fakehv.c. */
#ifndef TESTS_NO_NETWORK_H
#define TESTS_NO_NETWORK_H

#include <string.h>
#include "net/nat.h"
#include "net/net.h"
#include "net/uplink.h"

void net_status(struct net_status *out)
{
	memset(out, 0, sizeof(*out));
}

const char *net_last_error(void)
{
	return "no network in tests";
}

struct net_listener *net_listen(uint16_t port, unsigned backlog,
				void (*accept)(struct net_conn *conn, void *ctx), void *ctx)
{
	(void)port;
	(void)backlog;
	(void)accept;
	(void)ctx;
	return NULL;
}

struct uplink *uplink_open(struct nic *nic, struct vswitch *sw, const char **why)
{
	(void)nic, (void)sw;
	*why = "there are no cards in tests";
	return NULL;
}

void uplink_close(struct uplink *u)
{
	(void)u;
}

const struct switch_port *uplink_port(const struct uplink *u)
{
	(void)u;
	return NULL;
}

void nat_host(struct nat_host *out)
{
	*out = (struct nat_host){0};
}

void nat_host_send(const uint8_t *packet, size_t bytes)
{
	(void)packet, (void)bytes;
}

#endif
