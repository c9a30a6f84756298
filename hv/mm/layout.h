/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hv's virtual memory map. The lower half belongs to the current program (hv/abi/hv_abi.h, HV_VA_*).
 *
 *   ffff8000 00000000  direct map: hv-owned frames only, hpa + HV_DIRECT; 2 MiB chunks are present only
 *                      while hv owns them. Guest RAM and programs' frames are not here.
 *   ffffff00 00000000  per CPU, HV_CPU_STRIDE each: [guard][stack][guard][NMI stack][guard][#DF stack]... windows
 *   ffffffff 80000000  the image at hpa + HV_IMAGE_BASE: text r-x, rodata r--, data rw-; then device registers
 *                      (local APIC, IO-APIC, HPET, ECAM) from ffffffff c0000000
 */
#ifndef HV_MM_LAYOUT_H
#define HV_MM_LAYOUT_H

#define HV_DIRECT 0xffff800000000000ull
#define HV_CPU_AREA 0xffffff0000000000ull
#define HV_CPU_STRIDE                                                                              \
	0x800000ull /* 8 MiB: stacks in the first 2 MiB, 4 KiB windows in the second, a 2 MiB window in the third */
#define HV_IMAGE_BASE 0xffffffff80000000ull
#define HV_DEVICE_AREA 0xffffffffc0000000ull

#define HV_CPUS_MAX 64u
#define HV_CPU_STACK 0x4000ull

/* Selectors. User code follows user data: SYSRET wants it so (APM2 6.1.1). */
#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define SEL_USER_DATA 0x1b
#define SEL_USER_CODE 0x23
#define SEL_TSS 0x28

#endif
