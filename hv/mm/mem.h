/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects and memory objects. Every object that handles name starts with struct object and is counted: handles,
 * mappings, VM slots and running calls each hold one reference; the last one frees it.
 *
 * A memory object is a growing array of frames (page offset -> frame, 2 MiB frames where aligned). Its struct is
 * hv's, its frames and their table are the payer's. Programs map it,
 * VMs map it as guest RAM or hold it in a slot. Frames are charged to one account at a time.
 *
 * Its pages can be given back (prog/release.c) and leave holes. A hole reads as zeros: whoever touches it gets a new frame
 * for it (mem_fill), by the nested page fault of a vCPU (vm/fill.c) or the page fault of a program (prog/space.c).
 */
#ifndef HV_MM_MEM_H
#define HV_MM_MEM_H

#include "hv/abi/hv_abi.h"
#include "hv/lib/spinlock.h"
#include "hv/mm/pt.h"

enum object_type { OBJECT_PROG = 1, OBJECT_VM, OBJECT_MEM, OBJECT_IRQ };

struct object {
	enum object_type type; /* [I] */
	uint32_t refs;         /* [a] */
	bool dead;             /* [a] destroyed: handles are stale, the memory waits for refs */
	void (*free)(struct object *o); /* [I] called once, no lock held */
};
extern uint32_t objects_live; /* [a] */
void object_init(struct object *o, enum object_type type, void (*free)(struct object *));
void object_get(struct object *o);
void object_put(struct object *o);

struct mem {
	struct object obj;
	struct spinlock lock;
	struct pt frames; /* [L:lock] page offset << 12 -> frame */
	uint64_t pages;   /* [L:lock] its size */
	uint64_t held;    /* [L:lock] of them that are there: the others are holes */
	uint32_t
		mapped; /* [L:lock] mappings of programs, ranges of VMs: all that can reach its frames */
	uint32_t flags; /* [I] HVM_* */
	struct account
		*acct; /* [L:lock] [borrows] who pays; outlives it, or mem_recharge moves it */
};

int mem_create(uint32_t flags, struct account *acct, struct mem **out) MUST_CHECK;
/* Adds up to HV_GROW_MAX pages towards `pages`; *now is what it has afterwards, also on NOMEM. */
int mem_grow(struct mem *m, uint64_t pages, uint64_t *now) MUST_CHECK;
void mem_recharge(struct mem *m, struct account *acct);
/* The frame run at page_off: hpa and how many pages are contiguous in one leaf from there. NOENT: a hole of *run_pages. */
int mem_lookup(struct mem *m, uint64_t page_off, hpa_t *hpa, uint64_t *run_pages) MUST_CHECK;
/* hv's address of a page of an HVM_HV object; NULL when out of range. */
void *mem_hv_page(struct mem *m, uint64_t page_off);
/* Wraps a boot module's frames (page aligned; the last page's tail zeroed by the caller). */
int mem_from_frames(hpa_t start, uint64_t pages, struct account *acct, struct mem **out) MUST_CHECK;
/* Frames that stay free for the control kernel, whatever guests touch. */
#define MEM_RESERVE_PAGES 1024u
/* If page_off is a hole it gets a frame, while more than `reserve` frames are free; *hpa is what is there then. NOMEM. */
int mem_fill(struct mem *m, uint64_t page_off, uint64_t reserve, hpa_t *hpa) MUST_CHECK;
/* [off, off+n) becomes a hole. The lock is held; pt_cut(&m->frames) was done at both ends; nothing maps it any more. */
void mem_drop(struct mem *m, uint64_t page_off, uint64_t pages);
/* One mapping less. */
void mem_unmapped(struct mem *m);
/* Maps pages [off, off+n) of m at va in pt, by 1 GiB and 2 MiB pages where they fit, holes not at all; all or nothing; the
 * leaves are PT_BORROWED. One mapping more. */
int mem_map_into(struct mem *m, uint64_t page_off, uint64_t pages, struct pt *pt, uint64_t va,
		 unsigned prot) MUST_CHECK;

#endif
