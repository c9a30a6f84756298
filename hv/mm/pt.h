/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Four-level page tables: programs' address spaces, nested tables of VMs, and memory objects (page offset ->
 * frame). One walker for all; the entry format is a parameter (NPT uses the host's format with USER set on
 * every entry, APM2 15.25.5; EPT differs, SDM3 29.3). Tables are hv pages charged to the given account.
 * Locking: the caller's. TLB flushing: the caller's.
 */
#ifndef HV_MM_PT_H
#define HV_MM_PT_H

#include "hv/mm/frame.h"

enum pt_prot {
	PT_R = 1,
	PT_W = 2,
	PT_X = 4,
	PT_UC = 8, /* uncached device memory */
	PT_BORROWED =
		16, /* a mark for the owner of the table, kept in a software bit: not its frame */
};

enum pt_format { PT_PROGRAM, PT_NPT, PT_EPT, PT_HV /* hv's own: supervisor, global */ };

struct pt {
	uint64_t *root; /* [owns] */
	enum pt_format format;
	unsigned levels;      /* 4; memory objects start smaller (pt_create_levels) */
	struct account *acct; /* [borrows] */
	uint64_t tables;      /* pages of tables, for statistics */
	bool giga;            /* the CPU's walker takes 1 GiB leaves in it; set by who creates it */
};

struct pt_entry {
	uint64_t va; /* start of the mapping found */
	hpa_t hpa;
	unsigned shift; /* 12, 21 or 30 */
	unsigned prot;  /* enum pt_prot */
};

/* PT_PROGRAM: with hv's upper half. */
int pt_create(struct pt *pt, enum pt_format format, struct account *acct) MUST_CHECK;
/* A table of 1 to 4 levels that covers 512^levels pages; pt_deepen adds one above until va is covered. */
int pt_create_levels(struct pt *pt, enum pt_format format, unsigned levels,
		     struct account *acct) MUST_CHECK;
int pt_deepen(struct pt *pt, uint64_t va) MUST_CHECK;
/* Frees tables only; call pt_unmap or pt_next first for the leaves. */
void pt_destroy(struct pt *pt);
/* shift 12, 21 or 30; va and hpa aligned to it. EXIST when something is there, NOMEM for tables. */
int pt_map(struct pt *pt, uint64_t va, hpa_t hpa, unsigned shift, unsigned prot) MUST_CHECK;
/* Removes the leaf at va -> true and what it was. Empty tables below the top are freed at once: no other CPU may be
 * using the table, and this one flushes before it does. */
bool pt_unmap(struct pt *pt, uint64_t va, struct pt_entry *was);
/* No leaf has va inside it any more: larger ones are replaced by 512 smaller ones that say the same. NOMEM: not all were. */
int pt_cut(struct pt *pt, uint64_t va) MUST_CHECK;
/* Removes the leaves between va and end, where no leaf crosses either. */
void pt_clear(struct pt *pt, uint64_t va, uint64_t end);
bool pt_lookup(const struct pt *pt, uint64_t va, struct pt_entry *out);
/* The first leaf at or above va and below end -> true. */
bool pt_next(const struct pt *pt, uint64_t va, uint64_t end, struct pt_entry *out);

/* The entry for va in the table whose entries map 1 << shift bytes; missing tables are made. NULL: no memory, or a
 * larger page is in the way. Only for mm/: windows and the direct map write entries by themselves. */
uint64_t *pt_slot(struct pt *pt, uint64_t va, unsigned shift);
/* The entry's bits. */
uint64_t pt_leaf(enum pt_format format, hpa_t hpa, unsigned shift, unsigned prot);
extern uint64_t pt_nx; /* the no-execute bit, 0 where the CPU has none */

extern uint64_t *hv_pml4; /* hv's own root: upper half only */

#endif
