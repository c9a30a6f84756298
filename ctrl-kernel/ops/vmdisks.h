/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The disks of VMs that run: what their descriptions name, opened and put behind the I/O area (backend/vdisk.h).
 *
 *	image ─► a read-only device over its memory; it is pinned       volume ─► volume_use(); one writer at a time
 *
 * A start waits for the drives' first scan, and for requests of the volume's last VM that are still under way; what is
 * missing then is an error. When a VM is taken over its requests wait for what is not there yet, and fail after
 * VMDISKS_WAIT_NS; should it come later, they do not fail any more.
 */
#ifndef OPS_VMDISKS_H
#define OPS_VMDISKS_H

#include "ctrl-kernel/backend/vdisk.h"
#include "ctrl-kernel/ops/start.h"

#define VMDISKS_WAIT_NS 30000000000ull

/* With run->io open. *done: all are. Else again; from a job that this has deferred. */
int vmdisks_open_step(struct vm_run *run, bool *done, struct ops_error *e) MUST_CHECK;
int vmdisks_take_over(struct vm_run *run, struct ops_error *e) MUST_CHECK;
/* What devices_layout() cannot know: sizes, caches. */
void vmdisks_layout(const struct vm_run *run, struct vmm_config *config);
/* One disk that comes into a VM that runs, laid out: opened, and described in run->config. index: of it, for the error. */
int vmdisk_add(struct vm_run *run, const struct vm_disk *d, unsigned index,
	       struct ops_error *e) MUST_CHECK;
/* It is to go: what is not begun fails. True: nothing is under way any more. */
bool vmdisk_drained(struct vm_run *run, unsigned place);
void vmdisk_remove(struct vm_run *run, unsigned place);
void vmdisks_end(struct vm_run *run); /* before run->io is closed */

/* Puts an image into a drive of the VM, or takes out what is in it (NULL); its description says so from then on. */
int vm_cdrom(struct vm *vm, const char *id, const char *image, struct ops_error *e) MUST_CHECK;
/* Of disk i, since its VM was started or taken over. False: it does not run. */
bool vm_disk_stats(const struct vm *vm, unsigned i, struct vdisk_stats *out);

#endif
