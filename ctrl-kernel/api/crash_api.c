/* SPDX-License-Identifier: BSD-2-Clause */
/* /v1/host/crashes: what hv wrote down about programs that died by themselves. */
#include "ctrl-kernel/api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include "ctrl-kernel/ops/host.h"

#define NUMBER_DIGITS 18u /* fits into 64 bits */

static const struct {
	const char *name;
	size_t offset;
} registers[] = {
#define REGISTER(r)                                                                                \
	{                                                                                          \
#r, offsetof(struct hv_prog_regs, r)                                               \
	}
	REGISTER(rax), REGISTER(rbx), REGISTER(rcx), REGISTER(rdx), REGISTER(rsi), REGISTER(rdi),
	REGISTER(rbp), REGISTER(rsp), REGISTER(r8),  REGISTER(r9),  REGISTER(r10), REGISTER(r11),
	REGISTER(r12), REGISTER(r13), REGISTER(r14), REGISTER(r15), REGISTER(rip), REGISTER(rflags),
#undef REGISTER
};

static void out_address(struct out *o, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)value);
	out_str(o, key, text);
}

static void write_summary(struct out *o, const struct hv_crash *c)
{
	char room[24];

	out_u64(o, "number", c->number);
	out_time(o, "time", host_utc_ns(c->time_ns));
	out_u64(o, "uptime_ms", c->time_ns / 1000000);
	out_str(o, "program", c->image == HV_IMAGE_CTRL ? "control" : "vmm");
	if (c->vm_name[0])
		out_str(o, "vm", c->vm_name);
	else
		out_null(o, "vm");
	out_str(o, "cause", host_crash_cause(c->cause, room, sizeof(room)));
	out_str(o, "last_words", c->text);
}

void api_crashes_list(struct api_call *call)
{
	struct hv_crash c;
	uint64_t newest = host_crash(0, &c) ? c.number : 0;
	struct buf b = {0};
	struct out o = {.b = &b};

	out_object(&o, NULL);
	out_array(&o, "items");
	for (uint64_t n = newest; n > 0 && newest - n < HV_CRASH_RECORDS; n--) {
		if (!host_crash(n, &c))
			break;
		out_object(&o, NULL);
		write_summary(&o, &c);
		out_close(&o, '}');
	}
	out_close(&o, ']');
	out_close(&o, '}');
	api_reply_json(call, 200, &b, "");
}

/* 0: it is no number of a record. */
static uint64_t number_of(const char *text)
{
	uint64_t n = 0;
	unsigned i;

	for (i = 0; text[i] >= '0' && text[i] <= '9' && i < NUMBER_DIGITS; i++)
		n = n * 10 + (unsigned)(text[i] - '0');
	return text[i] == '\0' ? n : 0;
}

static void write_rest(struct out *o, const struct hv_crash *c)
{
	out_u64(o, "program_id", c->prog);
	out_address(o, "code", c->code);
	out_address(o, "cr2", c->cr2);
	out_object(o, "registers");
	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++)
		out_address(o, registers[i].name,
			    *(const uint64_t *)((const char *)&c->regs + registers[i].offset));
	out_close(o, '}');
	out_hex(o, "instructions", c->at_rip, c->code_bytes);
	out_hex(o, "stack", c->at_rsp, c->stack_bytes);
	out_str(o, "log", c->log);
}

void api_crash_get(struct api_call *call)
{
	uint64_t n = number_of(call->name);
	struct hv_crash c;
	struct buf b = {0};
	struct out o = {.b = &b};

	if (n == 0 || !host_crash(n, &c)) {
		api_reply_problem(call, 404,
				  "there is no such crash record; the last ones are kept, and "
				  "GET /v1/host/crashes lists them",
				  "");
		return;
	}
	out_object(&o, NULL);
	write_summary(&o, &c);
	write_rest(&o, &c);
	out_close(&o, '}');
	api_reply_json(call, 200, &b, "");
}
