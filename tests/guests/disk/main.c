/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first disk (virtio-blk), with as many requests in flight as the queue takes. Each block has a version: it is written
 * anew, or read and compared with what was written last, or with what was read first; so a request that is lost, done
 * twice behind a later one, or answered by another's data, is seen. Then forms that no driver has. It goes on for ever.
 */
#define V_SLOT 4
#define V_ID 0x10421af4u
#define V_QUEUE 128
#include "virtio.h"

enum { BLOCK = 4096, SLOTS = 42, BLOCKS_MAX = 2048, ROUNDS_TOLD = 500 };
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2, S_NONE = 0xff };
enum { F_RO = 1u << 5, F_FLUSH = 1u << 9 };

static struct slot {
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header;
	volatile uint8_t status;
	bool busy, write;
	unsigned block;
	uint64_t data[BLOCK / 8] __attribute__((aligned(4096)));
} slots[SLOTS];

static unsigned n_blocks, in_flight, seen_used;
static bool read_only, can_flush, block_busy[BLOCKS_MAX], known[BLOCKS_MAX];
static uint32_t version[BLOCKS_MAX];
static uint64_t sums[BLOCKS_MAX]; /* of a disk that cannot be written */
static uint64_t reads, writes, flushes;

static uint64_t next_random(void)
{
	static uint64_t x = 88172645463325252ull; /* xorshift64 */

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static uint64_t word_of(unsigned block, uint32_t v, unsigned i)
{
	return ((uint64_t)block << 40 ^ (uint64_t)v << 12 ^ i) * 0x9e3779b97f4a7c15ull;
}

static uint64_t sum_of(const uint64_t *data)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < BLOCK / 8; i++)
		sum = (sum << 7 | sum >> 57) ^ data[i];
	return sum;
}

/* data_bytes 0: no data. */
static void offer(unsigned n, uint32_t type, uint64_t sector, uint32_t data_bytes, bool in)
{
	struct slot *s = &slots[n];
	unsigned d = n * 3, status = data_bytes ? d + 2 : d + 1;

	s->header.type = type;
	s->header.sector = sector;
	s->status = S_NONE;
	vq.desc[d].addr = (uint64_t)&s->header;
	vq.desc[d].len = 16;
	vq.desc[d].flags = D_NEXT;
	vq.desc[d].next = (uint16_t)(d + 1);
	vq.desc[d + 1].addr = (uint64_t)s->data;
	vq.desc[d + 1].len = data_bytes;
	vq.desc[d + 1].flags = D_NEXT | (in ? D_WRITE : 0);
	vq.desc[d + 1].next = (uint16_t)(d + 2);
	vq.desc[status].addr = (uint64_t)&s->status;
	vq.desc[status].len = 1;
	vq.desc[status].flags = D_WRITE;
	v_offer(d);
	s->busy = true;
	in_flight++;
}

static void check_block(const struct slot *s)
{
	uint64_t sum = sum_of(s->data);

	if (!read_only) {
		for (unsigned i = 0; i < BLOCK / 8; i++)
			check(s->data[i] == word_of(s->block, version[s->block], i),
			      "block %u, word %u: %lx; version %u is %lx", s->block, i, s->data[i],
			      version[s->block], word_of(s->block, version[s->block], i));
		return;
	}
	check(!known[s->block] || sums[s->block] == sum, "block %u: sum %lx, not %lx", s->block,
	      sum, sums[s->block]);
	known[s->block] = true;
	sums[s->block] = sum;
}

static void ended(struct slot *s, uint32_t len)
{
	check(s->busy, "a request came back twice");
	check(s->status == S_OK, "status %u of a request of type %u, block %u", s->status,
	      s->header.type, s->block);
	check(len == (s->header.type == T_IN ? BLOCK + 1 : 1), "%u bytes written by type %u", len,
	      s->header.type);
	s->busy = false;
	in_flight--;
	if (s->header.type == T_FLUSH)
		return;
	block_busy[s->block] = false;
	if (s->header.type == T_IN)
		check_block(s);
}

static void collect(void)
{
	for (; (uint16_t)seen_used != vq.used.idx; seen_used++) {
		uint32_t id = vq.used.ring[seen_used % VQ_SIZE].id;

		check(id % 3 == 0 && id / 3 < SLOTS, "chain %u came back", id);
		ended(&slots[id / 3], vq.used.ring[seen_used % VQ_SIZE].len);
	}
}

static void wait_for(unsigned left)
{
	for (cli(); collect(), in_flight > left; cli())
		sti_hlt();
	sti();
}

/* Of blocks that nothing is under way for. */
static void begin(unsigned n)
{
	struct slot *s = &slots[n];
	unsigned block = (unsigned)(next_random() % n_blocks);
	bool write = !read_only && next_random() % 2;

	if (can_flush && next_random() % 64 == 0) {
		offer(n, T_FLUSH, 0, 0, false);
		flushes++;
		return;
	}
	while (block_busy[block])
		block = (block + 1) % n_blocks;
	block_busy[block] = !read_only;
	s->block = block;
	if (write) {
		version[block]++;
		for (unsigned i = 0; i < BLOCK / 8; i++)
			s->data[i] = word_of(block, version[block], i);
	} else {
		for (unsigned i = 0; i < BLOCK / 8; i++)
			s->data[i] = 0;
	}
	offer(n, write ? T_OUT : T_IN, (uint64_t)block * 8, BLOCK, !write);
	*(write ? &writes : &reads) += 1;
}

static void round_of_requests(void)
{
	for (unsigned n = 0; n < SLOTS; n++)
		if (!slots[n].busy)
			begin(n);
	v_bell_ring();
	wait_for((unsigned)(next_random() % SLOTS));
}

/* Every block its first version. */
static void fill(void)
{
	for (unsigned block = 0; block < n_blocks && !read_only; block++) {
		struct slot *s = &slots[0];

		s->block = block;
		for (unsigned i = 0; i < BLOCK / 8; i++)
			s->data[i] = word_of(block, 0, i);
		offer(0, T_OUT, (uint64_t)block * 8, BLOCK, false);
		v_bell_ring();
		wait_for(0);
	}
}

static uint8_t one(uint32_t type, uint64_t sector, uint32_t bytes, bool in)
{
	offer(0, type, sector, bytes, in);
	v_bell_ring();
	for (cli(); (uint16_t)seen_used == vq.used.idx; cli())
		sti_hlt();
	sti();
	seen_used++;
	slots[0].busy = false;
	in_flight--;
	return slots[0].status;
}

static void forms(void)
{
	uint64_t sectors = *(volatile uint64_t *)v_own;

	check(one(T_IN, sectors, 512, true) == S_IOERR, "a read behind the end");
	check(one(T_IN, sectors - 1, 1024, true) == S_IOERR, "a read over the end");
	check(one(T_IN, ~0ull, 512, true) == S_IOERR, "a read at -1");
	check(one(T_IN, 0, 100, true) == S_IOERR, "a read of 100 bytes");
	check(one(T_OUT, 0, 512, true) == S_IOERR, "a write of what is to be written to");
	check(one(2, 0, 512, true) == S_UNSUPP, "type 2");
	if (read_only)
		check(one(T_OUT, 0, 512, false) == S_IOERR, "a write to a disk that is read-only");
	check(one(T_GET_ID, 0, 20, true) == S_OK, "the serial number");
	print("disk: %lu sectors, read-only %u, serial %s", sectors, read_only,
	      (const char *)slots[0].data);
}

void guest_main(void)
{
	uint32_t features;

	x2apic_enable();
	v_open();
	v_msix_on();
	*(volatile uint32_t *)(v_common + V_F_SELECT) = 0;
	features = *(volatile uint32_t *)(v_common + V_F);
	read_only = features & F_RO;
	can_flush = features & F_FLUSH;
	v_start(features & (F_RO | F_FLUSH));
	n_blocks = (unsigned)(*(volatile uint64_t *)v_own / 8);
	if (n_blocks > BLOCKS_MAX)
		n_blocks = BLOCKS_MAX;
	check(n_blocks > (read_only ? 0 : SLOTS), "the disk is too small");
	sti();
	forms();
	fill();
	for (uint32_t round = 0;; round++) {
		round_of_requests();
		if (round % ROUNDS_TOLD == 0)
			print("round %u, %lu reads, %lu writes, %lu flushes", round, reads, writes,
			      flushes);
		if (round == ROUNDS_TOLD)
			print("ok disk");
	}
}
