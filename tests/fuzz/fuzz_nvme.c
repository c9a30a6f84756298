/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: drivers/nvme.c
// SRC: drivers/nvme_start.c
// SRC: drivers/nvme_queue.c
// SRC: drivers/blkctl.c
// SRC: drivers/blkcmd.c
// SRC: drivers/blkmem.c
// SRC: tests/unit/fakehv.c
// FLAGS: -DFAKE_NS_BYTES=0x40000u -Dcalloc=fuzz_calloc -Dfree=fuzz_free
/*
 * An NVMe controller that may say anything: Identify data, completions, registers, silence, while requests of all kinds are
 * under way. Each ends exactly once.
 */
#include "tests/fuzz/blkfuzz.h"
#include "tests/unit/nvme_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct pci_dev pci = {.bdf = 0x28, .vendor = 0x1af4, .class_code = 0x010802};

static void interrupt(void)
{
	if (fake_irq)
		fake_irq(fake_irq_ctx);
}

static void raw_completion(void)
{
	struct fake_pair *p = &fake.pair[take() & 1];
	uint8_t *at = (uint8_t *)p->cq;
	unsigned where = take();

	if (!at || !p->size)
		return;
	for (unsigned i = 0; i < 6; i++)
		at[(where * 8 + i) % (p->size * 16)] = (uint8_t)take();
}

static void registers(void)
{
	static const unsigned regs[] = {NVME_CSTS, NVME_CSTS, NVME_CC, NVME_VS};

	fake.deaf = take() & 1;
	fake_set(regs[take() % 4], take() & 1 ? UINT32_MAX : take());
}

static void act(void)
{
	switch (take() % 10) {
	case 0:
	case 1:
		submit_one();
		break;
	case 2:
		fake.cid_xor = (uint16_t)(take() << 8 | take());
		break;
	case 3:
		fake.status = take() << 3 & 0x7ff;
		break;
	case 4:
		raw_completion();
		break;
	case 5:
		registers();
		break;
	case 6:
		fake.hold = take() & 1;
		break;
	case 7:
		fake_advance(take() * 200 * MS);
		break;
	case 8:
		interrupt();
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
	static uint8_t garbage[30];
	unsigned first;

	begin(data, size);
	first = dma_n_keep;
	fake_nvme_plug();
	fake.mdts = take() % 8;
	fake.garbage_len = take() % 10 * 3;
	fake.garbage = garbage;
	for (size_t i = 0; i < fake.garbage_len; i++)
		garbage[i] = (uint8_t)take();
	disk_nvme.probe(&pci);
	for (unsigned i = 0; i < 20; i++) {
		(void)fake_step();
		fake_advance(2 * MS);
	}
	for (unsigned i = 0; i < 200 && left; i++)
		act();
	fake.deaf = true;
	memset(fake_bar, 0xff, sizeof(fake_bar));
	finish(first);
	fake_nvme_unplug();
	return 0;
}
