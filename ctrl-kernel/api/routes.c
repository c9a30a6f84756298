/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of resources, and the way of a request through it (api.h).
 */
#include "ctrl-kernel/api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "cJSON.h"
#include "ctrl-kernel/api/problem.h"
#include "ctrl-kernel/ops/lasting.h"
#include "ctrl-kernel/ops/transfer.h"
#include "ctrl-kernel/rt/hex.h"

#define GET HTTP_M_GET
#define PUT HTTP_M_PUT
#define POST HTTP_M_POST
#define DELETE HTTP_M_DELETE
#define PATCH HTTP_M_PATCH
#define METHODS 6u

static const struct api_route routes[] = {
	{GET, "/healthz", api_health, NULL},
	{GET, "/metrics", api_metrics, NULL},
	{GET, "/v1", api_root, NULL},
	{GET, "/v1/disks", api_disks_list, NULL},
	{GET, "/v1/disks/{name}", api_disk_get, NULL},
	{POST, "/v1/disks/{name}/actions/{verb}", api_disk_action, NULL},
	{GET, "/v1/host", api_host, NULL},
	{GET, "/v1/host/configuration/kept", api_kept_list, NULL},
	{GET, "/v1/host/configuration/kept/{name}", api_kept_get, NULL},
	{DELETE, "/v1/host/configuration/kept/{name}", api_kept_delete, NULL},
	{POST, "/v1/host/control/upgrade", api_upgrade, api_upgrade_begin},
	{POST, "/v1/host/control/{verb}", api_control, NULL},
	{GET, "/v1/host/crashes", api_crashes_list, NULL},
	{GET, "/v1/host/crashes/{name}", api_crash_get, NULL},
	{GET, "/v1/images", api_images_list, NULL},
	{GET, "/v1/images/{name}", api_image_get, NULL},
	{PUT, "/v1/images/{name}", api_image_put, api_image_put_begin},
	{DELETE, "/v1/images/{name}", api_image_delete, NULL},
	{POST, "/v1/images/{name}/actions/{verb}", api_image_action, NULL},
	{GET, "/v1/images/{name}/content", api_image_content, NULL},
	{GET, "/v1/networks", api_networks_list, NULL},
	{POST, "/v1/networks", api_networks_post, NULL},
	{GET, "/v1/networks/{name}", api_network_get, NULL},
	{PATCH, "/v1/networks/{name}", api_network_patch, NULL},
	{DELETE, "/v1/networks/{name}", api_network_delete, NULL},
	{GET, "/v1/networks/{name}/leases", api_network_leases, NULL},
	{GET, "/v1/networks/{name}/ports", api_network_ports, NULL},
	{GET, "/v1/operations", api_jobs_list, NULL},
	{GET, "/v1/operations/{name}", api_job_get, NULL},
	{DELETE, "/v1/operations/{name}", api_job_delete, NULL},
	{GET, "/v1/pools", api_pools_list, NULL},
	{POST, "/v1/pools", api_pools_post, NULL},
	{POST, "/v1/pools/actions/{verb}", api_pools_action, NULL},
	{GET, "/v1/pools/{name}", api_pool_get, NULL},
	{DELETE, "/v1/pools/{name}", api_pool_delete, NULL},
	{POST, "/v1/pools/{name}/actions/{verb}", api_pool_action, NULL},
	{GET, "/v1/pools/{name}/volumes", api_volumes_list, NULL},
	{POST, "/v1/pools/{name}/volumes", api_volumes_post, NULL},
	{GET, "/v1/pools/{name}/volumes/{volume}", api_volume_get, NULL},
	{PATCH, "/v1/pools/{name}/volumes/{volume}", api_volume_patch, NULL},
	{DELETE, "/v1/pools/{name}/volumes/{volume}", api_volume_delete, NULL},
	{POST, "/v1/pools/{name}/volumes/{volume}/actions/{verb}", api_volume_action, NULL},
	{GET, "/v1/pools/{name}/volumes/{volume}/content", api_content_get, NULL},
	{PUT, "/v1/pools/{name}/volumes/{volume}/content", api_content_put, api_content_put_begin},
	{GET, "/v1/vms", api_vms_list, NULL},
	{POST, "/v1/vms", api_vms_post, NULL},
	{GET, "/v1/vms/{name}", api_vm_get, NULL},
	{PATCH, "/v1/vms/{name}", api_vm_patch, NULL},
	{DELETE, "/v1/vms/{name}", api_vm_delete, NULL},
	{POST, "/v1/vms/{name}/actions/{verb}", api_vm_action, NULL},
	{PUT, "/v1/vms/{name}/cdrom/{verb}", api_cdrom_put, NULL},
	{GET, "/v1/vms/{name}/console", api_console_get, NULL},
	{POST, "/v1/vms/{name}/console", api_console_post, NULL},
	{POST, "/v1/vms/{name}/disks", api_vmdisks_post, NULL},
	{DELETE, "/v1/vms/{name}/disks/{verb}", api_vmdisk_delete, NULL},
	{POST, "/v1/vms/{name}/nics", api_vmnics_post, NULL},
	{PATCH, "/v1/vms/{name}/nics/{verb}", api_nic_patch, NULL},
	{DELETE, "/v1/vms/{name}/nics/{verb}", api_vmnic_delete, NULL},
	{GET, "/v1/vms/{name}/stats", api_vm_stats, NULL},
};

struct api_counters api_counters;

/* ---- answers ---- */

static bool changes_something(const struct api_call *call)
{
	return call->rq && !(call->rq->method & (HTTP_M_GET | HTTP_M_HEAD));
}

/* An answer that waits until what it tells of lasts. */
struct held {
	struct api_call *call;
	unsigned status;
	const char *type;
	struct buf body;
	char extra[2 * API_NAME_MAX + 64];
};

static void held_lasts(void *ctx, const struct ops_error *e)
{
	struct held *h = ctx;

	if (api_call_back(h->call)) {
		h->call->lasts = true;
		if (e)
			api_reply_error(h->call, e);
		else
			api_reply(h->call, h->status, h->type, &h->body, h->extra);
	}
	buf_free(&h->body);
	free(h);
}

/* False: there is nothing to wait for. */
static bool hold(struct api_call *call, unsigned status, const char *type, struct buf *body,
		 const char *extra)
{
	struct ops_error e;
	struct held *h;

	if (call->lasts || status >= 300 || !changes_something(call) || !lasting_behind())
		return false;
	h = calloc(1, sizeof(*h));
	if (!h)
		return false; /* it lasts all the same, in a moment */
	*h = (struct held){.call = call, .status = status, .type = type, .body = *body};
	snprintf(h->extra, sizeof(h->extra), "%s", extra);
	call->waiting = true;
	if (lasting_wait(held_lasts, h, &e) == 0) {
		*body = (struct buf){0};
		return true;
	}
	call->waiting = false;
	free(h);
	return false;
}

void api_reply(struct api_call *call, unsigned status, const char *type, struct buf *body,
	       const char *extra)
{
	struct http_request *rq = call->rq;

	if (hold(call, status, type, body, extra))
		return;
	if (call->upload)
		stream_abort(call->upload);
	if (call->content)
		upload_abort(call->content);
	free(call);
	rq->user = NULL;
	api_counters.requests[status / 100]++;
	http_reply(rq, status, type, body, extra);
}

void api_reply_source(struct api_call *call, unsigned status, const struct http_source *source,
		      const char *extra)
{
	struct http_request *rq = call->rq;

	free(call);
	rq->user = NULL;
	api_counters.requests[status / 100]++;
	http_reply_source(rq, status, "application/octet-stream", source, extra);
}

void api_reply_json(struct api_call *call, unsigned status, struct buf *body, const char *extra)
{
	buf_add(body, "\n", 1);
	api_reply(call, status, "application/json", body, extra);
}

void api_reply_empty(struct api_call *call)
{
	struct buf none = {0};

	api_reply(call, 204, "", &none, "");
}

void api_reply_error(struct api_call *call, const struct ops_error *e)
{
	struct buf body = {0};
	char pointer[80];
	struct problem p = {
		.status = problem_status(e->code),
		.code = problem_code(e->code),
		.detail = e->text,
		.instance = call->rq->target,
		.pointer = pointer,
	};

	json_pointer_from_field(e->field, pointer, sizeof(pointer));
	problem_write(&body, &p);
	api_reply(call, p.status, PROBLEM_TYPE, &body, p.status == 503 ? "Retry-After: 1\r\n" : "");
}

void api_reply_problem(struct api_call *call, unsigned status, const char *detail,
		       const char *extra)
{
	struct buf body = {0};
	struct problem p = {.status = status,
			    .code = problem_http_code(status),
			    .detail = detail,
			    .instance = call->rq->target};

	problem_write(&body, &p);
	api_reply(call, status, PROBLEM_TYPE, &body, extra);
}

void api_reply_json_errors(struct api_call *call, const struct json_errors *errors)
{
	struct buf body = {0};
	struct problem p = {.status = 400,
			    .code = "invalid_argument",
			    .instance = call->rq->target,
			    .errors = errors};
	char detail[320];

	if (errors->no_memory) {
		api_reply_problem(call, 503, "out of memory", "Retry-After: 1\r\n");
		return;
	}
	snprintf(detail, sizeof(detail), "%s%s%s", errors->e[0].pointer,
		 errors->e[0].pointer[0] ? ": " : "", errors->e[0].detail);
	p.detail = detail;
	problem_write(&body, &p);
	api_reply(call, p.status, PROBLEM_TYPE, &body, "");
}

bool api_call_back(struct api_call *call)
{
	call->waiting = false;
	if (call->rq)
		return true;
	free(call);
	return false;
}

bool api_succeeded(struct api_call *call, const struct ops_error *e)
{
	if (!api_call_back(call))
		return false;
	if (e)
		api_reply_error(call, e);
	return !e;
}

void api_deleted(void *ctx, const struct ops_error *e)
{
	if (api_succeeded(ctx, e))
		api_reply_empty(ctx);
}

void api_begun(struct api_call *call, int r, const struct ops_error *e)
{
	if (r == 0)
		return;
	call->waiting = false;
	api_reply_error(call, e);
}

/* ---- bodies and queries ---- */

static bool is_json_type(const char *type)
{
	static const char *const fine[] = {"application/json",
					   "application/x-www-form-urlencoded" /* curl -d */};

	if (!*type)
		return true;
	for (unsigned i = 0; i < ARRAY_SIZE(fine); i++) {
		size_t n = strlen(fine[i]);

		if (strncasecmp(type, fine[i], n) == 0 &&
		    (type[n] == '\0' || strchr("; ", type[n])))
			return true;
	}
	return false;
}

struct cJSON *api_body_json(struct api_call *call)
{
	struct json_errors errors = {0};
	struct cJSON *root;

	if (!is_json_type(call->rq->content_type)) {
		api_reply_problem(call, 415, "the body must be application/json", "");
		return NULL;
	}
	root = json_parse(call->rq->body, call->rq->body_len, &errors);
	if (!root)
		api_reply_json_errors(call, &errors);
	return root;
}

bool api_body_none(struct api_call *call)
{
	static const struct json_object nothing = {NULL, 0};
	struct json_errors errors = {0};
	struct cJSON *root;
	bool ok;

	if (call->rq->body_len == 0)
		return true;
	root = api_body_json(call);
	if (!root)
		return false;
	ok = json_decode(root, &nothing, NULL, "", &errors);
	cJSON_Delete(root);
	if (!ok)
		api_reply_json_errors(call, &errors);
	return ok;
}

static bool body(struct api_call *call, const struct json_object *object, bool change, void *out)
{
	struct json_errors errors = {0};
	struct cJSON *root = api_body_json(call);
	bool ok;

	if (!root)
		return false;
	ok = (change ? json_decode_change : json_decode)(root, object, out, "", &errors);
	cJSON_Delete(root);
	if (!ok)
		api_reply_json_errors(call, &errors);
	return ok;
}

bool api_body(struct api_call *call, const struct json_object *object, void *out)
{
	return body(call, object, false, out);
}

bool api_body_change(struct api_call *call, const struct json_object *object, void *out)
{
	return body(call, object, true, out);
}

bool api_query_bool(struct api_call *call, const char *key, bool *out)
{
	char text[8], detail[64];

	*out = false;
	if (!api_query(call, key, text, sizeof(text)) || strcmp(text, "false") == 0 ||
	    strcmp(text, "0") == 0)
		return true;
	*out = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
	if (*out)
		return true;
	snprintf(detail, sizeof(detail), "%s is true or false", key);
	api_reply_problem(call, 400, detail, "");
	return false;
}

const char *api_query(const struct api_call *call, const char *key, char *out, size_t size)
{
	const char *at = call->rq->query;
	size_t n = strlen(key);

	while (*at) {
		size_t len = strcspn(at, "&");

		if (len > n && at[n] == '=' && strncmp(at, key, n) == 0) {
			snprintf(out, size, "%.*s", (int)(len - n - 1), at + n + 1);
			return out;
		}
		at += len;
		at += *at == '&';
	}
	return NULL;
}

bool api_segment(const char **at, char *out, size_t size)
{
	const char *s = *at;
	size_t n = 0;

	while (*s && *s != '/') {
		int c = (unsigned char)*s++;

		if (c == '%') {
			int high = hex_digit(s[0]), low = high < 0 ? -1 : hex_digit(s[1]);

			if (low < 0)
				return false;
			c = high << 4 | low;
			s += 2;
		}
		if (c == 0 || n + 1 >= size)
			return false;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	*at = s;
	return n > 0;
}

/* ---- finding the route ---- */

static bool match_segment(const char *word, size_t len, const char **target, struct api_call *call)
{
	char text[API_NAME_MAX];

	if (!api_segment(target, text, sizeof(text)))
		return false;
	if (word[0] != '{')
		return strlen(text) == len && strncmp(text, word, len) == 0;
	if (strncmp(word, "{name}", len) == 0)
		snprintf(call->name, sizeof(call->name), "%s", text);
	else if (strncmp(word, "{volume}", len) == 0)
		snprintf(call->volume, sizeof(call->volume), "%s", text);
	else if (strlen(text) >= sizeof(call->verb))
		return false;
	else
		snprintf(call->verb, sizeof(call->verb), "%.63s", text);
	return true;
}

static bool match(const char *pattern, const char *target, struct api_call *call)
{
	while (*pattern == '/' && *target == '/') {
		size_t len = strcspn(++pattern, "/");

		target++;
		if (!match_segment(pattern, len, &target, call))
			return false;
		pattern += len;
	}
	return *pattern == '\0' && *target == '\0';
}

/* -> NULL; *allowed: the methods that the path has, 0: there is no such path. */
static const struct api_route *route_find(struct api_call *call, unsigned *allowed)
{
	unsigned method = call->rq->method == HTTP_M_HEAD ? HTTP_M_GET : call->rq->method;

	*allowed = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(routes); i++) {
		if (!match(routes[i].pattern, call->rq->target, call))
			continue;
		if (routes[i].methods & method)
			return &routes[i];
		*allowed |= routes[i].methods;
	}
	return NULL;
}

static void reply_not_allowed(struct api_call *call, unsigned allowed)
{
	static const char *const names[METHODS] = {"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"};
	char list[48] = "", detail[128], extra[64];

	if (allowed & HTTP_M_GET)
		allowed |= HTTP_M_HEAD;
	for (unsigned i = 0; i < METHODS; i++) {
		size_t n = strlen(list);

		if (allowed & 1u << i)
			snprintf(list + n, sizeof(list) - n, "%s%s", n ? ", " : "", names[i]);
	}
	snprintf(detail, sizeof(detail), "this resource has the methods %s", list);
	snprintf(extra, sizeof(extra), "Allow: %s\r\n", list);
	api_reply_problem(call, 405, detail, extra);
}

static void reply_not_found(struct api_call *call)
{
	const char *target = call->rq->target;
	size_t n = strlen(target);
	char detail[256];

	if (n > 1 && target[n - 1] == '/')
		snprintf(detail, sizeof(detail),
			 "there is nothing at %.100s; try it without the "
			 "/ at the end",
			 target);
	else if (strncmp(target, "/v1", 3) != 0 &&
		 (strncmp(target, "/vms", 4) == 0 || strncmp(target, "/pools", 6) == 0 ||
		  strncmp(target, "/images", 7) == 0 || strncmp(target, "/host", 5) == 0))
		snprintf(detail, sizeof(detail),
			 "there is nothing at %.100s; did you mean "
			 "/v1%.100s?",
			 target, target);
	else
		snprintf(detail, sizeof(detail),
			 "there is nothing at %.100s; GET /v1 lists what "
			 "there is",
			 target);
	api_reply_problem(call, 404, detail, "Link: </v1>; rel=\"index\"\r\n");
}

/* ---- the application behind http.c ---- */

static enum http_body app_head(struct http_request *rq)
{
	struct api_call *call = calloc(1, sizeof(*call));
	struct buf none = {0};
	unsigned allowed;

	if (!call) {
		none.failed = true; /* makes http.c send its canned 503 */
		http_reply(rq, 503, "", &none, "");
		return HTTP_BODY_ANSWERED;
	}
	call->rq = rq;
	rq->user = call;
	call->route = route_find(call, &allowed);
	if (call->route && rq->foreign && !(rq->method & (HTTP_M_GET | HTTP_M_HEAD))) {
		api_reply_problem(call, 403,
				  "web pages of other sites may not change anything here", "");
		return HTTP_BODY_ANSWERED;
	}
	if (call->route && call->route->begin)
		return call->route->begin(call) ? HTTP_BODY_STREAM : HTTP_BODY_ANSWERED;
	if (call->route)
		return HTTP_BODY_BUFFER;
	if (allowed)
		reply_not_allowed(call, allowed);
	else
		reply_not_found(call);
	return HTTP_BODY_ANSWERED;
}

static bool app_data(struct http_request *rq, const void *data, size_t len)
{
	struct api_call *call = rq->user;
	struct ops_error e;

	if (call->content) {
		if (upload_write(call->content, data, len, &e) == 0) {
			if (upload_full(call->content))
				http_pause(rq);
			return true;
		}
	} else if (stream_write(call->upload, data, len, &e) == 0) {
		return true;
	}
	api_reply_error(call, &e);
	return false;
}

static void configuration_known(void *ctx)
{
	struct api_call *call = ctx;

	if (api_call_back(call))
		call->route->handle(call);
}

static void app_end(struct http_request *rq)
{
	struct api_call *call = rq->user;

	if (!changes_something(call) || lasting_known()) {
		call->route->handle(call);
		return;
	}
	call->waiting = true;
	if (lasting_when_read(configuration_known, call) == 0)
		return;
	call->waiting = false;
	api_reply_problem(call, 503, "out of memory", "Retry-After: 1\r\n");
}

static void app_gone(struct http_request *rq)
{
	struct api_call *call = rq->user;

	rq->user = NULL;
	call->rq = NULL;
	if (call->upload)
		stream_abort(call->upload);
	call->upload = NULL;
	if (call->content)
		upload_abort(call->content);
	call->content = NULL;
	if (!call->waiting)
		free(call);
}

static void app_error(struct buf *body, unsigned status, const char *detail)
{
	struct problem p = {.status = status, .code = problem_http_code(status), .detail = detail};

	api_counters.requests[status / 100]++;
	problem_write(body, &p);
}

const struct http_app api_app = {
	.head = app_head,
	.data = app_data,
	.end = app_end,
	.gone = app_gone,
	.error = app_error,
	.error_type = PROBLEM_TYPE,
};
