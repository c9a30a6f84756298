/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/backend/vdisk.c
// SRC: ctrl-kernel/backend/vmio.c
// SRC: ctrl-kernel/backend/ioqueue.c
/* A VM's disk in the control kernel: what a vmm may write into the area and what becomes of it, limits, parts, sources that
 * come and go, and the end of a run with requests under way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/vdisk_fakes.h"

#define MS 1000000ull

static int setup(void **state)
{
	static bool once;

	(void)state;
	if (!once)
		vmio_init();
	once = true;
	memset(area, 0, sizeof(area));
	n_pending = n_released = n_posts = 0;
	now_ns = 5000 * MS;
	device.read_only = false;
	device.bytes = DISK_BYTES;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)!vmio_close(io, NULL, NULL);
	io = NULL;
	while (n_pending)
		device_ends(0, BLK_OK);
	turn_end();
	assert_int_equal(mem_refs, 0);
	assert_null(timer);
	return 0;
}

static void opened(uint32_t flags, const struct vdisk_limits *limits)
{
	disk_open(flags, limits);
	assert_true(vdisk_source(disk, &device, released, NULL));
}

/* The vmm's side. */
static struct io_record *record(unsigned q, unsigned i, uint32_t op, uint64_t offset,
				uint32_t bytes)
{
	struct io_record *r = io_record(queue_at(q), i, IO_DISK_RECORD);

	*r = (struct io_record){.op = op, .offset = offset, .bytes = bytes};
	if (op == IO_READ || op == IO_WRITE) {
		r->n_segs = 1;
		r->seg[0] = (struct io_seg){.gpa = 0x3000, .bytes = bytes};
	}
	return r;
}

static void toggle(unsigned q, unsigned i)
{
	queue_at(q)->submitted[i / 64] ^= 1ull << i % 64;
}

static void submit(unsigned q, unsigned i, uint32_t op, uint64_t offset, uint32_t bytes)
{
	record(q, i, op, offset, bytes);
	toggle(q, i);
	queue_at(q)->asked[queue_at(q)->asked_tail++ % IO_ENTRIES_MAX] = (uint16_t)i;
}

static bool is_done(unsigned q, unsigned i)
{
	return !((queue_at(q)->submitted[i / 64] ^ queue_at(q)->done[i / 64]) >> i % 64 & 1);
}

static void test_there_and_back(void **state)
{
	struct vdisk_stats s;

	(void)state;
	opened(0, NULL);
	submit(0, 3, IO_READ, 4096, 1024);
	submit(1, 100, IO_WRITE, 512, 512);
	submit(0, 5, IO_FLUSH, 0, 0);
	event_fn(event_ctx); /* as VM_NOTIFY makes it */
	assert_int_equal(n_pending, 3);
	assert_int_equal(pending[0]->op, BLK_READ);
	assert_int_equal(pending[0]->offset, 4096);
	assert_ptr_equal(pending[0]->seg[0].va, ram + 0x3000);
	assert_int_equal(pending[0]->seg[0].hpa, 0x6000);
	assert_int_equal(pending[1]->op, BLK_WRITE); /* the queues take turns */
	assert_int_equal(pending[2]->op, BLK_FLUSH);
	assert_true(vmio_busy(io));
	event_fn(event_ctx);
	assert_int_equal(n_pending, 3);
	device_ends(1, BLK_OK);
	device_ends(0, BLK_IO_ERROR);
	assert_int_equal(n_posts, 0);
	turn_end();
	assert_int_equal(n_posts, 1); /* once for both */
	assert_true(is_done(1, 100) && is_done(0, 3) && !is_done(0, 5));
	assert_int_equal(queue_at(1)->result[100], IO_OK);
	assert_int_equal(queue_at(0)->result[3], IO_ERROR);
	device_ends(0, BLK_UNSUPPORTED);
	assert_int_equal(queue_at(0)->result[5], IO_UNSUPPORTED);
	vdisk_stats(disk, &s);
	assert_int_equal(s.reads, 1);
	assert_int_equal(s.read_bytes, 0);
	assert_int_equal(s.write_bytes, 512);
	assert_int_equal(s.flushes, 1);
	assert_int_equal(s.errors, 2);
	assert_int_equal(s.in_flight, 0);
}

/* A vmm that was broken into. None of it reaches the device, each has its answer. */
static void test_hostile(void **state)
{
	static const struct {
		uint32_t op;
		uint64_t offset;
		uint32_t bytes, result;
	} cases[] = {
		{IO_READ, DISK_BYTES, 512, IO_ERROR},
		{IO_READ, DISK_BYTES - 512, 1024, IO_ERROR},
		{IO_READ, UINT64_MAX - 511, 512, IO_ERROR},
		{IO_READ, 256, 512, IO_ERROR},
		{IO_WRITE, 0, 100, IO_ERROR},
		{IO_FLUSH, 512, 0, IO_ERROR},
		{IO_FLUSH, 0, 512, IO_ERROR},
		{IO_DISCARD, 0, 0, IO_ERROR},
		{IO_DISCARD, 0, 65536 + 512, IO_ERROR},
		{IO_WRITE_ZEROES, DISK_BYTES, 512, IO_ERROR},
		{5, 0, 0, IO_UNSUPPORTED},
		{UINT32_MAX, 0, 512, IO_UNSUPPORTED},
	};
	struct io_record *r;

	(void)state;
	opened(0, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		submit(0, i, cases[i].op, cases[i].offset, cases[i].bytes);
		ring();
		assert_int_equal(n_pending, 0);
		assert_true(is_done(0, i));
		assert_int_equal(queue_at(0)->result[i], cases[i].result);
	}
	for (unsigned i = 0; i < 5; i++) {
		r = record(1, i, i == 4 ? IO_FLUSH : IO_WRITE, 0, 512);
		if (i == 0)
			r->seg[0].gpa = RAM_BYTES;
		else if (i == 1)
			r->seg[0].gpa = RAM_BYTES - 511;
		else if (i == 2)
			r->seg[0].gpa = UINT64_MAX - 100;
		else if (i == 3)
			r->n_segs = 0;
		else
			r->n_segs = 1, r->bytes = r->seg[0].bytes;
		toggle(1, i);
		ring();
		assert_int_equal(n_pending, 0);
		assert_true(is_done(1, i));
		assert_int_equal(queue_at(1)->result[i], IO_ERROR);
	}
}

/* Changed after it was taken: the copy counts. */
static void test_changed(void **state)
{
	struct io_record *r;

	(void)state;
	opened(0, NULL);
	r = record(1, 9, IO_READ, 0, 512);
	toggle(1, 9);
	ring();
	assert_int_equal(n_pending, 1);
	r->bytes = r->seg[0].bytes = 1 << 20;
	r->n_segs = 40;
	queue_at(1)->submitted[0] ^= 1
				     << 9; /* taken back; and what was never submitted is "done" */
	queue_at(1)->done[0] = ~0ull;
	ring();
	assert_int_equal(n_pending, 1);
	device_ends(0, BLK_OK);
	assert_int_equal(queue_at(1)->result[9], IO_OK);
}

static void test_read_only(void **state)
{
	(void)state;
	opened(VMM_DISK_READ_ONLY, NULL);
	submit(0, 0, IO_WRITE, 0, 512);
	submit(0, 1, IO_DISCARD, 0, 512);
	submit(0, 2, IO_READ, 0, 512);
	ring();
	assert_int_equal(n_pending, 1);
	assert_int_equal(queue_at(0)->result[0], IO_ERROR);
	assert_int_equal(queue_at(0)->result[1], IO_ERROR);
}

/* More pieces than go to the device at once: in parts, one after the other, each in whole sectors. */
static void test_parts(void **state)
{
	uint64_t done = 0;
	struct io_record *r;

	(void)state;
	opened(0, NULL);
	r = record(0, 0, IO_WRITE, 8192, 0x80000 - 512);
	r->seg[0].gpa = 0x1100;
	toggle(0, 0);
	ring();
	for (unsigned parts = 0; done < r->bytes; parts++) {
		assert_in_range(parts, 0, 3);
		assert_int_equal(n_pending, 1);
		assert_int_equal(pending[0]->offset, 8192 + done);
		assert_ptr_equal(pending[0]->seg[0].va, ram + 0x1100 + done);
		done += pending[0]->bytes;
		assert_false(is_done(0, 0));
		device_ends(0, BLK_OK);
	}
	assert_int_equal(done, r->bytes);
	assert_true(is_done(0, 0));
	/* The second part fails: so does the request, and there is no third. */
	toggle(0, 0);
	ring();
	device_ends(0, BLK_OK);
	assert_int_equal(n_pending, 1);
	device_ends(0, BLK_IO_ERROR);
	assert_int_equal(n_pending, 0);
	assert_int_equal(queue_at(0)->result[0], IO_ERROR);
	/* Memory that ends in the second part. */
	r->seg[0] = (struct io_seg){.gpa = RAM_BYTES - 300 * 1024, .bytes = 300 * 1024};
	r->seg[1] = (struct io_seg){.gpa = RAM_BYTES, .bytes = 1024};
	r->n_segs = 2;
	r->bytes = 301 * 1024;
	toggle(0, 0);
	ring();
	while (n_pending)
		device_ends(0, BLK_OK);
	assert_int_equal(queue_at(0)->result[0], IO_ERROR);
}

/* All that were asked for have their turn, however busy the first ones are. */
static void test_more_than_slots(void **state)
{
	unsigned ends[IO_DISK_ENTRIES] = {0};

	(void)state;
	opened(0, NULL);
	for (unsigned i = 0; i < IO_DISK_ENTRIES; i++)
		submit(0, i, IO_READ, i * 512, 512);
	ring();
	for (unsigned n = 0; n < 3 * IO_DISK_ENTRIES; n++) {
		unsigned i = (unsigned)(pending[0]->offset / 512);

		assert_int_equal(n_pending, VDISK_SLOTS);
		device_ends(0, BLK_OK);
		assert_true(is_done(0, i));
		ends[i]++;
		submit(0, i, IO_READ, i * 512, 512); /* at once again */
		ring();
	}
	for (unsigned i = 0; i < IO_DISK_ENTRIES; i++)
		assert_in_range(ends[i], 2, 4);
}

static unsigned finished(unsigned n)
{
	unsigned done = 0;

	while (n_pending)
		device_ends(0, BLK_OK);
	for (unsigned i = 0; i < n; i++)
		done += is_done(0, i);
	return done;
}

/* A burst of a second's worth, then evenly. */
static void test_limits(void **state)
{
	const struct vdisk_limits ops = {.ops_per_s = 10, .burst_ms = 1000},
				  bytes = {.bytes_per_s = 10 * 4096, .burst_ms = 1000};

	(void)state;
	for (unsigned kind = 0; kind < 2; kind++) {
		opened(0, kind ? &bytes : &ops);
		for (unsigned i = 0; i < 60; i++)
			submit(0, i, IO_READ, 0, 4096);
		ring();
		assert_in_range(finished(60), 10, 11);
		assert_non_null(timer);
		for (unsigned ms = 0; ms < 2000; ms++) {
			advance(MS);
			finished(60);
		}
		assert_in_range(finished(60), 30, 31);
		for (unsigned ms = 0; ms < 4000; ms++) {
			advance(MS);
			finished(60);
		}
		assert_int_equal(finished(60), 60);
		advance(10000 * MS); /* what was not used then is not saved up */
		for (unsigned i = 0; i < 30; i++)
			submit(0, i, IO_READ, 0, 4096);
		ring();
		assert_in_range(finished(30), 10, 11);
		teardown(NULL);
		setup(NULL);
	}
}

/* Until there is something behind it requests wait; when there is nothing in it they fail; a source is released when its last
 * request has ended. */
static void test_sources(void **state)
{
	static struct blkdev other;

	(void)state;
	other = device;
	other.read_only = true;
	disk_open(0, NULL);
	submit(0, 0, IO_READ, 0, 512);
	ring();
	assert_false(is_done(0, 0));
	assert_true(vdisk_source(disk, &device, released, NULL));
	assert_int_equal(n_pending, 1);
	assert_true(vdisk_source(disk, &other, released, NULL));
	assert_int_equal(n_released, 0);
	submit(0, 1, IO_READ, 0, 512);
	submit(0, 2, IO_WRITE, 0, 512); /* what the device says counts, too */
	ring();
	assert_int_equal(n_pending, 2);
	assert_int_equal(queue_at(0)->result[2], IO_ERROR);
	device_ends(0, BLK_OK);
	assert_int_equal(n_released, 1);
	assert_true(vdisk_source(disk, NULL, NULL, NULL));
	submit(0, 3, IO_READ, 0, 512);
	ring();
	assert_true(is_done(0, 3));
	assert_int_equal(queue_at(0)->result[3], IO_ERROR);
	device_ends(0, BLK_GONE);
	assert_int_equal(queue_at(0)->result[1], IO_ERROR);
	assert_int_equal(n_released, 2);
}

/* The guest resets its device: what was not begun comes back at once, whether there is a source or a limit or not. */
static void test_cancel(void **state)
{
	const struct vdisk_limits one = {.ops_per_s = 1, .burst_ms = 1000};

	(void)state;
	for (unsigned kind = 0; kind < 2; kind++) {
		disk_open(0, kind ? &one : NULL);
		if (kind)
			assert_true(vdisk_source(disk, &device, released, NULL));
		for (unsigned i = 0; i < 20; i++)
			submit(0, i, IO_READ, 0, 512);
		submit(1, 0, IO_READ, 0, 512);
		ring();
		queue_at(0)->cancel = 1;
		ring();
		for (unsigned i = n_pending; i < 20; i++) {
			assert_true(is_done(0, i));
			assert_int_equal(queue_at(0)->result[i], IO_ERROR);
		}
		assert_false(is_done(1, 0));
		teardown(NULL);
		setup(NULL);
	}
}

/* Saving: what has not been begun is not begun. */
static void test_hold(void **state)
{
	(void)state;
	opened(0, NULL);
	submit(0, 0, IO_READ, 0, 512);
	ring();
	vmio_hold(io);
	submit(0, 1, IO_READ, 0, 512);
	ring();
	event_fn(event_ctx);
	assert_int_equal(n_pending, 1);
	assert_true(vmio_busy(io));
	device_ends(0, BLK_OK);
	assert_false(vmio_busy(io));
	assert_int_equal(n_pending, 0);
	vmio_go_on(io);
	assert_int_equal(n_pending, 1);
}

static unsigned n_ended;
static bool all_ended;

static void ended(void *ctx, bool all)
{
	assert_ptr_equal(ctx, &n_ended);
	n_ended++;
	all_ended = all;
}

static bool closed_at_once(void)
{
	bool r = vmio_close(io, ended, &n_ended);

	io = NULL;
	n_ended = 0;
	return r;
}

/* The run ends; the requests do later, and touch nothing of the area. That is told once all have let go of everything. */
static void test_run_ends(void **state)
{
	static uint8_t before[sizeof(area)];

	(void)state;
	opened(0, NULL);
	for (unsigned i = 0; i < 100; i++)
		submit(0, i, IO_WRITE, 0, 512);
	ring();
	assert_false(closed_at_once());
	memcpy(before, area, sizeof(area));
	assert_int_equal(mem_refs, 1); /* the requests' */
	assert_int_equal(n_released, 0);
	while (n_pending > 1)
		device_ends(1, BLK_IO_ERROR);
	assert_int_equal(mem_refs, 1);
	turn_end();
	assert_int_equal(n_ended, 0);
	device_ends(0, BLK_OK);
	assert_int_equal(mem_refs, 0);
	assert_int_equal(n_released, 1);
	assert_int_equal(n_pending, 0);
	assert_int_equal(n_ended, 0); /* not from within a drive's call */
	turn_end();
	assert_int_equal(n_ended, 1);
	assert_true(all_ended);
	advance(VMIO_CLOSE_NS);
	assert_int_equal(n_ended, 1);
	assert_memory_equal(area, before, sizeof(area));
}

static void test_run_ends_idle(void **state)
{
	(void)state;
	opened(0, NULL);
	submit(0, 0, IO_WRITE, 0, 512);
	ring();
	device_ends(0, BLK_OK); /* the vmm has not been told of it yet */
	assert_true(closed_at_once());
	turn_end();
	advance(VMIO_CLOSE_NS);
	assert_int_equal(n_ended, 0);
}

/* A drive that hangs is not waited for forever; what it has is its own until it ends. */
static void test_run_ends_late(void **state)
{
	(void)state;
	opened(0, NULL);
	submit(0, 0, IO_WRITE, 0, 512);
	ring();
	assert_false(closed_at_once());
	advance(VMIO_CLOSE_NS - 1);
	assert_int_equal(n_ended, 0);
	advance(1);
	assert_int_equal(n_ended, 1);
	assert_false(all_ended);
	assert_int_equal(n_released, 0);
	device_ends(0, BLK_OK);
	turn_end();
	assert_int_equal(n_released, 1);
	assert_int_equal(n_ended, 1);
}

/* What was taken out of the VM before is waited for, too. */
static void test_run_ends_removed(void **state)
{
	(void)state;
	opened(0, NULL);
	submit(0, 0, IO_WRITE, 0, 512);
	ring();
	vdisk_end(disk);
	assert_true(vmio_busy(io));
	assert_false(closed_at_once());
	device_ends(0, BLK_OK);
	turn_end();
	assert_int_equal(n_ended, 1);
	memset(area, 0, sizeof(area));
	opened(0, NULL);
	submit(0, 0, IO_WRITE, 0, 512);
	ring();
	vdisk_end(disk);
	device_ends(0, BLK_OK);
	assert_false(vmio_busy(io));
	assert_true(closed_at_once());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_there_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_more_than_slots, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sources, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hold, setup, teardown),
		cmocka_unit_test_setup_teardown(test_run_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_run_ends_idle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_run_ends_late, setup, teardown),
		cmocka_unit_test_setup_teardown(test_run_ends_removed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
