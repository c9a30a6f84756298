/* SPDX-License-Identifier: BSD-2-Clause */
/* /v1/vms/{vm}/disks and /v1/vms/{vm}/nics: what comes into a VM, running or not, and goes. */
#include "ctrl-kernel/api/api.h"

#include <string.h>
#include "ctrl-kernel/ops/hotplug.h"

/* Errors name a field of the whole description ("disks.2.volume"); here the body is the one device. */
static void reply_error(struct api_call *call, struct ops_error *e)
{
	const char *at = e->field;

	if (strncmp(at, "disks.", 6) == 0 || strncmp(at, "nics.", 5) == 0) {
		at = strchr(at, '.') + 1;
		at += strcspn(at, ".");
		at += *at == '.';
		memmove(e->field, at, strlen(at) + 1);
	}
	api_reply_error(call, e);
}

void api_vmdisks_post(struct api_call *call)
{
	struct vm *vm = api_vm(call);
	struct vm_disk disk = {.slot = 0};
	struct buf b = {0};
	struct out o = {.b = &b};
	struct ops_error e;
	unsigned i;

	if (!vm || !api_body(call, &vmspec_disk_object, &disk))
		return;
	if (vm_plug_disk(vm, &disk, &i, &e)) {
		reply_error(call, &e);
		return;
	}
	vmspec_write_disk(&o, &vm->spec.disks[i]);
	api_reply_json(call, 201, &b, "");
}

void api_vmnics_post(struct api_call *call)
{
	struct vm *vm = api_vm(call);
	struct vm_nic nic = {.slot = 0};
	struct buf b = {0};
	struct out o = {.b = &b};
	struct ops_error e;
	unsigned i;

	if (!vm || !api_body(call, &vmspec_nic_object, &nic))
		return;
	if (vm_plug_nic(vm, &nic, &i, &e)) {
		reply_error(call, &e);
		return;
	}
	vmspec_write_nic(&o, &vm->spec.nics[i]);
	api_reply_json(call, 201, &b, "");
}

static void unplug(struct api_call *call, int (*fn)(struct vm *vm, const char *id, bool force,
						    struct job **job, struct ops_error *e))
{
	struct vm *vm = api_vm(call);
	struct ops_error e;
	struct job *job;
	bool force;

	if (!vm || !api_query_bool(call, "force", &force))
		return;
	if (fn(vm, call->verb, force, &job, &e))
		api_reply_error(call, &e);
	else if (job)
		api_job_reply(call, 202, job);
	else
		api_reply_empty(call);
}

void api_vmdisk_delete(struct api_call *call)
{
	unplug(call, vm_unplug_disk);
}

void api_vmnic_delete(struct api_call *call)
{
	unplug(call, vm_unplug_nic);
}
