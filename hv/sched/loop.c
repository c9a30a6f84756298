/* SPDX-License-Identifier: BSD-2-Clause */
/* What each CPU does for ever once it is up: run the next entity, or scrub freed frames, or halt. */
#include "hv/sched/queue.h"

#include "hv/cpu/x86.h"
#include "hv/mm/frame.h"
#include "hv/mm/pt.h"

static void leave_root(struct cpu *c)
{
	write_cr3(hv_to_phys(hv_pml4));
	__atomic_store_n(&c->loaded_cr3, hv_to_phys(hv_pml4), __ATOMIC_RELEASE);
}

/* Address spaces stay loaded while vCPUs run and in idle, so that their program comes back cheaply. */
static void drop_root(struct cpu *c)
{
	struct runq *q = &runqs[c->index];

	/* Pairs with sched_drop_root: it sets drop_root, then need_resched, which sched_switch has just cleared. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (LIKELY(!__atomic_load_n(&q->drop_root, __ATOMIC_RELAXED)))
		return;
	__atomic_store_n(&q->drop_root, false, __ATOMIC_RELAXED);
	leave_root(c);
}

void sched_drop_root(hpa_t root)
{
	unsigned me = this_cpu()->index;

	for (unsigned i = 0; i < n_cpus; i++) {
		if (i == me || __atomic_load_n(&cpus[i]->loaded_cr3, __ATOMIC_ACQUIRE) != root)
			continue;
		__atomic_store_n(&runqs[i].drop_root, true, __ATOMIC_SEQ_CST);
		__atomic_store_n(&cpus[i]->need_resched, true, __ATOMIC_RELEASE);
		ipi_send(i, VEC_KICK);
		while (__atomic_load_n(&cpus[i]->loaded_cr3, __ATOMIC_ACQUIRE) == root)
			sched_relax();
	}
}

static bool nothing_to_do(const struct cpu *c, const struct runq *q)
{
	return !__atomic_load_n(&q->n, __ATOMIC_RELAXED) &&
	       !__atomic_load_n(&q->hint, __ATOMIC_RELAXED) &&
	       !__atomic_load_n(&c->need_resched, __ATOMIC_RELAXED);
}

/* One CPU at a time: it is a background job and the frames have one lock. */
static bool scrub_piece(void)
{
	static bool busy; /* [a] */
	bool more;

	if (__atomic_exchange_n(&busy, true, __ATOMIC_ACQUIRE))
		return false;
	more = frame_scrub_idle();
	__atomic_store_n(&busy, false, __ATOMIC_RELEASE);
	return more;
}

/* Who queues something here after sched_idle_enter sees runq.idle and sends an interrupt; it is taken between the
 * STI and the next instruction but one at the earliest, that is in HLT, so none is slept through. */
static void idle(struct cpu *c, struct runq *q)
{
	if (!sched_idle_enter(c))
		return;
	__atomic_store_n(&q->idle_since, time_now(), __ATOMIC_RELAXED);
	while (nothing_to_do(c, q)) {
		if (scrub_piece())
			irq_take_pending();
		else
			cpu_wait();
	}
	c->idle_ns += time_now() - q->idle_since;
	__atomic_store_n(&q->idle_since, 0, __ATOMIC_RELAXED);
	sched_idle_leave(c);
}

/* It may wait until others have left an address space. Two that wait so must not have each other's loaded. */
static void bury(struct cpu *c, struct runq *q)
{
	struct sched_ent *e = q->gone;

	q->gone = NULL;
	leave_root(c);
	e->ops->gone(e);
}

NORETURN void sched_loop(void)
{
	struct cpu *c = this_cpu();
	struct runq *q = &runqs[c->index];
	struct sched_ent *e = NULL;

	for (;;) {
		if (UNLIKELY(q->expired))
			sched_balance(c);
		e = sched_switch(c, e);
		drop_root(c);
		if (UNLIKELY(!e)) {
			if (q->gone)
				bury(c, q);
			else if (!sched_steal(c))
				idle(c, q);
			continue;
		}
		e->ops->run(e);
		/* Any CPU may run it from now on, unless it has handed over and will be back at once (tied()). */
		if (n_cpus > 1 && e->fpu && q->donor != e)
			fpu_leave(e->fpu);
	}
}

uint64_t sched_idle_ns(void)
{
	uint64_t sum = 0, now = time_now();

	for (unsigned i = 0; i < n_cpus; i++) {
		uint64_t since = __atomic_load_n(&runqs[i].idle_since, __ATOMIC_RELAXED);

		sum += cpus[i]->idle_ns + (since && since < now ? now - since : 0);
	}
	return sum;
}
