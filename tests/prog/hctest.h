/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypercall test: a program that takes the control kernel's place in a test image (and the vmm's, as the child that
 * dies, loops or answers). It prints one line for each check and "hctest: done, N failed"; tests/system reads that.
 */
#ifndef TESTS_PROG_HCTEST_H
#define TESTS_PROG_HCTEST_H

#include <string.h>
#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/rt/rt.h"

extern unsigned failures;
void check_at(const char *file, int line, const char *what, int64_t got, int64_t wanted);
#define CHECK(call, wanted) check_at(__FILE__, __LINE__, #call, (int64_t)(call), wanted)

/* What a child program does: args[0] of PROG_START. */
enum child_mode {
	CHILD_EXIT,
	CHILD_FAULT,
	CHILD_EXECUTE_STACK,
	CHILD_BAD_RIP,
	CHILD_SPIN,
	CHILD_HOG,
	CHILD_GARBAGE,
	CHILD_SERVE, /* answers what the VM parks with the seq + 1 */
	CHILD_TICK,  /* says every 50 ms that it lives, and what its VM does */
	CHILD_BEAT,  /* keeps its promise of a heartbeat */
	CHILD_HANG,  /* does not: computes */
	CHILD_HANG_IN_CALLS,
	CHILD_MODES
};
void child_main(void);

/* garbage.c: n calls with arguments drawn from values that look like something. */
void garbage(unsigned n, uint64_t seed);
void vm_outlives_owner(void); /* vm.c: a running VM, and then nobody to manage it */
/* sched.c; exact: nothing else disturbs this machine's time */
void sched_checks(bool exact);
void vm_checks(void);       /* vm.c */
void memory_adds_up(void);  /* hctest.c: HOST_INFO */
uint64_t objects_now(void); /* live kernel objects */
uint64_t free_pages_now(void);

#endif
