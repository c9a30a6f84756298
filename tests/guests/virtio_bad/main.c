/* SPDX-License-Identifier: BSD-2-Clause */
/* What no driver may put into a queue: the device says so, stops, tells by an interrupt, and works again after a reset. */
#include "virtio.h"

static struct {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
} volatile table[2] __attribute__((aligned(16)));

static void set(unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	vq.desc[i].addr = addr;
	vq.desc[i].len = len;
	vq.desc[i].flags = flags;
	vq.desc[i].next = next;
}

static void loop(void)
{
	vq.desc[0].flags = D_WRITE | D_NEXT;
}
static void outside(void)
{
	set(0, 0xd0000000, 64, D_WRITE, 0);
}
static void wraps(void)
{
	set(0, ~0ull, 64, D_WRITE, 0);
}
static void next_outside(void)
{
	vq.desc[0].flags = D_WRITE | D_NEXT;
	vq.desc[0].next = 60000;
}
static void wrong_order(void)
{
	vq.desc[0].flags = D_WRITE | D_NEXT;
	vq.desc[0].next = 1;
	vq.desc[1].flags = 0;
}
static void nested(void)
{
	table[0].addr = (uint64_t)table;
	table[0].len = 16;
	table[0].flags = D_INDIRECT;
	set(0, (uint64_t)table, 16, D_INDIRECT, 0);
}
static void table_loop(void)
{
	table[0].addr = (uint64_t)vq.bytes;
	table[0].len = 8;
	table[0].flags = D_WRITE | D_NEXT;
	table[0].next = 0;
	set(0, (uint64_t)table, 16, D_INDIRECT, 0);
}
static void table_odd(void)
{
	set(0, (uint64_t)table, 17, D_INDIRECT, 0);
}
static void head(void)
{
	vq.avail.ring[0] = 99;
}
static void index_far(void)
{
	vq.avail.idx = 1000;
}

void guest_main(void)
{
	static const struct {
		const char *name;
		void (*lie)(void);
	} lies[] = {
		{"loop", loop},
		{"outside", outside},
		{"wraps", wraps},
		{"next", next_outside},
		{"order", wrong_order},
		{"nested", nested},
		{"table loop", table_loop},
		{"table size", table_odd},
		{"head", head},
		{"index", index_far},
	};

	x2apic_enable();
	sti();
	v_open();
	v_msix_on();
	for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		unsigned before = v_config_irqs;

		v_start(F_INDIRECT);
		v_offer(0);
		lies[i].lie();
		v_bell_ring();
		for (uint64_t end = rdtsc() + 5000000000ull;
		     v_config_irqs == before && rdtsc() < end;)
			pause();
		check(v_config_irqs == before + 1, "%s: not told", lies[i].name);
		check(v_rd8(V_STATUS) == 0x4f && vq.used.idx == 0, "%s: status %x, %u used",
		      lies[i].name, v_rd8(V_STATUS), vq.used.idx);
		v_start(F_INDIRECT);
		v_offer(1);
		v_bell_ring();
		check(v_used(1), "%s: no answer after a reset", lies[i].name);
	}
	done();
}
