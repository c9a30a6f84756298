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
// SRC: ctrl-kernel/ops/console.c
// SRC: ctrl-kernel/ops/error.c
// SRC: ctrl-kernel/ops/hvc.c
// SRC: ctrl-kernel/rt/fmt.c
/*
 * The virtio console: a driver's rings, the vmm's device, the ring that both programs share, and the control kernel's reader and
 * writer; a vmm that dies at any of its stores neither loses nor doubles a byte.
 */
#define _GNU_SOURCE
#define SLOT 3u
#include <stdio.h>

#include "tests/unit/virtio_deaths.h"

#include "ctrl-kernel/ops/console.h"
#include "ctrl-kernel/ops/hvc.h"
#include "ctrl-kernel/rt/hvcall.h"

enum { TX_DESC = 0x4000, TX_AVAIL = 0x4400, TX_USED = 0x4800, TEXT = 0x9000, INPUT = 0xa000 };

static struct hvc hvc;

/* Of ops/hvc.c and console.c; not called here. */
struct hv_result hv_raw(uint64_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			uint64_t f)
{
	abort();
}

void *rt_mem_map(uint32_t mem, uint64_t page_off, uint64_t pages, uint32_t prot)
{
	abort();
}

void rt_mem_unmap(void *va, uint64_t pages)
{
	abort();
}

void rt_die(const char *format, ...)
{
	abort();
}

const char *rt_strerror(int hve)
{
	abort();
}

void mirror_detach(struct console *c)
{
}

void mirror_update(struct console *c)
{
}

/* ---- the driver: queue 0 by virtio_fakes.h, queue 1 here ---- */

static void tx_desc(unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	uint8_t *d = kept->ram + TX_DESC + i * 16;

	put64(d, 0, addr);
	put32(d, 8, len);
	put16(d, 12, flags);
	put16(d, 14, next);
}

static void tx_avail(uint16_t head)
{
	uint16_t idx = ram16(TX_AVAIL + 2);

	put16(kept->ram, TX_AVAIL + 4 + idx % QSIZE * 2, head);
	put16(kept->ram, TX_AVAIL + 2, (uint16_t)(idx + 1));
}

static uint16_t tx_used(void)
{
	return ram16(TX_USED + 2);
}

static void ring_both(void)
{
	virtio_doorbells(3ull << VIRTIO_BELL(SLOT));
}

static void start(void)
{
	memset(&config, 0, sizeof(config));
	config.console = 1;
	power_on();
	hvc.mem = 1;
	hvc.area = &kept->console;
	hvc_begin(&hvc);
	driver_start(0, true);
	memset(kept->ram + TX_DESC, 0, 0x1000);
	wr(STATUS, 1,
	   11); /* queues are set up before DRIVER_OK; this device takes one later, too */
	wr(Q_SELECT, 2, 1);
	wr(Q_SIZE, 2, QSIZE);
	wr(Q_DESC, 4, TX_DESC);
	wr(Q_DRIVER, 4, TX_AVAIL);
	wr(Q_DEVICE, 4, TX_USED);
	wr(Q_VECTOR, 2, 1);
	wr(Q_ENABLE, 2, 1);
	wr(STATUS, 1, 15);
}

static void print(unsigned i, const char *text)
{
	memcpy(kept->ram + TEXT + i * 512, text, strlen(text));
	tx_desc(i, TEXT + i * 512, (uint32_t)strlen(text), 0, 0);
	tx_avail((uint16_t)i);
}

static const char *said(uint64_t from)
{
	static char text[CONSOLE_OUT + 1];
	uint64_t next, lost;

	text[hvc_read(&hvc, from, text, CONSOLE_OUT, &next, &lost)] = '\0';
	return text;
}

static void typed(const char *text)
{
	struct ops_error e;

	assert_int_equal(hvc_input(&hvc, text, strlen(text), &e), 0);
}

static void buffer(unsigned i, uint32_t bytes)
{
	desc_put(i, INPUT + i * 256, bytes, VRING_WRITE, 0);
	avail_put((uint16_t)i);
}

/* All that the guest got, in the order in which it got it. */
static const char *got(void)
{
	static char text[512];
	size_t n = 0;

	for (uint16_t i = 0; i < used_idx(); i++) {
		uint32_t id = get32(kept->ram, USED + 4 + i * 8);
		uint32_t len = get32(kept->ram, USED + 8 + i * 8);

		memcpy(text + n, kept->ram + INPUT + id * 256, len);
		n += len;
	}
	text[n] = '\0';
	return text;
}

static void test_output(void **state)
{
	(void)state;
	start();
	assert_int_equal(cfg(PCI_DEVICE, 2), 0x1043);
	print(0, "hello ");
	tx_desc(1, TEXT + 0x400, 3, VRING_NEXT, 2);
	tx_desc(2, TEXT + 0x500, 3, 0, 0);
	memcpy(kept->ram + TEXT + 0x400, "wor", 3);
	memcpy(kept->ram + TEXT + 0x500, "ld\n", 3);
	tx_avail(1);
	n_msis = 0;
	ring_both();
	assert_string_equal(said(0), "hello world\n");
	assert_string_equal(said(6), "world\n");
	assert_string_equal(said(12), "");
	assert_int_equal(tx_used(), 2);
	assert_true(n_msis > 0);
}

/* More than the ring has: what is gone is said; a chain beyond all measure ends. */
static void test_flood(void **state)
{
	static char text[CONSOLE_OUT];
	uint64_t next, lost;
	size_t n;

	(void)state;
	start();
	for (unsigned i = 0; i < 40; i++) {
		memset(kept->ram + 0x10000, 'a' + (int)i % 26, 4000);
		tx_desc(0, 0x10000, 4000, 0, 0);
		tx_avail(0);
		ring_both();
	}
	n = hvc_read(&hvc, 100, text, sizeof(text), &next, &lost);
	assert_int_equal(n, CONSOLE_OUT_KEPT);
	assert_int_equal(next, 160000);
	assert_int_equal(lost, 160000 - 100 - CONSOLE_OUT_KEPT);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(text[i], 'a' + (int)((next - n + i) / 4000 % 26));
	for (unsigned i = 0; i < QSIZE; i++)
		tx_desc(i, 0, RAM_BYTES, i + 1 < QSIZE ? VRING_NEXT : 0, (uint16_t)(i + 1));
	tx_avail(0);
	ring_both();
	assert_int_equal(kept->console.out_head, 160000 + CONSOLE_OUT);
	assert_int_equal(tx_used(), 41);
}

static void test_input(void **state)
{
	static char much[CONSOLE_IN + 1];
	struct ops_error e;

	(void)state;
	start();
	typed("ab");
	virtio_io();
	assert_int_equal(used_idx(), 0); /* nowhere to go */
	buffer(0, 64);
	buffer(1, 3);
	ring();
	assert_string_equal(got(), "ab");
	typed("cdefgh");
	virtio_io();
	assert_string_equal(got(), "abcde");
	buffer(2, 64);
	ring();
	assert_string_equal(got(), "abcdefgh");
	assert_int_equal(used_idx(), 3);
	buffer(3, 64);
	ring();
	assert_int_equal(used_idx(), 3); /* nothing to give */
	memset(much, 'x', CONSOLE_IN);
	assert_int_equal(hvc_input(&hvc, much, CONSOLE_IN, &e), 0);
	assert_int_equal(hvc_input(&hvc, "y", 1, &e), -1);
	assert_int_equal(e.code, OPS_BUSY);
	assert_int_equal(hvc_input(&hvc, much, CONSOLE_IN + 1, &e), -1);
	assert_int_equal(e.code, OPS_TOO_LARGE);
	kept->console.in_tail -= 5; /* of a vmm that lies */
	assert_int_equal(hvc_input(&hvc, "y", 1, &e), -1);
	virtio_io(); /* and that damaged its own: nothing is read beyond the ring */
	assert_int_equal(used_idx(), 3);
	hvc_begin(&hvc);
	typed("z");
	virtio_io();
	assert_int_equal(used_idx(), 4);
}

static void next_instance(void)
{
	char why[VIRTIO_WHY_MAX];

	instance();
	assert_true(virtio_state_check(&kept->state.virtio, why));
	virtio_resume(&vm);
	virtio_io();
}

static void work(void)
{
	ring_both();
	virtio_io();
}

/* The ring's end is in the middle of it. */
static void prepare(void)
{
	start();
	kept->console.out_head = CONSOLE_OUT - 7;
	kept->console.in_head = kept->console.in_tail = CONSOLE_IN - 3;
	print(0, "one, ");
	print(1, "two and ");
	print(2, "three.");
	buffer(0, 4);
	buffer(1, 64);
	buffer(2, 64);
	typed("what is typed");
}

static void test_death(void **state)
{
	bool died = true;
	long n = 0;

	(void)state;
	for (; died; n++) {
		prepare();
		died = dies_at(n, work);
		if (died)
			next_instance();
		assert_string_equal(said(CONSOLE_OUT - 7), "one, two and three.");
		assert_string_equal(got(), "what is typed");
		assert_int_equal(tx_used(), 3);
		print(3, " More.");
		typed(", more");
		work();
		assert_string_equal(said(CONSOLE_OUT - 7), "one, two and three. More.");
		assert_string_equal(got(), "what is typed, more");
	}
	assert_true(n > 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_input),
		cmocka_unit_test(test_death),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
