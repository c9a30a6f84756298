/* SPDX-License-Identifier: BSD-2-Clause */
/* The clock's set-up, called by plat.c and uart.c. */
#ifndef HV_PLAT_CLOCK_H
#define HV_PLAT_CLOCK_H

void clock_start(void); /* time 0; roughly right at once */
void clock_init(void);  /* after ACPI and the local APIC */

#endif
