/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The paravirtual clock of KVM: a page that says how to turn the TSC into nanoseconds, and the wall-clock time at which
 * those began. The TSC runs native and hv's own clock is a fixed line through it, so every vCPU gets that same line:
 * tsc_base at 0 ns, tsc_mult per tick; a VM that was loaded (state.c) has both ends of it moved. It is exact, monotonic across
 * vCPUs (TSC_STABLE) and needs no upkeep.
 */
#include "hv/abi/hv_abi.h"
#include "hv/vm/vdev.h"

#define NS_PER_S 1000000000ull
#define SYSTEM_TIME_ENABLE 1u
#define CLOCK_TSC_STABLE 1u
#define CLOCK_GUEST_STOPPED 2u
enum { WALL_CLOCK_OLD = 0x11, WALL_CLOCK = 0x4b564d00 };

/* Linux Documentation/virt/kvm/x86/msr.rst. The version is odd while the rest changes. */
struct pvclock_time {
	uint32_t version;
	uint32_t pad0;
	uint64_t tsc_timestamp;
	uint64_t system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags;
	uint8_t pad[2];
};
_Static_assert(sizeof(struct pvclock_time) == 32, "KVM ABI");
struct pvclock_wall {
	uint32_t version, sec, nsec;
};
_Static_assert(sizeof(struct pvclock_wall) == 12, "KVM ABI");

static int write_versioned(struct vcpu *v, gpa_t gpa, uint32_t *version, void *record, size_t len)
{
	uint32_t odd = *version + 1, even = *version + 2;
	int rc = guest_phys_write(v->npt, gpa, &odd, sizeof(odd));

	if (rc)
		return rc;
	rc = guest_phys_write(v->npt, gpa + sizeof(odd), (uint32_t *)record + 1, len - sizeof(odd));
	if (rc)
		return rc;
	*version = even;
	return guest_phys_write(v->npt, gpa, &even, sizeof(even));
}

/* ns = (ticks << shift) * mul >> 32, with mul's top bit set for precision. */
static void scale(struct pvclock_time *t)
{
	uint64_t mul = tsc_mult;
	int shift = 0;

	for (; mul >> 32; mul >>= 1)
		shift++;
	for (; mul && !(mul >> 31); mul <<= 1)
		shift--;
	t->tsc_to_system_mul = (uint32_t)mul;
	t->tsc_shift = (int8_t)shift;
}

static int publish_time(struct vcpu *v, uint8_t flags)
{
	struct pvclock_time t = {.tsc_timestamp = tsc_base + v->vm->tsc_offset,
				 .system_time = v->vm->ns_offset,
				 .flags = flags};

	scale(&t);
	return write_versioned(v, v->clock_msr & ~(gpa_t)SYSTEM_TIME_ENABLE, &v->clock_version, &t,
			       sizeof(t));
}

/* Wall time when the guest's clock was 0. */
static int publish_wall(struct vcpu *v, gpa_t gpa)
{
	uint64_t ns = plat_boot_epoch * NS_PER_S - v->vm->ns_offset;
	struct pvclock_wall w = {.sec = (uint32_t)(ns / NS_PER_S),
				 .nsec = (uint32_t)(ns % NS_PER_S)};

	return write_versioned(v, gpa, &v->vm->clock_version, &w, sizeof(w));
}

static int time_write(struct vcpu *v, uint64_t value)
{
	uint64_t was = v->clock_msr;

	v->clock_msr = value;
	if (!(value & SYSTEM_TIME_ENABLE) || !publish_time(v, CLOCK_TSC_STABLE))
		return 0;
	v->clock_msr = was;
	return -HVE_INVAL;
}

static int wall_write(struct vcpu *v, uint64_t value)
{
	if (publish_wall(v, value))
		return -HVE_INVAL;
	v->vm->wall_msr = value;
	return 0;
}

int pvclock_msr(struct vcpu *v, uint32_t msr, bool write, uint64_t *value)
{
	bool wall = msr == WALL_CLOCK_OLD || msr == WALL_CLOCK;

	if (!write) {
		*value = wall ? v->vm->wall_msr : v->clock_msr;
		return 0;
	}
	return wall ? wall_write(v, *value) : time_write(v, *value);
}

/* After a pause: the guest's watchdogs are told that it stood still. It clears the flag itself. */
void pvclock_refresh(struct vcpu *v)
{
	if (!(v->clock_msr & SYSTEM_TIME_ENABLE))
		return;
	if (publish_time(v, CLOCK_TSC_STABLE | CLOCK_GUEST_STOPPED))
		v->clock_msr = 0; /* its memory is gone: no more updates */
}

void pvclock_reset(struct vm *vm)
{
	vm->wall_msr = 0;
	vm->clock_version = 0;
	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		vm->vcpus[i]->clock_msr = 0;
		vm->vcpus[i]->clock_version = 0;
	}
}
