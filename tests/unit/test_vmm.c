/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: ctrl-kernel/vmm/vm.c
// SRC: ctrl-kernel/vmm/hotplug.c
// SRC: ctrl-kernel/vmm/park.c
// SRC: ctrl-kernel/vmm/state.c
// SRC: ctrl-kernel/vmm/bus.c
// SRC: ctrl-kernel/vmm/pci.c
// SRC: ctrl-kernel/vmm/platform.c
// SRC: ctrl-kernel/vmm/rtc.c
// SRC: ctrl-kernel/vmm/tables.c
// SRC: ctrl-kernel/vmm/boot.c
// SRC: ctrl-kernel/vmm/linux.c
// SRC: ctrl-kernel/vmm/pvh.c
// SRC: ctrl-kernel/vmm/multiboot.c
// SRC: ctrl-kernel/vmm/elf.c
// SRC: ctrl-kernel/vmm/regs.c
// SRC: ctrl-kernel/vmm/guest.c
// SRC: ctrl-kernel/vmm/virtio/virtio.c
// SRC: ctrl-kernel/vmm/virtio/transport.c
// SRC: ctrl-kernel/vmm/virtio/virtqueue.c
// SRC: ctrl-kernel/vmm/virtio/balloon.c
// SRC: ctrl-kernel/vmm/virtio/blk.c
// SRC: ctrl-kernel/vmm/virtio/console.c
// SRC: ctrl-kernel/vmm/virtio/devices.c
// SRC: ctrl-kernel/vmm/virtio/io.c
// SRC: ctrl-kernel/vmm/virtio/net.c
// SRC: ctrl-kernel/vmm/virtio/rng.c
// SRC: ctrl-kernel/vmm/virtio/csprng.c
// SRC: ctrl-kernel/loop/loop.c
// SRC: ctrl-kernel/rt/fmt.c
// FLAGS: -fno-sanitize=address
/*
 * The vmm program against a made-up hypervisor: cold start, answers, reset, power-off, and a new instance that finds
 * what the old one left. Its mappings lie at fixed addresses, one of them in ASan's shadow: so this test runs
 * without ASan. The hypercalls that matter are noted in `trace`.
 */
#define _GNU_SOURCE
#include "tests/unit/vmm_image.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/vmm/vm.h"

enum { VM = 7, MEMS = 16, KERNEL = HV_SLOTS };
#define RAM (4 * MEBI)
#define IMAGE 8192u

const uint8_t dsdt_aml[64] = "DSDT";
const uint32_t dsdt_aml_bytes = sizeof(dsdt_aml);

static int mems[MEMS]; /* memory objects by handle */
static struct {
	uint64_t va, len;
} maps[32];
static unsigned n_maps, n_claims, posts;
static uint64_t claims[64], now = 1000;
static char trace[512], last_words[200];
static struct hv_vm_page *page;
static struct vmm_config *config;
static struct vmm_status *status_at_stop;
static uint32_t phase_at_stop, vm_state;
static jmp_buf died;

uint64_t rt_now(void)
{
	return now++;
}

void rt_log(const char *format, ...)
{
	(void)format;
}

void rt_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(last_words, sizeof(last_words), format, args);
	va_end(args);
	longjmp(died, 1);
}

const char *rt_strerror(int hve)
{
	(void)hve;
	return "an error";
}

static int64_t mem_map(unsigned mem, uint64_t off, uint64_t pages, uint64_t va, uint64_t prot)
{
	int p = PROT_READ | ((prot & HVP_WRITE) ? PROT_WRITE : 0);

	if (mmap((void *)va, pages * 4096, p, MAP_SHARED | MAP_FIXED_NOREPLACE, mems[mem],
		 (off_t)(off * 4096)) != (void *)va)
		return -HVE_EXIST;
	maps[n_maps].va = va;
	maps[n_maps++].len = pages * 4096;
	return 0;
}

static int64_t mem_unmap(uint64_t va, uint64_t pages)
{
	assert_true(n_maps > 0);
	assert_int_equal(munmap((void *)va, pages * 4096), 0);
	for (unsigned i = 0; i < n_maps; i++)
		if (maps[i].va == va)
			maps[i] = maps[--n_maps];
	return 0;
}

static int64_t claim(uint64_t base)
{
	for (unsigned i = 0; i < n_claims; i++)
		if (claims[i] == base)
			return -HVE_EXIST;
	claims[n_claims++] = base;
	return 0;
}

static int64_t unclaim(uint64_t base)
{
	for (unsigned i = 0; i < n_claims; i++)
		if (claims[i] == base) {
			claims[i] = claims[--n_claims];
			return 0;
		}
	return -HVE_NOENT;
}

static void note(const char *format, uint64_t a, uint64_t b, uint64_t c)
{
	size_t used = strlen(trace);

	snprintf(trace + used, sizeof(trace) - used, format, a, b, c);
}

static int64_t control(uint64_t what, uint64_t arg)
{
	if (what == HV_VMC_START)
		vm_state = HV_VM_RUNNING;
	if (what == HV_VMC_STOP) {
		vm_state = HV_VM_CRASHED;
		phase_at_stop = status_at_stop->phase;
	}
	note("control(%lu,%lu) ", what, arg, 0);
	return 0;
}

struct hv_result hv_raw(uint64_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			uint64_t f)
{
	struct hv_result r = {0, 0};

	(void)f;
	switch (n) {
	case HVC_HEARTBEAT:
		break;
	case HVC_VM_SLOT:
		assert_int_equal(a, VM);
		r.value = b;
		break;
	case HVC_MEM_MAP:
		r.status = mem_map((unsigned)a, b, c, d, e);
		break;
	case HVC_MEM_UNMAP:
		r.status = mem_unmap(a, b);
		break;
	case HVC_VM_CLAIM:
		r.status = claim(c);
		break;
	case HVC_VM_UNCLAIM:
		r.status = unclaim(c);
		break;
	case HVC_VCPU_SET:
		note("set(%lu,%#lx) ", b, ((const struct hv_vcpu_regs *)c)->rip, 0);
		break;
	case HVC_VM_CONTROL:
		r.status = control(b, c);
		break;
	case HVC_VM_INFO:
		*(struct hv_vm_info *)b = (struct hv_vm_info){.state = vm_state};
		break;
	case HVC_VM_RESET:
		vm_state = HV_VM_STOPPED;
		note("reset ", 0, 0, 0);
		break;
	case HVC_VCPU_RESUME:
		note("resume(%lu,%lu,%#lx) ", b, c, d & 0xff);
		page->mailbox[b].done = c;
		break;
	case HVC_VM_NOTIFY:
		assert_int_equal(a, VM);
		posts++;
		break;
	case HVC_VM_IRQ_LINE:
	case HVC_VM_MSI:
	case HVC_HANDLE_CLOSE:
		break;
	default:
		fail_msg("hypercall %lu", (unsigned long)n);
	}
	return r;
}

/* The object's memory as the test sees it. */
static void *object(unsigned mem, uint64_t bytes)
{
	mems[mem] = memfd_create("mem", 0);
	assert_int_equal(ftruncate(mems[mem], (off_t)bytes), 0);
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, mems[mem], 0);
}

/* A flat multiboot1 kernel, loaded to 2 MiB. */
static void kernel_make(uint8_t *k)
{
	put32(k, 0, 0x1badb002);
	put32(k, 4, 0x10000);
	put32(k, 8, 0u - 0x1badb002u - 0x10000u);
	put32(k, 12, 0x200000);
	put32(k, 16, 0x200000);
	put32(k, 28, 0x200040);
}

static struct hv_info *info;
static uint8_t *kernel;

static void instance_start(uint32_t instance)
{
	while (n_maps > 0)
		mem_unmap(maps[0].va, maps[0].len / 4096);
	memset(&the_vm, 0, sizeof(the_vm));
	trace[0] = 0;
	posts = 0;
	info->instance = instance;
	if (setjmp(died) == 0) {
		vm_attach();
		vm_start();
	} else {
		note("died ", 0, 0, 0);
	}
}

static int setup(void **state)
{
	(void)state;
	if (!info)
		info = mmap((void *)HV_VA_INFO, 4096, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	assert_ptr_equal(info, (void *)HV_VA_INFO);
	info->vm = VM;
	page = object(HV_SLOT_PAGE, 4096);
	config = object(HV_SLOT_CONFIG, VMM_CONFIG_PAGES * 4096);
	status_at_stop = object(HV_SLOT_SURVIVOR, VMM_SURVIVOR_PAGES * 4096);
	(void)object(HV_SLOT_RAM, RAM);
	(void)object(HV_SLOT_IO, 4096);
	kernel = object(KERNEL, IMAGE);
	kernel_make(kernel);
	config->version = VMM_CONFIG_VERSION;
	config->vcpus = 2;
	config->ram_bytes = RAM;
	config->io_pages = 1;
	config->kernel.mem = KERNEL;
	config->kernel.bytes = IMAGE;
	n_claims = 0;
	vm_state = HV_VM_STOPPED;
	return 0;
}

static void scan(void)
{
	park_scan(NULL);
	loop_last_call_now(); /* the loop's, at the end of the turn */
}

static void guest_access(unsigned vcpu, uint32_t access, uint64_t addr, uint64_t value)
{
	struct hv_mailbox *m = &page->mailbox[vcpu];

	trace[0] = 0;
	m->access = access;
	m->width = 1;
	m->addr = addr;
	m->value = value;
	m->seq++;
	scan();
}

static void test_cold_start(void **state)
{
	(void)state;
	instance_start(1);
	assert_string_equal(trace, "set(0,0x200040) control(1,0) ");
	assert_int_equal(the_status->phase, VMM_RUNNING);
	assert_int_equal(the_status->boot_kind, 3);
	assert_true(the_status->started_ns > 0);
	assert_int_equal(the_vm.state->boot, BOOT_DONE);
	assert_int_equal(posts, 1);
	assert_int_equal(n_claims, 8);
	assert_memory_equal((uint8_t *)VMM_RAM_VA + 0x200000, kernel, IMAGE);
	assert_memory_equal((uint8_t *)VMM_RAM_VA + 0xe0000, "RSD PTR ", 8);
	for (unsigned i = 0; i < n_maps; i++) /* the image is not mapped any more */
		assert_true(maps[i].va <= VMM_RAM_VA);
}

static void test_answers(void **state)
{
	(void)state;
	instance_start(1);
	guest_access(1, HV_PIO_READ, 0x92, 0);
	assert_string_equal(trace, "resume(1,1,0x2) ");
	guest_access(0, HV_PIO_READ, 0x64, 0);
	assert_string_equal(trace, "resume(0,1,0xff) ");
	trace[0] = 0;
	scan(); /* nobody waits */
	assert_string_equal(trace, "");
	page->mailbox[0].seq++;
	page->mailbox[1].seq++;
	scan();
	assert_string_equal(trace, "resume(0,2,0xff) resume(1,2,0x2) ");
}

static void test_reset(void **state)
{
	(void)state;
	instance_start(1);
	((uint8_t *)VMM_RAM_VA)[0x200000] = 0; /* the guest wrote over its image */
	guest_access(0, HV_PIO_WRITE, 0xcf9, 6);
	assert_string_equal(trace, "reset set(0,0x200040) control(1,0) ");
	assert_int_equal(the_status->resets, 1);
	assert_int_equal(the_status->phase, VMM_RUNNING);
	assert_int_equal(((uint8_t *)VMM_RAM_VA)[0x200000], kernel[0]);
	page->mailbox[0].done = page->mailbox[0].seq; /* as hv does in a reset */
	guest_access(0, HV_PIO_WRITE, 0xcf9, 6);      /* once more: the latch was cleared */
	assert_int_equal(the_status->resets, 2);
}

static void test_power_off(void **state)
{
	(void)state;
	instance_start(1);
	guest_access(0, HV_PIO_WRITE, 0x605, 0x34);
	assert_string_equal(trace, "control(4,7) ");
	assert_int_equal(phase_at_stop, VMM_OFF); /* the reason stood there before the stop */
	instance_start(2);
	assert_string_equal(trace, ""); /* stays off */
	assert_int_equal(posts, 1);     /* perhaps nobody was told */
}

/* The vmm died between saying so and stopping the VM: the access that asked for it is carried out again. */
static void test_died_while_switching_off(void **state)
{
	(void)state;
	instance_start(1);
	guest_access(0, HV_PIO_WRITE, 0x605, 0x34);
	vm_state = HV_VM_RUNNING;
	page->mailbox[0].done = page->mailbox[0].seq - 1;
	instance_start(2);
	assert_int_equal(the_status->phase, VMM_RUNNING);
	scan();
	assert_string_equal(trace, "control(4,7) ");
	assert_int_equal(the_status->phase, VMM_OFF);
}

static void test_new_instance(void **state)
{
	(void)state;
	instance_start(1);
	guest_access(0, HV_PIO_WRITE, 0x70, 0x50);
	guest_access(0, HV_PIO_WRITE, 0x71, 0xab);
	page->mailbox[0].access = HV_PIO_READ; /* parked when the vmm died */
	page->mailbox[0].seq++;
	instance_start(2);
	assert_string_equal(trace, ""); /* the guest runs on: nothing is set or started */
	assert_int_equal(the_status->phase, VMM_RUNNING);
	assert_int_equal(n_claims, 8);
	scan();
	assert_string_equal(trace, "resume(0,3,0xab) ");
}

static void test_died_while_booting(void **state)
{
	(void)state;
	instance_start(1);
	the_vm.state->boot = BOOT_NEEDED;
	instance_start(2);
	assert_string_equal(trace, "reset set(0,0x200040) control(1,0) ");
	assert_int_equal(the_vm.state->boot, BOOT_DONE);
}

/* Around starting the VM: where it was started, the guest has run. */
static void test_died_while_starting(void **state)
{
	(void)state;
	instance_start(1);
	the_vm.state->boot = BOOT_READY;
	the_status->phase = VMM_STARTING;
	instance_start(2);
	assert_string_equal(trace, "");
	assert_int_equal(the_vm.state->boot, BOOT_DONE);
	assert_int_equal(the_status->phase, VMM_RUNNING);
	the_vm.state->boot = BOOT_READY;
	the_status->phase = VMM_STARTING;
	vm_state = HV_VM_STOPPED;
	instance_start(3);
	assert_string_equal(trace, "reset set(0,0x200040) control(1,0) ");
	assert_int_equal(the_vm.state->boot, BOOT_DONE);
}

/* Between starting the VM and saying so. */
static void test_died_before_telling(void **state)
{
	(void)state;
	instance_start(1);
	the_status->phase = VMM_STARTING;
	the_status->started_ns = 0;
	instance_start(2);
	assert_string_equal(trace, "");
	assert_int_equal(the_status->phase, VMM_RUNNING);
	assert_true(the_status->started_ns > 0);
	assert_int_equal(posts, 1);
}

/* Before it had left anything; but nothing where a VM runs is something gone. */
static void test_died_at_once(void **state)
{
	(void)state;
	instance_start(2);
	assert_string_equal(trace, "reset set(0,0x200040) control(1,0) ");
	assert_int_equal(the_status->phase, VMM_RUNNING);
	memset(status_at_stop, 0, VMM_SURVIVOR_PAGES * 4096);
	instance_start(3);
	assert_string_equal(trace, "");
	assert_int_equal(the_status->phase, VMM_BAD_STATE);
	assert_contains(the_status->text, "no device state");
}

/* The first vmm of a VM whose pages come from a file: a guest that has booted is there, or nonsense. */
static void test_restored(void **state)
{
	(void)state;
	instance_start(1);
	vm_state = HV_VM_STOPPED;
	instance_start(1);
	assert_string_equal(trace, "");
	assert_int_equal(the_status->phase, VMM_RUNNING);
	assert_int_equal(posts, 1);
	the_vm.state->pci.config[1][0] = 0x36;
	instance_start(1);
	assert_string_equal(trace, "");
	assert_int_equal(the_status->phase, VMM_BAD_STATE);
	assert_contains(the_status->text, "nobody can write");
	assert_int_equal(posts, 1);
}

static void test_bad_state_is_told(void **state)
{
	(void)state;
	instance_start(1);
	the_vm.state->rtc.index = 0xff;
	for (uint32_t n = 2; n < 4; n++) {
		instance_start(n);
		assert_string_equal(trace, "");
		assert_int_equal(the_status->phase, VMM_BAD_STATE);
		assert_contains(the_status->text, "cannot be used: the CMOS index");
		assert_int_equal(posts, 1);
	}
}

/* Whatever stands in the survivor pages: it is refused, or every access to every device stays within its bounds (UBSan). */
static void test_random_state(void **state)
{
	uint64_t r = 88172645463325252ull;
	unsigned refused = 0;

	(void)state;
	for (unsigned n = 0; n < 3000; n++) {
		uint8_t *at;

		n_claims = 0;
		memset(status_at_stop, 0, VMM_SURVIVOR_PAGES * 4096);
		vm_state = HV_VM_STOPPED;
		instance_start(1);
		at = (uint8_t *)the_vm.state;
		for (unsigned i = 0; i < 4; i++) {
			r ^= r << 13, r ^= r >> 7, r ^= r << 17;
			if (r % 4)
				at[(r >> 16) % offsetof(struct vmm_state, pci)] = (uint8_t)(r >> 8);
		}
		instance_start(2);
		if (the_status->phase == VMM_BAD_STATE) {
			assert_string_equal(trace, ""); /* the guest is not touched */
			refused++;
			continue;
		}
		virtio_resume(&the_vm);
		for (unsigned reg = 0; reg < 256; reg += 4)
			guest_access(0, HV_MMIO_READ, HV_GPA_ECAM + (1 << 15) + reg, 0);
		for (uint64_t port = 0x70; port < 0x72; port++)
			guest_access(0, HV_PIO_READ, port, 0);
		for (uint64_t port = 0xcf8; port < 0xd00; port++)
			guest_access(0, HV_PIO_READ, port, 0);
		guest_access(0, HV_PIO_WRITE, 0x71, r & 0xff);
	}
	assert_in_range(refused, 500, 2500);
}

static void test_bad_image(void **state)
{
	(void)state;
	memset(kernel, 'x', IMAGE);
	instance_start(1);
	assert_string_equal(trace, "");
	assert_int_equal(the_status->phase, VMM_FAILED);
	assert_contains(the_status->text, "no known kind");
	assert_int_equal(posts, 1);
	kernel_make(kernel);
	instance_start(2);
	assert_string_equal(trace, ""); /* what failed stays failed */
}

static void test_bad_config(void **state)
{
	(void)state;
	config->version = VMM_CONFIG_VERSION + 1;
	instance_start(1);
	assert_string_equal(trace, "died ");
	assert_contains(last_words, "another version");
	config->version = VMM_CONFIG_VERSION;
	config->vcpus = HV_VCPUS_MAX + 1;
	instance_start(1);
	assert_string_equal(trace, "died ");
	config->vcpus = 1;
	config->n_modules = VMM_MODULES_MAX + 1;
	instance_start(1);
	assert_int_equal(the_status->phase, VMM_FAILED);
	assert_contains(the_status->text, "9 modules");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_cold_start, setup),
		cmocka_unit_test_setup(test_answers, setup),
		cmocka_unit_test_setup(test_reset, setup),
		cmocka_unit_test_setup(test_power_off, setup),
		cmocka_unit_test_setup(test_new_instance, setup),
		cmocka_unit_test_setup(test_died_while_booting, setup),
		cmocka_unit_test_setup(test_died_while_switching_off, setup),
		cmocka_unit_test_setup(test_died_while_starting, setup),
		cmocka_unit_test_setup(test_died_before_telling, setup),
		cmocka_unit_test_setup(test_died_at_once, setup),
		cmocka_unit_test_setup(test_restored, setup),
		cmocka_unit_test_setup(test_bad_state_is_told, setup),
		cmocka_unit_test_setup(test_random_state, setup),
		cmocka_unit_test_setup(test_bad_image, setup),
		cmocka_unit_test_setup(test_bad_config, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
