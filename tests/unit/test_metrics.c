/* SPDX-License-Identifier: BSD-2-Clause */
/* /metrics: the text format's rules, and promtool's opinion where it is installed. */
// SRC: ctrl-kernel/api/lasting_api.c ctrl-kernel/api/kept.c
// SRC: ctrl-kernel/ops/lasting.c
// SRC: ctrl-kernel/ops/image_store.c
// SRC: ctrl-kernel/ops/autostart.c
// SRC: tests/unit/fakehv.c
// SRC: ctrl-kernel/backend/ioqueue.c
// SRC: ctrl-kernel/backend/vdisk.c
// SRC: ctrl-kernel/backend/balloon.c
// SRC: ctrl-kernel/backend/vmio.c
// SRC: ctrl-kernel/ops/vmdisks.c
// SRC: ctrl-kernel/api/vmdisk_api.c
// SRC: ctrl-kernel/api/hotplug_api.c
// SRC: ctrl-kernel/api/vmmem_api.c
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
#include "ctrl-kernel/ops/networks.h"

static void scrape(void)
{
	ask("GET", "/metrics", NULL);
	assert_int_equal(reply_status(), 200);
	assert_non_null(strstr(reply_text, "Content-Type: text/plain; version=0.0.4"));
}

/* Each family once, HELP before TYPE before its samples, names legal, values numbers. */
static void check_lines(void)
{
	char *text = strdup(reply_body()), *rest = text, *line, family[100] = "";
	unsigned families = 0;

	while ((line = strsep(&rest, "\n")) && *line) {
		char name[100], kind[20];

		if (sscanf(line, "# HELP %99s", name) == 1) {
			char head[130];

			snprintf(head, sizeof(head), "# HELP %s ", name);
			assert_null(strstr(strstr(reply_body(), head) + 1, head));
			snprintf(family, sizeof(family), "%s", name);
			families++;
		} else if (sscanf(line, "# TYPE %99s %19s", name, kind) == 2) {
			size_t n = strlen(name);

			assert_string_equal(name, family);
			assert_int_equal(strcmp(kind, "counter") == 0,
					 n > 6 && strcmp(name + n - 6, "_total") == 0);
		} else {
			size_t n = strcspn(line, "{ ");
			char *value = strrchr(line, ' '), *end;

			assert_int_equal(n, strlen(family));
			assert_memory_equal(line, family, n);
			assert_non_null(value);
			strtod(value + 1, &end);
			assert_int_equal(*end, 0);
		}
	}
	assert_true(families > 10);
	free(text);
}

static void promtool(void)
{
	FILE *f;

	if (system("command -v promtool >/dev/null") != 0)
		return;
	f = popen("promtool check metrics", "w");
	assert_non_null(f);
	fputs(reply_body(), f);
	assert_int_equal(pclose(f), 0);
}

static void test_empty(void **state)
{
	(void)state;
	scrape();
	check_lines();
	promtool();
}

static void test_vms(void **state)
{
	struct ops_error e;

	(void)state;
	assert_int_equal(image_adopt("k", fake_module("k", 1), 1, &e), 0);
	for (unsigned i = 0; i < 3; i++) {
		char body[200];

		snprintf(body, sizeof(body),
			 "{\"name\":\"vm-%u\",\"vcpus\":1,\"memory\":\"16MiB\",\"boot\":"
			 "{\"kernel\":\"k\"}}",
			 i);
		ask("POST", "/v1/vms", body);
		assert_int_equal(reply_status(), 201);
	}
	assert_int_equal(vm_start(vm_find("vm-1"), NULL, NULL, &e), 0);
	fake_loop();
	fake_vm()->info.exits[HV_EXIT_HLT] = 5;
	fake_vm()->info.cpu_ns = 1500000000;
	scrape();
	check_lines();
	promtool();
	assert_non_null(strstr(reply_body(), "socle_vm_exits_total{vm=\"vm-1\",kind=\"hlt\"} 5\n"));
	assert_non_null(
		strstr(reply_body(), "socle_vm_cpu_seconds_total{vm=\"vm-1\"} 1.500000000\n"));
	assert_non_null(strstr(reply_body(), "socle_vms{state=\"defined\"} 3\n"));
	assert_int_equal(vm_stop(vm_find("vm-1"), &e), 0);
	fake_loop();
	while (vm_first())
		assert_int_equal(vm_delete(vm_first(), &e), 0);
	assert_int_equal(image_delete("k", &e), 0);
	client_end();
}

static void test_networks(void **state)
{
	struct ops_error e;

	(void)state;
	ask("POST", "/v1/networks", "{\"name\":\"lan\"}");
	assert_int_equal(reply_status(), 201);
	network_find("lan")->sw.gone.tx_spoofed = 7;
	scrape();
	check_lines();
	promtool();
	assert_non_null(strstr(reply_body(), "socle_network_ports{network=\"lan\"} 0\n"));
	assert_non_null(
		strstr(reply_body(),
		       "socle_network_sent_drops_total{network=\"lan\",reason=\"spoofed\"} 7\n"));
	assert_int_equal(network_delete(network_find("lan"), &e), 0);
	client_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_vms),
		cmocka_unit_test(test_networks),
	};
	int r;

	fake_reset(100000);
	vms_init();
	r = cmocka_run_group_tests(tests, NULL, NULL);
	client_end();
	fake_close_self();
	fake_log_clear();
	return r;
}
