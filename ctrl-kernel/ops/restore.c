/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM from an image (restore.h). */
#include "ctrl-kernel/ops/restore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/ops/jobs.h"
#include "ctrl-kernel/ops/lifecycle.h"
#include "ctrl-kernel/ops/saved.h"
#include "ctrl-kernel/rt/hvcall.h"

#define WINDOW_PAGES 512u
#define FOREVER_NS 86400000000000ull /* reading shows progress, and can be cancelled */

struct vm_restore {
	struct job *job;
	struct image *image; /* [owns] pinned: it cannot be replaced or deleted */
	const uint8_t *
		first; /* [owns] mapping: its pages up to guest memory, checked. Nobody writes to them. */
	uint64_t first_pages;
	uint64_t at;   /* next page of guest memory */
	uint64_t from; /* page of the image it comes from */
};

static const struct saved_header *header(const struct vm_restore *r)
{
	return (const struct saved_header *)(const void *)r->first;
}

static const uint8_t *page_of(const struct vm_restore *r, uint64_t page)
{
	return r->first + page * SAVED_PAGE;
}

/* ---- the image ---- */

/* How many pages lie before guest memory; 0: that is no saved VM. */
static uint64_t first_pages(const struct image *image)
{
	const struct saved_header *h;
	uint64_t pages = 0;

	if (image->bytes < SAVED_PAGE)
		return 0;
	h = rt_mem_map(image->mem, 0, 1, HVP_READ);
	if (h && saved_header_sane(h, image->bytes))
		pages = saved_memory(h->vcpus, h->memory);
	else if (h && h->magic == SAVED_MAGIC)
		pages = 1; /* another version, or damaged: saved_check says which */
	rt_mem_unmap((void *)(uintptr_t)h, 1);
	return pages;
}

static void restore_free(struct vm_restore *r)
{
	if (r->first)
		rt_mem_unmap((void *)(uintptr_t)r->first, r->first_pages);
	image_put(r->image);
	free(r);
}

static int open_image(struct vm_restore *r, const struct vm_spec *spec, struct ops_error *e)
{
	char room[200];
	const char *why;

	r->first_pages = first_pages(r->image);
	if (r->first_pages == 0)
		return ops_fail(e, OPS_BAD_IMAGE, "image", "the image \"%s\" is not a saved VM",
				r->image->name);
	r->first = rt_mem_map(r->image->mem, 0, r->first_pages, HVP_READ);
	if (!r->first)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "the image cannot be mapped");
	why = saved_check(r->first, r->image->bytes, spec, room, sizeof(room));
	if (why)
		return ops_fail(e, OPS_BAD_IMAGE, "image", "%s", why);
	r->from = r->first_pages;
	return 0;
}

/* ---- steps ---- */

/* Pages at..at + n of guest memory; how many of them are in the file. */
static uint64_t count(const struct vm_restore *r, uint64_t at, uint64_t n)
{
	const uint8_t *bitmap = page_of(r, saved_bitmap(header(r)->vcpus));
	uint64_t sum = 0;

	for (uint64_t i = at; i < at + n; i++)
		sum += bitmap[i / 8] >> i % 8 & 1;
	return sum;
}

static bool in_file(const struct vm_restore *r, uint64_t page)
{
	const uint8_t *bitmap = page_of(r, saved_bitmap(header(r)->vcpus));

	return bitmap[page / 8] >> page % 8 & 1;
}

/* Of n pages those that are not in the file: the guest had given back some, and the others are zero all the same. What hv does
 * not take stays. */
static void give_back(struct vm_run *run, const struct vm_restore *r, uint64_t n)
{
	static uint64_t range[WINDOW_PAGES];
	struct guest_mem_place at = {0, 0};
	struct guest_mem *mem = vmio_mem(run->io);
	unsigned n_ranges = 0;

	for (uint64_t i = r->at, run_pages; i < r->at + n; i += run_pages + 1) {
		for (run_pages = 0; i + run_pages < r->at + n && !in_file(r, i + run_pages);)
			run_pages++;
		if (run_pages == 0)
			continue;
		range[n_ranges++] = HV_RANGE(i, run_pages);
		guest_mem_leave(mem, range[n_ranges - 1]);
	}
	while (at.i < n_ranges)
		if (guest_mem_release(mem, range, n_ranges, &at))
			return;
}

static int memory_step(struct vm_run *run, struct vm_restore *r, struct ops_error *e)
{
	const uint8_t *from;
	uint64_t left = run->ram_pages - r->at, n = left < WINDOW_PAGES ? left : WINDOW_PAGES;
	uint64_t there = count(r, r->at, n);
	uint8_t *ram;

	if (header(r)->holes)
		give_back(run, r, n);
	if (there == 0) { /* fresh memory is zero */
		r->at += n;
		return 0;
	}
	ram = run_map(run, HV_SLOT_RAM, r->at, n, HVP_READ | HVP_WRITE);
	from = rt_mem_map(r->image->mem, r->from, there, HVP_READ);
	for (uint64_t i = 0, k = 0; ram && from && i < n; i++)
		if (in_file(r, r->at + i))
			memcpy(ram + i * SAVED_PAGE, from + k++ * SAVED_PAGE, SAVED_PAGE);
	rt_mem_unmap(ram, n);
	rt_mem_unmap((void *)(uintptr_t)from, there);
	if (!ram || !from)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "the VM's memory cannot be mapped");
	r->at += n;
	r->from += there;
	return 0;
}

static int refused(int hve, struct ops_error *e)
{
	if (hve == -HVE_NOVIRT)
		return ops_fail(e, OPS_BAD_IMAGE, "image",
				"it was saved on a machine whose CPU shows guests something else "
				"(vendor, features or clock), and cannot go on here");
	if (hve == -HVE_INVAL)
		return ops_fail(e, OPS_BAD_IMAGE, "image",
				"the saved state of the VM's CPUs and devices makes no sense");
	return ops_fail_hv(e, hve, "loading the VM's state");
}

static int load_state(struct vm_run *run, const struct vm_restore *r, struct ops_error *e)
{
	int rc = hv_vm_load(run->hv_vm, HV_STATE_MACHINE, page_of(r, 1),
			    sizeof(struct hv_state_machine));

	for (unsigned i = 0; i < header(r)->vcpus && !rc; i++)
		rc = hv_vm_load(run->hv_vm, i, page_of(r, 2 + i), sizeof(struct hv_state_vcpu));
	return rc ? refused(rc, e) : 0;
}

/* The vmm takes them for those of an instance before, and checks them. */
static int load_survivor(struct vm_run *run, const struct vm_restore *r, struct ops_error *e)
{
	void *pages = run_map(run, HV_SLOT_SURVIVOR, 0, VMM_SURVIVOR_PAGES, HVP_READ | HVP_WRITE);
	struct vmm_status s;

	if (!pages)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "the survivor pages cannot be mapped");
	memcpy(pages, page_of(r, saved_survivor(header(r)->vcpus)),
	       VMM_SURVIVOR_PAGES * SAVED_PAGE);
	rt_mem_unmap(pages, VMM_SURVIVOR_PAGES);
	run_status(run, &s);
	run->seen_changes = s.changes; /* what it said before is old */
	run->seen_resets = s.resets;
	return 0;
}

int restore_step(struct vm_run *run, bool *done, struct ops_error *e)
{
	struct vm_restore *r = run->restore;

	*done = false;
	if (r->at < run->ram_pages) {
		if (memory_step(run, r, e))
			return -1;
		job_progress(r->job, r->at * SAVED_PAGE);
		return 0;
	}
	*done = true;
	return load_survivor(run, r, e) || load_state(run, r, e) ? -1 : 0;
}

/* ---- ends ---- */

/* Any end of the run before restore_go has done its work. */
void restore_drop(struct vm_run *run)
{
	struct vm_restore *r = run->restore;

	job_commits(r->job);
	run->restore = NULL;
	restore_free(r);
}

static void job_done(void *ctx, const struct ops_error *e)
{
	job_end(ctx, e);
}

void restore_go(struct vm *vm)
{
	struct vm_run *run = vm->run;
	bool paused = header(run->restore)->paused;
	char image[OPS_NAME_MAX];
	struct ops_error e;
	int rc = hv_vm_control(run->hv_vm, HV_VMC_START, HV_VMR_REQUEST);

	if (!rc && paused)
		rc = hv_vm_control(run->hv_vm, HV_VMC_PAUSE, HV_VMR_REQUEST);
	if (rc) {
		vm_control_failed(&e, rc, "starting the VM");
		vm_start_failed(vm, &e);
		return;
	}
	snprintf(image, sizeof(image), "%s", run->restore->image->name);
	restore_drop(run);
	vm_restored(vm, paused, image);
}

static void cancel(void *ctx)
{
	struct ops_error e;

	ops_fail(&e, OPS_ABORTED, NULL, "cancelled by request");
	vm_start_failed(ctx, &e);
}

static void timed_out(void *ctx)
{
	struct ops_error e;

	ops_fail(&e, OPS_TIMEOUT, NULL, "the VM's device program did not take over in time");
	vm_start_failed(ctx, &e);
}

/* ---- begin ---- */

static struct vm_restore *make(struct vm *vm, struct image *image, struct ops_error *e)
{
	struct vm_restore *r = calloc(1, sizeof(*r));

	if (!r) {
		(void)ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
		return NULL;
	}
	r->image = image;
	image_get(image);
	if (open_image(r, &vm->spec, e) == 0)
		r->job = job_begin("restore", vm->spec.name, image->name, vm->spec.memory, cancel,
				   vm, e);
	if (r->job)
		return r;
	restore_free(r);
	return NULL;
}

int vm_restore(struct vm *vm, const char *name, struct job **out, struct ops_error *e)
{
	struct image *image;
	struct vm_restore *r;
	struct job *job;

	if (vm_check_idle(vm, e))
		return -1;
	if (vm->run)
		return ops_fail(e, OPS_WRONG_STATE, NULL, "the VM runs; stop it first");
	image = image_find(name);
	if (!image)
		return ops_fail(e, OPS_NO_IMAGE, "image", "there is no image \"%s\"", name);
	r = make(vm, image, e);
	if (!r)
		return -1;
	job = r->job;
	if (vm_begin_run(vm, e)) {
		restore_free(r);
		job_end(job, e);
		return -1;
	}
	vm->run->restore = r;
	vm_pending_set(vm, VM_RESTORING, job_done, job, timed_out, FOREVER_NS);
	*out = job;
	return 0;
}
