/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The store (keep.h). Its head, with the images' records, is mapped for good; so is each VM's record while there is one.
 * Before keep_init() nothing is kept: tests of other parts go without.
 */
#include "ctrl-kernel/ops/keep.h"

#include <stdio.h>
#include <string.h>
#include "ctrl-kernel/ops/devices.h"
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/keep_ram.h"
#include "ctrl-kernel/ops/sane.h"
#include "ctrl-kernel/rt/hvcall.h"

#define MAGIC 0x45524f5453ull          /* "STORE" */
#define IMAGE_RECORDS (IMAGES_MAX + 1) /* one may be replaced by one that is there already */

enum slot {
	SLOT_STORE = 0,
	SLOT_IMAGE = 1,
	SLOT_CONSOLE = 1 + IMAGE_RECORDS,
	SLOT_HVC = SLOT_CONSOLE + VMS_MAX
};
_Static_assert((unsigned)SLOT_HVC + VMS_MAX < KEEP_SLOT_RAM_0, "slots of hv; one is NAT's");

struct image_record {
	uint32_t live, source, hashed, stored;
	char name[OPS_NAME_MAX], pool[OPS_NAME_MAX];
	uint64_t bytes, created_ns;
	uint8_t sha256[32];
};

struct vm_now { /* what changes */
	uint32_t state, pending, hv_id, starts;
	uint64_t changed_ns;
	char reason_code[24], reason[256], start_error[256];
};

struct vm_record {
	uint32_t live, current; /* of now[] */
	uint64_t order;         /* of definition */
	uint8_t uuid[16];
	uint32_t spec_current; /* of spec[] */
	uint32_t reserved;
	struct vm_spec spec[2];
	struct vm_now now[2];
};

struct store {
	uint64_t magic;
	uint32_t version, vm_bytes; /* sizeof(struct vm_record) */
	uint64_t next_order;
	uint32_t lasting; /* 1: the configuration that lasts has been applied */
	uint32_t reserved;
	struct image_record images[IMAGE_RECORDS];
};

_Static_assert(KEEP_VERSION == 5 && KEEP_OLDEST == 5 && sizeof(struct store) == 49376 &&
		       sizeof(struct image_record) == 192 && sizeof(struct vm_record) == 18808,
	       "another layout is another version");

#define HEAD_PAGES ((sizeof(struct store) + HV_PAGE_SIZE - 1) / HV_PAGE_SIZE)
#define VM_RECORD_PAGES ((sizeof(struct vm_record) + HV_PAGE_SIZE - 1) / HV_PAGE_SIZE)

static uint32_t mem; /* [owns] */
static uint64_t pages;
static struct store *store;                /* [owns] mapping */
static struct vm_record *records[VMS_MAX]; /* [owns] mappings, NULL: not mapped */
static bool found;

static int grow(uint64_t to)
{
	while (pages < to) {
		uint64_t before = pages;
		int r = hv_mem_grow(mem, to, &pages);

		if (r)
			return r;
		if (pages <= before)
			return -HVE_NOMEM;
	}
	return 0;
}

static uint64_t record_page(unsigned i)
{
	return HEAD_PAGES + (uint64_t)i * VM_RECORD_PAGES;
}

/* The record of VM i, if the store reaches so far or `make`; NULL: it does not. */
static struct vm_record *record_at(unsigned i, bool make)
{
	if (records[i])
		return records[i];
	if (pages < record_page(i + 1) && (!make || grow(record_page(i + 1))))
		return NULL;
	records[i] = rt_mem_map(mem, record_page(i), VM_RECORD_PAGES, HVP_READ | HVP_WRITE);
	/* To go on without it would end the VM. */
	if (!records[i] && !make)
		rt_die("what the instance before left cannot be mapped");
	return records[i];
}

static bool map_head(void)
{
	store = rt_mem_map(mem, 0, HEAD_PAGES, HVP_READ | HVP_WRITE);
	return store != NULL;
}

static void head_write(uint32_t version)
{
	store->vm_bytes = sizeof(struct vm_record);
	store->version = version;
	store->magic = MAGIC;
}

/* Anything but this very layout is left alone: nothing is recovered from it. */
static bool find(void)
{
	uint64_t handle, info;

	if (hv_mem_kept(SLOT_STORE, &handle))
		return false;
	mem = (uint32_t)handle;
	if (hv_mem_info(mem, &info) == 0)
		pages = info & 0xffffffffffffull;
	if (pages < HEAD_PAGES || !map_head())
		rt_die("what the instance before left cannot be mapped");
	if (store->version >= KEEP_OLDEST && store->version <= KEEP_VERSION &&
	    (store->magic == MAGIC || store->vm_bytes == sizeof(struct vm_record))) {
		head_write(store->version); /* one of the others may be damaged */
		return true;
	}
	rt_die("what the instance before left has version %u, not %u", store->version,
	       (unsigned)KEEP_VERSION);
}

static void make(void)
{
	uint64_t handle;

	if (hv_mem_create(0, &handle))
		rt_die("no memory for the store");
	mem = (uint32_t)handle;
	if (grow(HEAD_PAGES) || !map_head())
		rt_die("no memory for the store");
	head_write(KEEP_VERSION);
}

void keep_init(void)
{
	found = find();
	if (found)
		return;
	make();
	keep_sweep(); /* of an instance that died before it was ready */
}

bool keep_found(void)
{
	return found;
}

void keep_ready(void)
{
	if (!found && hv_mem_keep(mem, SLOT_STORE))
		rt_die("the store cannot be kept");
}

void keep_convert(void)
{
	if (store)
		head_write(KEEP_VERSION);
}

bool keep_lasting(void)
{
	return store && store->lasting == 1;
}

void keep_lasting_set(void)
{
	if (store)
		store->lasting = 1;
}

/* ---- images ---- */

static int free_image_record(void)
{
	for (unsigned i = 0; i < IMAGE_RECORDS; i++)
		if (!store->images[i].live)
			return (int)i;
	return KEEP_NONE;
}

int keep_image(struct image *image, struct ops_error *e)
{
	struct image_record *rec;
	int i, r;

	image->keep = KEEP_NONE;
	if (!store)
		return 0;
	i = free_image_record();
	if (i == KEEP_NONE)
		return ops_fail(e, OPS_LIMIT, NULL, "there are too many images; delete some");
	rec = &store->images[i];
	r = hv_mem_keep(image->mem, SLOT_IMAGE + (unsigned)i);
	if (r)
		return ops_fail_hv(e, r, "keeping the image");
	memcpy(rec->name, image->name, sizeof(rec->name));
	rec->source = image->source;
	rec->bytes = image->bytes;
	rec->created_ns = image->created_ns;
	rec->hashed = image->hashed;
	rec->stored = 0;
	memcpy(rec->sha256, image->sha256, sizeof(rec->sha256));
	__atomic_store_n(&rec->live, 1, __ATOMIC_RELEASE);
	image->keep = i;
	return 0;
}

void keep_image_hashed(const struct image *image)
{
	struct image_record *rec;

	if (image->keep == KEEP_NONE)
		return;
	rec = &store->images[image->keep];
	memcpy(rec->sha256, image->sha256, sizeof(rec->sha256));
	__atomic_store_n(&rec->hashed, 1, __ATOMIC_RELEASE);
}

void keep_image_stored(const struct image *image)
{
	struct image_record *rec;

	if (image->keep == KEEP_NONE)
		return;
	rec = &store->images[image->keep];
	memcpy(rec->pool, image->pool, sizeof(rec->pool));
	__atomic_store_n(&rec->stored, 1, __ATOMIC_RELEASE);
}

void keep_image_gone(struct image *image)
{
	if (image->keep == KEEP_NONE)
		return;
	__atomic_store_n(&store->images[image->keep].live, 0, __ATOMIC_RELEASE);
	(void)hv_mem_keep(0, SLOT_IMAGE + (unsigned)image->keep);
	image->keep = KEEP_NONE;
}

/* ---- VMs ---- */

/* Of a run that has ended and is waited for: with the instance its requests end, too. */
static void write_end(const struct vm_end *end, struct vm_now *n)
{
	n->pending = VM_IDLE;
	if (end->failed)
		return;
	n->state = end->state;
	n->changed_ns = end->ns;
	memcpy(n->reason_code, end->code, sizeof(n->reason_code));
	memcpy(n->reason, end->reason, sizeof(n->reason));
}

static void write_now(const struct vm *vm, struct vm_now *n)
{
	n->state = vm->state;
	n->pending = vm->pending;
	n->hv_id = vm->hv_id;
	n->starts = vm->starts;
	n->changed_ns = vm->changed_ns;
	memcpy(n->reason_code, vm->reason_code, sizeof(n->reason_code));
	memcpy(n->reason, vm->reason, sizeof(n->reason));
	memcpy(n->start_error, vm->start_error, sizeof(n->start_error));
	if (vm->pending == VM_STOPPING)
		write_end(&vm->end, n);
}

void keep_vm_update(const struct vm *vm)
{
	struct vm_record *rec;
	uint32_t other;

	if (vm->keep == KEEP_NONE)
		return;
	rec = records[vm->keep];
	other = 1 - rec->current;
	write_now(vm, &rec->now[other]);
	__atomic_store_n(&rec->current, other, __ATOMIC_RELEASE);
}

void keep_vm_respec(const struct vm *vm)
{
	struct vm_record *rec;
	uint32_t other;

	if (vm->keep == KEEP_NONE)
		return;
	rec = records[vm->keep];
	other = 1 - rec->spec_current;
	rec->spec[other] = vm->spec;
	__atomic_store_n(&rec->spec_current, other, __ATOMIC_RELEASE);
}

int keep_vm(struct vm *vm, struct ops_error *e)
{
	if (!store)
		return 0;
	for (unsigned i = 0; i < VMS_MAX; i++) {
		struct vm_record *rec = record_at(i, true);

		if (!rec)
			return ops_fail(e, OPS_NO_MEMORY, NULL,
					"the host has no memory to keep the VM's description");
		if (rec->live)
			continue;
		rec->order = store->next_order++;
		memcpy(rec->uuid, vm->uuid, sizeof(rec->uuid));
		rec->spec[0] = vm->spec;
		rec->spec_current = 0;
		rec->current = 0;
		write_now(vm, &rec->now[0]);
		__atomic_store_n(&rec->live, 1, __ATOMIC_RELEASE);
		vm->keep = (int)i;
		return 0;
	}
	return ops_fail(e, OPS_LIMIT, NULL, "there are too many VMs; delete some");
}

int keep_vm_console(const struct vm *vm, struct ops_error *e)
{
	int r;

	if (vm->keep == KEEP_NONE)
		return 0;
	r = hv_mem_keep(vm->console.mem, SLOT_CONSOLE + (unsigned)vm->keep);

	/* EXIST: it was started before. */
	return r && r != -HVE_EXIST ? ops_fail_hv(e, r, "keeping the console") : 0;
}

int keep_vm_hvc(const struct vm *vm, struct ops_error *e)
{
	int r;

	if (vm->keep == KEEP_NONE)
		return 0;
	r = hv_mem_keep(vm->hvc.mem, SLOT_HVC + (unsigned)vm->keep);
	return r && r != -HVE_EXIST ? ops_fail_hv(e, r, "keeping the virtio console") : 0;
}

void keep_vm_gone(struct vm *vm)
{
	if (vm->keep == KEEP_NONE)
		return;
	__atomic_store_n(&records[vm->keep]->live, 0, __ATOMIC_RELEASE);
	(void)hv_mem_keep(0, SLOT_CONSOLE + (unsigned)vm->keep);
	(void)hv_mem_keep(0, SLOT_HVC + (unsigned)vm->keep);
	vm->keep = KEEP_NONE;
}

/* ---- recovery ---- */

/* The instance before may have died because it wrote where it should not. A record that it cannot have meant is no record:
 * keep_sweep() drops what belongs to it. */
static bool name_sane(const char name[OPS_NAME_MAX], bool needed)
{
	if (!text_ends(name, OPS_NAME_MAX))
		return false;
	return name[0] ? ops_name_ok(name) : !needed;
}

static bool image_sane(const struct image_record *rec)
{
	return rec->live == 1 && name_sane(rec->name, true) && rec->source <= IMAGE_BOOT_MODULE &&
	       rec->hashed <= 1 && rec->stored <= 1 && (!rec->stored || name_sane(rec->pool, true));
}

/* The object that it names holds that many bytes. */
static bool image_fits(const struct image_record *rec, uint32_t object)
{
	uint64_t info;

	return hv_mem_info(object, &info) == 0 &&
	       rec->bytes <= (info & 0xffffffffffffull) * HV_PAGE_SIZE;
}

static bool spec_sane(const struct vm_spec *s)
{
	if (!name_sane(s->name, true) || !name_sane(s->kernel, true) ||
	    !name_sane(s->initrd, false) || !text_ends(s->cmdline, sizeof(s->cmdline)) ||
	    s->n_modules > VMM_MODULES_MAX || (s->initrd[0] && s->n_modules) ||
	    !is_bool(&s->autostart) || !is_bool(&s->virtio_console) || !is_bool(&s->from_boot) ||
	    s->autostart_delay_s > AUTOSTART_DELAY_MAX_S)
		return false;
	for (unsigned i = 0; i < s->n_modules; i++)
		if (!name_sane(s->modules[i].image, true) ||
		    !text_ends(s->modules[i].string, sizeof(s->modules[i].string)))
			return false;
	return s->vcpus >= 1 && s->vcpus <= HV_VCPUS_MAX && s->memory >= VM_MEMORY_MIN &&
	       s->memory <= host_memory_total() && s->memory % HV_PAGE_SIZE == 0 &&
	       s->weight >= 1 && s->weight <= VM_WEIGHT_MAX && s->cap <= VM_CAP_MAX &&
	       devices_sane(s);
}

static bool now_sane(const struct vm_now *n)
{
	return n->state <= VM_CRASHED && n->pending <= VM_RESTORING && n->starts <= 1 &&
	       text_ends(n->reason_code, sizeof(n->reason_code)) &&
	       text_ends(n->reason, sizeof(n->reason)) &&
	       text_ends(n->start_error, sizeof(n->start_error));
}

static bool vm_sane(const struct vm_record *rec)
{
	return rec->live == 1 && rec->current <= 1 && rec->spec_current <= 1 &&
	       spec_sane(&rec->spec[rec->spec_current]) && now_sane(&rec->now[rec->current]);
}

bool keep_image_read(unsigned i, struct image *out)
{
	struct image_record *rec = &store->images[i];
	uint64_t handle;

	if (i >= IMAGE_RECORDS || !rec->live)
		return false;
	if (hv_mem_kept(SLOT_IMAGE + i, &handle))
		handle = 0;
	if (!handle || !image_sane(rec) || !image_fits(rec, (uint32_t)handle)) {
		if (handle)
			hv_handle_close((uint32_t)handle);
		rt_log("the record of an image is damaged; it is dropped");
		rec->live = 0;
		return false;
	}
	memcpy(out->name, rec->name, sizeof(out->name));
	out->source = (enum image_source)rec->source;
	out->mem = (uint32_t)handle;
	out->bytes = rec->bytes;
	out->created_ns = rec->created_ns;
	if (rec->stored)
		memcpy(out->pool, rec->pool, sizeof(out->pool));
	out->hashed = rec->hashed;
	memcpy(out->sha256, rec->sha256, sizeof(out->sha256));
	out->keep = (int)i;
	return true;
}

static const struct vm_spec *spec_of(const struct vm_record *rec)
{
	return &rec->spec[rec->spec_current & 1];
}

/* Of records that are sane: does what only one VM can have belong to one before it, too? */
static bool is_double(unsigned i)
{
	const struct vm_record *b = records[i];

	for (unsigned j = 0; j < i; j++) {
		const struct vm_record *a = records[j];
		uint32_t id = a->now[a->current & 1].hv_id;

		if (a->live && (strcmp(spec_of(a)->name, spec_of(b)->name) == 0 ||
				memcmp(a->uuid, b->uuid, sizeof(a->uuid)) == 0 ||
				(id && id == b->now[b->current].hv_id)))
			return true;
	}
	return false;
}

static void drop_damaged(void)
{
	for (unsigned i = 0; i < VMS_MAX && record_at(i, false); i++) {
		if (!records[i]->live)
			continue;
		if (vm_sane(records[i]) && !is_double(i)) {
			if (records[i]->order >= store->next_order)
				store->next_order = records[i]->order + 1;
			continue;
		}
		rt_log("the record of a VM is damaged; it is dropped, and the VM ended");
		records[i]->live = 0;
	}
}

static bool ordered(int a, int b)
{
	uint64_t first = records[a]->order, second = records[b]->order;

	return first < second || (first == second && a < b);
}

/* The live record that comes next behind `after` in the order of definition. */
static int record_next(int after)
{
	int best = KEEP_NONE;

	for (int i = 0; i < (int)VMS_MAX && record_at((unsigned)i, false); i++) {
		if (records[i]->live && (after == KEEP_NONE || ordered(after, i)) &&
		    (best == KEEP_NONE || ordered(i, best)))
			best = i;
	}
	return best;
}

bool keep_vm_read(int after, struct vm *out, struct kept_vm *run)
{
	const struct vm_record *rec;
	const struct vm_now *n;
	uint64_t handle = 0;
	int i;

	if (after == KEEP_NONE)
		drop_damaged();
	i = record_next(after);
	if (i == KEEP_NONE)
		return false;
	rec = records[i];
	n = &rec->now[rec->current];
	out->spec = *spec_of(rec);
	memcpy(out->uuid, rec->uuid, sizeof(out->uuid));
	out->state = (enum vm_state)n->state;
	out->starts = n->starts;
	out->changed_ns = n->changed_ns;
	memcpy(out->reason_code, n->reason_code, sizeof(out->reason_code));
	memcpy(out->reason, n->reason, sizeof(out->reason));
	memcpy(out->start_error, n->start_error, sizeof(out->start_error));
	out->keep = i;
	if (hv_mem_kept(SLOT_CONSOLE + (unsigned)i, &handle) == 0)
		out->console.mem = (uint32_t)handle;
	if (hv_mem_kept(SLOT_HVC + (unsigned)i, &handle) == 0)
		out->hvc.mem = (uint32_t)handle;
	*run = (struct kept_vm){n->hv_id, (enum vm_pending)n->pending};
	return true;
}

void keep_sweep(void)
{
	for (unsigned i = 0; i < IMAGE_RECORDS; i++)
		if (!store->images[i].live)
			(void)hv_mem_keep(0, SLOT_IMAGE + i);
	for (unsigned i = 0; i < VMS_MAX; i++) {
		const struct vm_record *rec = record_at(i, false);

		if (rec && rec->live)
			continue;
		(void)hv_mem_keep(0, SLOT_CONSOLE + i);
		(void)hv_mem_keep(0, SLOT_HVC + i);
	}
}
