/* SPDX-License-Identifier: BSD-2-Clause */
/* KVM's hypercalls (Linux Documentation/virt/kvm/x86/hypercalls.rst): those that CPUID 0x40000001 offers. */
#include "hv/abi/hv_abi.h"
#include "hv/vm/vlapic.h"

#define KVM_HC_SEND_IPI 10u
#define KVM_EPERM 1
#define KVM_EINVAL 22
#define KVM_ENOSYS 1000
#define IPI_VECTOR_AND_MODE 0x7ffu

/* a0, a1: 128 bits of targets counted from APIC ID a2; a3: low half of an ICR. -> how many were sent to. */
static int64_t send_ipi(struct vcpu *v, uint64_t low, uint64_t high, uint64_t first, uint64_t icr)
{
	unsigned mode = icr >> 8 & 7;
	uint8_t vector = (uint8_t)icr;
	int64_t sent = 0;

	if (icr & ~(uint64_t)IPI_VECTOR_AND_MODE)
		return -KVM_EINVAL;
	if (mode != APIC_NMI && (mode != APIC_FIXED || vector < 16))
		return -KVM_EINVAL;
	for (unsigned i = 0; i < v->vm->n_vcpus; i++) {
		uint64_t at = i - first;

		if (i < first || at >= 128)
			continue;
		if (!((at < 64 ? low >> at : high >> (at - 64)) & 1))
			continue;
		sent += vlapic_send(v, v->vm, i, false, mode, vector, false, 0, true);
	}
	return sent;
}

int pv_hypercall(struct vcpu *v)
{
	uint64_t *g = v->gpr, mask = ~0ull;
	struct vcpu_context c;
	int64_t result;

	vendor->context(v, &c);
	if (c.mode != INSN_64)
		mask = 0xffffffff;
	if (c.cpl != 0)
		result = -KVM_EPERM;
	else if ((g[HV_RAX] & mask) == KVM_HC_SEND_IPI)
		result = send_ipi(v, g[HV_RBX] & mask, g[HV_RCX] & mask, g[HV_RDX] & mask,
				  g[HV_RSI] & mask);
	else
		result = -KVM_ENOSYS;
	g[HV_RAX] = (uint64_t)result & mask;
	return 0;
}
