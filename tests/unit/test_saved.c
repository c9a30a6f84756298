/* SPDX-License-Identifier: BSD-2-Clause */
// FLAGS: -isystem build/deps/src/mbedtls/include '-DMBEDTLS_CONFIG_FILE="ctrl-kernel/mbedtls_config.h"'
// SRC: ctrl-kernel/ops/saved.c
// SRC: build/deps/src/mbedtls/library/sha256.c
// SRC: build/deps/src/mbedtls/library/platform_util.c
/* What is taken for a saved VM: the layout, sizes that lie, the bitmap, the checksum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ctrl-kernel/ops/saved.h"

static const struct vm_spec spec = {.name = "a", .vcpus = 2, .memory = 20 * SAVED_PAGE};
static uint8_t file[16 * SAVED_PAGE] __attribute__((aligned(8)));
static struct saved_header *h = (struct saved_header *)(void *)file;
static uint64_t bytes;
static char room[200];

static void sign(void)
{
	saved_sum(file, saved_memory(2, spec.memory), h->sha256);
}

static int setup(void **s)
{
	(void)s;
	memset(file, 0, sizeof(file));
	*h = (struct saved_header){.magic = SAVED_MAGIC,
				   .version = SAVED_VERSION,
				   .state_version = HV_STATE_VERSION,
				   .vmm_version = VMM_CONFIG_VERSION,
				   .vcpus = 2,
				   .memory = spec.memory,
				   .pages = 3};
	file[saved_bitmap(2) * SAVED_PAGE] = 0x03;
	file[saved_bitmap(2) * SAVED_PAGE + 2] = 0x08; /* page 19, the last */
	bytes = (saved_memory(2, spec.memory) + 3) * SAVED_PAGE;
	sign();
	return 0;
}

static const char *check(void)
{
	return saved_check(file, bytes, &spec, room, sizeof(room));
}

static void layout(void **s)
{
	(void)s;
	assert_int_equal(saved_survivor(2), 4);
	assert_int_equal(saved_bitmap(2), 4 + VMM_SURVIVOR_PAGES);
	assert_int_equal(saved_bitmap_pages(1), 0); /* less than a page */
	assert_int_equal(saved_bitmap_pages(128ull << 20), 1);
	assert_int_equal(saved_bitmap_pages((128ull << 20) + SAVED_PAGE), 2);
	assert_null(check());
}

#define REFUSED(change, words)                                                                     \
	do {                                                                                       \
		const char *why;                                                                   \
		setup(NULL);                                                                       \
		change;                                                                            \
		why = check();                                                                     \
		assert_non_null(why);                                                              \
		if (!strstr(why, words))                                                           \
			fail_msg("%s", why);                                                       \
	} while (0)

static void refused(void **s)
{
	(void)s;
	REFUSED(h->magic++, "not a saved VM");
	REFUSED(h->version = 9, "format 9.");
	REFUSED(h->state_version = 9, ".9.");
	REFUSED(h->vmm_version = 9, ".9,");
	REFUSED(bytes -= SAVED_PAGE, "incomplete");
	REFUSED(bytes += 1, "incomplete");
	REFUSED(h->pages = 21, "incomplete");
	REFUSED(h->pages = UINT64_MAX, "incomplete");
	REFUSED(h->vcpus = HV_VCPUS_MAX + 1, "incomplete");
	REFUSED(h->vcpus = 0, "incomplete");
	REFUSED(h->memory = UINT64_MAX & ~4095ull, "incomplete");
	REFUSED(h->memory += SAVED_PAGE; sign(), "bytes of memory");
	REFUSED(file[SAVED_PAGE] ^= 1, "checksum");
	REFUSED(h->name[0] ^= 1, "checksum");
	REFUSED(h->sha256[31] ^= 1, "checksum");
	/* under a good checksum */
	REFUSED(file[saved_bitmap(2) * SAVED_PAGE + 1] = 1; sign(), "checksum");
	REFUSED(file[saved_bitmap(2) * SAVED_PAGE + 2] = 0x10; sign(), "checksum");
	REFUSED(file[saved_bitmap(2) * SAVED_PAGE + 2] = 0;
		file[saved_bitmap(2) * SAVED_PAGE + 4095] = 1; sign(), "checksum");
}

/* Any header: if it is sane, the pages before guest memory lie within the file. */
static void any_header(void **s)
{
	unsigned seed = 3, sane = 0;

	(void)s;
	for (unsigned n = 0; n < 3000; n++) {
		setup(NULL);
		for (unsigned i = 0; i <= n % 3; i++)
			file[16 + rand_r(&seed) % 32] = (uint8_t)rand_r(&seed);
		if (saved_header_sane(h, bytes)) {
			sane++;
			assert_true(saved_memory(h->vcpus, h->memory) <= bytes / SAVED_PAGE);
			(void)check();
		}
	}
	assert_true(sane > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(layout, setup),
		cmocka_unit_test_setup(refused, setup),
		cmocka_unit_test_setup(any_header, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
