/* SPDX-License-Identifier: BSD-2-Clause */
/* GPT headers and entries (UEFI 2.10, 5.3.2 and 5.3.3), as bytes. */
#include <string.h>
#include "ctrl-kernel/blk/crc32.h"
#include "ctrl-kernel/blk/le.h"
#include "ctrl-kernel/blk/part/part.h"

enum { /* offsets in the header, and in an entry */
       HEADER_REVISION = 8,
       HEADER_SIZE = 12,
       HEADER_CRC = 16,
       HEADER_LBA = 24,
       HEADER_FIRST = 40,
       HEADER_LAST = 48,
       HEADER_ID = 56,
       HEADER_ENTRIES = 72,
       HEADER_COUNT = 80,
       HEADER_ENTRY = 84,
       HEADER_ENTRIES_CRC = 88,
       HEADER_MIN = 92,
       ENTRY_ID = 16,
       ENTRY_FIRST = 32,
       ENTRY_LAST = 40,
       ENTRY_NAME = 56,
       ENTRY_MIN = 128,
       ENTRY_MAX = 4096,
       NAME_UNITS = 36,
};

static uint32_t crc_of(const uint8_t *header, uint32_t size)
{
	static const uint8_t zero[4];
	uint32_t crc = crc32_go(~0u, header, HEADER_CRC);

	crc = crc32_go(crc, zero, sizeof(zero)); /* in place of the sum itself */
	return ~crc32_go(crc, header + HEADER_CRC + 4, size - HEADER_CRC - 4);
}

static const char *check_header(const uint8_t *s, uint32_t sector_bytes, uint64_t lba)
{
	uint32_t size = le32_at(s + HEADER_SIZE);

	if (size < HEADER_MIN || size > sector_bytes)
		return "the size of a GPT header is wrong";
	if (le32_at(s + HEADER_CRC) != crc_of(s, size))
		return "the checksum of a GPT header is wrong";
	if (le32_at(s + HEADER_REVISION) >> 16 != 1)
		return "a GPT header is of another revision";
	if (le64_at(s + HEADER_LBA) != lba)
		return "a GPT header says that it lies elsewhere";
	return NULL;
}

static const char *check_bounds(const struct gpt_header *h, uint32_t sector_bytes, uint64_t sectors)
{
	uint64_t array;

	if (h->size < ENTRY_MIN || h->size > ENTRY_MAX || (h->size & (h->size - 1)) ||
	    h->count == 0 || h->count > PART_ENTRIES_MAX)
		return "a GPT header has too many entries or too large ones";
	array = ((uint64_t)h->count * h->size + sector_bytes - 1) / sector_bytes;
	if (h->entries < 2 || h->entries >= sectors || array > sectors - h->entries)
		return "the entries of a GPT header are not on the disk";
	if (h->first > h->last || h->last >= sectors)
		return "the partitions' range of a GPT header is not on the disk";
	return NULL;
}

bool gpt_header_read(const uint8_t *s, uint32_t sector_bytes, uint64_t lba, uint64_t sectors,
		     struct gpt_header *out, bool *absent, const char **why)
{
	struct gpt_header h;

	*absent = memcmp(s, "EFI PART", 8) != 0;
	*why = "there is no GPT header";
	if (*absent)
		return false;
	h = (struct gpt_header){.first = le64_at(s + HEADER_FIRST),
				.last = le64_at(s + HEADER_LAST),
				.entries = le64_at(s + HEADER_ENTRIES),
				.count = le32_at(s + HEADER_COUNT),
				.size = le32_at(s + HEADER_ENTRY),
				.crc = le32_at(s + HEADER_ENTRIES_CRC)};
	memcpy(h.id, s + HEADER_ID, sizeof(h.id));
	*why = check_header(s, sector_bytes, lba);
	if (!*why)
		*why = check_bounds(&h, sector_bytes, sectors);
	if (*why)
		return false;
	*out = h;
	return true;
}

/* One code point of UTF-16LE at *i -> UTF-8 in out: bytes; 0: the end. What is no character becomes U+FFFD. */
static unsigned name_char(const uint8_t *name, unsigned *i, char out[4])
{
	uint32_t c = *i < NAME_UNITS ? le16_at(name + 2 * *i) : 0, low;

	if (c == 0)
		return 0;
	(*i)++;
	if (c >= 0xd800 && c <= 0xdfff) {
		low = c < 0xdc00 && *i < NAME_UNITS ? le16_at(name + 2 * *i) : 0;
		if (low >= 0xdc00 && low <= 0xdfff) {
			(*i)++;
			c = 0x10000 + ((c & 0x3ff) << 10) + (low & 0x3ff);
			out[0] = (char)(0xf0 | c >> 18);
			out[1] = (char)(0x80 | (c >> 12 & 0x3f));
			out[2] = (char)(0x80 | (c >> 6 & 0x3f));
			out[3] = (char)(0x80 | (c & 0x3f));
			return 4;
		}
		c = 0xfffd;
	}
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	out[0] = (char)(0xe0 | c >> 12);
	out[1] = (char)(0x80 | (c >> 6 & 0x3f));
	out[2] = (char)(0x80 | (c & 0x3f));
	return 3;
}

static void read_name(const uint8_t *name, char *out, size_t size)
{
	unsigned i = 0, n;
	size_t len = 0;
	char c[4];

	while ((n = name_char(name, &i, c)) && len + n < size) {
		memcpy(out + len, c, n);
		len += n;
	}
	out[len] = '\0';
}

void gpt_entries_read(const uint8_t *entries, const struct gpt_header *h, struct part_table *out)
{
	static const uint8_t unused[16];
	/* E6D6D379-F507-44C2-A23C-238F2A3DF928 */
	static const uint8_t lvm[16] = {0x79, 0xd3, 0xd6, 0xe6, 0x07, 0xf5, 0xc2, 0x44,
					0xa2, 0x3c, 0x23, 0x8f, 0x2a, 0x3d, 0xf9, 0x28};

	for (uint32_t i = 0; i < h->count; i++) {
		const uint8_t *e = entries + (size_t)i * h->size;
		uint64_t first = le64_at(e + ENTRY_FIRST), last = le64_at(e + ENTRY_LAST);
		struct partition p = {.number = i + 1, .lba = first, .count = last - first + 1};

		if (memcmp(e, unused, 16) == 0)
			continue;
		if (first < h->first || last > h->last || first > last) {
			part_wrong(out, "a GPT partition is outside of its range");
			continue;
		}
		memcpy(p.type, e, 16);
		memcpy(p.id, e + ENTRY_ID, 16);
		p.lvm = memcmp(e, lvm, 16) == 0;
		read_name(e + ENTRY_NAME, p.name, sizeof(p.name));
		part_add(out, &p, h->last + 1);
	}
}
