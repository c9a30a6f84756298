/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's virtio console: the rings that its vmm writes and reads (vmm/console_area.h), of VMs whose description asks for
 * one. Made at the first start, and there as long as the VM's description.
 */
#ifndef OPS_HVC_H
#define OPS_HVC_H

#include "ctrl-kernel/ops/ops.h"
#include "ctrl-kernel/vmm/console_area.h"

struct hvc {
	uint32_t mem;              /* [owns] handle; 0: never started with one */
	struct console_area *area; /* [owns] mapping; the vmm may write anything there */
};

int hvc_open(struct hvc *h, struct ops_error *e) MUST_CHECK; /* does nothing if open */
void hvc_reopen(struct hvc *h); /* of an instance before: mem is there, it is mapped */
void hvc_close(struct hvc *h);
/* Before a start, while no vmm has it: what waited for the last one is dropped. */
void hvc_begin(struct hvc *h);
/* As console_read(). */
size_t hvc_read(const struct hvc *h, uint64_t since, void *buf, size_t size, uint64_t *next,
		uint64_t *lost);
/* All or nothing, up to CONSOLE_IN bytes wait. The vmm is told by the caller. */
int hvc_input(struct hvc *h, const void *data, size_t len, struct ops_error *e) MUST_CHECK;

#endif
