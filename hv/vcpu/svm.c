/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AMD's virtualization extension (SVM, APM2 chapter 15): finding it, switching it on, making vCPUs, and the begin and
 * end of a vCPU's turn on a CPU. svm_exit.c runs guests and translates exits, svm_event.c injects, svm_state.c knows the
 * registers. These files translate only; what an exit means is decided in vm/.
 */
#include "hv/vcpu/svm_vmcb.h"
#include "hv/cpu/x86.h"
#include "hv/lib/string.h"

#define MSR_VM_CR 0xc0010114u
#define VM_CR_SVMDIS (1ull << 4)
#define MSR_VM_HSAVE_PA 0xc0010117u

#define EFER_FFXSR (1ull << 14)

/* CPUID 8000000a EDX */
#define FEATURE_NPT (1u << 0)
#define FEATURE_NRIP (1u << 3)
#define FEATURE_CLEAN (1u << 5)
#define FEATURE_FLUSH_BY_ASID (1u << 6)
#define FEATURE_DECODE (1u << 7)
#define FEATURE_PAUSE_FILTER (1u << 10)
#define FEATURE_PAUSE_THRESHOLD (1u << 12)

#define IO_MAP_PAGES 4u  /* three are used (APM2 15.10.1); allocation is by powers of two */
#define MSR_MAP_PAGES 2u /* APM2 15.11 */

/* Spins of a PAUSE loop before it costs the guest its turn, and how close together they must be (cycles). */
#define PAUSE_COUNT 3000u
#define PAUSE_THRESHOLD 128u

struct svm_features svm_features;
static uint8_t *io_map;  /* [I] [owns] every port exits */
static uint8_t *msr_map; /* [I] [owns] every MSR exits but those VMLOAD and VMSAVE switch */

/* Reading and writing are allowed: the bits are two per MSR, three ranges of 2 KiB (APM2 15.11). */
static void msr_open(uint32_t msr)
{
	uint32_t n = msr < 0xc0000000u ? msr : msr - 0xc0000000u + 0x2000u;

	msr_map[n / 4] &= (uint8_t) ~(3u << n % 4 * 2);
}

static int make_maps(void)
{
	static const uint32_t open[] = {
		0x174,     0x175,      0x176,       MSR_STAR,    MSR_LSTAR,
		MSR_CSTAR, MSR_SFMASK, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE};

	io_map = hv_pages_alloc(&account_hv, IO_MAP_PAGES);
	msr_map = hv_pages_alloc(&account_hv, MSR_MAP_PAGES);
	if (!io_map || !msr_map)
		return -HVE_NOMEM;
	memset(io_map, 0xff, IO_MAP_PAGES * PAGE_SIZE);
	memset(msr_map, 0xff, MSR_MAP_PAGES * PAGE_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(open); i++)
		msr_open(open[i]);
	return 0;
}

static void read_features(const struct cpuid *c)
{
	struct svm_features *f = &svm_features;

	f->asids = c->ebx;
	/* QEMU's #VMEXIT restores DR7 and leaves the breakpoints themselves in place. */
	f->dr_leak = cpu_features.tcg;
	f->next_rip = c->edx & FEATURE_NRIP;
	f->decode_assist = c->edx & FEATURE_DECODE;
	f->clean_bits = c->edx & FEATURE_CLEAN;
	f->flush_by_asid = c->edx & FEATURE_FLUSH_BY_ASID;
	f->pause_filter = c->edx & FEATURE_PAUSE_FILTER;
	f->pause_threshold = c->edx & FEATURE_PAUSE_THRESHOLD;
	f->efer = EFER_SCE | EFER_LME | EFER_LMA | (cpu_features.nx ? EFER_NXE : 0);
	if (cpuid(0x80000001u, 0).edx & 1u << 25)
		f->efer |= EFER_FFXSR;
	f->rdpru = cpuid(0x80000000u, 0).eax >= 0x80000008u &&
		   (cpuid(0x80000008u, 0).ebx & 1u << 4);
}

static const char *svm_probe(void)
{
	uint64_t vm_cr = 0;
	struct cpuid c;

	if (cpuid(0x80000000u, 0).eax < 0x8000000au || !(cpuid(0x80000001u, 0).ecx & 1u << 2))
		return "this CPU has no SVM, or the firmware or an outer hypervisor hides it";
	/* An emulator has no VM_CR: then nothing is locked. */
	if (!msr_read_safe(MSR_VM_CR, &vm_cr) && (vm_cr & VM_CR_SVMDIS))
		return "SVM is switched off by the firmware (VM_CR.SVMDIS); enable it in its setup";
	c = cpuid(0x8000000au, 0);
	if (!(c.edx & FEATURE_NPT))
		return "this CPU's SVM has no nested paging, which Socle needs";
	if (c.ebx < 2)
		return "this CPU's SVM offers no ASID for guests";
	read_features(&c);
	if (make_maps())
		return "no memory for the SVM permission maps";
	return NULL;
}

static int svm_cpu_enable(struct cpu *c)
{
	struct svm_cpu *s;
	uint8_t *pages = hv_pages_alloc(&account_hv, 4);

	if (!pages)
		return -HVE_NOMEM;
	/* One page each: host save area, VMSAVE of the host; the third holds struct svm_cpu. */
	s = (struct svm_cpu *)(void *)(pages + 2 * PAGE_SIZE);
	s->save_pa = hv_to_phys(pages);
	s->host_pa = hv_to_phys(pages + PAGE_SIZE);
	s->asid_next = svm_features.asids; /* the first turn begins generation 1 with a flush */
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, s->save_pa);
	c->vendor = s;
	return 0;
}

static void set_intercepts(struct vmcb *b)
{
	b->intercept_cr = SVM_CR8_READ | SVM_CR8_WRITE;
	b->intercept_dr = 0xffffffffu; /* until the guest's DR0-3 are loaded (svm_dr_load) */
	/* #DB and #AC could otherwise be raised for ever while one is being delivered (CVE-2015-5307, -8104). */
	b->intercept_exceptions = 1u << VECTOR_DB | 1u << VECTOR_AC | 1u << VECTOR_MC;
	b->intercept_misc1 = SVM_INTR | SVM_NMI | SVM_RDPMC | SVM_CPUID | SVM_INVD | SVM_HLT |
			     SVM_INVLPGA | SVM_IOIO | SVM_MSR | SVM_FERR_FREEZE | SVM_SHUTDOWN;
	b->intercept_misc2 = SVM_VMRUN | SVM_VMMCALL | SVM_VMLOAD | SVM_VMSAVE | SVM_STGI |
			     SVM_CLGI | SVM_SKINIT | SVM_WBINVD | SVM_MONITOR | SVM_MWAIT |
			     SVM_MWAIT_ARMED | SVM_XSETBV;
	if (svm_features.rdpru)
		b->intercept_misc2 |= SVM_RDPRU;
	if (svm_features.pause_filter) {
		b->intercept_misc1 |= SVM_PAUSE;
		b->pause_count = PAUSE_COUNT;
		b->pause_threshold = svm_features.pause_threshold ? PAUSE_THRESHOLD : 0;
	}
}

static int svm_vcpu_create(struct vcpu *v, hpa_t npt_root, struct account *acct)
{
	struct svm_vcpu *a = (struct svm_vcpu *)(void *)v->arch_room;
	struct vmcb *b = hv_page_alloc(acct);

	if (!b)
		return -HVE_NOMEM;
	*a = (struct svm_vcpu){.vmcb = b, .vmcb_pa = hv_to_phys(b), .cpu = ~0u};
	v->arch = a;
	set_intercepts(b);
	b->iopm_base = hv_to_phys(io_map);
	b->msrpm_base = hv_to_phys(msr_map);
	b->nested_control = 1;
	b->nested_cr3 = npt_root;
	svm_reset(v);
	return 0;
}

static void svm_vcpu_destroy(struct vcpu *v, struct account *acct)
{
	hv_page_free(acct, svm_of(v)->vmcb);
}

static void svm_load(struct vcpu *v, struct cpu *c)
{
	struct svm_vcpu *a = svm_of(v);
	struct svm_cpu *s = c->vendor;

	svm_asid_load(a, s, c->index);
	a->host_pa = s->host_pa;
	/* What VMLOAD of host_pa brings back after each exit; programs may have changed FS since the last turn. */
	__asm__ volatile("vmsave %0" : : "a"(s->host_pa) : "memory");
	if (cpu_features.rdtscp)
		wrmsr(MSR_TSC_AUX, a->tsc_aux);
	if ((a->vmcb->dr7 & 0xff) && !svm_features.dr_leak)
		svm_dr_load(a);
	if (UNLIKELY(a->after & AFTER_INJECTION))
		svm_injected(a);
}

static void svm_save(struct vcpu *v)
{
	struct svm_vcpu *a = svm_of(v);

	if (a->dr_live)
		svm_dr_save(a);
}

static bool svm_npt_1g(void)
{
	return cpu_features.page1g;
}

const struct vendor vendor_svm = {
	.name = "AMD SVM with nested paging",
	.virt = HV_VIRT_SVM,
	.npt_format = PT_NPT,
	.npt_1g = svm_npt_1g,
	.probe = svm_probe,
	.cpu_enable = svm_cpu_enable,
	.vcpu_create = svm_vcpu_create,
	.vcpu_destroy = svm_vcpu_destroy,
	.load = svm_load,
	.save = svm_save,
	.run = svm_run,
	.reset = svm_reset,
	.get = svm_get,
	.set = svm_set,
	.get_rest = svm_get_rest,
	.set_rest = svm_set_rest,
	.context = svm_context,
	.segment = svm_segment,
	.can_inject = svm_can_inject,
	.inject = svm_inject,
	.window = svm_window,
	.skip = svm_skip,
	.flush = svm_flush,
	.npt_changed = svm_npt_changed,
	.msr = svm_msr,
};
