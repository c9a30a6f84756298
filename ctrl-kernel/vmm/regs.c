/* SPDX-License-Identifier: BSD-2-Clause */
/* What vCPU 0 starts with: flat segments, a GDT to match, and identity page tables for 64-bit mode. Pure. */
#include "ctrl-kernel/vmm/boot.h"
#include "ctrl-kernel/vmm/layout.h"

/* Selectors as Linux wants them (boot protocol: __BOOT_CS 0x10, __BOOT_DS 0x18). */
enum { SEL_CODE = 0x10, SEL_DATA = 0x18, SEL_TSS = 0x20 };

/* Segment attributes, APM2 15.5.1: type, S, DPL, P in 0-7; AVL, L, D, G in 8-11. */
#define ATTR_CODE32 0xc9bu
#define ATTR_CODE64 0xa9bu
#define ATTR_DATA 0xc93u
#define ATTR_TSS 0x08bu /* busy; the same type in both modes */
#define ATTR_LDT 0x082u

#define DESC_CODE32 0x00cf9b000000ffffull
#define DESC_CODE64 0x00af9b000000ffffull
#define DESC_DATA 0x00cf93000000ffffull
#define DESC_TSS 0x00008b0000000067ull

#define CR0_PE 0x1u
#define CR0_ET 0x10u
#define CR0_NE 0x20u
#define CR0_PG 0x80000000u
#define CR4_PAE 0x20u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define RFLAGS_FIXED 0x2u

#define PTE_PRESENT_WRITE 0x3u
#define PTE_LARGE 0x80u
#define TABLE_ENTRIES 512u
#define PAGE 4096ull
#define LARGE 0x200000ull
#define DIRECTORIES 4u /* of 1 GiB each */

_Static_assert(GPA_BOOT_PAGES + (2 + DIRECTORIES) * PAGE <= GPA_BOOT_END, "page tables");

static void common(const struct guest *g, uint64_t entry, uint64_t code, uint16_t code_attr,
		   struct hv_vcpu_regs *r)
{
	const uint64_t gdt[5] = {0, 0, code, DESC_DATA, DESC_TSS};

	*r = (struct hv_vcpu_regs){
		.rip = entry,
		.rflags = RFLAGS_FIXED,
		.gdt_base = GPA_BOOT_GDT,
		.gdt_limit = sizeof(gdt) - 1,
		.runnable = 1,
	};
	(void)!guest_write(g, GPA_BOOT_GDT, gdt, sizeof(gdt)); /* boot_load checked: RAM */
	for (unsigned i = 0; i < HV_LDTR; i++)
		r->seg[i] = (struct hv_segment){0, UINT32_MAX, SEL_DATA, ATTR_DATA};
	r->seg[HV_CS] = (struct hv_segment){0, UINT32_MAX, SEL_CODE, code_attr};
	r->seg[HV_LDTR] = (struct hv_segment){0, 0, 0, ATTR_LDT};
	r->seg[HV_TR] = (struct hv_segment){0, 0x67, SEL_TSS, ATTR_TSS};
}

void boot_regs_32(const struct guest *g, uint64_t entry, struct hv_vcpu_regs *regs)
{
	common(g, entry, DESC_CODE32, ATTR_CODE32, regs);
	regs->cr0 = CR0_PE | CR0_ET;
}

static void pages_build(const struct guest *g)
{
	uint64_t *table = guest_at(g, GPA_BOOT_PAGES, (2 + DIRECTORIES) * PAGE);
	uint64_t *pdpt = table + TABLE_ENTRIES, *directory = pdpt + TABLE_ENTRIES;

	for (unsigned i = 0; i < 2 * TABLE_ENTRIES; i++)
		table[i] = 0;
	table[0] = (GPA_BOOT_PAGES + PAGE) | PTE_PRESENT_WRITE;
	for (unsigned i = 0; i < DIRECTORIES; i++)
		pdpt[i] = (GPA_BOOT_PAGES + (2 + i) * PAGE) | PTE_PRESENT_WRITE;
	for (unsigned i = 0; i < DIRECTORIES * TABLE_ENTRIES; i++)
		directory[i] = i * LARGE | PTE_LARGE | PTE_PRESENT_WRITE;
}

void boot_regs_64(const struct guest *g, uint64_t entry, struct hv_vcpu_regs *regs)
{
	common(g, entry, DESC_CODE64, ATTR_CODE64, regs);
	pages_build(g);
	regs->cr0 = CR0_PG | CR0_NE | CR0_ET | CR0_PE;
	regs->cr3 = GPA_BOOT_PAGES;
	regs->cr4 = CR4_PAE;
	regs->efer = EFER_LME | EFER_LMA;
}
