/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/vmm/virtio/virtio.c
// SRC: ctrl-kernel/vmm/hotplug.c
// SRC: ctrl-kernel/vmm/virtio/transport.c
// SRC: ctrl-kernel/vmm/virtio/virtqueue.c
// SRC: ctrl-kernel/vmm/virtio/balloon.c
// SRC: ctrl-kernel/vmm/virtio/blk.c
// SRC: ctrl-kernel/vmm/virtio/console.c
// SRC: ctrl-kernel/vmm/virtio/devices.c
// SRC: ctrl-kernel/vmm/virtio/io.c
// SRC: ctrl-kernel/vmm/virtio/net.c
// SRC: ctrl-kernel/vmm/virtio/rng.c
// SRC: ctrl-kernel/vmm/virtio/csprng.c
// SRC: ctrl-kernel/vmm/bus.c
// SRC: ctrl-kernel/vmm/pci.c
// SRC: ctrl-kernel/vmm/guest.c
// SRC: ctrl-kernel/backend/ioqueue.c
// SRC: ctrl-kernel/rt/fmt.c
/*
 * Any accesses to a virtio device's registers and configuration, with any rings in memory, and new instances in between. The
 * driver has done its part at the begin, so that a few bytes reach the queue. After each step: what the next instance
 * would find is in order, and a turn is bounded. The first byte chooses the device: the generator, a disk whose requests a
 * control kernel carries out, or says so, or a console.
 */
#include <stdio.h>
#include <stdarg.h>
#include <stdlib.h>

static void check(int ok)
{
	if (!ok)
		abort();
}

/* The fakes are cmocka's guests elsewhere. */
#define assert_non_null(p) check((p) != NULL)
#define fail_msg(...) abort()
static unsigned slot;
#define SLOT slot
#include "tests/unit/virtio_fakes.h"

#include "ctrl-kernel/backend/ioqueue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum action { REGISTER, CONFIGURATION, MEMORY, RING, CHAIN, INSTANCE, TURN, STATUS_AGAIN };

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

/* A descriptor of which the parts are mostly right. */
static void chain(struct input *in)
{
	unsigned i = (unsigned)take(in, 1) % QSIZE;

	desc_put(i, take(in, 3), (uint32_t)take(in, 2), (uint16_t)(take(in, 1) & 7),
		 (uint16_t)(take(in, 1) % (QSIZE + 1)));
	avail_put((uint16_t)i);
}

static void memory(struct input *in)
{
	unsigned at = DESC + (unsigned)take(in, 2) % 0x5000;

	kept->ram[at] = (uint8_t)take(in, 1);
}

/* What the balloon asks for is this VM's memory, and not more than there is room for. */
static void ctrl_gives_back(void)
{
	struct io_balloon *b = (struct io_balloon *)(void *)kept->balloon;

	check(b->asked - b->done <= 1 && b->n <= IO_BALLOON_RANGES);
	for (unsigned i = 0; b->asked != b->done && i < b->n; i++)
		check(HV_RANGE_PAGES(b->range[i]) &&
		      HV_RANGE_PAGE(b->range[i]) + HV_RANGE_PAGES(b->range[i]) <= RAM_BYTES / 4096);
	b->done = b->asked;
	if (timer && timer->armed) {
		timer->armed = false;
		timer->fn(timer->ctx);
	}
}

/* In any order, with any result; some stay under way. */
static void ctrl_works(struct input *in)
{
	static struct ioqueue back;
	static struct io_request request;
	unsigned from = (unsigned)take(in, 1) % IO_DISK_ENTRIES, i;

	ioqueue_attach(&back, (struct io_queue *)(void *)kept->area, IO_DISK_ENTRIES,
		       IO_DISK_RECORD);
	while (ioqueue_take(&back, &from, &i, &request))
		ioqueue_finish(&back, i, (uint32_t)take(in, 1) & 3);
	ctrl_gives_back();
	virtio_io();
}

/* What is typed, and rings as no instance leaves them. */
static void console_works(struct input *in)
{
	struct console_area *a = &kept->console;

	a->in_head += take(in, 2) % CONSOLE_IN;
	if (take(in, 1) == 0)
		a->in_tail = take(in, 8);
	if (take(in, 1) == 0)
		a->out_mark = take(in, 8);
	virtio_io();
}

/* The console's other queue, with the same rings. */
static void second_queue(void)
{
	wr(Q_SELECT, 2, 1);
	wr(Q_SIZE, 2, QSIZE);
	wr(Q_DESC, 4, DESC);
	wr(Q_DRIVER, 4, AVAIL);
	wr(Q_DEVICE, 4, USED);
	wr(Q_VECTOR, 2, 1);
	wr(Q_ENABLE, 2, 1);
	wr(Q_SELECT, 2, 0);
}

/* A bell for each queue, and the registers where there is memory. */
static void claims_check(void)
{
	const struct virtio_device_state *s = &kept->state.virtio.device[SLOT];
	unsigned bells = slot == 2 ? 4 : slot == 3 ? 2 : 1;

	check(n_claims == (s->mapped ? 1 + bells : 0) + (s->mapped_io ? bells : 0));
}

static void step(struct input *in)
{
	uint8_t what = (uint8_t)take(in, 1);
	unsigned width = 1u << (what >> 4 & 3);
	bool write = what & 0x80;

	switch (what & 7) {
	case REGISTER:
		access_new(write ? HV_MMIO_WRITE : HV_MMIO_READ,
			   BAR + (take(in, 2) & 0x3fff & ~(uint64_t)(width - 1)), width,
			   write ? take(in, width) : 0);
		break;
	case CONFIGURATION:
		access_new(write ? HV_MMIO_WRITE : HV_MMIO_READ,
			   HV_GPA_ECAM + (SLOT << 15) + take(in, 1), width,
			   write ? take(in, width) : 0);
		break;
	case MEMORY:
		memory(in);
		break;
	case RING:
		virtio_doorbells((slot == 3 ? 3ull : 1ull) << VIRTIO_BELL(SLOT));
		break;
	case CHAIN:
		chain(in);
		break;
	case INSTANCE:
		instance();
		virtio_resume(&vm);
		access_again();
		break;
	case TURN:
		turn();
		if (write && slot == 3)
			console_works(in);
		else if (write)
			ctrl_works(in);
		break;
	case STATUS_AGAIN:
		driver_start(take(in, 1) << 28, write);
		if (slot == 3)
			second_queue();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned slots[] = {1, 2, 3, 4};
	struct input in = {data, size};
	char why[VIRTIO_WHY_MAX];

	slot = slots[take(&in, 1) & 3];
	config.console = 1;
	timer = NULL;
	config.disks[0] = (struct vmm_disk){.present = 1,
					    .queues = 1,
					    .area = 1,
					    .bytes = 1 << 20,
					    .sector_bytes = 512,
					    .physical_bytes = 512,
					    .discard_max = 1 << 20};
	power_on();
	driver_start(take(&in, 1) << 28, true);
	if (slot == 3)
		second_queue();
	for (unsigned n = 0; in.left && n < 400; n++) {
		uint16_t used = (uint16_t)(kept->state.virtio.device[SLOT].queue[0].log >> 16);
		uint32_t status = kept->state.virtio.device[SLOT].status;

		step(&in);
		check(virtio_state_check(&kept->state.virtio, why));
		if (kept->state.virtio.device[SLOT].status == status)
			check((uint16_t)((kept->state.virtio.device[SLOT].queue[0].log >> 16) -
					 used) <= 2 * VIRTIO_TURN ||
			      !(kept->state.virtio.device[SLOT].queue[0].log >> 16 & 0xffff));
		claims_check();
	}
	return 0;
}
