/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queues and placement: who runs where and next. Each CPU has a list ordered by virtual time (real time divided by
 * weight); the first runs for a slice. A waking entity goes to its last CPU if that is idle, else to any idle CPU,
 * else waits on its last; it may start a little behind the others, never far. A CPU that runs alone has no tick.
 */
#include "hv/sched/queue.h"

struct runq runqs[HV_CPUS_MAX];
uint64_t sched_idle_mask;

static bool before(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0;
}

static uint64_t weighted(const struct sched_ent *e, uint64_t ns)
{
	return (uint64_t)(((unsigned __int128)ns * e->vscale) >> 20);
}

/* The compiler is not to work out the address anew at each use. */
static inline struct runq *queue_of_cpu(unsigned cpu)
{
	struct runq *q = &runqs[cpu];

	__asm__("" : "+r"(q));
	return q;
}

static void kick_cpu(unsigned cpu)
{
	__atomic_store_n(&cpus[cpu]->need_resched, true, __ATOMIC_RELEASE);
	if (cpu != this_cpu()->index)
		ipi_send(cpu, VEC_KICK);
}

/* ---- the list; queue lock held ---- */

static void list_insert(struct runq *q, struct sched_ent *e)
{
	struct sched_ent *after = q->last;

	while (after && before(e->vtime, after->vtime))
		after = after->prev;
	e->prev = after;
	e->next = after ? after->next : q->first;
	*(e->next ? &e->next->prev : &q->last) = e;
	*(after ? &after->next : &q->first) = e;
	__atomic_store_n(&q->n, q->n + 1, __ATOMIC_RELAXED);
}

static void list_remove(struct runq *q, struct sched_ent *e)
{
	*(e->prev ? &e->prev->next : &q->first) = e->next;
	*(e->next ? &e->next->prev : &q->last) = e->prev;
	__atomic_store_n(&q->n, q->n - 1, __ATOMIC_RELAXED);
}

static void enqueue(struct runq *q, struct sched_ent *e)
{
	e->queued = true;
	q->load += e->weight;
	list_insert(q, e);
}

static void unlink(struct runq *q, struct sched_ent *e)
{
	e->queued = false;
	if (q->hint == e)
		q->hint = NULL;
	else
		list_remove(q, e);
}

/* Runs next; an earlier candidate goes back into the line. */
static void enqueue_hint(struct runq *q, struct sched_ent *e)
{
	if (q->hint)
		list_insert(q, q->hint);
	e->queued = true;
	q->load += e->weight;
	q->hint = e;
}

static void dequeue(struct runq *q, struct sched_ent *e)
{
	q->load -= e->weight;
	unlink(q, e);
}

/* ---- locks ---- */

static inline struct runq *lock_queue_of(struct sched_ent *e)
{
	for (;;) {
		unsigned cpu = __atomic_load_n(&e->cpu, __ATOMIC_RELAXED);
		struct runq *q = queue_of_cpu(cpu);

		spin_lock(&q->lock);
		if (LIKELY(e->cpu == cpu))
			return q;
		spin_unlock(&q->lock);
	}
}

static void lock_both(struct runq *a, struct runq *b)
{
	spin_lock(a < b ? &a->lock : &b->lock);
	spin_lock(a < b ? &b->lock : &a->lock);
}

/* Moves an entity that is neither queued nor running; both locks held. Virtual time counts from the queue's. */
static void rehome(struct sched_ent *e, struct runq *from, struct runq *to)
{
	e->vtime = e->vtime - from->min_vtime + to->min_vtime;
	__atomic_store_n(&e->cpu, (unsigned)(to - runqs), __ATOMIC_RELAXED);
}

/* Holding e's queue lock, go on with that of `to`, e moved there. False: it changed meanwhile; no lock held. */
static bool relock_to(struct sched_ent *e, struct runq *from, struct runq *to)
{
	spin_unlock(&from->lock);
	lock_both(from, to);
	if (&runqs[e->cpu] != from || e->blocked || e->queued || e->running) {
		spin_unlock(&from->lock);
		spin_unlock(&to->lock);
		return false;
	}
	rehome(e, from, to);
	spin_unlock(&from->lock);
	return true;
}

/* ---- waking ---- */

/* Its FPU state may still be in the registers of the CPU where it handed over: then only that CPU can run it. */
static bool tied(const struct sched_ent *e)
{
	return e->fpu && __atomic_load_n(&e->fpu->cpu, __ATOMIC_ACQUIRE) == (int)e->cpu;
}

static unsigned place(const struct sched_ent *e)
{
	uint64_t idle = __atomic_load_n(&sched_idle_mask, __ATOMIC_RELAXED);

	if (LIKELY(!idle) || (idle >> e->cpu & 1) || tied(e))
		return e->cpu;
	return (unsigned)__builtin_ctzll(idle);
}

static void clear_idle(struct runq *q)
{
	q->idle = false;
	__atomic_fetch_and(&sched_idle_mask, ~(1ull << (q - runqs)), __ATOMIC_RELAXED);
}

/* Where the running one stands now; the first in line where none runs. */
static uint64_t vtime_now(const struct runq *q, uint64_t now)
{
	const struct sched_ent *cur = cpus[q - runqs]->current;

	if (!cur)
		return q->first ? q->first->vtime : q->min_vtime;
	return cur->vtime + (now > cur->started_ns ? weighted(cur, now - cur->started_ns) : 0);
}

static void advance_min(struct runq *q, uint64_t vtime)
{
	if (q->first && before(q->first->vtime, vtime))
		vtime = q->first->vtime;
	if (before(q->min_vtime, vtime))
		q->min_vtime = vtime;
}

/* A sleeper's vtime stood still: it may be behind by its credit, not by all the time it slept. */
static void limit_credit(const struct runq *q, struct sched_ent *e)
{
	uint32_t credit = e->ops->credit_ns ? e->ops->credit_ns : SCHED_CREDIT_NS;

	if (before(e->vtime, q->min_vtime - credit))
		e->vtime = q->min_vtime - credit;
}

/* Only its own CPU arms a queue's slice. */
static void tick_on(struct runq *q, uint64_t deadline)
{
	q->ticking = true;
	timer_arm(&q->slice, deadline);
}

static void tick_by(struct runq *q, uint64_t deadline)
{
	if (!q->ticking || deadline < q->slice.deadline)
		tick_on(q, deadline);
}

/* e was put on q, where the running one stands at vtime: its CPU must notice. */
static void notify_queue(struct runq *q, const struct sched_ent *e, uint64_t now, uint64_t vtime,
			 uint32_t patience_ns)
{
	unsigned cpu = (unsigned)(q - runqs);

	if (q->idle) {
		clear_idle(q);
		kick_cpu(cpu);
		return;
	}
	if (patience_ns && cpu == this_cpu()->index && cpus[cpu]->current)
		tick_by(q, now + patience_ns);
	else if (!cpus[cpu]->current || before(e->vtime + SCHED_PREEMPT_NS, vtime))
		kick_cpu(cpu);
	else if (!q->ticking && cpu == this_cpu()->index)
		tick_on(q, now + SCHED_SLICE_NS);
	else if (!q->ticking)
		kick_cpu(cpu); /* it arms its slice in sched_switch */
}

/* The one who handed this CPU over is ready again: it follows the current entity, which is about to wait. */
static bool hand_back(struct runq *q, struct sched_ent *e)
{
	if (q->donor != e || q->hint || q != &runqs[this_cpu()->index])
		return false;
	q->donor = NULL;
	enqueue_hint(q, e);
	if (!q->ticking)
		tick_on(q, time_now() + SCHED_SLICE_NS);
	return true;
}

void sched_unblock_soon(struct sched_ent *e, uint32_t why, uint32_t patience_ns)
{
	struct runq *q = lock_queue_of(e), *to;
	uint64_t now, vtime;

	e->blocked &= ~why;
	if (e->blocked || e->queued || e->running || hand_back(q, e)) {
		spin_unlock(&q->lock);
		return;
	}
	to = queue_of_cpu(place(e));
	if (to != q && !relock_to(e, q, to))
		return;
	now = time_now();
	vtime = vtime_now(to, now);
	advance_min(to, vtime);
	limit_credit(to, e);
	enqueue(to, e);
	notify_queue(to, e, now, vtime, patience_ns);
	spin_unlock(&to->lock);
}

void sched_unblock(struct sched_ent *e, uint32_t why)
{
	sched_unblock_soon(e, why, 0);
}

bool sched_handoff(struct sched_ent *to, uint32_t why)
{
	struct cpu *c = this_cpu();
	struct runq *mine = queue_of_cpu(c->index), *q = lock_queue_of(to);

	if (q != mine && tied(to)) {
		spin_unlock(&q->lock);
		sched_unblock(to, why);
		return false;
	}
	to->blocked &= ~why;
	if (to->blocked || to->running || (q != mine && to->queued)) {
		spin_unlock(&q->lock);
		return false;
	}
	if (to->queued)
		dequeue(q, to);
	else if (q != mine && !relock_to(to, q, mine))
		return false;
	limit_credit(mine, to);
	enqueue_hint(mine, to);
	mine->donor = c->current;
	c->need_resched = true;
	spin_unlock(&mine->lock);
	return true;
}

/* ---- blocking ---- */

void sched_block_self(struct sched_ent *e, uint32_t why)
{
	struct cpu *c = this_cpu();
	struct runq *q = queue_of_cpu(c->index); /* it runs here */

	spin_lock(&q->lock);
	e->blocked |= why;
	spin_unlock(&q->lock);
	c->need_resched = true;
}

bool sched_block(struct sched_ent *e, uint32_t why)
{
	struct runq *q = lock_queue_of(e);
	bool running = e->running;

	e->blocked |= why;
	if (e->queued)
		dequeue(q, e);
	if (running)
		kick_cpu(e->cpu);
	spin_unlock(&q->lock);
	return running;
}

void sched_wait_off(struct sched_ent *e)
{
	while (__atomic_load_n(&e->running, __ATOMIC_ACQUIRE))
		__builtin_ia32_pause();
}

void sched_send(struct sched_ent *e, enum vector v)
{
	unsigned cpu = __atomic_load_n(&e->cpu, __ATOMIC_RELAXED);

	/* If it starts just now it sees the caller's change: sched_switch sets `running` by an exchange. */
	if (__atomic_load_n(&e->running, __ATOMIC_RELAXED) && cpu != this_cpu()->index)
		ipi_send(cpu, v);
}

void sched_kick(struct sched_ent *e)
{
	sched_send(e, VEC_KICK);
}

void sched_set_weight(struct sched_ent *e, uint32_t weight)
{
	struct runq *q = lock_queue_of(e);

	if (e->queued || e->running)
		q->load += (uint64_t)weight - e->weight;
	e->weight = weight;
	e->vscale = (uint32_t)(((uint64_t)SCHED_WEIGHT_USUAL << 20) / weight);
	spin_unlock(&q->lock);
}

/* ---- the switch ---- */

static void put_back(struct cpu *c, struct runq *q, struct sched_ent *e, uint64_t now)
{
	uint64_t ran = now - e->started_ns;

	e->cpu_ns += ran;
	e->vtime += weighted(e, ran);
	if (e->group)
		group_charge(e->group, ran);
	advance_min(q, e->vtime);
	c->current = NULL;
	if (e->blocked) {
		q->load -= e->weight;
		if (UNLIKELY(e->blocked & BLOCK_DEAD) && e->ops->gone)
			q->gone = e;
	} else {
		e->queued = true;
		list_insert(q, e);
	}
	__atomic_store_n(&e->running, false, __ATOMIC_RELEASE);
}

/* Takes the next one off the queue; those over their group's cap fall out of it. */
static struct sched_ent *take_next(struct runq *q, uint64_t now)
{
	struct sched_ent *e;

	q->until = UINT64_MAX;
	while ((e = q->hint ? q->hint : q->first) != NULL) {
		if (e != q->hint)
			q->donor = NULL;
		unlink(q, e);
		if (!e->group || group_admit(e, now, &q->until))
			break;
		q->load -= e->weight;
	}
	return e;
}

static void start(struct cpu *c, struct runq *q, struct sched_ent *e, uint64_t now)
{
	e->started_ns = now;
	c->current = e;
	(void)__atomic_exchange_n(&e->running, true, __ATOMIC_SEQ_CST);
	if ((q->n || q->hint) && !q->ticking)
		tick_on(q, MIN(now + SCHED_SLICE_NS, q->until));
	else if (UNLIKELY(q->until != UINT64_MAX) && (!q->ticking || q->until < q->slice.deadline))
		tick_on(q, q->until);
}

struct sched_ent *sched_switch(struct cpu *c, struct sched_ent *prev)
{
	struct runq *q = queue_of_cpu(c->index);
	uint64_t now = time_now();
	struct sched_ent *e;

	spin_lock(&q->lock);
	c->need_resched = false;
	if (prev)
		put_back(c, q, prev, now);
	if (UNLIKELY(
		    q->gone)) { /* first the funeral: nobody is to wait for the next one meanwhile */
		spin_unlock(&q->lock);
		return NULL;
	}
	if (UNLIKELY(q->expired)) {
		q->expired = false;
		q->donor = NULL;
		if (q->hint)
			list_insert(q, q->hint);
		q->hint = NULL;
	}
	e = take_next(q, now);
	if (e)
		start(c, q, e, now);
	spin_unlock(&q->lock);
	return e;
}

/* ---- evening out ---- */

/* The first in line that may leave this CPU; lock held. */
static struct sched_ent *first_free(const struct runq *q)
{
	struct sched_ent *e = q->first;

	while (e && tied(e))
		e = e->next;
	return e;
}

/* Both locks held. */
static void move(struct sched_ent *e, struct runq *from, struct runq *to)
{
	dequeue(from, e);
	rehome(e, from, to);
	enqueue(to, e);
}

bool sched_steal(struct cpu *c)
{
	struct runq *mine = &runqs[c->index];

	for (unsigned i = 1; i < n_cpus; i++) {
		struct runq *other = &runqs[(c->index + i) % n_cpus];
		struct sched_ent *e;

		if (!__atomic_load_n(&other->n, __ATOMIC_RELAXED))
			continue;
		lock_both(mine, other);
		e = first_free(other);
		if (e)
			move(e, other, mine);
		spin_unlock(&mine->lock);
		spin_unlock(&other->lock);
		if (e)
			return true;
	}
	return false;
}

static struct runq *least_loaded(const struct runq *mine)
{
	struct runq *best = NULL;

	for (unsigned i = 0; i < n_cpus; i++) {
		if (&runqs[i] == mine || !cpus[i]->online)
			continue;
		if (!best || runqs[i].load < best->load)
			best = &runqs[i];
	}
	return best;
}

/*
 * Equal is enough: then entities that outnumber the CPUs take turns on all of them. Found at two looks in a row, of either
 * CPU: what has much to do for a moment only, as a program that starts, is not to take a slice of who is alone elsewhere.
 * Both locks held.
 */
static bool uneven(struct runq *mine, struct runq *other, const struct sched_ent *e, uint64_t now)
{
	bool again = now < mine->uneven_until;

	if (!e || other->load + e->weight > mine->load)
		return false;
	mine->uneven_until = other->uneven_until = now + 2 * SCHED_BALANCE_NS;
	return again;
}

void sched_balance(struct cpu *c)
{
	struct runq *mine = &runqs[c->index], *other;
	uint64_t now = time_now();
	struct sched_ent *e;

	if (n_cpus == 1 || now < mine->balance_at)
		return;
	mine->balance_at = now + SCHED_BALANCE_NS;
	other = least_loaded(mine);
	if (!other)
		return;
	lock_both(mine, other);
	e = first_free(mine);
	if (uneven(mine, other, e, now)) {
		move(e, mine, other);
		notify_queue(other, e, now, vtime_now(other, now), 0);
	}
	spin_unlock(&mine->lock);
	spin_unlock(&other->lock);
}

static void slice_over(struct timer *t)
{
	struct runq *q = CONTAINER_OF(t, struct runq, slice);
	uint64_t idle = __atomic_load_n(&sched_idle_mask, __ATOMIC_RELAXED);

	spin_lock(&q->lock);
	q->ticking = false;
	q->expired = true;
	this_cpu()->need_resched = true;
	spin_unlock(&q->lock);
	if (idle && q->n)
		kick_cpu((unsigned)__builtin_ctzll(idle)); /* it steals */
}

/* False: there is work after all. */
bool sched_idle_enter(struct cpu *c)
{
	struct runq *q = &runqs[c->index];
	bool idle;

	spin_lock(&q->lock);
	idle = !q->n && !q->hint;
	q->idle = idle;
	if (idle)
		__atomic_fetch_or(&sched_idle_mask, 1ull << c->index, __ATOMIC_RELAXED);
	spin_unlock(&q->lock);
	return idle;
}

void sched_idle_leave(struct cpu *c)
{
	struct runq *q = &runqs[c->index];

	spin_lock(&q->lock);
	if (q->idle)
		clear_idle(q);
	spin_unlock(&q->lock);
}

uint64_t sched_cpu_ns(struct sched_ent *e)
{
	struct runq *q = lock_queue_of(e);
	uint64_t sum = e->cpu_ns, now = time_now();

	if (e->running && now > e->started_ns)
		sum += now - e->started_ns;
	spin_unlock(&q->lock);
	return sum;
}

/* ---- set-up ---- */

void sched_ent_init(struct sched_ent *e, const struct sched_ops *ops, struct sched_group *g,
		    uint32_t weight)
{
	*e = (struct sched_ent){.ops = ops, .group = g, .blocked = BLOCK_NEW};
	e->cpu = this_cpu()->index;
	e->vtime = runqs[e->cpu].min_vtime;
	sched_set_weight(e, weight);
}

void sched_init_cpu(void)
{
	timer_init(&runqs[this_cpu()->index].slice, slice_over);
}
