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
// SRC: ctrl-kernel/rt/fmt.c
/*
 * virtio-rng by hand: what the capabilities say, negotiation, queues, interrupts by MSI-X and INTx, BARs that move, drivers
 * that lie.
 */

#include <stdio.h>

#include "tests/unit/virtio_fakes.h"

#include "ctrl-kernel/vmm/virtio/csprng.h"

#define EVENT_IDX VIRTIO_RING_EVENT_IDX
#define INDIRECT VIRTIO_RING_INDIRECT

static int setup(void **state)
{
	(void)state;
	power_on();
	return 0;
}

static void test_chacha(void **state)
{
	static const uint32_t nonce[3] = {0x09000000, 0x4a000000, 0}; /* RFC 8439, 2.3.2 */
	static const uint8_t first[16] = {0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15,
					  0x50, 0x0f, 0xdd, 0x1f, 0xa3, 0x20, 0x71, 0xc4};
	static const uint8_t last[4] = {0xa2, 0x50, 0x3c, 0x4e};
	uint32_t key[8];
	uint8_t out[64];

	(void)state;
	for (unsigned i = 0; i < 32; i++)
		((uint8_t *)key)[i] = (uint8_t)i;
	chacha20_block(key, 1, nonce, out);
	assert_memory_equal(out, first, sizeof(first));
	assert_memory_equal(out + 60, last, sizeof(last));
}

/* No two pieces alike, whatever their sizes; nothing given away stays in the generator. */
static void test_csprng(void **state)
{
	static const uint64_t seed[4] = {1, 2, 3, 4};
	struct csprng g;
	uint8_t all[3000];
	unsigned ones = 0;

	(void)state;
	csprng_init(&g, seed);
	for (unsigned at = 0, n = 1; at + n <= sizeof(all); at += n, n = n * 3 % 97 + 1) {
		csprng_bytes(&g, all + at, n);
		for (unsigned i = 32; n >= 8 && i + n <= sizeof(g.pool); i++)
			assert_memory_not_equal(g.pool + i, all + at, n);
		if (n >= 8)
			for (unsigned i = 0; i + n <= at; i++)
				assert_memory_not_equal(all + i, all + at, n);
	}
	for (unsigned i = 0; i < 2500; i++)
		ones += (unsigned)__builtin_popcount(all[i]);
	assert_in_range(ones, 9600, 10400); /* 10,000 are to be expected, within 5 sigma */
}

static void test_capabilities(void **state)
{
	unsigned seen = 0, at = cfg(0x34, 1), n = 0, bells = 0;

	(void)state;
	assert_int_equal(cfg(0, 4), 0x10441af4);
	assert_true(cfg(PCI_STATUS, 2) & 0x10);
	assert_int_equal(cfg(0x3d, 1), 1);
	for (; at; at = cfg(at + 1, 1)) {
		assert_true(n++ < 8 && at % 4 == 0);
		if (cfg(at, 1) == 0x11) {
			assert_int_equal(cfg(at + 2, 2), 1); /* two vectors */
			assert_int_equal(cfg(at + 4, 4), 0x1000);
			assert_int_equal(cfg(at + 8, 4), 0x1800);
			continue;
		}
		assert_int_equal(cfg(at, 1), 9);
		seen |= 1u << cfg(at + 3, 1);
		if (cfg(at + 3, 1) != 2)
			continue;
		assert_int_equal(cfg(at + 4, 1), bells++ == 0); /* the ports first */
		assert_int_equal(cfg(at + 8, 4), bells == 1 ? 0 : NOTIFY);
		assert_int_equal(cfg(at + 16, 4), 4); /* notify_off_multiplier */
	}
	assert_int_equal(seen, 1 << 1 | 1 << 2 | 1 << 3 | 1 << 5); /* no configuration of its own */
	assert_int_equal(bells, 2);
}

/* ---- negotiation ---- */

static void test_negotiation(void **state)
{
	(void)state;
	cfg_set(PCI_COMMAND, 2, 6);
	wr(0, 4, 1);
	assert_int_equal(rd(4, 4) & 1, 1); /* VERSION_1 */
	wr(0, 4, 0);
	assert_int_equal(rd(4, 4), INDIRECT | EVENT_IDX);
	wr(0, 4, 2);
	assert_int_equal(rd(4, 4), 0);
	wr(STATUS, 1, 3);
	features_set(EVENT_IDX); /* without VERSION_1 */
	wr(STATUS, 1, 11);
	assert_int_equal(rd(STATUS, 1), 3);
	features_set(VIRTIO_VERSION_1 | 1); /* not offered */
	wr(STATUS, 1, 11);
	assert_int_equal(rd(STATUS, 1), 3);
	wr(STATUS, 1, 7); /* DRIVER_OK without FEATURES_OK */
	assert_int_equal(rd(STATUS, 1), 3);
	wr(Q_ENABLE, 2, 1);
	assert_int_equal(rd(Q_ENABLE, 2), 0);
	features_set(VIRTIO_VERSION_1);
	wr(STATUS, 1, 11);
	assert_int_equal(rd(STATUS, 1), 11);
	features_set(EVENT_IDX); /* too late */
	wr(F_SELECT, 4, 0);
	assert_int_equal(rd(F_VALUE, 4), 0);
	wr(STATUS, 1, 1); /* bits do not go */
	assert_int_equal(rd(STATUS, 1), 11);
	wr(STATUS, 1, 0x4f);
	assert_int_equal(rd(STATUS, 1), 15); /* NEEDS_RESET is not the driver's */
	wr(STATUS, 1, 0);
	assert_int_equal(rd(STATUS, 1), 0);
	assert_int_equal(rd(F_VALUE, 4), 0);
}

static void test_widths(void **state)
{
	(void)state;
	cfg_set(PCI_COMMAND, 2, 6);
	wr(Q_SELECT, 2, 7);
	assert_int_equal(rd(Q_SELECT, 1), 0);
	assert_int_equal(rd(Q_SELECT, 4), 0);
	assert_int_equal(rd(Q_SELECT, 2), 7);
	assert_int_equal(rd(Q_SIZE, 2), 0); /* there is no queue 7 */
	wr(Q_SIZE, 2, 4);
	wr(Q_SELECT, 2, 0);
	assert_int_equal(rd(Q_SIZE, 2), 64);
	wr(STATUS, 4, 3);
	assert_int_equal(rd(STATUS, 1), 0);
	wr(CONFIG_VECTOR, 2, 2);
	assert_int_equal(rd(CONFIG_VECTOR, 2), 0xffff);
	wr(CONFIG_VECTOR, 2, 1);
	assert_int_equal(rd(CONFIG_VECTOR, 2), 1);
	assert_int_equal(rd(0x12, 2), 1);
	assert_int_equal(rd(0x1000, 8), 0);
	assert_int_equal(rd(0x3ff8, 8), 0);
	assert_int_equal(rd(0x2000, 4), 0);
}

/* ---- requests ---- */

static void test_request(void **state)
{
	(void)state;
	driver_start(0, true);
	desc_put(3, BUFFERS, 16, VRING_WRITE | VRING_NEXT, 5);
	desc_put(5, BUFFERS + 0x100, 64, VRING_WRITE, 0);
	avail_put(3);
	ring();
	assert_int_equal(used_idx(), 1);
	assert_int_equal(get32(kept->ram, USED + 4), 3);
	assert_int_equal(get32(kept->ram, USED + 8), 80);
	assert_true(filled(0, 16) && filled(0x100, 64));
	assert_int_equal(kept->ram[BUFFERS + 16], 0);
	assert_int_equal(n_msis, 1);
	assert_int_equal(last_msi.data, 0x41);
	ring(); /* nothing new: nothing happens */
	assert_int_equal(n_msis, 1);
	put16(kept->ram, AVAIL, 1); /* NO_INTERRUPT */
	avail_put(3);
	ring();
	assert_int_equal(used_idx(), 2);
	assert_int_equal(n_msis, 1);
	assert_int_equal(rd(STATUS, 1), 15);
}

static void test_indirect(void **state)
{
	(void)state;
	driver_start(INDIRECT, true);
	put64(kept->ram, TABLE + 1, BUFFERS); /* tables may lie anywhere */
	put32(kept->ram, TABLE + 1 + 8, 32);
	put16(kept->ram, TABLE + 1 + 12, VRING_WRITE);
	desc_put(0, TABLE + 1, 16, VRING_INDIRECT, 0);
	avail_put(0);
	ring();
	assert_int_equal(used_idx(), 1);
	assert_int_equal(get32(kept->ram, USED + 8), 32);
	assert_true(filled(0, 32));
}

static void test_event_idx(void **state)
{
	(void)state;
	driver_start(EVENT_IDX, true);
	for (unsigned i = 0; i < 4; i++)
		desc_put(i, BUFFERS, 8, VRING_WRITE, 0);
	put16(kept->ram, AVAIL + 4 + QSIZE * 2, 2); /* tell me of the third */
	for (uint16_t i = 0; i < 4; i++) {
		avail_put(i);
		ring();
		assert_int_equal(ram16(USED + 4 + QSIZE * 8),
				 i + 1); /* avail_event: the next one */
		assert_int_equal(n_msis, i >= 2);
	}
	put16(kept->ram, AVAIL + 4 + QSIZE * 2, 5);
	avail_put(0);
	avail_put(1);
	avail_put(2);
	ring(); /* 5 to 7 at once: that holds the sixth */
	assert_int_equal(used_idx(), 7);
	assert_int_equal(n_msis, 2);
}

/* More than a turn may do: the rest comes in the next ones. */
static void test_bounded(void **state)
{
	(void)state;
	driver_start(EVENT_IDX, true);
	wr(STATUS, 1, 0);
	wr(STATUS, 1, 3);
	features_set(VIRTIO_VERSION_1);
	wr(STATUS, 1, 11);
	queue_set(DESC, AVAIL, USED, 64);
	wr(Q_ENABLE, 2, 1);
	wr(STATUS, 1, 15);
	memset(kept->ram + AVAIL, 0, 0x1000);
	for (unsigned i = 0; i < 64; i++) {
		desc_put(i, BUFFERS + i, 1, VRING_WRITE, 0);
		put16(kept->ram, AVAIL + 4 + i * 2, (uint16_t)i);
	}
	put16(kept->ram, AVAIL + 2, 64);
	ring();
	assert_int_equal(used_idx(), VIRTIO_TURN);
	while (turn())
		;
	assert_int_equal(used_idx(), 64);
}

/* ---- interrupts ---- */

static void test_intx(void **state)
{
	(void)state;
	driver_start(0, false);
	request();
	assert_int_equal(irq_level[17], 1);
	assert_true(cfg(PCI_STATUS, 2) & 8);
	cfg_set(PCI_COMMAND, 2, 0x406); /* INTx off */
	assert_int_equal(irq_level[17], 0);
	cfg_set(PCI_COMMAND, 2, 6);
	assert_int_equal(irq_level[17], 1);
	instance(); /* the line is a new instance's too, and the same read again gets the same */
	virtio_resume(&vm);
	assert_int_equal(rd(ISR, 1), 3); /* a new instance tells of everything */
	assert_int_equal(irq_level[17], 0);
	instance();
	assert_int_equal(access_again() & 0xff, 3);
	assert_int_equal(rd(ISR, 1), 0);
	assert_int_equal(n_msis, 0);
	request();
	cfg_set(0x42, 2, 0x8000); /* MSI-X on: no line any more */
	assert_int_equal(irq_level[17], 0);
	wr(STATUS, 1, 0);
	assert_int_equal(rd(ISR, 1), 0);
}

static void test_masks(void **state)
{
	(void)state;
	driver_start(0, true);
	wr(TABLE_MSIX + 16 + 12, 4, 1);
	request();
	assert_int_equal(n_msis, 0);
	assert_int_equal(rd(PBA, 8), 2);
	cfg_set(0x42, 2, 0xc000);
	wr(TABLE_MSIX + 16 + 12, 4, 0); /* the function is masked still */
	assert_int_equal(n_msis, 0);
	instance();
	virtio_resume(&vm);
	assert_int_equal(rd(PBA, 4),
			 3); /* with the configuration's, as a new instance tells of everything */
	cfg_set(0x42, 2, 0x8000);
	assert_int_equal(n_msis, 2);
	assert_int_equal(rd(PBA, 4), 0);
	wr(TABLE_MSIX + 16, 8, 0xfee01000); /* a quadword */
	wr(TABLE_MSIX + 16 + 8, 2, 0xffff); /* not allowed: nothing */
	assert_int_equal(rd(TABLE_MSIX + 24, 4), 0x41);
	wr(Q_VECTOR, 2, 0xffff);
	request();
	assert_int_equal(n_msis, 2);
	wr(Q_VECTOR, 2, 1);
	request();
	assert_int_equal(n_msis, 3);
	assert_int_equal(last_msi.address, 0xfee01000);
}

/* ---- BARs ---- */

static void bar_is(uint64_t base)
{
	unsigned bells = 0, parks = 0;

	for (unsigned i = 0; i < n_claims; i++) {
		assert_in_range(claims[i].base, base, base + 0x3fff);
		if (claims[i].kind == HV_CLAIM_DOORBELL) {
			assert_int_equal(claims[i].base, base + NOTIFY);
			assert_int_equal(claims[i].bit, VIRTIO_BELL(SLOT));
			bells++;
		} else {
			parks++;
		}
	}
	assert_int_equal(bells, base != 0);
	assert_int_equal(parks, base != 0);
}

static void test_bar(void **state)
{
	(void)state;
	assert_int_equal(rd(STATUS, 1), 0xff); /* decoding is off */
	bar_is(0);
	cfg_set(PCI_COMMAND, 2, 2);
	bar_is(BAR);
	assert_int_equal(rd(STATUS, 1), 0);
	cfg_set(PCI_BAR0, 4, UINT32_MAX); /* sizing */
	assert_int_equal(cfg(PCI_BAR0, 4), 0xffffc000);
	bar_is(0);
	cfg_set(PCI_BAR0, 4, 0xf0000000);
	bar_is(0xf0000000);
	assert_int_equal(access_new(HV_MMIO_READ, 0xf0000000 + Q_SIZE, 2, 0), 64);
	cfg_set(PCI_BAR0, 4, (uint32_t)HV_GPA_ECAM); /* outside the window */
	bar_is(0);
	cfg_set(PCI_BAR0, 4, 0xfebfc000); /* its last place */
	bar_is(0xfebfc000);
	cfg_set(PCI_BAR0, 4, 0xfec00000);
	bar_is(0);
	cfg_set(PCI_BAR0, 4, (uint32_t)BAR);
	bar_is(BAR);
	cfg_set(PCI_COMMAND, 2, 0);
	bar_is(0);
	cfg_set(PCI_COMMAND, 2, 2);
	pci_reset(&vm);
	virtio_reset(&vm);
	bar_is(0);
}

/* The doorbells are also ports, decoded on their own; the vmm hears what hv did not. */
static void test_ports(void **state)
{
	(void)state;
	assert_int_equal(cfg(PCI_BAR0 + 4, 4), PORTS | 1);
	cfg_set(PCI_COMMAND, 2, 1);
	assert_int_equal(n_claims, 1);
	assert_int_equal(claims[0].base, PORTS);
	assert_int_equal(claims[0].kind, HV_CLAIM_DOORBELL);
	assert_int_equal(claims[0].bit, VIRTIO_BELL(SLOT));
	cfg_set(PCI_BAR0 + 4, 4, UINT32_MAX); /* sizing */
	assert_int_equal(cfg(PCI_BAR0 + 4, 4), 0xffffffc1);
	assert_int_equal(n_claims, 0);
	cfg_set(PCI_BAR0 + 4, 4, 0xcc0); /* outside the window, */
	assert_int_equal(n_claims, 0);
	cfg_set(PCI_BAR0 + 4, 4, 0xffc0); /* its last place, */
	assert_int_equal(claims[0].base, 0xffc0);
	cfg_set(PCI_BAR0 + 4, 4, 0x1ffc0); /* and beyond */
	assert_int_equal(n_claims, 0);
	cfg_set(PCI_BAR0 + 4, 4, 0x2000);
	instance();
	assert_int_equal(claims[0].base, 0x2000);
	assert_int_equal(n_claims, 1);
	driver_start(0, true);
	cfg_set(PCI_COMMAND, 2, 7);
	desc_put(0, BUFFERS, 8, VRING_WRITE, 0);
	avail_put(0);
	access_new(HV_PIO_WRITE, 0x2000, 2, 0);
	assert_int_equal(used_idx(), 1);
	assert_int_equal(access_new(HV_PIO_READ, 0x2000, 2, 0), 0);
	pci_reset(&vm);
	virtio_reset(&vm);
	assert_int_equal(n_claims, 0);
}

/* The configuration window: registers without decoding the BAR. */
static void test_window(void **state)
{
	(void)state;
	driver_start(0, true);
	cfg_set(0xa8, 1, 0);
	cfg_set(0xac, 4, STATUS);
	cfg_set(0xb0, 4, 1);
	assert_int_equal(cfg(0xb4, 1), 15);
	desc_put(0, BUFFERS, 8, VRING_WRITE, 0);
	avail_put(0);
	cfg_set(0xac, 4, NOTIFY);
	cfg_set(0xb0, 4, 2);
	cfg_set(0xb4, 2, 0);
	assert_int_equal(used_idx(), 1);
	cfg_set(0xac, 4, 0xfffffffc);
	cfg_set(0xb0, 4, 4);
	assert_int_equal(cfg(0xb4, 4), 0);
	cfg_set(0xac, 4, STATUS);
	cfg_set(0xb0, 4, 3);
	assert_int_equal(cfg(0xb4, 4), 0);
}

/* Without bus mastering nothing is written to memory; what waits goes on when it is back. */
static void test_bus_master(void **state)
{
	(void)state;
	driver_start(0, true);
	cfg_set(PCI_COMMAND, 2, 2);
	request();
	assert_int_equal(used_idx(), 0);
	cfg_set(PCI_COMMAND, 2, 6);
	assert_int_equal(used_idx(), 1);
}

/* ---- drivers that lie ---- */

static void lie_loop(void)
{
	desc_put(0, BUFFERS, 8, VRING_WRITE | VRING_NEXT, 0);
}
static void lie_beyond(void)
{
	desc_put(0, RAM_BYTES - 4, 8, VRING_WRITE, 0);
}
static void lie_wraps(void)
{
	desc_put(0, UINT64_MAX - 3, 8, VRING_WRITE, 0);
}
static void lie_next(void)
{
	desc_put(0, BUFFERS, 8, VRING_WRITE | VRING_NEXT, QSIZE);
}
static void lie_empty(void)
{
	desc_put(0, BUFFERS, 0, VRING_WRITE, 0);
}
static void lie_order(void)
{
	desc_put(0, BUFFERS, 8, VRING_WRITE | VRING_NEXT, 1);
	desc_put(1, BUFFERS, 8, 0, 0);
}
static void lie_nested(void)
{
	put64(kept->ram, TABLE, TABLE);
	put32(kept->ram, TABLE + 8, 16);
	put16(kept->ram, TABLE + 12, VRING_INDIRECT);
	desc_put(0, TABLE, 16, VRING_INDIRECT, 0);
}
static void lie_table_loop(void)
{
	put64(kept->ram, TABLE, BUFFERS);
	put32(kept->ram, TABLE + 8, 16);
	put16(kept->ram, TABLE + 12, VRING_WRITE | VRING_NEXT);
	put16(kept->ram, TABLE + 14, 0);
	desc_put(0, TABLE, 16, VRING_INDIRECT, 0);
}
static void lie_table_odd(void)
{
	desc_put(0, TABLE, 24, VRING_INDIRECT, 0);
}
static void lie_table_none(void)
{
	desc_put(0, TABLE, 0, VRING_INDIRECT, 0);
}
static void lie_table_long(void)
{
	desc_put(0, TABLE, 65 * 16, VRING_INDIRECT, 0);
}
static void lie_table_next(void)
{
	desc_put(0, TABLE, 16, VRING_INDIRECT | VRING_NEXT, 1);
}
static void lie_table_outside(void)
{
	desc_put(0, RAM_BYTES, 16, VRING_INDIRECT, 0);
}
static void lie_head(void)
{
	put16(kept->ram, AVAIL + 4, QSIZE);
}
static void lie_index(void)
{
	put16(kept->ram, AVAIL + 2, QSIZE + 1);
}

static void test_lies(void **state)
{
	static void (*const lies[])(void) = {
		lie_loop,       lie_beyond,     lie_wraps,         lie_next,      lie_empty,
		lie_order,      lie_nested,     lie_table_loop,    lie_table_odd, lie_table_none,
		lie_table_long, lie_table_next, lie_table_outside, lie_head,      lie_index,
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		driver_start(INDIRECT, true);
		n_msis = 0;
		now += 1000000000;
		avail_put(0);
		lies[i]();
		ring();
		assert_int_equal(rd(STATUS, 1), 0x4f);
		assert_int_equal(used_idx(), 0);
		assert_int_equal(n_logs, i + 1);
		assert_contains(last_log, "virtio-rng at 00:01.0 needs a reset: ");
		assert_int_equal(n_msis, 1);
		assert_int_equal(last_msi.data, 0x40); /* the configuration's */
		desc_put(0, BUFFERS, 8, VRING_WRITE, 0);
		put16(kept->ram, AVAIL + 4, 0);
		put16(kept->ram, AVAIL + 2, 1);
		ring(); /* it stays so */
		assert_int_equal(used_idx(), 0);
		instance();
		virtio_resume(&vm);
		assert_int_equal(used_idx(), 0);
		assert_int_equal(rd(STATUS, 1), 0x4f);
	}
	driver_start(0, true); /* INDIRECT was not agreed on */
	desc_put(0, TABLE, 16, VRING_INDIRECT, 0);
	avail_put(0);
	ring();
	assert_int_equal(rd(STATUS, 1), 0x4f);
	assert_int_equal(n_logs, ARRAY_SIZE(lies) + 1);
	driver_start(0, true);
	lie_head();
	put16(kept->ram, AVAIL + 2, 1);
	ring();
	assert_int_equal(rd(STATUS, 1), 0x4f);
	assert_int_equal(n_logs, ARRAY_SIZE(lies) + 1); /* not again within a second */
	driver_start(0, true);
	request();
	assert_int_equal(used_idx(), 1);
}

static void test_bad_queues(void **state)
{
	static const struct {
		uint64_t desc, avail, used;
		unsigned size;
	} bad[] = {
		{DESC, AVAIL, USED, 3},           {DESC, AVAIL, USED, 0},
		{DESC, AVAIL, USED, 128},         {DESC + 8, AVAIL, USED, 8},
		{DESC, AVAIL + 1, USED, 8},       {DESC, AVAIL, USED + 2, 8},
		{RAM_BYTES - 64, AVAIL, USED, 8}, {DESC, RAM_BYTES - 16, USED, 8},
		{DESC, AVAIL, UINT64_MAX - 3, 8}, {HV_GPA_HOLE_END, AVAIL, USED, 8},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		driver_start(0, true);
		wr(STATUS, 1, 0);
		wr(STATUS, 1, 3);
		features_set(VIRTIO_VERSION_1);
		wr(STATUS, 1, 11);
		queue_set(bad[i].desc, bad[i].avail, bad[i].used, bad[i].size);
		wr(Q_ENABLE, 2, 1);
		assert_int_equal(rd(Q_ENABLE, 2), 0);
		assert_int_equal(rd(STATUS, 1), 0x4b);
	}
}

static void test_queue_reset(void **state)
{
	(void)state;
	driver_start(VIRTIO_RING_RESET, true);
	request();
	wr(Q_DESC, 4, 0); /* it is on: nothing changes */
	assert_int_equal(rd(Q_DESC, 4), DESC);
	wr(Q_RESET, 2, 1);
	assert_int_equal(rd(Q_RESET, 2), 0);
	assert_int_equal(rd(Q_ENABLE, 2), 0);
	memset(kept->ram + AVAIL, 0, 0x2000);
	queue_set(DESC, AVAIL, USED, QSIZE);
	wr(Q_ENABLE, 2, 1);
	request();
	assert_int_equal(used_idx(), 1);
	driver_start(0, true);
	wr(Q_RESET, 2, 1); /* was not agreed on */
	assert_int_equal(rd(Q_ENABLE, 2), 1);
}

static void test_check(void **state)
{
	char why[VIRTIO_WHY_MAX];
	struct virtio_state *s = &kept->state.virtio;

	(void)state;
	assert_true(virtio_state_check(s, why));
	driver_start(0, true);
	request();
	assert_true(virtio_state_check(s, why));
	s->device[SLOT].queue[0].size = 3;
	assert_false(virtio_state_check(s, why));
	assert_string_equal(why, "virtio-rng at 00:01.0: queue");
	s->device[SLOT].queue[0].size = QSIZE;
	s->device[SLOT].status |= 0x800;
	assert_false(virtio_state_check(s, why));
	assert_string_equal(why, "virtio-rng at 00:01.0: status");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chacha),
		cmocka_unit_test(test_csprng),
		cmocka_unit_test_setup(test_capabilities, setup),
		cmocka_unit_test_setup(test_negotiation, setup),
		cmocka_unit_test_setup(test_widths, setup),
		cmocka_unit_test_setup(test_request, setup),
		cmocka_unit_test_setup(test_indirect, setup),
		cmocka_unit_test_setup(test_event_idx, setup),
		cmocka_unit_test_setup(test_bounded, setup),
		cmocka_unit_test_setup(test_intx, setup),
		cmocka_unit_test_setup(test_masks, setup),
		cmocka_unit_test_setup(test_bar, setup),
		cmocka_unit_test_setup(test_ports, setup),
		cmocka_unit_test_setup(test_window, setup),
		cmocka_unit_test_setup(test_bus_master, setup),
		cmocka_unit_test_setup(test_lies, setup),
		cmocka_unit_test_setup(test_bad_queues, setup),
		cmocka_unit_test_setup(test_queue_reset, setup),
		cmocka_unit_test_setup(test_check, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
