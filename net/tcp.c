/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP servers over lwIP's raw interface; net.h describes them. All that lwIP forbids inside its callbacks (freeing a
 * pcb, using one after tcp_close()) is done by one job per connection, which the loop runs after the callbacks:
 *
 *   net_conn_send()  -> WORK_FLUSH: tcp_output() once for all that was written in this turn
 *   net_conn_close() -> WORK_CLOSE: FIN after what was sent. The receiving side stays open and is thrown away until
 *                       the peer's FIN: closing it too would make lwIP answer late data by RST, and a client would
 *                       lose the reply it has not yet read.
 *   any end          -> WORK_END: detach from the pcb, closed(), free the slot
 *
 * Peers that hold on to things share them with each other, not with the rest: a peer that does not acknowledge keeps
 * SEND_SHARE bytes of lwIP's heap and a part of SEND_POOL; when slots become few, the connection that has been closing
 * for longest gives way; when lwIP's pcbs do, those that nobody owns any more and half-open ones (a flood of SYNs) go
 * first, by their priority.
 */
#include <stdio.h>
#include <string.h>
#include "net/net.h"
#include "net/tcp.h"
#include "net/netif.h"
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/rt/rt.h"
#include "lwip/tcp.h"

#define LISTENERS_MAX MEMP_NUM_TCP_PCB_LISTEN
#define POLL_HALF_SECONDS 2u
#define LINGER_DONE_S 3u      /* all is acknowledged, the peer keeps its side open */
#define LINGER_STUCK_S 30u    /* nothing more is acknowledged */
#define LINGER_PROGRESS 1024u /* bytes to be acknowledged in LINGER_STUCK_S */
#define RECVED_MAX 0xffffu    /* tcp_recved() takes 16 bits */
#define SLOTS_SPARE 8u        /* fewer free ones: somebody who lingers must go */
#define SEND_SHARE 3072u      /* bytes each connection may have unacknowledged */
#define SEND_POOL 131072u     /* for those that have more, together */

_Static_assert(NET_CONNS_MAX *SEND_SHARE + SEND_POOL <= MEM_SIZE * 3 / 4, "headers take the rest");

#define WORK_FLUSH 1u
#define WORK_CLOSE 2u
#define WORK_END 4u

enum conn_state { CONN_FREE = 0, CONN_OPEN, CONN_CLOSING, CONN_ENDED };

struct net_conn {
	enum conn_state state;
	struct tcp_pcb *pcb;            /* [owns] NULL: lwIP has freed it */
	const struct net_conn_ops *ops; /* [borrows] NULL: not attached yet */
	void *ctx;
	struct loop_job job;
	unsigned work;
	enum net_end why;
	bool peer_done;  /* its FIN came */
	bool want_write; /* a send took less than it was given */
	unsigned idle_s; /* CLOSING: since the last progress */
	unsigned acked;  /* CLOSING: bytes since then */
	size_t unrecved; /* given to the owner, window not yet opened again */
	size_t unacked;
	char peer[64];
};

struct net_listener {
	struct tcp_pcb *pcb; /* [owns] NULL: free */
	void (*accept)(struct net_conn *, void *);
	void *ctx;
};

static struct net_conn conns[NET_CONNS_MAX];
static struct net_listener listeners[LISTENERS_MAX];
static struct net_counters *counters; /* [borrows] net.c's */
static const char *last_error = "";

static void work_add(struct net_conn *c, unsigned work)
{
	c->work |= work;
	loop_defer(&c->job);
}

/* The connection is over for its owner; closed() follows from the job. */
static void end(struct net_conn *c, enum net_end why)
{
	if (c->state == CONN_ENDED)
		return;
	c->state = CONN_ENDED;
	c->why = why;
	work_add(c, WORK_END);
}

static void window_open(struct net_conn *c, size_t n)
{
	if (n > c->unrecved)
		n = c->unrecved;
	c->unrecved -= n;
	while (n && c->pcb) {
		u16_t part = n > RECVED_MAX ? RECVED_MAX : (u16_t)n;

		tcp_recved(c->pcb, part);
		n -= part;
	}
}

/* ---- the job ------------------------------------------------------------------------------------------ */

/* After it lwIP knows nothing of the connection's slot. */
static struct tcp_pcb *detach(struct net_conn *c)
{
	struct tcp_pcb *pcb = c->pcb;

	c->pcb = NULL;
	if (!pcb)
		return NULL;
	tcp_arg(pcb, NULL);
	tcp_recv(pcb, NULL);
	tcp_sent(pcb, NULL);
	tcp_err(pcb, NULL);
	tcp_poll(pcb, NULL, 0);
	tcp_setprio(pcb, TCP_PRIO_MIN);
	return pcb;
}

static void do_end(struct net_conn *c)
{
	struct tcp_pcb *pcb;

	if (c->why == NET_END_CLOSED)
		window_open(c, c->unrecved); /* else tcp_close() would reset */
	pcb = detach(c);
	if (pcb && c->why == NET_END_CLOSED)
		(void)tcp_close(pcb); /* cannot fail in 2.2.1: it is retried inside */
	else if (pcb)
		tcp_abort(pcb);
	if (c->ops && c->ops->closed)
		c->ops->closed(c, c->ctx, c->why);
	*c = (struct net_conn){.state = CONN_FREE};
	counters->tcp_open--;
}

static void do_close(struct net_conn *c)
{
	window_open(c, c->unrecved);
	/* What is not delivered yet is watched until it is: lwIP alone would try for many minutes. */
	if ((c->peer_done && c->unacked == 0) || tcp_shutdown(c->pcb, 0, 1) != ERR_OK)
		end(c, NET_END_CLOSED); /* the job is queued again */
}

static void run_job(void *ctx)
{
	struct net_conn *c = ctx;
	unsigned work = c->work;

	c->work = 0;
	if (work & WORK_END) {
		do_end(c);
		return;
	}
	if (work & WORK_CLOSE && c->pcb)
		do_close(c);
	if (c->pcb && c->state != CONN_ENDED)
		(void)tcp_output(c->pcb);
}

/* ---- lwIP's callbacks --------------------------------------------------------------------------------- */

static void on_error(void *arg, err_t err)
{
	struct net_conn *c = arg;

	if (!c)
		return;
	c->pcb = NULL; /* lwIP has freed it */
	if (err == ERR_RST)
		end(c, NET_END_RESET);
	else if (err == ERR_CLSD)
		end(c, NET_END_CLOSED);
	else
		end(c, NET_END_TIMEOUT);
}

static void on_eof(struct net_conn *c)
{
	c->peer_done = true;
	if (c->state == CONN_CLOSING && c->unacked == 0)
		end(c, NET_END_CLOSED);
	else if (c->state == CONN_OPEN && c->ops && c->ops->eof)
		c->ops->eof(c, c->ctx);
}

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	struct net_conn *c = arg;

	(void)pcb;
	(void)err; /* always ERR_OK in 2.2.1 */
	if (!p) {
		on_eof(c);
		return ERR_OK;
	}
	c->unrecved += p->tot_len;
	for (const struct pbuf *q = p; q && c->state == CONN_OPEN; q = q->next)
		if (c->ops && c->ops->data)
			c->ops->data(c, c->ctx, q->payload, q->len);
	if (c->state != CONN_OPEN)
		window_open(c, c->unrecved);
	pbuf_free(p);
	return ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
	struct net_conn *c = arg;

	(void)pcb;
	c->unacked -= len < c->unacked ? len : c->unacked;
	c->acked += len;
	if (c->unacked == 0 || c->acked >= LINGER_PROGRESS)
		c->acked = c->idle_s = 0;
	if (c->state == CONN_CLOSING && c->peer_done && c->unacked == 0)
		end(c, NET_END_CLOSED);
	c->want_write = false;
	if (c->state == CONN_OPEN && c->ops && c->ops->writable)
		c->ops->writable(c, c->ctx);
	return ERR_OK;
}

static void closing_tick(struct net_conn *c)
{
	bool done = c->unacked == 0;

	if (++c->idle_s >= (done ? LINGER_DONE_S : LINGER_STUCK_S))
		end(c, done ? NET_END_CLOSED : NET_END_TIMEOUT);
}

static err_t on_poll(void *arg, struct tcp_pcb *pcb)
{
	struct net_conn *c = arg;

	(void)pcb;
	if (c->state == CONN_CLOSING)
		closing_tick(c);
	if (c->state == CONN_OPEN && c->ops && c->ops->tick)
		c->ops->tick(c, c->ctx);
	/* A send that found no memory at all has no acknowledgement to wait for. */
	if (c->state == CONN_OPEN && c->want_write && c->ops && c->ops->writable) {
		c->want_write = false;
		c->ops->writable(c, c->ctx);
	}
	return ERR_OK;
}

static void peer_text(struct net_conn *c, const struct tcp_pcb *pcb)
{
	char ip[NET_IP_TEXT_MAX];

	if (IP_IS_V6(&pcb->remote_ip)) {
		net_ipv6_text(ip_2_ip6(&pcb->remote_ip), ip);
		snprintf(c->peer, sizeof(c->peer), "[%s]:%u", ip, pcb->remote_port);
	} else {
		ip4addr_ntoa_r(ip_2_ip4(&pcb->remote_ip), ip, sizeof(ip));
		snprintf(c->peer, sizeof(c->peer), "%s:%u", ip, pcb->remote_port);
	}
}

/* -> NULL: all are taken. */
static struct net_conn *slot_find(void)
{
	struct net_conn *found = NULL, *oldest = NULL;
	unsigned n_free = 0;

	for (struct net_conn *c = conns; c < conns + NET_CONNS_MAX; c++) {
		if (c->state == CONN_FREE) {
			n_free++;
			found = c;
		}
		if (c->state == CONN_CLOSING && (!oldest || c->idle_s > oldest->idle_s))
			oldest = c;
	}
	if (n_free < SLOTS_SPARE && oldest)
		end(oldest, NET_END_ABORTED);
	return found;
}

static struct net_conn *conn_new(struct tcp_pcb *pcb)
{
	struct net_conn *c = slot_find();

	if (!c)
		return NULL;
	*c = (struct net_conn){.state = CONN_OPEN, .pcb = pcb, .job = {.fn = run_job, .ctx = c}};
	peer_text(c, pcb);
	tcp_arg(pcb, c);
	tcp_recv(pcb, on_recv);
	tcp_sent(pcb, on_sent);
	tcp_err(pcb, on_error);
	tcp_poll(pcb, on_poll, POLL_HALF_SECONDS);
	tcp_setprio(pcb, TCP_PRIO_NORMAL);
	tcp_nagle_disable(pcb); /* output is gathered for a turn of the loop instead */
	counters->tcp_open++;
	return c;
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct net_listener *l = arg;
	struct net_conn *c = err == ERR_OK && pcb ? conn_new(pcb) : NULL;

	if (!c) {
		counters->tcp_refused++;
		if (!pcb)
			return ERR_MEM;
		tcp_abort(pcb);
		return ERR_ABRT;
	}
	counters->tcp_accepted++;
	l->accept(c, l->ctx);
	if (!c->ops)
		net_conn_abort(c);
	return ERR_OK;
}

/* A SYN came. Until the peer has shown that the address is its own, its pcb is the first that gives way to others. */
static err_t on_syn(u8_t id, struct tcp_pcb_listen *listening, struct tcp_pcb *pcb)
{
	(void)id;
	(void)listening;
	tcp_setprio(pcb, TCP_PRIO_MIN);
	return ERR_OK;
}

static const struct tcp_ext_arg_callbacks syn_callbacks = {.passive_open = on_syn};

/* ---- for the owners ----------------------------------------------------------------------------------- */

void net_tcp_init(struct net_counters *to)
{
	counters = to;
}

static struct tcp_pcb *pcb_listening(uint16_t port, unsigned backlog)
{
	struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_ANY), *listening;

	if (!pcb) {
		last_error = "no memory for a listening connection";
		return NULL;
	}
	tcp_ext_arg_set_callbacks(pcb, 0, &syn_callbacks);
	if (tcp_bind(pcb, IP_ANY_TYPE, port) != ERR_OK) {
		last_error = "the port is in use";
		tcp_abort(pcb);
		return NULL;
	}
	listening = tcp_listen_with_backlog(pcb, (u8_t)(backlog > 255 ? 255 : backlog));
	if (!listening) {
		last_error = "no memory for a listening connection";
		tcp_abort(pcb);
	}
	return listening;
}

struct net_listener *net_listen(uint16_t port, unsigned backlog,
				void (*accept)(struct net_conn *, void *), void *ctx)
{
	struct net_listener *l = listeners;

	while (l < listeners + LISTENERS_MAX && l->pcb)
		l++;
	if (l == listeners + LISTENERS_MAX) {
		last_error = "too many listening ports";
		return NULL;
	}
	l->pcb = pcb_listening(port, backlog);
	if (!l->pcb)
		return NULL;
	l->accept = accept;
	l->ctx = ctx;
	tcp_arg(l->pcb, l);
	tcp_accept(l->pcb, on_accept);
	return l;
}

void net_listener_close(struct net_listener *l)
{
	if (l->pcb)
		(void)tcp_close(l->pcb);
	*l = (struct net_listener){0};
}

const char *net_last_error(void)
{
	return last_error;
}

void net_conn_attach(struct net_conn *c, const struct net_conn_ops *ops, void *ctx)
{
	c->ops = ops;
	c->ctx = ctx;
}

/* What is left of the pool that those with more than their share draw from. */
static size_t pool_room(void)
{
	size_t used = 0;

	for (const struct net_conn *c = conns; c < conns + NET_CONNS_MAX; c++)
		used += c->unacked > SEND_SHARE ? c->unacked - SEND_SHARE : 0;
	return used < SEND_POOL ? SEND_POOL - used : 0;
}

size_t net_conn_room(const struct net_conn *c)
{
	size_t share = c->unacked < SEND_SHARE ? SEND_SHARE - c->unacked : 0, room;

	if (c->state != CONN_OPEN || !c->pcb || tcp_sndqueuelen(c->pcb) >= TCP_SND_QUEUELEN)
		return 0;
	room = share + pool_room();
	return room < tcp_sndbuf(c->pcb) ? room : tcp_sndbuf(c->pcb);
}

/* One piece; lwIP takes it whole or not at all, so less is tried while memory is short. */
static size_t write_piece(struct net_conn *c, const void *data, size_t n, bool more)
{
	while (n) {
		if (tcp_write(c->pcb, data, (u16_t)n,
			      TCP_WRITE_FLAG_COPY | (more ? TCP_WRITE_FLAG_MORE : 0)) == ERR_OK)
			return n;
		n = n > TCP_MSS ? n / 2 : 0;
	}
	return 0;
}

size_t net_conn_send(struct net_conn *c, const void *data, size_t len)
{
	size_t room = net_conn_room(c), n = len < room ? len : room;

	if (n)
		n = write_piece(c, data, n > RECVED_MAX ? RECVED_MAX : n, n < len);
	if (n) {
		c->unacked += n;
		work_add(c, WORK_FLUSH);
	}
	c->want_write |= n < len;
	return n;
}

size_t net_conn_unsent(const struct net_conn *c)
{
	return c->unacked;
}

void net_conn_recved(struct net_conn *c, size_t n)
{
	window_open(c, n);
}

void net_conn_close(struct net_conn *c)
{
	if (c->state != CONN_OPEN)
		return;
	c->state = CONN_CLOSING;
	c->idle_s = 0;
	work_add(c, WORK_CLOSE);
}

void net_conn_abort(struct net_conn *c)
{
	if (c->state == CONN_OPEN || c->state == CONN_CLOSING)
		end(c, NET_END_ABORTED);
}

const char *net_conn_peer(const struct net_conn *c)
{
	return c->peer;
}

bool net_conn_is_open(const struct net_conn *c)
{
	return c->state == CONN_OPEN;
}
