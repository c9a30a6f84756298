/* SPDX-License-Identifier: BSD-2-Clause */
/* See disks.h. */
#include "drivers/disks.h"

#include <string.h>
#include "drivers/driver.h"
#include "ctrl-kernel/rt/rt.h"

#define CLASS_STORAGE 0x01u

static struct blkdev *disks;
static void (*watcher)(struct blkdev *b);
static unsigned starting;

struct blkdev *disk_first(void)
{
	return disks;
}

void disk_watch(void (*fn)(struct blkdev *b))
{
	watcher = fn;
	for (struct blkdev *b = disks; b; b = b->next)
		fn(b);
}

bool disks_settled(void)
{
	return starting == 0;
}

void disk_starting(void)
{
	starting++;
}

void disk_started(void)
{
	starting--;
}

void disk_add(struct blkdev *b)
{
	struct blkdev **at = &disks;

	while (*at && strcmp((*at)->name, b->name) < 0)
		at = &(*at)->next;
	b->next = *at;
	*at = b;
	rt_log("disk: %s: %s%s%llu MiB, sectors of %u bytes%s", b->name, b->model,
	       b->model[0] ? ", " : "", (unsigned long long)(b->bytes >> 20), b->sector_bytes,
	       b->read_only ? ", read-only" : "");
	if (watcher)
		watcher(b);
}

static void probe_one(struct pci_dev *d, const struct disk_driver *const drivers[], unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (drivers[i]->matches(d)) {
			drivers[i]->probe(d);
			return;
		}
	}
	if (d->class_code >> 16 == CLASS_STORAGE)
		rt_log("disk: no driver for storage controller %04x:%04x at %02x:%02x.%x",
		       d->vendor, d->device, d->bdf >> 8, d->bdf >> 3 & 31, d->bdf & 7);
}

void disk_probe_all(const struct disk_driver *const drivers[], unsigned n)
{
	for (unsigned i = 0; i < pci_count(); i++)
		probe_one(pci_dev(i), drivers, n);
}
