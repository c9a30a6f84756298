/* SPDX-License-Identifier: BSD-2-Clause */
/* The common driver of the 8254x and 82574 families; drivers/e1000_ids.c holds the families' tables. */
#ifndef DRIVERS_E1000_H
#define DRIVERS_E1000_H

#include <stdbool.h>
#include <stdint.h>

struct nic;
struct pci_dev;

struct e1000_family {
	const char *name;
	const uint16_t *devices; /* 0-terminated */
	bool pcie;               /* 82574: IVAR, AUTO_RD, no ASDE */
	/* EERD: where the word address and the done bit are (8254x 13.4.4, 82574 10.2.1.4). */
	uint8_t eerd_shift;
	uint8_t eerd_done;
	uint8_t caps; /* enum packet_caps */
};

bool e1000_matches(const struct pci_dev *d, const struct e1000_family *family);
struct nic *e1000_probe(struct pci_dev *d, const struct e1000_family *family);

#endif
