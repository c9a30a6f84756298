/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/prog/release.c
// SRC: hv/vm/fill.c
// SRC: hv/mm/mem.c
// SRC: hv/mm/pool.c
// SRC: hv/mm/pt.c
// SRC: hv/mm/frame.c
// SRC: hv/mm/frame_init.c
/* Memory that a VM gives back and touches again: leaves of every size, all places that map it, accounts, order. */
#include "tests/unit/mm_fakes.h"

#include "hv/cpu/cpu.h"
#include "hv/prog/hypercall.h"

#define GPA (4 * GIGA_SIZE)
#define VA_CALLER (16 * GIGA_SIZE)
#define VA_VMM (32 * GIGA_SIZE)
#define PAGES (512u * 6)

static uint64_t root_of_hv[512];
uint64_t *hv_pml4 = root_of_hv;
struct cpu_features cpu_features = {.page1g = true};
static struct frame_stats before;
static struct prog caller, vmm;
static struct vm vm;
static struct mem *mem;
static unsigned held, blocked, flushes, forgotten, dropped, stalls;
static uint64_t held_at_hold, hv_before;
static struct frame_stats stats;

/* ---- what release.c and fill.c stand on ---- */

static void no_free(struct object *o)
{
	(void)o;
}

unsigned space_each(struct prog *p, const struct mem *m, space_fn *fn, void *ctx)
{
	if (m != mem || !p->as.root)
		return 0;
	if (fn)
		fn(ctx, &p->as, p == &caller ? VA_CALLER : VA_VMM, 0, mem->pages);
	return 1;
}

/* No frame is free before no translation of it is left. */
static void assert_none_freed(void)
{
	assert_true(held == 1 && blocked == (vm.notify.vmm != NULL));
	assert_int_equal(mem->held, held_at_hold);
}

void space_flush(struct prog *p)
{
	assert_ptr_equal(p, &caller);
	assert_none_freed();
	flushes++;
}

void vm_forget_translations(struct vm *v)
{
	assert_ptr_equal(v, &vm);
	assert_none_freed();
	forgotten++;
}

void vm_hold(struct vm *v)
{
	(void)v;
	held++;
	held_at_hold = mem->held;
}

void vm_go_on(struct vm *v)
{
	(void)v;
	held--;
}

bool sched_block(struct sched_ent *e, uint32_t why)
{
	assert_true(e == &vmm.ent && why == BLOCK_MEM);
	blocked++;
	return false;
}

void sched_unblock(struct sched_ent *e, uint32_t why)
{
	assert_true(e == &vmm.ent && why == BLOCK_MEM);
	blocked--;
}

void sched_wait_off(struct sched_ent *e)
{
	assert_ptr_equal(e, &vmm.ent);
}

void sched_drop_root(hpa_t root)
{
	(void)root;
	dropped++;
}

void vm_stall(struct vm *v, gpa_t gpa)
{
	(void)v, (void)gpa;
	stalls++;
}

int user_read(void *to, uva_t from, size_t len)
{
	if (from < 0x1000)
		return -HVE_FAULT;
	memcpy(to, (const void *)(uintptr_t)from, len);
	return 0;
}

/* ---- a VM with RAM, mapped in three places ---- */

static int setup(void **state)
{
	(void)state;
	arena_make();
	frame_add_ram(1 * MIB, 128 * MIB);
	frame_add_ram(4096 * MIB + 512 * MIB, 4096 * MIB + 2048 * MIB);
	frame_init_done();
	return 0;
}

static void make(uint64_t pages, bool giga)
{
	uint64_t now = 0;

	memset(&vm, 0, sizeof(vm));
	memset(&caller, 0, sizeof(caller));
	memset(&vmm, 0, sizeof(vmm));
	held = blocked = flushes = forgotten = dropped = stalls = 0;
	vm.obj.refs = vmm.obj.refs = 1;
	vmm.obj.free = no_free;
	vm.notify.vmm = &vmm;
	frame_stats(&before);
	hv_before = account_hv.pages;
	assert_int_equal(mem_create(0, &vm.acct, &mem), 0);
	while (now < pages)
		assert_int_equal(mem_grow(mem, pages, &now), 0);
	vm.slots[HV_SLOT_RAM] = mem;
	assert_int_equal(pt_create(&vm.npt, PT_EPT, &vm.acct), 0);
	assert_int_equal(pt_create(&caller.as, PT_PROGRAM, &caller.acct), 0);
	assert_int_equal(pt_create(&vmm.as, PT_PROGRAM, &vmm.acct), 0);
	vm.npt.giga = caller.as.giga = giga;
	assert_int_equal(mem_map_into(mem, 0, pages, &vm.npt, GPA, PT_R | PT_W | PT_X), 0);
	assert_int_equal(mem_map_into(mem, 0, pages, &caller.as, VA_CALLER, PT_R | PT_W), 0);
	assert_int_equal(mem_map_into(mem, 0, pages, &vmm.as, VA_VMM, PT_R | PT_W), 0);
	vm.spans[0] = (struct vm_span){
		.mem = mem, .gpa = GPA, .pages = pages & ~0u, .prot = PT_R | PT_W | PT_X};
	vm.n_spans = 1;
	assert_int_equal(mem->mapped, 3);
}

static void unmake(void)
{
	pt_clear(&vm.npt, 0, 1ull << 47);
	pt_clear(&caller.as, 0, 1ull << 47);
	pt_clear(&vmm.as, 0, 1ull << 47);
	assert_int_equal(vm.npt.tables + caller.as.tables + vmm.as.tables, 3);
	pt_destroy(&vm.npt);
	pt_destroy(&caller.as);
	pt_destroy(&vmm.as);
	object_put(&mem->obj);
	frame_stats(&stats);
	assert_int_equal(stats.free, before.free);
	assert_int_equal(vm.acct.pages + caller.acct.pages + vmm.acct.pages, 0);
	assert_int_equal(objects_live, 0);
	assert_int_equal(held + blocked, 0);
	assert_int_equal(vmm.obj.refs, 1);
}

static int call(const uint64_t *ranges, uint64_t n, uint64_t *value)
{
	caller.regs.rsi = (uint64_t)(uintptr_t)ranges;
	caller.regs.rdx = n;
	*value = 0;
	return hc_vm_release(&caller, &vm.obj, value);
}

static int release(uint64_t page, uint64_t pages)
{
	uint64_t range = HV_RANGE(page, pages), done;

	return call(&range, 1, &done);
}

static void sums(void)
{
	frame_stats(&stats);
	assert_int_equal(vm.acct.pages, mem->held + mem->frames.tables + vm.npt.tables);
	assert_int_equal(caller.acct.pages, caller.as.tables);
	assert_int_equal(vmm.acct.pages, vmm.as.tables);
	assert_int_equal(before.free - stats.free, vm.acct.pages + caller.acct.pages +
							   vmm.acct.pages + account_hv.pages -
							   hv_before);
}

/* Is the page there, and the same in all three places? A place may not have it yet. */
static bool there(uint64_t page)
{
	struct pt_entry e;
	uint64_t run;
	hpa_t hpa;
	bool is = mem_lookup(mem, page, &hpa, &run) == 0;

	if (pt_lookup(&vm.npt, GPA + page * PAGE_SIZE, &e)) {
		assert_true(is && e.prot == (PT_R | PT_W | PT_X | PT_BORROWED));
		assert_int_equal(e.hpa + (GPA + page * PAGE_SIZE - e.va), hpa);
	}
	if (pt_lookup(&caller.as, VA_CALLER + page * PAGE_SIZE, &e))
		assert_true(is && e.hpa + (VA_CALLER + page * PAGE_SIZE - e.va) == hpa);
	if (pt_lookup(&vmm.as, VA_VMM + page * PAGE_SIZE, &e))
		assert_true(is && e.hpa + (VA_VMM + page * PAGE_SIZE - e.va) == hpa);
	return is;
}

/* ---- tests ---- */

static void test_inside_of_a_large_page(void **state)
{
	uint64_t run;
	hpa_t hpa;

	(void)state;
	make(PAGES, false);
	assert_int_equal(release(512 + 7, 3), 0);
	assert_int_equal(mem->held, PAGES - 3);
	sums();
	for (unsigned i = 500; i < 1030; i++)
		assert_int_equal(there(i), i < 512 + 7 || i >= 512 + 10);
	assert_int_equal(mem_lookup(mem, 512 + 7, &hpa, &run), -HVE_NOENT);
	assert_int_equal(run, 3);
	assert_int_equal(flushes, 1);
	assert_int_equal(forgotten, 1);
	assert_int_equal(dropped, 2);
	assert_int_equal(release(512 + 6, 5), 0); /* holes are holes */
	assert_int_equal(mem->held, PAGES - 5);
	unmake();
}

static void test_whole_large_pages(void **state)
{
	struct pt_entry e;
	uint64_t tables;

	(void)state;
	make(PAGES, false);
	tables = vm.npt.tables + mem->frames.tables;
	assert_int_equal(release(512, 1024), 0);
	assert_int_equal(vm.npt.tables + mem->frames.tables, tables); /* nothing was split */
	assert_int_equal(mem->held, PAGES - 1024);
	assert_false(there(512));
	assert_true(there(511) && there(1536));
	assert_true(pt_lookup(&vm.npt, GPA, &e) && e.shift == LARGE_SHIFT);
	sums();
	assert_int_equal(release(0, PAGES), 0);
	assert_int_equal(mem->held, 0);
	sums();
	unmake();
}

static void test_a_page_of_a_giga_page(void **state)
{
	struct pt_entry e;

	(void)state;
	make(262144, true);
	assert_true(pt_lookup(&vm.npt, GPA, &e) && e.shift == GIGA_SHIFT);
	assert_int_equal(release(1000, 1), 0);
	assert_true(there(999) && !there(1000) && there(1001) && there(262143));
	assert_true(pt_lookup(&vm.npt, GPA + GIGA_SIZE / 2, &e) && e.shift == LARGE_SHIFT);
	assert_int_equal(mem->held, 262143);
	sums();
	unmake();
}

static void test_touched_again(void **state)
{
	static const uint8_t zeros[PAGE_SIZE];
	uint64_t run;
	hpa_t hpa;

	(void)state;
	make(PAGES, false);
	assert_int_equal(vm_fill(&vm, GPA), -HVE_NOENT); /* it has no holes */
	assert_int_equal(mem_lookup(mem, 5, &hpa, &run), 0);
	memset(phys_to_hv(hpa), 0x5a, PAGE_SIZE);
	assert_int_equal(release(0, 512), 0);
	assert_int_equal(vm_fill(&vm, GPA - 1), -HVE_NOENT);
	assert_int_equal(vm_fill(&vm, GPA + PAGES * PAGE_SIZE), -HVE_NOENT);
	assert_int_equal(vm_fill(&vm, GPA + 5 * PAGE_SIZE + 17), 0);
	assert_int_equal(vm_fill(&vm, GPA + 5 * PAGE_SIZE), 0); /* the other vCPU's */
	assert_true(there(5) && !there(4) && !there(6));
	assert_int_equal(mem->held, PAGES - 511);
	assert_int_equal(mem_lookup(mem, 5, &hpa, &run), 0);
	assert_memory_equal(phys_to_hv(hpa), zeros, PAGE_SIZE);
	assert_int_equal(guest_fill(&vm.npt, GPA + 9 * PAGE_SIZE), 0);
	assert_int_equal(guest_fill(&vm.npt, 0), -HVE_INVAL);
	/* one that a program touched is the same for the guest */
	assert_int_equal(mem_fill(mem, 20, 0, &hpa), 0);
	assert_int_equal(vm_fill(&vm, GPA + 20 * PAGE_SIZE), 0);
	assert_true(there(20));
	sums();
	unmake();
}

static void test_no_memory(void **state)
{
	struct account hog = {0};
	uint64_t n = 0;
	hpa_t *taken = calloc(1u << 20, sizeof(*taken));

	(void)state;
	make(PAGES, false);
	assert_int_equal(release(3, 1), 0);
	for (frame_stats(&stats); stats.free > MEM_RESERVE_PAGES; frame_stats(&stats))
		assert_int_equal(frame_alloc(&hog, FRAME_4K, &taken[n++]), 0);
	assert_int_equal(vm_fill(&vm, GPA + 3 * PAGE_SIZE), -HVE_NOMEM);
	assert_int_equal(guest_fill(&vm.npt, GPA + 3 * PAGE_SIZE), -HVE_BUSY);
	assert_int_equal(stalls, 2);
	assert_false(there(3));
	frame_free(&hog, taken[--n], FRAME_4K);
	assert_int_equal(vm_fill(&vm, GPA + 3 * PAGE_SIZE), 0);
	while (n)
		frame_free(&hog, taken[--n], FRAME_4K);
	free(taken);
	unmake();
}

/* No memory for the tables of a split, at each of them in turn: nothing of that range has gone. */
static void test_no_memory_to_split(void **state)
{
	const uint64_t ranges[] = {HV_RANGE(0, 512), HV_RANGE(600, 3)};
	uint64_t done;

	(void)state;
	for (unsigned who = 0; who < 4; who++) {
		make(PAGES, false);
		vm.acct.limit = who < 2 ? vm.acct.pages + who : 0; /* the object's, the VM's */
		caller.acct.limit = who == 2 ? caller.acct.pages : 0;
		vmm.acct.limit = who == 3 ? vmm.acct.pages : 0;
		assert_int_equal(call(&ranges[1], 1, &done), -HVE_NOMEM);
		assert_int_equal(mem->held, PAGES);
		assert_int_equal(call(ranges, 2, &done), 0);
		assert_int_equal(done, 1);
		assert_int_equal(mem->held, PAGES - 512);
		assert_true(there(600) && there(601) && there(602));
		sums();
		unmake();
	}
}

static void test_refused(void **state)
{
	const uint64_t good = HV_RANGE(0, 1);
	struct prog *there_was = &vmm;
	uint64_t done;

	(void)state;
	make(PAGES, false);
	assert_int_equal(call(&good, 0, &done), -HVE_INVAL);
	assert_int_equal(call(&good, HV_RANGES_MAX + 1, &done), -HVE_INVAL);
	assert_int_equal(call(NULL, 1, &done), -HVE_FAULT);
	assert_int_equal(release(PAGES, 1), -HVE_INVAL);
	assert_int_equal(release(PAGES - 1, 2), -HVE_INVAL);
	assert_int_equal(release((1ull << 40) - 1, (1u << 24) - 1), -HVE_INVAL);
	assert_int_equal(release(0, 0), -HVE_INVAL);
	/* mapped by somebody that is not known */
	mem->mapped++;
	assert_int_equal(release(0, 1), -HVE_BUSY);
	mem->mapped--;
	/* a vmm that has ended, but has not been taken apart */
	vm.notify.vmm = NULL;
	assert_int_equal(release(0, 1), -HVE_BUSY);
	vm.notify.vmm = there_was;
	vmm.dying = true;
	assert_int_equal(release(0, 1), -HVE_BUSY);
	vmm.dying = false;
	vm.dead = true;
	assert_int_equal(release(0, 1), -HVE_STATE);
	vm.dead = false;
	vm.slots[HV_SLOT_RAM] = NULL;
	assert_int_equal(release(0, 1), -HVE_NOENT);
	vm.slots[HV_SLOT_RAM] = mem;
	assert_int_equal(mem->held, PAGES);
	assert_int_equal(flushes + forgotten, 0);
	unmake();
}

static void test_too_much_at_once(void **state)
{
	(void)state;
	make(HV_RELEASE_MAX + 512, false);
	assert_int_equal(release(0, HV_RELEASE_MAX + 1), -HVE_INVAL);
	assert_int_equal(release(0, HV_RELEASE_MAX), 0);
	assert_int_equal(mem->held, 512);
	unmake();
}

/* What is mapped while there are holes has them too. */
static void test_mapped_with_holes(void **state)
{
	struct pt_entry e;
	struct pt late;

	(void)state;
	make(PAGES, false);
	assert_int_equal(release(10, 20), 0);
	assert_int_equal(release(1024, 512), 0);
	assert_int_equal(pt_create(&late, PT_NPT, &vm.acct), 0);
	assert_int_equal(mem_map_into(mem, 5, PAGES - 5, &late, 0, PT_R), 0);
	for (unsigned i = 0; i < PAGES - 5; i++)
		assert_int_equal(pt_lookup(&late, i * PAGE_SIZE, &e), there(i + 5));
	mem_unmapped(mem);
	pt_clear(&late, 0, 1ull << 40);
	pt_destroy(&late);
	unmake();
}

static void test_random(void **state)
{
	static bool model[PAGES];
	uint64_t seed = 88172645463325252ull, n_held = PAGES;

	(void)state;
	make(PAGES, false);
	memset(model, 1, sizeof(model));
	for (unsigned i = 0; i < 4000; i++) {
		uint64_t page, n;

		seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
		page = seed % PAGES;
		n = seed >> 40 & 1 ? 1 : 1 + (seed >> 32) % 600;
		n = MIN(n, PAGES - page);
		if (seed >> 20 & 3) {
			assert_int_equal(release(page, n), 0);
			for (uint64_t k = page; k < page + n; k++) {
				n_held -= model[k];
				model[k] = false;
			}
		} else {
			for (uint64_t k = page; k < page + n; k++) {
				assert_int_equal(vm_fill(&vm, GPA + k * PAGE_SIZE), 0);
				n_held += !model[k];
				model[k] = true;
			}
		}
		assert_int_equal(mem->held, n_held);
		sums();
		if (i % 50 == 0)
			for (unsigned k = 0; k < PAGES; k++)
				assert_int_equal(there(k), model[k]);
	}
	unmake();
}

static void test_recharged(void **state)
{
	struct account other = {0};

	(void)state;
	make(PAGES, false);
	assert_int_equal(release(100, 1000), 0);
	mem_recharge(mem, &other);
	assert_int_equal(other.pages, PAGES - 1000 + mem->frames.tables);
	mem_recharge(mem, &vm.acct);
	assert_int_equal(other.pages, 0);
	unmake();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inside_of_a_large_page),
		cmocka_unit_test(test_whole_large_pages),
		cmocka_unit_test(test_a_page_of_a_giga_page),
		cmocka_unit_test(test_touched_again),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_no_memory_to_split),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_too_much_at_once),
		cmocka_unit_test(test_mapped_with_holes),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_recharged),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
