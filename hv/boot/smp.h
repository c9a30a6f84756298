/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting the other CPUs. */
#ifndef HV_BOOT_SMP_H
#define HV_BOOT_SMP_H

#include "hv/lib/types.h"

/* While the boot tables are in force: the page below 1 MiB gets the code that the other CPUs start with. */
void smp_write_trampoline(hpa_t low_page);
/* Boot CPU, after plat_init and vendor_init. low_page: of the trampoline, 0: none. Returns with all usable CPUs up. */
void smp_start(hpa_t low_page);

#endif
