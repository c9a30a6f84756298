/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A NIC as a port of a switch: what guests send leaves by it, tagged where their VLAN is not the switch's own. The host's own
 * interface, where it has the same NIC, becomes a port, too, and stays what it was for everybody else.
 */
#ifndef NET_UPLINK_H
#define NET_UPLINK_H

#include "net/nic.h"
#include "net/switch.h"

struct uplink;

/* -> NULL and *why in words: the NIC is another switch's uplink, or cannot be started. */
struct uplink *uplink_open(struct nic *nic, struct vswitch *sw, const char **why);
void uplink_close(struct uplink *u);
const struct switch_port *uplink_port(const struct uplink *u);

#endif
