/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A text that is replaced as a whole, on a volume of its own: two slots in turn, the half of the volume each. A slot is a
 * header in its first 4 KiB and the text behind it.
 *
 *	write    text into the slot that is not in force | flush | its header, with the next sequence number | flush
 *	read     both headers; the higher sequence number whose header and text have their checksum
 *
 * Whatever of a write has reached the medium when the power goes, reading gives the text before or the text after; before
 * the last flush has ended nobody was told that it is there. It hands out steps (step.h) for disk 0. Pure; one thread.
 */
#ifndef BLK_SLOTS_H
#define BLK_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl-kernel/blk/step.h"

#define SLOTS_HEADER 4096u
#define SLOTS_VOLUME_MIN (64u << 10)
#define SLOTS_TEXT_MAX (4u << 20) /* bytes, also when there is more room */

enum slots_state {
	SLOTS_BUSY,  /* steps are to be carried out */
	SLOTS_DONE,  /* read: text or none; written: in force */
	SLOTS_FAILED /* a disk error, no memory, or what is there makes no sense (why) */
};

struct slots {
	uint64_t slot_bytes;
	uint32_t sector_bytes;
	enum slots_state state;
	const char *why;   /* a constant */
	uint64_t sequence; /* of the text in force; 0: none yet */
	unsigned current;  /* the slot that it is in */
	char *text;        /* [owns] read: the text, NUL behind it; NULL: none yet */
	size_t text_bytes;
	/* ---- its own ---- */
	unsigned phase;
	unsigned slot; /* that is being read */
	bool flushed;
	uint64_t at, todo; /* bytes of the slot's text */
	uint64_t seen[2];  /* sequence numbers; 0: none that is good */
	uint32_t crc[2];
	uint64_t bytes[2];
	bool bad_text; /* a good header whose text was not: what was read is older than what was written last */
	uint8_t *buf; /* [owns] */
};

/* A volume of that size and sector size: false: it is too small. Then slots_read_begin(). */
bool slots_init(struct slots *s, uint64_t volume_bytes, uint32_t sector_bytes);
void slots_read_begin(struct slots *s);
/* On a new volume, whose sectors may have been another's: makes both slots empty. Then as after a read. */
void slots_wipe_begin(struct slots *s);
/* Copies the text, which is not empty. Only after a read or wipe that was DONE, or a write. After a write that FAILED the text
 * before or this one is in force. */
void slots_write_begin(struct slots *s, const char *text, size_t bytes);
/* The same until slots_told(); STEP_END: over, s->state says how. */
void slots_next(struct slots *s, struct step *out);
void slots_told(struct slots *s, bool ok);
/* The text, which is the caller's from here on (free()); NULL: none. */
char *slots_text_take(struct slots *s, size_t *bytes);
void slots_free(struct slots *s);

#endif
