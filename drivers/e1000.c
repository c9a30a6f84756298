/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intel gigabit Ethernet, 8254x and 82574: one queue each way, legacy descriptors, no offloads. Probing resets the
 * device and leaves it quiet; start() gives it memory and switches it on.
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
#define TX_DESCS 128u
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
	struct loop_job job;
	struct e1000_rx rx;
	struct e1000_tx tx;
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

static void link_update(struct e1000 *e)
{
	nic_set_link(&e->nic, reg_read(e, E1000_STATUS) & E1000_STATUS_LU);
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
	enum e1000_rx_result r;
	struct nic_seg seg;
	const struct nic_rx frame = {.seg = &seg, .n_segs = 1};
	unsigned n;

	for (n = 0; n < NIC_RX_BUDGET; n++) {
		r = e1000_rx_take(&e->rx, &seg.data, &seg.len);
		if (r == E1000_RX_NONE)
			break;
		if (r == E1000_RX_FRAME)
			nic_deliver(&e->nic, &frame, 1);
		else
			e->nic.stats.rx_dropped++;
		e1000_rx_give(&e->rx);
	}
	dma_barrier();
	if (n)
		reg_write(e, E1000_RDT, e1000_rx_tail(&e->rx));
	return n;
}

/* A cause that came while masked stays in ICR and interrupts when it is unmasked, so nothing is lost here. */
static void poll_rx(void *ctx)
{
	struct e1000 *e = ctx;
	bool more = take_frames(e) == NIC_RX_BUDGET;

	if (more) {
		if (!e->polling)
			reg_write(e, E1000_IMC, INT_RX & e->enabled);
		loop_defer(&e->job);
	} else if (e->polling) {
		reg_write(e, E1000_IMS, e->enabled);
	}
	e->polling = more;
}

static void on_irq(void *ctx)
{
	struct e1000 *e = ctx;
	uint32_t causes = reg_read(e, E1000_ICR);

	if (causes == UINT32_MAX) /* the device is gone */
		return;
	if (e->msix) /* there reading does not clear (82574 10.2.4.1) */
		reg_write(e, E1000_ICR, causes);
	e->nic.stats.irqs += causes != 0;
	if (causes & E1000_INT_LSC)
		link_update(e);
	if (causes & E1000_INT_RXO)
		on_overrun(e);
	if (!e->polling)
		poll_rx(e);
}

static enum nic_send send(struct nic *nic, const struct nic_frame *frame)
{
	struct e1000 *e = nic->priv;
	size_t len = e1000_tx_put(&e->tx, frame);

	if (len == 0) {
		nic->stats.tx_dropped++;
		return NIC_REFUSED;
	}
	reg_write(e, E1000_TDT, e->tx.next);
	nic->stats.tx_frames++;
	nic->stats.tx_bytes += len;
	return NIC_TAKEN;
}

static void set_promiscuous(struct nic *nic, bool on)
{
	struct e1000 *e = nic->priv;
	uint32_t rctl = reg_read(e, E1000_RCTL) & ~E1000_RCTL_UPE;

	reg_write(e, E1000_RCTL, rctl | (on ? E1000_RCTL_UPE : 0));
}

static int rings_init(struct e1000 *e)
{
	struct dma rx_ring, tx_ring, rx_bufs, tx_bufs;

	if (dma_alloc(&rx_ring, RX_DESCS * sizeof(struct e1000_rx_desc), RING_ALIGN) != 0 ||
	    dma_alloc(&tx_ring, TX_DESCS * sizeof(struct e1000_tx_desc), RING_ALIGN) != 0 ||
	    dma_alloc(&tx_bufs, TX_DESCS * NIC_BUFFER, NIC_BUFFER) != 0 ||
	    dma_alloc(&rx_bufs, RX_DESCS * NIC_BUFFER, NIC_BUFFER) != 0)
		return -1;
	e1000_rx_init(&e->rx, rx_ring.va, RX_DESCS, rx_bufs.va, rx_bufs.hpa);
	e1000_tx_init(&e->tx, tx_ring.va, TX_DESCS, tx_bufs.va, tx_bufs.hpa);
	reg_write(e, E1000_RDBAL, (uint32_t)rx_ring.hpa);
	reg_write(e, E1000_RDBAH, (uint32_t)(rx_ring.hpa >> 32));
	reg_write(e, E1000_RDLEN, RX_DESCS * sizeof(struct e1000_rx_desc));
	reg_write(e, E1000_RDH, 0);
	reg_write(e, E1000_RDT, 0);
	reg_write(e, E1000_TDBAL, (uint32_t)tx_ring.hpa);
	reg_write(e, E1000_TDBAH, (uint32_t)(tx_ring.hpa >> 32));
	reg_write(e, E1000_TDLEN, TX_DESCS * sizeof(struct e1000_tx_desc));
	reg_write(e, E1000_TDH, 0);
	reg_write(e, E1000_TDT, 0);
	return 0;
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

static int irq_init(struct e1000 *e)
{
	if (pci_irq_bind(e->dev, on_irq, e, &e->nic.irq_kind) != 0)
		return -1;
	e->msix = e->family->pcie && strcmp(e->nic.irq_kind, "msix") == 0;
	e->enabled = E1000_INT_LSC | E1000_INT_RXT | E1000_INT_RXDMT | E1000_INT_RXO;
	if (!e->msix)
		return 0;
	e->enabled |= E1000_INT_RXQ0 | E1000_INT_OTHER;
	reg_write(e, E1000_EIAC, 0);
	reg_write(e, E1000_IVAR, E1000_IVAR_ALL_0);
	reg_write(e, E1000_CTRL_EXT, reg_read(e, E1000_CTRL_EXT) | E1000_CTRL_EXT_PBA);
	return 0;
}

static int start(struct nic *nic)
{
	struct e1000 *e = nic->priv;

	mac_init(e);
	if (rings_init(e) != 0 || irq_init(e) != 0) {
		rt_log("net: %s: no memory or no interrupt left; it stays off", nic->name);
		return -1;
	}
	pci_enable(e->dev, true);
	reg_write(e, E1000_TCTL, E1000_TCTL_EN | E1000_TCTL_PSP | E1000_TCTL_CT | E1000_TCTL_COLD);
	reg_write(e, E1000_RCTL,
		  E1000_RCTL_EN | E1000_RCTL_BAM | E1000_RCTL_MPE | E1000_RCTL_SECRC);
	reg_write(e, E1000_RDT, e1000_rx_tail(&e->rx));
	reg_write(e, E1000_IMS, e->enabled);
	link_update(e);
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
	e->nic.link = reg_read(e, E1000_STATUS) & E1000_STATUS_LU;
	return 0;
}

struct nic *e1000_probe(struct pci_dev *d, const struct e1000_family *family)
{
	struct e1000 *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	*e = (struct e1000){.dev = d, .family = family, .job = {.fn = poll_rx, .ctx = e}};
	e->nic.ops = &ops;
	e->nic.priv = e;
	e->nic.irq_kind = "none";
	nic_set_name(&e->nic, family->name, d->bdf);
	if (device_init(e) == 0)
		return &e->nic;
	free(e);
	return NULL;
}
