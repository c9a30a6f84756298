/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks of the VM calls with a guest of a few bytes of real-mode code, and a child program as its vmm. The guest also
 * takes the time of its exits by the TSC; under -icount that is instructions.
 */
#include "tests/prog/hctest.h"

#include "hv/abi/hv_state.h"

#define STATE_BIT 4u
#define CONSOLE_BIT 5u
#define DEATH_BIT 7u
#define SECOND 1000000000ull
#define RAM_PAGES 512u
#define RAM_VA 0x300000000ull
#define CODE_AT 0x1000u
#define TIMES_AT 0x2000u /* pairs of TSC values */
#define ANSWER_AT 0x2100u
#define ROUNDS 1000u
#define PORT_PARK 0x510u
#define PORT_BELL 0x530u

/* Ports: nobody, parked, doorbell; CPUID. Then HLT with interrupts off, which ends the VM. */
extern const uint8_t guest_code[], guest_code_end[];
__asm__(".pushsection .rodata\n"
	".code16\n"
	".macro TIME\n"
	"	mov %edx, %ebp\n"
	"	rdtsc\n"
	"	mov %eax, (%di)\n"
	"	mov %ebp, %edx\n"
	"	add $8, %di\n"
	".endm\n"
	".macro LOOP what:vararg\n"
	"	mov $1000, %ecx\n"
	"	TIME\n"
	"1:	\\what\n"
	"	dec %ecx\n"
	"	jnz 1b\n"
	"	TIME\n"
	".endm\n"
	".macro CPUID_KEEP\n"
	"	mov %ecx, %esi\n"
	"	xor %eax, %eax\n"
	"	cpuid\n"
	"	mov %esi, %ecx\n"
	"	mov $0x530, %dx\n"
	".endm\n"
	"guest_code:\n"
	"	mov $0x2000, %di\n"
	"	mov $0x520, %dx\n"
	"	LOOP inl %dx, %eax\n"
	"	mov $0x510, %dx\n"
	"	LOOP inl %dx, %eax\n"
	"	mov $0x510, %dx\n"
	"	inl %dx, %eax\n"
	"	mov %eax, 0x2100\n"
	"	mov $0x530, %dx\n"
	"	LOOP outl %eax, %dx\n"
	"	LOOP CPUID_KEEP\n"
	"	cli\n"
	"	hlt\n"
	"guest_code_end:\n"
	".code64\n"
	".popsection\n");

static void real_mode(struct hv_vcpu_regs *r)
{
	memset(r, 0, sizeof(*r));
	for (unsigned i = 0; i < HV_SEGS; i++)
		r->seg[i] = (struct hv_segment){.limit = 0xffff, .attr = 0x93};
	r->seg[HV_CS].attr = 0x9b;
	r->seg[HV_LDTR].attr = 0x82;
	r->seg[HV_TR].attr = 0x8b;
	r->gdt_limit = r->idt_limit = 0xffff;
	r->cr0 = 0x10;
	r->rflags = 2;
	r->rip = CODE_AT;
	r->runnable = 1;
}

static uint32_t console;

static struct hv_vm_create good_vm(void)
{
	return (struct hv_vm_create){.vcpus = 2,
				     .weight = 100,
				     .console = console,
				     .state_bit = STATE_BIT,
				     .console_bit = CONSOLE_BIT,
				     .name = "test"};
}

static uint32_t make_console(void)
{
	uint64_t h = 0, now;

	CHECK(hv_mem_create(HVM_HV, &h), 0);
	CHECK(hv_mem_grow((uint32_t)h, HV_CONSOLE_PAGES, &now), 0);
	return (uint32_t)h;
}

static void check_create(void)
{
	struct hv_vm_create c = good_vm();
	uint64_t h = 0;

	CHECK(hv_vm_create((void *)0x1000, &h), -HVE_FAULT);
	c.vcpus = 0;
	CHECK(hv_vm_create(&c, &h), -HVE_INVAL);
	c.vcpus = HV_VCPUS_MAX + 1;
	CHECK(hv_vm_create(&c, &h), -HVE_INVAL);
	c = good_vm();
	c.weight = 10001;
	CHECK(hv_vm_create(&c, &h), -HVE_INVAL);
	c = good_vm();
	c.state_bit = 64;
	CHECK(hv_vm_create(&c, &h), -HVE_INVAL);
	c = good_vm();
	c.console = rt_info()->self;
	CHECK(hv_vm_create(&c, &h), -HVE_HANDLE);
}

static uint8_t state_page[HV_PAGE_SIZE]; /* zeros: no state of anything */

static void check_arguments(uint32_t vm, uint32_t ram)
{
	struct hv_vcpu_regs r;
	struct hv_vm_info info;
	uint64_t v = 0;

	CHECK(hv_vm_map(vm, ram, 0, 1, 1, HVP_READ), -HVE_INVAL);
	CHECK(hv_vm_map(vm, ram, 0, 0, RAM_PAGES + 1, HVP_READ), -HVE_INVAL);
	CHECK(hv_vm_map(vm, ram, 0, HV_GPA_LAPIC, 1, HVP_READ), -HVE_INVAL);
	CHECK(hv_vm_map(vm, ram, 0, 1ull << 60, 1, HVP_READ), -HVE_INVAL);
	CHECK(hv_vm_map(vm, ram, 0, 0, 1, 0), -HVE_INVAL);
	CHECK(hv_vm_map(vm, vm, 0, 0, 1, HVP_READ), -HVE_HANDLE);
	CHECK(hv_vm_attach(vm, HV_SLOT_PAGE, ram), -HVE_INVAL);
	CHECK(hv_vm_attach(vm, HV_SLOTS, ram), -HVE_INVAL);
	CHECK(hv_vm_slot(vm, HV_SLOT_CONFIG, &v), -HVE_NOENT);
	CHECK(hv_vm_slot(vm, HV_SLOTS, &v), -HVE_INVAL);
	CHECK(hv_vm_control(vm, 0, 0), -HVE_INVAL);
	CHECK(hv_vm_control(vm, HV_VMC_STOP, 1000), -HVE_INVAL);
	CHECK(hv_vm_control(vm, HV_VMC_PAUSE, 0), -HVE_STATE);
	CHECK(hv_vcpu_set(vm, 2, &r), -HVE_INVAL);
	CHECK(hv_vcpu_get(vm, UINT32_MAX, &r), -HVE_INVAL);
	CHECK(hv_vm_save(vm, 0, state_page, sizeof(struct hv_state_vcpu)), -HVE_STATE);
	CHECK(hv_vm_save(vm, 0, state_page, sizeof(struct hv_state_vcpu) - 8), -HVE_INVAL);
	CHECK(hv_vm_save(vm, 2, state_page, sizeof(struct hv_state_vcpu)), -HVE_INVAL);
	CHECK(hv_vm_save(vm, HV_STATE_MACHINE, state_page, sizeof(struct hv_state_vcpu)),
	      -HVE_INVAL);
	CHECK(hv_vm_load(vm, HV_STATE_MACHINE, state_page, sizeof(struct hv_state_machine)),
	      -HVE_INVAL);
	CHECK(hv_vm_load(vm, 0, state_page, sizeof(struct hv_state_vcpu)), -HVE_INVAL);
	CHECK(hv_vm_load(vm, 0, (void *)0x1000, sizeof(struct hv_state_vcpu)), -HVE_FAULT);
	CHECK(hv_vcpu_resume(vm, 0, 1, 0), -HVE_STATE);
	CHECK(hv_vcpu_resume(vm, 2, 1, 0), -HVE_INVAL);
	CHECK(hv_vm_sched(vm, 0, 0), -HVE_INVAL);
	CHECK(hv_vm_sched(vm, 200, 0), 0);
	CHECK(hv_vm_console_in(vm, "", 257, &v), -HVE_INVAL);
	CHECK(hv_vm_claim(vm, 2, 0, 1, 0, 0), -HVE_INVAL);
	CHECK(hv_vm_claim(vm, HV_SPACE_PIO, 0xffff, 2, 0, 0), -HVE_INVAL);
	CHECK(hv_vm_claim(vm, HV_SPACE_MMIO, UINT64_MAX, 2, 0, 0), -HVE_INVAL);
	CHECK(hv_vm_unclaim(vm, HV_SPACE_PIO, 0x510, 1), -HVE_NOENT);
	CHECK(hv_vm_irq_line(vm, 24, 1), -HVE_INVAL);
	CHECK(hv_vm_irq_line(vm, 10, 2), -HVE_INVAL);
	CHECK(hv_raw(HVC_VM_INFO, vm, (uint64_t)(uintptr_t)&info, 1, 0, 0, 0).status, -HVE_INVAL);
}

/* VM with its RAM, the guest's code in it and the claims. */
static uint32_t make_vm(uint32_t *ram)
{
	struct hv_vm_create c = good_vm();
	struct hv_vcpu_regs r;
	uint64_t vm = 0, m = 0, now = 0;

	CHECK(hv_vm_create(&c, &vm), 0);
	CHECK(hv_mem_create(0, &m), 0);
	CHECK(hv_mem_grow((uint32_t)m, RAM_PAGES, &now), 0);
	CHECK(hv_mem_map((uint32_t)m, 0, RAM_PAGES, RAM_VA, HVP_READ | HVP_WRITE), 0);
	memcpy((void *)(RAM_VA + CODE_AT), guest_code, (size_t)(guest_code_end - guest_code));
	CHECK(hv_vm_map((uint32_t)vm, (uint32_t)m, 0, 0, RAM_PAGES,
			HVP_READ | HVP_WRITE | HVP_EXEC),
	      0);
	real_mode(&r);
	CHECK(hv_vcpu_set((uint32_t)vm, 0, &r), 0);
	CHECK(hv_vm_claim((uint32_t)vm, HV_SPACE_PIO, PORT_PARK, 4, HV_CLAIM_PARK, 0), 0);
	CHECK(hv_vm_claim((uint32_t)vm, HV_SPACE_PIO, PORT_BELL, 4, HV_CLAIM_DOORBELL, 9), 0);
	CHECK(hv_vm_claim((uint32_t)vm, HV_SPACE_PIO, PORT_PARK + 1, 2, HV_CLAIM_PARK, 0),
	      -HVE_EXIST);
	*ram = (uint32_t)m;
	return (uint32_t)vm;
}

static uint32_t make_vmm(uint32_t vm, enum child_mode mode)
{
	struct hv_prog_create c = {.image = HV_IMAGE_VMM,
				   .budget_pages = 500,
				   .weight = 100,
				   .death_bit = DEATH_BIT,
				   .vm = vm,
				   .park_bit = 0,
				   .doorbell_bit = 1,
				   .state_bit = 2};
	uint64_t h = 0, second = 0, args[2] = {mode, hv_time_now()};

	CHECK(hv_prog_create(&c, &h), 0);
	CHECK(hv_prog_create(&c, &second), -HVE_EXIST);
	CHECK(hv_prog_start((uint32_t)h, args, 2), 0);
	return (uint32_t)h;
}

static struct hv_vm_info wait_state(uint32_t vm, uint32_t wanted)
{
	uint64_t deadline = hv_time_now() + 30 * SECOND;
	struct hv_vm_info info;

	do {
		CHECK(hv_vm_info(vm, &info), 0);
	} while (info.state != wanted && hv_time_now() < deadline &&
		 (hv_event_wait(deadline), true));
	CHECK(info.state, wanted);
	return info;
}

static unsigned per_round(unsigned i)
{
	const volatile uint32_t *t = (const volatile uint32_t *)(RAM_VA + TIMES_AT + 16 * i);

	return (t[2] - t[0]) / ROUNDS;
}

static void check_guest(void)
{
	uint32_t ram, vm = make_vm(&ram), vmm;
	struct hv_vm_info info;
	uint64_t other = 0;

	check_arguments(vm, ram);
	CHECK(hv_vm_attach(vm, HV_SLOT_RAM, ram), 0);
	CHECK(hv_vm_attach(vm, HV_SLOT_RAM, ram), -HVE_EXIST);
	memory_adds_up();
	vmm = make_vmm(vm, CHILD_SERVE);
	CHECK(hv_vm_control(vm, HV_VMC_START, 0), 0);
	info = wait_state(vm, HV_VM_CRASHED);
	CHECK(info.reason, HV_VMR_HLT_FOREVER);
	CHECK(info.parks, ROUNDS + 1);
	CHECK(info.doorbells, ROUNDS);
	CHECK(info.exits[HV_EXIT_CPUID], ROUNDS);
	CHECK(*(uint32_t *)(RAM_VA + ANSWER_AT), ROUNDS + 2);
	rt_log("TSC ticks: port, nobody %u; parked %u; doorbell %u; CPUID %u", per_round(0),
	       per_round(1), per_round(2), per_round(3));
	CHECK(hv_vm_next(0, &other), 0);
	CHECK(hv_vm_next(info.id, &other), -HVE_NOENT);
	CHECK(hv_vm_destroy(vm), 0);
	CHECK(hv_vm_info(vm, &info), -HVE_HANDLE);
	CHECK(hv_vm_info((uint32_t)other, &info), -HVE_HANDLE);
	CHECK(*(uint32_t *)(RAM_VA + ANSWER_AT), ROUNDS + 2); /* our mapping keeps the RAM */
	memory_adds_up();
	CHECK(hv_prog_destroy(vmm), 0);
	CHECK(hv_mem_unmap(RAM_VA, RAM_PAGES), 0);
	CHECK(hv_handle_close(ram), 0);
}

static uint64_t host_free(void)
{
	struct hv_host_info host;

	CHECK(hv_host_info(&host), 0);
	return host.mem_free;
}

static void check_release_arguments(uint32_t vm, uint32_t ram, uint64_t range)
{
	uint64_t done = 9;

	CHECK(hv_vm_release(vm, &range, 1, &done), -HVE_NOENT); /* no RAM in its slot */
	CHECK(hv_vm_attach(vm, HV_SLOT_RAM, ram), 0);
	CHECK(hv_vm_release(vm, &range, 0, &done), -HVE_INVAL);
	CHECK(hv_vm_release(vm, &range, HV_RANGES_MAX + 1, &done), -HVE_INVAL);
	CHECK(hv_vm_release(vm, (void *)0x1000, 1, &done), -HVE_FAULT);
	CHECK(hv_vm_release(ram, &range, 1, &done), -HVE_HANDLE);
	CHECK(hv_mem_fill(ram, 0, HV_GROW_MAX + 1), -HVE_INVAL);
	CHECK(hv_mem_fill(ram, RAM_PAGES, 1), -HVE_INVAL);
	CHECK(hv_mem_fill(ram, 0, 1), 0);
}

/*
 * What the guest gives back is the host's, and zeros when somebody touches it again: this program here, its guest (which
 * writes its times to TIMES_AT and its answer to ANSWER_AT; its code is left alone), and whoever asks where it lies.
 */
static void check_release(void)
{
	uint32_t ram, vm = make_vm(&ram), vmm;
	const uint64_t most[] = {HV_RANGE(0, 1), HV_RANGE(2, 510)}, code = HV_RANGE(1, 1),
		       times = HV_RANGE(TIMES_AT / HV_PAGE_SIZE, 1);
	volatile uint64_t *word = (volatile uint64_t *)RAM_VA;
	uint64_t done = 0, before, n = 0;
	struct hv_span span[4] = {{0}};
	struct hv_vm_info info;

	check_release_arguments(vm, ram, code);
	word[3 * 512] = 0x1234;
	before = host_free();
	CHECK(hv_vm_release(vm, most, 2, &done), 0);
	CHECK(done, 2);
	CHECK(hv_vm_info(vm, &info), 0);
	CHECK(info.held_pages, 1);
	CHECK(info.ram_pages, RAM_PAGES);
	CHECK(host_free() >= before + 511 - 3, 1); /* tables for what was one page: three */
	memory_adds_up();
	CHECK(hv_mem_spans(ram, 0, span, 4, &n), 0);
	CHECK(n, 3);
	CHECK(span[0].hpa == HV_SPAN_HOLE && span[2].hpa == HV_SPAN_HOLE, 1);
	CHECK(span[2].pages, 510);
	CHECK(memcmp((void *)(RAM_VA + CODE_AT), guest_code, (size_t)(guest_code_end - guest_code)),
	      0);
	CHECK(word[3 * 512], 0);
	word[3 * 512] = 77;
	CHECK(word[4 * 512], 0);
	CHECK(hv_mem_fill(ram, 3, 4), 0);
	CHECK(word[3 * 512], 77);
	CHECK(hv_vm_info(vm, &info), 0);
	CHECK(info.held_pages, 5);
	CHECK(hv_vm_control(vm, HV_VMC_START, 0), 0);
	/* It waits for a vmm, and has the translation of the page that it writes to: what it writes next is in another. */
	while (hv_vm_info(vm, &info) == 0 && info.parks == 0)
		(void)hv_event_wait(hv_time_now() + SECOND / 1000);
	CHECK(*(volatile uint32_t *)(RAM_VA + TIMES_AT) != 0, 1);
	CHECK(hv_vm_release(vm, &times, 1, &done), 0);
	CHECK(*(volatile uint32_t *)(RAM_VA + TIMES_AT), 0);
	vmm = make_vmm(vm, CHILD_SERVE);
	do /* while it runs, and its vmm */
		CHECK(hv_vm_release(vm, &most[0], 1, &done), 0);
	while (hv_vm_info(vm, &info) == 0 && info.state == HV_VM_RUNNING);
	CHECK(info.reason, HV_VMR_HLT_FOREVER);
	CHECK(info.parks, ROUNDS + 1);
	CHECK(*(uint32_t *)(RAM_VA + ANSWER_AT), ROUNDS + 2);
	CHECK(*(volatile uint32_t *)(RAM_VA + TIMES_AT), 0);
	CHECK(per_round(2) != 0, 1);
	memory_adds_up();
	CHECK(hv_prog_destroy(vmm), 0);
	CHECK(hv_vm_destroy(vm), 0);
	CHECK(hv_mem_unmap(RAM_VA, RAM_PAGES), 0);
	CHECK(hv_handle_close(ram), 0);
	rt_log("memory was given back");
}

/* As another owner would; vmm 0: none lives. */
static void check_adopt(uint32_t vm, uint32_t vmm)
{
	struct hv_vm_adopt in = {
		.state_bit = STATE_BIT, .console_bit = CONSOLE_BIT, .death_bit = HV_EVENT_BITS};
	uint64_t h = 1;

	CHECK(hv_vm_adopt(vm, &in, &h), -HVE_INVAL);
	CHECK(hv_vm_adopt(vm, NULL, &h), -HVE_FAULT);
	in.death_bit = DEATH_BIT;
	CHECK(hv_vm_adopt(vmm ? vmm : rt_info()->self, &in, &h), -HVE_HANDLE);
	CHECK(hv_vm_adopt(vm, &in, &h), 0);
	CHECK(h != 0, vmm != 0);
	if (h)
		CHECK(hv_handle_close((uint32_t)h), 0);
}

/* A vmm dies while its guest waits for an answer: the VM runs on, and the next vmm gives it. */
static void check_vmm_death(void)
{
	uint32_t ram, vm = make_vm(&ram), vmm = make_vmm(vm, CHILD_SPIN);
	struct hv_vm_info info;

	CHECK(hv_vm_control(vm, HV_VMC_START, 0), 0);
	while (hv_vm_info(vm, &info) == 0 && info.parks == 0)
		(void)hv_event_wait(hv_time_now() + SECOND / 1000);
	CHECK(hv_vm_control(vm, HV_VMC_PAUSE, 0), 0);
	CHECK(hv_vm_control(vm, HV_VMC_RESUME, 0), 0);
	check_adopt(vm, vmm);
	CHECK(hv_prog_destroy(vmm), 0);
	check_adopt(vm, 0);
	CHECK(hv_vm_info(vm, &info), 0);
	CHECK(info.state, HV_VM_RUNNING);
	vmm = make_vmm(vm, CHILD_SERVE);
	info = wait_state(vm, HV_VM_CRASHED);
	CHECK(info.reason, HV_VMR_HLT_FOREVER);
	CHECK(info.parks, ROUNDS + 1);
	CHECK(*(uint32_t *)(RAM_VA + ANSWER_AT), ROUNDS + 2);
	CHECK(hv_prog_destroy(vmm), 0);
	CHECK(hv_vm_destroy(vm), 0);
	CHECK(hv_mem_unmap(RAM_VA, RAM_PAGES), 0);
	CHECK(hv_handle_close(ram), 0);
}

/* A vmm gone mad, while its guest runs: at worst this VM is ended. */
static void check_mad_vmm(void)
{
	uint32_t ram, vm = make_vm(&ram), vmm = make_vmm(vm, CHILD_GARBAGE);
	uint64_t deadline = hv_time_now() + 60 * SECOND;
	struct hv_prog_info info;

	(void)hv_vm_control(vm, HV_VMC_START, 0);
	do {
		(void)hv_event_wait(deadline);
		CHECK(hv_prog_info(vmm, &info), 0);
	} while (info.state != HV_PROG_DEAD && hv_time_now() < deadline);
	CHECK(info.cause, 0x100);
	CHECK(info.mem_pages, 0);
	CHECK(hv_handle_close(vmm), 0);
	CHECK(hv_vm_destroy(vm), 0);
	CHECK(hv_mem_unmap(RAM_VA, RAM_PAGES), 0);
	CHECK(hv_handle_close(ram), 0);
}

void vm_outlives_owner(void)
{
	uint32_t ram, vm;

	console = make_console();
	vm = make_vm(&ram);
	/* jmp . */
	memcpy((void *)(RAM_VA + CODE_AT), "\xeb\xfe", 2);
	(void)make_vmm(vm, CHILD_TICK);
	CHECK(hv_vm_control(vm, HV_VMC_START, 0), 0);
	(void)hv_event_wait(hv_time_now() + SECOND / 10);
}

void vm_checks(void)
{
	uint64_t objects = objects_now(), pages = free_pages_now(), h = 0;
	struct hv_vm_create c;

	console = make_console();
	c = good_vm();
	if (hv_vm_create(&c, &h) == -HVE_NOVIRT) {
		rt_log("no virtualization: VM checks left out");
		CHECK(hv_handle_close(console), 0);
		return;
	}
	CHECK(hv_vm_destroy((uint32_t)h), 0);
	check_create();
	check_guest();
	check_release();
	check_vmm_death();
	check_mad_vmm();
	CHECK(hv_handle_close(console), 0);
	(void)hv_event_wait(0);
	CHECK(objects_now(), (int64_t)objects);
	CHECK(free_pages_now(), (int64_t)pages);
}
