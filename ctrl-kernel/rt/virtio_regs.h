/* SPDX-License-Identifier: BSD-2-Clause */
/* What virtio 1.2 lays down for both sides, drivers and devices: registers over PCI, and the memory of a split queue. */
#ifndef RT_VIRTIO_REGS_H
#define RT_VIRTIO_REGS_H

#include <stdint.h>

enum virtio_status { /* 2.1 */
		     VIRTIO_ACKNOWLEDGE = 1,
		     VIRTIO_DRIVER = 2,
		     VIRTIO_DRIVER_OK = 4,
		     VIRTIO_FEATURES_OK = 8,
		     VIRTIO_NEEDS_RESET = 64,
		     VIRTIO_FAILED = 128
};
#define VIRTIO_NO_VECTOR 0xffffu

enum virtio_cap { /* 4.1.4: kinds of structures */
		  VIRTIO_CAP_COMMON = 1,
		  VIRTIO_CAP_NOTIFY = 2,
		  VIRTIO_CAP_ISR = 3,
		  VIRTIO_CAP_DEVICE = 4,
		  VIRTIO_CAP_PCI = 5
};

enum virtio_common { /* 4.1.4.3 */
		     COMMON_DEVICE_FEATURE_SELECT = 0x00,
		     COMMON_DEVICE_FEATURE = 0x04,
		     COMMON_DRIVER_FEATURE_SELECT = 0x08,
		     COMMON_DRIVER_FEATURE = 0x0c,
		     COMMON_CONFIG_VECTOR = 0x10,
		     COMMON_NUM_QUEUES = 0x12,
		     COMMON_STATUS = 0x14,
		     COMMON_GENERATION = 0x15,
		     COMMON_QUEUE_SELECT = 0x16,
		     COMMON_QUEUE_SIZE = 0x18,
		     COMMON_QUEUE_VECTOR = 0x1a,
		     COMMON_QUEUE_ENABLE = 0x1c,
		     COMMON_QUEUE_NOTIFY_OFF = 0x1e,
		     COMMON_QUEUE_DESC = 0x20,
		     COMMON_QUEUE_DRIVER = 0x28,
		     COMMON_QUEUE_DEVICE = 0x30,
		     COMMON_QUEUE_NOTIFY_DATA = 0x38, /* from here on optional */
		     COMMON_QUEUE_RESET = 0x3a
};

/* ---- a split queue (2.7) ---- */

struct vring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
} __attribute__((packed)); /* an indirect table may lie anywhere */
_Static_assert(sizeof(struct vring_desc) == 16, "virtio 1.2, 2.7.5");
enum vring_desc_flag { VRING_NEXT = 1, VRING_WRITE = 2 /* by the device */, VRING_INDIRECT = 4 };

struct vring_avail {
	uint16_t flags, idx;
	uint16_t ring[]; /* `size` of them, then used_event */
};
#define VRING_AVAIL_NO_INTERRUPT 1u

struct vring_used_elem {
	uint32_t id, len;
};
struct vring_used {
	uint16_t flags, idx;
	struct vring_used_elem ring[]; /* `size` of them, then avail_event */
};
#define VRING_USED_NO_NOTIFY 1u

#endif
