/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Places in hv that may fault on purpose (copies to and from programs, RDMSR of unknown registers). The exception
 * handler looks its RIP up here: found, it goes on at `to`; not found, it is a bug. Entries are made in assembly:
 *	.pushsection .fixup, "a"; .quad at, to; .popsection
 * The linker script keeps section .fixup in rodata between fixup_start and fixup_end.
 */
#ifndef HV_MM_FIXUP_H
#define HV_MM_FIXUP_H

#include "hv/lib/types.h"

struct fixup {
	uint64_t at, to;
};
extern const struct fixup fixup_start[], fixup_end[];

#endif
