/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What stands behind the I/O area of a VM (vmm/io_area.h): the guest's memory, its disks and its NICs.
 *
 *	vmm: VM_NOTIFY(HV_NOTIFY_IO) ──► event bit ──► look() of each device of the VMs that have this bit
 *	device: ioqueue_finish() ... vmio_tell() ──► once in this turn of the loop: VMM_EVENT_IO
 *
 * Made before the VM is, for hv wants to know the bit; opened when its memory is there; closed when the run ends. What is
 * under way then ends by itself, and is waited for: a device that is detached keeps what it needs, a reference to the memory
 * first of all, and does not touch the area any more. One thread: the loop.
 */
#ifndef BACKEND_VMIO_H
#define BACKEND_VMIO_H

#include "ctrl-kernel/backend/guestmem.h"
#include "ctrl-kernel/loop/loop.h"

#define VMIO_PARTS_MAX 12u
#define VMIO_CLOSE_NS 60000000000ull /* drives end each request by a deadline of theirs */

struct vmio;
struct vmio_dev;

struct vmio_dev_ops {
	/* The vmm has submitted something, or may have. Not while the VM is held. */
	void (*look)(struct vmio_dev *d);
	/* Something of the area is under way: it will be written to. */
	bool (*busy)(const struct vmio_dev *d);
	/* The run has ended, or it was taken out of the VM; d->io is NULL. Frees d, now or later; if it was busy, when that
	 * has ended, behind vmio_left(). */
	void (*detach)(struct vmio_dev *d);
};

struct vmio_dev { /* a disk or a NIC: the first member of its own struct */
	const struct vmio_dev_ops *ops;
	struct vmio *io;     /* [borrows] NULL: detached */
	struct vmio *leaves; /* [borrows] waits for it: it was busy when it was detached */
	struct vmio_dev *next;
};

void vmio_init(void); /* once: takes event bits */
/* NULL: no memory. */
struct vmio *vmio_make(void);
uint32_t
vmio_bit(const struct vmio
		 *io); /* io_bit of hv_vm_create, hv_vm_adopt; NULL: that of a VM without an area */
/* area: [borrows] until vmio_close(); mem: [owns] from here on. */
void vmio_open(struct vmio *io, void *area, struct guest_mem *mem);
struct guest_mem *vmio_mem(const struct vmio *io);
void *vmio_page(const struct vmio *io, uint32_t page); /* of the area */
/* The area has grown: from `page` on it is at va, as long as io is there. At most VMIO_PARTS_MAX times. */
void vmio_grown(struct vmio *io, uint32_t page, void *va);
void vmio_add(struct vmio *io, struct vmio_dev *d);
void vmio_remove(struct vmio *io, struct vmio_dev *d); /* and detaches it */
/* A detached device has let go of all that it used, and is about to be freed. */
void vmio_left(struct vmio_dev *d);
void vmio_look(struct vmio *io); /* at all devices, as if the vmm had told */
/* Its vmm program, which gets VMM_EVENT_IO; 0: there is none. The handle stays the caller's. */
void vmio_vmm(struct vmio *io, uint32_t prog);
void vmio_tell(struct vmio *io);
/* For saving the VM: nothing is begun until vmio_go_on(). */
void vmio_hold(struct vmio *io);
bool vmio_held(const struct vmio *io);
void vmio_go_on(struct vmio *io);
bool vmio_busy(const struct vmio *io); /* also with what was removed */
/* True: nothing is under way. Else fn, from the loop, when all that is has ended, or (all: false) after VMIO_CLOSE_NS. io is
 * not the caller's any more. NULL: nothing. */
bool vmio_close(struct vmio *io, void (*fn)(void *ctx, bool all), void *ctx) MUST_CHECK;

#endif
