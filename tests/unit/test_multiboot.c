/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/boot/multiboot.c
// SRC: hv/boot/modules.c
// SRC: hv/boot/ranges.c
// SRC: hv/lib/string.c
/* What loaders leave in memory, true and false, and modules brought to whole pages of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "hv/abi/hv_abi.h"
#include "hv/boot/multiboot.h"
#include "hv/boot/ranges.h"
#include "hv/boot/start.h"

#define PHYS_SIZE 0x800000u /* physical memory of these tests: 8 MiB from 0 */
#define INFO 0x9000u
#define SCRATCH 0xa000u
#define MMAP 0xb000u
#define MODS 0xc000u
#define IMAGE_START 0x200000u
#define IMAGE_END 0x280000u

static uint8_t phys[PHYS_SIZE];
static struct boot_info bi;
static uint32_t scratch;

static void *at(void *ctx, hpa_t start, uint64_t len)
{
	return len > PHYS_SIZE || start > PHYS_SIZE - len ? NULL : phys + start;
}

static const struct boot_phys memory = {at, NULL};
static const struct boot_range image = {IMAGE_START, IMAGE_END};

static int reset(void **state)
{
	memset(phys, 0, sizeof(phys));
	memset(&bi, 0, sizeof(bi));
	scratch = SCRATCH;
	return 0;
}

static void put32(uint32_t where, uint32_t v)
{
	memcpy(phys + where, &v, 4);
}

static void put64(uint32_t where, uint64_t v)
{
	memcpy(phys + where, &v, 8);
}

static uint32_t put_string(const char *text)
{
	uint32_t where = scratch;

	strcpy((char *)phys + where, text);
	scratch += (uint32_t)strlen(text) + 1;
	return where;
}

/* ---- multiboot 1 ---- */

static uint32_t mmap_end;

static void mmap_entry(uint64_t base, uint64_t len, uint32_t type)
{
	put32(mmap_end, 20);
	put64(mmap_end + 4, base);
	put64(mmap_end + 12, len);
	put32(mmap_end + 20, type);
	mmap_end += 24;
	put32(INFO, 1 << 6);
	put32(INFO + 44, mmap_end - MMAP);
	put32(INFO + 48, MMAP);
}

static int reset_mmap(void **state)
{
	mmap_end = MMAP;
	return reset(state);
}

static void parse1(void)
{
	assert_int_equal(multiboot_parse(MB1_MAGIC, INFO, &memory, &bi), 0);
}

static const char *cmdline_from(const char *loader, const char *text)
{
	reset(NULL);
	put32(INFO, 1 << 2 | (loader ? 1 << 9 : 0));
	put32(INFO + 16, put_string(text));
	if (loader)
		put32(INFO + 64, put_string(loader));
	parse1();
	return bi.cmdline;
}

static void test_file_name(void **state)
{
	assert_string_equal(cmdline_from("qemu", "build/socle.elf ip=dhcp nic=e1000"),
			    "ip=dhcp nic=e1000");
	assert_string_equal(cmdline_from("qemu", "socle.elf ip=dhcp"), "ip=dhcp");
	assert_string_equal(cmdline_from("qemu", "/a=b/socle.elf ip=dhcp"), "ip=dhcp");
	assert_string_equal(cmdline_from("qemu", "socle.elf"), "");
	assert_string_equal(cmdline_from("iPXE 1.0.0+", "tftp://10.0.2.2/kernel.elf?a=b ip=dhcp"),
			    "ip=dhcp");
	assert_string_equal(cmdline_from("iPXE 1.0.0+", "ip=dhcp gw=1.2.3.4"),
			    "ip=dhcp gw=1.2.3.4");
	assert_string_equal(cmdline_from("GRUB 2.06-13", "verbose ip=dhcp"), "verbose ip=dhcp");
	assert_string_equal(cmdline_from("GRUB 2.06-13", "path/x ip=dhcp"), "path/x ip=dhcp");
	assert_string_equal(cmdline_from("GNU GRUB 0.97", "/boot/socle ip=dhcp"), "ip=dhcp");
	assert_string_equal(cmdline_from(NULL, "  name   ip=dhcp  x=1"), "ip=dhcp  x=1");
	assert_string_equal(cmdline_from(NULL, "url=http://h/p x=1"), "url=http://h/p x=1");
	assert_string_equal(cmdline_from(NULL, ""), "");
}

static void test_long_cmdline_is_cut(void **state)
{
	char text[3000] = "name ip=";

	memset(text + 8, 'a', sizeof(text) - 9);
	assert_int_equal(strlen(cmdline_from(NULL, text)), sizeof(bi.cmdline) - 1);
	assert_memory_equal(bi.cmdline, "ip=aaa", 6);
}

static void test_string_at_the_end_of_memory(void **state)
{
	memset(phys + PHYS_SIZE - 3, 'x', 3);
	put32(INFO, 1 << 2);
	put32(INFO + 16, PHYS_SIZE - 3);
	parse1();
	assert_string_equal(bi.cmdline, ""); /* one word without '=': a name */
	put32(INFO + 16, 0xfffffff0);
	parse1();
	assert_string_equal(bi.cmdline, "");
}

static void assert_ram(unsigned n, ...)
{
	va_list args;

	assert_int_equal(bi.n_ram, n);
	va_start(args, n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(bi.ram[i].start, va_arg(args, uint64_t));
		assert_int_equal(bi.ram[i].end, va_arg(args, uint64_t));
	}
	va_end(args);
}

static void test_plain_map(void **state)
{
	mmap_entry(0, 0x9fc00, 1);
	mmap_entry(0x9fc00, 0x400, 2);
	mmap_entry(0xf0000, 0x10000, 2);
	mmap_entry(0x100000, 0x7ee0000, 1);
	mmap_entry(0x100000000, 0x40000000, 1);
	parse1();
	assert_ram(3, 0x1000ull, 0x9f000ull, 0x100000ull, 0x7fe0000ull, 0x100000000ull,
		   0x140000000ull);
}

static void test_lying_map(void **state)
{
	mmap_entry(0x500000, 0x100000, 1); /* not sorted */
	mmap_entry(0x100001, 0x3ffffe, 1); /* not aligned, and touches the next */
	mmap_entry(0x4fffff, 0x10, 1);
	mmap_entry(0x300000, 0x1800, 3);            /* ACPI inside RAM */
	mmap_entry(0x600000, 0, 2);                 /* nothing */
	mmap_entry(0xffffffffffff0000, 0x20000, 2); /* wraps */
	mmap_entry(0x700000, 0x1000, 77);           /* unknown type */
	mmap_entry(0x700000, 0x2000, 1);
	parse1();
	assert_ram(3, 0x101000ull, 0x300000ull, 0x302000ull, 0x600000ull, 0x701000ull, 0x702000ull);
}

static void test_map_claims_everything(void **state)
{
	mmap_entry(0, UINT64_MAX, 1);
	mmap_entry(0x1000000, 0x1000, 2);
	parse1();
	assert_ram(3, 0x1000ull, 0xa0000ull, 0x100000ull, 0x1000000ull, 0x1001000ull, 1ull << 52);
	mmap_entry(0, UINT64_MAX, 2);
	parse1();
	assert_ram(0);
}

static void test_ebda(void **state)
{
	mmap_entry(0, 0xa0000, 1);
	phys[0x40e] = 0x00; /* segment 0x9c00 */
	phys[0x40f] = 0x9c;
	parse1();
	assert_ram(1, 0x1000ull, 0x9c000ull);
	phys[0x40f] = 0x12; /* no BIOS there */
	parse1();
	assert_ram(1, 0x1000ull, 0xa0000ull);
}

static void test_broken_map(void **state)
{
	mmap_entry(0x100000, 0x100000, 1);
	put32(mmap_end, 0xffffffff); /* an entry larger than the map */
	put32(INFO + 44, mmap_end + 24 - MMAP);
	parse1();
	assert_ram(1, 0x100000ull, 0x200000ull);
	put32(INFO + 48, 0xfffffff0); /* unreachable */
	parse1();
	assert_ram(0);
}

static void test_no_map(void **state)
{
	put32(INFO, 1);
	put32(INFO + 4, 639);
	put32(INFO + 8, 0x1c00);
	parse1();
	assert_ram(2, 0x1000ull, 0x9f000ull, 0x100000ull, 0x800000ull);
}

static void test_fragmented_map(void **state)
{
	mmap_end = 0x100000;
	for (unsigned i = 0; i < 1000; i++)
		mmap_entry(0x10000000 + i * 0x10000ull, 0x1000, 1);
	put32(INFO + 44, 1000 * 24);
	put32(INFO + 48, 0x100000);
	parse1();
	assert_int_equal(bi.n_ram, BOOT_RAM_MAX);
	for (unsigned i = 1; i < bi.n_ram; i++)
		assert_true(bi.ram[i].start > bi.ram[i - 1].end);
}

static void put_module(unsigned i, uint32_t start, uint32_t end, const char *string)
{
	put32(INFO, 1 << 3);
	put32(INFO + 20, i + 1);
	put32(INFO + 24, MODS);
	put32(MODS + 16 * i, start);
	put32(MODS + 16 * i + 4, end);
	put32(MODS + 16 * i + 8, string ? put_string(string) : 0);
}

static void test_modules(void **state)
{
	put_module(0, 0x300000, 0x300010, "http://host/initrd name=one");
	put_module(1, 0x301000, 0x301000, "empty");
	put_module(2, 0x303000, 0x302000, "backwards");
	put_module(3, 0x310000, 0x320000, NULL);
	put_module(4, 0x320000, 0x320001,
		   "tftp://10.0.2.2/some/long/folder/that/goes/on/for/ever/vmlinuz name=kernel");
	parse1();
	assert_int_equal(bi.n_modules, 3);
	assert_int_equal(bi.modules_dropped, 2);
	assert_string_equal(bi.modules[0].string, "http://host/initrd name=one");
	assert_string_equal(bi.modules[1].string, "");
	assert_int_equal(bi.modules[1].end, 0x320000);
	assert_int_equal(strlen(bi.modules[2].string), 47);
	assert_non_null(strstr(bi.modules[2].string, "/vmlinuz name=kernel"));
}

static void test_too_many_modules(void **state)
{
	for (unsigned i = 0; i < BOOT_MODULES_MAX + 4; i++)
		put_module(i, 0x300000 + i * 0x1000, 0x300800 + i * 0x1000, NULL);
	parse1();
	assert_int_equal(bi.n_modules, BOOT_MODULES_MAX);
	assert_int_equal(bi.modules_dropped, 4);
	put32(INFO + 20, 0xffffffff);
	parse1();
	assert_int_equal(bi.modules_dropped, 0xffffffff - BOOT_MODULES_MAX);
	put32(INFO + 24, PHYS_SIZE - 16); /* the list does not fit into memory */
	parse1();
	assert_int_equal(bi.n_modules, 0);
}

static void test_not_multiboot(void **state)
{
	assert_int_equal(multiboot_parse(0, INFO, &memory, &bi), -HVE_INVAL);
	assert_int_equal(multiboot_parse(MB1_MAGIC, PHYS_SIZE - 8, &memory, &bi), -HVE_INVAL);
	assert_int_equal(multiboot_parse(MB2_MAGIC, PHYS_SIZE - 2, &memory, &bi), -HVE_INVAL);
	put32(INFO, 4);
	assert_int_equal(multiboot_parse(MB2_MAGIC, INFO, &memory, &bi), -HVE_INVAL);
	put32(INFO, 0xffffffff);
	assert_int_equal(multiboot_parse(MB2_MAGIC, INFO, &memory, &bi), -HVE_INVAL);
}

/* ---- multiboot 2 ---- */

static uint32_t tags_end;

static int reset_tags(void **state)
{
	tags_end = INFO + 8;
	return reset(state);
}

static void tag(uint32_t type, const void *content, uint32_t len)
{
	put32(tags_end, type);
	put32(tags_end + 4, 8 + len);
	memcpy(phys + tags_end + 8, content, len);
	tags_end += ALIGN_UP(8 + len, 8u);
	put32(INFO, tags_end - INFO);
}

static void tag_module(uint32_t start, uint32_t end, const char *string)
{
	uint8_t content[64];

	memcpy(content, &start, 4);
	memcpy(content + 4, &end, 4);
	strcpy((char *)content + 8, string);
	tag(3, content, 8 + (uint32_t)strlen(string) + 1);
}

static void tag_mmap(const uint64_t (*entries)[3], unsigned n)
{
	uint8_t content[512] = {24};

	for (unsigned i = 0; i < n; i++)
		memcpy(content + 8 + 24 * i, entries[i], 24);
	tag(6, content, 8 + 24 * n);
}

static void parse2(void)
{
	assert_int_equal(multiboot_parse(MB2_MAGIC, INFO, &memory, &bi), 0);
}

static void test_tags(void **state)
{
	const uint64_t map[][3] = {{0, 0xa0000, 1}, {0x100000, 0x700000, 1}, {0x400000, 0x1000, 4}};
	uint8_t old[20], new[36];

	memset(old, 'o', sizeof(old));
	memset(new, 'n', sizeof(new));
	tag(1, "x/y ip=dhcp", 12);
	tag(2, "GRUB 2.06", 10);
	tag(15, new, sizeof(new));
	tag(14, old, sizeof(old));
	tag(12, "\0\0\0\0\0\0\0\1", 8);
	tag_module(0x300000, 0x300001, "one");
	tag_mmap(map, 3);
	tag(0, "", 0);
	tag(1, "after the end", 14);
	parse2();
	assert_true(bi.multiboot2 && bi.efi);
	assert_string_equal(bi.cmdline, "x/y ip=dhcp");
	assert_int_equal(bi.rsdp_len, 36);
	assert_memory_equal(bi.rsdp_copy, new, 36);
	assert_int_equal(bi.n_modules, 1);
	assert_string_equal(bi.modules[0].string, "one");
	assert_ram(3, 0x1000ull, 0xa0000ull, 0x100000ull, 0x400000ull, 0x401000ull, 0x800000ull);
}

static void test_broken_tags(void **state)
{
	const uint32_t basic[] = {640, 0x1000};

	tag(1, "a=1", 3); /* no NUL */
	tag(3, "", 0);
	tag(14, "short", 6);
	tag(6, "\0\0\0\0\0\0\0", 8); /* entries of size 0 */
	tag(4, basic, 8);            /* there was a map: ignored */
	tag(1, "b=2", 4);
	put32(tags_end - 12, 0x10000); /* the last tag's size is beyond the total */
	parse2();
	assert_string_equal(bi.cmdline, "a=1");
	assert_int_equal(bi.modules_dropped, 1);
	assert_int_equal(bi.rsdp_len, 0);
	assert_int_equal(bi.n_ram, 0);
}

static void test_basic_memory_tag(void **state)
{
	const uint32_t basic[] = {640, 0x1000};

	tag(4, basic, 8);
	parse2();
	assert_ram(2, 0x1000ull, 0xa0000ull, 0x100000ull, 0x500000ull);
}

/* ---- modules ---- */

static void module(uint32_t start, uint32_t len, uint8_t fill)
{
	bi.modules[bi.n_modules].start = start;
	bi.modules[bi.n_modules].end = start + len;
	snprintf(bi.modules[bi.n_modules].string, 48, "%02x", fill);
	memset(phys + start, fill, len);
	bi.n_modules++;
}

static int reset_modules(void **state)
{
	reset(state);
	memset(phys, 0xee, sizeof(phys));
	bi.n_ram = 2;
	bi.ram[0] = (struct boot_range){0x1000, 0x9f000};
	bi.ram[1] = (struct boot_range){0x100000, PHYS_SIZE};
	return 0;
}

/* Everything that modules_settle promises, by looking at the bytes. */
static void assert_settled(void)
{
	for (unsigned i = 0; i < bi.n_modules; i++) {
		hpa_t start = bi.modules[i].start, end = bi.modules[i].end;
		hpa_t top = ALIGN_UP(end, PAGE_SIZE);
		unsigned fill;

		sscanf(bi.modules[i].string, "%02x", &fill);
		assert_int_equal(start % PAGE_SIZE, 0);
		assert_true(ranges_contain(bi.ram, bi.n_ram, start, top) && start >= 0x100000);
		assert_false(range_overlaps(start, top, image.start, image.end));
		for (hpa_t a = start; a < top; a++)
			assert_int_equal(phys[a], a < end ? fill : 0);
		for (unsigned k = 0; k < i; k++)
			assert_false(range_overlaps(start, top, bi.modules[k].start,
						    ALIGN_UP(bi.modules[k].end, PAGE_SIZE)));
	}
}

static void test_good_modules_stay(void **state)
{
	module(0x300000, 0x1800, 0x11);
	module(0x302000, 0x1000, 0x22);
	modules_settle(&bi, &image, &memory);
	assert_int_equal(bi.n_modules, 2);
	assert_int_equal(bi.modules[0].start, 0x300000);
	assert_int_equal(bi.modules[1].start, 0x302000);
	assert_settled();
}

static void test_bad_modules_move(void **state)
{
	module(0x4000, 0x2345, 0x11);            /* low memory */
	module(0x1d000, 0x80000, 0x22);          /* the same */
	module(0x300000, 0x1234, 0x33);          /* shares a page with the next */
	module(0x301234, 0x2000, 0x44);          /* not aligned */
	module(IMAGE_END - 0x1000, 0x800, 0x55); /* in the image's last page: a lie, still copied */
	module(0xf0000, 0x100, 0x66);            /* not in RAM */
	modules_settle(&bi, &image, &memory);
	assert_int_equal(bi.n_modules, 6);
	assert_int_equal(bi.modules_dropped, 0);
	assert_settled();
	assert_int_equal(phys[0x9f000 - 1], 0xee);
}

static void test_module_without_room(void **state)
{
	bi.ram[1].end = 0x300000;
	module(0x300000, 0x4000, 0x11);   /* fits below the image, and again above it */
	module(0x310000, 0x200000, 0x22); /* nowhere */
	module(0x5000, 0x1000, 0x33);
	modules_settle(&bi, &image, &memory);
	assert_int_equal(bi.n_modules, 2);
	assert_int_equal(bi.modules_dropped, 1);
	assert_string_equal(bi.modules[1].string, "33");
	assert_settled();
}

static void test_module_out_of_reach(void **state)
{
	bi.n_modules = 1;
	bi.modules[0].start = 0xfffff800;
	bi.modules[0].end = 0xffffffff;
	modules_settle(&bi, &image, &memory);
	assert_int_equal(bi.n_modules, 0);
	assert_int_equal(bi.modules_dropped, 1);
}

static void test_low_page(void **state)
{
	assert_int_equal(boot_low_page(&bi), 0x8000);
	bi.ram[0] = (struct boot_range){0x1000, 0x5000};
	assert_int_equal(boot_low_page(&bi), 0x1000);
	bi.ram[0] = bi.ram[1];
	bi.n_ram = 1;
	assert_int_equal(boot_low_page(&bi), 0);
}

static void test_ranges_when_full(void **state)
{
	struct boot_range set[BOOT_RAM_MAX];
	unsigned n = 0;

	ranges_add(set, &n, 0, 0x10000000);
	for (hpa_t a = 0x1000; n < BOOT_RAM_MAX; a += 0x2000)
		ranges_remove(set, &n, a, a + 0x1000);
	ranges_remove(set, &n, 0x8000000, 0x8001000);
	assert_int_equal(n, BOOT_RAM_MAX);
	assert_false(ranges_contain(set, n, 0x8000000, 0x8001000));
	assert_true(ranges_contain(set, n, 0x8001000, 0x10000000)); /* the larger half was kept */
	ranges_add(set, &n, 0x20000000, 0x20001000);                /* no room: forgotten */
	assert_int_equal(n, BOOT_RAM_MAX);
	ranges_add(set, &n, 0, 0x20000000);
	assert_int_equal(n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_file_name, reset),
		cmocka_unit_test_setup(test_long_cmdline_is_cut, reset),
		cmocka_unit_test_setup(test_string_at_the_end_of_memory, reset),
		cmocka_unit_test_setup(test_plain_map, reset_mmap),
		cmocka_unit_test_setup(test_lying_map, reset_mmap),
		cmocka_unit_test_setup(test_map_claims_everything, reset_mmap),
		cmocka_unit_test_setup(test_ebda, reset_mmap),
		cmocka_unit_test_setup(test_broken_map, reset_mmap),
		cmocka_unit_test_setup(test_no_map, reset),
		cmocka_unit_test_setup(test_fragmented_map, reset_mmap),
		cmocka_unit_test_setup(test_modules, reset),
		cmocka_unit_test_setup(test_too_many_modules, reset),
		cmocka_unit_test_setup(test_not_multiboot, reset),
		cmocka_unit_test_setup(test_tags, reset_tags),
		cmocka_unit_test_setup(test_broken_tags, reset_tags),
		cmocka_unit_test_setup(test_basic_memory_tag, reset_tags),
		cmocka_unit_test_setup(test_good_modules_stay, reset_modules),
		cmocka_unit_test_setup(test_bad_modules_move, reset_modules),
		cmocka_unit_test_setup(test_module_without_room, reset_modules),
		cmocka_unit_test_setup(test_module_out_of_reach, reset_modules),
		cmocka_unit_test_setup(test_low_page, reset_modules),
		cmocka_unit_test(test_ranges_when_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
