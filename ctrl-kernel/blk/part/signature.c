/* SPDX-License-Identifier: BSD-2-Clause */
/* Magic numbers at their places (signature.h). Where formats share a place, the more telling one comes first. */
#include "ctrl-kernel/blk/part/signature.h"

#include <string.h>
#include "ctrl-kernel/blk/le.h"
#include "ctrl-kernel/blk/part/part.h"

struct magic {
	const char *name;
	uint32_t offset; /* from the start of the disk */
	uint32_t len;
	const char *bytes;
};

static const struct magic magics[] = {
	{"LUKS volume", 0, 6, "LUKS\xba\xbe"},
	{"XFS file system", 0, 4, "XFSB"},
	{"btrfs file system", 65536 + 64, 8, "_BHRfS_M"},
	{"NTFS file system", 3, 8, "NTFS    "},
	{"exFAT file system", 3, 8, "EXFAT   "},
	{"BitLocker volume", 3, 8, "-FVE-FS-"},
	{"FAT file system", 54, 5, "FAT12"},
	{"FAT file system", 54, 5, "FAT16"},
	{"FAT file system", 82, 5, "FAT32"},
	{"swap space", 4096 - 10, 10, "SWAPSPACE2"},
	{"swap space", 4096 - 10, 10, "SWAP-SPACE"},
	{"swap space", 65536 - 10, 10, "SWAPSPACE2"},
	{"ISO 9660 file system", 32769, 5, "CD001"},
	{"md RAID member", 0, 4, "\xfc\x4e\x2b\xa9"},
	{"md RAID member", 4096, 4, "\xfc\x4e\x2b\xa9"},
	{"GPT partition table", 512, 8, "EFI PART"},
	{"GPT partition table", 4096, 8, "EFI PART"},
};

static bool has(const uint8_t *at, size_t len, uint64_t offset, const char *bytes, size_t n)
{
	return offset <= len && n <= len - offset && memcmp(at + offset, bytes, n) == 0;
}

/* The same, at an offset of the disk. */
static bool disk_has(const struct signature_view *v, uint64_t offset, const char *bytes, size_t n)
{
	uint64_t tail = v->bytes - v->tail_len;

	return has(v->head, v->head_len, offset, bytes, n) ||
	       (offset >= tail && has(v->tail, v->tail_len, offset - tail, bytes, n));
}

static bool has_lvm(const struct signature_view *v)
{
	for (unsigned i = 0; i < 4; i++)
		if (disk_has(v, i * 512u, "LABELONE", 8))
			return true;
	return false;
}

/* 2, 3 or 4 by the features that only the later ones have. */
static const char *ext_name(const struct signature_view *v)
{
	const uint8_t *sb = v->head + 1024;

	if (!disk_has(v, 1024 + 56, "\x53\xef", 2) || v->head_len < 2048)
		return NULL;
	if (le32_at(sb + 96) & ~0x3fu ||
	    le32_at(sb + 100) & ~0x7u) /* incompatible, ro-compatible */
		return "ext4 file system";
	return le32_at(sb + 92) & 4 ? "ext3 file system" : "ext2 file system";
}

/* md's superblock at the end: 0.90 64 KiB from it, 1.0 8 KiB. */
static bool has_md_at_end(const struct signature_view *v)
{
	return v->bytes >= 128 << 10 &&
	       (disk_has(v, (v->bytes & ~0xffffull) - 0x10000, "\xfc\x4e\x2b\xa9", 4) ||
		disk_has(v, (v->bytes / 512 - 16) / 8 * 8 * 512, "\xfc\x4e\x2b\xa9", 4));
}

/* The uberblocks of a label: 128 KiB, at its second half. Either byte order. */
static bool has_zfs_label(const struct signature_view *v, uint64_t label)
{
	for (uint64_t at = label + (128 << 10); at < label + (256 << 10); at += 1024)
		if (disk_has(v, at, "\x0c\xb1\xba\0\0\0\0\0", 8) ||
		    disk_has(v, at, "\0\0\0\0\0\xba\xb1\x0c", 8))
			return true;
	return false;
}

static bool has_zfs(const struct signature_view *v)
{
	uint64_t end = v->bytes & ~0x3ffffull; /* labels lie on 256 KiB */

	return has_zfs_label(v, 0) || (end >= 1 << 20 && (has_zfs_label(v, end - (512 << 10)) ||
							  has_zfs_label(v, end - (256 << 10))));
}

static bool has_mbr(const struct signature_view *v)
{
	struct mbr_entry e[4];
	bool any = false;

	if (v->head_len < 512 || !mbr_read(v->head, e))
		return false;
	for (unsigned i = 0; i < 4; i++)
		any |= e[i].type != 0;
	return any;
}

const char *signature_find(const struct signature_view *v)
{
	const char *ext = ext_name(v);

	if (has_lvm(v))
		return "LVM2 physical volume";
	if (ext)
		return ext;
	for (unsigned i = 0; i < ARRAY_SIZE(magics); i++)
		if (disk_has(v, magics[i].offset, magics[i].bytes, magics[i].len))
			return magics[i].name;
	if (has_zfs(v))
		return "ZFS pool member";
	if (has_md_at_end(v))
		return "md RAID member";
	if (has_mbr(v))
		return "MBR partition table";
	if (has(v->tail, v->tail_len, v->tail_len - 512, "EFI PART", 8) ||
	    (v->tail_len >= 4096 && has(v->tail, v->tail_len, v->tail_len - 4096, "EFI PART", 8)))
		return "GPT partition table";
	return NULL;
}
