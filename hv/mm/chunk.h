/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The metadata behind frame.h: one struct chunk for each 2 MiB of physical address space up to the end of RAM.
 * Only frame.c, frame_init.c and init.c include this.
 *
 *   FREE ----- hv needs one ----> HV       present in the direct map; stays HV when all its frames are free
 *    ^ |  ^---- memory short ------'
 *    | '- a program or VM needs -> FOREIGN  back to FREE as soon as all its frames are free
 *    '--------- last frame freed ----'
 *    FREE <-> BUSY: an idle CPU scrubs a piece of it
 *   NONE: no usable frame. Chunks that are not entirely usable RAM are FOREIGN from the start: hv never maps them.
 *
 * A frame:  free 1, dirty d  free, d: must be zeroed before it is handed out
 *           free 0, dirty 1  handed out
 *           free 0, dirty 0  no RAM, or reserved at boot
 */
#ifndef HV_MM_CHUNK_H
#define HV_MM_CHUNK_H

#include "hv/mm/frame.h"

#define CHUNK_FRAMES 512u
#define CHUNK_WORDS (CHUNK_FRAMES / 64u)
#define NO_CHUNK UINT64_MAX

enum chunk_state { CHUNK_NONE, CHUNK_FREE, CHUNK_BUSY, CHUNK_HV, CHUNK_FOREIGN };

struct chunk { /* [L:frame_lock] */
	uint64_t free[CHUNK_WORDS];
	uint64_t dirty[CHUNK_WORDS];
	uint16_t n_free;
	uint16_t n_usable; /* CHUNK_FRAMES: may become FREE */
	uint32_t state;    /* enum chunk_state */
};

/* Which chunks to look at: one bit each. */
enum chunk_map {
	MAP_CLEAN,   /* FREE, no dirty frame */
	MAP_DIRTY,   /* FREE, some dirty frames */
	MAP_HV,      /* HV with a free frame */
	MAP_FOREIGN, /* FOREIGN with a free frame */
	CHUNK_MAPS
};

struct chunk_table {
	struct chunk *chunks; /* [I] */
	uint64_t n_chunks;    /* [I] */
	uint64_t *maps[CHUNK_MAPS];
	uint64_t count[CHUNK_MAPS]; /* bits set */
	uint64_t total, free;       /* frames */
	uint64_t busy;              /* chunks being scrubbed by idle CPUs */
};
extern struct chunk_table chunk_table; /* [L:frame_lock] */

void chunk_map_set(enum chunk_map map, uint64_t index);
void chunk_map_clear(enum chunk_map map, uint64_t index);
/* A chunk whose frames are all free and usable becomes FREE. */
void chunk_make_free(uint64_t index);

/* init.c: hv chunks come into and leave the direct map. Before mm_init_tables: nothing. */
void direct_map_chunk(hpa_t start, bool present);

#endif
