/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading the console ring and feeding the guest's UART (console.h).
 */
#include "ctrl-kernel/ops/console.h"

#include <stdlib.h>
#include <string.h>
#include "hv/abi/hv_vm.h"
#include "ctrl-kernel/rt/hvcall.h"

#define RETRY_NS 5000000ull /* the guest empties its UART in about that time */
#define INPUT_CALL_MAX 256u /* HVC_VM_CONSOLE_IN */

static int console_alloc(struct console *c)
{
	uint64_t mem;
	int r = hv_mem_create(HVM_HV, &mem);

	if (r)
		return r;
	r = hv_mem_grow_to((uint32_t)mem, HV_CONSOLE_PAGES);
	if (r == 0) {
		c->ring = rt_mem_map((uint32_t)mem, 0, HV_CONSOLE_PAGES, HVP_READ);
		r = c->ring ? 0 : -HVE_NOMEM;
	}
	if (r)
		hv_handle_close((uint32_t)mem);
	else
		c->mem = (uint32_t)mem;
	return r;
}

int console_open(struct console *c, struct ops_error *e)
{
	int r;

	if (c->mem)
		return 0;
	r = console_alloc(c);
	return r ? ops_fail_hv(e, r, "making the console ring") : 0;
}

void console_reopen(struct console *c)
{
	c->ring = rt_mem_map(c->mem, 0, HV_CONSOLE_PAGES, HVP_READ);
	if (!c->ring)
		rt_die("a console ring cannot be mapped");
}

static void console_feed(void *ctx)
{
	struct console *c = ctx;
	uint64_t taken = 1;

	while (c->vm && c->input_len && taken) {
		unsigned n = c->input_len < INPUT_CALL_MAX ? c->input_len : INPUT_CALL_MAX;

		if (hv_vm_console_in(c->vm, c->input, n, &taken) || taken > n)
			taken = 0;
		c->input_len -= (unsigned)taken;
		memmove(c->input, c->input + taken, c->input_len);
	}
	if (c->vm && c->input_len)
		loop_timer_set(&c->retry, RETRY_NS);
}

void console_connect(struct console *c, uint32_t vm)
{
	if (c->vm)
		loop_timer_cancel(&c->retry);
	c->vm = vm;
	c->input_len = 0;
	if (vm)
		loop_timer_init(&c->retry, console_feed, c);
}

void console_close(struct console *c)
{
	console_connect(c, 0);
	mirror_detach(c);
	if (c->mem) {
		rt_mem_unmap((void *)(uintptr_t)c->ring, HV_CONSOLE_PAGES);
		hv_handle_close(c->mem);
	}
	free(c->input);
	memset(c, 0, sizeof(*c));
}

static void ring_copy(const struct console_ring *r, uint64_t from, uint8_t *to, size_t len)
{
	size_t at = (size_t)(from % r->size);
	size_t first = len < r->size - at ? len : r->size - at;

	memcpy(to, r->bytes + at, first);
	memcpy(to + first, r->bytes, len - first);
}

size_t console_ring_read(const struct console_ring *r, uint64_t since, void *buf, size_t size,
			 uint64_t *next, uint64_t *lost)
{
	/* Pairs with the writer's store-release after the bytes. */
	uint64_t head = __atomic_load_n(r->head, __ATOMIC_ACQUIRE), from = since, oldest;
	size_t len;

	*lost = 0;
	*next = head;
	if (from >= head)
		return 0;
	oldest = head > r->kept ? head - r->kept : 0;
	if (from < oldest)
		from = oldest;
	len = head - from < size ? (size_t)(head - from) : size;
	ring_copy(r, from, buf, len);
	/* It was written on while we copied: what may have been overtaken is not what it was. */
	head = __atomic_load_n(r->head, __ATOMIC_ACQUIRE);
	oldest = head > r->kept ? head - r->kept : 0;
	if (oldest > from) {
		size_t gone = oldest - from < len ? (size_t)(oldest - from) : len;

		memmove(buf, (uint8_t *)buf + gone, len - gone);
		from += gone;
		len -= gone;
	}
	*next = from + len;
	*lost = from - since;
	return len;
}

size_t console_read(const struct console *c, uint64_t since, void *buf, size_t size, uint64_t *next,
		    uint64_t *lost)
{
	struct console_ring ring;

	*lost = 0;
	*next = 0;
	if (!c->mem)
		return 0;
	ring = (struct console_ring){&((const struct hv_console *)c->ring)->head,
				     c->ring + HV_PAGE_SIZE, HV_CONSOLE_RING, HV_CONSOLE_RING};
	return console_ring_read(&ring, since, buf, size, next, lost);
}

int console_input(struct console *c, const void *data, size_t len, struct ops_error *e)
{
	if (len > CONSOLE_INPUT_MAX)
		return ops_fail(e, OPS_TOO_LARGE, NULL, "at most %u bytes can wait for the guest",
				CONSOLE_INPUT_MAX);
	if (len > CONSOLE_INPUT_MAX - c->input_len)
		return ops_fail(e, OPS_BUSY, NULL,
				"the guest has not read %u bytes sent before; send at most %u now",
				c->input_len, CONSOLE_INPUT_MAX - c->input_len);
	if (!c->input)
		c->input = malloc(CONSOLE_INPUT_MAX);
	if (!c->input)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	memcpy(c->input + c->input_len, data, len);
	c->input_len += (unsigned)len;
	console_feed(c);
	return 0;
}
