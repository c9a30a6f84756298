/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest can see of the CPU vendor behind it, printed for comparison (tests/lib/vendor.py): CPUID, what each MSR reads and
 * takes, which bits of control and debug registers can be changed, what each odd instruction raises, the registers at the start.
 */
#include "guest.h"

#define GARBAGE 0xa5a5a5a5a5a5a5a5ull

static uint8_t memory[4096] __attribute__((aligned(4096)));
static uint64_t value;
static uint32_t number;

/* ---- MSRs: what is read (VARIES: not the same twice), that or 0 written back, garbage written; -1 or the vector ---- */
enum { VARIES = 256 };
struct msr_state {
	uint64_t value;
	int read, same, garbage;
};

static void read_msr(void *to)
{
	*(uint64_t *)to = rdmsr(number);
}
static void write_msr(void *from)
{
	wrmsr(number, *(uint64_t *)from);
}

static struct msr_state probe_msr(uint32_t msr)
{
	struct msr_state s = {0};
	uint64_t again = 0, garbage = GARBAGE;

	number = msr;
	s.read = catch_trap(read_msr, &s.value);
	s.same = catch_trap(write_msr, &s.value);
	s.garbage = catch_trap(write_msr, &garbage);
	catch_trap(write_msr, &s.value);
	if (s.read < 0 && catch_trap(read_msr, &again) < 0 && again != s.value) {
		s.read = VARIES;
		s.value = 0;
	}
	return s;
}

/* Neighbours that behave alike make one line. */
static void print_msrs(const char *what, uint32_t from, uint32_t n)
{
	struct msr_state s = probe_msr(from), next;
	uint32_t first = from;

	for (uint32_t m = from + 1; m <= from + n; m++) {
		next = m < from + n ? probe_msr(m) : (struct msr_state){.read = -2};
		if (next.value == s.value && next.read == s.read && next.same == s.same &&
		    next.garbage == s.garbage)
			continue;
		print("%s %08x-%08x %d %d %d %016lx", what, first, m - 1, s.read, s.same, s.garbage,
		      s.value);
		first = m;
		s = next;
	}
}

/* ---- CPUID: sub-leaves that say anything, and anything else than the first ---- */
static void print_cpuid(uint32_t from, uint32_t n)
{
	for (uint32_t leaf = from; leaf < from + n; leaf++)
		for (uint32_t sub = 0; sub < 10; sub++) {
			uint32_t r[4], first[4], said = 0, new = !sub;

			cpuid(leaf, 0, first);
			cpuid(leaf, sub, r);
			for (unsigned i = 0; i < 4; i++) {
				said |= r[i];
				new |= r[i] ^ first[i];
			}
			if (said && new)
				print("cpuid %08x.%u %08x %08x %08x %08x", leaf, sub, r[0], r[1],
				      r[2], r[3]);
		}
}

/* ---- control and debug registers: each bit flipped, then put back; those that raised something, those that stayed as written ---- */
/* clang-format off */
#define REGISTER(r)                                                                                                  \
	static uint64_t get_##r(void) { uint64_t v; __asm__ volatile("mov %%" #r ", %0" : "=r"(v)); return v; }      \
	static void set_##r(void *a) { __asm__ volatile("mov %0, %%" #r : : "r"(*(uint64_t *)a) : "memory"); }
REGISTER(cr0) REGISTER(cr2) REGISTER(cr3) REGISTER(cr4) REGISTER(cr8) REGISTER(dr0) REGISTER(dr6) REGISTER(dr7)
static uint64_t get_efer(void) { return rdmsr(0xc0000080); }
static void set_efer(void *a) { wrmsr(0xc0000080, *(uint64_t *)a); }
static uint64_t get_base(void) { return rdmsr(MSR_APIC_BASE); }
static void set_base(void *a) { wrmsr(MSR_APIC_BASE, *(uint64_t *)a); }
static uint64_t get_flags(void) { uint64_t v; __asm__ volatile("pushfq; pop %0" : "=r"(v)); return v; }
static void set_flags(void *a) { __asm__ volatile("push %0; popfq" : : "r"(*(uint64_t *)a) : "memory", "cc"); }
#define ENTRY(r, skip, paging, loose) {#r, get_##r, set_##r, skip, paging, loose}
/* skip: bits that are not tried, for without them (DR7.GD: with it) this code is lost. The command line says what else is not:
 * "keep-paging" (Bochs with SVM panics instead of #GP) PE and PG; "loose" these, and all that QEMU's TCG takes and VMRUN then refuses. */
static const struct { const char *name; uint64_t (*get)(void); void (*set)(void *); uint64_t skip, paging, loose; } registers[] = {
	ENTRY(cr0, 0, 0x80000001, 0), ENTRY(cr2, 0, 0, 0), ENTRY(cr3, 0xffffffffff000, 0, ~0ul), ENTRY(cr4, 0, 0, ~0x3507dful),
	ENTRY(cr8, 0, 0, 0), ENTRY(dr0, 0, 0, 0), ENTRY(dr6, 0, 0, 0), ENTRY(dr7, 0x2000, 0, 0), ENTRY(efer, 0, 0, 0), ENTRY(base, ~0ul, 0, 0),
	ENTRY(flags, 0x9d5, 0, 0)};
enum { REGISTERS = sizeof(registers) / sizeof(registers[0]) };

/* ---- instructions: with RAX and RSI the address of a page, RCX and RDX 0; then RET ---- */
#define INSN(name, bytes) {name, bytes "\xc3"}
static const struct { const char *name, *code; } insns[] = {
	INSN("vmlaunch", "\x0f\x01\xc2"), INSN("vmresume", "\x0f\x01\xc3"), INSN("vmxoff", "\x0f\x01\xc4"), INSN("vmxon", "\xf3\x0f\xc7\x36"),
	INSN("vmptrld", "\x0f\xc7\x36"), INSN("vmptrst", "\x0f\xc7\x3e"), INSN("vmclear", "\x66\x0f\xc7\x36"), INSN("vmread", "\x0f\x78\xc8"),
	INSN("vmwrite", "\x0f\x79\xc8"), INSN("invept", "\x66\x0f\x38\x80\x06"), INSN("invvpid", "\x66\x0f\x38\x81\x06"), INSN("vmfunc", "\x0f\x01\xd4"),
	INSN("vmrun", "\x0f\x01\xd8"), INSN("vmload", "\x0f\x01\xda"), INSN("vmsave", "\x0f\x01\xdb"), INSN("stgi", "\x0f\x01\xdc"),
	INSN("clgi", "\x0f\x01\xdd"), INSN("skinit", "\x0f\x01\xde"), INSN("invlpga", "\x0f\x01\xdf"), INSN("getsec", "\x0f\x37"),
	INSN("encls", "\x0f\x01\xcf"), INSN("enclv", "\x0f\x01\xc0"), INSN("enclu", "\x0f\x01\xd7"), INSN("pconfig", "\x0f\x01\xc5"),
	INSN("monitor", "\x0f\x01\xc8"), INSN("mwait", "\x0f\x01\xc9"), INSN("monitorx", "\x0f\x01\xfa"), INSN("mwaitx", "\x0f\x01\xfb"),
	INSN("umonitor", "\xf3\x0f\xae\xf0"), INSN("tpause", "\x66\x0f\xae\xf0"), INSN("rdpmc", "\x0f\x33"), INSN("rdpru", "\x0f\x01\xfd"),
	INSN("rdtscp", "\x0f\x01\xf9"), INSN("rdpid", "\xf3\x0f\xc7\xf8"), INSN("rdrand", "\x0f\xc7\xf0"), INSN("rdseed", "\x0f\xc7\xf8"),
	INSN("xsaves", "\x0f\xc7\x2e"), INSN("xrstors", "\x0f\xc7\x1e"), INSN("xsavec", "\x0f\xc7\x26"), INSN("xgetbv", "\x0f\x01\xd0"),
	INSN("xgetbv 1", "\xff\xc1\x0f\x01\xd0"), INSN("xsetbv 0", "\x31\xc0\x0f\x01\xd1"), INSN("xsetbv 1", "\xff\xc1\x0f\x01\xd1"),
	INSN("invpcid", "\x66\x0f\x38\x82\x0e"), INSN("invpcid bad", "\x66\x0f\x38\x82\x06"), INSN("rdpkru", "\x0f\x01\xee"), INSN("wrpkru", "\x0f\x01\xef"),
	INSN("clac", "\x0f\x01\xca"), INSN("rdfsbase", "\xf3\x48\x0f\xae\xc0"), INSN("clzero", "\x48\x89\xf0\x0f\x01\xfc"), INSN("xend", "\x0f\x01\xd5"),
	INSN("xbegin", "\xc7\xf8\0\0\0\0"), INSN("ptwrite", "\xf3\x0f\xae\xe0"), INSN("serialize", "\x0f\x01\xe8"), INSN("wbnoinvd", "\xf3\x0f\x09"),
	INSN("wbinvd", "\x0f\x09"), INSN("pause", "\xf3\x90"), INSN("rdtsc", "\x0f\x31"), INSN("invlpg", "\x0f\x01\x3e"),
	INSN("sgdt", "\x0f\x01\x06"), INSN("sidt", "\x0f\x01\x0e"), INSN("sldt", "\x0f\x00\xc0"), INSN("str", "\x0f\x00\xc8"), INSN("smsw", "\x0f\x01\xe0"),
	INSN("lldt 0", "\x31\xc0\x0f\x00\xd0"), INSN("lldt bad", "\x0f\x00\xd0"), INSN("ltr 0", "\x31\xc0\x0f\x00\xd8"), INSN("mov ss, 0x13", "\x31\xc0\xb0\x13\x8e\xd0"),
	INSN("sysenter", "\x0f\x34"), INSN("sysexit", "\x0f\x35"), INSN("rsm", "\x0f\xaa"), INSN("ud0", "\x0f\xff\xc0"), INSN("ud1", "\x0f\xb9\xc0"),
	INSN("ud2", "\x0f\x0b"), INSN("int3", "\xcc"), INSN("int1", "\xf1"), INSN("int 0x0d", "\xcd\x0d"), INSN("into", "\xce"), INSN("div 0", "\xf7\xf1"),
	INSN("lock mov", "\xf0\x89\xc0"), INSN("16 bytes", "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"),
	INSN("mov cr1", "\x0f\x20\xc8"), INSN("mov to cr5", "\x0f\x22\xe8"), INSN("mov dr4", "\x0f\x21\xe0"), INSN("read far", "\x48\x0f\xba\xea\x2f\x8a\x02"),
	INSN("read far by rbp", "\x55\x48\x89\xd5\x48\x0f\xba\xed\x2f\x8a\x45\x00\x5d"), INSN("jump far", "\x48\x0f\xba\xea\x2f\xff\xe2"),
	INSN("read nothing", "\x48\x0f\xba\xea\x20\x8a\x02"), INSN("write nothing", "\x48\x0f\xba\xea\x20\x88\x02"), INSN("jump nowhere", "\x48\x0f\xba\xea\x20\xff\xe2"),
	INSN("invd", "\x0f\x08")}; /* the last: TCG calls it WBINVD, and hv, which sees it is not, runs it again for ever */
/* clang-format on */

static void call(void *code)
{
	value = (uint64_t)memory;
	__asm__ volatile("call *%2"
			 : "+a"(value)
			 : "c"(0), "r"(code), "d"(0), "S"(memory)
			 : "rbx", "r11", "memory", "cc");
}

static void print_insn(const char *name, const char *code)
{
	int vector = catch_trap(call, (void *)code);

	print("insn %s: %d", name, vector);
}

static void print_register(unsigned i, char mode)
{
	uint64_t was = registers[i].get(), faults = 0, stays = 0;
	uint64_t skip = registers[i].skip;

	if (mode)
		skip |= registers[i].paging;
	if (mode == 'l')
		skip |= registers[i].loose;
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t v = was ^ 1ull << bit;

		if (skip >> bit & 1)
			continue;
		if (catch_trap(registers[i].set, &v) >= 0)
			faults |= 1ull << bit;
		else if ((registers[i].get() ^ was) >> bit & 1)
			stays |= 1ull << bit;
		catch_trap(registers[i].set, &was);
	}
	print("bits %s %016lx %016lx", registers[i].name, faults, stays);
}

static void print_hypercall(bool amd)
{
	print_insn("hypercall of another vendor", amd ? "\x0f\x01\xc1\xc3" : "\x0f\x01\xd9\xc3");
	print_insn("hypercall", amd ? "\x0f\x01\xd9\xc3" : "\x0f\x01\xc1\xc3");
	print("hypercall %016lx", value);
}

void guest_main(void)
{
	uint32_t r[4];
	const char *line;
	char mode;

	for (unsigned i = 0; i < REGISTERS; i++)
		print("start %s %016lx", registers[i].name, registers[i].get());
	print("start pat %016lx", rdmsr(0x277));
	print_cpuid(0, 0x21);
	print_cpuid(0x40000000, 0x12);
	print_cpuid(0x40000100, 2);
	print_cpuid(0x80000000, 0x23);
	cpuid(0x40000100, 0, r);
	if (r[1] != 0x6c636f53) /* not "Socl": the bare machine, of which no more is asked */
		done();
	line = (const char *)*(uint64_t *)(uint64_t)(boot_info + 24); /* PVH's */
	mode = line ? *line : 0;
	for (unsigned i = 0; i < REGISTERS; i++)
		print_register(i, mode);
	cpuid(1, 0, r);
	value = get_cr4() | (r[2] & 1 << 26 ? 1 << 18 : 0); /* OSXSAVE */
	set_cr4(&value);
	for (unsigned i = 0; i < sizeof(insns) / sizeof(insns[0]) - (mode == 'l'); i++)
		print_insn(insns[i].name, insns[i].code);
	cpuid(0, 0, r);
	print_hypercall(r[1] == 0x68747541); /* "Auth"enticAMD */
	print_msrs("xapic", 0x800, 0x40);
	x2apic_enable();
	print_msrs("msr", 0, 0x2000);
	print_msrs("msr", 0x40000000, 0x110);
	print_msrs("msr", 0x4b564d00, 0x10);
	print_msrs("msr", 0xc0000000, 0x2000);
	print_msrs("msr", 0xc0010000, 0x2000);
	done();
}
