/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's disks and NICs as its description has them: checked, completed, laid out in the I/O area (vmm/io_area.h). What is
 * behind them is storage's and net's.
 */
#ifndef OPS_DEVICES_H
#define OPS_DEVICES_H

#include "ctrl-kernel/ops/vms.h"

/* Fills in slots and ids that were not given, and MACs from the UUID; then checks all of them. */
int devices_complete(struct vm_spec *spec, const uint8_t uuid[16], struct ops_error *e) MUST_CHECK;
/* Could devices_complete() have left that? Pure. */
bool devices_sane(const struct vm_spec *spec);
/* What its balloon is to hold. */
uint32_t devices_balloon_pages(const struct vm_spec *spec);
/* Pages of the I/O area of such a VM when it starts. */
uint64_t devices_io_pages(const struct vm_spec *spec);
/* Before a start, the parts of the configuration that follow from the description: places in the area, MACs, serials, flags;
 * links are up. The rest stays as it is. */
void devices_layout(const struct vm_spec *spec, struct vmm_config *config);
/* The same of one that comes into a VM that runs, but for `present`. It has the pages that its slot had before, or new ones
 * behind config->io_pages: the area has them already. */
void devices_layout_disk(const struct vm_spec *spec, const struct vm_disk *d,
			 struct vmm_config *config);
void devices_layout_nic(const struct vm_spec *spec, const struct vm_nic *n,
			struct vmm_config *config);
/* How many. */
uint32_t devices_disk_pages(const struct vm_spec *spec);
uint32_t devices_nic_pages(const struct vm_spec *spec);
/* Where it lies in the area, of one that has been laid out; false: it has not, or nowhere in there. */
bool devices_disk_area(const struct vmm_config *config, unsigned place, uint32_t *page,
		       uint32_t *pages);
bool devices_nic_area(const struct vmm_config *config, unsigned place, uint32_t *page,
		      uint32_t *pages);
/* Is there room in the area for all that the description has, as the configuration of the instance before says? */
bool devices_placed(const struct vm_spec *spec, const struct vmm_config *config);
/* Index in disks[] and nics[] of a configuration, and of a run. */
static inline unsigned disk_place(const struct vm_disk *d)
{
	return d->slot - VMM_DISK_SLOT;
}
static inline unsigned nic_place(const struct vm_nic *n)
{
	return n->slot - VMM_NIC_SLOT;
}
/* "52:54:00:12:34:56" -> bytes; false: it is none, or one of a group. */
bool devices_mac(const char *text, uint8_t mac[6]);

#endif
