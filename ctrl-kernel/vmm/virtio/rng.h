/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-rng (virtio 1.2, 5.4): random bytes into whatever the driver gives. No configuration, one queue. */
#ifndef VMM_VIRTIO_RNG_H
#define VMM_VIRTIO_RNG_H

#include "ctrl-kernel/vmm/virtio/virtio.h"

extern const struct virtio_device_ops rng_ops;

/* Before the first request of this instance: its generator begins anew, from hv's seed and the CPU's generator. */
void rng_seed(void);

#endif
