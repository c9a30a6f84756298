/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-net (virtio 1.2, 5.1): pairs of queues and one for control. Frames are not looked at here: chains go to the
 * control kernel by the I/O area as they are, with the header that says what is left to the card, and come back.
 *
 *	transmit   chain ─► record, submitted ─► sent ─► completed
 *	receive    chain ─► record, submitted ─► filled: bytes, place in its frame (io_area.h) ─► collected ─► completed
 *
 * A frame that takes several receive buffers is completed by one store to the queue's log (vq_complete_batch): a guest sees
 * all of it or nothing, whenever this program dies. When the control kernel dies in the middle of one, the buffers that it
 * had filled are submitted again and the guest never hears of them.
 *
 * Queue 2n receives and queue 2n + 1 transmits. What is sent is taken from all of them; which of them frames are received by
 * is the control kernel's choice, among as many pairs as the driver has asked for: the word with that (`mode`) is in the area,
 * and so the next instance has it.
 *
 * What the next instance finds in flight and not under way it submits again: a frame may be sent twice; one that had been
 * received and not completed is lost.
 */
#include "ctrl-kernel/vmm/virtio/net.h"

#include <string.h>

#include "ctrl-kernel/vmm/virtio/io.h"

/* 5.1.3 */
#define NET_CSUM (1ull << 0)
#define NET_GUEST_CSUM (1ull << 1)
#define NET_MTU (1ull << 3)
#define NET_MAC (1ull << 5)
#define NET_GUEST_TSO4 (1ull << 7)
#define NET_GUEST_TSO6 (1ull << 8)
#define NET_HOST_TSO4 (1ull << 11)
#define NET_HOST_TSO6 (1ull << 12)
#define NET_MRG_RXBUF (1ull << 15)
#define NET_STATUS (1ull << 16)
#define NET_CTRL_VQ (1ull << 17)
#define NET_CTRL_RX (1ull << 18)
#define NET_MQ (1ull << 22)

#define STATUS_LINK_UP 1u /* 5.1.4 */

/* 5.1.6.5 */
enum control_class { CONTROL_RX = 0, CONTROL_MAC = 1, CONTROL_MQ = 4 };
enum control_rx { CONTROL_PROMISCUOUS = 0, CONTROL_ALL_MULTICAST = 1 };
enum control_mac { CONTROL_MAC_TABLE = 0 };
enum control_mq { CONTROL_PAIRS_SET = 0 };
#define CONTROL_OK 0u
#define CONTROL_ERROR 1u

#define QUEUES(pairs) ((pairs)*2 + 1) /* the last is the control queue, with NET_MQ (5.1.2) */
#define CONTROL_ALONE 2u              /* without: behind the first pair */
_Static_assert(QUEUES(VMM_IO_QUEUES_MAX) <= VIRTIO_QUEUES_MAX, "room for them");

struct net_config { /* 5.1.4 */
	uint8_t mac[6];
	uint16_t status;
	uint16_t pairs;
	uint16_t mtu;
};

struct pair {
	struct io rx, tx;
	/* Received and not completed: whole frames, then the beginning of one. */
	struct vq_done done[VIRTIO_QUEUE_SIZE_MAX];
	unsigned n_done, n_whole;
	uint32_t frame; /* of that beginning */
};

struct nic {
	const struct vmm_nic *config; /* [borrows] ctrl's */
	uint32_t seen;                /* config->changes */
	unsigned n_pairs;
	struct pair pair[VMM_IO_QUEUES_MAX];
};

static struct nic nics[VMM_NICS_MAX];

static unsigned receive_of(unsigned pair)
{
	return pair * 2;
}

static unsigned transmit_of(unsigned pair)
{
	return pair * 2 + 1;
}

static bool has_mq(const struct virtio_device *d)
{
	return d->s->driver_features & NET_MQ;
}

static unsigned control_queue(const struct virtio_device *d)
{
	return has_mq(d) ? d->n_queues - 1 : CONTROL_ALONE;
}

/* Is it one of a pair that this driver may use? */
static bool is_data(const struct virtio_device *d, unsigned queue)
{
	return queue < control_queue(d);
}

static struct io *io_of(struct nic *nic, unsigned queue)
{
	struct pair *p = &nic->pair[queue / 2];

	return queue & 1 ? &p->tx : &p->rx;
}

/* ---- configuration ---- */

static void config_read(struct virtio_device *d, unsigned offset, void *to, unsigned n)
{
	const struct nic *nic = d->own;
	struct net_config c = {.pairs = (uint16_t)nic->n_pairs, .mtu = (uint16_t)nic->config->mtu};

	memcpy(c.mac, nic->config->mac, sizeof(c.mac));
	c.status = nic->config->link ? STATUS_LINK_UP : 0;
	memcpy(to, (const char *)&c + offset, n);
}

static uint32_t *mode_of(struct nic *nic)
{
	return &nic->pair[0].rx.shared->mode;
}

/* What the driver takes, for the other side; all that it had chosen before stays. */
static void mode_set(struct virtio_device *d, bool on)
{
	static const struct {
		uint64_t feature;
		uint32_t mode;
	} map[] = {
		{NET_MRG_RXBUF, IO_NIC_MERGE},
		{NET_GUEST_CSUM, IO_NIC_CSUM},
		{NET_GUEST_TSO4, IO_NIC_TSO4},
		{NET_GUEST_TSO6, IO_NIC_TSO6},
	};
	struct nic *nic = d->own;
	uint32_t *at = mode_of(nic), mode = *at & (IO_NIC_PROMISCUOUS | IO_NIC_PAIRS_MASK);

	if (!on)
		mode = 0;
	for (unsigned i = 0; on && i < ARRAY_SIZE(map); i++)
		if (d->s->driver_features & map[i].feature)
			mode |= map[i].mode;
	if (on)
		mode |= IO_NIC_ON;
	if (mode != *at)
		__atomic_store_n(at, mode, __ATOMIC_RELEASE);
}

/* ---- submitting ---- */

static void submit(struct virtio_device *d, unsigned queue, const struct vq_chain *c)
{
	struct nic *nic = d->own;
	struct io *io = io_of(nic, queue);
	struct io_record *r = io_record_of(io, c->head);
	bool receive = !(queue & 1);
	uint32_t bytes = receive ? c->in_bytes : c->out_bytes;

	*r = (struct io_record){.op = 0};
	/* One in more pieces than drivers use is lost, as on any wire. */
	if (bytes == 0 || !io_record_segs(io, r, c, receive, 0, bytes))
		virtio_complete(d, queue, c->head, 0);
	else
		io_submit(io, c->head);
}

/* ---- control ---- */

static uint8_t control_rx(struct nic *nic, uint8_t command, uint8_t on)
{
	uint32_t *at = mode_of(nic), mode = *at & ~(uint32_t)IO_NIC_PROMISCUOUS;

	if (command == CONTROL_ALL_MULTICAST)
		return CONTROL_OK; /* it gets all of it always */
	if (command != CONTROL_PROMISCUOUS || on > 1)
		return CONTROL_ERROR;
	__atomic_store_n(at, mode | (on ? IO_NIC_PROMISCUOUS : 0), __ATOMIC_RELEASE);
	vm_io_tell();
	return CONTROL_OK;
}

/* 5.1.6.5.5 */
static uint8_t control_pairs(struct nic *nic, unsigned pairs)
{
	uint32_t *at = mode_of(nic), mode = *at & ~IO_NIC_PAIRS_MASK;

	if (pairs < 1 || pairs > nic->n_pairs)
		return CONTROL_ERROR;
	__atomic_store_n(at, mode | (pairs - 1) << IO_NIC_PAIRS_SHIFT, __ATOMIC_RELEASE);
	vm_io_tell();
	return CONTROL_OK;
}

static void control(struct virtio_device *d, unsigned queue, const struct vq_chain *c)
{
	struct virtqueue *q = &d->queue[queue];
	uint8_t in[4] = {0}, ack = CONTROL_ERROR;
	size_t n = vq_copy_from(q, c, 0, in, sizeof(in));

	if (n >= 3 && in[0] == CONTROL_RX)
		ack = control_rx(d->own, in[1], in[2]);
	else if (n >= 2 && in[0] == CONTROL_MAC && in[1] == CONTROL_MAC_TABLE)
		ack = CONTROL_OK; /* groups are not filtered; other stations are the switch's matter */
	else if (n == 4 && in[0] == CONTROL_MQ && in[1] == CONTROL_PAIRS_SET && has_mq(d))
		ack = control_pairs(d->own, in[2] | (unsigned)in[3] << 8);
	virtio_complete(d, queue, c->head, (uint32_t)vq_copy_to(q, c, 0, &ack, 1));
}

static void again(struct virtio_device *d, unsigned queue, const struct vq_chain *c)
{
	struct nic *nic = d->own;

	if (!is_data(d, queue))
		control(d, queue, c);
	else if (!io_resume(io_of(nic, queue), c->head))
		submit(d, queue, c);
}

/* ---- what comes back ---- */

static void transmitted(struct virtio_device *d, unsigned pair)
{
	struct nic *nic = d->own;
	unsigned head, queue = transmit_of(pair);
	uint32_t result;
	bool any = false;

	while (io_done(&nic->pair[pair].tx, &head, &result)) {
		virtio_complete(d, queue, (uint16_t)head, 0);
		any = true;
	}
	if (any)
		virtio_signal(d, queue);
}

/* A frame that will have no end: its buffers take another. */
static void give_back(struct pair *p)
{
	while (p->n_done > p->n_whole)
		io_submit(&p->rx, p->done[--p->n_done].head);
}

static void collect(struct pair *p, unsigned head, uint32_t result)
{
	unsigned at = IO_FRAME_PLACE(result);

	if (result == 0)
		result = IO_FRAME_LAST; /* refused: drivers drop what is shorter than a header */
	if (at != p->n_done - p->n_whole || (at && IO_FRAME_NUMBER(result) != p->frame))
		give_back(p);
	p->done[p->n_done++] = (struct vq_done){.head = (uint16_t)head,
						.written = IO_FRAME_BYTES(result)};
	if (at != p->n_done - 1 - p->n_whole) {
		give_back(p); /* it has no beginning either */
		return;
	}
	p->frame = IO_FRAME_NUMBER(result);
	if (result & IO_FRAME_LAST)
		p->n_whole = p->n_done;
}

static void received(struct virtio_device *d, unsigned pair)
{
	struct nic *nic = d->own;
	struct pair *p = &nic->pair[pair];
	unsigned head, part;
	uint32_t result;

	while (io_done(&p->rx, &head, &result))
		collect(p, head, result);
	if (p->n_whole) {
		virtio_complete_batch(d, receive_of(pair), p->done, p->n_whole);
		part = p->n_done - p->n_whole;
		memmove(p->done, p->done + p->n_whole, part * sizeof(p->done[0]));
		p->n_done = part;
		p->n_whole = 0;
		virtio_signal(d, receive_of(pair));
	}
}

static bool notify(struct virtio_device *d, unsigned queue)
{
	struct nic *nic = d->own;
	bool more;

	if (queue == control_queue(d))
		return virtio_serve(d, queue, control);
	if (!is_data(d, queue))
		return false; /* of no use to a driver that does not know of several pairs */
	mode_set(d, true);
	if (queue & 1)
		transmitted(d, queue / 2);
	else
		received(d, queue / 2);
	more = virtio_serve(d, queue, submit);
	if (!io_is_watched(io_of(nic, queue)))
		vm_io_tell();
	return more;
}

static bool stopped(struct nic *nic)
{
	bool all = true;

	for (unsigned i = 0; i < nic->n_pairs; i++) {
		all &= io_stop(&nic->pair[i].rx);
		all &= io_stop(&nic->pair[i].tx);
	}
	return all;
}

/* What comes back during a reset is nobody's any more. */
static bool stop(struct nic *nic)
{
	unsigned head;
	uint32_t result;

	for (unsigned i = 0; i < nic->n_pairs; i++) {
		struct pair *p = &nic->pair[i];

		while (io_done(&p->rx, &head, &result))
			;
		while (io_done(&p->tx, &head, &result))
			;
		p->n_done = p->n_whole = 0;
	}
	return stopped(nic);
}

static bool reset(struct virtio_device *d)
{
	struct nic *nic = d->own;

	mode_set(d, false);
	if (stop(nic))
		return true;
	vm_io_tell();
	return false;
}

static void io(struct virtio_device *d)
{
	struct nic *nic = d->own;
	uint32_t changes = __atomic_load_n(&nic->config->changes, __ATOMIC_ACQUIRE);

	if (virtio_is_resetting(d)) {
		if (stop(nic))
			virtio_reset_done(d);
		return;
	}
	if (changes != nic->seen) {
		nic->seen = changes;
		virtio_config_changed(d);
	}
	if (!virtio_live(d))
		return; /* completed when it is: a driver that broke its device resets it */
	for (unsigned i = 0; is_data(d, receive_of(i)); i++) {
		transmitted(d, i);
		received(d, i);
	}
}

static void attach(struct virtio_device *d)
{
	struct nic *nic = &nics[d->slot - SLOT_NICS];
	uint32_t page;

	nic->config = &d->vm->config->nics[d->slot - SLOT_NICS];
	nic->seen = nic->config->changes;
	nic->n_pairs = nic->config->pairs;
	if (nic->n_pairs < 1 || nic->n_pairs > VMM_IO_QUEUES_MAX)
		nic->n_pairs = 1;
	page = nic->config->area;
	for (unsigned q = 0; q < nic->n_pairs * 2; q++, page += (uint32_t)IO_NIC_PAGES)
		io_attach(io_of(nic, q), page, IO_NIC_ENTRIES, IO_NIC_RECORD);
	d->n_queues = QUEUES(nic->n_pairs);
	if (nic->n_pairs > 1)
		d->features |= NET_MQ;
	d->own = nic;
}

const struct virtio_device_ops net_ops = {
	.name = "net",
	.type = 1,
	.class = 0x020000, /* Ethernet */
	.n_queues = QUEUES(1),
	.queue_size = IO_NIC_ENTRIES,
	.features = NET_CSUM | NET_GUEST_CSUM | NET_MTU | NET_MAC | NET_GUEST_TSO4 |
		    NET_GUEST_TSO6 | NET_HOST_TSO4 | NET_HOST_TSO6 | NET_MRG_RXBUF | NET_STATUS |
		    NET_CTRL_VQ | NET_CTRL_RX,
	.config_bytes = sizeof(struct net_config),
	.attach = attach,
	.config_read = config_read,
	.notify = notify,
	.again = again,
	.reset = reset,
	.io = io,
};
