/* SPDX-License-Identifier: BSD-2-Clause */
/* POST /v1/host/control/upgrade: the body is the file of an upgrade. */
#include "ctrl-kernel/api/api.h"

#include "ctrl-kernel/ops/upgrade.h"

bool api_upgrade_begin(struct api_call *call)
{
	struct ops_error e;

	if (upgrade_begin(call->rq->length, &call->upload, &e) == 0)
		return true;
	api_reply_error(call, &e);
	return false;
}

void api_upgrade(struct api_call *call)
{
	struct stream *upload = call->upload;
	struct upgrade_trailer what;
	struct buf b = {0};
	struct out o = {.b = &b};
	struct ops_error e;

	call->upload = NULL; /* commit frees it either way */
	if (upgrade_commit(upload, &what, &e)) {
		api_reply_error(call, &e);
		return;
	}
	out_object(&o, NULL);
	out_u64(&o, "instance", rt_info()->instance);
	out_str(&o, "version", what.version);
	out_str(&o, "build", what.build);
	out_close(&o, '}');
	api_reply_json(call, 202, &b, "");
}
