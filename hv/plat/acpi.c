/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI table parser (acpi.h). Nothing in a table is believed: lengths are bounded, sums checked, counts capped,
 * and each record is copied before it is looked at. AML is not interpreted; only the sleep type of S5 is picked out
 * of the DSDT's bytes.
 */
#include "hv/plat/acpi.h"

#include "hv/abi/hv_abi.h"
#include "hv/lib/log.h"
#include "hv/lib/string.h"

#define TABLE_MAX (8u << 20) /* no table is longer; bounds the time for a checksum */
#define PIECE 256u

struct PACKED acpi_header { /* 5.2.6 */
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision, creator_id, creator_revision;
};
_Static_assert(sizeof(struct acpi_header) == 36, "ACPI 5.2.6");

struct PACKED acpi_rsdp { /* 5.2.5.3 */
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length; /* from here on: revision >= 2 */
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
};
#define RSDP_V1 20u
_Static_assert(sizeof(struct acpi_rsdp) == 36, "ACPI 5.2.5.3");

/* A table whose header and sum are good. */
struct table {
	hpa_t at;
	uint32_t length;
	uint8_t revision;
	char name[5];
};

static uint8_t sum(const void *p, size_t n)
{
	const uint8_t *bytes = p;
	uint8_t s = 0;

	for (size_t i = 0; i < n; i++)
		s = (uint8_t)(s + bytes[i]);
	return s;
}

static bool sum_is_good(hpa_t at, uint32_t length)
{
	uint8_t piece[PIECE];
	uint8_t s = 0;

	for (uint32_t done = 0; done < length;) {
		uint32_t n = MIN(PIECE, length - done);

		if (!acpi_phys_read(piece, at + done, n))
			return false;
		s = (uint8_t)(s + sum(piece, n));
		done += n;
	}
	return s == 0;
}

static void print_name(const char *signature, char out[5])
{
	for (unsigned i = 0; i < 4; i++)
		out[i] = signature[i] >= ' ' && signature[i] < 0x7f ? signature[i] : '?';
	out[4] = '\0';
}

static bool table_open(hpa_t at, struct table *t)
{
	struct acpi_header h;

	if (at == 0 || at > UINT64_MAX - TABLE_MAX || !acpi_phys_read(&h, at, sizeof(h)))
		return false;
	print_name(h.signature, t->name);
	if (h.length < sizeof(h) || h.length > TABLE_MAX) {
		log_printf("acpi: table %s at 0x%llx has length %u; ignored", t->name,
			   (unsigned long long)at, h.length);
		return false;
	}
	if (!sum_is_good(at, h.length)) {
		log_printf("acpi: table %s at 0x%llx has a wrong checksum; ignored", t->name,
			   (unsigned long long)at);
		return false;
	}
	t->at = at;
	t->length = h.length;
	t->revision = h.revision;
	return true;
}

/* False when [offset, offset + n) is not all inside the table. */
static bool table_read(const struct table *t, uint32_t offset, void *to, uint32_t n)
{
	return offset <= t->length && n <= t->length - offset &&
	       acpi_phys_read(to, t->at + offset, n);
}

static bool is_named(const struct table *t, const char *name)
{
	return memcmp(t->name, name, 4) == 0;
}

/* ---- MADT, 5.2.12 ---- */

enum madt_type {
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_OVERRIDE = 2,
	MADT_LAPIC_NMI = 4,
	MADT_LAPIC_ADDRESS = 5,
	MADT_X2APIC = 9,
	MADT_X2APIC_NMI = 10,
};
#define MADT_FIRST 44u
#define MADT_PCAT_COMPAT 1u
#define MADT_CPU_ENABLED 1u

union madt_record {
	struct PACKED {
		uint8_t type, length;
	};
	struct PACKED {
		uint8_t head[2], uid, apic_id;
		uint32_t flags;
	} lapic;
	struct PACKED {
		uint8_t head[2], id, reserved;
		uint32_t address, gsi_base;
	} ioapic;
	struct PACKED {
		uint8_t head[2], bus, irq;
		uint32_t gsi;
		uint16_t flags;
	} override;
	struct PACKED {
		uint8_t head[2], uid;
		uint16_t flags;
		uint8_t lint;
	} nmi;
	struct PACKED {
		uint8_t head[2], reserved[2];
		uint64_t address;
	} lapic_address;
	struct PACKED {
		uint8_t head[2], reserved[2];
		uint32_t apic_id, flags, uid;
	} x2apic;
	struct PACKED {
		uint8_t head[2];
		uint16_t flags;
		uint32_t uid;
		uint8_t lint, reserved[3];
	} x2apic_nmi;
};

static void add_cpu(struct acpi_info *out, uint32_t apic_id, uint32_t uid, uint32_t flags)
{
	if ((flags & MADT_CPU_ENABLED) == 0)
		return;
	for (unsigned i = 0; i < out->n_cpus; i++)
		if (out->cpus[i].apic_id == apic_id)
			return; /* listed as LAPIC and as x2APIC */
	if (out->n_cpus == ACPI_CPUS_MAX)
		out->n_cpus_dropped++;
	else
		out->cpus[out->n_cpus++] = (struct acpi_cpu){apic_id, uid};
}

static void add_nmi(struct acpi_info *out, struct acpi_nmi nmi)
{
	if (out->n_nmis < ACPI_NMIS_MAX && nmi.lint <= 1)
		out->nmis[out->n_nmis++] = nmi;
}

static void add_ioapic(struct acpi_info *out, const union madt_record *r)
{
	if (out->n_ioapics < ACPI_IOAPICS_MAX && r->ioapic.address != 0)
		out->ioapics[out->n_ioapics++] = (struct acpi_ioapic){
			r->ioapic.id, r->ioapic.address, r->ioapic.gsi_base};
}

static void add_override(struct acpi_info *out, const union madt_record *r)
{
	if (out->n_overrides < ACPI_OVERRIDES_MAX && r->override.bus == 0)
		out->overrides[out->n_overrides++] = (struct acpi_override){
			r->override.irq, r->override.flags, r->override.gsi};
}

#define HAS(r, member) ((r)->length >= sizeof((r)->member))

static void madt_record(struct acpi_info *out, const union madt_record *r)
{
	if (r->type == MADT_LAPIC && HAS(r, lapic) && r->lapic.apic_id != 0xff)
		add_cpu(out, r->lapic.apic_id, r->lapic.uid, r->lapic.flags);
	else if (r->type == MADT_X2APIC && HAS(r, x2apic) && r->x2apic.apic_id != UINT32_MAX)
		add_cpu(out, r->x2apic.apic_id, r->x2apic.uid, r->x2apic.flags);
	else if (r->type == MADT_IOAPIC && HAS(r, ioapic))
		add_ioapic(out, r);
	else if (r->type == MADT_OVERRIDE && HAS(r, override))
		add_override(out, r);
	else if (r->type == MADT_LAPIC_ADDRESS && HAS(r, lapic_address))
		out->lapic_base = r->lapic_address.address;
	else if (r->type == MADT_LAPIC_NMI && HAS(r, nmi))
		add_nmi(out, (struct acpi_nmi){r->nmi.uid == 0xff, r->nmi.uid, r->nmi.flags,
					       r->nmi.lint});
	else if (r->type == MADT_X2APIC_NMI && HAS(r, x2apic_nmi))
		add_nmi(out, (struct acpi_nmi){r->x2apic_nmi.uid == UINT32_MAX, r->x2apic_nmi.uid,
					       r->x2apic_nmi.flags, r->x2apic_nmi.lint});
}

static void parse_madt(const struct table *t, struct acpi_info *out)
{
	uint32_t head[2]; /* local APIC address, flags */

	if (out->has_madt || !table_read(t, sizeof(struct acpi_header), head, sizeof(head)))
		return;
	out->has_madt = true;
	out->lapic_base = head[0];
	out->has_pic = (head[1] & MADT_PCAT_COMPAT) != 0;
	for (uint32_t at = MADT_FIRST; at < t->length;) {
		union madt_record r;

		memset(&r, 0, sizeof(r));
		if (!table_read(t, at, &r, 2) || r.length < 2 || r.length > t->length - at ||
		    !table_read(t, at, &r, MIN((uint32_t)r.length, (uint32_t)sizeof(r)))) {
			log_printf("acpi: the APIC table ends in a broken record; the rest is "
				   "ignored");
			return;
		}
		madt_record(out, &r);
		at += r.length;
	}
}

/* ---- FADT, 5.2.9, and \_S5 in the DSDT ---- */

#define FADT_DSDT 40u
#define FADT_SMI_COMMAND 48u
#define FADT_ACPI_ENABLE 52u
#define FADT_PM1A_CONTROL 64u
#define FADT_PM1B_CONTROL 68u
#define FADT_PM_TIMER 76u
#define FADT_CENTURY 108u
#define FADT_FLAGS 112u
#define FADT_RESET 116u
#define FADT_RESET_VALUE 128u
#define FADT_X_DSDT 140u
#define FADT_X_PM1A_CONTROL 172u
#define FADT_X_PM_TIMER 208u
#define FADT_SLEEP_CONTROL 244u
#define FLAG_TIMER_32 (1u << 8)
#define FLAG_RESET (1u << 10)
#define FLAG_HW_REDUCED (1u << 20)

/* A field that a shorter table does not have is 0. */
static uint64_t field(const struct table *t, uint32_t offset, uint32_t width)
{
	uint64_t v = 0;

	return table_read(t, offset, &v, width) ? v : 0;
}

static struct acpi_gas gas_field(const struct table *t, uint32_t offset)
{
	return (struct acpi_gas){
		.space = (uint8_t)field(t, offset, 1),
		.bits = (uint8_t)field(t, offset + 1, 1),
		.offset = (uint8_t)field(t, offset + 2, 1),
		.access = (uint8_t)field(t, offset + 3, 1),
		.address = field(t, offset + 4, 8),
	};
}

/* A port from the old 32-bit field or, when that is 0, from the extended one. */
static uint32_t port_field(const struct table *t, uint32_t old, uint32_t extended)
{
	uint64_t port = field(t, old, 4);
	struct acpi_gas gas = gas_field(t, extended);

	if (port == 0 && gas.space == ACPI_IO)
		port = gas.address;
	return port <= UINT16_MAX ? (uint32_t)port : 0;
}

/* AML integer, 20.2.3: ZeroOp, OneOp, BytePrefix. -1: something else. */
static int aml_byte(const uint8_t *p, unsigned *at)
{
	uint8_t op = p[(*at)++];

	if (op == 0x00 || op == 0x01)
		return op;
	return op == 0x0a ? p[(*at)++] : -1;
}

/*
 * NameOp [RootChar] "_S5_" PackageOp PkgLength NumElements SLP_TYPa SLP_TYPb ... (20.2.5.1, 7.4.2.6). p: S5_BYTES
 * from the name on; the caller has seen NameOp before it.
 */
static bool parse_s5(const uint8_t *p, struct acpi_info *out)
{
	unsigned at = 4;
	int a, b;

	if (p[at++] != 0x12) /* PackageOp */
		return false;
	at += 1 + (p[at] >> 6); /* PkgLength: one byte, and up to three more */
	at++;                   /* NumElements */
	a = aml_byte(p, &at);
	b = aml_byte(p, &at);
	if (a < 0 || b < 0 || a > 7 || b > 7)
		return false;
	out->s5_a = (uint8_t)a;
	out->s5_b = (uint8_t)b;
	out->has_s5 = true;
	return true;
}

#define S5_BYTES 16u /* the name and as much behind it as parse_s5 may read */

static void find_s5(const struct table *t, struct acpi_info *out)
{
	uint8_t buf[PIECE + S5_BYTES + 2];

	/* Two bytes of the header come first: the loop looks back so far. */
	for (uint32_t at = sizeof(struct acpi_header) - 2; at < t->length; at += PIECE) {
		uint32_t n = MIN((uint32_t)sizeof(buf), t->length - at);

		memset(buf, 0, sizeof(buf));
		if (!table_read(t, at, buf, n))
			return;
		for (unsigned i = 2; i < PIECE + 2; i++) {
			bool named = buf[i - 1] == 0x08 ||
				     (buf[i - 1] == '\\' && buf[i - 2] == 0x08);

			if (named && memcmp(&buf[i], "_S5_", 4) == 0 && parse_s5(&buf[i], out))
				return;
		}
	}
}

static void note_table(struct acpi_info *out, const struct table *t)
{
	if (out->n_tables < ACPI_TABLES_MAX)
		out->tables[out->n_tables++] = (struct acpi_table){t->at, t->length};
}

static void parse_dsdt(hpa_t at, struct acpi_info *out)
{
	struct table t;

	if (!table_open(at, &t) || !is_named(&t, "DSDT"))
		return;
	note_table(out, &t);
	find_s5(&t, out);
}

static void parse_fadt(const struct table *t, struct acpi_info *out)
{
	uint32_t flags = (uint32_t)field(t, FADT_FLAGS, 4);
	uint64_t dsdt = field(t, FADT_X_DSDT, 8);

	if (out->has_fadt)
		return;
	out->has_fadt = true;
	out->smi_command = (uint32_t)field(t, FADT_SMI_COMMAND, 4);
	out->acpi_enable = (uint8_t)field(t, FADT_ACPI_ENABLE, 1);
	out->pm1a_control = port_field(t, FADT_PM1A_CONTROL, FADT_X_PM1A_CONTROL);
	out->pm1b_control = port_field(t, FADT_PM1B_CONTROL, FADT_X_PM1A_CONTROL + 12);
	out->pm_timer = port_field(t, FADT_PM_TIMER, FADT_X_PM_TIMER);
	out->pm_timer_32 = (flags & FLAG_TIMER_32) != 0;
	out->century = (uint8_t)field(t, FADT_CENTURY, 1);
	out->hw_reduced = (flags & FLAG_HW_REDUCED) != 0;
	out->reset = gas_field(t, FADT_RESET);
	out->reset_value = (uint8_t)field(t, FADT_RESET_VALUE, 1);
	out->has_reset = (flags & FLAG_RESET) != 0 && out->reset.address != 0;
	out->sleep_control = gas_field(t, FADT_SLEEP_CONTROL);
	parse_dsdt(dsdt != 0 ? dsdt : field(t, FADT_DSDT, 4), out);
}

/* ---- HPET (IA-PC HPET 3.2.4), MCFG (PCI Firmware 4.1.2) ---- */

static void parse_hpet(const struct table *t, struct acpi_info *out)
{
	struct acpi_gas gas = gas_field(t, 40);

	if (out->hpet == 0 && gas.space == ACPI_MEMORY)
		out->hpet = gas.address;
}

static void parse_mcfg(const struct table *t, struct acpi_info *out)
{
	struct PACKED {
		uint64_t base;
		uint16_t segment;
		uint8_t first_bus, last_bus;
		uint32_t reserved;
	} e;

	for (uint32_t at = 44; table_read(t, at, &e, sizeof(e)); at += (uint32_t)sizeof(e)) {
		if (out->n_mcfg == ACPI_MCFG_MAX)
			return;
		if (e.base != 0 && e.base % (1u << 20) == 0 && e.first_bus <= e.last_bus)
			out->mcfg[out->n_mcfg++] = (struct acpi_mcfg){e.base, e.segment,
								      e.first_bus, e.last_bus};
	}
}

/* ---- root ---- */

static void parse_table(hpa_t at, struct acpi_info *out)
{
	struct table t;

	if (!table_open(at, &t))
		return;
	note_table(out, &t);
	if (is_named(&t, "APIC"))
		parse_madt(&t, out);
	else if (is_named(&t, "FACP"))
		parse_fadt(&t, out);
	else if (is_named(&t, "HPET"))
		parse_hpet(&t, out);
	else if (is_named(&t, "MCFG"))
		parse_mcfg(&t, out);
}

/* RSDT (5.2.7, 4-byte entries) or XSDT (5.2.8, 8-byte entries). */
static bool parse_root(hpa_t at, const char *name, uint32_t width, struct acpi_info *out)
{
	struct table t;
	unsigned n = 0;

	if (!table_open(at, &t) || !is_named(&t, name))
		return false;
	note_table(out, &t);
	for (uint32_t e = sizeof(struct acpi_header); n < ACPI_TABLES_MAX; e += width, n++) {
		uint64_t address = 0;

		if (!table_read(&t, e, &address, width))
			break;
		parse_table(address, out);
	}
	return true;
}

static bool rsdp_is_good(const struct acpi_rsdp *r, size_t len)
{
	return len >= RSDP_V1 && memcmp(r->signature, "RSD PTR ", 8) == 0 && sum(r, RSDP_V1) == 0;
}

/* 5.2.5.1: on 16-byte boundaries in the first KiB of the EBDA and in the BIOS area. */
static bool search_rsdp(hpa_t start, hpa_t end, struct acpi_rsdp *out)
{
	for (hpa_t at = start; at + RSDP_V1 <= end; at += 16) {
		memset(out, 0, sizeof(*out));
		if (acpi_phys_read(out, at, MIN(end - at, sizeof(*out))) &&
		    rsdp_is_good(out, RSDP_V1))
			return true;
	}
	return false;
}

static bool find_rsdp(struct acpi_rsdp *out)
{
	uint16_t ebda_segment = 0; /* BIOS data area, 40:0e */
	hpa_t ebda;

	if (acpi_phys_read(&ebda_segment, 0x40e, sizeof(ebda_segment))) {
		ebda = (hpa_t)ebda_segment << 4;
		if (ebda >= 0x400 && ebda < 0xa0000 && search_rsdp(ebda, ebda + 1024, out))
			return true;
	}
	return search_rsdp(0xe0000, 0x100000, out);
}

int acpi_parse(const void *rsdp, size_t len, struct acpi_info *out)
{
	struct acpi_rsdp r;

	memset(out, 0, sizeof(*out));
	memset(&r, 0, sizeof(r));
	if (rsdp != NULL)
		memcpy(&r, rsdp, MIN(len, sizeof(r)));
	if (rsdp == NULL || !rsdp_is_good(&r, len)) {
		if (!find_rsdp(&r))
			return -HVE_NOENT;
		len = sizeof(r);
	}
	if (r.revision >= 2 && len >= sizeof(r) && sum(&r, sizeof(r)) == 0 &&
	    parse_root(r.xsdt, "XSDT", 8, out))
		return 0;
	return parse_root(r.rsdt, "RSDT", 4, out) ? 0 : -HVE_NOENT;
}
