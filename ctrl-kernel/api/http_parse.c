/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From bytes to requests. The head is collected whole and checked for everything that parsers are known to disagree
 * about before llhttp sees it in one piece; the body goes through llhttp as it comes.
 */
#include "ctrl-kernel/api/http_conn.h"

#include <string.h>
#include <strings.h>
#include "ctrl-kernel/rt/rt.h"

#define LEADING_MAX 8u /* CR and LF before a request, RFC 9112 2.2 */

/* ---- llhttp callbacks ---- */

static int span_add(struct http_span *s, const char *at, size_t len)
{
	if (s->at && s->at + s->len != at)
		return HPE_USER; /* cannot be: the head is one piece */
	if (!s->at)
		s->at = (char *)(uintptr_t)at;
	s->len += len;
	return 0;
}

static int on_url(llhttp_t *p, const char *at, size_t len)
{
	return span_add(&((struct http_conn *)p->data)->url, at, len);
}

static int on_name(llhttp_t *p, const char *at, size_t len)
{
	struct http_conn *c = p->data;

	if (c->headers_done)
		return 0; /* a trailer */
	return span_add(&c->name, at, len);
}

static int on_value(llhttp_t *p, const char *at, size_t len)
{
	struct http_conn *c = p->data;

	if (c->headers_done)
		return 0;
	return span_add(&c->value, at, len);
}

static bool span_is(const struct http_span *s, const char *text)
{
	return s->len == strlen(text) && strncasecmp(s->at, text, s->len) == 0;
}

static void span_trim(struct http_span *s)
{
	while (s->len && strchr(" \t", s->at[s->len - 1]))
		s->len--;
	while (s->len && strchr(" \t", s->at[0])) {
		s->at++;
		s->len--;
	}
}

static int on_header_done(llhttp_t *p)
{
	struct http_conn *c = p->data;
	struct http_span *value = &c->value;
	int r = 0;

	if (c->headers_done)
		return 0;
	if (!value->at)
		value->at = c->head + HTTP_HEAD_MAX; /* empty */
	span_trim(value);
	if (span_is(&c->name, "host")) {
		r = c->has_host ? HPE_USER : 0; /* RFC 9112 3.2: a second one is an error */
		c->has_host = true;
		c->host = *value;
	} else if (span_is(&c->name, "origin")) {
		c->origin = *value;
	} else if (span_is(&c->name, "range")) {
		c->range = *value;
	} else if (span_is(&c->name, "content-range")) {
		c->content_range = *value;
	} else if (span_is(&c->name, "content-type")) {
		c->content_type = *value;
	} else if (span_is(&c->name, "expect")) {
		c->has_expect = true;
		c->expect = *value;
	} else if (span_is(&c->name, "transfer-encoding")) {
		r = c->has_coding ? HPE_USER : 0;
		c->has_coding = true;
		c->coding = *value;
	}
	c->name = (struct http_span){0};
	c->value = (struct http_span){0};
	return r;
}

static int on_headers(llhttp_t *p)
{
	struct http_conn *c = p->data;

	c->headers_done = true;
	p->upgrade = 0; /* we offer none: RFC 9110 7.8 lets a server go on */
	return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
	struct http_conn *c = p->data;

	c->overhead = 0;
	c->progress += len;
	if (c->streaming)
		return c->app->data(&c->rq, at, len) ? 0 : HPE_USER;
	if (c->body.len + len > HTTP_BODY_MAX) {
		c->too_big = true;
		return HPE_USER;
	}
	buf_add(&c->body, at, len);
	return c->body.failed ? HPE_USER : 0;
}

static int on_complete(llhttp_t *p)
{
	((struct http_conn *)p->data)->complete = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_url = on_url,
	.on_header_field = on_name,
	.on_header_value = on_value,
	.on_header_value_complete = on_header_done,
	.on_headers_complete = on_headers,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

/* ---- head ---- */

static void head_reset(struct http_conn *c)
{
	llhttp_init(&c->parser, HTTP_REQUEST, &settings);
	c->parser.data = c;
	c->url = c->name = c->value = (struct http_span){0};
	c->content_type = c->expect = c->coding = (struct http_span){0};
	c->host = c->origin = c->range = c->content_range = (struct http_span){0};
	c->has_host = c->has_expect = c->has_coding = c->headers_done = c->too_big = false;
	c->complete = c->streaming = c->paused = false;
	c->head_len = c->line_len = 0;
	c->last = 0;
	c->in_name = false;
	c->overhead = 0;
	memset(&c->rq, 0, sizeof(c->rq));
	buf_free(&c->body);
}

static enum http_method method_of(const llhttp_t *p)
{
	switch (p->method) {
	case HTTP_GET:
		return HTTP_M_GET;
	case HTTP_HEAD:
		return HTTP_M_HEAD;
	case HTTP_PUT:
		return HTTP_M_PUT;
	case HTTP_POST:
		return HTTP_M_POST;
	case HTTP_DELETE:
		return HTTP_M_DELETE;
	case HTTP_PATCH:
		return HTTP_M_PATCH;
	default:
		return HTTP_M_OTHER;
	}
}

/* origin-form, or absolute-form with the authority cut off (RFC 9112 3.2). */
static bool target_set(struct http_conn *c)
{
	char *at = c->url.at, *end = at + c->url.len, *query;

	if (!at || c->url.len == 0)
		return false;
	*end = '\0'; /* the blank before the version */
	if (strncasecmp(at, "http://", 7) == 0) {
		at = strchr(at + 7, '/');
		if (!at)
			return false;
	}
	if (*at != '/')
		return false;
	query = strpbrk(at, "?#");
	c->rq.query = "";
	if (query) {
		c->rq.query = *query == '?' ? query + 1 : "";
		*query = '\0';
	}
	c->rq.target = at;
	return true;
}

static const char *span_text(struct http_span *s)
{
	if (!s->at)
		return "";
	s->at[s->len] = '\0'; /* the CR after it, or a blank that was trimmed */
	return s->at;
}

/* Origin is "scheme://host" (RFC 6454 7): is it another host than the one that was asked? */
static bool is_foreign(const struct http_conn *c)
{
	size_t scheme = c->origin.len - c->host.len;

	if (!c->origin.at)
		return false;
	return c->origin.len < c->host.len || scheme < strlen("://") ||
	       memcmp(c->origin.at + scheme - 3, "://", 3) != 0 ||
	       strncasecmp(c->origin.at + scheme, c->host.at, c->host.len) != 0;
}

/* Also cuts the strings out of the head, so it runs once. -> status of the refusal, 0: fine. */
static unsigned head_check(struct http_conn *c, const char **detail)
{
	const llhttp_t *p = &c->parser;
	bool http11 = p->http_major == 1 && p->http_minor == 1;

	*detail = "the request is malformed";
	if (p->http_major != 1 || p->http_minor > 1) {
		*detail = "this server speaks HTTP/1.1";
		return 505;
	}
	if (http11 && !c->has_host) {
		*detail = "the Host header is missing";
		return 400;
	}
	if (c->has_coding && (p->flags & F_CONTENT_LENGTH)) {
		*detail = "Content-Length and Transfer-Encoding exclude each other";
		return 400;
	}
	if (c->has_coding && (!http11 || !span_is(&c->coding, "chunked"))) {
		*detail = "the only transfer coding here is chunked";
		return 501;
	}
	if (!target_set(c))
		return 400;
	if (c->has_expect && !span_is(&c->expect, "100-continue")) {
		*detail = "the only expectation that can be met is 100-continue";
		return 417;
	}
	c->rq.foreign = is_foreign(c);
	c->rq.content_type = span_text(&c->content_type);
	c->rq.range = span_text(&c->range);
	c->rq.content_range = span_text(&c->content_range);
	c->rq.method = method_of(p);
	c->rq.length = c->has_coding ? HTTP_LENGTH_UNKNOWN : p->content_length;
	return 0;
}

static void request_end(struct http_conn *c)
{
	c->keep = llhttp_should_keep_alive(&c->parser) && !c->eof;
	if (!c->streaming) {
		buf_add(&c->body, "", 1); /* NUL-terminated for the parsers upstairs */
		if (c->body.failed) {
			http_refuse(c, 503, "out of memory");
			return;
		}
		c->rq.body = c->body.data;
		c->rq.body_len = c->body.len - 1;
	}
	http_state_set(c, HTTP_APP);
	c->app->end(&c->rq);
}

static void head_accept(struct http_conn *c)
{
	enum http_body how;

	http_state_set(c, HTTP_BODY_PART);
	c->known = true;
	c->keep = c->complete && llhttp_should_keep_alive(&c->parser);
	how = c->app->head(&c->rq);
	if (how == HTTP_BODY_ANSWERED)
		return;
	c->streaming = how == HTTP_BODY_STREAM;
	if (!c->streaming && !c->complete && c->rq.length != HTTP_LENGTH_UNKNOWN &&
	    c->rq.length > HTTP_BODY_MAX) {
		http_refuse(c, 413, "a JSON or console body has at most 256 KiB");
		return;
	}
	if (c->complete)
		request_end(c);
	else if (c->has_expect)
		http_continue(c);
}

static void head_parse(struct http_conn *c)
{
	llhttp_errno_t err = llhttp_execute(&c->parser, c->head, c->head_len);
	const char *detail;
	unsigned status;

	if (!c->headers_done || (err != HPE_OK && err != HPE_PAUSED)) {
		http_refuse(c, err == HPE_INVALID_VERSION ? 505 : 400,
			    err == HPE_INVALID_METHOD ? "the request's method is not known"
						      : "the request's head is malformed");
		return;
	}
	status = head_check(c, &detail);
	if (status)
		http_refuse(c, status, detail);
	else
		head_accept(c);
}

/* NULL: fine so far. */
static const char *head_byte_check(const struct http_conn *c, char byte)
{
	if (byte == '\0')
		return "the request's head contains a NUL";
	if ((byte == '\n') != (c->last == '\r'))
		return "a line of the request's head does not end in CR LF";
	if (c->head_len && c->line_len == 0 && (byte == ' ' || byte == '\t'))
		return "folded header lines are not accepted";
	if (c->in_name && (byte == ' ' || byte == '\t'))
		return "a header's name contains a blank"; /* llhttp lets one stand before the colon */
	return NULL;
}

/* -> whether the head is complete with this byte. */
static bool head_byte(struct http_conn *c, char byte)
{
	bool empty_line = byte == '\n' && c->line_len == 0;

	if (byte == '\n')
		c->in_name = c->head_len > 0;
	else if (byte == ':')
		c->in_name = false;
	if (byte == '\n')
		c->line_len = 0;
	else if (byte != '\r')
		c->line_len++;
	c->last = byte;
	/* Empty lines before the request are dropped. */
	if (c->head_len == 0 && (byte == '\r' || byte == '\n')) {
		c->overhead++;
		return false;
	}
	c->head[c->head_len++] = byte;
	return empty_line;
}

static size_t head_input(struct http_conn *c, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const char *wrong = head_byte_check(c, data[i]);

		if (wrong) {
			http_refuse(c, 400, wrong);
			return i + 1;
		}
		if (c->head_len >= HTTP_HEAD_MAX) {
			http_refuse(c, 431, "the request's head has more than 8 KiB");
			return i + 1;
		}
		if (head_byte(c, data[i])) {
			head_parse(c);
			return i + 1;
		}
		if (c->overhead > LEADING_MAX) {
			http_refuse(c, 400, "too many empty lines before the request");
			return i + 1;
		}
	}
	return len;
}

/* ---- body ---- */

static void body_failed(struct http_conn *c)
{
	if (c->state != HTTP_BODY_PART)
		return; /* the application answered */
	if (c->too_big)
		http_refuse(c, 413, "a JSON or console body has at most 256 KiB");
	else if (c->body.failed)
		http_refuse(c, 503, "out of memory");
	else
		http_refuse(c, 400, "the chunked body is malformed");
}

static size_t body_input(struct http_conn *c, const char *data, size_t len)
{
	llhttp_errno_t err;
	size_t used = len;

	/* Chunk extensions and trailers carry nothing: they may not go on for ever. */
	c->overhead += len;
	err = llhttp_execute(&c->parser, data, len);
	if (err == HPE_PAUSED && c->complete) {
		used = (size_t)(llhttp_get_error_pos(&c->parser) - data);
		request_end(c);
	} else if (err != HPE_OK) {
		body_failed(c);
	} else if (c->overhead > HTTP_HEAD_MAX + len) {
		http_refuse(c, 400, "the chunked body has more framing than data");
	}
	return used;
}

size_t http_parse(struct http_conn *c, const char *data, size_t len)
{
	if (c->state == HTTP_IDLE) {
		head_reset(c);
		http_state_set(c, HTTP_HEAD_PART);
	}
	if (c->state == HTTP_HEAD_PART)
		return head_input(c, data, len);
	return body_input(c, data, len);
}
