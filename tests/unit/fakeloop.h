/* SPDX-License-Identifier: BSD-2-Clause */
/* The event loop of fakehv.c, which includes this: timers go by its clock, bits are what its hypervisor has posted. */
#ifndef TESTS_FAKELOOP_H
#define TESTS_FAKELOOP_H

#include "ctrl-kernel/loop/loop.h"

static struct {
	loop_fn fn;
	void *ctx;
} bits[HV_EVENT_BITS];
static struct loop_timer *timers;
static struct loop_job *jobs;

int loop_bit_alloc(loop_fn fn, void *ctx)
{
	for (int i = HV_EVENT_BITS - 1; i >= 0; i--) {
		if (bits[i].fn)
			continue;
		bits[i].fn = fn;
		bits[i].ctx = ctx;
		return i;
	}
	return -1;
}

void loop_timer_init(struct loop_timer *t, loop_fn fn, void *ctx)
{
	*t = (struct loop_timer){.fn = fn, .ctx = ctx};
}

void loop_timer_cancel(struct loop_timer *t)
{
	struct loop_timer **at = &timers;

	if (!t->armed)
		return;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	t->armed = false;
}

void loop_timer_set(struct loop_timer *t, uint64_t delay_ns)
{
	loop_timer_cancel(t);
	t->deadline_ns = now_ns + delay_ns;
	t->armed = true;
	t->next = timers;
	timers = t;
}

void loop_defer(struct loop_job *j)
{
	struct loop_job **at = &jobs;

	if (j->queued)
		return;
	while (*at)
		at = &(*at)->next;
	j->queued = true;
	j->next = NULL;
	*at = j;
}

void fake_turn(void)
{
	struct loop_job *j = jobs;
	uint64_t word = events;

	jobs = NULL;
	events = 0;
	while (j) {
		struct loop_job *next = j->next;

		j->queued = false;
		j->fn(j->ctx);
		j = next;
	}
	for (unsigned i = 0; i < HV_EVENT_BITS; i++)
		if ((word & 1ull << i) && bits[i].fn)
			bits[i].fn(bits[i].ctx);
}

void fake_loop(void)
{
	while (jobs || events)
		fake_turn();
}

static struct loop_timer *timer_due(void)
{
	struct loop_timer *t = timers;

	while (t && t->deadline_ns > now_ns)
		t = t->next;
	return t;
}

bool fake_timer_armed(void)
{
	return timers != NULL;
}

void fake_advance(uint64_t ns)
{
	struct loop_timer *t;

	now_ns += ns;
	for (unsigned i = 0; i < 1000 && (t = timer_due()); i++) {
		loop_timer_cancel(t);
		t->fn(t->ctx);
	}
	fake_loop();
}

void loop_last_call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	(void)hv_raw(number, a, b, c, d, 0, 0);
}

void loop_defer_last(struct loop_job *j)
{
	loop_defer(j);
}

#endif
