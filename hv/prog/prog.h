/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program: a ring-3 address space with one thread, handles, an event word and a memory budget. The control
 * kernel and every vmm are programs; hv treats them alike and knows them by rights.
 *
 * What only the program's own system calls change needs no lock: it has one thread, and its death takes it apart
 * only after it has left its CPU for good. The exceptions are marked.
 */
#ifndef HV_PROG_PROG_H
#define HV_PROG_PROG_H

#include "hv/vm/vm.h"

#define PROG_HANDLES 1024u
#define HANDLES_PER_PAGE 256u
#define PROG_HANDLE_PAGES (PROG_HANDLES / HANDLES_PER_PAGE)
#define MAPPINGS_PER_PAGE 170u
#define PROG_MAPPING_PAGES 16u

struct uregs { /* a program's registers while hv runs; layout known to cpu/entry.S */
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t rip, rflags, rsp;
	uint64_t
		entered; /* the trap that brought it here: after TRAP_SYSCALL rcx and r11 are lost; 0: never ran */
};

enum trap {
	TRAP_SYSCALL = 0x200
}; /* else the vector: exception or interrupt that came while in ring 3 */

struct handle {
	struct object *obj; /* counted; NULL: free */
	uint32_t rights;
	uint32_t generation; /* of the next handle while free */
};
_Static_assert(sizeof(struct handle) * HANDLES_PER_PAGE <= PAGE_SIZE, "a page of handles");

struct mapping { /* one MEM_MAP or MMIO_MAP */
	uint64_t va;
	uint64_t page_off : 40, pages : 20, prot : 4; /* pages 0: free; prot: enum pt_prot */
	struct mem *mem;                              /* counted; NULL: device registers */
};
_Static_assert(sizeof(struct mapping) * MAPPINGS_PER_PAGE <= PAGE_SIZE, "a page of mappings");

/* prog.due */
#define PROG_DUE_HUNG 1u  /* the watch says so */
#define PROG_DUE_TRIAL 2u /* its trial is over (upgrade.c) */

struct prog {
	struct object obj;
	struct sched_ent ent;
	struct uregs regs;          /* [p] */
	struct pt as;               /* own calls */
	hpa_t root;                 /* [I] of as */
	unsigned tlb_cpu;           /* [p] whose TLB may hold translations that are up to date */
	struct account acct;        /* outlives the program until what it paid for is gone */
	struct fpu fpu;             /* [p] */
	struct spinlock grant_lock; /* puts into the handle table; takes out only own calls */
	struct handle *handles[PROG_HANDLE_PAGES];    /* [owns] made when needed [L:grant_lock] */
	struct mapping *mappings[PROG_MAPPING_PAGES]; /* [owns] made when needed; own calls */
	bool sealed;           /* [L:grant_lock] no more handles: it is dying */
	uint64_t value;        /* [p] of the call under way: what it returns */
	struct object *object; /* [p] of the call under way: its first argument */
	uint64_t events;       /* [a] */
	bool waiting;          /* [p] EVENT_WAIT is to be finished when it runs again */
	struct spinlock wait_lock;
	uint64_t
		wait_deadline; /* [L:wait_lock] of the EVENT_WAIT under way; UINT64_MAX without the lock */
	struct timer wait_timer;  /* armed under wait_lock only */
	uint32_t id;              /* [I] for messages */
	uint32_t image;           /* [I] enum hv_prog_image */
	uint32_t rights;          /* [I] HVPR_* */
	enum hv_prog_state state; /* [a] */
	bool dying;               /* [a] whoever sets it (exchange) brings its death about */
	bool gone;                /* [a] taken apart */
	struct hv_prog_info last; /* how it ended; written once, before state is DEAD */
	struct vm *vm;            /* [I] counted until death: the VM a vmm serves */
	uint64_t domain; /* [I] for the defences against speculation: that VM's, or its own */
	struct prog
		*parent; /* [L:vm->lock if it serves one] counted until death: who gets death_bit */
	uint32_t death_bit;                         /* as parent */
	uint32_t park_bit, doorbell_bit, state_bit; /* [I] */
	uint64_t promised_ns; /* [a] HEARTBEAT: CPU time between two waits at most; 0: no promise */
	uint32_t waits;       /* [p] EVENT_WAITs and HEARTBEATs; read by the watch */
	uint32_t waits_seen;  /* [a] the watch's: at its last look, */
	uint64_t cpu_seen;    /*   CPU time then, */
	uint64_t used_ns;     /*   and what was used since the wait before */
	uint8_t due;          /* [a] PROG_DUE_*: its next turn sees to that */
	struct hv_info *info; /* [owns] hv's address of the information page */
	uint64_t brk_start, brk_end; /* own calls */
	struct prog *next;           /* [L:list_lock in prog.c] all programs, or the graves */
};
_Static_assert(sizeof(struct prog) <= PAGE_SIZE, "a program is one page");

/* cpu/entry.S: runs the program until it traps; everything is in *r then. Returns the trap. */
unsigned user_enter(struct uregs *r, uint64_t *error, uint64_t *cr2);

extern struct prog *prog_ctrl;         /* [a] NULL after its death; for accounts only */
extern struct account account_modules; /* boot modules not yet closed */
extern uint64_t prog_boot_epoch;       /* [I] UTC seconds at hv start; 0: unknown */
/* Most hypercalls; first in the lock order, never held while waiting for a program. */
extern struct spinlock hv_lock;

/* Boot: makes the control kernel from the embedded image; modules become memory objects. */
struct boot_info;
void prog_start_ctrl(const struct boot_info *bi);
void prog_events_post(struct prog *p, uint64_t bits); /* any CPU */
/* The same; the one who runs where it is to run may go on for so long. */
void prog_events_post_soon(struct prog *p, uint64_t bits, uint32_t patience_ns);

/* ---- inside prog/ ---- */

/* prog.c */
struct prog_config {
	const uint8_t *image, *image_end;
	uint32_t kind; /* enum hv_prog_image */
	uint32_t rights, weight;
	uint64_t budget_pages; /* 0: none */
};
/* Not yet running; *out is counted for the caller, and that alone keeps it. */
int prog_create(const struct prog_config *config, struct prog **out) MUST_CHECK;
int prog_start(struct prog *p) MUST_CHECK; /* hv_lock is held; STATE: started before, or dying */
/* The running program ends itself (EXIT, a fault): it does not come back from its next scheduling point. */
void prog_die(struct prog *p, uint32_t cause, uint64_t code, const char *text);
/* Ends another one; when this returns it is taken apart. No lock held. */
void prog_kill(struct prog *p);
void prog_gone(struct sched_ent *e); /* sched_ops.gone */
uint64_t prog_pages_of_vmms(void);   /* charged to all programs but the control kernel */

/* Those with an address space, none of which goes away meanwhile: the list is locked. */
void prog_each(void (*fn)(struct prog *p));

/* watch.c: does it come back to its event loop? */
void watch_promise(struct prog *p, uint64_t ns); /* own calls */
void watch_end_hung(struct prog *p);             /* its turn; PROG_DUE_HUNG: if it is so still */
static inline void watch_waits(struct prog *p)   /* own calls */
{
	__atomic_store_n(&p->waits, p->waits + 1, __ATOMIC_RELAXED);
}

/* trap.c */
extern const struct sched_ops prog_sched_ops;
void prog_wait_over(struct timer *t); /* wait_timer.fire */
void prog_wait_end(struct prog *p);   /* it runs no more: nor does its timer */
void prog_wait(struct prog *p,
	       uint64_t deadline_ns); /* it waits for events; finished when it runs again */
/* hypercall.c: the call in p->regs; the result goes there */
void hypercall(struct prog *p);
/* space.c: its address space */
int space_create(struct prog *p) MUST_CHECK;
void space_destroy(struct prog *p); /* it is not on any CPU */
struct elf_image;
int space_load(struct prog *p, const uint8_t *file, const struct elf_image *elf) MUST_CHECK;
int space_add(struct prog *p, uva_t va, uint64_t pages, unsigned prot) MUST_CHECK;
void space_use(struct prog *p, struct cpu *c); /* loads it */
int space_map(struct prog *p, uva_t va, struct mem *m, uint64_t page_off, uint64_t pages,
	      unsigned prot) MUST_CHECK;
int space_map_device(struct prog *p, uva_t va, hpa_t hpa, uint64_t pages) MUST_CHECK;
int space_unmap(struct prog *p, uva_t va, uint64_t pages) MUST_CHECK;
int space_brk(struct prog *p, uva_t end) MUST_CHECK;
void space_flush(struct prog *p); /* the caller's translations on this CPU */
/* Its own turn: a page that it may touch with that protection and that is a hole of a memory object gets a frame. NOENT: it is
 * none. NOMEM: later. */
int space_fill(struct prog *p, uva_t va, unsigned prot) MUST_CHECK;
/* Its mappings of m, to fn (NULL: none) -> how many. It is off its CPU, or the caller. */
typedef void space_fn(void *ctx, struct pt *pt, uva_t va, uint64_t page_off, uint64_t pages);
unsigned space_each(struct prog *p, const struct mem *m, space_fn *fn, void *ctx);

/* notify.c: VM -> programs */
void notify_owner(struct vm *vm, struct prog *p, uint32_t state_bit, uint32_t console_bit,
		  uint32_t io_bit);
int notify_vmm(struct vm *vm, struct prog *p) MUST_CHECK; /* EXIST: it has one */
void notify_of(struct vm *vm, enum hv_notify what);       /* its owner */
/* p becomes the VM's owner and its vmm's parent -> that vmm, counted; NULL: there is none. */
struct prog *notify_adopt(struct vm *vm, struct prog *p, const struct hv_vm_adopt *in);
void notify_forget(struct prog *p); /* all VMs */

/* ctrl.c: the control kernel has ended; makes the next instance, or does not. No lock held. */
void ctrl_ended(void);
/* Of somebody who has looked at it: the next instance, with a new budget. STATE: there is one, or its image is damaged. */
int ctrl_restart(void) MUST_CHECK;
void ctrl_modules_given(void); /* an instance has what it needs of them; hv_lock */

/* upgrade.c: the program that the control kernel is started from. Between two instances, but for the last one. */
void upgrade_choose(
	struct prog_config *config);      /* the boot file's is there; another may be better */
void upgrade_starts(struct prog *p);      /* just before */
bool upgrade_not_started(void);           /* false: it was no upgrade that failed */
bool upgrade_ended(void);                 /* false: no upgrade brought that end about */
void upgrade_end_overdue(struct prog *p); /* its turn; PROG_DUE_TRIAL */

/* hc_hw.c */
void hw_release(struct prog *p); /* bus mastering of what it drove off */

#endif
