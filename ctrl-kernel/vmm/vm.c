/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VM of this program: attach to it, boot it, reset it, switch it off. Start and restart of the vmm are the
 * same path (state.h has the picture): whatever hv already has (claims, vCPU state) is found, not made again.
 */
#include "ctrl-kernel/vmm/vm.h"
#include "ctrl-kernel/vmm/boot.h"
#include "ctrl-kernel/vmm/console_area.h"
#include "ctrl-kernel/vmm/layout.h"
#include "ctrl-kernel/vmm/tables.h"

#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/rt/fmt.h"
#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/rt/rt.h"

#include <string.h>

/* Fixed places, so that all small mappings share one page table with the stack. */
#define VA_PAGE HV_VA_MAP_LO
#define VA_CONFIG (VA_PAGE + HV_PAGE_SIZE)
#define VA_SURVIVOR (VA_CONFIG + VMM_CONFIG_PAGES * HV_PAGE_SIZE)
#define VA_CONSOLE (VA_SURVIVOR + VMM_SURVIVOR_PAGES * HV_PAGE_SIZE)
#define VA_IMAGES (VMM_RAM_VA + 0x6000000000ull) /* boot images, while they are copied */
#define VA_ALIGN 0x200000ull                     /* so that hv can use large pages */

/* The devices, all of them; the order is that of attaching. */
static const struct {
	void (*attach)(struct vm *vm);
	void (*reset)(struct vm *vm);
} devices[] = {
	{hotplug_attach, hotplug_reset},   {pci_attach, pci_reset},
	{platform_attach, platform_reset}, {rtc_attach, rtc_reset},
	{virtio_attach, virtio_reset},
};

extern const uint8_t dsdt_aml[]; /* dsdt.S */
extern const uint32_t dsdt_aml_bytes;

struct vm the_vm;
struct vmm_status *the_status;
volatile struct hv_vm_page *the_page;

static struct guest ram;
static uint32_t vm_handle;

void vm_irq(struct vm *vm, unsigned gsi, bool level)
{
	(void)vm;
	(void)hv_vm_irq_line(vm_handle, gsi,
			     level); /* refused only when the VM is being destroyed */
}

/* One that is no interrupt message is lost. */
void vm_msi(struct vm *vm, uint64_t address, uint32_t data)
{
	(void)vm;
	(void)hv_vm_msi(vm_handle, address, data);
}

void vm_msi_last(struct vm *vm, uint64_t address, uint32_t data)
{
	(void)vm;
	loop_last_call(HVC_VM_MSI, vm_handle, address, data, 0);
}

void vm_claim(uint32_t space, uint64_t base, uint64_t len, uint32_t kind, uint32_t bit)
{
	int r = hv_vm_claim(vm_handle, space, base, len, kind, bit);

	if (r != 0 && r != -HVE_EXIST) /* EXIST: claimed by the instance before */
		rt_die("cannot claim 0x%llx: %s", (unsigned long long)base, rt_strerror(r));
}

void vm_unclaim(uint32_t space, uint64_t base, uint64_t len)
{
	(void)hv_vm_unclaim(vm_handle, space, base,
			    len); /* NOENT: the instance before came so far */
}

void vm_io_tell(void)
{
	loop_last_call(HVC_VM_NOTIFY, vm_handle, HV_NOTIFY_IO, 0,
		       0); /* nobody there: the next one looks */
}

void *vm_io_page(uint32_t page)
{
	return (char *)VMM_IO_VA + (uint64_t)page * HV_PAGE_SIZE;
}

/* ---- status ---- */

void vm_tell(void)
{
	__atomic_store_n(&the_status->changes, the_status->changes + 1, __ATOMIC_RELEASE);
	/* It may be gone: its next instance reads the status. */
	(void)hv_vm_notify(vm_handle, HV_NOTIFY_STATUS);
}

void vm_slots(struct vm *vm, uint32_t slots)
{
	the_status->slots = slots;
	__atomic_store_n(&the_status->slots_seq, vm->slots_seq, __ATOMIC_RELEASE);
}

static void phase_set(enum vmm_phase phase)
{
	the_status->phase = phase;
	vm_tell();
}

static void fail(const char *why)
{
	rt_snprintf(the_status->text, sizeof(the_status->text), "%s", why);
	phase_set(VMM_FAILED);
}

/* ---- attach ---- */

/* Maps at most `step` pages a call, fewer where hv says that small frames make it too many for one. */
static void map(uint32_t mem, uint64_t from, uint64_t pages, uint64_t va, uint64_t step,
		uint32_t prot, const char *what)
{
	for (uint64_t done = 0, n; done < pages; done += n) {
		int r;

		n = pages - done < step ? pages - done : step;
		while ((r = hv_mem_map(mem, from + done, n, va + done * HV_PAGE_SIZE, prot)) ==
			       -HVE_LIMIT &&
		       n > HV_GROW_MAX)
			n = n / 2 / HV_GROW_MAX * HV_GROW_MAX;
		if (r != 0)
			rt_die("cannot map the %s: %s", what, rt_strerror(r));
	}
}

static void slot_map_from(unsigned slot, uint64_t from, uint64_t pages, uint64_t va, uint32_t prot,
			  const char *what)
{
	uint64_t mem;
	int r = hv_vm_slot(vm_handle, slot, &mem);

	if (r != 0)
		rt_die("the VM has no %s: %s", what, rt_strerror(r));
	map((uint32_t)mem, from, pages, va, HV_MAP_MAX, prot, what);
	(void)hv_handle_close((uint32_t)mem); /* the mapping holds it */
}

static void slot_map(unsigned slot, uint64_t pages, uint64_t va, uint32_t prot, const char *what)
{
	slot_map_from(slot, 0, pages, va, prot, what);
}

void vm_io_map(void)
{
	uint64_t pages = the_vm.config->io_pages;

	if (pages > the_vm.io_mapped)
		slot_map_from(HV_SLOT_IO, the_vm.io_mapped, pages - the_vm.io_mapped,
			      VMM_IO_VA + the_vm.io_mapped * HV_PAGE_SIZE, HVP_READ | HVP_WRITE,
			      "I/O area");
	the_vm.io_mapped = pages;
}

static void memory_attach(void)
{
	vm_handle = rt_info()->vm;
	slot_map(HV_SLOT_PAGE, 1, VA_PAGE, HVP_READ | HVP_WRITE, "VM page");
	slot_map(HV_SLOT_CONFIG, VMM_CONFIG_PAGES, VA_CONFIG, HVP_READ, "configuration");
	slot_map(HV_SLOT_SURVIVOR, VMM_SURVIVOR_PAGES, VA_SURVIVOR, HVP_READ | HVP_WRITE,
		 "survivor pages");
	the_page = (volatile struct hv_vm_page *)VA_PAGE;
	the_status = (struct vmm_status *)VA_SURVIVOR;
	the_vm.state = (struct vmm_state *)(VA_SURVIVOR + HV_PAGE_SIZE);
	the_vm.config = (const struct vmm_config *)VA_CONFIG;
	if (the_vm.config->version != VMM_CONFIG_VERSION || the_vm.config->vcpus == 0 ||
	    the_vm.config->vcpus > HV_VCPUS_MAX)
		rt_die("the configuration has another version than this program");
	ram = (struct guest){(uint8_t *)VMM_RAM_VA, the_vm.config->ram_bytes};
	the_vm.ram = &ram;
	if (the_vm.config->console) {
		slot_map(HV_SLOT_PORT, CONSOLE_AREA_PAGES, VA_CONSOLE, HVP_READ | HVP_WRITE,
			 "console");
		the_vm.console = (struct console_area *)VA_CONSOLE;
	}
	vm_io_map();
	slot_map(HV_SLOT_RAM, ram.bytes / HV_PAGE_SIZE, VMM_RAM_VA, HVP_READ | HVP_WRITE, "RAM");
}

static bool vm_runs(void)
{
	struct hv_vm_info info;

	return hv_vm_info(vm_handle, &info) == 0 &&
	       (info.state == HV_VM_RUNNING || info.state == HV_VM_PAUSED);
}

static void state_make(struct vmm_state *s)
{
	memset(s, 0, sizeof(*s));
	s->version = STATE_VERSION;
	s->boot = BOOT_NEEDED;
	s->command_done = state_command(0);
	the_status->version = STATE_VERSION;
	__atomic_store_n(&s->magic, STATE_MAGIC, __ATOMIC_RELEASE);
}

/* There is none yet for the first instance, and for the one after that if the first did not get so far; but a VM that
 * runs has had one. */
static void state_attach(void)
{
	struct vmm_state *s = the_vm.state;
	bool runs = vm_runs();
	const char *why;

	if (the_status->phase == VMM_BAD_STATE)
		return; /* with a reason */
	if (s->magic == 0 && !runs)
		state_make(s);
	why = state_check(s);
	if (!why)
		why = status_check(the_status, s, runs);
	if (why) {
		rt_snprintf(the_status->text, sizeof(the_status->text),
			    "what its device program left for the next one cannot be used: %s",
			    why);
		the_status->phase = VMM_BAD_STATE;
	} else if (the_status->phase == VMM_OFF && runs) {
		the_status->phase = VMM_RUNNING; /* the access that asked for it waits */
	}
}

static void devices_attach(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(devices); i++)
		devices[i].attach(&the_vm);
	for (unsigned i = 0; i < the_vm.bus.n; i++) {
		const struct bus_range *b = &the_vm.bus.ranges[i];

		vm_claim(b->space, b->base, b->len, HV_CLAIM_PARK, 0);
	}
}

/* ---- boot ---- */

/* What one call always maps, whatever the frames: so image_unmap knows the pieces. */
#define IMAGE_STEP 8192u

/* Maps one image at *va and moves *va past it. */
static struct boot_image image_map(const struct vmm_image *image, uint64_t *va)
{
	struct boot_image b = {NULL, image->bytes, image->string};
	uint64_t pages = (image->bytes + HV_PAGE_SIZE - 1) / HV_PAGE_SIZE;

	if (image->mem == 0 || pages == 0) {
		b.bytes = 0;
		return b;
	}
	map(image->mem, 0, pages, *va, IMAGE_STEP, HVP_READ, "boot image");
	b.data = (const uint8_t *)*va;
	*va = (*va + pages * HV_PAGE_SIZE + VA_ALIGN - 1) & ~(VA_ALIGN - 1);
	return b;
}

static void image_unmap(const struct boot_image *b)
{
	uint64_t pages = (b->bytes + HV_PAGE_SIZE - 1) / HV_PAGE_SIZE;

	for (uint64_t done = 0; done < pages; done += IMAGE_STEP)
		(void)hv_mem_unmap((uint64_t)(uintptr_t)b->data + done * HV_PAGE_SIZE,
				   pages - done < IMAGE_STEP ? pages - done : IMAGE_STEP);
}

static bool images_load(struct boot_output *out, char why[BOOT_WHY_MAX])
{
	const struct vmm_config *c = the_vm.config;
	struct boot_image modules[BOOT_MODULES_MAX];
	struct boot_input in = {.modules = modules, .cmdline = c->cmdline};
	uint64_t va = VA_IMAGES;
	bool ok;

	if (c->n_modules > BOOT_MODULES_MAX)
		return boot_fail(why, "%u modules are given; at most %u are accepted", c->n_modules,
				 BOOT_MODULES_MAX);
	in.kernel = image_map(&c->kernel, &va);
	for (; in.n_modules < c->n_modules; in.n_modules++)
		modules[in.n_modules] = image_map(&c->modules[in.n_modules], &va);
	ok = boot_load(&ram, &in, out, why);
	image_unmap(&in.kernel);
	for (unsigned i = 0; i < in.n_modules; i++)
		image_unmap(&modules[i]);
	return ok;
}

/* From a VM that is STOPPED and in power-on state, with its devices reset. The other vCPUs wait for INIT and SIPI by
 * themselves. */
static bool boot(char why[BOOT_WHY_MAX])
{
	struct boot_output out;
	int r;

	loop_long_turn();
	if (!images_load(&out, why))
		return false;
	if (!tables_build(&ram, the_vm.config->vcpus, dsdt_aml, dsdt_aml_bytes))
		return boot_fail(why, "the ACPI tables do not fit into guest memory");
	r = hv_vcpu_set(vm_handle, 0, &out.regs);
	if (r != 0)
		return boot_fail(why, "vCPU 0 cannot be set up: %s", rt_strerror(r));
	the_status->boot_kind = out.kind;
	__atomic_store_n(&the_vm.state->boot, BOOT_READY, __ATOMIC_RELEASE);
	r = hv_vm_control(vm_handle, HV_VMC_START, 0);
	if (r != 0)
		return boot_fail(why, "the VM cannot be started: %s", rt_strerror(r));
	the_vm.state->boot = BOOT_DONE;
	return true;
}

static void tell_running(void)
{
	if (the_status->started_ns == 0)
		the_status->started_ns = rt_now();
	phase_set(VMM_RUNNING);
}

static bool reset_waits;

/* Not before all that is under way has ended: it may be a read, and guest memory gets the boot image. */
static void boot_and_tell(void)
{
	char why[BOOT_WHY_MAX];

	reset_waits = virtio_resetting();
	if (reset_waits)
		return;
	if (!boot(why)) {
		fail(why);
		return;
	}
	tell_running();
}

static void devices_reset(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(devices); i++)
		devices[i].reset(&the_vm);
}

static void boot_from_reset(void)
{
	devices_reset();
	boot_and_tell();
}

void vm_boot_go_on(void)
{
	if (reset_waits)
		boot_and_tell();
}

static void reset(void)
{
	int r;

	the_vm.state->boot = BOOT_NEEDED;
	r = hv_vm_reset(vm_handle);
	if (r != 0) {
		fail("the VM cannot be reset");
		return;
	}
	boot_from_reset();
}

/* ctrl ends this program as soon as it hears of it: so the status stands before the VM's stop tells it. */
static void power_off(void)
{
	the_status->phase = VMM_OFF;
	__atomic_store_n(&the_status->changes, the_status->changes + 1, __ATOMIC_RELEASE);
	(void)hv_vm_control(vm_handle, HV_VMC_STOP, HV_VMR_POWER_OFF);
	vm_tell();
}

void vm_carry_out(enum vm_request what)
{
	the_vm.request = VM_REQ_NONE;
	if (what == VM_REQ_OFF)
		power_off();
	if (what == VM_REQ_RESET) {
		the_status->resets++;
		reset();
	}
}

void vm_attach(void)
{
	memory_attach();
	devices_attach();
	state_attach();
	if (the_status->phase != VMM_BAD_STATE)
		pci_bars_restore(&the_vm);
}

void vm_start(void)
{
	if (the_vm.state->boot == BOOT_READY && vm_runs())
		the_vm.state->boot = BOOT_DONE;
	if (the_status->phase >= VMM_FAILED)
		vm_tell(); /* it may not have been told */
	else if (the_vm.state->boot == BOOT_DONE)
		tell_running(); /* back again; park_scan finds what waits */
	else if (rt_info()->instance > 1)
		reset(); /* the instance before died on the way */
	else
		boot_from_reset();
}
