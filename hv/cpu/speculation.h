/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Defences against speculation: which of them this machine needs, and where they act. docs/speculation.md says why
 * each is enough.
 *
 *   for good, each CPU     IBRS (enhanced or automatic), STIBP, BHI_DIS_S, ...    speculation_init(), _init_ap()
 *   change of domain       IBPB, 32 calls that fill the return predictor, L1D     speculation_enter_domain()
 *   after each exit        the few returns without a call, IBPB, untraining       SPECULATION_EXIT (asm.inc)
 *   before each entry      VERW                                                   SPECULATION_ENTRY (asm.inc)
 *   hv's own branches      retpolines and return thunks                           thunks.S
 *
 * A domain is what may know itself: a VM with its vmm program; the control kernel is another. hv is in none.
 *
 * speculation_choose() is pure: facts in, decision out. speculation_cpu.c reads the facts, carries the decision out,
 * and is the only one that writes to hv's code.
 */
#ifndef HV_CPU_SPECULATION_H
#define HV_CPU_SPECULATION_H

#include "hv/cpu/cpu.h"

enum speculation_issue {
	ISSUE_SPECTRE_V1, /* bounds checks overtaken */
	ISSUE_SPECTRE_V2, /* branch targets trained by others */
	ISSUE_RSB,        /* return targets left by others */
	ISSUE_BHI,        /* branch history of others */
	ISSUE_ITS,        /* indirect branches in the lower half of a cache line */
	ISSUE_RETBLEED,   /* returns predicted as branches; AMD: branch type confusion */
	ISSUE_SRSO,       /* AMD: return stack overflow, "Inception" */
	ISSUE_MELTDOWN,   /* a program reads what hv maps */
	ISSUE_L1TF,       /* a guest reads the level 1 cache */
	ISSUE_MDS,        /* ... internal buffers; TAA too */
	ISSUE_RFDS,       /* ... Atom's register file */
	ISSUE_TSA,        /* ... AMD's store queue and L1 tags */
	ISSUE_SMT,        /* a sibling thread does one of these while the victim runs */
	ISSUES,
};

enum speculation_defence {
	DEFENCE_RETPOLINE,
	DEFENCE_IBRS,       /* enhanced IBRS, or AMD's automatic one; for good */
	DEFENCE_BHI_DIS,    /* SPEC_CTRL.BHI_DIS_S; for good */
	DEFENCE_STIBP,      /* for good */
	DEFENCE_RSB,        /* the unmatched returns after an exit */
	DEFENCE_IBPB,       /* on a change of domain */
	DEFENCE_EXIT_IBPB,  /* after every exit; also in the place of safe returns */
	DEFENCE_L1D,        /* flush on a change of domain */
	DEFENCE_VERW,       /* before every entry */
	DEFENCE_SAFE_RET,   /* return thunks */
	DEFENCE_BP_REDUCE,  /* AMD's BP_CFG.BpSpecReduce; for good */
	DEFENCE_CLEAR_REGS, /* of a guest or program, after every exit */
	DEFENCES,
};
#define DEFENCE(name) (1u << DEFENCE_##name)
#define ISSUE(name) (1u << ISSUE_##name)

/* CPUID 7.0 EDX, 7.2 EDX (SDM2) */
#define STD7_EDX_MD_CLEAR (1u << 10)
#define STD7_EDX_IBRS_IBPB (1u << 26)
#define STD7_EDX_STIBP (1u << 27)
#define STD7_EDX_L1D_FLUSH (1u << 28)
#define STD7_EDX_ARCH_CAP (1u << 29)
#define STD72_EDX_BHI_CTRL (1u << 4)
/* IA32_ARCH_CAPABILITIES (SDM4 2.1) */
#define ARCH_CAP_RDCL_NO (1ull << 0)
#define ARCH_CAP_IBRS_ALL (1ull << 1)
#define ARCH_CAP_SKIP_L1DFL (1ull << 3)
#define ARCH_CAP_MDS_NO (1ull << 5)
#define ARCH_CAP_TAA_NO (1ull << 8)
#define ARCH_CAP_FB_CLEAR (1ull << 17)
#define ARCH_CAP_BHI_NO (1ull << 20)
#define ARCH_CAP_PBRSB_NO (1ull << 24)
#define ARCH_CAP_RFDS_NO (1ull << 27)
#define ARCH_CAP_RFDS_CLEAR (1ull << 28)
#define ARCH_CAP_ITS_NO (1ull << 62)
/* CPUID 80000008 EBX, 80000021 EAX and ECX (APM3 appendix E) */
#define EXT8_EBX_IBPB (1u << 12)
#define EXT8_EBX_STIBP (1u << 15)
#define EXT8_EBX_BTC_NO (1u << 29)
#define EXT21_EAX_VERW_CLEAR (1u << 5)
#define EXT21_EAX_AUTO_IBRS (1u << 8)
#define EXT21_EAX_IBPB_BRTYPE (1u << 28)
#define EXT21_EAX_SRSO_NO (1u << 29)
#define EXT21_EAX_SRSO_MSR_FIX (1u << 31)
#define EXT21_ECX_TSA_SQ_NO (1u << 1)
#define EXT21_ECX_TSA_L1_NO (1u << 2)

struct speculation_facts {
	bool intel, amd; /* Hygon counts as AMD */
	bool tcg;        /* QEMU without hardware virtualization: it does not speculate */
	bool smt, rtm;
	uint32_t family, model, stepping;
	uint32_t std7_edx, std72_edx;
	uint64_t arch_cap;
	uint32_t ext8_ebx, ext21_eax, ext21_ecx;
	uint32_t refused; /* defences that were tried and raised #GP */
};

/* From the command line: mitigations=auto|off|NAME|no-NAME[,...] */
struct speculation_request {
	bool off;
	uint32_t with, without; /* DEFENCE bits */
};

/* What a return in hv is, when DEFENCE_SAFE_RET is in force (thunks.S). */
enum speculation_returns {
	RETURNS_PLAIN,
	RETURNS_UPPER,   /* in the upper half of a cache line */
	RETURNS_UNTRAIN, /* Zen 1, 2 */
	RETURNS_ALIAS,   /* Zen 3, 4 */
};

struct speculation {
	uint32_t issues;   /* this CPU has, ISSUE bits */
	uint32_t open;     /* of these: not, or not fully, defended */
	uint32_t defences; /* in force, DEFENCE bits */
	uint32_t off;      /* needed, but switched off or not offered (old microcode) */
	enum speculation_returns returns;
};

/* ---- speculation_cpu.c ---- */

extern struct speculation speculation; /* [I] after boot */

/* Boot CPU, once, after cpu_init and before the other CPUs start: chooses, switches hv's code, reports. */
void speculation_init(const char *cmdline);
/* Another CPU, after cpu_init: the registers. False: it cannot do what the boot CPU does. */
bool speculation_init_ap(void) MUST_CHECK;

/* Domains: a VM's id, or this with the id of a program that serves no VM. Ids are not used again. 0: none yet. */
#define SPECULATION_PROG_DOMAIN (1ull << 32)
void speculation_change_domain(struct cpu *c, uint64_t domain);
/* In each turn of a vCPU or program, after fpu_switch(): that writes the last owner's registers, through the cache. */
static inline void speculation_enter_domain(struct cpu *c, uint64_t domain)
{
	if (UNLIKELY(c->domain != domain))
		speculation_change_domain(c, domain);
}

/* ---- speculation.c ---- */

void speculation_choose(const struct speculation_facts *in, const struct speculation_request *req,
			struct speculation *out);
/* Reads mitigations= out of a command line; unknown(word) for each word that means nothing. */
void speculation_parse(const char *cmdline, struct speculation_request *out,
		       void (*unknown)(const char *word));
/* Names with a blank between them, cut to what fits. */
void speculation_issues_text(uint32_t issues, char *to, size_t size);
void speculation_defences_text(uint32_t defences, char *to, size_t size);

#endif
