/* SPDX-License-Identifier: BSD-2-Clause */
/* See virtio_pci.h. Sections are of virtio 1.2. */
#include <string.h>
#include "drivers/virtio_pci.h"
#include "drivers/bits.h"
#include "drivers/driver.h"
#include "drivers/pci_regs.h"
#include "ctrl-kernel/rt/rt.h"
#include "ctrl-kernel/rt/virtio_regs.h"

enum cap { /* 4.1.4: offsets in the capability */
	   CAP_TYPE = 3,
	   CAP_BAR = 4,
	   CAP_OFFSET = 8,
	   CAP_LENGTH = 12,
	   CAP_NOTIFY_MULTIPLIER = 16
};

#define COMMON_LEN COMMON_QUEUE_NOTIFY_DATA
#define VECTOR_QUEUES 0u
#define VECTOR_CONFIG 1u
#define RESET_TRIES 2000u /* of 50 us: 100 ms; devices finish at once */
#define RESET_STEP_US 50u
#define QUEUE_ALIGN 64u

static unsigned status(const struct virtio_pci *v)
{
	return mmio_read8(v->common + COMMON_STATUS);
}

static void status_add(struct virtio_pci *v, unsigned bits)
{
	mmio_write8(v->common + COMMON_STATUS, (uint8_t)(status(v) | bits));
}

static void write64(volatile char *at, uint64_t value)
{
	mmio_write32(at, (uint32_t)value);
	mmio_write32(at + 4, (uint32_t)(value >> 32));
}

/* Maps the structure of this type; the first that can be mapped counts (4.1.4.1). */
static volatile char *map_structure(struct pci_dev *d, unsigned type, uint32_t need,
				    unsigned *cap_at, uint32_t *len)
{
	unsigned cap = pci_find_cap(d, PCI_CAP_VENDOR, 0);
	volatile char *va;

	for (; cap; cap = pci_find_cap(d, PCI_CAP_VENDOR, cap)) {
		if (pci_read(d, cap + CAP_TYPE, 1) != type)
			continue;
		*len = pci_read(d, cap + CAP_LENGTH, 4);
		*cap_at = cap;
		va = *len < need ? NULL
				 : pci_map_bar(d, pci_read(d, cap + CAP_BAR, 1),
					       pci_read(d, cap + CAP_OFFSET, 4), *len);
		if (va)
			return va;
	}
	return NULL;
}

bool virtio_pci_failed(const struct virtio_pci *v)
{
	return status(v) & VIRTIO_NEEDS_RESET;
}

int virtio_pci_reset(struct virtio_pci *v)
{
	mmio_write8(v->common + COMMON_STATUS, 0);
	for (unsigned i = 0; i < RESET_TRIES && status(v) != 0; i++)
		pci_delay_us(RESET_STEP_US);
	return status(v) == 0 ? 0 : -1;
}

int virtio_pci_open(struct virtio_pci *v, struct pci_dev *d, const char **why)
{
	uint32_t len;
	unsigned cap;

	*v = (struct virtio_pci){.dev = d};
	pci_enable(d, false);
	v->common = map_structure(d, VIRTIO_CAP_COMMON, COMMON_LEN, &cap, &len);
	v->isr = map_structure(d, VIRTIO_CAP_ISR, 1, &cap, &len);
	v->device = map_structure(d, VIRTIO_CAP_DEVICE, 1, &cap, &v->device_len);
	v->notify = map_structure(d, VIRTIO_CAP_NOTIFY, 2, &cap, &v->notify_len);
	if (!v->common || !v->isr || !v->notify) {
		*why = "it has no virtio 1.x registers (a legacy-only device?)";
		return -1;
	}
	v->notify_multiplier = pci_read(d, cap + CAP_NOTIFY_MULTIPLIER, 4);
	if (virtio_pci_reset(v) != 0) {
		*why = "it does not come out of reset";
		return -1;
	}
	status_add(v, VIRTIO_ACKNOWLEDGE);
	status_add(v, VIRTIO_DRIVER);
	return 0;
}

static int features_set(struct virtio_pci *v, uint64_t features)
{
	mmio_write32(v->common + COMMON_DRIVER_FEATURE_SELECT, 0);
	mmio_write32(v->common + COMMON_DRIVER_FEATURE, (uint32_t)features);
	mmio_write32(v->common + COMMON_DRIVER_FEATURE_SELECT, 1);
	mmio_write32(v->common + COMMON_DRIVER_FEATURE, (uint32_t)(features >> 32));
	status_add(v, VIRTIO_FEATURES_OK);
	return status(v) & VIRTIO_FEATURES_OK ? 0 : -1;
}

uint64_t virtio_pci_offered(struct virtio_pci *v)
{
	uint64_t offered;

	mmio_write32(v->common + COMMON_DEVICE_FEATURE_SELECT, 0);
	offered = mmio_read32(v->common + COMMON_DEVICE_FEATURE);
	mmio_write32(v->common + COMMON_DEVICE_FEATURE_SELECT, 1);
	return offered | (uint64_t)mmio_read32(v->common + COMMON_DEVICE_FEATURE) << 32;
}

int virtio_pci_features(struct virtio_pci *v, uint64_t wanted, uint64_t *agreed)
{
	uint64_t offered = virtio_pci_offered(v);

	if (!(offered & VIRTIO_F_VERSION_1))
		return -1;
	offered &= wanted | VIRTIO_F_VERSION_1;
	if (features_set(v, offered) != 0)
		return -1;
	*agreed = offered;
	return 0;
}

static int config_vector(struct virtio_pci *v)
{
	mmio_write16(v->common + COMMON_CONFIG_VECTOR, VECTOR_CONFIG);
	return mmio_read16(v->common + COMMON_CONFIG_VECTOR) == VIRTIO_NO_VECTOR ? -1 : 0;
}

int virtio_pci_irqs(struct virtio_pci *v, void (*queues)(void *), void (*config)(void *), void *ctx,
		    const char **kind)
{
	if (pci_irq_bind(v->dev, queues, ctx, kind) != 0)
		return -1;
	v->msix = strcmp(*kind, "msix") == 0;
	if (!v->msix)
		return 0;
	if (pci_msix_bind(v->dev, VECTOR_CONFIG, config, ctx) != 0)
		return -1;
	return config_vector(v);
}

int virtio_pci_again(struct virtio_pci *v, uint64_t agreed)
{
	status_add(v, VIRTIO_ACKNOWLEDGE);
	status_add(v, VIRTIO_DRIVER);
	if (features_set(v, agreed) != 0)
		return -1;
	return v->msix ? config_vector(v) : 0;
}

/* The largest power of two that both sides take. */
static unsigned queue_size(struct virtio_pci *v, unsigned index, unsigned wanted)
{
	unsigned offered, size = wanted;

	mmio_write16(v->common + COMMON_QUEUE_SELECT, (uint16_t)index);
	offered = mmio_read16(v->common + COMMON_QUEUE_SIZE);
	while (size > offered)
		size /= 2;
	return size;
}

static volatile void *doorbell_of(struct virtio_pci *v)
{
	uint64_t off = (uint64_t)mmio_read16(v->common + COMMON_QUEUE_NOTIFY_OFF) *
		       v->notify_multiplier;

	return off + 2 <= v->notify_len ? v->notify + off : NULL;
}

/* The selected queue. */
static int queue_set(struct virtio_pci *v, const struct virtq *q)
{
	mmio_write16(v->common + COMMON_QUEUE_SIZE, (uint16_t)q->size);
	write64(v->common + COMMON_QUEUE_DESC, q->hpa);
	write64(v->common + COMMON_QUEUE_DRIVER, q->hpa + virtq_avail_offset(q->size));
	write64(v->common + COMMON_QUEUE_DEVICE, q->hpa + virtq_used_offset(q->size));
	if (v->msix) {
		mmio_write16(v->common + COMMON_QUEUE_VECTOR, VECTOR_QUEUES);
		if (mmio_read16(v->common + COMMON_QUEUE_VECTOR) == VIRTIO_NO_VECTOR)
			return -1;
	}
	mmio_write16(v->common + COMMON_QUEUE_ENABLE, 1);
	return 0;
}

int virtio_pci_queue(struct virtio_pci *v, unsigned index, unsigned size, struct virtq *q,
		     volatile void **doorbell)
{
	struct dma mem;

	size = queue_size(v, index, size);
	*doorbell = doorbell_of(v);
	if (size == 0 || !*doorbell || dma_alloc(&mem, virtq_bytes(size), QUEUE_ALIGN) != 0)
		return -1;
	virtq_init(q, size, mem.va);
	q->hpa = mem.hpa;
	return queue_set(v, q);
}

int virtio_pci_queue_again(struct virtio_pci *v, unsigned index, struct virtq *q)
{
	uint64_t hpa = q->hpa;
	void *block = (void *)(uintptr_t)q->desc; /* its beginning */

	if (queue_size(v, index, q->size) != q->size)
		return -1;
	memset(block, 0, virtq_bytes(q->size));
	virtq_init(q, q->size, block);
	q->hpa = hpa;
	return queue_set(v, q);
}

void virtio_pci_kick(volatile void *doorbell, unsigned index)
{
	mmio_write16(doorbell, (uint16_t)index);
}

void virtio_pci_ready(struct virtio_pci *v)
{
	pci_enable(v->dev, true);
	status_add(v, VIRTIO_DRIVER_OK);
}

void virtio_pci_fail(struct virtio_pci *v)
{
	if (v->common)
		status_add(v, VIRTIO_FAILED);
}
