/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/vcpu/decode.c
// SRC: hv/vcpu/alu.c
/* The MMIO decoder against hand-assembled instructions, and its arithmetic against this machine's CPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "hv/vcpu/vcpu.h"

#define B(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

struct sample {
	const char *text;
	const uint8_t *bytes;
	size_t len;
	enum insn_mode mode;
	int op;
	unsigned width, reg_width, gpr;
};

/* clang-format off */
static const struct sample samples[] = {
	{ "mov eax,[rbx]",          B(0x8b, 0x03), INSN_64, INSN_LOAD, 4, 4, HV_RAX },
	{ "mov [rbx],eax",          B(0x89, 0x03), INSN_64, INSN_STORE, 4, 4, HV_RAX },
	{ "mov r9,[r10+8]",         B(0x4d, 0x8b, 0x4a, 0x08), INSN_64, INSN_LOAD, 8, 8, HV_R9 },
	{ "mov [rip+d32],cx",       B(0x66, 0x89, 0x0d, 1, 2, 3, 4), INSN_64, INSN_STORE, 2, 2, HV_RCX },
	{ "mov [rsp+rcx*4+d8],dl",  B(0x88, 0x54, 0x8c, 0x10), INSN_64, INSN_STORE, 1, 1, HV_RDX },
	{ "mov sil,[rax]",          B(0x40, 0x8a, 0x30), INSN_64, INSN_LOAD, 1, 1, HV_RSI },
	{ "mov dword [rax],imm",    B(0xc7, 0x00, 1, 2, 3, 4), INSN_64, INSN_STORE_IMM, 4, 4, 0 },
	{ "mov qword [rax],imm",    B(0x48, 0xc7, 0x00, 1, 2, 3, 0x84), INSN_64, INSN_STORE_IMM, 8, 8, 0 },
	{ "mov word [rax],imm",     B(0x66, 0xc7, 0x00, 1, 2), INSN_64, INSN_STORE_IMM, 2, 2, 0 },
	{ "mov byte [rax],imm",     B(0xc6, 0x00, 1), INSN_64, INSN_STORE_IMM, 1, 1, 0 },
	{ "mov eax,moffs64",        B(0xa1, 1, 2, 3, 4, 5, 6, 7, 8), INSN_64, INSN_LOAD, 4, 4, HV_RAX },
	{ "mov moffs32,eax",        B(0xa3, 1, 2, 3, 4), INSN_32, INSN_STORE, 4, 4, HV_RAX },
	{ "mov moffs16,al",         B(0xa2, 1, 2), INSN_16, INSN_STORE, 1, 1, HV_RAX },
	{ "mov eax,[bx+si] (16)",   B(0x66, 0x8b, 0x00), INSN_16, INSN_LOAD, 4, 4, HV_RAX },
	{ "mov ax,[d16] (16)",      B(0x8b, 0x06, 1, 2), INSN_16, INSN_LOAD, 2, 2, HV_RAX },
	{ "mov eax,[ebx] a32 (16)", B(0x67, 0x66, 0x8b, 0x03), INSN_16, INSN_LOAD, 4, 4, HV_RAX },
	{ "movzx ecx,byte [rax]",   B(0x0f, 0xb6, 0x08), INSN_64, INSN_LOAD_ZX, 1, 4, HV_RCX },
	{ "movzx rcx,word [rax]",   B(0x48, 0x0f, 0xb7, 0x08), INSN_64, INSN_LOAD_ZX, 2, 8, HV_RCX },
	{ "movsx ecx,byte [rax]",   B(0x0f, 0xbe, 0x08), INSN_64, INSN_LOAD_SX, 1, 4, HV_RCX },
	{ "movsxd rcx,dword [rax]", B(0x48, 0x63, 0x08), INSN_64, INSN_LOAD_SX, 4, 8, HV_RCX },
	{ "movnti [rax],ecx",       B(0x0f, 0xc3, 0x08), INSN_64, INSN_STORE, 4, 4, HV_RCX },
	{ "or [rax],ecx",           B(0x09, 0x08), INSN_64, INSN_ALU, 4, 4, HV_RCX },
	{ "and ecx,[rax]",          B(0x23, 0x08), INSN_64, INSN_ALU, 4, 4, HV_RCX },
	{ "cmp [rax],cl",           B(0x38, 0x08), INSN_64, INSN_CMP, 1, 1, HV_RCX },
	{ "lock or dword [rax],i8", B(0xf0, 0x83, 0x08, 0x80), INSN_64, INSN_ALU, 4, 4, 0 },
	{ "and dword [rax],i32",    B(0x81, 0x20, 1, 2, 3, 4), INSN_64, INSN_ALU, 4, 4, 0 },
	{ "cmp byte [rax],i8",      B(0x80, 0x38, 5), INSN_64, INSN_CMP, 1, 1, 0 },
	{ "test dword [rax],i32",   B(0xf7, 0x00, 1, 0, 0, 0), INSN_64, INSN_TEST, 4, 4, 0 },
	{ "test byte [rax],i8",     B(0xf6, 0x00, 1), INSN_64, INSN_TEST, 1, 1, 0 },
	{ "test [rax],ecx",         B(0x85, 0x08), INSN_64, INSN_TEST, 4, 4, HV_RCX },
	{ "xchg [rax],ecx",         B(0x87, 0x08), INSN_64, INSN_XCHG, 4, 4, HV_RCX },
	{ "rep movsd",              B(0xf3, 0xa5), INSN_64, INSN_MOVS, 4, 4, HV_RAX },
	{ "movsq",                  B(0x48, 0xa5), INSN_64, INSN_MOVS, 8, 8, HV_RAX },
	{ "rep stosb",              B(0xf3, 0xaa), INSN_64, INSN_STOS, 1, 1, HV_RAX },
	{ "lodsw",                  B(0x66, 0xad), INSN_64, INSN_LODS, 2, 2, HV_RAX },
	{ "a32 mov eax,[sib d32]",  B(0x67, 0x8b, 0x04, 0x25, 1, 2, 3, 4), INSN_64, INSN_LOAD, 4, 4, HV_RAX },
};
/* clang-format on */

static void test_samples(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(samples); k++) {
		const struct sample *s = &samples[k];
		struct insn i;

		print_message("%s\n", s->text);
		assert_int_equal(insn_decode(s->bytes, s->len, s->mode, &i), 0);
		assert_int_equal(i.len, s->len);
		assert_int_equal(i.op, s->op);
		assert_int_equal(i.width, s->width);
		assert_int_equal(i.reg_width, s->reg_width);
		if (s->op != INSN_STORE_IMM && !i.alu_imm)
			assert_int_equal(i.gpr, s->gpr);
		/* One byte less is not enough, and that is said. */
		for (size_t n = 0; n < s->len; n++)
			assert_int_equal(insn_decode(s->bytes, n, s->mode, &i), -HVE_LIMIT);
	}
}

static struct insn decoded(const uint8_t *bytes, size_t len, enum insn_mode mode)
{
	struct insn i = {0};

	assert_int_equal(insn_decode(bytes, len, mode, &i), 0);
	return i;
}

static void test_operands(void **state)
{
	struct insn i;

	(void)state;
	i = decoded(B(0x88, 0x20), INSN_64); /* mov [rax],ah */
	assert_true(i.high_byte && i.gpr == HV_RAX);
	i = decoded(B(0x40, 0x88, 0x20), INSN_64); /* mov [rax],spl */
	assert_true(!i.high_byte && i.gpr == HV_RSP);
	i = decoded(B(0xf0, 0x83, 0x08, 0x80), INSN_64);
	assert_true(i.alu == 1 && i.alu_imm && i.alu_mem_dest);
	assert_int_equal(i.imm, 0xffffffffffffff80u);
	i = decoded(B(0x48, 0xc7, 0x00, 0, 0, 0, 0x80), INSN_64);
	assert_int_equal(i.imm, 0xffffffff80000000u);
	i = decoded(B(0x03, 0x08), INSN_64); /* add ecx,[rax] */
	assert_true(i.alu == 0 && !i.alu_mem_dest && !i.alu_imm);
	i = decoded(B(0x64, 0xa4), INSN_64); /* movsb fs: */
	assert_true(i.seg == HV_FS && !i.rep && i.addr_width == 8);
	i = decoded(B(0x67, 0xf3, 0xa4), INSN_32);
	assert_true(i.seg == HV_DS && i.rep && i.addr_width == 2);
	/* A REX that is not the last prefix does not count. */
	i = decoded(B(0x48, 0x66, 0x8b, 0x00), INSN_64);
	assert_int_equal(i.width, 2);
	/* Outside 64-bit mode 40..4f are INC and DEC. */
	assert_int_equal(insn_decode(B(0x48, 0x8b, 0x00), INSN_32, &i), -HVE_INVAL);
}

static void test_refused(void **state)
{
	static const uint8_t bad[][4] = {
		{0x8b, 0xc0},       /* register operand */
		{0x0f, 0xa2},       /* cpuid */
		{0xff, 0x00},       /* inc: not a device's */
		{0xc7, 0x08, 0, 0}, /* c7 /1 */
		{0xf7, 0x10},       /* not */
		{0x0f, 0x6f, 0x00}, /* movq mm */
		{0xf3, 0x0f, 0xc3, 0x00},
	};
	uint8_t prefixes[20];
	struct insn i = {.len = 77};

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(bad); k++)
		assert_int_equal(insn_decode(bad[k], 4, INSN_64, &i), -HVE_INVAL);
	memset(prefixes, 0x66, sizeof(prefixes));
	assert_int_equal(insn_decode(prefixes, sizeof(prefixes), INSN_64, &i), -HVE_INVAL);
	assert_int_equal(i.len, 77);
}

static void test_plain(void **state)
{
	uint8_t gpr, seg, aw;

	(void)state;
	assert_int_equal(insn_len_plain(B(0x0f, 0xa2, 0x90), INSN_64, 0x0fa2), 2);
	assert_int_equal(insn_len_plain(B(0x66, 0x48, 0x0f, 0xa2), INSN_64, 0x0fa2), 4);
	assert_int_equal(insn_len_plain(B(0x0f, 0x32), INSN_64, 0x0f30), 0);
	assert_int_equal(insn_len_plain(B(0xf4), INSN_16, 0x00f4), 1);
	assert_int_equal(insn_len_plain(B(0x2e, 0xf4), INSN_16, 0x00f4), 2);
	assert_int_equal(insn_len_plain(B(0x0f, 0x01, 0xd9), INSN_64, 0x01d9), 3);
	assert_int_equal(insn_len_plain(B(0x0f, 0x01, 0xd1), INSN_64, 0x01d9), 0);
	assert_int_equal(insn_len_plain(B(0xf3, 0x90), INSN_64, 0xf390), 2);
	assert_int_equal(insn_len_plain(B(0x90), INSN_64, 0xf390), 0);
	assert_int_equal(insn_len_plain(B(0x0f), INSN_64, 0x0fa2), 0);
	assert_int_equal(insn_len_plain(NULL, 0, INSN_64, 0x0fa2), 0);

	assert_int_equal(insn_decode_cr8(B(0x44, 0x0f, 0x22, 0xc0), INSN_64, &gpr), 4);
	assert_int_equal(gpr, HV_RAX);
	assert_int_equal(insn_decode_cr8(B(0x45, 0x0f, 0x20, 0xc3), INSN_64, &gpr), 4);
	assert_int_equal(gpr, HV_R11);
	assert_int_equal(insn_decode_cr8(B(0xf0, 0x0f, 0x20, 0xc3), INSN_32, &gpr), 4);
	assert_int_equal(insn_decode_cr8(B(0x0f, 0x22, 0xc0), INSN_64, &gpr), 0);
	assert_int_equal(insn_decode_dr(B(0x0f, 0x23, 0xf8), INSN_64, &gpr),
			 3); /* mov %rax, %dr7 */
	assert_int_equal(gpr, HV_RAX);
	assert_int_equal(insn_decode_dr(B(0x41, 0x0f, 0x21, 0xcb), INSN_64, &gpr),
			 4); /* mov %dr1, %r11 */
	assert_int_equal(gpr, 11);
	assert_int_equal(insn_decode_dr(B(0x0f, 0x22, 0xc0), INSN_64, &gpr), 0);
	assert_int_equal(insn_decode_dr(B(0x0f, 0x21), INSN_32, &gpr), 0);

	assert_int_equal(insn_decode_io_string(B(0xf3, 0x6c), INSN_64, &seg, &aw), 2);
	assert_true(seg == HV_ES && aw == 8);
	assert_int_equal(insn_decode_io_string(B(0x2e, 0x67, 0x6f), INSN_16, &seg, &aw), 3);
	assert_true(seg == HV_CS && aw == 4);
	assert_int_equal(insn_decode_io_string(B(0xec), INSN_64, &seg, &aw), 0);
}

#define STATUS 0x8d5u

#define CPU_ALU(name, insn)                                                                        \
	static uint64_t name(unsigned width, uint64_t a, uint64_t b, uint64_t *flags)              \
	{                                                                                          \
		uint64_t f = *flags;                                                               \
                                                                                                   \
		switch (width) {                                                                   \
		case 1:                                                                            \
			__asm__("push %1; popf; " insn " %b2, %b0; pushf; pop %1"                  \
				: "+r"(a), "+r"(f)                                                 \
				: "r"(b)                                                           \
				: "cc");                                                           \
			break;                                                                     \
		case 2:                                                                            \
			__asm__("push %1; popf; " insn " %w2, %w0; pushf; pop %1"                  \
				: "+r"(a), "+r"(f)                                                 \
				: "r"(b)                                                           \
				: "cc");                                                           \
			break;                                                                     \
		case 4:                                                                            \
			__asm__("push %1; popf; " insn " %k2, %k0; pushf; pop %1"                  \
				: "+r"(a), "+r"(f)                                                 \
				: "r"(b)                                                           \
				: "cc");                                                           \
			break;                                                                     \
		default:                                                                           \
			__asm__("push %1; popf; " insn " %2, %0; pushf; pop %1"                    \
				: "+r"(a), "+r"(f)                                                 \
				: "r"(b)                                                           \
				: "cc");                                                           \
		}                                                                                  \
		*flags = f;                                                                        \
		return a & width_mask(width);                                                      \
	}
CPU_ALU(cpu_add, "add")
CPU_ALU(cpu_or, "or")
CPU_ALU(cpu_adc, "adc")
CPU_ALU(cpu_sbb, "sbb")
CPU_ALU(cpu_and, "and")
CPU_ALU(cpu_sub, "sub")
CPU_ALU(cpu_xor, "xor")

static void compare(unsigned op, unsigned width, uint64_t a, uint64_t b, uint64_t carry)
{
	static uint64_t (*const cpu[])(unsigned, uint64_t, uint64_t, uint64_t *) = {
		cpu_add, cpu_or, cpu_adc, cpu_sbb, cpu_and, cpu_sub, cpu_xor, cpu_sub};
	uint64_t want_flags = 0x202 | carry, flags = want_flags, want, got;
	uint64_t defined = op == 1 || op == 4 || op == 6 ? STATUS & ~0x10u : STATUS;

	want = cpu[op](width, a, b, &want_flags);
	got = alu_compute(op, width, a, b, &flags);
	assert_int_equal(got, want);
	assert_int_equal(flags & defined, want_flags & defined);
}

static void test_alu(void **state)
{
	static const uint64_t values[] = {0,
					  1,
					  2,
					  0xf,
					  0x10,
					  0x7f,
					  0x80,
					  0xff,
					  0x7fff,
					  0x8000,
					  0xffff,
					  0x7fffffff,
					  1u << 31,
					  0xffffffff,
					  ~0ull,
					  1ull << 63,
					  0x123456789abcdef0};

	(void)state;
	for (unsigned op = 0; op < 8; op++)
		for (unsigned width = 1; width <= 8; width *= 2)
			for (size_t a = 0; a < ARRAY_SIZE(values); a++)
				for (size_t b = 0; b < ARRAY_SIZE(values); b++) {
					compare(op, width, values[a], values[b], 0);
					compare(op, width, values[a], values[b], 1);
				}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples), cmocka_unit_test(test_operands),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_plain),
		cmocka_unit_test(test_alu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
