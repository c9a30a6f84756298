/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Errors and names of the operation layer.
 */
#include "ctrl-kernel/ops/ops.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int ops_fail(struct ops_error *e, enum ops_code code, const char *field, const char *format, ...)
{
	va_list ap;

	e->code = code;
	snprintf(e->field, sizeof(e->field), "%s", field ? field : "");
	va_start(ap, format);
	vsnprintf(e->text, sizeof(e->text), format, ap);
	va_end(ap);
	return -1;
}

int ops_fail_hv(struct ops_error *e, int hve, const char *doing)
{
	switch (hve < 0 ? -hve : hve) {
	case HVE_NOMEM:
		return ops_fail(e, OPS_NO_MEMORY, NULL, "%s: the host has no free memory left",
				doing);
	case HVE_LIMIT:
		return ops_fail(e, OPS_LIMIT, NULL, "%s: a table of the hypervisor is full", doing);
	case HVE_NOVIRT:
		return ops_fail(e, OPS_NO_VIRT, NULL, "%s: this machine has no usable SVM or VMX",
				doing);
	default:
		return ops_fail(e, OPS_INTERNAL, NULL, "%s: the hypervisor says %s", doing,
				rt_strerror(hve));
	}
}

bool ops_name_ok(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n >= OPS_NAME_MAX || !isalnum((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c > 0x7f || (!isalnum(c) && !strchr("._-", c)))
			return false;
	}
	return true;
}

int ops_name_check(const char *name, const char *field, struct ops_error *e)
{
	if (ops_name_ok(name))
		return 0;
	return ops_fail(e, OPS_INVALID, field,
			"a name has 1 to %u characters out of A-Z a-z 0-9 . _ - and begins with a "
			"letter or digit",
			OPS_NAME_MAX - 1);
}
