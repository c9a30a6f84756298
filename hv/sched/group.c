/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Caps: the entities of a group together get cap_percent of one CPU in each period. What they overrun (several CPUs
 * at once, a slice that ends late) is debt and taken off the next periods. Called by sched.c and by VM set-up.
 */
#include "hv/sched/queue.h"

static uint64_t budget_ns(const struct sched_group *g)
{
	return SCHED_PERIOD_NS * g->cap_percent / 100;
}

/* Periods that have ended pay back what was used. */
static void roll(struct sched_group *g, uint64_t now)
{
	uint64_t periods, paid;

	if (now < g->period_end_ns)
		return;
	periods = 1 + (now - g->period_end_ns) / SCHED_PERIOD_NS;
	paid = periods * budget_ns(g);
	g->used_ns = g->used_ns > paid ? g->used_ns - paid : 0;
	g->period_end_ns += periods * SCHED_PERIOD_NS;
}

void group_charge_capped(struct sched_group *g, uint64_t ns)
{
	spin_lock(&g->lock);
	g->used_ns += ns;
	spin_unlock(&g->lock);
}

bool group_admit_capped(struct sched_ent *e, uint64_t now, uint64_t *until)
{
	struct sched_group *g = e->group;
	bool ok = true;

	spin_lock(&g->lock);
	roll(g, now);
	if (!g->cap_percent) {
		g->used_ns = 0;
	} else if (g->used_ns < budget_ns(g)) {
		*until = now + (budget_ns(g) - g->used_ns);
	} else {
		ok = false;
		e->blocked |= BLOCK_CAP;
		e->next_throttled = g->throttled;
		g->throttled = e;
		if (!e->next_throttled)
			timer_arm(&g->refill, g->period_end_ns);
	}
	spin_unlock(&g->lock);
	return ok;
}

/* Lets the throttled go if the period's budget allows; else waits for the next one. One at a time, because the
 * queue lock comes before the group's. */
static void refill(struct timer *t)
{
	struct sched_group *g = CONTAINER_OF(t, struct sched_group, refill);

	for (;;) {
		struct sched_ent *e;

		spin_lock(&g->lock);
		roll(g, time_now());
		e = g->throttled;
		if (e && g->cap_percent && g->used_ns >= budget_ns(g)) {
			timer_arm(&g->refill, g->period_end_ns);
			e = NULL;
		}
		if (e)
			g->throttled = e->next_throttled;
		spin_unlock(&g->lock);
		if (!e)
			return;
		sched_unblock(e, BLOCK_CAP);
	}
}

void sched_group_init(struct sched_group *g, uint32_t cap_percent)
{
	*g = (struct sched_group){.cap_percent = cap_percent};
	g->period_end_ns = time_now() + SCHED_PERIOD_NS;
	timer_init(&g->refill, refill);
}

void sched_group_fini(struct sched_group *g)
{
	timer_cancel(&g->refill);
}

void sched_group_set_cap(struct sched_group *g, uint32_t cap_percent)
{
	spin_lock(&g->lock);
	roll(g, time_now());
	g->cap_percent = cap_percent;
	if (!cap_percent)
		g->used_ns = 0;
	spin_unlock(&g->lock);
	/* Those that wait now are judged by the new cap at the end of the period at the latest. */
}
