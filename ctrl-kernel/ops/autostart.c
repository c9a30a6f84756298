/* SPDX-License-Identifier: BSD-2-Clause */
/* See autostart.h. */
#include "ctrl-kernel/ops/autostart.h"

#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/keep.h"

#define NS_PER_S 1000000000ull

static struct loop_job next_job;
static struct loop_timer delay;
static struct vm *waiting; /* for its delay; looked up again before it is used */
static bool under_way;

void autostart_want(struct vm *vm)
{
	vm->starts = vm->spec.autostart;
	keep_vm_update(vm);
}

static void tried(struct vm *vm)
{
	vm->starts = false;
	keep_vm_update(vm);
}

static void done(void *ctx, const struct ops_error *e)
{
	(void)ctx;
	(void)e; /* reported where it failed */
	loop_defer(&next_job);
}

/* Its images may be stored on a drive, and are there when all of the configuration that lasts is. */
static bool has_all(const struct vm *vm)
{
	return vm->spec.from_boot || keep_lasting();
}

/* The first of those that are left; one that somebody has started meanwhile is not. */
static struct vm *next_vm(void)
{
	struct vm *best = NULL;

	for (struct vm *vm = vm_first(); vm; vm = vm->next) {
		if (!vm->starts || !has_all(vm))
			continue;
		if (vm->run || vm->pending != VM_IDLE)
			tried(vm);
		else if (!best || vm->spec.autostart_order < best->spec.autostart_order)
			best = vm;
	}
	return best;
}

static void start(struct vm *vm)
{
	struct ops_error e;
	int r = vm_start(vm, done, NULL, &e);

	tried(vm);
	if (r == 0)
		return;
	host_note("autostart", 0, "%s: %s", vm->spec.name, e.text);
	loop_defer(&next_job);
}

static void next(void *ctx)
{
	struct vm *vm = next_vm();

	(void)ctx;
	under_way = vm != NULL;
	if (!vm)
		return;
	if (vm->spec.autostart_delay_s == 0 || vm == waiting) {
		waiting = NULL;
		start(vm);
		return;
	}
	waiting = vm;
	loop_timer_set(&delay, vm->spec.autostart_delay_s * NS_PER_S);
}

void autostart_begin(void)
{
	if (under_way)
		return;
	next_job.fn = next;
	loop_timer_init(&delay, next, NULL);
	next(NULL);
}
