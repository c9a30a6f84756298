/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The contract between hv and the ring-3 programs (control kernel, vmm programs): hypercall numbers,
 * error codes, rights, event rules and the address-space layout every program starts with.
 *
 * Self-contained: needs only <stdint.h>. Foreign addresses (guest-physical, host-physical, another
 * program's virtual) are plain integers so that they cannot be dereferenced by accident.
 *
 * Calling convention (SYSCALL): rax = number, arguments in rdi, rsi, rdx, r10, r8, r9.
 * Back: rax = 0 or -HVE_xxx, rdx = the value the call returns (0 when it returns none). rcx, r11 are lost.
 * Every call checks everything before it changes anything. docs/abi.md documents each call.
 */
#ifndef HV_ABI_H
#define HV_ABI_H

#include <stdint.h>

#define HV_ABI_VERSION 6
#define HV_PAGE_SIZE 4096u

enum hv_error {
	HVE_OK = 0,
	HVE_NOSYS = 1,   /* no such hypercall */
	HVE_INVAL = 2,   /* an argument is out of range or inconsistent */
	HVE_FAULT = 3,   /* a buffer is not mapped in the caller, or not with the needed access */
	HVE_HANDLE = 4,  /* no such handle, stale generation, or wrong object type */
	HVE_RIGHTS = 5,  /* the handle or program lacks the right */
	HVE_NOMEM = 6,   /* no free frame, or the program's budget is used up */
	HVE_STATE = 7,   /* the object is not in a state that allows this */
	HVE_EXIST = 8,   /* already there (mapping, claim, binding) */
	HVE_NOENT = 9,   /* nothing there */
	HVE_LIMIT = 10,  /* a fixed table is full */
	HVE_NOVIRT = 11, /* this machine offers no usable SVM/VMX; see hv_host_info.virt_reason */
	HVE_BUSY = 12,   /* in use, try later */
};

/*
 * Added to the number of EVENT_POST, VCPU_RESUME, VM_MSI or VM_NOTIFY, all of which answer with no value: when that call has succeeded,
 * EVENT_WAIT with the sixth argument as its deadline, and the answer is that one's. What a program has to say before it sleeps
 * costs one call, and whom it wakes may get its CPU at once. After an error there is no wait.
 */
#define HVC_THEN_WAIT 128u

/* ---- hypercall numbers -------------------------------------------------------------------------- */
enum hv_call {
	/* any program */
	HVC_ABI_VERSION = 0, /* () -> HV_ABI_VERSION */
	HVC_LOG_WRITE = 1,   /* (buf, len<=256): text to the host log and serial console */
	HVC_EXIT = 2,        /* (code, text, len<=128): the program ends; never returns */
	HVC_EVENT_WAIT =
		3, /* (deadline_ns): waits until the event word is not 0 or the monotonic clock
			       * reaches deadline_ns (0: poll, UINT64_MAX: no deadline) -> takes the word (0 on time-out) */
	HVC_EVENT_POST =
		4, /* (prog, bits): ORs bits into that program's event word; needs HVR_POST */
	HVC_TIME_NOW = 5, /* () -> monotonic ns since hv start */
	HVC_BRK =
		6, /* (end): end of heap; grows or shrinks it page-wise; 0 asks -> the end in force */
	HVC_HANDLE_CLOSE =
		7, /* (h): drops the handle; an object without handles, mappings or holders is freed */
	HVC_HANDLE_GRANT =
		8, /* (prog, h, rights): a copy with at most these rights -> handle in prog's table; needs HVR_GRANT on both */
	HVC_PROG_SELF = 9, /* (h) -> 0; checks that h is live; for tests */
	HVC_HEARTBEAT =
		10, /* (ns >= HV_HEARTBEAT_MIN_NS, 0: off): the caller will come to EVENT_WAIT, or here again,
			      * at least once in so much of its CPU time; else it has hung, and is ended */

	/* memory objects */
	HVC_MEM_CREATE = 16, /* (flags HVM_*): an empty object -> handle with all rights */
	HVC_MEM_GROW =
		17, /* (mem, pages): grows by scrubbed frames towards `pages`, at most HV_GROW_MAX each call
			      * -> pages now; 2 MiB frames where alignment and amount allow */
	HVC_MEM_MAP =
		18, /* (mem, page_off, pages, va, HVP_*): into the caller, va >= HV_VA_MAP_LO and free */
	HVC_MEM_UNMAP = 19, /* (va, pages): what MEM_MAP or MMIO_MAP put there */
	HVC_MEM_PHYS =
		20, /* (mem, page_off) -> host-physical address; HVM_DMA objects, program right HW */
	HVC_MEM_INFO = 21, /* (mem) -> pages | flags << 48 */
	HVC_MEM_KEEP = 22, /* (mem, slot): hv holds mem beyond the caller's death; mem 0 drops it */
	HVC_MEM_KEPT = 23, /* (slot) -> new handle, with the rights of the one it was kept by */
	HVC_MEM_SPANS =
		24, /* (mem, page_off, struct hv_span *out, n <= HV_SPANS_MAX): where its pages from page_off on lie, for
			      * DMA -> spans written; program right HW */

	HVC_MEM_FILL =
		25, /* (mem, page_off, pages <= HV_GROW_MAX): holes there become pages of zeros */

	/* hardware; the program needs HVPR_HW */
	HVC_MMIO_MAP =
		32, /* (phys, pages, va): device memory, uncached; refused where RAM, APICs or hv are */
	HVC_PCI_READ =
		33, /* (bdf, offset, width 1|2|4) -> value; offset < 256, or < 4096 with ECAM */
	HVC_PCI_WRITE = 34, /* (bdf, offset, width, value) */
	HVC_IRQ_BIND_GSI =
		35, /* (gsi, event_bit, HVI_*): -> irq handle; a level interrupt is masked when it fires until IRQ_ACK */
	HVC_IRQ_BIND_MSI =
		36, /* (event_bit, struct hv_msi *out): -> irq handle, and what to write into the device */
	HVC_IRQ_ACK = 37,    /* (irq): unmask again */
	HVC_HOST_POWER = 38, /* (HV_POWER_OFF | HV_POWER_REBOOT) */
	HVC_HOST_INFO = 39,  /* (struct hv_host_info *out, size) */

	/* VMs: the owner's side (control kernel; program right HVPR_VM to create) */
	HVC_VM_CREATE =
		48, /* (struct hv_vm_create *in) -> vm handle, all rights. State HV_VM_STOPPED */
	HVC_VM_DESTROY = 49, /* (vm): stops it and frees what it owns; all handles to it go stale */
	HVC_VM_MAP = 50, /* (vm, mem, page_off, gpa, pages, HVP_*): into guest-physical memory */
	HVC_VM_ATTACH =
		51, /* (vm, slot, mem): the VM holds mem in that slot (survivor pages); 0 drops it */
	HVC_VM_SLOT = 52,    /* (vm, slot) -> new handle to the memory object in the slot */
	HVC_VM_CONTROL = 53, /* (vm, HV_VMC_*, arg) */
	HVC_VM_INFO = 54,    /* (vm, struct hv_vm_info *out, size) */
	HVC_VM_CONSOLE_IN =
		55, /* (vm, buf, len<=256): bytes to the guest's UART -> how many were taken */
	HVC_VM_SCHED = 56, /* (vm, weight 1..10000, cap_percent of one CPU or 0) */
	HVC_VM_NEXT =
		57, /* (id): -> handle of the existing VM with the lowest id above `id`; NOENT at the end */

	HVC_VM_ADOPT =
		58, /* (vm, struct hv_vm_adopt *in): its events, and its vmm's death, go to the caller from now
		      * on -> handle of the vmm program, all rights; 0: none lives */

	HVC_VM_SAVE =
		59, /* (vm, index or HV_STATE_MACHINE, out, size): a record of hv_state.h; PAUSED. The machine's first.
		     * BUSY: the vCPU is finishing an access that its vmm has answered; again in a moment */
	HVC_VM_LOAD =
		60, /* (vm, index or HV_STATE_MACHINE, in, size): STOPPED, with its memory. The machine's first */

	HVC_VM_RELEASE =
		61, /* (vm, ranges, n <= HV_RANGES_MAX): these pages of HV_SLOT_RAM become holes, their frames go back
		     * -> ranges done; program right HW: no device reaches them */

	/* VMs: the vmm's side (rights HVR_RUN on the vm handle) */
	HVC_VM_CLAIM =
		64, /* (vm, HV_SPACE_*, base, len, HV_CLAIM_*, bit): accesses there park or ring */
	HVC_VM_UNCLAIM = 65,  /* (vm, HV_SPACE_*, base, len) */
	HVC_VM_IRQ_LINE = 66, /* (vm, gsi, level 0|1) */
	HVC_VM_MSI = 67,      /* (vm, address, data) */
	HVC_VCPU_SET = 68, /* (vm, index, struct hv_vcpu_regs *in, size); the vCPU is not running */
	HVC_VCPU_GET = 69, /* (vm, index, struct hv_vcpu_regs *out, size) */
	HVC_VCPU_RESUME = 70, /* (vm, index, seq, value): answers the parked access with that seq */
	HVC_VM_RESET =
		71, /* (vm): vCPUs and platform devices to power-on state; state STOPPED; claims and memory stay */

	HVC_VM_NOTIFY =
		72, /* (vm, HV_NOTIFY_*): the VM's owner, whichever instance that is, gets its state_bit or io_bit */

	/* programs (program right HVPR_VM) */
	HVC_PROG_CREATE = 80,  /* (struct hv_prog_create *in) -> handle; not yet running */
	HVC_PROG_START = 81,   /* (prog, args, n<=8): runs it; args go to its information page */
	HVC_PROG_DESTROY = 82, /* (prog): ends and frees it */
	HVC_PROG_INFO = 83,    /* (prog, struct hv_prog_info *out, size) */
	HVC_CRASH_INFO =
		84, /* (n, struct hv_crash *out, size): the n-th death that was written down, 0: the latest
			      * -> its number; needs HVPR_HW; NOENT: never was, or forgotten */

	/* the control kernel only */
	HVC_CTRL_REPLACE =
		85, /* (mem, bytes<=HV_CTRL_BYTES_MAX): the program that the next instance is started from, copied
			      * and checked -> its number; it is on trial then */
	HVC_CTRL_HEALTHY =
		86, /* (): the caller serves; an instance on trial that does not say so in time is ended, and the
			      * next is started from the program before */
};

/* ---- handles and rights ---------------------------------------------------------------------------
 * A handle is 32 bits: index (low 12) | generation (high 20, never 0). 0 is no handle. */
#define HVR_READ 0x01u  /* map for reading, ask for information */
#define HVR_WRITE 0x02u /* map for writing, change */
#define HVR_EXEC 0x04u
#define HVR_GRANT 0x08u /* pass on; on a program: put handles into its table */
#define HVR_POST 0x10u  /* post events */
#define HVR_RUN 0x20u   /* vm: the vmm's calls */
#define HVR_OWN 0x40u   /* vm, prog: destroy, control */
#define HVR_ALL 0x7fu

/* Program rights, fixed when it is created. */
#define HVPR_HW 0x1u /* MMIO, PCI configuration, interrupts, DMA addresses, power */
#define HVPR_VM 0x2u /* create VMs and programs */

/* Memory object flags. */
#define HVM_DMA                                                                                    \
	0x1u /* each growth step is physically contiguous (<= 2 MiB, naturally aligned to its size
		      * rounded up to a power of two); MEM_PHYS works */
#define HVM_HV 0x2u /* frames that hv itself maps too: console rings, VM pages */

/* Protections for MEM_MAP and VM_MAP. Writable and executable together is refused for programs. */
#define HVP_READ 0x1u
#define HVP_WRITE 0x2u
#define HVP_EXEC 0x4u

#define HV_KEEP_SLOTS 1024u

#define HV_GROW_MAX 512u      /* pages a MEM_GROW call adds at most */
#define HV_MAP_MAX (1u << 18) /* pages a MEM_MAP/VM_MAP call maps at most (1 GiB) */

#define HV_SPANS_MAX 64u /* of a MEM_SPANS call */

#define HV_RANGES_MAX 128u   /* of a VM_RELEASE call */
#define HV_RELEASE_MAX 8192u /* pages, in all of them */
/* A range of pages of a memory object in 64 bits. */
#define HV_RANGE(page, pages) ((uint64_t)(page) | (uint64_t)(pages) << 40)
#define HV_RANGE_PAGE(range) ((range) & ((1ull << 40) - 1))
#define HV_RANGE_PAGES(range) ((range) >> 40)

/* Pages that are contiguous in host-physical memory. */
#define HV_SPAN_HOLE UINT64_MAX
struct hv_span {
	uint64_t hpa; /* HV_SPAN_HOLE: they are not there */
	uint64_t pages;
};

/* Interrupt binding flags. */
#define HVI_LEVEL 0x1u
#define HVI_LOW 0x2u /* active low */

#define HV_POWER_OFF 1u
#define HV_POWER_REBOOT 2u

struct hv_msi {
	uint64_t address;
	uint32_t data;
	uint32_t reserved;
};

/* ---- events ---------------------------------------------------------------------------------------
 * One 64-bit word for each program. Bits are named by whoever binds a source; the word is OR-ed, never
 * counted: a handler that finds a bit set looks at all the state behind it. */
#define HV_EVENT_BITS 64u

/* ---- programs ------------------------------------------------------------------------------------- */
enum hv_prog_image { HV_IMAGE_CTRL = 0, HV_IMAGE_VMM = 1 };
enum hv_prog_state { HV_PROG_NEW = 0, HV_PROG_LIVE = 1, HV_PROG_DEAD = 2 };

struct hv_prog_create {
	uint32_t image; /* enum hv_prog_image; only HV_IMAGE_VMM */
	uint32_t
		budget_pages; /* 4 KiB frames it may own: image data, stack, heap, memory objects */
	uint32_t weight;      /* scheduling weight */
	uint32_t death_bit;   /* event bit the creator gets when it dies */
	uint32_t
		vm; /* vm handle it serves: becomes its VM for park hand-over; granted with READ|RUN */
	uint32_t park_bit;     /* event bits it gets: an access parked */
	uint32_t doorbell_bit; /*   a doorbell rang */
	uint32_t state_bit; /*   the VM's state changed, or a vCPU stopped (reset, power button) */
};

/* How a program ended, beside vectors of exceptions. */
enum hv_prog_cause {
	HV_CAUSE_EXIT = 0x100,
	HV_CAUSE_DESTROYED = 0x101,
	HV_CAUSE_HUNG = 0x102,      /* HVC_HEARTBEAT */
	HV_CAUSE_UNHEALTHY = 0x103, /* HVC_CTRL_HEALTHY did not come in time */
};
#define HV_HEARTBEAT_MIN_NS 10000000ull

#define HV_CTRL_BYTES_MAX 0x200000u /* of a program for HVC_CTRL_REPLACE */

/* What became of the last HVC_CTRL_REPLACE. */
enum hv_upgrade {
	HV_UPGRADE_NONE = 0, /* there was none */
	HV_UPGRADE_TRIAL = 1,
	HV_UPGRADE_DONE = 2,
	HV_UPGRADE_LATE = 3,        /* not healthy in time */
	HV_UPGRADE_DIED = 4,        /* ... and ended before */
	HV_UPGRADE_NOT_STARTED = 5, /* no memory for it, or it went bad */
};

struct hv_prog_info {
	uint32_t state; /* enum hv_prog_state */
	uint32_t cause; /* vector of the fault, or enum hv_prog_cause */
	uint64_t code;  /* error code, or the code given to HVC_EXIT */
	uint64_t rip, rsp, cr2;
	uint64_t cpu_ns;    /* CPU time used */
	uint64_t mem_pages; /* frames it owns now, page tables included */
	char text[128];     /* its last words, printable, NUL-terminated */
};

/* ---- crash records: the last deaths of programs that nobody asked for -------------------------------- */
#define HV_CRASH_RECORDS 8u /* so many are kept */
#define HV_CRASH_CODE 64u
#define HV_CRASH_STACK 512u
#define HV_CRASH_LOG 2048u

struct hv_prog_regs {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t rip, rflags, rsp;
};

/* Ends of the control kernel within so long a time that leave the host without one. An upgrade's does not count. */
#define HV_CTRL_ENDS 3u
#define HV_CTRL_ENDS_NS 60000000000ull

struct hv_crash {
	uint64_t number;  /* from 1, in the order of deaths */
	uint64_t time_ns; /* monotonic, since hv start */
	uint32_t prog;    /* hv's number of the program */
	uint32_t image;   /* enum hv_prog_image */
	uint32_t vm;      /* id of the VM it served; 0: none */
	uint32_t cause;   /* as hv_prog_info.cause */
	uint64_t code;
	struct hv_prog_regs regs;
	uint64_t cr2;
	uint32_t code_bytes;           /* what of at_rip could be read */
	uint32_t stack_bytes;          /* ... of at_rsp */
	char vm_name[64];              /* "": no VM */
	char text[128];                /* last words */
	uint8_t at_rip[HV_CRASH_CODE]; /* its memory from regs.rip on */
	uint8_t at_rsp[HV_CRASH_STACK];
	char log[HV_CRASH_LOG]; /* the host log before it, whole lines, NUL-terminated */
};
_Static_assert(sizeof(struct hv_crash) == 3016, "plain data, no padding");

/* Fixed places in a program's address space. Page 0 .. 2 MiB is never mapped. */
#define HV_VA_MAP_LO 0x00200000ull /* MEM_MAP: small things, up to HV_VA_MAP_LO_END */
#define HV_VA_MAP_LO_END 0x003d0000ull
#define HV_VA_STACK_TOP 0x003f0000ull /* 64 KiB below; the page under it is a guard page */
#define HV_STACK_SIZE 0x10000ull
#define HV_VA_INFO 0x003ff000ull    /* struct hv_info, read-only */
#define HV_VA_IMAGE 0x00400000ull   /* text, rodata, data, bss; the heap (BRK) follows bss */
#define HV_VA_BRK_END 0x40000000ull /* heap ends below; MEM_MAP may use everything from here on */
#define HV_VA_END 0x00007ffffffff000ull

#define HV_INFO_MAGIC 0x454c434f53ull /* "SOCLE" */
#define HV_MODULES_MAX 40u
#define HV_CMDLINE_MAX 1024u

struct hv_module { /* a boot module; ctrl only */
	uint32_t
		mem; /* handle of its memory object, READ|GRANT; frames go back when it is closed */
	uint32_t reserved;
	uint64_t bytes;
	char string[48]; /* the module's string as the loader gave it, cut to its end if longer */
};

struct hv_info {
	uint64_t magic;
	uint32_t abi_version;
	uint32_t image; /* enum hv_prog_image */
	uint32_t
		instance; /* of the control kernel, of this VM's vmm: 1 at first, counts restarts */
	uint32_t self;    /* handle to itself */
	uint32_t vm;      /* vmm: handle to its VM, else 0 */
	uint32_t n_args;
	uint64_t args[8];
	uint64_t tsc_khz; /* ns = (tsc - tsc_base) * tsc_mult >> 32 */
	uint64_t tsc_base;
	uint64_t tsc_mult;
	uint64_t brk_start; /* first heap address */
	uint64_t random[4]; /* seed: stack protector, lwIP, TLS */
	uint32_t n_modules;
	uint32_t reserved;
	char build_id[48];
	char cmdline[HV_CMDLINE_MAX]; /* ctrl: the multiboot command line without the file name */
	struct hv_module modules[HV_MODULES_MAX];
	uint32_t
		build; /* ctrl: 0: the program in the boot file; n: that of the n-th CTRL_REPLACE */
	uint32_t upgrade; /* ctrl: enum hv_upgrade; CTRL_HEALTHY changes it */
};
_Static_assert(sizeof(struct hv_info) <= HV_PAGE_SIZE, "the information page is one page");

/* ---- host ----------------------------------------------------------------------------------------- */
enum hv_virt { HV_VIRT_NONE = 0, HV_VIRT_SVM = 1, HV_VIRT_VMX = 2 };

#define HV_SPEC_TEXT 112u

struct hv_host_info {
	uint32_t cpus;
	uint32_t virt;        /* enum hv_virt */
	char virt_reason[96]; /* why none */
	char cpu_model[64];
	uint64_t mem_total; /* all in 4 KiB pages: RAM the firmware reports as usable */
	uint64_t mem_free;
	uint64_t mem_hv;      /* image, page tables, objects, console rings */
	uint64_t mem_ctrl;    /* control kernel: image, heap, memory objects not held by VMs */
	uint64_t mem_vms;     /* guest RAM, VM pages, vmm programs */
	uint64_t mem_modules; /* boot modules not yet closed */
	uint64_t uptime_ns;
	uint64_t idle_ns; /* sum over CPUs */
	uint64_t tsc_khz;
	uint64_t unclaimed_irqs;
	uint32_t objects; /* live kernel objects, for leak checks */
	uint32_t reserved;
	uint64_t boot_epoch; /* UTC seconds from the RTC at hv start, 0 if unreadable */
	/* Speculation, as names with a blank between them (docs/speculation.md). */
	char spec_issues[HV_SPEC_TEXT];   /* this CPU has */
	char spec_open[HV_SPEC_TEXT];     /* of these: not, or not fully, defended */
	char spec_defences[HV_SPEC_TEXT]; /* in force */
	char spec_off[HV_SPEC_TEXT];      /* needed, but switched off or not offered by the CPU */
};

#endif
