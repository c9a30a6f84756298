/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM's memory while it runs: targets, what it is owed, and what it does when there is none. */
// SRC: tests/unit/fakehv.c
// SRC: ctrl-kernel/backend/ioqueue.c
// SRC: ctrl-kernel/backend/vdisk.c
// SRC: ctrl-kernel/backend/balloon.c
// SRC: ctrl-kernel/backend/vmio.c
// SRC: ctrl-kernel/ops/vmdisks.c
// SRC: ctrl-kernel/storage/memdisk.c
// SRC: ctrl-kernel/storage/request.c
// SRC: ctrl-kernel/ops/autostart.c
// SRC: ctrl-kernel/backend/netdev.c
// SRC: ctrl-kernel/rt/hex.c
// SRC: ctrl-kernel/ops/devices.c net/ipaddr.c
// SRC: ctrl-kernel/ops/error.c
// SRC: ctrl-kernel/ops/images.c
// SRC: ctrl-kernel/ops/keep.c
// SRC: ctrl-kernel/ops/stream.c
// SRC: ctrl-kernel/ops/upload.c
// SRC: ctrl-kernel/ops/host.c
// SRC: ctrl-kernel/ops/console.c
// SRC: ctrl-kernel/ops/hvc.c
// SRC: ctrl-kernel/ops/mirror.c
// SRC: ctrl-kernel/ops/start.c
// SRC: ctrl-kernel/ops/hotplug.c
// SRC: ctrl-kernel/ops/jobs.c
// SRC: ctrl-kernel/ops/save.c
// SRC: ctrl-kernel/ops/saved.c
// SRC: ctrl-kernel/ops/restore.c
// SRC: ctrl-kernel/ops/lifecycle.c
// SRC: ctrl-kernel/ops/vms.c
// SRC: ctrl-kernel/ops/networks.c ctrl-kernel/ops/network_nat.c ctrl-kernel/ops/network_table.c
// SRC: net/switch.c net/fdb.c net/packet.c net/checksum.c net/claim.c net/spoof.c net/frame.c net/dns.c net/nat.c net/nat_flow.c net/nat_packet.c net/dhcpd.c
// SRC: net/netconf.c
// SRC: ctrl-kernel/ops/modules.c
// SRC: build/deps/src/mbedtls/library/sha256.c
// SRC: build/deps/src/mbedtls/library/platform_util.c
// FLAGS: -isystem build/deps/src/mbedtls/include '-DMBEDTLS_CONFIG_FILE="ctrl-kernel/mbedtls_config.h"'
#include "tests/unit/vmops.h"

/* Its guest hears of a target while it runs, and from the start. */
static void test_memory_target(void **state)
{
	struct vm *vm = running("v");
	struct vm_spec spec = vm->spec;
	uint32_t changes = fake_config()->balloon_changes;
	struct ops_error e;

	(void)state;
	assert_int_equal(fake_config()->balloon_pages, 0);
	(void)fake_posts();
	spec.memory_target = spec.memory - 12 * 4096;
	assert_int_equal(vm_redefine(vm, &spec, &e), 0);
	fake_loop();
	assert_int_equal(fake_config()->balloon_pages, 12);
	assert_int_equal(fake_config()->balloon_changes, changes + 1);
	assert_int_equal(fake_posts(), 1ull << VMM_EVENT_IO);
	spec.memory_target = spec.memory + 4096;
	assert_int_equal(vm_redefine(vm, &spec, &e), -1);
	assert_string_equal(e.field, "memory_target");
	spec.memory_target = 4095;
	assert_int_equal(vm_redefine(vm, &spec, &e), -1);
	spec.memory_target = (1 << 20) + 1;
	assert_int_equal(vm_redefine(vm, &spec, &e), -1);
	spec.memory_target = 1 << 20;
	assert_int_equal(vm_redefine(vm, &spec, &e), 0);
	assert_int_equal(vm_stop(vm, &e), 0);
	assert_int_equal(vm_start(vm, NULL, NULL, &e), 0);
	fake_loop();
	assert_int_equal(fake_config()->balloon_pages, (spec.memory - (1 << 20)) / 4096);
	assert_int_equal(vm_stop(vm, &e), 0);
}

/* What a VM may take again is not another's; what its target leaves out is. */
static void test_memory_owed(void **state)
{
	struct vm *vm = running("v");
	struct vm_spec spec = vm->spec;
	uint64_t pages = spec.memory / 4096;
	struct ops_error e;

	(void)state;
	assert_int_equal(vms_owed_pages(), 0);
	fake_vm()->info.held_pages = pages - 500;
	assert_int_equal(vms_owed_pages(), 500);
	spec.memory_target = spec.memory - 300 * 4096;
	assert_int_equal(vm_redefine(vm, &spec, &e), 0);
	assert_int_equal(vms_owed_pages(), 200);
	spec.memory_target = spec.memory - 501 * 4096;
	assert_int_equal(vm_redefine(vm, &spec, &e), 0);
	assert_int_equal(vms_owed_pages(), 0);
	assert_int_equal(vm_stop(vm, &e), 0);
	assert_int_equal(vms_owed_pages(), 0);
}

static void test_out_of_memory(void **state)
{
	struct vm *vm = running("v");
	struct ops_error e;

	(void)state;
	fake_vm_state(HV_VM_PAUSED, HV_VMR_NO_MEMORY);
	fake_loop();
	assert_int_equal(vm->state, VM_PAUSED);
	assert_string_equal(vm->reason_code, "no_memory");
	assert_int_equal(vm_resume(vm, &e), 0);
	assert_int_equal(vm->state, VM_RUNNING);
	assert_int_equal(vm_stop(vm, &e), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_memory_target),
		T(test_memory_owed),
		T(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
