/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest memory is given back: VM_RELEASE. The frames leave all that can reach them, in this order:
 *
 *	the vCPUs and the vmm stand still (BLOCK_MEM), no CPU but this one has the caller's or the vmm's tables loaded
 *	entries out of the nested tables, the vmm's and the caller's; larger pages are split where a range ends inside
 *	translations: the caller's by CR3, here; the others' before they run again (vendor->npt_changed, space_use)
 *	frames out of the object, to whoever wants them
 *
 * The object counts its mappings: one that is mapped anywhere else (a vmm that is just ending, another program) is left
 * alone, BUSY. No program is trusted with that. That no device writes there is the caller's word (program right HW: it could
 * let devices write anywhere).
 */
#include "hv/prog/hypercall.h"

#include "hv/mm/user.h"

struct release {
	struct vm *vm;
	struct mem *mem;
	struct prog *caller, *vmm; /* vmm counted; NULL: there is none */
	unsigned n, cut;           /* ranges; how many of them can go */
	uint64_t range[HV_RANGES_MAX];
	/* of the step under way */
	uint64_t first, end; /* pages of the object */
	int err;
};

/* ---- a step at all places where pages [first, end) are mapped ---- */

static void cut_at(void *ctx, struct pt *pt, uint64_t va, uint64_t page_off, uint64_t pages)
{
	struct release *r = ctx;
	uint64_t first = MAX(r->first, page_off), end = MIN(r->end, page_off + pages);

	if (first >= end || r->err != 0)
		return;
	r->err = pt_cut(pt, va + ((first - page_off) << PAGE_SHIFT));
	if (r->err == 0)
		r->err = pt_cut(pt, va + ((end - page_off) << PAGE_SHIFT));
}

static void clear_at(void *ctx, struct pt *pt, uint64_t va, uint64_t page_off, uint64_t pages)
{
	struct release *r = ctx;
	uint64_t first = MAX(r->first, page_off), end = MIN(r->end, page_off + pages);

	if (first < end)
		pt_clear(pt, va + ((first - page_off) << PAGE_SHIFT),
			 va + ((end - page_off) << PAGE_SHIFT));
}

/* fn NULL: only counts the places. */
static unsigned each_place(struct release *r, space_fn *fn)
{
	unsigned n = space_each(r->caller, r->mem, fn, r);

	if (r->vmm)
		n += space_each(r->vmm, r->mem, fn, r);
	for (unsigned i = 0; i < r->vm->n_spans; i++) {
		const struct vm_span *s = &r->vm->spans[i];

		if (s->mem != r->mem)
			continue;
		n++;
		if (fn)
			fn(r, &r->vm->npt, s->gpa, s->page_off, s->pages);
	}
	return n;
}

static void choose(struct release *r, unsigned i)
{
	r->first = HV_RANGE_PAGE(r->range[i]);
	r->end = r->first + HV_RANGE_PAGES(r->range[i]);
}

/* Tables for the small pages of a larger one: all of them before anything goes. */
static int cut_range(struct release *r, unsigned i)
{
	choose(r, i);
	r->err = pt_cut(&r->mem->frames, r->first << PAGE_SHIFT);
	if (r->err == 0)
		r->err = pt_cut(&r->mem->frames, r->end << PAGE_SHIFT);
	if (r->err == 0)
		(void)each_place(r, cut_at);
	return r->err;
}

/* Locks: vm->lock, npt_lock, mem->lock. */
static int release(struct release *r)
{
	/* A vmm that is about to be taken apart is read by that (crash.c). It cannot begin to die while it stands still. */
	if (r->vmm && __atomic_load_n(&r->vmm->dying, __ATOMIC_ACQUIRE))
		return -HVE_BUSY;
	if (r->mem->mapped != each_place(r, NULL))
		return -HVE_BUSY;
	while (r->cut < r->n && cut_range(r, r->cut) == 0)
		r->cut++;
	for (unsigned i = 0; i < r->cut; i++) {
		choose(r, i);
		(void)each_place(r, clear_at);
	}
	r->vm->has_holes = true;
	space_flush(r->caller);
	vm_forget_translations(r->vm);
	for (unsigned i = 0; i < r->cut; i++) {
		choose(r, i);
		mem_drop(r->mem, r->first, r->end - r->first);
	}
	return r->cut == 0 ? r->err : 0;
}

static int locked_release(struct release *r)
{
	struct vm *vm = r->vm;
	int err = -HVE_STATE;

	spin_lock(&vm->lock);
	if (!vm->dead && vm->slots[HV_SLOT_RAM] == r->mem && vm->notify.vmm == r->vmm) {
		spin_lock(&vm->npt_lock);
		spin_lock(&r->mem->lock);
		err = release(r);
		spin_unlock(&r->mem->lock);
		spin_unlock(&vm->npt_lock);
	}
	spin_unlock(&vm->lock);
	return err;
}

/* ---- standing still ---- */

/* What VM and vmm are now. The vmm may end meanwhile: then it is no longer the VM's when the lock is held again. */
static int hold(struct release *r)
{
	spin_lock(&r->vm->lock);
	r->mem = r->vm->slots[HV_SLOT_RAM];
	r->vmm = r->vm->notify.vmm;
	if (r->mem)
		object_get(&r->mem->obj);
	if (r->vmm)
		object_get(&r->vmm->obj);
	spin_unlock(&r->vm->lock);
	vm_hold(r->vm);
	if (r->vmm) {
		(void)sched_block(&r->vmm->ent, BLOCK_MEM);
		sched_wait_off(&r->vmm->ent);
		sched_drop_root(r->vmm->root);
	}
	sched_drop_root(r->caller->root);
	return r->mem ? 0 : -HVE_NOENT;
}

static void go_on(struct release *r)
{
	if (r->vmm) {
		sched_unblock(&r->vmm->ent, BLOCK_MEM);
		object_put(&r->vmm->obj);
	}
	vm_go_on(r->vm);
	if (r->mem)
		object_put(&r->mem->obj);
}

static int check(const struct release *r)
{
	uint64_t sum = 0, size = r->mem->pages;

	if (r->mem->flags & (HVM_DMA | HVM_HV))
		return -HVE_STATE;
	for (unsigned i = 0; i < r->n; i++) {
		uint64_t page = HV_RANGE_PAGE(r->range[i]), pages = HV_RANGE_PAGES(r->range[i]);

		sum += pages;
		if (pages == 0 || page >= size || pages > size - page || sum > HV_RELEASE_MAX)
			return -HVE_INVAL;
	}
	return 0;
}

int hc_vm_release(struct prog *p, struct object *o, uint64_t *value)
{
	struct release r = {.vm = as_vm(o), .caller = p};
	uint64_t n = arg2(p);
	int err;

	if (n == 0 || n > HV_RANGES_MAX)
		return -HVE_INVAL;
	r.n = (unsigned)n;
	if (user_read(r.range, arg1(p), n * sizeof(r.range[0])) != 0)
		return -HVE_FAULT;
	err = hold(&r);
	if (err == 0)
		err = check(&r);
	if (err == 0)
		err = locked_release(&r);
	go_on(&r);
	*value = r.cut;
	return err;
}
