/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: drivers/blkctl.c
// SRC: drivers/blkcmd.c
// SRC: drivers/blkmem.c
// SRC: tests/unit/fakehv.c
/*
 * What drivers of drives share, with hardware played by the test: requests of any shape arrive as commands that keep the
 * hardware's rules, and their data is right; ranges, statistics, FUA without FUA, commands that must be alone, errors,
 * deadlines, resets with what was in flight, removal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/blkctl_fakes.h"
#include "tests/unit/fakehv.h"
#include "drivers/blkctl.h"
#include "drivers/pci_regs.h"

#define DISK_BYTES (8u << 20)
#define SLOTS 4u
#define SECOND 1000000000ull

static struct blkctl *now; /* each stays in the list of all */
#define ctl (*now)
static struct blkunit unit;
static struct pci_dev pci = {.bdf = 0x20, .vendor = 0x1af4};
static uint8_t *medium;
static struct {
	struct blkcmd *c;
	unsigned order;
} in_hw[SLOTS];
static unsigned issued, kicks, resets, flushes, hw_room = SLOTS, commands, changes;
static bool up_at_once;

/* ---- the hardware ---- */

static void rules(const struct blkcmd *c)
{
	const struct blkctl_limits *l = &ctl.limits;
	const struct blkmem *m;
	uint64_t sum = 0;
	unsigned n;

	if (c->op != BLK_READ && c->op != BLK_WRITE)
		return;
	m = blkcmd_memory(c, &n);
	assert_in_range(n, 1, l->segs_max);
	for (unsigned i = 0; i < n; i++) {
		assert_in_range(m[i].bytes, 1, l->seg_bytes_max);
		assert_int_equal(m[i].hpa % l->align, 0);
		assert_int_equal(m[i].bytes % l->align, 0);
		if (l->boundary && i)
			assert_int_equal(m[i].hpa % l->boundary, 0);
		if (l->boundary && i + 1 < n)
			assert_int_equal((m[i].hpa + m[i].bytes) % l->boundary, 0);
		sum += m[i].bytes;
	}
	assert_int_equal(sum, c->bytes);
	assert_in_range(c->bytes, 1, l->bytes_max);
	assert_int_equal(c->bytes % unit.dev.sector_bytes, 0);
	assert_int_equal(c->offset % unit.dev.sector_bytes, 0);
	assert_true(c->offset + c->bytes <= DISK_BYTES);
}

static bool issue(struct blkctl *k, struct blkcmd *c)
{
	unsigned busy = 0;

	for (unsigned i = 0; i < SLOTS; i++)
		busy += in_hw[i].c != NULL;
	if (busy >= hw_room)
		return false;
	assert_null(in_hw[c->slot].c);
	rules(c);
	if (k->limits.alone >> c->op & 1)
		assert_int_equal(busy, 0);
	in_hw[c->slot].c = c;
	in_hw[c->slot].order = issued++;
	return true;
}

static void kick(struct blkctl *k)
{
	(void)k;
	kicks++;
}

static void move(const struct blkcmd *c)
{
	const struct blkmem *m;
	uint64_t at = c->offset;
	unsigned n;

	if (c->op == BLK_WRITE_ZEROES || c->op == BLK_DISCARD)
		memset(medium + at, 0, c->bytes);
	flushes += c->op == BLK_FLUSH;
	if (c->op != BLK_READ && c->op != BLK_WRITE)
		return;
	m = blkcmd_memory(c, &n);
	for (unsigned i = 0; i < n; at += m[i++].bytes) {
		if (c->op == BLK_READ)
			memcpy((void *)(uintptr_t)m[i].hpa, medium + at, m[i].bytes);
		else
			memcpy(medium + at, (void *)(uintptr_t)m[i].hpa, m[i].bytes);
	}
}

/* Ends the one that is in the hardware for the longest time. */
static bool hw_ends(enum blk_status status)
{
	int oldest = -1;

	for (int i = 0; i < (int)SLOTS; i++)
		if (in_hw[i].c && (oldest < 0 || in_hw[i].order < in_hw[oldest].order))
			oldest = i;
	if (oldest < 0)
		return false;
	commands++;
	assert_ptr_equal(blkctl_sent(&ctl, (unsigned)oldest), in_hw[oldest].c);
	if (status == BLK_OK)
		move(in_hw[oldest].c);
	blkctl_end(&ctl, in_hw[oldest].c, status);
	in_hw[oldest].c = NULL;
	return true;
}

static unsigned in_hardware(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SLOTS; i++)
		n += in_hw[i].c != NULL;
	return n;
}

static void nothing(struct blkctl *k)
{
	(void)k;
}

static void reset(struct blkctl *k)
{
	resets++;
	memset(in_hw, 0, sizeof(in_hw));
	if (up_at_once)
		blkctl_up(k);
}

static const struct blkctl_ops ops = {issue, kick, nothing, nothing, reset};

static void on_changed(struct blkdev *b)
{
	changes += b == &unit.dev;
}

/* ---- fixtures ---- */

static void open_with(struct blkctl_limits l, uint32_t sector, uint64_t zeroes)
{
	now = calloc(1, sizeof(*now));
	blkctl_init(&ctl, &ops, "fake", &pci);
	ctl.limits = l;
	assert_int_equal(blkctl_slots(&ctl, SLOTS), 0);
	unit = (struct blkunit){.discard_bytes = 3u << 20, .zeroes_bytes = zeroes};
	unit.dev = (struct blkdev){.bytes = DISK_BYTES,
				   .sector_bytes = sector,
				   .write_cache = true,
				   .changed = on_changed};
	blkctl_up(&ctl);
	blkctl_add(&ctl, &unit, "/1");
	fake_loop();
}

static const struct blkctl_limits plain = {
	.bytes_max = 1u << 20, .segs_max = 20, .seg_bytes_max = 1u << 20, .align = 1};
static const struct blkctl_limits prps = {.bytes_max = 512u << 10,
					  .segs_max = 129,
					  .seg_bytes_max = 512u << 10,
					  .align = 4,
					  .boundary = 4096};
static const struct blkctl_limits prds = {.bytes_max = 224u << 10,
					  .segs_max = 9,
					  .seg_bytes_max = 32u << 10,
					  .align = 2,
					  .alone = 1u << BLK_FLUSH | 1u << BLK_DISCARD,
					  .fua = true};

static int fresh(void **state)
{
	(void)state;
	fake_reset(1000);
	medium = calloc(1, DISK_BYTES);
	memset(in_hw, 0, sizeof(in_hw));
	issued = kicks = resets = flushes = commands = changes = 0;
	hw_room = SLOTS;
	up_at_once = true;
	fake_vendor = 0x1af4;
	return 0;
}

static int done(void **state)
{
	(void)state;
	if (ctl.state == BLKCTL_UP)
		blkctl_gone(&ctl, "the test is over");
	fake_loop();
	free(medium);
	return 0;
}

static void run(void)
{
	do
		blkctl_poll(&ctl);
	while (hw_ends(BLK_OK) || ctl.waiting);
	blkctl_poll(&ctl);
	fake_loop();
}

static enum blk_status carry_out(struct fake_request *q)
{
	blk_submit(&unit.dev, &q->r);
	assert_int_equal(q->ended, 0); /* never inside submit */
	run();
	fake_loop();
	assert_int_equal(q->ended, 1);
	return q->status;
}

/* ---- tests ---- */

static void any_shape(struct blkctl_limits l, uint32_t sector, uint32_t unit_bytes)
{
	static struct fake_request q[8];

	open_with(l, sector, 0);
	for (unsigned round = 0; round < 40; round++) {
		bool write = round % 2 == 0;
		unsigned n = 1 + round % 8;

		for (unsigned i = 0; i < n; i++) {
			uint32_t bytes = (1 + fake_random((600u << 10) / sector)) * sector;

			if (write)
				fake_request_make(&q[i], BLK_WRITE, (uint64_t)i << 20, bytes,
						  unit_bytes);
			else
				fake_request_make(&q[i], BLK_READ, (uint64_t)i << 20, bytes,
						  unit_bytes);
			fake_request_fill(&q[i], write ? round + i : 99);
			if (!write)
				for (uint32_t k = 0; k < bytes; k++)
					medium[q[i].r.offset + k] = fake_byte(q[i].r.offset + k,
									      round + i);
			blk_submit(&unit.dev, &q[i].r);
		}
		run();
		for (unsigned i = 0; i < n; i++) {
			assert_int_equal(q[i].ended, 1);
			assert_int_equal(q[i].status, BLK_OK);
			assert_true(fake_request_holds(&q[i], round + i));
			for (uint32_t k = 0; k < q[i].r.bytes; k++)
				assert_int_equal(medium[q[i].r.offset + k],
						 fake_byte(q[i].r.offset + k, round + i));
			fake_request_free(&q[i]);
		}
	}
	assert_int_equal(unit.dev.stats.in_flight, 0);
	assert_true(unit.dev.stats.reads > 50 && unit.dev.stats.writes > 50);
}

static void test_plain_shapes(void **state)
{
	(void)state;
	any_shape(plain, 512, 1);
}

static void test_prp_shapes(void **state)
{
	(void)state;
	any_shape(prps, 512, 1);
}

static void test_prp_shapes_4096(void **state)
{
	(void)state;
	any_shape(prps, 4096, 4);
}

static void test_prd_shapes(void **state)
{
	(void)state;
	any_shape(prds, 512, 1);
}

static void test_one_piece(void **state)
{
	struct blkctl_limits l = plain;

	(void)state;
	l.segs_max = 1;
	l.seg_bytes_max = 4096;
	any_shape(l, 4096, 1);
}

/* Pages that follow each other only by their addresses need no copy and no second command. */
static void test_no_bounce_where_none_is_needed(void **state)
{
	struct fake_request q = {.arena = aligned_alloc(4096, 1 << 20)};

	(void)state;
	open_with(prps, 512, 0);
	for (unsigned i = 0; i < 20; i++)
		q.segs[i] = (struct blk_seg){.va = q.arena + (19 - i) * 4096,
					     .hpa = (uintptr_t)q.arena + (19 - i) * 4096,
					     .bytes = 4096};
	q.r = (struct blk_request){.op = BLK_READ,
				   .bytes = 20 * 4096,
				   .seg = q.segs,
				   .n_segs = 20,
				   .done = fake_done,
				   .ctx = &q};
	blk_submit(&unit.dev, &q.r);
	assert_int_equal(in_hardware(), 1);
	assert_null(in_hw[0].c->bounce);
	run();
	assert_int_equal(q.status, BLK_OK);
	assert_int_equal(commands, 1);
	fake_request_free(&q);
}

static void refused(enum blk_op op, uint64_t offset, uint64_t bytes, enum blk_status status)
{
	static uint8_t memory[8192];
	struct fake_request q = {0};
	struct blk_seg seg = {.va = memory, .hpa = (uintptr_t)memory, .bytes = (uint32_t)bytes};

	q.r = (struct blk_request){.op = op,
				   .offset = offset,
				   .bytes = bytes,
				   .seg = &seg,
				   .n_segs = 1,
				   .done = fake_done,
				   .ctx = &q};
	blk_submit(&unit.dev, &q.r);
	assert_int_equal(q.ended, 0);
	assert_int_equal(in_hardware(), 0);
	fake_loop();
	assert_int_equal(q.ended, 1);
	assert_int_equal(q.status, status);
}

static void test_refusals(void **state)
{
	struct fake_request q;

	(void)state;
	open_with(plain, 4096, 0);
	refused(BLK_READ, 0, 512, BLK_RANGE);
	refused(BLK_READ, 512, 4096, BLK_RANGE);
	refused(BLK_WRITE, DISK_BYTES - 4096, 8192, BLK_RANGE);
	refused(BLK_READ, UINT64_MAX - 4095, 4096, BLK_RANGE);
	refused(BLK_WRITE_ZEROES, DISK_BYTES, 4096, BLK_RANGE);
	refused(BLK_DISCARD, 4096, UINT64_MAX - 4095, BLK_RANGE);
	refused((enum blk_op)5, 0, 4096, BLK_UNSUPPORTED);
	refused(BLK_READ, 0, 0, BLK_OK);
	fake_request_make(&q, BLK_READ, 0, 8192, 512);
	q.segs[0].bytes -= 1;
	assert_int_equal(carry_out(&q), BLK_RANGE);
	fake_request_free(&q);
	unit.dev.read_only = true;
	refused(BLK_WRITE, 0, 4096, BLK_UNSUPPORTED);
	refused(BLK_DISCARD, 0, 4096, BLK_UNSUPPORTED);
	refused(BLK_WRITE_ZEROES, 0, 4096, BLK_UNSUPPORTED);
	unit.dev.read_only = false;
	unit.discard_bytes = 0;
	refused(BLK_DISCARD, 0, 4096, BLK_UNSUPPORTED);
	unit.dev.write_cache = false;
	refused(BLK_FLUSH, 0, 0, BLK_OK);
	unit.dev.gone = true;
	refused(BLK_READ, 0, 4096, BLK_GONE);
	assert_int_equal(unit.dev.stats.in_flight, 0);
}

static void test_zeroes_and_discard(void **state)
{
	struct fake_request q = {0};

	(void)state;
	for (unsigned native = 0; native < 2; native++) {
		open_with(prds, 512, native ? 1u << 20 : 0);
		memset(medium, 7, DISK_BYTES);
		commands = 0;
		q = (struct fake_request){.r = {.op = BLK_WRITE_ZEROES,
						.offset = 512,
						.bytes = 5u << 20,
						.done = fake_done,
						.ctx = &q}};
		assert_int_equal(carry_out(&q), BLK_OK);
		assert_int_equal(medium[511], 7);
		for (unsigned i = 0; i < 5u << 20; i++)
			assert_int_equal(medium[512 + i], 0);
		assert_int_equal(medium[512 + (5u << 20)], 7);
		assert_int_equal(commands, native ? 5 : (5u << 20) / (9 * 4096) + 1);
		q = (struct fake_request){.r = {.op = BLK_DISCARD,
						.bytes = DISK_BYTES,
						.done = fake_done,
						.ctx = &q}};
		commands = 0;
		assert_int_equal(carry_out(&q), BLK_OK);
		assert_int_equal(commands, 3); /* of 3 MiB at most */
		assert_int_equal(medium[DISK_BYTES - 1], 0);
		if (!native)
			blkctl_gone(&ctl, "its turn is over");
	}
}

static void test_fua(void **state)
{
	struct fake_request q;

	(void)state;
	open_with(plain, 512, 0);
	fake_request_make(&q, BLK_WRITE, 0, 3u << 20, 512);
	q.r.fua = true;
	assert_int_equal(carry_out(&q), BLK_OK);
	assert_int_equal(flushes, 1); /* one, after all pieces */
	unit.dev.write_cache = false;
	q.ended = 0;
	assert_int_equal(carry_out(&q), BLK_OK);
	assert_int_equal(flushes, 1);
	unit.dev.write_cache = true;
	ctl.limits.fua = true;
	q.ended = 0;
	blk_submit(&unit.dev, &q.r);
	assert_true(in_hw[0].c->fua);
	run();
	assert_int_equal(flushes, 1);
	fake_request_free(&q);
}

static void test_alone(void **state)
{
	static struct fake_request q[5];

	(void)state;
	open_with(prds, 512, 0);
	for (unsigned i = 0; i < 5; i++) {
		fake_request_make(&q[i], i == 2 ? BLK_FLUSH : BLK_WRITE, 0, i == 2 ? 0 : 4096,
				  4096);
		blk_submit(&unit.dev, &q[i].r);
	}
	assert_int_equal(in_hardware(), 2);
	hw_ends(BLK_OK);
	blkctl_poll(&ctl);
	assert_int_equal(in_hardware(), 1);
	hw_ends(BLK_OK);
	blkctl_poll(&ctl);
	assert_int_equal(in_hardware(), 1); /* the flush */
	hw_ends(BLK_OK);
	blkctl_poll(&ctl);
	assert_int_equal(in_hardware(), 2);
	run();
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(q[i].ended, 1);
		fake_request_free(&q[i]);
	}
}

/* A command that fails ends its request; what of it was not sent is not sent any more. */
static void test_error(void **state)
{
	struct fake_request q, other;

	(void)state;
	open_with(prds, 512, 0);
	hw_room = 2;
	fake_request_make(&q, BLK_WRITE, 0, 4u << 20, 4096);
	fake_request_make(&other, BLK_READ, 0, 4096, 4096);
	blk_submit(&unit.dev, &q.r);
	blk_submit(&unit.dev, &other.r);
	hw_ends(BLK_IO_ERROR);
	run();
	assert_int_equal(q.ended, 1);
	assert_int_equal(q.status, BLK_IO_ERROR);
	assert_int_equal(other.status, BLK_OK);
	assert_int_equal(other.ended, 1);
	assert_int_equal(commands, 3); /* two of q, one of the other */
	assert_int_equal(unit.dev.stats.errors, 1);
	fake_request_free(&q);
	fake_request_free(&other);
}

static void four_in_flight(struct fake_request q[4])
{
	for (unsigned i = 0; i < 4; i++) {
		fake_request_make(&q[i], BLK_WRITE, i * 4096, 4096, 4096);
		blk_submit(&unit.dev, &q[i].r);
	}
	assert_int_equal(in_hardware(), 4);
}

/* Nobody is known to be at fault: all are sent again, one by one, and the one that does it again has failed. */
static void test_reset_finds_the_culprit(void **state)
{
	static struct fake_request q[4], late;
	struct blk_request *bad = &q[2].r;

	(void)state;
	open_with(prds, 512, 0);
	four_in_flight(q);
	blkctl_fail(&ctl, NULL, "it is stuck");
	assert_int_equal(resets, 1);
	fake_request_make(&late, BLK_WRITE, 8 * 4096, 4096, 4096);
	blk_submit(&unit.dev, &late.r);
	for (unsigned i = 0; i < 20 && (in_hardware() || ctl.waiting || i == 0); i++) {
		blkctl_poll(&ctl);
		assert_in_range(in_hardware(), 0, 1);
		for (unsigned k = 0; k < SLOTS; k++)
			if (in_hw[k].c && in_hw[k].c->r == bad) {
				assert_int_equal(late.ended, 0);
				blkctl_fail(&ctl, NULL, "it is stuck");
			}
		hw_ends(BLK_OK);
	}
	run();
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(q[i].ended, 1);
		assert_int_equal(q[i].status, &q[i].r == bad ? BLK_IO_ERROR : BLK_OK);
		fake_request_free(&q[i]);
	}
	assert_int_equal(late.status, BLK_OK);
	assert_int_equal(late.ended, 1);
	fake_request_free(&late);
	assert_int_equal(resets, 2);
	assert_int_equal(unit.dev.stats.resets, 2);
	four_in_flight(q); /* all at once again */
	run();
	for (unsigned i = 0; i < 4; i++)
		fake_request_free(&q[i]);
}

static void test_known_culprit(void **state)
{
	static struct fake_request q[4];

	(void)state;
	open_with(plain, 512, 0);
	up_at_once = false;
	four_in_flight(q);
	blkctl_fail(&ctl, blkctl_sent(&ctl, 1), "that one");
	fake_loop();
	assert_int_equal(q[1].ended, 0); /* its memory may be written until the reset is over */
	blkctl_up(&ctl);
	run();
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(q[i].status, i == 1 ? BLK_IO_ERROR : BLK_OK);
		assert_int_equal(q[i].ended, 1);
		fake_request_free(&q[i]);
	}
}

static void test_deadline(void **state)
{
	static struct fake_request q[4];

	(void)state;
	open_with(plain, 512, 0);
	fake_request_make(&q[0], BLK_READ, 0, 4096, 512);
	blk_submit(&unit.dev, &q[0].r);
	for (unsigned i = 0; i < 20; i++)
		fake_advance(SECOND);
	fake_request_make(&q[1], BLK_READ, 0, 4096, 512);
	blk_submit(&unit.dev, &q[1].r);
	assert_int_equal(resets, 0);
	for (unsigned i = 0; i < 11; i++)
		fake_advance(SECOND);
	assert_int_equal(resets, 1);
	assert_int_equal(unit.dev.stats.timeouts, 1);
	assert_int_equal(q[0].status, BLK_IO_ERROR);
	assert_int_equal(q[0].ended, 1);
	assert_int_equal(q[1].ended, 0);
	run();
	assert_int_equal(q[1].status, BLK_OK);
	fake_request_free(&q[0]);
	fake_request_free(&q[1]);
}

/* Resets that lead to nothing have an end. */
static void test_fails_again_and_again(void **state)
{
	struct fake_request q;
	unsigned n = 0;

	(void)state;
	open_with(plain, 512, 0);
	for (; n < 150; n++)
		blkctl_fail(&ctl, NULL, "it is stuck");
	fake_request_make(&q, BLK_READ, 0, 4096, 512);
	assert_int_equal(carry_out(&q), BLK_OK);
	for (n = 0; n < 1000 && !unit.dev.gone; n++)
		blkctl_fail(&ctl, NULL, "it is stuck");
	assert_in_range(n, 150, 400);
	q.ended = 0;
	blk_submit(&unit.dev, &q.r);
	fake_loop();
	assert_int_equal(q.status, BLK_GONE);
	fake_request_free(&q);
}

static void test_removal(void **state)
{
	static struct fake_request q[6];

	(void)state;
	open_with(prps, 512, 0);
	for (unsigned i = 0; i < 6; i++) {
		fake_request_make(&q[i], BLK_READ, 0, 1u << 20, 1);
		blk_submit(&unit.dev, &q[i].r);
	}
	hw_ends(BLK_OK);
	fake_vendor = 0xffff;
	fake_advance(SECOND);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(q[i].ended, 1);
		assert_int_equal(q[i].status, BLK_GONE);
		fake_request_free(&q[i]);
	}
	assert_true(unit.dev.gone);
	assert_int_equal(changes, 1);
	assert_int_equal(unit.dev.stats.in_flight, 0);
	fake_vendor = 0x1af4;
	memset(in_hw, 0, sizeof(in_hw));
	refused(BLK_READ, 0, 4096, BLK_GONE);
}

static void test_names(void **state)
{
	char text[12];

	(void)state;
	open_with(plain, 512, 0);
	assert_string_equal(unit.dev.name, "fake@00:04.0/1");
	assert_ptr_equal(fake_added[fake_n_added - 1], &unit.dev);
	blk_text(text, sizeof(text), "  ab\1 c\xff   ", 12);
	assert_string_equal(text, "ab? c?");
	blk_text(text, 4, "abcdefgh", 8);
	assert_string_equal(text, "abc");
	blk_text(text, 4, "    ", 4);
	assert_string_equal(text, "");
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, done)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_plain_shapes),
		T(test_prp_shapes),
		T(test_prp_shapes_4096),
		T(test_prd_shapes),
		T(test_one_piece),
		T(test_no_bounce_where_none_is_needed),
		T(test_refusals),
		T(test_zeroes_and_discard),
		T(test_fua),
		T(test_alone),
		T(test_error),
		T(test_reset_finds_the_culprit),
		T(test_known_culprit),
		T(test_deadline),
		T(test_fails_again_and_again),
		T(test_removal),
		T(test_names),
	};

	fake_n_added = 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
