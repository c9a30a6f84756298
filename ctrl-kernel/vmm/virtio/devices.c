/* SPDX-License-Identifier: BSD-2-Clause */
/* The virtio devices of this VM, by slot on bus 0. */
#include "ctrl-kernel/vmm/virtio/virtio.h"

#include "ctrl-kernel/rt/fmt.h"
#include "ctrl-kernel/vmm/virtio/balloon.h"
#include "ctrl-kernel/vmm/virtio/blk.h"
#include "ctrl-kernel/vmm/virtio/net.h"
#include "ctrl-kernel/vmm/virtio/rng.h"

#define SLOT_RNG 1u

static struct virtio_device devices[PCI_SLOTS]; /* ops NULL: none in the slot */

static void add(struct vm *vm, unsigned slot, const struct virtio_device_ops *ops)
{
	virtio_device_attach(&devices[slot], vm, slot, ops);
}

void virtio_attach(struct vm *vm)
{
	rng_seed();
	add(vm, SLOT_RNG, &rng_ops);
	add(vm, BALLOON_SLOT, &balloon_ops);
	for (unsigned i = 0; i < VMM_DISKS_MAX; i++)
		if (vm->config->disks[i].present)
			add(vm, BLK_SLOT + i, &blk_ops);
	for (unsigned i = 0; i < VMM_NICS_MAX; i++)
		if (vm->config->nics[i].present)
			add(vm, SLOT_NICS + i, &net_ops);
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
	for (unsigned i = 0; i < PCI_SLOTS; i++)
		if (devices[i].ops && devices[i].ops->io)
			devices[i].ops->io(&devices[i]);
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
