/* SPDX-License-Identifier: BSD-2-Clause */
/* The four entries of a master or extended boot record, as bytes. */
#include <string.h>
#include "ctrl-kernel/blk/le.h"
#include "ctrl-kernel/blk/part/part.h"

enum { TABLE = 446, ENTRY = 16, SIGNATURE = 510 };

bool mbr_read(const uint8_t *sector, struct mbr_entry out[4])
{
	if (le16_at(sector + SIGNATURE) != 0xaa55)
		return false;
	for (unsigned i = 0; i < 4; i++) {
		const uint8_t *e = sector + TABLE + ENTRY * i;

		out[i] = (struct mbr_entry){e[0], e[4], le32_at(e + 8), le32_at(e + 12)};
		if (out[i].status & 0x7f)
			return false;
	}
	return true;
}

bool mbr_is_extended(uint8_t type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}
