/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/rt/hex.c
// SRC: ctrl-kernel/ops/devices.c net/ipaddr.c
// SRC: ctrl-kernel/ops/error.c
// FLAGS: -isystem build/deps/src/mbedtls/include
/*
 * A store that the instance before has damaged: what the next one takes from it makes sense, each record that was not
 * touched is taken, what has no record is dropped, and the store goes on working. The input is a list of damages, 5
 * bytes each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl-kernel/ops/keep.c"

enum { IMAGES = 3, VMS = 5, GONE = 2, IMAGE_PAGES = 4, STORE = 1 };
#define PAGES (HEAD_PAGES + VM_RECORD_PAGES * (VMS + 2))
#define TOTAL (1ull << 30)
#define require(c) ((c) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *memory; /* of the store */
static uint64_t memory_pages;
static bool kept[HV_KEEP_SLOTS];
static jmp_buf died;

static bool touched_image[IMAGES + 1], touched_vm[VMS];

void rt_die(const char *format, ...)
{
	longjmp(died, 1);
}

void rt_log(const char *format, ...)
{
}

const char *rt_strerror(int hve)
{
	return "";
}

uint64_t host_memory_total(void)
{
	return TOTAL;
}

void *rt_mem_map(uint32_t object, uint64_t page, uint64_t n, uint32_t prot)
{
	require(object == STORE && page + n <= memory_pages);
	return memory + page * HV_PAGE_SIZE;
}

/* Handles are the slot's number behind the store's. */
struct hv_result hv_raw(uint64_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			uint64_t f)
{
	struct hv_result r = {0, 0};

	switch (n) {
	case HVC_MEM_CREATE:
		r.value = STORE;
		break;
	case HVC_MEM_GROW:
		require(a == STORE && b <= PAGES);
		r.value = memory_pages = b;
		break;
	case HVC_MEM_INFO:
		r.value = a == STORE ? memory_pages : IMAGE_PAGES;
		break;
	case HVC_MEM_KEEP:
		require(b < HV_KEEP_SLOTS);
		kept[b] = a != 0;
		break;
	case HVC_MEM_KEPT:
		r.status = kept[a] ? 0 : -HVE_NOENT;
		r.value = STORE + a;
		break;
	case HVC_HANDLE_CLOSE:
		require(a > STORE);
		break;
	default:
		abort();
	}
	return r;
}

static void instance(void)
{
	mem = 0;
	pages = 0;
	store = NULL;
	memset(records, 0, sizeof(records));
	keep_init();
}

static struct vm *vm_make(unsigned i)
{
	static struct vm vm;

	memset(&vm, 0, sizeof(vm));
	snprintf(vm.spec.name, sizeof(vm.spec.name), "vm%u", i);
	snprintf(vm.spec.kernel, sizeof(vm.spec.kernel), "kernel");
	snprintf(vm.reason_code, sizeof(vm.reason_code), "started");
	vm.spec.vcpus = vm.spec.weight = 1;
	vm.spec.memory = VM_MEMORY_MIN;
	memset(vm.uuid, (int)i + 1, sizeof(vm.uuid));
	vm.state = VM_RUNNING;
	vm.hv_id = i + 1;
	vm.console.mem = 1;
	return &vm;
}

/* What an instance leaves: images, VMs, and the record of one that is gone. */
static void make_store(void)
{
	static struct vm gone;
	struct ops_error e;

	if (!memory)
		memory = calloc(PAGES, HV_PAGE_SIZE); /* exactly: ASan sees every overrun */
	memset(memory, 0, PAGES * HV_PAGE_SIZE);
	memory_pages = 0;
	memset(kept, 0, sizeof(kept));
	instance();
	for (unsigned i = 0; i < IMAGES; i++) {
		struct image image = {.mem = 1, .bytes = IMAGE_PAGES * HV_PAGE_SIZE};

		snprintf(image.name, sizeof(image.name), "image%u", i);
		require(keep_image(&image, &e) == 0);
	}
	for (unsigned i = 0; i < VMS; i++) {
		struct vm *vm = vm_make(i);

		require(keep_vm(vm, &e) == 0 && vm->keep == (int)i);
		require(keep_vm_console(vm, &e) == 0);
	}
	gone.keep = GONE;
	keep_vm_gone(&gone);
	keep_ready();
}

static void damage(const uint8_t *data)
{
	unsigned vm = data[1] % VMS, image = data[1] % (IMAGES + 1), at = data[2] | data[3] << 8;
	uint8_t *record = memory + record_page(vm) * HV_PAGE_SIZE;

	if (data[0] % 4 == 0) {
		memory[at % offsetof(struct store, images)] ^= data[4];
	} else if (data[0] % 4 == 1) {
		struct image_record *rec = &((struct store *)memory)->images[image];

		((uint8_t *)rec)[at % sizeof(*rec)] ^= data[4];
		touched_image[image] = true;
	} else if (data[0] % 4 == 2) {
		record[at % sizeof(struct vm_record)] ^= data[4];
		touched_vm[vm] = true;
	} else { /* another's record, in whole or in part */
		memcpy(record, memory + record_page(data[4] % VMS) * HV_PAGE_SIZE,
		       at % (sizeof(struct vm_record) + 1));
		touched_vm[vm] = true;
	}
}

/* ---- what the next instance finds ---- */

static bool text_ok(const char *text, size_t size)
{
	return memchr(text, 0, size) != NULL;
}

static void images_check(void)
{
	for (unsigned i = 0; i < IMAGE_RECORDS; i++) {
		struct image image = {.keep = KEEP_NONE};
		bool read = keep_image_read(i, &image);

		require(read || i >= IMAGES || touched_image[i]);
		if (!read)
			continue;
		require(text_ok(image.name, sizeof(image.name)) && ops_name_ok(image.name));
		require(image.bytes <= IMAGE_PAGES * HV_PAGE_SIZE && i < IMAGES);
	}
}

static void vm_check(const struct vm *vm)
{
	const struct vm_spec *s = &vm->spec;

	require(ops_name_ok(s->name) && ops_name_ok(s->kernel));
	require(text_ok(s->cmdline, sizeof(s->cmdline)) && s->n_modules <= VMM_MODULES_MAX);
	require(s->vcpus >= 1 && s->vcpus <= HV_VCPUS_MAX && s->cap <= VM_CAP_MAX);
	require(s->memory >= VM_MEMORY_MIN && s->memory <= TOTAL);
	require(s->autostart || !s->autostart); /* UBSan: it is a bool */
	require(vm->state <= VM_CRASHED && text_ok(vm->reason, sizeof(vm->reason)));
	require(text_ok(vm->reason_code, sizeof(vm->reason_code)));
	require(text_ok(vm->start_error, sizeof(vm->start_error)));
}

static struct vm vms[VMS + 1]; /* those found last */

/* Is one of them that VM, by what only one can have? */
static bool is_among(const struct vm *vm, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(vms[i].spec.name, vm->spec.name) == 0 ||
		    memcmp(vms[i].uuid, vm->uuid, sizeof(vm->uuid)) == 0 ||
		    (vm->hv_id && vms[i].hv_id == vm->hv_id))
			return true;
	return false;
}

/* -> how many there are. */
static unsigned vms_check(void)
{
	struct kept_vm run;
	unsigned n = 0;

	for (int last = KEEP_NONE;
	     memset(&vms[n], 0, sizeof(vms[n])), keep_vm_read(last, &vms[n], &run);
	     last = vms[n++].keep) {
		require(n < VMS);
		vm_check(&vms[n]);
		require(run.pending <= VM_RESTORING);
		vms[n].hv_id = run.hv_id;
		require(!is_among(&vms[n], n));
	}
	/* Or one that came before it says that it is that one. */
	for (unsigned i = 0; i < VMS; i++)
		require(i == GONE || touched_vm[i] || is_among(vm_make(i), n));
	return n;
}

static unsigned take_over(void)
{
	unsigned n;

	instance();
	require(found);
	images_check();
	n = vms_check();
	keep_sweep();
	for (unsigned i = 0; i < IMAGE_RECORDS; i++)
		require(!kept[SLOT_IMAGE + i] || store->images[i].live);
	for (unsigned i = 0; i < VMS_MAX; i++)
		require(!kept[SLOT_CONSOLE + i] || (i < VMS && records[i]->live));
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ops_error e;
	struct vm *vm;
	unsigned n;

	memset(touched_image, 0, sizeof(touched_image));
	memset(touched_vm, 0, sizeof(touched_vm));
	if (setjmp(died))
		abort();
	make_store();
	for (; size >= 5; data += 5, size -= 5)
		damage(data);
	if (setjmp(died)) {
		/* Then guests run on without it. */
		require(store->version != KEEP_VERSION ||
			(store->magic != MAGIC && store->vm_bytes != sizeof(struct vm_record)));
		return 0;
	}
	n = take_over();
	/* It is a store as any other again. */
	memset(touched_vm, 1, sizeof(touched_vm));
	memset(touched_image, 1, sizeof(touched_image));
	vm = vm_make(VMS);
	if (n == VMS || is_among(vm, n))
		return 0;
	require(keep_vm(vm, &e) == 0);
	require(take_over() == n + 1);
	return 0;
}
