/* SPDX-License-Identifier: BSD-2-Clause */
/* See io.h. */
#include "ctrl-kernel/vmm/virtio/io.h"

void io_attach(struct io *io, uint32_t page, unsigned entries, unsigned record_bytes)
{
	struct io_queue *shared = vm_io_page(page);

	*io = (struct io){
		.shared = shared,
		.entries = entries,
		.record_bytes = record_bytes,
		.max_segs = (record_bytes - (unsigned)sizeof(struct io_record)) /
			    (unsigned)sizeof(struct io_seg),
		.order_seen = __atomic_load_n(&shared->order_tail, __ATOMIC_ACQUIRE),
		.asked_tail = __atomic_load_n(&shared->asked_tail, __ATOMIC_RELAXED),
	};
	for (unsigned w = 0; w < IO_WORDS; w++)
		io->submitted[w] = __atomic_load_n(&shared->submitted[w], __ATOMIC_RELAXED);
	__atomic_store_n(&shared->cancel, 0, __ATOMIC_RELEASE); /* a reset cut off begins again */
}

struct io_record *io_record_of(struct io *io, unsigned head)
{
	return io_record(io->shared, head, io->record_bytes);
}

bool io_record_segs(struct io *io, struct io_record *r, const struct vq_chain *c, bool in,
		    uint32_t skip, uint32_t bytes)
{
	unsigned at = in ? c->n_out : 0, end = in ? c->n_out + c->n_in : c->n_out, n = 0;

	r->bytes = 0;
	for (; at < end && bytes; at++) {
		const struct vq_segment *s = &c->segment[at];
		uint32_t len = s->bytes;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		if (n == io->max_segs)
			return false;
		len -= skip;
		if (len > bytes)
			len = bytes;
		r->seg[n++] = (struct io_seg){.gpa = s->gpa + skip, .bytes = len};
		r->bytes += len;
		bytes -= len;
		skip = 0;
	}
	r->n_segs = n;
	return true;
}

static void wait_for(struct io *io, unsigned head)
{
	io->waiting[head / 64] |= 1ull << head % 64;
}

void io_submit(struct io *io, unsigned head)
{
	unsigned w = head / 64;

	wait_for(io, head);
	io->submitted[w] ^= 1ull << head % 64;
	__atomic_store_n(&io->shared->submitted[w], io->submitted[w], __ATOMIC_RELEASE);
	io->shared->asked[io->asked_tail++ % IO_ENTRIES_MAX] = (uint16_t)head;
	__atomic_store_n(&io->shared->asked_tail, io->asked_tail, __ATOMIC_RELEASE);
}

bool io_is_watched(const struct io *io)
{
	/* What was submitted before the look: the control kernel takes its word back, then looks at `submitted`. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&io->shared->watched, __ATOMIC_ACQUIRE) != 0;
}

static bool differs(const struct io *io, unsigned head)
{
	uint64_t done = __atomic_load_n(&io->shared->done[head / 64], __ATOMIC_ACQUIRE);

	return (done ^ io->submitted[head / 64]) >> head % 64 & 1;
}

bool io_resume(struct io *io, unsigned head)
{
	if (!differs(io, head))
		return false;
	wait_for(io, head);
	return true;
}

bool io_under_way(const struct io *io, unsigned head)
{
	return io->waiting[head / 64] >> head % 64 & 1;
}

static bool finished(struct io *io, unsigned head, uint32_t *result)
{
	if (!io_under_way(io, head) || differs(io, head))
		return false;
	*result = io->shared->result[head];
	io->waiting[head / 64] &= ~(1ull << head % 64);
	return true;
}

bool io_done(struct io *io, unsigned *head, uint32_t *result)
{
	uint32_t tail = __atomic_load_n(&io->shared->order_tail, __ATOMIC_ACQUIRE);

	if (tail - io->order_seen > IO_ENTRIES_MAX)
		io->order_seen = tail - IO_ENTRIES_MAX; /* another instance told of all again */
	while (io->order_seen != tail) {
		*head = io->shared->order[io->order_seen++ % IO_ENTRIES_MAX] % io->entries;
		if (finished(io, *head, result))
			return true;
	}
	return false;
}

/* What an instance before had submitted counts, too. */
bool io_stop(struct io *io)
{
	bool none = true;

	for (unsigned w = 0; w < IO_WORDS; w++)
		io->waiting[w] = 0; /* what has come back already is nobody's */
	for (unsigned head = 0; head < io->entries; head++)
		if (io_resume(io, head))
			none = false;
	__atomic_store_n(&io->shared->cancel, !none, __ATOMIC_RELEASE);
	return none;
}
