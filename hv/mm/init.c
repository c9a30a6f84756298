/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hv's own page tables. The entries of the top two levels never change after mm_init_tables, so every address space
 * shares them by copying the upper half of hv_pml4 once; what changes below (hv chunks coming and going, windows)
 * is seen by all.
 */
#include "hv/mm/init.h"

#include "hv/abi/hv_abi.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/x86.h"
#include "hv/lib/log.h"
#include "hv/mm/chunk.h"
#include "hv/mm/pt.h"
#include "hv/mm/window_inner.h"

uint64_t *hv_pml4 RO_AFTER_INIT;
void (*mm_flush_others)(void);
static struct pt hv_pt = {.format = PT_HV, .levels = 4, .acct = &account_hv};
static bool tables_live;
static uint64_t device_next = HV_DEVICE_AREA;

#define HV_DEVICE_END 0xfffffffffffff000ull

void mm_flush_tlb(void)
{
	uint64_t cr4 = read_cr4();

	/* Changing PGE drops everything, global entries too (APM2 5.5.3, SDM3 4.10.4.1). */
	if (cr4 & CR4_PGE) {
		write_cr4(cr4 & ~CR4_PGE);
		write_cr4(cr4);
	} else {
		write_cr3(read_cr3());
	}
}

/*
 * A chunk that leaves may be forgotten late by other CPUs: hv touches it through no pointer any more, and if it
 * comes back it has the same place. So nobody waits; their TLBs are clean when they next leave hv.
 */
void direct_map_chunk(hpa_t start, bool present)
{
	uint64_t *slot;

	if (!tables_live)
		return;
	slot = pt_slot(&hv_pt, HV_DIRECT + start, LARGE_SHIFT);
	assert(slot != NULL);
	__atomic_store_n(slot, present ? pt_leaf(PT_HV, start, LARGE_SHIFT, PT_R | PT_W) : 0,
			 __ATOMIC_RELEASE);
	if (present)
		return;
	invlpg((void *)(HV_DIRECT + start));
	if (mm_flush_others != NULL)
		mm_flush_others();
}

static void map_or_die(uint64_t va, hpa_t hpa, unsigned prot)
{
	if (pt_map(&hv_pt, va, hpa, PAGE_SHIFT, prot) != 0)
		panic("hv's page tables cannot be built: no memory, or the image overlaps itself "
		      "at %p",
		      (void *)va);
}

static void map_image(const uint8_t *start, const uint8_t *end, unsigned prot)
{
	for (const uint8_t *p = start; p < end; p += PAGE_SIZE)
		map_or_die((uint64_t)p, hv_to_phys(p), prot);
}

/* The table that holds va's entry of that size exists from now on. */
static uint64_t *make_slot(uint64_t va, unsigned shift)
{
	uint64_t *slot = pt_slot(&hv_pt, va, shift);

	if (slot == NULL)
		panic("no memory for hv's page tables");
	return slot;
}

static void map_direct(void)
{
	uint64_t n = chunk_table.n_chunks;

	for (uint64_t i = 0; i < n; i++)
		if (chunk_table.chunks[i].n_usable != 0)
			(void)make_slot(HV_DIRECT + (i << LARGE_SHIFT), LARGE_SHIFT);
	tables_live = true;
	for (uint64_t i = 0; i < n; i++)
		if (chunk_table.chunks[i].state == CHUNK_HV)
			direct_map_chunk(i << LARGE_SHIFT, true);
}

void mm_init_tables(void)
{
	pt_nx = cpu_features.nx ? pt_nx : 0;
	if (cpu_features.nx)
		wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
	hv_pml4 = hv_page_alloc(&account_hv);
	if (hv_pml4 == NULL)
		panic("no memory for hv's page tables");
	hv_pt.root = hv_pml4;
	map_image(image_start, text_end, PT_R | PT_X);
	map_image(text_end, rodata_end, PT_R);
	map_image(rodata_end, image_end, PT_R | PT_W);
	(void)make_slot(HV_CPU_AREA, LARGE_SHIFT);
	(void)make_slot(HV_DEVICE_AREA, LARGE_SHIFT);
	map_direct();
	write_cr3(hv_to_phys(hv_pml4));
}

int mm_map_text(const void *at, const void *text)
{
	return pt_map(&hv_pt, ALIGN_DOWN((uint64_t)at, PAGE_SIZE), hv_to_phys(text), PAGE_SHIFT,
		      PT_R | PT_X);
}

static int map_stack(uint64_t top, uint64_t size)
{
	for (uint64_t va = top - size; va < top; va += PAGE_SIZE) {
		void *p = hv_page_alloc(&account_hv);
		int err;

		if (p == NULL)
			return -HVE_NOMEM;
		err = pt_map(&hv_pt, va, hv_to_phys(p), PAGE_SHIFT, PT_R | PT_W);
		if (err != 0)
			return err;
	}
	return 0;
}

/* A CPU whose area cannot be made is not used; what it got stays with hv. */
int mm_map_cpu_area(unsigned index)
{
	int err;

	assert(index < HV_CPUS_MAX);
	err = map_stack(HV_CPU_STACK_TOP(index), HV_CPU_STACK);
	if (err == 0)
		err = map_stack(HV_CPU_NMI_TOP(index), HV_CPU_IST_STACK);
	if (err == 0)
		err = map_stack(HV_CPU_DF_TOP(index), HV_CPU_IST_STACK);
	if (err == 0)
		err = map_stack(HV_CPU_MC_TOP(index), HV_CPU_IST_STACK);
	if (err != 0)
		return err;
	return window_init(index, pt_slot(&hv_pt, WINDOW_SMALL(index), PAGE_SHIFT),
			   pt_slot(&hv_pt, WINDOW_LARGE(index), LARGE_SHIFT));
}

void *mm_map_device(hpa_t start, uint64_t len)
{
	hpa_t at = ALIGN_DOWN(start, PAGE_SIZE);
	hpa_t end = ALIGN_UP(start + len, PAGE_SIZE);
	bool large = end - at >= LARGE_SIZE;
	uint64_t va = large ? ALIGN_UP(device_next, LARGE_SIZE) + at % LARGE_SIZE : device_next;
	uint64_t first = va;

	if (len == 0 || end <= at || end - at > HV_DEVICE_END - va)
		return NULL;
	while (at < end) {
		unsigned shift = va % LARGE_SIZE == 0 && at % LARGE_SIZE == 0 &&
						 end - at >= LARGE_SIZE
					 ? LARGE_SHIFT
					 : PAGE_SHIFT;

		if (pt_map(&hv_pt, va, at, shift, PT_R | PT_W | PT_UC) != 0)
			return NULL;
		va += 1ull << shift;
		at += 1ull << shift;
	}
	device_next = va;
	return (void *)(first + start % PAGE_SIZE);
}
