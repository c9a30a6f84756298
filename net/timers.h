/* SPDX-License-Identifier: BSD-2-Clause */
/* See timers.c. */
#ifndef NET_TIMERS_H
#define NET_TIMERS_H

void net_timers_start(void);
void net_timers_look(void); /* after something that may need them at once: a link that came up */

#endif
