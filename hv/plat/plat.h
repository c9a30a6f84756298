/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine: serial port, ACPI static tables, local APICs, IO-APICs, time. What the rest of hv needs of it.
 */
#ifndef HV_PLAT_PLAT_H
#define HV_PLAT_PLAT_H

#include "hv/lib/types.h"

/* ---- time: monotonic nanoseconds from the TSC (calibrated at boot), the same on all CPUs ---- */
extern uint64_t tsc_khz;
extern uint64_t tsc_base, tsc_mult; /* ns = (tsc - tsc_base) * tsc_mult >> 32 */
uint64_t time_now(void);
uint64_t time_from_tsc(uint64_t tsc);
uint64_t time_to_tsc(uint64_t ns);

/* ---- timers: one-shot callbacks at an absolute time, on the CPU that armed them, interrupts off ---- */
struct timer {
	uint64_t deadline;                    /* [L:queue] ns; meaningful while armed */
	void (*fire)(struct timer *t);        /* [I] */
	struct timer *child, *sibling, *prev; /* [L:queue] pairing heap */
	int cpu;                              /* [L:queue] where it is armed; -1: not */
};
void timer_init(struct timer *t, void (*fire)(struct timer *));
/* arm and cancel of one timer are serialised by its owner. arm moves it to this CPU's queue. After cancel fire is not
 * running (but for the one that calls it): never cancel with a lock held that fire takes. */
void timer_arm(struct timer *t, uint64_t deadline_ns);
void timer_cancel(struct timer *t);

/* ---- interrupts ---- */
/* VEC_KICK and VEC_FLUSH: irq_set_ipi_handler (init.h). */
enum vector {
	VEC_FIRST_DEVICE = 0x30,
	VEC_LAST_DEVICE = 0xdf,
	VEC_TIMER = 0xf0,
	VEC_KICK = 0xf1,
	VEC_FLUSH = 0xf2,
	VEC_STOP = 0xf3,
	VEC_POSTED = 0xf4, /* to a guest; in hv it says nothing (vm/vlapic_irq.c) */
	VEC_SPURIOUS = 0xff,
};
void ipi_send(unsigned cpu_index, enum vector v);
void ipi_stop_others(void);         /* NMI; for panic */
void irq_dispatch(unsigned vector); /* from entry code and after a VM exit; does the EOI */
/* Takes the pending physical interrupt now (sti; nop; cli). */
void irq_take_pending(void);

/* Device interrupts. fire is called on the CPU that takes it, after masking when level; after irq_release it is not
 * running (no lock held that it takes). flags: HVI_*; for ISA interrupts (gsi < 16) ACPI knows better. */
typedef void (*irq_fire_t)(void *ctx);
int irq_alloc_gsi(unsigned gsi, unsigned flags, irq_fire_t fire, void *ctx,
		  unsigned *irq) MUST_CHECK;
int irq_alloc_msi(irq_fire_t fire, void *ctx, unsigned *irq, uint64_t *address,
		  uint32_t *data) MUST_CHECK;
void irq_unmask(unsigned irq);
void irq_release(unsigned irq);
extern uint64_t irq_unclaimed;

/* ---- PCI configuration space (CF8/CFC under a lock, ECAM where MCFG gives it) ---- */
int pci_config_read(uint32_t bdf, unsigned offset, unsigned width, uint32_t *value) MUST_CHECK;
int pci_config_write(uint32_t bdf, unsigned offset, unsigned width, uint32_t value) MUST_CHECK;

/* ---- the rest ---- */
/* May a program map it: above 1 MiB, no RAM, no APIC, no HPET, no ECAM, no ACPI table. */
bool plat_is_device_memory(hpa_t start, hpa_t end);
NORETURN void plat_reboot(void);
void plat_power_off(void);     /* returns if the machine has no way */
uint64_t plat_rtc_epoch(void); /* UTC seconds now, by asking the clock chip: slow; 0: unreadable */
extern uint64_t plat_boot_epoch; /* [I] UTC seconds when time_now() was 0; 0: unknown */
void uart_init(void);
void uart_write(const char *text, size_t len);
unsigned uart_room(void); /* so many bytes can be written before a writer waits; about */
int uart_read(
	void); /* a byte that came, 0 for one that came broken; -1: none. One caller at a time */

#endif
