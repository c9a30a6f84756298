/* SPDX-License-Identifier: BSD-2-Clause */
/* A virtio PCI device driven by hand: the VM's generator at 00:01.0, or the one in V_SLOT; one queue of V_QUEUE, modern
 * transport. */
#ifndef GUEST_VIRTIO_H
#define GUEST_VIRTIO_H

#include "guest.h"

#ifndef V_SLOT
#define V_SLOT 1
#define V_ID 0x10441af4u
#define V_QUEUE 8
#endif

enum {
	VQ_SIZE = V_QUEUE,
	VQ_BYTES = 64,
	D_NEXT = 1,
	D_WRITE = 2,
	D_INDIRECT = 4,
	VECTOR_CONFIG = 0x50,
	VECTOR_QUEUE = 0x51
};
enum {
	V_F_SELECT = 0,
	V_F = 4,
	V_D_SELECT = 8,
	V_D = 12,
	V_CONFIG_VECTOR = 0x10,
	V_STATUS = 0x14,
	V_Q_SELECT = 0x16,
	V_Q_SIZE = 0x18,
	V_Q_VECTOR = 0x1a,
	V_Q_ENABLE = 0x1c,
	V_Q_OFF = 0x1e,
	V_Q_DESC = 0x20,
	V_Q_DRIVER = 0x28,
	V_Q_DEVICE = 0x30
};
enum { VIRTIO_1 = 1, F_INDIRECT = 1u << 28, F_EVENT = 1u << 29 };

static struct {
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc[VQ_SIZE] __attribute__((aligned(16)));
	struct {
		uint16_t flags, idx, ring[VQ_SIZE], used_event;
	} avail __attribute__((aligned(2)));
	struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[VQ_SIZE];
		uint16_t avail_event;
	} used __attribute__((aligned(4)));
	uint8_t bytes[VQ_SIZE][VQ_BYTES];
} volatile vq;

/* Found in the capabilities. */
static volatile uint8_t *v_common, *v_isr, *v_bell, *v_own;
static uint16_t v_bell_port;
static volatile uint32_t *v_table, *v_pending;
static unsigned v_msix; /* configuration offset */
static volatile unsigned v_config_irqs, v_queue_irqs;
static volatile uint64_t v_woke;

static inline uint32_t v_cfg(unsigned reg)
{
	outl(0xcf8, 0x80000000u | V_SLOT << 11 | (reg & 0xfc));
	return inl(0xcfc);
}

static inline void v_cfg_set(unsigned reg, uint32_t value)
{
	outl(0xcf8, 0x80000000u | V_SLOT << 11 | (reg & 0xfc));
	outl(0xcfc, value);
}

static inline uint8_t v_rd8(unsigned at)
{
	return *(v_common + at);
}
static inline uint16_t v_rd16(unsigned at)
{
	return *(volatile uint16_t *)(v_common + at);
}
static inline uint32_t v_rd32(unsigned at)
{
	return *(volatile uint32_t *)(v_common + at);
}
static inline void v_wr8(unsigned at, uint8_t v)
{
	*(v_common + at) = v;
}
static inline void v_wr16(unsigned at, uint16_t v)
{
	*(volatile uint16_t *)(v_common + at) = v;
}
static inline void v_wr64(unsigned at, uint64_t v)
{
	*(volatile uint32_t *)(v_common + at) = (uint32_t)v;
	*(volatile uint32_t *)(v_common + at + 4) = (uint32_t)(v >> 32);
}

static void v_on_config(uint64_t vector, struct frame *f)
{
	(void)vector;
	(void)f;
	v_config_irqs++;
	wrmsr(X2_EOI, 0);
}

static void v_on_queue(uint64_t vector, struct frame *f)
{
	v_woke = rdtsc();
	(void)vector;
	(void)f;
	v_queue_irqs++;
	wrmsr(X2_EOI, 0);
}

/* Walks the capabilities of the function whose BAR 0 is at `bar`. */
static inline void v_find(uint64_t bar)
{
	unsigned seen = 0;

	for (unsigned at = v_cfg(0x34) & 0xff, n = 0; at && n < 16;
	     at = v_cfg(at) >> 8 & 0xff, n++) {
		uint32_t head = v_cfg(at), type = head >> 24;
		volatile uint8_t *where = (volatile uint8_t *)(bar + v_cfg(at + 8));

		if ((head & 0xff) == 0x11) {
			v_msix = at;
			v_table = (volatile uint32_t *)(bar + (v_cfg(at + 4) & ~7u));
			v_pending = (volatile uint32_t *)(bar + (v_cfg(at + 8) & ~7u));
		}
		if ((head & 0xff) != 9)
			continue;
		seen |= 1u << type;
		if (type == 1)
			v_common = where;
		/* queue 0: notify_off 0 */
		if (type == 2 && (v_cfg(at + 4) & 0xff) == 1)
			v_bell_port = (uint16_t)((v_cfg(0x14) & ~3u) + v_cfg(at + 8));
		else if (type == 2)
			v_bell = where;
		if (type == 3)
			v_isr = where;
		if (type == 4)
			v_own = where;
	}
	check((seen & 0x2e) == 0x2e && v_msix, "capabilities: %x, MSI-X at %x", seen, v_msix);
	check(v_bell && v_bell_port, "no doorbells in both spaces");
}

static inline void v_msix_on(void)
{
	for (unsigned i = 0; i < 2; i++) {
		v_table[i * 4] = 0xfee00000;
		v_table[i * 4 + 1] = 0;
		v_table[i * 4 + 2] = VECTOR_CONFIG + i;
		v_table[i * 4 + 3] = 0;
	}
	v_cfg_set(v_msix, v_cfg(v_msix) | 0x80000000u);
	on_vector(VECTOR_CONFIG, v_on_config);
	on_vector(VECTOR_QUEUE, v_on_queue);
}

/* Reset to DRIVER_OK. */
static inline void v_start(uint32_t features)
{
	v_wr8(V_STATUS, 0);
	check(v_rd8(V_STATUS) == 0, "reset: status %x", v_rd8(V_STATUS));
	for (unsigned i = 0; i < sizeof(vq); i++)
		((volatile uint8_t *)&vq)[i] = 0;
	v_wr8(V_STATUS, 3);
	*(volatile uint32_t *)(v_common + V_D_SELECT) = 0;
	*(volatile uint32_t *)(v_common + V_D) = features;
	*(volatile uint32_t *)(v_common + V_D_SELECT) = 1;
	*(volatile uint32_t *)(v_common + V_D) = VIRTIO_1;
	v_wr8(V_STATUS, 11);
	check(v_rd8(V_STATUS) == 11, "features: status %x", v_rd8(V_STATUS));
	v_wr16(V_Q_SELECT, 0);
	v_wr16(V_Q_SIZE, VQ_SIZE);
	v_wr64(V_Q_DESC, (uint64_t)&vq.desc);
	v_wr64(V_Q_DRIVER, (uint64_t)&vq.avail);
	v_wr64(V_Q_DEVICE, (uint64_t)&vq.used);
	v_wr16(V_CONFIG_VECTOR, 0);
	v_wr16(V_Q_VECTOR, 1);
	v_wr16(V_Q_ENABLE, 1);
	v_wr8(V_STATUS, 15);
	for (unsigned i = 0; i < VQ_SIZE; i++) {
		vq.desc[i].addr = (uint64_t)vq.bytes[i];
		vq.desc[i].len = VQ_BYTES;
		vq.desc[i].flags = D_WRITE;
	}
}

static inline void v_bell_ring(void)
{
	outw(v_bell_port, 0);
}

/* The same in memory. */
static inline void v_bell_write(void)
{
	*(volatile uint16_t *)v_bell = 0;
}

static inline void v_offer(unsigned head)
{
	uint16_t idx = vq.avail.idx;

	vq.avail.ring[idx % VQ_SIZE] = (uint16_t)head;
	__asm__ volatile("" : : : "memory");
	vq.avail.idx = (uint16_t)(idx + 1);
	__asm__ volatile("mfence" : : : "memory");
}

static inline bool v_used(uint16_t idx)
{
	for (uint64_t end = rdtsc() + 5000000000ull; rdtsc() < end; pause())
		if (vq.used.idx == idx)
			return true;
	return false;
}

/* The function answers at its BAR, and may write to memory. */
static inline void v_open(void)
{
	check(v_cfg(0) == V_ID, "another device in slot %u: %x", V_SLOT, v_cfg(0));
	v_cfg_set(4, 7);
	v_find(v_cfg(0x10) & ~15u);
}

#endif
