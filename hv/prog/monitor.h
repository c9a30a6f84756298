/* SPDX-License-Identifier: BSD-2-Clause */
/* hv's own monitor on the serial console, for the time without a control kernel. */
#ifndef HV_PROG_MONITOR_H
#define HV_PROG_MONITOR_H

/* There is no control kernel and hv starts none by itself any more. No lock held; not in an interrupt. The monitor ends when
 * its `restart` has made one (ctrl_restart). */
void monitor_start(void);

#endif
