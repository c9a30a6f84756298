/* SPDX-License-Identifier: BSD-2-Clause */
/* This CPU's local APIC. Only plat/ includes this; the rest of hv uses plat.h. APM2 16, SDM3 11. */
#ifndef HV_PLAT_LAPIC_H
#define HV_PLAT_LAPIC_H

#include "hv/plat/plat.h"

void lapic_init(void);     /* boot CPU: finds and maps it; then as the next */
void lapic_init_cpu(void); /* each CPU: on, everything masked, NMI lines as ACPI says */
uint32_t lapic_id(void);
void lapic_eoi(void);
void lapic_send(uint32_t apic_id, uint32_t command); /* ICR: delivery mode and vector */
void lapic_wait_sent(void);                          /* bounded */

/* The timer fires at or soon after that time, perhaps before: the caller looks at the clock again. */
void lapic_timer_set(uint64_t deadline_ns);
/* Boot CPU: the one-shot timer's rate, from two readings around a calibration. */
void lapic_timer_start_free(void); /* counts down from the top, no interrupt */
uint32_t lapic_timer_count(void);
void lapic_timer_calibrated(uint64_t ticks, uint64_t ns);

#define ICR_FIXED 0x0000u
#define ICR_NMI 0x0400u
#define ICR_INIT 0x0500u
#define ICR_STARTUP 0x0600u
#define ICR_ASSERT 0x4000u
#define ICR_OTHERS 0xc0000u /* shorthand: all but this CPU */

#endif
