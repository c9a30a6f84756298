/* SPDX-License-Identifier: BSD-2-Clause */
/* A request is served at once and gets at most RNG_MOST bytes, so one turn is bounded; a driver asks again for more. */
#include "ctrl-kernel/vmm/virtio/rng.h"
#include "ctrl-kernel/vmm/virtio/csprng.h"

#include <string.h>

#define RNG_MOST 1024u

static struct csprng generator;
static uint8_t bytes[RNG_MOST]; /* zero between requests: what a guest got does not stay here */

void rng_seed(void)
{
	csprng_init(&generator, rt_info()->random);
}

static void request(struct virtio_device *d, unsigned queue, const struct vq_chain *c)
{
	size_t n = c->in_bytes < RNG_MOST ? c->in_bytes : RNG_MOST;

	csprng_bytes(&generator, bytes, n);
	n = vq_copy_to(&d->queue[queue], c, 0, bytes, n);
	memset(bytes, 0, n);
	virtio_complete(d, queue, c->head, (uint32_t)n);
}

static bool notify(struct virtio_device *d, unsigned queue)
{
	return virtio_serve(d, queue, request);
}

const struct virtio_device_ops rng_ops = {
	.name = "rng",
	.type = 4,
	.class = 0x00ff00, /* unclassified */
	.n_queues = 1,
	.queue_size = 64,
	.features = VIRTIO_RING_RESET,
	.notify = notify,
	.again = request,
};
