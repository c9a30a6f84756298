/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions that hit hv itself (entry.S). Those at a known place go on at its fix-up; all others are bugs of hv or
 * of the machine: registers, the way there, panic.
 */
#include "hv/cpu/trap.h"

#include "hv/cpu/cpu.h"
#include "hv/cpu/x86.h"
#include "hv/lib/log.h"
#include "hv/mm/fixup.h"
#include "hv/mm/init.h"

enum { TRACE_LINES = 16, NMI_REPORTS = 4, MC_BANKS_MAX = 32 };

#define MSR_MCG_CAP 0x179u
#define MSR_MC0_STATUS 0x401u /* 4 registers for each bank (APM2 9.3.2) */
#define MC_STATUS_VALID (1ull << 63)

static const char *const names[] = {
	[0] = "divide error",
	[1] = "debug",
	[2] = "NMI",
	[3] = "breakpoint",
	[4] = "overflow",
	[5] = "bound range",
	[6] = "invalid opcode",
	[7] = "no FPU",
	[8] = "double fault",
	[10] = "invalid TSS",
	[11] = "segment not present",
	[12] = "stack fault",
	[13] = "general protection",
	[14] = "page fault",
	[16] = "x87 error",
	[17] = "alignment check",
	[18] = "machine check",
	[19] = "SIMD error",
};

static const char *name_of(uint64_t vector)
{
	return vector < ARRAY_SIZE(names) && names[vector] != NULL ? names[vector] : "exception";
}

static bool in_text(uint64_t a)
{
	return a >= (uint64_t)image_start && a < (uint64_t)text_end;
}

/* Does a CALL end at a: E8 rel32, or FF /2 with 2, 3, 6 or 7 bytes? */
static bool follows_call(uint64_t a)
{
	const uint8_t *p = (const uint8_t *)a;

	if (!in_text(a - 8) || !in_text(a))
		return false;
	if (p[-5] == 0xe8)
		return true;
	for (int len = 2; len <= 7; len++)
		if (p[-len] == 0xff && (p[1 - len] & 0x38) == 0x10)
			return true;
	return false;
}

struct stack {
	uint64_t start, end;
};

/* The stack that rsp lies in, or has just left downwards; empty: none. */
static struct stack stack_of(uint64_t rsp)
{
	unsigned i = this_cpu()->index;
	const struct stack stacks[] = {
		{HV_CPU_STACK_TOP(i) - HV_CPU_STACK, HV_CPU_STACK_TOP(i)},
		{HV_CPU_NMI_TOP(i) - HV_CPU_IST_STACK, HV_CPU_NMI_TOP(i)},
		{HV_CPU_DF_TOP(i) - HV_CPU_IST_STACK, HV_CPU_DF_TOP(i)},
		{HV_CPU_MC_TOP(i) - HV_CPU_IST_STACK, HV_CPU_MC_TOP(i)},
		{(uint64_t)rodata_end, (uint64_t)image_end}, /* the boot stack */
	};

	for (unsigned n = 0; n < ARRAY_SIZE(stacks); n++)
		if (rsp < stacks[n].end && rsp >= stacks[n].start - PAGE_SIZE)
			return stacks[n];
	return (struct stack){0, 0};
}

/* hv is built without frame pointers: every word of the stack that looks like a return address. */
static void print_trace(uint64_t rsp)
{
	struct stack s = stack_of(rsp);
	uint64_t start = ALIGN_UP(MAX(rsp, s.start), 8ull);
	uint64_t end = MIN(s.end, start + HV_CPU_STACK);
	unsigned lines = 0;

	for (uint64_t a = start; a + 8 <= end && lines < TRACE_LINES; a += 8) {
		uint64_t word = *(const uint64_t *)a;

		if (!in_text(word) || !follows_call(word))
			continue;
		log_printf("  called from %016llx", (unsigned long long)word);
		lines++;
	}
}

static void print_registers(const struct trap_frame *f)
{
	const struct {
		const char *name;
		uint64_t value;
	} regs[] = {
		{"rax", f->rax}, {"rbx", f->rbx},     {"rcx", f->rcx},     {"rdx", f->rdx},
		{"rsi", f->rsi}, {"rdi", f->rdi},     {"rbp", f->rbp},     {"rsp", f->rsp},
		{"r8 ", f->r8},  {"r9 ", f->r9},      {"r10", f->r10},     {"r11", f->r11},
		{"r12", f->r12}, {"r13", f->r13},     {"r14", f->r14},     {"r15", f->r15},
		{"rip", f->rip}, {"cr2", read_cr2()}, {"cr3", read_cr3()}, {"flg", f->rflags},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(regs); i += 4)
		log_printf("  %s %016llx  %s %016llx  %s %016llx  %s %016llx", regs[i].name,
			   (unsigned long long)regs[i].value, regs[i + 1].name,
			   (unsigned long long)regs[i + 1].value, regs[i + 2].name,
			   (unsigned long long)regs[i + 2].value, regs[i + 3].name,
			   (unsigned long long)regs[i + 3].value);
}

/* A double fault with cr2 in the page under a stack: it was too small. */
static bool is_overflow(uint64_t address)
{
	unsigned i = this_cpu()->index;
	uint64_t page = ALIGN_DOWN(address, PAGE_SIZE) + PAGE_SIZE;

	return page == HV_CPU_STACK_TOP(i) - HV_CPU_STACK ||
	       page == HV_CPU_NMI_TOP(i) - HV_CPU_IST_STACK ||
	       page == HV_CPU_MC_TOP(i) - HV_CPU_IST_STACK;
}

static NORETURN void fatal(const struct trap_frame *f)
{
	static unsigned reports; /* [a] */

	if (__atomic_fetch_add(&reports, 1, __ATOMIC_RELAXED) != 0)
		panic("a second fault while the first was being told");
	panic_active = true; /* whoever holds the log's lock will not give it back */
	if (panic_hook != NULL)
		panic_hook();
	log_printf("CPU %u: %s in hv, error code %llx", this_cpu()->index, name_of(f->vector),
		   (unsigned long long)f->error);
	print_registers(f);
	print_trace(f->rsp);
	if (f->vector == VECTOR_DF && is_overflow(read_cr2()))
		panic("stack overflow on CPU %u at %016llx", this_cpu()->index,
		      (unsigned long long)f->rip);
	panic("%s in hv at %016llx, address %016llx", name_of(f->vector),
	      (unsigned long long)f->rip, (unsigned long long)read_cr2());
}

void trap_in_hv(struct trap_frame *f)
{
	for (size_t i = 0; &fixup_start[i] != fixup_end; i++) {
		if (fixup_start[i].at == f->rip) {
			f->rip = fixup_start[i].to;
			return;
		}
	}
	fatal(f);
}

static void report_nmi(void)
{
	static unsigned reports; /* [a] */

	if (__atomic_fetch_add(&reports, 1, __ATOMIC_RELAXED) < NMI_REPORTS)
		log_printf("CPU %u: an NMI that nobody here sent; ignored", this_cpu()->index);
}

static void report_machine_check(void)
{
	uint64_t cap, status;

	if (msr_read_safe(MSR_MCG_CAP, &cap) != 0)
		return;
	for (uint32_t bank = 0; bank < MIN(cap & 0xff, (uint64_t)MC_BANKS_MAX); bank++)
		if (msr_read_safe(MSR_MC0_STATUS + 4 * bank, &status) == 0 &&
		    (status & MC_STATUS_VALID) != 0)
			log_printf("  machine check bank %u: %016llx", bank,
				   (unsigned long long)status);
}

void trap_paranoid(struct trap_frame *f)
{
	if (f->vector == VECTOR_NMI) {
		while (panic_active) /* ipi_stop_others() */
			cpu_hlt();
		report_nmi();
		return;
	}
	if (f->vector == VECTOR_MC)
		report_machine_check();
	fatal(f);
}
