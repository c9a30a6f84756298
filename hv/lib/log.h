/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host log: text to the serial console, each line with seconds since hv start. Any context, any CPU.
 * A message is one line unless it contains newlines; the last newline may be left out. At most LOG_LINE bytes each.
 * Formats: %s %c %d %u %x %lu %lx %ld %llu %llx %zu %p %%, with width, 0-padding, '-', and precision for %s.
 */
#ifndef HV_LIB_LOG_H
#define HV_LIB_LOG_H

#include <stdarg.h>
#include "hv/lib/types.h"

#define LOG_LINE 256u

void log_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Raw text of a program: perhaps half a line, perhaps many; control characters are replaced. */
void log_write(const char *text, size_t len);
int hv_snprintf(char *buf, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int hv_vsnprintf(char *buf, size_t size, const char *format, va_list args);

/* What was put out lately, also what the serial port lost. Positions count all bytes since the start. */
#define LOG_RING 16384u
uint64_t log_end(void);
/* From *at on, or from the oldest byte still there; *at moves on. 0: there is no more. */
size_t log_read(uint64_t *at, char *to, size_t room);
/* The last whole lines that fit, terminated by a NUL. */
void log_tail(char *to, size_t size);

/* A bug in hv or broken hardware: registers, text, halt of all CPUs. Never for outside data. */
NORETURN void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));
NORETURN void assert_failed(const char *what, const char *file, int line);
/* Hooks that code to the right of lib sets; NULL: none yet. The serial port (called with the log's lock held), the
 * clock in ns, and what stops the other CPUs: the NMI by which it does finds panic_active set. */
extern void (*log_output)(const char *text, size_t len);
extern uint64_t (*log_clock)(void);
extern void (*panic_hook)(void);
extern volatile bool panic_active;

#define assert(c) ((c) ? (void)0 : assert_failed(#c, __FILE__, __LINE__))

#endif
