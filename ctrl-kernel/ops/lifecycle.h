/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside ops: the one place where a VM's state changes.
 */
#ifndef OPS_LIFECYCLE_H
#define OPS_LIFECYCLE_H

#include "ctrl-kernel/ops/vms.h"

void vm_set_state(struct vm *vm, enum vm_state state, const char *code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The one action under way; its end calls done. on_timeout must end it. */
void vm_pending_set(struct vm *vm, enum vm_pending what, ops_done_fn done, void *ctx,
		    loop_fn on_timeout, uint64_t timeout_ns);
void vm_pending_end(struct vm *vm, const struct ops_error *e);
int vm_check_idle(const struct vm *vm, struct ops_error *e) MUST_CHECK;
int vm_check_ended(const struct vm *vm, struct ops_error *e) MUST_CHECK; /* not: being stopped */
int vm_check_state(const struct vm *vm, enum vm_state a, enum vm_state b, const char *action,
		   struct ops_error *e) MUST_CHECK;
/* hv refused to pause or resume it. */
int vm_control_failed(struct ops_error *e, int r, const char *doing);

int vm_begin_run(struct vm *vm, struct ops_error *e) MUST_CHECK; /* for a start or a restore */
void vm_start_failed(struct vm *vm, const struct ops_error *e);
void vm_restored(struct vm *vm, bool paused, const char *image);
void vm_ended(struct vm *vm, const char *code, const char *text); /* stopped, not crashed */

/* Recovery: it runs in hv (0: no more) and was another instance's, which perhaps was saving it. */
void vm_take_over(struct vm *vm, uint32_t hv_vm, uint32_t hv_id, bool saving);
/* Recovery: a VM of hv that was being made or unmade goes, and its vmm with it. The handle is closed. */
void vm_discard(uint32_t hv_vm);

#endif
