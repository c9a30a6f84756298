/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stream of bytes from outside into a memory object that grows piece by piece. The piece being filled is mapped into a
 * window; nothing is held in the heap. Begin, write any number of times, then end or abort; both free it.
 */
#ifndef OPS_STREAM_H
#define OPS_STREAM_H

#include "ctrl-kernel/ops/ops.h"

#define STREAM_SIZE_UNKNOWN UINT64_MAX

struct stream;
struct stream_bytes { /* what has come */
	uint32_t mem; /* [owns] handle, with all rights */
	uint64_t bytes;
	bool hashed; /* false: sha256 is not there */
	uint8_t sha256[32];
};

/* bytes: what is to come, STREAM_SIZE_UNKNOWN when not known; max: what may come. Also bounded by the host's memory. */
int stream_begin(uint64_t bytes, uint64_t max, struct stream **out, struct ops_error *e) MUST_CHECK;
void stream_unhashed(
	struct stream *s); /* no checksum, for somebody who is waiting; before the first byte */
int stream_write(struct stream *s, const void *data, size_t len, struct ops_error *e) MUST_CHECK;
void stream_end(struct stream *s, struct stream_bytes *out); /* they are the caller's now */
void stream_abort(struct stream *s);

#endif
