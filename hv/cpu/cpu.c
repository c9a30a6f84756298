/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each CPU's tables (GDT, TSS, the shared IDT), its stacks, control registers and SYSCALL set-up. Called by boot/ on
 * each CPU. A CPU's state is one page: struct cpu, its TSS, its GDT.
 */
#include "hv/cpu/cpu.h"

#include "hv/cpu/trap.h"
#include "hv/cpu/x86.h"
#include "hv/lib/string.h"
#include "hv/mm/frame.h"
#include "hv/mm/init.h"

/* Interrupt stack table entries (APM2 8.9.4). */
enum ist { IST_NONE, IST_NMI, IST_DF, IST_MC };

/* The CPU pushes a program's rip .. ss to the top of its stack; hv's own frames begin below that. */
enum { STACK_TOP_RESERVE = 512 };

struct tss { /* APM2 12.2.5 */
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3, iomap;
} PACKED;
_Static_assert(sizeof(struct tss) == 104, "APM2 12.2.5");

struct idt_gate { /* APM2 4.8.4 */
	uint16_t offset0, selector;
	uint8_t ist, type;
	uint16_t offset16;
	uint32_t offset32, reserved;
};
_Static_assert(sizeof(struct idt_gate) == 16, "APM2 4.8.4");

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} PACKED;

struct cpu_block {
	struct cpu cpu;
	struct tss tss ALIGNED(16);
	uint64_t gdt[7];
};
_Static_assert(sizeof(struct cpu_block) <= PAGE_SIZE, "one page for each CPU");

enum { VECTORS = 256, STUB_SIZE = 16, GATE_INTERRUPT = 0x8e, GATE_FROM_USER = 0xee };

extern const uint8_t vector_stubs[];
extern void syscall_entry(void);

struct cpu *cpus[HV_CPUS_MAX];
unsigned n_cpus;

static struct cpu_block boot_block;
static uint8_t early_ist[PAGE_SIZE] ALIGNED(16);
static struct idt_gate idt[VECTORS] RO_AFTER_INIT;

static uint8_t vector_ist(unsigned vector)
{
	switch (vector) {
	case VECTOR_NMI:
		return IST_NMI;
	case VECTOR_DB:
	case VECTOR_DF:
		return IST_DF;
	case VECTOR_MC:
		return IST_MC;
	default:
		return IST_NONE;
	}
}

static void build_idt(void)
{
	for (unsigned v = 0; v < VECTORS; v++) {
		uint64_t to = (uint64_t)vector_stubs + v * STUB_SIZE;

		idt[v] = (struct idt_gate){
			.offset0 = (uint16_t)to,
			.selector = SEL_CODE,
			.ist = vector_ist(v),
			.type = v == VECTOR_BP ? GATE_FROM_USER : GATE_INTERRUPT,
			.offset16 = (uint16_t)(to >> 16),
			.offset32 = (uint32_t)(to >> 32),
		};
	}
}

/* APM2 4.8.1: in long mode only present, DPL, L and type count. */
static void build_gdt(struct cpu_block *b)
{
	uint64_t base = (uint64_t)&b->tss;

	b->gdt[SEL_CODE / 8] = 0x00209b0000000000ull;
	b->gdt[SEL_DATA / 8] = 0x0000930000000000ull;
	b->gdt[SEL_USER_DATA / 8] = 0x0000f30000000000ull;
	b->gdt[SEL_USER_CODE / 8] = 0x0020fb0000000000ull;
	b->gdt[SEL_TSS / 8] = (sizeof(struct tss) - 1) | (base & 0xffffff) << 16 |
			      0x890000000000ull | (base >> 24 & 0xff) << 56;
	b->gdt[SEL_TSS / 8 + 1] = base >> 32;
}

static void load_tables(struct cpu_block *b)
{
	struct table_pointer gdtr = {sizeof(b->gdt) - 1, (uint64_t)b->gdt};
	struct table_pointer idtr = {sizeof(idt) - 1, (uint64_t)idt};

	build_gdt(b);
	__asm__ volatile("lgdt %0; lidt %1" : : "m"(gdtr), "m"(idtr) : "memory");
	__asm__ volatile("pushq %0; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:"
			 :
			 : "i"(SEL_CODE)
			 : "rax", "memory");
	__asm__ volatile("mov %0, %%ss; mov %0, %%ds; mov %0, %%es" : : "r"(SEL_DATA));
	__asm__ volatile("mov %0, %%fs; mov %0, %%gs; lldt %w0" : : "r"(0));
	__asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
	wrmsr(MSR_GS_BASE, (uint64_t)&b->cpu);
	wrmsr(MSR_KERNEL_GS_BASE, 0);
	wrmsr(MSR_FS_BASE, 0);
}

static struct cpu_block *block_of(struct cpu *c)
{
	return CONTAINER_OF(c, struct cpu_block, cpu);
}

static void init_block(struct cpu_block *b, unsigned index, unsigned apic_id)
{
	b->cpu.self = &b->cpu;
	b->cpu.index = index;
	b->cpu.apic_id = apic_id;
	b->cpu.tss = &b->tss;
	b->tss.iomap = sizeof(b->tss); /* no I/O permission map: no port is the program's */
}

struct cpu *cpu_init_early(void)
{
	uint64_t top = (uint64_t)early_ist + sizeof(early_ist);

	build_idt();
	init_block(&boot_block, 0, 0);
	boot_block.tss.ist[IST_NMI - 1] = top;
	boot_block.tss.ist[IST_DF - 1] = top;
	boot_block.tss.ist[IST_MC - 1] = top;
	load_tables(&boot_block);
	cpus[0] = &boot_block.cpu;
	n_cpus = 1;
	return cpus[0];
}

struct cpu *cpu_alloc(unsigned index, unsigned apic_id)
{
	struct cpu_block *b = hv_page_alloc(&account_hv);

	if (b == NULL)
		return NULL;
	init_block(b, index, apic_id);
	return &b->cpu;
}

uint64_t cpu_stack_top(const struct cpu *c)
{
	return HV_CPU_STACK_TOP(c->index) - STACK_TOP_RESERVE;
}

static void init_stacks(struct cpu_block *b)
{
	b->tss.rsp[0] = HV_CPU_STACK_TOP(b->cpu.index);
	b->tss.ist[IST_NMI - 1] = HV_CPU_NMI_TOP(b->cpu.index);
	b->tss.ist[IST_DF - 1] = HV_CPU_DF_TOP(b->cpu.index);
	b->tss.ist[IST_MC - 1] = HV_CPU_MC_TOP(b->cpu.index);
}

/* CR4.FSGSBASE stays off: a program must not choose its GS base (entry.S, paranoid_entry). */
static void init_control(void)
{
	uint64_t cr4 = CR4_PAE | CR4_MCE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;

	cr4 |= cpu_features.smep ? CR4_SMEP : 0;
	cr4 |= cpu_features.smap ? CR4_SMAP : 0;
	cr4 |= cpu_features.umip ? CR4_UMIP : 0;
	cr4 |= cpu_features.xsave ? CR4_OSXSAVE : 0;
	write_cr4(cr4);
	write_cr0(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG);
	__asm__ volatile("mov %0, %%dr7" : : "r"(0x400ull)); /* no breakpoints (APM2 13.1.1.5) */
	if (cpu_features.xsave)
		xsetbv(0, cpu_features.xcr0_mask);
}

/* SYSCALL: CS and SS from STAR, interrupts off, direction, trap, nesting and alignment flags cleared (APM2 6.1.1). */
static void init_syscall(void)
{
	uint64_t efer = EFER_SCE | EFER_LME | EFER_LMA;

	wrmsr(MSR_EFER, cpu_features.nx ? efer | EFER_NXE : efer);
	wrmsr(MSR_STAR, (uint64_t)(SEL_USER_DATA - 8) << 48 | (uint64_t)SEL_CODE << 32);
	wrmsr(MSR_LSTAR, (uint64_t)syscall_entry);
	wrmsr(MSR_SFMASK, RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_IOPL | RFLAGS_NT | RFLAGS_AC);
	wrmsr(MSR_SYSENTER_CS, 0); /* SYSENTER: #GP */
}

void cpu_init(struct cpu *c)
{
	init_stacks(block_of(c));
	load_tables(block_of(c));
	init_control();
	init_syscall();
	if (cpu_features.rdtscp)
		wrmsr(MSR_TSC_AUX, c->index);
	c->loaded_cr3 = read_cr3();
}
