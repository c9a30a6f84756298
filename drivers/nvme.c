/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * NVM Express 1.4 drives: one pair of queues for all namespaces, each of them a block device. Bringing up is in nvme_start.c,
 * the entries of the queues in nvme_queue.c. Interrupts of both pairs arrive on one vector.
 *
 * A reset is CC.EN = 0: with CSTS.RDY = 0 the controller has let go of all commands (7.3.2), so what is then sent again or
 * reported cannot be overtaken by an old command. Abort commands are not used: a controller is free to ignore them.
 */
#include "drivers/nvme.h"

#include <stdlib.h>
#include "drivers/bits.h"
#include "drivers/disks.h"
#include "ctrl-kernel/rt/rt.h"

#define CLASS_NVME 0x010802u
#define BAR_BYTES 0x1000u

void nvme_ring(struct nvme *n, unsigned queue, bool completion, unsigned value)
{
	unsigned at = (2 * queue + completion) * (4u << NVME_CAP_DSTRD(n->cap));

	mmio_write32(n->bells + at, value);
}

static bool issue(struct blkctl *ctl, struct blkcmd *c)
{
	struct nvme *n = (struct nvme *)ctl;
	uint32_t list = NVME_MEM_LISTS + c->slot * NVME_LIST_BYTES;
	struct nvme_sqe e;

	nvme_command(&e, c, ((struct nvme_ns *)c->unit)->nsid,
		     (volatile uint64_t *)((char *)n->mem.va + list), n->mem.hpa + list);
	nvme_queue_put(&n->io, c->slot, &e);
	return true;
}

static void kick(struct blkctl *ctl)
{
	struct nvme *n = (struct nvme *)ctl;

	nvme_ring(n, 1, false, n->io.tail);
}

static enum blk_status status_of(unsigned status)
{
	switch (status) {
	case 0:
		return BLK_OK;
	case NVME_S_OPCODE:
		return BLK_UNSUPPORTED;
	case NVME_S_RANGE:
		return BLK_RANGE;
	default:
		return BLK_IO_ERROR;
	}
}

static void collect(struct blkctl *ctl)
{
	struct nvme *n = (struct nvme *)ctl;
	struct nvme_result r;
	unsigned taken = 0;

	for (; taken < n->io.depth && nvme_queue_take(&n->io, &r); taken++) {
		struct blkcmd *c = blkctl_sent(ctl, r.slot);

		if (c)
			blkctl_end(ctl, c, status_of(r.status));
	}
	if (taken)
		nvme_ring(n, 1, true, n->io.head);
	if (n->io.broken)
		blkctl_fail(ctl, NULL, "it completed what was not in flight");
}

static void check(struct blkctl *ctl)
{
	struct nvme *n = (struct nvme *)ctl;
	uint32_t csts = mmio_read32(n->regs + NVME_CSTS);

	if ((csts & NVME_CSTS_CFS) || !(csts & NVME_CSTS_RDY))
		blkctl_fail(ctl, NULL, "the controller says that it has failed");
}

static void reset(struct blkctl *ctl)
{
	nvme_begin((struct nvme *)ctl);
}

static const struct blkctl_ops ops = {
	.issue = issue, .kick = kick, .collect = collect, .check = check, .reset = reset};

static void on_irq(void *ctx)
{
	struct nvme *n = ctx;

	if (n->stage == NVME_STAGE_ADMIN)
		nvme_admin_poll(n);
	blkctl_poll(&n->ctl);
}

static int map(struct nvme *n, const char **why)
{
	unsigned stride;

	*why = "its registers cannot be mapped";
	pci_enable(n->pci, false);
	n->regs = pci_map_bar(n->pci, 0, 0, BAR_BYTES);
	if (!n->regs)
		return -1;
	n->cap = mmio_read32(n->regs + NVME_CAP) | (uint64_t)mmio_read32(n->regs + NVME_CAP + 4)
							   << 32;
	stride = 4u << NVME_CAP_DSTRD(n->cap);
	n->bells = pci_map_bar(n->pci, 0, NVME_DOORBELLS, 4 * stride);
	if (!n->bells)
		return -1;
	*why = "it does not take pages of 4 KiB or NVM commands";
	if (NVME_CAP_MPSMIN(n->cap) || !NVME_CAP_CSS_NVM(n->cap) || NVME_CAP_MQES(n->cap) == 0)
		return -1;
	*why = "no memory or no interrupt left";
	if (dma_alloc(&n->mem, NVME_MEM_BYTES, 4096) != 0)
		return -1;
	return pci_irq_bind(n->pci, on_irq, n, &n->irq_kind);
}

static bool matches(const struct pci_dev *d)
{
	return d->class_code == CLASS_NVME;
}

static void probe(struct pci_dev *d)
{
	struct nvme *n = calloc(1, sizeof(*n));
	const char *why;

	if (!n)
		return;
	n->pci = d;
	blkctl_init(&n->ctl, &ops, "nvme", d);
	if (map(n, &why) != 0) {
		rt_log("disk: %s: %s; it stays off", n->ctl.name, why);
		free(n);
		return;
	}
	disk_starting();
	nvme_begin(n);
}

const struct disk_driver disk_nvme = {.name = "nvme", .matches = matches, .probe = probe};
