/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/1.1, server side, without sockets: bytes in, bytes out, requests to an application. server.c ties it to the
 * network, the tests to arrays. One request of a connection is worked on at a time; what the client sends ahead waits.
 *
 *   IDLE -first byte-> HEAD -complete, app->head()-> BODY -app->data()/buffered, app->end()-> APP
 *    ^                                                                                          | http_reply()
 *    +------------------------------- keep-alive ------------------------------- SEND <---------+
 *   Any state: error reply -> SEND -> CLOSED; time-out, end of the connection -> CLOSED (app->gone() if unanswered).
 *
 * Refused: Content-Length with Transfer-Encoding, bare CR or LF, folded headers, NUL, a transfer coding other than
 * chunked, HTTP/1.1 without Host.
 */
#ifndef API_HTTP_H
#define API_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ctrl-kernel/api/buf.h"

#define HTTP_HEAD_MAX 8192u
#define HTTP_BODY_MAX 262144u
#define HTTP_LENGTH_UNKNOWN UINT64_MAX
#define HTTP_HELD_MAX 131072u /* twice what the TCP window lets through */

/* Seconds. A body must bring HTTP_BODY_MIN bytes, or end, in every stall period. */
#define HTTP_FIRST_S 10u
#define HTTP_HEAD_S 10u
#define HTTP_IDLE_S 30u
#define HTTP_STALL_S 30u
#define HTTP_SLOW_S 5u
#define HTTP_BODY_MIN 1024u

enum http_method {
	HTTP_M_GET = 1,
	HTTP_M_HEAD = 2,
	HTTP_M_PUT = 4,
	HTTP_M_POST = 8,
	HTTP_M_DELETE = 16,
	HTTP_M_PATCH = 32,
	HTTP_M_OTHER = 64
};

struct http_request {
	enum http_method method;
	const char *target;        /* path as sent, percent-encoded, without the query */
	const char *query;         /* as sent, "": none */
	const char *content_type;  /* "": none */
	const char *range;         /* of the body wanted, "": all (RFC 9110 14) */
	const char *content_range; /* where the body belongs, "": not said (RFC 9110 14.4, 14.5) */
	bool foreign;              /* sent by a web page of another site: Origin is not our Host */
	uint64_t length;           /* of the body, 0: none, HTTP_LENGTH_UNKNOWN: chunked */
	const char *body;          /* buffered, NUL-terminated */
	size_t body_len;
	void *user; /* the application's, NULL at app->head() */
};

enum http_body { HTTP_BODY_BUFFER, HTTP_BODY_STREAM, HTTP_BODY_ANSWERED };

struct http_app {
	/* The head is complete: how the body is to come, or it answered already. */
	enum http_body (*head)(struct http_request *rq);
	/* STREAM: a piece of it. false: it answered (with an error), no more is wanted. */
	bool (*data)(struct http_request *rq, const void *data, size_t len);
	/* All of the request is there: answer now or later, exactly once. */
	void (*end)(struct http_request *rq);
	/* The connection ended before the answer: forget the request. */
	void (*gone)(struct http_request *rq);
	/* Fills the body of a reply to a request that was refused below the application. */
	void (*error)(struct buf *body, unsigned status, const char *detail);
	const char *error_type;
};

struct http_io { /* what the connection does to its transport */
	size_t (*send)(void *io, const void *data, size_t len); /* -> bytes taken */
	void (*recved)(void *io, size_t n);
	void (*close)(void *io); /* after what was sent is delivered */
	void (*abort)(void *io);
};

struct http_conn;

/* The memory is the caller's (http_conn.h) and free again after http_end(). */
void http_begin(struct http_conn *c, const struct http_app *app, const struct http_io *io,
		void *io_ctx);
void http_end(struct http_conn *c); /* the transport has ended */
void http_input(struct http_conn *c, const void *data, size_t len);
void http_eof(struct http_conn *c);
void http_writable(struct http_conn *c);
void http_tick(struct http_conn *c); /* about once a second */
/*
 * For when connections become few: has it been waiting for its client since *since_ns? Between requests, in a head, or
 * in a body or an answer that has not moved for HTTP_SLOW_S.
 */
bool http_waits(const struct http_conn *c, uint64_t *since_ns);

/* Takes *body over (empties it). extra: further header lines, each with CRLF; may be "". */
void http_reply(struct http_request *rq, unsigned status, const char *type, struct buf *body,
		const char *extra);
/*
 * No more of the body, please, after what has come: app->data() is not called again before http_resume(), and what the client
 * has sent beyond waits, at most HTTP_HELD_MAX bytes, which then come in one piece. From app->head() or app->data().
 */
void http_pause(struct http_request *rq);
void http_resume(struct http_request *rq);
/*
 * A body that is fetched as the client takes it. read fills at most max bytes -> how many, 0: it cannot, and the connection is
 * cut, HTTP_SOURCE_LATER: there is nothing yet, http_source_ready() will say when. close is called exactly once, when all is sent or nobody wants it any more.
 */
struct http_source {
	size_t (*read)(void *ctx, char *to, size_t max);
	void (*close)(void *ctx);
	void *ctx;
	uint64_t left; /* bytes */
};
#define HTTP_SOURCE_LATER SIZE_MAX
void http_source_ready(struct http_request *rq); /* the one that was answered; until close */
void http_reply_source(struct http_request *rq, unsigned status, const char *type,
		       const struct http_source *source, const char *extra);
const char *http_status_text(unsigned status);

#endif
