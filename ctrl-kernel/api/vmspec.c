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

static const struct json_field vm_fields[] = {
	{"name", JSON_STRING, true, AT(name), 0, 0, NULL},
	{"vcpus", JSON_U32, true, AT(vcpus), 0, 0, NULL},
	{"memory", JSON_SIZE, true, AT(memory), 0, 0, NULL},
	{"boot", JSON_OBJECT, true, 0, 0, 0, 0, &boot_object},
	{"weight", JSON_U32, false, AT(weight), 0, 0, NULL},
	{"cap", JSON_U32, false, AT(cap), 0, 0, NULL},
	{"autostart", JSON_BOOL, false, AT(autostart), 0, 0, NULL}, /* socle.json only: last */
};
const struct json_object vmspec_object = {vm_fields, ARRAY_SIZE(vm_fields) - 1};
const struct json_object vmspec_config_object = {vm_fields, ARRAY_SIZE(vm_fields)};
