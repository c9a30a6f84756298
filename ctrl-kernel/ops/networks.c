/* SPDX-License-Identifier: BSD-2-Clause */
/* See networks.h. */
#include "ctrl-kernel/ops/networks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/ops/devices.h"
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/network_nat.h"
#include "ctrl-kernel/ops/network_table.h"
#include "ctrl-kernel/ops/start.h"
#include "net/net.h"
#include "net/nic.h"
#include "net/uplink.h"

static struct network *networks;
static struct nic *nics; /* [borrows] NULL: not known yet */
static bool nics_known;
static void (*watcher)(void);

void networks_watch(void (*fn)(void))
{
	watcher = fn;
}

static void changed(void)
{
	if (watcher)
		watcher();
}

struct network *network_first(void)
{
	return networks;
}

struct network *network_find(const char *name)
{
	struct network *n = networks;

	while (n && strcmp(n->spec.name, name) != 0)
		n = n->next;
	return n;
}

void network_spec_default(struct network_spec *spec)
{
	memset(spec, 0, sizeof(*spec));
	snprintf(spec->mode, sizeof(spec->mode), "switch");
	spec->dhcp = true;
}

static bool is_nat(const struct network_spec *spec)
{
	return strcmp(spec->mode, "nat") == 0;
}

/* ---- checking ---- */

static struct nic *nic_find(const char *selector)
{
	struct nic *n = nics;

	while (n && !netconf_nic_matches(selector, n->name, n->mac))
		n = n->next;
	return n;
}

static int check_uplink(const struct network_spec *spec, const struct network *self,
			struct ops_error *e)
{
	const struct nic *nic;

	if (!spec->uplink[0] || !nics_known)
		return 0;
	nic = nic_find(spec->uplink);
	if (!nic)
		return ops_fail(e, OPS_INVALID, "uplink", "there is no NIC \"%s\"", spec->uplink);
	for (const struct network *n = networks; n; n = n->next)
		if (n != self && n->spec.uplink[0] && nic_find(n->spec.uplink) == nic)
			return ops_fail(e, OPS_INVALID, "uplink",
					"%s is the uplink of network \"%s\"; NICs in a VLAN of it "
					"need no network of their own",
					nic->name, n->spec.name);
	return 0;
}

static int check(const struct network_spec *spec, const struct network *self, struct ops_error *e)
{
	bool nat = is_nat(spec);
	struct nat_config config;

	if (ops_name_check(spec->name, "name", e))
		return -1;
	if (!nat && strcmp(spec->mode, "switch") != 0)
		return ops_fail(e, OPS_INVALID, "mode", "a network's mode is switch or nat");
	if (spec->vlan > SWITCH_VID_MAX)
		return ops_fail(e, OPS_INVALID, "vlan", "a VLAN is 1 to %u, or 0 for none",
				SWITCH_VID_MAX);
	if (nat && spec->uplink[0])
		return ops_fail(e, OPS_INVALID, "uplink",
				"a network of mode nat has no uplink: it uses the host's address");
	if (nat && network_nat_config(spec, self, &config, e))
		return -1;
	return check_uplink(spec, self, e);
}

/* ---- life ---- */

static uint32_t secret(void)
{
	uint8_t random[16];
	uint32_t word;

	host_random(random);
	memcpy(&word, random, sizeof(word));
	return word;
}

static void uplink_begin(struct network *n)
{
	struct nic *nic;
	const char *why;

	n->uplink_error[0] = '\0';
	if (!n->spec.uplink[0] || !nics_known)
		return;
	nic = nic_find(n->spec.uplink);
	if (nic) {
		n->uplink = uplink_open(nic, &n->sw, &why);
		if (n->uplink)
			return;
	} else {
		why = "there is no such NIC";
	}
	snprintf(n->uplink_error, sizeof(n->uplink_error), "%s", why);
	rt_log("network %s has no uplink: %s", n->spec.name, why);
}

static void uplink_end(struct network *n)
{
	if (n->uplink)
		uplink_close(n->uplink);
	n->uplink = NULL;
}

static bool nat_begin(struct network *n)
{
	struct dhcp_lease *leases;
	struct nat_config config;
	struct ops_error e;

	if (!is_nat(&n->spec))
		return true;
	leases = network_table_leases(n->record);
	if (!leases || network_nat_config(&n->spec, n, &config, &e))
		return false;
	n->nat = nat_open(&config, &n->sw, leases, secret());
	return n->nat != NULL;
}

static void nat_end(struct network *n)
{
	if (n->nat)
		nat_close(n->nat);
	n->nat = NULL;
}

static struct network *insert(const struct network_spec *spec, unsigned record)
{
	struct network *n = calloc(1, sizeof(*n)), **at = &networks;

	if (!n)
		return NULL;
	n->spec = *spec;
	n->record = record;
	switch_init(&n->sw, secret());
	if (!nat_begin(n)) {
		switch_free(&n->sw);
		free(n);
		return NULL;
	}
	while (*at)
		at = &(*at)->next;
	*at = n;
	uplink_begin(n);
	return n;
}

int network_define(const struct network_spec *given, struct network **out, struct ops_error *e)
{
	struct network_spec spec = *given;
	unsigned record;

	if (is_nat(&spec))
		network_nat_complete(&spec);
	if (check(&spec, NULL, e))
		return -1;
	if (network_find(spec.name))
		return ops_fail(e, OPS_EXISTS, "name", "there is a network \"%s\" already",
				spec.name);
	if (network_table_add(&spec, &record, e))
		return -1;
	*out = insert(&spec, record);
	if (*out) {
		changed();
		return 0;
	}
	network_table_remove(record);
	return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
}

static const char *user_of(const struct network *n)
{
	for (const struct vm *vm = vm_first(); vm; vm = vm->next)
		for (unsigned i = 0; i < vm->spec.n_nics; i++)
			if (strcmp(vm->spec.nics[i].network, n->spec.name) == 0)
				return vm->spec.name;
	return NULL;
}

int network_delete(struct network *n, struct ops_error *e)
{
	struct network **at = &networks;
	const char *user = user_of(n);

	if (user)
		return ops_fail(e, OPS_BUSY, NULL, "VM \"%s\" has a NIC in it", user);
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	uplink_end(n);
	nat_end(n);
	switch_free(&n->sw);
	network_table_remove(n->record);
	free(n);
	changed();
	return 0;
}

/* What VMs were told when they started stays as long as there are any. */
static int check_change(const struct network *n, const struct network_spec *spec,
			struct ops_error *e)
{
	const char *user = user_of(n);

	if (strcmp(n->spec.name, spec->name) != 0)
		return ops_fail(e, OPS_INVALID, "name", "a network keeps its name");
	if (strcmp(n->spec.mode, spec->mode) != 0)
		return ops_fail(e, OPS_INVALID, "mode", "a network keeps its mode");
	if (user && spec->vlan != n->spec.vlan)
		return ops_fail(e, OPS_BUSY, "vlan", "VM \"%s\" has a NIC in it", user);
	if (user && strcmp(spec->subnet, n->spec.subnet) != 0)
		return ops_fail(e, OPS_BUSY, "nat.subnet", "VM \"%s\" has a NIC in it", user);
	return 0;
}

int network_change(struct network *n, const struct network_spec *given, struct ops_error *e)
{
	struct network_spec spec = *given;
	bool other_nic = strcmp(n->spec.uplink, spec.uplink) != 0;
	struct nat_config config;

	if (is_nat(&spec) && !spec.subnet[0])
		memcpy(spec.subnet, n->spec.subnet, sizeof(spec.subnet));
	if (is_nat(&spec))
		network_nat_complete(&spec);
	if (check_change(n, &spec, e) || check(&spec, n, e) ||
	    (n->nat && network_nat_config(&spec, n, &config, e)))
		return -1;
	if (other_nic)
		uplink_end(n);
	n->spec = spec;
	network_table_change(n->record, &spec);
	if (n->nat && !nat_change(n->nat, &config))
		rt_log("network %s: its gateway is off: no memory, or a NIC in its VLAN has its "
		       "address",
		       n->spec.name);
	if (other_nic)
		uplink_begin(n);
	changed();
	return 0;
}

void networks_init(void)
{
	struct network_spec spec;
	struct network *n;
	struct ops_error e;
	bool made;

	network_table_init(&made);
	nat_keep(network_table_flows());
	for (unsigned i = 0; i < NETWORKS_MAX; i++) {
		if (!network_table_read(i, &spec))
			continue;
		if (!check(&spec, NULL, &e) && !network_find(spec.name) && insert(&spec, i))
			continue;
		rt_log("the record of a network is damaged; it is dropped");
		network_table_remove(i);
	}
	if (!made)
		return;
	network_spec_default(&spec);
	snprintf(spec.name, sizeof(spec.name), NETWORK_DEFAULT);
	snprintf(spec.mode, sizeof(spec.mode), "nat");
	if (network_define(&spec, &n, &e))
		rt_die("no default network: %s", e.text);
}

struct nic *network_nics(void)
{
	return nics;
}

void networks_nics(struct nic *list)
{
	nics = list;
	nics_known = true;
	for (struct network *n = networks; n; n = n->next)
		uplink_begin(n);
}

/* ---- VMs' NICs ---- */

static bool gives_addresses(const struct network *n)
{
	return is_nat(&n->spec) && n->spec.dhcp;
}

static uint32_t vlan_of(const struct network *n, const struct vm_nic *nic)
{
	return nic->vlan ? nic->vlan : n->spec.vlan;
}

static int check_trunk(const struct network *n, const struct vm_nic *nic, unsigned i,
		       struct ops_error *e)
{
	char field[64];

	for (unsigned j = 0; j < nic->n_trunk && !nic->tagged_only; j++) {
		if (nic->trunk[j] != vlan_of(n, nic))
			continue;
		snprintf(field, sizeof(field), "nics.%u.trunk.%u", i, j);
		return ops_fail(e, OPS_INVALID, field,
				"VLAN %u is the one of the NIC's frames without a tag",
				nic->trunk[j]);
	}
	return 0;
}

static int check_nic(const struct vm_nic *nic, unsigned i, struct ops_error *e)
{
	const struct network *n = network_find(nic->network);
	char field[64];

	snprintf(field, sizeof(field), "nics.%u.network", i);
	if (!n)
		return ops_fail(e, OPS_INVALID, field,
				"there is no network \"%s\"; GET /v1/networks lists them",
				nic->network);
	for (unsigned j = 0; j < nic->n_addresses; j++) {
		if (strcmp(nic->addresses[j], NIC_ADDRESS_DHCP) != 0 || gives_addresses(n))
			continue;
		snprintf(field, sizeof(field), "nics.%u.addresses.%u", i, j);
		return ops_fail(
			e, OPS_INVALID, field,
			"network \"%s\" gives no addresses: it is not of mode nat with dhcp",
			nic->network);
	}
	return check_trunk(n, nic, i, e);
}

int networks_check(const struct vm_spec *spec, struct ops_error *e)
{
	for (unsigned i = 0; i < spec->n_nics; i++)
		if (check_nic(&spec->nics[i], i, e))
			return -1;
	return 0;
}

/* They were checked when the VM was defined. */
static void add_addresses(const struct network *n, const struct vm_nic *nic,
			  struct switch_port_config *c)
{
	c->addrs_only = nic->n_addresses != 0;
	for (unsigned i = 0; i < nic->n_addresses; i++) {
		if (ipaddr_parse(nic->addresses[i], &c->addrs[c->n_addrs])) {
			c->n_addrs++;
		} else if (n->nat) { /* NIC_ADDRESS_DHCP */
			c->leased = nat_leased;
			c->leased_ctx = n->nat;
		}
	}
}

static struct switch_port_config port_config(const struct network *n, const struct vm_nic *nic)
{
	struct switch_port_config c = {
		.isolated = nic->isolated,
		.anti_spoof = nic->anti_spoof,
		.has_mac = true,
		.vid = (uint16_t)vlan_of(n, nic),
		.tagged_only = nic->tagged_only,
		.n_vids = nic->n_trunk,
		.learn = nic->anti_spoof ? 0 : SWITCH_LEARN_GUEST,
		.rate = {nic->bytes_per_s, nic->frames_per_s, nic->burst_ms},
	};

	for (unsigned i = 0; i < nic->n_trunk; i++)
		c.vids[i] = (uint16_t)nic->trunk[i];
	(void)devices_mac(nic->mac, c.mac); /* checked when it was defined */
	add_addresses(n, nic, &c);
	return c;
}

static int plug_port(struct network *n, const struct vm_nic *nic, unsigned index,
		     struct netdev *dev, struct ops_error *e)
{
	char field[64], addresses[64];

	snprintf(field, sizeof(field), "nics.%u.network", index);
	snprintf(addresses, sizeof(addresses), "nics.%u.addresses", index);
	switch (switch_plug(&n->sw, netdev_port(dev))) {
	case SWITCH_OK:
		return 0;
	case SWITCH_FULL:
		return ops_fail(e, OPS_LIMIT, field, "network \"%s\" has %u ports already",
				nic->network, SWITCH_PORTS_MAX);
	case SWITCH_MAC_TAKEN:
		return ops_fail(e, OPS_EXISTS, field,
				"another NIC in network \"%s\" has the MAC address %s",
				nic->network, nic->mac);
	case SWITCH_ADDR_TAKEN:
		return ops_fail(e, OPS_EXISTS, addresses,
				"another NIC in network \"%s\", or its gateway, has one of these "
				"addresses",
				nic->network);
	case SWITCH_NO_MEMORY:
		break;
	}
	return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
}

int network_plug(struct vm *vm, const struct vm_nic *nic, unsigned index, struct ops_error *e)
{
	const struct vmm_nic *place = &vm->run->config->nics[nic_place(nic)];
	struct network *n = network_find(nic->network);
	struct switch_port_config c;
	struct netdev *dev;
	char field[64];

	snprintf(field, sizeof(field), "nics.%u.network", index);
	if (!n)
		return ops_fail(e, OPS_INVALID, field, "there is no network \"%s\" any more",
				nic->network);
	c = port_config(n, nic);
	dev = netdev_make(vm->run->io, place->area, place->pairs, &c);
	if (!dev)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	if (plug_port(n, nic, index, dev, e)) {
		netdev_end(dev);
		return -1;
	}
	vm->run->nics[nic_place(nic)] = dev;
	netdev_link(dev, place->link);
	return 0;
}

int networks_attach(struct vm *vm, struct ops_error *e)
{
	for (unsigned i = 0; i < vm->spec.n_nics; i++)
		if (network_plug(vm, &vm->spec.nics[i], i, e))
			return -1;
	return 0;
}

struct netdev *network_nic(const struct vm *vm, unsigned i)
{
	return vm->run ? vm->run->nics[nic_place(&vm->spec.nics[i])] : NULL;
}

int network_link(struct vm *vm, const char *id, bool up, struct ops_error *e)
{
	unsigned i = 0, place;
	struct vmm_nic *nic;

	while (i < vm->spec.n_nics && strcmp(vm->spec.nics[i].id, id) != 0)
		i++;
	if (i == vm->spec.n_nics)
		return ops_fail(e, OPS_NO_NIC, NULL, "the VM has no NIC \"%s\"", id);
	place = nic_place(&vm->spec.nics[i]);
	if (!vm->run || !vm->run->nics[place])
		return ops_fail(e, OPS_WRONG_STATE, NULL,
				"the VM does not run; its links are up when it starts");
	nic = &vm->run->config->nics[place];
	if (nic->link == up)
		return 0;
	nic->link = up;
	__atomic_store_n(&nic->changes, nic->changes + 1, __ATOMIC_RELEASE);
	netdev_link(vm->run->nics[place], up);
	vmio_tell(vm->run->io);
	return 0;
}
