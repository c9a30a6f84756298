/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/plat/timer.c
/* Timer queues with a fake clock: order, moves between CPUs, re-arming and cancelling from callbacks, random runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <pthread.h>
#include <cmocka.h>
#include "hv/cpu/cpu.h"
#include "hv/plat/plat.h"
#include "hv/plat/timer_inner.h"

#define CPUS 3
#define NONE UINT64_MAX

static struct cpu cpu_state[CPUS];
struct cpu *cpus[HV_CPUS_MAX];
unsigned n_cpus = CPUS;
static __thread unsigned me;
static uint64_t now, apic[CPUS]; /* what each local APIC is set for */
static unsigned writes;

struct cpu *this_cpu(void)
{
	return &cpu_state[me];
}

uint64_t time_now(void)
{
	return now;
}

void lapic_timer_set(uint64_t deadline_ns)
{
	apic[me] = deadline_ns;
	writes++;
}

static int setup(void **state)
{
	(void)state;
	for (me = CPUS; me-- > 0;) {
		cpu_state[me].index = me;
		apic[me] = NONE;
		timer_init_cpu();
	}
	me = 0;
	now = 1000;
	writes = 0;
	return 0;
}

/* Time goes to `to`; every CPU's APIC fires when it is due. */
static void run_to(uint64_t to)
{
	unsigned was = me;

	for (;;) {
		unsigned next = CPUS;

		for (unsigned i = 0; i < CPUS; i++)
			if (apic[i] <= to && (next == CPUS || apic[i] < apic[next]))
				next = i;
		if (next == CPUS)
			break;
		me = next;
		now = apic[me] > now ? apic[me] : now;
		apic[me] = NONE;
		timer_interrupt();
	}
	me = was;
	now = to;
}

struct probe {
	struct timer t;
	uint64_t fired_at;
	unsigned fired, on_cpu;
	uint64_t again; /* re-arm so much later */
	struct timer *cancels;
};
static uint64_t last_deadline;

static void fire(struct timer *t)
{
	struct probe *p = CONTAINER_OF(t, struct probe, t);

	assert_int_equal(t->cpu, -1);
	assert_true(t->deadline <= now);
	p->fired++;
	p->fired_at = now;
	p->on_cpu = me;
	last_deadline = t->deadline;
	if (p->cancels != NULL)
		timer_cancel(p->cancels);
	if (p->again != 0)
		timer_arm(t, t->deadline + p->again);
}

static void test_one(void **state)
{
	struct probe p = {0};

	(void)state;
	timer_init(&p.t, fire);
	timer_cancel(&p.t);
	timer_arm(&p.t, 5000);
	assert_int_equal(apic[0], 5000);
	run_to(4999);
	assert_int_equal(p.fired, 0);
	run_to(6000);
	assert_int_equal(p.fired, 1);
	assert_int_equal(p.fired_at, 5000);
	timer_arm(&p.t, 10); /* long past */
	run_to(6001);
	assert_int_equal(p.fired, 2);
}

static void test_later_deadlines_do_not_touch_the_apic(void **state)
{
	struct probe a = {0}, b = {0};

	(void)state;
	timer_init(&a.t, fire);
	timer_init(&b.t, fire);
	timer_arm(&a.t, 5000);
	timer_arm(&b.t, 6000);
	timer_arm(&a.t, 7000); /* the APIC still fires at 5000, for nothing */
	assert_int_equal(writes, 1);
	timer_cancel(&b.t);
	assert_int_equal(writes, 1);
	run_to(6999);
	assert_int_equal(a.fired + b.fired, 0);
	run_to(7000);
	assert_int_equal(a.fired, 1);
	assert_int_equal(b.fired, 0);
}

/* An APIC that fires early is set again. */
static void test_early_interrupt(void **state)
{
	struct probe p = {0};

	(void)state;
	timer_init(&p.t, fire);
	timer_arm(&p.t, 5000);
	now = 4990;
	apic[0] = NONE;
	timer_interrupt();
	assert_int_equal(p.fired, 0);
	assert_int_equal(apic[0], 5000);
	run_to(5000);
	assert_int_equal(p.fired, 1);
}

static void test_moves_to_the_arming_cpu(void **state)
{
	struct probe p = {0};

	(void)state;
	timer_init(&p.t, fire);
	timer_arm(&p.t, 5000);
	me = 2;
	timer_arm(&p.t, 6000);
	assert_int_equal(p.t.cpu, 2);
	me = 1;
	run_to(5500);
	assert_int_equal(p.fired, 0);
	run_to(6000);
	assert_int_equal(p.fired, 1);
	assert_int_equal(p.on_cpu, 2);
	timer_arm(&p.t, 7000);
	me = 0;
	timer_cancel(&p.t); /* from another CPU */
	run_to(8000);
	assert_int_equal(p.fired, 1);
}

static void test_periodic_and_self_cancel(void **state)
{
	struct probe p = {.again = 100}, q = {0};

	(void)state;
	timer_init(&p.t, fire);
	timer_init(&q.t, fire);
	timer_arm(&p.t, 2000);
	run_to(2950);
	assert_int_equal(p.fired, 10);
	q.cancels = &p.t;
	timer_arm(&q.t, 2960);
	run_to(5000);
	assert_int_equal(p.fired, 10);
	p.cancels = &p.t;
	p.again = 0;
	timer_arm(&p.t, 5001); /* cancels itself: harmless */
	run_to(5001);
	assert_int_equal(p.fired, 11);
}

/* A callback that is always late does not keep the CPU: a round ends. */
static void test_round_is_bounded(void **state)
{
	struct probe p = {.again = 1};

	(void)state;
	timer_init(&p.t, fire);
	timer_arm(&p.t, 1);
	now = 1000000;
	timer_interrupt();
	assert_int_equal(p.fired, 64);
	assert_true(apic[0] <= now);
	p.again = 0;
	run_to(now);
	assert_int_equal(p.fired, 65);
}

#define PROBES 300

static void test_random_against_model(void **state)
{
	static struct probe p[PROBES];
	static uint64_t due[PROBES]; /* 0: not armed */

	(void)state;
	srand(7);
	for (unsigned i = 0; i < PROBES; i++) {
		timer_init(&p[i].t, fire);
		p[i].fired = 0;
	}
	for (unsigned round = 0; round < 100000; round++) {
		unsigned i = (unsigned)rand() % PROBES;
		unsigned before[PROBES];
		uint64_t to = now + (uint64_t)rand() % 20;

		me = (unsigned)rand() % CPUS;
		if (rand() % 3 == 0) {
			timer_cancel(&p[i].t);
			due[i] = 0;
		} else {
			due[i] = now + 1 + (uint64_t)rand() % 5000;
			timer_arm(&p[i].t, due[i]);
		}
		if (round % 8 != 0)
			continue;
		for (unsigned k = 0; k < PROBES; k++)
			before[k] = p[k].fired;
		run_to(to);
		for (unsigned k = 0; k < PROBES; k++) {
			bool expected = due[k] != 0 && due[k] <= to;

			assert_int_equal(p[k].fired - before[k], expected);
			if (expected)
				assert_int_equal(p[k].fired_at, due[k]);
			due[k] = expected ? 0 : due[k];
		}
	}
}

/* Two CPUs fire, the third arms and cancels: after timer_cancel the callback is not running, on any of them. */
static bool stop;
static int in_fire;

static void slow_fire(struct timer *t)
{
	(void)t;
	__atomic_store_n(&in_fire, 1, __ATOMIC_SEQ_CST);
	for (volatile unsigned i = 0; i < 50; i++)
		;
	__atomic_store_n(&in_fire, 0, __ATOMIC_SEQ_CST);
}

static void *cpu_thread(void *index)
{
	me = (unsigned)(uintptr_t)index;
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
		timer_interrupt();
	return NULL;
}

static void test_cancel_waits(void **state)
{
	pthread_t t[2];
	struct timer timer;

	(void)state;
	now = 1000000;
	timer_init(&timer, slow_fire);
	stop = false;
	for (uintptr_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, cpu_thread, (void *)(i + 1)), 0);
	for (unsigned round = 0; round < 30000; round++) {
		me = 1 + round % 2; /* on the queue of a CPU that fires at once */
		timer_arm(&timer, 1);
		me = 0;
		for (volatile unsigned i = 0; i < round % 97; i++)
			;
		timer_cancel(&timer);
		assert_int_equal(__atomic_load_n(&in_fire, __ATOMIC_SEQ_CST), 0);
		assert_int_equal(timer.cpu, -1);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_one, setup),
		cmocka_unit_test_setup(test_later_deadlines_do_not_touch_the_apic, setup),
		cmocka_unit_test_setup(test_early_interrupt, setup),
		cmocka_unit_test_setup(test_moves_to_the_arming_cpu, setup),
		cmocka_unit_test_setup(test_periodic_and_self_cancel, setup),
		cmocka_unit_test_setup(test_round_is_bounded, setup),
		cmocka_unit_test_setup(test_random_against_model, setup),
		cmocka_unit_test_setup(test_cancel_waits, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
