/* SPDX-License-Identifier: BSD-2-Clause */
/* The operation layer's VMs against a fake hypervisor: lifecycle, errors at every step, nothing leaked. */
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

/* ---- a virtio console ---- */

static void test_virtio_console(void **state)
{
	static char big[CONSOLE_IN];
	struct vm_spec spec = spec_for("v");
	struct console_area *area;
	uint64_t next, lost;
	struct ops_error e;
	struct vm *vm;
	char text[16];

	(void)state;
	vm = running("w");
	assert_int_equal(fake_config()->console, 0);
	assert_int_equal(vm_console_input(vm, true, "x", 1, &e), -1);
	assert_int_equal(e.code, OPS_UNSUPPORTED);
	assert_int_equal(vm_stop(vm, &e), 0);
	spec.virtio_console = true;
	assert_int_equal(vm_define(&spec, &vm, &e), 0);
	assert_int_equal(hvc_read(&vm->hvc, 0, text, sizeof(text), &next, &lost), 0);
	assert_int_equal(vm_console_input(vm, true, "x", 1, &e), -1);
	assert_int_equal(e.code, OPS_WRONG_STATE);
	assert_int_equal(vm_start(vm, done, NULL, &e), 0);
	fake_loop();
	vmm_says(VMM_RUNNING, "");
	assert_int_equal(fake_config()->console, 1);
	area = vm->hvc.area;
	memcpy(area->out, "hello", 5);
	area->out_head = 5;
	assert_int_equal(hvc_read(&vm->hvc, 1, text, sizeof(text), &next, &lost), 4);
	assert_memory_equal(text, "ello", 4);
	assert_int_equal(next, 5);
	fake_posts();
	assert_int_equal(vm_console_input(vm, true, "ls\n", 3, &e), 0);
	fake_loop();
	assert_int_equal(fake_posts(), 1 << VMM_EVENT_IO);
	assert_int_equal(area->in_head, 3);
	assert_int_equal(vm_console_input(vm, true, big, sizeof(big), &e), -1);
	assert_int_equal(e.code, OPS_BUSY);
	assert_int_equal(vm_stop(vm, &e), 0);
	assert_int_equal(hvc_read(&vm->hvc, 0, text, sizeof(text), &next, &lost), 5); /* it stays */
	assert_int_equal(vm_start(vm, done, NULL, &e), 0);
	fake_loop();
	vmm_says(VMM_RUNNING, "");
	assert_int_equal(area->in_tail,
			 3); /* what was typed for the last run is not for this one */
	assert_ptr_equal(area, vm->hvc.area);
}

/* ---- define ---- */

static void refused(struct vm_spec spec, enum ops_code code, const char *field)
{
	struct ops_error e = {0};
	struct vm *vm;
	unsigned objects = fake_objects();

	assert_int_equal(vm_define(&spec, &vm, &e), -1);
	assert_int_equal(e.code, code);
	assert_string_equal(e.field, field);
	assert_true(strlen(e.text) > 5);
	assert_int_equal(fake_objects(), objects);
}

static void test_define_checks(void **state)
{
	struct vm_spec s;

	(void)state;
	s = spec_for("a/b");
	refused(s, OPS_INVALID, "name");
	s = spec_for("");
	refused(s, OPS_INVALID, "name");
	s = spec_for("01234567-89ab-4cde-8f01-23456789abcd");
	refused(s, OPS_INVALID, "name");
	s = spec_for("v");
	s.vcpus = 0;
	refused(s, OPS_INVALID, "vcpus");
	s.vcpus = 1000;
	refused(s, OPS_INVALID, "vcpus");
	s = spec_for("v");
	s.memory = 4096;
	refused(s, OPS_INVALID, "memory");
	s.memory = (64 << 20) + 1;
	refused(s, OPS_INVALID, "memory");
	s.memory = 1ull << 40;
	refused(s, OPS_INVALID, "memory");
	s = spec_for("v");
	s.weight = 0;
	refused(s, OPS_INVALID, "weight");
	s = spec_for("v");
	s.cap = 5000;
	refused(s, OPS_INVALID, "cap");
	s = spec_for("v");
	strcpy(s.kernel, "nothing");
	refused(s, OPS_INVALID, "boot.kernel");
	s = spec_for("v");
	strcpy(s.initrd, "nothing");
	refused(s, OPS_INVALID, "boot.initrd");
	s = spec_for("v");
	s.n_modules = 1;
	strcpy(s.modules[0].image, "initrd");
	refused(s, OPS_INVALID, "boot.modules");
	s.initrd[0] = '\0';
	strcpy(s.modules[0].image, "nothing");
	refused(s, OPS_INVALID, "boot.modules.0.image");
	define("v");
	refused(spec_for("v"), OPS_EXISTS, "name");
}

static void test_find(void **state)
{
	struct vm *a = define("a"), *b = define("b");
	char uuid[37];

	(void)state;
	assert_ptr_equal(vm_find("a"), a);
	assert_ptr_equal(vm_find("b"), b);
	assert_null(vm_find("c"));
	vm_uuid_text(b->uuid, uuid);
	assert_int_equal(uuid[14], '4');
	assert_non_null(strchr("89ab", uuid[19]));
	assert_ptr_equal(vm_find(uuid), b);
	for (char *c = uuid; *c; c++)
		if (*c >= 'a')
			*c -= 0x20;
	assert_ptr_equal(vm_find(uuid), b);
	assert_memory_not_equal(a->uuid, b->uuid, 16);
}

/* ---- start ---- */

static void test_start(void **state)
{
	struct vm *vm = running("v");
	const struct vmm_config *c = fake_config();
	struct ops_error e;

	(void)state;
	assert_int_equal(fake_vm()->mapped_low, (64 << 20) / 4096);
	assert_int_equal(fake_vm()->mapped_high, 0);
	assert_int_equal(fake_vm()->vcpus, 2);
	assert_int_equal(fake_vm()->weight, 100);
	assert_int_equal(c->ram_bytes, 64 << 20);
	assert_string_equal(c->name, "v");
	assert_string_equal(c->cmdline, "console=ttyS0");
	assert_int_equal(c->kernel.bytes, 8);
	assert_int_equal(c->n_modules, 1);
	assert_int_equal(c->modules[0].bytes, 9);
	assert_int_equal(c->epoch_at_zero_ns, 1700000000ull * 1000000000);
	assert_string_equal(vm->reason_code, "started");
	assert_int_equal(vm_start(vm, done, NULL, &e), -1);
	assert_int_equal(e.code, OPS_WRONG_STATE);
	assert_int_equal(image_delete("kernel", &e), -1);
	assert_int_equal(e.code, OPS_BUSY);
	assert_int_equal(vm_delete(vm, &e), -1);
	assert_int_equal(e.code, OPS_WRONG_STATE);
	assert_int_equal(vm_stop(vm, &e), 0);
	assert_int_equal(vm->state, VM_STOPPED);
	assert_null(fake_vm());
	assert_int_equal(vm_stop(vm, &e), -1);
	assert_int_equal(image_delete("kernel", &e), 0);
	assert_int_equal(vm_start(vm, done, NULL, &e), -1);
	assert_int_equal(e.code, OPS_MISSING_IMAGE);
	assert_string_equal(e.field, "boot.kernel");
}

static void test_start_big(void **state)
{
	struct vm_spec spec = spec_for("big");
	struct ops_error e;
	struct vm *vm;
	uint64_t low = HV_GPA_HOLE / HV_PAGE_SIZE;

	(void)state;
	fake_more_memory(3000000);
	spec.memory = 6ull << 30;
	assert_int_equal(vm_define(&spec, &vm, &e), 0);
	assert_int_equal(vm_start(vm, done, NULL, &e), 0);
	fake_loop();
	assert_int_equal(fake_vm()->mapped_low, low);
	assert_int_equal(fake_vm()->mapped_high, (6ull << 30) / 4096 - low);
	assert_int_equal(vm_stop(vm, &e), 0);
	assert_int_equal(done_count, 1);
	assert_int_equal(done_error.code, OPS_ABORTED);
	fake_loop();
}

/* Every hypercall on the way fails once: the same error path, nothing left. */
static void test_start_every_failure(void **state)
{
	struct vm *vm = define("v");
	struct ops_error e;
	unsigned objects = fake_objects(), handles = fake_handles();
	uint64_t pages = fake_free_pages();
	unsigned n = 0;

	(void)state;
	for (;;) {
		int r;

		done_count = 0;
		n++;
		fake_fail(n, n % 2 ? HVE_NOMEM : HVE_LIMIT);
		r = vm_start(vm, done, NULL, &e);
		fake_loop();
		if (!fake_failed())
			break;
		assert_int_equal(vm->state, VM_DEFINED);
		assert_int_equal(vm->pending, VM_IDLE);
		assert_null(vm->run);
		assert_int_equal(done_count, r ? 0 : 1);
		if (r == 0)
			e = done_error;
		assert_true(e.code == OPS_NO_MEMORY || e.code == OPS_LIMIT);
		assert_true(vm->start_error[0] != '\0');
		/* The console ring may have been made: it stays. */
		if (vm->console.mem && objects == fake_objects() - 1) {
			objects++;
			handles++;
			pages -= HV_CONSOLE_PAGES;
		}
		assert_int_equal(fake_objects(), objects);
		assert_int_equal(fake_handles(), handles);
		assert_int_equal(fake_free_pages(), pages);
	}
	assert_true(n > 30);
	fake_fail(0, 0);
	assert_int_equal(vm_stop(vm, &e), 0);
}

static void test_start_refusals(void **state)
{
	struct vm *vm = define("v");
	struct vm_spec spec = spec_for("big");
	struct ops_error e;

	(void)state;
	fake_no_virt("the CPU has no SVM");
	assert_int_equal(vm_start(vm, done, NULL, &e), -1);
	assert_int_equal(e.code, OPS_NO_VIRT);
	assert_non_null(strstr(e.text, "the CPU has no SVM"));
	fake_no_virt(NULL);
	spec.memory = (uint64_t)(PAGES - 10) * 4096;
	assert_int_equal(vm_define(&spec, &vm, &e), 0);
	assert_int_equal(vm_start(vm, done, NULL, &e), -1);
	assert_int_equal(e.code, OPS_NO_MEMORY);
	assert_string_equal(e.field, "memory");
	assert_int_equal(done_count, 0);
}

/* Two that fit one by one do not both pass the check before they have their memory. */
static void test_start_two(void **state)
{
	struct vm_spec spec = spec_for("a");
	struct ops_error e;
	struct vm *a, *b;

	(void)state;
	spec.memory = (uint64_t)(PAGES * 2 / 3) * 4096;
	assert_int_equal(vm_define(&spec, &a, &e), 0);
	strcpy(spec.name, "b");
	assert_int_equal(vm_define(&spec, &b, &e), 0);
	assert_int_equal(vm_start(a, done, NULL, &e), 0);
	assert_int_equal(vm_start(b, done, NULL, &e), -1);
	assert_int_equal(e.code, OPS_NO_MEMORY);
	fake_turn();
	assert_int_equal(vm_start(b, done, NULL, &e), -1);
	assert_int_equal(vm_stop(a, &e), 0); /* what was promised is free again */
	fake_loop();
	assert_int_equal(vm_start(b, done, NULL, &e), 0);
	fake_loop();
	vmm_says(VMM_RUNNING, "");
	assert_int_equal(b->state, VM_RUNNING);
}

static void test_bad_image(void **state)
{
	struct vm *vm = define("v");
	struct ops_error e;

	(void)state;
	assert_int_equal(vm_start(vm, done, NULL, &e), 0);
	assert_int_equal(vm_start(vm, done, NULL, &e), -1);
	assert_int_equal(e.code, OPS_BUSY);
	fake_loop();
	vmm_says(VMM_FAILED, "not a kernel\x01");
	assert_int_equal(done_count, 1);
	assert_int_equal(done_error.code, OPS_BAD_IMAGE);
	assert_string_equal(done_error.text, "not a kernel?");
	assert_int_equal(vm->state, VM_DEFINED);
	assert_string_equal(vm->start_error, "not a kernel?");
}

static void test_start_ends(void **state)
{
	struct vm *vm = define("v");
	struct ops_error e;

	(void)state;
	assert_int_equal(vm_start(vm, done, NULL, &e), 0);
	fake_turn();
	assert_int_equal(vm_stop(vm, &e), 0); /* while its memory grows */
	assert_int_equal(done_count, 1);
	assert_int_equal(done_error.code, OPS_ABORTED);
	fake_loop();
	assert_int_equal(vm_start(vm, done, NULL, &e), 0);
	fake_loop();
	fake_advance(31000000000ull);
	assert_int_equal(done_count, 2);
	assert_int_equal(done_error.code, OPS_TIMEOUT);
	assert_int_equal(vm_start(vm, done, NULL, &e), 0);
	fake_loop();
	for (unsigned i = 0; i < 3; i++) { /* the next tries again, up to a point */
		assert_int_equal(done_count, 2);
		fake_vmm_dies(14, "oh");
		fake_loop();
	}
	assert_int_equal(done_count, 3);
	assert_int_equal(done_error.code, OPS_INTERNAL);
	assert_int_equal(vm->state, VM_DEFINED);
}

/* ---- what happens to a running VM ---- */

static void test_crash(void **state)
{
	struct vm *a = running("a");
	struct vm *b;
	struct ops_error e;

	(void)state;
	fake_vm()->info.exits[HV_EXIT_CPUID] = 77;
	fake_vm_state(HV_VM_CRASHED, HV_VMR_TRIPLE_FAULT);
	fake_loop();
	assert_int_equal(a->state, VM_CRASHED);
	assert_string_equal(a->reason_code, "triple_fault");
	assert_null(fake_vm());
	assert_int_equal(vm_stats(a)->info.exits[HV_EXIT_CPUID], 77);
	assert_false(vm_stats(a)->live);
	assert_int_equal(vm_reset(a, done, NULL, &e), -1);
	b = running("b");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(b->state, VM_RUNNING);
		fake_advance(61000000000ull); /* seldom: it may for ever */
		fake_vmm_dies(14, "bad pointer");
		fake_loop();
	}
	fake_advance(61000000000ull);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(b->state, VM_RUNNING);
		fake_vmm_dies(14, "bad pointer");
		fake_loop();
	}
	assert_int_equal(b->state, VM_CRASHED);
	assert_string_equal(b->reason_code, "vmm_died");
	assert_non_null(strstr(b->reason, "bad pointer"));
	assert_non_null(strstr(b->reason, "exception 14"));
	assert_int_equal(vm_start(a, done, NULL, &e), 0);
	fake_loop();
	vmm_says(VMM_RUNNING, "");
	assert_int_equal(a->state, VM_RUNNING);
	fake_vm_state(HV_VM_CRASHED, 999); /* a reason nobody knows */
	fake_loop();
	assert_int_equal(a->state, VM_CRASHED);
}

static void test_power_off_and_reset(void **state)
{
	struct vm *vm = running("v");
	struct ops_error e;

	(void)state;
	(void)fake_posts();
	assert_int_equal(vm_shutdown(vm, &e), 0);
	assert_int_equal(fake_posts(), 1ull << VMM_EVENT_COMMAND);
	assert_int_equal(fake_config()->command, VMM_CMD_POWER_BUTTON);
	assert_int_equal(fake_config()->command_seq, 1);
	assert_int_equal(vm_reset(vm, done, NULL, &e), 0);
	assert_int_equal(fake_config()->command, VMM_CMD_RESET);
	assert_int_equal(fake_config()->command_seq, 2);
	assert_int_equal(vm_pause(vm, &e), -1);
	assert_int_equal(e.code, OPS_BUSY);
	fake_status()->resets = 1;
	vmm_says(VMM_RUNNING, "");
	assert_int_equal(done_count, 1);
	assert_int_equal(done_error.code, OPS_OK);
	assert_string_equal(vm->reason_code, "reset");
	fake_status()->resets = 2;
	vmm_says(VMM_RUNNING, "");
	assert_string_equal(vm->reason_code, "guest_reset");
	assert_int_equal(vm->state, VM_RUNNING);
	assert_int_equal(vm_reset(vm, done, NULL, &e), 0);
	fake_advance(31000000000ull);
	assert_int_equal(done_error.code, OPS_TIMEOUT);
	assert_int_equal(vm->state, VM_RUNNING);
	assert_int_equal(vm_reset(vm, done, NULL, &e), 0);
	fake_status()->resets = 3;
	vmm_says(VMM_FAILED, "image gone");
	assert_int_equal(done_error.code, OPS_ABORTED);
	assert_int_equal(vm->state, VM_CRASHED);
	assert_string_equal(vm->reason_code, "reset_failed");
	assert_int_equal(vm_start(vm, done, NULL, &e), 0);
	fake_loop();
	/* On and off before anybody looked. */
	vmm_says(VMM_OFF, "");
	assert_int_equal(done_error.code, OPS_OK);
	assert_int_equal(vm->state, VM_STOPPED);
	assert_string_equal(vm->reason_code, "guest_power_off");
}

static void test_pause(void **state)
{
	struct vm *vm = running("v");
	struct ops_error e;

	(void)state;
	assert_int_equal(vm_resume(vm, &e), -1);
	assert_int_equal(e.code, OPS_WRONG_STATE);
	assert_int_equal(vm_pause(vm, &e), 0);
	assert_int_equal(vm->state, VM_PAUSED);
	assert_int_equal(vm_pause(vm, &e), -1);
	assert_int_equal(vm_shutdown(vm, &e), -1);
	assert_int_equal(vm_test_crash(vm, &e), -1);
	assert_int_equal(vm_resume(vm, &e), 0);
	assert_int_equal(vm->state, VM_RUNNING);
	assert_int_equal(vm_test_crash(vm, &e), -1);
	assert_int_equal(e.code, OPS_INVALID);
	run_test_hooks = true;
	assert_int_equal(vm_test_crash(vm, &e), 0);
	assert_int_equal(fake_config()->command, VMM_CMD_TEST_CRASH);
	assert_int_equal(vm_pause(vm, &e), 0);
	assert_int_equal(vm_stop(vm, &e), 0); /* also from paused */
}

/* ---- console ---- */

static void test_console(void **state)
{
	struct vm *vm = define("v");
	static char big[HV_CONSOLE_RING + 100], out[HV_CONSOLE_RING];
	uint64_t next, lost;
	struct ops_error e;

	(void)state;
	assert_int_equal(console_read(&vm->console, 0, out, sizeof(out), &next, &lost), 0);
	assert_int_equal(next, 0);
	assert_int_equal(vm_start(vm, done, NULL, &e), 0);
	fake_loop();
	vmm_says(VMM_RUNNING, "");
	fake_console_write("hello", 5);
	assert_int_equal(console_read(&vm->console, 0, out, sizeof(out), &next, &lost), 5);
	assert_memory_equal(out, "hello", 5);
	assert_int_equal(next, 5);
	assert_int_equal(console_read(&vm->console, 3, out, sizeof(out), &next, &lost), 2);
	assert_memory_equal(out, "lo", 2);
	assert_int_equal(console_read(&vm->console, 1, out, 2, &next, &lost), 2);
	assert_int_equal(next, 3);
	assert_int_equal(console_read(&vm->console, 99, out, sizeof(out), &next, &lost), 0);
	assert_int_equal(next, 5);
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = 'z';
	fake_console_write(big, sizeof(big));
	assert_int_equal(console_read(&vm->console, 5, out, sizeof(out), &next, &lost),
			 HV_CONSOLE_RING);
	assert_int_equal(lost, 100);
	assert_int_equal(next, 5 + sizeof(big));
	assert_int_equal(out[HV_CONSOLE_RING - 1], 'z');
	assert_int_equal(vm_stop(vm, &e), 0);
	assert_int_equal(console_read(&vm->console, next - 1, out, 9, &next, &lost), 1);
	fake_loop();
}

static void test_console_input(void **state)
{
	struct vm *vm = running("v");
	static char big[CONSOLE_INPUT_MAX + 1];
	struct ops_error e;

	(void)state;
	assert_int_equal(vm_console_input(vm, false, "ls\n", 3, &e), 0);
	assert_int_equal(fake_vm()->input_len, 3);
	assert_memory_equal(fake_vm()->input, "ls\n", 3);
	assert_int_equal(vm_console_input(vm, false, big, sizeof(big), &e), -1);
	assert_int_equal(e.code, OPS_TOO_LARGE);
	fake_vm()->input_room = 10;
	memset(big, 'i', 30);
	assert_int_equal(vm_console_input(vm, false, big, 30, &e), 0);
	assert_int_equal(fake_vm()->input_len, 10);
	assert_int_equal(vm->console.input_len, 23);
	fake_advance(10000000);
	assert_int_equal(vm->console.input_len, 23);
	fake_vm()->input_room = 40;
	fake_advance(10000000);
	assert_int_equal(fake_vm()->input_len, 33);
	assert_int_equal(vm->console.input_len, 0);
	assert_int_equal(vm_stop(vm, &e), 0);
	assert_int_equal(vm_console_input(vm, false, "x", 1, &e), -1);
	assert_int_equal(e.code, OPS_WRONG_STATE);
}

static void test_mirror(void **state)
{
	char line[400];
	struct ops_error e;
	struct vm *vm;

	(void)state;
	mirror_select("v");
	running("other");
	fake_console_write("not seen\n", 9);
	fake_loop();
	vm = running("v");
	fake_log_clear();
	fake_console_write("one\r\ntw", 7);
	fake_loop();
	assert_string_equal(fake_log(), "[v] one\n");
	fake_console_write("o\n\x1b[2Jpart", 10);
	fake_loop();
	assert_string_equal(fake_log(), "[v] one\n[v] two\n");
	fake_advance(300000000);
	assert_string_equal(fake_log(), "[v] one\n[v] two\n[v] [2Jpart\n");
	fake_log_clear();
	memset(line, 'a', sizeof(line));
	line[399] = '\n';
	fake_console_write(line, sizeof(line));
	fake_loop();
	assert_true(strlen(fake_log()) > 399 + 2 * 5);
	fake_console_write("last words", 10);
	assert_int_equal(vm_stop(vm, &e), 0);
	fake_loop();
	assert_int_equal(vm_delete(vm, &e), 0);
	assert_non_null(strstr(fake_log(), "[v] last words\n"));
}

/* ---- boot modules and automatic start ---- */

static void test_module_names(void **state)
{
	static const struct {
		const char *string, *name;
	} rows[] = {
		{"/boot/vmlinuz quiet", "vmlinuz"},
		{"vmlinuz", "vmlinuz"},
		{"  (hd0,1)/a/b.img  name=initrd x", "initrd"},
		{"name=k /boot/x", "k"},
		{"/boot/", NULL},
		{"", NULL},
		{"x name=a/b", NULL},
		{"/a/sp%20", NULL},
	};
	char name[OPS_NAME_MAX];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(module_name(rows[i].string, name), rows[i].name != NULL);
		if (rows[i].name)
			assert_string_equal(name, rows[i].name);
	}
}

static void test_modules(void **state)
{
	struct hv_info *info = fake_info();
	struct image *image;
	struct ops_error e;

	(void)state;
	info->n_modules = 3;
	for (unsigned i = 0; i < 3; i++) {
		info->modules[i].mem = fake_module("abc", 3);
		info->modules[i].bytes = 3;
	}
	strcpy(info->modules[0].string, "/boot/m");
	strcpy(info->modules[1].string, "other name=m"); /* the name is taken */
	strcpy(info->modules[2].string, "///");
	modules_import();
	image = image_find("m");
	assert_non_null(image);
	assert_int_equal(image->source, IMAGE_BOOT_MODULE);
	assert_false(image->hashed);
	assert_int_equal(image_hash(image, done, NULL, &e), 0);
	assert_int_equal(image_hash(image, done, NULL, &e), 0);
	assert_int_equal(image_delete("m", &e), -1);
	fake_loop();
	assert_int_equal(done_count, 2);
	assert_true(image->hashed);
	assert_int_equal(image->sha256[0], 0xba); /* FIPS 180-2 B.1 */
	assert_int_equal(image->sha256[31], 0xad);
}

static void test_autostart(void **state)
{
	struct vm_spec spec = spec_for("one");
	struct ops_error e;
	struct vm *one, *two, *three;

	(void)state;
	spec.autostart = spec.from_boot = true;
	assert_int_equal(vm_define(&spec, &one, &e), 0);
	autostart_want(one);
	strcpy(spec.name, "two");
	assert_int_equal(vm_define(&spec, &two, &e), 0);
	autostart_want(two);
	strcpy(spec.name, "three");
	assert_int_equal(vm_define(&spec, &three, &e),
			 0); /* asked for now, not by a configuration */
	autostart_begin();
	fake_loop();
	assert_int_equal(one->pending, VM_STARTING);
	assert_int_equal(two->pending, VM_IDLE);
	vmm_says(VMM_FAILED, "no");
	fake_loop();
	assert_int_equal(one->state, VM_DEFINED);
	assert_int_equal(two->pending, VM_STARTING);
	vmm_says(VMM_RUNNING, "");
	assert_int_equal(two->state, VM_RUNNING);
	assert_int_equal(one->pending, VM_IDLE);
	assert_int_equal(three->state, VM_DEFINED);
	assert_false(one->starts || two->starts || three->starts);
}

/* The instance before ended when it had defined a VM and its images were not yet loaded. */
static void test_autostart_stored(void **state)
{
	struct vm_spec spec = spec_for("stored");
	struct ops_error e;
	struct vm *vm;

	(void)state;
	keep_init();
	spec.autostart = true;
	assert_int_equal(vm_define(&spec, &vm, &e), 0);
	autostart_want(vm);
	autostart_begin();
	fake_loop();
	assert_int_equal(vm->pending, VM_IDLE);
	assert_true(vm->starts);
	keep_lasting_set();
	autostart_begin();
	fake_loop();
	assert_int_equal(vm->pending, VM_STARTING);
}

/* What runs is not described anew, but for its start; and nothing that the next instance would take for damage. */
static void test_redefine(void **state)
{
	struct vm *vm = define("one");
	struct vm_spec spec = vm->spec;
	struct ops_error e;

	(void)state;
	spec.weight = 7;
	assert_int_equal(vm_redefine(vm, &spec, &e), 0);
	assert_int_equal(vm->spec.weight, 7);
	strcpy(spec.name, "two");
	assert_int_equal(vm_redefine(vm, &spec, &e), -1);
	spec = vm->spec;
	spec.weight = 0;
	assert_int_equal(vm_redefine(vm, &spec, &e), -1);
	assert_string_equal(e.field, "weight");
	assert_int_equal(vm_start(vm, NULL, NULL, &e), 0);
	fake_loop();
	vmm_says(VMM_RUNNING, "");
	spec = vm->spec;
	spec.weight = 8;
	assert_int_equal(vm_redefine(vm, &spec, &e), -1);
	assert_int_equal(e.code, OPS_WRONG_STATE);
	spec = vm->spec;
	spec.autostart = true;
	spec.autostart_delay_s = AUTOSTART_DELAY_MAX_S + 1;
	assert_int_equal(vm_redefine(vm, &spec, &e), -1);
	assert_string_equal(e.field, "autostart_delay_s");
	assert_false(vm->spec.autostart);
	spec.autostart_delay_s--;
	assert_int_equal(vm_redefine(vm, &spec, &e), 0);
	assert_true(vm->spec.autostart);
}

/* By order, not by definition; a delay is waited for; who was started by hand meanwhile is left alone. */
static void test_autostart_order(void **state)
{
	struct vm_spec spec = spec_for("last");
	struct vm *last, *first, *manual;
	struct ops_error e;

	(void)state;
	spec.autostart = spec.from_boot = true;
	spec.autostart_order = 9;
	assert_int_equal(vm_define(&spec, &last, &e), 0);
	strcpy(spec.name, "manual");
	spec.autostart_order = 5;
	assert_int_equal(vm_define(&spec, &manual, &e), 0);
	strcpy(spec.name, "first");
	spec.autostart_order = 1;
	spec.autostart_delay_s = 2;
	assert_int_equal(vm_define(&spec, &first, &e), 0);
	autostart_want(last);
	autostart_want(manual);
	autostart_want(first);
	autostart_begin();
	fake_loop();
	assert_int_equal(first->pending, VM_IDLE); /* its delay */
	fake_advance(1999999999);
	fake_loop();
	assert_int_equal(first->pending, VM_IDLE);
	fake_advance(1);
	fake_loop();
	assert_int_equal(first->pending, VM_STARTING);
	assert_int_equal(last->pending, VM_IDLE);
	vmm_says(VMM_FAILED, "no");
	fake_loop();
	assert_int_equal(manual->pending, VM_STARTING);
	vmm_says(VMM_FAILED, "no");
	fake_loop();
	assert_int_equal(last->pending, VM_STARTING);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_define_checks),
		T(test_virtio_console),
		T(test_find),
		T(test_start),
		T(test_start_every_failure),
		T(test_start_refusals),
		T(test_start_two),
		T(test_bad_image),
		T(test_start_ends),
		T(test_crash),
		T(test_power_off_and_reset),
		T(test_pause),
		T(test_console),
		T(test_console_input),
		T(test_mirror),
		cmocka_unit_test(test_module_names),
		T(test_modules),
		T(test_autostart),
		T(test_autostart_order),
		T(test_redefine),
		T(test_start_big),
		cmocka_unit_test_setup(test_autostart_stored,
				       setup), /* the last: it leaves a store */
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
