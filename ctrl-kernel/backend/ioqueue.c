/* SPDX-License-Identifier: BSD-2-Clause */
/* See ioqueue.h. */
#include "ctrl-kernel/backend/ioqueue.h"

#include <string.h>

#define FORM_WRONG UINT32_MAX

static void tell_order(struct ioqueue *q, unsigned i)
{
	q->shared->order[q->order_tail++ % IO_ENTRIES_MAX] = (uint16_t)i;
	__atomic_store_n(&q->shared->order_tail, q->order_tail, __ATOMIC_RELEASE);
}

/* What the instance before finished it may not have come to tell of: so all that is finished is told of again. Whoever has
 * seen it takes no notice. */
void ioqueue_attach(struct ioqueue *q, struct io_queue *shared, unsigned entries,
		    unsigned record_bytes)
{
	*q = (struct ioqueue){
		.shared = shared,
		.entries = entries,
		.record_bytes = record_bytes,
		.max_segs = (record_bytes - (unsigned)sizeof(struct io_record)) /
			    (unsigned)sizeof(struct io_seg),
		.order_tail = __atomic_load_n(&shared->order_tail, __ATOMIC_RELAXED),
		.asked_seen = __atomic_load_n(&shared->asked_tail, __ATOMIC_RELAXED),
		.frames = shared->frames,
	};
	for (unsigned w = 0; w < IO_WORDS; w++)
		q->done[w] = __atomic_load_n(&shared->done[w], __ATOMIC_RELAXED);
	q->any_left = true;
	for (unsigned i = 0; i < entries; i++) {
		uint64_t word = __atomic_load_n(&shared->submitted[i / 64], __ATOMIC_ACQUIRE);

		if ((word ^ q->done[i / 64]) >> i % 64 & 1)
			q->left[i / 64] |= 1ull << i % 64;
		else
			tell_order(q, i);
	}
}

/* Of the copy. */
static bool form_ok(const struct ioqueue *q, const struct io_request *r)
{
	uint64_t sum = 0;

	if (r->record.n_segs > q->max_segs)
		return false;
	for (unsigned i = 0; i < r->record.n_segs; i++) {
		if (r->seg[i].bytes == 0)
			return false;
		sum += r->seg[i].bytes;
	}
	return r->record.n_segs == 0 || sum == r->record.bytes;
}

static void copy(struct ioqueue *q, unsigned i, struct io_request *out)
{
	const struct io_record *from = io_record(q->shared, i, q->record_bytes);

	memcpy(&out->record, from, sizeof(out->record));
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* n_segs is that of the copy from here on */
	if (out->record.n_segs <= q->max_segs)
		memcpy(out->seg, from->seg, out->record.n_segs * sizeof(out->seg[0]));
	if (!form_ok(q, out))
		out->record.n_segs = FORM_WRONG;
}

static void take(struct ioqueue *q, unsigned i, struct io_request *out)
{
	q->under_way[i / 64] |= 1ull << i % 64;
	q->n_under_way++;
	copy(q, i, out);
}

bool ioqueue_take(struct ioqueue *q, unsigned *from, unsigned *i, struct io_request *out)
{
	for (unsigned w = *from / 64; w < q->entries / 64; w++) {
		uint64_t word = __atomic_load_n(&q->shared->submitted[w], __ATOMIC_ACQUIRE);

		word = (word ^ q->done[w]) & ~q->under_way[w];
		if (w == *from / 64)
			word &= ~0ull << *from % 64;
		if (!word)
			continue;
		*i = w * 64 + (unsigned)__builtin_ctzll(word);
		*from = *i + 1;
		take(q, *i, out);
		return true;
	}
	return false;
}

static bool waits(const struct ioqueue *q, unsigned i)
{
	uint64_t word = __atomic_load_n(&q->shared->submitted[i / 64], __ATOMIC_ACQUIRE);

	return ((word ^ q->done[i / 64]) & ~q->under_way[i / 64]) >> i % 64 & 1;
}

static bool left_next(struct ioqueue *q, unsigned *i)
{
	for (unsigned w = 0; q->any_left && w < IO_WORDS; w++) {
		while (q->left[w]) {
			*i = w * 64 + (unsigned)__builtin_ctzll(q->left[w]);
			q->left[w] &= q->left[w] - 1;
			if (waits(q, *i))
				return true;
		}
	}
	q->any_left = false;
	return false;
}

bool ioqueue_waits(const struct ioqueue *q)
{
	for (unsigned w = 0; w < q->entries / 64; w++)
		if ((__atomic_load_n(&q->shared->submitted[w], __ATOMIC_ACQUIRE) ^ q->done[w]) &
		    ~q->under_way[w])
			return true;
	return false;
}

/* `asked` lags behind `submitted`, and after a death it may say less or more than there is: what it does not name is
 * found by number. */
bool ioqueue_next(struct ioqueue *q, unsigned *i, struct io_request *out)
{
	uint32_t tail = __atomic_load_n(&q->shared->asked_tail, __ATOMIC_ACQUIRE);
	unsigned from = 0;

	if (left_next(q, i)) {
		take(q, *i, out);
		return true;
	}
	if (tail - q->asked_seen > IO_ENTRIES_MAX)
		q->asked_seen = tail - IO_ENTRIES_MAX;
	while (q->asked_seen != tail) {
		*i = q->shared->asked[q->asked_seen++ % IO_ENTRIES_MAX] % q->entries;
		if (waits(q, *i)) {
			take(q, *i, out);
			return true;
		}
	}
	return ioqueue_waits(q) && ioqueue_take(q, &from, i, out);
}

void ioqueue_untake(struct ioqueue *q, unsigned i)
{
	q->under_way[i / 64] &= ~(1ull << i % 64);
	q->n_under_way--;
	q->left[i / 64] |= 1ull << i % 64; /* `asked` names it no more */
	q->any_left = true;
}

void ioqueue_finish(struct ioqueue *q, unsigned i, uint32_t result)
{
	unsigned w = i / 64;
	uint64_t bit = 1ull << i % 64;

	q->shared->result[i] = result;
	q->under_way[w] &= ~bit;
	q->n_under_way--;
	q->done[w] ^= bit;
	__atomic_store_n(&q->shared->done[w], q->done[w], __ATOMIC_RELEASE);
	tell_order(q, i);
}

bool ioqueue_cancelled(const struct ioqueue *q)
{
	return __atomic_load_n(&q->shared->cancel, __ATOMIC_ACQUIRE) != 0;
}

uint32_t ioqueue_mode(const struct ioqueue *q)
{
	return __atomic_load_n(&q->shared->mode, __ATOMIC_ACQUIRE);
}

uint32_t ioqueue_frame(struct ioqueue *q)
{
	uint32_t number = q->frames++;

	/* Before any of its buffers: so the next instance begins with another. */
	__atomic_store_n(&q->shared->frames, q->frames, __ATOMIC_RELEASE);
	return number;
}

void ioqueue_watch(struct ioqueue *q, bool on)
{
	__atomic_store_n(&q->shared->watched, on, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with io_is_watched() */
}
