/* SPDX-License-Identifier: BSD-2-Clause */
/* Between start.S and the C files of boot/. */
#ifndef HV_BOOT_START_H
#define HV_BOOT_START_H

#define BOOT_STACK 0x4000

#define MB1_MAGIC 0x2badb002u /* in eax; multiboot 1, 3.2 */
#define MB2_MAGIC 0x36d76289u /* multiboot 2, 3.3 */

#ifndef __ASSEMBLER__

#include "hv/cpu/cpu.h"

/* Between two symbols of the linker or of start.S. */
static inline size_t bytes_between(const void *from, const void *to)
{
	return (uintptr_t)to - (uintptr_t)from;
}

NORETURN void hv_main(uint32_t magic, uint32_t info);
NORETURN void ap_main(struct cpu *c);

extern const uint8_t boot_start[], boot_end[]; /* physical: .boot */
extern uint64_t boot_pml4[];
extern uint8_t boot_tables_end[];

extern const uint8_t trampoline_start[], trampoline_end[], trampoline_data[], trampoline_code64[];

#endif
#endif
