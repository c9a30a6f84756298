/* SPDX-License-Identifier: BSD-2-Clause */
/* Around virtio_fakes.h: whoever runs can be stopped at each of its stores to what survives. _GNU_SOURCE. */
#ifndef TESTS_VIRTIO_DEATHS_H
#define TESTS_VIRTIO_DEATHS_H

#include <signal.h>
#include <ucontext.h>

#include "tests/unit/virtio_fakes.h"

/* ---- the memory that survives is read-only, and each store to it comes through here ---- */

static volatile long stores_left; /* until the instance dies; < 0: it lives */
static volatile unsigned stores;
static sigjmp_buf dead;

static void guard(bool on)
{
	if (mprotect(kept, sizeof(*kept), on ? PROT_READ : PROT_READ | PROT_WRITE) != 0)
		abort();
}

static void on_store(int signal, siginfo_t *info, void *context)
{
	uint8_t *at = info->si_addr;

	if (at < (uint8_t *)kept || at >= (uint8_t *)(kept + 1))
		abort();
	guard(false);
	if (stores_left-- == 0)
		siglongjmp(dead, 1);
	stores++;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] |= 0x100; /* one step */
}

static void on_step(int signal, siginfo_t *info, void *context)
{
	guard(true);
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~0x100;
}

/* fn, up to its n-th store. True: it died there. */
static bool dies_at(long n, void (*fn)(void))
{
	struct sigaction store = {.sa_sigaction = on_store, .sa_flags = SA_SIGINFO};
	struct sigaction step = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
	struct sigaction old_segv, old_trap;
	bool died = false;

	sigaction(SIGSEGV, &store, &old_segv);
	sigaction(SIGTRAP, &step, &old_trap);
	stores_left = n;
	stores = 0;
	if (sigsetjmp(dead, 1) == 0) {
		guard(true);
		fn();
		guard(false);
	} else {
		died = true;
	}
	sigaction(SIGSEGV, &old_segv, NULL);
	sigaction(SIGTRAP, &old_trap, NULL);
	return died;
}

#endif
