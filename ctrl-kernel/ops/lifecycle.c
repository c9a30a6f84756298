/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What VMs do: actions asked for (vms.h), and what hv and the vmm programs report. All VMs share three event bits;
 * a handler looks at every VM that runs. What their vmm programs submit has bits of its own (backend/vmio.h).
 *
 *   bit      set by                 looked at
 *   state    hv, the vmm            HVC_VM_INFO: crashed?, its status page: running, failed, off, resets
 *   console  hv                     the ring, if it is mirrored
 *   death    hv                     HVC_PROG_INFO: dead?
 */
#include "ctrl-kernel/ops/lifecycle.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/keep.h"
#include "ctrl-kernel/ops/restore.h"
#include "ctrl-kernel/ops/save.h"
#include "ctrl-kernel/ops/start.h"
#include "ctrl-kernel/rt/hvcall.h"

#define START_TIMEOUT_NS 30000000000ull
#define RESET_TIMEOUT_NS 30000000000ull

static struct run_bits bits;

void vm_set_state(struct vm *vm, enum vm_state state, const char *code, const char *format, ...)
{
	bool news = vm->state != state;
	va_list ap;

	vm->state = state;
	vm->changed_ns = rt_now();
	snprintf(vm->reason_code, sizeof(vm->reason_code), "%s", code);
	va_start(ap, format);
	vsnprintf(vm->reason, sizeof(vm->reason), format, ap);
	va_end(ap);
	keep_vm_update(vm);
	if (news)
		rt_log("VM %s is %s: %s", vm->spec.name, vm_state_name(state), vm->reason);
}

/* ---- the pending action ---- */

void vm_pending_set(struct vm *vm, enum vm_pending what, ops_done_fn done, void *ctx,
		    loop_fn on_timeout, uint64_t timeout_ns)
{
	vm->pending = what;
	vm->done = done;
	vm->done_ctx = ctx;
	loop_timer_init(&vm->timeout, on_timeout, vm);
	loop_timer_set(&vm->timeout, timeout_ns);
	keep_vm_update(vm);
}

void vm_pending_end(struct vm *vm, const struct ops_error *e)
{
	ops_done_fn done = vm->done;

	if (vm->pending == VM_IDLE)
		return;
	loop_timer_cancel(&vm->timeout);
	vm->pending = VM_IDLE;
	vm->done = NULL;
	keep_vm_update(vm);
	if (done)
		done(vm->done_ctx, e);
}

int vm_check_idle(const struct vm *vm, struct ops_error *e)
{
	static const char *const doing[] = {[VM_STARTING] = "started",
					    [VM_RESETTING] = "reset",
					    [VM_SAVING] = "saved",
					    [VM_RESTORING] = "restored",
					    [VM_STOPPING] = "stopped"};

	if (vm->pending == VM_IDLE)
		return 0;
	return ops_fail(e, OPS_BUSY, NULL, "the VM is being %s", doing[vm->pending]);
}

int vm_check_ended(const struct vm *vm, struct ops_error *e)
{
	return vm->pending == VM_STOPPING ? vm_check_idle(vm, e) : 0;
}

int vm_check_state(const struct vm *vm, enum vm_state a, enum vm_state b, const char *action,
		   struct ops_error *e)
{
	if (vm_check_idle(vm, e))
		return -1;
	if (vm->state == a || vm->state == b)
		return 0;
	return ops_fail(e, OPS_WRONG_STATE, NULL, "a VM that is %s cannot be %s",
			vm_state_name(vm->state), action);
}

/* ---- ends of a run ---- */

static bool being_started(const struct vm *vm)
{
	return vm->pending == VM_STARTING || vm->pending == VM_RESTORING;
}

/* Nothing of the run is under way any more, or (all: false) it was waited for long enough. */
static void over(void *ctx, bool all)
{
	struct vm *vm = ctx;
	const struct vm_end end = vm->end;
	ops_done_fn stopped = vm->stopped;

	if (!all)
		rt_log("VM %s: requests that are under way have not ended within 60 s",
		       vm->spec.name);
	if (!end.failed)
		vm_set_state(vm, end.state, end.code, "%s", end.reason);
	vm->stopped = NULL;
	vm_pending_end(vm, &end.e);
	if (stopped)
		stopped(vm->stopped_ctx, NULL);
}

/* With vm->end filled in. */
static void end_run(struct vm *vm)
{
	vm_stats(vm); /* the last figures stay readable */
	loop_timer_cancel(&vm->timeout);
	vm->end.ns = rt_now();
	vm->pending = VM_STOPPING;
	if (run_end(vm, over))
		over(vm, true);
	else
		keep_vm_update(vm);
	vm->stats.live = false;
}

void vm_start_failed(struct vm *vm, const struct ops_error *e)
{
	snprintf(vm->start_error, sizeof(vm->start_error), "%s", e->text);
	rt_log("VM %s did not start: %s", vm->spec.name, e->text);
	vm->end = (struct vm_end){.failed = true, .e = *e};
	end_run(vm);
}

static void end_as(struct vm *vm, enum vm_state state, const char *code, const char *text)
{
	vm->end = (struct vm_end){.state = state};
	snprintf(vm->end.code, sizeof(vm->end.code), "%s", code);
	snprintf(vm->end.reason, sizeof(vm->end.reason), "%s", text);
	ops_fail(&vm->end.e, OPS_ABORTED, NULL, "the VM %s: %s",
		 state == VM_CRASHED ? "crashed" : "stopped meanwhile", text);
	end_run(vm);
}

static void crashed(struct vm *vm, const char *code, const char *text)
{
	end_as(vm, VM_CRASHED, code, text);
}

void vm_ended(struct vm *vm, const char *code, const char *text)
{
	end_as(vm, VM_STOPPED, code, text);
}

/* ---- what is reported ---- */

static void look_at_death(struct vm *vm)
{
	struct hv_prog_info info;
	struct ops_error e;
	char text[320];

	if (!vm->run->prog || hv_prog_info(vm->run->prog, &info) || info.state != HV_PROG_DEAD)
		return;
	info.text[sizeof(info.text) - 1] = '\0';
	if (info.cause == HV_CAUSE_HUNG)
		snprintf(text, sizeof(text), "its device program hung at 0x%llx: %s",
			 (unsigned long long)info.rip, info.text);
	else if (info.cause >= HV_CAUSE_EXIT)
		snprintf(text, sizeof(text), "its device program ended with code %llu: %s",
			 (unsigned long long)info.code, info.text);
	else
		snprintf(text, sizeof(text),
			 "its device program died of exception %u at 0x%llx, address 0x%llx: %s",
			 info.cause, (unsigned long long)info.rip, (unsigned long long)info.cr2,
			 info.text);
	if (run_revive(vm, &e) == 0) {
		rt_log("VM %s: %s; another takes over", vm->spec.name, text);
		return;
	}
	snprintf(text + strlen(text), sizeof(text) - strlen(text), " (%.60s)", e.text);
	if (being_started(vm)) {
		ops_fail(&e, OPS_INTERNAL, NULL, "%s", text);
		vm_start_failed(vm, &e);
		return;
	}
	crashed(vm, "vmm_died", text);
}

static void look_at_hv(struct vm *vm)
{
	static const struct {
		const char *code, *text;
	} why[] = {
		[HV_VMR_NONE] = {"crashed", "no reason was given"},
		[HV_VMR_TRIPLE_FAULT] = {"triple_fault", "the guest triple-faulted"},
		[HV_VMR_BAD_STATE] = {"invalid_state", "the CPU refused the guest's state"},
		[HV_VMR_EMULATION] = {"emulation", "the guest accessed a device in a way that "
						   "cannot be emulated"},
		[HV_VMR_VMM_DIED] = {"vmm_died", "its device program died"},
		[HV_VMR_NO_MEMORY] = {"no_memory", "the host had no memory for it"},
		[HV_VMR_REQUEST] = {"request", "it was ended by request"},
		[HV_VMR_POWER_OFF] = {"guest_power_off", "the guest switched itself off"},
		[HV_VMR_RESET] = {"guest_reset", "the guest reset itself"},
		[HV_VMR_HLT_FOREVER] = {"halted", "all vCPUs halted with interrupts off"},
		[HV_VMR_MACHINE_CHECK] = {"machine_check", "the machine reported a hardware error"},
	};
	struct hv_vm_info info;
	char text[160];
	unsigned r;

	/* While it starts, the vmm's own word comes first: it tells a bad image from a guest that crashed. */
	if (being_started(vm) || hv_vm_info(vm->run->hv_vm, &info) || info.state != HV_VM_CRASHED)
		return;
	if (info.reason == HV_VMR_VMM_DIED) {
		look_at_death(vm); /* knows more, now or when the death itself is told */
		return;
	}
	r = info.reason < ARRAY_SIZE(why) ? info.reason : HV_VMR_NONE;
	snprintf(text, sizeof(text), "%s (detail 0x%llx)", why[r].text,
		 (unsigned long long)info.detail);
	crashed(vm, why[r].code, text);
}

static void started(struct vm *vm)
{
	vm->start_error[0] = '\0';
	vm_set_state(vm, VM_RUNNING, "started", "started by request");
	vm_pending_end(vm, NULL);
}

static const char *bad_state(const struct vmm_status *s)
{
	return s->text[0] ? s->text
			  : "what its device program left for the next one cannot be used";
}

static void status_while_starting(struct vm *vm, const struct vmm_status *s)
{
	struct ops_error e;

	if (vm->pending == VM_RESTORING && s->phase == VMM_RUNNING) {
		restore_go(vm);
	} else if (s->phase == VMM_RUNNING || s->phase == VMM_OFF) {
		started(vm);
	} else if (s->phase == VMM_BAD_STATE) {
		ops_fail(&e, OPS_INTERNAL, NULL, "%s", bad_state(s));
		vm_start_failed(vm, &e);
	} else if (s->phase == VMM_FAILED) {
		ops_fail(&e, OPS_BAD_IMAGE, "boot.kernel", "%s",
			 s->text[0] ? s->text : "the boot image was refused");
		vm_start_failed(vm, &e);
	}
}

static void note_reset(struct vm *vm, const struct vmm_status *s)
{
	if (s->resets == vm->run->seen_resets || s->phase != VMM_RUNNING)
		return;
	vm->run->seen_resets = s->resets;
	if (vm->pending == VM_RESETTING) {
		vm_set_state(vm, VM_RUNNING, "reset", "reset by request");
		vm_pending_end(vm, NULL);
	} else {
		vm_set_state(vm, vm->state, "guest_reset", "the guest reset itself");
	}
}

static void look_at_status(struct vm *vm)
{
	struct vmm_status s;

	if (!vm->run->status)
		return;
	run_status(vm->run, &s);
	if (s.changes == vm->run->seen_changes)
		return;
	vm->run->seen_changes = s.changes;
	if (being_started(vm))
		status_while_starting(vm, &s);
	if (!vm->run || being_started(vm))
		return;
	hotplug_look(vm);
	if (vm->run->save && s.quiet == vm->run->config->command_seq)
		save_is_quiet(vm->run->save);
	note_reset(vm, &s);
	if (s.phase == VMM_OFF)
		vm_ended(vm, "guest_power_off", "the guest switched itself off");
	else if (s.phase == VMM_BAD_STATE)
		crashed(vm, "state", bad_state(&s));
	else if (s.phase == VMM_FAILED)
		crashed(vm, "reset_failed", s.text[0] ? s.text : "it could not boot again");
	else
		look_at_hv(vm);
}

static void for_running(void (*look)(struct vm *vm))
{
	for (struct vm *vm = vm_first(); vm; vm = vm->next)
		if (vm->run && vm->run->hv_vm)
			look(vm);
}

/* hv pauses a VM that touches a page which it had given back, when there is no memory for another. */
static void look_at_memory(struct vm *vm)
{
	struct hv_vm_info info;

	if (vm->state == VM_RUNNING && vm->pending != VM_SAVING &&
	    hv_vm_info(vm->run->hv_vm, &info) == 0 && info.state == HV_VM_PAUSED &&
	    info.reason == HV_VMR_NO_MEMORY)
		vm_set_state(vm, VM_PAUSED, "no_memory",
			     "no memory is left for pages that its balloon had given back; resume "
			     "it when there is");
}

static void on_state(void *ctx)
{
	(void)ctx;
	for_running(look_at_memory);
	/* A guest that switched itself off was stopped by its vmm: take that as the reason, if it is there. */
	for_running(look_at_status);
	for_running(look_at_hv);
}

/* Without a control kernel VMs can be paused and resumed at the machine's console. */
static void look_at_pause(struct vm *vm)
{
	struct hv_vm_info info;

	if (hv_vm_info(vm->run->hv_vm, &info))
		return;
	look_at_memory(vm);
	if (vm->state == VM_RUNNING && info.state == HV_VM_PAUSED)
		vm_set_state(vm, VM_PAUSED, "paused", "paused at the machine's console");
	if (vm->state == VM_PAUSED && info.state == HV_VM_RUNNING)
		vm_set_state(vm, VM_RUNNING, "resumed", "resumed at the machine's console");
}

void vm_discard(uint32_t hv_vm)
{
	run_discard(hv_vm, &bits);
}

void vm_take_over(struct vm *vm, uint32_t hv_vm, uint32_t hv_id, bool saving)
{
	struct ops_error e;

	if (!hv_vm) {
		vm_set_state(vm, VM_STOPPED, "stopped",
			     "it was being ended when the control kernel was restarted");
		return;
	}
	if (run_take_over(vm, &bits, hv_vm, hv_id, &e)) {
		crashed(vm, "not_taken_over", e.text);
		return;
	}
	if (saving)
		save_undo(vm);
	keep_vm_update(vm);
	look_at_pause(vm);
	on_state(NULL); /* what happened meanwhile */
}

static void on_death(void *ctx)
{
	(void)ctx;
	for_running(look_at_status);
	for_running(look_at_death);
}

static void on_console(void *ctx)
{
	(void)ctx;
	for (struct vm *vm = vm_first(); vm; vm = vm->next)
		if (vm->run)
			mirror_update(&vm->console);
}

static uint32_t bit_for(loop_fn fn)
{
	int bit = loop_bit_alloc(fn, NULL);

	if (bit < 0)
		rt_die("no event bit is left for the VMs");
	return (uint32_t)bit;
}

void vms_init(void)
{
	host_memory_owed(vms_owed_pages);
	bits.state = bit_for(on_state);
	bits.console = bit_for(on_console);
	bits.death = bit_for(on_death);
	vmio_init();
}

/* ---- actions ---- */

static void start_timed_out(void *ctx)
{
	struct ops_error e;

	ops_fail(&e, OPS_TIMEOUT, NULL,
		 "the VM's device program did not say within 30 s that the guest runs");
	vm_start_failed(ctx, &e);
}

/* A saved VM may take its time to be read; its vmm gets no longer than any other. */
static void prepared(struct vm *vm, const struct ops_error *e)
{
	if (e)
		vm_start_failed(vm, e);
	else if (vm->pending == VM_RESTORING)
		loop_timer_set(&vm->timeout, START_TIMEOUT_NS);
}

int vm_begin_run(struct vm *vm, struct ops_error *e)
{
	return run_begin(vm, &bits, prepared, e);
}

void vm_restored(struct vm *vm, bool paused, const char *image)
{
	vm->start_error[0] = '\0';
	vm_set_state(vm, paused ? VM_PAUSED : VM_RUNNING, "restored", "restored from \"%s\"",
		     image);
	vm_pending_end(vm, NULL);
}

int vm_start(struct vm *vm, ops_done_fn done, void *ctx, struct ops_error *e)
{
	if (vm_check_idle(vm, e))
		return -1;
	if (vm->state == VM_RUNNING || vm->state == VM_PAUSED)
		return ops_fail(e, OPS_WRONG_STATE, NULL, "the VM is %s already%s",
				vm_state_name(vm->state),
				vm->state == VM_PAUSED ? "; resume it" : "");
	rt_log("VM %s is starting", vm->spec.name);
	if (run_begin(vm, &bits, prepared, e)) {
		snprintf(vm->start_error, sizeof(vm->start_error), "%s", e->text);
		keep_vm_update(vm);
		return -1;
	}
	vm_pending_set(vm, VM_STARTING, done, ctx, start_timed_out, START_TIMEOUT_NS);
	return 0;
}

static void reset_timed_out(void *ctx)
{
	struct ops_error e;

	ops_fail(&e, OPS_TIMEOUT, NULL,
		 "the VM's device program did not say within 30 s that the guest runs again");
	vm_pending_end(ctx, &e);
}

int vm_reset(struct vm *vm, ops_done_fn done, void *ctx, struct ops_error *e)
{
	if (vm_check_state(vm, VM_RUNNING, VM_RUNNING, "reset", e))
		return -1;
	vm_pending_set(vm, VM_RESETTING, done, ctx, reset_timed_out, RESET_TIMEOUT_NS);
	run_command(vm->run, VMM_CMD_RESET);
	return 0;
}

int vm_stop(struct vm *vm, struct ops_error *e)
{
	struct ops_error aborted;

	if (vm->pending == VM_STOPPING && !vm->stopped)
		return 0; /* by itself: who asks for it waits for that */
	if (vm_check_ended(vm, e))
		return -1;
	if (being_started(vm)) {
		ops_fail(&aborted, OPS_ABORTED, NULL, "another request stopped the VM");
		vm_start_failed(vm, &aborted);
		return 0;
	}
	if (vm->state != VM_RUNNING && vm->state != VM_PAUSED)
		return ops_fail(e, OPS_WRONG_STATE, NULL, "the VM does not run, it is %s",
				vm_state_name(vm->state));
	vm_ended(vm, "stopped", "stopped by request");
	return 0;
}

bool vm_stop_wait(struct vm *vm, ops_done_fn done, void *ctx)
{
	if (vm->pending != VM_STOPPING)
		return false;
	vm->stopped = done;
	vm->stopped_ctx = ctx;
	return true;
}

int vm_shutdown(struct vm *vm, struct ops_error *e)
{
	if (vm_check_state(vm, VM_RUNNING, VM_RUNNING, "shut down", e))
		return -1;
	run_command(vm->run, VMM_CMD_POWER_BUTTON);
	return 0;
}

static int test(struct vm *vm, uint32_t command, struct ops_error *e)
{
	if (!run_test_hooks)
		return ops_fail(e, OPS_INVALID, NULL,
				"test hooks are off; boot with test.hooks=1 to have them");
	if (vm_check_state(vm, VM_RUNNING, VM_RUNNING, "corrupted", e))
		return -1;
	run_command(vm->run, command);
	return 0;
}

int vm_test_crash(struct vm *vm, struct ops_error *e)
{
	return test(vm, VMM_CMD_TEST_CRASH, e);
}

int vm_test_state(struct vm *vm, struct ops_error *e)
{
	static uint32_t seed; /* of the next; the first corrupts all of it */

	if (test(vm, VMM_CMD_TEST_STATE | seed << VMM_CMD_BITS, e))
		return -1;
	seed++;
	return 0;
}

/* It resets itself, or has just ended and this is not known here yet. */
int vm_control_failed(struct ops_error *e, int r, const char *doing)
{
	if (r == -HVE_STATE)
		return ops_fail(e, OPS_BUSY, NULL,
				"the VM's state is changing; look at it and try again");
	return ops_fail_hv(e, r, doing);
}

int vm_pause(struct vm *vm, struct ops_error *e)
{
	int r;

	if (vm_check_state(vm, VM_RUNNING, VM_RUNNING, "paused", e))
		return -1;
	r = hv_vm_control(vm->run->hv_vm, HV_VMC_PAUSE, HV_VMR_REQUEST);
	if (r)
		return vm_control_failed(e, r, "pausing the VM");
	vm_set_state(vm, VM_PAUSED, "paused", "paused by request");
	return 0;
}

int vm_resume(struct vm *vm, struct ops_error *e)
{
	int r;

	if (vm_check_state(vm, VM_PAUSED, VM_PAUSED, "resumed", e))
		return -1;
	r = hv_vm_control(vm->run->hv_vm, HV_VMC_RESUME, HV_VMR_REQUEST);
	if (r)
		return vm_control_failed(e, r, "resuming the VM");
	vm_set_state(vm, VM_RUNNING, "resumed", "resumed by request");
	return 0;
}

int vm_check_hvc(const struct vm *vm, struct ops_error *e)
{
	if (vm->spec.virtio_console || vm->hvc.mem)
		return 0;
	return ops_fail(
		e, OPS_UNSUPPORTED, NULL,
		"the VM has no virtio console: \"virtio_console\" of its description is false");
}

static int hvc_send(struct vm *vm, const void *data, size_t len, struct ops_error *e)
{
	if (vm_check_hvc(vm, e))
		return -1;
	if (!vm->run->config || !vm->run->config->console)
		return ops_fail(e, OPS_WRONG_STATE, NULL,
				"the VM was started without a virtio console");
	if (hvc_input(&vm->hvc, data, len, e))
		return -1;
	vmio_tell(vm->run->io);
	return 0;
}

int vm_console_input(struct vm *vm, bool hvc, const void *data, size_t len, struct ops_error *e)
{
	if (vm_check_ended(vm, e))
		return -1;
	if (vm->state != VM_RUNNING && vm->state != VM_PAUSED)
		return ops_fail(e, OPS_WRONG_STATE, NULL,
				"the VM is %s; only a VM that runs has somebody who reads",
				vm_state_name(vm->state));
	return hvc ? hvc_send(vm, data, len, e) : console_input(&vm->console, data, len, e);
}
