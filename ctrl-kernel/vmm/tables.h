/* SPDX-License-Identifier: BSD-2-Clause */
/* The ACPI tables of a VM, written into guest memory at GPA_TABLES before it starts. Pure. */
#ifndef VMM_TABLES_H
#define VMM_TABLES_H

#include "ctrl-kernel/vmm/guest.h"

#define TABLES_RSDP                                                                                \
	0xe0000ull /* GPA_TABLES: found by a scan of the BIOS area, and given by the loaders */

/* dsdt: a compiled DSDT of dsdt_bytes. False: the tables do not fit (guest memory or area too small). */
MUST_CHECK bool tables_build(const struct guest *g, unsigned vcpus, const void *dsdt,
			     size_t dsdt_bytes);

#endif
