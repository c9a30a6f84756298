/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtio-blk device for host tests: registers of virtio over PCI in fake_bar, one queue in the driver's memory. It works when
 * the test steps it. Addresses of the driver are pointers here.
 */
#ifndef TESTS_VIRTIO_BLK_FAKE_H
#define TESTS_VIRTIO_BLK_FAKE_H

#include <stdio.h>
#include "tests/unit/blkctl_fakes.h"
#include "drivers/virtio_pci.h"

#ifndef FAKE_BLK_BYTES /* fuzzers have a smaller one: faster */
#define FAKE_BLK_BYTES (4u << 20)
#endif
#define FAKE_QUEUE 64u
#define BLK_FEATURES (1ull << 2 | 1ull << 6 | 1ull << 9 | 1ull << 13 | VIRTIO_F_VERSION_1)
enum fake_at { AT_COMMON = 0, AT_NOTIFY = 0x100, AT_ISR = 0x200, AT_DEVICE = 0x300 };

static struct {
	uint8_t *medium;
	uint64_t features, taken_features;
	uint8_t status;
	uint16_t seen; /* of the available ring */
	bool any;      /* configuration is the fuzzer's; no data moves */
	bool hold, deaf, enabled;
	unsigned resets, flushes;
	uint32_t lie; /* the next completion names this head instead; ~0: none */
} vd;

static inline void fake_blk_plug(void)
{
	memset(&vd, 0, sizeof(vd));
	memset(fake_bar, 0, sizeof(fake_bar));
	vd.medium = calloc(1, FAKE_BLK_BYTES);
	vd.features = BLK_FEATURES;
	vd.lie = UINT32_MAX;
	fake_set(AT_DEVICE, FAKE_BLK_BYTES / 512);
	fake_set(AT_DEVICE + 12, 30);
	fake_set(AT_DEVICE + 20, 512);
	fake_set(AT_DEVICE + 36, 2048);
}

/* Four vendor capabilities; "offset" n is the structure's type. */
unsigned pci_find_cap(const struct pci_dev *d, uint8_t id, unsigned after)
{
	(void)d;
	return id != 9 ? 0 : after == 0 ? 0x40 : after < 0x70 ? after + 0x10 : 0;
}

static inline uint32_t fake_cap(unsigned off)
{
	static const unsigned type[] = {1, 2, 3, 4},
			      at[] = {AT_COMMON, AT_NOTIFY, AT_ISR, AT_DEVICE};
	unsigned i = (off - 0x40) / 0x10;

	switch (off % 0x10) {
	case 3:
		return type[i];
	case 8:
		return at[i];
	case 12:
		return 0x100;
	default:
		return 0;
	}
}

int pci_msix_bind(const struct pci_dev *d, unsigned vector, void (*fn)(void *), void *ctx)
{
	(void)d, (void)vector, (void)fn, (void)ctx;
	return 0;
}

void pci_delay_us(unsigned us)
{
	(void)us;
}

uint32_t fake_mmio_read(const volatile void *at, unsigned width)
{
	unsigned off = (unsigned)((const volatile uint8_t *)at - fake_bar);
	uint32_t v = 0;

	if (off == COMMON_DEVICE_FEATURE)
		return (uint32_t)(vd.features >> (fake_get(COMMON_DEVICE_FEATURE_SELECT) ? 32 : 0));
	if (off == COMMON_STATUS)
		return vd.status;
	if (off == COMMON_QUEUE_SIZE)
		return FAKE_QUEUE;
	memcpy(&v, (const void *)at, width);
	return v;
}

void fake_mmio_write(volatile void *at, unsigned width, uint32_t v)
{
	unsigned off = (unsigned)((volatile uint8_t *)at - fake_bar);

	if (off == COMMON_STATUS && v == 0 && vd.deaf)
		return;
	if (off == COMMON_STATUS && v == 0) {
		vd.resets++;
		vd.seen = 0;
		vd.enabled = false;
	}
	if (off == COMMON_STATUS)
		vd.status = (uint8_t)v;
	if (off == COMMON_QUEUE_ENABLE)
		vd.enabled = v;
	memcpy((void *)(uintptr_t)at, &v, width);
}

/* ---- the disk ---- */

static inline uint32_t fake_blk_chain(const struct vring_desc *desc, unsigned head)
{
	const uint32_t *h = (const uint32_t *)(uintptr_t)desc[head].addr;
	uint64_t sector = h[2] | (uint64_t)h[3] << 32, byte = 0;
	uint32_t written = 0;
	unsigned i = head;

	while (desc[i].flags & VRING_NEXT) {
		uint8_t *p;

		i = desc[i].next;
		p = (uint8_t *)(uintptr_t)desc[i].addr;
		written += desc[i].flags & VRING_WRITE ? desc[i].len : 0;
		if (!(desc[i].flags & VRING_NEXT)) {
			*p = 0;
			break;
		}
		for (uint32_t k = 0; k < desc[i].len && h[0] <= 1 && !vd.any; k++, byte++) {
			if (sector * 512 + byte >= FAKE_BLK_BYTES)
				abort();
			if (h[0] == 0)
				p[k] = vd.medium[sector * 512 + byte];
			else
				vd.medium[sector * 512 + byte] = p[k];
		}
		if (h[0] == 8)
			snprintf((char *)p, desc[i].len, "SN-7");
	}
	vd.flushes += h[0] == 4;
	return written;
}

/* -> something was answered. */
static inline bool fake_step(void)
{
	const struct vring_desc *desc = (void *)(uintptr_t)fake_get64(COMMON_QUEUE_DESC);
	const struct vring_avail *avail = (void *)(uintptr_t)fake_get64(COMMON_QUEUE_DRIVER);
	struct vring_used *used = (void *)(uintptr_t)fake_get64(COMMON_QUEUE_DEVICE);
	bool any = false;

	if (vd.hold || vd.deaf || !vd.enabled || !(vd.status & VIRTIO_DRIVER_OK))
		return false;
	for (; vd.seen != avail->idx; any = true) {
		unsigned head = avail->ring[vd.seen++ % FAKE_QUEUE];
		uint32_t len = fake_blk_chain(desc, head);

		used->ring[used->idx % FAKE_QUEUE].id = vd.lie != UINT32_MAX ? vd.lie : head;
		used->ring[used->idx % FAKE_QUEUE].len = len;
		used->idx++;
		vd.lie = UINT32_MAX;
	}
	return any;
}

#endif
