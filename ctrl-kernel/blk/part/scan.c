/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads a partition table step by step (part.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/blk/crc32.h"
#include "ctrl-kernel/blk/part/part.h"

void part_wrong(struct part_table *t, const char *why)
{
	if (t->why[0] == '\0')
		snprintf(t->why, sizeof(t->why), "%s", why);
}

void part_add(struct part_table *t, const struct partition *p, uint64_t sectors)
{
	if (p->count == 0 || p->lba >= sectors || p->count > sectors - p->lba) {
		part_wrong(t, "a partition is not on the disk");
		return;
	}
	for (uint32_t i = 0; i < t->count; i++) {
		const struct partition *q = &t->part[i];

		if (p->lba < q->lba + q->count && q->lba < p->lba + p->count)
			part_wrong(t, "partitions overlap");
	}
	if (t->count < PART_MAX)
		t->part[t->count++] = *p;
	else
		t->more++;
}

static void read_at(struct part_scan *s, enum part_at at, uint64_t lba, uint64_t bytes)
{
	uint64_t whole = (bytes + s->sector - 1) / s->sector * s->sector;

	s->at = at;
	s->step = (struct step){
		.op = STEP_READ,
		.offset = lba * s->sector,
		.bytes = whole > STEP_BYTES_MAX ? STEP_BYTES_MAX : (uint32_t)whole,
		.buf = s->buf,
	};
}

static void finish(struct part_scan *s)
{
	s->at = PART_AT_END;
	s->step = (struct step){.op = STEP_END};
}

/* ---- MBR ---- */

static void add_mbr(struct part_scan *s, uint32_t number, const struct mbr_entry *e, uint64_t base)
{
	struct partition p = {.number = number,
			      .lba = base + e->lba,
			      .count = e->count,
			      .mbr_type = e->type,
			      .lvm = e->type == MBR_LVM};

	part_add(s->table, &p, s->sectors);
}

static bool was_there(const struct part_scan *s, uint64_t lba)
{
	for (uint32_t i = 0; i < s->links; i++)
		if (s->link[i] == lba)
			return true;
	return false;
}

static void next_logical(struct part_scan *s, uint64_t lba)
{
	if (lba < s->sectors && s->links < PART_LOGICAL_MAX && !was_there(s, lba)) {
		s->link[s->links++] = lba;
		read_at(s, PART_AT_LOGICAL, lba, s->sector);
		return;
	}
	part_wrong(s->table, "the chain of logical partitions leaves the disk or does not end");
	finish(s);
}

/* An extended record: its partition, counted from it, and the next link, counted from the first. */
static void logical_done(struct part_scan *s, bool ok)
{
	uint64_t here = s->step.offset / s->sector;
	struct mbr_entry e[4];

	if (!ok || !mbr_read(s->buf, e)) {
		part_wrong(s->table, "a logical partition's record is unreadable or damaged");
		finish(s);
		return;
	}
	if (e[0].type && !mbr_is_extended(e[0].type))
		add_mbr(s, 4 + s->links, &e[0], here);
	for (unsigned i = 0; i < 4; i++) {
		if (!mbr_is_extended(e[i].type) || e[i].count == 0)
			continue;
		if (e[i].lba == 0 || e[i].lba >= s->extended_count) /* round, or out of it */
			break;
		next_logical(s, s->extended + e[i].lba);
		return;
	}
	finish(s);
}

static void read_primary(struct part_scan *s, const struct mbr_entry e[4])
{
	s->table->kind = PART_MBR;
	for (unsigned i = 0; i < 4; i++) {
		if (e[i].type == 0 || e[i].count == 0)
			continue;
		if (!mbr_is_extended(e[i].type)) {
			add_mbr(s, i + 1, &e[i], 0);
		} else if (s->extended == 0) {
			s->extended = e[i].lba;
			s->extended_count = e[i].count;
		} else {
			part_wrong(s->table, "there is more than one extended partition");
		}
	}
	if (s->extended)
		next_logical(s, s->extended);
	else
		finish(s);
}

/* ---- GPT ---- */

static void read_header(struct part_scan *s, bool backup)
{
	s->backup = backup;
	read_at(s, PART_AT_HEADER, backup ? s->sectors - 1 : 1, s->sector);
}

/* After each of the two headers, and its entries. */
static void header_over(struct part_scan *s, enum part_gpt_state state)
{
	struct part_table *t = s->table;

	free(s->entries);
	s->entries = NULL;
	if (!s->backup) {
		t->primary = state;
		read_header(s, true);
		return;
	}
	t->backup = state;
	finish(s);
	if (t->primary != PART_GPT_GOOD && state != PART_GPT_GOOD) {
		part_wrong(t, "neither GPT header is good");
		t->kind = t->primary == PART_GPT_ABSENT && state == PART_GPT_ABSENT ? PART_NONE
										    : PART_GPT;
	}
}

static void mbr_done(struct part_scan *s, bool ok)
{
	struct mbr_entry e[4];
	bool any = false, protective = false;

	if (!ok)
		part_wrong(s->table, "sector 0 cannot be read");
	if (!ok || !mbr_read(s->buf, e)) {
		finish(s);
		return;
	}
	for (unsigned i = 0; i < 4; i++) {
		any |= e[i].type != 0;
		protective |= e[i].type == MBR_PROTECTIVE;
	}
	if (protective) {
		s->table->kind = PART_GPT;
		read_header(s, false);
	} else if (any) {
		read_primary(s, e);
	} else {
		finish(s);
	}
}

static void header_done(struct part_scan *s, bool ok)
{
	uint64_t lba = s->step.offset / s->sector;
	const char *why = "a GPT header cannot be read";
	bool absent = false;

	if (!ok ||
	    !gpt_header_read(s->buf, s->sector, lba, s->sectors, &s->header, &absent, &why)) {
		part_wrong(s->table, why);
		header_over(s, absent ? PART_GPT_ABSENT : PART_GPT_BAD);
		return;
	}
	s->done = 0;
	s->entry_bytes = (uint64_t)s->header.count * s->header.size;
	s->entries = malloc(s->entry_bytes);
	if (s->entries) {
		read_at(s, PART_AT_ENTRIES, s->header.entries, s->entry_bytes);
		return;
	}
	part_wrong(s->table, "no memory for the GPT entries");
	header_over(s, PART_GPT_BAD);
}

static void entries_read(struct part_scan *s)
{
	struct part_table *t = s->table;

	if (~crc32_go(~0u, s->entries, s->entry_bytes) != s->header.crc) {
		part_wrong(t, "the checksum of the GPT entries is wrong");
		header_over(s, PART_GPT_BAD);
		return;
	}
	if (!s->backup || t->primary != PART_GPT_GOOD) {
		gpt_entries_read(s->entries, &s->header, t);
		t->used_backup = s->backup;
	}
	header_over(s, PART_GPT_GOOD);
}

static void entries_done(struct part_scan *s, bool ok)
{
	uint64_t left = s->entry_bytes - s->done, got = s->step.bytes < left ? s->step.bytes : left;

	if (!ok) {
		part_wrong(s->table, "the GPT entries cannot be read");
		header_over(s, PART_GPT_BAD);
		return;
	}
	memcpy(s->entries + s->done, s->buf, got);
	s->done += got;
	if (s->done < s->entry_bytes)
		read_at(s, PART_AT_ENTRIES, s->header.entries + s->done / s->sector,
			s->entry_bytes - s->done);
	else
		entries_read(s);
}

/* ---- steps ---- */

int part_scan_begin(struct part_scan *s, struct part_table *t, uint64_t bytes, uint32_t sector)
{
	*s = (struct part_scan){.table = t, .sector = sector};
	memset(t, 0, sizeof(*t));
	t->primary = PART_GPT_ABSENT;
	t->backup = PART_GPT_ABSENT;
	finish(s);
	if ((sector != 512 && sector != 4096) || bytes / sector < 8 || bytes > INT64_MAX)
		return -HVE_INVAL;
	s->sectors = bytes / sector;
	s->buf = malloc(STEP_BYTES_MAX);
	if (!s->buf)
		return -HVE_NOMEM;
	read_at(s, PART_AT_MBR, 0, sector);
	return 0;
}

const struct step *part_scan_next(const struct part_scan *s)
{
	return &s->step;
}

void part_scan_done(struct part_scan *s, bool ok)
{
	static void (*const done[])(struct part_scan *, bool) = {mbr_done, header_done,
								 entries_done, logical_done};

	if (s->at < PART_AT_END)
		done[s->at](s, ok);
}

void part_scan_end(struct part_scan *s)
{
	free(s->buf);
	free(s->entries);
	s->buf = NULL;
	s->entries = NULL;
	finish(s);
}
