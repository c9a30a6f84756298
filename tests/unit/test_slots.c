/* SPDX-License-Identifier: BSD-2-Clause */
/* Two slots in turn: texts come back, whatever of a write was on the medium when the power went; damage is found. */
// SRC: ctrl-kernel/blk/slots.c
// SRC: ctrl-kernel/blk/crc32.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ctrl-kernel/blk/slots.h"

#define VOLUME (1u << 20)
#define SECTOR 512u
#define PENDING_MAX 64u

static uint8_t medium[VOLUME]; /* what is certainly there */
static struct {
	uint64_t offset;
	uint32_t bytes;
	uint8_t *data;
} pending[PENDING_MAX]; /* since the last flush */
static unsigned n_pending;
static uint64_t seed = 1;

static uint32_t dice(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33);
}

static void pending_drop(void)
{
	for (unsigned i = 0; i < n_pending; i++)
		free(pending[i].data);
	n_pending = 0;
}

static void flush(void)
{
	for (unsigned i = 0; i < n_pending; i++)
		memcpy(medium + pending[i].offset, pending[i].data, pending[i].bytes);
	pending_drop();
}

/* Of what was not flushed some sectors are there. */
static void cut(void)
{
	for (unsigned i = 0; i < n_pending; i++)
		for (uint32_t at = 0; at < pending[i].bytes; at += SECTOR)
			if (dice() & 1)
				memcpy(medium + pending[i].offset + at, pending[i].data + at,
				       SECTOR);
	pending_drop();
}

static void carry_out(const struct step *step)
{
	assert_int_equal(step->disk, 0);
	if (step->op == STEP_FLUSH) {
		flush();
		return;
	}
	assert_true(step->bytes && step->bytes <= STEP_BYTES_MAX && step->bytes % SECTOR == 0);
	assert_true(step->offset % SECTOR == 0 && step->offset + step->bytes <= VOLUME);
	if (step->op == STEP_READ) {
		memcpy(step->buf, medium + step->offset, step->bytes);
		return;
	}
	assert_true(n_pending < PENDING_MAX);
	pending[n_pending].offset = step->offset;
	pending[n_pending].bytes = step->bytes;
	pending[n_pending].data = malloc(step->bytes);
	memcpy(pending[n_pending++].data, step->buf, step->bytes);
}

/* At most `steps` of them -> how many were carried out. */
static unsigned run(struct slots *s, unsigned steps)
{
	for (unsigned n = 0; n < steps; n++) {
		struct step step, again;

		slots_next(s, &step);
		if (step.op == STEP_END)
			return n;
		slots_next(s, &again);
		assert_memory_equal(&step, &again, sizeof(step));
		carry_out(&step);
		slots_told(s, true);
	}
	return steps;
}

static void expect(const char *text, size_t bytes)
{
	struct slots s;

	assert_true(slots_init(&s, VOLUME, SECTOR));
	slots_read_begin(&s);
	run(&s, 1000);
	assert_int_equal(s.state, SLOTS_DONE);
	assert_int_equal(s.text != NULL, text != NULL);
	if (text) {
		assert_int_equal(s.text_bytes, bytes);
		assert_memory_equal(s.text, text, bytes);
		assert_int_equal(s.text[bytes], 0);
	}
	slots_free(&s);
}

static void open_slots(struct slots *s)
{
	assert_true(slots_init(s, VOLUME, SECTOR));
	slots_read_begin(s);
	run(s, 1000);
	assert_int_equal(s->state, SLOTS_DONE);
}

static void write_all(struct slots *s, const char *text, size_t bytes)
{
	slots_write_begin(s, text, bytes);
	run(s, 1000);
	assert_int_equal(s->state, SLOTS_DONE);
}

static int setup(void **state)
{
	(void)state;
	pending_drop();
	memset(medium, 0xa5, sizeof(medium)); /* a used disk */
	return 0;
}

static void test_there_and_back(void **state)
{
	static char large[(VOLUME / 2) - SLOTS_HEADER];
	struct slots s;

	(void)state;
	expect(NULL, 0);
	open_slots(&s);
	write_all(&s, "one", 3);
	expect("one", 3);
	write_all(&s, "two!", 4);
	expect("two!", 4);
	memset(large, 'x', sizeof(large));
	write_all(&s, large, sizeof(large));
	expect(large, sizeof(large));
	write_all(&s, "three", 5);
	expect("three", 5);
	assert_int_equal(s.sequence, 4);
	slots_write_begin(&s, large, sizeof(large) + 1);
	assert_int_equal(s.state, SLOTS_FAILED);
	slots_write_begin(&s, "", 0);
	assert_int_equal(s.state, SLOTS_FAILED);
	write_all(&s, "four", 4);
	expect("four", 4);
	slots_free(&s);
	open_slots(&s); /* another time */
	write_all(&s, "five", 4);
	expect("five", 4);
	slots_free(&s);
	assert_false(slots_init(&s, SLOTS_VOLUME_MIN - 1, SECTOR));
}

/* At every step of every write, many times. */
static void test_power(void **state)
{
	char before[8], after[300];

	(void)state;
	memset(after, 'n', sizeof(after));
	for (unsigned round = 0; round < 400; round++) {
		struct slots s;
		struct slots look;
		unsigned steps = round % 6, done;

		setup(NULL);
		open_slots(&s);
		for (unsigned i = 0; i <= round % 3; i++) {
			snprintf(before, sizeof(before), "old %u", i);
			write_all(&s, before, 5);
		}
		slots_write_begin(&s, after, sizeof(after));
		done = run(&s, steps);
		cut();
		slots_free(&s);
		open_slots(&look);
		assert_non_null(look.text);
		if (done >= 4) /* text, flush, header, flush: it was told */
			assert_memory_equal(look.text, after, sizeof(after));
		else if (look.text_bytes == sizeof(after))
			assert_true(done >= 3); /* the header was under way */
		else
			assert_string_equal(look.text, before);
		write_all(&look, "next", 4);
		expect("next", 4);
		slots_free(&look);
	}
}

static void test_damage(void **state)
{
	struct slots s;

	(void)state;
	open_slots(&s);
	write_all(&s, "first", 5);
	write_all(&s, "second", 6);
	slots_free(&s);
	medium[VOLUME / 2 + SLOTS_HEADER] ^= 1; /* the text of the second */
	open_slots(&s);
	assert_string_equal(s.text, "first");
	assert_true(s.bad_text);
	slots_free(&s);
	medium[20] ^= 1; /* the header of the first */
	assert_true(slots_init(&s, VOLUME, SECTOR));
	slots_read_begin(&s);
	run(&s, 1000);
	assert_int_equal(s.state, SLOTS_FAILED);
	slots_free(&s);
}

/* What another volume left in the sectors of a new one is not taken for its text. */
static void test_wipe(void **state)
{
	struct slots s;

	(void)state;
	open_slots(&s);
	write_all(&s, "a", 1);
	write_all(&s, "b", 1);
	slots_free(&s);
	assert_true(slots_init(&s, VOLUME, SECTOR));
	slots_wipe_begin(&s);
	run(&s, 1000);
	assert_int_equal(s.state, SLOTS_DONE);
	expect(NULL, 0);
	write_all(&s, "c", 1);
	expect("c", 1);
	slots_free(&s);
}

static void test_disk_errors(void **state)
{
	struct step step;
	struct slots s;

	(void)state;
	for (unsigned fail = 0; fail < 4; fail++) {
		setup(NULL);
		open_slots(&s);
		write_all(&s, "old", 3);
		slots_write_begin(&s, "new", 3);
		assert_int_equal(run(&s, fail), fail);
		slots_next(&s, &step);
		slots_told(&s, false);
		assert_int_equal(s.state, SLOTS_FAILED);
		slots_next(&s, &step);
		assert_int_equal(step.op, STEP_END);
		cut();
		write_all(&s, "newer", 5);
		expect("newer", 5);
		slots_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_there_and_back, setup),
		cmocka_unit_test_setup(test_power, setup),
		cmocka_unit_test_setup(test_damage, setup),
		cmocka_unit_test_setup(test_wipe, setup),
		cmocka_unit_test_setup(test_disk_errors, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
