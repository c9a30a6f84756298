/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/blk/crc32.c
// SRC: ctrl-kernel/blk/part/gpt.c
// SRC: ctrl-kernel/blk/part/mbr.c
// SRC: ctrl-kernel/blk/part/scan.c
// SRC: ctrl-kernel/blk/part/signature.c
/*
 * Any bytes as the start of a disk of 256 sectors, and as its end. The first byte chooses the sector, and which checksums
 * of a GPT are set right before. Partitions are on the disk, reads too.
 */
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/blk/crc32.h"
#include "ctrl-kernel/blk/le.h"
#include "ctrl-kernel/blk/part/part.h"
#include "ctrl-kernel/blk/part/signature.h"

#define SECTORS 256u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend(uint8_t *disk, uint32_t sector, uint64_t lba, bool entries)
{
	uint8_t *h = disk + lba * sector;
	uint64_t at = le64_at(h + 72), bytes = (uint64_t)le32_at(h + 80) * le32_at(h + 84);
	uint32_t len = le32_at(h + 12);

	if (entries && at < SECTORS && bytes <= (SECTORS - at) * sector)
		le32_put(h + 88, ~crc32_go(~0u, disk + at * sector, bytes));
	if (len < 92 || len > sector)
		return;
	le32_put(h + 16, 0);
	le32_put(h + 16, ~crc32_go(~0u, h, len));
}

static void scan(const uint8_t *disk, uint32_t sector, bool readable)
{
	static struct part_table t;
	struct part_scan s;

	if (part_scan_begin(&s, &t, (uint64_t)SECTORS * sector, sector))
		abort();
	for (unsigned n = 0; part_scan_next(&s)->op != STEP_END; n++) {
		const struct step *step = part_scan_next(&s);

		if (n > 1000 || step->bytes > STEP_BYTES_MAX || step->offset % sector ||
		    step->bytes % sector || step->offset + step->bytes > (uint64_t)SECTORS * sector)
			abort();
		memcpy(step->buf, disk + step->offset, step->bytes);
		part_scan_done(&s, readable || n == 0);
	}
	part_scan_end(&s);
	for (uint32_t i = 0; i < t.count; i++)
		if (t.part[i].count == 0 || t.part[i].lba + t.part[i].count > SECTORS)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t sector = size && (data[0] & 1) ? 4096 : 512;
	uint64_t bytes = (uint64_t)SECTORS * sector;
	uint8_t *disk = calloc(1, bytes);
	struct signature_view v = {.head = disk, .bytes = bytes};

	if (size > 1) {
		size_t n = size - 1 < bytes / 2 ? size - 1 : bytes / 2;

		memcpy(disk, data + 1, n);
		if (data[0] & 2) /* the same at the end: a backup header where the primary is */
			memcpy(disk + bytes - sector, disk + sector, sector);
		if (data[0] & 4)
			mend(disk, sector, 1, data[0] & 8);
		if (data[0] & 16)
			mend(disk, sector, SECTORS - 1, data[0] & 8);
	}
	scan(disk, sector, true);
	scan(disk, sector, false);
	v.head_len = SIGNATURE_HEAD < bytes ? SIGNATURE_HEAD : bytes;
	v.tail_len = SIGNATURE_TAIL < bytes ? SIGNATURE_TAIL : bytes;
	v.tail = disk + bytes - v.tail_len;
	(void)signature_find(&v);
	free(disk);
	return 0;
}
