/* SPDX-License-Identifier: BSD-2-Clause */
/* See hvc.h. */
#include "ctrl-kernel/ops/hvc.h"

#include <string.h>
#include "ctrl-kernel/ops/console.h"
#include "ctrl-kernel/rt/hvcall.h"

static int make(uint32_t *out)
{
	uint64_t mem;
	int r = hv_mem_create(0, &mem);

	if (r)
		return r;
	r = hv_mem_grow_to((uint32_t)mem, CONSOLE_AREA_PAGES);
	if (r)
		hv_handle_close((uint32_t)mem);
	else
		*out = (uint32_t)mem;
	return r;
}

static bool map(struct hvc *h)
{
	h->area = rt_mem_map(h->mem, 0, CONSOLE_AREA_PAGES, HVP_READ | HVP_WRITE);
	return h->area != NULL;
}

int hvc_open(struct hvc *h, struct ops_error *e)
{
	int r;

	if (h->mem)
		return 0;
	r = make(&h->mem);
	if (r == 0 && !map(h)) {
		hv_handle_close(h->mem);
		h->mem = 0;
		r = -HVE_NOMEM;
	}
	return r ? ops_fail_hv(e, r, "making the virtio console") : 0;
}

void hvc_reopen(struct hvc *h)
{
	if (!map(h))
		rt_die("a virtio console cannot be mapped");
}

void hvc_close(struct hvc *h)
{
	if (!h->mem)
		return;
	rt_mem_unmap(h->area, CONSOLE_AREA_PAGES);
	hv_handle_close(h->mem);
	memset(h, 0, sizeof(*h));
}

void hvc_begin(struct hvc *h)
{
	h->area->in_tail = h->area->in_head;
	h->area->in_mark = h->area->out_mark = CONSOLE_MARK_NONE;
}

size_t hvc_read(const struct hvc *h, uint64_t since, void *buf, size_t size, uint64_t *next,
		uint64_t *lost)
{
	struct console_ring ring;

	*next = *lost = 0;
	if (!h->mem)
		return 0;
	ring = (struct console_ring){&h->area->out_head, h->area->out, CONSOLE_OUT,
				     CONSOLE_OUT_KEPT};
	return console_ring_read(&ring, since, buf, size, next, lost);
}

/* Bytes that wait up to `head`; what a vmm that lies says is no more than the ring has. */
static uint32_t waiting(const struct console_area *a, uint64_t head)
{
	uint64_t n = head - __atomic_load_n(&a->in_tail, __ATOMIC_ACQUIRE);

	return n < CONSOLE_IN ? (uint32_t)n : CONSOLE_IN;
}

int hvc_input(struct hvc *h, const void *data, size_t len, struct ops_error *e)
{
	struct console_area *a = h->area;
	uint64_t head = __atomic_load_n(&a->in_head, __ATOMIC_RELAXED); /* a vmm can write it */
	uint32_t there = waiting(a, head), at = (uint32_t)(head % CONSOLE_IN);
	size_t first = len < CONSOLE_IN - at ? len : CONSOLE_IN - at;

	if (len > CONSOLE_IN)
		return ops_fail(e, OPS_TOO_LARGE, NULL, "at most %u bytes can wait for the guest",
				CONSOLE_IN);
	if (len > CONSOLE_IN - there)
		return ops_fail(e, OPS_BUSY, NULL,
				"the guest has not read %u bytes sent before; send at most %u now",
				there, CONSOLE_IN - there);
	memcpy(&a->in[at], data, first);
	memcpy(a->in, (const uint8_t *)data + first, len - first);
	__atomic_store_n(&a->in_head, head + len, __ATOMIC_RELEASE);
	return 0;
}
