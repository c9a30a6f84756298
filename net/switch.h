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
#include "net/packet.h"

#define SWITCH_PORTS_MAX 256u
#define SWITCH_LEARN_GUEST 16u /* addresses behind a guest's port, beside its own */
#define SWITCH_LEARN_UPLINK 1024u
#define SWITCH_ADDRS_MAX 4u
#define SWITCH_VID_MAX 4094u

struct vswitch;
struct switch_port;

struct switch_port_ops {
	/* The frame is the callee's during the call only. False: no room; counted by the switch. */
	bool (*deliver)(struct switch_port *port, const struct packet *p);
};

struct switch_rate { /* 0: no limit; each way by itself */
	uint64_t bytes_per_s;
	uint32_t frames_per_s;
};

struct switch_addr {     /* an address that the port may send from */
	uint8_t version; /* 4 or 6; IPv4: the first 4 bytes */
	uint8_t ip[16];
};

struct switch_port_config {
	bool trunk;      /* all VLANs, tagged but for `vid`; else `vid` alone, untagged */
	bool isolated;   /* hears of no other isolated port */
	bool anti_spoof; /* sends from `mac` only, and from addrs[] only if there are any */
	bool floods;     /* gets frames for addresses nobody knows; else only when promiscuous */
	bool has_mac;    /* is found by it before it has sent anything; nobody else may have it */
	uint8_t mac[6];
	uint16_t vid;   /* 0: untagged */
	unsigned learn; /* addresses learned at most */
	unsigned n_addrs;
	struct switch_addr addrs[SWITCH_ADDRS_MAX];
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
	struct switch_bucket tx_bytes, tx_frames, rx_bytes, rx_frames;
	struct switch_port *next;
};

struct vswitch {
	struct switch_port *ports; /* [borrows] */
	unsigned n_ports;
	struct fdb fdb;
};

void switch_init(struct vswitch *sw, uint32_t secret);
void switch_free(struct vswitch *sw); /* has no port any more */

enum switch_plug { SWITCH_OK, SWITCH_FULL, SWITCH_NO_MEMORY, SWITCH_MAC_TAKEN };
/* ops, own, config are set; the rest is set here. The link is down. */
enum switch_plug switch_plug(struct vswitch *sw, struct switch_port *port) MUST_CHECK;
void switch_unplug(struct switch_port *port); /* also one that is not plugged in */

/* A frame that the port's owner sends. -> copies it became: what it has cost. */
unsigned switch_input(struct switch_port *port, const struct packet *p, uint64_t now_ns);
/* The owner's word that what it sends makes no frame. */
void switch_malformed(struct switch_port *port);
/* A trunk's frame of that VLAN leaves with a tag. */
bool switch_tagged(const struct switch_port *port, const struct packet *p);

/* ---- net/spoof.c ---- */
/* Does the port send that from addresses that are its own? Ethernet, ARP, IPv4, IPv6, neighbour discovery. */
bool spoof_check(const struct switch_port_config *c, const struct packet *p) MUST_CHECK;

#endif
