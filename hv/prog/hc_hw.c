/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls about the machine, for the program that drives its devices: registers, PCI configuration, interrupts,
 * power, figures. Without an IOMMU such a program can have any memory written by a device; what is checked here keeps
 * its mistakes apart from hv, and its devices quiet after its death.
 */
#include "hv/prog/hypercall.h"

#include "hv/abi/hv_vm.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/speculation.h"
#include "hv/lib/string.h"
#include "hv/mm/pool.h"
#include "hv/mm/user.h"

#define PCI_COMMAND 4u       /* PCI 3.0 6.2.2 */
#define PCI_BUS_MASTER 0x4u  /* ... bit 2 */
#define PCI_BDF_END 0x10000u /* bus << 8 | device << 3 | function */
#define PCI_SPACE 4096u
#define MASTERS_MAX 128u

/* ---- device registers ---- */

int hc_mmio_map(struct prog *p, struct object *o, uint64_t *value)
{
	uint64_t phys = arg0(p), pages = arg1(p), end;

	(void)o, (void)value;
	if (phys % PAGE_SIZE || pages == 0 || pages > HV_GROW_MAX * 8 ||
	    ADD_OVERFLOW(phys, pages << PAGE_SHIFT, &end) || end > 1ull << cpu_features.phys_bits)
		return -HVE_INVAL;
	if (!plat_is_device_memory(phys, end))
		return -HVE_RIGHTS;
	return space_map_device(p, arg2(p), phys, pages);
}

/* ---- PCI ---- */

/* Functions that a program let be bus masters: [L:hv_lock] */
static struct {
	struct prog *owner; /* NULL: free; compared only */
	uint32_t bdf;
} masters[MASTERS_MAX];

static bool pci_args_ok(uint64_t bdf, uint64_t offset, uint64_t width)
{
	return bdf < PCI_BDF_END && (width == 1 || width == 2 || width == 4) &&
	       offset <= PCI_SPACE - width && offset % width == 0;
}

static int remember_master(struct prog *p, uint32_t bdf)
{
	unsigned room = MASTERS_MAX;

	for (unsigned i = 0; i < MASTERS_MAX; i++) {
		if (masters[i].owner == p && masters[i].bdf == bdf)
			return 0;
		if (!masters[i].owner && room == MASTERS_MAX)
			room = i;
	}
	if (room == MASTERS_MAX)
		return -HVE_LIMIT;
	masters[room].owner = p;
	masters[room].bdf = bdf;
	return 0;
}

void hw_release(struct prog *p)
{
	spin_lock(&hv_lock);
	for (unsigned i = 0; i < MASTERS_MAX; i++) {
		uint32_t command;

		if (masters[i].owner != p)
			continue;
		masters[i].owner = NULL;
		if (pci_config_read(masters[i].bdf, PCI_COMMAND, 2, &command) == 0)
			(void)!pci_config_write(masters[i].bdf, PCI_COMMAND, 2,
						command & ~PCI_BUS_MASTER);
		/* What it still had under way is pushed before this answer (PCIe 2.4.1). */
		(void)!pci_config_read(masters[i].bdf, PCI_COMMAND, 2, &command);
	}
	spin_unlock(&hv_lock);
}

int hc_pci_read(struct prog *p, struct object *o, uint64_t *value)
{
	uint32_t v;
	int err;

	(void)o;
	if (!pci_args_ok(arg0(p), arg1(p), arg2(p)))
		return -HVE_INVAL;
	err = pci_config_read((uint32_t)arg0(p), (unsigned)arg1(p), (unsigned)arg2(p), &v);
	if (err == 0)
		*value = v;
	return err;
}

int hc_pci_write(struct prog *p, struct object *o, uint64_t *value)
{
	uint64_t v = arg3(p);
	int err = 0;

	(void)o, (void)value;
	if (!pci_args_ok(arg0(p), arg1(p), arg2(p)) || v >> (8 * arg2(p)))
		return -HVE_INVAL;
	if (arg1(p) == PCI_COMMAND && (v & PCI_BUS_MASTER))
		err = remember_master(p, (uint32_t)arg0(p));
	if (err != 0)
		return err;
	return pci_config_write((uint32_t)arg0(p), (unsigned)arg1(p), (unsigned)arg2(p),
				(uint32_t)v);
}

/* ---- interrupts ---- */

struct irq_object {
	struct object obj;
	struct prog *owner; /* [I] [borrows] only its handle table holds this object */
	unsigned irq;       /* [I] */
	unsigned bit;       /* [I] */
};
static struct pool irq_objects = {.size = sizeof(struct irq_object)};

static void irq_fired(void *ctx)
{
	struct irq_object *i = ctx;

	prog_events_post(i->owner, 1ull << i->bit);
}

static void irq_object_free(struct object *o)
{
	struct irq_object *i = CONTAINER_OF(o, struct irq_object, obj);

	irq_release(i->irq);
	pool_free(&irq_objects, i);
}

static int irq_object_new(struct prog *p, uint64_t bit, struct irq_object **out)
{
	struct irq_object *i;

	if (bit >= HV_EVENT_BITS)
		return -HVE_INVAL;
	i = pool_alloc(&irq_objects);
	if (!i)
		return -HVE_NOMEM;
	i->owner = p;
	i->bit = (unsigned)bit;
	*out = i;
	return 0;
}

/* It is bound: from here the object owns it. */
static int irq_answer(struct prog *p, struct irq_object *i, uint64_t *value)
{
	int err;

	object_init(&i->obj, OBJECT_IRQ, irq_object_free);
	err = answer_handle(p, &i->obj, HVR_READ | HVR_WRITE, value);
	object_put(&i->obj);
	return err;
}

int hc_irq_bind_gsi(struct prog *p, struct object *o, uint64_t *value)
{
	uint64_t gsi = arg0(p), flags = arg2(p);
	struct irq_object *i;
	int err;

	(void)o;
	if (gsi > UINT32_MAX || (flags & ~(uint64_t)(HVI_LEVEL | HVI_LOW)))
		return -HVE_INVAL;
	err = irq_object_new(p, arg1(p), &i);
	if (err != 0)
		return err;
	err = irq_alloc_gsi((unsigned)gsi, (unsigned)flags, irq_fired, i, &i->irq);
	if (err != 0) {
		pool_free(&irq_objects, i);
		return err;
	}
	return irq_answer(p, i, value);
}

int hc_irq_bind_msi(struct prog *p, struct object *o, uint64_t *value)
{
	struct hv_msi msi = {0};
	struct irq_object *i;
	int err;

	(void)o;
	/* Before anything exists: can the answer be written? */
	if (user_write(arg1(p), &msi, sizeof(msi)) != 0)
		return -HVE_FAULT;
	err = irq_object_new(p, arg0(p), &i);
	if (err != 0)
		return err;
	err = irq_alloc_msi(irq_fired, i, &i->irq, &msi.address, &msi.data);
	if (err != 0) {
		pool_free(&irq_objects, i);
		return err;
	}
	err = irq_answer(p, i, value);
	if (err == 0)
		err = user_write(arg1(p), &msi, sizeof(msi));
	return err;
}

int hc_irq_ack(struct prog *p, struct object *o, uint64_t *value)
{
	(void)p, (void)value;
	irq_unmask(CONTAINER_OF(o, struct irq_object, obj)->irq);
	return 0;
}

/* ---- the host ---- */

int hc_host_power(struct prog *p, struct object *o, uint64_t *value)
{
	(void)o, (void)value;
	if (arg0(p) == HV_POWER_REBOOT)
		plat_reboot();
	if (arg0(p) != HV_POWER_OFF)
		return -HVE_INVAL;
	plat_power_off();
	return -HVE_NOENT; /* this machine has no way */
}

/* Frames are charged to exactly one account, so the parts and mem_free make up mem_total. */
static void fill_memory(struct hv_host_info *i)
{
	struct prog *ctrl = __atomic_load_n(&prog_ctrl, __ATOMIC_ACQUIRE);
	struct frame_stats s;

	frame_stats(&s);
	i->mem_total = s.total;
	i->mem_free = s.free;
	i->mem_hv = __atomic_load_n(&account_hv.pages, __ATOMIC_RELAXED);
	i->mem_ctrl = ctrl ? __atomic_load_n(&ctrl->acct.pages, __ATOMIC_RELAXED) : 0;
	i->mem_vms = vm_pages_of_all() + prog_pages_of_vmms();
	i->mem_modules = __atomic_load_n(&account_modules.pages, __ATOMIC_RELAXED);
}

static void fill_speculation(struct hv_host_info *i)
{
	speculation_issues_text(speculation.issues, i->spec_issues, sizeof(i->spec_issues));
	speculation_issues_text(speculation.open, i->spec_open, sizeof(i->spec_open));
	speculation_defences_text(speculation.defences, i->spec_defences, sizeof(i->spec_defences));
	speculation_defences_text(speculation.off, i->spec_off, sizeof(i->spec_off));
}

int hc_host_info(struct prog *p, struct object *o, uint64_t *value)
{
	struct hv_host_info i = {.cpus = n_cpus};

	(void)o, (void)value;
	if (arg1(p) != sizeof(i))
		return -HVE_INVAL;
	i.virt = vendor ? vendor->virt : HV_VIRT_NONE;
	if (!vendor && vendor_reason)
		str_copy(i.virt_reason, vendor_reason, sizeof(i.virt_reason));
	str_copy(i.cpu_model, cpu_features.model_name, sizeof(i.cpu_model));
	fill_memory(&i);
	fill_speculation(&i);
	i.uptime_ns = time_now();
	i.idle_ns = sched_idle_ns();
	i.tsc_khz = tsc_khz;
	i.unclaimed_irqs = irq_unclaimed;
	i.objects = objects_live;
	i.boot_epoch = prog_boot_epoch;
	return user_write(arg0(p), &i, sizeof(i));
}
