/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC of a vCPU. Posted design: any CPU sets bits in pir[] and then ATT_IRQ; only the vCPU itself (its run
 * loop and its exits) moves them to irr[] and touches isr[]. Registers are written by the vCPU only; other CPUs read
 * base, svr, ldr, dfr and lvt[] as single words.
 */
#ifndef HV_VM_VLAPIC_H
#define HV_VM_VLAPIC_H

#include "hv/vm/vdev.h"

#define APIC_BASE_BSP (1ull << 8)
#define APIC_BASE_X2 (1ull << 10)
#define APIC_BASE_EN (1ull << 11)

#define APIC_VERSION 0x50014u /* integrated, 6 LVT entries, no EOI-broadcast suppression */
#define SVR_ENABLE 0x100u
#define LVT_MASKED 0x10000u
#define LVT_MODE_SHIFT 17
#define ESR_SEND_VECTOR 0x20u
#define ESR_RECEIVE_VECTOR 0x40u
#define ESR_REGISTER 0x80u

/* Register numbers: the MMIO offset / 16 and the low byte of the x2APIC MSR (SDM3 table 11-6). */
enum apic_reg {
	APIC_ID = 0x02,
	APIC_VER = 0x03,
	APIC_TPR = 0x08,
	APIC_APR = 0x09,
	APIC_PPR = 0x0a,
	APIC_EOI = 0x0b,
	APIC_RRD = 0x0c,
	APIC_LDR = 0x0d,
	APIC_DFR = 0x0e,
	APIC_SVR = 0x0f,
	APIC_ISR = 0x10,
	APIC_TMR = 0x18,
	APIC_IRR = 0x20,
	APIC_ESR = 0x28,
	APIC_ICR = 0x30,
	APIC_ICR2 = 0x31,
	APIC_LVT = 0x32,
	APIC_TMICT = 0x38,
	APIC_TMCCT = 0x39,
	APIC_TDCR = 0x3e,
	APIC_SELF_IPI = 0x3f,
};
enum apic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };
enum apic_timer_mode { TIMER_ONESHOT = 0, TIMER_PERIODIC = 1, TIMER_DEADLINE = 2 };

struct vlapic {
	/* What the CPU takes notifications from, where it does: pir and posted (SDM3 30.6). Bochs 3.0 wants a page of its
	 * own for it, and has it: vlapic.c. */
	uint64_t pir[4] ALIGNED(64); /* [a] posted by others */
	uint32_t
		posted; /* [a] pir or late has something; set after the bit, cleared before the bits are taken */
	uint32_t posted_reserved[7];
	uint64_t
		late[4]; /* [a] while page: level-triggered ones posted by others (vlapic_virt.c) */
	struct vcpu *v;  /* [I] [borrows] */
	uint64_t base;   /* [p] IA32_APIC_BASE */
	uint64_t irr[4]; /* [p] */
	int irr_top;     /* [p] highest vector in irr, -1: none */
	/* [p] What is in service. Each was taken over the one before for its higher class, and there are 15 classes: so
	 * ISR is this stack, service[0] is 0, and depth < 16. */
	unsigned depth;
	uint8_t service[16];
	uint64_t tmr[4]; /* [a] */
	uint32_t
		*page; /* [p] [borrows] the vendor's: IRR, ISR, TPR and PPR are there; NULL: here */
	uint64_t watched[4]; /* [p] while page: the vectors whose EOI exits */
	uint32_t tpr, svr, ldr, dfr, esr, tmict, tdcr; /* [p] */
	uint32_t errors;                               /* [a] for the ESR */
	uint64_t icr;                                  /* [p] */
	uint32_t lvt[LVT_COUNT];                       /* [p] */
	struct spinlock timer_lock;
	struct timer timer;    /* armed under timer_lock only */
	uint64_t deadline;     /* [L:timer_lock] ns when the timer is due, 0: stopped */
	uint64_t period;       /* [L:timer_lock] ns, periodic mode */
	uint64_t tsc_deadline; /* [L:timer_lock] in the guest's TSC */
};

_Static_assert(offsetof(struct vlapic, pir) == 0 && offsetof(struct vlapic, posted) == 32 &&
		       offsetof(struct vlapic, late) == 64,
	       "posted-interrupt descriptor");

static inline bool vlapic_x2(const struct vlapic *l)
{
	return l->base & APIC_BASE_X2;
}

static inline bool vlapic_enabled(const struct vlapic *l)
{
	return (l->base & APIC_BASE_EN) && (l->svr & SVR_ENABLE);
}

/* vlapic_irq.c, by the vCPU itself */
int vlapic_eoi(struct vlapic *l);                      /* 0, for tail calls */
void vlapic_merge(struct vlapic *l);                   /* pir -> irr */
void vlapic_set_own(struct vlapic *l, uint8_t vector); /* an edge interrupt to itself */
void vlapic_look(struct vlapic *l);                    /* something may be takeable now */
void vlapic_set_tpr(struct vlapic *l, uint32_t tpr);   /* 8 bits */
uint32_t vlapic_ppr(const struct vlapic *l);
uint32_t vlapic_ldr(const struct vlapic *l);
void vlapic_error(struct vlapic *l, uint32_t bit); /* any CPU */

/* vlapic_virt.c */
void vlapic_virt_on(struct vlapic *l);  /* x2APIC mode has begun; by the vCPU itself */
void vlapic_virt_off(struct vlapic *l); /* it ends; the vCPU does not run elsewhere */
void vlapic_virt_tpr(struct vlapic *l, uint32_t tpr);                /* l->page */
void vlapic_virt_save(struct vlapic *l, struct hv_state_lapic *out); /* IRR, ISR, TPR; l->page */

/* vlapic_ipi.c */
void vlapic_icr_write(struct vlapic *l, uint64_t icr);

/* vlapic_timer.c, by the vCPU itself */
void vlapic_timer_init(struct vlapic *l);
void vlapic_timer_stop(struct vlapic *l);
void vlapic_timer_lvt(struct vlapic *l, uint32_t lvt);
void vlapic_timer_count(struct vlapic *l, uint32_t count);
uint32_t vlapic_timer_now(struct vlapic *l);
void vlapic_timer_divide(struct vlapic *l, uint32_t tdcr);
void vlapic_timer_deadline(struct vlapic *l, uint64_t tsc);
uint64_t vlapic_timer_deadline_read(struct vlapic *l);
void vlapic_timer_save(struct vlapic *l, struct hv_state_lapic *out); /* before IRR is looked at */
void vlapic_timer_load(struct vlapic *l, const struct hv_state_lapic *in); /* LVT is in place */

#endif
