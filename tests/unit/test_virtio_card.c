/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest sends by a card that reads it where it lies: when it is the guest's again, through deaths and resets. */
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

static void card_is_done(void)
{
	nic_hold_put(&reading->hold);
	reading = NULL;
}

/* What a card reads from where it lies is the guest's again when it has; what has been copied at once. */
static void test_card(void **state)
{
	(void)state;
	card = true;
	driver(F_MRG);
	send_one(60, 1);
	settle();
	assert_null(reading);
	assert_int_equal(used(1), 1);
	send_one(1514, 2);
	settle();
	assert_int_equal(n_out, 2);
	assert_int_equal(n_pieces, 1);
	assert_int_equal(piece[0].hpa, TX_AT + 12 + PACKET_HEAD_MAX);
	assert_int_equal(piece[0].bytes, 1514 - PACKET_HEAD_MAX);
	assert_int_equal(used(1), 1);
	assert_int_equal(under_way, 1);
	assert_true(attached->ops->busy(attached));
	card_is_done();
	settle();
	assert_int_equal(used(1), 2);
	assert_false(attached->ops->busy(attached));
}

/* It keeps the guest's memory when the run ends, and the next control kernel sends the frame again. */
static void test_card_and_deaths(void **state)
{
	(void)state;
	card = true;
	driver(F_MRG);
	send_one(1514, 2);
	settle();
	n_left = 0;
	ctrl_dies();
	assert_int_equal(mem_refs, 1);
	assert_int_equal(n_left, 0);
	card_is_done();
	assert_int_equal(mem_refs, 0);
	assert_int_equal(n_left, 1);
	assert_int_equal(used(1), 0);
	ctrl_starts();
	settle();
	assert_int_equal(n_out, 2);
	vmm_dies();
	settle();
	card_is_done();
	settle();
	assert_int_equal(n_out, 2);
	assert_int_equal(used(1), 1);
}

/* A reset is not over before. */
static void test_card_and_reset(void **state)
{
	(void)state;
	card = true;
	driver(F_MRG);
	send_one(1514, 2);
	settle();
	nic_wr(COMMON_STATUS, 1, 0);
	settle();
	assert_int_not_equal(nic_rd(COMMON_STATUS, 1), 0);
	card_is_done();
	settle();
	assert_int_equal(nic_rd(COMMON_STATUS, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_card, setup, teardown),
		cmocka_unit_test_setup_teardown(test_card_and_deaths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_card_and_reset, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
