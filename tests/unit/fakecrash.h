/* SPDX-License-Identifier: BSD-2-Clause */
/* The crash records of the tests' hypervisor. Part of fakehv.c. */
#ifndef TESTS_FAKECRASH_H
#define TESTS_FAKECRASH_H

#include "tests/unit/fakehv.h"

static struct hv_crash crashes[HV_CRASH_RECORDS];
static uint64_t n_crashes;

void fake_crash(const struct hv_crash *crash)
{
	n_crashes++;
	crashes[n_crashes % HV_CRASH_RECORDS] = *crash;
	crashes[n_crashes % HV_CRASH_RECORDS].number = n_crashes;
}

static int crash_info(uint64_t n, struct hv_crash *out, uint64_t size, uint64_t *number)
{
	n = n ? n : n_crashes;
	if (size != sizeof(*out))
		return -HVE_INVAL;
	if (n == 0 || n > n_crashes || n + HV_CRASH_RECORDS <= n_crashes)
		return -HVE_NOENT;
	*out = crashes[n % HV_CRASH_RECORDS];
	*number = n;
	return 0;
}

#endif
