/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/vmm/hotplug.c
// SRC: ctrl-kernel/vmm/virtio/virtio.c
// SRC: ctrl-kernel/vmm/virtio/transport.c
// SRC: ctrl-kernel/vmm/virtio/virtqueue.c
// SRC: ctrl-kernel/vmm/virtio/balloon.c
// SRC: ctrl-kernel/vmm/virtio/blk.c
// SRC: ctrl-kernel/vmm/virtio/console.c
// SRC: ctrl-kernel/vmm/virtio/devices.c
// SRC: ctrl-kernel/vmm/virtio/io.c
// SRC: ctrl-kernel/vmm/virtio/net.c
// SRC: ctrl-kernel/vmm/virtio/rng.c
// SRC: ctrl-kernel/vmm/virtio/csprng.c
// SRC: ctrl-kernel/vmm/bus.c
// SRC: ctrl-kernel/vmm/pci.c
// SRC: ctrl-kernel/vmm/guest.c
// SRC: ctrl-kernel/rt/fmt.c
/*
 * virtio-balloon: what a driver gives back, and one that lies, as the ranges that the control kernel is asked for; one
 * request at a time, in pieces, again after a death, awaited by a reset.
 */
#include <stdio.h>

#define SLOT 2u
#include "tests/unit/virtio_fakes.h"

enum { CONFIG = 0x200, QUEUES = 5 }; /* as transport.c has it */
enum { Q_SPACE = 0x800, RINGS = 0x1000, PFNS = 0xc000 };

static struct io_balloon *area(void)
{
	return (struct io_balloon *)(void *)kept->balloon;
}

/* ---- a driver with a queue of 8 for each of the five, 0x800 bytes of rings each ---- */

static unsigned desc_of(unsigned q)
{
	return RINGS + q * Q_SPACE;
}

static void q_put(unsigned q, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
		  uint16_t next)
{
	uint8_t *d = kept->ram + desc_of(q) + i * 16;

	put64(d, 0, addr);
	put32(d, 8, len);
	put16(d, 12, flags);
	put16(d, 14, next);
}

static void q_avail(unsigned q, uint16_t head)
{
	unsigned avail = desc_of(q) + 0x200;
	uint16_t idx = ram16(avail + 2);

	put16(kept->ram, avail + 4 + idx % QSIZE * 2, head);
	put16(kept->ram, avail + 2, (uint16_t)(idx + 1));
	virtio_doorbells(1ull << (VIRTIO_BELL(SLOT) + q % VIRTIO_BELLS));
}

static uint16_t q_used(unsigned q)
{
	return ram16(desc_of(q) + 0x400 + 2);
}

static void driver(void)
{
	memset(kept->ram + RINGS, 0, QUEUES * Q_SPACE);
	cfg_set(PCI_COMMAND, 2, 6);
	msix_on();
	wr(STATUS, 1, 0);
	wr(STATUS, 1, 3);
	features_set(VIRTIO_VERSION_1 | 1u << 1 | 1u << 2 | 1u << 5);
	wr(STATUS, 1, 11);
	assert_int_equal(rd(STATUS, 1), 11);
	for (unsigned q = 0; q < QUEUES; q++) {
		wr(Q_SELECT, 2, q);
		wr(Q_SIZE, 2, QSIZE);
		wr(Q_DESC, 4, desc_of(q));
		wr(Q_DRIVER, 4, desc_of(q) + 0x200);
		wr(Q_DEVICE, 4, desc_of(q) + 0x400);
		wr(Q_ENABLE, 2, 1);
	}
	wr(STATUS, 1, 15);
}

static int setup(void **state)
{
	(void)state;
	memset(&config, 0, sizeof(config));
	power_on();
	driver();
	n_io_tells = 0;
	return 0;
}

/* Numbers of pages as one chain of the inflate queue. */
static void inflate(const uint32_t *pfn, unsigned n)
{
	memcpy(kept->ram + PFNS, pfn, n * 4);
	q_put(0, 0, PFNS, n * 4, 0, 0);
	q_avail(0, 0);
}

static void done(void)
{
	area()->done = area()->asked;
	virtio_io();
}

static bool under_way(void)
{
	return area()->asked != area()->done;
}

static void expect(unsigned i, uint64_t page, uint64_t pages)
{
	assert_int_equal(area()->range[i], HV_RANGE(page, pages));
}

/* ---- tests ---- */

static void test_pages(void **state)
{
	const uint32_t pfn[] = {16, 17, 18, 21, 20, 19, 24};

	(void)state;
	inflate(pfn, 7);
	assert_true(under_way());
	assert_int_equal(n_io_tells, 1);
	assert_int_equal(area()->n, 3);
	expect(0, 16, 3);
	expect(1, 19, 3);
	expect(2, 24, 1);
}

static void test_falling_pages(void **state)
{
	const uint32_t pfn[] = {20, 19, 18, 17, 3};

	(void)state;
	inflate(pfn, 5);
	assert_int_equal(area()->n, 2);
	expect(0, 17, 4);
	expect(1, 3, 1);
	assert_int_equal(q_used(0), 0);
	done();
	assert_int_equal(q_used(0), 1);
	assert_false(under_way());
}

static void test_no_memory_of_his(void **state)
{
	const uint32_t pfn[] = {RAM_BYTES / 4096, UINT32_MAX, 0x100000,
				0xfffff,          7,          RAM_BYTES / 4096 - 1};

	(void)state;
	inflate(pfn, 6);
	assert_int_equal(area()->n, 2);
	expect(0, 7, 1);
	expect(1, RAM_BYTES / 4096 - 1, 1);
	done();
	inflate(pfn, 4); /* none: nobody is asked */
	assert_false(under_way());
	assert_int_equal(q_used(0), 2);
	q_put(0, 1, PFNS + 1, 7, 0, 0); /* one and three quarters */
	q_avail(0, 1);
	assert_int_equal(q_used(0), 3);
	q_put(0, 2, PFNS, 16, VRING_WRITE, 0); /* none to read */
	q_avail(0, 2);
	assert_int_equal(q_used(0), 4);
}

/* A chain that says the same pages 4,096 times is looked at in pieces, and no more than that. */
static void test_long_chain(void **state)
{
	unsigned asked = 0;

	(void)state;
	for (unsigned i = 0; i < 0x1000; i++)
		put32(kept->ram, PFNS + i * 4, 8 + i % 2 * 4);
	for (unsigned i = 0; i < 8; i++)
		q_put(0, i, PFNS, 0x4000, i < 7 ? VRING_NEXT : 0, (uint16_t)(i + 1));
	q_avail(0, 0);
	while (under_way()) {
		assert_true(area()->n <= 256);
		asked++;
		done();
	}
	assert_int_equal(asked, 16384 / 256); /* of 32,768 */
	assert_int_equal(q_used(0), 1);
}

static void test_one_at_a_time(void **state)
{
	const uint32_t pfn = 9;

	(void)state;
	inflate(&pfn, 1);
	q_put(3, 0, 0x10000, 0x3000, VRING_WRITE, 0);
	q_avail(3, 0);
	assert_int_equal(area()->asked, 1);
	expect(0, 9, 1);
	done();
	assert_int_equal(area()->asked, 2);
	expect(0, 16, 3);
	assert_int_equal(q_used(0), 1);
	assert_int_equal(q_used(3), 0);
	done();
	assert_int_equal(q_used(3), 1);
}

/* Both numbers of the queue; whole pages only. */
static void test_reporting(void **state)
{
	(void)state;
	for (unsigned q = 3; q < 5; q++) {
		q_put(q, 0, 0x8000, 0x1000, VRING_WRITE | VRING_NEXT, 1);
		q_put(q, 1, 0x9800, 0x2000, VRING_WRITE | VRING_NEXT, 2);
		q_put(q, 2, 0xf001, 0xfff, VRING_WRITE, 0);
		q_avail(q, 0);
		assert_int_equal(area()->n, 2);
		expect(0, 8, 1);
		expect(1, 10, 1);
		done();
		assert_int_equal(q_used(q), 1);
	}
}

static void test_deflate(void **state)
{
	(void)state;
	q_put(1, 0, PFNS, 64, 0, 0);
	q_avail(1, 0);
	assert_int_equal(q_used(1), 1);
	assert_false(under_way());
}

static void stat_put(unsigned i, uint16_t tag, uint64_t value)
{
	put16(kept->ram, PFNS + i * 10, tag);
	put64(kept->ram + PFNS + i * 10, 2, value);
}

static void test_statistics(void **state)
{
	(void)state;
	assert_int_equal(area()->stats_ns, 0);
	stat_put(0, 4, 1000);
	stat_put(1, 5, 2000);
	stat_put(2, 10, 1); /* of a later version */
	stat_put(3, UINT16_MAX, 1);
	q_put(2, 0, PFNS, 40, 0, 0);
	q_avail(2, 0);
	assert_int_equal(area()->stats_ns, now);
	assert_int_equal(area()->stats[4], 1000);
	assert_int_equal(area()->stats[5], 2000);
	assert_true(area()->stats[0] == IO_BALLOON_UNKNOWN);
	assert_int_equal(q_used(2), 0); /* it stays here */
	assert_true(timer->armed);
	timer->fn(timer->ctx);
	assert_int_equal(q_used(2), 1); /* until it is wanted anew */
	timer->fn(timer->ctx);
	assert_int_equal(q_used(2), 1);
	q_put(2, 1, PFNS, 19, 0, 0); /* one, and a piece */
	q_avail(2, 1);
	assert_true(area()->stats[5] == IO_BALLOON_UNKNOWN);
	q_put(2, 2, PFNS, 10, 0, 0); /* a second buffer: the first goes back */
	q_avail(2, 2);
	assert_int_equal(q_used(2), 2);
}

static void test_configuration(void **state)
{
	unsigned msis = n_msis;

	(void)state;
	config.balloon_pages = 0x12345;
	config.balloon_changes = 1;
	virtio_io();
	assert_int_equal(n_msis, msis); /* no vector for it */
	assert_int_equal(rd(CONFIG, 4), 0x12345);
	wr(CONFIG, 4, 7); /* not the driver's */
	assert_int_equal(rd(CONFIG, 4), 0x12345);
	wr(CONFIG + 4, 4, 0x777);
	assert_int_equal(rd(CONFIG + 4, 4), 0x777);
	assert_int_equal(area()->actual, 0x777);
	instance();
	virtio_resume(&vm);
	assert_int_equal(rd(CONFIG + 4, 4), 0x777);
	assert_int_equal(area()->actual, 0x777);
	wr(STATUS, 1, 0);
	assert_int_equal(rd(CONFIG + 4, 4), 0);
}

/* What is given back late would be taken from a guest that uses it anew. */
static void test_reset_waits(void **state)
{
	const uint32_t pfn = 9;

	(void)state;
	inflate(&pfn, 1);
	wr(STATUS, 1, 0);
	assert_true(rd(STATUS, 1) != 0);
	assert_true(virtio_resetting());
	virtio_io();
	assert_true(virtio_resetting());
	instance(); /* and if the vmm dies meanwhile */
	virtio_resume(&vm);
	assert_true(virtio_resetting());
	done();
	assert_false(virtio_resetting());
	assert_int_equal(rd(STATUS, 1), 0);
	driver();
	inflate(&pfn, 1);
	assert_int_equal(area()->asked, 2);
	done();
	assert_int_equal(q_used(0), 1);
}

/* The next instance waits for what is under way, and does the chain from its beginning. */
static void test_death(void **state)
{
	const uint32_t pfn[] = {9, 11};

	(void)state;
	inflate(pfn, 2);
	instance();
	virtio_resume(&vm);
	assert_int_equal(area()->asked, 1);
	assert_int_equal(q_used(0), 0);
	done();
	assert_int_equal(area()->asked, 2);
	expect(0, 9, 1);
	expect(1, 11, 1);
	done();
	assert_int_equal(q_used(0), 1);
	assert_false(under_way());
}

static void test_quiet(void **state)
{
	const uint32_t pfn = 9;

	(void)state;
	vm.quiet = true;
	inflate(&pfn, 1);
	assert_false(under_way());
	vm.quiet = false;
	virtio_doorbells(~0ull);
	assert_true(under_way());
	done();
	assert_int_equal(q_used(0), 1);
}

/* A loop in a chain: that device alone needs a reset. */
static void test_bad_chain(void **state)
{
	(void)state;
	q_put(0, 0, PFNS, 4, VRING_NEXT, 0);
	q_avail(0, 0);
	assert_true(rd(STATUS, 1) & VIRTIO_NEEDS_RESET);
	assert_false(under_way());
	q_put(3, 0, 0x8000, 0x1000, VRING_WRITE, 0);
	q_avail(3, 0);
	assert_false(under_way());
	driver();
	q_put(3, 0, 0x8000, RAM_BYTES, VRING_WRITE, 0); /* not RAM, all of it */
	q_avail(3, 0);
	assert_true(rd(STATUS, 1) & VIRTIO_NEEDS_RESET);
	assert_false(under_way());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_pages, setup),
		cmocka_unit_test_setup(test_falling_pages, setup),
		cmocka_unit_test_setup(test_no_memory_of_his, setup),
		cmocka_unit_test_setup(test_long_chain, setup),
		cmocka_unit_test_setup(test_one_at_a_time, setup),
		cmocka_unit_test_setup(test_reporting, setup),
		cmocka_unit_test_setup(test_deflate, setup),
		cmocka_unit_test_setup(test_statistics, setup),
		cmocka_unit_test_setup(test_configuration, setup),
		cmocka_unit_test_setup(test_reset_waits, setup),
		cmocka_unit_test_setup(test_death, setup),
		cmocka_unit_test_setup(test_quiet, setup),
		cmocka_unit_test_setup(test_bad_chain, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
