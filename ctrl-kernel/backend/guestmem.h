/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's memory as the control kernel's disks and networks reach it: mapped here as a whole, and where each piece of it
 * lies for DMA. Made for VMs that have disks or NICs, at their start or when they are taken over.
 *
 * It is counted: the run has one reference, each request under way one. The memory object lives as long, whatever becomes of
 * the VM, so a drive that is still writing when a VM is stopped writes into that VM's memory.
 *
 * One thread: the loop.
 */
#ifndef BACKEND_GUESTMEM_H
#define BACKEND_GUESTMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl-kernel/rt/rt.h"
#include "drivers/blkdev.h"

struct guest_mem;

/* For `pages` of a memory object, guest-physical as hv_vm.h lays them out: nothing of it is mapped yet. 0 or -HVE_xxx. */
int guest_mem_make(uint64_t pages, struct guest_mem **out) MUST_CHECK;
/* Maps the next part, up to 1 GiB of it; again until *done. 0 or -HVE_xxx (the handle stays the caller's). */
int guest_mem_step(struct guest_mem *g, uint32_t mem, bool *done) MUST_CHECK;
void guest_mem_get(struct guest_mem *g);
void guest_mem_put(struct guest_mem *g); /* the last one unmaps it */

/* `bytes` from gpa on, in one piece here; NULL: not all of it is RAM. Another CPU may be writing there. */
void *guest_mem_at(const struct guest_mem *g, uint64_t gpa, uint64_t bytes);
/* The same as pieces for a device, one for each stretch that is contiguous for DMA, behind the *n that are in out[max]
 * already. False: not all of it is RAM, or out[] is full; *n is as before. */
bool guest_mem_segs(const struct guest_mem *g, uint64_t gpa, uint32_t bytes, struct blk_seg *out,
		    unsigned max, unsigned *n) MUST_CHECK;

#endif
