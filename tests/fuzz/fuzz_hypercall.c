/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/prog/hypercall.c
// SRC: hv/prog/hc_prog.c
// SRC: hv/prog/hc_mem.c
// SRC: hv/prog/hc_hw.c
// SRC: hv/prog/hc_vm.c
// SRC: hv/prog/handle.c
// SRC: hv/prog/crash.c
// SRC: hv/prog/keep.c
// SRC: hv/prog/upgrade.c
// SRC: hv/prog/elf.c
// SRC: hv/cpu/speculation.c
// SRC: hv/lib/string.c
/*
 * Sequences of hypercalls with any arguments. What lies below decoding is replaced by functions that only check that
 * what reaches them keeps their contract, and by counted objects, so that a forgotten or doubled count is seen.
 */
#include <stdlib.h>
#include <string.h>
#include "hv/boot/boot.h"
#include "hv/cpu/speculation.h"
#include "hv/lib/log.h"
#include "hv/mm/pool.h"
#include "hv/mm/user.h"
#include "hv/prog/crash.h"
#include "hv/prog/hypercall.h"

#define MUST(c) ((c) ? (void)0 : abort())
#define ARENA 0x1000000ull
#define ARENA_SIZE 4096u
#define CALLS_MAX 200u

static struct prog caller;
static uint8_t arena[ARENA_SIZE];
static int objects;
static struct vm *vms[4];
static struct prog *children[CALLS_MAX + 1];
static unsigned n_children;

const uint8_t image_ctrl[1], image_ctrl_end[1], image_vmm[1], image_vmm_end[1];
struct cpu_features cpu_features = {.phys_bits = 40, .model_name = "fuzz"};
struct speculation speculation;
const struct vendor *vendor;
const char *vendor_reason = "none";
struct cpu *cpus[HV_CPUS_MAX];
static struct cpu the_cpu;

struct cpu *this_cpu(void)
{
	return &the_cpu;
}
unsigned n_cpus = 1;
uint64_t tsc_khz, irq_unclaimed, prog_boot_epoch;
uint32_t objects_live;
struct account account_hv, account_modules;
struct spinlock hv_lock;
struct prog *prog_ctrl = &caller;

/* ---- objects ---- */
void object_init(struct object *o, enum object_type type, void (*free_fn)(struct object *))
{
	o->type = type;
	o->refs = 1;
	o->free = free_fn;
	objects++;
}
void object_get(struct object *o)
{
	MUST(o->refs > 0);
	o->refs++;
}
void object_put(struct object *o)
{
	MUST(o->refs > 0);
	if (--o->refs)
		return;
	objects--;
	o->free(o);
}
int mem_fill(struct mem *m, uint64_t page_off, uint64_t reserve, hpa_t *hpa)
{
	MUST(page_off < m->pages && reserve != 0);
	*hpa = 0;
	return 0;
}
/* tests/unit/test_release.c */
int hc_vm_release(struct prog *p, struct object *o, uint64_t *value)
{
	(void)p, (void)o, (void)value;
	return -HVE_STATE;
}
static void free_object(struct object *o)
{
	free(o); /* each struct begins with it */
}
void *hv_pages_alloc(struct account *acct, unsigned n)
{
	return calloc(n, PAGE_SIZE);
}
void hv_pages_free(struct account *acct, void *p, unsigned n)
{
	free(p);
}
void *pool_alloc(struct pool *p)
{
	return calloc(1, p->size);
}
void pool_free(struct pool *p, void *o)
{
	free(o);
}

/* ---- the program's memory: one page ---- */
static bool in_arena(uint64_t at, size_t len)
{
	return at >= ARENA && at < ARENA + ARENA_SIZE && len <= ARENA + ARENA_SIZE - at;
}
int user_read(void *to, uva_t from, size_t len)
{
	MUST(len <= 4096);
	if (len && !in_arena(from, len))
		return -HVE_FAULT;
	if (len)
		memcpy(to, arena + (from - ARENA), len);
	return 0;
}
int user_write(uva_t to, const void *from, size_t len)
{
	MUST(len <= 4096);
	if (len && !in_arena(to, len))
		return -HVE_FAULT;
	if (len)
		memcpy(arena + (to - ARENA), from, len);
	return 0;
}
void phys_read(void *to, hpa_t from, size_t len)
{
	MUST(from % PAGE_SIZE + len <= PAGE_SIZE);
	memset(to, 0x5a, len);
}
bool pt_lookup(const struct pt *pt, uint64_t va, struct pt_entry *out)
{
	MUST(va < HV_VA_END);
	*out = (struct pt_entry){.va = ARENA, .hpa = PAGE_SIZE, .shift = PAGE_SHIFT};
	return in_arena(va, 1);
}
void log_tail(char *to, size_t size)
{
	memset(to, 'l', size - 1);
	to[size - 1] = 0;
}
void log_write(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		arena[0] ^= (uint8_t)text[i];
}

/* ---- below decoding ---- */
uint64_t time_now(void)
{
	return 1000;
}
void sched_set_weight(struct sched_ent *e, uint32_t w)
{
	MUST(w >= 1 && w <= 10000);
}
void sched_group_set_cap(struct sched_group *g, uint32_t cap)
{
	MUST(cap <= 100 * HV_CPUS_MAX);
}
uint64_t sched_idle_ns(void)
{
	return 0;
}
uint64_t sched_cpu_ns(struct sched_ent *e)
{
	return e->cpu_ns;
}
void frame_stats(struct frame_stats *out)
{
	*out = (struct frame_stats){1, 1};
}
uint64_t prog_pages_of_vmms(void)
{
	return 0;
}
uint64_t vm_pages_of_all(void)
{
	return 0;
}
int mem_create(uint32_t flags, struct account *acct, struct mem **out)
{
	MUST(!(flags & ~(HVM_DMA | HVM_HV)) && acct == &caller.acct);
	*out = calloc(1, sizeof(**out));
	(*out)->flags = flags;
	object_init(&(*out)->obj, OBJECT_MEM, free_object);
	return 0;
}
int mem_grow(struct mem *m, uint64_t pages, uint64_t *now)
{
	if (pages > 1ull << 36)
		return -HVE_INVAL;
	if (pages > m->pages)
		m->pages += pages - m->pages > HV_GROW_MAX ? HV_GROW_MAX : pages - m->pages;
	*now = m->pages;
	return 0;
}
int mem_lookup(struct mem *m, uint64_t off, hpa_t *hpa, uint64_t *run)
{
	if (off >= m->pages)
		return -HVE_INVAL;
	*hpa = (off << PAGE_SHIFT) + (m->flags ? PAGE_SIZE : 0);
	*run = m->flags ? 1 : 512 - off % 512;
	return 0;
}
void mem_recharge(struct mem *m, struct account *a)
{
	MUST(m->obj.refs > 0);
}
static void check_range(struct mem *m, uint64_t off, uint64_t pages, uint64_t va, unsigned prot)
{
	MUST(pages && pages <= HV_MAP_MAX && off < m->pages && pages <= m->pages - off);
	MUST(va % PAGE_SIZE == 0 && (prot & PT_R) && prot <= (PT_R | PT_W | PT_X));
}
int space_map(struct prog *p, uva_t va, struct mem *m, uint64_t off, uint64_t pages, unsigned prot)
{
	check_range(m, off, pages, va, prot);
	MUST((prot & (PT_W | PT_X)) != (PT_W | PT_X));
	return 0;
}
int space_map_device(struct prog *p, uva_t va, hpa_t hpa, uint64_t pages)
{
	MUST(pages && pages <= 4096 && hpa % PAGE_SIZE == 0 && hpa < 1ull << 40);
	return 0;
}
int space_unmap(struct prog *p, uva_t va, uint64_t pages)
{
	return -HVE_NOENT;
}
int space_brk(struct prog *p, uva_t end)
{
	return -HVE_INVAL;
}
bool plat_is_device_memory(hpa_t start, hpa_t end)
{
	MUST(start < end);
	return start >= 0x80000000;
}
static void check_pci(uint32_t bdf, unsigned off, unsigned width)
{
	MUST(bdf < 0x10000 && (width == 1 || width == 2 || width == 4) && off + width <= 4096 &&
	     off % width == 0);
}
int pci_config_read(uint32_t bdf, unsigned off, unsigned width, uint32_t *v)
{
	check_pci(bdf, off, width);
	*v = 0;
	return 0;
}
int pci_config_write(uint32_t bdf, unsigned off, unsigned width, uint32_t v)
{
	check_pci(bdf, off, width);
	MUST(width == 4 || v >> (8 * width) == 0);
	return 0;
}
static unsigned irqs_out;
int irq_alloc_gsi(unsigned gsi, unsigned flags, irq_fire_t fire, void *ctx, unsigned *irq)
{
	MUST(!(flags & ~3u));
	if (gsi >= 24)
		return -HVE_NOENT;
	fire(ctx);
	irqs_out++;
	*irq = gsi;
	return 0;
}
int irq_alloc_msi(irq_fire_t fire, void *ctx, unsigned *irq, uint64_t *address, uint32_t *data)
{
	fire(ctx);
	irqs_out++;
	*irq = 30;
	*address = *data = 0;
	return 0;
}
void irq_unmask(unsigned irq)
{
	MUST(irq <= 30);
}
void irq_release(unsigned irq)
{
	MUST(irqs_out--);
}
void plat_reboot(void)
{
	abort(); /* left out below */
}
void plat_power_off(void)
{
}

/* ---- programs ---- */
void prog_events_post(struct prog *p, uint64_t bits)
{
	p->events |= bits;
}
void watch_promise(struct prog *p, uint64_t ns)
{
	MUST(p == &caller && (ns == 0 || ns >= HV_HEARTBEAT_MIN_NS));
}
void prog_wait(struct prog *p, uint64_t deadline)
{
	MUST(p->events == 0 && deadline > 1000);
}
void prog_die(struct prog *p, uint32_t cause, uint64_t code, const char *text)
{
	MUST(p == &caller && strlen(text) <= 128);
	p->last = (struct hv_prog_info){.cause = cause, .code = code};
	crash_record(p);
}
static void free_prog(struct object *o)
{
	struct prog *p = as_prog(o);

	for (unsigned i = 0; i < n_children; i++)
		if (children[i] == p)
			children[i] = NULL;
	handle_close_all(p);
	if (p->vm)
		object_put(&p->vm->obj);
	p->parent->obj.refs--; /* the caller is no heap object */
	free(p->info);
	free(p);
}
int prog_create(const struct prog_config *c, struct prog **out)
{
	MUST(c->kind == HV_IMAGE_VMM && c->rights == 0 && c->weight && c->weight <= 10000 &&
	     c->budget_pages);
	*out = calloc(1, sizeof(**out));
	(*out)->info = calloc(1, PAGE_SIZE);
	object_init(&(*out)->obj, OBJECT_PROG, free_prog);
	children[n_children++] = *out;
	return 0;
}
int prog_start(struct prog *p)
{
	MUST(p->state == HV_PROG_NEW && p->info->n_args <= 8);
	p->state = HV_PROG_LIVE;
	return 0;
}
void prog_kill(struct prog *p)
{
	MUST(p != &caller);
	p->state = HV_PROG_DEAD;
	handle_close_all(p);
}
void notify_owner(struct vm *vm, struct prog *p, uint32_t state_bit, uint32_t console_bit,
		  uint32_t io_bit)
{
	MUST(p == &caller && state_bit < 64 && console_bit < 64 && io_bit < 64);
}
struct prog *notify_adopt(struct vm *vm, struct prog *p, const struct hv_vm_adopt *in)
{
	MUST(p == &caller && in->state_bit < 64 && in->console_bit < 64 && in->io_bit < 64 &&
	     in->death_bit < 64);
	return NULL;
}
void notify_of(struct vm *vm, enum hv_notify what)
{
	MUST(what == HV_NOTIFY_STATUS || what == HV_NOTIFY_IO);
}
void ctrl_modules_given(void)
{
}
void timer_init(struct timer *t, void (*fire)(struct timer *))
{
	abort(); /* between two instances only, and there are none here */
}
void timer_arm(struct timer *t, uint64_t deadline)
{
	abort();
}
void timer_cancel(struct timer *t)
{
	abort();
}
void sched_kick(struct sched_ent *e)
{
	abort();
}
void log_printf(const char *format, ...)
{
}
int hv_snprintf(char *buf, size_t size, const char *format, ...)
{
	return 0;
}
int notify_vmm(struct vm *vm, struct prog *p)
{
	return 0;
}

/* ---- VMs ---- */
static void free_vm(struct object *o)
{
	struct vm *vm = as_vm(o);

	for (unsigned i = 0; i < vm->n_vcpus; i++)
		free(vm->vcpus[i]);
	free(vm);
}
int vm_create(const struct hv_vm_create *in, struct mem *console, struct vm **out)
{
	struct vm *vm;
	unsigned i;

	MUST(strnlen(in->name, sizeof(in->name)) < sizeof(in->name));
	if (in->vcpus == 0 || in->vcpus > HV_VCPUS_MAX)
		return -HVE_INVAL;
	for (i = 0; i < 4 && vms[i]; i++)
		;
	if (i == 4)
		return -HVE_NOMEM;
	vm = calloc(1, sizeof(*vm));
	vm->id = i + 1;
	vm->n_vcpus = in->vcpus;
	for (unsigned k = 0; k < in->vcpus; k++)
		vm->vcpus[k] = calloc(1, sizeof(struct vcpu));
	object_init(&vm->obj, OBJECT_VM, free_vm);
	object_get(&vm->obj);
	vms[i] = *out = vm;
	return 0;
}
void vm_destroy(struct vm *vm)
{
	for (unsigned i = 0; i < HV_SLOTS; i++)
		if (vm->slots[i])
			object_put(&vm->slots[i]->obj);
	memset(vm->slots, 0, sizeof(vm->slots));
	if (vm->dead)
		return;
	vm->dead = true;
	vms[vm->id - 1] = NULL;
	object_put(&vm->obj);
}
int vm_map(struct vm *vm, struct mem *m, uint64_t off, gpa_t gpa, uint64_t pages, unsigned prot)
{
	check_range(m, off, pages, gpa, prot);
	return 0;
}
int vm_attach(struct vm *vm, unsigned slot, struct mem *m)
{
	MUST(slot >= HV_SLOT_RAM && slot < HV_SLOTS && !vm->dead);
	if (m && vm->slots[slot])
		return -HVE_EXIST;
	if (m)
		object_get(&m->obj);
	else if (vm->slots[slot])
		object_put(&vm->slots[slot]->obj);
	vm->slots[slot] = m;
	return 0;
}
int vm_control(struct vm *vm, enum hv_vm_control what, uint64_t arg)
{
	MUST(what >= 1 && what <= 6 && arg <= HV_VMR_MACHINE_CHECK);
	return 0;
}
int vm_reset(struct vm *vm)
{
	return 0;
}
void vm_info(struct vm *vm, struct hv_vm_info *out)
{
	memset(out, 0, sizeof(*out));
	out->id = vm->id;
}
unsigned vm_console_in(struct vm *vm, const uint8_t *bytes, unsigned len)
{
	MUST(len <= 256);
	for (unsigned i = 0; i < len; i++)
		arena[1] ^= bytes[i];
	return len;
}
int vm_claim(struct vm *vm, unsigned space, uint64_t base, uint64_t len, unsigned kind,
	     unsigned bit)
{
	MUST(space <= 1 && kind <= 1 && bit < 64);
	return 0;
}
int vm_unclaim(struct vm *vm, unsigned space, uint64_t base, uint64_t len)
{
	MUST(space <= 1);
	return 0;
}
int vm_irq_line(struct vm *vm, unsigned gsi, bool level)
{
	MUST(gsi < HV_IOAPIC_PINS);
	return 0;
}
int vm_msi(struct vm *vm, uint64_t address, uint32_t data)
{
	return 0;
}
int vm_save_machine(struct vm *vm, struct hv_state_machine *out)
{
	out->version = vm->id;
	return 0;
}
int vm_save_vcpu(struct vm *vm, unsigned index, struct hv_state_vcpu *out)
{
	if (index >= vm->n_vcpus)
		abort(); /* checked before */
	out->flags = index;
	return 0;
}
int vm_load_machine(struct vm *vm, const struct hv_state_machine *in)
{
	return in->version == vm->id ? 0 : -HVE_INVAL;
}
int vm_load_vcpu(struct vm *vm, unsigned index, const struct hv_state_vcpu *in)
{
	if (index >= vm->n_vcpus)
		abort();
	return in->flags == index ? 0 : -HVE_INVAL;
}
int vm_vcpu_set(struct vm *vm, unsigned index, const struct hv_vcpu_regs *in)
{
	MUST(index < vm->n_vcpus);
	return 0;
}
int vm_vcpu_get(struct vm *vm, unsigned index, struct hv_vcpu_regs *out)
{
	MUST(index < vm->n_vcpus);
	memset(out, 0, sizeof(*out));
	return 0;
}
int vm_vcpu_resume(struct vm *vm, unsigned index, uint64_t seq, uint64_t value)
{
	MUST(index < vm->n_vcpus);
	return 0;
}
struct vm *vm_next(uint32_t above)
{
	for (unsigned i = 0; i < 4; i++)
		if (vms[i] && vms[i]->id > above) {
			object_get(&vms[i]->obj);
			return vms[i];
		}
	return NULL;
}

/* ---- the fuzzer's program ---- */
struct input {
	const uint8_t *at, *end;
};

static uint64_t take(struct input *in, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n && in->at < in->end; i++)
		v |= (uint64_t)*in->at++ << (8 * i);
	return v;
}

/* Small numbers, handles and addresses in the arena are likely, all others possible. */
static uint64_t argument(struct input *in)
{
	uint64_t kind = take(in, 1);

	switch (kind & 7) {
	case 0:
		return kind >> 3;
	case 1:
		return (kind >> 3) | 1u << 12;
	case 2:
		return (kind >> 3 & 7) | 1u << 12;
	case 3:
		return ARENA + (kind >> 3) * 16;
	case 4:
		return take(in, 2);
	case 5:
		return take(in, 2) << 12;
	case 6:
		return ~0ull << take(in, 1) % 64;
	default:
		return take(in, 8);
	}
}

static void one_call(struct input *in)
{
	struct uregs *r = &caller.regs;

	r->rax = take(in, 1);
	r->rdi = argument(in);
	r->rsi = argument(in);
	r->rdx = argument(in);
	r->r10 = argument(in);
	r->r8 = argument(in);
	r->r9 = argument(in);
	if (r->rax == HVC_HOST_POWER && r->rdi == HV_POWER_REBOOT)
		return;
	if (r->rax >= HVC_THEN_WAIT + 100) { /* write a field into memory instead */
		memcpy(arena + r->rdi % (ARENA_SIZE - 8), &r->rsi, 8);
		return;
	}
	hypercall(&caller);
	MUST((int64_t)r->rax <= 0 && (int64_t)r->rax >= -HVE_BUSY);
	MUST(r->rax == 0 || r->rdx == 0);
	MUST(hv_lock.next == hv_lock.owner);
}

static uint64_t call(uint64_t n, uint64_t a, uint64_t b, uint64_t c)
{
	caller.regs = (struct uregs){.rax = n, .rdi = a, .rsi = b, .rdx = c};
	hypercall(&caller);
	MUST(caller.regs.rax == 0);
	return caller.regs.rdx;
}

/* One of each, with handles 0x1001 and so on. */
static void furnish(void)
{
	struct hv_vm_create vm = {.vcpus = 2, .weight = 100};
	struct hv_prog_create prog = {.image = HV_IMAGE_VMM, .budget_pages = 9, .weight = 9};
	uint64_t mem;

	caller.rights = HVPR_HW | HVPR_VM;
	caller.state = HV_PROG_LIVE;
	vm.console = (uint32_t)call(HVC_MEM_CREATE, HVM_HV, 0, 0);
	call(HVC_MEM_GROW, vm.console, HV_CONSOLE_PAGES, 0);
	mem = call(HVC_MEM_CREATE, 0, 0, 0);
	call(HVC_MEM_GROW, mem, 600, 0);
	call(HVC_MEM_GROW, mem, 600, 0);
	memcpy(arena, &vm, sizeof(vm));
	prog.vm = (uint32_t)call(HVC_VM_CREATE, ARENA, 0, 0);
	memcpy(arena, &prog, sizeof(prog));
	call(HVC_PROG_CREATE, ARENA, 0, 0);
	call(HVC_IRQ_BIND_GSI, 3, 3, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	uint32_t self;

	memset(&caller, 0, sizeof(caller));
	memset(arena, 0, sizeof(arena));
	object_init(&caller.obj, OBJECT_PROG, free_object);
	MUST(handle_add(&caller, &caller.obj, HVR_READ | HVR_POST | HVR_GRANT, &self) == 0);
	furnish();
	caller.rights = take(&in, 1) & 3;
	for (unsigned i = 0; i < CALLS_MAX && in.at < in.end; i++)
		one_call(&in);
	caller.rights = HVPR_HW | HVPR_VM;
	for (unsigned i = 0; i < HV_KEEP_SLOTS; i++) {
		caller.regs = (struct uregs){.rax = HVC_MEM_KEEP, .rsi = i};
		hypercall(&caller);
	}
	handle_close_all(&caller);
	for (unsigned i = 0; i < n_children; i++) {
		struct prog *p = children[i];

		if (p) { /* it dies: what it holds may be itself */
			object_get(&p->obj);
			handle_close_all(p);
			object_put(&p->obj);
		}
	}
	n_children = 0;
	for (unsigned i = 0; i < 4; i++)
		if (vms[i])
			vm_destroy(vms[i]);
	MUST(caller.obj.refs == 1 && objects == 1 && irqs_out == 0);
	objects = 0;
	return 0;
}
