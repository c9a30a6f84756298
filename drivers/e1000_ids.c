/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which devices the e1000 driver takes. Run in emulators: 100c, 100e, 100f (QEMU), 100e (Bochs), 10d3 (QEMU). The
 * others are the same silicon by their manual and were not run. i217, i218 and i219 are left out: their PHY is shared
 * with the management engine and wants an initialisation of its own.
 */
#include "drivers/driver.h"
#include "drivers/e1000.h"
#include "net/nic.h"

static const uint16_t ids_8254x[] = {
	0x100c, /* 82544GC */
	0x100e, /* 82540EM */
	0x1015, /* 82540EM, on board */
	0x1016, /* 82540EP, mobile */
	0x1017, /* 82540EP */
	0x101e, /* 82540EP, low power */
	0x100f, /* 82545EM */
	0x1026, /* 82545GM */
	0,
};
static const uint16_t ids_82574[] = {
	0x10d3, /* 82574L */
	0x10f6, /* 82574LA */
	0x150c, /* 82583V: an 82574 without MSI-X */
	0,
};

/* Those write the length of IPv6 with its header (8254x 3.5.9.1), which is wrong: no PACKET_CAP_TCP6. */
static const struct e1000_family family_8254x = {.name = "e1000",
						 .devices = ids_8254x,
						 .eerd_shift = 8,
						 .eerd_done = 4,
						 .caps = PACKET_CAP_CSUM | PACKET_CAP_TCP4};
static const struct e1000_family family_82574 = {.name = "e1000e",
						 .devices = ids_82574,
						 .pcie = true,
						 .eerd_shift = 2,
						 .eerd_done = 1,
						 .caps = PACKET_CAP_CSUM | PACKET_CAP_TCP4 |
							 PACKET_CAP_TCP6};

static bool matches_8254x(const struct pci_dev *d)
{
	return e1000_matches(d, &family_8254x);
}

static struct nic *probe_8254x(struct pci_dev *d)
{
	return e1000_probe(d, &family_8254x);
}

static bool matches_82574(const struct pci_dev *d)
{
	return e1000_matches(d, &family_82574);
}

static struct nic *probe_82574(struct pci_dev *d)
{
	return e1000_probe(d, &family_82574);
}

const struct nic_driver nic_e1000 = {
	.name = "e1000", .matches = matches_8254x, .probe = probe_8254x};
const struct nic_driver nic_e1000e = {
	.name = "e1000e", .matches = matches_82574, .probe = probe_82574};
