/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/vmm/boot.c
// SRC: ctrl-kernel/vmm/linux.c
// SRC: ctrl-kernel/vmm/pvh.c
// SRC: ctrl-kernel/vmm/multiboot.c
// SRC: ctrl-kernel/vmm/elf.c
// SRC: ctrl-kernel/vmm/regs.c
// SRC: ctrl-kernel/vmm/guest.c
// SRC: ctrl-kernel/rt/fmt.c
/* The bzImage loader: a made-up image, every way to break it, and Debian's kernel when the build has it. */
#include "tests/unit/vmm_image.h"

#include <stdio.h>

#include "ctrl-kernel/vmm/elf.h"
#include "ctrl-kernel/vmm/tables.h"

#define SETUP 1024u  /* setup_sects 1 */
#define KERNEL 8192u /* protected-mode part */
#define IMAGE (SETUP + KERNEL)

static uint8_t image[IMAGE];
static char why[BOOT_WHY_MAX];

static void image_reset(void)
{
	memset(image, 0, sizeof(image));
	for (unsigned i = SETUP; i < IMAGE; i++)
		image[i] = (uint8_t)(i * 7);
	image[0x1f1] = 1;
	put32(image, 0x1f4, KERNEL / 16);
	put16(image, 0x1fe, 0xaa55);
	image[0x201] = 0x66; /* header ends at 0x268 */
	put32(image, 0x202, 0x53726448);
	put16(image, 0x206, 0x020f);
	image[0x211] = 1;
	put32(image, 0x22c, 0x7fffffff);
	put32(image, 0x230, 0x200000);
	image[0x234] = 1;
	put16(image, 0x236, 3);
	put32(image, 0x238, 2047);
	put64(image, 0x258, 0x1000000);
	put32(image, 0x260, 0x400000);
}

/* Loads what `image` says into a VM of ram bytes. */
static bool load(struct guest *g, uint64_t bytes, const struct boot_image *initrd,
		 const char *cmdline, struct boot_output *out)
{
	struct boot_image k = image_make(image, bytes);
	struct boot_input in = {
		.kernel = k, .modules = initrd, .n_modules = initrd != NULL, .cmdline = cmdline};
	bool ok;

	why[0] = 0;
	ok = boot_load(g, &in, out, why);
	image_free(&k);
	return ok;
}

static void test_good(void **state)
{
	static uint8_t rd[5000];
	struct boot_image initrd = {rd, sizeof(rd), ""};
	struct guest g = guest_make(64 * MEBI);
	struct boot_output out;
	const uint8_t *zp = g.ram + GPA_BOOT_PARAMS;
	uint32_t at;

	(void)state;
	memset(rd, 0x77, sizeof(rd));
	image_reset();
	assert_true(load(&g, IMAGE, &initrd, "console=ttyS0", &out));
	assert_int_equal(out.kind, BOOT_BZIMAGE);
	assert_int_equal(out.regs.rip, 0x1000200);
	assert_int_equal(out.regs.gpr[HV_RSI], GPA_BOOT_PARAMS);
	assert_int_equal(out.regs.runnable, 1);
	assert_int_equal(out.regs.efer, 0x500);
	assert_int_equal(out.regs.seg[HV_CS].attr, 0xa9b);
	assert_memory_equal(g.ram + 0x1000000, image + SETUP, KERNEL);
	/* zero page: header kept, ours filled in, the rest zero */
	assert_int_equal(get32(zp, 0x202), 0x53726448);
	assert_int_equal(zp[0x210], 0xff);
	assert_int_equal(get64(zp, 0x070), TABLES_RSDP);
	assert_int_equal(get32(zp, 0x228), GPA_BOOT_CMDLINE);
	assert_string_equal((char *)g.ram + GPA_BOOT_CMDLINE, "console=ttyS0");
	assert_int_equal(zp[0], 0);
	assert_int_equal(zp[0xfff], 0);
	at = get32(zp, 0x218);
	assert_int_equal(get32(zp, 0x21c), sizeof(rd));
	assert_int_equal(at, (64 * MEBI - sizeof(rd)) & ~0xfffull);
	assert_memory_equal(g.ram + at, rd, sizeof(rd));
	/* E820 */
	assert_int_equal(zp[0x1e8], 4);
	assert_int_equal(get64(zp, 0x2d0 + 8), GPA_LOW_END);
	assert_int_equal(get64(zp, 0x2d0 + 40), MEBI);
	assert_int_equal(get64(zp, 0x2d0 + 48), 63 * MEBI);
	assert_int_equal(get64(zp, 0x2d0 + 60), HV_GPA_ECAM);
	/* identity mapping of the kernel's place */
	assert_int_equal(out.regs.cr3, GPA_BOOT_PAGES);
	assert_int_equal(get64(g.ram, GPA_BOOT_PAGES), (GPA_BOOT_PAGES + 0x1000) | 3);
	assert_int_equal(get64(g.ram, GPA_BOOT_PAGES + 0x2000 + 8 * 8), 0x1000083);
	free(g.ram);
}

/* Memory too small for the preferred address: a relocatable kernel goes to the lowest aligned one. */
static void test_small_memory(void **state)
{
	struct guest g = guest_make(8 * MEBI);
	struct boot_output out;

	(void)state;
	image_reset();
	assert_true(load(&g, IMAGE, NULL, "", &out));
	assert_int_equal(out.regs.rip, 0x200200);
	image[0x234] = 0; /* not relocatable */
	assert_false(load(&g, IMAGE, NULL, "", &out));
	assert_contains(why, "give it more memory");
	image[0x234] = 1;
	put32(image, 0x260, 7 * MEBI); /* 2 + 7 > 8 MiB */
	assert_false(load(&g, IMAGE, NULL, "", &out));
	assert_contains(why, "give it more memory");
	free(g.ram);
}

static void test_bad_headers(void **state)
{
	struct guest g = guest_make(64 * MEBI);
	struct boot_output out;

	(void)state;
	image_reset();
	put16(image, 0x206, 0x020b);
	assert_false(load(&g, IMAGE, NULL, "", &out));
	assert_contains(why, "protocol 2.11");
	image_reset();
	put16(image, 0x236, 0);
	assert_false(load(&g, IMAGE, NULL, "", &out));
	assert_contains(why, "64-bit entry");
	image_reset();
	assert_false(load(&g, IMAGE - 1, NULL, "", &out));
	assert_contains(why, "truncated");
	put32(image, 0x1f4, 0xffffffff);
	assert_false(load(&g, IMAGE, NULL, "", &out));
	assert_contains(why, "truncated");
	put32(image, 0x1f4, 0);
	assert_false(load(&g, IMAGE, NULL, "", &out));
	image_reset();
	image[0x1f1] = 255; /* setup beyond the file */
	assert_false(load(&g, IMAGE, NULL, "", &out));
	assert_contains(why, "truncated");
	image_reset();
	put64(image, 0x258, UINT64_MAX - 100);
	put32(image, 0x230, 0); /* and an alignment of nothing */
	assert_false(load(&g, IMAGE, NULL, "", &out));
	put64(image, 0x258, GPA_BOOT);
	assert_false(load(&g, IMAGE, NULL, "", &out));
	assert_contains(why, "overlaps");
	image_reset();
	image[0x201] = 0xff; /* a header longer than the zero page has room for */
	assert_true(load(&g, IMAGE, NULL, "", &out));
	assert_int_equal(g.ram[GPA_BOOT_PARAMS + 0x290], 0);
	free(g.ram);
}

static void test_cmdline(void **state)
{
	struct guest g = guest_make(64 * MEBI);
	struct boot_output out;
	char line[2100];

	(void)state;
	image_reset();
	memset(line, 'a', sizeof(line));
	line[2047] = 0;
	assert_true(load(&g, IMAGE, NULL, line, &out));
	line[2047] = 'a';
	line[2048] = 0;
	assert_false(load(&g, IMAGE, NULL, line, &out));
	assert_contains(why, "2048 bytes");
	free(g.ram);
}

static void test_initrd(void **state)
{
	struct guest g = guest_make(64 * MEBI);
	struct boot_image two[2], initrd = {malloc(45 * MEBI), 44 * MEBI, ""};
	struct boot_input in = {.modules = two, .n_modules = 2, .cmdline = ""};
	struct boot_output out;

	(void)state;
	memset((void *)initrd.data, 1, 45 * MEBI);
	image_reset();
	assert_true(load(&g, IMAGE, &initrd, "", &out)); /* 16 + 4 + 44 = 64 */
	initrd.bytes++;
	assert_false(load(&g, IMAGE, &initrd, "", &out));
	assert_contains(why, "no room for the initrd");
	initrd.bytes = UINT64_MAX; /* a lie: nothing is read */
	assert_false(load(&g, IMAGE, &initrd, "", &out));
	initrd.bytes = 4096;
	put32(image, 0x22c, 0x17fffff); /* initrd_addr_max */
	assert_true(load(&g, IMAGE, &initrd, "", &out));
	assert_int_equal(get32(g.ram, GPA_BOOT_PARAMS + 0x218), 0x17ff000);
	put32(image, 0x22c, 0xfff);
	assert_false(load(&g, IMAGE, &initrd, "", &out));
	two[0] = two[1] = initrd;
	in.kernel = (struct boot_image){image, IMAGE, ""};
	assert_false(boot_load(&g, &in, &out, why));
	assert_contains(why, "one module");
	free((void *)initrd.data);
	free(g.ram);
}

/* Every length of a good image is either loaded or refused with a text. */
static void test_every_length(void **state)
{
	struct guest g = guest_make(24 * MEBI);
	struct boot_output out;

	(void)state;
	image_reset();
	for (unsigned n = 0; n < IMAGE; n += n < 0x300 ? 1 : 97) {
		assert_false(load(&g, n, NULL, "", &out));
		assert_true(strlen(why) > 20);
	}
	free(g.ram);
}

static void test_other_files(void **state)
{
	static const struct {
		const char data[13];
		const char *text;
	} files[] = {
		{"\x1f\x8b\x08zzzzzzzzz", "gzip"}, {"MZzzzzzzzzzz", "EFI"},
		{"070701zzzzzz", "cpio"},          {"#!/bin/sh\n  ", "script"},
		{"hello, world", "no known kind"},
	};
	struct guest g = guest_make(4 * MEBI), tiny = guest_make(4096);
	struct boot_output out;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
		memcpy(image, files[i].data, 12);
		assert_false(load(&g, 12, NULL, "", &out));
		assert_contains(why, files[i].text);
		assert_contains(why, "accepted are");
	}
	assert_false(load(&g, 0, NULL, "", &out));
	assert_contains(why, "empty");
	assert_false(load(&tiny, 12, NULL, "", &out));
	assert_contains(why, "less than 2 MiB");
	free(g.ram);
	free(tiny.ram);
}

static void test_debian(void **state)
{
	FILE *f = fopen("build/guest/vmlinuz", "rb");
	struct guest g = guest_make(256 * MEBI);
	struct boot_input in = {.cmdline = "console=ttyS0"};
	struct boot_output out;
	static uint8_t file[32 * MEBI];

	(void)state;
	if (!f) {
		free(g.ram);
		skip();
	}
	in.kernel = (struct boot_image){file, fread(file, 1, sizeof(file), f), ""};
	fclose(f);
	assert_true(boot_load(&g, &in, &out, why));
	assert_int_equal(out.kind, BOOT_BZIMAGE);
	assert_int_equal(out.regs.rip & 0x1fffff, 0x200);
	in.kernel.bytes /= 2;
	assert_false(boot_load(&g, &in, &out, why));
	assert_contains(why, "truncated");
	free(g.ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),        cmocka_unit_test(test_small_memory),
		cmocka_unit_test(test_bad_headers), cmocka_unit_test(test_cmdline),
		cmocka_unit_test(test_initrd),      cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_other_files), cmocka_unit_test(test_debian),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
