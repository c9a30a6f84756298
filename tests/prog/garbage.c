/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every hypercall with arguments that make no sense, or nearly do. hv must survive all of them; what they return does
 * not matter. Calls that would end or reset the test are left out, and waits get a deadline that has passed.
 */
#include "tests/prog/hctest.h"

#include "hv/abi/hv_vm.h"

#define LAST_CALL 130u
#define PCI_NOBODY 0xfff8u /* bus 255: writes go nowhere */

static uint64_t state;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static uint64_t buffer[512];

/* Edges of everything hv tells apart. */
static const uint64_t values[] = {
	0,
	1,
	2,
	3,
	4,
	7,
	8,
	63,
	64,
	255,
	256,
	257,
	511,
	512,
	4095,
	4096,
	4097,
	HV_VA_MAP_LO,
	HV_VA_MAP_LO_END,
	HV_VA_STACK_TOP,
	HV_VA_STACK_TOP - 4096,
	HV_VA_INFO,
	HV_VA_IMAGE,
	HV_VA_BRK_END,
	HV_VA_BRK_END - 4096,
	HV_VA_END,
	HV_VA_END - 4096,
	0x800000000000,
	0xffff800000000000,
	0xffff800000200000,
	0xffffffff80200000,
	0xffffffffffffffff,
	0xfffffffffffff000,
	0x8000000000000000,
	0x7fffffffffffffff,
	1ull << 52,
	1ull << 40,
	1ull << 32,
	0xffffffff,
	HV_MAP_MAX,
	HV_MAP_MAX + 1,
	0xfee00000,
	0xfec00000,
	0x100000,
	0x200000,
	0x10000000,
	0x10000000000,
	sizeof(struct hv_host_info),
	sizeof(struct hv_vm_info),
	sizeof(struct hv_prog_info),
	sizeof(struct hv_crash),
	sizeof(struct hv_vcpu_regs),
};

static uint64_t pick(void)
{
	uint64_t r = next_random();

	switch (r >> 60) {
	case 0:
		return next_random();
	case 1: /* a handle that may well be live */
	case 2:
	case 3:
		return (r & 0xf) | ((r >> 8 & 3) + 1) << 12;
	case 4:
	case 5:
		return (uint64_t)(uintptr_t)buffer + (r & 0xff8);
	case 6:
		return rt_info()->self;
	default:
		return values[(r & 0xffff) % ARRAY_SIZE(values)];
	}
}

static bool left_out(uint64_t call, const uint64_t *a)
{
	if (call == HVC_EXIT || call == HVC_LOG_WRITE)
		return true;
	if (call == HVC_HOST_POWER)
		return a[0] == HV_POWER_OFF || a[0] == HV_POWER_REBOOT;
	if (call == HVC_HEARTBEAT) /* it computes for a while */
		return a[0] >= HV_HEARTBEAT_MIN_NS && a[0] < 1ull << 40;
	/* These would take away what the test runs on. */
	if (call == HVC_BRK)
		return a[0] != 0 && a[0] > rt_info()->brk_start && a[0] < HV_VA_BRK_END;
	return call == HVC_MEM_UNMAP && a[0] >= HV_VA_BRK_END;
}

void garbage(unsigned n, uint64_t seed)
{
	state = seed | 1;
	for (unsigned i = 0; i < n; i++) {
		uint64_t call = next_random() % LAST_CALL, a[6];

		for (unsigned k = 0; k < 6; k++)
			a[k] = pick();
		if (next_random() % 64 == 0)
			call = next_random();
		if (next_random() % 8 == 0) {
			call += HVC_THEN_WAIT;
			a[5] = 0;
		}
		if (call == HVC_EVENT_WAIT)
			a[0] = 0;
		if (call == HVC_PCI_WRITE && a[0] < PCI_NOBODY)
			a[0] = PCI_NOBODY;
		if (call == HVC_HANDLE_CLOSE && a[0] == rt_info()->self)
			continue;
		for (unsigned k = 0; k < 16; k++)
			buffer[next_random() % ARRAY_SIZE(buffer)] = pick();
		if (!left_out(call % HVC_THEN_WAIT, a))
			(void)hv_raw(call, a[0], a[1], a[2], a[3], a[4], a[5]);
	}
}
