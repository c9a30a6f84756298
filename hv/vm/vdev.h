/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the platform devices in hv/vm share with each other and with nobody else. The run loop and the hypercalls
 * use hv/vm/vm.h.
 */
#ifndef HV_VM_VDEV_H
#define HV_VM_VDEV_H

#include "hv/abi/hv_state.h"
#include "hv/cpu/x86.h"
#include "hv/vm/vm.h"

#ifdef HOST_TEST /* the tests say what the CPU says */
struct cpuid cpuid(uint32_t leaf, uint32_t subleaf);
uint64_t rdtsc(void);
uint64_t xgetbv(uint32_t reg);
#endif

/* Periodic timers of guests tick at most every 100 us; what falls between is coalesced. A guest must not be able to
 * keep a CPU busy with timer interrupts of its own making. */
#define VDEV_PERIOD_MIN_NS 100000ull

/* The first tick after `now` on the raster that `last` and period_ns give: missed ticks are coalesced into one. */
static inline uint64_t vdev_next_tick(uint64_t last, uint64_t period_ns, uint64_t now)
{
	if (last + period_ns > now)
		return last + period_ns;
	return now + period_ns - (now - last) % period_ns;
}

/* A paused VM needs no exact ticks: its periodic timers ring seldom, and coalesce. (Nobody pauses to pay 10000 interrupts
 * a second for each vCPU.) */
#define VDEV_PAUSED_NS 10000000ull

static inline uint64_t vdev_alarm(const struct vm *vm, uint64_t deadline, uint64_t now)
{
	if (LIKELY(__atomic_load_n(&vm->state, __ATOMIC_RELAXED) != HV_VM_PAUSED))
		return deadline;
	return MAX(deadline, now + VDEV_PAUSED_NS);
}

/* Sets attention bits of any vCPU and makes it look at them. */
static inline void vcpu_attend(struct vcpu *v, uint32_t bits, uint32_t unblock)
{
	__atomic_fetch_or(&v->attention, bits, __ATOMIC_SEQ_CST);
	sched_unblock(&v->ent, unblock);
	sched_kick(&v->ent);
}

/* Delivery modes of ICR, LVT, IO-APIC and MSI (SDM3 11.5.1, 11.6.1). */
enum apic_mode {
	APIC_FIXED = 0,
	APIC_LOWEST = 1,
	APIC_SMI = 2,
	APIC_NMI = 4,
	APIC_INIT = 5,
	APIC_STARTUP = 6,
	APIC_EXTINT = 7,
};

/* Drives an interrupt line: 0..15 reach the PICs, all reach the IO-APIC (line 0 as pin 2). Takes vm->irq_lock. */
void vdev_line(struct vm *vm, unsigned gsi, bool level);
void vdev_line_locked(struct vm *vm, unsigned gsi, bool level); /* the caller holds vm->irq_lock */

/* vpic.c; the caller holds vm->irq_lock */
struct vpic_chip {
	uint8_t irr, isr, imr, lines; /* requests, in service, mask, level of the inputs */
	uint8_t elcr, elcr_mask;      /* level-triggered inputs; which may be */
	uint8_t base;                 /* ICW2 */
	uint8_t first;                /* input with the highest priority: rotation */
	uint8_t init_step;            /* ICW expected next: 0 none, 2, 3, 4 */
	bool want_icw4, auto_eoi, rotate_aeoi, special_mask, nested, read_isr, poll;
};
struct vpic {
	struct vpic_chip chip[2]; /* master, slave */
	uint32_t out;             /* [a] INTR of the master */
};
void vpic_reset(struct vm *vm);
void vpic_set(struct vm *vm, unsigned irq, bool level);
void vpic_save(const struct vm *vm, struct hv_state_machine *out);
int vpic_load(struct vm *vm, const struct hv_state_machine *in) MUST_CHECK;
uint8_t vpic_read(struct vm *vm, uint16_t port);
void vpic_write(struct vm *vm, uint16_t port, uint8_t value);

/* vioapic.c; the caller holds vm->irq_lock */
struct vioapic {
	uint64_t redir[HV_IOAPIC_PINS];
	uint32_t lines; /* level of the inputs */
	uint32_t select, id;
};
void vioapic_reset(struct vm *vm);
void vioapic_set(struct vm *vm, unsigned pin, bool level);
void vioapic_save(const struct vm *vm, struct hv_state_machine *out);
void vioapic_load(struct vm *vm, const struct hv_state_machine *in);
uint32_t vioapic_read(struct vm *vm, unsigned offset);
void vioapic_write(struct vm *vm, unsigned offset, uint32_t value);

/* vpit.c; the caller holds vm->irq_lock, except for destroy */
struct vpit_channel {
	uint64_t start_ns;   /* when counting from `count` began */
	uint64_t stopped_ns; /* gate low in modes 0 and 4: how long it had counted */
	uint32_t count;      /* 1..65536 */
	uint16_t latch;
	uint8_t mode, access, status;  /* control word: bits 1-3, 4-5; latched status */
	uint8_t latched;               /* bytes of the latch still to be read */
	uint8_t low;                   /* first byte of a two-byte write */
	bool high_next_r, high_next_w; /* which byte comes next */
	bool bcd, gate, armed,
		status_latched; /* armed: a count was written since the control word */
};
struct vpit {
	struct vm *vm; /* [borrows] */
	struct vpit_channel ch[3];
	struct timer timer;
	uint64_t deadline; /* of channel 0, 0: none */
	uint64_t period_ns;
	bool speaker;
};
void vpit_init(struct vm *vm);
void vpit_destroy(struct vm *vm);
void vpit_reset(struct vm *vm);
void vpit_save(const struct vm *vm, struct hv_state_machine *out);
int vpit_load(struct vm *vm, const struct hv_state_machine *in) MUST_CHECK;
uint8_t vpit_read(struct vm *vm, uint16_t port);
void vpit_write(struct vm *vm, uint16_t port, uint8_t value);

/* vuart.c; has its own lock */
#define VUART_QUEUE 256u
struct vuart {
	struct vm *vm; /* [borrows] */
	struct spinlock lock;
	struct hv_console *console; /* [borrows] page 0 of the console object; NULL: none */
	uint8_t *page;              /* [L:lock] ring page that head is in */
	uint64_t head;              /* [L:lock] our own copy: the shared one is only written */
	uint32_t notify;            /* [a] the owner will be told by the timer */
	struct timer timer;
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm; /* [L:lock] */
	bool thre, overrun, line;  /* [L:lock] THRE interrupt pending; IRQ 4 as driven */
	uint16_t in_first, in_len; /* [L:lock] */
	uint64_t dropped;          /* [L:lock] input lost to overruns and resets */
	uint8_t in[VUART_QUEUE];   /* [L:lock] */
};
void vuart_init(struct vm *vm);
void vuart_destroy(struct vm *vm);
void vuart_reset(struct vm *vm);
void vuart_save(struct vm *vm, struct hv_state_machine *out); /* these two take its lock */
int vuart_load(struct vm *vm, const struct hv_state_machine *in) MUST_CHECK;
uint8_t vuart_read(struct vm *vm, unsigned reg);
void vuart_write(struct vm *vm, unsigned reg, uint8_t value);

/* cpuid.c: what CPUID says, worked out when the VM is made */
enum {
	CPUID_BASIC = 0xe,    /* leaves 0 .. 0xd */
	CPUID_EXT = 0x1f,     /* leaves 0x80000000 .. 0x8000001e */
	CPUID_CACHES = 4,     /* sub-leaves of 4 and 0x8000001d */
	CPUID_COMPONENTS = 8, /* sub-leaves of 0xd: XSAVE state components 0 .. 7 */
};
struct cpuid_table {                     /* [I] */
	struct cpuid basic[CPUID_BASIC]; /* sub-leaf 0 */
	struct cpuid ext[CPUID_EXT];
	struct cpuid caches_intel[CPUID_CACHES], caches_amd[CPUID_CACHES];
	struct cpuid features1; /* leaf 7, sub-leaf 1 */
	struct cpuid xsave[CPUID_COMPONENTS];
	uint32_t n_vcpus;
	uint32_t shift; /* bits of an APIC ID that number the vCPUs of the one package */
};
void cpuid_build(struct vm *vm);

/* pvclock.c */
void pvclock_reset(struct vm *vm);

#endif
