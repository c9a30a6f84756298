/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instruction that exited: its bytes, its length, its memory operands' addresses, and the faults it may end in.
 * Called by the exit handlers in vm/.
 */
#include "hv/vcpu/vcpu.h"
#include "hv/cpu/x86.h"

/* Linear address of rip. In 64-bit mode CS has no base. */
static gva_t linear_rip(struct vcpu *v, const struct vcpu_context *c)
{
	struct hv_segment cs;

	if (c->mode == INSN_64)
		return v->rip;
	vendor->segment(v, HV_CS, &cs);
	return (uint32_t)(cs.base + v->rip);
}

size_t vcpu_fetch_in(struct vcpu *v, const struct vcpu_context *c, uint8_t bytes[INSN_MAX])
{
	gva_t gva = linear_rip(v, c);
	size_t n = guest_fetch(v, c, gva, bytes, INSN_MAX);

	/* The rest may lie on the next page, or may not be there: then it is not needed. */
	if (n && n < INSN_MAX)
		n += guest_fetch(v, c, gva + n, bytes + n, INSN_MAX - n);
	return n;
}

size_t vcpu_fetch(struct vcpu *v, uint8_t bytes[INSN_MAX])
{
	struct vcpu_context c;

	vendor->context(v, &c);
	return vcpu_fetch_in(v, &c, bytes);
}

/*
 * Without next-RIP from the CPU the bytes must be looked at: any instruction may carry prefixes. That costs a page
 * walk, so lengths are kept by (rip, cr3, opcode). An entry goes stale when the guest puts the same instruction with
 * other prefixes at the same place of the same address space; then hv skips too few or too many bytes of that guest's
 * own code. It can mislead nobody but itself, and compilers emit these instructions without prefixes.
 */
bool vcpu_insn_len(struct vcpu *v)
{
	uint16_t opcode = v->exit.opcode;
	struct vcpu_context c;
	uint8_t bytes[INSN_MAX];
	size_t n;

	vendor->context(v, &c);
	n = vcpu_fetch_in(v, &c, bytes);
	v->exit.len = (uint8_t)insn_len_plain(bytes, n, c.mode, opcode);
	if (!v->exit.len)
		return false;
	v->lengths[v->rip % INSN_LENGTHS] = (struct insn_length){
		.rip = v->rip, .cr3 = c.cr3, .opcode = opcode, .len = v->exit.len};
	return true;
}

void vcpu_inject_fault(struct vcpu *v, uint8_t vector)
{
	struct vcpu_event e = {.type = EVENT_EXCEPTION,
			       .vector = vector,
			       .has_error = vector == VECTOR_GP || vector == VECTOR_SS ||
					    vector == VECTOR_AC};

	vendor->inject(v, &e);
}

void vcpu_inject_page_fault(struct vcpu *v, gva_t address, uint32_t error)
{
	struct vcpu_event e = {.type = EVENT_EXCEPTION,
			       .vector = VECTOR_PF,
			       .has_error = true,
			       .error = error,
			       .address = address};

	vendor->inject(v, &e);
}

uint64_t vcpu_index(const struct vcpu *v, unsigned gpr, unsigned addr_width)
{
	return v->gpr[gpr] & width_mask(addr_width);
}

void vcpu_index_step(struct vcpu *v, unsigned gpr, unsigned addr_width, unsigned width)
{
	uint64_t step = v->rflags & RFLAGS_DF ? 0 - (uint64_t)width : width;

	vcpu_set_gpr(v, gpr, addr_width, v->gpr[gpr] + step);
}

/* Segment attributes as in a VMCB (APM2 4.7, 15.5). */
#define ATTR_WRITE_OR_READ (1u << 1) /* data: writable; code: readable */
#define ATTR_DOWN (1u << 2)          /* data: expands down */
#define ATTR_CODE (1u << 3)
#define ATTR_PRESENT (1u << 7)
#define ATTR_BIG (1u << 10)

static bool in_limit(const struct hv_segment *s, uint64_t offset, unsigned len)
{
	uint64_t last = offset + len - 1;
	uint64_t top = (s->attr & ATTR_BIG) ? 0xffffffffu : 0xffffu;

	if ((s->attr & (ATTR_CODE | ATTR_DOWN)) == ATTR_DOWN)
		return offset > s->limit && last <= top;
	return last <= s->limit;
}

/* Type checks of a protected-mode data access (APM2 4.12). In real mode attributes say "writable data". */
static bool usable(const struct hv_segment *s, bool write)
{
	if (!(s->attr & ATTR_PRESENT))
		return false;
	if (s->attr & ATTR_CODE)
		return !write && (s->attr & ATTR_WRITE_OR_READ);
	return !write || (s->attr & ATTR_WRITE_OR_READ);
}

/* Bits 63 to 47 are all the same (APM2 5.3.1). */
static bool canonical(gva_t a, unsigned len)
{
	return (a + (1ull << 47)) >> 48 == 0 && (a + len - 1 + (1ull << 47)) >> 48 == 0;
}

int vcpu_linear(struct vcpu *v, enum hv_seg seg, uint64_t offset, unsigned len, bool write,
		gva_t *gva, uint8_t *vector)
{
	struct vcpu_context c;
	struct hv_segment s;
	bool ok;

	vendor->context(v, &c);
	vendor->segment(v, seg, &s);
	if (c.mode == INSN_64) {
		offset += seg == HV_FS || seg == HV_GS ? s.base : 0;
		ok = canonical(offset, len);
	} else {
		ok = usable(&s, write) && in_limit(&s, offset, len);
		offset = (uint32_t)(s.base + offset);
	}
	if (!ok) {
		*vector = seg == HV_SS ? VECTOR_SS : VECTOR_GP;
		return -HVE_FAULT;
	}
	*gva = offset;
	return 0;
}
