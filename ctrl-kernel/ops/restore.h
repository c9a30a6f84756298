/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside ops: a VM made from an image (saved.h). It is a start whose RAM, survivor pages and vCPUs are filled in before the
 * vmm is started; the vmm finds a guest that has booted, as after a death of its own. Then hv starts the vCPUs.
 */
#ifndef OPS_RESTORE_H
#define OPS_RESTORE_H

#include "ctrl-kernel/ops/start.h"

/* 2 MiB of it; *done: the vmm may be started. */
int restore_step(struct vm_run *run, bool *done, struct ops_error *e) MUST_CHECK;
void restore_go(struct vm *vm); /* its vmm is ready */
void restore_drop(struct vm_run *run);

#endif
