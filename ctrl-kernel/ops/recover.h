/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside main: an instance of the control kernel takes over what the one before left (keep.h). */
#ifndef OPS_RECOVER_H
#define OPS_RECOVER_H

/* After keep_init() found a store: images, VMs, the runs under way. Before anything is served. */
void recover(void);

#endif
