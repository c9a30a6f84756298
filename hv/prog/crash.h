/* SPDX-License-Identifier: BSD-2-Clause */
/* Crash records: what programs left behind that died by themselves. Any context; its own lock. */
#ifndef HV_PROG_CRASH_H
#define HV_PROG_CRASH_H

#include "hv/prog/prog.h"

/* Of a program that has left its CPU for good and still has its address space and its VM; p->last is written. */
void crash_record(const struct prog *p);
/* n 0: the latest. HVE_NOENT: never was, or forgotten. */
int crash_read(uint64_t n, struct hv_crash *out) MUST_CHECK;
const char *crash_cause(uint32_t cause); /* in words, for hv_crash.cause and hv_prog_info.cause */

#endif
