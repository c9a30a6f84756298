/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Boot: from the loader's list of RAM and the reserved ranges to the chunk table, which is put into RAM itself.
 * Called by boot/ on one CPU, in the order frame_add_ram, frame_reserve, frame_init_done.
 */
#include "hv/abi/hv_abi.h"
#include "hv/lib/log.h"
#include "hv/lib/string.h"
#include "hv/mm/chunk.h"

#define RANGES_MAX 128u
#define RAM_END_MAX (1ull << 44)    /* 16 TiB: bounds what a lying memory map can cost */
#define METADATA_END (1ull << 32)   /* early tables reach so far (mm/init.h) */
#define LOW_MEMORY_END (1ull << 20) /* firmware scribbles here; also the AP trampoline's place */

struct range {
	hpa_t start, end;
};
static struct range ram[RANGES_MAX], reserved[RANGES_MAX];
static unsigned n_ram, n_reserved;

static bool overlaps(const struct range *list, unsigned n, hpa_t start, hpa_t end,
		     const struct range **found)
{
	for (unsigned i = 0; i < n; i++) {
		if (list[i].start < end && start < list[i].end) {
			*found = &list[i];
			return true;
		}
	}
	return false;
}

void frame_add_ram(hpa_t start, hpa_t end)
{
	start = ALIGN_UP(start, PAGE_SIZE);
	end = ALIGN_DOWN(MIN(end, RAM_END_MAX), PAGE_SIZE);
	if (start >= end)
		return;
	if (n_ram == RANGES_MAX) {
		log_printf("memory: more than %u RAM ranges; 0x%llx and up is not used", RANGES_MAX,
			   (unsigned long long)start);
		return;
	}
	ram[n_ram++] = (struct range){start, end};
}

void frame_reserve(hpa_t start, hpa_t end)
{
	start = ALIGN_DOWN(start, PAGE_SIZE);
	end = ALIGN_UP(end, PAGE_SIZE);
	if (start >= end)
		return;
	if (n_reserved == RANGES_MAX)
		panic("more than %u reserved memory ranges", RANGES_MAX);
	reserved[n_reserved++] = (struct range){start, end};
}

bool frame_is_ram(hpa_t start, hpa_t end)
{
	const struct range *found;

	return overlaps(ram, n_ram, start, end, &found);
}

static bool contained(const struct range *list, unsigned n, hpa_t start, hpa_t end)
{
	const struct range *found;

	return overlaps(list, n, start, end, &found) && found->start <= start && end <= found->end;
}

/* The lowest place for `bytes`, in whole chunks of unreserved RAM that the early tables reach. */
static hpa_t find_room(uint64_t bytes)
{
	const struct range *hit;
	hpa_t best = METADATA_END;

	for (unsigned i = 0; i < n_ram; i++) {
		hpa_t at = ALIGN_UP(MAX(ram[i].start, LOW_MEMORY_END), LARGE_SIZE);
		hpa_t end = MIN(ram[i].end, best);

		while (at + bytes <= end) {
			if (!overlaps(reserved, n_reserved, at, at + bytes, &hit)) {
				best = at;
				break;
			}
			at = ALIGN_UP(hit->end, LARGE_SIZE);
		}
	}
	if (best == METADATA_END)
		panic("no %llu KiB of free RAM below 4 GiB for hv's own tables",
		      (unsigned long long)(bytes >> 10));
	return best;
}

static void mark(hpa_t start, hpa_t end, bool usable)
{
	for (hpa_t at = start; at < end; at += PAGE_SIZE) {
		uint64_t frame = at >> PAGE_SHIFT;
		struct chunk *c = &chunk_table.chunks[frame / CHUNK_FRAMES];
		uint64_t bit = 1ull << (frame % 64);
		uint64_t *word = &c->free[frame % CHUNK_FRAMES / 64];

		if (((*word & bit) != 0) == usable)
			continue;
		*word ^= bit;
		c->dirty[frame % CHUNK_FRAMES / 64] ^= bit;
		c->n_usable = (uint16_t)(c->n_usable + (usable ? 1 : -1));
	}
}

static void mark_all(hpa_t ram_end)
{
	for (unsigned i = 0; i < n_ram; i++) {
		mark(ram[i].start, ram[i].end, true);
		chunk_table.total += (ram[i].end - ram[i].start) >> PAGE_SHIFT;
	}
	for (unsigned i = 0; i < n_reserved; i++)
		mark(reserved[i].start, MIN(reserved[i].end, ram_end), false);
	mark(0, MIN(LOW_MEMORY_END, ram_end), false);
}

static void classify(uint64_t index)
{
	struct chunk *c = &chunk_table.chunks[index];

	c->n_free = c->n_usable;
	chunk_table.free += c->n_free;
	if (c->n_usable == CHUNK_FRAMES) {
		chunk_make_free(index);
	} else if (c->n_usable != 0) {
		c->state = CHUNK_FOREIGN;
		chunk_map_set(MAP_FOREIGN, index);
	}
}

/* The chunks that hold the table itself become HV, the frames it covers handed out. */
static void take_metadata(hpa_t start, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += PAGE_SIZE) {
		uint64_t frame = (start + at) >> PAGE_SHIFT;
		struct chunk *c = &chunk_table.chunks[frame / CHUNK_FRAMES];

		if (c->state != CHUNK_HV) {
			chunk_map_clear(MAP_DIRTY, frame / CHUNK_FRAMES);
			c->state = CHUNK_HV;
			chunk_map_set(MAP_HV, frame / CHUNK_FRAMES);
		}
		c->free[frame % CHUNK_FRAMES / 64] &= ~(1ull << (frame % 64));
		c->n_free--;
		chunk_table.free--;
		if (c->n_free == 0)
			chunk_map_clear(MAP_HV, frame / CHUNK_FRAMES);
	}
}

void frame_init_done(void)
{
	uint64_t map_bytes, chunk_bytes, bytes;
	hpa_t ram_end = 0;
	hpa_t at;
	char *p;

	for (unsigned i = 0; i < n_ram; i++)
		ram_end = MAX(ram_end, ram[i].end);
	chunk_table.n_chunks = (ram_end + LARGE_SIZE - 1) >> LARGE_SHIFT;
	map_bytes = (chunk_table.n_chunks + 63) / 64 * 8;
	chunk_bytes = chunk_table.n_chunks * sizeof(struct chunk);
	bytes = ALIGN_UP(chunk_bytes + CHUNK_MAPS * map_bytes, PAGE_SIZE);
	at = find_room(ALIGN_UP(bytes, LARGE_SIZE));
	p = phys_to_hv(at);
	memset(p, 0, bytes);
	chunk_table.chunks = (struct chunk *)(void *)p;
	for (unsigned i = 0; i < CHUNK_MAPS; i++)
		chunk_table.maps[i] = (uint64_t *)(void *)(p + chunk_bytes + i * map_bytes);
	mark_all(ALIGN_UP(ram_end, LARGE_SIZE));
	for (uint64_t i = 0; i < chunk_table.n_chunks; i++)
		classify(i);
	take_metadata(at, bytes);
	account_hv.pages = chunk_table.total - chunk_table.free;
}

/* Neither free nor handed out: what frame_reserve leaves of RAM. */
static bool is_reserved(hpa_t at)
{
	uint64_t frame = at >> PAGE_SHIFT;
	const struct chunk *c = &chunk_table.chunks[frame / CHUNK_FRAMES];
	uint64_t bits = c->free[frame % CHUNK_FRAMES / 64] | c->dirty[frame % CHUNK_FRAMES / 64];

	return (bits >> (frame % 64) & 1) == 0;
}

int frame_adopt(struct account *acct, hpa_t start, uint64_t pages)
{
	hpa_t end;

	if (start % PAGE_SIZE != 0 || pages == 0 || pages > RAM_END_MAX >> PAGE_SHIFT ||
	    ADD_OVERFLOW(start, pages << PAGE_SHIFT, &end) || !contained(ram, n_ram, start, end) ||
	    !contained(reserved, n_reserved, start, end))
		return -HVE_INVAL;
	for (hpa_t at = start; at < end; at += PAGE_SIZE)
		if (!is_reserved(at))
			return -HVE_INVAL;
	for (hpa_t at = start; at < end; at += PAGE_SIZE) {
		uint64_t frame = at >> PAGE_SHIFT;
		struct chunk *c = &chunk_table.chunks[frame / CHUNK_FRAMES];

		c->dirty[frame % CHUNK_FRAMES / 64] |= 1ull << (frame % 64);
		c->n_usable++;
		c->state = CHUNK_FOREIGN; /* it was that or NONE: not all of it was usable */
	}
	account_move(&account_hv, acct, pages);
	return 0;
}
