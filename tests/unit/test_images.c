/* SPDX-License-Identifier: BSD-2-Clause */
/* Images: uploads of every size, replacing, refusing, running out of memory; nothing leaked. */
// SRC: tests/unit/fakehv.c
// SRC: ctrl-kernel/backend/vmio.c
// SRC: ctrl-kernel/rt/hex.c
// SRC: ctrl-kernel/ops/devices.c net/ipaddr.c
// SRC: ctrl-kernel/ops/error.c
// SRC: ctrl-kernel/ops/images.c
// SRC: ctrl-kernel/ops/keep.c
// SRC: ctrl-kernel/ops/stream.c
// SRC: ctrl-kernel/ops/upload.c
// SRC: ctrl-kernel/ops/host.c
// SRC: build/deps/src/mbedtls/library/sha256.c
// SRC: build/deps/src/mbedtls/library/platform_util.c
// FLAGS: -isystem build/deps/src/mbedtls/include '-DMBEDTLS_CONFIG_FILE="ctrl-kernel/mbedtls_config.h"'
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "mbedtls/sha256.h"
#include "tests/unit/fakehv.h"
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/images.h"
#include "ctrl-kernel/rt/hvcall.h"

#define PAGES 20000u /* with HOST_RESERVE_PAGES of them kept */

static int setup(void **state)
{
	(void)state;
	fake_reset(PAGES);
	return 0;
}

static int teardown(void **state)
{
	struct ops_error e;

	(void)state;
	fake_fail(0, 0);
	while (image_first())
		assert_int_equal(image_delete(image_first()->name, &e), 0);
	fake_close_self();
	assert_int_equal(fake_handles(), 0);
	assert_int_equal(fake_objects(), 0);
	assert_int_equal(fake_mappings(), 0);
	assert_int_equal(fake_free_pages(), PAGES);
	fake_log_clear();
	return 0;
}

static uint8_t *pattern(size_t bytes)
{
	uint8_t *data = malloc(bytes + 1);

	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(i * 7 + (i >> 12));
	return data;
}

static struct image *upload(const char *name, const uint8_t *data, size_t bytes, size_t piece,
			    bool known, bool *replaced)
{
	struct stream *w;
	struct image *image;
	struct ops_error e;

	assert_int_equal(image_begin(name, known ? bytes : STREAM_SIZE_UNKNOWN, &w, &e), 0);
	for (size_t at = 0; at < bytes; at += piece)
		assert_int_equal(
			stream_write(w, data + at, bytes - at < piece ? bytes - at : piece, &e), 0);
	assert_int_equal(image_commit(name, w, &image, replaced, &e), 0);
	return image;
}

static void test_upload_sizes(void **state)
{
	static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 2 << 20, (2 << 20) + 1, 5000000};

	(void)state;
	for (unsigned i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t bytes = sizes[i / 2];
		uint8_t *data = pattern(bytes), sum[32];
		struct ops_error e;
		bool replaced;
		char *back;
		struct image *image = upload("i", data, bytes, 1460, i % 2, &replaced);

		assert_int_equal(image->bytes, bytes);
		assert_int_equal(replaced, i != 0);
		mbedtls_sha256(data, bytes, sum, 0);
		assert_memory_equal(image->sha256, sum, 32);
		assert_int_equal(image_read(image, 8000000, &back, &e), 0);
		assert_memory_equal(back, data, bytes);
		assert_int_equal(back[bytes], 0);
		free(back);
		free(data);
		assert_int_equal(fake_mappings(), 0);
		if (i % 2) /* a known size takes no page too many */
			assert_int_equal(fake_free_pages(), PAGES - (bytes + 4095) / 4096);
	}
}

static void test_replace(void **state)
{
	struct stream *w;
	struct image *image;
	struct ops_error e;
	bool replaced;

	(void)state;
	image = upload("i", (const uint8_t *)"old", 3, 3, true, &replaced);
	image_get(image);
	assert_int_equal(image_begin("i", 3, &w, &e), -1);
	assert_int_equal(e.code, OPS_BUSY);
	image_put(image);
	assert_int_equal(image_begin("i", 3, &w, &e), 0);
	assert_int_equal(stream_write(w, "new", 3, &e), 0);
	image_get(image); /* taken into use meanwhile */
	assert_int_equal(image_commit("i", w, &image, &replaced, &e), -1);
	assert_int_equal(e.code, OPS_BUSY);
	assert_ptr_equal(image_find("i"), image);
	assert_int_equal(image_delete("i", &e), -1);
	image_put(image);
	image = upload("i", (const uint8_t *)"new", 3, 1, true, &replaced);
	assert_true(replaced);
	assert_int_equal(image_begin("other", 5, &w, &e), 0);
	stream_abort(w);
	assert_null(image_find("other"));
	assert_int_equal(image_delete("other", &e), -1);
	assert_int_equal(e.code, OPS_NO_IMAGE);
	assert_int_equal(image_begin("../x", 5, &w, &e), -1);
	assert_int_equal(e.code, OPS_INVALID);
}

static void test_too_large(void **state)
{
	static uint8_t piece[1 << 20];
	struct stream *w;
	struct ops_error e;
	int r = 0;

	(void)state;
	assert_int_equal(image_begin("i", (PAGES - HOST_RESERVE_PAGES) * 4096ull + 1, &w, &e), -1);
	assert_int_equal(e.code, OPS_TOO_LARGE);
	assert_int_equal(image_begin("i", STREAM_SIZE_UNKNOWN, &w, &e), 0);
	for (unsigned i = 0; i < 100 && r == 0; i++)
		r = stream_write(w, piece, sizeof(piece), &e);
	assert_int_equal(r, -1);
	assert_int_equal(e.code, OPS_TOO_LARGE);
	assert_true(fake_free_pages() >= HOST_RESERVE_PAGES);
	stream_abort(w);
	assert_int_equal(fake_free_pages(), PAGES);
}

static void test_every_failure(void **state)
{
	uint8_t *data = pattern(5 << 20);
	unsigned n;

	(void)state;
	for (n = 1; n < 100; n++) {
		struct stream *w;
		struct image *image;
		struct ops_error e;
		bool replaced;
		int r;

		fake_fail(n, HVE_NOMEM);
		r = image_begin("i", 5 << 20, &w, &e);
		if (r == 0) {
			r = stream_write(w, data, 5 << 20, &e);
			if (r)
				stream_abort(w);
			else
				assert_int_equal(image_commit("i", w, &image, &replaced, &e), 0);
		}
		if (!fake_failed())
			break;
		assert_int_equal(r, -1);
		assert_null(image_first());
		assert_int_equal(fake_handles(), 1);
		assert_int_equal(fake_mappings(), 0);
		assert_int_equal(fake_free_pages(), PAGES);
	}
	assert_true(n > 4 && n < 100);
	free(data);
}

static void test_table(void **state)
{
	struct stream *w;
	struct image *image, *before = NULL;
	struct ops_error e;
	bool replaced;
	char name[16];
	unsigned count;

	(void)state;
	for (unsigned i = 0; i < IMAGES_MAX; i++) {
		snprintf(name, sizeof(name), "i%u", i * 37 % IMAGES_MAX);
		upload(name, (const uint8_t *)"x", 1, 1, true, &replaced);
	}
	assert_int_equal(image_bytes_total(&count), IMAGES_MAX);
	assert_int_equal(count, IMAGES_MAX);
	for (image = image_first(); image; before = image, image = image->next)
		if (before)
			assert_true(strcmp(before->name, image->name) < 0);
	assert_int_equal(image_begin("more", 1, &w, &e), -1);
	assert_int_equal(e.code, OPS_LIMIT);
	upload("i7", (const uint8_t *)"y", 1, 1, true, &replaced);
	assert_true(replaced);
}

static void test_read_limit(void **state)
{
	struct image *image;
	struct ops_error e;
	bool replaced;
	char *text;

	(void)state;
	image = upload("i", (const uint8_t *)"12345", 5, 5, true, &replaced);
	assert_int_equal(image_read(image, 4, &text, &e), -1);
	assert_int_equal(e.code, OPS_TOO_LARGE);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_upload_sizes),  T(test_replace), T(test_too_large),
		T(test_every_failure), T(test_table),   T(test_read_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
