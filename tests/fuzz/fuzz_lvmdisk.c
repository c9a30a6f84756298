/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/blk/crc32.c
// SRC: ctrl-kernel/blk/lvm/change.c
// SRC: ctrl-kernel/blk/lvm/commit.c
// SRC: ctrl-kernel/blk/lvm/disk.c
// SRC: ctrl-kernel/blk/lvm/doc.c
// SRC: ctrl-kernel/blk/lvm/doc_edit.c
// SRC: ctrl-kernel/blk/lvm/gaps.c
// SRC: ctrl-kernel/blk/lvm/map.c
// SRC: ctrl-kernel/blk/lvm/names.c
// SRC: ctrl-kernel/blk/lvm/pool.c
// SRC: ctrl-kernel/blk/lvm/scan.c
// SRC: ctrl-kernel/blk/lvm/used.c
// SRC: ctrl-kernel/blk/lvm/vg.c
// SRC: ctrl-kernel/blk/lvm/volumes.c
// SRC: ctrl-kernel/blk/sort.c
/*
 * A disk with a good volume group whose label, headers and texts are then written over: byte by byte as the input says,
 * with the checksums set right again, so that the fuzzer gets behind them. All reads are on the disk; what is then put
 * together can be changed, and a plan writes where it may.
 */
#include "ctrl-kernel/blk/crc32.h"
#include "ctrl-kernel/blk/le.h"
#include "tests/unit/lvm_fakes.h"

#define DISK_BYTES (16u << 20)
#define AREA 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fake_machine m;
static uint8_t good[16384]; /* the start of the disk, with a group */

static void prepare(void)
{
	static const unsigned only[] = {0};
	struct lvm_stamp stamp = fake_stamp("fuzz");
	struct lvm_vg *vg, *next;
	struct lvm_request r;
	struct lvm_why why;

	m.count = 1;
	m.sector = 512;
	m.size[0] = DISK_BYTES;
	m.bytes[0] = calloc(1, DISK_BYTES);
	fake_scan(&m);
	if (lvm_disk_make(&m.disk[0], stamp.random, 1, &why) ||
	    lvm_vg_create("vg", 512, m.disks, only, 1, &stamp, &vg, &why) ||
	    fake_commit(&m, vg, &why))
		abort();
	r = (struct lvm_request){.vg = vg, .stamp = fake_stamp("fuzz")};
	if (lvm_lv_create(&r, "one", 5, &next, &why) || fake_commit(&m, next, &why))
		abort();
	lvm_vg_free(vg);
	lvm_vg_free(next);
	memcpy(good, m.bytes[0], sizeof(good));
}

/* Checksums as they would be; the kind chooses which stay wrong. */
static void mend(uint8_t kind)
{
	uint8_t *label = m.bytes[0] + 512, *area = m.bytes[0] + AREA;
	uint64_t at = le64_at(area + 40), bytes = le64_at(area + 48);

	if (kind & 1)
		le32_put(label + 16, lvm_crc(label + 20, 492));
	if ((kind & 2) && at >= 512 && at < (1 << 20) - AREA && bytes < (1 << 20) - AREA - at)
		le32_put(area + 56, lvm_crc(area + at, bytes));
	if (kind & 4)
		le32_put(area, lvm_crc(area + 4, 508));
}

static void change(void)
{
	struct lvm_request r = {.stamp = fake_stamp("fuzz")};
	struct lvm_vg *next;
	struct lvm_why why = {""};

	if (m.pool.count == 0)
		return;
	r.vg = m.pool.vgs[0];
	if (lvm_lv_create(&r, "fuzz", 1, &next, &why) == 0) {
		if (fake_commit(&m, next, &why) == 0) {
			fake_scan(&m);
			if (m.pool.count != 1 || !lvm_lv_find(m.pool.vgs[0], "fuzz"))
				abort();
		}
		lvm_vg_free(next);
	}
	if (why.text[0] == '\0' && m.pool.vgs[0]->read_only && m.pool.vgs[0]->why[0] == '\0')
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!m.count)
		prepare();
	if (size < 1)
		return 0;
	memset(m.bytes[0], 0, 65536);
	memcpy(m.bytes[0], good, sizeof(good));
	for (size_t i = 1; i + 3 <= size; i += 3) /* where, and what */
		m.bytes[0][(data[i] | data[i + 1] << 8) % sizeof(good)] = data[i + 2];
	mend(data[0]);
	fake_scan(&m);
	change();
	fake_free(&m);
	return 0;
}
