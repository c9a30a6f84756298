/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses to what a vmm claimed: a doorbell rings and the guest goes on; any other parks the vCPU with a record in its
 * mailbox (hv/abi/hv_vm.h has the picture).
 *
 * The vmm's answer comes on any CPU, perhaps before this one has left the vCPU. So the answer only leaves the value and
 * ATT_ANSWER behind; the vCPU finishes the instruction itself at the begin of its next turn (run.c).
 */
#include "hv/vm/vm.h"

static __attribute__((noinline)) void announce(struct vm *vm)
{
	uint32_t patience = __atomic_load_n(&vm->page->patience_ns, __ATOMIC_RELAXED);

	spin_lock(&vm->lock);
	if (vm->notify.doorbell)
		vm->notify.doorbell(vm->notify.ctx, MIN(patience, HV_PATIENCE_MAX_NS));
	spin_unlock(&vm->lock);
}

void claim_ring(struct vm *vm, unsigned bit)
{
	uint64_t mask = 1ull << bit;

	__atomic_fetch_add(&vm->doorbells, 1, __ATOMIC_RELAXED);
	/* The vmm takes the word by exchange. A bit still set has been announced and not been looked at yet. */
	if (!(__atomic_fetch_or(&vm->page->doorbells, mask, __ATOMIC_SEQ_CST) & mask))
		announce(vm);
}

void claim_park(struct vcpu *v, enum hv_access access, uint64_t addr, unsigned width,
		uint64_t value)
{
	struct vm *vm = v->vm;
	struct hv_mailbox *m = &vm->page->mailbox[v->index];
	bool write = access == HV_PIO_WRITE || access == HV_MMIO_WRITE;

	/* Blocked first: an answer that comes at once must find something to unblock. */
	sched_block_self(&v->ent, BLOCK_PARK);
	spin_lock(&vm->park_lock);
	v->parked = true;
	v->seq++;
	spin_unlock(&vm->park_lock);
	m->access = access;
	m->width = width;
	m->addr = addr;
	m->value = write ? value & width_mask(width) : 0;
	__atomic_store_n(&m->seq, v->seq, __ATOMIC_RELEASE); /* pairs with the vmm's load-acquire */
	__atomic_fetch_add(&vm->parks, 1, __ATOMIC_RELAXED);
	spin_lock(&vm->lock);
	if (vm->notify.park)
		vm->notify.park(vm->notify.ctx);
	spin_unlock(&vm->lock);
}

int vm_vcpu_resume(struct vm *vm, unsigned index, uint64_t seq, uint64_t value)
{
	struct vcpu *v;

	if (index >= vm->n_vcpus)
		return -HVE_INVAL;
	v = vm->vcpus[index];
	spin_lock(&vm->park_lock);
	if (!v->parked || v->seq != seq) {
		spin_unlock(&vm->park_lock);
		return -HVE_STATE;
	}
	v->parked = false;
	v->answer = value;
	vm->page->mailbox[index].done = seq;
	__atomic_fetch_or(&v->attention, ATT_ANSWER, __ATOMIC_RELEASE);
	spin_unlock(&vm->park_lock);
	sched_unblock(&v->ent, BLOCK_PARK);
	return 0;
}

/* ATT_ANSWER was seen: its release pairs with the reader's acquire in run.c. */
uint64_t park_answer(struct vcpu *v)
{
	return v->answer;
}

void park_forget(struct vcpu *v)
{
	struct vm *vm = v->vm;

	spin_lock(&vm->park_lock);
	v->parked = false;
	vm->page->mailbox[v->index].done = v->seq;
	spin_unlock(&vm->park_lock);
}
