/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's RDMSR and WRMSR that exit. No write reaches a host MSR here: an MSR is emulated, belongs to the vendor's
 * control block, is one of the few that systems touch without asking CPUID first (a constant; writes are dropped), or
 * does not exist: #GP.
 */
#include "hv/abi/hv_abi.h"
#include "hv/vm/vlapic.h"

enum msr_number {
	MSR_TSC = 0x10,
	MSR_KVM_WALL_CLOCK_OLD = 0x11,
	MSR_KVM_SYSTEM_TIME_OLD = 0x12,
	MSR_PLATFORM_ID = 0x17,
	MSR_GUEST_APIC_BASE = 0x1b,
	MSR_EBL_CR_POWERON = 0x2a,
	MSR_SMI_COUNT = 0x34,
	MSR_FEATURE_CONTROL = 0x3a,
	MSR_UCODE_UPDATE = 0x79,
	MSR_UCODE_REV = 0x8b, /* AMD: PATCH_LEVEL */
	MSR_FSB_FREQ = 0xcd,
	MSR_GUEST_PLATFORM_INFO = 0xce,
	MSR_MTRR_CAP = 0xfe,
	MSR_BBL_CR_CTL3 = 0x11e,
	MSR_MISC_FEATURES = 0x140,
	MSR_MCG_CAP = 0x179,
	MSR_MCG_STATUS = 0x17a,
	MSR_PERF_STATUS = 0x198,
	MSR_MISC_ENABLE = 0x1a0,
	MSR_DEBUGCTL = 0x1d9,
	MSR_MTRR_VAR_FIRST = 0x200,
	MSR_MTRR_VAR_LAST = 0x20f,
	MSR_MTRR_FIX64K = 0x250,
	MSR_MTRR_FIX16K_0 = 0x258,
	MSR_MTRR_FIX16K_1 = 0x259,
	MSR_MTRR_FIX4K_FIRST = 0x268,
	MSR_MTRR_FIX4K_LAST = 0x26f,
	MSR_MTRR_DEF_TYPE = 0x2ff,
	MSR_GUEST_TSC_DEADLINE = 0x6e0,
	MSR_GUEST_X2APIC_FIRST = 0x800,
	MSR_GUEST_X2APIC_COUNT = 0x40,
	MSR_KVM_WALL_CLOCK = 0x4b564d00,
	MSR_KVM_SYSTEM_TIME = 0x4b564d01,
};
enum amd_msr {
	MSR_SYSCFG = (int)0xc0010010,
	MSR_HWCR = (int)0xc0010015,
	MSR_IORR_FIRST = (int)0xc0010016,
	MSR_TOP_MEM2 = (int)0xc001001d,
	MSR_NB_CFG = (int)0xc001001f,
	MSR_INT_PENDING = (int)0xc0010055,
	MSR_VM_CR = (int)0xc0010114,
	MSR_LS_CFG = (int)0xc0011020,
	MSR_IC_CFG = (int)0xc0011021,
	MSR_DC_CFG = (int)0xc0011022,
	MSR_BU_CFG = (int)0xc0011023,
	MSR_DE_CFG = (int)0xc0011029,
	MSR_BU_CFG2 = (int)0xc001102a,
};

#define FEATURE_CONTROL_LOCKED 1u
#define UCODE_AMD 0x01000065u
#define UCODE_INTEL (1ull << 32)
#define MISC_ENABLE_FAST_STRINGS 1u
#define MTRR_DEF_WB_ENABLED 0x806u     /* MTRRs on, default write-back */
#define HWCR_TSC_FREQ_SEL (1ull << 24) /* the TSC counts at the P0 frequency */
#define DE_CFG_LFENCE (1ull << 1)      /* LFENCE serialises */

static int constant_amd(uint32_t msr, uint64_t *value)
{
	switch ((enum amd_msr)msr) {
	case MSR_HWCR:
		*value = HWCR_TSC_FREQ_SEL;
		return 0;
	case MSR_DE_CFG:
		*value = DE_CFG_LFENCE;
		return 0;
	case MSR_IORR_FIRST ... MSR_TOP_MEM2:
	case MSR_SYSCFG:
	case MSR_NB_CFG:
	case MSR_INT_PENDING:
	case MSR_VM_CR:
	case MSR_LS_CFG:
	case MSR_IC_CFG:
	case MSR_DC_CFG:
	case MSR_BU_CFG:
	case MSR_BU_CFG2:
		*value = 0;
		return 0;
	default:
		return -HVE_NOENT;
	}
}

static int constant(uint32_t msr, uint64_t *value)
{
	switch ((enum msr_number)msr) {
	case MSR_FEATURE_CONTROL:
		*value = FEATURE_CONTROL_LOCKED;
		return 0;
	case MSR_UCODE_REV:
		*value = cpu_features.amd ? UCODE_AMD : UCODE_INTEL;
		return 0;
	case MSR_MISC_ENABLE:
		*value = MISC_ENABLE_FAST_STRINGS;
		return 0;
	case MSR_MTRR_DEF_TYPE: /* no MTRRs in CPUID; firmware looks anyway */
		*value = MTRR_DEF_WB_ENABLED;
		return 0;
	case MSR_MTRR_VAR_FIRST ... MSR_MTRR_VAR_LAST:
	case MSR_MTRR_FIX4K_FIRST ... MSR_MTRR_FIX4K_LAST:
	case MSR_MTRR_FIX64K:
	case MSR_MTRR_FIX16K_0:
	case MSR_MTRR_FIX16K_1:
	case MSR_MTRR_CAP:
	case MSR_PLATFORM_ID:
	case MSR_EBL_CR_POWERON:
	case MSR_SMI_COUNT:
	case MSR_UCODE_UPDATE:
	case MSR_FSB_FREQ:
	case MSR_GUEST_PLATFORM_INFO:
	case MSR_BBL_CR_CTL3:
	case MSR_MISC_FEATURES:
	case MSR_MCG_CAP: /* no banks */
	case MSR_MCG_STATUS:
	case MSR_PERF_STATUS:
	case MSR_DEBUGCTL:
		*value = 0;
		return 0;
	default:
		return cpu_features.amd ? constant_amd(msr, value) : -HVE_NOENT;
	}
}

static int rest(struct vcpu *v, uint32_t msr, bool write, uint64_t *value)
{
	uint64_t was;
	int rc = constant(msr, write ? &was : value);

	if (rc == -HVE_NOENT)
		rc = vendor->msr(v, msr, write, value);
	return rc ? -HVE_INVAL : 0;
}

/* Not inlined: the x2APIC's path is to have no stack frame. */
static __attribute__((noinline)) int others(struct vcpu *v, uint32_t msr, bool write,
					    uint64_t *value)
{
	switch ((enum msr_number)msr) {
	case MSR_GUEST_APIC_BASE:
		if (write)
			return vlapic_msr(v, msr, write, value);
		*value = vlapic_base(v);
		return 0;
	case MSR_TSC: /* runs native and cannot be set */
		if (!write)
			*value = rdtsc() + v->vm->tsc_offset;
		return 0;
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_SYSTEM_TIME:
	case MSR_KVM_WALL_CLOCK_OLD:
	case MSR_KVM_SYSTEM_TIME_OLD:
		return pvclock_msr(v, msr, write, value);
	default:
		return rest(v, msr, write, value);
	}
}

int vcpu_msr(struct vcpu *v, uint32_t msr, bool write, uint64_t *value)
{
	if (LIKELY(msr - MSR_GUEST_X2APIC_FIRST < MSR_GUEST_X2APIC_COUNT) ||
	    msr == MSR_GUEST_TSC_DEADLINE)
		return vlapic_msr(v, msr, write, value);
	return others(v, msr, write, value);
}
