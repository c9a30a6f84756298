/* SPDX-License-Identifier: BSD-2-Clause */
/* See ipaddr.h. */
#include "net/ipaddr.h"

#include "ctrl-kernel/rt/hex.h"

#define GROUPS 8u /* of IPv6, 16 bits each */

/* ---- IPv4 ---- */

static bool take_octet(const char **at, uint8_t *out)
{
	const char *p = *at;
	unsigned n = 0;

	if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9'))
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		n = n * 10 + (unsigned)(*p - '0');
		if (n > UINT8_MAX)
			return false;
	}
	*at = p;
	*out = (uint8_t)n;
	return true;
}

static bool parse4(const char *text, uint8_t ip[16])
{
	for (unsigned i = 0; i < 4; i++) {
		if (i && *text++ != '.')
			return false;
		if (!take_octet(&text, &ip[i]))
			return false;
	}
	return *text == '\0';
}

/* ---- IPv6 ---- */

static bool take_group(const char **at, uint8_t out[2])
{
	unsigned n = 0, digits = 0;

	for (; hex_digit(**at) >= 0; ++*at) {
		if (++digits > 4)
			return false;
		n = n << 4 | (unsigned)hex_digit(**at);
	}
	out[0] = (uint8_t)(n >> 8);
	out[1] = (uint8_t)n;
	return digits != 0;
}

/* The groups before "::", or all of them; then those behind it. */
static bool take_groups(const char **at, uint8_t ip[16], unsigned *n)
{
	for (*n = 0; *n < GROUPS; ++*n) {
		if (*n && (**at != ':' || (*at)[1] == ':'))
			return true;
		*at += *n != 0;
		if (!take_group(at, ip + 2 * *n))
			return false;
	}
	return true;
}

static bool parse6(const char *text, uint8_t ip[16])
{
	uint8_t behind[16] = {0};
	unsigned before = 0, n = 0;

	if (strncmp(text, "::", 2) != 0 && !take_groups(&text, ip, &before))
		return false;
	if (before == GROUPS)
		return *text == '\0';
	if (strncmp(text, "::", 2) != 0)
		return false;
	text += 2;
	if (*text && !take_groups(&text, behind, &n))
		return false;
	if (*text || before + n >= GROUPS) /* "::" stands for one at least */
		return false;
	memset(ip + 2 * before, 0, 16 - 2 * before);
	memcpy(ip + 16 - 2 * n, behind, 2 * n);
	return true;
}

bool ipaddr_parse(const char *text, struct ipaddr *out)
{
	struct ipaddr a = {.version = strchr(text, ':') ? 6 : 4};

	if (a.version == 6 ? !parse6(text, a.ip) : !parse4(text, a.ip))
		return false;
	*out = a;
	return true;
}

/* ---- what it is ---- */

bool ipaddr_is_station(const struct ipaddr *a)
{
	static const uint8_t none[15];

	if (a->version == 6)
		return a->ip[0] != 0xff && (memcmp(a->ip, none, 15) != 0 || a->ip[15] > 1);
	return a->ip[0] != 0 && a->ip[0] != 127 && a->ip[0] < 224;
}
