/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Puts TCP segments of a flow that came in one batch together, as if their sender had left the splitting to its card: one way
 * through the switch and one way up the receiver's stack for up to PACKET_SEGS_MAX + 1 frames. Only what packet_cut() makes
 * the very same frames of is put together, and only for a receiver that takes it so. Nothing is kept from batch to batch.
 *
 *   frame ─► TCP? ─ no ─────────────────────────────────────────────────────► input()
 *             │ yes
 *             ├─ its flow is open, it goes on with it ─► joined ─ short or PSH ─► input() of all
 *             ├─ its flow is open, it does not ─► input() of what is joined; then:
 *             └─ its flow is not open ─ is plain data, and caps() has it ─► opened; else ─► input()
 *
 * So frames of a flow keep their order. Pure; one thread, and input() does not come back here.
 */
#ifndef NET_GRO_H
#define NET_GRO_H

#include "net/packet.h"

#define GRO_FLOWS_MAX 8u /* open at once; then the oldest goes */

struct gro_ops {
	unsigned (*caps)(void *ctx, const struct packet *p); /* enum packet_caps of who gets it */
	void (*input)(void *ctx, const struct packet *p);
	void (*malformed)(void *ctx); /* what packet_make() does not take */
};

/* The frames' memory is there until it returns. */
void gro_batch(const struct nic_rx *frame, unsigned n, const struct gro_ops *ops, void *ctx);

#endif
