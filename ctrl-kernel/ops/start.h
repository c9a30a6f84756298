/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside ops: what stands behind a VM that runs. run_begin() takes the cheap steps at once and the long ones (guest
 * RAM) in jobs of the loop, so that everybody else is served meanwhile; run_end() undoes whatever was done, at any
 * point.
 *
 *   console ring, VM object -> RAM grown, 8 MiB a turn -> RAM mapped -> survivor and configuration pages -> slots
 *   -> vmm program, handles granted -> vmm started -> (lifecycle.c waits for its status)
 */
#ifndef OPS_START_H
#define OPS_START_H

#include "ctrl-kernel/backend/netdev.h"
#include "ctrl-kernel/backend/vdisk.h"
#include "ctrl-kernel/ops/hotplug.h"
#include "ctrl-kernel/ops/images.h"
#include "ctrl-kernel/ops/vms.h"

/* So many deaths of its vmm within a minute, and the VM has crashed. */
#define RUN_DEATHS 3u
#define RUN_DEATHS_NS 60000000000ull

struct run_bits { /* event bits that all VMs share */
	uint32_t state, console, death;
};

struct vm_run {
	struct vm *vm;               /* [borrows] NULL: ended, the job frees this */
	const struct run_bits *bits; /* [borrows] */
	uint32_t hv_vm, prog;        /* [owns] handles, 0: none */
	uint64_t deaths[RUN_DEATHS]; /* of its vmm programs, the last ones; ns */
	unsigned n_deaths;
	uint32_t ram; /* [owns] until the VM holds it */
	uint64_t ram_pages, mapped_pages;
	uint64_t promised_pages;   /* of its RAM: passed the check, not yet taken */
	struct vmm_config *config; /* [owns] mapping */
	void *area; /* [owns] mapping of the I/O area as it was at first; NULL: not made yet */
	uint64_t area_pages;
	struct vmio *io;                   /* [owns] what is behind it */
	struct balloon *balloon;           /* [borrows] io's */
	struct guest_mem *mem;             /* [owns] until io has it */
	struct netdev *nics[VMM_NICS_MAX]; /* [borrows] io's; by place, as disks[] (devices.h) */
	/* vmdisks.h: */
	struct {
		struct vdisk *vdisk; /* [borrows] io's; NULL: not made yet */
		struct blkdev *dev;  /* [borrows] behind it; NULL: nothing, or not yet */
		bool goes;           /* it is being unplugged, and gets nothing any more */
	} disks[VMM_DISKS_MAX];
	unsigned n_disks;                /* of the description that a start has made */
	struct loop_timer retry;         /* of those that are not there yet */
	uint64_t disks_deadline;         /* until then requests wait for them */
	bool disks_late;                 /* it has passed */
	const struct vmm_status *status; /* [owns] mapping; the vmm may write anything there */
	uint32_t seen_changes, seen_resets;
	unsigned n_pinned;
	struct image *pinned[1 + VMM_MODULES_MAX];
	struct hotplug hotplug;     /* hotplug.h */
	struct vm_save *save;       /* [owns] save.h; NULL: it is not being saved */
	struct vm_restore *restore; /* [owns] restore.h; NULL: it boots */
	struct loop_job job;
	/* Ends the preparation: e NULL when the vmm was started. */
	void (*prepared)(struct vm *vm, const struct ops_error *e);
};

extern bool run_no_budget;  /* tests: vmms may die as often as they like */
extern bool run_test_hooks; /* boot option test.hooks=1 */

int run_begin(struct vm *vm, const struct run_bits *bits,
	      void (*prepared)(struct vm *vm, const struct ops_error *e),
	      struct ops_error *e) MUST_CHECK;
/* vm->run is NULL afterwards. True: nothing of it is under way. Else over(vm), as vmio_close() says. */
bool run_end(struct vm *vm, void (*over)(void *vm, bool all)) MUST_CHECK;
/* A VM that runs in hv and was another instance's: handle and number. */
void run_discard(uint32_t hv_vm, const struct run_bits *bits); /* the handle is closed */
int run_take_over(struct vm *vm, const struct run_bits *bits, uint32_t hv_vm, uint32_t hv_id,
		  struct ops_error *e) MUST_CHECK;
/* Its vmm has died: the next one. */
int run_revive(struct vm *vm, struct ops_error *e) MUST_CHECK;
/* A consistent enough copy of what the vmm says, made safe to print. */
void run_status(const struct vm_run *run, struct vmm_status *out);
void run_command(struct vm_run *run, uint32_t command);
void run_target(struct vm_run *run); /* spec.memory_target has changed: the guest is told */
/* A piece of the VM's memory, or its survivor pages, mapped here for a moment: rt_mem_unmap. NULL: no room. */
void *run_map(const struct vm_run *run, enum hv_vm_slot slot, uint64_t page, uint64_t pages,
	      uint32_t prot);

#endif
