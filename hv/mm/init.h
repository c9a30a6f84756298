/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How boot/ brings hv's memory up. The order on the boot CPU:
 *
 *   start.S       early tables, 2 MiB pages, first 4 GiB: PML4[0] and PML4[256] (HV_DIRECT) -> the same PDPT,
 *                 PML4[511]: HV_IMAGE_BASE -> first GiB. Everything below happens at HV_IMAGE_BASE addresses.
 *   cpu_detect    (NX or not)
 *   frame_add_ram, frame_reserve ...   only write ranges down; the image itself must be reserved too
 *   frame_init_done                    makes the metadata, in RAM below 4 GiB; hv_pages_alloc works from here,
 *                                      and hands out frames below 4 GiB as long as there are any
 *   mm_init_tables                     builds hv_pml4 and loads it: the identity map is gone, W^X holds
 *   mm_map_cpu_area(0)                 stacks and windows of CPU 0; frame_alloc, phys_*, window_* need this
 *                                      and this_cpu() (GS base)
 * Each AP: mm_map_cpu_area(i) by the boot CPU; the AP sets EFER.NXE (if cpu_features.nx) and loads
 * hv_to_phys(hv_pml4), which lies below 4 GiB.
 */
#ifndef HV_MM_INIT_H
#define HV_MM_INIT_H

#include "hv/lib/types.h"
#include "hv/mm/layout.h"

/* From linker/hv.ld, page aligned, as HV_IMAGE_BASE addresses: [image_start, text_end) r-x, [.., rodata_end) r--,
 * [.., image_end) rw-. */
extern const uint8_t image_start[], text_end[], rodata_end[], image_end[];

void mm_init_tables(void);
int mm_map_cpu_area(unsigned index) MUST_CHECK;
/* Device registers, uncached, not executable. Never unmapped. NULL: no room. */
void *mm_map_device(hpa_t start, uint64_t len);

/* A page of hv's text at one more address in the image's GiB. NOMEM. */
int mm_map_text(const void *at, const void *text) MUST_CHECK;

/* The whole TLB of this CPU, global entries too. */
void mm_flush_tlb(void);
/* Set by plat/: asks the other CPUs for mm_flush_tlb, without waiting. NULL until then. */
extern void (*mm_flush_others)(void);

/* Tops of the stacks in a CPU's area; under each lies a page that is never mapped. */
#define HV_CPU_BASE(i) (HV_CPU_AREA + (uint64_t)(i)*HV_CPU_STRIDE)
#define HV_CPU_IST_STACK 0x2000ull
#define HV_CPU_STACK_TOP(i) (HV_CPU_BASE(i) + 0x1000 + HV_CPU_STACK)
#define HV_CPU_NMI_TOP(i) (HV_CPU_STACK_TOP(i) + 0x1000 + HV_CPU_IST_STACK)
#define HV_CPU_DF_TOP(i) (HV_CPU_NMI_TOP(i) + 0x1000 + HV_CPU_IST_STACK)
#define HV_CPU_MC_TOP(i) (HV_CPU_DF_TOP(i) + 0x1000 + HV_CPU_IST_STACK)

#endif
