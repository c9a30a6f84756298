/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM: guest memory, vCPUs, the platform devices that live in hv, the ranges its vmm claimed, and its state.
 * Called by prog/ (hypercalls) and by the scheduler (a vCPU's turn). The exit path takes no VM-wide lock unless a
 * platform device shared by vCPUs is touched.
 */
#ifndef HV_VM_VM_H
#define HV_VM_VM_H

#include "hv/vcpu/vcpu.h"

struct vpic;
struct vioapic;
struct vpit;
struct vuart;
struct cpuid_table;
struct hv_state_machine;

/* Who gets told. Set by prog/; called with vm->lock held, any CPU; must only set bits and unblock. */
struct vm_notify {
	void (*state)(void *ctx);   /* the owner and the vmm: state or reason changed */
	void (*console)(void *ctx); /* the owner */
	void (*park)(void *ctx);    /* the vmm; hands the CPU over if it can */
	void (*doorbell)(void *ctx, uint32_t patience_ns);
	void *ctx;
	/* prog/'s: who that is, and the owner's event bits (a vmm's are in its struct prog). Not counted: programs
	 * take themselves out before they end. */
	struct prog *owner, *vmm;
	uint8_t owner_state_bit, owner_console_bit, owner_io_bit;
};

/* The claims of one space, sorted by base, never overlapping. Readers take no lock: they look twice at seq (claim.c). */
struct claim_table {
	uint32_t seq; /* [a] odd while a writer is at it */
	uint32_t n;
	uint64_t base[HV_CLAIMS_MAX];
	uint64_t end[HV_CLAIMS_MAX];  /* first address behind it */
	uint16_t what[HV_CLAIMS_MAX]; /* kind << 8 | bit */
};

#define VM_MAPPED_MAX 7u /* the struct is one page */

/* A range of guest-physical memory and the pages of a memory object that stand there. */
struct vm_span {
	struct mem *mem; /* counted */
	gpa_t gpa;
	uint64_t pages;
	uint64_t page_off : 60, prot : 4; /* enum pt_prot */
};

struct vm {
	struct object obj;
	uint32_t id;                      /* [I] */
	char name[HV_VM_NAME_MAX];        /* [I] */
	struct spinlock lock;             /* state, claims, slots */
	enum hv_vm_state state;           /* [L:lock], read anywhere */
	enum hv_vm_reason reason;         /* [L:lock] */
	uint64_t detail;                  /* [L:lock] */
	unsigned n_vcpus;                 /* [I] */
	struct vcpu *vcpus[HV_VCPUS_MAX]; /* [I] [owns] */
	struct sched_group group;
	struct account acct; /* overhead, RAM, everything it pays */
	struct spinlock npt_lock;
	struct pt npt; /* [L:npt_lock] */
	uint64_t ram_pages;
	struct mem *slots[HV_SLOTS]; /* [L:lock] counted */
	struct hv_vm_page *page;     /* slots[HV_SLOT_PAGE], hv's address */
	struct spinlock park_lock;
	struct claim_table claims[2]; /* [L:lock] to change; by enum hv_space */
	struct vm_span
		spans[VM_MAPPED_MAX]; /* changes while it is stopped: behind the leaves of npt */
	unsigned n_spans;
	bool has_holes; /* changes while no vCPU runs: the objects of some have, or had */
	bool paused;    /* by its owner: a reset does not end that. Hypercalls only, hv_lock */
	bool dead;      /* [L:lock] destroyed; only the references are left */
	struct spinlock irq_lock; /* PIC, IO-APIC, PIT, lines */
	struct vpic *vpic;
	struct vioapic *vioapic;
	struct vpit *vpit;
	struct vuart *vuart;       /* its own lock */
	struct cpuid_table *cpuid; /* [I] what CPUID shows this VM */
	uint32_t clock_version;
	uint64_t wall_msr;
	/* What the guest's TSC and clock are ahead of the host's, modulo 2^64; not 0 only after a load (state.c). Changed
	 * while no vCPU runs. */
	uint64_t tsc_offset, ns_offset;
	uint32_t vmm_instances;                   /* hypercalls only, hv_lock */
	struct vm_notify notify;                  /* [L:lock] */
	uint64_t parks, doorbells, irqs_injected; /* [a] */
	struct vm *next;                          /* list of all VMs by id */
};

int vm_create(const struct hv_vm_create *in, struct mem *console, struct vm **out) MUST_CHECK;
void vm_destroy(struct vm *vm); /* stops and unpublishes it; memory goes with the last reference */
int vm_map(struct vm *vm, struct mem *m, uint64_t page_off, gpa_t gpa, uint64_t pages,
	   unsigned prot) MUST_CHECK;
int vm_attach(struct vm *vm, unsigned slot, struct mem *m) MUST_CHECK; /* m NULL: drop */
int vm_control(struct vm *vm, enum hv_vm_control what, uint64_t arg) MUST_CHECK;
int vm_reset(struct vm *vm) MUST_CHECK;
/* state.c; one of the two is given: the machine's record, or that of vCPU `index` */
int vm_save_machine(struct vm *vm, struct hv_state_machine *out) MUST_CHECK;
int vm_load_machine(struct vm *vm, const struct hv_state_machine *in) MUST_CHECK;
int vm_save_vcpu(struct vm *vm, unsigned index, struct hv_state_vcpu *out) MUST_CHECK;
int vm_load_vcpu(struct vm *vm, unsigned index, const struct hv_state_vcpu *in) MUST_CHECK;
/* The vCPU's registers may be touched: it is off its CPU and stays so. STATE: the VM runs. */
int vm_quiet_vcpu(struct vm *vm, unsigned index, struct vcpu **out) MUST_CHECK;
void vm_info(struct vm *vm, struct hv_vm_info *out);
unsigned vm_console_in(struct vm *vm, const uint8_t *bytes, unsigned len); /* vuart.c */
int vm_claim(struct vm *vm, unsigned space, uint64_t base, uint64_t len, unsigned kind,
	     unsigned bit) MUST_CHECK;
int vm_unclaim(struct vm *vm, unsigned space, uint64_t base, uint64_t len) MUST_CHECK;
int vm_irq_line(struct vm *vm, unsigned gsi,
		bool level) MUST_CHECK; /* vdev.c; INVAL: hv's own line or none */
int vm_msi(struct vm *vm, uint64_t address, uint32_t data) MUST_CHECK; /* vdev.c */
int vm_vcpu_set(struct vm *vm, unsigned index, const struct hv_vcpu_regs *in) MUST_CHECK;
int vm_vcpu_get(struct vm *vm, unsigned index, struct hv_vcpu_regs *out) MUST_CHECK;
int vm_vcpu_resume(struct vm *vm, unsigned index, uint64_t seq, uint64_t value) MUST_CHECK;
/* fill.c. A page of a span that is a hole gets a frame. NOENT: no span is there. NOMEM: the VM was paused (vm_stall), and
 * the access is to be made again when it runs. */
int vm_fill(struct vm *vm, gpa_t gpa) MUST_CHECK;
/* Memory for a hole is not there: the VM is paused until its owner resumes it. Any context. */
void vm_stall(struct vm *vm, gpa_t gpa);
/* Until vm_go_on no vCPU runs; when this returns none does. Independent of the VM's state. No lock. */
void vm_hold(struct vm *vm);
void vm_go_on(struct vm *vm);
/* Between the two: what was mapped is gone. */
void vm_forget_translations(struct vm *vm);
struct vm *vm_next(uint32_t above_id); /* referenced; NULL at the end */
uint64_t vm_pages_of_all(void);        /* charged to VMs */
/* Ends the VM because of its guest or its vmm. Any context. */
void vm_crash(struct vm *vm, enum hv_vm_reason reason, uint64_t detail);

/* ---- inside vm/: one access to a port or to device memory (claim.c, park.c) ---- */
int claim_add(struct claim_table *t, uint64_t base, uint64_t end, uint16_t what) MUST_CHECK;
int claim_remove(struct claim_table *t, uint64_t base, uint64_t end) MUST_CHECK;
/* The claim that covers the whole access: kind << 8 | bit; -1: nobody's. No lock. *hint: where it was found last; any
 * value is good. */
int claim_find(const struct claim_table *t, uint64_t addr, uint64_t width, uint32_t *hint);
void claim_ring(struct vm *vm, unsigned bit);
void claim_park(struct vcpu *v, enum hv_access access, uint64_t addr, unsigned width,
		uint64_t value);
uint64_t park_answer(struct vcpu *v); /* takes what VCPU_RESUME left; ATT_ANSWER was set */
void park_forget(struct vcpu *v);     /* reset: the record is done with */

/* pio.c, mmio.c: begin an access from v->exit, and go on with the vmm's answer. */
void exit_pio(struct vcpu *v);
void exit_mmio(struct vcpu *v);
void pio_answered(struct vcpu *v, uint64_t value);
void mmio_answered(struct vcpu *v, uint64_t value);

/* run.c: a vCPU that does not run */
void vcpu_reset(
	struct
	vcpu *v); /* power-on state: number 0 starts at the reset vector, the others wait for SIPI */
void vcpu_start_at(struct vcpu *v, const struct hv_vcpu_regs *in, bool runnable);
/* exit.c: what v->exit asks for. */
extern void (*const exit_table[HV_EXIT_KINDS])(struct vcpu *v);

/* ---- inside vm/: exits (exit.c) to devices ---- */
/* Devices answer at once. Ports and MMIO that hv itself models; false: not mine. */
#define VDEV_PIO_END 0x4d2u /* from here on hv models no port */
bool vdev_pio(struct vcpu *v, uint16_t port, unsigned width, bool write,
	      uint64_t *value); /* vdev.c: PIC, PIT, UART, 0x61, 0x80 ... */
bool vdev_mmio(struct vcpu *v, gpa_t gpa, unsigned width, bool write,
	       uint64_t *value); /* vdev.c: LAPIC, IO-APIC */

/* vlapic.c. "any": any CPU may call it; it sets ATT_IRQ, unblocks BLOCK_HALT and kicks.
 * ATT_IRQ is also set (without a kick) by the vCPU's own accesses when an interrupt may have become takeable: the run
 * loop clears it, asks vlapic_pending() and wants a window if it cannot inject. INIT: ATT_INIT, unblocks BLOCK_HALT.
 * SIPI: v->sipi_vector and ATT_SIPI, unblocks BLOCK_INIT; the run loop handles ATT_INIT before ATT_SIPI, ignores a
 * SIPI unless the vCPU waits for one, and starts at CS = vector << 8, base = vector << 12, IP = 0. */
int vlapic_create(struct vcpu *v);
void vlapic_destroy(struct vcpu *v);
void vlapic_reset(struct vcpu *v); /* power-on: xAPIC mode */
void vlapic_init(struct vcpu *v);  /* INIT: IA32_APIC_BASE stays (SDM3 11.4.7.3) */
int vlapic_msr(
	struct vcpu *v, uint32_t msr, bool write,
	uint64_t *
		value); /* APIC_BASE, 0x800-0x83f, TSC_DEADLINE; HVE_NOENT: not mine, HVE_INVAL: #GP */
void vlapic_mmio(struct vcpu *v, unsigned offset, bool write, uint32_t *value);
void vlapic_accept(struct vcpu *v, uint8_t vector, bool level); /* any */
int vlapic_pending(
	struct vcpu *v); /* the vector that may be taken now, -1: none; merges what others posted */
void vlapic_take(struct vcpu *v, uint8_t vector); /* IRR -> ISR */
/* Where the CPU keeps the APIC (vendor->apic): what was posted goes to it. True: it would deliver one if IF is set. */
bool vlapic_hand_over(struct vcpu *v);
/* It left a write to the register at that offset of its page to us. */
void vlapic_written(struct vcpu *v, unsigned offset);
bool vlapic_takes_pic(struct vcpu *v); /* LINT0 is ExtINT and unmasked, or the APIC is off */
bool vlapic_send(struct vcpu *from, struct vm *vm, uint64_t dest, bool logical, unsigned mode,
		 uint8_t vector, bool level, unsigned shorthand,
		 bool x2apic_dest); /* any; false: nobody took it */
uint64_t vlapic_base(struct vcpu *v);
uint64_t vlapic_cr8(struct vcpu *v);
void vlapic_set_cr8(struct vcpu *v, uint64_t cr8);
void vlapic_save(struct vcpu *v, struct hv_state_lapic *out); /* these two: it has no turn */
int vlapic_load(struct vcpu *v, const struct hv_state_lapic *in) MUST_CHECK; /* after a reset */

int vm_devices_create(struct vm *vm);
void vm_devices_destroy(struct vm *vm);
void vm_devices_reset(struct vm *vm);
int vpic_pending(struct vm *vm); /* a PIC interrupt waits; -1: none. Does not acknowledge */
int vpic_take(struct vm *vm);    /* acknowledges -> vector */
void vioapic_eoi(struct vm *vm, uint8_t vector); /* any */

/* cpuid.c, msr.c, pvclock.c */
#define XCR0_OFFERED 0xe7ull /* x87, SSE, AVX, AVX-512 (3); PKRU, AMX, CET are not */
void vcpu_cpuid(struct vcpu *v);
int vcpu_msr(struct vcpu *v, uint32_t msr, bool write,
	     uint64_t *value) MUST_CHECK; /* HVE_INVAL: #GP */
int pvclock_msr(struct vcpu *v, uint32_t msr, bool write, uint64_t *value) MUST_CHECK;
void pvclock_refresh(struct vcpu *v);
bool vcpu_xcr0_valid(uint64_t xcr0); /* exit.c */
int pv_hypercall(struct vcpu *v);    /* KVM_HC_*: number in rax, result to rax */

/* The turn of a vCPU: sched_ops.run. */
extern const struct sched_ops vcpu_sched_ops;

#endif
