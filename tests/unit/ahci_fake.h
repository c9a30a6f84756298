/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An AHCI controller for host tests: port 0 has a disk, port 1 an ATAPI drive, port 2 nothing. Registers behave as those of
 * AHCI 1.3.1 when written; commands are carried out when the test steps it. Addresses of the driver are pointers here.
 */
#ifndef TESTS_AHCI_FAKE_H
#define TESTS_AHCI_FAKE_H

#include "tests/unit/blkctl_fakes.h"
#include "drivers/ahci.h"

#ifndef FAKE_DISK_BYTES /* fuzzers have a smaller one: faster */
#define FAKE_DISK_BYTES (4u << 20)
#endif
#define FAKE_PORTS 3u

static struct {
	uint8_t *medium;
	uint8_t id[512];
	uint32_t sector;
	bool meddled;       /* the fuzzer has written to registers */
	bool hold;          /* commands stay unanswered */
	bool deaf;          /* ... and so do resets */
	bool cd_only;       /* port 0 has nothing */
	bool keeps_running; /* PxCMD.CR stays 1 */
	bool garbage;       /* IDENTIFY is the fuzzer's; no data moves */
	uint64_t bad;       /* a command that touches this byte fails; ~0: none */
	unsigned reads, writes, queued, flushes, trims, fua, resets, alone_broken;
	uint32_t commands; /* of port 0, as PxCI was written */
} hba;

static inline uint32_t *hba_port(unsigned i, unsigned reg)
{
	return (uint32_t *)(fake_bar + AHCI_PORTS + i * AHCI_PORT_BYTES + reg);
}

static inline void id_word(unsigned n, unsigned v)
{
	hba.id[2 * n] = (uint8_t)v;
	hba.id[2 * n + 1] = (uint8_t)(v >> 8);
}

static inline void id_text(unsigned first, unsigned words, const char *text)
{
	for (unsigned i = 0; i < 2 * words; i++)
		hba.id[2 * first + (i ^ 1)] = (uint8_t)(*text ? *text++ : ' ');
}

static inline void fake_identity(uint32_t sector, bool ncq, bool fua)
{
	uint64_t blocks = FAKE_DISK_BYTES / sector;

	memset(hba.id, 0, sizeof(hba.id));
	hba.sector = sector;
	id_text(10, 10, "W-123");
	id_text(27, 20, "A disk");
	id_word(75, 31);
	id_word(76, ncq ? 1u << 8 : 0);
	id_word(83, 1u << 14 | 1u << 10);
	id_word(84, 1u << 14 | (fua ? 1u << 6 : 0));
	id_word(85, 1u << 5);
	id_word(87, 1u << 14);
	id_word(100, (unsigned)blocks);
	id_word(101, (unsigned)(blocks >> 16));
	id_word(106, 1u << 14 | (sector != 512 ? 1u << 12 : 0));
	id_word(117, sector / 2);
	id_word(169, 1);
}

static inline void fake_link(unsigned i)
{
	bool there = i == 1 || (i == 0 && !hba.cd_only);

	*hba_port(i, AHCI_PX_SSTS) = there ? 0x123 : 0;
	*hba_port(i, AHCI_PX_SIG) = i == 1 ? AHCI_SIG_ATAPI : there ? AHCI_SIG_DISK : UINT32_MAX;
	*hba_port(i, AHCI_PX_TFD) = there ? 0x50 : 0x7f;
	*hba_port(i, AHCI_PX_CI) = *hba_port(i, AHCI_PX_SACT) = 0;
	if (i == 0)
		hba.commands = 0;
}

static inline void fake_hba_reset(void)
{
	memset(fake_bar, 0, sizeof(fake_bar));
	fake_set(AHCI_CAP, AHCI_CAP_64 | AHCI_CAP_NCQ | 31u << 8);
	fake_set(AHCI_PI, (1u << FAKE_PORTS) - 1);
	for (unsigned i = 0; i < FAKE_PORTS; i++)
		fake_link(i);
}

static inline void fake_hba_plug(void)
{
	memset(&hba, 0, sizeof(hba));
	hba.medium = calloc(1, FAKE_DISK_BYTES);
	hba.bad = ~0ull;
	fake_identity(512, true, true);
	fake_hba_reset();
}

uint32_t fake_mmio_read(const volatile void *at, unsigned width)
{
	uint32_t v = 0;

	memcpy(&v, (const void *)at, width);
	return v;
}

static inline void port_write(unsigned i, unsigned reg, uint32_t *at, uint32_t v)
{
	switch (reg) {
	case AHCI_PX_IS:
	case AHCI_PX_SERR:
		*at &= ~v;
		break;
	case AHCI_PX_CI:
		if (i == 0 && *hba_port(0, AHCI_PX_CMD) & AHCI_CMD_START)
			hba.commands |= v;
		/* fall through */
	case AHCI_PX_SACT:
		*at |= v;
		break;
	case AHCI_PX_CMD:
		v &= ~(AHCI_CMD_RUNS | AHCI_CMD_FIS_RUNS);
		*at = v | (v & AHCI_CMD_START || hba.keeps_running ? AHCI_CMD_RUNS : 0) |
		      (v & AHCI_CMD_FIS ? AHCI_CMD_FIS_RUNS : 0);
		if (!(v & AHCI_CMD_START))
			*hba_port(i, AHCI_PX_CI) = *hba_port(i, AHCI_PX_SACT) = 0;
		if (!(v & AHCI_CMD_START) && i == 0)
			hba.commands = 0;
		break;
	case AHCI_PX_SCTL:
		if ((*at & 0xf) == 1 && (v & 0xf) == 0 && !hba.deaf) {
			hba.resets++;
			fake_link(i);
		} else if ((v & 0xf) == 1) {
			*hba_port(i, AHCI_PX_SSTS) = 0;
			*hba_port(i, AHCI_PX_TFD) = 0x7f;
		}
		*at = v;
		break;
	default:
		*at = v;
		break;
	}
}

void fake_mmio_write(volatile void *at, unsigned width, uint32_t v)
{
	unsigned off = (unsigned)((volatile uint8_t *)at - fake_bar);

	if (width != 4)
		abort();
	if (off == AHCI_GHC && (v & AHCI_GHC_RESET))
		fake_hba_reset();
	else if (off >= AHCI_PORTS && off < AHCI_PORTS + FAKE_PORTS * AHCI_PORT_BYTES)
		port_write((off - AHCI_PORTS) / AHCI_PORT_BYTES, off % AHCI_PORT_BYTES,
			   (uint32_t *)(uintptr_t)at, v);
	else if (off == AHCI_IS)
		*(volatile uint32_t *)at &= ~v;
	else
		*(volatile uint32_t *)at = v;
}

/* ---- the disk ---- */

static inline void fake_prds(const struct ahci_header *h, const struct ahci_table *t,
			     uint8_t *medium, uint32_t bytes)
{
	for (unsigned i = 0; i < h->flags >> 16; i++) {
		uint32_t n = t->prd[i].count + 1;
		void *memory = (void *)(uintptr_t)t->prd[i].hpa;

		if (t->prd[i].hpa % 2 || n % 2 || n > 4u << 20 || n > bytes)
			abort();
		if (h->flags & AHCI_H_WRITE)
			memcpy(medium, memory, n);
		else
			memcpy(memory, medium, n);
		medium += n;
		bytes -= n;
	}
	if (bytes)
		abort();
}

static inline void fake_trim(const struct ahci_table *t)
{
	const uint64_t *r = (const uint64_t *)(uintptr_t)t->prd[0].hpa;

	hba.trims++;
	for (unsigned i = 0; i < 64; i++) {
		uint64_t at = (r[i] & 0xffffffffffffull) * hba.sector,
			 n = (r[i] >> 48) * hba.sector;

		if (at + n > FAKE_DISK_BYTES)
			abort();
		memset(hba.medium + at, 0, n);
	}
}

/* -> false: it failed. */
static inline bool fake_disk_command(unsigned slot)
{
	const struct ahci_header
		*h = (const struct ahci_header *)(uintptr_t)(*hba_port(0, AHCI_PX_CLB) |
							     (uint64_t)*hba_port(0, AHCI_PX_CLB + 4)
								     << 32) +
		     slot;
	const struct ahci_table *t = (const struct ahci_table *)(uintptr_t)h->table;
	const uint8_t *f = t->fis;
	uint64_t lba = f[4] | f[5] << 8 | (uint64_t)f[6] << 16 | (uint64_t)f[8] << 24 |
		       (uint64_t)f[9] << 32 | (uint64_t)f[10] << 40;
	bool queued = f[2] == ATA_READ_QUEUED || f[2] == ATA_WRITE_QUEUED;
	unsigned count = queued ? f[3] | f[11] << 8 : f[12] | f[13] << 8;
	uint64_t at = lba * hba.sector, bytes = (uint64_t)count * hba.sector;

	if (f[0] != 0x27 || f[1] != 0x80 || (h->flags & 0x1f) != 5)
		abort();
	if (!queued && (hba.commands & (hba.commands - 1)))
		hba.alone_broken++;
	if (f[2] == ATA_IDENTIFY) {
		fake_prds(h, t, hba.id, 512);
		return true;
	}
	if (hba.garbage)
		return true;
	if (f[2] == ATA_FLUSH_EXT || f[2] == ATA_DSM) {
		hba.flushes += f[2] == ATA_FLUSH_EXT;
		if (f[2] == ATA_DSM)
			fake_trim(t);
		return true;
	}
	if (queued && !hba.meddled &&
	    (f[12] != slot << 3 || !(*hba_port(0, AHCI_PX_SACT) >> slot & 1)))
		abort();
	if (at + bytes > FAKE_DISK_BYTES || count == 0)
		abort();
	if (hba.bad >= at && hba.bad < at + bytes)
		return false;
	hba.queued += queued;
	hba.fua += f[2] == ATA_WRITE_FUA_EXT || (f[2] == ATA_WRITE_QUEUED && f[7] & 0x80);
	fake_prds(h, t, hba.medium + at, (uint32_t)bytes);
	return true;
}

static inline void fake_disk_interrupt(uint32_t bits)
{
	*hba_port(0, AHCI_PX_IS) |= bits;
	fake_set(AHCI_IS, fake_get(AHCI_IS) | 1);
}

/* -> something happened. A failed command stops the port, and its bits stay. */
static inline bool fake_step(void)
{
	bool any = false;

	if (hba.hold || hba.deaf || *hba_port(0, AHCI_PX_TFD) & AHCI_TFD_ERR)
		return false;
	for (unsigned slot = 0; slot < 32; slot++) {
		if (!(hba.commands >> slot & 1))
			continue;
		any = true;
		if (!fake_disk_command(slot)) {
			*hba_port(0, AHCI_PX_TFD) = 0x4051;
			fake_disk_interrupt(1u << 30);
			return true;
		}
		hba.commands &= ~(1u << slot);
		*hba_port(0, AHCI_PX_CI) &= ~(1u << slot);
		*hba_port(0, AHCI_PX_SACT) &= ~(1u << slot);
		fake_disk_interrupt(8);
	}
	return any;
}

#endif
