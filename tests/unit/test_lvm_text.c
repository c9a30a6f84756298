/* SPDX-License-Identifier: BSD-2-Clause */
/* The text of volume groups: what is read, what is refused, and that a change loses nothing of the rest. */
// SRC: ctrl-kernel/blk/crc32.c
// SRC: ctrl-kernel/blk/lvm/change.c
// SRC: ctrl-kernel/blk/lvm/disk.c
// SRC: ctrl-kernel/blk/lvm/doc.c
// SRC: ctrl-kernel/blk/lvm/doc_edit.c
// SRC: ctrl-kernel/blk/lvm/gaps.c
// SRC: ctrl-kernel/blk/lvm/map.c
// SRC: ctrl-kernel/blk/lvm/names.c
// SRC: ctrl-kernel/blk/lvm/used.c
// SRC: ctrl-kernel/blk/lvm/vg.c
// SRC: ctrl-kernel/blk/lvm/volumes.c
// SRC: ctrl-kernel/blk/sort.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "ctrl-kernel/blk/lvm/change.h"

static const struct lvm_stamp stamp = {.host = "h", .time = 7};

/* ---- helpers ---- */

static char *read_fixture(size_t *len)
{
	static char text[65536];
	FILE *f = fopen("tests/lvm/kinds.vg", "r");

	assert_non_null(f);
	*len = fread(text, 1, sizeof(text), f);
	fclose(f);
	return text;
}

static struct lvm_vg *parse(const char *text, size_t len)
{
	struct lvm_vg *vg;
	struct lvm_why why = {""};

	if (lvm_vg_parse(text, len, &vg, &why))
		fail_msg("%s", why.text);
	return vg;
}

/* The group with all its disks. */
static struct lvm_vg *fixture(void)
{
	size_t len;
	const char *text = read_fixture(&len);
	struct lvm_vg *vg = parse(text, len);

	for (uint32_t i = 0; i < vg->pv_count; i++)
		vg->pvs[i].disk = (int)i;
	lvm_vg_settle(vg);
	return vg;
}

static char *written(const struct lvm_vg *vg)
{
	size_t len;
	char *text = lvm_doc_write(&vg->doc, &len);

	assert_non_null(text);
	assert_int_equal(strlen(text) + 1, len);
	return text;
}

/* The text of one section, as it is written. */
static char *section(const struct lvm_vg *vg, const char *name)
{
	char *text = written(vg), start[80], *from, *to, *copy;

	snprintf(start, sizeof(start), "\n%s {\n", name);
	from = strstr(text, start);
	assert_non_null(from);
	to = from;
	for (int depth = 0; *to; to++) {
		depth += (*to == '{') - (*to == '}');
		if (*to == '}' && depth == 0)
			break;
	}
	copy = strndup(from, (size_t)(to - from));
	free(text);
	return copy;
}

static void same_section(const struct lvm_vg *a, const struct lvm_vg *b, const char *name)
{
	char *x = section(a, name), *y = section(b, name);

	assert_string_equal(x, y);
	free(x);
	free(y);
}

static void refused(const char *text, const char *words)
{
	struct lvm_vg *vg = NULL;
	struct lvm_why why = {""};

	if (lvm_vg_parse(text, strlen(text), &vg, &why) == 0)
		fail_msg("taken, not refused with '%s'", words);
	assert_null(vg);
	if (!strstr(why.text, words))
		fail_msg("'%s' has no '%s'", why.text, words);
}

/* The fixture with the first `from` replaced. */
static char *changed(const char *from, const char *to)
{
	static char out[70000];
	size_t len;
	const char *text = read_fixture(&len), *at = strstr(text, from);

	assert_non_null(at);
	snprintf(out, sizeof(out), "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	return out;
}

/* ---- reading ---- */

static void test_kinds(void **state)
{
	static const struct {
		const char *name, *type, *why;
	} want[] = {
		{"lin", "linear", "used by volume snapshot0"},
		{"both", "linear", ""},
		{"str", "striped", ""},
		{"snap", "snapshot", "of type snapshot"},
		{"pool", "thin-pool", "of type thin-pool"},
		{"thin1", "thin", "of type thin"},
		{"r1", "raid1", "of type raid1"},
		{"r1_rimage_0", "linear", "a part of another volume"},
		{"cached", "cache", "of type cache"},
		{"moved", "linear", "status LOCKED"},
		{"future", "quantum", "of type quantum"},
	};
	struct lvm_vg *vg = fixture();

	(void)state;
	assert_string_equal(vg->name, "kinds");
	assert_int_equal(vg->seqno, 40);
	assert_int_equal(vg->extent_sectors, 8192);
	assert_false(vg->read_only);
	assert_int_equal(vg->pv_count, 2);
	assert_int_equal(vg->pvs[1].pe_start, 2048);
	assert_int_equal(vg->pvs[1].pe_count, 100);
	for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
		const struct lvm_lv *lv = lvm_lv_find(vg, want[i].name);

		assert_non_null(lv);
		assert_string_equal(lv->type, want[i].type);
		assert_int_equal(lv->supported, want[i].why[0] == '\0');
		if (!strstr(lv->why, want[i].why))
			fail_msg("%s: '%s'", lv->name, lv->why);
	}
	lvm_vg_free(vg);
}

static void test_fields(void **state)
{
	struct lvm_vg *vg = fixture();
	const struct lvm_lv *lv = lvm_lv_find(vg, "both");
	char word[64];

	(void)state;
	assert_int_equal(lv->extents, 23);
	assert_int_equal(lv->segments, 2);
	assert_int_equal(vg->segments[lv->segment + 1].start, 20);
	assert_int_equal(lv->created, 1795549448);
	assert_string_equal(lv->host, "debian");
	assert_true(lvm_doc_word(&vg->doc, lv->node, "tags", 1, word, sizeof(word)));
	assert_string_equal(word, "b\"c");
	assert_false(lvm_doc_word(&vg->doc, lv->node, "tags", 2, word, sizeof(word)));
	assert_false(lvm_doc_word(&vg->doc, lv->node, "tags", 1, word, 3));
	lvm_vg_free(vg);
}

/* What an unknown kind names is not given to others: pv1 extents 50..59, and "moved" lies on 60..62. */
static void test_space_of_unknown_kinds(void **state)
{
	struct lvm_vg *vg = fixture();
	struct lvm_gap gap = {0};
	uint64_t n = 0;

	(void)state;
	while (lvm_gap_next(vg, &gap)) {
		n += gap.count;
		for (uint32_t i = 0; i < vg->used_count; i++) {
			const struct lvm_used *u = &vg->used[i];

			assert_false(u->pv == gap.pv && u->pe < gap.pe + gap.count &&
				     gap.pe < u->pe + u->count);
		}
		if (gap.pv == 1)
			assert_false(gap.pe < 63 && gap.pe + gap.count > 50);
	}
	assert_int_equal(n, lvm_free_extents(vg));
	assert_in_range(n, 1, 150);
	lvm_vg_free(vg);
}

/* A kind that names a PV without an extent: nobody knows what it uses of it. */
static void test_pv_of_unknown_use(void **state)
{
	char *text = changed("lattice = [\"pv1\", 50]", "lattice = \"pv1\"");
	struct lvm_vg *vg = parse(text, strlen(text));

	(void)state;
	assert_false(vg->pvs[1].allocatable);
	lvm_vg_free(vg);
}

/* ---- keeping ---- */

static void test_written_is_read(void **state)
{
	struct lvm_vg *vg = fixture(), *again;
	char *text = written(vg), *twice;

	(void)state;
	again = parse(text, strlen(text) + 1);
	twice = written(again);
	assert_string_equal(text, twice);
	assert_non_null(strstr(text, "future_key = [\"x\", 12, -3.5]"));
	assert_non_null(strstr(text, "unheard_of {"));
	free(text);
	free(twice);
	lvm_vg_free(vg);
	lvm_vg_free(again);
}

static void same_others(const struct lvm_vg *a, const struct lvm_vg *b)
{
	static const char *const names[] = {
		"lin",    "str",   "snap",   "pool",      "thin1", "r1",  "r1_rimage_0",
		"cached", "moved", "future", "snapshot0", "pv0",   "pv1", "unheard_of"};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		same_section(a, b, names[i]);
}

static void test_changes_keep_the_rest(void **state)
{
	struct lvm_vg *vg = fixture(), *a, *b, *c, *d;
	struct lvm_why why;
	struct lvm_request r = {.vg = vg, .stamp = stamp};

	(void)state;
	assert_int_equal(lvm_lv_create(&r, "new", 3, &a, &why), 0);
	same_others(vg, a);
	same_section(vg, a, "both");
	r.vg = a;
	assert_int_equal(lvm_lv_resize(&r, "both", 30, &b, &why), 0);
	same_others(vg, b);
	same_section(a, b, "new");
	r.vg = b;
	assert_int_equal(lvm_lv_rename(&r, "both", "other", &c, &why), 0);
	same_others(vg, c);
	assert_null(lvm_lv_find(c, "both"));
	assert_int_equal(lvm_lv_find(c, "other")->extents, 30);
	r.vg = c;
	assert_int_equal(lvm_lv_delete(&r, "other", &d, &why), 0);
	same_others(vg, d);
	assert_int_equal(d->seqno, vg->seqno + 4);
	assert_int_equal(lvm_free_extents(d), lvm_free_extents(vg) + 23 - 3);
	lvm_vg_free(vg);
	lvm_vg_free(a);
	lvm_vg_free(b);
	lvm_vg_free(c);
	lvm_vg_free(d);
}

/* ---- changes that are refused ---- */

static void test_refusals(void **state)
{
	static const char *const fixed[] = {"lin",         "snap",   "pool",  "thin1", "r1",
					    "r1_rimage_0", "cached", "moved", "future"};
	struct lvm_vg *vg = fixture(), *next = NULL;
	const struct lvm_request r = {.vg = vg, .stamp = stamp};
	struct lvm_why why;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++) {
		assert_int_equal(lvm_lv_delete(&r, fixed[i], &next, &why), -HVE_STATE);
		assert_non_null(strstr(why.text, fixed[i]));
		assert_int_equal(lvm_lv_resize(&r, fixed[i], 1, &next, &why), -HVE_STATE);
		assert_int_equal(lvm_lv_rename(&r, fixed[i], "x", &next, &why), -HVE_STATE);
	}
	assert_int_equal(lvm_lv_delete(&r, "none", &next, &why), -HVE_NOENT);
	assert_int_equal(lvm_lv_create(&r, "both", 1, &next, &why), -HVE_EXIST);
	assert_int_equal(lvm_lv_rename(&r, "both", "str", &next, &why), -HVE_EXIST);
	assert_int_equal(lvm_lv_create(&r, "-x", 1, &next, &why), -HVE_INVAL);
	assert_int_equal(lvm_lv_create(&r, "a b", 1, &next, &why), -HVE_INVAL);
	assert_int_equal(lvm_lv_create(&r, "a_tdata", 1, &next, &why), -HVE_INVAL);
	assert_int_equal(lvm_lv_create(&r, "snapshot1", 1, &next, &why), -HVE_INVAL);
	assert_int_equal(lvm_lv_create(&r, "x", 0, &next, &why), -HVE_INVAL);
	assert_int_equal(lvm_lv_create(&r, "x", 10000, &next, &why), -HVE_LIMIT);
	assert_int_equal(lvm_lv_resize(&r, "both", 10000, &next, &why), -HVE_LIMIT);
	assert_int_equal(lvm_lv_resize(&r, "both", 23, &next, &why), -HVE_INVAL);
	assert_int_equal(lvm_lv_resize(&r, "str", 3, &next, &why), -HVE_INVAL);
	assert_null(next);
	lvm_vg_free(vg);
}

static void test_read_only_groups(void **state)
{
	static const struct {
		const char *from, *to, *why;
		bool refused;
	} cases[] = {
		{"\"RESIZEABLE\", \"READ\", \"WRITE\"", "\"RESIZEABLE\", \"READ\"", "read-only",
		 false},
		{"\"RESIZEABLE\"", "\"NEW_STATE\"", "status NEW_STATE", false},
		{"\"RESIZEABLE\"", "\"EXPORTED\"", "exported", true},
		{"max_pv = 0", "max_pv = 0\nsystem_id = \"elsewhere\"", "another system", true},
		{"max_pv = 0", "max_pv = 0\nlock_type = \"sanlock\"", "lock manager", true},
		{"flags = []\n\t\t\tdev_size", "flags = [\"MISSING\"]\n\t\t\tdev_size", "missing",
		 false},
		{"stripes = [\n\t\t\t\t\t\"pv0\", 3", "stripes = [\n\t\t\t\t\t\"pv0\", 2",
		 "two volumes", true},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		char *text = changed(cases[i].from, cases[i].to);
		struct lvm_vg *vg = parse(text, strlen(text)), *next = NULL;
		const struct lvm_request r = {.vg = vg, .stamp = stamp};
		struct lvm_why why;

		for (uint32_t k = 0; k < vg->pv_count; k++)
			vg->pvs[k].disk = (int)k;
		lvm_vg_settle(vg);
		assert_true(vg->read_only);
		assert_int_equal(vg->refused, cases[i].refused);
		if (!strstr(vg->why, cases[i].why))
			fail_msg("'%s' has no '%s'", vg->why, cases[i].why);
		assert_int_equal(lvm_lv_create(&r, "new", 1, &next, &why), -HVE_STATE);
		assert_string_equal(why.text, vg->why);
		lvm_vg_free(vg);
	}
}

/* ---- texts that are none ---- */

static void test_syntax(void **state)
{
	char deep[200] = "";

	(void)state;
	for (unsigned i = 0; i < LVM_DEPTH_MAX + 1; i++)
		strcat(deep, "a {\n");
	refused(deep, "too deep");
	refused("", "no volume group");
	refused("a {", "missing");
	refused("a }", "expected");
	refused("}", "closes nothing");
	refused("a = ", "value is missing");
	refused("a = \"x", "does not end");
	refused("a = \"x\\", "does not end");
	refused("a = [1, 2", "does not end");
	refused("a = [1 2]", "no value");
	refused("a = [1, [2]]", "no value");
	refused("a b", "= or {");
	refused("a = 1\na = 2", "twice");
	refused("# nothing", "no volume group");
}

static void test_fields_refused(void **state)
{
	static const struct {
		const char *from, *to, *why;
	} cases[] = {
		{"Text Format Volume Group", "Something else", "no volume group"},
		{"extent_size = 8192", "extent_size = 0", "extent size"},
		{"extent_size = 8192", "extent_size = \"8192\"", "extent_size"},
		{"seqno = 40", "seqno = -1", "seqno"},
		{"seqno = 40", "seqno = 99999999999999999999", "seqno"},
		{"format = \"lvm2\"", "format = \"lvm1\"", "format"},
		{"pe_count = 100", "", "pe_count"},
		{"pe_count = 100", "pe_count = 4294967296", "pe_count"},
		{"pe_start = 2048", "pe_start = 18446744073709551615", "pe_start"},
		{"start_extent = 20", "start_extent = 21", "gap"},
		{"start_extent = 20", "start_extent = 19", "overlap"},
		{"segment_count = 2", "segment_count = 3", "segments and says"},
		{"extent_count = 20", "extent_count = 0", "empty segment"},
		{"physical_volumes {", "physical_volumes = 1\nx {", "no section"},
		{"pv1 {", "p/1 {", "no name"},
		{"future {", "both {", "twice"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		refused(changed(cases[i].from, cases[i].to), cases[i].why);
}

/* Its disk is back, and nobody knows what was written elsewhere in the meantime. */
static void test_marked_missing(void **state)
{
	char *text = changed("flags = []\n\t\t\tdev_size", "flags = [\"MISSING\"]\n\t\t\tdev_size");
	struct lvm_vg *vg = parse(text, strlen(text));

	(void)state;
	for (uint32_t i = 0; i < vg->pv_count; i++)
		vg->pvs[i].disk = (int)i;
	lvm_vg_settle(vg);
	assert_non_null(strstr(lvm_lv_find(vg, "both")->why, "missing"));
	lvm_vg_free(vg);
}

/* Words of the disk reach people printable. */
static void test_printable(void **state)
{
	char *text = changed("type = \"quantum\"", "type = \"q\x1b[2J\xff\"");
	struct lvm_vg *vg = parse(text, strlen(text));

	(void)state;
	assert_string_equal(lvm_lv_find(vg, "future")->type, "q?[2J?");
	lvm_vg_free(vg);
	refused("a\x1b = 1", "line 1");
	refused(changed("future {", "\"\x1b\" {"), "is no name");
}

/* Areas that are not on their PV do not harm the group; the volume cannot be used. */
static void test_area_outside(void **state)
{
	char *text = changed("\"pv1\", 10\n", "\"pv1\", 98\n");
	struct lvm_vg *vg = parse(text, strlen(text));

	(void)state;
	assert_false(lvm_lv_find(vg, "both")->supported);
	lvm_vg_free(vg);
}

/* ---- map ---- */

static void test_map(void **state)
{
	struct lvm_vg *vg = fixture();
	const struct lvm_lv *both = lvm_lv_find(vg, "both"), *str = lvm_lv_find(vg, "str");
	struct lvm_piece p[4];
	uint64_t mapped;

	(void)state;
	/* over the border of its two segments: pv0 extents 3..22, pv1 extents 10..12 */
	assert_int_equal(lvm_map(vg, both, 20 * 8192 - 5, 12, p, 4, &mapped), 2);
	assert_int_equal(mapped, 12);
	assert_int_equal(p[0].pv, 0);
	assert_int_equal(p[0].lba, 2048 + 23 * 8192 - 5);
	assert_int_equal(p[0].count, 5);
	assert_int_equal(p[1].pv, 1);
	assert_int_equal(p[1].lba, 2048 + 10 * 8192);
	assert_int_equal(p[1].count, 7);
	assert_int_equal(lvm_map(vg, both, 20 * 8192 - 5, 12, p, 1, &mapped), 1);
	assert_int_equal(mapped, 5);
	/* the end */
	assert_int_equal(lvm_map(vg, both, 23 * 8192 - 1, 100, p, 4, &mapped), 1);
	assert_int_equal(mapped, 1);
	assert_int_equal(lvm_map(vg, both, 23 * 8192, 1, p, 4, &mapped), 0);
	assert_int_equal(lvm_map(vg, both, UINT64_MAX, UINT64_MAX, p, 4, &mapped), 0);
	/* stripes of 128 sectors on pv0 from extent 30 and pv1 from extent 20 */
	assert_int_equal(lvm_map(vg, str, 100, 300, p, 4, &mapped), 4);
	assert_int_equal(mapped, 300);
	assert_int_equal(p[0].lba, 2048 + 30 * 8192 + 100);
	assert_int_equal(p[0].count, 28);
	assert_int_equal(p[1].pv, 1);
	assert_int_equal(p[1].lba, 2048 + 20 * 8192);
	assert_int_equal(p[1].count, 128);
	assert_int_equal(p[2].pv, 0);
	assert_int_equal(p[2].lba, 2048 + 30 * 8192 + 128);
	assert_int_equal(p[3].count, 16);
	assert_int_equal(lvm_map(vg, lvm_lv_find(vg, "thin1"), 0, 1, p, 4, &mapped), 0);
	lvm_vg_free(vg);
}

/* Each sector of each volume has a place of its own, whatever was done before. */
static void test_map_is_one_to_one(void **state)
{
	struct lvm_vg *vg = fixture(), *next;
	struct lvm_why why;
	uint8_t taken[2][100] = {{0}};

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		const struct lvm_request r = {.vg = vg,
					      .stamp = {.host = "h", .random = {(uint8_t)i}}};
		char name[16];
		int rc;

		snprintf(name, sizeof(name), "v%u", i % 7);
		if (!lvm_lv_find(vg, name))
			rc = lvm_lv_create(&r, name, 1 + i % 5, &next, &why);
		else if (i % 3)
			rc = lvm_lv_resize(&r, name, 20 - i % 9, &next, &why);
		else
			rc = lvm_lv_delete(&r, name, &next, &why);
		if (rc)
			continue;
		lvm_vg_free(vg);
		vg = next;
	}
	for (uint32_t i = 0; i < vg->lv_count; i++)
		for (uint32_t e = 0; vg->lvs[i].supported && e < vg->lvs[i].extents; e++) {
			struct lvm_piece p;
			uint64_t mapped;

			if (!strcmp(vg->lvs[i].type, "striped"))
				continue;
			assert_int_equal(
				lvm_map(vg, &vg->lvs[i], e * 8192ull, 8192, &p, 1, &mapped), 1);
			assert_int_equal(taken[p.pv][(p.lba - 2048) / 8192]++, 0);
		}
	lvm_vg_free(vg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_space_of_unknown_kinds),
		cmocka_unit_test(test_pv_of_unknown_use),
		cmocka_unit_test(test_written_is_read),
		cmocka_unit_test(test_changes_keep_the_rest),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_read_only_groups),
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_fields_refused),
		cmocka_unit_test(test_area_outside),
		cmocka_unit_test(test_marked_missing),
		cmocka_unit_test(test_printable),
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_map_is_one_to_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
