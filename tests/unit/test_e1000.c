/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: drivers/e1000.c
// SRC: drivers/e1000_ids.c
// SRC: drivers/e1000_ring.c
// SRC: drivers/e1000_offload.c
// SRC: net/checksum.c
// SRC: drivers/nics.c
// SRC: tests/unit/fakehv.c
// FLAGS: -include tests/unit/fakemmio.h
/*
 * The e1000 driver against a card played by the test: when it is told of frames, when it may interrupt for what it has sent,
 * who is called then, and what becomes of frames and of others' memory when it hangs, or does not come out of a reset.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/e1000_hw.h"
#include "drivers/nics.h"
#define CARD_BAR E1000_REGS_LEN
#include "tests/unit/card_fakes.h"
#include "tests/unit/fakehv.h"

#define MS 1000000ull
#define RX_DESCS 256u
#define TX_DESCS 256u
#define TX_BUFS 128u

static struct pci_dev pci = {.bdf = 0x18, .vendor = 0x8086, .subsys_vendor = 0x8086};
static bool deaf;
static unsigned tdt_writes, rdt_writes, resets;
static uint32_t icr, masks;
static unsigned tx_head, rx_head;

static uint32_t *reg(unsigned at)
{
	return (uint32_t *)(bar + at);
}

uint32_t fake_mmio_read(const volatile void *at, unsigned width)
{
	unsigned off = (unsigned)((const volatile uint8_t *)at - bar);
	uint32_t v = *reg(off);

	assert_int_equal(width, 4);
	if (off != E1000_ICR)
		return v;
	v = icr;
	if (strcmp(irq_kind, "msix") != 0)
		icr = 0;
	return v;
}

static void ctrl_write(uint32_t v)
{
	if (v & E1000_CTRL_RST && !deaf) {
		resets++;
		memset(bar, 0, sizeof(bar));
		*reg(E1000_STATUS) = E1000_STATUS_LU | E1000_STATUS_1000;
		*reg(E1000_EECD) = E1000_EECD_AUTO_RD;
		*reg(E1000_RAL0) = 0x12005452;
		*reg(E1000_RAH0) = E1000_RAH_AV | 0x5634;
		masks = icr = 0;
		tx_head = rx_head = 0;
		v &= ~E1000_CTRL_RST;
	}
	*reg(E1000_CTRL) = v;
}

void fake_mmio_write(volatile void *at, unsigned width, uint32_t v)
{
	unsigned off = (unsigned)((volatile uint8_t *)at - bar);

	assert_int_equal(width, 4);
	*reg(off) = v;
	tdt_writes += off == E1000_TDT;
	rdt_writes += off == E1000_RDT;
	if (off == E1000_CTRL)
		ctrl_write(v);
	if (off == E1000_IMS)
		masks |= v;
	if (off == E1000_IMC)
		masks &= ~v;
	if (off == E1000_ICR)
		icr &= ~v;
}

uint32_t pci_read(const struct pci_dev *d, unsigned off, unsigned width)
{
	(void)d, (void)off, (void)width;
	return 0;
}
void pci_write(const struct pci_dev *d, unsigned off, unsigned width, uint32_t value)
{
	(void)d, (void)off, (void)width, (void)value;
}
unsigned pci_find_cap(const struct pci_dev *d, uint8_t id, unsigned after)
{
	(void)d, (void)id, (void)after;
	return 0;
}
/* ---- what the card does ---- */

static struct e1000_tx_desc *tx_ring(void)
{
	return (struct e1000_tx_desc *)((uint64_t)*reg(E1000_TDBAH) << 32 | *reg(E1000_TDBAL));
}

static struct e1000_rx_desc *rx_ring(void)
{
	return (struct e1000_rx_desc *)((uint64_t)*reg(E1000_RDBAH) << 32 | *reg(E1000_RDBAL));
}

static void card_interrupts(void)
{
	while (icr & masks) {
		uint32_t before = icr;

		irq(irq_ctx);
		assert_true(icr != before || !(icr & masks)); /* else for ever */
	}
}

static uint32_t tx_bit(void)
{
	return strcmp(irq_kind, "msix") == 0 ? E1000_INT_TXQ0 : E1000_INT_TXDW;
}

/* -> frames that it sent, at most n. */
static unsigned card_sends(unsigned n)
{
	unsigned sent = 0;

	assert_true(master);
	while (sent < n && tx_head != *reg(E1000_TDT)) {
		struct e1000_tx_desc *d = &tx_ring()[tx_head];

		tx_head = (tx_head + 1) % TX_DESCS;
		if (!(d->command & E1000_TXD_RS))
			continue;
		d->status = E1000_TXD_DD;
		sent++;
	}
	if (sent)
		icr |= tx_bit();
	return sent;
}

static void card_receives(unsigned n, uint8_t status, uint8_t errors)
{
	while (n--) {
		struct e1000_rx_desc *d = &rx_ring()[rx_head];

		assert_int_not_equal(rx_head, *reg(E1000_RDT));
		*(uint8_t *)d->addr = (uint8_t)rx_head;
		d->len = 60;
		d->errors = errors;
		d->status = E1000_RXD_DD | E1000_RXD_EOP | status;
		rx_head = (rx_head + 1) % RX_DESCS;
	}
	icr |= E1000_INT_RXT | (strcmp(irq_kind, "msix") == 0 ? E1000_INT_RXQ0 : 0);
}

/* ---- who has it ---- */

static struct nic *nic;
static unsigned rx_calls, rx_frames, rx_good, rooms, link_calls, released, again;
static uint8_t rx_next;
static char bytes[192];
static const struct nic_seg seg = {bytes, 192};
static const struct nic_piece piece = {0x7000, 1000};
static struct nic_hold hold;

static enum nic_send send_copy(void)
{
	return nic->ops->send(nic, &(struct nic_frame){.seg = &seg, .n_segs = 1});
}

static enum nic_send send_piece(struct nic_hold *of)
{
	return nic->ops->send(
		nic, &(struct nic_frame){
			     .seg = &seg, .n_segs = 1, .piece = &piece, .n_pieces = 1, .hold = of});
}

static void on_rx(struct nic *n, const struct nic_rx *frame, unsigned count)
{
	(void)n;
	rx_calls++;
	rx_frames += count;
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(frame[i].n_segs, 1);
		assert_int_equal(*(const uint8_t *)frame[i].seg[0].data, rx_next++);
		rx_good += frame[i].offload.csum_good;
	}
}

static void on_room(struct nic *n)
{
	(void)n;
	rooms++;
	while (again && send_piece(&hold) == 0)
		again--;
}

static void on_link(struct nic *n)
{
	(void)n;
	link_calls++;
}

static void on_release(struct nic_hold *h)
{
	released++;
	if (again) {
		again--;
		h->refs++;
		(void)send_piece(h);
		nic_hold_put(h);
	}
}

static void begin(const struct nic_driver *driver, uint16_t device, const char *kind)
{
	fake_reset(64);
	fake_log_clear();
	pci.device = device;
	pci.subsys = 0xa01f;
	irq_kind = kind;
	deaf = false;
	ctrl_write(E1000_CTRL_RST);
	assert_true(driver->matches(&pci));
	nic = driver->probe(&pci);
	assert_non_null(nic);
	assert_false(master);
	nic->rx = on_rx;
	nic->room = on_room;
	nic->link_changed = on_link;
	assert_int_equal(nic->ops->start(nic), 0);
	assert_true(nic->link && master);
	rx_calls = rx_frames = rx_good = rooms = link_calls = released = again = 0;
	tdt_writes = rdt_writes = resets = 0;
	rx_next = 0;
	hold = (struct nic_hold){.refs = 1, .release = on_release};
}

static int fresh(void **state)
{
	(void)state;
	begin(&nic_e1000, 0x100e, "intx");
	return 0;
}

static int fresh_msix(void **state)
{
	(void)state;
	begin(&nic_e1000e, 0x10d3, "msix");
	return 0;
}

static int done(void **state)
{
	(void)state;
	deaf = true; /* nothing is awaited any more */
	fake_advance(3000 * MS);
	free(nic);
	return 0;
}

/* One write for the frames of a turn, a write at once when half of the ring is full, no interrupts for copies. */
static void test_told_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(send_copy(), 0);
	assert_int_equal(tdt_writes, 0);
	fake_turn();
	assert_int_equal(tdt_writes, 1);
	assert_int_equal(*reg(E1000_TDT), 50);
	assert_int_equal(masks & tx_bit(), 0);
	assert_false(fake_timer_armed());
	assert_int_equal(card_sends(50), 50);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(send_piece(&hold), 0);
	assert_int_equal(tdt_writes, 2);
	fake_turn();
	assert_int_equal(tdt_writes, 3);
	assert_int_equal(*reg(E1000_TDT), 250);
	assert_int_equal(nic->stats.tx_frames, 150);
}

/* Whose memory is read waits for an interrupt; the first one that nobody waits for is the last. */
static void test_holds(void **state)
{
	(void)state;
	assert_int_equal(send_piece(&hold), 0);
	assert_int_equal(hold.refs, 2);
	nic_hold_put(&hold);
	fake_turn();
	assert_int_equal(masks & tx_bit(), tx_bit());
	assert_int_equal(card_sends(9), 1);
	assert_int_equal(released, 0);
	card_interrupts();
	assert_int_equal(released, 1);
	assert_int_equal(masks & tx_bit(), tx_bit());
	assert_int_equal(send_copy(), 0);
	fake_turn();
	assert_int_equal(card_sends(9), 1);
	card_interrupts();
	assert_int_equal(masks & tx_bit(), 0);
	assert_int_equal(released, 1);
	fake_advance(5000 * MS);
	assert_false(fake_timer_armed());
	assert_int_equal(resets, 0);
}

/* Full: who was refused is called once, when there is room; what is sent from there is sent. */
static void test_room(void **state)
{
	unsigned n = 0;

	(void)state;
	while (send_copy() == 0)
		n++;
	assert_int_equal(n, TX_BUFS);
	assert_int_equal(nic->stats.tx_dropped, 0);
	fake_turn();
	assert_int_equal(masks & tx_bit(), tx_bit());
	assert_int_equal(card_sends(10), 10);
	card_interrupts();
	assert_int_equal(rooms, 0);
	assert_int_equal(card_sends(60), 60);
	again = 3;
	card_interrupts();
	assert_int_equal(rooms, 1);
	assert_int_equal(again, 0);
	assert_int_equal(hold.refs, 4);
	fake_turn();
	assert_int_equal(card_sends(1000), TX_BUFS - 70 + 3);
	card_interrupts();
	assert_int_equal(rooms, 1);
	assert_int_equal(hold.refs, 1);
}

/* A release that sends, each time. */
static void test_release_sends(void **state)
{
	(void)state;
	assert_int_equal(send_piece(&hold), 0);
	nic_hold_put(&hold);
	again = 1000;
	for (unsigned i = 0; i < 1000; i++) {
		fake_turn();
		assert_int_equal(hold.refs, 1);
		assert_int_equal(card_sends(9), 1);
		card_interrupts();
	}
	fake_turn();
	assert_int_equal(card_sends(9), 1);
	card_interrupts();
	assert_int_equal(hold.refs, 0);
	assert_int_equal(again, 0);
}

/* A card that sends nothing for a second is reset; one that sends a little is not. */
static void test_hung(void **state)
{
	(void)state;
	nic->ops->set_promiscuous(nic, true);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(send_piece(&hold), 0);
	for (unsigned i = 0; i < 10; i++) {
		fake_advance(900 * MS);
		assert_int_equal(card_sends(1), 1);
		card_interrupts();
	}
	assert_int_equal(resets, 0);
	assert_int_equal(hold.refs, 11);
	assert_int_equal(nic->stats.tx_dropped, 0);
	nic_hold_put(&hold);
	fake_advance(1000 * MS);
	fake_advance(1000 * MS);
	assert_int_equal(resets, 1);
	assert_int_equal(released, 1);
	assert_int_equal(hold.refs, 0);
	assert_int_equal(nic->stats.tx_dropped, 10);
	assert_true(master);
	assert_int_equal(*reg(E1000_TDT), 0);
	assert_int_equal(*reg(E1000_RDT), RX_DESCS - 1);
	assert_true(*reg(E1000_RCTL) & E1000_RCTL_UPE);
	assert_true(*reg(E1000_TCTL) & E1000_TCTL_EN);
	assert_int_equal(masks & (E1000_INT_LSC | E1000_INT_RXT), E1000_INT_LSC | E1000_INT_RXT);
	assert_non_null(strstr(fake_log(), "is reset"));
	/* It goes on, both ways. */
	hold.refs = 1;
	assert_int_equal(send_piece(&hold), 0);
	fake_turn();
	assert_int_equal(card_sends(9), 1);
	card_receives(5, 0, 0);
	card_interrupts();
	assert_int_equal(hold.refs, 1);
	assert_int_equal(rx_frames, 5);
	/* ... and says it once. */
	fake_log_clear();
	assert_int_equal(send_piece(&hold), 0);
	fake_advance(3000 * MS);
	fake_advance(3000 * MS);
	assert_int_equal(resets, 2);
	assert_string_equal(fake_log(), "");
}

/* Who was refused by a card that hangs with copies alone is not left waiting. */
static void test_hung_full(void **state)
{
	(void)state;
	while (send_copy() == 0)
		;
	fake_turn();
	again = 2;
	fake_advance(1000 * MS);
	assert_int_equal(resets, 1);
	assert_int_equal(rooms, 1);
	assert_int_equal(again, 0);
	fake_turn();
	assert_int_equal(card_sends(9), 2);
	card_interrupts();
	assert_int_equal(hold.refs, 1);
}

/* Out of reset no more: it is off, everything is given back, nothing is taken. */
static void test_dead(void **state)
{
	(void)state;
	assert_int_equal(send_piece(&hold), 0);
	nic_hold_put(&hold);
	fake_turn();
	deaf = true;
	fake_advance(1000 * MS);
	assert_false(master);
	assert_int_equal(released, 1);
	assert_false(nic->link);
	assert_int_equal(link_calls, 1);
	assert_non_null(strstr(fake_log(), "off now"));
	hold.refs = 1;
	tdt_writes = rdt_writes = 0;
	assert_int_equal(send_piece(&hold), NIC_REFUSED);
	assert_int_equal(hold.refs, 1);
	irq(irq_ctx);
	nic->ops->set_promiscuous(nic, true);
	fake_advance(5000 * MS);
	assert_int_equal(tdt_writes + rdt_writes, 0);
	assert_int_equal(rooms, 0);
	assert_false(fake_timer_armed());
}

/* One call and one write for all of a poll, at most NIC_RX_BUDGET; the card's word for their sums. */
static void test_receives(void **state)
{
	(void)state;
	card_receives(10, E1000_RXD_TCPCS, 0);
	card_receives(3, E1000_RXD_TCPCS, 0x20);
	card_interrupts();
	assert_int_equal(rx_calls, 1);
	assert_int_equal(rx_frames, 13);
	assert_int_equal(rx_good, 10);
	assert_int_equal(rdt_writes, 1);
	assert_int_equal(*reg(E1000_RDT), 12);
	card_receives(1, 0, 1);
	rx_next++;
	card_interrupts();
	assert_int_equal(nic->stats.rx_dropped, 1);
	assert_int_equal(rx_calls, 1);
	assert_int_equal(rdt_writes, 2);
	card_receives(NIC_RX_BUDGET + 5, 0, 0);
	card_interrupts();
	assert_int_equal(rx_frames, 13 + NIC_RX_BUDGET);
	assert_int_equal(masks & E1000_INT_RXT, 0);
	fake_turn();
	assert_int_equal(rx_frames, 13 + NIC_RX_BUDGET + 5);
	assert_int_equal(rx_calls, 3);
	assert_int_equal(masks & E1000_INT_RXT, E1000_INT_RXT);
}

/* Segmentation is not offered below 1 Gb/s by the 82574; by the others always, but for IPv6. */
static void test_caps(void **state)
{
	bool pcie = strcmp(irq_kind, "msix") == 0;
	unsigned caps = PACKET_CAP_CSUM | PACKET_CAP_TCP4 | (pcie ? PACKET_CAP_TCP6 : 0);

	(void)state;
	assert_int_equal(nic->caps, caps);
	*reg(E1000_STATUS) = E1000_STATUS_LU;
	icr |= E1000_INT_LSC;
	irq(irq_ctx);
	assert_int_equal(nic->caps, pcie ? PACKET_CAP_CSUM : caps);
	*reg(E1000_STATUS) = E1000_STATUS_LU | E1000_STATUS_1000;
	icr |= E1000_INT_LSC;
	irq(irq_ctx);
	assert_int_equal(nic->caps, caps);
	assert_int_equal(*reg(E1000_RXCSUM), E1000_RXCSUM_IP | E1000_RXCSUM_TCP_UDP);
	pci.subsys = 0; /* QEMU's */
	icr |= E1000_INT_LSC;
	irq(irq_ctx);
	assert_int_equal(nic->caps, caps & ~(unsigned)PACKET_CAP_TCP6);
}

#define BOTH(test)                                                                                 \
	cmocka_unit_test_setup_teardown(test, fresh, done),                                        \
		cmocka_unit_test_setup_teardown(test, fresh_msix, done)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_told_once),     BOTH(test_holds),    BOTH(test_room),
		BOTH(test_release_sends), BOTH(test_hung),     BOTH(test_hung_full),
		BOTH(test_dead),          BOTH(test_receives), BOTH(test_caps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
