/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /v1/pools.
 */
#include <stdio.h>
#include <string.h>
#include "ctrl-kernel/api/api.h"
#include "ctrl-kernel/ops/pools.h"

static void write_disks(struct out *o, const char *pool)
{
	struct pool_disk_info d;

	out_array(o, "disks");
	for (unsigned n = 0; pool_disk_nth(pool, n, &d); n++) {
		out_object(o, NULL);
		if (d.name[0])
			out_str(o, "name", d.name);
		else
			out_null(o, "name");
		out_str(o, "id", d.id);
		out_u64(o, "bytes", d.bytes);
		out_bool(o, "missing", d.missing);
		out_close(o, '}');
	}
	out_close(o, ']');
}

static void write_pool(struct out *o, const struct pool_info *p)
{
	out_object(o, NULL);
	out_str(o, "name", p->name);
	out_str(o, "kind", p->ram ? "ram" : "lvm");
	if (p->ram)
		out_null(o, "id");
	else
		out_str(o, "id", p->id);
	out_str(o, "state", p->refused ? "refused" : p->read_only ? "read_only" : "ok");
	if (p->why[0])
		out_str(o, "detail", p->why);
	else
		out_null(o, "detail");
	out_u64(o, "bytes", p->bytes);
	out_u64(o, "free_bytes", p->free);
	out_u64(o, "extent_bytes", p->extent_bytes);
	out_u64(o, "seqno", p->seqno);
	out_u64(o, "stale_areas", p->stale);
	out_u64(o, "volumes", p->volumes);
	write_disks(o, p->name);
	out_close(o, '}');
}

static void reply_pools(struct api_call *call)
{
	struct buf b = {0};
	struct out o = {.b = &b};
	struct pool_info p;

	out_object(&o, NULL);
	out_bool(&o, "drives_read", pools_settled());
	out_array(&o, "items");
	for (unsigned n = 0; pool_nth(n, &p); n++)
		write_pool(&o, &p);
	out_close(&o, ']');
	out_close(&o, '}');
	api_reply_json(call, 200, &b, "");
}

static void reply_pool(struct api_call *call, unsigned status)
{
	struct buf b = {0};
	struct out o = {.b = &b};
	struct pool_info p;
	struct ops_error e;
	char extra[API_NAME_MAX + 32] = "";

	if (pool_info(call->name, &p, &e)) {
		api_reply_error(call, &e);
		return;
	}
	write_pool(&o, &p);
	if (status == 201)
		snprintf(extra, sizeof(extra), "Location: /v1/pools/%s\r\n", p.name);
	api_reply_json(call, status, &b, extra);
}

void api_pools_list(struct api_call *call)
{
	reply_pools(call);
}

void api_pool_get(struct api_call *call)
{
	reply_pool(call, 200);
}

/* ---- changes ---- */

static void created(void *ctx, const struct ops_error *e)
{
	struct api_call *call = ctx;

	if (api_succeeded(call, e))
		reply_pool(call, 201);
}

static void changed(void *ctx, const struct ops_error *e)
{
	struct api_call *call = ctx;

	if (api_succeeded(call, e))
		reply_pool(call, 200);
}

static void scanned(void *ctx, const struct ops_error *e)
{
	struct api_call *call = ctx;

	if (api_succeeded(call, e))
		reply_pools(call);
}

#define FIELD(field, kind, needed)                                                                 \
	{                                                                                          \
#field, kind, needed, offsetof(struct pool_spec, field),                           \
			sizeof(((struct pool_spec *)0)->field), 0, 0, NULL                         \
	}
static const struct json_field spec_fields[] = {
	FIELD(name, JSON_STRING, true),
	{"disks", JSON_STRINGS, true, offsetof(struct pool_spec, disks), DISK_NAME_SIZE,
	 POOL_DISKS_MAX, offsetof(struct pool_spec, n_disks), NULL},
	FIELD(extent_bytes, JSON_SIZE, false),
	{"metadata_copies", JSON_U32, false, offsetof(struct pool_spec, copies), 0, 0, 0, NULL},
	FIELD(force, JSON_BOOL, false),
};
static const struct json_object spec_object = {spec_fields, ARRAY_SIZE(spec_fields)};

void api_pools_post(struct api_call *call)
{
	struct pool_spec spec = {.copies = 1};
	struct ops_error e;

	if (!api_body(call, &spec_object, &spec))
		return;
	snprintf(call->name, sizeof(call->name), "%s", spec.name);
	call->waiting = true;
	api_begun(call, pool_create(&spec, created, call, &e), &e);
}

void api_pools_action(struct api_call *call)
{
	struct ops_error e;

	if (strcmp(call->verb, "scan") != 0) {
		api_reply_problem(call, 404, "pools have the action scan", "");
		return;
	}
	if (!api_body_none(call))
		return;
	call->waiting = true;
	api_begun(call, pools_scan(scanned, call, &e), &e);
}

struct extend_body {
	char disk[DISK_NAME_SIZE];
	bool force;
};
static const struct json_field extend_fields[] = {
	{"disk", JSON_STRING, true, offsetof(struct extend_body, disk), DISK_NAME_SIZE, 0, 0, NULL},
	{"force", JSON_BOOL, false, offsetof(struct extend_body, force), 0, 0, 0, NULL},
};
static const struct json_object extend_object = {extend_fields, ARRAY_SIZE(extend_fields)};

void api_pool_action(struct api_call *call)
{
	struct extend_body body = {.force = false};
	struct ops_error e;

	if (strcmp(call->verb, "extend") != 0) {
		api_reply_problem(call, 404, "a pool has the action extend", "");
		return;
	}
	if (!api_body(call, &extend_object, &body))
		return;
	call->waiting = true;
	api_begun(call, pool_extend(call->name, body.disk, body.force, changed, call, &e), &e);
}

void api_pool_delete(struct api_call *call)
{
	struct ops_error e;
	bool force;

	if (!api_query_bool(call, "force", &force))
		return;
	call->waiting = true;
	api_begun(call, pool_delete(call->name, force, api_deleted, call, &e), &e);
}
