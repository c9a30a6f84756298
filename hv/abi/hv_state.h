/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of a VM as HVC_VM_SAVE gives and HVC_VM_LOAD takes it: one record for the machine (platform devices, clock),
 * one for each vCPU. Guest memory and the vmm's survivor pages are not in it. Plain data, little-endian, no pointers,
 * reserved bytes 0; HV_STATE_VERSION changes with every change of layout or meaning.
 *
 * Times are relative: left until it is due, gone since it began. The guest's TSC and clock go on from the values here,
 * so that for the guest no time passes between save and load.
 *
 * What is loaded may come from anywhere: HVC_VM_LOAD checks all that hv or the CPU rely on (HVE_INVAL). Nonsense that
 * only concerns the guest is the guest's: it crashes by itself.
 */
#ifndef HV_ABI_STATE_H
#define HV_ABI_STATE_H

#include "hv/abi/hv_vm.h"

#define HV_STATE_VERSION 1u
#define HV_STATE_MACHINE 0xffffu /* in place of a vCPU's number */
#define HV_STATE_XSAVE 2688u     /* XSAVE area, standard format, up to component 7 */
#define HV_STATE_UART_IN 256u

/* ---- the machine ------------------------------------------------------------------------------------- */
struct hv_state_pic { /* 8259A; master, slave */
	uint8_t irr, isr, imr, lines, elcr, base;
	uint8_t first;     /* input with the highest priority */
	uint8_t init_step; /* ICW expected next: 0 none, 2, 3, 4 */
	uint8_t want_icw4, auto_eoi, rotate_aeoi, special_mask, nested, read_isr, poll;
	uint8_t reserved;
};

struct hv_state_pit_channel { /* 8254 */
	uint64_t gone_ns;     /* since counting from `count` began */
	uint64_t stopped_ns;  /* gate low in modes 0 and 4: how long it had counted */
	uint32_t count;       /* 0: none yet; 1..65536 */
	uint16_t latch;
	uint8_t mode, access, status, latched, low;
	uint8_t high_next_r, high_next_w, bcd, gate, armed, status_latched;
	uint8_t reserved[7];
};

struct hv_state_machine {
	uint32_t version; /* HV_STATE_VERSION */
	uint32_t virt;    /* enum hv_virt */
	uint32_t vcpus;
	uint32_t tsc_khz;
	uint64_t tsc;       /* the guest's, when it was saved */
	uint64_t ns;        /* its paravirtual clock then */
	uint64_t features;  /* a sum over what CPUID shows the guest: another CPU gives another */
	uint64_t xcr0_mask; /* components in the XSAVE areas */
	uint64_t wall_msr;  /* KVM_WALL_CLOCK as written */
	uint32_t wall_version;
	uint32_t ioapic_lines, ioapic_select, ioapic_id;
	uint64_t ioapic_redir[HV_IOAPIC_PINS];
	struct hv_state_pic pic[2];
	struct hv_state_pit_channel pit[3];
	uint64_t pit_left_ns; /* until IRQ 0, 0: never */
	uint8_t pit_speaker;
	uint8_t uart_ier, uart_fcr, uart_lcr, uart_mcr, uart_scr, uart_dll, uart_dlm;
	uint8_t uart_thre, uart_overrun, uart_line;
	uint8_t reserved;
	uint16_t uart_in_len;
	uint16_t reserved2;
	uint8_t uart_in[HV_STATE_UART_IN]; /* oldest first */
};
_Static_assert(sizeof(struct hv_state_machine) == 696, "plain data, no padding");

/* ---- a vCPU ------------------------------------------------------------------------------------------ */
enum hv_state_event_type { HV_SEV_NONE, HV_SEV_INTR, HV_SEV_NMI, HV_SEV_EXCEPTION };
struct hv_state_event { /* to be delivered before the next instruction */
	uint8_t type;   /* enum hv_state_event_type */
	uint8_t vector, has_error, reserved;
	uint32_t error;
};

enum hv_state_flags {
	HV_SF_HALTED = 1,
	HV_SF_WAIT_SIPI = 2,
	HV_SF_NMI_PENDING = 4,
	HV_SF_NMI_BLOCKED = 8, /* in an NMI handler */
	HV_SF_SHADOW = 16,     /* no interrupt before the next instruction but one (STI, MOV SS) */
	HV_SF_INIT = 32,       /* received and not carried out yet */
	HV_SF_SIPI = 64,       /* the same; sipi_vector */
	HV_SF_ALL = 127
};

struct hv_state_lapic {
	uint64_t base; /* IA32_APIC_BASE */
	uint64_t irr[4], isr[4], tmr[4];
	uint32_t tpr, svr, ldr, dfr, esr, errors, tmict, tdcr;
	uint64_t icr;
	uint32_t lvt[6]; /* timer, thermal, performance, LINT0, LINT1, error */
	uint64_t timer_left_ns, timer_period_ns; /* one-shot, periodic; 0: stopped */
	uint64_t tsc_deadline;                   /* in the guest's TSC, 0: stopped */
};

struct hv_state_vcpu {
	struct hv_vcpu_regs regs; /* runnable: not looked at, see flags */
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip, pat, tsc_aux;
	uint64_t dr[4], dr6, dr7;
	uint64_t clock_msr; /* KVM_SYSTEM_TIME as written */
	uint32_t clock_version;
	uint32_t flags;              /* enum hv_state_flags */
	struct hv_state_event event; /* on its way into the guest */
	uint32_t held;               /* 1: an interrupt that was broken off, held_vector */
	uint32_t held_vector;
	uint32_t sipi_vector;
	uint32_t reserved;
	struct hv_state_lapic lapic;
	uint64_t xcr0;
	uint32_t xsave_bytes;
	uint32_t reserved2;
	uint8_t xsave[HV_STATE_XSAVE];
};
_Static_assert(sizeof(struct hv_state_vcpu) <= 4096, "a page");

#endif
