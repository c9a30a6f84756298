/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest cannot find by itself (ACPI 6.4, 5.2.11.1): the PCI bus and its windows, interrupt routing, slots, the
 * legacy devices that exist, and S5. Numbers are those of ctrl-kernel/vmm/layout.h and hv/abi/hv_vm.h.
 * Processors stand in the MADT only. The power button is a fixed feature (FADT). The clock has no interrupt.
 */

DefinitionBlock ("dsdt.aml", "DSDT", 2, "SOCLE ", "SOCLEVM ", 1)
{
	Name (_S5, Package () { 5, 5, 0, 0 })

	Scope (_GPE)
	{
		Method (_L01) { \_SB.PCI0.PCNT () }
	}

	Scope (_SB)
	{
		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A08"))
			Name (_CID, EisaId ("PNP0A03"))
			Name (_UID, 0)
			Name (_SEG, 0)
			Name (_BBN, 0)
			Name (_CRS, ResourceTemplate () {
				WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
					0, 0, 0, 0, 1)
				IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0, 0x0000, 0x0CF7, 0, 0x0CF8)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0, 0x0D00, 0xFFFF, 0, 0xF300)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
					NonCacheable, ReadWrite,
					0, 0xE0100000, 0xFEBFFFFF, 0, 0x1EB00000)
			})
			/* Two lines for a slot: INTA..INTD -> GSI 16 + (slot + pin) % 4 */
			Name (_PRT, Package () {
				Package () { 0x0001FFFF, 0, 0, 17 }, Package () { 0x0001FFFF, 1, 0, 18 },
				Package () { 0x0001FFFF, 2, 0, 19 }, Package () { 0x0001FFFF, 3, 0, 16 },
				Package () { 0x0002FFFF, 0, 0, 18 }, Package () { 0x0002FFFF, 1, 0, 19 },
				Package () { 0x0002FFFF, 2, 0, 16 }, Package () { 0x0002FFFF, 3, 0, 17 },
				Package () { 0x0003FFFF, 0, 0, 19 }, Package () { 0x0003FFFF, 1, 0, 16 },
				Package () { 0x0003FFFF, 2, 0, 17 }, Package () { 0x0003FFFF, 3, 0, 18 },
				Package () { 0x0004FFFF, 0, 0, 16 }, Package () { 0x0004FFFF, 1, 0, 17 },
				Package () { 0x0004FFFF, 2, 0, 18 }, Package () { 0x0004FFFF, 3, 0, 19 },
				Package () { 0x0005FFFF, 0, 0, 17 }, Package () { 0x0005FFFF, 1, 0, 18 },
				Package () { 0x0005FFFF, 2, 0, 19 }, Package () { 0x0005FFFF, 3, 0, 16 },
				Package () { 0x0006FFFF, 0, 0, 18 }, Package () { 0x0006FFFF, 1, 0, 19 },
				Package () { 0x0006FFFF, 2, 0, 16 }, Package () { 0x0006FFFF, 3, 0, 17 },
				Package () { 0x0007FFFF, 0, 0, 19 }, Package () { 0x0007FFFF, 1, 0, 16 },
				Package () { 0x0007FFFF, 2, 0, 17 }, Package () { 0x0007FFFF, 3, 0, 18 },
				Package () { 0x0008FFFF, 0, 0, 16 }, Package () { 0x0008FFFF, 1, 0, 17 },
				Package () { 0x0008FFFF, 2, 0, 18 }, Package () { 0x0008FFFF, 3, 0, 19 },
				Package () { 0x0009FFFF, 0, 0, 17 }, Package () { 0x0009FFFF, 1, 0, 18 },
				Package () { 0x0009FFFF, 2, 0, 19 }, Package () { 0x0009FFFF, 3, 0, 16 },
				Package () { 0x000AFFFF, 0, 0, 18 }, Package () { 0x000AFFFF, 1, 0, 19 },
				Package () { 0x000AFFFF, 2, 0, 16 }, Package () { 0x000AFFFF, 3, 0, 17 },
				Package () { 0x000BFFFF, 0, 0, 19 }, Package () { 0x000BFFFF, 1, 0, 16 },
				Package () { 0x000BFFFF, 2, 0, 17 }, Package () { 0x000BFFFF, 3, 0, 18 },
				Package () { 0x000CFFFF, 0, 0, 16 }, Package () { 0x000CFFFF, 1, 0, 17 },
				Package () { 0x000CFFFF, 2, 0, 18 }, Package () { 0x000CFFFF, 3, 0, 19 },
				Package () { 0x000DFFFF, 0, 0, 17 }, Package () { 0x000DFFFF, 1, 0, 18 },
				Package () { 0x000DFFFF, 2, 0, 19 }, Package () { 0x000DFFFF, 3, 0, 16 },
				Package () { 0x000EFFFF, 0, 0, 18 }, Package () { 0x000EFFFF, 1, 0, 19 },
				Package () { 0x000EFFFF, 2, 0, 16 }, Package () { 0x000EFFFF, 3, 0, 17 },
				Package () { 0x000FFFFF, 0, 0, 19 }, Package () { 0x000FFFFF, 1, 0, 16 },
				Package () { 0x000FFFFF, 2, 0, 17 }, Package () { 0x000FFFFF, 3, 0, 18 }
			})

			/* Slots in which something comes and goes (hotplug.c). What has come is 1, a device check; what is
			 * to go is 3, an eject request (5.6.6). What was read is cleared before it is told. */
			OperationRegion (PCHP, SystemIO, 0x0640, 12)
			Field (PCHP, DWordAcc, NoLock, WriteAsZeros) { PCIU, 32, PCID, 32, PCIE, 32 }
			Device (S04) { Name (_ADR, 0x00040000) Name (_SUN, 4) Method (_EJ0, 1) { PCIE = 0x0010 } }
			Device (S05) { Name (_ADR, 0x00050000) Name (_SUN, 5) Method (_EJ0, 1) { PCIE = 0x0020 } }
			Device (S06) { Name (_ADR, 0x00060000) Name (_SUN, 6) Method (_EJ0, 1) { PCIE = 0x0040 } }
			Device (S07) { Name (_ADR, 0x00070000) Name (_SUN, 7) Method (_EJ0, 1) { PCIE = 0x0080 } }
			Device (S08) { Name (_ADR, 0x00080000) Name (_SUN, 8) Method (_EJ0, 1) { PCIE = 0x0100 } }
			Device (S09) { Name (_ADR, 0x00090000) Name (_SUN, 9) Method (_EJ0, 1) { PCIE = 0x0200 } }
			Device (S10) { Name (_ADR, 0x000A0000) Name (_SUN, 10) Method (_EJ0, 1) { PCIE = 0x0400 } }
			Device (S11) { Name (_ADR, 0x000B0000) Name (_SUN, 11) Method (_EJ0, 1) { PCIE = 0x0800 } }
			Device (S12) { Name (_ADR, 0x000C0000) Name (_SUN, 12) Method (_EJ0, 1) { PCIE = 0x1000 } }
			Device (S13) { Name (_ADR, 0x000D0000) Name (_SUN, 13) Method (_EJ0, 1) { PCIE = 0x2000 } }
			Device (S14) { Name (_ADR, 0x000E0000) Name (_SUN, 14) Method (_EJ0, 1) { PCIE = 0x4000 } }
			Device (S15) { Name (_ADR, 0x000F0000) Name (_SUN, 15) Method (_EJ0, 1) { PCIE = 0x8000 } }
			Method (PCNT, 0, Serialized)
			{
				Local0 = PCIU
				PCIU = Local0
				Local1 = PCID
				PCID = Local1
				If (Local0 & 0x0010) { Notify (S04, 1) }
				If (Local0 & 0x0020) { Notify (S05, 1) }
				If (Local0 & 0x0040) { Notify (S06, 1) }
				If (Local0 & 0x0080) { Notify (S07, 1) }
				If (Local0 & 0x0100) { Notify (S08, 1) }
				If (Local0 & 0x0200) { Notify (S09, 1) }
				If (Local0 & 0x0400) { Notify (S10, 1) }
				If (Local0 & 0x0800) { Notify (S11, 1) }
				If (Local0 & 0x1000) { Notify (S12, 1) }
				If (Local0 & 0x2000) { Notify (S13, 1) }
				If (Local0 & 0x4000) { Notify (S14, 1) }
				If (Local0 & 0x8000) { Notify (S15, 1) }
				If (Local1 & 0x0010) { Notify (S04, 3) }
				If (Local1 & 0x0020) { Notify (S05, 3) }
				If (Local1 & 0x0040) { Notify (S06, 3) }
				If (Local1 & 0x0080) { Notify (S07, 3) }
				If (Local1 & 0x0100) { Notify (S08, 3) }
				If (Local1 & 0x0200) { Notify (S09, 3) }
				If (Local1 & 0x0400) { Notify (S10, 3) }
				If (Local1 & 0x0800) { Notify (S11, 3) }
				If (Local1 & 0x1000) { Notify (S12, 3) }
				If (Local1 & 0x2000) { Notify (S13, 3) }
				If (Local1 & 0x4000) { Notify (S14, 3) }
				If (Local1 & 0x8000) { Notify (S15, 3) }
			}
		}

		/* Keeps the ECAM area, and the ports of hot-plug, out of anybody's hands (PCI Firmware 3.3, 4.1.2) */
		Device (ECAM)
		{
			Name (_HID, EisaId ("PNP0C02"))
			Name (_CRS, ResourceTemplate () {
				Memory32Fixed (ReadWrite, 0xE0000000, 0x00100000)
				IO (Decode16, 0x0640, 0x0640, 1, 12)
			})
		}

		Device (COM1)
		{
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, 1)
			Name (_CRS, ResourceTemplate () {
				IO (Decode16, 0x03F8, 0x03F8, 1, 8)
				IRQNoFlags () { 4 }
			})
		}

		Device (RTC)
		{
			Name (_HID, EisaId ("PNP0B00"))
			Name (_CRS, ResourceTemplate () {
				IO (Decode16, 0x0070, 0x0070, 1, 2)
			})
		}
	}
}
