/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Networks: switches that guests' NICs are plugged into. One may have a card of the host as its uplink, or (mode nat) a
 * gateway that gives out addresses and lets guests reach what the host reaches (net/nat.h). They are kept as VMs are: a table
 * of records in KEEP_SLOT_NETWORKS, each valid from the moment its `live` is set; a change is written beside and then
 * pointed to.
 *
 * There is always one named "default", of mode nat, unless it has been deleted.
 */
#ifndef OPS_NETWORKS_H
#define OPS_NETWORKS_H

#include "ctrl-kernel/backend/netdev.h"
#include "ctrl-kernel/ops/vms.h"
#include "net/switch.h"

#define NETWORKS_MAX 64u
#define NETWORK_DEFAULT "default"
#define NETWORK_NIC_MAX 32u
#define NETWORK_FORWARDS_MAX 16u
#define NETWORK_ADDR_MAX 16u

struct network_forward {  /* a port of the host that leads to a guest */
	char protocol[8]; /* "tcp", "udp" */
	uint32_t port;    /* of the host */
	char address[NETWORK_ADDR_MAX];
	uint32_t to_port;
};

struct network_spec {
	char name[OPS_NAME_MAX];
	char mode[8];                 /* "switch", "nat" */
	char uplink[NETWORK_NIC_MAX]; /* a NIC, as boot option nic= names it; "": none */
	uint32_t vlan;                /* of NICs that name none; 0: untagged */
	char subnet[20]; /* of mode nat: A.B.C.D/NN; the first address is the gateway's */
	char dhcp_first[NETWORK_ADDR_MAX], dhcp_last[NETWORK_ADDR_MAX];
	char dns[NETWORK_ADDR_MAX]; /* "": the host's */
	bool dhcp;
	uint32_t n_forwards;
	struct network_forward forwards[NETWORK_FORWARDS_MAX];
};

struct uplink;
struct nat;

struct network {
	struct network_spec spec;
	struct vswitch sw;
	struct uplink *uplink; /* [owns] NULL: none, or its NIC is not there */
	char uplink_error[96]; /* why it is not there; "": it is */
	struct nat *nat;       /* [owns] */
	unsigned record;       /* in the table */
	struct network *next;
};

/* Finds the table of the instance before, or makes one with the default network. Before VMs are taken over. */
void networks_init(void);
struct nic;
/* The host's NICs, when they are known: uplinks begin. [borrows] the list. */
void networks_nics(struct nic *nics);
struct nic *network_nics(void); /* that list */
/* fn is called when a network has come, changed or gone: what lasts has changed. */
void networks_watch(void (*fn)(void));
struct network *network_first(void);
struct network *network_find(const char *name); /* NULL: there is none */
void network_spec_default(struct network_spec *spec);
int network_define(const struct network_spec *spec, struct network **out,
		   struct ops_error *e) MUST_CHECK;
/* All but the name may change; guests stay plugged in. */
int network_change(struct network *n, const struct network_spec *spec,
		   struct ops_error *e) MUST_CHECK;
int network_delete(struct network *n, struct ops_error *e) MUST_CHECK; /* no VM names it */

/* ---- VMs' NICs ---- */
/* Are the networks there that the description names? */
int networks_check(const struct vm_spec *spec, struct ops_error *e) MUST_CHECK;
/* The NICs of a VM whose I/O area is open: made and plugged in. */
int networks_attach(struct vm *vm, struct ops_error *e) MUST_CHECK;
/* One NIC of a VM that runs, laid out: made and plugged in. index: of it, for the error. */
int network_plug(struct vm *vm, const struct vm_nic *nic, unsigned index,
		 struct ops_error *e) MUST_CHECK;
/* NIC i of the description, of a VM that runs; NULL: there is none. */
struct netdev *network_nic(const struct vm *vm, unsigned i);
/* A cable pulled out, or put in again, while the VM runs or before. */
int network_link(struct vm *vm, const char *nic, bool up, struct ops_error *e) MUST_CHECK;

#endif
