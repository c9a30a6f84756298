/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: drivers/virtio_net.c
// SRC: drivers/virtio_pci.c
// SRC: drivers/virtq.c
// SRC: drivers/nics.c
// FLAGS: -include tests/unit/fakemmio.h
/*
 * The virtio-net driver against a card played by the test: what goes to it where it lies and when that ends, a full queue,
 * offloads both ways, merged buffers, a card that stands still, lies, or does not come out of reset. Addresses are pointers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/rt/virtio_regs.h"
#include "drivers/nics.h"
#include "drivers/virtio_pci.h"
#define CARD_BAR 0x400u
#include "tests/unit/card_fakes.h"

enum { AT_NOTIFY = 0x100, AT_ISR = 0x200, AT_DEVICE = 0x300, HEADER = 12 };
enum { CSUM = 1, GUEST_CSUM = 2, MAC = 1 << 5, GUEST_TSO4 = 1 << 7, HOST_TSO4 = 1 << 11 };
enum { HOST_TSO6 = 1 << 12, MRG = 1 << 15 };

struct queue {
	uint64_t desc, avail, used; /* registers */
	uint16_t seen, size;
	bool enabled;
	unsigned kicks;
};

static struct {
	uint64_t features, taken;
	uint8_t status;
	unsigned select, feature_select, size;
	struct queue q[2];
	bool deaf; /* to resets */
	unsigned resets;
} card;

static struct pci_dev pci = {
	.bdf = 0x20, .vendor = 0x1af4, .device = 0x1041, .class_code = 2 << 16};
static struct loop_job *jobs, *last;
static struct loop_timer *timer;
static uint64_t now;

/* ---- what a driver stands on ---- */

uint64_t rt_now(void)
{
	return now;
}

void rt_log(const char *format, ...)
{
	(void)format;
}

static void queue_job(struct loop_job **list, struct loop_job *j)
{
	if (j->queued)
		return;
	j->queued = true;
	j->next = *list;
	*list = j;
}

void loop_defer(struct loop_job *j)
{
	queue_job(&jobs, j);
}

void loop_defer_last(struct loop_job *j)
{
	queue_job(&last, j);
}

void loop_timer_init(struct loop_timer *t, loop_fn fn, void *ctx)
{
	*t = (struct loop_timer){.fn = fn, .ctx = ctx};
}

void loop_timer_set(struct loop_timer *t, uint64_t delay_ns)
{
	t->deadline_ns = now + delay_ns;
	t->armed = true;
	timer = t;
}

static void run(struct loop_job **list)
{
	while (*list) {
		struct loop_job *j = *list;

		*list = j->next;
		j->queued = false;
		j->fn(j->ctx);
	}
}

/* The end of a turn of the loop. */
static void turn(void)
{
	run(&jobs);
	run(&last);
}

static void pass(uint64_t ns)
{
	now += ns;
	if (timer && timer->armed && timer->deadline_ns <= now) {
		timer->armed = false;
		timer->fn(timer->ctx);
	}
	turn();
}

/* Four vendor capabilities, 0x10 apart; types 1 to 4. */
unsigned pci_find_cap(const struct pci_dev *d, uint8_t id, unsigned after)
{
	(void)d;
	return id != 9 ? 0 : after == 0 ? 0x40 : after < 0x70 ? after + 0x10 : 0;
}

uint32_t pci_read(const struct pci_dev *d, unsigned off, unsigned width)
{
	static const unsigned at[] = {0, AT_NOTIFY, AT_ISR, AT_DEVICE};

	(void)d, (void)width;
	switch (off % 0x10) {
	case 3:
		return (off - 0x40) / 0x10 + 1;
	case 8:
		return at[(off - 0x40) / 0x10];
	case 12:
		return 0x100;
	}
	return off == 0x60 ? 0 : 4; /* a doorbell each */
}

int pci_msix_bind(const struct pci_dev *d, unsigned vector, void (*fn)(void *), void *ctx)
{
	(void)d, (void)vector, (void)fn, (void)ctx;
	return 0;
}

/* ---- the card's registers ---- */

uint32_t fake_mmio_read(const volatile void *at, unsigned width)
{
	unsigned off = (unsigned)((const volatile uint8_t *)at - bar);
	uint32_t v = 0;

	switch (off) {
	case COMMON_DEVICE_FEATURE:
		return (uint32_t)(card.features >> card.feature_select * 32);
	case COMMON_STATUS:
		return card.status;
	case COMMON_QUEUE_SIZE:
		return card.size;
	case COMMON_QUEUE_NOTIFY_OFF:
		return card.select;
	}
	memcpy(&v, (const void *)at, width);
	return v;
}

static void half(uint64_t *to, bool high, uint32_t v)
{
	*to = high ? (*to & UINT32_MAX) | (uint64_t)v << 32 : (*to & ~(uint64_t)UINT32_MAX) | v;
}

static void queue_write(struct queue *q, unsigned off, uint32_t v)
{
	if (off >= COMMON_QUEUE_DESC && off < COMMON_QUEUE_DESC + 24)
		half(&q->desc + (off - COMMON_QUEUE_DESC) / 8, off & 4, v);
	if (off == COMMON_QUEUE_SIZE)
		q->size = (uint16_t)v;
	if (off == COMMON_QUEUE_ENABLE)
		q->enabled = v;
}

static void status_write(uint8_t v)
{
	if (v == 0 && card.deaf)
		return;
	card.status = v;
	if (v)
		return;
	card.resets++;
	memset(card.q, 0, sizeof(card.q));
}

void fake_mmio_write(volatile void *at, unsigned width, uint32_t v)
{
	unsigned off = (unsigned)((volatile uint8_t *)at - bar);

	if (off == COMMON_STATUS)
		status_write((uint8_t)v);
	else if (off == COMMON_DEVICE_FEATURE_SELECT || off == COMMON_DRIVER_FEATURE_SELECT)
		card.feature_select = v;
	else if (off == COMMON_DRIVER_FEATURE)
		half(&card.taken, card.feature_select, v);
	else if (off == COMMON_QUEUE_SELECT)
		card.select = v;
	else if (off >= AT_NOTIFY && off < AT_ISR)
		card.q[v].kicks++;
	else
		queue_write(&card.q[card.select], off, v);
	memcpy((void *)(uintptr_t)at, &v, width);
}

/* ---- the card at work ---- */

static struct vring_desc *descs(unsigned q)
{
	return (struct vring_desc *)(uintptr_t)card.q[q].desc;
}

static struct vring_avail *avail(unsigned q)
{
	return (struct vring_avail *)(uintptr_t)card.q[q].avail;
}

static struct vring_used *used(unsigned q)
{
	return (struct vring_used *)(uintptr_t)card.q[q].used;
}

/* The next head that it was given; -1: none. */
static int next_head(unsigned q)
{
	if (!master || !card.q[q].enabled || card.q[q].seen == avail(q)->idx)
		return -1;
	return avail(q)->ring[card.q[q].seen++ % card.q[q].size];
}

static void use(unsigned q, unsigned head, uint32_t len)
{
	struct vring_used *u = used(q);

	u->ring[u->idx % card.q[q].size].id = head;
	u->ring[u->idx % card.q[q].size].len = len;
	u->idx++;
}

static void interrupt(unsigned q)
{
	if (!(avail(q)->flags & VRING_AVAIL_NO_INTERRUPT))
		irq(irq_ctx);
	turn();
}

static uint8_t sent[70000];
static unsigned sent_parts;

/* Reads one frame; `done`: and says so. -> its bytes, 0: none */
static size_t card_sends(bool done)
{
	int head = next_head(1);
	size_t bytes = 0;
	unsigned i = (unsigned)head;

	if (head < 0)
		return 0;
	for (sent_parts = 1;; sent_parts++, i = descs(1)[i].next) {
		assert_false(descs(1)[i].flags & VRING_WRITE);
		memcpy(sent + bytes, (void *)(uintptr_t)descs(1)[i].addr, descs(1)[i].len);
		bytes += descs(1)[i].len;
		if (!(descs(1)[i].flags & VRING_NEXT))
			break;
	}
	if (done)
		use(1, (unsigned)head, 0);
	return bytes;
}

/* One buffer of a frame. */
static void card_fills(const void *data, uint32_t len)
{
	int head = next_head(0);

	assert_true(head >= 0);
	assert_true(len <= descs(0)[head].len);
	memcpy((void *)(uintptr_t)descs(0)[head].addr, data, len);
	use(0, (unsigned)head, len);
}

/* ---- the glue ---- */

static struct nic *nic;
static unsigned got, rooms, releases;
static size_t got_bytes[64];
static struct packet_offload got_offload;
static uint8_t got_data[70000];

static void rx(struct nic *n, const struct nic_rx *frame, unsigned count)
{
	(void)n;
	for (unsigned i = 0; i < count; i++) {
		size_t at = 0;

		for (unsigned k = 0; k < frame[i].n_segs; at += frame[i].seg[k++].len)
			memcpy(got_data + at, frame[i].seg[k].data, frame[i].seg[k].len);
		got_bytes[got++ % 64] = at;
		got_offload = frame[i].offload;
	}
}

static void room(struct nic *n)
{
	(void)n;
	rooms++;
}

static void link_changed(struct nic *n)
{
	(void)n;
}

static void release(struct nic_hold *hold)
{
	(void)hold;
	releases++;
}

static struct nic_hold hold = {.refs = 1, .release = release};
static uint8_t guest[3 * 4096];

/* A head that is copied, and n pieces of the guest's memory. */
static enum nic_send send(unsigned n, uint32_t bytes, struct packet_offload o)
{
	static const uint8_t head[54] = {2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0, 0x45};
	const struct nic_seg seg = {head, sizeof(head)};
	struct nic_piece piece[NIC_PIECES_MAX];

	for (unsigned i = 0; i < n; i++)
		piece[i] = (struct nic_piece){(uintptr_t)guest, bytes};
	return nic->ops->send(nic, &(struct nic_frame){.seg = &seg,
						       .n_segs = 1,
						       .piece = piece,
						       .n_pieces = n,
						       .hold = n ? &hold : NULL,
						       .offload = o});
}

static const struct packet_offload none;

static void plug(uint64_t features)
{
	memset(&card, 0, sizeof(card));
	memset(bar, 0, sizeof(bar));
	card.features = features | MAC | VIRTIO_F_VERSION_1;
	card.size = 256;
	now = 100000000000;
	got = rooms = releases = 0;
	hold.refs = 1;
	nic = nic_virtio.probe(&pci);
	assert_non_null(nic);
	nic->rx = rx;
	nic->room = room;
	nic->link_changed = link_changed;
	assert_int_equal(nic->ops->start(nic), 0);
}

static int pull_out(void **state)
{
	(void)state;
	run(&jobs);
	run(&last);
	free(nic->priv);
	timer = NULL;
	return 0;
}

static void test_features(void **state)
{
	(void)state;
	plug(CSUM | GUEST_CSUM | HOST_TSO4 | HOST_TSO6 | GUEST_TSO4 | MRG);
	assert_int_equal(nic->caps, PACKET_CAP_CSUM | PACKET_CAP_TCP4 | PACKET_CAP_TCP6);
	assert_int_equal(card.taken, card.features);
	pull_out(state);
	plug(HOST_TSO4 | GUEST_TSO4 | MRG); /* not without sums */
	assert_int_equal(nic->caps, 0);
	assert_int_equal(card.taken, MAC | MRG | VIRTIO_F_VERSION_1);
	pull_out(state);
	plug(GUEST_CSUM | GUEST_TSO4); /* it would want buffers of 64 KiB */
	assert_int_equal(card.taken, MAC | GUEST_CSUM | VIRTIO_F_VERSION_1);
}

/* All that is copied is the caller's at once; nobody is told when it has been sent. */
static void test_copied(void **state)
{
	(void)state;
	plug(0);
	for (unsigned turns = 0; turns < 3; turns++) {
		for (unsigned i = 0; i < 50; i++)
			assert_int_equal(send(0, 0, none), NIC_TAKEN);
		turn();
		assert_int_equal(card.q[1].kicks, turns + 1);
		assert_true(avail(1)->flags & VRING_AVAIL_NO_INTERRUPT);
		while (card_sends(true))
			;
	}
	assert_int_equal(nic->stats.tx_frames, 150);
	assert_int_equal(releases, 0);
}

static void test_pieces(void **state)
{
	(void)state;
	plug(0);
	memset(guest, 0x5a, sizeof(guest));
	assert_int_equal(send(2, 700, none), NIC_TAKEN);
	assert_int_equal(hold.refs, 2);
	turn();
	assert_int_equal(card_sends(false), HEADER + 54 + 1400);
	assert_int_equal(sent_parts, 3);
	assert_int_equal(sent[HEADER + 54], 0x5a);
	assert_int_equal(sent[HEADER + 54 + 1399], 0x5a);
	assert_int_equal(hold.refs, 2);
	assert_false(avail(1)->flags & VRING_AVAIL_NO_INTERRUPT);
	use(1, avail(1)->ring[0], 0);
	interrupt(1);
	assert_int_equal(hold.refs, 1);
	assert_true(avail(1)->flags & VRING_AVAIL_NO_INTERRUPT); /* nobody waits */
	nic_hold_put(&hold);
	assert_int_equal(releases, 1);
}

static void test_offload(void **state)
{
	const struct packet_offload o = {.gso = PACKET_TCP4,
					 .csum_wanted = true,
					 .header_bytes = 54,
					 .gso_bytes = 1400,
					 .csum_start = 34,
					 .csum_offset = 16};
	static const uint8_t expected[HEADER] = {1, 1, 54, 0, 0x78, 5, 34, 0, 16, 0, 0, 0};

	(void)state;
	plug(CSUM | HOST_TSO4);
	assert_int_equal(send(3, 4096, none), NIC_REFUSED); /* longer than a frame */
	assert_int_equal(send(3, 4096, o), NIC_TAKEN);
	turn();
	assert_int_equal(card_sends(true), HEADER + 54 + 3 * 4096);
	assert_memory_equal(sent, expected, HEADER);
	interrupt(1);
	assert_int_equal(hold.refs, 1);
	assert_int_equal(send(0, 0, none), NIC_TAKEN); /* in the same buffer */
	turn();
	card_sends(true);
	for (unsigned i = 0; i < HEADER; i++)
		assert_int_equal(sent[i], 0);
}

static void test_full(void **state)
{
	unsigned n = 0;

	(void)state;
	plug(0);
	while (send(3, 400, none) == NIC_TAKEN)
		n++;
	assert_int_equal(n, 256 / 4);
	assert_int_equal(hold.refs, 1 + n);
	assert_true(card.q[1].kicks); /* half of it was told before the turn ended */
	assert_int_equal(send(0, 0, none), NIC_FULL);
	turn();
	assert_int_equal(rooms, 0);
	card_sends(true);
	interrupt(1);
	assert_int_equal(rooms, 1);
	assert_int_equal(send(0, 0, none), NIC_TAKEN);
	while (card_sends(true))
		;
	turn();
	while (card_sends(true))
		;
	interrupt(1);
	assert_int_equal(rooms, 1);
	assert_int_equal(hold.refs, 1);
	pull_out(state);
	/* A queue so small that some frames never fit. */
	plug(0);
	pull_out(state);
	memset(&card, 0, sizeof(card));
	card.features = MAC | VIRTIO_F_VERSION_1;
	card.size = 4;
	nic = nic_virtio.probe(&pci);
	assert_int_equal(nic->ops->start(nic), 0);
	assert_int_equal(send(4, 100, none), NIC_REFUSED);
	assert_int_equal(send(3, 100, none), NIC_TAKEN);
	assert_int_equal(send(0, 0, none), NIC_FULL);
}

static uint8_t frame[70000];

static void test_receive(void **state)
{
	(void)state;
	plug(GUEST_CSUM);
	memset(frame, 0x33, sizeof(frame));
	memset(frame, 0, HEADER);
	frame[0] = 2; /* the sum has been checked */
	for (unsigned i = 0; i < 300; i++) {
		card_fills(frame, HEADER + 60 + i);
		if (i % 7 == 0)
			interrupt(0);
	}
	interrupt(0);
	assert_int_equal(got, 300);
	assert_int_equal(got_bytes[299 % 64], 359);
	assert_true(got_offload.csum_good);
	assert_false(got_offload.csum_wanted);
	card_fills(frame, HEADER);        /* nothing in it */
	card_fills(frame, HEADER + 1600); /* longer than a frame */
	interrupt(0);
	assert_int_equal(got, 300);
	assert_int_equal(nic->stats.rx_dropped, 2);
	assert_int_equal(card.resets, 1);
}

/* A frame of the largest size in merged buffers. */
static void test_merged(void **state)
{
	(void)state;
	plug(GUEST_CSUM | GUEST_TSO4 | MRG);
	for (unsigned i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 7);
	memcpy(frame, (uint8_t[]){1, 1, 54, 0, 0x78, 5, 34, 0, 16, 0, 16, 0}, HEADER);
	for (unsigned times = 0; times < 40; times++) {
		for (unsigned i = 0; i < 16; i++)
			card_fills(frame + i * 4096, i < 15 ? 4096 : 100);
		interrupt(0);
	}
	assert_int_equal(got, 40);
	assert_int_equal(got_bytes[39], 15 * 4096 + 100 - HEADER);
	assert_memory_equal(got_data, frame + HEADER, got_bytes[39]);
	assert_int_equal(got_offload.gso, PACKET_TCP4);
	assert_int_equal(got_offload.gso_bytes, 1400);
	assert_int_equal(got_offload.csum_start, 34);
	/* It promises more buffers than it gives. */
	frame[10] = 3;
	card_fills(frame, 100);
	card_fills(frame, 100);
	interrupt(0);
	assert_int_equal(card.resets, 2);
	assert_int_equal(got, 40);
	frame[10] = 1;
	frame[1] = 0;
	card_fills(frame, 100); /* it works again */
	interrupt(0);
	assert_int_equal(got, 41);
	frame[10] = 18;
	card_fills(frame, 100);
	interrupt(0);
	assert_int_equal(card.resets, 3);
}

/* One that stands still is reset: guests have their memory back, and the next frame goes out. */
static void test_watch(void **state)
{
	(void)state;
	plug(0);
	assert_int_equal(send(2, 700, none), NIC_TAKEN);
	turn();
	pass(999999999);
	assert_int_equal(hold.refs, 2);
	assert_int_equal(send(1, 700, none), NIC_TAKEN);
	turn();
	card_sends(true);
	pass(1);
	assert_int_equal(hold.refs, 2); /* it sends */
	assert_int_equal(card.resets, 1);
	pass(1000000000);
	assert_int_equal(card.resets, 2);
	assert_int_equal(hold.refs, 1);
	assert_int_equal(nic->stats.tx_dropped, 1);
	assert_int_equal(send(1, 700, none), NIC_TAKEN);
	turn();
	assert_int_equal(card_sends(true), HEADER + 54 + 700);
	interrupt(1);
	assert_int_equal(hold.refs, 1);
	memset(frame, 0, HEADER);
	card_fills(frame, 100);
	interrupt(0);
	assert_int_equal(got, 1);
	for (unsigned i = 0; i < 5; i++)
		pass(1000000000);
	assert_int_equal(card.resets, 2); /* nobody waits */
	assert_true(nic->link);
}

/* What cannot be reset is cut off from memory before that is given back. */
static void test_deaf(void **state)
{
	(void)state;
	plug(0);
	assert_int_equal(send(2, 700, none), NIC_TAKEN);
	turn();
	card.deaf = true;
	pass(1000000000);
	assert_false(master);
	assert_int_equal(hold.refs, 1);
	assert_false(nic->link);
	assert_int_equal(send(1, 700, none), NIC_REFUSED);
	assert_int_equal(send(0, 0, none), NIC_REFUSED);
	pass(1000000000);
	irq(irq_ctx);
	turn();
}

/* A card that breaks its rings again and again is left off. */
static void test_broken(void **state)
{
	(void)state;
	plug(0);
	for (unsigned i = 0; i < 20 && nic->link; i++) {
		use(i % 2, 1000, 0);
		interrupt(0);
	}
	assert_false(nic->link);
	assert_in_range(card.resets, 2, 10);
	assert_int_equal(send(0, 0, none), NIC_REFUSED);
}

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, pull_out)
	const struct CMUnitTest tests[] = {
		T(test_features), T(test_copied), T(test_pieces), T(test_offload), T(test_full),
		T(test_receive),  T(test_merged), T(test_watch),  T(test_deaf),    T(test_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
