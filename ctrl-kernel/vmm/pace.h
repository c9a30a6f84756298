/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How soon a doorbell takes the CPU from the guest that rings it, where no CPU is idle: at once, which is best for a driver that
 * waits for each request, or a little later (hv_vm_page.patience_ns), which is best for one that has more to submit: many
 * requests then cost one turn of the vmm and of the control kernel. Which of the two it is, is found out: now and then a doorbell is
 * given time, and as long as that brings more than one request it goes on so.
 */
#ifndef VMM_PACE_H
#define VMM_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_PATIENCE_NS 50000u
#define PACE_TRY 128u /* turns between two trials */
#define PACE_VAIN 3u  /* turns in a row with one request: no more patience */

struct pace { /* zero: no patience */
	bool patient;
	uint8_t vain;
	uint16_t turns;
};

/* After a turn that doorbells began and that has taken so many requests. -> the patience to have with the next one, ns */
uint32_t pace_next(struct pace *p, unsigned requests);

#endif
