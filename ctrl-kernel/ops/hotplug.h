/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks and NICs that come into a VM and go, whatever its state. Of one that does not run the description changes, no more.
 * Of one that runs (vmm/vmm_abi.h has the vmm's part):
 *
 *	plug     opened, its part of the I/O area zero ─► present = 1 ─► description ─► the vmm is told
 *	unplug   ASKED      the guest is asked, and may eject; until the time limit, or cancelled: then WITHDRAWN
 *	         DRAIN      it has ejected it, or (force) is not asked: what is not begun fails, what is under way is waited for
 *	         LEAVING    out of the description ─► present = 0 ─► the vmm is told; until it says that the slot is empty
 *	         WITHDRAWN  until the vmm says whether the guest was faster
 *
 * Another instance of the control kernel finds the description and the configuration: what is present and not described
 * goes (LEAVING); what the guest was asked for is WITHDRAWN; the operation has failed. A run that ends meanwhile leaves the
 * description without what was to go.
 */
#ifndef OPS_HOTPLUG_H
#define OPS_HOTPLUG_H

#include "ctrl-kernel/backend/vmio.h"
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/ops/vms.h"

#define UNPLUG_LIMIT_NS 30000000000ull
#define HOTPLUG_SLOTS (VMM_DISKS_MAX + VMM_NICS_MAX)

struct job;

enum unplug_step { UNPLUG_NONE, UNPLUG_ASKED, UNPLUG_DRAIN, UNPLUG_LEAVING, UNPLUG_WITHDRAWN };

struct unplug {
	struct vm_run *run; /* [borrows] */
	unsigned slot;
	enum unplug_step step;
	struct job *job; /* NULL: it has ended */
	struct loop_timer timer;
};

struct hotplug {                             /* of a run */
	struct unplug unplug[HOTPLUG_SLOTS]; /* by slot, from VMM_DISK_SLOT on */
	uint32_t leaving; /* slots that are in the vmm's hands, though not in the configuration */
	struct {
		void *va; /* [owns] mapping */
		uint64_t pages;
	} grown[VMIO_PARTS_MAX]; /* of the I/O area */
	unsigned n_grown;
};

/* *index: in the VM's description. Its source, or its network, must be there. */
int vm_plug_disk(struct vm *vm, const struct vm_disk *disk, unsigned *index,
		 struct ops_error *e) MUST_CHECK;
int vm_plug_nic(struct vm *vm, const struct vm_nic *nic, unsigned *index,
		struct ops_error *e) MUST_CHECK;
/* *job NULL: it is done, the VM does not run. force: the guest is not asked. */
int vm_unplug_disk(struct vm *vm, const char *id, bool force, struct job **job,
		   struct ops_error *e) MUST_CHECK;
int vm_unplug_nic(struct vm *vm, const char *id, bool force, struct job **job,
		  struct ops_error *e) MUST_CHECK;

/* ---- inside ops ---- */
bool hotplug_busy(const struct vm_run *run); /* something is being unplugged */
void hotplug_look(struct vm *vm);            /* the vmm's status has changed */
void hotplug_take_over(struct vm_run *run);  /* disks and NICs have been */
void hotplug_end(struct vm_run *run);        /* the run ends */
void hotplug_unmap(struct vm_run *run);      /* behind vmio_close() */

#endif
