/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes and follows plans (commit.h). All that can fail but the I/O fails while the plan is made. */
#include "ctrl-kernel/blk/lvm/commit.h"

#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/blk/lvm/doc_int.h"

#define WIPE_BYTES (1ull << 20) /* at both ends: where signatures lie (part/signature.h) */

struct lvm_planned { /* an area that gets the text */
	unsigned disk, mda;
	uint64_t at, bytes;
	uint32_t crc;
	uint8_t first[LVM_SECTOR_MAX]; /* with the new header */
};

/* ---- steps ---- */

static void add(struct lvm_plan *p, enum step_op op, unsigned disk, uint64_t offset, uint64_t bytes,
		void *buf)
{
	do {
		uint32_t n = bytes > STEP_BYTES_MAX ? STEP_BYTES_MAX : (uint32_t)bytes;
		void *more = lvm_grow(p->steps, p->count, &p->room, sizeof(*p->steps));

		if (!more) {
			p->r = -HVE_NOMEM;
			return;
		}
		p->steps = more;
		p->steps[p->count++] = (struct step){op, disk, offset, n, buf};
		offset += n;
		bytes -= n;
		if (buf && buf != p->zeros)
			buf = (uint8_t *)buf + n;
	} while (bytes);
}

/* A zeroed buffer that lives as long as the plan. */
static uint8_t *buffer(struct lvm_plan *p, uint64_t bytes)
{
	struct lvm_bytes *b = calloc(1, sizeof(*b) + bytes);

	if (!b) {
		p->r = -HVE_NOMEM;
		return NULL;
	}
	b->next = p->buffers;
	p->buffers = b;
	return (uint8_t *)b->bytes;
}

static void flush_if(struct lvm_plan *p, const struct lvm_vg *vg,
		     bool (*of)(const struct lvm_disk *))
{
	for (uint32_t i = 0; i < vg->pv_count; i++)
		if (of(p->disks[vg->pvs[i].disk]))
			add(p, STEP_FLUSH, (unsigned)vg->pvs[i].disk, 0, 0, NULL);
}

static bool is_fresh(const struct lvm_disk *d)
{
	return d->fresh;
}

static bool has_area(const struct lvm_disk *d)
{
	bool any = false;

	for (unsigned i = 0; i < d->mdas; i++)
		any |= d->mda[i].writable;
	return any;
}

/* ---- new disks ---- */

static void plan_wipe(struct lvm_plan *p, unsigned disk)
{
	const struct lvm_disk *d = p->disks[disk];
	uint64_t tail = d->bytes - WIPE_BYTES;

	tail -= tail % d->sector;
	add(p, STEP_WRITE, disk, 0, WIPE_BYTES, p->zeros);
	add(p, STEP_WRITE, disk, tail, d->bytes - tail, p->zeros);
}

static void plan_empty(struct lvm_plan *p, unsigned disk)
{
	struct lvm_disk *d = p->disks[disk];

	for (unsigned i = 0; i < d->mdas; i++)
		add(p, STEP_WRITE, disk, d->mda[i].start, d->sector, d->mda[i].first);
}

static void plan_label(struct lvm_plan *p, unsigned disk)
{
	uint8_t *head = buffer(p, LVM_HEAD_BYTES);

	if (!head)
		return;
	lvm_label_write(p->disks[disk], head);
	add(p, STEP_WRITE, disk, 0, LVM_HEAD_BYTES, head);
}

static void plan_fresh(struct lvm_plan *p, const struct lvm_vg *vg)
{
	static void (*const phases[])(struct lvm_plan *, unsigned) = {plan_wipe, plan_empty,
								      plan_label};

	for (unsigned i = 0; i < ARRAY_SIZE(phases); i++) {
		for (uint32_t k = 0; k < vg->pv_count; k++)
			if (p->disks[vg->pvs[k].disk]->fresh)
				phases[i](p, (unsigned)vg->pvs[k].disk);
		flush_if(p, vg, is_fresh);
	}
}

/* ---- texts ---- */

/*
 * A place in the ring behind the current text, on a whole sector of the disk, that leaves the current one alone: what is
 * left of two sectors is lost by rounding at the start, one at each end of the new text.
 */
static bool place(const struct lvm_mda *m, uint32_t sector, uint64_t bytes, uint64_t *at)
{
	uint64_t first = (LVM_UNIT + sector - 1) / sector * sector, end = first;

	if (m->size % sector || m->bytes + bytes + 5ull * sector > m->size - LVM_UNIT)
		return false;
	if (m->bytes) {
		end = m->at + m->bytes;
		if (end > m->size)
			end -= m->size - LVM_UNIT;
		end = (end + sector - 1) / sector * sector;
	}
	*at = end + sector > m->size ? first : end;
	return true;
}

/* Text that goes into the sector of the header (of 4096 bytes), which otherwise stays. */
static void plan_first(struct lvm_plan *p, struct lvm_planned *a, const char *text, uint64_t bytes)
{
	const struct lvm_disk *d = p->disks[a->disk];
	uint8_t *now = buffer(p, d->sector);

	if (!now)
		return;
	memcpy(a->first + LVM_UNIT, text, bytes);
	memcpy(now, a->first, d->sector);
	add(p, STEP_WRITE, a->disk, d->mda[a->mda].start, d->sector, now);
}

/* text[bytes] at that offset of the area, which is on a sector. */
static void plan_piece(struct lvm_plan *p, const struct lvm_planned *a, uint64_t at,
		       const char *text, uint64_t bytes)
{
	const struct lvm_disk *d = p->disks[a->disk];
	uint64_t whole = (bytes + d->sector - 1) / d->sector * d->sector;
	uint8_t *buf = buffer(p, whole);

	if (!buf)
		return;
	memcpy(buf, text, bytes);
	add(p, STEP_WRITE, a->disk, d->mda[a->mda].start + at, whole, buf);
}

static void plan_text(struct lvm_plan *p, struct lvm_planned *a, const char *text, uint64_t bytes)
{
	const struct lvm_disk *d = p->disks[a->disk];
	const struct lvm_mda *m = &d->mda[a->mda];
	uint64_t to_end = m->size - a->at, n = bytes < to_end ? bytes : to_end;
	uint64_t beside = d->sector - LVM_UNIT; /* of the header, in its sector */

	memcpy(a->first, m->first, d->sector);
	plan_piece(p, a, a->at, text, n);
	text += n;
	bytes -= n;
	if (bytes && beside) {
		n = bytes < beside ? bytes : beside;
		plan_first(p, a, text, n);
		text += n;
		bytes -= n;
	}
	if (bytes)
		plan_piece(p, a, d->sector, text, bytes);
}

static int plan_area(struct lvm_plan *p, unsigned disk, unsigned mda, const char *text, size_t len,
		     struct lvm_why *why)
{
	const struct lvm_disk *d = p->disks[disk];
	const struct lvm_mda *m = &d->mda[mda];
	struct lvm_planned *a = &p->areas[p->area_count];

	*a = (struct lvm_planned){.disk = disk, .mda = mda, .bytes = len};
	if (!place(m, d->sector, len, &a->at))
		return lvm_fail(why, HVE_LIMIT,
				"the metadata area of %s has no room for a text of %u bytes",
				d->name, (unsigned)len);
	p->area_count++;
	a->crc = lvm_crc(text, len);
	plan_text(p, a, text, len);
	lvm_mda_write(a->first, m->start, m->size, a->at, a->bytes, a->crc);
	return 0;
}

static int plan_texts(struct lvm_plan *p, const struct lvm_vg *vg, const char *text, size_t len,
		      struct lvm_why *why)
{
	int r = 0;

	for (uint32_t i = 0; i < vg->pv_count; i++) {
		unsigned disk = (unsigned)vg->pvs[i].disk;

		for (unsigned k = 0; k < p->disks[disk]->mdas && r == 0; k++)
			if (p->disks[disk]->mda[k].writable)
				r = plan_area(p, disk, k, text, len, why);
	}
	if (r == 0 && p->area_count == 0)
		r = lvm_fail(why, HVE_STATE, "volume group %s has no metadata area to write to",
			     vg->name);
	flush_if(p, vg, has_area);
	return r;
}

static void plan_headers(struct lvm_plan *p)
{
	p->commit = p->count;
	for (uint32_t i = 0; i < p->area_count; i++) {
		struct lvm_planned *a = &p->areas[i];
		const struct lvm_disk *d = p->disks[a->disk];

		add(p, STEP_WRITE, a->disk, d->mda[a->mda].start, d->sector, a->first);
		add(p, STEP_FLUSH, a->disk, 0, 0, NULL);
	}
}

/* ---- plans ---- */

static int plan_all(struct lvm_plan *p, const struct lvm_vg *vg, struct lvm_why *why)
{
	size_t len;
	char *text = lvm_doc_write(&vg->doc, &len);
	int r;

	p->areas = calloc(vg->pv_count * LVM_MDAS_MAX, sizeof(*p->areas));
	p->zeros = calloc(1, STEP_BYTES_MAX);
	if (!text || !p->areas || !p->zeros) {
		free(text);
		return lvm_fail(why, HVE_NOMEM, "no memory");
	}
	plan_fresh(p, vg);
	r = plan_texts(p, vg, text, len, why);
	plan_headers(p);
	free(text);
	if (r == 0 && p->r)
		r = lvm_fail(why, HVE_NOMEM, "no memory");
	return r;
}

int lvm_plan_make(struct lvm_plan *p, const struct lvm_vg *vg, struct lvm_disk *const disks[],
		  struct lvm_why *why)
{
	int r;

	*p = (struct lvm_plan){.disks = disks, .seqno = vg->seqno};
	memcpy(p->vg_id, vg->id, sizeof(p->vg_id));
	if (vg->read_only)
		return lvm_fail(why, HVE_STATE, "%s", vg->why);
	r = plan_all(p, vg, why);
	if (r)
		lvm_plan_free(p);
	return r;
}

struct step lvm_plan_next(const struct lvm_plan *p)
{
	if (p->failed || p->at == p->count)
		return (struct step){.op = STEP_END};
	return p->steps[p->at];
}

/* What is on the disks now. */
static void take_over(struct lvm_plan *p)
{
	for (uint32_t i = 0; i < p->area_count; i++) {
		const struct lvm_planned *a = &p->areas[i];
		struct lvm_mda *m = &p->disks[a->disk]->mda[a->mda];

		memcpy(m->first, a->first, sizeof(m->first));
		lvm_mda_read(m);
		memcpy(m->vg_id, p->vg_id, sizeof(m->vg_id));
		m->seqno = p->seqno;
	}
	for (uint32_t i = 0; i < p->count; i++)
		p->disks[p->steps[i].disk]->fresh = false;
}

void lvm_plan_done(struct lvm_plan *p, bool ok)
{
	if (p->failed || p->at == p->count)
		return;
	if (!ok) {
		p->failed = true;
		return;
	}
	p->at++;
	if (p->at == p->count)
		take_over(p);
}

enum lvm_outcome lvm_plan_outcome(const struct lvm_plan *p)
{
	if (p->count && p->at == p->count)
		return LVM_NEW;
	return p->at < p->commit ? LVM_OLD : LVM_UNKNOWN;
}

void lvm_plan_free(struct lvm_plan *p)
{
	lvm_bytes_free(&p->buffers);
	free(p->steps);
	free(p->areas);
	free(p->zeros);
	*p = (struct lvm_plan){.steps = NULL};
}
