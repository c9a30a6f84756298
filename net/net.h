/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network as the layers above see it: configuration, status, and TCP servers. No lwIP type appears here.
 * Everything runs on the control kernel's loop; callbacks come from the loop and from inside no call below
 * except where said.
 *
 *   init: netconf_default(), netconf_option() for each boot option, nic_probe_all(), net_init(); then net_listen().
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nic;

/* ---- configuration (net/netconf.c; pure) ------------------------------------------------------------ */
#define NET_NIC_SELECTOR_MAX 32u

struct net_config {
	bool dhcp;
	uint8_t ip[4], gateway[4];      /* network order; gateway 0.0.0.0: none */
	unsigned prefix;                /* 1..32 */
	uint16_t vlan;                  /* 0: untagged, else 1..4094 */
	char nic[NET_NIC_SELECTOR_MAX]; /* driver name, MAC or [dddd:]bus:dev.fn; "": the best one */
};

enum netconf_result {
	NETCONF_OTHER,   /* not an option of the network */
	NETCONF_TAKEN,   /* understood */
	NETCONF_REFUSED, /* ours but wrong: *warning says so, the configuration keeps what it had */
};

/* DHCP, untagged, any NIC. */
void netconf_default(struct net_config *c);
/*
 * One word of the command line, "key=value". ip=dhcp, ip=A.B.C.D/NN[,gw=A.B.C.D], nic=, vlan=. The warning is a
 * sentence that names the option.
 */
enum netconf_result netconf_option(struct net_config *c, const char *word, char *warning,
				   size_t warning_size);
/* Does selector name this NIC? name is "driver@bb:dd.f". */
bool netconf_nic_matches(const char *selector, const char *name, const uint8_t mac[6]);

/* ---- start and status --------------------------------------------------------------------------------- */
/*
 * Takes the NIC that cfg->nic selects from the list (else the first with a link, else the first), starts it and
 * begins to get addresses; waits for nothing. nics NULL: the stack runs without an interface (listening works,
 * nothing arrives) and the log says so.
 */
void net_init(const struct net_config *cfg, struct nic *nics);

#define NET_ADDR6_MAX 4u
struct net_counters {
	uint64_t rx_malformed;              /* too short or long, ARP that ends early */
	uint64_t rx_filtered;               /* another VLAN's */
	uint64_t rx_no_memory;              /* no packet buffer free */
	uint64_t tx_dropped;                /* the NIC's ring was full */
	uint64_t tcp_accepted, tcp_refused; /* refused: no connection slot free */
	unsigned tcp_open;
};
struct net_status {
	const struct nic *nic; /* [borrows] name, mac, link, stats; NULL: none */
	bool has_ipv4, dhcp;
	char ipv4[16], gateway[16]; /* text; "" if none */
	unsigned prefix;
	unsigned n_ipv6;
	char ipv6[NET_ADDR6_MAX][40];
	uint16_t vlan;
	struct net_counters counters;
};
void net_status(struct net_status *out);
void net_watch(void (*changed)(void)); /* called after an address came or went; one watcher */

/* ---- TCP servers (net/tcp.c) ---------------------------------------------------------------------------
 * A connection belongs to the stack. Every accepted connection gets exactly one closed(), always from the loop and
 * never from inside a call of the owner, whoever ended it; only after it the pointer is dead. So close() and abort()
 * may be called anywhere, at any time before, also twice; calls on a connection that has ended do nothing.
 *
 *   OPEN --net_conn_close()--> CLOSING: what was sent is still delivered, data from the peer is discarded
 *   OPEN, CLOSING --abort, reset, time-out, all delivered--> closed()
 */
#define NET_CONNS_MAX 72u

struct net_conn;
struct net_listener;

enum net_end {                     /* why a connection ended */
	       NET_END_CLOSED = 0, /* net_conn_close() was called and all is delivered */
	       NET_END_ABORTED,    /* net_conn_abort() */
	       NET_END_RESET,      /* by the peer */
	       NET_END_TIMEOUT,    /* the peer does not answer */
	       NET_END_NO_MEMORY,
};

struct net_conn_ops {
	/*
	 * Bytes from the peer, valid during the call only; all are taken. The peer may send on when net_conn_recved()
	 * says they are dealt with; at most NET_WINDOW bytes are on the way or unacknowledged by it.
	 */
	void (*data)(struct net_conn *conn, void *ctx, const void *data, size_t len);
	void (*eof)(struct net_conn *conn,
		    void *ctx); /* the peer sends no more; sending still works */
	void (*writable)(struct net_conn *conn,
			 void *ctx); /* there is room again, or all is delivered */
	void (*tick)(struct net_conn *conn, void *ctx); /* about once a second: for time-outs */
	void (*closed)(struct net_conn *conn, void *ctx, enum net_end why);
};
#define NET_WINDOW 65536u

/* accept() sets ops and ctx by net_conn_attach(), or aborts. */
struct net_listener *net_listen(uint16_t port, unsigned backlog,
				void (*accept)(struct net_conn *conn, void *ctx), void *ctx);
void net_listener_close(struct net_listener *l);
const char *net_last_error(void); /* why net_listen() returned NULL */

void net_conn_attach(struct net_conn *conn, const struct net_conn_ops *ops, void *ctx);
size_t net_conn_send(struct net_conn *conn, const void *data,
		     size_t len); /* copies -> bytes taken; less than len: wait for writable() */
size_t net_conn_room(const struct net_conn *conn);   /* what send would take now, about */
size_t net_conn_unsent(const struct net_conn *conn); /* taken but not yet acknowledged */
void net_conn_recved(struct net_conn *conn, size_t n);
void net_conn_close(struct net_conn *conn);
void net_conn_abort(struct net_conn *conn);
const char *net_conn_peer(const struct net_conn *conn); /* "10.0.2.2:40123", "[fe80::1]:80" */
bool net_conn_is_open(const struct net_conn *conn);

#endif
