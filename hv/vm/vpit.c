/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 8254 interval timer and port 0x61. Counters are computed from the time when they are looked at; only channel 0
 * has an alarm, for IRQ 0. Channel 2 (speaker) is what guests calibrate with. All under vm->irq_lock.
 */
#include "hv/lib/string.h"
#include "hv/vm/vdev.h"

enum { PIT_CH0 = 0x40, PIT_CONTROL = 0x43, PORT_61 = 0x61 };

#define PIT_HZ 1193182ull
#define NS_PER_S 1000000000ull
/* Ticks = ns * 2^-64 * this. */
#define TICKS_PER_NS ((uint64_t)(((unsigned __int128)PIT_HZ << 64) / NS_PER_S))

#define READBACK_NO_COUNT 0x20u
#define READBACK_NO_STATUS 0x10u
#define STATUS_OUT 0x80u
#define STATUS_NULL 0x40u

/* Port 0x61 */
#define P61_GATE2 0x01u
#define P61_SPEAKER 0x02u
#define P61_REFRESH 0x10u
#define P61_OUT2 0x20u
#define REFRESH_NS 15085u

enum { ACCESS_LATCH = 0, ACCESS_LOW = 1, ACCESS_HIGH = 2, ACCESS_BOTH = 3 };

static uint64_t ns_of(uint64_t ticks)
{
	return ticks * NS_PER_S / PIT_HZ;
}

static bool periodic(const struct vpit_channel *c)
{
	return c->mode == 2 || c->mode == 3;
}

/* Started by a rising gate only. */
static bool triggered(const struct vpit_channel *c)
{
	return c->mode == 1 || c->mode == 5;
}

static uint64_t ticks_of(const struct vpit_channel *c, uint64_t now)
{
	uint64_t ns = c->gate || triggered(c) ? now - c->start_ns : c->stopped_ns;

	return (uint64_t)(((unsigned __int128)ns * TICKS_PER_NS) >> 64);
}

static uint16_t to_bcd(uint32_t n)
{
	return (uint16_t)(n % 10 | n / 10 % 10 << 4 | n / 100 % 10 << 8 | n / 1000 % 10 << 12);
}

static uint32_t from_bcd(uint32_t n)
{
	return (n & 15) + (n >> 4 & 15) * 10 + (n >> 8 & 15) * 100 + (n >> 12 & 15) * 1000;
}

static uint16_t counter(const struct vpit_channel *c, uint64_t now)
{
	uint64_t t, left, wrap = c->bcd ? 10000 : 65536;

	if (!c->armed)
		return 0;
	t = ticks_of(c, now);
	if (c->mode == 3)
		left = c->count - t * 2 % c->count;
	else if (c->mode == 2)
		left = c->count - t % c->count;
	else
		left = (c->count + wrap - t % wrap) % wrap;
	return c->bcd ? to_bcd((uint32_t)(left % wrap)) : (uint16_t)left;
}

static bool output(const struct vpit_channel *c, uint64_t now)
{
	uint64_t t;

	if (!c->armed)
		return c->mode != 0;
	t = ticks_of(c, now);
	switch (c->mode) {
	case 0:
	case 1:
		return t >= c->count;
	case 2:
		return !c->gate || t % c->count != c->count - 1;
	case 3:
		return !c->gate || t % c->count < (c->count + 1) / 2;
	default:
		return t != c->count;
	}
}

/* ---- channel 0's interrupt ---- */
static void fire(struct timer *t)
{
	struct vpit *p = CONTAINER_OF(t, struct vpit, timer);
	struct vm *vm = p->vm;
	uint64_t now = time_now();

	spin_lock(&vm->irq_lock);
	if (p->deadline && p->deadline <= now) {
		p->deadline = p->period_ns ? vdev_next_tick(p->deadline, p->period_ns, now) : 0;
		vdev_line_locked(vm, 0, false);
		vdev_line_locked(vm, 0, true);
	}
	if (p->deadline)
		timer_arm(t, vdev_alarm(vm, p->deadline, now));
	spin_unlock(&vm->irq_lock);
}

/* The alarm may ring in vain after a stop: it is not cancelled under the lock that it takes itself. */
static void schedule(struct vpit *p)
{
	struct vpit_channel *c = &p->ch[0];
	uint64_t ns = ns_of(c->count);

	p->deadline = p->period_ns = 0;
	if (!c->armed)
		return;
	if (periodic(c))
		ns = p->period_ns = MAX(ns, VDEV_PERIOD_MIN_NS);
	p->deadline = c->start_ns + ns;
	timer_arm(&p->timer, p->deadline);
}

/* ---- counter ports ---- */
static void load(struct vpit *p, struct vpit_channel *c, uint32_t value)
{
	if (c->bcd)
		value = from_bcd(value);
	if (!value)
		value = c->bcd ? 10000 : 65536;
	c->count = value;
	c->start_ns = time_now();
	c->stopped_ns = 0;
	c->armed = !triggered(c);
	if (c != &p->ch[0])
		return;
	if (c->mode == 0)
		vdev_line_locked(p->vm, 0, false);
	schedule(p);
}

static void counter_write(struct vpit *p, struct vpit_channel *c, uint8_t value)
{
	if (c->access == ACCESS_LOW) {
		load(p, c, value);
	} else if (c->access == ACCESS_HIGH) {
		load(p, c, (uint32_t)value << 8);
	} else if (!c->high_next_w) {
		c->low = value;
		c->high_next_w = true;
	} else {
		c->high_next_w = false;
		load(p, c, (uint32_t)value << 8 | c->low);
	}
}

static uint8_t counter_read(struct vpit_channel *c)
{
	uint16_t value;
	bool high;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	value = c->latched ? c->latch : counter(c, time_now());
	if (c->latched)
		c->latched--;
	high = c->access == ACCESS_HIGH || (c->access == ACCESS_BOTH && c->high_next_r);
	if (c->access == ACCESS_BOTH)
		c->high_next_r = !c->high_next_r;
	return (uint8_t)(high ? value >> 8 : value);
}

/* ---- control word ---- */
static void latch_count(struct vpit_channel *c)
{
	if (c->latched)
		return; /* the first latch stands until it is read */
	c->latch = counter(c, time_now());
	c->latched = c->access == ACCESS_BOTH ? 2 : 1;
	c->high_next_r = false;
}

static void latch_status(struct vpit_channel *c)
{
	if (c->status_latched)
		return;
	c->status = (uint8_t)((output(c, time_now()) ? STATUS_OUT : 0) |
			      (c->count ? 0 : STATUS_NULL) | c->access << 4 | c->mode << 1 |
			      c->bcd);
	c->status_latched = true;
}

static void read_back(struct vpit *p, uint8_t word)
{
	for (unsigned i = 0; i < 3; i++) {
		if (!(word >> (i + 1) & 1))
			continue;
		if (!(word & READBACK_NO_COUNT))
			latch_count(&p->ch[i]);
		if (!(word & READBACK_NO_STATUS))
			latch_status(&p->ch[i]);
	}
}

static void control_write(struct vpit *p, uint8_t word)
{
	unsigned i = word >> 6;
	struct vpit_channel *c;

	if (i == 3) {
		read_back(p, word);
		return;
	}
	c = &p->ch[i];
	if ((word >> 4 & 3) == ACCESS_LATCH) {
		latch_count(c);
		return;
	}
	c->access = word >> 4 & 3;
	c->mode = word >> 1 & 7;
	if (c->mode > 5) /* 6 and 7 mean 2 and 3 */
		c->mode &= 3;
	c->bcd = word & 1;
	c->count = 0;
	c->latched = 0;
	c->armed = c->high_next_r = c->high_next_w = c->status_latched = false;
	if (i == 0) {
		vdev_line_locked(p->vm, 0, false);
		schedule(p);
	}
}

/* ---- port 0x61 ---- */
static void gate_set(struct vpit_channel *c, bool gate)
{
	uint64_t now = time_now();

	if (c->gate == gate)
		return;
	c->gate = gate;
	if (!gate) {
		c->stopped_ns = now - c->start_ns;
	} else if (c->mode == 0 || c->mode == 4) { /* goes on */
		c->start_ns = now - c->stopped_ns;
	} else { /* begins anew */
		c->start_ns = now;
		c->armed = c->count != 0;
	}
}

static uint8_t port61_read(struct vpit *p)
{
	uint64_t now = time_now();

	return (uint8_t)((p->ch[2].gate ? P61_GATE2 : 0) | (p->speaker ? P61_SPEAKER : 0) |
			 (now / REFRESH_NS & 1 ? P61_REFRESH : 0) |
			 (output(&p->ch[2], now) ? P61_OUT2 : 0));
}

uint8_t vpit_read(struct vm *vm, uint16_t port)
{
	if (port == PORT_61)
		return port61_read(vm->vpit);
	if (port == PIT_CONTROL)
		return 0xff; /* write-only */
	return counter_read(&vm->vpit->ch[port - PIT_CH0]);
}

void vpit_write(struct vm *vm, uint16_t port, uint8_t value)
{
	struct vpit *p = vm->vpit;

	if (port == PORT_61) {
		gate_set(&p->ch[2], value & P61_GATE2);
		p->speaker = value & P61_SPEAKER;
	} else if (port == PIT_CONTROL) {
		control_write(p, value);
	} else {
		counter_write(p, &p->ch[port - PIT_CH0], value);
	}
}

/* ---- state ---- */
static void channel_save(const struct vpit_channel *c, uint64_t now,
			 struct hv_state_pit_channel *out)
{
	*out = (struct hv_state_pit_channel){
		.gone_ns = now - c->start_ns,
		.stopped_ns = c->stopped_ns,
		.count = c->count,
		.latch = c->latch,
		.mode = c->mode,
		.access = c->access,
		.status = c->status,
		.latched = c->latched,
		.low = c->low,
		.high_next_r = c->high_next_r,
		.high_next_w = c->high_next_w,
		.bcd = c->bcd,
		.gate = c->gate,
		.armed = c->armed,
		.status_latched = c->status_latched,
	};
}

static bool channel_sane(const struct hv_state_pit_channel *in)
{
	/* A mode-3 counter is divided by; ACCESS_LATCH is a command, not a way to access. */
	return in->count <= 65536 && in->mode <= 5 && in->access >= ACCESS_LOW &&
	       in->access <= ACCESS_BOTH && in->latched <= 2 && (in->count || !in->armed);
}

/* Times far back wrap around; counters only look at differences. */
static void channel_load(struct vpit_channel *c, uint64_t now,
			 const struct hv_state_pit_channel *in)
{
	c->start_ns = now - in->gone_ns;
	c->stopped_ns = in->stopped_ns;
	c->count = in->count;
	c->latch = in->latch;
	c->mode = in->mode;
	c->access = in->access;
	c->status = in->status;
	c->latched = in->latched;
	c->low = in->low;
	c->high_next_r = in->high_next_r != 0;
	c->high_next_w = in->high_next_w != 0;
	c->bcd = in->bcd != 0;
	c->gate = in->gate != 0;
	c->armed = in->armed != 0;
	c->status_latched = in->status_latched != 0;
}

void vpit_save(const struct vm *vm, struct hv_state_machine *out)
{
	const struct vpit *p = vm->vpit;
	uint64_t now = time_now();

	for (unsigned i = 0; i < 3; i++)
		channel_save(&p->ch[i], now, &out->pit[i]);
	out->pit_left_ns = p->deadline ? (p->deadline > now ? p->deadline - now : 1) : 0;
	out->pit_speaker = p->speaker;
}

int vpit_load(struct vm *vm, const struct hv_state_machine *in)
{
	struct vpit *p = vm->vpit;
	uint64_t now = time_now();

	for (unsigned i = 0; i < 3; i++)
		if (!channel_sane(&in->pit[i]))
			return -HVE_INVAL;
	for (unsigned i = 0; i < 3; i++)
		channel_load(&p->ch[i], now, &in->pit[i]);
	p->speaker = in->pit_speaker != 0;
	p->deadline = p->period_ns = 0;
	if (!in->pit_left_ns || !p->ch[0].armed)
		return 0;
	if (periodic(&p->ch[0]))
		p->period_ns = MAX(ns_of(p->ch[0].count), VDEV_PERIOD_MIN_NS);
	/* No wait is longer than a full count. */
	p->deadline = now + MIN(in->pit_left_ns, ns_of(65536));
	timer_arm(&p->timer, p->deadline);
	return 0;
}

/* ---- life ---- */
void vpit_init(struct vm *vm)
{
	vm->vpit->vm = vm;
	timer_init(&vm->vpit->timer, fire);
}

void vpit_destroy(struct vm *vm)
{
	spin_lock(&vm->irq_lock);
	vm->vpit->deadline = 0; /* nobody arms it any more */
	spin_unlock(&vm->irq_lock);
	timer_cancel(&vm->vpit->timer);
}

void vpit_reset(struct vm *vm)
{
	struct vpit *p = vm->vpit;

	memset(p->ch, 0, sizeof(p->ch));
	p->deadline = p->period_ns = 0;
	p->speaker = false;
	for (unsigned i = 0; i < 3; i++) {
		p->ch[i].access = ACCESS_BOTH;
		p->ch[i].mode = 3;
		p->ch[i].gate = i != 2;
	}
}
