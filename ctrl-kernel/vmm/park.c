/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parked accesses: mailbox -> bus -> VCPU_RESUME. This is the path whose instructions are counted: one comparison
 * for each vCPU, the bus lookup, the device.
 */
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/rt/rt.h"
#include "ctrl-kernel/vmm/vm.h"

/* The record stays as it is until we answer it. RESUME may be refused: the VM was stopped or reset meanwhile. */
static bool answer(unsigned index, const volatile struct hv_mailbox *m, uint64_t seq)
{
	uint64_t value;

	the_vm.parked = m;
	value = bus_access(&the_vm.bus, m->access, m->addr, m->width, m->value);

	if (__builtin_expect(the_vm.request != VM_REQ_NONE, 0)) {
		vm_carry_out(the_vm.request); /* that vCPU does not go on */
		return false;
	}
	loop_last_call(HVC_VCPU_RESUME, rt_info()->vm, index, seq, value);
	return true;
}

void park_scan(void *unused)
{
	unsigned n = the_vm.config->vcpus;

	(void)unused;
	for (unsigned i = 0; i < n; i++) {
		const volatile struct hv_mailbox *m = &the_page->mailbox[i];
		uint64_t seq = __atomic_load_n(&m->seq,
					       __ATOMIC_ACQUIRE); /* pairs with vm/park.c */

		if (seq != m->done && !answer(i, m, seq))
			return;
	}
}
