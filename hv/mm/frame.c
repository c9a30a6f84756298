/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frame allocator: takes runs of frames out of chunks (chunk.h has the states) and puts them back. Nothing is
 * scrubbed under the lock: dirty frames are marked as handed out first and zeroed by whoever asked.
 */
#include "hv/mm/frame.h"

#include "hv/abi/hv_abi.h"
#include "hv/lib/log.h"
#include "hv/lib/spinlock.h"
#include "hv/lib/string.h"
#include "hv/mm/chunk.h"
#include "hv/mm/window.h"

struct account account_hv;
struct chunk_table chunk_table;
static struct spinlock frame_lock;

/* Frames inside one chunk. */
struct run {
	uint64_t chunk; /* before it is taken: the one wanted if it is FREE, or NO_CHUNK */
	unsigned pos, n;
	uint64_t dirty[CHUNK_WORDS]; /* which of them must be zeroed */
};

#define SCRUB_PIECE 2u /* frames an idle CPU cleans in one go */
#define RESERVE_SHARE                                                                              \
	8u /* idle CPUs keep this part of the RAM clean: starts are fast, and not all RAM is touched */

/* ---- accounts ---- */

int account_charge(struct account *acct, uint64_t pages)
{
	uint64_t now = __atomic_add_fetch(&acct->pages, pages, __ATOMIC_RELAXED);

	if (acct->limit == 0 || now <= acct->limit)
		return 0;
	account_release(acct, pages);
	return -HVE_NOMEM;
}

void account_release(struct account *acct, uint64_t pages)
{
	__atomic_fetch_sub(&acct->pages, pages, __ATOMIC_RELAXED);
}

void account_move(struct account *from, struct account *to, uint64_t pages)
{
	if (from == to)
		return;
	account_release(from, pages);
	__atomic_fetch_add(&to->pages, pages, __ATOMIC_RELAXED);
}

/* ---- maps of chunks; the caller holds the lock ---- */

void chunk_map_set(enum chunk_map map, uint64_t index)
{
	uint64_t *word = &chunk_table.maps[map][index / 64];
	uint64_t bit = 1ull << (index % 64);

	chunk_table.count[map] += (*word & bit) == 0;
	*word |= bit;
}

void chunk_map_clear(enum chunk_map map, uint64_t index)
{
	uint64_t *word = &chunk_table.maps[map][index / 64];
	uint64_t bit = 1ull << (index % 64);

	chunk_table.count[map] -= (*word & bit) != 0;
	*word &= ~bit;
}

/* The first chunk of the map at or above `from`. */
static uint64_t map_next(enum chunk_map map, uint64_t from)
{
	uint64_t n_words = (chunk_table.n_chunks + 63) / 64;
	uint64_t w = from / 64;
	uint64_t mask = ~0ull << (from % 64);

	if (chunk_table.count[map] == 0)
		return NO_CHUNK;
	for (; w < n_words; w++, mask = ~0ull) {
		uint64_t bits = chunk_table.maps[map][w] & mask;

		if (bits != 0)
			return w * 64 + (uint64_t)__builtin_ctzll(bits);
	}
	return NO_CHUNK;
}

static uint64_t map_find(enum chunk_map map, uint64_t from)
{
	uint64_t index = map_next(map, from);

	return index == NO_CHUNK && from != 0 ? map_next(map, 0) : index;
}

void chunk_make_free(uint64_t index)
{
	struct chunk *c = &chunk_table.chunks[index];
	uint64_t dirty = 0;

	for (unsigned i = 0; i < CHUNK_WORDS; i++)
		dirty |= c->dirty[i];
	c->state = CHUNK_FREE;
	chunk_map_set(dirty != 0 ? MAP_DIRTY : MAP_CLEAN, index);
}

/* ---- runs inside a chunk; the caller holds the lock ---- */

/* The bits of word w that belong to [pos, pos + n). */
static uint64_t run_mask(unsigned w, unsigned pos, unsigned n)
{
	unsigned lo = MAX(pos, w * 64);
	unsigned hi = MIN(pos + n, (w + 1) * 64);

	if (lo >= hi)
		return 0;
	return (hi - lo == 64 ? ~0ull : (1ull << (hi - lo)) - 1) << (lo % 64);
}

static bool run_is_free(const struct chunk *c, unsigned pos, unsigned n)
{
	for (unsigned w = pos / 64; w <= (pos + n - 1) / 64; w++) {
		uint64_t mask = run_mask(w, pos, n);

		if ((c->free[w] & mask) != mask)
			return false;
	}
	return true;
}

static bool run_find(const struct chunk *c, unsigned n, unsigned align, unsigned *pos)
{
	if (c->n_free < n)
		return false;
	for (unsigned at = 0; at + n <= CHUNK_FRAMES; at += align) {
		if (align < 64 && c->free[at / 64] == 0) {
			at = (at | 63) + 1 - align; /* nothing in this word */
			continue;
		}
		if (run_is_free(c, at, n)) {
			*pos = at;
			return true;
		}
	}
	return false;
}

static enum chunk_map map_of(uint32_t state)
{
	return state == CHUNK_HV ? MAP_HV : MAP_FOREIGN;
}

static void run_take(struct run *r)
{
	struct chunk *c = &chunk_table.chunks[r->chunk];

	for (unsigned w = 0; w < CHUNK_WORDS; w++) {
		uint64_t mask = run_mask(w, r->pos, r->n);

		r->dirty[w] = c->dirty[w] & mask;
		c->free[w] &= ~mask;
		c->dirty[w] |= mask;
	}
	c->n_free = (uint16_t)(c->n_free - r->n);
	chunk_table.free -= r->n;
	if (c->n_free == 0)
		chunk_map_clear(map_of(c->state), r->chunk);
}

static void run_put(enum chunk_state state, uint64_t index, unsigned pos, unsigned n)
{
	struct chunk *c = &chunk_table.chunks[index];

	assert(index < chunk_table.n_chunks && c->state == state && pos + n <= CHUNK_FRAMES);
	for (unsigned w = pos / 64; w <= (pos + n - 1) / 64; w++) {
		uint64_t mask = run_mask(w, pos, n);

		assert((c->free[w] & mask) == 0 && (c->dirty[w] & mask) == mask);
		c->free[w] |= mask;
	}
	c->n_free = (uint16_t)(c->n_free + n);
	chunk_table.free += n;
	chunk_map_set(map_of(state), index);
	if (state == CHUNK_FOREIGN && c->n_free == CHUNK_FRAMES) {
		chunk_map_clear(MAP_FOREIGN, index);
		chunk_make_free(index);
	}
}

/* ---- chunks change hands; the caller holds the lock ---- */

/* Memory is short: a chunk that hv keeps although all its frames are free. */
static uint64_t reclaim_hv_chunk(void)
{
	for (uint64_t i = map_next(MAP_HV, 0); i != NO_CHUNK; i = map_next(MAP_HV, i + 1)) {
		if (chunk_table.chunks[i].n_free != CHUNK_FRAMES)
			continue;
		chunk_map_clear(MAP_HV, i);
		direct_map_chunk(i << LARGE_SHIFT, false);
		return i;
	}
	return NO_CHUNK;
}

static bool is_free(uint64_t index)
{
	return index < chunk_table.n_chunks && chunk_table.chunks[index].state == CHUNK_FREE;
}

static uint64_t take_chunk(enum chunk_state state, uint64_t wanted, uint64_t from)
{
	uint64_t i = is_free(wanted) ? wanted : map_find(MAP_CLEAN, from);

	if (i == NO_CHUNK)
		i = map_find(MAP_DIRTY, from);
	if (i == NO_CHUNK && state == CHUNK_FOREIGN)
		i = reclaim_hv_chunk();
	if (i == NO_CHUNK)
		return NO_CHUNK;
	chunk_map_clear(MAP_CLEAN, i);
	chunk_map_clear(MAP_DIRTY, i);
	chunk_table.chunks[i].state = state;
	chunk_map_set(map_of(state), i);
	if (state == CHUNK_HV)
		direct_map_chunk(i << LARGE_SHIFT, true);
	return i;
}

static bool find_in_split(enum chunk_state state, unsigned align, struct run *r)
{
	enum chunk_map map = map_of(state);

	for (uint64_t i = map_next(map, 0); i != NO_CHUNK; i = map_next(map, i + 1)) {
		if (run_find(&chunk_table.chunks[i], r->n, align, &r->pos)) {
			r->chunk = i;
			return true;
		}
	}
	return false;
}

static bool take_locked(enum chunk_state state, unsigned align, uint64_t from, struct run *r)
{
	/* A whole chunk with only free frames would be FREE already, unless it is hv's. */
	bool whole = r->n == CHUNK_FRAMES && state == CHUNK_FOREIGN;

	if (whole || !find_in_split(state, align, r)) {
		r->chunk = take_chunk(state, r->chunk, from);
		r->pos = 0;
	}
	if (r->chunk == NO_CHUNK)
		return false;
	run_take(r);
	return true;
}

/* ---- with the lock taken here ---- */

/* Fails only when memory is really short: idle CPUs hold chunks for moments only. */
static int take(struct account *acct, enum chunk_state state, unsigned align, uint64_t from,
		struct run *r)
{
	bool found, wait;
	int err = account_charge(acct, r->n);

	if (err != 0)
		return err;
	do {
		spin_lock(&frame_lock);
		found = take_locked(state, align, from, r);
		wait = !found && chunk_table.busy != 0;
		spin_unlock(&frame_lock);
		if (wait)
			__builtin_ia32_pause();
	} while (wait);
	if (found)
		return 0;
	account_release(acct, r->n);
	return -HVE_NOMEM;
}

static void put(struct account *acct, enum chunk_state state, hpa_t hpa, unsigned n)
{
	uint64_t frame = hpa >> PAGE_SHIFT;

	spin_lock(&frame_lock);
	run_put(state, frame / CHUNK_FRAMES, (unsigned)(frame % CHUNK_FRAMES), n);
	spin_unlock(&frame_lock);
	account_release(acct, n);
}

static hpa_t run_start(const struct run *r)
{
	return (r->chunk << LARGE_SHIFT) + ((hpa_t)r->pos << PAGE_SHIFT);
}

static void zero_hv(hpa_t hpa, uint64_t len)
{
	memset(phys_to_hv(hpa), 0, len);
}

/* How many bits from `at` to the end of its word are equal to the lowest of them. */
static unsigned equal_bits(const uint64_t *bits, unsigned at)
{
	uint64_t word = bits[at / 64] >> (at % 64);
	uint64_t differs = word & 1 ? ~word : word;

	return differs == 0 ? 64 - at % 64 : MIN((unsigned)__builtin_ctzll(differs), 64 - at % 64);
}

/* The next stretch of dirty frames at or after pos, at most max of them. */
static bool dirty_next(const uint64_t *dirty, unsigned *pos, unsigned *n, unsigned max)
{
	unsigned at = *pos;

	while (at < CHUNK_FRAMES && (dirty[at / 64] >> (at % 64) & 1) == 0)
		at += equal_bits(dirty, at);
	*pos = at;
	while (at < CHUNK_FRAMES && at - *pos < max && (dirty[at / 64] >> (at % 64) & 1) != 0)
		at += equal_bits(dirty, at);
	*n = MIN(at - *pos, max);
	return *n != 0;
}

static void scrub(const struct run *r, void (*zero)(hpa_t, uint64_t))
{
	unsigned n;

	for (unsigned pos = r->pos; dirty_next(r->dirty, &pos, &n, CHUNK_FRAMES); pos += n)
		zero((r->chunk << LARGE_SHIFT) + ((hpa_t)pos << PAGE_SHIFT),
		     (uint64_t)n << PAGE_SHIFT);
}

void *hv_pages_alloc(struct account *acct, unsigned n)
{
	struct run r = {.chunk = NO_CHUNK, .n = n};

	assert(n != 0 && n <= CHUNK_FRAMES && (n & (n - 1)) == 0);
	if (take(acct, CHUNK_HV, n, 0, &r) != 0)
		return NULL;
	scrub(&r, zero_hv);
	return phys_to_hv(run_start(&r));
}

void hv_pages_free(struct account *acct, void *p, unsigned n)
{
	if (p != NULL)
		put(acct, CHUNK_HV, hv_to_phys(p), n);
}

static int alloc(struct account *acct, struct run *r, uint64_t from, hpa_t *hpa)
{
	int err = take(acct, CHUNK_FOREIGN, r->n, from < chunk_table.n_chunks ? from : 0, r);

	if (err != 0)
		return err;
	scrub(r, phys_zero);
	*hpa = run_start(r);
	return 0;
}

/* Large pages of guests come from above 4 GiB first: what lies below is kept for devices with short addresses. */
#define LARGE_FROM ((1ull << 32) >> LARGE_SHIFT)

int frame_alloc(struct account *acct, enum frame_order order, hpa_t *hpa)
{
	struct run r = {.chunk = NO_CHUNK, .n = 1u << order};

	return alloc(acct, &r, order == FRAME_2M ? LARGE_FROM : 0, hpa);
}

int frame_alloc_near(struct account *acct, hpa_t wanted, hpa_t *hpa)
{
	struct run r = {.chunk = wanted != 0 ? wanted >> LARGE_SHIFT : NO_CHUNK, .n = CHUNK_FRAMES};

	return alloc(acct, &r, LARGE_FROM, hpa);
}

/* GiB by GiB, in words of the two maps of free chunks. */
hpa_t frame_free_giga(void)
{
	const unsigned words = GIGA_SIZE / LARGE_SIZE / 64;
	uint64_t n_words = chunk_table.n_chunks / 64;
	hpa_t found = 0;

	spin_lock(&frame_lock);
	for (uint64_t w = words; w + words <= n_words && found == 0; w += words) {
		unsigned k = 0;

		while (k < words && (chunk_table.maps[MAP_CLEAN][w + k] |
				     chunk_table.maps[MAP_DIRTY][w + k]) == ~0ull)
			k++;
		found = k == words ? w * 64 << LARGE_SHIFT : 0;
	}
	spin_unlock(&frame_lock);
	return found;
}

int frame_alloc_run(struct account *acct, unsigned n, hpa_t *hpa)
{
	struct run r = {.chunk = NO_CHUNK, .n = n};
	unsigned align = 1;
	int err;

	if (n == 0 || n > CHUNK_FRAMES)
		return -HVE_INVAL;
	while (align < n)
		align *= 2;
	err = take(acct, CHUNK_FOREIGN, align, 0, &r);
	if (err != 0)
		return err;
	scrub(&r, phys_zero);
	*hpa = run_start(&r);
	return 0;
}

void frame_free(struct account *acct, hpa_t hpa, enum frame_order order)
{
	put(acct, CHUNK_FOREIGN, hpa, 1u << order);
}

/* Looks without the lock: a guess is good enough. */
static bool reserve_is_short(void)
{
	uint64_t clean = __atomic_load_n(&chunk_table.count[MAP_CLEAN], __ATOMIC_RELAXED);
	uint64_t dirty = __atomic_load_n(&chunk_table.count[MAP_DIRTY], __ATOMIC_RELAXED);

	return dirty != 0 && clean * CHUNK_FRAMES < chunk_table.total / RESERVE_SHARE;
}

/* A dirty free chunk becomes BUSY, so that nobody takes it, while a piece of it is zeroed. */
bool frame_scrub_idle(void)
{
	struct chunk *c;
	struct run r = {.pos = 0};

	if (!reserve_is_short())
		return false;
	spin_lock(&frame_lock);
	r.chunk = map_next(MAP_DIRTY, 0);
	if (r.chunk == NO_CHUNK) {
		spin_unlock(&frame_lock);
		return false;
	}
	c = &chunk_table.chunks[r.chunk];
	chunk_map_clear(MAP_DIRTY, r.chunk);
	c->state = CHUNK_BUSY;
	chunk_table.busy++;
	(void)dirty_next(c->dirty, &r.pos, &r.n, SCRUB_PIECE);
	spin_unlock(&frame_lock);

	phys_zero(run_start(&r), (uint64_t)r.n << PAGE_SHIFT);

	spin_lock(&frame_lock);
	for (unsigned w = 0; w < CHUNK_WORDS; w++)
		c->dirty[w] &= ~run_mask(w, r.pos, r.n);
	chunk_make_free(r.chunk);
	chunk_table.busy--;
	spin_unlock(&frame_lock);
	return true;
}

void frame_stats(struct frame_stats *out)
{
	spin_lock(&frame_lock);
	out->total = chunk_table.total;
	out->free = chunk_table.free;
	spin_unlock(&frame_lock);
}
