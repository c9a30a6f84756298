/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ports and guest-physical ranges -> devices. Devices add their ranges when they attach; vm.c claims the same
 * ranges from hv; park.c looks up each parked access. Accesses are answered at once.
 */
#ifndef VMM_BUS_H
#define VMM_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_vm.h"

#define BUS_RANGES_MAX HV_CLAIMS_MAX

/* offset: from the range's base. width 1, 2, 4, 8 and within the range. Returns what a read yields. */
typedef uint64_t (*bus_fn)(void *dev, uint64_t offset, unsigned width, bool write, uint64_t value);

struct bus_range {
	uint64_t base, len;
	bus_fn fn;
	void *dev;      /* [borrows] */
	uint32_t space; /* enum hv_space */
};

struct bus {
	unsigned n;
	struct bus_range *last; /* the one hit last: accesses come in runs */
	struct bus_range ranges[BUS_RANGES_MAX];
};

/* A range that does not overlap another; a full table or an overlap is a bug of ours. */
void bus_add(struct bus *b, uint32_t space, uint64_t base, uint64_t len, bus_fn fn, void *dev);
/* The range at base, if there is one, is gone. */
void bus_remove(struct bus *b, uint32_t space, uint64_t base);
/* Is nobody in [base, base + len)? */
bool bus_free(const struct bus *b, uint32_t space, uint64_t base, uint64_t len);
uint64_t bus_access(struct bus *b, uint32_t access, uint64_t addr, unsigned width, uint64_t value);

#endif
