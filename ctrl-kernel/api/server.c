/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The REST interface on the network: connections of net/net.h to those of http.h.
 */
#include "ctrl-kernel/api/api.h"

#include <stdlib.h>
#include "net/net.h"
#include "ctrl-kernel/api/http_conn.h"

#define CONNECTIONS_MAX 48u
#define LEAVING_MAX 8u /* beyond these: that make room and are not gone yet */
#define SLOTS (CONNECTIONS_MAX + LEAVING_MAX)
#define BACKLOG                                                                                    \
	255u /* net/tcp.c sees to it that connections which are half open do not keep others out */

/* All there will ever be: a connection needs no memory when memory is short. */
static struct slot {
	bool used;
	bool leaving;
	struct net_conn *net; /* [borrows] */
	struct http_conn conn;
} * slots;

static const char too_many[] = "HTTP/1.1 503 Service Unavailable\r\n"
			       "Content-Type: text/plain\r\n"
			       "Content-Length: 38\r\n"
			       "Retry-After: 5\r\n"
			       "Connection: close\r\n"
			       "\r\n"
			       "too many connections; try again later\n";

static size_t io_send(void *io, const void *data, size_t len)
{
	return net_conn_send(io, data, len);
}

static void io_recved(void *io, size_t n)
{
	net_conn_recved(io, n);
}

static void io_close(void *io)
{
	net_conn_close(io);
}

static void io_abort(void *io)
{
	net_conn_abort(io);
}

static const struct http_io io = {io_send, io_recved, io_close, io_abort};

static void on_data(struct net_conn *conn, void *ctx, const void *data, size_t len)
{
	(void)conn;
	http_input(ctx, data, len);
}

static void on_eof(struct net_conn *conn, void *ctx)
{
	(void)conn;
	http_eof(ctx);
}

static void on_writable(struct net_conn *conn, void *ctx)
{
	(void)conn;
	http_writable(ctx);
}

static void on_tick(struct net_conn *conn, void *ctx)
{
	(void)conn;
	http_tick(ctx);
}

static void on_closed(struct net_conn *conn, void *ctx, enum net_end why)
{
	struct slot *s = (struct slot *)((char *)ctx - offsetof(struct slot, conn));

	(void)conn;
	(void)why;
	http_end(ctx);
	s->used = false;
	api_counters.connections--;
}

static const struct net_conn_ops conn_ops = {on_data, on_eof, on_writable, on_tick, on_closed};

/* A connection beyond the limit: it has its answer already and only waits for its end. */
static void refused_data(struct net_conn *conn, void *ctx, const void *data, size_t len)
{
	(void)ctx;
	(void)data;
	net_conn_recved(conn, len);
}

static void refused_event(struct net_conn *conn, void *ctx)
{
	(void)conn;
	(void)ctx;
}

static void refused_closed(struct net_conn *conn, void *ctx, enum net_end why)
{
	(void)conn;
	(void)ctx;
	(void)why;
}

static const struct net_conn_ops refused_ops = {refused_data, refused_event, refused_event,
						refused_event, refused_closed};

/* Ends the connection that has been waiting for its client for longest. -> false: all have something to do. */
static bool make_room(void)
{
	uint64_t since, least = UINT64_MAX;
	struct slot *oldest = NULL;

	for (struct slot *s = slots; s < slots + SLOTS; s++) {
		if (!s->used || s->leaving || !http_waits(&s->conn, &since) || since >= least)
			continue;
		least = since;
		oldest = s;
	}
	if (!oldest)
		return false;
	oldest->leaving = true;
	net_conn_abort(oldest->net);
	return true;
}

static struct slot *slot_find(void)
{
	struct slot *s = slots;

	if (api_counters.connections >= CONNECTIONS_MAX && !make_room())
		return NULL;
	while (s < slots + SLOTS && s->used)
		s++;
	return s < slots + SLOTS ? s : NULL;
}

static void on_accept(struct net_conn *conn, void *ctx)
{
	struct slot *s = slot_find();

	(void)ctx;
	if (s) {
		s->used = true;
		s->leaving = false;
		s->net = conn;
		api_counters.connections++;
		http_begin(&s->conn, &api_app, &io, conn);
		net_conn_attach(conn, &conn_ops, &s->conn);
		return;
	}
	api_counters.refused++;
	net_conn_attach(conn, &refused_ops, NULL);
	net_conn_send(conn, too_many, sizeof(too_many) - 1);
	net_conn_close(conn);
}

bool api_listen(uint16_t port, const char **why)
{
	slots = calloc(SLOTS, sizeof(*slots));
	if (!slots) {
		*why = "no memory for the connections";
		return false;
	}
	if (net_listen(port, BACKLOG, on_accept, NULL))
		return true;
	*why = net_last_error();
	return false;
}
