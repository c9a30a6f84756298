/* SPDX-License-Identifier: BSD-2-Clause */
/* See switch.h. */
#include "net/switch.h"

#include <string.h>

#define NS_PER_S 1000000000ull
#define MS_PER_S 1000u
#define BURST_FRAMES_MIN 64u
#define BURST_BYTES_MIN 131072u /* twice the largest frame */

/* ---- rates: token buckets ---- */

static void bucket_init(struct switch_bucket *b, uint64_t rate, uint32_t burst_ms, uint64_t least)
{
	uint64_t burst = (uint64_t)((unsigned __int128)rate * burst_ms / MS_PER_S);

	if (burst < least)
		burst = least;
	*b = (struct switch_bucket){.rate = rate, .burst = burst, .tokens = burst};
}

static void rate_init(struct switch_bucket *bytes, struct switch_bucket *frames,
		      const struct switch_rate *rate)
{
	bucket_init(bytes, rate->bytes_per_s, rate->burst_ms, BURST_BYTES_MIN);
	bucket_init(frames, rate->frames_per_s, rate->burst_ms, BURST_FRAMES_MIN);
}

static void bucket_fill(struct switch_bucket *b, uint64_t now_ns)
{
	unsigned __int128 all = (unsigned __int128)(now_ns - b->at_ns) * b->rate / NS_PER_S;
	uint64_t more;

	more = all < b->burst ? (uint64_t)all : b->burst;
	if (more == 0)
		return; /* the time is not lost: at_ns stays */
	b->at_ns = now_ns;
	b->tokens = b->burst - b->tokens < more ? b->burst : b->tokens + more;
}

static bool bucket_has(struct switch_bucket *b, uint64_t n, uint64_t now_ns)
{
	if (b->rate == 0)
		return true;
	bucket_fill(b, now_ns);
	return b->tokens >= n;
}

static bool rate_ok(struct switch_bucket *bytes, struct switch_bucket *frames, uint64_t n,
		    uint64_t now_ns)
{
	if (!bucket_has(bytes, n, now_ns) || !bucket_has(frames, 1, now_ns))
		return false;
	if (bytes->rate)
		bytes->tokens -= n;
	if (frames->rate)
		frames->tokens--;
	return true;
}

/* ---- ports ---- */

void switch_init(struct vswitch *sw, uint32_t secret)
{
	*sw = (struct vswitch){0};
	fdb_init(&sw->fdb, secret);
}

void switch_free(struct vswitch *sw)
{
	fdb_free(&sw->fdb);
}

static unsigned vlans_of(const struct switch_port_config *c)
{
	return c->n_vids + !c->tagged_only;
}

/* Its MAC is its own in each of its VLANs. */
static bool give(struct vswitch *sw, struct switch_port *port)
{
	const struct switch_port_config *c = &port->config;

	if (!c->tagged_only && fdb_give(&sw->fdb, &port->learned, c->mac, c->vid))
		return false;
	for (unsigned i = 0; i < c->n_vids; i++)
		if (fdb_give(&sw->fdb, &port->learned, c->mac, c->vids[i]))
			return false;
	return true;
}

enum switch_plug switch_plug(struct vswitch *sw, struct switch_port *port)
{
	const struct switch_port_config *c = &port->config;
	struct switch_port **at = &sw->ports;

	if (sw->n_ports >= SWITCH_PORTS_MAX)
		return SWITCH_FULL;
	if (fdb_reserve(&sw->fdb, &port->learned, c->has_mac ? vlans_of(c) : 0, c->learn))
		return SWITCH_NO_MEMORY;
	if (c->has_mac && !give(sw, port)) {
		fdb_forget(&sw->fdb, &port->learned);
		return SWITCH_MAC_TAKEN;
	}
	if (!claims_add(sw, port)) {
		fdb_forget(&sw->fdb, &port->learned);
		return SWITCH_ADDR_TAKEN;
	}
	rate_init(&port->tx_bytes, &port->tx_frames, &c->rate);
	rate_init(&port->rx_bytes, &port->rx_frames, &c->rate);
	port->counters = (struct switch_counters){0};
	port->up = port->promiscuous = false;
	port->sw = sw;
	port->next = NULL;
	while (*at)
		at = &(*at)->next;
	*at = port;
	sw->n_ports++;
	return SWITCH_OK;
}

_Static_assert(sizeof(struct switch_counters) % sizeof(uint64_t) == 0, "each is a uint64_t");

static void counters_add(struct switch_counters *to, const struct switch_counters *c)
{
	uint64_t *sum = (uint64_t *)to;
	const uint64_t *n = (const uint64_t *)c;

	for (unsigned i = 0; i < sizeof(*to) / sizeof(*sum); i++)
		sum[i] += n[i];
}

void switch_total(const struct vswitch *sw, struct switch_counters *out)
{
	*out = sw->gone;
	for (const struct switch_port *p = sw->ports; p; p = p->next)
		counters_add(out, &p->counters);
}

void switch_unplug(struct switch_port *port)
{
	struct vswitch *sw = port->sw;
	struct switch_port **at;

	if (!sw)
		return;
	at = &sw->ports;
	while (*at != port)
		at = &(*at)->next;
	*at = port->next;
	sw->n_ports--;
	fdb_forget(&sw->fdb, &port->learned);
	claims_drop(sw, port);
	counters_add(&sw->gone, &port->counters);
	port->sw = NULL;
}

void switch_malformed(struct switch_port *port)
{
	port->counters.tx_malformed++;
}

bool switch_in_vlan(const struct switch_port *port, uint16_t vid)
{
	const struct switch_port_config *c = &port->config;

	if (c->trunk || (!c->tagged_only && c->vid == vid))
		return true;
	for (unsigned i = 0; i < c->n_vids; i++)
		if (c->vids[i] == vid)
			return true;
	return false;
}

bool switch_tagged(const struct switch_port *port, const struct packet *p)
{
	return port->config.tagged_only || p->vid != port->config.vid;
}

/* ---- out ---- */

struct delivery {
	struct switch_port *port;
	uint64_t now_ns;
};

static bool deliver_one(void *ctx, const struct packet *p)
{
	struct delivery *d = ctx;
	struct switch_port *port = d->port;

	if (!rate_ok(&port->rx_bytes, &port->rx_frames, p->bytes, d->now_ns)) {
		port->counters.rx_limited++;
		return false;
	}
	if (!port->ops->deliver(port, p)) {
		port->counters.rx_no_room++;
		return false;
	}
	port->counters.rx_frames++;
	port->counters.rx_bytes += p->bytes;
	return true;
}

/* May it go from one to the other at all? */
static bool allowed(const struct switch_port *from, const struct switch_port *to, uint16_t vid)
{
	if (to == from || !to->up || (from->config.isolated && to->config.isolated))
		return false;
	return switch_in_vlan(to, vid);
}

static unsigned deliver(struct switch_port *to, const struct packet *p, uint64_t now_ns)
{
	struct delivery d = {to, now_ns};
	unsigned taken;

	return packet_finish(p, to->caps, deliver_one, &d, &taken);
}

static unsigned flood(struct switch_port *from, const struct packet *p, bool group, uint64_t now_ns)
{
	struct switch_port *next;
	unsigned n = 0;

	for (struct switch_port *to = from->sw->ports; to; to = next) {
		next = to->next;
		if (allowed(from, to, p->vid) && (group || to->config.floods || to->promiscuous))
			n += deliver(to, p, now_ns);
	}
	from->counters.flooded += n;
	return n;
}

static struct switch_port *port_of(struct fdb_owner *o)
{
	return (struct switch_port *)((char *)o - offsetof(struct switch_port, learned));
}

/* Who has a station's address; NULL: nobody that is known. */
static struct switch_port *find(const struct switch_port *from, const struct packet *p,
				uint16_t vid, uint64_t now_ns)
{
	struct fdb_owner *o = fdb_find(&from->sw->fdb, p->head, vid, (uint32_t)(now_ns / NS_PER_S));

	return o ? port_of(o) : NULL;
}

static unsigned forward(struct switch_port *from, const struct packet *p, uint64_t now_ns)
{
	struct switch_port *to;

	if (p->head[0] & 1)
		return flood(from, p, true, now_ns);
	to = find(from, p, p->vid, now_ns);
	if (!to)
		return flood(from, p, false, now_ns);
	return allowed(from, to, p->vid) ? deliver(to, p, now_ns) : 0;
}

/* ---- in ---- */

/* IEEE 802.1Q, table 8-1: between two bridges only. */
static bool is_reserved(const uint8_t mac[6])
{
	static const uint8_t bridges[5] = {0x01, 0x80, 0xc2, 0x00, 0x00};

	return memcmp(mac, bridges, sizeof(bridges)) == 0 && mac[5] < 0x10;
}

static bool is_station(const uint8_t mac[6])
{
	static const uint8_t none[6];

	return !(mac[0] & 1) && memcmp(mac, none, sizeof(none)) != 0;
}

/* The VLAN a frame is in; false: it may not be in that one, or not with that tag. */
static bool classify(const struct switch_port *port, const struct packet *p, uint16_t *vid)
{
	const struct switch_port_config *c = &port->config;

	*vid = p->vid ? p->vid : c->vid;
	if (p->vid == 0)
		return !c->tagged_only;
	return p->vid <= SWITCH_VID_MAX && (c->trunk || switch_tagged(port, p)) &&
	       switch_in_vlan(port, p->vid);
}

static bool admit(struct switch_port *port, const struct packet *p, uint64_t now_ns)
{
	struct switch_counters *c = &port->counters;

	if (!is_station(p->head + 6)) {
		c->tx_malformed++;
		return false;
	}
	if (is_reserved(p->head)) {
		c->tx_reserved++;
		return false;
	}
	if (!rate_ok(&port->tx_bytes, &port->tx_frames, p->bytes, now_ns)) {
		c->tx_limited++;
		return false;
	}
	if (!spoof_check(&port->config, p)) {
		c->tx_spoofed++;
		return false;
	}
	return true;
}

static bool learn(struct switch_port *port, const struct packet *p, uint16_t vid, uint64_t now_ns)
{
	switch (fdb_learn(&port->sw->fdb, &port->learned, p->head + 6, vid,
			  (uint32_t)(now_ns / NS_PER_S))) {
	case FDB_ANOTHERS:
		port->counters.tx_spoofed++;
		return false;
	case FDB_FULL:
		port->counters.tx_not_learned++;
		return true;
	case FDB_KNOWN:
	case FDB_LEARNED:
		break;
	}
	return true;
}

unsigned switch_input(struct switch_port *port, const struct packet *p, uint64_t now_ns)
{
	uint16_t vid;

	if (!port->sw || !port->up || !admit(port, p, now_ns))
		return 0;
	if (!classify(port, p, &vid)) {
		port->counters.tx_vlan++;
		return 0;
	}
	if (!claims_check(port, p, vid)) {
		port->counters.tx_spoofed++;
		return 0;
	}
	if (!learn(port, p, vid, now_ns))
		return 0;
	port->counters.tx_frames++;
	port->counters.tx_bytes += p->bytes;
	if (vid != p->vid) {
		struct packet in = *p;

		in.vid = vid;
		return forward(port, &in, now_ns);
	}
	return forward(port, p, now_ns);
}

unsigned switch_caps(const struct switch_port *from, const struct packet *p, uint64_t now_ns)
{
	const struct switch_port *to;
	uint16_t vid;

	if (!from->sw || !from->up || (p->head[0] & 1) || !classify(from, p, &vid))
		return 0;
	to = find(from, p, vid, now_ns);
	return to && allowed(from, to, vid) ? to->caps : 0;
}
