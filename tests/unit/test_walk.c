/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/vcpu/walk.c
/* The guest page walk over a small fake memory: all paging modes, permissions, accessed and dirty bits, holes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "hv/cpu/x86.h"
#include "hv/mm/window.h"
#include "hv/vcpu/vcpu.h"

/* Guest-physical n is host-physical HOST + n. RAM ends at RAM_END; one page is read-only. */
#define HOST 0x40000000ull
#define RAM_END 0x40000ull
#define ROM_PAGE 0x3f000ull

static uint8_t ram[RAM_END] ALIGNED(4096);
static unsigned windows;
static struct vcpu_context ctx;
static struct vcpu vcpu;
struct cpu_features cpu_features = {.phys_bits = 40};

static void fake_context(struct vcpu *v, struct vcpu_context *out)
{
	(void)v;
	*out = ctx;
}
static const struct vendor fake = {.context = fake_context};
const struct vendor *vendor = &fake;

int guest_fill(struct pt *npt, gpa_t gpa)
{
	(void)npt, (void)gpa;
	return -HVE_INVAL;
}

bool pt_lookup(const struct pt *pt, uint64_t va, struct pt_entry *out)
{
	(void)pt;
	if (va >= RAM_END)
		return false;
	*out = (struct pt_entry){.va = va & ~0xfffull,
				 .hpa = HOST + (va & ~0xfffull),
				 .shift = 12,
				 .prot = (va & ~0xfffull) == ROM_PAGE ? PT_R | PT_X
								      : PT_R | PT_W | PT_X};
	return true;
}

void *window_open(hpa_t frame)
{
	assert_true(frame >= HOST && frame < HOST + RAM_END && frame % 4096 == 0);
	windows++;
	return ram + (frame - HOST);
}

void window_close(void *w)
{
	(void)w;
	windows--;
}

void phys_read(void *to, hpa_t from, size_t len)
{
	assert_true(from >= HOST && from + len <= HOST + RAM_END && from % 4096 + len <= 4096);
	memcpy(to, ram + (from - HOST), len);
}

void phys_write(hpa_t to, const void *from, size_t len)
{
	assert_true(to >= HOST && to + len <= HOST + RAM_END && to % 4096 + len <= 4096);
	memcpy(ram + (to - HOST), from, len);
}

uint64_t phys_read64(hpa_t from)
{
	uint64_t value;

	assert_int_equal(from % 8, 0);
	phys_read(&value, from, 8);
	return value;
}

bool phys_match(const struct phys_word *words, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if ((phys_read64(words[i].at) ^ words[i].value) & words[i].mask)
			return false;
	}
	return true;
}

static uint64_t *e64(uint64_t table, unsigned index)
{
	return (uint64_t *)(void *)(ram + table) + index;
}

static uint32_t *e32(uint64_t table, unsigned index)
{
	return (uint32_t *)(void *)(ram + table) + index;
}

#define P 1u
#define W 2u
#define U 4u
#define A 0x20u
#define D 0x40u
#define PS 0x80u
#define NX (1ull << 63)

#define VA 0x00007f8040201000ull /* indices 255, 1, 1, 1 */

/* 4 levels at 1000, 2000, 3000, 4000: VA -> leaf_bits at 0x10000; VA + 4096 -> 0x11000 */
static void long_mode(uint64_t leaf_bits)
{
	memset(ram, 0, sizeof(ram));
	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.fetch.page = ~0ull;
	ctx = (struct vcpu_context){.cr0 = CR0_PE | CR0_PG | CR0_WP,
				    .cr3 = 0x1000,
				    .cr4 = CR4_PAE,
				    .efer = EFER_LME | EFER_LMA | EFER_NXE,
				    .mode = INSN_64};
	*e64(0x1000, 255) = 0x2000 | P | W | U;
	*e64(0x2000, 1) = 0x3000 | P | W | U;
	*e64(0x3000, 1) = 0x4000 | P | W | U;
	*e64(0x4000, 1) = 0x10000 | leaf_bits;
	*e64(0x4000, 2) = 0x11000 | leaf_bits;
}

static int translate(gva_t va, bool write, gpa_t *gpa, struct walk_fault *f)
{
	int rc = guest_translate(&vcpu, va, write, gpa, f);

	assert_int_equal(windows, 0);
	return rc;
}

static void expect_ok(gva_t va, bool write, gpa_t want)
{
	struct walk_fault f;
	gpa_t gpa = 0;

	assert_int_equal(translate(va, write, &gpa, &f), 0);
	assert_int_equal(gpa, want);
}

static void expect_fault(gva_t va, bool write, uint32_t error)
{
	struct walk_fault f = {0};
	gpa_t gpa = 77;

	assert_int_equal(translate(va, write, &gpa, &f), -HVE_FAULT);
	assert_int_equal(f.error, error);
	assert_int_equal(f.address, va);
	assert_int_equal(gpa, 77);
}

static void test_long(void **state)
{
	uint8_t buf[8];
	struct walk_fault f;

	(void)state;
	long_mode(P | W | U);
	expect_ok(VA + 0x123, false, 0x10123);
	assert_int_equal(*e64(0x1000, 255) & (A | D), A);
	assert_int_equal(*e64(0x4000, 1) & (A | D), A);
	expect_ok(VA + 0x123, true, 0x10123);
	assert_int_equal(*e64(0x4000, 1) & (A | D), A | D);
	assert_int_equal(*e64(0x3000, 1) & (A | D), A);
	/* Across two pages. */
	memcpy(ram + 0x10ffc, "abcd", 4);
	memcpy(ram + 0x11000, "efgh", 4);
	assert_int_equal(guest_read(&vcpu, VA + 0xffc, buf, 8, false, &f), 0);
	assert_memory_equal(buf, "abcdefgh", 8);
	assert_int_equal(guest_write(&vcpu, VA + 0xffe, "1234", 4, &f), 0);
	assert_memory_equal(ram + 0x10ffe, "1234", 4);
}

static void test_not_present(void **state)
{
	(void)state;
	long_mode(P | W | U);
	expect_fault(VA + 0x2000, false, 0);
	expect_fault(VA + 0x2000, true, 2);
	ctx.cpl = 3;
	expect_fault(VA + 0x2000, true, 6);
	*e64(0x3000, 1) &= ~(uint64_t)P;
	expect_fault(VA, false, 4);
	/* Nothing was marked on the way that the walk did not take. */
	assert_int_equal(*e64(0x4000, 1) & (A | D), 0);
}

static void test_permissions(void **state)
{
	struct walk_fault f;
	uint8_t b;

	(void)state;
	long_mode(P | U); /* read-only user page */
	expect_fault(VA, true, 1 | 2);
	ctx.cr0 &= ~CR0_WP;
	expect_ok(VA, true, 0x10000);
	ctx.cpl = 3;
	expect_fault(VA, true, 1 | 2 | 4);
	expect_ok(VA, false, 0x10000);
	long_mode(P | W); /* supervisor page */
	ctx.cpl = 3;
	expect_fault(VA, false, 1 | 4);
	long_mode(P | W | NX);
	assert_int_equal(guest_read(&vcpu, VA, &b, 1, true, &f), -HVE_FAULT);
	assert_int_equal(f.error, 1 | 16);
	expect_ok(VA, false, 0x10000);
	/* The upper levels count too. */
	long_mode(P | W | U);
	*e64(0x2000, 1) &= ~(uint64_t)W;
	expect_fault(VA, true, 1 | 2);
}

static void test_smep_smap(void **state)
{
	struct walk_fault f;
	uint8_t b;

	(void)state;
	long_mode(P | W | U);
	ctx.cr4 |= CR4_SMEP | CR4_SMAP;
	assert_int_equal(guest_read(&vcpu, VA, &b, 1, true, &f), -HVE_FAULT);
	assert_int_equal(f.error, 1 | 16);
	expect_fault(VA, false, 1);
	vcpu.rflags = RFLAGS_AC;
	expect_ok(VA, false, 0x10000);
	vcpu.rflags = 0;
	ctx.cpl = 3;
	expect_ok(VA, true, 0x10000);
}

static void test_reserved(void **state)
{
	(void)state;
	long_mode(P | W | U | 1ull << 45);
	expect_fault(VA, false, 1 | 8);
	long_mode(P | W | U | NX);
	ctx.efer &= ~EFER_NXE;
	expect_fault(VA, false, 1 | 8);
}

static void test_large(void **state)
{
	(void)state;
	long_mode(P | W | U);
	*e64(0x3000, 1) = P | W | U | PS; /* 2 MiB at 0 */
	expect_ok(VA + 0x1234, true, 0x2234);
	assert_int_equal(*e64(0x3000, 1) & (A | D), A | D);
	*e64(0x2000, 1) = 0x40000000ull | P | W | U | PS; /* 1 GiB */
	expect_ok(VA + 0x234, false, 0x40201234);
}

static void test_pae(void **state)
{
	(void)state;
	memset(ram, 0, sizeof(ram));
	ctx = (struct vcpu_context){.cr0 = CR0_PE | CR0_PG | CR0_WP,
				    .cr3 = 0x1020,
				    .cr4 = CR4_PAE,
				    .efer = EFER_NXE,
				    .mode = INSN_32};
	*e64(0x1020, 3) = 0x2000 | P | A; /* an emulator sets A here */
	*e64(0x2000, 1) = 0x3000 | P | W;
	*e64(0x3000, 2) = 0x12000 | P | W;
	expect_ok(0xc0202345, true, 0x12345);
	*e64(0x2000, 1) = 0x200000 | P | W | PS;
	expect_ok(0xc0202345, true, 0x202345);
	expect_fault(0x00202345, false, 0);
}

static void test_32bit(void **state)
{
	(void)state;
	memset(ram, 0, sizeof(ram));
	ctx = (struct vcpu_context){
		.cr0 = CR0_PE | CR0_PG | CR0_WP, .cr3 = 0x1000, .cr4 = CR4_PSE, .mode = INSN_32};
	*e32(0x1000, 0x301) = 0x3000 | P | W;
	*e32(0x3000, 2) = 0x12000 | P | W;
	expect_ok(0xc0402345, true, 0x12345);
	assert_int_equal(*e32(0x3000, 2) & (A | D), A | D);
	assert_int_equal(*e32(0x3000, 3), 0);
	*e32(0x1000, 0x301) = 0x00c00000 | 3u << 13 | P | W | PS; /* PSE-36 */
	expect_ok(0xc0402345, false, 0x300c02345ull);
	ctx.cr4 = 0; /* no PSE: a table */
	*e32(0x1000, 0x301) = 0x3000 | P | W | PS;
	expect_ok(0xc0402345, false, 0x12345);
}

static void test_no_paging(void **state)
{
	struct walk_fault f;
	uint8_t b[2];

	(void)state;
	ctx = (struct vcpu_context){.cr0 = CR0_PE, .mode = INSN_32};
	expect_ok(0x12345, true, 0x12345);
	expect_ok(0x100012345ull, true, 0x12345);
	assert_int_equal(guest_read(&vcpu, RAM_END - 1, b, 2, false, &f), -HVE_INVAL);
	assert_int_equal(guest_write(&vcpu, ROM_PAGE, b, 1, &f), -HVE_INVAL);
	assert_int_equal(guest_read(&vcpu, ROM_PAGE, b, 1, false, &f), 0);
}

static void test_tables_outside_ram(void **state)
{
	struct walk_fault f;
	gpa_t gpa;

	(void)state;
	long_mode(P | W | U);
	*e64(0x2000, 1) = 0x10000000 | P | W | U;
	assert_int_equal(translate(VA, false, &gpa, &f), -HVE_INVAL);
	ctx.cr3 = 0xfffffff000ull;
	assert_int_equal(translate(VA, false, &gpa, &f), -HVE_INVAL);
	ctx.cr3 = ROM_PAGE;
	assert_int_equal(translate(VA, false, &gpa, &f), -HVE_INVAL);
	ctx.cr4 |= CR4_LA57;
	assert_int_equal(translate(VA, false, &gpa, &f), -HVE_INVAL);
}

static void test_fetch_follows_tables(void **state)
{
	uint8_t b[15];

	(void)state;
	long_mode(P | W);
	memset(ram + 0x10000, 0x11, 4096);
	memset(ram + 0x12000, 0x22, 4096);
	assert_int_equal(guest_fetch(&vcpu, &ctx, VA + 5, b, 15), 15);
	assert_int_equal(b[0], 0x11);
	assert_int_equal(guest_fetch(&vcpu, &ctx, VA + 0xffc, b, 15), 4);
	memset(b, 0x11, sizeof(b));
	assert_true(guest_code_is(&vcpu, &ctx, VA + 5, b));
	assert_true(guest_code_is(&vcpu, &ctx, VA + 0xff1, b));
	assert_false(guest_code_is(&vcpu, &ctx, VA + 0xff2, b)); /* goes on in the next page */
	assert_false(guest_code_is(&vcpu, &ctx, VA + 0x1005, b));
	ram[0x10000 + 5 + 14] = 0;
	assert_false(guest_code_is(&vcpu, &ctx, VA + 5, b));
	/* The leaf, then a table above it, changes without INVLPG. */
	*e64(0x4000, 1) = 0x12000 | P | W;
	assert_int_equal(guest_fetch(&vcpu, &ctx, VA, b, 15), 15);
	assert_int_equal(b[0], 0x22);
	*e64(0x2000, 1) = 0;
	assert_false(guest_code_is(&vcpu, &ctx, VA, b));
	assert_int_equal(guest_fetch(&vcpu, &ctx, VA, b, 15), 0);
	*e64(0x2000, 1) = 0x3000 | P | W;
	*e64(0x4000, 1) = 0x10000 | P | W | NX;
	assert_int_equal(guest_fetch(&vcpu, &ctx, VA, b, 15), 0);
	/* Entries of four bytes: the neighbour does not matter. */
	test_32bit(state);
	vcpu.fetch.page = ~0ull;
	assert_int_equal(guest_fetch(&vcpu, &ctx, 0xc0402005, b, 15), 15);
	memcpy(b, ram + 0x12005, 15);
	*e32(0x3000, 3) = 5;
	assert_true(guest_code_is(&vcpu, &ctx, 0xc0402005, b));
	*e32(0x3000, 2) = 0;
	assert_false(guest_code_is(&vcpu, &ctx, 0xc0402005, b));
	assert_int_equal(windows, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_not_present),
		cmocka_unit_test(test_permissions),
		cmocka_unit_test(test_smep_smap),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_pae),
		cmocka_unit_test(test_32bit),
		cmocka_unit_test(test_no_paging),
		cmocka_unit_test(test_tables_outside_ram),
		cmocka_unit_test(test_fetch_follows_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
