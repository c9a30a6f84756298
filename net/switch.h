/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An Ethernet switch in software (IEEE 802.1Q): ports, learned addresses, VLANs. It knows neither VMs nor cards nor lwIP; a
 * port is whoever has a deliver(). Frames never leave by the port they came in, and no port is an uplink of two switches, so
 * there are no loops but those outside.
 *
 *   in   link up ─► form, sender's address ─► VLAN ─► rate ─► spoofing ─► learn ─► one port, or all of the VLAN
 *   out  VLAN, isolation, promiscuity ─► link up ─► rate ─► what the receiver's card does not do ─► deliver()
 *
 * Pure; one thread. deliver() may put frames into the switch.
 */
#ifndef NET_SWITCH_H
#define NET_SWITCH_H

#include "net/fdb.h"
#include "net/ipaddr.h"
#include "net/packet.h"

#define SWITCH_PORTS_MAX 256u
#define SWITCH_LEARN_GUEST 16u /* addresses behind a guest's port, beside its own */
#define SWITCH_LEARN_UPLINK 1024u
#define SWITCH_ADDRS_MAX 8u
#define SWITCH_CLAIM_BUCKETS 64u
#define SWITCH_VID_MAX 4094u
#define SWITCH_VIDS_MAX 32u

struct vswitch;
struct switch_port;

struct switch_port_ops {
	/* The frame is the callee's during the call only. False: no room; counted by the switch. */
	bool (*deliver)(struct switch_port *port, const struct packet *p);
};

struct switch_rate { /* 0: no limit; each way by itself */
	uint64_t bytes_per_s;
	uint32_t frames_per_s;
	uint32_t burst_ms; /* how much may be saved up, beside a least */
};

/* Has that MAC a lease of that IPv4 address (host order) in force? */
typedef bool (*switch_leased_fn)(const void *ctx, const uint8_t mac[6], uint32_t ip);

struct switch_port_config {
	bool trunk;       /* an uplink: all VLANs, tagged but for `vid` */
	bool tagged_only; /* vids[] alone, not `vid` */
	bool isolated;    /* hears of no other isolated port */
	bool anti_spoof;  /* sends from `mac` only */
	bool addrs_only; /* and, with anti_spoof, from addrs[], leases, and the link-local of `mac` */
	bool floods;     /* gets frames for addresses nobody knows; else only when promiscuous */
	bool has_mac;    /* is found by it before it has sent anything; nobody else may have it */
	uint8_t mac[6];
	uint16_t vid; /* of its untagged frames; 0: that of no tag */
	unsigned n_vids;
	uint16_t vids[SWITCH_VIDS_MAX]; /* further VLANs, with a tag */
	unsigned learn;                 /* addresses learned at most */
	unsigned n_addrs;
	struct ipaddr
		addrs[SWITCH_ADDRS_MAX]; /* its own: nobody else in its VLAN sends from them */
	switch_leased_fn leased;         /* NULL: leases do not count */
	const void *leased_ctx;          /* [borrows] */
	struct switch_rate rate;
};

struct switch_counters { /* as the port's owner sees it: tx is what it sends */
	uint64_t tx_frames, tx_bytes, rx_frames, rx_bytes;
	uint64_t tx_malformed, tx_spoofed, tx_vlan, tx_limited, tx_reserved, tx_not_learned;
	uint64_t rx_no_room, rx_limited;
	uint64_t flooded; /* copies of what it sent */
};

struct switch_bucket {
	uint64_t rate, tokens, burst, at_ns;
};

struct switch_claim {              /* an address that a port has for itself */
	struct switch_port *port;  /* [borrows] */
	const struct ipaddr *addr; /* [borrows] of its config */
	struct switch_claim *next; /* in the bucket */
};

struct switch_port {
	const struct switch_port_ops *ops; /* [borrows] */
	void *own;
	struct switch_port_config config;
	struct switch_counters counters;
	bool up;          /* link; the owner's to set */
	bool promiscuous; /* the owner's to set */
	unsigned caps;    /* enum packet_caps; the owner's to set */
	/* the switch's */
	struct vswitch *sw; /* NULL: not plugged in */
	struct fdb_owner learned;
	struct switch_claim claims[SWITCH_ADDRS_MAX];
	struct switch_bucket tx_bytes, tx_frames, rx_bytes, rx_frames;
	struct switch_port *next;
};

struct vswitch {
	struct switch_port *ports; /* [borrows] */
	unsigned n_ports;
	struct switch_counters gone; /* of ports that were unplugged */
	struct fdb fdb;
	unsigned n_claims;
	struct switch_claim *claims[SWITCH_CLAIM_BUCKETS]; /* by address */
};

void switch_init(struct vswitch *sw, uint32_t secret);
void switch_free(struct vswitch *sw); /* has no port any more */

enum switch_plug {
	SWITCH_OK,
	SWITCH_FULL,
	SWITCH_NO_MEMORY,
	SWITCH_MAC_TAKEN,
	SWITCH_ADDR_TAKEN /* by another port of its VLAN */
};
/* ops, own, config are set; the rest is set here. The link is down. */
enum switch_plug switch_plug(struct vswitch *sw, struct switch_port *port) MUST_CHECK;
void switch_unplug(struct switch_port *port); /* also one that is not plugged in */

/* The sum of its ports' counters, also of those that are not plugged in any more: it never falls. */
void switch_total(const struct vswitch *sw, struct switch_counters *out);

/* A frame that the port's owner sends. -> copies it became: what it has cost. */
unsigned switch_input(struct switch_port *port, const struct packet *p, uint64_t now_ns);
/* The caps of the one port that gets it; 0: there is none, or there are several. */
unsigned switch_caps(const struct switch_port *from, const struct packet *p, uint64_t now_ns);
/* The owner's word that what it sends makes no frame. */
void switch_malformed(struct switch_port *port);
/* A frame of that VLAN leaves by the port with a tag. */
bool switch_tagged(const struct switch_port *port, const struct packet *p);

/* May a frame of that VLAN leave by the port, or come in by it? */
bool switch_in_vlan(const struct switch_port *port, uint16_t vid);

/* ---- net/spoof.c ---- */
/* Does the port send that from addresses that are its own? Ethernet, ARP, IPv4, IPv6, neighbour discovery. */
bool spoof_check(const struct switch_port_config *c, const struct packet *p) MUST_CHECK;

#define SPOOF_SAID_MAX 2u
struct spoof_said {  /* what a frame says is its sender's */
	bool hidden; /* there may be more, where it is not looked for */
	unsigned n;
	struct {
		struct ipaddr addr;
		bool source; /* of an IP packet; else asked or answered for (ARP, neighbour discovery) */
	} addr[SPOOF_SAID_MAX];
};
void spoof_said(const struct packet *p, struct spoof_said *out);

/* ---- net/claim.c: addresses that ports have for themselves ---- */
/* The port's addrs. False, and none: another port of its VLAN has one of them. */
bool claims_add(struct vswitch *sw, struct switch_port *port) MUST_CHECK;
void claims_drop(struct vswitch *sw, struct switch_port *port);
/* Does a frame in that VLAN leave alone what is another's? */
bool claims_check(const struct switch_port *port, const struct packet *p, uint16_t vid) MUST_CHECK;

#endif
