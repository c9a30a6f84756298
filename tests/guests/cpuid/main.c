/* SPDX-License-Identifier: BSD-2-Clause */
/* CPUID tells of the paravirtual interface, hides what guests do not have, and counts its CPUs. */
#include "guest.h"

enum {
	HYPERVISOR = 1u << 31,
	X2APIC = 1 << 21,
	DEADLINE = 1 << 24,
	MONITOR = 1 << 3,
	SVM = 1 << 2,
	VMX = 1 << 5
};

void guest_main(void)
{
	uint32_t r[4];

	cpuid(0x40000000, 0, r);
	check(r[1] == 0x4b4d564b && r[2] == 0x564b4d56 && r[3] == 0x4d, "signature %x %x %x", r[1],
	      r[2], r[3]);
	check(r[0] >= 0x40000001, "highest KVM leaf %x", r[0]);
	cpuid(0x40000001, 0, r);
	check(r[0] & 1 << 3, "no CLOCKSOURCE2: %x", r[0]);
	check(r[0] & 1 << 24, "no stable clock: %x", r[0]);
	cpuid(1, 0, r);
	check(r[2] & HYPERVISOR, "no hypervisor bit");
	check(r[2] & X2APIC, "no x2APIC");
	check(r[2] & DEADLINE, "no TSC deadline");
	check(!(r[2] & MONITOR), "MONITOR offered");
	check(!(r[2] & VMX), "VMX offered");
	check((r[1] >> 24) == 0, "APIC id %x", r[1] >> 24);
	cpuid(0x80000001, 0, r);
	check(!(r[2] & SVM), "SVM offered");
	cpuid(0xb, 1, r);
	check(r[1] == 4, "%u CPUs in leaf 0xb", r[1]);
	done();
}
