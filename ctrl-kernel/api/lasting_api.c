/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The text of the configuration that lasts (ops/lasting.h), which is JSON, and what comes of it when it is found again:
 *
 *	{"version":1,"images":[{"name","pool","bytes","sha256"}],"networks":[what POST /v1/networks takes],
 *	 "vms":[{"uuid","vm": what POST /v1/vms takes}],"kept_images":[],"kept_networks":[],"kept_vms":[]}
 *
 * Networks and VMs are defined at once; then the images are loaded, one after the other, and then those VMs start that do so by themselves.
 * What cannot be used is noted, and written again as it was, to the kept ones; the next cold start tries it again.
 */
#include "ctrl-kernel/api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cJSON.h"
#include "ctrl-kernel/api/json_scan.h"
#include "ctrl-kernel/api/kept.h"
#include "ctrl-kernel/ops/autostart.h"
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/image_store.h"
#include "ctrl-kernel/ops/keep.h"
#include "ctrl-kernel/ops/lasting.h"
#include "ctrl-kernel/ops/networks.h"
#include "ctrl-kernel/rt/hex.h"

#define NOTE "configuration"
#define VERSION 1u

struct lasting_vm {
	struct vm_spec spec; /* first: its fields are decoded into the same struct */
	char uuid[37];
};

struct lasting_image {
	struct image_stored stored;
	char sha256[65];
};

static const struct json_field vm_fields[] = {
	{"uuid", JSON_STRING, true, offsetof(struct lasting_vm, uuid), 37, 0, 0, NULL},
	{"vm", JSON_OBJECT, true, 0, 0, 0, 0, &vmspec_object},
};
static const struct json_object vm_object = {vm_fields, ARRAY_SIZE(vm_fields)};

#define STORED(field)                                                                              \
	offsetof(struct lasting_image, stored.field), sizeof(((struct image_stored *)0)->field)
static const struct json_field image_fields[] = {
	{"name", JSON_STRING, true, STORED(name), 0, 0, NULL},
	{"pool", JSON_STRING, true, STORED(pool), 0, 0, NULL},
	{"bytes", JSON_SIZE, true, STORED(bytes), 0, 0, NULL},
	{"sha256", JSON_STRING, true, offsetof(struct lasting_image, sha256), 65, 0, 0, NULL},
};
static const struct json_object image_object = {image_fields, ARRAY_SIZE(image_fields)};

static struct {
	const char *text; /* [borrows] */
	size_t bytes;
	const char *list;
	unsigned index; /* of the element */
} reading;

static struct image_stored *to_load; /* [owns] those from next_load on are still to be loaded */
static unsigned n_load, next_load;
static struct loop_job load_job;

static bool is_loaded(const struct image_stored *s)
{
	const struct image *image = image_find(s->name);

	return image && strcmp(image->pool, s->pool) == 0;
}

/* ---- writing ---- */

static void write_stored(struct out *o, const char *name, const char *pool, uint64_t bytes,
			 const uint8_t sha256[32])
{
	out_object(o, NULL);
	out_str(o, "name", name);
	out_str(o, "pool", pool);
	out_u64(o, "bytes", bytes);
	out_hex(o, "sha256", sha256, 32);
	out_close(o, '}');
}

static void write_vm(struct out *o, const struct vm *vm)
{
	char uuid[37];

	if (vm->spec.from_boot)
		return;
	vm_uuid_text(vm->uuid, uuid);
	out_object(o, NULL);
	out_str(o, "uuid", uuid);
	out_object(o, "vm");
	vmspec_write(o, &vm->spec);
	out_close(o, '}');
	out_close(o, '}');
}

static void write_networks(struct out *o)
{
	out_array(o, "networks");
	for (const struct network *n = network_first(); n; n = n->next) {
		out_object(o, NULL);
		network_write_spec(o, &n->spec);
		out_close(o, '}');
	}
	out_close(o, ']');
}

static char *make(size_t *bytes)
{
	struct buf b = {0};
	struct out o = {.b = &b};

	out_object(&o, NULL);
	out_u64(&o, "version", VERSION);
	out_array(&o, "images");
	for (const struct image *i = image_first(); i; i = i->next)
		if (i->pool[0])
			write_stored(&o, i->name, i->pool, i->bytes, i->sha256);
	for (unsigned i = next_load; i < n_load; i++)
		if (!is_loaded(&to_load[i]))
			write_stored(&o, to_load[i].name, to_load[i].pool, to_load[i].bytes,
				     to_load[i].sha256);
	out_close(&o, ']');
	write_networks(&o);
	out_array(&o, "vms");
	for (const struct vm *vm = vm_first(); vm; vm = vm->next)
		write_vm(&o, vm);
	out_close(&o, ']');
	kept_write(&o, KEPT_IMAGES);
	kept_write(&o, KEPT_NETWORKS);
	kept_write(&o, KEPT_VMS);
	out_close(&o, '}');
	if (b.failed) {
		buf_free(&b);
		return NULL;
	}
	*bytes = b.len;
	return b.data;
}

/* Those that every host has at its start need not be written. */
static bool any_network(void)
{
	const struct network *n = network_first();

	return !n || n->next || strcmp(n->spec.name, NETWORK_DEFAULT) != 0 || n->spec.n_forwards;
}

static bool any(void)
{
	bool yes = kept_any() || next_load < n_load || any_network();

	for (const struct vm *vm = vm_first(); vm; vm = vm->next)
		yes |= !vm->spec.from_boot;
	for (const struct image *i = image_first(); i; i = i->next)
		yes |= i->pool[0] != '\0';
	return yes;
}

/* ---- reading ---- */

static void no_memory(void)
{
	rt_die("out of memory while reading the configuration");
}

/* The element that is being read, as it is written. */
static void keep_item(const char *list, const char *why)
{
	char pointer[32];
	const char *value;
	size_t len = 0;

	snprintf(pointer, sizeof(pointer), "/%s/%u", reading.list, reading.index);
	value = json_text(reading.text, reading.bytes, pointer, &len);
	if (!kept_add(list, value ? strndup(value, len) : NULL, why))
		no_memory();
}

static void note(const char *what, const char *why)
{
	host_note(NOTE, 0, "%s: %s; it is kept as it is", what, why);
}

static void keep_vm_item(const char *what, const char *why)
{
	note(what, why);
	keep_item(KEPT_VMS, why);
}

static void keep_image_item(const char *what, const char *why)
{
	note(what, why);
	keep_item(KEPT_IMAGES, why);
}

static bool uuid_read(const char *text, uint8_t uuid[16])
{
	char digits[33];
	unsigned n = 0;

	for (; *text && n < 32; text++)
		if (*text != '-')
			digits[n++] = *text;
	digits[n] = '\0';
	return *text == '\0' && hex_read(digits, uuid, 16);
}

static bool is_there(const char *name, const uint8_t uuid[16])
{
	const struct vm *vm = vm_find(name);

	return vm && memcmp(vm->uuid, uuid, sizeof(vm->uuid)) == 0;
}

static void read_vm(const cJSON *item)
{
	static struct lasting_vm in; /* too large for the stack */
	struct json_errors errors = {0};
	struct ops_error e;
	uint8_t uuid[16];
	struct vm *vm;

	memset(&in, 0, sizeof(in));
	vm_spec_default(&in.spec);
	if (!json_decode(item, &vm_object, &in, "", &errors))
		keep_vm_item("a VM", errors.n ? errors.e[0].detail : "out of memory");
	else if (!uuid_read(in.uuid, uuid))
		keep_vm_item(in.spec.name, "its uuid is none");
	else if (is_there(in.spec.name, uuid))
		return; /* the instance before came so far */
	else if (vm_define_as(&in.spec, uuid, &vm, &e))
		keep_vm_item(in.spec.name, e.text);
	else
		autostart_want(vm);
}

/* ---- networks ---- */

static bool default_read;

static void read_network(const cJSON *item)
{
	struct json_errors errors = {0};
	struct network_spec spec;
	const char *why = NULL;
	struct ops_error e;
	struct network *n;

	network_spec_default(&spec);
	if (!json_decode(item, &network_object, &spec, "", &errors)) {
		why = errors.n ? errors.e[0].detail : "out of memory";
	} else {
		default_read |= strcmp(spec.name, NETWORK_DEFAULT) == 0;
		n = network_find(spec.name);
		if (n ? network_change(n, &spec, &e) : network_define(&spec, &n, &e))
			why = e.text;
	}
	if (!why)
		return;
	note(spec.name[0] ? spec.name : "a network", why);
	keep_item(KEPT_NETWORKS, why);
}

/* The one that there is at every start, unless it was deleted. */
static void default_look(const cJSON *root)
{
	struct network *n = network_find(NETWORK_DEFAULT);
	struct ops_error e;

	if (n && !default_read && cJSON_GetObjectItemCaseSensitive(root, "networks") &&
	    network_delete(n, &e))
		note(NETWORK_DEFAULT, e.text);
}

/* ---- images, one after the other ---- */

static void read_image(const cJSON *item)
{
	struct json_errors errors = {0};
	struct lasting_image in = {0};
	struct image_stored *more;

	if (!json_decode(item, &image_object, &in, "", &errors)) {
		keep_image_item("an image", errors.n ? errors.e[0].detail : "out of memory");
		return;
	}
	if (!hex_read(in.sha256, in.stored.sha256, 32)) {
		keep_image_item(in.stored.name, "its checksum is none");
		return;
	}
	more = realloc(to_load, (n_load + 1) * sizeof(*more));
	if (!more)
		no_memory();
	to_load = more;
	to_load[n_load++] = in.stored;
}

/* What cannot be loaded now, for its pool is not there, is not forgotten. */
static void load_failed(const struct image_stored *s, const struct ops_error *e)
{
	struct buf b = {0};
	struct out o = {.b = &b};

	write_stored(&o, s->name, s->pool, s->bytes, s->sha256);
	buf_add(&b, "", 1);
	if (b.failed)
		no_memory();
	note(s->name, e->text);
	if (!kept_add(KEPT_IMAGES, b.data, e->text))
		no_memory();
}

static void loaded(void *ctx, const struct ops_error *e)
{
	(void)ctx;
	if (e)
		load_failed(&to_load[next_load], e);
	next_load++;
	loop_defer(&load_job);
}

static void load_next(void *ctx)
{
	struct ops_error e;

	(void)ctx;
	if (next_load == n_load) {
		free(to_load);
		to_load = NULL;
		n_load = next_load = 0;
		keep_lasting_set();
		autostart_begin();
	} else if (is_loaded(&to_load[next_load])) {
		loaded(NULL, NULL);
	} else if (image_load(&to_load[next_load], loaded, NULL, &e)) {
		loaded(NULL, &e);
	}
}

static bool read_list(const cJSON *root, const char *name, void (*read)(const cJSON *item))
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, name), *item;

	if (!list)
		return true;
	if (!cJSON_IsArray(list))
		return false;
	reading.list = name;
	reading.index = 0;
	cJSON_ArrayForEach(item, list)
	{
		read(item);
		reading.index++;
	}
	return true;
}

static void keep_this_image(const cJSON *item)
{
	(void)item;
	keep_item(KEPT_IMAGES, NULL);
}

static void keep_this_vm(const cJSON *item)
{
	(void)item;
	keep_item(KEPT_VMS, NULL);
}

static void keep_this_network(const cJSON *item)
{
	(void)item;
	keep_item(KEPT_NETWORKS, NULL);
}

static bool apply_all(const cJSON *root)
{
	if (!read_list(root, "networks", read_network) ||
	    !read_list(root, KEPT_NETWORKS, read_network))
		return false;
	default_look(root);
	if (!read_list(root, "images", read_image) || !read_list(root, KEPT_IMAGES, read_image) ||
	    !read_list(root, "vms", read_vm) || !read_list(root, KEPT_VMS, read_vm))
		return false;
	load_job = (struct loop_job){.fn = load_next};
	loop_defer(&load_job);
	return true;
}

static bool apply(const char *text, size_t bytes, bool cold, const char **why)
{
	struct json_errors errors = {0};
	cJSON *root = json_parse(text, bytes, &errors);
	const cJSON *version = cJSON_GetObjectItemCaseSensitive(root, "version");
	bool ok;

	reading.text = text;
	reading.bytes = bytes;
	*why = "it is not JSON";
	if (root)
		*why = "it was written by a newer version of this program";
	ok = root && cJSON_IsNumber(version) && version->valueint <= (int)VERSION;
	if (ok)
		*why = "it makes no sense";
	if (cold)
		ok = ok && apply_all(root);
	else
		ok = ok && read_list(root, KEPT_IMAGES, keep_this_image) &&
		     read_list(root, KEPT_NETWORKS, keep_this_network) &&
		     read_list(root, KEPT_VMS, keep_this_vm);
	cJSON_Delete(root);
	return ok;
}

void api_lasting_init(void)
{
	static const struct lasting_text form = {make, apply, any};

	image_store_init();
	vms_watch(lasting_changed);
	networks_watch(lasting_changed);
	lasting_init(&form);
}

void api_lasting_write(struct out *o)
{
	static const char *const names[] = {
		[LASTING_READING] = "reading",
		[LASTING_NO_POOL] = "memory",
		[LASTING_GOOD] = "lasting",
		[LASTING_FAILED] = "failed",
	};
	static const char *const details[] = {
		[LASTING_READING] = "the drives are being read",
		[LASTING_NO_POOL] = "there is no pool to write it to: VMs, networks and stored "
				    "images are forgotten when the host is switched off",
		[LASTING_GOOD] = "",
		[LASTING_FAILED] = "",
	};
	const char *detail = lasting_detail();

	out_object(o, "configuration");
	out_str(o, "state", names[lasting_state()]);
	out_optional(o, "pool", lasting_pool());
	out_optional(o, "detail", detail[0] ? detail : details[lasting_state()]);
	out_close(o, '}');
}
