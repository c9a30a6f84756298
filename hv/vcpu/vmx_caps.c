/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a CPU's VMX offers (SDM3 appendix A), against what hv needs and what it likes to have. Pure: compiled on the host
 * too. Everything named as needed came at the latest with unrestricted guests (Westmere), so a CPU that has those lacks
 * none of it, unless something hides it.
 */
#include "hv/vcpu/vmx_vmcs.h"
#include "hv/lib/string.h"

#define BASIC_REVISION 0x7fffffffu
#define REVISION_BOCHS 0x2bu /* no CPU of Intel's is known to have it */
#define BASIC_SIZE(b) ((b) >> 32 & 0x1fff)
#define BASIC_MEMORY(b) ((b) >> 50 & 15)
#define BASIC_INSN_INFO (1ull << 54)
#define BASIC_TRUE (1ull << 55)
#define MEMORY_WB 6u

/* SDM3 A.10 */
#define EPT_WALK_4 (1ull << 6)
#define EPT_TYPE_WB (1ull << 14)
#define EPT_2M (1ull << 16)
#define EPT_1G (1ull << 17)
#define INVEPT (1ull << 20)
#define EPT_ACCESSED_DIRTY (1ull << 21)
#define INVEPT_ONE (1ull << 25)
#define INVEPT_ALL (1ull << 26)
#define INVVPID (1ull << 32)
#define INVVPID_ONE (1ull << 41)
#define INVVPID_ALL (1ull << 42)

/* The EPT pointer (SDM3 25.6.11). */
#define EPTP_WB 6ull
#define EPTP_WALK_4 (3ull << 3)
#define EPTP_ACCESSED_DIRTY (1ull << 6)

#define CR0_PE_PG 0x80000001u /* what unrestricted guests are exempt from */
#define CR0_NE_ONLY 0x20u
#define CR4_VMXE_ONLY 0x2000u

/* One control word. caps: low half what must be 1, high half what may be (SDM3 A.3.1). */
struct choice {
	uint64_t caps;
	uint32_t needed, liked, unwanted;
	uint32_t *out;
};

/* Bits that are missing, or forced on. */
static uint32_t choose(const struct choice *c)
{
	uint32_t must = (uint32_t)c->caps, may = (uint32_t)(c->caps >> 32);

	*c->out = must | c->needed | (c->liked & may);
	return (c->needed & ~may) | (c->unwanted & must);
}

/* The firmware's word; where it has not spoken, hv decides itself (vmx.c). */
static const char *check_control(const struct vmx_caps *in)
{
	if ((in->feature_control & (FEATURE_LOCKED | FEATURE_VMXON)) != FEATURE_LOCKED)
		return NULL;
	return "VMX is switched off and locked by the firmware (IA32_FEATURE_CONTROL); enable it "
	       "in its "
	       "setup";
}

static const char *check_basic(const struct vmx_caps *in)
{
	if (BASIC_SIZE(in->basic) > PAGE_SIZE || BASIC_MEMORY(in->basic) != MEMORY_WB)
		return "this CPU wants its VMX structures in a form Socle does not know";
	if (!(in->basic & BASIC_TRUE) || !(in->proc >> 32 & PROC_SECONDARY))
		return "this CPU's VMX is the first generation without nested paging (EPT), which "
		       "Socle "
		       "needs";
	if (!(in->proc2 >> 32 & PROC2_EPT))
		return "this CPU's VMX has no nested paging (EPT), which Socle needs";
	if (!(in->proc2 >> 32 & PROC2_UNRESTRICTED))
		return "this CPU's VMX has no unrestricted guest mode, and Socle needs "
		       "unrestricted guest";
	return NULL;
}

static const char *check_ept(const struct vmx_caps *in)
{
	const uint64_t needed = EPT_WALK_4 | EPT_TYPE_WB | EPT_2M | INVEPT | INVEPT_ALL;

	if ((in->ept_vpid & needed) != needed)
		return "this CPU's EPT lacks write-back tables of four levels, 2 MiB pages or "
		       "INVEPT";
	if ((in->cr0_fixed0 & ~(uint64_t)CR0_PE_PG) != CR0_NE_ONLY ||
	    in->cr4_fixed0 != CR4_VMXE_ONLY)
		return "this CPU's VMX wants control register bits that Socle does not know";
	return NULL;
}

static const char *choose_controls(const struct vmx_caps *in, struct vmx_features *f)
{
	const struct choice choices[] = {
		{in->pin, PIN_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI, PIN_PREEMPTION, 0, &f->pin},
		{in->proc,
		 PROC_TSC_OFFSET | PROC_HLT | PROC_MWAIT | PROC_RDPMC | PROC_CR8_LOAD |
			 PROC_CR8_STORE | PROC_MOV_DR | PROC_IO | PROC_MSR_BITMAP | PROC_MONITOR |
			 PROC_SECONDARY,
		 0, PROC_INVLPG | PROC_CR3_LOAD | PROC_CR3_STORE, &f->proc},
		{in->proc2, PROC2_EPT | PROC2_UNRESTRICTED | PROC2_RDTSCP,
		 PROC2_VPID | PROC2_WBINVD | PROC2_PAUSE_LOOP | PROC2_INVPCID | PROC2_ENCLS, 0,
		 &f->proc2},
		{in->exit,
		 EXIT_SAVE_DEBUG | EXIT_HOST_64 | EXIT_ACKNOWLEDGE | EXIT_LOAD_PAT |
			 EXIT_SAVE_EFER | EXIT_LOAD_EFER,
		 EXIT_SAVE_PREEMPTION, 0, &f->exit},
		{in->entry, ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER, 0, ENTRY_GUEST_64,
		 &f->entry},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(choices); i++)
		if (choose(&choices[i]))
			return "this CPU's VMX lacks a control that Socle needs";
	return NULL;
}

const char *vmx_caps_choose(const struct vmx_caps *in, struct vmx_features *out)
{
	struct vmx_features f = {.revision = in->basic & BASIC_REVISION};
	const char *why = check_control(in);

	if (!why)
		why = check_basic(in);
	if (!why)
		why = check_ept(in);
	if (!why)
		why = choose_controls(in, &f);
	if (why)
		return why;
	f.apic = (in->proc >> 32 & PROC_TPR_SHADOW) && (in->proc2 >> 32 & PROC2_APIC) == PROC2_APIC;
	f.posted = f.apic && (in->pin >> 32 & PIN_POSTED);
	f.irq_leak = f.apic && f.revision == REVISION_BOCHS;
	f.insn_info = in->basic & BASIC_INSN_INFO;
	f.preemption_shift = in->misc & 31;
	/* Of any use only together (SDM3 27.2.1.2). */
	if (!(f.pin & PIN_PREEMPTION) || !(f.exit & EXIT_SAVE_PREEMPTION)) {
		f.pin &= ~PIN_PREEMPTION;
		f.exit &= ~EXIT_SAVE_PREEMPTION;
	}
	f.eptp_bits = EPTP_WB | EPTP_WALK_4;
	if (in->ept_vpid & EPT_ACCESSED_DIRTY)
		f.eptp_bits |= EPTP_ACCESSED_DIRTY;
	f.ept_1g = in->ept_vpid & EPT_1G;
	f.invept_one = in->ept_vpid & INVEPT_ONE;
	f.invvpid_one = in->ept_vpid & INVVPID_ONE;
	/* Without INVVPID the tags could not be used again. */
	if ((in->ept_vpid & (INVVPID | INVVPID_ALL)) != (INVVPID | INVVPID_ALL))
		f.proc2 &= ~PROC2_VPID;
	*out = f;
	return NULL;
}
