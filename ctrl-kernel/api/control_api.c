/* SPDX-License-Identifier: BSD-2-Clause */
/* /v1/host/control/{verb}: the control kernel itself. */
#include "ctrl-kernel/api/api.h"

#include <stdio.h>
#include <string.h>
#include "ctrl-kernel/ops/control.h"

static const struct {
	const char *verb;
	int (*fn)(struct ops_error *e);
} verbs[] = {
	{"restart", control_restart},       {"test-fault", control_test_fault},
	{"test-abort", control_test_abort}, {"test-hang", control_test_hang},
	{"test-heap", control_test_heap},
};

static void reply_instance(struct api_call *call)
{
	struct buf b = {0};
	struct out o = {.b = &b};

	out_object(&o, NULL);
	out_u64(&o, "instance", rt_info()->instance);
	out_close(&o, '}');
	api_reply_json(call, 202, &b, "");
}

void api_control(struct api_call *call)
{
	struct ops_error e;
	char detail[160];

	if (!api_body_none(call))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(call->verb, verbs[i].verb) != 0)
			continue;
		if (verbs[i].fn(&e))
			api_reply_error(call, &e);
		else
			reply_instance(call);
		return;
	}
	snprintf(detail, sizeof(detail),
		 "there is no action \"%.40s\"; there are restart and upgrade", call->verb);
	api_reply_problem(call, 404, detail, "");
}
