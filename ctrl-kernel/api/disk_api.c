/* SPDX-License-Identifier: BSD-2-Clause */
/* /v1/disks: the machine's drives and what lies on them. */
#include "ctrl-kernel/api/api.h"

#include <stdio.h>
#include <string.h>
#include "cJSON.h"
#include "ctrl-kernel/ops/disk_test.h"
#include "ctrl-kernel/ops/disks.h"

static void write_stats(struct out *o, const struct blk_stats *s)
{
	out_object(o, "stats");
	out_u64(o, "reads", s->reads);
	out_u64(o, "read_bytes", s->read_bytes);
	out_u64(o, "writes", s->writes);
	out_u64(o, "write_bytes", s->write_bytes);
	out_u64(o, "flushes", s->flushes);
	out_u64(o, "discards", s->discards);
	out_u64(o, "errors", s->errors);
	out_u64(o, "timeouts", s->timeouts);
	out_u64(o, "resets", s->resets);
	out_u64(o, "in_flight", s->in_flight);
	out_close(o, '}');
}

static void write_disk(struct out *o, const struct blkdev *b)
{
	out_str(o, "name", b->name);
	out_str(o, "model", b->model);
	out_str(o, "serial", b->serial);
	out_str(o, "state", disk_state(b));
	out_u64(o, "bytes", b->bytes);
	out_u64(o, "sector_bytes", b->sector_bytes);
	out_u64(o, "physical_bytes", b->physical_bytes);
	out_bool(o, "read_only", b->read_only);
	out_bool(o, "write_cache", b->write_cache);
	out_bool(o, "discard", b->discard_max != 0);
	write_stats(o, &b->stats);
}

void api_disks_list(struct api_call *call)
{
	struct buf b = {0};
	struct out o = {.b = &b};

	out_object(&o, NULL);
	out_array(&o, "items");
	for (const struct blkdev *d = disk_first(); d; d = d->next) {
		out_object(&o, NULL);
		write_disk(&o, d);
		out_close(&o, '}');
	}
	out_close(&o, ']');
	out_bool(&o, "settled", disks_settled());
	out_close(&o, '}');
	api_reply_json(call, 200, &b, "");
}

static struct blkdev *disk_of(struct api_call *call)
{
	struct blkdev *b = disk_find(call->name);
	char detail[128];

	if (b)
		return b;
	snprintf(detail, sizeof(detail), "there is no disk \"%.60s\"", call->name);
	api_reply_problem(call, 404, detail, "Link: </v1/disks>; rel=\"collection\"\r\n");
	return NULL;
}

static void write_gpt_state(struct out *o, const char *key, enum part_gpt_state s)
{
	static const char *const names[] = {"good", "absent", "bad"};

	out_str(o, key, names[s]);
}

static void write_partition(struct out *o, const struct partition *p, uint32_t sector)
{
	out_object(o, NULL);
	out_u64(o, "number", p->number);
	out_u64(o, "offset", p->lba * sector);
	out_u64(o, "bytes", p->count * sector);
	out_str(o, "name", p->name);
	out_bool(o, "lvm", p->lvm);
	out_close(o, '}');
}

static void write_content(struct out *o, const struct disk_content *c, uint32_t sector)
{
	static const char *const kinds[] = {"none", "gpt", "mbr"};
	const struct part_table *t = &c->table;

	if (c->signature)
		out_str(o, "signature", c->signature);
	else
		out_null(o, "signature");
	out_object(o, "partition_table");
	out_str(o, "kind", kinds[t->kind]);
	if (t->kind == PART_GPT) {
		write_gpt_state(o, "primary", t->primary);
		write_gpt_state(o, "backup", t->backup);
	}
	out_str(o, "problem", t->why);
	out_array(o, "partitions");
	for (uint32_t i = 0; i < t->count; i++)
		write_partition(o, &t->part[i], sector);
	out_close(o, ']');
	out_close(o, '}');
}

static void looked(void *ctx, const struct disk_content *c, const struct ops_error *e)
{
	struct api_call *call = ctx;
	struct buf b = {0};
	struct out o = {.b = &b};
	struct blkdev *d;

	if (!api_call_back(call))
		return;
	if (e) {
		api_reply_error(call, e);
		return;
	}
	d = disk_of(call);
	if (!d)
		return;
	out_object(&o, NULL);
	write_disk(&o, d);
	write_content(&o, c, d->sector_bytes);
	out_close(&o, '}');
	api_reply_json(call, 200, &b, "");
}

void api_disk_get(struct api_call *call)
{
	struct blkdev *b = disk_of(call);
	struct ops_error e;

	if (!b)
		return;
	call->waiting = true;
	if (disk_look(b, looked, call, &e) == 0)
		return;
	call->waiting = false;
	api_reply_error(call, &e);
}

/* ---- tests ---- */

#define AT(field) offsetof(struct disk_test, field), sizeof(((struct disk_test *)0)->field)
static const struct json_field test_fields[] = {
	{"op", JSON_STRING, true, AT(op), 0, 0, NULL},
	{"offset", JSON_SIZE, false, AT(offset), 0, 0, NULL},
	{"bytes", JSON_SIZE, false, AT(bytes), 0, 0, NULL},
	{"count", JSON_U32, false, AT(count), 0, 0, NULL},
	{"seed", JSON_U32, false, AT(seed), 0, 0, NULL},
	{"seg_bytes", JSON_U32, false, AT(seg_bytes), 0, 0, NULL},
	{"seg_at", JSON_U32, false, AT(seg_at), 0, 0, NULL},
	{"seg_gap", JSON_U32, false, AT(seg_gap), 0, 0, NULL},
	{"fua", JSON_BOOL, false, AT(fua), 0, 0, NULL},
};
static const struct json_object test_object = {test_fields, ARRAY_SIZE(test_fields)};

static void tested(void *ctx, const struct disk_test_result *r)
{
	static const char *const names[] = {"ok", "io_error", "unsupported", "range", "gone"};
	struct api_call *call = ctx;
	struct buf b = {0};
	struct out o = {.b = &b};

	if (!api_call_back(call))
		return;
	out_object(&o, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		out_u64(&o, names[i], r->ended[i]);
	out_array(&o, "crc");
	for (unsigned i = 0; i < r->count; i++)
		out_u64(&o, NULL, r->crc[i]);
	out_close(&o, ']');
	out_close(&o, '}');
	api_reply_json(call, 200, &b, "");
}

static void test_io(struct api_call *call, struct blkdev *b)
{
	struct json_errors errors = {0};
	struct disk_test t = {.count = 1};
	struct cJSON *root = api_body_json(call);
	struct ops_error e;
	bool ok;

	if (!root)
		return;
	ok = json_decode(root, &test_object, &t, "", &errors);
	cJSON_Delete(root);
	if (!ok) {
		api_reply_json_errors(call, &errors);
		return;
	}
	call->waiting = true;
	if (disk_test(b, &t, tested, call, &e) == 0)
		return;
	call->waiting = false;
	api_reply_error(call, &e);
}

void api_disk_action(struct api_call *call)
{
	struct blkdev *b = disk_of(call);

	if (!b)
		return;
	if (strcmp(call->verb, "test-io") == 0)
		test_io(call, b);
	else
		api_reply_problem(call, 404, "disks have no such action", "");
}
