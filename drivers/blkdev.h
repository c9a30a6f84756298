/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A block device: whatever takes requests for its sectors. A drive (drivers/nvme.c ...), and above the drivers a
 * partition, a volume, an image or memory: all are this, so who submits need not know which.
 *
 *	r->done ... filled in ──blk_submit()──► the device's own ──► r->done(r, status), from the loop, exactly once
 *
 * All calls come from the control kernel's loop. done() is never called inside blk_submit(): who submits may hold its own
 * state half-changed. A request belongs to the device until done() is called; done() may submit again or free it.
 * Each request ends: by its drive's deadline at the latest, which resets the drive. A drive that has gone answers GONE.
 */
#ifndef DRIVERS_BLKDEV_H
#define DRIVERS_BLKDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_WRITE_ZEROES };

enum blk_status {
	BLK_OK = 0,
	BLK_IO_ERROR,    /* the drive said so, or did not answer in time and was reset */
	BLK_UNSUPPORTED, /* this device cannot do that, or it is read-only */
	BLK_RANGE,       /* beyond the end, or not whole sectors */
	BLK_GONE,        /* the device is no more there */
};

/* A piece of memory that a device reads or writes. It stays where it is until done(). */
struct blk_seg {
	void *va;     /* as the control kernel sees it */
	uint64_t hpa; /* host-physical, contiguous over `bytes` */
	uint32_t bytes;
	uint32_t reserved;
};

struct blk_request {
	enum blk_op op;
	bool fua;                  /* WRITE, WRITE_ZEROES: on the medium before done() */
	uint64_t offset, bytes;    /* whole sectors of the device; 0, 0 for FLUSH */
	const struct blk_seg *seg; /* [borrows] READ, WRITE: their sum is `bytes` */
	unsigned n_segs;
	void (*done)(struct blk_request *r, enum blk_status status);
	void *ctx; /* the submitter's */

	/* ---- the device's, from blk_submit() to done() ---- */
	struct blk_request *next;
	enum blk_status status;
	uint64_t deadline_ns;
	uint64_t scratch[4];
};

struct blk_stats {
	uint64_t reads, read_bytes, writes, write_bytes, flushes, discards;
	uint64_t errors;   /* requests that ended with IO_ERROR */
	uint64_t timeouts; /* deadlines missed */
	uint64_t resets;   /* of the controller */
	uint64_t in_flight;
};

struct blkdev;

struct blkdev_ops {
	/* Takes r, whatever it says: what is wrong with it comes by done(). */
	void (*submit)(struct blkdev *b, struct blk_request *r);
};

struct blkdev {
	char name[24];   /* "nvme@00:04.0/1": unique in the machine, and the same after a restart */
	char model[48];  /* printable; "" when there is none */
	char serial[32]; /* printable; "" when there is none */
	uint64_t bytes;  /* a multiple of sector_bytes; a change is told by changed() */
	uint32_t sector_bytes; /* 512 or 4096: unit of all requests */
	uint32_t
		physical_bytes; /* what is written in one go without reading before; >= sector_bytes */
	uint64_t discard_max; /* bytes of one DISCARD or WRITE_ZEROES; 0: neither is offered */
	bool read_only;
	bool write_cache; /* FLUSH has something to do */
	bool gone;        /* removed: every request ends with GONE */
	const struct blkdev_ops *ops;
	void *priv; /* the device's own */
	struct blk_stats stats;
	/* Set by who uses the device; may be NULL. Its size, or `gone`, has changed. From the loop. */
	void (*changed)(struct blkdev *b);
	void *user;
	struct blkdev *next;
};

/*
 * Any size, any number of segments, wherever they lie: a driver splits what is longer than its hardware takes, and goes over a
 * buffer of its own where the hardware cannot reach or split a segment.
 */
static inline void blk_submit(struct blkdev *b, struct blk_request *r)
{
	b->ops->submit(b, r);
}

#endif
