/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The APIC timer. Its bus runs at 1 GHz: one count is 1 ns << divider.
 *
 * `deadline` is the truth, the struct timer only an alarm clock: stopping stores 0 and lets the alarm ring in vain. The
 * alarm rings on the CPU where it was armed, which need not be the vCPU's any more: timer_lock is between the two.
 */
#include "hv/vm/vlapic.h"

/* Longer waits are cut into pieces: TSC to ns conversion stays far from overflow whatever the guest writes. */
#define DEADLINE_FAR_MS 60000ull

static inline enum apic_timer_mode mode_of(uint32_t lvt)
{
	return (enum apic_timer_mode)(lvt >> LVT_MODE_SHIFT & 3);
}

static inline unsigned shift_of(uint32_t tdcr) /* SDM3 11.5.4, divide configuration */
{
	return ((tdcr & 3) + (tdcr >> 1 & 4) + 1) & 7;
}

static inline uint64_t guest_tsc(const struct vlapic *l)
{
	return rdtsc() + l->v->vm->tsc_offset;
}

/* ns at which the guest's TSC has reached it; the conversion rounds down, hence + 1. */
static uint64_t deadline_of_tsc(const struct vlapic *l, uint64_t tsc, uint64_t now_tsc)
{
	uint64_t far = tsc_khz * DEADLINE_FAR_MS;

	return time_from_tsc((tsc - now_tsc > far ? now_tsc + far : tsc) - l->v->vm->tsc_offset) +
	       1;
}

/* Where a timer that is due goes: the next tick, a piece of a long wait, or 0. */
static uint64_t next_deadline(const struct vlapic *l, enum apic_timer_mode mode, uint64_t now)
{
	uint64_t now_tsc;

	if (mode == TIMER_PERIODIC)
		return l->period ? vdev_next_tick(l->deadline, l->period, now) : 0;
	if (mode != TIMER_DEADLINE)
		return 0;
	now_tsc = guest_tsc(l);
	return l->tsc_deadline > now_tsc ? deadline_of_tsc(l, l->tsc_deadline, now_tsc) : 0;
}

static void fire(struct timer *t)
{
	struct vlapic *l = CONTAINER_OF(t, struct vlapic, timer);
	uint64_t now = time_now();
	bool due = false;
	uint32_t lvt;

	spin_lock(&l->timer_lock);
	lvt = __atomic_load_n(&l->lvt[LVT_TIMER], __ATOMIC_RELAXED);
	if (l->deadline && l->deadline <= now) {
		l->deadline = next_deadline(l, mode_of(lvt), now);
		due = !l->deadline || mode_of(lvt) != TIMER_DEADLINE;
	}
	if (l->deadline) /* also when it was moved while this rang */
		timer_arm(t, vdev_alarm(l->v->vm, l->deadline, now));
	spin_unlock(&l->timer_lock);
	if (due && !(lvt & LVT_MASKED))
		vlapic_accept(l->v, (uint8_t)lvt, false);
}

void vlapic_timer_init(struct vlapic *l)
{
	timer_init(&l->timer, fire);
}

static void set_deadline(struct vlapic *l, uint64_t ns, uint64_t period, uint64_t tsc)
{
	spin_lock(&l->timer_lock);
	l->deadline = ns;
	l->period = period;
	l->tsc_deadline = tsc;
	if (ns)
		timer_arm(&l->timer, ns);
	spin_unlock(&l->timer_lock);
}

void vlapic_timer_stop(struct vlapic *l)
{
	set_deadline(l, 0, 0, 0);
	/* A ring under way armed it before that, or will not any more. */
	timer_cancel(&l->timer);
}

static void start(struct vlapic *l, uint32_t count)
{
	bool periodic = mode_of(l->lvt[LVT_TIMER]) == TIMER_PERIODIC;
	uint64_t ns = (uint64_t)count << shift_of(l->tdcr);
	uint64_t period = (uint64_t)l->tmict << shift_of(l->tdcr);

	if (!count) {
		set_deadline(l, 0, 0, 0);
		return;
	}
	/* The period is kept in one-shot mode too: the mode may change while it counts. */
	period = MAX(period, VDEV_PERIOD_MIN_NS);
	set_deadline(l, time_now() + (periodic ? MAX(ns, VDEV_PERIOD_MIN_NS) : ns), period, 0);
}

void vlapic_timer_lvt(struct vlapic *l, uint32_t lvt)
{
	enum apic_timer_mode was = mode_of(l->lvt[LVT_TIMER]), mode = mode_of(lvt);

	__atomic_store_n(&l->lvt[LVT_TIMER], lvt, __ATOMIC_RELEASE);
	if ((was == TIMER_DEADLINE) == (mode == TIMER_DEADLINE))
		return;
	/* To and from TSC-deadline disarms (SDM3 11.5.4.1). */
	l->tmict = 0;
	set_deadline(l, 0, 0, 0);
}

void vlapic_timer_count(struct vlapic *l, uint32_t count)
{
	if (mode_of(l->lvt[LVT_TIMER]) == TIMER_DEADLINE)
		return;
	l->tmict = count;
	start(l, count);
}

uint32_t vlapic_timer_now(struct vlapic *l)
{
	uint64_t due = __atomic_load_n(&l->deadline, __ATOMIC_RELAXED), now = time_now();
	uint64_t left = due > now ? due - now : 0;

	if (!due || mode_of(l->lvt[LVT_TIMER]) == TIMER_DEADLINE)
		return 0;
	left >>= shift_of(l->tdcr);
	return (uint32_t)MIN(left, l->tmict);
}

void vlapic_timer_divide(struct vlapic *l, uint32_t tdcr)
{
	uint32_t left = vlapic_timer_now(l);

	l->tdcr = tdcr & 0xb;
	if (left)
		start(l, left);
}

void vlapic_timer_deadline(struct vlapic *l, uint64_t tsc)
{
	uint64_t now;

	if (mode_of(l->lvt[LVT_TIMER]) != TIMER_DEADLINE)
		return;
	now = guest_tsc(l);
	if (tsc > now) {
		set_deadline(l, deadline_of_tsc(l, tsc, now), 0, tsc);
		return;
	}
	set_deadline(l, 0, 0, 0);
	if (tsc && !(l->lvt[LVT_TIMER] & LVT_MASKED) && (uint8_t)l->lvt[LVT_TIMER] >= 16)
		vlapic_set_own(l, (uint8_t)l->lvt[LVT_TIMER]);
}

uint64_t vlapic_timer_deadline_read(struct vlapic *l)
{
	return __atomic_load_n(&l->deadline, __ATOMIC_RELAXED) ? l->tsc_deadline : 0;
}

void vlapic_timer_save(struct vlapic *l, struct hv_state_lapic *out)
{
	uint64_t now = time_now();

	spin_lock(&l->timer_lock);
	if (l->deadline && mode_of(l->lvt[LVT_TIMER]) == TIMER_DEADLINE)
		out->tsc_deadline = l->tsc_deadline;
	else if (l->deadline)
		out->timer_left_ns = l->deadline > now ? l->deadline - now : 1;
	out->timer_period_ns = l->period;
	spin_unlock(&l->timer_lock);
}

/* No count lasts longer than this. */
#define LEFT_MAX_NS ((uint64_t)UINT32_MAX << 7)

void vlapic_timer_load(struct vlapic *l, const struct hv_state_lapic *in)
{
	uint64_t left = MIN(in->timer_left_ns, LEFT_MAX_NS);
	uint64_t period = MIN(in->timer_period_ns, LEFT_MAX_NS);

	if (mode_of(l->lvt[LVT_TIMER]) == TIMER_DEADLINE)
		vlapic_timer_deadline(l, in->tsc_deadline);
	else if (left)
		set_deadline(l, time_now() + left, MAX(period, VDEV_PERIOD_MIN_NS), 0);
}
