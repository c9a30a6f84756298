/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside ops: a network's description of mode nat in text, and what the gateway wants to know. */
#ifndef OPS_NETWORK_NAT_H
#define OPS_NETWORK_NAT_H

#include "ctrl-kernel/ops/networks.h"
#include "net/nat.h"

/* Fills in what was not given: a subnet that no other network has, a range for DHCP. */
void network_nat_complete(struct network_spec *spec);
/* Checks all of it; `self` is not compared with itself (NULL: a new one). */
int network_nat_config(const struct network_spec *spec, const struct network *self,
		       struct nat_config *out, struct ops_error *e) MUST_CHECK;
void network_addr_text(uint32_t ip, char out[NETWORK_ADDR_MAX]);

#endif
