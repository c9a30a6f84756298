/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/backend/guestmem.c
// SRC: ctrl-kernel/backend/balloon.c
/*
 * A guest's memory as drives reach it, while pages of it go and come: no device is told of a page that has gone, none goes
 * under a request that was there before, and what is asked for in between stays. Then what the vmm asks for, whatever it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ctrl-kernel/backend/balloon.h"
#include "ctrl-kernel/rt/hvcall.h"

#define PAGES 1600u /* three blocks and a piece */
#define VM 5u
#define MEM 6u
#define PAGE 4096ull
#define MIB (1ull << 20)

/* ---- hv: where each page lies; 0: a hole ---- */

static uint64_t place[PAGES];
static unsigned handles, maps, releases, fills;
static int release_fails, fill_fails;
static uint64_t release_limit, next_place;
static char memory[4096] __attribute__((aligned(4096)));

static bool joins(const struct hv_span *last, uint64_t hpa)
{
	if (hpa == HV_SPAN_HOLE || last->hpa == HV_SPAN_HOLE)
		return hpa == last->hpa;
	return last->hpa + last->pages * PAGE == hpa;
}

static int spans(uint64_t page, struct hv_span *out, uint64_t n, uint64_t *written)
{
	uint64_t k = 0;

	for (; page < PAGES; page++) {
		uint64_t hpa = place[page] ? place[page] : HV_SPAN_HOLE;

		if (k && joins(&out[k - 1], hpa))
			out[k - 1].pages++;
		else if (k < n)
			out[k++] = (struct hv_span){hpa, 1};
		else
			break;
	}
	*written = k;
	return 0;
}

static int release(const uint64_t *ranges, uint64_t n, uint64_t *done)
{
	uint64_t sum = 0;

	if (release_fails)
		return release_fails;
	releases++;
	assert_true(n > 0 && n <= HV_RANGES_MAX);
	for (*done = 0; *done < n && *done < release_limit; ++*done) {
		uint64_t page = HV_RANGE_PAGE(ranges[*done]), pages = HV_RANGE_PAGES(ranges[*done]);

		sum += pages;
		assert_true(pages && page + pages <= PAGES && sum <= HV_RELEASE_MAX);
		for (uint64_t i = page; i < page + pages; i++)
			place[i] = 0;
	}
	return 0;
}

static int fill(uint64_t page, uint64_t n)
{
	if (fill_fails)
		return fill_fails;
	fills++;
	for (uint64_t i = page; i < page + n; i++)
		if (!place[i])
			place[i] = next_place += 2 * PAGE; /* never beside each other */
	return 0;
}

struct hv_result hv_raw(uint64_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			uint64_t f)
{
	struct hv_result r = {0, 0};

	(void)e, (void)f;
	switch (n) {
	case HVC_VM_SLOT:
		assert_true(a == VM && b == HV_SLOT_RAM);
		handles++;
		r.value = MEM;
		break;
	case HVC_HANDLE_CLOSE:
		handles--;
		break;
	case HVC_MEM_MAP:
		maps++;
		break;
	case HVC_MEM_UNMAP:
		maps--;
		break;
	case HVC_MEM_SPANS:
		r.status = spans(b, (struct hv_span *)(uintptr_t)c, d, &r.value);
		break;
	case HVC_MEM_FILL:
		r.status = fill(b, c);
		break;
	case HVC_VM_RELEASE:
		r.status = release((const uint64_t *)(uintptr_t)b, c, &r.value);
		break;
	default:
		fail();
	}
	return r;
}

void *rt_va_alloc(uint64_t pages, uint64_t align)
{
	assert_int_equal(pages, PAGES);
	return (void *)(uintptr_t)(align * PAGE);
}

void rt_va_free(void *va, uint64_t pages)
{
	(void)va, (void)pages;
}

void rt_die(const char *format, ...)
{
	print_message("%s\n", format);
	abort();
}

/* ---- the loop and the area ---- */

static struct loop_job *job;
static struct loop_timer *armed;
static unsigned told;
static bool held;
static struct vmio_dev *dev;
static struct guest_mem *g;
struct vmio {
	int unused;
};
static struct vmio the_io;

void loop_defer(struct loop_job *j)
{
	j->queued = true;
	job = j;
}

void loop_timer_init(struct loop_timer *t, loop_fn fn, void *ctx)
{
	*t = (struct loop_timer){.fn = fn, .ctx = ctx};
}

void loop_timer_set(struct loop_timer *t, uint64_t delay_ns)
{
	(void)delay_ns;
	armed = t;
}

void loop_timer_cancel(struct loop_timer *t)
{
	if (armed == t)
		armed = NULL;
}

static bool run(void)
{
	struct loop_job *j = job;
	struct loop_timer *t = armed;

	job = NULL;
	armed = NULL;
	if (j) {
		j->queued = false;
		j->fn(j->ctx);
	} else if (t) {
		t->fn(t->ctx);
	}
	return j || t;
}

void *vmio_page(const struct vmio *io, uint32_t page)
{
	assert_true(io == &the_io && page == 0);
	return memory;
}

struct guest_mem *vmio_mem(const struct vmio *io)
{
	(void)io;
	return g;
}

void vmio_add(struct vmio *io, struct vmio_dev *d)
{
	d->io = io;
	dev = d;
}

void vmio_left(struct vmio_dev *d)
{
	assert_ptr_equal(d, dev);
}

void vmio_tell(struct vmio *io)
{
	(void)io;
	told++;
}

bool vmio_held(const struct vmio *io)
{
	(void)io;
	return held;
}

/* ---- around each test ---- */

static int setup(void **state)
{
	bool done = false;

	(void)state;
	for (unsigned i = 0; i < PAGES; i++)
		place[i] = 0x100000000ull + i * PAGE;
	next_place = 0x200000000ull;
	release_fails = fill_fails = 0;
	release_limit = HV_RANGES_MAX;
	releases = fills = told = 0;
	held = false;
	job = NULL;
	armed = NULL;
	memset(memory, 0, sizeof(memory));
	assert_int_equal(guest_mem_make(PAGES, VM, &g), 0);
	while (!done)
		assert_int_equal(guest_mem_step(g, &done), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	guest_mem_put(g);
	assert_int_equal(maps + handles, 0);
	return 0;
}

static void give(uint64_t page, uint64_t pages)
{
	const uint64_t range = guest_mem_range(g, HV_RANGE(page, pages));
	struct guest_mem_place at = {0, 0};

	assert_int_equal(range, HV_RANGE(page, pages));
	guest_mem_leave(g, range);
	while (at.i < 1)
		assert_int_equal(guest_mem_release(g, &range, 1, &at), 0);
}

/* Every byte of it where hv has it. */
static void check_segs(uint64_t gpa, uint32_t bytes, unsigned pieces)
{
	struct blk_seg seg[64];
	unsigned n = 0;

	assert_true(guest_mem_segs(g, gpa, bytes, seg, 64, &n));
	assert_int_equal(n, pieces);
	for (unsigned i = 0; i < n; i++)
		for (uint32_t k = 0; k < seg[i].bytes; gpa++, k++)
			assert_int_equal(seg[i].hpa + k, place[gpa / PAGE] + gpa % PAGE);
}

/* ---- tests ---- */

static void test_whole(void **state)
{
	struct blk_seg seg[4];
	unsigned n = 0;

	(void)state;
	check_segs(0, 4 * MIB, 1);
	check_segs(MIB + 17, 3 * MIB, 1);
	assert_false(guest_mem_segs(g, PAGES * PAGE - 1, 2, seg, 4, &n));
	assert_false(guest_mem_segs(g, 0, 0, seg, 4, &n));
	assert_non_null(guest_mem_at(g, PAGES * PAGE - 1, 1));
	assert_null(guest_mem_at(g, PAGES * PAGE - 1, 2));
	assert_int_equal(guest_mem_need(g, HV_GPA_HOLE, 1), -HVE_INVAL);
	assert_int_equal(guest_mem_need(g, 5, PAGES * PAGE - 5), 0);
	assert_int_equal(fills, 0);
}

static void test_holes(void **state)
{
	struct blk_seg seg[8];
	unsigned n = 0;

	(void)state;
	give(3, 2);
	assert_int_equal(place[3] + place[4], 0);
	assert_false(guest_mem_segs(g, 2 * PAGE, 8192, seg, 8, &n)); /* no address of before */
	check_segs(0, 3 * PAGE, 1);
	assert_int_equal(guest_mem_need(g, 2 * PAGE + 5, 2 * PAGE), 0);
	check_segs(2 * PAGE + 5, 2 * PAGE, 3);
	give(512, 512); /* a block */
	give(0, PAGES);
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(place[i], 0);
	fill_fails = -HVE_NOMEM;
	assert_int_equal(guest_mem_need(g, 0, 1), -HVE_NOMEM);
	assert_null(guest_mem_at(g, 600 * PAGE, 1));
	fill_fails = 0;
	assert_non_null(guest_mem_at(g, 600 * PAGE, 1));
	assert_true(place[600] && !place[601] && !place[599]);
	place[700] = 0x7000; /* the guest has touched it, and nobody here knows */
	assert_int_equal(guest_mem_need(g, 700 * PAGE, PAGE), 0);
	check_segs(700 * PAGE, PAGE, 1);
	place[800] = 0x8000;
	give(800, 1);
	assert_int_equal(place[800], 0);
}

/* Between leave and release: whoever asks keeps it, in every form of asking; the rest goes. */
static void test_wanted_meanwhile(void **state)
{
	const uint64_t range = HV_RANGE(0, 1024);
	struct guest_mem_place at = {0, 0};

	(void)state;
	guest_mem_leave(g, HV_RANGE(2, 10));
	assert_non_null(guest_mem_at(g, 4 * PAGE + 1, 1));
	check_segs(6 * PAGE, PAGE, 1);
	assert_int_equal(guest_mem_need(g, 8 * PAGE, PAGE + 1), 0);
	guest_mem_leave(g, HV_RANGE(512, 512));
	assert_int_equal(guest_mem_need(g, 600 * PAGE, 1), 0); /* of a block: all of it stays */
	while (at.i < 1)
		assert_int_equal(guest_mem_release(g, &range, 1, &at), 0);
	for (unsigned i = 0; i < 1024; i++) {
		bool went = i >= 2 && i < 12 && i != 4 && i != 6 && i != 8 && i != 9;

		assert_int_equal(place[i] == 0, went);
	}
	assert_int_equal(releases, 1);
}

static unsigned quiets;

static void quiet(void *ctx)
{
	(void)ctx;
	quiets++;
}

static void test_under_way(void **state)
{
	unsigned a, b, c;

	(void)state;
	quiets = 0;
	assert_true(guest_mem_quiet(g, quiet, NULL));
	a = guest_mem_begin(g);
	b = guest_mem_begin(g);
	guest_mem_end(g, a);
	assert_false(guest_mem_quiet(g, quiet, NULL));
	c = guest_mem_begin(g); /* nobody waits for what comes later */
	guest_mem_end(g, b);
	assert_int_equal(quiets, 1);
	assert_false(guest_mem_quiet(g, quiet, NULL));
	a = guest_mem_begin(g);
	guest_mem_end(g, c);
	assert_int_equal(quiets, 2);
	assert_false(guest_mem_quiet(g, quiet, NULL));
	guest_mem_quiet_cancel(g);
	/* after a wait that was given up: for what it waited for, and for what came since */
	b = guest_mem_begin(g);
	assert_false(guest_mem_quiet(g, quiet, NULL));
	guest_mem_end(g, b);
	assert_int_equal(quiets, 2);
	guest_mem_end(g, a);
	assert_int_equal(quiets, 3);
}

static struct io_balloon *area(void)
{
	return (struct io_balloon *)(void *)memory;
}

static void ask(const uint64_t *range, uint32_t n)
{
	for (uint32_t i = 0; i < n && i < IO_BALLOON_RANGES; i++)
		area()->range[i] = range[i];
	area()->n = n;
	area()->asked++;
	dev->ops->look(dev);
}

static void run_all(void)
{
	while (run())
		;
}

static void detach(void)
{
	dev->io = NULL;
	dev->ops->detach(dev);
	run_all();
}

static void test_asked_for(void **state)
{
	const uint64_t ranges[] = {HV_RANGE(10, 2), HV_RANGE(PAGES - 1, 2), HV_RANGE(0xc0000, 1),
				   UINT64_MAX,      HV_RANGE(5, 0),         HV_RANGE(20, 1)};
	unsigned begun;

	(void)state;
	assert_non_null(balloon_make(&the_io));
	begun = guest_mem_begin(g);
	ask(ranges, 6);
	assert_true(dev->ops->busy(dev));
	assert_false(run()); /* a drive may be writing there */
	assert_int_equal(area()->done, 0);
	dev->ops->look(dev);
	guest_mem_end(g, begun);
	told = 0;
	assert_true(run());
	assert_int_equal(area()->done, 1);
	assert_int_equal(told, 1);
	assert_false(dev->ops->busy(dev));
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(place[i] == 0, i == 10 || i == 11 || i == 20);
	area()->n = UINT32_MAX; /* as many as there is room for */
	area()->asked++;
	dev->ops->look(dev);
	run_all();
	assert_int_equal(area()->done, 2);
	detach();
}

/* More than one call takes; hv that does a part, is busy, or refuses. */
static void test_steps(void **state)
{
	static uint64_t ranges[400];
	const uint64_t all = HV_RANGE(0, PAGES);

	(void)state;
	assert_non_null(balloon_make(&the_io));
	for (unsigned i = 0; i < 400; i++)
		ranges[i] = HV_RANGE(i * 3, 1);
	ask(ranges, 400);
	run_all();
	assert_int_equal(releases, 4); /* of 128 ranges each */
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(place[i] == 0, i % 3 == 0 && i < 1200);
	assert_int_equal(area()->done, 1);
	release_limit = 0;
	ask(&all, 1);
	run_all();
	assert_int_equal(area()->done, 2);
	check_segs(1599 * PAGE, PAGE, 1);
	release_limit = HV_RANGES_MAX;
	release_fails = -HVE_BUSY;
	ask(&all, 1);
	for (unsigned i = 0; i < 20; i++)
		assert_true(run());
	assert_int_equal(area()->done, 2);
	release_fails = 0;
	run_all();
	assert_int_equal(area()->done, 3);
	assert_int_equal(place[1599], 0);
	release_fails = -HVE_BUSY; /* for good: it is left undone */
	ask(&all, 1);
	run_all();
	assert_int_equal(area()->done, 4);
	release_fails = -HVE_NOMEM;
	ask(&all, 1);
	run_all();
	assert_int_equal(area()->done, 5);
	detach();
}

static void test_ends(void **state)
{
	const uint64_t all = HV_RANGE(0, PAGES);
	unsigned begun;

	(void)state;
	/* waiting for a drive */
	assert_non_null(balloon_make(&the_io));
	begun = guest_mem_begin(g);
	ask(&all, 1);
	detach();
	guest_mem_end(g, begun);
	assert_false(run());
	/* with a turn queued */
	assert_non_null(balloon_make(&the_io));
	dev->ops->look(dev); /* what was under way comes again */
	assert_true(dev->ops->busy(dev));
	detach();
	assert_int_equal(releases, 0);
	/* while hv is busy */
	release_fails = -HVE_BUSY;
	assert_non_null(balloon_make(&the_io));
	dev->ops->look(dev);
	assert_true(run());
	detach();
	assert_int_equal(area()->done, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_holes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wanted_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_under_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(test_steps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
