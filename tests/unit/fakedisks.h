/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's list of disks for tests of what stands above it: at most one disk of memory. */
#ifndef TESTS_FAKEDISKS_H
#define TESTS_FAKEDISKS_H

#include <stdint.h>

uint8_t *fake_disk_plug(uint64_t bytes, uint32_t sector); /* "fake@00:01.0/1" -> its content */
void fake_disk_unplug(void);
void fake_disk_run(void); /* ends requests, and runs the loop, until there are none */

#endif
