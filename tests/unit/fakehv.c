/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor, run time and loop of the host tests (fakehv.h).
 */
#define _GNU_SOURCE
#include "tests/unit/fakehv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/rt/rt.h"
#include "net/nat.h"
#include "net/net.h"
#include "net/nic.h"
#include "tests/unit/fakecrash.h"
#include "tests/unit/fakeupgrade.h"
#include "tests/unit/fake_log.h"
#include "tests/unit/no_network.h"

#define HANDLES 1024u
#define OBJECT_BYTES (1ull << 30) /* address space for each memory object */
#define OBJECTS_MAX 4096u

enum kind { MEM = 1, VM, PROG };

struct fake_object {
	enum kind kind;
	unsigned refs;
	uint8_t *data; /* MEM */
	uint64_t pages;
	uint32_t flags;
	struct fake_vm vm;
	uint32_t state_bit, console_bit, io_bit;
	struct fake_object *slots[HV_SLOTS];
	struct fake_object *ram; /* mapped */
	struct hv_prog_info prog;
	uint32_t death_bit;
	uint64_t posts;
	struct fake_object *serves;
	bool started;
};

static struct {
	struct fake_object *obj;
	uint32_t rights, generation;
} handles[HANDLES];

static struct fake_object *mem_list[OBJECTS_MAX];
static struct fake_object *kept[HV_KEEP_SLOTS];
static struct fake_object *last_vm, *last_prog;
static unsigned live, mappings, fail_in;
static int fail_with;
static bool fail_hit;
static uint64_t free_pages, total_pages, now_ns;
static const char *no_virt;
static uint64_t events;

/* ---- objects and handles ---- */

static struct fake_object *object_new(enum kind kind)
{
	struct fake_object *o = calloc(1, sizeof(*o));

	o->kind = kind;
	live++;
	if (kind != MEM)
		return o;
	o->data = mmap(NULL, OBJECT_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (o->data == MAP_FAILED)
		abort();
	for (unsigned i = 0; i < OBJECTS_MAX; i++) {
		if (!mem_list[i]) {
			mem_list[i] = o;
			break;
		}
	}
	return o;
}

static void object_put(struct fake_object *o)
{
	if (!o || --o->refs > 0)
		return;
	for (unsigned i = 0; i < HV_SLOTS; i++)
		object_put(o->slots[i]);
	object_put(o->ram);
	object_put(o->serves);
	if (o->kind == MEM) {
		munmap(o->data, OBJECT_BYTES);
		free_pages += o->pages;
		for (unsigned i = 0; i < OBJECTS_MAX; i++)
			if (mem_list[i] == o)
				mem_list[i] = NULL;
	}
	if (last_vm == o)
		last_vm = NULL;
	if (last_prog == o)
		last_prog = NULL;
	live--;
	free(o);
}

static uint32_t handle_new(struct fake_object *o, uint32_t rights)
{
	for (uint32_t i = 1; i < HANDLES; i++) {
		if (handles[i].obj)
			continue;
		handles[i].obj = o;
		handles[i].rights = rights;
		handles[i].generation++;
		o->refs++;
		return i | handles[i].generation << 12;
	}
	abort();
}

static struct fake_object *handle_get(uint64_t h, enum kind kind)
{
	uint32_t i = h & 0xfff;

	if (i >= HANDLES || !handles[i].obj || handles[i].generation != h >> 12)
		return NULL;
	return kind && handles[i].obj->kind != kind ? NULL : handles[i].obj;
}

static int handle_close(uint64_t h)
{
	struct fake_object *o = handle_get(h, 0);

	if (!o)
		return -HVE_HANDLE;
	handles[h & 0xfff].obj = NULL;
	object_put(o);
	return 0;
}

/* ---- hypercalls ---- */

static struct hv_result result(int status, uint64_t value)
{
	return (struct hv_result){status, status ? 0 : value};
}

static struct hv_result mem_grow(uint64_t h, uint64_t pages)
{
	struct fake_object *o = handle_get(h, MEM);
	uint64_t more;

	if (!o)
		return result(-HVE_HANDLE, 0);
	more = pages > o->pages ? pages - o->pages : 0;
	if (more > HV_GROW_MAX)
		more = HV_GROW_MAX;
	if (more > free_pages)
		return result(-HVE_NOMEM, 0);
	free_pages -= more;
	o->pages += more;
	return result(0, o->pages);
}

static int mem_keep(uint64_t h, uint64_t slot)
{
	struct fake_object *o = h ? handle_get(h, MEM) : NULL;

	if (slot >= HV_KEEP_SLOTS || (h && !o))
		return -HVE_INVAL;
	if (!h && !kept[slot])
		return -HVE_NOENT;
	if (h && kept[slot])
		return -HVE_EXIST;
	if (h)
		o->refs++;
	else
		object_put(kept[slot]);
	kept[slot] = o;
	return 0;
}

static struct hv_result vm_create(const struct hv_vm_create *in)
{
	struct fake_object *console = handle_get(in->console, MEM), *o;

	if (!console || console->pages != HV_CONSOLE_PAGES || !(console->flags & HVM_HV))
		return result(-HVE_INVAL, 0);
	if (no_virt)
		return result(-HVE_NOVIRT, 0);
	o = object_new(VM);
	o->vm.vcpus = o->vm.info.vcpus = in->vcpus;
	o->vm.weight = in->weight;
	o->vm.cap = in->cap;
	o->vm.input_room = sizeof(o->vm.input);
	memcpy(o->vm.name, in->name, sizeof(o->vm.name));
	o->state_bit = in->state_bit;
	o->console_bit = in->console_bit;
	o->io_bit = in->io_bit;
	o->slots[HV_SLOT_CONSOLE] = console;
	console->refs++;
	last_vm = o;
	return result(0, handle_new(o, HVR_ALL));
}

static int vm_map(uint64_t vm, uint64_t mem, uint64_t off, uint64_t gpa, uint64_t pages)
{
	struct fake_object *v = handle_get(vm, VM), *m = handle_get(mem, MEM);

	if (!v || !m)
		return -HVE_HANDLE;
	if (pages == 0 || pages > HV_MAP_MAX || off + pages > m->pages)
		return -HVE_INVAL;
	if (gpa < HV_GPA_HOLE && gpa + pages * HV_PAGE_SIZE > HV_GPA_HOLE)
		return -HVE_INVAL;
	if (gpa < HV_GPA_HOLE) {
		if (gpa != v->vm.mapped_low * HV_PAGE_SIZE || off != v->vm.mapped_low)
			return -HVE_INVAL;
		v->vm.mapped_low += pages;
	} else {
		if (gpa != HV_GPA_HOLE_END + v->vm.mapped_high * HV_PAGE_SIZE)
			return -HVE_INVAL;
		v->vm.mapped_high += pages;
	}
	v->vm.info.ram_pages += pages;
	v->vm.info.held_pages += pages;
	if (!v->ram) {
		v->ram = m;
		m->refs++;
	}
	return 0;
}

static int vm_attach(uint64_t vm, uint64_t slot, uint64_t mem)
{
	struct fake_object *v = handle_get(vm, VM), *m = handle_get(mem, MEM);

	if (!v || !m)
		return -HVE_HANDLE;
	if (slot >= HV_SLOTS || v->slots[slot])
		return -HVE_INVAL;
	v->slots[slot] = m;
	m->refs++;
	return 0;
}

static int vm_control(uint64_t vm, uint64_t what)
{
	struct fake_object *v = handle_get(vm, VM);

	if (!v)
		return -HVE_HANDLE;
	if (what == HV_VMC_PAUSE && v->vm.info.state == HV_VM_RUNNING)
		v->vm.info.state = HV_VM_PAUSED;
	else if (what == HV_VMC_RESUME && v->vm.info.state == HV_VM_PAUSED)
		v->vm.info.state = HV_VM_RUNNING;
	else if (what == HV_VMC_STOP)
		v->vm.info.state = HV_VM_STOPPED;
	else
		return -HVE_STATE;
	return 0;
}

static struct hv_result console_in(uint64_t vm, const char *buf, uint64_t len)
{
	struct fake_object *v = handle_get(vm, VM);
	uint64_t room;

	if (!v || len > 256)
		return result(-HVE_INVAL, 0);
	room = v->vm.input_room - v->vm.input_len;
	if (len > room)
		len = room;
	memcpy(v->vm.input + v->vm.input_len, buf, len);
	v->vm.input_len += (unsigned)len;
	return result(0, len);
}

static struct hv_result prog_create(const struct hv_prog_create *in)
{
	struct fake_object *v = handle_get(in->vm, VM), *o;

	if (!v || in->image != HV_IMAGE_VMM || in->budget_pages < 64)
		return result(-HVE_INVAL, 0);
	o = object_new(PROG);
	o->serves = v;
	v->refs++;
	o->death_bit = in->death_bit;
	last_prog = o;
	return result(0, handle_new(o, HVR_ALL));
}

static int prog_start(uint64_t h, const uint64_t *args, uint64_t n)
{
	struct fake_object *p = handle_get(h, PROG);

	if (!p)
		return -HVE_HANDLE;
	(void)args;
	if (n != 0)
		return -HVE_INVAL;
	p->prog.state = HV_PROG_LIVE;
	p->started = true;
	return 0;
}

static int prog_destroy(uint64_t h)
{
	struct fake_object *p = handle_get(h, PROG);

	if (!p)
		return -HVE_HANDLE;
	p->prog.state = HV_PROG_DEAD;
	return 0;
}

static int vm_destroy(uint64_t h)
{
	struct fake_object *v = handle_get(h, VM);

	return v ? handle_close(h) : -HVE_HANDLE;
}

static int host_info(struct hv_host_info *out, uint64_t size)
{
	if (size != sizeof(*out))
		return -HVE_INVAL;
	memset(out, 0, sizeof(*out));
	out->cpus = 2;
	out->virt = no_virt ? HV_VIRT_NONE : HV_VIRT_SVM;
	if (no_virt)
		snprintf(out->virt_reason, sizeof(out->virt_reason), "%s", no_virt);
	snprintf(out->cpu_model, sizeof(out->cpu_model), "Test CPU");
	out->mem_total = total_pages;
	out->mem_free = free_pages;
	out->uptime_ns = now_ns;
	out->idle_ns = now_ns / 2;
	out->boot_epoch = 1700000000;
	out->objects = live;
	strcpy(out->spec_issues, "spectre-v2 rsb");
	strcpy(out->spec_open, "rsb");
	strcpy(out->spec_defences, "retpoline");
	return 0;
}

static bool fails(uint64_t n)
{
	static const uint64_t never[] = {HVC_LOG_WRITE,    HVC_HANDLE_CLOSE, HVC_VM_DESTROY,
					 HVC_PROG_DESTROY, HVC_HOST_INFO,    HVC_EVENT_POST,
					 HVC_VM_INFO,      HVC_PROG_INFO,    HVC_CRASH_INFO};

	for (unsigned i = 0; i < ARRAY_SIZE(never); i++)
		if (n == never[i])
			return false;
	if (fail_in == 0 || --fail_in > 0)
		return false;
	fail_hit = true;
	return true;
}

static int info_copy(void *to, uint64_t size, const void *from, size_t real, const void *there)
{
	if (!there)
		return -HVE_HANDLE;
	if (size != real)
		return -HVE_INVAL;
	memcpy(to, from, real);
	return 0;
}

static struct hv_result call_more(uint64_t n, uint64_t a, uint64_t b, uint64_t c)
{
	struct fake_object *o;
	uint64_t number = 0;
	int r;

	switch (n) {
	case HVC_CRASH_INFO:
		r = crash_info(a, (struct hv_crash *)b, c, &number);
		return result(r, number);
	case HVC_VM_INFO:
		o = handle_get(a, VM);
		return result(info_copy((void *)b, c, o ? &o->vm.info : NULL,
					sizeof(struct hv_vm_info), o),
			      0);
	case HVC_PROG_INFO:
		o = handle_get(a, PROG);
		return result(info_copy((void *)b, c, o ? &o->prog : NULL,
					sizeof(struct hv_prog_info), o),
			      0);
	case HVC_CTRL_REPLACE:
		return result(fake_replace(handle_get(a, MEM), b), 0);
	case HVC_VM_CONSOLE_IN:
		return console_in(a, (const char *)b, c);
	case HVC_PROG_CREATE:
		return prog_create((const struct hv_prog_create *)a);
	case HVC_PROG_START:
		return result(prog_start(a, (const uint64_t *)b, c), 0);
	case HVC_PROG_DESTROY:
		return result(prog_destroy(a), 0);
	case HVC_EVENT_POST:
		o = handle_get(a, PROG);
		if (o)
			o->posts |= b;
		return result(o ? 0 : -HVE_HANDLE, 0);
	case HVC_LOG_WRITE:
		if (b > 256)
			return result(-HVE_INVAL, 0);
		log_add((const char *)a, b);
		return result(0, 0);
	}
	return result(-HVE_NOSYS, 0);
}

struct hv_result hv_raw(uint64_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			uint64_t f)
{
	struct fake_object *o;

	(void)f;
	if (fails(n))
		return result(fail_with, 0);
	switch (n) {
	case HVC_MEM_CREATE:
		o = object_new(MEM);
		o->flags = (uint32_t)a;
		return result(0, handle_new(o, HVR_ALL));
	case HVC_MEM_GROW:
		return mem_grow(a, b);
	case HVC_MEM_INFO:
		o = handle_get(a, MEM);
		return result(o ? 0 : -HVE_HANDLE, o ? o->pages : 0);
	case HVC_MEM_KEEP:
		return result(mem_keep(a, b), 0);
	case HVC_MEM_KEPT:
		if (a >= HV_KEEP_SLOTS || !kept[a])
			return result(-HVE_NOENT, 0);
		return result(0, handle_new(kept[a], HVR_ALL));
	case HVC_HANDLE_CLOSE:
		return result(handle_close(a), 0);
	case HVC_HANDLE_GRANT:
		if (!handle_get(a, PROG) || !handle_get(b, 0) || (c & ~(HVR_READ | HVR_POST)))
			return result(-HVE_HANDLE, 0);
		return result(0, b & 0xfff);
	case HVC_HOST_INFO:
		return result(host_info((struct hv_host_info *)a, b), 0);
	case HVC_VM_CREATE:
		return vm_create((const struct hv_vm_create *)a);
	case HVC_VM_DESTROY:
		return result(vm_destroy(a), 0);
	case HVC_VM_MAP:
		return result(vm_map(a, b, c, d, e), 0);
	case HVC_VM_ATTACH:
		return result(vm_attach(a, b, c), 0);
	case HVC_VM_CONTROL:
		return result(vm_control(a, b), 0);
	case HVC_VM_SLOT:
		o = handle_get(a, VM);
		if (!o || b >= HV_SLOTS || !o->slots[b])
			return result(-HVE_NOENT, 0);
		return result(0, handle_new(o->slots[b], HVR_ALL));
	}
	return call_more(n, a, b, c);
}

/* ---- run time ---- */

uint64_t rt_now(void)
{
	return now_ns;
}

void rt_log(const char *format, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof(text) - 1, format, ap);
	va_end(ap);
	n = n < (int)sizeof(text) - 1 ? n : (int)sizeof(text) - 2;
	text[n++] = '\n';
	log_add(text, (size_t)n);
}

void rt_die(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	abort();
}

const char *rt_strerror(int hve)
{
	static char text[24];

	snprintf(text, sizeof(text), "error %d", hve < 0 ? -hve : hve);
	return text;
}

void *rt_mem_map(uint32_t mem, uint64_t page_off, uint64_t pages, uint32_t prot)
{
	struct fake_object *o = handle_get(mem, MEM);

	(void)prot;
	if (!o || pages == 0 || page_off + pages > o->pages || fails(HVC_MEM_MAP))
		return NULL;
	o->refs++;
	mappings++;
	return o->data + page_off * HV_PAGE_SIZE;
}

void rt_mem_unmap(void *va, uint64_t pages)
{
	(void)pages;
	if (!va)
		return;
	for (unsigned i = 0; i < OBJECTS_MAX; i++) {
		struct fake_object *o = mem_list[i];

		if (!o || (uint8_t *)va < o->data || (uint8_t *)va >= o->data + OBJECT_BYTES)
			continue;
		mappings--;
		object_put(o);
		return;
	}
	abort();
}

#include "tests/unit/fakeguestmem.h"
#include "tests/unit/fakeloop.h"

/* ---- the tests' side ---- */

struct hv_info *fake_info(void)
{
	return (struct hv_info *)HV_VA_INFO;
}

void fake_reset(uint64_t pages)
{
	static bool mapped;

	if (!mapped &&
	    mmap((void *)HV_VA_INFO, HV_PAGE_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)HV_VA_INFO)
		abort();
	mapped = true;
	memset(fake_info(), 0, sizeof(struct hv_info));
	fake_info()->self = handle_new(object_new(PROG), HVR_ALL);
	snprintf(fake_info()->build_id, sizeof(fake_info()->build_id), "test");
	free_pages = total_pages = pages;
	fail_in = 0;
	no_virt = NULL;
	now_ns = 1000000000;
	fake_log_clear();
}

uint32_t fake_module(const void *data, size_t len)
{
	struct fake_object *o = object_new(MEM);

	o->pages = (len + HV_PAGE_SIZE - 1) / HV_PAGE_SIZE;
	free_pages -= o->pages;
	memcpy(o->data, data, len);
	return handle_new(o, HVR_READ | HVR_GRANT);
}

void fake_no_virt(const char *reason)
{
	no_virt = reason;
}

unsigned fake_objects(void)
{
	return live;
}

void fake_forget_kept(void)
{
	for (unsigned i = 0; i < HV_KEEP_SLOTS; i++) {
		object_put(kept[i]);
		kept[i] = NULL;
	}
}

unsigned fake_handles(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < HANDLES; i++)
		n += handles[i].obj != NULL;
	return n;
}

unsigned fake_mappings(void)
{
	return mappings;
}

uint64_t fake_free_pages(void)
{
	return free_pages;
}

uint64_t fake_total_pages(void)
{
	return total_pages;
}

void fake_more_memory(uint64_t pages)
{
	total_pages += pages;
	free_pages += pages;
}

void fake_fail(unsigned n, int hve)
{
	fail_in = n;
	fail_with = -hve;
	fail_hit = false;
}

bool fake_failed(void)
{
	return fail_hit;
}

struct fake_vm *fake_vm(void)
{
	return last_vm ? &last_vm->vm : NULL;
}

struct vmm_status *fake_status(void)
{
	return (struct vmm_status *)last_vm->slots[HV_SLOT_SURVIVOR]->data;
}

void *fake_area(void)
{
	return last_vm->slots[HV_SLOT_IO]->data;
}

void fake_io(void)
{
	events |= 1ull << last_vm->io_bit;
}

const struct vmm_config *fake_config(void)
{
	return (const struct vmm_config *)last_vm->slots[HV_SLOT_CONFIG]->data;
}

void fake_status_raise(void)
{
	fake_status()->changes++;
	events |= 1ull << last_vm->state_bit;
}

void fake_vm_state(uint32_t state, uint32_t reason)
{
	last_vm->vm.info.state = state;
	last_vm->vm.info.reason = reason;
	events |= 1ull << last_vm->state_bit;
}

void fake_vmm_dies(uint32_t cause, const char *last_words)
{
	last_prog->prog.state = HV_PROG_DEAD;
	last_prog->prog.cause = cause;
	snprintf(last_prog->prog.text, sizeof(last_prog->prog.text), "%s", last_words);
	events |= 1ull << last_prog->death_bit;
}

void fake_console_write(const char *text, size_t len)
{
	struct fake_object *o = last_vm->slots[HV_SLOT_CONSOLE];
	struct hv_console *c = (struct hv_console *)o->data;

	for (size_t i = 0; i < len; i++)
		o->data[HV_PAGE_SIZE + c->head++ % HV_CONSOLE_RING] = (uint8_t)text[i];
	events |= 1ull << last_vm->console_bit;
}

uint64_t fake_posts(void)
{
	uint64_t posts = last_prog->posts;

	last_prog->posts = 0;
	return posts;
}

void fake_close_self(void)
{
	handle_close(fake_info()->self);
}
