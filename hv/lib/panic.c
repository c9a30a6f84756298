/* SPDX-License-Identifier: BSD-2-Clause */
/* The end: a bug in hv or broken hardware. Stops the other CPUs, says what happened, halts. */
#include "hv/lib/log.h"

#include "hv/lib/types.h"

void (*panic_hook)(void);
volatile bool panic_active;

static NORETURN void halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt" : : : "memory");
}

NORETURN void panic(const char *format, ...)
{
	static char text[LOG_LINE]; /* the stack may be what is broken */
	static unsigned panics;     /* [a] */
	va_list args;

	if (__atomic_fetch_add(&panics, 1, __ATOMIC_RELAXED) != 0)
		halt(); /* another CPU is telling, or the telling itself failed */
	panic_active = true;
	if (panic_hook != NULL)
		panic_hook();
	va_start(args, format);
	(void)hv_vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_printf("panic: %s", text);
	log_printf("The machine is halted. Please report the lines above.");
	halt();
}

NORETURN void assert_failed(const char *what, const char *file, int line)
{
	panic("assertion failed: %s (%s:%d)", what, file, line);
}

/* gcc's stack protector calls this when a function's canary was overwritten. */
NORETURN void __stack_chk_fail(void);
NORETURN void __stack_chk_fail(void)
{
	panic("a stack frame was overwritten; called from %p", __builtin_return_address(0));
}
