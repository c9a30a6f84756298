/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests of a VM's disks and NICs, between its vmm and the control kernel: the I/O area (HV_SLOT_IO), which belongs to
 * the VM and outlives both. It is made of queues; vmm_config says where each begins. A queue is one page of
 * struct io_queue and then its records, one for each descriptor chain that can be in flight: record i is chain head i.
 *
 *	vmm   fills record i, toggles bit i of `submitted` ──VM_NOTIFY(HV_NOTIFY_IO)──► ctrl carries it out
 *	vmm   completes the chain ◄──VMM_EVENT_IO── sets result[i], toggles bit i of `done`   ctrl
 *
 * A request is under way where the two bits differ. Each word is written by one side only, a toggle is one store and
 * publishes all before it, so the area is consistent at any instruction:
 *
 *	the next vmm            a chain in flight whose bits are equal is submitted (again); one whose bits differ is under way
 *	the next control kernel carries out whatever is under way (again)
 *
 * Again means twice: the guest has not been told, so a read or write of a disk may be repeated; a frame may be lost or
 * doubled. The area of a VM that starts or is restored is zero: whatever was in flight is submitted again.
 *
 * Neither side trusts the other: the control kernel copies a record once and checks the copy against this VM's memory and
 * rights, and keeps what is under way in memory of its own; the vmm takes a result as a number. For frames the order
 * counts: `asked` has that of submitting, `order` that of completion; a control kernel that takes over tells in `order` of
 * all that is not under way, once more.
 */
#ifndef VMM_IO_AREA_H
#define VMM_IO_AREA_H

#include <stdint.h>

#define IO_ENTRIES_MAX 256u
#define IO_WORDS (IO_ENTRIES_MAX / 64)

struct io_seg { /* guest-physical; RAM, in one piece */
	uint64_t gpa;
	uint32_t bytes;
	uint32_t reserved;
};

enum io_op { /* of a disk */
	     IO_READ = 0,
	     IO_WRITE = 1,
	     IO_FLUSH = 2,
	     IO_DISCARD = 3,
	     IO_WRITE_ZEROES = 4,
};

enum io_nic_mode { /* what the guest's driver takes */
		   IO_NIC_ON = 1,
		   IO_NIC_MERGE = 2, /* one frame in several buffers */
		   IO_NIC_CSUM = 4,  /* frames whose sums are left to it */
		   IO_NIC_TSO4 = 8,  /* frames that are to be split */
		   IO_NIC_TSO6 = 16,
		   IO_NIC_PROMISCUOUS = 32,
};
/* And in the same word: pairs of queues by which it receives. */
#define IO_NIC_PAIRS_SHIFT 8u
#define IO_NIC_PAIRS_MASK (3u << IO_NIC_PAIRS_SHIFT)
#define IO_NIC_PAIRS(mode) (1u + (((mode)&IO_NIC_PAIRS_MASK) >> IO_NIC_PAIRS_SHIFT))

/*
 * What became of a receive buffer; 0: nothing was received into it. `place`: how many buffers of the same frame are before
 * it; `number`: of the frame, so that pieces of two are never taken for one, whatever `order` says after a death.
 */
#define IO_FRAME(bytes, place, number, last)                                                       \
	((uint32_t)(bytes) | (uint32_t)(place) << 17 | ((uint32_t)(number)&255u) << 23 |           \
	 (uint32_t)(last) << 31)
#define IO_FRAME_BYTES(result) ((result)&0x1ffffu)
#define IO_FRAME_PLACE(result) ((result) >> 17 & 63u)
#define IO_FRAME_NUMBER(result) ((result) >> 23 & 255u)
#define IO_FRAME_LAST (1u << 31)
#define IO_FRAME_BUFFERS 64u /* at most */

enum io_result { /* of a disk's request; of a frame that is sent: bytes, 0: it was none */
		 IO_OK = 0,
		 IO_ERROR = 1,
		 IO_UNSUPPORTED = 2,
};

struct io_record {
	uint32_t op; /* enum io_op; 0 for frames */
	uint32_t n_segs;
	uint64_t offset;     /* bytes; of a disk */
	uint64_t bytes;      /* READ, WRITE, frames: the sum of the segments */
	uint64_t own;        /* the vmm's: what it, or the next one, needs to complete the chain */
	struct io_seg seg[]; /* as many as the record has room for */
};

struct io_queue {
	/* the vmm's */
	uint64_t submitted[IO_WORDS];
	uint64_t
		cancel; /* 1: the device is being reset; what is not under way at ctrl comes back at once, undone */
	uint32_t asked_tail; /* entries of `asked` ever written; stored behind `submitted` */
	uint32_t mode;       /* of a NIC's receive queue 0: enum io_nic_mode */
	uint64_t reserved[IO_WORDS - 2];
	/* the control kernel's */
	uint64_t done[IO_WORDS];
	uint32_t order_tail; /* entries of `order` ever written; stored behind `done` */
	uint32_t
		frames; /* frames in several buffers that were ever begun: the number of the next */
	uint32_t watched; /* 1: it looks at `submitted` again by itself, and need not be told */
	uint32_t reserved2[5];
	uint16_t order[IO_ENTRIES_MAX];  /* numbers of records, as they were done */
	uint32_t result[IO_ENTRIES_MAX]; /* enum io_result; of a received frame: IO_FRAME() */
	/* the vmm's */
	uint16_t asked
		[IO_ENTRIES_MAX]; /* numbers of records, as they were submitted: a hint, for frames */
};
_Static_assert(sizeof(struct io_queue) <= 4096, "a page");

#define IO_QUEUE_PAGES(entries, record_bytes) (1u + ((entries) * (record_bytes) + 4095u) / 4096u)

/* Of a disk's queues, and a NIC's. */
#define IO_DISK_ENTRIES 128u
#define IO_DISK_RECORD 1024u
#define IO_DISK_SEGS ((IO_DISK_RECORD - sizeof(struct io_record)) / sizeof(struct io_seg)) /* 62 */
#define IO_DISK_PAGES IO_QUEUE_PAGES(IO_DISK_ENTRIES, IO_DISK_RECORD)
#define IO_NIC_ENTRIES 256u
#define IO_NIC_RECORD 384u
#define IO_NIC_SEGS ((IO_NIC_RECORD - sizeof(struct io_record)) / sizeof(struct io_seg)) /* 22 */
#define IO_NIC_PAGES IO_QUEUE_PAGES(IO_NIC_ENTRIES, IO_NIC_RECORD)

/*
 * Page 0 of every area: what the guest gives back (virtio/balloon.c, backend/balloon.c), one request at a time.
 *
 *	vmm   range[], n, asked + 1 ──VM_NOTIFY(HV_NOTIFY_IO)──► ctrl waits for drives, gives back what nobody uses
 *	vmm   goes on                ◄──VMM_EVENT_IO──            done = asked
 *
 * Under way while asked != done, whichever instances these are: the next control kernel does it again, the next vmm waits.
 * Giving back twice is giving back once, for the guest has not been told. It may be left undone: it is a wish.
 */
#define IO_BALLOON_PAGES 1u
#define IO_BALLOON_STATS 10u /* tags, virtio 1.2, 5.5.6.3 */
#define IO_BALLOON_UNKNOWN UINT64_MAX
#define IO_BALLOON_RANGES 480u

struct io_balloon {
	/* the vmm's */
	uint32_t asked; /* stored last */
	uint32_t n;
	uint32_t actual; /* pages that the driver says are in the balloon */
	uint32_t reserved;
	uint64_t stats_ns; /* when the driver said the following last, 0: never */
	uint64_t stats[IO_BALLOON_STATS];
	/* the control kernel's */
	uint32_t done;
	uint32_t reserved2;
	uint64_t reserved3[3];
	/* the vmm's */
	uint64_t range[IO_BALLOON_RANGES]; /* HV_RANGE() of guest-physical pages */
};
_Static_assert(sizeof(struct io_balloon) <= 4096, "a page");

static inline struct io_record *io_record(struct io_queue *q, unsigned i, unsigned record_bytes)
{
	return (struct io_record *)((char *)q + 4096 + (unsigned long)i * record_bytes);
}

#endif
