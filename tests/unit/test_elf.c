/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/prog/elf.c
/* Program images: what is taken and each way of being wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "hv/abi/hv_abi.h"
#include "hv/mm/pt.h"
#include "hv/prog/elf.h"

/* Offsets in the file that the tests change (ELF-64 1.5 tables 1 and 12). */
enum { TYPE = 16, MACHINE = 18, ENTRY = 24, PHOFF = 32, EHSIZE = 52, PHENTSIZE = 54, PHNUM = 56 };
enum { P_TYPE = 0, P_FLAGS = 4, P_OFFSET = 8, P_VADDR = 16, P_FILESZ = 32, P_MEMSZ = 40 };
enum { FILE_SIZE = 0x3000, PH = 64, PH_SIZE = 56 };

static uint8_t *file;
static struct elf_image out;

static void put(unsigned at, uint64_t v, unsigned size)
{
	memcpy(file + at, &v, size);
}

static void segment(unsigned i, uint32_t flags, uint64_t off, uint64_t va, uint64_t filesz,
		    uint64_t memsz)
{
	unsigned at = PH + i * PH_SIZE;

	put(at + P_TYPE, 1, 4);
	put(at + P_FLAGS, flags, 4);
	put(at + P_OFFSET, off, 8);
	put(at + P_VADDR, va, 8);
	put(at + P_FILESZ, filesz, 8);
	put(at + P_MEMSZ, memsz, 8);
}

static int setup(void **state)
{
	static const uint8_t ident[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};

	file = calloc(1, FILE_SIZE);
	memcpy(file, ident, sizeof(ident));
	put(TYPE, 2, 2);
	put(MACHINE, 62, 2);
	put(20, 1, 4);
	put(ENTRY, 0x400010, 8);
	put(PHOFF, PH, 8);
	put(EHSIZE, 64, 2);
	put(PHENTSIZE, PH_SIZE, 2);
	put(PHNUM, 3, 2);
	segment(0, 5, 0x1000, 0x400000, 0x800, 0x800);
	segment(1, 4, 0x1800, 0x401800, 0x10, 0x10);
	segment(2, 6, 0x2000, 0x402000, 0x100, 0x5000);
	memset(&out, 0xaa, sizeof(out));
	return 0;
}

static int teardown(void **state)
{
	free(file);
	return 0;
}

static int read_it(void)
{
	return elf_read(file, FILE_SIZE, &out);
}

static void test_good(void **state)
{
	assert_int_equal(read_it(), 0);
	assert_int_equal(out.n, 3);
	assert_int_equal(out.entry, 0x400010);
	assert_int_equal(out.end, 0x407000);
	assert_int_equal(out.segments[0].prot, PT_R | PT_X);
	assert_int_equal(out.segments[1].prot, PT_R);
	assert_int_equal(out.segments[2].prot, PT_R | PT_W);
	assert_int_equal(out.segments[2].file_size, 0x100);
	put(PH + PH_SIZE + P_TYPE, 0x6474e551, 4); /* PT_GNU_STACK and the like are skipped */
	assert_int_equal(read_it(), 0);
	assert_int_equal(out.n, 2);
}

static void refused(void)
{
	struct elf_image untouched;

	memset(&untouched, 0xaa, sizeof(untouched));
	assert_int_equal(read_it(), -HVE_INVAL);
	assert_memory_equal(&out, &untouched, sizeof(out));
	teardown(NULL);
	setup(NULL);
}

static void test_header(void **state)
{
	struct {
		unsigned at, size;
		uint64_t value;
	} bad[] = {
		{0, 1, 0},
		{4, 1, 1},
		{5, 1, 2},
		{6, 1, 0},
		{7, 1, 3},
		{TYPE, 2, 3},
		{MACHINE, 2, 3},
		{20, 4, 2},
		{EHSIZE, 2, 52},
		{PHENTSIZE, 2, 32},
		{PHNUM, 2, 0},
		{PHNUM, 2, 17},
		{PHNUM, 2, 65535},
		{PHOFF, 8, FILE_SIZE},
		{PHOFF, 8, UINT64_MAX},
		{PHOFF, 8, FILE_SIZE - 167},
		{ENTRY, 8, 0},
		{ENTRY, 8, 0x400800},
		{ENTRY, 8, 0x402000},
		{ENTRY, 8, UINT64_MAX},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		put(bad[i].at, bad[i].value, bad[i].size);
		refused();
	}
	for (unsigned len = 0; len < 64 + 3 * PH_SIZE; len++) {
		uint8_t *cut = malloc(len + 1);

		memcpy(cut, file, len);
		assert_int_equal(elf_read(cut, len, &out), -HVE_INVAL);
		free(cut);
	}
}

static void test_segments(void **state)
{
	segment(0, 7, 0x1000, 0x400000, 0x800, 0x800); /* writable and executable */
	refused();
	segment(0, 1, 0x1000, 0x400000, 0x800, 0x800); /* not readable */
	refused();
	segment(0, 0xd, 0x1000, 0x400000, 0x800, 0x800); /* unknown flag */
	refused();
	segment(0, 5, 0x1000, 0x3ff000, 0x800, 0x800); /* over the information page */
	refused();
	segment(0, 5, 0x1000, 0x400800, 0x800, 0x800); /* offset and address disagree */
	refused();
	segment(0, 5, 0x1000, 0x400000, 0x801, 0x800); /* more file than memory */
	refused();
	segment(2, 6, FILE_SIZE, 0x402000, 1, 1); /* behind the file */
	refused();
	segment(2, 6, 0x2000, 0x402000, UINT64_MAX, UINT64_MAX);
	refused();
	segment(2, 6, 0x2000, 0x402000, 0, UINT64_MAX - 0x401fff);
	refused();
	segment(2, 6, 0x2000, 0x402000, 0, HV_VA_BRK_END); /* too far */
	refused();
	segment(2, 6, UINT64_MAX - 0xfff, 0x402000, 0x1000, 0x1000);
	refused();
	segment(1, 4, 0x1400, 0x400400, 0x10, 0x10); /* shares a page with the first */
	refused();
	segment(2, 6, 0x2000, 0x401000, 0x10, 0x10); /* not ascending */
	refused();
	put(PH + P_TYPE, 3, 4); /* wants an interpreter */
	refused();
	put(PH + P_TYPE, 2, 4); /* dynamic */
	refused();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good, setup, teardown),
		cmocka_unit_test_setup_teardown(test_header, setup, teardown),
		cmocka_unit_test_setup_teardown(test_segments, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
