/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/loop/loop.c
// SRC: ctrl-kernel/rt/fmt.c
/* The event loop and the formatter: order, re-arming, deadlines. The test is the hypervisor: it hands out event
 * words and moves the clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/rt/fmt.h"
#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/rt/rt.h"

static uint64_t now, last_deadline, script[16];
static unsigned step, steps;
static uint64_t promise, promise_at_wait;
static bool refuses;
static jmp_buf out;
static char trace[128];

struct hv_result hv_raw(uint64_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			uint64_t f)
{
	(void)d, (void)e;
	if (n == HVC_HEARTBEAT) {
		promise = a;
		return (struct hv_result){0, 0};
	}
	if (n != HVC_EVENT_WAIT) {
		snprintf(trace + strlen(trace), sizeof(trace) - strlen(trace), "[%u:%u,%u,%u]",
			 (unsigned)n, (unsigned)a, (unsigned)b, (unsigned)c);
		if (n < HVC_THEN_WAIT || refuses)
			return (struct hv_result){refuses ? -HVE_HANDLE : 0, 0};
		a = f;
	}
	promise_at_wait = promise;
	last_deadline = a;
	if (step == steps)
		longjmp(out, 1);
	if (script[step] == 0 && a != UINT64_MAX && a > now)
		now = a; /* a time-out */
	return (struct hv_result){0, script[step++]};
}

uint64_t rt_now(void)
{
	return now;
}

void rt_die(const char *format, ...)
{
	fail_msg("%s", format);
	abort();
}

static void run(unsigned n, const uint64_t *words)
{
	for (unsigned i = 0; i < n; i++)
		script[i] = words[i];
	step = 0;
	steps = n;
	trace[0] = 0;
	if (setjmp(out) == 0)
		loop_run();
}

static void note(void *ctx)
{
	strcat(trace, ctx);
}

static void test_bits_in_order(void **state)
{
	int high = loop_bit_alloc(note, "h");

	(void)state;
	loop_bit_set(0, note, "a");
	loop_bit_set(3, note, "d");
	run(2, (uint64_t[]){1ull << high | 9, 4});
	assert_string_equal(trace, "adh"); /* bit 2 has no handler: ignored */
	assert_int_equal(last_deadline, UINT64_MAX);
	loop_bit_free(0);
	loop_bit_free(3);
	loop_bit_free((unsigned)high);
}

static void test_all_bits(void **state)
{
	int bits[64];

	(void)state;
	for (int i = 0; i < 64; i++)
		assert_true((bits[i] = loop_bit_alloc(note, "x")) >= 0);
	assert_int_equal(loop_bit_alloc(note, "y"), -1);
	run(1, (uint64_t[]){UINT64_MAX});
	assert_int_equal(strlen(trace), 64);
	for (int i = 0; i < 64; i++)
		loop_bit_free((unsigned)bits[i]);
}

static void test_timers(void **state)
{
	struct loop_timer a, b, c;

	(void)state;
	now = 100;
	loop_timer_init(&a, note, "a");
	loop_timer_init(&b, note, "b");
	loop_timer_init(&c, note, "c");
	loop_timer_set(&a, 300);
	loop_timer_set(&b, 100);
	loop_timer_set(&c, 200);
	loop_timer_cancel(&c);
	loop_timer_cancel(&c);
	run(1, (uint64_t[]){0});
	assert_string_equal(trace, "b");
	assert_int_equal(now, 200);
	assert_int_equal(last_deadline, 400);
	loop_timer_set(&a, 1000); /* moved */
	run(0, NULL);
	assert_int_equal(last_deadline, 1200);
	loop_timer_set(&a, UINT64_MAX); /* saturates */
	run(0, NULL);
	assert_int_equal(last_deadline, UINT64_MAX);
	loop_timer_cancel(&a);
}

static struct loop_timer again;
static void rearm(void *ctx)
{
	note(ctx);
	loop_timer_set(&again, 10);
}

static void test_rearm(void **state)
{
	(void)state;
	loop_timer_init(&again, rearm, "r");
	loop_timer_set(&again, 10);
	run(3, (uint64_t[]){0, 0, 0});
	assert_string_equal(trace, "rrr");
	loop_timer_cancel(&again);
}

static struct loop_job self;
static void requeue(void *ctx)
{
	note(ctx);
	if (strlen(trace) < 6)
		loop_defer(&self);
}

static void test_jobs(void **state)
{
	struct loop_job one = {.fn = note, .ctx = "1"}, two = {.fn = note, .ctx = "2"};

	(void)state;
	self = (struct loop_job){.fn = requeue, .ctx = "s"};
	loop_bit_set(0, note, "e");
	loop_defer(&one);
	loop_defer(&self);
	loop_defer(&two);
	loop_defer(&one); /* queued already */
	run(3, (uint64_t[]){1, 1, 0});
	/* events are looked at between rounds of a job that queues itself */
	assert_string_equal(trace, "1s2eses");
	assert_int_equal(last_deadline, UINT64_MAX);
	loop_bit_free(0);
}

static void say(void *ctx)
{
	note(ctx);
	loop_last_call(HVC_EVENT_POST, 7, 1, 0, 0);
	loop_last_call(HVC_EVENT_POST, 7, 1, 0, 0);
}

static void say_more(void *ctx)
{
	note(ctx);
	loop_last_call(HVC_VM_MSI, 1, 2, 3, 0);
}

/* One call for the last word and the wait; an earlier word is said when there is another. */
static void test_last_call(void **state)
{
	static const uint64_t words[] = {1, 2, 3, 0};

	(void)state;
	loop_bit_set(0, say, "a");
	loop_bit_set(1, say_more, "b");
	run(4, words);
	assert_string_equal(trace, "a[132:7,1,0]b[195:1,2,3]ab[4:7,1,0][195:1,2,3]");
	assert_int_equal(last_deadline, UINT64_MAX);
	refuses = true; /* then it has not waited */
	run(2, words);
	assert_string_equal(trace, "a[132:7,1,0]b[195:1,2,3]");
	refuses = false;
	loop_bit_free(0);
	loop_bit_free(1);
}

static void take_long(void *ctx)
{
	note(ctx);
	loop_long_turn();
}

/* The promise is the short one at every wait, also after a turn that needed the long one. */
static void test_heartbeat(void **state)
{
	uint64_t longer, usual;

	(void)state;
	loop_long_turn();
	longer = promise;
	run(1, (uint64_t[]){0});
	usual = promise_at_wait;
	assert_true(usual >= HV_HEARTBEAT_MIN_NS && usual < longer);
	promise = 0; /* not called again when nothing changes */
	run(2, (uint64_t[]){0, 0});
	assert_int_equal(promise, 0);
	loop_bit_set(3, take_long, "l");
	run(1, (uint64_t[]){8});
	assert_string_equal(trace, "l");
	assert_int_equal(promise_at_wait, usual);
	loop_bit_free(3);
}

static void test_format(void **state)
{
	char b[64];

	(void)state;
	rt_snprintf(b, sizeof(b), "%s|%5d|%-4u|%04x|%llx|%c|%%|%p", "ab", -12, 7u, 0xabu,
		    0x123456789abcull, 'z', (void *)0x10);
	assert_string_equal(b, "ab|  -12|7   |00ab|123456789abc|z|%|0x10");
	rt_snprintf(b, sizeof(b), "%.3s|%6.2s|%-5s|%zu|%ld|%X", "abcdef", "xyz", "q", (size_t)9,
		    INT64_MIN, 0xbeefu);
	assert_string_equal(b, "abc|    xy|q    |9|-9223372036854775808|BEEF");
	assert_int_equal(rt_snprintf(b, 4, "%s", "abcdef"), 3);
	assert_string_equal(b, "abc");
	assert_int_equal(rt_snprintf(b, 0, "x"), 0);
	rt_snprintf(b, sizeof(b), "%.*s|%08d", 2, "abc", -42);
	assert_string_equal(b, "ab|-0000042");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bits_in_order), cmocka_unit_test(test_all_bits),
		cmocka_unit_test(test_timers),        cmocka_unit_test(test_rearm),
		cmocka_unit_test(test_heartbeat),     cmocka_unit_test(test_jobs),
		cmocka_unit_test(test_last_call),     cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
