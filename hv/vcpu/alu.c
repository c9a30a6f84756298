/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The eight arithmetic operations of the ModRM group (add or adc sbb and sub xor cmp) with their status flags, for
 * read-modify-write instructions on device memory. Pure; the unit test compares it with the CPU's own results.
 */
#include "hv/vcpu/vcpu.h"

enum { OP_ADD, OP_OR, OP_ADC, OP_SBB, OP_AND, OP_SUB, OP_XOR, OP_CMP };

#define FLAG_CF (1ull << 0)
#define FLAG_PF (1ull << 2)
#define FLAG_AF (1ull << 4)
#define FLAG_ZF (1ull << 6)
#define FLAG_SF (1ull << 7)
#define FLAG_OF (1ull << 11)
#define FLAGS_STATUS (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

static uint64_t result_flags(uint64_t r, uint64_t sign)
{
	uint64_t f = 0;

	if (!(__builtin_popcount((unsigned)(r & 0xff)) & 1))
		f |= FLAG_PF;
	if (!r)
		f |= FLAG_ZF;
	if (r & sign)
		f |= FLAG_SF;
	return f;
}

static uint64_t logic(unsigned op, uint64_t a, uint64_t b)
{
	return op == OP_OR ? a | b : op == OP_AND ? a & b : a ^ b;
}

/* Carries (borrows) out of every bit position, from which CF, AF and OF follow. */
static uint64_t carry_flags(uint64_t carries, uint64_t a, uint64_t b, uint64_t r, bool sub,
			    uint64_t sign)
{
	uint64_t f = 0;

	if (carries & sign)
		f |= FLAG_CF;
	if (carries & 8)
		f |= FLAG_AF;
	if ((sub ? (a ^ b) & (a ^ r) : (a ^ r) & (b ^ r)) & sign)
		f |= FLAG_OF;
	return f;
}

uint64_t alu_compute(unsigned op, unsigned width, uint64_t a, uint64_t b, uint64_t *rflags)
{
	uint64_t sign = 1ull << (8 * width - 1), mask = sign | (sign - 1);
	uint64_t carry = (op == OP_ADC || op == OP_SBB) && (*rflags & FLAG_CF) ? 1 : 0;
	bool sub = op == OP_SUB || op == OP_SBB || op == OP_CMP;
	uint64_t r, flags = 0;

	a &= mask;
	b &= mask;
	if (op == OP_OR || op == OP_AND || op == OP_XOR) {
		r = logic(op, a, b);
	} else if (sub) {
		r = (a - b - carry) & mask;
		flags = carry_flags((~a & b) | (~(a ^ b) & r), a, b, r, true, sign);
	} else {
		r = (a + b + carry) & mask;
		flags = carry_flags((a & b) | ((a | b) & ~r), a, b, r, false, sign);
	}
	*rflags = (*rflags & ~FLAGS_STATUS) | flags | result_flags(r, sign);
	return r;
}
