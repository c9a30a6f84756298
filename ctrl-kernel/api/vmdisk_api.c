/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /v1/vms/{vm}/cdrom, and what /v1/vms/{vm}/stats and /metrics say of VMs' disks.
 */
#include "ctrl-kernel/api/api.h"

#include <stddef.h>
#include <string.h>
#include "cJSON.h"
#include "ctrl-kernel/ops/vmdisks.h"

struct medium {
	char image[OPS_NAME_MAX]; /* "": none */
};

static const struct json_field medium_fields[] = {
	{.name = "image",
	 .type = JSON_STRING,
	 .offset = offsetof(struct medium, image),
	 .size = OPS_NAME_MAX},
};
static const struct json_object medium_object = {medium_fields, ARRAY_SIZE(medium_fields)};

/* {"image": null} takes out what is in it. */
static bool body_medium(struct api_call *call, struct medium *out)
{
	struct json_errors errors = {0};
	struct cJSON *root = api_body_json(call), *image;
	bool ok;

	if (!root)
		return false;
	image = cJSON_GetObjectItemCaseSensitive(root, "image");
	if (cJSON_IsNull(image))
		cJSON_DeleteItemFromObjectCaseSensitive(root, "image");
	ok = json_decode(root, &medium_object, out, "", &errors);
	if (ok && (!image || (cJSON_IsString(image) && !out->image[0]))) {
		json_error_add(&errors, "/image", "the name of an image, or null");
		ok = false;
	}
	cJSON_Delete(root);
	if (!ok)
		api_reply_json_errors(call, &errors);
	return ok;
}

void api_cdrom_put(struct api_call *call)
{
	struct medium medium = {""};
	struct vm *vm = api_vm(call);
	struct ops_error e;

	if (!vm || !body_medium(call, &medium))
		return;
	if (vm_cdrom(vm, call->verb, medium.image[0] ? medium.image : NULL, &e))
		api_reply_error(call, &e);
	else
		api_reply_empty(call);
}

static const struct {
	const char *key, *metric, *type, *help;
	size_t offset; /* of a uint64_t in struct vdisk_stats */
} rows[] = {
	{"reads", "socle_vm_disk_reads_total", "counter", "Reads of the guest.",
	 offsetof(struct vdisk_stats, reads)},
	{"read_bytes", "socle_vm_disk_read_bytes_total", "counter", "Bytes that it read.",
	 offsetof(struct vdisk_stats, read_bytes)},
	{"writes", "socle_vm_disk_writes_total", "counter", "Writes of the guest.",
	 offsetof(struct vdisk_stats, writes)},
	{"written_bytes", "socle_vm_disk_written_bytes_total", "counter", "Bytes that it wrote.",
	 offsetof(struct vdisk_stats, write_bytes)},
	{"flushes", "socle_vm_disk_flushes_total", "counter", "Flushes of the guest.",
	 offsetof(struct vdisk_stats, flushes)},
	{"discards", "socle_vm_disk_discards_total", "counter",
	 "Discards and writes of zeros of the guest.", offsetof(struct vdisk_stats, discards)},
	{"errors", "socle_vm_disk_errors_total", "counter", "Requests that failed for the guest.",
	 offsetof(struct vdisk_stats, errors)},
	{"in_flight", "socle_vm_disk_in_flight", "gauge", "Requests under way.",
	 offsetof(struct vdisk_stats, in_flight)},
};

static uint64_t row_of(const struct vdisk_stats *s, unsigned row)
{
	uint64_t n;

	memcpy(&n, (const char *)s + rows[row].offset, sizeof(n));
	return n;
}

void vmdisks_write(struct out *o, const struct vm *vm)
{
	struct vdisk_stats s;

	out_array(o, "disks");
	for (unsigned i = 0; i < vm->spec.n_disks; i++) {
		if (!vm_disk_stats(vm, i, &s))
			continue;
		out_object(o, NULL);
		out_str(o, "id", vm->spec.disks[i].id);
		for (unsigned row = 0; row < ARRAY_SIZE(rows); row++)
			out_u64(o, rows[row].key, row_of(&s, row));
		out_close(o, '}');
	}
	out_close(o, ']');
}

static void metric(struct buf *b, unsigned row)
{
	struct vdisk_stats s;

	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", rows[row].metric, rows[row].help,
		   rows[row].metric, rows[row].type);
	for (const struct vm *vm = vm_first(); vm; vm = vm->next)
		for (unsigned i = 0; i < vm->spec.n_disks; i++)
			if (vm_disk_stats(vm, i, &s))
				buf_printf(b, "%s{vm=\"%s\",disk=\"%s\"} %llu\n", rows[row].metric,
					   vm->spec.name, vm->spec.disks[i].id,
					   (unsigned long long)row_of(&s, row));
}

void vmdisks_metrics(struct buf *b)
{
	for (unsigned row = 0; row < ARRAY_SIZE(rows); row++)
		metric(b, row);
}
