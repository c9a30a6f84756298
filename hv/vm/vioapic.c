/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The IO-APIC (82093AA, version 0x11): 24 pins at HV_GPA_IOAPIC. Lines are logical: asserted or not; the polarity
 * bit is stored and has no effect, as our devices' lines cannot be wired the wrong way. All under vm->irq_lock.
 */
#include "hv/lib/string.h"
#include "hv/vm/vdev.h"

enum { IOREGSEL = 0x00, IOWIN = 0x10 };
enum { IOAPIC_ID = 0, IOAPIC_VERSION = 1, IOAPIC_ARB = 2, IOAPIC_REDIR = 0x10 };

#define VERSION (0x11u | (HV_IOAPIC_PINS - 1) << 16)

#define REDIR_LOGICAL (1ull << 11)
#define REDIR_REMOTE_IRR (1ull << 14)
#define REDIR_LEVEL (1ull << 15)
#define REDIR_MASKED (1ull << 16)
#define REDIR_WRITABLE                                                                             \
	0xff0000000001afffull /* delivery status (12) and remote IRR (14) are the chip's */

static bool send(struct vm *vm, uint64_t e)
{
	return vlapic_send(NULL, vm, e >> 56, e & REDIR_LOGICAL, e >> 8 & 7, (uint8_t)e,
			   e & REDIR_LEVEL, 0, false);
}

/* A level pin whose line is up and that nobody serves yet. */
static void level_check(struct vm *vm, unsigned pin)
{
	uint64_t *e = &vm->vioapic->redir[pin];

	if (!(*e & REDIR_LEVEL) || (*e & (REDIR_MASKED | REDIR_REMOTE_IRR)))
		return;
	if (!(vm->vioapic->lines >> pin & 1))
		return;
	/* Remote IRR means: an EOI will come. Only taken fixed and lowest-priority interrupts get one. */
	if (send(vm, *e) && (*e >> 8 & 7) <= APIC_LOWEST)
		*e |= REDIR_REMOTE_IRR;
}

void vioapic_set(struct vm *vm, unsigned pin, bool level)
{
	struct vioapic *io = vm->vioapic;
	uint32_t bit = 1u << pin, was = io->lines & bit;

	io->lines = level ? io->lines | bit : io->lines & ~bit;
	if (!level)
		return;
	if (io->redir[pin] & REDIR_LEVEL)
		level_check(vm, pin);
	else if (!was && !(io->redir[pin] & REDIR_MASKED)) /* an edge at a masked pin is lost */
		send(vm, io->redir[pin]);
}

void vioapic_eoi(struct vm *vm, uint8_t vector)
{
	struct vioapic *io = vm->vioapic;

	spin_lock(&vm->irq_lock);
	for (unsigned pin = 0; pin < HV_IOAPIC_PINS; pin++) {
		if ((uint8_t)io->redir[pin] != vector || !(io->redir[pin] & REDIR_REMOTE_IRR))
			continue;
		io->redir[pin] &= ~REDIR_REMOTE_IRR;
		level_check(vm, pin);
	}
	spin_unlock(&vm->irq_lock);
}

static void redir_write(struct vm *vm, unsigned pin, uint64_t value)
{
	uint64_t *e = &vm->vioapic->redir[pin];

	*e = (value & REDIR_WRITABLE) | (*e & REDIR_REMOTE_IRR);
	if (!(*e & REDIR_LEVEL)) /* the way to an EOI without an EOI register */
		*e &= ~REDIR_REMOTE_IRR;
	level_check(vm, pin);
}

static void window_write(struct vm *vm, uint32_t value)
{
	struct vioapic *io = vm->vioapic;
	unsigned i = io->select - IOAPIC_REDIR;
	uint64_t e;

	if (io->select == IOAPIC_ID)
		io->id = value & 0x0f000000;
	if (i >= HV_IOAPIC_PINS * 2)
		return;
	e = io->redir[i / 2];
	if (i & 1)
		e = (uint64_t)value << 32 | (uint32_t)e;
	else
		e = (e & 0xffffffff00000000) | value;
	redir_write(vm, i / 2, e);
}

static uint32_t window_read(struct vioapic *io)
{
	unsigned i = io->select - IOAPIC_REDIR;

	if (io->select == IOAPIC_ID || io->select == IOAPIC_ARB)
		return io->id;
	if (io->select == IOAPIC_VERSION)
		return VERSION;
	if (i >= HV_IOAPIC_PINS * 2)
		return 0;
	return (uint32_t)(io->redir[i / 2] >> (i % 2 * 32));
}

uint32_t vioapic_read(struct vm *vm, unsigned offset)
{
	if (offset == IOREGSEL)
		return vm->vioapic->select;
	return offset == IOWIN ? window_read(vm->vioapic) : 0;
}

void vioapic_write(struct vm *vm, unsigned offset, uint32_t value)
{
	if (offset == IOREGSEL)
		vm->vioapic->select = value & 0xff;
	else if (offset == IOWIN)
		window_write(vm, value);
}

void vioapic_save(const struct vm *vm, struct hv_state_machine *out)
{
	const struct vioapic *io = vm->vioapic;

	for (unsigned pin = 0; pin < HV_IOAPIC_PINS; pin++)
		out->ioapic_redir[pin] = io->redir[pin];
	out->ioapic_lines = io->lines;
	out->ioapic_select = io->select;
	out->ioapic_id = io->id;
}

/* Nothing is sent: what a line has asked for is in the local APICs or behind remote IRR. */
void vioapic_load(struct vm *vm, const struct hv_state_machine *in)
{
	struct vioapic *io = vm->vioapic;

	for (unsigned pin = 0; pin < HV_IOAPIC_PINS; pin++)
		io->redir[pin] = in->ioapic_redir[pin] & (REDIR_WRITABLE | REDIR_REMOTE_IRR);
	io->lines = in->ioapic_lines & ((1u << HV_IOAPIC_PINS) - 1);
	io->select = in->ioapic_select & 0xff;
	io->id = in->ioapic_id & 0x0f000000;
}

void vioapic_reset(struct vm *vm)
{
	memset(vm->vioapic, 0, sizeof(*vm->vioapic));
	for (unsigned pin = 0; pin < HV_IOAPIC_PINS; pin++)
		vm->vioapic->redir[pin] = REDIR_MASKED;
}
