/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMX: debug registers. An entry and an exit switch DR7 only. DR0-3 and DR6 are loaded at the guest's first use in a turn,
 * or at once when DR7 has breakpoints, and saved at the turn's end, so that no guest sees another's; hv itself runs with
 * the DR7 of an exit, which has none.
 */
#include "hv/vcpu/vmx_vmcs.h"
#include "hv/cpu/x86.h"

#define DR7_BREAKPOINTS 0xffull
#define DR7_DETECT (1ull << 13)
#define DR6_TRAPS 0xfull
#define DR6_RAISED                                                                                 \
	0x600full /* BS, BD, B3-0: as they stand in the qualification (SDM3 table 28-1) */

#define READ_DR(n, to) __asm__ volatile("mov %%db" #n ", %0" : "=r"(to))
#define WRITE_DR(n, from) __asm__ volatile("mov %0, %%db" #n : : "r"(from))

void vmx_dr_load(struct vmx_vcpu *a)
{
	WRITE_DR(0, a->dr[0]);
	WRITE_DR(1, a->dr[1]);
	WRITE_DR(2, a->dr[2]);
	WRITE_DR(3, a->dr[3]);
	WRITE_DR(6, a->dr6);
	a->dr_live = true;
	vmx_proc_change(a, PROC_MOV_DR, 0);
}

void vmx_dr_save(struct vmx_vcpu *a)
{
	READ_DR(0, a->dr[0]);
	READ_DR(1, a->dr[1]);
	READ_DR(2, a->dr[2]);
	READ_DR(3, a->dr[3]);
	READ_DR(6, a->dr6);
	a->dr_live = false;
	a->breakpoints = vmread(VMCS_GUEST_DR7) & DR7_BREAKPOINTS;
	vmx_proc_change(a, 0, PROC_MOV_DR);
}

void vmx_dr6_set(struct vmx_vcpu *a, uint64_t bits)
{
	uint64_t dr6 = a->dr6;

	if (a->dr_live)
		READ_DR(6, dr6);
	dr6 = bits & DR6_TRAPS ? (dr6 & ~DR6_TRAPS) | bits : dr6 | bits;
	if (a->dr_live)
		WRITE_DR(6, dr6);
	else
		a->dr6 = dr6;
}

/* An exit keeps DR6 and DR7 as they were, and says what would have been set (SDM3 28.1). INT1 sets nothing, and is a trap. */
void vmx_debug_exception(struct vcpu *v)
{
	uint64_t dr7 = vmread(VMCS_GUEST_DR7);

	if (EVENT_KIND(vmread(VMCS_EXIT_EVENT)) == EVENT_KIND_ICEBP) {
		v->rip += vmread(VMCS_INSN_LEN);
		return;
	}
	vmx_dr6_set(vmx_of(v), vmread(VMCS_QUALIFICATION) & DR6_RAISED);
	if (dr7 & DR7_DETECT)
		vmwrite(VMCS_GUEST_DR7, dr7 & ~DR7_DETECT);
}
