/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of the NVMe driver: nvme.c runs the controller, nvme_start.c brings it up. */
#ifndef DRIVERS_NVME_H
#define DRIVERS_NVME_H

#include "drivers/driver.h"
#include "drivers/nvme_queue.h"

#define NVME_ADMIN_DEPTH 8u
#define NVME_NS_MAX 32u

struct nvme;
typedef void (*nvme_then)(struct nvme *n, const struct nvme_result *r);

enum nvme_stage {
	NVME_STAGE_OFF,     /* given up */
	NVME_STAGE_DISABLE, /* CC.EN is 0, CSTS.RDY is to follow */
	NVME_STAGE_ENABLE,  /* CC.EN is 1, CSTS.RDY is to follow */
	NVME_STAGE_ADMIN,   /* an admin command is under way */
	NVME_STAGE_RUN
};

struct nvme_ns {
	struct blkunit unit;
	uint32_t nsid;
};

struct nvme {
	struct blkctl ctl;
	const struct pci_dev *pci; /* [borrows] */
	volatile char *regs, *bells;
	uint64_t cap;
	struct dma mem; /* as nvme_memory lays it out */
	struct nvme_queue admin, io;
	const char *irq_kind;
	enum nvme_stage stage;
	bool known; /* namespaces are: this is a reset */
	struct loop_timer timer;
	uint64_t deadline_ns; /* of the stage */
	nvme_then then;       /* [borrows] what follows the admin command */
	uint32_t list_at;     /* namespaces: how far */
	uint32_t ids[NVME_NS_MAX];
	unsigned n_ids;
	bool write_cache, discard;
	uint64_t zeroes_max; /* bytes of a Write Zeroes: MDTS may hold for it; 0: not offered */
	char model[48], serial[32];
};

/* Offsets in the DMA memory; queues begin pages (3.1.9, 5.3). */
enum nvme_memory {
	NVME_MEM_ASQ = 0,
	NVME_MEM_ACQ = 0x1000,
	NVME_MEM_SQ = 0x2000,
	NVME_MEM_CQ = 0x3000,
	NVME_MEM_DATA = 0x4000, /* of admin commands */
	NVME_MEM_LISTS = 0x5000
};
#define NVME_MEM_BYTES (NVME_MEM_LISTS + NVME_DEPTH * NVME_LIST_BYTES)

/* Resets the controller and brings it up; ends with blkctl_up(), blkctl_gone(), or is given up with words in the log. */
void nvme_begin(struct nvme *n);
/* Goes on if the admin command has ended. */
void nvme_admin_poll(struct nvme *n);
void nvme_ring(struct nvme *n, unsigned queue, bool completion, unsigned value);
/* Pure: a namespace of what Identify gave. False: *why it is not used. */
bool nvme_ns_read(const uint8_t *id, struct blkdev *dev, const char **why);
/* Pure: bytes of one command out of CAP and Identify Controller. */
uint32_t nvme_bytes_max(uint64_t cap, unsigned mdts);

#endif
