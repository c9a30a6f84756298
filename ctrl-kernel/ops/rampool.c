/* SPDX-License-Identifier: BSD-2-Clause */
/* Volumes in memory (rampool.h). */
#include "ctrl-kernel/ops/rampool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/keep_ram.h"
#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/storage/volume.h"

#define NS_PER_S 1000000000ull
#define TURN_CALLS 8u /* of MEM_GROW, each 2 MiB at most */

struct work { /* a change that ends later: memory is taken, or there is only the answer to give */
	struct loop_job job;
	struct ram_volume *v; /* [borrows] NULL: nothing is left to do */
	bool fresh;           /* v is being made */
	uint64_t bytes;       /* that it is to have */
	ops_done_fn done;
	void *ctx;
};

static unsigned index_of(const struct ram_volume *v)
{
	return (unsigned)(v - ram_volume(0));
}

/* ---- work ---- */

static void end(struct work *w, const struct ops_error *e)
{
	ops_done_fn done = w->done;
	void *ctx = w->ctx;

	if (w->v)
		w->v->changing = false;
	if (e && w->v && w->fresh) {
		hv_handle_close(w->v->mem);
		*w->v = (struct ram_volume){.mem = 0};
	}
	free(w);
	if (done)
		done(ctx, e);
}

static int no_memory(struct ops_error *e)
{
	return ops_fail(e, OPS_NO_SPACE, NULL, "the host has %llu bytes of memory to spare",
			(unsigned long long)host_memory_spare());
}

/* Some 2 MiB more. *pages: that there are now. */
static int grow(uint32_t mem, uint64_t wanted, uint64_t *pages, struct ops_error *e)
{
	for (unsigned i = 0; i < TURN_CALLS && *pages < wanted; i++) {
		uint64_t to = wanted - *pages > HV_GROW_MAX ? *pages + HV_GROW_MAX : wanted;
		int r;

		if ((to - *pages) * HV_PAGE_SIZE > host_memory_spare())
			return no_memory(e);
		r = hv_mem_grow(mem, to, pages);
		if (r)
			return r == -HVE_NOMEM ? no_memory(e) : ops_fail_hv(e, r, "taking memory");
	}
	return 0;
}

/* All memory is there. What has it open is told. */
static int in_force(struct work *w, struct ops_error *e)
{
	struct ram_volume *v = w->v;

	v->bytes = w->bytes;
	if (w->fresh)
		return keep_ram(index_of(v), e);
	keep_ram_changed(index_of(v));
	volumes_grown(v);
	return 0;
}

static void turn(void *ctx)
{
	struct work *w = ctx;
	struct ops_error e;
	uint64_t info, pages;
	int r;

	if (!w->v) {
		end(w, NULL);
		return;
	}
	r = hv_mem_info(w->v->mem, &info);
	if (r) {
		(void)ops_fail_hv(&e, r, "taking memory");
		end(w, &e);
		return;
	}
	pages = info & 0xffffffffffffull;
	r = grow(w->v->mem, w->bytes / HV_PAGE_SIZE, &pages, &e);
	if (r == 0 && pages < w->bytes / HV_PAGE_SIZE) {
		loop_defer(&w->job);
		return;
	}
	if (r == 0)
		r = in_force(w, &e);
	end(w, r ? &e : NULL);
}

static struct work *work_new(ops_done_fn done, void *ctx, struct ops_error *e)
{
	struct work *w = calloc(1, sizeof(*w));

	if (!w) {
		(void)ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
		return NULL;
	}
	*w = (struct work){.job = {.fn = turn, .ctx = w}, .done = done, .ctx = ctx};
	return w;
}

/* ---- checks ---- */

static struct ram_volume *find(const char *name, struct ops_error *e)
{
	struct ram_volume *v = ram_find(name);

	if (!v)
		(void)ops_fail(e, OPS_NO_VOLUME, NULL, "pool " POOL_RAM " has no volume \"%s\"",
			       name);
	else if (v->changing)
		(void)ops_fail(e, OPS_BUSY, NULL, "volume %s is just being changed", name);
	return v && !v->changing ? v : NULL;
}

static int name_free(const char *name, struct ops_error *e)
{
	if (!ram_find(name))
		return 0;
	return ops_fail(e, OPS_EXISTS, "name", "volume %s exists", name);
}

static int fits(uint64_t more, struct ops_error *e)
{
	return more <= host_memory_spare() ? 0 : no_memory(e);
}

static uint64_t whole_pages(uint64_t bytes)
{
	uint64_t n;

	/* What overflows does not fit either. */
	return __builtin_add_overflow(bytes, HV_PAGE_SIZE - 1, &n) ? UINT64_MAX
								   : n & ~(HV_PAGE_SIZE - 1ull);
}

/* ---- calls ---- */

static struct ram_volume *free_place(void)
{
	for (unsigned i = 0; i < RAM_VOLUMES_MAX; i++)
		if (!ram_volume(i)->mem)
			return ram_volume(i);
	return NULL;
}

int rampool_create(const char *name, uint64_t bytes, ops_done_fn done, void *ctx,
		   struct ops_error *e)
{
	struct ram_volume *v = free_place();
	struct work *w;
	uint64_t mem;
	int r;

	if (name_free(name, e) || fits(whole_pages(bytes), e))
		return -1;
	if (!v)
		return ops_fail(e, OPS_LIMIT, NULL, "there are %u volumes in memory already",
				RAM_VOLUMES_MAX);
	w = work_new(done, ctx, e);
	if (!w)
		return -1;
	r = hv_mem_create(0, &mem);
	if (r) {
		free(w);
		return ops_fail_hv(e, r, "making a memory object");
	}
	*v = (struct ram_volume){.mem = (uint32_t)mem,
				 .created_s = host_utc_ns(rt_now()) / NS_PER_S,
				 .changing = true};
	snprintf(v->name, sizeof(v->name), "%s", name);
	w->v = v;
	w->fresh = true;
	w->bytes = whole_pages(bytes);
	loop_defer(&w->job);
	return 0;
}

int rampool_resize(const char *name, uint64_t bytes, ops_done_fn done, void *ctx,
		   struct ops_error *e)
{
	struct ram_volume *v = find(name, e);
	struct work *w;

	if (!v)
		return -1;
	bytes = whole_pages(bytes);
	if (bytes < v->bytes)
		return ops_fail(e, OPS_UNSUPPORTED, "bytes",
				"a volume in memory cannot become smaller; make another one");
	if (fits(bytes - v->bytes, e))
		return -1;
	w = work_new(done, ctx, e);
	if (!w)
		return -1;
	v->changing = true;
	w->v = v;
	w->bytes = bytes;
	loop_defer(&w->job);
	return 0;
}

int rampool_rename(const char *name, const char *to, ops_done_fn done, void *ctx,
		   struct ops_error *e)
{
	struct ram_volume *v = find(name, e);
	struct work *w;

	if (!v || (strcmp(name, to) != 0 && name_free(to, e)))
		return -1;
	w = work_new(done, ctx, e);
	if (!w)
		return -1;
	snprintf(v->name, sizeof(v->name), "%s", to);
	keep_ram_changed(index_of(v));
	volumes_rebind();
	loop_defer(&w->job);
	return 0;
}

int rampool_delete(const char *name, struct blkdev *own, ops_done_fn done, void *ctx,
		   struct ops_error *e)
{
	struct ram_volume *v;
	struct work *w;
	char id[16];
	bool writer;

	if (own)
		volume_close(own);
	v = find(name, e);
	if (!v)
		return -1;
	if (volume_users(POOL_RAM, name, &writer))
		return ops_fail(e, OPS_BUSY, NULL, "volume %s is in use and cannot be deleted",
				name);
	w = work_new(done, ctx, e);
	if (!w)
		return -1;
	snprintf(id, sizeof(id), "ram-%u", index_of(v));
	volume_forget(id);
	keep_ram_gone(index_of(v));
	hv_handle_close(v->mem);
	*v = (struct ram_volume){.mem = 0};
	loop_defer(&w->job);
	return 0;
}

/* ---- views ---- */

void rampool_init(void)
{
	keep_ram_init();
}

void rampool_info(struct pool_info *out)
{
	*out = (struct pool_info){
		.ram = true, .extent_bytes = HV_PAGE_SIZE, .free = host_memory_spare()};
	snprintf(out->name, sizeof(out->name), POOL_RAM);
	out->bytes = out->free;
	for (unsigned i = 0; i < RAM_VOLUMES_MAX; i++) {
		const struct ram_volume *v = ram_volume(i);

		if (!v->mem || (v->changing && v->bytes == 0))
			continue;
		out->volumes++;
		out->bytes += v->bytes;
	}
}

bool rampool_volume_next(unsigned *cursor, struct volume_info *out)
{
	unsigned i = *cursor;

	while (i < RAM_VOLUMES_MAX && (!ram_volume(i)->mem || !ram_volume(i)->bytes))
		i++;
	*cursor = i + 1;
	if (i >= RAM_VOLUMES_MAX)
		return false;
	*out = (struct volume_info){.writable = true,
				    .bytes = ram_volume(i)->bytes,
				    .created_s = ram_volume(i)->created_s};
	snprintf(out->name, sizeof(out->name), "%s", ram_volume(i)->name);
	snprintf(out->id, sizeof(out->id), "ram-%u", i);
	snprintf(out->kind, sizeof(out->kind), "memory");
	return true;
}
