/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtio over PCI (virtio 1.2, 4.1), modern only: capabilities, two BARs, MSI-X with INTx behind it. BAR 0:
 *
 *	0x0000  common configuration (4.1.4.3)
 *	0x0100  ISR (4.1.4.5); a read clears it
 *	0x0200  the device's own configuration
 *	0x1000  MSI-X table, 0x1800 pending bits
 *	0x2000  doorbells: a write there is hv's, which notes the bell and goes on (4.1.4.4)
 *
 * BAR 1, ports, is the doorbells again, and preferred: the CPU says itself what is written to a port, and hv need not read
 * and decode an instruction of the guest.
 *
 * Queue q has an address of its own, in bell q % BELLS: so bells, of which hv has 64 for a VM, are enough for any number
 * of queues, and a device with up to BELLS queues hears of each alone. All else parks the vCPU and is answered here.
 */
#include "ctrl-kernel/vmm/layout.h"
#include "ctrl-kernel/vmm/virtio/virtio.h"

#include <string.h>

enum bar {
	BAR_COMMON = 0,
	BAR_ISR = 0x100,
	BAR_CONFIG = 0x200,
	BAR_VECTORS = 0x1000,
	BAR_PENDING = 0x1800,
	BAR_NOTIFY = 0x2000,
	BAR_BYTES = 0x4000
};
enum {
	BELLS = VIRTIO_BELLS,
	BELL_STEP = 4, /* notify_off_multiplier */
	BELL_BYTES = 16,
	BELLS_BYTES = BELLS * BELL_BYTES
};
_Static_assert(VIRTIO_QUEUES_MAX <= BELLS * (BELL_BYTES / BELL_STEP), "an address for each queue");
_Static_assert(PCI_PORTS_GIVEN + PCI_SLOTS * BELLS_BYTES <= PCI_PORTS_END, "ports for each slot");
_Static_assert(VIRTIO_BELL(PCI_SLOTS) <= 63, "bits of hv_vm_page.doorbells; the last is a test's");
_Static_assert(BELLS + 1 <= PCI_REGIONS_MAX, "regions");

/* Capabilities in configuration space: one behind the other. */
enum cap {
	CAP_MSIX = 0x40,
	CAP_COMMON = 0x4c,
	CAP_PORTS = 0x5c,
	CAP_NOTIFY = 0x70,
	CAP_ISR = 0x84,
	CAP_CONFIG = 0x94,
	CAP_WINDOW = 0xa4,
	WINDOW_BAR = CAP_WINDOW + 4,
	WINDOW_OFFSET = CAP_WINDOW + 8,
	WINDOW_LENGTH = CAP_WINDOW + 12,
	WINDOW_DATA = CAP_WINDOW + 16
};
#define PCI_CAP_VENDOR 0x09u
#define PCI_CAP_MSIX 0x11u
#define MSIX_CONTROL (CAP_MSIX + 2)
#define MSIX_ENABLE 0x8000u
#define MSIX_MASK_ALL 0x4000u
#define VECTOR_MASKED 1u

#define COMMON_BYTES 0x40u

/* ---- interrupts ---- */

static bool msix_on(const struct virtio_device *d)
{
	return pci_config_half(d->vm, d->slot, MSIX_CONTROL) & MSIX_ENABLE;
}

bool transport_bus_master(const struct virtio_device *d)
{
	return pci_config_half(d->vm, d->slot, PCI_COMMAND) & PCI_COMMAND_MASTER;
}

static void intx_update(struct virtio_device *d)
{
	pci_intx_set(d->vm, d->slot, (d->s->isr & 0xff) && !msix_on(d));
}

/* What is pending and may go, goes. A message is sent before its bit is cleared: better twice than not at all. Those of queues are
 * sent at the end of the turn; if this instance does not live to see it, the next one interrupts for all of them. */
static void vectors_flush(struct virtio_device *d)
{
	uint16_t control = pci_config_half(d->vm, d->slot, MSIX_CONTROL);

	if (!(control & MSIX_ENABLE) || (control & MSIX_MASK_ALL))
		return;
	for (uint32_t left = d->s->pending; left; left &= left - 1) {
		unsigned n = (unsigned)__builtin_ctz(left);
		const struct virtio_vector *v = &d->s->vector[n];

		if (v->control & VECTOR_MASKED)
			continue;
		if (n == d->s->config_vector)
			vm_msi(d->vm, v->address, v->data);
		else
			vm_msi_last(d->vm, v->address, v->data);
		d->s->pending &= ~(1u << n);
	}
}

void transport_interrupt(struct virtio_device *d, unsigned vector, enum virtio_isr cause)
{
	if (!msix_on(d)) {
		d->s->isr |= cause;
		intx_update(d);
	} else if (vector < virtio_vectors(d)) {
		d->s->pending |= 1u << vector;
		vectors_flush(d);
	}
}

/* Which access is being answered, as the isr word has it. */
static uint64_t access_key(const struct virtio_device *d)
{
	const volatile struct hv_mailbox *m = d->vm->parked;

	return (uint64_t)(m - the_page->mailbox) << 16 | m->seq << 32;
}

static uint8_t isr_read(struct virtio_device *d)
{
	uint64_t word = d->s->isr, key = access_key(d);

	if ((word & ~0xffffull) != key) {
		word = key | (word & 0xff) << 8;
		__atomic_store_n(&d->s->isr, word, __ATOMIC_RELEASE);
	}
	intx_update(d);
	return (uint8_t)(word >> 8);
}

/* ---- MSI-X table ---- */

static uint64_t vectors_read(struct virtio_device *d, unsigned offset, unsigned width)
{
	uint64_t value = 0;

	if (offset + width <= virtio_vectors(d) * sizeof(struct virtio_vector))
		memcpy(&value, (const uint8_t *)d->s->vector + offset, width);
	return value;
}

/* Doublewords and quadwords only (PCI 3.0, 6.8.2). */
static void vectors_write(struct virtio_device *d, unsigned offset, unsigned width, uint64_t value)
{
	struct virtio_vector *v;

	if (width < 4 || offset % width || offset >= virtio_vectors(d) * sizeof(*v))
		return;
	memcpy((uint8_t *)d->s->vector + offset, &value, width);
	v = &d->s->vector[offset / sizeof(*v)];
	v->address &= ~3ull;
	v->control &= VECTOR_MASKED;
	vectors_flush(d);
}

/* ---- common configuration ---- */

static struct virtio_queue_state *selected(struct virtio_device *d)
{
	return d->s->queue_select < d->n_queues ? &d->s->queue[d->s->queue_select] : NULL;
}

static uint32_t half(uint64_t value, unsigned which)
{
	return which > 1 ? 0 : (uint32_t)(value >> which * 32);
}

static uint32_t queue_read(struct virtio_device *d, unsigned reg)
{
	const struct virtio_queue_state *q = selected(d);
	unsigned n = d->s->queue_select;

	if (!q)
		return 0;
	switch (reg) {
	case COMMON_QUEUE_SIZE:
		return q->size;
	case COMMON_QUEUE_VECTOR:
		return q->vector;
	case COMMON_QUEUE_ENABLE:
		return q->enabled;
	case COMMON_QUEUE_NOTIFY_OFF:
		return n % BELLS * (BELL_BYTES / BELL_STEP) + n / BELLS;
	case COMMON_QUEUE_DESC:
	case COMMON_QUEUE_DESC + 4:
		return half(q->desc, (reg - COMMON_QUEUE_DESC) / 4);
	case COMMON_QUEUE_DRIVER:
	case COMMON_QUEUE_DRIVER + 4:
		return half(q->driver, (reg - COMMON_QUEUE_DRIVER) / 4);
	case COMMON_QUEUE_DEVICE:
	case COMMON_QUEUE_DEVICE + 4:
		return half(q->device, (reg - COMMON_QUEUE_DEVICE) / 4);
	case COMMON_QUEUE_NOTIFY_DATA:
		return n;
	default:
		return 0;
	}
}

static uint32_t common_read(struct virtio_device *d, unsigned reg)
{
	const struct virtio_device_state *s = d->s;

	switch (reg) {
	case COMMON_DEVICE_FEATURE_SELECT:
		return s->device_feature_select;
	case COMMON_DEVICE_FEATURE:
		return half(virtio_features(d), s->device_feature_select);
	case COMMON_DRIVER_FEATURE_SELECT:
		return s->driver_feature_select;
	case COMMON_DRIVER_FEATURE:
		return half(s->driver_features, s->driver_feature_select);
	case COMMON_CONFIG_VECTOR:
		return s->config_vector;
	case COMMON_NUM_QUEUES:
		return d->n_queues;
	case COMMON_STATUS:
		return s->status & 0xff;
	case COMMON_GENERATION:
		return s->generation & 0xff;
	case COMMON_QUEUE_SELECT:
		return s->queue_select;
	default:
		return queue_read(d, reg);
	}
}

static uint16_t vector_taken(const struct virtio_device *d, uint32_t value)
{
	return (uint16_t)(value < virtio_vectors(d) ? value : VIRTIO_NO_VECTOR);
}

static void half_set(uint64_t *field, unsigned which, uint32_t value)
{
	*field = (*field & ~((uint64_t)UINT32_MAX << which * 32)) | (uint64_t)value << which * 32;
}

/* While it is off; only the vector may change later. */
static void queue_write(struct virtio_device *d, unsigned reg, uint32_t value)
{
	struct virtio_queue_state *q = selected(d);

	if (!q)
		return;
	if (reg == COMMON_QUEUE_VECTOR)
		q->vector = vector_taken(d, value);
	else if (reg == COMMON_QUEUE_RESET && value == 1)
		virtio_queue_reset(d, d->s->queue_select);
	if (q->enabled)
		return;
	if (reg == COMMON_QUEUE_SIZE)
		q->size = (uint16_t)value;
	else if (reg == COMMON_QUEUE_ENABLE && value == 1)
		virtio_queue_enable(d, d->s->queue_select);
	else if (reg >= COMMON_QUEUE_DEVICE && reg < COMMON_QUEUE_NOTIFY_DATA)
		half_set(&q->device, (reg - COMMON_QUEUE_DEVICE) / 4, value);
	else if (reg >= COMMON_QUEUE_DRIVER && reg < COMMON_QUEUE_DEVICE)
		half_set(&q->driver, (reg - COMMON_QUEUE_DRIVER) / 4, value);
	else if (reg >= COMMON_QUEUE_DESC && reg < COMMON_QUEUE_DRIVER)
		half_set(&q->desc, (reg - COMMON_QUEUE_DESC) / 4, value);
}

static void common_write(struct virtio_device *d, unsigned reg, uint32_t value)
{
	struct virtio_device_state *s = d->s;

	switch (reg) {
	case COMMON_DEVICE_FEATURE_SELECT:
		s->device_feature_select = value;
		break;
	case COMMON_DRIVER_FEATURE_SELECT:
		s->driver_feature_select = value;
		break;
	case COMMON_DRIVER_FEATURE:
		if (s->driver_feature_select < 2 && !(s->status & VIRTIO_FEATURES_OK))
			half_set(&s->driver_features, s->driver_feature_select, value);
		break;
	case COMMON_CONFIG_VECTOR:
		s->config_vector = vector_taken(d, value);
		break;
	case COMMON_STATUS:
		virtio_status_write(d, (uint8_t)value);
		break;
	case COMMON_QUEUE_SELECT:
		s->queue_select = (uint16_t)value;
		break;
	default:
		queue_write(d, reg, value);
	}
}

/* The width of the field at `reg`; 64-bit ones are two of 32; 0: none begins there. */
static unsigned common_width(unsigned reg)
{
	if (reg == COMMON_STATUS || reg == COMMON_GENERATION)
		return 1;
	if (reg <= COMMON_DRIVER_FEATURE ||
	    (reg >= COMMON_QUEUE_DESC && reg < COMMON_QUEUE_NOTIFY_DATA))
		return reg % 4 ? 0 : 4;
	return reg % 2 ? 0 : 2;
}

/* Drivers use each field's own width (4.1.3.1); anything else reads 0 and changes nothing. */
static uint64_t common_access(struct virtio_device *d, unsigned reg, unsigned width, bool write,
			      uint64_t value)
{
	if (common_width(reg) != width)
		return 0;
	if (!write)
		return common_read(d, reg);
	common_write(d, reg, (uint32_t)value);
	return 0;
}

/* ---- BARs ---- */

static uint64_t config_access(struct virtio_device *d, unsigned offset, unsigned width, bool write,
			      uint64_t value)
{
	uint64_t got = 0;

	if (offset + width > d->ops->config_bytes)
		return 0;
	if (!write)
		d->ops->config_read(d, offset, &got, width);
	else if (d->ops->config_write)
		d->ops->config_write(d, offset, &value, width);
	return got;
}

static void bell_rings(struct virtio_device *d, unsigned bell)
{
	for (unsigned q = bell; q < d->n_queues; q += BELLS)
		virtio_notify(d, q);
}

static uint64_t bar_access(void *dev, uint64_t at, unsigned width, bool write, uint64_t value)
{
	struct virtio_device *d = dev;
	unsigned offset = (unsigned)at;

	if (offset < COMMON_BYTES)
		return common_access(d, offset, width, write, value);
	if (offset == BAR_ISR)
		return write ? 0 : isr_read(d);
	if (offset >= BAR_CONFIG && offset < BAR_VECTORS)
		return config_access(d, offset - BAR_CONFIG, width, write, value);
	if (offset >= BAR_VECTORS && offset < BAR_PENDING) {
		if (!write)
			return vectors_read(d, offset - BAR_VECTORS, width);
		vectors_write(d, offset - BAR_VECTORS, width, value);
		return 0;
	}
	if (offset >= BAR_PENDING && offset < BAR_PENDING + 8 && !write)
		return (uint64_t)d->s->pending >> (offset - BAR_PENDING) * 8;
	/* Through the window, or parked before the range was claimed. */
	if (offset >= BAR_NOTIFY && offset < BAR_NOTIFY + BELLS_BYTES && write)
		bell_rings(d, (offset - BAR_NOTIFY) / BELL_BYTES);
	return 0;
}

static uint64_t ports_access(void *dev, uint64_t offset, unsigned width, bool write, uint64_t value)
{
	(void)width;
	(void)value;
	if (write)
		bell_rings(dev, (unsigned)offset / BELL_BYTES);
	return 0;
}

/* ---- configuration space ---- */

/* The window (4.1.4.9): an access to its data is one to BAR 0, which has everything. False: it looks at nothing. */
static bool window_at(const struct virtio_device *d, unsigned reg, unsigned width, unsigned *offset,
		      unsigned *length)
{
	uint32_t at = pci_config_get(d->vm, d->slot, WINDOW_OFFSET, 4);
	uint32_t bytes = pci_config_get(d->vm, d->slot, WINDOW_LENGTH, 4);

	if (reg != WINDOW_DATA || pci_config_get(d->vm, d->slot, WINDOW_BAR, 1) != 0)
		return false;
	if ((bytes != 1 && bytes != 2 && bytes != 4) || width < bytes || at % bytes ||
	    at > BAR_BYTES - bytes)
		return false;
	*offset = at;
	*length = bytes;
	return true;
}

static void before_read(void *dev, unsigned reg, unsigned width)
{
	struct virtio_device *d = dev;
	unsigned offset, length;

	if (window_at(d, reg, width, &offset, &length))
		pci_config_set(d->vm, d->slot, WINDOW_DATA,
			       (uint32_t)bar_access(d, offset, length, false, 0), length);
}

static void written(void *dev, unsigned reg, unsigned width)
{
	struct virtio_device *d = dev;
	unsigned offset, length;

	if (window_at(d, reg, width, &offset, &length)) {
		bar_access(d, offset, length, true,
			   pci_config_get(d->vm, d->slot, WINDOW_DATA, length));
	} else if (reg <= MSIX_CONTROL + 1 && reg + width > MSIX_CONTROL) {
		intx_update(d);
		vectors_flush(d);
	} else if (reg == PCI_COMMAND) {
		virtio_notify_all(d); /* it may be bus master now */
	}
}

static void cap_put(struct virtio_device *d, unsigned at, unsigned next, unsigned bytes,
		    enum virtio_cap type, unsigned bar, uint32_t offset, uint32_t length)
{
	pci_power_on(d->slot, at, PCI_CAP_VENDOR | next << 8 | bytes << 16 | (uint32_t)type << 24,
		     4);
	pci_power_on(d->slot, at + 4, bar, 1);
	pci_power_on(d->slot, at + 8, offset, 4);
	pci_power_on(d->slot, at + 12, length, 4);
}

/* Power-on. Firmware would have given it an address and a line; decoding is the system's to switch on. */
static void power_on_set(struct virtio_device *d)
{
	const struct pci_identity id = {
		.vendor = 0x1af4,
		.device = (uint16_t)(0x1040 + d->ops->type),
		.class = d->ops->class,
		.subsystem_vendor = 0x1af4,
		.subsystem = 0x1100,
		.revision = 1,
		.interrupt_pin = 1,
	};
	uint32_t config_bytes = d->ops->config_bytes;

	pci_identity_set(d->slot, &id);
	pci_power_on(d->slot, PCI_STATUS, PCI_STATUS_CAPABILITIES, 2);
	pci_power_on(d->slot, PCI_BAR0, (uint32_t)PCI_WINDOW + d->slot * BAR_BYTES, 4);
	pci_power_on(d->slot, PCI_BAR0 + 4, (PCI_PORTS_GIVEN + d->slot * BELLS_BYTES) | PCI_BAR_IO,
		     4);
	pci_power_on(d->slot, PCI_INTERRUPT_LINE, GSI_PCI + d->slot % 4, 1);
	pci_power_on(d->slot, PCI_CAPABILITIES, CAP_MSIX, 1);
	pci_power_on(d->slot, CAP_MSIX,
		     PCI_CAP_MSIX | CAP_COMMON << 8 | (virtio_vectors(d) - 1) << 16, 4);
	pci_power_on(d->slot, CAP_MSIX + 4, BAR_VECTORS, 4);
	pci_power_on(d->slot, CAP_MSIX + 8, BAR_PENDING, 4);
	cap_put(d, CAP_COMMON, CAP_PORTS, 16, VIRTIO_CAP_COMMON, 0, BAR_COMMON, COMMON_BYTES);
	cap_put(d, CAP_PORTS, CAP_NOTIFY, 20, VIRTIO_CAP_NOTIFY, 1, 0, BELLS_BYTES);
	pci_power_on(d->slot, CAP_PORTS + 16, BELL_STEP, 4);
	cap_put(d, CAP_NOTIFY, CAP_ISR, 20, VIRTIO_CAP_NOTIFY, 0, BAR_NOTIFY, BELLS_BYTES);
	pci_power_on(d->slot, CAP_NOTIFY + 16, BELL_STEP, 4);
	cap_put(d, CAP_ISR, config_bytes ? CAP_CONFIG : CAP_WINDOW, 16, VIRTIO_CAP_ISR, 0, BAR_ISR,
		1);
	if (config_bytes)
		cap_put(d, CAP_CONFIG, CAP_WINDOW, 16, VIRTIO_CAP_DEVICE, 0, BAR_CONFIG,
			config_bytes);
	cap_put(d, CAP_WINDOW, 0, 20, VIRTIO_CAP_PCI, 0, 0, 0);
}

void transport_reset(struct virtio_device *d)
{
	for (unsigned i = 0; i < VIRTIO_VECTORS_MAX; i++)
		d->s->vector[i] = (struct virtio_vector){.control = VECTOR_MASKED};
	intx_update(d);
}

/* MSI-X is the function's, not the device's: a driver's reset leaves it as it is. */
void transport_registers_reset(struct virtio_device *d)
{
	struct virtio_device_state *s = d->s;

	s->isr &= ~0xffull;
	s->pending = 0;
	s->generation = 0;
	s->device_feature_select = s->driver_feature_select = 0;
	s->queue_select = 0;
	s->config_vector = VIRTIO_NO_VECTOR;
	intx_update(d);
}

void transport_attach(struct virtio_device *d)
{
	struct pci_function f = {
		.bar = {{.space = HV_SPACE_MMIO,
			 .bytes = BAR_BYTES,
			 .n_regions = 1,
			 .regions = {{0, BAR_NOTIFY, HV_CLAIM_PARK, 0}},
			 .fn = bar_access,
			 .mapped = &d->s->mapped},
			{.space = HV_SPACE_PIO,
			 .bytes = BELLS_BYTES,
			 .fn = ports_access,
			 .mapped = &d->s->mapped_io}},
		.before_read = before_read,
		.written = written,
		.dev = d,
	};

	for (unsigned i = 0; i < BELLS && i < d->n_queues; i++) {
		struct pci_region r = {(uint16_t)(i * BELL_BYTES), BELL_BYTES, HV_CLAIM_DOORBELL,
				       (uint8_t)(VIRTIO_BELL(d->slot) + i)};

		f.bar[1].regions[f.bar[1].n_regions++] = r;
		r.offset += BAR_NOTIFY;
		f.bar[0].regions[f.bar[0].n_regions++] = r;
	}
	pci_function_attach(d->slot, &f);
	power_on_set(d);
	pci_config_mask(d->slot, MSIX_CONTROL, MSIX_ENABLE | MSIX_MASK_ALL, 2);
	pci_config_mask(d->slot, WINDOW_BAR, 0xff, 1);
	pci_config_mask(d->slot, WINDOW_OFFSET, UINT32_MAX, 4);
	pci_config_mask(d->slot, WINDOW_LENGTH, UINT32_MAX, 4);
	pci_config_mask(d->slot, WINDOW_DATA, UINT32_MAX, 4);
}

void transport_doorbell(struct virtio_device *d, unsigned bell)
{
	bell_rings(d, bell);
}
