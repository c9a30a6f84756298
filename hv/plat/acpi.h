/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the firmware's static ACPI tables say, in plain numbers. The parser is pure: it reads physical memory only
 * through acpi_phys_read() and writes only struct acpi_info, so it runs on the host under tests and a fuzzer.
 * Tables with a wrong length or checksum are ignored with a warning. Section numbers: ACPI 6.5.
 */
#ifndef HV_PLAT_ACPI_H
#define HV_PLAT_ACPI_H

#include "hv/lib/types.h"

#define ACPI_CPUS_MAX 256u
#define ACPI_IOAPICS_MAX 8u
#define ACPI_OVERRIDES_MAX 16u
#define ACPI_NMIS_MAX 16u
#define ACPI_MCFG_MAX 8u
#define ACPI_TABLES_MAX 64u

/* Generic Address Structure, 5.2.3.2. */
enum acpi_space { ACPI_MEMORY = 0, ACPI_IO = 1, ACPI_PCI = 2 };
struct acpi_gas {
	uint8_t space, bits, offset, access;
	uint64_t address; /* 0: not there */
};

struct acpi_ioapic {
	uint32_t id, address, gsi_base;
};
struct acpi_override { /* 5.2.12.5 */
	uint8_t irq;
	uint16_t flags; /* MPS INTI: polarity bits 0-1, trigger bits 2-3 */
	uint32_t gsi;
};
struct acpi_nmi {     /* 5.2.12.7: this CPU's LINT pin is wired to NMI */
	bool all;     /* every CPU */
	uint32_t uid; /* else the CPU with this ACPI id */
	uint16_t flags;
	uint8_t lint;
};
struct acpi_cpu {
	uint32_t apic_id, uid;
};
struct acpi_mcfg {
	uint64_t base; /* of bus 0, even when first_bus is not 0 */
	uint16_t segment;
	uint8_t first_bus, last_bus;
};
struct acpi_table {
	hpa_t start;
	uint32_t length;
};

struct acpi_info {
	/* MADT */
	bool has_madt, has_pic;
	uint64_t lapic_base;
	unsigned n_cpus, n_cpus_dropped;
	struct acpi_cpu cpus[ACPI_CPUS_MAX];
	unsigned n_ioapics;
	struct acpi_ioapic ioapics[ACPI_IOAPICS_MAX];
	unsigned n_overrides;
	struct acpi_override overrides[ACPI_OVERRIDES_MAX];
	unsigned n_nmis;
	struct acpi_nmi nmis[ACPI_NMIS_MAX];
	/* FADT, 5.2.9 */
	bool has_fadt, has_reset, hw_reduced;
	uint32_t smi_command;
	uint8_t acpi_enable;
	uint32_t pm1a_control, pm1b_control; /* ports */
	uint32_t pm_timer;                   /* port, 0: none */
	bool pm_timer_32;
	uint8_t century; /* RTC index, 0: none */
	struct acpi_gas reset;
	uint8_t reset_value;
	struct acpi_gas sleep_control; /* hardware-reduced machines */
	bool has_s5;                   /* from the DSDT */
	uint8_t s5_a, s5_b;
	/* HPET, MCFG */
	uint64_t hpet;
	unsigned n_mcfg;
	struct acpi_mcfg mcfg[ACPI_MCFG_MAX];
	/* where the tables lie */
	unsigned n_tables;
	struct acpi_table tables[ACPI_TABLES_MAX];
};
extern struct acpi_info acpi; /* [I] after plat_init */

/* rsdp: a copy (len >= 20), or NULL: search low memory. HVE_NOENT: no usable RSDP or root table. */
int acpi_parse(const void *rsdp, size_t len, struct acpi_info *out) MUST_CHECK;

/* Physical memory of any kind, any length. plat.c; a test has its own. False: cannot be read. */
bool acpi_phys_read(void *to, hpa_t from, size_t len);

#endif
