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
 * A vmm that ends at any of its stores to what survives it, in the middle of requests, of taking over, and of register accesses: the
 * next one goes on as if nothing had happened.
 */
#define _GNU_SOURCE
#include <stdio.h>

#include "tests/unit/virtio_deaths.h"
#include "ctrl-kernel/vmm/layout.h"

static void next_instance(void)
{
	instance();
	virtio_resume(&vm);
}

static void three_chains(uint64_t features)
{
	driver_start(features, true);
	for (uint16_t i = 0; i < 3; i++) {
		desc_put(i, BUFFERS + i * 64, 64, VRING_WRITE, 0);
		avail_put((uint16_t)(2 - i));
	}
	memset(kept->ram + BUFFERS, 0, 256);
	n_msis = 0;
}

/* Each chain came back once, with its bytes, and the driver was told. */
static void all_came_back(void)
{
	unsigned seen = 0;

	assert_int_equal(used_idx(), 3);
	for (unsigned i = 0; i < 3; i++) {
		seen |= 1u << get32(kept->ram, USED + 4 + i * 8);
		assert_int_equal(get32(kept->ram, USED + 8 + i * 8), 64);
		assert_true(filled(i * 64, 64));
	}
	assert_int_equal(seen, 7);
	assert_true(n_msis > 0);
	assert_int_equal(kept->state.virtio.device[SLOT].queue[0].in_flight[0], 0);
	assert_int_equal((uint32_t)kept->state.virtio.device[SLOT].queue[0].log, 3 | 3 << 16);
	assert_int_equal(rd(STATUS, 1), 15);
}

static void test_death_in_requests(void **state)
{
	long n = 0;

	(void)state;
	for (;; n++) {
		bool died;

		power_on();
		three_chains(VIRTIO_RING_EVENT_IDX);
		died = dies_at(n, ring);
		if (died) {
			n_msis = 0; /* whatever was sent before does not count */
			next_instance();
		}
		all_came_back();
		if (!died)
			break;
	}
	assert_in_range(n, 20, 200);
}

/* And the one that takes over dies, too. */
static void test_death_in_take_over(void **state)
{
	(void)state;
	for (long first = 0; first < 24; first += 3) {
		for (long n = 0;; n++) {
			power_on();
			three_chains(0);
			assert_true(dies_at(first, ring));
			if (!dies_at(n, next_instance))
				break;
			n_msis = 0;
			next_instance();
			all_came_back();
		}
		all_came_back();
	}
}

static uint64_t write_to, isr_seen;

static void write_once(void)
{
	access_again();
}

/* The registers as the driver sees them, and hv's claims. */
static uint64_t all_registers(void)
{
	uint64_t sum = 0;

	for (unsigned reg = 0; reg < 0xb4; reg += 4)
		sum = sum * 31 + cfg(reg, 4);
	for (unsigned reg = 0; reg < 0x40; reg += 2)
		sum = sum * 31 + rd(reg, reg < 0x10 || (reg >= 0x20 && reg < 0x38) ? 4 : 2);
	sum = sum * 31 + rd(STATUS, 1);
	for (unsigned i = 0; i < 32; i += 4)
		sum = sum * 31 + rd(TABLE_MSIX + i, 4);
	for (unsigned i = 0; i < n_claims; i++)
		sum += claims[i].base * (claims[i].kind + 2);
	return sum + n_claims;
}

/* An access that a new instance gets again leaves the same as one that was not broken off. */
static void test_death_in_registers(void **state)
{
	static const struct {
		bool config;
		unsigned offset, width;
		uint64_t value;
	} writes[] = {
		{true, PCI_COMMAND, 2, 0},       {true, PCI_COMMAND, 2, 0x406},
		{true, PCI_BAR0, 4, 0xf0000000}, {true, PCI_BAR0, 4, 0},
		{true, PCI_BAR0 + 4, 4, 0x2000}, {true, PCI_COMMAND, 2, 0x405},
		{true, 0x42, 2, 0xc000},         {false, STATUS, 1, 0},
		{false, Q_RESET, 2, 1},          {false, Q_VECTOR, 2, 0},
		{false, Q_SELECT, 2, 9},         {false, TABLE_MSIX + 16, 4, 0xfee02000},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(writes); i++) {
		uint64_t expected = 0;

		for (long n = -1;; n++) {
			bool died;

			power_on();
			driver_start(VIRTIO_RING_RESET, true);
			write_to = writes[i].config ? HV_GPA_ECAM + (SLOT << 15) : BAR;
			page.mailbox[0] = (struct hv_mailbox){page.mailbox[0].seq + 1,
							      0,
							      HV_MMIO_WRITE,
							      writes[i].width,
							      write_to + writes[i].offset,
							      writes[i].value,
							      {0}};
			died = dies_at(n, write_once);
			if (died) {
				next_instance();
				access_again();
			}
			kept->state.virtio.device[SLOT]
				.generation = 0; /* it may count more often */
			if (n < 0)
				expected = all_registers();
			else
				assert_int_equal(all_registers(), expected);
			if (n >= 0 && !died)
				break;
		}
	}
}

static void read_isr(void)
{
	isr_seen = rd(ISR, 1);
}

/* A read that clears is not lost with the instance that answered it. */
static void test_death_in_isr(void **state)
{
	(void)state;
	for (long n = 0;; n++) {
		power_on();
		driver_start(0, false);
		request();
		if (!dies_at(n, read_isr))
			break;
		next_instance();
		assert_true(access_again() & 1);
	}
	assert_int_equal(isr_seen, 1);
}

/* ---- several chains at once ---- */

static struct virtqueue batch_queue;

static void batch_attach(void)
{
	batch_queue = (struct virtqueue){.s = &kept->state.virtio.device[SLOT].queue[0],
					 .batch = kept->state.virtio.batch,
					 .ram = &ram,
					 .max = 64};
	assert_true(vq_attach(&batch_queue, VIRTIO_RING_EVENT_IDX));
}

static void batch_complete(void)
{
	static const struct vq_done done[] = {{2, 64}, {0, 64}, {1, 64}};

	vq_complete_batch(&batch_queue, done, 3);
}

/* Wherever it dies, the driver and the next instance see all three or none, and another queue's batch harms nobody. */
static void test_death_in_batch(void **state)
{
	static struct vq_chain c;
	unsigned none = 0, all = 0;
	bool died = true;

	(void)state;
	for (long n = 0; died; n++) {
		const struct virtio_queue_state *s;

		power_on();
		s = &kept->state.virtio.device[SLOT].queue[0];
		three_chains(VIRTIO_RING_EVENT_IDX);
		batch_attach();
		for (unsigned i = 0; i < 3; i++)
			assert_true(vq_take(&batch_queue, &c));
		died = dies_at(n, batch_complete);
		assert_true(used_idx() == 0 || used_idx() == 3);
		batch_attach();
		memset(kept->state.virtio.batch, 0xff, sizeof(kept->state.virtio.batch));
		batch_attach();
		none += used_idx() == 0;
		all += used_idx() == 3;
		assert_true((used_idx() == 0 && s->in_flight[0] == 7) ||
			    (used_idx() == 3 && s->in_flight[0] == 0));
	}
	assert_true(none > 3 && all > 3);
}

/* ---- a disk that comes and goes ---- */

enum { DISK_ECAM = HV_GPA_ECAM + (VMM_DISK_SLOT << 15) };

static uint32_t disk_id(void)
{
	return (uint32_t)access_new(HV_MMIO_READ, DISK_ECAM, 4, 0);
}

static void disk_set(uint32_t present)
{
	config.disks[0] = (struct vmm_disk){
		.present = present, .queues = 1, .bytes = 4096, .sector_bytes = 512};
	config.slots_seq++;
}

static void follow(void)
{
	hotplug_sync(&vm);
}

static void state_good(void)
{
	char why[VIRTIO_WHY_MAX];

	assert_null(hotplug_check(&kept->state.hotplug));
	assert_null(pci_check(&kept->state.pci, true, hotplug_half(&kept->state.hotplug)));
	assert_true(virtio_state_check(&kept->state.virtio, why));
}

static void next_follows(void)
{
	instance();
	state_good();
	virtio_resume(&vm);
	follow();
	state_good();
}

static void test_death_in_plug(void **state)
{
	bool died = true;
	long n = 0;

	(void)state;
	for (; died; n++) {
		memset(&config, 0, sizeof(config));
		power_on();
		assert_int_equal(disk_id(), UINT32_MAX);
		disk_set(1);
		died = dies_at(n, follow);
		if (died)
			next_follows();
		assert_int_equal(disk_id(), 0x10421af4);
		assert_int_equal(slots_told, 1 << VMM_DISK_SLOT);
		assert_true(sci);
		assert_int_equal(kept->state.virtio.device[VMM_DISK_SLOT].status, 0);
	}
	assert_true(n > 20);
}

static void eject_write(void)
{
	access_new(HV_PIO_WRITE, PORT_HOTPLUG + 8, 4, 1u << VMM_DISK_SLOT);
}

/* In use by its driver, and ejected by the guest, or taken away. */
static void unplug_dies(bool eject)
{
	bool died = true;
	long n = 0;

	for (; died; n++) {
		unsigned before;

		memset(&config, 0, sizeof(config));
		power_on();
		before = n_claims;
		disk_set(1);
		follow();
		access_new(HV_MMIO_WRITE, DISK_ECAM + PCI_COMMAND, 2, 6);
		assert_true(n_claims > before);
		access_new(HV_MMIO_WRITE, PCI_WINDOW + VMM_DISK_SLOT * 0x4000 + STATUS, 1, 3);
		if (eject)
			config.unplug = 1u << VMM_DISK_SLOT;
		else
			config.disks[0].present = 0;
		config.slots_seq++;
		if (eject)
			follow();
		died = dies_at(n, eject ? eject_write : follow);
		if (died)
			next_follows();
		if (died && eject)
			eject_write(); /* it has not been answered: once more */
		assert_int_equal(disk_id(), UINT32_MAX);
		assert_int_equal(slots_told, 0);
		assert_int_equal(n_claims, before);
		assert_int_equal(kept->state.virtio.device[VMM_DISK_SLOT].mapped, 0);
		assert_int_equal(kept->state.virtio.device[VMM_DISK_SLOT].mapped_io, 0);
	}
	assert_true(n > 20);
}

static void test_death_in_unplug(void **state)
{
	(void)state;
	unplug_dies(false);
	unplug_dies(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_death_in_batch),
		cmocka_unit_test(test_death_in_plug),
		cmocka_unit_test(test_death_in_unplug),
		cmocka_unit_test(test_death_in_requests),
		cmocka_unit_test(test_death_in_take_over),
		cmocka_unit_test(test_death_in_registers),
		cmocka_unit_test(test_death_in_isr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
