/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intel gigabit Ethernet, 8254x and 82574: one queue each way. Probing resets the device and leaves it quiet; start() gives
 * it memory and switches it on.
 *
 * Sending: frames are put into the ring at once, the device is told at the end of the turn. Buffers of frames that were
 * copied are taken back when the next frame is put, without interrupts. While somebody waits, because the device reads his
 * memory or there was no room, the device interrupts when it has sent something, and a timer looks whether it still does:
 * it does not without a link. References are given back, and room() is called, from the interrupt and the timer only.
 */
#include <stdlib.h>
#include <string.h>
#include "drivers/e1000.h"
#include "drivers/bits.h"
#include "drivers/driver.h"
#include "drivers/e1000_hw.h"
#include "drivers/e1000_ring.h"
#include "drivers/nics.h"
#include "drivers/pci_regs.h"
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/rt/rt.h"

#define VENDOR_INTEL 0x8086u
#define RX_DESCS 256u
#define TX_DESCS 256u
#define TX_UNTOLD_MAX (TX_DESCS / 2)
#define TX_HUNG_NS 1000000000ull
#define TX_DELAY                                                                                   \
	8u /* of an interrupt, TIDV's units: others end meanwhile. A full ring ends what puts it off */
#define RING_ALIGN 128u /* RDLEN and the bases are multiples of 128 (8254x 13.4.27) */
#define RESET_SETTLE_US 5u
#define RESET_TRIES 400u /* of 50 us: 20 ms, the NVM's auto-read included */
#define EERD_TRIES 200u
#define POLL_STEP_US 50u
#define INT_ALL UINT32_MAX
#define INT_RX (E1000_INT_RXT | E1000_INT_RXDMT | E1000_INT_RXO | E1000_INT_RXQ0)

struct e1000 {
	struct nic nic;
	struct pci_dev *dev; /* [borrows] */
	const struct e1000_family *family;
	volatile char *regs;
	uint32_t enabled; /* interrupt causes in use */
	bool msix;
	bool polling; /* receive causes are masked, the job goes on */
	bool promiscuous;
	bool hung_said;
	bool dead; /* it did not come out of a reset */
	struct loop_job job;
	struct dma rx_ring, rx_bufs, tx_ring, tx_bufs;
	struct e1000_rx rx;
	struct e1000_tx tx;
	struct loop_job tell;
	bool tx_irq; /* the transmit cause is not masked */
	struct loop_timer hung;
	uint64_t hung_mark; /* frames sent when the timer was set */
};

static uint32_t reg_read(const struct e1000 *e, unsigned off)
{
	return mmio_read32(e->regs + off);
}

static void reg_write(struct e1000 *e, unsigned off, uint32_t value)
{
	mmio_write32(e->regs + off, value);
}

/* Waits until (register & mask) == want, a bounded time. */
static bool reg_wait(const struct e1000 *e, unsigned off, uint32_t mask, uint32_t want,
		     unsigned tries)
{
	while (tries--) {
		if ((reg_read(e, off) & mask) == want)
			return true;
		pci_delay_us(POLL_STEP_US);
	}
	return false;
}

static int reset(struct e1000 *e)
{
	pci_enable(e->dev, false); /* an earlier instance's rings must not be written any more */
	reg_write(e, E1000_IMC, INT_ALL);
	reg_write(e, E1000_RCTL, 0);
	reg_write(e, E1000_TCTL, 0);
	reg_write(e, E1000_CTRL, reg_read(e, E1000_CTRL) | E1000_CTRL_RST);
	pci_delay_us(RESET_SETTLE_US);
	if (!reg_wait(e, E1000_CTRL, E1000_CTRL_RST, 0, RESET_TRIES))
		return -1;
	if (e->family->pcie &&
	    !reg_wait(e, E1000_EECD, E1000_EECD_AUTO_RD, E1000_EECD_AUTO_RD, RESET_TRIES))
		return -1;
	reg_write(e, E1000_IMC, INT_ALL);
	(void)reg_read(e, E1000_ICR);
	return 0;
}

static int eeprom_word(struct e1000 *e, unsigned word, uint16_t *out)
{
	uint32_t done = 1u << e->family->eerd_done;

	reg_write(e, E1000_EERD, 1u | word << e->family->eerd_shift);
	if (!reg_wait(e, E1000_EERD, done, done, EERD_TRIES))
		return -1;
	*out = (uint16_t)(reg_read(e, E1000_EERD) >> 16);
	return 0;
}

static bool mac_usable(const uint8_t mac[6])
{
	static const uint8_t zero[6];

	return !(mac[0] & 1) && memcmp(mac, zero, 6) != 0;
}

/* The device loads its first receive address from the EEPROM at reset; else words 0 to 2 are read. */
static int read_mac(struct e1000 *e)
{
	uint32_t low = reg_read(e, E1000_RAL0), high = reg_read(e, E1000_RAH0);
	uint16_t words[3];

	memcpy(e->nic.mac, &low, 4);
	memcpy(e->nic.mac + 4, &high, 2);
	if (high & E1000_RAH_AV && mac_usable(e->nic.mac))
		return 0;
	for (unsigned i = 0; i < 3; i++)
		if (eeprom_word(e, i, &words[i]) != 0)
			return -1;
	memcpy(e->nic.mac, words, 6);
	return mac_usable(e->nic.mac) ? 0 : -1;
}

static void write_mac(struct e1000 *e)
{
	uint32_t low, high = 0;

	memcpy(&low, e->nic.mac, 4);
	memcpy(&high, e->nic.mac + 4, 2);
	reg_write(e, E1000_RAL0, low);
	reg_write(e, E1000_RAH0, high | E1000_RAH_AV);
}

/* The 82574 can hang when its PCIe link sleeps (its specification update): ASPM off in link control. */
static void no_link_sleep(const struct pci_dev *d)
{
	unsigned cap = pci_find_cap(d, PCI_CAP_EXPRESS, 0);

	if (cap)
		pci_write(d, cap + PCI_EXP_LINK_CONTROL, 2,
			  pci_read(d, cap + PCI_EXP_LINK_CONTROL, 2) & ~PCI_EXP_ASPM);
}

/* QEMU's 82574, which this is, sends what it has to split of IPv6 cut off, before QEMU 8.1. */
static bool cuts_ipv6(const struct pci_dev *d)
{
	return d->subsys_vendor == VENDOR_INTEL && d->subsys == 0;
}

/* At 10 and 100 Mb/s the 82574 is left without segmentation by other drivers, for errata's sake. */
static bool link_now(struct e1000 *e)
{
	uint32_t status = reg_read(e, E1000_STATUS);
	bool up = status & E1000_STATUS_LU;
	bool slow = e->family->pcie && up && !(status & E1000_STATUS_1000);

	e->nic.caps = slow ? PACKET_CAP_CSUM : e->family->caps;
	if (cuts_ipv6(e->dev))
		e->nic.caps &= ~(unsigned)PACKET_CAP_TCP6;
	return up;
}

static void link_update(struct e1000 *e)
{
	nic_set_link(&e->nic, link_now(e));
}

static void update_stats(struct nic *nic)
{
	struct e1000 *e = nic->priv;

	nic->stats.rx_overruns += reg_read(e, E1000_MPC);
	nic->stats.rx_overruns += reg_read(e, E1000_RNBC);
}

/* Emulated devices say RXO without counting: at least one frame was lost then. */
static void on_overrun(struct e1000 *e)
{
	uint64_t before = e->nic.stats.rx_overruns;

	update_stats(&e->nic);
	if (e->nic.stats.rx_overruns == before)
		e->nic.stats.rx_overruns++;
}

static unsigned take_frames(struct e1000 *e)
{
	struct nic_seg seg[NIC_RX_BUDGET];
	struct nic_rx frame[NIC_RX_BUDGET];
	enum e1000_rx_result r;
	unsigned n, good = 0;
	bool csum_good;

	for (n = 0; n < NIC_RX_BUDGET; n++) {
		r = e1000_rx_take(&e->rx, &seg[good], &csum_good);
		if (r == E1000_RX_NONE)
			break;
		if (r == E1000_RX_BAD) {
			e->nic.stats.rx_dropped++;
			continue;
		}
		frame[good] = (struct nic_rx){
			.seg = &seg[good], .n_segs = 1, .offload.csum_good = csum_good};
		good++;
	}
	if (n == 0)
		return 0;
	nic_deliver(&e->nic, frame, good);
	e1000_rx_give(&e->rx);
	dma_barrier();
	reg_write(e, E1000_RDT, e1000_rx_tail(&e->rx));
	return n;
}

/* A cause that came while masked stays in ICR and interrupts when it is unmasked, so nothing is lost here. */
static void poll_rx(void *ctx)
{
	struct e1000 *e = ctx;
	bool more = !e->dead && take_frames(e) == NIC_RX_BUDGET;

	if (more) {
		if (!e->polling)
			reg_write(e, E1000_IMC, INT_RX & e->enabled);
		loop_defer(&e->job);
	} else if (e->polling && !e->dead) {
		reg_write(e, E1000_IMS, e->enabled);
	}
	e->polling = more;
}

static uint32_t tx_cause(const struct e1000 *e)
{
	return e->msix ? E1000_INT_TXQ0 : E1000_INT_TXDW;
}

/* Somebody waits for what the device does. */
static bool tx_awaited(const struct e1000 *e)
{
	return e->tx.holds || e->tx.refused;
}

/* Those called here may send: what they send is not waited for. */
static void tx_done(struct e1000 *e)
{
	struct nic_hold *hold;

	for (unsigned n = e->tx.frames; n && e1000_tx_take(&e->tx, &hold); n--)
		nic_hold_put(hold);
	if (e1000_tx_room(&e->tx) && e->nic.room)
		e->nic.room(&e->nic);
}

static void hung_watch(struct e1000 *e)
{
	e->hung_mark = e->tx.sent;
	loop_timer_set(&e->hung, TX_HUNG_NS);
}

/* A cause that came while masked interrupts now, so nothing that was sent meanwhile is overlooked. */
static void tx_watch(struct e1000 *e)
{
	if (!tx_awaited(e))
		return;
	if (!e->tx_irq)
		reg_write(e, E1000_IMS, tx_cause(e));
	e->tx_irq = true;
	if (!e->hung.armed)
		hung_watch(e);
}

static void tell(struct e1000 *e)
{
	if (e1000_tx_untold(&e->tx))
		reg_write(e, E1000_TDT, e1000_tx_tell(&e->tx));
}

static void end_of_turn(void *ctx)
{
	struct e1000 *e = ctx;

	if (e->dead)
		return;
	tell(e);
	tx_watch(e);
}

/* Masked one interrupt late: who sends all the time does not pay for masking each time. */
static void on_tx(struct e1000 *e, uint32_t causes)
{
	if (tx_awaited(e)) {
		tx_done(e);
	} else if (e->tx_irq && causes & tx_cause(e)) {
		reg_write(e, E1000_IMC, tx_cause(e));
		e->tx_irq = false;
	}
}

static void on_irq(void *ctx)
{
	struct e1000 *e = ctx;
	uint32_t causes = reg_read(e, E1000_ICR);

	if (causes == UINT32_MAX || e->dead) /* the device is gone */
		return;
	if (e->msix) /* there reading does not clear (82574 10.2.4.1) */
		reg_write(e, E1000_ICR, causes);
	e->nic.stats.irqs += causes != 0;
	if (causes & E1000_INT_LSC)
		link_update(e);
	if (causes & E1000_INT_RXO)
		on_overrun(e);
	on_tx(e, causes);
	if (!e->polling)
		poll_rx(e);
}

static enum nic_send send(struct nic *nic, const struct nic_frame *frame)
{
	struct e1000 *e = nic->priv;
	size_t len = e->dead ? 0 : e1000_tx_put(&e->tx, frame);

	if (len || e->tx.full)
		loop_defer_last(&e->tell);
	if (len == 0 && e->tx.full)
		return NIC_FULL;
	if (len == 0) {
		nic->stats.tx_dropped++;
		return NIC_REFUSED;
	}
	if (e1000_tx_untold(&e->tx) > TX_UNTOLD_MAX)
		tell(e);
	nic->stats.tx_frames++;
	nic->stats.tx_bytes += len;
	return NIC_TAKEN;
}

static void set_promiscuous(struct nic *nic, bool on)
{
	struct e1000 *e = nic->priv;
	uint32_t rctl = reg_read(e, E1000_RCTL) & ~E1000_RCTL_UPE;

	e->promiscuous = on;
	if (!e->dead)
		reg_write(e, E1000_RCTL, rctl | (on ? E1000_RCTL_UPE : 0));
}

static int memory_init(struct e1000 *e)
{
	if (dma_alloc(&e->rx_ring, RX_DESCS * sizeof(struct e1000_rx_desc), RING_ALIGN) != 0 ||
	    dma_alloc(&e->tx_ring, TX_DESCS * sizeof(struct e1000_tx_desc), RING_ALIGN) != 0 ||
	    dma_alloc(&e->tx_bufs, E1000_TX_BUFS * NIC_BUFFER, NIC_BUFFER) != 0 ||
	    dma_alloc(&e->rx_bufs, RX_DESCS * NIC_BUFFER, NIC_BUFFER) != 0)
		return -1;
	e1000_tx_init(&e->tx, e->tx_ring.va, TX_DESCS, e->tx_bufs.va, e->tx_bufs.hpa,
		      E1000_TX_BUFS);
	return 0;
}

static void rings_init(struct e1000 *e)
{
	e1000_rx_init(&e->rx, e->rx_ring.va, RX_DESCS, e->rx_bufs.va, e->rx_bufs.hpa);
	reg_write(e, E1000_RDBAL, (uint32_t)e->rx_ring.hpa);
	reg_write(e, E1000_RDBAH, (uint32_t)(e->rx_ring.hpa >> 32));
	reg_write(e, E1000_RDLEN, RX_DESCS * sizeof(struct e1000_rx_desc));
	reg_write(e, E1000_RDH, 0);
	reg_write(e, E1000_RDT, 0);
	reg_write(e, E1000_TDBAL, (uint32_t)e->tx_ring.hpa);
	reg_write(e, E1000_TDBAH, (uint32_t)(e->tx_ring.hpa >> 32));
	reg_write(e, E1000_TDLEN, TX_DESCS * sizeof(struct e1000_tx_desc));
	reg_write(e, E1000_TDH, 0);
	reg_write(e, E1000_TDT, 0);
	reg_write(e, E1000_TIDV, TX_DELAY);
}

static void mac_init(struct e1000 *e)
{
	uint32_t ctrl = reg_read(e, E1000_CTRL) & ~E1000_CTRL_VME; /* VLAN tags stay in frames */

	reg_write(e, E1000_CTRL, ctrl | E1000_CTRL_SLU | (e->family->pcie ? 0 : E1000_CTRL_ASDE));
	write_mac(e);
	if (e->family->pcie) {
		reg_write(e, E1000_CTRL_EXT, reg_read(e, E1000_CTRL_EXT) | E1000_CTRL_EXT_DRV_LOAD);
		reg_write(e, E1000_TXDCTL, reg_read(e, E1000_TXDCTL) | E1000_TXDCTL_COUNT_DESC);
	} else {
		reg_write(e, E1000_MANC, reg_read(e, E1000_MANC) & ~E1000_MANC_ARP);
	}
	reg_write(e, E1000_TIPG, E1000_TIPG_COPPER);
	reg_write(e, E1000_RDTR, 0);
	reg_write(e, E1000_ITR, 0);
}

static int irq_bind(struct e1000 *e)
{
	if (pci_irq_bind(e->dev, on_irq, e, &e->nic.irq_kind) != 0)
		return -1;
	e->msix = e->family->pcie && strcmp(e->nic.irq_kind, "msix") == 0;
	e->enabled = E1000_INT_LSC | E1000_INT_RXT | E1000_INT_RXDMT | E1000_INT_RXO;
	if (e->msix)
		e->enabled |= E1000_INT_RXQ0 | E1000_INT_OTHER;
	return 0;
}

static void irq_init(struct e1000 *e)
{
	if (e->msix) {
		reg_write(e, E1000_EIAC, 0);
		reg_write(e, E1000_IVAR, E1000_IVAR_ALL_0);
		reg_write(e, E1000_CTRL_EXT, reg_read(e, E1000_CTRL_EXT) | E1000_CTRL_EXT_PBA);
	}
	e->tx_irq = false;
	e->polling = false;
}

/* After a reset. */
static void switch_on(struct e1000 *e)
{
	mac_init(e);
	rings_init(e);
	irq_init(e);
	pci_enable(e->dev, true);
	reg_write(e, E1000_TCTL, E1000_TCTL_EN | E1000_TCTL_PSP | E1000_TCTL_CT | E1000_TCTL_COLD);
	reg_write(e, E1000_RXCSUM, E1000_RXCSUM_IP | E1000_RXCSUM_TCP_UDP);
	reg_write(e, E1000_RCTL,
		  E1000_RCTL_EN | E1000_RCTL_BAM | E1000_RCTL_MPE | E1000_RCTL_SECRC |
			  (e->promiscuous ? E1000_RCTL_UPE : 0));
	reg_write(e, E1000_RDT, e1000_rx_tail(&e->rx));
	reg_write(e, E1000_IMS, e->enabled);
	link_update(e);
}

static void say_hung(struct e1000 *e)
{
	if (e->dead)
		rt_log("net: %s: it does not come out of reset any more; it is off now",
		       e->nic.name);
	else if (!e->hung_said)
		rt_log("net: %s: what it has to send stays; it is reset, now and when that happens "
		       "again",
		       e->nic.name);
	e->hung_said = true;
}

/*
 * A device that has stopped is not waited for: bus mastering off ends its reads (PCI 3.0 6.2.2), and the reset empties it
 * (CTRL.RST: 8254x 13.4.1, 82574 10.2.1.1); then it begins with the memory that it had. What was to be sent is lost.
 */
static void restart(struct e1000 *e)
{
	struct nic_hold *holds[E1000_TX_BUFS];
	unsigned n;

	e->dead = reset(e) != 0;
	e->nic.stats.tx_dropped += e1000_tx_abort(&e->tx, holds, &n);
	say_hung(e);
	if (e->dead)
		nic_set_link(&e->nic, false);
	else
		switch_on(e);
	for (unsigned i = 0; i < n; i++)
		nic_hold_put(holds[i]);
	if (!e->dead)
		tx_done(e);
}

static void hung_look(void *ctx)
{
	struct e1000 *e = ctx;

	if (e->dead)
		return;
	tx_done(e);
	if (!tx_awaited(e))
		return;
	if (e->tx.sent == e->hung_mark)
		restart(e);
	if (tx_awaited(e) && !e->dead)
		hung_watch(e);
}

static int start(struct nic *nic)
{
	struct e1000 *e = nic->priv;

	if (memory_init(e) != 0 || irq_bind(e) != 0) {
		rt_log("net: %s: no memory or no interrupt left; it stays off", nic->name);
		return -1;
	}
	switch_on(e);
	return 0;
}

static const struct nic_ops ops = {
	.start = start,
	.send = send,
	.set_promiscuous = set_promiscuous,
	.update_stats = update_stats,
};

bool e1000_matches(const struct pci_dev *d, const struct e1000_family *family)
{
	const uint16_t *id = family->devices;

	while (*id && *id != d->device)
		id++;
	return d->vendor == VENDOR_INTEL && *id;
}

static int device_init(struct e1000 *e)
{
	pci_enable(e->dev, false);
	e->regs = pci_map_bar(e->dev, 0, 0, E1000_REGS_LEN);
	if (!e->regs) {
		rt_log("net: %s: its registers cannot be mapped", e->nic.name);
		return -1;
	}
	if (e->family->pcie)
		no_link_sleep(e->dev);
	if (reset(e) != 0) {
		rt_log("net: %s: it does not come out of reset", e->nic.name);
		return -1;
	}
	if (read_mac(e) != 0) {
		rt_log("net: %s: its EEPROM holds no usable MAC address", e->nic.name);
		return -1;
	}
	e->nic.link = link_now(e);
	return 0;
}

struct nic *e1000_probe(struct pci_dev *d, const struct e1000_family *family)
{
	struct e1000 *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	*e = (struct e1000){.dev = d,
			    .family = family,
			    .job = {.fn = poll_rx, .ctx = e},
			    .tell = {.fn = end_of_turn, .ctx = e}};
	loop_timer_init(&e->hung, hung_look, e);
	e->nic.ops = &ops;
	e->nic.priv = e;
	e->nic.irq_kind = "none";
	nic_set_name(&e->nic, family->name, d->bdf);
	if (device_init(e) == 0)
		return &e->nic;
	free(e);
	return NULL;
}
