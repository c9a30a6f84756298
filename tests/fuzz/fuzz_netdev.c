/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vmm that writes anything into the I/O area of a NIC while the control kernel serves it: records, toggles, orders, modes.
 * Input: writes of 8 bytes (3 of offset, 4 of value, 1 of what happens then). No access leaves the guest's memory or the area;
 * what arrives at the other port is a frame.
 */
// SRC: ctrl-kernel/backend/ioqueue.c
// SRC: ctrl-kernel/backend/netdev.c
// SRC: net/checksum.c
// SRC: net/fdb.c
// SRC: net/frame.c
// SRC: net/packet.c
// SRC: net/claim.c net/spoof.c
// SRC: net/switch.c
#include <stdlib.h>
#include <string.h>

#include "ctrl-kernel/backend/netdev.h"
#include "ctrl-kernel/vmm/io_area.h"

#define RAM 0x4000u
#define PAIRS 2u
#define AREA (2 * PAIRS * IO_NIC_PAGES * 4096)

struct vmio {
	int unused;
};
static struct vmio the_io;
static uint8_t *ram, *area; /* malloc'ed: the sanitizer sees their ends */
static struct vmio_dev *attached;
static struct loop_job *jobs;
static struct vswitch sw;
static struct switch_port wire;
static uint64_t now = 1000000000;
#define READING_MAX 300u                           /* more than may be on their way at a time */
static struct packet_source *reading[READING_MAX]; /* by a card: [owns] references */
static unsigned n_reading, under_way;

uint64_t rt_now(void)
{
	return now;
}

void loop_defer(struct loop_job *j)
{
	if (j->queued)
		return;
	j->queued = true;
	j->next = jobs;
	jobs = j;
}

static void turn(void)
{
	struct loop_job *j = jobs;

	jobs = NULL;
	for (struct loop_job *next; j; j = next) {
		next = j->next;
		j->queued = false;
		j->fn(j->ctx);
	}
}

void *vmio_page(const struct vmio *io, uint32_t page)
{
	return area + (size_t)page * 4096;
}

struct guest_mem *vmio_mem(const struct vmio *io)
{
	return NULL;
}

void *guest_mem_at(struct guest_mem *g, uint64_t gpa, uint64_t bytes)
{
	return gpa < RAM && bytes <= RAM - gpa ? ram + gpa : NULL;
}

bool guest_mem_pieces(struct guest_mem *g, const void *at, size_t bytes, struct nic_piece *out,
		      unsigned max, unsigned *n)
{
	uint64_t gpa = (uint64_t)((const char *)at - (const char *)ram);

	if (gpa >= RAM || bytes > RAM - gpa || bytes == 0)
		abort();
	if (*n == max)
		return false;
	out[(*n)++] = (struct nic_piece){gpa, (uint32_t)bytes};
	return true;
}

void guest_mem_get(struct guest_mem *g)
{
	(void)g;
}

void guest_mem_put(struct guest_mem *g)
{
	(void)g;
}

unsigned guest_mem_begin(struct guest_mem *g)
{
	(void)g;
	under_way++;
	return 0;
}

void guest_mem_end(struct guest_mem *g, unsigned begun)
{
	(void)g, (void)begun;
	if (under_way-- == 0)
		abort();
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
}

void vmio_left(struct vmio_dev *d)
{
	(void)d;
}

bool vmio_held(const struct vmio *io)
{
	return false;
}

static bool out(struct switch_port *port, const struct packet *p)
{
	uint8_t *flat = malloc(p->bytes);

	if (p->bytes < ETH_HEADER_LEN || p->bytes > ETH_HEADER_LEN + ETH_PAYLOAD_MAX)
		abort();
	packet_copy(p, flat);
	free(flat);
	if (p->source && n_reading < READING_MAX) {
		struct nic_piece piece[NIC_PIECES_MAX];
		unsigned n = 0;

		for (unsigned i = 0; i < p->n_rest; i++)
			(void)p->source->pieces(p->source, p->rest[i].data, p->rest[i].len, piece,
						NIC_PIECES_MAX, &n);
		p->source->hold.refs++;
		reading[n_reading++] = p->source;
	}
	return true;
}

static void card_is_done(unsigned left)
{
	while (n_reading > left)
		nic_hold_put(&reading[--n_reading]->hold);
}

static void arrive(uint32_t bytes)
{
	static uint8_t frame[1600] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x12, 0x34};
	struct nic_seg seg = {frame, bytes};
	struct packet p;

	if (packet_make(&p, &seg, 1, NULL))
		(void)switch_input(&wire, &p, now);
}

static void start(void)
{
	static const struct switch_port_ops ops = {.deliver = out};
	static const struct switch_port_config c = {
		.has_mac = true, .mac = {2, 0, 0, 0, 0, 1}, .learn = 4};
	struct netdev *n;

	ram = calloc(1, RAM);
	area = calloc(1, AREA);
	switch_init(&sw, 1);
	wire = (struct switch_port){.ops = &ops, .config = {.floods = true, .learn = 8}};
	n = netdev_make(&the_io, 0, PAIRS, &c);
	if (switch_plug(&sw, &wire) != SWITCH_OK || switch_plug(&sw, netdev_port(n)) != SWITCH_OK)
		abort();
	wire.up = true;
	netdev_link(n, true);
}

static void stop(void)
{
	attached->io = NULL;
	attached->ops->detach(attached);
	card_is_done(0);
	if (under_way)
		abort();
	turn(); /* one that waited for its turn is freed by it */
	switch_unplug(&wire);
	switch_free(&sw);
	free(ram);
	free(area);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	start();
	for (; size >= 8; data += 8, size -= 8) {
		uint32_t where = data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16;

		if (where & 0x800000)
			memcpy(ram + where % (RAM - 4), data + 3, 4);
		else /* mostly the heads of the queues and their first records */
			memcpy(area + (where >> 21 & 3) * IO_NIC_PAGES * 4096 + where % 0x2000,
			       data + 3, 4);
		if (data[7] & 1)
			attached->ops->look(attached);
		if (data[7] & 2)
			arrive(data[7] * 8u);
		if (data[7] & 4)
			turn();
		if (data[7] & 8)
			card_is_done(data[7] >> 4);
		now += 1000000;
	}
	stop();
	return 0;
}
