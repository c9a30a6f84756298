/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Speculation defences on the machine: reading the facts, the CPU's control registers, switching hv's own code, and what
 * happens when a CPU goes from one domain to another.
 *
 * hv's code is read-only by the time the command line has been read and all is known. Once, on the boot CPU, before
 * there are other CPUs, programs or guests, CR0.WP is lifted to write into it (open_text).
 */
#include "hv/cpu/speculation.h"

#include "hv/abi/hv_abi.h"
#include "hv/cpu/asm.h"
#include "hv/cpu/x86.h"
#include "hv/lib/log.h"
#include "hv/lib/string.h"
#include "hv/mm/init.h"

#define MSR_SPEC_CTRL 0x48u /* SDM4 2.1, APM2 3.2.9 */
#define SPEC_CTRL_IBRS (1ull << 0)
#define SPEC_CTRL_STIBP (1ull << 1)
#define SPEC_CTRL_BHI_DIS_S (1ull << 10)
#define MSR_PRED_CMD 0x49u
#define PRED_CMD_IBPB 1ull
#define MSR_ARCH_CAPABILITIES 0x10au
#define MSR_FLUSH_CMD 0x10bu
#define FLUSH_CMD_L1D 1ull
#define EFER_AUTO_IBRS (1ull << 21)
#define MSR_BP_CFG 0xc001102eu
#define BP_CFG_SPEC_REDUCE (1ull << 4)

struct site {
	uint8_t *at;
	uint64_t kind; /* SITE_ in asm.h */
};
extern const struct site speculation_sites_start[], speculation_sites_end[];
/* thunks.S, hv.ld */
extern void speculation_fill_returns(void);
extern const uint8_t speculation_thunks[], zen_return_thunk[], zen_alias_return_thunk[];
extern const uint8_t zen_alias_page[], zen_alias_untrain[], zen_alias_safe_return[];
extern uint8_t __x86_return_thunk[];

struct speculation speculation RO_AFTER_INIT;

/* ---- facts ---- */

/* Two or more threads to a core (SDM2 CPUID 0bh, APM3 E.4.26). */
static bool has_smt(uint32_t max, uint32_t max_ext)
{
	if (cpu_features.amd && max_ext >= 0x8000001e && (cpuid(0x80000001, 0).ecx & 1u << 22))
		return (cpuid(0x8000001e, 0).ebx >> 8 & 0xff) != 0;
	return max >= 0xb && (cpuid(0xb, 0).ebx & 0xffff) > 1;
}

static void read_leaf7(struct speculation_facts *f)
{
	struct cpuid seven = cpuid(7, 0);

	f->std7_edx = seven.edx;
	f->rtm = seven.ebx >> 11 & 1;
	if (seven.eax >= 2)
		f->std72_edx = cpuid(7, 2).edx;
	if ((seven.edx & STD7_EDX_ARCH_CAP) &&
	    msr_read_safe(MSR_ARCH_CAPABILITIES, &f->arch_cap) != 0)
		f->arch_cap = 0;
}

static struct speculation_facts read_facts(void)
{
	uint32_t max = cpuid(0, 0).eax, max_ext = cpuid(0x80000000, 0).eax;
	struct speculation_facts f = {
		.intel = cpu_features.intel,
		.amd = cpu_features.amd,
		.tcg = cpu_features.tcg,
		.family = cpu_features.family,
		.model = cpu_features.model,
		.stepping = cpu_features.stepping,
		.smt = has_smt(max, max_ext),
	};

	if (max >= 7)
		read_leaf7(&f);
	if (max_ext >= 0x80000008)
		f.ext8_ebx = cpuid(0x80000008, 0).ebx;
	if (max_ext >= 0x80000021) {
		f.ext21_eax = cpuid(0x80000021, 0).eax;
		f.ext21_ecx = cpuid(0x80000021, 0).ecx;
	}
	return f;
}

/* ---- registers ---- */

static int set_msr_bits(uint32_t msr, uint64_t bits)
{
	uint64_t value;
	int err = msr_read_safe(msr, &value);

	return err != 0 ? err : msr_write_safe(msr, value | bits);
}

static uint32_t init_spec_ctrl(uint32_t d)
{
	uint64_t v = (d & DEFENCE(STIBP) ? SPEC_CTRL_STIBP : 0) |
		     (d & DEFENCE(BHI_DIS) ? SPEC_CTRL_BHI_DIS_S : 0);

	if ((d & DEFENCE(IBRS)) && !cpu_features.amd)
		v |= SPEC_CTRL_IBRS;
	if (v == 0 || msr_write_safe(MSR_SPEC_CTRL, v) == 0)
		return 0;
	return d & (DEFENCE(IBRS) | DEFENCE(STIBP) | DEFENCE(BHI_DIS));
}

/* What stays on for good, and one try of what is done later. Returns what the CPU refused. */
static uint32_t init_registers(uint32_t d)
{
	const uint32_t ibpb = DEFENCE(IBPB) | DEFENCE(EXIT_IBPB);
	uint32_t refused = init_spec_ctrl(d);

	if ((d & DEFENCE(IBRS)) && cpu_features.amd && set_msr_bits(MSR_EFER, EFER_AUTO_IBRS) != 0)
		refused |= DEFENCE(IBRS);
	if ((d & DEFENCE(BP_REDUCE)) && set_msr_bits(MSR_BP_CFG, BP_CFG_SPEC_REDUCE) != 0)
		refused |= DEFENCE(BP_REDUCE);
	if ((d & ibpb) && msr_write_safe(MSR_PRED_CMD, PRED_CMD_IBPB) != 0)
		refused |= ibpb;
	if ((d & DEFENCE(L1D)) && msr_write_safe(MSR_FLUSH_CMD, FLUSH_CMD_L1D) != 0)
		refused |= DEFENCE(L1D);
	return refused;
}

bool speculation_init_ap(void)
{
	return init_registers(speculation.defences) == 0;
}

/* ---- hv's code ---- */

/* Writing CR0 serializes, so what was written is what is executed next (SDM3 9.3). */
static void open_text(bool open)
{
	uint64_t cr0 = read_cr0();

	write_cr0(open ? cr0 & ~CR0_WP : cr0 | CR0_WP);
}

static bool site_on(uint64_t kind, const struct speculation *s)
{
	const uint32_t at_exit = DEFENCE(EXIT_IBPB) | DEFENCE(RSB) | DEFENCE(CLEAR_REGS) |
				 (s->returns >= RETURNS_UNTRAIN ? DEFENCE(SAFE_RET) : 0);

	switch (kind) {
	case SITE_EXIT:
		return s->defences & at_exit;
	case SITE_EXIT_IBPB:
		return s->defences & DEFENCE(EXIT_IBPB);
	case SITE_UNTRAIN:
		return s->returns == RETURNS_UNTRAIN;
	case SITE_ALIAS:
		return s->returns == RETURNS_ALIAS;
	case SITE_RSB:
		return s->defences & DEFENCE(RSB);
	case SITE_CLEAR:
		return s->defences & DEFENCE(CLEAR_REGS);
	case SITE_VERW:
		return s->defences & DEFENCE(VERW);
	default:
		return false;
	}
}

static void switch_site(const struct site *site)
{
	if (site->kind == SITE_VERW) {
		site->at[1] = 0x00; /* 0f 00 /5 is VERW */
		return;
	}
	site->at[0] = 0x66; /* 66 90: a NOP of two bytes */
	site->at[1] = 0x90;
}

static void switch_sites(const struct speculation *s)
{
	for (size_t i = 0; &speculation_sites_start[i] != speculation_sites_end; i++)
		if (site_on(speculation_sites_start[i].kind, s))
			switch_site(&speculation_sites_start[i]);
}

/*
 * Branches to thunks are CALL or JMP with a distance of four bytes. They are found by looking for any five bytes that
 * would be one: by accident that takes a 0xe8 or 0xe9 and then four bytes that say one of seventeen places, and
 * tests/system/test_speculation.py compares with the disassembler's word.
 */
enum { BRANCH_SIZE = 5, OP_CALL = 0xe8, OP_JMP = 0xe9, REGISTERS = 16 };

static const uint8_t *branch_target(const uint8_t *at)
{
	int32_t distance;

	memcpy(&distance, at + 1, sizeof(distance));
	return at + BRANCH_SIZE + distance;
}

/* Over a RET with room behind it, the first byte last: memcpy may return by way of it. */
static void write_branch(uint8_t *at, const uint8_t *to)
{
	int32_t distance = (int32_t)(to - (at + BRANCH_SIZE));

	memcpy(at + 1, &distance, sizeof(distance));
	at[0] = OP_JMP;
}

/* call *%reg with prefixes of no meaning in front, so that it returns to the same place; jmp *%reg with INT3 behind. */
static void write_indirect(uint8_t *at, unsigned reg)
{
	const uint8_t call[] = {0x2e, 0x2e, reg < 8 ? 0x2e : 0x41, 0xff, (uint8_t)(0xd0 + reg % 8)};
	const uint8_t high[] = {0x41, 0xff, (uint8_t)(0xe0 + reg % 8), 0xcc, 0xcc};
	const uint8_t low[] = {0xff, (uint8_t)(0xe0 + reg % 8), 0xcc, 0xcc, 0xcc};

	memcpy(at, at[0] == OP_CALL ? call : reg < 8 ? low : high, BRANCH_SIZE);
}

static void write_return(uint8_t *at)
{
	static const uint8_t ret[BRANCH_SIZE] = {0xc3, 0xcc, 0xcc, 0xcc, 0xcc};

	memcpy(at, ret, BRANCH_SIZE);
}

static void drop_thunk(uint8_t *at, const struct speculation *s)
{
	const uint8_t *to = branch_target(at);
	uint64_t offset = (uint64_t)(to - speculation_thunks);

	if (to == __x86_return_thunk) {
		if (at[0] == OP_JMP && s->returns == RETURNS_PLAIN)
			write_return(at);
	} else if (offset < REGISTERS * THUNK_SIZE && offset % THUNK_SIZE == 0) {
		if (!(s->defences & DEFENCE(RETPOLINE)))
			write_indirect(at, (unsigned)(offset / THUNK_SIZE));
	}
}

static void drop_thunks(const struct speculation *s)
{
	for (uint8_t *at = (uint8_t *)(uint64_t)image_start; at + BRANCH_SIZE <= text_end; at++)
		if (at[0] == OP_CALL || at[0] == OP_JMP)
			drop_thunk(at, s);
}

static void set_returns(enum speculation_returns returns)
{
	if (returns == RETURNS_UNTRAIN)
		write_branch(__x86_return_thunk, zen_return_thunk);
	if (returns == RETURNS_ALIAS)
		write_branch(__x86_return_thunk, zen_alias_return_thunk);
}

/* The page of the two pieces at the two addresses they run at; without it (no memory) safe returns stay off. */
static bool map_aliases(void)
{
	return mm_map_text(zen_alias_untrain, zen_alias_page) == 0 &&
	       mm_map_text(zen_alias_safe_return, zen_alias_page) == 0;
}

static void switch_code(const struct speculation *s)
{
	open_text(true);
	set_returns(s->returns);
	switch_sites(s);
	drop_thunks(s);
	open_text(false);
}

/* ---- boot ---- */

static void unknown_word(const char *word)
{
	log_printf("mitigations=: \"%s\" means nothing here and is ignored", word);
}

static const char *or_none(const char *text)
{
	return text[0] != '\0' ? text : "nothing";
}

static void report(const struct speculation_request *req)
{
	char on[HV_SPEC_TEXT], off[HV_SPEC_TEXT], open[HV_SPEC_TEXT];

	speculation_defences_text(req->with & ~speculation.defences, off, sizeof(off));
	if (off[0] != '\0')
		log_printf("mitigations=: this CPU does not offer %s", off);
	speculation_defences_text(speculation.defences, on, sizeof(on));
	speculation_defences_text(speculation.off, off, sizeof(off));
	speculation_issues_text(speculation.open, open, sizeof(open));
	log_printf("speculation: in force: %s; needed but off: %s; open: %s", or_none(on),
		   or_none(off), or_none(open));
}

void speculation_init(const char *cmdline)
{
	struct speculation_facts facts = read_facts();
	struct speculation_request req;
	struct speculation s;

	speculation_parse(cmdline, &req, unknown_word);
	speculation_choose(&facts, &req, &s);
	facts.refused = init_registers(s.defences);
	if (s.returns == RETURNS_ALIAS && !map_aliases())
		facts.refused |= DEFENCE(SAFE_RET);
	speculation_choose(&facts, &req, &s);
	open_text(true); /* the decision lies among what is read-only after boot */
	speculation = s;
	open_text(false);
	switch_code(&s);
	report(&req);
}

/* ---- domains ---- */

/*
 * What the last domain left: predicted targets (IBPB), predicted returns, which not every IBPB clears, and data in the
 * level 1 cache. Buffers are cleared before every entry anyway. With all defences off it costs a call.
 */
void speculation_change_domain(struct cpu *c, uint64_t domain)
{
	uint32_t d = speculation.defences;

	c->domain = domain;
	if (d & DEFENCE(IBPB))
		wrmsr(MSR_PRED_CMD, PRED_CMD_IBPB);
	if (d & (DEFENCE(IBPB) | DEFENCE(RSB)))
		speculation_fill_returns();
	if (d & DEFENCE(L1D))
		wrmsr(MSR_FLUSH_CMD, FLUSH_CMD_L1D);
}
