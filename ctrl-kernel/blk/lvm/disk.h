/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One disk (or partition) as LVM2 sees it: the label in one of its first four sectors, the physical-volume header behind
 * it, and metadata areas, each a header with the place of the current text in the ring that is the rest of the area.
 *
 *   byte 512 (label sector)           area (start, size)
 *   | label | PV header: id, size,    | header 512 | ring: ... text of seqno 7 | old text of seqno 6 ... |
 *   |       | data areas, metadata    |  locn[0] ----------^ may go round the end, to offset 512
 *   |       | areas | extension |
 *
 * All in units of 512 bytes, whatever the sector of the disk is. lvm_scan() reads a disk by steps (step.h).
 */
#ifndef LVM_DISK_H
#define LVM_DISK_H

#include "ctrl-kernel/blk/lvm/vg.h"
#include "ctrl-kernel/blk/step.h"

#define LVM_UNIT 512u
#define LVM_SECTOR_MAX 4096u
#define LVM_HEAD_BYTES 4096u /* label and PV header are in here */
#define LVM_MDAS_MAX 2u      /* LVM2 makes no more */
#define LVM_PV_EXT_USED 1u   /* flag: belongs to a group */

enum lvm_mda_state {
	LVM_MDA_BAD,     /* unreadable, or a checksum is wrong: why */
	LVM_MDA_IGNORED, /* says that it holds nothing current */
	LVM_MDA_EMPTY,   /* a good header without text */
	LVM_MDA_GOOD,    /* text and group are there */
};

struct lvm_mda {
	enum lvm_mda_state state;
	bool writable;                 /* the header is good */
	uint64_t start, size;          /* bytes of the disk */
	uint64_t at;                   /* of the text, from start */
	uint64_t bytes;                /* of the text */
	uint32_t crc;                  /* of the text */
	uint8_t first[LVM_SECTOR_MAX]; /* the sector at start, as it is on the disk */
	struct lvm_vg *vg;             /* [owns] what the text says; NULL: taken, or not GOOD */
	char vg_id[LVM_ID_SIZE];
	uint64_t seqno;
	char why[LVM_WHY_SIZE];
};

struct lvm_disk {
	char name[64];          /* for people */
	uint64_t bytes;         /* of the disk */
	uint32_t sector;        /* 512 or 4096 */
	bool is_pv;             /* has a good label and header */
	bool fresh;             /* made by lvm_disk_make(), not yet written */
	char why[LVM_WHY_SIZE]; /* a label is there, but not a good one */
	char id[LVM_ID_SIZE];
	uint64_t pv_bytes; /* size the header gives */
	uint64_t data;     /* byte where the data area begins */
	uint32_t flags;    /* LVM_PV_EXT_ */
	unsigned mdas;
	struct lvm_mda mda[LVM_MDAS_MAX];
	int vg; /* number of its group, -1: none; by lvm_pool_make() */
};

/* An unread disk. Sizes are checked: INVAL when sector is neither 512 nor 4096 or the disk is shorter than 1 MiB. */
int lvm_disk_init(struct lvm_disk *d, const char *name, uint64_t bytes, uint32_t sector) MUST_CHECK;
void lvm_disk_free(struct lvm_disk *d);
/*
 * Lays out a new physical volume: label in sector 1, data from 1 MiB on, one metadata area below that and, with
 * mdas = 2, one of 1 MiB at the end. Nothing is written: a plan does that (commit.h). LIMIT: too small.
 */
int lvm_disk_make(struct lvm_disk *d, const uint8_t random[32], unsigned mdas,
		  struct lvm_why *why) MUST_CHECK;
/* Extents that fit behind data, before an area at the end. */
uint32_t lvm_disk_extents(const struct lvm_disk *d, uint32_t extent_sectors);

/* The formats. Pure. */
/* Finds the label in LVM_HEAD_BYTES bytes: fills id, sizes, areas; false: none, or with d->why a bad one. */
bool lvm_label_read(struct lvm_disk *d, const uint8_t head[LVM_HEAD_BYTES]);
void lvm_label_write(const struct lvm_disk *d, uint8_t head[LVM_HEAD_BYTES]);
/* m->first -> place of the text. */
void lvm_mda_read(struct lvm_mda *m);
/* The header for a text there; bytes = 0: none. Only the first 512 bytes of `first` change. */
void lvm_mda_write(uint8_t first[LVM_SECTOR_MAX], uint64_t start, uint64_t size, uint64_t at,
		   uint64_t bytes, uint32_t crc);
uint32_t lvm_crc(const void *data, size_t len);

/* ---- reading a disk ---- */

enum lvm_scan_at { LVM_SCAN_HEAD, LVM_SCAN_MDA, LVM_SCAN_TEXT, LVM_SCAN_END };

struct lvm_scan {
	struct lvm_disk *disk; /* [borrows] */
	enum lvm_scan_at at;
	unsigned mda;
	char *text;    /* [owns] of the area, as far as it is read */
	uint64_t done; /* bytes of it */
	struct step step;
	uint8_t *buf; /* [owns] STEP_BYTES_MAX */
};

/* NOMEM. The disk was initialised. */
int lvm_scan_begin(struct lvm_scan *s, struct lvm_disk *d) MUST_CHECK;
/* The next read; STEP_END: the disk is as it will be. The same until lvm_scan_done(). */
const struct step *lvm_scan_next(const struct lvm_scan *s);
/* The step's bytes are in its buffer; ok = false: they could not be read. */
void lvm_scan_done(struct lvm_scan *s, bool ok);
/* At any time; the disk stays. */
void lvm_scan_end(struct lvm_scan *s);

#endif
