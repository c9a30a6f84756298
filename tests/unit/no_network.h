/* SPDX-License-Identifier: BSD-2-Clause */
/* The network of tests that have none: for fakehv.c. */
#ifndef TESTS_NO_NETWORK_H
#define TESTS_NO_NETWORK_H

#include <string.h>
#include "net/net.h"

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

#endif
