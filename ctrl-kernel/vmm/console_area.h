/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtio console of a VM, between its vmm and the control kernel (HV_SLOT_PORT): two rings, which outlive both. Positions
 * count all bytes ever; a byte is at its position modulo the ring's size.
 *
 *	out   the vmm writes behind out_head and then moves it, CONSOLE_PIECE at a time at most. Readers keep their own
 *	      position; what is older than CONSOLE_OUT_KEPT may be being overwritten
 *	in    ctrl writes behind in_head, moves it, and posts VMM_EVENT_IO; the vmm gives it to the guest and moves in_tail
 *
 * One store moves a position. So that none of the guest's bytes is there twice or missing when the vmm dies, it notes in a
 * mark, before anything else, which chain it begins and where the ring stood: the used index of the queue, and the
 * position << 16. The next one finds a chain in flight with that index and goes on behind what is in the ring already; or
 * it finds the index of the one behind it, and the position as it was, and moves that.
 */
#ifndef VMM_CONSOLE_AREA_H
#define VMM_CONSOLE_AREA_H

#include <stdint.h>

#define CONSOLE_OUT 65536u
#define CONSOLE_IN 16384u
#define CONSOLE_PIECE 4096u
#define CONSOLE_OUT_KEPT (CONSOLE_OUT - CONSOLE_PIECE)
#define CONSOLE_MARK_NONE UINT64_MAX

struct console_area {
	/* the vmm's */
	uint64_t out_head, out_mark;
	uint64_t in_tail, in_mark;
	uint64_t in_bytes; /* of the chain that in_mark is about */
	uint64_t reserved[3];
	/* ctrl's, but for the start of a VM */
	uint64_t in_head;
	uint64_t reserved2[503];
	uint8_t out[CONSOLE_OUT];
	uint8_t in[CONSOLE_IN];
};
#define CONSOLE_AREA_PAGES (sizeof(struct console_area) / 4096u)
_Static_assert(sizeof(struct console_area) == 4096 + CONSOLE_OUT + CONSOLE_IN, "pages");

#endif
