/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /v1/vms/{name}/actions/{verb} and /v1/vms/{name}/console.
 */
#include "ctrl-kernel/api/api.h"

#include <stdio.h>
#include <string.h>

static void reply_vm(struct api_call *call, unsigned status)
{
	struct vm *vm = api_vm(call);
	struct buf b = {0};
	struct out o = {.b = &b};

	if (!vm)
		return;
	vm_write(&o, NULL, vm);
	api_reply_json(call, status, &b, "");
}

static void action_done(void *ctx, const struct ops_error *e)
{
	struct api_call *call = ctx;

	if (!api_call_back(call))
		return;
	if (e)
		api_reply_error(call, e);
	else
		reply_vm(call, 200);
}

/* An action answers at once, or later through action_done(): stop, too, when requests of disks are under way. */
static const struct {
	const char *verb;
	int (*at_once)(struct vm *vm, struct ops_error *e);
	int (*later)(struct vm *vm, ops_done_fn done, void *ctx, struct ops_error *e);
	unsigned status;
} actions[] = {
	{"start", NULL, vm_start, 200},
	{"stop", vm_stop, NULL, 200},
	{"shutdown", vm_shutdown, NULL, 202}, /* the guest decides what it does about it */
	{"reset", NULL, vm_reset, 200},
	{"pause", vm_pause, NULL, 200},
	{"resume", vm_resume, NULL, 200},
	{"test-crash-vmm", vm_test_crash, NULL, 202},
	{"test-bad-state", vm_test_state, NULL, 202},
};

static void action_run(struct api_call *call, struct vm *vm, unsigned i)
{
	struct ops_error e;
	int r;

	if (actions[i].later) {
		call->waiting = true;
		r = actions[i].later(vm, action_done, call, &e);
		if (r == 0)
			return;
		call->waiting = false;
	} else {
		r = actions[i].at_once(vm, &e);
		call->waiting = r == 0 && vm_stop_wait(vm, action_done, call);
		if (call->waiting)
			return;
	}
	if (r)
		api_reply_error(call, &e);
	else
		reply_vm(call, actions[i].status);
}

void api_vm_action(struct api_call *call)
{
	struct vm *vm = api_vm(call);
	char detail[160];

	if (!vm || api_vm_job(call, vm) || !api_body_none(call))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(actions); i++) {
		if (strcmp(call->verb, actions[i].verb) == 0) {
			action_run(call, vm, i);
			return;
		}
	}
	snprintf(detail, sizeof(detail),
		 "there is no action \"%.40s\"; there are start, stop, shutdown, reset, pause, "
		 "resume, save, checkpoint, restore",
		 call->verb);
	api_reply_problem(call, 404, detail, "");
}

/* since=N -> false: it answered. Absent: from the oldest byte there is. */
static bool console_since(struct api_call *call, uint64_t *since)
{
	char text[24];
	const char *at = api_query(call, "since", text, sizeof(text));

	*since = 0;
	if (!at)
		return true;
	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(*since, 10, since) ||
		    __builtin_add_overflow(*since, (uint64_t)(*at - '0'), since))
			break;
	if (*at == '\0' && text[0])
		return true;
	api_reply_problem(call, 400,
			  "since is the number of a byte, as Socle-Console-Next gives it", "");
	return false;
}

/* port=hvc0, or ttyS0, which need not be given. False: it answered. */
static bool console_port(struct api_call *call, struct vm *vm, bool *hvc)
{
	char text[16];
	const char *port = api_query(call, "port", text, sizeof(text));
	struct ops_error e;

	*hvc = port && strcmp(port, "hvc0") == 0;
	if (port && !*hvc && strcmp(port, "ttyS0") != 0) {
		api_reply_problem(call, 400, "port is ttyS0, the serial console, or hvc0", "");
		return false;
	}
	if (!*hvc || vm_check_hvc(vm, &e) == 0)
		return true;
	api_reply_error(call, &e);
	return false;
}

void api_console_get(struct api_call *call)
{
	struct vm *vm = api_vm(call);
	bool hvc;
	uint64_t since, next, lost;
	char extra[96];
	struct buf b = {0};

	if (!vm || !console_port(call, vm, &hvc) || !console_since(call, &since))
		return;
	if (!buf_reserve(&b, HV_CONSOLE_RING))
		next = lost = 0;
	else if (hvc)
		b.len = hvc_read(&vm->hvc, since, b.data, HV_CONSOLE_RING, &next, &lost);
	else
		b.len = console_read(&vm->console, since, b.data, HV_CONSOLE_RING, &next, &lost);
	snprintf(extra, sizeof(extra), "Socle-Console-Next: %llu\r\nSocle-Console-Lost: %llu\r\n",
		 (unsigned long long)next, (unsigned long long)lost);
	api_reply(call, 200, "application/octet-stream", &b, extra);
}

void api_console_post(struct api_call *call)
{
	struct vm *vm = api_vm(call);
	struct ops_error e;
	bool hvc;

	if (!vm || !console_port(call, vm, &hvc))
		return;
	if (vm_console_input(vm, hvc, call->rq->body, call->rq->body_len, &e))
		api_reply_error(call, &e);
	else
		api_reply_empty(call);
}
