/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads a disk's label, headers and texts step by step (disk.h). Whatever is wrong stays with what it is wrong of. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/blk/lvm/disk.h"

static struct lvm_mda *mda_of(const struct lvm_scan *s)
{
	return &s->disk->mda[s->mda];
}

static void read_at(struct lvm_scan *s, uint64_t offset, uint64_t bytes)
{
	uint64_t sector = s->disk->sector, begin = offset / sector * sector;
	uint64_t end = (offset + bytes + sector - 1) / sector * sector;

	if (end - begin > STEP_BYTES_MAX)
		end = begin + STEP_BYTES_MAX;
	s->step = (struct step){
		.op = STEP_READ, .offset = begin, .bytes = (uint32_t)(end - begin), .buf = s->buf};
}

/* The next bytes of the text: up to the ring's end, then from its beginning. */
static uint64_t text_offset(const struct lvm_scan *s, uint64_t *left)
{
	const struct lvm_mda *m = mda_of(s);
	uint64_t to_end = m->size - m->at;

	if (s->done < to_end) {
		*left = (m->bytes < to_end ? m->bytes : to_end) - s->done;
		return m->start + m->at + s->done;
	}
	*left = m->bytes - s->done;
	return m->start + LVM_UNIT + (s->done - to_end);
}

static void next_mda(struct lvm_scan *s);

static void next_text(struct lvm_scan *s)
{
	uint64_t left, offset = text_offset(s, &left);

	s->at = LVM_SCAN_TEXT;
	read_at(s, offset, left);
}

static void read_mda(struct lvm_scan *s)
{
	s->at = LVM_SCAN_MDA;
	read_at(s, mda_of(s)->start, LVM_UNIT);
}

static void next_mda(struct lvm_scan *s)
{
	free(s->text);
	s->text = NULL;
	s->done = 0;
	s->mda++;
	if (s->mda < s->disk->mdas) {
		read_mda(s);
	} else {
		s->at = LVM_SCAN_END;
		s->step = (struct step){.op = STEP_END};
	}
}

static void spoil(struct lvm_scan *s, const char *why)
{
	struct lvm_mda *m = mda_of(s);

	m->state = LVM_MDA_BAD;
	snprintf(m->why, sizeof(m->why), "%s", why);
	next_mda(s);
}

/* ---- what was read ---- */

static void head_done(struct lvm_scan *s, bool ok)
{
	s->mda = UINT32_MAX; /* before the first */
	if (!ok)
		snprintf(s->disk->why, sizeof(s->disk->why), "%s cannot be read", s->disk->name);
	else
		(void)lvm_label_read(s->disk, s->buf);
	if (!s->disk->is_pv)
		s->disk->mdas = 0;
	next_mda(s);
}

static void mda_done(struct lvm_scan *s, bool ok)
{
	struct lvm_mda *m = mda_of(s);

	if (!ok) {
		spoil(s, "the metadata area's header cannot be read");
		return;
	}
	memcpy(m->first, s->buf, s->disk->sector);
	lvm_mda_read(m);
	if (m->state != LVM_MDA_GOOD) {
		next_mda(s);
		return;
	}
	s->text = malloc(m->bytes);
	if (s->text)
		next_text(s);
	else
		spoil(s, "no memory for the metadata");
}

static void take_text(struct lvm_scan *s)
{
	struct lvm_mda *m = mda_of(s);
	struct lvm_why why;

	if (lvm_crc(s->text, m->bytes) != m->crc) {
		spoil(s, "the checksum of the metadata is wrong");
		return;
	}
	if (lvm_vg_parse(s->text, m->bytes, &m->vg, &why)) {
		spoil(s, why.text);
		return;
	}
	m->seqno = m->vg->seqno;
	memcpy(m->vg_id, m->vg->id, sizeof(m->vg_id));
	next_mda(s);
}

static void text_done(struct lvm_scan *s, bool ok)
{
	uint64_t left, offset = text_offset(s, &left), skip = offset - s->step.offset;
	uint64_t got = s->step.bytes - skip;

	if (!ok) {
		spoil(s, "the metadata cannot be read");
		return;
	}
	if (got > left)
		got = left;
	memcpy(s->text + s->done, s->buf + skip, got);
	s->done += got;
	if (s->done < mda_of(s)->bytes)
		next_text(s);
	else
		take_text(s);
}

int lvm_scan_begin(struct lvm_scan *s, struct lvm_disk *d)
{
	*s = (struct lvm_scan){.disk = d, .at = LVM_SCAN_HEAD};
	s->buf = malloc(STEP_BYTES_MAX);
	if (!s->buf)
		return -HVE_NOMEM;
	read_at(s, 0, LVM_HEAD_BYTES);
	return 0;
}

const struct step *lvm_scan_next(const struct lvm_scan *s)
{
	return &s->step;
}

void lvm_scan_done(struct lvm_scan *s, bool ok)
{
	switch (s->at) {
	case LVM_SCAN_HEAD:
		head_done(s, ok);
		break;
	case LVM_SCAN_MDA:
		mda_done(s, ok);
		break;
	case LVM_SCAN_TEXT:
		text_done(s, ok);
		break;
	case LVM_SCAN_END:
		break;
	}
}

void lvm_scan_end(struct lvm_scan *s)
{
	free(s->text);
	free(s->buf);
	*s = (struct lvm_scan){.step = {.op = STEP_END}, .at = LVM_SCAN_END};
}
