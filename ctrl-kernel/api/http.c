/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The states of an HTTP connection: input that waits for its turn, replies, time-outs (http.h).
 */
#include "ctrl-kernel/api/http_conn.h"

#include <stdio.h>
#include <string.h>
#include "ctrl-kernel/rt/rt.h"

#define NS_PER_S 1000000000ull
#define SEND_PIECE 65536u

/* When there is no memory for anything better. */
static const char no_memory[] = "HTTP/1.1 503 Service Unavailable\r\n"
				"Content-Type: text/plain\r\n"
				"Content-Length: 32\r\n"
				"Retry-After: 1\r\n"
				"Connection: close\r\n"
				"\r\n"
				"the host is short of memory now\n";

const char *http_status_text(unsigned status)
{
	static const struct {
		unsigned status;
		const char *text;
	} texts[] = {
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{204, "No Content"},
		{206, "Partial Content"},
		{400, "Bad Request"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{413, "Content Too Large"},
		{415, "Unsupported Media Type"},
		{416, "Range Not Satisfiable"},
		{417, "Expectation Failed"},
		{422, "Unprocessable Content"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++)
		if (texts[i].status == status)
			return texts[i].text;
	return "Unknown";
}

void http_state_set(struct http_conn *c, enum http_state state)
{
	c->state = state;
	c->since_ns = rt_now();
	c->progress = 0;
}

static void forget_request(struct http_conn *c)
{
	if (!c->known)
		return;
	c->known = false;
	c->app->gone(&c->rq);
}

static void source_close(struct http_conn *c)
{
	if (c->source.close)
		c->source.close(c->source.ctx);
	c->source = (struct http_source){.left = 0};
}

static void http_close(struct http_conn *c)
{
	if (c->state == HTTP_CLOSED)
		return;
	http_state_set(c, HTTP_CLOSED);
	forget_request(c);
	source_close(c);
	buf_free(&c->held);
	buf_free(&c->body);
	c->io->close(c->io_ctx);
}

static void http_abort(struct http_conn *c)
{
	if (c->state == HTTP_CLOSED)
		return;
	http_state_set(c, HTTP_CLOSED);
	forget_request(c);
	source_close(c);
	c->io->abort(c->io_ctx);
}

/* ---- input ---- */

static bool takes_input(const struct http_conn *c)
{
	return c->state == HTTP_IDLE || c->state == HTTP_HEAD_PART ||
	       (c->state == HTTP_BODY_PART && !c->paused);
}

static void http_hold(struct http_conn *c, const char *data, size_t len)
{
	if (len == 0 || c->state == HTTP_CLOSED)
		return;
	buf_add(&c->held, data, len);
	if (c->held.failed || c->held.len > HTTP_HELD_MAX)
		http_abort(c);
}

static size_t http_take(struct http_conn *c, const char *data, size_t len)
{
	size_t used = 0;

	c->busy = true;
	while (used < len && takes_input(c))
		used += http_parse(c, data + used, len - used);
	c->busy = false;
	if (used && c->state != HTTP_CLOSED)
		c->io->recved(c->io_ctx, used);
	return used;
}

/* Goes on with what was held, and with the end of the peer's data. */
static void http_work(struct http_conn *c)
{
	if (c->held.len && takes_input(c)) {
		struct buf held = c->held;
		size_t used;

		c->held = (struct buf){0};
		used = http_take(c, held.data, held.len);
		http_hold(c, held.data + used, held.len - used);
		buf_free(&held);
	}
	if (c->eof && takes_input(c))
		http_close(c); /* what is not complete now never will be */
}

void http_input(struct http_conn *c, const void *data, size_t len)
{
	size_t used = 0;

	if (c->state == HTTP_CLOSED)
		return;
	if (c->held.len == 0)
		used = http_take(c, data, len);
	http_hold(c, (const char *)data + used, len - used);
}

void http_eof(struct http_conn *c)
{
	c->eof = true;
	http_work(c);
}

/* ---- output ---- */

static void send_done(struct http_conn *c)
{
	buf_free(&c->out);
	source_close(c);
	if (!c->keep) {
		http_close(c);
		return;
	}
	http_state_set(c, HTTP_IDLE);
	if (!c->busy)
		http_work(c);
}

/* The next piece of the body. False: the connection was cut, or it is not there yet. */
static bool next_piece(struct http_conn *c)
{
	size_t want = c->source.left < SEND_PIECE ? (size_t)c->source.left : SEND_PIECE;

	size_t n = 0;

	c->out_at = c->out.len = 0;
	if (buf_reserve(&c->out, want))
		n = c->source.read(c->source.ctx, c->out.data, want);
	if (n == HTTP_SOURCE_LATER)
		return false;
	c->out.len = n;
	c->source.left -= c->out.len;
	if (c->out.len == 0)
		http_abort(c);
	return c->out.len != 0;
}

static void send_more(struct http_conn *c)
{
	do {
		size_t left = c->out.len - c->out_at, n = 0;

		if (left)
			n = c->io->send(c->io_ctx, c->out.data + c->out_at, left);
		c->out_at += n;
		c->progress += n;
	} while (c->out_at == c->out.len && c->source.left && next_piece(c));
	if (c->state == HTTP_SEND && c->out_at == c->out.len && c->source.left == 0)
		send_done(c);
}

void http_writable(struct http_conn *c)
{
	if (c->state == HTTP_SEND)
		send_more(c);
}

static void send_start(struct http_conn *c)
{
	c->known = false;
	buf_free(&c->body);
	http_state_set(c, HTTP_SEND);
	c->out_at = 0;
	if (c->out.failed) {
		buf_free(&c->out);
		source_close(c);
		c->io->send(c->io_ctx, no_memory, sizeof(no_memory) - 1);
		c->keep = false;
		send_done(c);
		return;
	}
	send_more(c);
}

/* Both free the request's body: nothing of *rq may be used after them. */
static void reply_head(struct http_conn *c, unsigned status, const char *type, uint64_t length,
		       const char *extra)
{
	if (!c->complete) /* the rest of the request would be taken for the next one */
		c->keep = false;
	buf_printf(&c->out, "HTTP/1.1 %u %s\r\n", status, http_status_text(status));
	if (status != 204)
		buf_printf(&c->out, "Content-Type: %s\r\nContent-Length: %llu\r\n", type,
			   (unsigned long long)length);
	buf_printf(&c->out, "Cache-Control: no-store\r\nConnection: %s\r\n",
		   c->keep ? "keep-alive" : "close");
	buf_text(&c->out, extra);
	buf_text(&c->out, "\r\n");
}

static void reply(struct http_conn *c, unsigned status, const char *type, struct buf *body,
		  const char *extra)
{
	reply_head(c, status, type, body->len, extra);
	if (c->rq.method != HTTP_M_HEAD)
		buf_add(&c->out, body->data, body->len);
	if (body->failed)
		c->out.failed = true;
	buf_free(body);
	c->fresh = false;
	send_start(c);
}

static struct http_conn *conn_of(struct http_request *rq)
{
	return (struct http_conn *)((char *)rq - offsetof(struct http_conn, rq));
}

void http_reply(struct http_request *rq, unsigned status, const char *type, struct buf *body,
		const char *extra)
{
	reply(conn_of(rq), status, type, body, extra);
}

void http_reply_source(struct http_request *rq, unsigned status, const char *type,
		       const struct http_source *source, const char *extra)
{
	struct http_conn *c = conn_of(rq);

	reply_head(c, status, type, source->left, extra);
	c->source = *source;
	if (c->rq.method == HTTP_M_HEAD)
		c->source.left = 0;
	c->fresh = false;
	send_start(c);
}

void http_source_ready(struct http_request *rq)
{
	struct http_conn *c = conn_of(rq);

	if (c->state == HTTP_SEND)
		send_more(c);
}

void http_pause(struct http_request *rq)
{
	conn_of(rq)->paused = true;
}

void http_resume(struct http_request *rq)
{
	struct http_conn *c = conn_of(rq);

	if (!c->paused || c->state != HTTP_BODY_PART)
		return;
	c->paused = false;
	http_state_set(c, HTTP_BODY_PART); /* the stall was not the client's */
	if (!c->busy)
		http_work(c);
}

void http_refuse(struct http_conn *c, unsigned status, const char *detail)
{
	struct buf body = {0};

	forget_request(c);
	c->complete = false; /* nothing after it can be trusted */
	c->app->error(&body, status, detail);
	reply(c, status, c->app->error_type, &body, "");
}

void http_continue(struct http_conn *c)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (c->io->send(c->io_ctx, text, sizeof(text) - 1) != sizeof(text) - 1)
		http_abort(c);
}

/* ---- time ---- */

static bool waited(const struct http_conn *c, unsigned seconds)
{
	return rt_now() - c->since_ns >= seconds * NS_PER_S;
}

/* Is a stall period over without enough bytes? Begins the next one when it is over with them. */
static bool stalled(struct http_conn *c)
{
	if (!waited(c, HTTP_STALL_S))
		return false;
	if (c->progress < HTTP_BODY_MIN)
		return true;
	http_state_set(c, c->state);
	return false;
}

void http_tick(struct http_conn *c)
{
	switch (c->state) {
	case HTTP_IDLE:
		if (waited(c, c->fresh ? HTTP_FIRST_S : HTTP_IDLE_S))
			http_close(c);
		break;
	case HTTP_HEAD_PART:
		if (waited(c, HTTP_HEAD_S))
			http_refuse(c, 408, "the request's head was not complete within 10 s");
		break;
	case HTTP_BODY_PART:
		if (!c->paused && stalled(c))
			http_refuse(c, 408, "the request's body came too slowly");
		break;
	case HTTP_SEND:
		if (stalled(c))
			http_abort(c);
		break;
	case HTTP_APP:
	case HTTP_CLOSED:
		break;
	}
}

bool http_waits(const struct http_conn *c, uint64_t *since_ns)
{
	bool moving = c->progress >= HTTP_BODY_MIN || !waited(c, HTTP_SLOW_S);

	*since_ns = c->since_ns;
	if (c->state == HTTP_IDLE || c->state == HTTP_HEAD_PART)
		return true;
	return ((c->state == HTTP_BODY_PART && !c->paused) || c->state == HTTP_SEND) && !moving;
}

/* ---- begin and end ---- */

void http_begin(struct http_conn *c, const struct http_app *app, const struct http_io *io,
		void *io_ctx)
{
	memset(c, 0, sizeof(*c));
	c->app = app;
	c->io = io;
	c->io_ctx = io_ctx;
	c->fresh = true;
	http_state_set(c, HTTP_IDLE);
}

void http_end(struct http_conn *c)
{
	forget_request(c);
	source_close(c);
	buf_free(&c->held);
	buf_free(&c->body);
	buf_free(&c->out);
}
