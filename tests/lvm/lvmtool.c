/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The LVM code on files, for tests that let Debian's tools look at the same bytes:
 *
 *   lvmtool SECTOR DISK[,DISK...] show | create VG MDAS | extend VG DISK | lvcreate VG LV EXTENTS | resize VG LV EXTENTS |
 *       rename VG LV TO | delete VG LV | fill VG LV WORD | put VG LV FILE | text VG
 *
 * The last DISK of `extend` is the new one. fill writes WORD and a counter into every sector, where lvm_map()
 * says; put writes a file.
 */
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
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tests/unit/lvm_fakes.h"

static struct fake_machine m;
static struct lvm_why why;
static struct lvm_stamp stamp = {.host = "lvmtool", .time = 1700000000};

static int fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	return 1;
}

static int open_disks(char *names)
{
	for (char *name = strtok(names, ","); name && m.count < FAKE_DISKS;
	     name = strtok(NULL, ",")) {
		struct stat st;
		int fd = open(name, O_RDWR);
		void *at;

		if (fd < 0 || fstat(fd, &st))
			return fail(name);
		at = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (at == MAP_FAILED)
			return fail(name);
		m.bytes[m.count] = at;
		m.size[m.count++] = (uint64_t)st.st_size;
		close(fd);
	}
	return 0;
}

static void show_lv(const struct lvm_vg *vg, const struct lvm_lv *lv)
{
	printf("lv %s %s %u %s%s\n", lv->name, lv->type, lv->extents,
	       lv->supported ? "supported" : "refused: ", lv->why);
	for (uint32_t i = 0; i < lv->segments; i++) {
		const struct lvm_segment *s = &vg->segments[lv->segment + i];

		printf("  segment %u %u", s->start, s->count);
		for (uint32_t k = 0; k < s->stripes; k++)
			printf(" %s:%u", vg->pvs[vg->areas[s->area + k].pv].name,
			       vg->areas[s->area + k].pe);
		printf("\n");
	}
}

static int show(void)
{
	for (unsigned i = 0; i < m.count; i++) {
		printf("disk %u %s vg %d %s\n", i, m.disk[i].is_pv ? m.disk[i].id : "none",
		       m.disk[i].vg, m.disk[i].why);
		for (unsigned k = 0; k < m.disk[i].mdas; k++)
			printf("  area %llu+%llu text %llu+%llu%s state %u seqno %llu %s\n",
			       (unsigned long long)m.disk[i].mda[k].start,
			       (unsigned long long)m.disk[i].mda[k].size,
			       (unsigned long long)m.disk[i].mda[k].at,
			       (unsigned long long)m.disk[i].mda[k].bytes,
			       m.disk[i].mda[k].at + m.disk[i].mda[k].bytes > m.disk[i].mda[k].size
				       ? " wrapped"
				       : "",
			       m.disk[i].mda[k].state, (unsigned long long)m.disk[i].mda[k].seqno,
			       m.disk[i].mda[k].why);
	}
	for (unsigned i = 0; i < m.pool.count; i++) {
		const struct lvm_vg *vg = m.pool.vgs[i];

		printf("vg %s seqno %llu extent %u free %llu%s%s stale %u %s\n", vg->name,
		       (unsigned long long)vg->seqno, vg->extent_sectors,
		       (unsigned long long)lvm_free_extents(vg), vg->read_only ? " read-only" : "",
		       vg->refused ? " refused" : "", vg->stale, vg->why);
		for (uint32_t k = 0; k < vg->pv_count; k++)
			printf("pv %s disk %d start %llu count %u\n", vg->pvs[k].name,
			       vg->pvs[k].disk, (unsigned long long)vg->pvs[k].pe_start,
			       vg->pvs[k].pe_count);
		for (uint32_t k = 0; k < vg->lv_count; k++)
			show_lv(vg, &vg->lvs[k]);
	}
	return 0;
}

static int commit(int r, struct lvm_vg **next)
{
	if (r == 0)
		r = fake_commit(&m, *next, &why);
	if (r)
		return fail(why.text);
	lvm_vg_free(*next);
	return 0;
}

/* For each new disk its own identity, and another for the group. */
static int new_disk(unsigned i, unsigned mdas)
{
	uint8_t random[32];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return 1;
	return lvm_disk_make(&m.disk[i], random, mdas, &why) ? fail(why.text) : 0;
}

static int create(const char *name, unsigned mdas)
{
	unsigned which[FAKE_DISKS];
	struct lvm_vg *vg = NULL;

	for (unsigned i = 0; i < m.count; i++) {
		which[i] = i;
		if (new_disk(i, mdas))
			return 1;
	}
	return commit(
		lvm_vg_create(name, LVM_EXTENT_SECTORS, m.disks, which, m.count, &stamp, &vg, &why),
		&vg);
}

static int fill(const struct lvm_vg *vg, const char *lv_name, const char *word)
{
	const struct lvm_lv *lv = lvm_lv_find(vg, lv_name);
	uint64_t mapped;

	if (!lv || !lv->supported)
		return fail(lv ? lv->why : "no such volume");
	for (uint64_t lba = 0; lba < lvm_lv_sectors(vg, lv); lba += mapped) {
		struct lvm_piece p;

		if (lvm_map(vg, lv, lba, 1, &p, 1, &mapped) != 1)
			return fail("not mapped");
		snprintf((char *)m.bytes[vg->pvs[p.pv].disk] + p.lba * 512, 512, "%s %llu\n", word,
			 (unsigned long long)lba);
	}
	return 0;
}

/* Piece by piece, as many sectors at once as lie together. */
static int put(const struct lvm_vg *vg, const char *lv_name, const char *file)
{
	const struct lvm_lv *lv = lvm_lv_find(vg, lv_name);
	FILE *f = fopen(file, "rb");
	uint64_t mapped = 0;

	if (!lv || !f)
		return fail("no such volume or file");
	for (uint64_t lba = 0; lba < lvm_lv_sectors(vg, lv); lba += mapped) {
		struct lvm_piece p;

		if (lvm_map(vg, lv, lba, UINT64_MAX, &p, 1, &mapped) != 1 ||
		    fread(m.bytes[vg->pvs[p.pv].disk] + p.lba * 512, 512, mapped, f) != mapped)
			return fail("the file is shorter than the volume");
	}
	fclose(f);
	return 0;
}

static int text(const struct lvm_vg *vg)
{
	size_t len;
	char *t = lvm_doc_write(&vg->doc, &len);

	printf("%s", t);
	free(t);
	return 0;
}

static int change(const struct lvm_vg *vg, int argc, char **argv)
{
	const struct lvm_request r = {.vg = vg, .stamp = stamp};
	const char *op = argv[0], *lv = argc > 2 ? argv[2] : "", *last = argc > 3 ? argv[3] : "";
	struct lvm_vg *next = NULL;

	if (!strcmp(op, "fill"))
		return fill(vg, lv, last);
	if (!strcmp(op, "put"))
		return put(vg, lv, last);
	if (!strcmp(op, "text"))
		return text(vg);
	if (!strcmp(op, "lvcreate"))
		return commit(lvm_lv_create(&r, lv, (uint32_t)atoi(last), &next, &why), &next);
	if (!strcmp(op, "resize"))
		return commit(lvm_lv_resize(&r, lv, (uint32_t)atoi(last), &next, &why), &next);
	if (!strcmp(op, "rename"))
		return commit(lvm_lv_rename(&r, lv, last, &next, &why), &next);
	if (!strcmp(op, "delete"))
		return commit(lvm_lv_delete(&r, lv, &next, &why), &next);
	if (!strcmp(op, "extend") && new_disk(m.count - 1, 1) == 0)
		return commit(lvm_vg_extend(&r, &m.disk[m.count - 1], m.count - 1, &next, &why),
			      &next);
	return fail(op);
}

static int run(int argc, char **argv)
{
	if (!strcmp(argv[0], "show"))
		return show();
	if (argc > 2 && !strcmp(argv[0], "create"))
		return create(argv[1], (unsigned)atoi(argv[2]));
	if (argc > 1 && lvm_pool_find(&m.pool, argv[1]))
		return change(lvm_pool_find(&m.pool, argv[1]), argc, argv);
	return fail("no such volume group");
}

int main(int argc, char **argv)
{
	int r;

	if (argc < 4)
		return fail("lvmtool SECTOR DISKS OPERATION ...");
	if (getrandom(stamp.random, sizeof(stamp.random), 0) != sizeof(stamp.random))
		return 1;
	m.sector = (uint32_t)atoi(argv[1]);
	if (open_disks(argv[2]))
		return 1;
	fake_scan(&m);
	r = run(argc - 3, argv + 3);
	fake_free(&m);
	return r;
}
