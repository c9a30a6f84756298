/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The JSON form of a VM's description: the same in POST /v1/vms and in socle.json. Ranges are checked by ops.
 */
#include "ctrl-kernel/api/api.h"

#define AT(field) offsetof(struct vm_spec, field), sizeof(((struct vm_spec *)0)->field)

static const struct json_field module_fields[] = {
	{"image", JSON_STRING, true, offsetof(struct vm_module, image), OPS_NAME_MAX, 0, 0, NULL},
	{"string", JSON_STRING, false, offsetof(struct vm_module, string),
	 sizeof(((struct vm_module *)0)->string), 0, 0, NULL},
};
static const struct json_object module_object = {module_fields, ARRAY_SIZE(module_fields)};

static const struct json_field boot_fields[] = {
	{"kernel", JSON_STRING, true, AT(kernel), 0, 0, NULL},
	{"initrd", JSON_STRING, false, AT(initrd), 0, 0, NULL},
	{"cmdline", JSON_STRING, false, AT(cmdline), 0, 0, NULL},
	{"modules", JSON_OBJECTS, false, offsetof(struct vm_spec, modules),
	 sizeof(struct vm_module), VMM_MODULES_MAX, offsetof(struct vm_spec, n_modules),
	 &module_object},
};
static const struct json_object boot_object = {boot_fields, ARRAY_SIZE(boot_fields)};

#define DISK(field) offsetof(struct vm_disk, field), sizeof(((struct vm_disk *)0)->field)

static const struct json_field limit_fields[] = {
	{"bytes_per_s", JSON_SIZE, false, DISK(bytes_per_s), 0, 0, NULL},
	{"ops_per_s", JSON_U32, false, DISK(ops_per_s), 0, 0, NULL},
	{"burst_ms", JSON_U32, false, DISK(burst_ms), 0, 0, NULL},
};
static const struct json_object limit_object = {limit_fields, ARRAY_SIZE(limit_fields)};

static const struct json_field disk_fields[] = {
	{"id", JSON_STRING, false, DISK(id), 0, 0, NULL},
	{"pool", JSON_STRING, false, DISK(pool), 0, 0, NULL},
	{"volume", JSON_STRING, false, DISK(volume), 0, 0, NULL},
	{"image", JSON_STRING, false, DISK(image), 0, 0, NULL},
	{"serial", JSON_STRING, false, DISK(serial), 0, 0, NULL},
	{"readonly", JSON_BOOL, false, DISK(read_only), 0, 0, NULL},
	{"cdrom", JSON_BOOL, false, DISK(cdrom), 0, 0, NULL},
	{"slot", JSON_U32, false, DISK(slot), 0, 0, NULL},
	{"limits", JSON_OBJECT, false, 0, 0, 0, 0, &limit_object},
};
const struct json_object vmspec_disk_object = {disk_fields, ARRAY_SIZE(disk_fields)};

#define NIC(field) offsetof(struct vm_nic, field), sizeof(((struct vm_nic *)0)->field)

static const struct json_field nic_limit_fields[] = {
	{"bytes_per_s", JSON_SIZE, false, NIC(bytes_per_s), 0, 0, NULL},
	{"frames_per_s", JSON_U32, false, NIC(frames_per_s), 0, 0, NULL},
	{"burst_ms", JSON_U32, false, NIC(burst_ms), 0, 0, NULL},
};
static const struct json_object nic_limit_object = {nic_limit_fields, ARRAY_SIZE(nic_limit_fields)};

static const struct json_field nic_fields[] = {
	{"id", JSON_STRING, false, NIC(id), 0, 0, NULL},
	{"network", JSON_STRING, true, NIC(network), 0, 0, NULL},
	{"mac", JSON_STRING, false, NIC(mac), 0, 0, NULL},
	{"vlan", JSON_U32, false, NIC(vlan), 0, 0, NULL},
	{"trunk", JSON_U32S, false, offsetof(struct vm_nic, trunk), sizeof(uint32_t), NIC_TRUNK_MAX,
	 offsetof(struct vm_nic, n_trunk), NULL},
	{"tagged_only", JSON_BOOL, false, NIC(tagged_only), 0, 0, NULL},
	{"isolated", JSON_BOOL, false, NIC(isolated), 0, 0, NULL},
	{"anti_spoof", JSON_BOOL, false, NIC(anti_spoof), 0, 0, NULL},
	{"addresses", JSON_STRINGS, false, offsetof(struct vm_nic, addresses), IPADDR_TEXT_MAX,
	 NIC_ADDRESSES_MAX, offsetof(struct vm_nic, n_addresses), NULL},
	{"slot", JSON_U32, false, NIC(slot), 0, 0, NULL},
	{"limits", JSON_OBJECT, false, 0, 0, 0, 0, &nic_limit_object},
};
const struct json_object vmspec_nic_object = {nic_fields, ARRAY_SIZE(nic_fields)};

static const struct json_field vm_fields[] = {
	{"name", JSON_STRING, true, AT(name), 0, 0, NULL},
	{"vcpus", JSON_U32, true, AT(vcpus), 0, 0, NULL},
	{"memory", JSON_SIZE, true, AT(memory), 0, 0, NULL},
	{"memory_target", JSON_SIZE, false, AT(memory_target), 0, 0, NULL},
	{"boot", JSON_OBJECT, true, 0, 0, 0, 0, &boot_object},
	{"weight", JSON_U32, false, AT(weight), 0, 0, NULL},
	{"cap", JSON_U32, false, AT(cap), 0, 0, NULL},
	{"disks", JSON_OBJECTS, false, offsetof(struct vm_spec, disks), sizeof(struct vm_disk),
	 VMM_DISKS_MAX, offsetof(struct vm_spec, n_disks), &vmspec_disk_object},
	{"nics", JSON_OBJECTS, false, offsetof(struct vm_spec, nics), sizeof(struct vm_nic),
	 VMM_NICS_MAX, offsetof(struct vm_spec, n_nics), &vmspec_nic_object},
	{"virtio_console", JSON_BOOL, false, AT(virtio_console), 0, 0, NULL},
	{"autostart", JSON_BOOL, false, AT(autostart), 0, 0, NULL},
	{"autostart_order", JSON_U32, false, AT(autostart_order), 0, 0, NULL},
	{"autostart_delay_s", JSON_U32, false, AT(autostart_delay_s), 0, 0, NULL},
};
const struct json_object vmspec_object = {vm_fields, ARRAY_SIZE(vm_fields)};

/* ---- writing ---- */

static void write_boot(struct out *o, const struct vm_spec *spec)
{
	out_object(o, "boot");
	out_str(o, "kernel", spec->kernel);
	out_optional(o, "initrd", spec->initrd);
	out_str(o, "cmdline", spec->cmdline);
	out_array(o, "modules");
	for (unsigned i = 0; i < spec->n_modules; i++) {
		out_object(o, NULL);
		out_str(o, "image", spec->modules[i].image);
		out_str(o, "string", spec->modules[i].string);
		out_close(o, '}');
	}
	out_close(o, ']');
	out_close(o, '}');
}

void vmspec_write_disk(struct out *o, const struct vm_disk *d)
{
	out_object(o, NULL);
	out_str(o, "id", d->id);
	if (d->pool[0]) {
		out_str(o, "pool", d->pool);
		out_str(o, "volume", d->volume);
	}
	if (d->image[0])
		out_str(o, "image", d->image);
	out_optional(o, "serial", d->serial);
	out_bool(o, "readonly", d->read_only);
	out_bool(o, "cdrom", d->cdrom);
	out_u64(o, "slot", d->slot);
	out_object(o, "limits");
	out_u64(o, "bytes_per_s", d->bytes_per_s);
	out_u64(o, "ops_per_s", d->ops_per_s);
	out_u64(o, "burst_ms", d->burst_ms);
	out_close(o, '}');
	out_close(o, '}');
}

void vmspec_write_nic(struct out *o, const struct vm_nic *n)
{
	out_object(o, NULL);
	out_str(o, "id", n->id);
	out_str(o, "network", n->network);
	out_str(o, "mac", n->mac);
	out_u64(o, "vlan", n->vlan);
	out_array(o, "trunk");
	for (unsigned i = 0; i < n->n_trunk; i++)
		out_u64(o, NULL, n->trunk[i]);
	out_close(o, ']');
	out_bool(o, "tagged_only", n->tagged_only);
	out_bool(o, "isolated", n->isolated);
	out_bool(o, "anti_spoof", n->anti_spoof);
	out_array(o, "addresses");
	for (unsigned i = 0; i < n->n_addresses; i++)
		out_str(o, NULL, n->addresses[i]);
	out_close(o, ']');
	out_u64(o, "slot", n->slot);
	out_object(o, "limits");
	out_u64(o, "bytes_per_s", n->bytes_per_s);
	out_u64(o, "frames_per_s", n->frames_per_s);
	out_u64(o, "burst_ms", n->burst_ms);
	out_close(o, '}');
	out_close(o, '}');
}

static void write_devices(struct out *o, const struct vm_spec *spec)
{
	out_array(o, "disks");
	for (unsigned i = 0; i < spec->n_disks; i++)
		vmspec_write_disk(o, &spec->disks[i]);
	out_close(o, ']');
	out_array(o, "nics");
	for (unsigned i = 0; i < spec->n_nics; i++)
		vmspec_write_nic(o, &spec->nics[i]);
	out_close(o, ']');
}

void vmspec_write(struct out *o, const struct vm_spec *spec)
{
	out_str(o, "name", spec->name);
	out_u64(o, "vcpus", spec->vcpus);
	out_u64(o, "memory", spec->memory);
	out_u64(o, "memory_target", spec->memory_target);
	write_boot(o, spec);
	write_devices(o, spec);
	out_u64(o, "weight", spec->weight);
	out_u64(o, "cap", spec->cap);
	out_bool(o, "virtio_console", spec->virtio_console);
	out_bool(o, "autostart", spec->autostart);
	out_u64(o, "autostart_order", spec->autostart_order);
	out_u64(o, "autostart_delay_s", spec->autostart_delay_s);
}
