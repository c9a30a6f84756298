/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /v1/pools/{pool}/volumes/{volume}/content: bytes of a volume, out and in, at the pace of the slower of client and drive.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/api/api.h"
#include "ctrl-kernel/rt/hex.h"
#include "ctrl-kernel/ops/pools.h"
#include "ctrl-kernel/ops/transfer.h"

_Static_assert(UPLOAD_PIECE_MAX >= HTTP_HELD_MAX, "what waited comes in one piece");

/* ---- out ---- */

struct content {                   /* on its way to a client */
	struct download *download; /* [owns] */
	struct http_request *rq;   /* [borrows] until close */
};

static size_t content_read(void *ctx, char *to, size_t max)
{
	struct content *c = ctx;
	bool failed;
	size_t n = download_read(c->download, to, max, &failed);

	return n || failed ? n : HTTP_SOURCE_LATER;
}

static void content_close(void *ctx)
{
	struct content *c = ctx;

	download_end(c->download);
	free(c);
}

static void content_ready(void *ctx)
{
	struct content *c = ctx;

	http_source_ready(c->rq);
}

static void send_content(struct api_call *call, uint64_t from, uint64_t end, bool part,
			 const char *extra)
{
	struct content *c = calloc(1, sizeof(*c));
	struct http_source source = {
		.read = content_read, .close = content_close, .ctx = c, .left = end - from};
	struct ops_error e;

	if (!c) {
		api_reply_problem(call, 503, "out of memory", "Retry-After: 1\r\n");
		return;
	}
	c->rq = call->rq;
	if (download_begin(call->name, call->volume, from, end, content_ready, c, &c->download,
			   &e)) {
		free(c);
		api_reply_error(call, &e);
		return;
	}
	api_reply_source(call, part ? 206 : 200, &source, extra);
}

void api_content_get(struct api_call *call)
{
	struct volume_info v;
	struct ops_error e;
	uint64_t from = 0, end;
	char extra[128] = "Accept-Ranges: bytes\r\n";
	bool part;

	if (volume_info(call->name, call->volume, &v, &e)) {
		api_reply_error(call, &e);
		return;
	}
	end = v.bytes;
	part = api_range(call->rq->range, v.bytes, &from, &end);
	if (from >= end) {
		snprintf(extra, sizeof(extra), "Content-Range: bytes */%llu\r\n",
			 (unsigned long long)v.bytes);
		api_reply_problem(call, 416, "the volume has no such bytes", extra);
		return;
	}
	if (part)
		snprintf(extra, sizeof(extra),
			 "Accept-Ranges: bytes\r\nContent-Range: bytes %llu-%llu/%llu\r\n",
			 (unsigned long long)from, (unsigned long long)end - 1,
			 (unsigned long long)v.bytes);
	send_content(call, from, end, part, extra);
}

/* ---- in ---- */

static void resume(void *ctx)
{
	struct api_call *call = ctx;

	if (call->rq)
		http_resume(call->rq);
}

/* What is to come, and where it goes. False: it answered. */
static bool describe_upload(struct api_call *call, struct upload_spec *spec)
{
	const struct http_request *rq = call->rq;
	uint64_t end;
	char text[72];

	*spec = (struct upload_spec){.bytes = rq->length, .resume = resume, .ctx = call};
	if (rq->length == HTTP_LENGTH_UNKNOWN)
		spec->bytes = UPLOAD_SIZE_UNKNOWN;
	if (rq->content_range[0]) {
		if (!api_content_range(rq->content_range, &spec->from, &end) ||
		    (rq->length != HTTP_LENGTH_UNKNOWN && rq->length != end - spec->from)) {
			api_reply_problem(
				call, 400,
				"Content-Range is bytes FIRST-LAST/SIZE, or with * for the size, "
				"and its length that of the body",
				"");
			return false;
		}
		spec->bytes = end - spec->from;
	}
	spec->has_sha256 = api_query(call, "sha256", text, sizeof(text)) != NULL;
	if (spec->has_sha256 && !hex_read(text, spec->sha256, 32)) {
		api_reply_problem(call, 400, "sha256 has 64 hexadecimal digits", "");
		return false;
	}
	return true;
}

bool api_content_put_begin(struct api_call *call)
{
	struct upload_spec spec;
	struct ops_error e;

	if (!describe_upload(call, &spec))
		return false;
	if (upload_begin(call->name, call->volume, &spec, &call->content, &e)) {
		api_reply_error(call, &e);
		return false;
	}
	if (upload_full(call->content))
		http_pause(call->rq);
	return true;
}

static void stored(void *ctx, const struct ops_error *e)
{
	struct api_call *call = ctx;

	if (api_succeeded(call, e))
		api_volume_reply(call, 200, call->volume);
}

void api_content_put(struct api_call *call)
{
	struct upload *u = call->content;

	call->content = NULL;
	call->waiting = true;
	upload_finish(u, stored, call);
}
