/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What this instance of the control kernel leaves to the next: which images and VMs there are, and the memory objects
 * behind them. hv holds the objects (HVC_MEM_KEEP) when the program has gone.
 *
 *   slot 0                the store: plain data, no pointers, one record for each image and VM
 *   slot 1 + i            image i
 *   slot 1 + IMAGES + v   console ring of VM v
 *   after these           virtio console of VM v
 *   KEEP_SLOT_JOBS        the table of operations (jobs.c), format and all its own
 *   KEEP_SLOT_NETWORKS    that of networks (network_table.c), in the same way
 *   KEEP_SLOT_RAM         records of volumes in memory, and below it their objects (keep_ram.h)
 *   below these           the flows of NAT (network_table.c, net/nat_flow.h)
 *
 * A record counts from the moment its `live` is set, which is its last store; what changes in it later is written beside
 * the old and then pointed to. So the store is consistent whenever the program dies.
 *
 *   new:  fields -> object into its slot -> live = 1        gone:  live = 0 -> object out of its slot
 *
 * An object without a live record is dropped by the next instance.
 */
#ifndef OPS_KEEP_H
#define OPS_KEEP_H

#include "ctrl-kernel/ops/images.h"
#include "ctrl-kernel/ops/vms.h"

#define KEEP_NONE (-1)
#define KEEP_SLOT_JOBS (HV_KEEP_SLOTS - 1u)
#define KEEP_SLOT_NETWORKS (HV_KEEP_SLOTS - 2u)

/* Of the store's format: which this program writes, and the oldest that it takes over. A program that converts an older
 * one does so after CTRL_HEALTHY: until then hv may fall back to the program before, which must find what it left. */
#define KEEP_VERSION 5
#define KEEP_OLDEST 5

/* Finds the store of the instance before, or makes one. Once, before the calls below. */
void keep_init(void);
bool keep_found(void); /* there was one: recover, then keep_ready() */
void keep_ready(void); /* from here on it counts; the boot modules are not given again */
/* After CTRL_HEALTHY: an older store is of this program's version from here on. */
void keep_convert(void);

/* All of the configuration that lasts (lasting.h) has been applied: by this instance, or one before it. */
bool keep_lasting(void);
void keep_lasting_set(void);

/* image->keep, vm->keep say where; both are KEEP_NONE before. */
int keep_image(struct image *image, struct ops_error *e) MUST_CHECK;
void keep_image_hashed(const struct image *image);
void keep_image_stored(const struct image *image);
void keep_image_gone(struct image *image); /* before its handle is closed */
int keep_vm(struct vm *vm, struct ops_error *e) MUST_CHECK;
int keep_vm_console(const struct vm *vm, struct ops_error *e) MUST_CHECK;
int keep_vm_hvc(const struct vm *vm, struct ops_error *e) MUST_CHECK;
void keep_vm_update(
	const struct vm *vm); /* its state, its run or its pending action have changed */
void keep_vm_respec(const struct vm *vm); /* its description has changed */
void keep_vm_gone(struct vm *vm);

/* ---- recovery (recover.c): what was live, each once; the record's objects come with it ---- */
struct kept_vm {        /* of the run under way when the instance died */
	uint32_t hv_id; /* 0: none */
	enum vm_pending pending;
};
/* Fills *out from record i and takes over its object; false: nothing there. A record that no instance can have meant is
 * dropped, with what belongs to it. */
bool keep_image_read(unsigned i, struct image *out);
/* The same in the order of definition: the first with KEEP_NONE, then each behind the one whose `keep` is given. */
bool keep_vm_read(int after, struct vm *out, struct kept_vm *run);
void keep_sweep(void); /* objects that no record names */

#endif
