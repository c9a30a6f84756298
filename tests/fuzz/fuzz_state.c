/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/vmm/state.c
// SRC: ctrl-kernel/vmm/bus.c
// SRC: ctrl-kernel/vmm/pci.c
// SRC: ctrl-kernel/vmm/platform.c
// SRC: ctrl-kernel/vmm/rtc.c
/*
 * Survivor pages of any content: refused with a reason, or a guest does what it likes with the devices and leaves what
 * is taken again. Input: how many changes, the changes to a good state (offset, byte), then the accesses. An odd first
 * byte: the changes begin with the whole state instead.
 */
#include <stdlib.h>

#include "tests/unit/vmm_devices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	uint32_t space;
	uint64_t base;
	unsigned len;
} ranges[] = {
	{HV_SPACE_PIO, 0x70, 2},
	{HV_SPACE_PIO, 0x71, 1},
	{HV_SPACE_PIO, 0xcf8, 8},
	{HV_SPACE_PIO, 0x600, 12},
	{HV_SPACE_PIO, 0x620, 4},
	{HV_SPACE_PIO, 0x92, 1},
	{HV_SPACE_MMIO, HV_GPA_ECAM, 1 << 20},
};

static void change(struct vmm_state *state, const uint8_t **data, size_t *size)
{
	unsigned n = (*data)[0] / 2;

	if (((*data)[0] & 1) && *size > STATE_BYTES) {
		memcpy(state, *data + 1, STATE_BYTES);
		*data += STATE_BYTES;
		*size -= STATE_BYTES;
		/* Past the first comparisons. */
		state->magic = STATE_MAGIC;
		state->version = STATE_VERSION;
	}
	for (++*data, --*size; n > 0 && *size >= 3; n--, *data += 3, *size -= 3)
		((uint8_t *)state)[((*data)[0] | (*data)[1] << 8) % STATE_BYTES] ^= (*data)[2];
}

static void access_one(struct vm *vm, const uint8_t *data)
{
	unsigned i = data[0] % ARRAY_SIZE(ranges), width = 1u << (data[0] >> 4 & 3);
	uint64_t value = data[3] | data[4] << 8 | (uint64_t)data[5] << 16 | (uint64_t)data[6] << 24;
	uint64_t at = ranges[i].base + (data[1] | data[2] << 8) % ranges[i].len;
	bool write = data[0] & 0x80;

	devices_now += (uint64_t)data[7] << (data[1] & 31);
	if (ranges[i].space == HV_SPACE_PIO)
		bus_access(&vm->bus, write ? HV_PIO_WRITE : HV_PIO_READ, at, width, value);
	else
		bus_access(&vm->bus, write ? HV_MMIO_WRITE : HV_MMIO_READ, at, width, value);
	if (vm->request == VM_REQ_RESET)
		devices_reset(vm);
	vm->request = VM_REQ_NONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmm_state *state;
	struct vm vm;
	const char *why;

	if (size < 1)
		return 0;
	state = malloc(sizeof(*state)); /* exactly: ASan sees every overrun */
	devices_now = 0;
	devices_make(&vm, state);
	change(state, &data, &size);
	why = state_check(state);
	if (why && why[0] == 0)
		abort(); /* refused without a word */
	for (; !why && size >= 8; data += 8, size -= 8)
		access_one(&vm, data);
	if (!why && state_check(state))
		abort();
	free(state);
	return 0;
}
