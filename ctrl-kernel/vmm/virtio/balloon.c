/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-balloon (virtio 1.2, 5.5): pages that the guest gives back, in the balloon (by their numbers) or for as long as it
 * does not need them (reporting), go to the control kernel as ranges in page 0 of the I/O area, one chain at a time:
 *
 *	chain taken ─► ranges that are RAM, asked + 1 ─► done ─► the chain's next part, or completed, and the next chain
 *
 * What leaves the balloon needs nothing: a page is there again when it is touched. What is in flight when this program dies
 * is done again from its beginning.
 *
 * Reporting is queue 4 (5.5.2). Drivers of before 2024, and QEMU, count only the queues of features that are there and call
 * it queue 3; that is the one of free-page hints, which are not offered, so both serve.
 */
#include "ctrl-kernel/vmm/virtio/balloon.h"

#include <string.h>

#include "ctrl-kernel/vmm/io_area.h"

/* 5.5.3 */
#define BALLOON_STATS_VQ (1ull << 1)
#define BALLOON_DEFLATE_ON_OOM (1ull << 2)
#define BALLOON_REPORTING (1ull << 5)

enum queue { INFLATE = 0, DEFLATE = 1, STATS = 2, REPORT_AS_3 = 3, REPORT = 4, QUEUES = 5 };

#define QUEUE_SIZE 32u    /* Linux reports 32 ranges in a chain, or does not report */
#define PFNS_MAX 16384u   /* of a chain that are looked at; Linux has 256 */
#define PFNS_AT_ONCE 256u /* each may be a range of its own */
#define STATS_NS 5000000000ull
#define PAGE HV_PAGE_SIZE

struct balloon_config { /* 5.5.4 */
	uint32_t num_pages, actual;
};

struct stat { /* 5.5.6.3 */
	uint16_t tag;
	uint64_t value;
} __attribute__((packed));

static struct {
	struct io_balloon *shared; /* [borrows] */
	uint32_t seen;             /* config->balloon_changes */
	bool busy;                 /* `chain` is in flight, from queue `queue` */
	unsigned queue;
	uint32_t at; /* in the chain: page numbers, or segments */
	struct vq_chain chain;
	bool has_stats; /* a buffer waits for the time to ask again; in flight */
	uint16_t stats_head;
	struct loop_timer timer;
} b;

_Static_assert(PFNS_AT_ONCE <= IO_BALLOON_RANGES && QUEUE_SIZE <= IO_BALLOON_RANGES, "room");

static bool under_way(void)
{
	return b.shared->asked != __atomic_load_n(&b.shared->done, __ATOMIC_ACQUIRE);
}

static void ask(unsigned n)
{
	b.shared->n = n;
	__atomic_store_n(&b.shared->asked, b.shared->asked + 1, __ATOMIC_RELEASE);
	vm_io_tell();
}

/* ---- ranges of a chain, from b.at on -> how many; 0: there are no more ---- */

/* A page joins the last range if it is its neighbour: Linux gives them back in falling order, too. */
static unsigned add_page(unsigned n, uint64_t page)
{
	uint64_t *last = n ? &b.shared->range[n - 1] : NULL;
	uint64_t first = last ? HV_RANGE_PAGE(*last) : 0, pages = last ? HV_RANGE_PAGES(*last) : 0;

	if (last && page == first + pages) {
		*last = HV_RANGE(first, pages + 1);
	} else if (last && page + 1 == first) {
		*last = HV_RANGE(page, pages + 1);
	} else {
		b.shared->range[n++] = HV_RANGE(page, 1);
	}
	return n;
}

static unsigned pages_listed(struct virtio_device *d)
{
	static uint32_t pfn[PFNS_AT_ONCE];
	uint32_t all = b.chain.out_bytes / (uint32_t)sizeof(pfn[0]);
	unsigned n = 0;

	if (all > PFNS_MAX)
		all = PFNS_MAX;
	while (n == 0 && b.at < all) {
		uint32_t count = all - b.at < PFNS_AT_ONCE ? all - b.at : PFNS_AT_ONCE;

		(void)vq_copy_from(&d->queue[INFLATE], &b.chain, b.at * sizeof(pfn[0]), pfn,
				   count * sizeof(pfn[0]));
		for (uint32_t i = 0; i < count; i++)
			if (guest_at(d->vm->ram, (uint64_t)pfn[i] * PAGE, PAGE))
				n = add_page(n, pfn[i]);
		b.at += count;
	}
	return n;
}

/* Whole pages inside of the segments, which were checked to be RAM. */
static unsigned ranges_reported(void)
{
	unsigned n = 0;

	for (; b.at < b.chain.n_in; b.at++) {
		const struct vq_segment *s = &b.chain.segment[b.chain.n_out + b.at];
		uint64_t first = (s->gpa + PAGE - 1) / PAGE, end = (s->gpa + s->bytes) / PAGE;

		if (first < end)
			b.shared->range[n++] = HV_RANGE(first, end - first);
	}
	return n;
}

/* ---- chains, one after the other ---- */

static bool next_of(struct virtio_device *d, unsigned queue)
{
	struct virtqueue *q = &d->queue[queue];

	return q->desc && (virtio_take(d, queue, &b.chain) ||
			   (q->desc && vq_listen(q) && virtio_take(d, queue, &b.chain)));
}

static bool next_chain(struct virtio_device *d)
{
	static const uint8_t queues[] = {INFLATE, REPORT_AS_3, REPORT};

	for (unsigned i = 0; i < ARRAY_SIZE(queues); i++) {
		if (!next_of(d, queues[i]))
			continue;
		b.busy = true;
		b.queue = queues[i];
		b.at = 0;
		return true;
	}
	return false;
}

/* True: not all was looked at, come again. */
static bool go_on(struct virtio_device *d)
{
	for (unsigned turn = 0; turn < VIRTIO_TURN; turn++) {
		unsigned n;

		if (under_way() || (!b.busy && !next_chain(d)))
			return false;
		n = b.queue == INFLATE ? pages_listed(d) : ranges_reported();
		if (n) {
			ask(n);
			return false;
		}
		b.busy = false;
		virtio_complete(d, b.queue, b.chain.head, 0);
		virtio_signal(d, b.queue);
	}
	return true;
}

/* ---- what the guest says of its memory ---- */

static void stats_take(struct virtio_device *d, unsigned queue, const struct vq_chain *c)
{
	struct stat stat[2 * IO_BALLOON_STATS];
	size_t n = vq_copy_from(&d->queue[STATS], c, 0, stat, sizeof(stat)) / sizeof(stat[0]);

	for (unsigned i = 0; i < IO_BALLOON_STATS; i++)
		b.shared->stats[i] = IO_BALLOON_UNKNOWN;
	for (size_t i = 0; i < n; i++)
		if (stat[i].tag < IO_BALLOON_STATS)
			b.shared->stats[stat[i].tag] = stat[i].value;
	b.shared->stats_ns = rt_now();
	if (b.has_stats) /* one is enough */
		virtio_complete(d, queue, b.stats_head, 0);
	b.has_stats = true;
	b.stats_head = c->head;
	loop_timer_set(&b.timer, STATS_NS);
}

/* The buffer goes back, and comes again with what is true then. */
static void stats_ask(void *ctx)
{
	struct virtio_device *d = ctx;

	if (!b.has_stats || d->vm->quiet || !virtio_live(d)) {
		if (b.has_stats)
			loop_timer_set(&b.timer, STATS_NS);
		return;
	}
	b.has_stats = false;
	virtio_complete(d, STATS, b.stats_head, 0);
	virtio_signal(d, STATS);
}

/* ---- the device ---- */

static void config_read(struct virtio_device *d, unsigned offset, void *to, unsigned n)
{
	struct balloon_config c = {.num_pages = d->vm->config->balloon_pages,
				   .actual = (uint32_t)d->vm->state->balloon_actual};

	memcpy(to, (const char *)&c + offset, n);
}

static void actual_set(struct virtio_device *d, uint32_t actual)
{
	d->vm->state->balloon_actual = actual;
	b.shared->actual = actual;
}

/* The driver writes `actual`, and may write nothing else (5.5.4). */
static void config_write(struct virtio_device *d, unsigned offset, const void *from, unsigned n)
{
	struct balloon_config c = {.actual = (uint32_t)d->vm->state->balloon_actual};

	memcpy((char *)&c + offset, from, n);
	actual_set(d, c.actual);
}

static void deflated(struct virtio_device *d, unsigned queue, const struct vq_chain *c)
{
	virtio_complete(d, queue, c->head, 0);
}

static bool notify(struct virtio_device *d, unsigned queue)
{
	if (queue == DEFLATE)
		return virtio_serve(d, queue, deflated);
	if (queue == STATS)
		return virtio_serve(d, queue, stats_take);
	return go_on(d);
}

/* There is never more than one but of the stats; what is none of ours is left undone, which is allowed. */
static void again(struct virtio_device *d, unsigned queue, const struct vq_chain *c)
{
	if (queue == STATS) {
		stats_take(d, queue, c);
	} else if (queue == DEFLATE || b.busy) {
		virtio_complete(d, queue, c->head, 0);
	} else {
		b.chain = *c;
		b.busy = true;
		b.queue = queue;
		b.at = 0;
	}
}

/* Not before the last request is done: after a reset the guest uses its pages. */
static bool reset(struct virtio_device *d)
{
	loop_timer_cancel(&b.timer);
	b.busy = b.has_stats = false;
	actual_set(d, 0);
	return !under_way();
}

static void io(struct virtio_device *d)
{
	uint32_t changes = __atomic_load_n(&d->vm->config->balloon_changes, __ATOMIC_ACQUIRE);

	if (virtio_is_resetting(d)) {
		if (!under_way())
			virtio_reset_done(d);
		return;
	}
	if (changes != b.seen) {
		b.seen = changes;
		virtio_config_changed(d);
	}
	if (b.busy && !under_way() && virtio_live(d))
		virtio_notify(d, b.queue);
}

static void attach(struct virtio_device *d)
{
	b.shared = vm_io_page(0);
	b.shared->actual = (uint32_t)d->vm->state->balloon_actual;
	b.seen = d->vm->config->balloon_changes;
	b.busy = b.has_stats = false;
	loop_timer_init(&b.timer, stats_ask, d);
}

const struct virtio_device_ops balloon_ops = {
	.name = "balloon",
	.type = 5,
	.class = 0x00ff00, /* unclassified */
	.n_queues = QUEUES,
	.queue_size = QUEUE_SIZE,
	.features = BALLOON_STATS_VQ | BALLOON_DEFLATE_ON_OOM | BALLOON_REPORTING,
	.config_bytes = sizeof(struct balloon_config),
	.attach = attach,
	.config_read = config_read,
	.config_write = config_write,
	.notify = notify,
	.again = again,
	.reset = reset,
	.io = io,
};
