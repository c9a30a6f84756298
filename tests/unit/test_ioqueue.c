/* SPDX-License-Identifier: BSD-2-Clause */
/* Both sides of a queue of the I/O area, against each other and against what neither should write; and the deaths of both. */
// SRC: ctrl-kernel/backend/ioqueue.c
// SRC: ctrl-kernel/vmm/virtio/io.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "ctrl-kernel/backend/ioqueue.h"
#include "ctrl-kernel/vmm/virtio/io.h"

static struct {
	struct io_queue q;
	char pad[4096 - sizeof(struct io_queue)];
	char records[IO_DISK_ENTRIES * IO_DISK_RECORD];
} area __attribute__((aligned(4096)));

static struct io io;
static struct ioqueue back;
static struct io_request request;

void *vm_io_page(uint32_t page)
{
	assert_int_equal(page, 7);
	return &area;
}

static void attach_vmm(void)
{
	io_attach(&io, 7, IO_DISK_ENTRIES, IO_DISK_RECORD);
}

static void attach_ctrl(void)
{
	ioqueue_attach(&back, &area.q, IO_DISK_ENTRIES, IO_DISK_RECORD);
}

static int setup(void **state)
{
	(void)state;
	memset(&area, 0, sizeof(area));
	attach_vmm();
	attach_ctrl();
	io.order_seen = back.order_tail; /* what the first attach tells of is nobody's */
	return 0;
}

static void submit(unsigned head, uint64_t offset)
{
	struct io_record *r = io_record_of(&io, head);

	*r = (struct io_record){.op = IO_READ, .n_segs = 1, .offset = offset, .bytes = 512};
	r->seg[0] = (struct io_seg){.gpa = 0x1000, .bytes = 512};
	io_submit(&io, head);
}

static void take(unsigned *from, unsigned want)
{
	unsigned i;

	assert_true(ioqueue_take(&back, from, &i, &request));
	assert_int_equal(i, want);
}

static void none_to_take(void)
{
	unsigned from = 0, i;

	assert_false(ioqueue_take(&back, &from, &i, &request));
}

static void expect_done(unsigned want, uint32_t wanted_result)
{
	uint32_t result;
	unsigned head;

	assert_true(io_done(&io, &head, &result));
	assert_int_equal(head, want);
	assert_int_equal(result, wanted_result);
}

static void none_done(void)
{
	uint32_t result;
	unsigned head;

	assert_false(io_done(&io, &head, &result));
}

static void test_there_and_back(void **state)
{
	unsigned from = 0;

	(void)state;
	none_to_take();
	submit(3, 4096);
	submit(127, 8192);
	submit(64, 0);
	take(&from, 3);
	assert_int_equal(request.record.offset, 4096);
	assert_int_equal(request.seg[0].gpa, 0x1000);
	take(&from, 64);
	take(&from, 127);
	none_to_take(); /* they are under way */
	assert_int_equal(back.n_under_way, 3);
	none_done();
	ioqueue_finish(&back, 127, IO_ERROR);
	ioqueue_finish(&back, 3, IO_OK);
	expect_done(127, IO_ERROR); /* in that order */
	expect_done(3, IO_OK);
	none_done();
	assert_true(io_under_way(&io, 64));
	assert_false(io_under_way(&io, 3));
	submit(3, 512); /* the same number again, while another is under way */
	from = 0;
	take(&from, 3);
	ioqueue_finish(&back, 64, IO_UNSUPPORTED);
	ioqueue_finish(&back, 3, IO_OK);
	expect_done(64, IO_UNSUPPORTED);
	expect_done(3, IO_OK);
	assert_int_equal(back.n_under_way, 0);
}

/* The next control kernel carries out what was under way, and nothing else; what was finished is not lost. */
static void test_ctrl_dies(void **state)
{
	unsigned from = 0;

	(void)state;
	submit(1, 0);
	submit(2, 0);
	submit(5, 0);
	take(&from, 1);
	take(&from, 2);
	ioqueue_finish(&back, 1, IO_OK);
	area.q.done[0] ^= 1 << 5; /* it finished 5 and came no further */
	area.q.result[5] = IO_ERROR;
	attach_ctrl();
	from = 0;
	take(&from, 2);
	none_to_take();
	expect_done(1, IO_OK);
	expect_done(5, IO_ERROR);
	none_done();
	ioqueue_finish(&back, 2, IO_OK);
	expect_done(2, IO_OK);
	none_done();
}

/* The next vmm waits for what is under way, and submits the rest again. */
static void test_vmm_dies(void **state)
{
	unsigned from = 0;

	(void)state;
	submit(1, 0);
	submit(2, 0);
	submit(3, 0);
	take(&from, 1);
	take(&from, 2);
	ioqueue_finish(&back, 1, IO_OK); /* nobody told the guest */
	attach_vmm();
	assert_false(io_resume(&io, 1));
	assert_true(io_resume(&io, 2));
	assert_true(io_resume(&io, 3));
	assert_false(io_resume(&io, 4)); /* taken, and not submitted */
	submit(1, 0);
	submit(4, 0);
	from = 0;
	take(&from, 1);
	take(&from, 3);
	take(&from, 4);
	for (unsigned i = 1; i <= 4; i++)
		ioqueue_finish(&back, i, i);
	for (unsigned i = 1; i <= 4; i++)
		expect_done(i, i);
	none_done();
}

static void expect_bad_form(void)
{
	unsigned from = 0, i;

	assert_true(ioqueue_take(&back, &from, &i, &request));
	assert_int_equal(request.record.n_segs, UINT32_MAX);
	ioqueue_finish(&back, i, IO_ERROR);
}

/* A vmm that was broken into writes what it likes. */
static void test_vmm_lies(void **state)
{
	struct io_record *r = io_record_of(&io, 9);

	(void)state;
	submit(9, 0);
	r->n_segs = IO_DISK_SEGS + 1;
	expect_bad_form();
	submit(9, 0);
	r->n_segs = UINT32_MAX;
	expect_bad_form();
	submit(9, 0);
	r->seg[0].bytes = 0;
	expect_bad_form();
	submit(9, 0);
	r->bytes = 1024;
	expect_bad_form();
	submit(9, 0);
	r->n_segs = 2;
	r->seg[1].bytes = UINT32_MAX; /* the sum does not wrap */
	r->bytes = 511;
	expect_bad_form();
	area.q.done[0] = ~0ull; /* not its word: we keep our own */
	none_to_take();
	area.q.submitted[2] = area.q.submitted[3] = ~0ull; /* beyond the entries */
	none_to_take();
}

/* A control kernel that was broken into: numbers, and nothing more. */
static void test_ctrl_lies(void **state)
{
	(void)state;
	submit(9, 0);
	area.q.order_tail += 100000;
	memset(area.q.order, 0xff, sizeof(area.q.order));
	none_done();
	area.q.done[0] ^= 1 << 9;
	area.q.order[area.q.order_tail++ % IO_ENTRIES_MAX] = 9 + 512;
	area.q.result[9] = 12345;
	expect_done(9, 12345);
	none_done();
}

/* A reset: what has not been begun comes back undone, what has been is waited for. */
static void test_stop(void **state)
{
	unsigned from = 0;

	(void)state;
	assert_true(io_stop(&io));
	submit(1, 0);
	take(&from, 1);
	submit(2, 0);
	assert_false(ioqueue_cancelled(&back));
	assert_false(io_stop(&io));
	assert_true(ioqueue_cancelled(&back));
	attach_vmm(); /* dies, and the next does the reset again */
	assert_false(ioqueue_cancelled(&back));
	assert_false(io_stop(&io));
	assert_true(ioqueue_cancelled(&back));
	take(&from, 2);
	ioqueue_finish(&back, 2, IO_ERROR);
	expect_done(2, IO_ERROR);
	assert_false(io_stop(&io));
	ioqueue_finish(&back, 1, IO_OK);
	expect_done(1, IO_OK);
	assert_true(io_stop(&io));
	assert_false(ioqueue_cancelled(&back));
}

static void test_segments(void **state)
{
	static struct vq_chain c = {.n_out = 2, .n_in = 3};
	struct io_record *r = io_record_of(&io, 0);

	(void)state;
	c.segment[0] = (struct vq_segment){.gpa = 0x1000, .bytes = 16};
	c.segment[1] = (struct vq_segment){.gpa = 0x2000, .bytes = 100};
	c.segment[2] = (struct vq_segment){.gpa = 0x3000, .bytes = 10};
	c.segment[3] = (struct vq_segment){.gpa = 0x4000, .bytes = 20};
	c.segment[4] = (struct vq_segment){.gpa = 0x5000, .bytes = 1};
	assert_true(io_record_segs(&io, r, &c, false, 16, UINT32_MAX));
	assert_int_equal(r->n_segs, 1);
	assert_int_equal(r->bytes, 100);
	assert_int_equal(r->seg[0].gpa, 0x2000);
	assert_true(io_record_segs(&io, r, &c, false, 20, 50));
	assert_int_equal(r->seg[0].gpa, 0x2004);
	assert_int_equal(r->seg[0].bytes, 50);
	assert_true(io_record_segs(&io, r, &c, true, 0, 30)); /* all but the status byte */
	assert_int_equal(r->n_segs, 2);
	assert_int_equal(r->bytes, 30);
	assert_int_equal(r->seg[1].gpa, 0x4000);
	c.n_out = 0;
	c.n_in = IO_DISK_SEGS + 1;
	for (unsigned i = 0; i < c.n_in; i++)
		c.segment[i].bytes = 1;
	assert_false(io_record_segs(&io, r, &c, true, 0, UINT32_MAX));
	assert_true(io_record_segs(&io, r, &c, true, 0, IO_DISK_SEGS));
	assert_int_equal(r->n_segs, IO_DISK_SEGS);
}

/* Frames are taken as they were submitted, not by number; and by number where the order is not known. */
static void test_order_of_submitting(void **state)
{
	static const unsigned heads[] = {9, 70, 3, 8};
	unsigned i;

	(void)state;
	for (unsigned n = 0; n < 4; n++)
		submit(heads[n], n);
	for (unsigned n = 0; n < 4; n++) {
		assert_true(ioqueue_next(&back, &i, &request));
		assert_int_equal(i, heads[n]);
	}
	assert_false(ioqueue_next(&back, &i, &request));
	/* Not begun after all: it can be taken again. */
	ioqueue_untake(&back, 3);
	assert_true(ioqueue_waits(&back));
	submit(2, 1); /* what comes later does not go before it */
	assert_true(ioqueue_next(&back, &i, &request));
	assert_int_equal(i, 3);
	assert_true(ioqueue_next(&back, &i, &request));
	assert_int_equal(i, 2);
	ioqueue_finish(&back, 2, 0);
	/* A new instance of either side has missed what was said before, or says it wrongly. */
	attach_ctrl();
	area.q.asked_tail += 1000;
	submit(1, 1);
	for (unsigned n = 0; n < 5; n++) {
		static const unsigned left_first[] = {3, 8, 9, 70, 1};

		assert_true(ioqueue_next(&back, &i, &request));
		assert_int_equal(i, left_first[n]);
	}
	assert_false(ioqueue_next(&back, &i, &request));
	assert_false(ioqueue_waits(&back));
}

static void test_watched(void **state)
{
	(void)state;
	assert_false(io_is_watched(&io));
	ioqueue_watch(&back, true);
	assert_true(io_is_watched(&io));
	ioqueue_watch(&back, false);
	assert_false(io_is_watched(&io));
}

/* The number of a frame in several buffers is not that of one that the instance before had begun. */
static void test_frame_numbers(void **state)
{
	uint32_t first = ioqueue_frame(&back), result = IO_FRAME(65561, 63, first, true);

	(void)state;
	assert_int_equal(IO_FRAME_BYTES(result), 65561);
	assert_int_equal(IO_FRAME_PLACE(result), 63);
	assert_int_equal(IO_FRAME_NUMBER(result), first & 255);
	assert_true(result & IO_FRAME_LAST);
	attach_ctrl();
	assert_int_equal(ioqueue_frame(&back), first + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_there_and_back, setup),
		cmocka_unit_test_setup(test_ctrl_dies, setup),
		cmocka_unit_test_setup(test_vmm_dies, setup),
		cmocka_unit_test_setup(test_vmm_lies, setup),
		cmocka_unit_test_setup(test_ctrl_lies, setup),
		cmocka_unit_test_setup(test_stop, setup),
		cmocka_unit_test_setup(test_segments, setup),
		cmocka_unit_test_setup(test_order_of_submitting, setup),
		cmocka_unit_test_setup(test_watched, setup),
		cmocka_unit_test_setup(test_frame_numbers, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
