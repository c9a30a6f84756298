/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Partition tables, read only: GPT (UEFI 2.10, 5.3) with its protective MBR and backup, and MBR with logical partitions.
 * Reading goes by steps (step.h). Which header of a GPT was used, and whether the other is bad, is told: nothing is mended.
 *
 * GPT: the primary wins if header and entries are good, else the backup in the last sector does. It counts only when sector
 * 0 is a protective MBR; a disk whose MBR has other partitions too ("hybrid") is read as its GPT.
 */
#ifndef PART_PART_H
#define PART_PART_H

#include "ctrl-kernel/blk/step.h"
#include "ctrl-kernel/rt/rt.h"

#define PART_MAX 128u          /* partitions kept; more are counted in `more` */
#define PART_ENTRIES_MAX 1024u /* of a GPT */
#define PART_LOGICAL_MAX 124u  /* links of a chain that are followed */

enum part_kind { PART_NONE, PART_GPT, PART_MBR };

struct partition {
	uint32_t number;          /* as Linux counts: 1 .. ; logical ones from 5 */
	uint64_t lba, count;      /* in sectors of the disk, inside of it */
	bool lvm;                 /* its type is LVM's */
	uint8_t mbr_type;         /* MBR only */
	uint8_t type[16], id[16]; /* GPT only; bytes as on the disk */
	char name[109];           /* GPT only: UTF-8, cut to fit */
};

enum part_gpt_state { PART_GPT_GOOD, PART_GPT_ABSENT, PART_GPT_BAD };

struct part_table {
	enum part_kind kind;
	enum part_gpt_state primary, backup; /* GPT */
	bool used_backup;
	char why[96];  /* the first thing that is wrong; may be there with a table that is used */
	uint32_t more; /* partitions beyond PART_MAX */
	uint32_t count;
	struct partition part[PART_MAX];
};

/* ---- formats, pure ---- */

struct gpt_header {
	uint64_t first, last; /* LBAs for partitions */
	uint64_t entries;     /* LBA of the array */
	uint32_t count, size; /* of its entries */
	uint32_t crc;         /* of the array */
	uint8_t id[16];
};

/* The header in the sector at lba. False with *absent when nothing claims to be one, else with *why. */
bool gpt_header_read(const uint8_t *sector, uint32_t sector_bytes, uint64_t lba, uint64_t sectors,
		     struct gpt_header *out, bool *absent, const char **why);
/* Adds the partitions of an array of entries whose checksum is good. */
void gpt_entries_read(const uint8_t *entries, const struct gpt_header *h, struct part_table *out);

struct mbr_entry {
	uint8_t status, type;
	uint32_t lba, count;
};
/* Four entries; false: the sector has no table (no 55aa, or an entry's status is neither 0 nor 80). */
bool mbr_read(const uint8_t *sector, struct mbr_entry out[4]);
bool mbr_is_extended(uint8_t type);
#define MBR_PROTECTIVE 0xeeu
#define MBR_LVM 0x8eu
/* Adds one if it is inside of the disk; why otherwise. */
void part_add(struct part_table *t, const struct partition *p, uint64_t sectors);
void part_wrong(struct part_table *t, const char *why);

/* ---- reading a disk ---- */

enum part_at { PART_AT_MBR, PART_AT_HEADER, PART_AT_ENTRIES, PART_AT_LOGICAL, PART_AT_END };

struct part_scan {
	struct part_table *table; /* [borrows] */
	uint32_t sector;
	uint64_t sectors;
	enum part_at at;
	struct step step;
	uint8_t *buf; /* [owns] STEP_BYTES_MAX */
	bool backup;  /* that header is being read */
	struct gpt_header header;
	uint64_t entry_bytes; /* of the whole array */
	uint8_t *entries;     /* [owns] */
	uint64_t done;
	uint64_t extended, extended_count; /* LBA and length of the extended partition */
	uint32_t links;
	uint64_t link[PART_LOGICAL_MAX]; /* LBAs of the records read */
};

/* sector: 512 or 4096. INVAL, NOMEM. */
int part_scan_begin(struct part_scan *s, struct part_table *t, uint64_t bytes,
		    uint32_t sector) MUST_CHECK;
/* The next read; STEP_END: the table is there. */
const struct step *part_scan_next(const struct part_scan *s);
void part_scan_done(struct part_scan *s, bool ok);
void part_scan_end(struct part_scan *s);

#endif
