/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/vm/vlapic.c
// SRC: hv/vm/vlapic_irq.c
// SRC: hv/vm/vlapic_virt.c
// SRC: hv/vm/vlapic_ipi.c
// SRC: hv/vm/vlapic_timer.c
// SRC: hv/vm/vpic.c
// SRC: hv/vm/vioapic.c
// SRC: hv/vm/vpit.c
// SRC: hv/vm/vuart.c
// SRC: hv/vm/vdev.c
// SRC: hv/vm/cpuid.c
// SRC: hv/vm/msr.c
// SRC: hv/vm/pvclock.c
// SRC: hv/vm/pv.c
/* CPUID: nothing unknown is shown, the topology is consistent for 1 to 16 vCPUs, XSAVE sizes follow XCR0. */
#include "tests/unit/vdev_fakes.h"

/* A host with every bit set, as an AMD CPU with plausible numbers where they are numbers. */
static struct cpuid everything(uint32_t leaf, uint32_t sub)
{
	switch (leaf) {
	case 0:
		return (struct cpuid){0x20, 0x68747541, 0x444d4163, 0x69746e65};
	case 1:
		return (struct cpuid){0x00800f12, 0x05400800, ~0u, ~0u};
	case 7:
		return sub < 2 ? (struct cpuid){sub ? ~0u : 2, ~0u, ~0u, ~0u} : (struct cpuid){0};
	case 0xd:
		if (sub == 2)
			return (struct cpuid){256, 576, 0, 0};
		if (sub >= 5 && sub <= 7)
			return (struct cpuid){64u << (sub - 5), 832 + 256 * (sub - 5), 0, 0};
		return (struct cpuid){~0u, ~0u, ~0u, ~0u};
	case 0x80000000:
		return (struct cpuid){0x80000028, 0x68747541, 0x444d4163, 0x69746e65};
	case 0x80000008:
		return (struct cpuid){0x3930, ~0u, 0x701f, ~0u};
	case 4:
	case 0x8000001d:
		if (sub > 3)
			return (struct cpuid){0};
		return (struct cpuid){(0x3ffu << 22) | (sub < 2 ? 1 : sub) << 5 | 1, 0x01c0003f, 63,
				      0};
	default:
		return (struct cpuid){~0u, ~0u, ~0u, ~0u};
	}
}

static struct vm *cpuid_vm(unsigned n)
{
	fake_cpuid = everything;
	cpu_features.amd = cpu_features.xsave = cpu_features.pcid = true;
	cpu_features.xcr0_mask = 0x2e7;
	return fake_vm(n);
}

static struct cpuid ask(struct vcpu *v, uint32_t leaf, uint32_t sub)
{
	memset(v->gpr, 0xff, sizeof(v->gpr));
	v->gpr[HV_RAX] = leaf | 0xdead00000000;
	v->gpr[HV_RCX] = sub;
	vcpu_cpuid(v);
	for (int i = HV_RAX; i <= HV_RBX; i++) /* all four are zero-extended */
		assert_int_equal(v->gpr[i] >> 32, 0);
	return (struct cpuid){(uint32_t)v->gpr[HV_RAX], (uint32_t)v->gpr[HV_RBX],
			      (uint32_t)v->gpr[HV_RCX], (uint32_t)v->gpr[HV_RDX]};
}

static void hidden(void **s)
{
	struct vm *vm = cpuid_vm(2);
	struct vcpu *v = vm->vcpus[0];
	struct cpuid r;

	(void)s;
	r = ask(v, 1, 0);
	assert_int_equal(r.ecx & (1u << 3 | 1u << 5 | 1u << 2 | 1u << 15 | 1u << 27), 0);
	assert_int_equal(r.ecx & (1u << 21 | 1u << 24 | 1u << 31), 1u << 21 | 1u << 24 | 1u << 31);
	assert_int_equal(r.edx & (1u << 12 | 1u << 21 | 1u << 22 | 1u << 29), 0);
	r = ask(v, 7, 0);
	assert_int_equal(r.eax, 1);
	assert_int_equal(
		r.ebx & (1u << 1 | 1u << 2 | 1u << 4 | 1u << 11 | 1u << 12 | 1u << 14 | 1u << 25),
		0);
	assert_int_equal(
		r.ecx & (1u << 3 | 1u << 4 | 1u << 5 | 1u << 7 | 1u << 16 | 1u << 22 | 1u << 29),
		0);
	assert_int_equal(r.edx & (1u << 26 | 1u << 27 | 1u << 29 | 1u << 31 | 1u << 22 | 1u << 24),
			 0);
	assert_int_equal(ask(v, 7, 1).eax, 0x30);
	assert_int_equal(ask(v, 7, 2).ebx, 0);
	r = ask(v, 0x80000001, 0);
	assert_int_equal(r.ecx & (1u << 2 | 1u << 9 | 1u << 10 | 1u << 12 | 1u << 13 | 1u << 15 |
				  1u << 23 | 1u << 29),
			 0);
	assert_int_equal(r.edx >> 27 & 1, 1);
	for (unsigned leaf = 0; leaf <= 0x30; leaf++) {
		r = ask(v, leaf, 0);
		if (leaf == 3 || leaf == 5 || leaf == 8 || leaf == 9 || leaf == 0xa ||
		    leaf == 0xc || leaf > 0xd)
			assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
	}
	r = ask(v, 0x8000000a, 0);
	assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
	r = ask(v, 0x8000001f, 0);
	assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
	assert_int_equal(ask(v, 0x80000000, 0).eax, 0x8000001e);
	assert_int_equal(ask(v, 0x80000008, 0).ebx & ~5u, 0);
	assert_int_equal(ask(v, 0xffffffff, 0).eax, 0);
	assert_int_equal(ask(v, 0x7fffffff, 0).eax, 0);
	fake_vm_free(vm);
}

static void less_host(void **s)
{
	struct vm *vm;
	struct cpuid r;

	(void)s;
	fake_cpuid = everything;
	cpu_features = (struct cpu_features){.amd = true};
	vm = fake_vm(1);
	r = ask(vm->vcpus[0], 1, 0);
	assert_int_equal(r.ecx & (1u << 26 | 1u << 28 | 1u << 12 | 1u << 17), 0);
	assert_int_equal(r.edx & 1u << 28, 0); /* one vCPU: no HTT */
	r = ask(vm->vcpus[0], 7, 0);
	assert_int_equal(r.ebx & (1u << 5 | 1u << 16 | 1u << 10), 0);
	r = ask(vm->vcpus[0], 0xd, 0);
	assert_int_equal(r.eax | r.ebx | r.ecx, 0);
	assert_int_equal(ask(vm->vcpus[0], 0x80000007, 0).edx, 0);
	fake_vm_free(vm);
}

static void topology(void **s)
{
	(void)s;
	for (unsigned n = 1; n <= 16; n++) {
		struct vm *vm = cpuid_vm(n);
		unsigned shift = ask(vm->vcpus[0], 0xb, 1).eax;

		assert_true(1u << shift >= n && (n == 1 || 1u << (shift - 1) < n));
		for (unsigned i = 0; i < n; i++) {
			struct vcpu *v = vm->vcpus[i];
			struct cpuid r = ask(v, 1, 0);

			assert_int_equal(r.ebx >> 24, i);
			assert_int_equal(r.ebx >> 16 & 0xff, n);
			assert_int_equal(r.edx >> 28 & 1, n > 1);
			r = ask(v, 0xb, 0);
			assert_int_equal(r.eax, 0);
			assert_int_equal(r.ebx, 1);
			assert_int_equal(r.ecx, 0x100);
			assert_int_equal(r.edx, i);
			r = ask(v, 0xb, 1);
			assert_int_equal(r.ebx, n);
			assert_int_equal(r.ecx, 0x201);
			assert_int_equal(r.edx, i);
			r = ask(v, 0xb, 2);
			assert_int_equal(r.ebx, 0);
			assert_int_equal(r.ecx, 2);
			r = ask(v, 0x80000008, 0);
			assert_int_equal(r.ecx & 0xff, n - 1);
			assert_int_equal(r.ecx >> 12, shift);
			r = ask(v, 0x8000001e, 0);
			assert_int_equal(r.eax, i);
			assert_int_equal(r.ebx, i);
			assert_int_equal(r.ecx, 0);
			assert_int_equal(ask(v, 0x8000001d, 0).eax >> 14, 0);
			assert_int_equal(ask(v, 0x8000001d, 3).eax >> 14 & 0xfff, n - 1);
			assert_int_equal(ask(v, 0x8000001d, 4).eax, 0);
		}
		fake_vm_free(vm);
	}
}

static void intel_caches(void **s)
{
	struct vm *vm;

	(void)s;
	fake_cpuid = everything;
	cpu_features = (struct cpu_features){.intel = true};
	vm = fake_vm(6);
	assert_int_equal(ask(vm->vcpus[1], 4, 0).eax >> 26, 7);
	assert_int_equal(ask(vm->vcpus[1], 4, 0).eax >> 14 & 0xfff, 0);
	assert_int_equal(ask(vm->vcpus[1], 4, 3).eax >> 14 & 0xfff, 5);
	assert_int_equal(ask(vm->vcpus[1], 4, 4).eax, 0);
	fake_vm_free(vm);
}

static void xsave(void **s)
{
	struct vm *vm = cpuid_vm(1);
	struct vcpu *v = vm->vcpus[0];

	(void)s;
	v->fpu.xcr0 = 1;
	assert_int_equal(ask(v, 0xd, 0).eax, 0xe7);
	assert_int_equal(ask(v, 0xd, 0).ebx, 576);
	assert_int_equal(ask(v, 0xd, 0).ecx, 832 + 512 + 256);
	v->fpu.xcr0 = 7;
	assert_int_equal(ask(v, 0xd, 0).ebx, 832);
	v->fpu.cpu = 0; /* live in the registers: they count */
	fake_xcr0 = 0xe7;
	assert_int_equal(ask(v, 0xd, 0).ebx, 832 + 512 + 256);
	assert_int_equal(ask(v, 0xd, 1).eax, 1);
	assert_int_equal(ask(v, 0xd, 1).ebx, 0);
	assert_int_equal(ask(v, 0xd, 2).eax, 256);
	assert_int_equal(ask(v, 0xd, 9).eax, 0);
	assert_int_equal(ask(v, 0xd, 3).eax, 0);
	assert_int_equal(ask(v, 0xd, ~0u).eax, 0);
	fake_context.cr4 = CR4_OSXSAVE;
	assert_int_equal(ask(v, 1, 0).ecx >> 27 & 1, 1);
	fake_context.cr4 = 0;
	assert_int_equal(ask(v, 1, 0).ecx >> 27 & 1, 0);
	v->fpu.cpu = -1;
	fake_vm_free(vm);
}

static void paravirtual(void **s)
{
	struct vm *vm = cpuid_vm(1);
	struct vcpu *v = vm->vcpus[0];
	struct cpuid r = ask(v, 0x40000000, 0);
	char text[13] = "";

	(void)s;
	memcpy(text, &r.ebx, 4);
	memcpy(text + 4, &r.ecx, 4);
	memcpy(text + 8, &r.edx, 4);
	assert_memory_equal(text, "KVMKVMKVM\0\0\0", 12);
	assert_int_equal(r.eax, 0x40000010);
	assert_int_equal(ask(v, 0x40000001, 0).eax,
			 1u << 0 | 1u << 1 | 1u << 3 | 1u << 11 | 1u << 24);
	assert_int_equal(ask(v, 0x40000010, 0).eax, 1000000);
	assert_int_equal(ask(v, 0x40000010, 0).ebx, 1000000);
	r = ask(v, 0x40000100, 0);
	memcpy(text, &r.ebx, 4);
	memcpy(text + 4, &r.ecx, 4);
	memcpy(text + 8, &r.edx, 4);
	assert_string_equal(text, "SocleSocleSo");
	assert_int_equal(ask(v, 0x40000101, 0).ebx, 7);
	assert_int_equal(ask(v, 0x40000200, 0).eax, 0);
	fake_vm_free(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hidden),   cmocka_unit_test(less_host),
		cmocka_unit_test(topology), cmocka_unit_test(intel_caches),
		cmocka_unit_test(xsave),    cmocka_unit_test(paravirtual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
