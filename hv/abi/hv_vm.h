/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of the contract that is about VMs: creation, state, vCPU registers, and the page shared by hv
 * and the VM's vmm program (mailboxes and doorbells).
 */
#ifndef HV_ABI_VM_H
#define HV_ABI_VM_H

#include <stdint.h>

#define HV_VCPUS_MAX 16u
#define HV_VM_NAME_MAX 64u

enum hv_vm_state {
	HV_VM_STOPPED = 0, /* created or reset; vCPU registers may be set */
	HV_VM_RUNNING = 1,
	HV_VM_PAUSED = 2,
	HV_VM_CRASHED =
		3, /* it ended itself (triple fault ...) or was ended; hv_vm_info.reason says why */
};

/* Why a VM is in its state. */
enum hv_vm_reason {
	HV_VMR_NONE = 0,
	HV_VMR_TRIPLE_FAULT = 1,
	HV_VMR_BAD_STATE =
		2, /* the CPU refused the guest state (VMEXIT_INVALID, VM-entry failure) */
	HV_VMR_EMULATION = 3, /* an access that hv cannot decode; detail = rip */
	HV_VMR_VMM_DIED = 4,
	HV_VMR_NO_MEMORY =
		5, /* PAUSED: none for a page that it had given back (VM_RELEASE); detail = gpa */
	HV_VMR_REQUEST = 6,     /* HVC_VM_CONTROL by a program */
	HV_VMR_POWER_OFF = 7,   /* guest asked through ACPI; set by vmm */
	HV_VMR_RESET = 8,       /* guest asked; set by vmm */
	HV_VMR_HLT_FOREVER = 9, /* all vCPUs halted with interrupts off */
	HV_VMR_MACHINE_CHECK = 10,
};

/* HVC_VM_CONTROL. STOP and CRASH record the reason in arg (enum hv_vm_reason). */
enum hv_vm_control {
	HV_VMC_START = 1,  /* STOPPED -> RUNNING */
	HV_VMC_PAUSE = 2,  /* RUNNING -> PAUSED; returns when no vCPU is in guest mode */
	HV_VMC_RESUME = 3, /* PAUSED -> RUNNING */
	HV_VMC_STOP = 4,   /* any -> STOPPED */
	HV_VMC_CRASH = 5,  /* any -> CRASHED */
	HV_VMC_NMI = 6,
};

/* What a VM holds by slot (HVC_VM_ATTACH, HVC_VM_SLOT). */
enum hv_vm_slot {
	HV_SLOT_PAGE = 0,    /* made by hv: struct hv_vm_page */
	HV_SLOT_CONSOLE = 1, /* given at creation: struct hv_console + ring */
	HV_SLOT_RAM = 2,
	HV_SLOT_SURVIVOR = 3, /* the vmm's device state */
	HV_SLOT_CONFIG = 4,   /* the control kernel's description of the VM */
	HV_SLOT_IO = 5,       /* requests of its devices to the control kernel */
	HV_SLOT_PORT = 6,     /* a console of its vmm and the control kernel */
	HV_SLOTS = 8,
};

struct hv_vm_create {
	uint32_t vcpus;  /* 1 .. HV_VCPUS_MAX */
	uint32_t weight; /* 1 .. 10000, 100 is usual */
	uint32_t cap;    /* percent of one CPU for all its vCPUs together, 0: none */
	uint32_t
		console; /* handle of an HVM_HV memory object of 1 + HV_CONSOLE_RING / 4096 pages */
	uint32_t state_bit;        /* event bits the creator gets: the VM's state changed */
	uint32_t console_bit;      /*   console output was added */
	uint32_t io_bit;           /*   its vmm says HV_NOTIFY_IO */
	char name[HV_VM_NAME_MAX]; /* for messages only */
};

struct hv_vm_adopt {
	uint32_t state_bit, console_bit, io_bit; /* as in hv_vm_create */
	uint32_t death_bit;                      /* of its vmm, as in hv_prog_create */
};

/* What VM_NOTIFY says to the owner. */
enum hv_notify { HV_NOTIFY_STATUS = 0, HV_NOTIFY_IO = 1 };

#define HV_EXIT_KINDS 24u

struct hv_vm_info {
	uint32_t id;     /* never used twice */
	uint32_t state;  /* enum hv_vm_state */
	uint32_t reason; /* enum hv_vm_reason */
	uint32_t vcpus;
	uint64_t detail;         /* of the reason: rip, exit code */
	uint64_t cpu_ns;         /* guest and hv time of its vCPUs */
	uint64_t ram_pages;      /* mapped guest-physical pages */
	uint64_t overhead_pages; /* page tables, VM and vCPU objects, VM page (console ring not) */
	uint64_t exits[HV_EXIT_KINDS]; /* by enum hv_exit_kind, all vCPUs */
	uint64_t parks, doorbells, irqs_injected;
	uint64_t console_dropped; /* input bytes lost (guest overran its receive queue) */
	uint64_t
		held_pages; /* of HV_SLOT_RAM that are there: the others were given back (VM_RELEASE) */
};

/* Neutral exit kinds: statistics, and the index of hv's dispatch table. */
enum hv_exit_kind {
	HV_EXIT_INTR = 0, /* a physical interrupt or NMI */
	HV_EXIT_CPUID,
	HV_EXIT_RDMSR,
	HV_EXIT_WRMSR,
	HV_EXIT_PIO,
	HV_EXIT_MMIO, /* nested page fault */
	HV_EXIT_HLT,
	HV_EXIT_PAUSE,
	HV_EXIT_WINDOW, /* interrupt window */
	HV_EXIT_HYPERCALL,
	HV_EXIT_CR,
	HV_EXIT_EXCEPTION,
	HV_EXIT_CACHE, /* WBINVD, INVD */
	HV_EXIT_XSETBV,
	HV_EXIT_UNDEFINED, /* an instruction guests do not have: #UD */
	HV_EXIT_SHUTDOWN,  /* triple fault */
	HV_EXIT_INVALID,   /* entry refused */
	HV_EXIT_INIT,
	HV_EXIT_DESC,
	HV_EXIT_OTHER,
	HV_EXIT_EOI,        /* of a level-triggered interrupt, where the CPU keeps the local APIC */
	HV_EXIT_APIC_WRITE, /* there, a write that the CPU does not carry out by itself */
};

/* ---- registers -------------------------------------------------------------------------------------- */
struct hv_segment {
	uint64_t base;
	uint32_t limit; /* expanded, in bytes */
	uint16_t selector;
	uint16_t
		attr; /* descriptor bits 40-47 in 0-7 and 52-55 in 8-11, as in a VMCB (APM2 15.5) */
};

enum hv_seg { HV_ES, HV_CS, HV_SS, HV_DS, HV_FS, HV_GS, HV_LDTR, HV_TR, HV_SEGS };
enum hv_gpr { /* numbering of the instruction encoding */
	      HV_RAX,
	      HV_RCX,
	      HV_RDX,
	      HV_RBX,
	      HV_RSP,
	      HV_RBP,
	      HV_RSI,
	      HV_RDI,
	      HV_R8,
	      HV_R9,
	      HV_R10,
	      HV_R11,
	      HV_R12,
	      HV_R13,
	      HV_R14,
	      HV_R15,
	      HV_GPRS
};

struct hv_vcpu_regs {
	uint64_t gpr[HV_GPRS];
	uint64_t rip, rflags;
	uint64_t cr0, cr2, cr3, cr4, efer;
	struct hv_segment seg[HV_SEGS];
	uint64_t gdt_base, idt_base;
	uint32_t gdt_limit, idt_limit;
	uint32_t
		runnable; /* SET: 1 = runs when the VM starts, 0 = waits for INIT/SIPI. GET: the same */
	uint32_t reserved;
};

/* ---- the VM page: hv <-> vmm ------------------------------------------------------------------------
 *
 *            guest access in a claimed range
 *  RUNNING ----------------------------------> PARKED   mailbox[i] = record, seq + 1; event park_bit
 *     ^                                          |
 *     +------ HVC_VCPU_RESUME(i, seq, value) ----+      a wrong seq is refused (STATE): answered once only
 *
 * The record stays valid until it is acknowledged by seq; a new vmm instance finds it again.
 * hv writes this page and keeps its own copy; it reads back nothing but the doorbell word. */
enum hv_access { HV_PIO_READ = 1, HV_PIO_WRITE = 2, HV_MMIO_READ = 3, HV_MMIO_WRITE = 4 };

struct hv_mailbox {
	uint64_t seq;    /* store-release by hv after the rest; parked while seq != done */
	uint64_t done;   /* last seq answered; by hv */
	uint32_t access; /* enum hv_access */
	uint32_t width;  /* 1, 2, 4, 8 */
	uint64_t addr;   /* port or guest-physical address */
	uint64_t value;  /* of a write */
	uint64_t reserved[3];
};
_Static_assert(sizeof(struct hv_mailbox) == 64, "one cache line");

struct hv_vm_page {
	struct hv_mailbox mailbox[HV_VCPUS_MAX];
	uint64_t doorbells; /* hv ORs in claim bits 0..63, the vmm takes them by atomic exchange */
	/* The vmm's: how long the next doorbell may leave the guest the CPU that the vmm would have to take from it. 0: not at all;
	 * more than HV_PATIENCE_MAX_NS counts as that. */
	uint32_t patience_ns;
	uint32_t reserved32;
	uint64_t reserved[6];
};
#define HV_PATIENCE_MAX_NS 100000u

/* HVC_VM_CLAIM */
enum hv_space { HV_SPACE_PIO = 0, HV_SPACE_MMIO = 1 };
enum hv_claim { HV_CLAIM_PARK = 0, HV_CLAIM_DOORBELL = 1 /* writes ring, reads park */ };
#define HV_CLAIMS_MAX 88u

/* ---- guest console ring ------------------------------------------------------------------------------
 * Page 0 is struct hv_console, then HV_CONSOLE_RING bytes. hv writes at head % size, readers keep their own
 * position and lose what is older than head - size. The object outlives VM instances: head goes on. */
#define HV_CONSOLE_RING 65536u
#define HV_CONSOLE_PAGES (1u + HV_CONSOLE_RING / 4096u)

struct hv_console {
	uint64_t head; /* bytes ever written; store-release after the bytes */
	uint64_t reserved[7];
};

/* ---- guest-physical layout that hv and vmm agree on --------------------------------------------------- */
#define HV_GPA_LAPIC 0xfee00000ull
#define HV_GPA_IOAPIC 0xfec00000ull
#define HV_GPA_HOLE 0xc0000000ull /* RAM ends here at the latest, and goes on at 4 GiB */
#define HV_GPA_HOLE_END 0x100000000ull
#define HV_GPA_ECAM 0xe0000000ull /* one bus: 1 MiB; vmm */
#define HV_IOAPIC_PINS 24u
#define HV_PORT_UART 0x3f8u /* 8 ports, IRQ 4 */

#endif
