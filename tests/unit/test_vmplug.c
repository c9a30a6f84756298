/* SPDX-License-Identifier: BSD-2-Clause */
/* Disks that come into VMs that run and go, against a fake hypervisor and a vmm that follows when the test says so. */
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

#include "ctrl-kernel/ops/jobs.h"

#define BIT(slot) (1u << (slot))

static struct vm *vm;
static const struct vmm_config *config;

/* The vmm has done what the configuration says; there: the slots that have a device. */
static void follows(uint32_t there)
{
	struct vmm_status *s = fake_status();

	s->slots = there | VMM_SLOTS_HEARD;
	s->slots_seq = config->slots_seq;
	fake_status_raise();
	fake_loop();
}

static void begin(unsigned n_disks)
{
	struct vm_spec spec = spec_for("v");
	struct ops_error e;

	spec.n_disks = n_disks;
	assert_int_equal(vm_define(&spec, &vm, &e), 0);
	assert_int_equal(vm_start(vm, done, NULL, &e), 0);
	fake_loop();
	fake_vm()->info.state = HV_VM_RUNNING;
	vmm_says(VMM_RUNNING, "");
	assert_int_equal(vm->state, VM_RUNNING);
	config = fake_config();
	assert_int_equal(config->slots_seq, 1);
	follows(n_disks ? BIT(4) : 0);
	fake_posts();
}

static struct vm_disk volume_disk(const char *id)
{
	struct vm_disk d = {.slot = 0};

	snprintf(d.id, sizeof(d.id), "%s", id);
	snprintf(d.pool, sizeof(d.pool), "p");
	snprintf(d.volume, sizeof(d.volume), "v");
	return d;
}

static struct vm_disk image_disk(void)
{
	struct vm_disk d = {.slot = 0};

	snprintf(d.image, sizeof(d.image), "initrd");
	return d;
}

static void plug(const struct vm_disk *d, unsigned slot)
{
	struct ops_error e;
	unsigned i;

	assert_int_equal(vm_plug_disk(vm, d, &i, &e), 0);
	assert_int_equal(vm->spec.disks[i].slot, slot);
	assert_int_equal(config->disks[slot - 4].present, 1);
	fake_loop();
	assert_int_equal(fake_posts(), 1 << VMM_EVENT_IO);
}

/* Into a VM that had nothing, and one that had; the slot and its pages are used again. */
static void test_plug(void **state)
{
	struct vm_disk d = volume_disk("hot"), image = image_disk();
	struct ops_error e;
	struct io_queue *queue;
	struct job *job;
	uint32_t pages;

	(void)state;
	begin(0);
	assert_int_equal(config->io_pages, IO_BALLOON_PAGES);
	plug(&d, 4);
	pages = config->io_pages - IO_BALLOON_PAGES;
	assert_int_equal(pages, 2 * IO_DISK_PAGES); /* two vCPUs, two queues */
	assert_int_equal(config->disks[0].queues, 2);
	assert_int_equal(config->disks[0].bytes, 1 << 20);
	assert_int_equal(config->disks[0].flags, VMM_DISK_WRITE_CACHE);
	assert_int_equal(config->slots_seq, 2);
	assert_int_equal(vm->spec.n_disks, 1);
	plug(&image, 5);
	assert_string_equal(vm->spec.disks[1].id, "disk1");
	assert_int_equal(config->disks[1].area, IO_BALLOON_PAGES + pages);
	assert_int_equal(config->io_pages, IO_BALLOON_PAGES + 2 * pages);
	follows(BIT(4) | BIT(5));
	queue = (struct io_queue *)((char *)fake_area() + config->disks[0].area * HV_PAGE_SIZE);
	memset((char *)queue + 4096, 0xff, 4096);
	queue->submitted[0] = 5;
	assert_int_equal(vm_unplug_disk(vm, "hot", true, &job, &e), 0);
	fake_loop();
	follows(BIT(5));
	assert_int_equal(job->state, JOB_SUCCEEDED);
	assert_int_equal(volume_opens, 0);
	assert_int_equal(vm->spec.n_disks, 1);
	assert_int_equal(vm->spec.disks[0].slot, 5);
	fake_posts();
	plug(&d, 4);
	assert_int_equal(config->io_pages, IO_BALLOON_PAGES + 2 * pages);
	for (unsigned i = 0; i < 4096; i++)
		assert_int_equal(((char *)queue)[4096 + i], 0);
	assert_int_equal(queue->submitted[0], 0);
}

/* Whatever fails, nothing has changed. */
static void test_plug_fails(void **state)
{
	struct vm_disk d = volume_disk("hot"), bad = volume_disk("bad");
	struct ops_error e;
	unsigned i, n = 0;
	int r;

	(void)state;
	begin(0);
	snprintf(bad.volume, sizeof(bad.volume), "x");
	assert_int_equal(vm_plug_disk(vm, &bad, &i, &e), -1);
	assert_int_equal(e.code, OPS_NO_VOLUME);
	assert_string_equal(e.field, "disks.0.volume");
	do {
		fake_fail(++n, -HVE_NOMEM);
		r = vm_plug_disk(vm, &d, &i, &e);
		fake_fail(0, 0);
		if (r) {
			assert_int_equal(vm->spec.n_disks, 0);
			assert_int_equal(config->disks[0].present, 0);
			assert_int_equal(config->slots_seq, 1);
			assert_int_equal(volume_opens, 0);
		}
	} while (r);
	assert_int_equal(vm->spec.n_disks, 1);
	for (i = 1; i < VMM_DISKS_MAX; i++) {
		d = image_disk();
		assert_int_equal(vm_plug_disk(vm, &d, &n, &e), 0);
	}
	d = image_disk();
	assert_int_equal(vm_plug_disk(vm, &d, &n, &e), -1);
	assert_int_equal(e.code, OPS_LIMIT);
}

static void test_unplug(void **state)
{
	struct vm_disk d = volume_disk("hot");
	struct ops_error e;
	struct job *job;

	(void)state;
	begin(1);
	plug(&d, 5);
	follows(BIT(4) | BIT(5));
	assert_int_equal(vm_unplug_disk(vm, "none", false, &job, &e), -1);
	assert_int_equal(e.code, OPS_NO_DISK);
	fake_status()->slots &= ~VMM_SLOTS_HEARD;
	assert_int_equal(vm_unplug_disk(vm, "hot", false, &job, &e), -1);
	assert_int_equal(e.code, OPS_UNSUPPORTED);
	fake_status()->slots |= VMM_SLOTS_HEARD;
	assert_int_equal(vm_unplug_disk(vm, "hot", false, &job, &e), 0);
	assert_int_equal(config->unplug, BIT(5));
	assert_int_equal(vm_save(vm, "image", false, &job, &e), -1);
	assert_int_equal(e.code, OPS_BUSY);
	job = job_nth(0);
	follows(BIT(4) | BIT(5)); /* the guest has been asked */
	assert_int_equal(job->state, JOB_RUNNING);
	assert_int_equal(config->disks[1].present, 1);
	follows(BIT(4)); /* and has ejected it */
	assert_int_equal(config->disks[1].present, 0);
	assert_int_equal(config->unplug, 0);
	assert_int_equal(vm->spec.n_disks, 1);
	assert_int_equal(job->state, JOB_RUNNING);
	assert_int_equal(vm_plug_disk(vm, &(struct vm_disk){.image = "initrd", .slot = 5},
				      &(unsigned){0}, &e),
			 -1);
	assert_int_equal(e.code, OPS_BUSY);
	follows(BIT(4));
	assert_int_equal(job->state, JOB_SUCCEEDED);
	assert_int_equal(volume_opens, 0);
	fake_posts();
	plug(&d, 5);
}

/* The guest does not answer, or just when the time was up. */
static void test_time_limit(void **state)
{
	struct ops_error e;
	struct job *job;

	(void)state;
	begin(1);
	assert_int_equal(vm_unplug_disk(vm, "disk0", false, &job, &e), 0);
	follows(BIT(4));
	fake_advance(UNPLUG_LIMIT_NS - 1000);
	assert_int_equal(job->state, JOB_RUNNING);
	fake_advance(2000);
	assert_int_equal(job->state, JOB_FAILED);
	assert_int_equal(job->code, OPS_TIMEOUT);
	assert_int_equal(config->unplug, 0);
	assert_int_equal(vm_unplug_disk(vm, "disk0", false, &job, &e), -1);
	assert_int_equal(e.code, OPS_BUSY);
	follows(BIT(4));
	assert_int_equal(vm->spec.n_disks, 1);
	assert_int_equal(vm_unplug_disk(vm, "disk0", false, &job, &e), 0);
	follows(BIT(4));
	assert_int_equal(job_cancel(job, &e), 0);
	assert_int_equal(job->state, JOB_CANCELLED);
	assert_int_equal(vm->spec.n_disks, 1);
	follows(0);
	assert_int_equal(vm->spec.n_disks, 0);
	follows(0);
	assert_int_equal(image_delete("initrd", &e), -1); /* what the VM boots from */
	assert_false(hotplug_busy(vm->run));
}

/* Without asking, or when asking took too long; what is under way is waited for. */
static void test_force(void **state)
{
	struct vm_disk d = volume_disk("hot");
	struct io_queue *q;
	struct io_record *r;
	struct ops_error e;
	struct job *job, *same;

	(void)state;
	begin(1);
	plug(&d, 5);
	follows(BIT(4) | BIT(5));
	q = (struct io_queue *)((char *)fake_area() + config->disks[1].area * HV_PAGE_SIZE);
	for (unsigned i = 0; i < 2; i++) {
		r = io_record(q, i, IO_DISK_RECORD);
		*r = (struct io_record){.op = IO_WRITE, .n_segs = 1, .bytes = 512};
		r->seg[0] = (struct io_seg){.gpa = 4096, .bytes = 512};
	}
	q->submitted[0] = 1;
	fake_io();
	fake_loop();
	assert_non_null(volume_request);
	assert_int_equal(vm_unplug_disk(vm, "hot", false, &job, &e), 0);
	assert_int_equal(vm_unplug_disk(vm, "hot", true, &same, &e), 0);
	assert_ptr_equal(job, same);
	assert_int_equal(job_cancel(job, &e), -1); /* too late */
	fake_advance(1000000000);
	assert_int_equal(config->disks[1].present, 1);
	q->submitted[0] = 3; /* a further one fails at once */
	fake_io();
	fake_loop();
	assert_int_equal(q->done[0], 2);
	assert_int_equal(q->result[1], IO_ERROR);
	volume_request->done(volume_request, BLK_OK);
	volume_request = NULL;
	fake_advance(10000000);
	assert_int_equal(q->done[0], 3);
	assert_int_equal(q->result[0], IO_OK);
	assert_int_equal(config->disks[1].present, 0);
	assert_int_equal(config->unplug, 0);
	follows(BIT(4));
	assert_int_equal(job->state, JOB_SUCCEEDED);
	assert_int_equal(volume_opens, 0);
}

static void test_run_ends(void **state)
{
	struct vm_disk d = volume_disk("hot");
	struct ops_error e;
	struct job *job;
	unsigned i;

	(void)state;
	begin(1);
	plug(&d, 5);
	follows(BIT(4) | BIT(5));
	assert_int_equal(vm_unplug_disk(vm, "disk0", false, &job, &e), 0);
	assert_int_equal(vm_stop(vm, &e), 0);
	assert_int_equal(job->state, JOB_SUCCEEDED);
	assert_int_equal(vm->spec.n_disks, 1);
	assert_string_equal(vm->spec.disks[0].id, "hot");
	assert_int_equal(vm->spec.disks[0].slot, 5);
	d = image_disk();
	assert_int_equal(vm_plug_disk(vm, &d, &i, &e), 0); /* of one that does not run */
	assert_int_equal(vm->spec.disks[1].slot, 4);
	assert_int_equal(vm_unplug_disk(vm, "hot", false, &job, &e), 0);
	assert_null(job);
	assert_int_equal(vm->spec.n_disks, 1);
	assert_string_equal(vm->spec.disks[0].id, "disk0");
}

/* What another instance finds in the middle. */
static void test_take_over(void **state)
{
	struct vm_disk d = image_disk();
	struct vmm_config *c;
	struct ops_error e;
	struct job *job;
	unsigned i;

	(void)state;
	begin(1);
	c = vm->run->config;
	c->disks[3].present = 1; /* not described yet, or not any more */
	c->unplug = BIT(4);      /* the guest has been asked */
	hotplug_take_over(vm->run);
	assert_int_equal(c->disks[3].present, 0);
	assert_int_equal(c->disks[0].present, 1);
	assert_int_equal(c->unplug, 0);
	assert_int_equal(c->slots_seq, 2);
	assert_int_equal(vm_unplug_disk(vm, "disk0", false, &job, &e), -1);
	assert_int_equal(e.code, OPS_BUSY);
	d.slot = 7;
	assert_int_equal(vm_plug_disk(vm, &d, &i, &e), -1);
	assert_int_equal(e.code, OPS_BUSY);
	follows(BIT(4));
	plug(&d, 7);
	c->unplug = BIT(4);
	hotplug_take_over(vm->run);
	follows(BIT(7)); /* the guest was faster */
	follows(BIT(7));
	assert_int_equal(vm->spec.n_disks, 1);
	assert_int_equal(vm->spec.disks[0].slot, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_plug, setup, teardown),
		cmocka_unit_test_setup_teardown(test_plug_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unplug, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_force, setup, teardown),
		cmocka_unit_test_setup_teardown(test_run_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_take_over, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
