/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The drives of this machine. Drivers start their hardware beside everything else, so drives appear in the list after
 * disk_probe_all(), in seconds where they have to spin up. Entries stay for good; what was removed is `gone`.
 */
#ifndef DRIVERS_DISKS_H
#define DRIVERS_DISKS_H

#include "drivers/blkdev.h"

struct pci_dev;

struct disk_driver {
	const char *name;
	bool (*matches)(const struct pci_dev *d);
	/* Begins to start it; says in the log what is wrong. */
	void (*probe)(struct pci_dev *d);
};
extern const struct disk_driver disk_virtio, disk_nvme, disk_ahci;

/* Offers each PCI function to the drivers in turn. After pci_scan(), once. */
void disk_probe_all(const struct disk_driver *const drivers[], unsigned n);

struct blkdev *disk_first(void); /* sorted by name, linked by next */
/* fn is called for each drive from now on, from the loop; for those that are there before this returns. One watcher. */
void disk_watch(void (*fn)(struct blkdev *b));
/* All that was found has started, or will not. */
bool disks_settled(void);

/* ---- for drivers ---- */
void disk_add(struct blkdev *b);
void disk_starting(void); /* a controller or port whose drives are not known yet; */
void disk_started(void);  /* ... one less */

#endif
