/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decodes the few instructions that guests use on device memory, and the lengths of those without operands.
 * Pure: bytes in, struct insn out; the bytes come from a guest and are believed in nothing. The effective address is
 * not computed: the nested page fault says where the access went. Called by vm/mmio.c and insn.c; tested on the host.
 */
#include "hv/vcpu/vcpu.h"

struct cursor {
	const uint8_t *bytes;
	size_t len, at;
	enum insn_mode mode;
	bool operand_size, address_size, rep, f3, lock;
	uint8_t rex;
	uint8_t seg; /* override, or HV_SEGS */
};

#define REX_W 8u
#define REX_R 4u
#define REX_B 1u

static bool next_byte(struct cursor *c, uint8_t *b)
{
	if (c->at >= c->len || c->at >= INSN_MAX)
		return false;
	*b = c->bytes[c->at++];
	return true;
}

/* -HVE_LIMIT when the bytes given ended early, -HVE_INVAL when no instruction may be that long. */
static int ran_out(const struct cursor *c)
{
	return c->at >= INSN_MAX ? -HVE_INVAL : -HVE_LIMIT;
}

static int take(struct cursor *c, unsigned n, uint64_t *value)
{
	uint64_t v = 0;
	uint8_t b;

	for (unsigned i = 0; i < n; i++) {
		if (!next_byte(c, &b))
			return ran_out(c);
		v |= (uint64_t)b << 8 * i;
	}
	*value = v;
	return 0;
}

/* APM3 1.2. True: b was a prefix. */
static bool take_prefix(struct cursor *c, uint8_t b)
{
	switch (b) {
	case 0x26:
		c->seg = HV_ES;
		return true;
	case 0x2e:
		c->seg = HV_CS;
		return true;
	case 0x36:
		c->seg = HV_SS;
		return true;
	case 0x3e:
		c->seg = HV_DS;
		return true;
	case 0x64:
		c->seg = HV_FS;
		return true;
	case 0x65:
		c->seg = HV_GS;
		return true;
	case 0x66:
		c->operand_size = true;
		return true;
	case 0x67:
		c->address_size = true;
		return true;
	case 0xf0:
		c->lock = true;
		return true;
	case 0xf2:
	case 0xf3:
		c->rep = true;
		c->f3 = b == 0xf3;
		return true;
	default:
		return false;
	}
}

/* Prefixes, then the first opcode byte. A REX counts only right before the opcode (APM3 1.2.7). */
static int take_opcode(struct cursor *c, uint8_t *opcode)
{
	uint8_t b;

	while (next_byte(c, &b)) {
		if (c->mode == INSN_64 && (b & 0xf0) == 0x40) {
			c->rex = b;
			continue;
		}
		if (!take_prefix(c, b)) {
			*opcode = b;
			return 0;
		}
		c->rex = 0;
	}
	return ran_out(c);
}

static void cursor_init(struct cursor *c, const uint8_t *bytes, size_t len, enum insn_mode mode)
{
	*c = (struct cursor){.bytes = bytes, .len = len, .mode = mode, .seg = HV_SEGS};
}

static uint8_t operand_width(const struct cursor *c)
{
	if (c->rex & REX_W)
		return 8;
	return (c->mode == INSN_16) == c->operand_size ? 4 : 2;
}

static uint8_t address_width(const struct cursor *c)
{
	if (c->mode == INSN_64)
		return c->address_size ? 4 : 8;
	return (c->mode == INSN_16) == c->address_size ? 4 : 2;
}

static unsigned displacement(unsigned mod, unsigned full)
{
	return mod == 1 ? 1 : mod == 2 ? full : 0;
}

/* Steps over SIB and displacement (APM3 1.4). */
static int skip_address(struct cursor *c, unsigned mod, unsigned rm)
{
	unsigned n;
	uint64_t unused;
	uint8_t sib;

	if (address_width(c) == 2)
		return take(c, mod == 0 && rm == 6 ? 2 : displacement(mod, 2), &unused);
	n = displacement(mod, 4);
	if (rm == 4) {
		if (!next_byte(c, &sib))
			return ran_out(c);
		rm = sib & 7;
	}
	if (mod == 0 && rm == 5)
		n = 4;
	return take(c, n, &unused);
}

/* ModRM with a memory operand; *reg: its middle field, without REX. */
static int take_modrm(struct cursor *c, uint8_t *reg)
{
	uint8_t m;

	if (!next_byte(c, &m))
		return ran_out(c);
	*reg = m >> 3 & 7;
	if (m >> 6 == 3)
		return -HVE_INVAL;
	return skip_address(c, m >> 6, m & 7);
}

/* The register operand of a ModRM instruction. */
static void set_register(const struct cursor *c, uint8_t reg, struct insn *i)
{
	if (i->reg_width == 1 && !c->rex && reg >= 4) {
		i->gpr = reg - 4;
		i->high_byte = true;
		return;
	}
	i->gpr = (uint8_t)(reg | (c->rex & REX_R ? 8 : 0));
}

static int64_t sign_extend(uint64_t v, unsigned width)
{
	unsigned up = 64 - 8 * width;

	return (int64_t)(v << up) >> up;
}

/* An immediate of the operand's width, at most 4 bytes, sign-extended (APM3 1.6). */
static int take_imm(struct cursor *c, unsigned width, struct insn *i)
{
	unsigned n = width > 4 ? 4 : width;
	uint64_t v;
	int rc = take(c, n, &v);

	if (!rc)
		i->imm = (uint64_t)sign_extend(v, n);
	return rc;
}

static int modrm_register(struct cursor *c, struct insn *i)
{
	uint8_t reg;
	int rc = take_modrm(c, &reg);

	if (!rc)
		set_register(c, reg, i);
	return rc;
}

static uint8_t byte_or_operand(const struct cursor *c, uint8_t opcode)
{
	return opcode & 1 ? operand_width(c) : 1;
}

/* 00-3b: op r/m,r and op r,r/m */
static int decode_alu(struct cursor *c, uint8_t opcode, struct insn *i)
{
	i->alu = opcode >> 3 & 7;
	i->op = i->alu == ALU_CMP ? INSN_CMP : INSN_ALU;
	i->alu_mem_dest = !(opcode & 2);
	i->width = i->reg_width = byte_or_operand(c, opcode);
	return modrm_register(c, i);
}

/* 80, 81, 82, 83: op r/m,imm */
static int decode_group1(struct cursor *c, uint8_t opcode, struct insn *i)
{
	int rc;

	if (opcode == 0x82 && c->mode == INSN_64)
		return -HVE_INVAL;
	rc = take_modrm(c, &i->alu);
	if (rc)
		return rc;
	i->op = i->alu == ALU_CMP ? INSN_CMP : INSN_ALU;
	i->alu_mem_dest = i->alu_imm = true;
	i->width = i->reg_width = byte_or_operand(c, opcode);
	return take_imm(c, opcode == 0x81 ? i->width : 1, i);
}

/* c6, c7 /0: MOV r/m,imm; f6, f7 /0 /1: TEST r/m,imm */
static int decode_immediate(struct cursor *c, uint8_t opcode, struct insn *i)
{
	bool test = opcode >= 0xf6;
	uint8_t reg;
	int rc = take_modrm(c, &reg);

	if (rc)
		return rc;
	if (reg > (test ? 1 : 0))
		return -HVE_INVAL;
	i->op = test ? INSN_TEST : INSN_STORE_IMM;
	i->alu_mem_dest = i->alu_imm = true;
	i->width = i->reg_width = byte_or_operand(c, opcode);
	return take_imm(c, i->width, i);
}

/* a0-a3: MOV between rAX and an absolute address */
static int decode_moffs(struct cursor *c, uint8_t opcode, struct insn *i)
{
	uint64_t unused;

	i->op = opcode & 2 ? INSN_STORE : INSN_LOAD;
	i->width = i->reg_width = byte_or_operand(c, opcode);
	i->gpr = HV_RAX;
	return take(c, address_width(c), &unused);
}

static int decode_string(struct cursor *c, uint8_t opcode, struct insn *i)
{
	i->op = opcode < 0xa6 ? INSN_MOVS : opcode < 0xac ? INSN_STOS : INSN_LODS;
	i->width = i->reg_width = byte_or_operand(c, opcode);
	i->gpr = HV_RAX;
	i->rep = c->rep;
	return 0;
}

static int decode_move(struct cursor *c, uint8_t opcode, struct insn *i)
{
	i->op = opcode & 2 ? INSN_LOAD : INSN_STORE;
	i->width = i->reg_width = byte_or_operand(c, opcode);
	return modrm_register(c, i);
}

static int decode_test_xchg(struct cursor *c, uint8_t opcode, struct insn *i)
{
	i->op = opcode & 2 ? INSN_XCHG : INSN_TEST;
	i->alu_mem_dest = true;
	i->width = i->reg_width = byte_or_operand(c, opcode);
	return modrm_register(c, i);
}

/* 0f xx: MOVZX b6 b7, MOVSX be bf, MOVNTI c3 */
static int decode_0f(struct cursor *c, struct insn *i)
{
	uint8_t b;

	if (!next_byte(c, &b))
		return ran_out(c);
	i->reg_width = operand_width(c);
	switch (b) {
	case 0xb6:
	case 0xb7:
	case 0xbe:
	case 0xbf:
		i->op = b & 8 ? INSN_LOAD_SX : INSN_LOAD_ZX;
		i->width = b & 1 ? 2 : 1;
		return modrm_register(c, i);
	case 0xc3:
		if (i->reg_width == 2 || c->rep)
			return -HVE_INVAL;
		i->op = INSN_STORE;
		i->width = i->reg_width;
		return modrm_register(c, i);
	default:
		return -HVE_INVAL;
	}
}

static int decode_one(struct cursor *c, uint8_t opcode, struct insn *i)
{
	if (opcode < 0x40 && (opcode & 7) < 4)
		return decode_alu(c, opcode, i);
	switch (opcode) {
	case 0x0f:
		return decode_0f(c, i);
	case 0x63: /* MOVSXD; outside 64-bit mode it is ARPL */
		if (c->mode != INSN_64)
			return -HVE_INVAL;
		i->op = INSN_LOAD_SX;
		i->reg_width = operand_width(c);
		i->width = i->reg_width == 2 ? 2 : 4;
		return modrm_register(c, i);
	case 0x80 ... 0x83:
		return decode_group1(c, opcode, i);
	case 0x84 ... 0x87:
		return decode_test_xchg(c, opcode, i);
	case 0x88 ... 0x8b:
		return decode_move(c, opcode, i);
	case 0xa0 ... 0xa3:
		return decode_moffs(c, opcode, i);
	case 0xa4:
	case 0xa5:
	case 0xaa ... 0xad:
		return decode_string(c, opcode, i);
	case 0xc6:
	case 0xc7:
	case 0xf6:
	case 0xf7:
		return decode_immediate(c, opcode, i);
	default:
		return -HVE_INVAL;
	}
}

static bool reads(const struct insn *i)
{
	return i->op != INSN_STORE && i->op != INSN_STORE_IMM && i->op != INSN_STOS;
}

static bool writes(const struct insn *i)
{
	switch (i->op) {
	case INSN_STORE:
	case INSN_STORE_IMM:
	case INSN_STOS:
	case INSN_MOVS:
	case INSN_XCHG:
		return true;
	case INSN_ALU:
		return i->alu_mem_dest;
	default:
		return false;
	}
}

int insn_decode(const uint8_t *bytes, size_t len, enum insn_mode mode, struct insn *out)
{
	struct insn i = {0};
	struct cursor c;
	uint8_t opcode;
	int rc;

	cursor_init(&c, bytes, len, mode);
	rc = take_opcode(&c, &opcode);
	if (!rc)
		rc = decode_one(&c, opcode, &i);
	if (rc)
		return rc;
	i.addr_width = address_width(&c);
	i.seg = c.seg == HV_SEGS ? HV_DS : c.seg;
	i.len = (uint8_t)c.at;
	i.reads = reads(&i);
	i.writes = writes(&i);
	*out = i;
	return 0;
}

unsigned insn_len_plain(const uint8_t *bytes, size_t len, enum insn_mode mode, uint16_t opcode)
{
	uint8_t want[3] = {0x0f, 0x01, (uint8_t)opcode};
	unsigned first = opcode >> 8 == 0x01 ? 0 : opcode >> 8 == 0x0f ? 1 : 2;
	struct cursor c;
	uint8_t b;

	if (first == 1)
		want[1] = 0x0f;
	cursor_init(&c, bytes, len, mode);
	if (take_opcode(&c, &b))
		return 0;
	for (unsigned k = first; k < 3; k++) {
		if (b != want[k] || (k < 2 && !next_byte(&c, &b)))
			return 0;
	}
	if (opcode >> 8 == 0xf3 && !c.f3)
		return 0;
	return (unsigned)c.at;
}

unsigned insn_decode_cr8(const uint8_t *bytes, size_t len, enum insn_mode mode, uint8_t *gpr)
{
	struct cursor c;
	uint8_t b, modrm;

	cursor_init(&c, bytes, len, mode);
	if (take_opcode(&c, &b) || b != 0x0f || !next_byte(&c, &b) || (b != 0x20 && b != 0x22) ||
	    !next_byte(&c, &modrm))
		return 0;
	/* CR8 is CR0 with REX.R, or with LOCK where the CPU has AltMovCr8 (APM3, MOV CRn). */
	if ((modrm & 0x38) != 0 || (!(c.rex & REX_R) && !c.lock))
		return 0;
	*gpr = (uint8_t)((modrm & 7) | (c.rex & REX_B ? 8 : 0));
	return (unsigned)c.at;
}

unsigned insn_decode_dr(const uint8_t *bytes, size_t len, enum insn_mode mode, uint8_t *gpr)
{
	struct cursor c;
	uint8_t b, modrm;

	cursor_init(&c, bytes, len, mode);
	if (take_opcode(&c, &b) || b != 0x0f || !next_byte(&c, &b) || (b != 0x21 && b != 0x23) ||
	    !next_byte(&c, &modrm))
		return 0;
	*gpr = (uint8_t)((modrm & 7) | (c.rex & REX_B ? 8 : 0));
	return (unsigned)c.at;
}

unsigned insn_decode_io_string(const uint8_t *bytes, size_t len, enum insn_mode mode, uint8_t *seg,
			       uint8_t *addr_width)
{
	struct cursor c;
	uint8_t b;

	cursor_init(&c, bytes, len, mode);
	if (take_opcode(&c, &b) || b < 0x6c || b > 0x6f)
		return 0;
	*seg = b < 0x6e ? HV_ES : c.seg == HV_SEGS ? HV_DS : c.seg;
	*addr_width = address_width(&c);
	return (unsigned)c.at;
}
