/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making and unmaking what stands behind a running VM (start.h).
 */
#include "ctrl-kernel/ops/start.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/ops/devices.h"
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/keep.h"
#include "ctrl-kernel/ops/networks.h"
#include "ctrl-kernel/ops/restore.h"
#include "ctrl-kernel/ops/save.h"
#include "ctrl-kernel/ops/vmdisks.h"
#include "ctrl-kernel/rt/hvcall.h"

#define GROWS_PER_TURN 4u /* 8 MiB: a few hundred microseconds of scrubbing */
#define VMM_PAGES 192u    /* the vmm's image, stack, heap, tables; it uses less */
#define VCPU_PAGES 8u     /* of hv, for each vCPU */
#define VM_PAGES 48u      /* of hv, for each VM */
#define DISK_PAGES 48u    /* of ours, for each disk: requests under way */
#define TABLE_SPAN 512u   /* pages that one page-table page maps */
#define LOW_PAGES (HV_GPA_HOLE / HV_PAGE_SIZE)
#define HIGH_PAGE (HV_GPA_HOLE_END / HV_PAGE_SIZE)

bool run_test_hooks, run_no_budget;

static uint64_t promised; /* pages that VMs being prepared are still to get */

/* ---- images ---- */

static int pin(struct vm_run *run, const char *name, const char *field, struct ops_error *e)
{
	struct image *image = image_find(name);

	if (!image)
		return ops_fail(e, OPS_MISSING_IMAGE, field, "there is no image \"%s\" any more",
				name);
	image_get(image);
	run->pinned[run->n_pinned++] = image;
	return 0;
}

static int pin_images(struct vm_run *run, const struct vm_spec *spec, struct ops_error *e)
{
	if (pin(run, spec->kernel, "boot.kernel", e))
		return -1;
	if (spec->initrd[0] && pin(run, spec->initrd, "boot.initrd", e))
		return -1;
	for (unsigned i = 0; i < spec->n_modules; i++) {
		char field[64];

		snprintf(field, sizeof(field), "boot.modules.%u.image", i);
		if (pin(run, spec->modules[i].image, field, e))
			return -1;
	}
	return 0;
}

static uint64_t image_pages(const struct vm_run *run)
{
	uint64_t pages = 0;

	for (unsigned i = 0; i < run->n_pinned; i++)
		pages += run->pinned[i]->bytes / HV_PAGE_SIZE + 1;
	return pages;
}

/* ---- checks ---- */

/* Page tables for the RAM, in hv and again in the vmm, should it come in small pages. */
static uint64_t table_pages(uint64_t pages)
{
	return pages / TABLE_SPAN + pages / (TABLE_SPAN * TABLE_SPAN) + 4;
}

static uint64_t vmm_budget(const struct vm_run *run)
{
	return VMM_PAGES + table_pages(run->ram_pages) + table_pages(image_pages(run));
}

static int check_host(const struct vm_run *run, const struct vm_spec *spec, struct ops_error *e)
{
	struct hv_host_info host;
	uint64_t taken, spare;
	uint64_t io_pages = devices_io_pages(spec);
	uint64_t overhead = VM_PAGES + spec->vcpus * VCPU_PAGES + table_pages(run->ram_pages) +
			    HV_CONSOLE_PAGES + VMM_CONFIG_PAGES + VMM_SURVIVOR_PAGES + io_pages;

	/* Mapped here, too, and noted where each page lies (backend/guestmem.c). */
	overhead += 2 * table_pages(run->ram_pages) + spec->n_disks * DISK_PAGES;
	if (spec->virtio_console)
		overhead += CONSOLE_AREA_PAGES;
	host_info(&host);
	if (host.virt == HV_VIRT_NONE)
		return ops_fail(e, OPS_NO_VIRT, NULL,
				"this machine cannot run VMs: no usable SVM or VMX (%s)",
				host.virt_reason[0] ? host.virt_reason : "no reason given");
	taken = promised + HOST_RESERVE_PAGES + vms_owed_pages();
	spare = host.mem_free > taken ? host.mem_free - taken : 0;
	if (run->ram_pages + overhead > spare)
		return ops_fail(e, OPS_NO_MEMORY, "memory",
				"the VM needs %llu MiB and about %llu KiB beside it, the host has "
				"%llu MiB to spare",
				(unsigned long long)(spec->memory >> 20),
				(unsigned long long)(overhead * 4),
				(unsigned long long)(spare >> 8));
	return 0;
}

static void promise_settle(struct vm_run *run, uint64_t left)
{
	promised -= run->promised_pages - left;
	run->promised_pages = left;
}

/* ---- steps ---- */

static int make_vm(struct vm_run *run, const struct vm_spec *spec, struct ops_error *e)
{
	struct hv_vm_create in = {
		.vcpus = spec->vcpus,
		.weight = spec->weight,
		.cap = spec->cap,
		.console = run->vm->console.mem,
		.state_bit = run->bits->state,
		.console_bit = run->bits->console,
		.io_bit = vmio_bit(run->io),
	};
	struct hv_vm_info info;
	uint64_t handle = 0;
	int r;

	snprintf(in.name, sizeof(in.name), "%s", spec->name);
	r = hv_vm_create(&in, &handle);
	if (r)
		return ops_fail_hv(e, r, "making the VM");
	run->hv_vm = (uint32_t)handle;
	r = hv_vm_info(run->hv_vm, &info);
	if (r)
		return ops_fail_hv(e, r, "making the VM");
	run->vm->hv_id = info.id;
	r = hv_mem_create(0, &handle);
	if (r)
		return ops_fail_hv(e, r, "making the VM's memory");
	run->ram = (uint32_t)handle;
	return 0;
}

/* *done: all of it is there. */
static int grow_ram(struct vm_run *run, bool *done, struct ops_error *e)
{
	uint64_t now = 0, before;

	for (unsigned i = 0; i < GROWS_PER_TURN && now < run->ram_pages; i++) {
		int r;

		before = now;
		r = hv_mem_grow(run->ram, run->ram_pages, &now);
		if (r)
			return ops_fail_hv(e, r, "getting the VM's memory");
		if (now <= before)
			return ops_fail(e, OPS_NO_MEMORY, "memory",
					"the host's free memory ended while the VM got its own");
	}
	promise_settle(run, run->ram_pages - now);
	*done = now >= run->ram_pages;
	return 0;
}

static int map_ram(struct vm_run *run, bool *done, struct ops_error *e)
{
	uint64_t at = run->mapped_pages, n = run->ram_pages - at;
	uint64_t gpa_page = at < LOW_PAGES ? at : at - LOW_PAGES + HIGH_PAGE;
	int r;

	if (at < LOW_PAGES && n > LOW_PAGES - at)
		n = LOW_PAGES - at;
	if (n > HV_MAP_MAX)
		n = HV_MAP_MAX;
	/* Memory in small frames is more than one call maps: then less of it. */
	while ((r = hv_vm_map(run->hv_vm, run->ram, at, gpa_page * HV_PAGE_SIZE, n,
			      HVP_READ | HVP_WRITE | HVP_EXEC)) == -HVE_LIMIT &&
	       n > HV_GROW_MAX)
		n = n / 2 / HV_GROW_MAX * HV_GROW_MAX;
	if (r)
		return ops_fail_hv(e, r, "mapping the VM's memory");
	run->mapped_pages += n;
	*done = run->mapped_pages == run->ram_pages;
	return 0;
}

/* A small object in a slot of the VM, mapped here; the VM and the mapping hold it, the handle is closed. */
static int attach_pages(struct vm_run *run, unsigned slot, uint64_t pages, uint32_t prot, void **va,
			struct ops_error *e)
{
	uint64_t mem, now = 0;
	int r = hv_mem_create(0, &mem);

	if (r)
		return ops_fail_hv(e, r, "making the VM's shared pages");
	for (uint64_t before = 0; r == 0 && now < pages; before = now) {
		r = hv_mem_grow((uint32_t)mem, pages, &now);
		if (r == 0 && now <= before)
			r = -HVE_NOMEM;
	}
	if (r == 0)
		r = hv_vm_attach(run->hv_vm, slot, (uint32_t)mem);
	if (r == 0) {
		*va = rt_mem_map((uint32_t)mem, 0, pages, prot);
		r = *va ? 0 : -HVE_NOMEM;
	}
	hv_handle_close((uint32_t)mem);
	return r ? ops_fail_hv(e, r, "making the VM's shared pages") : 0;
}

static int attach_all(struct vm_run *run, struct ops_error *e)
{
	uint64_t io_pages = devices_io_pages(&run->vm->spec);
	void *survivor, *config;
	int r = hv_vm_attach(run->hv_vm, HV_SLOT_RAM, run->ram);

	if (r)
		return ops_fail_hv(e, r, "giving the VM its memory");
	hv_handle_close(run->ram);
	run->ram = 0;
	if (attach_pages(run, HV_SLOT_SURVIVOR, VMM_SURVIVOR_PAGES, HVP_READ, &survivor, e))
		return -1;
	run->status = survivor;
	if (attach_pages(run, HV_SLOT_CONFIG, VMM_CONFIG_PAGES, HVP_READ | HVP_WRITE, &config, e))
		return -1;
	run->config = config;
	devices_layout(&run->vm->spec, run->config);
	if (run->vm->spec.virtio_console) {
		hvc_begin(&run->vm->hvc);
		r = hv_vm_attach(run->hv_vm, HV_SLOT_PORT, run->vm->hvc.mem);
		if (r)
			return ops_fail_hv(e, r, "giving the VM its console");
	}
	run->area_pages = io_pages;
	return attach_pages(run, HV_SLOT_IO, io_pages, HVP_READ | HVP_WRITE, &run->area, e);
}

/* ---- balloon, disks and NICs ---- */

static int io_make(struct vm_run *run, struct ops_error *e)
{
	run->io = vmio_make();
	return run->io ? 0 : ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
}

/* The next part of the guest's memory, for drives and networks to reach. *done: all of it. */
static int io_open_step(struct vm_run *run, bool *done, struct ops_error *e)
{
	int r = 0;

	if (!run->mem)
		r = guest_mem_make(run->ram_pages, run->hv_vm, &run->mem);
	if (r == 0)
		r = guest_mem_step(run->mem, done);
	if (r)
		return ops_fail_hv(e, r, "mapping the VM's memory");
	if (!*done)
		return 0;
	vmio_open(run->io, run->area, run->mem);
	run->mem = NULL;
	run->balloon = balloon_make(run->io);
	if (!run->balloon)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	return networks_attach(run->vm, e);
}

static int make_vmm(struct vm_run *run, const struct vm_spec *spec, struct ops_error *e)
{
	struct hv_prog_create in = {
		.image = HV_IMAGE_VMM,
		.budget_pages = (uint32_t)vmm_budget(run),
		.weight = spec->weight,
		.death_bit = run->bits->death,
		.vm = run->hv_vm,
		.park_bit = VMM_EVENT_PARK,
		.doorbell_bit = VMM_EVENT_DOORBELL,
		.state_bit = VMM_EVENT_STATE,
	};
	uint64_t prog;
	int r = hv_prog_create(&in, &prog);

	if (r)
		return ops_fail_hv(e, r, "making the VM's device program");
	run->prog = (uint32_t)prog;
	vmio_vmm(run->io, run->prog);
	return 0;
}

static int grant_image(struct vm_run *run, unsigned i, struct vmm_image *out, const char *string,
		       struct ops_error *e)
{
	uint64_t there;
	int r = hv_handle_grant(run->prog, run->pinned[i]->mem, HVR_READ, &there);

	if (r)
		return ops_fail_hv(e, r, "giving the boot images to the VM");
	out->mem = (uint32_t)there;
	out->bytes = run->pinned[i]->bytes;
	snprintf(out->string, sizeof(out->string), "%s", string);
	return 0;
}

static int fill_config(struct vm_run *run, struct ops_error *e)
{
	const struct vm_spec *spec = &run->vm->spec;
	struct vmm_config *c = run->config;

	c->version = VMM_CONFIG_VERSION;
	c->vcpus = spec->vcpus;
	c->ram_bytes = spec->memory;
	memcpy(c->uuid, run->vm->uuid, sizeof(c->uuid));
	snprintf(c->name, sizeof(c->name), "%s", spec->name);
	snprintf(c->cmdline, sizeof(c->cmdline), "%s", spec->cmdline);
	c->test_hooks = run_test_hooks;
	c->console = spec->virtio_console;
	c->epoch_at_zero_ns = host_utc_ns(0);
	vmdisks_layout(run, c);
	if (grant_image(run, 0, &c->kernel, spec->kernel, e))
		return -1;
	for (unsigned i = 1; i < run->n_pinned; i++) {
		const char *string = spec->n_modules ? spec->modules[i - 1].string : spec->initrd;

		if (grant_image(run, i, &c->modules[i - 1], string, e))
			return -1;
	}
	c->n_modules = run->n_pinned - 1;
	return 0;
}

/* With the VM's slots in place. */
static int start_vmm(struct vm_run *run, struct ops_error *e)
{
	int r;

	if (make_vmm(run, &run->vm->spec, e) || fill_config(run, e))
		return -1;
	r = hv_prog_start(run->prog, NULL, 0);
	return r ? ops_fail_hv(e, r, "starting the VM's device program") : 0;
}

static void run_step(void *ctx)
{
	struct vm_run *run = ctx;
	struct ops_error e;
	bool done = false;
	int r;

	if (!run->vm) { /* ended while the job was queued */
		free(run);
		return;
	}
	if (run->mapped_pages == 0) {
		r = grow_ram(run, &done, &e);
		if (r == 0 && done)
			r = map_ram(run, &done, &e);
	} else if (run->mapped_pages < run->ram_pages) {
		r = map_ram(run, &done, &e);
	} else {
		r = 0; /* between two steps of a restore */
		done = true;
	}
	if (r == 0 && !done) {
		loop_defer(&run->job);
		return;
	}
	if (r == 0 && !run->status)
		r = attach_all(run, &e);
	if (r == 0 && !vmio_mem(run->io)) {
		r = io_open_step(run, &done, &e);
		if (r == 0 && !done) {
			loop_defer(&run->job);
			return;
		}
	}
	if (r == 0) {
		r = vmdisks_open_step(run, &done, &e);
		if (r == 0 && !done)
			return; /* the job comes again */
	}
	if (r == 0 && run->restore) {
		r = restore_step(run, &done, &e);
		if (r == 0 && !done) {
			loop_defer(&run->job);
			return;
		}
	}
	if (r == 0)
		r = start_vmm(run, &e);
	run->prepared(run->vm, r ? &e : NULL);
}

/* ---- public ---- */

void *run_map(const struct vm_run *run, enum hv_vm_slot slot, uint64_t page, uint64_t pages,
	      uint32_t prot)
{
	uint64_t mem;
	void *va;

	if (hv_vm_slot(run->hv_vm, slot, &mem))
		return NULL;
	va = rt_mem_map((uint32_t)mem, page, pages, prot);
	hv_handle_close((uint32_t)mem);
	return va;
}

static int consoles_open(struct vm *vm, struct ops_error *e)
{
	if (console_open(&vm->console, e) || keep_vm_console(vm, e))
		return -1;
	if (!vm->spec.virtio_console)
		return 0;
	return hvc_open(&vm->hvc, e) || keep_vm_hvc(vm, e) ? -1 : 0;
}

int run_begin(struct vm *vm, const struct run_bits *bits,
	      void (*prepared)(struct vm *vm, const struct ops_error *e), struct ops_error *e)
{
	struct vm_run *run = calloc(1, sizeof(*run));

	if (!run)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	run->vm = vm;
	run->bits = bits;
	run->prepared = prepared;
	run->ram_pages = vm->spec.memory / HV_PAGE_SIZE;
	run->job.fn = run_step;
	run->job.ctx = run;
	vm->run = run;
	if (pin_images(run, &vm->spec, e) || check_host(run, &vm->spec, e) || io_make(run, e) ||
	    consoles_open(vm, e) || make_vm(run, &vm->spec, e)) {
		(void)!run_end(vm, NULL); /* nothing has begun */
		return -1;
	}
	run->promised_pages = run->ram_pages;
	promised += run->promised_pages;
	console_connect(&vm->console, run->hv_vm);
	mirror_attach(&vm->console, vm->spec.name);
	loop_defer(&run->job);
	return 0;
}

/* ---- taking over, and a vmm after a vmm ---- */

/* prog: its vmm, 0: none lives. */
static int adopt_vmm(uint32_t hv_vm, const struct run_bits *bits, uint32_t io_bit, uint32_t *prog)
{
	const struct hv_vm_adopt in = {.state_bit = bits->state,
				       .console_bit = bits->console,
				       .io_bit = io_bit,
				       .death_bit = bits->death};
	uint64_t handle = 0;
	int r = hv_vm_adopt(hv_vm, &in, &handle);

	*prog = (uint32_t)handle;
	return r;
}

void run_discard(uint32_t hv_vm, const struct run_bits *bits)
{
	uint32_t prog;

	if (adopt_vmm(hv_vm, bits, vmio_bit(NULL), &prog) == 0 && prog) {
		(void)hv_prog_destroy(prog);
		hv_handle_close(prog);
	}
	(void)hv_vm_destroy(hv_vm);
	hv_handle_close(hv_vm);
}

static int adopt(struct vm_run *run, struct ops_error *e)
{
	int r = adopt_vmm(run->hv_vm, run->bits, vmio_bit(run->io), &run->prog);

	if (r)
		return ops_fail_hv(e, r, "taking over the VM");
	if (!run->prog)
		return start_vmm(run, e); /* it died while nobody looked */
	vmio_vmm(run->io, run->prog);
	vmio_look(run->io);
	/* Of a command that it may not have been told of. It may be dying just now: that is told to this instance. */
	(void)hv_event_post(run->prog, 1ull << VMM_EVENT_COMMAND);
	return 0;
}

static int io_take_over(struct vm_run *run, struct ops_error *e)
{
	uint64_t pages = run->config->io_pages;
	bool done = false;

	if (pages < IO_BALLOON_PAGES || !devices_placed(&run->vm->spec, run->config))
		return ops_fail(e, OPS_INTERNAL, NULL, "the VM's configuration is damaged");
	run->area = run_map(run, HV_SLOT_IO, 0, pages, HVP_READ | HVP_WRITE);
	if (!run->area)
		return ops_fail(e, OPS_INTERNAL, NULL, "the VM's I/O area is not there");
	run->area_pages = pages;
	if (io_make(run, e))
		return -1;
	while (!done)
		if (io_open_step(run, &done, e))
			return -1;
	if (vmdisks_take_over(run, e))
		return -1;
	hotplug_take_over(run);
	return 0;
}

int run_take_over(struct vm *vm, const struct run_bits *bits, uint32_t hv_vm, uint32_t hv_id,
		  struct ops_error *e)
{
	struct vm_run *run = calloc(1, sizeof(*run));

	if (!run)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	run->vm = vm;
	run->bits = bits;
	run->hv_vm = hv_vm;
	vm->hv_id = hv_id;
	run->ram_pages = run->mapped_pages = vm->spec.memory / HV_PAGE_SIZE;
	vm->run = run;
	run->status = run_map(run, HV_SLOT_SURVIVOR, 0, VMM_SURVIVOR_PAGES, HVP_READ);
	run->config = run_map(run, HV_SLOT_CONFIG, 0, VMM_CONFIG_PAGES, HVP_READ | HVP_WRITE);
	if (!run->status || !run->config)
		return ops_fail(e, OPS_INTERNAL, NULL, "the VM's shared pages are not there");
	console_connect(&vm->console, hv_vm);
	mirror_attach(&vm->console, vm->spec.name);
	mirror_skip(&vm->console);
	return pin_images(run, &vm->spec, e) || io_take_over(run, e) || adopt(run, e) ? -1 : 0;
}

int run_revive(struct vm *vm, struct ops_error *e)
{
	struct vm_run *run = vm->run;
	uint64_t now = rt_now(), *oldest = &run->deaths[run->n_deaths % RUN_DEATHS];

	*oldest = now;
	run->n_deaths++;
	oldest = &run->deaths[run->n_deaths % RUN_DEATHS];
	hv_handle_close(run->prog);
	run->prog = 0;
	vmio_vmm(run->io, 0);
	if (!run_no_budget && run->n_deaths >= RUN_DEATHS && now - *oldest < RUN_DEATHS_NS)
		return ops_fail(e, OPS_INTERNAL, NULL, "it died %u times within a minute",
				RUN_DEATHS);
	return start_vmm(run, e);
}

/* What stands behind the VM in hv. */
static void destroy(struct vm_run *run)
{
	/* Stopped first: for hv a running VM whose vmm goes away has crashed. */
	if (run->hv_vm)
		(void)hv_vm_control(run->hv_vm, HV_VMC_STOP, HV_VMR_REQUEST);
	if (run->prog) {
		/* The handle goes stale with the program; closing it frees the slot if it did not. */
		hv_prog_destroy(run->prog);
		hv_handle_close(run->prog);
	}
	if (run->hv_vm) {
		hv_vm_destroy(run->hv_vm);
		hv_handle_close(run->hv_vm);
	}
}

bool run_end(struct vm *vm, void (*over)(void *vm, bool all))
{
	struct vm_run *run = vm->run;
	bool idle;

	if (run->save)
		save_drop(run->save);
	if (run->restore)
		restore_drop(run);
	hotplug_end(run);
	promise_settle(run, 0);
	console_connect(&vm->console, 0);
	destroy(run);
	vmdisks_end(run);
	idle = vmio_close(run->io, over, vm);
	if (run->mem)
		guest_mem_put(run->mem);
	if (run->area)
		rt_mem_unmap(run->area, run->area_pages);
	hotplug_unmap(run);
	if (run->config)
		rt_mem_unmap(run->config, VMM_CONFIG_PAGES);
	if (run->status)
		rt_mem_unmap((void *)(uintptr_t)run->status, VMM_SURVIVOR_PAGES);
	if (run->ram)
		hv_handle_close(run->ram);
	for (unsigned i = 0; i < run->n_pinned; i++)
		image_put(run->pinned[i]);
	mirror_update(&vm->console);
	vm->run = NULL;
	vm->hv_id = 0;
	run->vm = NULL;
	if (!run->job.queued)
		free(run);
	return idle;
}

void run_status(const struct vm_run *run, struct vmm_status *out)
{
	/* The vmm raises `changes` last (release). */
	uint32_t changes = __atomic_load_n(&run->status->changes, __ATOMIC_ACQUIRE);

	memcpy(out, run->status, sizeof(*out));
	out->changes = changes;
	out->text[sizeof(out->text) - 1] = '\0';
	for (char *c = out->text; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
}

void run_command(struct vm_run *run, uint32_t command)
{
	run->config->command = command;
	__atomic_store_n(&run->config->command_seq, run->config->command_seq + 1, __ATOMIC_RELEASE);
	/* Fails only when the vmm is dead, and then its death is being reported. */
	hv_event_post(run->prog, 1ull << VMM_EVENT_COMMAND);
}

void run_target(struct vm_run *run)
{
	if (!run->config)
		return; /* it is being prepared: the configuration will say so */
	run->config->balloon_pages = devices_balloon_pages(&run->vm->spec);
	__atomic_store_n(&run->config->balloon_changes, run->config->balloon_changes + 1,
			 __ATOMIC_RELEASE);
	vmio_tell(run->io);
}
