/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The event loop. One turn: timers that are due, deferred calls, the last calls, then EVENT_WAIT until the next deadline
 * (not at all when deferred calls wait), then the handlers of the bits it brought, lowest bit first.
 */
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/rt/rt.h"

static struct {
	loop_fn fn;
	void *ctx;
} bits[HV_EVENT_BITS];

#define TURN_MAX_NS 3000000000ull       /* CPU time; the longest ones take some ten milliseconds */
#define LONG_TURN_MAX_NS 20000000000ull /* copying the largest of images takes seconds */

static bool long_turn = true; /* the promise in force is not that for usual turns */

static struct loop_timer *timers; /* [borrows] soonest first */
struct job_list {
	struct loop_job *first, **tail; /* [borrows] oldest first */
};
static struct job_list jobs = {NULL, &jobs.first};
static struct job_list last = {NULL, &last.first};

/* From the top: the low numbers are those that other people choose (enum vmm_event). */
int loop_bit_alloc(loop_fn fn, void *ctx)
{
	for (int bit = HV_EVENT_BITS - 1; bit >= 0; bit--) {
		if (bits[bit].fn)
			continue;
		loop_bit_set((unsigned)bit, fn, ctx);
		return bit;
	}
	return -1;
}

void loop_bit_set(unsigned bit, loop_fn fn, void *ctx)
{
	if (bit >= HV_EVENT_BITS || bits[bit].fn)
		rt_die("loop: event bit %u does not exist or is taken", bit);
	bits[bit].fn = fn;
	bits[bit].ctx = ctx;
}

void loop_bit_free(unsigned bit)
{
	if (bit < HV_EVENT_BITS)
		bits[bit].fn = NULL;
}

void loop_timer_init(struct loop_timer *t, loop_fn fn, void *ctx)
{
	*t = (struct loop_timer){.fn = fn, .ctx = ctx};
}

void loop_timer_set(struct loop_timer *t, uint64_t delay_ns)
{
	struct loop_timer **at = &timers;

	loop_timer_cancel(t);
	if (__builtin_add_overflow(rt_now(), delay_ns, &t->deadline_ns))
		t->deadline_ns = UINT64_MAX;
	while (*at && (*at)->deadline_ns <= t->deadline_ns)
		at = &(*at)->next;
	t->next = *at;
	t->armed = true;
	*at = t;
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

static void put(struct job_list *list, struct loop_job *j)
{
	if (j->queued)
		return;
	j->queued = true;
	j->next = NULL;
	*list->tail = j;
	list->tail = &j->next;
}

void loop_defer(struct loop_job *j)
{
	put(&jobs, j);
}

void loop_defer_last(struct loop_job *j)
{
	put(&last, j);
}

/* Those due now; one that a handler sets anew is not due before the next turn. */
static void timers_run(void)
{
	uint64_t now = rt_now();

	while (timers && timers->deadline_ns <= now) {
		struct loop_timer *t = timers;

		timers = t->next;
		t->armed = false;
		t->fn(t->ctx);
	}
}

/* Those queued now; what they queue runs after the events were looked at. */
static void jobs_run(struct job_list *list)
{
	struct loop_job *j = list->first;

	list->first = NULL;
	list->tail = &list->first;
	while (j) {
		struct loop_job *next = j->next;

		j->queued = false; /* before the call: it may defer itself again */
		j->fn(j->ctx);
		j = next;
	}
}

static struct {
	uint64_t number, a, b, c, d; /* number 0: none */
} last_call;

void loop_last_call_now(void)
{
	uint64_t number = last_call.number;

	last_call.number = 0;
	if (number)
		(void)hv_raw(number, last_call.a, last_call.b, last_call.c, last_call.d, 0, 0);
}

void loop_last_call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	bool same = a == last_call.a && b == last_call.b && c == last_call.c && d == last_call.d;

	if (last_call.number == number && same)
		return;
	loop_last_call_now();
	last_call.number = number;
	last_call.a = a;
	last_call.b = b;
	last_call.c = c;
	last_call.d = d;
}

static uint64_t next_deadline(void)
{
	if (jobs.first || last.first)
		return 0;
	return timers ? timers->deadline_ns : UINT64_MAX;
}

static uint64_t wait(uint64_t deadline_ns)
{
	uint64_t number = last_call.number;
	struct hv_result r;

	if (!number)
		return hv_event_wait(deadline_ns);
	last_call.number = 0;
	r = hv_raw(number + HVC_THEN_WAIT, last_call.a, last_call.b, last_call.c, last_call.d, 0,
		   deadline_ns);
	return r.status == 0 ? r.value : hv_event_wait(deadline_ns);
}

static void bits_run(uint64_t word)
{
	while (word) {
		unsigned bit = (unsigned)__builtin_ctzll(word);

		word &= word - 1;
		if (bits[bit].fn)
			bits[bit].fn(bits[bit].ctx);
	}
}

void loop_long_turn(void)
{
	long_turn = true;
	(void)hv_heartbeat(LONG_TURN_MAX_NS);
}

void loop_run(void)
{
	for (;;) {
		if (long_turn) {
			(void)hv_heartbeat(TURN_MAX_NS);
			long_turn = false;
		}
		if (timers)
			timers_run();
		if (jobs.first)
			jobs_run(&jobs);
		if (last.first)
			jobs_run(&last);
		bits_run(wait(next_deadline()));
	}
}
