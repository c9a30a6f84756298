/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of volumes in memory (ram.h). */
#include "ctrl-kernel/storage/ram.h"

#include <string.h>

static struct ram_volume volumes[RAM_VOLUMES_MAX];

struct ram_volume *ram_volume(unsigned i)
{
	return &volumes[i];
}

struct ram_volume *ram_find(const char *name)
{
	for (unsigned i = 0; i < RAM_VOLUMES_MAX; i++)
		if (volumes[i].mem && !strcmp(volumes[i].name, name))
			return &volumes[i];
	return NULL;
}
