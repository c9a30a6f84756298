/* SPDX-License-Identifier: BSD-2-Clause */
/* Pure: ATA commands in AHCI's structures, and what IDENTIFY DEVICE says. */
#ifndef DRIVERS_AHCI_CMD_H
#define DRIVERS_AHCI_CMD_H

#include <stdbool.h>
#include "drivers/ahci_hw.h"
#include "drivers/blkctl.h"

struct ata_drive {
	bool queued; /* NCQ */
	unsigned depth;
	bool fua; /* writes through the cache, queued or not */
	bool trim;
};

/* False: *why the drive is not used. Fills in of dev what the drive says. id: 512 bytes. */
bool ata_identify(const uint8_t *id, struct ata_drive *drive, struct blkdev *dev, const char **why);

/* The command of c -> its header's flags. trim: 512 bytes for its ranges. */
uint32_t ahci_command(volatile struct ahci_table *t, const struct blkcmd *c,
		      const struct ata_drive *drive, volatile uint64_t *trim, uint64_t trim_hpa);
uint32_t ahci_identify(volatile struct ahci_table *t, uint64_t data_hpa);

#endif
