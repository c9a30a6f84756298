/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams (stream.h). */
#include "ctrl-kernel/ops/stream.h"

#include <stdlib.h>
#include <string.h>
#include "mbedtls/sha256.h"
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/rt/hvcall.h"

#define PIECE_BYTES ((uint64_t)HV_GROW_MAX * HV_PAGE_SIZE)

struct stream {
	uint32_t mem; /* [owns] */
	uint64_t bytes;
	mbedtls_sha256_context sha;
	bool unhashed;
	uint64_t expected;     /* bytes, or STREAM_SIZE_UNKNOWN */
	uint64_t max;          /* bytes */
	uint64_t pages;        /* the object has */
	uint8_t *window;       /* the last piece, NULL: none mapped */
	uint64_t window_start; /* its first byte in the stream */
	uint64_t window_pages;
};

static int too_many(uint64_t max, struct ops_error *e)
{
	return ops_fail(e, OPS_TOO_LARGE, NULL, "more than %llu bytes are not taken here",
			(unsigned long long)max);
}

static int fits(uint64_t bytes, uint64_t max, struct ops_error *e)
{
	uint64_t spare = host_memory_spare();

	if (bytes == STREAM_SIZE_UNKNOWN)
		return 0;
	if (bytes > max)
		return too_many(max, e);
	if (bytes <= spare)
		return 0;
	return ops_fail(e, OPS_TOO_LARGE, NULL,
			"these are %llu bytes, the host has %llu bytes to spare",
			(unsigned long long)bytes, (unsigned long long)spare);
}

int stream_begin(uint64_t bytes, uint64_t max, struct stream **out, struct ops_error *e)
{
	struct stream *s;
	uint64_t mem;
	int r;

	if (fits(bytes, max, e))
		return -1;
	s = calloc(1, sizeof(*s));
	if (!s)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "out of memory");
	r = hv_mem_create(0, &mem);
	if (r) {
		free(s);
		return ops_fail_hv(e, r, "making a memory object");
	}
	s->mem = (uint32_t)mem;
	s->expected = bytes;
	s->max = max;
	mbedtls_sha256_init(&s->sha);
	mbedtls_sha256_starts(&s->sha, 0);
	*out = s;
	return 0;
}

static void window_close(struct stream *s)
{
	if (s->window)
		rt_mem_unmap(s->window, s->window_pages);
	s->window = NULL;
}

static int memory_ended(uint64_t bytes, struct ops_error *e)
{
	return ops_fail(e, OPS_TOO_LARGE, NULL, "the host's spare memory ended after %llu bytes",
			(unsigned long long)bytes);
}

/* Grows the object by one piece and maps that. */
static int window_next(struct stream *s, struct ops_error *e)
{
	uint64_t start = s->bytes, want = PIECE_BYTES, now = 0;
	int r;

	window_close(s);
	if (s->expected != STREAM_SIZE_UNKNOWN && s->expected > start && s->expected - start < want)
		want = s->expected - start;
	want = s->pages + (want + HV_PAGE_SIZE - 1) / HV_PAGE_SIZE;
	if ((want - s->pages) * HV_PAGE_SIZE > host_memory_spare())
		return memory_ended(start, e);
	r = hv_mem_grow(s->mem, want, &now);
	if (r && r != -HVE_NOMEM)
		return ops_fail_hv(e, r, "growing the memory object");
	if (r || now <= s->pages)
		return memory_ended(start, e);
	s->window_pages = now - s->pages;
	s->window = rt_mem_map(s->mem, s->pages, s->window_pages, HVP_READ | HVP_WRITE);
	if (!s->window)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "the memory cannot be mapped for writing");
	s->window_start = start;
	s->pages = now;
	return 0;
}

void stream_unhashed(struct stream *s)
{
	s->unhashed = true;
}

int stream_write(struct stream *s, const void *data, size_t len, struct ops_error *e)
{
	const uint8_t *from = data;

	if (len > s->max - s->bytes)
		return too_many(s->max, e);
	if (!s->unhashed)
		mbedtls_sha256_update(&s->sha, data, len);
	while (len > 0) {
		uint64_t room = s->pages * HV_PAGE_SIZE - s->bytes;
		size_t take = len < room ? len : (size_t)room;

		if (room == 0) {
			if (window_next(s, e))
				return -1;
			continue;
		}
		memcpy(s->window + (s->bytes - s->window_start), from, take);
		s->bytes += take;
		from += take;
		len -= take;
	}
	return 0;
}

static void stream_free(struct stream *s)
{
	window_close(s);
	mbedtls_sha256_free(&s->sha);
	free(s);
}

void stream_end(struct stream *s, struct stream_bytes *out)
{
	out->mem = s->mem;
	out->bytes = s->bytes;
	out->hashed = !s->unhashed;
	mbedtls_sha256_finish(&s->sha, out->sha256);
	stream_free(s);
}

void stream_abort(struct stream *s)
{
	hv_handle_close(s->mem);
	stream_free(s);
}
