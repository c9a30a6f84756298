/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/prog/handle.c
/* Handle tables: numbers, generations, rights, limits, counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "hv/prog/handle.h"

static unsigned pages_left, pages_out;
static struct prog p;
static struct object things[3];

void *hv_pages_alloc(struct account *acct, unsigned n)
{
	assert_ptr_equal(acct, &p.acct);
	if (!pages_left)
		return NULL;
	pages_left--;
	pages_out++;
	return calloc(n, PAGE_SIZE);
}

void hv_pages_free(struct account *acct, void *page, unsigned n)
{
	pages_out--;
	free(page);
}

void object_get(struct object *o)
{
	o->refs++;
}

void object_put(struct object *o)
{
	assert_true(o->refs > 0);
	o->refs--;
}

static int setup(void **state)
{
	memset(&p, 0, sizeof(p));
	memset(things, 0, sizeof(things));
	for (unsigned i = 0; i < 3; i++)
		things[i].refs = 1;
	things[0].type = OBJECT_MEM;
	things[1].type = OBJECT_VM;
	things[2].type = OBJECT_PROG;
	pages_left = 100;
	return 0;
}

static int teardown(void **state)
{
	handle_close_all(&p);
	assert_int_equal(pages_out, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(things[i].refs, 1);
	return 0;
}

static uint32_t add(unsigned thing, uint32_t rights)
{
	uint32_t h = 0;

	assert_int_equal(handle_add(&p, &things[thing], rights, &h), 0);
	assert_int_not_equal(h, 0);
	return h;
}

static void test_find(void **state)
{
	struct object *o = NULL;
	uint32_t h = add(0, HVR_READ | HVR_WRITE);

	assert_int_equal(things[0].refs, 2);
	assert_int_equal(handle_find(&p, h, OBJECT_MEM, HVR_READ, &o), 0);
	assert_ptr_equal(o, &things[0]);
	assert_int_equal(things[0].refs, 2); /* not counted for a call */
	assert_int_equal(handle_find(&p, h, 0, 0, &o), 0);
	assert_int_equal(handle_find(&p, h, OBJECT_VM, 0, &o), -HVE_HANDLE);
	assert_int_equal(handle_find(&p, h, OBJECT_MEM, HVR_READ | HVR_EXEC, &o), -HVE_RIGHTS);
	assert_int_equal(handle_rights(&p, h), HVR_READ | HVR_WRITE);
}

static void test_numbers_that_are_none(void **state)
{
	struct object *o = NULL;
	uint32_t h = add(0, HVR_ALL);
	uint64_t bad[] = {0,
			  1,
			  h + 1,
			  h + (1u << 12),
			  h | 1ull << 32,
			  h ^ 0x80000000,
			  0xfff,
			  0x1400 /* index 1024 */,
			  UINT32_MAX,
			  UINT64_MAX,
			  1ull << 63 | h};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(handle_find(&p, bad[i], 0, 0, &o), -HVE_HANDLE);
		assert_int_equal(handle_close(&p, bad[i]), -HVE_HANDLE);
		assert_int_equal(handle_rights(&p, bad[i]), 0);
	}
	assert_null(o);
}

static void test_stale(void **state)
{
	struct object *o;
	uint32_t h = add(0, HVR_ALL), again;

	assert_int_equal(handle_close(&p, h), 0);
	assert_int_equal(things[0].refs, 1);
	assert_int_equal(handle_close(&p, h), -HVE_HANDLE);
	again = add(1, HVR_ALL);
	assert_int_equal(again & 0xfff, h & 0xfff); /* the slot, not the number */
	assert_int_not_equal(again, h);
	assert_int_equal(handle_find(&p, h, 0, 0, &o), -HVE_HANDLE);
}

static void test_generation_wraps_past_zero(void **state)
{
	uint32_t h = add(0, HVR_ALL);

	p.handles[0][h & 0xfff].generation = 0xfffff;
	assert_int_equal(handle_close(&p, 0xfffff000 | (h & 0xfff)), 0);
	assert_int_equal(add(0, HVR_ALL) >> 12, 1);
}

static void test_destroyed_object(void **state)
{
	struct object *o;
	uint32_t h = add(1, HVR_ALL);

	things[1].dead = true;
	assert_int_equal(handle_find(&p, h, OBJECT_VM, 0, &o), -HVE_HANDLE);
	assert_int_equal(handle_close(&p, h), 0); /* the slot comes back all the same */
	things[1].dead = false;
}

static void test_full_table(void **state)
{
	uint32_t h = 0, last = 0;

	for (unsigned i = 0; i < PROG_HANDLES; i++)
		last = add(i % 3, HVR_READ);
	assert_int_equal(pages_out, PROG_HANDLE_PAGES);
	assert_int_equal(handle_add(&p, &things[0], HVR_READ, &h), -HVE_LIMIT);
	assert_int_equal(h, 0);
	assert_int_equal(handle_close(&p, last), 0);
	assert_int_equal(handle_add(&p, &things[0], HVR_READ, &h), 0);
	handle_close_object(&p, &things[1]);
	assert_int_equal(things[1].refs, 1);
	assert_true(things[2].refs > 300);
}

static void test_no_memory(void **state)
{
	uint32_t h = 0;

	pages_left = 0;
	assert_int_equal(handle_add(&p, &things[0], HVR_READ, &h), -HVE_NOMEM);
	assert_int_equal(things[0].refs, 1);
}

static void test_dying(void **state)
{
	uint32_t h = add(0, HVR_ALL);

	handle_close_all(&p);
	assert_int_equal(handle_add(&p, &things[0], HVR_READ, &h), -HVE_STATE);
	assert_int_equal(things[0].refs, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_find, setup, teardown),
		cmocka_unit_test_setup_teardown(test_numbers_that_are_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(test_generation_wraps_past_zero, setup, teardown),
		cmocka_unit_test_setup_teardown(test_destroyed_object, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_table, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dying, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
