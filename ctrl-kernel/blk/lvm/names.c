/* SPDX-License-Identifier: BSD-2-Clause */
/* Names and identities of LVM2. */
#include <ctype.h>
#include <string.h>
#include "ctrl-kernel/blk/lvm/vg.h"

static const char id_chars[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!#";

bool lvm_name_ok(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n >= LVM_NAME_SIZE || name[0] == '-' || !strcmp(name, ".") ||
	    !strcmp(name, ".."))
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)name[i] > 0x7e ||
		    (!isalnum((unsigned char)name[i]) && !strchr("_.+-", name[i])))
			return false;
	return true;
}

/* lvm(8), VALID NAMES */
const char *lvm_name_reserved(const char *name)
{
	static const char *const starts[] = {"snapshot", "pvmove"};
	static const char *const parts[] = {"_cdata",   "_cmeta", "_corig",  "_cpool", "_cvol",
					    "_imeta",   "_iorig", "_mimage", "_mlog",  "_pmspare",
					    "_rimage",  "_rmeta", "_tdata",  "_tmeta", "_vdata",
					    "_vorigin", "_wcorig"};

	for (unsigned i = 0; i < ARRAY_SIZE(starts); i++)
		if (strncmp(name, starts[i], strlen(starts[i])) == 0)
			return starts[i];
	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++)
		if (strstr(name, parts[i]))
			return parts[i];
	return NULL;
}

bool lvm_id_read(const char *s, char out[LVM_ID_SIZE])
{
	char id[LVM_ID_SIZE];
	unsigned n = 0;

	for (; *s; s++) {
		if (*s == '-')
			continue;
		if (n == LVM_ID_SIZE - 1 || !strchr(id_chars, *s))
			return false;
		id[n++] = *s;
	}
	if (n != LVM_ID_SIZE - 1)
		return false;
	memcpy(out, id, n);
	out[n] = '\0';
	return true;
}

void lvm_id_print(const char id[LVM_ID_SIZE], char out[40])
{
	unsigned n = 0;

	for (unsigned i = 0; i < LVM_ID_SIZE - 1; i++) { /* 6-4-4-4-4-4-6 */
		if (i >= 6 && i <= 26 && (i - 6) % 4 == 0)
			out[n++] = '-';
		out[n++] = id[i];
	}
	out[n] = '\0';
}

void lvm_id_make(const uint8_t random[32], char out[LVM_ID_SIZE])
{
	for (unsigned i = 0; i < LVM_ID_SIZE - 1; i++)
		out[i] = id_chars[random[i] % 62]; /* ! and # are read, not made */
	out[LVM_ID_SIZE - 1] = '\0';
}
