/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: drivers/virtio_blk.c
// SRC: drivers/virtio_pci.c
// SRC: drivers/virtq.c
// SRC: drivers/blkctl.c
// SRC: drivers/blkcmd.c
// SRC: drivers/blkmem.c
// SRC: tests/unit/fakehv.c
// FLAGS: -DFAKE_BLK_BYTES=0x40000u -Dcalloc=fuzz_calloc -Dfree=fuzz_free -include tests/unit/fakemmio.h
/*
 * A virtio-blk device that may say anything: configuration, used ring, status bytes, silence, while requests of all kinds are
 * under way. Each ends exactly once.
 */
#include "tests/fuzz/blkfuzz.h"
#include "tests/unit/virtio_blk_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct pci_dev pci = {.bdf = 0x20, .vendor = 0x1af4, .device = 0x1042};

static void interrupt(void)
{
	if (fake_irq)
		fake_irq(fake_irq_ctx);
}

/* An entry that nobody asked for, and perhaps an index that runs far ahead. */
static void used_ring(void)
{
	struct vring_used *used = (void *)(uintptr_t)fake_get64(COMMON_QUEUE_DEVICE);
	unsigned how = take();

	if (!used || !vd.enabled)
		return;
	used->ring[used->idx % FAKE_QUEUE].id = how & 1 ? take() : UINT32_MAX - take();
	used->ring[used->idx % FAKE_QUEUE].len = how & 2 ? take() : UINT32_MAX;
	used->idx = (uint16_t)(used->idx + (how & 4 ? 1 : take() << 8));
}

static void config(void)
{
	fake_set(AT_DEVICE + take() % 64 / 4 * 4, take() << take() % 24);
	vd.status |= take() % 4 == 0 ? VIRTIO_NEEDS_RESET : 0;
	fake_set(AT_ISR, 3);
}

static void act(void)
{
	switch (take() % 9) {
	case 0:
	case 1:
		submit_one();
		break;
	case 2:
		vd.lie = take();
		break;
	case 3:
		used_ring();
		break;
	case 4:
		config();
		break;
	case 5:
		vd.hold = take() & 1;
		vd.deaf = take() % 16 == 0;
		break;
	case 6:
		fake_advance(take() * 200 * MS);
		break;
	default:
		(void)fake_step();
		interrupt();
		break;
	}
	fake_advance(2 * MS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned first, n;

	begin(data, size);
	first = dma_n_keep;
	fake_blk_plug();
	vd.any = true;
	fake_capability = fake_cap;
	vd.features ^= (uint64_t)take() << 1 | (uint64_t)take() << 8;
	n = take() % 8;
	for (unsigned i = 0; i < n; i++)
		config();
	disk_virtio.probe(&pci);
	for (unsigned i = 0; i < 4; i++) {
		(void)fake_step();
		interrupt();
		fake_advance(2 * MS);
	}
	for (unsigned i = 0; i < 200 && left; i++)
		act();
	vd.deaf = true;
	vd.status = 0xff;
	finish(first);
	free(vd.medium);
	return 0;
}
