/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vmm program: attach to the VM and start it, then answer its parked accesses and the control kernel's
 * commands for ever. vm.c has the devices and the boot; park.c the accesses.
 */
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/rt/fmt.h"
#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/rt/rt.h"
#include "ctrl-kernel/vmm/pace.h"
#include "ctrl-kernel/vmm/vm.h"

#include <stddef.h>
#include <string.h>

int main(void);

/* For the test that a vmm's crash is its VM's matter only. */
static void test_crash(void)
{
	if (the_vm.config->test_hooks)
		*(volatile uint64_t *)(VMM_IO_VA / 2) = 0; /* nothing is ever mapped there */
}

static uint64_t next_random(uint64_t *x) /* xorshift64 */
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* A bit, a byte, a word, or a stretch of up to 64 bytes becomes something else. */
static void corrupt(uint8_t *at, size_t size, uint64_t seed)
{
	static const uint8_t lengths[] = {1, 1, 8, 64};
	uint64_t x = seed * 0x9e3779b97f4a7c15ull, r = (next_random(&x), next_random(&x));
	size_t start = r % size, len = lengths[r >> 32 & 3];

	if ((r >> 32 & 3) == 0) {
		at[start] ^= (uint8_t)(1u << (r >> 40 & 7));
		return;
	}
	for (size_t i = start; i < size && i < start + len; i++)
		at[i] = (uint8_t)next_random(&x);
}

/* ... and that state which makes no sense is not taken over. Of the state mostly what is neither PCI nor virtio, which
 * is the most. */
static void test_state(uint32_t seed)
{
	struct vmm_state *s = the_vm.state;

	if (!the_vm.config->test_hooks)
		return;
	rt_log("VM %s: survivor pages are corrupted, seed %u", the_vm.config->name, seed);
	if (seed == 0)
		memset(s, 0xa5, sizeof(*s));
	else if (seed % 4 == 0)
		corrupt((uint8_t *)the_status, sizeof(*the_status), seed);
	else if (seed % 8 == 1)
		corrupt((uint8_t *)&s->virtio, sizeof(s->virtio), seed);
	else
		corrupt((uint8_t *)s,
			seed % 8 == 5 ? offsetof(struct vmm_state, virtio)
				      : offsetof(struct vmm_state, pci.config),
			seed);
	test_crash();
}

/* For measuring what a doorbell costs: nothing listens behind them. */
enum test_doorbell { TEST_DOORBELL_PORT = 0x5c0, TEST_DOORBELL_MMIO = 0xfed90000, TEST_BIT = 63 };

static void test_doorbells(void)
{
	if (!the_vm.config->test_hooks)
		return;
	(void)hv_vm_claim(rt_info()->vm, HV_SPACE_PIO, TEST_DOORBELL_PORT, 4, HV_CLAIM_DOORBELL,
			  TEST_BIT);
	(void)hv_vm_claim(rt_info()->vm, HV_SPACE_MMIO, TEST_DOORBELL_MMIO, HV_PAGE_SIZE,
			  HV_CLAIM_DOORBELL, TEST_BIT);
}

/* Taken before any of the queues is looked at: what rings after that rings again. The test's bell stays as it is, so that it
 * rings once. */
static void doorbells_take(void *unused)
{
	static struct pace pace;
	uint64_t word = __atomic_fetch_and(&the_page->doorbells, 1ull << TEST_BIT,
					   __ATOMIC_SEQ_CST);

	(void)unused;
	if (the_status->phase != VMM_RUNNING)
		return;
	(void)virtio_requests();
	virtio_doorbells(word);
	the_page->patience_ns = pace_next(&pace, virtio_requests());
}

/* Something of the I/O area has come back, or ctrl has changed something about a device. A reset may have waited for it. */
static void io_take(void *unused)
{
	(void)unused;
	if (the_status->phase > VMM_RUNNING)
		return;
	virtio_io();
	hotplug_sync(&the_vm);
	vm_boot_go_on();
}

/* ---- standing still while the VM is saved ---- */

static void nothing(void *unused)
{
	(void)unused;
}

static void on_guest(loop_fn park, loop_fn bells, loop_fn io)
{
	loop_bit_free(VMM_EVENT_PARK);
	loop_bit_free(VMM_EVENT_DOORBELL);
	loop_bit_free(VMM_EVENT_IO);
	loop_bit_set(VMM_EVENT_PARK, park, NULL);
	loop_bit_set(VMM_EVENT_DOORBELL, bells, NULL);
	loop_bit_set(VMM_EVENT_IO, io, NULL);
}

/* Between two events nothing is half-done; from here on nothing is begun. */
static void be_quiet(uint32_t seq)
{
	the_vm.quiet = true;
	on_guest(nothing, nothing, nothing);
	loop_last_call_now();
	the_status->quiet = seq;
	vm_tell();
}

/* With what came meanwhile, or was meant for the instance before. */
static void go_on(void)
{
	static bool resumed;

	the_vm.quiet = false;
	the_status->quiet = 0;
	on_guest(park_scan, doorbells_take, io_take);
	doorbells_take(NULL); /* a bell that is still set is not announced again */
	if (the_status->phase == VMM_RUNNING && !resumed)
		virtio_resume(&the_vm);
	else if (the_status->phase == VMM_RUNNING)
		virtio_doorbells(~0ull);
	resumed = true;
	io_take(NULL);
	park_scan(NULL);
}

/* Done is noted first: a command is carried out once at most, also when it kills us. */
static void command_take(void *unused)
{
	uint32_t seq = __atomic_load_n(&the_vm.config->command_seq, __ATOMIC_ACQUIRE);
	uint32_t command = the_vm.config->command;

	(void)unused;
	if (state_command(seq) == the_vm.state->command_done)
		return;
	the_vm.state->command_done = state_command(seq);
	if (the_status->phase != VMM_RUNNING)
		return;
	switch (command & ((1u << VMM_CMD_BITS) - 1)) {
	case VMM_CMD_POWER_BUTTON:
		platform_power_button(&the_vm);
		break;
	case VMM_CMD_RESET:
		vm_carry_out(VM_REQ_RESET);
		break;
	case VMM_CMD_QUIET:
		be_quiet(seq);
		break;
	case VMM_CMD_GO:
		go_on();
		break;
	case VMM_CMD_TEST_CRASH:
		test_crash();
		break;
	case VMM_CMD_TEST_STATE:
		test_state(command >> VMM_CMD_BITS);
		break;
	}
}

static void name_set(void)
{
	char name[24];

	rt_snprintf(name, sizeof(name), "vm %s", the_vm.config->name);
	rt_name_set(name);
}

int main(void)
{
	loop_long_turn();
	vm_attach();
	test_doorbells();
	vm_start();
	name_set();
	loop_bit_set(VMM_EVENT_COMMAND, command_take, NULL);
	if (the_vm.config->command == VMM_CMD_QUIET)
		be_quiet(the_vm.config->command_seq); /* the instance before died meanwhile */
	else
		go_on();
	command_take(NULL);
	loop_run();
}
