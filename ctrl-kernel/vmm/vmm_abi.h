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

#define VMM_CONFIG_VERSION 3u
#define VMM_MODULES_MAX 8u
#define VMM_CMDLINE_MAX 2048u
#define VMM_CONFIG_PAGES 2u
#define VMM_SURVIVOR_PAGES 4u       /* status page + device state */
#define VMM_RAM_VA 0x10000000000ull /* the vmm maps the RAM object here, linear */

/* Event bits of the vmm program. */
enum vmm_event {
	VMM_EVENT_PARK = 0,
	VMM_EVENT_DOORBELL = 1,
	VMM_EVENT_STATE = 2,
	VMM_EVENT_COMMAND = 3
};

struct vmm_image {
	uint32_t mem; /* handle in the vmm's table, READ; 0: none */
	uint32_t reserved;
	uint64_t bytes;
	char string[64]; /* multiboot module string */
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

struct vmm_status {
	uint32_t version;
	uint32_t phase;      /* enum vmm_phase; FAILED, BAD_STATE: text says why */
	uint32_t changes;    /* raised after each change */
	uint32_t resets;     /* guest-requested or commanded resets done */
	uint32_t boot_kind;  /* 1 bzImage, 2 PVH, 3 multiboot1 */
	uint32_t quiet;      /* command_seq of the VMM_CMD_QUIET in force, 0: none */
	uint64_t started_ns; /* monotonic: first VM_CONTROL START */
	char text[192];
};

#endif
