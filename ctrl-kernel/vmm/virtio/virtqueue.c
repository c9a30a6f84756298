/* SPDX-License-Identifier: BSD-2-Clause */
/* The device side of a split virtqueue; virtio.c drives it. */
#include "ctrl-kernel/vmm/virtio/virtqueue.h"

#include <assert.h>
#include <string.h>

enum step { STEP_NONE = 0, STEP_TAKEN = 1, STEP_COMPLETED = 2, STEP_BATCH = 3 };

static inline uint16_t log_avail(const struct virtqueue *q)
{
	return (uint16_t)q->s->log;
}

static inline uint16_t log_used(const struct virtqueue *q)
{
	return (uint16_t)(q->s->log >> 16);
}

/* The one store by which a step has happened; everything before it is visible to the next instance and to the driver. */
static void log_store(struct virtqueue *q, uint16_t avail, uint16_t used, uint16_t head,
		      enum step step)
{
	uint64_t word = avail | (uint64_t)used << 16 | (uint64_t)head << 32 | (uint64_t)step << 48;

	__atomic_store_n(&q->s->log, word, __ATOMIC_RELEASE);
}

bool vq_in_flight(const struct virtqueue *q, unsigned head)
{
	return q->s->in_flight[head / 64] >> head % 64 & 1;
}

static void in_flight_set(struct virtqueue *q, unsigned head, bool on)
{
	uint64_t bit = 1ull << head % 64, *word = &q->s->in_flight[head / 64];

	*word = on ? *word | bit : *word & ~bit;
}

static bool bad(struct virtqueue *q, const char *why)
{
	q->broken = why;
	q->desc = NULL;
	return false;
}

void vq_reset(struct virtqueue *q)
{
	struct virtio_queue_state *s = q->s;

	__atomic_store_n(&s->enabled, 0, __ATOMIC_RELEASE);
	s->log = 0;
	memset(s->in_flight, 0, sizeof(s->in_flight));
	s->desc = s->driver = s->device = 0;
	s->size = q->max;
	s->vector = UINT16_MAX;
	q->desc = NULL;
	q->broken = NULL;
}

/* One part of the queue, all of it RAM. */
static void *part(const struct virtqueue *q, uint64_t gpa, uint64_t bytes, unsigned align)
{
	return gpa % align ? NULL : guest_at(q->ram, gpa, bytes);
}

/* The chains of q->batch are not in flight any more. One that the page does not name rightly is completed again. */
static void batch_landed(struct virtqueue *q, unsigned n)
{
	for (unsigned i = 0; i < n && i < VIRTIO_QUEUE_SIZE_MAX; i++)
		if (q->batch[i] < q->size)
			in_flight_set(q, q->batch[i], false);
}

/* The last step once more: the instance before may have died behind its store. */
static void redo(struct virtqueue *q)
{
	uint16_t head = (uint16_t)(q->s->log >> 32);
	enum step step = (enum step)(q->s->log >> 48 & 3);

	if (step == STEP_BATCH)
		batch_landed(q, q->batch ? head : 0);
	else if (step != STEP_NONE && head < q->size)
		in_flight_set(q, head, step == STEP_TAKEN);
	if (step == STEP_BATCH) /* q->batch may be another queue's from here on */
		log_store(q, log_avail(q), log_used(q), 0, STEP_NONE);
	__atomic_store_n(&q->used->idx, log_used(q), __ATOMIC_RELEASE);
}

bool vq_attach(struct virtqueue *q, uint64_t features)
{
	const struct virtio_queue_state *s = q->s;
	uint64_t n = s->size;

	q->broken = NULL;
	if (n == 0 || n > q->max || (n & (n - 1)))
		return bad(q, "a queue size that is not offered");
	q->avail = part(q, s->driver, 6 + 2 * n, 2);
	q->used = part(q, s->device, 6 + 8 * n, 4);
	q->desc = part(q, s->desc, 16 * n, 16);
	if (!q->desc || !q->avail || !q->used)
		return bad(q, "a queue outside RAM or not aligned");
	q->size = (uint16_t)n;
	q->event_idx = features & VIRTIO_RING_EVENT_IDX;
	q->indirect = features & VIRTIO_RING_INDIRECT;
	q->signalled = log_used(q);
	redo(q);
	return true;
}

/* ---- chains ---- */

struct walk {
	const volatile struct vring_desc *table;
	unsigned entries, at;
	unsigned left; /* descriptors that the chain may still have: what ends loops */
	bool indirect;
};

/* Into an indirect table; it takes the place of the rest of the chain (2.7.5.3). */
static bool walk_into(struct virtqueue *q, struct walk *w, const struct vring_desc *d)
{
	if (!q->indirect || w->indirect)
		return bad(q, "an indirect descriptor where none may be");
	if ((d->flags & VRING_NEXT) || d->len == 0 || d->len % sizeof(*d) ||
	    d->len / sizeof(*d) > q->max)
		return bad(q, "an indirect table of a wrong form");
	w->table = guest_at(q->ram, d->addr, d->len);
	if (!w->table)
		return bad(q, "an indirect table outside RAM");
	w->entries = (unsigned)(d->len / sizeof(*d));
	w->at = 0;
	w->indirect = true;
	return true;
}

static bool add(struct virtqueue *q, struct vq_chain *c, const struct vring_desc *d)
{
	bool write = d->flags & VRING_WRITE;
	uint32_t *bytes = write ? &c->in_bytes : &c->out_bytes;

	if (!write && c->n_in)
		return bad(q, "a descriptor to read behind one to write");
	if (d->len == 0)
		return bad(q, "an empty descriptor");
	if (!guest_at(q->ram, d->addr, d->len))
		return bad(q, "a descriptor outside RAM");
	if (__builtin_add_overflow(*bytes, d->len, bytes))
		return bad(q, "a chain of 4 GiB or more");
	c->segment[c->n_out + c->n_in] = (struct vq_segment){d->addr, d->len, 0};
	if (write)
		c->n_in++;
	else
		c->n_out++;
	return true;
}

/* One descriptor: copied here and nowhere else. */
static bool step(struct virtqueue *q, struct walk *w, struct vq_chain *c, bool *more)
{
	const volatile struct vring_desc *from = &w->table[w->at];
	struct vring_desc d = {from->addr, from->len, from->flags, from->next};

	if (d.flags & VRING_INDIRECT)
		return walk_into(q, w, &d);
	if (w->left-- == 0)
		return bad(q, "a chain that loops or is too long");
	if (!add(q, c, &d))
		return false;
	*more = d.flags & VRING_NEXT;
	if (*more && d.next >= w->entries)
		return bad(q, "a descriptor outside its table");
	w->at = d.next;
	return true;
}

static bool parse(struct virtqueue *q, uint16_t head, struct vq_chain *c)
{
	struct walk w = {q->desc, q->size, head, q->max, false};
	bool more = true;

	c->head = head;
	c->n_out = c->n_in = 0;
	c->out_bytes = c->in_bytes = 0;
	while (more)
		if (!step(q, &w, c, &more))
			return false;
	return true;
}

bool vq_take(struct virtqueue *q, struct vq_chain *c)
{
	uint16_t avail = log_avail(q), waiting, head;

	if (!q->desc)
		return false;
	/* Pairs with the driver's release of idx: the entries are there. */
	waiting = (uint16_t)(__atomic_load_n(&q->avail->idx, __ATOMIC_ACQUIRE) - avail);
	if (waiting == 0)
		return false;
	if (waiting > q->size)
		return bad(q, "more chains than the queue has places");
	head = q->avail->ring[avail & (q->size - 1)];
	if (head >= q->size || vq_in_flight(q, head))
		return bad(q, "a chain that does not exist or is in flight");
	if (!parse(q, head, c))
		return false;
	log_store(q, (uint16_t)(avail + 1), log_used(q), head, STEP_TAKEN);
	in_flight_set(q, head, true);
	return true;
}

bool vq_retake(struct virtqueue *q, unsigned from, struct vq_chain *c)
{
	for (unsigned head = from; q->desc && head < q->size; head++)
		if (vq_in_flight(q, head))
			return parse(q, (uint16_t)head, c);
	return false;
}

void vq_complete(struct virtqueue *q, uint16_t head, uint32_t written)
{
	uint16_t used = log_used(q);
	volatile struct vring_used_elem *e;

	if (!q->desc)
		return; /* broken meanwhile: the driver hears of the reset it has to do */
	assert(head < q->size && vq_in_flight(q, head));
	e = &q->used->ring[used & (q->size - 1)];
	e->id = head;
	e->len = written;
	used++;
	log_store(q, log_avail(q), used, head, STEP_COMPLETED);
	in_flight_set(q, head, false);
	__atomic_store_n(&q->used->idx, used,
			 __ATOMIC_RELEASE); /* pairs with the driver's acquire */
}

void vq_complete_batch(struct virtqueue *q, const struct vq_done *done, unsigned n)
{
	uint16_t used = log_used(q);

	if (!q->desc || n == 0)
		return;
	assert(n <= q->size);
	for (unsigned i = 0; i < n; i++, used++) {
		volatile struct vring_used_elem *e = &q->used->ring[used & (q->size - 1)];

		assert(done[i].head < q->size && vq_in_flight(q, done[i].head));
		e->id = done[i].head;
		e->len = done[i].written;
		q->batch[i] = done[i].head;
	}
	log_store(q, log_avail(q), used, (uint16_t)n, STEP_BATCH);
	batch_landed(q, n);
	__atomic_store_n(&q->used->idx, used, __ATOMIC_RELEASE);
	log_store(q, log_avail(q), used, 0, STEP_NONE);
}

/* ---- events (2.7.7, 2.7.10) ---- */

bool vq_interrupt(struct virtqueue *q)
{
	uint16_t used = log_used(q), old = q->signalled, event;
	bool forced = q->signal;

	if (!q->desc)
		return false;
	q->signalled = used;
	q->signal = false;
	if (forced)
		return true;
	if (used == old)
		return false;
	/* used->idx before the driver's wish: it writes the wish, then looks at idx. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!q->event_idx)
		return !(q->avail->flags & VRING_AVAIL_NO_INTERRUPT);
	event = q->avail->ring[q->size];
	return (uint16_t)(used - event - 1) < (uint16_t)(used - old);
}

bool vq_listen(struct virtqueue *q)
{
	uint16_t avail = log_avail(q);

	if (!q->desc)
		return false;
	if (q->event_idx)
		*(volatile uint16_t *)&q->used->ring[q->size] = avail;
	else
		q->used->flags = 0;
	/* Our wish before its index: it writes idx, then looks at the wish. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return q->avail->idx != avail;
}

/* ---- copies ---- */

static size_t copy(const struct virtqueue *q, const struct vq_segment *s, unsigned n_segments,
		   size_t offset, uint8_t *buffer, size_t n, bool to_guest)
{
	size_t done = 0;

	for (unsigned i = 0; i < n_segments && done < n; i++) {
		size_t bytes = s[i].bytes;
		uint8_t *at = guest_at(q->ram, s[i].gpa, bytes);

		if (offset >= bytes) {
			offset -= bytes;
			continue;
		}
		bytes = bytes - offset < n - done ? bytes - offset : n - done;
		if (to_guest)
			memcpy(at + offset, buffer + done, bytes);
		else
			memcpy(buffer + done, at + offset, bytes);
		offset = 0;
		done += bytes;
	}
	return done;
}

size_t vq_copy_to(const struct virtqueue *q, const struct vq_chain *c, size_t offset,
		  const void *from, size_t n)
{
	return copy(q, c->segment + c->n_out, c->n_in, offset, (uint8_t *)(uintptr_t)from, n, true);
}

size_t vq_copy_from(const struct virtqueue *q, const struct vq_chain *c, size_t offset, void *to,
		    size_t n)
{
	const struct vq_segment *first = &c->segment[0];

	/* As headers mostly lie: in one piece. */
	if (c->n_out && offset + n <= first->bytes) {
		memcpy(to, (const uint8_t *)guest_at(q->ram, first->gpa, first->bytes) + offset, n);
		return n;
	}
	return copy(q, c->segment, c->n_out, offset, to, n, false);
}
