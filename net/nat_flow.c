/* SPDX-License-Identifier: BSD-2-Clause */
/* See nat_flow.h. Two hash tables over the array of flows; what has timed out goes when it is met, or when room is needed. */
#include "net/nat_flow.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096u
#define END UINT16_MAX
/* Seconds. RFC 5382: established 2 h 4 min, else 4 min; RFC 4787: UDP 2 min; RFC 5508: ICMP 60 s. */
#define TCP_OPEN_S 7440u
#define TCP_OTHER_S 240u
#define TCP_CLOSING_S 60u
#define UDP_S 120u
#define UDP_ONCE_S 30u /* nobody has answered */
#define ICMP_S 60u
#define FIN 1u
#define RST 4u

#define MAGIC 0x574f4c4654414eull /* "NATFLOW" */
#define VERSION 1u
_Static_assert(sizeof(struct nat_flow) == 36 && VERSION == 1, "another layout is another version");

struct nat_flows {
	struct nat_flows_kept *own; /* [owns] NULL: somebody else's memory is used */
	struct nat_flow *flow;      /* [borrows] */
	uint16_t next_inside[NAT_FLOWS_MAX], next_outside[NAT_FLOWS_MAX]; /* free ones: by inside */
	uint16_t inside[BUCKETS], outside[BUCKETS];
	uint16_t free;
	unsigned n;
	uint32_t secret, swept_s;
	struct nat_counters counters;
};

static uint32_t mix(uint64_t a, uint64_t b, uint32_t secret)
{
	uint64_t x = (a ^ secret) * 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 29 ^ b) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 32) * 0x94d049bb133111ebull;
	return (uint32_t)(x >> 33);
}

static uint64_t guest_word(const struct nat_ends *e)
{
	return (uint64_t)e->guest << 32 | (uint64_t)e->guest_port << 16 | e->protocol;
}

static uint64_t remote_word(const struct nat_ends *e)
{
	return (uint64_t)e->remote << 32 | e->remote_port;
}

static unsigned hash_inside(const struct nat_flows *t, const struct nat_ends *e)
{
	return mix(guest_word(e), remote_word(e), t->secret) % BUCKETS;
}

static unsigned hash_outside(const struct nat_flows *t, const struct nat_ends *e, uint16_t port)
{
	return mix((uint64_t)port << 16 | e->protocol, remote_word(e), t->secret) % BUCKETS;
}

static uint16_t find_inside(const struct nat_flows *t, const struct nat_ends *e)
{
	uint16_t i = t->inside[hash_inside(t, e)];

	while (i != END &&
	       (guest_word(&t->flow[i].ends) != guest_word(e) ||
		remote_word(&t->flow[i].ends) != remote_word(e) || t->flow[i].ends.net != e->net))
		i = t->next_inside[i];
	return i;
}

static uint16_t find_outside(const struct nat_flows *t, const struct nat_ends *e, uint16_t port)
{
	uint16_t i = t->outside[hash_outside(t, e, port)];

	while (i != END && (t->flow[i].port != port || t->flow[i].ends.protocol != e->protocol ||
			    remote_word(&t->flow[i].ends) != remote_word(e)))
		i = t->next_outside[i];
	return i;
}

static void link(struct nat_flows *t, uint16_t i)
{
	const struct nat_flow *f = &t->flow[i];
	uint16_t *inside = &t->inside[hash_inside(t, &f->ends)];
	uint16_t *outside = &t->outside[hash_outside(t, &f->ends, f->port)];

	t->next_inside[i] = *inside;
	t->next_outside[i] = *outside;
	*inside = *outside = i;
	t->n++;
}

static void unlink_inside(struct nat_flows *t, uint16_t i)
{
	uint16_t *at = &t->inside[hash_inside(t, &t->flow[i].ends)];

	while (*at != i)
		at = &t->next_inside[*at];
	*at = t->next_inside[i];
}

static void unlink_outside(struct nat_flows *t, uint16_t i)
{
	uint16_t *at = &t->outside[hash_outside(t, &t->flow[i].ends, t->flow[i].port)];

	while (*at != i)
		at = &t->next_outside[*at];
	*at = t->next_outside[i];
}

static void put_free(struct nat_flows *t, uint16_t i)
{
	t->next_inside[i] = t->free;
	t->free = i;
}

static void drop(struct nat_flows *t, uint16_t i)
{
	__atomic_store_n(&t->flow[i].used, 0, __ATOMIC_RELEASE);
	unlink_inside(t, i);
	unlink_outside(t, i);
	put_free(t, i);
	t->n--;
}

/* Could an instance have meant that? Beside those that were taken over before it. */
static bool sane(const struct nat_flows *t, const struct nat_flow *f, uint32_t now_s)
{
	uint8_t p = f->ends.protocol;

	return f->used == 1 && f->answered <= 1 && f->closing <= 1 && f->ends.net && f->port &&
	       (p == NAT_ICMP || p == NAT_TCP || p == NAT_UDP) &&
	       f->deadline_s - now_s <= TCP_OPEN_S && find_inside(t, &f->ends) == END &&
	       find_outside(t, &f->ends, f->port) == END;
}

static void take_over(struct nat_flows *t, uint32_t now_s)
{
	for (unsigned i = NAT_FLOWS_MAX; i-- > 0;) {
		if (sane(t, &t->flow[i], now_s)) {
			link(t, (uint16_t)i);
			continue;
		}
		t->flow[i].used = 0;
		put_free(t, (uint16_t)i);
	}
}

struct nat_flows *nat_flows_make(struct nat_flows_kept *kept, uint32_t secret, uint32_t now_s)
{
	struct nat_flows *t = calloc(1, sizeof(*t));

	if (t && !kept)
		t->own = kept = calloc(1, sizeof(*kept));
	if (!t || !kept) {
		free(t);
		return NULL;
	}
	t->flow = kept->flow;
	t->secret = secret;
	t->free = END;
	for (unsigned i = 0; i < BUCKETS; i++)
		t->inside[i] = t->outside[i] = END;
	if (kept->magic != MAGIC || kept->version != VERSION)
		memset(kept, 0, sizeof(*kept));
	kept->version = VERSION;
	kept->magic = MAGIC;
	take_over(t, now_s);
	return t;
}

void nat_flows_free(struct nat_flows *t)
{
	free(t->own);
	free(t);
}

static bool is_old(const struct nat_flow *f, uint32_t now_s)
{
	return (int32_t)(now_s - f->deadline_s) >= 0;
}

/* The flow, unless its time is over: then it goes. */
static struct nat_flow *met(struct nat_flows *t, uint16_t i, uint32_t now_s)
{
	if (i == END)
		return NULL;
	if (!is_old(&t->flow[i], now_s))
		return &t->flow[i];
	drop(t, i);
	return NULL;
}

struct nat_flow *nat_flow_inside(struct nat_flows *t, const struct nat_ends *e, uint32_t now_s)
{
	return met(t, find_inside(t, e), now_s);
}

struct nat_flow *nat_flow_outside(struct nat_flows *t, const struct nat_ends *e, uint16_t port,
				  uint32_t now_s)
{
	return met(t, find_outside(t, e, port), now_s);
}

/* Once a second at most: it walks the table. */
static void sweep(struct nat_flows *t, uint32_t now_s)
{
	if (t->swept_s == now_s)
		return;
	t->swept_s = now_s;
	for (unsigned i = 0; i < NAT_FLOWS_MAX; i++)
		if (t->flow[i].used && is_old(&t->flow[i], now_s))
			drop(t, (uint16_t)i);
}

static unsigned flows_of(const struct nat_flows *t, const struct nat_ends *e)
{
	unsigned n = 0;

	for (unsigned i = 0; i < NAT_FLOWS_MAX; i++)
		n += t->flow[i].used && t->flow[i].ends.guest == e->guest &&
		     t->flow[i].ends.net == e->net;
	return n;
}

/* While there is plenty nobody is counted. */
static bool has_room(struct nat_flows *t, const struct nat_ends *e, uint32_t now_s)
{
	if (t->n < NAT_GUEST_FLOWS_MAX)
		return true;
	sweep(t, now_s);
	if (flows_of(t, e) >= NAT_GUEST_FLOWS_MAX) {
		t->counters.guest_full++;
		return false;
	}
	if (t->free == END) {
		t->counters.flows_full++;
		return false;
	}
	return true;
}

/* 0: every port has a flow to that end. */
static uint16_t choose_port(struct nat_flows *t, const struct nat_ends *e, uint32_t now_s)
{
	uint32_t start = mix(guest_word(e), remote_word(e), 0);

	for (uint32_t i = 0; i <= NAT_PORT_MASK; i++) {
		uint16_t port = (uint16_t)(NAT_PORT_FIRST + ((start + i) & NAT_PORT_MASK));

		if (!nat_flow_outside(t, e, port, now_s))
			return port;
	}
	return 0;
}

static uint32_t lifetime(const struct nat_flow *f)
{
	switch (f->ends.protocol) {
	case NAT_TCP:
		if (f->closing)
			return TCP_CLOSING_S;
		return f->answered ? TCP_OPEN_S : TCP_OTHER_S;
	case NAT_UDP:
		return f->answered ? UDP_S : UDP_ONCE_S;
	default:
		return ICMP_S;
	}
}

struct nat_flow *nat_flow_add(struct nat_flows *t, const struct nat_ends *e, uint16_t port,
			      uint32_t now_s)
{
	struct nat_flow *f;
	uint16_t i;

	if (!has_room(t, e, now_s))
		return NULL;
	if (port == 0)
		port = choose_port(t, e, now_s);
	if (port == 0) {
		t->counters.flows_full++;
		return NULL;
	}
	i = t->free;
	f = &t->flow[i];
	t->free = t->next_inside[i];
	*f = (struct nat_flow){.ends = *e, .port = port};
	f->deadline_s = now_s + lifetime(f);
	__atomic_store_n(&f->used, 1, __ATOMIC_RELEASE);
	link(t, i);
	t->counters.flows_made++;
	return f;
}

/* A reset from outside may be forged (RFC 5961): it shortens the flow's life, no more. */
void nat_flow_touch(struct nat_flow *f, uint8_t tcp_flags, bool from_guest, uint32_t now_s)
{
	if (!from_guest)
		f->answered = 1;
	if (f->ends.protocol == NAT_TCP && (tcp_flags & (FIN | RST)))
		f->closing = 1;
	f->deadline_s = now_s + lifetime(f);
}

void nat_flows_drop(struct nat_flows *t, uint32_t net)
{
	for (unsigned i = 0; i < NAT_FLOWS_MAX; i++)
		if (t->flow[i].used && t->flow[i].ends.net == net)
			drop(t, (uint16_t)i);
}

unsigned nat_flows_count(const struct nat_flows *t)
{
	return t->n;
}

const struct nat_counters *nat_flows_counters(const struct nat_flows *t)
{
	return &t->counters;
}
