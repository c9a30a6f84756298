/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Error documents (problem.h).
 */
#include "ctrl-kernel/api/problem.h"

#include "ctrl-kernel/api/http.h"
#include "ctrl-kernel/api/out.h"

static const struct {
	unsigned status;
	const char *code;
} by_code[] = {
	[OPS_OK] = {200, "ok"},
	[OPS_INVALID] = {400, "invalid_argument"},
	[OPS_NO_VM] = {404, "no_vm"},
	[OPS_NO_IMAGE] = {404, "no_image"},
	[OPS_NO_NETWORK] = {404, "no_network"},
	[OPS_NO_NIC] = {404, "no_nic"},
	[OPS_NO_POOL] = {404, "no_pool"},
	[OPS_NO_VOLUME] = {404, "no_volume"},
	[OPS_NO_DISK] = {404, "no_disk"},
	[OPS_EXISTS] = {409, "exists"},
	[OPS_WRONG_STATE] = {409, "wrong_state"},
	[OPS_BUSY] = {409, "busy"},
	[OPS_MISSING_IMAGE] = {409, "missing_image"},
	[OPS_NO_MEMORY] = {409, "no_memory"},
	[OPS_TOO_LARGE] = {413, "too_large"},
	[OPS_NO_VIRT] = {409, "no_virtualization"},
	[OPS_BAD_IMAGE] = {422, "bad_image"},
	[OPS_BAD_UPGRADE] = {422, "bad_upgrade"},
	[OPS_ABORTED] = {409, "aborted"},
	[OPS_TIMEOUT] = {504, "timeout"},
	[OPS_LIMIT] = {409, "limit_reached"},
	[OPS_NO_SPACE] = {409, "no_space"},
	[OPS_OCCUPIED] = {409, "occupied"},
	[OPS_UNSUPPORTED] = {409, "unsupported"},
	[OPS_MISMATCH] = {422, "checksum_mismatch"},
	[OPS_IO] = {500, "io_error"},
	[OPS_NOT_READY] = {503, "not_ready"},
	[OPS_EXHAUSTED] = {503, "overloaded"},
	[OPS_INTERNAL] = {500, "internal"},
};

unsigned problem_status(enum ops_code code)
{
	return by_code[code].status;
}

const char *problem_code(enum ops_code code)
{
	return by_code[code].code;
}

const char *problem_http_code(unsigned status)
{
	switch (status) {
	case 403:
		return "access_denied";
	case 404:
		return "not_found";
	case 405:
		return "method_not_allowed";
	case 408:
		return "request_timeout";
	case 413:
		return "too_large";
	case 415:
		return "unsupported_media_type";
	case 416:
		return "range_not_satisfiable";
	case 417:
		return "expectation_failed";
	case 431:
		return "head_too_large";
	case 501:
		return "not_supported";
	case 503:
		return "overloaded";
	case 505:
		return "version_not_supported";
	default:
		return "bad_request";
	}
}

static void problem_error(struct out *o, const char *pointer, const char *detail)
{
	out_object(o, NULL);
	out_str(o, "pointer", pointer);
	out_str(o, "detail", detail);
	out_close(o, '}');
}

void problem_write(struct buf *b, const struct problem *p)
{
	struct out o = {.b = b};
	char type[64] = "urn:socle:problem:";
	size_t at = sizeof("urn:socle:problem:") - 1;

	for (const char *c = p->code; *c && at < sizeof(type) - 1; c++)
		type[at++] = *c;
	out_object(&o, NULL);
	out_str(&o, "type", type);
	out_str(&o, "title", http_status_text(p->status));
	out_u64(&o, "status", p->status);
	out_str(&o, "detail", p->detail);
	if (p->instance)
		out_str(&o, "instance", p->instance);
	out_str(&o, "code", p->code);
	out_array(&o, "errors");
	if (p->pointer && *p->pointer)
		problem_error(&o, p->pointer, p->detail);
	for (unsigned i = 0; p->errors && i < p->errors->n; i++)
		problem_error(&o, p->errors->e[i].pointer, p->errors->e[i].detail);
	out_close(&o, ']');
	out_close(&o, '}');
	buf_add(b, "\n", 1);
}
