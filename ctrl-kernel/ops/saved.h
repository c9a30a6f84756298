/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A saved VM as bytes (an image, or a file that was downloaded): pages of 4096 bytes, little-endian.
 *
 *   0                    struct saved_header
 *   1                    struct hv_state_machine (hv/abi/hv_state.h)
 *   2 ..                 struct hv_state_vcpu, one page each
 *   then                 the vmm's survivor pages (vmm/state.h), VMM_SURVIVOR_PAGES
 *   then                 bitmap of guest memory, a bit for each page, lowest first: it is in the file
 *   then                 those pages, in order; all others are zero
 *
 * The header's sum covers all before the pages of guest memory. It finds damage; it is no proof of who made the file.
 */
#ifndef OPS_SAVED_H
#define OPS_SAVED_H

#include "hv/abi/hv_state.h"
#include "ctrl-kernel/ops/vms.h"

#define SAVED_MAGIC 0x4d564c434f53ull /* "SOCLVM" */
#define SAVED_VERSION 1u
#define SAVED_PAGE 4096u

struct saved_header {
	uint64_t magic;
	uint32_t version, state_version; /* HV_STATE_VERSION */
	uint32_t vmm_version;            /* VMM_CONFIG_VERSION */
	uint32_t vcpus;
	uint64_t memory;  /* bytes of guest memory */
	uint64_t pages;   /* of it that are in the file */
	uint64_t saved_s; /* UTC, 0: not known */
	uint32_t paused;  /* it was paused before it was saved */
	uint32_t
		holes; /* 1: the guest had given pages back; those that are not in the file are given back again */
	char name[OPS_NAME_MAX];
	char cpu[64];       /* for people */
	uint8_t sha256[32]; /* over page 0, with zeros here, and all pages up to guest memory */
};
_Static_assert(sizeof(struct saved_header) == 216, "plain data, no padding");

/* Where things begin, in pages. */
static inline uint64_t saved_survivor(uint32_t vcpus)
{
	return 2 + (uint64_t)vcpus;
}
static inline uint64_t saved_bitmap(uint32_t vcpus)
{
	return saved_survivor(vcpus) + VMM_SURVIVOR_PAGES;
}
static inline uint64_t saved_bitmap_pages(uint64_t memory)
{
	uint64_t bits = memory / SAVED_PAGE;

	return (bits + 8 * SAVED_PAGE - 1) / (8 * SAVED_PAGE);
}
static inline uint64_t saved_memory(uint32_t vcpus, uint64_t memory)
{
	return saved_bitmap(vcpus) + saved_bitmap_pages(memory);
}
/* first: the pages up to guest memory, at least one page of `bytes`, the size of the file. What is wrong with it for a VM
 * of that description, for people; NULL: nothing. */
const char *saved_check(const void *first, uint64_t bytes, const struct vm_spec *spec, char *room,
			size_t size);
/* May the pages up to guest memory be looked at? For a header that may be anything. */
bool saved_header_sane(const struct saved_header *h, uint64_t bytes);
void saved_sum(const void *first, uint64_t pages, uint8_t sha256[32]);

#endif
