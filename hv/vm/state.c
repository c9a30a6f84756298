/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's state as plain records (hv/abi/hv_state.h), out of a paused VM and into one that has not started.
 *
 * Out: a vCPU that waits for its vmm is saved as if it had not begun the access; loaded, it runs the instruction again. So the
 * vmm must not have answered: ctrl has told it to leave the records alone before. An answer that came before that is carried
 * out first, by the vCPU itself in a turn of its own (ATT_SETTLE).
 */
#include "hv/vm/vdev.h"
#include "hv/lib/string.h"

#define FXSAVE_MXCSR 24u
#define MXCSR_VALID 0xffffu
#define XSAVE_HEADER 512u /* XSTATE_BV, XCOMP_BV, reserved (SDM1 13.4.2) */
#define XSAVE_HEADER_WORDS 8u
#define XSTATE_LEGACY 3ull /* x87 and SSE; all that FXSAVE has */

static uint64_t xcr0_mask(void)
{
	return cpu_features.xsave ? cpu_features.xcr0_mask & XCR0_OFFERED : XSTATE_LEGACY;
}

/* ---- the machine ---- */

/* FNV-1a over what CPUID shows. It tells CPUs apart, it does not protect anything. */
static uint64_t features(const struct vm *vm)
{
	const uint8_t *at = (const uint8_t *)vm->cpuid;
	uint64_t sum = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < sizeof(*vm->cpuid); i++)
		sum = (sum ^ at[i]) * 0x100000001b3ull;
	return sum;
}

static int check_state(const struct vm *vm, enum hv_vm_state wanted)
{
	return vm->dead || vm->state != wanted ? -HVE_STATE : 0;
}

int vm_save_machine(struct vm *vm, struct hv_state_machine *out)
{
	int rc = check_state(vm, HV_VM_PAUSED);

	if (rc)
		return rc;
	out->version = HV_STATE_VERSION;
	out->virt = vendor->virt;
	out->vcpus = vm->n_vcpus;
	out->tsc_khz = (uint32_t)tsc_khz;
	out->tsc = rdtsc() + vm->tsc_offset;
	out->ns = time_now() + vm->ns_offset;
	out->features = features(vm);
	out->xcr0_mask = xcr0_mask();
	out->wall_msr = vm->wall_msr;
	out->wall_version = vm->clock_version;
	spin_lock(&vm->irq_lock);
	vpit_save(vm, out); /* first: a tick that comes now is seen twice rather than not at all */
	vpic_save(vm, out);
	vioapic_save(vm, out);
	spin_unlock(&vm->irq_lock);
	vuart_save(vm, out);
	return 0;
}

/* A guest that counts by the TSC itself would go wrong on a clock that is more than calibration off. */
static bool same_clock(uint32_t khz)
{
	uint64_t off = khz > tsc_khz ? khz - tsc_khz : tsc_khz - khz;

	return off * 200 < tsc_khz;
}

int vm_load_machine(struct vm *vm, const struct hv_state_machine *in)
{
	int rc = check_state(vm, HV_VM_STOPPED);

	if (rc)
		return rc;
	if (in->version != HV_STATE_VERSION || in->vcpus != vm->n_vcpus)
		return -HVE_INVAL;
	if (in->virt != (uint32_t)vendor->virt || in->features != features(vm) ||
	    in->xcr0_mask != xcr0_mask() || !same_clock(in->tsc_khz))
		return -HVE_NOVIRT;
	vm->tsc_offset = in->tsc - rdtsc();
	vm->ns_offset = in->ns - time_now();
	vm->wall_msr = in->wall_msr;
	vm->clock_version = in->wall_version & ~1u;
	spin_lock(&vm->irq_lock);
	vioapic_load(vm, in);
	rc = vpic_load(vm, in);
	if (!rc)
		rc = vpit_load(vm, in);
	spin_unlock(&vm->irq_lock);
	return rc ? rc : vuart_load(vm, in);
}

/* ---- a vCPU ---- */

/* The answer that waits is carried out before the vCPU is looked at: BUSY until then. */
static int settle(struct vcpu *v)
{
	uint32_t bits = __atomic_load_n(&v->attention, __ATOMIC_ACQUIRE);

	if (!(bits & ATT_ANSWER))
		return 0;
	__atomic_fetch_or(&v->attention, ATT_SETTLE, __ATOMIC_SEQ_CST);
	sched_unblock(&v->ent, BLOCK_PAUSE);
	return -HVE_BUSY;
}

static uint32_t flags_of(const struct vcpu *v)
{
	static const struct {
		uint32_t attention, flag;
	} waiting[] = {
		{ATT_NMI, HV_SF_NMI_PENDING}, {ATT_INIT, HV_SF_INIT}, {ATT_SIPI, HV_SF_SIPI}};
	uint32_t flags = (v->halted ? HV_SF_HALTED : 0) | (v->wait_sipi ? HV_SF_WAIT_SIPI : 0) |
			 (v->nmi_pending ? HV_SF_NMI_PENDING : 0);

	for (unsigned i = 0; i < ARRAY_SIZE(waiting); i++)
		if (v->attention & waiting[i].attention)
			flags |= waiting[i].flag;
	return flags;
}

static int save_fpu(struct vcpu *v, struct hv_state_vcpu *out)
{
	uint32_t bytes = cpu_features.xsave_size;

	fpu_leave(&v->fpu);
	if (v->fpu.cpu != -1)
		return -HVE_BUSY; /* in the registers of another CPU, which leaves them there */
	out->xcr0 = v->fpu.xcr0;
	out->xsave_bytes = MIN(bytes, HV_STATE_XSAVE);
	memcpy(out->xsave, v->fpu.area, out->xsave_bytes);
	/* Components that guests do not get are in their initial state. */
	*(uint64_t *)(void *)&out->xsave[XSAVE_HEADER] &= xcr0_mask();
	return 0;
}

int vm_save_vcpu(struct vm *vm, unsigned index, struct hv_state_vcpu *out)
{
	int rc = check_state(vm, HV_VM_PAUSED);
	struct vcpu *v;

	if (!rc && index >= vm->n_vcpus)
		rc = -HVE_INVAL;
	if (!rc)
		rc = settle(vm->vcpus[index]);
	if (!rc)
		rc = vm_quiet_vcpu(vm, index, &v);
	if (!rc)
		rc = save_fpu(v, out);
	if (rc)
		return rc;
	vendor->get(v, &out->regs);
	out->regs.runnable = !v->wait_sipi;
	out->flags = flags_of(v);
	vendor->get_rest(v, out);
	out->clock_msr = v->clock_msr;
	out->clock_version = v->clock_version;
	out->held = v->held.type == EVENT_INTR;
	out->held_vector = v->held.vector;
	out->sipi_vector = v->sipi_vector;
	vlapic_save(v, &out->lapic);
	return 0;
}

static bool canonical(uint64_t a)
{
	return (a + (1ull << 47)) >> 48 == 0;
}

/* WRMSR and XRSTOR in hv would raise #GP for others. */
static bool msrs_sane(const struct hv_state_vcpu *in)
{
	if (!canonical(in->lstar) || !canonical(in->cstar) || !canonical(in->kernel_gs_base) ||
	    !canonical(in->sysenter_esp) || !canonical(in->sysenter_eip) || in->sfmask >> 32 ||
	    in->tsc_aux >> 32 || in->sysenter_cs >> 32)
		return false;
	for (unsigned i = 0; i < 64; i += 8) {
		unsigned type = in->pat >> i & 0xff; /* SDM3 12.12.2 */

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

static bool fpu_sane(const struct hv_state_vcpu *in)
{
	const uint64_t *header = (const uint64_t *)(const void *)&in->xsave[XSAVE_HEADER];
	uint32_t mxcsr = *(const uint32_t *)(const void *)&in->xsave[FXSAVE_MXCSR];

	if (in->xsave_bytes != MIN(cpu_features.xsave_size, HV_STATE_XSAVE) ||
	    (mxcsr & ~MXCSR_VALID) || (header[0] & ~xcr0_mask()))
		return false;
	for (unsigned i = 1; i < XSAVE_HEADER_WORDS; i++)
		if (header[i])
			return false;
	return in->xcr0 == 1 || (cpu_features.xsave && vcpu_xcr0_valid(in->xcr0));
}

static bool event_sane(const struct hv_state_event *e)
{
	if (e->type == HV_SEV_EXCEPTION)
		return e->vector < 32 && e->vector != 2;
	return e->type <= HV_SEV_EXCEPTION && !e->has_error;
}

static void load_flags(struct vcpu *v, const struct hv_state_vcpu *in)
{
	uint32_t bits = ATT_IRQ | ATT_CLOCK;

	v->halted = in->flags & HV_SF_HALTED;
	v->nmi_pending = in->flags & HV_SF_NMI_PENDING;
	v->held.type = in->held ? EVENT_INTR : EVENT_NONE;
	v->held.vector = (uint8_t)in->held_vector;
	v->sipi_vector = (uint8_t)in->sipi_vector;
	if (in->flags & HV_SF_NMI_PENDING)
		bits |= ATT_NMI;
	if (in->flags & HV_SF_INIT)
		bits |= ATT_INIT;
	if (in->flags & HV_SF_SIPI)
		bits |= ATT_SIPI;
	__atomic_fetch_or(&v->attention, bits, __ATOMIC_SEQ_CST);
	/* It looks at all of them in its first turn, and goes back to its rest by itself. */
	sched_unblock(&v->ent, BLOCK_HALT | BLOCK_INIT);
}

int vm_load_vcpu(struct vm *vm, unsigned index, const struct hv_state_vcpu *in)
{
	int rc = check_state(vm, HV_VM_STOPPED);
	struct vcpu *v;

	if (!rc && (!msrs_sane(in) || !fpu_sane(in) || !event_sane(&in->event) ||
		    (in->flags & ~(uint32_t)HV_SF_ALL)))
		rc = -HVE_INVAL;
	if (!rc)
		rc = vm_quiet_vcpu(vm, index, &v);
	if (rc)
		return rc;
	vcpu_start_at(v, &in->regs, !(in->flags & HV_SF_WAIT_SIPI));
	vendor->set_rest(v, in, vm->tsc_offset);
	fpu_reset(&v->fpu);
	memcpy(v->fpu.area, in->xsave, in->xsave_bytes);
	v->fpu.xcr0 = in->xcr0;
	v->clock_msr = in->clock_msr;
	v->clock_version = in->clock_version & ~1u;
	vlapic_reset(v);
	rc = vlapic_load(v, &in->lapic);
	load_flags(v, in);
	return rc;
}
