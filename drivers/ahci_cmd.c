/* SPDX-License-Identifier: BSD-2-Clause */
/* See ahci_cmd.h. Words are of ACS-3 table 50 (IDENTIFY DEVICE). */
#include "drivers/ahci_cmd.h"

#include <string.h>

#define FIS_DWORDS 5u

static unsigned word(const uint8_t *id, unsigned n)
{
	return id[2 * n] | (unsigned)id[2 * n + 1] << 8;
}

static bool valid(unsigned w)
{
	return (w & 0xc000) == 0x4000; /* how these words say that they hold */
}

/* Characters stand in words high byte first. */
static void text(char *out, size_t size, const uint8_t *id, unsigned first, unsigned words)
{
	char in[40];

	for (unsigned i = 0; i < 2 * words; i++)
		in[i] = (char)id[2 * first + (i ^ 1)];
	blk_text(out, size, in, 2 * words);
}

bool ata_identify(const uint8_t *id, struct ata_drive *drive, struct blkdev *dev, const char **why)
{
	unsigned sizes = word(id, 106), queue = word(id, 76);
	uint64_t blocks = word(id, 100) | (uint64_t)word(id, 101) << 16 |
			  (uint64_t)word(id, 102) << 32 | (uint64_t)word(id, 103) << 48;

	*why = "it has no 48-bit addresses";
	if (!valid(word(id, 83)) || !(word(id, 83) & 1u << 10) || blocks == 0 || blocks >> 48)
		return false;
	dev->sector_bytes = 512;
	if (valid(sizes) && (sizes & 1u << 12))
		dev->sector_bytes = 2 * (word(id, 117) | (uint32_t)word(id, 118) << 16);
	*why = "its sectors are neither of 512 nor of 4096 bytes";
	if (dev->sector_bytes != 512 && dev->sector_bytes != 4096)
		return false;
	dev->physical_bytes = dev->sector_bytes;
	if (valid(sizes) && (sizes & 1u << 13) && (sizes & 15) <= 8)
		dev->physical_bytes <<= sizes & 15;
	dev->bytes = blocks * dev->sector_bytes;
	dev->write_cache = !valid(word(id, 87)) || word(id, 85) & 1u << 5;
	drive->queued = queue != 0xffff && queue & 1u << 8;
	drive->depth = drive->queued ? (word(id, 75) & 31) + 1 : 1;
	drive->fua = valid(word(id, 84)) && word(id, 84) & 1u << 6;
	drive->trim = word(id, 169) & 1;
	text(dev->serial, sizeof(dev->serial), id, 10, 10);
	text(dev->model, sizeof(dev->model), id, 27, 20);
	return true;
}

static void fis(volatile struct ahci_table *t, enum ata command, uint64_t lba, unsigned count,
		unsigned features, unsigned device)
{
	const uint8_t bytes[4 * FIS_DWORDS] = {
		ATA_FIS_COMMAND,      (uint8_t)ATA_FIS_C,   (uint8_t)command,
		(uint8_t)features,    (uint8_t)lba,         (uint8_t)(lba >> 8),
		(uint8_t)(lba >> 16), (uint8_t)device,      (uint8_t)(lba >> 24),
		(uint8_t)(lba >> 32), (uint8_t)(lba >> 40), (uint8_t)(features >> 8),
		(uint8_t)count,       (uint8_t)(count >> 8)};

	for (unsigned i = 0; i < sizeof(bytes); i++)
		t->fis[i] = bytes[i];
}

static void prd(volatile struct ahci_table *t, unsigned i, uint64_t hpa, uint32_t bytes)
{
	t->prd[i].hpa = hpa;
	t->prd[i].reserved = 0;
	t->prd[i].count = bytes - 1;
}

static uint32_t flags(unsigned prds, bool write)
{
	return FIS_DWORDS | (write ? AHCI_H_WRITE : 0) | prds << 16;
}

uint32_t ahci_identify(volatile struct ahci_table *t, uint64_t data_hpa)
{
	fis(t, ATA_IDENTIFY, 0, 0, 0, 0);
	prd(t, 0, data_hpa, 512);
	return flags(1, false);
}

/* Ranges of 16-bit length (ACS-3, 7.5.3.2); those that are left are empty. */
static uint32_t trim(volatile struct ahci_table *t, uint64_t lba, uint64_t blocks,
		     volatile uint64_t *ranges, uint64_t ranges_hpa)
{
	for (unsigned i = 0; i < ATA_TRIM_RANGES; i++) {
		uint64_t n = blocks < ATA_TRIM_BLOCKS ? blocks : ATA_TRIM_BLOCKS;

		ranges[i] = n ? lba | n << 48 : 0;
		lba += n;
		blocks -= n;
	}
	fis(t, ATA_DSM, 0, 1, ATA_DSM_TRIM, ATA_LBA);
	prd(t, 0, ranges_hpa, 512);
	return flags(1, true);
}

static uint32_t move(volatile struct ahci_table *t, const struct blkcmd *c,
		     const struct ata_drive *drive, uint64_t lba, unsigned blocks)
{
	bool write = c->op == BLK_WRITE;
	const struct blkmem *m;
	unsigned n;

	if (drive->queued)
		fis(t, write ? ATA_WRITE_QUEUED : ATA_READ_QUEUED, lba, c->slot << 3, blocks,
		    ATA_LBA | (c->fua ? ATA_QUEUED_FUA : 0));
	else
		fis(t,
		    !write   ? ATA_READ_EXT
		    : c->fua ? ATA_WRITE_FUA_EXT
			     : ATA_WRITE_EXT,
		    lba, blocks, 0, ATA_LBA);
	m = blkcmd_memory(c, &n);
	for (unsigned i = 0; i < n && i < AHCI_PRDS; i++)
		prd(t, i, m[i].hpa, m[i].bytes);
	return flags(n, write);
}

uint32_t ahci_command(volatile struct ahci_table *t, const struct blkcmd *c,
		      const struct ata_drive *drive, volatile uint64_t *ranges, uint64_t ranges_hpa)
{
	uint32_t sector = c->unit->dev.sector_bytes;

	if (c->op == BLK_FLUSH) {
		fis(t, ATA_FLUSH_EXT, 0, 0, 0, ATA_LBA);
		return flags(0, false);
	}
	if (c->op == BLK_DISCARD)
		return trim(t, c->offset / sector, c->bytes / sector, ranges, ranges_hpa);
	return move(t, c, drive, c->offset / sector, (unsigned)(c->bytes / sector));
}
