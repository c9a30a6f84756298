/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An NVMe controller for host tests: registers in fake_bar, queues in the driver's memory, one namespace of 512 and one of 4096
 * byte blocks, one with metadata. It works when the test steps it. Addresses of the driver are pointers here.
 */
#ifndef TESTS_NVME_FAKE_H
#define TESTS_NVME_FAKE_H

#include "tests/unit/blkctl_fakes.h"
#include "drivers/nvme.h"

#ifndef FAKE_NS_BYTES /* fuzzers have a smaller one: faster */
#define FAKE_NS_BYTES (4u << 20)
#endif

static struct {
	uint8_t *medium[2]; /* namespaces 1 and 7 */
	uint64_t cap;
	unsigned mdts;
	bool ready;
	struct fake_pair {
		struct nvme_sqe *sq;
		struct nvme_cqe *cq;
		unsigned size, head, tail, phase; /* tail: of completions */
	} pair[2];
	const uint8_t
		*garbage; /* [borrows] changes to Identify: offset (2), value; no data moves */
	size_t garbage_len;
	bool hold;        /* I/O stays unanswered */
	bool deaf;        /* so do registers */
	unsigned status;  /* of the next I/O command */
	uint16_t cid_xor; /* of the next I/O completion: a lie */
	unsigned dsm, zeroes, flushes, fua, enables;
} fake;

static inline void fake_nvme_plug(void)
{
	memset(&fake, 0, sizeof(fake));
	memset(fake_bar, 0, sizeof(fake_bar));
	for (unsigned i = 0; i < 2; i++)
		fake.medium[i] = calloc(1, FAKE_NS_BYTES);
	fake.cap = 1ull << 37 | 2u << 24 | 31; /* NVM commands, 1 s, 32 entries */
	fake_set(NVME_CAP, (uint32_t)fake.cap);
	fake_set(NVME_CAP + 4, (uint32_t)(fake.cap >> 32));
	fake_set(NVME_VS, 0x00010400);
}

static inline void fake_nvme_unplug(void)
{
	free(fake.medium[0]);
	free(fake.medium[1]);
}

static inline void put16(uint8_t *at, unsigned v)
{
	at[0] = (uint8_t)v;
	at[1] = (uint8_t)(v >> 8);
}

static inline void put32(uint8_t *at, uint32_t v)
{
	put16(at, v & 0xffff);
	put16(at + 2, v >> 16);
}

static inline unsigned fake_identify(const struct nvme_sqe *e)
{
	uint8_t *to = (uint8_t *)(uintptr_t)e->prp1;

	memset(to, 0, 4096);
	if (e->cdw10 == NVME_CNS_LIST) {
		put32(to, 1);
		put32(to + 4, 7);
		put32(to + 8, 9);
	} else if (e->cdw10 == NVME_CNS_CTRL) {
		memcpy(to + ID_CTRL_SN, "S123                ", 20);
		memcpy(to + ID_CTRL_MN, "A fine drive                            ", 40);
		to[ID_CTRL_MDTS] = (uint8_t)fake.mdts;
		to[ID_CTRL_ONCS] = NVME_ONCS_DSM | NVME_ONCS_ZEROES;
		to[ID_CTRL_VWC] = 1;
	} else {
		unsigned shift = e->nsid == 7 ? 12 : 9;

		put32(to + ID_NS_SIZE, FAKE_NS_BYTES >> shift);
		put32(to + ID_NS_FORMATS, shift << 16 | (e->nsid == 9 ? 8 : 0));
	}
	for (size_t i = 0; i + 3 <= fake.garbage_len; i += 3)
		to[(fake.garbage[i] << 8 | fake.garbage[i + 1]) % 4096] = fake.garbage[i + 2];
	return 0;
}

static inline unsigned fake_admin(const struct nvme_sqe *e, uint32_t *result)
{
	*result = 0;
	switch (e->opcode) {
	case NVME_IDENTIFY:
		return fake_identify(e);
	case NVME_CREATE_CQ:
		fake.pair[1].cq = (struct nvme_cqe *)(uintptr_t)e->prp1;
		return 0;
	case NVME_CREATE_SQ:
		fake.pair[1].sq = (struct nvme_sqe *)(uintptr_t)e->prp1;
		fake.pair[1].size = (e->cdw10 >> 16) + 1;
		return 0;
	case NVME_SET_FEATURES:
		return 0;
	default:
		return NVME_S_OPCODE;
	}
}

/* Follows the PRPs of a transfer (NVMe 4.3). */
static inline void fake_move(const struct nvme_sqe *e, uint8_t *medium, uint32_t bytes)
{
	uint64_t at = e->prp1;
	const uint64_t *list = (const uint64_t *)(uintptr_t)e->prp2;
	uint32_t first = 4096 - at % 4096;
	bool one = bytes <= first + 4096;

	if (at % 4)
		abort();
	for (unsigned i = 0; bytes; i++) {
		uint32_t n = 4096 - at % 4096;

		n = n < bytes ? n : bytes;
		if (e->opcode == NVME_READ)
			memcpy((void *)(uintptr_t)at, medium, n);
		else
			memcpy(medium, (void *)(uintptr_t)at, n);
		medium += n;
		bytes -= n;
		if (bytes)
			at = one ? e->prp2 : list[i];
		if (bytes && at % 4096)
			abort();
	}
}

static inline unsigned fake_nvme_io(const struct nvme_sqe *e)
{
	unsigned ns = e->nsid == 7, shift = ns ? 12 : 9, status = fake.status;
	uint64_t at = (e->cdw10 | (uint64_t)e->cdw11 << 32) << shift;
	uint32_t bytes = ((e->cdw12 & 0xffff) + 1) << shift;
	const struct nvme_dsm_range *r = (const struct nvme_dsm_range *)(uintptr_t)e->prp1;

	fake.status = 0;
	if (status || fake.garbage_len)
		return status;
	fake.fua += e->cdw12 >> 30 & 1;
	switch (e->opcode) {
	case NVME_FLUSH:
		fake.flushes++;
		return 0;
	case NVME_DSM:
		fake.dsm++;
		memset(fake.medium[ns] + (r->lba << shift), 0, (size_t)r->blocks << shift);
		return 0;
	case NVME_ZEROES:
		fake.zeroes++;
		memset(fake.medium[ns] + at, 0, bytes);
		return 0;
	default:
		if (at + bytes > FAKE_NS_BYTES)
			abort();
		fake_move(e, fake.medium[ns] + at, bytes);
		return 0;
	}
}

static inline void fake_complete(struct fake_pair *p, unsigned id, uint16_t cid, uint32_t result,
				 unsigned status)
{
	p->cq[p->tail] = (struct nvme_cqe){.result = result,
					   .sq_head = (uint16_t)p->head,
					   .sq_id = (uint16_t)id,
					   .cid = cid,
					   .status = (uint16_t)(status << 1 | p->phase)};
	p->tail = (p->tail + 1) % p->size;
	p->phase ^= p->tail == 0;
}

static inline bool fake_fetch(unsigned id)
{
	struct fake_pair *p = &fake.pair[id];
	uint32_t result = 0;
	struct nvme_sqe e;
	unsigned status;

	if (!p->size || !p->sq || !p->cq || p->head == fake_get(NVME_DOORBELLS + 8 * id))
		return false;
	if (p->head >= p->size || (id == 1 && fake.hold))
		return false;
	e = p->sq[p->head];
	p->head = (p->head + 1) % p->size;
	status = id ? fake_nvme_io(&e) : fake_admin(&e, &result);
	if (id)
		e.cid ^= fake.cid_xor;
	fake.cid_xor = id ? 0 : fake.cid_xor;
	fake_complete(p, id, e.cid, result, status);
	return true;
}

static inline void fake_enable(void)
{
	fake.ready = true;
	fake.enables++;
	memset(fake.pair, 0, sizeof(fake.pair));
	fake.pair[0] = (struct fake_pair){.sq = (void *)(uintptr_t)fake_get64(NVME_ASQ),
					  .cq = (void *)(uintptr_t)fake_get64(NVME_ACQ),
					  .size = (fake_get(NVME_AQA) & 0xfff) + 1};
	fake.pair[0].phase = fake.pair[1].phase = 1;
	for (unsigned i = 0; i < 4; i++)
		fake_set(NVME_DOORBELLS + 4 * i, 0);
}

/* -> something was answered. */
static inline bool fake_step(void)
{
	bool any = false;

	if (fake.deaf)
		return false;
	if (!(fake_get(NVME_CC) & NVME_CC_EN))
		fake.ready = false;
	else if (!fake.ready)
		fake_enable();
	fake_set(NVME_CSTS, fake.ready ? NVME_CSTS_RDY : 0);
	for (unsigned id = 0; fake.ready && id < 2; id++)
		while (fake_fetch(id))
			any = true;
	return any;
}

#endif
