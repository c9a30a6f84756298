/* SPDX-License-Identifier: BSD-2-Clause */
/* Power off (ACPI S5) and reboot, by every way a PC may offer, most civilised first. */
#include "hv/cpu/x86.h"
#include "hv/lib/log.h"
#include "hv/mm/init.h"
#include "hv/plat/acpi.h"
#include "hv/plat/init.h"
#include "hv/plat/uart.h"

#define SCI_ENABLED 1u
#define SLEEP_ENABLE (1u << 13) /* ACPI 4.8.3.2.1 */
#define SLEEP_TYPE_SHIFT 10u
#define HW_SLEEP_ENABLE (1u << 5) /* ACPI 4.8.3.7 */
#define HW_SLEEP_TYPE_SHIFT 2u
#define WAIT_US 100000u

static void gas_write(const struct acpi_gas *g, uint8_t value)
{
	volatile uint8_t *p;

	if (g->space == ACPI_IO && g->address <= UINT16_MAX) {
		outb((uint16_t)g->address, value);
	} else if (g->space == ACPI_MEMORY) {
		p = mm_map_device(g->address, 1);
		if (p != NULL)
			*p = value;
	} else if (g->space == ACPI_PCI) { /* 5.2.3.2: device 32-47, function 16-31, offset 0-15 */
		uint32_t bdf = (uint32_t)(g->address >> 29 & 0xf8) | (g->address >> 16 & 7);

		(void)!pci_config_write(bdf, g->address & 0xff, 1, value);
	}
}

/* The firmware owns the power registers until told otherwise (ACPI 4.8.2.5). */
static void acpi_enable(void)
{
	uint16_t port = (uint16_t)acpi.pm1a_control;

	if ((inw(port) & SCI_ENABLED) != 0 || acpi.smi_command == 0 || acpi.acpi_enable == 0)
		return;
	outb((uint16_t)acpi.smi_command, acpi.acpi_enable);
	for (unsigned us = 0; us < WAIT_US && (inw(port) & SCI_ENABLED) == 0; us += 10)
		time_delay_us(10);
}

static void sleep_write(uint32_t port, uint8_t type)
{
	uint16_t keep;

	if (port == 0)
		return;
	keep = inw((uint16_t)port) & (uint16_t) ~(7u << SLEEP_TYPE_SHIFT | SLEEP_ENABLE);
	outw((uint16_t)port, (uint16_t)(keep | type << SLEEP_TYPE_SHIFT | SLEEP_ENABLE));
}

void plat_power_off(void)
{
	if (!acpi.has_s5) {
		log_printf("power: ACPI names no way to switch this machine off");
		return;
	}
	log_printf("power: off");
	uart_flush();
	if (acpi.sleep_control.address != 0)
		gas_write(&acpi.sleep_control,
			  (uint8_t)(acpi.s5_a << HW_SLEEP_TYPE_SHIFT | HW_SLEEP_ENABLE));
	if (acpi.pm1a_control != 0) {
		acpi_enable();
		sleep_write(acpi.pm1a_control, acpi.s5_a);
		sleep_write(acpi.pm1b_control, acpi.s5_b);
	}
	time_delay_us(WAIT_US);
	log_printf("power: the machine did not switch off");
}

NORETURN void plat_reboot(void)
{
	static const struct PACKED {
		uint16_t limit;
		uint64_t base;
	} no_idt;

	log_printf("power: reboot");
	uart_flush();
	if (acpi.has_reset)
		gas_write(&acpi.reset, acpi.reset_value);
	time_delay_us(WAIT_US);
	outb(0xcf9,
	     0x02); /* reset control register of every chipset since PIIX3: hard reset, then go */
	outb(0xcf9, 0x06);
	time_delay_us(WAIT_US);
	outb(0x64, 0xfe); /* keyboard controller: pulse the reset line */
	time_delay_us(WAIT_US);
	__asm__ volatile("lidt %0; ud2" : : "m"(no_idt)); /* triple fault */
	for (;;)
		cpu_hlt();
}
