/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host log. Every line begins with the seconds since hv start. A message holds the lock from its first to its
 * last line, so lines of different CPUs never mix. A program's unfinished line (log_write) is ended when another
 * message comes in between. The last of it stays in a ring.
 */
#include "hv/lib/log.h"

#include "hv/lib/types.h"

void (*log_output)(const char *text, size_t len);
uint64_t (*log_clock)(void);

static bool log_lock; /* [a] */
static bool in_line;  /* [L:log_lock] the last line lacks its newline */

/* A power of two: whoever ignored the lock may confuse the text, but writes nowhere else. */
_Static_assert((LOG_RING & (LOG_RING - 1)) == 0, "positions wrap");
static char ring[LOG_RING];   /* [L:log_lock] */
static uint64_t ring_written; /* [L:log_lock] bytes since the start */

/*
 * A message must come out whatever happened to the holder of the lock: an NMI that reports from inside a message, a
 * CPU that died or was stopped by a panic. So the wait ends, after far longer than a message takes at 115200 baud.
 */
#define LOCK_SPINS (1u << 24)

static void lock(void)
{
	for (unsigned i = 0; i < LOCK_SPINS && !panic_active; i++) {
		if (!__atomic_exchange_n(&log_lock, true, __ATOMIC_ACQUIRE))
			return;
		while (__atomic_load_n(&log_lock, __ATOMIC_RELAXED) && i++ < LOCK_SPINS &&
		       !panic_active)
			__builtin_ia32_pause();
	}
}

static void unlock(void)
{
	__atomic_store_n(&log_lock, false, __ATOMIC_RELEASE);
}

static void emit(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		ring[ring_written++ % LOG_RING] = text[i];
	if (log_output != NULL && len != 0)
		log_output(text, len);
}

static void emit_stamp(void)
{
	uint64_t us = log_clock == NULL ? 0 : log_clock() / 1000;
	char stamp[32];
	int n = hv_snprintf(stamp, sizeof(stamp), "[%5llu.%06llu] ",
			    (unsigned long long)(us / 1000000), (unsigned long long)(us % 1000000));

	emit(stamp, (size_t)n);
}

static void emit_newline(void)
{
	emit("\n", 1);
	in_line = false;
}

/* Text that may hold several lines, or none that ends. */
static void emit_lines(const char *text, size_t len)
{
	size_t at = 0;

	while (at < len) {
		size_t end = at;

		while (end < len && text[end] != '\n')
			end++;
		if (!in_line)
			emit_stamp();
		emit(&text[at], end - at);
		in_line = true;
		if (end < len)
			emit_newline();
		at = end + 1;
	}
}

void log_printf(const char *format, ...)
{
	char text[LOG_LINE];
	va_list args;
	int n;

	va_start(args, format);
	n = hv_vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	lock();
	if (in_line)
		emit_newline();
	emit_lines(text, MIN((size_t)n, sizeof(text) - 1));
	if (in_line)
		emit_newline();
	unlock();
}

static char printable(char c)
{
	if (c == '\n' || c == '\t')
		return c;
	return (uint8_t)c < 0x20 || c == 0x7f ? '?' : c;
}

void log_write(const char *text, size_t len)
{
	char clean[LOG_LINE];

	lock();
	while (len != 0) {
		size_t out = 0;
		size_t n = MIN(len, sizeof(clean));

		for (size_t i = 0; i < n; i++)
			if (text[i] != '\r')
				clean[out++] = printable(text[i]);
		emit_lines(clean, out);
		text += n;
		len -= n;
	}
	unlock();
}

uint64_t log_end(void)
{
	uint64_t end;

	lock();
	end = ring_written;
	unlock();
	return end;
}

size_t log_read(uint64_t *at, char *to, size_t room)
{
	uint64_t from = *at;
	size_t n = 0;

	lock();
	if (ring_written > LOG_RING)
		from = MAX(from, ring_written - LOG_RING);
	while (n < room && from < ring_written)
		to[n++] = ring[from++ % LOG_RING];
	unlock();
	*at = from;
	return n;
}

void log_tail(char *to, size_t size)
{
	uint64_t end = log_end(), at = end >= size ? end - (size - 1) : 0;
	bool cut = at != 0 || end > LOG_RING;
	size_t n = log_read(&at, to, size - 1), start = 0;

	while (cut && start < n && to[start] != '\n')
		start++;
	start += cut && start < n;
	for (size_t i = start; i < n; i++)
		to[i - start] = to[i];
	to[n - start] = '\0';
}
