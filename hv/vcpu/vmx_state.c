/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMX: the guest's registers in the VMCS, as neutral blocks and one by one.
 *
 * Of CR0 and CR4 the guest has most bits to itself (SDM3 25.6.6). The others have one value while it runs and another in
 * its eyes: CR0.NE and CR4.VMXE must be 1, CR4.MCE is 1 so that a machine check comes to hv, CR0.CD and NW would stay on
 * after an exit, and CR4 bits of tomorrow's features stay 0. A write that touches one of those exits. Then only what the
 * guest sees of them is changed, and it runs the instruction again: the CPU itself does the rest with all that follows
 * (modes, PDPTEs, faults).
 */
#include "hv/vcpu/vmx_vmcs.h"
#include "hv/cpu/x86.h"

#define PAT_AFTER_RESET 0x0007040600070406ull
#define DR6_AFTER_RESET 0xffff0ff0ull
#define DR7_AFTER_RESET 0x400ull
#define DR6_FREE 0xe00full /* the others are constant (SDM3 18.2.3) */
#define DR7_ZEROS 0xffffffff0000d800ull

/* Those that hv keeps from the guest, and what they are while it runs. */
#define CR0_KEPT (CR0_NE | CR0_NW | CR0_CD)
#define CR0_FORCED CR0_NE
#define CR4_FORCED (CR4_VMXE | CR4_MCE)

#define CR4_VME (1ull << 0)
#define CR4_PVI (1ull << 1)
#define CR4_DE (1ull << 3)
#define CR4_PCE (1ull << 8)

static uint64_t
	cr4_guests; /* [I] bits a guest may set; those that this CPU lacks it refuses itself */
static uint64_t cr4_kept; /* [I] */

void vmx_init_masks(void)
{
	cr4_guests = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE |
		     CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_OSXSAVE |
		     CR4_SMEP | CR4_SMAP | (cpu_features.pcid ? CR4_PCIDE : 0);
	cr4_kept = ~cr4_guests | CR4_FORCED;
}

static uint64_t guest_cr0(const struct vmx_vcpu *a)
{
	return (vmread(VMCS_GUEST_CR0) & ~CR0_KEPT) | a->cr0_seen;
}

static uint64_t guest_cr4(const struct vmx_vcpu *a)
{
	return (vmread(VMCS_GUEST_CR4) & ~cr4_kept) | a->cr4_seen;
}

static void show_cr0(struct vmx_vcpu *a, uint64_t value)
{
	vmwrite(VMCS_CR0_SHADOW, a->cr0_seen = value & CR0_KEPT);
}

static void show_cr4(struct vmx_vcpu *a, uint64_t value)
{
	vmwrite(VMCS_CR4_SHADOW, a->cr4_seen = value & cr4_kept);
}

/* A value that the CPU would refuse is refused here only where its bits never reach the CPU. */
void vmx_cr_write(struct vcpu *v, unsigned number, uint64_t value)
{
	bool bad;

	if (number == 0)
		bad = (value & CR0_NW) && !(value & CR0_CD); /* SDM3 6.15, #GP */
	else
		bad = value & ~cr4_guests;
	if (bad)
		vcpu_inject_fault(v, VECTOR_GP);
	else if (number == 0)
		show_cr0(vmx_of(v), value);
	else
		show_cr4(vmx_of(v), value);
}

/* What INIT resets too: events under way, the debug controls. */
static void forget_events(struct vmx_vcpu *a)
{
	if (a->dr_live)
		vmx_dr_save(a);
	vmx_proc_change(a, PROC_INTERRUPT_WINDOW | PROC_NMI_WINDOW, 0);
	a->injecting = a->breakpoints = false;
	vmwrite(VMCS_ENTRY_EVENT, 0);
	vmwrite(VMCS_INTERRUPTIBILITY, 0);
	vmwrite(VMCS_ACTIVITY, 0);
	vmwrite(VMCS_PENDING_DEBUG, 0);
	vmwrite(VMCS_GUEST_DEBUGCTL, 0);
	vmwrite(VMCS_GUEST_DR7, DR7_AFTER_RESET);
	a->dr6 = DR6_AFTER_RESET;
}

void vmx_reset(struct vcpu *v)
{
	struct vmx_vcpu *a = vmx_of(v);
	bool opened = vmx_open(a);

	forget_events(a);
	vmwrite(VMCS_GUEST_PAT, PAT_AFTER_RESET);
	vmwrite(VMCS_GUEST_SYSENTER_CS, 0);
	vmwrite(VMCS_GUEST_SYSENTER_ESP, 0);
	vmwrite(VMCS_GUEST_SYSENTER_EIP, 0);
	for (unsigned i = 0; i < 4; i++)
		a->dr[i] = 0;
	a->star = a->lstar = a->cstar = a->sfmask = a->kernel_gs_base = a->tsc_aux = 0;
	vmx_close(a, opened);
}

/* ---- segments: attributes as in a VMCB, and Intel's access rights ---- */

#define ATTR_PRESENT (1u << 7)

static uint32_t rights_of(unsigned attr)
{
	uint32_t rights = (attr & 0xff) | (attr & 0xf00) << 4;

	return attr & ATTR_PRESENT ? rights : rights | RIGHTS_UNUSABLE;
}

static uint16_t attr_of(uint32_t rights)
{
	uint32_t attr = (rights & 0xff) | (rights >> 4 & 0xf00);

	return (uint16_t)(rights & RIGHTS_UNUSABLE ? attr & ~ATTR_PRESENT : attr);
}

static void get_segment(enum hv_seg which, struct hv_segment *out)
{
	out->selector = (uint16_t)vmread(VMCS_SEGMENT(VMCS_GUEST_SELECTOR, which));
	out->base = vmread(VMCS_SEGMENT(VMCS_GUEST_BASE, which));
	out->limit = (uint32_t)vmread(VMCS_SEGMENT(VMCS_GUEST_LIMIT, which));
	out->attr = attr_of((uint32_t)vmread(VMCS_SEGMENT(VMCS_GUEST_RIGHTS, which)));
}

void vmx_segment(struct vcpu *v, enum hv_seg which, struct hv_segment *out)
{
	(void)v; /* it has its turn: its VMCS is the current one */
	get_segment(which, out);
}

static void set_segment(enum hv_seg which, const struct hv_segment *in)
{
	vmwrite(VMCS_SEGMENT(VMCS_GUEST_SELECTOR, which), in->selector);
	vmwrite(VMCS_SEGMENT(VMCS_GUEST_BASE, which), in->base);
	vmwrite(VMCS_SEGMENT(VMCS_GUEST_LIMIT, which), in->limit);
	vmwrite(VMCS_SEGMENT(VMCS_GUEST_RIGHTS, which), rights_of(in->attr));
}

/* ---- blocks ---- */

void vmx_get(struct vcpu *v, struct hv_vcpu_regs *out)
{
	struct vmx_vcpu *a = vmx_of(v);
	bool opened = vmx_open(a);

	*out = (struct hv_vcpu_regs){
		.rip = v->rip,
		.rflags = v->rflags,
		.cr0 = guest_cr0(a),
		.cr2 = a->cr2,
		.cr3 = vmread(VMCS_GUEST_CR3),
		.cr4 = guest_cr4(a),
		.efer = vmread(VMCS_GUEST_EFER),
		.gdt_base = vmread(VMCS_GUEST_GDTR_BASE),
		.idt_base = vmread(VMCS_GUEST_IDTR_BASE),
		.gdt_limit = (uint32_t)vmread(VMCS_GUEST_GDTR_LIMIT),
		.idt_limit = (uint32_t)vmread(VMCS_GUEST_IDTR_LIMIT),
	};
	for (unsigned i = 0; i < HV_GPRS; i++)
		out->gpr[i] = v->gpr[i];
	for (unsigned i = 0; i < HV_SEGS; i++)
		get_segment(i, &out->seg[i]);
	vmx_close(a, opened);
}

/* PAE paging without long mode: the CPU takes the four top entries from the VMCS (SDM3 27.3.2.4). */
static void set_pdptes(struct vcpu *v, const struct hv_vcpu_regs *in)
{
	uint64_t pdpte[4] = {0};

	if (!(in->cr0 & CR0_PG) || !(in->cr4 & CR4_PAE) || (in->efer & EFER_LMA))
		return;
	/* Not RAM: entries that are not present. */
	if (guest_phys_read(v->npt, in->cr3 & 0xffffffe0u, pdpte, sizeof(pdpte)))
		pdpte[0] = pdpte[1] = pdpte[2] = pdpte[3] = 0;
	for (unsigned i = 0; i < 4; i++)
		vmwrite((enum vmcs_field)(VMCS_GUEST_PDPTE + 2 * i), pdpte[i]);
}

static void set_control_registers(struct vmx_vcpu *a, const struct hv_vcpu_regs *in)
{
	uint64_t efer = in->efer & (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);

	vmwrite(VMCS_CR0_MASK, CR0_KEPT);
	vmwrite(VMCS_CR4_MASK, cr4_kept);
	show_cr0(a, in->cr0);
	show_cr4(a, in->cr4);
	vmwrite(VMCS_GUEST_CR0, (in->cr0 & ~CR0_KEPT) | CR0_FORCED | CR0_ET);
	vmwrite(VMCS_GUEST_CR4, (in->cr4 & ~cr4_kept) | CR4_FORCED);
	vmwrite(VMCS_GUEST_CR3, in->cr3);
	vmwrite(VMCS_GUEST_EFER, efer);
	vmwrite(VMCS_ENTRY, vmx_features.entry | (efer & EFER_LMA ? ENTRY_GUEST_64 : 0));
	a->cr2 = in->cr2;
}

/* A state that makes no sense is found by the CPU at the next entry. */
void vmx_set(struct vcpu *v, const struct hv_vcpu_regs *in)
{
	struct vmx_vcpu *a = vmx_of(v);
	bool opened = vmx_open(a);

	for (unsigned i = 0; i < HV_GPRS; i++)
		v->gpr[i] = in->gpr[i];
	v->rip = in->rip;
	v->rflags = in->rflags | RFLAGS_FIXED;
	vmwrite(VMCS_GUEST_RSP, a->rsp = v->gpr[HV_RSP]);
	vmwrite(VMCS_GUEST_RFLAGS, a->rflags = v->rflags);
	set_control_registers(a, in);
	set_pdptes(v, in);
	if (this_cpu()->current == &v->ent) /* INIT, in its own turn */
		write_cr2(in->cr2);
	vmwrite(VMCS_GUEST_GDTR_BASE, in->gdt_base);
	vmwrite(VMCS_GUEST_IDTR_BASE, in->idt_base);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, in->gdt_limit & 0xffff);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, in->idt_limit & 0xffff);
	for (unsigned i = 0; i < HV_SEGS; i++)
		set_segment(i, &in->seg[i]);
	forget_events(a);
	v->fetch.page = ~0ull;
	vmx_tlb_forget(a);
	vmx_close(a, opened);
}

void vmx_context(struct vcpu *v, struct vcpu_context *out)
{
	uint32_t cs = (uint32_t)vmread(VMCS_SEGMENT(VMCS_GUEST_RIGHTS, HV_CS));
	const struct vmx_vcpu *a = vmx_of(v);

	out->cr0 = guest_cr0(a);
	out->cr3 = vmread(VMCS_GUEST_CR3);
	out->cr4 = guest_cr4(a);
	out->efer = vmread(VMCS_GUEST_EFER);
	/* Its DPL is the CPL, whether the segment is usable or not (SDM3 25.4.1). */
	out->cpl = vmread(VMCS_SEGMENT(VMCS_GUEST_RIGHTS, HV_SS)) >> 5 & 3;
	if ((out->efer & EFER_LMA) && (cs & RIGHTS_LONG))
		out->mode = INSN_64;
	else
		out->mode = cs & RIGHTS_BIG ? INSN_32 : INSN_16;
}

/* The instruction that hv did for the guest was single-stepped: #DB after it, as the CPU would (SDM3 18.3.1.4). */
static void single_step(struct vcpu *v)
{
	const uint64_t step = 1ull << 14; /* DR6.BS */

	vmx_dr6_set(vmx_of(v), step);
	vcpu_inject_fault(v, VECTOR_DB);
}

void vmx_skip(struct vcpu *v)
{
	uint64_t rip = v->rip + v->exit.len;
	uint64_t blocked = vmread(VMCS_INTERRUPTIBILITY);

	/* Past 4 GiB: only 64-bit code goes on there. */
	if (UNLIKELY((rip ^ v->rip) >> 32) &&
	    !(vmread(VMCS_SEGMENT(VMCS_GUEST_RIGHTS, HV_CS)) & RIGHTS_LONG))
		rip = (uint32_t)rip;
	v->rip = rip;
	if (UNLIKELY(blocked & (BLOCKED_STI | BLOCKED_MOV_SS)))
		vmwrite(VMCS_INTERRUPTIBILITY, blocked & ~(uint64_t)(BLOCKED_STI | BLOCKED_MOV_SS));
	if (UNLIKELY(v->rflags & RFLAGS_TF))
		single_step(v);
}

/* ---- the rest of a saved vCPU ---- */

static void get_event(const struct vmx_vcpu *a, struct hv_state_event *out)
{
	static const uint8_t types[8] = {[EVENT_KIND_INTR] = HV_SEV_INTR,
					 [EVENT_KIND_NMI] = HV_SEV_NMI,
					 [EVENT_KIND_EXCEPTION] = HV_SEV_EXCEPTION};
	uint32_t event = a->entry_event;

	*out = (struct hv_state_event){.type = HV_SEV_NONE};
	if (!a->injecting)
		return;
	out->type = types[EVENT_KIND(event)];
	out->vector = EVENT_VECTOR(event);
	out->has_error = (event & EVENT_HAS_ERROR) != 0;
	out->error = (uint32_t)vmread(VMCS_ENTRY_ERROR);
}

static void get_msrs(const struct vmx_vcpu *a, struct hv_state_vcpu *out)
{
	out->star = a->star;
	out->lstar = a->lstar;
	out->cstar = a->cstar;
	out->sfmask = a->sfmask;
	out->kernel_gs_base = a->kernel_gs_base;
	out->tsc_aux = a->tsc_aux;
	out->sysenter_cs = vmread(VMCS_GUEST_SYSENTER_CS);
	out->sysenter_esp = vmread(VMCS_GUEST_SYSENTER_ESP);
	out->sysenter_eip = vmread(VMCS_GUEST_SYSENTER_EIP);
	out->pat = vmread(VMCS_GUEST_PAT);
}

void vmx_get_rest(struct vcpu *v, struct hv_state_vcpu *out)
{
	struct vmx_vcpu *a = vmx_of(v);
	bool opened = vmx_open(a);
	uint64_t blocked = vmread(VMCS_INTERRUPTIBILITY);

	get_msrs(a, out);
	for (unsigned i = 0; i < 4; i++)
		out->dr[i] = a->dr[i];
	out->dr6 = a->dr6;
	out->dr7 = vmread(VMCS_GUEST_DR7);
	get_event(a, &out->event);
	if (blocked & (BLOCKED_STI | BLOCKED_MOV_SS))
		out->flags |= HV_SF_SHADOW;
	if (blocked & BLOCKED_NMI)
		out->flags |= HV_SF_NMI_BLOCKED;
	vmx_close(a, opened);
}

static void set_msrs(struct vmx_vcpu *a, const struct hv_state_vcpu *in)
{
	a->star = in->star;
	a->lstar = in->lstar;
	a->cstar = in->cstar;
	a->sfmask = in->sfmask;
	a->kernel_gs_base = in->kernel_gs_base;
	a->tsc_aux = in->tsc_aux;
	vmwrite(VMCS_GUEST_SYSENTER_CS, in->sysenter_cs);
	vmwrite(VMCS_GUEST_SYSENTER_ESP, in->sysenter_esp);
	vmwrite(VMCS_GUEST_SYSENTER_EIP, in->sysenter_eip);
	vmwrite(VMCS_GUEST_PAT, in->pat);
}

/* Only what an entry accepts (SDM3 27.3.1.5): single-stepping in a shadow would need a pending #DB, and one interrupt more or
 * less late does no harm. */
static uint64_t blocking(const struct hv_state_vcpu *in)
{
	uint64_t blocked = in->flags & HV_SF_NMI_BLOCKED ? BLOCKED_NMI : 0;

	if ((in->flags & HV_SF_SHADOW) && in->event.type == HV_SEV_NONE &&
	    !(in->regs.rflags & RFLAGS_TF))
		blocked |= BLOCKED_MOV_SS;
	return blocked;
}

void vmx_set_rest(struct vcpu *v, const struct hv_state_vcpu *in, uint64_t tsc_offset)
{
	static const uint8_t types[] = {[HV_SEV_INTR] = EVENT_INTR,
					[HV_SEV_NMI] = EVENT_NMI,
					[HV_SEV_EXCEPTION] = EVENT_EXCEPTION};
	struct vmx_vcpu *a = vmx_of(v);
	bool opened = vmx_open(a);

	vmwrite(VMCS_TSC_OFFSET, tsc_offset);
	set_msrs(a, in);
	for (unsigned i = 0; i < 4; i++)
		a->dr[i] = in->dr[i];
	a->dr6 = (in->dr6 & DR6_FREE) | DR6_AFTER_RESET;
	vmwrite(VMCS_GUEST_DR7, (in->dr7 & ~DR7_ZEROS) | DR7_AFTER_RESET);
	a->breakpoints = in->dr7 & 0xff;
	vmwrite(VMCS_INTERRUPTIBILITY, blocking(in));
	if (in->event.type != HV_SEV_NONE) {
		struct vcpu_event e = {.type = types[in->event.type],
				       .vector = in->event.vector,
				       .has_error = in->event.has_error != 0,
				       .error = in->event.error,
				       .address = in->regs.cr2};

		vmx_inject(v, &e);
	}
	vmx_close(a, opened);
}
