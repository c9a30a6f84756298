/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /v1/networks: switches of guests' NICs, their ports; and the links of VMs' NICs.
 */
#include "ctrl-kernel/api/api.h"

#include <stdio.h>
#include <string.h>
#include "cJSON.h"
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/network_nat.h"
#include "ctrl-kernel/ops/networks.h"
#include "ctrl-kernel/ops/start.h"
#include "net/nic.h"
#include "net/uplink.h"

#define NS_PER_S 1000000000ull
#define AT(field) offsetof(struct network_spec, field), sizeof(((struct network_spec *)0)->field)
#define FORWARD(field)                                                                             \
	offsetof(struct network_forward, field), sizeof(((struct network_forward *)0)->field)

static const struct json_field forward_fields[] = {
	{"protocol", JSON_STRING, true, FORWARD(protocol), 0, 0, NULL},
	{"port", JSON_U32, true, FORWARD(port), 0, 0, NULL},
	{"address", JSON_STRING, true, FORWARD(address), 0, 0, NULL},
	{"to_port", JSON_U32, true, FORWARD(to_port), 0, 0, NULL},
};
static const struct json_object forward_object = {forward_fields, ARRAY_SIZE(forward_fields)};

static const struct json_field nat_fields[] = {
	{"subnet", JSON_STRING, false, AT(subnet), 0, 0, NULL},
	{"dhcp", JSON_BOOL, false, AT(dhcp), 0, 0, NULL},
	{"dns", JSON_STRING, false, AT(dns), 0, 0, NULL},
	{"dhcp_first", JSON_STRING, false, AT(dhcp_first), 0, 0, NULL},
	{"dhcp_last", JSON_STRING, false, AT(dhcp_last), 0, 0, NULL},
	{"forwards", JSON_OBJECTS, false, offsetof(struct network_spec, forwards),
	 sizeof(struct network_forward), NETWORK_FORWARDS_MAX,
	 offsetof(struct network_spec, n_forwards), &forward_object},
};
static const struct json_object nat_object = {nat_fields, ARRAY_SIZE(nat_fields)};

#define NETWORK_FIELDS(name_required)                                                              \
	{                                                                                          \
		{"name", JSON_STRING, name_required, AT(name), 0, 0, NULL},                        \
			{"mode", JSON_STRING, false, AT(mode), 0, 0, NULL},                        \
			{"uplink", JSON_STRING, false, AT(uplink), 0, 0, NULL},                    \
			{"vlan", JSON_U32, false, AT(vlan), 0, 0, NULL},                           \
		{                                                                                  \
			"nat", JSON_OBJECT, false, 0, 0, 0, 0, &nat_object                         \
		}                                                                                  \
	}
static const struct json_field network_fields[] = NETWORK_FIELDS(true);
static const struct json_field change_fields[] = NETWORK_FIELDS(false);
static const struct json_object change_object = {change_fields, ARRAY_SIZE(change_fields)};
const struct json_object network_object = {network_fields, ARRAY_SIZE(network_fields)};

static struct network *find(struct api_call *call)
{
	struct network *n = network_find(call->name);
	struct ops_error e;

	if (n)
		return n;
	ops_fail(&e, OPS_NO_NETWORK, NULL, "there is no network \"%s\"", call->name);
	api_reply_error(call, &e);
	return NULL;
}

static void mac_text(const uint8_t mac[6], char out[18])
{
	snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		 mac[5]);
}

static void write_nat(struct out *o, const struct network_spec *s)
{
	out_object(o, "nat");
	out_str(o, "subnet", s->subnet);
	out_bool(o, "dhcp", s->dhcp);
	out_optional(o, "dns", s->dns);
	out_optional(o, "dhcp_first", s->dhcp_first);
	out_optional(o, "dhcp_last", s->dhcp_last);
	out_array(o, "forwards");
	for (unsigned i = 0; i < s->n_forwards; i++) {
		out_object(o, NULL);
		out_str(o, "protocol", s->forwards[i].protocol);
		out_u64(o, "port", s->forwards[i].port);
		out_str(o, "address", s->forwards[i].address);
		out_u64(o, "to_port", s->forwards[i].to_port);
		out_close(o, '}');
	}
	out_close(o, ']');
	out_close(o, '}');
}

void network_write_spec(struct out *o, const struct network_spec *s)
{
	out_str(o, "name", s->name);
	out_str(o, "mode", s->mode);
	out_optional(o, "uplink", s->uplink);
	out_u64(o, "vlan", s->vlan);
	if (strcmp(s->mode, "nat") == 0)
		write_nat(o, s);
}

static void write_network(struct out *o, const struct network *n)
{
	out_object(o, NULL);
	network_write_spec(o, &n->spec);
	out_optional(o, "uplink_error", n->uplink_error);
	out_u64(o, "ports", n->sw.n_ports);
	out_close(o, '}');
}

static void reply_network(struct api_call *call, unsigned status, const struct network *n,
			  const char *extra)
{
	struct buf b = {0};
	struct out o = {.b = &b};

	write_network(&o, n);
	api_reply_json(call, status, &b, extra);
}

/* What a network can have as its uplink. */
static void write_nics(struct out *o)
{
	char mac[18];

	out_array(o, "nics");
	for (const struct nic *n = network_nics(); n; n = n->next) {
		mac_text(n->mac, mac);
		out_object(o, NULL);
		out_str(o, "name", n->name);
		out_str(o, "mac", mac);
		out_bool(o, "link", n->link);
		out_close(o, '}');
	}
	out_close(o, ']');
}

void api_networks_list(struct api_call *call)
{
	struct buf b = {0};
	struct out o = {.b = &b};

	out_object(&o, NULL);
	out_array(&o, "items");
	for (const struct network *n = network_first(); n; n = n->next)
		write_network(&o, n);
	out_close(&o, ']');
	write_nics(&o);
	out_close(&o, '}');
	api_reply_json(call, 200, &b, "");
}

/* False: it answered. */
static bool decode(struct api_call *call, const struct json_object *object,
		   struct network_spec *spec)
{
	struct json_errors errors = {0};
	struct cJSON *root = api_body_json(call);
	bool ok;

	if (!root)
		return false;
	ok = json_decode(root, object, spec, "", &errors);
	cJSON_Delete(root);
	if (!ok)
		api_reply_json_errors(call, &errors);
	return ok;
}

void api_networks_post(struct api_call *call)
{
	struct network_spec spec;
	struct network *n;
	struct ops_error e;
	char extra[128];

	network_spec_default(&spec);
	if (!decode(call, &network_object, &spec))
		return;
	if (network_define(&spec, &n, &e)) {
		api_reply_error(call, &e);
		return;
	}
	snprintf(extra, sizeof(extra), "Location: /v1/networks/%s\r\n", n->spec.name);
	reply_network(call, 201, n, extra);
}

void api_network_get(struct api_call *call)
{
	struct network *n = find(call);

	if (n)
		reply_network(call, 200, n, "");
}

void api_network_patch(struct api_call *call)
{
	struct network *n = find(call);
	struct network_spec spec;
	struct ops_error e;

	if (!n)
		return;
	spec = n->spec;
	if (!decode(call, &change_object, &spec))
		return;
	if (network_change(n, &spec, &e))
		api_reply_error(call, &e);
	else
		reply_network(call, 200, n, "");
}

void api_network_delete(struct api_call *call)
{
	struct network *n = find(call);
	struct ops_error e;

	if (!n)
		return;
	if (network_delete(n, &e))
		api_reply_error(call, &e);
	else
		api_reply_empty(call);
}

/* ---- ports ---- */

static void write_counters(struct out *o, const struct switch_port *p)
{
	const struct switch_counters *c = &p->counters;

	out_bool(o, "link", p->up);
	out_u64(o, "vlan", p->config.vid);
	out_array(o, "trunk");
	for (unsigned i = 0; i < p->config.n_vids; i++)
		out_u64(o, NULL, p->config.vids[i]);
	out_close(o, ']');
	out_u64(o, "addresses_learned", p->learned.learned);
	out_object(o, "sent"); /* by whoever has the port */
	out_u64(o, "frames", c->tx_frames);
	out_u64(o, "bytes", c->tx_bytes);
	out_u64(o, "flooded", c->flooded);
	out_u64(o, "malformed", c->tx_malformed);
	out_u64(o, "spoofed", c->tx_spoofed);
	out_u64(o, "other_vlan", c->tx_vlan);
	out_u64(o, "reserved", c->tx_reserved);
	out_u64(o, "over_limit", c->tx_limited);
	out_u64(o, "not_learned", c->tx_not_learned);
	out_close(o, '}');
	out_object(o, "received");
	out_u64(o, "frames", c->rx_frames);
	out_u64(o, "bytes", c->rx_bytes);
	out_u64(o, "no_room", c->rx_no_room);
	out_u64(o, "over_limit", c->rx_limited);
	out_close(o, '}');
}

static void write_ports(struct out *o, const struct network *n, const struct vm *vm)
{
	for (unsigned i = 0; i < vm->spec.n_nics; i++) {
		const struct vm_nic *nic = &vm->spec.nics[i];
		struct netdev *dev = network_nic(vm, i);

		if (!dev || strcmp(nic->network, n->spec.name) != 0)
			continue;
		out_object(o, NULL);
		out_str(o, "kind", "vm");
		out_str(o, "vm", vm->spec.name);
		out_str(o, "nic", nic->id);
		out_str(o, "mac", nic->mac);
		write_counters(o, netdev_port(dev));
		out_close(o, '}');
	}
}

static void write_nat_stats(struct out *o, const struct nat_stats *s)
{
	out_object(o, "nat");
	out_u64(o, "to_world", s->sent);
	out_u64(o, "to_guests", s->received);
	out_u64(o, "refused", s->refused);
	out_u64(o, "fragments", s->fragments);
	out_u64(o, "dropped", s->dropped);
	out_u64(o, "dns_queries", s->dns_queries);
	out_u64(o, "dns_answers", s->dns_answers);
	out_u64(o, "dns_refused", s->dns_refused);
	out_u64(o, "dns_unasked", s->dns_unasked);
	out_close(o, '}');
}

void api_network_ports(struct api_call *call)
{
	struct network *n = find(call);
	struct buf b = {0};
	struct out o = {.b = &b};

	if (!n)
		return;
	out_object(&o, NULL);
	out_array(&o, "items");
	if (n->uplink) {
		out_object(&o, NULL);
		out_str(&o, "kind", "uplink");
		out_str(&o, "nic", n->spec.uplink);
		write_counters(&o, uplink_port(n->uplink));
		out_close(&o, '}');
	}
	if (n->nat) {
		out_object(&o, NULL);
		out_str(&o, "kind", "gateway");
		write_counters(&o, nat_port(n->nat));
		write_nat_stats(&o, nat_stats(n->nat));
		out_close(&o, '}');
	}
	for (const struct vm *vm = vm_first(); vm; vm = vm->next)
		write_ports(&o, n, vm);
	out_close(&o, ']');
	out_close(&o, '}');
	api_reply_json(call, 200, &b, "");
}

/* ---- leases ---- */

static void write_lease(struct out *o, const struct dhcpd *d, unsigned i)
{
	const struct dhcp_lease *l = dhcpd_holder(d, d->first + i, rt_now() / NS_PER_S);
	char text[NETWORK_ADDR_MAX], mac[18];

	if (!l)
		return;
	network_addr_text(d->first + i, text);
	mac_text(l->mac, mac);
	out_object(o, NULL);
	out_str(o, "address", text);
	out_str(o, "mac", mac);
	out_time(o, "until", host_utc_ns(l->until_s * NS_PER_S));
	out_close(o, '}');
}

void api_network_leases(struct api_call *call)
{
	struct network *n = find(call);
	const struct dhcpd *d;
	struct buf b = {0};
	struct out o = {.b = &b};

	if (!n)
		return;
	d = n->nat ? nat_dhcpd(n->nat) : NULL;
	out_object(&o, NULL);
	out_array(&o, "items");
	for (unsigned i = 0; d && i < d->n; i++)
		write_lease(&o, d, i);
	out_close(&o, ']');
	out_close(&o, '}');
	api_reply_json(call, 200, &b, "");
}

/* ---- a VM's NIC ---- */

struct link {
	char link[8];
};

void api_nic_patch(struct api_call *call)
{
	static const struct json_field fields[] = {
		{"link", JSON_STRING, true, 0, sizeof(((struct link *)0)->link), 0, 0, NULL}};
	static const struct json_object object = {fields, ARRAY_SIZE(fields)};
	struct vm *vm = api_vm(call);
	struct json_errors errors = {0};
	struct link in = {""};
	struct ops_error e;
	struct cJSON *root;
	bool ok;

	root = vm ? api_body_json(call) : NULL;
	if (!root)
		return;
	ok = json_decode(root, &object, &in, "", &errors);
	cJSON_Delete(root);
	if (ok && strcmp(in.link, "up") != 0 && strcmp(in.link, "down") != 0) {
		json_error_add(&errors, "/link", "a link is up or down");
		ok = false;
	}
	if (!ok)
		api_reply_json_errors(call, &errors);
	else if (network_link(vm, call->verb, strcmp(in.link, "up") == 0, &e))
		api_reply_error(call, &e);
	else
		api_reply_empty(call);
}
