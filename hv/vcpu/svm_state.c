/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SVM: the guest's registers in the VMCB, as neutral blocks and one by one.
 */
#include "hv/vcpu/svm_vmcb.h"
#include "hv/cpu/x86.h"

#define PAT_AFTER_RESET 0x0007040600070406ull
#define DR6_AFTER_RESET 0xffff0ff0ull
#define DR7_AFTER_RESET 0x400ull

/* What INIT resets too: events under way, the debug controls. */
static void forget_events(struct svm_vcpu *a)
{
	struct vmcb *b = a->vmcb;

	a->window = a->nmi_blocked = a->nmi_iret = a->stepping = false;
	b->intercept_misc1 &= ~(SVM_VINTR | SVM_IRET);
	b->int_control = V_INTR_MASKING;
	b->int_state = 0;
	b->event_inject = 0;
	b->dr6 = DR6_AFTER_RESET;
	b->dr7 = DR7_AFTER_RESET;
}

void svm_reset(struct vcpu *v)
{
	struct svm_vcpu *a = svm_of(v);
	struct vmcb *b = a->vmcb;

	forget_events(a);
	b->g_pat = PAT_AFTER_RESET;
	b->star = b->lstar = b->cstar = b->sfmask = b->kernel_gs_base = 0;
	b->sysenter_cs = b->sysenter_esp = b->sysenter_eip = 0;
	for (unsigned i = 0; i < 4; i++)
		a->dr[i] = 0;
	a->tsc_aux = 0;
	svm_dirty(a, CLEAN_ALL);
}

static struct vmcb_segment *segment_of(struct vmcb *b, enum hv_seg which)
{
	switch (which) {
	case HV_ES:
		return &b->es;
	case HV_CS:
		return &b->cs;
	case HV_SS:
		return &b->ss;
	case HV_FS:
		return &b->fs;
	case HV_GS:
		return &b->gs;
	case HV_LDTR:
		return &b->ldtr;
	case HV_TR:
		return &b->tr;
	default:
		return &b->ds;
	}
}

void svm_segment(struct vcpu *v, enum hv_seg which, struct hv_segment *out)
{
	const struct vmcb_segment *s = segment_of(svm_of(v)->vmcb, which);

	out->base = s->base;
	out->limit = s->limit;
	out->selector = s->selector;
	out->attr = s->attr;
}

static void set_segment(struct vmcb_segment *s, const struct hv_segment *in)
{
	s->base = in->base;
	s->limit = in->limit;
	s->selector = in->selector;
	s->attr = in->attr & 0xfff;
}

void svm_get(struct vcpu *v, struct hv_vcpu_regs *out)
{
	struct vmcb *b = svm_of(v)->vmcb;

	*out = (struct hv_vcpu_regs){.rip = v->rip,
				     .rflags = v->rflags,
				     .cr0 = b->cr0,
				     .cr2 = b->cr2,
				     .cr3 = b->cr3,
				     .cr4 = b->cr4,
				     .efer = b->efer & ~EFER_SVME,
				     .gdt_base = b->gdtr.base,
				     .idt_base = b->idtr.base,
				     .gdt_limit = b->gdtr.limit,
				     .idt_limit = b->idtr.limit};
	for (unsigned i = 0; i < HV_GPRS; i++)
		out->gpr[i] = v->gpr[i];
	for (unsigned i = 0; i < HV_SEGS; i++)
		svm_segment(v, i, &out->seg[i]);
}

/* A state that makes no sense is found by the CPU at the next entry (VMEXIT_INVALID). */
void svm_set(struct vcpu *v, const struct hv_vcpu_regs *in)
{
	struct svm_vcpu *a = svm_of(v);
	struct vmcb *b = a->vmcb;

	for (unsigned i = 0; i < HV_GPRS; i++)
		v->gpr[i] = in->gpr[i];
	v->rip = in->rip;
	v->rflags = in->rflags | RFLAGS_FIXED;
	b->cr0 = in->cr0 | CR0_ET;
	b->cr2 = in->cr2;
	b->cr3 = in->cr3;
	b->cr4 = in->cr4;
	b->efer = (in->efer & svm_features.efer) | EFER_SVME;
	b->gdtr.base = in->gdt_base;
	b->idtr.base = in->idt_base;
	b->gdtr.limit = in->gdt_limit & 0xffff;
	b->idtr.limit = in->idt_limit & 0xffff;
	for (unsigned i = 0; i < HV_SEGS; i++)
		set_segment(segment_of(b, i), &in->seg[i]);
	b->cpl = b->ss.attr >> 5 & 3;
	forget_events(a);
	v->fetch.page = ~0ull;
	a->asid_generation = 0; /* of no CPU: the next load takes a new ASID */
	svm_dirty(a, CLEAN_ALL);
}

#define ATTR_LONG (1u << 9)
#define ATTR_BIG (1u << 10)

void svm_context(struct vcpu *v, struct vcpu_context *out)
{
	const struct vmcb *b = svm_of(v)->vmcb;

	out->cr0 = b->cr0;
	out->cr3 = b->cr3;
	out->cr4 = b->cr4;
	out->efer = b->efer;
	out->cpl = b->cpl;
	if ((b->efer & EFER_LMA) && (b->cs.attr & ATTR_LONG))
		out->mode = INSN_64;
	else
		out->mode = b->cs.attr & ATTR_BIG ? INSN_32 : INSN_16;
}

/* The instruction that hv did for the guest was single-stepped: #DB after it, as the CPU would (APM2 13.1.3). */
static void single_step(struct vcpu *v)
{
	struct svm_vcpu *a = svm_of(v);

	a->vmcb->dr6 |= DR6_BS;
	svm_dirty(a, CLEAN_DR);
	vcpu_inject_fault(v, VECTOR_DB);
}

void svm_skip(struct vcpu *v)
{
	struct vmcb *b = svm_of(v)->vmcb;
	uint64_t rip = v->rip + v->exit.len;

	if (UNLIKELY(!(b->cs.attr & ATTR_LONG)))
		rip = (uint32_t)rip;
	v->rip = rip;
	b->int_state = 0;
	if (UNLIKELY(v->rflags & RFLAGS_TF))
		single_step(v);
}

/* SVME is always on in the VMCB (VMRUN demands it) and never shown. APM2 3.1.7: reserved bits and LME while paging is on are #GP; LMA is the CPU's. */
static int write_efer(struct svm_vcpu *a, uint64_t value)
{
	struct vmcb *b = a->vmcb;

	if (value & ~svm_features.efer)
		return -HVE_INVAL;
	if ((b->cr0 & CR0_PG) && ((value ^ b->efer) & EFER_LME))
		return -HVE_INVAL;
	b->efer = (value & ~EFER_LMA) | (b->efer & EFER_LMA) | EFER_SVME;
	svm_dirty(a, CLEAN_CR);
	return 0;
}

/* Each byte names one of six memory types (APM2 7.8.1). */
static int write_pat(struct svm_vcpu *a, uint64_t value)
{
	for (unsigned i = 0; i < 64; i += 8) {
		unsigned type = value >> i & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return -HVE_INVAL;
	}
	a->vmcb->g_pat = value;
	svm_dirty(a, CLEAN_ALL);
	return 0;
}

/* The others: plain fields, most of which never exit. NULL: not ours. */
static uint64_t *msr_field(struct svm_vcpu *a, uint32_t msr)
{
	struct vmcb *b = a->vmcb;

	switch (msr) {
	case 0x174:
		return &b->sysenter_cs;
	case 0x175:
		return &b->sysenter_esp;
	case 0x176:
		return &b->sysenter_eip;
	case MSR_STAR:
		return &b->star;
	case MSR_LSTAR:
		return &b->lstar;
	case MSR_CSTAR:
		return &b->cstar;
	case MSR_SFMASK:
		return &b->sfmask;
	case MSR_FS_BASE:
		return &b->fs.base;
	case MSR_GS_BASE:
		return &b->gs.base;
	case MSR_KERNEL_GS_BASE:
		return &b->kernel_gs_base;
	case MSR_PAT:
		return &b->g_pat;
	default:
		return NULL;
	}
}

static int write_tsc_aux(struct svm_vcpu *a, uint64_t value)
{
	if (value >> 32)
		return -HVE_INVAL;
	a->tsc_aux = value;
	wrmsr(MSR_TSC_AUX, value); /* the vCPU is on this CPU */
	return 0;
}

static int svm_msr_write(struct svm_vcpu *a, uint32_t msr, uint64_t value)
{
	uint64_t *field;

	if (msr == MSR_EFER)
		return write_efer(a, value);
	if (msr == MSR_PAT)
		return write_pat(a, value);
	if (msr == MSR_TSC_AUX)
		return cpu_features.rdtscp ? write_tsc_aux(a, value) : -HVE_NOENT;
	field = msr_field(a, msr);
	if (!field)
		return -HVE_NOENT;
	*field = value;
	svm_dirty(a, CLEAN_ALL);
	return 0;
}

int svm_msr(struct vcpu *v, uint32_t msr, bool write, uint64_t *value)
{
	struct svm_vcpu *a = svm_of(v);
	const uint64_t *field;

	if (write)
		return svm_msr_write(a, msr, *value);
	if (msr == MSR_EFER) {
		*value = a->vmcb->efer & ~EFER_SVME;
		return 0;
	}
	if (msr == MSR_TSC_AUX && cpu_features.rdtscp) {
		*value = a->tsc_aux;
		return 0;
	}
	field = msr_field(a, msr);
	if (!field)
		return -HVE_NOENT;
	*value = *field;
	return 0;
}

/* DR0-3 are not switched by VMRUN: loaded at the first use in a turn, saved at its end, so that no guest sees another's. */
void svm_dr_load(struct svm_vcpu *a)
{
	__asm__ volatile("mov %0, %%db0" : : "r"(a->dr[0]));
	__asm__ volatile("mov %0, %%db1" : : "r"(a->dr[1]));
	__asm__ volatile("mov %0, %%db2" : : "r"(a->dr[2]));
	__asm__ volatile("mov %0, %%db3" : : "r"(a->dr[3]));
	a->dr_live = true;
	a->vmcb->intercept_dr = 0;
	svm_dirty(a, CLEAN_INTERCEPTS);
}

void svm_dr_save(struct svm_vcpu *a)
{
	__asm__ volatile("mov %%db0, %0" : "=r"(a->dr[0]));
	__asm__ volatile("mov %%db1, %0" : "=r"(a->dr[1]));
	__asm__ volatile("mov %%db2, %0" : "=r"(a->dr[2]));
	__asm__ volatile("mov %%db3, %0" : "=r"(a->dr[3]));
	a->dr_live = false;
	a->vmcb->intercept_dr = 0xffffffffu;
	svm_dirty(a, CLEAN_INTERCEPTS);
}

/* The debug register of that number; 4 and 5 are other names of 6 and 7 (APM2 13.1.1.2). */
static uint64_t *dr_field(struct svm_vcpu *a, unsigned number)
{
	if (number < 4)
		return &a->dr[number];
	return number & 1 ? &a->vmcb->dr7 : &a->vmcb->dr6;
}

#define DR6_ONES 0xffff0ff0ull /* read as ones (APM2 13.1.1.3) */
#define DR6_FREE 0xe00full
#define DR7_ZEROS 0xffffffff0000d800ull

/* The upper half of DR6 and DR7 must be zero, for VMRUN too. */
static int dr_write(struct svm_vcpu *a, unsigned number, uint64_t value)
{
	if (number >= 4 && value >> 32)
		return -HVE_INVAL;
	if (number >= 4)
		value = number & 1 ? (value & ~DR7_ZEROS) | DR7_AFTER_RESET
				   : (value & DR6_FREE) | DR6_ONES;
	*dr_field(a, number) = value;
	svm_dirty(a, CLEAN_DR);
	return 0;
}

/*
 * MOV to or from a debug register, where the CPU's own must not be the guest's: QEMU 7.2 (TCG) keeps the breakpoints that
 * a guest sets after #VMEXIT, so one on hv's code would be #DB in hv. Registers hold their values; breakpoints never hit.
 */
void svm_dr_emulate(struct vcpu *v, unsigned number, bool write)
{
	struct svm_vcpu *a = svm_of(v);
	struct vcpu_context c;
	uint8_t bytes[INSN_MAX], gpr;
	unsigned width;

	svm_context(v, &c);
	width = c.mode == INSN_64 ? 8 : 4;
	v->exit.len = (uint8_t)insn_decode_dr(bytes, vcpu_fetch_in(v, &c, bytes), c.mode, &gpr);
	if (!v->exit.len)
		return; /* changed under us: run it again */
	if (!write) {
		vcpu_set_gpr(v, gpr, width, *dr_field(a, number));
	} else if (dr_write(a, number, v->gpr[gpr] & width_mask(width))) {
		vcpu_inject_fault(v, VECTOR_GP);
		return;
	}
	svm_skip(v);
}

/* ---- the rest of a saved vCPU ---- */

static void get_event(struct svm_vcpu *a, struct hv_state_event *out)
{
	static const uint8_t types[8] = {[EVENT_KIND_INTR] = HV_SEV_INTR,
					 [EVENT_KIND_NMI] = HV_SEV_NMI,
					 [EVENT_KIND_EXCEPTION] = HV_SEV_EXCEPTION};
	uint64_t event = a->vmcb->event_inject;

	*out = (struct hv_state_event){.type = HV_SEV_NONE};
	if (!(event & EVENT_VALID))
		return;
	out->type = types[EVENT_KIND(event)];
	out->vector = EVENT_VECTOR(event);
	out->has_error = (event & EVENT_HAS_ERROR) != 0;
	out->error = (uint32_t)(event >> 32);
}

void svm_get_rest(struct vcpu *v, struct hv_state_vcpu *out)
{
	struct svm_vcpu *a = svm_of(v);
	const struct vmcb *b = a->vmcb;

	out->star = b->star;
	out->lstar = b->lstar;
	out->cstar = b->cstar;
	out->sfmask = b->sfmask;
	out->kernel_gs_base = b->kernel_gs_base;
	out->sysenter_cs = b->sysenter_cs;
	out->sysenter_esp = b->sysenter_esp;
	out->sysenter_eip = b->sysenter_eip;
	out->pat = b->g_pat;
	out->tsc_aux = a->tsc_aux;
	for (unsigned i = 0; i < 4; i++)
		out->dr[i] = a->dr[i];
	out->dr6 = b->dr6;
	out->dr7 = b->dr7;
	get_event(a, &out->event);
	if (b->int_state & INT_SHADOW)
		out->flags |= HV_SF_SHADOW;
	if (a->nmi_blocked && !(a->nmi_iret && v->rip != a->iret_rip))
		out->flags |= HV_SF_NMI_BLOCKED;
	if (a->stepping) /* svm_iret's, not the guest's */
		out->regs.rflags &= ~RFLAGS_TF;
}

void svm_set_rest(struct vcpu *v, const struct hv_state_vcpu *in, uint64_t tsc_offset)
{
	static const uint8_t types[] = {[HV_SEV_INTR] = EVENT_INTR,
					[HV_SEV_NMI] = EVENT_NMI,
					[HV_SEV_EXCEPTION] = EVENT_EXCEPTION};
	struct svm_vcpu *a = svm_of(v);
	struct vmcb *b = a->vmcb;

	b->tsc_offset = tsc_offset;
	b->star = in->star;
	b->lstar = in->lstar;
	b->cstar = in->cstar;
	b->sfmask = in->sfmask;
	b->kernel_gs_base = in->kernel_gs_base;
	b->sysenter_cs = in->sysenter_cs;
	b->sysenter_esp = in->sysenter_esp;
	b->sysenter_eip = in->sysenter_eip;
	b->g_pat = in->pat;
	a->tsc_aux = in->tsc_aux;
	for (unsigned i = 0; i < 4; i++)
		a->dr[i] = in->dr[i];
	b->dr6 = (in->dr6 & DR6_FREE) | DR6_ONES;
	b->dr7 = (in->dr7 & ~DR7_ZEROS) | DR7_AFTER_RESET;
	if (in->flags & HV_SF_NMI_BLOCKED)
		svm_block_nmi(a);
	if (in->event.type != HV_SEV_NONE) {
		struct vcpu_event e = {.type = types[in->event.type],
				       .vector = in->event.vector,
				       .has_error = in->event.has_error != 0,
				       .error = in->event.error,
				       .address = in->regs.cr2};

		svm_inject(v, &e);
	}
	b->int_state = in->flags & HV_SF_SHADOW ? INT_SHADOW : 0;
	svm_dirty(a, CLEAN_ALL);
}
