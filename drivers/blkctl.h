/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the drivers of drives share. A struct blkctl is what is reset as one: an NVMe controller, an AHCI port, a
 * virtio-blk device. A struct blkunit is a drive on it.
 *
 *	blk_submit ──► checked ──► waits ──► cut into commands ──► ops->issue ──► hardware
 *	r->done  ◄──── from the loop ◄──── the last command has ended ◄──── blkctl_end
 *
 * A request is cut into commands as large as the hardware takes. The memory of a command is the request's own where the
 * hardware can reach it as it lies (struct blkctl_limits), else one of a few bounce buffers.
 *
 * When something is wrong (an error that stops the hardware, a deadline of 30 s, a controller that says it is dead) the
 * driver resets it, and nothing that was in flight may touch memory after that. Commands whose deadline has passed end with
 * IO_ERROR, and so does the one that is known to be at fault. The others are sent again, one at a time, before anything
 * that waits; one that has the controller reset again while it is alone is at fault. So every reset but the first ends a
 * request, and all end. Writing again what may have been written is right: until done() is called nobody can
 * know which of both is on the medium, nothing later was sent between, and after the reset no old command is left that
 * could come after a later one. What a drive has acknowledged is in its cache or on its medium, which resets leave alone.
 *
 * All runs in the control kernel's loop.
 */
#ifndef DRIVERS_BLKCTL_H
#define DRIVERS_BLKCTL_H

#include "drivers/blkdev.h"
#include "ctrl-kernel/loop/loop.h"

struct pci_dev;
struct blkctl;

#define BLK_PIECES_MAX 129u /* of a command's memory */
#define BLKCTL_NAME 20u

struct blkmem {
	uint64_t hpa;
	uint32_t bytes;
};

struct blkctl_limits {
	uint32_t bytes_max;     /* of data in one command; whole sectors */
	unsigned segs_max;      /* pieces of its memory, at most BLK_PIECES_MAX */
	uint32_t seg_bytes_max; /* of a piece; whole pages */
	uint32_t align;         /* pieces begin and end at multiples of it; a power of two */
	uint32_t boundary; /* not 0: so do all ends between two pieces, of this (PRPs: a page) */
	unsigned alone;    /* bits 1 << BLK_xxx: sent only while nothing else is in flight */
	bool fua;          /* can be asked for with writes; else a flush follows them */
};

enum blkcmd_state { BLKCMD_FREE, BLKCMD_SENT, BLKCMD_AGAIN /* to be sent again, alone */ };

struct blkcmd {
	enum blkcmd_state state;
	bool suspect; /* was in flight at a reset */
	bool failed;  /* ends with IO_ERROR when the reset is over */
	bool fua;
	enum blk_op
		op; /* what is to be done: FLUSH may belong to a write, WRITE to a WRITE_ZEROES */
	unsigned slot;
	struct blkunit *unit;     /* [borrows] */
	struct blk_request *r;    /* [borrows] */
	uint64_t offset, bytes;   /* on the drive */
	unsigned seg, seg_off;    /* where its memory begins in r->seg */
	struct blkbounce *bounce; /* [owns] or NULL */
	uint64_t deadline_ns;
};

struct blkunit {
	struct blkdev dev;                    /* dev.priv = the unit */
	struct blkctl *ctl;                   /* [borrows] */
	uint64_t discard_bytes, zeroes_bytes; /* of one command; 0: the drive cannot */
	struct blkunit *next;                 /* of the controller */
};

struct blkctl_ops {
	/* False: no room until some command ends; not when none is in flight. c->slot is its number. */
	bool (*issue)(struct blkctl *ctl, struct blkcmd *c);
	void (*kick)(struct blkctl *ctl);    /* after one or more of issue() */
	void (*collect)(struct blkctl *ctl); /* blkctl_end() for all that the hardware has done */
	void (*check)(struct blkctl *ctl);   /* each second: still alive? */
	void (*reset)(struct blkctl *ctl);   /* begins; ends with blkctl_up() or blkctl_gone() */
};

enum blkctl_state { BLKCTL_DOWN, BLKCTL_UP, BLKCTL_GONE };

struct blkctl {
	const struct blkctl_ops *ops;
	const struct pci_dev *pci; /* [borrows] */
	char name[BLKCTL_NAME];    /* "nvme@00:04.0" */
	struct blkctl_limits limits;
	enum blkctl_state state;
	struct blkunit *units; /* [borrows] */
	struct blkcmd *cmds;   /* [owns] by slot */
	unsigned n_cmds, n_sent, n_again, n_suspects;
	bool lone;                   /* the command in flight is to be alone */
	bool starved;                /* waits for a bounce buffer */
	struct blk_request *waiting; /* [borrows] oldest first */
	struct blk_request **waiting_end;
	struct blk_request *finished; /* [borrows] done() is to be called */
	struct blk_request **finished_end;
	struct loop_job job;
	struct loop_timer tick;
	unsigned fruitless;  /* resets since the hardware has last carried out a command */
	uint64_t said_ns;    /* when the log was last told of a failure */
	struct blkctl *next; /* of all */
};

/* At start: "driver@bb:dd.f", no commands, DOWN. */
void blkctl_init(struct blkctl *ctl, const struct blkctl_ops *ops, const char *driver,
		 const struct pci_dev *d);
/* When the limits are known: room for n commands. 0 or -1: no memory. */
int blkctl_slots(struct blkctl *ctl, unsigned n);
/* A drive, all of dev filled in but name, ops and priv; it is told to who waits for drives. suffix: "" or "/1". */
void blkctl_add(struct blkctl *ctl, struct blkunit *u, const char *suffix);

/* The hardware works, or works again: nothing is in flight in it. */
void blkctl_up(struct blkctl *ctl);
/* The hardware has to be reset. culprit: the command at fault, or NULL: not known. */
void blkctl_fail(struct blkctl *ctl, struct blkcmd *culprit, const char *why);
/* It is no more there or cannot be reset, and touches no memory any more: all ends with GONE. */
void blkctl_gone(struct blkctl *ctl, const char *why);
/* Interrupt: collects, sends what waits, calls done(). */
void blkctl_poll(struct blkctl *ctl);

/* The command in flight in this slot; NULL: there is none, the hardware lies. */
struct blkcmd *blkctl_sent(struct blkctl *ctl, unsigned slot);
void blkctl_end(struct blkctl *ctl, struct blkcmd *c, enum blk_status status);
/* The memory of a command that moves data, until the next call. */
const struct blkmem *blkcmd_memory(const struct blkcmd *c, unsigned *n);
/* Printable text out of len bytes that a drive gave: no blanks at the ends. out has len + 1 bytes or more. */
void blk_text(char *out, size_t size, const char *in, size_t len);

#endif
