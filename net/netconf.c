/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network's boot options as a pure function: one word in, configuration changed or a warning out. Called by main.c
 * for each word of the command line. A word is taken whole or not at all.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "net/net.h"

#define VLAN_MAX 4094u

void netconf_default(struct net_config *c)
{
	*c = (struct net_config){.dhcp = true};
}

/* Decimal without sign or leading zero, at most max; advances *at. */
static bool take_number(const char **at, unsigned max, unsigned *out)
{
	const char *p = *at;
	unsigned n = 0;

	if (!isdigit((unsigned char)*p) || (*p == '0' && isdigit((unsigned char)p[1])))
		return false;
	for (; isdigit((unsigned char)*p); p++) {
		n = n * 10 + (unsigned)(*p - '0');
		if (n > max)
			return false;
	}
	*at = p;
	*out = n;
	return true;
}

static bool take_char(const char **at, char c)
{
	if (**at != c)
		return false;
	++*at;
	return true;
}

static bool take_ipv4(const char **at, uint8_t ip[4])
{
	unsigned n;

	for (unsigned i = 0; i < 4; i++) {
		if ((i && !take_char(at, '.')) || !take_number(at, 255, &n))
			return false;
		ip[i] = (uint8_t)n;
	}
	return true;
}

static uint32_t ipv4_number(const uint8_t ip[4])
{
	return (uint32_t)ip[0] << 24 | (uint32_t)ip[1] << 16 | (uint32_t)ip[2] << 8 | ip[3];
}

/* What a host can have: not 0/8, loopback, multicast or beyond, nor its subnet's first or last address. */
static bool is_host(const uint8_t ip[4], unsigned prefix)
{
	uint32_t host = prefix < 31 ? ipv4_number(ip) & (UINT32_MAX >> prefix) : 1;

	return ip[0] != 0 && ip[0] != 127 && ip[0] < 224 && host != 0 &&
	       (prefix >= 31 || host != UINT32_MAX >> prefix);
}

static bool same_subnet(const uint8_t a[4], const uint8_t b[4], unsigned prefix)
{
	return ((ipv4_number(a) ^ ipv4_number(b)) >> (32 - prefix)) == 0;
}

/* -> NULL, or what is wrong with it. */
static const char *set_ip(struct net_config *c, const char *value)
{
	struct net_config n = *c;

	if (strcmp(value, "dhcp") == 0) {
		n.dhcp = true;
		*c = n;
		return NULL;
	}
	memset(n.gateway, 0, sizeof(n.gateway));
	n.dhcp = false;
	if (!take_ipv4(&value, n.ip))
		return "wants ip=dhcp or ip=A.B.C.D/NN,gw=A.B.C.D";
	if (!take_char(&value, '/') || !take_number(&value, 32, &n.prefix) || n.prefix == 0)
		return "needs a prefix length from /1 to /32 after the address";
	if (!is_host(n.ip, n.prefix))
		return "is not an address that a host can have";
	if (*value) {
		if (strncmp(value, ",gw=", 4) != 0)
			return "may be followed by ,gw=A.B.C.D only";
		value += 4;
		if (!take_ipv4(&value, n.gateway) || *value)
			return "has a gateway that is not A.B.C.D";
		if (!is_host(n.gateway, n.prefix) || !same_subnet(n.ip, n.gateway, n.prefix))
			return "has a gateway that is not in the address's subnet";
	}
	*c = n;
	return NULL;
}

static const char *set_vlan(struct net_config *c, const char *value)
{
	unsigned n;

	if (!take_number(&value, VLAN_MAX, &n) || *value || n == 0)
		return "wants a VLAN number from 1 to 4094";
	c->vlan = (uint16_t)n;
	return NULL;
}

static const char *set_nic(struct net_config *c, const char *value)
{
	size_t len = strlen(value);

	if (len == 0 || len >= sizeof(c->nic))
		return "wants a driver name, a MAC address or bus:device.function";
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)value[i]) && !strchr(":.@-", value[i]))
			return "wants a driver name, a MAC address or bus:device.function";
	memset(c->nic, 0, sizeof(c->nic));
	memcpy(c->nic, value, len);
	return NULL;
}

static const struct {
	const char *key;
	const char *(*set)(struct net_config *c, const char *value);
} options[] = {{"ip=", set_ip}, {"nic=", set_nic}, {"vlan=", set_vlan}};

enum netconf_result netconf_option(struct net_config *c, const char *word, char *warning,
				   size_t warning_size)
{
	for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		size_t n = strlen(options[i].key);
		const char *wrong;

		if (strncmp(word, options[i].key, n) != 0)
			continue;
		wrong = options[i].set(c, word + n);
		if (!wrong)
			return NETCONF_TAKEN;
		snprintf(warning, warning_size, "Boot option %.64s is ignored: it %s.", word,
			 wrong);
		return NETCONF_REFUSED;
	}
	return NETCONF_OTHER;
}

/* Hexadecimal; up to 4 digits; advances *at. */
static bool take_hex(const char **at, unsigned *out)
{
	const char *p = *at;
	unsigned n = 0;

	for (; isxdigit((unsigned char)*p) && p - *at < 4; p++)
		n = n * 16 +
		    (unsigned)(isdigit((unsigned char)*p) ? *p - '0' : (*p | 0x20) - 'a' + 10);
	if (p == *at)
		return false;
	*at = p;
	*out = n;
	return true;
}

static bool mac_matches(const char *text, const uint8_t mac[6])
{
	unsigned n;

	for (unsigned i = 0; i < 6; i++)
		if ((i && !take_char(&text, ':')) || !take_hex(&text, &n) || n != mac[i])
			return false;
	return *text == '\0';
}

/* "bus:dev.fn" in hexadecimal, leading zeros and domain 0000 as people like them. */
static bool take_location(const char *text, unsigned place[3])
{
	static const char separators[3] = {':', '.', '\0'};
	const char *domain = strchr(text, ':');

	if (domain && strchr(domain + 1, ':')) {
		if (strspn(text, "0") != (size_t)(domain - text))
			return false;
		text = domain + 1;
	}
	for (unsigned i = 0; i < 3; i++) {
		if (!take_hex(&text, &place[i]) || *text != separators[i])
			return false;
		text++;
	}
	return true;
}

bool netconf_nic_matches(const char *selector, const char *name, const uint8_t mac[6])
{
	const char *at = strchr(name, '@');
	unsigned want[3], have[3];

	if (strcmp(selector, name) == 0 || mac_matches(selector, mac))
		return true;
	if (!at)
		return false;
	if (strlen(selector) == (size_t)(at - name) &&
	    strncmp(selector, name, (size_t)(at - name)) == 0)
		return true;
	return take_location(selector, want) && take_location(at + 1, have) &&
	       memcmp(want, have, sizeof(want)) == 0;
}
