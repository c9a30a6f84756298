/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How boot/ brings the machine up. uart_init() may come first of all; the rest in this order.
 */
#ifndef HV_PLAT_INIT_H
#define HV_PLAT_INIT_H

#include "hv/plat/plat.h"

/* Boot CPU, after mm_map_cpu_area(0), cpu_init, with cpus[0] set: ACPI, local APIC, IO-APICs, clock, timers, PCI.
 * rsdp: the loader's copy (20 or 36 bytes, rsdp_len), or NULL: search low memory. */
void plat_init(const void *rsdp, size_t rsdp_len);
/* Boot CPU, at the end: where an emulator forgets interrupts (heartbeat.c); elsewhere nothing. */
void heartbeat_init(void);
/* Each AP, after its cpu_init: local APIC, timer queue. */
void plat_init_ap(void);

/* APIC IDs of the usable CPUs, the boot CPU's first; at most max. */
unsigned plat_cpu_ids(uint32_t *apic_ids, unsigned max);
/* INIT, SIPI, SIPI. The trampoline is a page below 1 MiB. The caller waits for the AP's sign of life. */
void plat_start_ap(uint32_t apic_id, hpa_t trampoline);
/* Compares the TSCs: the boot CPU calls the first, the AP with that index the second, at the same time.
 * False on both sides: they differ by more than can be hidden; the AP must not be used. */
bool time_compare_boot(unsigned index);
bool time_compare_ap(unsigned index);

void time_delay_us(uint64_t us); /* busy wait; works before plat_init, then roughly */
/* VEC_KICK and VEC_FLUSH: what to do on this CPU; EOI is done. VEC_FLUSH starts as mm_flush_tlb. */
void irq_set_ipi_handler(enum vector v, void (*handler)(void));

#endif
