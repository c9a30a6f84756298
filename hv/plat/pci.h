/* SPDX-License-Identifier: BSD-2-Clause */
/* Set-up of the PCI configuration space; access is in plat.h. Only plat/ includes this. */
#ifndef HV_PLAT_PCI_H
#define HV_PLAT_PCI_H

#include "hv/lib/types.h"

void pci_init(void);
/* Firmware gave a range that lies in RAM: it is wrong. */
bool plat_overlaps_ram(hpa_t start, uint64_t len);

#endif
