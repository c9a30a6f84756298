/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another program for the control kernel, while it runs. Everything is checked before anything is stopped; then hv gets
 * the program, this instance ends, and the next is on trial (docs/restart.md).
 */
#ifndef OPS_UPGRADE_H
#define OPS_UPGRADE_H

#include "ctrl-kernel/ops/stream.h"
#include "ctrl-kernel/ops/upgrade_file.h"

extern const uint8_t upgrade_key[UPGRADE_KEY_BYTES]; /* upgrade_key.S: whose signature counts */

/* bytes: of the file, STREAM_SIZE_UNKNOWN when not known. */
int upgrade_begin(uint64_t bytes, struct stream **out, struct ops_error *e) MUST_CHECK;
/* Frees the stream either way. 0: the program is with hv, and this one ends as control_restart() does. */
int upgrade_commit(struct stream *s, struct upgrade_trailer *what, struct ops_error *e) MUST_CHECK;
/* What became of the last one, in words; NULL: there was none. */
const char *upgrade_outcome(void);

#endif
