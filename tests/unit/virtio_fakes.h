/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Around the vmm's virtio devices on the host: a VM of 128 KiB whose claims, MSIs and lines are noted, the loop's jobs, an
 * access as park.c makes it, and a driver that does everything by hand. All that survives an instance lies in one mapping,
 * so that a test can stop an instance at any of its stores.
 */
#ifndef TESTS_VIRTIO_FAKES_H
#define TESTS_VIRTIO_FAKES_H

#include "tests/unit/vmm_image.h"

#include <sys/mman.h>

#include "ctrl-kernel/vmm/console_area.h"
#include "ctrl-kernel/vmm/io_area.h"
#include "ctrl-kernel/vmm/virtio/virtio.h"

#define RAM_BYTES 0x20000u
#ifndef SLOT
#define SLOT 1u
#endif
#ifndef AREA_PAGES
#define AREA_PAGES (2 * IO_NIC_PAGES)
#endif
#define BAR (PCI_WINDOW + SLOT * 0x4000u)
#define PORTS (0x1000 + SLOT * 64)

static struct survivors {
	struct vmm_state state;
	uint8_t ram[RAM_BYTES] __attribute__((aligned(4096)));
	uint8_t balloon[4096];           /* the I/O area begins here */
	uint8_t area[AREA_PAGES * 4096]; /* and goes on: the queues of a NIC, or one of a disk */
	struct console_area console;     /* there when the configuration says so */
} * kept;
_Static_assert(IO_DISK_PAGES <= AREA_PAGES, "room for both");
static struct vmm_config config;
static struct hv_vm_page page;
volatile struct hv_vm_page *the_page = &page;
static struct guest ram;
static struct vm vm;
static uint64_t now = 1000000000;
static int irq_level[24];
static unsigned n_msis, n_logs, n_io_tells;
static struct hv_msi last_msi;
static char last_log[200];
static struct {
	uint64_t base, len;
	uint32_t kind, bit;
} claims[64];
static unsigned n_claims;
static uint32_t slots_told; /* vmm_status.slots */
static bool sci;
static struct loop_job *jobs;

uint64_t rt_now(void)
{
	return now;
}

void rt_log(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(last_log, sizeof(last_log), format, args);
	va_end(args);
	n_logs++;
}

void loop_defer(struct loop_job *j)
{
	if (j->queued)
		return;
	j->queued = true;
	j->next = jobs;
	jobs = j;
}

static struct loop_timer *timer; /* only the balloon has one */

void loop_timer_init(struct loop_timer *t, loop_fn fn, void *ctx)
{
	*t = (struct loop_timer){.fn = fn, .ctx = ctx};
	timer = t;
}

void loop_timer_set(struct loop_timer *t, uint64_t delay_ns)
{
	t->deadline_ns = now + delay_ns;
	t->armed = true;
}

void loop_timer_cancel(struct loop_timer *t)
{
	t->armed = false;
}

/* One turn of the loop; false: there was nothing to do. */
static inline bool turn(void)
{
	struct loop_job *j = jobs;

	if (!j)
		return false;
	jobs = j->next;
	j->queued = false;
	j->fn(j->ctx);
	return true;
}

void vm_irq(struct vm *v, unsigned gsi, bool level)
{
	irq_level[gsi] = level;
}

void vm_msi(struct vm *v, uint64_t address, uint32_t data)
{
	last_msi = (struct hv_msi){address, data, 0};
	n_msis++;
}

void vm_msi_last(struct vm *v, uint64_t address, uint32_t data)
{
	vm_msi(v, address, data);
}

void vm_io_tell(void)
{
	n_io_tells++;
}

void *vm_io_page(uint32_t at)
{
	return at ? kept->area + (at - 1) * 4096ul : kept->balloon;
}

/* As hv does: EXIST for what overlaps is taken as claimed by the instance before, which must have claimed just that. */
void vm_claim(uint32_t space, uint64_t base, uint64_t len, uint32_t kind, uint32_t bit)
{
	for (unsigned i = 0; i < n_claims; i++) {
		if (base >= claims[i].base + claims[i].len || claims[i].base >= base + len)
			continue;
		if (claims[i].base != base || claims[i].len != len || claims[i].kind != kind ||
		    claims[i].bit != bit)
			abort();
		return;
	}
	if (n_claims == 64)
		abort();
	claims[n_claims].base = base;
	claims[n_claims].len = len;
	claims[n_claims].kind = kind;
	claims[n_claims++].bit = bit;
}

void vm_unclaim(uint32_t space, uint64_t base, uint64_t len)
{
	for (unsigned i = 0; i < n_claims; i++)
		if (claims[i].base == base && claims[i].len == len) {
			claims[i] = claims[--n_claims];
			return;
		}
}

void vm_slots(struct vm *v, uint32_t slots)
{
	slots_told = slots;
}

void vm_tell(void)
{
}

void vm_io_map(void)
{
}

void platform_sci_update(struct vm *v)
{
	sci = hotplug_event(v);
}

uint64_t platform_reset_port(struct vm *v, bool write, uint64_t value)
{
	return 0;
}

/* What a new instance of the vmm does before it looks at accesses. */
static inline void instance(void)
{
	jobs = NULL;
	memset(&vm, 0, sizeof(vm));
	ram = (struct guest){kept->ram, RAM_BYTES};
	vm.config = &config;
	vm.state = &kept->state;
	vm.ram = &ram;
	vm.console = config.console ? &kept->console : NULL;
	hotplug_attach(&vm);
	pci_attach(&vm);
	virtio_attach(&vm);
	pci_bars_restore(&vm);
}

/* Power-on. */
static inline void power_on(void)
{
	static const uint64_t seed[4] = {1, 2, 3, 4};
	struct hv_info *info = (struct hv_info *)HV_VA_INFO;

	if (!kept) {
		kept = mmap(NULL, sizeof(*kept), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (mmap(info, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != info)
			abort();
	}
	memcpy(info->random, seed, sizeof(seed));
	memset(kept, 0, sizeof(*kept));
	memset(&page, 0, sizeof(page));
	memset(irq_level, 0, sizeof(irq_level));
	n_claims = n_msis = n_logs = n_io_tells = 0;
	config.slots_seq = 1;
	instance();
	hotplug_reset(&vm);
	pci_reset(&vm);
	virtio_reset(&vm);
	virtio_resume(&vm);
}

/* An access of vCPU 0 as park.c answers it; `again`: the one before once more, for a new instance. */
static inline uint64_t access_again(void)
{
	volatile struct hv_mailbox *m = &page.mailbox[0];

	vm.parked = m;
	return bus_access(&vm.bus, m->access, m->addr, m->width, m->value);
}

static inline uint64_t access_new(uint32_t access, uint64_t addr, unsigned width, uint64_t value)
{
	struct hv_mailbox *m = &page.mailbox[0];
	uint64_t mask = width == 8 ? UINT64_MAX : (1ull << width * 8) - 1;

	*m = (struct hv_mailbox){m->seq + 1, 0, access, width, addr, value, {0}};
	return access_again() & mask;
}

static inline uint64_t rd(unsigned offset, unsigned width)
{
	return access_new(HV_MMIO_READ, BAR + offset, width, 0);
}

static inline void wr(unsigned offset, unsigned width, uint64_t value)
{
	access_new(HV_MMIO_WRITE, BAR + offset, width, value);
}

static inline uint32_t cfg(unsigned reg, unsigned width)
{
	return (uint32_t)access_new(HV_MMIO_READ, HV_GPA_ECAM + (SLOT << 15) + reg, width, 0);
}

static inline void cfg_set(unsigned reg, unsigned width, uint32_t value)
{
	access_new(HV_MMIO_WRITE, HV_GPA_ECAM + (SLOT << 15) + reg, width, value);
}

/* ---- a driver: one queue of QSIZE in the first pages of RAM ---- */
enum { QSIZE = 8, DESC = 0x1000, AVAIL = 0x2000, USED = 0x3000, BUFFERS = 0x8000, TABLE = 0x5000 };
enum { COMMON = 0, ISR = 0x100, TABLE_MSIX = 0x1000, PBA = 0x1800, NOTIFY = 0x2000 };
enum {
	F_SELECT = 8,
	F_VALUE = 12,
	CONFIG_VECTOR = 0x10,
	STATUS = 0x14,
	Q_SELECT = 0x16,
	Q_SIZE = 0x18,
	Q_VECTOR = 0x1a,
	Q_ENABLE = 0x1c,
	Q_DESC = 0x20,
	Q_DRIVER = 0x28,
	Q_DEVICE = 0x30,
	Q_RESET = 0x3a
};

static inline void desc_put(unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	uint8_t *d = kept->ram + DESC + i * 16;

	put64(d, 0, addr);
	put32(d, 8, len);
	put16(d, 12, flags);
	put16(d, 14, next);
}

static inline uint16_t ram16(uint64_t at)
{
	uint16_t v;

	memcpy(&v, kept->ram + at, 2);
	return v;
}

static inline void avail_put(uint16_t head)
{
	uint16_t idx = ram16(AVAIL + 2);

	put16(kept->ram, AVAIL + 4 + idx % QSIZE * 2, head);
	put16(kept->ram, AVAIL + 2, (uint16_t)(idx + 1));
}

static inline uint16_t used_idx(void)
{
	return ram16(USED + 2);
}

static inline void features_set(uint64_t features)
{
	for (unsigned i = 0; i < 2; i++) {
		wr(F_SELECT, 4, i);
		wr(F_VALUE, 4, (uint32_t)(features >> i * 32));
	}
}

static inline void queue_set(uint64_t desc, uint64_t avail, uint64_t used, unsigned size)
{
	wr(Q_SELECT, 2, 0);
	wr(Q_SIZE, 2, size);
	wr(Q_DESC, 4, (uint32_t)desc);
	wr(Q_DESC + 4, 4, desc >> 32);
	wr(Q_DRIVER, 4, (uint32_t)avail);
	wr(Q_DRIVER + 4, 4, avail >> 32);
	wr(Q_DEVICE, 4, (uint32_t)used);
	wr(Q_DEVICE + 4, 4, used >> 32);
}

static inline void msix_on(void)
{
	for (unsigned i = 0; i < 2; i++) {
		wr(TABLE_MSIX + i * 16, 4, 0xfee00000);
		wr(TABLE_MSIX + i * 16 + 4, 4, 0);
		wr(TABLE_MSIX + i * 16 + 8, 4, 0x40 + i);
		wr(TABLE_MSIX + i * 16 + 12, 4, 0);
	}
	cfg_set(0x42, 2, 0x8000);
}

/* From power-on to DRIVER_OK. */
static inline void driver_start(uint64_t features, bool msix)
{
	memset(kept->ram + DESC, 0, 0x4000);
	cfg_set(PCI_COMMAND, 2, 6);
	if (msix)
		msix_on();
	wr(STATUS, 1, 0);
	wr(STATUS, 1, 3);
	features_set(features | VIRTIO_VERSION_1);
	wr(STATUS, 1, 11);
	queue_set(DESC, AVAIL, USED, QSIZE);
	wr(CONFIG_VECTOR, 2, 0);
	wr(Q_VECTOR, 2, 1);
	wr(Q_ENABLE, 2, 1);
	wr(STATUS, 1, 15);
}

/* hv has taken the doorbell's write. */
static inline void ring(void)
{
	virtio_doorbells(1ull << VIRTIO_BELL(SLOT));
}

/* Bytes that nobody left as they were. */
static inline bool filled(unsigned at, unsigned n)
{
	unsigned zeros = 0;

	for (unsigned i = 0; i < n; i++)
		zeros += kept->ram[BUFFERS + at + i] == 0;
	return zeros <= n / 8;
}

/* One buffer of 8 bytes. */
static inline void request(void)
{
	desc_put(0, BUFFERS, 8, VRING_WRITE, 0);
	avail_put(0);
	ring();
}

#endif
