/* SPDX-License-Identifier: BSD-2-Clause */
/* The IO-APICs. Only plat/ includes this. Intel 82093AA. */
#ifndef HV_PLAT_IOAPIC_H
#define HV_PLAT_IOAPIC_H

#include "hv/lib/types.h"

void ioapic_init(void); /* maps all of ACPI's, masks every pin; masks the PICs */
bool ioapic_has(unsigned gsi);
/* Sets the pin and leaves it masked. */
void ioapic_route(unsigned gsi, unsigned vector, uint32_t apic_id, bool level, bool low);
void ioapic_mask(unsigned gsi, bool masked);

#endif
