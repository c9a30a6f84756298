/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's disks and NICs as its description has them: checked, completed, laid out in the I/O area (vmm/io_area.h). What is
 * behind them is storage's and net's.
 */
#ifndef OPS_DEVICES_H
#define OPS_DEVICES_H

#include "ctrl-kernel/ops/vms.h"

/* Fills in ids that were not given, and MACs from the UUID; then checks all of them. */
int devices_complete(struct vm_spec *spec, const uint8_t uuid[16], struct ops_error *e) MUST_CHECK;
/* Could devices_complete() have left that? Pure. */
bool devices_sane(const struct vm_spec *spec);
/* What its balloon is to hold. */
uint32_t devices_balloon_pages(const struct vm_spec *spec);
/* Pages of the I/O area of such a VM. */
uint64_t devices_io_pages(const struct vm_spec *spec);
/* The parts of the configuration that follow from the description: places in the area, MACs, serials, flags. The rest stays
 * as it is. */
void devices_layout(const struct vm_spec *spec, struct vmm_config *config);
/* "52:54:00:12:34:56" -> bytes; false: it is none, or one of a group. */
bool devices_mac(const char *text, uint8_t mac[6]);

#endif
