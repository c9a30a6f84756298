/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI tables: RSDP, XSDT, FADT, FACS, MADT, MCFG and the compiled DSDT, one behind the other. There is no
 * RSDT: systems that know only ACPI 1.0 do not run on x86-64 virtual machines.
 */
#include "ctrl-kernel/vmm/tables.h"
#include "ctrl-kernel/vmm/acpi.h"
#include "ctrl-kernel/vmm/layout.h"

#include <string.h>

/* FADT flags, 5.2.9 table 5.10, and boot architecture flags, table 5.11 */
#define FADT_WBINVD 0x1u
#define FADT_PROC_C1 0x4u
#define FADT_NO_SLEEP_BUTTON 0x20u /* not a fixed feature; and the DSDT has none */
#define FADT_NO_FIXED_RTC 0x40u
#define FADT_TIMER_32 0x100u
#define FADT_RESET_REG 0x400u
#define FADT_NO_C2_LATENCY 101u  /* > 100: no C2 */
#define FADT_NO_C3_LATENCY 1001u /* > 1000: no C3 */
#define BOOT_LEGACY_DEVICES 0x1u
#define BOOT_NO_VGA 0x4u
#define BOOT_NO_ASPM 0x10u
#define RESET_CPU_AND_SYSTEM 6u

#define GAS_PORT 1u
#define MADT_PCAT_COMPAT 1u
#define MADT_ENABLED 1u
#define MADT_LEVEL_HIGH 0x0du /* 5.2.12.5: polarity 01, trigger 11 */
#define MADT_ALL_CPUS 0xffu
#define RSDP_V1_BYTES 20u

struct cursor {
	uint8_t *area; /* guest memory at GPA_TABLES */
	size_t used, size;
};

/* Room for one table, 16-aligned (FACS wants 64); NULL when the area is full. */
static void *room(struct cursor *c, size_t bytes, size_t align)
{
	size_t at = (c->used + align - 1) & ~(align - 1);

	if (at > c->size || bytes > c->size - at)
		return NULL;
	c->used = at + bytes;
	memset(c->area + at, 0, bytes);
	return c->area + at;
}

static uint64_t gpa_of(const struct cursor *c, const void *table)
{
	return GPA_TABLES + (uint64_t)((const uint8_t *)table - c->area);
}

static uint8_t checksum(const void *table, size_t bytes)
{
	const uint8_t *p = table;
	uint8_t sum = 0;

	for (size_t i = 0; i < bytes; i++)
		sum = (uint8_t)(sum + p[i]);
	return (uint8_t)(0 - sum);
}

static void seal(struct acpi_header *h, const char *signature, uint8_t revision, size_t bytes)
{
	memcpy(h->signature, signature, 4);
	h->length = (uint32_t)bytes;
	h->revision = revision;
	memcpy(h->oem_id, "SOCLE ", 6);
	memcpy(h->oem_table_id, "SOCLEVM ", 8);
	h->oem_revision = 1;
	memcpy(h->creator_id, "SOCL", 4);
	h->creator_revision = 1;
	h->checksum = 0;
	h->checksum = checksum(h, bytes);
}

static struct acpi_gas port_gas(unsigned port, unsigned bytes, unsigned access)
{
	return (struct acpi_gas){GAS_PORT, (uint8_t)(bytes * 8), 0, (uint8_t)access, port};
}

static uint64_t facs_add(struct cursor *c)
{
	struct acpi_facs *t = room(c, sizeof(*t), 64);

	if (!t)
		return 0;
	memcpy(t->signature, "FACS", 4);
	t->length = sizeof(*t);
	t->version = 2;
	return gpa_of(c, t);
}

static uint64_t dsdt_add(struct cursor *c, const void *dsdt, size_t bytes)
{
	void *t = room(c, bytes, 16);

	if (!t)
		return 0;
	memcpy(t, dsdt, bytes);
	return gpa_of(c, t);
}

/* Both the 32-bit and the 64-bit fields: systems differ in which they read. */
static void fadt_registers(struct acpi_fadt *t)
{
	t->pm1a_event = PORT_PM;
	t->pm1_event_len = 4;
	t->x_pm1a_event = port_gas(PORT_PM, 4, 2);
	t->pm1a_control = PORT_PM + 4;
	t->pm1_control_len = 2;
	t->x_pm1a_control = port_gas(PORT_PM + 4, 2, 2);
	t->pm_timer = PORT_PM + 8;
	t->pm_timer_len = 4;
	t->x_pm_timer = port_gas(PORT_PM + 8, 4, 3);
	t->gpe0 = PORT_GPE0;
	t->gpe0_len = PORT_GPE0_LEN;
	t->x_gpe0 = port_gas(PORT_GPE0, PORT_GPE0_LEN, 1);
	t->reset = port_gas(PORT_RESET, 1, 1);
	t->reset_value = RESET_CPU_AND_SYSTEM;
}

static uint64_t fadt_add(struct cursor *c, uint64_t facs, uint64_t dsdt)
{
	struct acpi_fadt *t = room(c, sizeof(*t), 16);

	if (!t)
		return 0;
	t->facs = (uint32_t)facs;
	t->dsdt = (uint32_t)dsdt;
	t->x_dsdt = dsdt; /* X_FIRMWARE_CTRL must be 0 when the 32-bit field is used (5.2.9) */
	t->sci_int = GSI_SCI;
	t->c2_latency = FADT_NO_C2_LATENCY;
	t->c3_latency = FADT_NO_C3_LATENCY;
	t->century = 0x32;                                               /* CMOS cell, rtc.c */
	t->boot_arch = BOOT_LEGACY_DEVICES | BOOT_NO_VGA | BOOT_NO_ASPM; /* and no 8042 */
	t->flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_SLEEP_BUTTON | FADT_NO_FIXED_RTC |
		   FADT_TIMER_32 | FADT_RESET_REG;
	t->minor_revision = 4;
	memcpy(&t->hypervisor_id, "SOCLE\0\0", 8);
	fadt_registers(t);
	seal(&t->h, "FACP", 6, sizeof(*t));
	return gpa_of(c, t);
}

static uint8_t *override_put(uint8_t *at, unsigned irq, unsigned gsi, unsigned flags)
{
	struct acpi_madt_override o = {
		.type = 2,
		.length = sizeof(o),
		.source = (uint8_t)irq,
		.gsi = gsi,
		.flags = (uint16_t)flags,
	};

	memcpy(at, &o, sizeof(o));
	return at + sizeof(o);
}

/* APIC id = vCPU number (hv). The PIT's IRQ 0 arrives at pin 2 as on every PC; NMI at LINT1. */
static uint64_t madt_add(struct cursor *c, unsigned vcpus)
{
	struct acpi_madt_ioapic ioapic = {.type = 1, .length = sizeof(ioapic)};
	struct acpi_madt_nmi nmi = {.type = 4, .length = sizeof(nmi), .uid = MADT_ALL_CPUS};
	size_t bytes = sizeof(struct acpi_madt) + vcpus * sizeof(struct acpi_madt_lapic) +
		       sizeof(ioapic) + 2 * sizeof(struct acpi_madt_override) + sizeof(nmi);
	struct acpi_madt *t = room(c, bytes, 16);
	uint8_t *at;

	if (!t)
		return 0;
	at = (uint8_t *)(t + 1);
	t->lapic = (uint32_t)HV_GPA_LAPIC;
	t->flags = MADT_PCAT_COMPAT;
	for (unsigned i = 0; i < vcpus; i++) {
		struct acpi_madt_lapic l = {0, sizeof(l), (uint8_t)i, (uint8_t)i, MADT_ENABLED};

		memcpy(at, &l, sizeof(l));
		at += sizeof(l);
	}
	ioapic.address = (uint32_t)HV_GPA_IOAPIC;
	memcpy(at, &ioapic, sizeof(ioapic));
	at = override_put(at + sizeof(ioapic), 0, 2, 0);
	at = override_put(at, GSI_SCI, GSI_SCI, MADT_LEVEL_HIGH);
	nmi.lint = 1;
	memcpy(at, &nmi, sizeof(nmi));
	seal(&t->h, "APIC", 5, bytes);
	return gpa_of(c, t);
}

static uint64_t mcfg_add(struct cursor *c)
{
	struct acpi_mcfg *t = room(c, sizeof(*t), 16);

	if (!t)
		return 0;
	t->base = HV_GPA_ECAM;
	seal(&t->h, "MCFG", 1, sizeof(*t));
	return gpa_of(c, t);
}

static uint64_t xsdt_add(struct cursor *c, const uint64_t *tables, unsigned n)
{
	size_t bytes = sizeof(struct acpi_header) + n * sizeof(*tables);
	struct acpi_header *t = room(c, bytes, 16);

	if (!t)
		return 0;
	memcpy(t + 1, tables, n * sizeof(*tables));
	seal(t, "XSDT", 1, bytes);
	return gpa_of(c, t);
}

static void rsdp_fill(struct acpi_rsdp *r, uint64_t xsdt)
{
	memcpy(r->signature, "RSD PTR ", 8);
	memcpy(r->oem_id, "SOCLE ", 6);
	r->revision = 2;
	r->length = sizeof(*r);
	r->xsdt = xsdt;
	r->checksum = checksum(r, RSDP_V1_BYTES);
	r->extended_checksum = checksum(r, sizeof(*r));
}

_Static_assert(TABLES_RSDP == GPA_TABLES, "the RSDP is first");

bool tables_build(const struct guest *g, unsigned vcpus, const void *dsdt, size_t dsdt_bytes)
{
	struct cursor c = {.size = GPA_TABLES_END - GPA_TABLES};
	struct acpi_rsdp *rsdp;
	uint64_t facs_gpa, dsdt_gpa, tables[3], xsdt;

	c.area = guest_at(g, GPA_TABLES, c.size);
	if (!c.area)
		return false;
	rsdp = room(&c, sizeof(*rsdp), 16);
	facs_gpa = facs_add(&c);
	dsdt_gpa = dsdt_add(&c, dsdt, dsdt_bytes);
	tables[0] = fadt_add(&c, facs_gpa, dsdt_gpa);
	tables[1] = madt_add(&c, vcpus);
	tables[2] = mcfg_add(&c);
	xsdt = xsdt_add(&c, tables, 3);
	if (!dsdt_gpa || !tables[0] || !tables[1] || !tables[2] || !xsdt)
		return false;
	rsdp_fill(rsdp, xsdt);
	return true;
}
