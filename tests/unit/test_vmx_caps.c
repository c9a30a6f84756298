/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/vcpu/vmx_caps.c
/* Which CPUs' VMX is taken, with which controls, and what is said of the others. Values as CPUs and emulators report them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "hv/vcpu/vmx_vmcs.h"

/* Skylake-X, as an emulator plays it: true controls, the APIC in the CPU, no posted interrupts. */
static const struct vmx_caps skylake = {
	.feature_control = 5,
	.basic = 0x00d810000000002bull,
	.pin = 0x0000007f00000016ull,
	.proc = 0xf7f9fffe04006172ull,
	.proc2 = 0x02177fff00000000ull,
	.exit = 0x007fffff00036dfbull,
	.entry = 0x0000ffff000011fbull,
	.ept_vpid = 0x00000f0106334141ull,
	.misc = 0x600401e5,
	.cr0_fixed0 = 0x80000021,
	.cr4_fixed0 = 0x2000,
};

static const char *choose(const struct vmx_caps *c, struct vmx_features *f)
{
	memset(f, 0, sizeof(*f));
	return vmx_caps_choose(c, f);
}

static void whole(void **s)
{
	struct vmx_features f;

	(void)s;
	assert_null(choose(&skylake, &f));
	assert_int_equal(f.revision, 0x2b);
	assert_int_equal(f.preemption_shift, 5);
	assert_true(f.apic && !f.posted && f.ept_1g && f.invept_one && f.invvpid_one &&
		    f.insn_info);
	assert_true(f.irq_leak);             /* these are Bochs' */
	assert_int_equal(f.eptp_bits, 0x5e); /* write-back, four levels, accessed and dirty */
	assert_int_equal(f.pin, 0x16 | PIN_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI | PIN_PREEMPTION);
	assert_int_equal(f.proc & (PROC_CR3_LOAD | PROC_CR3_STORE | PROC_TPR_SHADOW | PROC_INVLPG),
			 0);
	assert_int_equal(f.proc2, PROC2_EPT | PROC2_RDTSCP | PROC2_VPID | PROC2_WBINVD |
					  PROC2_UNRESTRICTED | PROC2_PAUSE_LOOP | PROC2_INVPCID);
	assert_int_equal(f.exit & EXIT_SAVE_PREEMPTION, EXIT_SAVE_PREEMPTION);
	assert_int_equal(f.entry & ENTRY_GUEST_64, 0);
}

/* Optional things are left out one by one; nothing is used that is not offered. */
static void without(void **s)
{
	struct vmx_caps c = skylake;
	struct vmx_features f;

	(void)s;
	c.pin = 0x0000003f00000016ull;
	c.ept_vpid &= ~(1ull << 21 | 1ull << 17 | 1ull << 25 | 1ull << 32);
	c.proc2 = (uint64_t)(PROC2_EPT | PROC2_UNRESTRICTED | PROC2_RDTSCP | PROC2_VPID) << 32;
	assert_null(choose(&c, &f));
	c.feature_control = 0; /* not locked: hv may */
	assert_null(choose(&c, &f));
	assert_int_equal(f.pin & PIN_PREEMPTION, 0);
	assert_int_equal(f.exit & EXIT_SAVE_PREEMPTION, 0);
	c = skylake;
	c.exit &= ~((uint64_t)EXIT_SAVE_PREEMPTION << 32);
	assert_null(choose(&c, &f));
	assert_int_equal(f.pin & PIN_PREEMPTION, 0);
	c.pin = 0x0000003f00000016ull;
	c.ept_vpid &= ~(1ull << 21 | 1ull << 17 | 1ull << 25 | 1ull << 32);
	c.proc2 = (uint64_t)(PROC2_EPT | PROC2_UNRESTRICTED | PROC2_RDTSCP | PROC2_VPID) << 32;
	assert_null(choose(&c, &f));
	assert_int_equal(f.proc2, PROC2_EPT | PROC2_UNRESTRICTED |
					  PROC2_RDTSCP); /* no VPID without INVVPID */
	assert_false(f.apic || f.ept_1g || f.invept_one);
	assert_int_equal(f.eptp_bits, 0x1e);
	c = skylake;
	c.pin |= (uint64_t)PIN_POSTED << 32;
	assert_null(choose(&c, &f));
	assert_true(f.posted);
	c.basic += 1; /* another revision */
	assert_null(choose(&c, &f));
	assert_true(f.apic && !f.irq_leak);
	c.proc &= ~((uint64_t)PROC_TPR_SHADOW << 32);
	assert_null(choose(&c, &f));
	assert_false(f.apic || f.posted);
}

static void says(struct vmx_caps c, const char *word)
{
	struct vmx_features f;
	const char *why = choose(&c, &f);

	assert_non_null(why);
	assert_non_null(strstr(why, word));
	assert_true(strlen(why) < 96);   /* fits into hv_host_info.virt_reason */
	assert_int_equal(f.revision, 0); /* untouched */
}

static void refused(void **s)
{
	struct vmx_caps c = skylake;

	(void)s;
	c.feature_control = FEATURE_LOCKED;
	says(c, "switched off and locked by the firmware");
	c.feature_control = FEATURE_LOCKED | 2; /* inside SMX only */
	says(c, "firmware");
	c = skylake;
	c.proc2 &= ~((uint64_t)PROC2_UNRESTRICTED << 32);
	says(c, "unrestricted guest");
	c.proc2 &= ~((uint64_t)PROC2_EPT << 32);
	says(c, "EPT");
	c = skylake;
	c.basic &= ~(1ull << 55);
	says(c, "EPT");
	c = skylake;
	c.proc &= ~((uint64_t)PROC_SECONDARY << 32);
	says(c, "EPT");
	c = skylake;
	c.ept_vpid &= ~(1ull << 26);
	says(c, "INVEPT");
	c = skylake;
	c.exit &= ~((uint64_t)EXIT_LOAD_EFER << 32);
	says(c, "control");
	c = skylake;
	c.proc |= PROC_CR3_LOAD; /* must be 1: every CR3 load would exit */
	says(c, "control");
	c = skylake;
	c.basic = (c.basic & ~(0xfull << 50)); /* uncached structures */
	says(c, "form");
	c = skylake;
	c.cr4_fixed0 |= 1ull << 40;
	says(c, "control register");
}

/* Any answer of a CPU: what is chosen is allowed. */
static void garbage(void **s)
{
	uint64_t r = 88172645463325252ull;
	unsigned taken = 0;

	(void)s;
	for (unsigned i = 0; i < 200000; i++) {
		struct vmx_caps c = skylake;
		uint64_t *words[] = {&c.pin, &c.proc, &c.proc2, &c.exit, &c.entry, &c.ept_vpid};
		struct vmx_features f;

		for (unsigned n = 0; n < 2; n++) {
			r ^= r << 13, r ^= r >> 7, r ^= r << 17;
			*words[r % 6] &= ~(1ull << (32 + (r >> 8) % 32));
			if (r % 6 < 5) /* what must be 1 may be 1 */
				*words[r % 6] |= *words[r % 6] << 32;
		}
		if (choose(&c, &f))
			continue;
		taken++;
		assert_int_equal(f.pin & ~(c.pin >> 32), 0);
		assert_int_equal(f.proc & ~(c.proc >> 32), 0);
		assert_int_equal(f.proc2 & ~(c.proc2 >> 32), 0);
		assert_int_equal(f.exit & ~(c.exit >> 32), 0);
		assert_int_equal(f.entry & ~(c.entry >> 32), 0);
	}
	assert_true(taken > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole),
		cmocka_unit_test(without),
		cmocka_unit_test(refused),
		cmocka_unit_test(garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
