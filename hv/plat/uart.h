/* SPDX-License-Identifier: BSD-2-Clause */
/* The serial console's set-up beyond plat.h. Only plat/ includes this. */
#ifndef HV_PLAT_UART_H
#define HV_PLAT_UART_H

void uart_use_timer(void); /* timers run from now on: writers need not wait */
void uart_flush(void);     /* before the machine goes off */

#endif
