/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/vcpu/insn.c
// SRC: hv/vcpu/decode.c
/* Addresses of memory operands by segment and mode, registers as operands, the cache of instruction lengths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "hv/cpu/x86.h"
#include "hv/vcpu/vcpu.h"

#define DATA 0x93u /* present, writable */
#define READ_ONLY 0x91u
#define DOWN 0x97u
#define CODE 0x9bu /* readable */
#define CODE_ONLY 0x99u
#define BIG 0x400u

static struct vcpu vcpu;
static struct vcpu_context ctx;
static struct hv_segment segs[HV_SEGS];
static uint8_t code[32];
static unsigned fetches;
static struct vcpu_event injected;

static void fake_context(struct vcpu *v, struct vcpu_context *out)
{
	(void)v;
	*out = ctx;
}
static void fake_segment(struct vcpu *v, enum hv_seg which, struct hv_segment *out)
{
	(void)v;
	*out = segs[which];
}
static void fake_inject(struct vcpu *v, const struct vcpu_event *e)
{
	(void)v;
	injected = *e;
}
static const struct vendor fake = {
	.context = fake_context, .segment = fake_segment, .inject = fake_inject};
const struct vendor *vendor = &fake;

/* Code lies at 0x1000; the next page is not there. */
size_t guest_fetch(struct vcpu *v, const struct vcpu_context *c, gva_t gva, void *to, size_t len)
{
	size_t n = 0;

	(void)v;
	(void)c;
	fetches++;
	if (gva < 0x1000)
		return 0;
	for (; n < len && gva + n < 0x1000 + sizeof(code); n++)
		((uint8_t *)to)[n] = code[gva + n - 0x1000];
	return n;
}

static void expect_linear(enum hv_seg seg, uint64_t off, unsigned len, bool write, uint64_t want)
{
	uint8_t vector = 0;
	gva_t gva = 0;

	assert_int_equal(vcpu_linear(&vcpu, seg, off, len, write, &gva, &vector), 0);
	assert_int_equal(gva, want);
}

static void expect_refused(enum hv_seg seg, uint64_t off, unsigned len, bool write, int want)
{
	uint8_t vector = 0;
	gva_t gva = 77;

	assert_int_equal(vcpu_linear(&vcpu, seg, off, len, write, &gva, &vector), -HVE_FAULT);
	assert_int_equal(vector, want);
	assert_int_equal(gva, 77);
}

static void test_linear_64(void **state)
{
	(void)state;
	ctx.mode = INSN_64;
	segs[HV_DS] = (struct hv_segment){.base = 0x1234}; /* plays no role */
	segs[HV_FS] = (struct hv_segment){.base = 0xffff800000000000u};
	expect_linear(HV_DS, 0x5000, 8, true, 0x5000);
	expect_linear(HV_FS, 0x10, 8, true, 0xffff800000000010u);
	expect_linear(HV_DS, 0x7ffffffffff8, 8, true, 0x7ffffffffff8);
	expect_refused(HV_DS, 0x7ffffffffff9, 8, true, VECTOR_GP);
	expect_refused(HV_DS, 0x800000000000, 1, false, VECTOR_GP);
	expect_refused(HV_SS, 0xffff7fffffffffff, 1, false, VECTOR_SS);
	expect_linear(HV_SS, 0xffffffffffffffff, 1, false, 0xffffffffffffffff);
}

static void test_linear_32(void **state)
{
	(void)state;
	ctx.mode = INSN_32;
	segs[HV_DS] = (struct hv_segment){.base = 0x10000, .limit = 0xfff, .attr = DATA | BIG};
	expect_linear(HV_DS, 0xffc, 4, true, 0x10ffc);
	expect_refused(HV_DS, 0xffd, 4, true, VECTOR_GP);
	expect_refused(HV_DS, 0xffffffff, 4, true, VECTOR_GP);
	segs[HV_DS].attr = READ_ONLY;
	expect_linear(HV_DS, 0, 4, false, 0x10000);
	expect_refused(HV_DS, 0, 4, true, VECTOR_GP);
	segs[HV_DS].attr = CODE;
	expect_linear(HV_DS, 0, 4, false, 0x10000);
	expect_refused(HV_DS, 0, 4, true, VECTOR_GP);
	segs[HV_DS].attr = CODE_ONLY;
	expect_refused(HV_DS, 0, 4, false, VECTOR_GP);
	segs[HV_DS].attr = DATA & ~0x80u; /* not present */
	expect_refused(HV_DS, 0, 4, false, VECTOR_GP);
	/* Expand-down: valid above the limit. */
	segs[HV_SS] = (struct hv_segment){.limit = 0xfff, .attr = DOWN | BIG};
	expect_refused(HV_SS, 0xfff, 1, true, VECTOR_SS);
	expect_linear(HV_SS, 0x1000, 4, true, 0x1000);
	segs[HV_SS].attr = DOWN;
	expect_linear(HV_SS, 0xfffc, 4, true, 0xfffc);
	expect_refused(HV_SS, 0xfffd, 4, true, VECTOR_SS);
	/* 32-bit linear addresses wrap. */
	segs[HV_ES] = (struct hv_segment){
		.base = 0xffffff00, .limit = 0xffffffff, .attr = DATA | BIG};
	expect_linear(HV_ES, 0x200, 4, true, 0x100);
}

static void test_registers(void **state)
{
	(void)state;
	vcpu.gpr[HV_RBX] = 0x1111222233334444;
	vcpu_set_gpr(&vcpu, HV_RBX, 1, 0xabcd);
	assert_int_equal(vcpu.gpr[HV_RBX], 0x11112222333344cd);
	vcpu_set_gpr(&vcpu, HV_RBX, 2, 0xabcd);
	assert_int_equal(vcpu.gpr[HV_RBX], 0x111122223333abcd);
	vcpu_set_gpr(&vcpu, HV_RBX, 4, 0x1ffffffff);
	assert_int_equal(vcpu.gpr[HV_RBX], 0xffffffff);
	vcpu_set_gpr(&vcpu, HV_RBX, 8, ~0ull);
	assert_int_equal(vcpu.gpr[HV_RBX], ~0ull);
	vcpu.gpr[HV_RDI] = 0x1ffff;
	vcpu.rflags = 0;
	assert_int_equal(vcpu_index(&vcpu, HV_RDI, 2), 0xffff);
	vcpu_index_step(&vcpu, HV_RDI, 2, 1);
	assert_int_equal(vcpu.gpr[HV_RDI], 0x10000);
	vcpu.rflags = RFLAGS_DF;
	vcpu_index_step(&vcpu, HV_RDI, 4, 4);
	assert_int_equal(vcpu.gpr[HV_RDI], 0xfffc);
}

static void test_lengths(void **state)
{
	static const uint8_t cpuid_bytes[] = {0x66, 0x0f, 0xa2};

	(void)state;
	memset(&vcpu, 0, sizeof(vcpu));
	ctx = (struct vcpu_context){.mode = INSN_64, .cr3 = 5};
	memcpy(code, cpuid_bytes, sizeof(cpuid_bytes));
	vcpu.rip = 0x1000;
	vcpu.exit.opcode = 0x0fa2;
	assert_int_equal(vcpu_insn_len_known(&vcpu, 5, 0x0fa2), 0);
	assert_true(vcpu_insn_len(&vcpu));
	assert_int_equal(vcpu.exit.len, 3);
	assert_int_equal(vcpu_insn_len_known(&vcpu, 5, 0x0fa2), 3);
	assert_int_equal(vcpu_insn_len_known(&vcpu, 6, 0x0fa2), 0);
	assert_int_equal(vcpu_insn_len_known(&vcpu, 5, 0x0f30), 0);
	vcpu.rip = 0x1010; /* the same slot */
	assert_int_equal(vcpu_insn_len_known(&vcpu, 5, 0x0fa2), 0);
	/* Something else stands there by now, or nothing can be read: run it again. */
	vcpu.exit.len = 0;
	assert_false(vcpu_insn_len(&vcpu));
	vcpu.rip = 0x10;
	assert_false(vcpu_insn_len(&vcpu));
	assert_int_equal(vcpu_insn_len_known(&vcpu, 5, 0x0fa2), 0);
	/* At the end of a page the next one is tried, and is not needed. */
	memcpy(code + sizeof(code) - 3, cpuid_bytes, 3);
	vcpu.rip = 0x1000 + sizeof(code) - 3;
	assert_true(vcpu_insn_len(&vcpu));
	assert_int_equal(vcpu.exit.len, 3);
	/* Outside 64-bit mode CS counts. */
	ctx.mode = INSN_16;
	segs[HV_CS] = (struct hv_segment){.base = 0xff0};
	vcpu.rip = 0x10;
	assert_true(vcpu_insn_len(&vcpu));
	assert_int_equal(vcpu.exit.len, 3);
}

static void test_faults(void **state)
{
	(void)state;
	vcpu_inject_fault(&vcpu, VECTOR_UD);
	assert_true(injected.type == EVENT_EXCEPTION && injected.vector == 6 &&
		    !injected.has_error);
	vcpu_inject_fault(&vcpu, VECTOR_GP);
	assert_true(injected.vector == 13 && injected.has_error && injected.error == 0);
	vcpu_inject_page_fault(&vcpu, 0x1234, 7);
	assert_true(injected.vector == 14 && injected.error == 7 && injected.address == 0x1234);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_linear_64), cmocka_unit_test(test_linear_32),
		cmocka_unit_test(test_registers), cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
