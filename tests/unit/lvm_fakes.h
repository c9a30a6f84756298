/* SPDX-License-Identifier: BSD-2-Clause */
/* Disks in memory for the LVM tests and their tool: carry out the steps of scans and plans. */
#ifndef LVM_FAKES_H
#define LVM_FAKES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/blk/lvm/change.h"
#include "ctrl-kernel/blk/lvm/commit.h"
#include "ctrl-kernel/blk/lvm/pool.h"

#define FAKE_DISKS 4u

struct fake_machine {
	unsigned count;
	uint32_t sector;
	uint8_t *bytes[FAKE_DISKS];
	uint64_t size[FAKE_DISKS];
	struct lvm_disk disk[FAKE_DISKS];
	struct lvm_disk *disks[FAKE_DISKS];
	struct lvm_pool pool;
};

/* A step on memory; what is not on whole sectors of the disk is the library's mistake. */
static inline void fake_step(struct fake_machine *m, unsigned disk, const struct step *s)
{
	if (s->op == STEP_FLUSH)
		return;
	if (s->offset % m->sector || s->bytes % m->sector || s->bytes == 0 ||
	    s->bytes > STEP_BYTES_MAX || s->offset + s->bytes > m->size[disk])
		abort();
	if (s->op == STEP_READ)
		memcpy(s->buf, m->bytes[disk] + s->offset, s->bytes);
	else
		memcpy(m->bytes[disk] + s->offset, s->buf, s->bytes);
}

static inline void fake_scan_disk(struct fake_machine *m, unsigned i)
{
	struct lvm_scan scan;

	if (lvm_scan_begin(&scan, &m->disk[i]))
		abort();
	for (unsigned n = 0; lvm_scan_next(&scan)->op != STEP_END; n++) {
		if (n > 1000)
			abort();
		fake_step(m, i, lvm_scan_next(&scan));
		lvm_scan_done(&scan, true);
	}
	lvm_scan_end(&scan);
}

/* Forgets what was known, and reads all disks. */
static inline void fake_scan(struct fake_machine *m)
{
	char name[16];

	lvm_pool_free(&m->pool);
	for (unsigned i = 0; i < m->count; i++) {
		lvm_disk_free(&m->disk[i]);
		snprintf(name, sizeof(name), "disk%u", i);
		if (lvm_disk_init(&m->disk[i], name, m->size[i], m->sector))
			abort();
		m->disks[i] = &m->disk[i];
		fake_scan_disk(m, i);
	}
	if (lvm_pool_make(&m->pool, m->disks, m->count))
		abort();
}

static inline void fake_free(struct fake_machine *m)
{
	lvm_pool_free(&m->pool);
	for (unsigned i = 0; i < m->count; i++)
		lvm_disk_free(&m->disk[i]);
}

static inline int fake_commit(struct fake_machine *m, const struct lvm_vg *vg, struct lvm_why *why)
{
	struct lvm_plan plan;
	int r = lvm_plan_make(&plan, vg, m->disks, why);

	if (r)
		return r;
	for (;;) {
		struct step s = lvm_plan_next(&plan);

		if (s.op == STEP_END)
			break;
		fake_step(m, s.disk, &s);
		lvm_plan_done(&plan, true);
	}
	if (lvm_plan_outcome(&plan) != LVM_NEW)
		abort();
	lvm_plan_free(&plan);
	return 0;
}

static inline struct lvm_stamp fake_stamp(const char *host)
{
	static uint8_t last;
	struct lvm_stamp s = {.host = host, .time = 1700000000};

	last++;
	for (unsigned i = 0; i < sizeof(s.random); i++)
		s.random[i] = (uint8_t)(last * 31 + i * 7);
	return s;
}

#endif
