/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside ops: a VM on its way into an image (saved.h has the format, vms.h the call).
 *
 *   paused -> vmm told to be quiet -> it is -> records of hv and survivor pages copied -> memory looked through for pages that
 *   are zero -> all written, 2 MiB a turn -> image -> VM ended, or (checkpoint) vmm told to go on, VM resumed
 *
 * If anything fails, or is cancelled, the VM goes on as it was.
 */
#ifndef OPS_SAVE_H
#define OPS_SAVE_H

#include "ctrl-kernel/ops/vms.h"

struct vm_save;

void save_is_quiet(struct vm_save *s); /* its vmm says so, perhaps more than once */
void save_drop(struct vm_save *s);     /* the run ends */
void save_undo(struct vm *vm);         /* recovery: another instance was saving it */

#endif
