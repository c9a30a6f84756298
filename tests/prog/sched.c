/* SPDX-License-Identifier: BSD-2-Clause */
/* Shares of the CPU: weights, caps, pause, and how soon a program runs although guests spin on every CPU. */
#include "tests/prog/hctest.h"

#include "hv/abi/hv_vm.h"

#define MS 1000000ull
#define SPINNERS 6u
#define RAM_VA 0x300000000ull

struct spinner {
	uint32_t vm, ram, console;
	uint64_t ns; /* at the last look */
};

static struct spinner spinners[SPINNERS];

static uint32_t grown(uint32_t flags, uint64_t pages)
{
	uint64_t h = 0, now;

	CHECK(hv_mem_create(flags, &h), 0);
	CHECK(hv_mem_grow((uint32_t)h, pages, &now), 0);
	return (uint32_t)h;
}

/* jmp . at the reset vector: its page is the VM's only memory. */
static void start(struct spinner *s, uint32_t weight, uint32_t cap)
{
	struct hv_vm_create c = {.vcpus = 1, .weight = weight, .cap = cap, .name = "spinner"};
	uint64_t vm = 0;

	s->console = c.console = grown(HVM_HV, HV_CONSOLE_PAGES);
	s->ram = grown(0, 1);
	CHECK(hv_mem_map(s->ram, 0, 1, RAM_VA, HVP_READ | HVP_WRITE), 0);
	memcpy((void *)(RAM_VA + 0xff0), "\xeb\xfe", 2);
	CHECK(hv_mem_unmap(RAM_VA, 1), 0);
	CHECK(hv_vm_create(&c, &vm), 0);
	CHECK(hv_vm_map((uint32_t)vm, s->ram, 0, 0xfffff000, 1, HVP_READ | HVP_EXEC), 0);
	CHECK(hv_vm_control((uint32_t)vm, HV_VMC_START, 0), 0);
	s->vm = (uint32_t)vm;
	s->ns = 0;
}

static void stop(struct spinner *s)
{
	CHECK(hv_vm_destroy(s->vm), 0);
	CHECK(hv_handle_close(s->ram), 0);
	CHECK(hv_handle_close(s->console), 0);
}

/* Milliseconds it ran since the last look. */
static int64_t ran_ms(struct spinner *s)
{
	struct hv_vm_info info;
	uint64_t before = s->ns;

	CHECK(hv_vm_info(s->vm, &info), 0);
	s->ns = info.cpu_ns;
	return (int64_t)((s->ns - before) / MS);
}

static void sleep_ms(uint64_t ms)
{
	uint64_t until = hv_time_now() + ms * MS;

	while (hv_time_now() < until)
		(void)hv_event_wait(until);
}

static void check_between(int64_t value, int64_t low, int64_t high)
{
	if (value < low || value > high)
		CHECK(value, low);
}

static void check_weights(bool exact)
{
	int64_t a, b;

	start(&spinners[0], 100, 0);
	start(&spinners[1], 300, 0);
	sleep_ms(400);
	a = ran_ms(&spinners[0]);
	b = ran_ms(&spinners[1]);
	if (exact) {
		check_between(a, 80, 120);
		check_between(b, 280, 320);
	}
	rt_log("weights 100 and 300: %ld and %ld ms of 400", (long)a, (long)b);
	CHECK(hv_vm_control(spinners[1].vm, HV_VMC_PAUSE, 0), 0);
	(void)ran_ms(&spinners[1]);
	sleep_ms(50);
	CHECK(ran_ms(&spinners[1]), 0);
	CHECK(hv_vm_control(spinners[1].vm, HV_VMC_RESUME, 0), 0);
	sleep_ms(100);
	CHECK(ran_ms(&spinners[1]) > 0, 1);
	stop(&spinners[0]);
	stop(&spinners[1]);
}

static void check_cap(bool exact)
{
	int64_t ms;

	start(&spinners[0], 100, 20);
	sleep_ms(400);
	ms = ran_ms(&spinners[0]);
	rt_log("cap 20 %%: %ld ms of 400", (long)ms);
	if (exact)
		check_between(ms, 70, 90);
	CHECK(hv_vm_sched(spinners[0].vm, 100, 0), 0);
	sleep_ms(100);
	ms = ran_ms(&spinners[0]);
	if (exact)
		check_between(ms, 75, 100);
	stop(&spinners[0]);
}

/* This program wakes 100 times among guests that spin. */
static void check_latency(bool exact)
{
	uint64_t worst = 0;

	for (unsigned i = 0; i < SPINNERS; i++)
		start(&spinners[i], 100, 0);
	for (unsigned i = 0; i < 100; i++) {
		uint64_t until = hv_time_now() + 3 * MS, late;

		while (hv_time_now() < until)
			(void)hv_event_wait(until);
		late = hv_time_now() - until;
		worst = late > worst ? late : worst;
	}
	rt_log("latest wake-up among %u spinning guests: %lu us", SPINNERS,
	       (unsigned long)(worst / 1000));
	if (exact)
		CHECK(worst < MS / 10, 1);
	for (unsigned i = 0; i < SPINNERS; i++)
		stop(&spinners[i]);
}

void sched_checks(bool exact)
{
	struct hv_host_info host;
	uint64_t objects = objects_now(), pages = free_pages_now();

	CHECK(hv_host_info(&host), 0);
	if (host.virt == HV_VIRT_NONE)
		return;
	exact = exact && host.cpus == 1;
	check_weights(exact);
	check_cap(exact);
	check_latency(exact);
	CHECK(objects_now(), (int64_t)objects);
	CHECK(free_pages_now(), (int64_t)pages);
}
