/* SPDX-License-Identifier: BSD-2-Clause */
/* See network_nat.h. */
#include "ctrl-kernel/ops/network_nat.h"

#include <stdio.h>
#include <string.h>

#define SUBNETS 40u /* that are tried: 192.168.213.0/24 and those after it */
#define SUBNET_FIRST 213u
#define DHCP_CLIENT 68u /* the host's own */
#define MANAGEMENT 8080u

/* ---- text ---- */

void network_addr_text(uint32_t ip, char out[NETWORK_ADDR_MAX])
{
	snprintf(out, NETWORK_ADDR_MAX, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255,
		 ip & 255);
}

/* Decimal without leading zeros, at most max; *at moves behind it. */
static bool take_number(const char **at, uint32_t max, uint32_t *out)
{
	const char *p = *at;
	uint32_t n = 0;

	if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9'))
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		n = n * 10 + (uint32_t)(*p - '0');
		if (n > max)
			return false;
	}
	*at = p;
	*out = n;
	return true;
}

static bool take_addr(const char **at, uint32_t *out)
{
	uint32_t ip = 0, n;

	for (unsigned i = 0; i < 4; i++) {
		if (i && *(*at)++ != '.')
			return false;
		if (!take_number(at, 255, &n))
			return false;
		ip = ip << 8 | n;
	}
	*out = ip;
	return true;
}

static bool addr(const char *text, uint32_t *out)
{
	return take_addr(&text, out) && *text == '\0';
}

static bool subnet(const char *text, uint32_t *base, unsigned *prefix)
{
	uint32_t n;

	if (!take_addr(&text, base) || *text++ != '/' || !take_number(&text, 32, &n) || *text)
		return false;
	*prefix = n;
	return true;
}

/* ---- completing ---- */

static bool taken(const char *text)
{
	for (const struct network *n = network_first(); n; n = n->next)
		if (strcmp(n->spec.subnet, text) == 0)
			return true;
	return false;
}

void network_nat_complete(struct network_spec *spec)
{
	uint32_t base, size, first;
	unsigned prefix;

	for (unsigned i = 0; i < SUBNETS && !spec->subnet[0]; i++) {
		char text[20];

		snprintf(text, sizeof(text), "192.168.%u.0/24", SUBNET_FIRST + i);
		if (!taken(text))
			memcpy(spec->subnet, text, sizeof(text));
	}
	if (!subnet(spec->subnet, &base, &prefix) || prefix < NAT_PREFIX_MIN ||
	    prefix > NAT_PREFIX_MAX || spec->dhcp_first[0] || spec->dhcp_last[0])
		return;
	size = 1u << (32 - prefix);
	first = size >= 256 ? 100 : 2;
	if (size > first + DHCPD_LEASES_MAX + 1)
		size = first + DHCPD_LEASES_MAX + 1;
	network_addr_text(base + first, spec->dhcp_first);
	network_addr_text(base + size - 2, spec->dhcp_last);
}

/* ---- checking ---- */

static bool inside(const struct nat_config *c, uint32_t ip)
{
	uint32_t mask = UINT32_MAX << (32 - c->prefix);

	return ((ip ^ c->gateway) & mask) == 0 && (ip & ~mask) != 0 && (ip & ~mask) != ~mask &&
	       ip != c->gateway;
}

static int check_subnet(const struct network_spec *spec, const struct network *self,
			struct nat_config *out, struct ops_error *e)
{
	uint32_t base, other;
	unsigned other_prefix, shorter;

	if (!subnet(spec->subnet, &base, &out->prefix) || out->prefix < NAT_PREFIX_MIN ||
	    out->prefix > NAT_PREFIX_MAX)
		return ops_fail(e, OPS_INVALID, "nat.subnet",
				"a subnet is like 192.168.50.0/24, from /%u to /%u", NAT_PREFIX_MIN,
				NAT_PREFIX_MAX);
	if ((base & ~(UINT32_MAX << (32 - out->prefix))) != 0 || base >> 24 == 0 ||
	    base >> 24 == 127 || base >> 28 >= 14)
		return ops_fail(e, OPS_INVALID, "nat.subnet",
				"%s is no network's address of that length", spec->subnet);
	for (const struct network *n = network_first(); n; n = n->next) {
		if (n == self || !subnet(n->spec.subnet, &other, &other_prefix))
			continue;
		shorter = other_prefix < out->prefix ? other_prefix : out->prefix;
		if (((base ^ other) >> (32 - shorter)) == 0)
			return ops_fail(e, OPS_INVALID, "nat.subnet",
					"%s overlaps the subnet of network \"%s\"", spec->subnet,
					n->spec.name);
	}
	out->gateway = base + 1;
	return 0;
}

static int check_dhcp(const struct network_spec *spec, struct nat_config *out, struct ops_error *e)
{
	uint32_t first, last;

	if (!spec->dhcp)
		return 0;
	if (!addr(spec->dhcp_first, &first) || !inside(out, first))
		return ops_fail(e, OPS_INVALID, "nat.dhcp_first",
				"\"%s\" is no guest's address in %s", spec->dhcp_first,
				spec->subnet);
	if (!addr(spec->dhcp_last, &last) || !inside(out, last) || last < first ||
	    last - first >= DHCPD_LEASES_MAX)
		return ops_fail(e, OPS_INVALID, "nat.dhcp_last",
				"the last address is in %s, not before the first, and there are at "
				"most %u",
				spec->subnet, DHCPD_LEASES_MAX);
	out->dhcp_first = first;
	out->dhcp_n = last - first + 1;
	return 0;
}

static bool same_port(const struct network_forward *a, const struct network_forward *b)
{
	return a->port == b->port && strcmp(a->protocol, b->protocol) == 0;
}

static const char *port_user(const struct network_spec *spec, unsigned i,
			     const struct network *self)
{
	const struct network_forward *f = &spec->forwards[i];
	bool tcp = strcmp(f->protocol, "tcp") == 0;

	if ((tcp && f->port == MANAGEMENT) || (!tcp && f->port == DHCP_CLIENT) ||
	    (f->port >= NAT_PORT_FIRST && f->port <= NAT_PORT_FIRST + NAT_PORT_MASK))
		return "the host itself";
	for (unsigned j = 0; j < i; j++)
		if (same_port(f, &spec->forwards[j]))
			return "another forward";
	for (const struct network *n = network_first(); n; n = n->next)
		for (unsigned j = 0; n != self && j < n->spec.n_forwards; j++)
			if (same_port(f, &n->spec.forwards[j]))
				return n->spec.name;
	return NULL;
}

static int check_forward(const struct network_spec *spec, unsigned i, const struct network *self,
			 struct nat_config *out, struct ops_error *e)
{
	const struct network_forward *f = &spec->forwards[i];
	bool tcp = strcmp(f->protocol, "tcp") == 0;
	const char *user;
	char field[64];
	uint32_t to;

	snprintf(field, sizeof(field), "nat.forwards.%u.protocol", i);
	if (!tcp && strcmp(f->protocol, "udp") != 0)
		return ops_fail(e, OPS_INVALID, field, "a protocol is tcp or udp");
	snprintf(field, sizeof(field), "nat.forwards.%u.address", i);
	if (!addr(f->address, &to) || !inside(out, to))
		return ops_fail(e, OPS_INVALID, field, "\"%s\" is no guest's address in %s",
				f->address, spec->subnet);
	snprintf(field, sizeof(field), "nat.forwards.%u.port", i);
	if (f->port == 0 || f->port > UINT16_MAX || f->to_port == 0 || f->to_port > UINT16_MAX)
		return ops_fail(e, OPS_INVALID, field, "ports are 1 to %u", UINT16_MAX);
	user = port_user(spec, i, self);
	if (user)
		return ops_fail(e, OPS_INVALID, field, "port %u is in use by %s", f->port, user);
	out->forwards[i] = (struct nat_forward){.protocol = tcp ? NAT_TCP : NAT_UDP,
						.port = (uint16_t)f->port,
						.to_port = (uint16_t)f->to_port,
						.to = to};
	return 0;
}

_Static_assert(NETWORK_FORWARDS_MAX <= NAT_FORWARDS_MAX, "room");

int network_nat_config(const struct network_spec *spec, const struct network *self,
		       struct nat_config *out, struct ops_error *e)
{
	*out = (struct nat_config){.vid = (uint16_t)spec->vlan, .n_forwards = spec->n_forwards};
	if (check_subnet(spec, self, out, e) || check_dhcp(spec, out, e))
		return -1;
	if (spec->dns[0] && !addr(spec->dns, &out->dns))
		return ops_fail(e, OPS_INVALID, "nat.dns", "\"%s\" is no IPv4 address", spec->dns);
	for (unsigned i = 0; i < spec->n_forwards; i++)
		if (check_forward(spec, i, self, out, e))
			return -1;
	return 0;
}
