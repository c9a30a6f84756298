/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt messages between APICs: destinations and delivery modes, for ICR writes, the IO-APIC, MSIs and the
 * IPI hypercall. APIC IDs are vCPU indices, so a set of targets is a mask of HV_VCPUS_MAX bits.
 */
#include "hv/vm/vlapic.h"

#define X2_BROADCAST 0xffffffffull
#define X1_BROADCAST 0xffull

enum shorthand { TO_DEST = 0, TO_SELF = 1, TO_ALL = 2, TO_OTHERS = 3 };

static uint32_t all_of(const struct vm *vm)
{
	return (1u << vm->n_vcpus) - 1;
}

/* Does a message with this logical destination reach the APIC? SDM3 11.6.2.2, 11.12.10. */
static bool logical_hit(const struct vlapic *l, uint64_t dest, bool x2apic_dest)
{
	uint32_t ldr = l->ldr >> 24;

	if (vlapic_x2(l)) { /* index < 16: all are in cluster 0 */
		uint64_t cluster = x2apic_dest ? dest >> 16 : 0;

		return cluster == 0 && (dest >> (l->v->index & 15) & 1);
	}
	if (x2apic_dest && dest > X1_BROADCAST)
		return false;
	if (l->dfr >> 28 == 0xf) /* flat */
		return ldr & dest;
	return ldr >> 4 == dest >> 4 && (ldr & dest & 0xf);
}

static uint32_t targets_of(struct vm *vm, uint64_t dest, bool logical, bool x2apic_dest)
{
	uint32_t mask = 0;

	if (dest == (x2apic_dest ? X2_BROADCAST : X1_BROADCAST))
		return all_of(vm);
	if (!logical)
		return dest < vm->n_vcpus ? 1u << dest : 0;
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		if (logical_hit(vm->vcpus[i]->lapic, dest, x2apic_dest))
			mask |= 1u << i;
	return mask;
}

/* Lowest priority: one of the APICs that would accept, chosen by the vector, so that vectors spread over the vCPUs
 * and each stays where its data is. Arbitration is the implementation's business (SDM3 11.6.2.4). */
static uint32_t lowest_of(struct vm *vm, uint32_t mask, uint8_t vector)
{
	uint32_t able = 0;
	unsigned n = 0, pick;

	for (uint32_t m = mask; m; m &= m - 1) {
		if (!vlapic_enabled(vm->vcpus[__builtin_ctz(m)]->lapic))
			continue;
		able |= m & -m;
		n++;
	}
	if (!n)
		return 0;
	pick = vector % n;
	while (pick--)
		able &= able - 1;
	return able & -able;
}

static bool deliver(struct vcpu *v, const struct vcpu *from, unsigned mode, uint8_t vector,
		    bool level)
{
	switch (mode) {
	case APIC_FIXED:
	case APIC_LOWEST:
		if (v == from)
			vlapic_set_own(v->lapic, vector);
		else
			vlapic_accept(v, vector, level);
		return vlapic_enabled(v->lapic);
	case APIC_NMI:
		vcpu_attend(v, ATT_NMI, BLOCK_HALT);
		break;
	case APIC_INIT:
		/* A SIPI from before it, not looked at yet, does not start the CPU again. */
		__atomic_fetch_and(&v->attention, ~(uint32_t)ATT_SIPI, __ATOMIC_SEQ_CST);
		vcpu_attend(v, ATT_INIT, BLOCK_HALT);
		break;
	case APIC_STARTUP:
		__atomic_store_n(&v->sipi_vector, vector, __ATOMIC_RELEASE);
		vcpu_attend(v, ATT_SIPI, BLOCK_INIT);
		break;
	case APIC_EXTINT: /* the PIC says itself what it wants */
		vcpu_attend(v, ATT_IRQ, BLOCK_HALT);
		break;
	default: /* SMI: there is no SMM; reserved modes */
		return false;
	}
	return true;
}

bool vlapic_send(struct vcpu *from, struct vm *vm, uint64_t dest, bool logical, unsigned mode,
		 uint8_t vector, bool level, unsigned shorthand, bool x2apic_dest)
{
	bool taken = false;
	uint32_t mask;

	if (shorthand == TO_DEST)
		mask = targets_of(vm, dest, logical, x2apic_dest);
	else if (shorthand == TO_SELF)
		mask = 1u << from->index;
	else
		mask = shorthand == TO_ALL ? all_of(vm) : all_of(vm) & ~(1u << from->index);
	if (mode == APIC_LOWEST)
		mask = lowest_of(vm, mask, vector);
	for (; mask; mask &= mask - 1) {
		struct vcpu *v = vm->vcpus[__builtin_ctz(mask)];

		if (v->lapic->base & APIC_BASE_EN)
			taken |= deliver(v, from, mode, vector, level);
	}
	return taken;
}

void vlapic_icr_write(struct vlapic *l, uint64_t icr)
{
	bool x2 = vlapic_x2(l);
	unsigned mode = icr >> 8 & 7, shorthand = icr >> 18 & 3;
	uint8_t vector = (uint8_t)icr;

	l->icr = icr & ~(1ull << 12); /* delivery status: idle */
	if (shorthand == TO_SELF && mode == APIC_FIXED && vector >= 16) {
		vlapic_set_own(l, vector);
		return;
	}
	if (mode <= APIC_LOWEST && vector < 16) {
		vlapic_error(l, ESR_SEND_VECTOR);
		return;
	}
	if (mode == APIC_EXTINT || (mode == APIC_INIT && (icr >> 14 & 3) == 2))
		return; /* reserved; INIT level de-assert: no effect since the Pentium 4 */
	vlapic_send(l->v, l->v->vm, x2 ? icr >> 32 : icr >> 56, icr >> 11 & 1, mode, vector, false,
		    shorthand, x2);
}
