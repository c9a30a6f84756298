/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/plat/uart.c
/* The console against a UART that is quick, slow, stuck or absent; waiting and by timer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "hv/cpu/cpu.h"
#include "hv/lib/log.h"
#include "hv/plat/clock.h"
#include "hv/plat/plat.h"
#include "hv/plat/timer_inner.h"
#include "hv/plat/uart.h"

volatile bool panic_active;
void (*log_output)(const char *text, size_t len);

static struct {
	bool absent, stuck, no_fifo;
	unsigned reads_per_byte; /* how slow: readings of the status until a byte is out */
	uint8_t scratch, lcr, fcr;
	unsigned queued, reads, lost;
	const char *in; /* what comes in; NULL: nothing */
	uint8_t in_errors;
	char out[100000];
	size_t out_len;
} uart;
static unsigned long port_reads;
static struct timer *armed;
static bool arm_fails;

uint8_t inb(uint16_t port)
{
	port_reads++;
	if (uart.absent)
		return 0xff;
	switch (port - 0x3f8) {
	case 0:
		return uart.in && *uart.in ? (uint8_t)*uart.in++ : 0x55;
	case 2:
		return (uint8_t)(uart.no_fifo ? 1 : 0xc1);
	case 5:
		if (!uart.stuck && uart.queued != 0 && ++uart.reads >= uart.reads_per_byte) {
			uart.reads = 0;
			uart.queued--;
		}
		return (uint8_t)((uart.queued == 0 ? 0x60 : 0) |
				 (uart.in && *uart.in ? 1 | uart.in_errors : 0));
	case 7:
		return uart.scratch;
	default:
		return 0;
	}
}

void outb(uint16_t port, uint8_t v)
{
	if (port == 0x3ff)
		uart.scratch = v;
	if (port == 0x3fb)
		uart.lcr = v;
	if (port == 0x3fa)
		uart.fcr = v;
	if (port != 0x3f8 || (uart.lcr & 0x80) != 0)
		return;
	if (uart.queued == (uart.no_fifo ? 1 : 16)) {
		uart.lost++;
		return;
	}
	uart.out[uart.out_len++] = (char)v;
	uart.queued += uart.reads_per_byte != 0;
}

void cpu_pause(void)
{
}

struct cpu *this_cpu(void)
{
	static struct cpu c;

	return &c;
}

void clock_start(void)
{
}

uint64_t time_now(void)
{
	return 0;
}

void timer_init(struct timer *t, void (*fire)(struct timer *))
{
	*t = (struct timer){.fire = fire, .cpu = -1};
}

void timer_arm(struct timer *t, uint64_t deadline_ns)
{
	(void)deadline_ns;
	t->cpu = 0;
	armed = t;
}

bool timer_try_arm(struct timer *t, uint64_t deadline_ns)
{
	if (arm_fails)
		return false;
	timer_arm(t, deadline_ns);
	return true;
}

static void tick(void)
{
	struct timer *t = armed;

	armed = NULL;
	t->cpu = -1;
	t->fire(t);
}

/* The order matters: a port that was given up stays so, so the stuck one comes last. */
static void plug(unsigned reads_per_byte)
{
	memset(&uart, 0, sizeof(uart));
	uart.reads_per_byte = reads_per_byte;
	port_reads = 0;
	uart_init();
}

static void test_absent(void **state)
{
	(void)state;
	plug(0);
	uart.absent = true;
	uart.scratch = 0;
	uart_init();
	assert_ptr_equal(log_output, uart_write);
}

static void test_waits_before_timers(void **state)
{
	(void)state;
	plug(10);
	uart_write("hello\nworld, this is more than sixteen\n", 39);
	assert_int_equal(uart.out_len, 41);
	assert_memory_equal(uart.out, "hello\r\nworld", 12);
	assert_int_equal(uart.lost, 0);
	uart.no_fifo = true;
	uart_init();
	uart_write("and without a queue\n", 20);
	assert_int_equal(uart.out_len, 62);
}

static void test_by_timer(void **state)
{
	char text[1000];

	(void)state;
	plug(200);
	uart_use_timer();
	memset(text, 'x', sizeof(text));
	uart_write(text, sizeof(text));
	assert_true(port_reads < 10); /* nobody waited */
	assert_non_null(armed);
	uart_write("!", 1);
	while (armed != NULL) {
		uart.queued = 0; /* a millisecond later */
		tick();
	}
	assert_int_equal(uart.out_len, 1001);
	assert_int_equal(uart.out[1000], '!');
	assert_int_equal(uart.lost, 0);
	/* more than the queue holds: the writer waits for the rest, nothing is lost */
	for (unsigned i = 0; i < 40; i++)
		uart_write(text, sizeof(text));
	uart_flush();
	assert_int_equal(uart.out_len, 41001);
	assert_int_equal(uart.lost, 0);
	/* in an NMI the timer cannot be armed, after a panic it may never fire */
	if (armed != NULL)
		tick();
	arm_fails = true;
	uart_write(text, 100);
	assert_int_equal(uart.out_len, 41101);
	arm_fails = false;
	panic_active = true;
	uart_write(text, 100);
	assert_int_equal(uart.out_len, 41201);
	panic_active = false;
}

static void test_read(void **state)
{
	(void)state;
	plug(10);
	assert_int_equal(uart_read(), -1);
	uart.in = "a\377";
	assert_int_equal(uart_read(), 'a');
	assert_int_equal(uart_read(), 0xff);
	assert_int_equal(uart_read(), -1);
	uart.in = "bc";
	uart.in_errors = 0x08; /* framing */
	assert_int_equal(uart_read(), 0);
	uart.in_errors = 0x02; /* one before was overrun; this one is good */
	assert_int_equal(uart_read(), 'c');
}

static void test_stuck_is_given_up(void **state)
{
	(void)state;
	plug(10);
	uart.stuck = true;
	for (unsigned i = 0; i < 20; i++) {
		uart_write("some text that does not fit into the queue of the device", 56);
		uart_flush();
	}
	assert_true(port_reads < 200000);
	port_reads = 0;
	uart_write("more", 4);
	assert_int_equal(uart_read(), -1);
	assert_int_equal(port_reads, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_absent),
		cmocka_unit_test(test_waits_before_timers),
		cmocka_unit_test(test_by_timer),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_stuck_is_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
