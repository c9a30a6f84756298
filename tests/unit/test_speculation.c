/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/cpu/speculation.c
/* The choice of speculation defences for CPUs that exist, and what the command line changes about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "hv/cpu/speculation.h"

const char *strchr_const(const char *s, int c)
{
	return strchr(s, c);
}

void str_copy(char *to, const char *from, size_t size)
{
	snprintf(to, size, "%s", from);
}

#define INTEL(m, s) .intel = true, .family = 6, .model = (m), .stepping = (s)
#define AMD(f, m) .amd = true, .family = (f), .model = (m)
/* What microcode of 2018 and later adds. */
#define UCODE                                                                                      \
	(STD7_EDX_MD_CLEAR | STD7_EDX_IBRS_IBPB | STD7_EDX_STIBP | STD7_EDX_L1D_FLUSH |            \
	 STD7_EDX_ARCH_CAP)
#define CASCADE_CAPS (ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_SKIP_L1DFL | ARCH_CAP_MDS_NO)
#define ALDER_CAPS                                                                                 \
	(CASCADE_CAPS | ARCH_CAP_TAA_NO | ARCH_CAP_PBRSB_NO | ARCH_CAP_FB_CLEAR |                  \
	 ARCH_CAP_RFDS_CLEAR)
#define SAPPHIRE_CAPS                                                                              \
	(CASCADE_CAPS | ARCH_CAP_TAA_NO | ARCH_CAP_PBRSB_NO | ARCH_CAP_FB_CLEAR | ARCH_CAP_RFDS_NO)
#define ZEN_EBX (EXT8_EBX_IBPB | EXT8_EBX_STIBP)
#define ZEN3_EBX (ZEN_EBX | EXT8_EBX_BTC_NO)

static const struct machine {
	const char *name;
	struct speculation_facts facts;
	const char *issues, *defences, *open;
	enum speculation_returns returns;
} machines[] = {
	{"QEMU EPYC under TCG",
	 {AMD(0x17, 1), .tcg = true, .ext8_ebx = EXT8_EBX_IBPB},
	 "",
	 "",
	 "",
	 0},
	{"Bochs ryzen: Zen 1 with nothing offered",
	 {AMD(0x17, 1)},
	 "spectre-v1 spectre-v2 rsb retbleed",
	 "retpoline rsb safe-ret clear-regs",
	 "spectre-v1 spectre-v2",
	 RETURNS_UNTRAIN},
	{"Bochs corei7_skylake_x: no microcode",
	 {INTEL(0x55, 4), .rtm = true},
	 "spectre-v1 spectre-v2 rsb retbleed meltdown l1tf mds",
	 "retpoline rsb clear-regs",
	 "spectre-v1 spectre-v2 meltdown l1tf mds",
	 0},
	{"Atom Bonnell: in order", {INTEL(0x1c, 2)}, "", "", "", 0},
	{"Pentium 4 with 64 bits: family 15 speculates",
	 {.intel = true, .family = 15, .model = 4},
	 "spectre-v1 spectre-v2 rsb meltdown l1tf mds",
	 "retpoline rsb clear-regs",
	 "spectre-v1 spectre-v2 meltdown l1tf mds",
	 0},
	{"Sandy Bridge, old microcode",
	 {INTEL(0x2a, 7)},
	 "spectre-v1 spectre-v2 rsb meltdown l1tf mds",
	 "retpoline rsb clear-regs",
	 "spectre-v1 spectre-v2 meltdown l1tf mds",
	 0},
	{"Sandy Bridge, last microcode",
	 {INTEL(0x2a, 7), .std7_edx = UCODE & ~STD7_EDX_ARCH_CAP},
	 "spectre-v1 spectre-v2 rsb meltdown l1tf mds",
	 "retpoline rsb ibpb l1d verw clear-regs",
	 "spectre-v1 meltdown",
	 0},
	{"Skylake, last microcode, two threads to a core",
	 {INTEL(0x5e, 3), .smt = true, .rtm = true, .std7_edx = UCODE},
	 "spectre-v1 spectre-v2 rsb retbleed meltdown l1tf mds smt",
	 "retpoline stibp rsb ibpb l1d verw clear-regs",
	 "spectre-v1 meltdown smt",
	 0},
	{"Silvermont",
	 {INTEL(0x37, 8), .std7_edx = UCODE & ~STD7_EDX_L1D_FLUSH},
	 "spectre-v1 spectre-v2 rsb meltdown mds",
	 "retpoline rsb ibpb verw clear-regs",
	 "spectre-v1 meltdown",
	 0},
	{"Goldmont Plus",
	 {INTEL(0x7a, 1), .std7_edx = UCODE, .arch_cap = ARCH_CAP_RDCL_NO | ARCH_CAP_RFDS_CLEAR},
	 "spectre-v1 spectre-v2 rsb rfds",
	 "retpoline rsb ibpb verw clear-regs",
	 "spectre-v1",
	 0},
	{"Cascade Lake, TSX on",
	 {INTEL(0x55, 7), .smt = true, .rtm = true, .std7_edx = UCODE, .arch_cap = CASCADE_CAPS},
	 "spectre-v1 spectre-v2 rsb bhi its mds smt",
	 "retpoline ibrs rsb ibpb verw safe-ret clear-regs",
	 "spectre-v1 smt",
	 RETURNS_UPPER},
	{"Skylake Xeon: too early for ITS",
	 {INTEL(0x55, 4), .std7_edx = UCODE, .arch_cap = ARCH_CAP_SKIP_L1DFL},
	 "spectre-v1 spectre-v2 rsb retbleed meltdown mds",
	 "retpoline rsb ibpb verw clear-regs",
	 "spectre-v1 meltdown",
	 0},
	{"Ice Lake Xeon",
	 {INTEL(0x6a, 6), .smt = true, .std7_edx = UCODE, .arch_cap = CASCADE_CAPS},
	 "spectre-v1 spectre-v2 rsb bhi",
	 "retpoline ibrs rsb ibpb clear-regs",
	 "spectre-v1",
	 0},
	{"Alder Lake",
	 {INTEL(0x97, 2), .smt = true, .std7_edx = UCODE, .std72_edx = STD72_EDX_BHI_CTRL,
	  .arch_cap = ALDER_CAPS},
	 "spectre-v1 spectre-v2 bhi rfds",
	 "ibrs bhi-dis ibpb verw clear-regs",
	 "spectre-v1",
	 0},
	{"Sapphire Rapids",
	 {INTEL(0x8f, 8), .smt = true, .std7_edx = UCODE, .std72_edx = STD72_EDX_BHI_CTRL,
	  .arch_cap = SAPPHIRE_CAPS},
	 "spectre-v1 spectre-v2 bhi",
	 "ibrs bhi-dis ibpb clear-regs",
	 "spectre-v1",
	 0},
	{"Zen 1, two threads to a core",
	 {AMD(0x17, 1), .smt = true, .ext8_ebx = ZEN_EBX},
	 "spectre-v1 spectre-v2 rsb retbleed srso",
	 "retpoline stibp rsb ibpb safe-ret clear-regs",
	 "spectre-v1",
	 RETURNS_UNTRAIN},
	{"Hygon Dhyana",
	 {AMD(0x18, 1), .ext8_ebx = ZEN_EBX},
	 "spectre-v1 spectre-v2 rsb retbleed",
	 "retpoline rsb ibpb safe-ret clear-regs",
	 "spectre-v1",
	 RETURNS_UNTRAIN},
	{"Zen 2",
	 {AMD(0x17, 0x31), .ext8_ebx = ZEN_EBX},
	 "spectre-v1 spectre-v2 rsb retbleed",
	 "retpoline rsb ibpb safe-ret clear-regs",
	 "spectre-v1",
	 RETURNS_UNTRAIN},
	{"Zen 3, old microcode",
	 {AMD(0x19, 1), .ext8_ebx = ZEN3_EBX},
	 "spectre-v1 spectre-v2 rsb srso tsa",
	 "retpoline rsb ibpb safe-ret clear-regs",
	 "spectre-v1 srso tsa",
	 RETURNS_ALIAS},
	{"Zen 3, last microcode",
	 {AMD(0x19, 1), .smt = true, .ext8_ebx = ZEN3_EBX,
	  .ext21_eax = EXT21_EAX_IBPB_BRTYPE | EXT21_EAX_VERW_CLEAR},
	 "spectre-v1 spectre-v2 rsb srso tsa",
	 "retpoline stibp rsb ibpb verw safe-ret clear-regs",
	 "spectre-v1",
	 RETURNS_ALIAS},
	{"Zen 4",
	 {AMD(0x19, 0x11), .ext8_ebx = ZEN3_EBX,
	  .ext21_eax = EXT21_EAX_AUTO_IBRS | EXT21_EAX_IBPB_BRTYPE | EXT21_EAX_VERW_CLEAR},
	 "spectre-v1 spectre-v2 srso tsa",
	 "ibrs ibpb verw safe-ret clear-regs",
	 "spectre-v1",
	 RETURNS_ALIAS},
	{"Zen 5",
	 {AMD(0x1a, 2), .ext8_ebx = ZEN3_EBX,
	  .ext21_eax = EXT21_EAX_AUTO_IBRS | EXT21_EAX_IBPB_BRTYPE | EXT21_EAX_SRSO_MSR_FIX},
	 "spectre-v1 spectre-v2 srso",
	 "ibrs ibpb bp-reduce clear-regs",
	 "spectre-v1",
	 0},
	{"Zen 5 without the bit",
	 {AMD(0x1a, 2), .ext8_ebx = ZEN3_EBX, .ext21_eax = EXT21_EAX_AUTO_IBRS},
	 "spectre-v1 spectre-v2 srso",
	 "ibrs ibpb exit-ibpb clear-regs",
	 "spectre-v1",
	 0},
	{"another maker",
	 {.family = 7},
	 "spectre-v1 spectre-v2 rsb",
	 "retpoline rsb clear-regs",
	 "spectre-v1 spectre-v2",
	 0},
};

static const struct speculation_facts skylake = {INTEL(0x5e, 3), .smt = true, .std7_edx = UCODE};
static const struct speculation_facts emulator = {AMD(0x17, 1), .tcg = true};

static unsigned n_unknown;
static char last_unknown[32];

static void unknown(const char *word)
{
	n_unknown++;
	snprintf(last_unknown, sizeof(last_unknown), "%s", word);
}

static const char *issues(uint32_t bits)
{
	static char text[256];

	speculation_issues_text(bits, text, sizeof(text));
	return text;
}

static const char *defences(uint32_t bits)
{
	static char text[256];

	speculation_defences_text(bits, text, sizeof(text));
	return text;
}

static struct speculation choose(const struct speculation_facts *f, const char *cmdline)
{
	struct speculation_request req;
	struct speculation out;

	n_unknown = 0;
	speculation_parse(cmdline, &req, unknown);
	speculation_choose(f, &req, &out);
	return out;
}

static void test_machines(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		const struct machine *m = &machines[i];
		struct speculation s = choose(&m->facts, "ip=dhcp");

		printf("%s: %s | open: %s\n", m->name, defences(s.defences), issues(s.open));
		assert_string_equal(issues(s.issues), m->issues);
		assert_string_equal(defences(s.defences), m->defences);
		assert_string_equal(issues(s.open), m->open);
		assert_int_equal(s.returns, m->returns);
		assert_int_equal(s.off & s.defences, 0);
	}
}

static void test_off(void **state)
{
	struct speculation s = choose(&skylake, "mitigations=off");

	(void)state;
	assert_int_equal(s.defences, 0);
	assert_string_equal(defences(s.off), "retpoline stibp rsb ibpb l1d verw clear-regs");
	assert_int_equal(s.open, s.issues);
	s = choose(&skylake, "a mitigations=off,verw b");
	assert_string_equal(defences(s.defences), "verw");
}

static void test_single(void **state)
{
	struct speculation s = choose(&skylake, "x mitigations=no-rsb,no-verw");

	(void)state;
	assert_string_equal(defences(s.defences), "retpoline stibp ibpb l1d clear-regs");
	assert_string_equal(defences(s.off), "rsb verw");
	assert_string_equal(issues(s.open), "spectre-v1 rsb retbleed meltdown mds smt");
	/* The last word counts, and several options add up. */
	s = choose(&skylake, "mitigations=off mitigations=auto mitigations=no-l1d");
	assert_string_equal(defences(s.off), "l1d");
}

/* Forced: what hv has by itself, and what can be tried; never a register bit the CPU does not offer. */
static void test_forced(void **state)
{
	struct speculation s = choose(
		&emulator, "mitigations=retpoline,rsb,ibpb,exit-ibpb,l1d,verw,safe-ret,ibrs,stibp");
	struct speculation_facts refusing = emulator;

	(void)state;
	assert_string_equal(defences(s.defences), "retpoline rsb ibpb exit-ibpb l1d verw safe-ret");
	assert_int_equal(s.returns, RETURNS_UNTRAIN);
	refusing.refused = DEFENCE(IBPB);
	s = choose(&refusing, "mitigations=ibpb,rsb");
	assert_string_equal(defences(s.defences), "rsb");
}

static void test_exit_ibpb_instead(void **state)
{
	static const struct speculation_facts zen2 = {AMD(0x17, 0x31), .ext8_ebx = ZEN_EBX};
	struct speculation s = choose(&zen2, "mitigations=exit-ibpb,no-safe-ret");

	(void)state;
	assert_string_equal(defences(s.defences), "retpoline rsb ibpb exit-ibpb clear-regs");
	assert_int_equal(s.open, ISSUE(SPECTRE_V1));
	assert_int_equal(s.returns, RETURNS_PLAIN);
}

static void test_unknown_words(void **state)
{
	struct speculation s;

	(void)state;
	s = choose(&skylake, "mitigations=everything,no-rsb,,no-,rs xmitigations=off");
	assert_int_equal(n_unknown, 3);
	assert_string_equal(last_unknown, "rs");
	assert_string_equal(defences(s.off), "rsb");
	(void)choose(&skylake, "mitigations=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	assert_int_equal(n_unknown, 1);
	(void)choose(&skylake, "mitigations=");
	assert_int_equal(n_unknown, 0);
}

static void test_text_is_cut(void **state)
{
	char text[12];

	(void)state;
	speculation_defences_text(DEFENCE(RETPOLINE) | DEFENCE(IBRS) | DEFENCE(L1D), text,
				  sizeof(text));
	assert_string_equal(text, "retpoline");
	speculation_defences_text(0, text, sizeof(text));
	assert_string_equal(text, "");
	assert_true(strlen(defences(~0u)) < 100);
	assert_true(strlen(issues(~0u)) < 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_machines),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_single),
		cmocka_unit_test(test_forced),
		cmocka_unit_test(test_exit_ibpb_instead),
		cmocka_unit_test(test_unknown_words),
		cmocka_unit_test(test_text_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
