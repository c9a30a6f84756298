/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside sched/: the per-CPU queue, and the steps of a switch that loop.c puts together (tests call them one by one). */
#ifndef HV_SCHED_QUEUE_H
#define HV_SCHED_QUEUE_H

#include "hv/cpu/cpu.h"
#include "hv/sched/sched.h"

#define SCHED_SLICE_NS 4000000ull
#define SCHED_BALANCE_NS 32000000ull
#define SCHED_PERIOD_NS 20000000ull /* of caps */
/* A woken entity takes the CPU at once when it is further behind than this. */
#define SCHED_PREEMPT_NS 500000ull
#define SCHED_CREDIT_NS 1000000u /* when ops names none */

struct runq {
	struct spinlock lock;
	unsigned n;                     /* [L:lock] in the list; read anywhere */
	struct sched_ent *first, *last; /* [L:lock] by vtime */
	struct sched_ent
		*hint; /* [L:lock] runs next whatever its vtime (hand-over); not in the list */
	const struct sched_ent *donor; /* [L:lock] who handed this CPU over; only compared */
	uint64_t min_vtime;            /* [L:lock] never goes back */
	uint64_t load;                 /* [L:lock] weights of queued and running; read anywhere */
	bool idle;                     /* [L:lock] */
	bool ticking;                  /* [L:lock] slice is armed */
	bool expired;                  /* [p] slice has fired */
	bool drop_root;         /* [a] somebody waits for this CPU to leave its page tables */
	struct sched_ent *gone; /* [p] left for good: ops->gone is due */
	uint64_t until;         /* [p] the one taken off may run to then */
	uint64_t idle_since, balance_at; /* [p] */
	uint64_t uneven_until; /* [L:lock] a look before then moves something (sched_balance) */
	struct timer slice;    /* [p] */
} ALIGNED(64);

extern struct runq runqs[HV_CPUS_MAX];
extern uint64_t sched_idle_mask; /* [a] CPUs with runq.idle */

/* Puts prev (NULL: none) back, takes the next, arms the slice. NULL: nothing to run, or gone is due first. */
struct sched_ent *sched_switch(struct cpu *c, struct sched_ent *prev);
bool sched_steal(struct cpu *c);   /* something from another queue into this one's */
void sched_balance(struct cpu *c); /* this CPU's tick: gives one entity away if that evens out */
bool sched_idle_enter(struct cpu *c);
void sched_idle_leave(struct cpu *c);

/* group.c; the queue lock is held */
void group_charge_capped(struct sched_group *g, uint64_t ns);
bool group_admit_capped(struct sched_ent *e, uint64_t now, uint64_t *until);
static inline void group_charge(struct sched_group *g, uint64_t ns)
{
	if (UNLIKELY(g->cap_percent))
		group_charge_capped(g, ns);
}
/* May e run now? *until: at most to then. No: e is on the throttled list and the refill is armed. */
static inline bool group_admit(struct sched_ent *e, uint64_t now, uint64_t *until)
{
	return LIKELY(!e->group->cap_percent) || group_admit_capped(e, now, until);
}

#endif
