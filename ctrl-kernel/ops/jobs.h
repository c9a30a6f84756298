/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations that take time: numbered, with progress, kept for a while after they have ended (and over the death of the
 * control kernel: those that were running then have failed). The table is in a kept memory object of its own, plain data.
 */
#ifndef OPS_JOBS_H
#define OPS_JOBS_H

#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/ops/ops.h"

#define JOBS_MAX                                                                                   \
	31u /* with the table's head they fit into HV_GROW_MAX pages; the oldest ended one makes room */
#define JOB_WAIT_MAX_S 30u

enum job_state { JOB_FREE, JOB_RUNNING, JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELLED };

struct job {
	uint32_t id; /* from 1 */
	uint32_t state;
	char kind[16]; /* "save", "checkpoint", "restore", "unplug"; with volumes "zero", "clone" */
	char target[OPS_NAME_MAX]; /* the VM's name, or the volume's */
	char result[OPS_NAME_MAX]; /* the image's name, or the new volume's; the device's id */
	uint64_t done, total;      /* bytes */
	uint64_t started_ns, ended_ns;
	uint32_t code; /* enum ops_code, when it failed */
	uint32_t reserved;
	char text[192];          /* why it failed */
	char pool[OPS_NAME_MAX]; /* the volume's; "": it is about no volume */
};

void jobs_init(void); /* after keep_init */
/* NULL: e says why. cancel(ctx) ends it by job_end() before it returns; NULL: it cannot be cancelled. */
struct job *job_begin(const char *kind, const char *target, const char *result, uint64_t total,
		      loop_fn cancel, void *ctx, struct ops_error *e);
/* The same for a volume. Names that are longer than ours are cut. */
struct job *job_begin_volume(const char *kind, const char *pool, const char *volume, const char *to,
			     uint64_t total, loop_fn cancel, void *ctx, struct ops_error *e);
void job_progress(struct job *j, uint64_t done);
void job_commits(struct job *j); /* it ends soon, and can be cancelled no more */
void job_end(struct job *j,
	     const struct ops_error *e); /* e NULL: succeeded; OPS_ABORTED: cancelled */
struct job *job_find(uint32_t id);
struct job *job_nth(unsigned n); /* the latest first; NULL: no more */
int job_cancel(struct job *j, struct ops_error *e) MUST_CHECK;
const char *job_state_name(const struct job *j);
/* fn(ctx) once: when it has ended, or after so many seconds. */
int job_wait(struct job *j, unsigned seconds, loop_fn fn, void *ctx,
	     struct ops_error *e) MUST_CHECK;

#endif
