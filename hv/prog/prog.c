/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Life and death of programs.
 *
 *  NEW --start--> LIVE --exit, fault (prog_die) or PROG_DESTROY (prog_kill)--> dying --off its CPU--> DEAD
 *
 * Whoever sets `dying` blocks it for good. If it was on a CPU then, that CPU takes it apart when it leaves it
 * (sched_ops.gone), else the killer does. The struct stays until the last handle is closed, and its account until
 * the last page charged to it is given back.
 */
#include "hv/prog/crash.h"
#include "hv/prog/elf.h"
#include "hv/prog/handle.h"
#include "hv/prog/prog.h"

#include "hv/boot/boot.h"
#include "hv/cpu/speculation.h"
#include "hv/lib/log.h"
#include "hv/lib/string.h"

struct prog *prog_ctrl;
struct account account_modules;
struct spinlock hv_lock;
static struct spinlock list_lock;
static struct prog *progs;   /* [L:list_lock] those with an address space */
static struct prog *graves;  /* [L:list_lock] freed, but their account still pays for something */
static uint32_t next_id = 1; /* [a] */

/* ---- lists ---- */

static void list_add(struct prog **list, struct prog *p)
{
	spin_lock(&list_lock);
	p->next = *list;
	*list = p;
	spin_unlock(&list_lock);
}

static void list_remove(struct prog **list, const struct prog *p)
{
	spin_lock(&list_lock);
	while (*list && *list != p)
		list = &(*list)->next;
	if (*list)
		*list = p->next;
	spin_unlock(&list_lock);
}

static void sweep_graves(void)
{
	struct prog **at = &graves;

	spin_lock(&list_lock);
	while (*at) {
		struct prog *p = *at;

		if (__atomic_load_n(&p->acct.pages, __ATOMIC_ACQUIRE)) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		hv_page_free(&account_hv, p);
	}
	spin_unlock(&list_lock);
}

void prog_each(void (*fn)(struct prog *p))
{
	spin_lock(&list_lock);
	for (struct prog *p = progs; p; p = p->next)
		fn(p);
	spin_unlock(&list_lock);
}

static uint64_t sum_pages(const struct prog *p)
{
	uint64_t sum = 0;

	for (; p; p = p->next)
		sum += p == prog_ctrl ? 0 : __atomic_load_n(&p->acct.pages, __ATOMIC_RELAXED);
	return sum;
}

uint64_t prog_pages_of_vmms(void)
{
	uint64_t sum;

	sweep_graves();
	spin_lock(&list_lock);
	sum = sum_pages(progs) + sum_pages(graves);
	spin_unlock(&list_lock);
	return sum;
}

/* ---- death ---- */

static void report(const struct prog *p)
{
	const struct hv_prog_info *l = &p->last;

	if (l->cause == HV_CAUSE_DESTROYED)
		return;
	log_printf("hv: %s (program %u) ended: %s, code %llx, rip %llx, rsp %llx, cr2 %llx%s%s\n",
		   p->image == HV_IMAGE_CTRL ? "the control kernel" : "a vmm", p->id,
		   crash_cause(l->cause), (unsigned long long)l->code, (unsigned long long)l->rip,
		   (unsigned long long)l->rsp, (unsigned long long)l->cr2,
		   l->text[0] ? "; last words: " : "", l->text);
}

static void free_memory(struct prog *p)
{
	handle_close_all(p);
	space_destroy(p);
	fpu_destroy(&p->fpu, &p->acct);
	if (p->info)
		hv_page_free(&p->acct, p->info);
	p->info = NULL;
}

/* All it has, but the struct. */
static void strip(struct prog *p)
{
	if (p->rights & HVPR_HW)
		hw_release(p);
	notify_forget(p);
	prog_wait_end(p);
	free_memory(p);
	list_remove(&progs, p);
	if (p == prog_ctrl)
		__atomic_store_n(&prog_ctrl, NULL, __ATOMIC_RELEASE);
	if (p->vm)
		object_put(&p->vm->obj);
	p->vm = NULL;
}

/* It runs nowhere any more. Once for each program. */
static void take_apart(struct prog *p)
{
	bool started = p->state == HV_PROG_LIVE;
	bool was_ctrl = p == prog_ctrl;
	struct prog *parent;

	if (p->last.cause != HV_CAUSE_DESTROYED)
		crash_record(p);
	strip(p);
	report(p);
	parent = p->parent; /* no VM knows it any more, so nobody adopts it */
	p->parent = NULL;
	__atomic_store_n(&p->state, HV_PROG_DEAD, __ATOMIC_RELEASE);
	__atomic_store_n(&p->gone, true, __ATOMIC_RELEASE);
	if (parent) {
		prog_events_post(parent, 1ull << p->death_bit);
		object_put(&parent->obj);
	}
	if (started)
		object_put(&p->obj);
	if (was_ctrl)
		ctrl_ended();
}

void prog_gone(struct sched_ent *e)
{
	take_apart(CONTAINER_OF(e, struct prog, ent));
}

static void write_down(struct prog *p, uint32_t cause, uint64_t code, const char *text)
{
	p->last.cause = cause;
	p->last.code = code;
	p->last.rip = p->regs.rip;
	p->last.rsp = p->regs.rsp;
	str_copy(p->last.text, text, sizeof(p->last.text));
}

void prog_die(struct prog *p, uint32_t cause, uint64_t code, const char *text)
{
	if (__atomic_exchange_n(&p->dying, true, __ATOMIC_ACQ_REL)) {
		this_cpu()->need_resched = true; /* it is being destroyed and will be blocked */
		return;
	}
	write_down(p, cause, code, text);
	sched_block_self(&p->ent, BLOCK_DEAD);
}

void prog_kill(struct prog *p)
{
	bool mine;

	spin_lock(&hv_lock); /* prog_start holds it too */
	mine = !__atomic_exchange_n(&p->dying, true, __ATOMIC_ACQ_REL);
	spin_unlock(&hv_lock);
	if (mine) {
		write_down(p, HV_CAUSE_DESTROYED, 0, "");
		if (!sched_block(&p->ent, BLOCK_DEAD))
			take_apart(p);
	}
	while (!__atomic_load_n(&p->gone, __ATOMIC_ACQUIRE))
		sched_relax();
}

static void prog_free(struct object *o)
{
	struct prog *p = CONTAINER_OF(o, struct prog, obj);

	sched_wait_off(&p->ent);
	if (!p->gone) { /* never started */
		strip(p);
		if (p->parent)
			object_put(&p->parent->obj);
	}
	list_add(&graves, p);
	sweep_graves();
}

/* ---- birth ---- */

static void fill_info(struct prog *p)
{
	struct hv_info *i = p->info;

	i->magic = HV_INFO_MAGIC;
	i->abi_version = HV_ABI_VERSION;
	i->image = p->image;
	i->instance = 1;
	i->tsc_khz = tsc_khz;
	i->tsc_base = tsc_base;
	i->tsc_mult = tsc_mult;
	i->brk_start = p->brk_start;
	for (unsigned n = 0; n < ARRAY_SIZE(i->random); n++)
		i->random[n] = cpu_random();
	str_copy(i->build_id, hv_build_id, sizeof(i->build_id));
}

static int map_fixed(struct prog *p)
{
	int err = space_add(p, HV_VA_STACK_TOP - HV_STACK_SIZE, HV_STACK_SIZE / PAGE_SIZE,
			    PT_R | PT_W);

	if (err != 0)
		return err;
	p->info = hv_page_alloc(&p->acct);
	if (!p->info)
		return -HVE_NOMEM;
	return pt_map(&p->as, HV_VA_INFO, hv_to_phys(p->info), PAGE_SHIFT, PT_R | PT_BORROWED);
}

static int build(struct prog *p, const struct prog_config *c)
{
	struct elf_image elf;
	int err = elf_read(c->image, (uint64_t)(c->image_end - c->image), &elf);

	if (err == 0)
		err = space_create(p);
	if (err == 0)
		err = space_load(p, c->image, &elf);
	if (err == 0)
		err = map_fixed(p);
	if (err == 0)
		err = fpu_create(&p->fpu, &p->acct);
	if (err != 0)
		return err;
	p->fpu.xcr0 = cpu_features.xcr0_mask; /* of all: so XCR0 need not change */
	fill_info(p);
	p->regs.rip = elf.entry;
	p->regs.rsp = HV_VA_STACK_TOP;
	p->regs.rflags = 0x202; /* IF and the bit that is always 1 */
	return 0;
}

int prog_create(const struct prog_config *config, struct prog **out)
{
	struct prog *p = hv_page_alloc(&account_hv);
	int err;

	if (!p)
		return -HVE_NOMEM;
	object_init(&p->obj, OBJECT_PROG, prog_free);
	sched_ent_init(&p->ent, &prog_sched_ops, NULL, config->weight);
	p->ent.fpu = &p->fpu;
	timer_init(&p->wait_timer, prog_wait_over);
	p->id = __atomic_fetch_add(&next_id, 1, __ATOMIC_RELAXED);
	p->domain = SPECULATION_PROG_DOMAIN | p->id;
	p->acct.limit = config->budget_pages;
	p->image = config->kind;
	p->rights = config->rights;
	list_add(&progs, p);
	err = build(p, config);
	if (err != 0)
		object_put(&p->obj);
	else
		*out = p;
	return err;
}

int prog_start(struct prog *p)
{
	int err;

	if (p->state != HV_PROG_NEW || p->dying)
		return -HVE_STATE;
	err = handle_add(p, &p->obj, HVR_READ | HVR_POST | HVR_GRANT, &p->info->self);
	if (err != 0)
		return err;
	object_get(&p->obj); /* for its life */
	__atomic_store_n(&p->state, HV_PROG_LIVE, __ATOMIC_RELEASE);
	sched_unblock(&p->ent, BLOCK_NEW);
	return 0;
}
