/* SPDX-License-Identifier: BSD-2-Clause */
/* What timer.c needs of the local APIC and what irq.c, plat.c and uart.c need of timer.c. */
#ifndef HV_PLAT_TIMER_INNER_H
#define HV_PLAT_TIMER_INNER_H

#include "hv/plat/plat.h"

void lapic_timer_set(uint64_t deadline_ns);
void timer_init_cpu(void);
void timer_interrupt(void);
/* For the console, which may be called in an NMI that came while this CPU held its queue: false, not armed then.
 * The timer is not armed now. */
bool timer_try_arm(struct timer *t, uint64_t deadline_ns) MUST_CHECK;

#endif
