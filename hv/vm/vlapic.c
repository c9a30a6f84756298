/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC's registers: x2APIC MSRs, the xAPIC page, IA32_APIC_BASE, reset. The page stands at its
 * architectural address for good: moving it is refused with #GP.
 */
#include "hv/abi/hv_abi.h"
#include "hv/lib/string.h"
#include "hv/vm/vlapic.h"

enum apic_msr { MSR_APIC_BASE_GUEST = 0x1b, MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC = 0x800 };

#define REG_NONE (-HVE_NOENT)

/* What may be set in the LVT entries; bit 12 (delivery status) and LINT's 14 (remote IRR) are read-only. */
#define LVT_READ_ONLY 0x5000u /* not reserved: written by Linux on its way down, and ignored */
static const uint32_t lvt_valid[LVT_COUNT] = {
	[LVT_TIMER] = 0x700ff, [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff,
	[LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff,   [LVT_ERROR] = 0x100ff,
};

/* ---- reading ---- */
static uint32_t bitmap_word(const uint64_t w[4], unsigned i)
{
	return (uint32_t)(__atomic_load_n(&w[i / 2], __ATOMIC_RELAXED) >> (i % 2 * 32));
}

static uint32_t service_word(const struct vlapic *l, unsigned word)
{
	uint32_t value = 0;

	for (unsigned i = 1; i <= l->depth; i++)
		if (l->service[i & 15] / 32 == word)
			value |= 1u << l->service[i & 15] % 32;
	return value;
}

uint32_t vlapic_ldr(const struct vlapic *l)
{
	/* x2APIC: cluster and one bit of 16, from the ID (SDM3 11.12.10.2). */
	return vlapic_x2(l) ? (l->v->index >> 4) << 16 | 1u << (l->v->index & 15) : l->ldr;
}

static int bitmaps_read(struct vlapic *l, unsigned reg, uint32_t *value)
{
	if (reg >= APIC_IRR && reg < APIC_IRR + 8) {
		vlapic_merge(l);
		*value = bitmap_word(l->irr, reg - APIC_IRR);
	} else if (reg >= APIC_TMR && reg < APIC_TMR + 8) {
		*value = bitmap_word(l->tmr, reg - APIC_TMR);
	} else if (reg >= APIC_ISR && reg < APIC_ISR + 8) {
		*value = service_word(l, reg - APIC_ISR);
	} else {
		return REG_NONE;
	}
	return 0;
}

static int reg_read(struct vlapic *l, unsigned reg, uint32_t *value)
{
	switch (reg) {
	case APIC_ID:
		*value = vlapic_x2(l) ? l->v->index : l->v->index << 24;
		return 0;
	case APIC_VER:
		*value = APIC_VERSION;
		return 0;
	case APIC_TPR:
		*value = l->tpr;
		return 0;
	case APIC_PPR:
		*value = vlapic_ppr(l);
		return 0;
	case APIC_LDR:
		*value = vlapic_ldr(l);
		return 0;
	case APIC_SVR:
		*value = l->svr;
		return 0;
	case APIC_ESR:
		*value = l->esr;
		return 0;
	case APIC_LVT ... APIC_LVT + LVT_COUNT - 1:
		*value = l->lvt[reg - APIC_LVT];
		return 0;
	case APIC_TMICT:
		*value = l->tmict;
		return 0;
	case APIC_TMCCT:
		*value = vlapic_timer_now(l);
		return 0;
	case APIC_TDCR:
		*value = l->tdcr;
		return 0;
	default:
		return bitmaps_read(l, reg, value);
	}
}

/* ---- writing ---- */
static void svr_write(struct vlapic *l, uint32_t value)
{
	__atomic_store_n(&l->svr, value & 0x3ff, __ATOMIC_RELAXED);
	if (value & SVR_ENABLE)
		return;
	for (unsigned i = 0; i < LVT_COUNT; i++) /* SDM3 11.4.7.2: off means masked */
		l->lvt[i] |= LVT_MASKED;
}

static void lvt_write(struct vlapic *l, unsigned i, uint32_t value)
{
	value &= lvt_valid[i];
	if (!(l->svr & SVR_ENABLE))
		value |= LVT_MASKED;
	if (i == LVT_TIMER)
		vlapic_timer_lvt(l, value);
	else
		__atomic_store_n(&l->lvt[i], value, __ATOMIC_RELAXED);
	if (i == LVT_LINT0 && vlapic_takes_pic(l->v)) /* the PIC may wait already */
		__atomic_fetch_or(&l->v->attention, ATT_IRQ, __ATOMIC_RELAXED);
}

/* Registers that both modes have. */
static int reg_write(struct vlapic *l, unsigned reg, uint32_t value)
{
	switch (reg) {
	case APIC_TPR:
		vlapic_set_tpr(l, value & 0xff);
		return 0;
	case APIC_EOI:
		vlapic_eoi(l);
		return 0;
	case APIC_SVR:
		svr_write(l, value);
		return 0;
	case APIC_ESR: /* a write shows what has gathered (SDM3 11.5.3) */
		l->esr = __atomic_exchange_n(&l->errors, 0, __ATOMIC_RELAXED);
		return 0;
	case APIC_LVT ... APIC_LVT + LVT_COUNT - 1:
		lvt_write(l, reg - APIC_LVT, value);
		return 0;
	case APIC_TMICT:
		vlapic_timer_count(l, value);
		return 0;
	case APIC_TDCR:
		vlapic_timer_divide(l, value);
		return 0;
	default:
		return REG_NONE;
	}
}

/* ---- x2APIC (SDM3 11.12.1.2, table 11-6) ---- */
static uint64_t x2_valid(unsigned reg)
{
	switch (reg) {
	case APIC_TPR:
	case APIC_SELF_IPI:
		return 0xff;
	case APIC_SVR:
		return 0x3ff;
	case APIC_LVT ... APIC_LVT + LVT_COUNT - 1:
		return lvt_valid[reg - APIC_LVT] | LVT_READ_ONLY;
	case APIC_TMICT:
		return 0xffffffff;
	case APIC_TDCR:
		return 0xb;
	case APIC_ICR:
		return 0xffffffff000cdfff;
	default:
		return 0; /* EOI, ESR */
	}
}

static int x2_write(struct vlapic *l, unsigned reg, uint64_t value)
{
	if (value & ~x2_valid(reg))
		return -HVE_INVAL;
	if (reg == APIC_ICR) {
		vlapic_icr_write(l, value);
		return 0;
	}
	if (reg != APIC_SELF_IPI)
		return reg_write(l, reg, (uint32_t)value) ? -HVE_INVAL : 0;
	if (value < 16)
		vlapic_error(l, ESR_SEND_VECTOR);
	else
		vlapic_set_own(l, (uint8_t)value);
	return 0;
}

static int x2_read(struct vlapic *l, unsigned reg, uint64_t *value)
{
	uint32_t low;

	if (reg == APIC_ICR) {
		*value = l->icr;
		return 0;
	}
	if (reg_read(l, reg, &low))
		return -HVE_INVAL;
	*value = low;
	return 0;
}

/* ---- IA32_APIC_BASE (SDM3 11.12.5, figure 11-27) ---- */
static void off_state(struct vlapic *l)
{
	uint64_t base = l->base;

	vlapic_reset(l->v);
	l->base = base;
	l->lvt[LVT_LINT0] |= LVT_MASKED;
}

static int base_write(struct vlapic *l, uint64_t value)
{
	bool en = value & APIC_BASE_EN, x2 = value & APIC_BASE_X2;
	bool was_en = l->base & APIC_BASE_EN;

	if ((value & ~(APIC_BASE_BSP | APIC_BASE_X2 | APIC_BASE_EN)) != HV_GPA_LAPIC)
		return -HVE_INVAL;
	if ((x2 && !en) || (x2 && !was_en) || (vlapic_x2(l) && en && !x2))
		return -HVE_INVAL;
	if (was_en && !en)
		off_state(l);
	__atomic_store_n(&l->base, (l->base & APIC_BASE_BSP) | (value & ~APIC_BASE_BSP),
			 __ATOMIC_RELAXED);
	if (x2)
		vlapic_virt_on(l);
	vlapic_look(l);
	return 0;
}

static int other_msr(struct vlapic *l, uint32_t msr, bool write, uint64_t *value)
{
	if (msr == MSR_TSC_DEADLINE) {
		if (write)
			vlapic_timer_deadline(l, *value);
		else
			*value = vlapic_timer_deadline_read(l);
		return 0;
	}
	if (msr != MSR_APIC_BASE_GUEST)
		return -HVE_NOENT;
	if (write)
		return base_write(l, *value);
	*value = l->base;
	return 0;
}

/* Not inlined: EOI is to have no stack frame. */
static __attribute__((noinline)) int any_msr(struct vlapic *l, uint32_t msr, bool write,
					     uint64_t *value)
{
	unsigned reg = msr - MSR_X2APIC;

	if (reg >= 0x40)
		return other_msr(l, msr, write, value);
	if (!vlapic_x2(l))
		return -HVE_INVAL;
	return write ? x2_write(l, reg, *value) : x2_read(l, reg, value);
}

int vlapic_msr(struct vcpu *v, uint32_t msr, bool write, uint64_t *value)
{
	struct vlapic *l = v->lapic;

	if (LIKELY(msr == MSR_X2APIC + APIC_EOI && write && vlapic_x2(l) && !*value))
		return vlapic_eoi(l);
	return any_msr(l, msr, write, value);
}

/* ---- xAPIC page ---- */
static uint32_t page_read(struct vlapic *l, unsigned reg)
{
	uint32_t value = 0;

	switch (reg) {
	case APIC_DFR:
		return l->dfr;
	case APIC_ICR:
		return (uint32_t)l->icr;
	case APIC_ICR2:
		return (uint32_t)(l->icr >> 32);
	case APIC_APR: /* arbitration and remote read: gone since the Pentium 4 */
	case APIC_RRD:
	case APIC_EOI:
		return 0;
	default:
		if (reg_read(l, reg, &value))
			vlapic_error(l, ESR_REGISTER);
		return value;
	}
}

static void page_write(struct vlapic *l, unsigned reg, uint32_t value)
{
	switch (reg) {
	case APIC_LDR:
		__atomic_store_n(&l->ldr, value & 0xff000000, __ATOMIC_RELAXED);
		break;
	case APIC_DFR:
		__atomic_store_n(&l->dfr, value | 0x0fffffff, __ATOMIC_RELAXED);
		break;
	case APIC_ICR:
		vlapic_icr_write(l, (l->icr & 0xffffffff00000000) | value);
		break;
	case APIC_ICR2:
		l->icr = (uint64_t)value << 32 | (uint32_t)l->icr;
		break;
	case APIC_ID: /* fixed: the vCPU's index */
		break;
	default:
		if (reg_write(l, reg, value))
			vlapic_error(l, ESR_REGISTER);
	}
}

/* Registers stand 16 bytes apart and are 32 bits wide; between them there is nothing (SDM3 11.4.1). */
void vlapic_mmio(struct vcpu *v, unsigned offset, bool write, uint32_t *value)
{
	struct vlapic *l = v->lapic;

	if (offset & 0xf) {
		if (!write)
			*value = 0;
		return;
	}
	if (write)
		page_write(l, offset >> 4, *value);
	else
		*value = page_read(l, offset >> 4);
}

/* ---- life ---- */
int vlapic_create(struct vcpu *v)
{
	_Static_assert(sizeof(struct vlapic) <= PAGE_SIZE, "one page each");
	struct vlapic *l = hv_page_alloc(&v->vm->acct);

	if (!l)
		return -HVE_NOMEM;
	l->v = v;
	v->lapic = l;
	vlapic_timer_init(l);
	vlapic_reset(v);
	return 0;
}

void vlapic_destroy(struct vcpu *v)
{
	if (!v->lapic)
		return;
	vlapic_timer_stop(v->lapic);
	hv_page_free(&v->vm->acct, v->lapic);
	v->lapic = NULL;
}

/* SDM3 11.4.7.1. The boot CPU's LINT0 is left as firmware would leave it: the PICs reach it. */
static void power_up_state(struct vlapic *l)
{
	vlapic_timer_stop(l);
	vlapic_virt_off(l);
	memset(l->irr, 0, sizeof(l->irr));
	memset(l->service, 0, sizeof(l->service));
	l->depth = 0;
	/* In this order: a bit left in pir without `posted` would never be looked at again (vlapic_accept). */
	__atomic_store_n(&l->posted, 0, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < 4; i++) {
		__atomic_store_n(&l->pir[i], 0, __ATOMIC_SEQ_CST);
		__atomic_store_n(&l->late[i], 0, __ATOMIC_SEQ_CST);
		__atomic_store_n(&l->tmr[i], 0, __ATOMIC_RELAXED);
	}
	l->irr_top = -1;
	l->tpr = l->ldr = l->esr = l->tmict = l->tdcr = 0;
	__atomic_store_n(&l->errors, 0, __ATOMIC_RELAXED);
	l->icr = 0;
	l->dfr = 0xffffffff;
	l->svr = 0xff;
	for (unsigned i = 0; i < LVT_COUNT; i++)
		l->lvt[i] = LVT_MASKED;
	if (l->v->index == 0)
		l->lvt[LVT_LINT0] = APIC_EXTINT << 8;
}

void vlapic_init(struct vcpu *v)
{
	power_up_state(v->lapic);
	if (vlapic_x2(v->lapic)) /* the mode stays (SDM3 11.12.5.1) */
		vlapic_virt_on(v->lapic);
}

void vlapic_reset(struct vcpu *v)
{
	struct vlapic *l = v->lapic;

	power_up_state(l);
	l->base = HV_GPA_LAPIC | APIC_BASE_EN | (v->index == 0 ? APIC_BASE_BSP : 0);
}

uint64_t vlapic_base(struct vcpu *v)
{
	return v->lapic->base;
}

/* ---- state ---- */

void vlapic_save(struct vcpu *v, struct hv_state_lapic *out)
{
	struct vlapic *l = v->lapic;

	vlapic_timer_save(
		l, out); /* first: a tick that comes now is seen twice rather than not at all */
	out->base = l->base;
	out->svr = l->svr;
	out->ldr = l->ldr;
	out->dfr = l->dfr;
	out->esr = l->esr;
	out->errors = __atomic_load_n(&l->errors, __ATOMIC_RELAXED);
	out->tmict = l->tmict;
	out->tdcr = l->tdcr;
	out->icr = l->icr;
	for (unsigned i = 0; i < LVT_COUNT; i++)
		out->lvt[i] = l->lvt[i];
	out->tpr = l->tpr;
	if (l->page) {
		vlapic_virt_save(l, out);
	} else {
		for (unsigned i = 0; i < 4; i++)
			out->irr[i] = l->irr[i];
		for (unsigned i = 1; i <= l->depth; i++)
			out->isr[l->service[i & 15] >> 6] |= 1ull << (l->service[i & 15] & 63);
	}
	for (unsigned i = 0; i < 4; i++) {
		out->irr[i] |= __atomic_load_n(&l->pir[i], __ATOMIC_ACQUIRE);
		out->tmr[i] = __atomic_load_n(&l->tmr[i], __ATOMIC_RELAXED);
	}
}

/* What is in service: one vector of each class at most, and none below 16 (struct vlapic). */
static int service_load(struct vlapic *l, const uint64_t isr[4])
{
	unsigned last = 0;

	l->depth = 0;
	for (unsigned vector = 0; vector < 256; vector++) {
		if (!(isr[vector >> 6] >> (vector & 63) & 1))
			continue;
		if (vector < 16 || vector >> 4 == last >> 4)
			return -HVE_INVAL;
		last = vector;
		l->service[++l->depth] = (uint8_t)vector;
	}
	return 0;
}

static bool base_sane(uint64_t base, unsigned index)
{
	uint64_t flags = base & 0xfff;

	return (base & ~0xfffull) == HV_GPA_LAPIC &&
	       !(flags & ~(APIC_BASE_BSP | APIC_BASE_X2 | APIC_BASE_EN)) &&
	       !(flags & APIC_BASE_BSP) == (index != 0) &&
	       (!(flags & APIC_BASE_X2) || (flags & APIC_BASE_EN));
}

int vlapic_load(struct vcpu *v, const struct hv_state_lapic *in)
{
	struct vlapic *l = v->lapic;

	if (!base_sane(in->base, v->index) || (in->irr[0] & 0xffff))
		return -HVE_INVAL;
	if (service_load(l, in->isr))
		return -HVE_INVAL;
	l->base = in->base;
	l->svr = in->svr & 0x3ff;
	l->ldr = in->ldr & 0xff000000u;
	l->dfr = in->dfr | 0x0fffffffu;
	l->esr = in->esr & 0xff;
	l->errors = in->errors & 0xff;
	l->tmict = in->tmict;
	l->tdcr = in->tdcr & 0xb;
	l->icr = in->icr;
	l->tpr = in->tpr & 0xff;
	for (unsigned i = 0; i < LVT_COUNT; i++)
		l->lvt[i] = in->lvt[i] & lvt_valid[i];
	for (unsigned i = 0; i < 4; i++) {
		l->tmr[i] = in->tmr[i];
		l->pir[i] = in->irr[i]; /* as if others had posted it all just now */
	}
	l->posted = 1;
	if (vlapic_x2(l))
		vlapic_virt_on(l);
	vlapic_timer_load(l, in);
	return 0;
}
