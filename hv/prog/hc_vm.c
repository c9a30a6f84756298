/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls about VMs: the owner's and the vmm's. Here the arguments are read and checked as far as this layer knows
 * them; hv/vm does the work and checks the rest.
 */
#include "hv/prog/hypercall.h"

#include "hv/mm/user.h"

#define CONSOLE_IN_MAX 256u
#define CAP_MAX (100u * HV_CPUS_MAX)

/* ---- the owner's ---- */

static int check_create(struct prog *p, struct hv_vm_create *in, struct object **console)
{
	in->name[HV_VM_NAME_MAX - 1] = 0;
	for (unsigned i = 0; in->name[i]; i++)
		if (in->name[i] < ' ' || in->name[i] > '~')
			in->name[i] = '?';
	if (in->weight < SCHED_WEIGHT_MIN || in->weight > SCHED_WEIGHT_MAX || in->cap > CAP_MAX ||
	    in->state_bit >= HV_EVENT_BITS || in->console_bit >= HV_EVENT_BITS ||
	    in->io_bit >= HV_EVENT_BITS)
		return -HVE_INVAL;
	return handle_find(p, in->console, OBJECT_MEM, HVR_READ | HVR_WRITE, console);
}

int hc_vm_create(struct prog *p, struct object *o, uint64_t *value)
{
	struct hv_vm_create in;
	struct object *console;
	struct vm *vm;
	int err;

	(void)o;
	if (user_read(&in, arg0(p), sizeof(in)) != 0)
		return -HVE_FAULT;
	err = check_create(p, &in, &console);
	if (err == 0)
		err = vm_create(&in, as_mem(console), &vm);
	if (err != 0)
		return err;
	notify_owner(vm, p, in.state_bit, in.console_bit, in.io_bit);
	err = answer_handle(p, &vm->obj, HVR_ALL, value);
	if (err != 0)
		vm_destroy(vm);
	object_put(&vm->obj); /* the list of VMs and the handle keep it */
	return err;
}

/* What a VM held and somebody else still has goes to the one who destroys or detaches it. */
static void keep_slots(struct vm *vm, struct mem *held[HV_SLOTS])
{
	spin_lock(&vm->lock);
	for (unsigned i = HV_SLOT_RAM; i < HV_SLOTS; i++) {
		held[i] = vm->slots[i];
		if (held[i])
			object_get(&held[i]->obj);
	}
	spin_unlock(&vm->lock);
}

static void take_over(struct prog *p, struct mem *m)
{
	if (!m)
		return;
	if (__atomic_load_n(&m->obj.refs, __ATOMIC_ACQUIRE) > 1)
		mem_recharge(m, &p->acct);
	object_put(&m->obj);
}

int hc_vm_destroy(struct prog *p, struct object *o, uint64_t *value)
{
	struct mem *held[HV_SLOTS] = {NULL};
	struct vm *vm = as_vm(o);

	(void)value;
	spin_lock(&hv_lock);
	keep_slots(vm, held);
	__atomic_store_n(&o->dead, true, __ATOMIC_RELEASE);
	vm_destroy(vm);
	spin_unlock(&hv_lock);
	for (unsigned i = 0; i < HV_SLOTS; i++)
		take_over(p, held[i]);
	handle_close_object(p, o);
	return 0;
}

int hc_vm_map(struct prog *p, struct object *o, uint64_t *value)
{
	uint64_t page_off = arg2(p), gpa = arg3(p), pages = arg4(p);
	uint32_t rights = rights_for(arg5(p));
	struct object *m;
	int err;

	(void)value;
	if (!rights)
		return -HVE_INVAL;
	err = handle_find(p, arg1(p), OBJECT_MEM, rights, &m);
	if (err == 0)
		err = mem_range_check(as_mem(m), page_off, pages, gpa);
	if (err != 0)
		return err;
	return vm_map(as_vm(o), as_mem(m), page_off, gpa, pages, pt_prot_of(arg5(p)));
}

static int detach(struct prog *p, struct vm *vm, unsigned slot)
{
	struct mem *m = vm->slots[slot];
	int err;

	if (m)
		object_get(&m->obj);
	err = vm_attach(vm, slot, NULL);
	take_over(p, m);
	return err;
}

int hc_vm_attach(struct prog *p, struct object *o, uint64_t *value)
{
	uint64_t slot = arg1(p);
	struct object *m;
	int err;

	(void)value;
	if (slot < HV_SLOT_RAM || slot >= HV_SLOTS)
		return -HVE_INVAL;
	if (!arg2(p))
		return detach(p, as_vm(o), (unsigned)slot);
	err = handle_find(p, arg2(p), OBJECT_MEM, HVR_READ | HVR_WRITE | HVR_GRANT, &m);
	if (err != 0)
		return err;
	return vm_attach(as_vm(o), (unsigned)slot, as_mem(m));
}

/* What the vmm may do with what its VM holds; the owner may do everything. */
static uint32_t slot_rights(struct prog *p, uint64_t slot)
{
	static const uint8_t vmm_rights[HV_SLOTS] = {
		[HV_SLOT_PAGE] = HVR_READ | HVR_WRITE, [HV_SLOT_CONSOLE] = HVR_READ,
		[HV_SLOT_RAM] = HVR_READ | HVR_WRITE,  [HV_SLOT_SURVIVOR] = HVR_READ | HVR_WRITE,
		[HV_SLOT_CONFIG] = HVR_READ,           [HV_SLOT_IO] = HVR_READ | HVR_WRITE,
		[HV_SLOT_PORT] = HVR_READ | HVR_WRITE,
	};

	if (handle_rights(p, arg0(p)) & HVR_OWN)
		return HVR_READ | HVR_WRITE | HVR_EXEC | HVR_GRANT | HVR_OWN;
	return vmm_rights[slot];
}

int hc_vm_slot(struct prog *p, struct object *o, uint64_t *value)
{
	uint64_t slot = arg1(p);
	struct vm *vm = as_vm(o);
	struct mem *m;
	uint32_t rights;

	if (slot >= HV_SLOTS)
		return -HVE_INVAL;
	rights = slot_rights(p, slot);
	if (!rights)
		return -HVE_RIGHTS;
	m = vm->slots[slot]; /* changes under hv_lock only */
	return m ? answer_handle(p, &m->obj, rights, value) : -HVE_NOENT;
}

int hc_vm_control(struct prog *p, struct object *o, uint64_t *value)
{
	uint64_t what = arg1(p), arg = arg2(p);

	(void)value;
	if (what < HV_VMC_START || what > HV_VMC_NMI || arg > HV_VMR_MACHINE_CHECK)
		return -HVE_INVAL;
	/* Whether a VM is paused is its owner's business. */
	if ((what == HV_VMC_PAUSE || what == HV_VMC_RESUME) &&
	    !(handle_rights(p, arg0(p)) & HVR_OWN))
		return -HVE_RIGHTS;
	return vm_control(as_vm(o), (enum hv_vm_control)what, arg);
}

int hc_vm_info(struct prog *p, struct object *o, uint64_t *value)
{
	struct hv_vm_info info;

	(void)value;
	if (arg2(p) != sizeof(info))
		return -HVE_INVAL;
	vm_info(as_vm(o), &info);
	return user_write(arg1(p), &info, sizeof(info));
}

int hc_vm_console_in(struct prog *p, struct object *o, uint64_t *value)
{
	uint8_t bytes[CONSOLE_IN_MAX];
	uint64_t len = arg2(p);

	if (len > CONSOLE_IN_MAX)
		return -HVE_INVAL;
	if (user_read(bytes, arg1(p), len) != 0)
		return -HVE_FAULT;
	*value = vm_console_in(as_vm(o), bytes, (unsigned)len);
	return 0;
}

int hc_vm_sched(struct prog *p, struct object *o, uint64_t *value)
{
	uint64_t weight = arg1(p), cap = arg2(p);
	struct vm *vm = as_vm(o);

	(void)value;
	if (weight < SCHED_WEIGHT_MIN || weight > SCHED_WEIGHT_MAX || cap > CAP_MAX)
		return -HVE_INVAL;
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		sched_set_weight(&vm->vcpus[i]->ent, (uint32_t)weight);
	sched_group_set_cap(&vm->group, (uint32_t)cap);
	return 0;
}

int hc_vm_next(struct prog *p, struct object *o, uint64_t *value)
{
	struct vm *vm;
	int err;

	(void)o;
	if (arg0(p) > UINT32_MAX)
		return -HVE_INVAL;
	vm = vm_next((uint32_t)arg0(p));
	if (!vm)
		return -HVE_NOENT;
	err = answer_handle(p, &vm->obj, HVR_ALL, value);
	object_put(&vm->obj);
	return err;
}

int hc_vm_adopt(struct prog *p, struct object *o, uint64_t *value)
{
	struct hv_vm_adopt in;
	struct prog *vmm;
	int err = 0;

	if (user_read(&in, arg1(p), sizeof(in)) != 0)
		return -HVE_FAULT;
	if (in.state_bit >= HV_EVENT_BITS || in.console_bit >= HV_EVENT_BITS ||
	    in.io_bit >= HV_EVENT_BITS || in.death_bit >= HV_EVENT_BITS)
		return -HVE_INVAL;
	vmm = notify_adopt(as_vm(o), p, &in);
	if (!vmm)
		return 0;
	err = answer_handle(p, &vmm->obj, HVR_ALL, value);
	object_put(&vmm->obj);
	return err;
}

static int save(struct prog *p, struct vm *vm, bool machine, void *page)
{
	int err = machine ? vm_save_machine(vm, page) : vm_save_vcpu(vm, (unsigned)arg1(p), page);

	return err ? err : user_write(arg2(p), page, arg3(p));
}

static int load(struct prog *p, struct vm *vm, bool machine, void *page)
{
	int err = user_read(page, arg2(p), arg3(p));

	if (err != 0)
		return err;
	return machine ? vm_load_machine(vm, page) : vm_load_vcpu(vm, (unsigned)arg1(p), page);
}

/* One record in a page of hv's, for it is too large for the stack. */
static int state_call(struct prog *p, struct vm *vm,
		      int (*fn)(struct prog *p, struct vm *vm, bool machine, void *page))
{
	bool machine = arg1(p) == HV_STATE_MACHINE;
	void *page;
	int err;

	if ((!machine && arg1(p) >= vm->n_vcpus) ||
	    arg3(p) != (machine ? sizeof(struct hv_state_machine) : sizeof(struct hv_state_vcpu)))
		return -HVE_INVAL;
	page = hv_page_alloc(&p->acct); /* zeros */
	if (!page)
		return -HVE_NOMEM;
	err = fn(p, vm, machine, page);
	hv_page_free(&p->acct, page);
	return err;
}

int hc_vm_save(struct prog *p, struct object *o, uint64_t *value)
{
	(void)value;
	return state_call(p, as_vm(o), save);
}

int hc_vm_load(struct prog *p, struct object *o, uint64_t *value)
{
	(void)value;
	return state_call(p, as_vm(o), load);
}

/* ---- the vmm's ---- */

int hc_vm_claim(struct prog *p, struct object *o, uint64_t *value)
{
	(void)value;
	if (arg1(p) > HV_SPACE_MMIO || arg4(p) > HV_CLAIM_DOORBELL || arg5(p) >= HV_EVENT_BITS)
		return -HVE_INVAL;
	return vm_claim(as_vm(o), (unsigned)arg1(p), arg2(p), arg3(p), (unsigned)arg4(p),
			(unsigned)arg5(p));
}

int hc_vm_unclaim(struct prog *p, struct object *o, uint64_t *value)
{
	(void)value;
	if (arg1(p) > HV_SPACE_MMIO)
		return -HVE_INVAL;
	return vm_unclaim(as_vm(o), (unsigned)arg1(p), arg2(p), arg3(p));
}

int hc_vm_irq_line(struct prog *p, struct object *o, uint64_t *value)
{
	(void)value;
	if (arg1(p) >= HV_IOAPIC_PINS || arg2(p) > 1)
		return -HVE_INVAL;
	return vm_irq_line(as_vm(o), (unsigned)arg1(p), arg2(p) != 0);
}

int hc_vm_msi(struct prog *p, struct object *o, uint64_t *value)
{
	(void)value;
	if (arg2(p) > UINT32_MAX)
		return -HVE_INVAL;
	return vm_msi(as_vm(o), arg1(p), (uint32_t)arg2(p));
}

int hc_vcpu_set(struct prog *p, struct object *o, uint64_t *value)
{
	struct hv_vcpu_regs regs;

	(void)value;
	if (arg1(p) >= as_vm(o)->n_vcpus || arg3(p) != sizeof(regs))
		return -HVE_INVAL;
	if (user_read(&regs, arg2(p), sizeof(regs)) != 0)
		return -HVE_FAULT;
	return vm_vcpu_set(as_vm(o), (unsigned)arg1(p), &regs);
}

int hc_vcpu_get(struct prog *p, struct object *o, uint64_t *value)
{
	struct hv_vcpu_regs regs = {.reserved = 0};
	int err;

	(void)value;
	if (arg1(p) >= as_vm(o)->n_vcpus || arg3(p) != sizeof(regs))
		return -HVE_INVAL;
	err = vm_vcpu_get(as_vm(o), (unsigned)arg1(p), &regs);
	if (err != 0)
		return err;
	return user_write(arg2(p), &regs, sizeof(regs));
}

int hc_vcpu_resume(struct prog *p, struct object *o, uint64_t *value)
{
	(void)value;
	if (UNLIKELY(arg1(p) >= as_vm(o)->n_vcpus))
		return -HVE_INVAL;
	return vm_vcpu_resume(as_vm(o), (unsigned)arg1(p), arg2(p), arg3(p));
}

int hc_vm_reset(struct prog *p, struct object *o, uint64_t *value)
{
	(void)p, (void)value;
	return vm_reset(as_vm(o));
}

int hc_vm_notify(struct prog *p, struct object *o, uint64_t *value)
{
	uint64_t what = arg1(p);

	(void)value;
	if (what != HV_NOTIFY_STATUS && what != HV_NOTIFY_IO)
		return -HVE_INVAL;
	notify_of(as_vm(o), (enum hv_notify)what);
	return 0;
}
