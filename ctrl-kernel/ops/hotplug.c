/* SPDX-License-Identifier: BSD-2-Clause */
/* See hotplug.h. */
#include "ctrl-kernel/ops/hotplug.h"

#include <string.h>
#include "ctrl-kernel/ops/devices.h"
#include "ctrl-kernel/ops/jobs.h"
#include "ctrl-kernel/ops/lasting.h"
#include "ctrl-kernel/ops/lifecycle.h"
#include "ctrl-kernel/ops/networks.h"
#include "ctrl-kernel/ops/start.h"
#include "ctrl-kernel/ops/vmdisks.h"
#include "ctrl-kernel/rt/hvcall.h"

#define DRAIN_NS 5000000ull /* between two looks at requests under way */

static uint32_t bit_of(unsigned slot)
{
	return 1u << slot;
}

static bool is_disk(unsigned slot)
{
	return slot < VMM_NIC_SLOT;
}

static struct unplug *unplug_of(struct vm_run *run, unsigned slot)
{
	return &run->hotplug.unplug[slot - VMM_DISK_SLOT];
}

/* The vmm is told, and says in slots_seq of its status that it has followed. */
static void publish(struct vm_run *run)
{
	__atomic_store_n(&run->config->slots_seq, run->config->slots_seq + 1, __ATOMIC_RELEASE);
	vmio_tell(run->io);
}

static void present_set(struct vm_run *run, unsigned slot, uint32_t present)
{
	uint32_t *at = is_disk(slot) ? &run->config->disks[slot - VMM_DISK_SLOT].present
				     : &run->config->nics[slot - VMM_NIC_SLOT].present;

	__atomic_store_n(at, present, __ATOMIC_RELEASE);
}

static bool is_present(const struct vm_run *run, unsigned slot)
{
	return is_disk(slot) ? run->config->disks[slot - VMM_DISK_SLOT].present
			     : run->config->nics[slot - VMM_NIC_SLOT].present;
}

/* ---- the description ---- */

/* -> its index; n: there is none. */
static unsigned disk_at(const struct vm_spec *spec, unsigned slot)
{
	unsigned i = 0;

	while (i < spec->n_disks && spec->disks[i].slot != slot)
		i++;
	return i;
}

static unsigned nic_at(const struct vm_spec *spec, unsigned slot)
{
	unsigned i = 0;

	while (i < spec->n_nics && spec->nics[i].slot != slot)
		i++;
	return i;
}

static bool is_described(const struct vm_spec *spec, unsigned slot)
{
	return is_disk(slot) ? disk_at(spec, slot) < spec->n_disks
			     : nic_at(spec, slot) < spec->n_nics;
}

static void remove_disk(struct vm_spec *spec, unsigned i)
{
	memmove(&spec->disks[i], &spec->disks[i + 1],
		(spec->n_disks - i - 1) * sizeof(spec->disks[0]));
	memset(&spec->disks[--spec->n_disks], 0, sizeof(spec->disks[0]));
}

static void remove_nic(struct vm_spec *spec, unsigned i)
{
	memmove(&spec->nics[i], &spec->nics[i + 1], (spec->n_nics - i - 1) * sizeof(spec->nics[0]));
	memset(&spec->nics[--spec->n_nics], 0, sizeof(spec->nics[0]));
}

static void undescribe(struct vm *vm, unsigned slot)
{
	if (!is_described(&vm->spec, slot))
		return;
	if (is_disk(slot))
		remove_disk(&vm->spec, disk_at(&vm->spec, slot));
	else
		remove_nic(&vm->spec, nic_at(&vm->spec, slot));
	vm_respec(vm);
}

/* ---- room in the I/O area ---- */

static int area_grow(struct vm_run *run, uint32_t pages, struct ops_error *e)
{
	struct hotplug *h = &run->hotplug;
	uint32_t from = run->config->io_pages;
	uint64_t mem;
	void *va;
	int r = hv_vm_slot(run->hv_vm, HV_SLOT_IO, &mem);

	if (r)
		return ops_fail_hv(e, r, "making room for the device");
	r = hv_mem_grow_to((uint32_t)mem, from + pages);
	va = r ? NULL : rt_mem_map((uint32_t)mem, from, pages, HVP_READ | HVP_WRITE);
	hv_handle_close((uint32_t)mem);
	if (!va)
		return ops_fail_hv(e, r ? r : -HVE_NOMEM, "making room for the device");
	h->grown[h->n_grown].va = va;
	h->grown[h->n_grown++].pages = pages;
	vmio_grown(run->io, from, va);
	return 0;
}

/* pages: 0 when its slot has had room before. */
static int room_make(struct vm_run *run, uint32_t pages, struct ops_error *e)
{
	return pages ? area_grow(run, pages, e) : 0;
}

static void zero(struct vm_run *run, uint32_t page, uint32_t pages)
{
	memset(vmio_page(run->io, page), 0, (size_t)pages * HV_PAGE_SIZE);
}

/* ---- plug ---- */

/* A slot that was not chosen: the first that is neither described nor still in the vmm's hands. */
static int slot_choose(const struct vm *vm, uint32_t first, uint32_t n, uint32_t *slot,
		       struct ops_error *e)
{
	uint32_t leaving = vm->run ? vm->run->hotplug.leaving : 0;

	if (*slot) {
		if (*slot < first || *slot >= first + n || !(leaving & bit_of(*slot)))
			return 0; /* what is wrong with it is said elsewhere */
	} else {
		for (*slot = first; *slot < first + n; ++*slot)
			if (!is_described(&vm->spec, *slot) && !(leaving & bit_of(*slot)))
				return 0;
	}
	return ops_fail(e, OPS_BUSY, NULL, "a device is being taken out of the slot; try again");
}

static int check_change(const struct vm *vm, struct ops_error *e)
{
	return vm_check_state(vm, VM_RUNNING, VM_PAUSED, "changed", e);
}

/* Nobody sees it before this. */
static void plugged(struct vm *vm, const struct vm_spec *next, unsigned slot)
{
	present_set(vm->run, slot, 1);
	vm->spec = *next;
	vm_respec(vm);
	publish(vm->run);
}

static int disk_into_run(struct vm *vm, struct vm_spec *next, unsigned i, struct ops_error *e)
{
	const struct vm_disk *d = &next->disks[i];
	struct vm_run *run = vm->run;
	uint32_t page, pages;

	if (check_change(vm, e) || devices_complete(next, vm->uuid, e))
		return -1;
	pages = run->config->disks[disk_place(d)].queues ? 0 : devices_disk_pages(next);
	if (room_make(run, pages, e))
		return -1;
	devices_layout_disk(next, d, run->config);
	if (!devices_disk_area(run->config, disk_place(d), &page, &pages))
		return ops_fail(e, OPS_INTERNAL, NULL, "the VM's configuration is damaged");
	zero(run, page, pages);
	if (vmdisk_add(run, d, i, e))
		return -1;
	plugged(vm, next, d->slot);
	return 0;
}

int vm_plug_disk(struct vm *vm, const struct vm_disk *disk, unsigned *index, struct ops_error *e)
{
	struct vm_spec next = vm->spec;
	unsigned i = next.n_disks;

	if (i == VMM_DISKS_MAX)
		return ops_fail(e, OPS_LIMIT, NULL, "a VM has at most %u disks", VMM_DISKS_MAX);
	next.disks[i] = *disk;
	if (slot_choose(vm, VMM_DISK_SLOT, VMM_DISKS_MAX, &next.disks[i].slot, e))
		return -1;
	next.n_disks++;
	if (vm->run ? disk_into_run(vm, &next, i, e) : vm_redefine(vm, &next, e))
		return -1;
	*index = i;
	return 0;
}

static int nic_into_run(struct vm *vm, struct vm_spec *next, unsigned i, struct ops_error *e)
{
	const struct vm_nic *n = &next->nics[i];
	struct vm_run *run = vm->run;
	uint32_t page, pages;

	if (check_change(vm, e) || devices_complete(next, vm->uuid, e) || networks_check(next, e))
		return -1;
	pages = run->config->nics[nic_place(n)].pairs ? 0 : devices_nic_pages(next);
	if (room_make(run, pages, e))
		return -1;
	devices_layout_nic(next, n, run->config);
	if (!devices_nic_area(run->config, nic_place(n), &page, &pages))
		return ops_fail(e, OPS_INTERNAL, NULL, "the VM's configuration is damaged");
	zero(run, page, pages);
	if (network_plug(vm, n, i, e))
		return -1;
	plugged(vm, next, n->slot);
	return 0;
}

int vm_plug_nic(struct vm *vm, const struct vm_nic *nic, unsigned *index, struct ops_error *e)
{
	struct vm_spec next = vm->spec;
	unsigned i = next.n_nics;

	if (i == VMM_NICS_MAX)
		return ops_fail(e, OPS_LIMIT, NULL, "a VM has at most %u NICs", VMM_NICS_MAX);
	next.nics[i] = *nic;
	if (slot_choose(vm, VMM_NIC_SLOT, VMM_NICS_MAX, &next.nics[i].slot, e))
		return -1;
	next.n_nics++;
	if (vm->run ? nic_into_run(vm, &next, i, e) : vm_redefine(vm, &next, e))
		return -1;
	*index = i;
	return 0;
}

/* ---- unplug ---- */

static void job_lasts(void *ctx, const struct ops_error *e)
{
	job_end(ctx, e);
}

/* It has gone: said when that is on the disk. */
static void succeeded(struct unplug *u)
{
	struct job *job = u->job;
	struct ops_error e;

	u->job = NULL;
	if (!job)
		return;
	job_commits(job);
	if (!lasting_behind() || lasting_wait(job_lasts, job, &e))
		job_end(job, NULL);
}

static void failed(struct unplug *u, const struct ops_error *e)
{
	struct job *job = u->job;

	u->job = NULL;
	if (job)
		job_end(job, e);
}

static void withdraw(struct unplug *u, const struct ops_error *e)
{
	loop_timer_cancel(&u->timer);
	u->step = UNPLUG_WITHDRAWN;
	u->run->config->unplug &= ~bit_of(u->slot);
	publish(u->run);
	failed(u, e);
}

static void timed_out(void *ctx)
{
	struct ops_error e;

	ops_fail(&e, OPS_TIMEOUT, NULL,
		 "the guest has not ejected the device within 30 s; the VM keeps it");
	withdraw(ctx, &e);
}

static void cancel(void *ctx)
{
	struct ops_error e;

	ops_fail(&e, OPS_ABORTED, NULL, "cancelled by request");
	withdraw(ctx, &e);
}

static void leave(struct unplug *u)
{
	struct vm_run *run = u->run;

	u->step = UNPLUG_LEAVING;
	run->hotplug.leaving |= bit_of(u->slot);
	undescribe(run->vm,
		   u->slot); /* first: what is present and not described goes, whoever dies */
	present_set(run, u->slot, 0);
	run->config->unplug &= ~bit_of(u->slot);
	publish(run);
}

static void drain_step(void *ctx)
{
	struct unplug *u = ctx;

	if (is_disk(u->slot) && !vmdisk_drained(u->run, u->slot - VMM_DISK_SLOT))
		loop_timer_set(&u->timer, DRAIN_NS);
	else
		leave(u);
}

static void drain(struct unplug *u)
{
	if (u->job)
		job_commits(u->job);
	loop_timer_cancel(&u->timer);
	u->step = UNPLUG_DRAIN;
	loop_timer_init(&u->timer, drain_step, u);
	drain_step(u);
}

/* The slot is empty. */
static void gone(struct unplug *u)
{
	struct vm_run *run = u->run;
	unsigned nic = u->slot - VMM_NIC_SLOT;

	u->step = UNPLUG_NONE;
	if (is_disk(u->slot)) {
		vmdisk_remove(run, u->slot - VMM_DISK_SLOT);
	} else {
		netdev_end(run->nics[nic]);
		run->nics[nic] = NULL;
	}
	rt_log("VM %s: what was in slot %u has been unplugged", run->vm->spec.name, u->slot);
	succeeded(u);
}

static void begin(struct vm_run *run, unsigned slot, bool force, struct job *job)
{
	struct unplug *u = unplug_of(run, slot);

	*u = (struct unplug){.run = run, .slot = slot, .job = job};
	if (force) {
		drain(u);
		return;
	}
	u->step = UNPLUG_ASKED;
	loop_timer_init(&u->timer, timed_out, u);
	loop_timer_set(&u->timer, UNPLUG_LIMIT_NS);
	run->config->unplug |= bit_of(slot);
	publish(run);
}

static int check_heard(const struct vm_run *run, struct ops_error *e)
{
	struct vmm_status s;

	run_status(run, &s);
	if (s.slots & VMM_SLOTS_HEARD)
		return 0;
	return ops_fail(e, OPS_UNSUPPORTED, NULL,
			"the guest does not handle ACPI's event of hot-plug (or not yet), so it "
			"cannot be asked; "
			"force takes the device away unasked");
}

static int unplug(struct vm *vm, unsigned slot, const char *id, bool force, struct job **job,
		  struct ops_error *e)
{
	struct unplug *u;

	if (check_change(vm, e))
		return -1;
	u = unplug_of(vm->run, slot);
	if (u->step == UNPLUG_ASKED && force) {
		*job = u->job;
		drain(u);
		return 0;
	}
	if (u->step != UNPLUG_NONE)
		return ops_fail(e, OPS_BUSY, NULL, "the device is being unplugged already");
	if (!force && check_heard(vm->run, e))
		return -1;
	*job = job_begin("unplug", vm->spec.name, id, 0, cancel, u, e);
	if (!*job)
		return -1;
	begin(vm->run, slot, force, *job);
	return 0;
}

int vm_unplug_disk(struct vm *vm, const char *id, bool force, struct job **job, struct ops_error *e)
{
	struct vm_spec next;
	unsigned i = 0;

	*job = NULL;
	while (i < vm->spec.n_disks && strcmp(vm->spec.disks[i].id, id) != 0)
		i++;
	if (i == vm->spec.n_disks)
		return ops_fail(e, OPS_NO_DISK, NULL, "the VM has no disk \"%s\"", id);
	if (vm->run)
		return unplug(vm, vm->spec.disks[i].slot, id, force, job, e);
	next = vm->spec;
	remove_disk(&next, i);
	return vm_redefine(vm, &next, e);
}

int vm_unplug_nic(struct vm *vm, const char *id, bool force, struct job **job, struct ops_error *e)
{
	struct vm_spec next;
	unsigned i = 0;

	*job = NULL;
	while (i < vm->spec.n_nics && strcmp(vm->spec.nics[i].id, id) != 0)
		i++;
	if (i == vm->spec.n_nics)
		return ops_fail(e, OPS_NO_NIC, NULL, "the VM has no NIC \"%s\"", id);
	if (vm->run)
		return unplug(vm, vm->spec.nics[i].slot, id, force, job, e);
	next = vm->spec;
	remove_nic(&next, i);
	return vm_redefine(vm, &next, e);
}

/* ---- what becomes of it ---- */

bool hotplug_busy(const struct vm_run *run)
{
	for (unsigned i = 0; i < HOTPLUG_SLOTS; i++)
		if (run->hotplug.unplug[i].step != UNPLUG_NONE)
			return true;
	return false;
}

static void look_at(struct unplug *u, bool there)
{
	switch (u->step) {
	case UNPLUG_ASKED:
		if (!there)
			drain(u);
		break;
	case UNPLUG_LEAVING:
		if (!there)
			gone(u);
		break;
	case UNPLUG_WITHDRAWN:
		if (there)
			u->step = UNPLUG_NONE;
		else
			drain(u); /* the guest was faster */
		break;
	default:
		break;
	}
}

void hotplug_look(struct vm *vm)
{
	struct vm_run *run = vm->run;
	struct vmm_status s;

	run_status(run, &s);
	if (s.slots_seq != run->config->slots_seq)
		return;
	run->hotplug.leaving &= s.slots;
	for (unsigned i = 0; i < HOTPLUG_SLOTS; i++)
		look_at(&run->hotplug.unplug[i], s.slots >> (VMM_DISK_SLOT + i) & 1);
}

void hotplug_take_over(struct vm_run *run)
{
	struct hotplug *h = &run->hotplug;
	bool changed = false;

	for (unsigned slot = VMM_DISK_SLOT; slot < VMM_DISK_SLOT + HOTPLUG_SLOTS; slot++) {
		struct unplug *u = unplug_of(run, slot);

		if (!is_described(&run->vm->spec, slot)) {
			h->leaving |= bit_of(slot);
			changed |= is_present(run, slot);
			present_set(run, slot, 0);
		} else if (run->config->unplug & bit_of(slot)) {
			*u = (struct unplug){.run = run, .slot = slot, .step = UNPLUG_WITHDRAWN};
			changed = true;
		}
	}
	run->config->unplug = 0;
	if (changed)
		publish(run);
}

void hotplug_end(struct vm_run *run)
{
	for (unsigned i = 0; i < HOTPLUG_SLOTS; i++) {
		struct unplug *u = &run->hotplug.unplug[i];

		if (u->step == UNPLUG_NONE)
			continue;
		loop_timer_cancel(&u->timer);
		if (u->step == UNPLUG_ASKED || u->step == UNPLUG_DRAIN)
			undescribe(run->vm, u->slot);
		u->step = UNPLUG_NONE;
		succeeded(u);
	}
}

void hotplug_unmap(struct vm_run *run)
{
	for (unsigned i = 0; i < run->hotplug.n_grown; i++)
		rt_mem_unmap(run->hotplug.grown[i].va, run->hotplug.grown[i].pages);
	run->hotplug.n_grown = 0;
}
