/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMX: the local APIC in the CPU (SDM3 chapter 30): x2APIC virtualization, APIC-register virtualization, virtual-interrupt
 * delivery, and posted interrupts where offered. What it is used for is in vm/vlapic_virt.c. The registers that it serves
 * without an exit are those that the second MSR bitmap leaves open; the others are emulated as ever.
 *
 * Bochs (2.7, 3.0) keeps an interrupt that may be delivered away from a guest whose IF is 0, as it has to (SDM3 30.2.2); but
 * when a physical one comes it delivers that one first, whatever IF is. So a handler of Linux's that had written its EOI early
 * was interrupted within its locks. (It is not so for a guest that was entered with IF=0, until that executes CLI.) Hence none is
 * to become deliverable there in guest mode, and hv wants a window for one that is at the entry (vendor_apic.leaks).
 */
#include "hv/vcpu/vmx_vmcs.h"
#include "hv/lib/string.h"
#include "hv/plat/plat.h"

/* x2APIC MSRs (SDM3 table 11-6). */
enum x2apic_msr {
	X2_ID = 0x802,
	X2_VERSION = 0x803,
	X2_TPR = 0x808,
	X2_PPR = 0x80a,
	X2_EOI = 0x80b,
	X2_LDR = 0x80d,
	X2_ISR = 0x810,
	X2_IRR = 0x820,
	X2_SELF_IPI = 0x83f,
	X2_BITMAP = 8, /* registers each of ISR and IRR */
};

static uint8_t *open_map; /* [I] [owns] the MSR bitmap while the CPU keeps the APIC */
static struct vendor_apic vmx_apic;

static int make_map(void)
{
	static const uint32_t reads[] = {X2_ID, X2_VERSION, X2_TPR, X2_PPR, X2_LDR};
	static const uint32_t writes[] = {X2_EOI, X2_TPR, X2_SELF_IPI};
	unsigned n_writes = vmx_apic.leaks ? 1 : ARRAY_SIZE(writes);

	open_map = hv_page_alloc(&account_hv);
	if (!open_map)
		return -HVE_NOMEM;
	memcpy(open_map, phys_to_hv(vmx_msr_map()), PAGE_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(reads); i++)
		vmx_msr_open(open_map, reads[i], false);
	for (unsigned i = 0; i < n_writes; i++)
		vmx_msr_open(open_map, writes[i], true);
	for (uint32_t i = 0; i < X2_BITMAP; i++) {
		vmx_msr_open(open_map, X2_ISR + i, false);
		vmx_msr_open(open_map, X2_IRR + i, false);
	}
	return 0;
}

const struct vendor_apic *vmx_apic_init(void)
{
	vmx_apic.leaks = vmx_features.irq_leak && !cpu_features.exact;
	if (!vmx_features.apic || make_map())
		return NULL;
	vmx_apic.notified = vmx_features.posted;
	return &vmx_apic;
}

int vmx_apic_create(struct vmx_vcpu *a, struct account *acct)
{
	if (vmx_features.apic)
		a->apic_page = hv_page_alloc(acct);
	return vmx_features.apic && !a->apic_page ? -HVE_NOMEM : 0;
}

void vmx_apic_destroy(struct vmx_vcpu *a, struct account *acct)
{
	if (a->apic_page)
		hv_page_free(acct, a->apic_page);
}

static uint32_t *page(struct vcpu *v)
{
	return vmx_of(v)->apic_page;
}

static void switch_on(struct vmx_vcpu *a, hpa_t descriptor)
{
	vmwrite(VMCS_VIRTUAL_APIC, hv_to_phys(a->apic_page));
	vmwrite(VMCS_TPR_THRESHOLD, 0);
	vmwrite(VMCS_MSR_BITMAP, hv_to_phys(open_map));
	vmwrite(VMCS_PROC2, a->proc2 |= PROC2_APIC);
	vmx_proc_change(a, (vmx_apic.leaks ? 0 : PROC_CR8_LOAD) | PROC_CR8_STORE, PROC_TPR_SHADOW);
	if (!vmx_features.posted)
		return;
	vmwrite(VMCS_POSTED_VECTOR, VEC_POSTED);
	vmwrite(VMCS_POSTED_DESCRIPTOR, descriptor);
	vmwrite(VMCS_PIN, vmx_features.pin | PIN_POSTED);
}

static void switch_off(struct vmx_vcpu *a)
{
	vmwrite(VMCS_PIN, vmx_features.pin);
	vmwrite(VMCS_MSR_BITMAP, vmx_msr_map());
	vmwrite(VMCS_PROC2, a->proc2 &= ~PROC2_APIC);
	vmx_proc_change(a, PROC_TPR_SHADOW, PROC_CR8_LOAD | PROC_CR8_STORE);
}

static void enable(struct vcpu *v, bool on, hpa_t descriptor)
{
	struct vmx_vcpu *a = vmx_of(v);
	bool opened = vmx_open(a);

	if (on)
		switch_on(a, descriptor);
	else
		switch_off(a);
	vmx_close(a, opened);
}

/* Requesting and servicing virtual interrupt (SDM3 25.4.2, guest interrupt status). */
static void state(struct vcpu *v, uint8_t irr_top, uint8_t isr_top)
{
	(void)v;
	vmwrite(VMCS_INTERRUPT_STATUS, (unsigned)isr_top << 8 | irr_top);
}

static void request(struct vcpu *v, uint8_t irr_top)
{
	state(v, irr_top, (uint8_t)(vmread(VMCS_INTERRUPT_STATUS) >> 8));
}

static void watch_eois(struct vcpu *v, const uint64_t vectors[4])
{
	(void)v;
	for (unsigned i = 0; i < 4; i++)
		vmwrite((enum vmcs_field)(VMCS_EOI_EXITS + 2 * i), vectors[i]);
}

static struct vendor_apic vmx_apic = {
	.page = page,
	.enable = enable,
	.state = state,
	.request = request,
	.watch_eois = watch_eois,
};
