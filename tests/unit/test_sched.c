/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/sched/sched.c
// SRC: hv/sched/group.c
/* The scheduler with a fake clock: queue order, weights, cap, wake placement, hand-over, stealing, evening out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "hv/sched/queue.h"

#define MS 1000000ull

static uint64_t now;
static unsigned me;
static struct cpu cpu_state[4];
struct cpu *cpus[HV_CPUS_MAX];
unsigned n_cpus;
static unsigned ipis[4];
static struct timer *timers[64];

struct cpu *this_cpu(void)
{
	return cpus[me];
}

uint64_t time_now(void)
{
	return now;
}

void ipi_send(unsigned cpu, enum vector v)
{
	assert_int_equal(v, VEC_KICK);
	ipis[cpu]++;
}

void timer_init(struct timer *t, void (*fire)(struct timer *))
{
	*t = (struct timer){.fire = fire, .cpu = -1};
}

void timer_cancel(struct timer *t)
{
	for (unsigned i = 0; i < 64; i++)
		if (timers[i] == t)
			timers[i] = NULL;
	t->cpu = -1;
}

void timer_arm(struct timer *t, uint64_t deadline)
{
	timer_cancel(t);
	t->deadline = deadline;
	t->cpu = (int)me;
	for (unsigned i = 0; i < 64; i++)
		if (!timers[i]) {
			timers[i] = t;
			return;
		}
	fail();
}

static void fire_due(unsigned cpu)
{
	for (unsigned i = 0; i < 64; i++) {
		struct timer *t = timers[i];

		if (!t || t->cpu != (int)cpu || t->deadline > now)
			continue;
		timers[i] = NULL;
		t->cpu = -1;
		me = cpu;
		t->fire(t);
	}
}

static void run_nothing(struct sched_ent *e)
{
}
static unsigned gone;
static void count_gone(struct sched_ent *e)
{
	gone++;
}
static const struct sched_ops vcpu_ops = {.run = run_nothing, .kind = "vCPU"};
static const struct sched_ops prog_ops = {
	.run = run_nothing, .kind = "program", .gone = count_gone, .credit_ns = 6000000};

static void reset(unsigned n)
{
	memset(runqs, 0, sizeof(runqs));
	memset(cpu_state, 0, sizeof(cpu_state));
	memset(timers, 0, sizeof(timers));
	memset(ipis, 0, sizeof(ipis));
	sched_idle_mask = 0;
	n_cpus = n;
	now = 1000 * MS;
	for (me = 0; me < n; me++) {
		cpus[me] = &cpu_state[me];
		cpu_state[me].index = me;
		cpu_state[me].online = true;
		sched_init_cpu();
	}
	me = 0;
}

static void ready(struct sched_ent *e, const struct sched_ops *ops, struct sched_group *g,
		  uint32_t w)
{
	sched_ent_init(e, ops, g, w);
	sched_unblock(e, BLOCK_NEW);
}

/* One pass of the scheduler loop on a CPU; -> what runs now. */
static struct sched_ent *turn(unsigned cpu)
{
	struct cpu *c = cpus[cpu];
	struct sched_ent *prev = c->current, *e;

	me = cpu;
	if (runqs[cpu].expired)
		sched_balance(c);
	if (runqs[cpu].idle)
		sched_idle_leave(c);
	e = sched_switch(c, prev);
	if (!e && sched_steal(c))
		e = sched_switch(c, NULL);
	if (!e)
		sched_idle_enter(c);
	return e;
}

/* Spinning entities on all CPUs for a while, in steps of a quarter millisecond. */
static void spin_for(uint64_t ns)
{
	for (uint64_t end = now + ns; now < end; now += MS / 4) {
		for (unsigned i = 0; i < n_cpus; i++) {
			fire_due(i);
			if (cpus[i]->need_resched || !cpus[i]->current)
				turn(i);
		}
	}
}

static uint64_t used(struct sched_ent *e)
{
	return sched_cpu_ns(e) / MS;
}

static void test_order_and_weights(void **state)
{
	struct sched_ent a, b, c;

	reset(1);
	ready(&a, &vcpu_ops, NULL, 100);
	ready(&b, &vcpu_ops, NULL, 200);
	ready(&c, &vcpu_ops, NULL, 400);
	spin_for(7000 * MS);
	assert_in_range(used(&a), 980, 1020);
	assert_in_range(used(&b), 1980, 2020);
	assert_in_range(used(&c), 3960, 4040);
	sched_set_weight(&a, 10000);
	sched_set_weight(&c, 1);
	assert_int_equal(runqs[0].load, 10000 + 200 + 1);
	uint64_t before = used(&a);
	spin_for(1000 * MS);
	assert_in_range(used(&a) - before, 900, 1000);
}

static void test_alone_has_no_tick(void **state)
{
	struct sched_ent a, b;

	reset(1);
	ready(&a, &vcpu_ops, NULL, 100);
	assert_ptr_equal(turn(0), &a);
	assert_int_equal(runqs[0].slice.cpu, -1);
	ready(&b, &vcpu_ops, NULL, 100);
	assert_int_equal(runqs[0].slice.cpu, 0);
	assert_false(cpus[0]->need_resched);
	now += SCHED_SLICE_NS;
	fire_due(0);
	assert_true(cpus[0]->need_resched);
	assert_ptr_equal(turn(0), &b);
}

static void test_sleeper_gets_bounded_credit(void **state)
{
	struct sched_ent spinner, sleeper;

	reset(1);
	ready(&sleeper, &vcpu_ops, NULL, 100);
	turn(0);
	sched_block_self(&sleeper, BLOCK_HALT);
	ready(&spinner, &vcpu_ops, NULL, 100);
	spin_for(60000 * MS);
	/* It slept for a minute: it starts at once, but after its credit it only has its share. */
	sched_unblock(&sleeper, BLOCK_HALT);
	assert_true(cpus[0]->need_resched);
	assert_ptr_equal(turn(0), &sleeper);
	uint64_t was = used(&sleeper);
	spin_for(100 * MS);
	assert_in_range(used(&sleeper) - was, 45, 57);
}

static void test_program_answers_among_spinners(void **state)
{
	struct sched_ent spin[8], ctrl;
	uint64_t worst = 0;

	reset(1);
	sched_ent_init(&ctrl, &prog_ops, NULL, 1000);
	for (unsigned i = 0; i < 8; i++)
		ready(&spin[i], &vcpu_ops, NULL, 100);
	spin_for(500 * MS);
	sched_unblock(&ctrl, BLOCK_NEW);
	for (unsigned i = 0; i < 200; i++) {
		uint64_t woke = now;

		while (cpus[0]->current != &ctrl)
			spin_for(MS / 4);
		worst = now - woke > worst ? now - woke : worst;
		now += MS / 2; /* its work */
		sched_block_self(&ctrl, BLOCK_EVENT);
		spin_for(3 * MS);
		sched_unblock(&ctrl, BLOCK_EVENT);
	}
	assert_true(worst <= MS / 2);
}

static void test_block_bits(void **state)
{
	struct sched_ent a;

	reset(1);
	sched_ent_init(&a, &vcpu_ops, NULL, 100);
	sched_block(&a, BLOCK_PAUSE);
	sched_unblock(&a, BLOCK_NEW);
	assert_false(a.queued);
	sched_unblock(&a, BLOCK_PAUSE);
	assert_true(a.queued);
	sched_unblock(&a, BLOCK_PAUSE); /* twice does no harm */
	assert_int_equal(runqs[0].n, 1);
	assert_ptr_equal(turn(0), &a);
	/* Blocks itself, finds its condition met, goes on. */
	sched_block_self(&a, BLOCK_HALT);
	sched_unblock(&a, BLOCK_HALT);
	assert_true(cpus[0]->need_resched);
	assert_ptr_equal(turn(0), &a);
	assert_true(sched_block(&a, BLOCK_PARK));
	assert_null(turn(0));
	assert_false(a.running);
	assert_false(sched_block(&a, BLOCK_DEAD));
	sched_unblock(&a, BLOCK_PARK);
	assert_false(a.queued);
	assert_int_equal(runqs[0].load, 0);
}

static void test_gone_is_due_once(void **state)
{
	struct sched_ent a;

	reset(1);
	ready(&a, &prog_ops, NULL, 100);
	turn(0);
	assert_true(sched_block(&a, BLOCK_DEAD));
	assert_null(runqs[0].gone);
	turn(0);
	assert_ptr_equal(runqs[0].gone, &a);
}

static void test_wake_placement(void **state)
{
	struct sched_ent a, b, c;

	reset(3);
	turn(1);
	turn(2);
	me = 0;
	ready(&a, &vcpu_ops, NULL,
	      100); /* last CPU 0 is busy (not in idle): to the first idle one */
	assert_int_equal(a.cpu, 1);
	assert_int_equal(ipis[1], 1);
	assert_int_equal(sched_idle_mask, 1 << 2);
	ready(&b, &vcpu_ops, NULL, 100);
	assert_int_equal(b.cpu, 2);
	ready(&c, &vcpu_ops, NULL, 100);
	assert_int_equal(c.cpu, 0); /* nobody is idle: where it was */
	assert_ptr_equal(turn(1), &a);
	assert_ptr_equal(turn(2), &b);
	/* It sleeps and wakes: its own CPU, though CPU 2 is idle too. */
	me = 1;
	sched_block_self(&a, BLOCK_HALT);
	assert_ptr_equal(turn(1), &c); /* stolen meanwhile */
	assert_int_equal(c.cpu, 1);
	me = 1;
	sched_block_self(&c, BLOCK_HALT);
	assert_null(turn(1));
	me = 2;
	sched_block_self(&b, BLOCK_HALT);
	assert_null(turn(2));
	me = 0;
	sched_unblock(&b, BLOCK_HALT);
	assert_int_equal(b.cpu, 2);
	assert_true(cpus[2]->need_resched);
}

static void test_handoff(void **state)
{
	struct sched_ent vcpu, vmm, other;

	reset(2);
	sched_ent_init(&vmm, &prog_ops, NULL, 100);
	me = 1;
	turn(1); /* CPU 1 idle: not a reason to send the vmm there */
	me = 0;
	cpus[1]->online = true;
	sched_unblock(&vmm, BLOCK_NEW);
	assert_int_equal(vmm.cpu, 1);
	turn(1);
	sched_block_self(&vmm, BLOCK_EVENT);
	assert_null(turn(1));
	me = 0;
	sched_ent_init(&vcpu, &vcpu_ops, NULL, 100);
	sched_ent_init(&other, &vcpu_ops, NULL, 100);
	sched_idle_mask = 0;
	sched_unblock(&vcpu, BLOCK_NEW);
	sched_unblock(&other, BLOCK_NEW);
	assert_ptr_equal(turn(0), &vcpu);
	for (unsigned i = 0; i < 3; i++) {
		sched_block_self(&vcpu, BLOCK_PARK);
		sched_handoff(&vmm, BLOCK_EVENT);
		assert_int_equal(vmm.cpu, 0);
		assert_ptr_equal(turn(0), &vmm);
		sched_unblock(&vcpu, BLOCK_PARK);
		assert_false(cpus[0]->need_resched); /* the vmm goes on until it waits */
		sched_block_self(&vmm, BLOCK_EVENT);
		assert_ptr_equal(turn(0), &vcpu); /* ahead of other */
	}
	/* But not for ever: the slice ends the preference. */
	now += 10 * MS;
	sched_block_self(&vcpu, BLOCK_PARK);
	sched_handoff(&vmm, BLOCK_EVENT);
	fire_due(0);
	turn(0);
	assert_null(runqs[0].hint);
	sched_unblock(&vcpu, BLOCK_PARK);
	uint64_t was = used(&other);
	spin_for(30 * MS);
	assert_true(used(&other) - was >= 8);
}

/* Whom a doorbell wakes waits until the guest waits, or its patience is over. */
static void test_patience(void **state)
{
	struct sched_ent vcpu, vmm;

	reset(1);
	ready(&vmm, &prog_ops, NULL, 100);
	turn(0);
	sched_block_self(&vmm, BLOCK_EVENT);
	ready(&vcpu, &vcpu_ops, NULL, 100);
	spin_for(100 * MS);
	sched_unblock_soon(&vmm, BLOCK_EVENT, MS / 10);
	assert_false(cpus[0]->need_resched);
	now += MS / 10;
	fire_due(0);
	assert_true(cpus[0]->need_resched);
	assert_ptr_equal(turn(0), &vmm);
	sched_block_self(&vmm, BLOCK_EVENT);
	assert_ptr_equal(turn(0), &vcpu);
	spin_for(100 * MS);
	sched_unblock_soon(&vmm, BLOCK_EVENT, MS / 10);
	sched_block_self(&vcpu, BLOCK_HALT);
	assert_ptr_equal(turn(0), &vmm); /* at once */
	sched_block_self(&vmm, BLOCK_EVENT);
	sched_unblock(&vcpu, BLOCK_HALT);
	assert_ptr_equal(turn(0), &vcpu);
	spin_for(100 * MS);
	sched_unblock_soon(&vmm, BLOCK_EVENT, 0);
	assert_true(cpus[0]->need_resched);
}

static void test_cap(void **state)
{
	struct sched_group g;
	struct sched_ent a, b, c;

	reset(2);
	sched_group_init(&g, 50);
	ready(&a, &vcpu_ops, &g, 100);
	ready(&b, &vcpu_ops, &g, 100);
	ready(&c, &vcpu_ops, NULL, 100);
	spin_for(4000 * MS);
	assert_in_range(used(&a) + used(&b), 1900, 2100); /* half of one CPU, on two */
	assert_in_range(used(&c), 2900, 4000);
	sched_group_set_cap(&g, 0);
	uint64_t was = used(&a) + used(&b);
	spin_for(1000 * MS);
	assert_true(used(&a) + used(&b) - was > 900);
	sched_group_fini(&g);
}

static void test_more_than_cpus(void **state)
{
	struct sched_ent e[3];

	reset(2);
	for (unsigned i = 0; i < 3; i++)
		ready(&e[i], &vcpu_ops, NULL, 100);
	spin_for(9000 * MS);
	for (unsigned i = 0; i < 3; i++)
		assert_in_range(used(&e[i]), 5000, 7000);
}

static void test_idle_cpu_steals(void **state)
{
	struct sched_ent a, b;

	reset(2);
	ready(&a, &vcpu_ops, NULL, 100);
	ready(&b, &vcpu_ops, NULL, 100);
	assert_int_equal(runqs[0].n, 2);
	turn(0);
	assert_non_null(turn(1));
	assert_int_equal(runqs[0].n, 0);
	assert_int_equal(runqs[0].load + runqs[1].load, 200);
}

static void test_random_walk(void **state)
{
	struct sched_ent e[12];
	struct sched_group g;
	unsigned seed = 7;

	reset(4);
	sched_group_init(&g, 120);
	for (unsigned i = 0; i < 12; i++)
		ready(&e[i], i & 1 ? &vcpu_ops : &prog_ops, i & 2 ? &g : NULL, 1 + i * 50);
	for (unsigned step = 0; step < 100000; step++) {
		struct sched_ent *x = &e[(seed >> 8) % 12];

		seed = seed * 1103515245u + 12345u;
		me = (seed >> 16) % 4;
		switch ((seed >> 20) % 6) {
		case 0:
			sched_block(x, BLOCK_PAUSE);
			break;
		case 1:
			sched_unblock(x, BLOCK_PAUSE | BLOCK_HALT);
			break;
		case 2:
			if (cpus[me]->current) {
				sched_block_self(cpus[me]->current, BLOCK_HALT);
				sched_handoff(x, BLOCK_HALT);
			}
			break;
		case 3:
			sched_set_weight(x, 1 + (seed >> 10) % 10000);
			break;
		default:
			now += (seed >> 12) % MS;
			fire_due(me);
			turn(me);
		}
		uint64_t load = 0, sum = 0;
		unsigned queued = 0, counted = 0;

		for (unsigned i = 0; i < 4; i++) {
			load += runqs[i].load;
			counted += runqs[i].n + (runqs[i].hint != NULL);
		}
		for (unsigned i = 0; i < 12; i++) {
			assert_false(e[i].queued && e[i].running);
			assert_false(e[i].queued && e[i].blocked);
			if (!e[i].blocked)
				assert_true(e[i].queued || e[i].running);
			sum += e[i].queued || e[i].running ? e[i].weight : 0;
			queued += e[i].queued;
		}
		assert_int_equal(load, sum);
		assert_int_equal(queued, counted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_weights),
		cmocka_unit_test(test_alone_has_no_tick),
		cmocka_unit_test(test_sleeper_gets_bounded_credit),
		cmocka_unit_test(test_program_answers_among_spinners),
		cmocka_unit_test(test_block_bits),
		cmocka_unit_test(test_gone_is_due_once),
		cmocka_unit_test(test_wake_placement),
		cmocka_unit_test(test_handoff),
		cmocka_unit_test(test_patience),
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_more_than_cpus),
		cmocka_unit_test(test_idle_cpu_steals),
		cmocka_unit_test(test_random_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
