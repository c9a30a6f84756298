/* SPDX-License-Identifier: BSD-2-Clause */
/* See fakedisks.h. */
#include "tests/unit/fakedisks.h"

#include <stdio.h>
#include "tests/unit/blk_fakes.h"
#include "tests/unit/fakehv.h"
#include "drivers/disks.h"

static struct ram_disk disk;

struct blkdev *disk_first(void)
{
	return disk.data ? &disk.dev : NULL;
}

bool disks_settled(void)
{
	return true;
}

uint8_t *fake_disk_plug(uint64_t bytes, uint32_t sector)
{
	ram_disk_init(&disk, bytes, sector);
	snprintf(disk.dev.name, sizeof(disk.dev.name), "fake@00:01.0/1");
	return disk.data;
}

void fake_disk_unplug(void)
{
	free(disk.data);
	disk.data = NULL;
}

void fake_disk_run(void)
{
	do
		fake_loop();
	while (ram_disk_end(&disk));
}
