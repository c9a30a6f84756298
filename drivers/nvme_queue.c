/* SPDX-License-Identifier: BSD-2-Clause */
/* See nvme_queue.h. */
#include "drivers/nvme_queue.h"

#include <string.h>
#include "drivers/bits.h"

#define PAGE 4096u

void nvme_queue_init(struct nvme_queue *q, unsigned depth, void *sq, void *cq)
{
	memset(sq, 0, depth * sizeof(struct nvme_sqe));
	memset(cq, 0, depth * sizeof(struct nvme_cqe));
	*q = (struct nvme_queue){.sq = sq, .cq = cq, .depth = depth, .phase = NVME_PHASE};
}

void nvme_queue_put(struct nvme_queue *q, unsigned slot, struct nvme_sqe *e)
{
	q->uses[slot]++;
	q->used[slot] = true;
	e->cid = (uint16_t)(slot | (unsigned)q->uses[slot] << 8);
	q->sq[q->tail] = *e;
	q->tail = (q->tail + 1) % q->depth;
	dma_barrier(); /* the entry before the doorbell */
}

bool nvme_queue_take(struct nvme_queue *q, struct nvme_result *out)
{
	volatile struct nvme_cqe *e = &q->cq[q->head];
	unsigned status = e->status, cid, slot;

	if (q->broken || (status & NVME_PHASE) != q->phase)
		return false;
	dma_barrier(); /* the phase before the rest */
	cid = e->cid;
	slot = cid & 0xff;
	if (slot >= NVME_DEPTH || !q->used[slot] || q->uses[slot] != cid >> 8) {
		q->broken = true;
		return false;
	}
	*out = (struct nvme_result){
		.slot = slot, .status = NVME_STATUS(status), .result = e->result};
	q->used[slot] = false;
	q->head++;
	if (q->head == q->depth) {
		q->head = 0;
		q->phase ^= NVME_PHASE;
	}
	return true;
}

void nvme_prps(struct nvme_sqe *e, const struct blkmem *m, unsigned n, volatile uint64_t *list,
	       uint64_t list_hpa)
{
	unsigned pages = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t at = m[i].hpa, end = m[i].hpa + m[i].bytes;

		for (; at < end && pages <= NVME_LIST_ENTRIES; at = (at | (PAGE - 1)) + 1) {
			if (pages == 0)
				e->prp1 = at;
			else
				list[pages - 1] = at;
			pages++;
		}
	}
	if (pages == 2)
		e->prp2 = list[0];
	else if (pages > 2)
		e->prp2 = list_hpa;
}

static void discard(struct nvme_sqe *e, uint64_t lba, uint32_t blocks, volatile uint64_t *list,
		    uint64_t list_hpa)
{
	volatile struct nvme_dsm_range *r = (volatile struct nvme_dsm_range *)list;

	r->attributes = 0;
	r->blocks = blocks;
	r->lba = lba;
	e->prp1 = list_hpa;
	e->cdw10 = 0; /* one range */
	e->cdw11 = NVME_DSM_DEALLOCATE;
}

void nvme_command(struct nvme_sqe *e, const struct blkcmd *c, uint32_t nsid,
		  volatile uint64_t *list, uint64_t list_hpa)
{
	static const uint8_t opcodes[] = {[BLK_READ] = NVME_READ,
					  [BLK_WRITE] = NVME_WRITE,
					  [BLK_FLUSH] = NVME_FLUSH,
					  [BLK_DISCARD] = NVME_DSM,
					  [BLK_WRITE_ZEROES] = NVME_ZEROES};
	uint64_t lba = c->offset / c->unit->dev.sector_bytes;
	uint32_t blocks = (uint32_t)(c->bytes / c->unit->dev.sector_bytes);
	const struct blkmem *m;
	unsigned n;

	*e = (struct nvme_sqe){.opcode = opcodes[c->op], .nsid = nsid};
	if (c->op == BLK_FLUSH)
		return;
	if (c->op == BLK_DISCARD) {
		discard(e, lba, blocks, list, list_hpa);
		return;
	}
	e->cdw10 = (uint32_t)lba;
	e->cdw11 = (uint32_t)(lba >> 32);
	e->cdw12 = (blocks - 1) | (c->fua ? NVME_FUA : 0);
	if (c->op == BLK_WRITE_ZEROES)
		return;
	m = blkcmd_memory(c, &n);
	nvme_prps(e, m, n, list, list_hpa);
}
