/* SPDX-License-Identifier: BSD-2-Clause */
/* See vmio.h. */
#include "ctrl-kernel/backend/vmio.h"

#include <assert.h>
#include <stdlib.h>
#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/vmm/vmm_abi.h"

/* Event bits for all VMs: whose bit is set is looked at, with all who share it. */
#define GROUPS 8u

struct vmio {
	struct vmio *next; /* of its group */
	unsigned group;
	char *area; /* [borrows] */
	struct {
		uint32_t page;
		char *va; /* [borrows] */
	} grown[VMIO_PARTS_MAX];
	unsigned n_grown;
	struct guest_mem *mem; /* [owns] a reference; NULL: not open yet */
	struct vmio_dev *devs;
	uint32_t prog;
	bool held, closed;
	unsigned n_leaving;                 /* devices that were busy when they were detached */
	void (*ended)(void *ctx, bool all); /* NULL: nobody waits for them */
	void *ctx;
	struct loop_timer limit;
	struct loop_job tell; /* the vmm; when it is closed, who waits */
};

static struct {
	uint32_t bit;
	unsigned n;
	struct vmio *first;
} groups[GROUPS];

static void on_event(void *ctx)
{
	for (struct vmio *io = groups[(uintptr_t)ctx].first; io; io = io->next)
		vmio_look(io);
}

void vmio_init(void)
{
	for (uintptr_t i = 0; i < GROUPS; i++) {
		int bit = loop_bit_alloc(on_event, (void *)i);

		if (bit < 0)
			rt_die("no event bit is left for the VMs' I/O");
		groups[i].bit = (uint32_t)bit;
	}
}

static void tell_end(struct vmio *io, bool all)
{
	void (*ended)(void *ctx, bool all) = io->ended;

	loop_timer_cancel(&io->limit);
	io->ended = NULL;
	if (ended)
		ended(io->ctx, all);
}

static void late(void *ctx)
{
	tell_end(ctx, false);
}

static void post_closed(struct vmio *io)
{
	if (io->n_leaving)
		return;
	tell_end(io, true);
	free(io);
}

static void post(void *ctx)
{
	struct vmio *io = ctx;

	if (io->closed)
		post_closed(io);
	else if (io->prog) /* fails only when it is dead: the next one looks */
		loop_last_call(HVC_EVENT_POST, io->prog, 1ull << VMM_EVENT_IO, 0, 0);
}

struct vmio *vmio_make(void)
{
	struct vmio *io = calloc(1, sizeof(*io));

	if (!io)
		return NULL;
	for (unsigned i = 1; i < GROUPS; i++)
		if (groups[i].n < groups[io->group].n)
			io->group = i;
	io->tell = (struct loop_job){.fn = post, .ctx = io};
	loop_timer_init(&io->limit, late, io);
	io->next = groups[io->group].first;
	groups[io->group].first = io;
	groups[io->group].n++;
	return io;
}

uint32_t vmio_bit(const struct vmio *io)
{
	return groups[io ? io->group : 0].bit;
}

void vmio_open(struct vmio *io, void *area, struct guest_mem *mem)
{
	io->area = area;
	io->mem = mem;
}

struct guest_mem *vmio_mem(const struct vmio *io)
{
	return io->mem;
}

void *vmio_page(const struct vmio *io, uint32_t page)
{
	unsigned i = io->n_grown;

	while (i > 0 && io->grown[i - 1].page > page)
		i--;
	if (i > 0)
		return io->grown[i - 1].va +
		       (uint64_t)(page - io->grown[i - 1].page) * HV_PAGE_SIZE;
	return io->area + (uint64_t)page * HV_PAGE_SIZE;
}

void vmio_grown(struct vmio *io, uint32_t page, void *va)
{
	assert(io->n_grown < VMIO_PARTS_MAX);
	io->grown[io->n_grown].page = page;
	io->grown[io->n_grown++].va = va;
}

void vmio_add(struct vmio *io, struct vmio_dev *d)
{
	d->io = io;
	d->next = io->devs;
	io->devs = d;
}

static void detach(struct vmio *io, struct vmio_dev *d)
{
	if (d->ops->busy(d)) {
		d->leaves = io;
		io->n_leaving++;
	}
	d->io = NULL;
	d->ops->detach(d);
}

void vmio_left(struct vmio_dev *d)
{
	struct vmio *io = d->leaves;

	d->leaves = NULL;
	if (io && --io->n_leaving == 0 && io->closed)
		loop_defer_last(&io->tell);
}

void vmio_remove(struct vmio *io, struct vmio_dev *d)
{
	struct vmio_dev **at = &io->devs;

	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	detach(io, d);
}

void vmio_look(struct vmio *io)
{
	for (struct vmio_dev *d = io->devs; d && !io->held; d = d->next)
		d->ops->look(d);
}

void vmio_vmm(struct vmio *io, uint32_t prog)
{
	io->prog = prog;
}

void vmio_tell(struct vmio *io)
{
	loop_defer_last(&io->tell);
}

void vmio_hold(struct vmio *io)
{
	io->held = true;
}

bool vmio_held(const struct vmio *io)
{
	return io->held;
}

void vmio_go_on(struct vmio *io)
{
	io->held = false;
	vmio_look(io);
}

bool vmio_busy(const struct vmio *io)
{
	for (const struct vmio_dev *d = io->devs; d; d = d->next)
		if (d->ops->busy(d))
			return true;
	return io->n_leaving > 0;
}

static void leave_group(struct vmio *io)
{
	struct vmio **at = &groups[io->group].first;

	while (*at != io)
		at = &(*at)->next;
	*at = io->next;
	groups[io->group].n--;
}

bool vmio_close(struct vmio *io, void (*fn)(void *ctx, bool all), void *ctx)
{
	if (!io)
		return true;
	leave_group(io);
	for (struct vmio_dev *d = io->devs, *next; d; d = next) {
		next = d->next;
		detach(io, d);
	}
	if (io->mem)
		guest_mem_put(io->mem);
	io->closed = true;
	if (io->n_leaving) {
		io->ended = fn;
		io->ctx = ctx;
		loop_timer_set(&io->limit, VMIO_CLOSE_NS);
		return false;
	}
	if (!io->tell.queued)
		free(io);
	return true;
}
