/* SPDX-License-Identifier: BSD-2-Clause */
/* Labels, physical-volume headers and headers of metadata areas (disk.h), as bytes. */
#include "ctrl-kernel/blk/lvm/disk.h"

#include <stdio.h>
#include <string.h>
#include "ctrl-kernel/blk/crc32.h"
#include "ctrl-kernel/blk/le.h"

enum {
	MIB = 1 << 20,
	/* label */
	LABEL_SECTOR = 8,  /* number of this sector */
	LABEL_CRC = 16,    /* of the bytes from LABEL_OFFSET to the sector's end */
	LABEL_OFFSET = 20, /* of the PV header in this sector */
	LABEL_TYPE = 24,
	LABEL_BYTES = 32,
	/* PV header: id, then its size, then the lists */
	PV_ID_BYTES = 32,
	PV_SIZE = 32,
	PV_LISTS = 40,
	LIST_MAX = 16, /* entries of a list, each 16 bytes: offset, size; one of zeros ends it */
	/* header of a metadata area */
	MDA_CRC = 0, /* of the bytes from MDA_MAGIC to the header's end */
	MDA_MAGIC = 4,
	MDA_VERSION = 20,
	MDA_START = 24,
	MDA_SIZE = 32,
	MDA_LOCN = 40, /* four of 24 bytes: offset, size, crc, flags */
	LOCN_IGNORED = 1,
};

#define CRC_START 0xf597a6cfu
#define EXT_VERSION 2u

static const char label_magic[] = "LABELONE", label_type[] = "LVM2 001";
static const char mda_magic[] = " LVM2 x[5A%r0N*>";

uint32_t lvm_crc(const void *data, size_t len)
{
	return crc32_go(CRC_START, data, len);
}

int lvm_disk_init(struct lvm_disk *d, const char *name, uint64_t bytes, uint32_t sector)
{
	memset(d, 0, sizeof(*d));
	snprintf(d->name, sizeof(d->name), "%s", name);
	d->bytes = sector ? bytes / sector * sector : 0;
	d->sector = sector;
	d->vg = -1;
	return (sector != 512 && sector != 4096) || bytes < MIB || bytes > INT64_MAX ? -HVE_INVAL
										     : 0;
}

void lvm_disk_free(struct lvm_disk *d)
{
	for (unsigned i = 0; i < LVM_MDAS_MAX; i++) {
		lvm_vg_free(d->mda[i].vg);
		d->mda[i].vg = NULL;
	}
}

/* ---- label ---- */

static bool bad_label(struct lvm_disk *d, const char *why)
{
	snprintf(d->why, sizeof(d->why), "the LVM label of %s is damaged: %s", d->name, why);
	return false;
}

/* A list at *at in the sector -> entries stored, at most max; *at goes behind it. -1: it does not end, or has more. */
static int read_list(const uint8_t *sector, uint32_t *at, uint64_t (*out)[2], unsigned max)
{
	for (unsigned n = 0; n <= LIST_MAX && *at + 16 <= LVM_UNIT; n++) {
		uint64_t offset = le64_at(sector + *at), size = le64_at(sector + *at + 8);

		*at += 16;
		if (offset == 0)
			return (int)n;
		if (n >= max)
			return -1;
		out[n][0] = offset;
		out[n][1] = size;
	}
	return -1;
}

/* Areas lie on the disk, on whole sectors, do not meet the label, and have room for a header and something. */
static bool area_ok(const struct lvm_disk *d, uint64_t start, uint64_t size)
{
	return start >= LVM_HEAD_BYTES && size >= 2 * LVM_SECTOR_MAX && size <= d->bytes &&
	       start <= d->bytes - size && start % d->sector == 0;
}

static bool read_pv(struct lvm_disk *d, const uint8_t *sector, uint32_t at)
{
	char id[PV_ID_BYTES + 1] = "";
	uint64_t data[LIST_MAX][2], areas[LVM_MDAS_MAX][2];
	int count;

	if (at > LVM_UNIT - PV_LISTS)
		return bad_label(d, "the header is outside of the sector");
	memcpy(id, sector + at, PV_ID_BYTES);
	d->pv_bytes = le64_at(sector + at + PV_SIZE);
	if (!lvm_id_read(id, d->id))
		return bad_label(d, "the id is none");
	at += PV_LISTS;
	count = read_list(sector, &at, data, LIST_MAX);
	if (count < 0)
		return bad_label(d, "the list of data areas does not end");
	d->data = count ? data[0][0] : 0;
	count = read_list(sector, &at, areas, LVM_MDAS_MAX);
	if (count < 0)
		return bad_label(d, "the list of metadata areas is too long");
	for (int i = 0; i < count; i++) {
		if (!area_ok(d, areas[i][0], areas[i][1]))
			return bad_label(d, "a metadata area is not on the disk");
		d->mda[i].start = areas[i][0];
		d->mda[i].size = areas[i][1];
	}
	d->mdas = (unsigned)count;
	if (at + 8 <= LVM_UNIT && le32_at(sector + at) != 0)
		d->flags = le32_at(sector + at + 4);
	return true;
}

bool lvm_label_read(struct lvm_disk *d, const uint8_t head[LVM_HEAD_BYTES])
{
	for (uint32_t i = 0; i < 4; i++) {
		const uint8_t *sector = head + i * LVM_UNIT;

		if (memcmp(sector, label_magic, 8) != 0 ||
		    memcmp(sector + LABEL_TYPE, label_type, 8) != 0)
			continue;
		if (le32_at(sector + LABEL_CRC) !=
		    lvm_crc(sector + LABEL_OFFSET, LVM_UNIT - LABEL_OFFSET))
			return bad_label(d, "the checksum is wrong");
		if (le64_at(sector + LABEL_SECTOR) != i)
			return bad_label(d, "it says that it belongs into another sector");
		d->is_pv = read_pv(d, sector, le32_at(sector + LABEL_OFFSET));
		return d->is_pv;
	}
	return false;
}

static uint8_t *put_area(uint8_t *at, uint64_t offset, uint64_t size)
{
	le64_put(at, offset);
	le64_put(at + 8, size);
	return at + 16;
}

void lvm_label_write(const struct lvm_disk *d, uint8_t head[LVM_HEAD_BYTES])
{
	uint8_t *sector = head + LVM_UNIT, *at = sector + LABEL_BYTES;

	memset(head, 0, LVM_HEAD_BYTES);
	memcpy(sector, label_magic, 8);
	le64_put(sector + LABEL_SECTOR, 1);
	le32_put(sector + LABEL_OFFSET, LABEL_BYTES);
	memcpy(sector + LABEL_TYPE, label_type, 8);
	memcpy(at, d->id, PV_ID_BYTES);
	le64_put(at + PV_SIZE, d->pv_bytes);
	at = put_area(at + PV_LISTS, d->data, 0); /* size 0: what is left */
	at = put_area(at, 0, 0);
	for (unsigned i = 0; i < d->mdas; i++)
		at = put_area(at, d->mda[i].start, d->mda[i].size);
	at = put_area(at, 0, 0);
	le32_put(at, EXT_VERSION);
	le32_put(at + 4, d->flags); /* and no bootloader areas */
	le32_put(sector + LABEL_CRC, lvm_crc(sector + LABEL_OFFSET, LVM_UNIT - LABEL_OFFSET));
}

/* ---- metadata areas ---- */

static void bad_mda(struct lvm_mda *m, const char *why)
{
	m->state = LVM_MDA_BAD;
	snprintf(m->why, sizeof(m->why), "%s", why);
}

void lvm_mda_read(struct lvm_mda *m)
{
	const uint8_t *h = m->first, *locn = h + MDA_LOCN;

	m->writable = false;
	if (le32_at(h + MDA_CRC) != lvm_crc(h + MDA_MAGIC, LVM_UNIT - MDA_MAGIC)) {
		bad_mda(m, "the checksum of the metadata area's header is wrong");
		return;
	}
	if (memcmp(h + MDA_MAGIC, mda_magic, 16) != 0 || le32_at(h + MDA_VERSION) != 1 ||
	    le64_at(h + MDA_START) != m->start || le64_at(h + MDA_SIZE) != m->size) {
		bad_mda(m, "the metadata area's header is of another kind or place");
		return;
	}
	m->writable = true;
	m->at = le64_at(locn);
	m->bytes = le64_at(locn + 8);
	m->crc = le32_at(locn + 16);
	if (le32_at(locn + 20) & LOCN_IGNORED) {
		m->state = LVM_MDA_IGNORED;
		m->writable = false;
	} else if (m->at == 0) {
		m->state = LVM_MDA_EMPTY;
		m->bytes = 0;
	} else if (m->at < LVM_UNIT || m->at >= m->size || m->bytes == 0 ||
		   m->bytes > m->size - LVM_UNIT || m->bytes > LVM_TEXT_MAX) {
		bad_mda(m, "the metadata area's text lies outside of its ring");
		m->at = 0; /* so nothing of it is to be spared */
		m->bytes = 0;
	} else {
		m->state = LVM_MDA_GOOD;
	}
}

void lvm_mda_write(uint8_t first[LVM_SECTOR_MAX], uint64_t start, uint64_t size, uint64_t at,
		   uint64_t bytes, uint32_t crc)
{
	memset(first, 0, LVM_UNIT);
	memcpy(first + MDA_MAGIC, mda_magic, 16);
	le32_put(first + MDA_VERSION, 1);
	le64_put(first + MDA_START, start);
	le64_put(first + MDA_SIZE, size);
	if (bytes) {
		le64_put(first + MDA_LOCN, at);
		le64_put(first + MDA_LOCN + 8, bytes);
		le32_put(first + MDA_LOCN + 16, crc);
	}
	le32_put(first + MDA_CRC, lvm_crc(first + MDA_MAGIC, LVM_UNIT - MDA_MAGIC));
}

/* ---- a new one ---- */

int lvm_disk_make(struct lvm_disk *d, const uint8_t random[32], unsigned mdas, struct lvm_why *why)
{
	if (d->bytes < 4u * MIB + 2ull * LVM_EXTENT_SECTORS * LVM_UNIT)
		return lvm_fail(why, HVE_LIMIT, "%s is too small for a physical volume", d->name);
	lvm_disk_free(d);
	memset(d->mda, 0, sizeof(d->mda));
	lvm_id_make(random, d->id);
	d->is_pv = true;
	d->fresh = true;
	d->vg = -1;
	d->why[0] = '\0';
	d->pv_bytes = d->bytes;
	d->data = MIB;
	d->flags = LVM_PV_EXT_USED;
	d->mdas = mdas > 1 ? 2 : 1;
	d->mda[0].start = LVM_HEAD_BYTES;
	d->mda[0].size = MIB - LVM_HEAD_BYTES;
	d->mda[1].start = (d->bytes / MIB - 1) * MIB;
	d->mda[1].size = MIB;
	for (unsigned i = 0; i < d->mdas; i++) {
		struct lvm_mda *m = &d->mda[i];

		m->state = LVM_MDA_EMPTY;
		m->writable = true;
		lvm_mda_write(m->first, m->start, m->size, 0, 0, 0);
	}
	return 0;
}

uint32_t lvm_disk_extents(const struct lvm_disk *d, uint32_t extent_sectors)
{
	uint64_t end = d->bytes, n;

	for (unsigned i = 0; i < d->mdas; i++)
		if (d->mda[i].start > d->data && d->mda[i].start < end)
			end = d->mda[i].start;
	n = end > d->data ? (end - d->data) / LVM_UNIT / extent_sectors : 0;
	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}
