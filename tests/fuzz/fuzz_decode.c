/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/vcpu/decode.c
// SRC: hv/vcpu/alu.c
/* The MMIO decoder on any bytes: stays inside them, and what it accepts is consistent. */
#include <stdlib.h>
#include <string.h>

#include "hv/vcpu/vcpu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
	if (!ok)
		abort();
}

static void check_insn(const struct insn *i, size_t size)
{
	check(i->len > 0 && i->len <= 15 && i->len <= size);
	check(i->width == 1 || i->width == 2 || i->width == 4 || i->width == 8);
	check(i->reg_width >= i->width && i->reg_width <= 8);
	check(i->gpr < HV_GPRS && i->alu < 8 && i->seg < HV_LDTR);
	check(i->addr_width == 2 || i->addr_width == 4 || i->addr_width == 8);
	check(!i->high_byte || (i->reg_width == 1 && i->gpr < 4));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t plain[] = {0x0fa2, 0x0f30, 0x00f4, 0x01d9, 0xf390};
	uint8_t gpr = 0, seg = 0, aw = 0;
	struct insn i, again;

	if (!size)
		return 0;
	for (int mode = INSN_16; mode <= INSN_64; mode++) {
		int rc = insn_decode(data, size, (enum insn_mode)mode, &i);

		check(rc == 0 || rc == -HVE_INVAL || rc == -HVE_LIMIT);
		check(rc != -HVE_LIMIT || size < 15);
		if (!rc) {
			uint64_t flags = 0;

			check_insn(&i, size);
			/* Nothing behind the instruction matters. */
			check(insn_decode(data, i.len, (enum insn_mode)mode, &again) == 0);
			check(memcmp(&i, &again, sizeof(i)) == 0);
			alu_compute(i.alu, i.width, i.imm, ~i.imm, &flags);
		}
		for (size_t k = 0; k < ARRAY_SIZE(plain); k++)
			check(insn_len_plain(data, size, (enum insn_mode)mode, plain[k]) <= 15);
		check(insn_decode_cr8(data, size, (enum insn_mode)mode, &gpr) <= 15 &&
		      gpr < HV_GPRS);
		check(insn_decode_dr(data, size, (enum insn_mode)mode, &gpr) <= 15 &&
		      gpr < HV_GPRS);
		check(insn_decode_io_string(data, size, (enum insn_mode)mode, &seg, &aw) <= 15);
	}
	return 0;
}
