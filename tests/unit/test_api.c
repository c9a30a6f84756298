/* SPDX-License-Identifier: BSD-2-Clause */
/* The REST interface from request to hypercall: resources, errors with pointers, and no leaks (ASan). */
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
#include "cJSON.h"
#include "tests/unit/drive_fakes.h"
#include "tests/unit/fakehv.h"
#include "tests/unit/apiclient.h"
#include "ctrl-kernel/api/json_scan.h"
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/start.h"

#define PAGES 100000u
#define VM_BODY                                                                                    \
	"{\"name\":\"v\",\"vcpus\":1,\"memory\":\"16MiB\",\"boot\":{\"kernel\":\"k\","             \
	"\"cmdline\":\"quiet\"}}"

/* The answer's status, and that its body is JSON with these words. */
static void expect(unsigned status, const char *words)
{
	struct json_place at;
	const char *body = reply_body();

	if (reply_status() != status || !strstr(body, words))
		fail_msg("expected %u with %s, got %.2000s", status, words, reply_text);
	if (status != 204 && !json_scan(body, strlen(body), &at))
		fail_msg("not JSON: %s: %s", at.wrong, body);
}

static int setup(void **state)
{
	static bool once;

	(void)state;
	fake_reset(PAGES);
	if (!once)
		vms_init();
	once = true;
	ask("PUT", "/v1/images/k", "a kernel");
	expect(201, "\"size\":8,\"sha256\":\"");
	return 0;
}

static int teardown(void **state)
{
	struct ops_error e;

	(void)state;
	client_end();
	while (vm_first()) {
		if (vm_first()->run)
			assert_int_equal(vm_stop(vm_first(), &e), 0);
		assert_int_equal(vm_delete(vm_first(), &e), 0);
	}
	fake_loop();
	while (image_first())
		assert_int_equal(image_delete(image_first()->name, &e), 0);
	fake_close_self();
	assert_int_equal(fake_objects(), 0);
	assert_int_equal(fake_mappings(), 0);
	assert_int_equal(fake_free_pages(), fake_total_pages());
	fake_log_clear();
	return 0;
}

static void vmm_says(uint32_t phase, const char *text)
{
	struct vmm_status *s = fake_status();

	s->phase = phase;
	snprintf(s->text, sizeof(s->text), "%s", text);
	fake_status_raise();
	fake_loop();
}

static void start_vm(void)
{
	ask("POST", "/v1/vms", VM_BODY);
	expect(201, "\"state\":\"defined\"");
	assert_non_null(strstr(reply_text, "Location: /v1/vms/v\r\n"));
	ask("POST", "/v1/vms/v/actions/start", NULL);
	fake_loop();
	assert_int_equal(reply_len, 0);
	fake_vm()->info.state = HV_VM_RUNNING;
	vmm_says(VMM_RUNNING, "");
	expect(200, "\"state\":\"running\"");
}

static void test_simple(void **state)
{
	(void)state;
	ask("GET", "/healthz", NULL);
	assert_int_equal(reply_status(), 200);
	assert_string_equal(reply_body(), "ok\n");
	ask("GET", "/v1", NULL);
	expect(200, "\"api\":\"v1\"");
	fake_no_virt("no SVM here");
	ask("GET", "/v1/host", NULL);
	expect(200, "\"virtualization\":{\"kind\":\"none\",\"reason\":\"no SVM here\"}");
	expect(200, "\"time\":\"2023-11-14T22:13:21.");
	expect(200, "\"speculation\":{\"vulnerable\":[\"spectre-v2\",\"rsb\"],\"open\":[\"rsb\"],"
		    "\"defences\":[\"retpoline\"],\"off\":[]}");
	ask("GET", "/v1/vms", NULL);
	expect(200, "{\"items\":[]}");
	ask("GET", "/v1/images", NULL);
	expect(200, "\"name\":\"k\"");
}

static void test_crashes(void **state)
{
	static struct hv_crash vmm = {.time_ns = 1500000000,
				      .prog = 7,
				      .image = HV_IMAGE_VMM,
				      .vm = 3,
				      .cause = 14,
				      .code = 6,
				      .regs = {.rax = 0xffffffffffffffff, .rip = 0x401000},
				      .cr2 = 0x1234,
				      .code_bytes = 2,
				      .stack_bytes = 600, /* more than there is */
				      .vm_name = "web",
				      .at_rip = {0x0f, 0x0b},
				      .log = "[    1.000000] it said \"hello\"\n"};
	static const struct hv_crash ctrl = {
		.image = HV_IMAGE_CTRL, .cause = HV_CAUSE_EXIT, .text = "bye"};

	(void)state;
	ask("GET", "/v1/host/crashes", NULL);
	expect(200, "{\"items\":[]}");
	ask("GET", "/v1/host/crashes/1", NULL);
	expect(404, "no such crash record");
	memset(vmm.text, 'w', sizeof(vmm.text)); /* not terminated */
	fake_crash(&vmm);
	fake_crash(&ctrl);
	ask("GET", "/v1/host/crashes", NULL);
	expect(200, "{\"items\":[{\"number\":2,");
	expect(200,
	       "\"program\":\"control\",\"vm\":null,\"cause\":\"exit\",\"last_words\":\"bye\"");
	expect(200,
	       "\"uptime_ms\":1500,\"program\":\"vmm\",\"vm\":\"web\",\"cause\":\"page fault\"");
	ask("GET", "/v1/host/crashes/1", NULL);
	expect(200, "\"program_id\":7,\"code\":\"0x6\",\"cr2\":\"0x1234\",\"registers\":{\"rax\":"
		    "\"0xffffffffffffffff\",\"rbx\":\"0x0\"");
	expect(200, "\"rip\":\"0x401000\"");
	expect(200, "\"instructions\":\"0f0b\",\"stack\":\"00");
	expect(200, "it said \\\"hello\\\"");
	ask("GET", "/v1/host/crashes/2", NULL);
	expect(200, "\"instructions\":\"\",\"stack\":\"\",\"log\":\"\"");
	ask("GET", "/v1/host/crashes/0", NULL);
	expect(404, "no such crash record");
	ask("GET", "/v1/host/crashes/1x", NULL);
	expect(404, "no such crash record");
	ask("GET", "/v1/host/crashes/99999999999999999999999999", NULL);
	expect(404, "no such crash record");
	for (unsigned i = 0; i < 8; i++)
		fake_crash(&ctrl);
	ask("GET", "/v1/host/crashes/2", NULL); /* forgotten */
	expect(404, "no such crash record");
	ask("GET", "/v1/host/crashes", NULL);
	expect(200, "{\"items\":[{\"number\":10,");
	expect(200, "{\"number\":3,");
	ask("GET", "/metrics", NULL);
	assert_non_null(strstr(reply_text, "socle_host_crashes_total 10\n"));
}

static void test_routing(void **state)
{
	(void)state;
	ask("GET", "/", NULL);
	expect(404, "GET /v1 lists");
	ask("GET", "/vms", NULL);
	expect(404, "did you mean /v1/vms?");
	ask("GET", "/v1/vms/", NULL);
	expect(404, "without the / at the end");
	ask("GET", "/v1/vms//console", NULL);
	expect(404, "not_found");
	ask("GET", "/v1/vms/%zz", NULL);
	expect(404, "not_found");
	ask("GET", "/v1/vms/a%2fb", NULL);
	expect(404, "no_vm");
	ask("GET", "/v1/%76ms", NULL);
	expect(200, "items");
	ask("PUT", "/v1/vms", "");
	expect(405, "GET, HEAD, POST");
	assert_non_null(strstr(reply_text, "Allow: GET, HEAD, POST\r\n"));
	ask("POST", "/v1/images/x", "");
	expect(405, "GET, HEAD, PUT, DELETE");
	ask("OPTIONS", "/v1", NULL);
	expect(405, "method_not_allowed");
	ask("GET", "/v1/vms/nobody", NULL);
	expect(404, "\"code\":\"no_vm\"");
	expect(404, "\"instance\":\"/v1/vms/nobody\"");
	ask("POST", "/v1/vms/v/actions/explode", NULL);
	expect(404, "no_vm");
}

static void test_images(void **state)
{
	(void)state;
	ask("PUT", "/v1/images/k", "abc");
	expect(200, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	ask("PUT", "/v1/images/a%20b", "abc");
	expect(400, "invalid_argument");
	ask("DELETE", "/v1/images/k", NULL);
	expect(204, "");
	ask("DELETE", "/v1/images/k", NULL);
	expect(404, "no_image");
	/* Larger than memory: refused at the head. */
	ask_raw("PUT /v1/images/x HTTP/1.1\r\nHost: h\r\nContent-Length: 999999999999\r\n\r\n");
	assert_int_equal(reply_status(), 413);
	/* The client goes away half-way: nothing stays. */
	ask_raw("PUT /v1/images/x HTTP/1.1\r\nHost: h\r\nContent-Length: 9999\r\n\r\nabc");
	client_end();
	assert_null(image_find("x"));
}

static void test_module_image(void **state)
{
	struct ops_error e;

	(void)state;
	assert_int_equal(image_adopt("m", fake_module("abc", 3), 3, &e), 0);
	ask("GET", "/v1/images", NULL);
	expect(200, "\"name\":\"m\",\"size\":3,\"sha256\":null,\"source\":\"boot_module\"");
	ask("GET", "/v1/images/m", NULL);
	assert_int_equal(reply_len, 0);
	fake_loop();
	expect(200, "ba7816bf");
	ask("DELETE", "/v1/images/m", NULL);
	assert_int_equal(image_adopt("m", fake_module("abc", 3), 3, &e), 0);
	ask("GET", "/v1/images/m", NULL);
	client_end(); /* gone before the checksum is there */
	fake_loop();
	assert_true(image_find("m")->hashed);
}

static void bad_vm(const char *body, const char *pointer)
{
	char words[100];

	snprintf(words, sizeof(words), "\"pointer\":\"%s\"", pointer);
	ask("POST", "/v1/vms", body);
	expect(400, words);
	assert_null(vm_first());
}

#define K "\"boot\":{\"kernel\":\"k\"}"

static void test_bad_vms(void **state)
{
	static char deep[1000];

	(void)state;
	bad_vm("{\"name\":\"v\",\"vcpus\":0,\"memory\":1048576," K "}", "/vcpus");
	bad_vm("{\"name\":\"v\",\"vcpus\":1000,\"memory\":1048576," K "}", "/vcpus");
	bad_vm("{\"name\":\"v\",\"vcpus\":1,\"memory\":\"64TiB\"," K "}", "/memory");
	bad_vm("{\"name\":\"v\",\"vcpus\":1,\"memory\":1048576," K ",\"colour\":1}", "/colour");
	bad_vm("{\"name\":\"v\",\"vcpus\":1,\"memory\":1048576,\"boot\":{\"kernel\":\"x\"}}",
	       "/boot/kernel");
	bad_vm("{\"name\":\"v\",\"vcpus\":1,\"memory\":1048576,\"boot\":{\"kernel\":\"k\","
	       "\"modules\":["
	       "{\"image\":\"x\"}]}}",
	       "/boot/modules/0/image");
	bad_vm("{\"vcpus\":1", "");
	memset(deep, '[', 999);
	bad_vm(deep, "");
	ask("POST", "/v1/vms", VM_BODY);
	ask("POST", "/v1/vms", VM_BODY);
	expect(409, "\"code\":\"exists\",\"errors\":[{\"pointer\":\"/name\"");
	ask_raw("POST /v1/vms HTTP/1.1\r\nHost: h\r\nContent-Type: text/xml\r\n"
		"Content-Length: 2\r\n\r\n{}");
	expect(415, "unsupported_media_type");
	ask_raw("DELETE /v1/vms/v HTTP/1.1\r\nHost: h\r\nOrigin: http://evil\r\n\r\n");
	expect(403, "access_denied");
	assert_non_null(vm_first());
}

static void test_life(void **state)
{
	(void)state;
	start_vm();
	ask("POST", "/v1/vms/v/actions/start", NULL);
	expect(409, "wrong_state");
	ask("DELETE", "/v1/vms/v", NULL);
	expect(409, "wrong_state");
	ask("DELETE", "/v1/images/k", NULL);
	expect(409, "busy");
	ask("POST", "/v1/vms/v/actions/pause", "{}");
	expect(200, "\"state\":\"paused\"");
	ask("POST", "/v1/vms/v/actions/resume", "{\"x\":1}");
	expect(400, "\"pointer\":\"/x\"");
	ask("POST", "/v1/vms/v/actions/resume", NULL);
	expect(200, "\"state\":\"running\"");
	ask("POST", "/v1/vms/v/actions/shutdown", NULL);
	expect(202, "\"state\":\"running\"");
	ask("POST", "/v1/vms/v/actions/reset", NULL);
	assert_int_equal(reply_len, 0);
	fake_status()->resets = 1;
	vmm_says(VMM_RUNNING, "");
	expect(200, "\"code\":\"reset\"");
	ask("POST", "/v1/vms/v/actions/reset", NULL);
	client_end(); /* nobody waits for it */
	fake_status()->resets = 2;
	vmm_says(VMM_RUNNING, "");
	ask("POST", "/v1/vms/v/actions/explode", NULL);
	expect(404, "there is no action");
	fake_vm()->info.exits[HV_EXIT_PIO] = 42;
	ask("GET", "/v1/vms/v/stats", NULL);
	expect(200, "\"pio\":42");
	ask("POST", "/v1/vms/v/actions/stop", NULL);
	expect(200, "\"state\":\"stopped\"");
	ask("DELETE", "/v1/vms/v", NULL);
	expect(204, "");
}

static void test_bad_kernel(void **state)
{
	(void)state;
	ask("POST", "/v1/vms", VM_BODY);
	ask("POST", "/v1/vms/v/actions/start", NULL);
	fake_loop();
	vmm_says(VMM_FAILED, "the file is neither a bzImage nor an ELF file");
	expect(422, "\"code\":\"bad_image\",\"errors\":[{\"pointer\":\"/boot/kernel\"");
	ask("GET", "/v1/vms/v", NULL);
	expect(200, "\"start_error\":\"the file is neither");
	expect(200, "\"state\":\"defined\"");
	fake_no_virt("no SVM");
	ask("POST", "/v1/vms/v/actions/start", NULL);
	expect(409, "no_virtualization");
}

static void test_console(void **state)
{
	(void)state;
	start_vm();
	fake_console_write("hello\n", 6);
	ask("GET", "/v1/vms/v/console", NULL);
	assert_int_equal(reply_status(), 200);
	assert_string_equal(reply_body(), "hello\n");
	assert_non_null(strstr(reply_text, "Socle-Console-Next: 6\r\nSocle-Console-Lost: 0\r\n"));
	ask("GET", "/v1/vms/v/console?x=1&since=4", NULL);
	assert_string_equal(reply_body(), "o\n");
	ask("GET", "/v1/vms/v/console?since=99999999999999999999999", NULL);
	expect(400, "Socle-Console-Next");
	ask("GET", "/v1/vms/v/console?since=x", NULL);
	expect(400, "since");
	ask("POST", "/v1/vms/v/console", "ls\n");
	expect(204, "");
	assert_memory_equal(fake_vm()->input, "ls\n", 3);
	fake_vm_state(HV_VM_CRASHED, HV_VMR_TRIPLE_FAULT);
	fake_loop();
	ask("POST", "/v1/vms/v/console", "ls\n");
	expect(409, "wrong_state");
	ask("GET", "/v1/vms/v/console?since=5", NULL);
	assert_string_equal(reply_body(), "\n");
	ask("GET", "/v1/vms/v", NULL);
	expect(200, "\"code\":\"triple_fault\"");
}

/* What becomes of a good file is told by tests/system; here: how it is taken in, and every refusal. */
static void test_upgrade(void **state)
{
	char long_head[160];

	(void)state;
	ask("GET", "/v1/host", NULL);
	expect(200, "\"upgraded\":false,\"last_upgrade\":null");
	ask("POST", "/v1/host/control/upgrade", "bad");
	expect(422, "\"code\":\"bad_upgrade\"");
	ask("POST", "/v1/host/control/upgrade", "");
	expect(422, "empty");
	snprintf(long_head, sizeof(long_head),
		 "POST /v1/host/control/upgrade HTTP/1.1\r\nHost: h\r\nContent-Length: %u\r\n\r\n",
		 HV_CTRL_BYTES_MAX + 300);
	ask_raw(long_head);
	expect(413, "\"code\":\"too_large\"");
	ask("POST", "/v1/host/control/upgrade", "good");
	expect(422, "the hypervisor refuses it");
	ask("GET", "/v1/host/control/upgrade", NULL);
	expect(405, "");
	assert_int_equal(fake_replaced(), 0);
	ask("POST", "/v1/host/control/upgrade", "good program");
	expect(202, "\"version\":\"9.9\",\"build\":\"b\"");
	ask("POST", "/v1/host/control/upgrade", "good program");
	expect(409, "under way");
	assert_int_equal(fake_replaced(), strlen("good program") - 1);
	fake_info()->upgrade = HV_UPGRADE_LATE;
	ask("GET", "/v1/host", NULL);
	expect(200, "\"last_upgrade\":\"fell back: it did not become healthy in 5 s\"");
	fake_info()->upgrade = HV_UPGRADE_DONE;
	fake_info()->build = 2;
	ask("GET", "/v1/host", NULL);
	expect(200, "\"upgraded\":true,\"last_upgrade\":\"done\"");
}

static void test_disks(void **state)
{
	uint8_t *disk;

	(void)state;
	ask("GET", "/v1/disks", NULL);
	expect(200, "{\"items\":[],\"settled\":true}");
	disk = fake_drive_add("fake@00:01.0/1", 4 << 20, 512)->now;
	memcpy(disk + 1024 + 56, "\x53\xef", 2); /* ext2 */
	ask("GET", "/v1/disks", NULL);
	expect(200, "\"name\":\"fake@00:01.0/1\"");
	ask("GET", "/v1/disks/fake@00:01.0/1", NULL);
	expect(404, "");
	ask("GET", "/v1/disks/fake@00%3A01.0%2F1", NULL);
	assert_int_equal(reply_len, 0);
	fake_loop();
	expect(200, "\"signature\":\"ext2 file system\"");
	expect(200, "\"partition_table\":{\"kind\":\"none\"");
	ask("GET", "/v1/disks/fake@00%3A01.0%2F1", NULL);
	client_end(); /* the client goes while the disk is being read */
	fake_loop();
	ask("POST", "/v1/disks/fake@00%3A01.0%2F1/actions/test-io", "{\"op\":\"read\"}");
	expect(400, "test hooks are off");
	run_test_hooks = true;
	ask("POST", "/v1/disks/fake@00%3A01.0%2F1/actions/test-io",
	    "{\"op\":\"write\",\"bytes\":2048,\"count\":2,\"seed\":5,\"seg_bytes\":700}");
	fake_loop();
	expect(200, "{\"ok\":2,\"io_error\":0,");
	assert_int_equal(disk[4], ((2654435761u + 5) & 0xff));
	ask("POST", "/v1/disks/fake@00%3A01.0%2F1/actions/test-io",
	    "{\"op\":\"read\",\"bytes\":4194304}");
	expect(400, "does not fit");
	ask("POST", "/v1/disks/fake@00%3A01.0%2F1/actions/eat", "{}");
	expect(404, "no such action");
	run_test_hooks = false;
	ask("GET", "/metrics", NULL);
	assert_non_null(strstr(reply_text, "socle_disk_bytes{disk=\"fake@00:01.0/1\"} 4194304\n"));
	fake_drives_free();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_simple),       T(test_crashes), T(test_routing), T(test_images),
		T(test_module_image), T(test_bad_vms), T(test_life),    T(test_bad_kernel),
		T(test_console),      T(test_upgrade), T(test_disks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
