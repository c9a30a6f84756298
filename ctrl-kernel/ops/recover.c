/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A new instance finds everything as it was: images and VMs from the store, the VMs of hv by their numbers, the vmm
 * programs through them. What was under way goes on:
 *
 *   running, paused     adopted; a vmm that has died meanwhile is replaced
 *   being started       what was made of it is thrown away, and it is started again
 *   being reset         its vmm carries that out by itself
 *   being saved         it goes on; the operation has failed
 *   being restored      what was made of it is thrown away
 *   being ended         hv has no such VM any more: stopped, or as it says why; with the instance before its requests ended
 *
 * A VM of hv that no record names was being made or unmade: it goes.
 */
#include "ctrl-kernel/ops/recover.h"

#include <stdlib.h>
#include "ctrl-kernel/ops/image_table.h"
#include "ctrl-kernel/ops/keep.h"
#include "ctrl-kernel/ops/lifecycle.h"
#include "ctrl-kernel/ops/start.h"
#include "ctrl-kernel/rt/hvcall.h"

static void *must_calloc(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		rt_die("out of memory while taking over");
	return p;
}

static unsigned recover_images(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i <= IMAGES_MAX; i++) {
		struct image *image = must_calloc(sizeof(*image));

		if (!keep_image_read(i, image)) {
			free(image);
			continue;
		}
		(void)image_insert(
			image); /* there are not two of one name but while one is replaced */
		n++;
	}
	return n;
}

/* The handle of hv's VM with that number; 0: it is not there. */
static uint32_t hv_vm_by_id(uint32_t id)
{
	struct hv_vm_info info;
	uint64_t handle;

	if (id == 0 || hv_vm_next(id - 1, &handle))
		return 0;
	if (hv_vm_info((uint32_t)handle, &info) == 0 && info.id == id)
		return (uint32_t)handle;
	hv_handle_close((uint32_t)handle);
	return 0;
}

static void take_over(struct vm *vm, const struct kept_vm *kept)
{
	uint32_t handle = hv_vm_by_id(kept->hv_id);
	struct ops_error e;

	if (kept->pending == VM_STARTING) {
		if (handle)
			vm_discard(handle);
		if (vm_start(vm, NULL, NULL, &e))
			rt_log("VM %s did not start again: %s", vm->spec.name, e.text);
	} else if (vm->state == VM_RUNNING || vm->state == VM_PAUSED) {
		vm_take_over(vm, handle, kept->hv_id, kept->pending == VM_SAVING);
	} else if (handle) {
		vm_discard(handle);
	}
}

static unsigned recover_vms(void)
{
	int last = KEEP_NONE;

	for (unsigned n = 0;; n++) {
		struct vm *vm = must_calloc(sizeof(*vm));
		struct kept_vm kept;

		if (!keep_vm_read(last, vm, &kept)) {
			free(vm);
			return n;
		}
		last = vm->keep;
		vm_insert(vm);
		if (vm->console.mem)
			console_reopen(&vm->console);
		if (vm->hvc.mem)
			hvc_reopen(&vm->hvc);
		take_over(vm, &kept);
	}
}

static bool is_ours(uint32_t id)
{
	for (const struct vm *vm = vm_first(); vm; vm = vm->next)
		if (vm->run && vm->hv_id == id)
			return true;
	return false;
}

static void destroy_strangers(void)
{
	struct hv_vm_info info = {.id = 0};
	uint64_t handle = 0;

	for (unsigned i = 0; i < 2 * VMS_MAX && hv_vm_next(info.id, &handle) == 0; i++) {
		if (hv_vm_info((uint32_t)handle, &info))
			return;
		if (is_ours(info.id))
			hv_handle_close((uint32_t)handle);
		else
			vm_discard((uint32_t)handle);
	}
}

void recover(void)
{
	unsigned images = recover_images(), vms = recover_vms();

	destroy_strangers();
	keep_sweep();
	rt_log("instance %u: took over %u images and %u VMs", rt_info()->instance, images, vms);
}
