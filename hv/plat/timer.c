/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One-shot timers: a pairing heap for each CPU. The local APIC is set for the earliest deadline; a timer that goes
 * away leaves the APIC as it is (a needless interrupt is cheaper than the write, and guests re-arm all the time).
 *
 * A callback runs without the queue's lock. timer_cancel waits for it on other CPUs, so do not cancel while holding
 * a lock that the callback takes. arm and cancel of one timer are serialised by its owner.
 */
#include "hv/cpu/cpu.h"
#include "hv/lib/log.h"
#include "hv/lib/spinlock.h"
#include "hv/plat/plat.h"
#include "hv/plat/timer_inner.h"

static struct ALIGNED(64) queue {
	struct spinlock lock;
	struct timer *root;    /* [L:lock] */
	struct timer *running; /* [a] its callback runs now */
	uint64_t programmed;   /* [L:lock] what the APIC is set for; UINT64_MAX: nothing */
} queues[HV_CPUS_MAX];

/* ---- pairing heap; child: first of the list of children, prev: left sibling, or the parent of the first ---- */

static struct timer *meld(struct timer *a, struct timer *b)
{
	struct timer *t;

	if (a == NULL)
		return b;
	if (b == NULL)
		return a;
	if (b->deadline < a->deadline) {
		t = a;
		a = b;
		b = t;
	}
	b->prev = a;
	b->sibling = a->child;
	if (a->child != NULL)
		a->child->prev = b;
	a->child = b;
	a->sibling = NULL;
	a->prev = NULL;
	return a;
}

/* The children of a removed node become one heap: pairs left to right, then all together right to left. */
static struct timer *meld_children(struct timer *first)
{
	struct timer *pairs = NULL;
	struct timer *heap = NULL;

	while (first != NULL) {
		struct timer *a = first;
		struct timer *b = a->sibling;

		first = b != NULL ? b->sibling : NULL;
		a = meld(a, b); /* with b == NULL this is a, whose sibling was NULL */
		a->sibling = pairs;
		pairs = a;
	}
	while (pairs != NULL) {
		struct timer *next = pairs->sibling;

		pairs->sibling = NULL;
		pairs->prev = NULL;
		heap = meld(heap, pairs);
		pairs = next;
	}
	return heap;
}

static void heap_remove(struct queue *q, struct timer *t)
{
	struct timer *rest = meld_children(t->child);

	if (t == q->root) {
		q->root = rest;
	} else {
		if (t->prev->child == t)
			t->prev->child = t->sibling;
		else
			t->prev->sibling = t->sibling;
		if (t->sibling != NULL)
			t->sibling->prev = t->prev;
		q->root = meld(q->root, rest);
	}
	t->child = t->sibling = t->prev = NULL;
	__atomic_store_n(&t->cpu, -1, __ATOMIC_RELEASE);
}

/* ---- queues ---- */

static void program(struct queue *q)
{
	q->programmed = q->root != NULL ? q->root->deadline : UINT64_MAX;
	if (q->root != NULL)
		lapic_timer_set(q->programmed);
}

void timer_init_cpu(void)
{
	queues[this_cpu()->index].programmed = UINT64_MAX;
}

void timer_init(struct timer *t, void (*fire)(struct timer *))
{
	*t = (struct timer){.fire = fire, .cpu = -1};
}

/* Takes t out of whatever queue holds it. */
static void detach(struct timer *t)
{
	for (;;) {
		int cpu = __atomic_load_n(&t->cpu, __ATOMIC_ACQUIRE);
		struct queue *q;
		bool same;

		if (cpu < 0)
			return;
		q = &queues[cpu];
		spin_lock(&q->lock);
		same = t->cpu == cpu;
		if (same)
			heap_remove(q, t);
		spin_unlock(&q->lock);
		if (same)
			return;
	}
}

static void insert(struct queue *q, struct timer *t, uint64_t deadline_ns, int cpu)
{
	t->deadline = deadline_ns;
	t->cpu = cpu;
	q->root = meld(q->root, t);
	/* From inside a callback: timer_interrupt programs when it is through. */
	if (q->root->deadline < q->programmed && q->running == NULL)
		program(q);
}

void timer_arm(struct timer *t, uint64_t deadline_ns)
{
	unsigned me = this_cpu()->index;
	struct queue *q = &queues[me];

	if (t->cpu >= 0 && t->cpu != (int)me)
		detach(t);
	spin_lock(&q->lock);
	if (t->cpu >= 0)
		heap_remove(q, t);
	insert(q, t, deadline_ns, (int)me);
	spin_unlock(&q->lock);
}

bool timer_try_arm(struct timer *t, uint64_t deadline_ns)
{
	unsigned me = this_cpu()->index;

	if (!spin_trylock(&queues[me].lock))
		return false;
	insert(&queues[me], t, deadline_ns, (int)me);
	spin_unlock(&queues[me].lock);
	return true;
}

void timer_cancel(struct timer *t)
{
	unsigned me = this_cpu()->index;

	detach(t);
	for (unsigned i = 0; i < n_cpus; i++)
		while (i != me && __atomic_load_n(&queues[i].running, __ATOMIC_ACQUIRE) == t)
			__builtin_ia32_pause();
}

/* VEC_TIMER. Callbacks may arm timers for at once; a round is bounded so that they cannot hold the CPU for ever. */
#define ROUND_MAX 64u

void timer_interrupt(void)
{
	struct queue *q = &queues[this_cpu()->index];
	uint64_t now = time_now();

	spin_lock(&q->lock);
	for (unsigned i = 0; i < ROUND_MAX; i++) {
		struct timer *t = q->root;

		if (t == NULL || t->deadline > now)
			break;
		__atomic_store_n(&q->running, t,
				 __ATOMIC_RELEASE); /* before cpu = -1: timer_cancel */
		heap_remove(q, t);
		spin_unlock(&q->lock);
		t->fire(t);
		__atomic_store_n(&q->running, NULL, __ATOMIC_RELEASE);
		spin_lock(&q->lock);
	}
	program(q);
	spin_unlock(&q->lock);
}
