/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Port accesses: hv's devices, else the vmm's claims. String instructions go element by element, each of which leaves
 * the registers as the CPU would after an interrupt there; so a parked element simply runs the instruction again when it
 * was not the last one. At most STRING_BURST elements in one exit, then the guest comes back by itself.
 */
#include "hv/vm/vm.h"
#include "hv/cpu/x86.h"

#define STRING_BURST 64u

/* A port that hv does not model. False: parked. (No locals: what would live across the call costs a push and a pop.) */
static bool claimed_access(struct vcpu *v)
{
	int claim = claim_find(&v->vm->claims[HV_SPACE_PIO], v->exit.pio.port, v->exit.pio.width,
			       &v->claim_hint[HV_SPACE_PIO]);

	if (claim < 0) {
		v->io.value = ~0ull; /* nobody there */
		return true;
	}
	if (claim >> 8 == HV_CLAIM_DOORBELL && !v->exit.pio.in) {
		claim_ring(v->vm, claim & 63);
		return true;
	}
	v->io.mmio = false;
	claim_park(v, v->exit.pio.in ? HV_PIO_READ : HV_PIO_WRITE, v->exit.pio.port,
		   v->exit.pio.width, v->io.value);
	return false;
}

/* v->io.value: what is written, or what was read. It is not on the stack because a local whose address is taken costs a
 * canary on every exit. False: parked. */
static inline bool port_access(struct vcpu *v)
{
	return (v->exit.pio.port < VDEV_PIO_END &&
		vdev_pio(v, v->exit.pio.port, v->exit.pio.width, !v->exit.pio.in, &v->io.value)) ||
	       claimed_access(v);
}

static inline void finish_plain(struct vcpu *v)
{
	if (v->exit.pio.in)
		vcpu_set_gpr(v, HV_RAX, v->exit.pio.width, v->io.value);
	vendor->skip(v);
}

/* What guest_read, guest_write, guest_translate said: 0 goes on; anything else ended the instruction here. */
static int operand_failed(struct vcpu *v, int rc, const struct walk_fault *fault)
{
	if (rc == -HVE_FAULT)
		vcpu_inject_page_fault(v, fault->address, fault->error);
	else if (rc == -HVE_INVAL) /* device memory as the operand of INS or OUTS */
		vm_crash(v->vm, HV_VMR_EMULATION, v->rip);
	return rc;
}

/* The linear address of this element's memory operand. */
static int operand_address(struct vcpu *v, gva_t *gva)
{
	bool in = v->exit.pio.in;
	uint64_t offset = vcpu_index(v, in ? HV_RDI : HV_RSI, v->exit.pio.addr_width);
	uint8_t vector;
	int rc = vcpu_linear(v, v->exit.pio.seg, offset, v->exit.pio.width, in, gva, &vector);

	if (rc)
		vcpu_inject_fault(v, vector);
	return rc;
}

/* OUTS reads its element; INS finds out before the port is read whether it could be stored. */
static int prepare_element(struct vcpu *v, gva_t gva)
{
	unsigned width = v->exit.pio.width;
	struct walk_fault fault;
	gpa_t gpa;
	int rc;

	v->io.value = 0;
	if (!v->exit.pio.in)
		return operand_failed(v, guest_read(v, gva, &v->io.value, width, false, &fault),
				      &fault);
	rc = guest_translate(v, gva, true, &gpa, &fault);
	if (!rc)
		rc = guest_translate(v, gva + width - 1, true, &gpa, &fault);
	return operand_failed(v, rc, &fault);
}

/* Stores what INS read and counts. 0: more to come; else the instruction is over or was broken off. */
static int finish_element(struct vcpu *v, gva_t gva)
{
	unsigned width = v->exit.pio.width, aw = v->exit.pio.addr_width;
	struct walk_fault fault;

	if (v->exit.pio.in &&
	    operand_failed(v, guest_write(v, gva, &v->io.value, width, &fault), &fault))
		return -HVE_FAULT;
	vcpu_index_step(v, v->exit.pio.in ? HV_RDI : HV_RSI, aw, width);
	if (v->exit.pio.rep) {
		vcpu_set_gpr(v, HV_RCX, aw, v->gpr[HV_RCX] - 1);
		if (vcpu_index(v, HV_RCX, aw))
			return 0;
	}
	vendor->skip(v);
	return -HVE_NOENT;
}

/* Segment and address size, where the CPU does not tell them. */
static bool string_known(struct vcpu *v)
{
	uint8_t bytes[15], seg, aw;
	struct vcpu_context c;

	if (v->exit.pio.addr_width && (v->exit.pio.in || v->exit.pio.seg < HV_SEGS)) {
		if (v->exit.pio.in)
			v->exit.pio.seg = HV_ES;
		return true;
	}
	vendor->context(v, &c);
	if (!insn_decode_io_string(bytes, vcpu_fetch(v, bytes), c.mode, &seg, &aw))
		return false;
	v->exit.pio.seg = seg;
	v->exit.pio.addr_width = aw;
	return true;
}

static __attribute__((noinline)) void string_burst(struct vcpu *v)
{
	gva_t gva;

	if (!string_known(v))
		return;
	if (v->exit.pio.rep && !vcpu_index(v, HV_RCX, v->exit.pio.addr_width)) {
		vendor->skip(v);
		return;
	}
	for (unsigned i = 0; i < STRING_BURST; i++) {
		if (operand_address(v, &gva) || prepare_element(v, gva))
			return;
		if (!port_access(v) || finish_element(v, gva))
			return;
	}
	irq_take_pending(); /* as a CPU does between elements (APM3 REP) */
}

void exit_pio(struct vcpu *v)
{
	if (UNLIKELY(v->exit.pio.string)) {
		string_burst(v);
		return;
	}
	v->io.value = v->gpr[HV_RAX];
	if (port_access(v))
		finish_plain(v);
}

void pio_answered(struct vcpu *v, uint64_t value)
{
	gva_t gva;

	v->io.value = value;
	if (!v->exit.pio.string)
		finish_plain(v);
	else if (!operand_address(v, &gva))
		finish_element(v, gva);
}
