/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside ops: what of the networks is left to the next instance (networks.h). */
#ifndef OPS_NETWORK_TABLE_H
#define OPS_NETWORK_TABLE_H

#include "ctrl-kernel/ops/networks.h"

/* Finds the table, or makes one; *made: there was none. */
void network_table_init(bool *made);
/* What is in record i; false: nothing that an instance can have meant. */
bool network_table_read(unsigned i, struct network_spec *out);
int network_table_add(const struct network_spec *spec, unsigned *record,
		      struct ops_error *e) MUST_CHECK;
void network_table_change(unsigned record, const struct network_spec *spec);
/* Of all of them, kept, too; NULL: no memory. Once. */
struct nat_flows_kept *network_table_flows(void);
/* DHCPD_LEASES_MAX leases of that network, kept, too; NULL: no memory. */
struct dhcp_lease *network_table_leases(unsigned record);
void network_table_remove(unsigned record);

#endif
