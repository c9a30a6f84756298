/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Windows: page-table entries of the CPU's own area, written directly. An entry is cleared and its translation
 * dropped when the window closes, so an opened one is never in the TLB yet and needs no flush.
 */
#include "hv/mm/window.h"

#include "hv/abi/hv_abi.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/x86.h"
#include "hv/lib/log.h"
#include "hv/lib/string.h"
#include "hv/mm/pt.h"
#include "hv/mm/window_inner.h"

static struct {
	uint64_t *small; /* WINDOWS entries */
	uint64_t *large;
} slots[HV_CPUS_MAX]; /* [p] */
static uint64_t
	leaf_bits; /* [I] of a window's entry: what pt_leaf adds to the frame. Windows are on the exit path */

int window_init(unsigned cpu_index, uint64_t *small, uint64_t *large)
{
	if (small == NULL || large == NULL)
		return -HVE_NOMEM;
	slots[cpu_index].small = small;
	slots[cpu_index].large = large;
	leaf_bits = pt_leaf(PT_HV, 0, PAGE_SHIFT, PT_R | PT_W);
	return 0;
}

void *window_open(hpa_t frame)
{
	struct cpu *c = this_cpu();
	unsigned n = c->windows_open++;

	assert(n < WINDOWS && frame % PAGE_SIZE == 0);
	slots[c->index].small[n] = frame | leaf_bits;
	return (void *)(WINDOW_SMALL(c->index) + n * PAGE_SIZE);
}

void window_close(void *w)
{
	struct cpu *c = this_cpu();
	unsigned n = --c->windows_open;

	assert((uint64_t)w == WINDOW_SMALL(c->index) + n * PAGE_SIZE);
	slots[c->index].small[n] = 0;
	invlpg(w);
}

/*
 * Past the cache, by stores of integer registers (MOVNTI): what is scrubbed is not used soon. 256 bytes a turn, which
 * keeps the loop's own instructions few. APM2 7.4.2 and SDM1 10.4.6.2 want the SFENCE.
 */
#define ZERO_TURN 256u

static void zero_uncached(char *p, uint64_t len)
{
	for (const char *end = p + len; p < end; p += ZERO_TURN)
		__asm__ volatile(".set offset, 0\n"
				 ".rept %c2 / 8\n"
				 "movnti %1, offset(%0)\n"
				 ".set offset, offset + 8\n"
				 ".endr"
				 :
				 : "r"(p), "r"(0ull), "i"(ZERO_TURN)
				 : "memory");
	__asm__ volatile("sfence" : : : "memory");
}

uint64_t phys_read64(hpa_t from)
{
	struct cpu *c = this_cpu();
	unsigned n = c->windows_open;
	uint64_t *entry = &slots[c->index].small[n], value;
	char *w = (char *)(WINDOW_SMALL(c->index) + n * PAGE_SIZE);

	assert(n < WINDOWS && from % sizeof(value) == 0);
	*entry = (from & ~(PAGE_SIZE - 1)) | leaf_bits;
	value = __atomic_load_n((uint64_t *)(void *)(w + from % PAGE_SIZE), __ATOMIC_RELAXED);
	*entry = 0;
	invlpg(w);
	return value;
}

bool phys_match(const struct phys_word *words, unsigned n)
{
	struct cpu *c = this_cpu();
	uint64_t *entry = &slots[c->index].small[c->windows_open];
	const char *w = (const char *)(WINDOW_SMALL(c->index) + c->windows_open * PAGE_SIZE);
	bool same = true;

	assert(c->windows_open < WINDOWS);
	for (const struct phys_word *p = words; p < words + n && same; p++) {
		*entry = (p->at & ~(PAGE_SIZE - 1)) | leaf_bits;
		same = !((__atomic_load_n((const uint64_t *)(const void *)(w + p->at % PAGE_SIZE),
					  __ATOMIC_RELAXED) ^
			  p->value) &
			 p->mask);
		*entry = 0;
		invlpg(w);
	}
	return same;
}

/* Through the CPU's 2 MiB window; nothing called in between can need it again. */
void phys_zero(hpa_t hpa, uint64_t len)
{
	unsigned index = this_cpu()->index;
	char *window = (char *)WINDOW_LARGE(index);

	assert((hpa | len) % PAGE_SIZE == 0);
	while (len != 0) {
		uint64_t offset = hpa % LARGE_SIZE;
		uint64_t n = MIN(len, LARGE_SIZE - offset);

		*slots[index].large = pt_leaf(PT_HV, hpa - offset, LARGE_SHIFT, PT_R | PT_W);
		zero_uncached(window + offset, n);
		*slots[index].large = 0;
		invlpg(window);
		hpa += n;
		len -= n;
	}
}

void phys_read(void *to, hpa_t from, size_t len)
{
	uint64_t offset = from % PAGE_SIZE;
	char *w;

	assert(len <= PAGE_SIZE - offset);
	w = window_open(from - offset);
	memcpy(to, w + offset, len);
	window_close(w);
}

void phys_write(hpa_t to, const void *from, size_t len)
{
	uint64_t offset = to % PAGE_SIZE;
	char *w;

	assert(len <= PAGE_SIZE - offset);
	w = window_open(to - offset);
	memcpy(w + offset, from, len);
	window_close(w);
}
