/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Physical memory: 2 MiB chunks, each free or split into 4 KiB frames of one kind.
 * Kinds: hv (in the direct map) and foreign (programs and guests; never in hv's map except by window).
 * A frame is scrubbed before it is handed out. Who holds how much is counted in the owner's account: the free frames
 * and those of all accounts are the RAM; what boot reserves is charged to account_hv.
 * Locking: one internal lock; callable with any other lock held. Scrubbing happens outside it.
 */
#ifndef HV_MM_FRAME_H
#define HV_MM_FRAME_H

#include "hv/lib/types.h"
#include "hv/mm/layout.h"

enum frame_order { FRAME_4K = 0, FRAME_2M = 9 };

/* Who pays. Lives in the owning object. */
struct account {
	uint64_t pages; /* [a] 4 KiB frames held now */
	uint64_t limit; /* [I] HVE_NOMEM beyond; 0: none */
};
extern struct account account_hv;

/* Boot: RAM as the loader reports it, minus what is reserved. Called by boot/ only. */
void frame_add_ram(hpa_t start, hpa_t end);
void frame_reserve(hpa_t start, hpa_t end); /* image, modules, firmware tables */
void frame_init_done(void);
/* A boot module's reserved range becomes ordinary foreign frames, charged to acct, that frame_free gives back.
 * HVE_INVAL: not all of it is reserved RAM. */
int frame_adopt(struct account *acct, hpa_t start, uint64_t pages) MUST_CHECK;

/* hv's own memory: zeroed, mapped. n pages, n a power of two <= 512, naturally aligned. NULL: none left. */
void *hv_pages_alloc(struct account *acct, unsigned n);
void hv_pages_free(struct account *acct, void *p, unsigned n);
static inline void *hv_page_alloc(struct account *acct)
{
	return hv_pages_alloc(acct, 1);
}
static inline void hv_page_free(struct account *acct, void *p)
{
	hv_pages_free(acct, p, 1);
}
#ifdef HOST_TEST
hpa_t hv_to_phys(const void *p);
void *phys_to_hv(hpa_t hpa);
#else
static inline hpa_t hv_to_phys(const void *p) /* direct map or image */
{
	uint64_t va = (uint64_t)p;

	return va >= HV_IMAGE_BASE ? va - HV_IMAGE_BASE : va - HV_DIRECT;
}
static inline void *phys_to_hv(hpa_t hpa) /* only for hv-owned frames */
{
	return (void *)(hpa + HV_DIRECT);
}
#endif

/* Frames for programs and guests: scrubbed, not mapped by hv. */
int frame_alloc(struct account *acct, enum frame_order order, hpa_t *hpa) MUST_CHECK;
/* 2 MiB, that at `wanted` if it is free; 0: any. */
int frame_alloc_near(struct account *acct, hpa_t wanted, hpa_t *hpa) MUST_CHECK;
/* The start of a GiB of free memory, 0: there is none. Nothing is taken. */
hpa_t frame_free_giga(void);
/* n <= 512 contiguous frames aligned to the next power of two (DMA). */
int frame_alloc_run(struct account *acct, unsigned n, hpa_t *hpa) MUST_CHECK;
void frame_free(struct account *acct, hpa_t hpa, enum frame_order order);

/* Charges and gives back without frames; HVE_NOMEM beyond the limit. */
int account_charge(struct account *acct, uint64_t pages) MUST_CHECK;
void account_release(struct account *acct, uint64_t pages);
void account_move(struct account *from, struct account *to, uint64_t pages);

/* Idle CPUs keep a reserve of clean memory: a small piece per call (1,300 instructions). False: enough. */
bool frame_scrub_idle(void);

struct frame_stats {
	uint64_t total, free; /* 4 KiB frames: RAM as reported; not handed out */
};
void frame_stats(struct frame_stats *out);
bool frame_is_ram(hpa_t start, hpa_t end); /* does any of it lie in RAM? */

#endif
