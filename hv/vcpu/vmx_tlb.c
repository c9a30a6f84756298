/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translations that outlive an exit (SDM3 29.4). Two kinds, by what they are tagged with:
 *
 *   linear and combined ones, by VPID: each CPU hands VPIDs out in turn, as svm_asid.c does with ASIDs. One just handed
 *     out names no old translation; a new generation begins with an INVVPID of all. A vCPU that comes to another CPU, or
 *     was set to other registers, takes a new one.
 *   guest-physical and combined ones, by the EPT root: they change only when a VM is made (its root may have been
 *     another's, its tables something else), stopped and set up again, or gives memory back. Each of these is a new epoch, and each CPU
 *     answers an epoch it has not seen with an INVEPT of all before it enters a guest.
 */
#include "hv/vcpu/vmx_vmcs.h"

#define VPIDS 0x10000u

enum inv_type { INV_ONE = 1, INV_ALL = 2 };

static uint32_t ept_epoch; /* [a] */

struct inv_descriptor {
	uint64_t what, address;
};

static void invept(enum inv_type type, uint64_t eptp)
{
	struct inv_descriptor d = {eptp, 0};

	__asm__ volatile("invept %0, %1" : : "m"(d), "r"((uint64_t)type) : "cc", "memory");
}

static void invvpid(enum inv_type type, uint16_t vpid)
{
	struct inv_descriptor d = {vpid, 0};

	__asm__ volatile("invvpid %0, %1" : : "m"(d), "r"((uint64_t)type) : "cc", "memory");
}

static bool have_vpid(void)
{
	return vmx_features.proc2 & PROC2_VPID;
}

void vmx_tlb_enable(void)
{
	invept(INV_ALL, 0);
	if (have_vpid())
		invvpid(INV_ALL, 0);
}

static void vpid_new(struct vmx_vcpu *a, struct vmx_cpu *pc)
{
	if (!have_vpid())
		return; /* every entry and exit flushes */
	if (pc->vpid_next == 0 || pc->vpid_next == VPIDS) {
		pc->vpid_generation++;
		pc->vpid_next = 1; /* 0 is the host's */
		invvpid(INV_ALL, 0);
	}
	a->vpid = (uint16_t)pc->vpid_next++;
	a->vpid_generation = pc->vpid_generation;
	vmwrite(VMCS_VPID, a->vpid);
}

void vmx_tlb_load(struct vmx_vcpu *a, struct vmx_cpu *pc, bool moved)
{
	uint32_t epoch = __atomic_load_n(&ept_epoch, __ATOMIC_ACQUIRE);

	if (UNLIKELY(pc->ept_epoch != epoch)) {
		pc->ept_epoch = epoch;
		invept(INV_ALL, 0);
	}
	if (UNLIKELY(moved || a->vpid_generation != pc->vpid_generation))
		vpid_new(a, pc);
}

void vmx_tlb_forget(struct vmx_vcpu *a)
{
	a->vpid_generation = 0; /* of no CPU: the next load takes a new VPID */
	__atomic_fetch_add(&ept_epoch, 1, __ATOMIC_RELEASE);
}

/* SDM3 29.4.3.4: guest-physical and combined translations stay until INVEPT, which the new epoch brings to each CPU. */
void vmx_npt_changed(struct vcpu *v)
{
	vmx_tlb_forget(vmx_of(v));
}

/* The vCPU's own turn, between load and save: what its own page tables said. */
void vmx_flush(struct vcpu *v)
{
	if (!have_vpid())
		return;
	if (vmx_features.invvpid_one)
		invvpid(INV_ONE, vmx_of(v)->vpid);
	else
		vpid_new(vmx_of(v), this_cpu()->vendor);
}
