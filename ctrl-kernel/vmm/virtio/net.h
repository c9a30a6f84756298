/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-net (virtio 1.2, 5.1): see net.c. */
#ifndef VMM_VIRTIO_NET_H
#define VMM_VIRTIO_NET_H

#include "ctrl-kernel/vmm/virtio/virtio.h"

#define SLOT_NICS VMM_NIC_SLOT

extern const struct virtio_device_ops net_ops;

#endif
