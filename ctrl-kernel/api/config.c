/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * socle.json, the configuration among the boot modules: {"vms": [...]}. What is wrong is noted with its line, the rest
 * is applied.
 */
#include "ctrl-kernel/api/api.h"

#include <stdio.h>
#include <string.h>
#include "cJSON.h"
#include "ctrl-kernel/api/json_scan.h"
#include "ctrl-kernel/ops/autostart.h"
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/networks.h"

#define CONFIG_NAME "socle.json"

struct config {
	const char *text;
	size_t len;
};

/* The line of the value, or of what encloses it when it is missing. */
static unsigned config_line(const struct config *c, const char *pointer)
{
	char path[96];
	struct json_place at;

	snprintf(path, sizeof(path), "%s", pointer);
	for (;;) {
		char *cut;

		if (json_locate(c->text, c->len, path, &at))
			return at.line;
		cut = strrchr(path, '/');
		if (!cut)
			return 0;
		*cut = '\0';
	}
}

static void config_note(const struct config *c, const char *pointer, const char *text)
{
	host_note(CONFIG_NAME, config_line(c, pointer), "%s%s%s", pointer, *pointer ? ": " : "",
		  text);
}

static void config_errors(const struct config *c, const struct json_errors *errors)
{
	for (unsigned i = 0; i < errors->n; i++)
		config_note(c, errors->e[i].pointer, errors->e[i].detail);
}

static void config_vm(const struct config *c, const cJSON *item, unsigned index)
{
	struct json_errors errors = {0};
	char pointer[32], where[96], field[80];
	struct vm_spec spec;
	struct ops_error e;
	struct vm *vm;

	snprintf(pointer, sizeof(pointer), "/vms/%u", index);
	vm_spec_default(&spec);
	if (!json_decode(item, &vmspec_object, &spec, pointer, &errors)) {
		config_errors(c, &errors);
		return;
	}
	spec.from_boot = true;
	if (vm_define(&spec, &vm, &e)) {
		json_pointer_from_field(e.field, field, sizeof(field));
		snprintf(where, sizeof(where), "%s%.60s", pointer, field);
		config_note(c, where, e.text);
		return;
	}
	autostart_want(vm);
}

static void config_network(const struct config *c, const cJSON *item, unsigned index)
{
	struct json_errors errors = {0};
	char pointer[32], where[96], field[80];
	struct network_spec spec;
	struct network *n;
	struct ops_error e;

	snprintf(pointer, sizeof(pointer), "/networks/%u", index);
	network_spec_default(&spec);
	if (!json_decode(item, &network_object, &spec, pointer, &errors)) {
		config_errors(c, &errors);
		return;
	}
	n = network_find(spec.name);
	if (n ? network_change(n, &spec, &e) : network_define(&spec, &n, &e)) {
		json_pointer_from_field(e.field, field, sizeof(field));
		snprintf(where, sizeof(where), "%s%.60s", pointer, field);
		config_note(c, where, e.text);
	}
}

/* Networks stand before the VMs that name them. */
static void config_member(const struct config *c, const cJSON *member)
{
	bool networks = strcmp(member->string, "networks") == 0;
	const cJSON *item;
	unsigned index = 0;
	char pointer[80];

	if (strcmp(member->string, "vms") != 0 && !networks) {
		snprintf(pointer, sizeof(pointer), "/%.64s", member->string);
		config_note(c, pointer, "there is no such field");
		return;
	}
	if (!cJSON_IsArray(member)) {
		config_note(c, networks ? "/networks" : "/vms", "must be an array of objects");
		return;
	}
	cJSON_ArrayForEach(item, member)
	{
		if (networks)
			config_network(c, item, index++);
		else
			config_vm(c, item, index++);
	}
}

void config_apply(const char *text, size_t len)
{
	struct config c = {.text = text, .len = len};
	struct json_errors errors = {0};
	cJSON *root = json_parse(text, len, &errors);
	const cJSON *member;

	if (errors.no_memory)
		host_note(CONFIG_NAME, 0, "out of memory");
	else if (!root)
		host_note(CONFIG_NAME, errors.e[0].line, "%s", errors.e[0].detail);
	else if (!cJSON_IsObject(root))
		host_note(CONFIG_NAME, 1, "it must be an object with the field \"vms\"");
	else
		for (member = root->child; member; member = member->next)
			config_member(&c, member);
	cJSON_Delete(root);
}
