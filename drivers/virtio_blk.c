/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-blk, modern devices (virtio 1.2 section 5.2): one queue, several requests in flight, each a chain of header, data and
 * status. Headers and status bytes lie in DMA memory, one cell for each slot and one for the question for the serial number,
 * with which a device begins. A device that breaks its ring or says that it needs a reset is reset at once; what was in
 * flight is sent again as blkctl.h says.
 */
#include <stdlib.h>
#include <string.h>
#include "drivers/bits.h"
#include "drivers/blkctl.h"
#include "drivers/disks.h"
#include "drivers/driver.h"
#include "drivers/virtio_pci.h"
#include "ctrl-kernel/rt/rt.h"

#define VENDOR_VIRTIO 0x1af4u
#define DEVICE_BLK 0x1042u              /* 0x1040 + device type 2 */
#define DEVICE_BLK_TRANSITIONAL 0x1001u /* speaks 1.x too */
#define QUEUE_SIZE 256u
#define SLOTS 64u
#define SEGS_MAX 126u
#define BYTES_MAX (1u << 20)
#define SECTOR 512u   /* of the device's numbers, whatever its blocks are (5.2.4) */
#define ISR_CONFIG 2u /* 4.1.4.5 */
#define GENERATION_TRIES 10u
#define START_NS 5000000000ull

enum feature { /* 5.2.3 */
	       F_SIZE_MAX = 1,
	       F_SEG_MAX = 2,
	       F_RO = 5,
	       F_BLK_SIZE = 6,
	       F_FLUSH = 9,
	       F_TOPOLOGY = 10,
	       F_DISCARD = 13,
	       F_WRITE_ZEROES = 14
};
#define WANTED                                                                                     \
	(1ull << F_SIZE_MAX | 1ull << F_SEG_MAX | 1ull << F_RO | 1ull << F_BLK_SIZE |              \
	 1ull << F_FLUSH | 1ull << F_TOPOLOGY | 1ull << F_DISCARD | 1ull << F_WRITE_ZEROES)

enum config { /* 5.2.4 */
	      CONFIG_CAPACITY = 0,
	      CONFIG_SIZE_MAX = 8,
	      CONFIG_SEG_MAX = 12,
	      CONFIG_BLK_SIZE = 20,
	      CONFIG_PHYSICAL_EXP = 24,
	      CONFIG_DISCARD_MAX = 36,
	      CONFIG_ZEROES_MAX = 48
};

enum type { /* 5.2.6 */
	    T_IN = 0,
	    T_OUT = 1,
	    T_FLUSH = 4,
	    T_GET_ID = 8,
	    T_DISCARD = 11,
	    T_WRITE_ZEROES = 13
};
enum result { S_OK, S_IOERR, S_UNSUPP, S_NONE = 0xff };

struct cell { /* DMA memory of a slot */
	uint32_t type, reserved;
	uint64_t sector;
	struct {
		uint64_t sector;
		uint32_t sectors, flags;
	} range; /* DISCARD, WRITE_ZEROES */
	char id[20];
	uint8_t pad[11];
	uint8_t status;
};
_Static_assert(sizeof(struct cell) == 64 && offsetof(struct cell, range) == 16, "5.2.6");

struct virtio_blk {
	struct blkctl ctl;
	struct blkunit unit;
	struct virtio_pci pci;
	uint64_t features;
	struct virtq q;
	volatile void *bell;
	struct dma cells;
	uint16_t slot_of[VIRTQ_SIZE_MAX]; /* by head; SLOTS: the question for the serial number */
	const char *irq_kind;
	struct loop_timer start;
	bool started;
};

static bool has(const struct virtio_blk *v, enum feature f)
{
	return v->features >> f & 1;
}

static uint32_t config32(const struct virtio_blk *v, unsigned off)
{
	return off + 4 <= v->pci.device_len ? mmio_read32(v->pci.device + off) : 0;
}

/* Twice the same, or the device was changing it (4.1.3.1 lets 64 bits be read in two pieces). */
static uint64_t capacity(const struct virtio_blk *v)
{
	uint64_t last = 0, now;

	for (unsigned i = 0; i < GENERATION_TRIES; i++) {
		now = config32(v, CONFIG_CAPACITY) | (uint64_t)config32(v, CONFIG_CAPACITY + 4)
							     << 32;
		if (i && now == last)
			break;
		last = now;
	}
	return last > UINT64_MAX / SECTOR ? 0 : last * SECTOR;
}

/* ---- requests ---- */

static volatile struct cell *cell_of(const struct virtio_blk *v, unsigned slot)
{
	return (volatile struct cell *)v->cells.va + slot;
}

static bool post(struct virtio_blk *v, unsigned slot, struct virtq_part *parts, unsigned n)
{
	uint64_t cell = v->cells.hpa + slot * sizeof(struct cell);
	int head;

	cell_of(v, slot)->status = S_NONE;
	parts[0] = (struct virtq_part){cell, 16, false};
	parts[n++] = (struct virtq_part){cell + offsetof(struct cell, status), 1, true};
	head = virtq_post_chain(&v->q, parts, n);
	if (head < 0)
		return false;
	v->slot_of[head] = (uint16_t)slot;
	return true;
}

static unsigned data_parts(const struct blkcmd *c, struct virtq_part *parts)
{
	const struct blkmem *m;
	unsigned n;

	m = blkcmd_memory(c, &n);
	for (unsigned i = 0; i < n; i++)
		parts[1 + i] = (struct virtq_part){m[i].hpa, m[i].bytes, c->op == BLK_READ};
	return 1 + n;
}

static unsigned range_part(struct virtio_blk *v, const struct blkcmd *c, struct virtq_part *parts)
{
	volatile struct cell *cell = cell_of(v, c->slot);

	cell->sector = 0;
	cell->range.sector = c->offset / SECTOR;
	cell->range.sectors = (uint32_t)(c->bytes / SECTOR);
	cell->range.flags = 0; /* zeros need not be unmapped */
	parts[1] = (struct virtq_part){v->cells.hpa + c->slot * sizeof(struct cell) +
					       offsetof(struct cell, range),
				       sizeof(cell->range), false};
	return 2;
}

static bool issue(struct blkctl *ctl, struct blkcmd *c)
{
	static const uint32_t types[] = {[BLK_READ] = T_IN,
					 [BLK_WRITE] = T_OUT,
					 [BLK_FLUSH] = T_FLUSH,
					 [BLK_DISCARD] = T_DISCARD,
					 [BLK_WRITE_ZEROES] = T_WRITE_ZEROES};
	static struct virtq_part parts[BLK_PIECES_MAX + 2];
	struct virtio_blk *v = (struct virtio_blk *)ctl;
	volatile struct cell *cell = cell_of(v, c->slot);
	unsigned n = 1;

	cell->type = types[c->op];
	cell->sector = c->offset / SECTOR;
	if (c->op == BLK_READ || c->op == BLK_WRITE)
		n = data_parts(c, parts);
	else if (c->op != BLK_FLUSH)
		n = range_part(v, c, parts);
	return post(v, c->slot, parts, n);
}

static void kick(struct blkctl *ctl)
{
	struct virtio_blk *v = (struct virtio_blk *)ctl;

	if (virtq_wants_kick(&v->q))
		virtio_pci_kick(v->bell, 0);
}

static enum blk_status status_of(uint8_t s)
{
	return s == S_OK ? BLK_OK : s == S_UNSUPP ? BLK_UNSUPPORTED : BLK_IO_ERROR;
}

/* ---- start ---- */

static void start_over(struct virtio_blk *v)
{
	v->started = true;
	loop_timer_cancel(&v->start);
	disk_started();
}

static void give_up(struct virtio_blk *v, const char *why)
{
	rt_log("disk: %s: %s; it stays off", v->ctl.name, why);
	virtio_pci_fail(&v->pci);
	pci_enable(v->pci.dev, false);
	start_over(v);
}

static void no_answer(void *ctx)
{
	give_up(ctx, "no answer to the first request");
}

static void id_came(struct virtio_blk *v)
{
	volatile struct cell *cell = cell_of(v, SLOTS);
	char id[sizeof(cell->id)];

	for (unsigned i = 0; i < sizeof(id); i++)
		id[i] = cell->id[i];
	if (cell->status == S_OK)
		blk_text(v->unit.dev.serial, sizeof(v->unit.dev.serial), id,
			 strnlen(id, sizeof(id)));
	start_over(v);
	blkctl_up(&v->ctl);
	blkctl_add(&v->ctl, &v->unit, "");
}

static void collect(struct blkctl *ctl)
{
	struct virtio_blk *v = (struct virtio_blk *)ctl;
	uint32_t len;

	for (unsigned i = 0; i < v->q.size; i++) {
		int head = virtq_take(&v->q, &len);
		unsigned slot = head < 0 ? 0 : v->slot_of[head];
		struct blkcmd *c = head < 0 ? NULL : blkctl_sent(ctl, slot);

		if (head < 0)
			break;
		if (c)
			blkctl_end(ctl, c, status_of(cell_of(v, slot)->status));
		else if (slot == SLOTS && !v->started)
			id_came(v);
	}
	if (v->q.broken && v->started)
		blkctl_fail(ctl, NULL, "the device broke its ring");
}

static void on_config(void *ctx)
{
	struct virtio_blk *v = ctx;
	struct blkdev *b = &v->unit.dev;
	uint64_t bytes = capacity(v);

	if (!v->started || b->gone)
		return;
	if (virtio_pci_failed(&v->pci)) {
		blkctl_fail(&v->ctl, NULL, "the device needs a reset");
		return;
	}
	bytes -= bytes % b->sector_bytes;
	if (bytes == b->bytes)
		return;
	b->bytes = bytes;
	rt_log("disk: %s: now %llu MiB", b->name, (unsigned long long)(bytes >> 20));
	if (b->changed)
		b->changed(b);
}

/* Without MSI-X the ISR register says why, and reading it takes the line back (4.1.4.5). */
static void on_irq(void *ctx)
{
	struct virtio_blk *v = ctx;

	if (!v->pci.msix && mmio_read8(v->pci.isr) & ISR_CONFIG)
		on_config(v);
	if (v->started)
		blkctl_poll(&v->ctl);
	else
		collect(&v->ctl);
}

static void check(struct blkctl *ctl)
{
	struct virtio_blk *v = (struct virtio_blk *)ctl;

	if (virtio_pci_failed(&v->pci))
		blkctl_fail(ctl, NULL, "the device needs a reset");
}

/* When the status register reads 0 the device has let go of all buffers (2.4). */
static void reset(struct blkctl *ctl)
{
	struct virtio_blk *v = (struct virtio_blk *)ctl;

	if (virtio_pci_reset(&v->pci) == 0 && virtio_pci_again(&v->pci, v->features) == 0 &&
	    virtio_pci_queue_again(&v->pci, 0, &v->q) == 0) {
		virtio_pci_ready(&v->pci);
		blkctl_up(ctl);
		return;
	}
	pci_enable(v->pci.dev, false);
	blkctl_gone(ctl, "it does not come out of reset");
}

static const struct blkctl_ops ops = {
	.issue = issue, .kick = kick, .collect = collect, .check = check, .reset = reset};

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* False: blocks that are neither of 512 nor of 4096 bytes, or pieces smaller than a page. */
static bool read_config(struct virtio_blk *v)
{
	struct blkdev *b = &v->unit.dev;
	uint32_t seg_bytes = has(v, F_SIZE_MAX) ? config32(v, CONFIG_SIZE_MAX) : BYTES_MAX;
	uint32_t segs = has(v, F_SEG_MAX) ? config32(v, CONFIG_SEG_MAX) : 1;
	unsigned exp = has(v, F_TOPOLOGY) ? config32(v, CONFIG_PHYSICAL_EXP) & 0xff : 0;

	b->sector_bytes = has(v, F_BLK_SIZE) ? config32(v, CONFIG_BLK_SIZE) : SECTOR;
	if ((b->sector_bytes != 512 && b->sector_bytes != 4096) || seg_bytes < 4096)
		return false;
	b->physical_bytes = b->sector_bytes << (exp <= 8 ? exp : 0);
	b->bytes = capacity(v);
	b->bytes -= b->bytes % b->sector_bytes;
	b->read_only = has(v, F_RO);
	b->write_cache = has(v, F_FLUSH);
	if (has(v, F_DISCARD))
		v->unit.discard_bytes = (uint64_t)config32(v, CONFIG_DISCARD_MAX) * SECTOR;
	if (has(v, F_WRITE_ZEROES))
		v->unit.zeroes_bytes = (uint64_t)config32(v, CONFIG_ZEROES_MAX) * SECTOR;
	v->unit.discard_bytes -= v->unit.discard_bytes % b->sector_bytes;
	v->unit.zeroes_bytes -= v->unit.zeroes_bytes % b->sector_bytes;
	v->ctl.limits = (struct blkctl_limits){
		.bytes_max = BYTES_MAX,
		.segs_max = smaller(segs ? segs : 1, smaller(SEGS_MAX, v->q.size - 2)),
		.seg_bytes_max = smaller(seg_bytes, BYTES_MAX) & ~4095u,
		.align = 1};
	return true;
}

static int device_start(struct virtio_blk *v, struct pci_dev *d, const char **why)
{
	if (virtio_pci_open(&v->pci, d, why) != 0)
		return -1;
	*why = "it refuses to work as a virtio 1.x device";
	if (!v->pci.device || virtio_pci_features(&v->pci, WANTED, &v->features) != 0)
		return -1;
	*why = "no memory or no interrupt left";
	if (virtio_pci_irqs(&v->pci, on_irq, on_config, v, &v->irq_kind) != 0 ||
	    virtio_pci_queue(&v->pci, 0, QUEUE_SIZE, &v->q, &v->bell) != 0 || v->q.size < 4 ||
	    dma_alloc(&v->cells, (SLOTS + 1) * sizeof(struct cell), sizeof(struct cell)) != 0)
		return -1;
	*why = "its blocks or the pieces it takes have a size that is not supported";
	if (!read_config(v))
		return -1;
	*why = "no memory";
	return blkctl_slots(&v->ctl, SLOTS);
}

static void ask_id(struct virtio_blk *v)
{
	struct virtq_part parts[3];
	uint64_t cell = v->cells.hpa + SLOTS * sizeof(struct cell);

	cell_of(v, SLOTS)->type = T_GET_ID;
	parts[1] = (struct virtq_part){cell + offsetof(struct cell, id), 20, true};
	(void)post(v, SLOTS, parts, 2);
	virtio_pci_kick(v->bell, 0);
}

static bool matches(const struct pci_dev *d)
{
	return d->vendor == VENDOR_VIRTIO &&
	       (d->device == DEVICE_BLK || d->device == DEVICE_BLK_TRANSITIONAL);
}

static void probe(struct pci_dev *d)
{
	struct virtio_blk *v = calloc(1, sizeof(*v));
	const char *why;

	if (!v)
		return;
	blkctl_init(&v->ctl, &ops, "virtio", d);
	loop_timer_init(&v->start, no_answer, v);
	disk_starting();
	if (device_start(v, d, &why) != 0) {
		give_up(v, why);
		return;
	}
	virtio_pci_ready(&v->pci);
	ask_id(v);
	loop_timer_set(&v->start, START_NS);
}

const struct disk_driver disk_virtio = {.name = "virtio", .matches = matches, .probe = probe};
