/* SPDX-License-Identifier: BSD-2-Clause */
/* Disks of VMs against a fake hypervisor: what is opened, what is missing, who writes, media that change. */
// SRC: tests/unit/fakehv.c
// SRC: ctrl-kernel/backend/ioqueue.c
// SRC: ctrl-kernel/backend/vdisk.c
// SRC: ctrl-kernel/backend/balloon.c
// SRC: ctrl-kernel/backend/vmio.c
// SRC: ctrl-kernel/ops/vmdisks.c
// SRC: ctrl-kernel/storage/memdisk.c
// SRC: ctrl-kernel/storage/request.c
// SRC: ctrl-kernel/ops/autostart.c
// SRC: ctrl-kernel/backend/netdev.c
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
// SRC: net/switch.c net/fdb.c net/packet.c net/checksum.c net/claim.c net/spoof.c net/frame.c net/dns.c net/nat.c net/nat_flow.c net/nat_packet.c net/dhcpd.c
// SRC: net/netconf.c
// SRC: ctrl-kernel/ops/modules.c
// SRC: build/deps/src/mbedtls/library/sha256.c
// SRC: build/deps/src/mbedtls/library/platform_util.c
// FLAGS: -isystem build/deps/src/mbedtls/include '-DMBEDTLS_CONFIG_FILE="ctrl-kernel/mbedtls_config.h"'
#include "tests/unit/vmops.h"

static struct vm *with_volume(const char *name)
{
	struct vm_spec spec = spec_for(name);
	struct ops_error e;
	struct vm *vm;

	spec.n_disks = 3;
	snprintf(spec.disks[1].pool, sizeof(spec.disks[1].pool), "p");
	snprintf(spec.disks[1].volume, sizeof(spec.disks[1].volume), "v");
	spec.disks[2].cdrom = true;
	assert_int_equal(vm_define(&spec, &vm, &e), 0);
	return vm;
}

static void test_disks(void **state)
{
	struct vm *vm = with_volume("v"), *other = with_volume("w");
	const struct vmm_disk *d;
	struct vdisk_stats stats;
	struct ops_error e;

	(void)state;
	assert_false(vm_disk_stats(vm, 1, &stats));
	assert_int_equal(vm_start(vm, done, NULL, &e), 0);
	fake_loop();
	vmm_says(VMM_RUNNING, "");
	assert_int_equal(vm->state, VM_RUNNING);
	d = fake_config()->disks;
	assert_int_equal(d[0].flags, VMM_DISK_READ_ONLY);
	assert_int_equal(d[0].bytes, 512); /* "an initrd", in whole sectors */
	assert_int_equal(d[0].discard_max, 0);
	assert_int_equal(d[1].flags, VMM_DISK_WRITE_CACHE);
	assert_int_equal(d[1].bytes, 1 << 20);
	assert_int_equal(d[1].physical_bytes, 4096);
	assert_int_equal(d[2].flags, VMM_DISK_READ_ONLY | VMM_DISK_CD);
	assert_int_equal(d[2].bytes, 0);
	assert_int_equal(d[2].sector_bytes, 512);
	assert_true(vm_disk_stats(vm, 1, &stats));
	assert_int_equal(image_delete("initrd", &e), -1); /* in use */
	/* The volume grows: the vmm is told. */
	volume->bytes *= 2;
	fake_posts();
	volume->changed(volume);
	fake_loop();
	assert_int_equal(d[1].bytes, 2 << 20);
	assert_int_equal(d[1].changes, 1);
	assert_int_equal(fake_posts(), 1 << VMM_EVENT_IO);
	/* One writes to it, and nobody else. */
	assert_int_equal(vm_start(other, done, NULL, &e), 0);
	fake_loop();
	assert_int_equal(other->state, VM_DEFINED);
	assert_int_equal(done_error.code, OPS_BUSY);
	assert_string_equal(done_error.field, "disks.1.volume");
	assert_non_null(strstr(done_error.text, "\"v\""));
	assert_int_equal(vm_stop(vm, &e), 0);
	assert_int_equal(volume_opens, 0);
	assert_int_equal(vm_start(other, done, NULL, &e), 0);
	fake_loop();
	assert_int_equal(volume_opens, 1);
}

static void test_disks_missing(void **state)
{
	struct vm *vm = with_volume("v");
	struct ops_error e;

	(void)state;
	volumes_known = false; /* the drives are being read: it waits */
	assert_int_equal(vm_start(vm, done, NULL, &e), 0);
	fake_loop();
	fake_advance(100000000);
	assert_int_equal(done_count, 0);
	assert_int_equal(volume_opens, 0);
	volumes_known = true;
	fake_advance(100000000);
	assert_int_equal(volume_opens, 1);
	vmm_says(VMM_RUNNING, "");
	assert_int_equal(vm->state, VM_RUNNING);
	assert_int_equal(vm_stop(vm, &e), 0);
	volumes_known = false; /* ended while it waits */
	assert_int_equal(vm_start(vm, done, NULL, &e), 0);
	fake_loop();
	assert_int_equal(vm_stop(vm, &e), 0);
	fake_advance(100000000);
	volumes_known = true;
	snprintf(vm->spec.disks[1].volume, sizeof(vm->spec.disks[1].volume), "x");
	assert_int_equal(vm_start(vm, done, NULL, &e), 0);
	fake_loop();
	assert_int_equal(done_error.code, OPS_NO_VOLUME);
	assert_string_equal(done_error.field, "disks.1.volume");
	snprintf(vm->spec.disks[1].pool, sizeof(vm->spec.disks[1].pool), "x");
	assert_int_equal(vm_start(vm, done, NULL, &e), 0);
	fake_loop();
	assert_int_equal(done_error.code, OPS_NO_POOL);
	assert_string_equal(done_error.field, "disks.1.pool");
}

static unsigned lasting; /* how often something that lasts has changed */

static void on_lasting(void)
{
	lasting++;
}

static void test_cdrom(void **state)
{
	struct vm *vm = with_volume("v");
	const struct vmm_disk *d;
	struct ops_error e;

	(void)state;
	upload("cd", "a CD");
	lasting = 0;
	vms_watch(on_lasting);
	assert_int_equal(vm_cdrom(vm, "disk2", "cd", &e), 0); /* before it runs */
	assert_int_equal(lasting, 1);
	vms_watch(NULL);
	assert_string_equal(vm->spec.disks[2].image, "cd");
	assert_int_equal(vm_start(vm, done, NULL, &e), 0);
	fake_loop();
	vmm_says(VMM_RUNNING, "");
	d = &fake_config()->disks[2];
	assert_int_equal(d->bytes, 512);
	assert_int_equal(image_delete("cd", &e), -1);
	assert_int_equal(vm_cdrom(vm, "disk2", "nothing", &e), -1);
	assert_int_equal(e.code, OPS_NO_IMAGE);
	assert_int_equal(vm_cdrom(vm, "disk1", "cd", &e), -1);
	assert_int_equal(e.code, OPS_WRONG_STATE);
	assert_int_equal(vm_cdrom(vm, "disk7", "cd", &e), -1);
	assert_int_equal(e.code, OPS_NO_DISK);
	assert_int_equal(d->changes, 0);
	assert_int_equal(vm_cdrom(vm, "disk2", NULL, &e), 0);
	assert_int_equal(d->bytes, 0);
	assert_int_equal(d->changes, 1);
	assert_string_equal(vm->spec.disks[2].image, "");
	assert_int_equal(image_delete("cd", &e), 0);
	upload("cd", "another");
	assert_int_equal(vm_cdrom(vm, "disk2", "cd", &e), 0);
	assert_int_equal(d->bytes, 512);
	assert_int_equal(d->changes, 2);
	assert_int_equal(vm_cdrom(vm, "disk2", "kernel", &e),
			 0); /* of the same size: told nevertheless */
	assert_int_equal(d->changes, 3);
}

/* A request that is still under way when its VM has been stopped: who starts on the same volume waits for its end. */
static void test_disks_late(void **state)
{
	struct vm *vm = with_volume("v"), *other = with_volume("w");
	struct io_queue *q;
	struct io_record *r;
	struct ops_error e;

	(void)state;
	assert_int_equal(vm_start(vm, done, NULL, &e), 0);
	fake_loop();
	vmm_says(VMM_RUNNING, "");
	q = (struct io_queue *)((char *)fake_area() + fake_config()->disks[1].area * HV_PAGE_SIZE);
	r = io_record(q, 0, IO_DISK_RECORD);
	*r = (struct io_record){.op = IO_WRITE, .n_segs = 1, .bytes = 512};
	r->seg[0] = (struct io_seg){.gpa = 4096, .bytes = 512};
	q->submitted[0] = 1;
	fake_io();
	fake_loop();
	assert_non_null(volume_request);
	assert_int_equal(vm_stop(vm, &e), 0);
	assert_int_equal(volume_opens, 1);
	done_count = 0;
	assert_int_equal(vm_start(other, done, NULL, &e), 0);
	fake_loop();
	fake_advance(200000000);
	assert_int_equal(done_count, 0);
	assert_int_equal(volume_opens, 1);
	volume_request->done(volume_request, BLK_OK);
	volume_request = NULL;
	assert_int_equal(volume_opens, 0);
	fake_advance(200000000);
	assert_int_equal(volume_opens, 1);
	vmm_says(VMM_RUNNING, "");
	assert_int_equal(other->state, VM_RUNNING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_disks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_disks_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_disks_late, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cdrom, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
