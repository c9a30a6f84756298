/* SPDX-License-Identifier: BSD-2-Clause */
/* For tests of virtio-net: a driver's rings, the vmm, the area, the control kernel's side, a switch with another port. */
#ifndef TESTS_VIRTIO_NET_FAKES_H
#define TESTS_VIRTIO_NET_FAKES_H

#include <stdio.h>

#define AREA_PAGES (4 * IO_NIC_PAGES) /* two pairs */
#include "tests/unit/virtio_fakes.h"

#include "ctrl-kernel/backend/netdev.h"
#include "ctrl-kernel/vmm/virtio/net.h"

enum { NIC_BAR = PCI_WINDOW + SLOT_NICS * 0x4000 };
enum { RINGS = 0x4000, RING_STEP = 0x1000, BUFFER_AT = 0xa000, TX_AT = 0x1e000, N = 16 };
enum { F_CSUM = 1, F_GUEST_CSUM = 2, F_MRG = 1 << 15, F_CTRL = 1 << 17 | 1 << 18, F_MQ = 1 << 22 };

/* ---- what the control kernel has: memory, events, a switch with another port ---- */

static struct netdev *dev;
static struct vmio_dev *attached;
static unsigned n_events;
static bool held;
static unsigned mem_refs, under_way;
static struct vswitch sw;
static struct switch_port wire;
static unsigned n_out;
static uint8_t last_out[2000];
static uint32_t last_out_bytes;

struct vmio {
	int unused;
};
static struct vmio the_io;

void *vmio_page(const struct vmio *io, uint32_t page_off)
{
	return vm_io_page(page_off);
}

struct guest_mem *vmio_mem(const struct vmio *io)
{
	return NULL;
}

void *guest_mem_at(struct guest_mem *g, uint64_t gpa, uint64_t bytes)
{
	return gpa < RAM_BYTES && bytes <= RAM_BYTES - gpa ? kept->ram + gpa : NULL;
}

bool guest_mem_pieces(struct guest_mem *g, const void *at, size_t bytes, struct nic_piece *out,
		      unsigned max, unsigned *n)
{
	if (*n == max)
		return false;
	out[(*n)++] = (struct nic_piece){(uint64_t)((const uint8_t *)at - kept->ram),
					 (uint32_t)bytes};
	return true;
}

void guest_mem_get(struct guest_mem *g)
{
	mem_refs++;
}

void guest_mem_put(struct guest_mem *g)
{
	mem_refs--;
}

unsigned guest_mem_begin(struct guest_mem *g)
{
	under_way++;
	return 1;
}

void guest_mem_end(struct guest_mem *g, unsigned begun)
{
	assert_int_equal(begun, 1);
	under_way--;
}

void vmio_add(struct vmio *io, struct vmio_dev *d)
{
	d->io = io;
	attached = d;
}

void vmio_remove(struct vmio *io, struct vmio_dev *d)
{
	d->io = NULL;
	d->ops->detach(d);
}

void vmio_tell(struct vmio *io)
{
	n_events++;
}

static unsigned n_left;

void vmio_left(struct vmio_dev *d)
{
	n_left++;
}

bool vmio_held(const struct vmio *io)
{
	return held;
}

static bool card;                     /* `wire` is one that reads frames later */
static struct packet_source *reading; /* [owns] a reference */
static struct nic_piece piece[8];
static unsigned n_pieces;

static bool out(struct switch_port *port, const struct packet *p)
{
	n_out++;
	if (card && p->source) {
		reading = p->source;
		reading->hold.refs++;
		n_pieces = 0;
		for (unsigned i = 0; i < p->n_rest; i++)
			assert_true(reading->pieces(reading, p->rest[i].data, p->rest[i].len, piece,
						    8, &n_pieces));
	}
	last_out_bytes = p->bytes;
	packet_copy(p, last_out);
	return true;
}

static const struct switch_port_ops wire_ops = {.deliver = out};

static void ctrl_dies(void)
{
	if (!dev)
		return;
	attached->io = NULL;
	attached->ops->detach(attached);
	dev = NULL;
	jobs = NULL;
}

static void ctrl_starts(void)
{
	static const struct switch_port_config c = {
		.has_mac = true, .mac = {2, 0, 0, 0, 0, 1}, .learn = 4};

	dev = netdev_make(&the_io, 1, config.nics[0].pairs, &c);
	assert_non_null(dev);
	assert_int_equal(switch_plug(&sw, netdev_port(dev)), SWITCH_OK);
	netdev_link(dev, true);
	attached->ops->look(attached);
}

/* Both look until neither has anything to say. */
static void settle(void)
{
	for (unsigned i = 0; i < 50; i++) {
		unsigned before = n_events + n_io_tells;

		if (dev)
			attached->ops->look(attached);
		virtio_io();
		while (turn())
			;
		if (before == n_events + n_io_tells)
			return;
	}
	fail_msg("they never come to rest");
}

static void vmm_dies(void)
{
	jobs = NULL;
	instance();
	virtio_resume(&vm);
	virtio_io();
}

/* ---- a driver ---- */

static uint64_t nic_rd(unsigned offset, unsigned width)
{
	return access_new(HV_MMIO_READ, NIC_BAR + offset, width, 0);
}

static void nic_wr(unsigned offset, unsigned width, uint64_t value)
{
	access_new(HV_MMIO_WRITE, NIC_BAR + offset, width, value);
}

static uint32_t part_at(unsigned q, unsigned part)
{
	return RINGS + (q * 3 + part) * 0x400u;
}

static void ring_on(unsigned q)
{
	nic_wr(COMMON_QUEUE_SELECT, 2, q);
	nic_wr(COMMON_QUEUE_SIZE, 2, N);
	nic_wr(COMMON_QUEUE_DESC, 4, part_at(q, 0));
	nic_wr(COMMON_QUEUE_DRIVER, 4, part_at(q, 1));
	nic_wr(COMMON_QUEUE_DEVICE, 4, part_at(q, 2));
	nic_wr(COMMON_QUEUE_ENABLE, 2, 1);
}

static unsigned n_queues, control_at; /* the driver's */

static void driver(uint64_t features)
{
	n_queues = features & F_MQ ? 5 : 3;
	control_at = n_queues - 1;
	memset(kept->ram + RINGS, 0, 15 * 0x400);
	access_new(HV_MMIO_WRITE, HV_GPA_ECAM + (SLOT_NICS << 15) + PCI_COMMAND, 2,
		   PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	nic_wr(COMMON_STATUS, 1, 0);
	nic_wr(COMMON_STATUS, 1, 3);
	features |= VIRTIO_VERSION_1;
	for (unsigned i = 0; i < 2; i++) {
		nic_wr(COMMON_DRIVER_FEATURE_SELECT, 4, i);
		nic_wr(COMMON_DRIVER_FEATURE, 4, features >> i * 32 & UINT32_MAX);
	}
	nic_wr(COMMON_STATUS, 1, 11);
	assert_int_equal(nic_rd(COMMON_STATUS, 1), 11);
	for (unsigned q = 0; q < n_queues; q++)
		ring_on(q);
	nic_wr(COMMON_STATUS, 1, 15);
}

static void desc(unsigned q, unsigned i, uint64_t gpa, uint32_t len, unsigned flags, unsigned next)
{
	struct vring_desc d = {gpa, len, (uint16_t)flags, (uint16_t)next};

	memcpy(kept->ram + part_at(q, 0) + i * 16, &d, 16);
}

static uint16_t *word(uint32_t gpa)
{
	return (uint16_t *)(kept->ram + gpa);
}

static void give(unsigned q, unsigned head)
{
	uint16_t *avail = word(part_at(q, 1));

	avail[2 + avail[1] % N] = (uint16_t)head;
	avail[1]++;
}

static void bell(unsigned q)
{
	virtio_doorbells(1ull << (VIRTIO_BELL(SLOT_NICS) + q % VIRTIO_BELLS));
}

static uint16_t used(unsigned q)
{
	return word(part_at(q, 2))[1];
}

struct entry {
	uint32_t id, len;
};

static struct entry used_entry(unsigned q, unsigned i)
{
	struct entry e;

	memcpy(&e, kept->ram + part_at(q, 2) + 4 + i % N * 8, 8);
	return e;
}

/* Receive buffers of `bytes` each. */
static void give_buffers_to(unsigned q, unsigned n, uint32_t bytes)
{
	for (unsigned i = 0; i < n; i++) {
		desc(q, i, BUFFER_AT + (i + q * n) * bytes, bytes, VRING_WRITE, 0);
		give(q, i);
	}
	bell(q);
}

static inline void give_buffers(unsigned n, uint32_t bytes)
{
	give_buffers_to(0, n, bytes);
}

static void send_by(unsigned q, uint32_t bytes, uint8_t seed)
{
	uint8_t *at = kept->ram + TX_AT;

	memset(at, 0, 12);
	memcpy(at + 12, (uint8_t[]){2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x12, 0x34}, 14);
	for (uint32_t i = 14; i < bytes; i++)
		at[12 + i] = (uint8_t)(i + seed);
	desc(q, 0, TX_AT, 12, VRING_NEXT, 1);
	desc(q, 1, TX_AT + 12, bytes, 0, 0);
	give(q, 0);
	bell(q);
}

static void send_one(uint32_t bytes, uint8_t seed)
{
	send_by(1, bytes, seed);
}

/* A frame from the wire. */
static inline void arrive(uint32_t bytes, uint8_t seed)
{
	uint8_t frame[1600] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x12, 0x34};
	struct nic_seg seg = {frame, bytes};
	struct packet p;

	for (uint32_t i = 14; i < bytes; i++)
		frame[i] = (uint8_t)(i * 3 + seed);
	assert_true(packet_make(&p, &seg, 1, NULL));
	(void)switch_input(&wire, &p, now);
}

/* What stands in the buffers of used entry `at` and those behind it is that frame. */
static inline void expect_frame(unsigned at, uint32_t bytes, uint8_t seed, uint32_t buffer_bytes)
{
	uint32_t left = bytes + 12, off = 0;
	uint16_t buffers = 0;

	for (unsigned i = 0; left; i++, at++) {
		struct entry e = used_entry(0, at);
		const uint8_t *b = kept->ram + BUFFER_AT + e.id * buffer_bytes;

		assert_int_equal(e.len, left < buffer_bytes ? left : buffer_bytes);
		for (uint32_t j = i ? 0 : 26; j < e.len; j++)
			assert_int_equal(b[j], (uint8_t)((off + j - 12) * 3 + seed));
		if (i == 0)
			memcpy(&buffers, b + 10, 2);
		off += e.len;
		left -= e.len;
		buffers--;
	}
	assert_int_equal(buffers, 0);
}

static int setup(void **state)
{
	(void)state;
	config = (struct vmm_config){.io_pages = 2 * IO_NIC_PAGES};
	config.nics[0] = (struct vmm_nic){.area = 1,
					  .present = 1,
					  .pairs = 1,
					  .mtu = 1500,
					  .mac = {2, 0, 0, 0, 0, 1},
					  .link = 1};
	n_out = n_events = n_io_tells = 0;
	held = card = false;
	power_on();
	switch_init(&sw, 1);
	wire = (struct switch_port){.ops = &wire_ops, .config = {.floods = true, .learn = 8}};
	assert_int_equal(switch_plug(&sw, &wire), SWITCH_OK);
	wire.up = true;
	ctrl_starts();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ctrl_dies();
	assert_int_equal(mem_refs, 0);
	assert_int_equal(under_way, 0);
	switch_unplug(&wire);
	switch_free(&sw);
	return 0;
}

#endif
