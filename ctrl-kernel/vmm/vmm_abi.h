/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the control kernel and a VM's vmm program: the configuration page(s) (HV_SLOT_CONFIG, written by ctrl,
 * read-only for the vmm) and the status at the start of the survivor pages (HV_SLOT_SURVIVOR, written by the vmm;
 * ctrl trusts nothing in it). Events: the vmm tells the VM's owner by VM_NOTIFY, whichever instance of ctrl that is;
 * ctrl posts VMM_EVENT_COMMAND to the vmm after it raised command_seq.
 *
 * Start: ctrl makes VM, RAM, config, survivor; creates the vmm; grants images; PROG_START. The vmm maps its slots, loads the boot image, sets vCPU 0, starts the VM and says
 * so in its status. The same path runs for a reset asked by the guest or by ctrl.
 */
#ifndef VMM_VMM_ABI_H
#define VMM_VMM_ABI_H

#include <stdint.h>

#define VMM_CONFIG_VERSION 6u
#define VMM_MODULES_MAX 8u
#define VMM_CMDLINE_MAX 2048u
#define VMM_CONFIG_PAGES 2u
#define VMM_SURVIVOR_PAGES 6u /* status page + device state */
#define VMM_DISKS_MAX 8u
#define VMM_NICS_MAX 4u
#define VMM_DISK_SLOT 4u            /* on PCI bus 0, of disks[0]; the others follow */
#define VMM_NIC_SLOT 12u            /* of nics[0] */
#define VMM_SLOTS_HOT 0xfff0u       /* bits of the slots in which something may come and go */
#define VMM_IO_QUEUES_MAX 4u        /* of a disk; pairs of a NIC */
#define VMM_SERIAL_MAX 20u          /* as virtio 1.2, 5.2.6: not terminated when full */
#define VMM_RAM_VA 0x10000000000ull /* the vmm maps the RAM object here, linear */
#define VMM_IO_VA 0x8000000000ull   /* and the I/O area (io_area.h) here */

/* Event bits of the vmm program. */
enum vmm_event {
	VMM_EVENT_PARK = 0,
	VMM_EVENT_DOORBELL = 1,
	VMM_EVENT_STATE = 2,
	VMM_EVENT_COMMAND = 3,
	VMM_EVENT_IO =
		4, /* something in the I/O area is done, or disks[], nics[], balloon below have changed */
};

struct vmm_image {
	uint32_t mem; /* handle in the vmm's table, READ; 0: none */
	uint32_t reserved;
	uint64_t bytes;
	char string[64]; /* multiboot module string */
};

enum vmm_disk_flags {
	VMM_DISK_READ_ONLY = 1,
	VMM_DISK_WRITE_CACHE = 2, /* FLUSH has something to do */
	VMM_DISK_CD = 4,          /* a medium that can be changed; bytes 0: none in it */
};

/*
 * What ctrl changes while the VM runs it publishes by `changes`, its last store.
 *
 * Disks and NICs come and go while the VM runs: ctrl fills in the rest, then `present`, then raises slots_seq and posts
 * VMM_EVENT_IO; the vmm puts a device into the slot. To take it out it clears `present`. Status: slots, slots_seq say what
 * has come of it: only then may its part of the I/O area be used for something else. `queues`, `pairs` and `area` stay.
 */
struct vmm_disk {
	uint32_t present;
	uint32_t flags;  /* enum vmm_disk_flags */
	uint32_t queues; /* 1 .. VMM_IO_QUEUES_MAX */
	uint32_t area;   /* page of the I/O area where its queues begin, IO_DISK_PAGES each */
	uint64_t bytes;  /* a multiple of sector_bytes */
	uint32_t sector_bytes, physical_bytes;
	uint64_t discard_max; /* bytes, of DISCARD and WRITE_ZEROES; 0: neither */
	char serial[VMM_SERIAL_MAX];
	uint32_t changes;
};

struct vmm_nic {
	uint32_t present;
	uint32_t pairs; /* of queues */
	uint32_t
		area; /* page of the I/O area: receive 0, transmit 0, receive 1 ..., IO_NIC_PAGES each */
	uint32_t mtu;
	uint8_t mac[6];
	uint8_t link; /* up */
	uint8_t reserved;
	uint32_t changes;
};

enum vmm_command {
	VMM_CMD_NONE = 0,
	VMM_CMD_POWER_BUTTON = 1,
	VMM_CMD_RESET = 2,
	VMM_CMD_TEST_CRASH = 3, /* corrupts itself; only with test.hooks=1 */
	VMM_CMD_TEST_STATE = 4, /* and its survivor pages before that */
	VMM_CMD_QUIET =
		5, /* the VM is paused: touch nothing, answer nothing, until GO; status.quiet. Holds for the next instance too */
	VMM_CMD_GO = 6
};
/* Of vmm_config.command; above it, for TEST_STATE: the seed that chooses what is corrupted, 0: all of it. */
#define VMM_CMD_BITS 8u

struct vmm_config {
	uint32_t version; /* VMM_CONFIG_VERSION */
	uint32_t vcpus;
	uint64_t
		ram_bytes; /* 2 MiB multiple? no: 4 KiB multiple; low part below HV_GPA_HOLE, rest from 4 GiB */
	uint8_t uuid[16];
	char name[64];
	struct vmm_image kernel;
	uint32_t n_modules; /* the first is the initrd for Linux */
	uint32_t test_hooks;
	struct vmm_image modules[VMM_MODULES_MAX];
	uint64_t epoch_at_zero_ns; /* UTC ns at monotonic 0, for the RTC */
	uint32_t command_seq;      /* ctrl raises it after writing command */
	uint32_t command;          /* enum vmm_command, and a seed */
	uint32_t io_pages;         /* of the I/O area, whose first page is the balloon's */
	uint32_t slots_seq;        /* from 1; raised after a change of present, or of unplug */
	uint32_t unplug;  /* slots that the guest is asked to eject, and may; else it may not */
	uint32_t console; /* 1: the VM has a virtio console (console_area.h) */
	uint32_t balloon_pages; /* 4 KiB, that the guest is to give back */
	uint32_t balloon_changes;
	struct vmm_disk disks[VMM_DISKS_MAX];
	struct vmm_nic nics[VMM_NICS_MAX];
	char cmdline[VMM_CMDLINE_MAX];
};
_Static_assert(sizeof(struct vmm_config) <= VMM_CONFIG_PAGES * 4096, "config pages");

enum vmm_phase {
	VMM_STARTING = 0,
	VMM_RUNNING = 1,
	VMM_FAILED = 2,
	VMM_OFF = 3,
	VMM_BAD_STATE = 4 /* what the instance before left cannot be used */
};

#define VMM_SLOTS_HEARD 0x80000000u /* the guest handles the event of hot-plug */

struct vmm_status {
	uint32_t version;
	uint32_t phase;      /* enum vmm_phase; FAILED, BAD_STATE: text says why */
	uint32_t changes;    /* raised after each change */
	uint32_t resets;     /* guest-requested or commanded resets done */
	uint32_t boot_kind;  /* 1 bzImage, 2 PVH, 3 multiboot1 */
	uint32_t quiet;      /* command_seq of the VMM_CMD_QUIET in force, 0: none */
	uint64_t started_ns; /* monotonic: first VM_CONTROL START */
	uint32_t slots;      /* of VMM_SLOTS_HOT: those that have a device; VMM_SLOTS_HEARD */
	uint32_t slots_seq;  /* of the configuration that this follows */
	char text[192];
};

#endif
