/* SPDX-License-Identifier: BSD-2-Clause */
/* See blk.h. What a request in flight needs to be completed lies in its record: the next instance does not look at the chain
 * again. */
#include "ctrl-kernel/vmm/virtio/blk.h"
#include "ctrl-kernel/vmm/virtio/io.h"

#include <string.h>

struct blk {
	const struct vmm_disk *config; /* [borrows] ctrl changes it while we run */
	uint32_t changes;              /* as the driver was told */
	bool tell;                     /* something was submitted since */
	struct io io[VMM_IO_QUEUES_MAX];
};

static struct blk disks[VMM_DISKS_MAX];
_Static_assert(BLK_SLOT + VMM_DISKS_MAX <= 12, "slots (docs/devices.md)");

/* ---- completing ---- */

/* The status byte last. `written`: bytes from the beginning of what the chain has to write, the status among them or not. */
static void answer(struct virtio_device *d, unsigned queue, uint16_t head, uint64_t status_gpa,
		   enum blk_answer status, uint32_t written)
{
	uint8_t byte = (uint8_t)status;

	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	/* The address is one of the chain's, which was RAM; or nothing that we wrote, and then it does not matter where. */
	(void)!guest_write(d->vm->ram, status_gpa, &byte, 1);
	virtio_complete(d, queue, head, written);
}

static void complete(struct virtio_device *d, unsigned queue, unsigned head, uint32_t result)
{
	struct blk *b = d->own;
	const struct io_record *r = io_record_of(&b->io[queue], head);
	uint32_t data = r->op == IO_READ ? (uint32_t)r->bytes : 0;
	enum blk_answer status = BLK_S_OK;

	if (result != IO_OK)
		status = result == IO_UNSUPPORTED ? BLK_S_UNSUPP : BLK_S_IOERR;
	answer(d, queue, (uint16_t)head, r->own, status,
	       status == BLK_S_OK || data == 0 ? data + 1 : 0);
}

static void collect(struct virtio_device *d, unsigned queue)
{
	struct blk *b = d->own;
	bool any = false;
	uint32_t result;
	unsigned head;

	while (io_done(&b->io[queue], &head, &result)) {
		complete(d, queue, head, result);
		any = true;
	}
	if (any)
		virtio_signal(d, queue);
}

/* ---- requests ---- */

struct request {
	struct virtio_device *d;
	unsigned queue;
	const struct vq_chain *c;
	struct blk_header header;
	uint32_t in_bytes; /* but for the status byte */
};

static uint64_t status_gpa(const struct vq_chain *c)
{
	const struct vq_segment *last = &c->segment[c->n_out + c->n_in - 1];

	return last->gpa + last->bytes - 1;
}

static void refuse(const struct request *r, enum blk_answer status)
{
	answer(r->d, r->queue, r->c->head, status_gpa(r->c), status, r->in_bytes ? 0 : 1);
}

static bool in_range(const struct blk *b, uint64_t sector, uint64_t sectors)
{
	uint64_t capacity = b->config->bytes / BLK_SECTOR;

	return sectors <= capacity && sector <= capacity - sectors;
}

static void submit(const struct request *r, enum io_op op, uint64_t sector, uint64_t bytes)
{
	struct blk *b = r->d->own;
	struct io_record *record = io_record_of(&b->io[r->queue], r->c->head);

	record->op = op;
	record->offset = sector * BLK_SECTOR;
	record->bytes = bytes;
	record->own = status_gpa(r->c);
	io_submit(&b->io[r->queue], r->c->head);
	b->tell = true;
}

static void read_or_write(const struct request *r, bool in)
{
	struct blk *b = r->d->own;
	struct io *io = &b->io[r->queue];
	uint32_t bytes = in ? r->in_bytes : r->c->out_bytes - (uint32_t)sizeof(struct blk_header);
	bool form = in ? r->c->out_bytes == sizeof(struct blk_header) : r->in_bytes == 0;

	if (!form || bytes % BLK_SECTOR || !in_range(b, r->header.sector, bytes / BLK_SECTOR) ||
	    (!in && (b->config->flags & VMM_DISK_READ_ONLY)) ||
	    !io_record_segs(io, io_record_of(io, r->c->head), r->c, in,
			    in ? 0 : sizeof(struct blk_header), bytes))
		refuse(r, BLK_S_IOERR);
	else if (bytes == 0)
		answer(r->d, r->queue, r->c->head, status_gpa(r->c), BLK_S_OK, 1);
	else
		submit(r, in ? IO_READ : IO_WRITE, r->header.sector, bytes);
}

static void no_segs(const struct request *r)
{
	struct blk *b = r->d->own;

	io_record_of(&b->io[r->queue], r->c->head)->n_segs = 0;
}

static void flush(const struct request *r)
{
	const struct blk *b = r->d->own;

	if (!(b->config->flags & VMM_DISK_WRITE_CACHE)) {
		refuse(r, BLK_S_UNSUPP);
		return;
	}
	no_segs(r);
	submit(r, IO_FLUSH, 0, 0);
}

static void get_id(const struct request *r)
{
	const struct blk *b = r->d->own;
	size_t n = r->in_bytes < VMM_SERIAL_MAX ? r->in_bytes : VMM_SERIAL_MAX;

	n = vq_copy_to(&r->d->queue[r->queue], r->c, 0, b->config->serial, n);
	answer(r->d, r->queue, r->c->head, status_gpa(r->c), BLK_S_OK,
	       n == r->in_bytes ? (uint32_t)n + 1 : (uint32_t)n);
}

/* One range, as the configuration says. What is not a flag of that type is UNSUPP (5.2.6.2). */
static void discard_or_zeroes(const struct request *r, enum io_op op)
{
	const struct blk *b = r->d->own;
	struct blk_range range;
	uint32_t flags = op == IO_WRITE_ZEROES ? 1 : 0;

	if (b->config->discard_max == 0 || (b->config->flags & VMM_DISK_READ_ONLY)) {
		refuse(r, b->config->discard_max ? BLK_S_IOERR : BLK_S_UNSUPP);
		return;
	}
	if (r->in_bytes || r->c->out_bytes != sizeof(struct blk_header) + sizeof(range)) {
		refuse(r, BLK_S_IOERR);
		return;
	}
	(void)vq_copy_from(&r->d->queue[r->queue], r->c, sizeof(struct blk_header), &range,
			   sizeof(range));
	if (range.flags & ~flags)
		refuse(r, BLK_S_UNSUPP);
	else if (range.sectors == 0 ||
		 (uint64_t)range.sectors * BLK_SECTOR > b->config->discard_max ||
		 !in_range(b, range.sector, range.sectors))
		refuse(r, BLK_S_IOERR);
	else {
		no_segs(r);
		submit(r, op, range.sector, (uint64_t)range.sectors * BLK_SECTOR);
	}
}

static void serve(const struct request *r)
{
	switch (r->header.type) {
	case BLK_T_IN:
		read_or_write(r, true);
		break;
	case BLK_T_OUT:
		read_or_write(r, false);
		break;
	case BLK_T_FLUSH:
		flush(r);
		break;
	case BLK_T_GET_ID:
		get_id(r);
		break;
	case BLK_T_DISCARD:
		discard_or_zeroes(r, IO_DISCARD);
		break;
	case BLK_T_WRITE_ZEROES:
		discard_or_zeroes(r, IO_WRITE_ZEROES);
		break;
	default:
		refuse(r, BLK_S_UNSUPP);
	}
}

/* Without a header, or a place for the status, nothing can be answered. */
static void request(struct virtio_device *d, unsigned queue, const struct vq_chain *c)
{
	struct request r = {.d = d, .queue = queue, .c = c};

	if (c->out_bytes < sizeof(r.header) || c->in_bytes < 1) {
		virtio_broken(d, queue, "a request without a header or a place for the status");
		return;
	}
	r.in_bytes = c->in_bytes - 1;
	(void)vq_copy_from(&d->queue[queue], c, 0, &r.header, sizeof(r.header));
	serve(&r);
}

/* ---- the device ---- */

static void tell(struct blk *b)
{
	if (b->tell)
		vm_io_tell();
	b->tell = false;
}

static bool notify(struct virtio_device *d, unsigned queue)
{
	bool more = virtio_serve(d, queue, request);

	tell(d->own);
	return more;
}

/* One that is under way in the control kernel will come back. */
static void again(struct virtio_device *d, unsigned queue, const struct vq_chain *c)
{
	struct blk *b = d->own;

	if (c->head < IO_DISK_ENTRIES && !io_resume(&b->io[queue], c->head))
		request(d, queue, c);
}

static bool reset(struct virtio_device *d)
{
	struct blk *b = d->own;
	bool none = true;

	for (unsigned i = 0; i < d->n_queues; i++)
		if (!io_stop(&b->io[i]))
			none = false;
	if (!none)
		vm_io_tell();
	return none;
}

static void config_look(struct virtio_device *d)
{
	struct blk *b = d->own;
	uint32_t changes = __atomic_load_n(&b->config->changes, __ATOMIC_ACQUIRE);

	if (changes == b->changes)
		return;
	b->changes = changes;
	if (d->s->status & VIRTIO_DRIVER_OK)
		virtio_config_changed(d);
}

static void io(struct virtio_device *d)
{
	config_look(d);
	if (virtio_is_resetting(d)) {
		if (reset(d))
			virtio_reset_done(d);
		return;
	}
	for (unsigned i = 0; i < d->n_queues && virtio_live(d); i++)
		collect(d, i);
}

static uint8_t exponent(uint32_t physical, uint32_t logical)
{
	uint8_t n = 0;

	while (n < 8 && logical << n < physical)
		n++;
	return n;
}

static uint32_t sectors_of(uint64_t bytes)
{
	return bytes / BLK_SECTOR < UINT32_MAX ? (uint32_t)(bytes / BLK_SECTOR) : UINT32_MAX;
}

static void config_read(struct virtio_device *d, unsigned offset, void *to, unsigned n)
{
	const struct blk *b = d->own;
	const struct vmm_disk *disk = b->config;
	uint32_t limit = sectors_of(disk->discard_max);
	struct blk_config c = {
		.capacity = disk->bytes / BLK_SECTOR,
		.seg_max = IO_DISK_SEGS,
		.blk_size = disk->sector_bytes,
		.physical_exponent = exponent(disk->physical_bytes, disk->sector_bytes),
		.min_io = 1,
		.queues = (uint16_t)d->n_queues,
		.discard_max = limit,
		.discard_segs = 1,
		.discard_alignment = disk->sector_bytes / BLK_SECTOR,
		.zeroes_max = limit,
		.zeroes_segs = 1,
		.zeroes_unmap = 1,
	};

	memcpy(to, (const uint8_t *)&c + offset, n);
}

static void attach(struct virtio_device *d)
{
	struct blk *b = &disks[d->slot - BLK_SLOT];
	const struct vmm_disk *disk = &d->vm->config->disks[d->slot - BLK_SLOT];

	*b = (struct blk){.config = disk, .changes = disk->changes};
	d->own = b;
	d->n_queues = disk->queues >= 1 && disk->queues <= VMM_IO_QUEUES_MAX ? disk->queues : 1;
	d->features = BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_TOPOLOGY | BLK_F_MQ;
	if (disk->flags & VMM_DISK_READ_ONLY)
		d->features |= BLK_F_RO;
	else if (disk->discard_max)
		d->features |= BLK_F_DISCARD | BLK_F_WRITE_ZEROES;
	if (disk->flags & VMM_DISK_WRITE_CACHE)
		d->features |= BLK_F_FLUSH;
	for (unsigned i = 0; i < d->n_queues; i++)
		io_attach(&b->io[i], disk->area + i * (uint32_t)IO_DISK_PAGES, IO_DISK_ENTRIES,
			  IO_DISK_RECORD);
}

const struct virtio_device_ops blk_ops = {
	.name = "blk",
	.type = 2,
	.class = 0x010000, /* SCSI storage, as for other virtio disks */
	.n_queues = VMM_IO_QUEUES_MAX,
	.queue_size = IO_DISK_ENTRIES,
	.attach = attach,
	.config_bytes = sizeof(struct blk_config),
	.config_read = config_read,
	.notify = notify,
	.again = again,
	.reset = reset,
	.io = io,
};
