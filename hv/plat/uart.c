/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The serial console: a 16550 at COM1, 115200 8N1. Text goes into a queue, from there into the UART as it takes it:
 * at once where it does (emulators), else by a timer every millisecond, so that nobody waits 87 us for each byte with
 * interrupts off. Before the timers run, after a panic, and when the queue is full, the writer waits. A port that is
 * not there or stops taking bytes costs little time and never hangs the machine.
 *
 * Called by lib/log.c under its lock, which an NMI or a panic may ignore; tx_lock keeps the timer out.
 */
#include "hv/plat/uart.h"

#include "hv/cpu/cpu.h"
#include "hv/cpu/x86.h"
#include "hv/lib/log.h"
#include "hv/lib/types.h"
#include "hv/plat/clock.h"
#include "hv/plat/plat.h"
#include "hv/plat/timer_inner.h"

#define COM1 0x3f8u
enum uart_reg {
	UART_DATA = 0,
	UART_IER = 1,
	UART_FCR = 2,
	UART_IIR = 2,
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
	UART_SCRATCH = 7
};
#define LCR_8N1 0x03
#define LCR_DLAB 0x80
#define FCR_ON_CLEAR 0x07
#define IIR_FIFO 0xc0 /* the FIFO works: a 16550A or later */
#define FIFO_16550A 16u
#define MCR_DTR_RTS_OUT2 0x0b
#define LSR_DATA 0x01
#define LSR_BAD_DATA 0x1c /* parity, framing, break: the byte is none that was sent */
#define LSR_THR_EMPTY 0x20
#define LSR_ALL_SENT 0x40
#define DIVISOR_115200 1

#define WAIT_READS 20000u /* a port read takes about 1 us: far more than 1.4 ms for 16 bytes */
#define FAILURES_MAX 4u   /* then the port is given up */
#define QUEUE_SIZE 16384u /* a power of two */
#define DRAIN_NS 1000000ull

static bool present;      /* [I] but for a port that is given up */
static bool by_timer;     /* [I] after uart_use_timer */
static unsigned tx_lock;  /* [a] 1 + the CPU that holds it */
static unsigned failures; /* [L:tx_lock] */
static unsigned fifo;     /* [I] bytes the UART takes at once */
static char queue[QUEUE_SIZE];
static unsigned head, tail; /* [L:tx_lock] free-running */
static struct timer drain_timer;

static void reg_write(enum uart_reg r, uint8_t v)
{
	outb((uint16_t)(COM1 + r), v);
}

static uint8_t reg_read(enum uart_reg r)
{
	return inb((uint16_t)(COM1 + r));
}

void uart_init(void)
{
	clock_start();
	log_output = uart_write;
	reg_write(UART_SCRATCH, 0x5a);
	if (reg_read(UART_SCRATCH) != 0x5a)
		return;
	reg_write(UART_IER, 0);
	reg_write(UART_LCR, LCR_DLAB | LCR_8N1);
	reg_write(UART_DATA, DIVISOR_115200);
	reg_write(UART_IER, 0);
	reg_write(UART_LCR, LCR_8N1);
	reg_write(UART_FCR, FCR_ON_CLEAR);
	reg_write(UART_MCR, MCR_DTR_RTS_OUT2);
	fifo = (reg_read(UART_IIR) & IIR_FIFO) == IIR_FIFO ? FIFO_16550A : 1;
	present = true;
}

/* ---- the queue; the caller holds tx_lock ---- */

/* As much as the UART takes now. LSR tells when all of its own queue is empty: then it takes `fifo` bytes. */
static void pump(void)
{
	while (head != tail && (reg_read(UART_LSR) & LSR_THR_EMPTY) != 0) {
		for (unsigned i = 0; i < fifo && head != tail; i++)
			reg_write(UART_DATA, (uint8_t)queue[tail++ % QUEUE_SIZE]);
		failures = 0;
	}
}

/* Waits until at most `left` bytes are queued, or the UART has taken nothing for too long. */
static void pump_until(unsigned left)
{
	unsigned waited = 0;

	while (head - tail > left && present) {
		unsigned before = tail;

		pump();
		waited = tail == before ? waited + 1 : 0;
		if (waited < WAIT_READS) {
			cpu_pause();
			continue;
		}
		tail = head; /* lost */
		present = ++failures < FAILURES_MAX;
	}
}

static void enqueue(char c)
{
	if (head - tail == QUEUE_SIZE)
		pump_until(QUEUE_SIZE - FIFO_16550A);
	queue[head++ % QUEUE_SIZE] = c;
}

/* ---- with the lock taken here ---- */

/* Early there is one CPU, and it does not know its number. */
static unsigned my_mark(void)
{
	return by_timer ? 1 + this_cpu()->index : 1;
}

static bool try_lock(void)
{
	unsigned nobody = 0;

	return __atomic_compare_exchange_n(&tx_lock, &nobody, my_mark(), false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

static void unlock(void)
{
	__atomic_store_n(&tx_lock, 0, __ATOMIC_SEQ_CST);
}

static bool is_armed(void)
{
	return __atomic_load_n(&drain_timer.cpu, __ATOMIC_SEQ_CST) >= 0;
}

/* Whoever holds the lock now looks at the timer after letting go. The timer is armed under the lock only. */
static void drain(struct timer *t)
{
	if (!try_lock())
		return;
	pump();
	if (head != tail)
		timer_arm(t, time_now() + DRAIN_NS);
	unlock();
}

void uart_use_timer(void)
{
	timer_init(&drain_timer, drain);
	by_timer = true;
}

/* One that was stopped by a panic, or that this NMI interrupted, is ignored. Any other gives it back, however late:
 * two at once would put the timer into two queues. */
static void lock_or_go_on(void)
{
	while (!panic_active && !try_lock() &&
	       __atomic_load_n(&tx_lock, __ATOMIC_RELAXED) != my_mark())
		cpu_pause();
}

/* What is still queued goes by timer, or now if that cannot be. */
static void leave_rest(void)
{
	if (head == tail)
		return;
	if (!by_timer || panic_active ||
	    (!is_armed() && !timer_try_arm(&drain_timer, time_now() + DRAIN_NS)))
		pump_until(0);
}

void uart_write(const char *text, size_t len)
{
	if (!present)
		return;
	lock_or_go_on();
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n')
			enqueue('\r');
		enqueue(text[i]);
	}
	pump();
	leave_rest();
	unlock();
	if (head != tail && !is_armed() &&
	    try_lock()) { /* it fired meanwhile and found the lock taken */
		leave_rest();
		unlock();
	}
}

unsigned uart_room(void)
{
	return present ? QUEUE_SIZE - (head - tail) : QUEUE_SIZE;
}

int uart_read(void)
{
	uint8_t status, byte;

	if (!present)
		return -1;
	status = reg_read(UART_LSR);
	if ((status & LSR_DATA) == 0)
		return -1;
	byte = reg_read(UART_DATA);
	return (status & LSR_BAD_DATA) != 0 ? 0 : byte;
}

void uart_flush(void)
{
	lock_or_go_on();
	pump_until(0);
	for (unsigned i = 0; present && i < WAIT_READS; i++)
		if (reg_read(UART_LSR) & LSR_ALL_SENT)
			break;
	unlock();
}
