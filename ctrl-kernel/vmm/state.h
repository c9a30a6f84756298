/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a vmm leaves to its next instance: the survivor pages. Page 0 is struct vmm_status (vmm_abi.h), page 1
 * and on is struct vmm_state: plain data, no pointers. A device register is one store, so it is consistent at
 * any instruction; what takes several stores (boot, reset) is guarded by `boot`:
 *
 *	BOOT_NEEDED --(image loaded, vCPU 0 set)--> BOOT_READY --(VM started)--> BOOT_DONE
 *	     ^                                                                     |
 *	     +--------------------- reset asked (guest or command) ----------------+
 *
 * An instance that finds BOOT_NEEDED does the whole of it again, and so where it finds BOOT_READY and the VM was not started: a guest
 * that has run one instruction is not booted again. An access that was answered in the state but
 * not yet by VCPU_RESUME is delivered again: register accesses are therefore idempotent. The one that cannot be, a
 * virtio ISR register that a read clears, remembers the access that it answered (struct virtio_device_state).
 *
 * The instance before may have died of writing where it should not, and a restored VM's pages come from a file:
 * nothing here is used before state_check() has passed it. Words that make something happen (boot, command_done)
 * hold values that no single mistake turns into another.
 */
#ifndef VMM_STATE_H
#define VMM_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "ctrl-kernel/vmm/vmm_abi.h"

#define STATE_MAGIC 0x564d4d53u
#define STATE_VERSION 7u

#define PCI_SLOTS 16u /* functions kept; devices beyond read all ones */
#define PCI_CONFIG_BYTES 256u
#define CMOS_BYTES 128u

enum state_boot { BOOT_NEEDED = 0x4e454544, BOOT_READY = 0x52454459, BOOT_DONE = 0x444f4e45 };

struct pm_state { /* platform.c; ACPI 6.4 4.8.3 */
	uint16_t pm1_status, pm1_enable, pm1_control;
	uint16_t gpe0_status, gpe0_enable;
	uint8_t reset_control; /* port 0xcf9 */
	uint8_t reserved;
};

struct rtc_state {        /* rtc.c */
	int64_t offset_s; /* guest's clock minus ours */
	uint8_t index;
	uint8_t reserved[7];
	uint8_t cmos[CMOS_BYTES]; /* time registers are valid here while SET (register B) is 1 */
};

struct pci_state {        /* pci.c */
	uint32_t address; /* port 0xcf8 */
	uint32_t reserved;
	uint8_t config[PCI_SLOTS][PCI_CONFIG_BYTES];
};

struct hotplug_state {  /* hotplug.c says what it means */
	uint64_t slots; /* there | up << 16 | down << 32 | ejected << 48, a bit for each slot */
};

#define VIRTIO_QUEUES_MAX 9u                       /* of a device: a NIC has 4 pairs and one more */
#define VIRTIO_VECTORS_MAX (VIRTIO_QUEUES_MAX + 1) /* one for the configuration */
#define VIRTIO_QUEUE_SIZE_MAX 256u

/*
 * One queue (virtio/virtqueue.c). What changes for each chain is published by one store, to `log`, which says how far
 * both rings are and what the last step was; `in_flight` is brought up to it after that, and by the next instance again:
 *
 *	take:      log = {avail + 1, used, head, TAKEN}        -> bit `head` set
 *	complete:  used ring entry, log = {avail, used + 1, head, COMPLETED}
 *	                                                       -> bit `head` clear, used->idx in guest memory = used + 1
 *	n at once: used ring entries, heads to virtio_state.batch, log = {avail, used + n, n, BATCH}
 *	                                                       -> bits clear, used->idx = used + n, log = {.., NONE}
 *
 * Before the store the step has not happened: the chain is still to be taken, the request still in flight (done again,
 * which its device allows), its used ring entry not seen by anybody. After it, it has: an instance that comes next
 * makes bit and index follow, does what is in flight again, and interrupts, for the last decision to may be lost.
 * The rest is set by the driver while the queue is off; `enabled` is stored last and cleared first.
 */
struct virtio_queue_state {
	uint64_t log; /* avail | used << 16 | head << 32 | step << 48 */
	uint64_t in_flight[VIRTIO_QUEUE_SIZE_MAX / 64];
	uint64_t desc, driver, device; /* guest-physical */
	uint16_t size, vector;
	uint32_t enabled;
};

struct virtio_vector { /* MSI-X, PCI 3.0 6.8.2.6 .. 9 */
	uint64_t address;
	uint32_t data, control;
};

/*
 * One device: its registers. A register is one store. Reset takes several: VIRTIO_RESETTING in `status` is set before,
 * status = 0 is the last, and an instance that finds it set does all of them again.
 * isr: bits | what the last read got << 8 | vCPU << 16 | its parked access' seq << 32; one store clears the bits and
 * says for which access, so that the same access asked again by the next instance gets the same bits.
 */
struct virtio_device_state {
	uint64_t isr;
	uint64_t driver_features;
	uint32_t status;  /* the register's 8 bits, VIRTIO_RESETTING */
	uint32_t mapped;  /* pci.h: where BAR 0 is claimed, */
	uint32_t pending; /* MSI-X pending bits */
	uint32_t generation;
	uint32_t device_feature_select, driver_feature_select;
	uint16_t queue_select, config_vector;
	uint32_t mapped_io; /* and BAR 1 */
	struct virtio_vector vector[VIRTIO_VECTORS_MAX];
	struct virtio_queue_state queue[VIRTIO_QUEUES_MAX];
};

struct virtio_state {
	struct virtio_device_state device[PCI_SLOTS]; /* by slot; zero where there is none */
	uint16_t batch[VIRTIO_QUEUE_SIZE_MAX]; /* of the queue, at most one, whose log says BATCH */
};

struct vmm_state {
	uint32_t magic, version;
	uint32_t boot; /* enum state_boot */
	uint32_t reserved;
	uint64_t command_done; /* state_command() of the last command taken */
	struct pm_state pm;
	struct rtc_state rtc;
	struct pci_state pci;
	struct hotplug_state hotplug;
	struct virtio_state virtio;
	uint64_t balloon_actual; /* virtio/balloon.c: the register; any 32 bits */
};
_Static_assert(sizeof(struct vmm_status) <= 4096, "status page");
_Static_assert(sizeof(struct vmm_state) <= (VMM_SURVIVOR_PAGES - 1) * 4096, "survivor pages");
_Static_assert(sizeof(struct pm_state) == 12 && sizeof(struct rtc_state) == 144, "layout");

/* How command_done notes vmm_config.command_seq: the number, and its complement above it; one store. */
static inline uint64_t state_command(uint32_t seq)
{
	return (uint64_t)~seq << 32 | seq;
}

/* Could a vmm of this version have left that? NULL, or what is wrong with it in plain words. When the devices have
 * attached. Pure, but for the text; every field that a device relies on: what passes never makes one of them leave its bounds, and passes again after any access. */
const char *state_check(const struct vmm_state *s);
/* The same of the status page, beside a state that passed; `runs`: hv has the VM RUNNING or PAUSED. */
const char *status_check(const struct vmm_status *status, const struct vmm_state *s, bool runs);

#endif
