/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The volumes of the pool "ram": a name, a size, a memory object of hv. That they outlive this program is the matter of
 * ops/keep_ram.h, which is asked before anything counts.
 */
#ifndef STORAGE_RAM_H
#define STORAGE_RAM_H

#include <stdbool.h>
#include <stdint.h>

#define RAM_VOLUMES_MAX 64u
#define RAM_NAME_SIZE 64u

struct ram_volume {
	char name[RAM_NAME_SIZE];
	uint32_t mem;       /* [owns] handle; 0: the place is free */
	uint64_t bytes;     /* whole pages; 0: its memory is being taken */
	uint64_t created_s; /* since 1970; 0: not known */
	bool changing;      /* is being made or grown */
};

/* There are RAM_VOLUMES_MAX places; those with a handle are taken, those with a size can be opened. */
struct ram_volume *ram_volume(unsigned i);
struct ram_volume *ram_find(const char *name); /* NULL: none */

#endif
