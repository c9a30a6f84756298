/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-balloon, in every VM. */
#ifndef VMM_VIRTIO_BALLOON_H
#define VMM_VIRTIO_BALLOON_H

#include "ctrl-kernel/vmm/virtio/virtio.h"

#define BALLOON_SLOT 2u

extern const struct virtio_device_ops balloon_ops;

#endif
