/* SPDX-License-Identifier: BSD-2-Clause */
/* Partition tables, good and damaged, and signatures. Tables made by sfdisk and sgdisk: tests/system/test_part.py. */
// SRC: ctrl-kernel/blk/crc32.c
// SRC: ctrl-kernel/blk/part/gpt.c
// SRC: ctrl-kernel/blk/part/mbr.c
// SRC: ctrl-kernel/blk/part/scan.c
// SRC: ctrl-kernel/blk/part/signature.c
// SRC: ctrl-kernel/blk/part/signature_scan.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "ctrl-kernel/blk/crc32.h"
#include "ctrl-kernel/blk/le.h"
#include "ctrl-kernel/blk/part/part.h"
#include "ctrl-kernel/blk/part/signature.h"

#define SECTORS 1024u
#define ENTRIES 128u

static uint8_t disk[SECTORS * 4096u];
static uint32_t sector;
static struct part_table t;

static uint8_t *at(uint64_t lba)
{
	return disk + lba * sector;
}

static void scan_but(unsigned unreadable)
{
	struct part_scan s;

	assert_int_equal(part_scan_begin(&s, &t, (uint64_t)SECTORS * sector, sector), 0);
	for (unsigned n = 0; part_scan_next(&s)->op != STEP_END; n++) {
		const struct step *step = part_scan_next(&s);

		assert_in_range(n, 0, 300);
		assert_true(step->offset + step->bytes <= (uint64_t)SECTORS * sector);
		memcpy(step->buf, disk + step->offset, step->bytes);
		part_scan_done(&s, n != unreadable);
	}
	part_scan_end(&s);
}

static void scan(void)
{
	scan_but(~0u);
}

/* ---- GPT ---- */

static void sum_header(uint64_t lba)
{
	uint8_t *h = at(lba);

	le32_put(h + 88, ~crc32_go(~0u, at(le64_at(h + 72)), ENTRIES * 128));
	le32_put(h + 16, 0);
	le32_put(h + 16, ~crc32_go(~0u, h, 92));
}

static void put_header(uint64_t lba, uint64_t other, uint64_t entries)
{
	uint8_t *h = at(lba);

	memset(h, 0, sector);
	memcpy(h, "EFI PART", 8);
	le32_put(h + 8, 0x10000);
	le32_put(h + 12, 92);
	le64_put(h + 24, lba);
	le64_put(h + 32, other);
	le64_put(h + 40, 40);
	le64_put(h + 48, SECTORS - 40);
	le64_put(h + 72, entries);
	le32_put(h + 80, ENTRIES);
	le32_put(h + 84, 128);
}

static void put_entry(unsigned n, uint8_t type, uint64_t first, uint64_t last)
{
	static const uint8_t lvm[16] = {0x79, 0xd3, 0xd6, 0xe6, 0x07, 0xf5, 0xc2, 0x44,
					0xa2, 0x3c, 0x23, 0x8f, 0x2a, 0x3d, 0xf9, 0x28};
	static const uint8_t name[] = {'d', 0, 0xe4, 0, 0x3c, 0xd8, 0x0a, 0xdf, 0x00, 0xd8, 'x', 0};
	uint64_t backup = SECTORS - 1 - ENTRIES * 128 / sector;

	for (unsigned i = 0; i < 2; i++) {
		uint8_t *e = at(i ? backup : 2) + n * 128;

		memcpy(e, lvm, 16);
		e[0] = type ? type : lvm[0];
		e[16] = (uint8_t)(n + 1);
		le64_put(e + 32, first);
		le64_put(e + 40, last);
		memcpy(e + 56, name, sizeof(name));
	}
}

static void sum_both(void)
{
	sum_header(1);
	sum_header(SECTORS - 1);
}

static void make_gpt(uint32_t bytes)
{
	sector = bytes;
	memset(disk, 0, sizeof(disk));
	disk[446 + 4] = MBR_PROTECTIVE;
	le32_put(disk + 446 + 8, 1);
	le32_put(disk + 446 + 12, SECTORS - 1);
	disk[510] = 0x55;
	disk[511] = 0xaa;
	put_header(1, SECTORS - 1, 2);
	put_header(SECTORS - 1, 1, SECTORS - 1 - ENTRIES * 128 / sector);
	put_entry(0, 1, 40, 99);
	put_entry(4, 0, 100, SECTORS - 40);
	sum_both();
}

static void is_good(void)
{
	assert_int_equal(t.kind, PART_GPT);
	assert_int_equal(t.count, 2);
	assert_int_equal(t.part[0].number, 1);
	assert_int_equal(t.part[0].lba, 40);
	assert_int_equal(t.part[0].count, 60);
	assert_false(t.part[0].lvm);
	assert_int_equal(t.part[1].number, 5);
	assert_true(t.part[1].lvm);
	assert_int_equal(t.part[1].count, SECTORS - 40 - 100 + 1);
	/* a pair of surrogates, and half of one */
	assert_string_equal(t.part[1].name, "d\xc3\xa4\xf0\x9f\x8c\x8a\xef\xbf\xbdx");
}

static void test_gpt(void **state)
{
	(void)state;
	for (uint32_t bytes = 512; bytes <= 4096; bytes *= 8) {
		make_gpt(bytes);
		scan();
		is_good();
		assert_int_equal(t.primary, PART_GPT_GOOD);
		assert_int_equal(t.backup, PART_GPT_GOOD);
		assert_false(t.used_backup);
		assert_string_equal(t.why, "");
	}
}

static void test_gpt_one_is_bad(void **state)
{
	(void)state;
	make_gpt(512);
	at(1)[100 - 20] ^= 1;
	scan();
	is_good();
	assert_int_equal(t.primary, PART_GPT_BAD);
	assert_true(t.used_backup);
	assert_non_null(strstr(t.why, "checksum"));

	make_gpt(512);
	at(2)[60] ^= 1; /* the entries */
	scan();
	is_good();
	assert_true(t.used_backup);
	assert_non_null(strstr(t.why, "entries"));

	make_gpt(512);
	memset(at(SECTORS - 1), 0, 512);
	scan();
	is_good();
	assert_int_equal(t.primary, PART_GPT_GOOD);
	assert_int_equal(t.backup, PART_GPT_ABSENT);
	assert_false(t.used_backup);
	assert_non_null(strstr(t.why, "no GPT header"));
}

static void test_gpt_unreadable(void **state)
{
	(void)state;
	make_gpt(512);
	for (unsigned i = 1; i < 5; i++) { /* header, entries, header, entries */
		scan_but(i);
		is_good();
		assert_int_equal(t.used_backup, i < 3);
		assert_int_equal(t.primary == PART_GPT_BAD, i < 3);
		assert_non_null(strstr(t.why, "cannot be read"));
	}
	scan_but(0);
	assert_int_equal(t.kind, PART_NONE);
	assert_non_null(strstr(t.why, "sector 0"));
}

static void test_gpt_none_is_good(void **state)
{
	(void)state;
	make_gpt(512);
	at(1)[30] ^= 1;
	at(SECTORS - 1)[30] ^= 1;
	scan();
	assert_int_equal(t.kind, PART_GPT);
	assert_int_equal(t.count, 0);
	assert_int_equal(t.backup, PART_GPT_BAD);
	memset(at(1), 0, 512);
	memset(at(SECTORS - 1), 0, 512);
	scan();
	assert_int_equal(t.kind, PART_NONE);
}

/* Good checksums over wild fields. */
static void test_gpt_bounds(void **state)
{
	static const struct {
		uint32_t at, bytes;
		uint64_t value;
		const char *why;
	} cases[] = {
		{12, 4, 91, "size of a GPT header"},
		{12, 4, 513, "size of a GPT header"},
		{8, 4, 0x20000, "another revision"},
		{24, 8, 2, "lies elsewhere"},
		{80, 4, 1025, "too many entries"},
		{80, 4, 0, "too many entries"},
		{84, 4, 64, "too many entries"},
		{84, 4, 8192, "too many entries"},
		{84, 4, 192, "too many entries"},
		{72, 8, 1, "not on the disk"},
		{72, 8, SECTORS - 3, "not on the disk"},
		{72, 8, UINT64_MAX, "not on the disk"},
		{40, 8, SECTORS, "range"},
		{48, 8, SECTORS, "range"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct gpt_header h;
		bool absent;
		const char *why;
		uint8_t *s;

		make_gpt(512);
		s = at(1);
		if (cases[i].bytes == 4)
			le32_put(s + cases[i].at, (uint32_t)cases[i].value);
		else
			le64_put(s + cases[i].at, cases[i].value);
		le32_put(s + 16, 0);
		le32_put(s + 16, ~crc32_go(~0u, s, 92));
		assert_false(gpt_header_read(s, 512, 1, SECTORS, &h, &absent, &why));
		assert_false(absent);
		if (!strstr(why, cases[i].why))
			fail_msg("%u: '%s' has no '%s'", i, why, cases[i].why);
		scan();
		is_good();
		assert_true(t.used_backup);
	}
}

static void test_gpt_entries(void **state)
{
	(void)state;
	make_gpt(512);
	put_entry(1, 1, 39, 50);      /* before the range */
	put_entry(2, 1, 50, SECTORS); /* behind it */
	put_entry(3, 1, 60, 59);      /* backwards */
	put_entry(5, 1, 0, UINT64_MAX);
	sum_both();
	scan();
	is_good();
	assert_non_null(strstr(t.why, "outside"));
	make_gpt(512);
	put_entry(1, 1, 90, 110);
	sum_both();
	scan();
	assert_int_equal(t.count, 3);
	assert_non_null(strstr(t.why, "overlap"));
}

static void test_gpt_needs_protection(void **state)
{
	(void)state;
	make_gpt(512);
	disk[446 + 4] = 0x83;
	scan();
	assert_int_equal(t.kind, PART_MBR);
	disk[510] = 0;
	scan();
	assert_int_equal(t.kind, PART_NONE);
}

/* ---- MBR ---- */

static void put_mbr(uint64_t lba, unsigned n, uint8_t type, uint32_t first, uint32_t count)
{
	uint8_t *e = at(lba) + 446 + 16 * n;

	e[4] = type;
	le32_put(e + 8, first);
	le32_put(e + 12, count);
	at(lba)[510] = 0x55;
	at(lba)[511] = 0xaa;
}

static void make_mbr(uint32_t bytes)
{
	sector = bytes;
	memset(disk, 0, sizeof(disk));
	put_mbr(0, 0, 0x83, 8, 90);
	put_mbr(0, 2, MBR_LVM, 100, 100);
	put_mbr(0, 3, 0x0f, 300, 500);
	put_mbr(300, 0, 0x83, 10, 20);
	put_mbr(300, 1, 0x05, 100, 100);
	put_mbr(400, 0, MBR_LVM, 5, 6);
}

static void test_mbr(void **state)
{
	(void)state;
	for (uint32_t bytes = 512; bytes <= 4096; bytes *= 8) {
		make_mbr(bytes);
		scan();
		assert_int_equal(t.kind, PART_MBR);
		assert_string_equal(t.why, "");
		assert_int_equal(t.count, 4);
		assert_int_equal(t.part[1].number, 3);
		assert_true(t.part[1].lvm);
		assert_int_equal(t.part[2].number, 5);
		assert_int_equal(t.part[2].lba, 310);
		assert_int_equal(t.part[3].number, 6);
		assert_int_equal(t.part[3].lba, 405);
		assert_int_equal(t.part[3].count, 6);
		assert_true(t.part[3].lvm);
	}
}

static void test_mbr_chains(void **state)
{
	(void)state;
	make_mbr(512);
	put_mbr(400, 1, 0x05, 100, 100); /* to itself */
	scan();
	assert_int_equal(t.kind, PART_MBR);
	assert_non_null(strstr(t.why, "does not end"));
	assert_int_equal(t.count, 4);
	make_mbr(512);
	put_mbr(0, 3, 0x05, 300, UINT32_MAX);
	put_mbr(400, 1, 0x05, UINT32_MAX - 5, 100); /* off the disk */
	scan();
	assert_int_equal(t.count, 4);
	assert_non_null(strstr(t.why, "leaves the disk"));
	make_mbr(512);
	memset(at(400), 0, 512);
	scan();
	assert_int_equal(t.count, 3);
	assert_non_null(strstr(t.why, "damaged"));
	make_mbr(512);
	put_mbr(0, 1, 0x83, SECTORS - 10, 11);
	scan();
	assert_int_equal(t.count, 4);
	assert_non_null(strstr(t.why, "not on the disk"));
}

/* A boot sector of a file system is no table. */
static void test_mbr_none(void **state)
{
	(void)state;
	make_mbr(512);
	disk[446] = 0x13;
	scan();
	assert_int_equal(t.kind, PART_NONE);
	assert_int_equal(t.count, 0);
}

static void test_sizes(void **state)
{
	struct part_scan s;

	(void)state;
	assert_int_equal(part_scan_begin(&s, &t, 4096, 512), 0);
	part_scan_end(&s);
	assert_int_equal(part_scan_begin(&s, &t, 2048, 512), -HVE_INVAL);
	assert_int_equal(part_scan_begin(&s, &t, 1 << 20, 1024), -HVE_INVAL);
}

/* ---- signatures ---- */

static const char *found(void)
{
	const struct signature_view v = {.head = disk,
					 .head_len = SIGNATURE_HEAD,
					 .tail = disk + sizeof(disk) - SIGNATURE_TAIL,
					 .tail_len = SIGNATURE_TAIL,
					 .bytes = sizeof(disk)};

	return signature_find(&v);
}

static void test_signatures(void **state)
{
	static const struct {
		uint64_t at;
		const char *bytes;
		unsigned len;
		const char *name;
	} cases[] = {
		{512, "LABELONE", 8, "LVM2"},
		{1536, "LABELONE", 8, "LVM2"},
		{0, "LUKS\xba\xbe\0\1", 8, "LUKS"},
		{0, "XFSB", 4, "XFS"},
		{65600, "_BHRfS_M", 8, "btrfs"},
		{1080, "\x53\xef", 2, "ext2"},
		{3, "NTFS    ", 8, "NTFS"},
		{3, "EXFAT   ", 8, "exFAT"},
		{82, "FAT32   ", 8, "FAT"},
		{54, "FAT16   ", 8, "FAT"},
		{4086, "SWAPSPACE2", 10, "swap"},
		{32769, "CD001", 5, "ISO 9660"},
		{4096, "\xfc\x4e\x2b\xa9", 4, "md RAID"},
		{sizeof(disk) - 65536, "\xfc\x4e\x2b\xa9", 4, "md RAID"},
		{sizeof(disk) - 8192, "\xfc\x4e\x2b\xa9", 4, "md RAID"},
		{(128 << 10) + 5 * 1024, "\x0c\xb1\xba\0\0\0\0\0", 8, "ZFS"},
		{sizeof(disk) - (128 << 10), "\0\0\0\0\0\xba\xb1\x0c", 8, "ZFS"},
		{sizeof(disk) - (384 << 10), "\x0c\xb1\xba\0\0\0\0\0", 8, "ZFS"},
		{512, "EFI PART", 8, "GPT"},
		{4096, "EFI PART", 8, "GPT"},
		{sizeof(disk) - 512, "EFI PART", 8, "GPT"},
		{sizeof(disk) - 4096, "EFI PART", 8, "GPT"},
	};

	(void)state;
	memset(disk, 0, sizeof(disk));
	assert_null(found());
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(disk, 0, sizeof(disk));
		memcpy(disk + cases[i].at, cases[i].bytes, cases[i].len);
		if (!found() || !strstr(found(), cases[i].name))
			fail_msg("%u: %s, not %s", i, found() ? found() : "nothing", cases[i].name);
	}
}

/* Both ends are read, each byte once, and nothing else; what cannot be read is not taken for blank. */
static void test_signature_scan(void **state)
{
	static const uint64_t sizes[] = {512, 300 << 10, 1 << 20, sizeof(disk)};

	(void)state;
	memset(disk, 0, sizeof(disk));
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		uint64_t bytes = sizes[i / 2], got = 0;
		struct signature_scan s;

		memcpy(disk + bytes - 512, "EFI PART", 8);
		assert_int_equal(signature_scan_begin(&s, bytes, 512), 0);
		while (signature_scan_next(&s)->op != STEP_END) {
			const struct step *step = signature_scan_next(&s);

			assert_true(step->bytes && step->offset + step->bytes <= bytes);
			memcpy(step->buf, disk + step->offset, step->bytes);
			got += step->bytes;
			signature_scan_done(&s, i % 2 == 0 || got < 4096);
		}
		assert_true(i % 2 || got == s.view.head_len + s.view.tail_len);
		assert_true(got <= SIGNATURE_HEAD + SIGNATURE_TAIL);
		assert_string_equal(signature_scan_result(&s),
				    i % 2 && got >= 4096 ? "something that cannot be read"
							 : "GPT partition table");
		signature_scan_end(&s);
		memset(disk + bytes - 512, 0, 512);
	}
}

static void test_signature_of_tables(void **state)
{
	(void)state;
	make_gpt(512);
	assert_string_equal(found(), "GPT partition table");
	make_mbr(512);
	assert_string_equal(found(), "MBR partition table");
	memset(disk, 0, sizeof(disk));
	disk[510] = 0x55; /* an empty table */
	disk[511] = 0xaa;
	assert_null(found());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gpt),
		cmocka_unit_test(test_gpt_one_is_bad),
		cmocka_unit_test(test_gpt_unreadable),
		cmocka_unit_test(test_gpt_none_is_good),
		cmocka_unit_test(test_gpt_bounds),
		cmocka_unit_test(test_gpt_entries),
		cmocka_unit_test(test_gpt_needs_protection),
		cmocka_unit_test(test_mbr),
		cmocka_unit_test(test_mbr_chains),
		cmocka_unit_test(test_mbr_none),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_signatures),
		cmocka_unit_test(test_signature_of_tables),
		cmocka_unit_test(test_signature_scan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
