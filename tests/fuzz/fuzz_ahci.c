/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: drivers/ahci.c
// SRC: drivers/ahci_port.c
// SRC: drivers/ahci_cmd.c
// SRC: drivers/blkctl.c
// SRC: drivers/blkcmd.c
// SRC: drivers/blkmem.c
// SRC: tests/unit/fakehv.c
// FLAGS: -DFAKE_DISK_BYTES=0x40000u -Dcalloc=fuzz_calloc -Dfree=fuzz_free -include tests/unit/fakemmio.h
/*
 * An AHCI controller and a disk that may say anything: IDENTIFY data, registers, errors, silence, while requests of all kinds
 * are under way. Each ends exactly once.
 */
#include "tests/fuzz/blkfuzz.h"
#include "tests/unit/ahci_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct pci_dev pci = {.bdf = 0xfa,
			     .vendor = 0x1af4,
			     .class_code = 0x010601,
			     .bars[5] = {.base = 0x1000, .size = 0x1000}};

static void interrupt(void)
{
	if (fake_irq)
		fake_irq(fake_irq_ctx);
}

static void registers(void)
{
	static const unsigned regs[] = {AHCI_PX_IS,   AHCI_PX_CMD,  AHCI_PX_TFD, AHCI_PX_SIG,
					AHCI_PX_SSTS, AHCI_PX_SACT, AHCI_PX_CI,  AHCI_PX_SERR};
	unsigned reg = regs[take() % 8], how = take();
	uint32_t v = how & 1 ? 0 : how & 2 ? UINT32_MAX : 1u << (how >> 3);

	hba.meddled = true;
	*hba_port(how >> 2 & 1, reg) = v;
	fake_set(AHCI_IS, take());
}

static void act(void)
{
	switch (take() % 10) {
	case 0:
	case 1:
		submit_one();
		break;
	case 2:
		hba.bad = take() * 4096u;
		break;
	case 3:
		hba.keeps_running = take() % 16 == 0;
		break;
	case 4:
	case 5:
		registers();
		break;
	case 6:
		hba.hold = take() & 1;
		hba.deaf = take() % 8 == 0;
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
	unsigned first, n;

	begin(data, size);
	first = dma_n_keep;
	fake_hba_plug();
	n = take();
	fake_identity(n & 1 ? 4096 : 512, n & 2, n & 4);
	hba.garbage = n >> 3;
	for (unsigned i = 0; i < n >> 3; i++) {
		unsigned at = (take() << 8 | take()) % 512;

		hba.id[at] = (uint8_t)take();
	}
	fake_hba_reset();
	disk_ahci.probe(&pci);
	for (unsigned i = 0; i < 20; i++) {
		(void)fake_step();
		fake_advance(2 * MS);
	}
	for (unsigned i = 0; i < 200 && left; i++)
		act();
	hba.deaf = true;
	memset(fake_bar, 0xff, sizeof(fake_bar));
	finish(first);
	free(hba.medium);
	return 0;
}
