/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file of an upgrade: a program, and behind it a trailer that says what it is and who vouches for it. tools/sign.sh
 * makes one.
 *
 *   0               bytes                                     bytes + sizeof(trailer)
 *   | program (ELF) | trailer: magic ... key_id | signature |
 *   '--- sha256 ----'
 *                   '------- signed -----------'
 *
 * So nothing of the program is looked at before the signature says that it is what was signed. Pure; compiled on the host
 * for its test and its fuzz target.
 */
#ifndef OPS_UPGRADE_FILE_H
#define OPS_UPGRADE_FILE_H

#include "ctrl-kernel/ops/ops.h"

#define UPGRADE_MAGIC "SOCLEUPG"
#define UPGRADE_FORMAT 1u
#define UPGRADE_KEY_BYTES 65u /* 4, x, y (SEC 1, 2.3.3: not compressed) */
#define UPGRADE_KEY_ID 8u     /* the first bytes of the key's SHA-256 */

struct upgrade_trailer {
	char magic[8];                 /* UPGRADE_MAGIC, no NUL */
	uint32_t format;               /* UPGRADE_FORMAT */
	uint32_t abi;                  /* HV_ABI_VERSION that the program needs */
	uint32_t store_min, store_max; /* KEEP_VERSION of stores that it takes over */
	uint32_t vmm;                /* VMM_CONFIG_VERSION: it speaks to the vmm in the boot file */
	uint32_t reserved;           /* 0 */
	uint64_t bytes;              /* of the program */
	uint8_t sha256[32];          /* of the program */
	char version[32], build[48]; /* of the program: printable, NUL-terminated */
	uint8_t key_id[UPGRADE_KEY_ID]; /* who signed */
	uint8_t signature[64];          /* r, s: ECDSA, P-256, SHA-256 of the fields before */
};
_Static_assert(sizeof(struct upgrade_trailer) == 224, "the file's format");

struct upgrade_wanted {     /* what this host can take */
	const uint8_t *key; /* UPGRADE_KEY_BYTES */
	uint32_t abi, store, vmm;
};

/* All checks, in this order: form, key, hash, signature, versions. Refusals are OPS_BAD_UPGRADE. */
int upgrade_file_check(const uint8_t *file, uint64_t len, const struct upgrade_wanted *wanted,
		       struct upgrade_trailer *out, struct ops_error *e) MUST_CHECK;

#endif
