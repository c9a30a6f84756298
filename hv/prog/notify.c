/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a VM to programs: its owner hears of states and console output, its vmm of parked accesses, doorbells and
 * states. Called with vm->lock held and on any CPU, so it only sets bits; the lock keeps the programs there while it
 * does, since both leave (notify_forget) before they are taken apart.
 */
#include "hv/prog/prog.h"

static uint64_t bit(uint32_t n)
{
	return 1ull << (n & (HV_EVENT_BITS - 1));
}

static void on_state(void *ctx)
{
	struct vm_notify *n = &((struct vm *)ctx)->notify;

	if (n->owner)
		prog_events_post(n->owner, bit(n->owner_state_bit));
	if (n->vmm)
		prog_events_post(n->vmm, bit(n->vmm->state_bit));
}

static void on_console(void *ctx)
{
	struct vm_notify *n = &((struct vm *)ctx)->notify;

	if (n->owner)
		prog_events_post(n->owner, bit(n->owner_console_bit));
}

/* The vCPU waits for the vmm, so the vmm gets this CPU if it has nothing else to do. */
static void on_park(void *ctx)
{
	struct vm_notify *n = &((struct vm *)ctx)->notify;

	if (LIKELY(n->vmm)) {
		__atomic_fetch_or(&n->vmm->events, bit(n->vmm->park_bit), __ATOMIC_SEQ_CST);
		(void)sched_handoff(&n->vmm->ent, BLOCK_EVENT);
	}
}

static void on_doorbell(void *ctx, uint32_t patience_ns)
{
	struct vm_notify *n = &((struct vm *)ctx)->notify;

	if (n->vmm)
		prog_events_post_soon(n->vmm, bit(n->vmm->doorbell_bit), patience_ns);
}

static void connect(struct vm *vm)
{
	struct vm_notify *n = &vm->notify;

	n->state = on_state;
	n->console = on_console;
	n->park = on_park;
	n->doorbell = on_doorbell;
	n->ctx = vm;
}

void notify_owner(struct vm *vm, struct prog *p, uint32_t state_bit, uint32_t console_bit,
		  uint32_t io_bit)
{
	spin_lock(&vm->lock);
	vm->notify.owner = p;
	vm->notify.owner_state_bit = (uint8_t)state_bit;
	vm->notify.owner_console_bit = (uint8_t)console_bit;
	vm->notify.owner_io_bit = (uint8_t)io_bit;
	connect(vm);
	spin_unlock(&vm->lock);
}

int notify_vmm(struct vm *vm, struct prog *p)
{
	int err = 0;

	spin_lock(&vm->lock);
	if (vm->notify.vmm)
		err = -HVE_EXIST;
	else
		vm->notify.vmm = p;
	connect(vm);
	spin_unlock(&vm->lock);
	return err;
}

void notify_of(struct vm *vm, enum hv_notify what)
{
	const struct vm_notify *n = &vm->notify;

	spin_lock(&vm->lock);
	if (n->owner)
		prog_events_post(n->owner,
				 bit(what == HV_NOTIFY_IO ? n->owner_io_bit : n->owner_state_bit));
	spin_unlock(&vm->lock);
}

struct prog *notify_adopt(struct vm *vm, struct prog *p, const struct hv_vm_adopt *in)
{
	struct prog *vmm, *before = NULL;

	notify_owner(vm, p, in->state_bit, in->console_bit, in->io_bit);
	spin_lock(&vm->lock);
	vmm = vm->notify.vmm;
	if (vmm) {
		object_get(&vmm->obj);
		object_get(&p->obj);
		before = vmm->parent;
		vmm->parent = p;
		vmm->death_bit = in->death_bit;
	}
	spin_unlock(&vm->lock);
	if (before)
		object_put(&before->obj);
	return vmm;
}

static void forget(struct vm *vm, const struct prog *p)
{
	spin_lock(&vm->lock);
	if (vm->notify.owner == p)
		vm->notify.owner = NULL;
	if (vm->notify.vmm == p)
		vm->notify.vmm = NULL;
	spin_unlock(&vm->lock);
}

void notify_forget(struct prog *p)
{
	struct vm *vm = vm_next(0);

	if (p->vm)
		forget(p->vm, p); /* it may be destroyed and off the list already */
	while (vm) {
		struct vm *next = vm_next(vm->id);

		forget(vm, p);
		object_put(&vm->obj);
		vm = next;
	}
}
