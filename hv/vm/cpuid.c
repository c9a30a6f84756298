/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest sees of its CPU: the host's features cut down to those that work without more help, n vCPUs as the
 * cores of one package, the paravirtual leaves of KVM that hv serves, and a leaf of our own. A bit that is not in the
 * lists below is not shown: features of tomorrow's CPUs may need MSRs, state or intercepts that hv does not know.
 *
 * The tables are built when the VM is made; the exit is a look-up and, for a few leaves, a fix-up.
 */
#include "hv/lib/string.h"
#include "hv/vm/vlapic.h"

#define LEAF_EXT 0x80000000u
#define LEAF_KVM 0x40000000u
#define LEAF_SOCLE 0x40000100u
#define SOCLE_VERSION 1u
#define BIT(n) (1u << (n))

/* Leaf 1, ECX: SSE3 PCLMUL SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND. No MONITOR, VMX,
 * DTES, PDCM; x2APIC (21), TSC-deadline (24) and the hypervisor bit (31) are ours, OSXSAVE (27) follows CR4. */
#define ECX1_SHOWN                                                                                 \
	(BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(17) | BIT(19) | BIT(20) | BIT(22) |    \
	 BIT(23) | BIT(25) | BIT(26) | BIT(28) | BIT(29) | BIT(30))
#define ECX1_OURS (BIT(21) | BIT(24) | BIT(31))
#define ECX1_PCID BIT(17)
#define ECX1_XSAVE (BIT(26) | BIT(12) | BIT(28) | BIT(29)) /* and what needs it: FMA AVX F16C */
#define ECX1_OSXSAVE BIT(27)
/* Leaf 1, EDX: FPU VME DE PSE TSC MSR PAE MCE CX8 APIC SEP PGE MCA CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2. No MTRR (12):
 * guest memory types are the nested tables' business; no DS, ACPI, TM. HTT (28) by number of vCPUs. */
#define EDX1_SHOWN                                                                                 \
	(BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(9) | \
	 BIT(11) | BIT(13) | BIT(14) | BIT(15) | BIT(16) | BIT(17) | BIT(19) | BIT(23) | BIT(24) | \
	 BIT(25) | BIT(26))
#define EDX1_HTT BIT(28)
/* Leaf 7, EBX: FSGSBASE BMI1 AVX2 SMEP BMI2 ERMS INVPCID AVX512F AVX512DQ RDSEED ADX SMAP IFMA CLFLUSHOPT CLWB AVX512CD
 * SHA AVX512BW AVX512VL. No TSC_ADJUST (1): the TSC runs native. */
#define EBX7_SHOWN                                                                                 \
	(BIT(0) | BIT(3) | BIT(5) | BIT(7) | BIT(8) | BIT(9) | BIT(10) | BIT(16) | BIT(17) |       \
	 BIT(18) | BIT(19) | BIT(20) | BIT(21) | BIT(23) | BIT(24) | BIT(28) | BIT(29) | BIT(30) | \
	 BIT(31))
#define EBX7_INVPCID BIT(10)
#define EBX7_AVX (BIT(5) | EBX7_AVX512)
#define EBX7_AVX512 (BIT(16) | BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31))
/* Leaf 7, ECX: AVX512_VBMI UMIP VBMI2 GFNI VAES VPCLMUL VNNI BITALG VPOPCNTDQ MOVDIRI MOVDIR64B. No PKU, LA57, RDPID. */
#define ECX7_SHOWN                                                                                 \
	(BIT(1) | BIT(2) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(14) |      \
	 BIT(27) | BIT(28))
#define ECX7_AVX512 (BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14))
#define ECX7_AVX (BIT(9) | BIT(10) | ECX7_AVX512)
/* Leaf 7, EDX: FSRM, MD_CLEAR (VERW), SERIALIZE. Nothing that needs SPEC_CTRL or ARCH_CAPABILITIES. */
#define EDX7_SHOWN (BIT(4) | BIT(10) | BIT(14))
#define EAX71_SHOWN (BIT(4) | BIT(5)) /* AVX-VNNI, AVX512_BF16 */
#define EAX6_ARAT BIT(2)              /* our APIC timer never stops */
#define EAXD1_XSAVEOPT BIT(0)
/* Leaf 0x80000001, ECX: LAHF CR8-legacy-free ABM SSE4A MISALIGNSSE PREFETCHW XOP FMA4 TBM TOPOEXT. No SVM, IBS, OSVW,
 * SKINIT, WDT, LWP, counters, MWAITX. */
#define ECX81_SHOWN                                                                                \
	(BIT(0) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(11) | BIT(16) | BIT(21) | BIT(22))
#define ECX81_AVX (BIT(11) | BIT(16))
#define ECX81_CMP_LEGACY BIT(1)
/* ... EDX: SYSCALL NX MMXEXT FXSR_OPT 1G-pages RDTSCP LM 3DNOWEXT 3DNOW, and AMD's copy of leaf 1. */
#define EDX81_SHOWN                                                                                \
	(BIT(11) | BIT(20) | BIT(22) | BIT(25) | BIT(26) | BIT(27) | BIT(29) | BIT(30) | BIT(31))
#define EDX81_COPY 0x0183f3ffu
#define EBX88_SHOWN (BIT(0) | BIT(2)) /* CLZERO, XSAVE saves error pointers */

/* KVM: CLOCKSOURCE NOP_IO_DELAY CLOCKSOURCE2 PV_SEND_IPI CLOCKSOURCE_STABLE. The others are not there. */
#define KVM_FEATURES (BIT(0) | BIT(1) | BIT(3) | BIT(11) | BIT(24))
#define LAPIC_KHZ 1000000u /* vlapic_timer.c: 1 ns */

/* ---- building ---- */
static unsigned bits_for(unsigned n) /* to number n things */
{
	return n > 1 ? 32 - (unsigned)__builtin_clz(n - 1) : 0;
}

static void build_1(struct cpuid_table *t, const struct cpuid *host)
{
	struct cpuid *r = &t->basic[1];

	r->eax = host->eax;
	/* APIC ID (per vCPU), logical processors, CLFLUSH size */
	r->ebx = (host->ebx & 0xff00) | t->n_vcpus << 16;
	r->ecx = (host->ecx & ECX1_SHOWN) | ECX1_OURS;
	r->edx = (host->edx & EDX1_SHOWN) | (t->n_vcpus > 1 ? EDX1_HTT : 0) | BIT(9);
	if (!cpu_features.pcid)
		r->ecx &= ~ECX1_PCID;
	if (!cpu_features.xsave)
		r->ecx &= ~ECX1_XSAVE;
}

static void build_7(struct cpuid_table *t)
{
	struct cpuid host = cpuid(7, 0), *r = &t->basic[7];
	bool avx512 = (cpu_features.xcr0_mask & XCR0_OFFERED) == XCR0_OFFERED;

	r->ebx = host.ebx & EBX7_SHOWN;
	r->ecx = host.ecx & ECX7_SHOWN;
	r->edx = host.edx & EDX7_SHOWN;
	if (!cpu_features.pcid)
		r->ebx &= ~EBX7_INVPCID;
	if (!avx512) {
		r->ebx &= ~EBX7_AVX512;
		r->ecx &= ~ECX7_AVX512;
	}
	if (!cpu_features.xsave) {
		r->ebx &= ~EBX7_AVX;
		r->ecx &= ~ECX7_AVX;
	}
	if (!host.eax || !avx512)
		return;
	r->eax = 1;
	t->features1.eax = cpuid(7, 1).eax & EAX71_SHOWN;
}

/* Sub-leaf 0: EBX is worked out for the XCR0 in force; ECX for all that may be set. */
static void build_xsave(struct cpuid_table *t)
{
	uint64_t mask = cpu_features.xcr0_mask & XCR0_OFFERED;
	uint32_t size = 576; /* legacy area and header */

	if (!cpu_features.xsave)
		return;
	for (unsigned i = 2; i < CPUID_COMPONENTS; i++) {
		struct cpuid host = cpuid(0xd, i);

		if (!(mask >> i & 1))
			continue;
		t->xsave[i] = (struct cpuid){.eax = host.eax, .ebx = host.ebx};
		size = MAX(size, host.eax + host.ebx);
	}
	t->xsave[0] = (struct cpuid){.eax = (uint32_t)mask, .ecx = size};
	t->xsave[1].eax = cpuid(0xd, 1).eax & EAXD1_XSAVEOPT;
}

/* Caches of levels 1 and 2 belong to one vCPU, the last one to all. Bits 25-14: sharers - 1 (SDM2 leaf 4; APM3
 * 0x8000001d). Bits 31-26 (Intel): room for cores in the package - 1. */
static void build_caches(struct cpuid_table *t, struct cpuid *to, uint32_t leaf)
{
	for (unsigned i = 0; i < CPUID_CACHES; i++) {
		struct cpuid r = cpuid(leaf, i);

		if (!(r.eax & 0x1f))
			return;
		r.eax &= 0x3fff;
		if ((r.eax >> 5 & 7) > 2)
			r.eax |= (t->n_vcpus - 1) << 14;
		if (leaf == 4)
			r.eax |= ((1u << t->shift) - 1) << 26;
		to[i] = r;
	}
}

static void build_basic(struct cpuid_table *t)
{
	struct cpuid vendor_leaf = cpuid(0, 0), one = cpuid(1, 0);

	t->basic[0] = vendor_leaf;
	t->basic[0].eax = CPUID_BASIC - 1;
	build_1(t, &one);
	if (cpu_features.intel)
		t->basic[2] = cpuid(2, 0);
	if (cpu_features.intel && vendor_leaf.eax >= 4)
		build_caches(t, t->caches_intel, 4);
	t->basic[6].eax = EAX6_ARAT;
	if (vendor_leaf.eax >= 7)
		build_7(t);
	build_xsave(t);
}

static void build_ext_features(struct cpuid_table *t)
{
	struct cpuid host = cpuid(LEAF_EXT + 1, 0), *r = &t->ext[1];

	r->eax = host.eax;
	r->ebx = host.ebx & 0xf0000000; /* package type */
	r->ecx = host.ecx & ECX81_SHOWN;
	r->edx = host.edx & EDX81_SHOWN;
	if (!cpu_features.xsave)
		r->ecx &= ~ECX81_AVX;
	if (!cpu_features.amd)
		return;
	r->edx |= t->basic[1].edx & EDX81_COPY;
	if (t->n_vcpus > 1)
		r->ecx |= ECX81_CMP_LEGACY;
}

static void build_ext(struct cpuid_table *t)
{
	struct cpuid host = cpuid(LEAF_EXT, 0);
	uint32_t n = MIN(host.eax - LEAF_EXT + 1, (uint32_t)CPUID_EXT);

	t->ext[0] = (struct cpuid){LEAF_EXT + n - 1, host.ebx, host.ecx, host.edx};
	build_ext_features(t);
	for (uint32_t i = 2; i <= 6 && i < n; i++) /* brand, caches */
		t->ext[i] = cpuid(LEAF_EXT + i, 0);
	t->ext[7].edx = cpu_features.invariant_tsc ? BIT(8) : 0;
	t->ext[8].eax = n > 8 ? cpuid(LEAF_EXT + 8, 0).eax & 0xffff : 0x3024;
	if (!cpu_features.amd)
		return;
	if (n > 8)
		t->ext[8].ebx = cpuid(LEAF_EXT + 8, 0).ebx & EBX88_SHOWN;
	t->ext[8].ecx = t->shift << 12 | (t->n_vcpus - 1);
	if (n > 0x1a) { /* TLBs of 1 GiB pages, performance hints */
		t->ext[0x19] = cpuid(LEAF_EXT + 0x19, 0);
		t->ext[0x1a] = cpuid(LEAF_EXT + 0x1a, 0);
	}
	if (t->ext[1].ecx & BIT(22)) /* TOPOEXT */
		build_caches(t, t->caches_amd, LEAF_EXT + 0x1d);
}

void cpuid_build(struct vm *vm)
{
	struct cpuid_table *t = vm->cpuid;

	memset(t, 0, sizeof(*t));
	t->n_vcpus = vm->n_vcpus;
	t->shift = bits_for(vm->n_vcpus);
	build_basic(t);
	build_ext(t);
}

/* ---- the exit ---- */
static void xsave_leaf(struct vcpu *v, uint32_t sub, struct cpuid *r)
{
	const struct cpuid_table *t = v->vm->cpuid;
	uint64_t xcr0;
	uint32_t size = 576;

	*r = sub < CPUID_COMPONENTS ? t->xsave[sub] : (struct cpuid){0};
	if (sub || !r->eax)
		return;
	xcr0 = v->fpu.cpu >= 0 ? xgetbv(0) : v->fpu.xcr0;
	for (unsigned i = 2; i < CPUID_COMPONENTS; i++)
		if (xcr0 >> i & 1)
			size = MAX(size, t->xsave[i].eax + t->xsave[i].ebx);
	r->ebx = size;
}

/* Extended topology (SDM2 leaf 0xb): level 0 threads, one each; level 1 the cores. */
static void topology_leaf(struct vcpu *v, uint32_t sub, struct cpuid *r)
{
	const struct cpuid_table *t = v->vm->cpuid;

	*r = (struct cpuid){.ecx = sub & 0xff, .edx = v->index};
	if (sub == 0) {
		r->ebx = 1;
		r->ecx |= 1 << 8;
	} else if (sub == 1) {
		r->eax = t->shift;
		r->ebx = t->n_vcpus;
		r->ecx |= 2 << 8;
	}
}

static void basic_fix(struct vcpu *v, uint32_t leaf, uint32_t sub, struct cpuid *r)
{
	const struct cpuid_table *t = v->vm->cpuid;
	struct vcpu_context c;

	switch (leaf) {
	case 1:
		r->ebx |= v->index << 24;
		vendor->context(v, &c);
		if (c.cr4 & CR4_OSXSAVE)
			r->ecx |= ECX1_OSXSAVE;
		break;
	case 4:
		*r = sub < CPUID_CACHES ? t->caches_intel[sub] : (struct cpuid){0};
		break;
	case 7:
		if (sub)
			*r = sub == 1 ? t->features1 : (struct cpuid){0};
		break;
	case 0xb:
		topology_leaf(v, sub, r);
		break;
	case 0xd:
		xsave_leaf(v, sub, r);
		break;
	default:
		break;
	}
}

static void ext_fix(struct vcpu *v, uint32_t leaf, uint32_t sub, struct cpuid *r)
{
	const struct cpuid_table *t = v->vm->cpuid;

	if (!(t->ext[1].ecx & BIT(22))) /* TOPOEXT */
		return;
	if (leaf == 0x1d) {
		*r = sub < CPUID_CACHES ? t->caches_amd[sub] : (struct cpuid){0};
	} else { /* 0x1e: APIC ID, core (of one thread), node 0 of 1 */
		r->eax = v->index;
		r->ebx = v->index;
	}
}

static void paravirtual_leaf(struct vcpu *v, uint32_t leaf, struct cpuid *r)
{
	*r = (struct cpuid){0};
	switch (leaf) {
	case LEAF_KVM: /* "KVMKVMKVM" */
		*r = (struct cpuid){LEAF_KVM + 0x10, 0x4b4d564b, 0x564b4d56, 0x4d};
		break;
	case LEAF_KVM + 1:
		r->eax = KVM_FEATURES;
		break;
	case LEAF_KVM + 0x10: /* TSC and APIC bus frequency, kHz */
		r->eax = (uint32_t)tsc_khz;
		r->ebx = LAPIC_KHZ;
		break;
	case LEAF_SOCLE: /* "SocleSocleSo" */
		*r = (struct cpuid){LEAF_SOCLE + 1, 0x6c636f53, 0x636f5365, 0x6f53656c};
		break;
	case LEAF_SOCLE + 1:
		r->eax = SOCLE_VERSION;
		r->ebx = v->vm->id;
		break;
	default:
		break;
	}
}

/* Leaves whose answer depends on the vCPU or on ECX. */
#define BASIC_FIXED (BIT(1) | BIT(4) | BIT(7) | BIT(0xb) | BIT(0xd))
#define EXT_FIXED (BIT(0x1d) | BIT(0x1e))

void vcpu_cpuid(struct vcpu *v)
{
	const struct cpuid_table *t = v->vm->cpuid;
	uint32_t leaf = (uint32_t)v->gpr[HV_RAX], sub = (uint32_t)v->gpr[HV_RCX];
	struct cpuid r;

	if (leaf < CPUID_BASIC) {
		r = t->basic[leaf];
		if (BASIC_FIXED >> leaf & 1)
			basic_fix(v, leaf, sub, &r);
	} else if (leaf - LEAF_EXT < CPUID_EXT) {
		r = t->ext[leaf - LEAF_EXT];
		if (EXT_FIXED >> (leaf - LEAF_EXT) & 1)
			ext_fix(v, leaf - LEAF_EXT, sub, &r);
	} else {
		paravirtual_leaf(v, leaf, &r);
	}
	v->gpr[HV_RAX] = r.eax;
	v->gpr[HV_RBX] = r.ebx;
	v->gpr[HV_RCX] = r.ecx;
	v->gpr[HV_RDX] = r.edx;
}
