/* SPDX-License-Identifier: BSD-2-Clause */
/* What can be done to the control kernel itself: it ends, and hv starts the next instance. VMs run on. */
#ifndef OPS_CONTROL_H
#define OPS_CONTROL_H

#include "ctrl-kernel/ops/ops.h"

/* Shortly after the return, so that the answer still gets out. */
int control_restart(struct ops_error *e) MUST_CHECK;
void control_make_way(void); /* the same, for an upgrade */
/* This instance serves: hv is told so when the loop has gone round. An instance of an upgrade that never does falls. */
void control_serves(void);
/* test.hooks=1 only: the ways in which a program goes wrong. */
int control_test_fault(struct ops_error *e) MUST_CHECK; /* a wild write */
int control_test_abort(struct ops_error *e) MUST_CHECK;
int control_test_hang(struct ops_error *e) MUST_CHECK; /* computes for ever */
int control_test_heap(struct ops_error *e) MUST_CHECK; /* corrupts its heap, then uses it */

/* Boot option test.soak=N: each of the first N instances ends itself or a vmm in some way, at a random moment before
 * test.soak_ms, 0: SOAK_DEFAULT_MS. hv and this program know no budget
 * then. */
#define SOAK_DEFAULT_MS 12u
void control_soak(unsigned n, unsigned max_ms);

#endif
