/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /v1/pools/{pool}/volumes. Their contents are in content_api.c.
 */
#include <stdio.h>
#include <string.h>
#include "ctrl-kernel/api/api.h"
#include "ctrl-kernel/ops/jobs.h"
#include "ctrl-kernel/ops/pools.h"

#define NS_PER_S 1000000000ull

static void write_volume(struct out *o, const char *pool, const struct volume_info *v)
{
	out_object(o, NULL);
	out_str(o, "name", v->name);
	out_str(o, "pool", pool);
	out_str(o, "id", v->id);
	out_str(o, "kind", v->kind);
	out_u64(o, "bytes", v->bytes);
	out_str(o, "state", v->why[0] ? "refused" : "ok");
	if (v->why[0])
		out_str(o, "detail", v->why);
	else
		out_null(o, "detail");
	out_bool(o, "writable", v->writable);
	out_bool(o, "in_use", v->users != 0);
	out_time(o, "created_at", v->created_s * NS_PER_S);
	out_close(o, '}');
}

void api_volume_reply(struct api_call *call, unsigned status, const char *name)
{
	struct buf b = {0};
	struct out o = {.b = &b};
	struct volume_info v;
	struct ops_error e;
	char extra[2 * API_NAME_MAX + 32] = "";

	if (volume_info(call->name, name, &v, &e)) {
		api_reply_error(call, &e);
		return;
	}
	write_volume(&o, call->name, &v);
	if (status == 201)
		snprintf(extra, sizeof(extra), "Location: /v1/pools/%s/volumes/%s\r\n", call->name,
			 v.name);
	api_reply_json(call, status, &b, extra);
}

void api_volumes_list(struct api_call *call)
{
	struct buf b = {0};
	struct out o = {.b = &b};
	struct pool_info p;
	struct volume_info v;
	struct ops_error e;
	unsigned cursor = 0;

	if (pool_info(call->name, &p, &e)) {
		api_reply_error(call, &e);
		return;
	}
	out_object(&o, NULL);
	out_array(&o, "items");
	while (pool_volume_next(call->name, &cursor, &v))
		write_volume(&o, call->name, &v);
	out_close(&o, ']');
	out_close(&o, '}');
	api_reply_json(call, 200, &b, "");
}

void api_volume_get(struct api_call *call)
{
	api_volume_reply(call, 200, call->volume);
}

/* ---- changes ---- */

static void created(void *ctx, const struct ops_error *e)
{
	struct api_call *call = ctx;

	if (api_succeeded(call, e))
		api_volume_reply(call, 201, call->volume);
}

static void changed(void *ctx, const struct ops_error *e)
{
	struct api_call *call = ctx;

	if (api_succeeded(call, e))
		api_volume_reply(call, 200, call->volume);
}

struct volume_body {
	char name[OPS_NAME_MAX], pool[API_NAME_MAX];
	uint64_t bytes;
	bool force;
};
#define FIELD(field, kind, needed)                                                                 \
	{                                                                                          \
#field, kind, needed, offsetof(struct volume_body, field),                         \
			sizeof(((struct volume_body *)0)->field), 0, 0, NULL                       \
	}
static const struct json_field create_fields[] = {
	FIELD(name, JSON_STRING, true),
	FIELD(bytes, JSON_SIZE, true),
};
static const struct json_field patch_fields[] = {
	FIELD(name, JSON_STRING, false),
	FIELD(bytes, JSON_SIZE, false),
	FIELD(force, JSON_BOOL, false),
};
static const struct json_field clone_fields[] = {
	FIELD(name, JSON_STRING, true),
	FIELD(pool, JSON_STRING, false),
};
static const struct json_object create_object = {create_fields, ARRAY_SIZE(create_fields)};
static const struct json_object patch_object = {patch_fields, ARRAY_SIZE(patch_fields)};
static const struct json_object clone_object = {clone_fields, ARRAY_SIZE(clone_fields)};

void api_volumes_post(struct api_call *call)
{
	struct volume_body body = {.bytes = 0};
	struct ops_error e;

	if (!api_body(call, &create_object, &body))
		return;
	snprintf(call->volume, sizeof(call->volume), "%s", body.name);
	call->waiting = true;
	api_begun(call, volume_create(call->name, body.name, body.bytes, created, call, &e), &e);
}

void api_volume_patch(struct api_call *call)
{
	struct volume_body body = {.bytes = 0};
	struct ops_error e;
	char from[API_NAME_MAX];
	bool rename, resize;

	if (!api_body(call, &patch_object, &body))
		return;
	rename = body.name[0] != '\0';
	resize = body.bytes != 0;
	if (rename == resize) {
		api_reply_problem(call, 400, "one of bytes and name, other than zero and empty",
				  "");
		return;
	}
	call->waiting = true;
	if (resize) {
		api_begun(call,
			  volume_resize(call->name, call->volume, body.bytes, body.force, changed,
					call, &e),
			  &e);
		return;
	}
	memcpy(from, call->volume, sizeof(from));
	snprintf(call->volume, sizeof(call->volume), "%s", body.name);
	api_begun(call, volume_rename(call->name, from, body.name, changed, call, &e), &e);
}

void api_volume_delete(struct api_call *call)
{
	struct ops_error e;
	struct job *j;
	bool zero;

	if (!api_query_bool(call, "zero", &zero))
		return;
	if (zero) {
		if (volume_zero_delete(call->name, call->volume, &j, &e))
			api_reply_error(call, &e);
		else
			api_job_reply(call, 202, j);
		return;
	}
	call->waiting = true;
	api_begun(call, volume_delete(call->name, call->volume, NULL, api_deleted, call, &e), &e);
}

void api_volume_action(struct api_call *call)
{
	struct volume_body body = {.bytes = 0};
	struct ops_error e;
	struct job *j;

	if (strcmp(call->verb, "clone") != 0) {
		api_reply_problem(call, 404, "a volume has the action clone", "");
		return;
	}
	if (!api_body(call, &clone_object, &body))
		return;
	if (volume_clone(call->name, call->volume, body.pool[0] ? body.pool : call->name, body.name,
			 &j, &e))
		api_reply_error(call, &e);
	else
		api_job_reply(call, 202, j);
}
