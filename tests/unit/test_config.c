/* SPDX-License-Identifier: BSD-2-Clause */
/* socle.json: what is good is applied, what is not is noted with its line. */
// SRC: ctrl-kernel/api/lasting_api.c ctrl-kernel/api/kept.c
// SRC: ctrl-kernel/ops/lasting.c
// SRC: ctrl-kernel/ops/image_store.c
// SRC: tests/unit/fakehv.c
// SRC: ctrl-kernel/backend/ioqueue.c
// SRC: ctrl-kernel/backend/vdisk.c
// SRC: ctrl-kernel/backend/balloon.c
// SRC: ctrl-kernel/backend/vmio.c
// SRC: ctrl-kernel/ops/vmdisks.c
// SRC: ctrl-kernel/api/vmdisk_api.c
// SRC: ctrl-kernel/api/hotplug_api.c
// SRC: ctrl-kernel/api/vmmem_api.c
// SRC: ctrl-kernel/ops/autostart.c
// SRC: ctrl-kernel/rt/hex.c
// SRC: ctrl-kernel/ops/devices.c net/ipaddr.c
// SRC: ctrl-kernel/ops/error.c
// SRC: ctrl-kernel/ops/images.c
// SRC: ctrl-kernel/ops/keep.c
// SRC: ctrl-kernel/ops/stream.c
// SRC: ctrl-kernel/ops/upload.c
// SRC: ctrl-kernel/ops/host.c
// SRC: ctrl-kernel/ops/console.c
// SRC: ctrl-kernel/ops/hvc.c
// SRC: ctrl-kernel/ops/mirror.c
// SRC: ctrl-kernel/ops/start.c
// SRC: ctrl-kernel/ops/hotplug.c
// SRC: ctrl-kernel/ops/jobs.c
// SRC: ctrl-kernel/ops/save.c
// SRC: ctrl-kernel/ops/saved.c
// SRC: ctrl-kernel/ops/restore.c
// SRC: ctrl-kernel/ops/lifecycle.c
// SRC: ctrl-kernel/ops/vms.c
// SRC: ctrl-kernel/ops/networks.c ctrl-kernel/ops/network_nat.c ctrl-kernel/ops/network_table.c
// SRC: ctrl-kernel/backend/netdev.c ctrl-kernel/api/network_api.c
// SRC: net/switch.c net/fdb.c net/packet.c net/checksum.c net/claim.c net/spoof.c net/frame.c net/dns.c net/nat.c net/nat_flow.c net/nat_packet.c net/dhcpd.c
// SRC: net/netconf.c
// SRC: ctrl-kernel/api/http.c
// SRC: ctrl-kernel/api/config.c
// SRC: ctrl-kernel/api/http_parse.c
// SRC: ctrl-kernel/api/buf.c
// SRC: ctrl-kernel/api/out.c
// SRC: ctrl-kernel/api/json.c
// SRC: ctrl-kernel/api/json_scan.c
// SRC: ctrl-kernel/api/problem.c
// SRC: ctrl-kernel/api/routes.c
// SRC: ctrl-kernel/api/control_api.c
// SRC: ctrl-kernel/ops/control.c
// SRC: ctrl-kernel/ops/upgrade.c
// SRC: ctrl-kernel/api/upgrade_api.c
// SRC: ctrl-kernel/api/vmspec.c
// SRC: ctrl-kernel/api/host_api.c
// SRC: ctrl-kernel/api/crash_api.c
// SRC: ctrl-kernel/api/image_api.c
// SRC: ctrl-kernel/api/vm_api.c
// SRC: ctrl-kernel/api/action_api.c
// SRC: ctrl-kernel/api/job_api.c
// SRC: ctrl-kernel/api/metrics.c
// SRC: ctrl-kernel/api/disk_api.c
// SRC: ctrl-kernel/ops/disks.c
// SRC: ctrl-kernel/ops/disk_test.c
// SRC: tests/unit/drive_fakes.c
// SRC: ctrl-kernel/blk/*.c
// SRC: ctrl-kernel/blk/*/*.c
// SRC: ctrl-kernel/storage/*.c
// SRC: ctrl-kernel/ops/download_volume.c
// SRC: ctrl-kernel/ops/iobuf.c
// SRC: ctrl-kernel/ops/keep_ram.c
// SRC: ctrl-kernel/ops/pool_info.c
// SRC: ctrl-kernel/ops/pools.c
// SRC: ctrl-kernel/ops/rampool.c
// SRC: ctrl-kernel/ops/upload_volume.c
// SRC: ctrl-kernel/ops/volume_jobs.c
// SRC: ctrl-kernel/api/content_api.c
// SRC: ctrl-kernel/api/pool_api.c
// SRC: ctrl-kernel/api/pool_metrics.c ctrl-kernel/api/network_metrics.c
// SRC: ctrl-kernel/api/range.c
// SRC: ctrl-kernel/api/volume_api.c
// SRC: build/deps/src/cjson/cJSON.c
// SRC: build/deps/src/nghttp2/third-party/llhttp/src/api.c
// SRC: build/deps/src/nghttp2/third-party/llhttp/src/http.c
// SRC: build/deps/src/nghttp2/third-party/llhttp/src/llhttp.c
// SRC: build/deps/src/mbedtls/library/sha256.c
// SRC: build/deps/src/mbedtls/library/platform_util.c
// FLAGS: -isystem build/deps/src/mbedtls/include '-DMBEDTLS_CONFIG_FILE="ctrl-kernel/mbedtls_config.h"'
// FLAGS: -isystem build/deps/src/cjson -DCJSON_NESTING_LIMIT=16
// FLAGS: -isystem build/deps/src/nghttp2/third-party/llhttp/include
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/fakehv.h"
#include "tests/unit/apiclient.h"
#include "ctrl-kernel/ops/host.h"

static unsigned first_note;

static int setup(void **state)
{
	struct ops_error e;

	(void)state;
	fake_reset(100000);
	assert_int_equal(image_adopt("k", fake_module("k", 1), 1, &e), 0);
	host_notes(&first_note);
	return 0;
}

static int teardown(void **state)
{
	struct ops_error e;

	(void)state;
	while (vm_first())
		assert_int_equal(vm_delete(vm_first(), &e), 0);
	assert_int_equal(image_delete("k", &e), 0);
	fake_close_self();
	assert_int_equal(fake_objects(), 0);
	fake_log_clear();
	return 0;
}

static void apply(const char *text)
{
	config_apply(text, strlen(text));
}

/* The note number i of this test. */
static void expect_note(unsigned i, unsigned line, const char *words)
{
	unsigned n;
	const struct host_note *notes = host_notes(&n);

	assert_true(first_note + i < n);
	if (notes[first_note + i].line != line || !strstr(notes[first_note + i].text, words))
		fail_msg("note %u: line %u: %s", i, notes[first_note + i].line,
			 notes[first_note + i].text);
	assert_non_null(strstr(fake_log(), words));
}

static unsigned notes(void)
{
	unsigned n;

	host_notes(&n);
	return n - first_note;
}

#define VM(name)                                                                                   \
	"{\"name\":\"" name "\",\"vcpus\":1,\"memory\":\"16MiB\",\"boot\":{\"kernel\":\"k\"}"

static void test_good(void **state)
{
	(void)state;
	apply("{\"vms\":[" VM("a") ",\"autostart\":true}," VM("b") "}]}");
	assert_int_equal(notes(), 0);
	assert_true(vm_find("a")->spec.autostart);
	assert_false(vm_find("b")->spec.autostart);
	assert_int_equal(vm_find("b")->spec.weight, 100);
	apply("{}");
	apply("{\"vms\":[]}");
	assert_int_equal(notes(), 0);
}

static void test_partly_bad(void **state)
{
	(void)state;
	apply("{\n"
	      "  \"vms\": [\n"
	      "    {\"name\": \"x\", \"vcpus\": 1},\n"
	      "    " VM("good") "},\n"
				"    " VM("u") ",\n"
					       "      \"colour\": 1},\n"
					       "    {\"name\":\"w\",\n"
					       "     \"vcpus\":99,\n"
					       "     \"memory\":1048576,\"boot\":{\n"
					       "       \"kernel\":\"k\"}},\n"
					       "    "
					       "{\"name\":\"z\",\"vcpus\":1,\"memory\":1048576,"
					       "\"boot\":{\n"
					       "       \"kernel\":\"none\"}},\n"
					       "    " VM("good") "},\n"
								 "    7\n"
								 "  ],\n"
								 "  \"pools\": []\n"
								 "}\n");
	expect_note(0, 3, "/vms/0/memory");
	expect_note(1, 3, "/vms/0/boot");
	expect_note(2, 6, "/vms/2/colour");
	expect_note(3, 8, "/vms/3/vcpus");
	expect_note(4, 12, "/vms/4/boot/kernel");
	expect_note(5, 13, "there is a VM \"good\" already");
	expect_note(6, 14, "/vms/6");
	expect_note(7, 16, "/pools");
	assert_int_equal(notes(), 8);
	assert_non_null(vm_find("good"));
	assert_null(vm_first()->next);
}

static void test_broken(void **state)
{
	(void)state;
	apply("{\"vms\":[\n" VM("a") "}\n" VM("b") "}]}");
	expect_note(0, 3, "a comma or a closing bracket");
	assert_null(vm_first());
	apply("[]");
	expect_note(1, 1, "must be an object");
	apply("");
	expect_note(2, 1, "ends too early");
	apply("{\"vms\":{}}");
	expect_note(3, 1, "/vms: must be an array");
}

static void test_shown(void **state)
{
	(void)state;
	apply("{\n\"wrong\":1}");
	ask("GET", "/v1/host", NULL);
	assert_non_null(strstr(reply_body(),
			       "{\"source\":\"socle.json\",\"line\":2,\"detail\":\"/wrong: "));
	client_end();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_good),
		T(test_partly_bad),
		T(test_broken),
		T(test_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
