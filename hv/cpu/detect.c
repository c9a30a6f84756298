/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the CPU offers, from CPUID (APM3 appendix E, SDM2 CPUID). The boot CPU's answer is what hv is built upon; a CPU
 * that offers less is not used.
 */
#include "hv/cpu/cpu.h"
#include "hv/cpu/x86.h"
#include "hv/lib/string.h"

struct cpu_features cpu_features RO_AFTER_INIT;

/* hv's own SMAP instructions, long NOPs until now (asm.h). */
extern uint8_t *const smap_sites_start[], *const smap_sites_end[];

static bool bit(uint32_t word, unsigned n)
{
	return (word >> n & 1) != 0;
}

static void detect_vendor(struct cpu_features *f)
{
	struct cpuid v = cpuid(0, 0), sig = cpuid(1, 0);
	uint32_t family = sig.eax >> 8 & 0xf, model = sig.eax >> 4 & 0xf;

	f->amd = v.ebx == 0x68747541 || v.ebx == 0x6f677948; /* "Auth"enticAMD, "Hygo"nGenuine */
	f->intel = v.ebx == 0x756e6547;                      /* "Genu"ineIntel */
	f->family = family == 0xf ? family + (sig.eax >> 20 & 0xff) : family;
	f->model = family == 0xf || family == 6 ? model | (sig.eax >> 12 & 0xf0) : model;
	f->stepping = sig.eax & 0xf;
}

static void detect_standard(struct cpu_features *f, uint32_t max)
{
	struct cpuid one = cpuid(1, 0);

	f->vmx = bit(one.ecx, 5);
	f->pcid = bit(one.ecx, 17);
	f->x2apic = bit(one.ecx, 21);
	f->tsc_deadline = bit(one.ecx, 24);
	f->xsave = bit(one.ecx, 26);
	f->rdrand = bit(one.ecx, 30);
	if (max >= 6)
		f->arat = bit(cpuid(6, 0).eax, 2);
	if (max >= 7) {
		struct cpuid seven = cpuid(7, 0);

		f->fsgsbase = bit(seven.ebx, 0);
		f->smep = bit(seven.ebx, 7);
		f->rdseed = bit(seven.ebx, 18);
		f->smap = bit(seven.ebx, 20);
		f->umip = bit(seven.ecx, 2);
	}
}

enum { FXSAVE_SIZE = 512, XSAVE_SIZE_MIN = 576 };

/* "TCGT"CGTCGTCG: QEMU without hardware virtualization. */
static bool is_qemu_tcg(void)
{
	return bit(cpuid(1, 0).ecx, 31) && cpuid(0x40000000, 0).ebx == 0x54474354;
}

static void detect_xsave(struct cpu_features *f, uint32_t max)
{
	struct cpuid d;

	f->xsave = f->xsave && max >= 0xd;
	/* QEMU 7.2 hangs when CR4.OSXSAVE is set on a model whose leaf 0xd.1 is empty (Opteron_G5). */
	if (f->xsave && f->tcg && cpuid(0xd, 1).eax == 0)
		f->xsave = false;
	f->xsave_size = FXSAVE_SIZE;
	if (!f->xsave)
		return;
	d = cpuid(0xd, 0);
	f->xcr0_mask = (uint64_t)d.edx << 32 | d.eax;
	f->xsave_size = MAX(d.ecx, (uint32_t)XSAVE_SIZE_MIN);
	f->xsaveopt = bit(cpuid(0xd, 1).eax, 0);
}

static void detect_extended(struct cpu_features *f, uint32_t max)
{
	struct cpuid one = cpuid(0x80000001, 0);

	f->svm = bit(one.ecx, 2);
	f->nx = bit(one.edx, 20);
	f->page1g = bit(one.edx, 26);
	f->rdtscp = bit(one.edx, 27);
	if (max >= 0x80000007)
		f->invariant_tsc = bit(cpuid(0x80000007, 0).edx, 8);
	f->phys_bits = max >= 0x80000008 ? cpuid(0x80000008, 0).eax & 0xff : 36;
}

static void detect_name(struct cpu_features *f, uint32_t max)
{
	char raw[48];
	const char *start = raw;

	if (max < 0x80000004)
		return;
	for (uint32_t i = 0; i < 3; i++) {
		struct cpuid part = cpuid(0x80000002 + i, 0);

		memcpy(&raw[16 * i], &part, sizeof(part));
	}
	raw[sizeof(raw) - 1] = '\0';
	while (*start == ' ')
		start++;
	str_copy(f->model_name, start, sizeof(f->model_name));
}

static void detect(struct cpu_features *f)
{
	uint32_t max = cpuid(0, 0).eax, max_ext = cpuid(0x80000000, 0).eax;

	memset(f, 0, sizeof(*f));
	detect_vendor(f);
	f->tcg = is_qemu_tcg();
	detect_standard(f, max);
	detect_xsave(f, max);
	detect_extended(f, max_ext);
	detect_name(f, max_ext);
}

void cpu_detect(void)
{
	detect(&cpu_features);
	if (!cpu_features.smap)
		return;
	for (size_t i = 0; &smap_sites_start[i] != smap_sites_end; i++)
		smap_sites_start[i][1] = 0x01;
}

const char *cpu_lacks(void)
{
	static const struct {
		size_t at;
		const char *name;
	} needed[] = {
#define F(field) {offsetof(struct cpu_features, field), #field}
		F(smep),         F(smap),     F(nx),       F(page1g), F(x2apic),
		F(tsc_deadline), F(xsave),    F(xsaveopt), F(rdtscp), F(rdrand),
		F(rdseed),       F(umip),     F(svm),      F(vmx),    F(invariant_tsc),
		F(arat),         F(fsgsbase),
#undef F
	};
	struct cpu_features mine;

	detect(&mine);
	for (unsigned i = 0; i < ARRAY_SIZE(needed); i++)
		if (((const bool *)&cpu_features)[needed[i].at] &&
		    !((const bool *)&mine)[needed[i].at])
			return needed[i].name;
	if ((cpu_features.xcr0_mask & ~mine.xcr0_mask) != 0)
		return "some extended register state";
	if (mine.phys_bits < cpu_features.phys_bits)
		return "some physical address bits";
	return NULL;
}
