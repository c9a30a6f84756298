/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-blk (virtio 1.2, 5.2): a disk of vmm_config. Its requests are carried out by the control kernel (vmm/io_area.h):
 *
 *	chain ─► header copied, checked ─┬─ wrong, GET_ID, nothing to do: status byte, completed at once
 *	                                 └─ record ─► I/O area ... result ─► status byte ─► used ring ─► interrupt
 */
#ifndef VMM_VIRTIO_BLK_H
#define VMM_VIRTIO_BLK_H

#include "ctrl-kernel/vmm/virtio/virtio.h"

#define BLK_SLOT VMM_DISK_SLOT

extern const struct virtio_device_ops blk_ops;

enum blk_feature { /* 5.2.3 */
		   BLK_F_SEG_MAX = 1 << 2,
		   BLK_F_RO = 1 << 5,
		   BLK_F_BLK_SIZE = 1 << 6,
		   BLK_F_FLUSH = 1 << 9,
		   BLK_F_TOPOLOGY = 1 << 10,
		   BLK_F_MQ = 1 << 12,
		   BLK_F_DISCARD = 1 << 13,
		   BLK_F_WRITE_ZEROES = 1 << 14
};
enum blk_type { /* 5.2.6 */
		BLK_T_IN = 0,
		BLK_T_OUT = 1,
		BLK_T_FLUSH = 4,
		BLK_T_GET_ID = 8,
		BLK_T_DISCARD = 11,
		BLK_T_WRITE_ZEROES = 13
};
enum blk_answer { BLK_S_OK = 0, BLK_S_IOERR = 1, BLK_S_UNSUPP = 2 };
#define BLK_SECTOR 512u /* of capacity and headers, whatever blk_size says */

struct blk_header {
	uint32_t type, reserved;
	uint64_t sector;
};

struct blk_range { /* of DISCARD and WRITE_ZEROES */
	uint64_t sector;
	uint32_t sectors;
	uint32_t flags; /* bit 0: may be unmapped, of WRITE_ZEROES */
};

struct blk_config { /* 5.2.4 */
	uint64_t capacity;
	uint32_t size_max, seg_max;
	uint16_t cylinders;
	uint8_t heads, sectors;
	uint32_t blk_size;
	uint8_t physical_exponent, alignment_offset;
	uint16_t min_io;
	uint32_t opt_io;
	uint8_t writeback, unused;
	uint16_t queues;
	uint32_t discard_max, discard_segs, discard_alignment;
	uint32_t zeroes_max, zeroes_segs;
	uint8_t zeroes_unmap, unused2[3];
	uint32_t erase_max; /* of a feature that is not offered */
};
_Static_assert(sizeof(struct blk_config) == 64 && sizeof(struct blk_header) == 16 &&
		       sizeof(struct blk_range) == 16,
	       "virtio 1.2, 5.2");

#endif
