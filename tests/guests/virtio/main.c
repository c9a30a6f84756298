/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The generator at 00:01.0 by hand: negotiation, requests, MSI-X masks and pending bits, event index, INTx, a BAR that moves and one
 * that is off.
 */
#include "virtio.h"

enum { ELSEWHERE = 0xf1000000, ELSEWHERE_PORT = 0x2000 };

static void negotiation(void)
{
	v_wr8(V_STATUS, 0);
	v_wr8(V_STATUS, 3);
	v_wr8(V_STATUS, 11); /* without VERSION_1 */
	check(v_rd8(V_STATUS) == 3, "a legacy driver is taken: %x", v_rd8(V_STATUS));
	*(volatile uint32_t *)(v_common + V_D_SELECT) = 1;
	*(volatile uint32_t *)(v_common + V_D) = 0xffffffff;
	v_wr8(V_STATUS, 11);
	check(v_rd8(V_STATUS) == 3, "features that do not exist are taken: %x", v_rd8(V_STATUS));
	v_wr16(V_Q_SELECT, 1);
	check(v_rd16(V_Q_SIZE) == 0, "there is a queue 1");
	v_wr16(V_Q_VECTOR, 5);
	v_wr16(V_Q_SELECT, 0);
	v_wr16(V_Q_VECTOR, 5);
	check(v_rd16(V_Q_VECTOR) == 0xffff, "vector 5 is taken");
}

static void wait_irqs(unsigned n)
{
	for (uint64_t end = rdtsc() + 5000000000ull; v_queue_irqs < n && rdtsc() < end;)
		pause();
	check(v_queue_irqs == n, "%u interrupts, not %u", v_queue_irqs, n);
}

static void requests(void)
{
	unsigned zeros = 0;

	for (uint16_t i = 0; i < 20; i++) {
		v_offer(i % VQ_SIZE);
		if (i % 2)
			v_bell_ring();
		else
			v_bell_write();
		check(v_used((uint16_t)(i + 1)), "request %u does not come back", i);
		check(vq.used.ring[i % VQ_SIZE].id == i % VQ_SIZE &&
			      vq.used.ring[i % VQ_SIZE].len == VQ_BYTES,
		      "request %u: id %u, %u bytes", i, vq.used.ring[i % VQ_SIZE].id,
		      vq.used.ring[i % VQ_SIZE].len);
		wait_irqs(i + 1u);
	}
	for (unsigned i = 0; i < VQ_SIZE * VQ_BYTES; i++)
		zeros += vq.bytes[i / VQ_BYTES][i % VQ_BYTES] == 0;
	check(zeros < 20, "%u of 512 random bytes are 0", zeros);
}

static void masks(void)
{
	unsigned before = v_queue_irqs;

	v_table[7] = 1;
	v_offer(0);
	v_bell_ring();
	check(v_used(21), "masked: no answer");
	check(v_pending[0] == 2 && v_queue_irqs == before, "masked: pending %x, %u interrupts",
	      v_pending[0], v_queue_irqs - before);
	v_cfg_set(v_msix, v_cfg(v_msix) | 0xc0000000u);
	v_table[7] = 0;
	check(v_pending[0] == 2, "the function's mask: pending %x", v_pending[0]);
	v_cfg_set(v_msix, (v_cfg(v_msix) & ~0x40000000u) | 0x80000000u);
	wait_irqs(before + 1);
	check(v_pending[0] == 0, "unmasked: pending %x", v_pending[0]);
}

static void event_index(void)
{
	unsigned before;

	v_start(F_EVENT);
	before = v_queue_irqs;
	vq.avail.used_event = 2;
	for (uint16_t i = 0; i < 3; i++) {
		v_offer(i);
		v_bell_ring();
		check(v_used((uint16_t)(i + 1)), "event index: no answer");
	}
	wait_irqs(before + 1);
	check(vq.used.avail_event == 3, "avail_event %u", vq.used.avail_event);
}

static void moved(void)
{
	uint64_t old = v_cfg(0x10) & ~15u;

	v_cfg_set(0x10, ELSEWHERE);
	v_cfg_set(0x14, ELSEWHERE_PORT);
	check((mmio_read(old) & 0xff) == 0xff, "still at its old place");
	v_find(ELSEWHERE);
	v_start(0);
	v_offer(1);
	v_bell_ring();
	check(v_used(1), "no answer at the new place");
	v_cfg_set(4, 4);
	check(mmio_read(ELSEWHERE + V_STATUS) == 0xffffffff, "decodes while it must not");
	v_bell_ring(); /* into nothing */
	v_cfg_set(4, 7);
	check(v_rd8(V_STATUS) == 15, "status %x after decoding was off", v_rd8(V_STATUS));
}

/* Without MSI-X: GSI 17, of which the IO-APIC says what it sees. */
static void intx(void)
{
	v_cfg_set(v_msix, v_cfg(v_msix) & ~0xc0000000u);
	v_start(0);
	v_offer(2);
	v_bell_ring();
	check(v_used(1), "INTx: no answer");
	for (uint64_t end = rdtsc() + 5000000000ull; !(v_cfg(4) & 0x80000) && rdtsc() < end;)
		pause();
	check(v_cfg(4) & 0x80000, "no INTx status");
	check(*v_isr == 1 && *v_isr == 0, "ISR");
	check(!(v_cfg(4) & 0x80000), "INTx after the ISR was read");
}

void guest_main(void)
{
	x2apic_enable();
	sti();
	v_open();
	negotiation();
	v_msix_on();
	v_start(0);
	requests();
	masks();
	event_index();
	moved();
	intx();
	done();
}
