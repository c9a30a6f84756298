/* SPDX-License-Identifier: BSD-2-Clause */
/* The vmm's devices on a bus, with a state as the first boot leaves it; nothing of hv, a clock that the test sets. */
#ifndef VMM_DEVICES_H
#define VMM_DEVICES_H

#include <string.h>

#include "ctrl-kernel/vmm/vm.h"

#define STATE_BYTES sizeof(struct vmm_state)

static struct vmm_config devices_config = {
	.version = VMM_CONFIG_VERSION, .slots_seq = 1, .epoch_at_zero_ns = 1700000000000000000ull};
static uint64_t devices_now;

uint64_t rt_now(void)
{
	return devices_now;
}

void vm_irq(struct vm *vm, unsigned gsi, bool level)
{
	(void)vm;
	(void)gsi;
	(void)level;
}

/* No virtio here: test_virtio.c. */
bool virtio_state_check(const struct virtio_state *s, char why[VIRTIO_WHY_MAX])
{
	(void)s;
	why[0] = '\0';
	return true;
}

/* Devices that come and go are bits here. */
static uint32_t devices_present, devices_plugged, devices_slots, devices_told;

uint32_t virtio_present(const struct vmm_config *config)
{
	(void)config;
	return devices_present;
}

void virtio_plug(struct vm *vm, unsigned slot)
{
	(void)vm;
	devices_plugged |= 1u << slot;
}

void virtio_unplug(struct vm *vm, unsigned slot)
{
	(void)vm;
	devices_plugged &= ~(1u << slot);
}

void vm_slots(struct vm *vm, uint32_t slots)
{
	(void)vm;
	devices_slots = slots;
}

void vm_tell(void)
{
	devices_told++;
}

void vm_io_map(void)
{
}

void vm_claim(uint32_t space, uint64_t base, uint64_t len, uint32_t kind, uint32_t bit)
{
	(void)space, (void)base, (void)len, (void)kind, (void)bit;
}

void vm_unclaim(uint32_t space, uint64_t base, uint64_t len)
{
	(void)space, (void)base, (void)len;
}

static inline void devices_reset(struct vm *vm)
{
	hotplug_reset(vm);
	pci_reset(vm);
	platform_reset(vm);
	rtc_reset(vm);
}

static inline void devices_make(struct vm *vm, struct vmm_state *state)
{
	memset(state, 0, sizeof(*state));
	state->magic = STATE_MAGIC;
	state->version = STATE_VERSION;
	state->boot = BOOT_DONE;
	state->command_done = state_command(0);
	memset(vm, 0, sizeof(*vm));
	vm->config = &devices_config;
	vm->state = state;
	hotplug_attach(vm);
	pci_attach(vm);
	platform_attach(vm);
	rtc_attach(vm);
	devices_reset(vm);
}

#endif
