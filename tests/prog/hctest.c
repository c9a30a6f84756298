/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks of hypercalls that need no VM, and the order of the whole test. */
#include "tests/prog/hctest.h"

#include "hv/abi/hv_vm.h"

#define FREE_VA 0x200000000ull
#define NOBODY 0x5000000000ull /* nothing is mapped there */
#define DEATH_BIT 7u
#define SECOND 1000000000ull
#define GARBAGE_CALLS 60000u

int main(void);

unsigned failures;
static unsigned checks;

void check_at(const char *file, int line, const char *what, int64_t got, int64_t wanted)
{
	checks++;
	if (got == wanted)
		return;
	failures++;
	rt_log("FAILED %s:%d: %s is %ld, not %ld", file, line, what, (long)got, (long)wanted);
}

/* ---- children ---- */

static void hog(void)
{
	uint64_t mem, now, pages = 0;

	if (hv_mem_create(0, &mem) != 0)
		hv_exit(1, "", 0);
	while (hv_mem_grow((uint32_t)mem, pages += 64, &now) == 0)
		;
	hv_exit(hv_brk(rt_info()->brk_start + (1u << 22), &now) == -HVE_NOMEM ? 42 : 1, "", 0);
}

static void serve(void)
{
	uint32_t vm = rt_info()->vm;
	struct hv_vm_page *page;
	uint64_t h;

	if (hv_vm_slot(vm, HV_SLOT_PAGE, &h) != 0)
		hv_exit(1, "no VM page", 10);
	page = rt_mem_map((uint32_t)h, 0, 1, HVP_READ | HVP_WRITE);
	for (;;) {
		(void)hv_event_wait(UINT64_MAX);
		for (unsigned i = 0; i < 2; i++) {
			struct hv_mailbox *m = &page->mailbox[i];
			uint64_t seq = __atomic_load_n(&m->seq, __ATOMIC_ACQUIRE);

			if (seq != m->done)
				(void)hv_vcpu_resume(vm, i, seq, seq + 1);
		}
	}
}

static void tick(void)
{
	struct hv_vm_info info;

	for (unsigned i = 0;; i++) {
		(void)hv_event_wait(hv_time_now() + SECOND / 20);
		if (hv_vm_info(rt_info()->vm, &info) == 0)
			rt_log("tick %u, VM in state %u", i, info.state);
	}
}

static void compute(uint64_t ns)
{
	uint64_t until = hv_time_now() + ns;

	while (hv_time_now() < until)
		;
}

#define PROMISE (SECOND * 3 / 10)

/* Keeps its promise in all ways there are: waits, computes less, says so, takes it back. */
static void beat(void)
{
	if (hv_heartbeat(HV_HEARTBEAT_MIN_NS - 1) != -HVE_INVAL || hv_heartbeat(PROMISE) != 0)
		hv_exit(1, "", 0);
	(void)hv_event_wait(hv_time_now() + 3 * PROMISE / 2);
	for (unsigned i = 0; i < 6; i++) {
		compute(PROMISE / 4);
		if (i & 1)
			(void)hv_event_wait(0);
		else
			(void)hv_heartbeat(PROMISE);
	}
	(void)hv_heartbeat(0);
	compute(2 * PROMISE);
	hv_exit(7, "", 0);
}

/* Asks hv something all the time, but never for events. */
static void hang_in_calls(void)
{
	(void)hv_heartbeat(HV_HEARTBEAT_MIN_NS);
	for (;;)
		(void)hv_time_now();
}

static void hang(void)
{
	(void)hv_heartbeat(HV_HEARTBEAT_MIN_NS);
	for (;;)
		;
}

void child_main(void)
{
	static uint8_t code[] = {0xc3};
	uint8_t *volatile nowhere = (uint8_t *)0x1000;

	switch (rt_info()->args[0]) {
	case CHILD_EXIT:
		hv_exit(5, "bye\x01", 4);
	case CHILD_FAULT:
		*nowhere = 1;
		break;
	case CHILD_EXECUTE_STACK:
		((void (*)(void))(uintptr_t)code)();
		break;
	case CHILD_BAD_RIP:
		__asm__ volatile("jmp *%0" : : "r"(0xffff800000000000ull));
		break;
	case CHILD_SPIN:
		for (;;)
			;
	case CHILD_HOG:
		hog();
		break;
	case CHILD_GARBAGE:
		garbage(GARBAGE_CALLS, rt_info()->args[1]);
		hv_exit(6, "", 0);
	case CHILD_SERVE:
		serve();
		break;
	case CHILD_TICK:
		tick();
		break;
	case CHILD_BEAT:
		beat();
		break;
	case CHILD_HANG:
		hang();
		break;
	case CHILD_HANG_IN_CALLS:
		hang_in_calls();
		break;
	}
	hv_exit(99, "not reached", 11);
}

/* ---- figures ---- */

static struct hv_host_info host;

uint64_t objects_now(void)
{
	CHECK(hv_host_info(&host), 0);
	return host.objects;
}

uint64_t free_pages_now(void)
{
	CHECK(hv_host_info(&host), 0);
	return host.mem_free;
}

void memory_adds_up(void)
{
	CHECK(hv_host_info(&host), 0);
	CHECK(host.mem_free + host.mem_hv + host.mem_ctrl + host.mem_vms + host.mem_modules,
	      (int64_t)host.mem_total);
}

/* ---- checks ---- */

static void check_numbers(void)
{
	uint64_t v = 0;

	CHECK(hv_call(HVC_ABI_VERSION, 0, 0, 0, 0, 0, 0, &v), 0);
	CHECK(v, HV_ABI_VERSION);
	CHECK(hv_raw(87, 0, 0, 0, 0, 0, 0).status, -HVE_NOSYS);
	CHECK(hv_raw(127, 0, 0, 0, 0, 0, 0).status, -HVE_NOSYS);
	CHECK(hv_raw(128, 0, 0, 0, 0, 0, 0).status, -HVE_NOSYS);
	CHECK(hv_raw(UINT64_MAX, 0, 0, 0, 0, 0, 0).status, -HVE_NOSYS);
	CHECK(hv_raw(1ull << 32, 0, 0, 0, 0, 0, 0).status, -HVE_NOSYS);
	CHECK(hv_log_write((const char *)NOBODY, 10), -HVE_FAULT);
	CHECK(hv_log_write((const char *)0xffff800000200000, 10), -HVE_FAULT);
	CHECK(hv_log_write("", 257), -HVE_INVAL);
	CHECK(hv_log_write((const char *)UINT64_MAX, 100), -HVE_FAULT);
}

static void check_events(void)
{
	uint32_t self = rt_info()->self;
	uint64_t start;

	CHECK(hv_event_wait(0), 0);
	CHECK(hv_event_post(self, 0x8000000000000001), 0);
	CHECK(hv_event_post(self, 2), 0);
	CHECK(hv_event_wait(UINT64_MAX), (int64_t)0x8000000000000003);
	CHECK(hv_event_wait(0), 0);
	start = hv_time_now();
	CHECK(hv_event_wait(start + SECOND / 100), 0);
	CHECK(hv_time_now() >= start + SECOND / 100, 1);
	CHECK(hv_time_now() < start + SECOND / 2, 1);
	CHECK(hv_event_wait(start), 0);
	CHECK(hv_event_post(0, 1), -HVE_HANDLE);
	CHECK(hv_event_post(self + (1u << 12), 1), -HVE_HANDLE);
}

static struct hv_result post_then_wait(uint32_t to, uint64_t bits, uint64_t deadline)
{
	return hv_raw(HVC_EVENT_POST + HVC_THEN_WAIT, to, bits, 0, 0, 0, deadline);
}

static void check_then_wait(void)
{
	uint32_t self = rt_info()->self;
	struct hv_result r = post_then_wait(self, 5, UINT64_MAX);
	uint64_t start;

	CHECK(r.status, 0);
	CHECK(r.value, 5);
	r = post_then_wait(0, 1, UINT64_MAX);
	CHECK(r.status, -HVE_HANDLE);
	start = hv_time_now();
	r = post_then_wait(self, 0, start + SECOND / 100);
	CHECK(r.status, 0);
	CHECK(r.value, 0);
	CHECK(hv_time_now() >= start + SECOND / 100, 1);
	CHECK(hv_raw(HVC_TIME_NOW + HVC_THEN_WAIT, 0, 0, 0, 0, 0, 0).status, -HVE_NOSYS);
	CHECK(hv_raw(2 * HVC_THEN_WAIT + HVC_EVENT_POST, self, 1, 0, 0, 0, 0).status, -HVE_NOSYS);
	CHECK(hv_event_wait(0), 0);
}

static void check_heap(void)
{
	uint64_t end, top = 0, other = 0;
	uint8_t *p;

	CHECK(hv_brk(0, &end), 0);
	CHECK(hv_brk(end + 3 * 4096 + 1, &top), 0);
	CHECK(top, (int64_t)end + 3 * 4096 + 1);
	p = (uint8_t *)(end + 4096);
	CHECK(p[0] | p[3 * 4096 - 1], 0);
	p[0] = 1;
	CHECK(hv_brk(end, &top), 0);
	CHECK(hv_log_write((const char *)p, 1), -HVE_FAULT);
	CHECK(hv_brk(end + 8192, &top), 0);
	CHECK(p[0], 0); /* a scrubbed frame */
	CHECK(hv_brk(end, &top), 0);
	CHECK(hv_brk(rt_info()->brk_start - 1, &other), -HVE_INVAL);
	CHECK(hv_brk(HV_VA_BRK_END + 1, &other), -HVE_INVAL);
	CHECK(hv_brk(UINT64_MAX, &other), -HVE_INVAL);
	CHECK(hv_brk(HV_VA_BRK_END, &other), -HVE_LIMIT);
}

/* Where an object that was grown in one step (HVM_DMA) lies: one span, from wherever one asks. */
static void check_spans(uint32_t mem, uint64_t pages)
{
	struct hv_span span[2] = {{0}};
	uint64_t n = 0, phys = 0;

	CHECK(hv_mem_phys(mem, 0, &phys), 0);
	CHECK(hv_mem_spans(mem, 0, span, 2, &n), 0);
	CHECK(n, 1);
	CHECK(span[0].hpa == phys, 1);
	CHECK(span[0].pages == pages, 1);
	CHECK(hv_mem_spans(mem, pages - 1, span, 1, &n), 0);
	CHECK(span[0].hpa == phys + (pages - 1) * HV_PAGE_SIZE, 1);
	CHECK(span[0].pages, 1);
	CHECK(hv_mem_spans(mem, pages, span, 1, &n), -HVE_INVAL);
	CHECK(hv_mem_spans(mem, 0, span, 0, &n), -HVE_INVAL);
	CHECK(hv_mem_spans(mem, 0, span, HV_SPANS_MAX + 1, &n), -HVE_INVAL);
	CHECK(hv_mem_spans(mem, 0, (void *)HV_VA_INFO, 1, &n), -HVE_FAULT); /* read-only */
	CHECK(hv_mem_spans(rt_info()->self, 0, span, 1, &n), -HVE_HANDLE);
}

static void check_memory(void)
{
	uint64_t h = 0, now = 0, info = 0, phys = 0, objects = objects_now();
	uint32_t m;

	CHECK(hv_mem_create(4, &h), -HVE_INVAL);
	CHECK(hv_mem_create(0, &h), 0);
	m = (uint32_t)h;
	CHECK(objects_now(), (int64_t)objects + 1);
	CHECK(hv_mem_map(m, 0, 1, FREE_VA, HVP_READ), -HVE_INVAL);
	CHECK(hv_mem_grow(m, 600, &now), 0);
	CHECK(now, 512);
	CHECK(hv_mem_grow(m, 600, &now), 0);
	CHECK(now, 600);
	CHECK(hv_mem_grow(m, UINT64_MAX, &now), -HVE_INVAL);
	CHECK(hv_mem_info(m, &info), 0);
	CHECK(info, 600);
	CHECK(hv_mem_map(m, 0, 601, FREE_VA, HVP_READ), -HVE_INVAL);
	CHECK(hv_mem_map(m, UINT64_MAX, 2, FREE_VA, HVP_READ), -HVE_INVAL);
	CHECK(hv_mem_map(m, 0, 600, FREE_VA + 1, HVP_READ), -HVE_INVAL);
	CHECK(hv_mem_map(m, 0, 600, HV_VA_IMAGE, HVP_READ), -HVE_INVAL);
	CHECK(hv_mem_map(m, 0, 600, HV_VA_END - 4096, HVP_READ), -HVE_INVAL);
	CHECK(hv_mem_map(m, 0, 600, 0xffff800000000000, HVP_READ), -HVE_INVAL);
	CHECK(hv_mem_map(m, 0, 600, FREE_VA, HVP_READ | HVP_WRITE | HVP_EXEC), -HVE_INVAL);
	CHECK(hv_mem_map(m, 0, 600, FREE_VA, HVP_WRITE), -HVE_INVAL);
	CHECK(hv_mem_map(m, 0, 600, FREE_VA, HVP_READ | HVP_WRITE), 0);
	CHECK(hv_mem_map(m, 1, 1, FREE_VA + 4096, HVP_READ), -HVE_EXIST);
	*(uint64_t *)(FREE_VA + 599 * 4096) = 77;
	CHECK(hv_mem_map(m, 599, 1, HV_VA_MAP_LO, HVP_READ), 0);
	CHECK(*(uint64_t *)HV_VA_MAP_LO, 77);
	CHECK(hv_log_write((const char *)HV_VA_MAP_LO, 0), 0);
	CHECK(hv_host_info((void *)HV_VA_MAP_LO), -HVE_FAULT); /* read-only */
	CHECK(hv_mem_unmap(FREE_VA, 599), -HVE_NOENT);
	CHECK(hv_mem_unmap(HV_VA_IMAGE, 1), -HVE_NOENT);
	CHECK(hv_mem_phys(m, 0, &phys), -HVE_STATE);
	CHECK(hv_handle_close(m), 0);
	CHECK(hv_handle_close(m), -HVE_HANDLE);
	CHECK(hv_mem_info(m, &info), -HVE_HANDLE);
	CHECK(*(uint64_t *)HV_VA_MAP_LO, 77); /* mappings keep it */
	CHECK(hv_mem_unmap(FREE_VA, 600), 0);
	CHECK(hv_log_write((const char *)FREE_VA, 1), -HVE_FAULT);
	CHECK(hv_mem_unmap(HV_VA_MAP_LO, 1), 0);
	CHECK(objects_now(), (int64_t)objects);
	CHECK(hv_mem_create(HVM_DMA, &h), 0);
	CHECK(hv_mem_grow((uint32_t)h, 5, &now), 0);
	CHECK(hv_mem_phys((uint32_t)h, 4, &phys), 0);
	CHECK(hv_mem_phys((uint32_t)h, 5, &phys), -HVE_INVAL);
	check_spans((uint32_t)h, 5);
	CHECK(hv_handle_close((uint32_t)h), 0);
}

/* Memory that hv holds for the next instance. */
static void check_keep(void)
{
	uint64_t m = 0, now = 0, back = 0, info = 0;

	CHECK(hv_mem_create(0, &m), 0);
	CHECK(hv_mem_grow((uint32_t)m, 3, &now), 0);
	CHECK(hv_mem_keep((uint32_t)m, HV_KEEP_SLOTS), -HVE_INVAL);
	CHECK(hv_mem_keep(rt_info()->self, 7), -HVE_HANDLE);
	CHECK(hv_mem_keep(0, 7), -HVE_NOENT);
	CHECK(hv_mem_kept(7, &back), -HVE_NOENT);
	CHECK(hv_mem_kept(UINT32_MAX, &back), -HVE_INVAL);
	CHECK(hv_mem_keep((uint32_t)m, 7), 0);
	CHECK(hv_mem_keep((uint32_t)m, 7), -HVE_EXIST);
	CHECK(hv_handle_close((uint32_t)m), 0);
	CHECK(hv_mem_info((uint32_t)m, &info), -HVE_HANDLE);
	CHECK(hv_mem_kept(7, &back), 0);
	CHECK(hv_mem_info((uint32_t)back, &info), 0);
	CHECK(info, 3);
	memory_adds_up();
	CHECK(hv_mem_keep(0, 7), 0);
	CHECK(hv_mem_info((uint32_t)back, &info), 0); /* the handle holds it */
	CHECK(hv_handle_close((uint32_t)back), 0);
}

static void check_handles(void)
{
	uint64_t h = 0, copy = 0, self = rt_info()->self;
	unsigned n = 0;

	CHECK(hv_mem_create(0, &h), 0);
	CHECK(hv_handle_grant((uint32_t)self, (uint32_t)h, 0x80, &copy), -HVE_INVAL);
	CHECK(hv_handle_grant((uint32_t)h, (uint32_t)h, HVR_READ, &copy), -HVE_HANDLE);
	CHECK(hv_handle_grant((uint32_t)self, (uint32_t)h, HVR_READ, &copy), 0);
	CHECK(hv_mem_grow((uint32_t)copy, 1, NULL), -HVE_RIGHTS);
	CHECK(hv_handle_grant((uint32_t)self, (uint32_t)copy, HVR_READ, &copy), -HVE_RIGHTS);
	CHECK(hv_prog_start((uint32_t)self, NULL, 0), -HVE_RIGHTS);
	CHECK(hv_prog_destroy((uint32_t)self), -HVE_RIGHTS);
	CHECK(hv_handle_close((uint32_t)copy), 0);
	while (n < 2000 && hv_handle_grant((uint32_t)self, (uint32_t)h, HVR_READ, &copy) == 0)
		n++;
	CHECK(n > 900 && n < 1024, 1);
	CHECK(hv_handle_grant((uint32_t)self, (uint32_t)h, HVR_READ, &copy), -HVE_LIMIT);
	for (uint32_t i = 0; i < 1024; i++)
		for (uint32_t generation = 1; generation < 4 && i != (self & 0xfff); generation++)
			(void)hv_handle_close(i | generation << 12);
	CHECK(hv_handle_close(0), -HVE_HANDLE);
	CHECK(hv_handle_close(UINT32_MAX), -HVE_HANDLE);
}

static void check_hardware(void)
{
	uint64_t v = 0, irq = 0;
	struct hv_msi msi;

	CHECK(hv_pci_read(0, 0, 4, &v), 0);
	CHECK(v != 0 && v != UINT32_MAX, 1);
	CHECK(hv_pci_read(0, 1, 2, &v), -HVE_INVAL);
	CHECK(hv_pci_read(0, 0, 8, &v), -HVE_INVAL);
	CHECK(hv_pci_read(0x10000, 0, 4, &v), -HVE_INVAL);
	CHECK(hv_pci_read(0, 4096, 4, &v), -HVE_INVAL);
	CHECK(hv_pci_write(0, 0, 1, 0x100), -HVE_INVAL);
	CHECK(hv_mmio_map(0x200000, 1, FREE_VA), -HVE_RIGHTS);   /* hv */
	CHECK(hv_mmio_map(0xfee00000, 1, FREE_VA), -HVE_RIGHTS); /* local APIC */
	CHECK(hv_mmio_map(0xfec00000, 1, FREE_VA), -HVE_RIGHTS); /* IO-APIC */
	CHECK(hv_mmio_map(0xfffffffffffff000, 1, FREE_VA), -HVE_INVAL);
	CHECK(hv_irq_bind_msi(64, &msi, &irq), -HVE_INVAL);
	CHECK(hv_irq_bind_msi(1, (struct hv_msi *)NOBODY, &irq), -HVE_FAULT);
	CHECK(hv_irq_bind_msi(1, &msi, &irq), 0);
	CHECK(hv_irq_ack((uint32_t)irq), 0);
	CHECK(hv_handle_grant(rt_info()->self, (uint32_t)irq, HVR_READ, &v), -HVE_RIGHTS);
	CHECK(hv_handle_close((uint32_t)irq), 0);
	CHECK(hv_irq_bind_gsi(11, 3, HVI_LEVEL | HVI_LOW, &irq), 0);
	CHECK(hv_irq_bind_gsi(11, 3, HVI_LEVEL | HVI_LOW, &v), -HVE_EXIST);
	CHECK(hv_handle_close((uint32_t)irq), 0);
	CHECK(hv_irq_bind_gsi(11, 3, HVI_LEVEL | HVI_LOW, &irq), 0);
	CHECK(hv_handle_close((uint32_t)irq), 0);
	CHECK(hv_irq_bind_gsi(100000, 3, 0, &irq), -HVE_NOENT);
	CHECK(hv_host_power(0), -HVE_INVAL);
	CHECK(hv_raw(HVC_HOST_INFO, (uint64_t)(uintptr_t)&host, 8, 0, 0, 0, 0).status, -HVE_INVAL);
}

static void wait_death(void)
{
	uint64_t deadline = hv_time_now() + 20 * SECOND;

	while (hv_time_now() < deadline)
		if (hv_event_wait(deadline) & (1ull << DEATH_BIT))
			return;
	CHECK(0, 1);
}

static uint32_t child(enum child_mode mode, uint32_t budget)
{
	struct hv_prog_create c = {.image = HV_IMAGE_VMM,
				   .budget_pages = budget,
				   .weight = 100,
				   .death_bit = DEATH_BIT};
	uint64_t args[2] = {mode, hv_time_now()}, h = 0;

	CHECK(hv_prog_create(&c, &h), 0);
	CHECK(hv_prog_start((uint32_t)h, args, 9), -HVE_INVAL);
	CHECK(hv_prog_start((uint32_t)h, args, 2), 0);
	CHECK(hv_prog_start((uint32_t)h, args, 2), -HVE_STATE);
	return (uint32_t)h;
}

/* What hv wrote down about the child that has just died. */
static void check_crash(enum child_mode mode, uint32_t cause, uint64_t code)
{
	static struct hv_crash crash, other;
	static uint64_t last;

	CHECK(hv_crash_info(0, &crash), 0);
	CHECK(crash.number > last, 1);
	CHECK(hv_crash_info(crash.number, &other), 0);
	CHECK(memcmp(&crash, &other, sizeof(crash)), 0);
	CHECK(hv_crash_info(crash.number + 1, &other), -HVE_NOENT);
	last = crash.number;
	CHECK(crash.image, HV_IMAGE_VMM);
	CHECK(crash.vm, 0);
	CHECK(crash.cause, cause);
	CHECK(crash.code, (int64_t)code);
	CHECK(crash.time_ns <= hv_time_now(), 1);
	CHECK(crash.stack_bytes > 0, 1);
	/* All programs here are of one image: its code is this program's. */
	CHECK(crash.code_bytes, mode == CHILD_BAD_RIP ? 0 : HV_CRASH_CODE);
	if (mode == CHILD_FAULT || mode == CHILD_EXIT)
		CHECK(memcmp(crash.at_rip, (void *)crash.regs.rip, HV_CRASH_CODE), 0);
	if (mode == CHILD_FAULT)
		CHECK(crash.cr2, 0x1000);
	if (mode == CHILD_EXIT)
		CHECK(strcmp(crash.text, "bye?"), 0);
	CHECK(strstr(crash.log, "hctest: start") != NULL || strlen(crash.log) > 1000, 1);
}

static void check_crash_arguments(void)
{
	static struct hv_crash crash;

	CHECK(hv_crash_info(0, (void *)NOBODY), -HVE_FAULT);
	CHECK(hv_crash_info(UINT64_MAX, &crash), -HVE_NOENT);
	CHECK(hv_raw(HVC_CRASH_INFO, 0, (uint64_t)(uintptr_t)&crash, 8, 0, 0, 0).status,
	      -HVE_INVAL);
}

/* Programs for the next instance that are none; tests/system hands over real ones. */
static void check_replace(void)
{
	uint64_t m = 0, now = 0, pages = free_pages_now();

	CHECK(hv_ctrl_healthy(), 0); /* as often as one likes */
	CHECK(rt_info()->build, 0);
	CHECK(rt_info()->upgrade, HV_UPGRADE_NONE);
	CHECK(hv_ctrl_replace(0, 4096), -HVE_HANDLE);
	CHECK(hv_ctrl_replace(rt_info()->self, 4096), -HVE_HANDLE);
	CHECK(hv_mem_create(0, &m), 0);
	CHECK(hv_mem_grow((uint32_t)m, HV_GROW_MAX, &now), 0);
	CHECK(hv_ctrl_replace((uint32_t)m, 0), -HVE_INVAL);
	CHECK(hv_ctrl_replace((uint32_t)m, UINT64_MAX), -HVE_INVAL);
	CHECK(hv_ctrl_replace((uint32_t)m, HV_CTRL_BYTES_MAX + 1), -HVE_INVAL);
	CHECK(hv_ctrl_replace((uint32_t)m, HV_CTRL_BYTES_MAX), -HVE_INVAL); /* nothing but zeroes */
	CHECK(hv_ctrl_replace((uint32_t)m, 1), -HVE_INVAL);
	CHECK(hv_handle_close((uint32_t)m), 0);
	CHECK(hv_mem_create(0, &m), 0);
	CHECK(hv_ctrl_replace((uint32_t)m, 4096), -HVE_INVAL); /* beyond its end */
	CHECK(hv_handle_close((uint32_t)m), 0);
	CHECK(free_pages_now(), (int64_t)pages);
	memory_adds_up();
}

static void dies_with(enum child_mode mode, uint32_t cause, uint64_t code)
{
	uint32_t h = child(mode, 4096);
	struct hv_prog_info info;

	wait_death();
	CHECK(hv_prog_info(h, &info), 0);
	CHECK(info.state, HV_PROG_DEAD);
	CHECK(info.cause, cause);
	CHECK(info.code, (int64_t)code);
	CHECK(info.mem_pages, 0);
	if (mode == CHILD_EXIT)
		CHECK(strcmp(info.text, "bye?"), 0);
	if (mode == CHILD_FAULT)
		CHECK(info.cr2, 0x1000);
	check_crash(mode, cause, code);
	CHECK(hv_event_post(h, 1), 0);
	CHECK(hv_handle_grant(h, rt_info()->self, HVR_READ, NULL), -HVE_STATE);
	CHECK(hv_handle_close(h), 0);
}

static void check_programs(void)
{
	struct hv_prog_create c = {.image = HV_IMAGE_VMM, .budget_pages = 10, .weight = 100};
	uint64_t h = 0, objects = objects_now(), pages = free_pages_now();
	struct hv_prog_info info;
	uint32_t spinner;

	CHECK(hv_prog_create((void *)NOBODY, &h), -HVE_FAULT);
	CHECK(hv_prog_create(&c, &h), -HVE_NOMEM);
	c.budget_pages = 1000;
	c.image = HV_IMAGE_CTRL;
	CHECK(hv_prog_create(&c, &h), -HVE_INVAL);
	c.image = HV_IMAGE_VMM;
	c.weight = 0;
	CHECK(hv_prog_create(&c, &h), -HVE_INVAL);
	c.weight = 100;
	c.vm = rt_info()->self;
	CHECK(hv_prog_create(&c, &h), -HVE_HANDLE);
	c.vm = 0;
	CHECK(hv_prog_create(&c, &h), 0);
	CHECK(hv_handle_grant((uint32_t)h, (uint32_t)h, HVR_READ, NULL), -HVE_STATE);
	CHECK(hv_handle_close((uint32_t)h), 0); /* never started: gone */
	CHECK(objects_now(), (int64_t)objects);
	CHECK(free_pages_now(), (int64_t)pages);

	dies_with(CHILD_EXIT, 0x100, 5);
	dies_with(CHILD_FAULT, 14, 6);
	dies_with(CHILD_EXECUTE_STACK, 14, 0x15);
	dies_with(CHILD_BAD_RIP, 14, 0x14); /* a fetch from hv's half */
	dies_with(CHILD_HOG, 0x100, 42);
	dies_with(CHILD_GARBAGE, 0x100, 6);
	dies_with(CHILD_BEAT, 0x100, 7);
	dies_with(CHILD_HANG, 0x102, 0);
	dies_with(CHILD_HANG_IN_CALLS, 0x102, 0);
	check_crash_arguments();

	spinner = child(CHILD_SPIN, 1000);
	(void)hv_event_wait(hv_time_now() + SECOND / 20);
	CHECK(hv_prog_info(spinner, &info), 0);
	CHECK(info.state, HV_PROG_LIVE);
	CHECK(info.cpu_ns > SECOND / 200, 1);
	memory_adds_up();
	CHECK(hv_prog_destroy(spinner), 0);
	CHECK(hv_prog_info(spinner, &info), -HVE_HANDLE);
	wait_death();
	CHECK(objects_now(), (int64_t)objects);
	CHECK(free_pages_now(), (int64_t)pages);
}

#define PCI_FUNCTIONS 256u /* bus 0 */
#define PCI_CLASS 0x0bu
#define PCI_NETWORK 2u

/* As a control kernel that faults: hv says why, its devices fall silent, VMs and vmms go on. */
static void die(void)
{
	uint64_t class = 0, command = 0;

	for (uint32_t bdf = 0; bdf < PCI_FUNCTIONS; bdf++) {
		CHECK(hv_pci_read(bdf, PCI_CLASS, 1, &class), 0);
		if (class != PCI_NETWORK)
			continue;
		CHECK(hv_pci_write(bdf, 4, 2, 0x107), 0);
		CHECK(hv_pci_read(bdf, 4, 2, &command), 0);
		rt_log("function %x, command %lx", (unsigned)bdf, (unsigned long)command);
	}
	rt_log("dying, %u failed", failures);
	*(volatile int *)0x1234 = 1;
}

int main(void)
{
	uint64_t objects;

	if (rt_info()->image != HV_IMAGE_CTRL)
		child_main();
	rt_name_set("hctest");
	rt_log("start, %u modules, \"%s\"", rt_info()->n_modules, rt_info()->cmdline);
	if (strcmp(rt_info()->cmdline, "die") == 0) {
		if (rt_info()->instance == 1)
			vm_outlives_owner();
		die();
	}
	memory_adds_up();
	objects = objects_now();
	check_numbers();
	check_events();
	check_then_wait();
	check_heap();
	check_memory();
	check_handles();
	check_hardware();
	check_keep();
	check_replace();
	check_programs();
	memory_adds_up();
	CHECK(objects_now(), (int64_t)objects);
	vm_checks();
	sched_checks(strcmp(rt_info()->cmdline, "exact") == 0);
	memory_adds_up();
	CHECK(objects_now(), (int64_t)objects);
	garbage(GARBAGE_CALLS, rt_info()->random[1]);
	memory_adds_up();
	rt_log("done, %u checks, %u failed", checks, failures);
	(void)hv_host_power(HV_POWER_OFF);
	return 0;
}
