/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/vmm/virtio/virtio.c
// SRC: ctrl-kernel/vmm/hotplug.c
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
// SRC: ctrl-kernel/backend/ioqueue.c
// SRC: ctrl-kernel/rt/fmt.c
/*
 * virtio-blk: what a driver sees, what reaches the I/O area, what comes back; forms that are wrong; resets with requests
 * under way; and the deaths of either side at each of its stores.
 */
#define _GNU_SOURCE
#include <stdio.h>
#define SLOT 4u

#include "tests/unit/virtio_deaths.h"

#include "ctrl-kernel/backend/ioqueue.h"
#include "ctrl-kernel/vmm/virtio/blk.h"

enum { HEADER = BUFFERS, DATA = BUFFERS + 0x1000, STATUS_AT = BUFFERS + 0x4000, STEP = 0x40 };
enum { SECTORS = 2048, CONFIG = 0x200 };

static struct ioqueue back;
static struct io_request taken;

static void attach_ctrl(void)
{
	ioqueue_attach(&back, (struct io_queue *)(void *)kept->area, IO_DISK_ENTRIES,
		       IO_DISK_RECORD);
}

static int setup(void **state)
{
	(void)state;
	config.disks[0] = (struct vmm_disk){
		.present = 1,
		.flags = VMM_DISK_WRITE_CACHE,
		.queues = 1,
		.area = 1,
		.bytes = SECTORS * BLK_SECTOR,
		.sector_bytes = 512,
		.physical_bytes = 4096,
		.discard_max = 1 << 20,
		.serial = "0123456789abcdefghij",
	};
	power_on();
	attach_ctrl();
	return 0;
}

/* ---- a driver: request n has descriptors 3n .. 3n + 2, only 2 of 8 fit beside each other: QSIZE is small ---- */

static uint64_t at(unsigned base, unsigned n)
{
	return base + n * STEP;
}

static void header_put(unsigned n, uint32_t type, uint64_t sector)
{
	put32(kept->ram, at(HEADER, n), type);
	put32(kept->ram, at(HEADER, n) + 4, 0);
	put64(kept->ram, at(HEADER, n) + 8, sector);
	kept->ram[at(STATUS_AT, n)] = 0xff;
}

static uint64_t data_at(unsigned n)
{
	return DATA + n * 0x800;
}

/* in: the device writes the data. bytes 0: none. */
static void chain_put(unsigned n, bool in, uint32_t bytes)
{
	unsigned d = n * 3, status = bytes ? d + 2 : d + 1;

	desc_put(d, at(HEADER, n), 16, VRING_NEXT, (uint16_t)(d + 1));
	if (bytes)
		desc_put(d + 1, data_at(n), bytes, VRING_NEXT | (in ? VRING_WRITE : 0),
			 (uint16_t)(d + 2));
	desc_put(status, at(STATUS_AT, n), 1, VRING_WRITE, 0);
	avail_put((uint16_t)d);
}

static void ask(unsigned n, uint32_t type, uint64_t sector, uint32_t bytes)
{
	header_put(n, type, sector);
	chain_put(n, type == BLK_T_IN || type == BLK_T_GET_ID, bytes);
}

static uint8_t status_of(unsigned n)
{
	return kept->ram[at(STATUS_AT, n)];
}

static void start(void)
{
	driver_start(0, true);
	n_io_tells = n_msis = 0;
}

static void take(unsigned want)
{
	unsigned from = 0, i;

	assert_true(ioqueue_take(&back, &from, &i, &taken));
	assert_int_equal(i, want);
}

static void none_to_take(void)
{
	unsigned from = 0, i;

	assert_false(ioqueue_take(&back, &from, &i, &taken));
}

/* ---- */

static void test_what_it_is(void **state)
{
	(void)state;
	assert_int_equal(cfg(0, 4), 0x10421af4);
	assert_int_equal(cfg(8, 4) >> 8, 0x010000);
	cfg_set(PCI_COMMAND, 2, 6);
	assert_int_equal(rd(0x12, 2), 1); /* queues */
	wr(0, 4, 0);
	assert_int_equal(rd(4, 4) & 0xffffff, BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_FLUSH |
						      BLK_F_TOPOLOGY | BLK_F_MQ | BLK_F_DISCARD |
						      BLK_F_WRITE_ZEROES);
	assert_int_equal(rd(CONFIG, 4), SECTORS);
	assert_int_equal(rd(CONFIG + 12, 4), IO_DISK_SEGS);
	assert_int_equal(rd(CONFIG + 20, 4), 512);
	assert_int_equal(rd(CONFIG + 24, 1), 3); /* 4096 is 512 << 3 */
	assert_int_equal(rd(CONFIG + 34, 2), 1);
	assert_int_equal(rd(CONFIG + 36, 4), 2048);
	assert_int_equal(rd(CONFIG + 40, 4), 1);
	config.disks[0].flags = VMM_DISK_READ_ONLY;
	power_on();
	cfg_set(PCI_COMMAND, 2, 6);
	assert_int_equal(rd(4, 4) & 0xffffff,
			 BLK_F_SEG_MAX | BLK_F_RO | BLK_F_BLK_SIZE | BLK_F_TOPOLOGY | BLK_F_MQ);
}

static void test_read_and_write(void **state)
{
	(void)state;
	start();
	ask(0, BLK_T_IN, 7, 1024);
	ask(1, BLK_T_OUT, 100, 512);
	ring();
	assert_int_equal(n_io_tells, 1); /* once for both */
	assert_int_equal(used_idx(), 0);
	take(0);
	assert_int_equal(taken.record.op, IO_READ);
	assert_int_equal(taken.record.offset, 7 * 512);
	assert_int_equal(taken.record.bytes, 1024);
	assert_int_equal(taken.record.n_segs, 1);
	assert_int_equal(taken.seg[0].gpa, data_at(0));
	take(3);
	assert_int_equal(taken.record.op, IO_WRITE);
	assert_int_equal(taken.record.offset, 51200);
	assert_int_equal(taken.seg[0].bytes, 512);
	assert_int_equal(taken.seg[0].gpa, data_at(1));
	virtio_io(); /* nothing yet */
	assert_int_equal(used_idx(), 0);
	ioqueue_finish(&back, 3, IO_OK);
	ioqueue_finish(&back, 0, IO_OK);
	virtio_io();
	assert_int_equal(n_msis, 1);
	assert_int_equal(used_idx(), 2);
	assert_int_equal(get32(kept->ram, USED + 4), 3); /* as they were done */
	assert_int_equal(get32(kept->ram, USED + 8), 1);
	assert_int_equal(get32(kept->ram, USED + 12), 0);
	assert_int_equal(get32(kept->ram, USED + 16), 1025);
	assert_int_equal(status_of(0), BLK_S_OK);
	assert_int_equal(status_of(1), BLK_S_OK);
	virtio_io();
	assert_int_equal(n_msis, 1);
}

static void test_results(void **state)
{
	(void)state;
	start();
	ask(0, BLK_T_IN, 0, 512);
	ask(1, BLK_T_FLUSH, 0, 0);
	ring();
	take(0);
	take(3);
	assert_int_equal(taken.record.op, IO_FLUSH);
	assert_int_equal(taken.record.n_segs, 0);
	ioqueue_finish(&back, 0, IO_ERROR);
	ioqueue_finish(&back, 3, IO_UNSUPPORTED);
	virtio_io();
	assert_int_equal(status_of(0), BLK_S_IOERR);
	assert_int_equal(get32(kept->ram, USED + 8), 0); /* nothing from the beginning on */
	assert_int_equal(status_of(1), BLK_S_UNSUPP);
	ask(0, BLK_T_IN, 0, 512);
	ring();
	take(0);
	ioqueue_finish(&back, 0, 77); /* a word that does not exist */
	virtio_io();
	assert_int_equal(status_of(0), BLK_S_IOERR);
}

static void test_id(void **state)
{
	(void)state;
	start();
	ask(0, BLK_T_GET_ID, 0, 20);
	ask(1, BLK_T_GET_ID, 0, 10);
	ring();
	none_to_take();
	assert_int_equal(used_idx(), 2);
	assert_memory_equal(kept->ram + data_at(0), "0123456789abcdefghij", 20);
	assert_int_equal(get32(kept->ram, USED + 8), 21);
	assert_memory_equal(kept->ram + data_at(1), "0123456789\0", 11);
	assert_int_equal(status_of(0) | status_of(1), BLK_S_OK);
}

static void range_put(unsigned n, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	put64(kept->ram, data_at(n), sector);
	put32(kept->ram, data_at(n) + 8, sectors);
	put32(kept->ram, data_at(n) + 12, flags);
}

static void test_discard(void **state)
{
	(void)state;
	start();
	range_put(0, 10, 20, 0);
	ask(0, BLK_T_DISCARD, 0, 16);
	range_put(1, 30, 40, 1);
	ask(1, BLK_T_WRITE_ZEROES, 0, 16);
	ring();
	take(0);
	assert_int_equal(taken.record.op, IO_DISCARD);
	assert_int_equal(taken.record.offset, 5120);
	assert_int_equal(taken.record.bytes, 10240);
	assert_int_equal(taken.record.n_segs, 0);
	take(3);
	assert_int_equal(taken.record.op, IO_WRITE_ZEROES);
	assert_int_equal(taken.record.bytes, 20480);
}

/* Each wrong in one way: answered at once, with that status. */
static void test_refused(void **state)
{
	static const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t bytes, flags;
		uint64_t range_sector;
		uint32_t sectors;
		uint8_t status;
	} cases[] = {
		{BLK_T_IN, SECTORS, 512, 0, 0, 0, BLK_S_IOERR},
		{BLK_T_IN, SECTORS - 1, 1024, 0, 0, 0, BLK_S_IOERR},
		{BLK_T_IN, UINT64_MAX, 512, 0, 0, 0, BLK_S_IOERR},
		{BLK_T_OUT, UINT64_MAX / 512, 512, 0, 0, 0, BLK_S_IOERR},
		{BLK_T_IN, 0, 511, 0, 0, 0, BLK_S_IOERR},
		{BLK_T_OUT, 0, 513, 0, 0, 0, BLK_S_IOERR},
		{2, 0, 512, 0, 0, 0, BLK_S_UNSUPP},
		{UINT32_MAX, 0, 0, 0, 0, 0, BLK_S_UNSUPP},
		{BLK_T_DISCARD, 0, 32, 0, 0, 1, BLK_S_IOERR}, /* two ranges */
		{BLK_T_DISCARD, 0, 16, 1, 0, 1, BLK_S_UNSUPP},
		{BLK_T_WRITE_ZEROES, 0, 16, 2, 0, 1, BLK_S_UNSUPP},
		{BLK_T_DISCARD, 0, 16, 0, 0, 0, BLK_S_IOERR},
		{BLK_T_DISCARD, 0, 16, 0, SECTORS, 1, BLK_S_IOERR},
		{BLK_T_DISCARD, 0, 16, 0, UINT64_MAX, 2, BLK_S_IOERR},
		{BLK_T_DISCARD, 0, 16, 0, 0, 2049, BLK_S_IOERR}, /* more than discard_max */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(NULL);
		start();
		range_put(0, cases[i].range_sector, cases[i].sectors, cases[i].flags);
		ask(0, cases[i].type, cases[i].sector, cases[i].bytes);
		ring();
		none_to_take();
		assert_int_equal(used_idx(), 1);
		assert_int_equal(status_of(0), cases[i].status);
		assert_int_equal(rd(STATUS, 1), 15);
	}
}

static void test_read_only(void **state)
{
	(void)state;
	config.disks[0].flags = VMM_DISK_READ_ONLY;
	config.disks[0].discard_max = 0;
	power_on();
	attach_ctrl();
	start();
	ask(0, BLK_T_OUT, 0, 512);
	ask(1, BLK_T_FLUSH, 0, 0);
	ring();
	none_to_take();
	assert_int_equal(status_of(0), BLK_S_IOERR);
	assert_int_equal(status_of(1), BLK_S_UNSUPP);
}

/* Wrong parts: data to write in a read, to read in a write; a request that cannot be answered at all. */
static void test_forms(void **state)
{
	(void)state;
	start();
	header_put(0, BLK_T_IN, 0);
	chain_put(0, false, 512);
	header_put(1, BLK_T_OUT, 0);
	chain_put(1, true, 512);
	ring();
	none_to_take();
	assert_int_equal(status_of(0), BLK_S_IOERR);
	assert_int_equal(status_of(1), BLK_S_IOERR);
	assert_int_equal(rd(STATUS, 1), 15);
	desc_put(0, HEADER, 15, VRING_NEXT, 1);
	desc_put(1, STATUS_AT, 1, VRING_WRITE, 0);
	avail_put(0);
	ring();
	assert_int_equal(rd(STATUS, 1), 15 | VIRTIO_NEEDS_RESET);
	setup(NULL);
	start();
	desc_put(0, HEADER, 16, 0, 0);
	avail_put(0);
	ring();
	assert_int_equal(rd(STATUS, 1), 15 | VIRTIO_NEEDS_RESET);
}

/* The header and the status in pieces, and data that ends in the piece of the status. */
static void test_pieces(void **state)
{
	(void)state;
	start();
	header_put(0, BLK_T_IN, 3);
	desc_put(0, HEADER, 4, VRING_NEXT, 1);
	desc_put(1, HEADER + 4, 12, VRING_NEXT, 2);
	desc_put(2, DATA, 500, VRING_NEXT | VRING_WRITE, 3);
	desc_put(3, DATA + 0x400, 13, VRING_WRITE, 0);
	avail_put(0);
	ring();
	take(0);
	assert_int_equal(taken.record.offset, 1536);
	assert_int_equal(taken.record.bytes, 512);
	assert_int_equal(taken.record.n_segs, 2);
	assert_int_equal(taken.seg[1].gpa, DATA + 0x400);
	assert_int_equal(taken.seg[1].bytes, 12);
	kept->ram[DATA + 0x400 + 12] = 0xff;
	ioqueue_finish(&back, 0, IO_OK);
	virtio_io();
	assert_int_equal(kept->ram[DATA + 0x400 + 12], BLK_S_OK);
	assert_int_equal(get32(kept->ram, USED + 8), 513);
}

/* ---- resets ---- */

static void two_under_way(void)
{
	start();
	ask(0, BLK_T_IN, 0, 512);
	ask(1, BLK_T_OUT, 1, 512);
	ring();
	take(0); /* the other has not been begun */
	n_io_tells = 0;
}

static void comes_back(void)
{
	virtio_io();
	assert_int_not_equal(rd(STATUS, 1), 0);
	assert_true(ioqueue_cancelled(&back));
	take(3);
	ioqueue_finish(&back, 3, IO_ERROR);
	virtio_io();
	assert_int_not_equal(rd(STATUS, 1), 0);
	ioqueue_finish(&back, 0, IO_OK);
	virtio_io();
	assert_int_equal(rd(STATUS, 1), 0);
	assert_false(ioqueue_cancelled(&back));
	assert_int_equal(used_idx(), 0);
	assert_int_equal(status_of(0), 0xff); /* it is the driver's memory again */
	start();
	ask(0, BLK_T_IN, 9, 512);
	ring();
	take(0);
	assert_int_equal(taken.record.offset, 9 * 512);
	ioqueue_finish(&back, 0, IO_OK);
	virtio_io();
	assert_int_equal(status_of(0), BLK_S_OK);
	assert_int_equal(used_idx(), 1);
}

static void test_driver_resets(void **state)
{
	(void)state;
	two_under_way();
	wr(STATUS, 1, 0);
	assert_int_equal(n_io_tells, 1);
	wr(STATUS, 1, 3); /* a driver that does not wait */
	comes_back();
	two_under_way();
	wr(STATUS, 1, 0);
	instance(); /* the vmm dies in between */
	virtio_resume(&vm);
	comes_back();
}

/* Something had come back, and nobody had looked. */
static void test_driver_resets_late(void **state)
{
	(void)state;
	two_under_way();
	take(3);
	ioqueue_finish(&back, 0, IO_OK);
	ioqueue_finish(&back, 3, IO_OK);
	wr(STATUS, 1, 0);
	assert_int_equal(rd(STATUS, 1), 0);
	virtio_io();
	start();
	virtio_io();
	assert_int_equal(used_idx(), 0);
}

static void test_vm_resets(void **state)
{
	(void)state;
	two_under_way();
	pci_reset(&vm);
	virtio_reset(&vm);
	assert_true(virtio_resetting());
	instance();
	pci_reset(&vm); /* the next instance does the reset again */
	virtio_reset(&vm);
	assert_true(virtio_resetting());
	take(3);
	ioqueue_finish(&back, 3, IO_ERROR);
	virtio_io();
	assert_true(virtio_resetting());
	ioqueue_finish(&back, 0, IO_OK);
	virtio_io();
	assert_false(virtio_resetting());
	assert_int_equal(kept->state.virtio.device[SLOT].status, 0);
}

/* What comes back while the function may not write to memory waits until it may. */
static void test_bus_master(void **state)
{
	(void)state;
	two_under_way();
	ioqueue_finish(&back, 0, IO_OK);
	cfg_set(PCI_COMMAND, 2, 2);
	virtio_io();
	assert_int_equal(used_idx(), 0);
	instance();
	virtio_resume(&vm);
	virtio_io();
	assert_int_equal(used_idx(), 0);
	cfg_set(PCI_COMMAND, 2, 6);
	take(0); /* nobody had told of it: it is submitted again */
	take(3);
	ioqueue_finish(&back, 0, IO_OK);
	ioqueue_finish(&back, 3, IO_OK);
	virtio_io();
	assert_int_equal(used_idx(), 2);
}

static void test_size_changes(void **state)
{
	(void)state;
	start();
	config.disks[0].bytes *= 2;
	virtio_io(); /* not published yet */
	assert_int_equal(n_msis, 0);
	config.disks[0].changes++;
	virtio_io();
	assert_int_equal(n_msis, 1);
	assert_int_equal(last_msi.data, 0x40);
	assert_int_equal(rd(CONFIG, 4), 2 * SECTORS);
	virtio_io();
	assert_int_equal(n_msis, 1);
	ask(0, BLK_T_IN, SECTORS, 512);
	ring();
	take(0);
}

/* ---- deaths ---- */

static void next_instance(void)
{
	instance();
	virtio_resume(&vm);
}

/* Carries out what is there, with `seen` to tell what. */
static unsigned seen_ops;

static void ctrl_works(void)
{
	unsigned from = 0, i;

	while (ioqueue_take(&back, &from, &i, &taken)) {
		seen_ops |= 1u << i;
		ioqueue_finish(&back, i, IO_OK);
	}
}

static void all_came_back(void)
{
	unsigned seen = 0;

	ctrl_works();
	virtio_io();
	ctrl_works();
	virtio_io();
	assert_int_equal(used_idx(), 2);
	for (unsigned i = 0; i < 2; i++) {
		seen |= 1u << get32(kept->ram, USED + 4 + i * 8);
		assert_int_equal(status_of(i), BLK_S_OK);
	}
	assert_int_equal(seen, 1 | 1 << 3);
	assert_int_equal(seen_ops, 1 | 1 << 3);
	assert_true(n_msis > 0);
	assert_int_equal(kept->state.virtio.device[SLOT].queue[0].in_flight[0], 0);
	none_to_take();
}

static void two_asked(void)
{
	seen_ops = 0;
	setup(NULL);
	start();
	ask(0, BLK_T_IN, 0, 512);
	ask(1, BLK_T_OUT, 1, 512);
}

/* The vmm, when it submits and when it completes. */
static void test_vmm_dies(void **state)
{
	static void (*const works[])(void) = {ring, virtio_io};

	(void)state;
	for (unsigned w = 0; w < ARRAY_SIZE(works); w++) {
		for (long n = 0;; n++) {
			bool died;

			two_asked();
			if (w == 1) {
				ring();
				ctrl_works();
			}
			died = dies_at(n, works[w]);
			if (died) {
				n_msis = 0;
				next_instance();
			}
			all_came_back();
			if (!died)
				break;
			assert_in_range(n, 0, 200);
		}
	}
}

/* And the next one, when it takes over with one done, and one under way. */
static void test_vmm_dies_taking_over(void **state)
{
	(void)state;
	for (long n = 0;; n++) {
		bool died;

		two_asked();
		ring();
		take(0);
		seen_ops |= 1;
		ioqueue_finish(&back, 0, IO_OK);
		died = dies_at(n, next_instance);
		n_msis = 0;
		next_instance();
		all_came_back();
		if (!died)
			break;
	}
}

/* The control kernel: the next one carries out what was not told of. */
static void test_ctrl_dies(void **state)
{
	(void)state;
	for (long n = 0;; n++) {
		bool died;

		two_asked();
		ring();
		died = dies_at(n, ctrl_works);
		if (died)
			attach_ctrl();
		virtio_io();
		all_came_back();
		if (!died)
			break;
	}
}

static void driver_reset(void)
{
	wr(STATUS, 1, 0);
}

static void reset_goes_on(void)
{
	virtio_io();
}

/* In a reset: it is over when all has come back, and not before. */
static void test_vmm_dies_in_reset(void **state)
{
	(void)state;
	for (long n = 0;; n++) {
		bool first, second;

		two_asked();
		ring();
		take(0);
		first = dies_at(n, driver_reset);
		if (first) {
			next_instance();
			access_again();
		}
		assert_int_not_equal(rd(STATUS, 1), 0);
		take(3);
		ioqueue_finish(&back, 3, IO_ERROR);
		ioqueue_finish(&back, 0, IO_OK);
		second = dies_at(n, reset_goes_on);
		if (second)
			next_instance();
		virtio_io();
		assert_int_equal(rd(STATUS, 1), 0);
		assert_false(ioqueue_cancelled(&back));
		none_to_take();
		if (!first && !second)
			break;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_what_it_is, setup),
		cmocka_unit_test_setup(test_read_and_write, setup),
		cmocka_unit_test_setup(test_results, setup),
		cmocka_unit_test_setup(test_id, setup),
		cmocka_unit_test_setup(test_discard, setup),
		cmocka_unit_test_setup(test_refused, setup),
		cmocka_unit_test_setup(test_read_only, setup),
		cmocka_unit_test_setup(test_forms, setup),
		cmocka_unit_test_setup(test_pieces, setup),
		cmocka_unit_test_setup(test_driver_resets, setup),
		cmocka_unit_test_setup(test_driver_resets_late, setup),
		cmocka_unit_test_setup(test_vm_resets, setup),
		cmocka_unit_test_setup(test_bus_master, setup),
		cmocka_unit_test_setup(test_size_changes, setup),
		cmocka_unit_test(test_vmm_dies),
		cmocka_unit_test(test_vmm_dies_taking_over),
		cmocka_unit_test(test_ctrl_dies),
		cmocka_unit_test(test_vmm_dies_in_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
