/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which speculation defences a CPU needs. Each issue names the defences that close it on this CPU; what is in force is
 * what all issues need, as far as the CPU offers it and the command line allows it.
 *
 * Where the CPU does not tell, tables by model do. Sources: Intel's "Affected Processors: Guidance for Security
 * Issues" and its technical papers on each issue; AMD's "Software Techniques for Managing Speculation", "Technical
 * Guidance for Mitigating Branch Type Confusion", "Technical Update Regarding Speculative Return Stack Overflow" and
 * bulletin 7029 (TSA).
 */
#include "hv/cpu/speculation.h"

#include "hv/lib/string.h"

/* Among an issue's needs: what hv does not have. It stays open. */
#define NEED_MISSING (1u << 31)

static const char *const issue_names[ISSUES] = {
	[ISSUE_SPECTRE_V1] = "spectre-v1",
	[ISSUE_SPECTRE_V2] = "spectre-v2",
	[ISSUE_RSB] = "rsb",
	[ISSUE_BHI] = "bhi",
	[ISSUE_ITS] = "its",
	[ISSUE_RETBLEED] = "retbleed",
	[ISSUE_SRSO] = "srso",
	[ISSUE_MELTDOWN] = "meltdown",
	[ISSUE_L1TF] = "l1tf",
	[ISSUE_MDS] = "mds",
	[ISSUE_RFDS] = "rfds",
	[ISSUE_TSA] = "tsa",
	[ISSUE_SMT] = "smt",
};

static const char *const defence_names[DEFENCES] = {
	[DEFENCE_RETPOLINE] = "retpoline",
	[DEFENCE_IBRS] = "ibrs",
	[DEFENCE_BHI_DIS] = "bhi-dis",
	[DEFENCE_STIBP] = "stibp",
	[DEFENCE_RSB] = "rsb",
	[DEFENCE_IBPB] = "ibpb",
	[DEFENCE_EXIT_IBPB] = "exit-ibpb",
	[DEFENCE_L1D] = "l1d",
	[DEFENCE_VERW] = "verw",
	[DEFENCE_SAFE_RET] = "safe-ret",
	[DEFENCE_BP_REDUCE] = "bp-reduce",
	[DEFENCE_CLEAR_REGS] = "clear-regs",
};

/* Code of hv's own: any CPU can run it. */
#define SOFTWARE (DEFENCE(RETPOLINE) | DEFENCE(RSB) | DEFENCE(SAFE_RET) | DEFENCE(CLEAR_REGS))
/* Harmless where the CPU lacks it, or found out by trying: may be forced on. */
#define FORCEABLE (SOFTWARE | DEFENCE(IBPB) | DEFENCE(EXIT_IBPB) | DEFENCE(L1D) | DEFENCE(VERW))

/* ---- Intel ---- */

enum { IN_ORDER = 1, NO_L1TF = 2, NO_MDS = 4, HAS_RETBLEED = 8, HAS_ITS = 16, HAS_RFDS = 32 };

/*
 * Family 6. ITS: those where a guest's branches count in hv (Ice Lake to Rocket Lake have it within one mode only, and
 * in IBPB until new microcode). A model without a row is a big core that has what IA32_ARCH_CAPABILITIES
 * does not deny.
 */
static const struct intel_model {
	uint8_t model, its_from_stepping, traits;
} intel_models[] = {
	{0x1c, 0, IN_ORDER}, /* Bonnell, Saltwell */
	{0x26, 0, IN_ORDER},
	{0x27, 0, IN_ORDER},
	{0x35, 0, IN_ORDER},
	{0x36, 0, IN_ORDER},
	{0x37, 0, NO_L1TF}, /* Silvermont, Airmont */
	{0x4a, 0, NO_L1TF},
	{0x4c, 0, NO_L1TF},
	{0x4d, 0, NO_L1TF},
	{0x5a, 0, NO_L1TF},
	{0x57, 0, NO_L1TF}, /* Xeon Phi */
	{0x85, 0, NO_L1TF},
	{0x5c, 0, NO_L1TF | NO_MDS | HAS_RFDS}, /* Goldmont */
	{0x5f, 0, NO_L1TF | NO_MDS | HAS_RFDS},
	{0x7a, 0, NO_L1TF | NO_MDS | HAS_RFDS},
	{0x86, 0, NO_L1TF | NO_MDS | HAS_RFDS}, /* Tremont */
	{0x96, 0, NO_L1TF | NO_MDS | HAS_RFDS},
	{0x9c, 0, NO_L1TF | NO_MDS | HAS_RFDS},
	{0xbe, 0, NO_L1TF | NO_MDS | HAS_RFDS}, /* Gracemont */
	{0x4e, 0, HAS_RETBLEED},                /* Skylake */
	{0x5e, 0, HAS_RETBLEED},
	{0x55, 6, HAS_RETBLEED | HAS_ITS},   /* ... Xeon; from Cascade Lake on ITS */
	{0x8e, 0xc, HAS_RETBLEED | HAS_ITS}, /* Kaby Lake to Comet Lake */
	{0x9e, 0xd, HAS_RETBLEED | HAS_ITS},
	{0x66, 0, HAS_RETBLEED},           /* Cannon Lake */
	{0xa5, 0, HAS_RETBLEED | HAS_ITS}, /* Comet Lake */
	{0xa6, 0, HAS_RETBLEED | HAS_ITS},
	{0x97, 0, HAS_RFDS}, /* Alder Lake, Raptor Lake: their small cores */
	{0x9a, 0, HAS_RFDS},
	{0xb7, 0, HAS_RFDS},
	{0xba, 0, HAS_RFDS},
	{0xbf, 0, HAS_RFDS},
};

static uint32_t intel_traits(const struct speculation_facts *in)
{
	for (unsigned i = 0; i < ARRAY_SIZE(intel_models); i++) {
		const struct intel_model *m = &intel_models[i];

		if (in->family != 6 || in->model != m->model)
			continue;
		return in->stepping < m->its_from_stepping ? m->traits & ~(unsigned)HAS_ITS
							   : m->traits;
	}
	return in->family < 6 ? IN_ORDER : 0;
}

static bool intel_eibrs(const struct speculation_facts *in)
{
	return (in->std7_edx & STD7_EDX_IBRS_IBPB) && (in->arch_cap & ARCH_CAP_IBRS_ALL);
}

/*
 * Enhanced IBRS keeps targets apart, not history (BHI), and returns, but for one (PBRSB). Retpolines close BHI and ITS as
 * well: they ask no predictor of indirect branches. Without it: retpolines, and for a return that finds its predictor
 * empty and asks that of indirect branches (retbleed) a predictor that is never empty in hv.
 */
static void intel_branches(const struct speculation_facts *in, uint32_t traits, uint32_t *needs)
{
	bool eibrs = intel_eibrs(in);

	needs[ISSUE_SPECTRE_V2] = DEFENCE(IBPB) | (eibrs ? DEFENCE(IBRS) : DEFENCE(RETPOLINE));
	if (!eibrs && in->smt)
		needs[ISSUE_SPECTRE_V2] |= DEFENCE(STIBP);
	if (!eibrs || !(in->arch_cap & ARCH_CAP_PBRSB_NO))
		needs[ISSUE_RSB] = DEFENCE(RSB);
	if (eibrs && !(in->arch_cap & ARCH_CAP_BHI_NO))
		needs[ISSUE_BHI] = in->std72_edx & STD72_EDX_BHI_CTRL ? DEFENCE(BHI_DIS)
								      : DEFENCE(RETPOLINE);
	if (!eibrs && (traits & HAS_RETBLEED))
		needs[ISSUE_RETBLEED] = DEFENCE(RETPOLINE) | DEFENCE(RSB);
	if ((traits & HAS_ITS) && !(in->arch_cap & ARCH_CAP_ITS_NO))
		needs[ISSUE_ITS] = DEFENCE(RETPOLINE) | DEFENCE(SAFE_RET) | DEFENCE(IBPB);
}

/* TAA, the abort of a transaction, shows the same buffers on CPUs that are otherwise cured (MDS_NO). */
static bool intel_leaks_buffers(const struct speculation_facts *in, uint32_t traits)
{
	if (!(in->arch_cap & ARCH_CAP_MDS_NO) && !(traits & NO_MDS))
		return true;
	return in->rtm && !(in->arch_cap & ARCH_CAP_TAA_NO);
}

static void intel_buffers(const struct speculation_facts *in, uint32_t traits, uint32_t *needs)
{
	if (!(in->arch_cap & ARCH_CAP_RDCL_NO))
		needs[ISSUE_MELTDOWN] = NEED_MISSING; /* programs' tables map hv */
	if (!(in->arch_cap & (ARCH_CAP_RDCL_NO | ARCH_CAP_SKIP_L1DFL)) && !(traits & NO_L1TF))
		needs[ISSUE_L1TF] = DEFENCE(L1D);
	if (intel_leaks_buffers(in, traits))
		needs[ISSUE_MDS] = DEFENCE(VERW);
	if (((traits & HAS_RFDS) || (in->arch_cap & ARCH_CAP_RFDS_CLEAR)) &&
	    !(in->arch_cap & ARCH_CAP_RFDS_NO))
		needs[ISSUE_RFDS] = DEFENCE(VERW);
	if (in->smt && (needs[ISSUE_L1TF] || needs[ISSUE_MDS]))
		needs[ISSUE_SMT] = NEED_MISSING; /* threads are scheduled one by one */
}

static void intel_needs(const struct speculation_facts *in, uint32_t *needs)
{
	uint32_t traits = intel_traits(in);

	if (traits & IN_ORDER) {
		memset(needs, 0, ISSUES * sizeof(*needs));
		return;
	}
	intel_branches(in, traits, needs);
	intel_buffers(in, traits, needs);
}

/* ---- AMD ---- */

enum { FAMILY_BULLDOZER = 0x15, FAMILY_ZEN = 0x17, FAMILY_HYGON, FAMILY_ZEN3, FAMILY_ZEN5 };

/* Zen 1 and 2 confuse the type of branches, so that a return may be predicted like an indirect jump. */
static void amd_returns(const struct speculation_facts *in, uint32_t *needs)
{
	bool zen12 = in->family == FAMILY_ZEN || in->family == FAMILY_HYGON;

	if (in->family >= FAMILY_BULLDOZER && in->family <= FAMILY_HYGON &&
	    !(in->ext8_ebx & EXT8_EBX_BTC_NO))
		needs[ISSUE_RETBLEED] = DEFENCE(SAFE_RET) | (in->smt ? DEFENCE(STIBP) : 0);
	if (in->ext21_eax & EXT21_EAX_SRSO_NO)
		return;
	if (zen12 && in->smt) /* with one thread to a core they are not affected */
		needs[ISSUE_SRSO] = DEFENCE(SAFE_RET);
	if (in->family == FAMILY_ZEN3) {
		/* Without new microcode IBPB leaves the predicted types of branches in place. */
		needs[ISSUE_SRSO] = DEFENCE(SAFE_RET) | DEFENCE(IBPB);
		if (!(in->ext21_eax & EXT21_EAX_IBPB_BRTYPE))
			needs[ISSUE_SRSO] |= NEED_MISSING;
	}
	if (in->family == FAMILY_ZEN5) /* guests only */
		needs[ISSUE_SRSO] = in->ext21_eax & EXT21_EAX_SRSO_MSR_FIX ? DEFENCE(BP_REDUCE)
									   : DEFENCE(EXIT_IBPB);
}

/* Automatic IBRS protects ring 0 of the host and clears the return predictor on #VMEXIT; cross-thread it does not. */
static void amd_needs(const struct speculation_facts *in, uint32_t *needs)
{
	const uint32_t tsa_no = EXT21_ECX_TSA_SQ_NO | EXT21_ECX_TSA_L1_NO;
	bool automatic = in->ext21_eax & EXT21_EAX_AUTO_IBRS;

	needs[ISSUE_SPECTRE_V2] = DEFENCE(IBPB) | (automatic ? DEFENCE(IBRS) : DEFENCE(RETPOLINE)) |
				  (in->smt ? DEFENCE(STIBP) : 0);
	if (!automatic)
		needs[ISSUE_RSB] = DEFENCE(RSB);
	amd_returns(in, needs);
	if (in->family == FAMILY_ZEN3 && (in->ext21_ecx & tsa_no) != tsa_no)
		needs[ISSUE_TSA] = DEFENCE(VERW);
}

/* ---- the choice ---- */

static uint32_t offered(const struct speculation_facts *in)
{
	uint32_t d = SOFTWARE;

	if ((in->std7_edx & STD7_EDX_IBRS_IBPB) || (in->ext8_ebx & EXT8_EBX_IBPB))
		d |= DEFENCE(IBPB) | DEFENCE(EXIT_IBPB);
	if (in->amd ? in->ext21_eax & EXT21_EAX_AUTO_IBRS : intel_eibrs(in))
		d |= DEFENCE(IBRS);
	if ((in->std7_edx & STD7_EDX_STIBP) || (in->ext8_ebx & EXT8_EBX_STIBP))
		d |= DEFENCE(STIBP);
	if (in->std72_edx & STD72_EDX_BHI_CTRL)
		d |= DEFENCE(BHI_DIS);
	if (in->std7_edx & STD7_EDX_L1D_FLUSH)
		d |= DEFENCE(L1D);
	if ((in->std7_edx & STD7_EDX_MD_CLEAR) || (in->ext21_eax & EXT21_EAX_VERW_CLEAR) ||
	    (in->arch_cap & (ARCH_CAP_FB_CLEAR | ARCH_CAP_RFDS_CLEAR)))
		d |= DEFENCE(VERW);
	if (in->ext21_eax & EXT21_EAX_SRSO_MSR_FIX)
		d |= DEFENCE(BP_REDUCE);
	return d & ~in->refused;
}

static void issue_needs(const struct speculation_facts *in, uint32_t *needs)
{
	memset(needs, 0, ISSUES * sizeof(*needs));
	if (in->tcg)
		return;
	/* hv's bounds checks were not searched for it. */
	needs[ISSUE_SPECTRE_V1] = DEFENCE(CLEAR_REGS) | NEED_MISSING;
	if (in->intel) {
		intel_needs(in, needs);
	} else if (in->amd) {
		amd_needs(in, needs);
	} else {
		needs[ISSUE_SPECTRE_V2] = DEFENCE(RETPOLINE) | DEFENCE(IBPB);
		needs[ISSUE_RSB] = DEFENCE(RSB);
	}
}

static enum speculation_returns returns_of(const struct speculation_facts *in, uint32_t defences)
{
	if (!(defences & DEFENCE(SAFE_RET)))
		return RETURNS_PLAIN;
	if (!in->amd)
		return RETURNS_UPPER;
	return in->family == FAMILY_ZEN3 ? RETURNS_ALIAS : RETURNS_UNTRAIN;
}

void speculation_choose(const struct speculation_facts *in, const struct speculation_request *req,
			struct speculation *out)
{
	uint32_t needs[ISSUES], wanted = 0, has = offered(in), closed;

	issue_needs(in, needs);
	for (unsigned i = 0; i < ISSUES; i++)
		wanted |= needs[i];
	memset(out, 0, sizeof(*out));
	out->defences = req->off ? 0 : wanted & has & ~req->without;
	out->defences |= req->with & (has | FORCEABLE) & ~in->refused;
	out->off = wanted & ~out->defences & ~NEED_MISSING;
	out->returns = returns_of(in, out->defences);
	/* After an IBPB there is nothing a return could be predicted by. */
	closed = out->defences | (out->defences & DEFENCE(EXIT_IBPB) ? DEFENCE(SAFE_RET) : 0);
	for (unsigned i = 0; i < ISSUES; i++) {
		out->issues |= needs[i] ? 1u << i : 0;
		out->open |= needs[i] & ~closed ? 1u << i : 0;
	}
}

/* ---- the command line ---- */

enum { WORD_MAX = 24 };

static bool take_name(const char *word, uint32_t *bits)
{
	for (unsigned i = 0; i < DEFENCES; i++) {
		if (strcmp(word, defence_names[i]) == 0) {
			*bits |= 1u << i;
			return true;
		}
	}
	return false;
}

static bool take_word(const char *word, struct speculation_request *out)
{
	if (strcmp(word, "auto") == 0) {
		*out = (struct speculation_request){0};
		return true;
	}
	if (strcmp(word, "off") == 0) {
		out->off = true;
		return true;
	}
	if (strncmp(word, "no-", 3) == 0)
		return take_name(word + 3, &out->without);
	return take_name(word, &out->with);
}

/* Up to the blank or the end. */
static void take_list(const char *at, struct speculation_request *out,
		      void (*unknown)(const char *word))
{
	char word[WORD_MAX];
	size_t n = 0;

	for (;; at++) {
		if (*at != ',' && *at != ' ' && *at != '\0') {
			if (n < sizeof(word) - 1)
				word[n++] = *at;
			continue;
		}
		word[n] = '\0';
		if (n != 0 && !take_word(word, out))
			unknown(word);
		if (*at != ',')
			return;
		n = 0;
	}
}

void speculation_parse(const char *cmdline, struct speculation_request *out,
		       void (*unknown)(const char *word))
{
	static const char key[] = "mitigations=";
	const char *at = cmdline;

	*out = (struct speculation_request){0};
	while (at != NULL && *at != '\0') {
		if (strncmp(at, key, sizeof(key) - 1) == 0)
			take_list(at + sizeof(key) - 1, out, unknown);
		at = strchr_const(at, ' ');
		if (at != NULL)
			at++;
	}
}

/* ---- text ---- */

static void names_text(uint32_t bits, const char *const *names, unsigned n, char *to, size_t size)
{
	size_t used = 0;

	to[0] = '\0';
	for (unsigned i = 0; i < n; i++) {
		size_t len = strlen(names[i]);

		if (!(bits >> i & 1) || used + len + 2 > size)
			continue;
		if (used != 0)
			to[used++] = ' ';
		str_copy(to + used, names[i], size - used);
		used += len;
	}
}

void speculation_issues_text(uint32_t issues, char *to, size_t size)
{
	names_text(issues, issue_names, ISSUES, to, size);
}

void speculation_defences_text(uint32_t defences, char *to, size_t size)
{
	names_text(defences, defence_names, DEFENCES, to, size);
}
