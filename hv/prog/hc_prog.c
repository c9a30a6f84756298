/* SPDX-License-Identifier: BSD-2-Clause */
/* Hypercalls of any program about itself, its events and handles, and of the control kernel about programs. */
#include "hv/prog/crash.h"
#include "hv/prog/hypercall.h"

#include "hv/boot/boot.h"
#include "hv/lib/log.h"
#include "hv/lib/string.h"
#include "hv/mm/user.h"

#define LOG_MAX 256u
#define LAST_WORDS_MAX 128u
#define ARGS_MAX 8u

/* Copies a text of the caller and makes it printable. */
static int read_text(char *to, size_t room, uva_t from, uint64_t len)
{
	if (len >= room)
		return -HVE_INVAL;
	if (user_read(to, from, len) != 0)
		return -HVE_FAULT;
	for (size_t i = 0; i < len; i++)
		if (to[i] < ' ' || to[i] > '~')
			to[i] = to[i] == '\n' || to[i] == '\t' ? ' ' : '?';
	to[len] = 0;
	return 0;
}

int hc_abi_version(struct prog *p, struct object *o, uint64_t *value)
{
	(void)p, (void)o;
	*value = HV_ABI_VERSION;
	return 0;
}

int hc_log_write(struct prog *p, struct object *o, uint64_t *value)
{
	char text[LOG_MAX];
	uint64_t len = arg1(p);

	(void)o, (void)value;
	if (len > LOG_MAX)
		return -HVE_INVAL;
	if (user_read(text, arg0(p), len) != 0)
		return -HVE_FAULT;
	log_write(text, len);
	return 0;
}

int hc_exit(struct prog *p, struct object *o, uint64_t *value)
{
	char text[LAST_WORDS_MAX + 1] = "";

	(void)o, (void)value;
	/* It ends whatever it says. */
	if (read_text(text, sizeof(text), arg1(p), arg2(p)) != 0)
		text[0] = 0;
	prog_die(p, HV_CAUSE_EXIT, arg0(p), text);
	return 0;
}

void event_wait(struct prog *p, uint64_t deadline_ns, uint64_t *value)
{
	watch_waits(p);
	if (__atomic_load_n(&p->events, __ATOMIC_RELAXED))
		*value = __atomic_exchange_n(&p->events, 0, __ATOMIC_SEQ_CST);
	else if (deadline_ns == UINT64_MAX || deadline_ns > time_now())
		prog_wait(p, deadline_ns);
}

int hc_event_wait(struct prog *p, struct object *o, uint64_t *value)
{
	(void)o;
	event_wait(p, arg0(p), value);
	return 0;
}

int hc_event_post(struct prog *p, struct object *o, uint64_t *value)
{
	(void)value;
	prog_events_post(as_prog(o), arg1(p));
	return 0;
}

int hc_time_now(struct prog *p, struct object *o, uint64_t *value)
{
	(void)p, (void)o;
	*value = time_now();
	return 0;
}

int hc_brk(struct prog *p, struct object *o, uint64_t *value)
{
	int err = arg0(p) ? space_brk(p, arg0(p)) : 0;

	(void)o;
	*value = p->brk_end;
	return err;
}

int hc_handle_close(struct prog *p, struct object *o, uint64_t *value)
{
	(void)o, (void)value;
	return handle_close(p, arg0(p));
}

int hc_handle_grant(struct prog *p, struct object *to, uint64_t *value)
{
	uint64_t h = arg1(p), rights = arg2(p);
	struct object *o;
	int err;

	if (rights & ~(uint64_t)HVR_ALL)
		return -HVE_INVAL;
	err = handle_find(p, h, 0, HVR_GRANT, &o);
	if (err != 0)
		return err;
	/* An interrupt posts to the program that bound it; nobody else can use one. */
	if (o->type == OBJECT_IRQ)
		return -HVE_INVAL;
	/* Only its creator keeps a program that was never started; in a circle of such they would keep each other. */
	if (o->type == OBJECT_PROG && as_prog(o)->state == HV_PROG_NEW)
		return -HVE_STATE;
	return answer_handle(as_prog(to), o, (uint32_t)rights & handle_rights(p, h), value);
}

int hc_prog_self(struct prog *p, struct object *o, uint64_t *value)
{
	(void)value;
	return handle_find(p, arg0(p), 0, 0, &o);
}

int hc_heartbeat(struct prog *p, struct object *o, uint64_t *value)
{
	uint64_t ns = arg0(p);

	(void)o, (void)value;
	if (ns != 0 && ns < HV_HEARTBEAT_MIN_NS)
		return -HVE_INVAL;
	watch_promise(p, ns);
	return 0;
}

/* ---- other programs ---- */

static int check_create(const struct hv_prog_create *in)
{
	if (in->image != HV_IMAGE_VMM || in->weight < SCHED_WEIGHT_MIN ||
	    in->weight > SCHED_WEIGHT_MAX || in->death_bit >= HV_EVENT_BITS ||
	    in->park_bit >= HV_EVENT_BITS || in->doorbell_bit >= HV_EVENT_BITS ||
	    in->state_bit >= HV_EVENT_BITS || in->budget_pages == 0)
		return -HVE_INVAL;
	return 0;
}

/* Becomes its VM's vmm and gets the handle to it. */
static int serve_vm(struct prog *child, struct vm *vm)
{
	int err = handle_add(child, &vm->obj, HVR_READ | HVR_RUN, &child->info->vm);

	if (err != 0)
		return err;
	err = notify_vmm(vm, child);
	if (err != 0)
		return err;
	object_get(&vm->obj);
	child->vm = vm;
	/* What a guest can read of its own device program it may know. */
	child->domain = vm->id;
	child->info->instance = ++vm->vmm_instances;
	return 0;
}

int hc_prog_create(struct prog *p, struct object *o, uint64_t *value)
{
	struct prog_config config = {.image = image_vmm, .image_end = image_vmm_end};
	struct hv_prog_create in;
	struct object *vm = NULL;
	struct prog *child;
	int err;

	(void)o;
	if (user_read(&in, arg0(p), sizeof(in)) != 0)
		return -HVE_FAULT;
	err = check_create(&in);
	if (err == 0 && in.vm)
		err = handle_find(p, in.vm, OBJECT_VM, HVR_OWN, &vm);
	if (err != 0)
		return err;
	config.kind = in.image;
	config.weight = in.weight;
	config.budget_pages = in.budget_pages;
	err = prog_create(&config, &child);
	if (err != 0)
		return err;
	object_get(&p->obj);
	child->parent = p;
	child->death_bit = in.death_bit;
	child->park_bit = in.park_bit;
	child->doorbell_bit = in.doorbell_bit;
	child->state_bit = in.state_bit;
	if (vm)
		err = serve_vm(child, as_vm(vm));
	if (err == 0)
		err = answer_handle(p, &child->obj, HVR_ALL, value);
	object_put(&child->obj); /* the handle keeps it; without one it goes */
	return err;
}

int hc_prog_start(struct prog *p, struct object *o, uint64_t *value)
{
	struct prog *child = as_prog(o);
	uint64_t args[ARGS_MAX], n = arg2(p);

	(void)value;
	if (n > ARGS_MAX)
		return -HVE_INVAL;
	if (user_read(args, arg1(p), n * sizeof(args[0])) != 0)
		return -HVE_FAULT;
	if (child->state != HV_PROG_NEW)
		return -HVE_STATE;
	memcpy(child->info->args, args, n * sizeof(args[0]));
	child->info->n_args = (uint32_t)n;
	/* What the vmm before it was told of and did not come to. */
	if (child->vm)
		prog_events_post(child, 1ull << child->park_bit | 1ull << child->doorbell_bit |
						1ull << child->state_bit);
	return prog_start(child);
}

int hc_prog_destroy(struct prog *p, struct object *o, uint64_t *value)
{
	(void)value;
	if (as_prog(o) == p)
		return -HVE_INVAL; /* that is EXIT */
	prog_kill(as_prog(o));
	handle_close_object(p, o);
	return 0;
}

int hc_prog_info(struct prog *p, struct object *o, uint64_t *value)
{
	struct prog *other = as_prog(o);
	struct hv_prog_info info = {.state = __atomic_load_n(&other->state, __ATOMIC_ACQUIRE)};

	(void)value;
	if (arg2(p) != sizeof(info))
		return -HVE_INVAL;
	if (info.state == HV_PROG_DEAD) {
		info = other->last;
		info.state = HV_PROG_DEAD;
	}
	info.cpu_ns = sched_cpu_ns(&other->ent);
	info.mem_pages = __atomic_load_n(&other->acct.pages, __ATOMIC_RELAXED);
	return user_write(arg1(p), &info, sizeof(info));
}

int hc_crash_info(struct prog *p, struct object *o, uint64_t *value)
{
	struct hv_crash crash;
	int err;

	(void)o;
	if (arg2(p) != sizeof(crash))
		return -HVE_INVAL;
	err = crash_read(arg0(p), &crash);
	if (err != 0)
		return err;
	*value = crash.number;
	return user_write(arg1(p), &crash, sizeof(crash));
}
