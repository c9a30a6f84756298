/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Brings an NVMe controller up, at start and after each reset (7.3, 7.6.1). Nothing waits: a timer looks again.
 *
 *	EN = 0 ─RDY = 0─► EN = 1 ─RDY = 1─► Set Features, Create CQ, Create SQ ─► up
 *	                                                              └─ at start: Identify Controller, namespaces ─► up
 */
#include "drivers/nvme.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "drivers/bits.h"
#include "drivers/disks.h"
#include "ctrl-kernel/rt/rt.h"

#define LOOK_NS 2000000ull
#define TO_UNIT_NS 500000000ull /* of CAP.TO */
#define ADMIN_NS 10000000000ull
#define BYTES_MAX (512u << 10) /* a slot's PRP list */
#define DISCARD_BLOCKS (1u << 21)
#define ZEROES_BLOCKS (1u << 16)
#define ALL_ONES UINT32_MAX

static void on_timer(void *ctx);

static void stage_set(struct nvme *n, enum nvme_stage stage, uint64_t ns)
{
	n->stage = stage;
	n->deadline_ns = rt_now() + ns;
	loop_timer_set(&n->timer, LOOK_NS);
}

/* Off, and touching no memory: bus mastering ends whatever its registers say. */
static void give_up(struct nvme *n, const char *why)
{
	loop_timer_cancel(&n->timer);
	n->stage = NVME_STAGE_OFF;
	mmio_write32(n->regs + NVME_CC, 0);
	pci_enable(n->pci, false);
	if (n->known || n->ctl.units)
		blkctl_gone(&n->ctl, why);
	else
		rt_log("disk: %s: %s; it stays off", n->ctl.name, why);
	if (!n->known)
		disk_started();
}

static void admin(struct nvme *n, struct nvme_sqe *e, nvme_then then)
{
	n->then = then;
	nvme_queue_put(&n->admin, 0, e);
	nvme_ring(n, 0, false, n->admin.tail);
	stage_set(n, NVME_STAGE_ADMIN, ADMIN_NS);
}

void nvme_admin_poll(struct nvme *n)
{
	struct nvme_result r;

	if (n->admin.broken) {
		give_up(n, "it completed what was not in flight");
		return;
	}
	if (!nvme_queue_take(&n->admin, &r))
		return;
	nvme_ring(n, 0, true, n->admin.head);
	n->then(n, &r);
}

static void identify(struct nvme *n, enum nvme_cns cns, uint32_t nsid, nvme_then then)
{
	struct nvme_sqe e = {.opcode = NVME_IDENTIFY,
			     .nsid = nsid,
			     .prp1 = n->mem.hpa + NVME_MEM_DATA,
			     .cdw10 = cns};

	admin(n, &e, then);
}

static const uint8_t *data_of(const struct nvme *n)
{
	return (const uint8_t *)n->mem.va + NVME_MEM_DATA;
}

static uint32_t le32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

/* ---- namespaces ---- */

bool nvme_ns_read(const uint8_t *id, struct blkdev *dev, const char **why)
{
	uint32_t format = le32(id + ID_NS_FORMATS + 4 * (id[ID_NS_FLBAS] & 0xf));
	unsigned shift = format >> 16 & 0xff;
	uint64_t blocks = le32(id + ID_NS_SIZE) | (uint64_t)le32(id + ID_NS_SIZE + 4) << 32;
	uint32_t npwg = (le32(id + ID_NS_NPWG) & 0xffff) + 1;

	*why = "it is empty";
	if (blocks == 0)
		return false;
	*why = "its format has metadata, which is not supported";
	if (format & 0xffff)
		return false;
	*why = "its blocks are neither of 512 nor of 4096 bytes";
	if ((shift != 9 && shift != 12) || blocks > UINT64_MAX >> shift)
		return false;
	dev->sector_bytes = 1u << shift;
	dev->physical_bytes = dev->sector_bytes;
	if ((id[ID_NS_FEATURES] & NVME_NS_OPTPERF) && (npwg & (npwg - 1)) == 0)
		dev->physical_bytes = npwg << shift;
	dev->bytes = blocks << shift;
	dev->read_only = id[ID_NS_ATTRIBUTES] & NVME_NS_PROTECTED;
	return true;
}

static void ns_add(struct nvme *n, uint32_t nsid)
{
	struct nvme_ns *ns = calloc(1, sizeof(*ns));
	const char *why = "no memory";
	char suffix[12];

	if (!ns || !nvme_ns_read(data_of(n), &ns->unit.dev, &why)) {
		rt_log("disk: %s/%u: %s; it is not used", n->ctl.name, nsid, why);
		free(ns);
		return;
	}
	ns->nsid = nsid;
	snprintf(ns->unit.dev.model, sizeof(ns->unit.dev.model), "%s", n->model);
	snprintf(ns->unit.dev.serial, sizeof(ns->unit.dev.serial), "%s", n->serial);
	ns->unit.dev.write_cache = n->write_cache;
	if (n->discard)
		ns->unit.discard_bytes = (uint64_t)DISCARD_BLOCKS * ns->unit.dev.sector_bytes;
	ns->unit.zeroes_bytes = (uint64_t)ZEROES_BLOCKS * ns->unit.dev.sector_bytes;
	if (ns->unit.zeroes_bytes > n->zeroes_max)
		ns->unit.zeroes_bytes = n->zeroes_max;
	snprintf(suffix, sizeof(suffix), "/%u", nsid);
	blkctl_add(&n->ctl, &ns->unit, suffix);
}

static void up(struct nvme *n)
{
	n->stage = NVME_STAGE_RUN;
	loop_timer_cancel(&n->timer);
	blkctl_up(&n->ctl);
}

static void ns_next(struct nvme *n, const struct nvme_result *r);

static void ns_came(struct nvme *n, const struct nvme_result *r)
{
	if (r->status == 0)
		ns_add(n, n->ids[n->list_at]);
	n->list_at++;
	ns_next(n, r);
}

static void ns_next(struct nvme *n, const struct nvme_result *r)
{
	(void)r;
	if (n->list_at < n->n_ids) {
		identify(n, NVME_CNS_NS, n->ids[n->list_at], ns_came);
		return;
	}
	n->known = true;
	up(n);
	disk_started();
}

static void id_take(struct nvme *n, uint32_t nsid)
{
	if (n->n_ids < NVME_NS_MAX)
		n->ids[n->n_ids++] = nsid;
	else
		rt_log("disk: %s: more than %u namespaces; the rest is not used", n->ctl.name,
		       NVME_NS_MAX);
}

static void list_came(struct nvme *n, const struct nvme_result *r)
{
	unsigned i;

	if (r->status) {
		give_up(n, "it does not tell its namespaces");
		return;
	}
	for (i = 0; i <= NVME_NS_MAX && le32(data_of(n) + 4 * i); i++)
		id_take(n, le32(data_of(n) + 4 * i));
	ns_next(n, r);
}

/* ---- the controller ---- */

uint32_t nvme_bytes_max(uint64_t cap, unsigned mdts)
{
	unsigned shift = 12 + NVME_CAP_MPSMIN(cap) + mdts;

	return mdts && shift < 19 ? 1u << shift : BYTES_MAX;
}

static void ctrl_came(struct nvme *n, const struct nvme_result *r)
{
	const uint8_t *id = data_of(n);
	unsigned depth = n->io.depth;
	uint32_t bytes = nvme_bytes_max(n->cap, id[ID_CTRL_MDTS]);
	uint32_t nn = le32(id + ID_CTRL_NN);

	n->ctl.limits = (struct blkctl_limits){.bytes_max = bytes,
					       .segs_max = bytes / 4096 + 1,
					       .seg_bytes_max = bytes,
					       .align = 4,
					       .boundary = 4096,
					       .fua = true};
	if (r->status || blkctl_slots(&n->ctl, depth - 1) != 0) {
		give_up(n, r->status ? "it does not identify itself" : "no memory");
		return;
	}
	blk_text(n->serial, sizeof(n->serial), (const char *)id + ID_CTRL_SN, ID_CTRL_SN_LEN);
	blk_text(n->model, sizeof(n->model), (const char *)id + ID_CTRL_MN, ID_CTRL_MN_LEN);
	n->write_cache = id[ID_CTRL_VWC] & 1;
	n->discard = id[ID_CTRL_ONCS] & NVME_ONCS_DSM;
	if (id[ID_CTRL_ONCS] & NVME_ONCS_ZEROES)
		n->zeroes_max = id[ID_CTRL_MDTS] ? bytes : UINT64_MAX;
	if (mmio_read32(n->regs + NVME_VS) >= NVME_VS_1_1) {
		identify(n, NVME_CNS_LIST, 0, list_came);
		return;
	}
	for (uint32_t i = 1; i <= nn && i <= NVME_NS_MAX; i++)
		id_take(n, i);
	ns_next(n, r);
}

static void sq_made(struct nvme *n, const struct nvme_result *r)
{
	if (r->status)
		give_up(n, "it makes no queue");
	else if (n->known)
		up(n);
	else
		identify(n, NVME_CNS_CTRL, 0, ctrl_came);
}

static void cq_made(struct nvme *n, const struct nvme_result *r)
{
	struct nvme_sqe e = {.opcode = NVME_CREATE_SQ,
			     .prp1 = n->mem.hpa + NVME_MEM_SQ,
			     .cdw10 = 1 | (n->io.depth - 1) << 16,
			     .cdw11 = NVME_QUEUE_CONTIGUOUS | 1u << 16};

	if (r->status)
		give_up(n, "it makes no queue");
	else
		admin(n, &e, sq_made);
}

static void queues_granted(struct nvme *n, const struct nvme_result *r)
{
	struct nvme_sqe e = {.opcode = NVME_CREATE_CQ,
			     .prp1 = n->mem.hpa + NVME_MEM_CQ,
			     .cdw10 = 1 | (n->io.depth - 1) << 16,
			     .cdw11 = NVME_QUEUE_CONTIGUOUS | NVME_CQ_INTERRUPTS};

	(void)r; /* one pair is what any controller has, whatever it says to that */
	admin(n, &e, cq_made);
}

static void enabled(struct nvme *n)
{
	struct nvme_sqe e = {.opcode = NVME_SET_FEATURES, .cdw10 = NVME_FEATURE_QUEUES};

	admin(n, &e, queues_granted); /* one and one, counted from zero */
}

static void write64(volatile char *at, uint64_t v)
{
	mmio_write32(at, (uint32_t)v);
	mmio_write32(at + 4, (uint32_t)(v >> 32));
}

static uint64_t ready_time(const struct nvme *n)
{
	return (NVME_CAP_TO(n->cap) + 1) * TO_UNIT_NS;
}

static void disabled(struct nvme *n)
{
	unsigned depth = NVME_CAP_MQES(n->cap) + 1;
	char *va = n->mem.va;

	depth = depth < NVME_DEPTH ? depth : NVME_DEPTH;
	nvme_queue_init(&n->admin, NVME_ADMIN_DEPTH, va + NVME_MEM_ASQ, va + NVME_MEM_ACQ);
	nvme_queue_init(&n->io, depth, va + NVME_MEM_SQ, va + NVME_MEM_CQ);
	pci_enable(n->pci, true);
	mmio_write32(n->regs + NVME_AQA, (NVME_ADMIN_DEPTH - 1) << 16 | (NVME_ADMIN_DEPTH - 1));
	write64(n->regs + NVME_ASQ, n->mem.hpa + NVME_MEM_ASQ);
	write64(n->regs + NVME_ACQ, n->mem.hpa + NVME_MEM_ACQ);
	mmio_write32(n->regs + NVME_CC, NVME_CC_SIZES | NVME_CC_EN);
	stage_set(n, NVME_STAGE_ENABLE, ready_time(n));
}

static void look(struct nvme *n)
{
	uint32_t csts = mmio_read32(n->regs + NVME_CSTS);

	if (csts == ALL_ONES) {
		give_up(n, "its registers read all ones");
		return;
	}
	switch (n->stage) {
	case NVME_STAGE_DISABLE:
		if (!(csts & NVME_CSTS_RDY))
			disabled(n);
		break;
	case NVME_STAGE_ENABLE:
		if (csts & NVME_CSTS_CFS)
			give_up(n, "it fails when it is enabled");
		else if (csts & NVME_CSTS_RDY)
			enabled(n);
		break;
	case NVME_STAGE_ADMIN:
		nvme_admin_poll(n);
		break;
	default:
		break;
	}
}

static void on_timer(void *ctx)
{
	static const char *const why[] = {[NVME_STAGE_DISABLE] = "it does not come out of reset",
					  [NVME_STAGE_ENABLE] = "it does not become ready",
					  [NVME_STAGE_ADMIN] = "no answer to an admin command"};
	struct nvme *n = ctx;

	look(n);
	if (n->stage == NVME_STAGE_OFF || n->stage == NVME_STAGE_RUN)
		return;
	if (rt_now() > n->deadline_ns)
		give_up(n, why[n->stage]);
	else if (!n->timer.armed)
		loop_timer_set(&n->timer, LOOK_NS);
}

void nvme_begin(struct nvme *n)
{
	if (!n->known)
		loop_timer_init(&n->timer, on_timer, n);
	mmio_write32(n->regs + NVME_CC, 0);
	stage_set(n, NVME_STAGE_DISABLE, ready_time(n));
	look(n);
}
