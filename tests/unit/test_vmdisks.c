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

/* ---- requests that are under way when the run ends ---- */

/* Of the VM that has been started last. */
static void write_begins(void)
{
	struct io_queue *q;
	struct io_record *r;

	q = (struct io_queue *)((char *)fake_area() + fake_config()->disks[1].area * HV_PAGE_SIZE);
	r = io_record(q, 0, IO_DISK_RECORD);
	*r = (struct io_record){.op = IO_WRITE, .n_segs = 1, .bytes = 512};
	r->seg[0] = (struct io_seg){.gpa = 4096, .bytes = 512};
	q->submitted[0] = 1;
	fake_io();
	fake_loop();
	assert_non_null(volume_request);
}

static void write_ends(void)
{
	struct blk_request *r = volume_request;

	volume_request = NULL;
	r->done(r, BLK_OK);
	fake_loop();
}

static struct vm *writing(const char *name)
{
	struct vm *vm = with_volume(name);
	struct ops_error e;

	assert_int_equal(vm_start(vm, done, NULL, &e), 0);
	fake_loop();
	vmm_says(VMM_RUNNING, "");
	assert_int_equal(vm->state, VM_RUNNING);
	write_begins();
	done_count = 0;
	return vm;
}

static void refused(int r, const struct ops_error *e)
{
	assert_int_equal(r, -1);
	assert_int_equal(e->code, OPS_BUSY);
	assert_string_equal(e->text, "the VM is being stopped");
}

static void all_refused(struct vm *vm)
{
	struct vm_spec spec = vm->spec;
	struct vm_disk disk = {.cdrom = true};
	struct ops_error e;
	struct job *job;
	unsigned i;

	refused(vm_start(vm, done, NULL, &e), &e);
	refused(vm_reset(vm, done, NULL, &e), &e);
	refused(vm_shutdown(vm, &e), &e);
	refused(vm_pause(vm, &e), &e);
	refused(vm_resume(vm, &e), &e);
	refused(vm_save(vm, "image", false, &job, &e), &e);
	refused(vm_restore(vm, "image", &job, &e), &e);
	refused(vm_console_input(vm, false, "x", 1, &e), &e);
	refused(vm_cdrom(vm, "disk2", NULL, &e), &e);
	refused(vm_plug_disk(vm, &disk, &i, &e), &e);
	refused(vm_unplug_disk(vm, "disk1", false, &job, &e), &e);
	refused(vm_redefine(vm, &spec, &e), &e);
	refused(vm_delete(vm, &e), &e);
}

/* It is stopped when they have ended, and who has asked for it is told then; who starts on the same volume waits as long. */
static void test_stop_waits(void **state)
{
	struct vm *vm = writing("v"), *other = with_volume("w");
	struct ops_error e;

	(void)state;
	assert_int_equal(vm_stop(vm, &e), 0);
	assert_true(vm_stop_wait(vm, done, NULL));
	assert_null(fake_vm()); /* the guest has gone at once */
	refused(vm_stop(vm, &e), &e);
	fake_advance(1000000000);
	assert_int_equal(vm->state, VM_RUNNING);
	assert_int_equal(vm->pending, VM_STOPPING);
	assert_int_equal(done_count, 0);
	all_refused(vm);
	assert_int_equal(volume_opens, 1);
	write_ends();
	assert_int_equal(done_count, 1);
	assert_int_equal(done_error.code, OPS_OK);
	assert_int_equal(vm->state, VM_STOPPED);
	assert_string_equal(vm->reason_code, "stopped");
	assert_int_equal(vm->pending, VM_IDLE);
	assert_int_equal(volume_opens, 0);
	assert_false(vm_stop_wait(vm, done, NULL));
	assert_int_equal(vm_start(vm, done, NULL, &e), 0); /* again at once */
	fake_loop();
	vmm_says(VMM_RUNNING, "");
	write_begins();
	assert_int_equal(vm_stop(vm, &e), 0);
	done_count = 0;
	assert_int_equal(vm_start(other, done, NULL, &e), 0);
	fake_loop();
	fake_advance(200000000);
	assert_int_equal(done_count, 0);
	write_ends();
	assert_int_equal(vm->state, VM_STOPPED);
	fake_advance(200000000);
	assert_int_equal(volume_opens, 1);
	vmm_says(VMM_RUNNING, "");
	assert_int_equal(other->state, VM_RUNNING);
}

/* By itself: who asks for it meanwhile waits, too, and so does who waited for something else. */
static void test_end_waits(void **state)
{
	struct vm *vm = writing("v");
	struct ops_error e;

	(void)state;
	assert_int_equal(vm_reset(vm, done, NULL, &e), 0);
	vmm_says(VMM_OFF, "");
	fake_advance(40000000000); /* the reset's limit is its own no more */
	assert_int_equal(done_count, 0);
	assert_int_equal(vm->state, VM_RUNNING);
	all_refused(vm);
	assert_int_equal(vm_stop(vm, &e), 0);
	assert_true(vm_stop_wait(vm, done, NULL));
	refused(vm_stop(vm, &e), &e);
	write_ends();
	assert_int_equal(done_count, 2);
	assert_int_equal(vm->state, VM_STOPPED);
	assert_string_equal(vm->reason_code, "guest_power_off");
}

/* A start that has come so far that the guest writes. */
static void test_start_end_waits(void **state)
{
	struct vm *vm = with_volume("v");
	struct ops_error e;

	(void)state;
	assert_int_equal(vm_start(vm, done, NULL, &e), 0);
	fake_loop();
	write_begins();
	vmm_says(VMM_FAILED, "not a kernel");
	assert_int_equal(done_count, 0);
	assert_int_equal(vm->pending, VM_STOPPING);
	all_refused(vm);
	write_ends();
	assert_int_equal(done_count, 1);
	assert_int_equal(done_error.code, OPS_BAD_IMAGE);
	assert_int_equal(vm->state, VM_DEFINED);
	assert_int_equal(vm->pending, VM_IDLE);
	assert_string_equal(vm->reason_code, "defined");
	assert_string_equal(vm->start_error, "not a kernel");
}

/* A drive that hangs. */
static void test_end_waits_long(void **state)
{
	struct vm *vm = writing("v");
	struct ops_error e;

	(void)state;
	fake_vm_state(HV_VM_CRASHED, HV_VMR_TRIPLE_FAULT);
	fake_loop();
	fake_advance(VMIO_CLOSE_NS - 1);
	assert_int_equal(vm->state, VM_RUNNING);
	fake_log_clear();
	fake_advance(1);
	assert_int_equal(vm->state, VM_CRASHED);
	assert_string_equal(vm->reason_code, "triple_fault");
	assert_non_null(strstr(fake_log(), "have not ended within 60 s"));
	assert_int_equal(volume_opens, 1);
	assert_int_equal(vm_delete(vm, &e), 0);
	write_ends();
	assert_int_equal(volume_opens, 0);
}

/* With the control kernel its requests end: the next one finds how the run has ended. */
static void test_end_kept(void **state)
{
	static struct vm found; /* large */
	struct kept_vm run;
	struct vm *vm;

	(void)state;
	keep_init();
	vm = writing("v");
	fake_vm_state(HV_VM_CRASHED, HV_VMR_TRIPLE_FAULT);
	fake_loop();
	assert_int_equal(vm->pending, VM_STOPPING);
	assert_true(keep_vm_read(KEEP_NONE, &found, &run));
	assert_int_equal(found.state, VM_CRASHED);
	assert_string_equal(found.reason_code, "triple_fault");
	assert_int_equal(run.pending, VM_IDLE);
	assert_int_equal(run.hv_id, 0);
	write_ends();
	assert_int_equal(vm->state, VM_CRASHED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_disks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_disks_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_start_end_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_waits_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cdrom, setup, teardown),
		cmocka_unit_test_setup(test_end_kept, setup), /* the last: it leaves a store */
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
