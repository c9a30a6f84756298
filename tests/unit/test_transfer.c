/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes into and out of volumes: any offset and length, any pace, drives that fail at any request, clients that go away.
 * Copies and zeros as operations that can be cancelled at any moment.
 */
// SRC: tests/unit/fakehv.c
// SRC: tests/unit/drive_fakes.c
// SRC: ctrl-kernel/blk/*.c
// SRC: ctrl-kernel/blk/*/*.c
// SRC: ctrl-kernel/storage/*.c
// SRC: ctrl-kernel/ops/download_volume.c
// SRC: ctrl-kernel/ops/error.c
// SRC: ctrl-kernel/ops/host.c
// SRC: ctrl-kernel/ops/iobuf.c
// SRC: ctrl-kernel/ops/jobs.c
// SRC: ctrl-kernel/ops/keep_ram.c
// SRC: ctrl-kernel/ops/pool_info.c
// SRC: ctrl-kernel/ops/pools.c
// SRC: ctrl-kernel/ops/rampool.c
// SRC: ctrl-kernel/ops/upload_volume.c
// SRC: ctrl-kernel/ops/volume_jobs.c
// SRC: build/deps/src/mbedtls/library/sha256.c
// SRC: build/deps/src/mbedtls/library/platform_util.c
// FLAGS: -isystem build/deps/src/mbedtls/include '-DMBEDTLS_CONFIG_FILE="ctrl-kernel/mbedtls_config.h"'
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "mbedtls/sha256.h"
#include "ctrl-kernel/ops/iobuf.h"
#include "ctrl-kernel/ops/jobs.h"
#include "ctrl-kernel/ops/lasting.h"
#include "ctrl-kernel/ops/pools.h"
#include "ctrl-kernel/ops/transfer.h"
#include "ctrl-kernel/storage/groups.h"
#include "ctrl-kernel/storage/volume.h"
#include "drivers/disks.h"
#include "tests/unit/drive_fakes.h"
#include "tests/unit/fakehv.h"

#define DRIVE_BYTES (24u << 20)
#define VOLUME_BYTES (4u << 20)
#define PAGES 100000u

static struct ops_error error;

/* No configuration lies in these pools. */
void lasting_release(const char *pool)
{
	(void)pool;
}

static int result;
static uint8_t *model; /* of volume p/v */
static uint64_t seed = 3;

static void done(void *ctx, const struct ops_error *e)
{
	(void)ctx;
	assert_int_equal(result, 1);
	result = e ? -1 : 0;
	if (e)
		error = *e;
}

#define DONE done, NULL, &error
#define RUN(call) (result = 1, (call) ? -1 : (fake_loop(), result))
#define MUST(call)                                                                                 \
	do {                                                                                       \
		if (RUN(call))                                                                     \
			fail_msg("%s: %s", #call, error.text);                                     \
	} while (0)

static unsigned dice(unsigned below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(seed >> 33) % below;
}

static int setup_of(uint32_t sector)
{
	struct pool_spec s = {.name = "p",
			      .disks = {"d0", "d1"},
			      .n_disks = 2,
			      .extent_bytes = 65536,
			      .copies = 1};

	fake_reset(PAGES);
	for (unsigned i = 0; i < 2; i++) {
		char name[8];

		snprintf(name, sizeof(name), "d%u", i);
		fake_drive_add(name, DRIVE_BYTES, sector);
	}
	groups_drives(disk_first);
	MUST(pools_scan(DONE));
	MUST(pool_create(&s, DONE));
	MUST(volume_create("p", "front", 21u << 20, DONE)); /* so that v lies on both */
	MUST(volume_create("p", "v", VOLUME_BYTES, DONE));
	fake_drive(0)->any_order = fake_drive(1)->any_order = true;
	model = calloc(1, VOLUME_BYTES);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return setup_of(512);
}

static int setup_4096(void **state)
{
	(void)state;
	return setup_of(4096);
}

static int teardown(void **state)
{
	bool writer;

	(void)state;
	assert_int_equal(volume_users("p", "v", &writer), 0);
	fake_drives_free();
	MUST(pools_scan(DONE));
	free(model);
	fake_close_self();
	assert_int_equal(fake_handles(), 0);
	assert_int_equal(fake_objects(), 0);
	fake_log_clear();
	return 0;
}

/* ---- uploads ---- */

static bool resumed;

static void on_resume(void *ctx)
{
	(void)ctx;
	resumed = true;
}

static struct upload *up_begin(uint64_t from, uint64_t bytes)
{
	const struct upload_spec spec = {.from = from, .bytes = bytes, .resume = on_resume};
	struct upload *u;

	if (upload_begin("p", "v", &spec, &u, &error))
		fail_msg("%s", error.text);
	return u;
}

/* Brings bytes as the front end does: in pieces, none while it is full. -> 0, -1 it failed. */
static int up_send(struct upload *u, const uint8_t *data, uint64_t bytes, unsigned piece)
{
	for (uint64_t at = 0; at < bytes;) {
		uint64_t n = 1 + dice(piece);

		n = n < bytes - at ? n : bytes - at;
		while (upload_full(u)) {
			resumed = false;
			fake_loop();
			assert_true(resumed);
		}
		if (upload_write(u, data + at, n, &error))
			return -1;
		at += n;
		if (dice(4) == 0)
			fake_turn();
	}
	return 0;
}

/* -> as RUN() */
static int up_end(struct upload *u)
{
	result = 1;
	upload_finish(u, done, NULL);
	fake_loop();
	assert_int_not_equal(result, 1);
	return result;
}

static uint8_t *noise(uint64_t bytes)
{
	uint8_t *data = malloc(bytes + 1);

	for (uint64_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)dice(256);
	return data;
}

static void upload(uint64_t from, uint64_t bytes, bool known, unsigned piece)
{
	uint8_t *data = noise(bytes);
	struct upload *u = up_begin(from, known ? bytes : UPLOAD_SIZE_UNKNOWN);

	assert_int_equal(up_send(u, data, bytes, piece), 0);
	assert_int_equal(up_end(u), 0);
	memcpy(model + from, data, bytes);
	free(data);
}

/* ---- downloads ---- */

static bool is_ready;

static void on_ready(void *ctx)
{
	(void)ctx;
	is_ready = true;
}

static struct download *down_begin(uint64_t from, uint64_t end)
{
	struct download *d;

	if (download_begin("p", "v", from, end, on_ready, NULL, &d, &error))
		fail_msg("%s", error.text);
	return d;
}

/* Compares what comes with the model. -> false: it failed on the way. */
static bool down_all(uint64_t from, uint64_t end)
{
	static uint8_t piece[65536];
	struct download *d = down_begin(from, end);
	bool failed = false;

	while (from < end && !failed) {
		size_t n = download_read(d, piece, 1 + dice(sizeof(piece)), &failed);

		assert_true(n <= end - from);
		assert_memory_equal(piece, model + from, n);
		from += n;
		if (n || failed)
			continue;
		is_ready = false;
		fake_loop();
		assert_true(is_ready);
	}
	download_end(d);
	fake_loop();
	return !failed;
}

/* ---- tests ---- */

static void test_any_range(void **state)
{
	static const unsigned pieces[] = {10, 1460, 65536, UPLOAD_PIECE_MAX};

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		uint64_t from = dice(VOLUME_BYTES), bytes = 1 + dice(i % 4 ? 3000 : 1500000);

		bytes = bytes < VOLUME_BYTES - from ? bytes : VOLUME_BYTES - from;
		upload(from, bytes, i % 2, bytes > 3000 ? pieces[1 + i % 3] : pieces[i % 4]);
		from = dice(VOLUME_BYTES);
		bytes = 1 + dice((unsigned)(VOLUME_BYTES - from));
		assert_true(down_all(from, from + bytes));
	}
	assert_true(down_all(0, VOLUME_BYTES));
	for (unsigned i = 0; i < 2; i++) /* what was answered is on the media */
		for (uint64_t k = 0; k < DRIVE_BYTES / fake_drive(i)->dev.sector_bytes; k++)
			assert_false(fake_drive(i)->dirty[k]);
}

static void test_whole(void **state)
{
	(void)state;
	upload(0, VOLUME_BYTES, true, UPLOAD_PIECE_MAX);
	assert_true(down_all(0, VOLUME_BYTES));
	upload(100, 0, true, 1);
	upload(VOLUME_BYTES, 0, false, 1);
	upload(VOLUME_BYTES - 1, 1, false, 1);
	assert_true(down_all(0, VOLUME_BYTES));
}

static void test_too_large(void **state)
{
	struct upload_spec spec = {.from = 10, .bytes = VOLUME_BYTES - 9, .resume = on_resume};
	struct upload *u;
	uint8_t *data = noise(70000);

	(void)state;
	assert_int_equal(upload_begin("p", "v", &spec, &u, &error), -1);
	assert_int_equal(error.code, OPS_TOO_LARGE);
	spec.from = UINT64_MAX;
	assert_int_equal(upload_begin("p", "v", &spec, &u, &error), -1);
	u = up_begin(VOLUME_BYTES - 69999, UPLOAD_SIZE_UNKNOWN);
	assert_int_equal(up_send(u, data, 70000, 70000) && error.code == OPS_TOO_LARGE, 1);
	upload_abort(u);
	fake_loop();
	free(data);
}

static void test_sha256(void **state)
{
	struct upload_spec spec = {.bytes = 5000, .has_sha256 = true, .resume = on_resume};
	uint8_t *data = noise(5000);
	struct upload *u;

	(void)state;
	mbedtls_sha256(data, 5000, spec.sha256, 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(upload_begin("p", "v", &spec, &u, &error), 0);
		assert_int_equal(up_send(u, data, 5000, 700), 0);
		if (i == 0) {
			assert_int_equal(up_end(u), 0);
		} else {
			assert_int_equal(up_end(u), -1);
			assert_int_equal(error.code, OPS_MISMATCH);
		}
		spec.sha256[7] ^= 1;
	}
	free(data);
}

/* The client goes at any moment: nothing is left, and the volume can be used again. */
static void test_abort(void **state)
{
	uint8_t *data = noise(1000000);

	(void)state;
	for (unsigned i = 0; i < 30; i++) {
		struct upload *u = up_begin(dice(2) * 100, 1000000);

		assert_int_equal(up_send(u, data, 1 + dice(i * 30000 + 1), 40000), 0);
		upload_abort(u);
		fake_loop();
		u = up_begin(0, 1);
		upload_abort(u);
		fake_loop();
	}
	for (unsigned i = 0; i < 10; i++) {
		struct download *d = down_begin(i * 1000, VOLUME_BYTES);

		for (unsigned k = 0; k < i; k++)
			fake_turn();
		download_end(d);
		fake_loop();
	}
	free(data);
}

static void test_drive_fails(void **state)
{
	uint8_t *data = noise(1000000);
	unsigned failed = 0, n = 1;

	(void)state;
	for (;; n++) {
		struct upload *u = up_begin(70, 1000000);
		int r;

		fake_drive(0)->requests = fake_drive(1)->requests = 0;
		fake_drive(n % 2)->fail_at = n / 2 + 1;
		r = up_send(u, data, 1000000, 100000);
		if (r)
			upload_abort(u);
		else
			r = up_end(u);
		fake_loop();
		fake_drive(n % 2)->fail_at = 0;
		if (r)
			assert_int_equal(error.code, OPS_IO);
		failed += r != 0;
		if (r == 0 && n > 30)
			break;
		assert_true(n < 100);
	}
	assert_true(failed > 8);
	assert_true(error.code == OPS_IO);
	failed = 0;
	upload(0, VOLUME_BYTES, true, 65536);
	for (n = 1; n < 40; n++) {
		fake_drive(0)->requests = 0;
		fake_drive(0)->fail_at = n;
		failed += !down_all(0, VOLUME_BYTES);
	}
	fake_drive(0)->fail_at = 0;
	assert_true(failed > 8);
	free(data);
}

static void test_many(void **state)
{
	struct download *d[IOBUFS_MAX / IOBUFS_EACH + 1];
	unsigned n = 0;

	(void)state;
	while (n < ARRAY_SIZE(d) &&
	       download_begin("p", "v", 0, 4096, on_ready, NULL, &d[n], &error) == 0)
		n++;
	assert_int_equal(n, IOBUFS_MAX / IOBUFS_EACH);
	assert_int_equal(error.code, OPS_EXHAUSTED);
	while (n-- > 0)
		download_end(d[n]);
	fake_loop();
	assert_true(down_all(0, 4096));
}

/* ---- operations ---- */

static bool exists(const char *name)
{
	struct volume_info v;

	return volume_info("p", name, &v, &error) == 0;
}

static bool same(const char *a, const char *b)
{
	static uint8_t x[VOLUME_BYTES], y[VOLUME_BYTES];
	const char *names[] = {a, b};
	uint8_t *to[] = {x, y};

	for (unsigned i = 0; i < 2; i++) {
		struct download *d;
		uint64_t at = 0;
		bool failed;

		assert_int_equal(
			download_begin("p", names[i], 0, VOLUME_BYTES, on_ready, NULL, &d, &error),
			0);
		while (at < VOLUME_BYTES) {
			at += download_read(d, to[i] + at, VOLUME_BYTES - at, &failed);
			fake_loop();
		}
		download_end(d);
	}
	return memcmp(x, y, sizeof(x)) == 0;
}

static void test_clone(void **state)
{
	struct job *j;

	(void)state;
	upload(0, VOLUME_BYTES, true, 65536);
	assert_int_equal(volume_clone("p", "v", "p", "w", &j, &error), 0);
	fake_loop();
	assert_string_equal(job_state_name(j), "succeeded");
	assert_int_equal(j->done, VOLUME_BYTES);
	assert_true(exists("w") && !exists("w.partial"));
	assert_true(same("v", "w"));
	assert_int_equal(volume_clone("p", "v", "p", "w", &j, &error), -1);
	assert_int_equal(error.code, OPS_EXISTS);
	assert_int_equal(volume_clone("p", "none", "p", "x", &j, &error), -1);
	assert_int_equal(error.code, OPS_NO_VOLUME);
	assert_int_equal(volume_clone("p", "v", "none", "x", &j, &error), -1);
	assert_int_equal(error.code, OPS_NO_POOL);
}

/* Cancelled after so many turns, or with a drive that fails after so many requests. -> whether it had succeeded. */
static bool disturb(bool zero, bool cancel, unsigned n)
{
	struct job *j;
	bool ok;
	int r;

	fake_drive(1)->requests = 0;
	fake_drive(1)->fail_at = cancel ? 0 : n;
	r = zero ? volume_zero_delete("p", "v", &j, &error)
		 : volume_clone("p", "v", "p", "w", &j, &error);
	assert_int_equal(r, 0);
	for (unsigned i = 0; cancel && i < n; i++)
		fake_turn();
	if (cancel && j->state == JOB_RUNNING && job_cancel(j, &error) == 0)
		assert_string_equal(job_state_name(j), "cancelled");
	fake_loop();
	if (j->state == JOB_CANCELLED) /* then it has not come to be, either */
		assert_true(zero ? exists("v") : !exists("w") && !exists("w.partial"));
	fake_drive(1)->fail_at = 0;
	ok = j->state == JOB_SUCCEEDED;
	assert_int_not_equal(j->state, JOB_RUNNING);
	MUST(pools_scan(DONE));
	assert_false(groups_vg("p")->read_only);
	if (!zero && exists("w.partial")) /* the drive failed when it was to be taken away, too */
		MUST(volume_delete("p", "w.partial", NULL, DONE));
	return ok;
}

static void test_clone_disturbed(void **state)
{
	unsigned ended[2] = {0, 0};

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		for (unsigned n = 1; n < 200 && !ended[i]; n += 1 + n / 8) {
			bool ok = disturb(false, i == 0, n);

			if (ok) {
				assert_true(exists("w"));
				assert_true(same("v", "w"));
				ended[i] = n;
			}
			if (exists("w"))
				MUST(volume_delete("p", "w", NULL, DONE));
		}
	assert_true(ended[0] > 20 && ended[1] > 20);
}

static void test_zero(void **state)
{
	const struct lvm_vg *vg = groups_vg("p");
	const struct lvm_lv *lv = lvm_lv_find(vg, "v");
	struct lvm_piece at[4];
	uint64_t mapped;
	unsigned n, tries;
	struct job *j;

	(void)state;
	upload(0, VOLUME_BYTES, true, 65536);
	n = lvm_map(vg, lv, 0, VOLUME_BYTES / 512, at, 4, &mapped);
	assert_int_equal(n, 2);
	for (tries = 1; tries < 100 && !disturb(true, tries % 2, tries); tries++)
		if (!exists("v")) /* answered as failed, and yet in force */
			break;
	assert_false(exists("v"));
	assert_true(tries > 2);
	for (unsigned i = 0; i < n; i++)
		for (uint64_t k = 0; k < at[i].count * 512; k++)
			assert_int_equal(fake_drive(at[i].pv)->media[at[i].lba * 512 + k], 0);
	assert_int_equal(volume_zero_delete("p", "v", &j, &error), -1);
	assert_int_equal(error.code, OPS_NO_VOLUME);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_any_range),
		cmocka_unit_test_setup_teardown(test_any_range, setup_4096, teardown),
		T(test_whole),
		T(test_too_large),
		T(test_sha256),
		T(test_abort),
		T(test_drive_fails),
		T(test_many),
		T(test_clone),
		T(test_clone_disturbed),
		T(test_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
