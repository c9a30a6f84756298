/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /v1/vms: descriptions, states and figures. Actions and the console are in action_api.c.
 */
#include "ctrl-kernel/api/api.h"

#include <stdio.h>
#include "cJSON.h"
#include "ctrl-kernel/ops/host.h"

const char *const exit_names[HV_EXIT_KINDS] = {
	[HV_EXIT_INTR] = "interrupt",
	[HV_EXIT_CPUID] = "cpuid",
	[HV_EXIT_RDMSR] = "rdmsr",
	[HV_EXIT_WRMSR] = "wrmsr",
	[HV_EXIT_PIO] = "pio",
	[HV_EXIT_MMIO] = "mmio",
	[HV_EXIT_HLT] = "hlt",
	[HV_EXIT_PAUSE] = "pause",
	[HV_EXIT_WINDOW] = "interrupt_window",
	[HV_EXIT_HYPERCALL] = "hypercall",
	[HV_EXIT_CR] = "control_register",
	[HV_EXIT_EXCEPTION] = "exception",
	[HV_EXIT_CACHE] = "cache",
	[HV_EXIT_XSETBV] = "xsetbv",
	[HV_EXIT_UNDEFINED] = "undefined",
	[HV_EXIT_SHUTDOWN] = "shutdown",
	[HV_EXIT_INVALID] = "invalid",
	[HV_EXIT_INIT] = "init",
	[HV_EXIT_DESC] = "descriptor",
	[HV_EXIT_EOI] = "eoi",
	[HV_EXIT_APIC_WRITE] = "apic_write",
	[HV_EXIT_OTHER] = "other",
};

struct vm *api_vm(struct api_call *call)
{
	struct vm *vm = vm_find(call->name);
	struct ops_error e;

	if (vm)
		return vm;
	ops_fail(&e, OPS_NO_VM, NULL, "there is no VM \"%s\"", call->name);
	api_reply_error(call, &e);
	return NULL;
}

void vm_write(struct out *o, const char *key, const struct vm *vm)
{
	static const char *const pending[] = {"", "start", "reset", "save", "restore", "stop"};
	char uuid[37];

	vm_uuid_text(vm->uuid, uuid);
	out_object(o, key);
	out_str(o, "uuid", uuid);
	vmspec_write(o, &vm->spec);
	out_str(o, "state", vm_state_name(vm->state));
	out_object(o, "reason");
	out_str(o, "code", vm->reason_code);
	out_str(o, "detail", vm->reason);
	out_close(o, '}');
	out_time(o, "changed_at", host_utc_ns(vm->changed_ns));
	out_u64(o, "changed_uptime_ms", vm->changed_ns / 1000000);
	out_optional(o, "pending", pending[vm->pending]);
	out_optional(o, "start_error", vm->start_error);
	out_close(o, '}');
}

static void reply_vm(struct api_call *call, unsigned status, const struct vm *vm, const char *extra)
{
	struct buf b = {0};
	struct out o = {.b = &b};

	vm_write(&o, NULL, vm);
	api_reply_json(call, status, &b, extra);
}

void api_vms_list(struct api_call *call)
{
	struct buf b = {0};
	struct out o = {.b = &b};

	out_object(&o, NULL);
	out_array(&o, "items");
	for (const struct vm *vm = vm_first(); vm; vm = vm->next)
		vm_write(&o, NULL, vm);
	out_close(&o, ']');
	out_close(&o, '}');
	api_reply_json(call, 200, &b, "");
}

void api_vms_post(struct api_call *call)
{
	struct json_errors errors = {0};
	struct ops_error e;
	struct vm_spec spec;
	struct vm *vm;
	char extra[128];
	struct cJSON *root = api_body_json(call);
	bool ok;

	if (!root)
		return;
	vm_spec_default(&spec);
	ok = json_decode(root, &vmspec_object, &spec, "", &errors);
	cJSON_Delete(root);
	if (!ok) {
		api_reply_json_errors(call, &errors);
		return;
	}
	if (vm_define(&spec, &vm, &e)) {
		api_reply_error(call, &e);
		return;
	}
	snprintf(extra, sizeof(extra), "Location: /v1/vms/%s\r\n", vm->spec.name);
	reply_vm(call, 201, vm, extra);
}

void api_vm_get(struct api_call *call)
{
	struct vm *vm = api_vm(call);

	if (vm)
		reply_vm(call, 200, vm, "");
}

/* What is not given stays; a list that is given replaces the one before. */
void api_vm_patch(struct api_call *call)
{
	struct vm *vm = api_vm(call);
	struct ops_error e;
	struct vm_spec spec;

	if (!vm)
		return;
	spec = vm->spec;
	if (!api_body_change(call, &vmspec_object, &spec))
		return;
	if (vm_redefine(vm, &spec, &e))
		api_reply_error(call, &e);
	else
		reply_vm(call, 200, vm, "");
}

void api_vm_delete(struct api_call *call)
{
	struct vm *vm = api_vm(call);
	struct ops_error e;

	if (!vm)
		return;
	if (vm_delete(vm, &e))
		api_reply_error(call, &e);
	else
		api_reply_empty(call);
}

void api_vm_stats(struct api_call *call)
{
	struct vm *vm = api_vm(call);
	const struct vm_stats *s;
	struct buf b = {0};
	struct out o = {.b = &b};

	if (!vm)
		return;
	s = vm_stats(vm);
	out_object(&o, NULL);
	out_str(&o, "name", vm->spec.name);
	out_str(&o, "state", vm_state_name(vm->state));
	out_bool(&o, "live", s->live);
	out_u64(&o, "cpu_time_ns", s->info.cpu_ns);
	out_u64(&o, "vmm_cpu_time_ns", s->vmm_cpu_ns);
	out_object(&o, "exits");
	for (unsigned i = 0; i < HV_EXIT_KINDS; i++)
		if (exit_names[i])
			out_u64(&o, exit_names[i], s->info.exits[i]);
	out_close(&o, '}');
	out_u64(&o, "parks", s->info.parks);
	out_u64(&o, "doorbells", s->info.doorbells);
	out_u64(&o, "interrupts_injected", s->info.irqs_injected);
	vmmem_write(&o, vm, s);
	out_u64(&o, "console_input_dropped", s->info.console_dropped);
	vmdisks_write(&o, vm);
	out_close(&o, '}');
	api_reply_json(call, 200, &b, "");
}
