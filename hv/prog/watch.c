/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The watch over programs that promised to come back to their event loop (HEARTBEAT). A program blocks in nothing else
 * than EVENT_WAIT, so it can only hang by computing. What counts is its own CPU time: one that others starve has not hung.
 *
 * Ten times a second, on the CPU where the first promise was made:
 *
 *   it waits, or has waited since the last look    -> from now on
 *   it has used more than it promised since then   -> PROG_DUE_HUNG, kick; its next turn ends it (prog_die)
 *
 * So a program is ended late, by two looks at most, and never early.
 */
#include "hv/prog/prog.h"

#include "hv/lib/log.h"

#define LOOK_NS 100000000ull
/* Between two looks a program can use no more than passes. Where more seems to have passed the whole machine stood
 * still (it is a guest itself), and that is nobody's fault. */
#define STEP_MAX_NS (2 * LOOK_NS)

static struct timer timer;
static bool started; /* [a] */

static void begin_anew(struct prog *p, uint32_t waits)
{
	p->cpu_seen = sched_cpu_ns(&p->ent);
	p->used_ns = 0;
	__atomic_store_n(&p->waits_seen, waits, __ATOMIC_RELAXED);
}

static void look_at(struct prog *p)
{
	uint64_t promised = __atomic_load_n(&p->promised_ns, __ATOMIC_RELAXED), cpu;
	uint32_t waits = __atomic_load_n(&p->waits, __ATOMIC_RELAXED);

	if (!promised)
		return;
	if (waits != p->waits_seen) {
		begin_anew(p, waits);
		return;
	}
	if (__atomic_load_n(&p->ent.blocked, __ATOMIC_RELAXED))
		return; /* it uses nothing */
	cpu = sched_cpu_ns(&p->ent);
	p->used_ns += MIN(cpu - p->cpu_seen, STEP_MAX_NS);
	p->cpu_seen = cpu;
	if (p->used_ns <= promised)
		return;
	(void)__atomic_fetch_or(&p->due, PROG_DUE_HUNG, __ATOMIC_SEQ_CST);
	sched_kick(&p->ent);
}

static void look(struct timer *t)
{
	prog_each(look_at);
	timer_arm(t, time_now() + LOOK_NS);
}

void watch_promise(struct prog *p, uint64_t ns)
{
	watch_waits(p);
	__atomic_store_n(&p->promised_ns, ns, __ATOMIC_RELAXED);
	if (ns == 0 || __atomic_exchange_n(&started, true, __ATOMIC_RELAXED))
		return;
	timer_init(&timer, look);
	timer_arm(&timer, time_now() + LOOK_NS);
}

void watch_end_hung(struct prog *p)
{
	if (p->waits == __atomic_load_n(&p->waits_seen, __ATOMIC_RELAXED))
		prog_die(p, HV_CAUSE_HUNG, 0, "it did not come back to its event loop");
}
