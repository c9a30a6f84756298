/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/vmm/boot.c
// SRC: ctrl-kernel/vmm/linux.c
// SRC: ctrl-kernel/vmm/pvh.c
// SRC: ctrl-kernel/vmm/multiboot.c
// SRC: ctrl-kernel/vmm/elf.c
// SRC: ctrl-kernel/vmm/regs.c
// SRC: ctrl-kernel/vmm/guest.c
// SRC: ctrl-kernel/rt/fmt.c
/* ELF files with a PVH note, multiboot1 kernels as ELF (32 and 64 bits) and flat, and what is wrong with them. */
#include "tests/unit/vmm_image.h"

#include "ctrl-kernel/vmm/tables.h"

#define IMAGE 16384u
#define TEXT 4096u /* file offset of the loadable segment */
#define TEXT_LEN 8192u
#define NOTE 512u
#define MB 3000u /* file offset of the multiboot1 header */
#define LOAD 0x200000u

static uint8_t image[IMAGE];
static char why[BOOT_WHY_MAX];

static void fill(void)
{
	memset(image, 0, sizeof(image));
	for (unsigned i = TEXT; i < IMAGE; i++)
		image[i] = (uint8_t)(i * 11 + 1);
}

static void make_elf64(void)
{
	fill();
	memcpy(image, "\177ELF\2\1\1", 7);
	put16(image, 16, 2);
	put16(image, 18, 62);
	put64(image, 24, LOAD + 0x10); /* entry */
	put64(image, 32, 64);          /* phoff */
	put16(image, 54, 56);
	put16(image, 56, 2);
	put32(image, 64, 1); /* PT_LOAD */
	put64(image, 64 + 8, TEXT);
	put64(image, 64 + 24, LOAD);
	put64(image, 64 + 32, TEXT_LEN);
	put64(image, 64 + 40, TEXT_LEN + 0x1000);
	put32(image, 120, 0); /* PT_NULL, for a note */
}

static void make_elf32(void)
{
	fill();
	memcpy(image, "\177ELF\1\1\1", 7);
	put16(image, 16, 2);
	put16(image, 18, 3);
	put32(image, 24, LOAD + 0x20);
	put32(image, 28, 52);
	put16(image, 42, 32);
	put16(image, 44, 1);
	put32(image, 52, 1);
	put32(image, 52 + 4, TEXT);
	put32(image, 52 + 12, LOAD);
	put32(image, 52 + 16, TEXT_LEN);
	put32(image, 52 + 20, TEXT_LEN);
}

/* A foreign note before ours, as in vmlinux. */
static void add_note(unsigned desc_bytes, uint64_t entry)
{
	put32(image, 120, 4); /* PT_NOTE */
	put64(image, 120 + 8, NOTE);
	put64(image, 120 + 32, 20 + 24);
	put32(image, NOTE, 4);
	put32(image, NOTE + 4, 3); /* padded */
	put32(image, NOTE + 8, 18);
	memcpy(image + NOTE + 12, "GNU", 4);
	put32(image, NOTE + 20, 4);
	put32(image, NOTE + 24, desc_bytes);
	put32(image, NOTE + 28, 18);
	memcpy(image + NOTE + 32, "Xen", 4);
	put64(image, NOTE + 36, entry);
}

static void add_multiboot(uint32_t flags)
{
	put32(image, MB, 0x1badb002);
	put32(image, MB + 4, flags);
	put32(image, MB + 8, 0u - 0x1badb002u - flags);
}

static bool load_with(struct guest *g, uint64_t bytes, const struct boot_image *modules, unsigned n,
		      struct boot_output *out)
{
	struct boot_image k = image_make(image, bytes);
	struct boot_input in = {k, modules, n, "a=b"};
	bool ok;

	why[0] = 0;
	ok = boot_load(g, &in, out, why);
	image_free(&k);
	return ok;
}

static bool load(struct guest *g, uint64_t bytes, struct boot_output *out)
{
	return load_with(g, bytes, NULL, 0, out);
}

static void assert_text_loaded(const struct guest *g, unsigned bss)
{
	assert_memory_equal(g->ram + LOAD, image + TEXT, TEXT_LEN);
	for (unsigned i = 0; i < bss; i++)
		assert_int_equal(g->ram[LOAD + TEXT_LEN + i], 0);
}

static void assert_flat_32(const struct boot_output *out, uint64_t entry)
{
	assert_int_equal(out->regs.rip, entry);
	assert_int_equal(out->regs.cr0, 0x11);
	assert_int_equal(out->regs.efer, 0);
	assert_int_equal(out->regs.seg[HV_CS].attr, 0xc9b);
	assert_int_equal(out->regs.seg[HV_SS].limit, UINT32_MAX);
	assert_int_equal(out->regs.rflags, 2);
}

static void test_pvh(void **state)
{
	struct guest g = guest_make(16 * MEBI);
	struct boot_image m[2] = {{image, 5000, "one x=1"}, {image, 100, NULL}};
	const uint8_t *si = g.ram + GPA_BOOT_PARAMS, *list, *map;
	struct boot_output out;

	(void)state;
	make_elf64();
	add_note(4, LOAD + 0x30);
	add_multiboot(0); /* PVH is preferred */
	assert_true(load_with(&g, IMAGE, m, 2, &out));
	assert_int_equal(out.kind, BOOT_PVH);
	assert_text_loaded(&g, 0x1000);
	assert_flat_32(&out, LOAD + 0x30);
	assert_int_equal(out.regs.gpr[HV_RBX], GPA_BOOT_PARAMS);
	assert_int_equal(get32(si, 0), 0x336ec578);
	assert_int_equal(get32(si, 4), 1);
	assert_int_equal(get32(si, 12), 2);
	list = g.ram + get64(si, 16);
	assert_string_equal((char *)g.ram + get64(si, 24), "a=b");
	assert_int_equal(get64(si, 32), TABLES_RSDP);
	map = g.ram + get64(si, 40);
	assert_int_equal(get32(si, 48), 4);
	assert_int_equal(get64(map, 8), GPA_LOW_END);
	assert_int_equal(get32(map, 24 + 16), RAM_RESERVED);
	assert_int_equal(get64(list, 0), LOAD + TEXT_LEN + 0x1000);
	assert_int_equal(get64(list, 8), 5000);
	assert_string_equal((char *)g.ram + get64(list, 16), "one x=1");
	assert_memory_equal(g.ram + get64(list, 0), image, 5000);
	assert_int_equal(get64(list, 32), LOAD + TEXT_LEN + 0x1000 + 8192);
	add_note(8, LOAD + 0x40);
	assert_true(load(&g, IMAGE, &out));
	assert_int_equal(out.regs.rip, LOAD + 0x40);
	free(g.ram);
}

/* A note that is not quite ours is no PVH note, and none is read outside of its segment. */
static void test_bad_notes(void **state)
{
	struct guest g = guest_make(16 * MEBI);
	struct boot_output out;

	(void)state;
	make_elf64();
	add_note(8, 0x100000000ull);
	assert_false(load(&g, IMAGE, &out));
	assert_contains(why, "without PVH note and multiboot1 header");
	add_note(5, LOAD);
	assert_false(load(&g, IMAGE, &out));
	add_note(4, LOAD);
	put32(image, NOTE + 20, 0xffffffff); /* name length */
	assert_false(load(&g, IMAGE, &out));
	add_note(4, LOAD);
	put32(image, NOTE + 24, 0xfffffffc); /* description length */
	assert_false(load(&g, IMAGE, &out));
	add_note(4, LOAD);
	put64(image, 120 + 32, 20 + 12 + 4 + 3); /* segment ends in the description */
	assert_false(load(&g, IMAGE, &out));
	add_note(4, LOAD);
	put64(image, 120 + 8, IMAGE - 10); /* segment outside of the file */
	assert_false(load(&g, IMAGE, &out));
	free(g.ram);
}

static void test_bad_segments(void **state)
{
	static const struct {
		uint64_t offset, paddr, filesz, memsz;
		const char *text;
	} bad[] = {
		{IMAGE, LOAD, 1, 1, "truncated"},
		{UINT64_MAX, LOAD, 2, 2, "truncated"},
		{TEXT, LOAD, UINT64_MAX, UINT64_MAX, "truncated"},
		{TEXT, LOAD, 100, 50, "larger in the file"},
		{TEXT, UINT64_MAX - 10, 100, 100, "give it more memory"},
		{TEXT, LOAD, 100, UINT64_MAX - LOAD + 1, "give it more memory"},
		{TEXT, 16 * MEBI - 99, 100, 100, "give it more memory"},
		{TEXT, GPA_BOOT_END - 1, 100, 100, "overlaps"},
		{TEXT, GPA_TABLES - 1, 2, 2, "overlaps"},
		{TEXT, 0, 1, GPA_MAIN, "overlaps"},
		{TEXT, LOAD, 0, 0, "nothing to load"},
	};
	struct guest g = guest_make(16 * MEBI);
	struct boot_output out;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		make_elf64();
		add_multiboot(0);
		put64(image, 64 + 8, bad[i].offset);
		put64(image, 64 + 24, bad[i].paddr);
		put64(image, 64 + 32, bad[i].filesz);
		put64(image, 64 + 40, bad[i].memsz);
		assert_false(load(&g, IMAGE, &out));
		assert_contains(why, bad[i].text);
	}
	free(g.ram);
}

static void test_bad_headers(void **state)
{
	struct guest g = guest_make(16 * MEBI);
	struct boot_output out;

	(void)state;
	make_elf64();
	put16(image, 18, 183);
	assert_false(load(&g, IMAGE, &out));
	assert_contains(why, "machine type 183");
	make_elf64();
	image[5] = 2;
	assert_false(load(&g, IMAGE, &out));
	assert_contains(why, "little-endian");
	make_elf64();
	put16(image, 56, 65);
	assert_false(load(&g, IMAGE, &out));
	assert_contains(why, "65 program headers");
	make_elf64();
	put16(image, 54, 40);
	assert_false(load(&g, IMAGE, &out));
	make_elf64();
	put64(image, 32, UINT64_MAX - 8);
	assert_false(load(&g, IMAGE, &out));
	assert_contains(why, "truncated");
	make_elf64();
	add_note(4, LOAD);
	for (unsigned n = 4; n < IMAGE; n += n < 700 ? 1 : 53) {
		bool ok = load(&g, n, &out);

		assert_true(ok == (n >= TEXT + TEXT_LEN));
		assert_true(ok || strlen(why) > 20);
	}
	free(g.ram);
}

static void test_multiboot_elf(void **state)
{
	struct guest g = guest_make(16 * MEBI);
	struct boot_image m[2] = {{image, 5000, "one x=1"}, {image, 100, "two"}};
	const uint8_t *info = g.ram + GPA_BOOT_PARAMS, *mods, *map;
	struct boot_output out;

	(void)state;
	make_elf32();
	add_multiboot(3);
	assert_true(load_with(&g, IMAGE, m, 2, &out));
	assert_int_equal(out.kind, BOOT_MULTIBOOT);
	assert_text_loaded(&g, 0);
	assert_flat_32(&out, LOAD + 0x20);
	assert_int_equal(out.regs.gpr[HV_RAX], 0x2badb002);
	assert_int_equal(out.regs.gpr[HV_RBX], GPA_BOOT_PARAMS);
	assert_int_equal(get32(info, 0), 0x24d);
	assert_int_equal(get32(info, 4), 640);
	assert_int_equal(get32(info, 8), 15 * 1024);
	assert_string_equal((char *)g.ram + get32(info, 16), "a=b");
	assert_int_equal(get32(info, 20), 2);
	mods = g.ram + get32(info, 24);
	assert_int_equal(get32(mods, 0), LOAD + TEXT_LEN);
	assert_int_equal(get32(mods, 4), LOAD + TEXT_LEN + 5000);
	assert_string_equal((char *)g.ram + get32(mods, 8), "one x=1");
	assert_int_equal(get32(mods, 16), LOAD + TEXT_LEN + 8192);
	assert_int_equal(get32(info, 44), 4 * 24);
	map = g.ram + get32(info, 48);
	assert_int_equal(get32(map, 0), 20);
	assert_int_equal(get64(map, 12), GPA_LOW_END);
	assert_int_equal(get32(map, 20), RAM_USABLE);
	assert_string_equal((char *)g.ram + get32(info, 64), "Socle");
	m[1].bytes = 16 * MEBI;
	assert_false(load_with(&g, IMAGE, m, 2, &out));
	assert_contains(why, "module 2");
	make_elf64();
	add_multiboot(0);
	assert_true(load(&g, IMAGE, &out));
	assert_flat_32(&out, LOAD + 0x10);
	add_multiboot(0x100);
	assert_false(load(&g, IMAGE, &out));
	assert_contains(why, "demands features");
	free(g.ram);
}

static void flat(uint32_t header_addr, uint32_t load_addr, uint32_t load_end, uint32_t bss_end)
{
	fill();
	add_multiboot(0x10000);
	put32(image, MB + 12, header_addr);
	put32(image, MB + 16, load_addr);
	put32(image, MB + 20, load_end);
	put32(image, MB + 24, bss_end);
	put32(image, MB + 28, LOAD + 0x44);
}

static void test_multiboot_flat(void **state)
{
	struct guest g = guest_make(16 * MEBI);
	struct boot_output out;

	(void)state;
	flat(LOAD + 1000, LOAD, LOAD + 3000, LOAD + 4000);
	assert_true(load(&g, IMAGE, &out));
	assert_memory_equal(g.ram + LOAD, image + MB - 1000, 3000);
	assert_int_equal(g.ram[LOAD + 3000], 0);
	assert_int_equal(g.ram[LOAD + 3999], 0);
	assert_int_equal(g.ram[LOAD + 4000], 0xa5);
	assert_flat_32(&out, LOAD + 0x44);
	flat(LOAD + MB, LOAD, 0, 0); /* the whole file */
	assert_true(load(&g, IMAGE, &out));
	assert_memory_equal(g.ram + LOAD, image, IMAGE);
	flat(LOAD + MB + 1, LOAD, 0, 0); /* begins before the file */
	assert_false(load(&g, IMAGE, &out));
	flat(LOAD - 1, LOAD, 0, 0);
	assert_false(load(&g, IMAGE, &out));
	flat(LOAD + MB, LOAD, LOAD + IMAGE + 1, 0);
	assert_false(load(&g, IMAGE, &out));
	assert_contains(why, "truncated");
	flat(LOAD + MB, LOAD, LOAD - 1, 0);
	assert_false(load(&g, IMAGE, &out));
	flat(LOAD + MB, LOAD, 0, LOAD + 10);
	assert_false(load(&g, IMAGE, &out));
	assert_contains(why, "bss end");
	flat(LOAD + MB, LOAD, 0, 0xffffffff);
	assert_false(load(&g, IMAGE, &out));
	flat(0xfffffff0, 0xfffffff0 - MB, 0, 0);
	assert_false(load(&g, IMAGE, &out));
	flat(LOAD + MB, LOAD, 0, 0);
	assert_false(load(&g, MB + 20, &out)); /* cut in the address fields */
	assert_contains(why, "cut off");
	add_multiboot(0); /* neither address fields nor ELF */
	assert_false(load(&g, IMAGE, &out));
	assert_contains(why, "no ELF file");
	free(g.ram);
}

/* Memory on both sides of the hole, without having that much: only the arithmetic is looked at. */
static void test_map_above_hole(void **state)
{
	struct guest g = {(uint8_t *)0x10000, HV_GPA_HOLE + 5 * MEBI};
	struct ram_range r[RAM_RANGES_MAX];

	(void)state;
	assert_int_equal(guest_map(&g, r), 5);
	assert_int_equal(r[2].base + r[2].bytes, HV_GPA_HOLE);
	assert_int_equal(r[4].base, HV_GPA_HOLE_END);
	assert_int_equal(r[4].bytes, 5 * MEBI);
	assert_ptr_equal(guest_at(&g, HV_GPA_HOLE - 1, 1), g.ram + HV_GPA_HOLE - 1);
	assert_null(guest_at(&g, HV_GPA_HOLE - 1, 2));
	assert_null(guest_at(&g, HV_GPA_HOLE_END - 1, 1));
	assert_ptr_equal(guest_at(&g, HV_GPA_HOLE_END, 5 * MEBI), g.ram + HV_GPA_HOLE);
	assert_null(guest_at(&g, HV_GPA_HOLE_END, 5 * MEBI + 1));
	assert_null(guest_at(&g, HV_GPA_HOLE_END + 1, UINT64_MAX));
	assert_null(guest_at(&g, UINT64_MAX, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pvh),
		cmocka_unit_test(test_bad_notes),
		cmocka_unit_test(test_bad_segments),
		cmocka_unit_test(test_bad_headers),
		cmocka_unit_test(test_multiboot_elf),
		cmocka_unit_test(test_multiboot_flat),
		cmocka_unit_test(test_map_above_hole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
