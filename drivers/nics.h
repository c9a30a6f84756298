/* SPDX-License-Identifier: BSD-2-Clause */
/* What NIC drivers share (drivers/nics.c). */
#ifndef DRIVERS_NICS_H
#define DRIVERS_NICS_H

#include "net/nic.h"

#define NIC_RX_BUDGET                                                                              \
	64u /* frames a loop turn takes at most, so that a flood leaves time for others */
#define NIC_BUFFER 2048u /* bytes a frame's buffer has; frames are at most NIC_FRAME_MAX */

void nic_set_name(struct nic *nic, const char *driver, uint32_t bdf); /* "driver@bb:dd.f" */
void nic_set_link(struct nic *nic, bool up); /* counts and tells the glue when it changed */
void nic_deliver(struct nic *nic, const struct nic_rx *frame, unsigned n); /* counts, hands up */
/* -> bytes copied of what is to be copied, 0: they do not fit */
size_t nic_gather(void *to, size_t room, const struct nic_frame *frame);
size_t nic_pieces(const struct nic_frame *frame); /* bytes of the others */

#endif
