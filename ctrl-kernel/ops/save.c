/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM into an image (save.h). */
#include "ctrl-kernel/ops/save.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/images.h"
#include "ctrl-kernel/ops/jobs.h"
#include "ctrl-kernel/ops/lifecycle.h"
#include "ctrl-kernel/ops/saved.h"
#include "ctrl-kernel/ops/start.h"
#include "ctrl-kernel/rt/hvcall.h"

#define QUIET_TIMEOUT_NS 10000000000ull
#define SETTLE_NS 1000000ull /* between two looks at a vCPU that finishes an access */
#define SETTLE_TRIES 2000u
#define DRAIN_TRIES 60000u /* and at the disks: drives end each request by a deadline of theirs */
#define WINDOW_PAGES 512u
#define FOREVER_NS 86400000000000ull /* what takes long shows progress, and can be cancelled */

enum step { STEP_QUIET, STEP_STATE, STEP_SCAN, STEP_WRITE };

struct vm_save {
	struct vm *vm; /* [borrows] NULL: dropped while its job was queued, which frees it */
	struct job *job;
	bool checkpoint, paused; /* paused by us: it ran before */
	enum step step;
	char image[OPS_NAME_MAX];
	uint8_t *first; /* [owns] the file's pages up to guest memory */
	uint64_t first_pages;
	uint64_t at;            /* next page of guest memory */
	uint64_t pages;         /* of it that are not zero */
	bool holes;             /* some of it the guest has given back */
	bool begun;             /* first[] is written */
	struct stream *stream;  /* [owns] */
	unsigned record, tries; /* of hv: next, and how often it was busy */
	unsigned drains;        /* how often the disks were */
	struct loop_timer settle;
	struct loop_job turn;
};

static uint8_t *page_of(struct vm_save *s, uint64_t page)
{
	return s->first + page * SAVED_PAGE;
}

static uint64_t ram_pages(const struct vm_save *s)
{
	return s->vm->spec.memory / SAVED_PAGE;
}

/* ---- ends ---- */

static void release(struct vm_save *s)
{
	loop_timer_cancel(&s->settle);
	if (s->stream)
		stream_abort(s->stream);
	s->stream = NULL;
	free(s->first);
	s->first = NULL;
	s->vm->run->save = NULL;
	s->vm = NULL;
	if (!s->turn.queued)
		free(s);
}

static void go_on(struct vm *vm, bool resume)
{
	vmio_go_on(vm->run->io);
	run_command(vm->run, VMM_CMD_GO);
	if (resume)
		(void)hv_vm_control(vm->run->hv_vm, HV_VMC_RESUME, HV_VMR_REQUEST);
}

/* e NULL: the image is there. */
static void finish(struct vm_save *s, const struct ops_error *e)
{
	struct vm *vm = s->vm;
	struct job *job = s->job;
	bool ends = !e && !s->checkpoint, resume = s->paused;
	char text[128];

	snprintf(text, sizeof(text), "saved as \"%s\"", s->image);
	release(s);
	if (ends) {
		vm_ended(vm, "saved", text);
	} else {
		/* Off the record last: another instance would do this again. */
		go_on(vm, resume);
		vm_pending_end(vm, e);
	}
	if (e)
		rt_log("VM %s was not saved: %s", vm->spec.name, e->text);
	job_end(job, e);
}

static void cancel(void *ctx)
{
	struct ops_error e;

	ops_fail(&e, OPS_ABORTED, NULL, "cancelled by request");
	finish(ctx, &e);
}

void save_drop(struct vm_save *s)
{
	struct job *job = s->job;
	struct ops_error e;

	ops_fail(&e, OPS_INTERNAL, NULL, "the VM ended meanwhile");
	release(s);
	job_end(job, &e);
}

void save_undo(struct vm *vm)
{
	vm->pending = VM_IDLE;
	go_on(vm, vm->state == VM_RUNNING);
}

static void not_quiet(void *ctx)
{
	struct vm *vm = ctx;
	struct ops_error e;

	ops_fail(&e, OPS_TIMEOUT, NULL, "the VM's device program did not come to rest within 10 s");
	finish(vm->run->save, &e);
}

/* ---- steps: 0 and *done, 0 (again in the next turn), -1 ---- */

/* 1: busy. */
static int copy_record(struct vm_save *s, unsigned n, struct ops_error *e)
{
	bool machine = n == 0;
	int r = hv_vm_save(s->vm->run->hv_vm, machine ? HV_STATE_MACHINE : n - 1, page_of(s, 1 + n),
			   machine ? sizeof(struct hv_state_machine)
				   : sizeof(struct hv_state_vcpu));

	if (r == -HVE_BUSY && ++s->tries < SETTLE_TRIES)
		return 1;
	return r ? ops_fail_hv(e, r, "saving the VM's state") : 0;
}

/* Nothing may change guest memory any more. 1: something is under way. */
static int drain(struct vm_save *s, struct ops_error *e)
{
	struct vmio *io = s->vm->run->io;

	if (!vmio_busy(io))
		return 0;
	if (++s->drains < DRAIN_TRIES)
		return 1;
	return ops_fail(e, OPS_TIMEOUT, NULL, "the VM's disks did not come to rest within 60 s");
}

static int state_step(struct vm_save *s, bool *done, struct ops_error *e)
{
	int r = drain(s, e);

	if (r < 0)
		return -1;
	if (r > 0) {
		loop_timer_set(&s->settle, SETTLE_NS);
		return 0;
	}
	while (s->record <= s->vm->spec.vcpus && (r = copy_record(s, s->record, e)) == 0)
		s->record++;
	if (r > 0) {
		loop_timer_set(&s->settle, SETTLE_NS);
		return 0;
	}
	memcpy(page_of(s, saved_survivor(s->vm->spec.vcpus)), s->vm->run->status,
	       VMM_SURVIVOR_PAGES * SAVED_PAGE);
	*done = true;
	return r;
}

static bool is_zero(const uint64_t *page)
{
	uint64_t any = 0;

	for (unsigned i = 0; i < SAVED_PAGE / sizeof(*page) && !any; i += 8)
		any = page[i] | page[i + 1] | page[i + 2] | page[i + 3] | page[i + 4] |
		      page[i + 5] | page[i + 6] | page[i + 7];
	return !any;
}

static uint64_t window_pages(const struct vm_save *s)
{
	uint64_t left = ram_pages(s) - s->at;

	return left < WINDOW_PAGES ? left : WINDOW_PAGES;
}

static int no_window(struct ops_error *e)
{
	return ops_fail(e, OPS_EXHAUSTED, NULL, "the VM's memory cannot be mapped");
}

/* Which pages of the window are holes: whoever looks at one makes it a page. */
static int find_holes(struct vm_save *s, uint64_t pages, bool hole[WINDOW_PAGES])
{
	struct hv_span span[HV_SPANS_MAX];
	uint64_t mem, at = 0, n = 0;
	int r = hv_vm_slot(s->vm->run->hv_vm, HV_SLOT_RAM, &mem);

	if (r)
		return r;
	while (r == 0 && at < pages) {
		r = hv_mem_spans((uint32_t)mem, s->at + at, span, HV_SPANS_MAX, &n);
		for (uint64_t i = 0; r == 0 && i < n; i++)
			for (; span[i].pages && at < pages; span[i].pages--)
				hole[at++] = span[i].hpa == HV_SPAN_HOLE;
	}
	hv_handle_close((uint32_t)mem);
	return r;
}

static int scan_step(struct vm_save *s, bool *done, struct ops_error *e)
{
	uint8_t *bitmap = page_of(s, saved_bitmap(s->vm->spec.vcpus));
	uint64_t n = window_pages(s);
	const uint8_t *ram = run_map(s->vm->run, HV_SLOT_RAM, s->at, n, HVP_READ);
	bool hole[WINDOW_PAGES];

	if (!ram || find_holes(s, n, hole)) {
		rt_mem_unmap((void *)(uintptr_t)ram, n);
		return no_window(e);
	}
	for (uint64_t i = 0; i < n; i++, s->at++) {
		s->holes |= hole[i];
		if (hole[i] || is_zero((const uint64_t *)(const void *)(ram + i * SAVED_PAGE)))
			continue;
		bitmap[s->at / 8] |= (uint8_t)(1u << s->at % 8);
		s->pages++;
	}
	rt_mem_unmap((void *)(uintptr_t)ram, n);
	*done = s->at == ram_pages(s);
	return 0;
}

static int begin_file(struct vm_save *s, struct ops_error *e)
{
	struct saved_header *h = (struct saved_header *)(void *)s->first;
	struct hv_host_info host;

	host_info(&host);
	h->magic = SAVED_MAGIC;
	h->version = SAVED_VERSION;
	h->state_version = HV_STATE_VERSION;
	h->vmm_version = VMM_CONFIG_VERSION;
	h->vcpus = s->vm->spec.vcpus;
	h->memory = s->vm->spec.memory;
	h->pages = s->pages;
	h->saved_s = host_utc_ns(rt_now()) / 1000000000u;
	h->paused = !s->paused;
	h->holes = s->holes;
	snprintf(h->name, sizeof(h->name), "%s", s->vm->spec.name);
	snprintf(h->cpu, sizeof(h->cpu), "%.63s", host.cpu_model);
	saved_sum(s->first, s->first_pages, h->sha256);
	if (stream_begin((s->first_pages + s->pages) * SAVED_PAGE, UINT64_MAX, &s->stream, e))
		return -1;
	stream_unhashed(s->stream); /* the guest waits; GET of the image works it out */
	return 0;
}

static int write_pages(struct vm_save *s, const uint8_t *ram, uint64_t n, struct ops_error *e)
{
	const uint8_t *bitmap = page_of(s, saved_bitmap(s->vm->spec.vcpus));

	for (uint64_t i = 0; i < n; i++, s->at++)
		if ((bitmap[s->at / 8] >> s->at % 8 & 1) &&
		    stream_write(s->stream, ram + i * SAVED_PAGE, SAVED_PAGE, e))
			return -1;
	return 0;
}

static int write_step(struct vm_save *s, bool *done, struct ops_error *e)
{
	uint64_t n = window_pages(s);
	uint8_t *ram;
	int r;

	if (!s->begun) {
		s->begun = true;
		return stream_write(s->stream, s->first, s->first_pages * SAVED_PAGE, e);
	}
	ram = run_map(s->vm->run, HV_SLOT_RAM, s->at, n, HVP_READ);
	if (!ram)
		return no_window(e);
	r = write_pages(s, ram, n, e);
	rt_mem_unmap(ram, n);
	job_progress(s->job, s->at * SAVED_PAGE);
	*done = s->at == ram_pages(s);
	return r;
}

static int commit(struct vm_save *s, struct ops_error *e)
{
	struct stream *stream = s->stream;
	struct image *image;
	bool replaced;

	s->stream = NULL; /* commit frees it either way */
	return image_commit(s->image, stream, &image, &replaced, e);
}

static int step(struct vm_save *s, bool *over, struct ops_error *e)
{
	bool done = false;
	int r = 0;

	if (s->step == STEP_STATE)
		r = state_step(s, &done, e);
	else if (s->step == STEP_SCAN)
		r = scan_step(s, &done, e);
	else
		r = write_step(s, &done, e);
	if (r || !done)
		return r;
	if (s->step == STEP_SCAN) {
		s->at = 0;
		r = begin_file(s, e);
	} else if (s->step == STEP_WRITE) {
		r = commit(s, e);
		*over = true;
	}
	s->step++;
	return r;
}

static void turn(void *ctx)
{
	struct vm_save *s = ctx;
	struct ops_error e;
	bool over = false;

	if (!s->vm) { /* dropped while this was queued */
		free(s);
		return;
	}
	if (step(s, &over, &e))
		finish(s, &e);
	else if (over)
		finish(s, NULL);
	else if (!s->settle.armed)
		loop_defer(&s->turn);
}

static void settled(void *ctx)
{
	turn(ctx);
}

void save_is_quiet(struct vm_save *s)
{
	if (s->step != STEP_QUIET)
		return;
	s->step = STEP_STATE;
	vmio_hold(s->vm->run->io); /* what the vmm has submitted and nobody has begun stays so */
	loop_timer_set(&s->vm->timeout, FOREVER_NS);
	loop_defer(&s->turn);
}

/* ---- begin ---- */

static int check(const struct vm *vm, const char *image, struct ops_error *e)
{
	if (vm_check_state(vm, VM_RUNNING, VM_PAUSED, "saved", e))
		return -1;
	if (hotplug_busy(vm->run))
		return ops_fail(e, OPS_BUSY, NULL, "a device of the VM is being unplugged");
	if (ops_name_check(image, "image", e))
		return -1;
	if (image_find(image))
		return ops_fail(e, OPS_EXISTS, "image", "there is an image \"%s\" already", image);
	return 0;
}

static struct vm_save *make(struct vm *vm, const char *image, bool checkpoint, struct ops_error *e)
{
	struct vm_save *s = calloc(1, sizeof(*s));

	if (s) {
		s->first_pages = saved_memory(vm->spec.vcpus, vm->spec.memory);
		s->first = calloc(s->first_pages, SAVED_PAGE);
	}
	if (!s || !s->first) {
		free(s);
		(void)ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
		return NULL;
	}
	s->vm = vm;
	s->checkpoint = checkpoint;
	snprintf(s->image, sizeof(s->image), "%s", image);
	s->turn.fn = turn;
	s->turn.ctx = s;
	loop_timer_init(&s->settle, settled, s);
	s->job = job_begin(checkpoint ? "checkpoint" : "save", vm->spec.name, image,
			   vm->spec.memory, cancel, s, e);
	if (s->job)
		return s;
	free(s->first);
	free(s);
	return NULL;
}

int vm_save(struct vm *vm, const char *image, bool checkpoint, struct job **out,
	    struct ops_error *e)
{
	struct vm_save *s;
	int r = 0;

	if (check(vm, image, e))
		return -1;
	s = make(vm, image, checkpoint, e);
	if (!s)
		return -1;
	vm->run->save = s;
	s->paused = vm->state == VM_RUNNING;
	/* On record before anything is done: another instance would undo it. */
	vm_pending_set(vm, VM_SAVING, NULL, NULL, not_quiet, QUIET_TIMEOUT_NS);
	if (s->paused)
		r = hv_vm_control(vm->run->hv_vm, HV_VMC_PAUSE, HV_VMR_REQUEST);
	if (r) {
		struct job *job = s->job;

		vm_control_failed(e, r, "pausing the VM");
		release(s);
		vm_pending_end(vm, e);
		job_end(job, e);
		return -1;
	}
	run_command(vm->run, VMM_CMD_QUIET);
	*out = s->job;
	return 0;
}
