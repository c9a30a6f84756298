/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target: a client that sends anything, in pieces of any size, at any pace, to the real routes over a fake
 * hypervisor. The first byte of each record says how long the piece is (0: time passes, or a turn of the loop).
 */
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
#include <stdint.h>
#include "tests/unit/fakehv.h"
#include "tests/unit/apiclient.h"
#include "tests/unit/drive_fakes.h"
#include "ctrl-kernel/ops/pools.h"
#include "ctrl-kernel/ops/start.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void begin(void)
{
	static bool once;
	struct ops_error e;

	if (!once) {
		fake_reset(20000);
		vms_init();
		fake_drive_add("d0", 16u << 20, 512);
		pools_init();
	}
	once = true;
	if (!image_find("k") && image_adopt("k", fake_module("k", 1), 1, &e))
		abort();
	client_open();
}

static void gone(void *ctx, const struct ops_error *e)
{
	(void)ctx;
	if (e)
		abort();
}

/* Memory and groups; what a session had begun with them is over. */
static void remove_pools(void)
{
	struct volume_info v;
	struct pool_info p;
	struct ops_error e;
	unsigned cursor = 0;

	while (pool_volume_next("ram", &cursor, &v))
		if (volume_delete("ram", v.name, NULL, gone, NULL, &e))
			abort();
	while (pool_nth(1, &p)) {
		if (pool_delete(p.name, true, gone, NULL, &e))
			abort();
		fake_loop();
	}
	fake_loop();
}

/* All that a session made must go away again. */
static void end(void)
{
	struct ops_error e;

	client_end();
	while (vm_first()) {
		if (vm_first()->run && vm_stop(vm_first(), &e))
			abort();
		if (vm_delete(vm_first(), &e))
			abort();
	}
	fake_loop();
	remove_pools();
	while (image_first())
		if (image_delete(image_first()->name, &e))
			abort();
	/* and the records of volumes in memory */
	if (fake_objects() != 2 || fake_mappings() != 1 ||
	    fake_free_pages() + 3 != fake_total_pages())
		abort();
	fake_log_clear();
}

static void step(unsigned how)
{
	if (how & 1)
		fake_loop();
	if (how & 2)
		fake_advance(1000000000ull);
	if ((how & 2) && !reply_closed)
		http_tick(client);
	if ((how & 4) && fake_vm() && vm_first()->run && vm_first()->run->status) {
		fake_status()->phase = VMM_RUNNING;
		fake_status_raise();
		fake_loop();
	}
	reply_len = 0; /* the client reads what there is */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	begin();
	while (size > 1 && !reply_closed) {
		size_t n = data[0];

		data++;
		size--;
		if (n < 8) {
			step((unsigned)n);
			continue;
		}
		n = n == 255 || n > size ? size : n;
		http_input(client, data, n);
		data += n;
		size -= n;
		step(0);
	}
	if (!reply_closed)
		http_eof(client);
	fake_loop();
	end();
	return 0;
}
