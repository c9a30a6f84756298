/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's serial console: the ring that hv writes, and input waiting for room in the guest's UART. The ring is made
 * at the first start and lives as long as the VM's description.
 */
#ifndef OPS_CONSOLE_H
#define OPS_CONSOLE_H

#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/ops/ops.h"

#define CONSOLE_INPUT_MAX 16384u /* bytes waiting for the guest */
#define CONSOLE_LINE_MAX 200u

struct console_mirror { /* repeats the console on the machine's serial port, line by line */
	uint64_t at;    /* read up to here */
	unsigned len;
	char line[CONSOLE_LINE_MAX];
	struct loop_timer flush; /* a partial line does not wait for ever */
	const char *name;        /* [borrows] */
};

struct console {
	uint32_t mem;        /* [owns] handle; 0: never started */
	const uint8_t *ring; /* [owns] mapping of struct hv_console and the bytes */
	uint8_t *input;      /* [owns] CONSOLE_INPUT_MAX bytes; NULL: nothing ever waited */
	unsigned input_len;
	uint32_t vm; /* handle of the running VM, 0: none */
	struct loop_timer retry;
	struct console_mirror *mirror; /* [owns] NULL: not mirrored */
};

int console_open(struct console *c, struct ops_error *e) MUST_CHECK; /* does nothing if open */
void console_reopen(
	struct console *c); /* of an instance before: mem is there, its ring is mapped */
void console_close(struct console *c);
/* The VM that input goes to; 0 when it ends: what still waits is dropped. */
void console_connect(struct console *c, uint32_t vm);
/*
 * Copies what was written from position `since` on, at most size bytes. *next: where to go on; *lost: bytes after
 * `since` that the ring no longer has. A `since` beyond the end gives nothing and *next = the end.
 */
size_t console_read(const struct console *c, uint64_t since, void *buf, size_t size, uint64_t *next,
		    uint64_t *lost);
/* The same of any ring: `head` counts all bytes ever, the last `kept` are in it for certain. */
struct console_ring {
	const uint64_t *head; /* [borrows] of who writes: atomic */
	const uint8_t *bytes; /* [borrows] */
	uint32_t size, kept;
};
size_t console_ring_read(const struct console_ring *r, uint64_t since, void *buf, size_t size,
			 uint64_t *next, uint64_t *lost);
/* All or nothing. */
int console_input(struct console *c, const void *data, size_t len, struct ops_error *e) MUST_CHECK;

/* ---- mirror.c ---- */
/* console.guests=NAME or all; "": none. Before the first VM starts. */
void mirror_select(const char *which);
void mirror_attach(struct console *c, const char *name);
void mirror_skip(struct console *c); /* what is in the ring has been shown, by an instance before */
void mirror_detach(struct console *c);
void mirror_update(struct console *c); /* new output, perhaps */

#endif
