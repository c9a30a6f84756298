/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What code that reads or writes structures on disks wants done next. Such code does no I/O: it hands out steps, its
 * caller carries them out on whatever disk it has, and tells. Offsets and lengths are whole sectors of that disk.
 */
#ifndef BLK_STEP_H
#define BLK_STEP_H

#include <stdint.h>

#define STEP_BYTES_MAX (128u << 10) /* no step is longer */

enum step_op {
	STEP_END, /* nothing more */
	STEP_READ,
	STEP_WRITE,
	STEP_FLUSH, /* all writes that this disk has reported done are to be on its medium */
};

struct step {
	enum step_op op;
	unsigned disk;   /* number of the disk in the caller's list */
	uint64_t offset; /* bytes */
	uint32_t bytes;
	void *buf; /* [borrows] from who hands the step out, until it is told that the step is done */
};

#endif
