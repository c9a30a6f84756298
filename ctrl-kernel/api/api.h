/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The REST interface: from requests to operations and back. routes.c holds the table; each resource has its file.
 *
 * A call is one request on its way. It ends with exactly one api_reply...(), which frees it, or with the connection. While
 * an operation holds it (waiting), the end of the connection only cuts it loose; the operation's end frees it.
 */
#ifndef API_API_H
#define API_API_H

#include "ctrl-kernel/api/http.h"
#include "ctrl-kernel/api/json.h"
#include "ctrl-kernel/api/out.h"
#include "ctrl-kernel/ops/images.h"
#include "ctrl-kernel/ops/vms.h"

#define API_NAME_MAX                                                                               \
	128u /* of a segment of a path: pools and volumes that were found may have long names */

struct api_call;
struct upload;

struct api_route {
	unsigned methods;    /* enum http_method, or-ed */
	const char *pattern; /* "{name}", "{volume}" and "{verb}" stand for one segment */
	void (*handle)(struct api_call *call);
	/* Streaming: called at the head, before the body; false: it answered. */
	bool (*begin)(struct api_call *call);
};

struct api_call {
	struct http_request *rq; /* [borrows] NULL: the client is gone */
	const struct api_route *route;
	char name[API_NAME_MAX];
	char volume[API_NAME_MAX];
	char verb[OPS_NAME_MAX];
	struct stream *upload;  /* [owns] */
	struct upload *content; /* [owns] of a volume */
	bool waiting;           /* an operation will end it */
	bool lasts;             /* what it changed is on the disk, or cannot get there */
};

extern const struct http_app api_app;

/* ---- answers; each frees the call ---- */
void api_reply_json(struct api_call *call, unsigned status, struct buf *body, const char *extra);
void api_reply_error(struct api_call *call, const struct ops_error *e);
void api_reply_problem(struct api_call *call, unsigned status, const char *detail,
		       const char *extra);
void api_reply_json_errors(struct api_call *call, const struct json_errors *errors);
void api_reply(struct api_call *call, unsigned status, const char *type, struct buf *body,
	       const char *extra);
void api_reply_source(struct api_call *call, unsigned status, const struct http_source *source,
		      const char *extra);
void api_reply_empty(struct api_call *call); /* 204 */
/* For done functions: the operation has ended. -> false: nobody is there to answer, the call is freed. */
bool api_call_back(struct api_call *call);

/* The same, with an error answered. -> true: answer with what came of it. */
bool api_succeeded(struct api_call *call, const struct ops_error *e);
void api_deleted(void *ctx, const struct ops_error *e); /* a done function: 204 */
/* An operation that calls back was asked for with call->waiting set: r != 0, it was not begun, and e is answered. */
void api_begun(struct api_call *call, int r, const struct ops_error *e);

/* ---- decoding ---- */
bool api_segment(const char **at, char *out, size_t size); /* decodes one path segment */
const char *api_query(const struct api_call *call, const char *key, char *out, size_t size);
/* ?key=true or ?key=false, also 1 or 0; false: it answered. */
bool api_query_bool(struct api_call *call, const char *key, bool *out);
/* One range of bytes of size (RFC 9110 14.1.2). False: another kind of range, several, none: then all is meant. */
bool api_range(const char *text, uint64_t size, uint64_t *from, uint64_t *end);
/* "bytes FROM-LAST/SIZE", SIZE may be "*" (RFC 9110 14.4). *end is behind the last byte. */
bool api_content_range(const char *text, uint64_t *from, uint64_t *end);
/* Decodes the body; false: it answered. */
bool api_body(struct api_call *call, const struct json_object *object, void *out);
/* The same of a change (json_decode_change()). */
bool api_body_change(struct api_call *call, const struct json_object *object, void *out);
/* Body as a JSON object; NULL: it answered. cJSON_Delete() it. */
struct cJSON *api_body_json(struct api_call *call);
/* A body that must be empty or {}; false: it answered. */
bool api_body_none(struct api_call *call);
extern const struct json_object vmspec_object; /* vmspec.c -> struct vm_spec */
extern const struct json_object vmspec_disk_object, vmspec_nic_object; /* struct vm_disk, vm_nic */
/* Its fields, in the form that vmspec_object takes. */
void vmspec_write(struct out *o, const struct vm_spec *spec);
void vmspec_write_disk(struct out *o, const struct vm_disk *d);
void vmspec_write_nic(struct out *o, const struct vm_nic *n);
struct network_spec;
extern const struct json_object network_object; /* network_api.c -> struct network_spec */
void network_write_spec(struct out *o,
			const struct network_spec *spec); /* its fields, in that form */

/* ---- resources ---- */
struct vm *api_vm(struct api_call *call); /* NULL: it answered */
void api_health(struct api_call *call);   /* host_api.c */
void api_root(struct api_call *call);
void api_host(struct api_call *call);
void api_control(struct api_call *call);       /* control_api.c */
bool api_upgrade_begin(struct api_call *call); /* upgrade_api.c */
void api_upgrade(struct api_call *call);
void api_crashes_list(struct api_call *call); /* crash_api.c */
void api_crash_get(struct api_call *call);
void api_disks_list(struct api_call *call); /* disk_api.c */
void api_disk_get(struct api_call *call);
void api_disk_action(struct api_call *call);
void api_images_list(struct api_call *call); /* image_api.c */
void api_image_get(struct api_call *call);
bool api_image_put_begin(struct api_call *call);
void api_image_put(struct api_call *call);
void api_image_content(struct api_call *call);
void api_image_delete(struct api_call *call);
void api_networks_list(struct api_call *call); /* network_api.c */
void api_networks_post(struct api_call *call);
void api_network_get(struct api_call *call);
void api_network_patch(struct api_call *call);
void api_network_delete(struct api_call *call);
void api_network_ports(struct api_call *call);
void api_network_leases(struct api_call *call);
void api_nic_patch(struct api_call *call);
void api_image_action(struct api_call *call);
void api_lasting_init(void); /* lasting_api.c; after pools_init() */
void api_lasting_write(struct out *o);
void api_kept_list(struct api_call *call); /* kept.c */
void api_kept_get(struct api_call *call);
void api_kept_delete(struct api_call *call);
void api_vms_list(struct api_call *call); /* vm_api.c */
void api_vms_post(struct api_call *call);
void api_vm_get(struct api_call *call);
void api_vm_patch(struct api_call *call);
void api_vm_delete(struct api_call *call);
void api_vm_stats(struct api_call *call);
void api_vmdisks_post(struct api_call *call); /* hotplug_api.c */
void api_vmdisk_delete(struct api_call *call);
void api_vmnics_post(struct api_call *call);
void api_vmnic_delete(struct api_call *call);
void api_cdrom_put(struct api_call *call); /* vmdisk_api.c */
void vmdisks_write(struct out *o, const struct vm *vm);
void vmdisks_metrics(struct buf *b);
void vmmem_write(struct out *o, const struct vm *vm, const struct vm_stats *s);
void vmmem_metrics(struct buf *b);
void api_vm_action(struct api_call *call);             /* action_api.c */
bool api_vm_job(struct api_call *call, struct vm *vm); /* job_api.c; false: it is another action */
void api_jobs_list(struct api_call *call);
void api_job_get(struct api_call *call);
void api_job_delete(struct api_call *call);
void api_console_get(struct api_call *call);
void api_console_post(struct api_call *call);
void api_pools_list(struct api_call *call); /* pool_api.c */
void api_pools_post(struct api_call *call);
void api_pools_action(struct api_call *call);
void api_pool_get(struct api_call *call);
void api_pool_delete(struct api_call *call);
void api_pool_action(struct api_call *call);
void api_volumes_list(struct api_call *call); /* volume_api.c */
void api_volumes_post(struct api_call *call);
void api_volume_get(struct api_call *call);
void api_volume_patch(struct api_call *call);
void api_volume_delete(struct api_call *call);
void api_volume_action(struct api_call *call);
void api_volume_reply(struct api_call *call, unsigned status, const char *name);
void api_content_get(struct api_call *call); /* content_api.c */
bool api_content_put_begin(struct api_call *call);
void api_content_put(struct api_call *call);
struct job;
void api_job_reply(struct api_call *call, unsigned status, const struct job *j); /* job_api.c */
void api_metrics(struct api_call *call);                                         /* metrics.c */
void api_pool_metrics(struct buf *b);    /* pool_metrics.c */
void api_network_metrics(struct buf *b); /* network_metrics.c */
void vm_write(struct out *o, const char *key, const struct vm *vm);
extern const char *const exit_names[HV_EXIT_KINDS]; /* NULL: not a kind */

/* ---- figures for metrics ---- */
struct api_counters {
	uint64_t requests[6]; /* by status / 100 */
	unsigned connections;
	uint64_t refused; /* connections beyond the limit */
};
extern struct api_counters api_counters;

/* server.c: listens; false: *why says what is wrong. */
bool api_listen(uint16_t port, const char **why);
/* config.c: defines the VMs of a configuration; errors become notes. */
void config_apply(const char *text, size_t len);

#endif
