/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI fixed hardware (ACPI 6.4, 4.8.3) and the ways to reset a PC. Always in ACPI mode (FADT SMI_CMD 0): SCI_EN
 * reads 1. The power button is the fixed-feature one; its event raises the SCI. There is no sleep button and no
 * sleep state but S5; of the keyboard controller there is only the reset line, so its status reads all ones as
 * where no controller is.
 */
#include "ctrl-kernel/vmm/layout.h"
#include "ctrl-kernel/vmm/vm.h"

#include "ctrl-kernel/rt/rt.h"

enum pm_reg { PM1_STATUS = 0, PM1_ENABLE = 2, PM1_CONTROL = 4, PM_TIMER = 8 };

#define PM1_TIMER 0x0001u
#define PM1_GLOBAL 0x0020u
#define PM1_POWER_BUTTON 0x0100u
#define PM1_STATUS_BITS (PM1_POWER_BUTTON | PM1_GLOBAL) /* those that we ever set */
#define PM1_RTC 0x0400u /* may be enabled, never happens: Linux enables it whatever the FADT says */
#define PM1_ENABLE_BITS (PM1_TIMER | PM1_GLOBAL | PM1_POWER_BUTTON | PM1_RTC)
#define PM1_SCI_EN 0x0001u
#define PM1_SLEEP_TYPE(control) ((control) >> 10 & 7u)
#define PM1_SLEEP_TYPE_S5 5u /* \_S5 in dsdt.asl */
#define PM1_SLEEP_EN 0x2000u

#define GPE_HOTPLUG 0x0002u /* \_GPE._L01 in dsdt.asl */

#define RESET_CPU 0x04u /* port 0xcf9: 0 -> 1 resets */
#define RESET_BITS 0x0eu
#define FAST_RESET 0x01u /* port 0x92 */
#define FAST_A20 0x02u
#define KBC_PULSE_RESET 0xfeu

/* 3.579545 MHz as ticks per ns, scaled by 2^64: 3579545 * 2^64 / 10^9 */
#define PM_TIMER_SCALE 66030950515326656ull

/* Events of level: they go when what they tell of has been read (hotplug.c), and not by writing here. */
static uint16_t gpe_status(struct vm *vm)
{
	return hotplug_event(vm) ? GPE_HOTPLUG : 0;
}

void platform_sci_update(struct vm *vm)
{
	const struct pm_state *pm = &vm->state->pm;
	bool level = (pm->pm1_status & pm->pm1_enable) || (gpe_status(vm) & pm->gpe0_enable);

	vm_irq(vm, GSI_SCI, level);
}

static uint32_t pm_timer(void)
{
	return (uint32_t)(((unsigned __int128)rt_now() * PM_TIMER_SCALE) >> 64);
}

static uint16_t pm_read16(const struct pm_state *pm, unsigned reg)
{
	switch (reg) {
	case PM1_STATUS:
		return pm->pm1_status;
	case PM1_ENABLE:
		return pm->pm1_enable;
	case PM1_CONTROL:
		return pm->pm1_control | PM1_SCI_EN;
	default:
		return 0;
	}
}

static void control_write(struct vm *vm, uint16_t value)
{
	vm->state->pm.pm1_control = value & (uint16_t)~PM1_SLEEP_EN; /* SLP_EN reads 0 */
	if ((value & PM1_SLEEP_EN) && PM1_SLEEP_TYPE(value) == PM1_SLEEP_TYPE_S5)
		vm->request = VM_REQ_OFF;
}

static void pm_write16(struct vm *vm, unsigned reg, uint16_t value)
{
	struct pm_state *pm = &vm->state->pm;

	if (reg == PM1_CONTROL) {
		control_write(vm, value);
		return;
	}
	if (reg == PM1_STATUS)
		pm->pm1_status &= (uint16_t)~value; /* write 1 to clear */
	else if (reg == PM1_ENABLE)
		pm->pm1_enable = value & PM1_ENABLE_BITS;
	else
		return;
	platform_sci_update(vm);
}

/* Any byte, word or doubleword of the block: assembled from its 16-bit registers and the timer. */
static uint64_t pm_read(const struct pm_state *pm, unsigned offset)
{
	unsigned reg = offset & ~3u, shift = (offset & 3) * 8;
	uint32_t all;

	if (reg == PM_TIMER)
		all = pm_timer();
	else
		all = pm_read16(pm, reg) | (uint32_t)pm_read16(pm, reg + 2) << 16;
	return all >> shift;
}

/* A byte write leaves the other byte: for status bits that means writing 0 there. */
static void pm_write(struct vm *vm, unsigned offset, unsigned width, uint64_t value)
{
	unsigned reg = offset & ~1u;

	if (width == 1) {
		unsigned shift = (offset & 1) * 8;
		uint16_t old = reg == PM1_STATUS ? 0 : pm_read16(&vm->state->pm, reg);

		value = (old & ~(0xffu << shift)) | (value & 0xff) << shift;
		width = 2;
	}
	for (; width >= 2; width -= 2, reg += 2, value >>= 16)
		pm_write16(vm, reg, (uint16_t)value);
}

static uint64_t pm_access(void *dev, uint64_t offset, unsigned width, bool write, uint64_t value)
{
	struct vm *vm = dev;

	if (!write)
		return pm_read(&vm->state->pm, (unsigned)offset);
	pm_write(vm, (unsigned)offset, width, value);
	return 0;
}

static uint64_t gpe_access(void *dev, uint64_t offset, unsigned width, bool write, uint64_t value)
{
	struct vm *vm = dev;
	struct pm_state *pm = &vm->state->pm;
	uint32_t all = gpe_status(vm) | (uint32_t)pm->gpe0_enable << 16;
	unsigned shift = (unsigned)offset * 8;
	uint32_t mask = width >= 4 ? UINT32_MAX : ((1u << width * 8) - 1) << shift;
	uint32_t bits = (uint32_t)value << shift & mask;

	if (!write)
		return all >> shift;
	if (mask >> 16)
		pm->gpe0_enable = (uint16_t)(((all & ~mask) | bits) >> 16);
	hotplug_heard(vm, pm->gpe0_enable & GPE_HOTPLUG);
	platform_sci_update(vm);
	return 0;
}

static uint64_t kbc_access(void *dev, uint64_t offset, unsigned width, bool write, uint64_t value)
{
	struct vm *vm = dev;

	(void)offset;
	(void)width;
	if (write && (uint8_t)value == KBC_PULSE_RESET)
		vm->request = VM_REQ_RESET;
	return UINT64_MAX;
}

static uint64_t a20_access(void *dev, uint64_t offset, unsigned width, bool write, uint64_t value)
{
	struct vm *vm = dev;

	(void)offset;
	(void)width;
	if (write && (value & FAST_RESET))
		vm->request = VM_REQ_RESET;
	return FAST_A20; /* the A20 line is always on */
}

uint64_t platform_reset_port(struct vm *vm, bool write, uint64_t value)
{
	uint8_t *control = &vm->state->pm.reset_control;

	if (!write)
		return *control;
	if ((value & RESET_CPU) && !(*control & RESET_CPU))
		vm->request = VM_REQ_RESET;
	else
		*control = (uint8_t)(value & RESET_BITS);
	return 0;
}

void platform_power_button(struct vm *vm)
{
	vm->state->pm.pm1_status |= PM1_POWER_BUTTON;
	platform_sci_update(vm);
}

void platform_reset(struct vm *vm)
{
	vm->state->pm = (struct pm_state){0};
	platform_sci_update(vm);
}

const char *platform_check(const struct pm_state *pm)
{
	if (pm->pm1_status & ~PM1_STATUS_BITS || pm->pm1_enable & ~PM1_ENABLE_BITS ||
	    pm->pm1_control & PM1_SLEEP_EN || pm->gpe0_status || pm->reserved)
		return "the power management registers have bits that nobody sets";
	/* RESET_CPU is never there: writing it resets instead. */
	if (pm->reset_control & ~(RESET_BITS & ~RESET_CPU))
		return "the reset register has bits that nobody sets";
	return NULL;
}

void platform_attach(struct vm *vm)
{
	bus_add(&vm->bus, HV_SPACE_PIO, PORT_PM, PORT_PM_LEN, pm_access, vm);
	bus_add(&vm->bus, HV_SPACE_PIO, PORT_GPE0, PORT_GPE0_LEN, gpe_access, vm);
	bus_add(&vm->bus, HV_SPACE_PIO, PORT_KBC_COMMAND, 1, kbc_access, vm);
	bus_add(&vm->bus, HV_SPACE_PIO, PORT_FAST_A20, 1, a20_access, vm);
}
