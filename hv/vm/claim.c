/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ranges a vmm claimed: a small sorted table for ports and one for memory. Written rarely under the VM's lock, read on the exit path without one:
 *
 *   writer: seq odd (release) ... change ... seq even (release)
 *   reader: seq even? (acquire) ... search ... seq still the same? else again
 *
 * A reader that began before a change may still act on the old table; a vmm that gave up a range answers such a late
 * access with all ones. Compiled on the host too.
 */
#include "hv/vm/vm.h"

/* The number of claims with base <= addr. */
static inline uint32_t upper_bound(const struct claim_table *t, uint64_t addr)
{
	uint32_t lo = 0, n = t->n;

	while (n) {
		uint32_t half = n / 2;

		if (t->base[lo + half] <= addr) {
			lo += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return lo;
}

static void write_begin(struct claim_table *t)
{
	__atomic_store_n(&t->seq, t->seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void write_end(struct claim_table *t)
{
	__atomic_store_n(&t->seq, t->seq + 1, __ATOMIC_RELEASE);
}

static void move(struct claim_table *t, uint32_t to, uint32_t from)
{
	t->base[to] = t->base[from];
	t->end[to] = t->end[from];
	t->what[to] = t->what[from];
}

int claim_add(struct claim_table *t, uint64_t base, uint64_t end, uint16_t what)
{
	uint32_t at = upper_bound(t, base);

	if ((at && t->end[at - 1] > base) || (at < t->n && t->base[at] < end))
		return -HVE_EXIST;
	if (t->n == HV_CLAIMS_MAX)
		return -HVE_LIMIT;
	write_begin(t);
	for (uint32_t i = t->n; i > at; i--)
		move(t, i, i - 1);
	t->base[at] = base;
	t->end[at] = end;
	t->what[at] = what;
	t->n++;
	write_end(t);
	return 0;
}

int claim_remove(struct claim_table *t, uint64_t base, uint64_t end)
{
	uint32_t at = upper_bound(t, base) - 1; /* wraps when there is none */

	if (at >= t->n || t->base[at] != base || t->end[at] != end)
		return -HVE_NOENT;
	write_begin(t);
	t->n--;
	for (uint32_t i = at; i < t->n; i++)
		move(t, i, i + 1);
	write_end(t);
	return 0;
}

/* addr + width cannot wrap: addresses have at most 52 bits. */
static bool covers(const struct claim_table *t, uint32_t at, uint64_t addr, uint64_t width)
{
	return t->base[at] <= addr && addr + width <= t->end[at];
}

static __attribute__((noinline)) int find_anew(const struct claim_table *t, uint64_t addr,
					       uint64_t width, uint32_t *hint)
{
	uint32_t seq, at;
	int found;

	do {
		seq = __atomic_load_n(&t->seq, __ATOMIC_ACQUIRE) & ~1u;
		at = upper_bound(t, addr) - 1;
		found = at < HV_CLAIMS_MAX && covers(t, at, addr, width) ? t->what[at] : -1;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (UNLIKELY(__atomic_load_n(&t->seq, __ATOMIC_RELAXED) != seq));
	if (found >= 0)
		*hint = at;
	return found;
}

int claim_find(const struct claim_table *t, uint64_t addr, uint64_t width, uint32_t *hint)
{
	uint32_t seq = __atomic_load_n(&t->seq, __ATOMIC_ACQUIRE) & ~1u, at = *hint;
	int found;

	if (LIKELY(at < t->n && covers(t, at, addr, width))) {
		found = t->what[at];
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (LIKELY(__atomic_load_n(&t->seq, __ATOMIC_RELAXED) == seq))
			return found;
	}
	return find_anew(t, addr, width, hint);
}
