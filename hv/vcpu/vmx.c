/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intel's virtualization extension (VMX, SDM3 chapters 24 to 28): finding it, switching it on, making vCPUs, and the
 * begin and end of a vCPU's turn on a CPU. vmx_exit.c runs guests and translates exits, vmx_event.c injects, vmx_state.c
 * knows the registers, vmx_msr.c and vmx_debug.c those that VMX leaves to software. These files translate only; what an
 * exit means is decided in vm/.
 */
#include "hv/vcpu/vmx_vmcs.h"
#include "hv/cpu/x86.h"
#include "hv/lib/log.h"
#include "hv/lib/string.h"
#include "hv/plat/plat.h"

enum vmx_msr_number {
	MSR_FEATURE_CONTROL = 0x3a,
	MSR_VMX_BASIC = 0x480,
	MSR_VMX_PIN = 0x481,
	MSR_VMX_PROC = 0x482,
	MSR_VMX_EXIT = 0x483,
	MSR_VMX_ENTRY = 0x484,
	MSR_VMX_MISC = 0x485,
	MSR_VMX_CR0_FIXED0 = 0x486,
	MSR_VMX_CR4_FIXED0 = 0x488,
	MSR_VMX_PROC2 = 0x48b,
	MSR_VMX_EPT_VPID = 0x48c,
	MSR_VMX_TRUE = 0x0c, /* from the four at 481 to the true ones at 48d */
};
#define BASIC_TRUE (1ull << 55)
#define PROC_HAS_SECONDARY (1ull << 63)
#define PROC2_HAS_EPT_VPID ((uint64_t)(PROC2_EPT | PROC2_VPID) << 32)

/* An interrupt that comes while a guest runs with IF=0 makes it leave (SDM3 26.2). Bochs forgets it when hv's IF was 0
 * too: so the guest also leaves after this time in it, which an exit does not begin anew. */
#define SAFETY_MS 1u

/* Spins of a PAUSE loop before it costs the guest its turn, and how close together they must be (cycles). */
#define PAUSE_GAP 128u
#define PAUSE_WINDOW 4096u

struct vmx_features vmx_features;

extern const uint8_t vmx_left[];

/* ---- finding it ---- */

static void read_caps(struct vmx_caps *c)
{
	uint32_t more;

	c->basic = rdmsr(MSR_VMX_BASIC);
	more = c->basic & BASIC_TRUE ? MSR_VMX_TRUE : 0;
	c->pin = rdmsr(MSR_VMX_PIN + more);
	c->proc = rdmsr(MSR_VMX_PROC + more);
	c->exit = rdmsr(MSR_VMX_EXIT + more);
	c->entry = rdmsr(MSR_VMX_ENTRY + more);
	c->misc = rdmsr(MSR_VMX_MISC);
	c->cr0_fixed0 = rdmsr(MSR_VMX_CR0_FIXED0);
	c->cr4_fixed0 = rdmsr(MSR_VMX_CR4_FIXED0);
	/* These exist only where the ones before say so (SDM3 A.3.3, A.10). */
	c->proc2 = c->proc & PROC_HAS_SECONDARY ? rdmsr(MSR_VMX_PROC2) : 0;
	c->ept_vpid = c->proc2 & PROC2_HAS_EPT_VPID ? rdmsr(MSR_VMX_EPT_VPID) : 0;
}

/* Why this CPU's VMX cannot be used; NULL: it can, and *out says how. */
static const char *examine(struct vmx_features *out)
{
	struct vmx_caps caps;

	if (!cpu_features.vmx || msr_read_safe(MSR_FEATURE_CONTROL, &caps.feature_control))
		return "this CPU has no VMX, or the firmware or an outer hypervisor hides it";
	read_caps(&caps);
	return vmx_caps_choose(&caps, out);
}

static const char *vmx_probe(void)
{
	const char *why = examine(&vmx_features);

	if (why)
		return why;
	vmx_init_masks();
	return vmx_make_msr_map() ? "no memory for the MSR bitmap" : NULL;
}

/* ---- the region instructions; false: refused ---- */

static bool vmxon(hpa_t region)
{
	bool ok;

	__asm__ volatile("vmxon %1" : "=@cca"(ok) : "m"(region) : "memory");
	return ok;
}

static bool vmptrld(hpa_t region)
{
	bool ok;

	__asm__ volatile("vmptrld %1" : "=@cca"(ok) : "m"(region) : "memory");
	return ok;
}

static void vmclear(hpa_t region)
{
	__asm__ volatile("vmclear %0" : : "m"(region) : "cc", "memory");
}

/* Where the firmware left it open hv switches it on, and locks it, for VMXON wants that (SDM3 24.7). */
static int unlock(void)
{
	uint64_t control = rdmsr(MSR_FEATURE_CONTROL);

	if (control & FEATURE_LOCKED)
		return 0;
	return msr_write_safe(MSR_FEATURE_CONTROL, control | FEATURE_VMXON | FEATURE_LOCKED);
}

static int vmx_cpu_enable(struct cpu *c)
{
	uint32_t *region = hv_page_alloc(&account_hv);
	struct vmx_cpu *pc = hv_page_alloc(&account_hv);
	struct vmx_features mine = {0};

	if (!region || !pc)
		return -HVE_NOMEM;
	/* A VMCS goes from CPU to CPU: all must take the same. */
	if (examine(&mine) || memcmp(&mine, &vmx_features, sizeof(mine)) || unlock())
		return -HVE_NOVIRT;
	*region = vmx_features.revision;
	write_cr4(read_cr4() | CR4_VMXE);
	if (!vmxon(hv_to_phys(region)))
		return -HVE_NOVIRT;
	__asm__ volatile("sgdt %0" : "=m"(pc->gdtr));
	c->vendor = pc;
	vmx_tlb_enable();
	return 0;
}

/* ---- the current VMCS ---- */

static void make_current(struct vmx_cpu *pc, struct vmx_vcpu *a)
{
	/* It can only be refused for a region that vcpu_create did not make. */
	if (!vmptrld(a->vmcs_pa))
		panic("VMPTRLD of %llx was refused", (unsigned long long)a->vmcs_pa);
	pc->current = a;
}

static void clear(struct vmx_cpu *pc, struct vmx_vcpu *a)
{
	vmclear(a->vmcs_pa);
	a->launched = false;
	pc->current = NULL;
}

bool vmx_open(struct vmx_vcpu *a)
{
	struct vmx_cpu *pc = this_cpu()->vendor;

	if (pc->current == a)
		return false;
	make_current(pc, a);
	return true;
}

void vmx_close(struct vmx_vcpu *a, bool opened)
{
	if (opened && n_cpus > 1)
		clear(this_cpu()->vendor, a);
}

/* ---- vCPUs ---- */

#define EXCEPTIONS (1u << VECTOR_DB | 1u << VECTOR_AC | 1u << VECTOR_MC)

void vmx_safety_start(void)
{
	vmwrite(VMCS_PREEMPTION,
		MAX(tsc_khz * SAFETY_MS >> vmx_features.preemption_shift, (uint64_t)1));
}

static void write_controls(struct vmx_vcpu *a)
{
	const struct vmx_features *f = &vmx_features;

	vmwrite(VMCS_PIN, f->pin);
	vmwrite(VMCS_PROC, a->proc = f->proc);
	vmwrite(VMCS_PROC2, a->proc2 = f->proc2);
	vmwrite(VMCS_EXIT, f->exit);
	vmwrite(VMCS_ENTRY, f->entry);
	/* #DB and #AC could otherwise be raised for ever while one is being delivered (CVE-2015-5307, -8104). */
	vmwrite(VMCS_EXCEPTIONS, EXCEPTIONS);
	vmwrite(VMCS_PF_MASK, 0);
	vmwrite(VMCS_PF_MATCH, 0);
	vmwrite(VMCS_CR3_TARGETS, 0);
	vmwrite(VMCS_EXIT_MSR_STORES, 0);
	vmwrite(VMCS_EXIT_MSR_LOADS, 0);
	vmwrite(VMCS_ENTRY_MSR_LOADS, 0);
	vmwrite(VMCS_MSR_BITMAP, vmx_msr_map());
	vmwrite(VMCS_TSC_OFFSET, 0);
	vmwrite(VMCS_EPTP, a->eptp);
	vmwrite(VMCS_LINK, ~0ull);
	if (f->proc2 & PROC2_ENCLS)
		vmwrite(VMCS_ENCLS_BITMAP, ~0ull);
	if (f->proc2 & PROC2_PAUSE_LOOP) {
		vmwrite(VMCS_PLE_GAP, PAUSE_GAP);
		vmwrite(VMCS_PLE_WINDOW, PAUSE_WINDOW);
	}
	if (f->pin & PIN_PREEMPTION)
		vmx_safety_start();
}

/* What an exit loads that is the same on all CPUs (SDM3 28.5). Null selectors: 64-bit code does not look at them, and
 * programs have no FS base. */
static void write_host_state(void)
{
	vmwrite(VMCS_HOST_CS, SEL_CODE);
	vmwrite(VMCS_HOST_SS, SEL_DATA);
	vmwrite(VMCS_HOST_TR, SEL_TSS);
	vmwrite(VMCS_HOST_ES, 0);
	vmwrite(VMCS_HOST_DS, 0);
	vmwrite(VMCS_HOST_FS, 0);
	vmwrite(VMCS_HOST_GS, 0);
	vmwrite(VMCS_HOST_FS_BASE, 0);
	vmwrite(VMCS_HOST_SYSENTER_CS, 0);
	vmwrite(VMCS_HOST_SYSENTER_ESP, 0);
	vmwrite(VMCS_HOST_SYSENTER_EIP, 0);
	vmwrite(VMCS_HOST_RIP, (uint64_t)vmx_left);
	vmwrite(VMCS_HOST_CR0, read_cr0() & ~CR0_TS); /* set while a vmm borrows the FPU */
	vmwrite(VMCS_HOST_CR4, read_cr4());
	vmwrite(VMCS_HOST_EFER, rdmsr(MSR_EFER));
	vmwrite(VMCS_HOST_PAT, rdmsr(MSR_PAT));
}

/* ... and what is this CPU's own. */
static void write_cpu_state(struct vmx_vcpu *a, struct cpu *c)
{
	const struct vmx_cpu *pc = c->vendor;
	struct table_pointer idtr;

	__asm__ volatile("sidt %0" : "=m"(idtr));
	vmwrite(VMCS_HOST_GDTR_BASE, pc->gdtr.base);
	vmwrite(VMCS_HOST_IDTR_BASE, idtr.base);
	vmwrite(VMCS_HOST_GS_BASE, (uint64_t)c);
	vmwrite(VMCS_HOST_TR_BASE, (uint64_t)c->tss);
	a->host_rsp = 0;
	a->cpu = c->index;
}

static int vmx_vcpu_create(struct vcpu *v, hpa_t npt_root, struct account *acct)
{
	struct vmx_vcpu *a = (struct vmx_vcpu *)(void *)v->arch_room;
	uint32_t *region = hv_page_alloc(acct);
	bool opened;

	if (!region)
		return -HVE_NOMEM;
	*region = vmx_features.revision;
	*a = (struct vmx_vcpu){.vmcs = region,
			       .vmcs_pa = hv_to_phys(region),
			       .eptp = npt_root | vmx_features.eptp_bits,
			       .cpu = ~0u};
	v->arch = a;
	if (vmx_apic_create(a, acct))
		return -HVE_NOMEM;
	vmclear(a->vmcs_pa); /* the form of a VMCS is the CPU's (SDM3 25.11.3) */
	opened = vmx_open(a);
	write_controls(a);
	write_host_state();
	vmx_reset(v);
	vmx_close(a, opened);
	return 0;
}

static void vmx_vcpu_destroy(struct vcpu *v, struct account *acct)
{
	struct vmx_vcpu *a = vmx_of(v);
	struct vmx_cpu *pc = this_cpu()->vendor;

	vmclear(a->vmcs_pa); /* the CPU may still hold it, and write it back */
	if (pc->current == a)
		pc->current = NULL;
	vmx_apic_destroy(a, acct);
	hv_page_free(acct, a->vmcs);
}

/* ---- a turn ---- */

static void vmx_load(struct vcpu *v, struct cpu *c)
{
	struct vmx_vcpu *a = vmx_of(v);
	struct vmx_cpu *pc = c->vendor;
	bool moved = a->cpu != c->index;

	if (pc->current != a)
		make_current(pc, a);
	if (moved)
		write_cpu_state(a, c);
	/* Within a turn it stays: address spaces are left in the scheduler's loop only. */
	if (a->host_cr3 != c->loaded_cr3)
		vmwrite(VMCS_HOST_CR3, a->host_cr3 = c->loaded_cr3);
	vmx_tlb_load(a, pc, moved);
	vmx_msrs_load(a);
	if (read_cr2() != a->cr2)
		write_cr2(a->cr2);
	if (a->breakpoints)
		vmx_dr_load(a);
}

static void vmx_save(struct vcpu *v)
{
	struct vmx_cpu *pc = this_cpu()->vendor;
	struct vmx_vcpu *a = vmx_of(v);

	if (a->dr_live)
		vmx_dr_save(a);
	a->cr2 = read_cr2();
	vmx_msrs_save(a);
	/* An exit leaves a GDT of 64 KiB (SDM3 28.5.2): a program could take what lies behind ours for descriptors. */
	__asm__ volatile("lgdt %0" : : "m"(pc->gdtr));
	if (n_cpus > 1)
		clear(pc, a);
}

static bool vmx_npt_1g(void)
{
	return vmx_features.ept_1g;
}

const struct vendor vendor_vmx = {
	.name = "Intel VMX with EPT",
	.virt = HV_VIRT_VMX,
	.npt_format = PT_EPT,
	.npt_1g = vmx_npt_1g,
	.probe = vmx_probe,
	.apic_init = vmx_apic_init,
	.cpu_enable = vmx_cpu_enable,
	.vcpu_create = vmx_vcpu_create,
	.vcpu_destroy = vmx_vcpu_destroy,
	.load = vmx_load,
	.save = vmx_save,
	.run = vmx_run,
	.reset = vmx_reset,
	.get = vmx_get,
	.set = vmx_set,
	.get_rest = vmx_get_rest,
	.set_rest = vmx_set_rest,
	.context = vmx_context,
	.segment = vmx_segment,
	.can_inject = vmx_can_inject,
	.inject = vmx_inject,
	.window = vmx_window,
	.skip = vmx_skip,
	.flush = vmx_flush,
	.npt_changed = vmx_npt_changed,
	.msr = vmx_msr,
};
