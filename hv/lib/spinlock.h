/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ticket spinlock. hv runs with interrupts off, so a lock is never taken twice on one CPU by an interrupt.
 * Lock order: docs/architecture.md, "Locks". No lock is held across guest or program entry.
 */
#ifndef HV_LIB_SPINLOCK_H
#define HV_LIB_SPINLOCK_H

#include "hv/lib/types.h"

#ifdef HOST_TEST
#include <sched.h>
#define SPIN_WAIT() sched_yield() /* the holder may be a thread that does not run */
#else
#define SPIN_WAIT() __builtin_ia32_pause()
#endif

struct spinlock {
	uint16_t next;  /* [a] */
	uint16_t owner; /* [a] */
};

static inline void spin_lock(struct spinlock *l)
{
	uint16_t me = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&l->owner, __ATOMIC_ACQUIRE) != me)
		SPIN_WAIT();
}

/* False: somebody holds it. */
static inline bool spin_trylock(struct spinlock *l)
{
	uint16_t owner = __atomic_load_n(&l->owner, __ATOMIC_RELAXED);

	return __atomic_compare_exchange_n(&l->next, &owner, (uint16_t)(owner + 1), false,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void spin_unlock(struct spinlock *l)
{
	__atomic_store_n(&l->owner, (uint16_t)(l->owner + 1), __ATOMIC_RELEASE);
}

#endif
