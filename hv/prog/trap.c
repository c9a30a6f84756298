/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program's turn on a CPU, and its waiting for events. Entered like a guest: user_enter() comes back at the next
 * system call, interrupt or exception.
 */
#include "hv/prog/prog.h"

#include "hv/cpu/speculation.h"
#include "hv/cpu/x86.h"

#define FIRST_INTERRUPT 32u
#define VECTOR_NO_FPU 7u
#define VECTOR_PAGE_FAULT 14u
#define PF_PRESENT 1u /* its error code (APM2 8.4.2) */
#define PF_WRITE 2u
#define PF_FETCH 16u
/* How far behind the others a woken program may start: an answer of the control kernel in time although every CPU
 * has guests that spin, and no more than that. */
#define PROG_CREDIT_NS 6000000u

/* ---- waiting ---- */

/* It may be early: a wait that ended before left it armed. It fires where it was armed, and there the program need not
 * be any more. */
void prog_wait_over(struct timer *t)
{
	struct prog *p = CONTAINER_OF(t, struct prog, wait_timer);
	uint64_t deadline;
	bool over;

	spin_lock(&p->wait_lock);
	deadline = p->wait_deadline;
	over = deadline <= time_now();
	if (!over && deadline != UINT64_MAX && t->cpu < 0)
		timer_arm(t, deadline);
	spin_unlock(&p->wait_lock);
	if (over)
		sched_unblock(&p->ent, BLOCK_EVENT);
}

/* Most waits end by an event and the next deadline is not earlier, so the timer is left alone unless it must be
 * earlier. Without a deadline it may ring once more in vain. */
static void arm(struct prog *p, uint64_t deadline)
{
	if (deadline == UINT64_MAX) {
		__atomic_store_n(&p->wait_deadline, deadline, __ATOMIC_RELAXED);
		return;
	}
	spin_lock(&p->wait_lock);
	p->wait_deadline = deadline;
	if (p->wait_timer.cpu < 0 || p->wait_timer.deadline > deadline)
		timer_arm(&p->wait_timer, deadline);
	spin_unlock(&p->wait_lock);
}

void prog_wait_end(struct prog *p)
{
	spin_lock(&p->wait_lock);
	p->wait_deadline = UINT64_MAX;
	spin_unlock(&p->wait_lock);
	timer_cancel(&p->wait_timer);
}

void prog_wait(struct prog *p, uint64_t deadline_ns)
{
	p->waiting = true;
	sched_block_self(&p->ent, BLOCK_EVENT);
	arm(p, deadline_ns);
	/* prog_events_post sets the word first and looks for BLOCK_EVENT then; here it is the other way round. Unlocking
	 * the queue does not keep the load behind the store. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&p->events, __ATOMIC_RELAXED))
		sched_unblock(&p->ent, BLOCK_EVENT);
}

/* It runs again: the call's value is the event word. False: a stray wake-up, it waits on. */
static bool wait_done(struct prog *p)
{
	uint64_t word = __atomic_exchange_n(&p->events, 0, __ATOMIC_SEQ_CST);

	if (word == 0 && time_now() < p->wait_deadline) {
		prog_wait(p, p->wait_deadline);
		return false;
	}
	p->waiting = false;
	p->regs.rdx = word;
	return true;
}

void prog_events_post_soon(struct prog *p, uint64_t bits, uint32_t patience_ns)
{
	__atomic_fetch_or(&p->events, bits, __ATOMIC_SEQ_CST);
	if (!(__atomic_load_n(&p->ent.blocked, __ATOMIC_SEQ_CST) & BLOCK_EVENT))
		return;
	if (this_cpu()->hands_over)
		(void)sched_handoff(&p->ent, BLOCK_EVENT);
	else
		sched_unblock_soon(&p->ent, BLOCK_EVENT, patience_ns);
}

void prog_events_post(struct prog *p, uint64_t bits)
{
	prog_events_post_soon(p, bits, 0);
}

/* ---- running ---- */

static void fault(struct prog *p, unsigned vector, uint64_t error, uint64_t cr2)
{
	p->last.cr2 = vector == VECTOR_PAGE_FAULT ? cr2 : 0;
	prog_die(p, vector, error, "");
}

/*
 * Programs rarely use the FPU (tools/mk/flags.mk), and whoever ran before will mostly be back in a moment: its state stays in
 * the registers and the program runs without (CR0.TS) until it asks. Only what it may know: on some CPUs registers that TS
 * forbids can be read by speculation (CVE-2018-3665). A vmm may know its guest's, the control kernel everybody's.
 */
static bool fpu_borrowed(struct prog *p, const struct cpu *c)
{
	if (!c->fpu_owner || c->fpu_owner == &p->fpu ||
	    (c->fpu_domain != p->domain && !(p->rights & HVPR_HW))) {
		fpu_switch(&p->fpu, p->domain);
		return false;
	}
	write_cr0(read_cr0() | CR0_TS);
	return true;
}

static void fpu_return(void)
{
	__asm__ volatile("clts" : : : "memory");
}

static __attribute__((noinline, cold)) void see_to_due(struct prog *p)
{
	uint8_t due = __atomic_exchange_n(&p->due, 0, __ATOMIC_ACQUIRE);

	if (due & PROG_DUE_HUNG)
		watch_end_hung(p);
	if (due & PROG_DUE_TRIAL)
		upgrade_end_overdue(p);
}

/* Where a turn begins, and where an interrupt came in between: the watch kicks, and so does the end of a trial. */
static inline void end_if_due(struct prog *p)
{
	if (UNLIKELY(__atomic_load_n(&p->due, __ATOMIC_RELAXED)))
		see_to_due(p);
}

#define FILL_AGAIN_NS 50000000u

/* A page of guest memory that was given back; the access is made again. Where there is no memory the VM is paused, and the
 * program looks again from time to time: events that come meanwhile make it look earlier. */
static bool filled(struct prog *p, uint64_t error, uint64_t cr2)
{
	int err;

	if (error & PF_PRESENT)
		return false;
	err = space_fill(p, cr2,
			 PT_R | (error & PF_WRITE ? PT_W : 0u) | (error & PF_FETCH ? PT_X : 0u));
	if (err == -HVE_NOMEM) {
		if (p->vm)
			vm_stall(p->vm, cr2);
		sched_block_self(&p->ent, BLOCK_EVENT);
		arm(p, time_now() + FILL_AGAIN_NS);
		err = 0;
	}
	return err == 0;
}

static void take_trap(struct prog *p, unsigned trap, uint64_t error, uint64_t cr2)
{
	if (trap == VECTOR_PAGE_FAULT && filled(p, error, cr2))
		return;
	if (trap < FIRST_INTERRUPT) {
		fault(p, trap, error, cr2);
		return;
	}
	irq_dispatch(trap);
	end_if_due(p);
}

static void prog_run(struct sched_ent *e)
{
	struct prog *p = CONTAINER_OF(e, struct prog, ent);
	struct cpu *c = this_cpu();
	uint64_t error, cr2;
	bool borrowed;

	if (p->waiting && !wait_done(p))
		return;
	borrowed = fpu_borrowed(p, c);
	speculation_enter_domain(c, p->domain);
	space_use(p, c);
	end_if_due(p);
	while (!c->need_resched) {
		unsigned trap = user_enter(&p->regs, &error, &cr2);

		if (LIKELY(trap == TRAP_SYSCALL)) {
			hypercall(p);
		} else if (borrowed && trap == VECTOR_NO_FPU) {
			fpu_return();
			fpu_switch(&p->fpu, p->domain);
			borrowed = false;
		} else {
			take_trap(p, trap, error, cr2);
		}
	}
	if (borrowed)
		fpu_return();
}

const struct sched_ops prog_sched_ops = {
	.run = prog_run, .kind = "program", .gone = prog_gone, .credit_ns = PROG_CREDIT_NS};
