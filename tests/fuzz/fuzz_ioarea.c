/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/backend/vdisk.c
// SRC: ctrl-kernel/backend/vmio.c
// SRC: ctrl-kernel/backend/ioqueue.c
/*
 * An I/O area of any content, written by a vmm that was broken into while a disk of the control kernel serves it: nothing but
 * whole sectors inside the disk, and this VM's memory, reaches the device (vdisk_fakes.h checks each request); what was taken
 * ends once; nothing stays behind. The device answers in any order, may be exchanged, and the run may end at any time.
 */
#include "tests/unit/vdisk_fakes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at;
	size_t left;
};

static uint64_t take(struct input *in, unsigned bytes)
{
	uint64_t v = 0;

	if (in->left < bytes)
		bytes = (unsigned)in->left;
	memcpy(&v, in->at, bytes);
	in->at += bytes;
	in->left -= bytes;
	return v;
}

/* A record of which most is right. */
static void record(struct input *in)
{
	unsigned q = (unsigned)take(in, 1) % QUEUES, i = (unsigned)take(in, 1) % IO_DISK_ENTRIES;
	struct io_record *r = io_record(queue_at(q), i, IO_DISK_RECORD);
	uint64_t how = take(in, 1);

	r->op = (uint32_t)take(in, 1) % 6;
	r->n_segs = (uint32_t)take(in, 1) % (IO_DISK_SEGS + 2);
	r->offset = take(in, 2) * 512;
	r->bytes = 0;
	for (unsigned k = 0; k < r->n_segs && k < IO_DISK_SEGS; k++) {
		uint32_t bytes = (uint32_t)take(in, 2);

		r->seg[k].bytes = how & 1 ? bytes : bytes * 512 % 65536 + 512;
		r->seg[k].gpa = take(in, 3) >> (how >> 1 & 7);
		r->bytes += r->seg[k].bytes;
	}
	if (how & 0x10)
		r->bytes = take(in, 8);
	queue_at(q)->submitted[i / 64] ^= 1ull << i % 64;
}

static void scribble(struct input *in)
{
	size_t at = (size_t)take(in, 3) % sizeof(area);

	area[at] = (uint8_t)take(in, 1);
}

static void step(struct input *in)
{
	uint8_t what = (uint8_t)take(in, 1);

	switch (what & 7) {
	case 0:
	case 1:
	case 2:
		record(in);
		break;
	case 3:
		scribble(in);
		break;
	case 4:
		ring();
		break;
	case 5:
		if (n_pending)
			device_ends((unsigned)(what >> 3) % n_pending,
				    (enum blk_status)(take(in, 1) % 5));
		turn_end();
		break;
	case 6:
		advance((uint64_t)what << 22);
		break;
	case 7:
		if (what & 8)
			vmio_hold(io);
		else
			vmio_go_on(io);
		if (what & 0x10)
			(void)!vdisk_source(disk, what & 0x20 ? &device : NULL, released, NULL);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool once;
	struct input in = {data, size};
	const struct vdisk_limits limits = {take(&in, 1) << 12, take(&in, 1)};
	unsigned sources = n_released;

	if (!once)
		vmio_init();
	once = true;
	memset(area, 0, sizeof(area));
	now_ns = 1;
	disk_open(take(&in, 1) & 1, &limits);
	if (!vdisk_source(disk, &device, released, NULL))
		abort();
	while (in.left)
		step(&in);
	(void)!vmio_close(io, NULL, NULL);
	while (n_pending)
		device_ends(0, BLK_OK);
	turn_end();
	if (mem_refs || timer || n_released == sources)
		abort();
	return 0;
}
