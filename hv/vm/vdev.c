/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The platform devices that live in hv: which ports and addresses are theirs, interrupt lines and messages from
 * outside, and their life. All of a VM's devices but the local APICs share one page.
 */
#include "hv/abi/hv_abi.h"
#include "hv/lib/string.h"
#include "hv/vm/vlapic.h"

/* Ports; the devices' own files name the single registers. */
enum {
	PIC_FIRST = 0x20,
	PIC2_FIRST = 0xa0,
	PIT_FIRST = 0x40,
	PIT_LAST = 0x43,
	PORT_B = 0x61,
	ELCR_FIRST = 0x4d0,
	ELCR_LAST = 0x4d1,
};
#define UART_PORTS 8u
_Static_assert(ELCR_LAST < VDEV_PIO_END && HV_PORT_UART + UART_PORTS <= VDEV_PIO_END, "vm.h");
#define MMIO_PAGE_MASK 0xfffu

struct vdev_page {
	struct vpic vpic;
	struct vioapic vioapic;
	struct vpit vpit;
	struct vuart vuart;
	struct cpuid_table cpuid;
};
_Static_assert(sizeof(struct vdev_page) <= PAGE_SIZE, "one page for all");

/* ---- ports ---- */
enum device { DEV_NONE, DEV_PIC, DEV_PIT, DEV_UART };

static inline enum device device_of(uint16_t port)
{
	if ((unsigned)(port - HV_PORT_UART) < UART_PORTS)
		return DEV_UART;
	if ((unsigned)(port - PIC_FIRST) >= ELCR_LAST + 1 - PIC_FIRST)
		return DEV_NONE;
	if ((port & ~1u) == PIC_FIRST || (port & ~1u) == PIC2_FIRST || port >= ELCR_FIRST)
		return DEV_PIC;
	return (port >= PIT_FIRST && port <= PIT_LAST) || port == PORT_B ? DEV_PIT : DEV_NONE;
}

static uint8_t chip_pio(struct vm *vm, enum device dev, uint16_t port, bool write, uint8_t value)
{
	spin_lock(&vm->irq_lock);
	if (dev == DEV_PIC && write)
		vpic_write(vm, port, value);
	else if (dev == DEV_PIC)
		value = vpic_read(vm, port);
	else if (write)
		vpit_write(vm, port, value);
	else
		value = vpit_read(vm, port);
	spin_unlock(&vm->irq_lock);
	return value;
}

static uint8_t byte_pio(struct vm *vm, uint16_t port, bool write, uint8_t value)
{
	enum device dev = device_of(port);

	if (dev == DEV_NONE)
		return 0xff;
	if (dev != DEV_UART)
		return chip_pio(vm, dev, port, write, value);
	if (!write)
		return vuart_read(vm, port - HV_PORT_UART);
	vuart_write(vm, port - HV_PORT_UART, value);
	return value;
}

/* The devices are 8 bits wide: the bus splits wider accesses. Not inlined, like the whole of what is ours: the way
 * past us is to have no stack frame. */
static __attribute__((noinline)) void ours_pio(struct vm *vm, uint16_t port, unsigned width,
					       bool write, uint64_t *value)
{
	uint64_t in = 0;

	for (unsigned i = 0; i < width; i++)
		in |= (uint64_t)byte_pio(vm, (uint16_t)(port + i), write,
					 (uint8_t)(*value >> i * 8))
		      << i * 8;
	if (!write)
		*value = in;
}

bool vdev_pio(struct vcpu *v, uint16_t port, unsigned width, bool write, uint64_t *value)
{
	if (LIKELY(device_of(port) == DEV_NONE))
		return false;
	if (width != 1 || port < HV_PORT_UART || port >= HV_PORT_UART + UART_PORTS)
		ours_pio(v->vm, port, width, write, value);
	else if (write)
		vuart_write(v->vm, port - HV_PORT_UART, (uint8_t)*value);
	else
		*value = vuart_read(v->vm, port - HV_PORT_UART);
	return true;
}

/* ---- memory ---- */
static void ioapic_mmio(struct vm *vm, unsigned offset, bool write, uint32_t *value)
{
	spin_lock(&vm->irq_lock);
	if (write)
		vioapic_write(vm, offset, *value);
	else
		*value = vioapic_read(vm, offset);
	spin_unlock(&vm->irq_lock);
}

/* Both pages hold 32-bit registers on 16-byte boundaries. A narrower read sees its part of the register, a wider one
 * zeros above; narrower writes do nothing (SDM3 11.4.1 leaves both undefined). */
static __attribute__((noinline)) bool ours_mmio(struct vcpu *v, gpa_t gpa, unsigned width,
						bool write, uint64_t *value)
{
	unsigned offset = gpa & MMIO_PAGE_MASK & ~3u, shift = (unsigned)(gpa & 3) * 8;
	uint32_t word = (uint32_t)*value;
	bool lapic = gpa >= HV_GPA_LAPIC;

	if (lapic && ((v->lapic->base & (APIC_BASE_EN | APIC_BASE_X2)) != APIC_BASE_EN))
		return false; /* the page is there in xAPIC mode only */
	if (write && (width < 4 || shift))
		return true;
	if (lapic)
		vlapic_mmio(v, offset, write, &word);
	else
		ioapic_mmio(v->vm, offset, write, &word);
	if (!write)
		*value = width < 4 ? word >> shift & ((1u << width * 8) - 1) : word >> shift;
	return true;
}

bool vdev_mmio(struct vcpu *v, gpa_t gpa, unsigned width, bool write, uint64_t *value)
{
	if (gpa - HV_GPA_LAPIC > MMIO_PAGE_MASK && gpa - HV_GPA_IOAPIC > MMIO_PAGE_MASK)
		return false;
	return ours_mmio(v, gpa, width, write, value);
}

/* ---- lines and messages ---- */
void vdev_line_locked(struct vm *vm, unsigned gsi, bool level)
{
	if (gsi < 16)
		vpic_set(vm, gsi, level);
	vioapic_set(vm, gsi ? gsi : 2, level); /* MADT: source override of IRQ 0 */
}

void vdev_line(struct vm *vm, unsigned gsi, bool level)
{
	spin_lock(&vm->irq_lock);
	vdev_line_locked(vm, gsi, level);
	spin_unlock(&vm->irq_lock);
}

int vm_irq_line(struct vm *vm, unsigned gsi, bool level)
{
	/* 0: PIT, 2: cascade and the PIT's pin, 4: UART */
	if (gsi >= HV_IOAPIC_PINS || gsi == 0 || gsi == 2 || gsi == 4)
		return -HVE_INVAL;
	vdev_line(vm, gsi, level);
	return 0;
}

int vm_msi(struct vm *vm, uint64_t address, uint32_t data)
{
	unsigned mode = data >> 8 & 7;
	bool logical = address & 4;

	if (address >> 20 != HV_GPA_LAPIC >> 20) /* SDM3 11.11.1 */
		return -HVE_INVAL;
	if (mode == APIC_STARTUP)
		return -HVE_INVAL;
	if ((address & 8) && logical && mode == APIC_FIXED) /* redirection hint: any one of them */
		mode = APIC_LOWEST;
	vlapic_send(NULL, vm, address >> 12 & 0xff, logical, mode, (uint8_t)data, data >> 15 & 1, 0,
		    false);
	return 0;
}

/* ---- life ---- */
int vm_devices_create(struct vm *vm)
{
	struct vdev_page *page = hv_page_alloc(&vm->acct);

	if (!page)
		return -HVE_NOMEM;
	vm->vpic = &page->vpic;
	vm->vioapic = &page->vioapic;
	vm->vpit = &page->vpit;
	vm->vuart = &page->vuart;
	vm->cpuid = &page->cpuid;
	vpit_init(vm);
	vuart_init(vm);
	vpic_reset(vm);
	vioapic_reset(vm);
	vpit_reset(vm);
	vuart_reset(vm);
	cpuid_build(vm);
	return 0;
}

void vm_devices_destroy(struct vm *vm)
{
	if (!vm->vpic)
		return;
	vpit_destroy(vm);
	vuart_destroy(vm);
	hv_page_free(&vm->acct, CONTAINER_OF(vm->vpic, struct vdev_page, vpic));
	vm->vpic = NULL;
	vm->vioapic = NULL;
	vm->vpit = NULL;
	vm->vuart = NULL;
	vm->cpuid = NULL;
}

void vm_devices_reset(struct vm *vm)
{
	vpit_destroy(vm);
	spin_lock(&vm->irq_lock);
	vpic_reset(vm);
	vioapic_reset(vm);
	vpit_reset(vm);
	spin_unlock(&vm->irq_lock);
	vuart_reset(vm);
	pvclock_reset(vm);
}
