/* SPDX-License-Identifier: BSD-2-Clause */
/* Ends of this program on purpose (control.h). */
#include "ctrl-kernel/ops/control.h"

#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/keep.h"
#include "ctrl-kernel/ops/start.h"
#include "ctrl-kernel/rt/hvcall.h"

#define GRACE_NS 5000000ull
/* The answer is on its way by then. Time alone does not do: where the machine stands still the first of them may be over at
 * the end of the turn that answers, before what it has to send is sent. */
#define GRACES 2u

static struct loop_timer timer;
static loop_fn end; /* NULL: none has been asked for */
static unsigned graces;

static void on_grace(void *unused)
{
	if (++graces == GRACES)
		end(unused);
	else
		loop_timer_set(&timer, GRACE_NS);
}

static int end_by(loop_fn fn)
{
	if (end)
		return 0;
	end = fn;
	loop_timer_init(&timer, on_grace, NULL);
	loop_timer_set(&timer, GRACE_NS);
	return 0;
}

static void restart(void *unused)
{
	static const char words[] = "restart by request";

	(void)unused;
	hv_exit(0, words, sizeof(words) - 1);
}

#define UPGRADE_WORDS "upgrade"

/* When the latest end but n of a control kernel was that counts; false: never, or forgotten. */
static bool ended(unsigned n, uint64_t *when_ns)
{
	struct hv_crash crash;
	uint64_t number = host_crash(0, &crash) ? crash.number : 0; /* the latest */

	for (; number && host_crash(number, &crash); number--) {
		if (crash.image != HV_IMAGE_CTRL || strcmp(crash.text, UPGRADE_WORDS) == 0)
			continue;
		*when_ns = crash.time_ns;
		if (n-- == 0)
			return true;
	}
	return false;
}

/* One end too many would leave the host without a control kernel: nobody who asks for a new one wants that. */
int control_restart(struct ops_error *e)
{
	uint64_t now = rt_now(), then;

	if (!run_no_budget && ended(HV_CTRL_ENDS - 2, &then) && now - then <= HV_CTRL_ENDS_NS)
		return ops_fail(e, OPS_BUSY, NULL,
				"the control kernel has ended %u times within a minute, and the "
				"host would be without one after another; try again in %u s",
				HV_CTRL_ENDS - 1,
				(unsigned)((HV_CTRL_ENDS_NS - (now - then)) / 1000000000 + 1));
	return end_by(restart);
}

static void make_way(void *unused)
{
	static const char words[] = UPGRADE_WORDS;

	(void)unused;
	hv_exit(0, words, sizeof(words) - 1);
}

void control_make_way(void)
{
	(void)end_by(make_way);
}

static void healthy(void *ctx)
{
	static bool round;
	struct loop_job *job = ctx;

	if (!round) {
		round = true;
		loop_defer(job);
	} else if (hv_ctrl_healthy() == 0) {
		keep_convert();
	}
}

void control_serves(void)
{
	static struct loop_job job = {.fn = healthy, .ctx = &job};

	loop_defer(&job);
}

/* ---- tests ---- */

static void fault(void *unused)
{
	(void)unused;
	*(volatile uint64_t *)0x3c0000 = 0; /* nothing is ever mapped there */
}

static void give_up(void *unused)
{
	(void)unused;
	abort();
}

static void hang(void *unused)
{
	(void)unused;
	for (;;)
		__asm__ volatile("");
}

static void break_heap(void *unused)
{
	char *a = malloc(64), *b = malloc(64);

	(void)unused;
	if (!a || !b)
		abort();
	memset(a - 32, 0xa5, 256); /* headers of both, and of what follows */
	free(a);
	free(b);
	for (unsigned i = 0; i < 1000; i++) {
		char *volatile c = malloc(16 + i);

		if (c)
			memset(c, 0xa5, 16 + i);
	}
	abort(); /* should it have survived that */
}

static int test(loop_fn fn, struct ops_error *e)
{
	if (!run_test_hooks)
		return ops_fail(e, OPS_INVALID, NULL,
				"test hooks are off; boot with test.hooks=1 to have them");
	return end_by(fn);
}

int control_test_fault(struct ops_error *e)
{
	return test(fault, e);
}

int control_test_abort(struct ops_error *e)
{
	return test(give_up, e);
}

int control_test_hang(struct ops_error *e)
{
	return test(hang, e);
}

int control_test_heap(struct ops_error *e)
{
	return test(break_heap, e);
}

/* ---- soak ---- */

static unsigned soak_until;
static uint64_t soak_max_ns;

static uint64_t random64(void)
{
	uint64_t r[2];

	host_random((uint8_t *)r);
	return r[0] ^ r[1];
}

static void end_some_vmm(uint64_t r)
{
	unsigned n = 0;

	for (struct vm *vm = vm_first(); vm; vm = vm->next)
		n += vm->run && vm->run->prog;
	for (struct vm *vm = vm_first(); vm; vm = vm->next) {
		if (!vm->run || !vm->run->prog || (n && r % n--))
			continue;
		if (r & 1ull << 40)
			run_command(vm->run, VMM_CMD_TEST_CRASH);
		else
			(void)hv_prog_destroy(vm->run->prog);
		return;
	}
}

static void soak(void *unused)
{
	static const loop_fn ends[] = {restart, fault, give_up, break_heap};
	uint64_t r = random64();

	(void)unused;
	if (rt_info()->instance > soak_until)
		return;
	/* A vmm first, perhaps, so that the next instance finds it dead or dying. */
	if (r & 1)
		end_some_vmm(r >> 8);
	if (r & 6)
		ends[(r >> 4) % ARRAY_SIZE(ends)](NULL);
	loop_timer_set(&timer, random64() % soak_max_ns);
}

void control_soak(unsigned n, unsigned max_ms)
{
	soak_until = n;
	soak_max_ns = (max_ms ? max_ms : SOAK_DEFAULT_MS) * 1000000ull;
	run_no_budget = n != 0; /* as hv has it */
	if (rt_info()->instance > n)
		return;
	loop_timer_init(&timer, soak, NULL);
	loop_timer_set(&timer, random64() % soak_max_ns);
}
