/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest-physical map and port map as this vmm arranges them. hv's part (LAPIC, IO-APIC, hole, UART) is in
 * hv/abi/hv_vm.h. dsdt.asl repeats the numbers that a guest's ACPI needs.
 *
 *	0x00000000  usable RAM; the boot structures at GPA_BOOT are dead once the guest's kernel runs
 *	0x000a0000  not described (VGA on a PC); RAM all the same
 *	0x000e0000  ACPI tables, RSDP first; reserved
 *	0x00100000  usable RAM up to its end or HV_GPA_HOLE
 *	0xc0000000  nothing
 *	0xe0000000  PCI configuration space of bus 0 (HV_GPA_ECAM); reserved
 *	0xe0100000  window for PCI BARs, up to the IO-APIC
 *	0x1_00000000  the rest of RAM
 */
#ifndef VMM_LAYOUT_H
#define VMM_LAYOUT_H

#include "hv/abi/hv_vm.h"

#define GPA_LOW_END 0xa0000ull
#define GPA_TABLES 0xe0000ull
#define GPA_TABLES_END 0x100000ull
#define GPA_MAIN 0x100000ull
#define GUEST_RAM_MIN 0x200000ull /* below that no image and no table has a place */

/* Boot structures: nothing of an image may be loaded here. */
#define GPA_BOOT 0x90000ull
#define GPA_BOOT_PARAMS 0x90000ull  /* Linux zero page, PVH start info, multiboot information */
#define GPA_BOOT_CMDLINE 0x91000ull /* 4 KiB */
#define GPA_BOOT_GDT 0x92000ull
#define GPA_BOOT_LISTS 0x93000ull /* memory map and module list: 4 KiB, module strings: 4 KiB */
#define GPA_BOOT_STRINGS 0x94000ull
#define GPA_BOOT_PAGES 0x95000ull /* PML4, PDPT, 4 page directories */
#define GPA_BOOT_END 0x9b000ull

#define ECAM_BYTES 0x100000ull
#define PCI_WINDOW 0xe0100000ull
#define PCI_WINDOW_END 0xfec00000ull
#define PCI_PORTS 0xd00u
#define PCI_PORTS_END 0x10000u
#define PCI_PORTS_GIVEN 0x1000u /* where functions have theirs after power-on, by slot */

enum port {
	PORT_KBC_COMMAND = 0x64,
	PORT_RTC_INDEX = 0x70,
	PORT_FAST_A20 = 0x92,
	PORT_PM = 0x600,          /* PM1a event 4, PM1a control 2, 2 unused, timer 4 */
	PORT_GPE0 = 0x620,        /* status 2, enable 2 */
	PORT_HOTPLUG = 0x640,     /* hotplug.c */
	PORT_PCI_ADDRESS = 0xcf8, /* and 0xcf9 reset, 0xcfc data */
	PORT_RESET = 0xcf9,
};
#define PORT_PM_LEN 12u
#define PORT_GPE0_LEN 4u
#define PORT_HOTPLUG_LEN 12u

#define GSI_SCI 9u
#define GSI_PCI 16u /* INTA-D of slot s: 16 + (s + pin) % 4 */

#endif
