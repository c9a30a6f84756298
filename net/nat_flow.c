/* SPDX-License-Identifier: BSD-2-Clause */
/* See nat_flow.h. Two hash tables over one array; what has timed out goes when it is met, or when room is needed. */
#include "net/nat_flow.h"

#include <stdlib.h>

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

struct nat_flows {
	struct nat_flow flow[NAT_FLOWS_MAX];
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

struct nat_flows *nat_flows_make(uint32_t secret)
{
	struct nat_flows *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->secret = secret;
	t->free = END;
	for (unsigned i = 0; i < BUCKETS; i++)
		t->inside[i] = t->outside[i] = END;
	for (unsigned i = 0; i < NAT_FLOWS_MAX; i++) {
		t->flow[i].next_inside = t->free;
		t->free = (uint16_t)i;
	}
	return t;
}

void nat_flows_free(struct nat_flows *t)
{
	free(t);
}

static void unlink_inside(struct nat_flows *t, uint16_t i)
{
	uint16_t *at = &t->inside[hash_inside(t, &t->flow[i].ends)];

	while (*at != i)
		at = &t->flow[*at].next_inside;
	*at = t->flow[i].next_inside;
}

static void unlink_outside(struct nat_flows *t, uint16_t i)
{
	uint16_t *at = &t->outside[hash_outside(t, &t->flow[i].ends, t->flow[i].port)];

	while (*at != i)
		at = &t->flow[*at].next_outside;
	*at = t->flow[i].next_outside;
}

static void drop(struct nat_flows *t, uint16_t i)
{
	unlink_inside(t, i);
	unlink_outside(t, i);
	t->flow[i] = (struct nat_flow){.next_inside = t->free};
	t->free = i;
	t->n--;
}

static bool is_old(const struct nat_flow *f, uint32_t now_s)
{
	return (int32_t)(now_s - f->deadline_s) >= 0;
}

struct nat_flow *nat_flow_inside(struct nat_flows *t, const struct nat_ends *e, uint32_t now_s)
{
	for (uint16_t i = t->inside[hash_inside(t, e)]; i != END; i = t->flow[i].next_inside) {
		struct nat_flow *f = &t->flow[i];

		if (guest_word(&f->ends) != guest_word(e) ||
		    remote_word(&f->ends) != remote_word(e) || f->ends.net != e->net)
			continue;
		if (!is_old(f, now_s))
			return f;
		drop(t, i);
		return NULL;
	}
	return NULL;
}

struct nat_flow *nat_flow_outside(struct nat_flows *t, const struct nat_ends *e, uint16_t port,
				  uint32_t now_s)
{
	for (uint16_t i = t->outside[hash_outside(t, e, port)]; i != END;
	     i = t->flow[i].next_outside) {
		struct nat_flow *f = &t->flow[i];

		if (f->port != port || f->ends.protocol != e->protocol ||
		    remote_word(&f->ends) != remote_word(e))
			continue;
		if (!is_old(f, now_s))
			return f;
		drop(t, i);
		return NULL;
	}
	return NULL;
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
	uint16_t i, *inside, *outside;
	struct nat_flow *f;

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
	inside = &t->inside[hash_inside(t, e)];
	outside = &t->outside[hash_outside(t, e, port)];
	t->free = f->next_inside;
	*f = (struct nat_flow){.ends = *e,
			       .port = port,
			       .used = true,
			       .next_inside = *inside,
			       .next_outside = *outside};
	f->deadline_s = now_s + lifetime(f);
	*inside = *outside = i;
	t->n++;
	t->counters.flows_made++;
	return f;
}

/* A reset from outside may be forged (RFC 5961): it shortens the flow's life, no more. */
void nat_flow_touch(struct nat_flow *f, uint8_t tcp_flags, bool from_guest, uint32_t now_s)
{
	if (!from_guest)
		f->answered = true;
	if (f->ends.protocol == NAT_TCP && (tcp_flags & (FIN | RST)))
		f->closing = true;
	f->deadline_s = now_s + lifetime(f);
}

void nat_flows_drop(struct nat_flows *t, const struct nat *net)
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
