/* SPDX-License-Identifier: BSD-2-Clause */
/* The HTTP server's protocol against a small application: framing, limits, time-outs, pipelining, bad clients. */
// SRC: ctrl-kernel/api/http.c
// SRC: ctrl-kernel/api/http_parse.c
// SRC: ctrl-kernel/api/buf.c
// SRC: build/deps/src/nghttp2/third-party/llhttp/src/api.c
// SRC: build/deps/src/nghttp2/third-party/llhttp/src/http.c
// SRC: build/deps/src/nghttp2/third-party/llhttp/src/llhttp.c
// FLAGS: -isystem build/deps/src/nghttp2/third-party/llhttp/include
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "ctrl-kernel/api/http_conn.h"
#include "ctrl-kernel/rt/rt.h"

static uint64_t now_ns;
static char sent[200000];
static size_t n_sent, room, n_recved;
static bool closed, aborted;
static struct http_conn *c;

uint64_t rt_now(void)
{
	return now_ns;
}

/* ---- transport ---- */

static size_t io_send(void *io, const void *data, size_t len)
{
	size_t n = len < room ? len : room;

	(void)io;
	memcpy(sent + n_sent, data, n);
	n_sent += n;
	sent[n_sent] = '\0';
	room -= n;
	return n;
}

static void io_recved(void *io, size_t n)
{
	(void)io;
	n_recved += n;
}

static void io_close(void *io)
{
	(void)io;
	closed = true;
}

static void io_abort(void *io)
{
	(void)io;
	aborted = true;
}

static const struct http_io io = {io_send, io_recved, io_close, io_abort};

/* ---- application: answers with what it was asked; /stream counts, /later waits, /no refuses at the head ---- */

static struct http_request *later;
static unsigned n_requests, n_gone;
static size_t streamed;
static char seen[1000];

static struct http_request *paused, *source_rq;
static size_t source_has; /* bytes that are there now */
static bool source_fails;
static unsigned source_closed;

static size_t source_read(void *ctx, char *to, size_t max)
{
	size_t n = source_has < max ? source_has : max;

	(void)ctx;
	if (source_fails)
		return 0;
	memset(to, 's', n);
	source_has -= n;
	return n ? n : HTTP_SOURCE_LATER;
}

static void source_close(void *ctx)
{
	(void)ctx;
	source_closed++;
}

static void answer(struct http_request *rq, unsigned status, const char *text)
{
	struct buf b = {0};

	buf_text(&b, text);
	http_reply(rq, status, "text/plain", &b, "");
}

static enum http_body app_head(struct http_request *rq)
{
	n_requests++;
	if (strcmp(rq->target, "/no") == 0) {
		answer(rq, 404, "no");
		return HTTP_BODY_ANSWERED;
	}
	streamed = 0;
	if (strcmp(rq->target, "/paused") == 0)
		http_pause(rq);
	paused = rq;
	return strcmp(rq->target, "/stream") == 0 || strcmp(rq->target, "/paused") == 0
		       ? HTTP_BODY_STREAM
		       : HTTP_BODY_BUFFER;
}

static bool app_data(struct http_request *rq, const void *data, size_t len)
{
	streamed += len;
	if (memchr(data, '!', len)) {
		answer(rq, 413, "stop");
		return false;
	}
	if (memchr(data, '~', len))
		http_pause(rq);
	return true;
}

static void app_end(struct http_request *rq)
{
	snprintf(seen, sizeof(seen), "%u %s?%s %s %d [%.200s]", rq->method, rq->target, rq->query,
		 rq->content_type, rq->foreign, rq->body ? rq->body : "-");
	if (strcmp(rq->target, "/later") == 0)
		later = rq;
	else if (strcmp(rq->target, "/big") == 0) {
		struct buf b = {0};

		buf_reserve(&b, 100000);
		memset(b.data, 'b', 100000);
		b.len = 100000;
		http_reply(rq, 200, "text/plain", &b, "");
	} else if (strcmp(rq->target, "/source") == 0) {
		struct http_source s = {.read = source_read, .close = source_close, .left = 300000};

		source_closed = 0;
		source_rq = rq;
		http_reply_source(rq, 200, "text/plain", &s, "");
	} else if (strcmp(rq->target, "/oom") == 0) {
		struct buf b = {.failed = true};

		http_reply(rq, 200, "text/plain", &b, "");
	} else
		answer(rq, 200, seen);
}

static void app_gone(struct http_request *rq)
{
	n_gone++;
	if (later == rq)
		later = NULL;
}

static void app_error(struct buf *b, unsigned status, const char *detail)
{
	buf_printf(b, "%u %s", status, detail);
}

static const struct http_app app = {app_head, app_data, app_end, app_gone, app_error, "text/plain"};

/* ---- helpers ---- */

static void forget(void)
{
	n_sent = 0;
	sent[0] = '\0';
}

static int setup(void **state)
{
	(void)state;
	now_ns = 5000000000ull;
	forget();
	room = sizeof(sent) - 1;
	n_recved = 0;
	closed = aborted = false;
	n_requests = n_gone = 0;
	later = NULL;
	c = malloc(sizeof(*c));
	http_begin(c, &app, &io, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	http_end(c);
	free(c);
	return 0;
}

static void in(const char *text)
{
	http_input(c, text, strlen(text));
}

static void in_bytes(const char *text)
{
	for (; *text; text++)
		http_input(c, text, 1);
}

static void seconds(unsigned n)
{
	for (; n; n--) {
		now_ns += 1000000000ull;
		if (!closed && !aborted)
			http_tick(c);
	}
}

static void expect_status(unsigned status)
{
	char line[32];

	snprintf(line, sizeof(line), "HTTP/1.1 %u ", status);
	if (strncmp(sent, line, strlen(line)) != 0)
		fail_msg("expected %u, got: %.300s", status, sent);
}

/* One request alone; the connection must be closed after a refusal. */
static void refused(const char *text, unsigned status)
{
	setup(NULL);
	in(text);
	expect_status(status);
	assert_true(closed);
	teardown(NULL);
	/* Byte by byte is the same. */
	setup(NULL);
	in_bytes(text);
	expect_status(status);
	teardown(NULL);
}

static void accepted(const char *text, const char *want)
{
	setup(NULL);
	in(text);
	expect_status(200);
	assert_string_equal(seen, want);
	assert_false(closed);
	teardown(NULL);
	setup(NULL);
	seen[0] = '\0';
	in_bytes(text);
	assert_string_equal(seen, want);
	teardown(NULL);
}

#define H "Host: x\r\n"

/* ---- tests ---- */

static void test_requests(void **state)
{
	(void)state;
	accepted("GET / HTTP/1.1\r\n" H "\r\n", "1 /?  0 []");
	accepted("\r\nGET /a%20b?x=1 HTTP/1.1\r\n" H "\r\n", "1 /a%20b?x=1  0 []");
	accepted("GET http://h:1/p HTTP/1.1\r\n" H "\r\n", "1 /p?  0 []");
	accepted("POST / HTTP/1.1\r\n" H "Content-Type:  application/json \r\nContent-Length: 3\r\n"
		 "\r\nabc",
		 "8 /? application/json 0 [abc]");
	accepted("POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n"
		 "3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nTrailer: x\r\n\r\n",
		 "8 /?  0 [abcde]");
	accepted("DELETE / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", "16 /?  0 []");
	accepted("GET / HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
		 "1 /?  0 []");
	accepted("PATCH / HTTP/1.1\r\n" H "\r\n", "32 /?  0 []");
	accepted("POST / HTTP/1.1\r\n" H "Origin: http://x\r\n\r\n", "8 /?  0 []");
	accepted("POST / HTTP/1.1\r\n" H "Origin: http://evil.x\r\n\r\n", "8 /?  1 []");
	accepted("POST / HTTP/1.1\r\n" H "Origin: null\r\n\r\n", "8 /?  1 []");
}

static void test_malformed(void **state)
{
	(void)state;
	refused("GET / HTTP/1.1\n" H "\r\n", 400);
	refused("GET / HTTP/1.1\r\nHost: x\n\r\n", 400);
	refused("GET / HTTP/1.1\r\nHost: x\r\n\n", 400);
	refused("GET / HTTP/1.1\r\nHost: x\rFoo: y\r\n\r\n", 400);
	refused("GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n", 400);
	refused("GET / HTTP/1.1\r\n\tA: b\r\n" H "\r\n", 400);
	refused("GET / HTTP/1.1\r\n" H "A : b\r\n\r\n", 400);
	refused("GET / HTTP/1.1\r\n\r\n", 400);
	refused("GET / HTTP/1.1\r\n" H H "\r\n", 400);
	refused("GET / HTTP/2.0\r\n" H "\r\n", 505);
	refused("GARBAGE\r\n\r\n", 400);
	refused("GET x HTTP/1.1\r\n" H "\r\n", 400);
	refused("GET http://h HTTP/1.1\r\n" H "\r\n", 400);
	refused("\x16\x03\x01\x02\r\n\r\n", 400);
	refused("POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
		400);
	refused("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
		400);
	refused("POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", 400);
	refused("POST / HTTP/1.1\r\n" H "Content-Length: -3\r\n\r\n", 400);
	refused("POST / HTTP/1.1\r\n" H "Content-Length: 3 4\r\n\r\n", 400);
	refused("POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999999\r\n\r\n", 400);
	refused("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n", 501);
	refused("POST / HTTP/1.1\r\n" H
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"
		"\r\n",
		400);
	refused("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400);
	refused("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", 400);
	refused("POST / HTTP/1.1\r\n" H "Expect: miracles\r\nContent-Length: 1\r\n\r\n", 417);
	refused("POST /x HTTP/1.1\r\n" H "Content-Length: 262145\r\n\r\n", 413);
	refused("CONNECT a:1 HTTP/1.1\r\n" H "\r\n", 400);
	refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400);
	refused("\r\n\r\n\r\n\r\n\r\n\r\n", 400);
}

static void test_nul(void **state)
{
	(void)state;
	http_input(c, "GET / HTTP/1.1\r\nA: \0b\r\n\r\n", 25);
	expect_status(400);
}

static void test_head_limit(void **state)
{
	(void)state;
	in("GET / HTTP/1.1\r\n" H);
	for (unsigned i = 0; i < 900 && !closed; i++)
		in("A: bcdef\r\n");
	expect_status(431);
	assert_true(closed);
	assert_int_equal(n_requests, 0);
	teardown(NULL);
	setup(NULL);
	in("GET /");
	for (unsigned i = 0; i < 9000 && !closed; i++)
		in("a");
	expect_status(431);
}

static void test_chunked_limits(void **state)
{
	static char chunk[70000];

	(void)state;
	in("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n");
	snprintf(chunk, sizeof(chunk), "10000\r\n");
	memset(chunk + 7, 'x', 65536);
	strcpy(chunk + 7 + 65536, "\r\n");
	for (unsigned i = 0; i < 4; i++)
		in(chunk);
	assert_int_equal(n_sent, 0);
	in("1\r\nx\r\n");
	expect_status(413);
	teardown(NULL);
	setup(NULL);
	in("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1;");
	for (unsigned i = 0; i < 3000 && !closed; i++)
		in("extension");
	expect_status(400);
}

static void test_keep_alive(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		forget();
		in("GET /a HTTP/1.1\r\n" H "\r\n");
		expect_status(200);
		assert_non_null(strstr(sent, "Connection: keep-alive"));
		assert_false(closed);
	}
	forget();
	in("GET /no HTTP/1.1\r\n" H "\r\n"); /* refused at the head, but nothing is left unread */
	expect_status(404);
	assert_false(closed);
	in("GET /a HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
	assert_true(closed);
	teardown(NULL);
	setup(NULL);
	in("GET / HTTP/1.0\r\n\r\n");
	expect_status(200);
	assert_true(closed);
}

static void test_head_method(void **state)
{
	(void)state;
	in("HEAD /a HTTP/1.1\r\n" H "\r\n");
	expect_status(200);
	assert_non_null(strstr(sent, "Content-Length: "));
	assert_string_equal(strstr(sent, "\r\n\r\n"), "\r\n\r\n");
}

static void test_pipelining(void **state)
{
	static const char two[] = "GET /later HTTP/1.1\r\n" H "\r\nPOST /b HTTP/1.1\r\n" H
				  "Content-Length: 2\r\n\r\nxyGET /c HTTP/1.1\r\n" H "\r\n";
	struct http_request *rq;

	(void)state;
	in(two);
	assert_int_equal(n_requests, 1);
	assert_int_equal(n_sent, 0);
	assert_true(n_recved < sizeof(two) - 1);
	in("GET /d HTTP/1.1\r\n" H "\r\n");
	rq = later;
	later = NULL;
	answer(rq, 200, "now");
	assert_int_equal(n_requests, 4);
	assert_string_equal(seen, "1 /d?  0 []");
	assert_int_equal(n_recved, sizeof(two) - 1 + strlen("GET /d HTTP/1.1\r\n" H "\r\n"));
	assert_true(strstr(sent, "now") < strstr(sent, "[xy]"));
	assert_false(closed);
}

static void test_slow_reader(void **state)
{
	size_t total;

	(void)state;
	room = 1000;
	in("GET /big HTTP/1.1\r\n" H "\r\n");
	in("GET /a HTTP/1.1\r\n" H "\r\n");
	assert_int_equal(n_sent, 1000);
	assert_int_equal(n_requests, 1);
	for (unsigned i = 0; i < 70; i++) {
		seconds(10);
		room = 1500;
		http_writable(c);
		room = 0;
	}
	assert_false(aborted);
	assert_int_equal(n_requests, 2);
	total = n_sent;
	assert_true(total > 100000);
	teardown(NULL);
	setup(NULL);
	room = 1000;
	in("GET /big HTTP/1.1\r\n" H "\r\n");
	seconds(29);
	assert_false(aborted);
	room = 1; /* a byte now and then is not enough */
	http_writable(c);
	seconds(62);
	assert_true(aborted);
}

static void test_timeouts(void **state)
{
	(void)state;
	seconds(11); /* nothing at all */
	assert_true(closed);
	assert_int_equal(n_sent, 0);
	teardown(NULL);

	setup(NULL); /* a head that trickles in */
	for (unsigned i = 0; i < 20 && !closed; i++) {
		in("G");
		seconds(1);
	}
	expect_status(408);
	teardown(NULL);

	setup(NULL); /* idle after a request */
	in("GET /a HTTP/1.1\r\n" H "\r\n");
	forget();
	seconds(29);
	assert_false(closed);
	seconds(2);
	assert_true(closed);
	assert_int_equal(n_sent, 0);
	teardown(NULL);

	setup(NULL); /* a body that trickles in */
	in("PUT /stream HTTP/1.1\r\n" H "Content-Length: 100000\r\n\r\n");
	for (unsigned i = 0; i < 70 && !closed; i++) {
		in("xxxxxxxxxx");
		seconds(1);
	}
	expect_status(408);
	assert_int_equal(n_gone, 1);
	teardown(NULL);

	setup(NULL); /* a slow but honest one */
	in("PUT /stream HTTP/1.1\r\n" H "Content-Length: 10000\r\n\r\n");
	for (unsigned i = 0; i < 200; i++) {
		in("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
		seconds(1);
	}
	expect_status(200);
}

static void test_stream(void **state)
{
	(void)state;
	in("PUT /stream HTTP/1.1\r\n" H "Content-Length: 6\r\n\r\nabc");
	assert_int_equal(streamed, 3);
	assert_int_equal(n_sent, 0);
	in("def");
	expect_status(200);
	assert_int_equal(streamed, 6);
	forget();
	in("PUT /stream HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nab!\r\n");
	expect_status(413);
	assert_true(closed); /* the rest was not read */
	assert_int_equal(n_gone, 0);
}

/* What the application does not want now is not acknowledged to the client, and comes later, in one piece. */
static void test_pause(void **state)
{
	static char body[60001];

	(void)state;
	memset(body, 'x', 60000);
	in("PUT /paused HTTP/1.1\r\n" H "Content-Length: 120002\r\n\r\nab");
	assert_int_equal(streamed, 0);
	in(body);
	assert_int_equal(streamed, 0);
	assert_true(n_recved < 200); /* the head */
	seconds(100);                /* not the client's fault */
	assert_false(closed || aborted);
	http_resume(paused);
	assert_int_equal(streamed, 60002);
	body[100] = '~';
	in(body);
	expect_status(200); /* it was the last piece */
	forget();
	body[100] = 'x';
	in("PUT /paused HTTP/1.1\r\n" H "Content-Length: 9000000\r\n\r\n");
	for (unsigned i = 0; i < 2; i++)
		in(body);
	assert_false(aborted);
	in(body); /* more than the window lets through */
	assert_true(aborted);
	assert_int_equal(n_gone, 1);
}

/* Pauses in the middle, refuses after it, ends while it waits. */
static void test_pause_ends(void **state)
{
	(void)state;
	in("PUT /stream HTTP/1.1\r\n" H
	   "Transfer-Encoding: chunked\r\n\r\n3\r\na~b\r\n2\r\ncd\r\n");
	in("3\r\nef!\r\n0\r\n\r\n");
	assert_int_equal(n_sent, 0);
	http_resume(paused);
	expect_status(413);
	assert_true(closed);
	teardown(NULL);
	setup(NULL);
	in("PUT /paused HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nab");
	http_eof(c);
	assert_false(closed);
	http_resume(paused);
	assert_true(closed);
	assert_int_equal(n_gone, 1);
}

static void test_source_later(void **state)
{
	(void)state;
	room = sizeof(sent) - 1;
	source_has = 1000;
	source_fails = false;
	in("GET /source HTTP/1.1\r\n" H "\r\n");
	expect_status(200);
	assert_non_null(strstr(sent, "Content-Length: 300000\r\n"));
	http_source_ready(source_rq); /* still nothing */
	source_has = 100000;
	http_source_ready(source_rq);
	assert_true(n_sent > 101000);
	seconds(5);
	assert_false(aborted || closed);
	forget();
	room = sizeof(sent) - 1;
	source_has = 1000000;
	http_source_ready(source_rq);
	if (n_sent < 199000) /* the rest goes when there is room */
		http_writable(c);
	assert_int_equal(n_sent, 199000);
	assert_int_equal(source_closed, 1);
	forget();
	room = sizeof(sent) - 1;
	source_has = 0;
	in("GET /source HTTP/1.1\r\n" H "\r\n");
	source_fails = true;
	http_source_ready(source_rq);
	assert_true(aborted);
	assert_int_equal(source_closed, 1);
}

static void test_continue(void **state)
{
	(void)state;
	in("PUT /stream HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	assert_string_equal(sent, "HTTP/1.1 100 Continue\r\n\r\n");
	forget();
	in("abc");
	expect_status(200);
	forget();
	in("PUT /no HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	expect_status(404);
	assert_true(closed);
}

static void test_ends(void **state)
{
	struct http_request *rq;

	(void)state;
	in("GET /later HTTP/1.1\r\n" H "\r\n");
	http_eof(c); /* half closed: still wants the answer */
	assert_false(closed);
	rq = later;
	answer(rq, 200, "late");
	expect_status(200);
	assert_true(closed);
	teardown(NULL);

	setup(NULL);
	in("GET /later HTTP/1.1\r\n" H "\r\n");
	teardown(NULL); /* reset by the peer */
	assert_int_equal(n_gone, 1);
	assert_null(later);

	setup(NULL);
	in("PUT /stream HTTP/1.1\r\n" H "Content-Length: 30\r\n\r\nabc");
	http_eof(c);
	assert_true(closed);
	assert_int_equal(n_gone, 1);
	teardown(NULL);

	setup(NULL);
	in("GET /a HT");
	http_eof(c);
	assert_true(closed);
	assert_int_equal(n_sent, 0);
}

static void test_no_memory(void **state)
{
	(void)state;
	in("GET /oom HTTP/1.1\r\n" H "\r\n");
	expect_status(503);
	assert_true(closed);
	assert_int_equal(strlen(strstr(sent, "\r\n\r\n") + 4), 32);
}

static void test_flood(void **state)
{
	static char flood[65536];

	(void)state;
	memset(flood, 'f', sizeof(flood));
	in("GET /later HTTP/1.1\r\n" H "\r\n");
	for (unsigned i = 0; i < 3 && !aborted; i++)
		http_input(c, flood, sizeof(flood));
	assert_true(aborted); /* more than the window lets through */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_malformed),
		T(test_nul),
		T(test_head_limit),
		T(test_chunked_limits),
		T(test_keep_alive),
		T(test_head_method),
		T(test_pipelining),
		T(test_slow_reader),
		T(test_timeouts),
		T(test_stream),
		T(test_pause),
		T(test_pause_ends),
		T(test_source_later),
		T(test_continue),
		T(test_ends),
		T(test_no_memory),
		T(test_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
