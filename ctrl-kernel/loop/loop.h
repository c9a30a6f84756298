/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one event loop of a program: event bits, timers, deferred calls. Handlers start work and return; none waits.
 * Single-threaded; all functions are called from handlers or before loop_run().
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

typedef void (*loop_fn)(void *ctx);

/* A free event bit, given to hypercalls that bind sources; fn runs when it is set. -1: none free. */
int loop_bit_alloc(loop_fn fn, void *ctx);
void loop_bit_set(unsigned bit, loop_fn fn, void *ctx); /* a bit whose number somebody else chose */
void loop_bit_free(unsigned bit);

struct loop_timer {
	uint64_t deadline_ns;
	loop_fn fn;
	void *ctx;
	struct loop_timer *next; /* sorted list */
	bool armed;
};
void loop_timer_init(struct loop_timer *t, loop_fn fn, void *ctx);
void loop_timer_set(struct loop_timer *t, uint64_t delay_ns);
void loop_timer_cancel(struct loop_timer *t);

/* Once, after the present handlers are done; the entry is the caller's and must stay until it ran. */
struct loop_job {
	loop_fn fn;
	void *ctx;
	struct loop_job *next;
	bool queued;
};
void loop_defer(struct loop_job *j);
/* The same, when all handlers and deferred calls of a turn are done: what they have to say to another program is said once. It
 * must not wait for the next turn. */
void loop_defer_last(struct loop_job *j);

/* EVENT_POST, VCPU_RESUME, VM_MSI or VM_NOTIFY, together with the wait that ends this turn (HVC_THEN_WAIT), or before, when another one is
 * asked for; the same twice in a row is made once. What it answers is not looked at. */
void loop_last_call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
void loop_last_call_now(void); /* if there is one */

/* hv ends a program that does not come back to its loop for 3 s of CPU time. The turn that calls this (also the start,
 * before loop_run) has 20 s. */
void loop_long_turn(void);
__attribute__((noreturn)) void loop_run(void);

#endif
