/* SPDX-License-Identifier: BSD-2-Clause */
/* See slots.h. */
#include "ctrl-kernel/blk/slots.h"

#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/blk/crc32.h"
#include "ctrl-kernel/blk/le.h"

#define MAGIC "SOCLETXT"
#define VERSION 1u
#define PIECE STEP_BYTES_MAX

/* The header, little-endian; the rest of its 4 KiB is zero. */
enum field {
	AT_MAGIC = 0,
	AT_VERSION = 8,
	AT_TEXT_CRC = 12,
	AT_SEQUENCE = 16,
	AT_BYTES = 24,
	AT_CRC = 32, /* of all before it */
	HEADER_BYTES = 36
};

enum phase {
	IDLE,
	READ_HEADER,
	READ_TEXT,
	WRITE_TEXT,
	FLUSH_TEXT,
	WRITE_HEADER,
	FLUSH_HEADER,
	WIPE,
	FLUSH_WIPE
};

static uint32_t crc_of(const void *data, size_t len)
{
	return ~crc32_go(~0u, data, len);
}

static void over(struct slots *s, enum slots_state state, const char *why)
{
	s->phase = IDLE;
	s->state = state;
	s->why = why;
	free(s->buf);
	s->buf = NULL;
}

static void drop_text(struct slots *s)
{
	free(s->text);
	s->text = NULL;
	s->text_bytes = 0;
}

bool slots_init(struct slots *s, uint64_t volume_bytes, uint32_t sector_bytes)
{
	*s = (struct slots){.slot_bytes = volume_bytes / 2 / SLOTS_HEADER * SLOTS_HEADER,
			    .sector_bytes = sector_bytes};
	return volume_bytes >= SLOTS_VOLUME_MIN;
}

static uint64_t text_room(const struct slots *s)
{
	uint64_t room = s->slot_bytes - SLOTS_HEADER;

	return room < SLOTS_TEXT_MAX ? room : SLOTS_TEXT_MAX;
}

/* ---- reading ---- */

void slots_read_begin(struct slots *s)
{
	drop_text(s);
	s->sequence = 0;
	s->bad_text = false;
	s->slot = 0;
	s->phase = READ_HEADER;
	s->state = SLOTS_BUSY;
	s->buf = malloc(PIECE);
	if (!s->buf)
		over(s, SLOTS_FAILED, "out of memory");
}

static void header_read(struct slots *s)
{
	const uint8_t *h = s->buf;
	unsigned i = s->slot;

	s->seen[i] = 0;
	if (memcmp(h + AT_MAGIC, MAGIC, 8) != 0 || le32_at(h + AT_CRC) != crc_of(h, AT_CRC) ||
	    le32_at(h + AT_VERSION) != VERSION || le64_at(h + AT_BYTES) == 0 ||
	    le64_at(h + AT_BYTES) > text_room(s))
		return;
	s->seen[i] = le64_at(h + AT_SEQUENCE);
	s->crc[i] = le32_at(h + AT_TEXT_CRC);
	s->bytes[i] = le64_at(h + AT_BYTES);
}

/* The better of the slots that are left. */
static void text_begin(struct slots *s)
{
	unsigned best = s->seen[1] > s->seen[0];

	if (s->seen[best] == 0) {
		if (s->bad_text)
			over(s, SLOTS_FAILED, "what is there is damaged");
		else
			over(s, SLOTS_DONE, NULL); /* nothing was ever written */
		return;
	}
	s->text = malloc(s->bytes[best] + 1);
	if (!s->text) {
		over(s, SLOTS_FAILED, "out of memory");
		return;
	}
	s->slot = best;
	s->at = 0;
	s->todo = s->bytes[best];
	s->phase = READ_TEXT;
}

static void text_end(struct slots *s)
{
	unsigned i = s->slot;

	if (crc_of(s->text, s->bytes[i]) != s->crc[i]) {
		drop_text(s);
		s->seen[i] = 0;
		s->bad_text = true;
		text_begin(s);
		return;
	}
	s->text[s->bytes[i]] = '\0';
	s->text_bytes = s->bytes[i];
	s->sequence = s->seen[i];
	s->current = i;
	over(s, SLOTS_DONE, NULL);
}

static uint32_t piece(const struct slots *s)
{
	return s->todo < PIECE ? (uint32_t)s->todo : PIECE;
}

static void piece_done(struct slots *s)
{
	uint32_t n = piece(s);

	s->at += n;
	s->todo -= n;
}

/* ---- writing ---- */

void slots_wipe_begin(struct slots *s)
{
	drop_text(s);
	s->sequence = 0;
	s->slot = 0;
	s->phase = WIPE;
	s->state = SLOTS_BUSY;
	s->buf = calloc(1, SLOTS_HEADER);
	if (!s->buf)
		over(s, SLOTS_FAILED, "out of memory");
}

void slots_write_begin(struct slots *s, const char *text, size_t bytes)
{
	drop_text(s);
	s->state = SLOTS_BUSY;
	if (bytes == 0 || bytes > text_room(s)) {
		over(s, SLOTS_FAILED, bytes ? "it is larger than its place" : "it is empty");
		return;
	}
	s->buf = malloc(PIECE);
	s->text = malloc(bytes + 1);
	if (!s->buf || !s->text) {
		over(s, SLOTS_FAILED, "out of memory");
		return;
	}
	memcpy(s->text, text, bytes);
	s->text_bytes = bytes;
	s->slot = s->sequence ? 1 - s->current : 0;
	s->at = 0;
	s->todo = bytes;
	s->phase = WRITE_TEXT;
}

static void header_make(struct slots *s)
{
	uint8_t *h = s->buf;

	memset(h, 0, SLOTS_HEADER);
	memcpy(h + AT_MAGIC, MAGIC, 8);
	le32_put(h + AT_VERSION, VERSION);
	le32_put(h + AT_TEXT_CRC, crc_of(s->text, s->text_bytes));
	le64_put(h + AT_SEQUENCE, s->sequence + 1);
	le64_put(h + AT_BYTES, s->text_bytes);
	le32_put(h + AT_CRC, crc_of(h, AT_CRC));
}

static void in_force(struct slots *s)
{
	s->sequence++;
	s->current = s->slot;
	drop_text(s);
	over(s, SLOTS_DONE, NULL);
}

/* ---- steps ---- */

static void text_step(struct slots *s, enum step_op op, struct step *out)
{
	uint32_t n = piece(s),
		 whole = (n + s->sector_bytes - 1) / s->sector_bytes * s->sector_bytes;

	if (op == STEP_WRITE) {
		memcpy(s->buf, s->text + s->at, n);
		memset(s->buf + n, 0, whole - n);
	}
	*out = (struct step){.op = op,
			     .offset = s->slot * s->slot_bytes + SLOTS_HEADER + s->at,
			     .bytes = whole,
			     .buf = s->buf};
}

void slots_next(struct slots *s, struct step *out)
{
	*out = (struct step){.op = STEP_END};
	switch ((enum phase)s->phase) {
	case IDLE:
		return;
	case READ_HEADER:
		*out = (struct step){.op = STEP_READ,
				     .offset = s->slot * s->slot_bytes,
				     .bytes = SLOTS_HEADER,
				     .buf = s->buf};
		return;
	case READ_TEXT:
		text_step(s, STEP_READ, out);
		return;
	case WRITE_TEXT:
		text_step(s, STEP_WRITE, out);
		return;
	case WRITE_HEADER:
		header_make(s);
		/* fall through */
	case WIPE:
		*out = (struct step){.op = STEP_WRITE,
				     .offset = s->slot * s->slot_bytes,
				     .bytes = SLOTS_HEADER,
				     .buf = s->buf};
		return;
	case FLUSH_TEXT:
	case FLUSH_HEADER:
	case FLUSH_WIPE:
		*out = (struct step){.op = STEP_FLUSH};
		return;
	}
}

static void advance(struct slots *s)
{
	switch ((enum phase)s->phase) {
	case IDLE:
		return;
	case READ_HEADER:
		header_read(s);
		if (++s->slot == 2)
			text_begin(s);
		return;
	case READ_TEXT:
		memcpy(s->text + s->at, s->buf, piece(s));
		piece_done(s);
		if (s->todo == 0)
			text_end(s);
		return;
	case WRITE_TEXT:
		piece_done(s);
		if (s->todo == 0)
			s->phase = FLUSH_TEXT;
		return;
	case FLUSH_TEXT:
		s->phase = WRITE_HEADER;
		return;
	case WRITE_HEADER:
		s->phase = FLUSH_HEADER;
		return;
	case FLUSH_HEADER:
		in_force(s);
		return;
	case WIPE:
		if (++s->slot == 2)
			s->phase = FLUSH_WIPE;
		return;
	case FLUSH_WIPE:
		over(s, SLOTS_DONE, NULL);
		return;
	}
}

void slots_told(struct slots *s, bool ok)
{
	if (ok)
		advance(s);
	else
		over(s, SLOTS_FAILED, "the disk did not take it, or give it");
}

char *slots_text_take(struct slots *s, size_t *bytes)
{
	char *text = s->text;

	*bytes = s->text_bytes;
	s->text = NULL;
	s->text_bytes = 0;
	return text;
}

void slots_free(struct slots *s)
{
	drop_text(s);
	free(s->buf);
	s->buf = NULL;
}
