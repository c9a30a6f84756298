/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Facts about the machine, notes about its configuration, random bytes (host.h).
 */
#include "ctrl-kernel/ops/host.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "mbedtls/sha256.h"
#include "ctrl-kernel/rt/hvcall.h"

#define NS_PER_S 1000000000ull

#ifndef SOCLE_VERSION
#define SOCLE_VERSION "unknown" /* the Makefile has it */
#endif
#ifndef SOCLE_BUILD
#define SOCLE_BUILD "unknown"
#endif
const char socle_version[] = SOCLE_VERSION;
const char socle_build[] = SOCLE_BUILD;

static struct host_note notes[HOST_NOTES_MAX];
static unsigned n_notes;

void host_info(struct hv_host_info *out)
{
	memset(out, 0, sizeof(*out));
	/* It fails only for a bad buffer or a program without rights; neither is ours. */
	if (hv_host_info(out))
		snprintf(out->virt_reason, sizeof(out->virt_reason), "not known");
	out->virt_reason[sizeof(out->virt_reason) - 1] = '\0';
	out->cpu_model[sizeof(out->cpu_model) - 1] = '\0';
	out->spec_issues[HV_SPEC_TEXT - 1] = out->spec_open[HV_SPEC_TEXT - 1] = '\0';
	out->spec_defences[HV_SPEC_TEXT - 1] = out->spec_off[HV_SPEC_TEXT - 1] = '\0';
}

bool host_crash(uint64_t n, struct hv_crash *out)
{
	if (hv_crash_info(n, out))
		return false;
	out->vm_name[sizeof(out->vm_name) - 1] = '\0';
	out->text[sizeof(out->text) - 1] = '\0';
	out->log[sizeof(out->log) - 1] = '\0';
	if (out->code_bytes > HV_CRASH_CODE)
		out->code_bytes = HV_CRASH_CODE;
	if (out->stack_bytes > HV_CRASH_STACK)
		out->stack_bytes = HV_CRASH_STACK;
	return true;
}

const char *host_crash_cause(uint32_t cause, char *room, size_t size)
{
	static const char *const exceptions[] = {
		[0] = "division error", [1] = "debug exception",      [3] = "breakpoint",
		[4] = "overflow",       [5] = "bound range exceeded", [6] = "invalid instruction",
		[12] = "stack fault",   [13] = "general protection",  [14] = "page fault",
		[16] = "x87 exception", [17] = "alignment check",     [19] = "SIMD exception",
	};

	if (cause == HV_CAUSE_EXIT)
		return "exit";
	if (cause == HV_CAUSE_HUNG)
		return "hung";
	if (cause == HV_CAUSE_UNHEALTHY)
		return "not healthy";
	if (cause < ARRAY_SIZE(exceptions) && exceptions[cause])
		return exceptions[cause];
	snprintf(room, size, "exception %u", cause);
	return room;
}

static uint64_t (*owed)(void);

void host_memory_owed(uint64_t (*fn)(void))
{
	owed = fn;
}

uint64_t host_memory_spare(void)
{
	uint64_t taken = HOST_RESERVE_PAGES + (owed ? owed() : 0);
	struct hv_host_info info;

	host_info(&info);
	return info.mem_free < taken ? 0 : (info.mem_free - taken) * HV_PAGE_SIZE;
}

uint64_t host_memory_total(void)
{
	struct hv_host_info info;

	host_info(&info);
	return info.mem_total * HV_PAGE_SIZE;
}

uint64_t host_heap_used(void)
{
#ifdef HOST_TEST
	return 0; /* the sanitizer's allocator has its own books */
#else
	return (uint64_t)mallinfo().uordblks;
#endif
}

uint64_t host_utc_ns(uint64_t monotonic_ns)
{
	static uint64_t epoch;

	if (epoch == 0) {
		struct hv_host_info info;

		host_info(&info);
		epoch = info.boot_epoch;
	}
	return epoch ? epoch * NS_PER_S + monotonic_ns : 0;
}

void host_note(const char *source, unsigned line, const char *format, ...)
{
	struct host_note n = {.line = line};
	va_list ap;

	snprintf(n.source, sizeof(n.source), "%s", source);
	va_start(ap, format);
	vsnprintf(n.text, sizeof(n.text), format, ap);
	va_end(ap);
	if (line)
		rt_log("warning: %s, line %u: %s", n.source, line, n.text);
	else
		rt_log("warning: %s: %s", n.source, n.text);
	if (n_notes < HOST_NOTES_MAX)
		notes[n_notes++] = n;
}

const struct host_note *host_notes(unsigned *n)
{
	*n = n_notes;
	return notes;
}

void host_random(uint8_t out[16])
{
	static struct {
		uint64_t seed[4];
		uint64_t counter, now;
		char purpose[16];
	} in = {.purpose = "socle host id"};
	uint8_t sum[32];

	memcpy(in.seed, rt_info()->random, sizeof(in.seed));
	in.counter++;
	in.now = rt_now();
	mbedtls_sha256((const uint8_t *)&in, sizeof(in), sum, 0);
	memcpy(out, sum, 16);
}
