/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMX: MSRs. Those in the VMCS are switched by the CPU. The system-call registers and the swapped GS base are not: hv does
 * not use them itself, so they are the guest's for its whole turn and hv's again at its end. Writes to the system-call
 * registers exit (systems write them once), so that their values are known without reading them back.
 */
#include "hv/vcpu/vmx_vmcs.h"
#include "hv/cpu/x86.h"
#include "hv/lib/string.h"

#define MAP_LOW                                                                                    \
	0u /* of the bitmap (SDM3 25.6.9): reads of 0 - 1fff, of c0000000 - c0001fff, then writes */
#define MAP_HIGH 1024u
#define MAP_WRITE 2048u

static uint8_t *msr_map; /* [I] [owns] what exits */
/* hv's own values of what stays the guest's between exits. */
static uint64_t host_star, host_lstar, host_sfmask; /* [I] the same on all CPUs */

void vmx_msr_open(uint8_t *map, uint32_t msr, bool write)
{
	uint32_t at = (msr < 0xc0000000u ? MAP_LOW : MAP_HIGH) + (write ? MAP_WRITE : 0);

	map[at + (msr & 0x1fff) / 8] &= (uint8_t) ~(1u << msr % 8);
}

int vmx_make_msr_map(void)
{
	static const uint32_t both[] = {0x174,       0x175,       0x176,
					MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE};
	static const uint32_t reads[] = {MSR_STAR, MSR_LSTAR, MSR_SFMASK};

	msr_map = hv_page_alloc(&account_hv);
	if (!msr_map)
		return -HVE_NOMEM;
	memset(msr_map, 0xff, PAGE_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(both); i++) {
		vmx_msr_open(msr_map, both[i], false);
		vmx_msr_open(msr_map, both[i], true);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(reads); i++)
		vmx_msr_open(msr_map, reads[i], false);
	host_star = rdmsr(MSR_STAR);
	host_lstar = rdmsr(MSR_LSTAR);
	host_sfmask = rdmsr(MSR_SFMASK);
	return 0;
}

hpa_t vmx_msr_map(void)
{
	return hv_to_phys(msr_map);
}

void vmx_msrs_load(struct vmx_vcpu *a)
{
	wrmsr(MSR_STAR, a->star);
	wrmsr(MSR_LSTAR, a->lstar);
	wrmsr(MSR_SFMASK, a->sfmask);
	wrmsr(MSR_KERNEL_GS_BASE, a->kernel_gs_base);
	wrmsr(MSR_TSC_AUX, a->tsc_aux);
}

/* In hv KERNEL_GS_BASE is the program's GS base: 0 (entry.S). */
void vmx_msrs_save(struct vmx_vcpu *a)
{
	a->kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE);
	wrmsr(MSR_KERNEL_GS_BASE, 0);
	wrmsr(MSR_STAR, host_star);
	wrmsr(MSR_LSTAR, host_lstar);
	wrmsr(MSR_SFMASK, host_sfmask);
}

static bool canonical(uint64_t a)
{
	return (a + (1ull << 47)) >> 48 == 0;
}

/* EFER: SDM3 2.2.1. Reserved bits and LME while paging is on are #GP; LMA is the CPU's. */
static int write_efer(uint64_t value)
{
	const uint64_t may = EFER_SCE | EFER_LME | EFER_LMA | (cpu_features.nx ? EFER_NXE : 0);
	uint64_t efer = vmread(VMCS_GUEST_EFER);

	if (value & ~may)
		return -HVE_INVAL;
	if ((vmread(VMCS_GUEST_CR0) & CR0_PG) && ((value ^ efer) & EFER_LME))
		return -HVE_INVAL;
	vmwrite(VMCS_GUEST_EFER, (value & ~EFER_LMA) | (efer & EFER_LMA));
	return 0;
}

/* Each byte names one of six memory types (SDM3 12.12.2). */
static int write_pat(uint64_t value)
{
	for (unsigned i = 0; i < 64; i += 8) {
		unsigned type = value >> i & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return -HVE_INVAL;
	}
	vmwrite(VMCS_GUEST_PAT, value);
	return 0;
}

/* Those that are in the CPU while the vCPU has its turn, and where they are kept. */
static uint64_t *live_msr(struct vmx_vcpu *a, uint32_t msr)
{
	switch (msr) {
	case MSR_STAR:
		return &a->star;
	case MSR_LSTAR:
		return &a->lstar;
	case MSR_SFMASK:
		return &a->sfmask;
	case MSR_TSC_AUX:
		return &a->tsc_aux;
	default:
		return NULL;
	}
}

/* The CPU would raise #GP in hv otherwise. */
static bool acceptable(uint32_t msr, uint64_t value)
{
	if (msr == MSR_LSTAR || msr == MSR_CSTAR)
		return canonical(value);
	return (msr != MSR_SFMASK && msr != MSR_TSC_AUX) || !(value >> 32);
}

static int msr_write(struct vmx_vcpu *a, uint32_t msr, uint64_t value)
{
	uint64_t *live = live_msr(a, msr);

	if (msr == MSR_EFER)
		return write_efer(value);
	if (msr == MSR_PAT)
		return write_pat(value);
	if (!live && msr != MSR_CSTAR)
		return -HVE_NOENT;
	if (!acceptable(msr, value))
		return -HVE_INVAL;
	if (live) {
		*live = value;
		wrmsr(msr, value);
	} else { /* Intel's SYSCALL never uses it */
		a->cstar = value;
	}
	return 0;
}

int vmx_msr(struct vcpu *v, uint32_t msr, bool write, uint64_t *value)
{
	struct vmx_vcpu *a = vmx_of(v);
	const uint64_t *live = live_msr(a, msr);

	if (write)
		return msr_write(a, msr, *value);
	if (msr == MSR_EFER)
		*value = vmread(VMCS_GUEST_EFER);
	else if (msr == MSR_PAT)
		*value = vmread(VMCS_GUEST_PAT);
	else if (msr == MSR_CSTAR)
		*value = a->cstar;
	else if (live)
		*value = *live;
	else
		return -HVE_NOENT;
	return 0;
}
