/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two 8259A interrupt controllers and their edge/level control registers. Names of modes follow the data sheet.
 * All functions but vpic_pending() run under vm->irq_lock; the INTR output is also read without it.
 */
#include "hv/lib/string.h"
#include "hv/vm/vdev.h"

enum { MASTER, SLAVE, CASCADE = 2, SPURIOUS = 7 };

/* Ports. */
enum {
	PIC_MASTER = 0x20,
	PIC_SLAVE = 0xa0,
	PIC_ELCR = 0x4d0,
};

#define ICW1 0x10u
#define ICW1_LEVEL 0x08u
#define ICW1_NEED4 0x01u
#define ICW4_AUTO_EOI 0x02u
#define ICW4_NESTED 0x10u
#define OCW3 0x08u

/* Distance of the first set bit from the highest priority, 8: none. */
static unsigned priority_of(const struct vpic_chip *c, uint8_t mask)
{
	unsigned rotated = (unsigned)(mask | mask << 8) >> c->first;

	return mask ? (unsigned)__builtin_ctz(rotated & 0xff) : 8;
}

/* The input to be acknowledged now, -1: none. */
static int chip_irq(const struct vpic_chip *c, bool master)
{
	unsigned prio = priority_of(c, (uint8_t)(c->irr & ~c->imr)), served;
	uint8_t isr = c->isr;

	if (prio == 8)
		return -1;
	if (c->special_mask)
		isr &= (uint8_t)~c->imr;
	/* Special fully nested: a higher one on the slave may interrupt the slave's own. */
	if (c->nested && master)
		isr &= (uint8_t) ~(1u << CASCADE);
	served = priority_of(c, isr);
	return prio < served ? (int)((prio + c->first) & 7) : -1;
}

static void tell(struct vm *vm)
{
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		if (vlapic_takes_pic(vm->vcpus[i]))
			vcpu_attend(vm->vcpus[i], ATT_IRQ, BLOCK_HALT);
}

static void chip_set(struct vpic_chip *c, unsigned irq, bool level)
{
	uint8_t bit = (uint8_t)(1u << irq);

	if (c->elcr & bit)
		c->irr = (uint8_t)(level ? c->irr | bit : c->irr & ~bit);
	else if (level && !(c->lines & bit))
		c->irr |= bit;
	c->lines = (uint8_t)(level ? c->lines | bit : c->lines & ~bit);
}

static void update(struct vm *vm)
{
	struct vpic *p = vm->vpic;
	uint32_t out;

	/* The slave's INTR falls and rises at each acknowledge, so for the master it is as good as a level. */
	p->chip[MASTER].irr &= (uint8_t) ~(1u << CASCADE);
	if (chip_irq(&p->chip[SLAVE], false) >= 0)
		p->chip[MASTER].irr |= 1u << CASCADE;
	out = chip_irq(&p->chip[MASTER], true) >= 0;
	if (out == p->out)
		return;
	__atomic_store_n(&p->out, out, __ATOMIC_RELEASE);
	if (out)
		tell(vm);
}

void vpic_set(struct vm *vm, unsigned irq, bool level)
{
	chip_set(&vm->vpic->chip[irq >> 3 & 1], irq & 7, level);
	update(vm);
}

static void acknowledge(struct vpic_chip *c, unsigned irq)
{
	uint8_t bit = (uint8_t)(1u << irq);

	if (!c->auto_eoi)
		c->isr |= bit;
	else if (c->rotate_aeoi)
		c->first = (uint8_t)((irq + 1) & 7);
	if (!(c->elcr & bit)) /* a level input asks again until its line falls */
		c->irr &= (uint8_t)~bit;
}

int vpic_pending(struct vm *vm)
{
	return __atomic_load_n(&vm->vpic->out, __ATOMIC_ACQUIRE) ? 0 : -1;
}

int vpic_take(struct vm *vm)
{
	struct vpic_chip *master = &vm->vpic->chip[MASTER], *slave = &vm->vpic->chip[SLAVE];
	int irq, vector;

	spin_lock(&vm->irq_lock);
	irq = chip_irq(master, true);
	if (irq >= 0)
		acknowledge(master, (unsigned)irq);
	else
		irq = SPURIOUS;
	vector = master->base + irq;
	if (irq == CASCADE) {
		irq = chip_irq(slave, false);
		if (irq >= 0)
			acknowledge(slave, (unsigned)irq);
		else
			irq = SPURIOUS;
		vector = slave->base + irq;
	}
	update(vm);
	spin_unlock(&vm->irq_lock);
	return vector;
}

/* ---- ports ---- */
static void chip_init(struct vpic_chip *c, uint8_t icw1)
{
	uint8_t lines = c->lines, elcr = c->elcr, elcr_mask = c->elcr_mask;

	memset(c, 0, sizeof(*c));
	c->elcr = elcr;
	c->elcr_mask = elcr_mask;
	c->lines = lines;
	c->irr = lines & elcr; /* ICW1 clears the edge detectors only */
	c->init_step = 2;
	c->want_icw4 = icw1 & ICW1_NEED4;
}

static void end_of_interrupt(struct vpic_chip *c, unsigned irq, bool rotate)
{
	c->isr &= (uint8_t) ~(1u << irq);
	if (rotate)
		c->first = (uint8_t)((irq + 1) & 7);
}

static void ocw2_write(struct vpic_chip *c, uint8_t value)
{
	unsigned prio = priority_of(c, c->isr);

	switch (value >> 5) {
	case 0: /* rotate in automatic EOI: clear, set */
	case 4:
		c->rotate_aeoi = value >> 7;
		break;
	case 1: /* non-specific EOI, with rotation */
	case 5:
		if (prio != 8)
			end_of_interrupt(c, (prio + c->first) & 7, value >> 7);
		break;
	case 3: /* specific */
	case 7:
		end_of_interrupt(c, value & 7, value >> 7);
		break;
	case 6: /* set priority */
		c->first = (uint8_t)((value + 1) & 7);
		break;
	default: /* 2: no operation */
		break;
	}
}

static void ocw3_write(struct vpic_chip *c, uint8_t value)
{
	c->poll = value & 4;
	if (value & 2)
		c->read_isr = value & 1;
	if (value & 0x40)
		c->special_mask = value & 0x20;
}

static void command_write(struct vpic_chip *c, uint8_t value)
{
	if (value & ICW1)
		chip_init(c, value);
	else if (value & OCW3)
		ocw3_write(c, value);
	else
		ocw2_write(c, value);
}

static void data_write(struct vpic_chip *c, uint8_t value)
{
	switch (c->init_step) {
	case 2:
		c->base = value & 0xf8;
		c->init_step = 3; /* SNGL is ignored: a PC always cascades */
		break;
	case 3:
		c->init_step = c->want_icw4 ? 4 : 0;
		break;
	case 4:
		c->auto_eoi = value & ICW4_AUTO_EOI;
		c->nested = value & ICW4_NESTED;
		c->init_step = 0;
		break;
	default:
		c->imr = value;
	}
}

static uint8_t poll_read(struct vpic_chip *c, bool master)
{
	int irq = chip_irq(c, master);

	c->poll = false;
	if (irq < 0)
		return 0;
	acknowledge(c, (unsigned)irq);
	return (uint8_t)(0x80 | irq);
}

uint8_t vpic_read(struct vm *vm, uint16_t port)
{
	unsigned which = (port & ~1u) == PIC_SLAVE || port == PIC_ELCR + 1 ? SLAVE : MASTER;
	struct vpic_chip *c = &vm->vpic->chip[which];
	uint8_t value;

	if (port >= PIC_ELCR)
		return c->elcr;
	if (c->poll) {
		value = poll_read(c, which == MASTER);
		update(vm);
		return value;
	}
	if (port & 1)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}

void vpic_write(struct vm *vm, uint16_t port, uint8_t value)
{
	unsigned which = (port & ~1u) == PIC_SLAVE || port == PIC_ELCR + 1 ? SLAVE : MASTER;
	struct vpic_chip *c = &vm->vpic->chip[which];

	if (port >= PIC_ELCR) {
		c->elcr = value & c->elcr_mask;
		c->irr = (uint8_t)((c->irr & ~c->elcr) | (c->lines & c->elcr));
	} else if (port & 1) {
		data_write(c, value);
	} else {
		command_write(c, value);
	}
	update(vm);
}

/* ---- state ---- */
static void chip_save(const struct vpic_chip *c, struct hv_state_pic *out)
{
	*out = (struct hv_state_pic){
		.irr = c->irr,
		.isr = c->isr,
		.imr = c->imr,
		.lines = c->lines,
		.elcr = c->elcr,
		.base = c->base,
		.first = c->first,
		.init_step = c->init_step,
		.want_icw4 = c->want_icw4,
		.auto_eoi = c->auto_eoi,
		.rotate_aeoi = c->rotate_aeoi,
		.special_mask = c->special_mask,
		.nested = c->nested,
		.read_isr = c->read_isr,
		.poll = c->poll,
	};
}

static bool chip_sane(const struct hv_state_pic *in)
{
	return !(in->base & 7) && in->first < 8 &&
	       (in->init_step == 0 || (in->init_step >= 2 && in->init_step <= 4));
}

static void chip_load(struct vpic_chip *c, const struct hv_state_pic *in)
{
	c->irr = in->irr;
	c->isr = in->isr;
	c->imr = in->imr;
	c->lines = in->lines;
	c->elcr = in->elcr & c->elcr_mask;
	c->base = in->base;
	c->first = in->first;
	c->init_step = in->init_step;
	c->want_icw4 = in->want_icw4 != 0;
	c->auto_eoi = in->auto_eoi != 0;
	c->rotate_aeoi = in->rotate_aeoi != 0;
	c->special_mask = in->special_mask != 0;
	c->nested = in->nested != 0;
	c->read_isr = in->read_isr != 0;
	c->poll = in->poll != 0;
}

void vpic_save(const struct vm *vm, struct hv_state_machine *out)
{
	for (unsigned i = 0; i < 2; i++)
		chip_save(&vm->vpic->chip[i], &out->pic[i]);
}

int vpic_load(struct vm *vm, const struct hv_state_machine *in)
{
	if (!chip_sane(&in->pic[MASTER]) || !chip_sane(&in->pic[SLAVE]))
		return -HVE_INVAL;
	for (unsigned i = 0; i < 2; i++)
		chip_load(&vm->vpic->chip[i], &in->pic[i]);
	update(vm);
	return 0;
}

void vpic_reset(struct vm *vm)
{
	memset(vm->vpic, 0, sizeof(*vm->vpic));
	/* IRQ 0, 1, 2, 8 and 13 are always edge-triggered. */
	vm->vpic->chip[MASTER].elcr_mask = 0xf8;
	vm->vpic->chip[SLAVE].elcr_mask = 0xde;
	/* Firmware leaves everything masked. */
	vm->vpic->chip[MASTER].imr = vm->vpic->chip[SLAVE].imr = 0xff;
}
