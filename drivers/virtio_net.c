/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-net, modern devices (virtio 1.2 section 5.1): one queue pair, no offloads, frames copied to and from DMA
 * buffers. Buffer i belongs to descriptor i of its queue for as long as the driver runs. Transmitted buffers are taken
 * back when the next frame is sent, so sending never interrupts.
 */
#include <stdlib.h>
#include <string.h>
#include "drivers/bits.h"
#include "drivers/driver.h"
#include "drivers/nics.h"
#include "drivers/virtio_pci.h"
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/rt/rt.h"

#define VENDOR_VIRTIO 0x1af4u
#define DEVICE_NET 0x1041u              /* 0x1040 + device type 1 */
#define DEVICE_NET_TRANSITIONAL 0x1000u /* speaks 1.x too */
#define NET_F_MAC (1ull << 5)           /* 5.1.3 */
#define NET_F_STATUS (1ull << 16)
#define CONFIG_MAC 0u /* 5.1.4 */
#define CONFIG_STATUS 6u
#define CONFIG_LEN 8u
#define STATUS_LINK_UP 1u
#define QUEUE_RX 0u
#define QUEUE_TX 1u
#define RX_SIZE 256u
#define TX_SIZE 128u
#define HEADER_LEN 12u /* struct virtio_net_hdr (5.1.6); all zero: no offload */
#define ISR_CONFIG 2u  /* 4.1.4.5 */

struct virtio_net {
	struct nic nic;
	struct virtio_pci pci;
	uint64_t features;
	struct virtq rx, tx;
	volatile void *rx_bell, *tx_bell;
	struct dma rx_bufs, tx_bufs;
	struct loop_job job;
	bool polling; /* receive interrupts are off, the job goes on */
	bool broken_said;
};

static bool link_now(const struct virtio_net *v)
{
	return !(v->features & NET_F_STATUS) ||
	       mmio_read16(v->pci.device + CONFIG_STATUS) & STATUS_LINK_UP;
}

static int rx_post(struct virtio_net *v)
{
	unsigned i = v->rx.free_head;

	return virtq_post(&v->rx, v->rx_bufs.hpa + (uint64_t)i * NIC_BUFFER, NIC_BUFFER, true);
}

static void say_broken(struct virtio_net *v)
{
	if (!v->broken_said)
		rt_log("net: %s: the device broke its rings; it is off now", v->nic.name);
	v->broken_said = true;
	virtio_pci_fail(&v->pci);
	nic_set_link(&v->nic, false);
}

static unsigned take_frames(struct virtio_net *v)
{
	struct nic_seg seg;
	const struct nic_rx frame = {.seg = &seg, .n_segs = 1};
	unsigned n;
	uint32_t len;
	int i;

	for (n = 0; n < NIC_RX_BUDGET; n++) {
		i = virtq_take(&v->rx, &len);
		if (i < 0)
			break;
		seg.data = (char *)v->rx_bufs.va + (size_t)i * NIC_BUFFER + HEADER_LEN;
		seg.len = len - HEADER_LEN;
		if (len > HEADER_LEN && seg.len <= NIC_FRAME_MAX)
			nic_deliver(&v->nic, &frame, 1);
		else
			v->nic.stats.rx_dropped++;
		(void)rx_post(v); /* has room: one was just taken */
	}
	if (n && virtq_wants_kick(&v->rx))
		virtio_pci_kick(v->rx_bell, QUEUE_RX);
	return n;
}

static void poll_rx(void *ctx)
{
	struct virtio_net *v = ctx;
	bool more = take_frames(v) == NIC_RX_BUDGET;

	if (v->rx.broken || v->tx.broken) {
		say_broken(v);
		return;
	}
	if (!more && v->polling) {
		virtq_interrupts(&v->rx, true);
		more = virtq_pending(&v->rx); /* came before the device saw the flag */
	}
	if (more) {
		virtq_interrupts(&v->rx, false);
		loop_defer(&v->job);
	}
	v->polling = more;
}

static void on_config(void *ctx)
{
	struct virtio_net *v = ctx;

	v->nic.stats.irqs++;
	nic_set_link(&v->nic, link_now(v));
}

/* Without MSI-X the ISR register says why, and reading it takes the line back (4.1.4.5). */
static void on_irq(void *ctx)
{
	struct virtio_net *v = ctx;

	if (!v->pci.msix && mmio_read8(v->pci.isr) & ISR_CONFIG)
		nic_set_link(&v->nic, link_now(v));
	v->nic.stats.irqs++;
	if (!v->polling)
		poll_rx(v);
}

static void tx_reclaim(struct virtio_net *v)
{
	uint32_t len;

	for (unsigned i = 0; i < v->tx.size && virtq_take(&v->tx, &len) >= 0; i++)
		;
}

static int send(struct nic *nic, const struct nic_frame *frame)
{
	struct virtio_net *v = nic->priv;
	unsigned i;
	size_t len;

	tx_reclaim(v);
	i = v->tx.free_head;
	/* The header before the frame is zero since the buffer was made. */
	len = v->tx.n_free && !v->tx.broken
		      ? nic_gather((char *)v->tx_bufs.va + (size_t)i * NIC_BUFFER + HEADER_LEN,
				   NIC_FRAME_MAX, frame)
		      : 0;
	if (len == 0) {
		nic->stats.tx_dropped++;
		return -1;
	}
	(void)virtq_post(&v->tx, v->tx_bufs.hpa + (uint64_t)i * NIC_BUFFER,
			 (uint32_t)len + HEADER_LEN, false);
	if (virtq_wants_kick(&v->tx))
		virtio_pci_kick(v->tx_bell, QUEUE_TX);
	nic->stats.tx_frames++;
	nic->stats.tx_bytes += len;
	return 0;
}

/* Without the control queue the device takes all frames anyway (5.1.6.5.1). */
static void set_promiscuous(struct nic *nic, bool on)
{
	(void)nic;
	(void)on;
}

static int queues_init(struct virtio_net *v)
{
	if (virtio_pci_queue(&v->pci, QUEUE_RX, RX_SIZE, &v->rx, &v->rx_bell) != 0 ||
	    virtio_pci_queue(&v->pci, QUEUE_TX, TX_SIZE, &v->tx, &v->tx_bell) != 0 ||
	    dma_alloc(&v->tx_bufs, v->tx.size * NIC_BUFFER, NIC_BUFFER) != 0 ||
	    dma_alloc(&v->rx_bufs, v->rx.size * NIC_BUFFER, NIC_BUFFER) != 0)
		return -1;
	virtq_interrupts(&v->tx, false);
	while (v->rx.n_free)
		(void)rx_post(v);
	return 0;
}

static int start(struct nic *nic)
{
	struct virtio_net *v = nic->priv;

	if (virtio_pci_irqs(&v->pci, on_irq, on_config, v, &nic->irq_kind) != 0 ||
	    queues_init(v) != 0) {
		rt_log("net: %s: no memory or no interrupt left; it stays off", nic->name);
		virtio_pci_fail(&v->pci);
		return -1;
	}
	virtio_pci_ready(&v->pci);
	virtio_pci_kick(v->rx_bell, QUEUE_RX);
	nic_set_link(nic, link_now(v));
	return 0;
}

static const struct nic_ops ops = {
	.start = start,
	.send = send,
	.set_promiscuous = set_promiscuous,
};

static int device_init(struct virtio_net *v, struct pci_dev *d, const char **why)
{
	if (virtio_pci_open(&v->pci, d, why) != 0)
		return -1;
	*why = "it refuses to work as a virtio 1.x device with a MAC address";
	if (!v->pci.device || v->pci.device_len < CONFIG_LEN ||
	    virtio_pci_features(&v->pci, NET_F_MAC | NET_F_STATUS, &v->features) != 0 ||
	    !(v->features & NET_F_MAC))
		return -1;
	for (unsigned i = 0; i < 6; i++)
		v->nic.mac[i] = mmio_read8(v->pci.device + CONFIG_MAC + i);
	v->nic.link = link_now(v);
	return 0;
}

static bool matches(const struct pci_dev *d)
{
	return d->vendor == VENDOR_VIRTIO &&
	       (d->device == DEVICE_NET || d->device == DEVICE_NET_TRANSITIONAL);
}

static struct nic *probe(struct pci_dev *d)
{
	struct virtio_net *v = calloc(1, sizeof(*v));
	const char *why;

	if (!v)
		return NULL;
	v->job = (struct loop_job){.fn = poll_rx, .ctx = v};
	v->nic.ops = &ops;
	v->nic.priv = v;
	v->nic.irq_kind = "none";
	nic_set_name(&v->nic, "virtio", d->bdf);
	if (device_init(v, d, &why) == 0)
		return &v->nic;
	rt_log("net: %s: %s; it stays off", v->nic.name, why);
	free(v);
	return NULL;
}

const struct nic_driver nic_virtio = {.name = "virtio", .matches = matches, .probe = probe};
