/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nested page faults: accesses to guest-physical addresses that are not RAM, or not writable. The instruction is decoded
 * and carried out as at most one read followed by at most one write, each of which may park:
 *
 *   begin -> [read: done | parked .. answered] -> operate -> [write: done | parked .. answered] -> finish
 *
 * Repeated string instructions do this per element and at most STRING_BURST times in one exit. Read-modify-write
 * instructions are not atomic against other vCPUs; device registers are not updated that way.
 */
#include "hv/vm/vm.h"
#include "hv/lib/string.h"

#define STRING_BURST 64u
static bool is_string(const struct insn *i)
{
	return i->op == INSN_MOVS || i->op == INSN_STOS || i->op == INSN_LODS;
}

static uint64_t get_reg(const struct vcpu *v, const struct insn *i)
{
	return (i->high_byte ? v->gpr[i->gpr] >> 8 : v->gpr[i->gpr]) & width_mask(i->reg_width);
}

static void set_reg(struct vcpu *v, const struct insn *i, uint64_t value)
{
	if (i->high_byte)
		v->gpr[i->gpr] = (v->gpr[i->gpr] & ~0xff00ull) | (value & 0xff) << 8;
	else
		vcpu_set_gpr(v, i->gpr, i->reg_width, value);
}

static uint64_t sign_extended(uint64_t value, unsigned width)
{
	unsigned up = 64 - 8 * width;

	return (uint64_t)((int64_t)(value << up) >> up);
}

/* add .. cmp and TEST, in either direction. Returns what goes to memory, if anything does. */
static uint64_t operate_alu(struct vcpu *v, const struct insn *i, uint64_t mem)
{
	uint64_t other = i->alu_imm ? i->imm : get_reg(v, i);
	unsigned op = i->op == INSN_TEST ? ALU_AND : i->op == INSN_CMP ? ALU_CMP : i->alu;
	uint64_t r;

	if (i->alu_mem_dest)
		return alu_compute(op, i->width, mem, other, &v->rflags);
	r = alu_compute(op, i->width, other, mem, &v->rflags);
	if (i->op == INSN_ALU)
		set_reg(v, i, r);
	return 0;
}

/* Between read and write: registers and flags; returns the value to write. */
static uint64_t operate(struct vcpu *v, const struct insn *i, uint64_t mem)
{
	uint64_t reg;

	switch (i->op) {
	case INSN_LOAD:
	case INSN_LOAD_ZX:
	case INSN_LODS:
		set_reg(v, i, mem);
		return 0;
	case INSN_LOAD_SX:
		set_reg(v, i, sign_extended(mem, i->width));
		return 0;
	case INSN_STORE:
	case INSN_STOS:
		return get_reg(v, i);
	case INSN_STORE_IMM:
		return i->imm & width_mask(i->width);
	case INSN_XCHG:
		reg = get_reg(v, i);
		set_reg(v, i, mem);
		return reg;
	case INSN_MOVS:
		return mem;
	default:
		return operate_alu(v, i, mem);
	}
}

/* RAM may be one end of a MOVS, or readable where a write faulted; plain accesses to a hole skip that question. */
static bool ram_access(struct vcpu *v, gpa_t gpa, unsigned width, bool write, uint64_t *value)
{
	if (LIKELY(!v->exit.mmio.present && !is_string(v->io.insn)))
		return false;
	if (write)
		return guest_phys_write(v->npt, gpa, value, width) == 0;
	*value = 0;
	return guest_phys_read(v->npt, gpa, value, width) == 0;
}

/* An address that hv does not model. False: parked. */
static bool claimed_access(struct vcpu *v, gpa_t gpa, bool write)
{
	struct vcpu_io *io = &v->io;
	int claim = claim_find(&v->vm->claims[HV_SPACE_MMIO], gpa, io->insn->width,
			       &v->claim_hint[HV_SPACE_MMIO]);

	if (claim < 0) {
		io->value = ~0ull; /* nobody there */
		return true;
	}
	if (write && claim >> 8 == HV_CLAIM_DOORBELL) {
		claim_ring(v->vm, claim & 63);
		return true;
	}
	claim_park(v, write ? HV_MMIO_WRITE : HV_MMIO_READ, gpa, io->insn->width, io->value);
	return false;
}

/* False: parked. */
static inline bool bus(struct vcpu *v, gpa_t gpa, bool write)
{
	unsigned width = v->io.insn->width;

	return ram_access(v, gpa, width, write, &v->io.value) ||
	       vdev_mmio(v, gpa, width, write, &v->io.value) || claimed_access(v, gpa, write);
}

static void string_step(struct vcpu *v, const struct insn *i)
{
	if (i->op != INSN_STOS)
		vcpu_index_step(v, HV_RSI, i->addr_width, i->width);
	if (i->op != INSN_LODS)
		vcpu_index_step(v, HV_RDI, i->addr_width, i->width);
	if (i->rep)
		vcpu_set_gpr(v, HV_RCX, i->addr_width, v->gpr[HV_RCX] - 1);
}

/* One element is done. True: the instruction goes on with the next. */
static bool finish(struct vcpu *v)
{
	const struct insn *i = v->io.insn;

	if (is_string(i)) {
		string_step(v, i);
		if (i->rep && vcpu_index(v, HV_RCX, i->addr_width))
			return true;
	}
	vendor->skip(v);
	return false;
}

/* From the read's value on. False: parked, or the instruction is over. */
static bool from_read(struct vcpu *v)
{
	struct vcpu_io *io = &v->io;

	io->value = operate(v, io->insn, io->value & width_mask(io->insn->width));
	io->writing = true;
	if (io->insn->writes && !bus(v, io->write_at, true))
		return false;
	return finish(v);
}

static bool one_element(struct vcpu *v)
{
	struct vcpu_io *io = &v->io;

	io->mmio = true;
	io->writing = false;
	if (io->insn->reads && !bus(v, io->read_at, false))
		return false;
	return from_read(v);
}

/* One memory operand of a string instruction. False: a fault was injected, or the VM ended. */
static bool string_operand(struct vcpu *v, enum hv_seg seg, unsigned gpr, bool write, gpa_t *gpa)
{
	const struct insn *i = v->io.insn;
	struct walk_fault fault;
	uint8_t vector;
	gva_t gva;
	int rc;

	if (vcpu_linear(v, seg, vcpu_index(v, gpr, i->addr_width), i->width, write, &gva,
			&vector)) {
		vcpu_inject_fault(v, vector);
		return false;
	}
	rc = guest_translate(v, gva, write, gpa, &fault);
	if (rc == -HVE_FAULT)
		vcpu_inject_page_fault(v, fault.address, fault.error);
	else if (rc == -HVE_INVAL || (gva & (PAGE_SIZE - 1)) + i->width > PAGE_SIZE)
		/* Page tables in device memory, or an element across two pages: no driver does that. */
		vm_crash(v->vm, HV_VMR_EMULATION, v->rip);
	else
		return rc == 0;
	return false;
}

static bool string_operands(struct vcpu *v)
{
	struct vcpu_io *io = &v->io;

	if (io->insn->op != INSN_STOS &&
	    !string_operand(v, io->insn->seg, HV_RSI, false, &io->read_at))
		return false;
	return io->insn->op == INSN_LODS || string_operand(v, HV_ES, HV_RDI, true, &io->write_at);
}

static void string_burst(struct vcpu *v)
{
	const struct insn *i = v->io.insn;

	if (i->rep && !vcpu_index(v, HV_RCX, i->addr_width)) {
		vendor->skip(v);
		return;
	}
	for (unsigned n = 0; n < STRING_BURST; n++) {
		if (!string_operands(v) || !one_element(v))
			return;
	}
	irq_take_pending(); /* as in pio.c */
}

/* Where the instruction at rip is kept. It can be used again when it is 64-bit code: rip is its linear address then. */
static struct decoded_insn *decoded_at(struct vcpu *v)
{
	return &v->decoded[(v->rip ^ v->rip >> 4) % DECODED_INSNS];
}

static int decode_bytes(struct vcpu *v, const struct vcpu_context *c, struct decoded_insn *d)
{
	uint8_t *bytes = v->exit.mmio.bytes;
	size_t n = v->exit.mmio.bytes_len;
	int rc;

	if (!n)
		n = vcpu_fetch_in(v, c, bytes);
	d->reusable = false;
	rc = insn_decode(bytes, n, c->mode, &d->insn);
	if (rc)
		return rc == -HVE_LIMIT && n < INSN_MAX ? -HVE_BUSY : rc;
	d->rip = v->rip;
	d->reusable = c->mode == INSN_64 && n == INSN_MAX;
	memcpy(d->bytes, bytes, INSN_MAX);
	return 0;
}

/* The instruction behind the fault -> v->io.insn-> False: run it again, or the VM ended. */
static bool decode(struct vcpu *v)
{
	struct decoded_insn *d = decoded_at(v);
	struct vcpu_context c;
	int rc = 0;

	vendor->context(v, &c);
	if (d->rip != v->rip || !d->reusable || c.mode != INSN_64 ||
	    !guest_code_is(v, &c, v->rip, d->bytes))
		rc = decode_bytes(v, &c, d);
	v->io.insn = &d->insn;
	v->exit.len = d->insn.len;
	/* Busy: bytes that could be executed but not be read. Another vCPU changed the tables; the CPU finds out itself. */
	if (rc && rc != -HVE_BUSY)
		vm_crash(v->vm, HV_VMR_EMULATION, v->rip);
	return rc == 0;
}

void exit_mmio(struct vcpu *v)
{
	if (UNLIKELY(v->vm->has_holes) && !v->exit.mmio.present &&
	    vm_fill(v->vm, v->exit.mmio.gpa) != -HVE_NOENT)
		return; /* run it again */
	if (UNLIKELY(v->exit.mmio.table)) {
		/* The guest's page tables are not in RAM: there is no telling what it meant. */
		vm_crash(v->vm, HV_VMR_EMULATION, v->rip);
		return;
	}
	if (UNLIKELY(v->exit.mmio.fetch)) {
		/* Code where nothing is: a bus gives all ones, and FF FF is #UD (APM3 appendix A). */
		vcpu_inject_fault(v, VECTOR_UD);
		return;
	}
	if (!decode(v))
		return;
	v->io.read_at = v->io.write_at = v->exit.mmio.gpa;
	if (is_string(v->io.insn))
		string_burst(v);
	else
		one_element(v);
}

/* A string instruction with more elements is run again by the guest. */
void mmio_answered(struct vcpu *v, uint64_t value)
{
	if (v->io.writing) {
		finish(v);
		return;
	}
	v->io.value = value;
	from_read(v);
}
