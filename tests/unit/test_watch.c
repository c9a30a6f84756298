/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/prog/watch.c
/* The watch over programs: who has hung and who has not. The test is the scheduler and the clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "hv/prog/prog.h"

#define MS 1000000ull

static struct prog prog;
static struct timer *armed;
static uint64_t now;
static unsigned kicks, deaths;

uint64_t time_now(void)
{
	return now;
}

uint64_t sched_cpu_ns(struct sched_ent *e)
{
	return e->cpu_ns;
}

void sched_kick(struct sched_ent *e)
{
	assert_ptr_equal(e, &prog.ent);
	kicks++;
}

void timer_init(struct timer *t, void (*fire)(struct timer *))
{
	t->fire = fire;
}

void timer_arm(struct timer *t, uint64_t deadline_ns)
{
	assert_true(deadline_ns > now);
	armed = t;
}

void prog_each(void (*fn)(struct prog *p))
{
	fn(&prog);
}

void prog_die(struct prog *p, uint32_t cause, uint64_t code, const char *text)
{
	(void)code, (void)text;
	assert_ptr_equal(p, &prog);
	assert_int_equal(cause, HV_CAUSE_HUNG);
	deaths++;
}

/* A tenth of a second in which the program has so much of the CPU. */
static void pass(uint64_t cpu_ms)
{
	prog.ent.cpu_ns += cpu_ms * MS;
	now += 100 * MS;
	assert_non_null(armed);
	armed->fire(armed);
}

static int promise_500_ms(void **state)
{
	(void)state;
	memset(&prog, 0, sizeof(prog));
	kicks = deaths = 0;
	watch_promise(&prog, 500 * MS);
	pass(50); /* the promise itself was a sign of life */
	return 0;
}

static void test_hangs(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++)
		pass(100);
	assert_int_equal(prog.due, 0);
	pass(1);
	assert_int_equal(prog.due, PROG_DUE_HUNG);
	assert_int_equal(kicks, 1);
	watch_end_hung(&prog);
	assert_int_equal(deaths, 1);
}

static void test_waits_in_time(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		pass(100);
		if (i % 4 == 3)
			watch_waits(&prog);
	}
	assert_int_equal(kicks, 0);
}

static void test_starved(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++)
		pass(5);
	assert_int_equal(kicks, 0);
	pass(1);
	assert_int_equal(kicks, 1);
}

static void test_blocked(void **state)
{
	(void)state;
	prog.ent.blocked = BLOCK_EVENT;
	for (unsigned i = 0; i < 100; i++)
		pass(0);
	assert_int_equal(kicks, 0);
}

/* The machine stood still while the program had the CPU. */
static void test_machine_stopped(void **state)
{
	(void)state;
	pass(10000);
	pass(10000);
	assert_int_equal(kicks, 0);
	pass(10000);
	assert_int_equal(kicks, 1);
}

/* It came back between the watch's look and its next turn. */
static void test_just_in_time(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++)
		pass(100);
	assert_int_equal(prog.due, PROG_DUE_HUNG);
	watch_waits(&prog);
	watch_end_hung(&prog);
	assert_int_equal(deaths, 0);
}

static void test_taken_back(void **state)
{
	(void)state;
	watch_promise(&prog, 0);
	for (unsigned i = 0; i < 50; i++)
		pass(100);
	assert_int_equal(kicks, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, promise_500_ms)
	const struct CMUnitTest tests[] = {
		T(test_hangs),           T(test_waits_in_time), T(test_starved),    T(test_blocked),
		T(test_machine_stopped), T(test_just_in_time),  T(test_taken_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
