/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Boot modules (modules.h).
 */
#include "ctrl-kernel/ops/modules.h"

#include <stdio.h>
#include <string.h>
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/images.h"
#include "ctrl-kernel/rt/hvcall.h"

#define BLANKS " \t\r\n"

static bool name_from(const char *at, size_t len, char out[OPS_NAME_MAX])
{
	if (len == 0 || len >= OPS_NAME_MAX)
		return false;
	memcpy(out, at, len);
	out[len] = '\0';
	return ops_name_ok(out);
}

bool module_name(const char *string, char out[OPS_NAME_MAX])
{
	const char *first = string + strspn(string, BLANKS), *at = first;
	size_t len = strcspn(first, BLANKS);

	while (*at) {
		size_t n = strcspn(at, BLANKS);

		if (n > 5 && strncmp(at, "name=", 5) == 0)
			return name_from(at + 5, n - 5, out);
		at += n;
		at += strspn(at, BLANKS);
	}
	for (size_t i = len; i > 0; i--)
		if (first[i - 1] == '/')
			return name_from(first + i, len - i, out);
	return name_from(first, len, out);
}

static void module_import(const struct hv_module *m)
{
	char string[sizeof(m->string) + 1] = "", name[OPS_NAME_MAX];
	struct ops_error e;

	memcpy(string, m->string, sizeof(m->string));
	if (!module_name(string, name)) {
		host_note("boot module", 0, "\"%s\" gives no usable name; write name=NAME in it",
			  string);
	} else if (image_adopt(name, m->mem, m->bytes, &e)) {
		host_note("boot module", 0, "\"%s\": %s", string, e.text);
	} else {
		rt_log("boot module %s: %llu bytes", name, (unsigned long long)m->bytes);
		return;
	}
	hv_handle_close(m->mem);
}

void modules_import(void)
{
	const struct hv_info *info = rt_info();

	for (unsigned i = 0; i < info->n_modules && i < HV_MODULES_MAX; i++)
		module_import(&info->modules[i]);
}
