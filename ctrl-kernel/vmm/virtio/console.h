/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-console (virtio 1.2, 5.3): see console.c. */
#ifndef VMM_VIRTIO_CONSOLE_H
#define VMM_VIRTIO_CONSOLE_H

#include "ctrl-kernel/vmm/virtio/virtio.h"

#define SLOT_CONSOLE 3u

extern const struct virtio_device_ops console_ops;

#endif
