/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of operations (jobs.h). */
#include "ctrl-kernel/ops/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/ops/keep.h"
#include "ctrl-kernel/ops/sane.h"
#include "ctrl-kernel/rt/hvcall.h"

#define MAGIC 0x53424f4aull /* "JOBS" */
#define VERSION 1u
#define NS_PER_S 1000000000ull
#define WAITERS_MAX 64u /* clients that have gone wait to the end, too */

struct table { /* kept */
	uint64_t magic;
	uint32_t version, last_id;
	struct job jobs[JOBS_MAX];
};
_Static_assert(sizeof(struct job) == 448 && VERSION == 1, "another layout is another version");

#define TABLE_PAGES ((sizeof(struct table) + HV_PAGE_SIZE - 1) / HV_PAGE_SIZE)

struct waiter {
	struct job *job; /* [borrows] */
	struct loop_timer timer;
	loop_fn fn;
	void *ctx;
	struct waiter *next;
};

/* Before jobs_init() nothing is kept: tests of other parts go without. */
static struct table unkept, *table = &unkept; /* [owns] mapping */
static struct {
	loop_fn cancel;
	void *ctx;
} cancels[JOBS_MAX];
static struct waiter *waiters; /* [owns] */
static unsigned n_waiters;

static uint32_t table_mem(bool *found)
{
	uint64_t mem, now = 0;

	*found = hv_mem_kept(KEEP_SLOT_JOBS, &mem) == 0;
	if (*found)
		return (uint32_t)mem;
	if (hv_mem_create(0, &mem) || hv_mem_grow((uint32_t)mem, TABLE_PAGES, &now) ||
	    now < TABLE_PAGES || hv_mem_keep((uint32_t)mem, KEEP_SLOT_JOBS))
		rt_die("no memory for the table of operations");
	return (uint32_t)mem;
}

/* What the instance before may have left half-written is no job. */
static bool job_sane(const struct job *j)
{
	return j->id && j->state > JOB_FREE && j->state <= JOB_CANCELLED && j->code < OPS_CODES &&
	       text_ends(j->kind, sizeof(j->kind)) && text_ends(j->target, sizeof(j->target)) &&
	       text_ends(j->result, sizeof(j->result)) && text_ends(j->text, sizeof(j->text)) &&
	       text_ends(j->pool, sizeof(j->pool));
}

static void take_over(void)
{
	struct ops_error e;

	ops_fail(&e, OPS_INTERNAL, NULL, "the control kernel was restarted meanwhile; ask again");
	for (unsigned i = 0; i < JOBS_MAX; i++) {
		struct job *j = &table->jobs[i];

		if (!job_sane(j)) {
			j->state = JOB_FREE;
			continue;
		}
		if (j->id > table->last_id)
			table->last_id = j->id;
		if (j->state == JOB_RUNNING)
			job_end(j, &e);
	}
}

void jobs_init(void)
{
	bool found;
	uint32_t mem = table_mem(&found);

	table = rt_mem_map(mem, 0, TABLE_PAGES, HVP_READ | HVP_WRITE);
	hv_handle_close(mem); /* hv and the mapping hold it */
	if (!table)
		rt_die("the table of operations cannot be mapped");
	if (found && table->magic == MAGIC && table->version == VERSION) {
		take_over();
		return;
	}
	memset(table, 0, sizeof(*table));
	table->version = VERSION;
	table->magic = MAGIC;
}

/* A free one, or the one that ended first. */
static struct job *room(void)
{
	struct job *best = NULL;

	for (unsigned i = 0; i < JOBS_MAX; i++) {
		struct job *j = &table->jobs[i];

		if (j->state == JOB_FREE)
			return j;
		if (j->state != JOB_RUNNING && (!best || j->id < best->id))
			best = j;
	}
	return best;
}

struct job *job_begin(const char *kind, const char *target, const char *result, uint64_t total,
		      loop_fn cancel, void *ctx, struct ops_error *e)
{
	struct job *j = room();

	if (!j) {
		(void)ops_fail(e, OPS_LIMIT, NULL,
			       "%u operations are running; wait for some to end", JOBS_MAX);
		return NULL;
	}
	memset(j, 0, sizeof(*j));
	snprintf(j->kind, sizeof(j->kind), "%s", kind);
	snprintf(j->target, sizeof(j->target), "%s", target);
	snprintf(j->result, sizeof(j->result), "%s", result);
	j->total = total;
	j->started_ns = rt_now();
	j->id = ++table->last_id;
	cancels[j - table->jobs].cancel = cancel;
	cancels[j - table->jobs].ctx = ctx;
	__atomic_store_n(&j->state, JOB_RUNNING, __ATOMIC_RELEASE);
	return j;
}

struct job *job_begin_volume(const char *kind, const char *pool, const char *volume, const char *to,
			     uint64_t total, loop_fn cancel, void *ctx, struct ops_error *e)
{
	char name[OPS_NAME_MAX], result[OPS_NAME_MAX];
	struct job *j;

	snprintf(name, sizeof(name), "%.63s", volume);
	snprintf(result, sizeof(result), "%.63s", to);
	j = job_begin(kind, name, result, total, cancel, ctx, e);
	if (j)
		snprintf(j->pool, sizeof(j->pool), "%.63s", pool);
	return j;
}

void job_commits(struct job *j)
{
	cancels[j - table->jobs].cancel = NULL;
}

void job_progress(struct job *j, uint64_t done)
{
	j->done = done;
}

static void wait_over(void *ctx)
{
	struct waiter *w = ctx, **at = &waiters;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	n_waiters--;
	loop_timer_cancel(&w->timer);
	w->fn(w->ctx);
	free(w);
}

/* One at a time: what is told may ask for the next wait. */
static void tell(struct job *j)
{
	struct waiter **at = &waiters, *w;

	while ((w = *at)) {
		if (w->job != j) {
			at = &w->next;
			continue;
		}
		wait_over(w);
		at = &waiters;
	}
}

void job_end(struct job *j, const struct ops_error *e)
{
	j->ended_ns = rt_now();
	if (e) {
		j->code = e->code;
		snprintf(j->text, sizeof(j->text), "%.191s", e->text);
	} else {
		j->done = j->total;
	}
	__atomic_store_n(&j->state,
			 !e                       ? JOB_SUCCEEDED
			 : e->code == OPS_ABORTED ? JOB_CANCELLED
						  : JOB_FAILED,
			 __ATOMIC_RELEASE);
	tell(j);
}

struct job *job_find(uint32_t id)
{
	for (unsigned i = 0; i < JOBS_MAX; i++)
		if (table->jobs[i].state != JOB_FREE && table->jobs[i].id == id)
			return &table->jobs[i];
	return NULL;
}

struct job *job_nth(unsigned n)
{
	uint32_t below = UINT32_MAX;
	struct job *best = NULL;

	for (unsigned k = 0; k <= n; k++) {
		best = NULL;
		for (unsigned i = 0; i < JOBS_MAX; i++) {
			struct job *j = &table->jobs[i];

			if (j->state != JOB_FREE && j->id < below && (!best || j->id > best->id))
				best = j;
		}
		if (!best)
			return NULL;
		below = best->id;
	}
	return best;
}

int job_cancel(struct job *j, struct ops_error *e)
{
	loop_fn cancel = cancels[j - table->jobs].cancel;

	if (j->state != JOB_RUNNING)
		return ops_fail(e, OPS_WRONG_STATE, NULL, "the operation has ended already");
	if (!cancel)
		return ops_fail(e, OPS_WRONG_STATE, NULL, "the operation cannot be cancelled");
	cancel(cancels[j - table->jobs].ctx);
	return 0;
}

const char *job_state_name(const struct job *j)
{
	static const char *const names[] = {"", "running", "succeeded", "failed", "cancelled"};

	return names[j->state];
}

int job_wait(struct job *j, unsigned seconds, loop_fn fn, void *ctx, struct ops_error *e)
{
	struct waiter *w;

	if (n_waiters == WAITERS_MAX)
		return ops_fail(e, OPS_LIMIT, NULL, "%u others are waiting; ask without",
				n_waiters);
	w = calloc(1, sizeof(*w));
	if (!w)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	n_waiters++;
	w->job = j;
	w->fn = fn;
	w->ctx = ctx;
	loop_timer_init(&w->timer, wait_over, w);
	loop_timer_set(&w->timer, j->state == JOB_RUNNING ? seconds * NS_PER_S : 0);
	w->next = waiters;
	waiters = w;
	return 0;
}
