/* SPDX-License-Identifier: BSD-2-Clause */
/* Part of fakehv.c: a host that takes any file which begins with "good" for an upgrade (test_upgrade.c has the real check). */
#ifndef TESTS_FAKEUPGRADE_H
#define TESTS_FAKEUPGRADE_H

#include <string.h>
#include "ctrl-kernel/ops/upgrade.h"

const uint8_t upgrade_key[UPGRADE_KEY_BYTES];
static uint64_t replaced; /* bytes of the program that waits; 0: none */

int upgrade_file_check(const uint8_t *file, uint64_t len, const struct upgrade_wanted *wanted,
		       struct upgrade_trailer *out, struct ops_error *e)
{
	if (wanted->key != upgrade_key || wanted->abi != HV_ABI_VERSION)
		abort();
	if (len < 4 || memcmp(file, "good", 4) != 0) {
		*e = (struct ops_error){.code = OPS_BAD_UPGRADE, .text = "it is not good"};
		return -1;
	}
	*out = (struct upgrade_trailer){.bytes = len - 1, .version = "9.9", .build = "b"};
	return 0;
}

static int fake_replace(bool there, uint64_t bytes)
{
	if (!there)
		return -HVE_HANDLE;
	if (replaced)
		return -HVE_STATE;
	if (bytes < 8)
		return -HVE_INVAL;
	replaced = bytes;
	return 0;
}

uint64_t fake_replaced(void)
{
	uint64_t bytes = replaced;

	replaced = 0;
	return bytes;
}

#endif
