/* SPDX-License-Identifier: BSD-2-Clause */
/* What all virtio devices have in common (virtio 1.2, 2 and 3.1): status, features, queues, and when to interrupt. */
#include "ctrl-kernel/vmm/virtio/virtio.h"

#include <string.h>

#include "ctrl-kernel/rt/fmt.h"

#define STATUS_DRIVER_BITS                                                                         \
	(VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_DRIVER_OK | VIRTIO_FEATURES_OK | VIRTIO_FAILED)
#define TELL_NS 1000000000ull /* a device says no more often what its driver did */

/* The one being served: too large for a stack whose variables are cleared. */
static struct vq_chain chain;

uint64_t virtio_features(const struct virtio_device *d)
{
	return d->features | VIRTIO_VERSION_1 | VIRTIO_RING_INDIRECT | VIRTIO_RING_EVENT_IDX;
}

unsigned virtio_vectors(const struct virtio_device *d)
{
	return d->n_queues + 1;
}

bool virtio_live(const struct virtio_device *d)
{
	return (d->s->status & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET | VIRTIO_RESETTING)) ==
		       VIRTIO_DRIVER_OK &&
	       transport_bus_master(d);
}

bool virtio_is_resetting(const struct virtio_device *d)
{
	return d->s->status & VIRTIO_RESETTING;
}

/* ---- queues ---- */

void virtio_broken(struct virtio_device *d, unsigned queue, const char *why)
{
	uint64_t now = rt_now();

	if (d->s->status & VIRTIO_NEEDS_RESET)
		return;
	d->s->status |= VIRTIO_NEEDS_RESET;
	if (d->told_ns == 0 || now - d->told_ns >= TELL_NS) {
		d->told_ns = now;
		rt_log("virtio-%s at 00:%02x.0 needs a reset: %s (queue %u)", d->ops->name, d->slot,
		       why, queue);
	}
	if (d->s->status & VIRTIO_DRIVER_OK)
		virtio_config_changed(d);
}

bool virtio_take(struct virtio_device *d, unsigned queue, struct vq_chain *c)
{
	struct virtqueue *q = &d->queue[queue];

	if (vq_take(q, c))
		return true;
	if (q->broken)
		virtio_broken(d, queue, q->broken);
	return false;
}

void virtio_complete(struct virtio_device *d, unsigned queue, uint16_t head, uint32_t written)
{
	vq_complete(&d->queue[queue], head, written);
}

void virtio_complete_batch(struct virtio_device *d, unsigned queue, const struct vq_done *done,
			   unsigned n)
{
	vq_complete_batch(&d->queue[queue], done, n);
}

void virtio_signal(struct virtio_device *d, unsigned queue)
{
	if (vq_interrupt(&d->queue[queue]))
		transport_interrupt(d, d->s->queue[queue].vector, VIRTIO_ISR_QUEUE);
}

static unsigned n_taken;

unsigned virtio_requests(void)
{
	unsigned n = n_taken;

	n_taken = 0;
	return n;
}

bool virtio_serve(struct virtio_device *d, unsigned queue,
		  void (*fn)(struct virtio_device *d, unsigned queue, const struct vq_chain *c))
{
	unsigned n = 0;

	do {
		while (n < VIRTIO_TURN && virtio_take(d, queue, &chain)) {
			fn(d, queue, &chain);
			n++;
		}
	} while (n < VIRTIO_TURN && vq_listen(&d->queue[queue]));
	n_taken += n;
	virtio_signal(d, queue);
	return n == VIRTIO_TURN;
}

void virtio_config_changed(struct virtio_device *d)
{
	d->s->generation++;
	transport_interrupt(d, d->s->config_vector, VIRTIO_ISR_CONFIG);
}

/* What was in flight when the instance before died, again; then as if an interrupt were due. */
static void queue_resume(struct virtio_device *d, unsigned queue)
{
	struct virtqueue *q = &d->queue[queue];

	for (unsigned head = 0; vq_retake(q, head, &chain); head = chain.head + 1u)
		d->ops->again(d, queue, &chain);
	if (q->broken)
		virtio_broken(d, queue, q->broken);
	q->signal = true;
}

void virtio_notify(struct virtio_device *d, unsigned queue)
{
	if (d->vm->quiet || !virtio_live(d) || !d->queue[queue].desc)
		return;
	if (d->due >> queue & 1) {
		d->due &= ~(1u << queue);
		queue_resume(d, queue);
	}
	if (!d->ops->notify(d, queue))
		return;
	d->waiting |= 1u << queue;
	loop_defer(&d->more);
}

void virtio_notify_all(struct virtio_device *d)
{
	for (unsigned i = 0; i < d->n_queues; i++)
		virtio_notify(d, i);
}

/* The rest of what was too much for one turn. */
static void go_on(void *ctx)
{
	struct virtio_device *d = ctx;
	uint32_t queues = d->waiting;

	d->waiting = 0;
	for (; queues; queues &= queues - 1)
		virtio_notify(d, (unsigned)__builtin_ctz(queues));
}

static bool queue_attach(struct virtio_device *d, unsigned queue)
{
	struct virtqueue *q = &d->queue[queue];

	if (vq_attach(q, d->s->driver_features))
		return true;
	virtio_broken(d, queue, q->broken);
	return false;
}

void virtio_queue_enable(struct virtio_device *d, unsigned queue)
{
	if ((d->s->status & VIRTIO_FEATURES_OK) && !d->s->queue[queue].enabled &&
	    queue_attach(d, queue))
		__atomic_store_n(&d->s->queue[queue].enabled, 1, __ATOMIC_RELEASE);
}

void virtio_queue_reset(struct virtio_device *d, unsigned queue)
{
	if (d->s->driver_features & VIRTIO_RING_RESET)
		vq_reset(&d->queue[queue]);
}

/* ---- status (3.1.1) ---- */

void virtio_reset_done(struct virtio_device *d)
{
	for (unsigned i = 0; i < d->n_queues; i++)
		vq_reset(&d->queue[i]);
	d->s->driver_features = 0;
	d->waiting = d->due = 0;
	transport_registers_reset(d);
	__atomic_store_n(&d->s->status, 0, __ATOMIC_RELEASE); /* last: now it has been reset */
}

static void reset(struct virtio_device *d)
{
	__atomic_store_n(&d->s->status, d->s->status | VIRTIO_RESETTING, __ATOMIC_RELEASE);
	if (!d->ops->reset || d->ops->reset(d))
		virtio_reset_done(d);
}

/* Only what was offered, and this version: else FEATURES_OK does not stay (2.2.2, 6.1). */
static bool features_acceptable(const struct virtio_device *d)
{
	return !(d->s->driver_features & ~virtio_features(d)) &&
	       (d->s->driver_features & VIRTIO_VERSION_1);
}

void virtio_status_write(struct virtio_device *d, uint8_t value)
{
	uint32_t old = d->s->status,
		 now = old | (value & STATUS_DRIVER_BITS); /* bits are never taken back */

	if (value == 0) {
		reset(d);
		return;
	}
	if (old & VIRTIO_RESETTING)
		return;
	if (!(old & VIRTIO_FEATURES_OK) && !features_acceptable(d))
		now &= ~(uint32_t)VIRTIO_FEATURES_OK;
	if (!(now & VIRTIO_FEATURES_OK))
		now &= ~(uint32_t)VIRTIO_DRIVER_OK;
	d->s->status = now;
	if (now & ~old & VIRTIO_DRIVER_OK)
		virtio_notify_all(d);
}

/* ---- life ---- */

void virtio_device_attach(struct virtio_device *d, struct vm *vm, unsigned slot,
			  const struct virtio_device_ops *ops)
{
	/* What was in the slot before may have left its call in the loop. */
	struct loop_job more = d->more.queued ? d->more : (struct loop_job){.fn = go_on, .ctx = d};

	*d = (struct virtio_device){
		.vm = vm,
		.ops = ops,
		.slot = slot,
		.n_queues = ops->n_queues,
		.features = ops->features,
		.s = &vm->state->virtio.device[slot],
		.more = more,
	};
	if (ops->attach)
		ops->attach(d);
	for (unsigned i = 0; i < d->n_queues; i++)
		d->queue[i] = (struct virtqueue){.s = &d->s->queue[i],
						 .batch = vm->state->virtio.batch,
						 .ram = vm->ram,
						 .max = ops->queue_size};
	transport_attach(d);
}

void virtio_device_reset(struct virtio_device *d)
{
	transport_reset(d);
	reset(d);
}

void virtio_device_end(struct virtio_device *d)
{
	if (d->ops->reset)
		(void)d->ops->reset(d);
	virtio_reset_done(d);
}

/* Rings as they stood; what was in flight again; then as if every doorbell had rung and every interrupt were due. One that
 * is not bus master just now comes to that when it is (virtio_notify). */
void virtio_device_resume(struct virtio_device *d)
{
	if (d->s->status & VIRTIO_RESETTING) {
		reset(d);
		return;
	}
	for (unsigned i = 0; i < d->n_queues; i++)
		if (d->s->queue[i].enabled && queue_attach(d, i))
			d->due |= 1u << i;
	if (!(d->s->status & VIRTIO_DRIVER_OK))
		return;
	virtio_config_changed(d);
	virtio_notify_all(d);
	for (unsigned i = 0; i < d->n_queues; i++)
		virtio_signal(d, i);
}

static bool queue_check(const struct virtio_device *d, const struct virtio_queue_state *q)
{
	bool power = q->size && !(q->size & (q->size - 1));

	if (q->enabled > 1 || (q->vector > d->n_queues && q->vector != VIRTIO_NO_VECTOR))
		return false;
	return !q->enabled || (power && q->size <= d->ops->queue_size && q->log >> 48 <= 3);
}

bool virtio_device_check(const struct virtio_device *d, const struct virtio_device_state *s,
			 char why[VIRTIO_WHY_MAX])
{
	const char *what = NULL;

	if (s->status & ~(uint32_t)(STATUS_DRIVER_BITS | VIRTIO_NEEDS_RESET | VIRTIO_RESETTING))
		what = "status";
	else if (s->pending >> (d->n_queues + 1))
		what = "pending interrupts";
	else if (s->config_vector > d->n_queues && s->config_vector != VIRTIO_NO_VECTOR)
		what = "configuration vector";
	for (unsigned i = 0; i < d->n_queues && !what; i++)
		if (!queue_check(d, &s->queue[i]))
			what = "queue";
	if (what)
		rt_snprintf(why, VIRTIO_WHY_MAX, "virtio-%s at 00:%02x.0: %s", d->ops->name,
			    d->slot, what);
	return !what;
}
