/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a disk already carries something: what is written without force goes only where nothing is recognised. The first
 * and the last bytes of a disk are enough for all that is known here. signature_find()
 * is pure; signature_scan() reads what it needs by steps (step.h).
 */
#ifndef PART_SIGNATURE_H
#define PART_SIGNATURE_H

#include "ctrl-kernel/blk/step.h"
#include "ctrl-kernel/rt/rt.h"

#define SIGNATURE_HEAD (256u << 10) /* bytes from the start that are looked at */
#define SIGNATURE_TAIL (768u << 10) /* and from the end */

struct signature_view {
	const uint8_t *head; /* SIGNATURE_HEAD bytes, or the whole disk when that is smaller */
	size_t head_len;
	const uint8_t
		*tail; /* the last tail_len bytes of the disk, at most SIGNATURE_TAIL are needed */
	size_t tail_len;
	uint64_t bytes; /* of the disk */
};

/* "GPT partition table", "ext4 file system", ...: of the most telling one; NULL: nothing is known here. */
const char *signature_find(const struct signature_view *v);

/* ---- reading a disk ---- */

struct signature_scan {
	struct signature_view view;
	uint8_t *buf; /* [owns] head, then tail */
	size_t done, wanted;
	bool failed;
	struct step step;
};

/* INVAL: the disk has no whole sectors of 512 or 4096 bytes. NOMEM. */
int signature_scan_begin(struct signature_scan *s, uint64_t bytes, uint32_t sector) MUST_CHECK;
/* The next read; STEP_END: ask for the result. */
const struct step *signature_scan_next(const struct signature_scan *s);
void signature_scan_done(struct signature_scan *s, bool ok);
/* As signature_find(); a disk that cannot be read has "something that cannot be read". Until signature_scan_end(). */
const char *signature_scan_result(const struct signature_scan *s);
void signature_scan_end(struct signature_scan *s);

#endif
