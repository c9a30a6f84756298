/* SPDX-License-Identifier: BSD-2-Clause */
/* See netdev.h. */
#include "ctrl-kernel/backend/netdev.h"

#include <stdlib.h>
#include <string.h>

#include "ctrl-kernel/backend/ioqueue.h"
#include "ctrl-kernel/vmm/vmm_abi.h"
#include "net/virtio_header.h"

#define TURN_COST                                                                                  \
	64u /* copies of frames that what a guest sends becomes, before others have their turn */

#define HEADER_BYTES sizeof(struct virtio_header)
#define SENDING_MAX 128u

struct sending { /* a record of the guest's, as long as a card reads what it names */
	struct packet_source source; /* first */
	struct netdev *n;
	unsigned pair, number;
	unsigned begun; /* guest_mem_begin() */
	uint32_t result;
	struct sending *next; /* free */
};

struct pair {
	struct ioqueue rx, tx;
	unsigned rx_from; /* where the next receive buffer is looked for */
};

struct netdev {
	struct vmio_dev dev; /* first */
	struct switch_port port;
	struct pair pair[VMM_IO_QUEUES_MAX];
	unsigned n_pairs, receiving; /* pairs; those that the driver receives by */
	unsigned first;              /* that has its turn first */
	bool link;
	struct loop_job turn;
	struct guest_mem *mem; /* [owns] a reference */
	unsigned n_sending;
	struct sending *free; /* NULL: the rest waits until one ends */
	struct sending sending[SENDING_MAX];
};

static void netdev_free(struct netdev *n)
{
	guest_mem_put(n->mem);
	vmio_left(&n->dev);
	free(n);
}

/* ---- what the vmm says ---- */

static void look_at_mode(struct netdev *n)
{
	static const struct {
		uint32_t mode;
		unsigned cap;
	} map[] = {{IO_NIC_CSUM, PACKET_CAP_CSUM},
		   {IO_NIC_TSO4, PACKET_CAP_TCP4},
		   {IO_NIC_TSO6, PACKET_CAP_TCP6}};
	uint32_t mode = ioqueue_mode(&n->pair[0].rx);
	unsigned caps = 0, pairs = IO_NIC_PAIRS(mode);

	for (unsigned i = 0; i < ARRAY_SIZE(map); i++)
		if (mode & map[i].mode)
			caps |= map[i].cap;
	n->port.caps = caps & PACKET_CAP_CSUM ? caps
					      : 0; /* 5.1.3.1: splitting is about sums, too */
	n->receiving = pairs < n->n_pairs ? pairs : n->n_pairs;
	n->port.promiscuous = mode & IO_NIC_PROMISCUOUS;
	n->port.up = n->link && (mode & IO_NIC_ON);
}

/* ---- the guest sends ---- */

/* The pieces of a record in this program's memory; false: not all of it is RAM. */
static bool pieces(struct guest_mem *mem, const struct io_request *r,
		   struct nic_seg out[IO_NIC_SEGS])
{
	if (r->record.n_segs > IO_NIC_SEGS) /* a wrong form, too */
		return false;
	for (unsigned i = 0; i < r->record.n_segs; i++) {
		out[i].len = r->seg[i].bytes;
		out[i].data = guest_mem_at(mem, r->seg[i].gpa, r->seg[i].bytes);
		if (!out[i].data)
			return false;
	}
	return true;
}

/* Copies the header and cuts it off; the number of pieces left, 0: there is no more than that. */
static unsigned take_header(struct nic_seg *seg, unsigned n, struct virtio_header *h)
{
	size_t done = 0;
	unsigned i = 0;

	while (i < n && done < HEADER_BYTES) {
		size_t part = seg[i].len < HEADER_BYTES - done ? seg[i].len : HEADER_BYTES - done;

		memcpy((char *)h + done, seg[i].data, part);
		done += part;
		seg[i].data = (const char *)seg[i].data + part;
		seg[i].len -= part;
		i += seg[i].len == 0;
	}
	memmove(seg, seg + i, (n - i) * sizeof(*seg));
	return n - i;
}

/* ---- a record, until nobody reads what it names ---- */

static struct sending *sending_begin(struct netdev *n, unsigned pair, unsigned number,
				     uint32_t result)
{
	struct sending *s = n->free;

	n->free = s->next;
	n->n_sending++;
	s->source.hold.refs = 1;
	s->pair = pair;
	s->number = number;
	s->result = result;
	s->begun = guest_mem_begin(n->mem);
	return s;
}

static void sending_end(struct nic_hold *hold)
{
	struct sending *s = (struct sending *)hold;
	struct netdev *n = s->n;

	guest_mem_end(n->mem, s->begun);
	n->n_sending--;
	if (n->dev.io) {
		ioqueue_finish(&n->pair[s->pair].tx, s->number, s->result);
		vmio_tell(n->dev.io);
		if (!n->free)
			loop_defer(&n->turn);
	}
	s->next = n->free;
	n->free = s;
	if (!n->dev.io && n->n_sending == 0 && !n->turn.queued)
		netdev_free(n);
}

static bool sending_pieces(struct packet_source *source, const void *data, size_t bytes,
			   struct nic_piece *out, unsigned max, unsigned *n)
{
	const struct sending *s = (const struct sending *)source;

	return guest_mem_pieces(s->n->mem, data, bytes, out, max, n);
}

static void sending_init(struct netdev *n)
{
	for (unsigned i = 0; i < SENDING_MAX; i++) {
		n->sending[i].source.hold.release = sending_end;
		n->sending[i].source.pieces = sending_pieces;
		n->sending[i].n = n;
		n->sending[i].next = n->free;
		n->free = &n->sending[i];
	}
}

/* -> what it cost */
static unsigned send(struct netdev *n, const struct io_request *r, struct packet_source *source,
		     uint64_t now)
{
	struct nic_seg seg[IO_NIC_SEGS];
	struct packet_offload offload;
	struct virtio_header h;
	struct packet p;
	unsigned n_segs;

	if (pieces(n->mem, r, seg)) {
		n_segs = take_header(seg, r->record.n_segs, &h);
		offload = virtio_header_read(&h);
		if (n_segs && packet_make(&p, seg, n_segs, &offload)) {
			p.source = p.n_rest ? source : NULL;
			return 1 + switch_input(&n->port, &p, now);
		}
	}
	switch_malformed(&n->port);
	return 1;
}

/* -> the cost of this turn, until now */
static unsigned transmit_queue(struct netdev *n, unsigned pair, unsigned cost, uint64_t now)
{
	static struct io_request r; /* large */
	unsigned i;

	while (cost < TURN_COST && n->free && ioqueue_next(&n->pair[pair].tx, &i, &r)) {
		struct sending *s = sending_begin(n, pair, i, (uint32_t)r.record.bytes);

		cost += send(n, &r, &s->source, now);
		nic_hold_put(&s->source.hold);
	}
	return cost;
}

static void watch(struct netdev *n, bool on)
{
	for (unsigned i = 0; i < n->n_pairs; i++)
		ioqueue_watch(&n->pair[i].tx, on);
}

static bool waits(const struct netdev *n)
{
	bool any = false;

	for (unsigned i = 0; i < n->n_pairs; i++)
		any |= ioqueue_waits(&n->pair[i].tx);
	return any;
}

static void transmit(struct netdev *n)
{
	uint64_t now = rt_now();
	unsigned cost = 0;

	watch(n, true);
	for (unsigned i = 0; i < n->n_pairs; i++)
		cost = transmit_queue(n, (n->first + i) % n->n_pairs, cost, now);
	n->first = (n->first + 1) % n->n_pairs;
	if (!n->free)
		return; /* goes on when one ends */
	if (cost >= TURN_COST) {
		loop_defer(&n->turn);
		return;
	}
	watch(n, false);
	/* What came before it was seen that nobody watches. */
	if (waits(n)) {
		watch(n, true);
		loop_defer(&n->turn);
	}
}

/* ---- the guest gets ---- */

struct filling { /* receive buffers, one after the other */
	struct netdev *n;
	struct pair *pair;
	struct nic_seg seg[IO_NIC_SEGS];
	unsigned n_segs, at; /* of the buffer that is being filled */
	size_t offset;       /* in seg[at] */
	struct nic_seg header[HEADER_BYTES];
	unsigned n_header;
	uint8_t place[IO_FRAME_BUFFERS];
	uint32_t bytes[IO_FRAME_BUFFERS];
	unsigned n_buffers;
	bool merge, tagged;
};

static bool next_buffer(struct filling *f)
{
	static struct io_request r;
	struct pair *p = f->pair;
	struct netdev *n = f->n;
	unsigned i;

	if (f->n_buffers == (f->merge ? IO_FRAME_BUFFERS : 1))
		return false;
	while (ioqueue_take(&p->rx, &p->rx_from, &i, &r) ||
	       (p->rx_from && (p->rx_from = 0, ioqueue_take(&p->rx, &p->rx_from, &i, &r)))) {
		if (!pieces(n->mem, &r, f->seg) || r.record.n_segs == 0) {
			ioqueue_finish(&p->rx, i, 0);
			vmio_tell(n->dev.io);
			continue;
		}
		f->n_segs = r.record.n_segs;
		f->at = 0;
		f->offset = 0;
		f->place[f->n_buffers] = (uint8_t)i;
		f->bytes[f->n_buffers++] = 0;
		return true;
	}
	return false;
}

/* Where the next bytes go, at most n; NULL: no room. */
static char *room(struct filling *f, size_t *n)
{
	char *to;

	while (f->at == f->n_segs)
		if (!next_buffer(f))
			return NULL;
	to = (char *)(uintptr_t)f->seg[f->at].data + f->offset;
	if (*n > f->seg[f->at].len - f->offset)
		*n = f->seg[f->at].len - f->offset;
	f->offset += *n;
	if (f->offset == f->seg[f->at].len) {
		f->at++;
		f->offset = 0;
	}
	f->bytes[f->n_buffers - 1] += (uint32_t)*n;
	return to;
}

static bool fill(struct filling *f, const void *data, size_t bytes)
{
	const char *from = data;

	while (bytes) {
		size_t part = bytes;
		char *to = room(f, &part);

		if (!to)
			return false;
		memcpy(to, from, part);
		from += part;
		bytes -= part;
	}
	return true;
}

/* Its place is kept: how many buffers there are is known at the end. All of it lies in the first. */
static bool header_room(struct filling *f)
{
	for (size_t left = HEADER_BYTES, part; left; left -= part) {
		char *to = (part = left, room(f, &part));

		if (!to || f->n_buffers > 1)
			return false;
		f->header[f->n_header++] = (struct nic_seg){to, part};
	}
	return true;
}

/* Places count from the frame's first byte: a tag shifts them. */
static void header_write(const struct filling *f, const struct packet *p)
{
	struct packet_offload o = p->offload;
	uint16_t tag = f->tagged ? ETH_TAG_LEN : 0;
	struct virtio_header h;
	const char *from = (const char *)&h;

	o.csum_start = (uint16_t)(o.csum_start + tag);
	o.header_bytes = (uint16_t)(o.header_bytes + tag);
	h = virtio_header_of(&o);
	h.buffers = (uint16_t)f->n_buffers;
	if (!o.csum_wanted && o.csum_good && (f->n->port.caps & PACKET_CAP_CSUM))
		h.flags = VIRTIO_HEADER_CSUM_GOOD;
	for (unsigned i = 0; i < f->n_header; i++) {
		memcpy((void *)(uintptr_t)f->header[i].data, from, f->header[i].len);
		from += f->header[i].len;
	}
}

static bool fill_head(struct filling *f, const struct packet *p)
{
	uint8_t tag[ETH_TAG_LEN];

	if (!f->tagged)
		return fill(f, p->head, p->head_bytes);
	frame_tag(tag, (uint16_t)(p->pcp << 12 | p->vid));
	return fill(f, p->head, ETH_ADDRS_LEN) && fill(f, tag, sizeof(tag)) &&
	       fill(f, p->head + ETH_ADDRS_LEN, p->head_bytes - ETH_ADDRS_LEN);
}

static bool fill_all(struct filling *f, const struct packet *p)
{
	if (!header_room(f) || !fill_head(f, p))
		return false;
	for (unsigned i = 0; i < p->n_rest; i++)
		if (!fill(f, p->rest[i].data, p->rest[i].len))
			return false;
	return true;
}

static void finish(struct filling *f)
{
	uint32_t frame = f->n_buffers > 1 ? ioqueue_frame(&f->pair->rx) : 0;

	for (unsigned i = 0; i < f->n_buffers; i++)
		ioqueue_finish(&f->pair->rx, f->place[i],
			       IO_FRAME(f->bytes[i], i, frame, i + 1 == f->n_buffers));
	vmio_tell(f->n->dev.io);
}

static bool deliver(struct switch_port *port, const struct packet *p)
{
	struct netdev *n = port->own;
	struct filling f;

	/* Frames of a flow stay in order: they go by one queue. */
	f.pair = &n->pair[n->receiving > 1 ? packet_flow(p) % n->receiving : 0];
	if (vmio_held(n->dev.io) || ioqueue_cancelled(&f.pair->rx))
		return false;
	f.n = n;
	f.n_segs = f.at = f.n_header = f.n_buffers = 0;
	f.offset = 0;
	f.tagged = switch_tagged(port, p);
	f.merge = ioqueue_mode(&n->pair[0].rx) & IO_NIC_MERGE;
	if (fill_all(&f, p)) {
		header_write(&f, p);
		finish(&f);
		return true;
	}
	/* The guest has not been told of what was written there. */
	for (unsigned i = 0; i < f.n_buffers; i++)
		ioqueue_untake(&f.pair->rx, f.place[i]);
	return false;
}

static const struct switch_port_ops port_ops = {.deliver = deliver};

/* ---- life ---- */

/* The driver resets its device: everything comes back as it is. */
static void cancel(struct netdev *n, struct ioqueue *q)
{
	static struct io_request r;
	unsigned from = 0, i;

	if (!ioqueue_cancelled(q))
		return;
	while (ioqueue_take(q, &from, &i, &r)) {
		ioqueue_finish(q, i, 0);
		vmio_tell(n->dev.io);
	}
}

static void look(struct vmio_dev *d)
{
	struct netdev *n = (struct netdev *)d;

	look_at_mode(n);
	for (unsigned i = 0; i < n->n_pairs; i++) {
		cancel(n, &n->pair[i].rx);
		cancel(n, &n->pair[i].tx);
	}
	transmit(n);
}

static void turn(void *ctx)
{
	struct netdev *n = ctx;

	if (!n->dev.io && n->n_sending == 0)
		netdev_free(n);
	else if (n->dev.io && !vmio_held(n->dev.io))
		look(&n->dev);
}

static bool busy(const struct vmio_dev *d)
{
	return ((const struct netdev *)d)->n_sending > 0;
}

static void detach(struct vmio_dev *d)
{
	struct netdev *n = (struct netdev *)d;

	switch_unplug(&n->port);
	if (!n->turn.queued && n->n_sending == 0)
		netdev_free(n);
}

static const struct vmio_dev_ops dev_ops = {.look = look, .busy = busy, .detach = detach};

static void attach(struct vmio *io, uint32_t page, struct pair *p)
{
	ioqueue_attach(&p->rx, vmio_page(io, page), IO_NIC_ENTRIES, IO_NIC_RECORD);
	ioqueue_attach(&p->tx, vmio_page(io, page + (uint32_t)IO_NIC_PAGES), IO_NIC_ENTRIES,
		       IO_NIC_RECORD);
	ioqueue_watch(&p->tx, false); /* whatever the instance before had promised */
}

struct netdev *netdev_make(struct vmio *io, uint32_t page, unsigned pairs,
			   const struct switch_port_config *config)
{
	struct netdev *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->dev.ops = &dev_ops;
	n->port.ops = &port_ops;
	n->port.own = n;
	n->port.config = *config;
	n->turn = (struct loop_job){.fn = turn, .ctx = n};
	n->mem = vmio_mem(io);
	guest_mem_get(n->mem);
	sending_init(n);
	n->n_pairs = pairs >= 1 && pairs <= VMM_IO_QUEUES_MAX ? pairs : 1;
	for (unsigned i = 0; i < n->n_pairs; i++)
		attach(io, page + i * 2 * (uint32_t)IO_NIC_PAGES, &n->pair[i]);
	vmio_add(io, &n->dev);
	vmio_tell(io); /* what it had finished and not told of */
	return n;
}

struct switch_port *netdev_port(struct netdev *n)
{
	return &n->port;
}

void netdev_end(struct netdev *n)
{
	vmio_remove(n->dev.io, &n->dev);
}

void netdev_link(struct netdev *n, bool up)
{
	n->link = up;
	look_at_mode(n);
}
