/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks and NICs that come and go while the VM runs. Registers at PORT_HOTPLUG, doublewords with a bit for each slot of bus
 * 0; the methods in dsdt.asl use them:
 *
 *	0  up     something has come into the slot; a 1 that is written clears its bit
 *	4  down   its owner wants it back; the same
 *	8  eject  a 1 that is written: the guest lets go of what is there. Only when its owner has asked for that
 *
 * As long as there is an up or a down GPE 1 is set: a level, so no event is lost, whoever dies. What the configuration says is
 * followed by hotplug_sync(), at a reset by hotplug_reset(). Each step is one store to `slots`, what lies between two is done
 * again by the next instance:
 *
 *	there up down ejected
 *	  0   0   0     0     nothing is there
 *	  1   1   0     1     it is being put in: put in again
 *	  1   ?   ?     0     it is there
 *	  1   0   0     1     it is being taken out: taken out
 *	  0   0   0     1     the guest has ejected it, and its owner has not taken it off the configuration yet
 */
#include "ctrl-kernel/vmm/layout.h"
#include "ctrl-kernel/vmm/vm.h"

#include <string.h>

enum reg { UP = 0, DOWN = 4, EJECT = 8 };

struct slots {
	uint16_t there, up, down, ejected;
};
_Static_assert(sizeof(struct slots) == sizeof(uint64_t), "one store");

static struct slots slots_of(const struct hotplug_state *state)
{
	struct slots s;

	memcpy(&s, &state->slots, sizeof(s));
	return s;
}

static struct slots get(const struct vm *vm)
{
	return slots_of(&vm->state->hotplug);
}

static void set(struct vm *vm, struct slots s)
{
	uint64_t word;

	memcpy(&word, &s, sizeof(word));
	__atomic_store_n(&vm->state->hotplug.slots, word, __ATOMIC_RELEASE);
}

uint32_t hotplug_there(const struct vm *vm)
{
	return get(vm).there;
}

bool hotplug_event(const struct vm *vm)
{
	struct slots s = get(vm);

	return s.up || s.down;
}

uint32_t hotplug_half(const struct hotplug_state *state)
{
	struct slots s = slots_of(state);

	return s.there & s.ejected;
}

static void note(struct vm *vm)
{
	vm_slots(vm, get(vm).there | (vm->heard ? VMM_SLOTS_HEARD : 0));
}

static void tell(struct vm *vm)
{
	note(vm);
	vm_tell();
}

/* While it handles one event it does not want to hear of others: that it did once counts. */
void hotplug_heard(struct vm *vm, bool heard)
{
	if (!heard || vm->heard)
		return;
	vm->heard = true;
	tell(vm);
}

/* ---- putting in and taking out ---- */

static void put_in(struct vm *vm, unsigned slot, bool up)
{
	uint16_t bit = (uint16_t)(1u << slot);
	struct slots s = get(vm);

	s.there |= bit;
	s.up |= bit;
	s.ejected |= bit;
	set(vm, s);
	virtio_plug(vm, slot);
	s.ejected &= (uint16_t)~bit;
	if (!up)
		s.up &= (uint16_t)~bit;
	set(vm, s);
}

static void take_out(struct vm *vm, unsigned slot)
{
	uint16_t bit = (uint16_t)(1u << slot);
	struct slots s = get(vm);

	s.up &= (uint16_t)~bit;
	s.down &= (uint16_t)~bit;
	s.ejected |= bit;
	set(vm, s);
	virtio_unplug(vm, slot);
	s.there &= (uint16_t)~bit;
	set(vm, s);
}

/* booting: no guest runs that could be told, or asked. */
static void slot_sync(struct vm *vm, unsigned slot, bool booting)
{
	uint16_t bit = (uint16_t)(1u << slot);
	bool present = virtio_present(vm->config) & bit;
	bool asked = vm->config->unplug & bit;
	struct slots s = get(vm);

	if ((s.there & bit) &&
	    (!present || (booting && asked) || ((s.ejected & bit) && !(s.up & bit))))
		take_out(vm, slot);
	else if ((s.there & bit) ? s.ejected & bit : present && !(s.ejected & bit))
		put_in(vm, slot, !booting);
	s = get(vm);
	if (present || !(s.ejected & bit))
		return;
	s.ejected &= (uint16_t)~bit; /* its owner knows */
	set(vm, s);
}

static void sync(struct vm *vm, bool booting)
{
	vm->slots_seq = __atomic_load_n(&vm->config->slots_seq, __ATOMIC_ACQUIRE);
	vm_io_map();
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++)
		if (VMM_SLOTS_HOT >> slot & 1)
			slot_sync(vm, slot, booting);
}

/* Who is asked again by another instance is asked twice, which harms nobody. */
static void ask(struct vm *vm)
{
	struct slots s = get(vm);
	uint32_t unplug = vm->config->unplug;

	s.down &= (uint16_t)unplug;
	s.down |= (uint16_t)(unplug & ~vm->slots_asked & s.there);
	vm->slots_asked = unplug;
	set(vm, s);
}

void hotplug_sync(struct vm *vm)
{
	if (__atomic_load_n(&vm->config->slots_seq, __ATOMIC_ACQUIRE) == vm->slots_seq)
		return;
	sync(vm, false);
	ask(vm);
	platform_sci_update(vm);
	tell(vm);
}

void hotplug_reset(struct vm *vm)
{
	struct slots s;

	vm->heard = false;
	sync(vm, true);
	s = get(vm);
	s.up = s.down = 0;
	set(vm, s);
	vm->slots_asked = vm->config->unplug;
	note(vm); /* told when it has booted */
}

/* ---- registers ---- */

static void eject(struct vm *vm, uint32_t slots)
{
	uint32_t may = slots & vm->config->unplug & get(vm).there;

	if (!may)
		return;
	for (; may; may &= may - 1)
		take_out(vm, (unsigned)__builtin_ctz(may));
	tell(vm);
}

static uint64_t reg_read(const struct vm *vm, enum reg reg)
{
	struct slots s = get(vm);

	switch (reg) {
	case UP:
		return s.up;
	case DOWN:
		return s.down;
	default:
		return 0;
	}
}

static void reg_write(struct vm *vm, enum reg reg, uint32_t value)
{
	struct slots s = get(vm);

	if (reg == EJECT) {
		eject(vm, value);
		return;
	}
	if (reg == UP)
		s.up &= (uint16_t)~value;
	else
		s.down &= (uint16_t)~value;
	set(vm, s);
}

static uint64_t hotplug_access(void *dev, uint64_t offset, unsigned width, bool write,
			       uint64_t value)
{
	struct vm *vm = dev;

	if (width != 4 || offset % 4)
		return UINT64_MAX;
	if (!write)
		return reg_read(vm, (enum reg)offset);
	reg_write(vm, (enum reg)offset, (uint32_t)value);
	platform_sci_update(vm);
	return 0;
}

const char *hotplug_check(const struct hotplug_state *state)
{
	struct slots s = slots_of(state);

	if ((s.there | s.ejected) & ~VMM_SLOTS_HOT || (s.up | s.down) & ~s.there ||
	    s.down & s.ejected)
		return "the hot-plug registers have bits that nobody sets";
	return NULL;
}

void hotplug_attach(struct vm *vm)
{
	vm->heard = vm->state->pm.gpe0_enable & 2;
	bus_add(&vm->bus, HV_SPACE_PIO, PORT_HOTPLUG, PORT_HOTPLUG_LEN, hotplug_access, vm);
}
