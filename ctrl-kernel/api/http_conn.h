/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside the HTTP server: the connection, shared by http.c (states, replies, time-outs), http_parse.c (bytes to
 * requests) and server.c, which has the memory of all connections.
 */
#ifndef API_HTTP_CONN_H
#define API_HTTP_CONN_H

#include "llhttp.h"
#include "ctrl-kernel/api/http.h"

enum http_state { HTTP_IDLE, HTTP_HEAD_PART, HTTP_BODY_PART, HTTP_APP, HTTP_SEND, HTTP_CLOSED };

struct http_span {
	char *at; /* into head[] */
	size_t len;
};

struct http_conn {
	const struct http_app *app; /* [borrows] */
	const struct http_io *io;   /* [borrows] */
	void *io_ctx;
	enum http_state state;
	bool fresh;    /* no request yet */
	bool busy;     /* inside http_work() */
	bool eof;      /* the peer sends no more */
	bool keep;     /* the connection goes on after this reply */
	bool complete; /* the request's last byte was parsed */
	bool known;    /* the application knows the request and has not answered */
	bool streaming;
	bool paused;       /* the application wants no more of the body now */
	uint64_t since_ns; /* begin of the state, or of the stall period */
	uint64_t progress; /* body bytes, or reply bytes, in this stall period */
	size_t overhead;   /* bytes since the last body byte: chunk heads, trailers */

	llhttp_t parser;
	size_t head_len, line_len;
	char last;    /* byte of the head before this one */
	bool in_name; /* of a header line, before the colon */
	struct http_span url, name, value;
	struct http_span content_type, expect, coding, host, origin, range, content_range;
	bool has_host, has_expect, has_coding, headers_done, too_big;

	struct http_request rq;
	struct buf body;
	struct buf out;            /* reply being sent, or the present piece of it */
	struct http_source source; /* the rest of the body; source.left 0: none */
	size_t out_at;
	struct buf held; /* came before its turn */
	char head[HTTP_HEAD_MAX + 1];
};

/* http_parse.c: takes bytes while the state is IDLE, HEAD or BODY -> how many; the state may change on the way. */
size_t http_parse(struct http_conn *c, const char *data, size_t len);
/* http.c */
void http_state_set(struct http_conn *c, enum http_state state);
void http_refuse(struct http_conn *c, unsigned status, const char *detail);
void http_continue(struct http_conn *c); /* 100 Continue */

#endif
