/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scheduler: entities (vCPUs and programs) on per-CPU queues ordered by weighted virtual time.
 *
 * An entity runs as a call: ops->run(e) enters the guest or program, handles what it causes, and returns when
 * need_resched is set or the entity blocked. hv has one stack per CPU and never blocks.
 *
 * state:  BLOCKED (any block bit set) <-> QUEUED (on e->cpu's queue) <-> RUNNING (cpus[e->cpu]->current)
 * Lost wake-ups are impossible: block and unblock bits change under the queue lock, and sched_block_self() is called
 * by the running entity, which re-checks its condition after setting the bit.
 *
 * Locks: queue (two only in index order) < group < timer queue. sched_* may be called with any other lock held.
 */
#ifndef HV_SCHED_SCHED_H
#define HV_SCHED_SCHED_H

#include "hv/lib/spinlock.h"
#include "hv/plat/plat.h"

#define SCHED_WEIGHT_MIN 1u
#define SCHED_WEIGHT_MAX 10000u
#define SCHED_WEIGHT_USUAL 100u

enum sched_block {
	BLOCK_NEW = 1,    /* not started */
	BLOCK_HALT = 2,   /* vCPU: HLT */
	BLOCK_INIT = 4,   /* vCPU: waits for SIPI */
	BLOCK_PARK = 8,   /* vCPU: waits for the vmm */
	BLOCK_PAUSE = 16, /* vCPU: VM not running */
	BLOCK_EVENT = 32, /* program: event_wait */
	BLOCK_CAP = 64,   /* group used up its cap */
	BLOCK_DEAD = 128, /* for ever */
	BLOCK_MEM = 256,  /* its memory is being changed (VM_RELEASE) */
};

struct sched_ent;
struct sched_ops {
	void (*run)(struct sched_ent *e);
	const char *kind;
	/* May be NULL. An entity that was running when it got BLOCK_DEAD has left its CPU for the last time;
	 * called there, no lock held, and the scheduler does not touch it afterwards. */
	void (*gone)(struct sched_ent *e);
	/* How far behind the others (virtual ns) a sleeper may wake: what it gets at once before it must share. */
	uint32_t credit_ns;
};

/* Entities that share a cap (a VM's vCPUs). */
struct sched_group {
	struct spinlock lock;
	uint32_t cap_percent;        /* [L:lock] of one CPU; 0: none */
	uint64_t period_end_ns;      /* [L:lock] */
	uint64_t used_ns;            /* [L:lock] in this period, debt of earlier ones included */
	struct sched_ent *throttled; /* [L:lock] list by next_throttled */
	struct timer refill;
};

struct fpu;
struct sched_ent {
	const struct sched_ops *ops; /* [I] */
	struct fpu *fpu; /* [I] set by the owner after sched_ent_init; its state follows e about */
	struct sched_group *group;        /* [I] NULL: none */
	uint32_t weight;                  /* [L:queue] 1..10000 */
	uint32_t vscale;                  /* [L:queue] virtual ns for 2^20 real ns */
	uint32_t blocked;                 /* [L:queue] enum sched_block */
	unsigned cpu;                     /* [L:queue] */
	bool queued, running;             /* [L:queue] */
	uint64_t vtime;                   /* [L:queue] weighted ns */
	uint64_t started_ns;              /* [p] when it got the CPU */
	uint64_t cpu_ns;                  /* [L:queue] until it last left its CPU; sched_cpu_ns() */
	struct sched_ent *next, *prev;    /* [L:queue] */
	struct sched_ent *next_throttled; /* [L:group] */
};

void sched_init_cpu(void);
NORETURN void sched_loop(void);
void sched_ent_init(struct sched_ent *e, const struct sched_ops *ops, struct sched_group *g,
		    uint32_t weight);
/* The running entity blocks itself for `why`; sets need_resched. */
void sched_block_self(struct sched_ent *e, uint32_t why);
/* Sets bits on any entity; it leaves its CPU soon (kick). True: it is on one now (BLOCK_DEAD: ops->gone follows).
 * sched_wait_off waits until it is off the CPU. */
bool sched_block(struct sched_ent *e, uint32_t why);
void sched_wait_off(struct sched_ent *e);
/* Clears bits; if none is left the entity is queued, its CPU kicked when it should preempt. */
void sched_unblock(struct sched_ent *e, uint32_t why);
/* The same, but whom it should preempt on this CPU keeps the CPU for so long, unless it blocks before. */
void sched_unblock_soon(struct sched_ent *e, uint32_t why, uint32_t patience_ns);
/* The current entity has blocked on something `to` will do: clears to's bits; if none is left this CPU runs it
 * next, ahead of the queue, and the current entity next again once `to` has unblocked it. False: `to` is busy. */
bool sched_handoff(struct sched_ent *to, uint32_t why);
/* Makes a running entity leave guest mode so that it looks at its state again (pending interrupt). The caller has
 * set what it shall see by an atomic read-modify-write. */
void sched_kick(struct sched_ent *e);
void sched_send(struct sched_ent *e, enum vector v); /* the same with another interrupt */
void sched_set_weight(struct sched_ent *e, uint32_t weight);
void sched_group_init(struct sched_group *g, uint32_t cap_percent);
/* After all members are dead and off their CPUs, before they are freed. */
void sched_group_fini(struct sched_group *g);
void sched_group_set_cap(struct sched_group *g, uint32_t cap_percent);
/* Waits until no CPU but this one has that page-table root loaded. No lock held; takes interrupts. */
void sched_drop_root(hpa_t root);
/* One round of waiting for another CPU; no lock held. */
static inline void sched_relax(void)
{
	__builtin_ia32_pause();
	irq_take_pending();
}
uint64_t sched_idle_ns(void);               /* all CPUs, up to now */
uint64_t sched_cpu_ns(struct sched_ent *e); /* CPU time, up to now */

#endif
