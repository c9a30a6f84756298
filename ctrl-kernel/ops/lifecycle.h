/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside ops: the one place where a VM's state changes.
 */
#ifndef OPS_LIFECYCLE_H
#define OPS_LIFECYCLE_H

#include "ctrl-kernel/ops/vms.h"

void vm_set_state(struct vm *vm, enum vm_state state, const char *code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Recovery: it runs in hv (0: no more) and was another instance's. */
void vm_take_over(struct vm *vm, uint32_t hv_vm, uint32_t hv_id);
/* Recovery: a VM of hv that was being made or unmade goes, and its vmm with it. The handle is closed. */
void vm_discard(uint32_t hv_vm);

#endif
