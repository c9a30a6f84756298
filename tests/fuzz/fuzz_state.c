/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/vmm/state.c
// SRC: ctrl-kernel/vmm/hotplug.c
// SRC: ctrl-kernel/vmm/bus.c
// SRC: ctrl-kernel/vmm/pci.c
// SRC: ctrl-kernel/vmm/platform.c
// SRC: ctrl-kernel/vmm/rtc.c
/*
 * Survivor pages of any content: refused with a reason, or a guest does what it likes with the devices and leaves what
 * is taken again. Input: how many changes, the changes to a good state, then the accesses. An odd first byte: the changes
 * begin with the whole state instead.
 */
#include <stddef.h>
#include <stdlib.h>

#include "tests/unit/vmm_devices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	uint32_t space;
	uint64_t base;
	unsigned len;
} ranges[] = {
	{HV_SPACE_PIO, 0x70, 2},  {HV_SPACE_PIO, 0x71, 1},
	{HV_SPACE_PIO, 0xcf8, 8}, {HV_SPACE_PIO, 0x600, 12},
	{HV_SPACE_PIO, 0x620, 4}, {HV_SPACE_PIO, 0x640, 12},
	{HV_SPACE_PIO, 0x92, 1},  {HV_SPACE_MMIO, HV_GPA_ECAM, 1 << 20},
};

static bool taken(const struct vmm_state *state)
{
	const char *why = state_check(state);

	if (why && why[0] == 0)
		abort(); /* refused without a word */
	return !why;
}

/* 1, 2, 4 or 8 bytes, aligned, of a part. What is refused does not stay, so that many changes make a state that is taken,
 * but far from a good one. */
static void change_one(struct vmm_state *state, const uint8_t *data)
{
	static const unsigned parts[][2] = {
		{0, offsetof(struct vmm_state, rtc.cmos)},
		{offsetof(struct vmm_state, rtc.cmos), CMOS_BYTES},
		{offsetof(struct vmm_state, pci), offsetof(struct pci_state, config)},
		{offsetof(struct vmm_state, pci.config), PCI_SLOTS * PCI_CONFIG_BYTES},
	};
	const unsigned *part = parts[data[1] >> 6];
	unsigned len = 1u << (data[1] >> 4 & 3);
	unsigned at = part[0] + (data[0] | (data[1] & 15) << 8) % part[1];
	uint8_t *bytes = (uint8_t *)state, before[8];

	at &= ~(len - 1);
	memcpy(before, bytes + at, len);
	for (unsigned i = 0; i < len; i++)
		bytes[at + i] ^= data[2 + i];
	if (len == 8 && (data[2] & 1)) /* where sums overflow */
		memcpy(bytes + at, &(int64_t){(data[2] & 2) ? INT64_MAX : INT64_MIN}, len);
	if (!taken(state))
		memcpy(bytes + at, before, len);
}

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
	for (++*data, --*size; n > 0 && *size >= 10; n--, *data += 10, *size -= 10)
		change_one(state, *data);
}

static void access_one(struct vm *vm, const uint8_t *data)
{
	unsigned i = (data[0] & 15) % ARRAY_SIZE(ranges), width = 1u << (data[0] >> 4 & 3);
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

/* Each register, and then all of the clock's. */
static void read_all(struct vm *vm)
{
	for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++)
		for (uint8_t at = 0; at < (ranges[i].len < 12 ? ranges[i].len : 12); at++)
			for (uint8_t width = 0; width < 4; width++)
				access_one(vm, (const uint8_t[8]){(uint8_t)(i | width << 4), at});
	for (uint8_t reg = 0; reg < CMOS_BYTES; reg++) {
		access_one(vm, (const uint8_t[8]){0x80, 0, 0, reg});
		access_one(vm, (const uint8_t[8]){1});
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmm_state *state;
	struct vm vm;

	if (size < 1)
		return 0;
	state = malloc(sizeof(*state)); /* exactly: ASan sees every overrun */
	devices_now = 0;
	devices_make(&vm, state);
	change(state, &data, &size);
	if (taken(state)) {
		read_all(&vm);
		for (; size >= 8; data += 8, size -= 8)
			access_one(&vm, data);
		if (!taken(state))
			abort();
	}
	free(state);
	return 0;
}
