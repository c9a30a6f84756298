/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: drivers/pci.c
// SRC: drivers/pci_irq.c
/* PCI scanning against configuration spaces played by the test: BAR sizing, capability lists that loop or point
 * nowhere, several functions and buses, and which interrupt is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/rt/rt.h"
#include "drivers/driver.h"
#include "drivers/pci_regs.h"

#define FUNCTIONS 4u

static struct function {
	uint32_t bdf;
	uint8_t config[256];
	uint32_t bar_mask[6]; /* bits that can be written */
	bool decoded_while_sizing;
} functions[FUNCTIONS];
static unsigned n_functions;

static uint64_t now;
static int bits_given;
static loop_fn bit_fn[64];
static void *bit_ctx[64];
static struct loop_timer *timer;
static int gsi_bound, gsi_flags, acks, msis;
static bool msi_works;
static uint8_t bar_memory[8192] __attribute__((aligned(4096)));

static struct function *find(uint64_t bdf)
{
	for (unsigned i = 0; i < n_functions; i++)
		if (functions[i].bdf == bdf)
			return &functions[i];
	return NULL;
}

static uint64_t config_read(uint64_t bdf, uint64_t off, uint64_t width)
{
	struct function *f = find(bdf);
	uint64_t v = 0;

	assert_true(off + width <= 256 && (width == 1 || width == 2 || width == 4));
	if (!f)
		return UINT32_MAX >> (32 - 8 * width);
	memcpy(&v, f->config + off, width);
	return v;
}

static void config_write(uint64_t bdf, uint64_t off, uint64_t width, uint64_t v)
{
	struct function *f = find(bdf);
	uint32_t old;

	assert_non_null(f);
	if (off >= PCI_BAR0 && off < PCI_BAR0 + 24) {
		unsigned i = (unsigned)(off - PCI_BAR0) / 4;

		assert_int_equal(width, 4);
		f->decoded_while_sizing |= f->config[PCI_COMMAND] & 3;
		memcpy(&old, f->config + off, 4);
		v = (v & f->bar_mask[i]) | (old & ~f->bar_mask[i]);
	}
	memcpy(f->config + off, &v, width);
}

struct hv_result hv_raw(uint64_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			uint64_t f)
{
	(void)e, (void)f;
	switch (n) {
	case HVC_PCI_READ:
		return (struct hv_result){0, config_read(a, b, c)};
	case HVC_PCI_WRITE:
		config_write(a, b, c, d);
		return (struct hv_result){0, 0};
	case HVC_MMIO_MAP:
		return (struct hv_result){0, 0};
	case HVC_IRQ_BIND_MSI:
		if (!msi_works)
			return (struct hv_result){-HVE_LIMIT, 0};
		*(struct hv_msi *)(uintptr_t)b = (struct hv_msi){.address = 0xfee01000,
								 .data = 0x4051};
		return (struct hv_result){0, (uint64_t)(0x100 + ++msis)};
	case HVC_IRQ_BIND_GSI:
		gsi_bound = (int)a;
		gsi_flags = (int)c;
		return (struct hv_result){0, 0x200};
	case HVC_IRQ_ACK:
		assert_int_equal(a, 0x200);
		acks++;
		return (struct hv_result){0, 0};
	default:
		fail_msg("hypercall %u", (unsigned)n);
		return (struct hv_result){-HVE_NOSYS, 0};
	}
}

uint64_t rt_now(void)
{
	return now += 1000;
}
void rt_log(const char *format, ...)
{
	(void)format;
}
void *rt_va_alloc(uint64_t pages, uint64_t align)
{
	(void)align;
	assert_true(pages <= 2);
	return bar_memory;
}
void rt_va_free(void *va, uint64_t pages)
{
	(void)va, (void)pages;
}
int loop_bit_alloc(loop_fn fn, void *ctx)
{
	bit_fn[bits_given] = fn;
	bit_ctx[bits_given] = ctx;
	return bits_given++;
}
void loop_bit_free(unsigned bit)
{
	assert_int_equal(bit, bits_given - 1);
	bits_given--;
}
void loop_timer_init(struct loop_timer *t, loop_fn fn, void *ctx)
{
	*t = (struct loop_timer){.fn = fn, .ctx = ctx};
}
void loop_timer_set(struct loop_timer *t, uint64_t delay_ns)
{
	t->deadline_ns = delay_ns;
	t->armed = true;
	timer = t;
}

static struct function *add(uint32_t bdf, uint16_t vendor, uint16_t device)
{
	struct function *f = &functions[n_functions++];

	memset(f, 0, sizeof(*f));
	f->bdf = bdf;
	memcpy(f->config, &vendor, 2);
	memcpy(f->config + 2, &device, 2);
	f->config[11] = 2; /* a network card */
	return f;
}

static void set32(struct function *f, unsigned off, uint32_t v)
{
	memcpy(f->config + off, &v, 4);
}

static void capability(struct function *f, unsigned at, uint8_t id, uint8_t next)
{
	f->config[PCI_STATUS] |= PCI_STATUS_CAPS;
	f->config[at] = id;
	f->config[at + 1] = next;
}

static int fresh(void **state)
{
	(void)state;
	n_functions = 0;
	gsi_bound = gsi_flags = -1;
	acks = 0;
	msi_works = true;
	timer = NULL;
	memset(bar_memory, 0, sizeof(bar_memory));
	return 0;
}

static void test_scan_buses(void **state)
{
	struct function *f;

	(void)state;
	add(0x0000, 0x8086, 0x1237);
	f = add(0x0018, 0x8086, 0x100e);
	f->config[PCI_HEADER_TYPE] = 0x80;
	add(0x001d, 0x8086, 0x100f); /* function 5 */
	add(0xff00, 0x1af4, 0x1041);
	pci_scan();
	assert_int_equal(pci_count(), 4);
	assert_int_equal(pci_dev(2)->bdf, 0x1d);
	assert_int_equal(pci_dev(3)->bdf, 0xff00);
	assert_int_equal(pci_dev(3)->class_code >> 16, 2);
	assert_null(pci_dev(4));
}

/* A device with one function answers for all eight on some machines: only the first counts. */
static void test_single_function(void **state)
{
	(void)state;
	add(0x0018, 0x8086, 0x100e);
	add(0x0019, 0x8086, 0x100e);
	pci_scan();
	assert_int_equal(pci_count(), 1);
}

static void test_bars(void **state)
{
	struct function *f = add(0x18, 0x8086, 0x10d3);
	const struct pci_bar *b;

	(void)state;
	f->config[PCI_COMMAND] = 7;
	set32(f, PCI_BAR0, 0xfebc0000);
	f->bar_mask[0] = 0xfffe0000;
	set32(f, PCI_BAR0 + 4, 0x0000c041);
	f->bar_mask[1] = 0xffffffe0;
	set32(f, PCI_BAR0 + 8, 0x0000000c);
	set32(f, PCI_BAR0 + 12, 0x00000008);
	f->bar_mask[2] = 0x00000000; /* 8 GiB: the low half is all zero */
	f->bar_mask[3] = 0xfffffffe;
	set32(f, PCI_BAR0 + 20, 0x00000000);
	pci_scan();
	b = pci_dev(0)->bars;
	assert_int_equal(b[0].base, 0xfebc0000);
	assert_int_equal(b[0].size, 0x20000);
	assert_false(b[0].io || b[0].is64);
	assert_true(b[1].io);
	assert_int_equal(b[1].base, 0xc040);
	assert_int_equal(b[1].size, 0x20);
	assert_true(b[2].is64 && b[2].prefetch);
	assert_true(b[2].base == 0x800000000ull);
	assert_true(b[2].size == 0x200000000ull);
	assert_int_equal(b[3].size, 0);
	assert_int_equal(b[4].size, 0);
	assert_int_equal(b[5].size, 0);
	assert_false(f->decoded_while_sizing);
	assert_int_equal(config_read(0x18, PCI_COMMAND, 2), 7 | PCI_CMD_INTX_OFF);
	assert_int_equal(config_read(0x18, PCI_BAR0, 4), 0xfebc0000);
	assert_int_equal(config_read(0x18, PCI_BAR0 + 12, 4), 8);
}

/* The last register says "64 bits": there is no second half. */
static void test_bar_cut_off(void **state)
{
	struct function *f = add(0x18, 0x8086, 0x10d3);

	(void)state;
	set32(f, PCI_BAR0 + 20, 0xf0000004);
	f->bar_mask[5] = 0xfff00000;
	pci_scan();
	assert_false(pci_dev(0)->bars[5].is64);
	assert_int_equal(pci_dev(0)->bars[5].size, 0x100000);
}

static void test_host_bridge_untouched(void **state)
{
	struct function *f = add(0x00, 0x8086, 0x29c0);

	(void)state;
	f->config[11] = 6;
	f->config[PCI_COMMAND] = 7;
	f->bar_mask[0] = 0xfff00000;
	set32(f, PCI_BAR0, 0xe0000000);
	pci_scan();
	assert_int_equal(pci_dev(0)->bars[0].size, 0);
	assert_false(f->decoded_while_sizing);
}

static void test_caps(void **state)
{
	struct function *f = add(0x18, 0x1af4, 0x1041);
	unsigned at;

	(void)state;
	pci_scan();
	f->config[PCI_CAP_POINTER] = 0x98;
	assert_int_equal(pci_find_cap(pci_dev(0), 9, 0), 0); /* the status says: no list */
	capability(f, 0x98, 0x11, 0x84);                     /* downwards, as QEMU lays them out */
	capability(f, 0x84, 0x09, 0x70);
	capability(f, 0x70, 0x09, 0x40);
	capability(f, 0x40, 0x09, 0);
	assert_int_equal(pci_find_cap(pci_dev(0), 0x11, 0), 0x98);
	at = pci_find_cap(pci_dev(0), 9, 0);
	assert_int_equal(at, 0x84);
	at = pci_find_cap(pci_dev(0), 9, at);
	assert_int_equal(at, 0x70);
	at = pci_find_cap(pci_dev(0), 9, at);
	assert_int_equal(at, 0x40);
	assert_int_equal(pci_find_cap(pci_dev(0), 9, at), 0);
	assert_int_equal(pci_find_cap(pci_dev(0), 5, 0), 0);
}

static void test_caps_loop(void **state)
{
	struct function *f = add(0x18, 0x1af4, 0x1041);
	unsigned at = 0, hits = 0;

	(void)state;
	pci_scan();
	f->config[PCI_CAP_POINTER] = 0x41; /* low bits are to be ignored */
	capability(f, 0x40, 0x09, 0x50);
	capability(f, 0x50, 0x09, 0x60);
	capability(f, 0x60, 0x09, 0x50);
	while ((at = pci_find_cap(pci_dev(0), 9, at)) != 0)
		assert_true(++hits < 10);
	assert_int_equal(hits, 3);
	assert_int_equal(pci_find_cap(pci_dev(0), 5, 0), 0);
	capability(f, 0x50, 0x09, 0x10); /* into the header */
	assert_int_equal(pci_find_cap(pci_dev(0), 9, 0x50), 0);
	capability(f, 0x40, 0x09, 0x40); /* itself */
	assert_int_equal(pci_find_cap(pci_dev(0), 9, 0x40), 0);
	assert_int_equal(pci_find_cap(pci_dev(0), 9, 0x7c), 0); /* not in the list at all */
}

static void test_map_bounds(void **state)
{
	struct function *f = add(0x18, 0x8086, 0x10d3);

	(void)state;
	set32(f, PCI_BAR0, 0xfebc0000);
	f->bar_mask[0] = 0xffffe000; /* 8 KiB */
	pci_scan();
	assert_ptr_equal((void *)pci_map_bar(pci_dev(0), 0, 0x10, 0x10), bar_memory + 0x10);
	assert_non_null((void *)pci_map_bar(pci_dev(0), 0, 0, 0x2000));
	assert_null((void *)pci_map_bar(pci_dev(0), 0, 0, 0x2001));
	assert_null((void *)pci_map_bar(pci_dev(0), 0, 0x2000, 1));
	assert_null((void *)pci_map_bar(pci_dev(0), 0, 0x1000, UINT64_MAX));
	assert_null((void *)pci_map_bar(pci_dev(0), 0, UINT64_MAX, 2));
	assert_null((void *)pci_map_bar(pci_dev(0), 0, 0, 0));
	assert_null((void *)pci_map_bar(pci_dev(0), 1, 0, 1));
	assert_null((void *)pci_map_bar(pci_dev(0), 6, 0, 1));
}

static int called;
static void handler(void *ctx)
{
	assert_ptr_equal(ctx, &called);
	called++;
}

static void test_msix(void **state)
{
	struct function *f = add(0x18, 0x8086, 0x10d3);
	uint32_t *entry = (uint32_t *)(bar_memory);
	const char *kind;

	(void)state;
	set32(f, PCI_BAR0, 0xfebc0000);
	f->bar_mask[0] = 0xffffe000;
	f->config[PCI_CAP_POINTER] = 0xa0;
	capability(f, 0xa0, PCI_CAP_MSIX, 0);
	f->config[0xa2] = 0; /* one vector */
	set32(f, 0xa4, 0x0);
	pci_scan();
	entry[3] = 1;
	assert_int_equal(pci_irq_bind(pci_dev(0), handler, &called, &kind), 0);
	assert_string_equal(kind, "msix");
	assert_int_equal(entry[0], 0xfee01000);
	assert_int_equal(entry[2], 0x4051);
	assert_int_equal(entry[3], 0);
	assert_int_equal(config_read(0x18, 0xa2, 2), PCI_MSIX_ENABLE);
	assert_true(config_read(0x18, PCI_COMMAND, 2) & PCI_CMD_INTX_OFF);
	assert_int_equal(pci_msix_bind(pci_dev(0), 1, handler, &called), -1);
	called = 0;
	bit_fn[bits_given - 1](bit_ctx[bits_given - 1]);
	assert_int_equal(called, 1);
}

/* The table lies outside its BAR: MSI is next. */
static void test_msi(void **state)
{
	struct function *f = add(0x18, 0x8086, 0x10d3);
	const char *kind;

	(void)state;
	f->config[PCI_CAP_POINTER] = 0xa0;
	capability(f, 0xa0, PCI_CAP_MSIX, 0xd0);
	set32(f, 0xa4, 0x7ffff000);
	capability(f, 0xd0, PCI_CAP_MSI, 0);
	f->config[0xd2] = 0x80 | 0x70; /* 64 bits, several vectors enabled by somebody */
	pci_scan();
	assert_int_equal(pci_irq_bind(pci_dev(0), handler, &called, &kind), 0);
	assert_string_equal(kind, "msi");
	assert_int_equal(config_read(0x18, 0xd2, 2), 0x81);
	assert_int_equal(config_read(0x18, 0xd4, 4), 0xfee01000);
	assert_int_equal(config_read(0x18, 0xdc, 2), 0x4051);
}

static void test_intx(void **state)
{
	struct function *f = add(0x18, 0x8086, 0x100e), *g = add(0x20, 0x8086, 0x100e);
	const char *kind;
	int bit;

	(void)state;
	f->config[PCI_INTERRUPT_LINE] = g->config[PCI_INTERRUPT_LINE] = 11;
	f->config[PCI_INTERRUPT_LINE + 1] = g->config[PCI_INTERRUPT_LINE + 1] = 1;
	pci_scan();
	assert_int_equal(pci_irq_bind(pci_dev(0), handler, &called, &kind), 0);
	assert_string_equal(kind, "intx");
	assert_int_equal(gsi_bound, 11);
	assert_int_equal(gsi_flags, HVI_LEVEL);
	assert_false(config_read(0x18, PCI_COMMAND, 2) & PCI_CMD_INTX_OFF);
	bit = bits_given;
	gsi_bound = -1;
	assert_int_equal(pci_irq_bind(pci_dev(1), handler, &called, &kind), 0);
	assert_int_equal(gsi_bound, -1); /* the line is shared, bound once */
	assert_int_equal(bits_given, bit);
	called = 0;
	timer->armed = false;
	timer->fn(timer->ctx); /* the safety poll, before any interrupt */
	assert_int_equal(called, 1);
	assert_true(timer->armed);
	bit_fn[bit - 1](bit_ctx[bit - 1]);
	assert_int_equal(called, 3);
	assert_int_equal(acks, 1);
	timer->armed = false;
	timer->fn(timer->ctx); /* it has proved itself: no more */
	assert_int_equal(called, 3);
	assert_false(timer->armed);
}

static void test_poll(void **state)
{
	const char *kind;

	(void)state;
	msi_works = false;
	add(0x18, 0x8086, 0x100e)->config[PCI_INTERRUPT_LINE] = 0xff;
	pci_scan();
	assert_int_equal(pci_irq_bind(pci_dev(0), handler, &called, &kind), 0);
	assert_string_equal(kind, "poll");
	called = 0;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(timer->deadline_ns, 1000000);
		timer->fn(timer->ctx);
	}
	assert_int_equal(called, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_scan_buses, fresh),
		cmocka_unit_test_setup(test_single_function, fresh),
		cmocka_unit_test_setup(test_bars, fresh),
		cmocka_unit_test_setup(test_bar_cut_off, fresh),
		cmocka_unit_test_setup(test_host_bridge_untouched, fresh),
		cmocka_unit_test_setup(test_caps, fresh),
		cmocka_unit_test_setup(test_caps_loop, fresh),
		cmocka_unit_test_setup(test_map_bounds, fresh),
		cmocka_unit_test_setup(test_msix, fresh),
		cmocka_unit_test_setup(test_msi, fresh),
		cmocka_unit_test_setup(test_intx, fresh),
		cmocka_unit_test_setup(test_poll, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
