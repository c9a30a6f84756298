/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pair of NVMe queues, and the commands of block requests. Pure memory: doorbells are rung by nvme.c. The controller is not
 * trusted: a completion names a command by slot and a count of its uses; one that is not in flight under that name breaks
 * the queue.
 */
#ifndef DRIVERS_NVME_QUEUE_H
#define DRIVERS_NVME_QUEUE_H

#include <stdbool.h>
#include "drivers/blkctl.h"
#include "drivers/nvme_hw.h"

#define NVME_DEPTH 64u         /* entries at most; one less can be in flight */
#define NVME_LIST_ENTRIES 128u /* of a slot's PRP list: 512 KiB at any offset are 129 pages */
#define NVME_LIST_BYTES (NVME_LIST_ENTRIES * 8u)

struct nvme_queue {
	volatile struct nvme_sqe *sq; /* [borrows] DMA memory, both */
	volatile struct nvme_cqe *cq;
	unsigned depth;
	unsigned tail, head;
	unsigned phase; /* of new completions */
	uint8_t uses[NVME_DEPTH];
	bool used[NVME_DEPTH];
	bool broken;
};

struct nvme_result {
	unsigned slot;
	unsigned status; /* type << 8 | code; 0: success */
	uint32_t result;
};

/* Both parts of the memory get cleared: the controller is off. */
void nvme_queue_init(struct nvme_queue *q, unsigned depth, void *sq, void *cq);
/* Fills in the command's identifier and puts it into the ring; tell the controller q->tail. slot < depth - 1, not in use. */
void nvme_queue_put(struct nvme_queue *q, unsigned slot, struct nvme_sqe *e);
/* False: nothing new, or broken. After some: tell the controller q->head. */
bool nvme_queue_take(struct nvme_queue *q, struct nvme_result *out);

/* The addresses of a command's data: pieces as blkctl's limits for PRPs demand. list: the slot's. */
void nvme_prps(struct nvme_sqe *e, const struct blkmem *m, unsigned n, volatile uint64_t *list,
	       uint64_t list_hpa);
/* The command for c on that namespace. list: the slot's memory, for PRPs or a range to discard. */
void nvme_command(struct nvme_sqe *e, const struct blkcmd *c, uint32_t nsid,
		  volatile uint64_t *list, uint64_t list_hpa);

#endif
