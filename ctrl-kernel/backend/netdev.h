/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's NIC behind the I/O area: a port of a switch.
 *
 *	guest sends   record ─► virtio_net_hdr and the frame's head copied and checked ─► switch ─► finished, or when a
 *	              card has read the rest from where it lies (struct packet_source)
 *	guest gets    switch ─► copied into the receive buffers of records, as many as it takes ─► finished, in order
 *
 * A frame from guest to guest is copied once, one for a card never, but for its head. Without a buffer it is dropped and counted; nothing waits. What a guest sends is
 * taken in portions, one a turn of the loop for each NIC, so that none starves the others or management.
 */
#ifndef BACKEND_NETDEV_H
#define BACKEND_NETDEV_H

#include "ctrl-kernel/backend/vmio.h"
#include "net/switch.h"

struct netdev;

/* page: where its queues begin in the area, which is open; pairs: 1 to VMM_IO_QUEUES_MAX of them. It belongs to `io` and goes with it. NULL: no memory. */
struct netdev *netdev_make(struct vmio *io, uint32_t page, unsigned pairs,
			   const struct switch_port_config *config);
struct switch_port *
netdev_port(struct netdev *n);     /* to be plugged in; unplugs itself when the run ends */
void netdev_end(struct netdev *n); /* it is taken out of the VM */
void netdev_link(struct netdev *n, bool up);

#endif
