/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-net, modern devices (virtio 1.2 section 5.1): one queue pair, with what the device offers of checksums and
 * segmentation both ways. A receive buffer i belongs to descriptor i of its queue for as long as the driver runs; frames are
 * handed up where they lie. Of a frame to send a buffer of ours has the header and what is copied, and the device reads the rest
 * where it lies. While somebody waits for that to end, or for room, sending interrupts; else sent buffers are taken back when
 * the next frame is sent.
 */
#include <stdlib.h>
#include <string.h>
#include "drivers/bits.h"
#include "drivers/driver.h"
#include "drivers/nics.h"
#include "drivers/virtio_pci.h"
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/rt/rt.h"
#include "net/virtio_header.h"

#define VENDOR_VIRTIO 0x1af4u
#define DEVICE_NET 0x1041u              /* 0x1040 + device type 1 */
#define DEVICE_NET_TRANSITIONAL 0x1000u /* speaks 1.x too */
#define NET_F_CSUM (1ull << 0)          /* 5.1.3 */
#define NET_F_GUEST_CSUM (1ull << 1)
#define NET_F_MAC (1ull << 5)
#define NET_F_GUEST_TSO4 (1ull << 7)
#define NET_F_GUEST_TSO6 (1ull << 8)
#define NET_F_HOST_TSO4 (1ull << 11)
#define NET_F_HOST_TSO6 (1ull << 12)
#define NET_F_MRG_RXBUF (1ull << 15)
#define NET_F_STATUS (1ull << 16)
#define NET_F_GUEST_TSO (NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6)
#define CONFIG_MAC 0u /* 5.1.4 */
#define CONFIG_STATUS 6u
#define CONFIG_LEN 8u
#define STATUS_LINK_UP 1u
#define QUEUE_RX 0u
#define QUEUE_TX 1u
#define RX_SIZE 256u
#define TX_SIZE 256u
#define TX_SLOTS 128u
#define RX_LARGE_BUFFER 4096u /* with GUEST_TSO */
#define RX_FRAME_BUFFERS 17u  /* of the largest frame, with its header, in large buffers */
#define RX_BATCH (NIC_RX_BUDGET + RX_FRAME_BUFFERS)
#define ISR_CONFIG 2u /* 4.1.4.5 */
#define WATCH_NS 1000000000ull
#define RESETS_MAX 8u /* in RESETS_NS: then it stays off */
#define RESETS_NS 60000000000ull

#define HEADER_LEN sizeof(struct virtio_header)

struct tx_slot {
	struct nic_hold *hold; /* [owns] a reference; NULL: none */
	uint8_t next;          /* free */
};

struct rx_batch { /* frames in their buffers, until they have been handed up */
	struct nic_rx frame[NIC_RX_BUDGET];
	struct nic_seg seg[RX_BATCH];
	unsigned n_frames, n_buffers;
};

struct virtio_net {
	struct nic nic;
	struct virtio_pci pci;
	uint64_t features;
	struct virtq rx, tx;
	volatile void *rx_bell, *tx_bell;
	struct dma rx_bufs, tx_bufs;
	uint32_t rx_buffer; /* bytes of each */
	struct loop_job job, bell;
	bool polling; /* receive interrupts are off, the job goes on */
	bool off;     /* for good */
	struct tx_slot slot[TX_SLOTS];
	uint8_t slot_of[VIRTQ_SIZE_MAX]; /* by head */
	unsigned slot_free;              /* TX_SLOTS: none */
	unsigned n_held, untold;         /* frames with a hold; since the bell */
	bool tx_irqs, full;              /* full: somebody waits for room */
	struct loop_timer watch;
	uint16_t watched; /* what had been sent when it was looked at last */
	unsigned resets;
	uint64_t reset_ns; /* the first of them */
};

static void start_again(struct virtio_net *v, const char *why);

static bool link_now(const struct virtio_net *v)
{
	return !(v->features & NET_F_STATUS) ||
	       mmio_read16(v->pci.device + CONFIG_STATUS) & STATUS_LINK_UP;
}

/* ---- receive ---- */

static void rx_post(struct virtio_net *v)
{
	unsigned i = v->rx.free_head;

	(void)virtq_post(&v->rx, v->rx_bufs.hpa + (uint64_t)i * v->rx_buffer, v->rx_buffer, true);
}

/* A buffer that the device has filled: its place and bytes. */
static bool rx_take(struct virtio_net *v, struct nic_seg *seg)
{
	uint32_t len;
	int i = virtq_take(&v->rx, &len);

	if (i < 0)
		return false;
	seg->data = (char *)v->rx_bufs.va + (size_t)i * v->rx_buffer;
	seg->len = len;
	return true;
}

/* The other buffers of a frame. False: the device had promised more than it gives. */
static bool take_rest(struct virtio_net *v, struct rx_batch *b, unsigned n, size_t *bytes)
{
	while (--n) {
		struct nic_seg *seg = &b->seg[b->n_buffers];

		if (!rx_take(v, seg)) {
			v->rx.broken = true;
			return false;
		}
		*bytes += seg->len;
		b->n_buffers++;
	}
	return true;
}

/* False: none is there. What cannot be a frame is counted, and its buffers go back with the others. */
static bool take_frame(struct virtio_net *v, struct rx_batch *b)
{
	struct nic_seg *seg = &b->seg[b->n_buffers];
	struct virtio_header h;
	unsigned n = 1;
	size_t bytes;

	if (!rx_take(v, seg))
		return false;
	b->n_buffers++;
	if (seg->len <= HEADER_LEN) {
		v->nic.stats.rx_dropped++;
		return true;
	}
	memcpy(&h, seg->data, HEADER_LEN);
	seg->data = (const char *)seg->data + HEADER_LEN;
	seg->len -= HEADER_LEN;
	bytes = seg->len;
	if (v->features & NET_F_MRG_RXBUF)
		n = h.buffers;
	if (n == 0 || n > RX_FRAME_BUFFERS) {
		v->rx.broken = true;
		return false;
	}
	if (!take_rest(v, b, n, &bytes))
		return false;
	if (h.gso_type == PACKET_WHOLE && bytes > NIC_FRAME_MAX)
		v->nic.stats.rx_dropped++;
	else
		b->frame[b->n_frames++] = (struct nic_rx){seg, n, virtio_header_read(&h)};
	return true;
}

/* True: there may be more. */
static bool take_frames(struct virtio_net *v)
{
	static struct rx_batch b; /* large; of one call only */
	bool more = true;

	b.n_frames = b.n_buffers = 0;
	while (more && b.n_frames < NIC_RX_BUDGET && b.n_buffers + RX_FRAME_BUFFERS <= RX_BATCH)
		more = take_frame(v, &b);
	nic_deliver(&v->nic, b.frame, b.n_frames);
	for (unsigned i = 0; i < b.n_buffers; i++)
		rx_post(v);
	if (b.n_buffers && virtq_wants_kick(&v->rx))
		virtio_pci_kick(v->rx_bell, QUEUE_RX);
	return more;
}

static void poll_rx(void *ctx)
{
	struct virtio_net *v = ctx;
	bool more;

	if (v->off)
		return;
	more = take_frames(v);
	if (v->rx.broken || v->tx.broken) {
		start_again(v, "the device broke its rings");
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

/* ---- send ---- */

static void slots_init(struct virtio_net *v)
{
	for (unsigned i = 0; i < TX_SLOTS; i++)
		v->slot[i] = (struct tx_slot){.next = (uint8_t)(i + 1)};
	v->slot_free = 0;
	v->n_held = 0;
}

static void slot_end(struct virtio_net *v, unsigned i)
{
	struct nic_hold *hold = v->slot[i].hold;

	v->slot[i].hold = NULL;
	v->slot[i].next = (uint8_t)v->slot_free;
	v->slot_free = i;
	v->n_held -= hold != NULL;
	nic_hold_put(hold);
}

static void tx_reclaim(struct virtio_net *v)
{
	uint32_t len;
	int i;

	while ((i = virtq_take(&v->tx, &len)) >= 0)
		slot_end(v, v->slot_of[i]);
}

static void watch_more(struct virtio_net *v)
{
	v->watched = v->tx.used_idx;
	loop_timer_set(&v->watch, WATCH_NS);
}

static void tx_irqs(struct virtio_net *v, bool on)
{
	if (v->tx_irqs == on)
		return;
	v->tx_irqs = on;
	virtq_interrupts(&v->tx, on);
	if (on && !v->watch.armed)
		watch_more(v);
}

/* Sent buffers come back, and whoever waits for them goes on. */
static void tx_look(struct virtio_net *v)
{
	do {
		tx_reclaim(v);
		if (v->full && v->slot_free < TX_SLOTS && !v->tx.broken) {
			v->full = false;
			if (v->nic.room)
				v->nic.room(&v->nic);
		}
		tx_irqs(v, v->n_held || v->full);
	} while (v->tx_irqs && virtq_pending(&v->tx)); /* before the device saw the flag */
}

static void ring_bell(void *ctx)
{
	struct virtio_net *v = ctx;

	if (v->untold && !v->off && virtq_wants_kick(&v->tx))
		virtio_pci_kick(v->tx_bell, QUEUE_TX);
	v->untold = 0;
}

static bool has_room(const struct virtio_net *v, const struct nic_frame *frame)
{
	return v->slot_free < TX_SLOTS && v->tx.n_free > frame->n_pieces;
}

/* Into the slot's buffer and the queue. -> bytes of the frame; 0: it is none. */
static size_t post(struct virtio_net *v, unsigned slot, const struct nic_frame *frame)
{
	char *buffer = (char *)v->tx_bufs.va + (size_t)slot * NIC_BUFFER;
	size_t copied = nic_gather(buffer + HEADER_LEN, NIC_FRAME_MAX, frame);
	size_t bytes = copied + nic_pieces(frame);
	struct virtq_part part[1 + NIC_PIECES_MAX];
	int head;

	if (copied == 0 || (frame->offload.gso == PACKET_WHOLE && bytes > NIC_FRAME_MAX))
		return 0;
	*(struct virtio_header *)buffer = virtio_header_of(&frame->offload);
	part[0] = (struct virtq_part){v->tx_bufs.hpa + (uint64_t)slot * NIC_BUFFER,
				      (uint32_t)(HEADER_LEN + copied), false};
	for (unsigned i = 0; i < frame->n_pieces; i++)
		part[1 + i] = (struct virtq_part){frame->piece[i].hpa, frame->piece[i].bytes,
						  false};
	head = virtq_post_chain(&v->tx, part, 1 + frame->n_pieces);
	if (head < 0)
		return 0;
	v->slot_of[head] = (uint8_t)slot;
	return bytes;
}

/* False: whoever waits for it will be told. */
static bool make_room(struct virtio_net *v, const struct nic_frame *frame)
{
	tx_reclaim(v);
	if (has_room(v, frame))
		return true;
	tx_irqs(v, true);
	tx_reclaim(v); /* before the device saw the flag */
	v->full = !has_room(v, frame);
	return !v->full;
}

static enum nic_send send(struct nic *nic, const struct nic_frame *frame)
{
	struct virtio_net *v = nic->priv;
	size_t bytes = 0;
	unsigned slot;

	if (!v->off && !v->tx.broken && frame->n_pieces < v->tx.size) {
		if (!make_room(v, frame))
			return NIC_FULL;
		if (frame->n_pieces)
			tx_irqs(v, true);
		slot = v->slot_free;
		bytes = post(v, slot, frame);
	}
	if (bytes == 0) {
		nic->stats.tx_dropped++;
		return NIC_REFUSED;
	}
	v->slot_free = v->slot[slot].next;
	if (frame->n_pieces) {
		v->slot[slot].hold = frame->hold;
		frame->hold->refs++;
		v->n_held++;
	}
	if (++v->untold >= TX_SLOTS / 2)
		ring_bell(v);
	else
		loop_defer_last(&v->bell);
	nic->stats.tx_frames++;
	nic->stats.tx_bytes += bytes;
	return NIC_TAKEN;
}

/* ---- the device as a whole ---- */

static void queues_fill(struct virtio_net *v)
{
	slots_init(v);
	virtq_interrupts(&v->tx, false);
	v->tx_irqs = false;
	v->untold = 0;
	while (v->rx.n_free)
		rx_post(v);
}

static int queues_again(struct virtio_net *v)
{
	if (virtio_pci_again(&v->pci, v->features) != 0 ||
	    virtio_pci_queue_again(&v->pci, QUEUE_RX, &v->rx) != 0 ||
	    virtio_pci_queue_again(&v->pci, QUEUE_TX, &v->tx) != 0)
		return -1;
	queues_fill(v);
	virtio_pci_ready(&v->pci);
	virtio_pci_kick(v->rx_bell, QUEUE_RX);
	return 0;
}

static bool too_often(struct virtio_net *v)
{
	uint64_t now = rt_now();

	if (now - v->reset_ns > RESETS_NS) {
		v->reset_ns = now;
		v->resets = 0;
	}
	return ++v->resets > RESETS_MAX;
}

/* What it was sending is lost, but nobody waits for it any more: it reads nothing when this returns. */
static void start_again(struct virtio_net *v, const char *why)
{
	bool reset = virtio_pci_reset(&v->pci) == 0;

	if (!reset)
		pci_enable(v->pci.dev, false);
	for (unsigned i = 0; i < TX_SLOTS; i++)
		if (v->slot[i].hold) {
			slot_end(v, i);
			v->nic.stats.tx_dropped++;
		}
	v->off = !reset || too_often(v) || queues_again(v) != 0;
	rt_log("net: %s: %s; %s", v->nic.name, why, v->off ? "it is off now" : "it has been reset");
	if (v->off)
		virtio_pci_fail(&v->pci);
	nic_set_link(&v->nic, !v->off && link_now(v));
	v->polling = false;
	if (!v->off)
		tx_look(v);
}

/* While somebody waits for it: does it send? A link that is down must not keep guests' memory. */
static void on_watch(void *ctx)
{
	struct virtio_net *v = ctx;

	if (v->off)
		return;
	tx_look(v);
	if (!v->tx_irqs)
		return;
	if (v->tx.used_idx != v->watched)
		watch_more(v);
	else
		start_again(v, "it has sent nothing for a second");
}

static void on_config(void *ctx)
{
	struct virtio_net *v = ctx;

	v->nic.stats.irqs++;
	if (!v->off)
		nic_set_link(&v->nic, link_now(v));
}

/* Without MSI-X the ISR register says why, and reading it takes the line back (4.1.4.5). */
static void on_irq(void *ctx)
{
	struct virtio_net *v = ctx;

	if (!v->pci.msix && mmio_read8(v->pci.isr) & ISR_CONFIG && !v->off)
		nic_set_link(&v->nic, link_now(v));
	v->nic.stats.irqs++;
	if (v->off)
		return;
	if (v->tx_irqs)
		tx_look(v);
	if (!v->polling)
		poll_rx(v);
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
	    dma_alloc(&v->tx_bufs, (size_t)TX_SLOTS * NIC_BUFFER, NIC_BUFFER) != 0 ||
	    dma_alloc(&v->rx_bufs, (size_t)v->rx.size * v->rx_buffer, v->rx_buffer) != 0)
		return -1;
	queues_fill(v);
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

/* Frames put together need merged buffers, and all of it checksums (5.1.3.1). */
static uint64_t wanted(uint64_t offered)
{
	uint64_t f = NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_MAC | NET_F_MRG_RXBUF | NET_F_STATUS;

	if (offered & NET_F_CSUM)
		f |= NET_F_HOST_TSO4 | NET_F_HOST_TSO6;
	if (offered & NET_F_GUEST_CSUM && offered & NET_F_MRG_RXBUF)
		f |= NET_F_GUEST_TSO;
	return f;
}

static unsigned caps_of(uint64_t features)
{
	return (features & NET_F_CSUM ? PACKET_CAP_CSUM : 0) |
	       (features & NET_F_HOST_TSO4 ? PACKET_CAP_TCP4 : 0) |
	       (features & NET_F_HOST_TSO6 ? PACKET_CAP_TCP6 : 0);
}

static int device_init(struct virtio_net *v, struct pci_dev *d, const char **why)
{
	if (virtio_pci_open(&v->pci, d, why) != 0)
		return -1;
	*why = "it refuses to work as a virtio 1.x device with a MAC address";
	if (!v->pci.device || v->pci.device_len < CONFIG_LEN ||
	    virtio_pci_features(&v->pci, wanted(virtio_pci_offered(&v->pci)), &v->features) != 0 ||
	    !(v->features & NET_F_MAC))
		return -1;
	v->rx_buffer = v->features & NET_F_GUEST_TSO ? RX_LARGE_BUFFER : NIC_BUFFER;
	v->nic.caps = caps_of(v->features);
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
	v->bell = (struct loop_job){.fn = ring_bell, .ctx = v};
	loop_timer_init(&v->watch, on_watch, v);
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
