/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a disk already carries something: what is written without force goes only where nothing is recognised. The first
 * and the last bytes of a disk are enough for all that is known here. Pure.
 */
#ifndef PART_SIGNATURE_H
#define PART_SIGNATURE_H

#include <stddef.h>
#include <stdint.h>

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

#endif
