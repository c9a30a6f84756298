/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VM object: creation, memory, state, destruction. Called by hypercalls (which are serialised by hv_lock, all but the
 * fast ones) and, for vm_crash, by anybody.
 *
 *   create -> STOPPED -start-> RUNNING <-pause, resume-> PAUSED
 *                ^               | guest or vmm ends it: CRASHED
 *                +-- stop, reset from any state; one that was paused is PAUSED again when it starts after a reset
 *
 * vCPUs carry BLOCK_PAUSE in every state but RUNNING. Changes of state, reason and slots happen under vm->lock; waiting for
 * vCPUs to leave their CPUs happens outside it.
 */
#include "hv/vm/vdev.h"
#include "hv/lib/log.h"
#include "hv/lib/string.h"

_Static_assert(sizeof(struct vm) <= PAGE_SIZE, "a VM's struct is one page");
_Static_assert(sizeof(struct vcpu) <= PAGE_SIZE, "a vCPU's struct is one page");
_Static_assert(HVP_READ == PT_R && HVP_WRITE == PT_W && HVP_EXEC == PT_X, "passed through");

static struct spinlock vms_lock;
static struct vm *vms;   /* [L:vms_lock] counted, by rising id */
static uint32_t last_id; /* [L:vms_lock] */

/* ---- vCPUs together ---- */

static void block_all(struct vm *vm, uint32_t why)
{
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		sched_block(&vm->vcpus[i]->ent, why);
}

static void unblock_all(struct vm *vm, uint32_t why)
{
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		sched_unblock(&vm->vcpus[i]->ent, why);
}

static void wait_all_off(struct vm *vm)
{
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		sched_wait_off(&vm->vcpus[i]->ent);
}

/* ---- creation and destruction ---- */

static void vcpu_free(struct vm *vm, struct vcpu *v)
{
	if (v->lapic)
		vlapic_destroy(v);
	if (v->arch)
		vendor->vcpu_destroy(v, &vm->acct);
	fpu_destroy(&v->fpu, &vm->acct);
	hv_page_free(&vm->acct, v);
}

static int vcpu_make(struct vm *vm, unsigned index, uint32_t weight)
{
	struct vcpu *v = hv_page_alloc(&vm->acct);
	int rc;

	if (!v)
		return -HVE_NOMEM;
	v->vm = vm;
	v->index = index;
	v->npt = &vm->npt;
	sched_ent_init(&v->ent, &vcpu_sched_ops, &vm->group, weight);
	v->ent.fpu = &v->fpu;
	rc = fpu_create(&v->fpu, &vm->acct);
	if (!rc)
		rc = vendor->vcpu_create(v, hv_to_phys(vm->npt.root), &vm->acct);
	if (!rc)
		rc = vlapic_create(v);
	if (rc) {
		vcpu_free(vm, v);
		return rc;
	}
	sched_block(&v->ent, BLOCK_PAUSE);
	sched_unblock(&v->ent, BLOCK_NEW);
	vm->vcpus[index] = v;
	vm->n_vcpus = index + 1;
	vcpu_reset(v);
	return 0;
}

/* The console ring was never the VM's to pay for; what others still map is hv's from here on. */
static void drop_slot(struct vm *vm, unsigned slot)
{
	struct mem *m;

	spin_lock(&vm->lock);
	m = vm->slots[slot];
	vm->slots[slot] = NULL;
	spin_unlock(&vm->lock);
	if (!m)
		return;
	if (slot != HV_SLOT_CONSOLE)
		mem_recharge(m, &account_hv);
	object_put(&m->obj);
}

/* Off the list only when it is freed: until then it has pages to its account. */
static void unpublish(struct vm *vm)
{
	struct vm **at = &vms;

	spin_lock(&vms_lock);
	while (*at && *at != vm)
		at = &(*at)->next;
	if (*at)
		*at = vm->next;
	spin_unlock(&vms_lock);
}

/* What the references stood for; nothing runs and nobody knows the VM any more. */
static void vm_free(struct object *o)
{
	struct vm *vm = CONTAINER_OF(o, struct vm, obj);

	unpublish(vm);
	sched_group_fini(&vm->group); /* its timer knows vCPUs */
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		vcpu_free(vm, vm->vcpus[i]);
	vm_devices_destroy(vm);
	drop_slot(vm, HV_SLOT_PAGE);
	drop_slot(vm, HV_SLOT_CONSOLE);
	account_move(&vm->acct, &account_hv, 1);
	hv_page_free(&account_hv, vm);
}

/* Memory goes at once, though handles may keep the struct for a while. The VM page stays as long as the struct: late
 * answers and doorbells find it. */
static void release_memory(struct vm *vm)
{
	if (vm->npt.root)
		pt_destroy(&vm->npt);
	vm->npt.root = NULL;
	for (unsigned i = 0; i < vm->n_spans; i++) {
		mem_unmapped(vm->spans[i].mem);
		object_put(&vm->spans[i].mem->obj);
	}
	vm->n_spans = 0;
	for (unsigned i = HV_SLOT_RAM; i < HV_SLOTS; i++)
		drop_slot(vm, i);
}

static int make_page(struct vm *vm)
{
	uint64_t now;
	int rc = mem_create(HVM_HV, &vm->acct, &vm->slots[HV_SLOT_PAGE]);

	if (!rc)
		rc = mem_grow(vm->slots[HV_SLOT_PAGE], 1, &now);
	if (!rc)
		vm->page = mem_hv_page(vm->slots[HV_SLOT_PAGE], 0);
	return rc;
}

/* The parts in the order in which they need each other. On failure the caller takes apart what is there. */
static int make_parts(struct vm *vm, const struct hv_vm_create *in)
{
	int rc = make_page(vm);

	if (!rc)
		rc = pt_create(&vm->npt, vendor->npt_format, &vm->acct);
	vm->npt.giga = vendor->npt_1g();
	for (unsigned i = 0; i < in->vcpus && !rc; i++)
		rc = vcpu_make(vm, i, in->weight);
	if (!rc) /* CPUID says how many vCPUs there are */
		rc = vm_devices_create(vm);
	return rc;
}

static int check_create(const struct hv_vm_create *in, const struct mem *console)
{
	if (!vendor)
		return -HVE_NOVIRT;
	if (in->vcpus == 0 || in->vcpus > HV_VCPUS_MAX || in->weight == 0 || in->weight > 10000)
		return -HVE_INVAL;
	if (!(console->flags & HVM_HV) || console->pages < HV_CONSOLE_PAGES)
		return -HVE_INVAL;
	return 0;
}

static void publish(struct vm *vm)
{
	struct vm **at = &vms;

	object_get(&vm->obj);
	spin_lock(&vms_lock);
	vm->id = ++last_id;
	while (*at)
		at = &(*at)->next;
	*at = vm;
	spin_unlock(&vms_lock);
}

int vm_create(const struct hv_vm_create *in, struct mem *console, struct vm **out)
{
	int rc = check_create(in, console);
	struct vm *vm;

	if (rc)
		return rc;
	vm = hv_page_alloc(&account_hv);
	if (!vm)
		return -HVE_NOMEM;
	account_move(&account_hv, &vm->acct, 1);
	object_init(&vm->obj, OBJECT_VM, vm_free);
	str_copy(vm->name, in->name, sizeof(vm->name));
	sched_group_init(&vm->group, in->cap);
	object_get(&console->obj);
	vm->slots[HV_SLOT_CONSOLE] = console;
	rc = make_parts(vm, in);
	if (rc) {
		vm->dead = true;
		release_memory(vm);
		object_put(&vm->obj);
		return rc;
	}
	publish(vm);
	*out = vm;
	return 0;
}

void vm_destroy(struct vm *vm)
{
	bool was_dead;

	spin_lock(&vm->lock);
	was_dead = vm->dead;
	vm->dead = true;
	vm->state = HV_VM_STOPPED;
	vm->notify = (struct vm_notify){0};
	spin_unlock(&vm->lock);
	if (was_dead)
		return;
	block_all(vm, BLOCK_DEAD);
	wait_all_off(vm);
	vm_devices_reset(vm); /* no timer of it fires any more */
	release_memory(vm);
	object_put(&vm->obj);
}

struct vm *vm_next(uint32_t above_id)
{
	struct vm *vm;

	spin_lock(&vms_lock);
	for (vm = vms; vm && (vm->id <= above_id || vm->dead); vm = vm->next)
		;
	if (vm)
		object_get(&vm->obj);
	spin_unlock(&vms_lock);
	return vm;
}

/* Destroyed ones that are still referenced pay too. */
uint64_t vm_pages_of_all(void)
{
	uint64_t sum = 0;

	spin_lock(&vms_lock);
	for (struct vm *vm = vms; vm; vm = vm->next)
		sum += __atomic_load_n(&vm->acct.pages, __ATOMIC_RELAXED);
	spin_unlock(&vms_lock);
	return sum;
}

/* ---- memory ---- */

/* The one that these pages go on from; NULL: there is none. */
static struct vm_span *before(struct vm *vm, const struct vm_span *s)
{
	struct vm_span *last = vm->n_spans ? &vm->spans[vm->n_spans - 1] : NULL;

	if (!last || last->mem != s->mem || last->prot != s->prot ||
	    last->page_off + last->pages != s->page_off ||
	    last->gpa + (last->pages << PAGE_SHIFT) != s->gpa)
		return NULL;
	return last;
}

/* Its pages are mapped. One mapping of the object for each span. */
static void add_span(struct vm *vm, const struct vm_span *s)
{
	struct vm_span *last = before(vm, s);

	vm->ram_pages += s->pages;
	vm->has_holes |= s->mem->held != s->mem->pages;
	if (last) {
		last->pages += s->pages;
		mem_unmapped(s->mem);
		return;
	}
	object_get(&s->mem->obj);
	vm->spans[vm->n_spans++] = *s;
}

static bool touches_page(gpa_t gpa, uint64_t len, gpa_t page)
{
	return page + PAGE_SIZE > gpa && page - gpa < len;
}

static int check_map(gpa_t gpa, uint64_t pages, unsigned prot)
{
	uint64_t len, end;

	if (!pages || gpa % PAGE_SIZE || (prot & ~(HVP_READ | HVP_WRITE | HVP_EXEC)) ||
	    !(prot & HVP_READ))
		return -HVE_INVAL;
	if (MUL_OVERFLOW(pages, PAGE_SIZE, &len) || ADD_OVERFLOW(gpa, len, &end) ||
	    end > 1ull << MIN(cpu_features.phys_bits, 47u))
		return -HVE_INVAL;
	if (touches_page(gpa, len, HV_GPA_LAPIC) || touches_page(gpa, len, HV_GPA_IOAPIC))
		return -HVE_INVAL;
	return 0;
}

/* Only while the VM is stopped: the exit path reads the nested tables without a lock. */
int vm_map(struct vm *vm, struct mem *m, uint64_t page_off, gpa_t gpa, uint64_t pages,
	   unsigned prot)
{
	const struct vm_span s = {.mem = m,
				  .gpa = gpa,
				  .pages = pages,
				  .page_off = page_off & ((1ull << 60) - 1),
				  .prot = prot & 15u};
	int rc = check_map(gpa, pages, prot);

	if (rc)
		return rc;
	if (vm->dead || vm->state != HV_VM_STOPPED)
		return -HVE_STATE;
	if (vm->n_spans == VM_MAPPED_MAX && !before(vm, &s))
		return -HVE_LIMIT;
	wait_all_off(vm);
	spin_lock(&vm->npt_lock);
	rc = mem_map_into(m, page_off, pages, &vm->npt, gpa, prot);
	spin_unlock(&vm->npt_lock);
	if (!rc)
		add_span(vm, &s);
	return rc;
}

int vm_attach(struct vm *vm, unsigned slot, struct mem *m)
{
	if (slot < HV_SLOT_RAM || slot >= HV_SLOTS)
		return -HVE_INVAL;
	if (vm->dead)
		return -HVE_STATE;
	if (m && vm->slots[slot])
		return -HVE_EXIST;
	if (!m) {
		drop_slot(vm, slot);
		return 0;
	}
	object_get(&m->obj);
	mem_recharge(m, &vm->acct);
	spin_lock(&vm->lock);
	vm->slots[slot] = m;
	spin_unlock(&vm->lock);
	return 0;
}

/* ---- state ---- */

/* Under vm->lock. */
static void set_state(struct vm *vm, enum hv_vm_state state, enum hv_vm_reason reason,
		      uint64_t detail)
{
	vm->state = state;
	vm->reason = reason;
	vm->detail = detail;
	if (vm->notify.state)
		vm->notify.state(vm->notify.ctx);
}

/* From `from` to RUNNING, or to PAUSED if its owner wants that; else -HVE_STATE. */
static int change_state(struct vm *vm, enum hv_vm_state from, bool paused)
{
	int rc = -HVE_STATE;

	spin_lock(&vm->lock);
	if (!vm->dead && vm->state == from) {
		vm->paused = paused;
		set_state(vm, paused ? HV_VM_PAUSED : HV_VM_RUNNING, HV_VMR_REQUEST, 0);
		rc = 0;
	}
	spin_unlock(&vm->lock);
	return rc;
}

/* Those with a paravirtual clock hear that they stood still: halted ones look once and go on sleeping. */
static void tell_of_pause(struct vm *vm)
{
	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		struct vcpu *v = vm->vcpus[i];

		if (!v->clock_msr)
			continue;
		__atomic_fetch_or(&v->attention, ATT_CLOCK, __ATOMIC_SEQ_CST);
		sched_unblock(&v->ent, BLOCK_HALT);
	}
}

static int go(struct vm *vm, enum hv_vm_state from)
{
	bool paused = from == HV_VM_STOPPED && vm->paused;
	int rc = change_state(vm, from, paused);

	if (rc || paused)
		return rc;
	if (from == HV_VM_PAUSED)
		tell_of_pause(vm);
	unblock_all(vm, BLOCK_PAUSE);
	/* A crash in between has blocked some of them too early. */
	if (__atomic_load_n(&vm->state, __ATOMIC_SEQ_CST) != HV_VM_RUNNING)
		block_all(vm, BLOCK_PAUSE);
	return 0;
}

static int pause(struct vm *vm)
{
	int rc = change_state(vm, HV_VM_RUNNING, true);

	if (rc)
		return rc;
	block_all(vm, BLOCK_PAUSE);
	wait_all_off(vm);
	return 0;
}

/* While a paused VM is reset, resuming it means that it is to run when it starts. */
static int resume(struct vm *vm)
{
	if (vm->dead || vm->state != HV_VM_STOPPED || !vm->paused)
		return go(vm, HV_VM_PAUSED);
	vm->paused = false;
	return 0;
}

static int halt_with(struct vm *vm, enum hv_vm_state state, enum hv_vm_reason reason)
{
	if (vm->dead)
		return -HVE_STATE;
	block_all(vm, BLOCK_PAUSE);
	wait_all_off(vm);
	spin_lock(&vm->lock);
	set_state(vm, state, reason, 0);
	spin_unlock(&vm->lock);
	return 0;
}

static int send_nmi(struct vm *vm)
{
	if (vm->dead || vm->state != HV_VM_RUNNING)
		return -HVE_STATE;
	vcpu_attend(vm->vcpus[0], ATT_NMI, BLOCK_HALT);
	return 0;
}

int vm_control(struct vm *vm, enum hv_vm_control what, uint64_t arg)
{
	if ((what == HV_VMC_STOP || what == HV_VMC_CRASH) && arg > HV_VMR_MACHINE_CHECK)
		return -HVE_INVAL;
	switch (what) {
	case HV_VMC_START:
		return go(vm, HV_VM_STOPPED);
	case HV_VMC_PAUSE:
		return pause(vm);
	case HV_VMC_RESUME:
		return resume(vm);
	case HV_VMC_STOP:
		vm->paused = false;
		return halt_with(vm, HV_VM_STOPPED, (enum hv_vm_reason)arg);
	case HV_VMC_CRASH:
		return halt_with(vm, HV_VM_CRASHED, (enum hv_vm_reason)arg);
	case HV_VMC_NMI:
		return send_nmi(vm);
	default:
		return -HVE_INVAL;
	}
}

static const char *reason_text(enum hv_vm_reason reason)
{
	static const char *const texts[] = {
		[HV_VMR_NONE] = "no reason given",
		[HV_VMR_TRIPLE_FAULT] = "triple fault",
		[HV_VMR_BAD_STATE] = "the CPU refused its state",
		[HV_VMR_EMULATION] = "an access to device memory that cannot be emulated",
		[HV_VMR_VMM_DIED] = "its device model died",
		[HV_VMR_NO_MEMORY] = "no memory",
		[HV_VMR_REQUEST] = "on request",
		[HV_VMR_POWER_OFF] = "power-off",
		[HV_VMR_RESET] = "reset",
		[HV_VMR_HLT_FOREVER] = "all its CPUs halted with interrupts off",
		[HV_VMR_MACHINE_CHECK] = "machine check",
	};

	return reason < ARRAY_SIZE(texts) ? texts[reason] : "unknown";
}

void vm_crash(struct vm *vm, enum hv_vm_reason reason, uint64_t detail)
{
	bool alive;

	spin_lock(&vm->lock);
	alive = !vm->dead && (vm->state == HV_VM_RUNNING || vm->state == HV_VM_PAUSED);
	if (alive)
		set_state(vm, HV_VM_CRASHED, reason, detail);
	spin_unlock(&vm->lock);
	if (!alive)
		return;
	log_printf("vm %s: crashed: %s (%llx)", vm->name, reason_text(reason),
		   (unsigned long long)detail);
	block_all(vm, BLOCK_PAUSE);
}

void vm_stall(struct vm *vm, gpa_t gpa)
{
	bool stalls;

	spin_lock(&vm->lock);
	stalls = !vm->dead && vm->state == HV_VM_RUNNING;
	if (stalls)
		set_state(vm, HV_VM_PAUSED, HV_VMR_NO_MEMORY, gpa);
	spin_unlock(&vm->lock);
	if (!stalls)
		return;
	log_printf("vm %s: paused: no memory for a page that it had given back (%llx)", vm->name,
		   (unsigned long long)gpa);
	block_all(vm, BLOCK_PAUSE);
	/* As in go(), the other way round. */
	if (__atomic_load_n(&vm->state, __ATOMIC_SEQ_CST) == HV_VM_RUNNING)
		unblock_all(vm, BLOCK_PAUSE);
}

void vm_hold(struct vm *vm)
{
	block_all(vm, BLOCK_MEM);
	wait_all_off(vm);
}

void vm_go_on(struct vm *vm)
{
	unblock_all(vm, BLOCK_MEM);
}

void vm_forget_translations(struct vm *vm)
{
	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		vendor->npt_changed(vm->vcpus[i]);
		vm->vcpus[i]->fetch.page = ~0ull;
	}
}

int vm_reset(struct vm *vm)
{
	int rc = halt_with(vm, HV_VM_STOPPED, HV_VMR_RESET);

	if (rc)
		return rc;
	vm_devices_reset(vm);
	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		vlapic_reset(vm->vcpus[i]);
		vcpu_reset(vm->vcpus[i]);
	}
	return 0;
}

/* ---- what the vmm asks for ---- */

#define PIO_END 0x10000ull

static int check_range(unsigned space, uint64_t base, uint64_t len, uint64_t *end)
{
	if (space > HV_SPACE_MMIO || !len || ADD_OVERFLOW(base, len, end))
		return -HVE_INVAL;
	return *end > (space == HV_SPACE_PIO ? PIO_END : 1ull << 52) ? -HVE_INVAL : 0;
}

int vm_claim(struct vm *vm, unsigned space, uint64_t base, uint64_t len, unsigned kind,
	     unsigned bit)
{
	uint64_t end;
	int rc = check_range(space, base, len, &end);

	if (!rc && (kind > HV_CLAIM_DOORBELL || bit >= HV_EVENT_BITS))
		rc = -HVE_INVAL;
	if (rc)
		return rc;
	spin_lock(&vm->lock);
	rc = claim_add(&vm->claims[space], base, end, (uint16_t)(kind << 8 | bit));
	spin_unlock(&vm->lock);
	return rc;
}

int vm_unclaim(struct vm *vm, unsigned space, uint64_t base, uint64_t len)
{
	uint64_t end;
	int rc = check_range(space, base, len, &end);

	if (rc)
		return rc;
	spin_lock(&vm->lock);
	rc = claim_remove(&vm->claims[space], base, end);
	spin_unlock(&vm->lock);
	return rc;
}

int vm_quiet_vcpu(struct vm *vm, unsigned index, struct vcpu **out)
{
	if (index >= vm->n_vcpus)
		return -HVE_INVAL;
	if (vm->dead || vm->state == HV_VM_RUNNING)
		return -HVE_STATE;
	*out = vm->vcpus[index];
	(void)sched_block(&(*out)->ent,
			  BLOCK_PAUSE); /* a crash just now may not have got there yet */
	sched_wait_off(&(*out)->ent);
	return 0;
}

int vm_vcpu_set(struct vm *vm, unsigned index, const struct hv_vcpu_regs *in)
{
	struct vcpu *v;
	int rc = vm_quiet_vcpu(vm, index, &v);

	if (rc)
		return rc;
	if (in->runnable > 1)
		return -HVE_INVAL;
	vcpu_start_at(v, in, in->runnable);
	return 0;
}

int vm_vcpu_get(struct vm *vm, unsigned index, struct hv_vcpu_regs *out)
{
	struct vcpu *v;
	int rc = vm_quiet_vcpu(vm, index, &v);

	if (rc)
		return rc;
	vendor->get(v, out);
	out->runnable = !v->wait_sipi;
	return 0;
}

static uint64_t charged_for_slots(const struct vm *vm)
{
	uint64_t sum = 0;

	for (unsigned i = HV_SLOT_RAM; i < HV_SLOTS; i++) {
		if (vm->slots[i])
			sum += vm->slots[i]->held;
	}
	return sum;
}

void vm_info(struct vm *vm, struct hv_vm_info *out)
{
	*out = (struct hv_vm_info){.id = vm->id, .vcpus = vm->n_vcpus};
	spin_lock(&vm->lock);
	out->state = vm->state;
	out->reason = vm->reason;
	out->detail = vm->detail;
	out->ram_pages = vm->ram_pages;
	out->held_pages = vm->slots[HV_SLOT_RAM] ? vm->slots[HV_SLOT_RAM]->held : 0;
	out->overhead_pages = vm->acct.pages - charged_for_slots(vm);
	spin_unlock(&vm->lock);
	out->parks = vm->parks;
	out->doorbells = vm->doorbells;
	out->irqs_injected = vm->irqs_injected;
	out->console_dropped = __atomic_load_n(&vm->vuart->dropped, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		struct vcpu *v = vm->vcpus[i];

		out->cpu_ns += sched_cpu_ns(&v->ent);
		for (unsigned k = 0; k < HV_EXIT_KINDS; k++)
			out->exits[k] += v->exits[k];
	}
}
