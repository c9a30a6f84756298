/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads the two ends of a disk for signature_find() (signature.h). */
#include <stdlib.h>
#include "ctrl-kernel/blk/part/signature.h"

static void next_read(struct signature_scan *s)
{
	const struct signature_view *v = &s->view;
	bool tail = s->done >= v->head_len;
	size_t end = tail ? s->wanted : v->head_len, n = end - s->done;

	s->step = (struct step){.op = STEP_END};
	if (s->failed || s->done == s->wanted)
		return;
	s->step.op = STEP_READ;
	s->step.offset = tail ? v->bytes - (s->wanted - s->done) : s->done;
	s->step.bytes = n > STEP_BYTES_MAX ? STEP_BYTES_MAX : (uint32_t)n;
	s->step.buf = s->buf + s->done;
}

int signature_scan_begin(struct signature_scan *s, uint64_t bytes, uint32_t sector)
{
	struct signature_view *v = &s->view;

	*s = (struct signature_scan){.view = {.bytes = bytes}};
	if ((sector != 512 && sector != 4096) || bytes < sector || bytes % sector)
		return -HVE_INVAL;
	v->head_len = bytes < SIGNATURE_HEAD ? (size_t)bytes : SIGNATURE_HEAD;
	v->tail_len = bytes < SIGNATURE_TAIL ? (size_t)bytes : SIGNATURE_TAIL;
	s->wanted = v->head_len + v->tail_len;
	s->buf = malloc(s->wanted);
	if (!s->buf)
		return -HVE_NOMEM;
	v->head = s->buf;
	v->tail = s->buf + v->head_len;
	next_read(s);
	return 0;
}

const struct step *signature_scan_next(const struct signature_scan *s)
{
	return &s->step;
}

void signature_scan_done(struct signature_scan *s, bool ok)
{
	s->failed |= !ok;
	s->done += s->step.bytes;
	next_read(s);
}

const char *signature_scan_result(const struct signature_scan *s)
{
	return s->failed ? "something that cannot be read" : signature_find(&s->view);
}

void signature_scan_end(struct signature_scan *s)
{
	free(s->buf);
	*s = (struct signature_scan){.step = {.op = STEP_END}};
}
