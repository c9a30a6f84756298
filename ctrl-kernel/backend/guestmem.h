/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's memory as the control kernel's disks and networks reach it: mapped here as a whole, and where each piece of it
 * lies for DMA. Made for each VM, at its start or when it is taken over.
 *
 * It is counted: the run has one reference, each request under way one. The memory object lives as long, whatever becomes of
 * the VM, so a drive that is still writing when a VM is stopped writes into that VM's memory.
 *
 * Pages that the guest gives back (backend/balloon.h) go in three steps, so that no device writes into a page that has gone:
 *
 *	guest_mem_leave()    noted as leaving; one that is asked for from here on stays
 *	guest_mem_quiet()    until all requests that were under way then have ended (they count themselves: begin, end)
 *	guest_mem_release()  those that are still leaving go (VM_RELEASE): holes
 *
 * A hole that is needed is filled first (guest_mem_need, guest_mem_at), never by touching it: that must not fail.
 * One thread: the loop.
 */
#ifndef BACKEND_GUESTMEM_H
#define BACKEND_GUESTMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl-kernel/rt/rt.h"
#include "drivers/blkdev.h"
#include "net/nic.h"

struct guest_mem;

/* For `pages` in slot RAM of a VM, guest-physical as hv_vm.h lays them out: nothing of it is mapped yet. vm: its handle, which
 * is used while the run lasts. 0 or -HVE_xxx. */
int guest_mem_make(uint64_t pages, uint32_t vm, struct guest_mem **out) MUST_CHECK;
/* Maps the next part, up to 1 GiB of it; again until *done. 0 or -HVE_xxx. */
int guest_mem_step(struct guest_mem *g, bool *done) MUST_CHECK;
void guest_mem_get(struct guest_mem *g);
void guest_mem_put(struct guest_mem *g); /* the last one unmaps it */

/* `bytes` from gpa on, in one piece here, for as long as the call lasts in which this is asked; NULL: not all of it is RAM, or
 * there is no memory for a hole. Another CPU may be writing there. */
void *guest_mem_at(struct guest_mem *g, uint64_t gpa, uint64_t bytes);
/* No page of it is a hole, or leaves, as long as the request lasts that asks this between begin and end. INVAL: not all of it
 * is RAM. NOMEM. */
int guest_mem_need(struct guest_mem *g, uint64_t gpa, uint64_t bytes) MUST_CHECK;
/* The same as pieces for a device, one for each stretch that is contiguous for DMA, behind the *n that are in out[max]
 * already. False: not all of it is RAM, or out[] is full; *n is as before. */
bool guest_mem_segs(struct guest_mem *g, uint64_t gpa, uint32_t bytes, struct blk_seg *out,
		    unsigned max, unsigned *n) MUST_CHECK;
/* Pieces of what guest_mem_at() gave, as guest_mem_segs(). */
bool guest_mem_pieces(struct guest_mem *g, const void *at, size_t bytes, struct nic_piece *out,
		      unsigned max, unsigned *n) MUST_CHECK;
/* Around each request that a device works on. -> what end wants. */
unsigned guest_mem_begin(struct guest_mem *g);
void guest_mem_end(struct guest_mem *g, unsigned begun);

/* ---- giving back: ranges are HV_RANGE() of pages of the object ---- */
/* A range of guest-physical pages as one of the object; 0: not all of it is RAM in one piece. */
uint64_t guest_mem_range(const struct guest_mem *g, uint64_t gpa_range);
void guest_mem_leave(struct guest_mem *g, uint64_t range);
/* True: nothing is under way. Else fn when all that is under way now has ended. One at a time. */
bool guest_mem_quiet(struct guest_mem *g, void (*fn)(void *ctx), void *ctx) MUST_CHECK;
void guest_mem_quiet_cancel(struct guest_mem *g);
struct guest_mem_place { /* in a list of ranges */
	unsigned i;
	uint64_t pages;
};
/* One step through range[n] from *at on, which moves behind what is done with: at->i == n at the end. 0, or -HVE_BUSY: later,
 * nothing has moved. What hv does not take stays. */
int guest_mem_release(struct guest_mem *g, const uint64_t *range, unsigned n,
		      struct guest_mem_place *at) MUST_CHECK;
void guest_mem_stay(struct guest_mem *g, uint64_t range); /* it leaves no more */

#endif
