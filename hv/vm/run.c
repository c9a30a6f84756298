/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU's turn on a CPU: look at the attention word, enter the guest, handle the exit, again, until the scheduler wants
 * the CPU back. Also what the attention bits mean: events to inject, INIT and SIPI, HLT, the vmm's answers.
 *
 * Who wakes a vCPU sets an attention bit first and then clears the block bit; the vCPU sets the block bit first and then
 * looks at the attention word: between them no wake-up is lost.
 */
#include "hv/vm/vm.h"
#include "hv/cpu/speculation.h"
#include "hv/cpu/x86.h"
#include "hv/lib/string.h"

/* ---- events ---- */

static void inject(struct vcpu *v, unsigned type, uint8_t vector)
{
	struct vcpu_event e = {.type = type, .vector = vector};

	vendor->inject(v, &e);
	v->halted = false;
	__atomic_fetch_add(&v->vm->irqs_injected, 1, __ATOMIC_RELAXED);
}

/* The NMI stays pending while one is being handled: looked at again before each entry. Only one that is handled in HLT
 * waits in peace; nothing can end that HLT but an interrupt. */
static void attend_nmi(struct vcpu *v)
{
	v->nmi_pending = true;
	if (!vendor->can_inject(v, EVENT_NMI)) {
		vendor->window(v, EVENT_NMI, true);
		if (!v->halted)
			__atomic_fetch_or(&v->attention, ATT_NMI, __ATOMIC_RELAXED);
		return;
	}
	v->nmi_pending = false;
	inject(v, EVENT_NMI, 0);
}

/* Takes the next interrupt from its source. -1: there is none. */
static int next_vector(struct vcpu *v)
{
	int vector = vlapic_pending(v);

	if (vector >= 0) {
		vlapic_take(v, (uint8_t)vector);
		return vector;
	}
	return vlapic_takes_pic(v) && vpic_pending(v->vm) >= 0 ? vpic_take(v->vm) : -1;
}

static bool irq_waits(struct vcpu *v)
{
	return v->held.type != EVENT_NONE || vlapic_pending(v) >= 0 ||
	       (vlapic_takes_pic(v) && vpic_pending(v->vm) >= 0);
}

/* Asks for an exit as soon as an interrupt can be taken, and looks again at every other exit before that: often one comes
 * first (and Bochs 2.7 forgets the window when the guest's IF was set at entry already). */
static void want_window(struct vcpu *v)
{
	vendor->window(v, EVENT_INTR, true);
	if (!v->halted) /* else IF is clear, and nothing but an NMI or INIT counts */
		__atomic_fetch_or(&v->attention, ATT_IRQ, __ATOMIC_RELAXED);
}

/* The CPU has one to deliver and must not, but might (vendor_apic->leaks). While a window is wanted it looks at none (SDM3 30.2.1). */
static bool might_leak(struct vcpu *v, bool due)
{
	return due && vendor_apic->leaks && !vendor->can_inject(v, EVENT_INTR);
}

static void attend_irq(struct vcpu *v)
{
	bool due = vendor_apic && vlapic_hand_over(v);
	int vector;

	if (due && (v->rflags & RFLAGS_IF))
		v->halted = false;
	if (!irq_waits(v)) {
		if (UNLIKELY(might_leak(v, due)))
			want_window(v);
		else
			vendor->window(v, EVENT_INTR, false);
		return;
	}
	if (!vendor->can_inject(v, EVENT_INTR)) {
		want_window(v);
		return;
	}
	if (UNLIKELY(v->held.type != EVENT_NONE)) {
		vector = v->held.vector;
		v->held.type = EVENT_NONE;
	} else {
		vector = next_vector(v);
	}
	if (LIKELY(vector >= 0))
		inject(v, EVENT_INTR, (uint8_t)vector);
	if (irq_waits(v) || might_leak(v, due))
		want_window(v);
	else
		vendor->window(v, EVENT_INTR, false);
}

/* ---- reset, INIT, SIPI ---- */

#define CS_RESET_BASE 0xffff0000u
#define RIP_RESET 0xfff0u
#define ATTR_CODE 0x9bu /* present, readable code, accessed (APM2 14.1.3) */
#define ATTR_DATA 0x93u
#define ATTR_LDT 0x82u
#define ATTR_TSS 0x8bu

static void real_mode_state(struct hv_vcpu_regs *r)
{
	memset(r, 0, sizeof(*r));
	for (unsigned i = 0; i < HV_SEGS; i++)
		r->seg[i] = (struct hv_segment){.limit = 0xffff, .attr = ATTR_DATA};
	r->seg[HV_CS].attr = ATTR_CODE;
	r->seg[HV_LDTR].attr = ATTR_LDT;
	r->seg[HV_TR].attr = ATTR_TSS;
	r->gdt_limit = r->idt_limit = 0xffff;
	r->cr0 = CR0_CD | CR0_NW | CR0_ET;
	r->rflags = RFLAGS_FIXED;
}

/* RDX after reset is the CPU's signature (APM2 14.1.3). */
static void start_state(struct hv_vcpu_regs *r, uint16_t selector, uint64_t base, uint64_t rip)
{
	real_mode_state(r);
	r->seg[HV_CS].selector = selector;
	r->seg[HV_CS].base = base;
	r->rip = rip;
	r->gpr[HV_RDX] = cpuid(1, 0).eax;
}

static void clear_events(struct vcpu *v)
{
	v->halted = v->nmi_pending = false;
	v->held.type = EVENT_NONE;
	vendor->window(v, EVENT_INTR, false);
}

static __attribute__((noinline)) void attend_init(struct vcpu *v)
{
	struct hv_vcpu_regs r;

	start_state(&r, 0xf000, CS_RESET_BASE, RIP_RESET);
	vendor->set(v, &r);
	vendor->flush(v);
	vlapic_init(v);
	clear_events(v);
	v->wait_sipi = v->index != 0; /* the boot CPU starts at the reset vector (SDM3 9.4.1) */
}

static __attribute__((noinline)) void attend_sipi(struct vcpu *v)
{
	uint8_t page = __atomic_load_n(&v->sipi_vector, __ATOMIC_ACQUIRE);
	struct hv_vcpu_regs r;

	if (!v->wait_sipi)
		return;
	start_state(&r, (uint16_t)(page << 8), (uint64_t)page << 12, 0);
	vendor->set(v, &r);
	vendor->flush(v);
	v->wait_sipi = false;
}

/* It waits for nothing any more but for SIPI. */
void vcpu_start_at(struct vcpu *v, const struct hv_vcpu_regs *in, bool runnable)
{
	vendor->set(v, in);
	clear_events(v);
	park_forget(v);
	__atomic_fetch_and(&v->attention, ~(uint32_t)ATT_ANSWER, __ATOMIC_RELAXED);
	sched_unblock(&v->ent, BLOCK_HALT | BLOCK_PARK);
	v->wait_sipi = !runnable;
	if (runnable)
		sched_unblock(&v->ent, BLOCK_INIT);
	else
		sched_block(&v->ent, BLOCK_INIT);
}

void vcpu_reset(struct vcpu *v)
{
	struct hv_vcpu_regs r;

	fpu_reset(&v->fpu);
	memset(v->lengths, 0, sizeof(v->lengths));
	__atomic_store_n(&v->attention, 0, __ATOMIC_RELAXED);
	vendor->reset(v);
	start_state(&r, 0xf000, CS_RESET_BASE, RIP_RESET);
	vcpu_start_at(v, &r, v->index == 0);
}

/* ---- the turn ---- */

/* Blocks unless something has come meanwhile. Returns false: this turn is over. */
static bool rest(struct vcpu *v, uint32_t why)
{
	sched_block_self(&v->ent, why);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with the waker's locked OR */
	if (__atomic_load_n(&v->attention, __ATOMIC_RELAXED))
		sched_unblock(&v->ent, why);
	return false;
}

/* It has blocked, and no event of its own will end that. Who wakes it sets attention first; it takes attention only
 * after BLOCK_ was cleared: so in this order there is always one of the two to be seen. */
static bool sleeps_for_good(const struct vcpu *v)
{
	if (__atomic_load_n(&v->attention, __ATOMIC_ACQUIRE) ||
	    !(__atomic_load_n(&v->ent.blocked, __ATOMIC_ACQUIRE) & (BLOCK_HALT | BLOCK_INIT)))
		return false;
	return v->wait_sipi || (v->halted && !(v->rflags & RFLAGS_IF));
}

static uint64_t halts(const struct vm *vm)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < vm->n_vcpus; i++)
		sum += __atomic_load_n(&vm->vcpus[i]->exits[HV_EXIT_HLT], __ATOMIC_ACQUIRE);
	return sum;
}

/*
 * Interrupts off and nobody left who could send an NMI or INIT: the guest's way to say that it is finished. Asked by a
 * vCPU that has just blocked, so the last one sees all. One that was looked at and then woken by another, which was
 * looked at after it had gone to sleep, shows in the number of halts.
 */
static bool halted_for_ever(const struct vm *vm)
{
	uint64_t before = halts(vm);

	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		if (!sleeps_for_good(vm->vcpus[i]))
			return false;
	}
	return halts(vm) == before;
}

static void answered(struct vcpu *v)
{
	if (v->io.mmio)
		mmio_answered(v, park_answer(v));
	else
		pio_answered(v, park_answer(v));
}

/* A paused VM's vCPU has carried out its answer: the rest waits until it runs again. It may have been resumed meanwhile:
 * go() sets the state before it unblocks. */
static bool settled(struct vcpu *v, uint32_t bits)
{
	__atomic_fetch_or(&v->attention, bits, __ATOMIC_RELAXED);
	sched_block_self(&v->ent, BLOCK_PAUSE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&v->vm->state, __ATOMIC_RELAXED) == HV_VM_RUNNING)
		sched_unblock(&v->ent, BLOCK_PAUSE);
	return false;
}

/* Bits in the order of their effects. False: the vCPU cannot run now. */
static bool attend(struct vcpu *v)
{
	uint32_t bits = __atomic_exchange_n(&v->attention, 0, __ATOMIC_ACQ_REL);

	if (bits & ATT_ANSWER)
		answered(v);
	if (UNLIKELY(bits & (ATT_INIT | ATT_SIPI | ATT_CLOCK | ATT_SETTLE))) {
		if (bits & ATT_SETTLE)
			return settled(v, bits & ~(uint32_t)(ATT_ANSWER | ATT_SETTLE));
		/* INIT forgets the NMI that came before it, and between INIT and SIPI none counts. */
		if ((bits & ATT_INIT) || v->wait_sipi)
			bits &= ~(uint32_t)ATT_NMI;
		if (bits & ATT_INIT)
			attend_init(v);
		if (bits & ATT_SIPI)
			attend_sipi(v);
		if (bits & ATT_CLOCK)
			pvclock_refresh(v);
	}
	if (UNLIKELY(v->wait_sipi))
		return rest(v, BLOCK_INIT);
	if (UNLIKELY((bits & ATT_NMI) || v->nmi_pending))
		attend_nmi(v);
	if (bits & ATT_IRQ)
		attend_irq(v);
	if (LIKELY(!v->halted))
		return true;
	(void)rest(v, BLOCK_HALT);
	if (!(v->rflags & RFLAGS_IF) && halted_for_ever(v->vm))
		vm_crash(v->vm, HV_VMR_HLT_FOREVER, v->rip);
	return false;
}

/* The run loop. An answer may have parked the vCPU again (need_resched is set then). */
static void vcpu_turn(struct sched_ent *e)
{
	struct vcpu *v = CONTAINER_OF(e, struct vcpu, ent);
	struct cpu *c = this_cpu();

	fpu_switch(&v->fpu, v->vm->id);
	vendor->load(v, c);
	speculation_enter_domain(c, v->vm->id);
	do {
		if (UNLIKELY(v->attention) && (!attend(v) || c->need_resched))
			break;
		vendor->run(v);
		v->exits[v->exit.kind]++;
		exit_table[v->exit.kind](v);
	} while (LIKELY(!__atomic_load_n(&c->need_resched, __ATOMIC_RELAXED)));
	vendor->save(v);
}

const struct sched_ops vcpu_sched_ops = {.run = vcpu_turn, .kind = "vcpu"};
