/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /v1/operations, and the actions of a VM that are one: save, checkpoint, restore.
 */
#include "ctrl-kernel/api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cJSON.h"
#include "ctrl-kernel/api/problem.h"
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/jobs.h"

static void write_job(struct out *o, const struct job *j)
{
	out_object(o, NULL);
	out_u64(o, "id", j->id);
	out_str(o, "kind", j->kind);
	if (j->pool[0]) {
		out_str(o, "pool", j->pool);
		out_str(o, "volume", j->target);
		if (j->result[0])
			out_str(o, "to", j->result);
	} else {
		out_str(o, "vm", j->target);
		out_str(o, strcmp(j->kind, "unplug") == 0 ? "device" : "image", j->result);
	}
	out_str(o, "state", job_state_name(j));
	out_object(o, "progress");
	out_u64(o, "done", j->done);
	out_u64(o, "total", j->total);
	out_str(o, "unit", "bytes");
	out_close(o, '}');
	out_time(o, "started_at", host_utc_ns(j->started_ns));
	if (j->state == JOB_RUNNING)
		out_null(o, "ended_at");
	else
		out_time(o, "ended_at", host_utc_ns(j->ended_ns));
	if (j->state == JOB_FAILED || j->state == JOB_CANCELLED) {
		out_object(o, "error");
		out_str(o, "code", problem_code((enum ops_code)j->code));
		out_str(o, "detail", j->text);
		out_close(o, '}');
	} else {
		out_null(o, "error");
	}
	out_close(o, '}');
}

void api_job_reply(struct api_call *call, unsigned status, const struct job *j)
{
	struct buf b = {0};
	struct out o = {.b = &b};
	char extra[64] = "";

	write_job(&o, j);
	if (status == 202)
		snprintf(extra, sizeof(extra), "Location: /v1/operations/%u\r\n", j->id);
	api_reply_json(call, status, &b, extra);
}

/* ---- resources ---- */

void api_jobs_list(struct api_call *call)
{
	struct buf b = {0};
	struct out o = {.b = &b};
	const struct job *j;

	out_object(&o, NULL);
	out_array(&o, "items");
	for (unsigned n = 0; (j = job_nth(n)); n++)
		write_job(&o, j);
	out_close(&o, ']');
	out_close(&o, '}');
	api_reply_json(call, 200, &b, "");
}

/* A number, at most max; false: it is not one. */
static bool number(const char *text, uint32_t max, uint32_t *out)
{
	uint64_t n = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (uint64_t)(*text - '0');
		if (n > max)
			return false;
	}
	*out = (uint32_t)n;
	return true;
}

static struct job *job_of(struct api_call *call)
{
	uint32_t id;
	struct job *j = number(call->name, UINT32_MAX, &id) ? job_find(id) : NULL;
	char detail[128];

	if (j)
		return j;
	snprintf(detail, sizeof(detail),
		 "there is no operation %.40s, or it ended so long ago that it was forgotten",
		 call->name);
	api_reply_problem(call, 404, detail, "Link: </v1/operations>; rel=\"collection\"\r\n");
	return NULL;
}

static void waited(void *ctx)
{
	struct api_call *call = ctx;
	struct job *j;

	if (!api_call_back(call))
		return;
	j = job_of(call);
	if (j)
		api_job_reply(call, 200, j);
}

void api_job_get(struct api_call *call)
{
	struct job *j = job_of(call);
	struct ops_error e;
	char text[16];
	uint32_t seconds = 0;

	if (!j)
		return;
	if (api_query(call, "wait", text, sizeof(text)) &&
	    !number(text, JOB_WAIT_MAX_S, &seconds)) {
		api_reply_problem(call, 400, "wait is a number of seconds, 30 at most", "");
		return;
	}
	if (seconds == 0 || j->state != JOB_RUNNING) {
		api_job_reply(call, 200, j);
		return;
	}
	call->waiting = true;
	if (job_wait(j, seconds, waited, call, &e)) {
		call->waiting = false;
		api_reply_error(call, &e);
	}
}

void api_job_delete(struct api_call *call)
{
	struct job *j = job_of(call);
	struct ops_error e;

	if (!j)
		return;
	if (job_cancel(j, &e))
		api_reply_error(call, &e);
	else
		api_job_reply(call, 200, j);
}

/* ---- actions ---- */

struct image_body {
	char image[OPS_NAME_MAX];
};
static const struct json_field body_fields[] = {
	{"image", JSON_STRING, true, offsetof(struct image_body, image), OPS_NAME_MAX, 0, 0, NULL},
};
static const struct json_object body_object = {body_fields, ARRAY_SIZE(body_fields)};

bool api_vm_job(struct api_call *call, struct vm *vm)
{
	bool restore = strcmp(call->verb, "restore") == 0;
	bool checkpoint = strcmp(call->verb, "checkpoint") == 0;
	struct image_body body = {""};
	struct ops_error e;
	struct job *j;
	int r;

	if (!restore && !checkpoint && strcmp(call->verb, "save") != 0)
		return false;
	if (!api_body(call, &body_object, &body))
		return true;
	r = restore ? vm_restore(vm, body.image, &j, &e)
		    : vm_save(vm, body.image, checkpoint, &j, &e);
	if (r)
		api_reply_error(call, &e);
	else
		api_job_reply(call, 202, j);
	return true;
}
