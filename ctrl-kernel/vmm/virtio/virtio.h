/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio 1.2 device of this VM, whatever it is: features, status, queues, interrupts (virtio.c), and the PCI
 * transport (transport.c). A kind of device is a struct virtio_device_ops. Registers and rings' positions live in the
 * survivor pages (state.h); struct virtio_device is made anew by each instance. One thread: handlers of the loop.
 *
 *	guest writes its doorbell ─► hv, the vCPU goes on ─► virtio_doorbells() ─► ops->notify(queue)
 *	                                                        virtio_take() ... virtio_complete() ─► MSI or INTx
 *
 * A device may complete at once or later and in any order. It takes at most VIRTIO_TURN chains of a queue in one turn.
 */
#ifndef VMM_VIRTIO_VIRTIO_H
#define VMM_VIRTIO_VIRTIO_H

#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/vmm/pci.h"
#include "ctrl-kernel/vmm/virtio/virtqueue.h"

#define VIRTIO_VERSION_1 (1ull << 32)
#define VIRTIO_RING_RESET (1ull << 40)
#define VIRTIO_TURN 32u /* chains */
#define VIRTIO_BELLS 4u /* doorbell bits of a device; slot 0, the bridge, has none */
#define VIRTIO_BELL(slot) (((slot)-1u) * VIRTIO_BELLS)

#define VIRTIO_RESETTING 0x100u /* in virtio_device_state.status, beside the register's bits */

enum virtio_isr { VIRTIO_ISR_QUEUE = 1, VIRTIO_ISR_CONFIG = 2 }; /* 4.1.4.5 */

struct virtio_device;

struct virtio_device_ops {
	const char *name; /* in messages */
	uint16_t type;    /* virtio 1.2, 5 */
	uint32_t class;   /* as pci_identity.class */
	unsigned n_queues;
	uint16_t queue_size; /* the largest; a power of two */
	/* Those of the type; VERSION_1, INDIRECT, EVENT_IDX are everybody's. RING_RESET: only one that has nothing under way when
	 * its handlers return. */
	uint64_t features;
	/* First of all: may set own, n_queues and features of this one. NULL: they are those of the kind. */
	void (*attach)(struct virtio_device *d);
	uint32_t config_bytes;
	/* offset + n <= config_bytes. NULL where config_bytes is 0, and where nothing can be written. */
	void (*config_read)(struct virtio_device *d, unsigned offset, void *to, unsigned n);
	void (*config_write)(struct virtio_device *d, unsigned offset, const void *from,
			     unsigned n);
	/* The driver has put something into the queue, or may have. True: not all was taken, come again. */
	bool (*notify)(struct virtio_device *d, unsigned queue);
	/* A chain that the instance before had taken and not completed. */
	void (*again)(struct virtio_device *d, unsigned queue, const struct vq_chain *c);
	/* Stop. True: nothing is under way any more. False: virtio_reset_done() will be called. NULL: always true. */
	bool (*reset)(struct virtio_device *d);
	/* VMM_EVENT_IO: something has come back, or the device's configuration has changed. Also while it is not live. */
	void (*io)(struct virtio_device *d);
};

struct virtio_device {
	struct vm *vm;                       /* [borrows] */
	const struct virtio_device_ops *ops; /* [borrows] */
	void *own;                           /* [borrows] the kind's */
	unsigned slot;
	unsigned n_queues;
	uint64_t features;
	struct virtio_device_state *s; /* [borrows] survivor pages */
	struct virtqueue queue[VIRTIO_QUEUES_MAX];
	uint32_t waiting; /* queues that `more` will look at */
	uint32_t
		due; /* queues with chains of the instance before, which are done again when it is live */
	struct loop_job more;
	uint64_t told_ns; /* when it last said that it needs a reset */
};

/* ---- for kinds of devices ---- */
/* As vq_take; a chain that makes no sense ends in NEEDS_RESET. */
MUST_CHECK bool virtio_take(struct virtio_device *d, unsigned queue, struct vq_chain *c);
/* As vq_complete; then, once for all that a handler completed, the interrupt. */
void virtio_complete(struct virtio_device *d, unsigned queue, uint16_t head, uint32_t written);
/* As vq_complete_batch: the driver sees all of them or none. */
void virtio_complete_batch(struct virtio_device *d, unsigned queue, const struct vq_done *done,
			   unsigned n);
void virtio_signal(struct virtio_device *d, unsigned queue);
/* Takes chains and gives each to fn; for `notify`. */
MUST_CHECK bool virtio_serve(struct virtio_device *d, unsigned queue,
			     void (*fn)(struct virtio_device *d, unsigned queue,
					const struct vq_chain *c));
void virtio_config_changed(struct virtio_device *d);
/* The driver did what no driver may: until it resets the device, nothing is served. `why` is a constant. */
void virtio_broken(struct virtio_device *d, unsigned queue, const char *why);
void virtio_reset_done(struct virtio_device *d);
/* Served only between DRIVER_OK and reset, and while the guest lets it write to memory. */
bool virtio_live(const struct virtio_device *d);
bool virtio_is_resetting(const struct virtio_device *d);

/* ---- for devices.c ---- */
void virtio_device_attach(struct virtio_device *d, struct vm *vm, unsigned slot,
			  const struct virtio_device_ops *ops);
void virtio_device_reset(struct virtio_device *d); /* power-on: PCI registers too */
/* It is taken out: its queues are off, whatever is under way; its owner sees to that. */
void virtio_device_end(struct virtio_device *d);
void virtio_device_resume(struct virtio_device *d);
/* As virtio_state_check in vm.h, of one. */
bool virtio_device_check(const struct virtio_device *d, const struct virtio_device_state *s,
			 char why[VIRTIO_WHY_MAX]);

/* ---- between virtio.c and transport.c ---- */
uint64_t virtio_features(const struct virtio_device *d); /* offered */
void virtio_status_write(struct virtio_device *d, uint8_t value);
void virtio_queue_enable(struct virtio_device *d, unsigned queue);
void virtio_queue_reset(struct virtio_device *d, unsigned queue);
void virtio_notify(struct virtio_device *d, unsigned queue);
void virtio_notify_all(struct virtio_device *d);
unsigned virtio_vectors(const struct virtio_device *d);
void transport_attach(struct virtio_device *d);
void transport_reset(struct virtio_device *d);
void transport_registers_reset(struct virtio_device *d); /* those that a device reset resets, too */
bool transport_bus_master(const struct virtio_device *d);
void transport_doorbell(struct virtio_device *d, unsigned bell);
void transport_interrupt(struct virtio_device *d, unsigned vector, enum virtio_isr cause);

#endif
