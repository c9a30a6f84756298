/* SPDX-License-Identifier: BSD-2-Clause */
/* The virtio devices of this VM, by slot on bus 0; which of them come and go, and when, is hotplug.c's matter. */
#include "ctrl-kernel/vmm/virtio/virtio.h"

#include <string.h>

#include "ctrl-kernel/rt/fmt.h"
#include "ctrl-kernel/vmm/virtio/balloon.h"
#include "ctrl-kernel/vmm/virtio/blk.h"
#include "ctrl-kernel/vmm/virtio/console.h"
#include "ctrl-kernel/vmm/virtio/net.h"
#include "ctrl-kernel/vmm/virtio/rng.h"

#define SLOT_RNG 1u

static struct virtio_device devices[PCI_SLOTS]; /* ops NULL: none in the slot */
static uint32_t with_io;                        /* slots whose device has the `io` handler */

static void add(struct vm *vm, unsigned slot, const struct virtio_device_ops *ops)
{
	virtio_device_attach(&devices[slot], vm, slot, ops);
	with_io |= (uint32_t)(ops->io != NULL) << slot;
}

uint32_t virtio_present(const struct vmm_config *config)
{
	uint32_t slots = 0;

	for (unsigned i = 0; i < VMM_DISKS_MAX; i++)
		if (__atomic_load_n(&config->disks[i].present, __ATOMIC_ACQUIRE))
			slots |= 1u << (BLK_SLOT + i);
	for (unsigned i = 0; i < VMM_NICS_MAX; i++)
		if (__atomic_load_n(&config->nics[i].present, __ATOMIC_ACQUIRE))
			slots |= 1u << (SLOT_NICS + i);
	return slots;
}

uint32_t virtio_laid_out(const struct vmm_config *config)
{
	uint32_t slots = 0;

	for (unsigned i = 0; i < VMM_DISKS_MAX; i++)
		if (config->disks[i].queues)
			slots |= 1u << (BLK_SLOT + i);
	for (unsigned i = 0; i < VMM_NICS_MAX; i++)
		if (config->nics[i].pairs)
			slots |= 1u << (SLOT_NICS + i);
	return slots;
}

static void add_hot(struct vm *vm, unsigned slot)
{
	add(vm, slot, slot < SLOT_NICS ? &blk_ops : &net_ops);
}

/* Those that come and go: what the instance before had there, also what it was taking out. */
void virtio_attach(struct vm *vm)
{
	uint32_t there = hotplug_there(vm) & VMM_SLOTS_HOT & virtio_laid_out(vm->config);

	memset(devices, 0, sizeof(devices));
	with_io = 0;
	rng_seed();
	add(vm, SLOT_RNG, &rng_ops);
	add(vm, BALLOON_SLOT, &balloon_ops);
	if (vm->console)
		add(vm, SLOT_CONSOLE, &console_ops);
	for (; there; there &= there - 1)
		add_hot(vm, (unsigned)__builtin_ctz(there));
}

void virtio_plug(struct vm *vm, unsigned slot)
{
	if (!devices[slot].ops)
		add_hot(vm, slot);
	pci_function_power_on(vm, slot);
	virtio_device_reset(&devices[slot]);
}

void virtio_unplug(struct vm *vm, unsigned slot)
{
	if (!devices[slot].ops)
		return; /* of a state that no instance left */
	virtio_device_end(&devices[slot]);
	pci_function_detach(vm, slot);
	devices[slot].ops = NULL;
	with_io &= ~(1u << slot);
}

void virtio_reset(struct vm *vm)
{
	for (unsigned i = 0; i < PCI_SLOTS; i++)
		if (devices[i].ops)
			virtio_device_reset(&devices[i]);
	pci_bars_update(vm);
}

void virtio_resume(struct vm *vm)
{
	(void)vm;
	for (unsigned i = 0; i < PCI_SLOTS; i++)
		if (devices[i].ops)
			virtio_device_resume(&devices[i]);
}

void virtio_io(void)
{
	for (uint32_t left = with_io; left; left &= left - 1) {
		struct virtio_device *d = &devices[__builtin_ctz(left)];

		d->ops->io(d);
	}
}

bool virtio_resetting(void)
{
	for (unsigned i = 0; i < PCI_SLOTS; i++)
		if (devices[i].ops && virtio_is_resetting(&devices[i]))
			return true;
	return false;
}

void virtio_doorbells(uint64_t word)
{
	for (; word; word &= word - 1) {
		unsigned bit = (unsigned)__builtin_ctzll(word), slot = 1 + bit / VIRTIO_BELLS;

		if (slot < PCI_SLOTS && devices[slot].ops)
			transport_doorbell(&devices[slot], bit % VIRTIO_BELLS);
	}
}

bool virtio_state_check(const struct virtio_state *s, char why[VIRTIO_WHY_MAX])
{
	for (unsigned i = 0; i < PCI_SLOTS; i++)
		if (devices[i].ops && !virtio_device_check(&devices[i], &s->device[i], why))
			return false;
	return true;
}
