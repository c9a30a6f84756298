/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A volume group as its text says it: physical volumes, logical volumes, what lies where. The tree of the text stays
 * with it and is what is written again; the fields here are read from it and never written back.
 *
 *   text -> lvm_vg_parse() -> pool.h finds its disks -> lvm_map(), change.h -> the next group -> commit.h
 *
 * A volume that cannot be served here (thin, raid, cache, snapshot, mirror, vdo, what is missing a disk ...) is listed with
 * the reason in `why`, keeps its extents, and is refused by name. Sizes are in extents and in sectors of 512 bytes.
 * Unchanged once settled; one thread.
 */
#ifndef LVM_VG_H
#define LVM_VG_H

#include "ctrl-kernel/blk/lvm/doc.h"

#define LVM_NAME_SIZE 128u /* with its NUL */
#define LVM_ID_SIZE 33u    /* 32 characters without the dashes, NUL */
#define LVM_WHY_SIZE 192u
#define LVM_PVS_MAX 256u
#define LVM_LVS_MAX 8192u
#define LVM_SEGMENTS_MAX 16384u
#define LVM_STRIPES_MAX 128u
#define LVM_EXTENT_SECTORS 8192u /* of groups made here: 4 MiB */

struct lvm_pv {
	char name[LVM_NAME_SIZE]; /* inside the text: "pv0" */
	char id[LVM_ID_SIZE];
	uint64_t dev_sectors; /* 0: the text does not say */
	uint64_t pe_start;    /* sector of extent 0 */
	uint32_t pe_count;
	bool allocatable; /* and nothing lies on it whose place is not understood */
	bool missing;     /* marked so, or no disk has it */
	int disk;         /* number in the list of disks; -1: none */
	int32_t node;
};

struct lvm_segment { /* [start, start + count) of its volume */
	uint32_t start, count;
	uint32_t stripes;        /* 1: linear; 0: of a kind that is not supported */
	uint32_t stripe_sectors; /* 0 when linear */
	uint32_t area;           /* the first of its `stripes` areas */
	int32_t node;
};

struct lvm_area {
	uint32_t pv, pe;
};

struct lvm_lv {
	char name[LVM_NAME_SIZE];
	char id[LVM_ID_SIZE];
	char type
		[32]; /* "linear", "striped", or the first kind that is not supported: "thin-pool" */
	char why[LVM_WHY_SIZE]; /* why it is not supported; empty: it is */
	bool supported;         /* can be mapped and changed */
	bool visible;           /* not a part of another volume */
	bool writable;
	uint32_t extents;
	uint32_t segment, segments; /* the first, and how many; in order, without gaps */
	uint64_t created;           /* s since 1970; 0: not said */
	char host[64];              /* that made it */
	int32_t node;
};

struct lvm_used { /* extents that belong to a volume */
	uint32_t pv, pe, count;
	bool exact; /* false: at most these, of a kind that is not supported */
};

struct lvm_vg {
	char name[LVM_NAME_SIZE];
	char id[LVM_ID_SIZE];
	uint64_t seqno;
	uint32_t extent_sectors;
	uint32_t max_lv, max_pv; /* 0: no limit */
	bool refused;            /* nothing of it can be used: `why` */
	bool read_only;          /* its metadata cannot be changed: `why`; always with refused */
	char why[LVM_WHY_SIZE];
	unsigned
		stale; /* metadata areas with an older text, or none that is good; the next commit mends them */
	struct lvm_pv *pvs;           /* [owns] */
	struct lvm_lv *lvs;           /* [owns] */
	struct lvm_segment *segments; /* [owns] */
	struct lvm_area *areas;       /* [owns] */
	struct lvm_used *used;        /* [owns] ordered by pv, pe */
	uint32_t pv_count, lv_count, segment_count;
	uint32_t area_count, area_room, used_count, used_room;
	struct lvm_doc doc;
	int32_t node, pv_node, lv_node; /* sections; pv_node, lv_node: LVM_NODE_NONE when absent */
};

/* INVAL, LIMIT, NOMEM with why. The group has no disks yet: all its PVs are missing. The caller frees it. */
int lvm_vg_parse(const char *text, size_t len, struct lvm_vg **out, struct lvm_why *why) MUST_CHECK;
void lvm_vg_free(struct lvm_vg *vg);
/* What each missing PV means for the volumes and for the group; once, after pvs[].disk and .missing are set. */
void lvm_vg_settle(struct lvm_vg *vg);
/* Marks the group; the first reason stays. */
void lvm_vg_read_only(struct lvm_vg *vg, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void lvm_vg_refuse(struct lvm_vg *vg, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

struct lvm_lv *lvm_lv_find(const struct lvm_vg *vg, const char *name);
int lvm_pv_find(const struct lvm_vg *vg, const char *name); /* -1: none */
/* 1 to 127 of A-Z a-z 0-9 _ . + -, not beginning with -, neither "." nor "..". */
bool lvm_name_ok(const char *name);
/* Why LVM2 keeps this name for itself, NULL: it does not. */
const char *lvm_name_reserved(const char *name);
/* 32 characters from a field with or without dashes. */
bool lvm_id_read(const char *s, char out[LVM_ID_SIZE]);
/* With dashes, 38 characters. */
void lvm_id_print(const char id[LVM_ID_SIZE], char out[40]);
/* An identity from 32 random bytes. */
void lvm_id_make(const uint8_t random[32], char out[LVM_ID_SIZE]);

uint64_t lvm_lv_sectors(const struct lvm_vg *vg, const struct lvm_lv *lv);
uint64_t lvm_free_extents(const struct lvm_vg *vg);

struct lvm_piece { /* sectors of 512 bytes */
	uint32_t pv;
	uint64_t lba, count;
};
/*
 * Where [lba, lba + count) of a supported volume lies: as many pieces as fit into out[max] -> how many. *mapped tells for
 * how many sectors; less than count when max was too small or the volume ends. O(log segments) a piece.
 */
unsigned lvm_map(const struct lvm_vg *vg, const struct lvm_lv *lv, uint64_t lba, uint64_t count,
		 struct lvm_piece *out, unsigned max, uint64_t *mapped);

#endif
