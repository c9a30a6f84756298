/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Part of the store (keep.h): the volumes of the pool "ram".
 *
 *   KEEP_SLOT_RAM       a record for each volume; its format is its own, as that of jobs.c
 *   KEEP_SLOT_RAM_0 + i volume i
 *
 *   new:  object into its slot -> fields -> live = 1       gone:  live = 0 -> object out of its slot
 *   changed: name and size beside those in force -> `current` says which
 */
#ifndef OPS_KEEP_RAM_H
#define OPS_KEEP_RAM_H

#include "ctrl-kernel/ops/keep.h"
#include "ctrl-kernel/storage/ram.h"

#define KEEP_SLOT_RAM (KEEP_SLOT_NETWORKS - 1u)
#define KEEP_SLOT_RAM_0 (KEEP_SLOT_RAM - RAM_VOLUMES_MAX)

/* Finds what the instance before left: fills the places of ram_volume(). Once, after keep_init(). Without it nothing is kept:
 * tests of other parts go without. */
void keep_ram_init(void);
int keep_ram(unsigned i, struct ops_error *e) MUST_CHECK; /* ram_volume(i) is new */
void keep_ram_changed(unsigned i);                        /* its name, or its size */
void keep_ram_gone(unsigned i);                           /* before its handle is closed */

#endif
