/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A NIC from the driver's rings to the switch and back: the vmm's device, the I/O area, the control kernel's port, with a driver
 * by hand, and the deaths of both programs in between.
 */
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
// SRC: ctrl-kernel/backend/ioqueue.c
// SRC: ctrl-kernel/backend/netdev.c
// SRC: net/checksum.c
// SRC: net/fdb.c
// SRC: net/frame.c
// SRC: net/packet.c
// SRC: net/claim.c net/spoof.c
// SRC: net/switch.c
#include "tests/unit/virtio_net_fakes.h"

/* ---- tests ---- */

static void test_config(void **state)
{
	(void)state;
	driver(F_MRG);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(nic_rd(0x200 + i, 1), config.nics[0].mac[i]);
	assert_int_equal(nic_rd(0x206, 2), 1);
	assert_int_equal(nic_rd(0x20a, 2), 1500);
	config.nics[0].link = 0;
	config.nics[0].changes++;
	virtio_io();
	assert_int_equal(nic_rd(0x206, 2), 0);
	assert_int_equal(nic_rd(0x100, 1) & 2, 2); /* and it was told */
}

static void test_sends(void **state)
{
	(void)state;
	driver(F_MRG);
	n_io_tells = 0;
	send_one(60, 1);
	assert_int_equal(n_io_tells, 1);
	settle();
	assert_int_equal(n_out, 1);
	assert_int_equal(last_out_bytes, 60);
	assert_memory_equal(last_out, kept->ram + TX_AT + 12, 60);
	assert_int_equal(used(1), 1);
	assert_int_equal(used_entry(1, 0).len, 0);
}

static void test_receives(void **state)
{
	(void)state;
	driver(0);
	give_buffers(4, 1600);
	settle();
	arrive(60, 5);
	arrive(1514, 7);
	assert_int_equal(used(0), 0);
	settle();
	assert_int_equal(used(0), 2);
	expect_frame(0, 60, 5, 1600);
	expect_frame(1, 1514, 7, 1600);
}

static void test_merges(void **state)
{
	(void)state;
	driver(F_MRG);
	give_buffers(8, 512);
	settle();
	arrive(1514, 3);
	arrive(100, 4);
	settle();
	assert_int_equal(used(0), 4);
	expect_frame(0, 1514, 3, 512);
	expect_frame(3, 100, 4, 512);
	/* 4 are left: this one takes 3, the next finds one too few and is dropped, with nothing lost. */
	arrive(1514, 5);
	arrive(1514, 6);
	arrive(200, 7);
	settle();
	assert_int_equal(used(0), 8);
	expect_frame(4, 1514, 5, 512);
	expect_frame(7, 200, 7, 512);
	assert_int_equal(netdev_port(dev)->counters.rx_no_room, 1);
}

/* Without merging a frame that is larger than a buffer is dropped, the buffer stays. */
static void test_small_buffer(void **state)
{
	(void)state;
	driver(0);
	give_buffers(1, 512);
	settle();
	arrive(1514, 3);
	arrive(100, 4);
	settle();
	assert_int_equal(used(0), 1);
	expect_frame(0, 100, 4, 512);
}

static void test_lies(void **state)
{
	static const struct {
		uint8_t header[12];
	} lies[] = {
		{{1, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0}}, /* a sum outside the frame */
		{{0, 1, 0, 0, 100, 0, 0, 0, 0, 0}},     /* to be split, and no TCP */
		{{0, 9}},
	};

	(void)state;
	driver(F_CSUM);
	for (unsigned i = 0; i < 3; i++) {
		memcpy(kept->ram + TX_AT, lies[i].header, 12);
		memcpy(kept->ram + TX_AT + 12, (uint8_t[]){2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1}, 12);
		desc(1, 0, TX_AT, 72, 0, 0);
		give(1, 0);
		bell(1);
		settle();
		assert_int_equal(used(1), i + 1);
	}
	desc(1, 0, TX_AT, 12, 0, 0); /* a header and nothing else */
	give(1, 0);
	bell(1);
	settle();
	assert_int_equal(used(1), 4);
	assert_int_equal(n_out, 0);
	assert_int_equal(netdev_port(dev)->counters.tx_malformed, 4);
}

static uint8_t command_of(uint8_t class, uint8_t cmd, const void *value, unsigned bytes)
{
	unsigned q = control_at;
	uint16_t before = used(q);

	memcpy(kept->ram + TX_AT, (uint8_t[]){class, cmd}, 2);
	memcpy(kept->ram + TX_AT + 2, value, bytes);
	kept->ram[TX_AT + 8] = 0xee;
	desc(q, 0, TX_AT, 2, VRING_NEXT, 1);
	desc(q, 1, TX_AT + 2, bytes, VRING_NEXT, 2);
	desc(q, 2, TX_AT + 8, 1, VRING_WRITE, 0);
	give(q, 0);
	bell(q);
	assert_int_equal(used(q), before + 1);
	return kept->ram[TX_AT + 8];
}

static uint8_t command(uint8_t class, uint8_t cmd, uint8_t value)
{
	return command_of(class, cmd, &value, 1);
}

static uint8_t pairs_set(uint16_t pairs)
{
	return command_of(4, 0, &pairs, 2);
}

static void test_control(void **state)
{
	(void)state;
	driver(F_CTRL);
	assert_int_equal(command(0, 0, 1), 0);
	settle();
	assert_true(netdev_port(dev)->promiscuous);
	vmm_dies();
	ctrl_dies();
	ctrl_starts();
	assert_true(netdev_port(dev)->promiscuous);
	assert_int_equal(command(0, 0, 0), 0);
	settle();
	assert_false(netdev_port(dev)->promiscuous);
	assert_int_equal(command(0, 1, 1), 0);
	assert_int_equal(command(0, 7, 1), 1);
	assert_int_equal(command(9, 0, 1), 1);
}

/* ---- several pairs ---- */

/* A UDP packet of a flow by its port. */
static void arrive_flow(uint8_t port)
{
	uint8_t frame[60] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0, 0x45, 0, 0, 46};
	struct nic_seg seg = {frame, sizeof(frame)};
	struct packet p;

	frame[23] = 17;
	frame[35] = port;
	assert_true(packet_make(&p, &seg, 1, NULL));
	(void)switch_input(&wire, &p, now);
}

static void with_pairs(unsigned n)
{
	ctrl_dies();
	config.nics[0].pairs = n;
	config.io_pages = n * 2 * IO_NIC_PAGES;
	power_on();
	ctrl_starts();
}

static void test_pairs(void **state)
{
	unsigned by[2] = {0};

	(void)state;
	with_pairs(2);
	driver(F_MRG | F_CTRL | F_MQ);
	assert_int_equal(nic_rd(0x208, 2), 2);
	give_buffers_to(0, N, 128);
	give_buffers_to(2, N, 128);
	settle();
	for (uint8_t port = 0; port < 4; port++)
		arrive_flow(port);
	settle();
	assert_int_equal(used(0), 4); /* until it asks for more */
	assert_int_equal(used(2), 0);
	assert_int_equal(pairs_set(0), 1);
	assert_int_equal(pairs_set(3), 1);
	assert_int_equal(command(4, 0, 2), 1); /* half a number */
	assert_int_equal(pairs_set(2), 0);
	settle();
	for (uint8_t port = 0; port < 8; port++)
		arrive_flow(port);
	settle();
	by[0] = used(0) - 4u;
	by[1] = used(2);
	assert_int_equal(by[0] + by[1], 8);
	assert_true(by[0] && by[1]);
	/* Either transmits. Who comes after a death knows how many there are; a flow keeps its queue. */
	send_by(3, 60, 1);
	settle();
	send_by(1, 60, 2);
	vmm_dies();
	ctrl_dies();
	ctrl_starts();
	settle();
	assert_int_equal(n_out, 2);
	assert_int_equal(used(3), 1);
	assert_int_equal(used(1), 1);
	for (uint8_t port = 0; port < 8; port++)
		arrive_flow(port);
	settle();
	assert_int_equal(used(0), 4 + 2 * by[0]);
	assert_int_equal(used(2), 2 * by[1]);
	/* After a reset it is one again, and then all buffers are back. */
	nic_wr(COMMON_STATUS, 1, 0);
	settle();
	assert_int_equal(nic_rd(COMMON_STATUS, 1), 0);
	driver(F_MRG | F_CTRL | F_MQ);
	give_buffers_to(0, N, 128);
	settle();
	for (uint8_t port = 0; port < 8; port++)
		arrive_flow(port);
	settle();
	assert_int_equal(used(0), 8);
}

/* A driver that does not know of it has its control queue behind the first pair. */
static void test_pairs_unknown(void **state)
{
	(void)state;
	with_pairs(2);
	driver(F_MRG | F_CTRL);
	ring_on(4);
	give_buffers(4, 512);
	assert_int_equal(command(0, 0, 1), 0);
	assert_int_equal(pairs_set(2), 1);
	desc(4, 0, TX_AT, 2, 0, 0);
	give(4, 0);
	bell(4);
	settle();
	assert_int_equal(used(4), 0);
	arrive(100, 3);
	settle();
	assert_int_equal(used(0), 1);
	expect_frame(0, 100, 3, 512);
	send_one(60, 1);
	settle();
	assert_int_equal(n_out, 1);
}

static void test_link_and_hold(void **state)
{
	(void)state;
	driver(0);
	give_buffers(2, 1600);
	settle();
	netdev_link(dev, false);
	arrive(60, 1);
	netdev_link(dev, true);
	held = true;
	arrive(60, 2);
	held = false;
	arrive(60, 3);
	settle();
	assert_int_equal(used(0), 1);
	expect_frame(0, 60, 3, 1600);
}

/* Not over before the receive buffers are back: their memory is the driver's then. */
static void test_reset(void **state)
{
	(void)state;
	driver(F_MRG);
	give_buffers(4, 1600);
	settle();
	nic_wr(COMMON_STATUS, 1, 0);
	assert_int_not_equal(nic_rd(COMMON_STATUS, 1), 0);
	arrive(60, 1); /* nobody takes it any more */
	settle();
	assert_int_equal(nic_rd(COMMON_STATUS, 1), 0);
	assert_int_equal(used(0), 0);
	for (unsigned i = 12; i < 80; i++)
		assert_int_equal(kept->ram[BUFFER_AT + i], 0);
	driver(F_MRG);
	give_buffers(4, 1600);
	settle();
	arrive(60, 2);
	settle();
	assert_int_equal(used(0), 1);
}

/* And when either dies in the middle of it. */
static void test_reset_and_deaths(void **state)
{
	(void)state;
	for (unsigned who = 0; who < 3; who++) {
		driver(F_MRG);
		give_buffers(4, 1600);
		settle();
		nic_wr(COMMON_STATUS, 1, 0);
		if (who & 1)
			vmm_dies();
		if (who & 2) {
			ctrl_dies();
			ctrl_starts();
		}
		settle();
		assert_int_equal(nic_rd(COMMON_STATUS, 1), 0);
	}
}

/* What is on its way is sent again or comes again; nothing comes twice in the guest's rings. */
static void test_deaths(void **state)
{
	(void)state;
	driver(F_MRG);
	give_buffers(8, 512);
	ctrl_dies();
	send_one(60, 1);
	ctrl_starts();
	settle();
	assert_int_equal(n_out, 1);
	assert_int_equal(used(1), 1);
	arrive(1514, 3);
	vmm_dies(); /* it had not completed them: they are given again, the frame is lost */
	settle();
	assert_int_equal(used(0), 0);
	arrive(1514, 4);
	ctrl_dies(); /* it had finished and not told */
	ctrl_starts();
	settle();
	assert_int_equal(used(0), 3);
	expect_frame(0, 1514, 4, 512);
}

/* The control kernel has died behind the first of three buffers: the guest never sees a part of the frame. */
static void test_half_a_frame(void **state)
{
	struct io_queue *q = vm_io_page(1);
	uint64_t before;

	(void)state;
	for (unsigned n = 1; n < 3; n++) {
		driver(F_MRG);
		give_buffers(8, 512);
		settle();
		before = q->done[0];
		arrive(1514, 9);
		/* As if the last ones had not been toggled: they are under way still. */
		for (unsigned i = 0, seen = 0; i < 8; i++)
			if ((q->done[0] ^ before) >> i & 1 && seen++ >= n)
				q->done[0] ^= 1ull << i;
		q->order_tail -= 3 - n;
		ctrl_dies();
		ctrl_starts();
		settle();
		assert_int_equal(used(0), 0);
		for (unsigned i = 0; i < 3; i++)
			arrive(1514, (uint8_t)(20 + i)); /* 8 buffers: two of them fit */
		settle();
		assert_int_equal(used(0), 6);
		expect_frame(0, 1514, 20, 512);
		expect_frame(3, 1514, 21, 512);
		nic_wr(COMMON_STATUS, 1, 0);
		settle();
	}
}

/* A flood takes its turn, not all of the loop's time. */
static void test_turns(void **state)
{
	unsigned turns = 0;

	(void)state;
	driver(0);
	for (unsigned i = 0; i < N; i++) {
		memcpy(kept->ram + TX_AT + 12,
		       (uint8_t[]){255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 0x12, 0x34}, 14);
		desc(1, i, TX_AT, 72, 0, 0);
		give(1, i);
	}
	bell(1);
	attached->ops->look(attached);
	while (turn())
		turns++;
	assert_int_equal(n_out, N);
	assert_in_range(turns, 0, 2);
	virtio_io();
	assert_int_equal(used(1), N);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_config),        T(test_sends),        T(test_receives),
		T(test_merges),        T(test_small_buffer), T(test_lies),
		T(test_control),       T(test_pairs),        T(test_pairs_unknown),
		T(test_link_and_hold), T(test_reset),        T(test_reset_and_deaths),
		T(test_deaths),        T(test_half_a_frame), T(test_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
