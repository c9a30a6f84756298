/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMs that start by themselves when the host does: by autostart_order, then in the order of definition, each when the one
 * before runs or has failed, and its delay after that. Which are still to be started outlives the control kernel.
 */
#ifndef OPS_AUTOSTART_H
#define OPS_AUTOSTART_H

#include "ctrl-kernel/ops/vms.h"

/* A configuration has just defined it: it is one of them if its description says so. */
void autostart_want(struct vm *vm);
/* Begins, or goes on with what has come to it since. */
void autostart_begin(void);

#endif
