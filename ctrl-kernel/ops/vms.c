/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of VMs: define, find, delete, figures (vms.h). What they do is in lifecycle.c.
 */
#include "ctrl-kernel/ops/vms.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include "ctrl-kernel/ops/devices.h"
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/images.h"
#include "ctrl-kernel/ops/keep.h"
#include "ctrl-kernel/ops/lifecycle.h"
#include "ctrl-kernel/ops/networks.h"
#include "ctrl-kernel/ops/start.h"
#include "ctrl-kernel/rt/hvcall.h"

static struct vm *vms;
static unsigned n_vms;

static void (*watcher)(void);

void vms_watch(void (*fn)(void))
{
	watcher = fn;
}

static void changed(const struct vm_spec *spec)
{
	if (watcher && !spec->from_boot)
		watcher();
}

struct vm *vm_first(void)
{
	return vms;
}

unsigned vm_count(enum vm_state state)
{
	unsigned n = 0;

	for (const struct vm *vm = vms; vm; vm = vm->next)
		n += vm->state == state;
	return n;
}

const char *vm_state_name(enum vm_state state)
{
	static const char *const names[] = {
		[VM_DEFINED] = "defined", [VM_RUNNING] = "running", [VM_PAUSED] = "paused",
		[VM_STOPPED] = "stopped", [VM_CRASHED] = "crashed",
	};

	return names[state];
}

/* RFC 9562: xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx */
void vm_uuid_text(const uint8_t uuid[16], char out[37])
{
	static const char hex[] = "0123456789abcdef";
	char *at = out;

	for (unsigned i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		*at++ = hex[uuid[i] >> 4];
		*at++ = hex[uuid[i] & 15];
	}
	*at = '\0';
}

static bool looks_like_uuid(const char *name)
{
	if (strlen(name) != 36)
		return false;
	for (unsigned i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash != (name[i] == '-') ||
		    (!dash && !strchr("0123456789abcdefABCDEF", name[i])))
			return false;
	}
	return true;
}

static bool same_text(const char *a, const char *b) /* but for case */
{
	for (; *a && *b; a++, b++)
		if ((*a | 0x20) != (*b | 0x20))
			return false;
	return *a == *b;
}

struct vm *vm_find(const char *name_or_uuid)
{
	bool uuid = looks_like_uuid(name_or_uuid);
	char text[37];
	struct vm *vm;

	for (vm = vms; vm; vm = vm->next) {
		if (!uuid && strcmp(vm->spec.name, name_or_uuid) == 0)
			break;
		if (!uuid)
			continue;
		vm_uuid_text(vm->uuid, text);
		if (same_text(text, name_or_uuid))
			break;
	}
	return vm;
}

void vm_spec_default(struct vm_spec *spec)
{
	memset(spec, 0, sizeof(*spec));
	spec->weight = VM_WEIGHT_DEFAULT;
}

/* there: it must exist now, and not only when the VM is started. */
static int check_image(const char *name, const char *field, bool there, struct ops_error *e)
{
	if (ops_name_check(name, field, e))
		return -1;
	if (!there || image_find(name))
		return 0;
	return ops_fail(e, OPS_INVALID, field, "there is no image \"%s\"; upload it first", name);
}

static int check_boot(const struct vm_spec *spec, bool there, struct ops_error *e)
{
	char field[64];

	if (check_image(spec->kernel, "boot.kernel", there, e))
		return -1;
	if (spec->initrd[0] && check_image(spec->initrd, "boot.initrd", there, e))
		return -1;
	if (spec->initrd[0] && spec->n_modules)
		return ops_fail(e, OPS_INVALID, "boot.modules",
				"initrd is for Linux kernels and modules for multiboot kernels; "
				"give one of them");
	if (spec->n_modules > VMM_MODULES_MAX)
		return ops_fail(e, OPS_INVALID, "boot.modules", "there are at most %u modules",
				VMM_MODULES_MAX);
	for (unsigned i = 0; i < spec->n_modules; i++) {
		snprintf(field, sizeof(field), "boot.modules.%u.image", i);
		if (check_image(spec->modules[i].image, field, there, e))
			return -1;
	}
	return 0;
}

static int check_size(const struct vm_spec *spec, struct ops_error *e)
{
	uint64_t total = host_memory_total();

	if (spec->vcpus < 1 || spec->vcpus > HV_VCPUS_MAX)
		return ops_fail(e, OPS_INVALID, "vcpus", "a VM has 1 to %u vCPUs, not %u",
				HV_VCPUS_MAX, spec->vcpus);
	if (spec->memory < VM_MEMORY_MIN || spec->memory % HV_PAGE_SIZE)
		return ops_fail(e, OPS_INVALID, "memory",
				"memory is at least 1 MiB and a multiple of 4 KiB");
	if (spec->memory_target > spec->memory || spec->memory_target % HV_PAGE_SIZE ||
	    (spec->memory_target && spec->memory_target < VM_MEMORY_MIN))
		return ops_fail(
			e, OPS_INVALID, "memory_target",
			"the target is 0 (none), or at least 1 MiB, a multiple of 4 KiB, and "
			"not more than memory");
	if (spec->memory > total)
		return ops_fail(e, OPS_INVALID, "memory",
				"%llu MiB are more than the %llu MiB that the host has in all",
				(unsigned long long)(spec->memory >> 20),
				(unsigned long long)(total >> 20));
	if (spec->weight < 1 || spec->weight > VM_WEIGHT_MAX)
		return ops_fail(e, OPS_INVALID, "weight", "the weight is 1 to %u", VM_WEIGHT_MAX);
	if (spec->cap > VM_CAP_MAX)
		return ops_fail(e, OPS_INVALID, "cap",
				"the cap is 0 (none) to %u percent of one CPU", VM_CAP_MAX);
	return 0;
}

static int check_fields(const struct vm_spec *spec, bool there, struct ops_error *e)
{
	if (ops_name_check(spec->name, "name", e))
		return -1;
	if (looks_like_uuid(spec->name))
		return ops_fail(e, OPS_INVALID, "name", "a name must not look like a UUID");
	if (spec->autostart_delay_s > AUTOSTART_DELAY_MAX_S)
		return ops_fail(e, OPS_INVALID, "autostart_delay_s", "the delay is 0 to %u seconds",
				AUTOSTART_DELAY_MAX_S);
	return check_size(spec, e) || check_boot(spec, there, e) ? -1 : 0;
}

static int check_new(const struct vm_spec *spec, bool there, struct ops_error *e)
{
	if (check_fields(spec, there, e))
		return -1;
	if (vm_find(spec->name))
		return ops_fail(e, OPS_EXISTS, "name", "there is a VM \"%s\" already", spec->name);
	if (n_vms >= VMS_MAX)
		return ops_fail(e, OPS_LIMIT, NULL, "there are %u VMs already; delete some", n_vms);
	return 0;
}

static int define(const struct vm_spec *spec, const uint8_t uuid[16], bool there, struct vm **out,
		  struct ops_error *e)
{
	struct vm *vm;

	if (check_new(spec, there, e))
		return -1;
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	vm->spec = *spec;
	memcpy(vm->uuid, uuid, sizeof(vm->uuid));
	vm->keep = KEEP_NONE;
	vm_set_state(vm, VM_DEFINED, "defined", "not started yet");
	if (devices_complete(&vm->spec, vm->uuid, e) || networks_check(&vm->spec, e) ||
	    keep_vm(vm, e)) {
		free(vm);
		return -1;
	}
	vm_insert(vm);
	changed(&vm->spec);
	*out = vm;
	return 0;
}

int vm_define_as(const struct vm_spec *spec, const uint8_t uuid[16], struct vm **out,
		 struct ops_error *e)
{
	return define(spec, uuid, false, out, e);
}

int vm_define(const struct vm_spec *spec, struct vm **out, struct ops_error *e)
{
	uint8_t uuid[16];

	host_random(uuid);
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40); /* RFC 9562 5.4: version 4 */
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80); /*   variant */
	return define(spec, uuid, true, out, e);
}

/* But for what can change while it runs: when it starts by itself, and its balloon. */
static bool same_machine(const struct vm_spec *a, const struct vm_spec *b)
{
	struct vm_spec other = *b;

	other.memory_target = a->memory_target;
	other.autostart = a->autostart;
	other.autostart_order = a->autostart_order;
	other.autostart_delay_s = a->autostart_delay_s;
	return memcmp(a, &other, sizeof(other)) == 0;
}

int vm_redefine(struct vm *vm, const struct vm_spec *spec, struct ops_error *e)
{
	struct vm_spec next = *spec;

	if (vm_check_ended(vm, e))
		return -1;
	if (strcmp(next.name, vm->spec.name) != 0)
		return ops_fail(e, OPS_INVALID, "name", "a VM keeps its name");
	if (devices_complete(&next, vm->uuid, e) || networks_check(&next, e))
		return -1;
	if (vm->run && !same_machine(&vm->spec, &next))
		return ops_fail(e, OPS_WRONG_STATE, NULL,
				"the VM is %s; of one that is not stopped only memory_target, "
				"autostart, autostart_order and autostart_delay_s can be changed",
				vm_state_name(vm->state));
	if (check_fields(&next, !vm->run, e))
		return -1;
	vm->spec = next;
	if (vm->run)
		run_target(vm->run);
	vm_respec(vm);
	return 0;
}

void vm_respec(const struct vm *vm)
{
	keep_vm_respec(vm);
	changed(&vm->spec);
}

void vm_insert(struct vm *vm)
{
	struct vm **at = &vms;

	while (*at)
		at = &(*at)->next;
	*at = vm;
	n_vms++;
}

int vm_delete(struct vm *vm, struct ops_error *e)
{
	struct vm **at = &vms;

	if (vm_check_ended(vm, e))
		return -1;
	if (vm->run)
		return ops_fail(
			e, OPS_WRONG_STATE, NULL, "the VM is %s; stop it before you delete it",
			vm->pending == VM_STARTING ? "being started" : vm_state_name(vm->state));
	while (*at != vm)
		at = &(*at)->next;
	*at = vm->next;
	n_vms--;
	keep_vm_gone(vm);
	changed(&vm->spec);
	console_close(&vm->console);
	hvc_close(&vm->hvc);
	free(vm);
	return 0;
}

uint64_t vms_owed_pages(void)
{
	struct hv_vm_info info;
	uint64_t owed = 0;

	for (const struct vm *vm = vms; vm; vm = vm->next) {
		const struct vm_spec *s = &vm->spec;
		uint64_t want = (s->memory_target ? s->memory_target : s->memory) / HV_PAGE_SIZE;

		/* One that is being started has its promise (start.c). */
		if (!vm->run || (vm->state != VM_RUNNING && vm->state != VM_PAUSED) ||
		    hv_vm_info(vm->run->hv_vm, &info))
			continue;
		owed += want > info.held_pages ? want - info.held_pages : 0;
	}
	return owed;
}

const struct vm_stats *vm_stats(struct vm *vm)
{
	struct hv_prog_info prog;

	vm->stats.live = vm->run != NULL && vm->run->hv_vm != 0;
	if (!vm->stats.live)
		return &vm->stats;
	/* An error leaves the figures as they were: the VM is just ending. */
	if (hv_vm_info(vm->run->hv_vm, &vm->stats.info))
		return &vm->stats;
	if (vm->run->prog && hv_prog_info(vm->run->prog, &prog) == 0) {
		vm->stats.vmm_cpu_ns = prog.cpu_ns;
		vm->stats.vmm_pages = prog.mem_pages;
	}
	if (vm->run->balloon)
		balloon_stats(vm->run->balloon, &vm->stats.balloon);
	return &vm->stats;
}
