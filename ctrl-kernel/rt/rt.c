/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Start and end of a program, messages, time. Called by crt0 and by everybody; uses nothing of newlib, so a
 * program that does not need newlib does not carry it.
 */
#include "ctrl-kernel/rt/rt.h"
#include "ctrl-kernel/rt/fmt.h"
#include "ctrl-kernel/rt/hvcall.h"

#define LOG_LINE_MAX 240u
#define LAST_WORDS_MAX 128u /* HVC_EXIT takes no more */
#define RT_NAME_MAX 24u

_Static_assert(offsetof(struct hv_info, random) == 128, "crt0.S reads it there");
_Static_assert(HV_VA_INFO == 0x3ff000, "crt0.S reads it there");

int main(void);
void rt_start(void);
void abort(void) __attribute__((noreturn));
void __stack_chk_fail(void) __attribute__((noreturn));
void __assert_func(const char *file, int line, const char *func, const char *what)
	__attribute__((noreturn));

extern uintptr_t __stack_chk_guard;
uintptr_t __stack_chk_guard;

static char rt_name[RT_NAME_MAX];

void rt_start(void)
{
	const struct hv_info *info = rt_info();
	int code;

	if (info->magic != HV_INFO_MAGIC || info->abi_version != HV_ABI_VERSION)
		rt_die("the information page has another ABI version than this program");
	if (rt_name[0] == '\0')
		rt_name_set(info->image == HV_IMAGE_CTRL ? "ctrl" : "vmm");
	code = main();
	hv_exit((uint64_t)code, "main returned", sizeof("main returned") - 1);
}

void rt_name_set(const char *name)
{
	rt_snprintf(rt_name, sizeof(rt_name), "%s", name);
}

void rt_log(const char *format, ...)
{
	char line[LOG_LINE_MAX + 1];
	va_list args;
	size_t used;

	used = rt_snprintf(line, sizeof(line) - 1, "%s: ", rt_name);
	va_start(args, format);
	used += rt_vsnprintf(line + used, sizeof(line) - 1 - used, format, args);
	va_end(args);
	line[used++] = '\n';
	(void)hv_log_write(line, used); /* nowhere to complain to */
}

void rt_die(const char *format, ...)
{
	char words[LAST_WORDS_MAX];
	va_list args;
	size_t used;

	va_start(args, format);
	used = rt_vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	hv_exit(1, words, used);
}

void abort(void)
{
	rt_die("abort() called from %p", __builtin_return_address(0));
}

void __stack_chk_fail(void)
{
	rt_die("stack overwritten in the function that returns to %p", __builtin_return_address(0));
}

/* newlib's assert() */
void __assert_func(const char *file, int line, const char *func, const char *what)
{
	rt_die("%s:%d: %s: assertion failed: %s", file, line, func, what);
}

uint64_t rt_now(void)
{
	const struct hv_info *info = rt_info();
	uint64_t ticks = __builtin_ia32_rdtsc() - info->tsc_base;

	return (uint64_t)(((unsigned __int128)ticks * info->tsc_mult) >> 32);
}

const char *rt_strerror(int hve)
{
	static const char *const text[] = {
		[HVE_OK] = "no error",
		[HVE_NOSYS] = "no such hypercall",
		[HVE_INVAL] = "an argument is out of range",
		[HVE_FAULT] = "a buffer is not mapped",
		[HVE_HANDLE] = "no such handle",
		[HVE_RIGHTS] = "the right is missing",
		[HVE_NOMEM] = "out of memory",
		[HVE_STATE] = "not possible in this state",
		[HVE_EXIST] = "exists already",
		[HVE_NOENT] = "does not exist",
		[HVE_LIMIT] = "a table is full",
		[HVE_NOVIRT] = "this machine has no usable SVM or VMX",
		[HVE_BUSY] = "in use",
	};
	unsigned n = hve < 0 ? 0u - (unsigned)hve : (unsigned)hve;

	return n < ARRAY_SIZE(text) ? text[n] : "unknown error";
}
