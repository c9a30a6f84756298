/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parser of the boot options (options.h).
 */
#include "ctrl-kernel/ops/options.h"

#include <stdio.h>
#include <string.h>
#include "ctrl-kernel/ops/host.h"

#define WORD_MAX 128u
#define SOURCE "boot option"

static void option_flag(const char *word, const char *value, bool *out)
{
	if (strcmp(value, "1") == 0 || strcmp(value, "0") == 0)
		*out = value[0] == '1';
	else
		host_note(SOURCE, 0, "\"%s\" is ignored: its value is 0 or 1", word);
}

static void option_guests(const char *word, const char *value, char out[OPS_NAME_MAX])
{
	if (ops_name_ok(value))
		snprintf(out, OPS_NAME_MAX, "%s", value);
	else
		host_note(SOURCE, 0, "\"%s\" is ignored: its value is a VM's name or all", word);
}

static void option_count(const char *word, const char *value, unsigned *out)
{
	*out = 0;
	for (; *value >= '0' && *value <= '9' && *out < 100000; value++)
		*out = *out * 10 + (unsigned)(*value - '0');
	if (*value)
		host_note(SOURCE, 0, "\"%s\" is ignored: its value is a number", word);
}

/* The log goes to the first serial port; there is nothing else to choose yet. */
static void option_console(const char *word, const char *value)
{
	if (strcmp(value, "com1") != 0)
		host_note(SOURCE, 0, "\"%s\" is ignored: the only console is com1", word);
}

static void option_word(const char *word, struct options *out)
{
	char warning[160], key[WORD_MAX];
	const char *equals = strchr(word, '=');
	const char *value = equals ? equals + 1 : "";

	switch (netconf_option(&out->net, word, warning, sizeof(warning))) {
	case NETCONF_TAKEN:
		return;
	case NETCONF_REFUSED:
		host_note(SOURCE, 0, "%s", warning);
		return;
	case NETCONF_OTHER:
		break;
	}
	snprintf(key, sizeof(key), "%.*s", equals ? (int)(equals - word) : (int)strlen(word), word);
	if (strcmp(key, "mgmt.insecure") == 0)
		option_flag(word, value, &out->insecure);
	else if (strcmp(key, "test.hooks") == 0)
		option_flag(word, value, &out->test_hooks);
	else if (strcmp(key, "test.soak") == 0)
		option_count(word, value, &out->test_soak);
	else if (strcmp(key, "test.soak_ms") == 0)
		option_count(word, value, &out->test_soak_ms);
	else if (strcmp(key, "console.guests") == 0)
		option_guests(word, value, out->console_guests);
	else if (strcmp(key, "console") == 0)
		option_console(word, value);
	else if (strcmp(key, "mitigations") == 0 || strcmp(key, "test.exact") == 0)
		return; /* the hypervisor's (hv/cpu/speculation.c, hv/boot/main.c) */
	else
		host_note(SOURCE, 0, "\"%s\" is not known and ignored", word);
}

void options_parse(const char *cmdline, struct options *out)
{
	const char *at = cmdline;

	memset(out, 0, sizeof(*out));
	netconf_default(&out->net);
	for (;;) {
		char word[WORD_MAX];
		size_t n;

		at += strspn(at, " \t\r\n");
		n = strcspn(at, " \t\r\n");
		if (n == 0)
			return;
		if (n < sizeof(word)) {
			memcpy(word, at, n);
			word[n] = '\0';
			option_word(word, out);
		} else {
			host_note(SOURCE, 0, "\"%.40s...\" is too long and ignored", at);
		}
		at += n;
	}
}
