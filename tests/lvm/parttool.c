/* SPDX-License-Identifier: BSD-2-Clause */
/* parttool SECTOR FILE: the partition table of a file, a line for each partition, and the signature that is found. */
// SRC: ctrl-kernel/blk/crc32.c
// SRC: ctrl-kernel/blk/part/gpt.c
// SRC: ctrl-kernel/blk/part/mbr.c
// SRC: ctrl-kernel/blk/part/scan.c
// SRC: ctrl-kernel/blk/part/signature.c
// SRC: ctrl-kernel/blk/part/signature_scan.c
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/blk/part/part.h"
#include "ctrl-kernel/blk/part/signature.h"

static uint8_t *read_file(const char *name, uint64_t *bytes)
{
	FILE *f = fopen(name, "rb");
	uint8_t *all;

	if (!f || fseek(f, 0, SEEK_END))
		exit(1);
	*bytes = (uint64_t)ftell(f);
	rewind(f);
	all = malloc(*bytes);
	if (!all || fread(all, 1, *bytes, f) != *bytes)
		exit(1);
	fclose(f);
	return all;
}

static void print(const struct part_table *t)
{
	static const char *const kinds[] = {"none", "gpt", "mbr"}, *const states[] = {
									   "good", "absent", "bad"};

	printf("table %s primary %s backup %s used %s %s\n", kinds[t->kind], states[t->primary],
	       states[t->backup], t->used_backup ? "backup" : "primary", t->why);
	for (uint32_t i = 0; i < t->count; i++)
		printf("%u %llu %llu%s %s\n", t->part[i].number, (unsigned long long)t->part[i].lba,
		       (unsigned long long)t->part[i].count, t->part[i].lvm ? " lvm" : "",
		       t->part[i].name);
}

int main(int argc, char **argv)
{
	static struct part_table t;
	struct signature_scan sig;
	const char *found;
	struct part_scan s;
	uint64_t bytes;
	uint8_t *file;

	if (argc != 3)
		return 1;
	file = read_file(argv[2], &bytes);
	if (part_scan_begin(&s, &t, bytes, (uint32_t)atoi(argv[1])))
		return 1;
	for (const struct step *step; (step = part_scan_next(&s))->op != STEP_END;) {
		memcpy(step->buf, file + step->offset, step->bytes);
		part_scan_done(&s, true);
	}
	part_scan_end(&s);
	print(&t);
	if (signature_scan_begin(&sig, bytes, (uint32_t)atoi(argv[1])))
		return 1;
	for (const struct step *step; (step = signature_scan_next(&sig))->op != STEP_END;) {
		memcpy(step->buf, file + step->offset, step->bytes);
		signature_scan_done(&sig, true);
	}
	found = signature_scan_result(&sig);
	printf("signature %s\n", found ? found : "none");
	signature_scan_end(&sig);
	free(file);
	return 0;
}
